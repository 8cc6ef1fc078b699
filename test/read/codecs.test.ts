/**
 * What tokio's suites cover of lines, delimiters and their limits (tokio-util's `codecs.rs`, tokio's `io_read_until.rs`,
 * `io_read_line.rs` and `io_lines.rs`). Each test is named after the case it corresponds to. A decoder that is asked after
 * each feeding is a read here, which waits over several feedings; where this library differs on purpose, the name says so.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope, Stream } from "effect"
import { StreamReader } from "effect-byte-streams"
import { bytes } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { handFed, incomplete, lost, outcome, value } from "../support/handFed.ts"
import type { Outcome } from "../support/readRequests.ts"

type Read = (reader: StreamReader.StreamReader) => Effect.Effect<unknown, unknown>

const tooLong = "too long"
const more = "more"

/** Asks for the next item behind each feeding: its text, that it is too long, or that more has to come. */
const decoder = (read: Read) =>
  Effect.gen(function* () {
    const fed = yield* handFed()
    let waiting: Fiber.Fiber<Outcome> | undefined
    const next: Effect.Effect<unknown, never, Scope.Scope> = Effect.gen(function* () {
      waiting ??= yield* start(outcome(read(fed.reader)))
      if (waits(waiting)) return more
      const result = yield* Fiber.join(waiting)
      waiting = undefined
      if ("error" in result) return result.error === "LimitOverrun" ? tooLong : result
      return result.value
    })
    const decode = (...chunks: ReadonlyArray<string | Uint8Array>) =>
      Effect.suspend(() => {
        fed.feed(...chunks)
        return next
      })
    return { ...fed, decode }
  })

const line =
  (limit?: number): Read =>
  (reader) =>
    reader.readLineWith({ limit })

/** Up to one of several delimiters. What is too long is dropped with its delimiter, as tokio does. */
const delimited = (delimiters: ReadonlyArray<string>, limit?: number): Read => {
  let dropping = false
  return Effect.fnUntraced(function* (reader) {
    if (dropping) yield* reader.discardUntil(delimiters)
    dropping = true
    const item = yield* reader.readUntil(delimiters, { limit })
    dropping = false
    return item
  })
}

/** What is left at the end of the stream. */
const rest = (fed: { readonly end: () => void; readonly reader: StreamReader.StreamReader }) =>
  Effect.suspend(() => {
    fed.end()
    return outcome(fed.reader.readAll({ maxBytes: 100 }))
  })

describe("bytes", () => {
  it.effect("tokio bytes_decoder: whatever is there", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder((reader) => reader.read(100))
      assert.strictEqual(yield* decode("abc"), "abc")
      assert.strictEqual(yield* decode(), more)
      assert.strictEqual(yield* decode("d"), "d")
    })
  )

  it.effect("tokio bytes_encoder: as they are", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write(bytes("abc"))
      yield* writer.flush
      assert.strictEqual(transport.sentText, "abc")
    })
  )
})

