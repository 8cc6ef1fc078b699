/**
 * What a reader ought to do, said as simply as possible: the unread bytes are one string, and every read is a function
 * of that string and of how the stream has ended. Nothing here knows of chunks, queues, windows or fibers.
 */
import type { Outcome, Request } from "./readRequests.ts"

export type End = "open" | "eof" | "lost" | "closed"

/** All reads but `lines`: how many of them are handed on at a time is up to the chunks. */
export type Modelled = Exclude<Request, { readonly name: "lines" }>

export const isModelled = (request: Request): request is Modelled => request.name !== "lines"

export class ReaderModel {
  /** What has arrived and was not read. */
  rest = ""
  end: End = "open"
  /** How many bytes left the buffer, delivered or dropped, less those that were put back. */
  gone = 0
  /** How many overlong lines were dropped whose end has not arrived: several, if bytes were put back in between. */
  private discarding = 0
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  feed(text: string): void {
    if (this.end === "closed") return
    while (this.discarding > 0 && text !== "") {
      const end = text.indexOf("\n") + 1 || text.length
      if (text[end - 1] === "\n") this.discarding--
      this.gone += end
      text = text.slice(end)
    }
    this.rest += text
  }

  finish(end: End): void {
    this.end = end
    if (end === "closed") this.take(this.rest.length)
  }

  get atEof(): boolean {
    return this.end === "eof" && this.rest === ""
  }

  /** What comes of a read now; `undefined` if it has to wait. */
  attempt(request: Modelled): Outcome | undefined {
    if (this.end === "closed") return { error: "ClosedStream", operation: request.name, reason: "Closed" }
    switch (request.name) {
      case "read":
      case "readInto": {
        const bytes = this.some(request.name, request.count)
        return bytes === undefined || typeof bytes === "object" ? bytes : { value: bytes }
      }
      case "readOption": {
        if (this.atEof) return { value: null }
        const bytes = this.some(request.name, request.count)
        return bytes === undefined || typeof bytes === "object" ? bytes : { value: { some: bytes } }
      }
      case "readExactly":
        return this.exactly(request, (bytes) => ({ value: bytes }))
      case "readExactlyOption":
        if (this.atEof && request.count > 0) return { value: null }
        return this.exactly(request, (bytes) => ({ value: { some: bytes } }))
      case "skip":
        return this.exactly(request, () => ({ value: undefined }))
      case "peek": {
        const { count } = request
        if (this.rest.length >= count && this.rest.length > 0) return { value: this.rest.slice(0, count) }
        return this.lost(request.name) ?? (count === 0 || this.end === "eof" ? { value: this.rest } : undefined)
      }
      case "unread":
        this.gone -= request.bytes.length
        this.rest = request.bytes + this.rest
        return { value: undefined }
      case "pull":
        if (this.rest !== "") return { value: this.take(this.rest.length) }
        return this.lost(request.name) ?? (this.end === "eof" ? { error: "Done" } : undefined)
      case "readAll": {
        const most = request.maxBytes === "unbounded" ? Infinity : request.maxBytes
        if (this.rest.length > most) {
          return { error: "LimitOverrun", operation: request.name, consumed: most, limit: most, found: false }
        }
        return this.lost(request.name) ?? (this.end === "eof" ? { value: this.take(this.rest.length) } : undefined)
      }
      case "readUntil":
        return this.until(request, (bytes) => ({ value: bytes }))
      case "readUntilOption":
        if (this.atEof) return { value: null }
        return this.until(request, (bytes) => ({ value: { some: bytes } }))
      case "discardUntil":
        return this.discard(request.name, request.separators)
      case "readLine":
        return this.line({ name: request.name }, (bytes) => ({ value: bytes }))
      case "readLineWith": {
        const { keepDelimiter = true } = request
        return this.line(request, keepDelimiter ? (bytes) => ({ value: bytes }) : bareLine)
      }
      case "readLineOption":
        return this.line({ name: request.name }, (bytes) => ({ value: bytes === "" ? null : { some: bytes } }))
      case "readLineText":
        return this.line({ name: request.name, end: "required" }, bareLine)
    }
  }

  private take(count: number): string {
    const taken = this.rest.slice(0, count)
    this.rest = this.rest.slice(count)
    this.gone += taken.length
    return taken
  }

  private lost(operation: string): Outcome | undefined {
    return this.end === "lost" ? { error: "ConnectionLost", operation, kind: "Reset", code: "ECONNRESET" } : undefined
  }

  private some(operation: string, count: number): string | Outcome | undefined {
    if (this.rest !== "") return this.take(count)
    return this.lost(operation) ?? (count === 0 || this.end === "eof" ? "" : undefined)
  }

