/**
 * The service that connects and listens.
 *
 * A program depends on this service, and not on Node. `NodeNetwork.layer` provides it with real sockets,
 * `TestNetwork.simulate` and `TestNetwork.layer` with a network in memory.
 *
 * **When to use**
 *
 * Programs use `openConnection` and `startServer`, which ask for this service. Use it directly to implement a network,
 * or to wrap one.
 *
 * @stability unstable
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
 * The options of connecting.
 *
 * @see `Connection.OpenOptions`, which adds the options of a session.
 * @see {@link ListenOptions} for the other side.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ConnectOptions {
  /** The name or the IP address to connect to. Default `"localhost"`. */
  readonly host?: string | undefined
  /** The TCP port to connect to. Either `port` or `path` is required, and not both. */
  readonly port?: number | undefined
  /**
   * The path of a Unix socket to connect to. On Linux a leading `"\0"` names an abstract one. A relative path belongs
   * to the directory in which connecting begins. On Windows it is the name of a pipe, such as `\\.\pipe\app`; any other
   * fails with kind `Unsupported`.
   *
   * While the queue of the server is full, connecting is tried again until `connectTimeout`. The first wait is a
   * millisecond, and the longest a second.
   */
  readonly path?: string | undefined
  /**
   * The longest time that connecting may take, with all attempts and the look-up of the name. Default 30 seconds. A
   * stall of the event loop does not count against steps that could not be made meanwhile.
   */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * The time for which one address is tried alone, before the next one is tried beside it (RFC 8305). Default 250
   * milliseconds. `"Infinity"` tries one after the other.
   */
  readonly attemptDelay?: Duration.Input | undefined
  /** The address and the port to connect from. Default: the system chooses. */
  readonly localAddress?:
    | {
        /** The IP address to connect from. Default: the system chooses. */
        readonly host?: string | undefined
        /** The port to connect from. Default: the system chooses. */
        readonly port?: number | undefined
      }
    | undefined
  /** Whether small writes go out without waiting for acknowledgements (TCP_NODELAY). Default `true`. */
  readonly noDelay?: boolean | undefined
  /**
   * Whether the system probes an idle connection, to find out that the peer is gone without a word. A duration is the
   * idle time before the first probe, in whole seconds, rounded up, at most 32,767. `true` takes the system's own time,
   * two hours on Linux. Default `false`.
   */
  readonly keepAlive?: boolean | Duration.Input | undefined
  /** Speaks TLS. `true` has the defaults: the name of the host, and the authorities that Node ships. Default: plain. */
  readonly tls?: true | Tls.ClientOptions | undefined
}

