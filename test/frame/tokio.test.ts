/**
 * What tokio-util's suites cover of messages with a length in front (`length_delimited.rs`) and of reading and writing them
 * (`framed.rs`, `framed_read.rs`, `framed_write.rs`, `framed_stream.rs`). Each test is named after the case it corresponds
 * to. A decoder that is asked after each feeding is a read here, which waits over several feedings; where this library
 * differs on purpose, the name says so.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Result, Stream } from "effect"
import { Frame, StreamReader } from "effect-byte-streams"
import { concat, fake } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { handFed, type HandFed, lost, outcome } from "../support/handFed.ts"

/** Bytes from text, one a letter. */
const b = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

const prefixed = (options?: Partial<Frame.LengthPrefixedOptions>, prefix: Frame.Frame<number> = Frame.uint32) =>
  Frame.lengthPrefixed(prefix, { maxBytes: 8_388_608, ...options }, Frame.utf8Rest)

const standard = prefixed()

const more = Symbol("more")
const done = Symbol("done")

/** Something to do with a stream, and what its next message is then. */
type Step = readonly [feed: string | typeof done, ...expected: ReadonlyArray<unknown>]

/** Asks for messages behind each feeding: their values, that more has to come, that there are no more, or the error's tag. */
const follow = (fed: HandFed, frame: Frame.Decoder<unknown>, steps: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    let waiting: Fiber.Fiber<unknown, unknown> | undefined
    for (const [feed, ...expected] of steps) {
      if (feed === done) fed.end()
      else fed.feed(b(feed))
      for (const one of expected) {
        waiting ??= yield* start(
          Effect.match(fed.reader.readFrameOption(frame), {
            onFailure: (error) => error._tag,
            onSuccess: (value): unknown => Option.getOrElse(value, () => done)
          })
        )
        if (one === more) {
          assert.isTrue(waits(waiting))
          continue
        }
        assert.deepStrictEqual(yield* Fiber.join(waiting), one)
        waiting = undefined
      }
    }
  })

const reads = (frame: Frame.Decoder<unknown>, ...steps: ReadonlyArray<Step>) =>
  Effect.flatMap(handFed(), (fed) => follow(fed, frame, steps))

const nine = "\x00\x00\x00\x09abcdefghi"
const three = "\x00\x00\x00\x03123"
const eleven = "\x00\x00\x00\x0bhello world"

