/**
 * A runner of a cluster: its rooms write down each message that they handle, in a table.
 *
 * Usage: node runner.ts HOST PORT DATABASE FOLDER
 *
 * Prints `ready`, and, for each line that it reads, whether the health checks run here. SIGTERM ends it in good order.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, References } from "effect"
import { EntityId, Sharding } from "effect/cluster"
import { NodeNetwork } from "effect-byte-streams"
import { createInterface } from "node:readline"
import { database, identityOf, LedgerLive, runner } from "./ledger.ts"

const [host, port, socket, folder] = process.argv.slice(2) as [string, string, string, string]

const told = Layer.effectDiscard(
  Effect.gen(function* () {
    const sharding = yield* Sharding.Sharding
    const health = sharding.getShardId(EntityId.make("effect/cluster/Sharding/RunnerHealth"), "default")
    createInterface(process.stdin).on("line", () => console.log(sharding.hasShardId(health) ? "health" : "no health"))
    console.log("ready")
  })
)

Layer.launch(
  told.pipe(
    Layer.provide(LedgerLive(`${host}:${port}`)),
    Layer.provide(runner({ host, port: Number(port) }, identityOf(folder, "server"), identityOf(folder, "client"))),
    Layer.provide(database(socket)),
    Layer.provide(NodeNetwork.layer)
  )
).pipe(Effect.orDie, Effect.provideService(References.MinimumLogLevel, "Error"), NodeRuntime.runMain)
