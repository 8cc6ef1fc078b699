/** What is measured and traced while a test runs: a registry of metrics and a tracer of its own. */
import { Context, Layer, Metric, Option, Tracer } from "effect"
import { Observer, Telemetry } from "effect-byte-streams"

type Attributes = Readonly<Record<string, string>>

export interface Measured {
  readonly layer: Layer.Layer<never>
  /** Below `layer`: the registry and the tracer alone. */
  readonly below: Layer.Layer<never>
  readonly registry: Metric.MetricRegistry
  /** All that were begun. */
  readonly spans: Array<Tracer.NativeSpan>
  /** Every connection that was observed. */
  readonly connections: ReadonlyArray<Observer.ObservedConnection>
  /**
   * The sum over all series of a metric that have these attributes: of their counts, values or numbers of observations.
   * The names are without their prefix.
   */
  readonly sum: (name: string, attributes?: Attributes) => number
  /** The sum of what a histogram was given. */
  readonly histogramSum: (name: string, attributes?: Attributes) => number
  /** The spans of one name, without its prefix. */
  readonly spansOf: (name: string) => ReadonlyArray<Tracer.NativeSpan>
}

const prefix = "byte_streams."

const prefixed = (name: string): string => (/^(network|error|tls|unit)\b/.test(name) ? name : `${prefix}${name}`)

export const measured = (options?: Telemetry.Options): Measured => {
  const registry: Metric.MetricRegistry = new Map()
  const context = Context.make(Metric.MetricRegistry, registry) as Context.Context<never>
  const spans: Array<Tracer.NativeSpan> = []
  const connections: Array<Observer.ObservedConnection> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const below = Layer.merge(
    Layer.succeed(Metric.MetricRegistry, registry),
    Layer.merge(
      Layer.succeed(Tracer.Tracer, tracer),
      Observer.layer({
        onEvent: (event) => {
          if (event._tag === "Opened") connections.push(event.connection)
        }
      })
    )
  )
  const states = (name: string, attributes: Attributes) =>
    Metric.snapshotUnsafe(context).filter(
      (metric) =>
        metric.id === `${prefix}${name}` &&
        Object.entries(attributes).every(([name, value]) => metric.attributes?.[prefixed(name)] === value)
    )
  const sumOf = (name: string, attributes: Attributes, of: (snapshot: Metric.Metric.Snapshot) => number) =>
    states(name, attributes).reduce((sum, snapshot) => sum + of(snapshot), 0)
  return {
    layer: Telemetry.layer(options).pipe(Layer.provideMerge(below)),
    below,
    registry,
    spans,
    connections,
    sum: (name, attributes = {}) =>
      sumOf(name, attributes, ({ state }) =>
        Number("value" in state ? state.value : "count" in state ? state.count : NaN)
      ),
    histogramSum: (name, attributes = {}) => sumOf(name, attributes, ({ state }) => ("sum" in state ? state.sum : NaN)),
    spansOf: (name) => spans.filter((span) => span.name === `${prefix}${name}`)
  }
}

/** The name of the parent, with the end of its identity: two spans of one name are told apart. */
export const parentOf = (span: Tracer.Span): Tracer.AnySpan | undefined => Option.getOrUndefined(span.parent)

export const attributesOf = (span: Tracer.Span): Readonly<Record<string, unknown>> =>
  Object.fromEntries(span.attributes)

/** How a span ended. */
export const endOf = (span: Tracer.Span): "open" | "ok" | "interrupted" | "failed" => {
  if (span.status._tag === "Started") return "open"
  const { exit } = span.status
  if (exit._tag === "Success") return "ok"
  return exit.cause.reasons.every((reason) => reason._tag === "Interrupt") ? "interrupted" : "failed"
}
