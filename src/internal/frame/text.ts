/** Bytes and text: of a known length, up to an end, or what is left. */
import * as Bytes from "../base/bytes.ts"
import * as Ahead from "./ahead.ts"
import type { Cursor, Stop } from "./cursor.ts"
import { bound, count, describe, make, type Node } from "./node.ts"
import * as Octets from "./octets.ts"
import { EncodeFault, type Sink } from "./sink.ts"

const notUtf8 = "not valid UTF-8"

/** The text of `size` bytes from `at` on. Moves nothing. */
const textAt = (cursor: Cursor, at: number, size: number): string | Stop =>
  Octets.utf8(cursor.bytes, at, at + size) ?? cursor.malformed(notUtf8, at)

const aString = (value: unknown): string => {
  if (typeof value === "string") return value
  throw new EncodeFault(`must be a string, got ${describe(value)}`)
}

/** A lone half of a surrogate pair has no UTF-8. */
const wellFormed = (text: string): string => {
  if (!text.isWellFormed()) throw new EncodeFault("has half a surrogate pair, which UTF-8 cannot say")
  return text
}

const someBytes = (value: unknown): Uint8Array => {
  if (Octets.isBytes(value)) return value
  throw new EncodeFault(`must be a Uint8Array, got ${describe(value)}`)
}

/** The bytes that a user names as text or as bytes; a copy. */
export const toBytes = (operation: string, name: string, value: unknown): Uint8Array => {
  if (typeof value === "string") return Bytes.encode(value)
  if (Octets.isBytes(value)) return Bytes.copy(value)
  throw new TypeError(`${operation}: ${name} must be a string or a Uint8Array, got ${describe(value)}`)
}

// ---------------------------------------------------------------------------
// of a known length
// ---------------------------------------------------------------------------

export const bytes = (size: number): Node<Uint8Array> => {
  count("bytes", "size", size)
  return make<Uint8Array>({
    name: "bytes",
    min: size,
    max: size,
    sure: true,
    read: (cursor) => {
      const left = cursor.end - cursor.at
      return left < size ? cursor.more(size - left) : cursor.take(size)
    },
    write: (sink, value) => {
      if (someBytes(value).length !== size) throw new EncodeFault(`must have ${size} bytes, got ${value.length}`)
      sink.put(value)
    }
  })
}

export const utf8 = (size: number): Node<string> => {
  count("utf8", "size", size)
  return make<string>({
    name: "utf8",
    min: size,
    max: size,
    read: (cursor) => {
      const { at } = cursor
      const left = cursor.end - at
      if (left < size) return cursor.more(size - left)
      const text = textAt(cursor, at, size)
      if (typeof text === "string") cursor.at = at + size
      return text
    },
    write: (sink, value) => {
      const before = sink.size
      sink.text(wellFormed(aString(value)))
      if (sink.size - before !== size) {
        throw new EncodeFault(`must have ${size} bytes as UTF-8, got ${sink.size - before}`)
      }
    }
  })
}

export const literal = (value: string | Uint8Array): Node<void> => {
  const expected = toBytes("literal", "value", value)
  const size = expected.length
  const shown = typeof value === "string" ? JSON.stringify(value) : Octets.hex(expected)
  return make<void>({
    name: "literal",
    min: size,
    max: size,
    isVoid: true,
    read: (cursor) => {
      const { at, bytes } = cursor
      const there = Math.min(size, cursor.end - at)
      // what differs is known before all of it is there
      for (let i = cursor.searchedFor(expected); i < there; i++) {
        if (bytes[at + i] !== expected[i]) return cursor.malformed(`expected ${shown}`, at + i)
      }
      if (there < size) {
        cursor.searchedInVain(expected, there)
        return cursor.more(1)
      }
      cursor.at = at + size
      return undefined
    },
    write: (sink) => sink.put(expected)
  })
}

export const succeed = <A>(value: A): Node<A> => {
  // of objects nobody can say here whether they are the same
  const isObject = (typeof value === "object" && value !== null) || typeof value === "function"
  return make<A>({
    name: "succeed",
    min: 0,
    max: 0,
    sure: true,
    isVoid: value === undefined,
    isBigint: typeof value === "bigint",
    read: () => value,
    write: (_sink, given) => {
      if (isObject || value === undefined || given === value || Object.is(given, value)) return
      throw new EncodeFault(`must be ${describe(value)}, got ${describe(given)}`)
    }
  })
}

