/**
 * The one seam between byte streams and the world.
 *
 * A transport pushes what arrives into a `Handler` and takes what is to be
 * sent. It is the only thing that a new kind of connection has to implement:
 * buffers, limits, errors, timeouts and lifetimes are built on top of it, once.
 * asyncio's `Transport` and `Protocol` are the model.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { SocketAddress } from "effect/net/NetAddress"
import type { TlsFailed } from "./StreamError.ts"
import type { StartTlsOptions, TlsInfo } from "./Tls.ts"

/**
 * What is known about one physical connection. Plain data, captured when the
 * connection was made and valid after it is gone.
 *
 * **Details**
 *
 * What came over IPv4 has IPv4 addresses, also where a socket of IPv6 serves
 * both: `127.0.0.1`, and not `::ffff:127.0.0.1`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectionInfo {
  /** This side's address, where the transport has one. */
  readonly local: SocketAddress | undefined
  /** The peer's address, where the transport has one. A client of a Unix socket has none. */
  readonly remote: SocketAddress | undefined
  /** What was agreed on, over TLS. */
  readonly tls?: TlsInfo | undefined
}

/**
 * Why a transport broke, in the system's words.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly kind: "Reset" | "BrokenPipe" | "TimedOut" | "Unreachable" | "Unknown"
  /** What TLS found, if it was TLS: what readers are told of. */
  readonly tls?: TlsFailed["kind"] | undefined
  /** The system's own code, such as `ECONNRESET`. */
  readonly code?: string | undefined
  readonly cause?: unknown
}

/**
 * What a transport calls. All calls come from the transport's own turns of the
 * event loop, never from inside a call made to the transport.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler {
  /**
   * Bytes arrived. They belong to the handler from now on: the transport must
   * not write into them again. May come once more after `pause`, with what was
   * already on its way; never after `onEnd` or `onClose`.
   */
  onData(bytes: Uint8Array): void
  /**
   * As `onData`, with bytes that are the handler's only until it returns: they
   * lie in memory that is written into again. From a transport that was asked to
   * `lend`, or does so of itself; a handler without it is given copies.
   */
  onLent?(bytes: Uint8Array): void
  /** The peer ended its output (FIN). Writing may go on. At most once. */
  onEnd(): void
  /** All that `write` was given has been handed to the system. Called once after each `write` that returned `false`. */
  onDrain(): void
  /**
   * Writing has become impossible, while what arrived before may still be
   * read: the transport goes on delivering until `onEnd` or `onClose`.
   */
  onWriteFailure(failure: Failure): void
  /**
   * Reading has become impossible, while what is written may still arrive: from
   * transports whose directions break apart. Nothing is delivered behind it, and
   * `onEnd` does not come. A handler without it is told by `onClose`, and the
   * transport is aborted.
   */
  onReadFailure?(failure: Failure): void
  /**
   * The last call. Without a failure both directions ended in good order, and
   * `onEnd` came before: what is merely cut off is not complete.
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
 * - No method throws. One that does breaks its connection, and no other: it is
 *   aborted, and fails with `ConnectionLost`, whose cause is what was thrown.
 * - After `abort`, and after `close` has let go, no method has an effect.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transport {
  readonly info: ConnectionInfo
  /** Names who is called, and starts delivery. */
  attach(handler: Handler): void
  /** Stops delivery soon: what the peer sends stays with the system, which slows the peer down. Idempotent. */
  pause(): void
  /** Goes on delivering. Idempotent. */
  resume(): void
  /**
   * From now on what arrives is lent to the handler (`onLent`) where that spares
   * an allocation, and not given away. Idempotent. A transport that cannot do
   * it, or has nothing to gain, does not have it, or goes on as before.
   */
  lend?(): void
  /**
   * Sends chunks as one run of bytes. `true`: the system has taken them and the
   * memory is the caller's again. `false`: the transport holds on to them until
   * it calls `onDrain`; until then `write` is not called again. Memory that is
   * the caller's again is written into at once: whoever passes chunks on to what
   * may keep them passes on copies.
   */
  write(chunks: ReadonlyArray<Uint8Array>): boolean
  /**
   * How many bytes of the last `write` the system has yet to take, where that is
   * known before it has taken them all. By it a peer that takes little at a time
   * is told from one that stopped reading.
   */
  readonly unsent?: number | undefined
  /** Ends the output (FIN) behind everything written. Delivery goes on. Idempotent. */
  end(): void
  /**
   * Lets go of the connection in good order. Everything written has been handed
   * over; the output is ended if it was not, and input that still arrives is
   * thrown away, for a bounded time, so that the system has no reason to reset
   * the connection while the peer still reads. `unread`: some was thrown away
   * already, and so the peer may be in the middle of something.
   */
  close(unread?: boolean): void
  /** Drops everything and resets the connection, or ends it where the transport knows no reset, such as a Unix socket. */
  abort(): void
  /**
   * Does something at the end of the turn: what was written in small pieces is
   * sent as one then, and timeouts count by it the turns in which what has come
   * is read before they are judged. Only for transports that go by a clock which is moved by
   * hand, and which has to know of everything that is left to do; without it, it
   * is done in a microtask.
   */
  readonly atEndOfTurn?: ((task: () => void) => void) | undefined
  /**
   * Turns the connection into an encrypted one. Everything written has been
   * handed over; from now on the transport belongs to the one that is returned,
   * and no longer calls its handler. `leftover` is the beginning of what the
   * peer says in TLS. Where it fails or is interrupted, the connection is reset.
   * Transports that cannot do it do not have it.
   */
  readonly startTls?:
    | ((options: StartTlsOptions, leftover: ReadonlyArray<Uint8Array>) => Effect.Effect<Transport, TlsFailed>)
    | undefined
  /**
   * Ends TLS in both directions, and returns what is underneath, with the bytes
   * that come before all that it delivers: what was still said in TLS, and what
   * followed in plain text. More of the latter may come in until somebody is
   * attached to it, and so `leftover` is to be asked right after that. Where it
   * fails or is interrupted, the connection is reset. Only an encrypted transport
   * has it.
   */
  readonly stopTls?:
    | (() => Effect.Effect<
        { readonly transport: Transport; readonly leftover: () => ReadonlyArray<Uint8Array> },
        TlsFailed
      >)
    | undefined
}
