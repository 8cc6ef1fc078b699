/** Integers as digits in ASCII. */
import { integer, tooWide } from "./integers.ts"
import { make, type Node } from "./node.ts"
import type { Sink } from "./sink.ts"

export interface IntegerTextOptions {
  readonly end: Uint8Array
  readonly radix: 10 | 16
  readonly signed: boolean
  readonly leadingZeros: boolean
}

/** As many digits as a number can have, and leading zeros. */
const mostDigits = 20

/** The value of an ASCII digit, or more than any radix. */
const digitOf = (byte: number): number => {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : 99
}

/** Digits in ASCII, up to their end. */
export const integerText = ({ end, leadingZeros, radix, signed: isSigned }: IntegerTextOptions): Node<number> => {
  if (end.length === 0) throw new RangeError("integerText: end must be at least one byte long")
  if (digitOf(end[0]!) < radix) throw new RangeError("integerText: end must not begin with a digit")
  const most = mostDigits + (isSigned ? 1 : 0)
  return make<number>({
    name: "integerText",
    min: 1 + end.length,
    max: most + end.length,
    isBigint: false,
    read: (cursor) => {
      const { at, bytes, end: last } = cursor
      let i = at
      let negative = false
      if (isSigned && i < last && (bytes[i] === 45 || bytes[i] === 43)) {
        negative = bytes[i] === 45
        i++
      }
      const digits = i
      let value = 0
      for (; i < last; i++) {
        const digit = digitOf(bytes[i]!)
        if (digit >= radix) break
        value = value * radix + digit
        if (i - digits >= mostDigits) return cursor.malformed(`more than ${mostDigits} digits`)
      }
      // what is wrong may show with the next byte
      if (i === last) return cursor.more(1)
      if (i === digits) return cursor.malformed("a digit is missing", i)
      if (value > Number.MAX_SAFE_INTEGER) return cursor.malformed(tooWide)
      if (!leadingZeros && bytes[digits] === 48 && i - digits > 1) return cursor.malformed("a leading zero")
      for (let k = 0; k < end.length; k++) {
        if (i + k === last) return cursor.more(1)
        if (bytes[i + k] !== end[k]) return cursor.malformed("a number that does not end where it must", i + k)
      }
      cursor.at = i + end.length
      return negative && value !== 0 ? -value : value
    },
    write: (sink: Sink, value) => {
      integer(value, isSigned ? -Number.MAX_SAFE_INTEGER : 0, Number.MAX_SAFE_INTEGER)
      sink.text(value.toString(radix))
      sink.put(end)
    }
  })
}
