/** What is told of a bad message, and what is read behind it, however the bytes were cut; and mistakes in a frame itself. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, FrameSchema, type StreamError, StreamReader } from "effect-byte-streams"
import { Cause, Effect, Exit, Fiber, Result, Schema, Stream } from "effect"
import * as fc from "fast-check"
import { bytes } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import * as Programs from "../support/framePrograms.ts"
import { handFed } from "../support/handFed.ts"
import { forAll } from "../support/property.ts"

const cut = (all: Uint8Array, size: number): Array<Uint8Array> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))

/** What a stream of messages gives, and its error. */
const collected = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function* () {
    const seen: Array<unknown> = []
    const exit = yield* Effect.exit(Stream.runForEach(stream, (message) => Effect.sync(() => seen.push(message))))
    if (Exit.isFailure(exit)) seen.push((Cause.squash(exit.cause) as { readonly _tag: string })._tag)
    return seen
  })

describe("a message that is passed over ends where it ends", () => {
  const skipped = (frame: Frame.Decoder<unknown>, all: Uint8Array, size: number) =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed(...cut(all, size))
      end()
      return yield* collected(StreamReader.frames(reader, frame, { onMalformed: "skip" }))
    })

  it.effect("what stands in front of a line that is too long is no end of it", () => {
    const frame = Frame.struct({ type: Frame.uint8, text: Frame.line({ maxBytes: 5 }) })
    return Effect.gen(function* () {
      for (const size of [1, 2, 100])
        assert.deepStrictEqual(yield* skipped(frame, bytes("\nabcdef\nBok\n"), size), [{ type: 66, text: "ok" }])
    })
  })

  it.effect("what is given up in the middle of it is gone on with by the next", () => {
    const body = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 5 }, Frame.utf8Rest)
    const line = Frame.line({ maxBytes: 5 })
    const streams: ReadonlyArray<readonly [Frame.Decoder<string>, Uint8Array, Uint8Array]> = [
      [body, Uint8Array.of(10, 65, 65), Uint8Array.of(1, 66, 1, 66, 1, 66, 67, 67, 2, 72, 73)],
      [line, bytes("much too long"), bytes(" a\nHI\n")]
    ]
    return Effect.gen(function* () {
      for (const [frame, front, behind] of streams) {
        for (const size of [1, 100]) {
          const { end, feed, reader } = yield* handFed()
          const messages = StreamReader.frames(reader, frame, { onMalformed: "skip" })
          const given = yield* start(collected(messages))
          feed(...cut(front, size))
          yield* Fiber.interrupt(given)
          const rest = yield* start(collected(messages))
          feed(...cut(behind, size))
          end()
          assert.deepStrictEqual(yield* Fiber.join(rest), ["HI"])
        }
      }
    })
  })

  it.effect("once something else was read, what is behind that is what comes next", () =>
    Effect.gen(function* () {
      const frame = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 5 }, Frame.utf8Rest)
      for (const waits of [true, false]) {
        const { end, feed, reader } = yield* handFed()
        const messages = StreamReader.frames(reader, frame, { onMalformed: "skip" })
        const given = yield* start(collected(messages))
        feed(Uint8Array.of(4 + 6, 65, 65))
        yield* Fiber.interrupt(given)
        const rest = bytes("AAAAAAAA")
        if (!waits) feed(rest)
        const reading = yield* start(reader.readExactly(8))
        if (waits) feed(rest)
        assert.deepStrictEqual(yield* Fiber.join(reading), rest)
        feed(Uint8Array.of(2, 72, 73))
        end()
        assert.deepStrictEqual(yield* collected(messages), ["HI"])
      }
    })
  )

  it.effect(
    "streams of messages, good and bad, cut anywhere and given up anywhere, are what they are in one piece",
    () => {
      const read = (
        { bytes, sample }: Programs.Program,
        sizes: ReadonlyArray<number>,
        interrupts: ReadonlyArray<boolean>
      ) =>
        Effect.gen(function* () {
          const { end, feed, reader } = yield* handFed()
          const seen: Array<unknown> = []
          const messages = StreamReader.frames(reader, sample.frame, { onMalformed: "skip" })
          const all = Effect.exit(
            // what takes no bytes is there for ever
            Stream.runForEachWhile(messages, (message) => Effect.sync(() => seen.push(message) < 100))
          )
          let reading = yield* start(all)
          let at = 0
          for (let i = 0; at < bytes.length && reading.pollUnsafe() === undefined; i++) {
            const size = sizes[i % sizes.length]!
            feed(bytes.slice(at, at + size))
            at += size
            if (interrupts[i % interrupts.length] !== true || reading.pollUnsafe() !== undefined) continue
            yield* Fiber.interrupt(reading)
            reading = yield* start(all)
          }
          end()
          const exit = yield* Fiber.join(reading)
          if (Exit.isSuccess(exit)) return fc.stringify(seen)
          const error = Cause.squash(exit.cause) as StreamError.MalformedFrame
          assert.match(error._tag, /^(MalformedFrame|LimitOverrun|IncompleteRead)$/)
          return fc.stringify([seen, error._tag, error.offset])
        })
      return forAll(
        Programs.programs,
        (program) =>
          Effect.gen(function* () {
            const whole = yield* read(program, [1_000_000], [false])
            assert.strictEqual(yield* read(program, program.sizes, program.interrupts), whole, Programs.show(program))
          }),
        { numRuns: 200 }
      )
    }
  )

  it.effect("one of no bytes is not passed over for ever", () =>
    Effect.gen(function* () {
      const frame = Frame.refine(Frame.succeed(1), () => false)
      assert.deepStrictEqual(yield* skipped(frame, bytes("abc"), 3), ["MalformedFrame"])
    })
  )
})

