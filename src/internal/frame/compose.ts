/** Frames made of frames. */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Cursor, stop, type Stop } from "./cursor.ts"
import { compile } from "./compile.ts"
import { blameWrite, bound, count, describe, make, type Node, Misuse, of, type Steps } from "./node.ts"
import { define } from "./numbers.ts"
import { type Progress, reasonOf } from "./progress.ts"
import { EncodeFault, type Sink } from "./sink.ts"

// ---------------------------------------------------------------------------
// one behind the other
// ---------------------------------------------------------------------------

const sum = (nodes: ReadonlyArray<Node<any>>, of: (node: Node<any>) => number): number =>
  nodes.reduce((total, node) => total + of(node), 0)

const writeField = (sink: Sink, node: Node<any>, key: string | number, value: unknown): void => {
  try {
    node.write(sink, value)
  } catch (error) {
    throw blameWrite(error, key)
  }
}

export interface StructOptions {
  readonly compile?: boolean | undefined
}

export const struct = (fields: { readonly [name: string]: unknown }, options?: StructOptions): Node<any> => {
  const keys = Object.keys(fields)
  const nodes = keys.map((key) => of<any>("struct", fields[key]))
  const min = sum(nodes, (node) => node.minBytes)
  const max = sum(nodes, (node) => node.maxBytes)
  const isFixed = min === max
  return make<any>({
    name: "struct",
    min,
    max,
    recursive: nodes.some((node) => node.recursive),
    read: (options?.compile === false ? undefined : compile(keys, nodes, min)) ?? readStruct(keys, nodes, min),
    steps: isFixed
      ? undefined
      : function* (progress: Progress): Steps<any> {
          const value: Record<string, unknown> = {}
          for (let i = 0; i < nodes.length; i++) {
            progress.key = keys[i]!
            progress.last = i === nodes.length - 1
            const field = yield nodes[i]!
            if (!nodes[i]!.isVoid) define(value, keys[i]!, field)
          }
          return value
        },
    write: (sink, value) => {
      if (typeof value !== "object" || value === null)
        throw new EncodeFault(`must be an object, got ${describe(value)}`)
      for (let i = 0; i < nodes.length; i++) writeField(sink, nodes[i]!, keys[i]!, value[keys[i]!])
    }
  })
}

/** What a compiled struct does, as a loop. */
const readStruct =
  (keys: ReadonlyArray<string>, nodes: ReadonlyArray<Node<any>>, min: number) =>
  (cursor: Cursor): any => {
    cursor.entered++
    const left = cursor.end - cursor.at
    if (left < min) return cursor.more(min - left)
    const value: Record<string, unknown> = {}
    for (let i = 0; i < nodes.length; i++) {
      const field = nodes[i]!.read(cursor)
      if (field === stop) return cursor.within(keys[i]!, i === nodes.length - 1)
      if (!nodes[i]!.isVoid) define(value, keys[i]!, field)
    }
    return value
  }

export const tuple = (elements: ReadonlyArray<unknown>): Node<any> => {
  const nodes = elements.map((element) => of<any>("tuple", element))
  const min = sum(nodes, (node) => node.minBytes)
  const max = sum(nodes, (node) => node.maxBytes)
  return make<any>({
    name: "tuple",
    min,
    max,
    recursive: nodes.some((node) => node.recursive),
    read: (cursor) => {
      cursor.entered++
      const left = cursor.end - cursor.at
      if (left < min) return cursor.more(min - left)
      const value: Array<unknown> = []
      for (let i = 0; i < nodes.length; i++) {
        const element = nodes[i]!.read(cursor)
        if (element === stop) return cursor.within(i, i === nodes.length - 1)
        value.push(element)
      }
      return value
    },
    steps:
      min === max
        ? undefined
        : function* (progress: Progress): Steps<any> {
            const value: Array<unknown> = []
            for (let i = 0; i < nodes.length; i++) {
              progress.key = i
              progress.last = i === nodes.length - 1
              value.push(yield nodes[i]!)
            }
            return value
          },
    write: (sink, value) => {
      if (!Array.isArray(value) || value.length !== nodes.length) {
        throw new EncodeFault(`must be an array of ${nodes.length} elements, got ${describeArray(value)}`)
      }
      for (let i = 0; i < nodes.length; i++) writeField(sink, nodes[i]!, i, value[i])
    }
  })
}

