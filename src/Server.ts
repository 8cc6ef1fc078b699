/**
 * Servers: a handler for each client, and an end for every connection.
 *
 * The server owns its connections. Every exit of a handler ends its connection: a return flushes and closes, a failure,
 * a defect or an interruption aborts. A close that has begun is never aborted by an exit. (Over a Unix socket an abort
 * is a clean end for the client: see `Connection.abort`.)
 *
 * When its scope closes, the server stops accepting, lets handlers finish for `gracePeriod`, and aborts the rest.
 *
 * **When to use**
 *
 * - `startServer`: a server for as long as a scope. `startUnixServer`: the same on a Unix socket.
 * - `layerServer`, `layerConfig`: a server for as long as the application (`Layer.launch`).
 *
 * @stability unstable
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
import type * as SocketServer from "effect/socket/SocketServer"
import type { Connection, Options as ConnectionOptions } from "./Connection.ts"
import { lazily } from "./internal/base/lazily.ts"
import * as NetworkOptions from "./internal/base/networkOptions.ts"
import * as InternalServer from "./internal/server/server.ts"
import * as InternalShutdown from "./internal/server/shutdown.ts"
import * as InternalSettings from "./internal/session/settings.ts"
import type { ListenOptions, Network } from "./Network.ts"
import type { ConnectionSnapshot } from "./Observer.ts"
import type { ListenFailed, TlsFailed } from "./StreamError.ts"
import type { StreamReader } from "./StreamReader.ts"
import type { StreamWriter } from "./StreamWriter.ts"
import type { ConnectionInfo, Failure } from "./Transport.ts"

/**
 * A handler's failure, and the connection that it served.
 *
 * @see {@link Options.onHandlerError}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface HandlerFailure<out E = unknown> {
  /** The failure or the defect of the handler. */
  readonly cause: Cause.Cause<E>
  /** The facts about the connection, such as the address of its client. */
  readonly info: ConnectionInfo
  /** The number of bytes that had arrived, read or not. Of an upgraded connection, as plain text. */
  readonly bytesRead: number
  /** The number of bytes that the handler had written, sent or not. Of an upgraded connection, as plain text. */
  readonly bytesWritten: number
}

