/**
 * The gathering of small writes: what a connection has accepted, and has yet to hand over, as few long parts.
 *
 * Small pieces are copied into the slab that all connections share, one behind the other, so that many of them become one
 * system call. Long pieces are kept as they are.
 */
import * as Bytes from "../base/bytes.ts"
import { copiedBytes, frameRoom, slabBytes } from "../base/defaults.ts"
import * as Memory from "../base/memory.ts"
import type { Node } from "../frame/node.ts"
import { Sink } from "../frame/sink.ts"

// a constant of this module, and no import: so the engine's compiled code knows the object
const { slab } = Memory

/** What nobody adds to. The first part comes in an array of its own, which has room for no other: most batches are one part. */
const noParts: Array<Uint8Array> = []

/** Messages are encoded with it, one at a time. */
let frameSink: Sink | undefined = new Sink()

/** Why messages are not taken. */
interface Fault {
  readonly fault: unknown
}

/** What they were to be written to has ended meanwhile. */
const ended: Fault = { fault: undefined }

const encode = <A>(sink: Sink, node: Node<A>, values: ReadonlyArray<A>): Fault | undefined => {
  try {
    for (const value of values) node.write(sink, value)
    return undefined
  } catch (fault) {
    return { fault }
  }
}

export class Gather {
  /** Whether some of what is unsent may lie in memory of the caller's. */
  views = false
  private parts = noParts
  /** The open part at the end of the slab: its memory, where it begins, and where it would go on. */
  private openMemory: Uint8Array<ArrayBuffer> | undefined = undefined
  private openStart = 0
  private openEnd = 0
  /** The last slab in which there is something that the system has not taken. */
  private usedMemory: Uint8Array<ArrayBuffer> | undefined = undefined
  /** Others. */
  private usedBefore: Array<Uint8Array<ArrayBuffer>> | undefined = undefined

  // ------------------------------------------------------------------------
  // placing
  // ------------------------------------------------------------------------

  place(bytes: Uint8Array): void {
    const size = bytes.length
    if (size === 0) return
    if (size <= copiedBytes) {
      const at = this.reserve(size)
      Bytes.copyInto(bytes, this.openMemory!, at)
      this.openEnd = at + size
      if (this.openMemory === slab.memory) slab.used = this.openEnd
    } else {
      this.seal()
      this.add(Bytes.fixed(bytes))
      this.views = true
    }
  }

  /** Returns how many bytes the text came to. */
  placeText(text: string): number {
    // a UTF-16 unit is at most three bytes of UTF-8
    const most = text.length * 3
    if (most === 0) return 0
    if (most <= copiedBytes) {
      const at = this.reserve(most)
      const size = Bytes.encodeInto(text, this.openMemory!, at)
      this.openEnd = at + size
      if (this.openMemory === slab.memory) slab.used = this.openEnd
      return size
    }
    const bytes = Bytes.encode(text)
    this.seal()
    this.add(bytes)
    return bytes.length
  }

