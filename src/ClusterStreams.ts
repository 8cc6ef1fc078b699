/**
 * Effect Cluster over our connections: its runners talk over TLS, with bounds on waiting, or in a network in memory.
 *
 * `layerClientProtocol` and `layerSocketServer` take the place of those of `NodeClusterSocket`. The serialization, the
 * storage and the health checks are Effect's own layers beside them.
 *
 * **When to use**
 *
 * For a program that outgrows one machine: connections end at gateways, and what they talk about lives in entities. One
 * machine with several cores needs no cluster: see `reusePort` of `Server.Options`.
 *
 * **Example** (A runner whose peers must show a certificate)
 *
 * ```ts
 * import { Effect, Layer, Option, Redacted } from "effect"
 * import {
 *   MessageStorage,
 *   RunnerAddress,
 *   RunnerHealth,
 *   Runners,
 *   RunnerStorage,
 *   ShardingConfig,
 *   SocketRunner
 * } from "effect/cluster"
 * import { RpcSerialization } from "effect/rpc"
 * import { ClusterStreams, NodeNetwork } from "effect-byte-streams"
 *
 * const runner = (host: string, ca: string, identity: { cert: string; key: Redacted.Redacted<string> }) => {
 *   const protocol = ClusterStreams.layerClientProtocol({ tls: { ca, identity } })
 *   const server = ClusterStreams.layerSocketServer({ tls: { ca, identity, clientCertificate: "require" } })
 *   const health = RunnerHealth.layerPing.pipe(Layer.provide(Runners.layerRpc), Layer.provide(protocol))
 *   return SocketRunner.layer.pipe(
 *     Layer.provide([server, protocol, health]),
 *     // in production those of SQL: SqlMessageStorage.layer, SqlRunnerStorage.layer
 *     Layer.provideMerge(MessageStorage.layerMemory),
 *     Layer.provide(RunnerStorage.layerMemory),
 *     Layer.provide(ShardingConfig.layer({ runnerAddress: Option.some(RunnerAddress.make(host, 34431)) })),
 *     Layer.provide(RpcSerialization.layerSchemaBinary()),
 *     Layer.provide(NodeNetwork.layer)
 *   )
 * }
 *
 * console.log(typeof runner) // => function
 * ```
 *
 * @see `Connection.makeSocket` and `Server.layerSocketServer`, which these are made of.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import type { RpcClientProtocol } from "effect/cluster/Runners"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { RpcSerialization } from "effect/rpc/RpcSerialization"
import type { SocketServer } from "effect/socket/SocketServer"
import { lazily } from "./internal/base/lazily.ts"
import { makeSocket, type OpenOptions } from "./Connection.ts"
import type { Network } from "./Network.ts"
import { type Options, Server } from "./Server.ts"
import type { ConnectFailed, ListenFailed, TlsFailed } from "./StreamError.ts"

/**
 * The options of connections to other runners: those of `openConnection`, and those of the protocol.
 *
 * **Details**
 *
 * Some defaults are other than those of `openConnection`, because calls to a runner that is gone wait for them:
 *
 * - `connectTimeout` is 1 second, and `tls.handshakeTimeout` is 5 seconds.
 * - `timeouts` are `{ write: "10 seconds" }`: a runner that has stopped to read is given up. Timeouts that are given
 *   replace these.
 * - `closeTimeout` is 2 seconds.
 *
 * @see {@link layerClientProtocol}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ClientOptions extends Omit<OpenOptions, "host" | "port" | "path"> {
  /** The time between two questions whether the runner is still there. Default 5 seconds, as in Effect. */
  readonly pingInterval?: Duration.Input | undefined
  /**
   * The longest time without a word of a runner that was asked. It is looked at once in each `pingInterval`. The
   * connection ends then, and calls under way fail with `RunnerUnavailable`. Default: as `pingInterval`.
   */
  readonly pingTimeout?: Duration.Input | undefined
  /**
   * Called each time when a runner could not be connected to. Its own failure changes nothing.
   *
   * Effect's protocol connects again for as long as somebody wants to call the runner, whatever the failure is.
   * Default: a `TlsFailed` is a line in the log at level Warn, because it does not pass by itself. The others are lines
   * at level Debug.
   */
  readonly onConnectError?:
    | ((error: ConnectFailed | TlsFailed, address: RunnerAddress) => Effect.Effect<void>)
    | undefined
}

/**
 * The options of the server for other runners: those of a server. Where it listens is in `ShardingConfig`.
 *
 * **Details**
 *
 * Some defaults are other than those of a server:
 *
 * - `timeouts` are `{ idle: "30 seconds", write: "10 seconds" }`: a runner says something every 5 seconds, if it is
 *   alive. Timeouts that are given replace these.
 * - `closeTimeout` is 2 seconds.
 *
 * @see {@link layerSocketServer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ServerOptions extends Omit<Options, "host" | "port" | "path"> {}

/**
 * How a runner calls others: one connection to each, opened when it is first needed, and again after a loss.
 *
 * **Details**
 *
 * - With `tls`, the certificate of a runner must be for the host in its `RunnerAddress`.
 * - A runner that is not called for 3 minutes is disconnected.
 * - Connections are opened through the `Network` of this layer.
 *
 * **Gotchas**
 *
 * Calls of entities have no bound of their own: they wait until the entity has a runner, and that one answers. Use
 * `Effect.timeout`.
 *
 * @see {@link layerSocketServer} for the other side, {@link ClientOptions}
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerClientProtocol = (
  options: ClientOptions = {}
): Layer.Layer<RpcClientProtocol, never, Network | RpcSerialization> =>
  Layer.unwrap(Effect.map(ofClient, ({ clientProtocol }) => clientProtocol(options, makeSocket)))

// they load Effect's cluster, which a program without one does not need
const ofClient = lazily(() => import("./internal/cluster/clientProtocol.ts"))
const ofServer = lazily(() => import("./internal/cluster/socketServer.ts"))

/**
 * The server that other runners connect to, at `runnerListenAddress` of `ShardingConfig`, or at `runnerAddress`.
 *
 * **Details**
 *
 * `SocketRunner.layer` runs on it. The layer also provides the `Server` itself, with its counts.
 *
 * **Gotchas**
 *
 * Without `tls`, and `clientCertificate: "require"`, everyone who can connect can call every entity.
 *
 * @see {@link layerClientProtocol} for the other side, {@link ServerOptions}
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerSocketServer = (
  options: ServerOptions = {}
): Layer.Layer<SocketServer | Server, ListenFailed, Network | ShardingConfig> =>
  Layer.unwrap(Effect.map(ofServer, ({ socketServer }) => socketServer(options, Server)))
