/** The other end of a TLS connection without this library: Node's engine, with what goes over the wire in the test's hands. */
import { Effect, Fiber, type Scope } from "effect"
import type { Connection, Network, StreamError, Tls } from "effect-byte-streams"
import { Duplex } from "node:stream"
import * as NodeTls from "node:tls"
import { authority, certificates } from "./certificates.ts"
import { connectRaw, RawPeer, serveRaw } from "./rawPeer.ts"
import { connectTls, serveTls } from "./tlsPair.ts"
import { eventually, turns, within } from "./wait.ts"

/** What the engine takes for a socket. */
class Wire extends Duplex {
  readonly peer: TlsPeer
  constructor(peer: TlsPeer) {
    super({ allowHalfOpen: true })
    this.peer = peer
  }
  override _read(): void {
    if (!this.peer.stalled) this.peer.wire.socket.resume()
  }
  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.peer.outgoing(chunk)
    callback()
  }
  override _final(callback: (error?: Error | null) => void): void {
    if (!this.peer.keepOpen) this.peer.wire.socket.end()
    callback()
  }
  // not every engine has said its last word before it lets go
  override destroy(error?: Error): this {
    setImmediate(() => super.destroy(error))
    return this
  }
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.peer.keepOpen) this.peer.wire.socket.destroy()
    callback(error)
  }
}

/** What a TLS peer hears and says in private, used as any other raw peer: its connection ends as the bare one does. */
class SecurePeer extends RawPeer {
  private readonly wire: RawPeer

  constructor(peer: TlsPeer) {
    super(peer.tls)
    this.wire = peer.wire
    const { socket } = peer.wire
    socket.on("error", (error) => (this.error = error))
    this.reset = peer.wire.reset
    this.stall = peer.stall
    this.unstall = peer.unstall
    // in as good an order as that of a socket that is closed: with a close_notify, whatever is still unread
    this.vanish = Effect.sync(() => {
      peer.engineSide.once("finish", () => socket.destroy())
      peer.tls.end()
    })
  }
  override get localPort(): number | undefined {
    return this.wire.localPort
  }
  override readonly reset: Effect.Effect<void>
  override readonly stall: Effect.Effect<void>
  override readonly unstall: Effect.Effect<void>
  override readonly vanish: Effect.Effect<void>
}

interface Begin {
  /** Where TLS begins in what has arrived. */
  readonly from?: number
  /** Whether what the engine says first waits, as after `hold`. */
  readonly hold?: boolean
}

export class TlsPeer {
  /** The bare socket, whose `received` is everything that came over the wire. */
  readonly wire: RawPeer
  /** The engine on it. */
  readonly secure: RawPeer
  readonly tls: NodeTls.TLSSocket
  /** What the engine writes to. It ends behind the engine's last word. */
  readonly engineSide: Duplex
  /** Whether the end of TLS leaves the bare socket open. */
  keepOpen = false
  /** How many bytes the engine has sent, those that wait among them. */
  sent = 0
  /** How many bytes had come over the wire when it last sent some. */
  heard = 0
  /** Whether nothing is read from the wire. */
  stalled = false
  /** Whether what arrives is kept from the engine. */
  plain = false
  /** What arrived while it was. */
  plainText = ""
  private held: Array<Buffer> | undefined = undefined
  private isSecured = false

  constructor(wire: RawPeer, makeEngine: (stream: Duplex) => NodeTls.TLSSocket, begin?: Begin) {
    const from = begin?.from ?? 0
    this.wire = wire
    if (begin?.hold === true) this.hold()
    const engineSide = new Wire(this)
    this.engineSide = engineSide
    engineSide.on("error", () => {})
    wire.socket.on("data", (chunk: Buffer) => {
      if (this.plain) this.plainText += chunk.toString("latin1")
      else if (!engineSide.push(chunk)) wire.socket.pause()
    })
    wire.socket.on("end", () => engineSide.push(null))
    wire.socket.on("close", () => engineSide.destroy())
    const arrived = wire.received.subarray(from)
    this.tls = makeEngine(engineSide)
    for (const event of ["secure", "secureConnect"]) this.tls.once(event, () => (this.isSecured = true))
    // not every engine can be given something before the turn in which it is made is over
    if (arrived.length > 0) process.nextTick(() => engineSide.push(arrived))
    // nor lets go of what it holds where nobody says that it is over
    if (wire.socket.destroyed) engineSide.destroy()
    // not every engine does it itself, behind its last word
    this.tls.on("finish", () => setImmediate(() => engineSide.end()))
    this.secure = new SecurePeer(this)
  }

