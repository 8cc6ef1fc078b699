/** What runners and the tests that drive them share: an entity, the cluster that it lives in, and where both are stored. */
import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Option, Redacted, Schema } from "effect"
import {
  ClusterSchema,
  Entity,
  RunnerAddress,
  RunnerHealth,
  Runners,
  ShardingConfig,
  SocketRunner,
  SqlMessageStorage,
  SqlRunnerStorage
} from "effect/cluster"
import { Rpc, RpcSerialization } from "effect/rpc"
import { SqlClient } from "effect/sql"
import { ClusterStreams } from "effect-byte-streams"
import { readFileSync } from "node:fs"
import { join } from "node:path"

export const Ledger = Entity.make("Ledger", [
  /** Writes a message down. Answers who did. */
  Rpc.make("Enter", { payload: { id: Schema.String }, primaryKey: ({ id }) => id, success: Schema.String })
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.Uninterruptible, true),
  /** Answers who runs the ledger. Is not stored. */
  Rpc.make("Whose", { success: Schema.String })
])

export const LedgerLive = (runner: string) =>
  Ledger.toLayer(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { entityId } = yield* Entity.CurrentAddress
      return Ledger.of({
        Enter: ({ payload: { id } }) =>
          sql`INSERT INTO entries (ledger, id, runner) VALUES (${entityId}, ${id}, ${runner})`.pipe(
            Effect.as(runner),
            Effect.orDie
          ),
        Whose: () => Effect.succeed(runner)
      })
    })
  )

/** The bounds of the issue: nine seconds until a lock expires, one between two looks at who is there. */
export const timing = {
  shardLockExpiration: "9 seconds",
  refreshAssignmentsInterval: "1 second",
  runnerHealthCheckInterval: "5 seconds",
  entityMessagePollInterval: "1 second"
} as const

export const database = (path: string) =>
  PgClient.layer({
    path,
    username: "postgres",
    database: "postgres",
    maxConnections: 8,
    // a runner that stands still in the middle of a transaction would hold its locks on rows for as long
    startupParameters: { idle_in_transaction_session_timeout: "3000" }
  })

/** Makes the tables, of which several runners would otherwise make the same. */
export const tables = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE entries (ledger TEXT, id TEXT, runner TEXT)`
  })
).pipe(Layer.provideMerge([SqlMessageStorage.layerMigrations({}), SqlRunnerStorage.layerMigrations({})]))

export interface Identity {
  readonly ca: string
  readonly identity: { readonly cert: string; readonly key: Redacted.Redacted<string> }
}

/** The files `ca.pem`, `NAME.pem` and `NAME.key` of a folder. */
export const identityOf = (folder: string, name: string): Identity => {
  const read = (file: string) => readFileSync(join(folder, file), "utf8")
  return {
    ca: read("ca.pem"),
    identity: { cert: read(`${name}.pem`), key: Redacted.make(read(`${name}.key`)) }
  }
}

const storage = SqlMessageStorage.layerStorage({}).pipe(Layer.provide(NodeCrypto.layerDigest))
const serialization = RpcSerialization.layerSchemaBinary()

export const runner = (
  { host, port }: { readonly host: string; readonly port: number },
  asServer: Identity,
  asClient: Identity
) => {
  const protocol = ClusterStreams.layerClientProtocol({ tls: asClient })
  const health = RunnerHealth.layerPing.pipe(Layer.provide(Runners.layerRpc), Layer.provide(protocol))
  return SocketRunner.layer.pipe(
    Layer.provide([
      ClusterStreams.layerSocketServer({ tls: { ...asServer, clientCertificate: "require" } }),
      protocol,
      health
    ]),
    Layer.provideMerge(storage),
    Layer.provide(SqlRunnerStorage.layerStorage({})),
    Layer.provide(ShardingConfig.layer({ ...timing, runnerAddress: Option.some(RunnerAddress.make(host, port)) })),
    Layer.provide(serialization)
  )
}

/** One who calls ledgers, and runs none. */
export const client = (asClient: Identity) =>
  SocketRunner.layerClientOnly.pipe(
    Layer.provide(ClusterStreams.layerClientProtocol({ tls: asClient })),
    Layer.provide(storage),
    Layer.provide(SqlRunnerStorage.layerStorage({})),
    Layer.provide(ShardingConfig.layer(timing)),
    Layer.provide(serialization)
  )
