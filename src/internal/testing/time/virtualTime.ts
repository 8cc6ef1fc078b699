/**
 * Time that passes when there is nothing else to do.
 *
 * A scheduler counts what is about to run. When nothing is, and has not been
 * for a few turns of the event loop, the clock moves on to the next sleep. If
 * there is none either, the program waits for something that cannot happen.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scheduler from "effect/Scheduler"
import { isLoading } from "../../base/lazily.ts"

interface Sleep {
  readonly due: number
  readonly wake: () => void
}

/** Turns without a task after which a program is taken to wait: work passes from a task to a promise and back. */
const quietTurns = 3
/** The same, where the alternative is to declare it dead: some promises are kept by threads. */
const deadTurns = 20_000

export class VirtualTime {
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler
  /** Called when everything waits, and no time will change it. */
  onDeadlock: () => void = () => {}

  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private now = 0
  /** By time, and by the order of going to sleep. */
  private readonly sleeps: Array<Sleep> = []
  private pending = 0
  private ran = 0
  private seen = 0
  private quiet = 0
  private running = false

  constructor(parent: Scheduler.Scheduler) {
    this.dispatcher = parent.makeDispatcher()
    this.scheduler = {
      executionMode: parent.executionMode,
      shouldYield: (fiber) => parent.shouldYield(fiber),
      makeDispatcher: () => {
        const dispatcher = parent.makeDispatcher()
        return {
          scheduleTask: (task, priority) => {
            this.pending++
            dispatcher.scheduleTask(() => {
              this.pending--
              this.ran++
              task()
            }, priority)
          },
          flush: () => dispatcher.flush()
        }
      }
    }
    const millis = () => this.now
    const nanos = () => BigInt(Math.round(this.now * 1_000_000))
    this.clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
  }

  start(): void {
    this.running = true
    this.dispatcher.scheduleTask(this.look, 0)
  }

  stop(): void {
    this.running = false
  }

  private sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow
    if (millis === Infinity) return Effect.never
    return Effect.callback<void>((resume) => {
      const sleep: Sleep = { due: this.now + millis, wake: () => resume(Effect.void) }
      let at = this.sleeps.length
      while (at > 0 && this.sleeps[at - 1]!.due > sleep.due) at--
      this.sleeps.splice(at, 0, sleep)
      return Effect.sync(() => {
        const index = this.sleeps.indexOf(sleep)
        if (index !== -1) this.sleeps.splice(index, 1)
      })
    })
  }

  private readonly look = (): void => {
    if (!this.running) return
    if (this.pending > 0 || this.ran !== this.seen || isLoading()) {
      this.seen = this.ran
      this.quiet = 0
    } else this.quiet++
    const next = this.sleeps[0]
    if (next !== undefined && this.quiet >= quietTurns) {
      this.quiet = 0
      this.now = next.due
      this.sleeps.shift()
      next.wake()
    } else if (next === undefined && this.quiet >= deadTurns) {
      this.quiet = 0
      this.onDeadlock()
    }
    if (this.running) this.dispatcher.scheduleTask(this.look, 0)
  }
}
