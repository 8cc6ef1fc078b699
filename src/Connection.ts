/**
 * One session: a reader, a writer, facts about the peer, and an end.
 *
 * A connection is one physical connection. It never connects again, and never repeats a write. Its scope decides its
 * end: a flush and a close on success, an abort on failure or interruption. A close that has begun is not undone by
 * either: the scope waits for it.
 *
 * **When to use**
 *
 * - `openConnection`: a connection for as long as a scope, such as one request or one session. The usual way.
 * - `layerConnection`, `layerConfig`: one connection for as long as a part of the application.
 * - `fromDuplex`, `fromPair`, `fromSocket`, `fromWebStreams`: streams that exist already. `fromTransport`: a transport of
 *   your own.
 * - `fromProcess`: a child process. `stdio`: this process's own standard input and output.
 * - `TestNetwork.simulate`, `TestNetwork.pair`: tests without sockets.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Channel from "effect/Channel"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ChildProcessHandle } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Argument from "./internal/base/argument.ts"
import { lazily } from "./internal/base/lazily.ts"
import { acquire as acquireConnection, acquireClient, SessionConnection } from "./internal/session/connection.ts"
import { Surroundings } from "./internal/session/surroundings.ts"
import { checkedDuplex, DuplexTransport } from "./internal/transport/duplex.ts"
import { checkedPair, PairTransport } from "./internal/transport/pair.ts"
import { type Process, stdioOf } from "./internal/transport/stdio.ts"
import * as Relay from "./internal/session/relay.ts"
import { exitTimeout } from "./internal/base/defaults.ts"
import * as Endpoint from "./internal/base/endpoint.ts"
import { Pending } from "./internal/base/pending.ts"
import * as Services from "./internal/base/tags.ts"
import * as NetworkOptions from "./internal/base/networkOptions.ts"
import * as SessionOptions from "./internal/session/options.ts"
import * as InternalSettings from "./internal/session/settings.ts"
import type { Timeouts as InternalTimeouts } from "./internal/runtime/timeouts.ts"
import { type ConnectOptions, Network } from "./Network.ts"
import type { ConnectFailed, ConnectionLost, ReadError, StreamTimeout, TlsFailed, WriteError } from "./StreamError.ts"
import type { StartTlsOptions } from "./Tls.ts"
import type { StreamReader } from "./StreamReader.ts"
import type { CloseOutcome, StreamWriter } from "./StreamWriter.ts"
import type { ConnectionInfo, Transport } from "./Transport.ts"

/**
 * How a session ended, or began to end.
 *
 * **Details**
 *
 * - `PeerEof`: the peer ended its output. The peer may have left, or may still read: TCP does not tell.
 * - `Lost`: the connection broke.
 * - `Local`: this side closed or aborted it.
 *
 * @see {@link Connection.closed}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Closed =
  | { readonly _tag: "PeerEof" }
  | {
      readonly _tag: "Lost"
      /** What broke the connection. */
      readonly error: ConnectionLost | StreamTimeout
    }
  | {
      readonly _tag: "Local"
      /** How the closing went. */
      readonly outcome: CloseOutcome
    }

/**
 * A connection.
 *
 * @see {@link openConnection}
 * @see `Server.startServer` for the side that accepts.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Connection {
  /** The reading half. */
  readonly reader: StreamReader
  /** The writing half. */
  readonly writer: StreamWriter
  /** The facts known when the connection was made, such as addresses. They stay valid after its end. */
  readonly info: ConnectionInfo
  /**
   * Completes when the session ends or the peer ends its output, also while nobody reads.
   *
   * **When to use**
   *
   * To give up work for a client that has left: `Effect.raceFirst(work, connection.closed)`.
   *
   * **Gotchas**
   *
   * - A peer that half-closes and goes on reading looks like one that has left. Its last bytes may still be unread: a
   *   handler that ends on `closed` drops them.
   * - The transport is paused while more than `2 * limit` bytes are unread. The end behind them is not seen until then.
   *
   * @see {@link Closed}
   */
  readonly closed: Effect.Effect<Closed>
  /**
   * Drops all unsent bytes and resets the connection. Never waits, never fails.
   *
   * **When to use**
   *
   * When the output is not complete and must not look so. `writer.close` ends a session in good order.
   *
   * **Gotchas**
   *
   * Unix sockets know no reset. Their peer reads the bytes that the system had taken, and then a clean end (`PeerEof`),
   * as after `close`. Its writes fail with `BrokenPipe`. A reset comes only where bytes of the peer were unread.
   *
   * So an abort, a failing scope and a timeout can look like a clean end over a Unix socket. A protocol over Unix
   * sockets must say by itself where a message is complete, by a length or by a last word. TLS does so: the peer's
   * reads fail with `TlsFailed`, kind `Truncated`.
   */
  readonly abort: Effect.Effect<void>
  /**
   * Turns the connection into an encrypted one, in place (STARTTLS). Returns a new connection.
   *
   * **When to use**
   *
   * For protocols that begin in plain text. Use the option `tls` for connections that begin with TLS.
   *
   * **Details**
   *
   * - It waits first until everything written was handed to the operating system. An interruption of that wait changes
   *   nothing.
   * - The scope of the call owns the new connection, which has the options of this one. The streams of this one answer
   *   `ClosedStream` with reason `Upgraded`, also to waiting fibers. Its `closed`, `close` and `abort` are those of the
   *   new one.
   * - Bytes that were read ahead fail the upgrade, or are given to TLS, as `leftover` says. They never become decrypted
   *   data.
   * - Once TLS has begun there is no way back to plain text: a failure or an interruption resets the connection.
   * - A failure is a `TlsFailed`, as its kinds say. It is a `ClosedStream` where this side has ended its output, or
   *   closes or aborts the connection meanwhile.
   * - A transport without TLS fails with kind `Unsupported`, and nothing has happened. Wrong arguments die, and nothing
   *   has happened.
   *
   * @see {@link Connection.stopTls}, `Tls.StartTlsOptions`
   */
  startTls(options: StartTlsOptions): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope>
  /**
   * Ends TLS, and goes on in plain text, where the peer agrees. Returns a new connection.
   *
   * **Details**
   *
   * - It sends `close_notify` behind everything written, and waits for that of the peer, for `handshakeTimeout` at
   *   most. A peer that ends TLS first is seen as any end: `stopTls` then is the answer.
   * - The scope of the call owns the new connection. Its reader begins with the decrypted bytes that were not read.
   *   Then come the last bytes that the peer sent in TLS, and then the plain ones.
   * - The streams of this one answer `ClosedStream` with reason `Upgraded`.
   * - A connection that begins with TLS must be `stoppable`. Otherwise, and without TLS, the kind is `Unsupported`, and
   *   nothing has happened.
   * - A peer that ends the connection instead is `Truncated`. One that does nothing is `Timeout`. One that sends no
   *   TLS, or more than 1 MiB, is `Handshake`. A failure or an interruption then resets the connection.
   *
   * @see {@link Connection.startTls}
   */
  readonly stopTls: Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope>
}

