/** SMTP in examples/protocols, against real programs: `exim4`, `swaks`, and npm's `nodemailer` and `smtp-server`. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openConnection, startServer, StreamError } from "effect-byte-streams"
import { Effect, Exit, Fiber, type Layer, Redacted, type Scope, Stream } from "effect"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { createTransport } from "nodemailer"
import { SMTPServer, type SMTPServerOptions } from "smtp-server"
import { connect, type ServerOptions, SmtpError } from "../../examples/protocols/smtp.ts"
import { authority, certificates } from "../support/certificates.ts"
import { exim } from "../support/exim.ts"
import { start } from "../support/fibers.ts"
import { keeping, rest, talk } from "../support/mail.ts"
import { needs } from "../support/peers.ts"
import { run } from "../support/program.ts"
import { eventually, within } from "../support/wait.ts"

const live = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Layer.Success<typeof NodeNetwork.layer>>) =>
  Effect.provide(Effect.scoped(effect), NodeNetwork.layer)

const host = "127.0.0.1"
const secret = "s ecret"
const authenticate = (user: string, password: Redacted.Redacted<string>) =>
  Effect.succeed(user === "user" && Redacted.value(password) === secret)

const server = (options?: Partial<ServerOptions>) =>
  keeping({ host, port: 0, authenticate, startTls: { identity: certificates.server.identity }, ...options })

const secured = (port: number) => ({
  name: "client.test",
  host,
  port,
  startTls: { ca: authority.cert },
  auth: { user: "user", password: Redacted.make(secret) }
})
const plainly = (port: number) => ({ name: "client.test", host, port })

const envelope = { from: "ann@client.test", to: ["bob@else.test"] } as const

/** Eight million bytes of all values but CR and LF, in lines of which many begin with dots. */
const eightMegabytes = () => {
  const lines = Array.from({ length: 80_000 }, (_, i) => {
    const line = Buffer.alloc(100, 0x80 + (i % 128))
    line.fill(".", 0, i % 4)
    line.write("\r\n", 98)
    return line
  })
  return Buffer.concat([Buffer.from("Subject: large\r\n\r\n"), ...lines])
}
const inPieces = (bytes: Uint8Array, size: number) =>
  Stream.fromIterable(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
  )

describe("the client, and exim, which passes on to the server", needs("exim4"), () => {
  it.live("messages go over TLS, for those recipients who are not refused, with their dots and their line breaks", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const mta = yield* exim({ smartHost: port })
        const client = yield* connect(secured(mta.port))
        const to = ["bob@else.test", "nobody@else.test", "later@else.test", "eve@else.test"] as const
        const sent = yield* client.send({ from: "ann@client.test", to }, "Subject: x\n\n.\n..\r\n\n.end")
        assert.deepStrictEqual(
          sent.refused.map(({ code, enhanced, recipient }) => [recipient, code, enhanced]),
          [
            ["nobody@else.test", 550, undefined],
            ["later@else.test", 451, "4.2.2"]
          ]
        )
        const [mail] = yield* eventually(mta.log, () => kept.length > 0 && kept)
        assert.deepStrictEqual([...mail!.to].sort(), ["bob@else.test", "eve@else.test"])
        assert.strictEqual(mail!.from, "ann@client.test")
        assert.match(mail!.message.toString(), /\r\nSubject: x\r\n\r\n\.\r\n\.\.\r\n\r\n\.end\r\n$/)
        // logged in, over TLS, and passed on over TLS
        yield* eventually(mta.log, () => /A=PLAIN/.test(mta.log()) && /=> bob@else.test .* X=TLS/.test(mta.log()))
      })
    )
  )

  it.live("eight megabytes arrive byte for byte at the end", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const mta = yield* exim({ smartHost: port })
        const client = yield* connect(secured(mta.port))
        const message = eightMegabytes()
        yield* client.send(envelope, inPieces(message, 100_003))
        const [mail] = yield* eventually(mta.log, () => kept.length > 0 && kept)
        const { message: received } = mail!
        assert.isTrue(received.subarray(received.indexOf("Subject: large")).equals(message))
      })
    )
  )

  it.live("LOGIN is spoken where there is no PLAIN, and commands go one by one where there is no pipelining", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const mta = yield* exim({ smartHost: port, mechanisms: ["LOGIN"], without: "PIPELINING" })
        const client = yield* connect(secured(mta.port))
        const refused = yield* Effect.flip(client.send({ ...envelope, to: ["nobody@else.test"] }, "x"))
        assert.deepStrictEqual([refused._tag, refused.message], ["SmtpError", "no such user"])
        yield* client.send(envelope, "Subject: y\r\n\r\n")
        yield* eventually(mta.log, () => kept.length > 0)
        assert.match(mta.log(), /A=LOGIN/)
      })
    )
  )

  it.live("a wrong password, a certificate of a stranger and a server without STARTTLS are refused", () =>
    live(
      Effect.gen(function* () {
        const mta = yield* exim({ smartHost: 9 })
        const options = secured(mta.port)
        const wrong = yield* Effect.flip(connect({ ...options, auth: { user: "user", password: Redacted.make("x") } }))
        assert.deepInclude({ ...wrong }, { _tag: "SmtpError", code: 535 })
        const strange = yield* Effect.flip(connect({ ...options, startTls: {} }))
        assert.deepInclude({ ...strange }, { _tag: "TlsFailed", kind: "Certificate" })
        const bare = yield* exim({ smartHost: 9, without: "STARTTLS" })
        const stripped = yield* Effect.flip(connect(secured(bare.port)))
        assert.strictEqual(stripped._tag === "SmtpError" && stripped.code >= 500, true)
      })
    )
  )
})

