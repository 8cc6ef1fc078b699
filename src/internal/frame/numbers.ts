/** Numbers of a fixed number of bytes, and those that say themselves how many they have. */
import { stop } from "./cursor.ts"
import { count, describe, make, type Node } from "./node.ts"
import { EncodeFault, type Sink } from "./sink.ts"

// ---------------------------------------------------------------------------
// integers
// ---------------------------------------------------------------------------

const integer = (value: unknown, least: number, most: number): number => {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  throw new EncodeFault(`must be an integer from ${least} to ${most}, got ${describe(value)}`)
}

const bigint = (value: unknown, least: bigint, most: bigint): bigint => {
  if (typeof value === "bigint" && value >= least && value <= most) return value
  throw new EncodeFault(`must be a bigint from ${least} to ${most}, got ${describe(value)}`)
}

/** A number of `size` bytes, which is read and written at a place where they all fit. */
const fixed = <A>(
  name: string,
  size: number,
  get: (bytes: Uint8Array, at: number) => A,
  put: (bytes: Uint8Array, at: number, value: A) => void,
  check: (value: A) => A,
  isBigint = false
): Node<A> =>
  make({
    name,
    min: size,
    max: size,
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
    isBigint
  })

type Get<A> = (bytes: Uint8Array, at: number) => A
type Put<A> = (bytes: Uint8Array, at: number, value: A) => void

const unsigned = (name: string, size: number, get: Get<number>, put: Put<number>): Node<number> =>
  fixed(name, size, get, put, (value) => integer(value, 0, 2 ** (8 * size) - 1))

const signed = (name: string, size: number, get: Get<number>, put: Put<number>): Node<number> => {
  const shift = 32 - 8 * size
  const most = 2 ** (8 * size - 1)
  // written as the unsigned number of the same bits
  return fixed(
    name,
    size,
    (bytes, at) => (get(bytes, at) << shift) >> shift,
    put,
    (value) => integer(value, -most, most - 1)
  )
}

const get8: Get<number> = (bytes, at) => bytes[at]!
const put8: Put<number> = (bytes, at, value) => void (bytes[at] = value)

