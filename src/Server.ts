/**
 * Servers: a handler for each client, and an end for every connection.
 *
 * The server owns its connections. Any exit of a handler closes its connection:
 * a return flushes and closes it, a failure, a defect or an interruption aborts
 * it (over a Unix socket that is a clean end for the client: see
 * `Connection.abort`), unless somebody has begun to close it. When the scope closes, the server stops accepting, lets handlers finish
 * for a while, and aborts the rest.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SocketAddress } from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type { Connection, Options as ConnectionOptions } from "./Connection.ts"
import * as NetworkOptions from "./internal/base/networkOptions.ts"
import * as InternalServer from "./internal/server/server.ts"
import * as InternalSettings from "./internal/session/settings.ts"
import type { ListenOptions, Network } from "./Network.ts"
import type { ListenFailed, TlsFailed } from "./StreamError.ts"
import type { StreamReader } from "./StreamReader.ts"
import type { StreamWriter } from "./StreamWriter.ts"
import type { ConnectionInfo, Failure } from "./Transport.ts"

/**
 * What a failed handler leaves behind.
 *
 * @category models
 * @since 0.1.0
 */
export interface HandlerFailure<out E = unknown> {
  /** Why the handler ended. */
  readonly cause: Cause.Cause<E>
  /** Who it served. */
  readonly info: ConnectionInfo
  /** Bytes that had arrived from the peer, read or not; of a connection that was upgraded, as plain text. */
  readonly bytesRead: number
  /** Bytes that the handler had written, sent or not; the same holds for them. */
  readonly bytesWritten: number
}

/**
 * The options of `startServer`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in E = any> extends ConnectionOptions, ListenOptions {
  /**
   * How long handlers may go on when the server shuts down, before they are
   * interrupted and their connections aborted. Default 5 seconds; 0 gives them
   * no time, `"Infinity"` all they want. A handler that waits for its client's
   * next request need not use them up: see `whenDraining`.
   */
  readonly gracePeriod?: Duration.Input | undefined
  /**
   * What becomes of reads that wait for a client's next request when the server
   * shuts down. Default: nothing, they go on. With `"endIdleReads"` those that
   * know an answer for the end of the stream are given that answer where nothing
   * is buffered: `None` by `readLineText` and the reads whose names end in
   * `Option`, an empty line by `readLineWith({ end: "required" })`, and the end of
   * the stream by `StreamReader.lines`. So is one that begins to wait later. A handler that loops on such a read ends after
   * the request that it is busy with, its connection is closed in good order, and
   * the shutdown need not wait for its client.
   *
   * **Details**
   *
   * The connection itself has not ended: `atEof` and `closed` do not say so, and
   * what the client still sends is there for other reads, which wait for it as
   * before. A read that has a part of its item in the buffer waits for the rest, and
   * so does one of a part of a reader (`StreamReader.limited`).
   * The same holds after `startTls` and `stopTls`. Costs nothing while reads do
   * not wait; racing each of them with `Server.draining` costs 3 to 4
   * microseconds.
   */
  readonly whenDraining?: "endIdleReads" | undefined
  /**
   * How many connections are served at a time. Default: as many as come. One
   * counts from its accept until it has been closed. TLS handshakes come before,
   * and do not count: `handshakeTimeout` bounds them.
   */
  readonly maxConnections?: number | undefined
  /**
   * What becomes of a connection above `maxConnections`. `"wait"` (default): it
   * is served when another has ended, in the order in which they came. At most
   * `backlog` of them wait. `"reject"`: it is reset at once, and counted in
   * `Server.rejected`. What cannot wait any more is rejected too.
   *
   * **Details**
   *
   * What a client says while it waits is read as far as its `limit` allows, and
   * kept for its handler. So the server sees it leave. A client that has ended its
   * output, or is lost behind something that it said, does not count as waiting
   * any more. It is still served, for it may have asked for something and wait for
   * the answer, but only when nobody else waits; and it is reset when a client
   * that comes needs its place in the queue. One that is lost and has said nothing
   * is forgotten at once. Timeouts begin when the client is served.
   *
   * **Gotchas**
   *
   * Node accepts what the system offers, and offers no way not to: those that
   * wait have been accepted, and hold a descriptor each, and up to twice `limit`
   * bytes. While that many lie unread the end behind them is not seen.
   */
  readonly overflow?: "wait" | "reject" | undefined
  /**
   * Told of each handler that failed or died, also by throwing instead of
   * returning an effect; not of those that were interrupted, nor of those that
   * ended with `ClosedStream` because this side had closed or aborted their
   * connection, as `closeClients` does. The connection has
   * ended by then, and its place among `maxConnections` is free; a shutdown waits
   * for it as for a handler. Its own failure changes nothing.
   *
   * **Details**
   *
   * Default: the log. A handler that met the end of its connection, or a bound on
   * waiting for the client, is one line at level Debug: `ConnectionLost`,
   * `StreamTimeout`, `TlsFailed` and `IncompleteRead` of this connection, also
   * inside of a `SocketError`, as Effect's RPC passes them on. Everything else is
   * the program's own failure, and is logged with its cause at level Error; so are
   * the same errors of another connection, such as one to a database. At most one
   * of each of the two is logged a second, and then how many were left out.
   */
  readonly onHandlerError?: ((failure: HandlerFailure<E>) => Effect.Effect<void>) | undefined
  /**
   * Told of each TLS handshake that failed. Its own failure changes nothing.
   * Default: a line in the log at level Warn, at most one a second, and then how
   * many were left out. (`startTls` fails in the handler; unless that deals with
   * it, it is logged by the same rule.)
   */
  readonly onHandshakeError?: ((error: TlsFailed, info: ConnectionInfo) => Effect.Effect<void>) | undefined
  /**
   * Told of each time that the system could not accept a connection; the server
   * goes on listening. Its own failure changes nothing. Default: a line in the log
   * at level Warn, at most one a second, and then how many were left out.
   */
  readonly onAcceptError?: ((failure: Failure) => Effect.Effect<void>) | undefined
}

