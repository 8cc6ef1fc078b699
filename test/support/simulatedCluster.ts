/** A cluster in a network in memory: three runners and a client on hosts of their own, a database, rooms as entities. */
import { ClusterStreams } from "effect-byte-streams"
import * as ClusterStorage from "effect-byte-streams/testing/ClusterStorage"
import type * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import {
  ClusterSchema,
  Entity,
  RunnerAddress,
  RunnerHealth,
  Runners,
  ShardingConfig,
  SocketRunner
} from "effect/cluster"
import { Rpc, RpcSerialization } from "effect/rpc"

export const runnerNames = ["runner1", "runner2", "runner3"] as const
export const hostNames = [...runnerNames, "client", "database"] as const

const rooms = ["attic", "hall", "kitchen", "porch", "study"]

/** Where what was said is kept, in the database: by room, how often each message was handled. */
class Book extends Context.Service<Book, { readonly write: (room: string, id: string) => Effect.Effect<number> }>()(
  "test/Book"
) {}

const Room = Entity.make("Room", [
  Rpc.make("Say", {
    payload: { id: Schema.String },
    primaryKey: ({ id }) => id,
    success: Schema.Int
  })
    .annotate(ClusterSchema.Persisted, true)
    // one who gives up waiting does not take back what it has said: the same message again would be answered by that
    .annotate(ClusterSchema.Uninterruptible, true)
])

const roomLive = (mistake: ClusterOptions["mistake"]) =>
  Room.toLayer(
    Effect.gen(function* () {
      const book = yield* Book
      const { entityId } = yield* Entity.CurrentAddress
      const scope = yield* Effect.scope
      return Room.of({
        Say: ({ payload: { id } }) =>
          mistake === "acknowledgedBeforeWritten"
            ? Effect.as(Effect.forkIn(Effect.delay(book.write(entityId, id), 200), scope), 0)
            : book.write(entityId, id)
      })
    })
  )

export interface ClusterOptions {
  /** What is between the runners. */
  readonly server?: ClusterStreams.ServerOptions | undefined
  readonly client?: ClusterStreams.ClientOptions | undefined
  /** The faults. */
  readonly faults?: Faults.Script | undefined
  /** When the last of them has ended, in milliseconds. */
  readonly faultsUntil?: number | undefined
  /** How long a runner that crashed stays away, in milliseconds. Default 2,000. */
  readonly away?: number | undefined
  /** A mistake, to see that it is noticed. */
  readonly mistake?: "acknowledgedBeforeWritten" | "leasesLastForHours" | undefined
  readonly wire?: TestNetwork.WireOptions | undefined
}

export interface ClusterReport {
  /** How many messages were acknowledged, and how many of them are not in the book. */
  readonly acknowledged: number
  readonly missing: ReadonlyArray<string>
  /** How many were handled more than once. */
  readonly twice: number
  /** The rooms that did not answer in time after the last fault had ended. */
  readonly silent: ReadonlyArray<string>
  /** The rooms in which nobody talks any more. */
  readonly dead: ReadonlyArray<string>
  /** How often a host was started again. */
  readonly restarts: number
  readonly events: ReadonlyArray<TestNetwork.WireEvent>
  readonly millis: number
}

const at = { at: "database" }

const config = (runner: string | undefined, mistake: ClusterOptions["mistake"]) =>
  ShardingConfig.layer({
    runnerAddress: Option.map(Option.fromUndefinedOr(runner), (host) => RunnerAddress.make(host, 34_431)),
    shardsPerGroup: 12,
    shardLockExpiration: mistake === "leasesLastForHours" ? "3 hours" : "9 seconds",
    shardLockRefreshInterval: "3 seconds",
    refreshAssignmentsInterval: "1 second",
    entityMessagePollInterval: "1 second",
    entityReplyPollInterval: "500 millis",
    sendRetryInterval: "200 millis",
    runnerHealthCheckInterval: "5 seconds",
    entityTerminationTimeout: "5 seconds"
  })

const common = (runner: string | undefined, mistake: ClusterOptions["mistake"]) =>
  ClusterStorage.layerStorage(at).pipe(
    Layer.provideMerge(config(runner, mistake)),
    Layer.provideMerge(RpcSerialization.layerSchemaBinary())
  )

