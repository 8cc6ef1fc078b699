/**
 * One session: a reader, a writer, what is known of the peer, and its end.
 *
 * A connection is one physical connection. It never reconnects and never
 * replays writes. The scope it was opened in decides how it ends: on success it
 * is flushed and closed, on failure or interruption it is aborted. A close that
 * has begun is not undone by either: the scope waits for it.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Argument from "./internal/base/argument.ts"
import { acquire as acquireConnection, SessionConnection } from "./internal/session/connection.ts"
import { checkedDuplex, DuplexTransport } from "./internal/transport/duplex.ts"
import { checkedPair, PairTransport } from "./internal/transport/pair.ts"
import type * as InternalSession from "./internal/session/session.ts"
import * as Relay from "./internal/session/relay.ts"
import * as Services from "./internal/base/tags.ts"
import * as NetworkOptions from "./internal/base/networkOptions.ts"
import * as SessionOptions from "./internal/session/options.ts"
import * as InternalSettings from "./internal/session/settings.ts"
import type { Timeouts as InternalTimeouts } from "./internal/runtime/timeouts.ts"
import { type ConnectOptions, Network } from "./Network.ts"
import type { ConnectFailed, ReadError, TlsFailed, WriteError } from "./StreamError.ts"
import type { StartTlsOptions } from "./Tls.ts"
import type { StreamReader } from "./StreamReader.ts"
import type { StreamWriter } from "./StreamWriter.ts"
import type { ConnectionInfo, Transport } from "./Transport.ts"

/**
 * How a session ended, or began to.
 *
 * **Details**
 *
 * - `PeerEof`: the peer ended its output. It may have left, or it may still read: TCP does not tell.
 * - `Lost`: the connection broke.
 * - `Local`: this side closed or aborted it.
 *
 * @category models
 * @since 0.1.0
 */
export type Closed = InternalSession.Closed

/**
 * A connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connection {
  readonly reader: StreamReader
  readonly writer: StreamWriter
  /** What was known when the connection was made; valid after it is gone. */
  readonly info: ConnectionInfo
  /**
   * Completes when the session ends or the peer ends its output, also while
   * nobody reads: `Effect.raceFirst(work, connection.closed)` gives up work that
   * nobody waits for any more.
   *
   * **Gotchas**
   *
   * A peer that half-closes and goes on reading looks the same as one that left,
   * and what it sent before may still lie unread: whoever ends a handler on
   * `closed` drops it.
   * While more than `2 * limit` bytes lie unread the transport is paused, and
   * what comes behind them, the end included, is not seen.
   */
  readonly closed: Effect.Effect<Closed>
  /**
   * Drops what is unsent and resets the connection. Never waits, never fails.
   *
   * **Gotchas**
   *
   * Unix sockets know no reset. Their peer reads what the system had taken, and
   * then a clean end (`PeerEof`), as after `close`; its writes fail with
   * `BrokenPipe`. It sees a reset only where something that it had sent lay
   * unread with the system. So an abort, a handler or a scope that fails, and a
   * timeout can all look like the end there: what is sent over a Unix socket has
   * to say by itself where it is complete, by lengths or by a last word. TLS does:
   * over it the peer's reads fail with `TlsFailed`, kind `Truncated`.
   */
  readonly abort: Effect.Effect<void>
  /**
   * Turns the connection into an encrypted one, in place (STARTTLS). Waits until
   * what was written before is handed over; returns a new connection with the
   * options of this one, which the scope owns. The streams of this one answer
   * `ClosedStream` with reason `Upgraded`, also to whoever waits on them; its
   * `closed`, `close` and `abort` are those of the new one.
   *
   * Bytes that were read ahead fail the upgrade, or are given to TLS, as
   * `leftover` says; they never become decrypted data.
   *
   * **Details**
   *
   * Where the transport cannot do it, it is `Unsupported`, and nothing has
   * happened; nor has it where the options are wrong arguments, such as a
   * `serverName` of `""`, with which it dies. Fails with `TlsFailed`, as its kinds
   * say, and with `ClosedStream` where this side has ended its output, or closes or aborts the connection
   * meanwhile. Interrupting it while it waits for what was written changes nothing. Once TLS
   * has begun there is no way back to plain text: whatever fails, and whoever
   * interrupts it, resets the connection.
   */
  startTls(options: StartTlsOptions): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope>
  /**
   * Ends TLS, and goes on in plain text, where the peer agrees: says
   * `close_notify` behind what was written before, and waits for the peer's, for
   * as long as a handshake may take. Returns a new connection, which the scope
   * owns. What was decrypted and not read comes first in its reader, then what
   * the peer said in TLS before it agreed, then the plain bytes that followed.
   * The streams of this one answer `ClosedStream` with reason `Upgraded`.
   *
   * **Details**
   *
   * A peer that ends TLS first is seen as any end, and `stopTls` then is the
   * answer. Connections that begin with TLS must have been made `stoppable`;
   * otherwise, and where there is no TLS, it is `Unsupported`, and nothing has
   * happened. Fails with `TlsFailed`: kind `Truncated` where the peer ends the
   * connection instead of agreeing, `Timeout` where it does nothing, `Handshake`
   * where what it says is no TLS, or is more than 1 MiB, which is what is kept of
   * it. Failing and interrupting reset the connection, as for `startTls`.
   */
  readonly stopTls: Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope>
}

