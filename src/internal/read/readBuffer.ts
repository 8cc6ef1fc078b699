/**
 * The buffer between a transport that pushes and a reader that pulls.
 *
 * Chunks wait in a `Queue`, which carries the end of the stream in its error
 * channel, and move all at once into the byte window when a read needs more
 * than the window holds. Bytes are counted over both: above twice the limit the
 * transport is paused, at the limit or below it is resumed.
 *
 * A transport may also lend what arrives, in memory that it uses again. It is
 * copied before the transport has it back: right into the memory of a read that
 * waits with its own, or into the buffer's.
 *
 * One read may wait at a time. The feeding side asks it whether it can go on
 * before it wakes it, and it takes its bytes in the very step in which it hands
 * them over, so that an interruption finds them either in the buffer or with the
 * caller. What arrives and is the answer as it is, it is handed at once.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type { Duration } from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scheduler from "effect/Scheduler"
import type { ReadError } from "../../StreamError.ts"
import { ClosedStream, StreamBusy, StreamTimeout } from "../base/errors.ts"
import { Backpressure, type Flow } from "./backpressure.ts"
import { ByteWindow } from "./segments.ts"
import type { Progress } from "../frame/progress.ts"
import * as Bytes from "../base/bytes.ts"
import { copyPooled } from "../base/memory.ts"
import { notNow, Operation } from "../runtime/operation.ts"
import { Parking, type Waiting } from "../runtime/waiting.ts"
import { handOver, interrupted, nothing } from "../runtime/effectInternals.ts"
import { unbounded, Watchdog, type Watched } from "../runtime/timeouts.ts"

/** Why a stream broke, as an error made anew for each operation that meets it. */
export type Loss<E> = (operation: string) => E

/** What feeds the buffer. */
export interface Feeder extends Flow {
  /** What arrives may be lent from now on (`feedLent`). */
  lend?(): void
  /** Whose reads they are, where that is a session. */
  readonly watched?: Watched | undefined
}

/** What reads are made of. */
export interface Source {
  readonly buffer: ReadBuffer
  /** How many milliseconds each of them may wait, where they have a bound of their own. */
  readonly bound: number | undefined
}

/** The default limit of a read buffer in bytes, as in CPython. */
export const defaultLimit = 65536

/** Chunks that wait unread are gathered into slabs from this number on, lest a dribbling peer cost an object a byte. */
const manyChunks = 64

export class ReadBuffer implements Waiting {
  readonly limit: number
  readonly window = new ByteWindow()
  /** The bytes in queue and window together are counted here. */
  readonly backpressure: Backpressure
  /** Bytes ever fed. */
  received = 0
  /** How the stream ended, once all that came before is in the window. */
  end: "Eof" | Loss<ReadError> | undefined = undefined
  /** Set once this side has closed the stream; nothing can be read from then on. */
  closed: ClosedStream["reason"] | undefined = undefined
  /** Where the next search for a separator may begin, and which one it was. */
  searched = 0
  searchedFor: unknown = undefined
  /** How far a message came that is not all there, and which frame it is of; until something is read. */
  partial: Progress | undefined = undefined
  partialOf: unknown = undefined
  /** The operation that waits, or has been woken and is yet to run. */
  operation: ReadOperation<any, any> | undefined = undefined
  /** Told of what arrives and of reads that wait, if waiting is bounded. */
  watchdog: Watchdog | undefined = undefined
  /** How many ends of lines have yet to arrive, up to which everything is dropped. */
  discarding = 0
  /** Whether a read that answers a clean end is answered with it, where it would wait with nothing buffered (`drain`). */
  draining = false

  private readonly feeder: Feeder
  private queue: Queue.Queue<Uint8Array, Cause.Done | Loss<ReadError>> | undefined = undefined
  /** Whether the queue may hold something: chunks, or the end. */
  private queued = false
  private ended = false
  private parking: Parking | undefined = undefined
  /** Whether the transport was asked to lend what arrives. */
  private borrowing = false

  constructor(limit: number, feeder: Feeder) {
    this.limit = limit
    this.backpressure = new Backpressure(limit, feeder)
    this.feeder = feeder
  }

  /** Bytes in queue and window together. */
  get size(): number {
    return this.backpressure.size
  }

