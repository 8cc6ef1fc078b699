/** A connection as observers and snapshots see it, over all the sessions that it has. */
import type { ConnectionEvent, ConnectionSnapshot, Direction, ObservedConnection, PauseReason } from "../../Observer.ts"
import type { CloseOutcome } from "../../StreamWriter.ts"
import type { ConnectionInfo, Transport } from "../../Transport.ts"
import type { ConnectionLost, StreamTimeout, TlsFailed } from "../base/errors.ts"
import type { Opening, Teller } from "../base/observing.ts"
import { tellNow } from "../base/othersWait.ts"
import type { ReadBuffer } from "../read/readBuffer.ts"
import type { WriteBuffer } from "../write/writeBuffer.ts"

/** Since when a direction is held back, and why. */
export interface Pause {
  readonly reason: PauseReason
  readonly since: number
}

/** Where a connection comes from. A session that gives its transport to another one is where that comes from. */
export interface Origin {
  readonly side: "client" | "server" | undefined
  /** How it was opened, where that was observed. */
  readonly opening?: Opening | undefined
  /** The number that it has already. */
  readonly id?: number | undefined
  /** When it began. */
  readonly since?: number | undefined
  /** Whether it waits for a place in a server. */
  readonly waiting?: boolean | undefined
  readonly told?: Told | undefined
  /** The transport is about to be attached to another session. */
  handTo?(session: Seen): void
}

/** A session, as it is looked at. */
export interface Seen {
  readonly id: number
  readonly side: "client" | "server" | undefined
  readonly since: number
  readonly waiting: boolean
  readonly transport: Transport
  readonly reads: ReadBuffer
  readonly writes: WriteBuffer
  readonly readPaused: Pause | undefined
  readonly writePaused: Pause | undefined
  readonly peerHasEnded: boolean
  readonly endsHere: boolean
  readonly hasEnded: boolean
  /** Over all the sessions of the connection. */
  readonly received: number
  readonly written: number
}

/** `first` counts the bytes of the whole connection, `last` is the one in use. */
export const snapshot = (first: Seen, last: Seen): ConnectionSnapshot => {
  // whoever observes has been told of what is seen here
  tellNow()
  const { reads, writes } = last
  const paused: Array<ConnectionSnapshot["paused"][number]> = []
  const waiting: Array<ConnectionSnapshot["waiting"][number]> = []
  // what began is told by a coarse clock
  const notBefore = (since: number) => Math.max(since, last.since)
  const add = (direction: Direction, pause: Pause | undefined) => {
    if (pause !== undefined) paused.push({ direction, reason: pause.reason, since: notBefore(pause.since) })
  }
  if (!last.hasEnded) {
    add("in", last.readPaused)
    add("out", last.writePaused)
  }
  const { operation } = reads
  // where it has ended, those that waited have been woken
  if (!last.hasEnded) {
    if (operation !== undefined) waiting.push({ operation: operation.name, since: notBefore(reads.waitingSince) })
    for (const { operation, since } of writes.waiters.all) waiting.push({ operation, since: notBefore(since) })
  }
  return {
    id: last.id,
    side: last.side,
    state: last.hasEnded ? "closed" : last.endsHere ? "closing" : last.waiting ? "waiting" : "open",
    info: last.transport.info,
    since: last.since,
    bytesRead: first.received,
    bytesWritten: first.written,
    unread: reads.unread,
    unsent: last.hasEnded ? 0 : writes.buffered,
    peerEnded: last.peerHasEnded,
    paused,
    waiting
  }
}

/** A connection that is observed, and what its sessions tell of it. */
export class Told implements ObservedConnection {
  readonly teller: Teller
  /** The session that has the transport. */
  session: Seen
  /** The upgrade that goes on, or went on last. */
  upgrading: Opening | undefined = undefined
  private readonly first: Seen
  /** The read that waits. */
  private reading: string | undefined = undefined
  private failedAlready = false
  private closedAlready = false

  constructor(teller: Teller, session: Seen) {
    this.teller = teller
    this.first = session
    this.session = session
  }

  get id(): number {
    return this.session.id
  }

  get side(): "client" | "server" | undefined {
    return this.session.side
  }

  get info(): ConnectionInfo {
    return this.session.transport.info
  }

  readonly snapshot = (): ConnectionSnapshot => snapshot(this.first, this.session)

  bytes(direction: Direction, bytes: Uint8Array): void {
    // a `Buffer` is no copy after `slice`, and whoever keeps bytes relies on that
    const plain =
      bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.teller.bytes(this, direction, plain)
  }

  readStarted(operation: string): void {
    if (this.closedAlready) return
    this.reading = operation
    this.teller.readStarted(this, operation)
  }

  readEnded(): void {
    const { reading } = this
    if (reading === undefined) return
    this.reading = undefined
    this.teller.readEnded(this, reading)
  }

  private tell(event: ConnectionEvent): void {
    if (!this.closedAlready) this.teller.event(event)
  }

  happened(_tag: "Opened" | "Admitted" | "Ended" | "Upgraded" | "Closing"): void {
    this.tell({ _tag, connection: this })
  }

  flow(_tag: "Paused" | "Resumed", direction: Direction, reason: PauseReason): void {
    this.tell({ _tag, connection: this, direction, reason })
  }

  timedOut(kind: Timeout["kind"], duration: Timeout["duration"]): void {
    this.tell({ _tag: "TimedOut", connection: this, kind, duration })
  }

  /** A connection that breaks in one direction and then in the other has failed once. */
  failed(error: ConnectionLost | StreamTimeout | TlsFailed): void {
    if (this.failedAlready) return
    this.failedAlready = true
    this.tell({ _tag: "Failed", connection: this, error })
  }

  /** A session that has no transport any more ends without the connection. */
  closed(session: Seen, outcome: CloseOutcome): void {
    if (this.closedAlready || session !== this.session) return
    this.closedAlready = true
    // its fiber wakes behind this, now or later
    this.readEnded()
    this.upgrading?.end()
    this.teller.event({ _tag: "Closed", connection: this, outcome })
  }
}

type Timeout = Extract<Parameters<Teller["event"]>[0], { readonly _tag: "TimedOut" }>
