/**
 * CPython at the other end, over TLS: asyncio's streams as server and as client, from the start and by `start_tls`, and
 * the ssl module, which can go back to plain text.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Connection, NodeNetwork, openConnection, startServer, StreamError, type Tls } from "effect-byte-streams"
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assertBytes } from "../support/assertBytes.ts"
import { authority, type Certificate, certificates } from "../support/certificates.ts"
import { pattern, text } from "../support/bytes.ts"
import { needs } from "../support/peers.ts"
import { start } from "../support/program.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { connectTls, host, serveTls } from "../support/tlsPair.ts"
import { within } from "../support/wait.ts"

const script = (name: string) => fileURLToPath(new URL(`programs/${name}.py`, import.meta.url))

/** Writes certificates where Python can read them. */
const onDisk = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const write = (name: string, content: string) => {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }
  return {
    ca: write("ca.pem", authority.cert),
    certificate: (name: string, { cert, key }: Certificate) => [write(`${name}.pem`, cert), write(`${name}.key`, key)]
  }
})

const line = ({ reader }: Connection.Connection) => within("a line", Effect.map(reader.readLine, text))

describe("asyncio.start_server with ssl", needs("python3"), () => {
  const serve = (certificate: Certificate, ...options: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const program = yield* start("python3", [
        script("asyncio_tls_server"),
        ...files.certificate("server", certificate),
        files.ca,
        ...options
      ])
      return { secure: Number(yield* program.line), plain: Number(yield* program.line), program }
    })

  /** A connection that has given its command. */
  const ask = (port: number, command: string, options?: Tls.ClientOptions) =>
    Effect.tap(connectTls(port, options), ({ writer }) => writer.write(`${command}\n`))

  it.live("echoes lines, and ends in good order when we do", () =>
    Effect.gen(function* () {
      const { program, secure } = yield* serve(certificates.server)
      const connection = yield* ask(secure, "echo")
      for (const one of ["one\n", "two\n"]) {
        yield* connection.writer.write(one)
        assert.strictEqual(yield* line(connection), one)
      }
      assert.strictEqual((yield* connection.writer.close)._tag, "Graceful")
      assert.strictEqual(yield* program.line, "closed")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("agrees on a version and a protocol, and sees our certificate where it requires one", () =>
    Effect.gen(function* () {
      const { secure } = yield* serve(certificates.server, "require")
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const connection = yield* ask(secure, "info", {
          maxVersion: version,
          alpnProtocols: ["other", "private"],
          identity: certificates.client.identity
        })
        assert.strictEqual(yield* line(connection), `${version} private client\n`)
        assert.strictEqual(yield* line(connection), "")
        assert.strictEqual(connection.info.tls?.protocol, version)
        assert.strictEqual(connection.info.tls?.alpn, "private")
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("refuses a client without the certificate that it requires", () =>
    Effect.gen(function* () {
      const { secure } = yield* serve(certificates.server, "require")
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const error = yield* Effect.flip(
          Effect.flatMap(connectTls(secure, { maxVersion }), ({ reader }) => within("the refusal", reader.read(1)))
        )
        assert(error instanceof StreamError.TlsFailed, String(error))
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("takes megabytes, and gives them", () =>
    Effect.gen(function* () {
      const { secure } = yield* serve(certificates.server)
      const all = pattern(3_000_000)
      const taking = yield* ask(secure, `take ${all.length}`)
      yield* taking.writer.write(all)
      const digest = createHash("sha256").update(all).digest("hex")
      assert.strictEqual(yield* line(taking), `${all.length} ${digest}\n`)

      const giving = yield* ask(secure, "give 2560000")
      const expected = Buffer.concat(
        Array.from({ length: 10_000 }, () => Uint8Array.from({ length: 256 }, (_, i) => i))
      )
      const received = yield* within("all of it", giving.reader.readAll({ maxBytes: "unbounded" }))
      assertBytes(received, expected)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("reads our writeEof as the end", () =>
    Effect.gen(function* () {
      const { program, secure } = yield* serve(certificates.server)
      const connection = yield* ask(secure, "read")
      yield* connection.writer.write("all of it")
      yield* connection.writer.writeEof
      assert.strictEqual(yield* program.line, "read all of it")
      assert.strictEqual(yield* line(connection), "")
      assert.strictEqual(yield* program.line, "closed")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that aborts has cut the connection: what it said is read, then the loss", () =>
    Effect.gen(function* () {
      const { secure } = yield* serve(certificates.server)
      const connection = yield* ask(secure, "cut")
      assert.strictEqual(yield* line(connection), "the last line\n")
      const error = yield* within("the loss", Effect.flip(connection.reader.readLine))
      assert(error._tag === "TlsFailed", String(error))
      assert.strictEqual(error.kind, "Truncated")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is refused with a certificate that is not for it", () =>
    Effect.gen(function* () {
      const { program, secure } = yield* serve(certificates.wrongName)
      const error = yield* Effect.flip(connectTls(secure))
      assert(error._tag === "TlsFailed")
      assert.strictEqual(error.kind, "Certificate")
      const connection = yield* ask(secure, "echo", { serverName: "elsewhere.test" })
      yield* connection.writer.write("hello\n")
      assert.strictEqual(yield* line(connection), "hello\n")
      yield* connection.writer.close
      yield* program.kill
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("upgrades by StreamWriter.start_tls when we do", () =>
    Effect.gen(function* () {
      const { plain, program } = yield* serve(certificates.server)
      const old = yield* openConnection({ host, port: plain })
      assert.strictEqual(yield* line(old), "220 ready\r\n")
      yield* old.writer.write("HELLO\r\n")
      assert.strictEqual(yield* line(old), "250 HELLO\r\n")
      yield* old.writer.write("STARTTLS\r\n")
      assert.strictEqual(yield* line(old), "220 go ahead\r\n")
      const connection = yield* within(
        "the upgrade",
        old.startTls({ side: "client", ca: authority.cert, serverName: "localhost" })
      )
      assert.strictEqual(connection.info.tls?.authorized, true)
      yield* connection.writer.write("echo\nin private\n")
      assert.strictEqual(yield* line(connection), "in private\n")
      yield* connection.writer.close
      assert.strictEqual(yield* program.line, "closed")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("asyncio.open_connection with ssl", needs("python3"), () => {
  const connect = (command: string, port: number, mine?: Certificate) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const identity = mine === undefined ? [] : files.certificate("client", mine)
      return yield* start("python3", [script("asyncio_tls_client"), command, String(port), files.ca, ...identity])
    })

  const echo = (connection: Connection.Connection) =>
    Effect.gen(function* () {
      for (
        let one = yield* connection.reader.read(65_536);
        one.length > 0;
        one = yield* connection.reader.read(65_536)
      ) {
        yield* connection.writer.write(one)
      }
    })
  const tls: Tls.ServerOptions = {
    identity: certificates.server.identity,
    ca: authority.cert,
    alpnProtocols: ["private"]
  }

  it.live("exchanges lines, and closes in good order", () =>
    Effect.gen(function* () {
      const ends: Array<unknown> = []
      const server = yield* startServer({ host, port: 0, tls }, (connection) =>
        Effect.onExit(echo(connection), (exit) => Effect.sync(() => void ends.push(exit._tag)))
      )
      const program = yield* connect("lines", server.port)
      assert.strictEqual(yield* program.line, "TLSv1.3 private")
      assert.strictEqual(yield* program.line, "one")
      assert.strictEqual(yield* program.line, "two")
      // its close_notify was the end here, and was answered: it has waited for that
      assert.strictEqual(yield* program.line, "closed")
      yield* program.succeeds
      assert.deepStrictEqual(ends, ["Success"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("exchanges megabytes, in both directions at once", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, tls }, echo)
      const program = yield* connect("digest", server.port)
      assert.strictEqual(yield* program.line, "True")
      yield* program.succeeds
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("shows its certificate where we require one, and is refused without", () =>
    Effect.gen(function* () {
      const server = yield* startServer(
        { host, port: 0, tls: { ...tls, clientCertificate: "require" }, onHandshakeError: () => Effect.void },
        (connection) =>
          Effect.andThen(
            connection.writer.write(
              `${connection.info.tls?.protocol} ${connection.info.tls?.peerCertificate?.subject}\n`
            ),
            echo(connection)
          )
      )
      const known = yield* connect("lines", server.port, certificates.client)
      assert.strictEqual(yield* known.line, "TLSv1.3 private")
      assert.strictEqual(yield* known.line, "TLSv1.3 CN=client")
      const nobody = yield* connect("until_end", server.port)
      assert.match(yield* nobody.line, /^SSLError .*CERTIFICATE_REQUIRED/)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("reads our end as a clean one, and our abort as none", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const clean = yield* connect("until_end", server.port)
      const first = yield* server.accept
      yield* first.writer.write("all of it")
      assert.strictEqual((yield* first.writer.close)._tag, "Graceful")
      assert.strictEqual(yield* clean.line, "read all of it")
      assert.strictEqual(yield* clean.line, "closed")
      const cut = yield* connect("until_end", server.port)
      const second = yield* server.accept
      yield* second.writer.write("some of it")
      yield* second.writer.flush
      yield* second.abort
      assert.match(yield* cut.line, /^ConnectionResetError/)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("refuses a certificate that is not for us, and the server learns of it", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity: certificates.wrongName.identity })
      const program = yield* connect("lines", server.port)
      assert.match(yield* program.line, /^SSLCertVerificationError .*Hostname mismatch/)
      // it does not say why: asyncio closes before the alert is sent
      assert.strictEqual((yield* server.failure).kind, "Handshake")
      assert.strictEqual(server.connections.length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("upgrades by StreamWriter.start_tls when we do", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, (old) =>
        Effect.gen(function* () {
          yield* old.writer.write("220 ready\r\n")
          assert.strictEqual(text(yield* old.reader.readLine), "STARTTLS\r\n")
          yield* old.writer.write("220 go ahead\r\n")
          yield* echo(yield* old.startTls({ side: "server", ...tls }))
        })
      )
      const program = yield* connect("start_tls", server.port)
      for (const expected of ["220 ready", "220 go ahead", "TLSv1.3", "a secret", "closed"]) {
        assert.strictEqual(yield* program.line, expected)
      }
      yield* program.succeeds
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("the ssl module", needs("python3"), () => {
  it.live.each(["we", "they"])("goes from plain text to TLS and back: %s end TLS first", (who) =>
    Effect.gen(function* () {
      const files = yield* onDisk
      const server = yield* startServer({ host, port: 0 }, (old) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* line(old), "STARTTLS\n")
          yield* old.writer.write("go ahead\n")
          const secure = yield* old.startTls({ side: "server", identity: certificates.server.identity })
          assert.strictEqual(yield* line(secure), "a secret\n")
          yield* secure.writer.write("kept\n")
          // `we` is the program
          if (who === "we") assert.strictEqual(yield* line(secure), "")
          const plain = yield* secure.stopTls
          assert.strictEqual(yield* line(plain), "in plain text\n")
          yield* plain.writer.write("so be it\n")
          assert.strictEqual(yield* line(plain), "")
        })
      )
      const program = yield* start("python3", [script("unwrap"), String(server.port), files.ca, who])
      for (const expected of ["go ahead", "kept", "so be it", "b''"]) {
        assert.strictEqual(yield* program.line, expected)
      }
      yield* program.succeeds
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
