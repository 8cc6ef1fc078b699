/**
 * OpenSSL's own programs at the other end: `openssl s_client` as the client of this library's servers, `openssl
 * s_server` as the server of its connections.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { type Connection, NodeNetwork, startServer, StreamError, type Tls } from "effect-byte-streams"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { authority, type Certificate, certificates, oddities } from "../support/certificates.ts"
import { pattern, text } from "../support/bytes.ts"
import { deathOf } from "../support/exits.ts"
import { needs } from "../support/peers.ts"
import { type Program, start } from "../support/program.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { connectTls, host, serveTls } from "../support/tlsPair.ts"
import { eventually, within } from "../support/wait.ts"

const versions = [
  ["TLSv1.2", "-tls1_2"],
  ["TLSv1.3", "-tls1_3"]
] as const

/** Writes certificates where openssl can read them. */
/** Certificates that are refused for reasons that Node has no code for, by the reason. */
const odd = await oddities("server")

const onDisk = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const write = (name: string, content: string) => {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }
  return {
    ca: write("ca.pem", authority.cert),
    path: (name: string) => join(directory, name),
    /** The options that name a certificate and its key; `which` is 2 for those of the second name. */
    certificate: (name: string, { cert, key }: Certificate, which = "") => [
      `-cert${which}`,
      write(`${name}.pem`, cert),
      `-key${which}`,
      write(`${name}.key`, key)
    ]
  }
})

/** What a program has said, in either way. */
const said = (program: Program): string => program.stdout + program.stderr

const says = (program: Program, what: string | RegExp) =>
  eventually(
    `openssl says ${String(what)}`,
    () => (typeof what === "string" ? said(program).includes(what) : what.test(said(program))) || undefined
  )

/** It ends, and says that something went wrong. */
const fails = (program: Program) =>
  Effect.map(deathOf(program.succeeds), (message) => assert.match(message, /openssl ended with \d+:/))

