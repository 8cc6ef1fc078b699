/** The client of Redis in examples/protocols, beside those that programs use: what a command costs the client's process. */
import { spawnSync } from "node:child_process"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { onServerCore, ReaderProcess } from "../support/processes.ts"
import { startRedis } from "../support/redisServer.ts"
import { example, resultOf, type Worked } from "../support/protocols.ts"
import { sliced } from "../support/slices.ts"

const suites = [
  { id: "protocols-redis-get", way: "Callers", title: "64 callers" },
  { id: "protocols-redis-pipeline", way: "Pipeline", title: "pipelines of 64" }
]

export const names = suites.map(({ id }) => id)

const clients = [{ id: "ioredis", title: "ioredis" }, { id: "redis", title: "redis" }, example("redis.ts")]

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  for (const { id, title, way } of suites) {
    if (!wanted(options, id)) continue
    if (spawnSync("redis-server", ["--version"]).status !== 0) {
      console.warn(`${id}: there is no redis-server here`)
      continue
    }
    // on the core of the clients: to wake another one costs more than a command does, and not always as much
    const server = await startRedis(64, onServerCore)
    const readers = clients.map((client) => new ReaderProcess<number, Worked>("redis", client.id + way, server.path))
    let rounds: ReadonlyArray<ReadonlyArray<Worked>>
    try {
      rounds = await sliced(readers, options)
    } finally {
      await Promise.all(readers.map((reader) => reader.stop()))
      server.stop()
    }
    onResult(resultOf(id, `GET of 64 B from redis-server, ${title}`, clients, rounds))
  }
}
