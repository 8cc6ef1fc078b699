/**
 * The bytes a reader holds, as one run, although they arrived in pieces.
 *
 * Every operation copies a byte at most a constant number of times, whatever
 * the pieces look like: a large piece is kept as it came, small ones that pile
 * up are gathered into slabs (so that a byte in a piece of its own does not
 * cost an object), and a result that lies in one piece is a view.
 */
import * as Bytes from "../base/bytes.ts"
import { firstSlab, largeMemory, maxSlab, smallPiece, smallRemainder } from "../base/defaults.ts"
import type { Located } from "../frame/progress.ts"

/** The memory of no bytes. */
const nothing: ArrayBufferLike = Bytes.empty.buffer
export class Segments {
  /** Bytes held. */
  length = 0
  /** The piece at the front; reads of the fast path look at `piece`, `position` and `end` only. */
  piece: Uint8Array = Bytes.empty
  /** The next unread byte of `piece`. */
  position = 0
  /** The end of what is valid in `piece`: less than its length only while it is a slab with room. */
  end = 0
  /** The memory of `piece`, and where it begins in there: a view made of these costs half of what `subarray` does. */
  private memory: ArrayBufferLike = nothing
  private base = 0
  /** Pieces behind the front one; those before `next` are gone. */
  private rest: Array<Uint8Array> = noPieces
  private next = 0
  /** The slab that the last piece is a part of, and how much of it is taken. */
  private slab: Uint8Array | undefined = undefined
  private slabEnd = 0
  private slabSize = firstSlab

  /** Appends bytes. They belong to the segments from now on. */
  push(bytes: Uint8Array): void {
    const size = bytes.length
    if (this.length === 0) {
      this.begin(Bytes.plain(bytes))
      this.end = size
      this.length = size
      this.slab = undefined
      return
    }
    this.length += size
    if (size > smallPiece) {
      this.slab = undefined
      this.append(Bytes.plain(bytes))
      return
    }
    const slab = this.slab
    if (slab !== undefined && slab.length - this.slabEnd >= size) {
      slab.set(bytes, this.slabEnd)
      this.slabEnd += size
      if (this.next === this.rest.length) this.end = this.slabEnd
      else this.rest[this.rest.length - 1] = slab.subarray(0, this.slabEnd)
      return
    }
    const fresh = Bytes.allocate(this.slabSize)
    if (this.slabSize < maxSlab) this.slabSize *= 2
    fresh.set(bytes, 0)
    this.slab = fresh
    this.slabEnd = size
    this.append(fresh.subarray(0, size))
  }

  /** A piece comes to the front. */
  private begin(piece: Uint8Array): void {
    this.piece = piece
    this.memory = piece.buffer
    this.base = piece.byteOffset
    this.position = 0
  }

  private append(piece: Uint8Array): void {
    if (this.rest === noPieces) this.rest = [piece]
    else this.rest.push(piece)
  }

  /** Puts bytes back in front of all others. They belong to the segments from now on. */
  unshift(bytes: Uint8Array): void {
    if (this.length === 0) return this.push(bytes)
    const current = this.next === this.rest.length && this.slab !== undefined ? this.sealed() : this.front()
    if (this.next === 0) {
      // room for as many again, so that putting back one by one is linear
      const room = this.rest.length + 8
      this.rest = [...Array.from({ length: room }, () => Bytes.empty), ...this.rest]
      this.next = room
    }
    this.rest[--this.next] = current
    this.begin(Bytes.plain(bytes))
    this.end = bytes.length
    this.length += bytes.length
  }

  /** What is left of the front piece, cut off from the slab that it could grow in. */
  private sealed(): Uint8Array {
    this.slab = undefined
    return this.front()
  }

  private front(): Uint8Array {
    return this.piece.subarray(this.position, this.end)
  }

  /** Moves on to the next piece once the front one is used up. */
  advance(): void {
    if (this.next < this.rest.length) {
      const piece = this.rest[this.next]!
      this.rest[this.next] = Bytes.empty
      this.next++
      if (this.next === this.rest.length) {
        // the last piece, when it is a slab, goes on growing as the front one
        this.begin(this.slab ?? piece)
        this.rest = noPieces
        this.next = 0
      } else {
        this.begin(piece)
        if (this.next >= 64 && this.next * 2 >= this.rest.length) {
          this.rest = this.rest.slice(this.next)
          this.next = 0
        }
      }
      this.end = piece.length
    } else {
      // hold no memory for nothing
      this.piece = Bytes.empty
      this.memory = nothing
      this.base = 0
      this.position = 0
      this.end = 0
      this.slab = undefined
      this.slabSize = firstSlab
    }
  }

