/**
 * Memory that connections share. This module owns all of it, and the others ask for their part.
 *
 * - The slab holds what connections have written in small pieces, and what relays pass on, until the system has taken it.
 * - The pool holds small copies of what has arrived, for as long as anybody keeps one of them.
 * - The read memory is what sockets read into that lend what they read: each read writes over the one before.
 */
import * as Bytes from "./bytes.ts"
import { maxPooled, maxSpareSlabs, poolBytes, readBytes, slabBytes } from "./defaults.ts"

type Marking = { markAsUntransferable?(memory: ArrayBufferLike): void } | undefined
type Process = { getBuiltinModule?(name: string): Marking } | undefined

/** Memory that several share is nobody's to transfer to another thread: the others would find it empty. */
const allocateShared = (size: number): Uint8Array<ArrayBuffer> => {
  const bytes = Bytes.allocate(size)
  const node = (globalThis as { readonly process?: Process }).process
  node?.getBuiltinModule?.("node:worker_threads")?.markAsUntransferable?.(bytes.buffer)
  return bytes
}

// ---------------------------------------------------------------------------
// the slab
// ---------------------------------------------------------------------------

/**
 * Connections fill it from the front. It is used again from the front once the system has taken everything in it; a full
 * slab is left to its users, and another one takes its place: one whose users have left, or a fresh one.
 */
class Slab {
  // A full one of nobody's, until something is written: what marks memory takes a while to load.
  memory: Uint8Array<ArrayBuffer> = Bytes.allocate(0)
  /** Where the next bytes go. */
  used = slabBytes
  /** How many connections have something in it that the system has not taken. */
  private users = 1
  /** The same of slabs that were left to their users. */
  private readonly usersOf = new WeakMap<Uint8Array, number>()
  /** Those whose users have left. */
  private readonly spare: Array<Uint8Array<ArrayBuffer>> = []

  // The part that was cut last: answers of one length, each taken at once, lie in the same place.
  private lastPart: Uint8Array = Bytes.empty
  private lastMemory: Uint8Array | undefined = undefined
  private lastStart = 0

  /** Makes room for `size` bytes at `used`. The memory may be another afterwards. */
  makeRoom(size: number): void {
    if (this.users === 0) this.used = 0
    if (this.used + size <= slabBytes) return
    this.usersOf.set(this.memory, this.users)
    this.memory = this.spare.pop() ?? allocateShared(slabBytes)
    this.used = 0
    this.users = 0
  }

  /** One more connection has something in the slab: in the memory that is returned, and to be given to `leave`. */
  enter(): Uint8Array<ArrayBuffer> {
    this.users++
    return this.memory
  }

  /** The system has taken all that this connection had in there. */
  leave(memory: Uint8Array<ArrayBuffer> | undefined): void {
    if (memory === this.memory) this.users--
    else if (memory !== undefined) this.leaveFull(memory)
  }

  private leaveFull(memory: Uint8Array<ArrayBuffer>): void {
    const users = this.usersOf.get(memory)! - 1
    this.usersOf.set(memory, users)
    if (users === 0 && this.spare.length < maxSpareSlabs) this.spare.push(memory)
  }

  /** The system has what was written last: the next small write finds the same, warm memory. */
  giveBack(memory: Uint8Array | undefined, start: number, end: number): void {
    if (memory === this.memory && this.used === end) this.used = start
  }

  /** A part of the memory of this slab, or of one before. */
  part(memory: Uint8Array<ArrayBuffer>, start: number, size: number): Uint8Array {
    // not by the views' own fields: `buffer` is a call out of the engine's compiled code
    if (this.lastMemory !== memory || this.lastStart !== start || this.lastPart.length !== size) {
      // every slab begins with its memory
      this.lastPart = Bytes.part(memory.buffer, start, size)
      this.lastMemory = memory
      this.lastStart = start
    }
    return this.lastPart
  }
}

export const slab = new Slab()

// ---------------------------------------------------------------------------
// the pool
// ---------------------------------------------------------------------------

let pool = Bytes.empty
let poolMemory: ArrayBufferLike = Bytes.empty.buffer
let poolUsed = poolBytes

/** As `Bytes.copy`; a copy of few bytes may share its memory with other copies. */
export const copyPooled = (bytes: Uint8Array): Uint8Array => {
  const size = bytes.length
  if (size > maxPooled) return Bytes.copy(bytes)
  if (poolUsed + size > poolBytes) {
    pool = allocateShared(poolBytes)
    poolMemory = pool.buffer
    poolUsed = 0
  }
  Bytes.copyInto(bytes, pool, poolUsed)
  const out = new Uint8Array(poolMemory, poolUsed, size)
  poolUsed += size
  return out
}

// ---------------------------------------------------------------------------
// the read memory
// ---------------------------------------------------------------------------

let readMemory: Uint8Array | undefined
let lastRead = Bytes.empty

/** The memory that sockets read into. Made when the first of them asks. */
export const forReads = (): Uint8Array => (readMemory ??= allocateShared(readBytes))

/** What a read has brought, at the front of that memory. Messages are often of one length: the view before is used again. */
export const readPart = (size: number): Uint8Array => {
  if (lastRead.length !== size) lastRead = forReads().subarray(0, size)
  return lastRead
}
