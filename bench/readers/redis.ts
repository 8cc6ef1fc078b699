/**
 * The client of Redis in examples/protocols beside those that programs use: one way of it a process. Started with the way and the
 * path of the server's socket, it asks for values of 64 bytes, and counts the answers.
 */
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { Redis as IoRedis } from "ioredis"
import { createClient } from "redis"
import { Redis } from "../../examples/protocols/redis.ts"
import { type Work, workWhenAsked } from "./support/worked.ts"

const [way, path] = [process.argv[2]!, process.argv[3]!]

const callers = 64
const length = 64
const value = "x".repeat(64)

/** What is connected once, and asks until a moment: how many answers came. */
type Way = () => Promise<Work>

const isRight = (answer: unknown): void => {
  if (answer !== value) throw new Error(`${way}: answered ${String(answer)}`)
}

const areRight = (answers: ReadonlyArray<unknown>): void => {
  if (answers.length !== length) throw new Error(`${way}: ${answers.length} answers`)
  answers.forEach(isRight)
}

const connected = (): Promise<Effect.Success<ReturnType<typeof Redis.make>>> =>
  Redis.make({ path }).pipe(
    Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
    Effect.provide(NodeNetwork.layer),
    Effect.runPromise
  )

/** Many who ask for one value after the other. */
const asking =
  (get: () => Promise<unknown>) =>
  async (until: number): Promise<number> => {
    let answers = 0
    const caller = async (): Promise<void> => {
      while (performance.now() < until) {
        isRight(await get())
        answers++
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
    return answers
  }

/** One who asks for many at once. */
const pipelining =
  (get: () => Promise<ReadonlyArray<unknown>>) =>
  async (until: number): Promise<number> => {
    let answers = 0
    while (performance.now() < until) {
      areRight(await get())
      answers += length
    }
    return answers
  }

const ioredis = async (): Promise<IoRedis> => {
  const client = new IoRedis(path, { lazyConnect: true })
  await client.connect()
  return client
}

const redis = () => createClient({ RESP: 3, socket: { path, tls: false } }).connect()

const ways: Record<string, Way> = {
  exampleCallers: async () => {
    const { get } = await connected()
    return (until) => {
      let answers = 0
      const caller = Effect.gen(function* () {
        while (performance.now() < until) {
          isRight(yield* get("key"))
          answers++
        }
      })
      const all = Effect.all(
        Array.from({ length: callers }, () => caller),
        { concurrency: "unbounded", discard: true }
      )
      return Effect.runPromise(Effect.map(all, () => answers))
    }
  },
  ioredisCallers: async () => {
    const client = await ioredis()
    return asking(() => client.get("key"))
  },
  redisCallers: async () => {
    const client = await redis()
    return asking(() => client.get("key"))
  },
  examplePipeline: async () => {
    const { pipeline } = await connected()
    return (until) =>
      Effect.runPromise(
        Effect.gen(function* () {
          let answers = 0
          while (performance.now() < until) {
            areRight(yield* pipeline(Array.from({ length }, () => ["GET", "key"] as const)))
            answers += length
          }
          return answers
        })
      )
  },
  ioredisPipeline: async () => {
    const client = await ioredis()
    return pipelining(async () => {
      const pipeline = client.pipeline()
      for (let i = 0; i < length; i++) pipeline.get("key")
      const answers = await pipeline.exec()
      return answers!.map(([, answer]) => answer)
    })
  },
  redisPipeline: async () => {
    const client = await redis()
    return pipelining(async () => {
      const pipeline = client.multi()
      for (let i = 0; i < length; i++) pipeline.get("key")
      return pipeline.execAsPipeline()
    })
  }
}

workWhenAsked(ways[way]!())
