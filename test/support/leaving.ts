/**
 * Connections of this library with a bare peer that leaves, in good order or not, over everything that can tell the one
 * from the other. What the peer does goes to the system within the call, so that several things are there at once; where
 * sockets or engines take turns of their own, it waits for what was said before.
 */
import { Effect, Fiber, type Scope } from "effect"
import {
  type Connection,
  type Network,
  openConnection,
  openUnixConnection,
  startServer,
  startUnixServer
} from "effect-byte-streams"
import { authority, certificates } from "./certificates.ts"
import { connectRaw, type RawPeer, serveRaw } from "./rawPeer.ts"
import { socketPath } from "./temporary.ts"
import { connectTlsPeer, type Side, type TlsPeer, tlsClientOn, tlsServerOn } from "./tlsPeer.ts"
import { eventually, turns } from "./wait.ts"

export class LeavingPeer {
  private readonly raw: RawPeer
  private readonly engine: TlsPeer | undefined
  /** How many bytes the engine has sent at least once it has sent all that it was given. */
  private due = 0

  constructor(raw: RawPeer, engine?: TlsPeer) {
    this.raw = raw
    this.engine = engine
  }

  say(bytes: Uint8Array): void {
    if (this.engine === undefined) this.raw.socket.write(bytes)
    else {
      // encrypted it is more
      this.due = Math.max(this.due, this.engine.sent) + bytes.length
      this.engine.tls.write(bytes)
    }
  }
  private get hasSaidAll(): boolean {
    const { socket } = this.raw
    return (
      socket.destroyed || (socket.writableLength === 0 && (this.engine === undefined || this.engine.sent >= this.due))
    )
  }
  private behindWords(act: () => void): void {
    if (this.hasSaidAll) act()
    else setImmediate(() => this.behindWords(act))
  }
  /** Reads nothing any more: what it is sent stays with the system. */
  deafen(): void {
    // as Node has it, and as Bun does
    const { _handle: handle } = this.raw.socket as unknown as {
      readonly _handle: { readStop(): number; readStart(): number } | { pause(): void; resume(): void }
    }
    if ("pause" in handle) {
      handle.pause()
      handle.resume = () => {}
    } else {
      handle.readStop()
      handle.readStart = () => 0
    }
  }
  /** A reset. Unix sockets have none; there it is one to leave with something unread. */
  reset(): void {
    this.behindWords(() => Effect.runSync(this.raw.reset))
  }
  /** The end of the connection; that of TLS is not said. */
  finish(): void {
    this.behindWords(() => this.raw.socket.end())
  }
  /** The end, as a peer says it that means it well. */
  goodbye(): void {
    if (this.engine === undefined) this.finish()
    else this.engine.tls.end()
  }
  /** Closes the socket, soon, behind what was said: from then on whoever writes to it is reset. */
  leave(): void {
    const { socket } = this.raw
    if (socket.writableFinished) socket.destroy()
    else socket.on("finish", () => socket.destroy())
  }
  readonly gone: Effect.Effect<void> = Effect.suspend(() => Effect.asVoid(this.raw.awaitClosed))
}

interface Options {
  /** What this side does as soon as there is a connection, over TLS. */
  readonly first?: (connection: Connection.Connection) => Effect.Effect<unknown>
  readonly allowTruncation?: boolean
  readonly connection?: Connection.Options
  /**
   * What the peer says, and does then, right behind its last word in the handshake, or when it is connected: all of it is
   * there when this side comes to look.
   */
  readonly atOnce?: { readonly say: Uint8Array; readonly act: (peer: LeavingPeer) => void }
}

export interface Leaving {
  readonly way: string
  readonly tls: boolean
  readonly unix: boolean
  /** A connection of this library, as `side`, and its peer. */
  readonly facing: (
    side: Side,
    options?: Options
  ) => Effect.Effect<
    { readonly connection: Connection.Connection; readonly peer: LeavingPeer },
    unknown,
    Network.Network | Scope.Scope
  >
}

const host = "127.0.0.1"

const plainFacing = (unix: boolean, side: Side, { connection: options }: Options) =>
  Effect.gen(function* () {
    const path = unix ? yield* socketPath() : undefined
    const raw = { halfOpen: true }
    if (side === "client") {
      const server = yield* serveRaw({ ...raw, at: path })
      const { port } = server
      const opening = yield* Effect.forkChild(
        path === undefined ? openConnection({ host, port, ...options }) : openUnixConnection(path, options)
      )
      const peer = yield* server.accept
      return { connection: yield* Fiber.join(opening), peer }
    }
    const accepted: Array<Connection.Connection> = []
    const handler = (connection: Connection.Connection) => {
      accepted.push(connection)
      return Effect.never
    }
    const server =
      path === undefined
        ? yield* startServer({ host, port: 0, gracePeriod: 0, ...options }, handler)
        : yield* startUnixServer(path, handler, { gracePeriod: 0, ...options })
    const peer = yield* connectRaw(path ?? server.port, raw)
    return { connection: yield* eventually("the server accepts the peer", () => accepted[0]), peer }
  })