/**
 * The service tag of a connection.
 *
 * @category services
 * @since 0.1.0
 */
export const Connection: Context.Service<Connection, Connection> = Services.Connection

/**
 * Bounds on waiting within one connection. None is set by default, and a
 * connection without any has no timer; one with any number of them has one.
 * They go by Effect's `Clock`. Each fails with `StreamTimeout`, which has its
 * kind and its length.
 *
 * **Details**
 *
 * `read` fails one read, and the connection goes on. The others (`idle`,
 * `write`, `total`, `minRate`) end the connection: it is reset (for Unix sockets
 * see `Connection.abort`) and its descriptor is free, writes fail with
 * `StreamTimeout`, and so do reads, once they have delivered what arrived in
 * time. What was written and not sent is dropped; `close` then answers
 * `TimedOut`, with how much that was.
 *
 * A bound that is reached is judged once what had arrived by then was read, and
 * what could be sent was sent. So the peer does not pay for an event loop that
 * stood still (a long computation, a garbage collection): a peer that spoke
 * meanwhile is heard, and one that was silent is cut off soon afterwards. A
 * message of which a part came (`read`, `minRate`) is given the time of the
 * stall for the rest.
 *
 * Closing stops them all; from then on `closeTimeout` is the bound.
 *
 * @category models
 * @since 0.1.0
 */
export type Timeouts = InternalTimeouts

/**
 * The options that every session has, whichever side opened it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The limit of the read buffer in bytes: how far a separator is looked for.
   * The transport is paused above twice as many. Default 65,536.
   */
  readonly limit?: number | undefined
  /** Above this many unsent bytes writes wait. Default 65,536, or four times the low-water mark. */
  readonly highWaterMark?: number | undefined
  /** At this many unsent bytes or fewer they go on. Default a quarter of the high-water mark. */
  readonly lowWaterMark?: number | undefined
  /**
   * The most that closing may take before what is unsent is dropped. Default 10
   * seconds. Time in which the event loop stands still does not count for a peer
   * that reads.
   */
  readonly closeTimeout?: Duration.Input | undefined
  /** Bounds on waiting. Default: none. */
  readonly timeouts?: Timeouts | undefined
  /**
   * What the scope does when it closes with a failure or an interruption, and
   * nobody has begun to close the connection. Default `"abort"`, so that the peer does not
   * take for complete what is not. Over a Unix socket it may all the same, as there is no reset: see
   * `Connection.abort`.
   */
  readonly onScopeFailure?: "abort" | "flush" | undefined
}

