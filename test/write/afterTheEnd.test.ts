/** Using a writer whose stream is over: every method fails typed, at once, with an error of its own. */
import { assert, describe, it } from "@effect/vitest"
import { StreamError, StreamWriter } from "effect-byte-streams"
import { Effect, Fiber, Stream } from "effect"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { TestClock } from "effect/testing"
import { bytes, pattern } from "../support/bytes.ts"
import { fake, type Faked, reset } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { turns } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

/** Every way to write, with something and with nothing to write. */
const writes: ReadonlyArray<
  readonly [
    name: string,
    operation: string,
    run: (writer: StreamWriter.StreamWriter) => Effect.Effect<unknown, StreamError.WriteError>
  ]
> = [
  ["write(text)", "write", (writer) => writer.write("x")],
  ["write(bytes)", "write", (writer) => writer.write(bytes("x"))],
  ["write(long bytes)", "write", (writer) => writer.write(pattern(10_000))],
  ['write("")', "write", (writer) => writer.write("")],
  ["write(no bytes)", "write", (writer) => writer.write(new Uint8Array(0))],
  ["writeAll", "writeAll", (writer) => writer.writeAll(["x", bytes("y")])],
  ["writeAll([])", "writeAll", (writer) => writer.writeAll([])],
  ['writeAll([""])', "writeAll", (writer) => writer.writeAll([""])],
  ["writeUnsafe(text)", "writeUnsafe", (writer) => unsafely(() => writer.writeUnsafe("x"))],
  ["writeUnsafe(bytes)", "writeUnsafe", (writer) => unsafely(() => writer.writeUnsafe(bytes("x")))],
  ['writeUnsafe("")', "writeUnsafe", (writer) => unsafely(() => writer.writeUnsafe(""))],
  ["sink of one", "write", (writer) => Stream.run(Stream.make("x"), StreamWriter.sink(writer))],
  ["sink of several", "writeAll", (writer) => Stream.run(Stream.make("x", "y"), StreamWriter.sink(writer))]
]

const unsafely = (write: () => unknown): Effect.Effect<unknown, StreamError.WriteError> =>
  Effect.try({ try: write, catch: (error) => error as StreamError.WriteError })

/** Every way in which writing ends, and the failure that it leads to. */
const ends: ReadonlyArray<
  readonly [name: string, end: (faked: Faked) => Effect.Effect<unknown, unknown>, failure: Record<string, unknown>]
> = [
  ["close", ({ writer }) => writer.close, { _tag: "ClosedStream", reason: "Closed" }],
  ["writeEof", ({ writer }) => writer.writeEof, { _tag: "ClosedStream", reason: "Eof" }],
  [
    "writeEof and close",
    ({ writer }) => Effect.andThen(writer.writeEof, writer.close),
    { _tag: "ClosedStream", reason: "Closed" }
  ],
  ["the writer's abort", ({ writer }) => writer.abort, { _tag: "ClosedStream", reason: "Aborted" }],
  ["the connection's abort", ({ connection }) => connection.abort, { _tag: "ClosedStream", reason: "Aborted" }],
  [
    "close and abort",
    ({ connection, writer }) => Effect.andThen(writer.close, connection.abort),
    { _tag: "ClosedStream", reason: "Closed" }
  ],
  [
    "a reset",
    ({ transport }) => Effect.sync(() => transport.lose()),
    { _tag: "ConnectionLost", kind: "Reset", code: "ECONNRESET" }
  ],
  [
    "a write failure",
    ({ transport }) => Effect.sync(() => transport.failWriting()),
    { _tag: "ConnectionLost", kind: "BrokenPipe", code: "EPIPE" }
  ],
  [
    "a time-out by the system",
    ({ transport }) => Effect.sync(() => transport.lose({ kind: "TimedOut", code: "ETIMEDOUT" })),
    { _tag: "ConnectionLost", kind: "TimedOut", code: "ETIMEDOUT" }
  ],
  [
    "a close that nobody here asked for",
    ({ transport }) => Effect.sync(() => transport.vanish()),
    { _tag: "ConnectionLost", kind: "Unknown" }
  ],
  [
    "a write failure and then a reset",
    ({ transport }) =>
      Effect.sync(() => {
        transport.failWriting()
        transport.lose()
      }),
    { _tag: "ConnectionLost", kind: "BrokenPipe" }
  ],
  [
    "a close that timed out",
    ({ transport, writer }) =>
      Effect.gen(function* () {
        transport.hold()
        yield* writer.write("stuck")
        const closing = yield* start(writer.close)
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(closing)
      }).pipe(Effect.scoped),
    { _tag: "ClosedStream", reason: "Closed" }
  ]
]

