/**
 * How a session ends here, and who may end it.
 *
 * A session ends once, with one outcome. `close` is bounded by `closeTimeout`, and ends in an abort where that is
 * reached. A scope or a handler that fails aborts its connection, unless a close has begun: the bytes that were accepted
 * by then arrive, and only an explicit abort, or the bound, may keep them from that.
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Closed } from "../../Connection.ts"
import type { CloseOutcome } from "../../StreamWriter.ts"
import type { Transport } from "../../Transport.ts"
import { ClosedStream } from "../base/errors.ts"
import type { ReadBuffer } from "../read/readBuffer.ts"
import * as Deadline from "../runtime/deadline.ts"
import type { WriteBuffer } from "../write/writeBuffer.ts"
import type { Seen, Told } from "./observed.ts"

export const graceful: CloseOutcome = { _tag: "Graceful" }
export const reset: CloseOutcome = { _tag: "Reset" }
export const peerEof: Closed = { _tag: "PeerEof" }

/** The session that is closed. */
export interface Closable extends Seen {
  readonly told: Told | undefined
  readonly transport: Transport
  readonly reads: ReadBuffer
  readonly writes: WriteBuffer
  /** Whether the transport was given up to another session. */
  readonly detached: boolean
  /** How many bytes the system has taken. */
  readonly sent: number
  /** Nothing is waited for any more: no bound on waiting strikes. */
  unwatch(): void
  /** Goes on reading. */
  resume(): void
  /** As `Flow`. */
  flowChanged(direction: "in", reason: undefined): void
}

export class Closing {
  /** How the session ended, or began to, as the program is told. */
  closed: Closed | undefined = undefined
  /** How this side ended the session, once it has. */
  outcome: CloseOutcome | undefined = undefined
  /** Whether this side has begun to close. */
  begun = false
  /** Called with the end of the session, and with that of the peer's output. */
  onClosed: ((closed: Closed) => void) | undefined = undefined
  /** Of the session that gave its transport to this one, and ends with it. */
  predecessor: Closing | undefined = undefined
  private readonly session: Closable
  private readonly closeTimeout: Duration.Duration
  /** How many bytes had been read when the close began. */
  private readBefore = 0
  private timer: Fiber.Fiber<unknown> | undefined = undefined
  private waiters: Set<() => void> | undefined = undefined

  constructor(session: Closable, closeTimeout: Duration.Duration) {
    this.session = session
    this.closeTimeout = closeTimeout
  }

  // ------------------------------------------------------------------------
  // closing in good order
  // ------------------------------------------------------------------------

  /** Flush, end the output, let go; bounded by `closeTimeout`, whichever fiber waits for it. */
  close(services: Context.Context<never>): Effect.Effect<CloseOutcome> {
    this.begin()
    if (this.outcome !== undefined) return Effect.succeed(this.outcome)
    // a fiber of its own, from the start: those who wait for the close may give up at any moment, the bound stays
    this.timer ??= Effect.runForkWith(services)(
      Effect.andThen(
        Deadline.reached(this.closeTimeout, {
          progress: Deadline.growing(() => this.session.sent),
          next: this.session.writes.atEndOfTurn
        }),
        Effect.sync(() => this.timedOut())
      )
    )
    return this.awaitOutcome
  }

  begin(): void {
    if (this.begun) return
    const { session } = this
    // a timeout left what arrived in time to be read, which nobody is going to any more: it would count in a budget for ever
    if (this.outcome !== undefined) return session.reads.close("Closed")
    if (session.detached) return this.abort()
    const { reads, writes } = session
    this.begun = true
    // what is gone already has nothing more to send
    if (!session.hasEnded) session.told?.happened("Closing")
    session.unwatch()
    this.readBefore = reads.taken
    // before a failed read wakes anybody who writes
    writes.ending = "Closed"
    reads.close("Closed")
    // a fiber that wakes to that may have aborted
    if (this.hasOutcome) return
    if (writes.broken !== undefined) {
      this.abortTransport()
      this.finish(reset)
    } else if (writes.ended) {
      writes.end("Closed")
      this.release()
    } else {
      // input is thrown away from here on, lest two ends that only write wait for each other
      session.flowChanged("in", undefined)
      session.resume()
      writes.end("Closed")
    }
  }

  /** Everything was sent, and the end behind it: lets the transport go. */
  release(): void {
    const { reads, transport } = this.session
    try {
      transport.close(reads.received > this.readBefore)
    } catch {
      this.abortTransport()
      return this.finish(reset)
    }
    this.finish(graceful)
  }

