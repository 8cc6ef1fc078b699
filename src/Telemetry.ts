/**
 * Metrics and spans of connections, for Effect's `Metric` and `Tracer`, named after OpenTelemetry's conventions.
 *
 * A layer is all it takes: every connection and every server that has it in its context is measured. Whatever exports
 * Effect's metrics and spans shows them: `PrometheusMetrics`, `Otlp`. Nothing is counted where bytes pass. The bytes of a
 * connection are read from it when somebody reads the metrics.
 *
 * **Metrics**
 *
 * The names begin with `byte_streams.`, as do attributes without another prefix here.
 *
 * | metric | type | unit | attributes beside `side` and `network.transport` |
 * | --- | --- | --- | --- |
 * | `connections.open` | gauge | `{connection}` | |
 * | `connections.waiting` | gauge | `{connection}` | |
 * | `connections.paused` | gauge | `{connection}` | `pause.reason` |
 * | `connections.opened` | counter | `{connection}` | |
 * | `connections.closed` | counter | `{connection}` | `close.outcome` |
 * | `connections.failed` | counter | `{connection}` | `phase`, `error.type` |
 * | `connections.rejected` | counter | `{connection}` | `reject.reason` |
 * | `connection.duration` | histogram | `s` | `error.type`, if it broke |
 * | `connect.duration` | histogram | `s` | `error.type`, if it failed; no `side` |
 * | `connect.attempts.started` | counter | `{attempt}` | no others |
 * | `connect.attempts.failed` | counter | `{attempt}` | `error.type` alone |
 * | `handshake.duration` | histogram | `s` | `tls.protocol.version`, or `error.type` |
 * | `network.io` | counter | `By` | `network.io.direction` |
 * | `paused.time` | counter | `s` | `pause.reason` |
 * | `timeouts` | counter | `{timeout}` | `timeout.kind` |
 * | `buffer.used` | gauge | `By` | no others |
 * | `buffer.limit` | gauge | `By` | no others |
 *
 * | attribute | values |
 * | --- | --- |
 * | `side` | `client`, `server`; absent for a connection that was made of a stream |
 * | `network.transport` | `tcp`, `unix`; absent where it is not known |
 * | `network.io.direction` | `receive`, `transmit` (written, sent or not) |
 * | `pause.reason` | `reader`, `budget`, `peer`, as `Observer.PauseReason` |
 * | `close.outcome` | `Graceful`, `Reset`, `Aborted`, `TimedOut`, as `StreamWriter.CloseOutcome` |
 * | `phase` | `connect`, `accept`, `handshake`, `open`: how far the connection had come |
 * | `reject.reason` | `Full`, `ShuttingDown` |
 * | `timeout.kind` | as `StreamTimeout.kind` |
 * | `error.type` | tag and kind of the error: `ConnectFailed.Refused`, `ConnectionLost.Reset`, `TlsFailed.Certificate`, `StreamTimeout.Idle`; `AcceptFailed.` and the code of the system; `CloseTimedOut`; `Interrupted` if the program gave up |
 * | `tls.protocol.version` | `1.2`, `1.3` |
 *
 * No metric has an address among its attributes, so the number of series stays small. Effect's exporters take the unit
 * from an attribute `unit`, which each metric has.
 *
 * **Spans**
 *
 * | span | from | parent |
 * | --- | --- | --- |
 * | `connect` | the first look at an address to the open connection | the span of the program that connects |
 * | `connect.attempt` | the attempt to its end, one for each address | `connect` |
 * | `handshake` | the beginning of TLS to its success or failure | `connect`; `connection` for `startTls`; none in a server |
 * | `connection` | the open connection to its end | what came before: `connect`, or `handshake` in a server |
 * | `shutdown` | the end of listening to the end of the last connection | the span of the program that shuts down |
 *
 * Their names begin with `byte_streams.` as well. They have `network.peer.address`, `network.peer.port`,
 * `network.local.address`, `network.local.port`, `network.transport`, `network.type`, `server.address`, `server.port`,
 * `tls.protocol.version`, `tls.cipher` and `error.type`, where these are known. The span of a connection has its pauses,
 * timeouts, upgrades, its failure and the end of the peer's output as events, and its bytes and its outcome as attributes.
 *
 * The handlers of a server run within the span of their connection, and their logs are annotated with the peer.
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Argument from "./internal/base/argument.ts"
import { mergeAll } from "./internal/base/mergedObserver.ts"
import * as Observing from "./internal/base/observing.ts"
import * as Telemetry from "./internal/observe/telemetry.ts"
import type { Observer } from "./Observer.ts"

/**
 * The options of telemetry.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Whether spans are made. Default `true`: they are, unless the tracer in force is Effect's own, whose spans go nowhere.
   */
  readonly spans?: boolean | undefined
}

