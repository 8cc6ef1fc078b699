/** How a session ends: what `close` and `abort` answer, what they do to those who read, write and wait, and `closed`. */
import { assert, describe, it } from "@effect/vitest"
import { Observer, type StreamError, type StreamReader } from "effect-byte-streams"
import { Clock, type Duration, Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import { bytes, pattern, text } from "../support/bytes.ts"
import { fake, type Faked, fakeOfScope, type FakeTransport } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { ActsBefore, YieldBefore } from "../support/yieldingSchedulers.ts"
import { turns, within } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

describe("the outcome of close", () => {
  it.effect("Graceful: everything was handed over, and the output ended behind it", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write("last words")
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assert.deepStrictEqual(transport.calls.slice(-2), ["write", "close"])
      assert.strictEqual(transport.sentText, "last words")
    })
  )

  it.effect("Graceful: with nothing ever written", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assert.strictEqual(transport.calls.at(-1), "close")
    })
  )

  it.effect("Graceful: once the system has taken what it held, piece by piece", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("held ")
      yield* turns(1)
      yield* writer.write("pending")
      const closing = yield* start(writer.close)
      transport.drain()
      yield* turns()
      assert.isTrue(waits(closing))
      assert.notInclude(transport.calls, "close")
      transport.drain()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assert.strictEqual(transport.sentText, "held pending")
    })
  )

  it.effect("Graceful: after writeEof, and while writeEof is under way", () =>
    Effect.gen(function* () {
      const done = yield* fake()
      yield* done.writer.write("x")
      yield* done.writer.writeEof
      assert.deepStrictEqual(yield* done.writer.close, { _tag: "Graceful" })
      const underWay = yield* fake({ takes: false })
      yield* underWay.writer.write("x")
      const eof = yield* start(underWay.writer.writeEof)
      const closing = yield* start(underWay.writer.close)
      underWay.transport.drain()
      yield* Fiber.join(eof)
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assert.strictEqual(underWay.transport.sentText, "x")
    })
  )

  it.effect("Graceful: after the peer has ended its output, and after both have", () =>
    Effect.gen(function* () {
      const peer = yield* fake()
      peer.transport.pushEnd()
      yield* peer.writer.write("reply")
      assert.deepStrictEqual(yield* peer.writer.close, { _tag: "Graceful" })
      assert.strictEqual(peer.transport.sentText, "reply")
      const both = yield* fake()
      both.transport.pushEnd()
      yield* both.writer.writeEof
      both.transport.vanish()
      assert.deepStrictEqual(yield* both.writer.close, { _tag: "Graceful" })
    })
  )

  it.effect("Reset: the connection had been lost before", () =>
    Effect.gen(function* () {
      for (const lose of ["lose", "failWriting", "vanish"] as const) {
        const { transport, writer } = yield* fake()
        transport[lose]()
        assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" }, lose)
      }
    })
  )

  it.effect("Reset: the connection is lost while closing", () =>
    Effect.gen(function* () {
      for (const lose of ["lose", "failWriting", "vanish"] as const) {
        const { connection, transport, writer } = yield* fake({ takes: false })
        yield* writer.write("never arrives")
        const closing = yield* start(writer.close)
        transport[lose]()
        assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Reset" }, lose)
        assert.deepStrictEqual(waiting(connection), nobody)
      }
    })
  )

  it.effect("Reset: when only writing has failed, close also drops what could still be read", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      transport.failWriting()
      assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
      assert.strictEqual(transport.calls.at(-1), "abort")
    })
  )

  it.effect("Aborted: abort came first, with the number of bytes dropped", () =>
    Effect.gen(function* () {
      const nothing = yield* fake()
      yield* nothing.writer.abort
      assert.deepStrictEqual(yield* nothing.writer.close, { _tag: "Aborted", unsent: 0 })
      const both = yield* fake({ takes: false })
      yield* both.writer.write(pattern(1000))
      yield* turns(1)
      yield* both.writer.write(pattern(234))
      yield* both.connection.abort
      assert.deepStrictEqual(yield* both.writer.close, { _tag: "Aborted", unsent: 1234 })
    })
  )

  it.effect("Aborted: abort while closing ends the close", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("12345")
      const closings = yield* startAll([writer.close, writer.close])
      yield* writer.abort
      for (const closing of closings) {
        assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Aborted", unsent: 5 })
      }
      assert.strictEqual(transport.calls.at(-1), "abort")
      assert.notInclude(transport.calls, "close")
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("TimedOut: the system did not take everything in time, with the number of bytes dropped", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, closeTimeout: "30 seconds" })
      yield* writer.write("held")
      yield* turns(1)
      yield* writer.write("pending")
      const closing = yield* start(writer.close)
      yield* TestClock.adjust("29 seconds")
      assert.isTrue(waits(closing))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "TimedOut", unsent: 11 })
      assert.strictEqual(transport.calls.at(-1), "abort")
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("TimedOut: what was taken in the meantime does not count as unsent", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("held")
      yield* turns(1)
      yield* writer.write("pending")
      const closing = yield* start(writer.close)
      transport.drain()
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "TimedOut", unsent: 7 })
      assert.strictEqual(transport.sentText, "held")
    })
  )

  it.effect("the default of closeTimeout is 10 seconds, counted from the first close", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      const first = yield* start(writer.close)
      yield* TestClock.adjust("6 seconds")
      const second = yield* start(writer.close)
      yield* TestClock.adjust("3999 millis")
      assert.isTrue(waits(first) && waits(second))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(first), { _tag: "TimedOut", unsent: 1 })
      assert.deepStrictEqual(yield* Fiber.join(second), { _tag: "TimedOut", unsent: 1 })
    })
  )

  it.effect("rank 7: close by many fibers and many times has one outcome, and is done once", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      const closings = yield* startAll(Array.from({ length: 20 }, () => writer.close))
      assert.isTrue(closings.every(waits))
      transport.drain()
      const outcomes = yield* Fiber.joinAll(closings)
      for (let i = 0; i < 3; i++) outcomes.push(yield* writer.close)
      // what comes afterwards changes nothing any more
      yield* connection.abort
      yield* TestClock.adjust("1 minute")
      outcomes.push(yield* writer.close)
      assert.isTrue(outcomes.every((outcome) => outcome === outcomes[0]))
      assert.deepStrictEqual(outcomes[0], { _tag: "Graceful" })
      assert.strictEqual(transport.count("close"), 1)
      assert.strictEqual(transport.count("abort"), 0)
    })
  )
})

