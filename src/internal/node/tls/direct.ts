/**
 * TLS right on a socket of the system: Node's engine reads from it and writes to
 * it without a detour, which is half of what TLS costs. In return the engine
 * cannot be taken off again, and so there is no way back to plain text.
 */
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import type * as NodeTls from "node:tls"
import type * as Tls from "../../../Tls.ts"
import type { Failure, Handler, Transport } from "../../../Transport.ts"
import type { Ciphertext, CiphertextListener } from "./ciphertext.ts"
import type { TcpTransport } from "../tcp.ts"
import { nobody } from "../../transport/duplex.ts"
import { tlsKindOf, toFailure } from "../../transport/failure.ts"
import { peerReset } from "../../transport/resetToLoss.ts"
import { finToEnd } from "../../transport/finToEnd.ts"
import { tlsInfo } from "./info.ts"
import { type EngineHandle, engineHandleOf, readsAlready } from "../nodeInternals.ts"
import { NodeTransport } from "../socket.ts"
import { maxAhead } from "../../base/defaults.ts"

const nothing = (): void => {}

/** Watches the socket until the engine does, and keeps what arrives for it. */
export class DirectCiphertext implements Ciphertext, Handler {
  readonly stream: Duplex
  listener: CiphertextListener = {}
  failure: Failure | undefined = undefined
  private readonly transport: TcpTransport
  private readonly ahead: Array<Uint8Array>
  private size = 0
  private engine: NodeTls.TLSSocket | undefined = undefined

  constructor(transport: TcpTransport, leftover: ReadonlyArray<Uint8Array>) {
    this.transport = transport
    this.stream = transport.socket
    this.ahead = [...leftover]
  }

  /** Also what the engine has read. */
  get heard(): number {
    return this.transport.socket.bytesRead
  }

  onData(bytes: Uint8Array): void {
    this.ahead.push(bytes)
    this.size += bytes.length
    if (this.size > maxAhead) this.transport.pause()
  }

  onEnd(): void {
    this.listener.onLeft?.(undefined)
    this.listener.onTransportEnd?.()
  }

  onDrain(): void {}

  onWriteFailure(failure: Failure): void {
    this.failure ??= failure
  }

  onClose(failure: Failure | undefined): void {
    this.failure ??= failure
    this.listener.onLeft?.(this.failure)
    this.listener.onTransportClose?.(this.failure)
  }

  engage(engine: NodeTls.TLSSocket): void {
    this.engine = engine
    this.transport.engine = engine
    // From here on the engine reads. What the socket has kept comes to `onData` now: the engine would be given it in front of
    // what came before.
    this.transport.pause()
    while (this.transport.socket.read() !== null);
    engine.on("end", () => this.onEnd())
  }

  flow(): void {
    process.nextTick(() => {
      const { engine } = this
      for (const bytes of this.ahead.splice(0)) if (engine !== undefined) engineHandleOf(engine)?.receive(bytes)
    })
  }

  forget(): void {
    this.listener = {}
    this.ahead.length = 0
  }

  abandon(): void {
    this.stream.destroy()
  }

  secured(engine: NodeTls.TLSSocket, options: Tls.CommonOptions): Transport {
    this.forget()
    return new DirectTlsTransport(engine, this.transport, options)
  }
}

class DirectTlsTransport extends NodeTransport {
  private readonly below: TcpTransport
  private readonly lenient: boolean
  /** The peer has said that it ends. */
  private notified = false
  /** What the engine has found wrong with what it read. */
  private fault: unknown = undefined
  /** It was told of, and the connection is being closed. */
  private ending = false
  /** The input has ended, and whether in good order is known in two turns. */
  private endWaits = false
  /** How every socket reads. */
  private readonly read: Net.Socket["_read"]

  constructor(engine: NodeTls.TLSSocket, below: TcpTransport, options: Tls.CommonOptions) {
    super(engine, { info: { ...below.info, tls: tlsInfo(engine) } })
    this.below = below
    this.lenient = options.allowTruncation === true
    // Nothing may be read before there is somebody to read it: a connection that breaks takes with it what was read ahead.
    engine.pause()
    this.read = engine._read
    engine._read = nothing
    const handle = engineHandleOf(engine)
    if (handle !== null) {
      handle.reading = false
      handle.readStop()
    }
    const { _final } = engine
    engine._final = (callback) => this.endOutput(_final, callback)
    // all that the engine finds wrong, of which a client's says it once more
    engine.on("_tlsError", (error: unknown) => {
      this.fault ??= error
      // not from inside the engine, nor from inside a call made to this transport
      process.nextTick(() => this.failed())
    })
  }

  override pushed(chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
    if (chunk === null && !this.notified && endsTls(this.duplex)) {
      this.notified = true
      // whatever else arrives is no TLS, and the engine would keep it
      engineHandleOf(this.duplex)?.readStop()
    }
    return super.pushed(chunk, encoding)
  }

  override attach(handler: Handler): void {
    // not deleted, which would make the engine an object that is slow to use
    this.duplex._read = this.read
    super.attach(handler)
    // the engine has sent something at the end of the handshake, and a program that only writes would wait for ever behind it
    const handle = engineHandleOf(this.duplex)
    if (handle !== null && keepsUnsent(handle)) inTwoTurns(() => this.checkSending())
    if (!this.duplex.destroyed) this.duplex._read(0)
    if (this.fault !== undefined) process.nextTick(() => this.failed())
  }

