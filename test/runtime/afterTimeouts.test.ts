/**
 * What state a connection is in after each kind of timeout, in virtual time: what can still be read, what every other
 * operation answers, what is left of timers. And what is still watched once half of a connection is gone.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Connection } from "effect-byte-streams"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { pattern, text } from "../support/bytes.ts"
import { type Faked, fake } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { countingClock, timeoutOf } from "../support/timeouts.ts"

/** Each way to be timed out: what is configured, what brings it about, and which `unsent` close answers. */
const ends: ReadonlyArray<{
  readonly kind: "Idle" | "Write" | "Total" | "MinRate"
  readonly timeouts: Connection.Timeouts
  readonly happens: (faked: Faked) => Effect.Effect<unknown, unknown>
}> = [
  { kind: "Idle", timeouts: { idle: "30 seconds" }, happens: () => TestClock.adjust("30 seconds") },
  { kind: "Write", timeouts: { write: "30 seconds" }, happens: () => TestClock.adjust("30 seconds") },
  {
    kind: "Total",
    timeouts: { total: "30 seconds" },
    happens: ({ transport }) =>
      Effect.gen(function* () {
        for (let i = 0; i < 30; i++) {
          transport.push(" ")
          yield* TestClock.adjust("1 second")
        }
      })
  },
  {
    kind: "MinRate",
    timeouts: { minRate: { bytes: 100, per: "30 seconds" } },
    happens: ({ reader }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const reading = yield* start(reader.readLine)
          yield* TestClock.adjust("30 seconds")
          yield* Fiber.join(reading)
        })
      )
  }
]

describe("a timeout that ends the connection", () => {
  for (const { happens, kind, timeouts } of ends) {
    it.effect(`${kind}: what arrived in time is read, everything else fails with its kind, and nothing is left`, () =>
      Effect.gen(function* () {
        const { counted, run } = yield* countingClock
        const faked = yield* run(fake({ takes: false, timeouts }))
        const { connection, reader, transport, writer } = faked
        transport.push("in time")
        yield* writer.write(pattern(1000))
        yield* writer.write("unsent")
        const closed = yield* start(connection.closed)
        yield* Effect.exit(happens(faked))

        assert.strictEqual(transport.count("abort"), 1)
        const is = (error: { readonly _tag: string; readonly kind?: unknown; readonly operation?: unknown }) => {
          assert.strictEqual(`${error._tag} ${String(error.kind)}`, `StreamTimeout ${kind}`)
          return error.operation
        }
        const lost = yield* Fiber.join(closed)
        assert(lost._tag === "Lost" && lost.error._tag === "StreamTimeout")
        is(lost.error)
        assert.strictEqual(Duration.toMillis(lost.error.duration), 30_000)

        // the bytes come first, by any read
        assert.strictEqual(text(yield* reader.peek(7)), "in time")
        assert.strictEqual(text(yield* reader.readExactly(7)), "in time")
        const rest = yield* reader.buffered
        if (rest > 0) yield* reader.skip(rest)
        for (let i = 0; i < 2; i++) {
          assert.strictEqual(is(yield* Effect.flip(reader.read(1))), "read")
          assert.strictEqual(is(yield* Effect.flip(reader.readLine)), "readLine")
          assert.strictEqual(is((yield* Effect.flip(reader.pull)) as { readonly _tag: string }), "pull")
        }
        assert.isFalse(yield* reader.atEof)
        assert.strictEqual(is(yield* Effect.flip(writer.write("x"))), "write")
        assert.strictEqual(is(yield* Effect.flip(writer.writeAll(["x"]))), "writeAll")
        assert.strictEqual(is(yield* Effect.flip(writer.drain)), "drain")
        assert.strictEqual(is(yield* Effect.flip(writer.flush)), "flush")
        assert.strictEqual(is(yield* Effect.flip(writer.writeEof)), "writeEof")
        assert.isTrue(yield* writer.isClosing)
        assert.deepStrictEqual(yield* writer.close, { _tag: "TimedOut", unsent: 1006 })

        // it is over: no timer is left, and nothing strikes a second time
        assert.strictEqual(counted.sleeping, 0)
        yield* TestClock.adjust("1 day")
        assert.strictEqual(transport.count("abort"), 1)
      })
    )
  }

  it.effect("frees everybody who waits, on either side", () =>
    Effect.gen(function* () {
      for (const { kind, timeouts } of ends.filter((end) => end.kind !== "MinRate")) {
        const { reader, writer } = yield* fake({ takes: false, highWaterMark: 100, timeouts })
        yield* writer.write(pattern(1000))
        const fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>> = [
          yield* start(reader.readLine),
          yield* start(writer.write("more")),
          yield* start(writer.writeAll(["and", "more"])),
          yield* start(writer.drain),
          yield* start(writer.flush)
        ]
        yield* TestClock.adjust("29999 millis")
        assert.isTrue(fibers.every(waits))
        yield* TestClock.adjust("1 milli")
        for (const fiber of fibers) assert.strictEqual((yield* timeoutOf(fiber)).kind, kind)

        const ending = yield* fake({ takes: false, timeouts })
        yield* ending.writer.write("x")
        const eof = yield* start(ending.writer.writeEof)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* timeoutOf(eof)).kind, kind)
      }
    })
  )

  it.effect("of several the one that comes first strikes", () =>
    Effect.gen(function* () {
      const all = { idle: "40 seconds", read: "50 seconds", write: "30 seconds", total: "1 minute" } as const
      const silent = yield* fake({ timeouts: all })
      const reading = yield* start(silent.reader.read(1))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "Idle")

      const stuck = yield* fake({ takes: false, timeouts: all })
      yield* stuck.writer.write("x")
      const writing = yield* start(stuck.writer.flush)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* timeoutOf(writing)).kind, "Write")
    })
  )
})