/**
 * The service tag of a connection.
 *
 * @see {@link layerConnection}, {@link services}
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export const Connection: Context.Service<Connection, Connection> = Services.Connection

/**
 * Timeouts of one connection. Default: none.
 *
 * **Details**
 *
 * - Each timeout fails with `StreamTimeout`, which names its kind and its length.
 * - `read` fails one read, and the connection goes on.
 * - `idle`, `write`, `total` and `minRate` end the connection: it is reset, and its descriptor is free. (Unix sockets
 *   know no reset: see `Connection.abort`.) Writes fail with `StreamTimeout`. Reads do so behind the bytes that arrived
 *   in time. Unsent bytes are dropped: `close` answers `TimedOut`, with their number.
 * - Closing stops all timeouts. `closeTimeout` is the bound from then on.
 * - A connection without timeouts has no timer. A connection with any number of them has one. Time is that of Effect's
 *   `Clock`.
 *
 * A timeout is judged only after the event loop has gone round. Bytes that had arrived are read first, and output is
 * sent as far as possible. So a peer does not pay for an event loop that stood still. For `read` and `minRate`, a
 * message of which a part has come is given the time of the stall for its rest.
 *
 * @see `StreamReader.within` for a timeout of one phase.
 * @see {@link Options}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Timeouts extends InternalTimeouts {}

/**
 * The options of every session, on either side.
 *
 * @see {@link OpenOptions}, `Server.Options`
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The limit of the read buffer, in bytes: how far a read looks for a separator. The transport is paused above twice
   * the limit. Default 65,536.
   */
  readonly limit?: number | undefined
  /** Writes wait above this number of unsent bytes. Default 65,536, or four times the low-water mark. */
  readonly highWaterMark?: number | undefined
  /** Waiting writes go on at this number of unsent bytes, or fewer. Default a quarter of the high-water mark. */
  readonly lowWaterMark?: number | undefined
  /**
   * The longest time that closing may take. Unsent bytes are dropped then. Time in which the event loop stands still
   * does not count for a peer that reads. Default 10 seconds.
   */
  readonly closeTimeout?: Duration.Input | undefined
  /** Timeouts of reading, writing and the whole connection. Default: none. */
  readonly timeouts?: Timeouts | undefined
  /**
   * The end of the connection when its scope fails or is interrupted, and nobody has begun to close it. `"abort"`
   * resets it, so that the peer does not take the output for complete. `"flush"` closes it in good order. Default
   * `"abort"`.
   *
   * Over a Unix socket an abort is a clean end for the peer: see `Connection.abort`.
   */
  readonly onScopeFailure?: "abort" | "flush" | undefined
}

/**
 * The options of `openConnection`: those of every session, and those of connecting.
 *
 * @see {@link Options}, `Network.ConnectOptions`
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface OpenOptions extends Options, ConnectOptions {}

/**
 * The part of a Node `Readable` that is used: a stream to read.
 *
 * **Details**
 *
 * The events in use are `data` with each piece, `end` behind the last one, `close` at the end of the stream's life, and
 * `error`. A paused stream emits no `data`.
 *
 * @see {@link fromPair}, {@link fromDuplex}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ReadableLike {
  /** Adds a listener of an event. */
  on(event: string, listener: (...args: Array<any>) => void): unknown
  /** Stops the flow of pieces. */
  pause(): unknown
  /** Starts the flow of pieces. */
  resume(): unknown
  /** Takes what was read ahead, or returns `null`. */
  read(): unknown
  /** Ends the stream at once, with an error or without. */
  destroy(error?: Error): unknown
  /** Whether `destroy` was called. */
  readonly destroyed: boolean
  /** Whether `close` was emitted. */
  readonly closed: boolean
  /** Whether `end` was emitted. */
  readonly readableEnded: boolean
  /** The encoding of a stream that emits text (`setEncoding`). */
  readonly readableEncoding?: string | null | undefined
  /** The error with which the stream was destroyed. */
  readonly errored?: Error | null | undefined
}

/**
 * The part of a Node `Writable` that is used: a stream to write.
 *
 * **Details**
 *
 * The events in use are `finish` when everything was passed on, `close` at the end of the stream's life, and `error`.
 *
 * @see {@link fromPair}, {@link fromDuplex}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface WritableLike {
  /** Adds a listener of an event. */
  on(event: string, listener: (...args: Array<any>) => void): unknown
  /** Writes a chunk. Calls `callback` once the chunk was passed on, or could not be. */
  write(chunk: Uint8Array, callback?: (error?: Error | null) => void): boolean
  /** Ends the stream behind everything written. */
  end(): unknown
  /** Ends the stream at once, with an error or without. */
  destroy(error?: Error): unknown
  /** Whether `destroy` was called. */
  readonly destroyed: boolean
  /** Whether `close` was emitted. */
  readonly closed: boolean
  /** Whether `end` was called. */
  readonly writableEnded: boolean
  /** Whether `finish` was emitted. */
  readonly writableFinished?: boolean | undefined
  /** The error with which the stream was destroyed. */
  readonly errored?: Error | null | undefined
  /** Of a stream that is read as well: whether writing goes on when reading has ended. It is set to `true`. */
  allowHalfOpen?: boolean | undefined
}