  /** Several chunks, one behind the other; returns their size. A character may be cut between two that are text. */
  placeAll(chunks: ReadonlyArray<Uint8Array | string>): number {
    let size = 0
    let half = ""
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!
      if (chunk.length === 0) continue
      if (typeof chunk === "string") {
        const text = half + chunk
        half = Bytes.halfAtEnd(text)
        size += this.placeText(half === "" ? text : text.slice(0, -1))
      } else {
        size += this.placeText(half) + chunk.length
        half = ""
        this.place(chunk)
      }
    }
    return size + this.placeText(half)
  }

  /** As `placeAll`, for bytes that are few together: `size` of them. */
  placeRun(chunks: ReadonlyArray<Uint8Array>, size: number): void {
    let at = this.reserve(size)
    const target = this.openMemory!
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!
      Bytes.copyInto(chunk, target, at)
      at += chunk.length
    }
    this.openEnd = at
    if (target === slab.memory) slab.used = at
  }

  /**
   * Messages, encoded where they are sent from; returns their size. Takes all of them, or nothing, and returns the fault.
   * `to`: nothing is taken if an encoder has ended that.
   */
  placeFrames<A>(node: Node<A>, values: ReadonlyArray<A>, to: { readonly isOver: boolean }): number | Fault {
    const at = this.reserve(frameRoom)
    const { memory } = slab
    const sink = frameSink ?? new Sink()
    frameSink = undefined
    sink.reset(memory, at, slabBytes)
    // an encoder may write meanwhile, here or elsewhere, and may have all of it sent: the memory is nobody else's until then
    slab.used = slabBytes
    slab.enter()
    const fault = encode(sink, node, values) ?? (to.isOver ? ended : undefined)
    if (fault !== undefined) {
      if (slab.memory === memory) slab.used = at
      slab.leave(memory)
      // the sink may hold long values: another is made for the next message
      return fault
    }
    const { size } = sink
    if (slab.memory === memory) slab.used = sink.usedTo
    if (this.usedMemory === memory) slab.leave(memory)
    else (this.usedBefore ??= []).push(memory)
    if (sink.isWhole && sink.bytes === memory && this.openMemory === memory && this.openEnd === at) {
      this.openEnd = sink.at
    } else {
      this.seal()
      // long values are sent from the caller's memory
      if (!sink.isWhole) this.views = true
      for (const part of sink.parts()) this.add(part)
    }
    frameSink = sink
    return size
  }

  /** Makes room for `size` bytes behind what was copied last, and returns where. */
  private reserve(size: number): number {
    const { used } = slab
    if (this.openMemory === slab.memory && this.openEnd === used && used + size <= slabBytes) return used
    return this.open(size)
  }

  /** Opens a part with room for `size` bytes, and returns where it begins. */
  private open(size: number): number {
    this.seal()
    slab.makeRoom(size)
    if (this.usedMemory !== slab.memory) {
      if (this.usedMemory !== undefined) (this.usedBefore ??= []).push(this.usedMemory)
      this.usedMemory = slab.enter()
    }
    this.openMemory = slab.memory
    this.openStart = slab.used
    this.openEnd = slab.used
    return slab.used
  }

  private seal(): void {
    if (this.openMemory !== undefined) {
      if (this.openEnd > this.openStart) {
        this.add(slab.part(this.openMemory, this.openStart, this.openEnd - this.openStart))
      }
      this.openMemory = undefined
    }
  }

  private add(part: Uint8Array): void {
    if (this.parts === noParts) this.parts = [part]
    else this.parts.push(part)
  }

  // ------------------------------------------------------------------------
  // taking
  // ------------------------------------------------------------------------

  /** Ends the open part, before parts are taken. Returns its memory if it is the only one: see `reuse`. */
  finish(): Uint8Array | undefined {
    const memory = this.parts.length === 0 ? this.openMemory : undefined
    this.seal()
    return memory
  }

  /** Everything. */
  takeAll(): ReadonlyArray<Uint8Array> {
    // whoever is told of a batch may write
    this.seal()
    const { parts } = this
    this.parts = noParts
    return parts
  }

  /** The first `size` bytes; less only where memory is gone. */
  take(size: number): ReadonlyArray<Uint8Array> {
    this.seal()
    const { parts } = this
    let whole = 0
    let count = 0
    // memory that is gone has no bytes, and then there are fewer than were counted
    while (count < parts.length && whole + parts[count]!.length <= size) whole += parts[count++]!.length
    const batch = parts.splice(0, count)
    const room = size - whole
    if (room > 0 && parts.length > 0) {
      batch.push(parts[0]!.subarray(0, room))
      parts[0] = parts[0]!.subarray(room)
    }
    return batch
  }

  /** The system has taken the only part, which lay in `memory`. */
  reuse(memory: Uint8Array | undefined): void {
    slab.giveBack(memory, this.openStart, this.openEnd)
  }

  /** The system has taken everything. */
  release(): void {
    this.views = false
    // a part in which nothing is yet would lie in memory that others may use from now on
    this.openMemory = undefined
    slab.leave(this.usedMemory)
    this.usedMemory = undefined
    if (this.usedBefore === undefined) return
    for (const memory of this.usedBefore) slab.leave(memory)
    this.usedBefore = undefined
  }

  /** Forgets what has not been taken. */
  drop(): void {
    this.parts = noParts
    this.openMemory = undefined
  }
}
