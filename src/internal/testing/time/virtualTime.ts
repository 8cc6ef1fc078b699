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

/** How much is done before a program is taken not to end. */
export interface Bounds {
  /** Tasks of fibers while no time passes. */
  readonly maxTurns: number
  /** Sleeps of no length while no time passes. */
  readonly maxEmptySleeps: number
  /** Times that the clock moves on. */
  readonly maxSteps: number
}

/** Turns without a task after which a program is taken to wait: work passes from a task to a promise and back. */
const quietTurns = 3
/** The same, where the alternative is to declare it dead: some promises are kept by threads. */
const deadTurns = 20_000

export class VirtualTime {
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler
  /** Called with what is wrong when a program will not end, or is taken not to. Perhaps more than once. */
  onStuck: (reason: string) => void = () => {}

  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private now = 0
  /** By time, and by the order of going to sleep. */
  private readonly sleeps: Array<Sleep> = []
  private pending = 0
  private ran = 0
  private seen = 0
  private quiet = 0
  private running = false
  private dead = false
  /** What was done since the clock moved on last. */
  private turns = 0
  private emptySleeps = 0
  private steps = 0
  private readonly bounds: Bounds

  constructor(parent: Scheduler.Scheduler, bounds: Bounds) {
    this.bounds = bounds
    this.dispatcher = parent.makeDispatcher()
    this.scheduler = {
      executionMode: parent.executionMode,
      shouldYield: (fiber) => parent.shouldYield(fiber),
      makeDispatcher: () => {
        const dispatcher = parent.makeDispatcher()
        return {
          scheduleTask: (task, priority) => {
            if (this.dead) return
            this.pending++
            dispatcher.scheduleTask(() => {
              this.pending--
              if (this.dead) return
              this.ran++
              if (this.running && ++this.turns > this.bounds.maxTurns) this.tooManyTurns()
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

  /** Nobody goes on any more: what does not stop by itself would go on behind the program. */
  kill(): void {
    this.stop()
    this.dead = true
  }

  /** The sleeps, for people. */
  get describe(): ReadonlyArray<string> {
    const [first] = this.sleeps
    if (first === undefined) return []
    const count = this.sleeps.length === 1 ? "1 sleep" : `${this.sleeps.length} sleeps`
    return [`${count}, the next ends at ${first.due} ms`]
  }

  private tooManyTurns(): void {
    const { turns } = this
    this.turns = 0
    this.emptySleeps = 0
    this.onStuck(`no progress at ${this.now} ms: ${turns - 1} tasks of fibers ran, and no time passed (maxTurns)`)
  }

  private tooManyEmptySleeps(): void {
    const { emptySleeps } = this
    this.turns = 0
    this.emptySleeps = 0
    this.onStuck(
      `no progress at ${this.now} ms: ${emptySleeps - 1} sleeps of length zero, and no time passed (maxTurns)`
    )
  }

  private readonly noSleep: Effect.Effect<void> = Effect.suspend(() => {
    if (this.running && ++this.emptySleeps > this.bounds.maxEmptySleeps) this.tooManyEmptySleeps()
    return Effect.yieldNow
  })

  private sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return this.noSleep
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
      if (next.due > this.now) {
        this.turns = 0
        this.emptySleeps = 0
      }
      this.now = next.due
      this.sleeps.shift()
      if (++this.steps > this.bounds.maxSteps) {
        this.steps = 0
        this.onStuck(
          `the clock has moved on ${this.bounds.maxSteps} times, to ${this.now} ms, and the program has not ended (maxSteps)`
        )
      }
      next.wake()
    } else if (next === undefined && this.quiet >= deadTurns) {
      this.quiet = 0
      this.onStuck("every fiber waits, and nothing is on its way that could wake one")
    }
    if (this.running) this.dispatcher.scheduleTask(this.look, 0)
  }
}
