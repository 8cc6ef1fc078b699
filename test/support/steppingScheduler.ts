/**
 * A scheduler that a test turns by hand: what is to run waits in one line until the test asks for it, so that a test can
 * stop between any two steps, and run the same thing again in the same order.
 */
import { Effect, type Fiber, Scheduler } from "effect"

/** Nobody: fibers that run without having been asked to by the scheduler. */
const outside = Symbol("outside")

export class SteppingScheduler implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  /** How often something was run. */
  steps = 0
  private readonly tasks: Array<() => void> = []
  private readonly everyStep: boolean
  private readonly yields: ReadonlyArray<boolean>
  private asked = 0
  private readonly picks: ReadonlyArray<number>
  /** Whose turn it is. */
  private turn: Fiber.Fiber<unknown, unknown> | typeof outside | undefined = outside
  private free = 0
  private readonly ownYields: number | undefined

  /**
   * `everyStep`: a fiber lets others run between any two steps, and before its first step when it is woken; with
   * `yields`, over and over, at those of these places where it says so. `picks`: who
   * is next, over and over, as numbers that are taken modulo the number of those in line; by default always the first.
   *
   * `ownYields` instead: fibers are asked to let others run as by Effect's own scheduler, after so many steps. By that they
   * wait as in production, where the library hands them what they wait for in the very call that brings it.
   */
  constructor(options: {
    readonly everyStep: boolean
    readonly yields?: ReadonlyArray<boolean> | undefined
    readonly picks?: ReadonlyArray<number> | undefined
    readonly ownYields?: number | undefined
  }) {
    this.everyStep = options.everyStep
    this.yields = options.yields ?? []
    this.picks = options.picks ?? []
    this.ownYields = options.ownYields
    if (this.ownYields !== undefined) this.shouldYield = Scheduler.MixedScheduler.prototype.shouldYield
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (!this.everyStep) return false
    if (this.turn === undefined) {
      this.turn = fiber
      // one to come back from where it yielded, and the step for which it did
      this.free = 2
    }
    if (this.turn === fiber && this.free > 0) {
      this.free--
      return false
    }
    const { yields } = this
    return yields.length === 0 || yields[this.asked++ % yields.length]!
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return { scheduleTask: (task) => void this.tasks.push(task), flush: () => this.run() }
  }

  /** Starts a fiber: its first step is taken now, or in its turn. */
  start<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    const { ownYields } = this
    return Effect.runFork(
      ownYields === undefined ? effect : Effect.provideService(effect, Scheduler.MaxOpsBeforeYield, ownYields),
      { scheduler: this }
    )
  }

  /** Runs who is next. `false`: nobody is. */
  step(): boolean {
    const { picks, tasks } = this
    if (tasks.length === 0) return false
    // every second time the one that waits longest, lest one that asks again and again keep the others from running
    const pick = picks.length === 0 || this.steps % 2 === 1 ? 0 : picks[(this.steps / 2) % picks.length]! % tasks.length
    const [task] = tasks.splice(pick, 1)
    this.steps++
    this.turn = undefined
    task!()
    this.turn = outside
    return true
  }

  /** Runs until everybody waits or is done; fails if that does not come. */
  run(): void {
    const most = this.steps + 20_000
    while (this.step()) if (this.steps > most) throw new Error("the fibers never come to rest")
  }

  /** As `run`, for fibers that also wait for promises that are kept already. */
  async runWithMicrotasks(): Promise<void> {
    for (let idle = 0; idle < 3;) {
      const before = this.steps
      this.run()
      await Promise.resolve()
      idle = this.steps === before ? idle + 1 : 0
    }
  }
}