const describeArray = (value: unknown): string =>
  Array.isArray(value) ? `an array of ${value.length}` : describe(value)

// ---------------------------------------------------------------------------
// many of one kind
// ---------------------------------------------------------------------------

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
      recursive: item.recursive,
      read: (cursor) => readItems(cursor, item, size),
      steps: item.isFixed ? undefined : (progress) => itemSteps(progress, item, size),
      write: (sink, value) => {
        if (!Array.isArray(value) || value.length !== size) {
          throw new EncodeFault(`must be an array of ${size} items, got ${describeArray(value)}`)
        }
        writeItems(sink, item, value)
      }
    })
  }
  const prefix = of<number | bigint>("array", options.prefix)
  const most = bound("array", "maxItems", options.maxItems)
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
      return readItems(cursor, item, size)
    },
    *steps(progress: Progress): Steps<any> {
      const at = progress.offset
      progress.key = "count"
      const size = check(yield prefix)
      return typeof size === "string" ? progress.wrong("count", size, at) : yield* itemSteps(progress, item, size)
    },
    write: (sink, value) => {
      if (!Array.isArray(value)) throw new EncodeFault(`must be an array, got ${describe(value)}`)
      if (value.length > most) throw new EncodeFault(`must have ${most} items or less, got ${value.length}`)
      writeField(sink, prefix, "count", prefix.isBigint ? BigInt(value.length) : value.length)
      writeItems(sink, item, value)
    }
  })
}

/** 0 of what is unbounded are 0. */
const times = (size: number, factor: number): number => (size === 0 || factor === 0 ? 0 : size * factor)

const readItems = <A>(cursor: Cursor, item: Node<A>, size: number): ReadonlyArray<A> | Stop => {
  cursor.entered++
  const left = cursor.end - cursor.at
  const least = size * item.minBytes
  if (left < least) return cursor.more(least - left)
  const items: Array<A> = []
  for (let i = 0; i < size; i++) {
    const one = item.read(cursor)
    if (one === stop) return cursor.within(i, i === size - 1)
    items.push(one as A)
  }
  return items
}

function* itemSteps<A>(progress: Progress, item: Node<A>, size: number): Steps<ReadonlyArray<A>> {
  const items: Array<A> = []
  for (let i = 0; i < size; i++) {
    progress.key = i
    progress.last = i === size - 1
    items.push(yield item)
  }
  return items
}

const writeItems = <A>(sink: Sink, item: Node<A>, value: ReadonlyArray<A>): void => {
  for (let i = 0; i < value.length; i++) writeField(sink, item, i, value[i])
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
  // the end, or that there is none here: it was wrong, and nothing was taken
  const maybeEnd = make<boolean>({
    name: end.name,
    min: 0,
    max: end.maxBytes,
    recursive: end.recursive,
    read: (cursor) => {
      const { at } = cursor
      if (end.read(cursor) !== stop) return true
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
      while (true) {
        const ended = maybeEnd.read(cursor)
        if (ended === stop) return stop
        if (ended === true) return items
        if (items.length === most) return cursor.malformed(tooMany)
        const one = item.read(cursor)
        if (one === stop) return cursor.within(items.length, false)
        items.push(one as A)
      }
    },
    *steps(progress: Progress): Steps<any> {
      const items: Array<A> = []
      while (!(yield maybeEnd)) {
        if (items.length === most) return progress.malformed(tooMany)
        progress.key = items.length
        items.push(yield item)
      }
      return items
    },
    write: (sink, value) => {
      if (!Array.isArray(value)) throw new EncodeFault(`must be an array, got ${describe(value)}`)
      if (value.length > most) throw new EncodeFault(`must have ${most} items or less, got ${value.length}`)
      for (let i = 0; i < value.length; i++) {
        const inner = sink.nested()
        writeField(inner, item, i, value[i])
        if (beginsWith(inner.copy(), maybeEnd)) throw blameWrite(new EncodeFault("would be taken for the end"), i)
        sink.append(inner)
      }
      writeField(sink, end, "end", undefined)
    }
  })
}

