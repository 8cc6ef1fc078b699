/** Frames without a stream: bytes that are pushed by hand, or are there already. */
import * as Result from "effect/Result"
import type { EncodeFailed, IncompleteRead, LimitOverrun, MalformedFrame } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import * as Errors from "../base/errors.ts"
import * as Bytes from "../base/bytes.ts"
import { Cursor, type Fault, stop } from "./cursor.ts"
import type { Node } from "./node.ts"
import { Progress, Whole } from "./progress.ts"
import { EncodeFault, Sink } from "./sink.ts"

/** What a message begins with is shown so far. */
const excerptBytes = 16

/** The error that a fault is. `offset`: where the message began; `excerpt`: the bytes from the fault on. */
export const errorOf = (
  operation: string,
  node: Node<any>,
  fault: Fault,
  offset: number,
  excerpt: Uint8Array
): MalformedFrame | LimitOverrun => {
  const frame = fault.path === "" ? node.name : fault.path
  if (fault._tag === "TooLong") {
    const { extent, limit } = fault
    return new Errors.LimitOverrun({ operation, consumed: extent ?? 0, limit, found: extent !== undefined, frame })
  }
  const { cause, reason } = fault
  return new Errors.MalformedFrame({
    operation,
    frame,
    reason,
    offset: offset + fault.at,
    bytes: Bytes.copy(excerpt.subarray(0, excerptBytes)),
    ...(cause === undefined ? undefined : { cause })
  })
}

/** Whether it is what a decoder throws. */
export const isDecodeError = (error: unknown): error is MalformedFrame | LimitOverrun | IncompleteRead =>
  error instanceof Errors.MalformedFrame ||
  error instanceof Errors.LimitOverrun ||
  error instanceof Errors.IncompleteRead

const malformed = (
  operation: string,
  node: Node<any>,
  reason: string,
  offset: number,
  bytes: Uint8Array
): MalformedFrame =>
  new Errors.MalformedFrame({
    operation,
    frame: node.name,
    reason,
    offset,
    bytes: Bytes.copy(bytes.subarray(offset, offset + excerptBytes))
  })

// ---------------------------------------------------------------------------
// decoding
// ---------------------------------------------------------------------------

export const decodeResult = <A>(
  node: Node<A>,
  given: Uint8Array
): Result.Result<A, MalformedFrame | LimitOverrun | IncompleteRead> => {
  const operation = "decode"
  const bytes = Argument.bytes("decodeResult", given)
  const cursor = new Cursor()
  cursor.begin(bytes, 0, bytes.length)
  cursor.whole = bytes.length
  let value = node.read(cursor)
  let used = cursor.at
  if (value === stop && cursor.fault === undefined) {
    // what is wrong with what is there is told, although more is missing
    const progress = Progress.after(node, cursor, bytes.length)
    value = progress.advance(new Whole(bytes, 0, bytes.length), cursor)
    used = progress.offset
  }
  if (value === stop) {
    const { fault } = cursor
    return fault === undefined
      ? Result.fail(new Errors.IncompleteRead({ operation, partial: Bytes.copy(bytes), frame: node.name }))
      : Result.fail(errorOf(operation, node, fault, 0, bytes.subarray(fault.at)))
  }
  const left = bytes.length - used
  return left === 0
    ? Result.succeed(value as A)
    : Result.fail(malformed(operation, node, `${left} byte${left === 1 ? "" : "s"} behind the message`, used, bytes))
}

/**
 * Decodes messages, one behind the other, until one is not whole, or takes nothing: what that was read as is returned, and
 * begins at the cursor's `start`. A loop of its own, with nothing behind it: the engine enters its code in the middle of the
 * loop, and would throw it away for what it has not seen.
 */
const decodeRun = <A>(
  node: Node<A>,
  cursor: Cursor,
  bytes: Uint8Array,
  from: number,
  to: number,
  messages: Array<A>
): any => {
  let at = from
  let value: unknown
  do {
    cursor.begin(bytes, at, to)
    value = node.read(cursor)
    if (value === stop || cursor.at === at) break
    messages.push(value as A)
    at = cursor.at
  } while (at < to)
  return value
}

/** See `Frame.makeDecoder`. */
export class PushDecoder<A> {
  private readonly node: Node<A>
  private readonly cursor = new Cursor()
  private progress: Progress | undefined = undefined
  private bytes: Uint8Array = Bytes.empty
  private from = 0
  private to = 0
  /** Whether there is room of this decoder's behind the bytes. */
  private owned = false
  /** Bytes of all messages before. */
  private consumed = 0
  /** Whether what is wrong behind the messages that were returned is still to be told. */
  private owes = false

  constructor(node: Node<A>) {
    this.node = node
  }

