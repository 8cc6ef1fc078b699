/** Three runners of a cluster, each a process, over PostgreSQL and mutual TLS; and a program that calls them all the time. */
import { NodeNetwork } from "effect-byte-streams"
import { Cause, Clock, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { startPostgres } from "../../examples/gateway/postgres.ts"
import { client, database, identityOf, Ledger, tables } from "../cluster/programs/ledger.ts"
import { authority, type Certificate } from "./certificates.ts"
import { machines, runnerPort as port } from "./machines.ts"
import * as Program from "./program.ts"
import { temporaryDirectory } from "./temporary.ts"
import { eventually, eventuallyEffect, within } from "./wait.ts"

/** As many that each runner has some. */
const ledgers = Array.from({ length: 16 }, (_, index) => `ledger ${index}`)

/** The bound on silence: `shardLockExpiration` + `refreshAssignmentsInterval` + 3 seconds. */
export const bound = 13_000

const certify = (folder: string, hosts: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const write = (name: string, { cert, key }: Certificate) => {
      writeFileSync(join(folder, `${name}.pem`), cert)
      writeFileSync(join(folder, `${name}.key`), key)
    }
    writeFileSync(join(folder, "ca.pem"), authority.cert)
    write("server", await authority.issue({ name: "runner", names: hosts, usage: "server" }))
    write("client", await authority.issue({ name: "runner", usage: "client" }))
  })

/**
 * Makes a call again that was answered by an interruption: so does a runner that ends in good order, also where the call is
 * stored and will be handled.
 */
const insist = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchCause(call, (cause) => (Cause.hasInterruptsOnly(cause) ? insist(call) : Effect.failCause(cause)))

/** Starts them: each is the program `test/cluster/programs/runner.ts`. */
export const startRunners = Effect.fnUntraced(function* (program: string) {
  const folder = yield* temporaryDirectory
  const hosts = machines(3)
  yield* certify(folder, hosts)
  const socket = yield* startPostgres
  const services = yield* Layer.build(
    client(identityOf(folder, "client")).pipe(
      Layer.provideMerge(tables),
      Layer.provideMerge(database(socket)),
      Layer.provide(NodeNetwork.layer)
    )
  )
  const sql = yield* Effect.provideContext(SqlClient.SqlClient, services)
  const ledgerOf = yield* Effect.provideContext(Ledger.client, services)

  const start = (host: string) =>
    Effect.gen(function* () {
      const args = [program, host, String(port), socket, folder]
      const started = yield* Program.start(process.execPath, args, { patience: 30_000 })
      const line = yield* started.line
      if (line !== "ready") return yield* Effect.die(new Error(`${line}\n${started.stderr}`))
      return started
    })

  /** Until it has ledgers of its own, and each ledger somebody. */
  const takesPart = (host: string) =>
    eventuallyEffect(
      `${host} runs ledgers`,
      Effect.map(
        Effect.forEach(ledgers, (ledger) => insist(ledgerOf(ledger).Whose()), { concurrency: "unbounded" }),
        (runners) => runners.includes(`${host}:${port}`)
      ),
      40_000
    )

  const runners = yield* Effect.forEach(
    hosts,
    (host) => Effect.map(start(host), (started) => ({ host, program: started })),
    { concurrency: "unbounded" }
  )
  for (const { host } of runners) yield* takesPart(host)

  const acknowledged: Array<string> = []
  let stopped = false
  let last = 0
  const enter = (ledger: string) =>
    Effect.suspend(() => {
      const id = `${ledger}/${last++}`
      return Effect.map(insist(ledgerOf(ledger).Enter({ id })), () => void acknowledged.push(id))
    })
  const work = yield* Effect.forkScoped(
    Effect.forEach(
      ledgers,
      (ledger) => Effect.andThen(enter(ledger), Effect.sleep(50)).pipe(Effect.repeat({ while: () => !stopped })),
      { concurrency: "unbounded", discard: true }
    )
  )

  yield* eventually("they are at work", () => acknowledged.length > 200)

  return {
    runners,
    start,
    takesPart,
    /** Whether the health checks run in this one. */
    checksHealth: (runner: Program.Program) =>
      Effect.andThen(
        runner.send("?\n"),
        Effect.map(runner.line, (line) => line === "health")
      ),
    /** After a fault: how long it takes until each ledger has answered a call, stored or not, that was made since. */
    silence: Effect.gen(function* () {
      const begun = yield* Clock.currentTimeMillis
      yield* within(
        "every ledger answers",
        Effect.forEach(ledgers, (ledger) => Effect.andThen(enter(ledger), insist(ledgerOf(ledger).Whose())), {
          concurrency: "unbounded"
        }),
        bound
      )
      return (yield* Clock.currentTimeMillis) - begun
    }),
    /** Ends the calls; answers how many were acknowledged, which of those are in no table, and how many are there twice. */
    end: Effect.gen(function* () {
      stopped = true
      yield* within("the last calls are answered", Fiber.join(work), bound)
      const rows = yield* sql<{ id: string }>`SELECT id FROM entries`
      const entered = new Set(rows.map(({ id }) => id))
      return {
        acknowledged: acknowledged.length,
        missing: acknowledged.filter((id) => !entered.has(id)),
        twice: rows.length - entered.size
      }
    }).pipe(Effect.orDie)
  }
})

/** Waits until a process has ended by itself. */
export const ended = (runner: Program.Program): Effect.Effect<number | string> =>
  eventually(`${runner.name} ends`, () => runner.exit, 15_000)
