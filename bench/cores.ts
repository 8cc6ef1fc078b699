/**
 * What a second core brings: the same server in one process, in two that share a port (`reusePort`), and in two workers of
 * `node:cluster`.
 *
 * Each request costs the server far more than it costs the client, which is one more process: hashing 256 KiB. The three
 * take turns, and the median of their rounds counts. A machine with two cores has none for the client, so the second
 * process gets a little less than a core; one that has other things to do shows nothing.
 *
 * Usage: npm run bench:cores
 */
import { Effect, Option } from "effect"
import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import { type ChildProcess, fork } from "node:child_process"
import cluster from "node:cluster"
import { createHash } from "node:crypto"
import { createServer } from "node:net"
import { availableParallelism } from "node:os"

const rounds = 5
const secondsOfRound = 1.5
const connections = 64
const work = Buffer.alloc(256 * 1024, "x")

// ---------------------------------------------------------------------------
// the server
// ---------------------------------------------------------------------------

const serve = (port: number, reusePort: boolean) =>
  Effect.gen(function* () {
    yield* startServer({ host: "127.0.0.1", port, reusePort }, ({ reader, writer }) =>
      Effect.gen(function* () {
        for (let line = yield* reader.readLineText; Option.isSome(line); line = yield* reader.readLineText) {
          const hash = createHash("sha256").update(line.value).update(work).digest("hex")
          yield* writer.write(`${hash}\n`)
        }
      })
    )
    process.send?.("ready")
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), Effect.runFork)

// ---------------------------------------------------------------------------
// ways to run it
// ---------------------------------------------------------------------------

type Way = "one process" | "two processes, reusePort" | "two workers, node:cluster"

const untilReady = (child: ChildProcess) =>
  new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve())
    child.once("exit", (code) => reject(new Error(`a server ended (${code})`)))
  })

const start = (role: string, port: number) => fork(import.meta.filename, [role, String(port)])

/** Starts a server in one of the ways. */
const startIn = async (way: Way, port: number): Promise<ReadonlyArray<ChildProcess>> => {
  const processes =
    way === "one process"
      ? [start("alone", port)]
      : way === "two processes, reusePort"
        ? [start("shared", port), start("shared", port)]
        : [start("primary", port)]
  await Promise.all(processes.map(untilReady))
  return processes
}

/** The primary of a cluster: it tells when both of its workers listen. */
const primary = (port: number) => {
  cluster.setupPrimary({ args: ["alone", String(port)] })
  let ready = 0
  for (let i = 0; i < 2; i++) {
    cluster.fork().on("message", () => {
      if (++ready === 2) process.send?.("ready")
    })
  }
  process.once("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill("SIGTERM")
    process.exit(0)
  })
}

// ---------------------------------------------------------------------------
// the client
// ---------------------------------------------------------------------------

/** Answers a second, over connections that ask one question after the other. */
const measure = (port: number) =>
  Effect.gen(function* () {
    let answers = 0
    const begun = performance.now()
    const ends = begun + secondsOfRound * 1000
    const client = Effect.gen(function* () {
      const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port })
      while (performance.now() < ends) {
        yield* writer.write("question\n")
        yield* reader.readUntil("\n")
        answers++
      }
    })
    yield* Effect.all(
      Array.from({ length: connections }, () => Effect.scoped(client)),
      { concurrency: "unbounded" }
    )
    return answers / ((performance.now() - begun) / 1000)
  }).pipe(Effect.provide(NodeNetwork.layer), Effect.runPromise)

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { readonly port: number }
      server.close(() => resolve(port))
    })
  })

const median = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!

const compare = async () => {
  const ways: ReadonlyArray<Way> = ["one process", "two processes, reusePort", "two workers, node:cluster"]
  const results = new Map<Way, Array<number>>(ways.map((way) => [way, []]))
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) {
      const port = await freePort()
      const processes = await startIn(way, port)
      try {
        results.get(way)!.push(await measure(port))
      } finally {
        for (const process of processes) process.kill("SIGTERM")
      }
    }
  }
  const alone = median(results.get("one process")!)
  console.log(`answers a second, median of ${rounds} rounds, ${availableParallelism()} cores:`)
  for (const [way, answers] of results) {
    console.log(
      `  ${way.padEnd(26)} ${median(answers).toFixed(0).padStart(6)}   ${(median(answers) / alone).toFixed(2)}`
    )
  }
}

const [role, port] = process.argv.slice(2)
if (role === "alone") serve(Number(port), false)
else if (role === "shared") serve(Number(port), true)
else if (role === "primary") primary(Number(port))
else await compare()