/** Whether bytes begin with what the frame reads, or might with more bytes behind them. */
const beginsWith = (bytes: Uint8Array, maybe: Node<boolean>): boolean => {
  const cursor = new Cursor()
  cursor.over(bytes, 0, bytes.length)
  return maybe.read(cursor) === true
}

// ---------------------------------------------------------------------------
// one of several
// ---------------------------------------------------------------------------

export const option = <A>(presence: unknown, element: unknown): Node<Option.Option<A>> => {
  const present = of<boolean>("option", presence)
  const item = of<A>("option", element)
  return make<Option.Option<A>>({
    name: "option",
    min: present.minBytes,
    max: present.maxBytes + item.maxBytes,
    recursive: present.recursive || item.recursive,
    read: (cursor) => {
      cursor.entered++
      const is = present.read(cursor)
      if (is === stop) return cursor.within("present", false)
      if (is !== true) return Option.none()
      const value = item.read(cursor)
      return value === stop ? cursor.within("value", true) : Option.some(value as A)
    },
    *steps(progress: Progress): Steps<any> {
      progress.key = "present"
      if ((yield present) !== true) return Option.none()
      progress.key = "value"
      progress.last = true
      return Option.some(yield item)
    },
    write: (sink, value) => {
      if (!Option.isOption(value)) throw new EncodeFault(`must be an Option, got ${describe(value)}`)
      writeField(sink, present, "present", Option.isSome(value))
      if (Option.isSome(value)) writeField(sink, item, "value", value.value)
    }
  })
}

type Tag = number | bigint | string

export const union = (
  tagFrame: unknown,
  cases: { readonly [tag: string]: unknown },
  options: { readonly tagOf: (value: any) => Tag }
): Node<any> => {
  const tag = of<Tag>("union", tagFrame)
  const nodes = new Map<string, Node<any>>()
  // small numbers, which most tags are, find theirs without being made text
  const dense: Array<Node<any> | undefined> = []
  for (const key of Object.keys(cases)) {
    const node = of<any>("union", cases[key])
    nodes.set(key, node)
    const index = Number(key)
    if (Number.isInteger(index) && index >= 0 && index < 1024 && String(index) === key) dense[index] = node
  }
  if (nodes.size === 0) throw new RangeError("union: cases must have at least one")
  if (typeof options?.tagOf !== "function") {
    throw new TypeError(`union: tagOf must be a function, got ${describe(options?.tagOf)}`)
  }
  const caseOf = (value: Tag): Node<any> | undefined =>
    (typeof value === "number" && value < dense.length ? dense[value] : undefined) ?? nodes.get(String(value))
  const all = Array.from(nodes.values())
  const unknown = (value: Tag): string => `the tag ${describe(value)} is not known`
  return make<any>({
    name: "union",
    min: tag.minBytes + Math.min(...all.map((node) => node.minBytes)),
    max: tag.maxBytes + Math.max(...all.map((node) => node.maxBytes)),
    recursive: tag.recursive || all.some((node) => node.recursive),
    read: (cursor) => {
      cursor.entered++
      const { at } = cursor
      const value = tag.read(cursor)
      if (value === stop) return cursor.within("tag", false)
      const node = caseOf(value)
      if (node === undefined) {
        cursor.malformed(unknown(value), at)
        return cursor.within("tag", false)
      }
      const one = node.read(cursor)
      return one === stop ? cursor.within(String(value), true) : one
    },
    *steps(progress: Progress): Steps<any> {
      const at = progress.offset
      progress.key = "tag"
      const value: Tag = yield tag
      const node = caseOf(value)
      if (node === undefined) return progress.wrong("tag", unknown(value), at)
      progress.key = String(value)
      progress.last = true
      return yield node
    },
    write: (sink, value) => {
      const which = options.tagOf(value)
      const node = caseOf(which)
      if (node === undefined) throw new EncodeFault(`tagOf names ${describe(which)}, which is no case`)
      writeField(sink, tag, "tag", which)
      writeField(sink, node, String(which), value)
    }
  })
}

