/** An observer that logs. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type { Event, Observer, ObservedConnection } from "../../Observer.ts"
import { hasConnection, ofConnection, ofOthers, peer } from "./describe.ts"
import * as Dump from "./dump.ts"
import { type Ranges, within } from "./masks.ts"
import { type Tap, type TapOptions, Taps } from "./taps.ts"

export interface LogOptions extends TapOptions {
  readonly level: LogLevel.Severity
  readonly format: "text" | "hex"
  /** How many bytes of a piece are dumped. */
  readonly maxBytes: number
}

/** `undefined` where the context's minimum level lets nobody see a line. */
export const logging = (context: Context.Context<never>, options: LogOptions): Observer | undefined => {
  if (LogLevel.isGreaterThan(Context.get(context, References.MinimumLogLevel), options.level)) return undefined
  const log = logger(context, options.level)
  const clock = Context.get(context, Clock.Clock)
  const taps = new Taps(options)

  const event = (event: Event): void => {
    if (taps.isLeftOut(event)) return
    const annotations = { event: event._tag }
    if (!hasConnection(event)) {
      return log(ofOthers(event), "id" in event ? { connection: event.id, ...annotations } : annotations)
    }
    const { connection } = event
    const now = clock.currentTimeMillisUnsafe()
    const tap = taps.of(connection, now)
    if (tap === undefined) return
    log(`${header(connection, tap, now)} ${ofConnection(event)}`, { ...about(connection), ...annotations })
  }

  const bytes: Observer["onBytes"] = (connection, direction, bytes) => {
    const now = clock.currentTimeMillisUnsafe()
    const tap = taps.of(connection, now)
    if (tap === undefined) return
    const { offset, ranges } = tap.pass(direction, bytes)
    const shown = dump(bytes, ranges, options)
    log(`${header(connection, tap, now)} ${direction} ${Dump.count(bytes.length)}${shown}`, {
      ...about(connection),
      direction,
      offset,
      bytes: bytes.length
    })
  }

  return { onEvent: event, onBytes: bytes }
}

/**
 * Logs where a thing happens, so that the line stands before those of a program that it wakes. What a logger does to
 * connections while it logs is not logged in turn: that would have no end.
 */
const logger = (context: Context.Context<never>, level: LogLevel.Severity) => {
  const log = Effect.logWithLevel(level)
  const annotated = Context.get(context, References.CurrentLogAnnotations)
  let busy = false
  return (message: string, annotations: Readonly<Record<string, unknown>>): void => {
    if (busy) return
    busy = true
    try {
      const all = Context.add(context, References.CurrentLogAnnotations, { ...annotated, ...annotations })
      Effect.runForkWith(all)(log(message))
    } finally {
      busy = false
    }
  }
}

const header = (connection: ObservedConnection, tap: Tap, now: number): string => {
  const { id, info, side } = connection
  return [`#${id}`, side, peer(info), `+${((now - tap.since) / 1000).toFixed(3)}s`]
    .filter((part) => part !== undefined)
    .join(" ")
}

const about = (connection: ObservedConnection): Readonly<Record<string, unknown>> => {
  const known = peer(connection.info)
  return {
    connection: connection.id,
    ...(connection.side === undefined ? undefined : { side: connection.side }),
    ...(known === undefined ? undefined : { peer: known })
  }
}

const dump = (bytes: Uint8Array, ranges: Ranges, { format, maxBytes }: LogOptions): string => {
  const shown = bytes.subarray(0, maxBytes)
  const left = bytes.length - shown.length
  const hidden = within(ranges, 0, shown.length)
  const more = left === 0 ? "" : `… and ${left} more`
  if (shown.length === 0) return more === "" ? "" : `: ${more}`
  if (format === "text") return `: ${Dump.text(shown, hidden)}${more}`
  return [":", ...Dump.rows(shown, hidden).map((row) => `  ${row}`), ...(more === "" ? [] : [`  ${more}`])].join("\n")
}