describe("openssl s_client", needs("openssl"), () => {
  /** Connects, trusting the test authority and nobody else. */
  const connect = (port: number, ca: string, options: ReadonlyArray<string>) =>
    start("openssl", [
      "s_client",
      "-connect",
      `${host}:${port}`,
      "-CAfile",
      ca,
      "-verify_return_error",
      "-nocommands",
      ...options,
      "-no_ign_eof"
    ])

  it.live.each(versions)("speaks %s: a name, ALPN, lines in both directions, a clean end", ([version, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls({ alpnProtocols: ["http/1.1"] })
      const program = yield* connect(server.port, files.ca, [
        flag,
        "-quiet",
        ...["-servername", "localhost", "-verify_hostname", "localhost", "-alpn", "h2,http/1.1"]
      ])
      const { info, reader, writer } = yield* server.accept
      assert.strictEqual(info.tls?.protocol, version)
      assert.strictEqual(info.tls?.serverName, "localhost")
      assert.strictEqual(info.tls?.alpn, "http/1.1")
      assert.strictEqual(info.tls?.authorized, false)
      assert.strictEqual(info.tls?.peerCertificate, undefined)
      yield* program.send("from openssl\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "from openssl\n")
      yield* writer.write("to openssl\n")
      assert.strictEqual(yield* program.line, "to openssl")
      yield* program.endInput
      assert.strictEqual((yield* within("the end", reader.readLine)).length, 0)
      assert.strictEqual((yield* writer.close)._tag, "Graceful")
      yield* program.succeeds
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("shows a certificate over %s", ([version, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls({ clientCertificate: "require" })
      const mine = files.certificate("client", certificates.client)
      const program = yield* connect(server.port, files.ca, [flag, "-quiet", ...mine])
      const { info, reader, writer } = yield* server.accept
      assert.strictEqual(info.tls?.protocol, version)
      assert.strictEqual(info.tls?.authorized, true)
      assert.strictEqual(info.tls?.peerCertificate?.subject, "CN=client")
      yield* writer.write("welcome\n")
      assert.strictEqual(yield* program.line, "welcome")
      yield* program.send("thanks\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "thanks\n")
      // this side ends first
      assert.strictEqual((yield* writer.close)._tag, "Graceful")
      yield* program.succeeds
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("without the certificate that is required is refused, over %s", ([, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls({ clientCertificate: "require" })
      const program = yield* connect(server.port, files.ca, [flag, "-quiet"])
      const failure = yield* server.failure
      assert.strictEqual(failure.kind, "Certificate")
      yield* fails(program)
      assert.match(said(program), /alert (certificate required|handshake failure)/)
      assert.strictEqual(server.connections.length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  const refused = [
    ["for another name", certificates.server, ["-verify_hostname", "elsewhere.test"], "hostname mismatch"],
    ["that has expired", certificates.expired, [], "certificate has expired"],
    ["that is not valid yet", certificates.notYetValid, [], "certificate is not yet valid"],
    ["that vouches for itself", certificates.selfSigned, [], "self-signed certificate"],
    ["of an unknown authority", certificates.unknown, [], "unable to get local issuer certificate"],
    ...Object.entries(odd).map(([why, certificate]) => [`for “${why}”`, certificate, [], why] as const)
  ] as const
  const refusals = refused.flatMap(([what, ...one]) =>
    versions.map(([version, flag]) => [what, version, flag, ...one] as const)
  )

  it.live.each(refusals)(
    "refuses a certificate %s over %s, and the server learns of it",
    ([, , flag, certificate, options, why]) =>
      Effect.gen(function* () {
        const files = yield* onDisk
        const server = yield* serveTls({ identity: certificate.identity, ca: undefined })
        const program = yield* connect(server.port, files.ca, [flag, ...options])
        yield* fails(program)
        assert.include(said(program), why)
        const failure = yield* server.failure
        assert.strictEqual(failure.kind, "Certificate")
        assert.match(failure.code!, /^ERR_SSL_.*ALERT/)
        assert.strictEqual(server.connections.length, 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("gets the certificate of the name that it asks for", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls({
        identity: (name) =>
          Effect.succeed(name === "beta.test" ? certificates.beta.identity : certificates.alpha.identity)
      })
      for (const name of ["alpha.test", "beta.test"]) {
        const program = yield* connect(server.port, files.ca, [
          ...["-quiet", "-servername", name, "-verify_hostname", name]
        ])
        const { info, writer } = yield* server.accept
        assert.strictEqual(info.tls?.serverName, name)
        yield* writer.write(`this is ${name}\n`)
        assert.strictEqual(yield* program.line, `this is ${name}`)
        yield* writer.close
        yield* program.succeeds
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("resumes its session over %s", ([, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls()
      const session = files.path("session.pem")
      const meet = (option: string) =>
        Effect.gen(function* () {
          const program = yield* connect(server.port, files.ca, [flag, "-quiet", option, session])
          const { info, writer } = yield* server.accept
          yield* writer.write("hello\n")
          assert.strictEqual(yield* program.line, "hello")
          yield* writer.close
          yield* program.succeeds
          return info.tls?.resumed
        })
      assert.strictEqual(yield* meet("-sess_out"), false)
      assert.strictEqual(yield* meet("-sess_in"), true)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("gets a megabyte, and sends one", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls()
      const program = yield* connect(server.port, files.ca, ["-quiet"])
      const { reader, writer } = yield* server.accept
      const all = Buffer.from(pattern(1_000_000)).toString("hex")
      const sending = yield* Effect.forkChild(program.send(all))
      assert.strictEqual(text(yield* within("all of it", reader.readExactly(all.length))), all)
      yield* Fiber.join(sending)
      yield* writer.write(`${all}\n`)
      assert.strictEqual(yield* program.line, all)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that is killed has cut the connection: what it said is read, then the loss", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls()
      const program = yield* connect(server.port, files.ca, ["-quiet"])
      const { reader } = yield* server.accept
      yield* program.send("last words\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "last words\n")
      yield* program.kill
      const error = yield* within("the loss", Effect.flip(reader.readLine))
      assert(error._tag === "TlsFailed", String(error))
      assert.strictEqual(error.kind, "Truncated")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("may not renegotiate for ever", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* serveTls({ maxVersion: "TLSv1.2" })
      // without -nocommands: a line that begins with R asks for a renegotiation
      const program = yield* start("openssl", ["s_client", "-connect", `${host}:${server.port}`, "-CAfile", files.ca])
      const { reader } = yield* server.accept
      yield* program.send("before\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "before\n")
      const reading = yield* Effect.forkChild(Effect.exit(reader.readLine))
      for (let i = 0; i < 20 && reading.pollUnsafe() === undefined && program.exit === undefined; i++) {
        yield* program.send("R\n")
        yield* eventually(
          "the renegotiation is over",
          () =>
            said(program).split("RENEGOTIATING").length > i + 1 ||
            program.exit !== undefined ||
            reading.pollUnsafe() !== undefined
        )
      }
      const exit = yield* within("the connection is ended", Fiber.join(reading))
      assert(exit._tag === "Failure", "a clean end")
      // whether it takes the alert for a failure depends on when it comes
      yield* within("the program ends", Effect.exit(program.succeeds))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("upgrades a connection by STARTTLS in an SMTP dialogue", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const lines: Array<string> = []
      const infos: Array<Tls.TlsInfo | undefined> = []
      const mail = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          let { reader, writer } = connection
          yield* writer.write("220 mail.test ready\r\n")
          while (true) {
            const line = text(yield* reader.readLine).trimEnd()
            lines.push(line)
            if (line.startsWith("EHLO")) yield* writer.write("250-mail.test\r\n250 STARTTLS\r\n")
            else if (line === "QUIT") return yield* writer.write("221 bye\r\n")
            else if (line === "STARTTLS") {
              yield* writer.write("220 go ahead\r\n")
              const secure = yield* connection.startTls({ side: "server", identity: certificates.server.identity })
              infos.push(secure.info.tls)
              ;({ reader, writer } = secure)
            } else yield* writer.write("502 what?\r\n")
          }
        })
      const server = yield* startServer({ host, port: 0 }, mail)
      const program = yield* connect(server.port, files.ca, ["-quiet", "-crlf", "-starttls", "smtp"])
      yield* says(program, "250 STARTTLS")
      yield* program.send("NOOP\n")
      yield* says(program, "502 what?")
      yield* program.send("QUIT\n")
      yield* says(program, "221 bye")
      yield* program.succeeds
      assert.deepStrictEqual(lines.slice(1), ["STARTTLS", "NOOP", "QUIT"])
      assert.strictEqual(infos[0]?.protocol, "TLSv1.3")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("openssl s_server", needs("openssl"), () => {
  /** Listens, and says where. With `-rev` it sends each line back, reversed. */
  const serve = (options: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const program = yield* start("openssl", ["s_server", "-accept", `${host}:0`, ...options])
      while (true) {
        const port = /^ACCEPT .*:(\d+)/.exec(yield* program.line)?.[1]
        if (port !== undefined) return { port: Number(port), program }
      }
    })

  it.live.each(versions)("speaks %s: ALPN, lines in both directions, a clean end", ([version, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const mine = files.certificate("server", certificates.server)
      const { port, program } = yield* serve([...mine, flag, "-rev", "-alpn", "http/1.1"])
      const { info, reader, writer } = yield* connectTls(port, { alpnProtocols: ["h2", "http/1.1"] })
      assert.strictEqual(info.tls?.protocol, version)
      assert.strictEqual(info.tls?.alpn, "http/1.1")
      assert.strictEqual(info.tls?.authorized, true)
      assert.strictEqual(info.tls?.peerCertificate?.subject, "CN=localhost")
      yield* writer.write("stressed\ndiaper\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "desserts\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "repaid\n")
      // it takes this for the wish to end, and says goodbye in good order
      yield* writer.write("CLOSE\n")
      assert.strictEqual((yield* within("the end", reader.readLine)).length, 0)
      assert.strictEqual((yield* writer.close)._tag, "Graceful")
      yield* says(program, "CONNECTION CLOSED")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("after writeEof still answers over %s", ([, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const mine = files.certificate("server", certificates.server)
      const { port, program } = yield* serve([...mine, flag])
      const { reader, writer } = yield* connectTls(port)
      yield* writer.write("request\n")
      yield* says(program, "request")
      yield* program.send("one more\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "one more\n")
      yield* writer.writeEof
      // what openssl does with that is to end the connection, in good order or not; it must not be waited for in vain
      yield* within("the end", Effect.exit(reader.readLine))
      yield* within("the close", writer.close)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("asks for a certificate, and gets it, over %s", ([, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const mine = files.certificate("server", certificates.server)
      const asking = ["-CAfile", files.ca, "-Verify", "1", "-verify_return_error"]
      const { port, program } = yield* serve([...mine, flag, ...asking, "-rev"])
      const good = yield* connectTls(port, { identity: certificates.client.identity })
      yield* good.writer.write("stressed\n")
      assert.strictEqual(text(yield* within("a line", good.reader.readLine)), "desserts\n")
      yield* says(program, /CN ?= ?client/)
      yield* good.writer.close

      const without = yield* Effect.flip(
        Effect.flatMap(connectTls(port), ({ reader }) => within("the refusal", reader.readLine))
      )
      assert(without instanceof StreamError.TlsFailed, String(without))
      const strange = yield* Effect.flip(
        Effect.flatMap(connectTls(port, { identity: certificates.strangeClient.identity }), ({ reader }) =>
          within("the refusal", reader.readLine)
        )
      )
      assert(strange instanceof StreamError.TlsFailed, String(strange))
      assert.strictEqual(strange.kind, "Certificate")
      assert.match(strange.code!, /ALERT_UNKNOWN_CA/)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("has two certificates, and shows the one of the name that is asked for", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const { port } = yield* serve([
        ...files.certificate("alpha", certificates.alpha),
        ...["-servername", "beta.test"],
        ...files.certificate("beta", certificates.beta, "2"),
        "-rev"
      ])
      for (const serverName of ["alpha.test", "beta.test"]) {
        const { info, writer } = yield* connectTls(port, { serverName })
        assert.strictEqual(info.tls?.peerCertificate?.subject, `CN=${serverName}`)
        yield* writer.close
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  const refused = [
    ["for another name", certificates.wrongName, "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["that has expired", certificates.expired, "CERT_HAS_EXPIRED"],
    ["that is not valid yet", certificates.notYetValid, "CERT_NOT_YET_VALID"],
    ["that vouches for itself", certificates.selfSigned, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["of an unknown authority", certificates.unknown, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
    ["for what Node has no code for", odd["unhandled critical extension"]!, "unhandled critical extension"]
  ] as const
  const refusals = refused.flatMap(([what, ...one]) =>
    versions.map(([version, flag]) => [what, version, flag, ...one] as const)
  )

  it.live.each(refusals)("with a certificate %s is refused over %s", ([, , flag, certificate, code]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const { port } = yield* serve([...files.certificate("bad", certificate), flag, "-rev"])
      const error = yield* Effect.flip(connectTls(port))
      assert(error._tag === "TlsFailed", String(error))
      assert.strictEqual(error.kind, "Certificate")
      assert.strictEqual(error.code, code)
      // unless one says so, by the one option that does
      const { info, reader, writer } = yield* connectTls(port, { dangerouslyAcceptAnyCertificate: true })
      assert.strictEqual(info.tls?.authorizationError, code)
      yield* writer.write("stressed\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "desserts\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that speaks nothing newer than we want is refused", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const { port } = yield* serve([...files.certificate("server", certificates.server), "-tls1_2", "-rev"])
      const error = yield* Effect.flip(connectTls(port, { minVersion: "TLSv1.3" }))
      assert(error._tag === "TlsFailed", String(error))
      assert.strictEqual(error.kind, "Handshake")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("resumes a session over %s", ([, flag]) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const { port } = yield* serve([...files.certificate("server", certificates.server), flag, "-rev"])
      const sessions: Array<Uint8Array> = []
      const meet = (session?: Uint8Array) =>
        Effect.gen(function* () {
          const { info, reader, writer } = yield* connectTls(port, {
            session,
            onSession: (session) => sessions.push(session)
          })
          yield* writer.write("stressed\n")
          assert.strictEqual(text(yield* within("a line", reader.readLine)), "desserts\n")
          yield* writer.close
          return info.tls?.resumed
        })
      assert.strictEqual(yield* meet(), false)
      assert.strictEqual(yield* meet(sessions.at(-1)!), true)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that is killed has cut the connection: what it said is read, then the loss", () =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const { port, program } = yield* serve(files.certificate("server", certificates.server))
      const { reader } = yield* connectTls(port)
      yield* program.send("last words\n")
      assert.strictEqual(text(yield* within("a line", reader.readLine)), "last words\n")
      yield* program.kill
      const error = yield* within("the loss", Effect.flip(reader.readLine))
      assert(error._tag === "TlsFailed", String(error))
      assert.strictEqual(error.kind, "Truncated")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
