/** Reads up to a separator: `readUntil`, `readUntilOption`, `discardUntil`. */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ReadError } from "../../../StreamError.ts"
import { IncompleteRead, LimitOverrun } from "../../base/errors.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { ReadOperation, type Source } from "../readOperation.ts"
import type * as Separator from "../separator.ts"

const exitVoid: Exit.Exit<void> = Exit.void
const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/** What the reads up to a separator share: the search, which goes on where it stopped. */
export abstract class Until<A, E> extends ReadOperation<A, E> {
  readonly separator: Separator.Separator
  readonly limit: number
  protected match: Separator.Match | undefined = undefined
  constructor(source: Source, separator: Separator.Separator, limit: number) {
    super(source)
    this.separator = separator
    this.limit = limit
  }
  override threshold(): number {
    // a separator may begin within the limit, and has to fit in
    return 2 * this.limit + this.separator.longest
  }
  /** Searches what has not been searched. Returns the offset up to which a separator can no longer begin, as CPython. */
  protected search(): number {
    const { buffer, separator } = this
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
    return buffer.searched
  }
  ready(): boolean {
    return this.search() > this.limit || this.match !== undefined || this.over()
  }
  /** Whether the first separator is the end of these bytes, and within the limit. */
  protected endsIn(bytes: Uint8Array): boolean {
    const { limit, separator } = this
    const start = bytes.length - separator.longest
    // fewer bytes than a separator has are not searched: -1 is also where nothing is found
    if (start < 0 || start > limit || separator.findIn === undefined) return false
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

/** What `readUntil` and `readUntilOption` share. */
abstract class UntilSeparator<A> extends Until<A, ReadError | IncompleteRead | LimitOverrun> {
  /** Whether the separator is part of the result. */
  declare private readonly keepsDelimiter: boolean
  constructor(source: Source, separator: Separator.Separator, limit: number, keepsDelimiter: boolean) {
    super(source, separator, limit)
    this.keepsDelimiter = keepsDelimiter
  }
  protected abstract answer(bytes: Uint8Array): A
  protected abstract atEnd(): Exit.Exit<A, IncompleteRead>

  private taken(start: number, end: number): A {
    const bytes = this.buffer.take(end)
    return this.answer(this.keepsDelimiter ? bytes : bytes.subarray(0, start))
  }
  tryNow(): A | typeof notNow {
    const { buffer, separator } = this
    const { segments } = buffer
    if (!buffer.idle || segments.length === 0) return notNow
    if (separator.findIn !== undefined) {
      const { position } = segments
      const from = buffer.searchedFor === separator ? position + buffer.searched : position
      const at = from < segments.end ? separator.findIn(segments.piece, from, segments.end) : -1
      if (at === -1 || at - position > this.limit) return notNow
      return this.taken(at - position, at - position + separator.longest)
    }
    this.search()
    const match = this.match
    return match === undefined || match.start > this.limit ? notNow : this.taken(match.start, match.end)
  }
  override answerBy(bytes: Uint8Array): A | typeof notNow {
    if (!this.endsIn(bytes)) return notNow
    const plain = Bytes.plain(bytes)
    return this.answer(this.keepsDelimiter ? plain : plain.subarray(0, plain.length - this.separator.longest))
  }
  settle(): Exit.Exit<A, ReadError | IncompleteRead | LimitOverrun> | undefined {
    const offset = this.search()
    const match = this.match
    if (match !== undefined) {
      if (match.start > this.limit) return this.overrun(match.start, true)
      return Exit.succeed(this.taken(match.start, match.end))
    }
    // the offset counts as overrun only once the separator could have been in the buffer
    if (offset > this.limit && this.buffer.segments.length >= this.separator.shortest)
      return this.overrun(offset, false)
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (!this.over()) return undefined
    return this.buffer.segments.length === 0 ? this.atEnd() : this.incomplete()
  }
}

/** `readUntil`. */
export class ReadUntil extends UntilSeparator<Uint8Array> {
  get name() {
    return "readUntil"
  }
  protected answer(bytes: Uint8Array): Uint8Array {
    return bytes
  }
  protected atEnd(): Exit.Exit<never, IncompleteRead> {
    return this.incomplete()
  }
}

/** `readUntilOption`: a clean end in front of the first byte is `None`. */
export class ReadUntilOption extends UntilSeparator<Option.Option<Uint8Array>> {
  get name() {
    return "readUntilOption"
  }
  override get cleanEnd() {
    return exitNone
  }
  protected answer(bytes: Uint8Array): Option.Option<Uint8Array> {
    return Option.some(bytes)
  }
  protected atEnd(): Exit.Exit<Option.Option<Uint8Array>> {
    return this.cleanEnd
  }
}

/** `discardUntil`: drops up to and including a separator, holding no more than the separator's length. */
export class DiscardUntil extends Until<void, ReadError | IncompleteRead> {
  get name() {
    return "discardUntil"
  }
  override get framed() {
    return false
  }
  constructor(source: Source, separator: Separator.Separator) {
    super(source, separator, Infinity)
  }
  override threshold(): number {
    return this.separator.longest
  }
  tryNow(): typeof notNow {
    return notNow
  }
  override ready(): boolean {
    const { buffer } = this
    const offset = this.search()
    if (this.match !== undefined || this.over()) return true
    if (offset > 0) buffer.skip(offset)
    return false
  }
  settle(): Exit.Exit<void, ReadError | IncompleteRead> | undefined {
    const { buffer } = this
    const offset = this.search()
    if (this.match !== undefined) {
      buffer.skip(this.match.end)
      return exitVoid
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.over()) return this.incomplete()
    if (offset > 0) buffer.skip(offset)
    return undefined
  }
}
