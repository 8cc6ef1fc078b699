/** Section 4 of the asyncio semantics, row by row: reading what there is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { bytes, text } from "../support/bytes.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { handFed, held, lost, none, outcome, overrunNotFound, some, value } from "../support/handFed.ts"

describe("section 4: read", () => {
  it.effect("row 4.1: a loss comes first: reading nothing fails as well", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      lose()
      assert.deepStrictEqual(yield* outcome(reader.read(0)), lost("read"))
      assert.deepStrictEqual(yield* outcome(reader.readOption(0)), lost("readOption"))
      assert.deepStrictEqual(yield* outcome(reader.read(10)), lost("read"))
    })
  )

  it.effect("row 4.1: reading nothing waits for nothing otherwise, with bytes, without, and at the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      assert.deepStrictEqual(yield* outcome(reader.read(0)), value(""))
      feed("abc")
      assert.deepStrictEqual(yield* outcome(reader.read(0)), value(""))
      assert.strictEqual(yield* held(reader), "abc")
      yield* reader.read(3)
      end()
      assert.deepStrictEqual(yield* outcome(reader.read(0)), value(""))
    })
  )

  it.effect("row 4.2: a negative count is not the whole rest, as in CPython: it dies", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abc")
      end()
      for (const count of [-1, -2]) {
        assert.match(String(yield* defectOf(reader.read(count))), new RegExp(`read: maxBytes .*got ${count}$`))
      }
      assert.strictEqual(yield* held(reader), "abc")
    })
  )

  it.effect("row 4.2: the safe way: readAll reads to the end, and says how much that may be", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readAll({ maxBytes: 100 }))
      feed("chunk1\n", "chunk2")
      assert.isTrue(waits(waiting))
      end()
      assert.strictEqual(text(yield* Fiber.join(waiting)), "chunk1\nchunk2")
      assert.strictEqual((yield* reader.readAll({ maxBytes: 100 })).length, 0)
    })
  )

  it.effect("row 4.3: readAll that is interrupted loses nothing, where CPython loses what it had taken", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 4 })
      const waiting = yield* start(reader.readAll({ maxBytes: "unbounded" }))
      feed("one", "two", "three", "four")
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* held(reader), "onetwothreefour")
      feed("five")
      end()
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: "unbounded" })), "onetwothreefourfive")
    })
  )

  it.effect("row 4.3: readAll that meets a loss loses nothing: what came before can still be read", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed({ limit: 4 })
      const waiting = yield* start(reader.readAll({ maxBytes: "unbounded" }))
      feed("one", "two", "three")
      lose()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), lost("readAll"))
      assert.strictEqual(text(yield* reader.read(100)), "onetwothree")
      assert.deepStrictEqual(yield* outcome(reader.read(100)), lost("read"))
    })
  )

  it.effect("row 4.3: readAll that meets its bound loses nothing either", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readAll({ maxBytes: 5 }))
      feed("abc", "de")
      assert.isTrue(waits(waiting))
      feed("f")
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunNotFound("readAll", 5, 5))
      end()
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 6 })), "abcdef")
    })
  )

  it.effect("row 4.4: read waits only while there is nothing, and never to fill its count", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const waiting = yield* start(reader.read(100))
      assert.isTrue(waits(waiting))
      feed("ab")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "ab")
      feed("cd", "ef")
      assert.strictEqual(text(yield* reader.read(100)), "cdef")
      feed("ghi")
      assert.strictEqual(text(yield* reader.read(1)), "g")
      assert.strictEqual(text(yield* reader.read(2)), "hi")
    })
  )

  it.effect("row 4.4: read gives all there is up to its count, also what has arrived since the last read", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("abcd")
      assert.strictEqual(text(yield* reader.read(1)), "a")
      feed("efgh")
      assert.strictEqual(text(yield* reader.read(6)), "bcdefg")
      assert.strictEqual(yield* held(reader), "h")
    })
  )

  it.effect("row 4.5: after a clean end: empty, every time, at once", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("a")
      end()
      assert.strictEqual(text(yield* reader.read(10)), "a")
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* reader.read(10), new Uint8Array(0))
    })
  )

  it.effect("row 4.5: a read that waits meets the end", () =>
    Effect.gen(function* () {
      const { end, reader } = yield* handFed()
      const waiting = yield* start(reader.read(10))
      end()
      assert.strictEqual((yield* Fiber.join(waiting)).length, 0)
    })
  )

  it.effect("row 4.5: the safe way: readOption tells the end from no bytes asked for (rank 31)", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      assert.deepStrictEqual(yield* outcome(reader.readOption(0)), some(""))
      feed("ab")
      assert.deepStrictEqual(yield* outcome(reader.readOption(10)), some("ab"))
      const waiting = yield* start(reader.readOption(10))
      end()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), none)
      assert.deepStrictEqual(yield* outcome(reader.readOption(10)), none)
    })
  )

  it.effect("row 4.5: what a read gives is the caller's: it can be changed, and nothing else changes", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed(bytes("abcdef"))
      const first = yield* reader.read(3)
      first.fill(0)
      assert.strictEqual(text(yield* reader.read(3)), "def")
    })
  )
})
