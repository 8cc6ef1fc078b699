/**
 * The bounds on waiting for answers: of each caller, of the connection as a whole, and of answers that nobody wants. One
 * timer goes by all of them.
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type { Transport } from "../../Transport.ts"
import type { RequestLost, StreamTimeout } from "../../StreamError.ts"
import * as Errors from "../base/errors.ts"
import type * as Deadline from "../runtime/deadline.ts"
import { Alarm } from "./alarm.ts"
import type { Batch, Call } from "./call.ts"

type AnyBatch = Batch<any, any, RequestLost>
type AnyCall = Call<any, any, RequestLost>

/** What is bounded, in milliseconds; `Infinity` where there is no bound. */
export interface Timeouts {
  readonly callTimeout: number
  readonly stallTimeout: number
  readonly drainTimeout: number
}

/** Who is told that a bound was reached. */
export interface Bounded {
  /** While it changes, what is awaited comes nearer. It may be `NaN`, which is never the same. */
  readonly taken: number
  /** A caller waits no longer. */
  expire(batch: AnyBatch, error: StreamTimeout): void
  /** The connection is given up. */
  lose(error: StreamTimeout): void
}

export class Bounds {
  private readonly timeouts: Timeouts
  private readonly bounded: Bounded
  private readonly alarm: Alarm
  /** How bounds with a timer of their own are judged. */
  readonly how: Deadline.How
  /** Batches with a caller: all are as patient, so that the first is the next to give up. */
  private readonly callers = new Set<AnyBatch>()
  /** Since when what was read has waited here, if it does. */
  private waitsSince: number | undefined = undefined
  /** How long it has waited before, all in all. */
  private waited = 0
  /** Since when something has been awaited with no answer, in time of the peer. */
  private silentSince = Infinity
  /** How long it was when nobody waited for now. */
  private silentFor = 0
  /** How much was taken when that began. */
  private takenThen = 0
  /**
   * Calls of several answers that nobody wants, and by when the last must have come, in time of the peer: the first is the
   * next.
   */
  private readonly leftovers = new Map<AnyCall, number>()

  constructor(
    timeouts: Timeouts,
    bounded: Bounded,
    services: Context.Context<never>,
    atEndOfTurn: Transport["atEndOfTurn"]
  ) {
    this.timeouts = timeouts
    this.bounded = bounded
    this.how = { next: atEndOfTurn }
    this.alarm = new Alarm(
      services,
      atEndOfTurn,
      () => this.due(),
      () => this.judge()
    )
  }

  get now(): number {
    return this.alarm.now
  }

  /** The same without the time in which nothing was read, because there was no room: that is no silence of the peer's. */
  get peerTime(): number {
    return (this.waitsSince ?? this.now) - this.waited
  }

  /** A caller begins to wait. */
  called(batch: AnyBatch): void {
    const { callTimeout } = this.timeouts
    if (callTimeout === Infinity || batch.alone) return
    batch.deadline = this.now + callTimeout
    this.callers.add(batch)
    this.alarm.arm()
  }

  /** A caller waits no longer, for whatever reason. */
  over(batch: AnyBatch): void {
    this.callers.delete(batch)
  }

  /** Something is awaited. */
  awaited(): void {
    if (this.silentSince < Infinity || this.timeouts.stallTimeout === Infinity) return
    if (this.silentFor === 0) this.takenThen = this.bounded.taken
    this.silentSince = this.peerTime - this.silentFor
    this.silentFor = 0
    this.alarm.arm()
  }

  /** An answer has come. */
  answered(): void {
    if (this.silentSince < Infinity) this.silentSince = this.peerTime
  }

  /** Nothing is awaited. */
  idle(): void {
    this.silentSince = Infinity
    this.silentFor = 0
  }

  /** Nothing is awaited for now: if something is before `idle`, time goes on from here. */
  pause(): void {
    if (this.silentSince === Infinity) return
    this.silentFor = this.peerTime - this.silentSince
    this.silentSince = Infinity
  }

  /** The answers of a call are not wanted, and are to be dropped when they come. */
  unwanted(call: AnyCall): void {
    const { drainTimeout } = this.timeouts
    // a single one is no more than others wait for anyway
    if (call.expected === 1 || drainTimeout === Infinity) return
    this.leftovers.set(call, this.peerTime + drainTimeout)
    this.alarm.arm()
  }

  /** The last answer of a call has come, or none will. */
  ended(call: AnyCall): void {
    if (this.leftovers.size > 0) this.leftovers.delete(call)
  }

  /** Whether what was read waits here for room, and time is not the peer's. */
  get waits(): boolean {
    return this.waitsSince !== undefined
  }
  set waits(waits: boolean) {
    if (waits === this.waits) return
    if (this.waitsSince === undefined) {
      this.waitsSince = this.now
      return
    }
    this.waited += this.now - this.waitsSince
    this.waitsSince = undefined
    this.alarm.arm()
  }

  stop(): void {
    this.alarm.stop()
    this.callers.clear()
    this.leftovers.clear()
  }

  private get firstLeftover(): number {
    return this.leftovers.values().next().value ?? Infinity
  }

  private due(): number {
    const first = this.callers.values().next().value?.deadline ?? Infinity
    if (this.waits) return first
    return Math.min(first, this.waited + Math.min(this.silentSince + this.timeouts.stallTimeout, this.firstLeftover))
  }

  private judge(): void {
    const { now } = this
    const { callTimeout, drainTimeout, stallTimeout } = this.timeouts
    for (const batch of this.callers) {
      if (batch.deadline > now) break
      this.callers.delete(batch)
      this.bounded.expire(batch, answerTimeout("call", callTimeout))
    }
    if (this.waits) return
    const passed = now - this.waited
    const { taken } = this.bounded
    if (passed >= this.silentSince + stallTimeout && taken !== this.takenThen) {
      this.silentSince = passed
      this.takenThen = taken
    }
    if (passed >= this.silentSince + stallTimeout) this.bounded.lose(answerTimeout("stallTimeout", stallTimeout))
    else if (passed >= this.firstLeftover) this.bounded.lose(answerTimeout("drainTimeout", drainTimeout))
  }
}

export const answerTimeout = (operation: string, millis: number): StreamTimeout =>
  new Errors.StreamTimeout({ operation, kind: "Answer", duration: Duration.millis(millis) })
