/** Rank 26 of what users ask for: the scope decides how long a connection lives, and never the garbage collector. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { run } from "../support/program.ts"

const program = fileURLToPath(new URL("programs/nobodyRefersToIt.ts", import.meta.url))

describe("rank 26 while the garbage collector runs", () => {
  it.live("rank 26 what nobody refers to but its scope goes on, and what has ended is collected", () =>
    Effect.gen(function* () {
      const outcome = JSON.parse(yield* run(process.execPath, ["--expose-gc", program]))
      assert.deepStrictEqual(outcome, {
        handlerThatWaits: { early: false, answered: true, text: "are you still there?\n" },
        handlerThatDoesNothing: { early: false, count: 1, ended: true },
        connectionThatIsDropped: { early: false, ended: true },
        readerAlone: { text: "for whoever still listens\n" },
        closedOnesAreCollected: { left: 0 },
        endedOnesAreLetGo: {
          kept: 20,
          left: 0,
          said: [
            "readLine: this side has closed the stream, write: this side has closed the stream, false, true, Graceful"
          ]
        }
      })
    })
  )
})
