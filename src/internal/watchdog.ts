/**
 * The bounds on waiting that a session was given, watched by one timer.
 *
 * The timer is armed for the deadline that comes first, and not touched when
 * activity moves deadlines on: when it rings too early it is armed anew. A
 * session without timeouts has no watchdog, and a session with them has one
 * timer at most.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { StreamTimeout } from "../StreamError.ts"
import * as Argument from "./argument.ts"

/** The bounds, as a user gives them. */
export interface Timeouts {
  readonly idle?: Duration.Input | undefined
  readonly read?: Duration.Input | undefined
  readonly write?: Duration.Input | undefined
  readonly total?: Duration.Input | undefined
  readonly minRate?: { readonly bytes: number; readonly per: Duration.Input } | undefined
}

/** The bounds in milliseconds; what is not bounded is `Infinity`. */
export interface Bounds {
  readonly idle: number
  readonly read: number
  readonly write: number
  readonly total: number
  readonly minRate: { readonly bytes: number; readonly per: number } | undefined
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
  /** How many bytes the program has taken. */
  readonly taken: number
  /** How many bytes the system has taken. */
  readonly sent: number
  /** A read has waited too long. The session goes on. */
  expireRead(duration: Duration.Duration): void
  /** The session is over. */
  expire(kind: StreamTimeout["kind"], duration: Duration.Duration): void
}

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
  private stopped = false

  constructor(watched: Watched, bounds: Bounds, services: Context.Context<never>) {
    this.watched = watched
    this.bounds = bounds
    this.services = services
    this.clock = Context.get(services, Clock.Clock)
    this.startedAt = this.now()
    this.activeAt = this.startedAt
    this.restingSince = this.startedAt
    this.arm()
  }

  /** Bytes came in. */
  received(bytes: number): void {
    const now = this.now()
    this.activeAt = now
    if (this.bounds.minRate === undefined) return
    if (this.rateSince === Infinity) {
      this.rateSince = now
      this.rateBytes = bytes
      if (this.readingSince === Infinity) this.restingSince = now
      else this.arm()
    } else this.rateBytes += bytes
  }

  /** A read has begun to wait. */
  readStarted(): void {
    const { bounds } = this
    if (bounds.read === Infinity && bounds.minRate === undefined) return
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
    if (this.bounds.minRate !== undefined) this.restingSince = this.now()
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
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  private deadline(): number {
    const { bounds } = this
    return Math.min(
      this.startedAt + bounds.total,
      this.activeAt + bounds.idle,
      this.readingSince + bounds.read,
      this.unsentSince + bounds.write,
      this.rateDeadline
    )
  }

  private get rateDeadline(): number {
    const { minRate } = this.bounds
    return minRate === undefined || this.readingSince === Infinity ? Infinity : this.rateSince + minRate.per
  }

  private arm(): void {
    const deadline = this.deadline()
    if (this.stopped || deadline === Infinity || (this.timer !== undefined && this.armedFor <= deadline)) return
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
    const now = this.now()
    const { bounds, watched } = this
    if (now >= this.startedAt + bounds.total) return this.expire("Total", bounds.total)
    if (now >= this.activeAt + bounds.idle) {
      const { sent } = watched
      if (sent === this.activeFrom) return this.expire("Idle", bounds.idle)
      this.activeAt = now
      this.activeFrom = sent
    }
    if (now >= this.unsentSince + bounds.write) {
      const { sent } = watched
      if (sent === this.unsentFrom) return this.expire("Write", bounds.write)
      // a little of it went out since
      this.unsentSince = now
      this.unsentFrom = sent
    }
    if (bounds.minRate !== undefined && now >= this.rateDeadline) {
      const within = watched.readsPartly
      if (within && this.rateBytes < bounds.minRate.bytes) return this.expire("MinRate", bounds.minRate.per)
      // the next span begins at once, or with the next message: silence between two messages is what `idle` is for
      this.rateSince = within ? now : Infinity
      this.rateBytes = 0
    }
    if (now >= this.readingSince + bounds.read) {
      this.readEnded()
      watched.expireRead(Duration.millis(bounds.read))
    }
    this.arm()
  }

  private expire(kind: StreamTimeout["kind"], bound: number): void {
    this.stopped = true
    this.watched.expire(kind, Duration.millis(bound))
  }
}
