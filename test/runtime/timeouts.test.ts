/**
 * The bounds on waiting within one connection, in virtual time: what each of them cuts, what it leaves alone, and what
 * state the streams are in afterwards. Rank 13 and rank 42 of what users were burned by.
 */
import { assert, describe, it } from "@effect/vitest"
import { startServer } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { pattern, text } from "../support/bytes.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { fake } from "../support/fakeTransport.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { countingClock, timeoutOf } from "../support/timeouts.ts"

describe("read", () => {
  it.effect("fails the read that waited too long; the bytes stay, and the connection goes on", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake({ timeouts: { read: "10 seconds" } })
      const reading = yield* start(reader.readLine)
      transport.push("half a li")
      yield* TestClock.adjust("9 seconds")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 second")
      const error = yield* timeoutOf(reading)
      assert.strictEqual(error.kind, "Read")
      assert.strictEqual(error.operation, "readLine")
      assert.strictEqual(transport.count("abort"), 0)
      transport.push("ne\n")
      assert.strictEqual(text(yield* reader.readLine), "half a line\n")
      assert.isFalse(yield* connection.writer.isClosing)
    })
  )

  it.effect("each read has the whole time, also when the one before has used most of it", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { read: "10 seconds" } })
      for (let i = 0; i < 5; i++) {
        const reading = yield* start(reader.readExactly(1))
        yield* TestClock.adjust("9 seconds")
        transport.push("x")
        assert.strictEqual(text(yield* Fiber.join(reading)), "x")
      }
      const last = yield* start(reader.readExactly(1))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* timeoutOf(last)).kind, "Read")
    })
  )

  it.effect("time in which nobody reads does not count", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { read: "1 second" } })
      yield* TestClock.adjust("1 hour")
      const reading = yield* start(reader.read(10))
      yield* TestClock.adjust("500 millis")
      transport.push("late")
      assert.strictEqual(text(yield* Fiber.join(reading)), "late")
    })
  )
})

describe("idle", () => {
  it.effect("ends a connection on which nothing passes, in either direction", () =>
    Effect.gen(function* () {
      const { connection, reader, transport, writer } = yield* fake({ timeouts: { idle: "1 minute" } })
      const closed = yield* start(connection.closed)
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("50 seconds")
        transport.push("in")
        yield* TestClock.adjust("50 seconds")
        yield* writer.write("out")
        yield* writer.flush
      }
      assert.isTrue(waits(closed))
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(transport.count("abort"), 1)
      const end = yield* Fiber.join(closed)
      assert.strictEqual(end._tag === "Lost" && end.error._tag, "StreamTimeout")
      // what arrived in time is still delivered
      assert.strictEqual(text(yield* reader.read(100)), "ininin")
      const error = yield* Effect.flip(reader.read(100))
      assert.strictEqual(error._tag === "StreamTimeout" && error.kind, "Idle")
      const failure = yield* Effect.flip(writer.write("more"))
      assert.strictEqual(failure._tag === "StreamTimeout" && failure.kind, "Idle")
    })
  )

  it.effect("does not end one on which the peer has just ended its output", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ timeouts: { idle: "1 minute" } })
      yield* TestClock.adjust("50 seconds")
      transport.pushEnd()
      yield* TestClock.adjust("50 seconds")
      yield* writer.write("the answer")
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(transport.count("abort"), 0)
      assert.strictEqual(transport.sentText, "the answer")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(transport.count("abort"), 1)
    })
  )

  it.effect("a peer that is held back is not silent, as long as the program goes on", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ limit: 10, timeouts: { idle: "1 minute" } })
      transport.push(pattern(100))
      assert.strictEqual(transport.calls.at(-1), "pause")
      for (let i = 0; i < 9; i++) {
        yield* TestClock.adjust("50 seconds")
        yield* reader.readExactly(10)
      }
      assert.strictEqual(transport.count("abort"), 0)
      assert.strictEqual(transport.calls.at(-1), "resume")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(transport.count("abort"), 1)
    })
  )

  it.effect("a peer that is held back by a program that does not go on is given up", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ limit: 10, timeouts: { idle: "1 minute" } })
      transport.push(pattern(100))
      yield* reader.readExactly(10)
      assert.strictEqual(transport.calls.at(-1), "pause")
      // once more for what was read, and then no more
      yield* TestClock.adjust("119 seconds")
      assert.strictEqual(transport.count("abort"), 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(transport.count("abort"), 1)
      assert.strictEqual((yield* reader.readExactly(90)).length, 90)
    })
  )

  it.effect("ends it for a read that waits meanwhile", () =>
    Effect.gen(function* () {
      const { reader } = yield* fake({ timeouts: { idle: "1 minute" } })
      const reading = yield* start(reader.readLine)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "Idle")
    })
  )
})