/**
 * The options of `startServer`: those of every connection, those of listening, and these.
 *
 * @see {@link startServer}, `Connection.Options`, `Network.ListenOptions`
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options<in E = any> extends ConnectionOptions, ListenOptions {
  /**
   * The longest time that handlers may go on when the server shuts down. They are interrupted then, and their
   * connections aborted. Default 5 seconds. 0 gives them no time, `"Infinity"` has no bound.
   *
   * A handler that waits for the next request of its client need not use up that time: see `whenDraining`.
   */
  readonly gracePeriod?: Duration.Input | undefined
  /**
   * The effect of a shutdown on reads that wait for the next request. Default: none, they go on. `"endIdleReads"`
   * answers an idle read as at the end of the stream, where nothing is buffered. A read that begins to wait later is
   * answered too.
   *
   * A handler that loops on such a read ends after its current request, and those that its client has sent behind it. Its
   * connection is closed in good order, and the shutdown does not wait for its client.
   *
   * **Details**
   *
   * - Answered are the reads that know an answer for the end: `readLineText`, the reads whose names end in `Option`,
   *   and `readLineWith` with `end: "required"`. `readFrames` returns no message, `lines` and `frames` end.
   * - A read that has a part of its item in the buffer waits for the rest. So does a read of `StreamReader.limited`.
   * - The connection itself has not ended: `atEof` is `false`, and later bytes can be read. Other reads wait as before.
   * - The same holds after `startTls` and `stopTls`.
   * - A client that never stops asking is answered until `gracePeriod` is over. `Exchange.serve` answers what had come.
   * - It costs nothing while no read waits. A race of each read with `Server.draining` costs 3 to 4 microseconds.
   */
  readonly whenDraining?: "endIdleReads" | undefined
  /**
   * The highest number of connections that are served at a time. Default: no bound. A connection counts from its accept
   * until it was closed. TLS handshakes come before that, and do not count: `handshakeTimeout` bounds each of them, and
   * `maxHandshakes` their number.
   */
  readonly maxConnections?: number | undefined
  /**
   * The treatment of connections above `maxConnections`. `"wait"` serves them when others have ended, in the order in
   * which they came; at most `backlog` of them wait. `"reject"` resets them at once, and counts them in
   * `Server.rejected`. A connection that can no longer wait is rejected too. Default `"wait"`.
   *
   * **Details**
   *
   * - The bytes of a waiting client are read as far as its `limit` allows, and kept for its handler. So the server sees
   *   a client leave. A client that is lost, and has sent nothing, is forgotten at once.
   * - A client that has ended its output, or is lost behind its bytes, no longer counts as waiting. Such a client may
   *   want an answer, and is served when no other client waits. It is reset when a new client needs its place.
   * - Timeouts begin when a client is served.
   *
   * **Gotchas**
   *
   * Node accepts every connection that the system offers. So each waiting connection holds a descriptor, and up to
   * `2 * limit` bytes. The end behind that many unread bytes is not seen.
   */
  readonly overflow?: "wait" | "reject" | undefined
  /**
   * Called for each handler that failed or died, also by throwing. Default: the log. Its own failure changes nothing.
   *
   * **Details**
   *
   * - It is not called for interrupted handlers, nor for handlers that ended with `ClosedStream` because this side had
   *   closed or aborted their connection.
   * - The connection has ended when it is called, and its place among `maxConnections` is free. A shutdown waits for it
   *   as for a handler.
   * - By default a handler that met the end of its own connection, or a timeout, is one line at level Debug. The errors
   *   are `ConnectionLost`, `StreamTimeout`, `TlsFailed` and `IncompleteRead`, also inside of a `SocketError`.
   * - Any other failure is logged with its cause at level Error. So are the same errors of another connection, such as
   *   one to a database.
   * - At most one line of each level is logged in a second, and then the number of those left out.
   */
  readonly onHandlerError?: ((failure: HandlerFailure<E>) => Effect.Effect<void>) | undefined
  /**
   * Called for each TLS handshake that failed. Default: a line in the log at level Warn, at most one in a second, and
   * then the number of those left out. Its own failure changes nothing.
   *
   * `startTls` fails in the handler instead. Unless the handler deals with that, it is logged by the same rule.
   */
  readonly onHandshakeError?: ((error: TlsFailed, info: ConnectionInfo) => Effect.Effect<void>) | undefined
  /**
   * Called each time when the system could not accept a connection. The server goes on listening. Default: a line in
   * the log at level Warn, at most one in a second, and then the number of those left out. Its own failure changes
   * nothing.
   */
  readonly onAcceptError?: ((failure: Failure) => Effect.Effect<void>) | undefined
}

/**
 * The result of a shutdown, for the handlers that ran when it began.
 *
 * @see {@link Server.shutdown}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ShutdownReport {
  /** The number of handlers that ended by themselves, and whose connections were closed in time. */
  readonly completed: number
  /** The number of handlers that were interrupted, and whose connections were aborted. */
  readonly aborted: number
}