  private exactly(
    request: { readonly name: string; readonly count: number },
    answer: (bytes: string) => Outcome
  ): Outcome | undefined {
    const { count, name } = request
    if (this.rest.length >= count && this.rest !== "") return answer(this.take(count))
    const lost = this.lost(name)
    if (lost !== undefined) return lost
    if (count === 0) return answer("")
    if (this.end === "open") return undefined
    return { error: "IncompleteRead", operation: name, partial: this.take(this.rest.length), expected: count }
  }

  /** CPython 3.13, `StreamReader.readuntil`. */
  private until(
    request: Extract<Request, { readonly name: "readUntil" | "readUntilOption" }>,
    answer: (bytes: string) => Outcome
  ): Outcome | undefined {
    const { keepDelimiter = true, limit = this.limit, name: operation, separators } = request
    const match = firstMatch(this.rest, separators)
    if (match !== undefined) {
      if (match.start > limit) {
        return { error: "LimitOverrun", operation, consumed: match.start, limit, found: true }
      }
      const taken = this.take(match.end)
      return answer(keepDelimiter ? taken : taken.slice(0, match.start))
    }
    const offset = safeOffset(this.rest, separators)
    if (offset > limit) return { error: "LimitOverrun", operation, consumed: offset, limit, found: false }
    return this.lost(operation) ?? this.incomplete(operation)
  }

  private discard(operation: string, separators: ReadonlyArray<string>): Outcome | undefined {
    const match = firstMatch(this.rest, separators)
    if (match !== undefined) {
      this.take(match.end)
      return { value: undefined }
    }
    const over = this.lost(operation) ?? this.incomplete(operation)
    if (over === undefined) this.take(safeOffset(this.rest, separators))
    return over
  }

  private incomplete(operation: string): Outcome | undefined {
    return this.end === "open"
      ? undefined
      : { error: "IncompleteRead", operation, partial: this.take(this.rest.length) }
  }

  private line(
    asked: {
      readonly name: string
      readonly limit?: number | undefined
      readonly onOverrun?: "fail" | "discard"
      readonly end?: "optional" | "required" | undefined
    },
    answer: (bytes: string) => Outcome
  ): Outcome | undefined {
    const { end = "optional", limit = this.limit, name: operation, onOverrun = "fail" } = asked
    while (true) {
      const feed = this.rest.indexOf("\n")
      const consumed = feed === -1 ? this.rest.length : feed
      if (consumed > limit) {
        if (feed === -1) this.discarding++
        this.take(consumed + 1)
        if (onOverrun === "fail") return { error: "LimitOverrun", operation, consumed, limit, found: feed !== -1 }
        continue
      }
      if (feed !== -1) return answer(this.take(feed + 1))
      const lost = this.lost(operation)
      if (lost !== undefined) return lost
      const dropped = onOverrun === "discard" && this.discarding > 0
      if (end === "required" && this.end === "eof" && (this.rest !== "" || dropped)) {
        this.discarding = 0
        return this.incomplete(operation)
      }
      return this.end === "eof" ? answer(this.take(this.rest.length)) : undefined
    }
  }
}

/** A line without its end; where there is nothing at all, the end of the stream. */
const bareLine = (bytes: string): Outcome => ({ value: bytes === "" ? null : { some: bytes.replace(/\r?\n$/, "") } })

export interface Match {
  readonly start: number
  readonly end: number
}

/** The match that ends first, and the shortest of those; of those that begin at or after `from`. */
export const firstMatch = (text: string, separators: ReadonlyArray<string>, from = 0): Match | undefined => {
  let best: Match | undefined
  for (const separator of separators) {
    const start = text.indexOf(separator, from)
    if (start === -1) continue
    const end = start + separator.length
    if (best === undefined || end < best.end || (end === best.end && start > best.start)) best = { start, end }
  }
  return best
}

/** How many bytes cannot be part of a separator that is yet to be completed. */
const safeOffset = (text: string, separators: ReadonlyArray<string>): number => {
  const longest = Math.max(...separators.map((separator) => separator.length))
  const shortest = Math.min(...separators.map((separator) => separator.length))
  // CPython does not look before the shortest separator could be there
  return text.length < shortest ? 0 : Math.max(0, text.length + 1 - longest)
}

/** Cuts `text` behind each separator; the last item lacks one. */
export const itemsOf = (text: string, separators: ReadonlyArray<string>): Array<string> => {
  const items: Array<string> = []
  let rest = text
  for (let match = firstMatch(rest, separators); match !== undefined; match = firstMatch(rest, separators)) {
    items.push(rest.slice(0, match.end))
    rest = rest.slice(match.end)
  }
  items.push(rest)
  return items
}
