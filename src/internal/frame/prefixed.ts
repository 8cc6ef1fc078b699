/** Bodies whose length is said in front of them. */
import { type Cursor, cutOff, stop, type Stop } from "./cursor.ts"
import { bound, describe, make, type Node, of, type Steps, type Stepwise, writeSize } from "./node.ts"
import { integerText } from "./integerText.ts"
import * as Octets from "./octets.ts"
import { readDeep } from "./progress.ts"
import { EncodeFault, type Sink } from "./sink.ts"
import { rest } from "./text.ts"

// ---------------------------------------------------------------------------
// bodies
// ---------------------------------------------------------------------------

const tooLongBy = (left: number): string => `the body is ${left} byte${left === 1 ? "" : "s"} longer than what is in it`

/** Reads a body of `size` bytes, all of which are there. It must use them up. */
const readBody = <A>(cursor: Cursor, body: Node<A>, size: number): A | Stop => {
  const { closed, end: outerEnd } = cursor
  const end = cursor.at + size
  cursor.end = end
  cursor.closed = true
  let value: A | Stop = body.read(cursor)
  if (value === stop && cursor.deep && cursor.fault === undefined) value = readDeep(cursor, body, end - size)
  cursor.end = outerEnd
  cursor.closed = closed
  if (value !== stop && cursor.at !== end) value = cursor.malformed(tooLongBy(end - cursor.at))
  if (value !== stop) return value
  const { fault } = cursor
  // where the bad message ends is known
  if (fault !== undefined) fault.extent = end - cursor.start
  return stop
}

/** What a body of `size` bytes comes to that lies in another. */
function* bodySteps(progress: Stepwise, body: Node<any>, size: number): Steps<any> {
  const end = progress.offset + size
  if (!progress.encloses(size)) return progress.malformed(cutOff)
  progress.last = true
  const value = yield body
  return progress.offset === end ? value : progress.malformed(tooLongBy(end - progress.offset))
}

/** A body of `size` bytes, as a part: it is looked at once all of it is there. */
const bodyOf = <A>(body: Node<A>, size: number): Node<A> =>
  make<A>({
    name: body.name,
    min: size,
    max: size,
    recursive: body.recursive,
    bodySteps: body.recursive ? (progress) => bodySteps(progress, body, size) : undefined,
    read: (cursor) => {
      const left = cursor.end - cursor.at
      return left < size ? cursor.more(size - left) : readBody(cursor, body, size)
    },
    write: body.write
  })

// ---------------------------------------------------------------------------
// with a length in front
// ---------------------------------------------------------------------------

export interface LengthPrefixedOptions {
  readonly maxBytes: number | "unbounded"
  readonly covers?: "body" | "all" | undefined
  readonly adjust?: number | undefined
}

/** What is wrong with a length that says that the body has `size` bytes. */
const wrongLength = (length: number | bigint, size: number): string =>
  size < 0 && Number.isInteger(Number(length)) && Number(length) >= 0
    ? `a length of ${String(length)}, which does not even cover what it must`
    : `${String(length)} is no length`

export const lengthPrefixed = <A>(
  prefixFrame: unknown,
  options: LengthPrefixedOptions,
  bodyFrame: unknown = rest
): Node<A> => {
  const prefix = of<number | bigint>("lengthPrefixed", prefixFrame)
  const body = of<A>("lengthPrefixed", bodyFrame)
  const limit = bound("lengthPrefixed", "maxBytes", options?.maxBytes)
  const adjust = options.adjust ?? 0
  if (!Number.isSafeInteger(adjust)) {
    throw new RangeError(`lengthPrefixed: adjust must be an integer, got ${describe(adjust)}`)
  }
  const covers = options.covers ?? "body"
  if (covers !== "body" && covers !== "all") {
    throw new TypeError(`lengthPrefixed: covers must be "body" or "all", got ${describe(covers)}`)
  }
  const all = covers === "all"
  const lengthOf = (size: number, header: number): number => size - adjust + (all ? header : 0)
  const isView = body === (rest as unknown) && prefix.expression !== undefined && adjust === 0 && !all
  return make<A>({
    name: "lengthPrefixed",
    min: prefix.minBytes,
    max: prefix.maxBytes + limit,
    recursive: prefix.recursive || body.recursive,
    isVoid: body.isVoid,
    view: isView ? { prefix, limit } : undefined,
    read: (cursor) => {
      cursor.entered++
      const { at } = cursor
      const length = prefix.read(cursor)
      if (length === stop) return cursor.within("length", false)
      const header = cursor.at
      const size = Number(length) + adjust - (all ? header - at : 0)
      if (!(size >= 0 && size <= limit && Number.isInteger(size))) {
        cursor.at = at
        if (size > limit) return cursor.tooLong(limit, header + size - cursor.start)
        cursor.malformed(wrongLength(length, size))
        return cursor.within("length", false)
      }
      const left = cursor.end - header
      if (left < size) return cursor.more(size - left)
      return body === (rest as unknown) ? (cursor.take(size) as A) : readBody(cursor, body, size)
    },
    *steps(progress: Stepwise): Steps<any> {
      const at = progress.offset
      progress.key = "length"
      const length: number | bigint = yield prefix
      const header = progress.offset
      const size = Number(length) + adjust - (all ? header - at : 0)
      if (size > limit) return progress.tooLong(limit, header + size)
      if (!(size >= 0 && Number.isInteger(size))) return progress.wrong("length", wrongLength(length, size), at)
      progress.last = true
      return yield bodyOf(body, size)
    },
    write: (sink, value) => writePrefixed(sink, prefix, body, value, limit, lengthOf)
  })
}