/**
 * The part of a Node `Duplex` that is used: a stream to read and to write.
 *
 * @see {@link fromDuplex}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface DuplexLike extends ReadableLike, WritableLike {}

/**
 * The part of a web `ReadableStream` that is used: a stream to read.
 *
 * @see {@link fromWebStreams}, {@link WebWritableLike}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface WebReadableLike {
  /** Locks the stream, and returns its reader. Asked first for one with `mode: "byob"`, then for any. */
  getReader(): {
    /** The next piece, or the end. */
    read(): Promise<{
      /** Whether the stream has ended. */
      readonly done: boolean
      /** The piece, where the stream has not ended. */
      readonly value?: unknown
    }>
    /** Tells the source that nobody will read on. */
    cancel(reason?: unknown): Promise<void>
  }
  /** Whether somebody has the stream already. */
  readonly locked: boolean
}

/**
 * The part of a web `WritableStream` that is used: a stream to write.
 *
 * @see {@link fromWebStreams}, {@link WebReadableLike}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface WebWritableLike {
  /** Locks the stream, and returns its writer. */
  getWriter(): {
    /** Writes a chunk. Completes once the stream has passed the chunk on. */
    write(chunk: Uint8Array<ArrayBuffer>): Promise<void>
    /** Ends the stream behind everything written. */
    close(): Promise<void>
    /** Drops what was not passed on, and tells the other end that the stream is not complete. */
    abort(reason?: unknown): Promise<void>
    /** Completes with the end of the stream, and fails if the stream breaks. */
    readonly closed: Promise<unknown>
  }
  /** Whether somebody has the stream already. */
  readonly locked: boolean
}

/**
 * A connection as two streams of the Web.
 *
 * @see {@link toWebStreams}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface WebStreams {
  /** The bytes that the peer sends. A stream of bytes, which gives `mode: "byob"`. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>
  /** The bytes to send. Takes `Uint8Array`, every other view, `ArrayBuffer`, and text, which is sent as UTF-8. */
  readonly writable: WritableStream<Uint8Array | ArrayBufferView | ArrayBuffer | string>
}

/**
 * The options of `fromProcess`: those of every session, and how the process ends.
 *
 * @see {@link fromProcess}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ProcessOptions extends Options {
  /**
   * The time that the process is given to exit, once its input has ended with the scope. It is then sent `SIGTERM`, and
   * `SIGKILL` after the same time again. Default 2 seconds.
   */
  readonly exitTimeout?: Duration.Input | undefined
}

// ---------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------

/**
 * A connection over a transport. The scope owns it.
 *
 * **When to use**
 *
 * For a transport of your own. `fromDuplex`, `fromPair` and `fromSocket` exist for the usual streams.
 *
 * **Details**
 *
 * A value that is no transport dies. A method of the transport that throws breaks this connection, and no other.
 *
 * @see `Transport` for the contract, `StreamLaws.transportSuite` for its tests.
 *
 * @stability unstable
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
    return acquireConnection(
      transport,
      (transport) => new SessionConnection(transport, options, new Surroundings(services), ofNoSide)
    )
  })

const ofNoSide = { side: undefined } as const

/** A transport that takes streams over. Once it has, an interruption ends them: nobody else would. */
const made = (make: () => Transport): Effect.Effect<Transport> =>
  Effect.contextWith((services: Context.Context<never>) => {
    const transport = make()
    Context.get(services, Pending)?.add(() => transport.abort())
    return Effect.succeed(transport)
  })

