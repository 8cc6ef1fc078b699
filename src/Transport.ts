/**
 * The one seam between byte streams and the world.
 *
 * A transport pushes arriving bytes into a `Handler`, and takes bytes to send. A new kind of connection implements this
 * and nothing else. Buffers, limits, errors, timeouts and lifetimes are built on top, once. asyncio's `Transport` and
 * `Protocol` are the model.
 *
 * **When to use**
 *
 * To implement a transport of your own. `Connection.fromTransport` makes connections of such transports, and
 * `StreamLaws.transportSuite` tests them. Programs read and write with `StreamReader` and `StreamWriter`.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { SocketAddress } from "effect/net/NetAddress"
import type { TlsFailed } from "./StreamError.ts"
import type { StartTlsOptions, TlsInfo } from "./Tls.ts"

/**
 * The facts about one physical connection. They were captured when it was made, and are valid after its end.
 *
 * **Details**
 *
 * Connections over IPv4 have IPv4 addresses, also where a socket of IPv6 serves both: `127.0.0.1`, not
 * `::ffff:127.0.0.1`.
 *
 * @see `Connection.Connection`
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ConnectionInfo {
  /** The address of this side, where the transport has one. */
  readonly local: SocketAddress | undefined
  /** The address of the peer, where the transport has one. A client of a Unix socket has none. */
  readonly remote: SocketAddress | undefined
  /** The facts of the TLS handshake. Absent without TLS. */
  readonly tls?: TlsInfo | undefined
}

/**
 * The failure that broke a transport.
 *
 * @see {@link Handler}
 * @see `StreamError.ConnectionLost`, which programs are given.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  /** The kind of failure, the same on every system. */
  readonly kind: "Reset" | "BrokenPipe" | "TimedOut" | "Unreachable" | "Unknown"
  /** The kind of TLS failure, if TLS failed. Reads then fail with `TlsFailed` of that kind. */
  readonly tls?: TlsFailed["kind"] | undefined
  /** The system's own code, such as `ECONNRESET`. */
  readonly code?: string | undefined
  /** The error of the system, or of the stream below. */
  readonly cause?: unknown
}

/**
 * The callbacks of a transport.
 *
 * **Details**
 *
 * All calls come from the transport's own turns of the event loop, never from inside a call to the transport.
 *
 * @see {@link Transport}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Handler {
  /**
   * Bytes arrived, at least one. They belong to the handler from then on: the transport must not write into them again.
   * May come once more after `pause`, with bytes on their way. Never comes after `onEnd` or `onClose`.
   */
  onData(bytes: Uint8Array): void
  /**
   * Bytes arrived, in memory that the transport writes into again: they are the handler's only until this returns.
   * Called by transports that were asked to `lend`, or do so by themselves. A handler without it gets copies by
   * `onData`.
   */
  onLent?(bytes: Uint8Array): void
  /** The peer ended its output (FIN). Writing may go on. Called at most once. */
  onEnd(): void
  /** The system has all chunks of the last `write`. Called once after each `write` that returned `false`. */
  onDrain(): void
  /**
   * Writing has become impossible. Bytes that arrived before may still be read: delivery goes on until `onEnd` or
   * `onClose`.
   */
  onWriteFailure(failure: Failure): void
  /**
   * Reading has become impossible, and written bytes may still arrive. Called by transports whose directions break
   * apart. Nothing is delivered behind it, and `onEnd` does not come. For a handler without it `onClose` is called, and
   * the transport is aborted.
   */
  onReadFailure?(failure: Failure): void
  /**
   * The transport is over. The last call. Without a failure both directions ended in good order, and `onEnd` came
   * before: a stream that was merely cut off is not complete.
   */
  onClose(failure: Failure | undefined): void
}

/**
 * A two-way stream of bytes that pushes.
 *
 * **Details**
 *
 * The contract, which `StreamLaws` checks:
 *
 * - Nothing is delivered before `attach`, which is called once.
 * - No method calls the handler before it returns.
 * - A method that the handler calls from within a callback counts at once.
 * - No method throws. A method that does breaks its own connection: that is aborted, and fails with `ConnectionLost`,
 *   whose cause is the thrown value.
 * - No method has an effect after `abort`, or after `close` has let go.
 *
 * @see {@link Handler}
 * @see `Connection.fromTransport`, `StreamLaws.transportSuite`
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Transport {
  /** The facts about the connection. */
  readonly info: ConnectionInfo
  /** Sets the handler, and starts delivery. */
  attach(handler: Handler): void
  /** Stops delivery soon. Later bytes stay with the system, which slows the peer down. May be repeated. */
  pause(): void
  /** Goes on with delivery. May be repeated. */
  resume(): void
  /**
   * Asks to lend arriving bytes (`onLent`) from now on, where that spares an allocation. May be repeated. Transports
   * that cannot lend, or gain nothing, do not have this method, or go on as before.
   */
  lend?(): void
  /**
   * Sends chunks as one run of bytes.
   *
   * `true`: the system has taken them, and the memory belongs to the caller again. The caller may write into that
   * memory at once, so a transport that passes chunks on passes on copies. `false`: the transport keeps the chunks
   * until it calls `onDrain`, and `write` is not called before that.
   */
  write(chunks: ReadonlyArray<Uint8Array>): boolean
  /**
   * The number of bytes of the last `write` that the system has yet to take, or has refused, where that is known: at most
   * its size, and 0 behind `onDrain`. It tells a peer that takes little at a time from a peer that stopped reading.
   */
  readonly unsent?: number | undefined
  /** Ends the output (FIN) behind everything written. Delivery goes on. May be repeated. */
  end(): void
  /**
   * Lets go of the connection in good order. Everything written was handed over before.
   *
   * The output is ended, if it was not. Input that still arrives is thrown away for a bounded time: the system would
   * reset the connection otherwise, while the peer reads. `unread` says that unread input was thrown away already: the
   * peer may be in the middle of something.
   */
  close(unread?: boolean): void
  /** Drops everything and resets the connection. A transport without resets, such as a Unix socket, ends it instead. */
  abort(): void
  /**
   * Runs a task at the end of the turn. Small writes are sent as one then, and timeouts count turns by it before they
   * are judged. Only for transports with a clock that is moved by hand, which must know of all pending work. Without it
   * a task runs in a microtask.
   */
  readonly atEndOfTurn?: ((task: () => void) => void) | undefined
  /**
   * Turns the connection into an encrypted one. Everything written was handed over before. This transport then belongs
   * to the returned one, and no longer calls its handler. `leftover` has the first bytes of the peer's TLS, and is added
   * to as long as the handler is still called. If that goes on for long, the transport is paused until somebody attaches
   * to it. A failure or an interruption resets the connection. Transports without TLS do not have this method.
   */
  readonly startTls?:
    | ((options: StartTlsOptions, leftover: ReadonlyArray<Uint8Array>) => Effect.Effect<Transport, TlsFailed>)
    | undefined
  /**
   * Ends TLS in both directions, and returns the transport underneath. A failure or an interruption resets the
   * connection. Only encrypted transports have this method.
   */
  readonly stopTls?:
    | (() => Effect.Effect<
        {
          /** The plain transport. */
          readonly transport: Transport
          /**
           * Returns the bytes in front of all that `transport` delivers: the last ones in TLS, and the plain ones
           * behind. More of them may come until a handler is attached, so it is called right after that.
           */
          readonly leftover: () => ReadonlyArray<Uint8Array>
        },
        TlsFailed
      >)
    | undefined
}
