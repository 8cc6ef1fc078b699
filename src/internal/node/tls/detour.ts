/**
 * The transport of a TLS connection whose handshake is done.
 *
 * Three things stand on top of each other: the bare transport; the ciphertext, which
 * feeds what arrives there to the engine, a record at a time; and Node's engine,
 * a `TLSSocket` that is used for nothing but to encrypt and decrypt. This owns
 * all three. What the engine decrypts is taken from it before it could be
 * buffered, so that nothing waits above the ciphertext: to pause is to stop feeding.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as NodeTls from "node:tls"
import type * as Tls from "../../../Tls.ts"
import type { ConnectionInfo, Failure, Handler, Transport } from "../../../Transport.ts"
import * as Deadline from "../../runtime/deadline.ts"
import { StreamTimeout, TlsFailed } from "../../base/errors.ts"
import { nobody } from "../../transport/duplex.ts"
import { tlsKindOf, toFailure } from "../../transport/failure.ts"
import { finToEnd } from "../../transport/finToEnd.ts"
import * as Defaults from "../../base/defaults.ts"
import { CiphertextStream } from "./ciphertext.ts"
import { tlsInfo } from "./info.ts"
import { has } from "../nodeInternals.ts"
import * as Endpoint from "../../base/endpoint.ts"

export const handshakeTimeout = (options: Tls.CommonOptions): Duration.Duration =>
  Duration.fromInputUnsafe(options.handshakeTimeout ?? Defaults.handshakeTimeout)

/** What goes past the engine's socket, and what becomes of it once the handshake is done. */
export class Detour extends CiphertextStream {
  override secured(engine: NodeTls.TLSSocket, options: Tls.CommonOptions): Transport {
    return new TlsTransport(engine, this, options)
  }
}

/** What `stopTls` answers. */
type Stopped = Effect.Success<ReturnType<NonNullable<Transport["stopTls"]>>>

class TlsTransport implements Transport {
  readonly info: ConnectionInfo
  private readonly socket: NodeTls.TLSSocket
  private readonly ciphertext: CiphertextStream
  private readonly lenient: boolean
  /** How long the peer may take to agree to the end of TLS. */
  private readonly timeout: Duration.Duration
  private handler: Handler = nobody
  private attached = false
  /** Nothing more is told to anybody. */
  private over = false
  /** The handler was told that the connection is lost. */
  private loss: { readonly failure: Failure | undefined } | undefined = undefined
  /** The transport is being closed. */
  private ending = false
  /** The peer has said that it ends, and was not merely cut off. */
  private notified = false
  private endTold = false
  /** What the engine has found wrong with what it was given. */
  private fault: unknown = undefined
  /** What the engine has decrypted of the piece it was given. */
  private readonly decrypted: Array<Uint8Array> = []

  /** To be made in the very call in which the engine says that the handshake is done. */
  constructor(socket: NodeTls.TLSSocket, ciphertext: CiphertextStream, options: Tls.CommonOptions) {
    this.info = { ...ciphertext.transport.info, tls: tlsInfo(socket) }
    this.socket = socket
    this.ciphertext = ciphertext
    this.lenient = options.allowTruncation === true
    this.stopTls = ciphertext.stoppable ? () => this.stop() : undefined
    this.timeout = handshakeTimeout(options)
    // nothing may be read before there is somebody to read it
    ciphertext.hold()
    ciphertext.listener = {
      onGiven: () => this.deliver(),
      onLeft: () => {
        if (this.attached && ciphertext.transportClosed) ciphertext.flow()
      },
      onTransportEnd: () => this.ended(),
      onTransportClose: (failure) => this.closed(failure),
      onWriteFailure: (failure) => this.handler.onWriteFailure(failure)
    }
    // What a socket calls with what its engine decrypts, and with `null` for a close_notify. (Nobody tells the engine
    // of the end of the transport.)
    if (has("decrypt")) {
      socket.push = (chunk: Uint8Array | null): boolean => {
        if (chunk === null) this.inputEnded()
        else this.decrypted.push(chunk)
        return true
      }
    } else this.listen()
    // on a server the engine reports only here what it finds wrong
    const onError = (error: unknown) => {
      this.fault ??= error
      // not from inside the engine, nor from inside a call made to this transport
      process.nextTick(() => this.deliver())
    }
    socket.on("_tlsError", onError)
    socket.on("error", onError)
  }

