/** Bytes in hexadecimal, as many in a row as the columns have room for. */

const sizes = [16, 12, 8, 4, 2, 1] as const

/** The row of `size` bytes without the number in front: digits, and what is ASCII of them between bars. */
const rowColumns = (size: number): number => size * 3 + 1 + size + 2

export const hexRows = (bytes: Uint8Array, columns: number): ReadonlyArray<string> => {
  const digits = Math.max(4, bytes.length.toString(16).length)
  const fits = (size: number): boolean => digits + 2 + rowColumns(size) <= columns
  const size = sizes.find(fits) ?? 1
  const digitsColumns = Math.min(size, bytes.length) * 3 - 1
  const rows: Array<string> = []
  for (let from = 0; from < bytes.length; from += size) {
    const row = bytes.subarray(from, from + size)
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join(" ")
    const text = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("")
    const at = fits(size) ? `${from.toString(16).padStart(digits, "0")}  ` : ""
    rows.push(`${at}${hex.padEnd(digitsColumns)}  |${text}|`)
  }
  return rows
}
