/**
 * The storage of an Effect Cluster in memory, for several runners: a database that all of them share.
 *
 * Effect's own memory storage is for one runner: it knows no owners, so that several runners handle the same messages.
 * This one does what Effect's SQL storage does. Shards have owners, leases end by the `Clock`, runners live as long as
 * their heartbeat, and a message has one final reply.
 *
 * **When to use**
 *
 * For clusters in `TestNetwork.simulate`, with a host for each runner.
 *
 * **Details**
 *
 * - `layer` is the database. It is built once, outside of the runners.
 * - `layerStorage` is what one runner has of it: `MessageStorage` and `RunnerStorage`. It is built in each runner.
 * - In `Host.run` of `TestNetwork`, storage answers as anything does that is given through the host: not after a crash,
 *   and, with `at`, not across a cut.
 *
 * **Example** (Two runners want the same shard)
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as RunnerAddress from "effect/cluster/RunnerAddress"
 * import * as RunnerStorage from "effect/cluster/RunnerStorage"
 * import * as ShardId from "effect/cluster/ShardId"
 * import * as ShardingConfig from "effect/cluster/ShardingConfig"
 * import * as ClusterStorage from "effect-byte-streams/testing/ClusterStorage"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const acquire = (host: string) =>
 *   Effect.flatMap(RunnerStorage.RunnerStorage, (storage) =>
 *     storage.acquire(RunnerAddress.make(host, 1), [ShardId.make("default", 1)])
 *   ).pipe(
 *     Effect.provide(ClusterStorage.layerStorage()),
 *     Effect.provide(ShardingConfig.layer({ shardLockExpiration: "10 seconds" }))
 *   )
 *
 * const program = Effect.gen(function* () {
 *   console.log((yield* acquire("a")).length, (yield* acquire("b")).length) // => 1 0
 *   yield* Effect.sleep("11 seconds")
 *   console.log((yield* acquire("b")).length) // => 1
 * })
 *
 * await Effect.runPromise(TestNetwork.simulate(Effect.provide(program, ClusterStorage.layer)))
 * ```
 *
 * @see `TestNetwork.host`, `ClusterStreams`
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import { Messages } from "../internal/testing/cluster/messages.ts"
import { Runners } from "../internal/testing/cluster/runners.ts"
import { Transactions } from "../internal/testing/cluster/transactions.ts"
import { CurrentHost } from "./TestNetwork.ts"

/**
 * A request of the cluster, as it is stored.
 *
 * @see {@link ClusterStorage}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface StoredRequest {
  /** The id of the request. */
  readonly id: string
  /** The type of the entity that it is for. */
  readonly entityType: string
  /** The id of the entity that it is for. */
  readonly entityId: string
  /** The name of the RPC. */
  readonly tag: string
  /** The payload, encoded. */
  readonly payload: unknown
  /** Whether it has its final reply. */
  readonly answered: boolean
}

/**
 * The database of a cluster in memory.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class ClusterStorage extends Context.Service<
  ClusterStorage,
  {
    /** The requests so far, in the order of their coming. */
    readonly requests: Effect.Effect<ReadonlyArray<StoredRequest>>
    /** The owners of shards, as `host:port`, by shard, such as `default:1`, if leases last for so long. */
    readonly owners: (shardLockExpiration: Duration.Input) => Effect.Effect<ReadonlyMap<string, string>>
    /** The services of one runner. See `layerStorage`. */
    readonly storage: (
      options?: StorageOptions
    ) => Effect.Effect<
      Context.Context<MessageStorage.MessageStorage | RunnerStorage.RunnerStorage>,
      never,
      ShardingConfig | Snowflake.Generator
    >
  }
>()("effect-byte-streams/testing/ClusterStorage") {}

/**
 * The options of a runner's storage.
 *
 * @see {@link layerStorage}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface StorageOptions {
  /**
   * The name of the host of `TestNetwork` that the database is on. While a runner's host is cut off from it, or it is
   * down, requests and answers wait. Default: nowhere, so that it can always be reached.
   */
  readonly at?: string | undefined
}

/**
 * An empty database. Its time is that of the fiber that builds it.
 *
 * @see {@link layerStorage} for the services of a runner.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<ClusterStorage> = Layer.effect(ClusterStorage)(
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.sync(() => {
      const clock = Context.get(context, Clock.Clock)
      const own = Context.make(Clock.Clock, clock).pipe(
        Context.add(Scheduler.Scheduler, Context.get(context, Scheduler.Scheduler))
      )
      const messages = new Messages(clock, new Transactions(own))
      const runners = new Runners(clock)
      return ClusterStorage.of({
        requests: Effect.sync(() =>
          Array.from(messages.rows.values()).flatMap((row) => {
            const { envelope } = row
            if (envelope._tag !== "Request") return []
            const { entityId, entityType } = envelope.address
            const { payload, requestId: id, tag } = envelope
            return [{ id, entityType, entityId, tag, payload, answered: messages.isAnswered(row) }]
          })
        ),
        owners: (expiration) => Effect.sync(() => runners.leased(wholeSeconds(expiration))),
        storage: (options) =>
          Effect.gen(function* () {
            const { shardLockExpiration } = yield* ShardingConfig
            const host = yield* CurrentHost
            const through = <S extends object>(service: S): S => host?.through(service, options) ?? service
            const storage = yield* MessageStorage.makeEncoded(through(messages.encoded(host)))
            return Context.make(MessageStorage.MessageStorage, storage).pipe(
              Context.add(
                RunnerStorage.RunnerStorage,
                RunnerStorage.makeEncoded(through(runners.encoded(wholeSeconds(shardLockExpiration))))
              )
            )
          })
      })
    })
  )
)

/** As SQL storage counts it. */
const wholeSeconds = (duration: Duration.Input): number =>
  1000 * Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(duration)))

/**
 * The storage of one runner, or of a client.
 *
 * **Details**
 *
 * - Leases and heartbeats last for `shardLockExpiration` of the `ShardingConfig`, in whole seconds, rounded up.
 * - A request that a runner has read is given to nobody else for ten minutes, unless its shard is acquired anew.
 * - Saving what is there already fails with `PersistenceError`: a message or a reply with the same id, or a second final
 *   reply. A request with the primary key of an earlier one is a duplicate.
 * - Transactions come one after the other. One that fails is undone, and so is one whose host crashes.
 *
 * **Gotchas**
 *
 * It is built once in each runner. Two runners that share one have one set of waiting callers.
 *
 * @see {@link layer} for the database.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerStorage = (
  options?: StorageOptions
): Layer.Layer<MessageStorage.MessageStorage | RunnerStorage.RunnerStorage, never, ClusterStorage | ShardingConfig> =>
  Layer.effectContext(Effect.flatMap(Effect.service(ClusterStorage), ({ storage }) => storage(options))).pipe(
    Layer.provide(Snowflake.layerGenerator)
  )
