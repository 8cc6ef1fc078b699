/** Interrupts at a step of a test's choice: what is done in one step and written down in the next is found by it. */
import { Effect, type Exit, Fiber, Scheduler } from "effect"

class InterruptBefore extends Scheduler.MixedScheduler {
  victim: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private readonly step: number
  private steps = 0

  constructor(step: number) {
    super()
    this.step = step
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (++this.steps !== this.step) return super.shouldYield(fiber)
    // after it has yielded, and before it goes on
    queueMicrotask(() => this.victim?.interruptUnsafe())
    return true
  }
}

/** How an effect ends that is interrupted before the step with this number, counted from 1, of it or of a child of it. */
export const interruptBefore = <A, E, R>(
  step: number,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.gen(function* () {
    const scheduler = new InterruptBefore(step)
    const fiber = yield* Effect.forkChild(Effect.provideService(effect, Scheduler.Scheduler, scheduler))
    scheduler.victim = fiber
    return yield* Fiber.await(fiber)
  })
