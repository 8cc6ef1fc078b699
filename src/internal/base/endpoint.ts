/** Addresses to connect to and to listen on, as text. */
import * as NetAddress from "effect/net/NetAddress"
import type { ListenOptions } from "../../Network.ts"
import type { ConnectionInfo } from "../../Transport.ts"

/** As people write it. `undefined` is all interfaces. */
export const label = (host: string | undefined, port: number): string =>
  host?.includes(":") === true ? `[${host}]:${port}` : `${host ?? "*"}:${port}`

/** All that a server is to listen on. */
export const listening = ({ host = "", path, port }: ListenOptions): string =>
  path ?? (typeof host === "string" ? [host] : host).map((one) => label(one === "" ? undefined : one, port!)).join(", ")

const peers = new WeakMap<ConnectionInfo, string>()

/** The other side of a connection, for those who read of its errors; formatted once. */
export const peerOf = (info: ConnectionInfo): string | undefined => {
  const { remote } = info
  if (remote === undefined) return undefined
  let peer = peers.get(info)
  if (peer === undefined) {
    peer = remote._tag === "UnixPathAddress" ? remote.path : NetAddress.formatInet(remote)
    peers.set(info, peer)
  }
  return peer
}

/** What one host comes to. */
export interface Found {
  /** Its addresses. `undefined` is all interfaces. */
  readonly addresses: ReadonlyArray<string | undefined>
  /** Whether it is an address itself, and no name that was looked up. */
  readonly literal: boolean
}

/** What a server has to listen on. */
export interface Places {
  /** Each address once. */
  readonly addresses: ReadonlyArray<string | undefined>
  /** Whether an IPv6 wildcard leaves IPv4 to others. */
  readonly ipv6Only: boolean
}

/**
 * An IPv6 wildcard serves IPv4 as well, unless it is told otherwise: where IPv4 addresses are asked for beside it, it is
 * told (asyncio tells it always), or the port would be taken when their turn comes.
 */
export const places = (found: ReadonlyArray<Found>, ipv6Only: boolean): Places => {
  const addresses = new Set(found.flatMap((one) => one.addresses.map(canonical)))
  if (addresses.has(undefined)) {
    addresses.delete("::")
    if (!ipv6Only) addresses.delete("0.0.0.0")
    return { addresses: [...addresses], ipv6Only }
  }
  return { addresses: [...addresses], ipv6Only: ipv6Only || [...addresses].some((address) => !address!.includes(":")) }
}

/** Spells an address in one way. One of IPv4 that is written as one of IPv6 is what it is. */
export const canonical = <A extends string | undefined>(address: A): A =>
  // the number of a zone is for the system to find
  address === undefined || address.includes("%")
    ? address
    : (NetAddress.formatIp(canonicalInet(address, 0).address) as A)

/** The same as a value. */
export const canonicalInet = (address: string, port: number): NetAddress.InetAddress =>
  NetAddress.toCanonical(NetAddress.inetAddressFromNativeUnsafe(address, port))
