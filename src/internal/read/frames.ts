/** Messages as reads on a `ReadBuffer`: one, or all that are there. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { LimitOverrun, MalformedFrame, ReadError } from "../../StreamError.ts"
import { IncompleteRead } from "../base/errors.ts"
import * as Bytes from "../base/bytes.ts"
import { Cursor, type Fault, stop } from "../frame/cursor.ts"
import type { Node } from "../frame/node.ts"
import { Located, Progress } from "../frame/progress.ts"
import { errorOf } from "../frame/run.ts"
import { notNow } from "../runtime/operation.ts"
import { ReadOperation, type Source } from "./readBuffer.ts"
import * as Separator from "./separator.ts"

/** What a read of messages fails with. */
export type FrameError = ReadError | IncompleteRead | LimitOverrun | MalformedFrame

/**
 * What the reads of messages share. A message that is there in one piece is decoded with no more state than a cursor. Of one
 * that is not, the buffer remembers how far it came, until something is read.
 */
abstract class Framed<A, B, E> extends ReadOperation<B, FrameError | E> {
  declare readonly node: Node<A>
  declare protected readonly cursor: Cursor
  /** Of the message that was decoded last, how many bytes it has. */
  declare protected size: number
  /** What `ready` found, for `settle` to take. */
  declare protected found: A | typeof stop

  constructor(source: Source, node: Node<A>) {
    super(source)
    this.node = node
    this.cursor = new Cursor()
    this.size = 0
    this.found = stop
  }

  override threshold(): number {
    return this.node.maxBytes
  }

  /** The message at the front of the buffer, which stays there. */
  protected look(): A | typeof stop {
    const { buffer, cursor, node } = this
    const { window } = buffer
    let progress = buffer.partialOf === node ? buffer.partial : undefined
    if (progress === undefined) {
      const { position } = window
      cursor.begin(window.piece, position, window.end)
      const value = node.read(cursor)
      this.size = cursor.at - position
      if (value !== stop || cursor.fault !== undefined) return value
      progress = Progress.after(node, cursor, window.end - position)
      buffer.partialOf = node
      buffer.partial = progress
    }
    const value = progress.advance(window, cursor)
    this.size = progress.offset
    // found again, should it be asked for again
    if (value === stop && cursor.fault !== undefined) buffer.partial = undefined
    return value
  }

  ready(): boolean {
    if (this.over()) return true
    this.found = this.look()
    return this.found !== stop || this.cursor.fault !== undefined
  }

  /** As `look`, or what `ready` has found. */
  protected next(): A | typeof stop {
    const { buffer, found } = this
    this.found = stop
    return found !== stop && buffer.operation === this && buffer.closed === undefined ? found : this.look()
  }

  protected failed(fault: Fault): Exit.Exit<never, FrameError> {
    const { buffer } = this
    const error = errorOf(this.name, this.node, fault, buffer.received - buffer.size, this.excerpt(fault.at))
    if (fault._tag === "Malformed" && fault.extent !== undefined)
      buffer.skip(Math.min(fault.extent, buffer.window.length))
    return Exit.fail(error)
  }

