/** Calls: many fibers that ask a real server on one connection, beside the client of it that most programs use. */
import { spawnSync } from "node:child_process"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import { startRedis } from "../support/redisServer.ts"
import { entriesOf, sliced } from "../support/slices.ts"

/** The ways of `readers/calls.ts`, the one that is compared with first. */
const ways = [
  { id: "byHand1", title: "writeFrame and readFrame by hand, one caller" },
  { id: "call1", title: "Exchange, one caller" },
  { id: "call64", title: "Exchange, 64 callers" },
  { id: "ioredis1", title: "ioredis, one caller" },
  { id: "ioredis64", title: "ioredis, 64 callers" }
]

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  const id = "calls-redis-64"
  if (!wanted(options, id)) return
  if (spawnSync("redis-server", ["--version"]).status !== 0) {
    console.warn(`${id}: there is no redis-server here`)
    return
  }
  const server = await startRedis(64)
  const { path } = server
  const readers: Array<ReaderProcess<number, number>> = []
  let rounds: ReadonlyArray<ReadonlyArray<number>>
  try {
    for (const way of ways) readers.push(new ReaderProcess<number, number>("calls", way.id, path))
    rounds = await sliced(readers, options)
    const held = new ReaderProcess<number, number>("calls", "memory", path)
    readers.push(held)
    console.log(`a call in flight, with its fiber: ${Math.round(await held.ask(0))} bytes of the heap`)
  } finally {
    await Promise.all(readers.map((reader) => reader.stop()))
    server.stop()
  }
  onResult({
    id,
    title: "GET of 64 B from redis-server, one connection",
    unit: "1/s",
    better: "more",
    entries: entriesOf(ways, rounds)
  })
}
