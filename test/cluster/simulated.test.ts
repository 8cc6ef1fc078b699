/** Clusters in simulation: cuts, crashes and latencies, a few of them. `simulatedSeeds.test.ts` has many. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { checkCluster, timelineOf } from "../support/clusterSeeds.ts"

describe("three runners and a client", () => {
  // one over mutual TLS
  for (const seed of [3]) {
    it.effect(
      `seed ${seed}: no acknowledged message is missing, and every room answers 45 seconds after the last fault`,
      () => checkCluster(seed),
      120_000
    )
  }

  it.effect(
    "the same seed gives the same timeline, ids aside",
    () =>
      Effect.gen(function* () {
        const first = timelineOf(yield* checkCluster(7))
        assert.isAbove(first.length, 200)
        assert.deepStrictEqual(timelineOf(yield* checkCluster(7)), first)
      }),
    120_000
  )
})
