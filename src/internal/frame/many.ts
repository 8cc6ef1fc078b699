/** Many frames of one kind: as many as a count says, or up to an end. */
import { Cursor, stop, type Stop } from "./cursor.ts"
import {
  blameWrite,
  bound,
  count,
  describe,
  describeArray,
  make,
  type Node,
  of,
  type Steps,
  type Stepwise,
  writeField,
  writeSize
} from "./node.ts"
import { readDeep } from "./progress.ts"
import { EncodeFault, type Sink } from "./sink.ts"

/** How many items there are, or the frame that says so. */
export type ArrayOptions =
  | { readonly count: number }
  | { readonly prefix: unknown; readonly maxItems: number | "unbounded" }

const badCount = (value: unknown): string => `${String(value)} is no number of items`

export const array = <A>(element: unknown, options: ArrayOptions): Node<ReadonlyArray<A>> => {
  const item = of<A>("array", element)
  if ("count" in options) {
    const size = count("array", "count", options.count)
    return make<ReadonlyArray<A>>({
      name: "array",
      min: times(item.minBytes, size),
      max: times(item.maxBytes, size),
      sure: item.sure,
      recursive: item.recursive,
      read: (cursor) => readItems(cursor, item, size, Infinity),
      steps: item.sure ? undefined : (progress) => itemSteps(progress, item, size, Infinity),
      write: (sink, value) => {
        if (!Array.isArray(value) || value.length !== size) {
          throw new EncodeFault(`must be an array of ${size} items, got ${describeArray(value)}`)
        }
        writeItems(sink, item, value, Infinity)
      }
    })
  }
  const prefix = of<number | bigint>("array", options.prefix)
  const most = bound("array", "maxItems", options.maxItems)
  const mostEmpty = emptyBound(item, most)
  /** The number of items, or why it is none. */
  const check = (value: number | bigint): number | string => {
    const size = Number(value)
    if (!Number.isSafeInteger(size) || size < 0) return badCount(value)
    return size > most ? `${size} items are more than ${most}` : size
  }
  return make<ReadonlyArray<A>>({
    name: "array",
    min: prefix.minBytes,
    max: prefix.maxBytes + times(item.maxBytes, most),
    recursive: prefix.recursive || item.recursive,
    read: (cursor) => {
      const { at } = cursor
      const value = prefix.read(cursor)
      if (value === stop) return cursor.within("count", false)
      const size = check(value)
      if (typeof size === "string") {
        cursor.malformed(size, at)
        return cursor.within("count", false)
      }
      return readItems(cursor, item, size, mostEmpty)
    },
    *steps(progress: Stepwise): Steps<any> {
      const at = progress.offset
      progress.key = "count"
      const size = check(yield prefix)
      return typeof size === "string"
        ? progress.wrong("count", size, at)
        : yield* itemSteps(progress, item, size, mostEmpty)
    },
    write: (sink, value) => {
      if (!Array.isArray(value)) throw new EncodeFault(`must be an array, got ${describe(value)}`)
      if (value.length > most) throw new EncodeFault(`must have ${most} items or less, got ${value.length}`)
      writeSize(sink, prefix, "count", value.length)
      writeItems(sink, item, value, mostEmpty)
    }
  })
}

/**
 * How many items of no bytes there may be where nothing else bounds their number: a few bytes of a peer's could announce any
 * number of them, or no end of them come.
 */
const mostWithoutBytes = 65_536

const emptyBound = (item: Node<any>, most: number): number =>
  most === Infinity && item.minBytes === 0 ? mostWithoutBytes : Infinity

const tooManyEmpty = `more than ${mostWithoutBytes} items without a byte`

/** 0 of what is unbounded are 0. */
const times = (size: number, factor: number): number => (size === 0 || factor === 0 ? 0 : size * factor)

const readItems = <A>(cursor: Cursor, item: Node<A>, size: number, mostEmpty: number): ReadonlyArray<A> | Stop => {
  cursor.entered++
  const left = cursor.end - cursor.at
  const least = size * item.minBytes
  if (left < least) return cursor.more(least - left)
  const items: Array<A> = []
  let empty = 0
  for (let i = 0; i < size; i++) {
    const { at } = cursor
    const one = item.read(cursor)
    if (one === stop) return cursor.within(i, i === size - 1)
    items.push(one as A)
    if (cursor.at === at && ++empty > mostEmpty) return cursor.malformed(tooManyEmpty)
  }
  return items
}

