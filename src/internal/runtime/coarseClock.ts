/**
 * What time it is, to a tenth of a second, at the cost of asking a field; older where the event loop stands still.
 *
 * Each read that waits notes when it began to, for people who look. To ask the system each time would cost as much as a
 * quarter of what this library does for a small request. So one answer of the system is used for a while. A timer ends
 * that, and is set by the next question only: a process that has nothing to do is not woken.
 */
import type * as Clock from "effect/Clock"
import { coarseTime } from "../base/defaults.ts"
import * as Deadline from "./deadline.ts"

export interface CoarseClock {
  currentTimeMillisUnsafe(): number
}

class Coarse implements CoarseClock {
  private time = 0
  private isFresh = false

  currentTimeMillisUnsafe(): number {
    return this.isFresh ? this.time : this.ask()
  }

  private ask(): number {
    const timer: unknown = setTimeout(() => {
      this.isFresh = false
    }, coarseTime)
    // it must not keep the process alive, where there is one
    if (typeof timer === "object") (timer as { unref?(): void }).unref?.()
    this.isFresh = true
    this.time = Deadline.realClock.currentTimeMillisUnsafe()
    return this.time
  }
}

const real = new Coarse()

/** The coarse form of the system's clock; a clock that is moved by hand is as cheap as it is. */
export const of = (clock: Clock.Clock): CoarseClock => (Deadline.isReal(clock) ? real : clock)
