/** The metrics: their names, units and meanings, and the series of each. */
import * as Metric from "effect/Metric"
import type * as Context from "effect/Context"
import * as Defaults from "../base/defaults.ts"
import type { Attributes } from "./conventions.ts"

export interface Instrument {
  readonly name: string
  readonly type: "Counter" | "Gauge" | "Histogram"
  readonly unit: string
  readonly description: string
  readonly boundaries?: ReadonlyArray<number>
}

const instrument = (
  type: Instrument["type"],
  name: string,
  unit: string,
  description: string,
  boundaries?: ReadonlyArray<number>
): Instrument => ({
  name: `byte_streams.${name}`,
  type,
  unit,
  description,
  ...(boundaries === undefined ? undefined : { boundaries })
})

const { connectionSeconds, openingSeconds } = Defaults

export const connectionsOpen = instrument("Gauge", "connections.open", "{connection}", "Connections that are open.")
export const connectionsWaiting = instrument(
  "Gauge",
  "connections.waiting",
  "{connection}",
  "Clients that wait for a place in a server."
)
export const connectionsPaused = instrument(
  "Gauge",
  "connections.paused",
  "{connection}",
  "Connections that are held back."
)
export const connectionsOpened = instrument(
  "Counter",
  "connections.opened",
  "{connection}",
  "Connections that were opened."
)
export const connectionsClosed = instrument("Counter", "connections.closed", "{connection}", "Connections that ended.")
export const connectionsFailed = instrument(
  "Counter",
  "connections.failed",
  "{connection}",
  "Connections that broke, or could not be opened."
)
export const connectionsRejected = instrument(
  "Counter",
  "connections.rejected",
  "{connection}",
  "Clients that a server turned away."
)
export const connectionDuration = instrument(
  "Histogram",
  "connection.duration",
  "s",
  "The time from the opening of a connection to its end.",
  connectionSeconds
)
export const connectDuration = instrument(
  "Histogram",
  "connect.duration",
  "s",
  "The time that opening a connection took, with its handshake.",
  openingSeconds
)
export const attemptsStarted = instrument(
  "Counter",
  "connect.attempts.started",
  "{attempt}",
  "Addresses to which a connection was tried."
)
export const attemptsFailed = instrument(
  "Counter",
  "connect.attempts.failed",
  "{attempt}",
  "Addresses to which a connection could not be opened."
)
export const handshakeDuration = instrument(
  "Histogram",
  "handshake.duration",
  "s",
  "The time that a TLS handshake took.",
  openingSeconds
)
export const networkIo = instrument("Counter", "network.io", "By", "Bytes that arrived, and bytes that were written.")
export const pausedTime = instrument("Counter", "paused.time", "s", "The time for which directions were held back.")
export const timeouts = instrument("Counter", "timeouts", "{timeout}", "Bounds on waiting that have struck.")
export const bufferUsed = instrument("Gauge", "buffer.used", "By", "Unread bytes that count against a BufferBudget.")
export const bufferLimit = instrument("Gauge", "buffer.limit", "By", "Unread bytes that a BufferBudget allows.")

const make = (
  { boundaries, description, name, type, unit }: Instrument,
  given: Attributes
): Metric.Metric<number, unknown> => {
  // Effect's exporters look for the unit there
  const options = { description, attributes: { ...given, unit } }
  switch (type) {
    case "Counter":
      return Metric.counter(name, { ...options, incremental: true })
    case "Gauge":
      return Metric.gauge(name, options)
    case "Histogram":
      return Metric.histogram(name, { ...options, boundaries: boundaries! })
  }
}

/** The series of one registry, each made when it is first needed. */
export class Instruments {
  private readonly context: Context.Context<never>
  private readonly made = new Map<string, Metric.Metric<number, unknown>>()

  /** `context` has the registry, and what is added to all attributes. */
  constructor(context: Context.Context<never>) {
    this.context = context
  }

  /** Counts one, or records a value. */
  update(instrument: Instrument, attributes: Attributes, value = 1): void {
    const key = `${instrument.name} ${JSON.stringify(attributes)}`
    let metric = this.made.get(key)
    if (metric === undefined) {
      metric = make(instrument, attributes)
      this.made.set(key, metric)
    }
    metric.updateUnsafe(value, this.context)
  }

  /** A series whose value is found out when somebody reads it. */
  computed(instrument: Instrument, attributes: Attributes, read: () => number): Metric.Registration {
    const get = instrument.type === "Counter" ? () => ({ count: read(), incremental: true }) : () => ({ value: read() })
    return Metric.registerUnsafe(make(instrument, attributes), this.context, { get, update: nothing, modify: nothing })
  }
}

const nothing = () => {}
