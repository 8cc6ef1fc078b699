/** No lost byte where Effect's own scheduler lets others run, which no clock of tests shows: fibers wait as in production. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { programs, run } from "../support/yieldPrograms.ts"

it.live("rank 5: a thousand programs, interrupted exactly where they yield, lose nothing and repeat nothing", () =>
  Effect.gen(function* () {
    let ran = 0
    let interruptions = 0
    yield* Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(programs, async (program) => {
          ran++
          interruptions += (await run(program)).interruptions
        }),
        { numRuns: 1000, interruptAfterTimeLimit: 12_000 }
      )
    )
    // most of them yield, and half of the yields are interruptions; a busy machine runs fewer
    assert.isAbove(interruptions, ran / 10)
  })
)