describe("a read that has timed out", () => {
  it.effect("leaves the connection as it was: every operation works, as often as it happens", () =>
    Effect.gen(function* () {
      const { connection, reader, transport, writer } = yield* fake({ timeouts: { read: "1 second" } })
      const closed = yield* start(connection.closed)
      transport.push("ab")
      for (const read of [
        reader.readExactly(3),
        reader.readLine,
        reader.readUntil("\n"),
        reader.peek(3),
        reader.skip(3)
      ]) {
        const reading = yield* start(read as Effect.Effect<unknown, never>)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
        assert.strictEqual(yield* reader.buffered, 2)
      }
      yield* writer.write("out")
      yield* writer.flush
      assert.strictEqual(transport.sentText, "out")
      assert.isTrue(waits(closed))
      const reading = yield* start(reader.readLine)
      transport.push("c\n")
      assert.strictEqual(text(yield* Fiber.join(reading)), "abc\n")
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
    })
  )
})

describe("half of a connection", () => {
  it.effect("once writing has failed, reads are still bounded", () =>
    Effect.gen(function* () {
      const reads = yield* fake({ timeouts: { read: "10 seconds" } })
      reads.transport.failWriting()
      for (let i = 0; i < 2; i++) {
        const reading = yield* start(reads.reader.readLine)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
      }

      const idle = yield* fake({ takes: false, timeouts: { idle: "10 seconds", write: "1 second" } })
      yield* idle.writer.write("x")
      idle.transport.failWriting()
      const reading = yield* start(idle.reader.readLine)
      yield* TestClock.adjust("9 seconds")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "Idle")
      assert.strictEqual(idle.transport.count("abort"), 1)
    })
  )

  it.effect("once the peer has ended its output, writes are still bounded", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake({ takes: false, timeouts: { write: "10 seconds" } })
      transport.pushEnd()
      assert.strictEqual((yield* reader.read(1)).length, 0)
      yield* writer.write("x")
      const flushing = yield* start(writer.flush)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* timeoutOf(flushing)).kind, "Write")
      // the end was a clean one, and stays it
      assert.strictEqual((yield* reader.read(1)).length, 0)
    })
  )

  it.effect("once this side has ended its output, both directions are still bounded", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake({ timeouts: { idle: "10 seconds" } })
      yield* writer.writeEof
      const reading = yield* start(reader.readLine)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "Idle")
      assert.strictEqual(transport.count("abort"), 1)
    })
  )
})
