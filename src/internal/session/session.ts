/**
 * One physical connection: a transport, the two buffers on top of it, and how
 * it ends.
 *
 * The session is the transport's handler. It ends once, with one outcome,
 * whoever asks for it first: the program (`close`, `abort`, a scope), the peer,
 * or the clock.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { WriteError } from "../../StreamError.ts"
import { ClosedStream, ConnectionLost, IncompleteRead, StreamTimeout, TlsFailed } from "../base/errors.ts"
import type { CloseOutcome } from "../../StreamWriter.ts"
import type { Failure, Handler, Transport } from "../../Transport.ts"
import type { Budget } from "./budget.ts"
import * as Deadline from "../runtime/deadline.ts"
import * as Endpoint from "../base/endpoint.ts"
import { BufferBudget } from "../base/tags.ts"
import { toFailure } from "../transport/failure.ts"
import { type Feeder, ReadBuffer } from "../read/readBuffer.ts"
import type { SessionOptions } from "./options.ts"
import { type Bounds, Watchdog, type Watched } from "../runtime/timeouts.ts"
import { type Output, WriteBuffer } from "../write/writeBuffer.ts"
import type { WriterSession } from "../write/writer.ts"

/** How a session ended, or began to. */
export type Closed =
  | { readonly _tag: "PeerEof" }
  | {
      readonly _tag: "Lost"
      /** What broke the connection. */
      readonly error: ConnectionLost | StreamTimeout
    }
  | {
      readonly _tag: "Local"
      /** How the closing went. */
      readonly outcome: CloseOutcome
    }

/** Whose end an error tells of: what readers and writers are told when a connection is lost, or a bound strikes. */
const ends = new WeakMap<object, Session>()

export class Session implements Handler, Feeder, Output, Watched, WriterSession {
  readonly transport: Transport
  readonly reads: ReadBuffer
  readonly writes: WriteBuffer

  private readonly closeTimeout: Duration.Duration
  private closed: Closed | undefined = undefined
  private outcome: CloseOutcome | undefined = undefined
  private closing = false
  /** How many bytes had been read when it began to. */
  private read = 0
  private closeTimer: Fiber.Fiber<unknown> | undefined = undefined
  private waiters: Set<() => void> | undefined = undefined
  /** Set once the transport was given up to another session. */
  private detached = false
  private successor: Session | undefined = undefined
  private predecessor: Session | undefined = undefined
  private watchdog: Watchdog | undefined = undefined
  /** Told of the end of the session, and of that of the peer's output. */
  onClosed: ((closed: Closed) => void) | undefined = undefined
  /** The transport is broken, and is about to be dropped. */
  private failing = false
  /** The peer has ended its output. */
  private peerEnded = false

  constructor(transport: Transport, options: SessionOptions, services: Context.Context<never>) {
    this.transport = transport
    this.closeTimeout = options.closeTimeout
    this.reads = new ReadBuffer(options.limit, this)
    this.writes = new WriteBuffer(options, this, transport.atEndOfTurn?.bind(transport))
    this.reads.backpressure.budget = Context.get(services, BufferBudget) as Budget | undefined
    try {
      transport.attach(this)
    } catch (error) {
      this.failed(error)
    }
  }

  /** From now on waiting is bounded. */
  watch(bounds: Bounds, services: Context.Context<never>): void {
    if (this.outcome !== undefined || this.closed?._tag === "Lost") return
    this.watchdog = new Watchdog(this, bounds, services)
    this.reads.watchdog = this.watchdog
    this.writes.watchdog = this.watchdog
  }

  // ------------------------------------------------------------------------
  // what the transport calls
  // ------------------------------------------------------------------------

  onData(bytes: Uint8Array): void {
    // what the woken reader answers goes out as one, as soon as it waits again
    this.writes.cork()
    this.reads.feed(bytes)
    this.writes.uncork()
  }

  onLent(bytes: Uint8Array): void {
    this.writes.cork()
    this.reads.feedShared(bytes)
    this.writes.uncork()
  }

  onEnd(): void {
    this.peerEnded = true
    this.watchdog?.inputEnded()
    this.writes.cork()
    this.reads.feedEnd()
    this.writes.uncork()
    this.notify(peerEof)
  }

