/** Messages as reads on a `ReadBuffer`: one, or all that are there. */
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { LimitOverrun, MalformedFrame, ReadError } from "../../StreamError.ts"
import { IncompleteRead } from "../base/errors.ts"
import * as Bytes from "../base/bytes.ts"
import { Cursor, type Fault, stop } from "../frame/cursor.ts"
import type { Node } from "../frame/node.ts"
import { Located, Progress } from "../frame/progress.ts"
import { errorOf } from "../frame/run.ts"
import { notNow } from "../runtime/operation.ts"
import type { End } from "./end.ts"
import { ReadOperation, type Source } from "./readOperation.ts"

/** An answer of so many bytes, what is wrong, or what was thrown. */
interface Found<B> {
  readonly answer: B | typeof notNow
  readonly size: number
  readonly fault: Fault | undefined
  readonly thrown: { readonly defect: unknown } | undefined
}

const foundNothing: Found<never> = { answer: notNow, size: 0, fault: undefined, thrown: undefined }

/** What a step found for the next one to take, on public API alone. */
interface Foreseen<B> extends Found<B> {
  /** Whose steps those are. */
  readonly fiber: Fiber.Fiber<any, any>
  /** How much had arrived, how much was read, and how the stream stood: nothing of that has changed. */
  readonly received: number
  readonly taken: number
  readonly end: End
}

/** What a read of messages fails with. */
export type FrameError = ReadError | IncompleteRead | LimitOverrun | MalformedFrame

/**
 * What the reads of messages share. A message that is there in one piece is decoded with no more state than a cursor. Of one
 * that is not, the buffer remembers how far it came, until something is read.
 */
abstract class Framed<A, B, E> extends ReadOperation<B, FrameError | E> {
  declare readonly node: Node<A>
  declare protected readonly cursor: Cursor
  /** How many bytes the message has that was decoded last, or the messages together. */
  declare protected size: number
  /** What `ready` found, for `settle` to take: a message, or what is wrong. */
  declare private found: A | typeof stop
  declare private foundFault: Fault | undefined
  /** What the frame threw meanwhile, which is a mistake in the program, and the read's to die of. */
  declare private thrown: { readonly defect: unknown } | undefined
  /** Only on public API alone. */
  declare private foreseen: Foreseen<B> | undefined

  constructor(source: Source, node: Node<A>) {
    super(source)
    this.node = node
    this.cursor = new Cursor()
    this.size = 0
    this.found = stop
    this.foundFault = undefined
    this.thrown = undefined
  }

  override threshold(): number {
    return this.node.maxBytes
  }

  // ------------------------------------------------------------------------
  // what lies whole in one piece
  // ------------------------------------------------------------------------

  /** The message that begins at `from`, if all of it is there. It stays there. */
  protected decode(bytes: Uint8Array, from: number, end: number): A | typeof stop {
    const { cursor } = this
    cursor.begin(bytes, from, end)
    const value = this.node.read(cursor)
    this.size = cursor.at - from
    return value as A | typeof stop
  }

  /** The answer that lies whole in `bytes`, of `size` bytes. It stays there. */
  protected abstract answerIn(bytes: Uint8Array, from: number, end: number): B | typeof notNow

  tryNow(): B | typeof notNow {
    const { buffer } = this
    if (buffer.operation !== undefined || buffer.partial !== undefined) return notNow
    const { end, piece, position } = buffer.segments
    if (position === end) return notNow
    let answer: B | typeof notNow
    buffer.operation = this
    try {
      answer = this.answerIn(piece, position, end)
    } finally {
      buffer.operation = undefined
    }
    // a frame is code of others, which may have closed this
    if (answer === notNow || buffer.isClosed) return notNow
    buffer.skip(this.size)
    return answer
  }

  override answerBy(bytes: Uint8Array): B | typeof notNow {
    try {
      const answer = this.answerIn(Bytes.plain(bytes), 0, bytes.length)
      return this.size === bytes.length ? answer : notNow
    } catch {
      // whoever feeds has no part in it: `ready` meets it again
      return notNow
    }
  }

