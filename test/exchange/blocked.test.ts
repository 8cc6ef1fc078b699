/** A peer that reads nothing, while all that is awaited of it is that it does. */
import { assert, describe, it } from "@effect/vitest"
import { Exchange } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Fiber } from "effect"
import * as Random from "../../src/internal/testing/random.ts"
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
        const calls = yield* start(
          Effect.ignore(Effect.retry(client.call("a"), { while: ({ _tag }) => _tag === "StreamTimeout" }))
        )
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

  it.live("those who waited have given up: time in which nobody waits is no stall", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { client, left } = yield* pipelined({ stallTimeout: "5 seconds", callTimeout: "2 seconds" }, narrow)
        left.writer.writeUnsafe(`${text}\n`.repeat(20))
        yield* client.send("full")
        yield* Effect.sleep("1 second")
        for (let i = 0; i < 2; i++) {
          assert.strictEqual((yield* Effect.flip(client.send("too late")))._tag, "StreamTimeout")
          yield* Effect.sleep("1 hour")
        }
        const closed = yield* start(client.closed)
        assert.isTrue(waits(closed))
        // all in all five seconds
        const last = yield* start(client.send("too late"))
        yield* Effect.sleep("900 millis")
        assert.isTrue(waits(closed) && waits(last))
        yield* Effect.sleep("200 millis")
        assert.isFalse(waits(closed) || waits(last))
      })
    )
  )

  it.live("a dialogue behind answers of this side: a peer that does not read them is given up, a slow one is not", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const peerOf = (left: TestNetwork.Pair["left"]) =>
          Exchange.makePeer(
            left,
            {
              message: line,
              isRequest: (message) => message.startsWith("?"),
              id: { put: (message, id) => `${id} ${message}`, get: (message) => Number.parseInt(message, 10) },
              stallTimeout: "5 seconds"
            },
            () => Effect.succeed(text.repeat(20))
          )
        const stalled = yield* TestNetwork.pair(narrow)
        const slow = yield* TestNetwork.pair(narrow)
        const peers = { stalled: yield* peerOf(stalled.left), slow: yield* peerOf(slow.left) }
        yield* stalled.right.writer.writeFrames(line, ["?", "?"])
        yield* slow.right.writer.writeFrames(line, ["?", "?"])
        yield* Effect.sleep("1 second")
        const nothing = Effect.void
        // one that is not waited for any more, either
        yield* Effect.timeoutOption(
          peers.stalled.exclusive(() => nothing),
          "1 second"
        )
        yield* Effect.sleep("1 minute")
        const dialogue = yield* start(peers.stalled.exclusive(() => nothing))
        yield* Effect.sleep("4900 millis")
        assert.isTrue(waits(dialogue))
        yield* Effect.sleep("200 millis")
        assert.strictEqual((yield* Effect.flip(Fiber.join(dialogue)))._tag, "RequestLost")
        const closed = yield* start(peers.slow.closed)
        const begun = yield* start(peers.slow.exclusive(() => Effect.sleep("1 hour")))
        for (let left = 2000 + 2; left > 0;) {
          left -= (yield* slow.right.reader.read(50))!.length
          yield* Effect.sleep("1 second")
        }
        yield* Effect.sleep("59 minutes")
        assert.isTrue(waits(begun) && waits(closed))
        yield* Effect.sleep("1 minute")
        yield* Fiber.join(begun)
        assert.isTrue(waits(closed))
      })
    )
  )
})

type Client = Exchange.Exchange<string, string>

/** A peer that reads slowly, answers what it has read, and stops reading at last; and callers who come, and give up. */
const atRandom = (seed: number, stops: boolean) => {
  const random = Random.make(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const chance = (probability: number): boolean => random() < probability
  const text = () => "x".repeat(below(200))
  const id = {
    put: (message: string, id: number) => `${id} ${message}`,
    get: (message: string) => Number.parseInt(message, 10)
  }
  const options = {
    stallTimeout: "10 seconds",
    callTimeout: 1000 + below(20_000),
    maxInFlight: 1 + below(5),
    id
  } as const
  const cancel = chance(0.5) ? ({ answered: false } as const) : undefined
  const lines = { request: line, response: line, cancel, ...options }
  const asks = { message: line, isRequest: (message: string) => message.startsWith("?"), ...options }

  return Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair({
      limit: 64,
      highWaterMark: 50 + below(300),
      fromClient: { capacity: 50 + below(300) }
    })
    const isPeer = chance(0.5)
    const client: Client = isPeer
      ? yield* Exchange.makePeer(left, asks, () => Effect.succeed("z".repeat(below(500))))
      : yield* Exchange.makeMultiplexed(left, lines)
    let stopped = false
    const unlessStopped = Effect.suspend(() => (stopped ? Effect.never : Effect.void))
    const readOne = Effect.gen(function* () {
      yield* unlessStopped
      const message = yield* right.reader.readFrame(line)
      yield* Effect.sleep(below(800))
      yield* unlessStopped
      if (/^\d+ call/.test(message)) yield* right.writer.writeFrame(line, `${Number.parseInt(message, 10)} answer`)
      // not in this fiber: it reads on while its own requests wait
      if (isPeer && chance(0.25)) yield* start(Effect.ignore(right.writer.writeFrame(line, "?")))
    })
    yield* start(Effect.ignore(Effect.forever(readOne)))

    const callers: Array<Fiber.Fiber<unknown, unknown>> = []
    for (let i = 0; i < 25; i++) {
      const kind = below(6)
      if (kind === 0) yield* start(Effect.ignore(client.exclusive(() => Effect.sleep(chance(0.25) ? 40_000 : 1000))))
      else callers.push(yield* start(Effect.exit(kind < 3 ? client.send(text()) : client.call(`call ${text()}`))))
      if (chance(0.3)) yield* Effect.sleep(below(20_000))
      if (chance(0.2) && callers.length > 0) yield* Fiber.interrupt(callers[below(callers.length)]!)
      if (chance(0.05)) yield* Effect.sleep("10 minutes")
    }
    const closed = yield* start(client.closed)
    stopped = stops
    const again = { while: ({ _tag }: { readonly _tag: string }) => _tag === "StreamTimeout" }
    const ask = stops ? Effect.forever(Effect.retry(client.send("x".repeat(100)), again)) : Effect.void
    yield* start(Effect.ignore(ask))
    yield* Effect.sleep("10 minutes")
    assert.strictEqual(waits(closed), !stops, `seed ${seed}`)
    assert.isFalse(callers.some(waits), `seed ${seed}`)
  })
}

describe("stallTimeout, at random", () => {
  for (const stops of [false, true]) {
    it.live(stops ? "a peer that reads no more is given up" : "a peer that reads slowly is not given up", () =>
      Effect.gen(function* () {
        for (let seed = 1; seed <= 100; seed++) yield* TestNetwork.simulate(atRandom(seed, stops))
      })
    )
  }
})
