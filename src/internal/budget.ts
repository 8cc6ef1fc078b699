/** Counts what lies unread over many read buffers, and holds back those that have more than their share. */
import * as Effect from "effect/Effect"
import type { BufferBudget } from "../BufferBudget.ts"
import type { ReadBuffer } from "./readBuffer.ts"

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

  /** Whether a buffer must wait until others are read: the limit is reached, and its share of it used up. */
  refuses(buffer: ReadBuffer): boolean {
    return this.total > this.limit && buffer.size * this.members.size > this.limit
  }

  /** A refused buffer is told to reconsider once there is room. */
  hold(buffer: ReadBuffer): void {
    this.held.add(buffer)
  }
}
