/**
 * What a message is decoded from: bytes that lie in one piece, and how far it came.
 *
 * Decoding is tried on what is there, with no state but this. Where the bytes do not suffice, or are wrong, it returns
 * `stop`, and the cursor says which: `fault`, or how many bytes are `missing`.
 */
import * as Bytes from "../base/bytes.ts"

/**
 * There is no value: the cursor says why. To the compiler a symbol, which is one of a kind; in truth an object, which is
 * compared by its address.
 */
export const stop: unique symbol = Object.freeze({ _tag: "Stop" }) as never
export type Stop = typeof stop

/** What is wrong with a body that has less than what is in it. */
export const cutOff = "the body ends in the middle of it"

/** What is wrong with a message. */
export interface Fault {
  readonly _tag: "Malformed" | "TooLong"
  readonly reason: string
  /** The parts that it lies in, from the outermost. */
  path: string
  /** Where, in bytes from the first of the message. */
  readonly at: number
  /** How many bytes the message has, where that is known although it is wrong. */
  extent: number | undefined
  /** What ends it, where that is still to be found. */
  ends: ReadonlyArray<Uint8Array> | undefined
  /** What it exceeds, if it is too long. */
  readonly limit: number
  readonly cause: unknown
}

/** A search that was in vain, so that it goes on where it stopped when the part is tried again. */
interface Sought {
  /** What was searched for, by the one part that does. */
  readonly what: object
  /** Where that part begins, in bytes from the first of the message; and how many bytes of it were seen. */
  readonly at: number
  readonly size: number
}

export class Cursor {
  bytes: Uint8Array = Bytes.empty
  /** The memory of `bytes`, and where they begin in there: a view made of these costs half of what `subarray` does. */
  memory: ArrayBufferLike = Bytes.empty.buffer
  base = 0
  /** The next byte. */
  at = 0
  /** Behind the last byte that may be looked at. */
  end = 0
  /** Where the message begins, on the scale of `at`; below 0 if its first bytes lie elsewhere. */
  start = 0
  /** Whether nothing can come behind `end`: it is the end of a body whose length is known. */
  closed = false
  /** Where all ends that there will ever be, if that is known, although a message may be cut off there: it is no body. */
  whole: number | undefined = undefined
  /** Where the message is to end that is read, on the scale of `at`: the tightest of all bounds. */
  bound = Infinity
  /** How deep the parts that refer to themselves are nested here. */
  depth = 0
  /** How deep the programs are nested here that yield each other. */
  programs = 0
  /** Whether it was given up because they are nested too deep for calls within calls. */
  deep = false
  fault: Fault | undefined = undefined
  /** How many more bytes are needed at least, after a `stop` without a fault. */
  missing = 0
  /** The last search that was in vain: the part that is tried anew may have other parts, which search as well. */
  sought: Sought | undefined = undefined
  /** What decoding has cost so far: bytes looked at, and parts entered. */
  looked = 0
  entered = 0
  /** Whether a run of messages is decoded, between which nothing else is read. */
  inRun = false
  /** Of a run: text of the bytes from `aheadFrom` on and before `aheadEnd`. See `ahead.ts`. */
  ahead = ""
  aheadFrom = 0
  aheadEnd = 0

  /** Whether what is left of a message that was not read is still to be forgotten. */
  private stopped = false

  /** Looks at bytes from now on, for a message that begins at the first. */
  begin(bytes: Uint8Array, from: number, end: number): void {
    this.over(bytes, from, end)
    // whoever read before may have thrown in the middle of a body
    this.closed = false
    this.bound = Infinity
    this.depth = 0
    this.programs = 0
    if (this.stopped) this.forget()
  }

  /** What follows is a run of messages, until it is said that it is not. */
  beginRun(): void {
    this.inRun = true
  }

  endRun(): void {
    this.inRun = false
    this.ahead = ""
    this.aheadEnd = 0
  }

  private forget(): void {
    this.stopped = false
    this.fault = undefined
    this.deep = false
    this.sought = undefined
    this.missing = 0
  }

  /** Looks at bytes from now on: the message begins at the first. */
  over(bytes: Uint8Array, from: number, end: number): void {
    if (this.bytes !== bytes) {
      this.bytes = bytes
      this.aheadEnd = 0
      this.memory = bytes.buffer
      this.base = bytes.byteOffset
    }
    this.at = from
    this.start = from
    this.end = end
  }

  /** The next `size` bytes, which must be there, as a view. */
  take(size: number): Uint8Array {
    const { at } = this
    this.at = at + size
    return new Uint8Array(this.memory, this.base + at, size)
  }

  /** How many bytes from `at` on a search for `what` has seen in vain. */
  searchedFor(what: object): number {
    const { sought } = this
    return sought !== undefined && sought.what === what && sought.at === this.at - this.start ? sought.size : 0
  }

  /** A search for `what` has seen so many bytes from `at` on, in vain. */
  searchedInVain(what: object, size: number): void {
    this.sought = { what, at: this.at - this.start, size }
  }

  /** There are not enough bytes: `missing` more are needed at least. */
  more(missing: number): Stop {
    if (this.closed) return this.malformed(cutOff)
    this.missing = missing
    this.stopped = true
    return stop
  }

  /** What is read refers to itself so often that calls within calls would have no end. */
  tooManyCalls(): Stop {
    this.deep = true
    this.stopped = true
    return stop
  }

  /** The bytes are no message. */
  malformed(reason: string, at: number = this.at, cause?: unknown): Stop {
    this.fault = {
      _tag: "Malformed",
      reason,
      path: "",
      at: at - this.start,
      extent: undefined,
      ends: undefined,
      limit: 0,
      cause
    }
    this.stopped = true
    return stop
  }

  /**
   * The message is longer than may be. `extent`: how many bytes it has from its first on, where that is known; or `ends`, one of
   * which does.
   */
  tooLong(limit: number, extent: number | undefined, ends?: ReadonlyArray<Uint8Array>): Stop {
    this.fault = {
      _tag: "TooLong",
      reason: `longer than ${limit} bytes`,
      path: "",
      at: this.at - this.start,
      extent,
      ends,
      limit,
      cause: undefined
    }
    this.stopped = true
    return stop
  }

  /** What lies in a part lies in a part of the one around it. `last`: nothing of that follows the part. */
  within(key: string | number, last: boolean): Stop {
    const { fault } = this
    if (fault !== undefined) blame(fault, key, last)
    return stop
  }
}

/** See `Cursor.within`. */
export const blame = (fault: Fault, key: string | number, last: boolean): void => {
  fault.path = joined(key, fault.path)
  if (last) return
  fault.extent = undefined
  fault.ends = undefined
}

/** A part of a part, as one would write it: `body.items[3].length`. */
export const joined = (key: string | number, path: string): string => {
  if (key === "") return path
  const first = typeof key === "number" ? `[${key}]` : key
  return path === "" || path.startsWith("[") ? first + path : `${first}.${path}`
}
