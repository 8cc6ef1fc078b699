/** Bytes for people to read: as text in one line, or in rows of sixteen. */
import * as Bytes from "../base/bytes.ts"
import { type Ranges } from "./masks.ts"

export const count = (bytes: number): string => (bytes === 1 ? "1 byte" : `${bytes} bytes`)

// ---------------------------------------------------------------------------
// text
// ---------------------------------------------------------------------------

const escapes: ReadonlyMap<number, string> = new Map([
  [0x00, "\\0"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x1b, "\\e"],
  [0x22, '\\"'],
  [0x5c, "\\\\"]
])

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

/** What moves, hides or reorders other characters, and what stands for bytes that are no text. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}\ufffd]/u

/** How many bytes the character has that begins here, if it has several and is one to be shown. */
const wide = (bytes: Uint8Array, at: number, end: number): number => {
  const lead = bytes[at]!
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0
  if (length === 0 || at + length > end) return 0
  return unprintable.test(Bytes.decode(bytes, at, at + length)) ? 0 : length
}

const escaped = (bytes: Uint8Array, from: number, to: number): string => {
  let text = ""
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!
    const escape = escapes.get(byte)
    if (escape !== undefined) text += escape
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else {
      const length = wide(bytes, i, to)
      text += length === 0 ? `\\x${hex(byte)}` : Bytes.decode(bytes, i, i + length)
      i += Math.max(0, length - 1)
    }
  }
  return text
}

/** In quotes, with what is no text escaped, and `*` for what is masked. */
export const text = (bytes: Uint8Array, ranges: Ranges): string => {
  let shown = '"'
  let at = 0
  for (const [from, to] of ranges) {
    shown += escaped(bytes, at, from) + "*".repeat(to - from)
    at = to
  }
  return `${shown}${escaped(bytes, at, bytes.length)}"`
}

// ---------------------------------------------------------------------------
// rows
// ---------------------------------------------------------------------------

export const rowBytes = 16

/** One row: the offset of its first byte, the digits with a gap in the middle, the characters. */
export const row = (bytes: Uint8Array, from: number, hidden: (at: number) => boolean = () => false): string => {
  const row = Array.from(bytes.subarray(from, from + rowBytes))
  const digits = row.map((byte, index) => (hidden(from + index) ? "**" : hex(byte)))
  const left = digits.slice(0, 8).join(" ").padEnd(23)
  const right = digits.slice(8).join(" ").padEnd(23)
  const characters = row.map((byte, index) =>
    hidden(from + index) ? "*" : byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."
  )
  return `${from.toString(16).padStart(8, "0")}  ${left}  ${right}  |${characters.join("")}|`
}

/** Rows of sixteen, with `*` for what is masked. */
export const rows = (bytes: Uint8Array, ranges: Ranges): ReadonlyArray<string> => {
  const mask = new Uint8Array(bytes.length)
  for (const [from, to] of ranges) mask.fill(1, from, to)
  const hidden = (at: number): boolean => mask[at] === 1
  return Array.from({ length: Math.ceil(bytes.length / rowBytes) }, (_, index) => row(bytes, index * rowBytes, hidden))
}
