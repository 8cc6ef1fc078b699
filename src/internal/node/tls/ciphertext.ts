/**
 * The encrypted side of a TLS connection: a transport below, and Node's TLS
 * engine above, which takes this for its socket.
 *
 * What arrives waits here, still encrypted, until the engine may have it, and is
 * given to it one record at a time. The engine deals with a record before the
 * call returns, so that it is known after each whether it was the last one of
 * TLS; what lies behind that one is no TLS, and is kept. The end and the loss of
 * the transport wait behind the bytes that arrived before.
 *
 * It never ends, closes or aborts the transport on its own: all of that is for the
 * owner of both. Engines differ in when they call a write done, whether they end
 * the stream below behind their own end, and whether they let go of it at the
 * peer's. So what has been sent is known here: it is what the transport has taken.
 */
import * as Effect from "effect/Effect"
import { Duplex } from "node:stream"
import type * as NodeTls from "node:tls"
import type * as Tls from "../../../Tls.ts"
import type { Failure, Handler, Transport } from "../../../Transport.ts"
import { ClientHello } from "./clientHello.ts"

/** The length of a TLS record's header: type, version, length. */
const headerBytes = 5

/** Is told of what goes on below, as far as that matters above. */
export interface CiphertextListener {
  /** The engine has dealt with a piece. */
  readonly onGiven?: () => void
  /** The peer has ended the transport's output; the engine was given everything. */
  readonly onTransportEnd?: () => void
  /** The transport is gone; the engine was given everything. Nothing more is told. */
  readonly onTransportClose?: (failure: Failure | undefined) => void
  /** The transport can send no more; what arrived before is still given. */
  readonly onWriteFailure?: (failure: Failure) => void
  /** The peer has ended or broken the transport, however much is still unread. */
  readonly onLeft?: (failure: Failure | undefined) => void
}

/** What stands between a transport and the engine during the handshake. */
export interface Ciphertext {
  listener: CiphertextListener
  /** What the engine takes for its socket. */
  readonly stream: Duplex
  /** Why the transport broke, or cannot send. */
  readonly failure: Failure | undefined
  /** How many bytes have arrived. */
  readonly heard: number
  /** The name that a client asks for, from what it says before there is an engine. Absent where that cannot be seen. */
  readonly nameAsked?: Effect.Effect<string | undefined>
  /** To be called in the very call in which the engine is made. */
  engage(engine: NodeTls.TLSSocket): void
  /** From now on the engine gets what arrives; not from within this call. */
  flow(): void
  /** Nobody is told of anything any more, and what the engine still says goes nowhere. */
  forget(): void
  /** What the engine takes for its socket is gone, and the engine with it. */
  abandon(): void
  /** To be called in the very call in which the engine says that the handshake is done. */
  secured(engine: NodeTls.TLSSocket, options: Tls.CommonOptions): Transport
}

/** Over any transport. TLS may end and the transport go on: what follows the last record is kept. */
export abstract class CiphertextStream extends Duplex implements Ciphertext, Handler {
  readonly transport: Transport
  readonly stream = this
  /** Whether the session may go on in plain text. */
  readonly stoppable: boolean
  listener: CiphertextListener = {}
  /** Whether the transport is gone. What arrived before can still be given. */
  transportClosed = false
  /** Whether the peer has ended the transport's output, and it did not merely break. */
  endedInOrder = false
  /** Why it broke, or cannot send. */
  failure: Failure | undefined = undefined
  heard = 0
  /** Set once the engine has seen the last record: what follows is kept. */
  tlsEnded = false
  /** Whether what the engine says of a piece is known only once the turn is over: each piece has one of its own. */
  turnForEach = false
  /** Whether the end of the engine's output is the transport's: it is not before the owner has said so, nor if it goes on in plain text. */
  endsTransport = false

  /** What arrived and was not given yet, and where in the first of it the next record goes on. */
  private readonly queue: Array<Uint8Array> = []
  private position = 0
  /** Of the record that is being given: how much of its header was, and what is still to come behind that. */
  private headerGiven = 0
  private recordLeft = 0

