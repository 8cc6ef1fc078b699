/** Bounds on waiting in tests: in real time, whatever clock the program goes by. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { realClock } from "../../runtime/deadline.ts"

/** Real time passes. */
export const realSleep = (duration: Duration.Input): Effect.Effect<void> =>
  realClock.sleep(Duration.fromInputUnsafe(duration))

/** Real time passes, and nothing else happens meanwhile. */
export const standStill = (millis: number): void => {
  const since = Date.now()
  while (Date.now() - since < millis);
}

/** Fails with `onTimeout` if real time runs out first. */
export const within = <A, E, R, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  bound: Duration.Duration,
  onTimeout: Effect.Effect<never, E2, R2>
): Effect.Effect<A, E | E2, R | R2> =>
  Duration.isFinite(bound) ? Effect.raceFirst(effect, Effect.andThen(realClock.sleep(bound), onTimeout)) : effect
