/**
 * What CPython's own suite covers of `StreamWriter` (`test_asyncio/test_streams.py`, 3.13), and of the watermarks below
 * it (`test_transports.py`). Each test is named after the case it corresponds to; where this library differs on purpose,
 * the name says so.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { NodeNetwork, openConnection, type StreamError } from "effect-byte-streams"
import { text } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { within } from "../support/wait.ts"

const host = "127.0.0.1"

/** A client of a server that answers a request with a line and a message, and ends. */
const requested = Effect.gen(function* () {
  const server = yield* serveRaw()
  const connection = yield* openConnection({ host, port: server.port })
  const peer = yield* server.accept
  yield* connection.writer.write("GET / HTTP/1.0\r\n\r\n")
  yield* peer.awaitText("GET / HTTP/1.0\r\n\r\n")
  yield* peer.send("HTTP/1.0 200 OK\r\nTest message")
  yield* peer.finish
  return { ...connection, peer }
})

describe("drain", () => {
  it.effect("CPython multiple_drain: many wait, and all of them go on", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      writer.writeUnsafe("more than the mark")
      const drains = yield* startAll(Array.from({ length: 10 }, () => writer.drain))
      assert.isTrue(drains.every(waits))
      transport.drainAll()
      assert.isFalse(drains.some(waits))
      for (const drain of drains) yield* Fiber.join(drain)
    })
  )

  it.live("CPython drain_raises: a loop of writes and drains learns that the server closed at once", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const { writer } = yield* openConnection({ host, port: server.port })
      yield* (yield* server.accept).vanish
      const loop = Effect.forever(
        Effect.gen(function* () {
          yield* writer.write("data ".repeat(20))
          yield* writer.drain
          yield* Effect.sleep(1)
        })
      )
      const error: StreamError.WriteError = yield* within("the loop fails", Effect.flip(loop))
      assert.strictEqual(error._tag, "ConnectionLost")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("closing", () => {
  it.live("CPython wait_closed_on_close: everything was read", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* requested
      assert.strictEqual(text(yield* reader.readLine), "HTTP/1.0 200 OK\r\n")
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "Test message")
      assert.isFalse(yield* writer.isClosing)
      const closing = yield* start(writer.close)
      assert.isTrue(yield* writer.isClosing)
      assert.strictEqual((yield* within("the close", Fiber.join(closing)))._tag, "Graceful")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython wait_closed_on_close_with_unread_data", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* requested
      assert.strictEqual(text(yield* reader.readLine), "HTTP/1.0 200 OK\r\n")
      assert.isAbove((yield* reader.peek(1)).length, 0)
      assert.strictEqual((yield* within("the close", writer.close))._tag, "Graceful")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "CPython eof_feed_when_closing_writer, where the reader says that this side closed it, and nothing is left",
    () =>
      Effect.gen(function* () {
        const { reader, writer } = yield* requested
        yield* reader.readLine
        yield* within("the close", writer.close)
        assert.strictEqual(yield* reader.buffered, 0)
        const error = yield* Effect.flip(reader.read(100))
        assert.deepInclude(error, { _tag: "ClosedStream", reason: "Closed" })
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython async_writer_api: write, drain, close and its end, one after the other", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const { reader, writer } = yield* openConnection({ host, port: server.port })
      const peer = yield* server.accept
      yield* writer.write("GET / HTTP/1.0\r\n\r\n")
      yield* writer.drain
      yield* peer.awaitText("GET / HTTP/1.0\r\n\r\n")
      yield* peer.send("HTTP/1.0 200 OK\r\n")
      assert.strictEqual(text(yield* reader.readLine), "HTTP/1.0 200 OK\r\n")
      assert.strictEqual((yield* within("the close", writer.close))._tag, "Graceful")
      yield* peer.awaitEnd
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython async_writer_api_exception_after_close, where it is the write that fails, and says who closed", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* requested
      yield* reader.readAll({ maxBytes: 100 })
      yield* within("the close", writer.close)
      for (const operation of [writer.write("data"), writer.drain]) {
        assert.deepInclude(yield* Effect.flip(operation), { _tag: "ClosedStream", reason: "Closed" })
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("watermarks", () => {
  const marks = (options: { readonly highWaterMark?: number; readonly lowWaterMark?: number }) =>
    Effect.map(fake(options), ({ writer }) => [writer.highWaterMark, writer.lowWaterMark])

  it.effect("CPython flowcontrol_mixin_set_write_limits", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* marks({ highWaterMark: 1024, lowWaterMark: 128 }), [1024, 128])
      assert.deepStrictEqual(yield* marks({ highWaterMark: 256 }), [256, 64])
      assert.deepStrictEqual(yield* marks({ lowWaterMark: 256 }), [1024, 256])
      assert.deepStrictEqual(yield* marks({}), [65_536, 16_384])
    })
  )

  it.effect("CPython flowcontrol_mixin_set_write_limits: paused above the high mark, resumed at the low one", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1024, lowWaterMark: 128 })
      assert.isTrue(writer.writeUnsafe(new Uint8Array(1024)))
      yield* writer.drain
      assert.isFalse(writer.writeUnsafe(new Uint8Array(1)))
      const drain = yield* start(writer.drain)
      assert.isTrue(waits(drain))
      transport.drainAll()
      yield* Fiber.join(drain)
    })
  )
})