/**
 * What a shutdown did with the handlers that were running when it began.
 *
 * @category models
 * @since 0.1.0
 */
export interface ShutdownReport {
  /** Handlers that ended by themselves, and whose connections were closed in time. */
  readonly completed: number
  /** Those that were cut off: their handlers interrupted, their connections aborted. */
  readonly aborted: number
}

/**
 * A running server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Server {
  /** The first address that is listened on. */
  readonly address: SocketAddress
  /** All of them: one for each host, each with its own port if the port was 0. */
  readonly addresses: readonly [SocketAddress, ...Array<SocketAddress>]
  /** The port of `address`; dies for a Unix socket, which has none. */
  readonly port: number
  /** How many connections are being served: those whose handler runs, or that are being closed. */
  readonly connections: Effect.Effect<number>
  /** How many connections wait to be served, because `maxConnections` are. Clients that have left do not count. */
  readonly waiting: Effect.Effect<number>
  /**
   * How many connections were rejected so far, as `overflow` says. Those of a server that shuts down do not count, nor
   * those of clients that had left and made room.
   */
  readonly rejected: Effect.Effect<number>
  /**
   * Stops accepting, lets handlers finish for `gracePeriod` (default: the
   * server's), then interrupts them and aborts their connections. Clients that
   * still wait for `maxConnections` are reset at once.
   *
   * Takes the grace period at most, and a second more where a handler cannot be
   * interrupted: it is left behind then, without its connection. May be called
   * many times; a later call with a shorter period shortens the wait, and all
   * that were called while the same handlers ran say the same of them.
   *
   * **Interruption**: nobody is accepted any more and handlers have been told,
   * but nothing is aborted until `shutdown` is called again or the scope closes.
   */
  shutdown(options?: { readonly gracePeriod?: Duration.Input | undefined }): Effect.Effect<ShutdownReport>
  /**
   * Closes every connection in good order, all at once, each within its
   * `closeTimeout`. Everything written arrives, then the end, whatever the
   * handlers do. They go on, and find their streams closed; the server listens
   * on.
   */
  readonly closeClients: Effect.Effect<void>
  /** Aborts every connection, without waiting. Handlers go on, and find their streams aborted; the server listens on. */
  readonly abortClients: Effect.Effect<void>
  /**
   * Completes once the server has shut down, or is shutting down and its last
   * handler has ended: asyncio's `wait_closed`. By itself it shuts nothing down.
   */
  readonly awaitShutdown: Effect.Effect<void>
}

/**
 * The service tag of a server.
 *
 * @category services
 * @since 0.1.0
 */
export const Server: Context.Service<Server, Server> = Context.Service<Server>("effect-byte-streams/Server")

/**
 * What a handler finds in its context, beside its argument.
 *
 * @category models
 * @since 0.1.0
 */
export type HandlerServices = Connection | StreamReader | StreamWriter | Scope.Scope