// ---------------------------------------------------------------------------
// what refers to itself
// ---------------------------------------------------------------------------

/** Deeper than this, what refers to itself is taken apart step by step: calls within calls have an end. */
const mostByCalls = 200

/** Values are written by calls within calls, however they were read. */
const mostDeep = 1024

/** What a message that refers to itself has at most, where nothing else is said: 16 MiB. */
const mostNested = 16_777_216

export const suspend = <A>(
  frame: () => unknown,
  options: { readonly maxDepth: number; readonly maxBytes?: number | "unbounded" | undefined }
): Node<A> => {
  const maxDepth = count("suspend", "maxDepth", options?.maxDepth, 1)
  if (maxDepth > mostDeep) throw new RangeError(`suspend: maxDepth must be ${mostDeep} or less, got ${maxDepth}`)
  const max = bound("suspend", "maxBytes", options.maxBytes ?? mostNested)
  let known: Node<A> | undefined
  // not before it is needed: the frame that it stands for is made of this one
  const inner = (): Node<A> => (known ??= of<A>("suspend", frame()))
  const tooDeep = `nested more than ${maxDepth} deep`
  return limited(
    make<A>({
      name: "suspend",
      min: 0,
      max,
      recursive: true,
      read: (cursor) => {
        cursor.entered++
        if (cursor.depth >= maxDepth) return cursor.malformed(tooDeep)
        if (cursor.depth >= mostByCalls) return cursor.tooManyCalls()
        cursor.depth++
        const value = inner().read(cursor)
        cursor.depth--
        return value
      },
      *steps(progress: Progress): Steps<any> {
        if (progress.depth >= maxDepth) return progress.malformed(tooDeep)
        progress.depth++
        progress.last = true
        return yield inner()
      },
      write: (sink, value) => {
        if (sink.depth >= maxDepth) throw new EncodeFault(tooDeep)
        sink.depth++
        inner().write(sink, value)
        sink.depth--
      }
    }),
    max
  )
}

/** As a frame that has `limit` bytes at most. */
export const limited = <A>(frame: Node<A>, limit: number): Node<A> =>
  limit === Infinity
    ? frame
    : make<A>({
        name: frame.name,
        min: Math.min(frame.minBytes, limit),
        max: limit,
        recursive: frame.recursive,
        isVoid: frame.isVoid,
        isBigint: frame.isBigint,
        read: (cursor) => {
          const { at } = cursor
          const value = frame.read(cursor)
          if (value === stop) {
            if (cursor.fault !== undefined || cursor.deep || cursor.end - at + cursor.missing <= limit) return stop
          } else if (cursor.at - at <= limit) return value
          cursor.at = at
          return cursor.tooLong(limit, undefined)
        },
        *steps(progress: Progress): Steps<any> {
          progress.bounded(limit)
          progress.last = true
          return yield frame
        },
        write: (sink, value) => {
          const before = sink.size
          frame.write(sink, value)
          if (sink.size - before > limit) {
            throw new EncodeFault(`must have ${limit} bytes or less, got ${sink.size - before}`)
          }
        }
      })

// ---------------------------------------------------------------------------
// values of another kind
// ---------------------------------------------------------------------------

/** What a function of the user's makes of a value; or why it does not. */
type Change<A, B> = (value: A) => Result.Result<B, string>

const tryChange = <A, B>(change: Change<A, B>, value: A, no: (reason: string, cause: unknown) => B): B => {
  let result: Result.Result<B, string>
  try {
    result = change(value)
  } catch (cause) {
    if (cause instanceof Misuse) throw cause
    return no(reasonOf(cause), cause)
  }
  return Result.isSuccess(result) ? result.success : no(String(result.failure), undefined)
}

