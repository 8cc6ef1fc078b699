/** A frame as the machinery sees it: how it is read where all of it is there, how step by step, and how it is written. */
import { pipeArguments } from "effect/Pipeable"
import type { Frame } from "../../Frame.ts"
import { type Cursor, joined, type Stop } from "./cursor.ts"
import { EncodeFault, type Sink } from "./sink.ts"

/**
 * How a frame of several parts is decoded where some have yet to arrive: it yields each part, and is given its value. Before
 * it yields, it tells `progress` what the part is called and whether it is the last.
 */
export type Steps<A> = Generator<Node<any>, A, any>

/** A message that is decoded step by step, as a frame of several parts sees it. */
export interface Stepwise {
  /** What the part that is yielded next is called, and whether the frame has no other behind it. */
  key: string | number
  last: boolean
  /** Where the next part begins. */
  readonly offset: number
  /** How deep the frames that refer to themselves are nested. */
  depth: number
  /** How deep the programs are nested that yield each other. */
  programs: number
  /** From here to the end of the frame that says so there may be so many bytes. */
  bounded(limit: number): void
  /** Whether so many bytes more are within every bound. If not, `overrun` is what the frame returns. */
  fits(size: number): boolean
  /** What is under way is longer than the frame may be that says so: that is to blame, and no part of it. */
  overrun(): Stop
  /** The frame that says so is a body of so many bytes. Whether it has them, in the one around it. */
  encloses(size: number): boolean
  /** Whether there are so many bytes in the body around. */
  has(size: number): boolean
  /** Behind what is wrong in the frame that says so there are so many bytes more, which belong to it. */
  trails(size: number): void
  /** The message is wrong. For a frame to return. */
  malformed(reason: string, at?: number, cause?: unknown, extent?: number): Stop
  /** A part of the frame, which was read, is wrong. For the frame to return. */
  wrong(part: string, reason: string, at: number): Stop
  /** The message is too long; how long, where that is known. For a frame to return. */
  tooLong(limit: number, extent: number | undefined): Stop
}

export interface Make<A> {
  /** What it is called where something is wrong with it. */
  readonly name: string
  /** How many bytes it has at least, and at most. */
  readonly min: number
  readonly max: number
  readonly read: (cursor: Cursor) => A | Stop
  readonly write: (sink: Sink, value: A) => void
  /** Without it the frame is one part, which is tried anew once there is more of it. */
  readonly steps?: ((progress: Stepwise) => Steps<A>) | undefined
  /** As `steps`, of a body: only where it lies in another that is taken apart. */
  readonly bodySteps?: ((progress: Stepwise) => Steps<A>) | undefined
  /** Whether it always has as many bytes, of which none can be wrong: nothing is told of it before all of them are there. */
  readonly sure?: boolean | undefined
  /** Whether how deep it is nested depends on the message. */
  readonly recursive?: boolean | undefined
  /** Whether its value is `undefined`, and need not be given. */
  readonly isVoid?: boolean | undefined
  /** Whether it is an integer that is a `bigint`, where that is known. */
  readonly isBigint?: boolean | undefined
  /**
   * Of a frame that always has as many bytes, and cannot be wrong: its value as text of a program,
   * of the names that the bytes and its place have there. See `compile`.
   */
  readonly expression?: ((bytes: string, at: string) => string) | undefined
  /** Of bytes with their length in front: that length, which has an expression, and the longest they may be. */
  readonly view?: { readonly prefix: Node<any>; readonly limit: number } | undefined
}

export const TypeId = "~effect-byte-streams/Frame"

export class Node<A> implements Frame<A> {
  readonly [TypeId] = variance as any
  readonly name: string
  readonly minBytes: number
  readonly maxBytes: number
  readonly read: (cursor: Cursor) => A | Stop
  readonly write: (sink: Sink, value: A) => void
  readonly steps: ((progress: Stepwise) => Steps<A>) | undefined
  readonly bodySteps: ((progress: Stepwise) => Steps<A>) | undefined
  readonly sure: boolean
  readonly recursive: boolean
  readonly isVoid: boolean
  readonly isBigint: boolean | undefined
  readonly expression: ((bytes: string, at: string) => string) | undefined
  readonly view: { readonly prefix: Node<any>; readonly limit: number } | undefined

