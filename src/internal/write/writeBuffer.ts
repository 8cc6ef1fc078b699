/**
 * The bytes between a writer and a transport: gathering, watermarks, waiting.
 *
 * Small writes are copied into a slab, so that many of them become one system
 * call, and large ones are kept as they are. What has been accepted is sent at
 * the end of the turn, or as soon as there is a lot of it. Bytes are counted
 * until the system has taken them: above the high-water mark writers wait,
 * until the low-water mark is reached.
 */
import type { ClosedStream, WriteError } from "../../StreamError.ts"
import type { Transport } from "../../Transport.ts"
import * as Bytes from "../base/bytes.ts"
import { nextTurn } from "../runtime/turn.ts"
import type { Node } from "../frame/node.ts"
import { Sink } from "../frame/sink.ts"
import type { Watchdog } from "../runtime/timeouts.ts"

/** Where the bytes go: the sending half of a transport. */
export interface Output {
  /** As `Transport.write`. */
  write(chunks: ReadonlyArray<Uint8Array>): boolean
  /** All was sent that was accepted before the end was asked for. */
  ended(): void
  /** What was accepted cannot be sent: breaks the buffer, at once. */
  failed(cause: unknown): void
}

/** Writes up to this many bytes are copied; longer ones are kept as a view until they are sent. */
const copiedBytes = 4096
/** Once this many bytes wait they are sent without waiting for the end of the turn. */
const eagerBytes = 65536

/** What one call sends at most: so much must go out for a slow peer to count as one that reads. */
const mostInFlight = 262144

/** What one connection may send before others have their turn. */
const mostATurn = 1048576

const slabBytes = 65536
/** The slab that small writes of all connections are copied into, from the front. */
let slab = Bytes.allocate(slabBytes)
let slabUsed = 0
/** How many buffers have something in it that the system has not taken: with none it is used again from the front. */
let slabUsers = 0

/** The part of a slab that was cut last: answers of one length, each taken at once, lie in the same place. */
let lastPart: Uint8Array = Bytes.empty
let lastSlab: Uint8Array | undefined
let lastStart = 0
const partOf = (slab: Uint8Array, start: number, size: number): Uint8Array => {
  // not by the views' own fields: `buffer` is a call out of the engine's compiled code
  if (lastSlab !== slab || lastStart !== start || lastPart.length !== size) {
    // every slab begins with its memory
    lastPart = Bytes.part(slab.buffer, start, size)
    lastSlab = slab
    lastStart = start
  }
  return lastPart
}

/** Whether memory is not there any more: a view of it is empty then, and nothing that is kept was empty. */
const isGone = (chunks: ReadonlyArray<Uint8Array>): boolean => {
  for (let i = 0; i < chunks.length; i++) if (chunks[i]!.length === 0) return true
  return false
}

const memoryGone = (): TypeError =>
  new TypeError(
    `an array was transferred, detached or shrunk before what was written of it was sent: one of more than ${copiedBytes} bytes must be left alone until flush`
  )

/** Room that a message finds in a slab before it needs memory of its own. */
const leastForFrame = 1024
/** What messages are encoded with, one at a time. */
let frameSink: Sink | undefined = new Sink()

/** Buffers with something to send at the end of this turn. */
let dirty: Array<WriteBuffer> = []
const endOfTurn = Promise.resolve()
const flushDirty = (): void => {
  const buffers = dirty
  dirty = []
  for (const buffer of buffers) buffer.endTurn()
}

/** Someone who waits: to write, for low water, for a flush, for the end. */
export interface Waiter {
  /** Whether the wait is over, one way or the other. Asked of watchers only. */
  over(): boolean
  resume(): void
}

export class WriteBuffer {
  readonly highWaterMark: number
  readonly lowWaterMark: number
  /** Accepted, and not yet given to the transport. */
  pending = 0
  /** Given to the transport, and not yet taken by the system. */
  inFlight = 0
  /** All bytes ever accepted. */
  accepted = 0
  /** Whether the high-water mark was passed and the low one not yet reached again. */
  paused = false
  /** Whether so much was sent in this turn that the next write waits for another. */
  resting = false
  sentThisTurn = 0
  /** Set when no more bytes are accepted: the output ends once everything is sent. */
  ending: ClosedStream["reason"] | undefined = undefined
  /** Whether everything was sent, and the output ended behind it. */
  ended = false
  /** Why nothing can be written any more, as an error made anew for each operation that meets it. */
  broken: ((operation: string) => WriteError) | undefined = undefined
  /** Set by whoever sends the whole turn's output itself. */
  corked = false
  scheduled = false
  /** Set where the end of a turn is the transport's to say. */
  atEndOfTurn: Transport["atEndOfTurn"] = undefined
  /** Told of what is to be sent and of what was, if waiting is bounded. */
  watchdog: Watchdog | undefined = undefined
  /** How many of the bytes that the system took it has been told of. */
  private watched = 0