/**
 * Opens a TCP connection, or a Unix socket with `path`: asyncio's `open_connection`. The scope owns the connection.
 *
 * **When to use**
 *
 * For a connection that lives as long as a scope. Use `layerConnection` for one that lives as long as the application.
 *
 * **Details**
 *
 * - A name with several addresses is tried with staggered attempts (RFC 8305). The first to connect wins.
 *   `ConnectFailed.attempts` has the failure of each address.
 * - `connectTimeout` (default 30 seconds) bounds everything, the look-up of the name included.
 * - An interruption leaves no attempt behind.
 * - With `tls` the connection is returned after the handshake. A failed handshake is a `TlsFailed`.
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
 * @see {@link openUnixConnection}, {@link layerConnection}, {@link OpenOptions}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const openConnection: {
  (options: OpenOptions & { readonly tls?: undefined }): Effect.Effect<Connection, ConnectFailed, Network | Scope.Scope>
  (options: OpenOptions): Effect.Effect<Connection, ConnectFailed | TlsFailed, Network | Scope.Scope>
} = (options: OpenOptions): Effect.Effect<Connection, any, Network | Scope.Scope> => open("openConnection", options)

const open = (operation: string, options: OpenOptions): Effect.Effect<Connection, any, Network | Scope.Scope> =>
  Effect.contextWith((services: Context.Context<never>) => {
    const { host, path, port } = NetworkOptions.connect(operation, options)
    return acquireClient(
      services,
      () => path ?? Endpoint.label(host, port!),
      Effect.flatMap(Effect.service(Network), (network) => network.connect(options)),
      SessionOptions.resolve(operation, options)
    )
  })

/**
 * Opens a connection to a Unix socket: asyncio's `open_unix_connection`. The scope owns the connection.
 *
 * **Details**
 *
 * `openConnection({ path })` is the same, and can also speak TLS.
 *
 * **Gotchas**
 *
 * A server that aborts looks like one that ends in good order: see `Connection.abort`.
 *
 * Windows has named pipes instead, such as `\\.\pipe\app`. Any other path fails there with kind `Unsupported`.
 *
 * @see {@link openConnection}, `Server.startUnixServer`
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const openUnixConnection = (
  path: string,
  options?: Omit<OpenOptions, "host" | "port" | "path" | "localAddress" | "tls">
): Effect.Effect<Connection, ConnectFailed, Network | Scope.Scope> =>
  Effect.suspend(() => open("openUnixConnection", NetworkOptions.atPath("openUnixConnection", path, options)))

/**
 * A connection over a Node `Duplex`, or anything that behaves like one. The scope owns the stream.
 *
 * **When to use**
 *
 * For an SSH channel, a tunnel, or a socket that another library has made. Use `fromPair` for two one-way streams, such
 * as the pipes of a child process: a `Duplex` breaks as a whole.
 *
 * **Details**
 *
 * - Only the stream's own `end` is the end. A stream that fails, or is destroyed before its end, is a `ConnectionLost`
 *   behind the bytes it had read. Its error is the `cause`.
 * - A stream that somebody has begun to read is read on from there, also where their listener for `readable` is left,
 *   with which Node gives nothing by itself.
 * - A stream of HTTP/2 says that it has ended also where it was reset, or its session broke. Its `rstCode` tells, and it
 *   is a loss. (A reset with `NO_ERROR` is an end to Node, and so it is here.)
 * - A method of the stream that throws breaks this connection, and no other.
 * - Text that the stream has decoded (`setEncoding`) is read as the bytes that it was decoded from. (A stream that
 *   decodes UTF-8 has already lost bytes that are not UTF-8.) Text of a stream of texts is read as UTF-8.
 * - A chunk that is neither bytes nor text is a `ConnectionLost`. The `cause` is a `TypeError` that names the chunk.
 * - The other side may end first, and still be answered: `allowHalfOpen` is set to `true`.
 * - An abort destroys the stream with an error, and resets a TCP socket.
 *
 * **Gotchas**
 *
 * - Node's `TLSSocket` says that it has ended also where the connection was cut off without a `close_notify`. The option
 *   `tls` and `startTls` tell the two apart.
 * - The `Duplex` that `createWebSocketStream` of `ws` makes says that it has ended however its WebSocket was closed, also
 *   where that broke. `fromSocket` over Effect's `Socket.fromWebSocket` tells the two apart.
 *
 * @see {@link fromPair}, {@link fromSocket}, {@link DuplexLike}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromDuplex = (duplex: DuplexLike, options?: Options): Effect.Effect<Connection, never, Scope.Scope> =>
  acquire(
    "Connection.fromDuplex",
    made(() => new DuplexTransport(checkedDuplex("Connection.fromDuplex", duplex))),
    options
  )

/**
 * A connection over two Node streams: one to read, one to write. The scope owns both.
 *
 * **When to use**
 *
 * For streams that are not one `Duplex`: the pipes of a child process, two FIFOs. `Duplex.from` would join them, and
 * break both together: the output of a process that does not read its input would be lost.
 *
 * **Details**
 *
 * The halves end apart, and break apart:
 *
 * - A writable that breaks, such as the input of a process that has exited, fails writes with `ConnectionLost`
 *   (`BrokenPipe`). Reading goes on, to the end. A writable that is merely closed is no failure until the first write.
 * - A readable that breaks, or is destroyed before its end, fails reads with `ConnectionLost`, behind the bytes it had
 *   read. Writing goes on.
 * - Either completes `connection.closed` with `Lost`.
 * - `close` sends everything written, and ends the writable. Its outcome is `Reset` if the writable had broken. Input
 *   that still arrives is thrown away for 2 seconds at most; then the readable is destroyed.
 * - An abort, and a failing scope, destroy both with an error.
 * - A process is neither killed nor waited for: it sees its input end.
 * - The bodies of a request of HTTP/1 and of its answer are such a pair. A request that breaks off is lost, also behind the
 *   end of the answer, where Node says nothing. (What nobody has read of it by then Node throws away.)
 * - So are those that `node:http2` gives to programs of HTTP/1. A request that the client has reset before anybody reads
 *   it is lost: Node drops what had come, and says that it has ended.
 * - `startTls` is `Unsupported`. Text and odd chunks are treated as by `fromDuplex`.
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
 * @see {@link fromDuplex}, {@link ReadableLike}, {@link WritableLike}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromPair = (
  pair: {
    /** The stream to read, such as the `stdout` of a child process. */
    readonly readable: ReadableLike
    /** The stream to write, such as the `stdin` of a child process. */
    readonly writable: WritableLike
  },
  options?: Options
): Effect.Effect<Connection, never, Scope.Scope> =>
  acquire(
    "Connection.fromPair",
    made(() => new PairTransport(checkedPair("Connection.fromPair", pair))),
    options
  )