describe("swaks, and the server", needs("swaks", "perl"), () => {
  const swaks = (port: number, ...args: ReadonlyArray<string>) =>
    run("swaks", ["--server", `${host}:${port}`, "--helo", "swaks.test", "--from", "a@swaks.test", ...args])

  it.live("delivers over TLS with a password, and in pipelines", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const auth = ["--tls", "--auth", "PLAIN", "--auth-user", "user", "--auth-password", secret]
        const said = yield* swaks(port, "--to", "b@x.test,c@x.test", ...auth, "--data", "Subject: s\\n\\n.dot\\n")
        assert.match(said, /TLS started/)
        yield* swaks(port, "--to", "b@x.test", "--pipeline", "--data", "Subject: t\\n\\n")
        assert.deepStrictEqual(
          kept.map(({ from, message, to, user }) => [from, to, user, message.toString().trimEnd()]),
          [
            ["a@swaks.test", ["b@x.test", "c@x.test"], "user", "Subject: s\r\n\r\n.dot"],
            ["a@swaks.test", ["b@x.test"], "", "Subject: t"]
          ]
        )
      })
    )
  )

  it.live("is told what was wrong with a password and with a recipient, in one line", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const wrong = ["--tls", "--auth", "PLAIN", "--auth-user", "user", "--auth-password", "x", "--to", "b@x.test"]
        for (const args of [wrong, ["--to", "nobody@x.test"]]) {
          const exit = yield* Effect.exit(swaks(port, ...args))
          assert.isTrue(Exit.isFailure(exit))
          assert.match(String(exit), args === wrong ? /535 5\.7\.8/ : /550 5\.1\.1 nobody {2}250 is here/)
        }
        assert.deepStrictEqual(kept, [])
      })
    )
  )
})

describe("nodemailer and smtp-server", () => {
  const options = (port: number) => ({ host, port, tls: { ca: authority.cert, servername: "localhost" } })

  it.live("nodemailer sends eight megabytes to the server, with a password, byte for byte", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const transport = createTransport({
          ...options(port),
          requireTLS: true,
          auth: { user: "user", pass: secret }
        })
        const raw = eightMegabytes()
        const info = yield* Effect.promise(() =>
          transport.sendMail({ envelope: { ...envelope, to: [...envelope.to] }, raw })
        )
        transport.close()
        assert.match(info.response, /^250/)
        assert.deepInclude({ ...kept[0]!, message: 0 }, { from: envelope.from, user: "user" })
        assert.isTrue(kept[0]!.message.equals(raw))
      })
    )
  )

  const smtpServer = (options: SMTPServerOptions) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const received: Array<Buffer> = []
        const server = new SMTPServer({
          cert: certificates.server.cert,
          key: certificates.server.key,
          onData: (stream, _, done) => {
            const pieces: Array<Buffer> = []
            stream.on("data", (piece: Buffer) => pieces.push(piece))
            stream.on("end", () => done(null, `message ${received.push(Buffer.concat(pieces))}`))
          },
          ...options
        })
        server.on("error", () => {})
        server.listen(0, host)
        await once(server.server, "listening")
        return { port: (server.server.address() as AddressInfo).port, received, server }
      }),
      ({ server }) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
    )

  it.live("the client sends eight megabytes to smtp-server, with a password, as PLAIN or LOGIN, byte for byte", () =>
    live(
      Effect.gen(function* () {
        const message = eightMegabytes()
        for (const method of ["PLAIN", "LOGIN"]) {
          const { port, received } = yield* smtpServer({
            authMethods: [method],
            onAuth: ({ password, username }, _, done) =>
              username === "user" && password === secret ? done(null, { user: "user" }) : done(new Error("no"))
          })
          const client = yield* connect(secured(port))
          const sent = yield* client.send(envelope, inPieces(message, 65_536))
          assert.deepStrictEqual([sent.message, sent.refused], ["message 1", []])
          assert.isTrue(received[0]!.equals(message))
        }
      })
    )
  )
})