  /** Removes and returns the first `count` bytes; there must be as many. */
  take(count: number): Uint8Array {
    const start = this.position
    if (this.end - start >= count) {
      const piece = this.piece
      const bytes = count === piece.length ? piece : new Uint8Array(this.memory, this.base + start, count)
      this.length -= count
      this.position = start + count
      if (this.end - this.position <= smallRemainder) this.settle()
      return bytes
    }
    const out = Bytes.allocate(count)
    this.copyTo(out, count)
    this.skip(count)
    return out
  }

  /** A copy of the first `count` bytes, which stay. */
  peek(count: number): Uint8Array {
    const out = Bytes.allocate(count)
    this.copyTo(out, count)
    return out
  }

  /** Removes the first `count` bytes, and puts them at the front of `target`; there must be as many. */
  takeInto(target: Uint8Array, count: number): void {
    this.copyTo(target, count)
    this.skip(count)
  }

  private copyTo(out: Uint8Array, count: number): void {
    let filled = Math.min(count, this.end - this.position)
    if (!this.liesIn(out)) out.set(this.piece.subarray(this.position, this.position + filled), 0)
    for (let i = this.next; filled < count; i++) {
      const piece = this.rest[i]!
      const part = Math.min(count - filled, piece.length)
      out.set(part === piece.length ? piece : piece.subarray(0, part), filled)
      filled += part
    }
  }

  /** Whether the first bytes are at the front of `memory` already. */
  liesIn(memory: Uint8Array): boolean {
    return this.memory === memory.buffer && this.base + this.position === memory.byteOffset
  }

  /** The front piece moves to memory of the segments: what it lies in is somebody else's. */
  own(): void {
    this.begin(Bytes.copy(this.front()))
    this.end = this.piece.length
  }

  /** Drops the first `count` bytes; there must be as many. */
  skip(count: number): void {
    this.length -= count
    const { end } = this
    if (end - this.position > count + smallRemainder) {
      this.position += count
      return
    }
    while (count > 0) {
      const part = Math.min(count, this.end - this.position)
      this.position += part
      count -= part
      if (this.end - this.position <= smallRemainder) this.settle()
    }
  }

  /** Little is left of the front piece, or nothing: it does not keep all the memory that the piece came in. */
  private settle(): void {
    if (this.position === this.end) return this.advance()
    // a slab that still grows is wanted for what comes
    if (this.piece === this.slab || this.memory.byteLength < largeMemory) return
    this.begin(Bytes.copy(this.piece.subarray(this.position, this.end)))
    this.end = this.piece.length
  }

  /** Removes and returns everything, in the pieces it is held in. */
  takeAll(): Array<Uint8Array> {
    const out: Array<Uint8Array> = []
    while (this.length > 0) out.push(this.take(this.end - this.position))
    return out
  }

  /** Forgets everything. */
  clear(): void {
    this.length = 0
    this.rest = noPieces
    this.next = 0
    this.advance()
  }

  /** The piece in which the byte at `offset` lies. See `Source` of frames. */
  locate(offset: number, found: Located): void {
    const front = this.end - this.position
    if (offset < front) {
      found.bytes = this.piece
      found.from = this.position
      found.end = this.end
      found.index = -1
      found.offset = 0
      return
    }
    let { index, offset: start } = found
    if (index < this.next || index >= this.rest.length || start > offset) {
      index = this.next
      start = front
    }
    let piece = this.rest[index]!
    while (offset >= start + piece.length) {
      start += piece.length
      piece = this.rest[++index]!
    }
    found.bytes = piece
    found.from = 0
    found.end = piece.length
    found.index = index
    found.offset = start
  }

  /** Calls `visit` with each piece that reaches beyond `from`, and its offset, until it returns true. */
  scan(from: number, visit: (piece: Uint8Array, start: number, end: number, offset: number) => boolean): void {
    const front = this.end - this.position
    // elsewhere than in the front piece, searches resume near the end, so the walk to their piece starts there
    let index = from < front ? this.next : this.rest.length
    let offset = from < front ? front : this.length
    while (index > this.next && offset > from) {
      index--
      offset -= this.rest[index]!.length
    }
    if (offset > from) {
      // `offset` is the length of the front piece here
      if (visit(this.piece, this.position + from, this.end, from)) return
    } else {
      const piece = this.rest[index]
      if (piece === undefined) return
      if (visit(piece, from - offset, piece.length, from)) return
      offset += piece.length
      index++
    }
    for (; index < this.rest.length; index++) {
      const piece = this.rest[index]!
      if (visit(piece, 0, piece.length, offset)) return
      offset += piece.length
    }
  }
}

const noPieces: Array<Uint8Array> = []