describe("rank 11: after the end every way to write fails, at once", () => {
  for (const [name, end, failure] of ends) {
    it.effect(`after ${name}`, () =>
      Effect.gen(function* () {
        const faked = yield* fake()
        const { connection, transport, writer } = faked
        yield* end(faked)
        const before = transport.writes.length
        for (const [method, operation, run] of writes) {
          // twice: it stays so
          for (let i = 0; i < 2; i++) {
            const fiber = yield* start(Effect.flip(run(writer)))
            assert.isFalse(waits(fiber), `${method} waits`)
            assert.deepInclude(yield* Fiber.join(fiber), { ...failure, operation }, method)
          }
        }
        yield* turns()
        assert.strictEqual(transport.writes.length, before)
        assert.deepStrictEqual(waiting(connection), nobody)
      })
    )
  }

  it.effect("also while what was written before the end is still being sent", () =>
    Effect.gen(function* () {
      for (const end of ["close", "writeEof"] as const) {
        const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1 })
        yield* writer.write("still being sent")
        yield* start(writer[end])
        for (const [method, operation, run] of writes) {
          const fiber = yield* start(Effect.flip(run(writer)))
          assert.isFalse(waits(fiber), `${method} waits`)
          assert.deepInclude(
            yield* Fiber.join(fiber),
            { _tag: "ClosedStream", operation, reason: end === "close" ? "Closed" : "Eof" },
            method
          )
        }
        transport.drainAll()
        assert.strictEqual(transport.sentText, "still being sent")
      }
    })
  )

  for (const [name, end, failure] of ends.filter(([name]) => !name.includes("timed out"))) {
    it.effect(`writes that wait fail with ${name}, and none of them is sent`, () =>
      Effect.gen(function* () {
        const faked = yield* fake({ takes: false, highWaterMark: 1 })
        const { connection, transport, writer } = faked
        yield* writer.write("held")
        const waiters = yield* startAll([
          Effect.flip(writer.write("waits")),
          Effect.flip(writer.writeAll(["waits", "too"])),
          Effect.flip(writer.write("waits as well"))
        ])
        assert.isTrue(waiters.every(waits))
        yield* start(end(faked))
        for (const [index, fiber] of waiters.entries()) {
          assert.isFalse(waits(fiber))
          const operation = index === 1 ? "writeAll" : "write"
          // what comes first ends the wait
          const reason = name === "writeEof and close" ? { reason: "Eof" } : {}
          assert.deepInclude(yield* Fiber.join(fiber), { ...failure, ...reason, operation })
        }
        assert.strictEqual(waiting(connection).writers, 0)
        if (transport.holding) transport.drainAll()
        yield* turns()
        assert.deepStrictEqual(transport.writesText, ["held"])
      })
    )
  }
})

describe("rank 10: a loss is not hidden", () => {
  it.effect("a loop that only writes fails at its next write", () =>
    Effect.gen(function* () {
      for (const lose of ["lose", "failWriting", "vanish"] as const) {
        const { transport, writer } = yield* fake()
        yield* writer.write("before")
        transport[lose]()
        let written = 0
        const error = yield* Effect.flip(
          Effect.gen(function* () {
            while (true) {
              yield* writer.write("x")
              written++
            }
          })
        )
        assert.instanceOf(error, StreamError.ConnectionLost)
        assert.strictEqual(written, 0)
      }
    })
  )

  it.effect("a loop that only drains fails too", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      transport.failWriting()
      assert.instanceOf(yield* Effect.flip(writer.drain), StreamError.ConnectionLost)
    })
  )

  it.effect("flush and writeEof fail when bytes were lost", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("never sent")
      const [flush, writeEof] = yield* startAll([Effect.flip(writer.flush), Effect.flip(writer.writeEof)])
      transport.lose()
      assert.deepInclude(yield* Fiber.join(flush!), { _tag: "ConnectionLost", operation: "flush" })
      assert.deepInclude(yield* Fiber.join(writeEof!), { _tag: "ConnectionLost", operation: "writeEof" })
      // and for whoever comes later
      assert.deepInclude(yield* Effect.flip(writer.flush), { _tag: "ConnectionLost", operation: "flush" })
      assert.deepInclude(yield* Effect.flip(writer.writeEof), { _tag: "ConnectionLost", operation: "writeEof" })
    })
  )

  it.effect("flush and writeEof fail when this side's abort dropped bytes", () =>
    Effect.gen(function* () {
      const { connection, writer } = yield* fake({ takes: false })
      yield* writer.write("never sent")
      const [flush, writeEof] = yield* startAll([Effect.flip(writer.flush), Effect.flip(writer.writeEof)])
      yield* connection.abort
      assert.deepInclude(yield* Fiber.join(flush!), { _tag: "ClosedStream", operation: "flush", reason: "Aborted" })
      assert.deepInclude(yield* Fiber.join(writeEof!), { operation: "writeEof", reason: "Aborted" })
    })
  )

  it.effect("writeEof fails after a loss, even with nothing to send: the end never went out", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      transport.failWriting()
      assert.instanceOf(yield* Effect.flip(writer.writeEof), StreamError.ConnectionLost)
      assert.strictEqual(transport.count("end"), 0)
    })
  )

  it.effect("writeEof stays done when the connection breaks afterwards", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeEof
      transport.lose()
      yield* writer.writeEof
    })
  )
})