describe("what is wrong behind some messages is told, although nothing comes behind it", () => {
  const frame = Frame.refine(Frame.uint8, (byte) => byte !== 9)
  const ways = [[[1, 9]], [[1], [9]], [[1, 9], [3]], [[1, 9, 3]]]

  it.effect("by decodeStream, at the end of the stream", () =>
    Effect.gen(function* () {
      for (const chunks of ways) {
        const pieces = Stream.fromIterable(chunks.map((chunk) => Uint8Array.from(chunk))).pipe(Stream.rechunk(1))
        assert.deepStrictEqual(yield* collected(pieces.pipe(Frame.decodeStream(frame))), [1, "MalformedFrame"])
      }
    })
  )

  it.effect("by decodeStream, while the stream goes on", () =>
    Effect.gen(function* () {
      const pieces = Stream.concat(Stream.make(Uint8Array.of(1, 9)), Stream.never)
      assert.deepStrictEqual(yield* collected(pieces.pipe(Frame.decodeStream(frame))), [1, "MalformedFrame"])
    })
  )

  it("by makeDecoder, once it is told that nothing comes", () => {
    const decoder = Frame.makeDecoder(frame)
    assert.deepStrictEqual(decoder.push(Uint8Array.of(1, 9, 3)), [1])
    assert.throws(() => decoder.end(), /refine is malformed/)
    assert.deepStrictEqual(decoder.push(new Uint8Array(0)), [3])
    decoder.end()
  })
})

it("items are searched from their first byte, although the end was looked for further on", () => {
  // the end may be told by a text up to a zero, of which there is none within its bound
  const end = Frame.transform(Frame.cstring({ maxBytes: 5 }), { decode: () => {}, encode: () => "" })
  const frame = Frame.repeatUntil(Frame.line({ maxBytes: 80 }), end, { maxItems: 10 })
  const all = bytes("ab\ncdefgh\nijklmn\n\0")
  for (const size of [1, 3, 100]) {
    const decoder = Frame.makeDecoder(frame)
    assert.deepStrictEqual(
      cut(all, size).flatMap((piece) => [...decoder.push(piece)]),
      [["ab", "cdefgh", "ijklmn"]]
    )
  }
})

describe("an end of several parts, of which more than one is searched for", () => {
  const nothing = <A>(frame: Frame.Frame<A>, none: A): Frame.Frame<void> =>
    frame.pipe(Frame.transform({ decode: (): void => {}, encode: () => none }))
  const short = Frame.delimited(["\n", "ab"], { maxBytes: 4 })
  const ends: ReadonlyArray<readonly [string, Frame.Frame<void>]> = [
    [
      "a text and a line",
      nothing(Frame.tuple(Frame.cstring({ maxBytes: 3 }), Frame.line({ maxBytes: 4 })), ["", ""] as const)
    ],
    ["as many items", nothing(Frame.array(short, { count: 2 }), [])],
    ["items up to an end", nothing(Frame.repeatUntil(short, Frame.literal("b"), { maxItems: 4 }), [])],
    ["a literal and a line", nothing(Frame.tuple(Frame.literal("ab"), Frame.line({ maxBytes: 4 })), [undefined, ""])]
  ]
  it.effect.each(ends)("(%s) is found at the same place, however the bytes were cut", ([, end]) => {
    const frame = Frame.tuple(Frame.repeatUntil(Frame.cstring({ maxBytes: 3 }), end, { maxItems: 4 }), Frame.uint8)
    const message = fc.array(fc.constantFrom(0, 10, 97, 98, 99), { maxLength: 14 })
    const told = (all: Uint8Array, size: number) => {
      const decoder = Frame.makeDecoder(frame)
      const given: Array<unknown> = []
      try {
        for (const piece of cut(all, size)) given.push(...decoder.push(piece))
        decoder.end()
      } catch (error) {
        given.push((error as StreamError.MalformedFrame)._tag)
      }
      return given
    }
    return forAll(
      message,
      (message) =>
        Effect.sync(() => {
          const all = Uint8Array.from(message)
          for (const size of [1, 2, 3]) assert.deepStrictEqual(told(all, size), told(all, 100))
        }),
      { numRuns: 500 }
    )
  })
})