  onDrain(): void {
    this.writes.drained()
  }

  onWriteFailure(failure: Failure): void {
    if (this.outcome !== undefined) return
    // reading goes on, and is watched
    this.watchdog?.outputEnded()
    const lost = this.telling(this.lost(failure))
    this.writes.break(lost)
    if (this.closing) {
      this.abortTransport()
      this.finish({ _tag: "Reset" })
    } else this.notify({ _tag: "Lost", error: lost("closed") })
  }

  onReadFailure(failure: Failure): void {
    if (this.outcome !== undefined) return
    const lost = this.lost(failure)
    this.writes.cork()
    this.reads.feedLoss(lost)
    this.writes.uncork()
    this.notify({ _tag: "Lost", error: lost("closed") })
  }

  onClose(failure: Failure | undefined): void {
    if (this.outcome !== undefined) return
    this.watchdog?.stop()
    // an end is one only if the peer said so: whoever ended what, what is cut off is not complete
    if (failure === undefined && this.peerEnded && this.writes.ended) {
      if (this.closing) this.finish(graceful)
      else this.notify(peerEof)
      return
    }
    const lost = this.telling(this.lost(failure ?? { kind: "Unknown" }))
    // in this order: whoever wakes to a failed read finds that writing is over as well
    this.writes.break(lost)
    this.reads.feedLoss(failure?.tls === undefined ? lost : this.telling(this.tlsFailed(failure, failure.tls)))
    if (this.closing) this.finish({ _tag: "Reset" })
    else this.notify({ _tag: "Lost", error: lost("closed") })
  }

  // ------------------------------------------------------------------------
  // what the buffers call
  // ------------------------------------------------------------------------

  // A transport that throws is broken, and it alone: what calls it here is often about to see to others as well.

  pause(): void {
    try {
      this.transport.pause()
    } catch (error) {
      this.failed(error)
    }
  }

  resume(): void {
    try {
      this.transport.resume()
    } catch (error) {
      this.failed(error)
    }
  }

  shareMemory(): void {
    try {
      this.transport.lend?.()
    } catch (error) {
      this.failed(error)
    }
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    try {
      return this.transport.write(chunks)
    } catch (error) {
      this.failed(error)
      return false
    }
  }

  ended(): void {
    if (this.closing) return this.release()
    try {
      this.transport.end()
    } catch (error) {
      this.writes.ended = false
      this.failed(error)
    }
  }

  failed(cause: unknown): void {
    if (this.outcome !== undefined || this.failing) return
    this.failing = true
    const failure = toFailure(cause)
    this.writes.break(this.lost(failure))
    // what calls this is in the middle of something; and whoever wakes to a loss may do anything
    queueMicrotask(() => {
      // a good end would make what was sent look complete
      this.abortTransport()
      this.onClose(failure)
    })
  }

  // ------------------------------------------------------------------------
  // what the watchdog calls
  // ------------------------------------------------------------------------

  get watched(): Watched {
    return this
  }

  get readsPartly(): boolean {
    return this.reads.readsPartly
  }

  get readsFramed(): boolean {
    return this.reads.readsFramed
  }

  get heard(): number {
    return this.reads.received
  }

  get taken(): number {
    return this.reads.taken
  }

  get heldBack(): boolean {
    return this.reads.paused
  }

  get atEndOfTurn(): Transport["atEndOfTurn"] {
    return this.writes.atEndOfTurn
  }

  get sent(): number {
    const { accepted, inFlight, pending } = this.writes
    return accepted - pending - (inFlight === 0 ? 0 : Math.min(inFlight, this.transport.unsent ?? inFlight))
  }

  expireRead(duration: Duration.Duration): void {
    this.reads.failWaiting(
      this.telling((operation) => new StreamTimeout({ operation, kind: "Read", duration, peer: this.peer }))
    )
  }

  expire(kind: StreamTimeout["kind"], duration: Duration.Duration): void {
    if (this.outcome !== undefined) return
    const expired = this.telling((operation) => new StreamTimeout({ operation, kind, duration, peer: this.peer }))
    this.closed ??= { _tag: "Lost", error: expired("closed") }
    const outcome = this.drop("TimedOut")
    this.writes.break(expired)
    // what arrived in time is still delivered
    this.reads.feedLoss(expired)
    this.finish(outcome)
  }