/**
 * A connection over two streams of the Web: one to read, one to write. The scope owns both.
 *
 * **When to use**
 *
 * For streams of a runtime other than Node, such as Deno's connections, Cloudflare's `connect()` and WebTransport, and
 * for `TransformStream`s.
 *
 * **Details**
 *
 * - Both streams are locked, and stay so.
 * - One chunk at a time is written, and the next one once the stream has passed the chunk on. So `flush` waits for that.
 *   A reader that does not read stops the pulling: at most one piece is on its way then.
 * - A stream of bytes (`type: "bytes"`) is read in pieces of 64 KiB at most, by a BYOB reader. Other streams are read in
 *   the pieces that they have.
 * - The halves end apart, and break apart, as with `fromPair`. A readable that fails is a `ConnectionLost` of reads,
 *   behind what was read. A writable that fails is one of writes, as soon as it is known. The reason is the `cause`.
 * - `close` closes the writable. Input that still arrives is thrown away for 2 seconds at most; then the readable is
 *   cancelled.
 * - An abort, and a failing scope, abort the writable and cancel the readable, with an error.
 * - `startTls` is `Unsupported`. A chunk that is neither bytes nor text is a `ConnectionLost`. Its `cause` is a
 *   `TypeError` that names the chunk. A stream that is locked already dies.
 *
 * **Gotchas**
 *
 * - A web stream that fails drops the chunks in its own queue. So bytes that the other end had written may be missing in
 *   front of a loss.
 * - What the peer hears of an abort is for the streams to say. Those that `Duplex.toWeb` makes of a socket of Node's close
 *   it, and the peer sees an end: give the socket itself to `fromDuplex`. Those of Deno and Cloudflare do the same.
 * - A `WebSocketStream` ends its readable at every close that both sides agreed on, whatever its code, and an abort
 *   closes it without one. There nothing but its `closed` tells what was broken off: use `fromSocket` for WebSockets.
 *
 * **Example** (Compressed bytes)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Connection } from "effect-byte-streams"
 *
 * const unzip = (compressed: ReadableStream<Uint8Array<ArrayBuffer>>) =>
 *   Effect.gen(function* () {
 *     const { readable, writable } = new DecompressionStream("gzip")
 *     const { reader } = yield* Connection.fromWebStreams({ readable, writable: new WritableStream() })
 *     void compressed.pipeTo(writable)
 *     return yield* reader.readLineText
 *   }).pipe(Effect.scoped)
 *
 * const compressed = new Blob(["one\ntwo\n"]).stream().pipeThrough(new CompressionStream("gzip"))
 * console.log((await Effect.runPromise(unzip(compressed)))._tag) // => Some
 * ```
 *
 * @see {@link toWebStreams} for the other way, {@link fromPair}
 * @see `StreamReader.fromReadableStream` for a stream that is only read.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromWebStreams = (
  streams: {
    /** The stream to read. */
    readonly readable: WebReadableLike
    /** The stream to write. */
    readonly writable: WebWritableLike
  },
  options?: Options
): Effect.Effect<Connection, never, Scope.Scope> =>
  acquire(
    "Connection.fromWebStreams",
    Effect.suspend(() => {
      const { readable, writable } = checkedWebStreams("Connection.fromWebStreams", streams)
      return Effect.flatMap(webStreams, ({ toTransport }) => made(() => toTransport(readable, writable)))
    }),
    options
  )

const checkedWebStreams = (
  operation: string,
  streams: { readonly readable: WebReadableLike; readonly writable: WebWritableLike }
) => {
  const { readable, writable } = Argument.record(operation, "streams", streams)
  Argument.stream(operation, "readable", "a ReadableStream", readable, ["getReader"])
  Argument.stream(operation, "writable", "a WritableStream", writable, ["getWriter"])
  for (const [name, { locked }] of Object.entries({ readable, writable })) {
    if (locked) throw new TypeError(`${operation}: ${name} must not be locked: somebody reads or writes it already`)
  }
  return { readable, writable }
}