describe("tokio-util's length_delimited.rs, reading", () => {
  it.effect("tokio read_empty_io_yields_nothing", () => reads(standard, [done, done]))
  it.effect("tokio read_single_frame_one_packet", () => reads(standard, [nine, "abcdefghi"], [done, done]))
  it.effect("tokio read_single_frame_one_packet_little_endian", () =>
    reads(prefixed({}, Frame.uint32LE), ["\x09\x00\x00\x00abcdefghi", "abcdefghi"], [done, done])
  )
  it.effect("tokio read_single_frame_one_packet_native_endian deviates: the order of bytes is always named", () =>
    Effect.gen(function* () {
      yield* reads(prefixed({}, Frame.uint32), [nine, "abcdefghi"])
      yield* reads(prefixed({}, Frame.uint32LE), ["\x09\x00\x00\x00abcdefghi", "abcdefghi"])
    })
  )
  it.effect("tokio read_single_multi_frame_one_packet", () =>
    reads(standard, [nine + three + eleven, "abcdefghi", "123", "hello world"], [done, done])
  )
  it.effect("tokio read_single_frame_multi_packet", () =>
    reads(standard, ["\x00\x00"], ["\x00\x09abc"], ["defghi", "abcdefghi"], [done, done])
  )
  it.effect("tokio read_multi_frame_multi_packet", () =>
    reads(
      standard,
      ["\x00\x00"],
      ["\x00\x09abc"],
      ["defghi", "abcdefghi"],
      ["\x00\x00\x00\x0312"],
      ["3\x00\x00\x00\x0bhello world", "123", "hello world"],
      [done, done]
    )
  )
  it.effect("tokio read_single_frame_multi_packet_wait", () =>
    reads(standard, ["\x00\x00", more], ["\x00\x09abc", more], ["defghi", "abcdefghi", more], [done, done])
  )
  it.effect("tokio read_multi_frame_multi_packet_wait", () =>
    reads(
      standard,
      ["\x00\x00", more],
      ["\x00\x09abc", more],
      ["defghi", "abcdefghi", more],
      ["\x00\x00\x00\x0312", more],
      ["3\x00\x00\x00\x0bhello world", "123", "hello world", more],
      [done, done]
    )
  )
  it.effect("tokio read_incomplete_head", () => reads(standard, ["\x00\x00"], [done, "IncompleteRead"]))
  it.effect("tokio read_incomplete_head_multi", () =>
    reads(standard, ["", more], ["\x00", more], [done, "IncompleteRead"])
  )
  it.effect("tokio read_incomplete_payload", () =>
    reads(standard, ["\x00\x00\x00\x09ab", more], ["cd", more], [done, "IncompleteRead"])
  )
  it.effect("tokio read_max_frame_len", () => reads(prefixed({ maxBytes: 5 }), [nine, "LimitOverrun"]))
  it.effect("tokio read_update_max_frame_len_at_rest deviates: each read names its frame", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      yield* follow(fed, standard, [[nine + nine, "abcdefghi"]])
      yield* follow(fed, prefixed({ maxBytes: 5 }), [["", "LimitOverrun"]])
    })
  )
  it.effect("tokio read_update_max_frame_len_in_flight deviates: each read names its frame", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      yield* follow(fed, standard, [
        ["\x00\x00\x00\x09abcd", more],
        [`efghi${nine}`, "abcdefghi"]
      ])
      yield* follow(fed, prefixed({ maxBytes: 5 }), [["", "LimitOverrun"]])
    })
  )
  it.effect("tokio read_one_byte_length_field", () =>
    reads(prefixed({}, Frame.uint8), ["\x09abcdefghi", "abcdefghi"], [done, done])
  )
  it.effect("tokio read_header_offset deviates: what stands in front of the length is a field", () =>
    reads(
      Frame.struct({ head: Frame.utf8(4), body: prefixed({}, Frame.uint16) }),
      ["zzzz\x00\x09abcdefghi", { head: "zzzz", body: "abcdefghi" }],
      [done, done]
    )
  )
  it.effect("tokio read_single_multi_frame_one_packet_skip_none_adjusted", () =>
    reads(
      Frame.tuple(Frame.utf8(2), prefixed({}, Frame.uint16)),
      [
        "xx\x00\x09abcdefghiyy\x00\x03123zz\x00\x0bhello world",
        ["xx", "abcdefghi"],
        ["yy", "123"],
        ["zz", "hello world"]
      ],
      [done, done]
    )
  )
  it.effect("tokio read_single_frame_length_adjusted", () =>
    reads(
      Frame.lengthPrefixed(
        Frame.uint24,
        { maxBytes: 100, adjust: 1 },
        Frame.struct({ flags: Frame.uint8, body: Frame.utf8Rest })
      ),
      ["\x00\x00\x0b\x0cHello world", { flags: 12, body: "Hello world" }],
      [done, done]
    )
  )
  it.effect("tokio read_single_multi_frame_one_packet_length_includes_head", () =>
    reads(
      prefixed({ covers: "all" }, Frame.uint16),
      ["\x00\x0babcdefghi\x00\x05123\x00\x0dhello world", "abcdefghi", "123", "hello world"],
      [done, done]
    )
  )
})