  // ------------------------------------------------------------------------
  // ending
  // ------------------------------------------------------------------------

  /** Flush, end the output, let go; bounded by `closeTimeout`, whoever waits for it. */
  get close(): Effect.Effect<CloseOutcome> {
    return Effect.contextWith((services: Context.Context<never>) => {
      if (this.successor !== undefined) return this.successor.close
      this.beginClose()
      if (this.outcome !== undefined) return Effect.succeed(this.outcome)
      // a fiber of its own, from the start: who waits for the close may give up at any moment, the bound stays
      this.closeTimer ??= Effect.runForkWith(services)(
        Effect.andThen(
          Deadline.reached(this.closeTimeout, { progress: Deadline.growing(() => this.sent), next: this.atEndOfTurn }),
          Effect.sync(() => this.closeTimedOut())
        )
      )
      return this.await(() => this.outcome)
    })
  }

  /**
   * Whether this side has begun to close, or has aborted.
   *
   * Once a close has begun it goes on to its end: whatever else ends meanwhile, a handler or a scope, only an explicit
   * abort and the bound on closing may keep what was accepted from arriving.
   */
  get endedHere(): boolean {
    if (this.successor !== undefined) return this.successor.endedHere
    return this.closing || this.outcome?._tag === "Aborted"
  }

  /** Closes, and says whether that was all: a connection that has nothing to send is closed at once. */
  closedAtOnce(): boolean {
    if (this.successor !== undefined) return this.successor.closedAtOnce()
    this.beginClose()
    return this.outcome !== undefined
  }

  private beginClose(): void {
    if (this.outcome === undefined && !this.closing) this.startClose()
  }