  /** Whether the transport is held back. */
  get paused(): boolean {
    return this.backpressure.paused
  }

  // ------------------------------------------------------------------------
  // the feeding side
  // ------------------------------------------------------------------------

  /** Bytes arrived. They belong to the buffer from now on. */
  feed(bytes: Uint8Array): void {
    this.count(bytes.length)
    if (this.closed !== undefined) return
    if (this.discarding > 0) bytes = this.discard(bytes)
    if (bytes.length > 0 && !this.handThrough(bytes)) this.keep(bytes)
  }

  /**
   * Bytes arrived that are the buffer's only until this returns. A read that
   * waits with memory of its own gets them right there; they count as buffered
   * until it answers.
   */
  feedLent(bytes: Uint8Array): void {
    this.count(bytes.length)
    if (this.closed !== undefined) return
    if (this.discarding > 0) bytes = this.discard(bytes)
    if (bytes.length === 0) return
    // nobody knows how long it will lie there, and what it shares memory with does not count
    if (!this.awaited || this.window.length > 0) return this.keep(Bytes.copy(bytes))
    const { count, target } = this.operation!
    // all of it before anybody runs: the lender may be asked to read again meanwhile
    const size = target === undefined ? 0 : Math.min(count, target.length, bytes.length)
    if (target === undefined || size === 0) {
      const copy = copyPooled(bytes)
      return this.handThrough(copy) ? undefined : this.keepBriefly(copy)
    }
    const rest = size === bytes.length ? undefined : Bytes.copy(bytes.subarray(size))
    target.set(rest === undefined ? bytes : bytes.subarray(0, size))
    this.window.push(target.subarray(0, size))
    if (rest !== undefined) this.window.push(rest)
    this.backpressure.added(bytes.length)
    this.wake()
    this.backpressure.pauseIfFull()
  }

  /** As `keep`, of bytes whose memory others share: the read that waits is to take them, or they move. */
  private keepBriefly(bytes: Uint8Array): void {
    this.keep(bytes)
    if (this.window.length > 0 && this.window.piece.buffer === bytes.buffer) this.window.own()
  }

  /** Hands what arrives to the read that waits, if it is just what that waits for, past the window. Whether it did. */
  private handThrough(bytes: Uint8Array): boolean {
    const { operation, parking } = this
    if (operation === undefined || parking === undefined) return false
    if (!parking.suspended || this.queued || this.window.length > 0) return false
    const answer = operation.answerBy(bytes)
    if (answer === notNow) return false
    this.finish(parking, Exit.succeed(answer))
    return true
  }

  private count(size: number): void {
    if (this.ended) throw new Error("feed: the stream has already ended")
    this.received += size
    this.watchdog?.received(size)
  }

  /** Drops the ends of lines that are not wanted. */
  private discard(bytes: Uint8Array): Uint8Array {
    while (this.discarding > 0) {
      const end = Bytes.indexOfByte(bytes, 10, 0)
      if (end === -1) return Bytes.empty
      this.discarding--
      bytes = bytes.subarray(end + 1)
    }
    return bytes
  }

  private keep(bytes: Uint8Array): void {
    this.backpressure.added(bytes.length)
    if (this.awaited) {
      this.window.push(bytes)
      this.wake()
    } else {
      const queue = this.getQueue()
      Queue.offerUnsafe(queue, bytes)
      if (this.operation !== undefined) this.wake()
      else if (Queue.sizeUnsafe(queue) >= manyChunks) this.absorb()
    }
    this.backpressure.pauseIfFull()
  }

  /** The peer ended the stream. */
  feedEnd(): void {
    if (this.ended) return
    this.ended = true
    this.backpressure.end()
    if (this.closed !== undefined) return
    if (this.awaited) this.end = "Eof"
    else Queue.endUnsafe(this.getQueue())
    this.wake()
  }

  /** The stream broke. What arrived before is still delivered first. */
  feedLoss(loss: Loss<ReadError>): void {
    if (this.ended) return
    this.ended = true
    this.backpressure.end()
    if (this.closed !== undefined) return
    if (this.awaited) this.end = loss
    else Queue.failCauseUnsafe(this.getQueue(), Cause.fail(loss))
    this.wake()
  }

