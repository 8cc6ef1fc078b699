/** Starting fibers, telling whether they wait, and what came of them. */
import { Cause, Effect, Exit, type Fiber, type Scope } from "effect"

/** Runs `effect` up to where it waits, and leaves it there. Ends with the test. */
export const start = <A, E, R>(
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
