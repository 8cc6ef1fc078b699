/** OpenTelemetry's names for what our events tell: attributes, and values of few kinds. */
import * as Duration from "effect/Duration"
import * as NetAddress from "effect/net/NetAddress"
import type { Failure, ConnectionInfo } from "../../Transport.ts"
import type { ConnectAttempt } from "../base/errors.ts"

export type Attributes = Readonly<Record<string, string>>

/** Attributes with values of any type, as spans have them. */
export type SpanAttributes = Record<string, unknown>

export type Side = "client" | "server" | undefined

/** `undefined` for a connection that was made of a stream, whose transport nobody knows. */
export const transportOf = ({ local, remote }: ConnectionInfo): "tcp" | "unix" | undefined => {
  const address = remote ?? local
  if (address === undefined) return undefined
  return address._tag === "UnixPathAddress" ? "unix" : "tcp"
}

/** What all metrics of connections have: few values, so that series stay few. */
export const kindOf = (side: Side, transport: "tcp" | "unix" | undefined): Attributes => ({
  ...(side === undefined ? undefined : { "byte_streams.side": side }),
  ...(transport === undefined ? undefined : { "network.transport": transport })
})

/** The kind of an error, by the names that programs catch. */
export const errorType = (error: { readonly _tag: string; readonly kind: string } | undefined): string =>
  error === undefined ? "Interrupted" : `${error._tag}.${error.kind}`

export const attemptErrorType = ({ kind }: ConnectAttempt): string => `ConnectFailed.${kind}`

/** The code tells more than the kind: too many open files is none of the kinds. */
export const acceptErrorType = ({ code, kind }: Failure): string => `AcceptFailed.${code ?? kind}`

/** `TLSv1.3` is the version 1.3 of TLS. */
const tlsVersion = (protocol: string): string => protocol.replace(/^\D+/, "")

export const tlsVersionOf = ({ tls }: ConnectionInfo): Attributes =>
  tls === undefined ? {} : { "tls.protocol.version": tlsVersion(tls.protocol) }

// ---------------------------------------------------------------------------
// spans and logs
// ---------------------------------------------------------------------------

const putAddress = (
  into: SpanAttributes,
  prefix: "network.local" | "network.peer" | "server",
  address: NetAddress.SocketAddress | undefined
): void => {
  if (address === undefined) return
  if (address._tag === "UnixPathAddress") {
    into[`${prefix}.address`] = address.path
    return
  }
  into[`${prefix}.address`] = NetAddress.formatIp(address.address)
  into[`${prefix}.port`] = address.port
}

export const serverAttributes = (address: NetAddress.SocketAddress | undefined): SpanAttributes => {
  const attributes: SpanAttributes = {}
  putAddress(attributes, "server", address)
  return attributes
}

/** As OpenTelemetry counts time. Without an end, it has no number in JSON. */
export const seconds = (duration: Duration.Duration): number | string =>
  Duration.isFinite(duration) ? Duration.toSeconds(duration) : "Infinity"

export const peerAttributes = ({ remote }: ConnectionInfo): SpanAttributes => {
  const attributes: SpanAttributes = {}
  putAddress(attributes, "network.peer", remote)
  return attributes
}

export const tlsAttributes = ({ tls }: ConnectionInfo): SpanAttributes => {
  if (tls === undefined) return {}
  const attributes: SpanAttributes = {
    "tls.established": true,
    "tls.protocol.name": "tls",
    "tls.protocol.version": tlsVersion(tls.protocol),
    "tls.cipher": tls.cipher,
    "tls.resumed": tls.resumed
  }
  if (tls.alpn !== undefined) attributes["tls.next_protocol"] = tls.alpn
  return attributes
}

export const connectionAttributes = (id: number, info: ConnectionInfo): SpanAttributes => {
  const attributes: SpanAttributes = { "byte_streams.connection.id": id }
  const transport = transportOf(info)
  if (transport !== undefined) attributes["network.transport"] = transport
  const address = info.remote ?? info.local
  if (transport === "tcp") attributes["network.type"] = address!._tag === "InetAddressV6" ? "ipv6" : "ipv4"
  putAddress(attributes, "network.local", info.local)
  putAddress(attributes, "network.peer", info.remote)
  return Object.assign(attributes, tlsAttributes(info))
}

/** The two halves of an address as errors spell it. What has no port is a path. */
const parsed = (label: string): { readonly address: string; readonly port?: number } => {
  const found = /^(?:\[(.*)\]|([^:/\\]*)):(\d{1,5})$/.exec(label)
  return found === null ? { address: label } : { address: (found[1] ?? found[2])!, port: Number(found[3]) }
}

const labelled = (prefix: "server" | "network.peer", label: string): SpanAttributes => {
  const { address, port } = parsed(label)
  return port === undefined
    ? { [`${prefix}.address`]: address, "network.transport": "unix" }
    : { [`${prefix}.address`]: address, [`${prefix}.port`]: port, "network.transport": "tcp" }
}

export const targetAttributes = (target: string): SpanAttributes => labelled("server", target)

export const attemptAttributes = (address: string): SpanAttributes => labelled("network.peer", address)
