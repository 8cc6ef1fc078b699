/** Section 3 of the asyncio semantics, row by row: lines, and going through all of them. */
import { assert, describe, it } from "@effect/vitest"
import { StreamReader } from "effect-byte-streams"
import { Effect, Fiber, Stream } from "effect"
import { text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import {
  flowTold,
  busy,
  handFed,
  held,
  none,
  outcome,
  overrunFound,
  overrunNotFound,
  some,
  value
} from "../support/handFed.ts"

describe("section 3: readline and iteration", () => {
  it.effect(
    "row 3.1: a line ends with a line feed only: a carriage return before it stays, and is no end by itself",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        feed("one\r\ntwo\rstill two\nthree\n\r\n\r")
        assert.strictEqual(text(yield* reader.readLine), "one\r\n")
        assert.strictEqual(text(yield* reader.readLine), "two\rstill two\n")
        assert.strictEqual(text(yield* reader.readLine), "three\n")
        assert.strictEqual(text(yield* reader.readLine), "\r\n")
        assert.strictEqual(yield* held(reader), "\r")
      })
  )

  it.effect("row 3.2: the end inside a line gives the part there is; after that, nothing, for ever", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("one\ntw", "o")
      end()
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      assert.strictEqual(text(yield* reader.readLine), "two")
      assert.isTrue(yield* reader.atEof)
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* reader.readLine).length, 0)
    })
  )

  it.effect("row 3.2: a readLine that waits meets the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readLine)
      feed("part")
      end()
      assert.strictEqual(text(yield* Fiber.join(waiting)), "part")
    })
  )

  it.effect("row 3.2: the safe way: readLineOption tells the end from a line, also from an empty one", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("\none\nlast")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), some("\n"))
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), some("one\n"))
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), some("last"))
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* outcome(reader.readLineOption), none)
    })
  )

  it.effect("row 3.3: an overlong line whose end is there goes with it, and the source is resumed", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 3 })
      feed("li", "ne1\nline2\n")
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 5, 3))
      assert.strictEqual(yield* held(reader), "line2\n")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 5, 3))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect("row 3.3: an overlong line whose end is not there clears the buffer, and the source is resumed", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 3 })
      feed("li", "ne1", "li")
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunNotFound("readLine", 7, 3))
      assert.strictEqual(yield* reader.buffered, 0)
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect("row 3.3: exactly the limit before the line feed is fine, one byte more is not", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 7 })
      feed("1234567\n")
      assert.deepStrictEqual(yield* outcome(reader.readLine), value("1234567\n"))
      feed("12345678\n")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 8, 7))
      const waiting = yield* start(reader.readLine)
      feed("1234567")
      assert.isTrue(waits(waiting))
      feed("8")
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunNotFound("readLine", 8, 7))
    })
  )

  it.effect("row 3.3: at the end of the stream the last line may be too long as well", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("1234")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunNotFound("readLine", 4, 3))
      assert.deepStrictEqual(yield* outcome(reader.readLine), value(""))
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 3.3: readLineOption fails of an overlong line, and goes on behind it", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("1234")
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), overrunNotFound("readLineOption", 4, 3))
      feed("5\nok\n12345\n")
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), some("ok\n"))
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), overrunFound("readLineOption", 5, 3))
      end()
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), none)
    })
  )

  it.effect("row 3.3: readLineWith a limit of its own, for this call only", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("123456\n", "123456\n", "12\n", "123\n")
      assert.deepStrictEqual(yield* outcome(reader.readLineWith({ limit: 6 })), value("123456\n"))
      assert.deepStrictEqual(yield* outcome(reader.readLineWith({ limit: 5 })), overrunFound("readLineWith", 6, 5))
      assert.deepStrictEqual(yield* outcome(reader.readLineWith({ limit: 1 })), overrunFound("readLineWith", 2, 1))
      assert.deepStrictEqual(yield* outcome(reader.readLine), value("123\n"))
    })
  )

  it.effect(
    "row 3.3: the safe way: readLineWith discard passes over overlong lines, whether their end is there or not",
    () =>
      Effect.gen(function* () {
        const { end, feed, reader } = yield* handFed({ limit: 3 })
        const next = reader.readLineWith({ onOverrun: "discard" })
        feed("12345\n1234\nok\n12345")
        assert.deepStrictEqual(yield* outcome(next), value("ok\n"))
        const waiting = yield* start(next)
        feed("6", "7\n", "123456\nyes\n", "1234")
        assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), value("yes\n"))
        end()
        assert.deepStrictEqual(yield* outcome(next), value(""))
      })
  )

  it.effect("row 3.3: discarding holds back nothing: an endless line costs no memory, and the source runs on", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 3 })
      const waiting = yield* start(reader.readLineWith({ onOverrun: "discard" }))
      for (let i = 0; i < 1000; i++) {
        feed("0123456789")
        assert.isAtMost(yield* reader.buffered, 10)
      }
      assert.notStrictEqual(flow.at(-1), "pause")
      feed("\nok\n")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "ok\n")
    })
  )

  it.effect("row 3.3: discarding a line after another costs no memory either, while nobody gets one", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      const waiting = yield* start(reader.readLineWith({ onOverrun: "discard" }))
      const frames = waiting as unknown as { readonly _stack: ReadonlyArray<unknown> }
      const before = frames._stack.length
      for (let i = 0; i < 1000; i++) feed("0123", "456789\n")
      // what the waiting fiber will have to undo or continue with
      assert.strictEqual(frames._stack.length, before)
      feed("ok\n")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "ok\n")
    })
  )

  it.effect("row 3.4: the tail of an overlong line never comes as the next line, where CPython returns it", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("123456")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunNotFound("readLine", 6, 3))
      feed("789\n", "ok\n")
      assert.strictEqual(text(yield* reader.readLine), "ok\n")
    })
  )

  for (const tail of [["789\nok\n"], ["789", "", "01234567890", "\nok\n"], ["\n", "ok\n"], ["\no", "k\n"]]) {
    it.effect(`row 3.4: whatever the chunks of its tail: ${JSON.stringify(tail)}`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 3 })
        feed("123456")
        yield* Effect.flip(reader.readLine)
        const waiting = yield* start(reader.readLine)
        feed(...tail)
        assert.strictEqual(text(yield* Fiber.join(waiting)), "ok\n")
      })
    )
  }

  const behind: ReadonlyArray<
    readonly [string, (reader: StreamReader.StreamReader) => Effect.Effect<unknown, unknown>]
  > = [
    ["read", (reader) => reader.read(3)],
    ["readExactly", (reader) => reader.readExactly(3)],
    ["readUntil", (reader) => reader.readUntil("\n")],
    ["peek", (reader) => reader.peek(3)],
    ["pull", (reader) => reader.pull]
  ]
  for (const [name, read] of behind) {
    it.effect(`row 3.4: the next read of any kind starts behind the overlong line: ${name}`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 3 })
        feed("123456")
        yield* Effect.flip(reader.readLine)
        const waiting = yield* start(read(reader))
        feed("789")
        assert.isTrue(waits(waiting))
        assert.strictEqual(yield* reader.buffered, 0)
        feed("\nok\n")
        assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), value("ok\n"))
      })
    )
  }

  it.effect("row 3.4: the overlong line fails once, not once a chunk", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("123456")
      yield* Effect.flip(reader.readLine)
      feed("0123456789", "0123456789")
      const waiting = yield* start(reader.readLine)
      feed("0123456789")
      assert.isTrue(waits(waiting))
      end()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), value(""))
    })
  )

  it.effect("row 3.4: a line feed that is a part of what was cleared counts: nothing behind it is lost", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("123456\nok\n")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 6, 3))
      assert.strictEqual(yield* held(reader), "ok\n")
    })
  )

  it.effect("row 3.5: reading lines up to the empty one is CPython's iteration: a blank line does not stop it", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("one\n\n\nfour\nlast")
      end()
      const lines: Array<string> = []
      for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) lines.push(text(line))
      assert.deepStrictEqual(lines, ["one\n", "\n", "\n", "four\n", "last"])
    })
  )

  it.effect("row 3.5: the safe way: lines, where a blank line is an empty text and the end is the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("one\n\n\nfour\nlast")
      end()
      assert.deepStrictEqual(yield* Stream.runCollect(StreamReader.lines(reader)), ["one", "", "", "four", "last"])
    })
  )

  it.effect(
    "row 3.5: an overrun ends the iteration though the connection lives: the reader goes on behind the line",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 3 })
        feed("one\nmuch too long\ntwo\n")
        const seen: Array<string> = []
        const error = yield* Effect.flip(
          Stream.runForEach(StreamReader.lines(reader), (line) => Effect.sync(() => seen.push(line)))
        )
        assert.deepStrictEqual(seen, ["one"])
        assert.deepStrictEqual(yield* outcome(Effect.fail(error)), overrunFound("lines", 13, 3))
        assert.strictEqual(text(yield* reader.readLine), "two\n")
      })
  )

  it.effect("row 3.5: the safe way: lines that discards goes on by itself", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("one\nmuch too long\ntwo\n")
      end()
      assert.deepStrictEqual(yield* Stream.runCollect(StreamReader.lines(reader, { onOverrun: "discard" })), [
        "one",
        "two"
      ])
    })
  )

  it.effect("row 3.6: a second reader is told the name of the method it called, and of the one that waits", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      yield* start(reader.readLine)
      assert.deepStrictEqual(yield* outcome(reader.readLine), busy("readLine", "readLine"))
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), busy("readUntil", "readLine"))
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), busy("readLineOption", "readLine"))
      assert.deepStrictEqual(yield* outcome(reader.readLineWith({})), busy("readLineWith", "readLine"))
    })
  )
})
