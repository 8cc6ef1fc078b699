/** How an effect ended. */
import { Cause, Effect, Exit } from "effect"

/** The message that an effect dies with. */
export const deathOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<string, never, R> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) throw new Error("it succeeded")
    if (!Cause.hasDies(exit.cause)) throw new Error(`it did not die: ${Cause.pretty(exit.cause)}`)
    return String(Cause.squash(exit.cause))
  })