/** Runs effects by the test's clock, and knows how many sleep by it. */
const countingSleepers = Effect.map(Clock.Clock, (clock) => {
  const counter = { sleeping: 0 }
  const counting: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration: Duration.Duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => void counter.sleeping++),
        () => clock.sleep(duration),
        () => Effect.sync(() => void counter.sleeping--)
      )
  }
  const run = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Clock.Clock, counting)
  return { counter, run }
})

describe("close", () => {
  it.effect("trio L15: interrupted while it waits, goes on closing", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      const closing = yield* start(writer.close)
      yield* Fiber.interrupt(closing)
      assert.deepStrictEqual(waiting(connection), nobody)
      assert.isTrue(yield* writer.isClosing)
      transport.drain()
      assert.strictEqual(transport.calls.at(-1), "close")
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
    })
  )

  it.effect("trio L15: interrupted while it waits, still ends in time", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      const closing = yield* start(writer.close)
      yield* Fiber.interrupt(closing)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(transport.calls.at(-1), "abort")
      assert.deepStrictEqual(yield* connection.closed, { _tag: "Local", outcome: { _tag: "TimedOut", unsent: 1 } })
    })
  )

  it.effect("trio L15: interrupted anywhere, it has either not begun or still ends in time", () =>
    Effect.gen(function* () {
      for (let step = 1; step <= 20; step++) {
        const { transport, writer } = yield* fake({ takes: false })
        yield* writer.write("x")
        yield* turns(1)
        const closing = yield* start(Effect.provideService(writer.close, Scheduler.Scheduler, new YieldBefore(step)))
        closing.interruptUnsafe()
        yield* Fiber.await(closing)
        const begun = yield* writer.isClosing
        yield* turns()
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(transport.calls.at(-1), begun ? "abort" : "write", `interrupted before step ${step}`)
      }
    })
  )

  it.effect("has one timer, however many close, and none once it is over", () =>
    Effect.gen(function* () {
      const { counter, run } = yield* countingSleepers
      for (const end of ["drained", "lost", "aborted", "timed out", "interrupted and drained"] as const) {
        const { connection, transport, writer } = yield* run(fake({ takes: false }))
        yield* writer.write("x")
        const closings = yield* startAll([run(writer.close), run(writer.close), run(writer.close)])
        yield* turns()
        assert.strictEqual(counter.sleeping, 1)
        if (end === "interrupted and drained") yield* Fiber.interruptAll(closings)
        if (end === "lost") transport.lose()
        else if (end === "aborted") yield* connection.abort
        else if (end === "timed out") yield* TestClock.adjust("10 seconds")
        else transport.drain()
        yield* turns()
        assert.strictEqual(counter.sleeping, 0, end)
        for (const closing of closings) assert.isFalse(waits(closing))
      }
      const { writer } = yield* run(fake())
      yield* run(writer.close)
      yield* turns()
      assert.strictEqual(counter.sleeping, 0, "nothing to wait for")
    })
  )

  it.effect("has one timer also when two fibers begin at once and others run in between", () =>
    Effect.gen(function* () {
      const { counter, run } = yield* countingSleepers
      for (let step = 1; step <= 20; step++) {
        const { transport, writer } = yield* run(fake({ takes: false }))
        yield* writer.write("x")
        const closings = yield* startAll([
          run(Effect.provideService(writer.close, Scheduler.Scheduler, new YieldBefore(step))),
          run(writer.close)
        ])
        yield* turns()
        assert.strictEqual(counter.sleeping, 1, `with others running before step ${step}`)
        transport.drain()
        yield* turns()
        assert.strictEqual(counter.sleeping, 0, `with others running before step ${step}`)
        for (const closing of closings) assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      }
    })
  )

  it.effect("trio L17: wakes a read that waits, whatever it waits for, with ClosedStream", () =>
    Effect.gen(function* () {
      const reads = [
        ["read", (reader) => reader.read(10)],
        ["readInto", (reader) => reader.readInto(new Uint8Array(10))],
        ["readOption", (reader) => reader.readOption(10)],
        ["readAll", (reader) => reader.readAll({ maxBytes: 100 })],
        ["readExactly", (reader) => reader.readExactly(10)],
        ["readExactlyOption", (reader) => reader.readExactlyOption(10)],
        ["readUntil", (reader) => reader.readUntil(";")],
        ["readLine", (reader) => reader.readLine],
        ["readLineOption", (reader) => reader.readLineOption],
        ["readLineWith", (reader) => reader.readLineWith({ onOverrun: "discard" })],
        ["peek", (reader) => reader.peek(10)],
        ["skip", (reader) => reader.skip(10)],
        ["discardUntil", (reader) => reader.discardUntil(";")],
        ["pull", (reader) => reader.pull]
      ] as ReadonlyArray<readonly [string, (reader: StreamReader.StreamReader) => Effect.Effect<unknown, unknown>]>
      for (const [operation, read] of reads) {
        for (const end of ["close", "abort"] as const) {
          const { connection, reader, transport, writer } = yield* fake({ takes: false })
          const empty = ["read", "readInto", "readOption", "pull"].includes(operation)
          if (!empty) transport.push("abc")
          yield* writer.write("x")
          const fiber = yield* start(Effect.flip(read(reader)))
          assert.strictEqual(waiting(connection).reading, operation)
          yield* start(writer[end])
          assert.isFalse(waits(fiber), `${operation} still waits after ${end}`)
          assert.deepInclude(yield* Fiber.join(fiber), {
            _tag: "ClosedStream",
            operation,
            reason: end === "close" ? "Closed" : "Aborted"
          })
          assert.isUndefined(waiting(connection).reading)
        }
      }
    })
  )

  it.effect("trio L22: wakes those who wait to write or drain; those who flush wait for what close sends", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 1 })
      yield* writer.write("held")
      const waiters = yield* startAll([Effect.flip(writer.write("x")), Effect.flip(writer.drain)])
      const flush = yield* start(writer.flush)
      const closing = yield* start(writer.close)
      for (const [index, operation] of ["write", "drain"].entries()) {
        const fiber = waiters[index]!
        assert.isFalse(waits(fiber))
        assert.deepInclude(yield* Fiber.join(fiber), { _tag: "ClosedStream", operation, reason: "Closed" })
      }
      assert.isTrue(waits(flush))
      transport.drain()
      yield* Fiber.join(flush)
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assert.strictEqual(transport.sentText, "held")
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("fails a flush whose bytes it had to drop in the end", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake({ takes: false })
      yield* writer.write("held")
      const [flush, eof] = yield* startAll([Effect.flip(writer.flush), Effect.flip(writer.writeEof)])
      yield* start(writer.close)
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* Fiber.join(flush!), { _tag: "ClosedStream", operation: "flush", reason: "Closed" })
      assert.deepInclude(yield* Fiber.join(eof!), { _tag: "ClosedStream", operation: "writeEof", reason: "Closed" })
    })
  )

  it.effect("lets input come in again, to be dropped, lest two ends that only write wait for each other", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake({ takes: false, limit: 10 })
      transport.push(pattern(100))
      assert.strictEqual(transport.calls.at(-1), "pause")
      yield* writer.write("x")
      const closing = yield* start(writer.close)
      assert.include(transport.calls.slice(transport.calls.indexOf("pause")), "resume")
      for (let i = 0; i < 10; i++) transport.push(pattern(1000))
      assert.strictEqual(transport.count("pause"), 1)
      assert.strictEqual(yield* reader.buffered, 0)
      transport.drain()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
    })
  )

  it.effect("called by the handler of what arrived, sends the answer and closes at once", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      const handler = yield* start(
        Effect.gen(function* () {
          const line = yield* reader.readLine
          yield* writer.write(line)
          return yield* writer.close
        })
      )
      transport.push("bye\nand more that nobody reads")
      assert.deepStrictEqual(yield* Fiber.join(handler), { _tag: "Graceful" })
      assert.deepStrictEqual(transport.calls.slice(-2), ["write", "close"])
      assert.strictEqual(transport.sentText, "bye\n")
    })
  )

  it.effect("with closeTimeout 0 does not wait at all for a system that holds", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, closeTimeout: 0 })
      yield* writer.write("x")
      const closing = yield* start(writer.close)
      yield* TestClock.adjust(0)
      yield* turns()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "TimedOut", unsent: 1 })
      const taken = yield* fake({ closeTimeout: 0 })
      yield* taken.writer.write("x")
      assert.deepStrictEqual(yield* taken.writer.close, { _tag: "Graceful" })
      assert.strictEqual(transport.calls.at(-1), "abort")
    })
  )
})

