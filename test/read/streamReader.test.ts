/**
 * What CPython's own suite covers of `StreamReader` (`test_asyncio/test_streams.py`, 3.13): feeding, `read`, `readline`,
 * `readuntil`, `readexactly`, exceptions, and what a reader shows of itself. Each test is named after the case it
 * corresponds to; where this library differs on purpose, the name says so.
 */
import { assert, describe, it } from "@effect/vitest"
import { StreamError, StreamReader } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { bytes, text } from "../support/bytes.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import {
  handFed,
  held,
  incomplete,
  lost,
  none,
  outcome,
  overrunFound,
  overrunNotFound,
  value
} from "../support/handFed.ts"

const lines = "line1\nline2\nline3\n"

describe("feed and read", () => {
  it.effect("CPython feed_empty_data", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("")
      assert.strictEqual(yield* reader.buffered, 0)
      assert.isFalse(yield* reader.atEof)
    })
  )

  it.effect("CPython feed_nonempty_data", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed(lines)
      assert.strictEqual(yield* reader.buffered, lines.length)
      assert.strictEqual(yield* held(reader), lines)
    })
  )

  it.effect("CPython read_zero", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed(lines)
      assert.strictEqual((yield* reader.read(0)).length, 0)
      assert.strictEqual(yield* held(reader), lines)
    })
  )

  it.effect("CPython read", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const waiting = yield* start(reader.read(30))
      assert.isTrue(waits(waiting))
      feed(lines)
      assert.strictEqual(text(yield* Fiber.join(waiting)), lines)
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython read_line_breaks", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("line1", "line2")
      assert.strictEqual(text(yield* reader.read(5)), "line1")
      assert.strictEqual(yield* held(reader), "line2")
    })
  )

  it.effect("CPython read_eof", () =>
    Effect.gen(function* () {
      const { end, reader } = yield* handFed()
      const waiting = yield* start(reader.read(1024))
      assert.isTrue(waits(waiting))
      end()
      assert.strictEqual((yield* Fiber.join(waiting)).length, 0)
    })
  )

  it.effect("CPython read_until_eof is readAll", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readAll({ maxBytes: "unbounded" }))
      feed("chunk1\n", "chunk2")
      assert.isTrue(waits(waiting))
      end()
      assert.strictEqual(text(yield* Fiber.join(waiting)), "chunk1\nchunk2")
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython read_exception, where what was buffered before comes first", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("line\n")
      assert.strictEqual(text(yield* reader.read(2)), "li")
      lose()
      assert.deepStrictEqual(yield* outcome(reader.read(2)), value("ne"))
      assert.deepStrictEqual(yield* outcome(reader.read(2)), value("\n"))
      assert.deepStrictEqual(yield* outcome(reader.read(2)), lost("read"))
    })
  )

  it.effect("CPython invalid_limit", () =>
    Effect.gen(function* () {
      for (const limit of [0, -1]) assert.match(String(yield* defectOf(StreamReader.make({ limit }))), /limit/)
    })
  )

  it.effect("CPython read_limit: it does not bound read", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("chunk")
      assert.strictEqual(text(yield* reader.read(5)), "chunk")
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython at_eof", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      assert.isFalse(yield* reader.atEof)
      feed("some data\n")
      assert.isFalse(yield* reader.atEof)
      yield* reader.readLine
      assert.isFalse(yield* reader.atEof)
      feed("some data\n")
      end()
      yield* reader.readLine
      assert.isTrue(yield* reader.atEof)
    })
  )
})

