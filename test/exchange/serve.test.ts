/** The side that answers. */
import { assert, describe, it } from "@effect/vitest"
import {
  type Connection,
  Exchange,
  type Frame,
  openConnection,
  startServer,
  StreamError,
  StreamReader
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Deferred, Effect, Exit, Fiber, Latch, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import { line } from "../support/exchanges.ts"
import { deathOf } from "../support/exits.ts"
import { start, waits } from "../support/fibers.ts"
import { Restless } from "../support/yieldingSchedulers.ts"

type Options<E> = Partial<Exchange.ServeOptions<string, string, E>>

/** A server of lines on one end of a pair, and the other end to ask by hand. */
const serving = <E>(
  handler: Exchange.Handler<string, string, E, never>,
  options?: Options<E>,
  pair?: TestNetwork.PairOptions
) =>
  Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair(pair)
    const serve = yield* start(Exchange.serve(right, { request: line, response: line, ...options }, handler))
    return {
      serve,
      ask: (...lines: ReadonlyArray<string>) => Effect.orDie(left.writer.writeFrames(line, lines)),
      answers: (count: number) => Effect.orDie(Effect.replicateEffect(left.reader.readFrame(line), count)),
      left
    }
  })

const shout = (word: string) => Effect.succeed(word.toUpperCase())

describe("answers", () => {
  it.effect("a value, a stream of them, or none; and an end once the peer has ended", () =>
    Effect.gen(function* () {
      const { answers, ask, left, serve } = yield* serving((word) =>
        Effect.succeed(word === "quiet" ? undefined : word === "many" ? Stream.make("1", "2", "3") : word.toUpperCase())
      )
      yield* ask("a", "many", "quiet", "b")
      assert.deepStrictEqual(yield* answers(5), ["A", "1", "2", "3", "B"])
      yield* left.writer.writeEof
      yield* Fiber.join(serve)
    })
  )

  it.effect("in the order of the requests, although handlers end in another", () =>
    Effect.gen(function* () {
      const { answers, ask } = yield* serving((word) => Effect.delay(shout(word), word === "slow" ? "1 second" : 0), {
        concurrency: 3
      })
      yield* ask("slow", "b", "c")
      const all = yield* start(answers(3))
      yield* TestClock.adjust("999 millis")
      assert.isTrue(waits(all))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(all), ["SLOW", "B", "C"])
    })
  )

  it.effect("as they are ready, each with the id of its request", () =>
    Effect.gen(function* () {
      const { answers, ask } = yield* serving((word) => Effect.delay(shout("x"), word === "1" ? "1 second" : 0), {
        concurrency: 3,
        order: "completion",
        id: { get: (request) => request, put: (response, id) => `${id} ${response}` }
      })
      yield* ask("1", "2", "3")
      assert.deepStrictEqual(yield* answers(2), ["2 X", "3 X"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* answers(1), ["1 X"])
    })
  )

  it.effect("parts of one answer are not mixed with those of the next, in the order of the requests", () =>
    Effect.gen(function* () {
      const parts = (word: string) =>
        Stream.mapEffect(Stream.make("1", "2"), (n) => Effect.delay(shout(word + n), "1 second"))
      const { answers, ask } = yield* serving((word) => Effect.succeed(parts(word)), { concurrency: 2 })
      yield* ask("a", "b")
      const all = yield* start(answers(4))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(all), ["A1", "A2", "B1", "B2"])
    })
  )
})

describe("bounds", () => {
  it.effect("no more handlers run than concurrency says, and nothing is read meanwhile", () =>
    Effect.gen(function* () {
      for (const concurrency of [1, 3]) {
        let running = 0
        let most = 0
        const { answers, ask } = yield* serving(
          (word) =>
            Effect.gen(function* () {
              most = Math.max(most, ++running)
              yield* Effect.sleep("1 second")
              running--
              return word.toUpperCase()
            }),
          { concurrency }
        )
        yield* ask(..."abcdefghij")
        const all = yield* start(answers(10))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.join(all), [..."ABCDEFGHIJ"])
        assert.strictEqual(most, concurrency)
      }
    })
  )

  it.effect("a peer that asks and does not read is held back", () =>
    Effect.gen(function* () {
      let handled = 0
      const { left } = yield* serving(
        (word) =>
          Effect.sync(() => {
            handled++
            return word
          }),
        {},
        {
          limit: 100,
          highWaterMark: 1000,
          lowWaterMark: 100,
          fromServer: { capacity: 100 },
          fromClient: { capacity: 100 }
        }
      )
      const asking = yield* start(Effect.forever(left.writer.writeFrame(line, "x".repeat(90))))
      yield* Effect.replicateEffect(Effect.yieldNow, 2000)
      assert.isTrue(waits(asking))
      assert.isBelow(handled, 100)
    })
  )
})

