/**
 * The reader as a stream, of lines and of chunks; and the operations that asyncio does not have: `pull`, `peek`, `skip`,
 * `unread`, and `readAll` with its bound.
 */
import { assert, describe, it } from "@effect/vitest"
import { StreamError, StreamReader } from "effect-byte-streams"
import { Effect, Fiber, Option, Stream } from "effect"
import { bytes, pattern, text } from "../support/bytes.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import {
  done,
  handFed,
  held,
  incomplete,
  lost,
  outcome,
  overrunFound,
  overrunNotFound,
  value
} from "../support/handFed.ts"

/** All lines of what arrives in these chunks. */
const linesOf = (
  chunks: ReadonlyArray<Uint8Array | string>,
  options?: Parameters<typeof StreamReader.lines>[1] & { readonly readerLimit?: number }
) =>
  Effect.gen(function* () {
    const { end, feed, reader } = yield* handFed(
      options?.readerLimit === undefined ? undefined : { limit: options.readerLimit }
    )
    const collecting = yield* start(Stream.runCollect(StreamReader.lines(reader, options)))
    feed(...chunks)
    end()
    return yield* Fiber.join(collecting)
  })

/** Bytes given as numbers. */
const raw = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)

const oneByOne = (all: Uint8Array): ReadonlyArray<Uint8Array> => Array.from(all, (byte) => raw(byte))

