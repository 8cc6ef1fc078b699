/**
 * What a message is encoded into: memory that grows, with room for lengths that are known last.
 *
 * Small parts are copied, one behind the other; large ones are kept as they are. Where encoding fails, it throws an
 * `EncodeFault`, and what was written so far is not used.
 */
import * as Bytes from "../base/bytes.ts"
import { copiedBytes } from "../base/defaults.ts"

/** A value that cannot be written. No `Error`: nobody sees it, and a stack would cost more than all the rest. */
export class EncodeFault {
  path = ""
  readonly reason: string
  readonly cause: unknown
  constructor(reason: string, cause?: unknown) {
    this.reason = reason
    this.cause = cause
  }
}

const firstCapacity = 256

/** A frame, as far as what is written knows of it: frames know this file. */
interface Writes {
  write(sink: Sink, value: unknown): void
}

export class Sink {
  bytes: Uint8Array
  /** Where the open part begins, where it goes on, and where its memory ends. */
  start: number
  at: number
  end: number
  /** Parts that are complete, and how many bytes they have. */
  private sealed: Array<Uint8Array> | undefined = undefined
  private sealedSize = 0
  private inner: Sink | undefined = undefined
  private patcher: Sink | undefined = undefined
  /** Whether the memory belongs to somebody else, who shall not be asked to grow it. */
  fixed = false
  /** How deep the parts that refer to themselves are nested here. */
  depth = 0
  /** Where the memory that it was given was given up for a larger one. */
  private left = -1

  constructor(bytes: Uint8Array = Bytes.empty, start = 0, end: number = bytes.length) {
    this.bytes = bytes
    this.start = start
    this.at = start
    this.end = end
  }

  /** Begins anew, in this memory. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes
    this.start = start
    this.at = start
    this.end = end
    this.sealed = undefined
    this.sealedSize = 0
    this.depth = 0
    this.left = -1
  }

  /** Up to where the memory that it was given is in use. */
  get usedTo(): number {
    return this.left === -1 ? this.at : this.left
  }

  /** How many bytes were written. */
  get size(): number {
    return this.sealedSize + this.at - this.start
  }

  /** Room for `size` bytes in `bytes`: returns where. They are to be written before anything else is. */
  reserve(size: number): number {
    const { at } = this
    if (this.end - at < size) return this.grow(size)
    this.at = at + size
    return at
  }

  private grow(size: number): number {
    if (this.fixed) throw new EncodeFault("does not fit where its length was reserved")
    if (this.left === -1) this.left = this.start
    const used = this.at - this.start
    const bytes = Bytes.allocate(Math.max(2 * (this.end - this.start), used + size, firstCapacity))
    if (used > 0) bytes.set(this.bytes.subarray(this.start, this.at), 0)
    this.bytes = bytes
    this.start = 0
    this.end = bytes.length
    this.at = used + size
    return used
  }

  /** Writes bytes: a copy of few, many as they are. */
  put(bytes: Uint8Array): void {
    const { length } = bytes
    if (length > copiedBytes && !this.fixed) return this.keep(bytes)
    const at = this.reserve(length)
    Bytes.copyInto(bytes, this.bytes, at)
  }

  private keep(bytes: Uint8Array): void {
    const sealed = (this.sealed ??= [])
    if (this.at > this.start) sealed.push(this.bytes.subarray(this.start, this.at))
    sealed.push(Bytes.fixed(bytes))
    this.sealedSize += this.at - this.start + bytes.length
    this.start = this.at
  }

  /** Writes a value of a frame, where this is: what is wrong with the value is wrong with all that is written. */
  writeFrame(frame: unknown, value: unknown): void {
    const node = frame as { readonly write?: unknown } | null | undefined
    if (typeof node?.write !== "function") throw new TypeError("writeFrame: expected a Frame, in front of the value")
    ;(node as Writes).write(this, value)
  }

  /** Writes text as UTF-8. */
  text(text: string): void {
    // a UTF-16 unit is at most three bytes of UTF-8
    const most = text.length * 3
    if (most > copiedBytes || (this.fixed && most > this.end - this.at)) return this.put(Bytes.encode(text))
    const at = this.reserve(most)
    this.at = at + Bytes.encodeInto(text, this.bytes, at)
  }

  /** Where in `bytes` lies what begins `position` bytes from the beginning; -1 if that is in a part that is complete. */
  openAt(position: number): number {
    return position < this.sealedSize ? -1 : this.start + position - this.sealedSize
  }

  /** Writes what was left out: `size` bytes that begin `position` bytes from the beginning. */
  patch(position: number, size: number): Sink {
    let { bytes } = this
    let at = this.start + position - this.sealedSize
    if (position < this.sealedSize) {
      let from = 0
      for (const part of this.sealed!) {
        if (position < from + part.length) {
          bytes = part
          at = position - from
          break
        }
        from += part.length
      }
    }
    const patcher = (this.patcher ??= new Sink())
    patcher.fixed = true
    patcher.reset(bytes, at, at + size)
    return patcher
  }

  /** A sink for a part whose length has to be known before it is written: `append` adds what is in it. */
  nested(): Sink {
    const inner = this.inner ?? new Sink()
    // another may be asked for before this one is added
    this.inner = undefined
    inner.reset(inner.bytes, 0, inner.bytes.length)
    inner.depth = this.depth
    return inner
  }

  /** Adds all that is in one that `nested` returned. */
  append(other: Sink): void {
    const { sealed } = other
    let kept = false
    if (sealed !== undefined) {
      for (const part of sealed) {
        kept ||= part.length > copiedBytes
        this.put(part)
      }
    }
    const open = other.open()
    if (open.length > 0) this.put(open)
    // parts of its memory may be what is sent
    if (kept || open.length > copiedBytes) other.leave()
    this.inner = other
  }

  private open(): Uint8Array {
    return this.bytes.subarray(this.start, this.at)
  }

  /** The open part, whose memory is not used again. */
  private release(): Uint8Array {
    const open = this.open()
    this.leave()
    return open
  }

  private leave(): void {
    this.sealed = undefined
    this.bytes = Bytes.empty
    this.start = 0
    this.at = 0
    this.end = 0
  }

  /** Whether all of it is in the open part, in one piece. */
  get isWhole(): boolean {
    return this.sealed === undefined
  }

  /** All of it, in one piece and memory of its own. */
  copy(): Uint8Array {
    const all = Bytes.allocate(this.size)
    let at = 0
    if (this.sealed !== undefined) {
      for (const part of this.sealed) {
        all.set(part, at)
        at += part.length
      }
    }
    all.set(this.open(), at)
    return all
  }

  /** All parts, in order. Their memory is the sink's no longer. */
  parts(): ReadonlyArray<Uint8Array> {
    const parts = this.sealed ?? []
    if (this.at > this.start) parts.push(this.release())
    this.sealed = undefined
    return parts
  }
}
