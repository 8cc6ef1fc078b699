/** `skip`: all or nothing up to the limit, and nothing held above it. */
import { assert, describe, it } from "@effect/vitest"
import { StreamError } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import * as fc from "fast-check"
import { pattern, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { handFed, held } from "../support/handFed.ts"
import { forAll } from "../support/property.ts"

const limit = 100

describe("skip of more than the limit", () => {
  it.effect("holds no more than comes at a time, and never the transport", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit })
      const count = 4 * 1024 ** 3
      const skipping = yield* start(reader.skip(count))
      const piece = new Uint8Array(64 * 1024 ** 2)
      for (let sent = 0; sent < count; sent += piece.length) {
        assert.isTrue(waits(skipping))
        feed(piece)
        assert.strictEqual(yield* reader.buffered, 0)
      }
      yield* Fiber.join(skipping)
      assert.notInclude(flow, "pause")
      feed("next")
      assert.strictEqual(text(yield* reader.readExactly(4)), "next")
    })
  )

  it.effect("an interruption leaves the stream among the bytes that were to be dropped, and loses no other", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit })
      const skipping = yield* start(reader.skip(limit + 1))
      feed("a".repeat(limit))
      yield* Fiber.interrupt(skipping)
      assert.strictEqual(yield* held(reader), "")
      feed("ab")
      assert.strictEqual(text(yield* reader.readExactly(2)), "ab")
    })
  )

  it.effect("the end of the stream is IncompleteRead, with how many were asked for", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit })
      feed("a".repeat(limit))
      end()
      const error = yield* Effect.flip(reader.skip(limit + 1))
      assert.instanceOf(error, StreamError.IncompleteRead)
      assert.strictEqual(error.expected, limit + 1)
      assert.strictEqual(error.partial.length, 0)
    })
  )

  it.effect("may be run again: it counts anew", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit })
      const skip = reader.skip(limit + 1)
      feed("a".repeat(limit + 1) + "b".repeat(limit + 1) + "c")
      yield* skip
      yield* skip
      assert.strictEqual(yield* held(reader), "c")
    })
  )

  it.effect("whatever the chunks: what follows is what was sent behind it", () =>
    forAll(
      fc.tuple(fc.integer({ min: 0, max: 3 * limit }), fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 20 })),
      ([count, sizes]) =>
        Effect.gen(function* () {
          const all = pattern(sizes.reduce((sum, size) => sum + size, 0) + count + 10)
          const { end, feed, reader } = yield* handFed({ limit })
          const reading = yield* start(Effect.andThen(reader.skip(count), reader.readAll({ maxBytes: "unbounded" })))
          let at = 0
          for (const size of sizes) feed(all.slice(at, (at += size)))
          feed(all.slice(at))
          end()
          assert.deepStrictEqual(yield* Fiber.join(reading), all.slice(count))
        })
    )
  )
})

describe("skip of the limit or less", () => {
  it.effect("interrupted it has dropped nothing", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit })
      const skipping = yield* start(reader.skip(limit))
      feed("a".repeat(limit - 1))
      yield* Fiber.interrupt(skipping)
      assert.strictEqual(yield* reader.buffered, limit - 1)
    })
  )
})