const checkSize = (size: number, limit: number): void => {
  if (size > limit) throw new EncodeFault(`must have ${limit} bytes or less, got ${size}`)
}

/** A length that counts the body, and nothing else. */
const itself = (size: number): number => size

/** Writes a body, and in front of it its length, which is known last. */
const writePrefixed = <A>(
  sink: Sink,
  prefix: Node<any>,
  body: Node<A>,
  value: A,
  limit: number,
  lengthOf: (size: number, header: number) => number
): void => {
  if (prefix.isFixed) {
    const header = prefix.minBytes
    const position = sink.size
    sink.reserve(header)
    body.write(sink, value)
    const size = sink.size - position - header
    checkSize(size, limit)
    const length = lengthOf(size, header)
    const back = sink.openAt(position)
    if (back === -1 || prefix.expression === undefined) return writeLength(sink.patch(position, header), prefix, length)
    // one that is known to take no more room than was left for it
    const { at } = sink
    sink.at = back
    writeLength(sink, prefix, length)
    sink.at = at
    return
  }
  const inner = sink.nested()
  body.write(inner, value)
  const { size } = inner
  checkSize(size, limit)
  writeOwnLength(sink, prefix, (header) => lengthOf(size, header))
  sink.append(inner)
}

const writeLength = (sink: Sink, prefix: Node<any>, length: number): void => writeSize(sink, prefix, "length", length)

/** Writes a length that may count itself. */
const writeOwnLength = (sink: Sink, prefix: Node<any>, lengthOf: (header: number) => number): void => {
  const length = lengthOf(0)
  if (lengthOf(1) === length) return writeLength(sink, prefix, length)
  // it may be a byte longer for being counted
  for (let header = prefix.minBytes; header <= prefix.maxBytes; header++) {
    const trial = sink.nested()
    writeLength(trial, prefix, lengthOf(header))
    if (trial.size === header) return sink.append(trial)
  }
  throw new EncodeFault("no length says how long it is together with itself")
}

// ---------------------------------------------------------------------------
// ready-made
// ---------------------------------------------------------------------------

const comma = new Uint8Array([44])

export const netstring = <A>(
  options: { readonly maxBytes: number | "unbounded" },
  bodyFrame: unknown = rest
): Node<A> => {
  const limit = bound("netstring", "maxBytes", options?.maxBytes)
  const body = of<A>("netstring", bodyFrame)
  const prefix = integerText({ end: new Uint8Array([58]), radix: 10, signed: false, leadingZeros: false })
  const readEnd = <B>(cursor: Cursor, value: B | Stop): B | Stop => {
    if (value === stop) {
      // the comma belongs to it as well
      if (cursor.fault?.extent !== undefined) cursor.fault.extent++
      return stop
    }
    if (cursor.bytes[cursor.at] !== 44) return cursor.malformed("a comma is missing behind it")
    cursor.at++
    return value
  }
  const ending = make<void>({
    name: "netstring",
    min: 1,
    max: 1,
    read: (cursor) => readEnd(cursor, undefined),
    write: () => {}
  })
  const withComma = (size: number): Node<A> =>
    make<A>({
      name: "netstring",
      min: size + 1,
      max: size + 1,
      recursive: body.recursive,
      bodySteps: body.recursive
        ? function* (progress: Stepwise): Steps<any> {
            if (!progress.has(size + 1)) return progress.malformed(cutOff)
            progress.trails(1)
            progress.last = true
            const value: A = yield bodyOf(body, size)
            yield ending
            return value
          }
        : undefined,
      read: (cursor) => {
        const left = cursor.end - cursor.at
        return left < size + 1 ? cursor.more(size + 1 - left) : readEnd(cursor, readBody(cursor, body, size))
      },
      write: body.write
    })
  return make<A>({
    name: "netstring",
    min: 3,
    max: prefix.maxBytes + limit + 1,
    recursive: body.recursive,
    isVoid: body.isVoid,
    read: (cursor) => {
      cursor.entered++
      const { at } = cursor
      const size = prefix.read(cursor)
      if (size === stop) return cursor.within("length", false)
      if (size > limit) {
        const extent = cursor.at + size + 1 - cursor.start
        cursor.at = at
        return cursor.tooLong(limit, extent)
      }
      const left = cursor.end - cursor.at
      if (left < size + 1) return cursor.more(size + 1 - left)
      return readEnd(cursor, readBody(cursor, body, size))
    },
    *steps(progress: Stepwise): Steps<any> {
      progress.key = "length"
      const size: number = yield prefix
      if (size > limit) return progress.tooLong(limit, progress.offset + size + 1)
      progress.last = true
      return yield withComma(size)
    },
    write: (sink, value) => {
      writePrefixed(sink, prefix, body, value, limit, itself)
      sink.put(comma)
    }
  })
}

