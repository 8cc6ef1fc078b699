/** An in-memory connection: two pipes, and a transport at each end. */
import * as Effect from "effect/Effect"
import type { TlsFailed } from "../../../StreamError.ts"
import type { StartTlsOptions } from "../../../Tls.ts"
import type { ConnectionInfo, Failure, Handler, Transport } from "../../../Transport.ts"
import { lingerMillis, listenMillis, quietMillis } from "../../base/defaults.ts"
import { peerReset } from "../../transport/resetToLoss.ts"
import type { LoadTls } from "../../transport/tlsEngine.ts"
import { Session } from "../../session/session.ts"
import type { EventQueue } from "./eventQueue.ts"
import { describeFault, type PathFault, type Side } from "./faults.ts"
import { type Ends, type Path, Pipe } from "./pipe.ts"
import { type Recorder, shownBytes } from "./timeline.ts"

const opposite: Record<Side, Side> = { client: "server", server: "client" }

const brokenPipe: Failure = { kind: "BrokenPipe", code: "EPIPE" }

const nobody: Handler = {
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onWriteFailure: () => {},
  onClose: () => {}
}

/** A direction of a link. */
export interface Direction {
  readonly path: Path
  readonly faults: ReadonlyArray<PathFault>
}

/** A machine, as far as its connections know it. */
export interface OnMachine {
  readonly links: Set<Link>
}

export class Link {
  /** The number of the connection in its network, from 1. */
  readonly number: number
  readonly eventQueue: EventQueue
  readonly recorder: Recorder
  /** Whether it is a Unix socket, which has no way to tell the peer of a reset. */
  readonly unix: boolean
  readonly loadTls: LoadTls
  readonly client: LinkEnd
  readonly server: LinkEnd
  private readonly machines: Record<Side, OnMachine> | undefined

  constructor(
    number: number,
    eventQueue: EventQueue,
    recorder: Recorder,
    loadTls: LoadTls,
    directions: Record<Side, Direction>,
    info: Record<Side, ConnectionInfo>,
    machines?: Record<Side, OnMachine>
  ) {
    this.machines = machines
    this.number = number
    this.eventQueue = eventQueue
    this.recorder = recorder
    this.loadTls = loadTls
    this.unix = info.client.remote?._tag === "UnixPathAddress"
    const pipe = (from: Side) => new Pipe(eventQueue, directions[from].path, directions[from].faults, this.ends(from))
    const up = pipe("client")
    const down = pipe("server")
    this.client = new LinkEnd(this, info.client, up, down)
    this.server = new LinkEnd(this, info.server, down, up)
    machines?.client.links.add(this)
    machines?.server.links.add(this)
    up.open()
    down.open()
  }

  peerOf(end: LinkEnd): LinkEnd {
    return end === this.client ? this.server : this.client
  }

  /** The end on a machine. */
  endOn(machine: OnMachine): LinkEnd | undefined {
    if (this.machines?.client === machine) return this.client
    return this.machines?.server === machine ? this.server : undefined
  }

  /** What its ends wait for, for people. */
  get describe(): string {
    return `#${this.number} client: ${this.client.waiting}; server: ${this.server.waiting}`
  }

  /** Nothing passes in either direction until it is mended. */
  sever(): void {
    if (this.client.out.severed) return
    this.record("client", { kind: "fault", detail: "cut" })
    this.client.out.sever()
    this.server.out.sever()
  }

  mend(): void {
    if (!this.client.out.severed) return
    this.record("client", { kind: "fault", detail: "healed" })
    this.client.out.mend()
    this.server.out.mend()
  }

  /** An end has let go: nobody needs to know of the link any more once both have. */
  wasLetGo(): void {
    if (!this.client.isGone || !this.server.isGone) return
    this.machines?.client.links.delete(this)
    this.machines?.server.links.delete(this)
  }

  record(from: Side, event: Pick<Parameters<Recorder["record"]>[1], "kind" | "offset" | "size" | "bytes" | "detail">) {
    this.recorder.record(this.eventQueue.now, { connection: this.number, from, ...event })
  }

  /** What the direction from one side tells the two ends. */
  private ends(from: Side): Ends {
    const receiver = () => this[opposite[from]]
    return {
      drained: () => this[from].wasDrained(),
      data: (bytes, offset) => {
        this.record(from, { kind: "data", offset, size: bytes.length, bytes: bytes.slice(0, shownBytes) })
        receiver().received(bytes)
      },
      end: (byFault) => {
        this.record(from, { kind: "end", detail: byFault ? "by fault" : undefined })
        receiver().peerEnded()
      },
      resetSeen: (failure) => receiver().resetSeen(failure),
      reset: (failure) => {
        this.record(from, { kind: "reset" })
        receiver().wasReset(failure)
      },
      resetLost: () => this[from].resetLost(),
      strayed: (size) => {
        this.record(from, { kind: "stray", size })
        receiver().strayed(this[from])
      },
      struck: (fault) => this.struck(from, fault)
    }
  }