  // ------------------------------------------------------------------------
  // what arrives in several
  // ------------------------------------------------------------------------

  /** The message at the front of the buffer, which stays there. */
  protected look(): A | typeof stop {
    const { buffer, cursor, node } = this
    if (buffer.partial !== undefined && buffer.partialOf === node) return this.goOn(buffer.partial)
    const { end, piece, position } = buffer.segments
    const value = this.decode(piece, position, end)
    return value !== stop || cursor.fault !== undefined ? value : this.lookFurther(end - position)
  }

  /** As `look`, of a message that `decode` did not find whole in `held` bytes. */
  protected lookFurther(held: number): A | typeof stop {
    const { buffer, cursor, node } = this
    const progress = Progress.after(node, cursor, held)
    buffer.partialOf = node
    buffer.partial = progress
    return this.goOn(progress)
  }

  private goOn(progress: Progress): A | typeof stop {
    const { buffer, cursor } = this
    // what throws in the middle cannot go on there
    buffer.partial = undefined
    const value = progress.advance(buffer.segments, cursor)
    this.size = progress.offset
    // else found again, should it be asked for again: whoever waited for it may be gone before it is taken
    if (value === stop && cursor.fault === undefined) buffer.partial = progress
    return value
  }

  /** As `look`, and again where the frame, which is code of others, has fed the reader meanwhile. */
  private lookOn(): A | typeof stop {
    const { buffer, cursor } = this
    while (true) {
      const { received } = buffer
      const value = this.look()
      if (value !== stop || cursor.fault !== undefined) return value
      if (buffer.received === received || buffer.isClosed) return value
      buffer.absorb()
    }
  }

  ready(): boolean {
    if (this.over()) return true
    try {
      this.found = this.lookOn()
    } catch (defect) {
      this.thrown = { defect }
      return true
    }
    this.foundFault = this.found === stop ? this.cursor.fault : undefined
    return this.found !== stop || this.foundFault !== undefined
  }

  private forget(): void {
    this.found = stop
    this.foundFault = undefined
    this.thrown = undefined
  }

  /** As `look`, or what `ready` has found. */
  protected next(): A | typeof stop {
    const { buffer, found, foundFault, thrown } = this
    this.forget()
    if (buffer.operation === this && !buffer.isClosed) {
      if (thrown !== undefined) throw thrown.defect
      if (found !== stop) return found
      if (foundFault !== undefined) {
        this.cursor.fault = foundFault
        return stop
      }
    }
    return this.lookOn()
  }

  /** Takes the answer from the front of the buffer, if it is there. */
  protected abstract take(): B | typeof notNow

  /** The same, while nobody else reads. */
  private takeAlone(): B | typeof notNow {
    const { buffer } = this
    if (buffer.operation !== undefined) return this.take()
    // found for a wait that was given up: others may have read since
    this.forget()
    buffer.operation = this
    try {
      return this.take()
    } finally {
      buffer.operation = undefined
    }
  }

  // ------------------------------------------------------------------------
  // in a step of its own
  // ------------------------------------------------------------------------

  /** The answer, which stays there. */
  protected abstract find(): B | typeof notNow
  /** Whether that is one message at most. */
  protected abstract readonly takesOne: boolean

  prepare(fiber: Fiber.Fiber<any, any>): boolean {
    const { buffer } = this
    return !buffer.isClosed && buffer.operation === undefined && this.foresee(fiber)
  }

  /** A frame is code of others, which may interrupt the fiber that reads. */
  foresee(fiber: Fiber.Fiber<any, any>): boolean {
    const { buffer } = this
    if (this.isForeseen(fiber)) return false
    this.foreseen = undefined
    // what `ready` has found is all that is taken
    if (this.takesOne && buffer.operation === this && (this.found !== stop || this.thrown !== undefined)) return false
    buffer.absorb()
    const mustAsk = buffer.segments.length > 0 || this.node.minBytes === 0
    const found = mustAsk ? this.ask() : foundNothing
    const { end, received, taken } = buffer
    this.foreseen = { fiber, received, taken, end, ...found }
    return mustAsk
  }