  constructor(make: Make<A>) {
    this.name = make.name
    this.minBytes = make.min
    this.maxBytes = make.max
    this.read = make.read
    this.write = make.write
    this.steps = make.steps
    this.bodySteps = make.bodySteps
    this.sure = make.sure === true
    this.recursive = make.recursive === true
    this.isVoid = make.isVoid === true
    this.isBigint = make.isBigint
    this.expression = make.expression
    this.view = make.view
  }

  /** Whether it always has as many bytes. */
  get isFixed(): boolean {
    return this.minBytes === this.maxBytes
  }

  [Symbol.iterator](): Iterator<Node<A>, A, any> {
    return new Ask<A>(this)
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  toString(): string {
    return `Frame(${this.name})`
  }

  toJSON() {
    return { _id: "Frame", name: this.name, maxBytes: this.maxBytes }
  }
}

const variance = { _A: (a: never) => a }

/** Yields the frame once, and returns what it is given for it. */
class Ask<A> implements Iterator<Node<A>, A, any> {
  private asked = false
  private readonly node: Node<A>
  constructor(node: Node<A>) {
    this.node = node
  }
  next(value: any): IteratorResult<Node<A>, A> {
    if (this.asked) return { done: true, value }
    this.asked = true
    return { done: false, value: this.node }
  }
  return(value?: any): IteratorResult<Node<A>, A> {
    return { done: true, value }
  }
}

export const make = <A>(options: Make<A>): Node<A> => new Node(options)

/** The machinery of a frame that a user names; dies of what is none. */
export const of = <A>(operation: string, frame: unknown): Node<A> => {
  if (frame instanceof Node) return frame
  throw new Misuse(`${operation}: expected a Frame, got ${describe(frame)}`)
}

/** A mistake in the program, and not in what it reads. */
export class Misuse extends TypeError {}

export const describe = (value: unknown): string => {
  if (value === null) return "null"
  if (typeof value === "string")
    return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value)
  if (typeof value === "object") return value instanceof Uint8Array ? `${value.length} bytes` : "an object"
  if (typeof value === "function") return "a function"
  return `${String(value)} (${typeof value})`
}

/** As a write of `key`, which is a part of something larger: a failure says so. */
export const blameWrite = (error: unknown, key: string | number): unknown => {
  if (error instanceof EncodeFault) error.path = joined(key, error.path)
  return error
}

/** An option that counts something: an integer of 0 or more. */
export const count = (operation: string, name: string, value: unknown, least = 0): number => {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number
  throw new RangeError(`${operation}: ${name} must be an integer of ${least} or more, got ${describe(value)}`)
}

/** A bound that has to be spelled out where there is none. */
export const bound = (operation: string, name: string, value: unknown): number =>
  value === "unbounded" ? Infinity : count(operation, name, value)

/** Writes `value` as the part `key` of something larger: a failure says so. */
export const writeField = (sink: Sink, node: Node<any>, key: string | number, value: unknown): void => {
  try {
    node.write(sink, value)
  } catch (error) {
    throw blameWrite(error, key)
  }
}

/** Writes how many bytes or items there are, as the part `key`, by a frame of numbers or of `bigint`. */
export const writeSize = (sink: Sink, node: Node<any>, key: string, size: number): void => {
  if (node.isBigint !== undefined) return writeField(sink, node, key, node.isBigint ? BigInt(size) : size)
  // functions of the user's take the one or the other, and only they know which
  const failures: Array<unknown> = []
  for (const value of [size, BigInt(size)]) {
    const inner = sink.nested()
    try {
      node.write(inner, value)
      return sink.append(inner)
    } catch (error) {
      failures.push(error)
    }
  }
  throw blameWrite(failures[0], key)
}

export const describeArray = (value: unknown): string =>
  Array.isArray(value) ? `an array of ${value.length}` : describe(value)

/** Sets a property that may be called `__proto__`. */
export const define = (target: Record<string, unknown>, key: string, value: unknown): void => {
  if (key === "__proto__")
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
  else target[key] = value
}
