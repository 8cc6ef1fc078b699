/**
 * Scenarios in which clients of Redis and MySQL have given one caller the answer of another, each under its number, against
 * a real server behind a slow network.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openConnection } from "effect-byte-streams"
import { Effect, Fiber, type Layer, Pool, type Scope } from "effect"
import { start, startAll } from "../support/fibers.ts"
import { needs } from "../support/peers.ts"
import { redisOver, redisServer, slowProxy } from "../support/redis.ts"

const behindProxy = Effect.gen(function* () {
  const { path } = yield* redisServer
  const { answers, port } = yield* slowProxy(path)
  const redis = yield* Effect.flatMap(openConnection({ host: "127.0.0.1", port }), redisOver)
  yield* redis.callAll([
    ["SET", "foo", "foo"],
    ["SET", "bar", "bar"]
  ])
  return { answers, port, redis }
})

const live = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Layer.Success<typeof NodeNetwork.layer>>) =>
  Effect.provide(Effect.scoped(effect), NodeNetwork.layer)

describe("a caller that is gone leaves its answer to nobody", needs("redis-server"), () => {
  it.live("redis/redis-py#2624: a GET that was cancelled while its answer was on the way", () =>
    live(
      Effect.gen(function* () {
        const { answers, redis } = yield* behindProxy
        yield* answers.close
        const cancelled = yield* start(redis.call(["GET", "foo"]))
        yield* Fiber.interrupt(cancelled)
        const others = yield* startAll([redis.call(["GET", "bar"]), redis.call(["PING"]), redis.call(["GET", "foo"])])
        yield* answers.open
        assert.deepStrictEqual(yield* Effect.forEach(others, Fiber.join), ["bar", "PONG", "foo"])
      })
    )
  )

  it.live("redis/redis-py#2665: a pipeline that was cancelled, then others, also in a pipeline", () =>
    live(
      Effect.gen(function* () {
        const { answers, redis } = yield* behindProxy
        yield* answers.close
        const cancelled = yield* start(
          redis.callAll([
            ["GET", "foo"],
            ["GET", "bar"],
            ["GET", "foo"]
          ])
        )
        yield* Fiber.interrupt(cancelled)
        const others = yield* startAll([
          redis.callAll([
            ["GET", "bar"],
            ["ECHO", "x"]
          ]),
          redis.callAll([
            ["GET", "foo"],
            ["ECHO", "y"]
          ])
        ])
        yield* answers.open
        assert.deepStrictEqual(yield* Effect.forEach(others, Fiber.join), [
          ["bar", "x"],
          ["foo", "y"]
        ])
      })
    )
  )

  it.live("long2ice/asyncmy#103: a query that was cancelled by a timeout, then another", () =>
    live(
      Effect.gen(function* () {
        const { answers, redis } = yield* behindProxy
        yield* answers.close
        assert.strictEqual((yield* Effect.option(Effect.timeout(redis.call(["GET", "foo"]), 20)))._tag, "None")
        const other = yield* start(redis.call(["GET", "bar"]))
        yield* answers.open
        assert.strictEqual(yield* Fiber.join(other), "bar")
      })
    )
  )

  it.live("NoneGG/aredis#171: a connection that goes back into its pool while an answer is on the way", () =>
    live(
      Effect.gen(function* () {
        const { answers, port } = yield* behindProxy
        const pool = yield* Pool.make({
          acquire: Effect.flatMap(openConnection({ host: "127.0.0.1", port }), redisOver),
          size: 1
        })
        const call = (command: ReadonlyArray<string>) =>
          Effect.scoped(Effect.flatMap(Pool.get(pool), (redis) => redis.call(command)))
        yield* call(["PING"])
        yield* answers.close
        const cancelled = yield* start(call(["GET", "foo"]))
        yield* Fiber.interrupt(cancelled)
        const other = yield* start(call(["GET", "bar"]))
        yield* answers.open
        assert.strictEqual(yield* Fiber.join(other), "bar")
      })
    )
  )

  it.live("ten thousand calls by 64 fibers, a third of them interrupted: each answer is that of its own request", () =>
    live(
      Effect.gen(function* () {
        const { path } = yield* redisServer
        const redis = yield* Effect.flatMap(openConnection({ path }), redisOver)
        const counts = { answered: 0, interrupted: 0 }
        const caller = (number: number) =>
          Effect.gen(function* () {
            for (let i = 0; i < 160; i++) {
              const token = `${number}:${i}`
              const call = yield* Effect.forkChild(redis.call(["ECHO", token]), { startImmediately: true })
              if ((number + i) % 3 === 0) {
                // at another point each time
                for (let turns = (number * i) % 7; turns > 0; turns--) yield* Effect.yieldNow
                const exit = yield* Fiber.interrupt(call).pipe(Effect.andThen(Fiber.await(call)))
                if (exit._tag === "Success") assert.strictEqual(exit.value, token)
                else counts.interrupted++
              } else {
                assert.strictEqual(yield* Fiber.join(call), token)
                counts.answered++
              }
            }
          })
        yield* Effect.forEach(
          Array.from({ length: 64 }, (_, i) => i),
          caller,
          { concurrency: "unbounded", discard: true }
        )
        assert.isAbove(counts.answered, 6000)
        assert.isAbove(counts.interrupted, 1000)
        yield* redis.call(["PING"])
        assert.strictEqual(yield* redis.inFlight, 0)
      })
    )
  )
})
