/**
 * A served program that is told to stop: a process of its own, run by `NodeRuntime.runMain`, with clients in every
 * state. Rank 1 of what users were burned by.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { start } from "../support/program.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"

const program = fileURLToPath(new URL("./programs/served.ts", import.meta.url))

/** What `runMain` exits with when the program was interrupted. */
const interrupted = 130

const serving = (gracePeriod: number) =>
  Effect.gen(function* () {
    const child = yield* start(process.execPath, [program, String(gracePeriod)])
    return { child, port: Number(yield* child.line) }
  })

const refuses = (port: number) =>
  eventuallyEffect(
    "nobody listens any more",
    Effect.scoped(Effect.map(Effect.exit(connectRaw(port)), (exit) => exit._tag === "Failure" || exit.value.closed))
  )

describe("rank 1 a program that is told to stop", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`rank 1 ${signal}: whoever is being answered gets the answer, the others are reset, and it ends`, () =>
      Effect.gen(function* () {
        const gracePeriod = 2000
        const { child, port } = yield* serving(gracePeriod)
        const silent = yield* connectRaw(port)
        const idle = yield* connectRaw(port)
        const busy = yield* connectRaw(port)
        const stalled = yield* connectRaw(port)
        for (const peer of [silent, idle, busy, stalled]) yield* peer.awaitText("ready\n")
        yield* idle.send("10")
        yield* busy.send("3000000\n")
        yield* busy.awaitText("working\n")
        yield* stalled.send("30000000\n")
        yield* stalled.awaitText("working\n")
        yield* stalled.stall
        yield* stalled.send("go\n")

        const signalled = performance.now()
        process.kill(child.child.pid!, signal)
        yield* refuses(port)
        yield* busy.send("go\n")
        yield* busy.awaitEnd
        assert.strictEqual(busy.received.length, "ready\nworking\n".length + 3_000_000)

        assert.strictEqual(yield* eventually("the program ends", () => child.exit), interrupted)
        const took = performance.now() - signalled
        assert.isAtLeast(took, gracePeriod - 50)
        assert.isBelow(took, gracePeriod + 3000)
        for (const peer of [silent, idle, stalled]) {
          yield* peer.unstall
          assert.strictEqual(yield* peer.awaitClosed, "ECONNRESET")
        }
        assert.strictEqual(child.stderr, "")
        // dies if the port is not free
        yield* serveRaw({ at: port })
      })
    )

    it.live(`rank 1 ${signal}: with nobody there it ends at once`, () =>
      Effect.gen(function* () {
        const { child, port } = yield* serving(60_000)
        const last = yield* connectRaw(port)
        yield* last.send("3\ngo\n")
        yield* last.awaitEnd
        assert.strictEqual(last.text, "ready\nworking\nxxx")
        process.kill(child.child.pid!, signal)
        assert.strictEqual(yield* eventually("the program ends", () => child.exit, 5000), interrupted)
        yield* serveRaw({ at: port })
      })
    )
  }
})
