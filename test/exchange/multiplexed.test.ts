/** Requests that are answered in any order, each by its id. */
import { assert, describe, it } from "@effect/vitest"
import { StreamError } from "effect-byte-streams"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { multiplexed } from "../support/exchanges.ts"
import { deathOf } from "../support/exits.ts"
import { start, startAll } from "../support/fibers.ts"

describe("call", () => {
  it.effect("each caller gets the answer with its id, whatever the order", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed()
      const calls = yield* startAll(["a", "b", "c"].map(client.call))
      assert.deepStrictEqual(yield* server.asked(3), ["1 a", "2 b", "3 c"])
      yield* server.answer("3 C", "1 A", "2 B")
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), ["1 A", "2 B", "3 C"])
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )

  it.effect("callAll gives them in the order of the requests", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed()
      const all = yield* start(client.callAll(["a", "b"]))
      yield* server.asked(2)
      yield* server.answer("2 B", "1 A")
      assert.deepStrictEqual(yield* Fiber.join(all), ["1 A", "2 B"])
    })
  )

  it.effect("an interrupted call's answer is dropped, and its id is not given out before", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed({
        maxInFlight: 2,
        id: {
          put: (request, id) => `${id} ${request}`,
          get: (answer) => Number.parseInt(answer, 10),
          range: [5, 10]
        }
      })
      const first = yield* start(client.call("gone"))
      assert.deepStrictEqual(yield* server.asked(1), ["5 gone"])
      yield* Fiber.interrupt(first)
      for (const id of [6, 7, 8, 9, 10, 6, 7]) {
        const call = yield* start(client.call("x"))
        assert.deepStrictEqual(yield* server.asked(1), [`${id} x`])
        yield* server.answer(`${id} X`)
        assert.strictEqual(yield* Fiber.join(call), `${id} X`)
      }
      yield* server.answer("5 GONE")
      const calls = yield* startAll(["y", "y"].map(client.call))
      assert.deepStrictEqual(yield* server.asked(2), ["8 y", "9 y"])
      yield* server.answer("9 Y", "8 Y")
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), ["8 Y", "9 Y"])
    })
  )

  it.effect("streams of several calls mix, and one that is left early holds up nobody", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed({ isLast: (answer) => answer.endsWith(".") })
      const one = yield* start(Stream.runCollect(client.stream("a")))
      const other = yield* start(Stream.runCollect(Stream.take(client.stream("b"), 1)))
      yield* server.asked(2)
      yield* server.answer("1 x", "2 x", "1 y", "2 y", "2 z", "1 .", "2 .")
      assert.deepStrictEqual(yield* Fiber.join(one), ["1 x", "1 y", "1 ."])
      assert.deepStrictEqual(yield* Fiber.join(other), ["2 x"])
      const next = yield* start(client.call("c"))
      yield* server.answer("3 C")
      assert.strictEqual(yield* Fiber.join(next), "3 C")
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )

  it.effect("a stream that is left early behind a slow consumer of another costs nobody the connection", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed({
        isLast: (answer) => answer.endsWith("."),
        drainTimeout: "5 seconds"
      })
      const pull = yield* Stream.toPull(client.stream("rows"))
      const first = yield* start(pull)
      const left = yield* start(client.collect("left"))
      yield* server.asked(2)
      const rows = Array.from({ length: 40 }, (_, i) => `1 ${i}`)
      yield* server.answer(...rows, "1 .", "2 .")
      const seen = [...(yield* Fiber.join(first))]
      yield* Fiber.interrupt(left)
      yield* TestClock.adjust("1 minute")
      while (seen.at(-1) !== "1 .") seen.push(...(yield* pull))
      assert.deepStrictEqual(seen, [...rows, "1 ."])
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      assert.strictEqual(yield* client.inFlight, 0)
    }).pipe(Effect.scoped)
  )
})

describe("ProtocolViolation", () => {
  for (const [title, answer] of [
    ["an id that was never given out", "9 X"],
    ["a second answer", "1 A"],
    ["an answer without an id", "X"]
  ] as const) {
    it.effect(`${title} ends the exchange`, () =>
      Effect.gen(function* () {
        const { client, server } = yield* multiplexed()
        const first = yield* start(client.call("a"))
        yield* server.asked(1)
        yield* server.answer("1 A")
        assert.strictEqual(yield* Fiber.join(first), "1 A")
        const second = yield* start(client.call("b"))
        yield* server.asked(1)
        yield* server.answer(answer, "2 B")
        const error = yield* Effect.flip(Fiber.join(second))
        assert.instanceOf(error, StreamError.RequestLost)
        assert.strictEqual(error._tag === "RequestLost" && error.cause._tag, "ProtocolViolation")
        assert.strictEqual((yield* Effect.flip(client.call("c")))._tag, "RequestLost")
      })
    )
  }
})