  /** Looks for the answer, while nobody else reads. */
  private ask(): Found<B> {
    const { buffer, cursor } = this
    const before = buffer.operation
    // found for a wait that was given up: others may have read since
    if (before === undefined) this.forget()
    buffer.operation = this
    cursor.fault = undefined
    try {
      const answer = this.find()
      const fault = answer === notNow ? cursor.fault : undefined
      return { answer, size: this.size, fault, thrown: undefined }
    } catch (defect) {
      return { ...foundNothing, thrown: { defect } }
    } finally {
      buffer.operation = before
    }
  }

  private isForeseen(fiber: Fiber.Fiber<any, any>): boolean {
    const { buffer, foreseen } = this
    if (foreseen === undefined || foreseen.fiber !== fiber) return false
    return foreseen.received === buffer.received && foreseen.taken === buffer.taken && foreseen.end === buffer.end
  }

  /** Takes what was foreseen. */
  private takeForeseen({ answer, fault, size, thrown }: Foreseen<B>): B | typeof notNow {
    this.foreseen = undefined
    this.forget()
    if (thrown !== undefined) throw thrown.defect
    this.cursor.fault = fault
    if (answer !== notNow) this.buffer.skip(size)
    return answer
  }

  settle(): Exit.Exit<B, FrameError | E> | undefined {
    const { buffer, foreseen } = this
    if (buffer.isClosed) return this.broken()
    const answer = foreseen === undefined ? this.takeAlone() : this.takeForeseen(foreseen)
    if (answer !== notNow) return Exit.succeed(answer)
    // the frame may have closed it
    if (buffer.isClosed) return this.broken()
    const { fault } = this.cursor
    if (fault !== undefined) return this.failed(fault)
    return this.broken() ?? (this.over() ? this.ended() : undefined)
  }

  // ------------------------------------------------------------------------
  // faults, and the end
  // ------------------------------------------------------------------------

  private failed(fault: Fault): Exit.Exit<never, FrameError> {
    const { buffer } = this
    const error = errorOf(this.name, this.node, fault, buffer.received - buffer.size, this.excerpt(fault.at))
    if (fault._tag === "Malformed" && fault.extent !== undefined)
      buffer.skip(Math.min(fault.extent, buffer.segments.length))
    return Exit.fail(error)
  }

