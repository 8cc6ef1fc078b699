/**
 * The buffer between a transport that pushes and a reader that pulls.
 *
 * Chunks wait in a queue, which carries the end of the stream behind them, and move all at once into the segments when a
 * read needs more than these hold. Bytes are counted over both; `backpressure` says when the transport is held back.
 *
 * A transport may also read into memory that it uses again (shared read memory). What arrives there is copied before the
 * transport has it back: right into the memory of a read that waits with its own, or into the buffer's.
 *
 * One read may wait at a time. The feeding side asks it whether it can go on before it resumes the fiber. The read takes
 * its bytes in the very step in which it hands them over, so that an interruption finds them either in the buffer or with
 * the caller. A chunk that is the answer as it is, is handed over at once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { ReadError } from "../../StreamError.ts"
import type { ClosedStream } from "../base/errors.ts"
import * as Bytes from "../base/bytes.ts"
import { copyPooled } from "../base/memory.ts"
import { maxChunks } from "../base/defaults.ts"
import type { CoarseClock } from "../runtime/coarseClock.ts"
import { handOver, publicOnly } from "../runtime/effectInternals.ts"
import { notNow } from "../runtime/operation.ts"
import type { Watchdog, Watched } from "../runtime/timeouts.ts"
import { Waiter, type WaiterHost } from "../runtime/waiting.ts"
import { Arrived } from "./arrived.ts"
import type { Backpressure, Flow } from "./backpressure.ts"
import { type Ended, ended, type Loss, lost, type Lost } from "./end.ts"
import { watchdogFor } from "./ownBounds.ts"

/** Who is told of reads that wait. */
interface Observed {
  readStarted(operation: string): void
  readEnded(operation: string): void
}

/** What feeds the buffer. */
export interface Feeder extends Flow {
  /** What arrives may lie in shared read memory from now on (`feedShared`). */
  shareMemory?(): void
  /** The session, where the reads belong to one. */
  readonly watched?: Watched | undefined
}

/** A read, as the buffer sees it. */
export interface WaitingRead<A, E> {
  readonly name: string
  /** How many bytes were asked for, where a number was: exactly, or at most. */
  readonly count: number
  /** How many milliseconds it may wait, if it has a bound of its own. */
  readonly bound: number | undefined
  /** Whether it reads a message, of which a part may have come; a read of whatever comes knows no parts. */
  readonly framed: boolean
  /** Whether what has arrived moves into the segments before it is run. */
  readonly absorbs: boolean
  /** What it answers where the stream ends in good order in front of an item, if it tells that from every other answer. */
  readonly cleanEnd: Exit.Exit<A, E> | undefined
  /** The memory that it reads into, if it has any of its own. */
  readonly target: Uint8Array | undefined
  /** Its answer, if that is made of these bytes alone, and of all of them; they come with none before them. */
  answerBy(bytes: Uint8Array): A | typeof notNow
  /**
   * Passes on what has come, with none before it, and waits for more, if it can. `lent`: the bytes may be looked at until
   * this returns. Whether it did.
   */
  passOn(bytes: Uint8Array, lent: boolean): boolean
  /** How much may be buffered before the transport is paused, while it waits. */
  threshold(): number
  /** Whether `settle` would have a result now. Takes nothing. */
  ready(): boolean
  /** The result, taking from the segments what belongs to it, or `undefined` while it has to wait. */
  settle(): Exit.Exit<A, E | ReadError> | undefined
  /** Finds what `settle` takes, where code of others is called for that and must not be called then. Whether it had to. */
  foresee?(fiber: Fiber.Fiber<any, any>): boolean
}

export class ReadBuffer extends Arrived implements WaiterHost {
  /** The read that waits, or has been resumed and is yet to run. */
  operation: WaitingRead<any, any> | undefined = undefined
  /** Told of what arrives and of reads that wait, if waiting is bounded. */
  watchdog: Watchdog | undefined = undefined
  /** How many ends of lines have yet to arrive, up to which everything is dropped. */
  discarding = 0
  /** Whether a read that answers a clean end is answered with it, where it would wait with nothing buffered (`drain`). */
  draining = false
  /** Where bytes go that arrive once this was closed, if they are another's by then; and how many have. */
  behind: { readonly pieces: Array<Uint8Array>; size: number } | undefined = undefined