function* itemSteps<A>(progress: Stepwise, item: Node<A>, size: number, mostEmpty: number): Steps<any> {
  if (!progress.fits(size * item.minBytes)) return progress.overrun()
  const items: Array<A> = []
  let empty = 0
  for (let i = 0; i < size; i++) {
    const { offset } = progress
    progress.key = i
    progress.last = i === size - 1
    items.push(yield item)
    if (progress.offset === offset && ++empty > mostEmpty) return progress.malformed(tooManyEmpty)
  }
  return items
}

const writeItems = <A>(sink: Sink, item: Node<A>, value: ReadonlyArray<A>, mostEmpty: number): void => {
  let empty = 0
  for (let i = 0; i < value.length; i++) {
    const { size } = sink
    writeField(sink, item, i, value[i])
    if (sink.size === size && ++empty > mostEmpty) throw new EncodeFault(tooManyEmpty)
  }
}

export const repeatUntil = <A>(
  element: unknown,
  ending: unknown,
  options: { readonly maxItems: number | "unbounded" }
): Node<ReadonlyArray<A>> => {
  const item = of<A>("repeatUntil", element)
  const end = of<unknown>("repeatUntil", ending)
  const most = bound("repeatUntil", "maxItems", options?.maxItems)
  const tooMany = `more than ${most} items`
  const mostEmpty = emptyBound(item, most)
  // the end, or that there is none here: it was wrong, and nothing was taken
  const maybeEnd = make<boolean>({
    name: end.name,
    min: 0,
    max: end.maxBytes,
    recursive: end.recursive,
    read: (cursor) => {
      const { at } = cursor
      let ended: unknown = end.read(cursor)
      if (ended === stop && cursor.deep && cursor.fault === undefined) ended = readDeep(cursor, end, at)
      if (ended !== stop) return true
      if (cursor.fault === undefined) return stop
      cursor.fault = undefined
      cursor.at = at
      return false
    },
    write: () => {}
  })
  return make<ReadonlyArray<A>>({
    name: "repeatUntil",
    min: end.minBytes,
    max: end.maxBytes + times(item.maxBytes, most),
    recursive: item.recursive,
    read: (cursor) => {
      cursor.entered++
      const items: Array<A> = []
      let empty = 0
      while (true) {
        const ended = maybeEnd.read(cursor)
        if (ended === stop) return stop
        if (ended === true) return items
        if (items.length === most) return cursor.malformed(tooMany)
        const { at } = cursor
        const one = item.read(cursor)
        if (one === stop) return cursor.within(items.length, false)
        items.push(one as A)
        if (cursor.at === at && ++empty > mostEmpty) return cursor.malformed(tooManyEmpty)
      }
    },
    *steps(progress: Stepwise): Steps<any> {
      const items: Array<A> = []
      let empty = 0
      while (!(yield maybeEnd)) {
        if (items.length === most) return progress.malformed(tooMany)
        const { offset } = progress
        progress.key = items.length
        items.push(yield item)
        if (progress.offset === offset && ++empty > mostEmpty) return progress.malformed(tooManyEmpty)
      }
      return items
    },
    write: (sink, value) => {
      if (!Array.isArray(value)) throw new EncodeFault(`must be an array, got ${describe(value)}`)
      if (value.length > most) throw new EncodeFault(`must have ${most} items or less, got ${value.length}`)
      const inner = sink.nested()
      const begins: Array<number> = []
      let empty = 0
      for (let i = 0; i < value.length; i++) {
        const { size } = inner
        begins.push(size)
        writeField(inner, item, i, value[i])
        if (inner.size === size && ++empty > mostEmpty) throw new EncodeFault(tooManyEmpty)
      }
      writeField(inner, end, "end", undefined)
      checkNoEnd(inner.copy(), begins, maybeEnd)
      sink.append(inner)
    }
  })
}

/**
 * Fails where an item would be taken for the end, together with what stands behind it, or might be with what comes behind
 * all of them.
 */
const checkNoEnd = (bytes: Uint8Array, begins: ReadonlyArray<number>, maybe: Node<boolean>): void => {
  const cursor = new Cursor()
  const isNone = (at: number, closed: boolean): boolean => {
    cursor.begin(bytes, at, bytes.length)
    cursor.closed = closed
    return maybe.read(cursor) === false
  }
  for (const [i, at] of begins.entries()) {
    let none: boolean
    try {
      none = isNone(at, false)
    } catch {
      // what is left of a body: nothing comes behind that
      none = isNone(at, true)
    }
    if (!none) throw blameWrite(new EncodeFault("would be taken for the end"), i)
  }
}
