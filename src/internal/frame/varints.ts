/** Integers that say themselves how many bytes they have. */
import { stop } from "./cursor.ts"
import { bigint, get32, integer, join64, most64, put16, put32, put64, signed64, tooWide } from "./integers.ts"
import { count, describe, make, type Node } from "./node.ts"

export interface VarintOptions {
  readonly maxBytes?: number | undefined
  readonly padded?: "refuse" | "accept" | undefined
}

const refusesPadded = (
  operation: string,
  options: VarintOptions | undefined,
  standard: "refuse" | "accept"
): boolean => {
  const padded = options?.padded ?? standard
  if (padded === "refuse" || padded === "accept") return padded === "refuse"
  throw new TypeError(`${operation}: padded must be "refuse" or "accept", got ${describe(padded)}`)
}

const widthOf = (operation: string, options: VarintOptions | undefined, most: number): number => {
  const width = options?.maxBytes === undefined ? most : count(operation, "maxBytes", options.maxBytes, 1)
  if (width > most) throw new RangeError(`${operation}: maxBytes must be ${most} or less, got ${width}`)
  return width
}

const padding = "padded: the same number has a shorter form"

/** LEB128 of up to 53 bits: seven bits a byte, the least significant first; the top bit says that more follow. */
const leb = (name: string, options: VarintOptions | undefined, most: number): Node<number> => {
  const width = widthOf(name, options, 8)
  const strict = refusesPadded(name, options, "refuse")
  const limit = Math.min(most, 2 ** (7 * width) - 1)
  return make<number>({
    name,
    min: 1,
    max: width,
    isBigint: false,
    read: (cursor) => {
      const { at, bytes, end } = cursor
      if (at === end) return cursor.more(1)
      const first = bytes[at]!
      if (first < 128) {
        cursor.at = at + 1
        return first
      }
      let value = first & 127
      let scale = 128
      for (let i = 1; i < width; i++) {
        if (at + i === end) return cursor.more(1)
        const byte = bytes[at + i]!
        value += (byte & 127) * scale
        if (byte < 128) {
          if (byte === 0 && strict) return cursor.malformed(padding)
          if (value > limit) return cursor.malformed(`wider than ${limit} allows`)
          cursor.at = at + i + 1
          return value
        }
        scale *= 128
      }
      return cursor.malformed(`longer than ${width} bytes`)
    },
    write: (sink, value) => {
      let left = integer(value, 0, limit)
      while (left >= 128) {
        const at = sink.reserve(1)
        sink.bytes[at] = (left % 128) | 128
        left = Math.floor(left / 128)
      }
      const at = sink.reserve(1)
      sink.bytes[at] = left
    }
  })
}

/** LEB128 of up to 64 bits. */
const leb64 = (name: string, options: VarintOptions | undefined): Node<bigint> => {
  const width = widthOf(name, options, 10)
  const strict = refusesPadded(name, options, "refuse")
  const shifted = (1n << BigInt(7 * width)) - 1n
  const limit = shifted < most64 ? shifted : most64
  return make<bigint>({
    name,
    min: 1,
    max: width,
    isBigint: true,
    read: (cursor) => {
      const { at, bytes, end } = cursor
      let value = 0n
      for (let i = 0; i < width; i++) {
        if (at + i === end) return cursor.more(1)
        const byte = bytes[at + i]!
        value |= BigInt(byte & 127) << BigInt(7 * i)
        if (byte < 128) {
          if (byte === 0 && i > 0 && strict) return cursor.malformed(padding)
          if (value > limit) return cursor.malformed("wider than 64 bits")
          cursor.at = at + i + 1
          return value
        }
      }
      return cursor.malformed(`longer than ${width} bytes`)
    },
    write: (sink, value) => {
      let left = bigint(value, 0n, limit)
      while (left >= 128n) {
        const at = sink.reserve(1)
        sink.bytes[at] = Number(left & 127n) | 128
        left >>= 7n
      }
      const at = sink.reserve(1)
      sink.bytes[at] = Number(left)
    }
  })
}