// ---------------------------------------------------------------------------
// what is left of a body
// ---------------------------------------------------------------------------

/** Where what is left ends: where a bound around it cuts off what is looked at, behind that, so that it is told as too long. */
const endOfRest = (cursor: Cursor, name: string): number => {
  const end = cursor.closed ? cursor.end : cursor.whole
  if (end !== undefined) return end
  throw new Error(
    `Frame.${name} is what is left of a body: it stands in a frame whose length is known, such as lengthPrefixed`
  )
}

export const rest: Node<Uint8Array> = make<Uint8Array>({
  name: "rest",
  min: 0,
  max: Infinity,
  read: (cursor) => cursor.take(endOfRest(cursor, "rest") - cursor.at),
  write: (sink, value) => sink.put(someBytes(value))
})

export const utf8Rest: Node<string> = make<string>({
  name: "utf8Rest",
  min: 0,
  max: Infinity,
  read: (cursor) => {
    const { at } = cursor
    const end = endOfRest(cursor, "utf8Rest")
    const text = textAt(cursor, at, end - at)
    if (typeof text === "string") cursor.at = end
    return text
  },
  write: (sink, value) => sink.text(wellFormed(aString(value)))
})

// ---------------------------------------------------------------------------
// up to an end
// ---------------------------------------------------------------------------

/** Where an end was found. */
interface End {
  start: number
  size: number
}

/** So many bytes are searched for the first of several ends, and then twice as many: a rare one is not looked for behind others. */
const firstSearch = 64

/**
 * Finds the end that comes first, as far as one may lie that begins within `limit` bytes. A search that was in vain goes on
 * where it stopped. Of two that end at the same place the shorter counts, as in CPython's `readuntil`.
 */
const searchEnd = (
  cursor: Cursor,
  ends: ReadonlyArray<Uint8Array>,
  longest: number,
  limit: number,
  found: End
): boolean => {
  const { at, bytes, end } = cursor
  const last = Math.min(end, at + limit + longest)
  let from = at + cursor.searchedFor(ends)
  let size = ends.length === 1 ? Infinity : firstSearch
  while (true) {
    const to = Math.min(last, from + size)
    let best = -1
    for (const one of ends) {
      const start = Octets.indexOf(bytes, one, from, best === -1 ? to : best)
      if (start === -1) continue
      const stop = start + one.length
      if (best === -1 || stop < best || (stop === best && one.length < found.size)) {
        best = stop
        found.start = start
        found.size = one.length
      }
    }
    // the only one is not looked for behind where it is
    cursor.looked += (best !== -1 && ends.length === 1 ? best : to) - from
    if (best !== -1) return true
    // an end may have begun in the last bytes
    from = Math.max(from, to - longest + 1)
    if (to === last) break
    size = 2 * size + longest
  }
  cursor.searchedInVain(ends, from - at)
  return false
}

interface Until<A> {
  readonly name: string
  readonly ends: ReadonlyArray<Uint8Array>
  /** What the value may have, without the end. */
  readonly limit: number
  /** The value of the bytes in front of the end. */
  readonly value: (cursor: Cursor, at: number, size: number) => A | Stop
  readonly write: (sink: Sink, value: A) => void
  /** The value, where it can be told without a search; the cursor is behind its end then. */
  readonly atOnce?: ((cursor: Cursor) => A | undefined) | undefined
}

/** Up to an end, which is not part of the value. */
const until = <A>({ atOnce, ends, limit, name, value, write }: Until<A>): Node<A> => {
  const longest = Math.max(...ends.map((end) => end.length))
  const shortest = Math.min(...ends.map((end) => end.length))
  const found: End = { start: 0, size: 0 }
  return make<A>({
    name,
    min: shortest,
    max: limit + longest,
    read: (cursor) => {
      const known = atOnce?.(cursor)
      if (known !== undefined) return known
      const { at } = cursor
      if (!searchEnd(cursor, ends, longest, limit, found)) {
        // none can begin within the limit any more
        return cursor.searchedFor(ends) > limit ? cursor.tooLong(limit, undefined, ends) : cursor.more(1)
      }
      const { size, start } = found
      if (start - at > limit) return cursor.tooLong(limit, start + size - cursor.start)
      const one = value(cursor, at, start - at)
      // known to be wrong, and where it ends
      if (cursor.fault !== undefined) {
        cursor.fault.extent = start + size - cursor.start
        return one
      }
      cursor.at = start + size
      return one
    },
    write
  })
}

