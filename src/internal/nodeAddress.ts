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

/**
 * The address of this end of every connection that a server accepts, if it listens on one address: asking the system
 * for each costs a call, and memory.
 */
export const ofEveryConnection = (server: Net.Server): NetAddress.InetAddress | undefined => {
  const listening = server.address()
  if (listening === null || typeof listening === "string") return undefined
  // whoever listens on all addresses is reached at any, and those of one link are nothing without it
  return /^(0\.0\.0\.0$|::$|fe80:)/i.test(listening.address) ? undefined : inet(listening.address, listening.port)
}

/** Captured while the socket is open; Node forgets it at close. */
export const infoOf = (socket: Net.Socket, local?: NetAddress.InetAddress): ConnectionInfo => ({
  local: local ?? inet(socket.localAddress, socket.localPort),
  remote: inet(socket.remoteAddress, socket.remotePort)
})
