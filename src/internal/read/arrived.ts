/**
 * What has arrived and was not read: chunks in the queue, then segments, then the end. Bytes are counted over both, and
 * taking some of them lets the transport go on.
 */
import type { ClosedStream } from "../base/errors.ts"
import type { Progress } from "../frame/progress.ts"
import { Backpressure, type Flow } from "./backpressure.ts"
import { type End, open } from "./end.ts"
import { ChunkQueue } from "./queue.ts"
import { Segments } from "./segments.ts"
import type { Separator } from "./separator.ts"

/** What is left of a message that nobody wants, and that arrives yet. */
export interface Dropping {
  /** How many bytes have yet to go, and what ends it behind them, if that is to be found. */
  size: number
  until: Separator | undefined
  /** How many bytes were read when this was so: it counts no more once others read, or put something back. */
  at: number
}

/** What was moved over to a part of a reader. */
export interface Apart {
  /** Bytes of it that nobody has read. */
  readonly unread: number
  /** A read that takes from it in this very step, or waits. */
  readonly reading: { readonly name: string } | undefined
  /** What of it nobody has read goes back in front of what follows, for another part to read, or for this one. */
  untake(): void
  /** What of it nobody has read goes back in front of what follows, and the part is closed. */
  giveBack(reason: ClosedStream["reason"]): void
  /** This side is done with the stream. */
  cut(reason: ClosedStream["reason"]): void
}

export class Arrived {
  readonly limit: number
  /** Counts the bytes in queue and segments together. */
  readonly backpressure: Backpressure
  readonly segments = new Segments()
  /** How the stream stands, as far as the segments have got. */
  end: End = open
  /** Bytes ever fed. */
  received = 0
  /** Where the next search for a separator may begin, and which one it was. */
  searched = 0
  searchedFor: unknown = undefined
  /** How far a message came that is not all there, and which frame it is of; until something is read. */
  partial: Progress | undefined = undefined
  partialOf: unknown = undefined
  /** What `frames` passes over, whoever reads on behind it. */
  dropping: Dropping | undefined = undefined
  /** The part that is read now, or was read last. */
  apart: Apart | undefined = undefined
  protected readonly queue = new ChunkQueue()

  /** `outer`: what counts the bytes of the reader that this is a part of. */
  constructor(limit: number, flow: Flow, outer?: Backpressure) {
    this.limit = limit
    this.backpressure = new Backpressure(limit, flow, outer)
  }

  /** Bytes in queue and segments together. */
  get size(): number {
    return this.backpressure.here
  }

  /** Whether the transport is held back. */
  get paused(): boolean {
    return this.backpressure.paused
  }

  /** Bytes that can be read without waiting. */
  get readable(): number {
    return this.size
  }

  /** Bytes that nobody has read yet, here or in a part. */
  get unread(): number {
    return this.backpressure.size
  }

  /** How many bytes were read. */
  get taken(): number {
    return this.received - this.unread
  }

  /** Whether this side has closed the stream. */
  get isClosed(): boolean {
    return this.end._tag === "closed"
  }

  /** Whether nothing is left to read, and nothing comes any more. */
  get isOver(): boolean {
    return this.isClosed || (this.queue.ended && this.size === 0)
  }

  /** Moves everything that has arrived into the segments. */
  absorb(): void {
    if (!this.queue.filled) return
    const end = this.queue.moveTo(this.segments)
    if (end !== open) this.end = end
  }

  /** Bytes left the segments: bookkeeping, and the transport may go on. The last thing that a read does. */
  private consumed(count: number): void {
    if (count > 0) this.partial = undefined
    this.searched = this.searched > count ? this.searched - count : 0
    this.backpressure.removed(count)
  }

  take(count: number): Uint8Array {
    const bytes = this.segments.take(count)
    this.consumed(count)
    return bytes
  }

  /** Gives bytes to a part, which has them before they are gone from here: in between a shared budget would have room. */
  pass(count: number, to: { feed(bytes: Uint8Array): void }): void {
    to.feed(this.segments.take(count))
    this.consumed(count)
  }

  takeInto(target: Uint8Array, count: number): void {
    this.segments.takeInto(target, count)
    this.consumed(count)
  }

  skip(count: number): void {
    this.segments.skip(count)
    this.consumed(count)
  }

  /** Removes everything that has arrived, in the pieces it came in. */
  takePieces(): ReadonlyArray<Uint8Array> {
    const pieces = this.segments.takeAll()
    let count = 0
    for (const piece of pieces) count += piece.length
    while (count < this.size) {
      const piece = this.queue.take()
      count += piece.length
      pieces.push(piece)
    }
    this.consumed(count)
    return pieces
  }

  /** Removes the first piece; there must be one. */
  takePiece(): Uint8Array {
    const { segments } = this
    const piece = segments.length > 0 ? segments.take(segments.end - segments.position) : this.queue.take()
    this.consumed(piece.length)
    return piece
  }

  /** Puts bytes back in front. Whether that is too much is another question, as where bytes come in. */
  putBack(bytes: Uint8Array): void {
    this.absorb()
    this.segments.unshift(bytes)
    this.backpressure.added(bytes.length)
    this.partial = undefined
    this.searched = 0
  }

  /** Drops everything. */
  protected clear(): void {
    this.segments.clear()
    this.queue.clear()
    this.partial = undefined
    this.searched = 0
    this.backpressure.close()
  }
}
