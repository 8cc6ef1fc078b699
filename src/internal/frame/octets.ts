/** What frames need to know of bytes and of text, beside what all of the library does. */
import * as Bytes from "../base/bytes.ts"

/** Also of another realm. */
export const isBytes = (value: unknown): value is Uint8Array => Bytes.from(value) !== undefined

/** Bytes for a message: `de ad be ef`. */
export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")

/** Where a pattern begins that lies in `bytes` from `from` on and before `end`, or -1. */
export const indexOf = (bytes: Uint8Array, pattern: Uint8Array, from: number, end: number): number => {
  const first = pattern[0]!
  const last = end - pattern.length
  for (let index = from; index <= last; index++) {
    index = Bytes.indexOfByte(bytes, first, index, end)
    if (index === -1 || index > last) return -1
    let same = 1
    while (same < pattern.length && bytes[index + same] === pattern[same]) same++
    if (same === pattern.length) return index
  }
  return -1
}

type Slice = (this: Uint8Array, from: number, to: number) => string
const { latin1Slice, utf8Slice } =
  (globalThis as { Buffer?: { readonly prototype: { readonly latin1Slice?: Slice; readonly utf8Slice?: Slice } } })
    .Buffer?.prototype ?? {}

/** Above so many bytes the engine's own decoder is the faster one. */
const mostByHand = 96
const fewBytes = 10

/** The text of bytes that are few, and all ASCII; `undefined` of others. */
const ascii = (bytes: Uint8Array, from: number, to: number): string | undefined => {
  const size = to - from
  if (size > mostByHand) return undefined
  let all = 0
  for (let i = from; i < to; i++) all |= bytes[i]!
  if (all > 127) return undefined
  if (size <= fewBytes || latin1Slice === undefined) {
    let text = ""
    for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i]!)
    return text
  }
  return latin1Slice.call(bytes, from, to)
}

const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const lenientDecoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** The text of bytes, or `undefined` if they are not valid UTF-8. */
export const utf8 = (bytes: Uint8Array, from: number, to: number): string | undefined => {
  const text = ascii(bytes, from, to) ?? utf8Slice?.call(bytes, from, to)
  // Node's own decoder is three times as fast as the standard one, and has this character for what is not valid
  if (text !== undefined && !text.includes("\ufffd")) return text
  try {
    return utf8Decoder.decode(bytes.subarray(from, to))
  } catch {
    return undefined
  }
}

/** The text of bytes that are all ASCII; `undefined` of others. Meant for many bytes. */
export const asciiText = (bytes: Uint8Array, from: number, to: number): string | undefined => {
  const text = utf8Slice?.call(bytes, from, to) ?? lenientDecoder.decode(bytes.subarray(from, to))
  // what is not valid may have as many characters as bytes
  return text.length === to - from && !text.includes("\ufffd") ? text : undefined
}
