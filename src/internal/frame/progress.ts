/**
 * Decoding a message while it arrives: goes on where it stopped, however small the pieces are.
 *
 * Frames of several parts are generators, which yield their parts and are given the values. Those under way lie on a stack
 * of its own, so that going on costs the same however deep they are nested. A part that is one is tried anew when there is
 * more of it; where it lies in several pieces its bytes are gathered, each once.
 */
import * as Bytes from "../base/bytes.ts"
import { blame, type Cursor, type Fault, stop, type Stop } from "./cursor.ts"
import { describe, type Node, Misuse, of, type Steps, type Stepwise } from "./node.ts"
import { EncodeFault } from "./sink.ts"

/** Bytes that have arrived, in pieces; offsets count from the first byte of the message. */
export interface Source {
  /** How many there are. */
  readonly length: number
  /**
   * The piece in which the byte at `offset` lies; that byte is there. What `found` holds of an earlier call, for a byte in
   * front of it, says where to look first: no piece has gone since.
   */
  locate(offset: number, found: Located): void
}

/** A piece, and where it lies. */
export class Located {
  bytes: Uint8Array = Bytes.empty
  /** The part of `bytes` that counts. */
  from = 0
  end = 0
  /** Which of the pieces it is, and the offset of the byte at `from`. */
  index = -1
  offset = 0
}

/** Bytes that lie in one piece. */
export class Whole implements Source {
  readonly length: number
  private readonly bytes: Uint8Array
  private readonly from: number
  constructor(bytes: Uint8Array, from: number, end: number) {
    this.bytes = bytes
    this.from = from
    this.length = end - from
  }
  locate(_offset: number, found: Located): void {
    found.bytes = this.bytes
    found.from = this.from
    found.end = this.from + this.length
    found.index = 0
    found.offset = 0
  }
}

/** A frame under way, and what it may have changed for those in it. */
interface Entry {
  readonly steps: Steps<any>
  /** What it is called in the one around it, and whether it is its last part. */
  readonly key: string | number
  readonly last: boolean
  readonly limitAt: number
  readonly limit: number
  readonly limitBy: number
  readonly depth: number
  readonly programs: number
  readonly enclosed: number
  /** Where it ends, if it is a body, and how many bytes follow what is wrong in it. */
  end: number | undefined
  trail: number
}

export class Progress implements Stepwise {
  key: string | number = ""
  last = false
  /** Where the next part begins; in the end, where the message ends. */
  offset = 0
  /** How many bytes there have to be for it to make sense to go on. */
  wants = 0
  depth = 0
  programs = 0
  private fault: Fault | undefined = undefined
  /** Which of the frames under way it is the fault of, if not of the innermost. */
  private blamed = Infinity
  /** The offset that the message may not go beyond, and the bound that says so. */
  private limitAt = Infinity
  private limit = Infinity
  /** Which of the frames under way says so. */
  private limitBy = -1
  /** The offset where the body ends that the part lies in, if all of it is one. */
  private enclosed = Infinity
  private isBody = false
  private readonly stack: Array<Entry> = []
  /** The part that is under way: not on the stack, or not yet. */
  private part: Node<any>
  private partSteps: ((progress: Stepwise) => Steps<any>) | undefined
  private partKey: string | number = ""
  private partLast = true
  /** Whether it was tried as a whole. */
  private tried: boolean
  /** The search in it that was in vain. */
  private sought: Cursor["sought"] = undefined
  /** How many bytes of it there have to be before it is tried again. */
  private needed = 0
  /** The bytes of it, if they lie in several pieces. */
  private gathered: Uint8Array = Bytes.empty
  private gatheredSize = 0
  private readonly found = new Located()

  /** `tried`: the message was tried as a whole, in vain. */
  constructor(node: Node<any>, tried: boolean) {
    this.part = node
    this.partSteps = node.steps
    this.tried = tried
  }

  /**
   * Of what begins at the cursor, in which more is nested than calls within calls can have. If all that the cursor looks at
   * is a body, the bodies in it are taken apart like everything else.
   */
  static within(node: Node<any>, cursor: Cursor): Progress {
    const progress = new Progress(node, true)
    progress.isBody = cursor.closed
    if (cursor.closed) progress.enclosed = cursor.end - cursor.at
    progress.depth = cursor.depth
    progress.programs = cursor.programs
    return progress
  }

  /**
   * Of a message that was tried as a whole on the `held` bytes that are there, in vain. One of several parts is gone into at
   * once, although some bytes are known to be missing: what is wrong in them is told at the same byte, however they were cut.
   */
  static after(node: Node<any>, cursor: Cursor, held: number): Progress {
    const progress = new Progress(node, true)
    if (node.steps === undefined) progress.wants = held + Math.max(1, cursor.missing)
    return progress
  }

