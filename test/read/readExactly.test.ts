/** Section 5 of the asyncio semantics, row by row: reading an exact number of bytes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { text } from "../support/bytes.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { handFed, held, incomplete, lost, none, outcome, some, value } from "../support/handFed.ts"

describe("section 5: readexactly", () => {
  it.effect("row 5.1: a negative count dies before a loss is looked at", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      lose()
      assert.match(String(yield* defectOf(reader.readExactly(-1))), /readExactly: count .*got -1$/)
      assert.match(String(yield* defectOf(reader.readExactlyOption(-1))), /readExactlyOption: count .*got -1$/)
    })
  )

  it.effect("row 5.2: a loss comes before the answer to a count of 0", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      lose()
      assert.deepStrictEqual(yield* outcome(reader.readExactly(0)), lost("readExactly"))
      assert.deepStrictEqual(yield* outcome(reader.readExactlyOption(0)), lost("readExactlyOption"))
    })
  )

  it.effect("row 5.2: a count of 0 waits for nothing otherwise, with bytes, without, and at the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      assert.deepStrictEqual(yield* outcome(reader.readExactly(0)), value(""))
      feed("abc")
      assert.deepStrictEqual(yield* outcome(reader.readExactly(0)), value(""))
      assert.strictEqual(yield* held(reader), "abc")
      yield* reader.readExactly(3)
      end()
      assert.deepStrictEqual(yield* outcome(reader.readExactly(0)), value(""))
    })
  )

  it.effect(
    "row 5.3: the end first: IncompleteRead with what was there and what was asked for; the buffer is empty",
    () =>
      Effect.gen(function* () {
        const { end, feed, reader } = yield* handFed()
        feed("a", "bc")
        end()
        const error = yield* Effect.flip(reader.readExactly(5))
        assert.deepStrictEqual(yield* outcome(Effect.fail(error)), incomplete("readExactly", "abc", 5))
        assert.strictEqual(error.message, "readExactly: the stream ended after 3 of 5 bytes")
        assert.isTrue(yield* reader.atEof)
        for (let i = 0; i < 3; i++) {
          assert.deepStrictEqual(yield* outcome(reader.readExactly(5)), incomplete("readExactly", "", 5))
        }
      })
  )

  it.effect("row 5.3: a readExactly that waits meets the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactly(5))
      feed("abc", "d")
      assert.isTrue(waits(waiting))
      end()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), incomplete("readExactly", "abcd", 5))
    })
  )

  it.effect("row 5.3: as many bytes as asked for in front of the end are no less than that", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abcde")
      end()
      assert.strictEqual(text(yield* reader.readExactly(5)), "abcde")
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 5.3: bytes beyond the count stay", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactly(5))
      feed("abc", "defgh")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "abcde")
      assert.strictEqual(yield* held(reader), "fgh")
    })
  )

  it.effect("row 5.4: the end in front of the first byte is IncompleteRead too, as in CPython", () =>
    Effect.gen(function* () {
      const { end, reader } = yield* handFed()
      end()
      assert.deepStrictEqual(yield* outcome(reader.readExactly(5)), incomplete("readExactly", "", 5))
    })
  )

  it.effect("row 5.4: the safe way: readExactlyOption tells a clean end between messages from a cut one", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abcdefgh")
      assert.deepStrictEqual(yield* outcome(reader.readExactlyOption(5)), some("abcde"))
      end()
      assert.deepStrictEqual(yield* outcome(reader.readExactlyOption(5)), incomplete("readExactlyOption", "fgh", 5))
      assert.deepStrictEqual(yield* outcome(reader.readExactlyOption(5)), none)
      assert.deepStrictEqual(yield* outcome(reader.readExactlyOption(0)), some(""))
    })
  )

  it.effect("row 5.4: a readExactlyOption that waits meets the clean end", () =>
    Effect.gen(function* () {
      const { end, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactlyOption(5))
      end()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), none)
    })
  )

  it.effect("row 5.4: a loss is never a clean end", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactlyOption(5))
      lose()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), lost("readExactlyOption"))
    })
  )
})