  outgoing(chunk: Buffer): void {
    this.sent += chunk.length
    this.heard = this.wire.received.length
    if (this.held !== undefined) this.held.push(chunk)
    // some engines answer the end of TLS whatever has become of the wire
    else if (this.wire.socket.writable) this.wire.socket.write(chunk)
  }

  /** Stops reading from the wire. */
  readonly stall: Effect.Effect<void> = Effect.sync(() => {
    this.stalled = true
    this.wire.socket.pause()
  })
  /** Reads again. */
  readonly unstall: Effect.Effect<void> = Effect.sync(() => {
    this.stalled = false
    this.wire.socket.resume()
  })

  /** From now on what the engine sends waits. */
  hold(): void {
    this.held ??= []
  }

  /** What waits, once the engine has had time to say it. */
  takeHeld(what: string): Effect.Effect<Buffer> {
    return Effect.map(
      eventually(what, () => this.held !== undefined && this.held.length > 0),
      () => Buffer.concat(this.held!.splice(0))
    )
  }

  /** From now on what the engine sends goes out. */
  unhold(): void {
    const held = this.held ?? []
    this.held = undefined
    for (const chunk of held) this.outgoing(chunk)
  }

  /** Ends TLS, and only TLS: answers what was held, and the bytes that say so behind it. None of it is sent yet. */
  readonly endOfTls: Effect.Effect<Buffer> = Effect.suspend(() => {
    this.keepOpen = true
    this.hold()
    return within(
      "the engine says that it ends",
      Effect.callback<Buffer>((resume) => {
        const words = Effect.sync(() => Buffer.concat(this.held!.splice(0)))
        // not every engine has said its last word by then
        this.tls.end(() => resume(Effect.andThen(turns(3), words)))
      })
    )
  })

  /** The handshake is over on this side, and what came right behind it may have ended the connection since. */
  readonly secured: Effect.Effect<void> = Effect.suspend(() =>
    Effect.asVoid(eventually("the peer's handshake is done", () => this.isSecured))
  )
}

const clientEngine = (options: NodeTls.ConnectionOptions | undefined) => (stream: Duplex) =>
  NodeTls.connect({ socket: stream, ca: authority.cert, servername: "localhost", ...options })

/** A TLS client. Resolves before the handshake: wait for `secured`. */
export const connectTlsPeer = (
  port: number,
  options?: NodeTls.ConnectionOptions,
  begin?: Begin
): Effect.Effect<TlsPeer, never, Scope.Scope> =>
  Effect.map(connectRaw(port, { halfOpen: true }), (raw) => new TlsPeer(raw, clientEngine(options), begin))

/** TLS as a client, on a connection that is there already. */
export const tlsClientOn = (raw: RawPeer, options?: NodeTls.ConnectionOptions, begin?: Begin): TlsPeer =>
  new TlsPeer(raw, clientEngine(options), begin)

/** TLS as a server, on a connection that is there already. */
export const tlsServerOn = (
  raw: RawPeer,
  options?: NodeTls.TLSSocketOptions & NodeTls.SecureContextOptions,
  begin?: Begin
): TlsPeer =>
  new TlsPeer(
    raw,
    (stream) =>
      new NodeTls.TLSSocket(stream as never, {
        isServer: true,
        secureContext: NodeTls.createSecureContext({
          cert: certificates.server.cert,
          key: certificates.server.key,
          minVersion: "TLSv1.2",
          ...options
        }),
        ...options
      }),
    begin
  )

export type Side = "client" | "server"

/** A connection of this library, as `side`, and a peer without it on the other end; both handshakes are done. */
export const facing = (
  side: Side,
  options?: {
    readonly tls?: Tls.CommonOptions
    readonly connection?: Connection.Options
    readonly peer?: NodeTls.SecureContextOptions
  }
): Effect.Effect<
  { readonly connection: Connection.Connection; readonly peer: TlsPeer },
  StreamError.ConnectFailed | StreamError.TlsFailed | StreamError.ListenFailed,
  Network.Network | Scope.Scope
> =>
  Effect.gen(function* () {
    if (side === "server") {
      const server = yield* serveTls(options?.tls, options?.connection)
      const peer = yield* connectTlsPeer(server.port, options?.peer)
      yield* peer.secured
      return { connection: yield* server.accept, peer }
    }
    const server = yield* serveRaw({ halfOpen: true })
    const connecting = yield* Effect.forkChild(connectTls(server.port, options?.tls, options?.connection))
    const peer = tlsServerOn(yield* server.accept, options?.peer)
    const connection = yield* Fiber.join(connecting)
    yield* peer.secured
    return { connection, peer }
  })