export const changed = <A, B>(name: string, frame: Node<A>, decode: Change<A, B>, encode: Change<B, A>): Node<B> =>
  make<B>({
    name,
    min: frame.minBytes,
    max: frame.maxBytes,
    recursive: frame.recursive,
    read: (cursor) => {
      const { at } = cursor
      const value = frame.read(cursor)
      if (value === stop) return stop
      return tryChange<A, any>(decode, value as A, (reason, cause) => {
        // all of it was read: where it ends is known
        const extent = cursor.at - cursor.start
        cursor.malformed(reason, at, cause)
        cursor.fault!.extent = extent
        return stop
      })
    },
    steps:
      frame.steps === undefined
        ? undefined
        : function* (progress: Progress): Steps<any> {
            const at = progress.offset
            progress.last = true
            const value: A = yield frame
            return tryChange<A, any>(decode, value, (reason, cause) =>
              progress.malformed(reason, at, cause, progress.offset)
            )
          },
    write: (sink, value) =>
      frame.write(
        sink,
        tryChange<B, A>(encode, value, (reason, cause) => {
          throw new EncodeFault(reason, cause)
        })
      )
  })

export const named = <A>(name: string, frame: Node<A>): Node<A> =>
  make<A>({
    name,
    min: frame.minBytes,
    max: frame.maxBytes,
    recursive: frame.recursive,
    isVoid: frame.isVoid,
    isBigint: frame.isBigint,
    read: (cursor) => {
      const value = frame.read(cursor)
      return value === stop ? cursor.within(name, true) : value
    },
    steps:
      frame.steps === undefined
        ? undefined
        : function* (progress: Progress): Steps<any> {
            progress.key = name
            progress.last = true
            return yield frame
          },
    write: (sink, value) => writeField(sink, frame, name, value)
  })

// ---------------------------------------------------------------------------
// programs, and ways out
// ---------------------------------------------------------------------------

const cannotWrite = (): never => {
  throw new EncodeFault("is a decoder, and cannot write")
}

export const gen = <A>(
  options: { readonly maxBytes: number | "unbounded" },
  program: () => Generator<any, A, any>
): Node<A> => {
  const max = bound("gen", "maxBytes", options?.maxBytes)
  return limited(
    make<A>({
      name: "gen",
      min: 0,
      max: Infinity,
      // what it reads depends on what it has read
      recursive: true,
      read: (cursor) => {
        cursor.entered++
        let next: IteratorResult<any, A>
        try {
          const steps = program()
          next = steps.next()
          while (next.done !== true) {
            const value = of<any>("gen", next.value).read(cursor)
            if (value === stop) return cursor.within("", false)
            next = steps.next(value)
          }
        } catch (cause) {
          if (cause instanceof Misuse) throw cause
          return cursor.malformed(reasonOf(cause), cursor.at, cause)
        }
        return next.value
      },
      steps: program,
      write: cannotWrite
    }),
    max
  )
}

export const decoder = <A>(options: {
  readonly maxBytes: number | "unbounded"
  readonly decode: (cursor: Cursor) => A | Stop
}): Node<A> => {
  const max = bound("decoder", "maxBytes", options?.maxBytes)
  return limited(make<A>({ name: "decoder", min: 0, max: Infinity, read: options.decode, write: cannotWrite }), max)
}

const cannotRead = (): never => {
  throw new Error("an encoder cannot read")
}

export const encoder = <A>(options: { readonly encode: (sink: Sink, value: A) => void }): Node<A> =>
  make<A>({ name: "encoder", min: 0, max: Infinity, read: cannotRead, write: options.encode })

export const joined = <A>(options: { readonly decoder: unknown; readonly encoder: unknown }): Node<A> => {
  const reads = of<A>("make", options?.decoder)
  const writes = of<A>("make", options?.encoder)
  return make<A>({
    name: reads.name,
    min: reads.minBytes,
    max: reads.maxBytes,
    recursive: reads.recursive,
    isVoid: reads.isVoid,
    isBigint: reads.isBigint,
    read: reads.read,
    steps: reads.steps,
    write: writes.write
  })
}
