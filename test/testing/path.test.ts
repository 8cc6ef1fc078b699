/** What a direction of TestNetwork can be like: latency, bandwidth, chunking, capacity; in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { openConnection, startServer } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { pattern, text } from "../support/bytes.ts"
import { assertBytes } from "../support/assertBytes.ts"
import { start, waits } from "../support/fibers.ts"

/** The pieces in which the client's bytes arrived, as `[time, size]`. */
const arrivals = Effect.map(TestNetwork.events, (events) =>
  events.flatMap((event) =>
    event.kind === "data" && event.from === "client" ? [[event.at, event.size!] as const] : []
  )
)

const sizes = Effect.map(arrivals, (pieces) => pieces.map(([, size]) => size))

/** Sends from a client to a server that reads everything, and says what it got. */
const transfer = (writes: ReadonlyArray<Uint8Array>, options: TestNetwork.Path, seed?: number) =>
  TestNetwork.simulate(
    Effect.gen(function* () {
      const received: Array<Uint8Array> = []
      const server = yield* startServer({ port: 0 }, ({ reader }) =>
        Effect.map(reader.readAll({ maxBytes: "unbounded" }), (bytes) => received.push(bytes))
      )
      const { writer } = yield* openConnection({ port: server.port, connectTimeout: "3650 days" })
      for (const bytes of writes) {
        yield* writer.write(bytes)
        yield* writer.flush
      }
      yield* writer.writeEof
      yield* server.shutdown({ gracePeriod: "3650 days" })
      return { received: received[0]!, arrivals: yield* arrivals, sizes: yield* sizes }
    }),
    { fromClient: options, seed }
  )

describe("latency", () => {
  it.effect("an hour, in no time", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ fromClient: { latency: "1 hour" } })
      const reading = yield* start(right.reader.readLine)
      yield* left.writer.write("patience\n")
      yield* TestClock.adjust("59 minutes")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(text(yield* Fiber.join(reading)), "patience\n")
    })
  )

  it.effect("each direction has its own", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({
        fromClient: { latency: "1 second" },
        fromServer: { latency: "1 minute" }
      })
      const atRight = yield* start(right.reader.read(10))
      const atLeft = yield* start(left.reader.read(10))
      yield* left.writer.write("x")
      yield* right.writer.write("y")
      yield* TestClock.adjust("1 second")
      assert.isFalse(waits(atRight))
      assert.isTrue(waits(atLeft))
      yield* TestClock.adjust("59 seconds")
      assert.isFalse(waits(atLeft))
    })
  )

  it.effect("connecting takes a way there and a way back; the end and a reset take as long as bytes do", () =>
    Effect.gen(function* () {
      const started = yield* TestClock.testClockWith((clock) => clock.currentTimeMillis)
      const times: Array<number> = []
      const now = TestClock.testClockWith((clock) =>
        Effect.sync(() => times.push(clock.currentTimeMillisUnsafe() - started))
      )
      yield* startServer({ port: 80 }, ({ reader }) => Effect.andThen(now, Effect.andThen(reader.read(1), now)))
      const client = yield* start(
        Effect.scoped(
          Effect.gen(function* () {
            const { writer } = yield* openConnection({ port: 80 })
            yield* now
            yield* writer.writeEof
            yield* Effect.never
          })
        )
      )
      yield* TestNetwork.settled
      yield* TestClock.adjust("1 minute")
      // accepted, connected, end seen
      assert.deepStrictEqual(times, [3000, 8000, 11_000])
      yield* Fiber.interrupt(client)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        TestNetwork.layerWith({ fromClient: { latency: "3 seconds" }, fromServer: { latency: "5 seconds" } })
      )
    )
  )
})

describe("bandwidth", () => {
  it.effect("a piece arrives when its last byte does", () =>
    Effect.gen(function* () {
      const run = yield* transfer([pattern(1000), pattern(500)], { bandwidth: 100, latency: 7 })
      assert.deepStrictEqual(run.arrivals, [
        [10_007, 1000],
        [15_007, 500]
      ])
    })
  )

  it.effect("with one byte at a time, each takes its time", () =>
    Effect.gen(function* () {
      const run = yield* transfer([pattern(4)], { bandwidth: 1 / 9, chunking: "oneByte" })
      assert.deepStrictEqual(run.arrivals, [
        [9000, 1],
        [18_000, 1],
        [27_000, 1],
        [36_000, 1]
      ])
    })
  )
})

