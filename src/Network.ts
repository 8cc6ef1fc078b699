/**
 * The service that connects and listens. Programs depend on this, not on Node:
 * `NodeNetwork.layer` provides it with real sockets.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { SocketAddress } from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type { ConnectFailed, ListenFailed, TlsFailed } from "./StreamError.ts"
import type * as Tls from "./Tls.ts"
import type { ConnectionInfo, Failure, Transport } from "./Transport.ts"

/**
 * Where to connect to, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectOptions {
  /** A name or an IP address. Default `"localhost"`. */
  readonly host?: string | undefined
  /** A TCP port. Either this or `path` is required, and not both. */
  readonly port?: number | undefined
  /**
   * The path of a Unix socket; on Linux a leading `"\0"` names an abstract one.
   * A relative one is that of the directory in which connecting begins. While
   * the server's queue is full connecting is tried again, first after a
   * millisecond and then ever more slowly, up to once a second, until
   * `connectTimeout`.
   */
  readonly path?: string | undefined
  /**
   * The most that connecting may take, all attempts together. Default 30
   * seconds. Where the event loop stands still for longer, what came meanwhile
   * is looked at first, and steps that could not be made have that time.
   */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * How long one address is tried alone before the next one is tried beside it
   * (RFC 8305). Default 250 milliseconds. `"Infinity"` tries one after the other.
   */
  readonly attemptDelay?: Duration.Input | undefined
  /** The address, and port, to connect from. */
  readonly localAddress?: { readonly host?: string | undefined; readonly port?: number | undefined } | undefined
  /** Whether small writes go out without waiting for acknowledgements (TCP_NODELAY). Default `true`. */
  readonly noDelay?: boolean | undefined
  /**
   * Probes an idle connection, so that a peer that is gone without a word is found out. The idle time before the first
   * probe, in whole seconds, rounded up, 32,767 at most; or `true` for the system's own, two hours on Linux. Default off.
   */
  readonly keepAlive?: boolean | Duration.Input | undefined
  /** Speaks TLS; `true` with the defaults: the host's name, Node's authorities. Default: plain. */
  readonly tls?: true | Tls.ClientOptions | undefined
}

/**
 * Where to listen, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListenOptions {
  /**
   * Names or IP addresses to listen on. Default, also for `""`: all interfaces,
   * over IPv6 and IPv4.
   *
   * Every address is listened on once, however often and in whatever spelling
   * it is named. Of a name all addresses are; those that this machine does not
   * have are passed over, if it has another one of that name. `"::"` beside IPv4
   * addresses is IPv6 alone, so that `["::", "0.0.0.0"]` is both, as in asyncio.
   */
  readonly host?: string | ReadonlyArray<string> | undefined
  /** A TCP port; 0 lets the system choose, one for each address. Either this or `path` is required, and not both. */
  readonly port?: number | undefined
  /**
   * The path of a Unix socket; on Linux a leading `"\0"` names an abstract one.
   * A relative one is that of the directory in which listening begins, also when
   * it is removed at close, wherever the process has gone meanwhile.
   */
  readonly path?: string | undefined
  /**
   * The most that finding the addresses of a name may take; names are looked up
   * at the same time. What takes longer fails with `ListenFailed`, kind
   * `Timeout`. Default 30 seconds.
   */
  readonly lookupTimeout?: Duration.Input | undefined
  /** How many connections the system may hold that have not been accepted. Default 511. */
  readonly backlog?: number | undefined
  /** Lets several processes listen on the same port, where the system supports it. Default `false`. */
  readonly reusePort?: boolean | undefined
  /** Inside a `node:cluster` worker: do not share the port, or the path, with other workers. Default `false`. */
  readonly exclusive?: boolean | undefined
  /** Listen to IPv6 alone on the IPv6 wildcard. Default: `true` beside IPv4 addresses in `host`, otherwise `false`. */
  readonly ipv6Only?: boolean | undefined
  /**
   * The permissions of a Unix socket's path, such as `0o660`. Default: as the
   * process's umask says. The path has them from the beginning; one that workers
   * of a `node:cluster` share gets them right after.
   */
  readonly mode?: number | undefined
  /**
   * Remove a Unix socket's path at close, if it is still ours. Default `true`.
   * One that workers of a `node:cluster` share is removed in any case, by the
   * primary process, when the last of them has stopped.
   */
  readonly cleanupSocket?: boolean | undefined
  /** As for `ConnectOptions`, of accepted connections. Default `true`. */
  readonly noDelay?: boolean | undefined
  /** As for `ConnectOptions`, of accepted connections. Default off. */
  readonly keepAlive?: boolean | Duration.Input | undefined
  /** Speaks TLS. Default: plain. */
  readonly tls?: Tls.ServerOptions | undefined
}

/**
 * Who is told of what happens while listening. All are called outside of any
 * fiber.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListenEvents {
  /** The system could not accept a connection; listening goes on. */
  readonly onAcceptError?: ((failure: Failure) => void) | undefined
  /** A handshake failed; the connection is gone. */
  readonly onHandshakeError?: ((error: TlsFailed, info: ConnectionInfo) => void) | undefined
}

/**
 * Something that listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Listener {
  /** The addresses listened on, with the ports that were chosen. */
  readonly addresses: readonly [SocketAddress, ...Array<SocketAddress>]
  /** Stops listening. Accepted connections go on. Idempotent; also done when the scope closes. */
  readonly close: Effect.Effect<void>
}

/**
 * The service that connects and listens.
 *
 * @category services
 * @since 0.1.0
 */
export class Network extends Context.Service<
  Network,
  {
    /** Opens a connection. The transport belongs to the caller, who must attach to it, close or abort it. */
    readonly connect: (options: ConnectOptions) => Effect.Effect<Transport, ConnectFailed | TlsFailed>
    /**
     * Listens until the scope closes. `onTransport` is called for each accepted
     * connection, outside of any fiber; nothing is read from it until it is
     * attached to. Over TLS it is called once the handshake is done.
     */
    readonly listen: (
      options: ListenOptions,
      onTransport: (transport: Transport) => void,
      events?: ListenEvents
    ) => Effect.Effect<Listener, ListenFailed, Scope.Scope>
  }
>()("effect-byte-streams/Network") {}
