/**
 * One direction of an in-memory connection: a queue between a sender, which is
 * pushed back when there is too much in it, and a receiver, which can hold it up.
 *
 * What goes wrong is decided as bytes enter, so that it happens between two
 * bytes and nowhere else, and shows when it would arrive.
 */
import type { Failure } from "../../../Transport.ts"
import * as Bytes from "../../base/bytes.ts"
import { peerReset } from "../../transport/resetToLoss.ts"
import type { Cutter } from "./chunking.ts"
import { type PathFault, strike, type Victim } from "./faults.ts"
import type { Appointment, EventQueue } from "./eventQueue.ts"

/** What a direction is like. Times in milliseconds, sizes in bytes. */
export interface Path {
  readonly latency: number
  /** How long a byte occupies the line. */
  readonly millisPerByte: number
  readonly cut: Cutter
  /** How much more may be taken from the sender, when so many bytes are on their way or lie unread. */
  readonly room: (occupied: number) => number
}

/** The two ends, as a direction sees them. */
export interface Ends {
  /** To the sender: everything given to `write` was taken. */
  drained(): void
  /** To the receiver. */
  data(bytes: Uint8Array, offset: number): void
  /** To the receiver: no more comes; because of a fault, or because the sender said so. */
  end(byFault: boolean): void
  /** To the receiver: a reset has come, behind bytes that are yet to be read. */
  resetSeen(failure: Failure): void
  /** To the receiver: the last that comes. */
  reset(failure: Failure): void
  /** To the receiver: bytes came after it had let go. */
  strayed(size: number): void
  /** To the connection: a fault shows. */
  struck(fault: PathFault): void
}

type Item =
  | {
      readonly _tag: "Run"
      readonly bytes: Uint8Array
      /** Where it begins in all that was ever sent. */
      readonly offset: number
      /** When its first byte enters the line. */
      readonly departs: number
      /** How much of it has been received. */
      taken: number
    }
  | { readonly _tag: "End"; readonly due: number; readonly byFault: boolean }
  | { readonly _tag: "Reset"; readonly due: number; readonly failure: Failure; noticed: boolean }

export class Pipe {
  private readonly eventQueue: EventQueue
  private readonly path: Path
  private readonly ends: Ends
  /** Faults to come, the next one last. */
  private readonly faults: Array<PathFault>

  /** What the sender gave and was not taken yet. */
  private held: Array<Uint8Array> = []
  private readonly items: Array<Item> = []
  /** Bytes taken from the sender, ever. */
  private taken = 0
  /** Bytes on their way, or arrived and unread. */
  private occupied = 0
  /** When the line has room for the next byte. */
  private lineFree = -Infinity
  /** The size of the piece that is received next; 0 before it is cut. */
  private piece = 0
  private appointment: Appointment | undefined = undefined
  private flowing = false
  /** The sender has nothing more to say. */
  private ending = false
  /** What enters from now on is `lost` on the way, filling it up, or is `dropped` and leaves no trace. */
  private fate: "arrives" | "lost" | "dropped" = "arrives"
  /** What would arrive later than this does not. */
  private cutAt = Infinity
  private receiverGone = false

  constructor(eventQueue: EventQueue, path: Path, faults: ReadonlyArray<PathFault>, ends: Ends) {
    this.eventQueue = eventQueue
    this.path = path
    this.faults = faults.toSorted((a, b) => b.after - a.after)
    this.ends = ends
  }

  /** The connection exists from now on. */
  open(): void {
    this.meetFaults()
  }

  // ------------------------------------------------------------------------
  // the sending side
  // ------------------------------------------------------------------------