describe("lines", () => {
  const words = "naïve\n€uro\n日本語\n𝒳𝒴\nमस्ते\n👩‍👩‍👧‍👦\nend"

  it.effect("UTF-8 cut at every offset (rank 37)", () =>
    Effect.gen(function* () {
      const all = bytes(words)
      for (let cut = 0; cut <= all.length; cut++) {
        const lines = yield* linesOf([all.slice(0, cut), all.slice(cut)])
        assert.deepStrictEqual(lines, words.split("\n"), `cut at ${cut}`)
      }
    })
  )

  it.effect("UTF-8 cut at every offset, when the first part is read before the second arrives (rank 37)", () =>
    Effect.gen(function* () {
      const all = bytes(words)
      for (let cut = 0; cut <= all.length; cut++) {
        const { end, feed, reader } = yield* handFed()
        feed(all.slice(0, cut))
        const collecting = yield* start(Stream.runCollect(StreamReader.lines(reader)))
        assert.isTrue(waits(collecting))
        feed(all.slice(cut))
        end()
        assert.deepStrictEqual(yield* Fiber.join(collecting), words.split("\n"), `cut at ${cut}`)
      }
    })
  )

  it.effect("UTF-8 a byte at a time (rank 37)", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(oneByOne(bytes(words))), words.split("\n"))
    })
  )

  it.effect("CR LF and LF end a line; neither is in it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(["one\r\ntwo\nthree\r\n"]), ["one", "two", "three"])
      assert.deepStrictEqual(yield* linesOf(oneByOne(bytes("one\r\ntwo\nthree\r\n"))), ["one", "two", "three"])
    })
  )

  it.effect("only the one carriage return in front of the line feed goes with it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(["\r\none\r\r\n\rtwo\rthree\n"]), ["", "one\r", "\rtwo\rthree"])
    })
  )

  it.effect("a carriage return without a line feed behind it is a character, also as the last of all", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(["one\rstill one\ntwo\r"]), ["one\rstill one", "two\r"])
      assert.deepStrictEqual(yield* linesOf(["\r"]), ["\r"])
    })
  )

  it.effect("the last line may lack its end; a line feed at the very end begins no other", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(["one\ntwo"]), ["one", "two"])
      assert.deepStrictEqual(yield* linesOf(["one\ntwo\n"]), ["one", "two"])
      assert.deepStrictEqual(yield* linesOf(["\n"]), [""])
      assert.deepStrictEqual(yield* linesOf(["\n\n", "\n"]), ["", "", ""])
      assert.deepStrictEqual(yield* linesOf([]), [])
    })
  )

  it.effect("lines come as they are complete, all of a chunk at a time", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const seen: Array<ReadonlyArray<string>> = []
      const running = yield* start(
        Stream.runForEachArray(StreamReader.lines(reader), (lines) => Effect.sync(() => seen.push([...lines])))
      )
      feed("one\ntwo\nthr")
      assert.deepStrictEqual(seen, [["one", "two"]])
      feed("ee\n")
      assert.deepStrictEqual(seen, [["one", "two"], ["three"]])
      feed("four\n")
      end()
      yield* Fiber.join(running)
      assert.deepStrictEqual(seen, [["one", "two"], ["three"], ["four"]])
    })
  )

  it.effect("what does not make a line yet stays in the reader", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one\ntwo\nthr")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(StreamReader.lines(reader), 2)), ["one", "two"])
      assert.strictEqual(yield* held(reader), "thr")
      feed("ee\nrest")
      assert.strictEqual(text(yield* reader.readLine), "three\n")
      assert.strictEqual(yield* held(reader), "rest")
    })
  )

  it.effect("a line cut short by interruption stays in the reader", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const running = yield* start(Stream.runDrain(StreamReader.lines(reader)))
      feed("one\n", "tw")
      yield* Fiber.interrupt(running)
      feed("o\n")
      assert.strictEqual(text(yield* reader.readLine), "two\n")
    })
  )

  it.effect("a loss comes behind the lines that came before it; the part of a line stays to be read", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("one\ntwo\nthr")
      lose()
      const seen: Array<string> = []
      const error = yield* Effect.flip(
        Stream.runForEach(StreamReader.lines(reader), (line) => Effect.sync(() => seen.push(line)))
      )
      assert.deepStrictEqual(seen, ["one", "two"])
      assert.deepStrictEqual(yield* outcome(Effect.fail(error)), lost("lines"))
      assert.strictEqual(text(yield* reader.read(10)), "thr")
    })
  )

  it.effect("another read meanwhile is refused, and the other way round", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const running = yield* start(Stream.runCollect(StreamReader.lines(reader)))
      feed("one\ntw")
      const busy = yield* Effect.flip(reader.read(1))
      assert.instanceOf(busy, StreamError.StreamBusy)
      assert.deepInclude(busy, { operation: "read", holder: "lines" })
      feed("o\n")
      end()
      assert.deepStrictEqual(yield* Fiber.join(running), ["one", "two"])

      const other = yield* handFed()
      yield* start(other.reader.read(1))
      const refused = yield* Effect.flip(Stream.runDrain(StreamReader.lines(other.reader)))
      assert.instanceOf(refused, StreamError.StreamBusy)
      assert.deepInclude(refused, { operation: "lines", holder: "read" })
    })
  )

  it.effect("running the stream again goes on where the first run ended", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const lines = StreamReader.lines(reader)
      feed("one\n")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(lines, 1)), ["one"])
      feed("two\nthree\n")
      end()
      assert.deepStrictEqual(yield* Stream.runCollect(lines), ["two", "three"])
      assert.deepStrictEqual(yield* Stream.runCollect(lines), [])
    })
  )
})