  // ------------------------------------------------------------------------
  // what frames of several parts say
  // ------------------------------------------------------------------------

  bounded(limit: number): void {
    if (this.offset + limit >= this.limitAt) return
    this.limitAt = this.offset + limit
    this.limit = limit
    this.limitBy = this.stack.length - 1
  }

  fits(size: number): boolean {
    return this.offset + size <= this.limitAt
  }

  overrun(): Stop {
    this.tooLong(this.limit, undefined)
    this.blamed = this.limitBy
    return stop
  }

  has(size: number): boolean {
    return this.offset + size <= this.enclosed
  }

  encloses(size: number): boolean {
    if (!this.has(size)) return false
    this.enclosed = this.offset + size
    this.stack.at(-1)!.end = this.enclosed
    return true
  }

  trails(size: number): void {
    this.stack.at(-1)!.trail = size
  }

  malformed(reason: string, at: number = this.offset, cause?: unknown, extent?: number): Stop {
    this.fault = { _tag: "Malformed", reason, path: "", at, extent, ends: undefined, limit: 0, cause }
    return stop
  }

  wrong(part: string, reason: string, at: number): Stop {
    this.malformed(reason, at)
    this.fault!.path = part
    return stop
  }

  tooLong(limit: number, extent: number | undefined): Stop {
    const reason = `longer than ${limit} bytes`
    this.fault = {
      _tag: "TooLong",
      reason,
      path: "",
      at: this.offset,
      extent,
      ends: undefined,
      limit,
      cause: undefined
    }
    return stop
  }

  // ------------------------------------------------------------------------
  // going on
  // ------------------------------------------------------------------------

  /**
   * Goes on with what is there. A value: the message is complete, and ends at `offset`. `stop`: it is wrong, and
   * `cursor.fault` says how, or more has to come: `wants` says how much.
   */
  advance(source: Source, cursor: Cursor): any {
    cursor.fault = undefined
    if (source.length < this.wants) return stop
    while (true) {
      if (source.length < this.offset) return stop
      const { partSteps } = this
      let value: any = partSteps === undefined ? this.tryPart(source, cursor) : this.tryWhole(source, cursor)
      if (value !== stop) {
        if (!this.fits(0)) this.overrun()
      } else if (cursor.fault !== undefined) {
        this.fault = cursor.fault
      } else if (partSteps === undefined) {
        this.wants = this.offset + this.needed
        if (this.fits(this.needed)) return stop
        this.overrun()
      } else {
        this.enter(partSteps)
        value = undefined
      }
      if (this.fault === undefined) value = this.handUp(value, cursor)
      if (this.fault !== undefined) return this.failed(this.fault, cursor)
      if (value !== another) return value
    }
  }

  /** Hands a value to the frame around, and so on, until one has another part. */
  private handUp(value: any, cursor: Cursor): any {
    const { stack } = this
    while (stack.length > 0) {
      const entry = stack[stack.length - 1]!
      cursor.entered++
      let next: IteratorResult<Node<any>, any>
      try {
        next = entry.steps.next(value)
      } catch (cause) {
        if (cause instanceof Misuse) throw cause
        return this.malformed(reasonOf(cause), this.offset, cause)
      }
      if (next.done !== true) {
        this.begin(of("gen", next.value))
        return another
      }
      value = next.value
      if (value === stop) return stop
      stack.pop()
      this.limitAt = entry.limitAt
      this.limit = entry.limit
      this.limitBy = entry.limitBy
      this.depth = entry.depth
      this.programs = entry.programs
      this.enclosed = entry.enclosed
    }
    return value
  }

  private begin(part: Node<any>): void {
    this.part = part
    this.partSteps = part.steps ?? (this.isBody ? part.bodySteps : undefined)
    this.partKey = this.key
    this.partLast = this.last
    this.key = ""
    this.last = false
    // how deep it goes is up to the message: tried at each depth, it would be read that often
    this.tried = part.recursive
    this.sought = undefined
    this.needed = 0
    this.gatheredSize = 0
  }

  /** The part is taken apart. */
  private enter(steps: (progress: Stepwise) => Steps<any>): void {
    const { depth, enclosed, limit, limitAt, limitBy, partKey: key, partLast: last, programs, stack } = this
    const bounds = { limitAt, limit, limitBy, depth, programs, enclosed }
    stack.push({ steps: steps(this), key, last, ...bounds, end: undefined, trail: 0 })
  }

  /** A part of several, in the hope that all of it is there, in one piece. */
  private tryWhole(source: Source, cursor: Cursor): any {
    if (this.tried) return stop
    this.tried = true
    this.place(source, cursor)
    return this.run(cursor)
  }