  override broke(error: unknown): void {
    // what the engine finds wrong does not close it
    if (this.duplex.destroyed) super.broke(error)
  }

  /** What arrives is no TLS, or cannot be trusted: the peer is told, as far as it listens, and left. */
  private failed(): void {
    const { duplex, handler } = this
    // one that broke has said so itself
    if (this.ending || handler === nobody || this.linger !== undefined || duplex.destroyed) return
    // what came before, and waits: reading it delivers it
    while (duplex.read() !== null);
    const failure = toFailure(this.fault)
    this.ending = true
    // behind the alert that the engine has sent
    this.close()
    handler.onClose({ ...failure, tls: tlsKindOf(failure.code) })
  }

  // ------------------------------------------------------------------------
  // what the engine sends of itself: tickets, close_notify, updates of keys
  //
  // The system tells of a reset once, and if it tells such a write of it nobody hears: the engine keeps the error to itself,
  // and what is read then looks like the end.
  // ------------------------------------------------------------------------

  /**
   * Finds out whether the engine could not send something of its own, and has writing fail if so. To be asked two turns
   * later: what it has sent it forgets at the end of a turn, or is told of in the next, and what it could not send stays.
   */
  private checkSending(): void {
    const handle = engineHandleOf(this.duplex)
    if (handle === null || !keepsUnsent(handle)) return
    const lost = hasLostPeer(handle)
    if (lost === false) return
    const code = lost === true ? "ECONNRESET" : "EPIPE"
    this.failWriting(Object.assign(new Error(`write ${code}`), { code, syscall: "write" }))
  }

  /**
   * Ends TLS and the output, behind all that the engine still has to send itself: it would end the output of the socket
   * even before that, such as tickets, and the close_notify would wait behind it, and then be too late.
   */
  private endOutput(end: Net.Socket["_final"], callback: (error?: Error | null) => void, again = false): void {
    const { duplex } = this
    const handle = engineHandleOf(duplex)
    if (handle === null) return callback()
    const checked = (error?: Error | null) => {
      this.checkSending()
      callback(error)
    }
    if (hasLostPeer(handle) === true) {
      // There is nobody to say goodbye to, and saying it would hear of the reset in the place of the next read.
      if (keepsUnsent(handle)) inTwoTurns(checked)
      else callback()
      return
    }
    if (handle.writeQueueSize > 0) {
      const goOn = () => {
        if (again) this.checkSending()
        if (this.writeFailed) callback()
        else this.endOutput(end, callback, true)
      }
      if (again) setTimeout(setImmediate, 5, goOn)
      else setImmediate(goOn)
      return
    }
    end.call(duplex, (error) => {
      if ((engineHandleOf(duplex)?.writeQueueSize ?? 0) === 0) return callback(error)
      inTwoTurns(() => checked(error))
    })
  }

  override inputEnded(): void {
    const handle = engineHandleOf(this.duplex)
    const doubtful = handle !== null && hasLostPeer(handle) === true && keepsUnsent(handle)
    if (this.notified || !doubtful || this.isReset()) return super.inputEnded()
    this.endWaits = true
    inTwoTurns(() => {
      if (!this.endWaits) return
      this.endWaits = false
      this.checkSending()
      super.inputEnded()
    })
  }

  override streamClosed(): void {
    // what is not known to be the end is none
    if (this.endWaits) this.failure ??= peerReset
    this.endWaits = false
    super.streamClosed()
  }

  /** The end of the connection is not the end of TLS: somebody may have cut it. */
  protected override endIsReset(): boolean {
    if (this.notified) return false
    if (super.endIsReset()) return true
    // to a side that has closed it is all the same, and what was sent may still be on its way
    if (this.handler === nobody) return false
    const loss = finToEnd({ closeNotify: false, allowTruncation: this.lenient })
    if (loss === undefined) return false
    // also where a write has failed before: what is read was not reset
    this.failure = loss
    this.reset()
    return true
  }

  protected override reset(): void {
    // in good order is how it ends already, in bounded time
    if (this.ending) return
    // No good end before the reset. It takes the engine with it, and it alone may: this is possibly called from inside the
    // engine, which does not survive being destroyed there.
    this.below.abort()
  }
}

/** Whether there is something that the engine wants to send, and the system has not been given. */
const keepsUnsent = (handle: EngineHandle): boolean => handle.writeQueueSize > 0 && handle._parent.writeQueueSize === 0

/** Whether the other end of the connection is gone. Not known of a Unix socket, where no write hears of a reset. */
const hasLostPeer = ({ _parent: socket }: EngineHandle): boolean | undefined => {
  const answer = socket.getpeername?.({})
  return answer === undefined ? undefined : answer !== 0
}

const inTwoTurns = (task: () => void): void => void setImmediate(setImmediate, task)

/**
 * Whether what the engine calls the end is that of TLS, and not that of the connection; to be asked in the very call.
 *
 * The engine says the same of both. But the system does not read on behind the end of a connection, and does behind a
 * `close_notify`, which is a read like any other; and a second request to read is answered with an error.
 */
const endsTls = (engine: Net.Socket): boolean => {
  const handle = engineHandleOf(engine)
  if (handle === null) return false
  // what is not read cannot end
  if (!handle.reading) return true
  const socket = handle._parent
  const started = socket.readStart()
  // nothing but this one answer says so: whatever else is wrong with the socket is not the peer's word that it ends
  if (started !== 0) return readsAlready(started)
  socket.readStop()
  return false
}
