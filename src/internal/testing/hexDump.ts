/** Bytes for people: rows of sixteen, and a mark under the one that matters. */
import { count, row as renderRow, rowBytes } from "../observe/dump.ts"

export { count }

/** Rows shown before and behind the marked one. */
const rowsAround = 2

/** What was expected and what came, around the first byte at which they differ. */
export const compare = (expected: Uint8Array, actual: Uint8Array, at: number): string =>
  [
    `expected ${count(expected.length)}`,
    ...dump(expected, at),
    `actual ${count(actual.length)}`,
    ...dump(actual, at)
  ].join("\n")

/** The rows around `at`, with a mark under it. */
export const dump = (bytes: Uint8Array, at: number): ReadonlyArray<string> => {
  if (bytes.length === 0) return ["  (nothing)"]
  const rows = Math.ceil(bytes.length / rowBytes)
  const marked = Math.floor(at / rowBytes)
  const first = Math.max(0, Math.min(marked, rows - 1) - rowsAround)
  const last = Math.min(rows - 1, marked + rowsAround)
  const lines: Array<string> = []
  if (first > 0) lines.push(`  … ${count(first * rowBytes)} before`)
  for (let row = first; row <= last; row++) {
    lines.push(`  ${renderRow(bytes, row * rowBytes)}`)
    if (row === marked) lines.push(mark(at % rowBytes))
  }
  const shown = (last + 1) * rowBytes
  if (shown < bytes.length) lines.push(`  … ${count(bytes.length - shown)} more`)
  // what differs is that there is no more: the mark stands where it would be
  else if (marked > last) lines.push(mark(at % rowBytes))
  return lines
}

const indent = "  00000000  ".length

/** Where the hexadecimal digits of a row's byte begin; there is a gap in the middle. */
const column = (index: number): number => indent + index * 3 + (index >= rowBytes / 2 ? 1 : 0)

const mark = (index: number): string => `${" ".repeat(column(index))}^^`

/** One byte, in hexadecimal and as a character where it is one. */
export const byte = (value: number | undefined): string => {
  if (value === undefined) return "nothing"
  const hex = `0x${value.toString(16).padStart(2, "0")}`
  return value >= 0x20 && value < 0x7f ? `${hex} '${String.fromCharCode(value)}'` : hex
}
