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
  /** To the sender: its reset got lost, and nobody sends it again. */
  resetLost(): void
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
      /** How long the line is held up before it enters, once the path is mended. */
      readonly stall: number
    }
  | { readonly _tag: "End"; readonly due: number; readonly byFault: boolean }
  | {
      readonly _tag: "Reset"
      readonly due: number
      readonly failure: Failure
      noticed: boolean
      readonly byFault: boolean
    }

type Run = Extract<Item, { readonly _tag: "Run" }>

/** Something that happens at the other end once it has arrived, whatever the receiver reads. */
interface Flight {
  readonly due: number
  readonly task: () => void
  readonly appointment: Appointment
}

export class Pipe {
  private readonly eventQueue: EventQueue
  readonly path: Path
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
  /** A fault lets nothing pass any more. */
  private vanished = false
  /** Since when the path is severed: what had not arrived by then waits for the path to be mended. */
  private severedAt = Infinity
  /** What happens at the other end, and is on its way. */
  private readonly flights = new Set<Flight>()
  /** The same, once the path is severed. */
  private stuck: Array<() => void> = []
  /** How long what enters next is held up, once the path is mended. */
  private stall = 0
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

  /**
   * Resets the connection behind what was taken; what is held is dropped. Systems send a reset once: while the path is
   * severed it gets lost. One that a fault brings about waits.
   */
  reset(failure: Failure, byFault = false): void {
    if (this.severed && !byFault) return this.forget()
    this.held = []
    this.ending = true
    if (this.fate !== "lost") this.enqueueReset(failure, byFault)
  }

  /** The sender knows nothing of the connection any more: what has not arrived never does, and nothing more is sent. */
  forget(): void {
    this.held = []
    this.ending = true
    this.fate = "dropped"
    const at = Math.min(this.severedAt, this.eventQueue.now)
    this.dropBehind(at)
    this.stuck = []
    for (const flight of this.flights) {
      if (flight.due <= at) continue
      flight.appointment.task = undefined
      this.flights.delete(flight)
    }
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

  /** Whether the sender has given what was not taken yet. */
  get holding(): boolean {
    return this.held.length > 0
  }

  /** How many bytes those are. */
  get heldBytes(): number {
    let size = 0
    for (const chunk of this.held) size += chunk.length
    return size
  }

  /** Whether there is room for everything, because nothing is kept. */
  private get unbounded(): boolean {
    return this.fate === "dropped" || (this.receiverGone && this.fate === "arrives")
  }

  /** Takes from the sender what there is room for. */
  private fill(): void {
    const room = this.unbounded ? Infinity : this.path.room(this.occupied)
    if (this.held.length === 0 || room <= 0) return
    const size = Math.min(this.heldBytes, room)
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
      const departs = this.severed ? Infinity : Math.max(this.eventQueue.now, this.lineFree)
      const offset = this.taken
      if (!this.severed) this.lineFree = departs + part.length * this.path.millisPerByte
      this.taken += part.length
      if (this.fate === "lost") this.occupied += part.length
      else if (this.fate === "arrives") {
        if (this.receiverGone) this.stray(part.length)
        else {
          this.occupied += part.length
          this.enqueue({ _tag: "Run", bytes: part, offset, departs, taken: 0, stall: this.stall })
          this.stall = 0
        }
      }
      run = run.subarray(part.length)
      this.meetFaults()
    }
  }

  private stray(size: number): void {
    this.onArrival(() => this.ends.strayed(size))
  }

  private meetFaults(): void {
    while (this.faults.length > 0 && this.faults.at(-1)!.after <= this.taken) {
      const fault = this.faults.pop()!
      // where nothing passes any more, nothing can go wrong
      if (this.fate === "arrives") this.meet(fault)
    }
  }

  private meet(fault: PathFault): void {
    this.onArrival(() => this.ends.struck(fault))
    strike(fault, this.victim)
  }

  private readonly victim: Victim = {
    resetHere: () => {
      this.enqueueReset(peerReset, true)
      this.fate = "dropped"
    },
    endHere: () => {
      this.enqueueEnd(true)
      this.fate = "dropped"
    },
    holdUp: (millis) => {
      if (this.severed) this.stall += millis
      else this.lineFree = Math.max(this.eventQueue.now, this.lineFree) + millis
    },
    lose: () => {
      this.fate = "lost"
      this.vanished = true
    }
  }

  private enqueueEnd(byFault: boolean): void {
    if (this.fate === "arrives" && !this.receiverGone) this.enqueue({ _tag: "End", due: this.arrival(), byFault })
  }

  private enqueueReset(failure: Failure, byFault: boolean): void {
    if (this.receiverGone) return
    this.enqueue({ _tag: "Reset", due: this.arrival(), failure, noticed: false, byFault })
    // it is noticed when it comes, also by a receiver that has yet to read what came before
    this.onArrival(() => this.noticeReset())
  }

  /** When something arrives that is sent now, behind everything before it. */
  private arrival(): number {
    return this.severed ? Infinity : Math.max(this.eventQueue.now, this.lineFree) + this.path.latency
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
    this.victim.lose()
  }