/**
 * The options of listening.
 *
 * @see `Server.Options`, which adds the options of a server.
 * @see {@link ConnectOptions} for the other side.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ListenOptions {
  /**
   * The names or IP addresses to listen on. Default, also for `""`: all interfaces, over IPv6 and IPv4.
   *
   * Each address is listened on once, however often and in any spelling. A name stands for all its addresses. Those
   * that this machine does not have are passed over, if it has another one of that name. `"::"` beside IPv4 addresses
   * is IPv6 alone: `["::", "0.0.0.0"]` is both, as in asyncio.
   */
  readonly host?: string | ReadonlyArray<string> | undefined
  /**
   * The TCP port to listen on. 0 lets the system choose, one for each address. Either `port` or `path` is required, and
   * not both.
   */
  readonly port?: number | undefined
  /**
   * The path of a Unix socket to listen on. On Linux a leading `"\0"` names an abstract one. A relative path belongs to
   * the directory in which listening begins, also when it is removed at close. On Windows it is the name of a pipe, such
   * as `\\.\pipe\app`; any other fails with kind `Unsupported`.
   */
  readonly path?: string | undefined
  /**
   * The longest time that finding the addresses of a name may take. Names are looked up at the same time. A longer
   * look-up fails with `ListenFailed`, kind `Timeout`. Default 30 seconds.
   */
  readonly lookupTimeout?: Duration.Input | undefined
  /**
   * The number of connections that the system may hold before they are accepted. It also bounds the connections that
   * wait because of `maxConnections`. Default 511. The system holds 1 at least, also with 0.
   */
  readonly backlog?: number | undefined
  /**
   * The highest number of TLS handshakes under way at a time. One client more, and the handshake that began first is
   * given up: `onHandshakeError` is told of it, with kind `Handshake`. So clients that never end theirs cannot hold all
   * descriptors, nor keep others out. Default: no bound. For a server with `maxConnections` that number and `backlog`
   * together.
   */
  readonly maxHandshakes?: number | undefined
  /**
   * Whether several processes may listen on the same port. Fails with kind `Unsupported` where the system does not
   * distribute connections over them, such as on macOS and Windows. Default `false`.
   */
  readonly reusePort?: boolean | undefined
  /** Whether a `node:cluster` worker keeps its port or path to itself. Default `false`: workers share it. */
  readonly exclusive?: boolean | undefined
  /** Whether the IPv6 wildcard takes IPv6 alone. Default: `true` beside IPv4 addresses in `host`, otherwise `false`. */
  readonly ipv6Only?: boolean | undefined
  /**
   * The permissions of a Unix socket's path, such as `0o660`. The path has them from the first moment. (A path that
   * workers of a `node:cluster` share gets them right after.) Default: as the umask of the process says.
   */
  readonly mode?: number | undefined
  /**
   * Whether a Unix socket's path is removed at close, if it is still the server's. Default `true`. A path that workers
   * of a `node:cluster` share is removed in any case, when the last of them has stopped.
   */
  readonly cleanupSocket?: boolean | undefined
  /** Whether small writes go out without waiting for acknowledgements (TCP_NODELAY). Default `true`. */
  readonly noDelay?: boolean | undefined
  /** Whether the system probes idle connections, as in `ConnectOptions`. Default `false`. */
  readonly keepAlive?: boolean | Duration.Input | undefined
  /** Speaks TLS. Default: plain. */
  readonly tls?: Tls.ServerOptions | undefined
}

/**
 * Callbacks for events of listening. All are called outside of any fiber.
 *
 * @see {@link Network}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ListenEvents {
  /** Called when the system could not accept a connection. Listening goes on. */
  readonly onAcceptError?: ((failure: Failure) => void) | undefined
  /** Called when a TLS handshake failed. Its connection is gone. */
  readonly onHandshakeError?: ((error: TlsFailed, info: ConnectionInfo) => void) | undefined
}

/**
 * A network's listening half, as long as it listens.
 *
 * @see {@link Network}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Listener {
  /** The addresses that are listened on, with the chosen ports. */
  readonly addresses: readonly [SocketAddress, ...Array<SocketAddress>]
  /** Stops listening. Accepted connections go on. May be repeated; the end of the scope does the same. */
  readonly close: Effect.Effect<void>
}

/**
 * The service that connects and listens.
 *
 * @see `NodeNetwork.layer`, `TestNetwork.layer`
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class Network extends Context.Service<
  Network,
  {
    /**
     * Opens a connection. The transport belongs to the caller, which must attach a handler, and close or abort the
     * transport. An interruption leaves no attempt behind.
     */
    readonly connect: (options: ConnectOptions) => Effect.Effect<Transport, ConnectFailed | TlsFailed>
    /**
     * Listens until the scope closes. Calls `onTransport` for each accepted connection, outside of any fiber; over TLS
     * once the handshake is done. Nothing is read from a transport before something attaches to it.
     */
    readonly listen: (
      options: ListenOptions,
      onTransport: (transport: Transport) => void,
      events?: ListenEvents
    ) => Effect.Effect<Listener, ListenFailed, Scope.Scope>
  }
>()("effect-byte-streams/Network") {}
