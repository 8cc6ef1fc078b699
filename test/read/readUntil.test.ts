/** Section 2 of the asyncio semantics, row by row: reading up to a separator. */
import { assert, describe, it } from "@effect/vitest"
import { type StreamReader } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { bytes, text } from "../support/bytes.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import {
  busy,
  handFed,
  held,
  incomplete,
  lost,
  outcome,
  overrunFound,
  overrunNotFound,
  value
} from "../support/handFed.ts"

/** Every text of up to `length` of the letters, shortest first. */
const textsOf = (letters: ReadonlyArray<string>, length: number): Array<string> => {
  const all = [""]
  for (let at = 0; (all[at]?.length ?? length) < length; at++) {
    for (const letter of letters) all.push(all[at]! + letter)
  }
  return all
}

/** Reads `input`, fed `size` bytes at a time, under a limit of 1, and skips what an overrun says is safe to skip. */
const readAndSkip = Effect.fnUntraced(function* (separator: string, input: string, size: number) {
  const { end, feed, reader } = yield* handFed({ limit: 1 })
  const chunks = input.match(new RegExp(`.{1,${size}}`, "g")) ?? []
  /** Where the items end that were read, and all the bytes that were read or skipped. */
  const ends: Array<number> = []
  let seen = ""
  while (true) {
    const reading = yield* start(reader.readUntil(separator))
    while (waits(reading)) {
      const chunk = chunks.shift()
      if (chunk === undefined) end()
      else feed(chunk)
    }
    const came = yield* outcome(Fiber.join(reading))
    if ("value" in came) {
      seen += String(came.value)
      ends.push(seen.length)
    } else if (came.error === "LimitOverrun") {
      seen += text(yield* reader.readExactly(came["consumed"] as number))
    } else {
      return { ends, seen: seen + String(came["partial"]) }
    }
  }
})

