/**
 * The limit of an item: how many bytes may lie in front of the separator that ends it.
 *
 * As in CPython, the separator does not count, and exactly the limit is allowed. `readLine`, `readUntil` and `lines` all
 * search here, so they agree about the same bytes. Nothing else compares a length with the limit of an item.
 */
import * as Exit from "effect/Exit"
import { IncompleteRead, LimitOverrun } from "../base/errors.ts"
import * as Bytes from "../base/bytes.ts"
import { ReadOperation, type Source } from "./readOperation.ts"
import type { Match, Separator } from "./separator.ts"

/** Whether an item is too long that has, or will have, so many bytes in front of its end. */
const exceeds = (length: number, limit: number): boolean => length > limit

/**
 * The result of a search: an item within the limit (`item`) or over it (`long`), or no end yet. Then the item may still
 * fit (`none`), or it cannot any more, wherever its end comes (`endless`).
 */
export type Found = "item" | "long" | "endless" | "none"

/** A read of items with a limit. Its search goes on where the search for the same separator stopped. */
export abstract class Limited<A, E> extends ReadOperation<A, E> {
  readonly separator: Separator
  readonly limit: number
  /** The end that the last search found. */
  protected match: Match | undefined = undefined

  constructor(source: Source, separator: Separator, limit: number) {
    super(source)
    this.separator = separator
    this.limit = limit
  }

  /** A separator may begin within the limit, and has to fit in. */
  override threshold(): number {
    return 2 * this.limit + this.separator.longest
  }

  /** Searches what has not been searched. No separator begins before `buffer.searched` then, unless there is a match. */
  protected find(): Found {
    const { buffer, limit, separator } = this
    const { segments } = buffer
    if (buffer.searchedFor !== separator) {
      buffer.searchedFor = separator
      buffer.searched = 0
    }
    this.match = undefined
    if (segments.length - buffer.searched >= separator.shortest) {
      this.match = separator.find(segments, buffer.searched)
      if (this.match === undefined) buffer.searched = Math.max(0, segments.length + 1 - separator.longest)
    }
    if (this.match !== undefined) return exceeds(this.match.start, limit) ? "long" : "item"
    return exceeds(buffer.searched, limit) ? "endless" : "none"
  }

  /** The bytes in front of the first separator, if it lies whole in the front piece and the item is within the limit, or -1. */
  protected lengthInFront(): number {
    const { buffer, separator } = this
    const { end, piece, position } = buffer.segments
    const from = buffer.searchedFor === separator ? position + buffer.searched : position
    if (from >= end) return -1
    const length = separator.findIn!(piece, from, end) - position
    return length < 0 || exceeds(length, this.limit) ? -1 : length
  }

  /** Whether the first separator is the end of these bytes, and within the limit. */
  protected endsIn(bytes: Uint8Array): boolean {
    const { limit, separator } = this
    const start = bytes.length - separator.longest
    // fewer bytes than a separator has are not searched: -1 is also where nothing is found
    if (start < 0 || exceeds(start, limit) || separator.findIn === undefined) return false
    // most of what is no answer is not searched twice
    return bytes[bytes.length - 1] === separator.lastByte && separator.findIn(bytes, 0, bytes.length) === start
  }

  protected overrun(consumed: number, found: boolean): Exit.Exit<never, LimitOverrun> {
    return Exit.fail(new LimitOverrun({ operation: this.name, consumed, limit: this.limit, found }))
  }

  /** The stream has ended in front of the separator. */
  protected incomplete(): Exit.Exit<never, IncompleteRead> {
    const held = this.buffer.segments.length
    const partial = held === 0 ? Bytes.empty : this.buffer.take(held)
    return Exit.fail(new IncompleteRead({ operation: this.name, partial }))
  }
}

/**
 * The end of the last line in a piece before the first one over the limit. The first line ends at `first` and is within
 * the limit; `start`, `first` and `end` are places in the piece, as is the result.
 */
export const lastEndWithin = (piece: Uint8Array, start: number, first: number, end: number, limit: number): number => {
  if (!exceeds(end - start, limit)) {
    // not even one line of them all could be too long
    let last = end
    while (piece[last - 1] !== 10) last--
    return last
  }
  // from the front: behind a line that is too long may lie much that would be looked at again for each of those in front
  let line = first
  while (line < end) {
    const feed = Bytes.indexOfByte(piece, 10, line)
    // what lies behind the end is no part of it
    if (feed === -1 || feed >= end || exceeds(feed - line, limit)) break
    line = feed + 1
  }
  return line
}
