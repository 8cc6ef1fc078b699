/** Integers of a fixed number of bytes. */
import { describe, make, type Node } from "./node.ts"
import { EncodeFault } from "./sink.ts"

export const integer = (value: unknown, least: number, most: number): number => {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  throw new EncodeFault(`must be an integer from ${least} to ${most}, got ${describe(value)}`)
}

export const bigint = (value: unknown, least: bigint, most: bigint): bigint => {
  if (typeof value === "bigint" && value >= least && value <= most) return value
  throw new EncodeFault(`must be a bigint from ${least} to ${most}, got ${describe(value)}`)
}

/** A number of `size` bytes, which is read and written at a place where they all fit. */
export const fixed = <A>(
  name: string,
  size: number,
  get: (bytes: Uint8Array, at: number) => A,
  put: (bytes: Uint8Array, at: number, value: A) => void,
  check: (value: A) => A,
  isBigint = false,
  expression?: (bytes: string, at: string) => string
): Node<A> =>
  make({
    name,
    min: size,
    max: size,
    sure: true,
    read: (cursor) => {
      const { at } = cursor
      const left = cursor.end - at
      if (left < size) return cursor.more(size - left)
      cursor.at = at + size
      return get(cursor.bytes, at)
    },
    write: (sink, value) => {
      const checked = check(value)
      const at = sink.reserve(size)
      put(sink.bytes, at, checked)
    },
    isBigint,
    expression
  })

/** What `get` computes of an integer of 4 bytes or less, as text. */
const expressionOf =
  (name: string, size: number, signed: boolean) =>
  (bytes: string, at: string): string => {
    const isLittle = name.endsWith("LE")
    const parts = Array.from({ length: size }, (_, i) => {
      const shift = 8 * (isLittle ? i : size - 1 - i)
      const byte = `${bytes}[${at} + ${i}]`
      return shift === 0 ? byte : `${byte} << ${shift}`
    })
    const shift = 32 - 8 * size
    const bits = parts.join(" | ")
    if (signed) return `(${bits}) << ${shift} >> ${shift}`
    return size === 4 ? `(${bits}) >>> 0` : bits
  }

type Get<A> = (bytes: Uint8Array, at: number) => A
type Put<A> = (bytes: Uint8Array, at: number, value: A) => void

const unsigned = (name: string, size: number, get: Get<number>, put: Put<number>): Node<number> =>
  fixed(name, size, get, put, (value) => integer(value, 0, 2 ** (8 * size) - 1), false, expressionOf(name, size, false))

const signed = (name: string, size: number, get: Get<number>, put: Put<number>): Node<number> => {
  const shift = 32 - 8 * size
  const most = 2 ** (8 * size - 1)
  // written as the unsigned number of the same bits
  return fixed(
    name,
    size,
    (bytes, at) => (get(bytes, at) << shift) >> shift,
    put,
    (value) => integer(value, -most, most - 1),
    false,
    expressionOf(name, size, true)
  )
}

const get8: Get<number> = (bytes, at) => bytes[at]!
const put8: Put<number> = (bytes, at, value) => void (bytes[at] = value)

const get16: Get<number> = (bytes, at) => (bytes[at]! << 8) | bytes[at + 1]!
export const put16: Put<number> = (bytes, at, value) => {
  bytes[at] = value >> 8
  bytes[at + 1] = value
}
const get16LE: Get<number> = (bytes, at) => bytes[at]! | (bytes[at + 1]! << 8)
const put16LE: Put<number> = (bytes, at, value) => {
  bytes[at] = value
  bytes[at + 1] = value >> 8
}

const get24: Get<number> = (bytes, at) => (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
const put24: Put<number> = (bytes, at, value) => {
  bytes[at] = value >> 16
  bytes[at + 1] = value >> 8
  bytes[at + 2] = value
}
const get24LE: Get<number> = (bytes, at) => bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)
const put24LE: Put<number> = (bytes, at, value) => {
  bytes[at] = value
  bytes[at + 1] = value >> 8
  bytes[at + 2] = value >> 16
}

