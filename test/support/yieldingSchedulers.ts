/**
 * Schedulers that let other fibers run where Effect's own hardly ever does: before any step of an effect. What is
 * decided in one step and done in the next is found by them.
 */
import { type Fiber, Scheduler } from "effect"

/** Lets others run before steps chosen by chance. */
export class Restless extends Scheduler.MixedScheduler {
  private state: number

  constructor(seed: number) {
    super()
    this.state = (seed * 2654435761 + 1) >>> 0
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    // xorshift: every fourth step. Each yield is two steps of its own, so half of all would be no progress at all.
    this.state ^= this.state << 13
    this.state ^= this.state >>> 17
    this.state ^= this.state << 5
    return (this.state & 3) === 3 || super.shouldYield(fiber)
  }
}

/** Lets others run before the first step of each fiber. */
export class YieldFirst extends Scheduler.MixedScheduler {
  private readonly begun = new WeakSet<Fiber.Fiber<unknown, unknown>>()

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (this.begun.has(fiber)) return super.shouldYield(fiber)
    this.begun.add(fiber)
    return true
  }
}

/** Lets others run once, before the step with this number, counted from 1. */
export class YieldBefore extends Scheduler.MixedScheduler {
  private readonly step: number
  private steps = 0

  constructor(step: number) {
    super()
    this.step = step
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return ++this.steps === this.step || super.shouldYield(fiber)
  }
}

/** Lets others run before the step with this number, counted from `watch`, and does something before they do. */
export class ActsBefore extends Scheduler.MixedScheduler {
  private readonly step: number
  private steps = 0
  private act: (() => void) | undefined = undefined

  constructor(step: number) {
    super()
    this.step = step
  }

  watch(act: () => void): void {
    this.steps = 0
    this.act = act
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    const { act } = this
    if (act === undefined || ++this.steps !== this.step) return super.shouldYield(fiber)
    this.act = undefined
    act()
    return true
  }
}

/** Lets others run before every so many steps of each fiber. */
export class YieldEvery extends Scheduler.MixedScheduler {
  private readonly every: number
  private readonly steps = new WeakMap<Fiber.Fiber<unknown, unknown>, number>()

  constructor(every: number) {
    super()
    this.every = every
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    const steps = (this.steps.get(fiber) ?? 0) + 1
    this.steps.set(fiber, steps)
    return steps % this.every === 0 || super.shouldYield(fiber)
  }
}

/** Lets others run before the step with this number, counted from 1, and goes on from there only once it is told to. */
export class HeldBefore implements Scheduler.Scheduler {
  readonly executionMode = "async"
  private readonly own = new Scheduler.MixedScheduler()
  private readonly step: number
  private steps = 0
  private held: Array<() => void> | undefined = []

  constructor(step: number) {
    this.step = step
  }

  shouldYield(): boolean {
    return ++this.steps === this.step
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.own.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        if (this.held === undefined) dispatcher.scheduleTask(task, priority)
        else this.held.push(() => dispatcher.scheduleTask(task, priority))
      },
      flush: () => dispatcher.flush()
    }
  }

  /** Whether something waits to be told to go on. */
  get holds(): boolean {
    return this.held !== undefined && this.held.length > 0
  }

  goOn(): void {
    const held = this.held ?? []
    this.held = undefined
    for (const schedule of held) schedule()
  }
}
