/** Each read as an operation on a `ReadBuffer`: when it is ready, what it takes, how it ends. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ReadError } from "../../StreamError.ts"
import { IncompleteRead, LimitOverrun } from "../base/errors.ts"
import * as Bytes from "../base/bytes.ts"
import { notNow } from "../runtime/operation.ts"
import { ReadOperation, type Source } from "./readBuffer.ts"
import * as Separator from "./separator.ts"

const exitVoid: Exit.Exit<void> = Exit.void
const exitEmpty: Exit.Exit<Uint8Array> = Exit.succeed(Bytes.empty)
const exitZero: Exit.Exit<number> = Exit.succeed(0)
const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/** `read`: what there is, up to a number of bytes. */
export class Read extends ReadOperation<Uint8Array, ReadError> {
  get name() {
    return "read"
  }
  override get framed() {
    return false
  }
  tryNow(): Uint8Array | typeof notNow {
    const buffer = this.buffer
    const held = buffer.window.length
    const wanted = this.count
    // what is still in the queue belongs to the answer when the window has less than was asked for
    if (!buffer.idle || held === 0 || wanted === 0 || (held < wanted && held !== buffer.size)) return notNow
    return buffer.take(held < wanted ? held : wanted)
  }
  override answerBy(bytes: Uint8Array): Uint8Array | typeof notNow {
    return bytes.length <= this.count ? Bytes.plain(bytes) : notNow
  }
  ready(): boolean {
    return this.buffer.window.length > 0 || this.over()
  }
  settle(): Exit.Exit<Uint8Array, ReadError> | undefined {
    const { window } = this.buffer
    if (window.length === 0) {
      const broken = this.broken()
      if (broken !== undefined) return broken
      return this.count === 0 || this.buffer.end !== undefined ? exitEmpty : undefined
    }
    if (this.count === 0) return exitEmpty
    return Exit.succeed(this.buffer.take(Math.min(this.count, window.length)))
  }
}

/** `readInto`: `read`, into memory of the caller's. */
export class ReadInto extends ReadOperation<number, ReadError> {
  declare private readonly memory: Uint8Array
  constructor(source: Source, memory: Uint8Array) {
    super(source, memory.length)
    this.memory = memory
  }
  get name() {
    return "readInto"
  }
  override get framed() {
    return false
  }
  override get target() {
    return this.memory
  }
  tryNow(): number | typeof notNow {
    const { buffer, count, memory } = this
    const held = buffer.window.length
    if (!buffer.idle || held === 0 || count === 0 || (held < count && held !== buffer.size)) return notNow
    if (memory.length < count) return notNow
    const size = held < count ? held : count
    buffer.takeInto(memory, size)
    return size
  }
  ready(): boolean {
    return this.buffer.window.length > 0 || this.over()
  }
  settle(): Exit.Exit<number, ReadError> | undefined {
    const { buffer, count, memory } = this
    const held = buffer.window.length
    if (held === 0) {
      const broken = this.broken()
      if (broken !== undefined) return broken
      return count === 0 || buffer.end !== undefined ? exitZero : undefined
    }
    if (count === 0) return exitZero
    // 0 would say that the stream has ended
    if (memory.length < count) return Exit.die(new Error("readInto: the array was detached or has shrunk"))
    const size = Math.min(count, held)
    buffer.takeInto(memory, size)
    return Exit.succeed(size)
  }
}

/** `readOption`: `read`, with the end of the stream told apart from no bytes. */
export class ReadOption extends ReadOperation<Option.Option<Uint8Array>, ReadError> {
  get name() {
    return "readOption"
  }
  override get framed() {
    return false
  }
  override get cleanEnd() {
    return exitNone
  }
  tryNow(): Option.Option<Uint8Array> | typeof notNow {
    const { buffer, count } = this
    const held = buffer.window.length
    if (!buffer.idle || held === 0 || count === 0 || (held < count && held !== buffer.size)) return notNow
    return Option.some(buffer.take(held < count ? held : count))
  }
  override answerBy(bytes: Uint8Array): Option.Option<Uint8Array> | typeof notNow {
    return bytes.length <= this.count ? Option.some(Bytes.plain(bytes)) : notNow
  }
  ready(): boolean {
    return this.buffer.window.length > 0 || this.over()
  }
  settle(): Exit.Exit<Option.Option<Uint8Array>, ReadError> | undefined {
    const { window } = this.buffer
    if (window.length > 0) {
      return Exit.succeed(Option.some(this.buffer.take(Math.min(this.count, window.length))))
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.buffer.end !== undefined) return this.cleanEnd
    return this.count === 0 ? Exit.succeed(Option.some(Bytes.empty)) : undefined
  }
}