const runner = (name: string, { client, mistake, server }: ClusterOptions) => {
  const protocol = ClusterStreams.layerClientProtocol(client)
  return roomLive(mistake).pipe(
    Layer.provide(SocketRunner.layer),
    Layer.provide([
      ClusterStreams.layerSocketServer(server),
      protocol,
      RunnerHealth.layerPing.pipe(Layer.provide(Runners.layerRpc), Layer.provide(protocol))
    ]),
    Layer.provide(common(name, mistake))
  )
}

/** How long faults have ended when every room must answer, in milliseconds, and how long it may take to. */
const recovery = 45_000
const patience = 5_000

/** Runs the cluster until it must have recovered from its faults. */
export const simulateCluster = (options: ClusterOptions): Effect.Effect<ClusterReport, TestNetwork.RunFailed> =>
  Effect.gen(function* () {
    const database = yield* TestNetwork.host("database")
    const book = new Map<string, Map<string, number>>(rooms.map((room) => [room, new Map()]))
    const shelf = Book.of({
      // writing takes a while, and so does the answer: a runner may crash in between
      write: (room, id) =>
        Effect.sync(() => {
          const page = book.get(room)!
          page.set(id, (page.get(id) ?? 0) + 1)
          return page.size
        }).pipe(Effect.delay(20), Effect.tap(Effect.sleep(20)))
    })
    let restarts = -runnerNames.length

    const supervised = (name: string) =>
      Effect.gen(function* () {
        restarts++
        const host = yield* TestNetwork.host(name)
        yield* host.run(Layer.launch(runner(name, options)).pipe(Effect.provideService(Book, host.through(shelf, at))))
      }).pipe(
        Effect.catchTag("HostCrashed", () => Effect.sleep(options.away ?? 2000)),
        Effect.forever
      )
    for (const name of runnerNames) yield* Effect.forkScoped(supervised(name))
    // the database is another that starts again
    yield* Effect.forkScoped(
      Effect.forever(
        Effect.flatMap(TestNetwork.host(database.name), (host) =>
          Effect.andThen(host.crashed, Effect.sleep("1 second"))
        )
      )
    )

    const acknowledged: Array<readonly [room: string, id: string]> = []
    const silent: Array<string> = []
    const talk = Effect.gen(function* () {
      const roomOf = yield* Room.client
      const say = (room: string, id: string) =>
        Effect.map(roomOf(room).Say({ id }), () => void acknowledged.push([room, id]))
      const talking = (room: string) =>
        Effect.gen(function* () {
          for (let count = 0; ; count++) {
            // a call has no bound of its own; the same message again is the same one
            yield* Effect.retry(Effect.timeout(say(room, `${room}-${count}`), patience), { times: 100 })
            yield* Effect.sleep(500)
          }
        })
      const talkers = yield* Effect.forEach(rooms, (room) => Effect.forkScoped(talking(room)))
      const began = yield* Clock.currentTimeMillis
      yield* Effect.sleep((options.faultsUntil ?? 10_000) - began)
      yield* Effect.sleep(recovery)
      yield* Effect.forEach(
        rooms,
        (room) =>
          Effect.catch(Effect.timeout(say(room, `${room}-last`), patience), () =>
            Effect.sync(() => void silent.push(room))
          ),
        { concurrency: "unbounded" }
      )
      return rooms.filter((_, index) => talkers[index]!.pollUnsafe() !== undefined)
    })
    const client = yield* TestNetwork.host("client")
    const layer = SocketRunner.layerClientOnly.pipe(
      Layer.provide(ClusterStreams.layerClientProtocol(options.client)),
      Layer.provideMerge(common(undefined, options.mistake))
    )
    const dead = yield* client.run(Effect.provide(Effect.scoped(talk), layer))

    return {
      acknowledged: acknowledged.length,
      missing: acknowledged.flatMap(([room, id]) => (book.get(room)!.has(id) ? [] : [id])),
      twice: Array.from(book.values()).reduce(
        (sum, page) => sum + Array.from(page.values()).filter((times) => times > 1).length,
        0
      ),
      silent,
      dead,
      restarts,
      events: yield* TestNetwork.events,
      millis: yield* Clock.currentTimeMillis
    }
  }).pipe(Effect.provide(ClusterStorage.layer), (program) =>
    TestNetwork.simulate(program, { ...options.wire, faults: options.faults })
  )