/**
 * A running server.
 *
 * @see {@link startServer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Server {
  /** The first address that is listened on. */
  readonly address: SocketAddress
  /** All addresses that are listened on: one for each host. Each has a port of its own if the port was 0. */
  readonly addresses: readonly [SocketAddress, ...Array<SocketAddress>]
  /** The port of `address`. Dies for a Unix socket, which has none. */
  readonly port: number
  /** The number of connections being served: their handler runs, or they are being closed. */
  readonly connections: Effect.Effect<number>
  /** The number of connections that wait because of `maxConnections`. Clients that have left do not count. */
  readonly waiting: Effect.Effect<number>
  /**
   * The number of connections that were rejected so far, as `overflow` says. Neither those of a shutdown count, nor
   * those of clients that had left and made room.
   */
  readonly rejected: Effect.Effect<number>
  /**
   * The present state of every connection: those that are served, in the order in which they came, and those that wait for
   * a place behind them.
   *
   * **Details**
   *
   * It needs no observer. It is read at one moment, and costs the connections nothing. A connection that was upgraded is
   * one connection, with the facts of its TLS.
   *
   * **Example** (What does this connection wait for?)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"
   *
   * const program = Effect.gen(function* () {
   *   const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader, writer }) =>
   *     Effect.andThen(writer.write("name?\n"), reader.readLine)
   *   )
   *   const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port: server.port })
   *   yield* reader.readLine
   *   yield* writer.write("Ad")
   *   const [client] = yield* server.snapshot
   *   return [client!.state, client!.bytesWritten, client!.waiting.map((wait) => wait.operation)]
   * })
   *
   * console.log(await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))))
   * // => [ 'open', 6, [ 'readLine' ] ]
   * ```
   *
   * @see `Observer.ConnectionSnapshot`
   */
  readonly snapshot: Effect.Effect<ReadonlyArray<ConnectionSnapshot>>
  /**
   * Shuts the server down, and reports on its handlers.
   *
   * **When to use**
   *
   * To end a server earlier than its scope does, or to learn how many handlers were cut off. `closeClients` and
   * `abortClients` end the connections, and the server goes on.
   *
   * **Details**
   *
   * 1. It stops accepting. Clients that wait for `maxConnections` are reset.
   * 2. Handlers may finish within `gracePeriod`. `draining` completes in each of them, and `whenDraining` takes effect.
   * 3. Handlers that are left are interrupted, and their connections aborted.
   *
   * It takes `gracePeriod` at most, and one second more for a handler that cannot be interrupted. Such a handler is
   * left behind, without its connection. Repeated calls are allowed: a shorter period shortens the wait, and all calls
   * report the same.
   *
   * An interruption leaves the server as it is: nobody is accepted, handlers know, and nothing is aborted. A later
   * `shutdown`, or the end of the scope, goes on.
   *
   * @see {@link ShutdownReport}, {@link draining}
   */
  shutdown(options?: {
    /** The longest time that handlers may go on. Default: the server's own. */
    readonly gracePeriod?: Duration.Input | undefined
  }): Effect.Effect<ShutdownReport>
  /**
   * Closes every connection in good order, all at once, each within its `closeTimeout`. The server goes on listening.
   *
   * Everything written arrives, then the end. Handlers go on, and their streams answer `ClosedStream`.
   */
  readonly closeClients: Effect.Effect<void>
  /**
   * Aborts every connection, without waiting. Handlers go on, and their streams answer `ClosedStream`. The server goes
   * on listening.
   */
  readonly abortClients: Effect.Effect<void>
  /**
   * Completes once the server has shut down, or is shutting down and its last handler has ended: asyncio's
   * `wait_closed`. It shuts nothing down by itself.
   */
  readonly awaitShutdown: Effect.Effect<void>
}