describe("cancel", () => {
  it.effect("answered: the place is held until the answer comes, which is dropped", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed({
        maxInFlight: 1,
        cancel: { request: (id) => `cancel ${id}`, answered: true }
      })
      const first = yield* start(client.call("a"))
      const second = yield* start(client.call("b"))
      yield* server.asked(1)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual(yield* server.asked(1), ["cancel 1"])
      assert.strictEqual(yield* client.inFlight, 1)
      yield* server.answer("1 cancelled")
      assert.deepStrictEqual(yield* server.asked(1), ["2 b"])
      yield* server.answer("2 B")
      assert.strictEqual(yield* Fiber.join(second), "2 B")
    })
  )

  it.effect("not answered: the place is free at once, and a late answer is dropped", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed({
        maxInFlight: 1,
        cancel: { request: (id) => `cancel ${id}`, answered: false }
      })
      const first = yield* start(client.call("a"))
      const second = yield* start(client.call("b"))
      yield* server.asked(1)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual([...(yield* server.asked(2))].sort(), ["2 b", "cancel 1"])
      yield* server.answer("1 A", "2 B")
      assert.strictEqual(yield* Fiber.join(second), "2 B")
      const third = yield* start(client.call("c"))
      yield* server.answer("3 C")
      assert.strictEqual(yield* Fiber.join(third), "3 C")
    })
  )

  it.effect("a caller that waits for its turn, or has its answer, is not cancelled", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed({
        maxInFlight: 1,
        cancel: { request: (id) => `cancel ${id}`, answered: true }
      })
      const first = yield* start(client.call("a"))
      const waiting = yield* start(client.call("b"))
      yield* Fiber.interrupt(waiting)
      yield* server.asked(1)
      yield* server.answer("1 A")
      yield* Fiber.join(first)
      yield* Fiber.interrupt(first)
      const next = yield* start(client.call("c"))
      assert.deepStrictEqual(yield* server.asked(1), ["2 c"])
      yield* server.answer("2 C")
      assert.strictEqual(yield* Fiber.join(next), "2 C")
    })
  )

  it.effect("a request to cancel that cannot be written ends the exchange, and not the process", () =>
    Effect.gen(function* () {
      for (const answered of [true, false]) {
        const { client, server } = yield* multiplexed({ cancel: { request: () => "two\nlines", answered } })
        const call = yield* start(client.call("a"))
        yield* server.asked(1)
        yield* Fiber.interrupt(call)
        const closed = yield* client.closed
        assert.isTrue(closed._tag === "Lost" && closed.cause._tag === "ConnectionLost")
      }
    })
  )

  it.effect("callTimeout cancels as an interruption does", () =>
    Effect.gen(function* () {
      const { client, server } = yield* multiplexed({
        callTimeout: "1 second",
        cancel: { request: (id) => `cancel ${id}`, answered: false }
      })
      const call = yield* start(client.call("a"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(Fiber.join(call)))._tag, "StreamTimeout")
      assert.deepStrictEqual(yield* server.asked(2), ["1 a", "cancel 1"])
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )
})

it.effect("pushes have no id, and are no violation", () =>
  Effect.gen(function* () {
    const { client, server } = yield* multiplexed({
      isPush: (message: string) => message.startsWith("!"),
      pushes: { overflow: "suspend" }
    } as never)
    const call = yield* start(client.call("a"))
    yield* server.answer("!push", "1 A")
    assert.strictEqual(yield* Fiber.join(call), "1 A")
    assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(client.pushes, 1)), ["!push"])
  })
)

it.effect("there are enough ids for all that may be in flight or cancelled, or it dies", () =>
  Effect.gen(function* () {
    const id = { put: (request: string) => request, get: () => 1 }
    const death = yield* deathOf(multiplexed({ maxInFlight: 10, id: { ...id, range: [0, 20] } }))
    assert.match(death, /id.range must have more than twice as many ids as maxInFlight/)
    assert.match(yield* deathOf(multiplexed({ id: { ...id, get: 7 } } as never)), /id.get/)
    assert.match(yield* deathOf(multiplexed({ id: undefined } as never)), /id/)
  })
)