describe("lines: the limit", () => {
  it.effect("exactly the limit before the line feed is fine, in bytes, whatever the chunks", () =>
    Effect.gen(function* () {
      for (const chunks of [["äöü\nok\n"], ["äö", "ü\nok\n"], ["äöü", "\nok\n"]]) {
        assert.deepStrictEqual(yield* linesOf(chunks, { limit: 6 }), ["äöü", "ok"])
        const error = yield* Effect.flip(linesOf(chunks, { limit: 5 }))
        assert.strictEqual(error._tag, "LimitOverrun")
      }
    })
  )

  it.effect("an overlong line fails the stream behind the lines before it, and the reader is behind it", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 5 })
      feed("one\ntwo\nmuch too long\nthree\n")
      const seen: Array<string> = []
      const lines = Stream.runForEach(StreamReader.lines(reader), (line) => Effect.sync(() => seen.push(line)))
      assert.deepStrictEqual(yield* outcome(lines), overrunFound("lines", 13, 5))
      assert.deepStrictEqual(seen, ["one", "two"])
      assert.strictEqual(yield* held(reader), "three\n")
    })
  )

  it.effect("an overlong line whose end is yet to arrive fails it too, and the reader will be behind it", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 5 })
      const running = yield* start(Stream.runCollect(StreamReader.lines(reader)))
      feed("ok\n", "much ")
      assert.isTrue(waits(running))
      feed("t")
      assert.deepStrictEqual(yield* outcome(Fiber.join(running)), overrunNotFound("lines", 6, 5))
      feed("oo long, and on and on", " and on\nok\n")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(StreamReader.lines(reader), 1)), ["ok"])
      assert.notStrictEqual(flow.at(-1), "pause")
    })
  )

  it.effect("discard drops overlong lines, wherever they are", () =>
    Effect.gen(function* () {
      const input = "much too long\none\nmuch too long\nmuch too long\ntwo\nthree\nmuch too long"
      for (const chunks of [[input], [...input], input.match(/.{1,7}/gs)!]) {
        assert.deepStrictEqual(yield* linesOf(chunks, { limit: 5, onOverrun: "discard" }), ["one", "two", "three"])
      }
    })
  )

  it.effect("the limit is the reader's unless one is given", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(["12345\n123456\n"], { readerLimit: 5, onOverrun: "discard" }), ["12345"])
      assert.deepStrictEqual(yield* linesOf(["12345\n123456\n"], { readerLimit: 5, limit: 6 }), ["12345", "123456"])
      assert.deepStrictEqual(yield* linesOf(["1234\n12345\n"], { readerLimit: 5, limit: 4, onOverrun: "discard" }), [
        "1234"
      ])
    })
  )

  it.effect("discarding one line after another costs no memory, while there is none to give", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 5 })
      const next = yield* Stream.toPull(StreamReader.lines(reader, { onOverrun: "discard" }))
      const waiting = yield* start(next)
      const frames = waiting as unknown as { readonly _stack: ReadonlyArray<unknown> }
      feed("much too", " long\n")
      const before = frames._stack.length
      for (let i = 0; i < 1000; i++) feed("much too", " long\n")
      // what the waiting fiber will have to undo or continue with
      assert.strictEqual(frames._stack.length, before)
      feed("ok\n")
      assert.deepStrictEqual(yield* Fiber.join(waiting), ["ok"])
    })
  )
})