const plain = (way: string, unix: boolean): Leaving => ({
  way,
  tls: false,
  unix,
  facing: (side, options = {}) =>
    Effect.gen(function* () {
      const { connection, peer: raw } = yield* plainFacing(unix, side, options)
      const peer = new LeavingPeer(raw)
      const { atOnce } = options
      // Deno's sockets send nothing within the call before they were polled
      if ("Deno" in globalThis) yield* turns()
      if (atOnce !== undefined) {
        peer.say(atOnce.say)
        atOnce.act(peer)
      }
      return { connection, peer }
    })
})

/** BoringSSL sends tickets with the first thing that a server says. */
const ticketsWait = "boringssl" in process.versions

/** Has the peer act once its handshake is done, or waits until it has read all that belongs to it. */
const secured = (side: Side, version: string, raw: RawPeer, engine: TlsPeer, { atOnce }: Options) => {
  const peer = new LeavingPeer(raw, engine)
  const ofClient = side === "server"
  let tickets = 0
  engine.tls.on("session", () => tickets++)
  if (atOnce === undefined) {
    if (!ofClient || version !== "TLSv1.3" || ticketsWait) return { peer, wait: engine.secured }
    // Deno's engines do not tell of theirs, which come together
    const come = eventually("the peer has its tickets", () => engine.wire.received.length > engine.heard)
    if ("Deno" in globalThis) return { peer, wait: Effect.andThen(engine.secured, Effect.andThen(come, turns())) }
    return { peer, wait: eventually("the peer has its tickets", () => tickets === 2) }
  }
  // a client that speaks first in TLS 1.3 has been told everything then, and speaks last
  if (ofClient && version === "TLSv1.3") raw.socket.prependOnceListener("data", () => engine.hold())
  const act = Effect.gen(function* () {
    // what an engine is given takes turns of its own, and so do the tickets of a server
    yield* turns(4)
    engine.hold()
    peer.say(atOnce.say)
    yield* turns(4)
    engine.unhold()
    atOnce.act(peer)
  })
  engine.tls.on(ofClient ? "secureConnect" : "secure", () => void Effect.runFork(act))
  return { peer, wait: Effect.void }
}

const overTls = (
  way: string,
  version: "TLSv1.2" | "TLSv1.3",
  { stoppable = false, unix = false, upgraded = false }: { stoppable?: boolean; unix?: boolean; upgraded?: boolean }
): Leaving => {
  const common = ({ allowTruncation = false }: Options) =>
    ({ allowTruncation, stoppable, minVersion: version, maxVersion: version }) as const
  const asClient = { ca: authority.cert, serverName: "localhost" }
  const { identity } = certificates.server
  return {
    way,
    tls: true,
    unix,
    facing: (side, options = {}) =>
      Effect.gen(function* () {
        const { first = () => Effect.void } = options
        if (upgraded) {
          const { connection: bare, peer: raw } = yield* plainFacing(unix, side, options)
          const engine = side === "server" ? tlsClientOn(raw) : tlsServerOn(raw)
          const { peer, wait } = secured(side, version, raw, engine, options)
          const connection = yield* Effect.tap(
            side === "server"
              ? bare.startTls({ side, identity, ...common(options) })
              : bare.startTls({ side, ...asClient, ...common(options) }),
            first
          )
          yield* wait
          return { connection, peer }
        }
        if (side === "client") {
          const server = yield* serveRaw({ halfOpen: true })
          const { port } = server
          const opening = yield* Effect.forkChild(
            Effect.tap(
              openConnection({ host, port, ...options.connection, tls: { ...asClient, ...common(options) } }),
              first
            )
          )
          const raw = yield* server.accept
          const engine = tlsServerOn(raw)
          const { peer, wait } = secured(side, version, raw, engine, options)
          const connection = yield* Fiber.join(opening)
          yield* wait
          return { connection, peer }
        }
        const accepted: Array<Connection.Connection> = []
        const server = yield* startServer(
          { host, port: 0, gracePeriod: 0, ...options.connection, tls: { identity, ...common(options) } },
          (connection) => {
            accepted.push(connection)
            return Effect.andThen(first(connection), Effect.never)
          }
        )
        const engine = yield* connectTlsPeer(server.port)
        const { peer, wait } = secured(side, version, engine.wire, engine, options)
        yield* wait
        return { connection: yield* eventually("the server accepts the peer", () => accepted[0]), peer }
      })
  }
}

export const leavingWays: ReadonlyArray<Leaving> = [
  plain("TCP", false),
  plain("a Unix socket", true),
  overTls("TLS 1.3", "TLSv1.3", {}),
  overTls("TLS 1.2", "TLSv1.2", {}),
  overTls("TLS 1.3 with a way back", "TLSv1.3", { stoppable: true }),
  overTls("TLS 1.2 with a way back", "TLSv1.2", { stoppable: true }),
  overTls("TLS 1.3 made by startTls", "TLSv1.3", { upgraded: true }),
  overTls("TLS 1.3 with a way back, made by startTls", "TLSv1.3", { upgraded: true, stoppable: true }),
  overTls("TLS 1.3 over a Unix socket, made by startTls", "TLSv1.3", { upgraded: true, unix: true })
]