describe("chunking", () => {
  const writes = [pattern(10), pattern(1), pattern(7)]

  for (const [name, chunking, expected] of [
    ["as is", "asIs", [10, 1, 7]],
    ["by default as is", undefined, [10, 1, 7]],
    ["one byte", "oneByte", Array.from({ length: 18 }, () => 1)],
    ["halves", "halves", [5, 5, 1, 4, 3]],
    ["at given offsets", { offsets: [14, 3, 11, 999] }, [3, 7, 1, 3, 4]]
  ] as ReadonlyArray<readonly [string, TestNetwork.Chunking | undefined, ReadonlyArray<number>]>) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const run = yield* transfer(writes, { chunking })
        assert.deepStrictEqual(run.sizes, expected)
        assertBytes(run.received, Buffer.concat(writes))
      })
    )
  }

  it.effect("random, by the seed of the network or its own, up to a size", () =>
    Effect.gen(function* () {
      const all = pattern(20_000)
      const sizesOf = (chunking: TestNetwork.Chunking, seed?: number) =>
        Effect.map(transfer([all], { chunking }, seed), (run) => {
          assertBytes(run.received, all)
          return run.sizes
        })
      const first = yield* sizesOf("random", 1)
      assert.isAbove(first.length, 5)
      assert.isTrue(first.every((size) => size <= 4096))
      assert.deepStrictEqual(yield* sizesOf("random", 1), first)
      assert.notDeepEqual(yield* sizesOf("random", 2), first)
      const small = yield* sizesOf({ random: { max: 30 } }, 1)
      assert.deepStrictEqual(yield* sizesOf({ random: { most: 30 } }, 1), small)
      assert.deepStrictEqual(yield* sizesOf({ random: { max: 30, most: 5 } }, 1), small)
      assert.strictEqual(Math.max(...small), 30)
      assert.strictEqual(Math.min(...small), 1)
      const own = yield* sizesOf({ random: { seed: 7 } }, 1)
      assert.deepStrictEqual(yield* sizesOf({ random: { seed: 7 } }, 2), own)
    })
  )
})

describe("capacity", () => {
  it.effect("what is above it is held until the reader takes", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ fromClient: { capacity: 100 }, limit: 10 })
      yield* left.writer.write(new Uint8Array(500))
      const flushing = yield* start(left.writer.flush)
      // two pieces of the capacity: one that was read ahead, above which the reader pauses, one on its way
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(flushing))
      assert.strictEqual(yield* right.reader.buffered, 100)
      yield* right.reader.readExactly(150)
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(flushing))
      yield* right.reader.readExactly(350)
      yield* Fiber.join(flushing)
    })
  )

  it.effect("a writer that never drains is held back by a reader that does not read", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({
        fromClient: { capacity: 1000 },
        highWaterMark: 1000,
        limit: 500
      })
      let written = 0
      const writing = yield* start(
        Effect.forever(Effect.tap(left.writer.write(new Uint8Array(100)), () => Effect.sync(() => (written += 100))))
      )
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(writing))
      assert.isAtMost(written, 1000 + 100 + 1000 + 1000 + 2 * 500)
      const stuckAt = written
      yield* right.reader.readExactly(2000)
      yield* TestClock.adjust("1 hour")
      assert.isAbove(written, stuckAt)
    })
  )

  it.effect("the memory of a write is the caller's again once it was taken, not before", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ fromClient: { capacity: 1000 } })
      const memory = new Uint8Array(10_000).fill(1)
      yield* left.writer.write(memory)
      const reading = yield* start(right.reader.readExactly(10_000))
      yield* left.writer.flush
      memory.fill(2)
      assertBytes(yield* Fiber.join(reading), new Uint8Array(10_000).fill(1))
    })
  )

  it.effect("what an abort counts as unsent is what was held, and the rest arrives", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ fromClient: { capacity: 100 } })
      yield* left.writer.write(pattern(250))
      yield* Effect.yieldNow
      yield* left.writer.abort
      assert.deepStrictEqual(yield* left.writer.close, { _tag: "Aborted", unsent: 150 })
      assertBytes(yield* right.reader.readExactly(100), pattern(250).subarray(0, 100))
      assert.strictEqual((yield* Effect.flip(right.reader.readExactly(1)))._tag, "ConnectionLost")
    })
  )

  it.effect("what the network refuses is unsent, though nothing is held", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      yield* right.writer.close
      assert.strictEqual((yield* left.reader.read(1)).length, 0)
      // it listens no more
      yield* TestClock.adjust("1 minute")
      yield* left.writer.write("taken")
      yield* TestClock.adjust("1 minute")
      left.writer.writeUnsafe("refused")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Effect.flip(left.writer.flush))._tag, "ConnectionLost")
      yield* left.writer.abort
      assert.deepStrictEqual(yield* left.writer.close, { _tag: "Aborted", unsent: 7 })
    })
  )

  it.effect("a peer that takes little at a time takes something: no bound on writing strikes", () =>
    Effect.gen(function* () {
      const all = pattern(50_000)
      const got = yield* TestNetwork.simulate(
        Effect.gen(function* () {
          const received: Array<Uint8Array> = []
          const server = yield* startServer({ port: 0 }, ({ reader }) =>
            Effect.map(reader.readAll({ maxBytes: "unbounded" }), (bytes) => received.push(bytes))
          )
          const { writer } = yield* openConnection({ port: server.port, timeouts: { write: "10 seconds" } })
          yield* writer.write(all)
          yield* writer.flush
          yield* writer.writeEof
          yield* server.shutdown({ gracePeriod: "1 day" })
          return received[0]!
        }),
        { fromClient: { capacity: 1000, bandwidth: 1000 } }
      )
      assertBytes(got, all)
    })
  )
})