describe("a handler that fails", () => {
  it.effect("closes, where nothing else is said: serving fails as it did, and others are interrupted", () =>
    Effect.gen(function* () {
      for (const concurrency of [1, 3]) {
        let interrupted = false
        const { ask, serve } = yield* serving(
          (word) =>
            word === "bad"
              ? Effect.fail("no" as const)
              : Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true))),
          { concurrency }
        )
        yield* ask(...(concurrency === 1 ? ["bad"] : ["wait", "bad"]))
        assert.strictEqual(yield* Effect.flip(Fiber.join(serve)), "no")
        assert.strictEqual(interrupted, concurrency > 1)
      }
    })
  )

  it.live("of the last request makes serving fail, whoever runs in between", () =>
    Effect.gen(function* () {
      for (let seed = 0; seed < 60; seed++) {
        const serving = Effect.gen(function* () {
          const { left, right } = yield* TestNetwork.pair()
          const go = Latch.makeUnsafe(false)
          yield* right.writer.write("a\nb\nlast\n")
          yield* right.writer.writeEof
          const serve = Exchange.serve<string, string, string, never>(
            left,
            { request: line, response: line, concurrency: 3 },
            (request) => (request === "last" ? Effect.andThen(go.await, Effect.fail("no")) : Effect.succeed(request))
          )
          const fiber = yield* Effect.forkChild(serve, { startImmediately: true })
          yield* Effect.replicateEffect(Effect.yieldNow, 10)
          yield* go.open
          return yield* Effect.flip(Fiber.join(fiber))
        })
        const error = yield* Effect.provideService(Effect.scoped(serving), Scheduler.Scheduler, new Restless(seed))
        assert.strictEqual(error, "no", `seed ${seed}`)
      }
    })
  )

  it.effect("is answered, in its turn, with what onFailure makes of it; a defect too", () =>
    Effect.gen(function* () {
      for (const concurrency of [1, 4]) {
        const { answers, ask } = yield* serving<string>(
          (word) =>
            word === "bad"
              ? Effect.fail("no")
              : word === "worse"
                ? Effect.die(new Error("oh"))
                : word === "half"
                  ? Effect.succeed(Stream.concat(Stream.make("1"), Stream.fail("broke")))
                  : Effect.delay(shout(word), "1 second"),
          { concurrency, onFailure: (cause, request) => `error ${request}: ${String(Cause.squash(cause))}` }
        )
        yield* ask("a", "bad", "worse", "half", "b")
        const all = yield* start(answers(6))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.join(all), [
          "A",
          "error bad: no",
          "error worse: Error: oh",
          "1",
          "error half: broke",
          "B"
        ])
      }
    })
  )

  it.effect("an answer that cannot be written is not answered again", () =>
    Effect.gen(function* () {
      const { ask, serve } = yield* serving(() => Effect.succeed("a\nb"), { onFailure: () => "error" })
      yield* ask("a")
      assert.instanceOf(yield* Effect.flip(Fiber.join(serve)), StreamError.EncodeFailed)
    })
  )

  it.effect("a request that is none fails serving, with what was asked before answered", () =>
    Effect.gen(function* () {
      const { answers, ask, left, serve } = yield* serving(shout)
      yield* ask("a")
      yield* left.writer.write("half")
      yield* left.writer.writeEof
      assert.deepStrictEqual(yield* answers(1), ["A"])
      assert.instanceOf(yield* Effect.flip(Fiber.join(serve)), StreamError.IncompleteRead)
    })
  )
})