/**
 * A connection to a child process of Effect's: its standard output is read, its standard input written. The scope ends
 * the process.
 *
 * **When to use**
 *
 * For a program that is spoken to by its pipes, such as a language server. Use `fromPair` for a process that was started
 * with `node:child_process`.
 *
 * **Details**
 *
 * - The end of the output is the end of the stream if the process exited with code 0, or goes on for a second. Otherwise
 *   it is a `ConnectionLost` (`Reset`), behind everything that the process said. Its code is `ERR_PROCESS_EXIT`. The
 *   `cause` names the exit code, or has the signal.
 * - A process that does not read its input fails writes with `ConnectionLost` (`BrokenPipe`). Its output is read to the
 *   end.
 * - `close` and `writeEof` end the input, behind everything written.
 * - A scope that succeeds closes the connection, and gives the process `exitTimeout` to exit by itself. It then sends
 *   `SIGTERM`, and `SIGKILL` after the same time again.
 * - An abort, and a failing scope, send `SIGTERM` at once, and `SIGKILL` after `exitTimeout`. The input ends when the
 *   process is gone: it must not take its input for complete.
 * - `flush` waits until Node has room for more: up to 16 KiB may lie there yet. `startTls` is `Unsupported`.
 *
 * **Gotchas**
 *
 * - A process writes its errors elsewhere: read `handle.stderr`, or start the process with `stderr: "inherit"` or
 *   `"ignore"`. One whose errors are not read stands still after some 100 KB.
 * - Nobody else may read `handle.stdout`, or run a stream into `handle.stdin`.
 *
 * **Example** (A process that counts)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import { ChildProcess } from "effect/process"
 * import { Connection } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const process = yield* ChildProcess.make("wc", ["-c"], { stderr: "inherit" })
 *   const { reader, writer } = yield* Connection.fromProcess(process)
 *   yield* writer.write("hello")
 *   yield* writer.writeEof
 *   return new TextDecoder().decode(yield* reader.readLine).trim()
 * })
 *
 * console.log(await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeServices.layer)))) // => 5
 * ```
 *
 * @see {@link stdio} for the other side, {@link fromPair}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromProcess = (
  handle: ChildProcessHandle,
  options?: ProcessOptions
): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.suspend(() => {
    const operation = "Connection.fromProcess"
    if (typeof handle !== "object" || handle === null || !("exitCode" in handle) || !("stdin" in handle)) {
      throw Argument.wrongType(operation, "handle", "a ChildProcessHandle", handle)
    }
    const time = options?.exitTimeout
    const bound = time === undefined ? exitTimeout : Argument.duration(operation, "exitTimeout", time)
    return acquire(
      operation,
      Effect.flatMap(childProcess, ({ open }) => open(handle, bound)),
      options
    )
  })

/**
 * A connection over this process's own standard input and output. The scope owns both.
 *
 * **When to use**
 *
 * For a program that another one starts and speaks to, such as a language server, and for a filter.
 *
 * **Details**
 *
 * - It is `fromPair` over `process.stdin` and `process.stdout`, and behaves so. It does not go through Effect's `Stdio`,
 *   whose `stdin` keeps a process that is done for as long as its input is open.
 * - `close` and `writeEof` end the standard output. A peer that reads by a pipe of the shell sees that when the process
 *   exits, and others at once.
 * - An abort drops what is unsent. The system knows no reset of it: a program that fails must exit with another code
 *   than 0, as `NodeRuntime.runMain` does. `fromProcess` takes that for a loss.
 * - Once the scope has ended, open input does not keep the process.
 *
 * **Gotchas**
 *
 * - Nobody else may write to the standard output. Effect's loggers do so by default: log to the standard error, with
 *   `Logger.withConsoleError`.
 * - `NodeRuntime.runMain` reports a failure by the default logger as well: turn that off with `disableErrorReporting`, and
 *   log it within a logger of your own.
 * - A process has one standard input: a second connection finds it at its end.
 *
 * **Example** (A filter)
 *
 * ```ts no-run
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Effect, Logger, Option } from "effect"
 * import { Connection } from "effect-byte-streams"
 *
 * const filter = Effect.gen(function* () {
 *   const { reader, writer } = yield* Connection.stdio()
 *   for (let line = yield* reader.readLineText; Option.isSome(line); line = yield* reader.readLineText) {
 *     yield* writer.write(`${line.value.toUpperCase()}\n`)
 *   }
 * })
 *
 * filter.pipe(
 *   Effect.scoped,
 *   Effect.tapCause((cause) => Effect.logError(cause)),
 *   Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
 *   NodeRuntime.runMain({ disableErrorReporting: true })
 * )
 * ```
 *
 * @see {@link fromProcess} for the other side, {@link fromPair}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const stdio = (options?: Options): Effect.Effect<Connection, never, Scope.Scope> =>
  acquire(
    "Connection.stdio",
    made(() => {
      const streams = stdioOf((globalThis as { readonly process?: Process }).process)
      if (streams === undefined)
        throw new Error("Connection.stdio: this runtime has no process.stdin and process.stdout")
      return new PairTransport(checkedPair("Connection.stdio", streams))
    }),
    options
  )

/**
 * A connection over one of Effect's own sockets (`effect/socket/Socket`). The scope owns it.
 *
 * **When to use**
 *
 * For transports that exist only there, such as WebSockets. `openConnection` is faster, and knows more about TCP.
 *
 * **Details**
 *
 * A clean close of the socket, which is an error with code 1000 there, is the end of the stream here. So is 1005: a
 * WebSocket that was closed without a code. One fiber pulls the socket. Writes fail instead of waiting once the socket is
 * gone.
 *
 * An abort, and a failing scope, are a close with code 4000: the peer of a WebSocket takes its input for lost. Over a
 * socket of this library (`toSocket`, `makeSocket`) the connection below is aborted.
 *
 * **Gotchas**
 *
 * - Such a socket cannot half-close. `writeEof` sends everything written, and closes the writing side as far as the
 *   socket has one. A WebSocket has none: its peer sees the end with `close`.
 * - Effect's own TCP sockets know no reset: an abort is a clean end for their peer, as over Unix sockets.
 * - Effect's own sockets have one connection at a time, and one that was closed lets go of its socket 2 seconds later at
 *   most. To connect anew before that, make another socket. One of `makeSocket` may be used again at once.
 * - A WebSocket accepts every write at once, and keeps what its peer does not read. Neither the high-water mark nor
 *   `timeouts.write` bounds that. One that cannot be paused, such as a browser's, also keeps what is not read here. The
 *   `highWaterMark` of `Socket.makeWebSocket` has it fail instead.
 *
 * @see {@link toSocket} for the other way.
 *
 * @stability unstable
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
 * The connection as one of Effect's own sockets (`effect/socket/Socket`).
 *
 * **When to use**
 *
 * For libraries that are written against those sockets, and a connection that is there already. Use `makeSocket` for a
 * socket that connects by itself, and `Server.layerSocketServer` for those of a server.
 *
 * **Details**
 *
 * The end of the stream is a close with code 1000 there, on either side. After a `CloseEvent` it is a close with the
 * code and the reason of that event. A loss is a `SocketReadError` or a `SocketWriteError`, with the error as its cause.
 * An abort by this side is one as well. A pull that waits when the reader's scope ends fails with code 1006.
 *
 * **Gotchas**
 *
 * - A connection never connects again. Once it is over and everything was read, acquiring the socket's `reader` fails
 *   as a pull would.
 * - The scopes of `reader` and `writer` do not end the connection. That of `writer` ends its output.
 * - `upgrade` is not supported: use `startTls`.
 *
 * @see {@link makeSocket}, {@link fromSocket} for the other way.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const toSocket = (self: Connection): Socket.Socket => {
  let socket: Socket.Socket | undefined
  const made = Effect.map(asEffectSocket, ({ make }) => (socket ??= make(self)))
  return {
    "~effect/socket/Socket": "~effect/socket/Socket",
    reader: Effect.flatMap(made, ({ reader }) => reader),
    writer: Effect.flatMap(made, ({ writer }) => writer)
  }
}

/**
 * One of Effect's own sockets (`effect/socket/Socket`) that opens a connection each time when its `reader` is acquired.
 *
 * **When to use**
 *
 * For Effect's RPC, its cluster, and whatever else is written against those sockets: with TLS, Unix sockets, bounds on
 * waiting, or a network in memory. Use `openConnection` in programs of your own.
 *
 * **Details**
 *
 * - Each acquisition of `reader` connects, with the `Network` (and the `BufferBudget`) of the program that made the
 *   socket. So `Effect.retry` connects again. A failure to connect is a `SocketOpenError`, with the error as its cause.
 * - Every end is a failure of `pull`. The end of the peer's output is a close with code 1000. After a `CloseEvent` it is
 *   a close with the code and the reason of that event. A loss is a `SocketReadError`, with the error as its cause.
 * - The end of the reader's scope fails a pull that waits, with code 1006. Then everything written is sent, for
 *   `closeTimeout` at most, and the connection is closed.
 * - A write without a connection waits for the next one. An interruption drops it. So does the end of the writer's
 *   scope; a write after that fails with `SocketWriteError`.
 * - A write on a connection that is over, or breaks, succeeds and is dropped: `pull` tells of the end. (Effect's RPC
 *   takes a write that fails for a defect.) What one connection has accepted is never sent on another.
 * - A `CloseEvent` sends everything written, and closes the connection, within `closeTimeout`.
 * - `upgrade` is `startTls` as a client, with `leftover: "fail"`. Pulls and writes wait for it, and go on encrypted. It
 *   fails with `SocketUpgradeError`. It takes one `key` and one `cert`.
 *
 * Wrong options die here, and not when the reader is acquired. Two of them have other defaults: `closeTimeout` is
 * 2 seconds, and `onScopeFailure` is `"flush"`, because the scope of such a socket always fails.
 *
 * **Gotchas**
 *
 * So an output that is cut off by a failure of its program ends in good order. `onScopeFailure: "abort"` is for
 * protocols that do not say by themselves where a message is complete.
 *
 * **Example** (A socket that connects again)
 *
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Socket } from "effect/socket"
 * import { Connection, NodeNetwork, startServer } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ writer }) => writer.write("welcome"))
 *   const socket = yield* Connection.makeSocket({ host: "127.0.0.1", port: server.port })
 *   const session = Effect.gen(function* () {
 *     const pull = yield* Socket.readerString(socket)
 *     console.log((yield* pull).join("")) // => welcome
 *     // the server has closed: this fails, and another connection is opened
 *     return yield* pull
 *   })
 *   return yield* session.pipe(Effect.scoped, Effect.retry(Schedule.recurs(1)), Effect.flip)
 * })
 *
 * const end = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)))
 * console.log(end.reason._tag) // => SocketCloseError
 * ```
 *
 * @see {@link layerSocket}, {@link toSocket}, `Server.layerSocketServer` for the other side.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const makeSocket = (options: OpenOptions): Effect.Effect<Socket.Socket, never, Network> =>
  makeSocketFor("Connection.makeSocket", options)

const makeSocketFor = (operation: string, input: OpenOptions): Effect.Effect<Socket.Socket, never, Network> =>
  Effect.contextWith((services: Context.Context<Network>) => {
    const options = SessionOptions.ofSocket(operation, input)
    NetworkOptions.connect(operation, options)
    SessionOptions.resolve(operation, options)
    const opened = open(operation, options).pipe(
      // whoever acquires the reader may have others
      Effect.provideService(Network, Context.get(services, Network)),
      Effect.provideService(Services.BufferBudget, Context.get(services, Services.BufferBudget))
    )
    return Effect.map(diallingSocket, ({ make }) => make(opened, options.onScopeFailure))
  })

/**
 * The connection as two streams of the Web.
 *
 * **When to use**
 *
 * For what takes web streams: the body of a `Response`, `CompressionStream`, `pipeTo`. Within Effect `StreamReader.stream`
 * and `StreamWriter.sink` do the same.
 *
 * **Details**
 *
 * - Nothing is read ahead: bytes that were not taken stay in the connection's reader. Each pull is one read. So nobody
 *   else may read meanwhile (`StreamBusy`).
 * - A write completes once the connection has taken the chunk, and waits above the high-water mark. The memory is the
 *   caller's again then.
 * - `writable.close()` sends everything written, and half-closes. `writable.abort(reason)` resets the connection.
 * - `readable.cancel(reason)` ends the reading. Bytes that were read for nobody go back to the connection's reader.
 * - Once both streams are over the connection is closed. Otherwise its scope ends it.
 * - A read that fails fails the readable, and a write that fails fails the writable. A connection that breaks for writing
 *   fails the writable as soon as it is known; where reading was over before, with the next write. The reason is the
 *   error itself, such as `ConnectionLost`.
 * - A chunk that is neither bytes nor text fails the writable with a `TypeError`, and resets the connection: what was sent
 *   must not look complete.
 *
 * **Gotchas**
 *
 * A web reader that lets go (`releaseLock`) while its read waits leaves the bytes of that read to the web stream. The next
 * web reader has them, and `cancel` drops them.
 *
 * **Example** (The body of a response)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Connection } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const program = Effect.gen(function* () {
 *   const { left, right } = yield* TestNetwork.pair()
 *   const { readable } = yield* Connection.toWebStreams(left)
 *   yield* right.writer.write("from a connection")
 *   yield* right.writer.close
 *   return yield* Effect.promise(() => new Response(readable).text())
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => from a connection
 * ```
 *
 * @see {@link fromWebStreams} for the other way, {@link toChannel}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const toWebStreams = (self: Connection): Effect.Effect<WebStreams> =>
  Effect.flatMap(asWebStreams, (module) =>
    Effect.contextWith((services: Context.Context<never>) => Effect.sync(() => module.toWebStreams(self, services)))
  )

/**
 * The connection as one of Effect's channels: what comes in is written, what the peer sends comes out.
 *
 * **When to use**
 *
 * For `Stream.pipeThroughChannelOrFail`, and for codecs that are channels. `StreamReader.stream` and
 * `StreamWriter.sink` are simpler where only one direction is a stream; `StreamReader.frames` and
 * `StreamWriter.frameSink` have messages.
 *
 * **Details**
 *
 * - The end of the input is sent behind it (`writeEof`). The channel ends with the peer's output, also in front of the end
 *   of the input: what that has yet to give is not written, since it may have no end.
 * - Input that fails ends the channel at once, with its error. The connection is left as it is: a scope that fails resets
 *   it.
 * - A write that fails does not end the channel at once: what the peer has said is still read. The channel then fails
 *   with the error of the write, where it would have ended.
 * - Bytes that the consumer does not take stay in the connection's reader. A consumer that leaves early stops the input.
 *   The connection stays open, and its scope ends it.
 *
 * **Example** (Through an echo server)
 *
 * ```ts
 * import { Channel, Effect, Stream } from "effect"
 * import { Connection, StreamReader, StreamWriter } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const echo = ({ reader, writer }: Connection.Connection) =>
 *   Effect.andThen(Stream.run(StreamReader.stream(reader), StreamWriter.sink(writer)), writer.writeEof)
 *
 * const program = Effect.gen(function* () {
 *   const { left, right } = yield* TestNetwork.pair()
 *   yield* Effect.forkChild(echo(right))
 *   const channel = Channel.unwrap(Connection.toChannel(left))
 *   return yield* Stream.make("there", " and ", "back").pipe(
 *     Stream.encodeText,
 *     Stream.pipeThroughChannelOrFail(channel),
 *     Stream.decodeText,
 *     Stream.mkString
 *   )
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => there and back
 * ```
 *
 * @see {@link toWebStreams}, `StreamReader.stream`, `StreamWriter.sink`
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const toChannel = <IE = never>(
  self: Connection
): Effect.Effect<
  Channel.Channel<
    NonEmptyReadonlyArray<Uint8Array>,
    ReadError | WriteError | IE,
    void,
    NonEmptyReadonlyArray<Uint8Array>,
    IE
  >
> => Effect.map(asChannel, (module) => module.toChannel<IE>(self))

/**
 * The number of bytes that a relay has passed on.
 *
 * @see {@link relay}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Relayed {
  /** From the first connection to the second, in bytes. */
  readonly forward: number
  /** From the second connection to the first, in bytes. */
  readonly backward: number
}

