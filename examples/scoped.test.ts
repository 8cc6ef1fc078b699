/**
 * How to test programs that use byte streams: without a network, and with a real server for a whole block of tests.
 *
 * Whatever a test opens belongs to the test's scope, and is closed when the test ends, however it ends.
 *
 * Usage: npm run example:test
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { type Connection, NodeNetwork, openConnection, Server, StreamReader } from "effect-byte-streams"
import { TestClock } from "effect/testing"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (text: string) => new TextEncoder().encode(text)

// ---------------------------------------------------------------------------
// what is tested: a parser, and a handler that uses it
// ---------------------------------------------------------------------------

/** A message: the number of its bytes in decimal, a colon, the bytes. */
const readMessage = Effect.fnUntraced(function* (reader: StreamReader.StreamReader) {
  const length = text(yield* reader.readUntil(":", { limit: 10 }))
  return text(yield* reader.readExactly(Number.parseInt(length, 10)))
})

const shout = Effect.fnUntraced(function* ({ reader, writer }: Connection.Connection) {
  const message = (yield* readMessage(reader)).toUpperCase()
  yield* writer.write(`${bytes(message).length}:${message}`)
})

// ---------------------------------------------------------------------------
// without a network
// ---------------------------------------------------------------------------

describe("readMessage", () => {
  it.effect("reads one message and leaves the next", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes("5:hello2:hi")
      assert.strictEqual(yield* readMessage(reader), "hello")
      assert.strictEqual(yield* readMessage(reader), "hi")
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("tells a message that was cut short", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes("5:hel")
      const error = yield* Effect.flip(readMessage(reader))
      assert.strictEqual(error._tag, "IncompleteRead")
    })
  )
})

describe("a read that is given up", () => {
  it.effect("has taken nothing: the next one finds it all", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader } = yield* StreamReader.make()
      feedUnsafe(bytes("hel"))
      // the clock of a test stands still until it is moved
      const attempt = yield* Effect.forkChild(Effect.timeoutOption(reader.readExactly(5), "1 minute"), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(attempt))._tag, "None")

      feedUnsafe(bytes("lo"))
      assert.strictEqual(text(yield* reader.readExactly(5)), "hello")
    })
  )
})

// ---------------------------------------------------------------------------
// with a real server, shared by the tests of the block
// ---------------------------------------------------------------------------

const ServerLive = Server.layerServer({ host: "127.0.0.1", port: 0 }, shout).pipe(Layer.provideMerge(NodeNetwork.layer))

/** A connection that lasts as long as the test that asks for it. */
const connect = Effect.flatMap(Server.Server, ({ port }) => openConnection({ host: "127.0.0.1", port }))

layer(ServerLive)("the server", (it) => {
  it.effect("answers in capital letters", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* connect
      yield* writer.write("5:hello")
      assert.strictEqual(yield* readMessage(reader), "HELLO")
    })
  )

  it.effect("closes the connection after its answer", () =>
    Effect.gen(function* () {
      const { closed, reader, writer } = yield* connect
      yield* writer.write("2:hi")
      assert.strictEqual((yield* closed)._tag, "PeerEof")
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "2:HI")
    })
  )
})
