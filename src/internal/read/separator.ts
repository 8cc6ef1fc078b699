/**
 * Searching for the end of an item, over bytes that arrived in pieces.
 *
 * A search remembers how far it came, so that bytes are looked at once however
 * many pieces they come in, and stops at the end that comes first.
 */
import type { Segments } from "./segments.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"

/** Where a separator was found: the bytes before it, and the bytes up to and including it. */
export interface Match {
  readonly start: number
  readonly end: number
}

export interface Separator {
  readonly shortest: number
  readonly longest: number
  /** The first match at or after `from`, as CPython 3.13 defines it: the one that ends first, the shortest of those. */
  find(segments: Segments, from: number): Match | undefined
  /** Where the first match lies that is whole in `piece`, at or after `from` and before `end`, or -1. One length only. */
  findIn?(piece: Uint8Array, from: number, end: number): number
  /** What each match ends with. One length only. */
  readonly lastByte?: number
}

class SingleByte implements Separator {
  readonly shortest = 1
  readonly longest = 1
  readonly lastByte: number
  constructor(byte: number) {
    this.lastByte = byte
  }
  findIn(piece: Uint8Array, from: number, end: number): number {
    return Bytes.indexOfByte(piece, this.lastByte, from, end)
  }
  find(segments: Segments, from: number): Match | undefined {
    const { end, position } = segments
    // most are in the piece at the front
    if (position + from < end) {
      const at = Bytes.indexOfByte(segments.piece, this.lastByte, position + from, end) - position
      if (at >= 0) return { start: at, end: at + 1 }
      from = end - position
    }
    if (from === segments.length) return undefined
    let match: Match | undefined
    segments.scan(from, (piece, start, end, offset) => {
      const index = Bytes.indexOfByte(piece, this.lastByte, start, end)
      if (index === -1) return false
      const at = offset + index - start
      match = { start: at, end: at + 1 }
      return true
    })
    return match
  }
}

/** One separator of several bytes: look for its first byte, then compare, across pieces. */
class MultiByte implements Separator {
  readonly shortest: number
  readonly longest: number
  readonly lastByte: number
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.shortest = bytes.length
    this.longest = bytes.length
    this.lastByte = bytes[bytes.length - 1]!
  }
  findIn(piece: Uint8Array, from: number, end: number): number {
    const first = this.bytes[0]!
    const last = end - this.bytes.length
    for (let index = from; ; index++) {
      index = Bytes.indexOfByte(piece, first, index, end)
      if (index === -1 || index > last) return -1
      if (matchesPiece(this.bytes, piece, index)) return index
    }
  }
  find(segments: Segments, from: number): Match | undefined {
    const last = segments.length - this.longest
    let match: Match | undefined
    segments.scan(from, (piece, start, end, offset) => {
      for (let index = start; ; index++) {
        index = Bytes.indexOfByte(piece, this.bytes[0]!, index, end)
        if (index === -1) return false
        const at = offset + index - start
        if (at > last) return true
        if (
          index + this.bytes.length <= end
            ? matchesPiece(this.bytes, piece, index)
            : matchesAt(this.bytes, segments, at)
        ) {
          match = { start: at, end: at + this.bytes.length }
          return true
        }
      }
    })
    return match
  }
}

/** Several separators: one pass with a table of first bytes, so that a rare one never costs a scan of its own. */
class Several implements Separator {
  readonly shortest: number
  readonly longest: number
  /** Shortest first: on equal ends the shortest counts. */
  readonly all: ReadonlyArray<Uint8Array>
  readonly first = new Uint8Array(256)
  constructor(separators: ReadonlyArray<Uint8Array>) {
    this.all = [...separators].sort((a, b) => a.length - b.length)
    this.shortest = this.all[0]!.length
    this.longest = this.all[this.all.length - 1]!.length
    for (const separator of this.all) this.first[separator[0]!] = 1
  }
  find(segments: Segments, from: number): Match | undefined {
    let best: Match | undefined
    segments.scan(from, (piece, start, end, offset) => {
      for (let index = start; index < end; index++) {
        if (this.first[piece[index]!] === 0) continue
        const at = offset + index - start
        // a match that begins here can no longer end before the best one
        if (best !== undefined && at + this.shortest > best.end) return true
        for (const separator of this.all) {
          const stop = at + separator.length
          if (stop > segments.length || (best !== undefined && stop > best.end)) break
          if (
            index + separator.length <= end ? matchesPiece(separator, piece, index) : matchesAt(separator, segments, at)
          ) {
            if (best === undefined || stop < best.end || separator.length < best.end - best.start) {
              best = { start: at, end: stop }
            }
            break
          }
        }
      }
      return best !== undefined && offset + (end - start) + this.shortest > best.end
    })
    return best
  }
}

const matchesPiece = (separator: Uint8Array, piece: Uint8Array, at: number): boolean => {
  for (let i = 0; i < separator.length; i++) {
    if (piece[at + i] !== separator[i]) return false
  }
  return true
}

const matchesAt = (separator: Uint8Array, segments: Segments, at: number): boolean => {
  let matched = 0
  let same = true
  segments.scan(at, (piece, start, end) => {
    for (let i = start; i < end && matched < separator.length; i++, matched++) {
      if (piece[i] !== separator[matched]) {
        same = false
        return true
      }
    }
    return matched === separator.length
  })
  return same && matched === separator.length
}

/** The line feed, which ends a line. */
export const lineFeed: Separator = new SingleByte(10)

/** What a caller may name as separator. */
export type Input = string | Uint8Array | ReadonlyArray<string | Uint8Array>

/** Searches for text that is asked for again and again, such as a line's end. Few, for some texts are made up each time. */
const prepared = new Map<string, Separator>()
const mostPrepared = 32
const longestPrepared = 32

/** Prepares a search; throws what CPython raises as `ValueError`. */
export const compile = (operation: string, input: Input): Separator => {
  if (typeof input === "string") return prepared.get(input) ?? prepare(operation, input)
  if (Bytes.from(input) !== undefined) return single(toBytes(operation, input as Uint8Array))
  if (!Array.isArray(input)) {
    throw Argument.wrongType(operation, "separator", "a string, a Uint8Array or an array of them", input)
  }
  if (input.length === 0) throw new RangeError(`${operation}: separators must contain at least one element, got []`)
  const all = input.map((one) => toBytes(operation, one))
  return all.length === 1 ? single(all[0]!) : new Several(all)
}

const prepare = (operation: string, text: string): Separator => {
  const separator = single(toBytes(operation, text))
  if (prepared.size < mostPrepared && text.length <= longestPrepared) prepared.set(text, separator)
  return separator
}

const single = (bytes: Uint8Array): Separator => (bytes.length === 1 ? new SingleByte(bytes[0]!) : new MultiByte(bytes))

const toBytes = (operation: string, one: string | Uint8Array): Uint8Array => {
  const bytes = typeof one === "string" ? Bytes.encode(one) : Bytes.from(one)
  if (bytes === undefined) {
    throw Argument.wrongType(operation, "separator", "a string or a Uint8Array", one)
  }
  if (bytes.length === 0) {
    throw new RangeError(`${operation}: separator must be at least one byte long, got an empty one`)
  }
  // the caller's array may change while it is looked for
  return typeof one === "string" ? bytes : Bytes.copy(bytes)
}
