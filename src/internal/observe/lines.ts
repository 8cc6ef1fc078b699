/** The lines of a transcript, from what an observer is told. */
import * as Base64 from "effect/encoding/Base64"
import type { Direction, Event, ObservedConnection } from "../../Observer.ts"
import * as Bytes from "../base/bytes.ts"
import { address, failure } from "./describe.ts"
import { apply, type Ranges, within } from "./masks.ts"
import type { Line } from "./transcript.ts"

/** A line as it is written, with its end. */
export const encode = (line: Line): Uint8Array => Bytes.encode(`${JSON.stringify(line)}\n`)

// ---------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------

/** Of a piece: in several lines, if it has more than `maxBytes`. */
export const ofBytes = (
  time: number,
  { id }: ObservedConnection,
  type: Direction,
  bytes: Uint8Array,
  ranges: Ranges,
  maxBytes: number
): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  for (let start = 0; start < bytes.length;) {
    const end = cut(bytes, start, maxBytes)
    const hidden = within(ranges, start, end)
    lines.push({
      time,
      id,
      type,
      ...content(apply(bytes.subarray(start, end), hidden)),
      ...(hidden.length === 0 ? undefined : { masked: hidden })
    })
    start = end
  }
  return lines
}

/** Where a line ends at the latest: in front of a character, if there is one near, that would be cut. */
const cut = (bytes: Uint8Array, start: number, maxBytes: number): number => {
  const end = start + maxBytes
  if (end >= bytes.length) return bytes.length
  for (let at = end; at > Math.max(start, end - 4); at--) if ((bytes[at]! & 0xc0) !== 0x80) return at
  return end
}

/** Other than line ends and tabs; what moves or hides other characters is none. */
const unprintable = /[^\P{C}\t\r\n]|[\p{Zl}\p{Zp}]/u

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const content = (bytes: Uint8Array): { readonly text: string } | { readonly base64: string } => {
  // most bytes that are no text hold one of these, and a decoder that fails takes long
  if (!bytes.some(isControl)) {
    try {
      const text = strict.decode(bytes)
      if (!unprintable.test(text)) return { text }
    } catch {
      // it is no text
    }
  }
  return { base64: Base64.encode(bytes) }
}

const isControl = (byte: number): boolean =>
  (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) || byte === 0x7f

// ---------------------------------------------------------------------------
// events
// ---------------------------------------------------------------------------

/** `undefined` for what has no line. */
export const ofEvent = (time: number, event: Event): Line | undefined => {
  if (!("connection" in event)) return undefined
  const { connection } = event
  const common = { time, id: connection.id }
  switch (event._tag) {
    case "Opened": {
      const { local, remote } = connection.info
      return {
        ...common,
        type: "opened",
        ...(connection.side === undefined ? undefined : { side: connection.side }),
        ...(local === undefined ? undefined : { local: address(local) }),
        ...(remote === undefined ? undefined : { remote: address(remote) }),
        ...tls(connection)
      }
    }
    case "Upgraded":
      return { ...common, type: "upgraded", ...tls(connection) }
    case "Ended":
      return { ...common, type: "ended" }
    case "TimedOut":
      return { ...common, type: "timedOut", kind: event.kind }
    case "Failed":
      return { ...common, type: "failed", error: failure(event.error) }
    case "Closed": {
      const { bytesRead, bytesWritten } = connection.snapshot()
      return { ...common, type: "closed", outcome: event.outcome._tag, bytesRead, bytesWritten }
    }
    default:
      return undefined
  }
}

const tls = ({ info }: ObservedConnection): { readonly tls?: string } =>
  info.tls === undefined ? {} : { tls: info.tls.protocol }