  /** This side is done with the stream: what is unread is dropped, a waiting read fails. */
  close(reason: ClosedStream["reason"]): void {
    if (this.closed !== undefined) return
    this.closed = reason
    this.window.clear()
    this.queue = undefined
    this.partial = undefined
    this.searched = 0
    this.backpressure.close()
    this.wake()
  }

  /** Whether a read waits for what comes now, with nothing before it: the queue would only be passed through. */
  private get awaited(): boolean {
    return this.operation !== undefined && !this.queued
  }

  private getQueue(): Queue.Queue<Uint8Array, Cause.Done | Loss<ReadError>> {
    this.queued = true
    // made on the first byte: an idle connection has none
    return (this.queue ??= Effect.runSync(Queue.unbounded<Uint8Array, Cause.Done | Loss<ReadError>>()))
  }

  // ------------------------------------------------------------------------
  // the reading side
  // ------------------------------------------------------------------------

  /** Moves everything that has arrived into the window. */
  absorb(): void {
    const queue = this.queue
    if (!this.queued || queue === undefined) return
    this.queued = false
    while (true) {
      const exit = Queue.takeUnsafe(queue)
      if (exit === undefined) return
      if (exit._tag === "Success") this.window.push(exit.value)
      else {
        const reason = exit.cause.reasons[0]!
        this.end = reason._tag === "Fail" && typeof reason.error === "function" ? reason.error : "Eof"
        return
      }
    }
  }

  /** Bytes left the window: bookkeeping, and the transport may go on. The last thing that a read does. */
  consumed(count: number): void {
    if (count > 0) this.partial = undefined
    this.searched = this.searched > count ? this.searched - count : 0
    this.backpressure.removed(count)
  }

  take(count: number): Uint8Array {
    const bytes = this.window.take(count)
    this.consumed(count)
    return bytes
  }

  takeInto(target: Uint8Array, count: number): void {
    this.window.takeInto(target, count)
    this.consumed(count)
  }

  skip(count: number): void {
    this.window.skip(count)
    this.consumed(count)
  }

  /** Removes everything that has arrived, in the pieces it came in. */
  takePieces(): ReadonlyArray<Uint8Array> {
    this.takeBack()
    const pieces = this.window.takeAll()
    let count = 0
    for (const piece of pieces) count += piece.length
    while (count < this.size) {
      const piece = this.takeQueued()
      count += piece.length
      pieces.push(piece)
    }
    this.consumed(count)
    return pieces
  }

  /** Removes the first piece; there must be one. */
  takePiece(): Uint8Array {
    const { window } = this
    const piece = window.length > 0 ? window.take(window.end - window.position) : this.takeQueued()
    this.consumed(piece.length)
    return piece
  }

  private takeQueued(): Uint8Array {
    const exit = Queue.takeUnsafe(this.queue!)!
    return Bytes.plain((exit as Exit.Success<Uint8Array>).value)
  }

  /** Puts bytes back in front. */
  unread(bytes: Uint8Array): void {
    this.absorb()
    this.window.unshift(bytes)
    this.backpressure.added(bytes.length)
    this.partial = undefined
    this.searched = 0
    this.backpressure.pauseIfFull()
  }

  /** Whether nothing is left to read, and nothing comes any more. */
  get isOver(): boolean {
    return this.closed !== undefined || (this.ended && this.size === 0)
  }

  /** Whether a read may answer from the window without looking any further. */
  get idle(): boolean {
    return this.operation === undefined
  }

  /**
   * Finishes an operation, if it is ready. The caller hands the result over in the very step in which it is taken from
   * the window, whatever those do who are told to stop or to go on meanwhile.
   */
  settle<A, E>(operation: ReadOperation<A, E>): Exit.Exit<A, E | ReadError> | undefined {
    if (operation.absorbs) this.absorb()
    this.backpressure.defer()
    let exit = operation.settle()
    if (exit === undefined && this.endsIdle(operation)) exit = operation.cleanEnd
    if (exit !== undefined && this.operation === operation) this.unpark()
    this.backpressure.decide()
    return exit
  }

