/**
 * One physical connection: a transport, and the two buffers on top of it.
 *
 * The session is the transport's handler, and passes on to readers and writers what it is told. The program (`close`,
 * `abort`, a scope), the peer or the clock ends the session, and that happens once: see `closing`.
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Closed } from "../../Connection.ts"
import type { WriteError } from "../../StreamError.ts"
import { ConnectionLost, IncompleteRead, StreamTimeout, TlsFailed } from "../base/errors.ts"
import type { ConnectionSnapshot, PauseReason } from "../../Observer.ts"
import type { CloseOutcome } from "../../StreamWriter.ts"
import type { Failure, Handler, Transport } from "../../Transport.ts"
import * as Endpoint from "../base/endpoint.ts"
import * as Observing from "../base/observing.ts"
import { toFailure } from "../transport/failure.ts"
import { type Feeder, ReadBuffer } from "../read/readBuffer.ts"
import { type Closable, Closing, graceful, peerEof, reset } from "./closing.ts"
import { type Origin, type Pause, type Seen, snapshot, Told } from "./observed.ts"
import type { SessionOptions } from "./options.ts"
import type { Surroundings } from "./surroundings.ts"
import type { CoarseClock } from "../runtime/coarseClock.ts"
import { type Bounds, Watchdog, type Watched } from "../runtime/timeouts.ts"
import { type Output, WriteBuffer } from "../write/writeBuffer.ts"
import type { WriterSession } from "../write/writer.ts"

/** The session whose end an error tells of. Readers and writers get such errors when it is lost, or a bound strikes. */
const ends = new WeakMap<object, Session>()

export class Session implements Handler, Feeder, Output, Watched, WriterSession, Closable, Seen, Origin {
  /** The number of the connection, also after an upgrade. */
  readonly id: number
  readonly side: "client" | "server" | undefined
  /** When the connection began. */
  readonly since: number
  readonly clock: CoarseClock
  /** What is told of the connection, where it is observed. */
  readonly told: Told | undefined
  /** Whether it is a client that waits for a place in a server. */
  waiting: boolean
  readPaused: Pause | undefined = undefined
  writePaused: Pause | undefined = undefined
  readonly transport: Transport
  readonly reads: ReadBuffer
  readonly writes: WriteBuffer

  private readonly closing: Closing
  /** Set once the transport was given up to another session. */
  detached = false
  private successor: Session | undefined = undefined
  private watchdog: Watchdog | undefined = undefined
  /** The transport is broken, and is about to be dropped. */
  private failing = false
  /** The peer has ended its output. */
  private peerEnded = false
  /** The transport has ended by itself. */
  private gone = false
  /** How many bytes came in the session before, and count there. */
  private replayed = 0

  constructor(transport: Transport, options: SessionOptions, surroundings: Surroundings, origin: Origin) {
    this.transport = transport
    this.clock = surroundings.coarseClock
    const opening = origin.opening ?? Observing.openingOf(transport)
    this.id = origin.id ?? opening?.id ?? Observing.nextNumber()
    this.side = origin.side
    this.since = origin.since ?? surroundings.clock.currentTimeMillisUnsafe()
    this.waiting = origin.waiting === true
    this.closing = new Closing(this, options.closeTimeout)
    this.reads = new ReadBuffer(options.limit, this)
    this.writes = new WriteBuffer(options, this, transport.atEndOfTurn?.bind(transport))
    this.reads.backpressure.budget = surroundings.budget
    this.reads.clock = this.clock
    this.writes.clock = this.clock
    this.told =
      origin.told ?? (surroundings.observed ? this.observe(surroundings.services, opening?.teller) : undefined)
    this.reads.observed = this.told
    // a transport may deliver at once
    origin.handTo?.(this)
    try {
      transport.attach(this)
    } catch (error) {
      this.failed(error)
    }
  }

  private observe(services: Context.Context<never>, known: Observing.Teller | undefined): Told | undefined {
    const teller = Observing.Teller.of(services, known)
    if (teller === undefined) return undefined
    const told = new Told(teller, this)
    told.happened("Opened")
    return told
  }