describe("abort", () => {
  it.effect("never waits, and is done once", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      for (const abort of [connection.abort, writer.abort, connection.abort]) {
        const fiber = yield* start(abort)
        assert.isFalse(waits(fiber))
      }
      assert.strictEqual(transport.count("abort"), 1)
    })
  )

  it.effect("wakes everybody who waits", () =>
    Effect.gen(function* () {
      const { connection, reader, writer } = yield* fake({ takes: false, highWaterMark: 1 })
      yield* writer.write("held")
      const waiters = yield* startAll<unknown, unknown, never>([
        Effect.flip(writer.write("x")),
        Effect.flip(writer.writeAll(["x"])),
        Effect.flip(writer.drain),
        Effect.flip(writer.flush),
        Effect.flip(writer.writeEof),
        Effect.flip(reader.readLine)
      ])
      const closed = yield* start(connection.closed)
      yield* connection.abort
      const errors = yield* Fiber.joinAll(waiters)
      for (const error of errors) assert.deepInclude(error, { _tag: "ClosedStream" })
      assert.deepStrictEqual(yield* Fiber.join(closed), { _tag: "Local", outcome: { _tag: "Aborted", unsent: 4 } })
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("after a loss keeps the reader from what was still to be read, and resets", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake()
      transport.push("unread")
      transport.failWriting()
      yield* connection.abort
      assert.strictEqual(transport.calls.at(-1), "abort")
      assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ClosedStream", reason: "Aborted" })
    })
  )

  it.effect("rank 40: read after abort with a paused transport has a typed result", () =>
    Effect.gen(function* () {
      for (const end of ["abort", "close"] as const) {
        const { reader, transport, writer } = yield* fake({ limit: 10 })
        transport.push(pattern(100))
        assert.strictEqual(transport.calls.at(-1), "pause")
        yield* writer[end]
        const reason = end === "abort" ? "Aborted" : "Closed"
        const calls = transport.calls.slice()
        for (const read of [
          reader.read(1),
          reader.readExactly(1),
          reader.readExactly(1000),
          reader.readLine,
          reader.readUntil("x"),
          reader.readAll({ maxBytes: 10 }),
          reader.skip(1),
          reader.peek(1),
          reader.pull,
          reader.unread(bytes("x"))
        ] as ReadonlyArray<Effect.Effect<unknown, unknown>>) {
          const fiber = yield* start(Effect.flip(read))
          assert.isFalse(waits(fiber))
          assert.deepInclude(yield* Fiber.join(fiber), { _tag: "ClosedStream", reason })
        }
        assert.strictEqual(yield* reader.buffered, 0)
        assert.isFalse(yield* reader.atEof)
        assert.deepStrictEqual(transport.calls, calls, "the transport is left alone")
      }
    })
  )

  it.effect("rank 40: read after a loss with a paused transport has the bytes, then a typed result", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ limit: 10 })
      transport.push(pattern(100))
      transport.lose()
      assert.deepStrictEqual(yield* reader.readExactly(90), pattern(100).subarray(0, 90))
      assert.deepStrictEqual(yield* reader.read(100), pattern(100).subarray(90))
      assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ConnectionLost", kind: "Reset" })
    })
  )
})

