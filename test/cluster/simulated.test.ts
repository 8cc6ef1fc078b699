/** Clusters in simulation: cuts, crashes and latencies, a few of them. `simulatedSeeds.test.ts` has many. */
import { assert, describe, it } from "@effect/vitest"
import type * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect } from "effect"
import { checkCluster } from "../support/clusterSeeds.ts"

/** What happened, but for the ids: they have another length in each run of a process. */
const timelineOf = (events: ReadonlyArray<TestNetwork.WireEvent>): ReadonlyArray<string> =>
  Array.from(
    new Set(
      events.map(({ at, connection, detail = "", from, kind }) => `${at} #${connection} ${from} ${kind} ${detail}`)
    )
  )

describe("three runners and a client", () => {
  // one over mutual TLS
  for (const seed of [3]) {
    it.effect(
      `seed ${seed}: no acknowledged message is missing, and every room answers 45 seconds after the last fault`,
      () => checkCluster(seed)
    )
  }

  it.effect("the same seed gives the same timeline, ids aside", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* checkCluster(7), yield* checkCluster(7)]
      assert.isAbove(timelineOf(first.events).length, 200)
      assert.deepStrictEqual(timelineOf(second.events), timelineOf(first.events))
    })
  )
})
