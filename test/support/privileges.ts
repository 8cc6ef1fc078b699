/** For tests that want to be refused: the superuser is refused nothing. */
import { Effect } from "effect"

const nobody = 65534

/** Runs an effect without the superuser's rights, if this process has them. */
export const unprivileged = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  process.getuid?.() === 0
    ? Effect.acquireUseRelease(
        Effect.sync(() => process.seteuid!(nobody)),
        () => effect,
        () => Effect.sync(() => process.seteuid!(0))
      )
    : effect
