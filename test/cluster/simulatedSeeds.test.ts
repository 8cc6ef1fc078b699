/** Clusters in simulation, for fifty seeds of cuts, crashes and latencies; every third one over mutual TLS. */
import { assert, describe, it } from "@effect/vitest"
import * as Faults from "effect-byte-streams/testing/Faults"
import { Effect, Logger } from "effect"
import { checkCluster, timelineOf } from "../support/clusterSeeds.ts"
import { runnerNames, simulateCluster } from "../support/simulatedCluster.ts"

const seeds = Array.from({ length: 50 }, (_, index) => index + 1)

describe("no acknowledged message is missing, and every room answers 45 seconds after the last fault", () => {
  for (const seed of seeds) it.live(`seed ${seed}`, () => Effect.asVoid(checkCluster(seed)), 120_000)
})

describe("the same seed gives the same timeline, ids aside", () => {
  // 9 and 30 are over mutual TLS
  for (const seed of [9, 10, 20, 30, 40, 50]) {
    it.live(
      `seed ${seed}`,
      () =>
        Effect.gen(function* () {
          const first = timelineOf(yield* checkCluster(seed))
          assert.deepStrictEqual(timelineOf(yield* checkCluster(seed)), first)
        }),
      120_000
    )
  }
})

describe("mistakes are noticed", () => {
  const crash = {
    faults: [
      Faults.crash({ host: "runner1", at: 3000 }),
      Faults.crash({ host: "runner2", at: 4000, connections: "vanish" })
    ],
    faultsUntil: 4000,
    // they do not come back
    away: 1_000_000
  }
  const run = (options: Parameters<typeof simulateCluster>[0]) =>
    Effect.provide(simulateCluster(options), Logger.layer([]))

  it.effect(
    "two runners that never come back: their rooms move; with leases that last for hours they fall silent",
    () =>
      Effect.gen(function* () {
        const moved = yield* run(crash)
        assert.deepStrictEqual([moved.silent, moved.missing], [[], []])
        const kept = yield* run({ ...crash, mistake: "leasesLastForHours" })
        assert.isAbove(kept.silent.length, 0)
        assert.deepStrictEqual(kept.missing, [])
      })
  )

  it.live("a message that is acknowledged before it is written is missing after a crash", () =>
    Effect.gen(function* () {
      const faults = Array.from({ length: 12 }, (_, index) =>
        Faults.crash({ host: runnerNames[index % 3]!, at: 1000 + 700 * index })
      )
      const report = yield* run({ faults, away: 300, mistake: "acknowledgedBeforeWritten" })
      assert.isAbove(report.missing.filter((id) => !id.endsWith("-last")).length, 0)
    })
  )
})