  /** The public way to the same: what the engine says of a record is known once its turn is over. */
  private listen(): void {
    const { ciphertext, socket } = this
    ciphertext.turnForEach = true
    const said = () => {
      // within a call from the ciphertext that is done behind it
      if (!ciphertext.isGiving) this.deliver()
    }
    socket.on("data", (chunk: Uint8Array) => {
      this.decrypted.push(chunk)
      said()
    })
    socket.on("end", () => {
      this.inputEnded()
      said()
    })
  }

  /** The engine reads no more: for the peer's close_notify, unless it has found something wrong. */
  private inputEnded(): void {
    if (this.fault === undefined) this.notified = true
  }

  attach(handler: Handler): void {
    this.attached = true
    this.handler = handler
    const { ciphertext } = this
    ciphertext.flow()
    // what went wrong in the meantime: the tickets could not be sent
    const { failure } = ciphertext
    if (failure !== undefined && !ciphertext.transportClosed)
      process.nextTick(() => this.handler.onWriteFailure(failure))
    // what the engine found wrong, or has said of itself
    if (this.fault !== undefined || this.decrypted.length > 0 || this.notified) process.nextTick(() => this.deliver())
  }

  // ------------------------------------------------------------------------
  // what arrives
  // ------------------------------------------------------------------------

  private deliver(): void {
    if (!this.attached) return
    for (const bytes of this.decrypted.splice(0)) this.handler.onData(bytes)
    if (this.notified) this.ciphertext.tlsEnded = true
    if (this.notified && !this.endTold) {
      this.endTold = true
      this.handler.onEnd()
    }
    if (this.fault !== undefined) this.failed(this.fault)
  }

  /** The transport has ended. Unless TLS did before, somebody may have cut it. */
  private ended(): void {
    if (this.endTold) return
    // what broke is said by the loss that follows
    const { endedInOrder, failure, transportClosed } = this.ciphertext
    if (!endedInOrder && transportClosed && failure !== undefined) return
    const loss = finToEnd({ closeNotify: false, allowTruncation: this.lenient })
    const { handler } = this
    if (loss === undefined) {
      this.endTold = true
      return handler.onEnd()
    }
    this.abort()
    this.lost(handler, loss)
  }

  private closed(failure: Failure | undefined): void {
    const { handler } = this
    this.letGo()
    this.lost(handler, failure)
  }

  private lost(handler: Handler, failure: Failure | undefined): void {
    this.loss = { failure }
    handler.onClose(failure)
  }

  /** What arrives is no TLS, or cannot be trusted: the peer is told, as far as it listens, and left. */
  private failed(error: unknown): void {
    if (this.over) return
    const failure = toFailure(error)
    const { handler } = this
    // behind the alert, which some engines send only now
    setImmediate(this.letGoBehindAll())
    this.lost(handler, { ...failure, tls: tlsKindOf(failure.code) })
  }

  pause(): void {
    // a transport that is gone has to be seen, and no more can come than has come
    if (!this.ciphertext.transportClosed) this.ciphertext.hold()
  }

  resume(): void {
    if (!this.over) this.ciphertext.flow()
  }

