/** Section 9 of the asyncio semantics, row by row, without TLS: `write_eof`, `close`, `abort`, `wait_closed`. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openConnection, openUnixConnection, startServer } from "effect-byte-streams"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { bytes, pattern, text } from "../support/bytes.ts"
import { fake, fakeOfScope } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { collectGarbage } from "../support/garbage.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

describe("section 9: write_eof, close, abort, wait_closed", () => {
  it.effect("row 9.1: writeEof flushes, then ends the output; reading goes on", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("last words")
      const eof = yield* start(writer.writeEof)
      yield* turns()
      assert.isTrue(waits(eof))
      assert.notInclude(transport.calls, "end")
      transport.drain()
      yield* Fiber.join(eof)
      assert.deepStrictEqual(transport.calls, ["attach", "write", "end"])
      transport.push("reply\n")
      assert.strictEqual(text(yield* reader.readLine), "reply\n")
    })
  )

  it.effect("row 9.1: writeEof is idempotent", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeEof
      yield* writer.writeEof
      yield* Effect.all([writer.writeEof, writer.writeEof], { concurrency: "unbounded" })
      assert.strictEqual(transport.count("end"), 1)
    })
  )

  it.effect("row 9.1: writeEof is a no-op after close", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.close
      const calls = transport.calls.slice()
      yield* writer.writeEof
      assert.deepStrictEqual(transport.calls, calls)
      assert.deepInclude(yield* Effect.flip(writer.write("x")), { _tag: "ClosedStream", reason: "Closed" })
    })
  )

  it.effect("row 9.1: writeEof is a no-op while close is under way", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      const closing = yield* start(writer.close)
      const eof = yield* start(writer.writeEof)
      assert.isFalse(waits(eof))
      assert.deepInclude(yield* Effect.flip(writer.write("x")), { _tag: "ClosedStream", reason: "Closed" })
      transport.drain()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assert.strictEqual(transport.count("end"), 0)
    })
  )

  it.effect("row 9.1: isClosing stays false after writeEof", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      yield* writer.writeEof
      assert.isFalse(yield* writer.isClosing)
    })
  )

  it.live("row 9.1: on a real socket: the peer reads to the end, then its answer is read", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port: server.port })
      const peer = yield* server.accept
      yield* writer.write("question")
      yield* writer.writeEof
      yield* peer.awaitEnd
      assert.strictEqual(peer.text, "question")
      yield* peer.send("answer")
      yield* peer.finish
      assert.strictEqual(text(yield* within("the answer", reader.readAll({ maxBytes: 100 }))), "answer")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("row 9.3: close stops reading at once: a waiting read fails, what is unread is dropped", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake({ takes: false })
      transport.push("unread")
      const read = yield* start(Effect.flip(reader.readExactly(100)))
      yield* writer.write("output")
      const closing = yield* start(writer.close)
      assert.deepInclude(yield* Fiber.join(read), { _tag: "ClosedStream", operation: "readExactly", reason: "Closed" })
      transport.push("late")
      assert.strictEqual(yield* reader.buffered, 0)
      assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ClosedStream", reason: "Closed" })
      assert.isTrue(waits(closing))
    })
  )

  it.effect("row 9.3: close flushes the output in the background", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("first")
      const closing = yield* start(writer.close)
      // who waits for it is gone, and still
      yield* Fiber.interrupt(closing)
      assert.notInclude(transport.calls, "close")
      transport.drain()
      assert.strictEqual(transport.sentText, "first")
      assert.include(transport.calls, "close")
    })
  )

  it.effect("row 9.3: close is idempotent", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assert.strictEqual(transport.count("close"), 1)
    })
  )

  it.effect("row 9.4: close after a reset is a value, where wait_closed raises", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      transport.lose()
      assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
    })
  )

  it.effect("row 9.4: close while the peer does not read is bounded, where wait_closed hangs", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, closeTimeout: "3 seconds" })
      yield* writer.write(pattern(1000))
      const closing = yield* start(writer.close)
      yield* TestClock.adjust("2999 millis")
      assert.isTrue(waits(closing))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "TimedOut", unsent: 1000 })
      assert.strictEqual(transport.calls.at(-1), "abort")
    })
  )

  it.live("row 9.4: on a real socket: a peer that never reads, and one that has reset", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ paused: true })
      const stalled = yield* openConnection({ host: "127.0.0.1", port: server.port, closeTimeout: 200 })
      yield* server.accept
      const size = 32 * 1024 * 1024
      assert.isFalse(stalled.writer.writeUnsafe(pattern(size)))
      const outcome = yield* within("the close of a stalled connection", stalled.writer.close)
      assert.strictEqual(outcome._tag, "TimedOut")
      if (outcome._tag === "TimedOut") assert.isTrue(outcome.unsent > 0 && outcome.unsent < size)

      const { connection: doomed, peer } = yield* Effect.gen(function* () {
        const connection = yield* openConnection({ host: "127.0.0.1", port: server.port })
        return { connection, peer: yield* server.accept }
      })
      yield* peer.reset
      yield* within("the loss", doomed.closed)
      assert.deepStrictEqual(yield* doomed.writer.close, { _tag: "Reset" })
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("row 9.6: after abort reads fail, where CPython's reader sees a clean end", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake()
      transport.push("some")
      const read = yield* start(Effect.flip(reader.readExactly(100)))
      yield* connection.abort
      assert.deepInclude(yield* Fiber.join(read), { _tag: "ClosedStream", operation: "readExactly", reason: "Aborted" })
      for (let i = 0; i < 2; i++) {
        assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ClosedStream", reason: "Aborted" })
        assert.deepInclude(yield* Effect.flip(reader.readAll({ maxBytes: 9 })), { reason: "Aborted" })
      }
      assert.isFalse(yield* reader.atEof)
    })
  )

  it.effect("row 9.6: abort drops the buffer", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("held")
      yield* turns()
      yield* writer.write("pending")
      yield* connection.abort
      yield* turns()
      assert.deepStrictEqual(transport.calls, ["attach", "write", "abort"])
      assert.deepStrictEqual(transport.writesText, ["held"])
    })
  )

  it.live("row 9.7: info keeps working after close and after a loss, as get_extra_info does", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      for (const end of ["close", "abort", "reset"] as const) {
        const connection = yield* openConnection({ host: "127.0.0.1", port: server.port })
        const peer = yield* server.accept
        const info = () => `${String(connection.info.local)} to ${String(connection.info.remote)}`
        const expected = `127.0.0.1:${peer.socket.remotePort} to 127.0.0.1:${server.port}`
        assert.strictEqual(info(), expected)
        if (end === "close") yield* connection.writer.close
        else if (end === "abort") yield* connection.abort
        else yield* peer.reset
        yield* within("the end", connection.closed)
        yield* peer.awaitClosed
        yield* turns()
        assert.strictEqual(info(), expected, `after ${end}`)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 9.7: info of a Unix socket keeps working after close", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* serveRaw({ at: path })
      const connection = yield* openUnixConnection(path)
      yield* connection.writer.close
      assert.deepInclude(connection.info.remote, { _tag: "UnixPathAddress", path })
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 9.9: the scope decides how long a connection lives, never the garbage collector", () =>
    Effect.gen(function* () {
      const handlerEnded = yield* Deferred.make<void>()
      const keep = yield* Deferred.make<void>()
      let collectable: WeakRef<object> | undefined
      // the handler keeps its reader and lets go of everything else
      const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader }) =>
        Effect.gen(function* () {
          yield* reader.readLine
          yield* Deferred.await(keep)
          yield* reader.readLine
          yield* Deferred.succeed(handlerEnded, undefined)
        })
      )
      const peer = yield* connectRaw(server.port)
      // so does a client
      const raw = yield* serveRaw()
      const reader = yield* Effect.gen(function* () {
        const connection = yield* openConnection({ host: "127.0.0.1", port: raw.port })
        return connection.reader
      })
      const remote = yield* raw.accept
      yield* peer.send("one\n")
      for (let i = 0; i < 5; i++) {
        collectable = new WeakRef({ garbage: i })
        yield* eventuallyEffect(
          "the collector has been here",
          Effect.sync(() => {
            collectGarbage()
            return collectable!.deref() === undefined
          })
        )
        yield* turns()
      }
      assert.isFalse(peer.ended || peer.closed, "the server's connection lives")
      assert.isFalse(remote.ended || remote.closed, "the client's connection lives")
      yield* Deferred.succeed(keep, undefined)
      yield* peer.send("two\n")
      yield* within("the handler goes on", Deferred.await(handlerEnded))
      yield* remote.send("three\n")
      assert.strictEqual(text(yield* within("the client reads", reader.readLine)), "three\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("row 9.9: the end of the scope ends a connection that is still in use", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { reader, transport, writer } = yield* Scope.provide(fakeOfScope(), scope)
      const read = yield* start(Effect.flip(reader.readLine))
      yield* writer.write("bye")
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* Fiber.join(read), { _tag: "ClosedStream", reason: "Closed" })
      assert.deepStrictEqual(transport.sent, bytes("bye"))
      assert.strictEqual(transport.calls.at(-1), "close")
    })
  )

  it.effect("row 9.10: isClosing is true from close on, while it is still flushing", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      assert.isFalse(yield* writer.isClosing)
      const closing = yield* start(writer.close)
      assert.isTrue(yield* writer.isClosing)
      transport.drain()
      yield* Fiber.join(closing)
      assert.isTrue(yield* writer.isClosing)
    })
  )

  it.effect("row 9.10: isClosing is true after abort and once the connection broke", () =>
    Effect.gen(function* () {
      const aborted = yield* fake()
      yield* aborted.connection.abort
      assert.isTrue(yield* aborted.writer.isClosing)
      const lost = yield* fake()
      lost.transport.lose()
      assert.isTrue(yield* lost.writer.isClosing)
      const halfLost = yield* fake()
      halfLost.transport.failWriting()
      assert.isTrue(yield* halfLost.writer.isClosing)
    })
  )

  it.effect("row 9.10: isClosing stays false when the peer has only ended its output", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      transport.pushEnd()
      assert.isFalse(yield* writer.isClosing)
      yield* writer.write("still heard")
      yield* writer.flush
      assert.strictEqual(transport.sentText, "still heard")
      assert.isFalse(yield* writer.isClosing)
    })
  )
})
