/** The client of Redis in examples/protocols, against a real server. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openConnection } from "effect-byte-streams"
import { Effect, Exit, Fiber, type Layer, Option, Redacted, Schema, Scope, Stream } from "effect"
import { exchange, type Options, Redis, RedisError } from "../../examples/protocols/redis.ts"
import { start, startAll } from "../support/fibers.ts"
import { needs } from "../support/peers.ts"
import { redisServer, redisServerAt } from "../support/redis.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { eventuallyEffect, within } from "../support/wait.ts"

const live = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Layer.Success<typeof NodeNetwork.layer>>) =>
  Effect.provide(Effect.scoped(effect), NodeNetwork.layer)

/** A client of a server of its own. */
const client = Effect.flatMap(redisServer, ({ path }) => Redis.make({ path }))

/** A server with a password, and the options of a client in its third database. */
const guarded = Effect.gen(function* () {
  const { path } = yield* redisServerAt(yield* temporaryDirectory, "--requirepass", "secret")
  const options: Options = { path, password: Redacted.make("secret"), database: 3 }
  return { options, path }
})

/** Loses the connections of others: commands about connections are for those who have one alone. */
const killOthers = (path: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const alone = yield* Effect.flatMap(openConnection({ path }), (connection) => exchange(connection, {}))
      yield* alone.callAll([
        ["HELLO", 3, "AUTH", "default", "secret"],
        ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
        ["CLIENT", "KILL", "TYPE", "pubsub"]
      ])
    })
  )

