/** Node's addresses as values of `effect/net/NetAddress`. */
import * as NetAddress from "effect/net/NetAddress"
import type * as Net from "node:net"
import { networkInterfaces } from "node:os"
import type { ConnectionInfo } from "../Transport.ts"

/** `undefined` where Node has no address: the socket is gone, or has none. */
export const inet = (host: string | undefined, port: number | undefined): NetAddress.InetAddress | undefined =>
  host === undefined || port === undefined
    ? undefined
    : NetAddress.inetAddressFromNativeUnsafe(
        host,
        port,
        host.includes("%") ? NetAddress.scopeIdsFromInterfaces(Object.entries(networkInterfaces())) : undefined
      )

export const unix = (path: string): NetAddress.UnixPathAddress => NetAddress.unixPathAddress(path)

/** Captured while the socket is open; Node forgets it at close. */
export const infoOf = (socket: Net.Socket): ConnectionInfo => ({
  local: inet(socket.localAddress, socket.localPort),
  remote: inet(socket.remoteAddress, socket.remotePort)
})