/**
 * Passes the bytes of each connection on to the other, until both have ended.
 *
 * **When to use**
 *
 * For a proxy, once it has chosen its backend.
 *
 * **Details**
 *
 * - An end is passed on as an end, and the other direction goes on (half-close).
 * - Where one connection is lost, the other one is reset, and the relay fails with the error. So no peer takes a cut
 *   for an end.
 * - Where this side closes one of them meanwhile, that one is sent all that it has accepted, and the other one is reset.
 * - At most 64 KiB for each direction are on their way here, beside the buffers of the connections. A slow side slows
 *   the other one down.
 * - An interruption loses no byte: bytes that were read and not written are back in their reader. Both connections stay
 *   open, and end with their scopes.
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
 * @see {@link Relayed}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const relay: (a: Connection, b: Connection) => Effect.Effect<Relayed, ReadError | WriteError> = Relay.relay

// `effect/socket/Socket` loads `Stream`, `Channel` and more: it is loaded when it is used
const fromEffectSocket = lazily(() => import("./internal/transport/effectSocket.ts"))
const asEffectSocket = lazily(() => import("./internal/session/asEffectSocket.ts"))
const diallingSocket = lazily(() => import("./internal/session/diallingSocket.ts"))

// as above: what only some programs need is loaded by those
const webStreams = Effect.promise(() => import("./internal/transport/webStreams.ts"))
const childProcess = Effect.promise(() => import("./internal/transport/process.ts"))
const asWebStreams = Effect.promise(() => import("./internal/session/asWebStreams.ts"))
const asChannel = Effect.promise(() => import("./internal/session/asChannel.ts"))

// ---------------------------------------------------------------------------
// layers
// ---------------------------------------------------------------------------

/**
 * A connection as a layer: `Connection`, `StreamReader` and `StreamWriter` of one session.
 *
 * **When to use**
 *
 * For programs that ask for their streams, and for one connection that lasts as long as the layer.
 *
 * **Gotchas**
 *
 * The connection is not opened again when it ends.
 *
 * @see {@link openConnection}, {@link layerConfig}
 *
 * @stability unstable
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
 * One of Effect's own sockets as a layer. Each acquisition of its `reader` opens a connection.
 *
 * **When to use**
 *
 * For layers that ask for such a socket, such as `RpcClient.layerProtocolSocket`.
 *
 * @see {@link makeSocket} for what it does, `Server.layerSocketServer` for the other side.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerSocket = (options: OpenOptions): Layer.Layer<Socket.Socket, never, Network> =>
  Layer.effectContext(
    Effect.flatMap(makeSocketFor("Connection.layerSocket", options), (socket) =>
      Effect.map(diallingSocket, ({ context }) => context(socket))
    )
  )

/**
 * The options of `openConnection` as settings: all of them as one `Config`, or each as a `Config` of its own.
 *
 * **Details**
 *
 * Records, such as `timeouts` and `tls`, may be records of settings. A constant is `Config.succeed(value)`.
 *
 * @see {@link layerConfig}, {@link OpenOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Settings =
  | Config.Config<OpenOptions>
  | (InternalSettings.Settings<Omit<OpenOptions, "tls">> & {
      /** Speaks TLS. As one setting, or as one for each option. Default: plain. */
      readonly tls?: InternalSettings.ClientTls
    })

/**
 * A connection as a layer, with its options from `Config`.
 *
 * **Details**
 *
 * All settings are read before anything is connected to. A setting that is missing, or has the wrong type, fails with
 * `ConfigError`. A value that no connection can have, such as a `limit` of 0, dies.
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
 * @see {@link layerConnection}, {@link Settings}
 *
 * @stability unstable
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
 * The services of a connection: `Connection`, `StreamReader` and `StreamWriter`.
 *
 * **When to use**
 *
 * To run a program that asks for its streams on a connection at hand (`Effect.provide`).
 *
 * @see {@link layerConnection}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const services = (self: Connection): Context.Context<Connection | StreamReader | StreamWriter> =>
  Context.make(Services.Connection, self).pipe(
    Context.add(Services.StreamReader, self.reader),
    Context.add(Services.StreamWriter, self.writer)
  )