  /** Told of reads that begin and end to wait, if anybody observes. */
  observed: Observed | undefined = undefined
  /** How often they were told that a read waits no longer. */
  private told = 0
  /** The clock of the session, by which waits are told. */
  clock: CoarseClock | undefined = undefined
  /** When the read that waits began to, in milliseconds since the epoch. */
  waitingSince = 0

  /** Whether the read that waits is asked about what has come; and what comes meanwhile. */
  private asks = false
  private late: Array<Uint8Array | Ended | Lost> | undefined = undefined
  private readonly feeder: Feeder
  private waiter: Waiter | undefined = undefined
  /** Whether the transport was asked to read into shared memory. */
  private sharing = false

  constructor(limit: number, feeder: Feeder, outer?: Backpressure) {
    super(limit, feeder, outer)
    this.feeder = feeder
  }

  // ------------------------------------------------------------------------
  // the feeding side
  // ------------------------------------------------------------------------

  /** Bytes arrived. They belong to the buffer from now on. */
  feed(bytes: Uint8Array): void {
    if (this.asks || this.late !== undefined) return this.comeLate(bytes)
    this.feedNow(bytes)
    if (this.late !== undefined) this.feedLate()
  }

  private feedNow(bytes: Uint8Array): void {
    this.count(bytes.length)
    if (this.isClosed) return this.keepBehind(bytes)
    if (this.discarding > 0) bytes = this.discard(bytes)
    if (bytes.length > 0 && !this.handThrough(bytes)) this.keep(bytes)
  }

  /**
   * Bytes arrived that are the buffer's only until this returns. A read that
   * waits with memory of its own gets them right there; they count as buffered
   * until it answers.
   */
  feedShared(bytes: Uint8Array): void {
    if (this.asks || this.late !== undefined) return this.comeLate(Bytes.copy(bytes))
    this.feedSharedNow(bytes)
    if (this.late !== undefined) this.feedLate()
  }

  private feedSharedNow(bytes: Uint8Array): void {
    this.count(bytes.length)
    if (this.isClosed) return this.keepBehind(Bytes.copy(bytes))
    if (this.discarding > 0) bytes = this.discard(bytes)
    if (bytes.length === 0) return
    // nobody knows how long it will lie there, and what it shares memory with does not count
    if (!this.awaited || this.segments.length > 0) return this.keep(Bytes.copy(bytes))
    const { count, target } = this.operation!
    if (target !== undefined && this.passedOn(bytes, true)) return
    // all of it before anybody runs: the transport may be asked to read again meanwhile
    const size = Math.min(count, bytes.length)
    // one that was detached or has shrunk is read into no more
    if (target === undefined || target.length < count || size === 0) {
      const copy = copyPooled(bytes)
      return this.handThrough(copy) ? undefined : this.keepBriefly(copy)
    }
    const rest = size === bytes.length ? undefined : Bytes.copy(bytes.subarray(size))
    target.set(rest === undefined ? bytes : bytes.subarray(0, size))
    this.segments.push(target.subarray(0, size))
    if (rest !== undefined) this.segments.push(rest)
    this.backpressure.added(bytes.length)
    this.resumeIfReady()
    this.backpressure.pauseIfFull()
  }

  /** As `keep`, of bytes whose memory others share: the read that waits is to take them, or they move. */
  private keepBriefly(bytes: Uint8Array): void {
    this.keep(bytes)
    if (this.segments.length > 0 && this.segments.piece.buffer === bytes.buffer) this.segments.own()
  }