/** What takes pieces as they came. */
abstract class Pieces extends ReadOperation<readonly [Uint8Array, ...Array<Uint8Array>], ReadError | Cause.Done> {
  override get framed() {
    return false
  }
  /** Moving pieces into the window may join them. */
  override get absorbs() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  ready(): boolean {
    return this.buffer.size > 0 || this.over()
  }
  protected abstract pieces(): ReadonlyArray<Uint8Array>
  settle(): Exit.Exit<readonly [Uint8Array, ...Array<Uint8Array>], ReadError | Cause.Done> | undefined {
    const { buffer } = this
    if (buffer.size > 0) return Exit.succeed(this.pieces() as unknown as [Uint8Array])
    buffer.absorb()
    return this.broken() ?? (buffer.end === undefined ? undefined : Exit.fail(Cause.Done()))
  }
}

/** `pull`: everything there is. */
export class Pull extends Pieces {
  get name() {
    return "pull"
  }
  protected pieces() {
    return this.buffer.takePieces()
  }
}

/** What `stream` pulls: a piece at a time, so that the others stay in the reader. */
export class PullPiece extends Pieces {
  get name() {
    return "stream"
  }
  protected pieces() {
    return [this.buffer.takePiece()]
  }
}

/** `readAll`: everything up to the end of the stream, kept in the buffer until it is complete. */
export class ReadAll extends ReadOperation<Uint8Array, ReadError | LimitOverrun> {
  get name() {
    return "readAll"
  }
  override get framed() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  override threshold(): number {
    return this.count + 1
  }
  ready(): boolean {
    return this.buffer.window.length > this.count || this.over()
  }
  settle(): Exit.Exit<Uint8Array, ReadError | LimitOverrun> | undefined {
    const held = this.buffer.window.length
    if (held > this.count) {
      return Exit.fail(
        new LimitOverrun({ operation: this.name, consumed: this.count, limit: this.count, found: false })
      )
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.buffer.end === undefined) return undefined
    return held === 0 ? exitEmpty : Exit.succeed(this.buffer.take(held))
  }
}

/** What the reads of an exact number of bytes share. */
abstract class Exactly<A, E> extends ReadOperation<A, E> {
  override threshold(): number {
    return this.count
  }
  ready(): boolean {
    return this.buffer.window.length >= this.count || this.over()
  }
  protected abstract answer(): Exit.Exit<A, E | ReadError>
  protected abstract cutShort(held: number): Exit.Exit<A, E | ReadError>
  settle(): Exit.Exit<A, E | ReadError> | undefined {
    const held = this.buffer.window.length
    // a stored failure comes before the answer to a request for nothing, as in CPython
    if (held >= this.count && held > 0) return this.answer()
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.count === 0) return this.answer()
    return this.buffer.end === undefined ? undefined : this.cutShort(held)
  }
  protected incomplete(held: number): Exit.Exit<never, IncompleteRead> {
    const partial = held === 0 ? Bytes.empty : this.buffer.take(held)
    return Exit.fail(new IncompleteRead({ operation: this.name, partial, expected: this.count }))
  }
}

/** `readExactly`. */
export class ReadExactly extends Exactly<Uint8Array, ReadError | IncompleteRead> {
  get name() {
    return "readExactly"
  }
  tryNow(): Uint8Array | typeof notNow {
    const { buffer, count } = this
    return buffer.idle && count > 0 && buffer.window.length >= count ? buffer.take(count) : notNow
  }
  override answerBy(bytes: Uint8Array): Uint8Array | typeof notNow {
    return bytes.length === this.count ? Bytes.plain(bytes) : notNow
  }
  protected answer(): Exit.Exit<Uint8Array> {
    return this.count === 0 ? exitEmpty : Exit.succeed(this.buffer.take(this.count))
  }
  protected cutShort(held: number): Exit.Exit<never, IncompleteRead> {
    return this.incomplete(held)
  }
}

/** `readExactlyOption`: a clean end in front of the first byte is `None`. */
export class ReadExactlyOption extends Exactly<Option.Option<Uint8Array>, ReadError | IncompleteRead> {
  get name() {
    return "readExactlyOption"
  }
  override get cleanEnd() {
    return exitNone
  }
  tryNow(): Option.Option<Uint8Array> | typeof notNow {
    const { buffer, count } = this
    return buffer.idle && count > 0 && buffer.window.length >= count ? Option.some(buffer.take(count)) : notNow
  }
  override answerBy(bytes: Uint8Array): Option.Option<Uint8Array> | typeof notNow {
    return bytes.length === this.count ? Option.some(Bytes.plain(bytes)) : notNow
  }
  protected answer(): Exit.Exit<Option.Option<Uint8Array>> {
    return Exit.succeed(Option.some(this.count === 0 ? Bytes.empty : this.buffer.take(this.count)))
  }
  protected cutShort(held: number): Exit.Exit<Option.Option<Uint8Array>, IncompleteRead> {
    return held === 0 ? this.cleanEnd : this.incomplete(held)
  }
}

