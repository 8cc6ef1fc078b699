/** What timeouts fail with, and what they cost. */
import { assert } from "@effect/vitest"
import type { StreamError } from "effect-byte-streams"
import { Clock, Effect, Exit, Fiber, Option } from "effect"

/** What a fiber failed with, as a timeout. */
export const timeoutOf = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<StreamError.StreamTimeout> =>
  Effect.map(Fiber.await(fiber), (exit) => {
    if (Exit.isSuccess(exit)) throw new Error("expected a timeout, got a success")
    const error = Option.getOrThrow(Exit.findErrorOption(exit)) as StreamError.StreamTimeout
    assert.strictEqual(error._tag, "StreamTimeout")
    return error
  })

/** The test's clock, which knows how often a sleep was asked for, and how many sleep: the timers. */
export const countingClock = Effect.map(Clock.Clock, (clock) => {
  const counted = { sleeps: 0, sleeping: 0 }
  const service: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          counted.sleeps++
          counted.sleeping++
        }),
        () => clock.sleep(duration),
        () => Effect.sync(() => void counted.sleeping--)
      )
  }
  // what drives the virtual time stays in reach
  Object.setPrototypeOf(service, clock)
  const run = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Clock.Clock, service)
  return { counted, run }
})