/**
 * The options of `openConnection`.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenOptions extends Options, ConnectOptions {}

/**
 * What is used of a Node `Readable`: a stream that is read.
 *
 * **Details**
 *
 * It calls its listeners of `data` with what it has read, while it is not
 * paused, of `end` behind the last of it, and of `close` once it is gone, or of
 * `error` with what it broke of. `read` answers what it has read ahead, or `null`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadableLike {
  on(event: string, listener: (...args: Array<any>) => void): unknown
  pause(): unknown
  resume(): unknown
  read(): unknown
  destroy(error?: Error): unknown
  readonly destroyed: boolean
  readonly closed: boolean
  /** Whether `end` was told. */
  readonly readableEnded: boolean
  /** What it decodes its bytes with, if it speaks in text. */
  readonly readableEncoding?: string | null | undefined
  /** What it was destroyed with. */
  readonly errored?: Error | null | undefined
}

/**
 * What is used of a Node `Writable`: a stream that is written.
 *
 * **Details**
 *
 * It calls what is given to `write` once it has passed on the chunk, or has
 * failed to; its listeners of `finish` when everything was passed on and the end
 * was told, of `close` once it is gone, and of `error` with what it broke of.
 *
 * @category models
 * @since 0.1.0
 */
export interface WritableLike {
  on(event: string, listener: (...args: Array<any>) => void): unknown
  write(chunk: Uint8Array, callback?: (error?: Error | null) => void): boolean
  end(): unknown
  destroy(error?: Error): unknown
  readonly destroyed: boolean
  readonly closed: boolean
  /** Whether `end` was called. */
  readonly writableEnded: boolean
  /** Whether `finish` was told. */
  readonly writableFinished?: boolean | undefined
  /** What it was destroyed with. */
  readonly errored?: Error | null | undefined
  /** Of a stream that is read as well: whether it goes on when that has ended. It is made to. */
  allowHalfOpen?: boolean | undefined
}

/**
 * What is used of a Node `Duplex`.
 *
 * @category models
 * @since 0.1.0
 */
export interface DuplexLike extends ReadableLike, WritableLike {}

// ---------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------