export const get32: Get<number> = (bytes, at) =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
export const put32: Put<number> = (bytes, at, value) => {
  bytes[at] = value >> 24
  bytes[at + 1] = value >> 16
  bytes[at + 2] = value >> 8
  bytes[at + 3] = value
}
const get32LE: Get<number> = (bytes, at) =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
const put32LE: Put<number> = (bytes, at, value) => {
  bytes[at] = value
  bytes[at + 1] = value >> 8
  bytes[at + 2] = value >> 16
  bytes[at + 3] = value >> 24
}

export const uint8 = unsigned("uint8", 1, get8, put8)
export const int8 = signed("int8", 1, get8, put8)
export const uint16 = unsigned("uint16", 2, get16, put16)
export const uint16LE = unsigned("uint16LE", 2, get16LE, put16LE)
export const int16 = signed("int16", 2, get16, put16)
export const int16LE = signed("int16LE", 2, get16LE, put16LE)
export const uint24 = unsigned("uint24", 3, get24, put24)
export const uint24LE = unsigned("uint24LE", 3, get24LE, put24LE)
export const int24 = signed("int24", 3, get24, put24)
export const int24LE = signed("int24LE", 3, get24LE, put24LE)
export const uint32 = unsigned("uint32", 4, get32, put32)
export const uint32LE = unsigned("uint32LE", 4, get32LE, put32LE)
export const int32 = signed("int32", 4, get32, put32)
export const int32LE = signed("int32LE", 4, get32LE, put32LE)

export const most64 = 2n ** 64n - 1n
const mostSigned64 = 2n ** 63n - 1n
export const join64 = (high: number, low: number): bigint => (BigInt(high) << 32n) | BigInt(low)

const get64: Get<bigint> = (bytes, at) => join64(get32(bytes, at), get32(bytes, at + 4))
const get64LE: Get<bigint> = (bytes, at) => join64(get32LE(bytes, at + 4), get32LE(bytes, at))
export const put64: Put<bigint> = (bytes, at, value) => {
  put32(bytes, at, Number((value >> 32n) & 0xffffffffn))
  put32(bytes, at + 4, Number(value & 0xffffffffn))
}
const put64LE: Put<bigint> = (bytes, at, value) => {
  put32LE(bytes, at, Number(value & 0xffffffffn))
  put32LE(bytes, at + 4, Number((value >> 32n) & 0xffffffffn))
}
const unsigned64 = (value: bigint): bigint => bigint(value, 0n, most64)
export const signed64 = (value: bigint): bigint => bigint(value, -mostSigned64 - 1n, mostSigned64)

export const uint64 = fixed("uint64", 8, get64, put64, unsigned64, true)
export const uint64LE = fixed("uint64LE", 8, get64LE, put64LE, unsigned64, true)
export const int64 = fixed("int64", 8, (bytes, at) => BigInt.asIntN(64, get64(bytes, at)), put64, signed64, true)
export const int64LE = fixed(
  "int64LE",
  8,
  (bytes, at) => BigInt.asIntN(64, get64LE(bytes, at)),
  put64LE,
  signed64,
  true
)

export const tooWide = "a number above 2^53 - 1, which no double can hold"

/** An integer of 8 bytes as a number, as far as one can hold it. */
const safe64 = (
  name: string,
  get: Get<number>,
  low: (at: number) => number,
  high: (at: number) => number,
  put: Put<number>
) =>
  make<number>({
    name,
    min: 8,
    max: 8,
    isBigint: false,
    read: (cursor) => {
      const { at, bytes } = cursor
      const left = cursor.end - at
      if (left < 8) return cursor.more(8 - left)
      const value = get(bytes, high(at)) * 2 ** 32 + get(bytes, low(at))
      if (value > Number.MAX_SAFE_INTEGER) return cursor.malformed(tooWide)
      cursor.at = at + 8
      return value
    },
    write: (sink, value) => {
      integer(value, 0, Number.MAX_SAFE_INTEGER)
      const at = sink.reserve(8)
      put(sink.bytes, high(at), Math.floor(value / 2 ** 32))
      put(sink.bytes, low(at), value % 2 ** 32)
    }
  })

const front = (at: number): number => at
const back = (at: number): number => at + 4

export const uint64Number = safe64("uint64Number", get32, back, front, put32)
export const uint64NumberLE = safe64("uint64NumberLE", get32LE, front, back, put32LE)