describe("readline", () => {
  it.effect("CPython readline", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("chunk1 ")
      const waiting = yield* start(reader.readLine)
      feed("chunk2 ", "chunk3 ")
      assert.isTrue(waits(waiting))
      feed("\n chunk4")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "chunk1 chunk2 chunk3 \n")
      assert.strictEqual(yield* held(reader), " chunk4")
    })
  )

  it.effect("CPython readline_limit_with_existing_data, with the end of the line there", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("li", "ne1\nline2\n")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 5, 3))
      assert.strictEqual(yield* held(reader), "line2\n")
    })
  )

  it.effect("CPython readline_limit_with_existing_data, without: the buffer is empty then", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("li", "ne1", "li")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunNotFound("readLine", 7, 3))
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  // CPython feeds all chunks in one go before the reading task runs, so that it meets them at once
  it.effect("CPython readline_limit, one line in several chunks", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 7 })
      feed("chunk1", "chunk2", "chunk3\n")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 18, 7))
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython readline_limit, fed to a readline that waits: the line fails once, and all of it is gone", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 7 })
      const waiting = yield* start(reader.readLine)
      feed("chunk1")
      assert.isTrue(waits(waiting))
      feed("chunk2", "chunk3\n")
      end()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunNotFound("readLine", 12, 7))
      assert.strictEqual(yield* reader.buffered, 0)
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("CPython readline_limit, with another line behind", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 7 })
      const waiting = yield* start(reader.readLine)
      feed("chunk1", "chunk2\n", "chunk3\n")
      end()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunFound("readLine", 12, 7))
      assert.strictEqual(yield* held(reader), "chunk3\n")
    })
  )

  it.effect("CPython readline_limit is strict", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 7 })
      feed("1234567\n")
      assert.strictEqual(text(yield* reader.readLine), "1234567\n")
      assert.strictEqual(yield* reader.buffered, 0)
      feed("12345678\n")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 8, 7))
      assert.strictEqual(yield* reader.buffered, 0)
      feed("12345678")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunNotFound("readLine", 8, 7))
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython readline_nolimit_nowait", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed(lines.slice(0, 6), lines.slice(6))
      assert.strictEqual(text(yield* reader.readLine), "line1\n")
      assert.strictEqual(yield* held(reader), "line2\nline3\n")
    })
  )

  it.effect("CPython readline_eof", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("some data")
      end()
      assert.strictEqual(text(yield* reader.readLine), "some data")
    })
  )

  it.effect("CPython readline_empty_eof", () =>
    Effect.gen(function* () {
      const { end, reader } = yield* handFed()
      end()
      assert.strictEqual((yield* reader.readLine).length, 0)
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), none)
    })
  )

  it.effect("CPython readline_read_byte_count", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed(lines)
      yield* reader.readLine
      assert.strictEqual(text(yield* reader.read(7)), "line2\nl")
      assert.strictEqual(yield* held(reader), "ine3\n")
    })
  )

  it.effect("CPython readline_exception", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("line\n")
      assert.strictEqual(text(yield* reader.readLine), "line\n")
      lose()
      assert.deepStrictEqual(yield* outcome(reader.readLine), lost("readLine"))
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )
})

describe("readuntil", () => {
  it.effect("CPython readuntil_separator", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      assert.match(String(yield* defectOf(reader.readUntil(""))), /separator must be at least one byte/)
      assert.match(String(yield* defectOf(reader.readUntil([""]))), /separator must be at least one byte/)
      assert.match(String(yield* defectOf(reader.readUntil([]))), /separators must contain at least one element/)
    })
  )

  it.effect("CPython readuntil_multi_chunks", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      for (const separator of ["AAA", bytes("AAA"), ["AAA"]]) {
        feed("lineAAA")
        assert.strictEqual(text(yield* reader.readUntil(separator)), "lineAAA")
        assert.strictEqual(yield* reader.buffered, 0)
      }
      feed("lineAAAxxx")
      assert.strictEqual(text(yield* reader.readUntil("AAA")), "lineAAA")
      assert.strictEqual(yield* held(reader), "xxx")
    })
  )

  for (const chunks of [["QWEaa", "XYaa", "a"], ["QWEaa", "XYa", "aa"], ["aaa"], ["Xaaa"], ["XXX", "a", "a", "a"]]) {
    it.effect(`CPython readuntil_multi_chunks_1: ${chunks.join(" ")}`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        // all of it at once, and chunk by chunk
        feed(...chunks)
        assert.strictEqual(text(yield* reader.readUntil("aaa")), chunks.join(""))
        assert.strictEqual(yield* reader.buffered, 0)
        const waiting = yield* start(reader.readUntil("aaa"))
        feed(...chunks)
        assert.strictEqual(text(yield* Fiber.join(waiting)), chunks.join(""))
        assert.strictEqual(yield* reader.buffered, 0)
      })
    )
  }

  it.effect("CPython readuntil_eof", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("some dataAA")
      end()
      const error = yield* Effect.flip(reader.readUntil("AAA"))
      assert.instanceOf(error, StreamError.IncompleteRead)
      assert.deepStrictEqual(yield* outcome(Effect.fail(error)), incomplete("readUntil", "some dataAA"))
      assert.isUndefined(error.expected)
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython readuntil_limit_found_sep", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("some dataAA")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("AAA")), overrunNotFound("readUntil", 9, 3))
      assert.strictEqual(yield* held(reader), "some dataAA")
      feed("A")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("AAA")), overrunFound("readUntil", 9, 3))
      assert.strictEqual(yield* held(reader), "some dataAAA")
    })
  )

  it.effect("CPython readuntil_multi_separator", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("line 1\nline 2\r")
      assert.strictEqual(text(yield* reader.readUntil(["\r", "\n"])), "line 1\n")
      assert.strictEqual(text(yield* reader.readUntil(["\r", "\n"])), "line 2\r")
      assert.strictEqual(yield* reader.buffered, 0)
      feed("ABCDEFG")
      assert.strictEqual(text(yield* reader.readUntil(["DEF", "BCDE"])), "ABCDE")
      assert.strictEqual(yield* held(reader), "FG")
    })
  )

  it.effect("CPython readuntil_multi_separator_limit", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("some dataA")
      assert.deepStrictEqual(yield* outcome(reader.readUntil(["A", "ome dataA"])), overrunFound("readUntil", 9, 3))
      assert.strictEqual(yield* held(reader), "some dataA")
    })
  )

  it.effect("CPython readuntil_multi_separator_negative_offset", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("data")
      const waiting = yield* start(reader.readUntil(["A", "long sep"]))
      feed("Z")
      assert.isTrue(waits(waiting))
      feed("Aaaa")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "dataZA")
      assert.strictEqual(yield* held(reader), "aaa")
    })
  )

  it.effect("CPython readuntil_bytearray: any bytes are a separator, and changing them later changes nothing", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("some data\r\n")
      assert.strictEqual(text(yield* reader.readUntil(Buffer.from("\r\n"))), "some data\r\n")
      assert.strictEqual(yield* reader.buffered, 0)
      const separator = bytes("\r\n")
      const until = reader.readUntil(separator)
      separator.fill(0)
      feed("some data\r\n")
      assert.strictEqual(text(yield* until), "some data\r\n")
    })
  )
})