describe("lines", () => {
  it.effect("tokio lines_decoder, where the line end is a part of the line", () =>
    Effect.gen(function* () {
      const { decode, ...fed } = yield* decoder(line())
      assert.strictEqual(yield* decode("line 1\nline 2\r\nline 3\n\r\n\r"), "line 1\n")
      assert.strictEqual(yield* decode(), "line 2\r\n")
      assert.strictEqual(yield* decode(), "line 3\n")
      assert.strictEqual(yield* decode(), "\r\n")
      assert.strictEqual(yield* decode(), more)
      // the read still waits, and gets what there is at the end
      fed.feed("k")
      fed.end()
      assert.strictEqual(yield* decode(), "\rk")
      assert.strictEqual(yield* decode(), "")
    })
  )

  it.effect(
    "tokio lines_decoder, as a stream of text: without line ends, but for a carriage return in no line end",
    () =>
      Effect.gen(function* () {
        const reader = yield* StreamReader.fromBytes("line 1\nline 2\r\nline 3\n\r\n\rk")
        const lines = yield* Stream.runCollect(StreamReader.lines(reader))
        assert.deepStrictEqual(lines, ["line 1", "line 2", "line 3", "", "\rk"])
      })
  )

  it.effect("tokio lines_decoder_invalid_utf8, where it becomes U+FFFD, and does not end the stream", () =>
    Effect.gen(function* () {
      const pieces = [bytes("line 1"), Uint8Array.of(0xc3, 0x28), bytes("\nline 2\n")]
      const reader = yield* StreamReader.fromBytes(pieces)
      const lines = yield* Stream.runCollect(StreamReader.lines(reader))
      assert.deepStrictEqual(lines, ["line 1\uFFFD(", "line 2"])
    })
  )

  it.effect("tokio lines_decoder_max_length: the carriage return counts", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(line(6))
      assert.strictEqual(yield* decode("line 1 is too long\nline 2\nline 3\r\nline 4\n\r\n\r"), tooLong)
      assert.strictEqual(yield* decode(), "line 2\n")
      assert.strictEqual(yield* decode(), tooLong)
      assert.strictEqual(yield* decode(), "line 4\n")
      assert.strictEqual(yield* decode(), "\r\n")
      assert.strictEqual(yield* decode(), more)
      assert.strictEqual(yield* decode("aabbccd"), tooLong)
    })
  )

  it.effect("tokio lines_decoder_max_length: a last line without its end may be as long as any, and no longer", () =>
    Effect.gen(function* () {
      for (const [last, expected] of [
        ["aabbcc", "aabbcc"],
        ["aabbccd", tooLong]
      ] as const) {
        const { decode, end, feed } = yield* decoder(line(6))
        feed(last)
        end()
        assert.strictEqual(yield* decode(), expected)
      }
    })
  )

  it.effect("tokio lines_decoder_max_length_underrun: the rest of it comes later", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(line(6))
      assert.strictEqual(yield* decode("line "), more)
      assert.strictEqual(yield* decode("too l"), tooLong)
      assert.strictEqual(yield* decode("ong\n"), more)
      assert.strictEqual(yield* decode("line 2"), more)
      assert.strictEqual(yield* decode("\n"), "line 2\n")
    })
  )

  it.effect("tokio lines_decoder_max_length_bursts: as long as may be, then longer with its end", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(line(10))
      assert.strictEqual(yield* decode("line "), more)
      assert.strictEqual(yield* decode("too l"), more)
      assert.strictEqual(yield* decode("ong\n"), tooLong)
      assert.strictEqual(yield* decode("next\n"), "next\n")
    })
  )

  it.effect("tokio lines_decoder_max_length_big_burst: longer, with its end, at once", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(line(10))
      assert.strictEqual(yield* decode("line "), more)
      assert.strictEqual(yield* decode("too long!\n"), tooLong)
      assert.strictEqual(yield* decode("next\n"), "next\n")
    })
  )

  it.effect("tokio lines_decoder_max_length_newline_between_decodes", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(line(5))
      assert.strictEqual(yield* decode("hello"), more)
      assert.strictEqual(yield* decode("\nworld"), "hello\n")
      assert.strictEqual(yield* decode("\n"), "world\n")
    })
  )

  it.effect("tokio lines_decoder_max_length_underrun_twice: one line is too long once, however it comes", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(line(11))
      assert.strictEqual(yield* decode("line "), more)
      assert.strictEqual(yield* decode("too very l"), tooLong)
      assert.strictEqual(yield* decode("aaaaaaaaaaaaaaaaaaaaaaa"), more)
      assert.strictEqual(yield* decode("ong\nshort\n"), "short\n")
    })
  )

  it.effect("tokio lines_decoder_discard_repeat: dropping goes on, one byte at a time", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(line(1))
      assert.strictEqual(yield* decode("aa"), tooLong)
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* decode("a"), more)
      assert.strictEqual(yield* decode("\nb\n"), "b\n")
    })
  )

  it.effect("tokio lines_encoder: a line is text and a line feed, in one write", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeAll(["line 1", "\n"])
      yield* writer.writeAll(["line 2", "\n"])
      yield* writer.flush
      assert.strictEqual(transport.sentText, "line 1\nline 2\n")
    })
  )
})