describe("section 2: readuntil", () => {
  it.effect("row 2.1: an empty separator is refused before a loss is looked at", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      lose()
      assert.match(String(yield* defectOf(reader.readUntil(""))), /readUntil: separator must be at least one byte long/)
      assert.match(
        String(yield* defectOf(reader.readUntil(new Uint8Array(0)))),
        /readUntil: separator must be at least one byte long/
      )
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), lost("readUntil"))
    })
  )

  it.effect("row 2.1: an empty separator is refused before another read that waits is looked at", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      yield* start(reader.read(1))
      yield* defectOf(reader.readUntil(""))
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), busy("readUntil", "read"))
    })
  )

  it.effect("row 2.2: several separators are an array; an empty one is refused", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one\rtwo\n")
      assert.match(
        String(yield* defectOf(reader.readUntil([]))),
        /readUntil: separators must contain at least one element, got \[\]/
      )
      assert.strictEqual(text(yield* reader.readUntil(["\r", "\n"])), "one\r")
      assert.strictEqual(text(yield* reader.readUntil([bytes("\r"), "\n"])), "two\n")
    })
  )

  it.effect("row 2.2: an empty separator among several is refused", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one\n")
      for (const separators of [[""], ["", "\n"], ["\n", ""], ["\n", new Uint8Array(0)]]) {
        assert.match(
          String(yield* defectOf(reader.readUntil(separators))),
          /readUntil: separator must be at least one byte long/
        )
      }
      assert.strictEqual(yield* held(reader), "one\n")
    })
  )

  for (const [name, separators] of [
    ["a set", new Set(["\n"])],
    ["a generator", ["\n"].values()],
    ["a map", new Map([["\n", 1]])],
    ["an array of arrays", [["\n"]]],
    ["an array of arrays among others", ["\r", ["\n"]]],
    ["a buffer that is not bytes", new Uint16Array([10])]
  ] as const) {
    it.effect(`row 2.2: ${name} is not accepted as separators`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        feed("one\n")
        assert.match(String(yield* defectOf(reader.readUntil(separators as never))), /readUntil: separator must be/)
        assert.strictEqual(yield* held(reader), "one\n")
      })
    )
  }

  it.effect("row 2.2: one separator in an array is that separator", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one\r\ntwo")
      assert.strictEqual(text(yield* reader.readUntil(["\r\n"])), "one\r\n")
    })
  )

  it.effect("row 2.3: of several separators the match that ends first counts, though another begins first", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("ABCDEFG")
      assert.strictEqual(text(yield* reader.readUntil(["DEF", "BCDE"])), "ABCDE")
      assert.strictEqual(yield* held(reader), "FG")
    })
  )

  it.effect("row 2.3: the order in which the separators are given does not matter", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      for (const separators of [
        ["DEF", "BCDE", "G"],
        ["G", "BCDE", "DEF"],
        ["BCDE", "G", "DEF"]
      ]) {
        feed("ABCDEFG")
        assert.strictEqual(text(yield* reader.readUntil(separators)), "ABCDE")
        yield* reader.skip(2)
      }
    })
  )

  it.effect(
    "row 2.3: on equal ends the shortest separator is counted: more of the item is held against the limit",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 3 })
        feed("AAAAB")
        for (const separators of [
          ["B", "AAAAB"],
          ["AAAAB", "B"]
        ]) {
          assert.deepStrictEqual(yield* outcome(reader.readUntil(separators)), overrunFound("readUntil", 4, 3))
        }
        assert.deepStrictEqual(yield* outcome(reader.readUntil("AAAAB")), value("AAAAB"))
      })
  )

  it.effect("row 2.3: the start of the match is held against the limit, not its end", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("abcLONG SEPARATOR", "abcdLONG SEPARATOR")
      const separators = ["LONG SEPARATOR", "\n"]
      assert.deepStrictEqual(yield* outcome(reader.readUntil(separators)), value("abcLONG SEPARATOR"))
      assert.deepStrictEqual(yield* outcome(reader.readUntil(separators)), overrunFound("readUntil", 4, 3))
    })
  )

  it.effect("row 2.3: a separator that the stream has yet to complete does not hold back one that is complete", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one\r")
      // "\r\n" may be on its way, but "\r" ends first anyway
      assert.strictEqual(text(yield* reader.readUntil(["\r\n", "\r"])), "one\r")
    })
  )

  it.effect("row 2.4: the result includes the separator, and what follows stays", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("lineAAAxxx")
      assert.strictEqual(text(yield* reader.readUntil("AAA")), "lineAAA")
      assert.strictEqual(yield* held(reader), "xxx")
    })
  )

  for (const separator of ["\n", "\r\n", "<separator>"]) {
    it.effect(`row 2.5: exactly the limit before ${JSON.stringify(separator)} is fine, one byte more is not`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 4 })
        feed(`1234${separator}`, `12345${separator}`)
        assert.deepStrictEqual(yield* outcome(reader.readUntil(separator)), value(`1234${separator}`))
        assert.deepStrictEqual(yield* outcome(reader.readUntil(separator)), overrunFound("readUntil", 5, 4))
      })
    )
  }

  it.effect("row 2.5: a limit of one call stands in for the reader's, below it or above it", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 4 })
      feed("12345678\n")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n", { limit: 7 })), overrunFound("readUntil", 8, 7))
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n", { limit: 8 })), value("12345678\n"))
      feed("12\n")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n", { limit: 1 })), overrunFound("readUntil", 2, 1))
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), value("12\n"))
    })
  )

  it.effect(
    "row 2.6: not found: consumed is what cannot be part of a separator any more; the buffer is untouched",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 3 })
        feed("some dataAA")
        assert.deepStrictEqual(yield* outcome(reader.readUntil("AAA")), overrunNotFound("readUntil", 9, 3))
        assert.strictEqual(yield* held(reader), "some dataAA")
      })
  )

  it.effect("row 2.6: found: consumed is what comes before the separator; the buffer is untouched", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("some dataAA", "A")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("AAA")), overrunFound("readUntil", 9, 3))
      assert.strictEqual(yield* held(reader), "some dataAAA")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("AAA")), overrunFound("readUntil", 9, 3))
    })
  )

  it.effect(
    "row 2.6: not found, several separators: the longest of them bounds what is safe, and never below nothing",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 3 })
        const separators = ["A", "long sep"]
        const waiting = yield* start(reader.readUntil(separators))
        feed("data", " data", "x")
        assert.isTrue(waits(waiting))
        // the eleventh byte: 11 + 1 - 8 = 4 bytes are certain
        feed("y")
        assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunNotFound("readUntil", 4, 3))
        assert.strictEqual(yield* held(reader), "data dataxy")
      })
  )

  it.effect("row 2.7: consumed bytes can be dropped safely, and the separator then comes as an item of its own", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("abcdefgh")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("XY")), overrunNotFound("readUntil", 7, 3))
      feed("XY")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("XY")), overrunFound("readUntil", 8, 3))
      assert.strictEqual(text(yield* reader.readExactly(8)), "abcdefgh")
      assert.strictEqual(text(yield* reader.readUntil("XY")), "XY")
    })
  )

  it.effect("row 2.7: the law: dropping consumed never cuts a separator in two, for any text and any chunks", () =>
    Effect.gen(function* () {
      for (const separator of ["X", "XY", "XX", "XYX"]) {
        for (const input of textsOf(["a", "X", "Y"], 5)) {
          for (const size of [1, 2, 5]) {
            const { ends, seen } = yield* Effect.scoped(readAndSkip(separator, input, size))
            const expected: Array<number> = []
            for (let at = input.indexOf(separator); at !== -1; at = input.indexOf(separator, at)) {
              at += separator.length
              expected.push(at)
            }
            assert.strictEqual(seen, input)
            assert.deepStrictEqual(ends, expected, `${separator} in ${input}, ${size} at a time`)
          }
        }
      }
    })
  )

  it.effect("row 2.8: the recovery by hand: skip what is consumed, again and again, up to the separator itself", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      const items: Array<string> = []
      for (const chunk of ["0123456789", "0123456789\r", "\n", "ok\r\n"]) {
        feed(chunk)
        while (true) {
          if (yield* Effect.map(held(reader), (buffered) => buffered.length < 2)) break
          const came = yield* outcome(reader.readUntil("\r\n"))
          if ("value" in came) items.push(String(came.value))
          else yield* reader.skip(came["consumed"] as number)
        }
      }
      assert.deepStrictEqual(items, ["\r\n", "ok\r\n"])
    })
  )

  it.effect(
    "row 2.8: the safe way: discardUntil drops the rest of the item, however it arrives, and is in step again",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed({ limit: 3 })
        feed("0123456789")
        assert.deepStrictEqual(yield* outcome(reader.readUntil("\r\n")), overrunNotFound("readUntil", 9, 3))
        const discarding = yield* start(reader.discardUntil("\r\n"))
        feed("0123456789\r", "\r", "still\n", "still\r")
        assert.isTrue(waits(discarding))
        feed("\nok\r\n")
        yield* Fiber.join(discarding)
        assert.strictEqual(text(yield* reader.readUntil("\r\n")), "ok\r\n")
      })
  )

  it.effect("row 2.8: discardUntil does not cut a separator of which a part is there when it begins", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("0123456789\r")
      const discarding = yield* start(reader.discardUntil("\r\n"))
      assert.isTrue(waits(discarding))
      feed("\nok\r\n")
      yield* Fiber.join(discarding)
      assert.strictEqual(text(yield* reader.readUntil("\r\n")), "ok\r\n")
    })
  )

  it.effect(
    "row 2.8: discardUntil holds no more than a separator's worth, so that nothing is ever too long for it",
    () =>
      Effect.gen(function* () {
        const { feed, flow, reader } = yield* handFed({ limit: 3 })
        const discarding = yield* start(reader.discardUntil("\r\n"))
        for (let i = 0; i < 1000; i++) {
          feed("0123456789\r")
          assert.isAtMost(yield* reader.buffered, 1)
        }
        assert.deepStrictEqual(flow, [])
        feed("\n")
        yield* Fiber.join(discarding)
        assert.strictEqual(yield* reader.buffered, 0)
      })
  )

  it.effect("row 2.8: discardUntil takes several separators, as readUntil", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("ABCDEFG")
      yield* reader.discardUntil(["DEF", "BCDE"])
      assert.strictEqual(yield* held(reader), "FG")
    })
  )

  it.effect("row 2.8: discardUntil at the end of the stream is IncompleteRead, as readUntil", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("0123456789")
      end()
      assert.strictEqual((yield* Effect.flip(reader.discardUntil("\r\n")))._tag, "IncompleteRead")
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 2.9: the check waits for as many bytes as might make a separator at the limit", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      const waiting = yield* start(reader.readUntil("XY"))
      feed("abcX")
      assert.isTrue(waits(waiting))
      feed("Y")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "abcXY")
    })
  )

  it.effect("row 2.10: over the limit and at the end is LimitOverrun", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("abcdef")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), overrunNotFound("readUntil", 6, 3))
      assert.strictEqual(yield* held(reader), "abcdef")
    })
  )

  it.effect("row 2.10: over the limit and lost is LimitOverrun too", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed({ limit: 3 })
      feed("abcdef")
      lose()
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), overrunNotFound("readUntil", 6, 3))
      assert.strictEqual(yield* held(reader), "abcdef")
    })
  )

  it.effect("row 2.10: a buffer shorter than the separator is IncompleteRead, even if longer than the limit", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("abcdef")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readUntil("0123456789")), incomplete("readUntil", "abcdef"))
    })
  )

  it.effect("row 2.11: the end first: IncompleteRead with all that was there, and the buffer is empty", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("some da", "taAA")
      end()
      assert.isFalse(yield* reader.atEof)
      const error = yield* Effect.flip(reader.readUntil("AAA"))
      assert.strictEqual(error._tag, "IncompleteRead")
      assert.match(error.message, /^readUntil: the stream ended after 11 bytes without the separator$/)
      assert.deepStrictEqual(yield* outcome(Effect.fail(error)), incomplete("readUntil", "some dataAA"))
      assert.strictEqual(yield* reader.buffered, 0)
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 2.11: once more at the end: IncompleteRead with nothing in it, every time", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("rest")
      end()
      yield* Effect.flip(reader.readUntil("\n"))
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), incomplete("readUntil", ""))
      }
    })
  )

  it.effect("row 2.11: a readUntil that waits meets the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readUntil("\n"))
      feed("rest")
      end()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), incomplete("readUntil", "rest"))
    })
  )

  it.effect("row 2.12: which overrun it is depends on what has arrived, as in CPython", () =>
    Effect.gen(function* () {
      const whole = yield* handFed({ limit: 3 })
      whole.feed("abcdefghXY")
      assert.deepStrictEqual(yield* outcome(whole.reader.readUntil("XY")), overrunFound("readUntil", 8, 3))
      const parts = yield* handFed({ limit: 3 })
      const waiting = yield* start(parts.reader.readUntil("XY"))
      parts.feed("abcdef", "ghXY")
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunNotFound("readUntil", 5, 3))
    })
  )

  it.effect("row 2.12: an item within the limit does not depend on it", () =>
    Effect.gen(function* () {
      for (const chunks of [
        ["abcXYrest"],
        ["abcX", "Yrest"],
        ["a", "b", "c", "X", "Y", "rest"],
        ["", "abc", "XYrest"]
      ]) {
        const { feed, reader } = yield* handFed({ limit: 3 })
        const waiting = yield* start(reader.readUntil("XY"))
        feed(...chunks)
        assert.strictEqual(text(yield* Fiber.join(waiting)), "abcXY")
        assert.strictEqual(yield* held(reader), "rest")
      }
    })
  )

  const takers: ReadonlyArray<
    readonly [string, (reader: StreamReader.StreamReader) => Effect.Effect<unknown, unknown>]
  > = [
    ["read", (reader) => reader.read(2)],
    ["skip", (reader) => reader.skip(2)],
    ["readLine", (reader) => reader.readLine],
    ["pull", (reader) => reader.pull]
  ]
  for (const [name, take] of takers) {
    it.effect(`row 2.13: ${name} cannot take bytes from under a readUntil that waits: no separator is missed`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        const waiting = yield* start(reader.readUntil("XY"))
        feed("abc\nX")
        assert.deepStrictEqual(yield* outcome(take(reader)), busy(name, "readUntil"))
        feed("Yrest")
        assert.strictEqual(text(yield* Fiber.join(waiting)), "abc\nXY")
        assert.strictEqual(yield* held(reader), "rest")
      })
    )
  }
})
