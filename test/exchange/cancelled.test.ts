/** What becomes of calls that are cancelled, and are not answered for certain. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
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
