/** When an observer is told what a program's own operations cause: never later than the next of them. */
import { assert, describe, it } from "@effect/vitest"
import { Observer, Wiretap } from "effect-byte-streams"
import { Effect } from "effect"
import { text } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { memoryFiles } from "../support/memoryFiles.ts"
import { turns } from "../support/wait.ts"

describe("an observer", () => {
  it.live("is told of all but what the last operation caused, however long the program lets nobody else run", () =>
    Effect.gen(function* () {
      let told = 0
      const observing = Observer.layer({ onBytes: (_, direction, bytes) => void (told += bytes.length) })
      const { transport, writer } = yield* Effect.provide(fake(), observing)
      let most = 0
      const write = Effect.andThen(
        Effect.andThen(writer.write(new Uint8Array(1000)), writer.flush),
        Effect.sync(() => (most = Math.max(most, transport.sent.length - told)))
      )
      yield* Effect.andThen(write, Effect.andThen(write, Effect.andThen(write, write)))
      assert.isAtMost(most, 1000)
      yield* turns()
      assert.strictEqual(told, 4000)
    })
  )

  it.live("that writes a transcript has all of it, also where the connection goes on behind its layer", () =>
    Effect.gen(function* () {
      const disk = memoryFiles()
      const wiretap = Wiretap.layerTranscript({ path: "t" })
      yield* Effect.flatMap(fake(), ({ writer }) => Effect.andThen(writer.write("the last word"), writer.flush)).pipe(
        Effect.provide(wiretap),
        Effect.provide(disk.layer)
      )
      assert.include(text(disk.files.get("t")!), "the last word")
    })
  )
})