  push(bytes: Uint8Array): ReadonlyArray<A> {
    this.add(Argument.bytes("push", bytes))
    const messages: Array<A> = []
    const { cursor } = this
    cursor.fault = undefined
    cursor.beginRun()
    let threw = false
    try {
      while (this.from < this.to) {
        if (!(this.progress === undefined ? this.decodeWhole(messages) : this.goOn(this.progress, messages))) break
      }
    } catch (defect) {
      // those in front of it first
      if (messages.length === 0) throw defect
      threw = true
    } finally {
      cursor.endRun()
    }
    // what is wrong behind some messages is told by the next call
    this.owes = messages.length > 0 && (threw || cursor.fault !== undefined)
    if (messages.length === 0) this.throwFault()
    return messages
  }

  /** Whether the next call throws, whatever comes. */
  get isWrong(): boolean {
    return this.owes
  }

  private throwFault(): void {
    const { fault } = this.cursor
    if (fault === undefined) return
    const error = errorOf("push", this.node, fault, this.consumed, this.bytes.subarray(this.from + fault.at, this.to))
    // a bad message that ends somewhere is passed over; one that does not is found again
    if (fault._tag === "Malformed" && fault.extent !== undefined) this.use(fault.extent)
    throw error
  }

  /** Nothing more comes. */
  end(): void {
    if (this.from === this.to) return
    if (this.owes) this.push(Bytes.empty)
    const partial = this.leftover
    this.use(partial.length)
    throw new Errors.IncompleteRead({ operation: "end", partial, frame: this.node.name })
  }

  /** A copy of what is no whole message yet. */
  get leftover(): Uint8Array {
    return Bytes.copy(this.bytes.subarray(this.from, this.to))
  }

  /** What decoding has cost so far: bytes looked at, and parts entered. */
  get steps(): number {
    return this.cursor.looked + this.cursor.entered
  }

  /** Decodes the messages that are there in one go. Whether there is one behind them that may be there in several. */
  private decodeWhole(messages: Array<A>): boolean {
    const { cursor, from, node, to } = this
    let value: any
    try {
      value = decodeRun(node, cursor, this.bytes, from, to, messages)
    } catch (defect) {
      this.use(cursor.start - from)
      throw defect
    }
    if (value !== stop) {
      // what takes nothing would be found for ever
      if (cursor.at === cursor.start) messages.push(value)
      this.use(cursor.at - from)
      return false
    }
    const at = cursor.start
    this.use(at - from)
    if (cursor.fault !== undefined) return false
    this.progress = Progress.after(node, cursor, to - at)
    return true
  }

  /** Goes on with a message that came in several pieces. Whether it is complete, and others may be behind it. */
  private goOn(progress: Progress, messages: Array<A>): boolean {
    const { cursor } = this
    // what throws in the middle cannot go on there
    this.progress = undefined
    const value = progress.advance(new Whole(this.bytes, this.from, this.to), cursor)
    if (value === stop) {
      if (cursor.fault === undefined) this.progress = progress
      return false
    }
    messages.push(value)
    this.use(progress.offset)
    return progress.offset > 0
  }

  private use(size: number): void {
    this.progress = undefined
    this.consumed += size
    this.from += size
    if (this.from < this.to) return
    this.bytes = Bytes.empty
    this.from = 0
    this.to = 0
    this.owned = false
  }

  private add(bytes: Uint8Array): void {
    const held = this.to - this.from
    if (held === 0) {
      this.bytes = bytes
      this.from = 0
      this.to = bytes.length
      this.owned = false
      return
    }
    if (!this.owned || this.bytes.length - this.to < bytes.length) {
      // twice as much, so that what dribbles in is copied a constant number of times
      const larger = Bytes.allocate(2 * (held + bytes.length))
      larger.set(this.bytes.subarray(this.from, this.to))
      this.bytes = larger
      this.from = 0
      this.to = held
      this.owned = true
    }
    this.bytes.set(bytes, this.to)
    this.to += bytes.length
  }
}

// ---------------------------------------------------------------------------
// encoding
// ---------------------------------------------------------------------------

/** The error that `thrown` is, if it is one of encoding. */
export const encodeFailed = (operation: string, node: Node<any>, thrown: unknown): EncodeFailed => {
  if (!(thrown instanceof EncodeFault)) throw thrown
  const { cause, path, reason } = thrown
  return new Errors.EncodeFailed({
    operation,
    frame: path === "" ? node.name : path,
    reason,
    ...(cause === undefined ? undefined : { cause })
  })
}

export const encodeResult = <A>(node: Node<A>, value: A): Result.Result<Uint8Array, EncodeFailed> => {
  const sink = new Sink()
  try {
    node.write(sink, value)
  } catch (thrown) {
    return Result.fail(encodeFailed("encode", node, thrown))
  }
  return Result.succeed(sink.copy())
}

/** Messages in memory of their own, or what was thrown. */
export const encoded = <A>(node: Node<A>, values: ReadonlyArray<A>): Uint8Array | { readonly fault: unknown } => {
  const sink = new Sink()
  try {
    for (const value of values) node.write(sink, value)
  } catch (fault) {
    return { fault }
  }
  return sink.copy()
}