  // ------------------------------------------------------------------------
  // what is sent
  // ------------------------------------------------------------------------

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    const { ciphertext, socket } = this
    // some engines end their output at the peer's end, and take what is written behind it for sent
    if (ciphertext.writableEnded) {
      process.nextTick(() => this.handler.onWriteFailure({ kind: "BrokenPipe", cause: hasEnded() }))
      return false
    }
    const last = chunks.length - 1
    if (last > 0) socket.cork()
    for (let i = 0; i < last; i++) socket.write(chunks[i]!)
    socket.write(chunks[last]!, (error) => {
      if (error !== null && error !== undefined) return
      // what an engine calls done may have gone no further than the ciphertext
      if (ciphertext.writableLength === 0) this.handedOver()
      else ciphertext.afterAll(() => this.handedOver())
    })
    if (last > 0) socket.uncork()
    return false
  }

  private handedOver(): void {
    // what could not be sent was not
    if (this.ciphertext.failure === undefined) this.handler.onDrain()
  }

  end(): void {
    const { ciphertext, socket } = this
    if (this.over || ciphertext.endsTransport) return
    ciphertext.endsTransport = true
    socket.end(() => ciphertext.finish(nothing))
  }

  // ------------------------------------------------------------------------
  // letting go
  // ------------------------------------------------------------------------

  close(unread?: boolean): void {
    if (this.over) return
    const { ciphertext, socket } = this
    const isSaid = socket.writableFinished || socket.destroyed
    if (isSaid && (ciphertext.writableFinished || ciphertext.failure !== undefined)) {
      this.ending = true
      this.letGo()
      return ciphertext.transport.close(unread)
    }
    // the close_notify has yet to go out
    const letGo = this.letGoBehindAll(unread)
    ciphertext.endsTransport = true
    if (isSaid) ciphertext.finish(letGo)
    else socket.end(() => ciphertext.finish(letGo))
  }

  /**
   * Nobody is told of anything any more, and what arrives is thrown away. Answers what lets go of the transport in good
   * order, once it has taken all that the engine has said: in bounded time, since the peer may not read.
   */
  private letGoBehindAll(unread?: boolean): () => void {
    const { ciphertext } = this
    this.over = true
    this.ending = true
    this.handler = nobody
    let done = false
    const letGo = () => {
      if (done) return
      done = true
      clearTimeout(timer)
      this.letGo()
      ciphertext.transport.close(unread)
    }
    const timer = setTimeout(letGo, Defaults.lingerMillis)
    ciphertext.listener = { onLeft: () => ciphertext.transportClosed && letGo() }
    ciphertext.discard()
    return () => ciphertext.afterAll(letGo)
  }

  abort(): void {
    // in good order is how it ends already, in bounded time
    if (this.ending) return
    const { transport } = this.ciphertext
    this.letGo()
    transport.abort()
  }

  /** From here on the engine is no more, and the transport is not heard of. */
  private letGo(): void {
    this.over = true
    this.handler = nobody
    this.ciphertext.forget()
    this.socket.destroy()
  }

  readonly stopTls: (() => Effect.Effect<Stopped, TlsFailed>) | undefined

  private stop(): Effect.Effect<Stopped, TlsFailed> {
    return Effect.suspend(() =>
      Deadline.timeoutOrElse({
        duration: this.timeout,
        progress: Deadline.growing(() => this.ciphertext.heard),
        next: this.ciphertext.transport.atEndOfTurn?.bind(this.ciphertext.transport),
        orElse: () => {
          this.abort()
          const peer = Endpoint.peerOf(this.info)
          const timeout = new StreamTimeout({ operation: "stopTls", kind: "Handshake", duration: this.timeout, peer })
          return Effect.fail(new TlsFailed({ operation: "stopTls", kind: "Timeout", peer, cause: timeout }))
        }
      })(this.agreed)
    )
  }

  /** Both sides have ended TLS. */
  private get agreed(): Effect.Effect<Stopped, TlsFailed> {
    return Effect.callback((resume) => {
      const { ciphertext, socket } = this
      /** What the peer said in TLS before it agreed. */
      const late: Array<Uint8Array> = []
      let size = 0
      let said = false
      /** Why this side cannot end TLS. Where the peer has, nobody is missing its word, and what it said behind is read. */
      let unsaid: Failure | undefined
      const fail = (failure: Failure | undefined) => {
        this.abort()
        const kind = failure?.tls ?? "Truncated"
        const { cause, code } = failure ?? {}
        const peer = Endpoint.peerOf(this.info)
        resume(Effect.fail(new TlsFailed({ operation: "stopTls", kind, code, peer, cause })))
      }
      const check = () => {
        if (this.over || !said || !this.notified) return
        const { transport } = ciphertext
        ciphertext.letGo()
        this.over = true
        this.handler = nobody
        socket.destroy()
        resume(Effect.succeed({ transport, leftover: () => [...late, ...ciphertext.takeKept()] }))
      }
      // the session goes on in plain text
      ciphertext.endsTransport = false
      this.handler = {
        onData: (bytes) => {
          late.push(bytes)
          size += bytes.length
          if (size > Defaults.maxBeforeStop) fail({ kind: "Unknown", tls: "Handshake", cause: tooMuch() })
        },
        onEnd: () => (this.notified ? check() : fail(unsaid)),
        onDrain: () => {},
        onWriteFailure: (failure) => {
          unsaid = failure
          said = true
          check()
        },
        onClose: fail
      }
      // that may have come between two steps of the fiber that wants to stop
      if (this.loss !== undefined) return fail(this.loss.failure)
      ciphertext.flow()
      socket.end(() =>
        ciphertext.finish(() => {
          said = true
          check()
        })
      )
      return Effect.sync(() => this.abort())
    })
  }
}

const nothing = (): void => {}

const hasEnded = (): Error => new Error("the TLS engine has ended its output with the peer's")

const tooMuch = (): Error =>
  new Error(`stopTls: the peer sent more than ${Defaults.maxBeforeStop} bytes before it agreed to end TLS`)