describe("the client, and the server", () => {
  it.live("eight megabytes go from a stream to the other side, and others send on the same connection meanwhile", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const client = yield* connect(secured(port))
        const message = eightMegabytes()
        yield* Effect.all(
          [
            client.send(envelope, inPieces(message, 30_011)),
            ...Array.from({ length: 20 }, (_, i) => client.send(envelope, `${i}`))
          ],
          { concurrency: "unbounded" }
        )
        assert.isTrue(kept[0]!.message.equals(message))
        assert.deepStrictEqual(
          kept.slice(1).map(({ message }) => message.toString()),
          Array.from({ length: 20 }, (_, i) => `${i}\r\n`)
        )
      })
    )
  )

  it.live("plain bytes behind STARTTLS are refused by the server, and nothing of them is done", () =>
    live(
      Effect.gen(function* () {
        const { defects, kept, port } = yield* server()
        const connection = yield* openConnection({ host, port })
        yield* talk(connection, "", "EHLO x")
        yield* connection.writer.write("STARTTLS\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nx\r\n.\r\n")
        assert.match(yield* Effect.orElseSucceed(rest(connection.reader), () => ""), /^(220 .*\r\n)?$/)
        assert.deepStrictEqual([kept, defects], [[], []])
      })
    )
  )

  it.live("what was said before TLS is forgotten with it, and a second STARTTLS is refused", () =>
    live(
      Effect.gen(function* () {
        const { port } = yield* server()
        const plain = yield* openConnection({ host, port })
        yield* talk(plain, "", "EHLO x", "MAIL FROM:<evil@x>", "RCPT TO:<b@x>", "STARTTLS")
        const connection = yield* plain.startTls({ side: "client", ca: authority.cert })
        const answers = yield* talk(connection, "DATA", "RCPT TO:<c@x>", "STARTTLS", "EHLO x")
        assert.deepStrictEqual(
          answers.map((answer) => answer.slice(0, 3)),
          ["503", "503", "503", "250"]
        )
      })
    )
  )

  it.live("plain bytes behind the answer to STARTTLS are refused by the client", () =>
    live(
      Effect.gen(function* () {
        const { port } = yield* startServer({ host, port: 0 }, ({ reader, writer }) =>
          Effect.gen(function* () {
            yield* writer.write("220 x\r\n")
            yield* reader.readLineText
            yield* writer.write("250-x\r\n250 STARTTLS\r\n")
            yield* reader.readLineText
            yield* writer.write("220 go on\r\n250-x\r\n250 AUTH PLAIN\r\n")
            yield* reader.readLineText
          })
        )
        const error = yield* Effect.flip(connect(secured(port)))
        assert.deepInclude({ ...error }, { _tag: "TlsFailed", kind: "InjectedPlaintext" })
      })
    )
  )

  it.live("no password is told or taken without TLS", () =>
    live(
      Effect.gen(function* () {
        const { port } = yield* server()
        const { auth } = secured(port)
        assert.deepInclude({ ...(yield* Effect.flip(connect({ ...plainly(port), auth }))) }, { code: 538 })
        const connection = yield* openConnection({ host, port })
        const word = Buffer.from(`\0user\0${secret}`).toString("base64")
        const [, , refusal] = yield* talk(connection, "", "EHLO x", `AUTH PLAIN ${word}`)
        assert.match(refusal!, /^503/)
        yield* connection.writer.write("EHLO x\r\nQUIT\r\n")
        assert.notMatch(yield* rest(connection.reader), /AUTH/)
      })
    )
  )

  it.live("over TLS from the beginning as well, with a password as its own line, which may be cancelled", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server({ tls: { identity: certificates.server.identity } })
        const { auth } = secured(port)
        const tls = { ca: authority.cert }
        const client = yield* connect({ ...plainly(port), tls, auth })
        yield* client.send(envelope, "x")
        assert.deepInclude({ ...kept[0]!, message: 0 }, { user: "user" })
        const connection = yield* openConnection({ host, port, tls })
        const answers = yield* talk(
          connection,
          "",
          "EHLO x",
          "STARTTLS",
          "AUTH PLAIN",
          "*",
          "AUTH LOGIN",
          "AUTH PLAIN ="
        )
        assert.deepStrictEqual(
          answers.map((answer) => answer.slice(0, 3)),
          ["220", "250", "503", "334", "535", "504", "535"]
        )
      })
    )
  )

  it.live(
    "a message whose stream fails is not delivered, and neither is one that is interrupted; those behind it know",
    () =>
      live(
        Effect.gen(function* () {
          const { kept, port } = yield* server()
          const failing = yield* connect(plainly(port))
          const message = Stream.concat(Stream.make(Buffer.from("one\r\n")), Stream.fail("broken" as const))
          const behind = yield* start(Effect.yieldNow.pipe(Effect.andThen(Effect.flip(failing.send(envelope, "two")))))
          assert.strictEqual(yield* Effect.flip(failing.send(envelope, message)), "broken")
          assert.deepInclude(
            { ...(yield* within("the one behind", Fiber.join(behind))) },
            { _tag: "RequestLost", sent: "No" }
          )

          const interrupted = yield* connect(plainly(port))
          const never = Stream.concat(Stream.make(Buffer.from("three\r\n")), Stream.never)
          const sending = yield* start(interrupted.send(envelope, never))
          const waiting = yield* start(Effect.flip(interrupted.send(envelope, "four")))
          yield* Fiber.interrupt(sending)
          const error = yield* within("the one that waits", Fiber.join(waiting))
          assert.isTrue(error instanceof StreamError.RequestLost && error.sent === "No")
          assert.deepStrictEqual(kept, [])
        })
      )
  )

  it.live("a message that is too large is refused before it is sent where its size is told, and else as it comes", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server({ maxSize: 1000 })
        const connection = yield* openConnection({ host, port })
        const told = [
          "MAIL FROM:<a@x> BODY=8BITMIME SIZE=1001",
          "MAIL FROM:<a@x> SIZE=1000 BODY=8BITMIME",
          "RCPT TO:<b@x>"
        ]
        const answers = yield* talk(connection, "", "EHLO x", ...told, "DATA")
        assert.deepStrictEqual(
          answers.map((answer) => answer.slice(0, 3)),
          ["220", "250", "552", "250", "250", "354"]
        )
        yield* connection.writer.write("0123456789\r\n".repeat(100))
        assert.match(yield* rest(connection.reader), /^521 /)
        assert.deepStrictEqual(kept, [])
      })
    )
  )

  it.live("addresses that would be commands, or are none, are refused before anything is sent", () =>
    live(
      Effect.gen(function* () {
        const { kept, port } = yield* server()
        const client = yield* connect(plainly(port))
        for (const address of ["a@x>\r\nRSET", "a b@x", "<a@x>", "a\0@x", "ü@x", ""]) {
          const error = yield* Effect.flip(client.send({ ...envelope, to: ["b@x", address] }, "x"))
          assert.strictEqual(error._tag, "SchemaError")
        }
        yield* client.send({ from: "", to: ["b@x"] }, "x")
        assert.deepStrictEqual(
          kept.map(({ from }) => from),
          [""]
        )
        const refused = yield* Effect.flip(client.send({ ...envelope, to: ["nobody@x"] }, "x"))
        assert.isTrue(refused instanceof SmtpError && refused.code === 550)
        // both sides are in step
        yield* client.send(envelope, "y")
        assert.strictEqual(kept.length, 2)
      })
    )
  )
})
