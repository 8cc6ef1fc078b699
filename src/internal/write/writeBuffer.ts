/**
 * The bytes between a writer and a transport, as counts: accepted, pending, in flight.
 *
 * What has been accepted is gathered (`gather`) and sent at the end of the turn (`turn`), or as soon as there is a lot.
 * Bytes are counted until the system has taken them. Above the high-water mark writers wait (`waiters`), until the
 * low-water mark is reached.
 */
import type { ClosedStream, WriteError } from "../../StreamError.ts"
import type { Transport } from "../../Transport.ts"
import * as Bytes from "../base/bytes.ts"
import { copiedBytes, eagerBytes, maxInFlight, slabBytes } from "../base/defaults.ts"
import type { Node } from "../frame/node.ts"
import type { CoarseClock } from "../runtime/coarseClock.ts"
import type { Watchdog } from "../runtime/timeouts.ts"
import { Gather } from "./gather.ts"
import { type Sender, soon, Turn } from "./turn.ts"
import { type Waiter, Waiters } from "./waiters.ts"

/** Where the bytes go: the sending half of a transport. */
export interface Output {
  /** As `Transport.write`. */
  write(chunks: ReadonlyArray<Uint8Array>): boolean
  /** All was sent that was accepted before the end was asked for. */
  ended(): void
  /** The high-water mark was passed, or the low one reached again. */
  flowChanged?(direction: "out", reason: "peer" | undefined): void
  /** What was accepted cannot be sent: breaks the buffer, at once. */
  failed(cause: unknown): void
}

export class WriteBuffer implements Sender {
  readonly highWaterMark: number
  readonly lowWaterMark: number
  readonly waiters = new Waiters()
  /** Accepted, and not yet given to the transport. */
  pending = 0
  /** Given to the transport, and not yet taken by the system. */
  inFlight = 0
  /** All bytes ever accepted. */
  accepted = 0
  /** Whether the high-water mark was passed and the low one not yet reached again. */
  paused = false
  /** Whether so much was sent in this turn that the next write waits for another. */
  resting = false
  /** Set when no more bytes are accepted: the output ends once everything is sent. */
  ending: ClosedStream["reason"] | undefined = undefined
  /** Whether everything was sent, and the output ended behind it. */
  ended = false
  /** Why nothing can be written any more, as an error made anew for each operation that meets it. */
  broken: ((operation: string) => WriteError) | undefined = undefined
  /** The clock of the session, by which waits are told. */
  clock: CoarseClock | undefined = undefined
  /** Told of bytes to be sent and of bytes that were, if waiting is bounded. */
  watchdog: Watchdog | undefined = undefined

  private readonly output: Output
  private readonly gather = new Gather()
  private readonly turn: Turn
  /** The batch that the transport holds, if some of it may lie in memory of the caller's. */
  private heldViews: ReadonlyArray<Uint8Array> | undefined = undefined
  /** While bytes are being accepted, waiters are resumed at the end of the turn, not in the middle of the write. */
  private accepting = false
  /** How many of the bytes that the system took the watchdog has been told of. */
  private watched = 0

  constructor(
    options: { readonly highWaterMark: number; readonly lowWaterMark: number },
    output: Output,
    atEndOfTurn: Transport["atEndOfTurn"]
  ) {
    this.highWaterMark = options.highWaterMark
    this.lowWaterMark = options.lowWaterMark
    this.output = output
    this.turn = new Turn(this, atEndOfTurn)
  }

  /** As of the transport. */
  get atEndOfTurn(): Transport["atEndOfTurn"] {
    return this.turn.atEnd
  }

  /** Bytes accepted that the system has not taken. */
  get buffered(): number {
    return this.pending + this.inFlight
  }

  // ------------------------------------------------------------------------
  // accepting
  // ------------------------------------------------------------------------

  /** Now, in milliseconds since the epoch. */
  get now(): number {
    return this.clock?.currentTimeMillisUnsafe() ?? 0
  }

