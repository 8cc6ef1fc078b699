/** What decoding a frame costs does not depend on how its bytes arrive, and grows with their number and no faster. */
import { assert, describe, it } from "@effect/vitest"
import { Frame } from "effect-byte-streams"
import { nested } from "../support/frames.ts"

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
})