  /** Does something at the other end when what is sent now has arrived there, whether the receiver reads or not. */
  onArrival(task: () => void, due = this.arrival()): void {
    if (this.severed) return void this.stuck.push(task)
    const appointment = this.eventQueue.at(due, () => {
      this.flights.delete(flight)
      task()
    })
    const flight: Flight = { due, task, appointment }
    this.flights.add(flight)
  }

  // ------------------------------------------------------------------------
  // a path that is severed, and mended
  // ------------------------------------------------------------------------

  get severed(): boolean {
    return this.severedAt !== Infinity
  }

  /** What has not arrived by now waits until the path is mended, and so does everything sent from now on. */
  sever(): void {
    if (this.severed) return
    const { now } = this.eventQueue
    this.severedAt = now
    for (const flight of this.flights) {
      if (flight.due <= now) continue
      flight.appointment.task = undefined
      this.flights.delete(flight)
      this.stuck.push(flight.task)
    }
    const last = this.items.at(-1)
    if (last?._tag === "Reset" && last.due > now && !last.byFault) {
      this.forget()
      this.ends.resetLost()
    }
  }

  /** Everything that waits enters the line, as if it were sent once more. */
  mend(): void {
    if (!this.severed) return
    const since = this.severedAt
    this.severedAt = Infinity
    this.lineFree = this.eventQueue.now
    const { items } = this
    for (const item of items.splice(0)) {
      if (item._tag !== "Run") items.push(item.due <= since ? item : { ...item, due: this.arrival() })
      else this.enterAgain(item, since)
    }
    this.lineFree += this.stall
    this.stall = 0
    this.piece = 0
    this.disarm()
    for (const task of this.stuck.splice(0)) this.onArrival(task)
    this.arm()
  }

  private enterAgain(run: Run, since: number): void {
    const arrived = this.arrivedOf(run, since)
    const { bytes, offset } = run
    if (arrived > run.taken) this.items.push({ ...run, bytes: bytes.subarray(0, arrived) })
    if (arrived === bytes.length) return
    this.lineFree += run.stall
    this.items.push({
      _tag: "Run",
      bytes: bytes.subarray(arrived),
      offset: offset + arrived,
      departs: this.lineFree,
      taken: 0,
      stall: 0
    })
    this.lineFree += (bytes.length - arrived) * this.path.millisPerByte
  }

  /** How much of a run had arrived at a time. */
  private arrivedOf({ bytes, departs, taken }: Run, at: number): number {
    const { latency, millisPerByte } = this.path
    const millis = at - departs - latency
    if (millis < 0) return taken
    // what is due at the very moment has arrived, however it was added up
    return millisPerByte === 0
      ? bytes.length
      : Math.max(taken, Math.min(bytes.length, Math.floor(millis / millisPerByte + 1e-6)))
  }

  private dropBehind(at: number): void {
    const kept = this.items.flatMap((item): ReadonlyArray<Item> => {
      if (item._tag !== "Run") return item.due <= at ? [item] : []
      const arrived = this.arrivedOf(item, at)
      return arrived > item.taken ? [{ ...item, bytes: item.bytes.subarray(0, arrived) }] : []
    })
    this.items.length = 0
    this.items.push(...kept)
    this.piece = 0
    this.disarm()
    this.arm()
  }

  private disarm(): void {
    if (this.appointment !== undefined) this.appointment.task = undefined
    this.appointment = undefined
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

  /** Whether the end has yet to be told. */
  get hasEnd(): boolean {
    return this.items.some((item) => item._tag === "End")
  }

  /**
   * The receiver has let go. Either what is on its way, and what is still sent,
   * is taken and thrown away, or nobody takes anything any more.
   */
  abandon(taking: boolean): void {
    this.receiverGone = true
    const unread = this.items.reduce(
      // while the path is severed, the sender goes on with what has not arrived
      (sum, item) =>
        item._tag === "Run"
          ? sum + item.bytes.length - (this.severed ? this.arrivedOf(item, this.severedAt) : item.taken)
          : sum,
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

  /** The receiver knows nothing of the connection any more, and answers what comes. */
  answer(): void {
    if (!this.receiverGone || this.fate !== "lost" || this.vanished) return
    const size = this.occupied
    this.fate = "arrives"
    this.occupied = 0
    if (size > 0) this.stray(size)
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
    if (item === undefined || this.appointment !== undefined || !this.mayTell(item)) return
    const due = this.dueOf(item)
    if (due > this.until) return
    this.appointment = this.eventQueue.at(Math.max(due, this.eventQueue.now), () => {
      this.appointment = undefined
      this.handOver()
    })
  }

  /** A pause holds back bytes, and what is behind them. An end with no bytes in front is heard, as over real sockets. */
  private mayTell(item: Item): boolean {
    return this.flowing || item._tag === "End"
  }

  /** What would arrive later does not. */
  private get until(): number {
    return Math.min(this.cutAt, this.severedAt)
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
    if (item === undefined || !this.mayTell(item) || this.dueOf(item) > this.until) return
    if (item._tag === "Run") return this.handOverPiece(item)
    this.items.shift()
    this.arm()
    if (item._tag === "End") this.ends.end(item.byFault)
    else this.ends.reset(item.failure)
  }

  private handOverPiece(run: Run): void {
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