/** `skip`. */
export class Skip extends Exactly<void, ReadError | IncompleteRead> {
  get name() {
    return "skip"
  }
  tryNow(): void | typeof notNow {
    const { buffer, count } = this
    return buffer.idle && count > 0 && buffer.window.length >= count ? buffer.skip(count) : notNow
  }
  protected answer(): Exit.Exit<void> {
    if (this.count > 0) this.buffer.skip(this.count)
    return exitVoid
  }
  protected cutShort(held: number): Exit.Exit<never, IncompleteRead> {
    return this.incomplete(held)
  }
}

/**
 * `skip` of more than the limit: what arrives is dropped, and never more of it held than comes at a time. Made anew for each
 * run, since it counts.
 */
export class SkipMany extends ReadOperation<void, ReadError | IncompleteRead> {
  private left: number
  constructor(source: Source, count: number) {
    super(source, count)
    this.left = count
  }
  get name() {
    return "skip"
  }
  override get framed() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  private drop(): void {
    const size = Math.min(this.left, this.buffer.window.length)
    if (size === 0) return
    this.left -= size
    this.buffer.skip(size)
  }
  ready(): boolean {
    this.drop()
    return this.left === 0 || this.over()
  }
  settle(): Exit.Exit<void, ReadError | IncompleteRead> | undefined {
    this.drop()
    if (this.left === 0) return exitVoid
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.buffer.end === undefined) return undefined
    return Exit.fail(new IncompleteRead({ operation: this.name, partial: Bytes.empty, expected: this.count }))
  }
}

/** `peek`. */
export class Peek extends Exactly<Uint8Array, ReadError> {
  get name() {
    return "peek"
  }
  tryNow(): typeof notNow {
    // it takes nothing, so that a loop of it would never let others run
    return notNow
  }
  protected answer(): Exit.Exit<Uint8Array> {
    return this.count === 0 ? exitEmpty : Exit.succeed(this.buffer.window.peek(this.count))
  }
  protected cutShort(held: number): Exit.Exit<Uint8Array> {
    return held === 0 ? exitEmpty : Exit.succeed(this.buffer.window.peek(held))
  }
}

/** `unread`. */
export class Unread extends ReadOperation<void, ReadError> {
  get name() {
    return "unread"
  }
  readonly bytes: Uint8Array
  constructor(source: Source, bytes: Uint8Array) {
    super(source)
    this.bytes = bytes
  }
  tryNow(): typeof notNow {
    return notNow
  }
  ready(): boolean {
    return true
  }
  settle(): Exit.Exit<void, ReadError> {
    // a copy: the caller's array stays the caller's
    if (this.bytes.length > 0) this.buffer.unread(Bytes.copy(this.bytes))
    return exitVoid
  }
}

/** What the reads up to a separator share: the search, which goes on where it stopped. */
abstract class Until<A, E> extends ReadOperation<A, E> {
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
    const { window } = buffer
    if (buffer.searchedFor !== separator) {
      buffer.searchedFor = separator
      buffer.searched = 0
    }
    this.match = undefined
    if (window.length - buffer.searched >= separator.shortest) {
      this.match = separator.find(window, buffer.searched)
      if (this.match === undefined) buffer.searched = Math.max(0, window.length + 1 - separator.longest)
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
    const held = this.buffer.window.length
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
    const { window } = buffer
    if (!buffer.idle || window.length === 0) return notNow
    if (separator.findIn !== undefined) {
      const { position } = window
      const from = buffer.searchedFor === separator ? position + buffer.searched : position
      const at = from < window.end ? separator.findIn(window.piece, from, window.end) : -1
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
    if (offset > this.limit && this.buffer.window.length >= this.separator.shortest) return this.overrun(offset, false)
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.buffer.end === undefined) return undefined
    return this.buffer.window.length === 0 ? this.atEnd() : this.incomplete()
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
    if (buffer.end !== undefined) return this.incomplete()
    if (offset > 0) buffer.skip(offset)
    return undefined
  }
}

/** What a read of a line was asked for. */
export interface LineAsk {
  readonly name: string
  readonly limit: number
  /** What to do with a line over the limit. */
  readonly onOverrun: "fail" | "discard"
  /** Whether the last line must have its end as well. */
  readonly strict: boolean
}

