/**
 * `socat` at the other end, as a client of this library's servers and as an echo server for its connections, over TCP,
 * Unix sockets and abstract names.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, openConnection, openUnixConnection, startUnixServer } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { existsSync } from "node:fs"
import { bothKinds } from "../support/kinds.ts"
import { pattern, text } from "../support/bytes.ts"
import { needs } from "../support/peers.ts"
import { run, start } from "../support/program.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect, within } from "../support/wait.ts"

/** Sends back what comes, until that ends. */
const echo = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    for (let data = yield* reader.read(65_536); data.length > 0; data = yield* reader.read(65_536)) {
      yield* writer.write(data)
    }
  })

/** Both directions at once; answers what came back. */
const throughEcho = ({ reader, writer }: Connection.Connection, data: Uint8Array) =>
  Effect.gen(function* () {
    const sending = yield* Effect.forkChild(
      Effect.gen(function* () {
        for (let at = 0; at < data.length; at += 5000) yield* writer.write(data.subarray(at, at + 5000))
        yield* writer.writeEof
      })
    )
    const received = yield* within("the echo", reader.readAll({ maxBytes: "unbounded" }))
    yield* within("the sending", Fiber.join(sending))
    return received
  })

const anAbstractName = () => `effect-byte-streams-${process.pid}-${Math.random()}`

describe("socat as a client", needs("socat"), () => {
  for (const { kind, serve } of bothKinds) {
    // -t: how long it waits for the rest once one direction has ended
    const socat = (at: unknown) =>
      start("socat", ["-t", "10", "-", kind === "TCP" ? `TCP:127.0.0.1:${at}` : `UNIX-CONNECT:${at}`])

    it.live(`${kind}: a megabyte there and back, its half-close, and our end`, () =>
      Effect.gen(function* () {
        const { at, server } = yield* serve(echo)
        const program = yield* socat(at)
        const sent = pattern(1_000_000)
        yield* program.send(sent)
        yield* program.endInput
        yield* program.succeeds
        assert.strictEqual(program.output.compare(sent), 0)
        yield* eventuallyEffect(
          "nobody is served any more",
          Effect.map(server.connections, (count) => count === 0)
        )
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`${kind}: a conversation, line by line`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(({ reader, writer }) =>
          Effect.gen(function* () {
            yield* writer.write("who is there?\n")
            const name = text(yield* reader.readLine).trimEnd()
            yield* writer.write(`hello ${name}\n`)
          })
        )
        const program = yield* socat(at)
        assert.strictEqual(yield* program.line, "who is there?")
        yield* program.send("socat\n")
        assert.strictEqual(yield* program.line, "hello socat")
        yield* program.endInput
        yield* program.succeeds
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`${kind}: killed in the middle of a line`, () =>
      Effect.gen(function* () {
        const ends: Array<string> = []
        const { at } = yield* serve(({ closed, reader, writer }) =>
          Effect.gen(function* () {
            yield* reader.readExactly(4)
            yield* writer.write("go on\n")
            ends.push((yield* closed)._tag)
          })
        )
        const program = yield* socat(at)
        yield* program.send("half a line")
        assert.strictEqual(yield* program.line, "go on")
        yield* program.kill
        yield* eventually("the handler is told", () => ends.length === 1)
        assert.deepStrictEqual(ends, ["PeerEof"])
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("an abstract name", () =>
    Effect.gen(function* () {
      const name = anAbstractName()
      yield* startUnixServer(`\0${name}`, ({ writer }) => writer.write("found you\n"))
      assert.strictEqual(yield* run("socat", ["-u", `ABSTRACT-CONNECT:${name}`, "-"]), "found you\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("socat as an echo server", needs("socat"), () => {
  it.live("TCP: a megabyte there and back, our half-close, and its end", () =>
    Effect.gen(function* () {
      const program = yield* start("socat", ["-d", "-d", "-t", "10", "TCP-LISTEN:0,bind=127.0.0.1,fork", "EXEC:cat"])
      const [, port] = yield* program.says(/listening on .*:(\d+)/)
      const sent = pattern(1_000_000)
      // more than once, because it serves each client anew
      for (let i = 0; i < 3; i++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const connection = yield* openConnection({ host: "127.0.0.1", port: Number(port) })
            const received = yield* throughEcho(connection, sent)
            assert.strictEqual(Buffer.compare(received, sent), 0)
            assert.deepStrictEqual(yield* connection.closed, { _tag: "PeerEof" })
          })
        )
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("Unix: a megabyte there and back, our half-close, and its end", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* start("socat", ["-t", "10", `UNIX-LISTEN:${path},fork`, "EXEC:cat"])
      yield* eventually("socat listens", () => existsSync(path))
      const connection = yield* within("it accepts", Effect.eventually(openUnixConnection(path)))
      const sent = pattern(1_000_000)
      assert.strictEqual(Buffer.compare(yield* throughEcho(connection, sent), sent), 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an abstract name", () =>
    Effect.gen(function* () {
      const name = anAbstractName()
      const program = yield* start("socat", ["-d", "-d", "-t", "10", `ABSTRACT-LISTEN:${name}`, "EXEC:cat"])
      yield* program.says(/listening on/)
      const connection = yield* openUnixConnection(`\0${name}`)
      assert.strictEqual(text(yield* throughEcho(connection, new TextEncoder().encode("echo"))), "echo")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("TCP: it is killed while we talk: what it had sent is read, and then the end", () =>
    Effect.gen(function* () {
      const program = yield* start("socat", ["-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1", "EXEC:cat"])
      const [, port] = yield* program.says(/listening on .*:(\d+)/)
      const { closed, reader, writer } = yield* openConnection({ host: "127.0.0.1", port: Number(port) })
      yield* writer.write("one\ntwo\n")
      assert.strictEqual(text(yield* within("the echo", reader.readLine)), "one\n")
      yield* program.kill
      yield* within("the end", closed)
      assert.strictEqual(text(yield* reader.readLine), "two\n")
      yield* within(
        "a write learns of it",
        Effect.flip(Effect.forever(Effect.andThen(writer.write("?"), Effect.sleep(1))))
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