describe("a server that shuts down", () => {
  const serve = (handler: Exchange.Handler<string, string, never, never>) => (connection: Connection.Connection) =>
    Exchange.serve(connection, { request: line as Frame.Frame<string>, response: line, concurrency: 2 }, handler)

  it.live("ends at the next boundary: what was asked is answered, what has come in part is read, nothing else is", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const server = yield* startServer(
          { port: 7000 },
          serve((word) =>
            word === "slow"
              ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.delay(shout(word), "1 second"))
              : shout(word)
          )
        )
        const idle = yield* openConnection({ host: "x.example", port: 7000 })
        const busy = yield* openConnection({ host: "x.example", port: 7000 })
        const partly = yield* openConnection({ host: "x.example", port: 7000 })
        yield* idle.writer.write("a\n")
        assert.strictEqual(yield* idle.reader.readFrame(line), "A")
        yield* partly.writer.write("par")
        yield* busy.writer.write("slow\n")
        yield* Deferred.await(begun)
        const shutdown = yield* Effect.forkChild(server.shutdown(), { startImmediately: true })
        assert.strictEqual((yield* idle.reader.read(10)).length, 0)
        yield* partly.writer.write("tly\nand more\n")
        assert.strictEqual(yield* partly.reader.readFrame(line), "PARTLY")
        assert.strictEqual(yield* busy.reader.readFrame(line), "SLOW")
        yield* Fiber.join(shutdown)
        assert.strictEqual((yield* busy.reader.read(10)).length, 0)
      })
    )
  )
})

describe("a server that shuts down does not wait for a client that never stops asking", () => {
  for (const concurrency of [1, 4]) {
    it.live(`${concurrency} at once: what had come is answered, and nothing behind it`, () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const asked: Array<string> = []
          const server = yield* startServer({ port: 7000, gracePeriod: "1 hour" }, (connection) =>
            Exchange.serve(connection, { request: line, response: line, concurrency }, (word) =>
              Effect.suspend(() => {
                asked.push(word)
                return Effect.delay(shout(word), "1 second")
              })
            )
          )
          const { reader, writer } = yield* openConnection({ host: "x.example", port: 7000 })
          const answers = yield* start(Stream.runCollect(StreamReader.frames(reader, line)))
          // there is always a whole request behind the one that is handled, and a piece of the next one
          yield* writer.write("0\n1\n2\n3\n4\n5\n6\n7\n8\npie")
          yield* Effect.forkScoped(
            Effect.forever(Effect.andThen(writer.write("ce\nmore\nand more\npie"), Effect.sleep("100 millis")))
          )
          yield* Effect.sleep("50 millis")
          const report = yield* server.shutdown()
          assert.deepStrictEqual(report, { completed: 1, aborted: 0 })
          const all = yield* Fiber.join(answers)
          assert.deepStrictEqual(
            all,
            asked.map((word) => word.toUpperCase())
          )
          assert.deepStrictEqual(asked.slice(0, 9), ["0", "1", "2", "3", "4", "5", "6", "7", "8"])
          assert.deepStrictEqual(asked.slice(9), ["piece", "more", "and more", "piece"])
        })
      )
    )
  }
})

it.effect("interrupted, it interrupts its handlers, and the connection stays", () =>
  Effect.gen(function* () {
    let exit: Exit.Exit<unknown, unknown> | undefined
    const { ask, left, serve } = yield* serving(
      () => Effect.onExit(Effect.never, (end) => Effect.sync(() => (exit = end))),
      { concurrency: 2 }
    )
    yield* ask("a")
    yield* Effect.replicateEffect(Effect.yieldNow, 10)
    yield* Fiber.interrupt(serve)
    assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
    assert.isFalse(yield* left.writer.isClosing)
  })
)

it.effect("wrong arguments die with what is wrong", () =>
  Effect.gen(function* () {
    const { right } = yield* TestNetwork.pair()
    for (const [options, message] of [
      [{ concurrency: 0 }, /concurrency/],
      [{ order: "any" }, /order/],
      [{ onFailure: 7 }, /onFailure/],
      [{ id: { get: 7, put: 7 } }, /id.get/],
      [{ request: 7 }, /expected a Frame/],
      [{ response: 7 }, /expected a Frame/]
    ] as const) {
      const serve = Exchange.serve(right, { request: line, response: line, ...options } as never, shout as never)
      assert.match(yield* deathOf(serve), message)
    }
  })
)
