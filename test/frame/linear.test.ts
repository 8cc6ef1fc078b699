/** What decoding a frame costs does not depend on how its bytes arrive, and grows with their number and no faster. */
import { assert, describe, it } from "@effect/vitest"
import { Frame } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { constructors, nested } from "../support/frames.ts"
import { handFed } from "../support/handFed.ts"
import { forAll } from "../support/property.ts"
import { counting } from "../support/work.ts"

describe("rank 35: linear", () => {
  /** Nested arrays, wide and deep, of about so many bytes. */
  const message = (bytes: number, length = 8): unknown => {
    let value: unknown = []
    const word = "x".repeat(length)
    const leaves = Math.floor(bytes / (length + 12))
    const inner: Array<unknown> = []
    for (let i = 0; i < leaves; i++) inner.push([i % 100, [word, [i % 7]]])
    for (let depth = 0; depth < 90; depth++) value = [value]
    return [inner, value]
  }

  const cost = (bytes: Uint8Array, size: number): number => {
    const decoder = Frame.makeDecoder(nested) as any
    let messages = 0
    for (let at = 0; at < bytes.length; at += size) messages += decoder.push(bytes.subarray(at, at + size)).length
    assert.strictEqual(messages, 1)
    return decoder.cursor.looked + decoder.cursor.entered
  }

  it("nested arrays, dribbled byte by byte: eight times the message costs at most ten times as much", () => {
    const small = Frame.encodeResultUnsafe(nested, message(100_000))
    const large = Frame.encodeResultUnsafe(nested, message(800_000))
    for (const size of [1, 3, 1000, 65_536]) {
      assert.isAtMost(
        cost(large, size),
        10 * cost(small, size) * (large.length / (8 * small.length)),
        `${size} at a time`
      )
    }
  }, 60_000)

  it("10 MB in pieces of 64 KiB cost no more a byte than 100 KB do", () => {
    const small = Frame.encodeResultUnsafe(nested, message(100_000, 250))
    const large = Frame.encodeResultUnsafe(nested, message(10_000_000, 250))
    assert.isAbove(large.length, 8_000_000)
    assert.isAtMost(cost(large, 65_536) / large.length, (1.3 * cost(small, 1)) / small.length)
  })

  it("a long text up to its end, dribbled, is searched once", () => {
    const frame = Frame.line({ maxBytes: 1_000_000 })
    const decoder = Frame.makeDecoder(frame) as any
    for (let i = 0; i < 100_000; i++) decoder.push(new Uint8Array([97]))
    assert.strictEqual(decoder.push(new Uint8Array([10])).length, 1)
    assert.isAtMost(decoder.cursor.looked, 400_000)
  })

  const size = 100_000
  const dribbled: ReadonlyArray<readonly [name: string, frame: Frame.Decoder<unknown>, end: string, byte: number]> = [
    ["a line", Frame.line({ maxBytes: size, end: "crlf" }), "\r\n", 13],
    ["text up to a zero", Frame.cstring({ maxBytes: size }), "\0", 97],
    ["one of several separators", Frame.delimited(["--", ";;"], { maxBytes: size }), ";;", 45 + 1],
    ["a literal", Frame.literal("a".repeat(size - 1)), "", 97],
    [
      "lines up to an empty one",
      Frame.repeatUntil(Frame.line({ maxBytes: size }), Frame.literal("\n"), { maxItems: 9 }),
      "\n\n",
      97
    ],
    ["text of a known length", Frame.utf8(size - 1), "", 97],
    [
      "a field behind another",
      Frame.struct({ first: Frame.uint8, line: Frame.line({ maxBytes: size }), last: Frame.uint8 }),
      "\n1",
      97
    ]
  ]
  for (const piece of [1, 7]) {
    it.effect.each(dribbled)(
      `a read of %s that waits copies and looks at each byte a constant number of times, ${piece} at a time`,
      ([, frame, end, byte]) =>
        Effect.gen(function* () {
          const all = new Uint8Array(size - 1).fill(byte)
          all.set(bytes(end), all.length - end.length)
          const { feed, reader } = yield* handFed()
          const reading = yield* start(reader.readFrame(frame))
          const [, work] = yield* counting(
            Effect.sync(() => {
              for (let at = 0; at < all.length; at += piece) feed(all.slice(at, at + piece))
            })
          )
          yield* Fiber.join(reading)
          assert.isAtMost(work.copied, 8 * size)
          assert.isAtMost(work.searched, 8 * size)
        })
    )
  }

  it.each(constructors)("many messages in one piece cost what each of them costs: $name", ({ frame, values }) => {
    const message = Frame.encodeResultUnsafe(frame, fc.sample(values, { numRuns: 1, seed: 7 })[0])
    const cost = (messages: number): number => {
      const all = new Uint8Array(messages * message.length)
      for (let i = 0; i < messages; i++) all.set(message, i * message.length)
      const decoder = Frame.makeDecoder(frame) as any
      assert.strictEqual(decoder.push(all).length, messages)
      return decoder.cursor.looked + decoder.cursor.entered
    }
    assert.isAtMost(cost(3000), 12 * (cost(300) + 1))
  })

  it("short items up to one of several separators: the others are not looked for behind each", () => {
    // a carriage return is often there, and never ends one
    const frame = Frame.delimited(["\r\n", "\n"], { maxBytes: 1_000_000 })
    const cost = (items: number): number => {
      const decoder = Frame.makeDecoder(frame) as any
      assert.strictEqual(decoder.push(bytes("\r\ra\n".repeat(items))).length, items)
      return decoder.cursor.looked
    }
    assert.isAtMost(cost(8000), 10 * cost(1000))
  })

  it.effect("the separator that ends first is found, however far it is and however it is cut", () => {
    const gaps = fc.oneof(fc.nat(8), fc.integer({ min: 50, max: 80 }), fc.nat(700))
    const filler = fc.string({ unit: fc.constantFrom("a", "-", "=", "x"), minLength: 1, maxLength: 3 })
    const separators = fc.uniqueArray(
      fc.oneof(
        fc.constantFrom("-", "--=", "=a", "xx-x", "ax"),
        fc.constant("=".repeat(90)),
        fc.constant("xa".repeat(40))
      ),
      { minLength: 1, maxLength: 4 }
    )
    return forAll(
      fc.tuple(separators, fc.array(fc.tuple(filler, gaps), { maxLength: 5 }), fc.integer({ min: 1, max: 200 })),
      ([separators, gaps, piece]) =>
        Effect.sync(() => {
          const all = gaps.map(([unit, length]) => unit.repeat(length)).join("")
          const expected: Array<string> = []
          for (let from = 0, at = 0; at <= all.length; at++) {
            // the shortest of those that end here
            const end = separators
              .filter((one) => at - one.length >= from && all.endsWith(one, at))
              .sort((one, other) => one.length - other.length)[0]
            if (end === undefined) continue
            expected.push(all.slice(from, at - end.length))
            from = at
          }
          const frame = Frame.delimited(separators, { maxBytes: 10_000 })
          for (const size of [piece, all.length + 1]) {
            const decoder = Frame.makeDecoder(frame)
            const found: Array<string> = []
            for (let at = 0; at < all.length; at += size) {
              found.push(...decoder.push(bytes(all.slice(at, at + size))).map(text))
            }
            assert.deepStrictEqual(found, expected)
          }
        })
    )
  })
})
