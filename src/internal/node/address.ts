/** Node's addresses as values of `effect/net/NetAddress`. */
import * as NetAddress from "effect/net/NetAddress"
import { isIP } from "node:net"
import type * as Net from "node:net"
import { networkInterfaces } from "node:os"
import type { ConnectionInfo } from "../../Transport.ts"
import * as Endpoint from "../base/endpoint.ts"
import { codeOf } from "../transport/failure.ts"
import type { Place } from "../transport/duplex.ts"
import { peerOf } from "./nodeInternals.ts"

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

/** Where a socket is. The system is asked while the socket is open; what it said is made sense of when somebody asks. */
export class SocketPlace implements Place {
  private known: ConnectionInfo | undefined = undefined
  private readonly local: NetAddress.InetAddress | Net.Socket["localAddress"]
  private readonly localPort: number | undefined
  private readonly remote: string | undefined
  private readonly remotePort: number | undefined

  /** `local`: the address of this end, where that is known. */
  constructor(socket: Net.Socket, local?: NetAddress.InetAddress) {
    this.local = local ?? socket.localAddress
    this.localPort = local === undefined ? socket.localPort : undefined
    const { address, port } = peerOf(socket)
    this.remote = address
    this.remotePort = port
  }

  get info(): ConnectionInfo {
    const { local } = this
    return (this.known ??= {
      local: typeof local === "object" ? local : inet(local, this.localPort),
      remote: inet(this.remote, this.remotePort)
    })
  }
}
