/** Counts what lies unread over many read buffers, and holds back those that have more than their share. */
import * as Effect from "effect/Effect"
import type { BufferBudget } from "../../BufferBudget.ts"
import type { BudgetMember, SharedBudget } from "../read/backpressure.ts"
import { maxOverLimit } from "../base/defaults.ts"

export class Budget implements BufferBudget, SharedBudget {
  readonly limit: number
  readonly used: Effect.Effect<number> = Effect.sync(() => this.total)
  private total = 0
  /** Buffers with something in them: they share the limit. */
  private readonly members = new Set<BudgetMember>()
  /** Those that were held back, the one that has waited longest first. */
  private readonly held = new Set<BudgetMember>()

  constructor(limit: number) {
    this.limit = limit
  }

  changed(member: BudgetMember, by: number): void {
    this.total += by
    if (member.size > 0) this.members.add(member)
    else {
      this.members.delete(member)
      this.held.delete(member)
    }
    if (by < 0 && this.held.size > 0 && this.total <= this.limit) {
      const waiting = [...this.held]
      this.held.clear()
      for (const one of waiting) one.reconsider()
    }
  }

  /**
   * The limit is reached, and the share of this one used up. What the large ones hold cannot be taken back from them, so
   * there is an end to the shares of the small ones too.
   */
  refuses(member: BudgetMember): boolean {
    const { limit, total } = this
    return total > limit && member.size > 0 && (member.size * this.members.size > limit || total > limit * maxOverLimit)
  }

  hold(member: BudgetMember): void {
    this.held.add(member)
  }
}