  /** Waits, as the one operation that does, until the feeding side has what it needs. */
  park<A, E>(operation: ReadOperation<A, E>, fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> {
    this.operation = operation
    const { bound } = operation
    if (this.watchdog !== undefined) this.watchdog.readStarted(bound)
    else if (bound !== undefined) this.watch(bound, fiber)
    if (operation.target !== undefined) this.borrow()
    if (this.backpressure.readStarted(operation.threshold()) && operation.ready()) {
      // the transport may not feed at once, but nothing less than the stream would hang if it did
      return handOver(this.settle(operation)!, fiber) as Effect.Effect<A, E>
    }
    return (this.parking ??= new Parking(this)).begin(fiber)
  }

  /** A read waits that has a bound of its own, and there is no other: there is a watchdog for as long as there are such. */
  private watch(bound: number, fiber: Fiber.Fiber<any, any>): void {
    if (bound === Infinity) return
    const watched = this.feeder.watched ?? new WatchedReads(this)
    // nothing else of the fiber's is kept
    const services = Context.make(Clock.Clock, fiber.getRef(Clock.Clock)).pipe(
      Context.add(Scheduler.Scheduler, fiber.getRef(Scheduler.Scheduler))
    )
    const watchdog = new Watchdog(watched, unbounded, services as Context.Context<never>, () => {
      if (this.watchdog === watchdog) this.watchdog = undefined
    })
    this.watchdog = watchdog
    watchdog.readStarted(bound)
  }

  /** Whether a read waits in the middle of a message: with part of it buffered, or, if it knows no messages, behind any byte. */
  get readsPartly(): boolean {
    const { operation, received, window } = this
    return operation !== undefined && (operation.framed ? window.length > 0 : received > 0)
  }

  /** Whether the read that waits knows where its message begins: where the one before ended. */
  get readsFramed(): boolean {
    return this.operation?.framed === true
  }

  /** How many bytes were read. */
  get taken(): number {
    return this.received - this.size
  }

  /** What arrives is to be copied anyway, to the memory of a read that waits: the transport need not allocate any. */
  borrow(): void {
    if (this.borrowing) return
    this.borrowing = true
    this.feeder.lend?.()
  }

  /** What the waiting operation answers, which is ready. What made it ready is still there: it does not wait again. */
  answer(): Exit.Exit<any, any> {
    return this.settle(this.operation!)!
  }

  /** The waiting operation is given up, and has taken nothing. Returns what its fiber does about that before it ends. */
  giveUp(): Effect.Effect<void> | undefined {
    this.takeBack()
    this.unpark()
    // whoever is told to stop may fail, or interrupt the fiber again
    return this.size > 0 ? Effect.sync(() => this.backpressure.pauseIfFull()) : undefined
  }

  /** What lies in the memory of a read that will not answer moves to the buffer's own. */
  private takeBack(): void {
    const target = this.operation?.target
    if (target !== undefined && this.window.length > 0 && this.window.liesIn(target)) this.window.own()
  }

  /** The waiting operation is over, or given up. */
  unpark(): void {
    this.operation = undefined
    this.parking?.over()
    this.watchdog?.readEnded()
    this.backpressure.readEnded()
  }

  /** Fails the waiting read, as if it had been interrupted: it has taken nothing. */
  failWaiting(error: (operation: string) => ReadError): void {
    const { operation, parking } = this
    if (operation === undefined || parking === undefined || !parking.waits) return
    this.finish(parking, Exit.fail(error(operation.name)))
  }

  /**
   * From now on a read that answers a clean end does not wait for an item of which nothing is buffered: it is answered as if
   * the stream had ended. The stream goes on, and what arrives later is there for whoever reads next.
   */
  drain(): void {
    this.draining = true
    const { operation, parking } = this
    if (operation === undefined || parking === undefined || !parking.waits) return
    if (this.endsIdle(operation)) this.finish(parking, operation.cleanEnd!)
  }

  /** Whether a read that has to wait is answered with the end instead. */
  private endsIdle(operation: ReadOperation<any, any>): boolean {
    return this.draining && this.size === 0 && operation.cleanEnd !== undefined
  }

  /** Ends the wait. Whoever is told to stop may interrupt the fiber, and is told once that has its answer. */
  private finish(parking: Parking, exit: Exit.Exit<any, any>): void {
    this.unpark()
    parking.answer(exit)
    this.backpressure.pauseIfFull()
  }

  private wake(): void {
    const { operation, parking } = this
    if (operation === undefined || parking === undefined || !parking.waits) return
    this.absorb()
    // what was waited for may have been dropped
    if (operation.ready() || this.endsIdle(operation)) parking.wake()
  }
}

/** A reader of its own, as its watchdog sees it: nothing is bounded but its reads. */
class WatchedReads implements Watched {
  private readonly buffer: ReadBuffer
  readonly sent = 0
  readonly atEndOfTurn = undefined