it("the end of a number in digits is told from them", () => {
  assert.throws(() => Frame.integerText({ end: "" }), /end must be at least one byte long/)
  assert.throws(() => Frame.integerText({ end: "0\n" }), /end must not begin with a digit/)
  assert.throws(() => Frame.integerText({ end: "f", radix: 16 }), /end must not begin with a digit/)
  assert.strictEqual(Frame.decodeResultUnsafe(Frame.integerText({ end: "f" }), bytes("12f")), 12)
})

it("what is no bytes is not decoded", () => {
  for (const wrong of ["ab", new ArrayBuffer(2), [1, 2], undefined]) {
    assert.throws(() => Frame.decodeResult(Frame.utf8(2), wrong as never), /^decodeResult: /)
    assert.throws(() => Frame.makeDecoder(Frame.utf8(2)).push(wrong as never), /^push: /)
  }
})

describe("a mistake in a frame is a defect of the read, and of nobody else", () => {
  const later = Schema.Number.pipe(
    Schema.check(Schema.makeFilter((value) => value !== 9 || Effect.runSync(Effect.never as Effect.Effect<boolean>)))
  )
  const frames: ReadonlyArray<readonly [string, Frame.Decoder<unknown>, Uint8Array]> = [
    ["what is left of no body", Frame.struct({ a: Frame.uint8, b: Frame.rest }), Uint8Array.of(1, 2, 3)],
    [
      "a decoder that throws",
      Frame.decoder({
        maxBytes: 10,
        decode: (cursor) => {
          if (cursor.end - cursor.at < 3) return cursor.more(1)
          throw new Error("a mistake")
        }
      }),
      Uint8Array.of(1, 2, 3)
    ],
    [
      "one that throws within a body",
      Frame.lengthPrefixed(
        Frame.uint8,
        { maxBytes: 10 },
        Frame.make({
          decoder: Frame.decoder<void>({
            maxBytes: 10,
            decode: () => {
              throw new Error("a mistake")
            }
          }),
          encoder: Frame.succeed<void>(undefined)
        })
      ),
      Uint8Array.of(2, 2, 3)
    ],
    [
      "a decoder that leaves the cursor behind what is there",
      Frame.decoder<void>({ maxBytes: 10, decode: (cursor) => void (cursor.at += 4) }),
      Uint8Array.of(1, 2, 3)
    ],
    [
      "a program whose part dies, as it does by itself",
      Frame.gen({ maxBytes: 10 }, function* () {
        yield* Frame.uint16
        return yield* Frame.rest
      }),
      Uint8Array.of(1, 2, 3)
    ],
    [
      "a program that yields no frame",
      Frame.gen({ maxBytes: 10 }, function* () {
        yield* Frame.uint16
        return yield "no frame" as never
      }),
      Uint8Array.of(1, 2, 3)
    ],
    [
      "a schema that does not do its work at once",
      FrameSchema.schema(
        later,
        Frame.struct({ value: Frame.uint16 }).pipe(
          Frame.transform({ decode: ({ value }) => value, encode: (value) => ({ value }) })
        )
      ),
      Uint8Array.of(0, 9, 3)
    ]
  ]

  it.effect.each(frames)("%s, while the read waits", ([, frame, all]) =>
    Effect.gen(function* () {
      for (const read of ["readFrame", "readFrameOption", "readFrames"] as const) {
        for (const size of [1, 3]) {
          const { feed, reader } = yield* handFed()
          // the same read, again and again
          const again: Effect.Effect<unknown, unknown> = reader[read](frame)
          const reading = yield* start(Effect.exit(again))
          for (const piece of cut(all, size)) feed(piece)
          for (const exit of [yield* Fiber.join(reading), yield* Effect.exit(again), yield* Effect.exit(again)])
            assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), `${read}, ${size}: ${String(exit)}`)
          // and nothing was taken
          assert.deepStrictEqual(yield* reader.readExactly(3), all)
        }
      }
    })
  )

  it.effect("messages in front of it come first, and are not lost", () => {
    const frame = Frame.decoder<number>({
      maxBytes: 1,
      decode: (cursor) => {
        if (cursor.at === cursor.end) return cursor.more(1)
        const byte = cursor.bytes[cursor.at]!
        if (byte === 9) throw new Error("a mistake")
        cursor.at++
        return byte
      }
    })
    const all = Uint8Array.of(1, 2, 9, 4)
    return Effect.gen(function* () {
      for (const waits of [true, false]) {
        const { feed, reader } = yield* handFed()
        if (!waits) feed(all)
        const reading = yield* start(reader.readFrames(frame))
        if (waits) feed(all)
        assert.deepStrictEqual(yield* Fiber.join(reading), [1, 2])
        const exit = yield* Effect.exit(reader.readFrames(frame))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.deepStrictEqual(yield* reader.readExactly(2), Uint8Array.of(9, 4))
      }
      const decoder = Frame.makeDecoder(frame)
      assert.deepStrictEqual(decoder.push(all), [1, 2])
      assert.throws(() => decoder.push(new Uint8Array(0)), "a mistake")
      assert.deepStrictEqual(decoder.leftover, Uint8Array.of(9, 4))
    })
  })
})

