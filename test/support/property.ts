/** Properties of effects, checked with fast-check. */
import { Effect, type Scope } from "effect"
import * as fc from "fast-check"

/** How many of its runs each property gets: a third in `npm run test:unit`, and as many times more as one likes. */
const share = Number(process.env.PROPERTY_RUNS ?? 1)

/**
 * Runs `property` for values of `arbitrary`, each in a scope of its own, and fails with the smallest value for which it
 * fails. The property sees the services of the test, its clock among them.
 *
 * Answers whether there was time for all of the runs: on a slow machine the rest is left out, and in `npm run test:unit`
 * two thirds are. What is counted over all runs can be told only then.
 */
export const forAll = <A, E, R>(
  arbitrary: fc.Arbitrary<A>,
  property: (value: A) => Effect.Effect<unknown, E, R>,
  parameters?: fc.Parameters<[A]>
): Effect.Effect<boolean, never, Exclude<R, Scope.Scope>> =>
  Effect.flatMap(Effect.context<Exclude<R, Scope.Scope>>(), (context) =>
    Effect.promise(async () => {
      const wanted = parameters?.numRuns ?? 100
      let made = 0
      await fc.assert(
        fc.asyncProperty(arbitrary, async (value) => {
          await Effect.runPromiseWith(context)(Effect.scoped(property(value)))
          made++
        }),
        // a value for which the property hangs is told before the test runs out of time
        {
          timeout: 3000,
          interruptAfterTimeLimit: 10_000,
          ...parameters,
          numRuns: Math.ceil(wanted * share)
        }
      )
      return made >= wanted
    })
  )