const blankLine = new Uint8Array([13, 10, 13, 10])
/** What the header lines may have together. */
const mostHeader = 8192

/** Header lines of which one says how long the body is: the Language Server Protocol's, and the Debug Adapter Protocol's. */
export const contentLength = <A>(
  options: { readonly maxBytes: number | "unbounded" },
  bodyFrame: unknown = rest
): Node<A> => {
  const limit = bound("contentLength", "maxBytes", options?.maxBytes)
  const body = of<A>("contentLength", bodyFrame)
  const header = make<number>({
    name: "header",
    min: blankLine.length,
    max: mostHeader,
    isBigint: false,
    read: (cursor) => {
      const { at, bytes } = cursor
      const from = at + cursor.searchedFor(blankLine)
      const end = Math.min(cursor.end, at + mostHeader)
      const found = Octets.indexOf(bytes, blankLine, from, end)
      cursor.looked += Math.max(0, (found === -1 ? end : found) - from)
      if (found === -1) {
        if (end - at === mostHeader) return cursor.malformed(`a header of more than ${mostHeader} bytes`, at)
        cursor.searchedInVain(blankLine, Math.max(0, end - at - blankLine.length + 1))
        return cursor.more(1)
      }
      const length = lengthIn(latin1(bytes, at, found))
      if (typeof length === "string") return cursor.malformed(length, at)
      cursor.at = found + blankLine.length
      return length
    },
    write: (sink, value) => sink.text(`Content-Length: ${value}\r\n\r\n`)
  })
  return make<A>({
    name: "contentLength",
    min: header.minBytes,
    max: mostHeader + limit,
    recursive: body.recursive,
    isVoid: body.isVoid,
    read: (cursor) => {
      cursor.entered++
      const { at } = cursor
      const size = header.read(cursor)
      if (size === stop) return cursor.within("header", false)
      if (size > limit) {
        const extent = cursor.at + size - cursor.start
        cursor.at = at
        return cursor.tooLong(limit, extent)
      }
      const left = cursor.end - cursor.at
      return left < size ? cursor.more(size - left) : readBody(cursor, body, size)
    },
    *steps(progress: Stepwise): Steps<any> {
      progress.key = "header"
      const size: number = yield header
      if (size > limit) return progress.tooLong(limit, progress.offset + size)
      progress.last = true
      return yield bodyOf(body, size)
    },
    write: (sink, value) => writePrefixed(sink, header, body, value, limit, itself)
  })
}

const latin1 = (bytes: Uint8Array, from: number, to: number): string => {
  let text = ""
  for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i]!)
  return text
}

/** The length that header lines name, or what is wrong with them. */
const lengthIn = (header: string): number | string => {
  let length: string | undefined
  for (const line of header.split("\r\n")) {
    const colon = line.indexOf(":")
    if (colon === -1) return "a header line without a colon"
    if (line.slice(0, colon).trim().toLowerCase() !== "content-length") continue
    const value = line.slice(colon + 1).trim()
    if (!/^[0-9]{1,15}$/.test(value)) return "a Content-Length that is no number"
    // a peer that says two things is understood by nobody
    if (length !== undefined && length !== value) return "two Content-Lengths"
    length = value
  }
  return length === undefined ? "no Content-Length" : Number(length)
}