describe("readexactly", () => {
  it.effect("CPython readexactly_zero_or_less", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed(lines)
      assert.strictEqual((yield* reader.readExactly(0)).length, 0)
      assert.strictEqual(yield* held(reader), lines)
      assert.match(String(yield* defectOf(reader.readExactly(-1))), /readExactly: count must be .*got -1$/)
      assert.strictEqual(yield* held(reader), lines)
    })
  )

  it.effect("CPython readexactly", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactly(2 * lines.length))
      feed(lines)
      assert.isTrue(waits(waiting))
      feed(lines, lines)
      assert.strictEqual(text(yield* Fiber.join(waiting)), lines + lines)
      assert.strictEqual(yield* held(reader), lines)
    })
  )

  it.effect("CPython readexactly_limit: it does not bound readexactly", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("chunk")
      assert.strictEqual(text(yield* reader.readExactly(5)), "chunk")
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython readexactly_eof", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactly(2 * lines.length))
      feed(lines)
      end()
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.deepStrictEqual(yield* outcome(Effect.fail(error)), incomplete("readExactly", lines, 36))
      assert.match(error.message, /18 of 36 bytes/)
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("CPython readexactly_exception, where what was buffered before comes first", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("line\n")
      assert.strictEqual(text(yield* reader.readExactly(2)), "li")
      lose()
      assert.strictEqual(text(yield* reader.readExactly(2)), "ne")
      assert.deepStrictEqual(yield* outcome(reader.readExactly(2)), lost("readExactly"))
    })
  )
})

describe("exceptions", () => {
  it.effect("CPython exception: a reader is fine until it is told otherwise", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      assert.notProperty(shown(reader), "lost")
      lose()
      assert.strictEqual(shown(reader)["lost"], "ConnectionLost")
    })
  )

  it.effect("CPython exception_waiter", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      const waiting = yield* start(reader.readLine)
      assert.isTrue(waits(waiting))
      lose()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), lost("readLine"))
    })
  )

  it.effect("CPython exception_cancel: a read that was interrupted before is not woken", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      const waiting = yield* start(reader.readLine)
      yield* Fiber.interrupt(waiting)
      assert.notProperty(shown(reader), "waiting")
      lose()
      assert.deepStrictEqual(yield* outcome(reader.readLine), lost("readLine"))
    })
  )
})

/** What a reader shows of itself, in logs and to `JSON.stringify`. */
const shown = (reader: StreamReader.StreamReader): Record<string, unknown> => JSON.parse(JSON.stringify(reader))

describe("repr", () => {
  const fresh = { _id: "StreamReader", buffered: 0, limit: 65536, eof: false, paused: false }

  it.effect("CPython __repr__", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      assert.deepStrictEqual(shown(reader), fresh)
    })
  )

  it.effect("CPython __repr__nondefault_limit", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed({ limit: 123 })
      assert.deepStrictEqual(shown(reader), { ...fresh, limit: 123 })
    })
  )

  it.effect("CPython __repr__eof", () =>
    Effect.gen(function* () {
      const { end, reader } = yield* handFed()
      end()
      assert.deepStrictEqual(shown(reader), { ...fresh, eof: true })
    })
  )

  it.effect("CPython __repr__data", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("da", "ta")
      assert.deepStrictEqual(shown(reader), { ...fresh, buffered: 4 })
    })
  )

  it.effect("CPython __repr__exception", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      lose()
      assert.deepStrictEqual(shown(reader), { ...fresh, lost: "ConnectionLost" })
    })
  )

  it.effect("CPython __repr__waiter", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readLine)
      assert.deepStrictEqual(shown(reader), { ...fresh, waiting: "readLine" })
      feed("\n")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(shown(reader), fresh)
    })
  )

  it.effect("CPython __repr__transport: whether it is paused", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("1234567")
      assert.deepStrictEqual(shown(reader), { ...fresh, buffered: 7, limit: 3, paused: true })
    })
  )

  it.effect("looking at a reader takes nothing from it, and wakes nobody", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactly(10))
      feed("abc")
      shown(reader)
      assert.isTrue(waits(waiting))
      end()
      shown(reader)
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), incomplete("readExactly", "abc", 10))
    })
  )
})