  /** A part that is one. */
  private tryPart(source: Source, cursor: Cursor): any {
    let there = this.upTo(source) - this.offset
    if (this.gatheredSize === 0) {
      if (there < this.needed) return stop
      const held = this.place(source, cursor)
      const value = this.run(cursor)
      if (value !== stop || cursor.fault !== undefined) return value
      this.needed = held + Math.max(1, cursor.missing)
      if (held === there) return stop
      // a frame is code of others, which may have closed what it is read from
      there = this.upTo(source) - this.offset
    }
    while (this.needed <= there) {
      const size = Math.min(there, Math.max(this.needed, 2 * this.gatheredSize))
      this.gather(source, size)
      cursor.over(this.gathered, 0, size)
      cursor.start = -this.offset
      const value = this.run(cursor)
      if (value !== stop || cursor.fault !== undefined) return value
      this.needed = size + Math.max(1, cursor.missing)
      there = this.upTo(source) - this.offset
    }
    return stop
  }

  private run(cursor: Cursor): any {
    const begun = cursor.at
    cursor.entered++
    cursor.bound = begun + this.limitAt - this.offset
    cursor.depth = this.depth
    cursor.programs = this.programs
    cursor.deep = false
    cursor.missing = 0
    cursor.sought = this.sought
    const value = this.part.read(cursor)
    cursor.looked += cursor.at - begun
    if (value === stop) this.sought = cursor.sought
    else this.offset += cursor.at - begun
    return value
  }

  /** The offset up to which the part may look: not beyond its bound, so that what it says is the same for every cut. */
  private upTo(source: Source): number {
    return Math.min(source.length, this.isBody ? this.enclosed : this.limitAt)
  }

  /** Looks at the piece in which the part begins. Returns how many bytes of it are there. */
  private place(source: Source, cursor: Cursor): number {
    const { found, offset } = this
    if (source.length === offset) {
      cursor.over(Bytes.empty, 0, 0)
      cursor.start = -offset
      return 0
    }
    source.locate(offset, found)
    const at = found.from + offset - found.offset
    const end = Math.min(found.end, at + this.upTo(source) - offset)
    cursor.over(found.bytes, at, end)
    cursor.start = at - offset
    return end - at
  }

  /** Copies bytes of the part until there are so many in one piece. */
  private gather(source: Source, size: number): void {
    const { found } = this
    if (this.gathered.length < size || this.gatheredSize === 0) {
      // twice as much as before, so that what dribbles in is copied a constant number of times, but no more than it may have;
      // and anew for each part, since what was made of the bytes before may be views of them
      const larger = Bytes.allocate(Math.max(size, Math.min(2 * this.gatheredSize, this.part.maxBytes)))
      larger.set(this.gathered.subarray(0, this.gatheredSize))
      this.gathered = larger
    }
    while (this.gatheredSize < size) {
      const offset = this.offset + this.gatheredSize
      source.locate(offset, found)
      const at = found.from + offset - found.offset
      const part = found.bytes.subarray(at, Math.min(found.end, at + size - this.gatheredSize))
      this.gathered.set(part, this.gatheredSize)
      this.gatheredSize += part.length
    }
  }

  /** Says of what it is a part. */
  private failed(fault: Fault, cursor: Cursor): Stop {
    if (fault === cursor.fault) blame(fault, this.partKey, this.partLast)
    for (let i = Math.min(this.blamed, this.stack.length - 1); i >= 0; i--) {
      const { end, key, last, trail } = this.stack[i]!
      // where the body ends that it lies in is known
      if (end !== undefined) fault.extent = end
      if (fault.extent !== undefined) fault.extent += trail
      blame(fault, key, last)
    }
    cursor.fault = fault
    return stop
  }
}

const another = Symbol("another")

/** As `read`, of what begins at `at`, and is nested too deep for calls within calls. */
export const readDeep = <A>(cursor: Cursor, node: Node<A>, at: number): A | Stop => {
  const { bound, bytes, depth, end, programs, start } = cursor
  cursor.at = at
  const progress = Progress.within(node, cursor)
  let value: A | Stop
  try {
    value = progress.advance(new Whole(bytes, at, end), cursor)
  } finally {
    cursor.over(bytes, at + progress.offset, end)
    cursor.start = start
    // where it began was counted from there
    cursor.sought = undefined
    cursor.bound = bound
    cursor.depth = depth
    cursor.programs = programs
  }
  if (value !== stop) return value
  const { fault } = cursor
  if (fault === undefined) return cursor.more(1)
  cursor.fault = { ...fault, at: fault.at + at - start }
  return stop
}

/** What is wrong, in the words of whoever threw. */
export const reasonOf = (cause: unknown): string => {
  if (cause instanceof EncodeFault) return cause.reason
  return shown(cause instanceof Error ? cause.message : cause)
}

/** As text, also what has none. */
export const shown = (value: unknown): string => {
  try {
    return String(value)
  } catch {
    return describe(value)
  }
}