  private struck(from: Side, fault: PathFault): void {
    // an early end is told of when it is read, behind the bytes before it
    if (fault.kind !== "Fin") this.record(from, { kind: "fault", detail: describeFault(fault) })
    // the receiver learns of it in the order of the bytes, the sender from here
    if (fault.kind === "Reset") this[opposite[from]].out.reset(peerReset, true)
    else if (fault.kind === "Vanish") this[opposite[from]].out.cutOff()
  }
}

export class LinkEnd implements Transport {
  readonly info: ConnectionInfo
  /** What this end sends through. */
  readonly out: Pipe
  /** Whom this connected to, by name. */
  host: string | undefined = undefined

  private readonly link: Link
  private readonly incoming: Pipe
  private handler: Handler = nobody
  private attached = false
  private ended = false
  /** The peer has ended its output, and whether the handler was told. */
  private endSeen = false
  private endTold = false
  /** Why nothing can be sent any more. */
  private writeFailure: Failure | undefined = undefined
  /** Closed, aborted or lost: nothing has an effect any more. */
  private gone = false
  /** How it ended, if not by what this side did. */
  private over: { readonly failure: Failure | undefined } | undefined = undefined
  /** Until when what still arrives is thrown away, after which the sender is told: as on real sockets. */
  private lingersUntil = Infinity
  private closedAt = Infinity
  private goneSince = Infinity
  private broken = false
  /** The peer has reset what it had ended before, or has gone (Unix). The system knows, and says so to whatever is sent. */
  private refusing = false
  /** The machine that this is on is down: it answers nothing. */
  private silent = false
  /** The program that this belongs to has crashed. */
  private crashed = false

  constructor(link: Link, info: ConnectionInfo, out: Pipe, incoming: Pipe) {
    this.link = link
    this.info = info
    this.out = out
    this.incoming = incoming
  }

  // ------------------------------------------------------------------------
  // what the program calls
  // ------------------------------------------------------------------------

  /** May be called again by TLS, which takes the connection over, and gives it back: see `stopTls`. */
  attach(handler: Handler): void {
    this.attached = true
    const { endSeen, over, writeFailure } = this
    if (over !== undefined) this.tellAgain(handler, over.failure)
    if (this.gone) return
    this.handler = handler
    this.endTold = false
    this.incoming.resume()
    if (!endSeen && writeFailure === undefined) return
    // what was told to the handler before, or to nobody
    this.link.eventQueue.soon(() => {
      if (this.handler !== handler) return
      this.tellEnd()
      if (writeFailure !== undefined) this.handler.onWriteFailure(writeFailure)
    })
  }

  /** How it ended was told to the handler before, or to nobody. */
  private tellAgain(handler: Handler, failure: Failure | undefined): void {
    this.link.eventQueue.soon(() => {
      if (this.crashed) return
      if (this.endSeen) handler.onEnd()
      handler.onClose(failure)
    })
  }

  private tellEnd(): void {
    if (!this.endSeen || this.endTold) return
    this.endTold = true
    this.handler.onEnd()
  }

  pause(): void {
    if (!this.gone) this.incoming.pause()
  }

  resume(): void {
    if (!this.gone && this.attached) this.incoming.resume()
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    if (this.gone || this.ended) return true
    this.refusing ||= this.isRefused
    if (!this.refusing) return this.out.write(chunks)
    this.link.eventQueue.soon(() => this.wasBroken())
    return false
  }

  get unsent(): number | undefined {
    // what is refused is not held either
    return this.refusing ? undefined : this.out.heldBytes
  }

  /** A Unix socket knows at once that its peer has gone: the system takes nothing that nobody would get. */
  private get isRefused(): boolean {
    if (!this.link.unix) return false
    const { gone, goneSince, lingersUntil } = this.link.peerOf(this)
    return gone && this.link.eventQueue.now >= Math.max(lingersUntil, goneSince + this.incoming.path.latency)
  }

  end(): void {
    if (this.gone || this.ended) return
    this.ended = true
    this.out.end()
    this.finishIfOver()
  }

  close(unread?: boolean): void {
    if (this.gone) return
    this.ended = true
    this.out.end()
    this.letGo(true)
    this.closedAt = this.link.eventQueue.now
    const quiet = unread === true ? quietMillis : listenMillis
    this.lingersUntil = this.closedAt + (this.link.unix ? quiet : lingerMillis)
  }

  abort(): void {
    if (this.gone) return
    // the peer of a Unix socket is only told if something of its own was thrown away
    if (!this.link.unix || this.incoming.unread) return this.reset()
    this.ended = true
    this.out.cut()
    this.letGo(true)
    this.lingersUntil = -Infinity
  }

