/** The client of Redis in examples/protocols, beside those that programs use: what a command costs the client's process. */
import { spawnSync } from "node:child_process"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { onServerCore, ReaderProcess } from "../support/processes.ts"
import { startRedis } from "../support/redisServer.ts"
import { entriesOf, sliced } from "../support/slices.ts"
import { median } from "../support/statistics.ts"

const suites = [
  { id: "redis-get-x64", way: "Callers", title: "64 callers" },
  { id: "redis-pipeline-64", way: "Pipeline", title: "pipelines of 64" }
]

export const names = suites.map(({ id }) => id)

/** Who is compared with, and the subject. */
const clients = [
  { id: "ioredis", title: "ioredis" },
  { id: "redis", title: "redis" },
  { id: "ours", title: "examples/protocols/redis.ts" }
]

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  for (const { id, title, way } of suites) {
    if (!wanted(options, id)) continue
    if (spawnSync("redis-server", ["--version"]).status !== 0) {
      console.warn(`${id}: there is no redis-server here`)
      continue
    }
    // on the core of the clients: to wake another one costs more than a command does, and not always as much
    const server = await startRedis(64, onServerCore)
    const readers = clients.map((client) => new ReaderProcess<number, number>("redis", client.id + way, server.path))
    let rounds: ReadonlyArray<ReadonlyArray<number>>
    try {
      rounds = await sliced(readers, options)
    } finally {
      await Promise.all(readers.map((reader) => reader.stop()))
      server.stop()
    }
    // the better of the others is what it is compared with
    const measured = clients
      .map((client, i) => ({ client, rounds: rounds[i]! }))
      .toSorted(
        (a, b) => Number(a.client.id === "ours") - Number(b.client.id === "ours") || median(a.rounds) - median(b.rounds)
      )
    onResult({
      id,
      title: `GET of 64 B from redis-server, ${title}`,
      unit: "µs of processor time",
      better: "less",
      entries: entriesOf(
        measured.map(({ client }) => client),
        measured.map(({ rounds }) => rounds)
      )
    })
  }
}