describe("total", () => {
  it.effect("ends a connection however busy it is", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { total: "1 hour" } })
      for (let i = 0; i < 59; i++) {
        yield* TestClock.adjust("1 minute")
        transport.push("x")
      }
      assert.strictEqual(transport.count("abort"), 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(transport.count("abort"), 1)
      assert.strictEqual((yield* reader.read(100)).length, 59)
      const error = yield* Effect.flip(reader.read(1))
      assert.strictEqual(error._tag === "StreamTimeout" && error.kind, "Total")
    })
  )
})

describe("write", () => {
  it.effect("rank 42 frees the writer of a peer that stopped reading", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({
        takes: false,
        highWaterMark: 100,
        timeouts: { write: "30 seconds" }
      })
      yield* writer.write(new Uint8Array(200))
      const writing = yield* start(writer.write("more"))
      const draining = yield* start(writer.drain)
      const flushing = yield* start(writer.flush)
      yield* TestClock.adjust("29 seconds")
      assert.isTrue(waits(writing))
      yield* TestClock.adjust("1 second")
      for (const fiber of [writing, draining, flushing]) {
        assert.strictEqual((yield* timeoutOf(fiber)).kind, "Write")
      }
      assert.strictEqual(transport.count("abort"), 1)
      assert.deepStrictEqual(yield* writer.close, { _tag: "TimedOut", unsent: 200 })
    })
  )

  it.effect("a peer that takes a little now and then goes on", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({
        takes: false,
        highWaterMark: 100,
        timeouts: { write: "30 seconds" }
      })
      // more than one call sends: progress shows in between
      yield* writer.write(new Uint8Array(1_000_000))
      while (transport.holding) {
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual(transport.count("abort"), 0)
        transport.drain()
      }
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(transport.sent.length, 1_000_000)
      assert.strictEqual(transport.count("abort"), 0)
    })
  )

  it.effect("a peer that takes less than one call sends goes on too, where the transport can tell", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({
        takes: false,
        timeouts: { write: "30 seconds", idle: "40 seconds" }
      })
      const closed = yield* start(connection.closed)
      transport.unsent = 100_000
      yield* writer.write(new Uint8Array(100_000))
      yield* TestClock.adjust(0)
      for (let i = 0; i < 50; i++) {
        yield* TestClock.adjust("29 seconds")
        transport.unsent -= 1000
        assert.isTrue(waits(closed))
      }
      // from here on it takes nothing any more
      yield* TestClock.adjust("1 minute")
      const end = yield* Fiber.join(closed)
      assert(end._tag === "Lost" && end.error._tag === "StreamTimeout")
      assert.strictEqual(end.error.kind, "Write")
    })
  )

  it.effect("and it is not idle", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, timeouts: { idle: "30 seconds" } })
      const closed = yield* start(connection.closed)
      transport.unsent = 100_000
      yield* writer.write(new Uint8Array(100_000))
      yield* TestClock.adjust(0)
      for (let i = 0; i < 50; i++) {
        yield* TestClock.adjust("29 seconds")
        transport.unsent -= 1000
      }
      assert.isTrue(waits(closed))
      yield* TestClock.adjust("1 minute")
      assert.isFalse(waits(closed))
    })
  )

  it.effect("also when nobody waits for the output", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, timeouts: { write: "30 seconds" } })
      yield* writer.write("a few bytes")
      const closed = yield* start(connection.closed)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(transport.count("abort"), 1)
      assert.strictEqual((yield* Fiber.join(closed))._tag, "Lost")
    })
  )
})

const minRate = { bytes: 1, per: "20 seconds" } as const