  /** As `abort`, and the peer is told in any case. */
  reset(): void {
    if (this.gone) return
    const { severed } = this.out
    this.letGo(severed)
    this.out.reset(peerReset)
    if (severed) this.lingersUntil = -Infinity
  }

  /** A turn of this network's own is one that a `TestClock` waits for. */
  atEndOfTurn(task: () => void): void {
    this.link.eventQueue.endOfTurn(() => {
      if (!this.crashed) task()
    })
  }

  startTls(options: StartTlsOptions, leftover: ReadonlyArray<Uint8Array>): Effect.Effect<Transport, TlsFailed> {
    return Effect.suspend(() => {
      // what comes meanwhile waits for the handler that attaches next
      this.incoming.pause()
      this.handler = nobody
      this.attached = false
      return this.link.loadTls.pipe(
        Effect.onInterrupt(() => Effect.sync(() => this.abort())),
        Effect.flatMap((tls) => tls.startTls(this, options, this.host, { leftover }))
      )
    })
  }

  // ------------------------------------------------------------------------
  // the machine that it is on
  // ------------------------------------------------------------------------

  get isGone(): boolean {
    return this.gone
  }

  /** The program is gone, in the middle of whatever it did. Its system resets the connection, or is gone as well. */
  crash(fate: "reset" | "vanish"): void {
    this.crashed = true
    if (fate === "reset") return this.reset()
    this.silent = true
    this.out.forget()
    if (!this.gone) this.letGo(false)
  }

  /** The machine is up again, and knows nothing of the connection. */
  revive(): void {
    if (!this.silent) return
    this.silent = false
    this.resetLost()
  }

  /** The peer was not told of a reset: it is, if it sends anything. */
  resetLost(): void {
    this.lingersUntil = -Infinity
    this.incoming.answer()
  }

  /** What this waits for, for people. */
  get waiting(): string {
    if (this.gone) return this.crashed ? "crashed" : "closed"
    const { handler } = this
    if (!(handler instanceof Session)) return this.attached ? "open" : "nobody has taken it yet"
    const { reads, writes } = handler
    const parts = reads.operation === undefined ? [] : [`${reads.operation.name} waits`]
    if (writes.buffered > 0) parts.push(`${writes.buffered} B are unsent`)
    return parts.length === 0 ? "open" : parts.join(", ")
  }

  /** `taking`: what still comes is taken, and thrown away. */
  private letGo(taking: boolean): void {
    this.gone = true
    this.goneSince = this.link.eventQueue.now
    this.handler = nobody
    this.incoming.abandon(taking)
    this.link.wasLetGo()
  }

  // ------------------------------------------------------------------------
  // what the two directions call
  // ------------------------------------------------------------------------

  wasDrained(): void {
    this.handler.onDrain()
    this.finishIfOver()
  }

  received(bytes: Uint8Array): void {
    this.handler.onData(bytes)
  }

  peerEnded(): void {
    this.endSeen = true
    this.finishIfOver()
    this.tellEnd()
  }

  resetSeen(failure: Failure): void {
    if (this.endSeen || this.incoming.hasEnd) this.refuse()
    else this.failWriting(failure)
  }

  private failWriting(failure: Failure): void {
    this.writeFailure = failure
    this.handler.onWriteFailure(failure)
  }

  wasReset(failure: Failure): void {
    if (this.endSeen) this.refuse()
    else this.finish(failure)
  }

  /** Nobody reads behind the end: a reset there is noticed by what is sent, as on real sockets. */
  private refuse(): void {
    this.refusing = true
    if (this.out.holding) this.wasBroken()
  }

  /** The peer has sent something to what has let go. */
  strayed(peer: LinkEnd): void {
    if (this.silent) return
    const { now } = this.link.eventQueue
    if (now < this.lingersUntil) {
      // a peer that speaks is listened to for longer
      this.lingersUntil = Math.min(this.closedAt + lingerMillis, Math.max(this.lingersUntil, now + quietMillis))
      return
    }
    if (this.link.unix) peer.wasBroken()
    else this.out.reset(peerReset)
  }

  /** Nobody takes what this end sends. */
  private wasBroken(): void {
    if (this.broken || this.gone) return
    this.broken = true
    this.failWriting(brokenPipe)
    if (this.endSeen) this.finish(brokenPipe)
  }

  private finishIfOver(): void {
    if (this.endSeen && this.ended && this.out.ended) this.link.eventQueue.soon(() => this.finish(undefined))
  }

  private finish(failure: Failure | undefined): void {
    this.tellEnd()
    // whoever is told of the end may let go
    if (this.gone) return
    const { handler } = this
    this.over = { failure }
    this.letGo(failure === undefined)
    handler.onClose(failure)
  }
}