/** Fails where what was written in front of the end would be cut earlier when it is read. */
const checkUncut = (text: Uint8Array, ends: ReadonlyArray<Uint8Array>, end: Uint8Array): void => {
  const whole = Bytes.allocate(text.length + end.length)
  whole.set(text)
  whole.set(end, text.length)
  for (const one of ends) {
    const start = Octets.indexOf(whole, one, 0, whole.length)
    if (start !== -1 && start + one.length < whole.length) {
      throw new EncodeFault(`must not contain what ends it (${Octets.hex(one)})`)
    }
  }
}

/** Whether an end is never the one that counts: a shorter one is part of it, and ends no later. */
const isShadowed = (end: Uint8Array, ends: ReadonlyArray<Uint8Array>): boolean =>
  ends.some((one) => one.length < end.length && Octets.indexOf(end, one, 0, end.length) !== -1)

const checkLength = (size: number, limit: number): void => {
  if (size > limit) throw new EncodeFault(`must have ${limit} bytes or less, got ${size}`)
}

export const delimited = (
  separators: string | Uint8Array | ReadonlyArray<string | Uint8Array>,
  options: { readonly maxBytes: number | "unbounded" }
): Node<Uint8Array> => {
  const list = typeof separators === "string" || Octets.isBytes(separators) ? [separators] : separators
  if (!Array.isArray(list) || list.length === 0) {
    throw new RangeError("delimited: separators must be one or more strings or Uint8Arrays")
  }
  const ends = list.map((one) => toBytes("delimited", "separator", one))
  if (ends.some((end) => end.length === 0)) throw new RangeError("delimited: separator must be at least one byte long")
  const limit = bound("delimited", "maxBytes", options?.maxBytes)
  const written = ends.find((end) => !isShadowed(end, ends))!
  return until<Uint8Array>({
    name: "delimited",
    ends,
    limit,
    value: (cursor, _at, size) => cursor.take(size),
    write: (sink, value) => {
      checkLength(someBytes(value).length, limit)
      checkUncut(value, ends, written)
      sink.put(value)
      sink.put(written)
    }
  })
}

const nul = new Uint8Array([0])
const lf = new Uint8Array([10])
const crlf = new Uint8Array([13, 10])

export const cstring = (options: { readonly maxBytes: number | "unbounded" }): Node<string> => {
  const limit = bound("cstring", "maxBytes", options?.maxBytes)
  return until<string>({
    name: "cstring",
    ends: [nul],
    limit,
    value: textAt,
    write: (sink, value) => {
      if (wellFormed(aString(value)).includes("\0"))
        throw new EncodeFault("must not contain a zero byte, which ends it")
      writeText(sink, value, limit)
      sink.put(nul)
    }
  })
}

const writeText = (sink: Sink, value: string, limit: number): void => {
  const before = sink.size
  sink.text(value)
  checkLength(sink.size - before, limit)
}

/** `isPassing`: whoever takes the text looks at it at once, and does not keep it. */
export const line = (
  options: {
    readonly maxBytes: number | "unbounded"
    readonly end?: "lf" | "crlf" | "either" | undefined
  },
  isPassing = false
): Node<string> => {
  const limit = bound("line", "maxBytes", options?.maxBytes)
  const kind = options?.end ?? "lf"
  if (kind !== "lf" && kind !== "crlf" && kind !== "either") {
    throw new TypeError(`line: end must be "lf", "crlf" or "either", got ${describe(kind)}`)
  }
  const end = kind === "crlf" ? crlf : lf
  // of two bytes where one would do, the first is no part of the line
  const dropsReturn = kind === "either"
  return until<string>({
    name: "line",
    ends: [end],
    limit: dropsReturn ? limit + 1 : limit,
    atOnce: isPassing && kind !== "crlf" ? (cursor) => Ahead.line(cursor, limit, dropsReturn) : undefined,
    value: (cursor, at, size) => {
      const text = dropsReturn && size > 0 && cursor.bytes[at + size - 1] === 13 ? size - 1 : size
      if (text > limit) return cursor.tooLong(limit, undefined)
      return textAt(cursor, at, text)
    },
    write: (sink, value) => {
      wellFormed(aString(value))
      if (kind === "crlf" ? value.includes("\r\n") : value.includes("\n")) {
        throw new EncodeFault("must not contain what ends a line")
      }
      if (dropsReturn && value.endsWith("\r")) throw new EncodeFault("must not end with a carriage return")
      writeText(sink, value, limit)
      sink.put(end)
    }
  })
}
