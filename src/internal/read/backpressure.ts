/**
 * When the transport is held back, and when it goes on.
 *
 * Above twice the limit of a read buffer it is paused, at the limit or below it is resumed. A read that waits for more
 * raises the threshold for as long as it waits. Buffers may share a budget: one with more than its share is held back as
 * well, but not while a read waits in it, for then the program could make no room.
 */
import { othersWait } from "../base/othersWait.ts"

/** What is held back. Neither call may feed the buffer before it returns. */
export interface Flow {
  pause(): void
  resume(): void
  /** Why it is held back from now on, if it is. */
  flowChanged?(direction: "in", reason: "reader" | "budget" | undefined): void
}

/** What many buffers may hold together, as each of them sees it. */
export interface SharedBudget {
  /** The bytes in a buffer became more, or fewer. */
  changed(member: BudgetMember, by: number): void
  /** Whether a buffer must wait until others are read. */
  refuses(member: BudgetMember): boolean
  /** A refused buffer is told to reconsider once there is room. */
  hold(member: BudgetMember): void
}

/** A read that waits. */
interface Waiting {
  /** The read dies, unless it was answered before. Whether it did. */
  dieWaiting(defect: unknown): boolean
}

/** A buffer, as the budget sees it. */
export interface BudgetMember {
  /** Bytes that lie unread in it. */
  readonly size: number
  /** There may be room again. */
  reconsider(): void
}

export class Backpressure implements BudgetMember {
  /** Bytes that lie unread, here or in a part of the reader. */
  size = 0
  /** Those of them that lie here. */
  here = 0
  /** Whether the transport is held back. */
  paused = false
  /** The defect of a transport that was told by a read to stop or to go on, which has its answer: the next one dies of it. */
  private defect: { readonly defect: unknown } | undefined = undefined
  /** What many buffers may hold together, if that is bounded. */
  budget: SharedBudget | undefined = undefined

  private readonly limit: number
  private readonly flow: Flow
  private threshold: number
  /** Whether the transport was told to stop, last. */
  private told = false
  /** Whether a read waits. */
  private awaited = false
  /** So many results are being handed over, of parts within parts: until that is done the transport is told nothing. */
  private deferred = 0
  /** Nothing more comes: the transport is told nothing any more. */
  private over = false

  /** Of the reader that this is a part of: what lies here lies there as well, and the transport is told there. */
  private readonly outer: Backpressure | undefined

  constructor(limit: number, flow: Flow, outer?: Backpressure) {
    this.limit = limit
    this.threshold = 2 * limit
    this.flow = flow
    this.outer = outer
  }

  /** Bytes came in. Whether that is too much is another question (`pauseIfFull`): a read may want them. */
  added(count: number): void {
    this.here += count
    this.changed(count)
  }

  /** Bytes were read. The last thing that a read does: the transport may go on. */
  removed(count: number): void {
    this.here -= count
    this.changed(-count)
  }

  private changed(by: number): void {
    this.size += by
    if (by !== 0) this.budget?.changed(this, by)
    if (this.outer !== undefined) return this.outer.changed(by)
    if (by > 0 || !this.paused || this.deferred > 0) return
    try {
      this.reconsider()
    } catch (defect) {
      // what was read is the caller's
      this.defect = { defect }
    }
  }

  /** The defect that the next read dies of, if there is one: it is told once. */
  takeDefect(): { readonly defect: unknown } | undefined {
    if (this.outer !== undefined) return this.outer.takeDefect()
    const { defect } = this
    this.defect = undefined
    return defect
  }

  /** Nothing more comes. */
  end(): void {
    this.over = true
  }

  /** Nothing more comes, and what lies unread is dropped. */
  close(): void {
    this.over = true
    this.paused = false
    this.removed(this.here)
  }

  /**
   * A read begins to wait. The transport has to go on for it, whatever lies unread; `threshold`: how much may from now on.
   * Whether the transport was held back. `waiting` dies if that cannot go on, and is told so later.
   */
  readStarted(threshold: number, waiting: Waiting): boolean {
    this.awaited = true
    if (threshold > this.threshold) this.threshold = threshold
    if (!this.paused) return false
    this.tell(undefined, waiting)
    return true
  }

  /** No read waits any more. */
  readEnded(): void {
    this.awaited = false
    this.threshold = 2 * this.limit
  }

  /** A result is about to be handed over: the transport is told nothing before `decide`. */
  defer(): void {
    if (this.outer !== undefined) return this.outer.defer()
    this.deferred++
  }

  /** The transport is told to stop or to go on, if it has to. `answered`: there is a result. */
  decide(answered: boolean): void {
    if (this.outer !== undefined) return this.outer.decide(answered)
    if (--this.deferred > 0) return
    try {
      if (this.paused) this.reconsider()
      else this.pauseIfFull()
    } catch (defect) {
      if (!answered) throw defect
      this.defect = { defect }
    }
  }

  pauseIfFull(): void {
    if (this.paused || this.deferred > 0 || this.over || this.outer !== undefined) return
    if (this.size > this.threshold) {
      this.tell("reader")
    } else if (!this.awaited && this.budget?.refuses(this) === true) {
      this.budget.hold(this)
      this.tell("budget")
    }
  }

  /** The budget has room again, or this buffer has. */
  reconsider(): void {
    // nothing more comes after the end
    if (!this.paused || this.size > this.limit || this.over) return
    if (this.budget?.refuses(this) === true) return this.budget.hold(this)
    this.tell(undefined)
  }

  /** Stops the transport, or lets it go on. */
  private tell(reason: "reader" | "budget" | undefined, waiting?: Waiting): void {
    const paused = reason !== undefined
    this.paused = paused
    this.flow.flowChanged?.("in", reason)
    if (othersWait()) queueMicrotask(() => this.tellLate(waiting))
    else if (this.told !== paused) this.tellNow()
  }

  private tellNow(): void {
    this.told = this.paused
    if (this.paused) this.flow.pause()
    else this.flow.resume()
  }

  /** In the step that takes an answer the transport was told nothing. It may have been since, or need not be any more. */
  private tellLate(waiting: Waiting | undefined): void {
    if (this.told === this.paused || this.over) return
    try {
      this.tellNow()
    } catch (defect) {
      if (waiting?.dieWaiting(defect) !== true) this.defect = { defect }
    }
  }
}
