/** Transports that throw, which they must not: each fails alone, typed, with the cause, and takes nobody along. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, StreamError } from "effect-byte-streams"
import { Effect, Exit, Fiber, Scope } from "effect"
import { pattern, text } from "../support/bytes.ts"
import { fake, FakeTransport } from "../support/fakeTransport.ts"
import { start } from "../support/fibers.ts"
import { turns, within } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

type Method = "attach" | "pause" | "resume" | "lend" | "write" | "end" | "close" | "abort"

/** Throws from one of its methods, which is set up later where the connection needs it before. */
class Throwing extends FakeTransport {
  readonly error = Object.assign(new Error("thrown"), { code: "EPIPE" })
  throwFrom(method: Method): this {
    this[method] = () => {
      throw this.error
    }
    return this
  }
}

const throwing = (options?: Connection.Options) =>
  Effect.gen(function* () {
    const transport = new Throwing()
    const connection = yield* Connection.fromTransport(transport, options)
    yield* Effect.addFinalizer(() => connection.abort)
    return { transport, connection, reader: connection.reader, writer: connection.writer }
  })

const isThrown = (error: unknown, { error: thrown }: Throwing) => {
  assert(error instanceof StreamError.ConnectionLost)
  assert.strictEqual(error.kind, "BrokenPipe")
  assert.strictEqual(error.code, "EPIPE")
  assert.strictEqual(error.cause, thrown)
}

describe("a transport that throws fails alone", () => {
  it.effect("from write, at the end of a turn: the others' bytes go out", () =>
    Effect.gen(function* () {
      const before = yield* fake()
      const { connection, reader, transport, writer } = yield* throwing()
      const after = yield* fake()
      transport.throwFrom("write")
      transport.push("what arrived")
      const reading = yield* start(Effect.flip(reader.readExactly(100)))
      before.writer.writeUnsafe("before")
      writer.writeUnsafe("never sent")
      after.writer.writeUnsafe("after")
      const [draining, ending] = [yield* start(Effect.flip(writer.flush)), yield* start(connection.closed)]
      yield* turns(1)
      assert.strictEqual(before.transport.sentText, "before")
      assert.strictEqual(after.transport.sentText, "after")
      isThrown(yield* Fiber.join(draining), transport)
      isThrown(yield* Fiber.join(reading), transport)
      const closed = yield* Fiber.join(ending)
      assert(closed._tag === "Lost")
      isThrown(closed.error, transport)
      isThrown(yield* Effect.flip(writer.write("x")), transport)
      assert.strictEqual(text(yield* reader.read(100)), "what arrived")
      isThrown(yield* Effect.flip(reader.read(1)), transport)
      assert.strictEqual(transport.calls.at(-1), "abort")
      assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("from write, in the middle of a write: that one returns, and the next fails", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* throwing()
      transport.throwFrom("write")
      yield* writer.write(pattern(100_000))
      isThrown(yield* Effect.flip(writer.write("x")), transport)
      isThrown(yield* Effect.flip(writer.drain), transport)
      assert.throws(() => writer.writeUnsafe("x"), StreamError.ConnectionLost)
    })
  )

  it.effect("from write, while others wait: they all fail", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* throwing()
      transport.hold()
      // the system is given a part of it, and the rest when it has taken that
      yield* writer.write(pattern(500_000))
      const waiters = [
        yield* start(Effect.flip(writer.write("x"))),
        yield* start(Effect.flip(writer.drain)),
        yield* start(Effect.flip(writer.flush))
      ]
      transport.throwFrom("write")
      transport.drain()
      for (const waiter of waiters) isThrown(yield* Fiber.join(waiter), transport)
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("from end: writeEof fails, and no end is told", () =>
    Effect.gen(function* () {
      const { connection, reader, transport, writer } = yield* throwing()
      transport.throwFrom("end")
      yield* writer.write("all of it")
      isThrown(yield* Effect.flip(writer.writeEof), transport)
      assert.strictEqual((yield* connection.closed)._tag, "Lost")
      isThrown(yield* Effect.flip(reader.read(1)), transport)
      assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
    })
  )

  it.effect("from close: it is aborted, and close says Reset", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* throwing()
      transport.throwFrom("close")
      yield* writer.write("all of it")
      assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
      assert.strictEqual(transport.sentText, "all of it")
      assert.strictEqual(transport.calls.at(-1), "abort")
    })
  )

  it.effect("from abort: whoever aborts, closes or leaves the scope is not told", () =>
    Effect.gen(function* () {
      const aborted = yield* throwing()
      aborted.transport.throwFrom("abort")
      yield* aborted.connection.abort
      assert.deepStrictEqual(yield* aborted.writer.close, { _tag: "Aborted", unsent: 0 })
      const scope = yield* Scope.make()
      const left = yield* Scope.provide(throwing(), scope)
      left.transport.throwFrom("abort")
      yield* Scope.close(scope, Exit.fail("failed"))
      assert.strictEqual((yield* Effect.flip(left.reader.read(1)))._tag, "ClosedStream")
      const both = yield* throwing()
      both.transport.throwFrom("abort").throwFrom("write")
      yield* both.writer.write("x")
      isThrown(yield* Effect.flip(both.writer.flush), both.transport)
    })
  )

  it.effect("from attach: the connection is lost from the start", () =>
    Effect.gen(function* () {
      const transport = new Throwing().throwFrom("attach")
      const { closed, reader, writer } = yield* Connection.fromTransport(transport)
      isThrown(yield* Effect.flip(reader.read(1)), transport)
      isThrown(yield* Effect.flip(writer.write("x")), transport)
      assert.strictEqual((yield* closed)._tag, "Lost")
    })
  )

  for (const method of ["pause", "resume"] as const) {
    it.effect(`from ${method}: what arrived is read, and then its failure`, () =>
      Effect.gen(function* () {
        const { reader, transport, writer } = yield* throwing({ limit: 10 })
        transport.throwFrom(method)
        transport.push("0123456789".repeat(3))
        assert.strictEqual((yield* reader.readExactly(30)).length, 30)
        isThrown(yield* Effect.flip(reader.read(1)), transport)
        isThrown(yield* Effect.flip(writer.write("x")), transport)
      })
    )
  }

  it.effect("from lend: a read into one's own memory fails with it", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* throwing()
      transport.throwFrom("lend")
      isThrown(yield* Effect.flip(reader.readInto(new Uint8Array(10))), transport)
    })
  )

  it.live("none of it is an exception that nobody catches, also while closing", () =>
    Effect.gen(function* () {
      const uncaught: Array<unknown> = []
      const listener = (error: unknown) => void uncaught.push(error)
      process.on("uncaughtException", listener)
      for (const method of ["pause", "resume", "lend", "write", "end", "close", "abort"] as const) {
        const { connection, reader, transport, writer } = yield* throwing({ limit: 10 })
        transport.throwFrom(method)
        transport.push("0123456789".repeat(3))
        yield* Effect.ignore(writer.write("x"))
        const reading = yield* Effect.forkChild(Effect.ignore(reader.readExactly(50)))
        const closing = yield* Effect.forkChild(writer.close)
        yield* within(`close, where ${method} throws`, Fiber.join(closing))
        yield* within(`the read, where ${method} throws`, Fiber.join(reading))
        yield* within(`closed, where ${method} throws`, connection.closed)
      }
      yield* turns()
      process.off("uncaughtException", listener)
      assert.deepStrictEqual(uncaught, [])
    })
  )
})
