/** The same bytes, cut differently. */
import * as fc from "fast-check"

/** Cuts `text` at random places; empty chunks among them. */
export const chunkings = (text: string): fc.Arbitrary<ReadonlyArray<string>> =>
  fc.oneof(
    fc.constant([text]),
    fc.constant([...text]),
    fc.array(fc.nat({ max: text.length }), { maxLength: Math.min(30, text.length + 2), size: "max" }).map((cuts) =>
      cutAt(
        text,
        [...cuts].sort((a, b) => a - b)
      )
    )
  )

const cutAt = (text: string, cuts: ReadonlyArray<number>): ReadonlyArray<string> =>
  [0, ...cuts].map((cut, index) => text.slice(cut, cuts[index] ?? text.length))

/** `text`, with two ways to cut it. */
export const twice = (
  texts: fc.Arbitrary<string>
): fc.Arbitrary<{
  readonly text: string
  readonly one: ReadonlyArray<string>
  readonly other: ReadonlyArray<string>
}> => texts.chain((text) => fc.record({ text: fc.constant(text), one: chunkings(text), other: chunkings(text) }))