  /** The few bytes from `offset` on. */
  private excerpt(offset: number): Uint8Array {
    const { window } = this.buffer
    const bytes = Bytes.allocate(Math.max(0, Math.min(16, window.length - offset)))
    const found = new Located()
    for (let at = 0; at < bytes.length;) {
      window.locate(offset + at, found)
      const from = found.from + offset + at - found.offset
      const part = found.bytes.subarray(from, Math.min(found.end, from + bytes.length - at))
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  /** What the end of the stream means in front of a message, and inside one. */
  protected ended(): Exit.Exit<B, FrameError | E> {
    const held = this.buffer.window.length
    if (held === 0) return this.atEnd()
    return Exit.fail(new IncompleteRead({ operation: this.name, partial: this.buffer.take(held) }))
  }
  protected abstract atEnd(): Exit.Exit<B, FrameError | E>

  protected answer(value: A): B {
    return value as never
  }

  settle(): Exit.Exit<B, FrameError | E> | undefined {
    const { buffer } = this
    if (buffer.closed !== undefined) return this.broken()
    const value = this.next()
    if (value !== stop) {
      buffer.skip(this.size)
      return Exit.succeed(this.answer(value as A))
    }
    const { fault } = this.cursor
    if (fault !== undefined) return this.failed(fault)
    return this.broken() ?? (buffer.end === undefined ? undefined : this.ended())
  }
}

/** What the reads of one message share. */
abstract class One<A, B> extends Framed<A, B, never> {
  tryNow(): B | typeof notNow {
    const { buffer, cursor, node } = this
    if (buffer.operation !== undefined || buffer.partial !== undefined) return notNow
    const { window } = buffer
    const { end, position } = window
    if (position === end) return notNow
    cursor.begin(window.piece, position, end)
    const value = node.read(cursor)
    const size = cursor.at - position
    // what takes nothing would never let others run
    if (value === stop || size === 0) return notNow
    buffer.skip(size)
    return this.answer(value as A)
  }

  override answerBy(bytes: Uint8Array): B | typeof notNow {
    const { cursor, node } = this
    cursor.begin(Bytes.plain(bytes), 0, bytes.length)
    const value = node.read(cursor)
    return value === stop || cursor.at !== bytes.length ? notNow : this.answer(value as A)
  }
}

/** `readFrame` */
export class ReadFrame<A> extends One<A, A> {
  get name() {
    return "readFrame"
  }
  protected atEnd(): Exit.Exit<never, IncompleteRead> {
    return Exit.fail(new IncompleteRead({ operation: this.name, partial: Bytes.empty }))
  }
}

const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/** `readFrameOption` */
export class ReadFrameOption<A> extends One<A, Option.Option<A>> {
  get name() {
    return "readFrameOption"
  }
  override get cleanEnd() {
    return exitNone
  }
  protected override answer(value: A): Option.Option<A> {
    return Option.some(value)
  }
  protected atEnd(): Exit.Exit<Option.Option<A>> {
    return this.cleanEnd
  }
}

/** What the reads of all messages share. */
abstract class Many<A, E> extends Framed<A, ReadonlyArray<A>, E> {
  /** All messages that lie whole in the piece at the front, from its first byte on. How many bytes they have is `size`. */
  protected all(bytes: Uint8Array, from: number, end: number): Array<A> {
    const { cursor, node } = this
    const messages: Array<A> = []
    let at = from
    while (at < end) {
      cursor.begin(bytes, at, end)
      const value = node.read(cursor)
      if (value === stop || cursor.at === at) break
      messages.push(value as A)
      at = cursor.at
    }
    this.size = at - from
    return messages
  }

  tryNow(): ReadonlyArray<A> | typeof notNow {
    const { buffer } = this
    if (buffer.operation !== undefined || buffer.partial !== undefined) return notNow
    const { end, piece, position } = buffer.window
    if (position === end) return notNow
    const messages = this.all(piece, position, end)
    if (messages.length === 0) return notNow
    buffer.skip(this.size)
    return messages
  }

  override answerBy(bytes: Uint8Array): ReadonlyArray<A> | typeof notNow {
    const messages = this.all(Bytes.plain(bytes), 0, bytes.length)
    return this.size === bytes.length ? messages : notNow
  }

  override settle(): Exit.Exit<ReadonlyArray<A>, FrameError | E> | undefined {
    const { buffer } = this
    if (buffer.closed !== undefined) return this.broken()
    const messages: Array<A> = []
    let value = this.next()
    while (value !== stop) {
      messages.push(value as A)
      if (this.size === 0) break
      buffer.skip(this.size)
      if (buffer.window.length === 0) break
      value = this.look()
    }
    // what is wrong behind them is told by the next read
    if (messages.length > 0) return Exit.succeed(messages)
    const { fault } = this.cursor
    if (fault !== undefined) return this.failed(fault)
    return this.broken() ?? (buffer.end === undefined ? undefined : this.ended())
  }
}

const exitNothing: Exit.Exit<ReadonlyArray<never>> = Exit.succeed([])

/** `readFrames` */
export class ReadFrames<A> extends Many<A, never> {
  get name() {
    return "readFrames"
  }
  override get cleanEnd() {
    return exitNothing
  }
  protected atEnd(): Exit.Exit<ReadonlyArray<A>> {
    return this.cleanEnd
  }
}

const exitDone: Exit.Exit<never, Cause.Done> = Exit.fail(Cause.Done())

/** What `frames` pulls. One for each stream: it remembers what it is dropping. */
export class PullFrames<A> extends Many<A, Cause.Done> {
  private readonly skips: boolean
  /** Of a message that is not wanted: how many bytes have yet to come, or what ends it. */
  private dropping = 0
  private droppingUntil: Separator.Separator | undefined = undefined

  constructor(source: Source, node: Node<A>, skips: boolean) {
    super(source, node)
    this.skips = skips
  }
  get name() {
    return "frames"
  }
  override get cleanEnd() {
    // inside a message that is dropped nobody is idle
    return this.dropping === 0 && this.droppingUntil === undefined ? exitDone : undefined
  }
  override tryNow(): typeof notNow {
    return notNow
  }
  override answerBy(): typeof notNow {
    return notNow
  }
  protected atEnd(): Exit.Exit<never, Cause.Done> {
    return exitDone
  }

  /** Drops what is there of a message that is not wanted. Whether all of it is gone. */
  private dropped(): boolean {
    const { buffer } = this
    const { window } = buffer
    if (this.dropping > 0) {
      const size = Math.min(this.dropping, window.length)
      this.dropping -= size
      if (size > 0) buffer.skip(size)
    }
    const until = this.droppingUntil
    if (until !== undefined) {
      const match = until.find(window, 0)
      // an end may have begun in the last bytes
      const size = match === undefined ? Math.max(0, window.length + 1 - until.longest) : match.end
      if (size > 0) buffer.skip(size)
      if (match !== undefined) this.droppingUntil = undefined
    }
    return this.dropping === 0 && this.droppingUntil === undefined
  }

  /** Whether what is wrong is passed over. */
  private passOver(fault: Fault): boolean {
    if (!this.skips) return false
    if (fault.extent !== undefined) this.dropping = fault.extent
    else if (fault.ends !== undefined) this.droppingUntil = Separator.compile(this.name, fault.ends)
    else return false
    this.dropped()
    return true
  }

  override look(): A | typeof stop {
    while (true) {
      this.cursor.fault = undefined
      if (!this.dropped()) return stop
      const value = super.look()
      const { fault } = this.cursor
      if (value !== stop || fault === undefined || !this.passOver(fault)) return value
    }
  }

  protected override ended(): Exit.Exit<ReadonlyArray<A>, FrameError | Cause.Done> {
    if (this.dropping === 0 && this.droppingUntil === undefined) return super.ended()
    // the message was cut, as one that is wanted would have been
    const held = this.buffer.window.length
    const partial = held === 0 ? Bytes.empty : this.buffer.take(held)
    return Exit.fail(new IncompleteRead({ operation: this.name, partial }))
  }
}