  constructor(buffer: ReadBuffer) {
    this.buffer = buffer
  }

  get readsPartly(): boolean {
    return this.buffer.readsPartly
  }
  get readsFramed(): boolean {
    return this.buffer.readsFramed
  }
  get heard(): number {
    return this.buffer.received
  }
  get taken(): number {
    return this.buffer.taken
  }
  get heldBack(): boolean {
    return this.buffer.paused
  }
  expireRead(duration: Duration): void {
    this.buffer.failWaiting((operation) => new StreamTimeout({ operation, kind: "Read", duration }))
  }
  expire(): void {}
}

/** A read: what it needs, how it answers. */
export abstract class ReadOperation<A, E> extends Operation<A, E> {
  // declared only: what is made for each call would pay for the definition of each field
  declare readonly buffer: ReadBuffer
  /** How many bytes were asked for, where a number was: exactly, or at most. */
  declare readonly count: number
  /** How many milliseconds it may wait, if it has a bound of its own: only those that have one have the field. */
  declare readonly bound: number | undefined
  abstract readonly name: string

  constructor(source: Source, count = 0) {
    super()
    this.buffer = source.buffer
    this.count = count
    if (source.bound !== undefined) this.bound = source.bound
  }

  /** Whether `settle` would have a result now. Takes nothing. */
  abstract ready(): boolean
  /** The result, taking from the window what belongs to it, or `undefined` while it has to wait. */
  abstract settle(): Exit.Exit<A, E | ReadError> | undefined
  /** Whether it reads a message, of which a part may have come; a read of whatever comes knows no parts. */
  get framed(): boolean {
    return true
  }
  /** Whether what has arrived moves into the window before it is run. */
  get absorbs(): boolean {
    return true
  }
  /**
   * What it answers where the stream ends in good order in front of an item, if it tells that from every other answer. With
   * it a read takes part in `whenDraining: "endIdleReads"`; nothing else is needed for that.
   */
  get cleanEnd(): Exit.Exit<A, E> | undefined {
    return undefined
  }
  /** The memory that it reads into, if it has any of its own. */
  get target(): Uint8Array | undefined {
    return undefined
  }
  /** Its answer, if that is made of these bytes alone, and of all of them; they come with none before them. */
  answerBy(_bytes: Uint8Array): A | typeof notNow {
    return notNow
  }
  /** How much may be buffered before the transport is paused, while this operation waits. */
  threshold(): number {
    return 0
  }

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> {
    const buffer = this.buffer
    if (buffer.closed !== undefined) return Exit.fail(this.closedStream(buffer.closed)) as never
    if (buffer.operation !== undefined) {
      return Exit.fail(new StreamBusy({ operation: this.name, holder: buffer.operation.name })) as never
    }
    if (interrupted(fiber)) return nothing
    const { backpressure } = buffer
    if (backpressure.defect !== undefined) {
      const { defect } = backpressure.defect
      backpressure.defect = undefined
      return Exit.die(defect) as never
    }
    const exit = buffer.settle(this)
    return exit === undefined ? buffer.park(this, fiber) : (handOver(exit, fiber) as Effect.Effect<A, E>)
  }

  /** The failure that the end of the stream means for a read, unless it is a clean end. */
  protected broken(): Exit.Exit<never, ReadError> | undefined {
    const { closed, end } = this.buffer
    if (closed !== undefined) return Exit.fail(this.closedStream(closed))
    return typeof end === "function" ? Exit.fail(end(this.name)) : undefined
  }

  protected over(): boolean {
    return this.buffer.end !== undefined || this.buffer.closed !== undefined
  }

  private closedStream(reason: ClosedStream["reason"]): ClosedStream {
    return new ClosedStream({ operation: this.name, reason })
  }
}
