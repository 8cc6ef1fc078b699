/** What `Wiretap.layerTranscript` writes is what `TestPeer.fromTranscript` reads. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, Wiretap } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as TestPeer from "effect-byte-streams/testing/TestPeer"
import { Effect, Exit, Fiber, Layer } from "effect"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { memoryFiles } from "../support/memoryFiles.ts"
import { forAll } from "../support/property.ts"
import { dialogs, type Said } from "../support/transcripts.ts"

/** One side of a dialog; `mine` is what it says. */
const follow = (dialog: ReadonlyArray<Said>, mine: Said["by"], { reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    for (const said of dialog) {
      if (said.by === mine) yield* writer.write(said.bytes)
      else assert.deepStrictEqual(yield* reader.readExactly(said.bytes.length), said.bytes)
    }
    yield* writer.close
  })

/** The files, the oldest one first, that a transcript of the left one of two ends fills. */
const recorded = (dialog: ReadonlyArray<Said>, options: Partial<Wiretap.TranscriptOptions>) =>
  Effect.gen(function* () {
    const disk = memoryFiles()
    let asked = 0
    const wiretap = Wiretap.layerTranscript({ path: "t", maxFiles: 1000, filter: () => ++asked === 1, ...options })
    yield* Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const other = yield* start(follow(dialog, "in", right))
      yield* follow(dialog, "out", left)
      yield* Fiber.join(other)
    }).pipe(Effect.scoped, Effect.provide(Layer.provide(wiretap, disk.layer)))
    const age = (name: string) => Number(name.split(".")[1] ?? 0)
    return [...disk.files].sort(([a], [b]) => age(b) - age(a)).map(([, content]) => text(content))
  })

const secret = bytes("PASS swordfish\n")

describe("a connection that was recorded", () => {
  it.effect("is replayed against the same program, from any number of files, with a secret that is not in them", () =>
    forAll(
      fc.record({ dialog: dialogs, maxBytes: fc.integer({ min: 1, max: 1000 }) }),
      ({ dialog, maxBytes }) =>
        Effect.gen(function* () {
          const whole: ReadonlyArray<Said> = [{ by: "out", bytes: secret }, ...dialog]
          const files = yield* recorded(whole, { maxBytes, mask: [Wiretap.maskAfter({ prefix: "PASS " })] })
          assert.notInclude(files.join(""), "swordfish")
          for (const role of ["peer", "self"] as const) {
            const script = yield* TestPeer.fromTranscript(files, { role })
            const { left, right } = yield* TestNetwork.pair()
            // who plays the program that was recorded does not know the secret
            const first = role === "self" ? bytes("PASS *********\n") : secret
            const now: ReadonlyArray<Said> = [{ by: "out", bytes: first }, ...dialog]
            yield* Effect.forkScoped(follow(now, role === "self" ? "in" : "out", left))
            const exit = yield* Effect.exit(TestPeer.run(script, right))
            assert.isTrue(Exit.isSuccess(exit), String(exit))
          }
        }),
      { numRuns: 50 }
    )
  )
})