describe("delimiters", () => {
  const delimiters = [",", ";", "\n", "\r"]

  it.effect("tokio any_delimiters_decoder_any_character", () =>
    Effect.gen(function* () {
      const { decode, ...fed } = yield* decoder(delimited(delimiters))
      assert.strictEqual(yield* decode("chunk 1,chunk 2;chunk 3\n\r"), "chunk 1,")
      assert.strictEqual(yield* decode(), "chunk 2;")
      assert.strictEqual(yield* decode(), "chunk 3\n")
      assert.strictEqual(yield* decode(), "\r")
      assert.strictEqual(yield* decode(), more)
      fed.feed("k")
      fed.end()
      assert.deepStrictEqual(yield* decode(), incomplete("readUntil", "k"))
    })
  )

  it.effect("tokio any_delimiters_decoder_max_length", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(delimited(delimiters, 7))
      assert.strictEqual(yield* decode("chunk 1 is too long\nchunk 2\nchunk 3\r\nchunk 4\n\r\n"), tooLong)
      for (const item of ["chunk 2\n", "chunk 3\r", "\n", "chunk 4\n", "\r", "\n"]) {
        assert.strictEqual(yield* decode(), item)
      }
      assert.strictEqual(yield* decode(), more)
      assert.strictEqual(yield* decode("aabbccdd"), tooLong)
    })
  )

  it.effect("tokio any_delimiters_decoder_max_length: nothing is lost by it: it may be read after all", () =>
    Effect.gen(function* () {
      const { decode, ...fed } = yield* decoder((reader) => reader.readUntil(delimiters, { limit: 7 }))
      assert.strictEqual(yield* decode("aabbccdd"), tooLong)
      assert.deepStrictEqual(yield* rest(fed), value("aabbccdd"))
    })
  )

  it.effect("tokio any_delimiter_decoder_max_length_underrun", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(delimited(delimiters, 7))
      assert.strictEqual(yield* decode("chunk "), more)
      assert.strictEqual(yield* decode("too l"), tooLong)
      assert.strictEqual(yield* decode("ong\n"), more)
      assert.strictEqual(yield* decode("chunk 2"), more)
      assert.strictEqual(yield* decode(","), "chunk 2,")
    })
  )

  it.effect("tokio any_delimiter_decoder_max_length_underrun_twice", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(delimited(delimiters, 11))
      assert.strictEqual(yield* decode("chunk "), more)
      assert.strictEqual(yield* decode("too very l"), tooLong)
      assert.strictEqual(yield* decode("aaaaaaaaaaaaaaaaaaaaaaa"), more)
      assert.strictEqual(yield* decode("ong\nshort\n"), "short\n")
    })
  )

  it.effect("tokio any_delimiter_decoder_max_length_bursts", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(delimited(delimiters, 11))
      assert.strictEqual(yield* decode("chunk "), more)
      assert.strictEqual(yield* decode("too l"), more)
      assert.strictEqual(yield* decode("ong\n"), tooLong)
      assert.strictEqual(yield* decode("next;"), "next;")
    })
  )

  it.effect("tokio any_delimiter_decoder_max_length_big_burst", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(delimited(delimiters, 11))
      assert.strictEqual(yield* decode("chunk "), more)
      assert.strictEqual(yield* decode("too long!\n"), tooLong)
      assert.strictEqual(yield* decode("next;"), "next;")
    })
  )

  it.effect("tokio any_delimiter_decoder_max_length_delimiter_between_decodes", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(delimited(delimiters, 5))
      assert.strictEqual(yield* decode("hello"), more)
      assert.strictEqual(yield* decode(",world"), "hello,")
      assert.strictEqual(yield* decode(";"), "world;")
    })
  )

  it.effect("tokio any_delimiter_decoder_discard_repeat", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder(delimited(delimiters, 1))
      assert.strictEqual(yield* decode("aa"), tooLong)
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* decode("a"), more)
      assert.strictEqual(yield* decode(";b;"), "b;")
    })
  )

  it.effect("tokio any_delimiter_encoder: each item and a separator of its own, in one write", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeAll(["chunk 1", ";--;"])
      yield* writer.writeAll(["chunk 2", ";--;"])
      yield* writer.flush
      assert.strictEqual(transport.sentText, "chunk 1;--;chunk 2;--;")
    })
  )
})

describe("reads", () => {
  it.effect("tokio io_read_until: with the delimiter, and at the end what is left, as what is missing", () =>
    Effect.gen(function* () {
      const { decode, ...fed } = yield* decoder((reader) => reader.readUntil("3"))
      assert.strictEqual(yield* decode("1233"), "123")
      assert.strictEqual(yield* decode(), "3")
      fed.feed("12")
      fed.end()
      assert.deepStrictEqual(yield* decode(), incomplete("readUntil", "12"))
    })
  )

  it.effect("tokio io_read_until: not all of it is ready", () =>
    Effect.gen(function* () {
      const { decode } = yield* decoder((reader) => reader.readUntil("!"))
      for (const part of ["Hello ", "Wor", "ld"]) assert.strictEqual(yield* decode(part), more)
      assert.strictEqual(yield* decode("!Fizz"), "Hello World!")
      assert.strictEqual(yield* decode("Buzz"), more)
      assert.strictEqual(yield* decode("!"), "FizzBuzz!")
    })
  )

  it.effect("tokio io_read_until: what came before a failure is kept", () =>
    Effect.gen(function* () {
      const { decode, lose, reader } = yield* decoder((reader) => reader.readUntil("!"))
      assert.strictEqual(yield* decode("Hello "), more)
      lose()
      assert.deepStrictEqual(yield* decode(), lost("readUntil"))
      assert.deepStrictEqual(yield* outcome(reader.readExactly(6)), value("Hello "))
    })
  )

  it.effect("tokio io_read_line", () =>
    Effect.gen(function* () {
      const { decode, end } = yield* decoder((reader) => reader.readLine)
      assert.strictEqual(yield* decode("hello\n\n"), "hello\n")
      assert.strictEqual(yield* decode(), "\n")
      end()
      assert.strictEqual(yield* decode(), "")
    })
  )

  it.effect("tokio io_read_line: what came before a failure is kept", () =>
    Effect.gen(function* () {
      const { decode, lose, reader } = yield* decoder((reader) => reader.readLine)
      assert.strictEqual(yield* decode("Hello Wor"), more)
      lose()
      assert.deepStrictEqual(yield* decode(), lost("readLine"))
      assert.deepStrictEqual(yield* outcome(reader.readExactly(9)), value("Hello Wor"))
    })
  )

  it.effect("tokio io_lines", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes("hello\n\n")
      assert.deepStrictEqual(yield* Stream.runCollect(StreamReader.lines(reader)), ["hello", ""])
    })
  )
})