describe("rank 36: every failure is a value of its own", () => {
  it.effect("each names its own operation, and none is shared", () =>
    Effect.gen(function* () {
      const cause = new Error("the system's own")
      const { reader, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("unsent")
      transport.lose({ ...reset, cause })
      const failing: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
        ["write", writer.write("x")],
        ["writeAll", writer.writeAll(["x"])],
        ["writeUnsafe", unsafely(() => writer.writeUnsafe("x"))],
        ["drain", writer.drain],
        ["flush", writer.flush],
        ["writeEof", writer.writeEof],
        ["read", reader.read(1)],
        ["readExactly", reader.readExactly(1)],
        ["readLine", reader.readLine],
        ["readAll", reader.readAll({ maxBytes: 10 })]
      ]
      const errors = new Set<unknown>()
      for (const [operation, effect] of failing) {
        for (let i = 0; i < 2; i++) {
          const error = yield* Effect.flip(effect)
          assert.instanceOf(error, StreamError.ConnectionLost)
          assert.strictEqual(error.operation, operation)
          assert.strictEqual(error.cause, cause)
          assert.match(error.message, new RegExp(`^${operation}: .*Reset, ECONNRESET`))
          errors.add(error)
        }
      }
      assert.strictEqual(errors.size, 2 * failing.length)
    })
  )

  it.effect("those who waited together for the same loss get one each", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake({ takes: false, highWaterMark: 1 })
      yield* writer.write("held")
      const waiters = yield* startAll<unknown, unknown, never>([
        Effect.flip(writer.write("x")),
        Effect.flip(writer.write("y")),
        Effect.flip(writer.drain),
        Effect.flip(writer.drain),
        Effect.flip(writer.flush),
        Effect.flip(reader.read(1))
      ])
      transport.lose()
      const errors = yield* Fiber.joinAll(waiters)
      assert.deepStrictEqual(
        errors.map((error) => (error as StreamError.ConnectionLost).operation),
        ["write", "write", "drain", "drain", "flush", "read"]
      )
      assert.strictEqual(new Set(errors).size, 6)
    })
  )

  it.effect("so are those of this side's own end", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      yield* writer.close
      const errors = []
      for (const effect of [writer.write("x"), writer.write("x"), writer.drain, writer.flush]) {
        const error = yield* Effect.flip(effect)
        assert.instanceOf(error, StreamError.ClosedStream)
        errors.push(error)
      }
      assert.deepStrictEqual(
        errors.map((error) => error.operation),
        ["write", "write", "drain", "flush"]
      )
      assert.strictEqual(new Set(errors).size, 4)
    })
  )
})

it.effect("nobody is asked for chunks that nobody could send", () =>
  Effect.gen(function* () {
    const { left } = yield* TestNetwork.pair()
    yield* left.writer.close
    let asked = 0
    const chunks = {
      *[Symbol.iterator]() {
        asked++
        yield "x"
      }
    }
    assert.throws(() => left.writer.writeAllUnsafe(chunks), StreamError.ClosedStream)
    const error = yield* Effect.flip(left.writer.writeAll(chunks))
    assert.strictEqual(error._tag, "ClosedStream")
    assert.strictEqual(asked, 0)
  }).pipe(Effect.scoped)
)