/** A frame of one value made of one of another. */
const mapped = <A, B>(
  name: string,
  from: Node<A>,
  decode: (value: A) => B,
  encode: (value: B) => A,
  isBigint: boolean
): Node<B> =>
  make<B>({
    name,
    min: from.minBytes,
    max: from.maxBytes,
    isBigint,
    read: (cursor) => {
      const value = from.read(cursor)
      return value === stop ? stop : decode(value)
    },
    write: (sink, value) => from.write(sink, encode(value))
  })

export const varintWith = (options?: VarintOptions): Node<number> => leb("varint", options, Number.MAX_SAFE_INTEGER)
export const varint64With = (options?: VarintOptions): Node<bigint> => leb64("varint64", options)

export const zigzagWith = (options?: VarintOptions): Node<number> =>
  mapped(
    "zigzag",
    leb("zigzag", options, Number.MAX_SAFE_INTEGER),
    (value) => (value % 2 === 0 ? value / 2 : -(value + 1) / 2),
    (value) => {
      // one bit of the 53 is the sign
      integer(value, -(2 ** 52), 2 ** 52 - 1)
      return value >= 0 ? value * 2 : -value * 2 - 1
    },
    false
  )

export const zigzag64With = (options?: VarintOptions): Node<bigint> =>
  mapped(
    "zigzag64",
    leb64("zigzag64", options),
    (value) => ((value & 1n) === 0n ? value >> 1n : -((value + 1n) >> 1n)),
    (value) => {
      signed64(value)
      return value >= 0n ? value << 1n : (-value << 1n) - 1n
    },
    true
  )

export const varint = varintWith()
export const varint64 = varint64With()
export const zigzag = zigzagWith()
export const zigzag64 = zigzag64With()

const mostQuic = 2n ** 62n - 1n

/** RFC 9000, section 16: the two top bits of the first byte say how many bytes there are, 1, 2, 4 or 8. */
const quic = <A extends number | bigint>(
  name: string,
  options: Pick<VarintOptions, "padded"> | undefined,
  isBigint: boolean
): Node<A> => {
  const strict = refusesPadded(name, options, "accept")
  return make<A>({
    name,
    min: 1,
    max: 8,
    isBigint,
    read: (cursor) => {
      const { at, bytes } = cursor
      const left = cursor.end - at
      if (left === 0) return cursor.more(1)
      const first = bytes[at]!
      const size = 1 << (first >> 6)
      if (left < size) return cursor.more(size - left)
      let value = first & 63
      if (size === 8) {
        const high = get32(bytes, at) & 0x3fffffff
        const low = get32(bytes, at + 4)
        if (strict && high === 0 && low < 2 ** 30) return cursor.malformed(padding)
        if (isBigint) {
          cursor.at = at + 8
          return join64(high, low) as A
        }
        value = high * 2 ** 32 + low
        if (value > Number.MAX_SAFE_INTEGER) return cursor.malformed(tooWide)
      } else {
        for (let i = 1; i < size; i++) value = value * 256 + bytes[at + i]!
        if (strict && size > 1 && value < (size === 2 ? 64 : 16384)) return cursor.malformed(padding)
      }
      cursor.at = at + size
      return (isBigint ? BigInt(value) : value) as A
    },
    write: (sink, value) => {
      const checked = isBigint ? bigint(value, 0n, mostQuic) : BigInt(integer(value, 0, Number.MAX_SAFE_INTEGER))
      const small = Number(checked)
      if (checked < 64n) {
        const at = sink.reserve(1)
        sink.bytes[at] = small
      } else if (checked < 16384n) {
        const at = sink.reserve(2)
        put16(sink.bytes, at, small | 0x4000)
      } else if (checked < 2n ** 30n) {
        const at = sink.reserve(4)
        put32(sink.bytes, at, small + 0x80000000)
      } else {
        const at = sink.reserve(8)
        put64(sink.bytes, at, checked | (3n << 62n))
      }
    }
  })
}

export const quicVarintWith = (options?: Pick<VarintOptions, "padded">): Node<number> =>
  quic("quicVarint", options, false)
export const quicVarint64With = (options?: Pick<VarintOptions, "padded">): Node<bigint> =>
  quic("quicVarint64", options, true)
export const quicVarint = quicVarintWith()
export const quicVarint64 = quicVarint64With()
