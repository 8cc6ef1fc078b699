/**
 * The bounds on waiting that a session was given, watched by one timer.
 *
 * The timer is armed for the deadline that comes first, and not touched when
 * activity moves deadlines on: when it rings too early it is armed anew. A
 * session without timeouts has no watchdog, and a session with them has one
 * timer at most. Reads may have bounds of their own (`within`): for them there
 * is a watchdog everywhere, and a timer, for as long as such reads wait.
 *
 * A bound that is reached is judged as of the time at which the timer rang, by
 * what had happened then: once what had come was read, and what could be sent
 * was sent.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { StreamTimeout } from "../../StreamError.ts"
import type { Transport } from "../../Transport.ts"
import * as Argument from "../base/argument.ts"
import { maxRounds } from "../base/defaults.ts"
import * as Deadline from "./deadline.ts"

/** The bounds, as a user gives them. */
export interface Timeouts {
  /**
   * The longest time without a byte in either direction. The end of the peer's output counts as a byte. The connection is
   * reset then. Default: no limit.
   *
   * A program that works longer than that between two bytes is cut off as well. While the read buffer is full, and so the
   * peer held back, a byte that the program takes counts.
   */
  readonly idle?: Duration.Input | undefined
  /**
   * The longest time that one read may wait. That read fails, and has taken nothing; the connection goes on. Default: no
   * limit. Time in which nobody reads does not count.
   */
  readonly read?: Duration.Input | undefined
  /**
   * The longest time in which the system takes none of the output: the peer has stopped reading. The connection is reset
   * then, also when nobody waits in `write`, `drain` or `flush`. Default: no limit.
   *
   * Over TLS, and over transports that cannot tell progress, a piece of output of up to 256 KiB counts as a whole. On Bun
   * and Deno all transports are such: their sockets do not say how much of it the system has yet to take.
   */
  readonly write?: Duration.Input | undefined
  /**
   * The longest time that the connection may last. It is reset then. The time begins anew with `startTls` and `stopTls`.
   * Default: no limit.
   */
  readonly total?: Duration.Input | undefined
  /**
   * The lowest rate at which a message must arrive, from its first byte to its last. The connection is reset below that
   * rate. Default: none. Only time in which a read waits counts.
   *
   * Silence between two messages is left to `idle`. `readLine`, `readExactly`, `readUntil` and the like know where a
   * message begins. `read` and `pull` know no messages: every wait counts once a first byte has come.
   */
  readonly minRate?:
    | {
        /** The lowest number of bytes that must arrive in every `per`. */
        readonly bytes: number
        /** The length of the period. */
        readonly per: Duration.Input
      }
    | undefined
}

/** The bounds in milliseconds; what is not bounded is `Infinity`. */
export interface Bounds {
  readonly idle: number
  readonly read: number
  readonly write: number
  readonly total: number
  readonly minRate: { readonly bytes: number; readonly per: number } | undefined
}

/** Of those who have no bounds but those of single reads. */
export const unbounded: Bounds = {
  idle: Infinity,
  read: Infinity,
  write: Infinity,
  total: Infinity,
  minRate: undefined
}

/** `undefined` if nothing is bounded. */
export const resolve = (operation: string, timeouts: Timeouts | undefined): Bounds | undefined => {
  if (timeouts === undefined) return undefined
  const { idle, minRate, read, total, write } = Argument.record(operation, "timeouts", timeouts)
  const bounds: Bounds = {
    idle: millis(operation, "idle", idle),
    read: millis(operation, "read", read),
    write: millis(operation, "write", write),
    total: millis(operation, "total", total),
    minRate: minRate === undefined ? undefined : resolveRate(operation, minRate)
  }
  const bounded =
    bounds.minRate !== undefined || Math.min(bounds.idle, bounds.read, bounds.write, bounds.total) < Infinity
  return bounded ? bounds : undefined
}

const millis = (operation: string, name: string, input: unknown): number =>
  input === undefined ? Infinity : Duration.toMillis(Argument.someTime(operation, `timeouts.${name}`, input))

const resolveRate = (operation: string, input: NonNullable<Timeouts["minRate"]>): NonNullable<Bounds["minRate"]> => {
  const { bytes, per } = Argument.record(operation, "timeouts.minRate", input)
  return {
    bytes: Argument.positive(operation, "timeouts.minRate.bytes", bytes),
    per: Duration.toMillis(Argument.someTime(operation, "timeouts.minRate.per", per))
  }
}

/** The session, as the watchdog sees it. */
export interface Watched {
  /** Whether a read waits in the middle of a message: with part of it buffered, or, if it knows no messages, behind any byte. */
  readonly readsPartly: boolean
  /** Whether the read that waits knows where its message begins: where the one before ended. */
  readonly readsFramed: boolean
  /** How many bytes have arrived. */
  readonly heard: number
  /** How many bytes the program has taken. */
  readonly taken: number
  /** Whether the peer is held back: it may speak, but nobody listens. */
  readonly heldBack: boolean
  /** How many bytes the system has taken. */
  readonly sent: number
  /** As of the transport. */
  readonly atEndOfTurn: Transport["atEndOfTurn"]
  /** A read has waited too long. The session goes on. */
  expireRead(duration: Duration.Duration): void
  /** The session is over. */
  expire(kind: StreamTimeout["kind"], duration: Duration.Duration): void
}