describe("bytes that are all there", () => {
  const tagged = Frame.struct({ tag: Frame.uint8, text: Frame.utf8Rest })

  it("have something left", () => {
    assert.deepStrictEqual(Frame.decodeResultUnsafe(tagged, bytes("\u0001abc")), { tag: 1, text: "abc" })
    assert.deepStrictEqual(Frame.decodeResultUnsafe(tagged, bytes("\u0001")), { tag: 1, text: "" })
    assert.deepStrictEqual(Frame.decodeResultUnsafe(Frame.rest, bytes("abc")), bytes("abc"))
    const program = Frame.gen({ maxBytes: 100 }, function* () {
      return [yield* Frame.uint8, yield* Frame.rest]
    })
    assert.deepStrictEqual(Frame.decodeResultUnsafe(program, bytes("\u0001abc")), [1, bytes("abc")])
  })

  it("are told as they were where something is missing, wrong, or too much", () => {
    const messageOf = <A>(frame: Frame.Decoder<A>, given: Uint8Array): string => {
      const result = Frame.decodeResult(frame, given)
      return Result.isFailure(result) ? `${result.failure._tag}: ${result.failure.message}` : "read"
    }
    assert.match(messageOf(Frame.uint16, bytes("a")), /^IncompleteRead: /)
    assert.match(messageOf(Frame.tuple(Frame.uint8, Frame.uint16), bytes("ab")), /^IncompleteRead: /)
    assert.match(messageOf(Frame.uint8, bytes("ab")), /^MalformedFrame: .*1 byte behind the message/)
    assert.match(messageOf(Frame.line({ maxBytes: 2 }), bytes("abc\n")), /^LimitOverrun: /)
    assert.match(messageOf(tagged, bytes("")), /^IncompleteRead: /)
    assert.match(
      messageOf(tagged, Uint8Array.of(1, 255)),
      /^MalformedFrame: decode: text is malformed: not valid UTF-8/
    )
    assert.match(messageOf(Frame.limited(tagged, 3), bytes("\u0001abc")), /^LimitOverrun: /)
  })

  it("are what they are to a stream that ends there: an end that is cut off is no item", () => {
    const end = Frame.lengthPrefixed(
      Frame.uint8,
      { maxBytes: 9 },
      Frame.utf8Rest.pipe(Frame.transform({ decode: (): void => {}, encode: () => "" }))
    )
    const list = Frame.repeatUntil(Frame.uint8, end, { maxItems: 9 })
    const given = Uint8Array.of(5, 0)
    const decoder = Frame.makeDecoder(list)
    assert.deepStrictEqual(decoder.push(given), [])
    assert.throws(() => decoder.end(), "the stream ended after 2 bytes")
    const result = Frame.decodeResult(list, given)
    assert.strictEqual(Result.isFailure(result) && result.failure._tag, "IncompleteRead")
  })

  it.effect("elsewhere more may come: what is left is not known", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes("\u0001abc")
      const exit = yield* Effect.exit(reader.readFrame(tagged))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )
})

it("a decoder has a name as well, which tells where something is wrong with it", () => {
  const reply: Frame.Decoder<string> = Frame.gen({ maxBytes: 100 }, function* () {
    return yield* Frame.utf8(yield* Frame.uint8)
  }).pipe(Frame.named("Reply"))
  const messageOf = (given: Uint8Array): string => {
    const result = Frame.decodeResult(reply, given)
    return Result.isFailure(result) ? result.failure.message : "read"
  }
  assert.strictEqual(messageOf(Uint8Array.of(1, 255)), "decode: Reply is malformed: not valid UTF-8 (at byte 1: ff)")
  assert.strictEqual(messageOf(Uint8Array.of(2, 97)), "decode: the stream ended after 2 bytes of Reply")
})