  /** Looks at what arrives, before anything is given. Answers whether it has seen enough. */
  private look: ((arrived: ReadonlyArray<Uint8Array>) => boolean) | undefined = undefined
  private flowing = false
  /** Whether the engine has had the tick in which it starts. */
  private started = false
  private giving = false
  /** The turn of the last piece is not over. */
  private turnGoesOn = false
  private transportPaused = false
  private transportEnded = false
  private endTold = false
  private closeTold = false
  /** Nobody listens, and what the engine says is not heard. */
  private isReleased = false
  private discarding = false
  private sent: ((error?: Error | null) => void) | undefined = undefined
  /** What is to be done once the transport has taken everything. */
  private readonly whenTaken: Array<() => void> = []

  constructor(transport: Transport, leftover: ReadonlyArray<Uint8Array>, stoppable = true) {
    super({ allowHalfOpen: true, decodeStrings: true })
    this.transport = transport
    this.stoppable = stoppable
    for (const bytes of leftover) this.queue.push(bytes)
  }

  // ------------------------------------------------------------------------
  // what the transport calls
  // ------------------------------------------------------------------------

  onData(bytes: Uint8Array): void {
    this.heard += bytes.length
    if (this.discarding || bytes.length === 0) return
    this.queue.push(bytes)
    if (this.look !== undefined && !this.look([bytes])) return
    this.give()
  }

  onEnd(): void {
    if (this.transportEnded || this.isReleased) return
    this.transportEnded = true
    this.endedInOrder = true
    this.listener.onLeft?.(undefined)
    this.give()
  }

  onDrain(): void {
    const sent = this.sent
    this.sent = undefined
    if (sent !== undefined) this.handedOver(sent)
  }

  onWriteFailure(failure: Failure): void {
    this.failure ??= failure
    // what the engine still wants to say goes nowhere
    this.onDrain()
    this.listener.onWriteFailure?.(failure)
  }

  onClose(failure: Failure | undefined): void {
    if (this.transportClosed) return
    this.failure ??= failure
    this.transportEnded = true
    this.transportClosed = true
    this.onDrain()
    if (this.isReleased) return
    this.listener.onLeft?.(this.failure)
    this.give()
  }

  // ------------------------------------------------------------------------
  // what the owner calls
  // ------------------------------------------------------------------------

  readonly nameAsked: Effect.Effect<string | undefined> = Effect.callback((resume) => {
    const hello = new ClientHello()
    this.look = (arrived) => {
      const asked = hello.add(arrived)
      if (asked === undefined) return false
      this.look = undefined
      resume(Effect.succeed(asked.name))
      return true
    }
    if (!this.look(this.queue)) this.resumeTransport()
    return Effect.sync(() => {
      this.look = undefined
    })
  })

  engage(): void {}

  abstract secured(engine: NodeTls.TLSSocket, options: Tls.CommonOptions): Transport

  /** From now on the engine gets what arrives; not from within this call. */
  flow(): void {
    if (this.flowing) return
    this.flowing = true
    process.nextTick(() => {
      // Not every engine starts before the tick behind the call in which it is made, nor survives that it finds wrong then
      // what it was given by then. Ours is behind that one.
      this.started = true
      this.give()
    })
  }

  /** The engine gets nothing more until `flow`. */
  hold(): void {
    this.flowing = false
    this.pauseTransport()
  }

  /** What arrives is thrown away from now on; the engine may still finish what it says. */
  discard(): void {
    this.discarding = true
    this.queue.length = 0
    this.resumeTransport()
  }

  /** Nobody is told of anything any more, and what the engine still says goes nowhere. */
  forget(): void {
    this.isReleased = true
    this.discarding = true
    this.listener = {}
    this.queue.length = 0
  }

  /** As `forget`, but what arrives from here on is kept until it is taken. */
  letGo(): void {
    this.isReleased = true
    this.listener = {}
    this.pauseTransport()
  }

  /** What arrived behind the end of TLS. */
  takeKept(): ReadonlyArray<Uint8Array> {
    const kept = this.queue.splice(0)
    if (kept.length > 0 && this.position > 0) kept[0] = kept[0]!.subarray(this.position)
    this.position = 0
    return kept
  }

  /** Does something once the transport has taken all that the engine has said by then. */
  afterAll(task: () => void): void {
    if (this.writableLength === 0) task()
    else this.whenTaken.push(task)
  }

  /**
   * To be called once the engine has ended its output. Ends that of the stream, which not every engine does, behind all
   * that the engine has still to say, and then that of the transport, if it is to be ended.
   */
  finish(then: () => void): void {
    const finished = () => {
      if (this.endsTransport) this.endTransport()
      then()
    }
    if (this.writableFinished) return finished()
    if (this.writableEnded) return void this.once("finish", finished)
    this.afterAll(() =>
      // its last word may follow what was sent before it
      setImmediate(() => {
        if (this.writableLength > 0) this.finish(then)
        else this.end(finished)
      })
    )
  }

