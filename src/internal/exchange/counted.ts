/** How many run something now. */
import * as Effect from "effect/Effect"

/**
 * Counts those who run an effect, wherever one of them is interrupted. `instead`: what is run, and not counted, where there
 * is no place. It is asked in the very step in which one is counted.
 */
export const counted = <A, E, R>(
  count: (by: 1 | -1) => void,
  effect: Effect.Effect<A, E, R>,
  instead?: () => Effect.Effect<A, E, R> | undefined
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let begun = false
    return Effect.ensuring(
      Effect.suspend(() => {
        const other = instead?.()
        if (other !== undefined) return other
        begun = true
        count(1)
        return effect
      }),
      Effect.sync(() => begun && count(-1))
    )
  })
