/** A connection whose directions break apart: what becomes of the one says nothing of the other. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { text } from "../support/bytes.ts"
import { fake, fakeOfScope } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { turns } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

const lost = { _tag: "ConnectionLost", kind: "Reset", code: "ECONNRESET" } as const

describe("reading has become impossible", () => {
  it.effect("what arrived is read, then reads fail, every time, and writing goes on to the end", () =>
    Effect.gen(function* () {
      const { connection, reader, transport, writer } = yield* fake()
      transport.push("one\ntw")
      transport.failReading()
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      assert.deepInclude(yield* Effect.flip(reader.readLine), { ...lost, operation: "readLine" })
      assert.strictEqual(text(yield* reader.read(10)), "tw")
      const reads: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        reader.read(1),
        reader.readOption(1),
        reader.readExactly(1),
        reader.pull
      ]
      for (const read of reads) assert.deepInclude(yield* Effect.flip(read), lost)
      assert.isFalse(yield* reader.atEof)
      yield* writer.write("still ")
      yield* writer.flush
      yield* writer.write("here")
      assert.isFalse(yield* writer.isClosing)
      yield* writer.writeEof
      assert.strictEqual(transport.sentText, "still here")
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("a read that waits is told at once, closed is Lost, and those who wait to write are left alone", () =>
    Effect.gen(function* () {
      const { connection, reader, transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      yield* writer.write("more than ten bytes")
      const reading = yield* start(Effect.flip(reader.readLine))
      const ending = yield* start(connection.closed)
      const writers = yield* startAll([writer.write("x"), writer.drain, writer.flush])
      transport.failReading()
      assert.deepInclude(yield* Fiber.join(reading), lost)
      const closed = yield* Fiber.join(ending)
      assert(closed._tag === "Lost")
      assert.deepInclude(closed.error, { ...lost, operation: "closed" })
      assert.isTrue(writers.every(waits))
      transport.drainAll()
      yield* turns(1)
      transport.drainAll()
      yield* Fiber.joinAll(writers)
      assert.strictEqual(transport.sentText, "more than ten bytesx")
    })
  )

  it.effect("what the woken reader writes is sent", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      const answering = yield* start(Effect.catchTag(reader.readLine, "ConnectionLost", () => writer.write("pardon?")))
      transport.failReading()
      yield* Fiber.join(answering)
      assert.strictEqual(transport.sentText, "pardon?")
    })
  )

  it.effect("while this side closes: everything written is sent all the same", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("last words")
      const closing = yield* start(writer.close)
      transport.failReading()
      yield* turns()
      assert.isTrue(waits(closing))
      transport.drainAll()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assert.strictEqual(transport.sentText, "last words")
    })
  )

  it.effect("and then writing as well, in either order: each is told its own, and close says Reset", () =>
    Effect.gen(function* () {
      const orders = [
        ["failReading", "failWriting"],
        ["failWriting", "failReading"],
        ["failReading", "lose"]
      ] as const
      for (const order of orders) {
        const { connection, reader, transport, writer } = yield* fake()
        for (const half of order) transport[half]()
        assert.deepInclude(yield* Effect.flip(reader.read(1)), lost)
        assert.deepInclude(yield* Effect.flip(writer.write("x")), { _tag: "ConnectionLost" })
        assert.strictEqual((yield* connection.closed)._tag, "Lost")
        assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
      }
    })
  )

  it.effect("the end of the scope sends what is written", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { transport, writer } = yield* Scope.provide(fakeOfScope(), scope)
      transport.failReading()
      yield* writer.write("last words")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(transport.sentText, "last words")
      assert.strictEqual(transport.calls.at(-1), "close")
    })
  )

  it.effect("bounds on waiting go on for the other half", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake({
        takes: false,
        timeouts: { write: "1 second", read: "100 millis" }
      })
      const reading = yield* start(Effect.flip(reader.read(1)))
      transport.failReading()
      assert.deepInclude(yield* Fiber.join(reading), lost)
      yield* writer.write("x")
      const flushing = yield* start(Effect.flip(writer.flush))
      yield* TestClock.adjust("900 millis")
      assert.isTrue(waits(flushing))
      yield* TestClock.adjust("200 millis")
      yield* turns()
      assert.deepInclude(yield* Fiber.join(flushing), { _tag: "StreamTimeout", kind: "Write" })
      assert.deepInclude(yield* Effect.flip(reader.read(1)), lost)
    })
  )
})