describe("whoever wakes to a close", () => {
  for (const wait of ["write", "drain", "readLine"] as const) {
    it.effect(`may abort: ${wait}`, () =>
      Effect.gen(function* () {
        const { connection, reader, transport, writer } = yield* fake({ takes: false, highWaterMark: 1 })
        yield* writer.write("held")
        const waits: Record<typeof wait, Effect.Effect<unknown, unknown>> = {
          write: writer.write("x"),
          drain: writer.drain,
          readLine: reader.readLine
        }
        yield* start(Effect.catch(waits[wait], () => connection.abort))
        const closing = yield* start(writer.close)
        const aborted = { _tag: "Aborted", unsent: 4 } as const
        assert.deepStrictEqual(yield* Fiber.join(closing), aborted)
        assert.deepStrictEqual(yield* writer.close, aborted)
        assert.strictEqual(transport.count("abort"), 1)
      })
    )
  }
})

describe("whoever waits to write, is told of an end, and ends the connection at once", () => {
  for (const [why, tag] of [
    ["a loss", "ConnectionLost"],
    ["a timeout", "StreamTimeout"]
  ] as const) {
    it.effect(`leaves a read that waits the reason, and not its own: ${why}`, () =>
      Effect.gen(function* () {
        for (const end of ["close", "abort"] as const) {
          const { reader, transport, writer } = yield* fake({ takes: false, timeouts: { idle: "30 seconds" } })
          yield* writer.write("x")
          const flushing = yield* start(Effect.tapError(writer.flush, () => writer[end]))
          const reading = yield* start(reader.read(1))
          if (why === "a loss") transport.lose()
          else yield* TestClock.adjust("30 seconds")
          assert.strictEqual((yield* Effect.flip(Fiber.join(flushing)))._tag, tag)
          assert.strictEqual((yield* Effect.flip(Fiber.join(reading)))._tag, tag)
          assert.strictEqual((yield* Effect.flip(reader.read(1)))._tag, "ClosedStream")
        }
      })
    )
  }
})

