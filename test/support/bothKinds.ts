/** For tests that hold over TCP and over Unix sockets alike. */
import { openConnection, openUnixConnection, startServer, startUnixServer } from "effect-byte-streams"
import type { Connection, Network, Server, StreamError } from "effect-byte-streams"
import { Effect, Scope } from "effect"
import { type At, connectRaw, type RawPeer, serveRaw } from "./rawPeer.ts"
import { socketPath } from "./temporary.ts"

type Options = Connection.Options
type ServerOptions = Omit<Server.Options, "host" | "port" | "path">
type RawOptions = Omit<NonNullable<Parameters<typeof serveRaw>[0]>, "at">

export interface Kind {
  readonly kind: "TCP" | "Unix"
  /** The code of the error that a raw peer sees when this side aborts. */
  readonly reset: string | undefined
  /** A connection of this library to a raw peer. `scope` is the connection's, if it is to end before the peer does. */
  readonly toRaw: (
    options?: Options,
    raw?: RawOptions,
    scope?: Scope.Scope
  ) => Effect.Effect<
    { readonly connection: Connection.Connection; readonly peer: RawPeer },
    StreamError.ConnectFailed,
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
  ) => Effect.Effect<Connection.Connection, StreamError.ConnectFailed, Network.Network | Scope.Scope>
}

const host = "127.0.0.1"

const inScope = <A, E, R>(scope: Scope.Scope | undefined, effect: Effect.Effect<A, E, R | Scope.Scope>) =>
  scope === undefined ? effect : Scope.provide(effect, scope)

const tcp: Kind = {
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

const unix: Kind = {
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

export const bothKinds: ReadonlyArray<Kind> = [tcp, unix]
