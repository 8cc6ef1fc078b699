/** What crossed the wire, as data and as a page to read. */
import type { WireEvent } from "../../../testing/TestNetwork.ts"
import { keptEvents } from "../../base/defaults.ts"

/** How many bytes of a piece are kept to be shown. */
export const shownBytes = 48
/** How many lines a page has at its beginning and at its end; what is between is left out. */
const firstLines = 30
const lastLines = 170

export class Recorder {
  private readonly kept: Array<WireEvent> = []
  private dropped = 0
  private start: number | undefined = undefined

  record(now: number, event: Omit<WireEvent, "at">): void {
    this.start ??= now
    this.kept.push({ at: now - this.start, ...event })
    if (this.kept.length >= 2 * keptEvents) {
      this.dropped += this.kept.length - keptEvents
      this.kept.splice(0, this.kept.length - keptEvents)
    }
  }

  events(connection?: number): ReadonlyArray<WireEvent> {
    return connection === undefined ? this.kept.slice() : this.kept.filter((event) => event.connection === connection)
  }

  render(heading: ReadonlyArray<string>, connection?: number): string {
    const events = this.events(connection)
    if (events.length === 0) return [...heading, "nothing crossed the wire"].join("\n")
    const left = this.dropped + Math.max(0, events.length - firstLines - lastLines)
    const body =
      left === 0
        ? events.map(line)
        : [
            ...events.slice(0, firstLines).map(line),
            `       ...  ${left} events that are left out here`,
            ...events.slice(-lastLines).map(line)
          ]
    return [...heading, "        ms", ...body].join("\n")
  }
}

const line = (event: WireEvent): string => {
  const time = event.at.toFixed(3).padStart(10)
  return `${time}  #${event.connection} ${event.from === "client" ? "client →" : "server →"} ${describe(event)}`
}

const describe = (event: WireEvent): string => {
  switch (event.kind) {
    case "data":
      return `${event.size} B at ${event.offset}  ${preview(event.bytes!, event.size!)}`
    case "end":
      return event.detail === undefined ? "FIN" : `FIN (${event.detail})`
    case "reset":
      return event.detail === undefined ? "RST" : `RST (${event.detail})`
    case "stray":
      return `${event.size} B that nobody reads any more`
    case "connect":
    case "accept":
    case "refuse":
    case "fault":
      return event.detail === undefined ? event.kind : `${event.kind}: ${event.detail}`
  }
}

/** Bytes as a string literal, cut where it gets long. */
const preview = (bytes: Uint8Array, size: number): string => {
  let text = ""
  for (const byte of bytes) {
    if (byte === 0x0a) text += "\\n"
    else if (byte === 0x0d) text += "\\r"
    else if (byte === 0x09) text += "\\t"
    else if (byte === 0x22 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else text += `\\x${byte.toString(16).padStart(2, "0")}`
  }
  return size > bytes.length ? `"${text}"…` : `"${text}"`
}
