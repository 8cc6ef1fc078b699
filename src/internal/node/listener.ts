/** A socket that listens, whatever it is bound to. */
import * as Effect from "effect/Effect"
import type { SocketAddress } from "effect/net/NetAddress"
import * as Net from "node:net"
import type { ListenEvents } from "../../Network.ts"
import type { Transport } from "../../Transport.ts"
import { toFailure, toListenFailed } from "../transport/failure.ts"
import type { ListenFailed } from "../base/errors.ts"
import type { Listen } from "../base/networkOptions.ts"
import * as NodeAddress from "./address.ts"
import { setOptions, socketOptions } from "./connect.ts"
import { TcpTransport } from "./tcp.ts"
import { loadTls } from "./tls/load.ts"

/** One address that is listened on. */
export interface Bound {
  readonly address: SocketAddress
  /** Undoes what listening left behind. Comes before the server is closed. */
  readonly cleanup: () => void
}

/** A listener for transports and accept errors. */
export interface Accept extends ListenEvents {
  readonly onTransport: (transport: Transport) => void
  /**
   * All that were made: between the moment one listens and the moment somebody knows of it lie steps at which an
   * interruption can arrive.
   */
  readonly servers: Set<Net.Server>
}

export const nothing = (): void => {}

export const makeServer = (
  options: Pick<Listen, "noDelay" | "keepAlive">,
  accept: Accept,
  unixPath: string | undefined
): Net.Server => {
  const place = unixPath === undefined ? undefined : { info: { local: NodeAddress.unix(unixPath), remote: undefined } }
  let local: ReturnType<typeof NodeAddress.ofEveryConnection>
  const ofSockets = socketOptions(options)
  const server = Net.createServer({ ...ofSockets, pauseOnConnect: true }, (socket) => {
    setOptions(socket, ofSockets)
    accept.onTransport(new TcpTransport(socket, place ?? new NodeAddress.SocketPlace(socket, local), loadTls))
  }).on("error", (error) => {
    // before it listens, `start` is told as well
    if (server.listening) accept.onAcceptError?.(toFailure(error))
  })
  accept.servers.add(server)
  server.on("listening", () => {
    local = NodeAddress.ofEveryConnection(server)
  })
  return server
}

/**
 * Whether this process listens for itself: it is no worker of a cluster, or asks for it, or the primary process has let it
 * go. One that is asked for it nevertheless never answers.
 */
export const isOnItsOwn = (options: Pick<Net.ListenOptions, "exclusive">): boolean =>
  options.exclusive === true || !hasPrimary()

const hasPrimary = (): boolean => {
  try {
    return process.connected
  } catch {
    // a thread of such a process may not ask, and listens for itself
    return false
  }
}

/** Resolves once the server listens; closes it if that fails, or is given up. */
export const start = (
  server: Net.Server,
  options: Net.ListenOptions & { readonly backlog: number },
  label: string
): Effect.Effect<Net.Server, ListenFailed> =>
  Effect.callback<Net.Server, ListenFailed>((resume) => {
    const onListening = () => {
      server.off("error", onError)
      resume(Effect.succeed(server))
    }
    const onError = (error: Error) => {
      server.off("listening", onListening)
      resume(Effect.fail(toListenFailed(label, NodeAddress.bindFailure(error, options.host))))
    }
    server.once("listening", onListening)
    server.once("error", onError)
    // Node takes 0 for the default
    server.listen({ ...options, backlog: Math.max(1, options.backlog), exclusive: isOnItsOwn(options) })
    return Effect.sync(() => {
      server.off("listening", onListening)
      server.off("error", onError)
      server.close()
      // where others listen for this process, they may have begun
      server.once("listening", () => server.close())
    })
  })
