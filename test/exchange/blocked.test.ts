/** A peer that reads nothing, while all that is awaited of it is that it does. */
import { assert, describe, it } from "@effect/vitest"
import { Exchange } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Fiber } from "effect"
import { line, pipelined } from "../support/exchanges.ts"
import { start, waits } from "../support/fibers.ts"

const narrow = { limit: 64, highWaterMark: 100, fromClient: { capacity: 100 } }
const text = "x".repeat(50)
const sends = (client: Exchange.Exchange<string, string>, count: number) =>
  start(Effect.replicateEffect(client.send(text), count))

describe("stallTimeout, with nothing in flight and no room to write", () => {
  it.live("a peer that takes nothing is given up, also where callers come and go; what waited was not sent", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { client } = yield* pipelined({ stallTimeout: "5 seconds", callTimeout: "3 seconds" }, narrow)
        const sending = yield* sends(client, 10)
        yield* Effect.sleep("1 second")
        const calls = yield* start(Effect.ignore(Effect.forever(client.call("a"))))
        yield* Effect.sleep("1 minute")
        const closed = yield* Effect.timeout(client.closed, "1 second")
        assert.isTrue(closed._tag === "Lost" && closed.cause._tag === "StreamTimeout")
        const error = yield* Effect.flip(Fiber.join(sending))
        assert.isFalse(waits(calls))
        assert.isTrue(error._tag === "StreamTimeout" || (error._tag === "RequestLost" && error.sent === "No"))
      })
    )
  )

  it.live("one that takes it slowly is not, and has its whole time to answer behind that", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { client, left, server } = yield* pipelined({ stallTimeout: "5 seconds" }, narrow)
        left.writer.writeUnsafe(`${text}\n`.repeat(20))
        yield* client.send(text)
        const call = yield* start(client.call("a"))
        for (let i = 0; i < 21; i++) {
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual(yield* server.asked(1), [text])
        }
        assert.deepStrictEqual(yield* server.asked(1), ["a"])
        yield* Effect.sleep("900 millis")
        yield* server.answer("A")
        assert.strictEqual(yield* Fiber.join(call), "A")
        // nothing is awaited any more
        yield* Effect.sleep("1 hour")
        assert.strictEqual(yield* client.inFlight, 0)
        const last = yield* start(client.call("b"))
        yield* server.asked(1)
        yield* Effect.sleep("4 seconds")
        yield* server.answer("B")
        assert.strictEqual(yield* Fiber.join(last), "B")
      })
    )
  )

  it.live("nobody waits, or a dialogue has the connection: that is no stall", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair(narrow)
        const client = yield* Exchange.makePipelined(left, { request: line, response: line, stallTimeout: "5 seconds" })
        left.writer.writeUnsafe(`${text}\n`.repeat(20))
        yield* client.send("full")
        yield* Effect.sleep("1 minute")
        const dialogue = yield* start(client.exclusive(() => Effect.sleep("1 minute")))
        const waiting = yield* start(client.send("behind"))
        yield* Effect.sleep("59 seconds")
        assert.isTrue(waits(dialogue))
        yield* Effect.sleep("2 seconds")
        assert.isFalse(waits(dialogue))
        assert.isTrue(waits(waiting))
        const read = yield* Effect.replicateEffect(right.reader.readFrame(line), 22)
        assert.deepStrictEqual(read.slice(-2), ["full", "behind"])
        yield* Fiber.join(waiting)
      })
    )
  )
})
