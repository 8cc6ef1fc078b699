/** The cluster that the gateways form: which of them runs which room, how they talk, and how soon they notice what. */
import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Duration, Layer, Option } from "effect"
import {
  RunnerAddress,
  RunnerHealth,
  Runners,
  ShardingConfig,
  SocketRunner,
  SqlMessageStorage,
  SqlRunnerStorage
} from "effect/cluster"
import { RpcSerialization } from "effect/rpc"
import { ClusterStreams, type Tls } from "effect-byte-streams"
import { RoomTable } from "./room.ts"

// ---------------------------------------------------------------------------
// time
// ---------------------------------------------------------------------------

/**
 * - A gateway that is killed is asked whether it is alive, in vain, and its rooms move.
 * - If it was the one that asks the others, or does not run but is not dead either, its locks on rooms have to expire.
 * - A call that is stored while its room moves may be seen only when the new gateway looks into the storage again.
 * - A gateway that is told to end (SIGTERM) hands its rooms over, which takes about a second.
 *
 * Shorter times cost more questions to the database, and move rooms away from gateways that were only busy.
 */
const timing = {
  runnerHealthCheckInterval: "2 seconds",
  shardLockExpiration: "9 seconds",
  refreshAssignmentsInterval: "1 second",
  entityMessagePollInterval: "1 second"
} satisfies Partial<ShardingConfig.ShardingConfig["Service"]>

type Timing = Pick<ShardingConfig.ShardingConfig["Service"], keyof typeof timing>

/** The longest time for which a room may be silent, in seconds: its lock expires, a gateway sees that, and looks for calls. */
const longestSilence = (of: Timing) =>
  2 +
  [of.shardLockExpiration, of.refreshAssignmentsInterval, of.entityMessagePollInterval]
    .map((duration) => Duration.toSeconds(Duration.fromInputUnsafe(duration)))
    .reduce((sum, seconds) => sum + seconds)

export const whatFollows = [
  ...Object.entries(timing).map(([field, value]) => `${field}: ${value}`),
  `so a room answers again within ${longestSilence(timing)} seconds, whatever becomes of its gateway`,
  `(with the defaults of ShardingConfig: within ${longestSilence(ShardingConfig.defaults)} seconds)`
]

// ---------------------------------------------------------------------------
// storage
// ---------------------------------------------------------------------------

export const database = (path: string) =>
  PgClient.layer({
    path,
    username: "postgres",
    database: "postgres",
    maxConnections: 10,
    // A gateway that stands still in the middle of a transaction holds rows that the next one needs. It loses them then.
    startupParameters: { idle_in_transaction_session_timeout: "3000" }
  })

/** All tables, made once, before any gateway starts. */
export const tables = Layer.mergeAll(
  RoomTable,
  SqlMessageStorage.layerMigrations({}),
  SqlRunnerStorage.layerMigrations({})
)

// ---------------------------------------------------------------------------
// the cluster
// ---------------------------------------------------------------------------

/** Where other gateways connect to. */
const port = 34_431

/** One of the cluster, at a host. Its peers show certificates of the same authority, as it does itself. */
export const cluster = (host: string, tls: { readonly ca: string; readonly identity: Tls.Identity }) => {
  const client = ClusterStreams.layerClientProtocol({ tls })
  const server = ClusterStreams.layerSocketServer({ tls: { ...tls, clientCertificate: "require" } })
  const health = RunnerHealth.layerPing.pipe(Layer.provide(Runners.layerRpc), Layer.provide(client))
  return SocketRunner.layer.pipe(
    Layer.provide([client, server, health]),
    Layer.provideMerge(SqlMessageStorage.layerStorage({}).pipe(Layer.provide(NodeCrypto.layerDigest))),
    Layer.provide(SqlRunnerStorage.layerStorage({})),
    Layer.provide(ShardingConfig.layer({ ...timing, runnerAddress: Option.some(RunnerAddress.make(host, port)) })),
    Layer.provide(RpcSerialization.layerSchemaBinary())
  )
}