  /** A client that waited for a place is served from now on. */
  admit(): void {
    if (!this.waiting) return
    this.waiting = false
    this.told?.happened("Admitted")
  }

  /** From now on waiting is bounded. */
  watch(bounds: Bounds, services: Context.Context<never>): void {
    if (this.over || this.closing.closed?._tag === "Lost") return
    this.watchdog = new Watchdog(this, bounds, services)
    this.reads.watchdog = this.watchdog
    this.writes.watchdog = this.watchdog
  }

  unwatch(): void {
    this.watchdog?.stop()
  }

  /** Whether this side has ended the session. */
  private get over(): boolean {
    return this.closing.outcome !== undefined
  }

  // ------------------------------------------------------------------------
  // what the transport calls
  // ------------------------------------------------------------------------

  onData(bytes: Uint8Array): void {
    this.told?.bytes("in", bytes)
    this.feed(bytes)
  }

  /** Bytes that the session before has read ahead. */
  replay(bytes: Uint8Array): void {
    this.replayed += bytes.length
    this.feed(bytes)
  }

  private feed(bytes: Uint8Array): void {
    // the answers of a reader that wakes go out as one, as soon as it waits again
    this.writes.cork()
    this.reads.feed(bytes)
    this.writes.uncork()
  }

  onLent(bytes: Uint8Array): void {
    this.told?.bytes("in", bytes)
    this.writes.cork()
    this.reads.feedShared(bytes)
    this.writes.uncork()
  }

  onEnd(): void {
    this.peerEnded = true
    this.readPaused = undefined
    this.told?.happened("Ended")
    this.watchdog?.inputEnded()
    this.writes.cork()
    this.reads.feedEnd()
    this.writes.uncork()
    this.closing.notify(peerEof)
  }

  onDrain(): void {
    this.writes.drained()
  }

  onWriteFailure(failure: Failure): void {
    if (this.over) return
    // reading goes on, and is watched
    this.watchdog?.outputEnded()
    this.writePaused = undefined
    const lost = this.telling(this.lost(failure))
    this.told?.failed(lost("closed"))
    this.writes.break(lost)
    const { closing } = this
    if (closing.begun) closing.abortTransport()
    closing.over(reset, { _tag: "Lost", error: lost("closed") })
  }

  onReadFailure(failure: Failure): void {
    if (this.over) return
    this.readPaused = undefined
    const lost = this.lost(failure)
    this.told?.failed(lost("closed"))
    this.writes.cork()
    this.reads.feedLoss(lost)
    this.writes.uncork()
    this.closing.notify({ _tag: "Lost", error: lost("closed") })
  }

  onClose(failure: Failure | undefined): void {
    if (this.over) return
    this.watchdog?.stop()
    this.gone = true
    // an end is one only if the peer said so: a stream that is cut off is not complete, whichever side did it
    if (failure === undefined && this.peerEnded && this.writes.ended) {
      this.told?.closed(this, graceful)
      return this.closing.over(graceful, peerEof)
    }
    const lost = this.telling(this.lost(failure ?? { kind: "Unknown" }))
    if (this.told !== undefined) {
      this.told.failed(failure?.tls === undefined ? lost("closed") : this.tlsFailed(failure, failure.tls)("closed"))
      this.told.closed(this, reset)
    }
    // a fiber that wakes to a failed read finds that writing is over as well, and one that wakes to a failed write may close:
    // a read that waits is told of this before
    this.writes.break(lost, () =>
      this.reads.feedLoss(failure?.tls === undefined ? lost : this.telling(this.tlsFailed(failure, failure.tls)))
    )
    this.closing.over(reset, { _tag: "Lost", error: lost("closed") })
  }

  // ------------------------------------------------------------------------
  // what the buffers call
  // ------------------------------------------------------------------------

  // A transport that throws is broken, and it alone: its caller is often about to see to others as well.

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