/**
 * A connection over any transport, owned by the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromTransport = (transport: Transport, options?: Options): Effect.Effect<Connection, never, Scope.Scope> =>
  acquire(
    "Connection.fromTransport",
    Effect.sync(() =>
      Argument.stream("Connection.fromTransport", "transport", "a Transport", transport, transportMethods)
    ),
    options
  )

const transportMethods = ["attach", "pause", "resume", "write", "end", "close", "abort"] as const

const acquire = <E, R>(
  operation: string,
  transport: Effect.Effect<Transport, E, R>,
  input: Options | undefined
): Effect.Effect<Connection, E, R | Scope.Scope> =>
  Effect.contextWith((services: Context.Context<never>) => {
    const options = SessionOptions.resolve(operation, input === undefined ? {} : input)
    return acquireConnection(Effect.map(transport, (transport) => new SessionConnection(transport, options, services)))
  })

/**
 * Opens a TCP connection, or with `path` one to a Unix socket: asyncio's
 * `open_connection`. The scope owns it.
 *
 * **Details**
 *
 * A name with several addresses is tried with staggered attempts (RFC 8305);
 * the first to connect wins, and `ConnectFailed.attempts` has what came of each
 * of the others. Interrupting it leaves no attempt behind.
 *
 * **Example** (Reading a greeting)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ writer }) => writer.write("welcome\n"))
 *   const { reader } = yield* openConnection({ host: "127.0.0.1", port: server.port, connectTimeout: "5 seconds" })
 *   return new TextDecoder().decode(yield* reader.readUntil("\n"))
 * })
 *
 * const line = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)))
 * console.log(line.trimEnd()) // => welcome
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const openConnection: {
  (options: OpenOptions & { readonly tls?: undefined }): Effect.Effect<Connection, ConnectFailed, Network | Scope.Scope>
  (options: OpenOptions): Effect.Effect<Connection, ConnectFailed | TlsFailed, Network | Scope.Scope>
} = (options: OpenOptions): Effect.Effect<Connection, any, Network | Scope.Scope> => open("openConnection", options)

const open = (operation: string, options: OpenOptions): Effect.Effect<Connection, any, Network | Scope.Scope> =>
  Effect.suspend(() => {
    NetworkOptions.connect(operation, options)
    return acquire(
      operation,
      Effect.flatMap(Effect.service(Network), (network) => network.connect(options)),
      options
    )
  })

/**
 * Opens a connection to a Unix socket: asyncio's `open_unix_connection`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const openUnixConnection = (
  path: string,
  options?: Omit<OpenOptions, "host" | "port" | "path" | "localAddress" | "tls">
): Effect.Effect<Connection, ConnectFailed, Network | Scope.Scope> =>
  Effect.suspend(() => open("openUnixConnection", NetworkOptions.atPath("openUnixConnection", path, options)))

/**
 * A connection over a Node `Duplex`, or anything that behaves like one: an SSH
 * channel, a tunnel, a socket of a library's. The scope owns it.
 *
 * **Details**
 *
 * - Only the stream's own `end` is the end. A stream that is destroyed before, by whomever, or that fails, is
 *   `ConnectionLost` behind what it had read, with its error as the cause.
 * - What a method of the stream throws is the loss of this connection, and of no other.
 * - Text that the stream has decoded (`setEncoding`) is read as the bytes that it was decoded from. (A stream that
 *   decodes UTF-8 has already lost the bytes that are no UTF-8.) Text of a stream of texts is read as UTF-8.
 * - A chunk that is neither bytes nor text is `ConnectionLost`. The cause is a `TypeError` that says what it was.
 * - The other side may end first, and still be answered: `allowHalfOpen` is set to `true`.
 * - Aborting destroys the stream with an error, and resets a TCP socket.
 *
 * **Gotchas**
 *
 * A stream breaks as a whole. Two one-way streams, such as the pipes of a child
 * process, are for `fromPair`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromDuplex = (duplex: DuplexLike, options?: Options): Effect.Effect<Connection, never, Scope.Scope> =>
  acquire(
    "Connection.fromDuplex",
    Effect.sync(() => new DuplexTransport(checkedDuplex("Connection.fromDuplex", duplex))),
    options
  )

/**
 * A connection over two streams of Node's, one to read and one to write, or
 * anything that behaves like them: the pipes of a child process, two FIFOs. The
 * scope owns both.
 *
 * **When to use**
 *
 * For streams that are not one `Duplex`. Joined to one (`Duplex.from`) they would
 * break as a whole: the output of a process that does not read its input would be lost.
 *
 * **Details**
 *
 * The halves end apart, and break apart:
 *
 * - A writable that breaks, as that of a process does that has exited, fails writes with `ConnectionLost` (`BrokenPipe`).
 *   Reading goes on, to the end. Before anybody writes, a writable that is merely closed is no failure.
 * - A readable that breaks, or is destroyed in front of its end, fails reads with `ConnectionLost`, behind what it had
 *   read. Writing goes on.
 * - Either completes `connection.closed` with `Lost`. `close` sends everything written, and ends the writable; it says
 *   `Reset` if that had broken. What is still said is thrown away for 2 seconds at most, and then the readable is destroyed.
 * - `abort`, or a scope that fails, destroys both with an error.
 *
 * A process is not killed, nor waited for: it sees its input end. `startTls` is
 * `Unsupported`. What else holds of streams of Node's is said of `fromDuplex`.
 *
 * **Example** (A child process)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Connection } from "effect-byte-streams"
 * import { spawn } from "node:child_process"
 *
 * const program = Effect.gen(function* () {
 *   const child = spawn("sort")
 *   const { reader, writer } = yield* Connection.fromPair({ readable: child.stdout, writable: child.stdin })
 *   yield* writer.write("b\na\n")
 *   yield* writer.writeEof
 *   return new TextDecoder().decode(yield* reader.readAll({ maxBytes: 1000 }))
 * })
 *
 * const sorted = await Effect.runPromise(Effect.scoped(program))
 * console.log(JSON.stringify(sorted)) // => "a\nb\n"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromPair = (
  pair: { readonly readable: ReadableLike; readonly writable: WritableLike },
  options?: Options
): Effect.Effect<Connection, never, Scope.Scope> =>
  acquire(
    "Connection.fromPair",
    Effect.sync(() => new PairTransport(checkedPair("Connection.fromPair", pair))),
    options
  )

/**
 * A connection over a socket of Effect's own (`effect/socket/Socket`), for
 * transports that exist only there, such as WebSockets. The scope owns it.
 *
 * **Details**
 *
 * A clean close of the socket, an error with code 1000 there, is the end of the
 * stream here. The socket is pulled by one fiber, whatever happens above, and
 * writes fail rather than wait once it is gone.
 *
 * **Gotchas**
 *
 * Such a socket cannot half-close: `writeEof` sends what is written and closes
 * the writing side as far as the socket knows one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSocket = (
  socket: Socket.Socket,
  options?: Options
): Effect.Effect<Connection, Socket.SocketError, Scope.Scope> =>
  acquire(
    "Connection.fromSocket",
    Effect.suspend(() => {
      if (typeof socket !== "object" || socket === null || !("~effect/socket/Socket" in socket)) {
        throw Argument.wrongType("Connection.fromSocket", "socket", "a Socket of effect/socket", socket)
      }
      return Effect.flatMap(fromEffectSocket, ({ toTransport }) => toTransport(socket))
    }),
    options
  )

/**
 * A connection as one of Effect's own sockets, for libraries that are written
 * against those, such as Effect's RPC.
 *
 * **Details**
 *
 * The end of the stream is a close with code 1000 there, whichever side has
 * closed it. A loss is a `SocketReadError` or a `SocketWriteError` with the
 * error as its cause; so is an abort by this side.
 *
 * **Gotchas**
 *
 * A connection is one physical connection, and does not connect again. Once it
 * is over, and everything that arrived has been read, the socket's `reader`
 * cannot be acquired any more: that fails with what a pull would fail with.
 *
 * @category combinators
 * @since 0.1.0
 */
