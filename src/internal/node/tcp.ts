/** The transport of a TCP or Unix connection, which can be turned into an encrypted one. */
import * as Effect from "effect/Effect"
import type { TlsFailed } from "../../StreamError.ts"
import type { StartTlsOptions } from "../../Tls.ts"
import type * as Net from "node:net"
import type { Handler, Transport } from "../../Transport.ts"
import { nobody, type Place } from "../transport/duplex.ts"
import { loadedFor, type LoadTls } from "../transport/tlsEngine.ts"
import { unsentOf } from "./nodeInternals.ts"
import { NodeTransport, readsDirectly } from "./socket.ts"

export class TcpTransport extends NodeTransport {
  /** Whom this connected to, by name. */
  private readonly host: string | undefined
  /** What encrypts, if it writes to the socket itself. */
  engine: Net.Socket | undefined = undefined
  /** What arrived between two handlers, for the second. */
  private meanwhile: Array<Uint8Array> | undefined = undefined

  private readonly loadTls: LoadTls

  constructor(socket: Net.Socket, place: Place, loadTls: LoadTls, host?: string) {
    super(socket, place)
    this.loadTls = loadTls
    this.host = host
  }

  get socket(): Net.Socket {
    return this.duplex
  }

  protected override shuttingDown(socket: Net.Socket): boolean {
    return super.shuttingDown(socket) || (this.engine !== undefined && super.shuttingDown(this.engine))
  }

  override attach(handler: Handler): void {
    super.attach(handler)
    const { meanwhile } = this
    this.meanwhile = undefined
    if (meanwhile !== undefined) for (const bytes of meanwhile) handler.onData(bytes)
  }

  // what is accepted, or was connected, is paused until there is a transport
  protected override get hearsLate(): boolean {
    return readsDirectly
  }

  override pushed(chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
    const { socket } = this
    if (chunk === null && this.flowing && socket.readableLength === 0 && this.engine === undefined) {
      // now, and not when the stream says so: a connection that ends with its peer has no more use for the stream
      this.inputEnded()
      if (socket.destroyed) return false
    }
    return super.pushed(chunk, encoding)
  }

  override lend(): void {
    // what the engine has put itself in front of is the engine's
    if (this.engine === undefined) super.lend()
  }

  /** What encrypts goes with it: nobody may have taken it over yet. */
  override abort(): void {
    const above: Handler & { abandon?(): void } = this.handler
    super.abort()
    above.abandon?.()
  }

  override close(unread?: boolean): void {
    if (!this.readEnded || this.holding || this.engine !== undefined) return super.close(unread)
    // Nothing is left that could arrive, and the system goes on sending what it was given, with the end of the output
    // behind it: there is nothing to wait for.
    this.handler = nobody
    this.socket.destroy()
  }

  get unsent(): number | undefined {
    // a system that refuses bytes holds none of them
    return this.writeFailed ? undefined : unsentOf(this.duplex)
  }

  startTls(options: StartTlsOptions, leftover: ReadonlyArray<Uint8Array>): Effect.Effect<Transport, TlsFailed> {
    return Effect.suspend(() => {
      // the end and the loss of the connection are told to the handler that attaches next
      const meanwhile: Array<Uint8Array> = []
      this.meanwhile = meanwhile
      this.handler = { ...nobody, onData: (bytes) => void meanwhile.push(bytes) }
      this.pause()
      return loadedFor("startTls", this.loadTls).pipe(
        Effect.onInterrupt(() => Effect.sync(() => this.abort())),
        Effect.flatMap((tls) =>
          tls.startTls(this, options, this.host, { leftover, stoppable: options.stoppable ?? true })
        )
      )
    })
  }
}