  /** Hands what arrives to the read that waits, if that waits for just this, past the segments. Whether it did. */
  private handThrough(bytes: Uint8Array): boolean {
    const { operation, waiter } = this
    if (operation === undefined || waiter === undefined) return false
    if (!waiter.mayBeHanded || this.queue.filled || this.segments.length > 0) return false
    let answer: unknown
    this.asks = true
    try {
      answer = operation.answerBy(bytes)
    } finally {
      this.asks = false
    }
    // what makes an answer of them is code of others, which may have closed this, or interrupted the fiber
    if (this.isClosed) {
      this.keepBehind(bytes)
      return true
    }
    if (this.operation !== operation || !waiter.waitsDirectly) return false
    if (answer === notNow) return operation.target !== undefined && this.passedOn(bytes, false)
    if (this.finish(waiter, Exit.succeed(answer))) return true
    // nobody has them
    if (!this.isClosed) return false
    this.keepBehind(bytes)
    return true
  }

  /** Lets the read that waits pass on what has come, as if it had been answered with that, and had begun anew. */
  private passedOn(bytes: Uint8Array, lent: boolean): boolean {
    // who bounds waits or observes them is told of each
    if (this.watchdog !== undefined || this.observed !== undefined || !this.waits) return false
    if (!this.operation!.passOn(bytes, lent)) return false
    if (this.clock !== undefined) this.waitingSince = this.clock.currentTimeMillisUnsafe()
    return true
  }

  private count(size: number): void {
    if (this.queue.ended) throw new Error("feed: the stream has already ended")
    this.received += size
    this.watchdog?.received(size)
  }

