/** Talks to a server of its own: `redis-server` has to be installed. Usage: npm run example:redis */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Fiber, Redacted, Schedule, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { NodeNetwork, openConnection } from "effect-byte-streams"
import { Redis } from "./redis.ts"

const program = Effect.gen(function* () {
  const { makeTempDirectoryScoped } = yield* FileSystem.FileSystem
  const folder = yield* makeTempDirectoryScoped()
  const path = `${folder}/redis.sock`
  const server = ChildProcess.make(
    "redis-server",
    ["--port", "0", "--unixsocket", path, "--requirepass", "swordfish", "--save", "", "--dir", folder],
    { stdout: "ignore", stderr: "inherit", extendEnv: true, env: { PATH: `${process.env.PATH}:/usr/sbin` } }
  )
  const first = yield* server
  yield* Effect.retry(Effect.scoped(openConnection({ path })), { schedule: Schedule.spaced("20 millis"), times: 200 })
  const redis = yield* Redis.make({ path, password: Redacted.make("swordfish"), database: 3 })

  const keys = Array.from({ length: 1000 }, (_, i) => `key ${i}`)
  yield* Effect.forEach(keys, (key) => redis.set(key, `the value of ${key}`), { concurrency: "unbounded" })
  const values = yield* Effect.forEach(keys, redis.get, { concurrency: "unbounded" })
  yield* Console.log("each of 1,000 fibers has its own:", values[0], "…", values.at(-1))

  yield* Console.log(
    "a transaction:",
    yield* redis.multi([
      ["INCR", "n"],
      ["INCRBY", "n", 41],
      ["GET", "n"]
    ])
  )
  yield* Console.log("typed:", yield* redis.typed(Schema.Array(Schema.String))("SORT", "nothing"))
  yield* Console.log("refused:", (yield* Effect.flip(redis.call("INCR", "key 0"))).message)

  const news = yield* redis.subscribe("news")
  yield* redis.call("PUBLISH", "news", "hello")
  yield* Stream.runForEach(Stream.take(news, 1), (message) => Console.log("on the same connection:", message))

  yield* first.kill()
  yield* Console.log("the server is gone, and somebody asks")
  const asking = yield* Effect.forkChild(redis.call("DBSIZE"), { startImmediately: true })
  yield* server
  yield* Console.log("another one is there, and empty:", yield* Fiber.join(asking))
  yield* redis.call("PUBLISH", "news", "hello again")
  yield* Stream.runForEach(Stream.take(news, 1), (message) => Console.log("still subscribed:", message))
})

program.pipe(Effect.scoped, Effect.provide([NodeNetwork.layer, NodeServices.layer]), NodeRuntime.runMain)