describe("the timer", () => {
  it.effect("is not there when nothing is bounded", () =>
    Effect.gen(function* () {
      const { counted, run } = yield* countingClock
      yield* Effect.gen(function* () {
        const { reader, transport, writer } = yield* fake({ timeouts: {} })
        const reading = yield* start(reader.readLine)
        yield* writer.write("out")
        transport.push("in\n")
        yield* Fiber.join(reading)
      }).pipe(run)
      assert.strictEqual(counted.sleeps, 0)
    })
  )

  it.effect("is one, armed anew only when it rings", () =>
    Effect.gen(function* () {
      const { counted, run } = yield* countingClock
      yield* Effect.gen(function* () {
        const { reader, transport } = yield* fake({
          timeouts: { idle: "1 minute", read: "1 minute", total: "1 hour", minRate: { bytes: 1, per: "1 minute" } }
        })
        for (let i = 0; i < 1000; i++) {
          const reading = yield* start(reader.readLine)
          transport.push("line\n")
          yield* Fiber.join(reading)
        }
        assert.strictEqual(counted.sleeps, 1)
        yield* TestClock.adjust("1 minute")
        assert.isAtMost(counted.sleeps, 2)
      }).pipe(run)
    })
  )

  it.effect("is replaced, not joined, by one that has to ring earlier", () =>
    Effect.gen(function* () {
      const { counted, run } = yield* countingClock
      const { connection, reader, transport, writer } = yield* run(
        fake({
          takes: false,
          timeouts: { total: "1 hour", idle: "10 minutes", read: "1 minute", write: "30 seconds", minRate }
        })
      )
      assert.strictEqual(counted.sleeping, 1)
      for (let i = 0; i < 20; i++) {
        const reading = yield* start(reader.readLine)
        assert.strictEqual(counted.sleeping, 1)
        yield* writer.write("out")
        assert.strictEqual(counted.sleeping, 1)
        transport.push("in")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(counted.sleeping, 1)
        transport.push("\n")
        yield* Fiber.join(reading)
        if (transport.holding) transport.drainAll()
        assert.strictEqual(counted.sleeping, 1)
      }
      assert.isAtMost(counted.sleeps, 10)
      yield* connection.abort
      yield* TestClock.adjust(0)
      assert.strictEqual(counted.sleeping, 0)
    })
  )

  it.effect("of a server: none for any number of clients without bounds, one for each with them", () =>
    Effect.gen(function* () {
      const { counted, run } = yield* countingClock
      for (const [timeouts, each] of [
        [undefined, 0],
        [{}, 0],
        [{ idle: "1 minute", total: "1 hour", minRate }, 1]
      ] as const) {
        yield* onFakeNetwork((network) =>
          Effect.gen(function* () {
            yield* startServer(
              { host: "127.0.0.1", port: 0, gracePeriod: 0, timeouts },
              ({ reader }) => reader.readLine
            )
            const clients = Array.from({ length: 100 }, () => network.accept())
            yield* TestClock.adjust("1 second")
            assert.strictEqual(counted.sleeping, 100 * each)
            for (const client of clients) client.push("line\n")
            yield* TestClock.adjust("1 second")
            assert.isTrue(clients.every((client) => client.calls.at(-1) === "close"))
            assert.strictEqual(counted.sleeping, 0)
          })
        ).pipe(Effect.scoped, run)
      }
    })
  )

  it.effect("is gone with the connection", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake({ timeouts: { idle: "1 minute" } })
      yield* connection.writer.close
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(transport.count("abort"), 0)
      const error = yield* Effect.flip(reader.read(1))
      assert.strictEqual(error._tag, "ClosedStream")
    })
  )
})

describe("wrong arguments", () => {
  for (const [name, timeouts] of [
    ["idle", { idle: 0 }],
    ["read", { read: -1 }],
    ["minRate.bytes", { minRate: { bytes: 0, per: 1000 } }],
    ["minRate.per", { minRate: { bytes: 1, per: 0 } }]
  ] as const) {
    it.effect(`${name} dies, and is named`, () =>
      Effect.gen(function* () {
        const defect = yield* defectOf(fake({ timeouts }))
        assert.include((defect as Error).message, name)
      })
    )
  }
})