/** A read of so many bytes has possibly left some behind. */
const largeRead = 32768

/** The waits that take more than a word of the peer, or more than it may say. */
type Excusable = "Idle" | "Read" | "MinRate"

export class Watchdog {
  private readonly watched: Watched
  private readonly bounds: Bounds
  private readonly services: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly startedAt: number
  private activeAt: number
  /** How much the system had taken when it was last known to. */
  private activeFrom = 0
  private readingSince = Infinity
  /** The bound of the read that waits, or waited last. */
  private readBound = Infinity
  private unsentSince = Infinity
  /** How much the system had taken by then. */
  private unsentFrom = 0
  /** The beginning of the span in which the rate is measured, and how many bytes came in it. */
  private rateSince = Infinity
  private rateBytes = 0
  /** While no read waits the span stands still: since when, and how much of the stream had been taken. */
  private restingSince: number
  private rateTaken = 0
  private timer: Fiber.Fiber<unknown> | undefined = undefined
  private armedFor = Infinity
  /** The timer has rung, and what came by then is being read. */
  private judging = false
  private stopped = false
  /** It is to be looked whether reads still follow each other. */
  private resting = false
  private readonly onRest: (() => void) | undefined
  /** How much the program had taken when silence was judged last. */
  private takenThen = 0
  /** What was given back to waits of each kind; made when the event loop first stands still for too long. */
  private excuses: Readonly<Record<Excusable, Deadline.Excuses>> | undefined = undefined

  /** `onRest` is told that no read waits, and nothing else is bounded: it is not needed any more. */
  constructor(watched: Watched, bounds: Bounds, services: Context.Context<never>, onRest?: () => void) {
    this.watched = watched
    this.bounds = bounds
    this.services = services
    this.onRest = onRest
    this.clock = Context.get(services, Clock.Clock)
    this.startedAt = this.now()
    this.activeAt = this.startedAt
    this.restingSince = this.startedAt
    this.arm()
  }

  /** Bytes came in. */
  received(bytes: number): void {
    const { idle, minRate } = this.bounds
    if (idle === Infinity && minRate === undefined) return
    const now = this.now()
    this.activeAt = now
    if (minRate === undefined) return
    if (this.rateSince === Infinity) {
      this.rateSince = now
      this.rateBytes = bytes
      if (this.readingSince === Infinity) this.restingSince = now
      else this.arm()
    } else this.rateBytes += bytes
  }

  /** The peer has ended its output. */
  inputEnded(): void {
    this.activeAt = this.now()
  }

  /** A read has begun to wait. `own`: its own bound, which replaces that of all reads. */
  readStarted(own: number | undefined): void {
    const { bounds } = this
    const bound = own ?? bounds.read
    if (bound === Infinity && bounds.minRate === undefined) return
    this.readBound = bound
    const now = this.now()
    this.readingSince = now
    if (bounds.minRate !== undefined) {
      const { taken } = this.watched
      if (taken !== this.rateTaken && this.watched.readsFramed) {
        // another message: the time that the one before took is not held against it
        this.rateSince = this.watched.readsPartly ? now : Infinity
        this.rateBytes = 0
      } else if (this.rateSince !== Infinity) this.rateSince += now - this.restingSince
      else if (this.watched.readsPartly) {
        this.rateSince = now
        this.rateBytes = 0
      }
      this.rateTaken = taken
    }
    this.arm()
  }

  /** No read waits any more. */
  readEnded(): void {
    if (this.readingSince === Infinity) return
    this.readingSince = Infinity
    const { minRate, read } = this.bounds
    if (minRate !== undefined) this.restingSince = this.now()
    if (this.readBound === read || this.resting) return
    // a loop reads again in this very turn, and a timer is made anew for nothing
    this.resting = true
    const { atEndOfTurn } = this.watched
    const rest = (): void => this.rest()
    if (atEndOfTurn === undefined) queueMicrotask(rest)
    else atEndOfTurn(rest)
  }

  /** There is something to send. */
  unsent(): void {
    if (this.bounds.write === Infinity || this.unsentSince !== Infinity) return
    this.unsentSince = this.now()
    this.unsentFrom = this.watched.sent
    this.arm()
  }

  /** The system took something; `left` bytes are still to be sent. */
  sent(left: number): void {
    this.activeAt = this.now()
    this.activeFrom = this.watched.sent
    this.unsentSince = Infinity
    if (left > 0) this.unsent()
  }

  /** Nothing can be sent any more. */
  outputEnded(): void {
    this.unsentSince = Infinity
  }

  stop(): void {
    this.stopped = true
    this.timer?.interruptUnsafe()
    this.timer = undefined
  }

  private now(): number {
    return Deadline.timeOf(this.clock)
  }

