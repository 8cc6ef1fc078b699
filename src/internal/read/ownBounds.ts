/** Reads with bounds of their own where nothing else is bounded: a watchdog for as long as there are such. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type { Duration } from "effect/Duration"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type { ReadError } from "../../StreamError.ts"
import { StreamTimeout } from "../base/errors.ts"
import { unbounded, Watchdog, type Watched } from "../runtime/timeouts.ts"

/** The reads of a buffer, as far as a bound concerns them. */
export interface BoundedReads {
  /** As in `Watched`. */
  readonly readsPartly: boolean
  readonly readsFramed: boolean
  readonly received: number
  readonly taken: number
  readonly paused: boolean
  /** Fails the read that waits. */
  failWaiting(error: (operation: string) => ReadError): void
}

/** A watchdog for the reads of a session (`watched`), or for those of a reader that belongs to none. */
export const watchdogFor = (
  reads: BoundedReads,
  watched: Watched | undefined,
  fiber: Fiber.Fiber<any, any>,
  onRest: () => void
): Watchdog => {
  // nothing else of the fiber's is kept
  const services = Context.make(Clock.Clock, fiber.getRef(Clock.Clock)).pipe(
    Context.add(Scheduler.Scheduler, fiber.getRef(Scheduler.Scheduler))
  )
  return new Watchdog(watched ?? new WatchedReads(reads), unbounded, services as Context.Context<never>, onRest)
}

/** A reader of its own, as its watchdog sees it: nothing is bounded but its reads. */
class WatchedReads implements Watched {
  private readonly reads: BoundedReads
  readonly sent = 0
  readonly atEndOfTurn = undefined

  constructor(reads: BoundedReads) {
    this.reads = reads
  }

  get readsPartly(): boolean {
    return this.reads.readsPartly
  }
  get readsFramed(): boolean {
    return this.reads.readsFramed
  }
  get heard(): number {
    return this.reads.received
  }
  get taken(): number {
    return this.reads.taken
  }
  get heldBack(): boolean {
    return this.reads.paused
  }
  expireRead(duration: Duration): void {
    this.reads.failWaiting((operation) => new StreamTimeout({ operation, kind: "Read", duration }))
  }
  expire(): void {}
}