describe("tokio-util's length_delimited.rs, writing", () => {
  /** Writes messages to a transport that takes everything, and answers what it was given. */
  const written = (frame: Frame.Frame<string>, ...values: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (const value of values) yield* writer.writeFrame(frame, value)
      yield* writer.flush
      return transport.sent
    })
  const writes = (frame: Frame.Frame<string>, value: string, bytes: string) =>
    Effect.map(written(frame, value), (sent) => assert.deepStrictEqual(sent, b(bytes)))
  const tooMuch = (frame: Frame.Frame<string>, value: string) =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      assert.strictEqual((yield* Effect.flip(writer.writeFrame(frame, value)))._tag, "EncodeFailed")
      yield* writer.flush
      assert.strictEqual(transport.sent.length, 0)
    })

  it.effect("tokio write_single_frame_length_adjusted", () =>
    writes(prefixed({ adjust: -2 }), "abcdefghi", "\x00\x00\x00\x0babcdefghi")
  )
  it.effect("tokio write_nothing_yields_nothing", () =>
    Effect.map(written(standard), (sent) => assert.strictEqual(sent.length, 0))
  )
  it.effect("tokio write_single_frame_one_packet", () => writes(standard, "abcdefghi", nine))
  it.effect("tokio write_from_slice", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const frame = Frame.lengthPrefixed(Frame.uint32, { maxBytes: 100 })
      yield* writer.writeFrame(frame, b("xabcdefghix").subarray(1, 10))
      yield* writer.flush
      assert.deepStrictEqual(transport.sent, b(nine))
    })
  )
  it.effect("tokio write_single_multi_frame_one_packet", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeFrames(standard, ["abcdefghi", "123", "hello world"])
      yield* writer.flush
      assert.deepStrictEqual(transport.writesText, [nine + three + eleven])
    })
  )
  it.effect("tokio write_single_multi_frame_multi_packet", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (const value of ["abcdefghi", "123", "hello world"]) {
        yield* writer.writeFrame(standard, value)
        yield* writer.flush
      }
      assert.deepStrictEqual(transport.writesText, [nine, three, eleven])
    })
  )
  it.effect("tokio write_single_frame_would_block", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 8, lowWaterMark: 0 })
      yield* writer.writeFrame(standard, "abcdefghi")
      const flushing = yield* start(writer.flush)
      assert.isTrue(waits(flushing))
      transport.drainAll()
      yield* Fiber.join(flushing)
      assert.deepStrictEqual(transport.sent, b(nine))
    })
  )
  it.effect("tokio write_single_frame_little_endian", () =>
    writes(prefixed({}, Frame.uint32LE), "abcdefghi", "\x09\x00\x00\x00abcdefghi")
  )
  it.effect("tokio write_single_frame_with_short_length_field", () =>
    writes(prefixed({}, Frame.uint8), "abcdefghi", "\x09abcdefghi")
  )
  it.effect("tokio write_max_frame_len", () => tooMuch(prefixed({ maxBytes: 5 }), "abcdef"))
  it.effect("tokio write_update_max_frame_len_at_rest deviates: each write names its frame", () =>
    Effect.andThen(writes(standard, "abcdef", "\x00\x00\x00\x06abcdef"), tooMuch(prefixed({ maxBytes: 5 }), "abcdef"))
  )
  it.effect("tokio write_update_max_frame_len_in_flight deviates: each write names its frame", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 4, lowWaterMark: 0 })
      yield* writer.writeFrame(standard, "abcdef")
      const second = yield* start(Effect.flip(writer.writeFrame(prefixed({ maxBytes: 5 }), "abcdef")))
      assert.isTrue(waits(second))
      transport.drainAll()
      assert.strictEqual((yield* Fiber.join(second))._tag, "EncodeFailed")
      yield* writer.flush
      assert.deepStrictEqual(transport.sent, b("\x00\x00\x00\x06abcdef"))
    })
  )
  it.effect("tokio write_zero deviates: a transport that takes nothing yet is waited for", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.writeFrame(standard, "abcdef")
      const flushing = yield* start(writer.flush)
      assert.isTrue(waits(flushing))
      transport.drainAll()
      yield* Fiber.join(flushing)
    })
  )
  it.effect("tokio encode_overflow", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write("a".repeat(1024))
      yield* writer.writeFrame(standard, "hello")
      yield* writer.flush
      assert.deepStrictEqual(transport.sent, concat([b("a".repeat(1024)), b("\x00\x00\x00\x05hello")]))
    })
  )

  const fits = (frame: Frame.Frame<string>, size: number): boolean =>
    Result.isSuccess(Frame.encodeResult(frame, "x".repeat(size)))
  const largest = (frame: Frame.Frame<string>, size: number): void => {
    assert.isTrue(fits(frame, size))
    assert.isFalse(fits(frame, size + 1))
  }

  it("tokio frame_does_not_fit", () => largest(prefixed({ maxBytes: 256 }, Frame.uint8), 255))
  it("tokio neg_adjusted_frame_does_not_fit", () => largest(prefixed({ adjust: -1 }, Frame.uint8), 254))
  it("tokio pos_adjusted_frame_does_not_fit", () => largest(prefixed({ adjust: 1 }, Frame.uint8), 256))
  it("tokio max_allowed_frame_fits", () =>
    assert.isTrue(fits(prefixed({ maxBytes: "unbounded" }, Frame.uint64Number), 100_000)))
  it("tokio smaller_frame_len_not_adjusted", () => largest(prefixed({ maxBytes: 10 }, Frame.uint64Number), 10))
  it("tokio max_allowed_length_field", () =>
    assert.strictEqual(Frame.lengthPrefixed(Frame.uint64, { maxBytes: "unbounded" }).maxBytes, Infinity))
  it("tokio runtime_max_frame_len_respects_length_field", () =>
    largest(prefixed({ maxBytes: 100_000 }, Frame.uint16), 65_535))
})

describe("tokio-util's framed.rs", () => {
  it.effect("tokio can_read_from_existing_buf", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      yield* fed.reader.unread(b("\x00\x00\x00\x2a"))
      yield* follow(fed, Frame.uint32, [["", 42]])
    })
  )
  it.effect("tokio can_read_from_existing_buf_after_codec_changed", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      yield* fed.reader.unread(b("\x00\x00\x00\x2a\x00\x00\x00\x00\x00\x00\x00\x54"))
      yield* follow(fed, Frame.uint32, [["", 42]])
      yield* follow(fed, Frame.uint64, [["", 84n]])
    })
  )
  it.effect("tokio from_parts_empty_read_buf_does_not_spuriously_decode", () =>
    reads(Frame.cstring({ maxBytes: 10 }), ["", more], ["a\0", "a"], [done, done])
  )
})