  /** `closeTimeout` is reached. */
  private timedOut(): void {
    if (this.outcome !== undefined) return
    this.timer = undefined
    this.cut("TimedOut", () => {
      this.session.writes.break((operation) => new ClosedStream({ operation, reason: "Closed" }))
    })
  }

  // ------------------------------------------------------------------------
  // ending by force
  // ------------------------------------------------------------------------

  /** Drops what is unsent, resets, and fails everybody who uses the streams. */
  abort(): void {
    const { reads, writes } = this.session
    // as for a close
    if (this.outcome !== undefined) return reads.close("Aborted")
    this.cut("Aborted", () => {
      writes.break((operation) => new ClosedStream({ operation, reason: "Aborted" }))
      reads.close("Aborted")
    })
  }

  /** Lets the transport go, with what is unsent, and tells those who use the streams. */
  cut(_tag: "Aborted" | "TimedOut", tell: () => void): void {
    const { sent, writes } = this.session
    // the outcome first of all: a fiber that wakes may close, and finds how the session ended
    const outcome: CloseOutcome = { _tag, unsent: writes.accepted - sent }
    this.outcome = outcome
    this.abortTransport()
    // in front of what fibers do that wake: with its scope a connection is closed
    this.session.told?.closed(this.session, outcome)
    tell()
    this.finish(outcome)
  }

  abortTransport(): void {
    try {
      this.session.transport.abort()
    } catch {
      // there is nothing more to be done about it
    }
  }

  // ------------------------------------------------------------------------
  // telling
  // ------------------------------------------------------------------------

  /** The connection is over: a close that has begun has this outcome, and a session in use has been `closed`. */
  over(outcome: CloseOutcome, closed: Closed): void {
    if (this.begun) this.finish(outcome)
    else this.notify(closed)
  }

  private finish(outcome: CloseOutcome): void {
    this.outcome = outcome
    this.session.unwatch()
    this.timer?.interruptUnsafe()
    this.timer = undefined
    this.session.told?.closed(this.session, outcome)
    this.notify({ _tag: "Local", outcome })
  }

  notify(closed: Closed): void {
    this.closed ??= closed
    this.onClosed?.(closed)
    this.predecessor?.notify(closed)
    const waiters = this.waiters
    if (waiters === undefined) return
    this.waiters = undefined
    for (const wake of waiters) wake()
  }

  /** As `outcome`; a call may have set it. */
  private get hasOutcome(): boolean {
    return this.outcome !== undefined
  }

  /** Completes once the session has ended, or the peer has ended its output. */
  get awaitClosed(): Effect.Effect<Closed> {
    return this.await(() => this.closed)
  }

  /** Completes once this side has ended the session, one way or the other. */
  get awaitOutcome(): Effect.Effect<CloseOutcome> {
    return this.await(() => this.outcome)
  }

  private await<A>(poll: () => A | undefined): Effect.Effect<A> {
    return Effect.callback<A>((resume) => {
      const already = poll()
      if (already !== undefined) return resume(Effect.succeed(already))
      const wake = () => {
        const value = poll()
        if (value === undefined) (this.waiters ??= new Set()).add(wake)
        else resume(Effect.succeed(value))
      }
      ;(this.waiters ??= new Set()).add(wake)
      return Effect.sync(() => {
        this.waiters?.delete(wake)
      })
    })
  }
}

// ---------------------------------------------------------------------------
// who may abort
// ---------------------------------------------------------------------------

/** A session, as its owner sees it. */
interface Ended {
  readonly close: Effect.Effect<CloseOutcome>
  abortNow(): void
  /** Whether this side has begun to close, or has aborted. */
  readonly endedHere: boolean
}

/**
 * Ends a session as its owner ended, a handler or a scope: in good order, or by an abort. Where a close has begun, that
 * is waited for instead.
 */
export const endWith = (
  session: Ended,
  exit: Exit.Exit<unknown, unknown>,
  onScopeFailure: "abort" | "flush"
): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    if (Exit.isSuccess(exit) || onScopeFailure === "flush" || session.endedHere) return session.close
    // in this step: others may run before the next, and begin to close
    session.abortNow()
    return Effect.void
  })

/** From now on the scope ends it. */
export const owned = <C extends { endWith(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> }>(
  connection: C
): Effect.Effect<C, never, Scope.Scope> =>
  Effect.as(
    Effect.addFinalizer((exit) => connection.endWith(exit)),
    connection
  )