  /** The few bytes from `offset` on. */
  private excerpt(offset: number): Uint8Array {
    const { segments } = this.buffer
    const bytes = Bytes.allocate(Math.max(0, Math.min(16, segments.length - offset)))
    const found = new Located()
    for (let at = 0; at < bytes.length;) {
      segments.locate(offset + at, found)
      const from = found.from + offset + at - found.offset
      const part = found.bytes.subarray(from, Math.min(found.end, from + bytes.length - at))
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  /** What the end of the stream means in front of a message, and inside one. */
  protected ended(): Exit.Exit<B, FrameError | E> {
    return this.buffer.segments.length === 0 ? this.atEnd() : this.cutOff()
  }
  protected abstract atEnd(): Exit.Exit<B, FrameError | E>

  /** The message is not all there, and never will be. */
  protected cutOff(): Exit.Exit<never, IncompleteRead> {
    const { buffer } = this
    const held = buffer.segments.length
    const partial = held === 0 ? Bytes.empty : buffer.take(held)
    return Exit.fail(new IncompleteRead({ operation: this.name, partial, frame: this.node.name }))
  }
}

/** What the reads of one message share. */
abstract class One<A, B> extends Framed<A, B, never> {
  protected get takesOne() {
    return true
  }
  protected abstract answer(value: A): B

  protected answerIn(bytes: Uint8Array, from: number, end: number): B | typeof notNow {
    const value = this.decode(bytes, from, end)
    // what takes nothing would never let others run
    return value === stop || this.size === 0 ? notNow : this.answer(value as A)
  }

  protected find(): B | typeof notNow {
    const value = this.next()
    return value === stop || this.buffer.isClosed ? notNow : this.answer(value as A)
  }

  protected take(): B | typeof notNow {
    const answer = this.find()
    if (answer !== notNow) this.buffer.skip(this.size)
    return answer
  }
}

/** `readFrame` */
export class ReadFrame<A> extends One<A, A> {
  get name() {
    return "readFrame"
  }
  protected answer(value: A): A {
    return value
  }
  protected atEnd(): Exit.Exit<never, IncompleteRead> {
    return this.cutOff()
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
  protected answer(value: A): Option.Option<A> {
    return Option.some(value)
  }
  protected atEnd(): Exit.Exit<Option.Option<A>> {
    return this.cleanEnd
  }
}

/** What the reads of all messages share: what is wrong behind some of them is told by the next read. */
export abstract class Many<A, E> extends Framed<A, ReadonlyArray<A>, E> {
  protected get takesOne() {
    return false
  }
  protected answerIn(bytes: Uint8Array, from: number, end: number): ReadonlyArray<A> | typeof notNow {
    const { cursor } = this
    const messages: Array<A> = []
    let at = from
    cursor.beginRun()
    try {
      while (at < end) {
        const value = this.decode(bytes, at, end)
        // what takes nothing would be found for ever
        if (value === stop || this.size === 0) break
        messages.push(value as A)
        at += this.size
      }
    } catch (defect) {
      // those in front of it first
      if (messages.length === 0) throw defect
    } finally {
      cursor.endRun()
    }
    this.size = at - from
    return messages.length === 0 ? notNow : messages
  }

  /** Those that lie in front of the others in one piece, or the one that does not. */
  protected find(): ReadonlyArray<A> | typeof notNow {
    const first = this.next()
    const { size } = this
    if (first === stop || this.buffer.isClosed) return notNow
    const { end, piece, position } = this.buffer.segments
    if (size === 0 || position + size >= end) return [first as A]
    let others: ReadonlyArray<A> | typeof notNow = notNow
    try {
      others = this.answerIn(piece, position + size, end)
    } catch {
      // those in front of it first
    }
    this.size = others === notNow ? size : size + this.size
    return others === notNow ? [first as A] : [first as A, ...others]
  }

  protected take(): ReadonlyArray<A> | typeof notNow {
    const { buffer, cursor } = this
    const messages: Array<A> = []
    cursor.beginRun()
    try {
      let value = this.next()
      while (value !== stop && !buffer.isClosed) {
        messages.push(value as A)
        if (this.size === 0) break
        buffer.skip(this.size)
        if (buffer.segments.length === 0) break
        value = this.takeWhole(messages)
      }
    } catch (defect) {
      // those in front of it first
      if (messages.length === 0) throw defect
    } finally {
      cursor.endRun()
    }
    return messages.length === 0 ? notNow : messages
  }

  /** Takes those that lie whole in the first piece, but for the last. What comes behind them is looked at, and stays there. */
  private takeWhole(messages: Array<A>): A | typeof stop {
    const { buffer, cursor } = this
    const { end, piece, position } = buffer.segments
    const before = messages.length
    let at = position
    let value: A | typeof stop
    try {
      value = this.decode(piece, at, end)
      while (value !== stop && this.size > 0 && at + this.size < end) {
        messages.push(value as A)
        at += this.size
        value = this.decode(piece, at, end)
      }
    } finally {
      // nothing of them was taken where the frame has closed this
      if (buffer.isClosed) messages.length = before
      else if (at > position) buffer.skip(at - position)
    }
    if (buffer.isClosed) return stop
    return value !== stop || cursor.fault !== undefined ? value : this.lookFurther(end - at)
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
