/** Node's addresses as values of `effect/net/NetAddress`. */
import * as NetAddress from "effect/net/NetAddress"
import { isIP } from "node:net"
import type * as Net from "node:net"
import { networkInterfaces } from "node:os"
import type { ConnectionInfo } from "../../Transport.ts"
import * as Endpoint from "../base/endpoint.ts"
import { codeOf } from "../transport/failure.ts"

/** How the system spells an IPv4 address on a socket of IPv6. */
const mapped = "::ffff:"

/**
 * `undefined` where Node has no address: the socket is gone, or has none. IPv4 is IPv4, also on a socket of IPv6: a list
 * of addresses must not be got past in another spelling.
 */
export const inet = (host: string | undefined, port: number | undefined): NetAddress.InetAddress | undefined => {
  if (host === undefined || port === undefined) return undefined
  if (host.startsWith(mapped) && host.includes(".")) {
    return NetAddress.inetAddressFromNativeUnsafe(host.slice(mapped.length), port)
  }
  const scopeIds = host.includes("%")
    ? NetAddress.scopeIdsFromInterfaces(Object.entries(networkInterfaces()))
    : undefined
  return NetAddress.inetAddressFromNativeUnsafe(host, port, scopeIds)
}

export const unix = (path: string): NetAddress.UnixPathAddress => NetAddress.unixPathAddress(path)

/**
 * The address of this end of every connection that a server accepts, if it listens on one address: asking the system
 * for each costs a call, and memory.
 */
export const ofEveryConnection = (server: Net.Server): NetAddress.InetAddress | undefined => {
  const listening = server.address()
  if (listening === null || typeof listening === "string") return undefined
  // a server on all addresses is reached at any of them, and an address of one link means nothing without the link
  return /^(0\.0\.0\.0$|::$|fe80:)/i.test(listening.address) ? undefined : inet(listening.address, listening.port)
}

const isOfThisMachine = (host: string): boolean => {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => Endpoint.canonical(address) === Endpoint.canonical(host))
  )
}

/**
 * Why an address cannot be bound to. `EINVAL` is what some say of an address that this machine does not have (Deno), and of
 * much else: so it is looked for.
 */
export const bindFailure = (error: unknown, host: string | undefined): unknown =>
  codeOf(error) !== "EINVAL" || host === undefined || isIP(host) === 0 || isOfThisMachine(host)
    ? error
    : Object.assign(new Error(`EADDRNOTAVAIL: this machine does not have the address ${host}`, { cause: error }), {
        code: "EADDRNOTAVAIL"
      })

/** Captured while the socket is open; Node forgets it at close. */
export const infoOf = (socket: Net.Socket, local?: NetAddress.InetAddress): ConnectionInfo => ({
  local: local ?? inet(socket.localAddress, socket.localPort),
  remote: inet(socket.remoteAddress, socket.remotePort)
})