export const toSocket = (self: Connection): Socket.Socket => ({
  "~effect/socket/Socket": "~effect/socket/Socket",
  reader: Effect.flatMap(asEffectSocket, ({ reader }) => reader(self)),
  writer: Effect.flatMap(asEffectSocket, ({ writer }) => writer(self))
})

/**
 * How many bytes a relay has passed on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Relayed {
  /** From the first connection to the second, in bytes. */
  readonly forward: number
  /** From the second to the first, in bytes. */
  readonly backward: number
}

/**
 * Passes on what either connection brings to the other, until both have ended:
 * a proxy, once it has decided whom to connect.
 *
 * **Details**
 *
 * An end passes on as an end, and the other direction goes on (half-close).
 * Where one connection is lost the other is reset, so that nobody takes a cut for
 * an end, and the relay fails with the error. At most 64 KiB a direction are on
 * their way here, beside what the buffers of the connections hold: a slow side
 * slows the other one down.
 *
 * Interrupting it loses no byte: what was read and not written is back in the
 * reader it came from. Both connections stay open, and end with their scopes.
 *
 * **Example** (A proxy)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Connection, openConnection, startServer } from "effect-byte-streams"
 *
 * const proxy = startServer({ port: 0 }, (client) =>
 *   Effect.flatMap(openConnection({ host: "backend.example", port: 7000 }), (backend) =>
 *     Connection.relay(client, backend)
 *   ).pipe(Effect.scoped)
 * )
 *
 * console.log(typeof proxy) // => object
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const relay: (a: Connection, b: Connection) => Effect.Effect<Relayed, ReadError | WriteError> = Relay.relay

// `effect/socket/Socket` loads `Stream`, `Channel` and more: it is loaded when it is used
const fromEffectSocket = Effect.promise(() => import("./internal/transport/effectSocket.ts"))
const asEffectSocket = Effect.promise(() => import("./internal/session/asEffectSocket.ts"))

// ---------------------------------------------------------------------------
// layers
// ---------------------------------------------------------------------------

/**
 * A connection as a layer: `Connection`, `StreamReader` and `StreamWriter` of
 * one session, which lasts as long as the layer does.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConnection: {
  (
    options: OpenOptions & { readonly tls?: undefined }
  ): Layer.Layer<Connection | StreamReader | StreamWriter, ConnectFailed, Network>
  (options: OpenOptions): Layer.Layer<Connection | StreamReader | StreamWriter, ConnectFailed | TlsFailed, Network>
} = (options: OpenOptions): Layer.Layer<Connection | StreamReader | StreamWriter, any, Network> =>
  Layer.effectContext(Effect.map(open("Connection.layerConnection", options), services))

/**
 * The options of `openConnection` as settings: all of them as one `Config`, or
 * each as its own. Records, such as `timeouts` and `tls`, may be records of
 * them. What comes from nowhere else is `Config.succeed`.
 *
 * @category models
 * @since 0.1.0
 */
