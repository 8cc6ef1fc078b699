/**
 * One timer for bounds that move on: it is armed for the first of them, and not touched while that only gets later. A bound
 * that is reached is judged once what had come by then was read.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Transport } from "../../Transport.ts"
import * as Deadline from "../runtime/deadline.ts"

export class Alarm {
  private readonly services: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly atEndOfTurn: Transport["atEndOfTurn"]
  /** When it is to be rung, on the scale of `now`; `Infinity` where nothing is bounded. */
  private readonly due: () => number
  private readonly ring: () => void
  private timer: Fiber.Fiber<unknown> | undefined = undefined
  private armedFor = Infinity
  private judging = false
  private stopped = false

  constructor(
    services: Context.Context<never>,
    atEndOfTurn: Transport["atEndOfTurn"],
    due: () => number,
    ring: () => void
  ) {
    this.services = services
    this.clock = Context.get(services, Clock.Clock)
    this.atEndOfTurn = atEndOfTurn
    this.due = due
    this.ring = ring
  }

  get now(): number {
    return Deadline.timeOf(this.clock)
  }

  /** A bound was set, or came nearer. */
  arm(): void {
    const due = this.due()
    if (this.stopped || this.judging || due === Infinity) return
    if (this.timer !== undefined && this.armedFor <= due) return
    this.timer?.interruptUnsafe()
    this.armedFor = due
    // rounded up: ringing a fraction early would only mean ringing twice, and not in this very call
    const wait = Math.max(1, Math.ceil(due - this.now))
    this.timer = Effect.runForkWith(this.services)(
      Effect.andThen(
        Effect.sleep(wait),
        Effect.sync(() => this.rang())
      )
    )
  }

  private rang(): void {
    this.timer = undefined
    if (this.stopped) return
    if (this.now < this.due()) return this.arm()
    this.judging = true
    const judge = (): void => {
      this.judging = false
      if (this.stopped) return
      if (this.now >= this.due()) this.ring()
      this.arm()
    }
    if (this.atEndOfTurn !== undefined || Deadline.isReal(this.clock)) Deadline.afterRound(judge, this.atEndOfTurn)
    else judge()
  }

  stop(): void {
    this.stopped = true
    this.timer?.interruptUnsafe()
    this.timer = undefined
  }
}
