/** What is written is what is read, where lengths are known last and parts are long. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, FrameSchema } from "effect-byte-streams"
import { Effect, Result, Schema } from "effect"
import * as fc from "fast-check"
import { bytes, pattern, text } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { forAll } from "../support/property.ts"

const reasonOf = <A>(frame: Frame.Encoder<A>, value: A): string => {
  const result = Frame.encodeResult(frame, value)
  return Result.isFailure(result) ? result.failure.message : "written"
}

describe("messages with lengths that are known last keep their own bytes, however long their parts are", () => {
  const part = Frame.lengthPrefixed(Frame.uint32, { maxBytes: 100_000 })
  const parts = Frame.array(part, { prefix: Frame.uint8, maxItems: 8 })
  const frames: ReadonlyArray<readonly [string, Frame.Frame<ReadonlyArray<Uint8Array>>]> = [
    ["a varint in front", Frame.lengthPrefixed(Frame.varint, { maxBytes: 1_000_000 }, parts)],
    ["a varint that counts itself", Frame.lengthPrefixed(Frame.varint, { maxBytes: 1_000_000, covers: "all" }, parts)],
    ["digits in front", Frame.netstring({ maxBytes: 1_000_000 }, parts)],
    ["a header in front", Frame.contentLength({ maxBytes: 1_000_000 }, parts)],
    ["items up to an end", Frame.repeatUntil(part, Frame.literal(Uint8Array.of(255)), { maxItems: 8 })],
    [
      "one in the other",
      Frame.lengthPrefixed(
        Frame.varint,
        { maxBytes: 1_000_000 },
        Frame.array(Frame.lengthPrefixed(Frame.varint, { maxBytes: 100_000 }), { prefix: Frame.uint8, maxItems: 8 })
      )
    ]
  ]
  const size = fc.oneof(fc.nat(10), fc.integer({ min: 2000, max: 4096 }), fc.integer({ min: 4090, max: 9000 }))
  const messages = fc.array(fc.array(size, { maxLength: 6 }), { minLength: 1, maxLength: 4 })

  it.effect.each(frames)("%s", ([, frame]) =>
    forAll(
      messages,
      (sizes) =>
        Effect.gen(function* () {
          let first = 0
          const values = sizes.map((message) => message.map((size) => pattern(size).fill(++first)))
          const all = Frame.array(frame, { count: values.length })
          assert.deepStrictEqual(Frame.decodeResultUnsafe(all, Frame.encodeResultUnsafe(all, values)), values)
          const { transport, writer } = yield* fake()
          yield* writer.writeFrames(frame, values)
          yield* writer.flush
          assert.deepStrictEqual(Frame.decodeResultUnsafe(all, transport.sent), values)
        }),
      { numRuns: 60 }
    )
  )
})

describe("a length is any frame of an integer", () => {
  it("text of a fixed number of digits", () => {
    const digits = Frame.transform(Frame.utf8(4), {
      decode: (text) => Number.parseInt(text, 16),
      encode: (size: number) => size.toString(16).padStart(4, "0")
    })
    const line = Frame.lengthPrefixed(digits, { covers: "all", maxBytes: 65_516 }, Frame.utf8Rest)
    for (const value of ["", "hi", "€".repeat(3000)]) {
      const written = Frame.encodeResultUnsafe(line, value)
      assert.strictEqual(text(written.subarray(0, 4)), written.length.toString(16).padStart(4, "0"))
      assert.strictEqual(Frame.decodeResultUnsafe(line, written), value)
    }
  })

  it("one that has a length in front itself", () => {
    const digits = Frame.transform(Frame.netstring({ maxBytes: 5 }, Frame.utf8Rest), { decode: Number, encode: String })
    const message = Frame.lengthPrefixed(digits, { maxBytes: 1000 }, Frame.utf8Rest)
    assert.strictEqual(text(Frame.encodeResultUnsafe(message, "hello")), "1:5,hello")
    const whole = Frame.lengthPrefixed(digits, { maxBytes: 1000, covers: "all" }, Frame.utf8Rest)
    assert.strictEqual(text(Frame.encodeResultUnsafe(whole, "hello")), "1:9,hello")
  })
})

describe("a length, or a number of items, may be a bigint of any frame", () => {
  const big: ReadonlyArray<readonly [string, Frame.Frame<bigint>]> = [
    ["refined", Frame.refine(Frame.uint64, (size) => size % 1n === 0n)],
    ["bounded", Frame.limited(Frame.uint64, 8)],
    ["named", Frame.named(Frame.uint64, "Size")],
    ["of another kind", Frame.transform(Frame.uint64LE, { decode: (size) => size / 2n, encode: (size) => size * 2n })],
    ["of a number", Frame.transform(Frame.uint16, { decode: BigInt, encode: Number })],
    ["of text", Frame.transform(Frame.cstring({ maxBytes: 20 }), { decode: BigInt, encode: String })],
    ["suspended", Frame.suspend(() => Frame.varint64, { maxDepth: 1, maxBytes: 10 })],
    ["of a schema", FrameSchema.schema(Schema.BigInt, Frame.int64)],
    [
      "of two halves",
      Frame.make({
        decoder: Frame.gen({ maxBytes: 8 }, function* () {
          return yield* Frame.uint64
        }),
        encoder: Frame.uint64
      })
    ]
  ]
  it.each(big)("%s", (_, prefix) => {
    const body = Frame.lengthPrefixed(prefix, { maxBytes: 9 }, Frame.utf8Rest)
    assert.strictEqual(Frame.decodeResultUnsafe(body, Frame.encodeResultUnsafe(body, "hello")), "hello")
    const items = Frame.array(Frame.uint8, { prefix, maxItems: 9 })
    assert.deepStrictEqual(Frame.decodeResultUnsafe(items, Frame.encodeResultUnsafe(items, [1, 2, 3])), [1, 2, 3])
  })

  it("one that it cannot say is not written", () => {
    const prefix = Frame.refine(Frame.uint64, (size) => size < 3n, "more than two")
    const items = Frame.array(Frame.uint8, { prefix, maxItems: 9 })
    assert.strictEqual(reasonOf(items, [1, 2, 3]), "encode: count more than two")
  })
})

it("a value that takes no bytes is written as no other", () => {
  const packet = Frame.struct({ version: Frame.succeed(1), id: Frame.uint8 })
  assert.deepStrictEqual(Frame.encodeResultUnsafe(packet, { version: 1, id: 7 }), Uint8Array.of(7))
  assert.strictEqual(reasonOf(packet, { version: 2, id: 7 }), "encode: version must be 1 (number), got 2 (number)")
  for (const value of [Number.NaN, 0, "x", null, true, 3n]) {
    assert.strictEqual(Frame.encodeResultUnsafe<unknown>(Frame.succeed<unknown>(value), value).length, 0)
    assert.include(reasonOf<unknown>(Frame.succeed<unknown>(value), "y"), "succeed must be")
  }
  // a length that is known from elsewhere
  for (const size of [3, 3n]) {
    const known = Frame.lengthPrefixed(Frame.succeed<any>(size), { maxBytes: 9 }, Frame.utf8Rest)
    assert.strictEqual(Frame.decodeResultUnsafe(known, Frame.encodeResultUnsafe(known, "abc")), "abc")
    assert.include(reasonOf(known, "abcd"), "length must be 3")
  }
})

it("what a pair of two halves could not read again is not written", () => {
  const pair = Frame.make<string>({
    decoder: Frame.gen({ maxBytes: 6 }, function* () {
      return yield* Frame.cstring({ maxBytes: 100 })
    }),
    encoder: Frame.cstring({ maxBytes: 100 })
  })
  assert.strictEqual(Frame.decodeResultUnsafe(pair, Frame.encodeResultUnsafe(pair, "hello")), "hello")
  assert.strictEqual(reasonOf(pair, "hello!"), "encode: gen must have 6 bytes or less, got 7")
})

describe("items that would be taken for the end are not written", () => {
  const end = Frame.literal("\r\n")

  it("one that is the end together with what stands behind it", () => {
    const letters = Frame.repeatUntil(Frame.bytes(1), end, { maxItems: 10 })
    assert.include(reasonOf(letters, [bytes("\r"), bytes("\n")]), "[0] would be taken for the end")
    assert.include(reasonOf(letters, [bytes("a"), bytes("\r"), bytes("\n")]), "[1] would be taken for the end")
    for (const value of [["\n", "\r"], ["\r"], ["\r", "\r"], ["a", "\n"]]) {
      const written = Frame.encodeResultUnsafe(letters, value.map(bytes))
      assert.deepStrictEqual(Frame.decodeResultUnsafe(letters, written).map(text), value)
    }
  })

  it("what is left of a body ends the items in it", () => {
    const end = Frame.transformOrFail(Frame.rest, {
      decode: (left) => (left.length === 0 ? Result.void : Result.fail("more")),
      encode: () => Result.succeed(new Uint8Array(0))
    })
    const short = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 9 }, Frame.utf8Rest)
    const items = Frame.lengthPrefixed(Frame.uint16, { maxBytes: 99 }, Frame.repeatUntil(short, end, { maxItems: 9 }))
    for (const value of [[], ["a"], ["", "bc", ""]])
      assert.deepStrictEqual(Frame.decodeResultUnsafe(items, Frame.encodeResultUnsafe(items, value)), value)
    const nothing = Frame.lengthPrefixed(
      Frame.uint8,
      { maxBytes: 9 },
      Frame.repeatUntil(Frame.succeed(1), end, { maxItems: 9 })
    )
    assert.include(reasonOf(nothing, [1]), "[0] would be taken for the end")
  })

  it.effect("whatever is written is read again", () => {
    const letters = Frame.repeatUntil(Frame.utf8(1), Frame.literal("aab"), { maxItems: 12 })
    let written = 0
    return forAll(fc.array(fc.constantFrom("a", "b"), { maxLength: 12 }), (value) =>
      Effect.sync(() => {
        const result = Frame.encodeResult(letters, value)
        assert.strictEqual(Result.isSuccess(result), !value.join("").includes("aab"))
        if (Result.isFailure(result)) return
        written++
        assert.deepStrictEqual(Frame.decodeResultUnsafe(letters, result.success), value)
      })
    ).pipe(Effect.andThen(Effect.sync(() => assert.isAbove(written, 5))))
  })
})

describe("what would be read as something else is not written", () => {
  it("of separators with another in them, one that counts when it is read is written", () => {
    for (const [ends, written] of [
      [["\r\n", "\n"], "a\n"],
      [["\n", "\r\n"], "a\n"],
      [["xab", "ab", "b"], "ab"],
      [["--end", "--"], "a--"],
      [["xab", "yab", ";"], "axab"]
    ] as const) {
      const frame = Frame.delimited(ends, { maxBytes: 10 })
      assert.deepStrictEqual(Frame.encodeResultUnsafe(frame, bytes("a")), bytes(written))
      assert.deepStrictEqual(Frame.decodeResultUnsafe(frame, bytes(written)), bytes("a"))
    }
  })

  it.effect("whatever can be written up to one of several separators is read again", () =>
    forAll(
      fc.record({
        ends: fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 3 }), {
          minLength: 1,
          maxLength: 3
        }),
        values: fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 5 }), { minLength: 1 })
      }),
      ({ ends, values }) =>
        Effect.sync(() => {
          const frame = Frame.delimited(ends, { maxBytes: 10 })
          // nothing stands in the way of what has no byte of a separator in it
          assert.isTrue(Result.isSuccess(Frame.encodeResult(frame, bytes("cc"))))
          for (const value of values) {
            const written = Frame.encodeResult(frame, bytes(value))
            if (Result.isSuccess(written)) {
              assert.deepStrictEqual(Frame.decodeResultUnsafe(frame, written.success), bytes(value))
            }
          }
        })
    )
  )

  it("JSON has no word for NaN: it is refused, and null is not", () => {
    const numbers = FrameSchema.ndjson(Schema.Struct({ all: Schema.Array(Schema.Number) }), { maxBytes: 100 })
    const anything = FrameSchema.ndjson(Schema.Unknown, { maxBytes: 100 })
    for (const none of [Number.NaN, Infinity, -Infinity]) {
      assert.match(reasonOf(numbers, { all: [1, none] }), /ndjson has no JSON: .* would be null/)
      assert.match(reasonOf(anything, { deep: { null: [null, { none }] } }), /would be null/)
    }
    for (const none of [undefined, () => 1, Symbol("none")]) assert.match(reasonOf(anything, [none]), /would be null/)
    for (const value of [null, [null, "null"], { null: null }, { not: new Date(Number.NaN) }]) {
      assert.strictEqual(reasonOf(anything, value), "written")
    }
    assert.strictEqual(reasonOf(anything, { left: undefined, out: null }), "written")
  })
})

it("a schema is given to a frame in a pipe as well", () => {
  const port = Frame.line({ maxBytes: 5 }).pipe(FrameSchema.schema(Schema.NumberFromString))
  assert.deepStrictEqual(Frame.encodeResultUnsafe(port, 80), bytes("80\n"))
  assert.strictEqual(Frame.decodeResultUnsafe(port, bytes("80\n")), 80)
})

describe("an encoder that writes frames", () => {
  const text = Frame.lengthPrefixed(Frame.uint16, { maxBytes: 10_000 }, Frame.utf8Rest)
  const list: Frame.Encoder<ReadonlyArray<string>> = Frame.encoder({
    encode: (sink, value) => {
      for (const one of value) sink.writeFrame(text, one)
      sink.writeFrame(Frame.uint16, 0)
    }
  })

  it("writes them where it is, however long they are", () => {
    const value = ["a", "x".repeat(9000), "", "y".repeat(300)]
    const parts = [...value.map((one) => Frame.encodeResultUnsafe(text, one)), new Uint8Array(2)]
    assert.deepStrictEqual(Frame.encodeResultUnsafe(list, value), Uint8Array.from(parts.flatMap((part) => [...part])))
  })

  it("says of a part that cannot be written where it is", () => {
    const packet = Frame.struct({
      names: Frame.make({
        decoder: Frame.gen({ maxBytes: 1 }, function* () {
          return [yield* text]
        }),
        encoder: list
      })
    })
    const result = Frame.encodeResult(packet, { names: ["x".repeat(10_001)] })
    assert.deepInclude(Result.isFailure(result) && { ...result.failure }, {
      frame: "names",
      reason: "must have 10000 bytes or less, got 10001"
    })
  })

  it("dies of what is no frame", () => {
    const swapped = Frame.encoder<number>({ encode: (sink, value) => sink.writeFrame(value as never, Frame.uint8) })
    assert.throws(
      () => Frame.encodeResult(swapped, 1),
      TypeError,
      "writeFrame: expected a Frame, in front of the value"
    )
  })
})

describe("a part that the runners cannot write", () => {
  const short = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 3 }, Frame.utf8Rest)
  const byHand = Frame.encoder<string>({ encode: (sink, value) => sink.put(Frame.encodeResultUnsafe(short, value)) })
  const packet = Frame.make({ decoder: short, encoder: byHand })

  it("cannot be written, wherever it stands", () => {
    assert.strictEqual(reasonOf(byHand, "long"), "encode: lengthPrefixed must have 3 bytes or less, got 4")
    const pair = Frame.struct({ one: packet, other: packet })
    assert.strictEqual(
      reasonOf(pair, { one: "abc", other: "long" }),
      "encode: other.lengthPrefixed must have 3 bytes or less, got 4"
    )
  })

  it.effect("fails a write, which writes nothing, and ends nothing", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const error = yield* Effect.flip(writer.writeFrame(packet, "long"))
      assert.strictEqual(error._tag, "EncodeFailed")
      yield* writer.writeFrame(packet, "abc")
      yield* writer.flush
      assert.deepStrictEqual(transport.sent, bytes("\u0003abc"))
    })
  )
})