export type Settings =
  | Config.Config<OpenOptions>
  | (InternalSettings.Settings<Omit<OpenOptions, "tls">> & { readonly tls?: InternalSettings.ClientTls })

/**
 * `layerConnection` with its options taken from `Config`.
 *
 * **Details**
 *
 * A setting that is missing, or is not of its type, fails with `ConfigError`;
 * all are read before anything is connected to. A value that no connection can
 * have, such as a `limit` of 0, dies as it does from `layerConnection`. With
 * `tls` it can fail with `TlsFailed` too.
 *
 * **Example** (Settings from the environment)
 *
 * ```ts
 * import { Config } from "effect"
 * import { Connection } from "effect-byte-streams"
 *
 * const UpstreamLive = Connection.layerConfig({
 *   host: Config.String("UPSTREAM_HOST"),
 *   port: Config.Port("UPSTREAM_PORT"),
 *   limit: Config.Int("UPSTREAM_LIMIT").pipe(Config.withDefault(65536)),
 *   timeouts: { read: Config.Duration("UPSTREAM_TIMEOUT") },
 *   tls: {
 *     ca: Config.String("UPSTREAM_CA"),
 *     identity: { cert: Config.String("CLIENT_CERT"), key: Config.Redacted("CLIENT_KEY") }
 *   }
 * })
 *
 * console.log(typeof UpstreamLive) // => object
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: {
  (
    settings: InternalSettings.Settings<Omit<OpenOptions, "tls">> & { readonly tls?: never }
  ): Layer.Layer<Connection | StreamReader | StreamWriter, ConnectFailed | Config.ConfigError, Network>
  (
    settings: Settings
  ): Layer.Layer<Connection | StreamReader | StreamWriter, ConnectFailed | TlsFailed | Config.ConfigError, Network>
} = (settings: Settings): Layer.Layer<Connection | StreamReader | StreamWriter, any, Network> =>
  Layer.effectContext(
    Effect.flatMap(InternalSettings.read<OpenOptions>(settings), (options) =>
      Effect.map(open("Connection.layerConfig", options), services)
    )
  )

/**
 * The services of a connection, to provide to a program that asks for them.
 *
 * @category combinators
 * @since 0.1.0
 */
export const services = (self: Connection): Context.Context<Connection | StreamReader | StreamWriter> =>
  Context.make(Services.Connection, self).pipe(
    Context.add(Services.StreamReader, self.reader),
    Context.add(Services.StreamWriter, self.writer)
  )