describe("whoever wakes to the end and closes at once", () => {
  for (const [how, options, happens, expected] of [
    ["abort", {}, ({ connection }: Faked) => connection.abort, { _tag: "Aborted", unsent: 4 }],
    [
      "a timeout",
      { timeouts: { idle: "1 second" } },
      () => TestClock.adjust("1 second"),
      { _tag: "TimedOut", unsent: 4 }
    ],
    ["a loss", {}, ({ transport }: Faked) => Effect.sync(() => transport.lose()), { _tag: "Reset" }]
  ] as const) {
    it.effect(`finds the outcome of ${how}`, () =>
      Effect.gen(function* () {
        for (const wait of ["write", "drain", "flush", "readLine", "closed"] as const) {
          const faked = yield* fake({ takes: false, highWaterMark: 1, ...options })
          const { connection, reader, transport, writer } = faked
          yield* writer.write("held")
          const waits: Record<typeof wait, Effect.Effect<unknown, unknown>> = {
            write: writer.write("x"),
            drain: writer.drain,
            flush: writer.flush,
            readLine: reader.readLine,
            closed: connection.closed
          }
          const closing = yield* start(Effect.andThen(Effect.exit(waits[wait]), writer.close))
          yield* happens(faked)
          assert.deepStrictEqual(yield* Fiber.join(closing), expected, wait)
          assert.deepStrictEqual(yield* writer.close, expected, wait)
          assert.isAtMost(transport.count("abort"), 1)
        }
      })
    )
  }
})

