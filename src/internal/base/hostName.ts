/** Names of hosts, in the one spelling in which they are sent, looked up and compared. */
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"

/** What a host is called by. */
export interface HostName {
  /** A name in ASCII and lower case, without a dot at its end; or an address, without its zone. */
  readonly name: string
  /** Whether it is an address: those are verified, and not sent (RFC 6066, 3). */
  readonly isAddress: boolean
}

/** What a label may be made of. Names of services have underscores, and there are certificates for such names. */
const name = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/
/** The most that a name in the DNS can have, as text. */
const longest = 253

/**
 * The A-labels of a name, whatever it was written with: other scripts, capitals, full-width dots, a dot at its end.
 * `undefined` for what is neither a name nor an address.
 */
export const toHostName = (input: string): HostName | undefined => {
  const literal = /^\[(.*:.*)\]$/.exec(input)?.[1] ?? input
  const address = toAddress(literal.includes(":") ? literal.replace(/%.*$/, "") : literal)
  if (address !== undefined) return { name: address, isAddress: true }
  const ascii = toAscii(input)
  if (ascii === undefined) return undefined
  const host = ascii.replace(/\.$/, "").toLowerCase()
  const inOtherWords = toAddress(host)
  if (inOtherWords !== undefined) return { name: inOtherWords, isAddress: true }
  return host.length <= longest && name.test(host) ? { name: host, isAddress: false } : undefined
}

const toAddress = (text: string): string | undefined => {
  const ip = NetAddress.ipFromString(text)
  return Result.isSuccess(ip) ? NetAddress.formatIp(ip.success) : undefined
}

/** As the platform converts names in URLs (UTS 46), which is how it looks them up. */
const toAscii = (input: string): string | undefined => {
  // what has a meaning in a URL is no part of a host
  if (input === "" || /[^a-z0-9._\-\u0080-\uffff]/i.test(input)) return undefined
  try {
    return new URL(`ws://${input}`).hostname
  } catch {
    // a name that ends in a number is no address, and no host of a URL; systems know such names
    return /^[\x21-\x7e]+$/.test(input) ? input : undefined
  }
}