/**
 * The service tag of a server.
 *
 * @see {@link layerServer}
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export const Server: Context.Service<Server, Server> = Context.Service<Server>("effect-byte-streams/Server")

/**
 * The services in the context of a handler. The scope is that of the connection.
 *
 * @see {@link startServer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type HandlerServices = Connection | StreamReader | StreamWriter | Scope.Scope

/**
 * Starts a server that runs `handler` for each client: asyncio's `start_server`.
 *
 * **When to use**
 *
 * For a server that lives as long as a scope. Use `layerServer` for one that lives as long as the application.
 *
 * **Details**
 *
 * - The server runs until its scope closes, which shuts it down with `gracePeriod`.
 * - The handler receives the `Connection`. Its context has `Connection`, `StreamReader`, `StreamWriter` and a `Scope`
 *   of the connection as well.
 * - A handler that returns at once, or never touches its reader, leaks nothing.
 * - A handler has the services that the server was started with, but no span, unless it begins one (`Effect.withSpan`).
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
 * @see {@link startUnixServer}, {@link layerServer}, {@link Options}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const startServer = <E, R>(
  options: Options<E>,
  handler: (connection: Connection) => Effect.Effect<unknown, E, R>
): Effect.Effect<Server, ListenFailed, Network | Scope.Scope | Exclude<R, HandlerServices>> =>
  InternalServer.start("startServer", options, handler)

/**
 * Starts a server on a Unix socket: asyncio's `start_unix_server`.
 *
 * **Details**
 *
 * - A path that a dead server has left behind is replaced. A path that is listened on fails with `ListenFailed`. At
 *   close the path is removed, if it is still the server's.
 * - The socket is bound under another name in the same directory, and then linked to its path. So exactly one of
 *   several servers that start at once gets the path. `mode` holds from the first moment, and a path that another
 *   server has put there is never removed.
 * - Workers of a `node:cluster` share a path, unless they ask for it `exclusive`. The primary process listens for them,
 *   and removes the path when the last worker has stopped.
 *
 * **Gotchas**
 *
 * The system shows the bound name instead of the path: in a client's `getpeername`, in `ss -xl`, in `/proc/net/unix`.
 * The name is the path with a dot and eight more characters, or an arbitrary one where that would be too long.
 *
 * Where a directory cannot have two names for a socket, the path itself is bound. `mode` then holds right after, and the
 * path is removed in any case.
 *
 * Windows has no Unix sockets for Node: a path fails with `ListenFailed`, kind `Unsupported`. The name of a pipe, such as
 * `\\.\pipe\app`, is listened on there as it is.
 *
 * A client that is cut off by an abort sees a clean end: see `Connection.abort`.
 *
 * @see {@link startServer}, `Connection.openUnixConnection`
 *
 * @stability unstable
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
 * **When to use**
 *
 * For a server that lives as long as the application. Under `NodeRuntime.runMain`, SIGINT and SIGTERM shut it down.
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
 * @see {@link startServer}, {@link layerConfig}
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerServer = <E, R>(
  options: Options<E>,
  handler: (connection: Connection) => Effect.Effect<unknown, E, R>
): Layer.Layer<Server, ListenFailed, Network | Exclude<R, HandlerServices>> =>
  Layer.effect(Server)(InternalServer.start("Server.layerServer", options, handler))

/**
 * A server as one of Effect's own socket servers (`effect/socket/SocketServer`), and as a `Server`.
 *
 * **When to use**
 *
 * For `RpcServer.layerProtocolSocketServer`, `SocketRunner.layer`, and whatever else runs such a server: with TLS and
 * client certificates, Unix sockets, `maxConnections`, bounds on waiting, or a network in memory. Use `layerServer` for
 * handlers of your own.
 *
 * **Details**
 *
 * - Clients that come before `run` wait for it, and their bytes are kept as far as `limit` allows. A client that is lost
 *   meanwhile, and has sent nothing, is forgotten. So do clients that come when `run` was interrupted; its handlers are
 *   interrupted with it. Of several runs the last one has the clients that come.
 * - The socket of a client is that of `Connection.makeSocket`, with these differences. It is connected from the
 *   beginning, and once. A loss is a close with code 1006, and the reason says how it came about: Effect's RPC takes any
 *   other failure for a defect. `upgrade` is `startTls` as the server.
 * - A handler has the services of the program that called `run`, and those of its connection. The type of `run` knows
 *   nothing of the latter: `Effect.serviceOption(Connection.Connection)` has the certificate of the client. A handler has
 *   no span, unless it begins one.
 * - The end of the reader's scope, or of the handler, closes the connection, as `onScopeFailure` says: everything written
 *   is sent, for `closeTimeout` at most.
 * - The end of the layer ends the server as `Server.shutdown` does. Clients that wait for `run` are reset.
 *
 * Two options have other defaults: `closeTimeout` is 2 seconds, and `onScopeFailure` is `"flush"`.
 *
 * **Gotchas**
 *
 * Tearing down a program of Effect's interrupts its handlers before this server knows of it. `Server.shutdown`, called
 * first, stops accepting, and gives them time.
 *
 * Bytes that came before `upgrade` fail it, also those of a handshake: a server upgrades first, and then lets its client
 * begin. The option `tls` is for connections that begin with TLS.
 *
 * **Example** (Remote procedure calls)
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
 * import { Connection, NodeNetwork, Server } from "effect-byte-streams"
 *
 * const Calls = RpcGroup.make(Rpc.make("double", { payload: { value: Schema.Number }, success: Schema.Number }))
 *
 * const ServerLive = RpcServer.layer(Calls).pipe(
 *   Layer.provide(Calls.toLayer({ double: ({ value }) => Effect.succeed(2 * value) })),
 *   Layer.provide(RpcServer.layerProtocolSocketServer),
 *   Layer.provideMerge(Server.layerSocketServer({ host: "127.0.0.1", port: 0 }))
 * )
 *
 * const program = Effect.gen(function* () {
 *   const { port } = yield* Server.Server
 *   const protocol = RpcClient.layerProtocolSocket().pipe(
 *     Layer.provide(Connection.layerSocket({ host: "127.0.0.1", port }))
 *   )
 *   const call = Effect.flatMap(RpcClient.make(Calls), (client) => client.double({ value: 21 }))
 *   console.log(yield* Effect.provide(call, protocol)) // => 42
 * })
 *
 * const layers = Layer.provideMerge(ServerLive, Layer.merge(NodeNetwork.layer, RpcSerialization.layerNdjson))
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layers)))
 * ```
 *
 * @see {@link layerServer}, `Connection.layerSocket` for the other side.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerSocketServer = (
  options: Options
): Layer.Layer<SocketServer.SocketServer | Server, ListenFailed, Network> =>
  Layer.effectContext(Effect.flatMap(asSocketServer, ({ make }) => make("Server.layerSocketServer", options, Server)))

// it knows `effect/socket/Socket`, which loads `Stream`, `Channel` and more
const asSocketServer = lazily(() => import("./internal/server/socketServer.ts"))

/**
 * The options of `startServer` as settings: all of them as one `Config`, or each as a `Config` of its own.
 *
 * **Details**
 *
 * Records, such as `timeouts` and `tls`, may be records of settings. A constant is `Config.succeed(value)`.
 *
 * @see {@link layerConfig}, {@link Options}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Settings<E = any> =
  | Config.Config<Options<E>>
  | (InternalSettings.Settings<Omit<Options<E>, "tls">> & {
      /** Speaks TLS. As one setting, or as one for each option. Default: plain. */
      readonly tls?: InternalSettings.ServerTls
    })

/**
 * A server as a layer, with its options from `Config`.
 *
 * **Details**
 *
 * All settings are read before anything is listened on. A setting that is missing, or has the wrong type, fails with
 * `ConfigError`. A value that no server can have, such as a `limit` of 0, dies.
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
 * @see {@link layerServer}, {@link Settings}
 *
 * @stability unstable
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
 * Completes when the server of this handler has begun to shut down. Never completes outside of a handler.
 *
 * **When to use**
 *
 * For handlers that wait for something other than a read: `Effect.raceFirst(work, Server.draining)`. Waiting reads are
 * ended more cheaply by the option `whenDraining`.
 *
 * @see {@link Options.whenDraining}, {@link Server.shutdown}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const draining: Effect.Effect<void> = InternalShutdown.draining