  /** `true`: all was copied. `false`: some of it is held, and `drained` will be called. */
  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    for (const chunk of chunks) if (chunk.length > 0) this.held.push(chunk)
    this.fill()
    // a sender that breaks the rules is not to hang: what it does to its memory meanwhile is for others to find
    this.held = this.held.map(Bytes.copy)
    return this.held.length === 0
  }

  /** Ends the output behind everything given to `write`. */
  end(): void {
    if (this.ending) return
    this.ending = true
    if (this.held.length === 0) this.enqueueEnd(false)
  }

  /** Resets the connection behind what was taken; what is held is dropped. */
  reset(failure: Failure): void {
    this.held = []
    this.ending = true
    if (this.fate !== "lost") this.enqueueReset(failure)
  }

  /** Ends the output behind what was taken; what is held is dropped. */
  cut(): void {
    if (this.ended) return
    this.held = []
    this.ending = true
    this.enqueueEnd(false)
  }

  /** Whether the end of the output is on its way. */
  get ended(): boolean {
    return this.ending && this.held.length === 0
  }

  /** Whether there is room for everything, because nothing is kept. */
  private get unbounded(): boolean {
    return this.fate === "dropped" || (this.receiverGone && this.fate === "arrives")
  }

  /** Takes from the sender what there is room for. */
  private fill(): void {
    const room = this.unbounded ? Infinity : this.path.room(this.occupied)
    if (this.held.length === 0 || room <= 0) return
    let size = 0
    for (const chunk of this.held) size += chunk.length
    size = Math.min(size, room)
    const run = Bytes.allocate(size)
    for (let filled = 0; filled < size;) {
      const chunk = this.held[0]!
      const part = Math.min(chunk.length, size - filled)
      run.set(chunk.subarray(0, part), filled)
      filled += part
      if (part === chunk.length) this.held.shift()
      else this.held[0] = chunk.subarray(part)
    }
    this.enter(run)
    if (this.ended) this.enqueueEnd(false)
  }

  private enter(run: Uint8Array): void {
    while (run.length > 0) {
      const until = (this.faults.at(-1)?.after ?? Infinity) - this.taken
      const part = run.length <= until ? run : run.subarray(0, until)
      const departs = Math.max(this.eventQueue.now, this.lineFree)
      const offset = this.taken
      this.lineFree = departs + part.length * this.path.millisPerByte
      this.taken += part.length
      if (this.fate === "lost") this.occupied += part.length
      else if (this.fate === "arrives") {
        if (this.receiverGone) this.stray(part.length)
        else {
          this.occupied += part.length
          this.enqueue({ _tag: "Run", bytes: part, offset, departs, taken: 0 })
        }
      }
      run = run.subarray(part.length)
      this.meetFaults()
    }
  }

  private stray(size: number): void {
    this.eventQueue.at(this.arrival(), () => this.ends.strayed(size))
  }

  private meetFaults(): void {
    while (this.faults.length > 0 && this.faults.at(-1)!.after <= this.taken) {
      const fault = this.faults.pop()!
      // where nothing passes any more, nothing can go wrong
      if (this.fate === "arrives") this.meet(fault)
    }
  }

  private meet(fault: PathFault): void {
    const due = this.arrival()
    this.eventQueue.at(due, () => this.ends.struck(fault))
    strike(fault, this.victim)
  }

  private readonly victim: Victim = {
    resetHere: () => {
      this.enqueueReset(peerReset)
      this.fate = "dropped"
    },
    endHere: () => {
      this.enqueueEnd(true)
      this.fate = "dropped"
    },
    holdUp: (millis) => {
      this.lineFree = Math.max(this.eventQueue.now, this.lineFree) + millis
    },
    lose: () => {
      this.fate = "lost"
    }
  }

  private enqueueEnd(byFault: boolean): void {
    if (this.fate === "arrives" && !this.receiverGone) this.enqueue({ _tag: "End", due: this.arrival(), byFault })
  }

  private enqueueReset(failure: Failure): void {
    if (this.receiverGone) return
    const item: Item = { _tag: "Reset", due: this.arrival(), failure, noticed: false }
    this.enqueue(item)
    // it is noticed when it comes, also by a receiver that has yet to read what came before
    this.eventQueue.at(item.due, () => this.noticeReset())
  }

  /** When something arrives that is sent now, behind everything before it. */
  private arrival(): number {
    return Math.max(this.eventQueue.now, this.lineFree) + this.path.latency
  }

  private enqueue(item: Item): void {
    this.items.push(item)
    this.arm()
  }

  // ------------------------------------------------------------------------
  // on the way
  // ------------------------------------------------------------------------

  /** What has not arrived by now never does, nor does anything sent from now on. */
  cutOff(): void {
    this.cutAt = this.eventQueue.now
    this.fate = "lost"
  }

  // ------------------------------------------------------------------------
  // the receiving side
  // ------------------------------------------------------------------------

  pause(): void {
    this.flowing = false
    if (this.items.at(-1)?._tag === "Reset") this.eventQueue.soon(() => this.noticeReset())
  }

  resume(): void {
    this.flowing = true
    this.arm()
  }

  /** Whether something was sent that the receiver has yet to take. */
  get unread(): boolean {
    return this.items.some((item) => item._tag === "Run")
  }

  /**
   * The receiver has let go. Either what is on its way, and what is still sent,
   * is taken and thrown away, or nobody takes anything any more.
   */
  abandon(taking: boolean): void {
    this.receiverGone = true
    const unread = this.items.reduce(
      (sum, item) => (item._tag === "Run" ? sum + item.bytes.length - item.taken : sum),
      0
    )
    this.items.length = 0
    this.piece = 0
    if (!taking) {
      this.fate = "lost"
      return
    }
    this.occupied = 0
    if (unread > 0) this.stray(unread)
    this.refill()
  }

  private noticeReset(): void {
    const item = this.items.at(-1)
    if (item?._tag !== "Reset" || item.noticed || this.flowing || item.due > this.eventQueue.now) return
    item.noticed = true
    this.ends.resetSeen(item.failure)
  }

  /** There may be room again: takes what the sender holds. */
  refill(): void {
    if (this.held.length === 0) return
    // not byte by byte, each as it was read: as systems do, only once a good part is free
    if (!this.unbounded && 2 * this.occupied > this.path.room(0)) return
    this.fill()
    if (this.held.length === 0) this.eventQueue.soon(() => this.ends.drained())
  }

  /** Makes an appointment with what is at the front of the queue. */
  private arm(): void {
    const item = this.items[0]
    if (item === undefined || this.appointment !== undefined || !this.flowing) return
    const due = this.dueOf(item)
    if (due > this.cutAt) return
    this.appointment = this.eventQueue.at(Math.max(due, this.eventQueue.now), () => {
      this.appointment = undefined
      if (this.flowing) this.handOver()
    })
  }

  private dueOf(item: Item): number {
    if (item._tag !== "Run") return item.due
    if (this.piece === 0) {
      const left = item.bytes.length - item.taken
      this.piece = this.path.cut(item.offset + item.taken, left, item.bytes.length)
    }
    return item.departs + (item.taken + this.piece) * this.path.millisPerByte + this.path.latency
  }

  /** Hands over what is at the front of the queue, as the last thing that it does: the receiver may do anything. */
  private handOver(): void {
    const item = this.items[0]
    if (item === undefined || this.dueOf(item) > this.cutAt) return
    if (item._tag === "Run") return this.handOverPiece(item)
    this.items.shift()
    this.arm()
    if (item._tag === "End") this.ends.end(item.byFault)
    else this.ends.reset(item.failure)
  }

  private handOverPiece(run: Extract<Item, { readonly _tag: "Run" }>): void {
    const from = run.taken
    const size = this.piece
    const whole = size === run.bytes.length
    this.piece = 0
    run.taken += size
    this.occupied -= size
    if (run.taken === run.bytes.length) this.items.shift()
    try {
      // the receiver may do anything, and then there may be room for more
      this.ends.data(whole ? run.bytes : run.bytes.slice(from, from + size), run.offset + from)
    } finally {
      this.refill()
      this.arm()
    }
  }
}
