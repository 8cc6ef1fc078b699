/** What the owner of a connection does with it, under an exchange that still uses it. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, Exchange, Frame, NodeNetwork } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Fiber, Scope } from "effect"
import { line, pipelined } from "../support/exchanges.ts"
import { start } from "../support/fibers.ts"
import { plainPair } from "../support/plainPair.ts"
import { asClient, asServer } from "../support/upgradedPair.ts"

const lines = Array.from({ length: 20 }, (_, i) => `${"x".repeat(50)}${i}`)
/** A peer that reads slowly: most of what is written waits here. */
const narrow = { fromClient: { capacity: 100 } }

describe("an owner that closes the connection in good order", () => {
  for (const [kind, of] of [
    ["of this library", (connection: Connection.Connection) => connection],
    [
      "of another kind",
      ({ abort, closed, info, reader, writer }: Connection.Connection) =>
        ({ abort, closed, info, reader, writer }) as Connection.Connection
    ]
  ] as const) {
    it.live(`${kind}: all that was sent arrives, and the end behind it`, () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const { left, right } = yield* TestNetwork.pair(narrow)
          const client = yield* Exchange.makePipelined(of(left), { request: line, response: line })
          for (const text of lines) yield* client.send(text)
          const closing = yield* start(left.writer.close)
          assert.deepStrictEqual(yield* Effect.replicateEffect(right.reader.readFrame(line), 20), lines)
          assert.strictEqual((yield* right.reader.read(1)).length, 0)
          assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
          const closed = yield* client.closed
          assert.isTrue(closed._tag === "Lost" && closed.cause._tag === "ClosedStream")
        })
      )
    )
  }

  it.live("what was written and waits to be sent may have been sent, and what comes behind was not", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { client, left, server } = yield* pipelined({ maxInFlight: 20 }, narrow)
        const calls = yield* Effect.forEach(lines, (text) => start(Effect.flip(client.call(text))))
        const waiting = yield* start(Effect.flip(client.call("waiting")))
        const closing = yield* start(left.writer.close)
        const late = yield* Effect.flip(client.call("late"))
        const sent = (error: Exchange.CallError) => error._tag === "RequestLost" && error.sent
        for (const call of calls) assert.strictEqual(sent(yield* Fiber.join(call)), "Maybe")
        assert.strictEqual(sent(yield* Fiber.join(waiting)), "No")
        assert.strictEqual(sent(late), "No")
        assert.deepStrictEqual(yield* server.asked(20), lines)
        assert.strictEqual((yield* server.reader.read(1)).length, 0)
        assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      })
    )
  )

  it.live("a scope of the exchange that is left by a failure meanwhile cuts nothing off", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair(narrow)
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(Exchange.makePipelined(left, { request: line, response: line }), scope)
        for (const text of lines) yield* client.send(text)
        const closing = yield* start(left.writer.close)
        yield* Scope.close(scope, Exit.fail("no"))
        assert.strictEqual((yield* Effect.replicateEffect(right.reader.readFrame(line), 20)).at(-1), lines.at(-1))
        assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      })
    )
  )

  it.live("a dialogue that fails with the end of another connection resets its own", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const other = yield* TestNetwork.pair()
        yield* other.left.writer.close
        const { client, server } = yield* pipelined()
        yield* Effect.flip(client.exclusive(() => other.left.reader.read(1)))
        assert.strictEqual((yield* Effect.flip(server.reader.read(1)))._tag, "ConnectionLost")
      })
    )
  )
})

it.live("an upgrade within a dialogue ends the exchange, and not the connection that came of it", () =>
  Effect.gen(function* () {
    const { client, peer } = yield* plainPair()
    const exchange = yield* Exchange.makePipelined(client, { request: line, response: line })
    const { left, right } = yield* Effect.all(
      { left: exchange.exclusive(() => client.startTls(asClient)), right: peer.startTls(asServer) },
      { concurrency: 2 }
    )
    const closed = yield* exchange.closed
    assert.isTrue(closed._tag === "Lost" && closed.cause._tag === "ClosedStream" && closed.cause.reason === "Upgraded")
    yield* left.writer.writeFrame(Frame.line({ maxBytes: 10 }), "hello")
    assert.strictEqual(yield* right.reader.readFrame(line), "hello")
  }).pipe(Effect.provide(NodeNetwork.layer))
)
