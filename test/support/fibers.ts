/** Starting fibers, telling whether they wait, and what came of them. */
import { Cause, Effect, Exit, type Fiber, Scheduler, type Scope } from "effect"

/**
 * Runs `effect` up to where it waits, and leaves it there. Ends with the test. It runs under the scheduler that programs
 * have, unless the test has chosen one: that of the clock of tests is another, and a fiber under it waits in another way
 * (see `internal/runtime/waiting.ts`).
 */
export const start = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> =>
  Effect.flatMap(Scheduler.Scheduler, (scheduler) =>
    startUnderClock(
      scheduler.constructor === Object
        ? Effect.provideService(effect, Scheduler.Scheduler, new Scheduler.MixedScheduler())
        : effect
    )
  )

/** `start`, under the scheduler of the test. */
export const startUnderClock = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> => Effect.forkScoped(effect, { startImmediately: true })

/** Runs each of `effects` up to where it waits, one after the other. */
export const startAll = <A, E, R>(
  effects: Iterable<Effect.Effect<A, E, R>>
): Effect.Effect<Array<Fiber.Fiber<A, E>>, never, R | Scope.Scope> => Effect.forEach(effects, start)

/** Whether the fiber has not come to its end. */
export const waits = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() === undefined

/** The defect that an effect dies of. */
export const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<unknown, never, R> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit) || !Cause.hasDies(exit.cause)) {
      throw new Error(`expected a defect, got ${Exit.isSuccess(exit) ? "a success" : Cause.pretty(exit.cause)}`)
    }
    return Cause.squash(exit.cause)
  })