describe("tokio-util's framed_read.rs", () => {
  const [one, two, last] = ["\x00\x00\x00\x00", "\x00\x00\x00\x01", "\x00\x00\x00\x02"]

  it.effect("tokio read_multi_frame_in_packet", () => reads(Frame.uint32, [one + two + last, 0, 1, 2], [done, done]))
  it.effect("tokio read_multi_frame_across_packets", () =>
    reads(Frame.uint32, ["\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"], ["\x00\x02", 0, 1, 2], [done, done])
  )
  it.effect("tokio read_multi_frame_in_packet_after_codec_changed", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      yield* follow(fed, Frame.uint32, [["\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08", 4]])
      yield* follow(fed, Frame.uint64, [
        ["", 8n],
        [done, done]
      ])
    })
  )
  it.effect("tokio read_not_ready", () => reads(Frame.uint32, ["", more], [one, 0], [done, done]))
  it.effect("tokio read_partial_then_not_ready", () =>
    reads(Frame.uint32, ["\x00\x00", more], [`\x00\x00${two}${last}`, 0, 1, 2], [done, done])
  )
  const breaks = (fed: string) =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      const reading = yield* start(outcome(reader.readFrame(Frame.uint32)))
      feed(b(fed))
      lose()
      assert.deepStrictEqual(yield* Fiber.join(reading), lost("readFrame"))
    })
  it.effect("tokio read_err", () => breaks(""))
  it.effect("tokio read_partial_then_err", () => breaks("\x00\x00"))
  it.effect("tokio read_partial_would_block_then_err", () => breaks("\x00\x00\x00"))
  it.effect("tokio huge_size", () =>
    Effect.gen(function* () {
      const frame = Frame.bytes(65_536)
      const pieces = Array.from({ length: 65 }, () => new Uint8Array(1024))
      const reader = yield* StreamReader.fromBytes(pieces.slice(0, 64))
      assert.strictEqual((yield* reader.readFrame(frame)).length, 65_536)
    })
  )
  it.effect("tokio data_remaining_is_error", () => reads(Frame.uint32, [`${one}\x00`, 0], [done, "IncompleteRead"]))
  it.effect("tokio multi_frames_on_eof", () => reads(Frame.uint32, [one + two], [done, 0, 1, done, done]))
  it.effect("tokio read_eof_then_resume deviates: the end is final", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      yield* follow(fed, Frame.uint32, [
        [one, 0],
        [done, done, done]
      ])
      assert.throws(() => fed.feed(b(two)), "the stream has already ended")
    })
  )
})

describe("tokio-util's framed_write.rs", () => {
  it.effect("tokio write_multi_frame_in_packet", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (const value of [0, 1, 2]) yield* writer.writeFrame(Frame.uint32, value)
      yield* writer.flush
      assert.deepStrictEqual(transport.sent, b("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02"))
    })
  )
  it.effect("tokio write_multi_frame_after_codec_changed", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeFrame(Frame.uint32, 4)
      yield* writer.writeFrame(Frame.uint64, 8n)
      yield* writer.flush
      assert.deepStrictEqual(transport.sent, b("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08"))
    })
  )
  it.effect("tokio write_hits_backpressure", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1024, lowWaterMark: 0 })
      let accepted = 0
      const writing = yield* start(
        Effect.gen(function* () {
          for (let i = 0; i < 2000; i++) {
            yield* writer.writeFrame(Frame.uint32, i)
            accepted++
          }
        })
      )
      assert.isTrue(waits(writing))
      assert.isAtMost(4 * accepted, 1024 + 4)
      transport.accept()
      transport.drainAll()
      yield* Fiber.join(writing)
      yield* writer.flush
      assert.strictEqual(transport.sent.length, 8000)
    })
  )
})

it.effect("tokio return_none_after_error: a stream of messages has ended once it has failed", () =>
  Effect.gen(function* () {
    const reader = yield* StreamReader.fromBytes("1;x;2;")
    const frame = Frame.integerText({ end: ";" })
    const seen: Array<unknown> = []
    const stream = StreamReader.frames(reader, frame).pipe(Stream.tap((value) => Effect.sync(() => seen.push(value))))
    const exit = yield* Effect.result(Stream.runDrain(stream))
    assert.isTrue(Result.isFailure(exit))
    assert.deepStrictEqual(seen, [1])
  })
)