describe("lines: encodings", () => {
  it.effect("UTF-8 that is none becomes U+FFFD, in its own line only", () =>
    Effect.gen(function* () {
      const chunks = [raw(0x61, 0xe2, 0x82, 10, 0x62, 0xff, 10), "ok\n"]
      assert.deepStrictEqual(yield* linesOf(chunks), ["a\uFFFD", "b\uFFFD", "ok"])
    })
  )

  it.effect("latin1", () =>
    Effect.gen(function* () {
      const chunks = [raw(0x6e, 0x61, 0xef), raw(0x76, 0x65, 10, 0xe9, 10)]
      assert.deepStrictEqual(yield* linesOf(chunks, { encoding: "latin1" }), ["naïve", "é"])
    })
  )

  // 日本 表 (whose second byte is a backslash) 語
  const japanese = raw(0x93, 0xfa, 0x96, 0x7b, 13, 10, 0x95, 0x5c, 10, 0x8c, 0xea)

  it.effect("shift_jis, cut at every offset (rank 37)", () =>
    Effect.gen(function* () {
      for (let cut = 0; cut <= japanese.length; cut++) {
        const chunks = [japanese.slice(0, cut), japanese.slice(cut)]
        assert.deepStrictEqual(yield* linesOf(chunks, { encoding: "shift_jis" }), ["日本", "表", "語"], `at ${cut}`)
      }
      assert.deepStrictEqual(yield* linesOf(oneByOne(japanese), { encoding: "shift_jis" }), ["日本", "表", "語"])
    })
  )

  for (const encoding of ["utf-8", "shift_jis", "gb18030"]) {
    it.effect(`a character cut short by the end of the stream is not dropped in silence: ${encoding}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* linesOf([raw(0x61, 10, 0x62, 0xe3)], { encoding }), ["a", "b\uFFFD"])
      })
    )
  }

  it.effect("a last line of which no character comes is none: iso-2022-jp ends with a change of its state", () =>
    Effect.gen(function* () {
      const encoding = "iso-2022-jp"
      const end = raw(0x1b, 0x28, 0x42)
      assert.deepStrictEqual(yield* linesOf([raw(0x61, 10), end], { encoding }), ["a"])
      const reader = yield* StreamReader.fromBytes(end)
      assert.deepStrictEqual(yield* Stream.runHead(StreamReader.lines(reader, { encoding })), Option.none())
      // a reader of somebody else's making
      const ended = yield* StreamReader.fromBytes(end)
      const foreign = { limit: 4, readLineWith: ended.readLineWith.bind(ended) } as StreamReader.StreamReader
      const pieces = Stream.runCollect(Stream.chunks(StreamReader.lines(foreign, { encoding })))
      assert.deepStrictEqual(yield* pieces, [])
    })
  )

  for (const encoding of ["utf-16", "utf-16le", "utf-16be"]) {
    it.effect(`${encoding} cannot be cut at line feeds: it dies when it is run, and takes nothing`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        feed("one\n")
        const lines = StreamReader.lines(reader, { encoding })
        assert.match(String(yield* defectOf(Stream.runDrain(lines))), new RegExp(`lines: encoding .*got "${encoding}"`))
        assert.strictEqual(yield* held(reader), "one\n")
      })
    )
  }

  it.effect("a byte order mark is a character like any other, at the start and elsewhere", () =>
    Effect.gen(function* () {
      for (const chunks of [["\uFEFFone\n\uFEFFtwo\n"], oneByOne(bytes("\uFEFFone\n\uFEFFtwo\n"))]) {
        assert.deepStrictEqual(yield* linesOf(chunks), ["\uFEFFone", "\uFEFFtwo"])
      }
    })
  )
})

describe("stream", () => {
  it.effect("is everything up to the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const collecting = yield* start(Stream.runCollect(StreamReader.stream(reader)))
      feed("one", "two", "", "three")
      end()
      assert.strictEqual((yield* Fiber.join(collecting)).map(text).join(""), "onetwothree")
    })
  )

  it.effect("a reader that has ended is an empty stream", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes("")
      assert.deepStrictEqual(yield* Stream.runCollect(StreamReader.stream(reader)), [])
    })
  )

  it.effect("stopped between two chunks, the second stays in the reader", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(StreamReader.stream(reader), 1)), [bytes("one")])
      feed("two")
      assert.strictEqual(text(yield* reader.read(10)), "two")
    })
  )

  it.effect("what the consumer does not take stays in the reader, also of chunks that arrived together", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const chunks = [pattern(2000), pattern(3000), pattern(4000)]
      for (const chunk of chunks) feed(chunk.slice())
      const taken = yield* Stream.runCollect(Stream.take(StreamReader.stream(reader), 1))
      const size = taken.reduce((sum, chunk) => sum + chunk.length, 0)
      assert.strictEqual(yield* reader.buffered, 9000 - size)
      assert.deepStrictEqual(Buffer.concat([...taken, yield* reader.readExactly(9000 - size)]), Buffer.concat(chunks))
    })
  )

  it.effect("stopped while it waits, nothing is lost", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const seen: Array<string> = []
      const running = yield* start(
        Stream.runForEach(StreamReader.stream(reader), (chunk) => Effect.sync(() => seen.push(text(chunk))))
      )
      feed("one")
      yield* Fiber.interrupt(running)
      feed("two")
      assert.deepStrictEqual(seen, ["one"])
      assert.strictEqual(text(yield* reader.read(10)), "two")
    })
  )

  it.effect("a loss fails it, behind what came before", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("one")
      lose()
      const seen: Array<string> = []
      const error = yield* Effect.flip(
        Stream.runForEach(StreamReader.stream(reader), (chunk) => Effect.sync(() => seen.push(text(chunk))))
      )
      assert.strictEqual(error._tag, "ConnectionLost")
      assert.deepStrictEqual(seen, ["one"])
    })
  )
})

describe("pull", () => {
  it.effect("gives the chunks as they came, all that are there, then Done, every time", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const chunks = [pattern(3), pattern(2000), pattern(1), pattern(1), pattern(70_000), pattern(10)]
      for (const chunk of chunks) feed(chunk.slice())
      assert.deepStrictEqual(yield* reader.pull, chunks as never)
      const waiting = yield* start(reader.pull)
      assert.isTrue(waits(waiting))
      feed("last")
      assert.deepStrictEqual(yield* Fiber.join(waiting), [bytes("last")])
      end()
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* outcome(reader.pull), done)
    })
  )

  it.effect("gives no chunk that is empty, and none that is read already", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("", "abc", "", "def", "")
      assert.deepStrictEqual(yield* reader.pull, [bytes("abc"), bytes("def")])
      feed("", "abc", "", "def")
      yield* reader.skip(1)
      const chunks = yield* reader.pull
      assert.isTrue(chunks.every((chunk) => chunk.length > 0))
      assert.strictEqual(chunks.map(text).join(""), "bcdef")
      end()
      assert.deepStrictEqual(yield* outcome(reader.pull), done)
    })
  )
})

describe("peek, skip and unread (rank 19)", () => {
  it.effect("the read behind a peek gives the same bytes, however they are cut", () =>
    Effect.gen(function* () {
      const all = pattern(5000)
      for (const size of [1, 7, 1000, 1025, 5000]) {
        const { feed, reader } = yield* handFed()
        for (let at = 0; at < all.length; at += size) feed(all.slice(at, at + size))
        for (const count of [1, 2, 999, 1024, 1500, 1474]) {
          const ahead = yield* reader.peek(count)
          assert.deepStrictEqual(yield* reader.peek(count), ahead)
          assert.deepStrictEqual(yield* reader.readExactly(count), ahead)
        }
        assert.strictEqual(yield* reader.buffered, 0)
      }
    })
  )

  it.effect("peek waits for as many bytes as asked for; fewer only at the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const waiting = yield* start(reader.peek(4))
      feed("abc")
      assert.isTrue(waits(waiting))
      feed("de")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "abcd")
      const short = yield* start(reader.peek(10))
      end()
      assert.strictEqual(text(yield* Fiber.join(short)), "abcde")
      assert.isFalse(yield* reader.atEof)
      assert.strictEqual(text(yield* reader.read(10)), "abcde")
      assert.strictEqual((yield* reader.peek(1)).length, 0)
    })
  )

  it.effect("what peek gives is a copy: changing it changes nothing", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("abc")
      ;(yield* reader.peek(3)).fill(0)
      assert.strictEqual(text(yield* reader.read(3)), "abc")
    })
  )

  it.effect("skip is readExactly without the bytes", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abc", "def")
      assert.isUndefined(yield* reader.skip(4))
      assert.strictEqual(yield* held(reader), "ef")
      const waiting = yield* start(reader.skip(3))
      assert.isTrue(waits(waiting))
      // nothing is dropped before all of it is there
      assert.strictEqual(yield* reader.buffered, 2)
      feed("gh")
      yield* Fiber.join(waiting)
      assert.strictEqual(yield* held(reader), "h")
      end()
      assert.deepStrictEqual(yield* outcome(reader.skip(3)), incomplete("skip", "h", 3))
    })
  )

  it.effect("unread puts bytes in front: reading and putting back changes nothing", () =>
    Effect.gen(function* () {
      const all = pattern(5000)
      for (const size of [1, 7, 1000, 5000]) {
        const { feed, reader } = yield* handFed()
        for (let at = 0; at < all.length; at += size) feed(all.slice(at, at + size))
        for (const count of [1, 3, 1024, 2500, 5000]) {
          yield* reader.unread(yield* reader.readExactly(count))
          assert.strictEqual(yield* reader.buffered, 5000)
        }
        assert.deepStrictEqual(yield* reader.readExactly(5000), all)
      }
    })
  )

  it.effect("the last bytes put back come first", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("rest")
      yield* reader.unread(bytes("b"))
      yield* reader.unread(bytes("a"))
      feed(" and more")
      assert.strictEqual(text(yield* reader.read(100)), "abrest and more")
    })
  )

  it.effect("bytes put back can be found as a separator, also across the seam", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("\nrest\n")
      const first = reader.readUntil("\r\n")
      const waiting = yield* start(first)
      yield* Fiber.interrupt(waiting)
      yield* reader.unread(bytes("one\r"))
      assert.strictEqual(text(yield* first), "one\r\n")
      yield* reader.unread(bytes("line\nin "))
      assert.strictEqual(text(yield* reader.readLine), "line\n")
      assert.strictEqual(text(yield* reader.readLine), "in rest\n")
    })
  )

  it.effect("the array is copied: changing it later changes nothing", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      const mine = bytes("abc")
      yield* reader.unread(mine)
      mine.fill(0)
      assert.strictEqual(text(yield* reader.read(3)), "abc")
    })
  )

  it.effect("bytes can be put back at the end, and are read before it", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abc")
      end()
      yield* reader.unread(yield* reader.readAll({ maxBytes: 3 }))
      assert.isFalse(yield* reader.atEof)
      assert.strictEqual(text(yield* reader.readLine), "abc")
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("looking ahead to choose a protocol: peek, then read as if nothing had happened", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("PROXY TCP4 192.0.2.1\r\nGET / HTTP/1.1\r\n")
      end()
      if (text(yield* reader.peek(6)) === "PROXY ") yield* reader.discardUntil("\r\n")
      assert.strictEqual(text(yield* reader.readLine), "GET / HTTP/1.1\r\n")
    })
  )
})

describe("readAll", () => {
  it.effect("exactly the bound is fine, one byte more is LimitOverrun, and nothing is lost by it", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abc", "def")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 5 })), overrunNotFound("readAll", 5, 5))
      assert.strictEqual(yield* held(reader), "abcdef")
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 6 })), value("abcdef"))
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 6 })), value(""))
    })
  )

  it.effect("fails as soon as the bound is passed, not at the end", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const waiting = yield* start(reader.readAll({ maxBytes: 5 }))
      feed("abcdef")
      assert.isFalse(waits(waiting))
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunNotFound("readAll", 5, 5))
    })
  )

  it.effect("unbounded has to be spelled, and reads far more than the limit without pausing the source", () =>
    Effect.gen(function* () {
      const { end, feed, flow, reader } = yield* handFed({ limit: 10 })
      const all = pattern(1_000_000)
      const waiting = yield* start(reader.readAll({ maxBytes: "unbounded" }))
      for (let at = 0; at < all.length; at += 1000) feed(all.slice(at, at + 1000))
      end()
      assert.deepStrictEqual(yield* Fiber.join(waiting), all)
      assert.deepStrictEqual(flow, [])
    })
  )
})

describe("buffered", () => {
  it.effect("counts what has arrived, what was looked at and what was put back", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      assert.strictEqual(yield* reader.buffered, 0)
      feed("abc")
      assert.strictEqual(yield* reader.buffered, 3)
      yield* reader.peek(2)
      feed("def")
      assert.strictEqual(yield* reader.buffered, 6)
      yield* reader.read(2)
      assert.strictEqual(yield* reader.buffered, 4)
      yield* reader.unread(bytes("xy"))
      end()
      assert.strictEqual(yield* reader.buffered, 6)
      yield* reader.readAll({ maxBytes: 6 })
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )
})