describe("the client of Redis, and redis-server", needs("redis-server"), () => {
  it.live("values of all kinds come as what they are, and refusals as errors with their code", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        yield* redis.set("text", "Zoë")
        assert.strictEqual(yield* redis.get("text"), "Zoë")
        assert.strictEqual(yield* redis.get("nobody"), null)
        const bytes = Uint8Array.of(0xff, 0, 0x0d, 0x0a)
        yield* redis.set("bytes", bytes)
        assert.deepStrictEqual(new Uint8Array((yield* redis.call("GET", "bytes")) as Uint8Array), bytes)
        assert.strictEqual((yield* Effect.flip(redis.get("bytes")))._tag, "SchemaError")
        yield* redis.call("HSET", "hash", "a", 1, "b", 2)
        assert.deepStrictEqual(
          yield* redis.call("HGETALL", "hash"),
          new Map([
            ["a", "1"],
            ["b", "2"]
          ])
        )
        yield* redis.call("SADD", "set", "x")
        assert.deepStrictEqual(yield* redis.call("SMEMBERS", "set"), new Set(["x"]))
        yield* redis.call("ZADD", "sorted", "1.5", "x")
        assert.deepStrictEqual(yield* redis.call("ZRANGE", "sorted", 0, -1, "WITHSCORES"), [["x", 1.5]])
        yield* redis.call("SET", "large", "9007199254740993")
        assert.strictEqual(yield* redis.call("INCR", "large"), 9007199254740994n)
        const truth = yield* redis.call("EVAL", "redis.setresp(3); return true", 0)
        assert.strictEqual(truth, true)
        const error = yield* Effect.flip(redis.call("INCR", "text"))
        assert.deepInclude({ ...error }, { _tag: "RedisError", code: "ERR" })
        const wrong = yield* Effect.flip(redis.call("LPUSH", "text", "x"))
        assert.deepInclude({ ...wrong }, { _tag: "RedisError", code: "WRONGTYPE" })
      })
    )
  )

  it.live("words of all lengths, in ASCII and not, are told with as many bytes as they have", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        const words = [0, 1, 30, 31, 32, 33, 98, 99, 100, 101, 5000].flatMap((length) =>
          ["", "é", "\u{1f600}"].flatMap((other) => [other + "x".repeat(length), "x".repeat(length) + other])
        )
        assert.deepStrictEqual(yield* redis.pipeline(words.map((word) => ["ECHO", word])), words)
        const many = Array.from({ length: 150 }, (_, i) => i % 7)
        assert.strictEqual(yield* redis.call("RPUSH", "many", ...many), many.length)
        assert.deepStrictEqual(yield* redis.call("LRANGE", "many", 0, -1), many.map(String))
      })
    )
  )

  it.live("an answer is of the type that a schema describes, or fails with what is wrong with it", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        yield* redis.call("HSET", "hash", "a", 1, "b", 2)
        const counts = redis.typed(Schema.ReadonlyMap(Schema.String, Schema.NumberFromString))
        assert.deepStrictEqual(
          yield* counts("HGETALL", "hash"),
          new Map([
            ["a", 1],
            ["b", 2]
          ])
        )
        assert.strictEqual((yield* Effect.flip(counts("HKEYS", "hash")))._tag, "SchemaError")
      })
    )
  )

  it.live("a value of ten million bytes goes there and comes back, as text and as bytes, beside other commands", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        const text = "0123456789".repeat(1_000_000)
        const bytes = new Uint8Array(10_000_000).fill(0xfe)
        const small = yield* startAll(Array.from({ length: 20 }, (_, i) => redis.call("ECHO", `${i}`)))
        yield* Effect.all([redis.set("text", text), redis.set("bytes", bytes)], { concurrency: "unbounded" })
        const [a, b, c] = yield* Effect.all(
          [redis.get("text"), redis.call("ECHO", "between"), redis.call("GET", "bytes")],
          { concurrency: "unbounded" }
        )
        assert.isTrue(a === text)
        assert.strictEqual(b, "between")
        assert.isTrue(Buffer.from(c as Uint8Array).equals(bytes))
        assert.deepStrictEqual(
          yield* Effect.forEach(small, Fiber.join),
          Array.from({ length: 20 }, (_, i) => `${i}`)
        )
      })
    )
  )

  it.live("a pipeline is answered in its order, with a refusal as a value where it was refused", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        const answers = yield* redis.pipeline([
          ["SET", "n", 1],
          ["INCR", "n"],
          ["LPUSH", "n", "x"],
          ["GET", "n"]
        ])
        assert.deepStrictEqual([answers[0], answers[1], answers[3]], ["OK", 2, "2"])
        assert.instanceOf(answers[2], RedisError)
        const many = yield* redis.pipeline(Array.from({ length: 5000 }, (_, i) => ["ECHO", i] as const))
        assert.deepStrictEqual(
          many,
          Array.from({ length: 5000 }, (_, i) => `${i}`)
        )
      })
    )
  )

  it.live(
    "a transaction is not mixed with the commands of others, and undone as a whole where one cannot be queued",
    () =>
      live(
        Effect.gen(function* () {
          const redis = yield* client
          const pair = redis.multi([
            ["INCR", "a"],
            ["INCR", "b"],
            ["MGET", "a", "b"]
          ])
          const meddling = redis.call("INCR", "a")
          const results = yield* Effect.all(
            Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? pair : meddling)),
            { concurrency: "unbounded" }
          )
          for (let i = 0; i < 100; i += 2) {
            const [a, b, seen] = results[i] as [number, number, ReadonlyArray<string>]
            assert.deepStrictEqual(seen, [`${a}`, `${b}`])
          }
          const refused = yield* Effect.flip(redis.multi([["INCR", "a"], ["NONSENSE"]]))
          assert.match(refused.message, /unknown command 'NONSENSE'/)
          assert.strictEqual(yield* redis.get("a"), "100")
          const partly = yield* redis.multi([
            ["SET", "text", "x"],
            ["INCR", "text"],
            ["GET", "text"]
          ])
          assert.instanceOf(partly[1], RedisError)
          assert.deepStrictEqual([partly[0], partly[2]], ["OK", "x"])
          const long = yield* Effect.flip(redis.multi(Array.from({ length: 1023 }, () => ["PING"] as const)))
          assert.deepInclude({ ...long }, { code: "LONG" })
        })
      )
  )

  it.live("messages come while commands are in flight, to all subscribers of their channel until those leave", () =>
    live(
      Effect.gen(function* () {
        const { path } = yield* redisServer
        const [redis, other] = yield* Effect.all([Redis.make({ path }), Redis.make({ path })])
        const sent = Array.from({ length: 500 }, (_, i) => `${i}`)
        const collect = (count: number) => (messages: Stream.Stream<string | Uint8Array, unknown>) =>
          start(Stream.runCollect(Stream.take(messages, count)))
        const first = yield* Effect.flatMap(redis.subscribe("news"), collect(500))
        const second = yield* Effect.scoped(
          Effect.gen(function* () {
            const fiber = yield* Effect.flatMap(redis.subscribe("news"), collect(500))
            const echoes = yield* startAll(sent.map((token) => redis.call("ECHO", token)))
            yield* Effect.forEach(sent, (message) => other.call("PUBLISH", "news", message), { concurrency: 50 })
            assert.deepStrictEqual(yield* Effect.forEach(echoes, Fiber.join), sent)
            return yield* within("all messages", Fiber.join(fiber))
          })
        )
        assert.sameMembers([...second], sent)
        assert.deepStrictEqual(yield* within("all messages", Fiber.join(first)), second)
        yield* Effect.scoped(redis.subscribe("brief"))
        yield* eventuallyEffect(
          "the channel is left",
          Effect.map(other.call("PUBSUB", "CHANNELS"), (channels) => JSON.stringify(channels) === '["news"]')
        )
      })
    )
  )

  it.live("a subscriber that takes nothing is told, and neither commands nor other subscribers wait for it", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        const slow = yield* redis.subscribe("news")
        const quick = yield* redis.subscribe("news")
        const counting = yield* start(
          Stream.runFold(
            Stream.take(quick, 3000),
            () => 0,
            (count) => count + 1
          )
        )
        for (let i = 0; i < 30; i++) {
          yield* redis.pipeline(Array.from({ length: 100 }, () => ["PUBLISH", "news", "x"] as const))
        }
        assert.strictEqual(yield* within("all messages", Fiber.join(counting)), 3000)
        const error = yield* Effect.flip(Stream.runDrain(slow))
        assert.deepInclude({ ...error }, { _tag: "RedisError", code: "SLOW" })
      })
    )
  )

  it.live("after its connection was killed it logs in, selects and subscribes again", () =>
    live(
      Effect.gen(function* () {
        const { options, path } = yield* guarded
        const redis = yield* Redis.make(options)
        const messages = yield* redis.subscribe("news")
        yield* redis.set("mine", "in 3")
        const listening = yield* start(Stream.runHead(messages))
        const blocked = yield* start(Effect.flip(redis.call("BLPOP", "nothing", 0)))
        yield* killOthers(path)
        assert.deepInclude(
          { ...(yield* within("the loss", Fiber.join(blocked))) },
          { _tag: "RequestLost", sent: "Maybe" }
        )
        assert.strictEqual(yield* within("an answer", redis.get("mine")), "in 3")
        const publisher = yield* Redis.make({ ...options, database: 0 })
        assert.strictEqual(yield* publisher.get("mine"), null)
        yield* publisher.call("PUBLISH", "news", "still here")
        assert.deepStrictEqual(yield* within("a message", Fiber.join(listening)), Option.some("still here"))
      })
    )
  )

  it.live("a server that stops and starts again is found, by callers that wait meanwhile as well", () =>
    live(
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const scope = yield* Scope.fork(yield* Effect.scope)
        const { path } = yield* Scope.provide(redisServerAt(directory), scope)
        const redis = yield* Redis.make({ path })
        const messages = yield* redis.subscribe("news")
        yield* Scope.close(scope, Exit.void)
        const waiting = yield* startAll(["a", "b"].map((token) => redis.call("ECHO", token)))
        yield* redisServerAt(directory)
        const answers = yield* within("the answers", Effect.forEach(waiting, Fiber.join))
        assert.deepStrictEqual(answers, ["a", "b"])
        assert.strictEqual(yield* redis.call("PUBLISH", "news", "again"), 1)
        assert.deepStrictEqual(yield* within("a message", Stream.runHead(messages)), Option.some("again"))
      })
    )
  )

  it.live("a wrong password, a database that is none and a server that is not there fail at once", () =>
    live(
      Effect.gen(function* () {
        const { options } = yield* guarded
        const wrong = yield* Effect.flip(Redis.make({ ...options, password: Redacted.make("guess") }))
        assert.deepInclude({ ...wrong }, { _tag: "RedisError", code: "WRONGPASS" })
        const none = yield* Effect.flip(Redis.make({ ...options, password: undefined }))
        assert.deepInclude({ ...none }, { _tag: "RedisError", code: "NOAUTH" })
        const beyond = yield* Effect.flip(Redis.make({ ...options, database: 99 }))
        assert.match(beyond.message, /out of range/)
        const absent = yield* Effect.flip(Redis.make({ path: `${options.path}.none` }))
        assert.strictEqual(absent._tag, "ConnectFailed")
      })
    )
  )

  it.live("callers that are interrupted leave their answers to nobody", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        let interrupted = 0
        const caller = (number: number) =>
          Effect.gen(function* () {
            for (let i = 0; i < 60; i++) {
              const token = `${number}:${i}`
              const call = yield* Effect.forkChild(
                i % 5 === 0
                  ? Effect.map(redis.multi([["ECHO", token]]), ([answer]) => answer)
                  : redis.call("ECHO", token),
                { startImmediately: true }
              )
              if ((number + i) % 3 === 0) {
                for (let turns = (number * i) % 7; turns > 0; turns--) yield* Effect.yieldNow
                yield* Fiber.interrupt(call)
              }
              const exit = yield* Fiber.await(call)
              if (Exit.isSuccess(exit)) assert.strictEqual(exit.value, token)
              else interrupted++
            }
          })
        yield* Effect.forEach(
          Array.from({ length: 32 }, (_, i) => i),
          caller,
          { concurrency: "unbounded" }
        )
        assert.isAbove(interrupted, 100)
      })
    )
  )

  it.live("commands that would change the connection for all are refused, and not sent", () =>
    live(
      Effect.gen(function* () {
        const redis = yield* client
        for (const name of ["SELECT", "multi", "Watch", "SUBSCRIBE", "punsubscribe", "CLIENT", "HELLO", "reset"]) {
          const error = yield* Effect.flip(redis.call(name, "x"))
          assert.deepInclude({ ...error }, { _tag: "RedisError", code: "UNSHARED" })
          assert.deepInclude({ ...(yield* Effect.flip(redis.pipeline([["PING"], [name]]))) }, { code: "UNSHARED" })
          assert.deepInclude({ ...(yield* Effect.flip(redis.multi([["PING"], [name]]))) }, { code: "UNSHARED" })
        }
        assert.strictEqual(yield* redis.call("PING"), "PONG")
      })
    )
  )

  it.live("is a service of a program, made by a layer", () =>
    live(
      Effect.gen(function* () {
        const { path } = yield* redisServer
        const program = Effect.flatMap(Redis, (redis) => redis.call("ECHO", "from the layer"))
        assert.strictEqual(yield* Effect.provide(program, Redis.layer({ path })), "from the layer")
      })
    )
  )
})
