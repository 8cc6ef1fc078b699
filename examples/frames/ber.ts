/** BER with definite lengths (X.690, section 8.1): what LDAP, SNMP and Kerberos are made of. */
import { Result } from "effect"
import { Frame } from "effect-byte-streams"

const maxBytes = 1_000_000

/** Below 128 it is the byte itself; else the byte says how many follow. */
const length = Frame.make<number>({
  decoder: Frame.gen({ maxBytes: 5 }, function* () {
    const first = yield* Frame.uint8
    if (first < 0x80) return first
    if (first === 0x80 || first > 0x84) throw new Error("no definite length of four bytes or less")
    let size = 0
    for (let left = first - 0x80; left > 0; left--) size = size * 256 + (yield* Frame.uint8)
    return size
  }),
  encoder: Frame.encoder({
    encode: (sink, size) => {
      if (size < 0x80) return sink.writeFrame(Frame.uint8, size)
      const bytes: Array<number> = []
      for (let left = size; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256)
      sink.put(Uint8Array.of(0x80 + bytes.length, ...bytes))
    }
  })
})

/** A tag of one byte, and what it is the tag of: bytes, or, with the bit 0x20 in the tag, more of the kind. */
export interface Element {
  readonly tag: number
  readonly value: Uint8Array | ReadonlyArray<Element>
}

const nothingLeft = Frame.transformOrFail(Frame.rest, {
  decode: (left) => (left.length === 0 ? Result.void : Result.fail("more")),
  encode: () => Result.succeed(new Uint8Array(0))
})
const isConstructed = (tag: number): boolean => (tag & 0x20) !== 0

export const element: Frame.Frame<Element> = Frame.suspend(
  () =>
    Frame.make<Element>({
      decoder: Frame.gen({ maxBytes }, function* () {
        const tag = yield* Frame.uint8
        return { tag, value: isConstructed(tag) ? yield* elements : yield* octets }
      }),
      encoder: Frame.encoder({
        encode: (sink, { tag, value }) => {
          sink.writeFrame(Frame.uint8, tag)
          if (isConstructed(tag) === value instanceof Uint8Array) throw Frame.invalid("the tag says otherwise")
          if (value instanceof Uint8Array) sink.writeFrame(octets, value)
          else sink.writeFrame(elements, value)
        }
      })
    }),
  { maxDepth: 32, maxBytes }
)
const octets = Frame.lengthPrefixed(length, { maxBytes })
const elements = Frame.lengthPrefixed(
  length,
  { maxBytes },
  Frame.repeatUntil(element, nothingLeft, { maxItems: 10_000 })
)