describe("reads after the end", () => {
  it.effect("rank 9, row 6.2: after a loss the buffered bytes come first, then ConnectionLost, for good", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake()
      transport.push("one\ntwo\nthr")
      transport.push("ee")
      transport.lose()
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      assert.strictEqual(text(yield* reader.readExactly(4)), "two\n")
      assert.deepInclude(yield* Effect.flip(reader.readLine), { _tag: "ConnectionLost", operation: "readLine" })
      // what no line came of is still there
      assert.strictEqual(text(yield* reader.read(100)), "three")
      for (let i = 0; i < 3; i++) {
        assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ConnectionLost", operation: "read" })
        assert.deepInclude(yield* Effect.flip(reader.readExactly(1)), { _tag: "ConnectionLost" })
        assert.deepInclude(yield* Effect.flip(reader.readAll({ maxBytes: 1 })), { _tag: "ConnectionLost" })
      }
      assert.isFalse(yield* reader.atEof)
    })
  )

  it.effect("rank 9: a read that waits when the connection is lost gets what there is, or the loss", () =>
    Effect.gen(function* () {
      const short = yield* fake()
      const read = yield* start(Effect.flip(short.reader.readExactly(10)))
      short.transport.push("abc")
      short.transport.lose()
      assert.deepInclude(yield* Fiber.join(read), { _tag: "ConnectionLost", operation: "readExactly" })
      assert.strictEqual(text(yield* short.reader.read(10)), "abc")
    })
  )

  it.effect("a failure of writing leaves reading alone", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake()
      transport.push("before\n")
      transport.failWriting()
      transport.push("after\n")
      assert.strictEqual(text(yield* reader.readLine), "before\n")
      assert.strictEqual(text(yield* reader.readLine), "after\n")
      transport.pushEnd()
      assert.strictEqual((yield* reader.readLine).length, 0)
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 6.3: a close in good order after the peer's end is no failure for the reader", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      yield* writer.writeEof
      transport.push("all of it")
      transport.pushEnd()
      transport.vanish()
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "all of it")
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 6.3: a loss after the peer's end is a failure for the writer only", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      transport.push("all of it")
      transport.pushEnd()
      transport.lose()
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "all of it")
      assert.strictEqual((yield* reader.read(1)).length, 0)
      assert.deepInclude(yield* Effect.flip(writer.write("x")), { _tag: "ConnectionLost" })
    })
  )
})

describe("an observer that ends the connection as a read begins to wait", () => {
  for (const how of ["close", "abort"] as const) {
    it.live(`${how}: the read fails, and waits for nothing`, () =>
      Effect.gen(function* () {
        const faked: Faked = yield* Effect.provideService(fake(), Observer.Observer, {
          onReadStarted: () => void Effect.runFork(faked.writer[how])
        })
        const { reader } = faked
        const reads: ReadonlyArray<Effect.Effect<unknown, StreamError.StreamError>> = [
          reader.read(10),
          reader.readExactly(2),
          reader.readLine,
          reader.within("1 day").read(1)
        ]
        for (const read of reads) {
          const failure = yield* within("a read", Effect.flip(read))
          assert(failure._tag === "ClosedStream", failure._tag)
          assert.strictEqual(failure.reason, how === "close" ? "Closed" : "Aborted")
        }
      })
    )
  }
})

