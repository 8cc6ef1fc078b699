/** Runs of messages, which may be decoded together: what comes out is what comes out of them one by one. */
import * as Frame from "effect-byte-streams/Frame"
import * as FrameSchema from "effect-byte-streams/FrameSchema"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"

const encoder = new TextEncoder()
const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(parts))

type Outcome = { readonly value: unknown } | { readonly error: string }

/** What a decoder says of bytes that come in pieces: values and errors, in order. At most `pushes` errors are asked for. */
const outcomes = (frame: Frame.Decoder<unknown>, pieces: ReadonlyArray<Uint8Array>): ReadonlyArray<Outcome> => {
  const decoder = Frame.makeDecoder(frame)
  const found: Array<Outcome> = []
  const push = (bytes: Uint8Array): boolean => {
    try {
      for (const value of decoder.push(bytes)) found.push({ value })
      return false
    } catch (error) {
      const last = found.at(-1)
      // not the bytes that it shows, which are those that had come
      const text = String(error).replace(/(?<=at byte \d+):.*/, "")
      // one that ends nowhere is found again
      if (last === undefined || !("error" in last) || last.error !== text) found.push({ error: text })
      return true
    }
  }
  for (const piece of pieces) push(piece)
  // what was wrong behind some is told by the next, and behind that there may be others
  for (let i = 0; i < 300; i++) {
    const before = found.length
    if (!push(new Uint8Array(0)) && found.length === before) break
  }
  found.push({ value: Array.from(decoder.leftover) })
  return found
}

const json = fc.oneof(
  fc.record({ id: fc.nat(), text: fc.string({ maxLength: 30 }) }),
  fc.record({ id: fc.nat(), text: fc.string({ unit: "grapheme", maxLength: 10 }) }),
  fc.array(fc.nat(9), { maxLength: 20 })
)
const bad = fc.constantFrom("{no", "", "\r", '"\ud800'.slice(0, 1), `"${"long".repeat(40)}"`)
const lines = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 20, arbitrary: json.map((value) => encoder.encode(JSON.stringify(value))) },
      { weight: 1, arbitrary: bad.map((text) => encoder.encode(text)) },
      { weight: 1, arbitrary: fc.constant(Uint8Array.of(34, 255, 34)) }
    ),
    fc.constantFrom("\n", "\n", "\r\n")
  ),
  { maxLength: 200, size: "max" }
)

const ndjson = FrameSchema.ndjson(Schema.Unknown, { maxBytes: 120 })

const cutAt = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.slice(at[i]!, end))
}

describe("lines of JSON that are decoded many at a time", () => {
  it("are what they are one by one: values, faults, and what is left", () => {
    fc.assert(
      fc.property(lines, fc.array(fc.nat(), { maxLength: 4 }), (lines, places) => {
        const parts = lines.map(([line, end]) => concat([line, encoder.encode(end)]))
        const all = concat(parts)
        // byte by byte nothing is decoded together
        const expected = outcomes(
          ndjson,
          Array.from(all, (byte) => Uint8Array.of(byte))
        )
        assert.deepStrictEqual(outcomes(ndjson, cutAt(all, places)), expected)
      }),
      { numRuns: 40 }
    )
  })

  it("end with the body that they lie in, whatever comes behind it", () => {
    // the first line is looked at with all that comes behind it, the second only with its body
    const frame = Frame.tuple(ndjson, Frame.lengthPrefixed(Frame.uint8, { maxBytes: 100 }, ndjson))
    const message = (body: string): Uint8Array => encoder.encode(`1\n${String.fromCharCode(body.length)}${body}`)
    const good = Array.from({ length: 300 }, () => message("12\n"))
    const many = concat([...good, message("34"), ...good])
    const found = outcomes(frame, [many])
    assert.deepStrictEqual(
      found.filter((one) => "value" in one).map(({ value }) => value),
      [...Array.from({ length: 600 }, () => [1, 12]), []]
    )
    const errors = found.filter((one) => "error" in one).map(({ error }) => error)
    assert.lengthOf(errors, 1)
    assert.include(errors[0], "the body ends in the middle of it")
  })

  it("are read anew once their memory holds something else", () => {
    const memory = new Uint8Array(1024)
    const decoder = Frame.makeDecoder(ndjson)
    for (const digit of ["1", "2"]) {
      memory.set(encoder.encode(`${digit}\n`.repeat(512)))
      assert.deepStrictEqual(
        decoder.push(memory),
        Array.from({ length: 512 }, () => Number(digit))
      )
    }
  })
})

describe("structs", () => {
  it("mean the same where functions may not be made from text, in any pieces", () => {
    const field = fc.constantFrom<Frame.Frame<unknown>>(
      ...([
        Frame.uint8,
        Frame.int8,
        Frame.uint16LE,
        Frame.int16,
        Frame.uint24,
        Frame.int24LE,
        Frame.uint32,
        Frame.uint32LE,
        Frame.int32,
        Frame.int32LE,
        Frame.uint64,
        Frame.varint,
        Frame.lengthPrefixed(Frame.uint8, { maxBytes: 5 }),
        Frame.refine(Frame.uint8, (byte) => byte < 200, "200 or more")
      ] as ReadonlyArray<Frame.Frame<unknown>>)
    )
    const bytes = fc.array(
      fc.oneof({ weight: 1, arbitrary: fc.nat(255) }, { weight: 4, arbitrary: fc.constantFrom(0, 1, 4, 120) }),
      { maxLength: 120, size: "max" }
    )
    let values = 0
    fc.assert(
      fc.property(
        fc.array(field, { minLength: 1, maxLength: 8 }),
        bytes,
        fc.array(fc.nat(), { maxLength: 3 }),
        fc.nat(3),
        (fields, bytes, places, kind) => {
          const frames = [undefined, false].map((compile) => {
            const named = Object.fromEntries(fields.map((frame, i) => [`field${i}`, frame]))
            const struct = Frame.struct(named, compile === undefined ? {} : { compile })
            return kind === 0 ? Frame.lengthPrefixed(Frame.uint8, { maxBytes: 40 }, struct) : struct
          })
          const pieces = cutAt(Uint8Array.from(bytes), places)
          const [compiled, loop] = frames.map((frame) => outcomes(frame, pieces))
          assert.deepStrictEqual(compiled, loop)
          values += loop!.filter((one) => "value" in one).length - 1
        }
      ),
      { numRuns: 300 }
    )
    assert.isAbove(values, 150)
  })
})