  /** Drops the ends of lines that are not wanted. */
  protected discard(bytes: Uint8Array): Uint8Array {
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
      this.segments.push(bytes)
      this.resumeIfReady()
    } else {
      const chunks = this.queue.offer(bytes)
      if (this.operation !== undefined) this.resumeIfReady()
      else if (chunks >= maxChunks) this.absorb()
    }
    this.backpressure.pauseIfFull()
  }

  /** The other starts delivery anew, and until then no more of it comes than would come here. */
  private keepBehind(bytes: Uint8Array): void {
    const { behind } = this
    if (behind === undefined) return
    behind.pieces.push(bytes)
    behind.size += bytes.length
    if (behind.size > 2 * this.limit) this.feeder.pause()
  }

  /** The peer ended the stream. */
  feedEnd(): void {
    this.feedLast(ended)
  }

  /** The stream broke. What arrived before is still delivered first. */
  feedLoss(loss: Loss<ReadError>): void {
    this.feedLast(lost(loss))
  }

  private feedLast(end: Ended | Lost): void {
    if (this.asks || this.late !== undefined) return this.comeLate(end)
    this.feedLastNow(end)
  }

  private feedLastNow(end: Ended | Lost): void {
    const { queue } = this
    if (queue.ended) return
    queue.ended = true
    this.backpressure.end()
    if (this.isClosed) return
    if (this.awaited) this.end = end
    else queue.end(end)
    this.resumeIfReady()
  }

  /**
   * What a frame feeds while it is asked, for it is code of others, comes behind what it is asked about; and what is fed before
   * that has come, by the fiber that was resumed meanwhile, behind it.
   */
  private comeLate(what: Uint8Array | Ended | Lost): void {
    this.late ??= []
    this.late.push(what)
    if (!this.asks) this.feedLate()
  }

  private feedLate(): void {
    while (this.late !== undefined) {
      const what = this.late.shift()!
      if (this.late.length === 0) this.late = undefined
      if ("_tag" in what) this.feedLastNow(what)
      else this.feedNow(what)
    }
  }

  /** This side is done with the stream: what is unread is dropped, a waiting read fails. */
  close(reason: ClosedStream["reason"]): void {
    const { end } = this
    if (end._tag === "closed") return
    this.end = { _tag: "closed", reason, before: end }
    this.clear()
    this.apart?.cut(reason)
    this.resumeIfReady()
  }

  /** Whether a read waits for what comes now, with nothing before it: the queue would only be passed through. */
  private get awaited(): boolean {
    return this.operation !== undefined && !this.queue.filled
  }

  // ------------------------------------------------------------------------
  // the read that waits
  // ------------------------------------------------------------------------

  /** Whether a read waits, and was not resumed yet. */
  get waits(): boolean {
    return this.operation !== undefined && this.waiter?.waits === true
  }

  /** Whether a read may answer from the segments without looking any further. */
  get idle(): boolean {
    return this.operation === undefined
  }

  /**
   * Finishes an operation, if it is ready. The caller hands the result over in the very step in which it is taken from
   * the segments, whatever those do who are told to stop or to go on meanwhile.
   */
  settle<A, E>(operation: WaitingRead<A, E>): Exit.Exit<A, E | ReadError> | undefined {
    if (operation.absorbs) this.absorb()
    this.backpressure.defer()
    let exit: Exit.Exit<A, E | ReadError> | undefined
    try {
      exit = operation.settle()
    } catch (defect) {
      // a read that dies waits no longer
      exit = Exit.die(defect)
    }
    if (exit === undefined && this.endsIdle(operation)) exit = operation.cleanEnd
    if (exit !== undefined && this.operation === operation) this.waitOver()
    this.backpressure.decide(exit !== undefined)
    return exit
  }

  /** Waits, as the one operation that does, until the feeding side has what it needs. */
  wait<A, E>(operation: WaitingRead<A, E>, fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> {
    const waiter = (this.waiter ??= new Waiter(this))
    if (publicOnly) return this.waitPublicly(operation, waiter, fiber)
    let goesOn: boolean
    try {
      goesOn = this.readStarts(operation, fiber)
    } catch (defect) {
      // a read that dies waits no longer
      this.waitOver()
      return Exit.die(defect)
    }
    if ((goesOn || this.isClosed) && operation.ready()) {
      // The transport may not feed at once, but nothing less than the stream would hang if it did. And whoever is told that
      // a read begins may close.
      return handOver(this.settle(operation)!, fiber) as Effect.Effect<A, E>
    }
    return waiter.begin(fiber)
  }

  /** `wait`, on public API alone. */
  private waitPublicly<A, E>(
    operation: WaitingRead<A, E>,
    waiter: Waiter,
    fiber: Fiber.Fiber<any, any>
  ): Effect.Effect<A, E> {
    const { received, taken } = this
    return waiter.beginPublicly((waits) => {
      // a tracer is called between any two steps, and may have done anything
      const moved = this.received !== received || this.taken !== taken
      const mayEnd = this.isClosed || this.queue.ended || this.endsIdle(operation)
      if (this.operation !== undefined || moved || mayEnd) return operation as never
      waits()
      try {
        this.readStarts(operation, fiber)
        return undefined
      } catch (defect) {
        this.waitOver()
        return Exit.die(defect)
      }
    })
  }

  /** A read begins to wait. Whether the transport was told to go on for it. */
  private readStarts(operation: WaitingRead<any, any>, fiber: Fiber.Fiber<any, any>): boolean {
    this.operation = operation
    if (this.clock !== undefined) this.waitingSince = this.clock.currentTimeMillisUnsafe()
    this.observed?.readStarted(operation.name)
    const { bound } = operation
    if (this.watchdog !== undefined) this.watchdog.readStarted(bound)
    else if (bound !== undefined && bound !== Infinity) this.watch(bound, fiber)
    if (operation.target !== undefined) this.shareMemory()
    return this.backpressure.readStarted(operation.threshold(), this)
  }

  /** A read waits that has a bound of its own, and there is no other. */
  private watch(bound: number, fiber: Fiber.Fiber<any, any>): void {
    const watchdog = watchdogFor(this, this.feeder.watched, fiber, () => {
      if (this.watchdog === watchdog) this.watchdog = undefined
    })
    this.watchdog = watchdog
    watchdog.readStarted(bound)
  }

  /** Whether a read waits in the middle of a message: with part of it buffered, or, if it knows no messages, behind any byte. */
  get readsPartly(): boolean {
    const { operation, received, segments } = this
    return operation !== undefined && (operation.framed ? segments.length > 0 : received > 0)
  }

  /** Whether the read that waits knows where its message begins: where the one before ended. */
  get readsFramed(): boolean {
    return this.operation?.framed === true
  }

  /** What arrives is to be copied anyway, to the memory of a read that waits: the transport need not allocate any. */
  shareMemory(): void {
    if (this.sharing) return
    this.sharing = true
    this.feeder.shareMemory?.()
  }

  /** What the waiting operation answers, which is ready. What made it ready is still there: it does not wait again. */
  answer(): Exit.Exit<any, any> {
    return this.settle(this.operation!)!
  }

  /** As `Taking.prepare`, of the waiting operation. */
  prepare(fiber: Fiber.Fiber<any, any>): boolean {
    return this.operation?.foresee?.(fiber) === true
  }

  /** The waiting operation is given up, and has taken nothing. Returns what its fiber does about that before it ends. */
  giveUp(): Effect.Effect<void> | undefined {
    this.takeBack()
    this.waitOver()
    // the transport that is told to stop may fail, or interrupt the fiber again
    return this.unread > 0 ? Effect.sync(() => this.backpressure.pauseIfFull()) : undefined
  }

  /** What lies in the memory of a read that will not answer moves to the buffer's own. */
  private takeBack(): void {
    const target = this.operation?.target
    if (target !== undefined && this.segments.length > 0 && this.segments.liesIn(target)) this.segments.own()
  }

  override takePieces(): ReadonlyArray<Uint8Array> {
    this.takeBack()
    return super.takePieces()
  }

  /** The waiting operation is over, or given up. Whether it had not been given up by whoever is told. */
  private waitOver(): boolean {
    const { observed } = this
    if (observed !== undefined) {
      const told = ++this.told
      observed.readEnded(this.operation!.name)
      if (this.told !== told) return false
    }
    this.operation = undefined
    this.waiter?.over()
    this.watchdog?.readEnded()
    this.backpressure.readEnded()
    return true
  }

  /** Fails the waiting read, as if it had been interrupted: it has taken nothing. */
  failWaiting(error: (operation: string) => ReadError): boolean {
    return this.endWaiting((operation) => Exit.fail(error(operation)))
  }

  dieWaiting(defect: unknown): boolean {
    return this.endWaiting(() => Exit.die(defect))
  }

  private endWaiting(exit: (operation: string) => Exit.Exit<never, ReadError>): boolean {
    const { operation, waiter } = this
    if (operation === undefined || waiter === undefined || !waiter.waits) return false
    return this.finish(waiter, exit(operation.name))
  }

  /**
   * From now on a read that answers a clean end does not wait for an item of which nothing is buffered: it is answered as if
   * the stream had ended. The stream goes on, and what arrives later is there for the next read.
   */
  drain(): void {
    this.draining = true
    const { operation, waiter } = this
    if (operation === undefined || waiter === undefined || !waiter.waits) return
    if (this.endsIdle(operation)) this.finish(waiter, operation.cleanEnd!)
  }

  /** Whether a read that has to wait is answered with the end instead. */
  private endsIdle(operation: WaitingRead<any, any>): boolean {
    return this.draining && this.size === 0 && operation.cleanEnd !== undefined
  }

  /**
   * Ends the wait. The transport is told to stop once the fiber has its answer: it may interrupt the fiber. Whether the fiber
   * has it: whoever observes may interrupt it before.
   */
  private finish(waiter: Waiter, exit: Exit.Exit<any, any>): boolean {
    if (!this.waitOver()) return false
    waiter.resumeWith(exit)
    this.backpressure.defer()
    this.backpressure.decide(true)
    return true
  }

  private resumeIfReady(): void {
    const { operation, waiter } = this
    if (operation === undefined || waiter === undefined || !waiter.waits) return
    this.absorb()
    const { asks } = this
    let isReady: boolean
    this.asks = true
    try {
      isReady = operation.ready()
    } finally {
      this.asks = asks
    }
    // what was called meanwhile may have ended the wait
    if (this.operation !== operation || !waiter.waits) return
    if (isReady) waiter.resume()
    // what was waited for may have been dropped, and what comes before the fiber runs is for the next read
    else if (this.endsIdle(operation)) this.finish(waiter, operation.cleanEnd!)
  }
}
