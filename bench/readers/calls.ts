/**
 * Asking a `redis-server` for a value of 64 bytes on one connection: one way of it a process. Started with the way and the path
 * of the server's socket, it answers each message, a number of milliseconds, with how many answers a second it gets.
 */
import { openConnection } from "effect-byte-streams"
import * as Exchange from "effect-byte-streams/Exchange"
import * as Frame from "effect-byte-streams/Frame"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { Redis } from "ioredis"
import { setImmediate as nextTurn } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const [way, path] = [process.argv[2]!, process.argv[3]!]

const callers = 64

/** What `GET` is answered with: bulk text. */
const crlf = Frame.literal("\r\n")
const bulk = Frame.transform(
  Frame.tuple(Frame.lengthPrefixed(Frame.integerText({ end: "\r\n" }), { maxBytes: 65_536 }, Frame.utf8Rest), crlf),
  { decode: ([text]) => text, encode: (text: string) => [text, undefined] as const }
)
const reply: Frame.Frame<string> = Frame.union(
  Frame.uint8,
  { 36: bulk, 43: Frame.line({ maxBytes: 100, end: "crlf" }) },
  { tagOf: () => 36 }
)

const command = Frame.encoder<ReadonlyArray<string>>({
  encode: (sink, words) => {
    let text = `*${words.length}\r\n`
    for (const word of words) text += `$${word.length}\r\n${word}\r\n`
    sink.text(text)
  }
})

const get: ReadonlyArray<string> = ["GET", "key"]

/** What is connected once, and asks until a moment: how many answers came. */
type Way = () => Promise<(until: number) => Promise<number>>

const connected = <A>(
  make: (connection: Effect.Success<ReturnType<typeof openConnection>>) => Effect.Effect<A, never, Scope.Scope>
) =>
  Effect.flatMap(openConnection({ path }), make).pipe(
    Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
    Effect.provide(NodeNetwork.layer),
    Effect.runPromise
  )

const many =
  (count: number): Way =>
  async () => {
    const redis = await connected((connection) =>
      Exchange.makePipelined(connection, { request: command, response: reply })
    )
    return (until) => {
      let answers = 0
      const caller = Effect.gen(function* () {
        while (performance.now() < until) {
          yield* redis.call(get)
          answers++
        }
      })
      const all = Effect.all(
        Array.from({ length: count }, () => caller),
        { concurrency: "unbounded", discard: true }
      )
      return Effect.runPromise(Effect.map(all, () => answers))
    }
  }

const ways: Record<string, Way> = {
  byHand1: async () => {
    const { reader, writer } = await connected(Effect.succeed)
    return (until) =>
      Effect.runPromise(
        Effect.gen(function* () {
          let answers = 0
          while (performance.now() < until) {
            yield* writer.writeFrame(command, get)
            yield* reader.readFrame(reply)
            answers++
          }
          return answers
        })
      )
  },
  call1: many(1),
  call64: many(callers),
  ioredis1: async () => {
    const redis = new Redis(path, { lazyConnect: true })
    await redis.connect()
    return async (until) => {
      let answers = 0
      while (performance.now() < until) {
        await redis.get("key")
        answers++
      }
      return answers
    }
  },
  ioredis64: async () => {
    const redis = new Redis(path, { lazyConnect: true })
    await redis.connect()
    return async (until) => {
      let answers = 0
      const caller = async (): Promise<void> => {
        while (performance.now() < until) {
          await redis.get("key")
          answers++
        }
      }
      await Promise.all(Array.from({ length: callers }, caller))
      return answers
    }
  }
}

/** How many bytes of the heap a call takes that waits for its answer, with the fiber that makes it. */
const memory = async (): Promise<number> => {
  setFlagsFromString("--expose-gc")
  const gc = runInNewContext("gc") as () => void
  const count = 20_000
  const redis = await connected((connection) =>
    Exchange.makePipelined(connection, { request: command, response: reply, maxInFlight: 2 * count })
  )
  const measure = (): number => {
    gc()
    gc()
    return process.memoryUsage().heapUsed
  }
  // it is answered never, and all behind it neither
  Effect.runFork(redis.call(["BLPOP", "nobody", "0"]))
  const before = measure()
  for (let i = 0; i < count; i++) Effect.runFork(redis.call(get))
  // a connection sends its share of a turn, and then waits for the next one
  for (let turn = 0; turn < 1000 && (await Effect.runPromise(redis.inFlight)) <= count; turn++) await nextTurn()
  const inFlight = await Effect.runPromise(redis.inFlight)
  if (inFlight <= count) throw new Error(`of ${count + 1} calls only ${inFlight} are in flight`)
  return (measure() - before) / count
}

const begun = way === "memory" ? undefined : ways[way]!()

process.on("message", async (millis: number) => {
  if (begun === undefined) {
    process.send!(await memory())
    return
  }
  const ask = await begun
  const from = performance.now()
  const answers = await ask(from + millis)
  process.send!((answers / (performance.now() - from)) * 1000)
})

process.on("disconnect", () => process.exit())