  private deadline(): number {
    const { bounds } = this
    return Math.min(
      this.startedAt + bounds.total,
      this.activeAt + bounds.idle,
      this.readingSince + this.readBound,
      this.unsentSince + bounds.write,
      this.rateDeadline
    )
  }

  private get rateDeadline(): number {
    const { minRate } = this.bounds
    return minRate === undefined || this.readingSince === Infinity ? Infinity : this.rateSince + minRate.per
  }

  /** Keeps no timer for nothing. */
  private rest(): void {
    this.resting = false
    if (this.stopped || this.judging || this.deadline() < Infinity) return
    this.timer?.interruptUnsafe()
    this.timer = undefined
    this.onRest?.()
  }

  private arm(): void {
    const deadline = this.deadline()
    if (this.stopped || this.judging || deadline === Infinity) return
    if (this.timer !== undefined && this.armedFor <= deadline) return
    this.timer?.interruptUnsafe()
    this.armedFor = deadline
    // rounded up: ringing a fraction early would only mean ringing twice
    const wait = Math.max(0, Math.ceil(deadline - this.now()))
    this.timer = Effect.runForkWith(this.services)(
      Effect.andThen(
        Effect.sleep(wait),
        Effect.sync(() => {
          this.timer = undefined
          this.ring()
        })
      )
    )
  }

  private ring(): void {
    const rang = this.now()
    // moved on in the meantime
    if (rang < this.deadline()) return this.arm()
    this.judging = true
    this.look(rang, Deadline.stall(this.armedFor, rang), maxRounds)
  }

  /** Reads what has come, and then judges. `stall`: how long the event loop stood still before the timer rang. */
  private look(rang: number, stall: number, looks: number): void {
    const { atEndOfTurn, heard } = this.watched
    const looked = (): void => {
      if (this.stopped) return
      const came = this.watched.heard - heard
      // in memory a piece may be all that comes in a turn
      if (came >= (atEndOfTurn === undefined ? largeRead : 1) && looks > 1) return this.look(rang, stall, looks - 1)
      this.judging = false
      this.judge(rang, stall)
    }
    if (atEndOfTurn !== undefined || Deadline.isReal(this.clock)) Deadline.afterRound(looked, atEndOfTurn)
    else looked()
  }

  /** `stall`: how long the event loop stood still before the timer rang at `rang`; or 0. */
  private judge(rang: number, stall: number): void {
    const now = this.now()
    const { bounds, watched } = this
    if (rang >= this.startedAt + bounds.total) return this.expire("Total", bounds.total)
    if (rang >= this.activeAt + bounds.idle) {
      const { sent } = watched
      const since = sent === this.activeFrom ? this.heldBackSince(now, stall) : now
      if (since === undefined) return this.expire("Idle", bounds.idle)
      this.activeAt = since
      this.activeFrom = sent
    }
    if (rang >= this.unsentSince + bounds.write) {
      const { sent } = watched
      if (sent === this.unsentFrom) return this.expire("Write", bounds.write)
      // a little of it went out since
      this.unsentSince = now
      this.unsentFrom = sent
    }
    const { heard, readsPartly } = watched
    if (bounds.minRate !== undefined && rang >= this.rateDeadline) {
      const { bytes, per } = bounds.minRate
      if (readsPartly && this.rateBytes < bytes) {
        const since = this.excused("MinRate", stall, heard, this.rateSince, per, now)
        if (since === undefined) return this.expire("MinRate", per)
        this.rateSince = since
      } else {
        // the next span begins at once, or with the next message: silence between two messages is what `idle` is for
        this.rateSince = readsPartly ? now : Infinity
        this.rateBytes = 0
      }
    }
    const { readBound } = this
    if (rang >= this.readingSince + readBound) {
      const since = readsPartly ? this.excused("Read", stall, heard, this.readingSince, readBound, now) : undefined
      if (since !== undefined) this.readingSince = since
      else {
        this.readEnded()
        watched.expireRead(Duration.millis(readBound))
      }
    }
    this.arm()
    this.rest()
  }

  /** Since when a peer is taken to be silent that is held back: by a program that goes on, or that had no time to. */
  private heldBackSince(now: number, stall: number): number | undefined {
    const { heldBack, taken } = this.watched
    const goesOn = taken !== this.takenThen
    this.takenThen = taken
    if (!heldBack) return undefined
    return goesOn ? now : this.excused("Idle", stall, taken, this.activeAt, this.bounds.idle, now)
  }

  /** When a wait is taken to have begun that is given back the time of a stall, if it is. */
  private excused(
    kind: Excusable,
    stall: number,
    progress: number,
    since: number,
    bound: number,
    now: number
  ): number | undefined {
    if (stall === 0) return undefined
    this.excuses ??= {
      Idle: new Deadline.Excuses(),
      Read: new Deadline.Excuses(),
      MinRate: new Deadline.Excuses()
    }
    return this.excuses[kind].move(since, stall, progress, bound, now)
  }

  private expire(kind: StreamTimeout["kind"], bound: number): void {
    this.stopped = true
    this.watched.expire(kind, Duration.millis(bound))
  }
}