  private readonly output: Output
  private readonly segments: Array<Uint8Array> = []
  /** Whether some of what is unsent may lie in memory of the caller's. */
  private views = false
  /** What the transport holds, if some of it may. */
  private heldViews: ReadonlyArray<Uint8Array> | undefined = undefined
  /** The open segment at the end of the slab: where it begins, and where it would go on. */
  private openSlab: Uint8Array | undefined = undefined
  private openStart = 0
  private openEnd = 0
  /** The last slab in which there is something that the system has not taken. */
  private usedSlab: Uint8Array | undefined = undefined
  /** While bytes are being accepted, those who are woken run at the end of the turn, not in the middle of the write. */
  private accepting = false
  /** Those who wait to write, in the order in which they came. */
  private writers: Set<Waiter> | undefined = undefined
  /** Those who wait for low water, for a flush or for the end. */
  private watchers: Set<Waiter> | undefined = undefined

  constructor(options: { readonly highWaterMark: number; readonly lowWaterMark: number }, output: Output) {
    this.highWaterMark = options.highWaterMark
    this.lowWaterMark = options.lowWaterMark
    this.output = output
  }

  /** Bytes accepted that the system has not taken. */
  get buffered(): number {
    return this.pending + this.inFlight
  }

  /** Whether a write is accepted without waiting. */
  get open(): boolean {
    return (
      !this.paused &&
      !this.resting &&
      this.writers === undefined &&
      this.ending === undefined &&
      this.broken === undefined
    )
  }

  // ------------------------------------------------------------------------
  // accepting
  // ------------------------------------------------------------------------

  append(bytes: Uint8Array): void {
    this.place(bytes)
    if (bytes.length > 0) this.count(bytes.length)
  }

  appendText(text: string): void {
    const size = this.placeText(text)
    if (size > 0) this.count(size)
  }

  /** Several chunks as one run, sent as one. A character may be cut between two that are text. */
  appendAll(chunks: ReadonlyArray<Uint8Array | string>): void {
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
    size += this.placeText(half)
    if (size > 0) this.count(size)
  }

