/** What is written is what is read, where lengths are known last and parts are long. */
import { assert, describe, it } from "@effect/vitest"
import { Frame } from "effect-byte-streams"
import { Effect, Result } from "effect"
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