const get16: Get<number> = (bytes, at) => (bytes[at]! << 8) | bytes[at + 1]!
const put16: Put<number> = (bytes, at, value) => {
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

const get32: Get<number> = (bytes, at) =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
const put32: Put<number> = (bytes, at, value) => {
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

const most64 = 2n ** 64n - 1n
const mostSigned64 = 2n ** 63n - 1n
const join64 = (high: number, low: number): bigint => (BigInt(high) << 32n) | BigInt(low)

const get64: Get<bigint> = (bytes, at) => join64(get32(bytes, at), get32(bytes, at + 4))
const get64LE: Get<bigint> = (bytes, at) => join64(get32LE(bytes, at + 4), get32LE(bytes, at))
const put64: Put<bigint> = (bytes, at, value) => {
  put32(bytes, at, Number((value >> 32n) & 0xffffffffn))
  put32(bytes, at + 4, Number(value & 0xffffffffn))
}
const put64LE: Put<bigint> = (bytes, at, value) => {
  put32LE(bytes, at, Number(value & 0xffffffffn))
  put32LE(bytes, at + 4, Number((value >> 32n) & 0xffffffffn))
}
const unsigned64 = (value: bigint): bigint => bigint(value, 0n, most64)
const signed64 = (value: bigint): bigint => bigint(value, -mostSigned64 - 1n, mostSigned64)

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

const tooWide = "a number above 2^53 - 1, which no double can hold"

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

// ---------------------------------------------------------------------------
// floating point
// ---------------------------------------------------------------------------

const scratch = new DataView(new ArrayBuffer(8))
const scratchBytes = new Uint8Array(scratch.buffer)

const float = (name: string, size: 4 | 8, littleEndian: boolean): Node<number> =>
  fixed(
    name,
    size,
    (bytes, at) => {
      for (let i = 0; i < size; i++) scratchBytes[i] = bytes[at + i]!
      return size === 4 ? scratch.getFloat32(0, littleEndian) : scratch.getFloat64(0, littleEndian)
    },
    (bytes, at, value) => {
      if (size === 4) scratch.setFloat32(0, value, littleEndian)
      else scratch.setFloat64(0, value, littleEndian)
      for (let i = 0; i < size; i++) bytes[at + i] = scratchBytes[i]!
    },
    (value) => {
      if (typeof value !== "number") throw new EncodeFault(`must be a number, got ${describe(value)}`)
      if (size === 4 && Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
        throw new EncodeFault(`must fit into 32 bits, got ${value}`)
      }
      return value
    }
  )

export const float32 = float("float32", 4, false)
export const float32LE = float("float32LE", 4, true)
export const float64 = float("float64", 8, false)
export const float64LE = float("float64LE", 8, true)

// ---------------------------------------------------------------------------
// bits
// ---------------------------------------------------------------------------

/** Fields of bits, the most significant first. */
export const bits = <const Fields extends { readonly [name: string]: number }>(
  fields: Fields
): Node<{ readonly [K in keyof Fields]: number }> => {
  const names = Object.keys(fields)
  const widths = names.map((name) => {
    const width = count("bits", name, fields[name], 1)
    if (width > 53) throw new RangeError(`bits: ${name} must be of 53 bits or less, got ${width}`)
    return width
  })
  const total = widths.reduce((sum, width) => sum + width, 0)
  if (total === 0 || total % 8 !== 0) {
    throw new RangeError(`bits: the widths must add up to whole bytes, got ${total} bits`)
  }
  const size = total / 8
  return make<any>({
    name: "bits",
    min: size,
    max: size,
    read: (cursor) => {
      const { at, bytes } = cursor
      const left = cursor.end - at
      if (left < size) return cursor.more(size - left)
      cursor.at = at + size
      const value: Record<string, number> = {}
      let next = at
      let current = 0
      let available = 0
      for (let i = 0; i < names.length; i++) {
        let wanted = widths[i]!
        let field = 0
        while (wanted > 0) {
          if (available === 0) {
            current = bytes[next++]!
            available = 8
          }
          const part = Math.min(wanted, available)
          field = field * 2 ** part + ((current >> (available - part)) & (2 ** part - 1))
          available -= part
          wanted -= part
        }
        define(value, names[i]!, field)
      }
      return value
    },
    write: (sink, value) => {
      for (let i = 0; i < names.length; i++) {
        const field = value?.[names[i]!]
        if (!(Number.isInteger(field) && field >= 0 && field < 2 ** widths[i]!)) {
          const fault = new EncodeFault(`must be an integer from 0 to ${2 ** widths[i]! - 1}, got ${describe(field)}`)
          fault.path = names[i]!
          throw fault
        }
      }
      let at = sink.reserve(size)
      const { bytes } = sink
      let current = 0
      let room = 8
      for (let i = 0; i < names.length; i++) {
        const field: number = value[names[i]!]
        let left = widths[i]!
        while (left > 0) {
          const part = Math.min(left, room)
          current = (current << part) | (Math.floor(field / 2 ** (left - part)) % 2 ** part)
          room -= part
          left -= part
          if (room === 0) {
            bytes[at++] = current
            current = 0
            room = 8
          }
        }
      }
    }
  })
}

/** Sets a property that may be called `__proto__`. */
export const define = (target: Record<string, unknown>, key: string, value: unknown): void => {
  if (key === "__proto__")
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
  else target[key] = value
}

// ---------------------------------------------------------------------------
// integers of any length
// ---------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------
// numbers as text
// ---------------------------------------------------------------------------

export interface IntegerTextOptions {
  readonly end: Uint8Array
  readonly radix: 10 | 16
  readonly signed: boolean
  readonly leadingZeros: boolean
}

/** As many digits as a number can have, and leading zeros. */
const mostDigits = 20

/** Digits in ASCII, up to their end. */
export const integerText = ({ end, leadingZeros, radix, signed: isSigned }: IntegerTextOptions): Node<number> => {
  const most = mostDigits + (isSigned ? 1 : 0)
  return make<number>({
    name: "integerText",
    min: 1 + end.length,
    max: most + end.length,
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
      if (i === last) return cursor.more(end.length)
      if (i === digits) return cursor.malformed("a digit is missing", i)
      if (value > Number.MAX_SAFE_INTEGER) return cursor.malformed(tooWide)
      if (!leadingZeros && bytes[digits] === 48 && i - digits > 1) return cursor.malformed("a leading zero")
      for (let k = 0; k < end.length; k++) {
        if (i + k === last) return cursor.more(end.length - k)
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

/** The value of an ASCII digit, or more than any radix. */
const digitOf = (byte: number): number => {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : 99
}