  /** Whether no more bytes are accepted. */
  get isOver(): boolean {
    return this.ending !== undefined || this.broken !== undefined
  }

  /** Whether a write is accepted without waiting. */
  get open(): boolean {
    return !this.paused && !this.resting && this.waiters.toWrite === undefined && !this.isOver
  }

  /** Whether a write, or a `drain`, has to wait. */
  get mustWait(): boolean {
    return (this.paused || this.resting) && !this.isOver
  }

  append(bytes: Uint8Array): void {
    this.gather.place(bytes)
    if (bytes.length > 0) this.count(bytes.length)
  }

  /** `append`, of some bytes in memory that is the caller's again once this returns. */
  appendCopy(bytes: Uint8Array): void {
    const size = bytes.length
    if (size > slabBytes) return this.append(Bytes.copy(bytes))
    this.gather.placeRun([bytes], size)
    this.count(size)
  }

  appendText(text: string): void {
    const size = this.gather.placeText(text)
    if (size > 0) this.count(size)
  }

  /** Several chunks as one run, sent as one. A character may be cut between two that are text. */
  appendAll(chunks: ReadonlyArray<Uint8Array | string>): void {
    const size = this.gather.placeAll(chunks)
    if (size > 0) this.count(size)
  }

  /** `appendAll`, if all these can be written, and are not nothing. */
  appendRun(chunks: ReadonlyArray<unknown>): boolean {
    let size = 0
    let text = false
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]
      if (typeof chunk === "string") text = true
      else if (!(chunk instanceof Uint8Array)) return false
      size += chunk.length
    }
    if (size === 0) return false
    if (text || size > copiedBytes) this.appendAll(chunks as ReadonlyArray<Uint8Array | string>)
    else {
      this.gather.placeRun(chunks as ReadonlyArray<Uint8Array>, size)
      this.count(size)
    }
    return true
  }

  /** Messages as one run. Takes all of them, or nothing, and returns what was thrown, if the buffer has not ended meanwhile. */
  appendFrames<A>(node: Node<A>, values: ReadonlyArray<A>): { readonly fault: unknown } | undefined {
    const { gather } = this
    const size = gather.placeFrames(node, values, this)
    if (typeof size === "number" && size > 0) this.count(size)
    else if (this.buffered === 0) gather.release()
    return typeof size === "number" ? undefined : size
  }

  private count(size: number): void {
    this.pending += size
    this.accepted += size
    this.accepting = true
    if (this.inFlight === 0) {
      if (this.pending >= eagerBytes) this.flush()
      else this.turn.schedule()
    }
    if (!this.paused && this.buffered > this.highWaterMark) {
      // bytes that the system takes at once do not count
      if (this.pending > 0 && this.inFlight === 0) this.flush()
      if (this.buffered > this.highWaterMark) {
        this.paused = true
        this.output.flowChanged?.("out", "peer")
      }
    }
    if (this.watchdog !== undefined && this.buffered > 0) this.watchdog.unsent()
    this.accepting = false
  }

  // ------------------------------------------------------------------------
  // sending
  // ------------------------------------------------------------------------

  /** Sends what the turn has left. */
  endTurn(): void {
    try {
      this.flush()
    } catch (error) {
      // others have their turn behind this one, whatever it threw
      this.output.failed(error)
    }
  }

  rested(): void {
    this.waiters.wake(this)
  }

  /** Holds back what is written until `uncork`, which sends it: one turn's answers in one system call. */
  cork(): void {
    this.turn.cork()
  }

  uncork(): void {
    this.turn.uncork()
    if (this.pending > 0) this.flush()
  }

  /** Gives what is pending to the transport, unless it still holds something. */
  flush(): void {
    if (this.inFlight > 0 || this.broken !== undefined) return
    if (this.pending > 0) {
      const { gather, turn } = this
      const memory = gather.finish()
      while (this.pending > 0 && this.inFlight === 0) {
        const batch = this.nextBatch()
        // nothing goes out behind what is missing
        if (gather.views && isGone(batch)) return this.lostMemory()
        if (!this.output.write(batch)) {
          if (gather.views) this.heldViews = batch
          break
        }
        turn.count(this.inFlight)
        this.inFlight = 0
      }
      turn.restIfDue()
      if (this.inFlight === 0) gather.reuse(memory)
      if (this.buffered === 0) gather.release()
    }
    this.progress()
  }

  /** Takes what one call may send: all of it, or as much as shows progress often enough. */
  private nextBatch(): ReadonlyArray<Uint8Array> {
    if (this.pending <= maxInFlight) {
      this.inFlight = this.pending
      this.pending = 0
      return this.gather.takeAll()
    }
    this.inFlight = maxInFlight
    this.pending -= maxInFlight
    return this.gather.take(maxInFlight)
  }

  /** The system has taken all that the transport held. */
  drained(): void {
    const held = this.heldViews
    if (held !== undefined) {
      this.heldViews = undefined
      // the system found something else there instead
      if (isGone(held)) return this.lostMemory()
    }
    this.inFlight = 0
    if (this.pending > 0) return this.flush()
    this.gather.release()
    this.progress()
  }

  /** The memory of a batch is gone: the transport was given, or was to be given, other bytes than were written. */
  private lostMemory(): void {
    // it was not sent
    this.pending += this.inFlight
    this.inFlight = 0
    this.output.failed(memoryGone())
  }

  /** Bytes went out: end, or wake those who waited for it. */
  private progress(): void {
    if (this.watchdog !== undefined) {
      const taken = this.accepted - this.buffered
      if (taken > this.watched) {
        this.watched = taken
        this.watchdog.sent(this.buffered)
      }
    }
    if (this.paused && this.buffered <= this.lowWaterMark) {
      this.paused = false
      this.output.flowChanged?.("out", undefined)
    }
    if (this.ending !== undefined && !this.ended && this.buffered === 0 && this.broken === undefined) {
      this.ended = true
      this.output.ended()
    }
    this.wakeInTime()
  }

  private wakeInTime(): void {
    if (!this.accepting) this.waiters.wake(this)
    else if (!this.waiters.isEmpty) this.wakeSoon()
  }

  private wakeSoon(): void {
    soon(() => this.waiters.wake(this))
  }

  /** One that waited leaves the line. */
  leave(waiter: Waiter): void {
    if (this.waiters.leave(waiter)) this.wakeSoon()
  }

  // ------------------------------------------------------------------------
  // ending
  // ------------------------------------------------------------------------

  /** Accepts nothing more, and ends the output once everything is sent. A later reason replaces an earlier one. */
  end(reason: ClosedStream["reason"]): void {
    this.ending = reason
    if (this.inFlight === 0 && !this.ended) this.flush()
    else this.waiters.wake(this)
  }

  /** Accepts nothing more; the output goes on elsewhere. */
  detach(reason: ClosedStream["reason"]): void {
    this.ending = reason
    this.ended = true
    this.waiters.wake(this)
  }

  /** Nothing can be sent any more. `first` comes before those who wait are told: they may close, or abort. */
  break(why: (operation: string) => WriteError, first?: () => void): void {
    if (this.broken !== undefined) return first?.()
    this.broken = why
    this.heldViews = undefined
    this.gather.drop()
    // bytes on their way may still be read
    if (this.inFlight === 0) this.gather.release()
    first?.()
    this.wakeInTime()
  }
}

/** Whether memory is not there any more: a view of it is empty then, and nothing that is kept was empty. */
const isGone = (chunks: ReadonlyArray<Uint8Array>): boolean => {
  for (let i = 0; i < chunks.length; i++) if (chunks[i]!.length === 0) return true
  return false
}

const memoryGone = (): TypeError =>
  new TypeError(
    `an array was transferred, detached or shrunk before what was written of it was sent: one of more than ${copiedBytes} bytes must be left alone until flush`
  )
