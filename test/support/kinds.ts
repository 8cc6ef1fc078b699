/** For tests that hold over TCP, over Unix sockets and over TLS alike. */
import { openConnection, openUnixConnection, startServer, startUnixServer } from "effect-byte-streams"
import type { Connection, Network, Server, StreamError } from "effect-byte-streams"
import { Effect, Fiber, Scope } from "effect"
import { authority, certificates } from "./certificates.ts"
import { type At, connectRaw, type RawPeer, serveRaw } from "./rawPeer.ts"
import { connectTlsPeer, type TlsPeer, tlsServerOn } from "./tlsPeer.ts"
import { socketPath } from "./temporary.ts"

type Options = Connection.Options
type ServerOptions = Omit<Server.Options, "host" | "port" | "path">
type RawOptions = Omit<NonNullable<Parameters<typeof serveRaw>[0]>, "at">

export interface Kind {
  readonly kind: "TCP" | "Unix" | "TLS"
  /** The code of the error that a raw peer sees when this side aborts. */
  readonly reset: string | undefined
  /** A connection of this library to a raw peer. `scope` is the connection's, if it is to end before the peer does. */
  readonly toRaw: (
    options?: Options,
    raw?: RawOptions,
    scope?: Scope.Scope
  ) => Effect.Effect<
    { readonly connection: Connection.Connection; readonly peer: RawPeer },
    StreamError.ConnectFailed | StreamError.TlsFailed,
    Network.Network | Scope.Scope
  >
  /** A server of this library, and where it listens. */
  readonly serve: (
    handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
    options?: ServerOptions
  ) => Effect.Effect<
    { readonly server: Server.Server; readonly at: At },
    StreamError.ListenFailed,
    Network.Network | Scope.Scope
  >
  /** A raw client of such a server. */
  readonly rawClient: typeof connectRaw
  /** A connection of this library to such a server. */
  readonly client: (
    at: At,
    options?: Options
  ) => Effect.Effect<
    Connection.Connection,
    StreamError.ConnectFailed | StreamError.TlsFailed,
    Network.Network | Scope.Scope
  >
}

const host = "127.0.0.1"

const inScope = <A, E, R>(scope: Scope.Scope | undefined, effect: Effect.Effect<A, E, R | Scope.Scope>) =>
  scope === undefined ? effect : Scope.provide(effect, scope)

const tcp: Kind & { readonly kind: "TCP" } = {
  kind: "TCP",
  reset: "ECONNRESET",
  toRaw: (options, raw, scope) =>
    Effect.gen(function* () {
      const server = yield* serveRaw(raw)
      const connection = yield* inScope(scope, openConnection({ host, port: server.port, ...options }))
      return { connection, peer: yield* server.accept }
    }),
  serve: (handler, options) =>
    Effect.map(startServer({ host, port: 0, ...options }, handler), (server) => ({ server, at: server.port })),
  rawClient: connectRaw,
  client: (at, options) => openConnection({ host, port: at as number, ...options })
}

const unix: Kind & { readonly kind: "Unix" } = {
  kind: "Unix",
  reset: undefined,
  toRaw: (options, raw, scope) =>
    Effect.gen(function* () {
      const at = yield* socketPath()
      const server = yield* serveRaw({ at, ...raw })
      const connection = yield* inScope(scope, openUnixConnection(at, options))
      return { connection, peer: yield* server.accept }
    }),
  serve: (handler, options) =>
    Effect.gen(function* () {
      const at = yield* socketPath()
      return { server: yield* startUnixServer(at, handler, options), at }
    }),
  rawClient: connectRaw,
  client: (at, options) => openUnixConnection(at as string, options)
}

const asClient = { ca: authority.cert, serverName: "localhost" }

/** A raw peer without `halfOpen` ends when it is told of an end, and one that is `paused` reads nothing behind the handshake. */
const behave = (peer: TlsPeer, raw: RawOptions | undefined) =>
  Effect.gen(function* () {
    yield* peer.secured
    if (raw?.halfOpen !== true) {
      if (peer.secure.ended) peer.tls.end()
      else peer.tls.on("end", () => peer.tls.end())
    }
    if (raw?.paused === true) yield* peer.stall
    return peer.secure
  })

const tls: Kind = {
  kind: "TLS",
  reset: "ECONNRESET",
  toRaw: (options, raw, scope) =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const connecting = yield* Effect.forkChild(
        inScope(scope, openConnection({ host, port: server.port, ...options, tls: asClient }))
      )
      const peer = tlsServerOn(yield* server.accept)
      return { connection: yield* Fiber.join(connecting), peer: yield* behave(peer, raw) }
    }),
  serve: (handler, options) =>
    Effect.map(
      startServer({ host, port: 0, ...options, tls: { identity: certificates.server.identity } }, handler),
      (server) => ({ server, at: server.port })
    ),
  rawClient: (at, raw) => Effect.flatMap(connectTlsPeer(at as number), (peer) => behave(peer, raw)),
  client: (at, options) => openConnection({ host, port: at as number, ...options, tls: asClient })
}

/** Without TLS. */
export const bothKinds: ReadonlyArray<Kind & { readonly kind: "TCP" | "Unix" }> = [tcp, unix]

export const everyKind: ReadonlyArray<Kind> = [tcp, unix, tls]