/**
 * Measures and traces every connection that is opened or served with this layer, beside the observer that is in force.
 *
 * **Details**
 *
 * - Metrics go to the `MetricRegistry` of the layer's context, and have its `CurrentMetricAttributes`. By default that is
 *   the registry of the process. The totals stay there when the layer ends, as those of Effect's own metrics do.
 * - Spans are made by the `Tracer` of the layer's context, as are times by its `Clock`. `buffer.used` and `buffer.limit`
 *   are those of its `BufferBudget`, if it has one.
 * - Handlers have the annotations `network.peer.address`, `network.peer.port` and `byte_streams.connection.id` in their
 *   logs, beside the annotations of their server.
 * - Two of these layers, one on top of the other, count nothing twice.
 *
 * **Gotchas**
 *
 * The tracer has to be below this layer: `Telemetry.layer().pipe(Layer.provideMerge(tracer))`. A layer that stands beside
 * it, in `Layer.mergeAll`, is not seen. The same holds for a budget.
 *
 * **Example** (What clients have received)
 *
 * ```ts
 * import { Effect, Layer, Metric } from "effect"
 * import { NodeNetwork, openConnection, startServer, Telemetry } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ writer }) => writer.write("welcome\n"))
 *   const { reader } = yield* openConnection({ host: "127.0.0.1", port: server.port })
 *   yield* reader.readLine
 *   const received = (yield* Metric.snapshot).find(
 *     ({ attributes, id }) =>
 *       id === "byte_streams.network.io" &&
 *       attributes?.["byte_streams.side"] === "client" &&
 *       attributes["network.io.direction"] === "receive"
 *   )
 *   return received?.state
 * })
 *
 * const services = Layer.merge(NodeNetwork.layer, Telemetry.layer())
 * const state = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(services)))
 * console.log(state) // => { count: 8, incremental: true }
 * ```
 *
 * @see {@link make}, `Observer.layer`, `Server.snapshot`
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<never> =>
  Layer.effect(
    Observing.Observer,
    Effect.flatMap(Effect.service(Observing.Observer), (current) =>
      Effect.map(observer("layer", options, current), (telemetry) =>
        current === undefined ? telemetry : mergeAll([current, telemetry])
      )
    )
  )

/**
 * Makes the observer of the layer, which measures and traces as long as the scope is open.
 *
 * **When to use**
 *
 * For an observer that is given to some connections by hand (`Effect.provideService(Observer.Observer, …)`), or merged
 * with others. `layer` is the usual way.
 *
 * @see {@link layer}, `Observer.merge`
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Effect.Effect<Observer, never, Scope.Scope> =>
  observer("make", options, undefined)

const observer = (
  name: string,
  options: Options | undefined,
  beside: Observer | undefined
): Effect.Effect<Observer, never, Scope.Scope> =>
  Effect.suspend(() => {
    const operation = `Telemetry.${name}`
    const { spans = true } = options === undefined ? {} : Argument.record(operation, "options", options)
    return Telemetry.make(Argument.flag(operation, "spans", spans), beside)
  })
