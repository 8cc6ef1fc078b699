/** Counts what lies unread over many read buffers, and holds back those that have more than their share. */
import * as Effect from "effect/Effect"
import type { BufferBudget } from "../../BufferBudget.ts"
import type { ReadBuffer } from "../read/readBuffer.ts"

/** Up to so many times the limit those go on that have less than their share. */
const most = 1.25

export class Budget implements BufferBudget {
  readonly limit: number
  readonly used: Effect.Effect<number> = Effect.sync(() => this.total)
  private total = 0
  /** Buffers with something in them: they share the limit. */
  private readonly members = new Set<ReadBuffer>()
  /** Those that were held back, the one that has waited longest first. */
  private readonly held = new Set<ReadBuffer>()

  constructor(limit: number) {
    this.limit = limit
  }

  /** The bytes in a buffer became more, or fewer. */
  changed(buffer: ReadBuffer, by: number): void {
    this.total += by
    if (buffer.size > 0) this.members.add(buffer)
    else {
      this.members.delete(buffer)
      this.held.delete(buffer)
    }
    if (by < 0 && this.held.size > 0 && this.total <= this.limit) {
      const waiting = [...this.held]
      this.held.clear()
      for (const one of waiting) one.reconsider()
    }
  }

  /**
   * Whether a buffer must wait until others are read: the limit is reached, and its share of it used up. What the large
   * ones hold cannot be taken back from them, and so there is an end to the shares of the small ones too.
   */
  refuses(buffer: ReadBuffer): boolean {
    const { limit, total } = this
    return total > limit && buffer.size > 0 && (buffer.size * this.members.size > limit || total > limit * most)
  }

  /** A refused buffer is told to reconsider once there is room. */
  hold(buffer: ReadBuffer): void {
    this.held.add(buffer)
  }
}