describe("the end of the scope", () => {
  const inScope = Effect.gen(function* () {
    const scope = yield* Scope.make()
    return { scope, open: (options?: Parameters<typeof fakeOfScope>[0]) => Scope.provide(fakeOfScope(options), scope) }
  })

  it.effect("a close that begins in front of any step of a scope that fails is not undone by it", () =>
    Effect.gen(function* () {
      let begun = 0
      for (let step = 1; step <= 30; step++) {
        const { open, scope } = yield* inScope
        const { transport, writer } = yield* open({ takes: false })
        yield* writer.write("accepted")
        yield* turns(1)
        const scheduler = new ActsBefore(step)
        let closing: Fiber.Fiber<unknown> | undefined
        scheduler.watch(() => {
          if (!Effect.runSync(writer.isClosing)) closing = Effect.runFork(writer.close)
        })
        const ending = yield* start(
          Effect.provideService(Scope.close(scope, Exit.fail("oops")), Scheduler.Scheduler, scheduler)
        )
        yield* turns(5)
        if (closing !== undefined) {
          begun++
          transport.drainAll()
          assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" }, `before step ${step}`)
          assert.strictEqual(transport.sentText, "accepted")
        }
        yield* Fiber.join(ending)
      }
      assert.isAtLeast(begun, 1)
    })
  )

  it.effect("success flushes, ends the output, and waits for it", () =>
    Effect.gen(function* () {
      const { open, scope } = yield* inScope
      const { transport, writer } = yield* open({ takes: false })
      yield* writer.write("flushed")
      const ending = yield* start(Scope.close(scope, Exit.void))
      yield* turns()
      assert.isTrue(waits(ending))
      transport.drain()
      yield* Fiber.join(ending)
      assert.strictEqual(transport.sentText, "flushed")
      assert.strictEqual(transport.calls.at(-1), "close")
    })
  )

  it.effect("success is bounded by closeTimeout", () =>
    Effect.gen(function* () {
      const { open, scope } = yield* inScope
      const { connection, transport, writer } = yield* open({ takes: false, closeTimeout: "2 seconds" })
      yield* writer.write("stuck")
      const ending = yield* start(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(ending)
      assert.strictEqual(transport.calls.at(-1), "abort")
      assert.deepStrictEqual(yield* connection.closed, { _tag: "Local", outcome: { _tag: "TimedOut", unsent: 5 } })
    })
  )

  for (const [name, exit] of [
    ["failure", Exit.fail("reason")],
    ["a defect", Exit.die(new Error("defect"))],
    ["interruption", Exit.interrupt()]
  ] as const) {
    it.effect(`${name} aborts`, () =>
      Effect.gen(function* () {
        const { open, scope } = yield* inScope
        const { connection, transport, writer } = yield* open()
        yield* writer.write("dropped")
        const ending = yield* start(Scope.close(scope, exit))
        yield* Fiber.join(ending)
        yield* turns()
        assert.deepStrictEqual(transport.calls, ["attach", "abort"])
        assert.deepStrictEqual(yield* connection.closed, { _tag: "Local", outcome: { _tag: "Aborted", unsent: 7 } })
      })
    )

    it.effect(`${name} flushes with onScopeFailure "flush"`, () =>
      Effect.gen(function* () {
        const { open, scope } = yield* inScope
        const { transport, writer } = yield* open({ onScopeFailure: "flush" })
        yield* writer.write("flushed")
        yield* Scope.close(scope, exit)
        assert.strictEqual(transport.sentText, "flushed")
        assert.strictEqual(transport.calls.at(-1), "close")
      })
    )
  }

  for (const [name, exit] of [
    ["success", Exit.void],
    ["failure", Exit.fail("reason")],
    ["a defect", Exit.die(new Error("defect"))],
    ["interruption", Exit.interrupt()]
  ] as const) {
    it.effect(`${name} waits for a close that has begun, and aborts nothing`, () =>
      Effect.gen(function* () {
        const { open, scope } = yield* inScope
        const { reader, transport, writer } = yield* open({ takes: false })
        yield* writer.write("last words")
        const reading = yield* start(Effect.flip(reader.readLine))
        const closing = yield* start(writer.close)
        yield* Fiber.join(reading)
        const ending = yield* start(Scope.close(scope, exit))
        yield* turns()
        assert.isTrue(waits(ending))
        transport.drain()
        yield* Fiber.join(ending)
        assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
        assert.strictEqual(transport.sentText, "last words")
        assert.notInclude(transport.calls, "abort")
      })
    )

    it.effect(`${name} is bounded by the closeTimeout of a close that has begun`, () =>
      Effect.gen(function* () {
        const { open, scope } = yield* inScope
        const { transport, writer } = yield* open({ takes: false, closeTimeout: "2 seconds" })
        yield* writer.write("stuck")
        // nobody waits for it any more
        yield* Fiber.interrupt(yield* start(writer.close))
        yield* TestClock.adjust("1 second")
        const ending = yield* start(Scope.close(scope, exit))
        yield* TestClock.adjust("999 millis")
        assert.isTrue(waits(ending))
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(ending)
        assert.strictEqual(transport.calls.at(-1), "abort")
        assert.deepStrictEqual(yield* writer.close, { _tag: "TimedOut", unsent: 5 })
      })
    )
  }

  it.effect("an interrupted fiber's connection is aborted, also with the fiber in the middle of a read", () =>
    Effect.gen(function* () {
      const opened: Array<FakeTransport> = []
      const fiber = yield* start(
        Effect.scoped(
          Effect.gen(function* () {
            const { reader, transport, writer } = yield* fakeOfScope()
            opened.push(transport)
            yield* writer.write("dropped")
            yield* reader.readLine
          })
        )
      )
      fiber.interruptUnsafe()
      yield* Fiber.await(fiber)
      yield* turns()
      assert.deepStrictEqual(
        opened.map((transport) => transport.calls),
        [["attach", "abort"]]
      )
    })
  )

  it.effect("after the connection has ended changes nothing", () =>
    Effect.gen(function* () {
      for (const end of ["close", "abort"] as const) {
        for (const exit of [Exit.void, Exit.fail("reason")]) {
          const { open, scope } = yield* inScope
          const { transport, writer } = yield* open()
          yield* writer[end]
          const calls = transport.calls.slice()
          yield* Scope.close(scope, exit)
          assert.deepStrictEqual(transport.calls, calls)
        }
      }
    })
  )

  it.effect("after a loss is quick", () =>
    Effect.gen(function* () {
      const { open, scope } = yield* inScope
      const { transport, writer } = yield* open({ takes: false })
      yield* writer.write("lost")
      transport.lose()
      const ending = yield* start(Scope.close(scope, Exit.void))
      assert.isFalse(waits(ending))
    })
  )
})

describe("closed", () => {
  it.effect("behind a loss: reads say that this side has closed, writes what broke the connection", () =>
    Effect.gen(function* () {
      for (const end of ["close", "abort"] as const) {
        const { reader, transport, writer } = yield* fake()
        transport.push("unread")
        transport.lose()
        yield* writer[end]
        const reason = end === "close" ? "Closed" : "Aborted"
        assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ClosedStream", reason })
        for (const write of [writer.write("x"), writer.flush, writer.drain]) {
          assert.deepInclude(yield* Effect.flip(write), { _tag: "ConnectionLost", kind: "Reset" })
        }
      }
    })
  )

  it.effect("PeerEof: for several who wait, and for those who ask later", () =>
    Effect.gen(function* () {
      const { connection, transport } = yield* fake()
      const waiters = yield* startAll([connection.closed, connection.closed, connection.closed])
      yield* turns()
      assert.isTrue(waiters.every(waits))
      transport.push("data is not the end")
      yield* turns()
      assert.isTrue(waiters.every(waits))
      transport.pushEnd()
      for (const waiter of waiters) assert.deepStrictEqual(yield* Fiber.join(waiter), { _tag: "PeerEof" })
      assert.deepStrictEqual(yield* connection.closed, { _tag: "PeerEof" })
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("Lost: with the error, for several who wait", () =>
    Effect.gen(function* () {
      for (const lose of ["lose", "failWriting", "vanish"] as const) {
        const { connection, transport } = yield* fake()
        const waiters = yield* startAll([connection.closed, connection.closed])
        transport[lose]()
        for (const closed of [...(yield* Fiber.joinAll(waiters)), yield* connection.closed]) {
          assert.strictEqual(closed._tag, "Lost")
          if (closed._tag === "Lost") {
            assert.deepInclude(closed.error, {
              _tag: "ConnectionLost",
              kind: lose === "lose" ? "Reset" : lose === "failWriting" ? "BrokenPipe" : "Unknown"
            })
          }
        }
      }
    })
  )

  it.effect("Local: with the outcome of close or abort", () =>
    Effect.gen(function* () {
      const closed = yield* fake()
      const waiter = yield* start(closed.connection.closed)
      yield* closed.writer.close
      assert.deepStrictEqual(yield* Fiber.join(waiter), { _tag: "Local", outcome: { _tag: "Graceful" } })
      const aborted = yield* fake()
      yield* aborted.writer.abort
      assert.deepStrictEqual(yield* aborted.connection.closed, {
        _tag: "Local",
        outcome: { _tag: "Aborted", unsent: 0 }
      })
    })
  )

  it.effect("Local: completes when closing is over, not when it begins", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false })
      yield* writer.write("x")
      const waiter = yield* start(connection.closed)
      yield* start(writer.close)
      yield* turns()
      assert.isTrue(waits(waiter))
      transport.drain()
      assert.deepStrictEqual(yield* Fiber.join(waiter), { _tag: "Local", outcome: { _tag: "Graceful" } })
    })
  )

  it.effect("writeEof is not an end of the session", () =>
    Effect.gen(function* () {
      const { connection, writer } = yield* fake()
      const waiter = yield* start(connection.closed)
      yield* writer.writeEof
      yield* turns()
      assert.isTrue(waits(waiter))
    })
  )

  it.effect("the first end counts, whatever comes later", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake()
      transport.pushEnd()
      transport.lose()
      yield* writer.close
      assert.deepStrictEqual(yield* connection.closed, { _tag: "PeerEof" })
    })
  )

  it.effect("rank 23: gives up work that nobody waits for any more, also while nobody reads", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake({ limit: 100 })
      let given = false
      const work = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (given = true)))
      const race = yield* start(Effect.raceFirst(work, connection.closed))
      transport.push("nobody reads this")
      assert.isTrue(waits(race))
      transport.pushEnd()
      assert.deepStrictEqual(yield* Fiber.join(race), { _tag: "PeerEof" })
      assert.isTrue(given)
      assert.strictEqual(yield* reader.buffered, "nobody reads this".length)
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("rank 23: does not buffer without bound while nobody reads", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake({ limit: 100 })
      yield* start(connection.closed)
      for (let i = 0; i < 21; i++) {
        if (transport.calls.at(-1) !== "pause") transport.push(pattern(10))
      }
      assert.strictEqual(transport.calls.at(-1), "pause")
      assert.strictEqual(yield* reader.buffered, 210)
    })
  )
})