  private endTransport(): void {
    if (!this.isReleased) this.transport.end()
  }

  // ------------------------------------------------------------------------
  // from the transport to the engine
  // ------------------------------------------------------------------------

  /** Whether the engine may have what has arrived. */
  private get open(): boolean {
    return this.flowing && this.started
  }

  private give(): void {
    if (this.isReleased) return this.pauseTransport()
    if (this.giving || this.turnGoesOn) return
    this.giving = true
    while (this.open && !this.tlsEnded && this.queue.length > 0 && !this.turnGoesOn) {
      const piece = this.nextPiece()
      this.emit("data", piece)
      this.listener.onGiven?.()
      if (this.turnForEach) this.awaitTurn()
    }
    this.giving = false
    // the listener may have let go
    if (this.isReleased) return
    if (this.queue.length > 0) this.pauseTransport()
    else if (this.open) this.resumeTransport()
    if (!this.turnGoesOn) this.tellEnd()
  }

  private awaitTurn(): void {
    this.turnGoesOn = true
    setImmediate(() => {
      this.turnGoesOn = false
      this.give()
    })
  }

  /** Whether this is within a call in which the engine is given a piece. */
  get isGiving(): boolean {
    return this.giving
  }

  /** Removes what is there of the record at the front of the queue. */
  private nextPiece(): Buffer {
    const chunk = this.queue[0]!
    const start = this.position
    let at = start
    while (at < chunk.length) {
      if (this.headerGiven < headerBytes) {
        const byte = chunk[at++]!
        this.headerGiven++
        // the last two bytes of the header are the length of what follows it
        if (this.headerGiven === headerBytes - 1) this.recordLeft = byte * 256
        else if (this.headerGiven === headerBytes) this.recordLeft += byte
      } else {
        const part = Math.min(this.recordLeft, chunk.length - at)
        this.recordLeft -= part
        at += part
      }
      if (this.headerGiven === headerBytes && this.recordLeft === 0) {
        this.headerGiven = 0
        break
      }
    }
    this.position = at
    if (at === chunk.length) {
      this.queue.shift()
      this.position = 0
    }
    return Buffer.from(chunk.buffer, chunk.byteOffset + start, at - start)
  }

  /** Tells of the transport's end and loss, once there is nothing in front of them. */
  private tellEnd(): void {
    const behind = this.queue.length > 0 && !this.tlsEnded
    if (!this.transportEnded || behind || !this.open) return
    // an error that the engine has found in what it was given is told of in the next tick, and comes first
    process.nextTick(() => {
      if (!this.endTold) {
        this.endTold = true
        this.listener.onTransportEnd?.()
      }
      if (this.transportClosed && !this.closeTold) {
        this.closeTold = true
        this.listener.onTransportClose?.(this.failure)
      }
    })
  }

  private pauseTransport(): void {
    if (this.transportPaused) return
    this.transportPaused = true
    this.transport.pause()
  }

  private resumeTransport(): void {
    if (!this.transportPaused) return
    this.transportPaused = false
    this.transport.resume()
  }

  // ------------------------------------------------------------------------
  // what the engine calls
  // ------------------------------------------------------------------------

  // The owner says how fast the engine is given what arrives, and not the engine.
  override pause(): this {
    return this
  }
  override resume(): this {
    return this
  }
  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.send([chunk], callback)
  }

  override _writev(chunks: ReadonlyArray<{ readonly chunk: Buffer }>, callback: (error?: Error | null) => void): void {
    this.send(
      chunks.map(({ chunk }) => chunk),
      callback
    )
  }

  private send(chunks: ReadonlyArray<Uint8Array>, callback: (error?: Error | null) => void): void {
    if (this.isReleased || this.failure !== undefined || this.transport.write(chunks)) this.handedOver(callback)
    else this.sent = callback
  }

  private handedOver(callback: (error?: Error | null) => void): void {
    callback()
    if (this.whenTaken.length === 0 || this.writableLength > 0) return
    for (const task of this.whenTaken.splice(0)) task()
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.endsTransport) this.endTransport()
    callback()
  }

  // Nor does the engine say when it is over: what it has said may still wait.
  override destroy(): this {
    return this
  }

  abandon(): void {
    super.destroy()
  }
}