/** What the reads of a line share. An overlong line is dropped to its end, also when its end has yet to arrive. */
abstract class Line<A> extends Until<A, ReadError | LimitOverrun | IncompleteRead> {
  readonly name: string
  private readonly discards: boolean
  private readonly strict: boolean
  constructor(source: Source, { limit, name, onOverrun, strict }: LineAsk) {
    super(source, Separator.lineFeed, limit)
    this.name = name
    this.discards = onOverrun === "discard"
    this.strict = strict
  }
  /** What a line is to the caller; its line feed is the last byte, unless the stream ended without. */
  protected abstract line(bytes: Uint8Array): A
  protected abstract atEnd(): Exit.Exit<A>

  tryNow(): A | typeof notNow {
    const buffer = this.buffer
    if (buffer.operation !== undefined) return notNow
    const window = buffer.window
    const piece = window.piece
    const start = window.position
    const end = window.end
    if (start === end) return notNow
    const from = buffer.searchedFor === this.separator ? start + buffer.searched : start
    if (from >= end) return notNow
    const index = Bytes.indexOfByte(piece, 10, from, end)
    if (index === -1 || index - start > this.limit) return notNow
    return this.line(buffer.take(index + 1 - start))
  }

  override answerBy(bytes: Uint8Array): A | typeof notNow {
    return this.endsIn(bytes) ? this.line(Bytes.plain(bytes)) : notNow
  }

  override ready(): boolean {
    return this.next() > this.limit || this.match !== undefined || this.over()
  }

  settle(): Exit.Exit<A, ReadError | LimitOverrun | IncompleteRead> | undefined {
    const { buffer } = this
    const offset = this.next()
    const { match } = this
    if (match !== undefined) {
      if (match.start <= this.limit) return Exit.succeed(this.line(buffer.take(match.end)))
      buffer.skip(match.end)
      return this.overrun(match.start, true)
    }
    if (offset > this.limit) {
      this.discardLine()
      return this.overrun(offset, false)
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (buffer.end === undefined) return undefined
    const held = buffer.window.length
    if (held === 0) return this.atEnd()
    return this.strict ? this.incomplete() : Exit.succeed(this.line(buffer.take(held)))
  }

  /** Searches, behind those lines that are to be discarded. */
  private next(): number {
    let offset = this.search()
    if (!this.discards) return offset
    while (this.match !== undefined && this.match.start > this.limit) {
      this.buffer.skip(this.match.end)
      offset = this.search()
    }
    if (this.match === undefined && offset > this.limit) {
      this.discardLine()
      offset = 0
    }
    return offset
  }

  /** Drops what there is of the line, and what is still to come of it. */
  private discardLine(): void {
    const { buffer } = this
    if (buffer.end === undefined) buffer.discarding++
    buffer.skip(buffer.window.length)
  }
}

/** How many bytes a line has without its end, which is a line feed, with or without a carriage return in front. */
const lengthWithoutEnd = (bytes: Uint8Array): number => {
  const last = bytes.length - 1
  // what no line feed ends is a line as it is
  if (bytes[last] !== 10) return last + 1
  return last > 0 && bytes[last - 1] === 13 ? last - 1 : last
}

/** `readLine` and `readLineWith`. */
export class ReadLine extends Line<Uint8Array> {
  protected line(bytes: Uint8Array): Uint8Array {
    return bytes
  }
  protected atEnd(): Exit.Exit<Uint8Array> {
    return exitEmpty
  }
}

/** `readLineWith({ end: "required" })`: the end of the stream is told from a line by that alone. */
export class ReadStrictLine extends ReadLine {
  override get cleanEnd() {
    return exitEmpty
  }
}

/** `readLineOption`. */
export class ReadLineOption extends Line<Option.Option<Uint8Array>> {
  override get cleanEnd() {
    return exitNone
  }
  protected line(bytes: Uint8Array): Option.Option<Uint8Array> {
    return Option.some(bytes)
  }
  protected atEnd(): Exit.Exit<Option.Option<Uint8Array>> {
    return this.cleanEnd
  }
}

/** `readLineWith({ keepDelimiter: false })`. */
export class ReadBareLine extends ReadLineOption {
  protected override line(bytes: Uint8Array): Option.Option<Uint8Array> {
    return Option.some(bytes.subarray(0, lengthWithoutEnd(bytes)))
  }
}

/** `readLineText`. */
export class ReadLineText extends Line<Option.Option<string>> {
  override get cleanEnd() {
    return exitNone
  }
  protected line(bytes: Uint8Array): Option.Option<string> {
    return Option.some(Bytes.decode(bytes, 0, lengthWithoutEnd(bytes)))
  }
  protected atEnd(): Exit.Exit<Option.Option<string>> {
    return this.cleanEnd
  }
}