  flowChanged(direction: "in" | "out", reason: PauseReason | undefined): void {
    const before = direction === "in" ? this.readPaused : this.writePaused
    const pause = reason === undefined ? undefined : { reason, since: this.clock.currentTimeMillisUnsafe() }
    if (direction === "in") this.readPaused = pause
    else this.writePaused = pause
    if (this.told === undefined) return
    if (reason !== undefined) this.told.flow("Paused", direction, reason)
    else if (before !== undefined) this.told.flow("Resumed", direction, before.reason)
  }

  shareMemory(): void {
    try {
      this.transport.lend?.()
    } catch (error) {
      this.failed(error)
    }
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    const { told } = this
    if (told !== undefined) for (const chunk of chunks) told.bytes("out", chunk)
    try {
      return this.transport.write(chunks)
    } catch (error) {
      this.failed(error)
      return false
    }
  }

  ended(): void {
    if (this.closing.begun) return this.closing.release()
    try {
      this.transport.end()
    } catch (error) {
      this.writes.ended = false
      this.failed(error)
    }
  }

  failed(cause: unknown): void {
    if (this.over || this.failing) return
    this.failing = true
    const failure = toFailure(cause)
    const lost = this.lost(failure)
    // a fiber that wakes may close before the rest follows
    this.told?.failed(lost("closed"))
    this.writes.break(lost)
    // the caller is in the middle of something, and a fiber that wakes to a loss may do anything
    queueMicrotask(() => {
      // after a good end what was sent would look complete
      this.closing.abortTransport()
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

  /** `sent`; `NaN` where a peer that takes little at a time looks as one that takes nothing. */
  get progress(): number {
    return this.writes.inFlight > 0 && this.transport.unsent === undefined ? Number.NaN : this.sent
  }

  get sent(): number {
    const { accepted, inFlight, pending } = this.writes
    return accepted - pending - (inFlight === 0 ? 0 : Math.min(inFlight, this.transport.unsent ?? inFlight))
  }

  expireRead(duration: Duration.Duration): void {
    // one that has its answer, and has yet to run
    if (!this.reads.waits) return
    this.told?.timedOut("Read", duration)
    this.reads.failWaiting(
      this.telling((operation) => new StreamTimeout({ operation, kind: "Read", duration, peer: this.peer }))
    )
  }

  expire(kind: StreamTimeout["kind"], duration: Duration.Duration): void {
    if (this.over) return
    this.told?.timedOut(kind, duration)
    const expired = this.telling((operation) => new StreamTimeout({ operation, kind, duration, peer: this.peer }))
    const error = expired("closed")
    this.told?.failed(error)
    this.closing.closed ??= { _tag: "Lost", error }
    this.closing.cut("TimedOut", () => {
      // what arrived in time is still delivered; in this order as in `onClose`
      this.writes.break(expired, () => this.reads.feedLoss(expired))
    })
  }

  // ------------------------------------------------------------------------
  // ending
  // ------------------------------------------------------------------------

  // What ends this session after an upgrade ends the one that has the transport.

  /** Flush, end the output, let go; bounded by `closeTimeout`. */
  get close(): Effect.Effect<CloseOutcome> {
    // in one step: others may run before the next, and give the transport to another session
    return Effect.contextWith((services: Context.Context<never>) => this.last.closing.close(services))
  }

  /** Closes, and says whether that was all: a connection that has nothing to send is closed at once. */
  closedAtOnce(): boolean {
    if (this.successor !== undefined) return this.successor.closedAtOnce()
    this.closing.begin()
    return this.over
  }

  /** Whether this is all there was of a connection, and it has ended in good order: nothing more can become of it. */
  get endedInOrder(): boolean {
    return this.closing.outcome === graceful && this.successor === undefined && this.writes.broken === undefined
  }

  /** Drop what is unsent, reset, and fail everybody who uses the streams. */
  get abort(): Effect.Effect<void> {
    return Effect.sync(() => this.abortNow())
  }

  abortNow(): void {
    this.last.closing.abort()
  }

  /** Whether this side has begun to close, or has aborted. */
  get endedHere(): boolean {
    if (this.successor !== undefined) return this.successor.endedHere
    return this.closing.begun || this.closing.outcome?._tag === "Aborted"
  }

  /** Whether a close sends what was written, or an upgrade has given the transport to another session: no abort is due. */
  get isInOtherHands(): boolean {
    return this.successor !== undefined || (this.closing.begun && !this.over)
  }

  get isClosing(): boolean {
    if (this.successor !== undefined) return this.successor.isClosing
    return this.closing.begun || this.over || this.writes.broken !== undefined
  }

  /** Completes once the session has ended, or the peer has ended its output. */
  get awaitClosed(): Effect.Effect<Closed> {
    return this.closing.awaitClosed
  }

  /** Completes once this side has ended the session, one way or the other. */
  get awaitOutcome(): Effect.Effect<CloseOutcome> {
    return this.closing.awaitOutcome
  }

  /** Calls `told` with the end of the session, and with that of the peer's output; or nobody any more. */
  onClosed(told: ((closed: Closed) => void) | undefined): void {
    this.closing.onClosed = told
  }

  /** All bytes that arrived, before and after the transport was given to another session. */
  get received(): number {
    return this.reads.received - this.replayed + (this.successor?.received ?? 0)
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
    // the error of a part of a reader, where the part was cut off
    if (error instanceof ConnectionLost && error.cause instanceof IncompleteRead) return this.isEnd(error.cause)
    return (error instanceof IncompleteRead && this.peerEnded) || ends.get(error as object) === this
  }

  /** Whether the peer has ended its output. */
  get peerHasEnded(): boolean {
    return this.successor === undefined ? this.peerEnded : this.successor.peerHasEnded
  }

  /** Whether the connection broke, or a bound on waiting for the peer ended it. */
  get isLost(): boolean {
    if (this.successor !== undefined) return this.successor.isLost
    const { closed, outcome } = this.closing
    // a fiber that wakes to the loss may close before anybody else is told
    return closed?._tag === "Lost" || outcome?._tag === "Reset"
  }

  /** Whether this side has begun to end this very session. */
  get endsHere(): boolean {
    return this.closing.begun
  }

  /** Whether this very session is over: nothing is sent or received any more. */
  get hasEnded(): boolean {
    return this.gone || this.over
  }

  /** The state of the connection, also after an upgrade. */
  get snapshot(): ConnectionSnapshot {
    return snapshot(this, this.last)
  }

  /** The session that has the transport. */
  private get last(): Session {
    return this.successor === undefined ? this : this.successor.last
  }

  /** Whether the transport was given up for an upgrade that came to nothing. */
  get upgradeFailed(): boolean {
    return this.successor === undefined ? this.detached && this.over : this.successor.upgradeFailed
  }

  // ------------------------------------------------------------------------
  // handing over
  // ------------------------------------------------------------------------

  /**
   * Gives up the transport, and everything that was read ahead. The streams answer `ClosedStream` from now on. What is
   * still told to this session, before the transport has another handler, is added to the answer, until `detachEnded`.
   */
  detach(): ReadonlyArray<Uint8Array> {
    this.detached = true
    this.watchdog?.stop()
    this.reads.apart?.giveBack("Upgraded")
    const pieces = [...this.reads.takePieces()]
    this.reads.behind = { pieces, size: 0 }
    this.writes.detach("Upgraded")
    this.reads.close("Upgraded")
    // the peer is listened to from now on, if not by this session
    this.flowChanged("in", undefined)
    return pieces
  }

  /** The transport has another handler, or is gone. */
  detachEnded(): void {
    this.reads.behind = undefined
  }

  /** The transport is about to be attached to `session`: what it delivers is the connection's. */
  handTo(session: Session): void {
    this.successor = session
    if (this.told === undefined) return
    this.told.session = session
    this.told.happened("Upgraded")
  }

  /** The transport was given to `session`, which ends this one when it ends. */
  succeed(session: Session): void {
    session.closing.predecessor = this.closing
    // an abort of this one in between meant both
    if (this.over) session.abortNow()
    if (this.reads.draining) session.endIdleReads()
  }

  /** Reads that answer a clean end answer it from now on where they would wait for an item; so do those after an upgrade. */
  endIdleReads(): void {
    this.reads.drain()
    this.successor?.endIdleReads()
  }
}
