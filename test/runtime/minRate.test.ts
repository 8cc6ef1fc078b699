/** Messages that dribble in, in virtual time: who is cut by `minRate`, and who is not. Rank 13 of what users were burned by. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { bytes, pattern, text } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { timeoutOf } from "../support/timeouts.ts"

describe("minRate", () => {
  it.effect("rank 13 a client of one byte every nine seconds is cut by minRate, not by idle", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({
        timeouts: { idle: "10 seconds", minRate: { bytes: 100, per: "30 seconds" } }
      })
      const reading = yield* start(reader.readLine)
      while (waits(reading)) {
        yield* TestClock.adjust("9 seconds")
        if (waits(reading)) transport.push("x")
      }
      assert.strictEqual((yield* timeoutOf(reading)).kind, "MinRate")
      assert.strictEqual(transport.count("abort"), 1)
    })
  )

  it.effect("a client that is fast enough is not cut, nor is one that is silent between two lines", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 10, per: "30 seconds" } } })
      for (let i = 0; i < 5; i++) {
        const reading = yield* start(reader.readLine)
        // longer than `per`, without a byte: there is no message to be slow with
        yield* TestClock.adjust("10 minutes")
        for (let second = 0; second < 60; second++) {
          yield* TestClock.adjust("1 second")
          transport.push("x")
        }
        transport.push("\n")
        assert.strictEqual((yield* Fiber.join(reading)).length, 61)
      }
      assert.strictEqual(transport.count("abort"), 0)
    })
  )

  it.effect("with reads that know no messages any wait behind a first byte counts", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 10, per: "30 seconds" } } })
      transport.push("x")
      assert.strictEqual(text(yield* reader.read(1)), "x")
      const reading = yield* start(reader.read(1))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "MinRate")
    })
  )

  it.effect("a program that does not read is not its client's fault", () =>
    Effect.gen(function* () {
      const { transport } = yield* fake({ timeouts: { minRate: { bytes: 10, per: "30 seconds" } } })
      transport.push("x")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(transport.count("abort"), 0)
    })
  )

  it.effect("a client that stops in the middle of a message is cut, however fast it was before", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 100, per: "30 seconds" } } })
      const reading = yield* start(reader.readExactly(10_000))
      for (let second = 0; second < 29; second++) {
        transport.push(pattern(100))
        yield* TestClock.adjust("1 second")
      }
      // from here on nothing; the span that runs was fast enough, the one behind it is not
      yield* TestClock.adjust("1 second")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "MinRate")
      assert.strictEqual((yield* reader.read(10_000)).length, 2900)
    })
  )

  it.effect("the rate holds to the end of a message, span after span", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 30, per: "30 seconds" } } })
      const reading = yield* start(reader.readExactly(1000))
      for (let second = 0; second < 999; second++) {
        transport.push("x")
        yield* TestClock.adjust("1 second")
      }
      transport.push("x")
      assert.strictEqual((yield* Fiber.join(reading)).length, 1000)
      assert.strictEqual(transport.count("abort"), 0)
    })
  )

  it.effect("a client that was slow to begin its next message is not cut for that", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 10, per: "30 seconds" } } })
      const first = yield* start(reader.readLine)
      transport.push("one\n")
      assert.strictEqual(text(yield* Fiber.join(first)), "one\n")
      const second = yield* start(reader.readLine)
      yield* TestClock.adjust("29 seconds")
      // too little for the span that began with the first message, but a second into its own
      transport.push("tw")
      yield* TestClock.adjust("1 second")
      assert.isTrue(waits(second))
      transport.push("o\n")
      assert.strictEqual(text(yield* Fiber.join(second)), "two\n")

      const third = yield* start(reader.readLine)
      transport.push("t")
      yield* TestClock.adjust("29 seconds")
      assert.isTrue(waits(third))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* timeoutOf(third)).kind, "MinRate")
    })
  )

  it.effect("what came along with the message before counts as a beginning", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 10, per: "30 seconds" } } })
      transport.push("whole\nhalf a li")
      assert.strictEqual(text(yield* reader.readLine), "whole\n")
      yield* TestClock.adjust("1 hour")
      const reading = yield* start(reader.readLine)
      yield* TestClock.adjust("29 seconds")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "MinRate")
    })
  )

  it.effect("reads that are given up and tried again do not give the client more time", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 100, per: "30 seconds" } } })
      let seconds = 0
      while (transport.count("abort") === 0 && seconds < 120) {
        const reading = yield* start(reader.readLine)
        transport.push("x")
        yield* TestClock.adjust("1 second")
        seconds++
        yield* Fiber.interrupt(reading)
      }
      assert.strictEqual(seconds, 30)
      assert.strictEqual((yield* reader.read(100)).length, 30)
      const error = yield* Effect.flip(reader.read(100))
      assert.strictEqual(error._tag === "StreamTimeout" && error.kind, "MinRate")
    })
  )

  it.effect("only time in which a read waits counts: a program that is busy is not its client's fault", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({
        limit: 10,
        timeouts: { minRate: { bytes: 1000, per: "30 seconds" } }
      })
      transport.push(pattern(50))
      // more cannot come: this side holds it back
      assert.strictEqual(transport.calls.at(-1), "pause")
      yield* TestClock.adjust("29 seconds")
      const reading = yield* start(reader.readExactly(2000))
      yield* TestClock.adjust("20 seconds")
      transport.push(pattern(1000))
      yield* TestClock.adjust("20 seconds")
      assert.isTrue(waits(reading))
      transport.push(pattern(950))
      assert.strictEqual((yield* Fiber.join(reading)).length, 2000)
    })
  )

  it.effect("a body read in pieces by read(n) is cut when it stalls", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 100, per: "30 seconds" } } })
      const reading = yield* start(
        Effect.gen(function* () {
          let size = 0
          while (size < 10_000) size += (yield* reader.read(1000)).length
        })
      )
      // nothing has come: no message has begun
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(reading))
      for (let i = 0; i < 4; i++) {
        yield* TestClock.adjust("10 seconds")
        transport.push(pattern(50))
      }
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "MinRate")
    })
  )

  it.effect("says what the bound was", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { minRate: { bytes: 2, per: "30 seconds" } } })
      const reading = yield* start(reader.readUntil(bytes("end")))
      transport.push("x")
      yield* TestClock.adjust("30 seconds")
      const error = yield* timeoutOf(reading)
      assert.strictEqual(error.operation, "readUntil")
      assert.strictEqual(Duration.toMillis(error.duration), 30_000)
    })
  )
})