/**
 * Starts a server that calls `handler` for each client: asyncio's
 * `start_server`. It runs until the scope closes, which shuts it down with
 * `gracePeriod`.
 *
 * **Details**
 *
 * The handler receives the `Connection`, and also finds `Connection`,
 * `StreamReader`, `StreamWriter` and a `Scope` of the connection in its context.
 * A handler that returns at once, or never touches its reader, leaks nothing.
 * It has the services that the server was started with, but not the span: a
 * handler has none unless it begins one (`Effect.withSpan`).
 *
 * **Example** (An echo server)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { NodeNetwork, openConnection, startServer, StreamReader, StreamWriter } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader, writer }) =>
 *     StreamReader.stream(reader).pipe(Stream.run(StreamWriter.sink(writer)))
 *   )
 *   const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port: server.port })
 *   yield* writer.write("echo")
 *   yield* writer.writeEof
 *   return new TextDecoder().decode(yield* reader.readAll({ maxBytes: 100 }))
 * })
 *
 * console.log(await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)))) // => echo
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const startServer = <E, R>(
  options: Options<E>,
  handler: (connection: Connection) => Effect.Effect<unknown, E, R>
): Effect.Effect<Server, ListenFailed, Network | Scope.Scope | Exclude<R, HandlerServices>> =>
  InternalServer.start("startServer", options, handler)

/**
 * Starts a server on a Unix socket: asyncio's `start_unix_server`. A path that
 * nobody listens on any more is replaced; one that somebody does is
 * `ListenFailed`. At close the path is removed, if it is still ours.
 *
 * **Details**
 *
 * The socket is bound under another name, in the same directory, and then linked
 * to its path. So of several servers that start at once exactly one gets the
 * path, somebody listens and `mode` holds from the moment that it is there, and
 * what another server has put in its place is never removed.
 *
 * Workers of a `node:cluster` share a path, unless they ask for it `exclusive`:
 * the primary process listens for them, and hands out the clients. It removes
 * the path when the last worker has stopped.
 *
 * **Gotchas**
 *
 * The system shows the name that was bound, and not the path: in a client's
 * `getpeername`, in `ss -xl` and in `/proc/net/unix`. It is the path with a dot
 * and eight characters more, or an arbitrary name where that would be too long.
 * A socket that was bound to its path itself would show that, but Node removes at
 * close whatever has the name that was bound.
 *
 * A client that is cut off by an abort sees a clean end: see `Connection.abort`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const startUnixServer = <E, R>(
  path: string,
  handler: (connection: Connection) => Effect.Effect<unknown, E, R>,
  options?: Omit<Options<E>, "host" | "port" | "path">
): Effect.Effect<Server, ListenFailed, Network | Scope.Scope | Exclude<R, HandlerServices>> =>
  Effect.suspend(() =>
    InternalServer.start("startUnixServer", NetworkOptions.atPath("startUnixServer", path, options), handler)
  )

/**
 * A server as a layer. `Layer.launch` runs it until the process is told to stop.
 *
 * **Example** (A server as a layer)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { NodeNetwork, openConnection, Server } from "effect-byte-streams"
 *
 * const GreeterLive = Server.layerServer({ host: "127.0.0.1", port: 0 }, ({ writer }) => writer.write("hello\n"))
 *
 * const program = Effect.gen(function* () {
 *   const { port } = yield* Server.Server
 *   const { reader } = yield* openConnection({ host: "127.0.0.1", port })
 *   console.log(new TextDecoder().decode(yield* reader.readUntil("\n")).trimEnd()) // => hello
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.scoped, Effect.provide(GreeterLive.pipe(Layer.provideMerge(NodeNetwork.layer))))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerServer = <E, R>(
  options: Options<E>,
  handler: (connection: Connection) => Effect.Effect<unknown, E, R>
): Layer.Layer<Server, ListenFailed, Network | Exclude<R, HandlerServices>> =>
  Layer.effect(Server)(InternalServer.start("Server.layerServer", options, handler))

/**
 * The options of `startServer` as settings: all of them as one `Config`, or each
 * as its own. Records, such as `timeouts` and `tls`, may be records of them.
 * What comes from nowhere else is `Config.succeed`.
 *
 * @category models
 * @since 0.1.0
 */
export type Settings<E = any> =
  | Config.Config<Options<E>>
  | (InternalSettings.Settings<Omit<Options<E>, "tls">> & { readonly tls?: InternalSettings.ServerTls })

/**
 * `layerServer` with its options taken from `Config`.
 *
 * **Details**
 *
 * A setting that is missing, or is not of its type, fails with `ConfigError`;
 * all are read before anything is listened on. A value that no server can have,
 * such as a `limit` of 0, dies as it does from `layerServer`.
 *
 * **Example** (Settings from the environment)
 *
 * ```ts
 * import { Config } from "effect"
 * import { Server } from "effect-byte-streams"
 *
 * const GreeterLive = Server.layerConfig(
 *   {
 *     host: Config.String("HOST").pipe(Config.withDefault("127.0.0.1")),
 *     port: Config.Port("PORT"),
 *     timeouts: { idle: Config.Duration("IDLE").pipe(Config.withDefault("1 minute")) },
 *     tls: { identity: { cert: Config.String("TLS_CERT"), key: Config.Redacted("TLS_KEY") } }
 *   },
 *   ({ writer }) => writer.write("hello\n")
 * )
 *
 * console.log(typeof GreeterLive) // => object
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <E, R>(
  settings: Settings<E>,
  handler: (connection: Connection) => Effect.Effect<unknown, E, R>
): Layer.Layer<Server, ListenFailed | Config.ConfigError, Network | Exclude<R, HandlerServices>> =>
  Layer.effect(Server)(
    Effect.flatMap(InternalSettings.read<Options<E>>(settings), (options) =>
      InternalServer.start("Server.layerConfig", options, handler)
    )
  )

/**
 * Inside a handler: completes when the server has begun to shut down, for
 * handlers that wait for more work. Elsewhere it never completes.
 *
 * @category combinators
 * @since 0.1.0
 */
export const draining: Effect.Effect<void> = InternalServer.draining
