/** Finding the addresses of a name, to connect to or to listen on. */
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import { type LookupFailure, toLookupFailure } from "../transport/failure.ts"

/** One address of a name. */
export interface Resolved {
  /** The IP address, such as `192.0.2.1`. */
  readonly address: string
  /** 4 for IPv4, 6 for IPv6. */
  readonly family: 4 | 6
}

/** Finds the addresses of a name. Rejects as `node:dns` does. */
export type Lookup = (host: string) => Promise<ReadonlyArray<Resolved>>

/** The addresses of a host, at least one. */
export const lookUp = (lookup: Lookup, host: string): Effect.Effect<ReadonlyArray<Resolved>, LookupFailure> => {
  const family = Net.isIP(host)
  if (family !== 0) return Effect.succeed([{ address: host, family: family as 4 | 6 }])
  return Effect.tryPromise({ try: () => lookup(host), catch: toLookupFailure }).pipe(
    Effect.map(checked),
    Effect.filterOrFail(
      (addresses) => addresses.length > 0,
      (): LookupFailure => ({ kind: "HostNotFound" })
    )
  )
}

/** A name in the place of an address would be looked up behind our back, and nothing in its place is this machine. */
const checked = (found: ReadonlyArray<Resolved>): ReadonlyArray<Resolved> => {
  if (!Array.isArray(found))
    throw new TypeError(`NodeNetwork: lookup must find an array of addresses, got ${String(found)}`)
  return found.map((one: Resolved | null | undefined) => {
    const address = one?.address
    const family = typeof address === "string" ? Net.isIP(address) : 0
    if (family === 0) throw new TypeError(`NodeNetwork: lookup must find IP addresses, got ${String(address)}`)
    return { address: address!, family: family as 4 | 6 }
  })
}
