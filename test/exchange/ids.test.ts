/** Ids that are cancelled, late, or come round again. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { multiplexed } from "../support/exchanges.ts"
import { start } from "../support/fibers.ts"
import { turns } from "../support/wait.ts"

const cancel = { request: (id: number) => `cancel ${id}`, answered: false }

it.live("what cancels a call is sent in front of the call that takes its place", () =>
  Effect.gen(function* () {
    const { client, server } = yield* multiplexed({ maxInFlight: 1, cancel })
    const first = yield* start(client.call("first"))
    assert.deepStrictEqual(yield* server.asked(1), ["1 first"])
    const second = yield* start(client.call("second"))
    yield* Fiber.interrupt(first)
    assert.deepStrictEqual(yield* server.asked(2), ["cancel 1", "2 second"])
    yield* server.answer("2 SECOND")
    assert.strictEqual(yield* Fiber.join(second), "2 SECOND")
  })
)

it.live("a late answer to a call that was cancelled is dropped, however many were cancelled since", () =>
  Effect.gen(function* () {
    const { client, server } = yield* multiplexed({ maxInFlight: 1, cancel })
    const cancelled = 1500
    for (let i = 0; i < cancelled; i++) {
      const call = yield* start(client.call("cancelled"))
      yield* Fiber.interrupt(call)
      yield* turns(1)
    }
    assert.strictEqual((yield* server.asked(2 * cancelled))[1], "cancel 1")
    yield* server.answer("1 LATE", `${cancelled} LATE`)
    const call = yield* start(client.call("last"))
    yield* server.asked(1)
    yield* server.answer(`${cancelled + 1} LAST`)
    assert.strictEqual(yield* Fiber.join(call), `${cancelled + 1} LAST`)
    // what was never asked is a violation all the same
    yield* server.answer(`${cancelled + 2} STRAY`)
    assert.strictEqual((yield* client.closed)._tag, "Lost")
  })
)

it.live("an id is not given out again right behind its answer, so that a second answer is nobody else's", () =>
  Effect.gen(function* () {
    const put = (request: string, id: number) => `${id} ${request}`
    const get = (answer: string) => Number.parseInt(answer, 10)
    const { client, server } = yield* multiplexed({ maxInFlight: 2, id: { put, get, range: [0, 5] } })
    const slow = yield* start(client.call("slow"))
    assert.deepStrictEqual(yield* server.asked(1), ["0 slow"])
    for (const id of [1, 2, 3, 4]) {
      const quick = yield* start(client.call("quick"))
      assert.deepStrictEqual(yield* server.asked(1), [`${id} quick`])
      yield* server.answer(`${id} QUICK`)
      yield* Fiber.join(quick)
    }
    const another = yield* start(client.call("another"))
    // the id that would come next is that of the slow one
    const next = yield* start(client.call("next"))
    yield* server.answer("0 SLOW", "0 SECOND")
    assert.strictEqual(yield* Fiber.join(slow), "0 SLOW")
    for (const call of [another, next]) {
      const error = yield* Effect.flip(Fiber.join(call))
      assert.strictEqual(error._tag === "RequestLost" && error.cause._tag, "ProtocolViolation")
    }
  })
)

it.live("what is not waited for any more has its place no longer, also where nothing says so to the peer", () =>
  Effect.gen(function* () {
    const { client, server } = yield* multiplexed({ maxInFlight: 1, cancel: { answered: false } })
    const first = yield* start(client.call("first"))
    const second = yield* start(client.call("second"))
    assert.deepStrictEqual(yield* server.asked(1), ["1 first"])
    yield* Fiber.interrupt(first)
    // nothing stands in front of the next
    assert.deepStrictEqual(yield* server.asked(1), ["2 second"])
    yield* server.answer("1 LATE", "2 SECOND")
    assert.strictEqual(yield* Fiber.join(second), "2 SECOND")
    assert.strictEqual(yield* client.inFlight, 0)
    // what was never asked is a violation all the same
    yield* server.answer("3 STRAY")
    assert.strictEqual((yield* client.closed)._tag, "Lost")
  })
)

it.effect("a peer that never answers costs nobody else the exchange, however often it does not", () =>
  Effect.gen(function* () {
    const { client, server } = yield* multiplexed({
      maxInFlight: 2,
      callTimeout: "1 second",
      cancel: { answered: false }
    })
    for (let i = 1; i <= 10; i++) {
      const call = yield* start(Effect.flip(client.call("lost")))
      assert.deepStrictEqual(yield* server.asked(1), [`${i} lost`])
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(call))._tag, "StreamTimeout")
    }
    const call = yield* start(client.call("found"))
    yield* server.asked(1)
    yield* server.answer("11 FOUND")
    assert.strictEqual(yield* Fiber.join(call), "11 FOUND")
  })
)
