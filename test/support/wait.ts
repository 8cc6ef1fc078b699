/** Waiting for what a test expects, never longer than a test may take. */
import { Effect } from "effect"
import { nextPoll } from "../../src/internal/runtime/turn.ts"

/** Longer than anything here takes on a busy machine, shorter than the time a test has. */
const patience = 8000

/** Ends `effect` with a defect that says what was awaited, if it takes too long. Needs the live clock. */
export const within = <A, E, R>(
  what: string | (() => string),
  effect: Effect.Effect<A, E, R>,
  millis: number = patience
): Effect.Effect<A, E, R> =>
  Effect.timeoutOrElse(effect, {
    duration: millis,
    orElse: () => Effect.die(new Error(`not within ${millis} ms: ${typeof what === "string" ? what : what()}`))
  })

/** Waits until `poll` has an answer, looking once a millisecond. */
export const eventually = <A>(
  what: string | (() => string),
  poll: () => A | undefined | false,
  millis?: number
): Effect.Effect<A> =>
  within(
    what,
    Effect.gen(function* () {
      while (true) {
        const answer = poll()
        if (answer !== undefined && answer !== false) return answer
        yield* Effect.sleep(1)
      }
    }),
    millis
  )

/** As `eventually`, for what is known by running an effect. */
export const eventuallyEffect = <E, R>(
  what: string | (() => string),
  holds: Effect.Effect<boolean, E, R>,
  millis?: number
): Effect.Effect<void, E, R> =>
  within(
    what,
    Effect.gen(function* () {
      while (!(yield* holds)) yield* Effect.sleep(1)
    }),
    millis
  )

/** Lets the event loop go round, so that everything that is ready to happen has happened. */
export const turns = (count = 5): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let i = 0; i < count; i++) {
      yield* Effect.callback<void>((resume) => nextPoll(() => resume(Effect.void)))
    }
  })