  /** Drop what is unsent, reset, and fail whoever uses the streams. */
  get abort(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.successor !== undefined) return this.successor.abort
      this.abortNow()
      return Effect.void
    })
  }

  /** Completes once the session has ended, or the peer has ended its output. */
  get awaitClosed(): Effect.Effect<Closed> {
    return this.await(() => this.closed)
  }

  /** Completes once this side has ended the session, one way or the other. */
  get awaitOutcome(): Effect.Effect<CloseOutcome> {
    return this.await(() => this.outcome)
  }

  abortNow(): void {
    if (this.outcome !== undefined) return
    const outcome = this.drop("Aborted")
    this.writes.break((operation) => new ClosedStream({ operation, reason: "Aborted" }))
    this.reads.close("Aborted")
    this.finish(outcome)
  }

  get isClosing(): boolean {
    if (this.successor !== undefined) return this.successor.isClosing
    return this.closing || this.outcome !== undefined || this.writes.broken !== undefined
  }

  /** All bytes that arrived, before and after the transport was given to another session. */
  get received(): number {
    return this.reads.received + (this.successor?.received ?? 0)
  }

  /** All bytes that were written, sent or not; before and after as well. */
  get written(): number {
    return this.writes.accepted + (this.successor?.written ?? 0)
  }

  // ------------------------------------------------------------------------
  // errors
  // ------------------------------------------------------------------------

  /** The other side, as errors name it. */
  get peer(): string | undefined {
    return Endpoint.peerOf(this.transport.info)
  }

  private lost(failure: Failure): (operation: string) => ConnectionLost & WriteError {
    const { cause, code, kind } = failure
    return (operation) => new ConnectionLost({ operation, kind, code, peer: this.peer, cause })
  }

  private tlsFailed(failure: Failure, kind: TlsFailed["kind"]): (operation: string) => TlsFailed {
    const { cause, code } = failure
    return (operation) => new TlsFailed({ operation, kind, code, peer: this.peer, cause })
  }

  // ------------------------------------------------------------------------
  // telling an end of this connection from other failures
  // ------------------------------------------------------------------------

  /** Remembers of the errors that are made that they tell of the end of this session. */
  private telling<E extends object>(make: (operation: string) => E): (operation: string) => E {
    // a transport that throws, or memory that is taken away, is a fault of this side
    if (this.failing) return make
    return (operation) => {
      const error = make(operation)
      ends.set(error, this)
      return error
    }
  }

  /** Whether an error says how the peer, or a bound on waiting for it, ended this connection or one of its reads. */
  isEnd(error: unknown): boolean {
    if (this.successor?.isEnd(error) === true) return true
    // what a part of a reader says that was cut off
    if (error instanceof ConnectionLost && error.cause instanceof IncompleteRead) return this.isEnd(error.cause)
    return (error instanceof IncompleteRead && this.peerEnded) || ends.get(error as object) === this
  }

  /** Whether the peer has ended its output. */
  get peerHasEnded(): boolean {
    return this.successor === undefined ? this.peerEnded : this.successor.peerHasEnded
  }

  /** Whether the transport was given up for an upgrade that came to nothing. */
  get upgradeFailed(): boolean {
    return this.successor === undefined ? this.detached && this.outcome !== undefined : this.successor.upgradeFailed
  }

  // ------------------------------------------------------------------------
  // handing over
  // ------------------------------------------------------------------------

  /** Gives up the transport, and everything that was read ahead. The streams answer `ClosedStream` from now on. */
  detach(): ReadonlyArray<Uint8Array> {
    this.detached = true
    this.watchdog?.stop()
    const pieces = this.reads.takePieces()
    this.writes.detach("Upgraded")
    this.reads.close("Upgraded")
    return pieces
  }

  /** The session that the transport was given to: what ends it ends this one. */
  succeed(session: Session): void {
    this.successor = session
    session.predecessor = this
    // who ended this one in between meant both
    if (this.outcome !== undefined) session.abortNow()
    if (this.reads.draining) session.endIdleReads()
  }

  /** Reads that answer a clean end answer it from now on where they would wait for an item; so do those after an upgrade. */
  endIdleReads(): void {
    this.reads.drain()
    this.successor?.endIdleReads()
  }

  private startClose(): void {
    if (this.detached) return this.abortNow()
    this.closing = true
    this.watchdog?.stop()
    this.read = this.reads.received - this.reads.size
    // before anyone wakes to a failed read, and writes
    this.writes.ending = "Closed"
    this.reads.close("Closed")
    // whoever wakes to it may abort
    if (this.outcome !== undefined) return
    if (this.writes.broken !== undefined) {
      this.abortTransport()
      this.finish({ _tag: "Reset" })
    } else if (this.writes.ended) {
      this.writes.end("Closed")
      this.release()
    } else {
      // input is thrown away from here on, lest two ends that only write wait for each other
      this.resume()
      this.writes.end("Closed")
    }
  }

  private release(): void {
    try {
      this.transport.close(this.reads.received > this.read)
    } catch {
      this.abortTransport()
      return this.finish({ _tag: "Reset" })
    }
    this.finish(graceful)
  }

  private abortTransport(): void {
    try {
      this.transport.abort()
    } catch {
      // there is nothing more to be done about it
    }
  }

  private closeTimedOut(): void {
    if (this.outcome !== undefined) return
    this.closeTimer = undefined
    const outcome = this.drop("TimedOut")
    this.writes.break((operation) => new ClosedStream({ operation, reason: "Closed" }))
    this.finish(outcome)
  }

  /** Lets the transport go, with what is unsent. First of all: whoever wakes to it may close, and finds how it ended. */
  private drop(_tag: "Aborted" | "TimedOut"): CloseOutcome {
    const outcome: CloseOutcome = { _tag, unsent: this.writes.buffered }
    this.outcome = outcome
    this.abortTransport()
    return outcome
  }

  private finish(outcome: CloseOutcome): void {
    this.outcome = outcome
    this.watchdog?.stop()
    this.closeTimer?.interruptUnsafe()
    this.closeTimer = undefined
    this.notify({ _tag: "Local", outcome })
  }

  private notify(closed: Closed): void {
    this.closed ??= closed
    this.onClosed?.(closed)
    this.predecessor?.notify(closed)
    const waiters = this.waiters
    if (waiters === undefined) return
    this.waiters = undefined
    for (const wake of waiters) wake()
  }

  private await<A>(poll: () => A | undefined): Effect.Effect<A> {
    return Effect.callback<A>((resume) => {
      const now = poll()
      if (now !== undefined) return resume(Effect.succeed(now))
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

const graceful: CloseOutcome = { _tag: "Graceful" }
const peerEof: Closed = { _tag: "PeerEof" }
