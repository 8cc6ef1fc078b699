/** Workers of a `node:cluster` that listen on one Unix socket. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openUnixConnection, startUnixServer } from "effect-byte-streams"
import { Effect } from "effect"
import { existsSync, lstatSync, readdirSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { text } from "../support/bytes.ts"
import { start } from "../support/program.ts"
import { leaveStale } from "../support/staleSocket.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"

const program = fileURLToPath(new URL("./programs/cluster.ts", import.meta.url))

interface Options {
  readonly policy?: "rr" | "none"
  readonly mode?: number
  readonly exclusive?: boolean
  readonly alone?: boolean
}

/** Starts a cluster; answers it, and what became of each of its workers. */
const cluster = (path: string, workers: number, { policy = "rr", ...options }: Options = {}) =>
  Effect.gen(function* () {
    const child = yield* start(process.execPath, [program, path, policy, String(workers), JSON.stringify(options)])
    const became: Array<string> = []
    for (let i = 0; i < workers; i++) became.push((yield* child.line).slice(2))
    const tell = (what: "stop" | "kill", worker: number) =>
      Effect.gen(function* () {
        yield* child.send(`${what} ${worker}\n`)
        assert.strictEqual(yield* child.line, `${worker} ${what === "stop" ? "stopped" : "killed"}`)
      })
    return { became, tell }
  })

const greetingOf = (path: string) =>
  Effect.scoped(Effect.flatMap(openUnixConnection(path), ({ reader }) => Effect.map(reader.readLine, text)))

/** Waits until each of these has served somebody. */
const served = (path: string, workers: ReadonlyArray<number>) => {
  const missing = new Set(workers.map((worker) => `${worker}\n`))
  return eventuallyEffect(
    "each worker serves somebody",
    Effect.map(greetingOf(path), (greeting) => {
      missing.delete(greeting)
      return missing.size === 0
    })
  )
}

const isGone = (path: string) => eventually("the path is removed", () => !existsSync(path))

describe("workers of a cluster, of which each starts a server on the same path", () => {
  it.live("they share it, whoever stops; the last one's path is removed", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { became, tell } = yield* cluster(path, 3)
      assert.deepStrictEqual(became, ["listens", "listens", "listens"])
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
      yield* served(path, [1, 2, 3])
      yield* tell("stop", 1)
      yield* tell("kill", 2)
      yield* served(path, [3])
      for (let i = 0; i < 5; i++) assert.strictEqual(yield* greetingOf(path), "3\n")
      yield* tell("stop", 3)
      yield* isGone(path)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("they share it where each of them accepts by itself", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { became, tell } = yield* cluster(path, 2, { policy: "none" })
      assert.deepStrictEqual(became, ["listens", "listens"])
      assert.include(["1\n", "2\n"], yield* greetingOf(path))
      yield* tell("stop", 2)
      assert.strictEqual(yield* greetingOf(path), "1\n")
      yield* tell("kill", 1)
      yield* isGone(path)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a stale path is replaced, once", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* leaveStale(path)
      const { became } = yield* cluster(path, 3)
      assert.deepStrictEqual(became, ["listens", "listens", "listens"])
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
      yield* served(path, [1, 2, 3])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a path that somebody else listens on is refused to all, and stays with them", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, ({ writer }) => writer.write("other\n"))
      const { became } = yield* cluster(path, 2)
      assert.deepStrictEqual(became, ["AddressInUse", "AddressInUse"])
      assert.strictEqual(yield* greetingOf(path), "other\n")
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("exclusive: the first one has it for itself", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { became } = yield* cluster(path, 2, { exclusive: true })
      assert.deepStrictEqual(became.toSorted(), ["AddressInUse", "listens"])
      assert.include(["1\n", "2\n"], yield* greetingOf(path))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("mode: the permissions of the path that they share", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { became } = yield* cluster(path, 2, { mode: 0o606 })
      assert.deepStrictEqual(became, ["listens", "listens"])
      assert.strictEqual(lstatSync(path).mode & 0o777, 0o606)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an abstract name is shared as well", () =>
    Effect.gen(function* () {
      // no argument of a program can hold a NUL: it puts it in front itself
      const name = `effect-byte-streams-${process.pid}-${Math.random()}`
      const { became, tell } = yield* cluster(`@${name}`, 2)
      assert.deepStrictEqual(became, ["listens", "listens"])
      yield* served(`\0${name}`, [1, 2])
      yield* tell("stop", 1)
      assert.strictEqual(yield* greetingOf(`\0${name}`), "2\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const kind of ["Unix", "TCP"]) {
    it.live(`${kind}: one that has left the cluster listens by itself, and does not wait for the primary`, () =>
      Effect.gen(function* () {
        const path = kind === "Unix" ? yield* socketPath() : ""
        const { became } = yield* cluster(path, 1, { alone: true })
        assert.deepStrictEqual(became, ["listens"])
        if (path !== "") assert.strictEqual(yield* greetingOf(path), "1\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})