  /** `appendAll`, if all these can be written, and are not nothing. */
  appendRun(chunks: ReadonlyArray<unknown>): boolean {
    let size = 0
    let text = false
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]
      if (typeof chunk === "string") text = true
      else if (!(chunk instanceof Uint8Array)) return false
      size += chunk.length
    }
    if (size === 0) return false
    if (text || size > copiedBytes) this.appendAll(chunks as ReadonlyArray<Uint8Array | string>)
    else {
      this.placeRun(chunks as ReadonlyArray<Uint8Array>, size)
      this.count(size)
    }
    return true
  }

  /** Messages as one run, encoded where they are sent from. Takes all of them, or nothing, and returns what was thrown. */
  appendFrames<A>(node: Node<A>, values: ReadonlyArray<A>): { readonly fault: unknown } | undefined {
    const at = this.reserve(leastForFrame)
    const memory = slab
    const sink = frameSink ?? new Sink()
    frameSink = undefined
    sink.reset(memory, at, slabBytes)
    // whoever encodes may write something else meanwhile, elsewhere
    slabUsed = slabBytes
    try {
      for (const value of values) node.write(sink, value)
    } catch (fault) {
      if (slab === memory) slabUsed = at
      frameSink = sink
      return { fault }
    }
    const { size } = sink
    if (slab === memory) slabUsed = sink.usedTo
    if (sink.isWhole && sink.bytes === memory && slab === memory) this.openEnd = sink.at
    else {
      this.seal()
      for (const part of sink.parts()) this.segments.push(part)
    }
    frameSink = sink
    if (size > 0) this.count(size)
    return undefined
  }

  private placeRun(chunks: ReadonlyArray<Uint8Array>, size: number): void {
    let at = this.reserve(size)
    const target = this.openSlab!
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!
      Bytes.copyInto(chunk, target, at)
      at += chunk.length
    }
    this.openEnd = at
    if (target === slab) slabUsed = at
  }

  private place(bytes: Uint8Array): void {
    const size = bytes.length
    if (size === 0) return
    if (size <= copiedBytes) {
      const at = this.reserve(size)
      Bytes.copyInto(bytes, this.openSlab!, at)
      this.openEnd = at + size
      if (this.openSlab === slab) slabUsed = this.openEnd
    } else {
      this.seal()
      this.segments.push(Bytes.fixed(bytes))
      this.views = true
    }
  }

  private placeText(text: string): number {
    // a UTF-16 unit is at most three bytes of UTF-8
    const most = text.length * 3
    if (most === 0) return 0
    if (most <= copiedBytes) {
      const at = this.reserve(most)
      const size = Bytes.encodeInto(text, this.openSlab!, at)
      this.openEnd = at + size
      if (this.openSlab === slab) slabUsed = this.openEnd
      return size
    }
    const bytes = Bytes.encode(text)
    this.seal()
    this.segments.push(bytes)
    return bytes.length
  }

  private count(size: number): void {
    this.pending += size
    this.accepted += size
    this.accepting = true
    if (this.pending >= eagerBytes && this.inFlight === 0) this.flush()
    else this.schedule()
    if (!this.paused && this.buffered > this.highWaterMark) {
      // what the system takes at once does not count
      if (this.pending > 0 && this.inFlight === 0) this.flush()
      if (this.buffered > this.highWaterMark) this.paused = true
    }
    if (this.watchdog !== undefined && this.buffered > 0) this.watchdog.unsent()
    this.accepting = false
  }

  /** Makes room for `size` bytes behind what was copied last, and returns where. */
  private reserve(size: number): number {
    if (this.openSlab === slab && this.openEnd === slabUsed && slabUsed + size <= slabBytes) return slabUsed
    this.seal()
    if (slabUsers === 0) slabUsed = 0
    if (slabUsed + size > slabBytes) {
      slab = Bytes.allocate(slabBytes)
      slabUsed = 0
      slabUsers = 0
    }
    if (this.usedSlab !== slab) {
      this.usedSlab = slab
      slabUsers++
    }
    this.openSlab = slab
    this.openStart = slabUsed
    this.openEnd = slabUsed
    return slabUsed
  }

  private seal(): void {
    if (this.openSlab !== undefined) {
      if (this.openEnd > this.openStart) {
        this.segments.push(partOf(this.openSlab, this.openStart, this.openEnd - this.openStart))
      }
      this.openSlab = undefined
    }
  }

  /** The system has taken everything. */
  private release(): void {
    this.views = false
    if (this.usedSlab === slab) slabUsers--
    this.usedSlab = undefined
  }

  // ------------------------------------------------------------------------
  // sending
  // ------------------------------------------------------------------------

  private schedule(): void {
    if (this.corked || this.scheduled || this.inFlight > 0) return
    this.scheduled = true
    if (this.atEndOfTurn !== undefined) this.atEndOfTurn(() => this.endTurn())
    else if (dirty.push(this) === 1) void endOfTurn.then(flushDirty)
  }

  /** Sends what the turn has left. */
  endTurn(): void {
    this.scheduled = false
    this.sentThisTurn = 0
    try {
      this.flush()
    } catch (error) {
      // whatever it is, others have their turn behind this one
      this.output.failed(error)
    }
  }

  /** Holds back what is written until `uncork`, which sends it: one turn's answers in one system call. */
  cork(): void {
    this.corked = true
    this.sentThisTurn = 0
  }

  uncork(): void {
    this.corked = false
    if (this.pending > 0) this.flush()
  }

  /** Gives what is pending to the transport, unless it still holds something. */
  flush(): void {
    if (this.inFlight > 0 || this.broken !== undefined) return
    if (this.pending > 0) {
      const fromSlab = this.segments.length === 0 ? this.openSlab : undefined
      this.seal()
      while (this.pending > 0 && this.inFlight === 0) {
        const batch = this.nextBatch()
        // nothing goes out behind what is missing
        if (this.views && isGone(batch)) return this.lostMemory()
        if (!this.output.write(batch)) {
          if (this.views) this.heldViews = batch
          break
        }
        this.sentThisTurn += this.inFlight
        this.inFlight = 0
      }
      if (this.sentThisTurn > mostATurn) this.rest()
      // the system has it: the next small write finds the same, warm memory
      if (this.inFlight === 0 && fromSlab === slab && this.openEnd === slabUsed) slabUsed = this.openStart
      if (this.buffered === 0) this.release()
    }
    this.progress()
  }

  /** Lets others have their turn: a system that takes everything would otherwise be given everything at once. */
  private rest(): void {
    if (this.resting) return
    this.resting = true
    const next = this.atEndOfTurn ?? nextTurn
    next(() => {
      this.resting = false
      this.sentThisTurn = 0
      this.wake()
    })
  }

  /** Takes what one call may send: all of it, or as much as shows progress often enough. */
  private nextBatch(): ReadonlyArray<Uint8Array> {
    const { segments } = this
    if (this.pending <= mostInFlight) {
      const batch = segments.length === 1 ? [segments.pop()!] : segments.splice(0)
      this.inFlight = this.pending
      this.pending = 0
      return batch
    }
    let size = 0
    let count = 0
    // memory that is gone has no bytes, and then there are fewer than were counted
    while (count < segments.length && size + segments[count]!.length <= mostInFlight) size += segments[count++]!.length
    const batch = segments.splice(0, count)
    const room = mostInFlight - size
    if (room > 0 && segments.length > 0) {
      batch.push(segments[0]!.subarray(0, room))
      segments[0] = segments[0]!.subarray(room)
    }
    this.inFlight = mostInFlight
    this.pending -= mostInFlight
    return batch
  }

  /** The system has taken all that the transport held. */
  drained(): void {
    const held = this.heldViews
    if (held !== undefined) {
      this.heldViews = undefined
      // whatever it was that the system found there instead
      if (isGone(held)) return this.lostMemory()
    }
    this.inFlight = 0
    if (this.pending > 0) return this.flush()
    this.release()
    this.progress()
  }

  /** What the transport was given, or was to be given, is not what was written. */
  private lostMemory(): void {
    // it was not sent
    this.pending += this.inFlight
    this.inFlight = 0
    this.output.failed(memoryGone())
  }

  /** Bytes went out: end, or wake those who waited for it. */
  private progress(): void {
    if (this.watchdog !== undefined) {
      const taken = this.accepted - this.buffered
      if (taken > this.watched) {
        this.watched = taken
        this.watchdog.sent(this.buffered)
      }
    }
    if (this.paused && this.buffered <= this.lowWaterMark) this.paused = false
    if (this.ending !== undefined && !this.ended && this.buffered === 0 && this.broken === undefined) {
      this.ended = true
      this.output.ended()
    }
    this.wakeInTime()
  }

  // ------------------------------------------------------------------------
  // ending
  // ------------------------------------------------------------------------

  /** Accepts nothing more, and ends the output once everything is sent. A later reason replaces an earlier one. */
  end(reason: ClosedStream["reason"]): void {
    this.ending = reason
    if (this.inFlight === 0 && !this.ended) this.flush()
    else this.wake()
  }

  /** Accepts nothing more; the output goes on elsewhere. */
  detach(reason: ClosedStream["reason"]): void {
    this.ending = reason
    this.ended = true
    this.wake()
  }

  /** Nothing can be sent any more. Returns how many bytes were not. */
  break(why: (operation: string) => WriteError): number {
    const unsent = this.buffered
    if (this.broken === undefined) {
      this.broken = why
      this.segments.length = 0
      this.heldViews = undefined
      this.openSlab = undefined
      // what is on its way may still be read
      if (this.inFlight === 0) this.release()
      this.wakeInTime()
    }
    return unsent
  }

  // ------------------------------------------------------------------------
  // waiting
  // ------------------------------------------------------------------------

  /** Waits in line to write; in front of it, if it was woken in vain. */
  addWriter(waiter: Waiter, inFront: boolean): void {
    if (this.writers === undefined) this.writers = new Set([waiter])
    else if (inFront) this.writers = new Set([waiter, ...this.writers])
    else this.writers.add(waiter)
  }

  addWatcher(waiter: Waiter): void {
    if (this.watchers === undefined) this.watchers = new Set([waiter])
    else this.watchers.add(waiter)
  }

  /** Gives up a wait. */
  remove(waiter: Waiter): void {
    if (this.writers?.delete(waiter) === true && this.writers.size === 0) this.writers = undefined
    if (this.watchers?.delete(waiter) === true && this.watchers.size === 0) this.watchers = undefined
  }

  /** Whether a write, or a `drain`, has to wait. */
  get mustWait(): boolean {
    return (this.paused || this.resting) && this.broken === undefined && this.ending === undefined
  }

  private wakeInTime(): void {
    if (!this.accepting) this.wake()
    else if (this.writers !== undefined || this.watchers !== undefined) void endOfTurn.then(() => this.wake())
  }

  private wake(): void {
    // A woken fiber runs at once, and may write, wait, close or wake others before it returns. Those who watch go first:
    // whoever writes may fill the buffer again.
    if (this.watchers !== undefined) {
      for (const waiter of [...this.watchers]) {
        if (this.watchers?.has(waiter) === true && waiter.over()) {
          this.remove(waiter)
          waiter.resume()
        }
      }
    }
    while (this.writers !== undefined && !this.mustWait) {
      const waiter: Waiter = this.writers.values().next().value!
      this.remove(waiter)
      waiter.resume()
    }
  }
}
