/** Checks of what a program says about TLS. What is wrong in every case is a programming error, and throws. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { ConnectOptions, ListenOptions } from "../Network.ts"
import type * as Tls from "../Tls.ts"
import * as Argument from "./argument.ts"
import { toHostName } from "./hostName.ts"

/** As a client that connects. */
export const checkConnect = (operation: string, { host, tls }: ConnectOptions): void => {
  if (tls === undefined) return
  if (tls !== true) checkClient(operation, "tls.", tls)
  // the certificate would be verified against no name
  if (host === "" && (tls === true || tls.serverName === undefined)) {
    throw new TypeError(`${operation}: host must name the server whose certificate is verified, got ""`)
  }
}

/** As a server that listens. */
export const checkListen = (operation: string, { tls }: ListenOptions): void => {
  if (tls !== undefined) checkServer(operation, "tls.", tls)
}

export const checkStartTls = (operation: string, options: Tls.StartTlsOptions): void => {
  Argument.oneOf(operation, "side", options.side, ["client", "server"])
  Argument.oneOf(operation, "leftover", options.leftover ?? "fail", ["fail", "feedTls"])
  if (options.side === "client") checkClient(operation, "", options)
  else checkServer(operation, "", options)
}

const checkClient = (operation: string, prefix: string, options: Tls.ClientOptions): void => {
  checkCommon(operation, prefix, options)
  const { identity, serverName } = options
  if (serverName !== undefined && (typeof serverName !== "string" || toHostName(serverName) === undefined)) {
    throw new TypeError(
      `${operation}: ${prefix}serverName must be the name of a host or an IP address, got ${shown(serverName)}`
    )
  }
  if (identity !== undefined) checkIdentity(operation, prefix, identity)
}

const checkServer = (operation: string, prefix: string, options: Tls.ServerOptions): void => {
  checkCommon(operation, prefix, options)
  Argument.oneOf(operation, `${prefix}clientCertificate`, options.clientCertificate ?? "none", [
    "none",
    "request",
    "require"
  ])
  if (typeof options.identity !== "function") checkIdentity(operation, prefix, options.identity)
}

const versions: ReadonlyArray<Tls.Version> = ["TLSv1.2", "TLSv1.3"]

const checkCommon = (operation: string, prefix: string, options: Tls.CommonOptions): void => {
  const { alpnProtocols, handshakeTimeout, maxVersion, minVersion } = options
  if (minVersion !== undefined) Argument.oneOf(operation, `${prefix}minVersion`, minVersion, versions)
  if (maxVersion !== undefined) Argument.oneOf(operation, `${prefix}maxVersion`, maxVersion, versions)
  if (handshakeTimeout !== undefined && Option.isNone(Duration.fromInput(handshakeTimeout))) {
    throw new TypeError(`${operation}: ${prefix}handshakeTimeout must be a duration, got ${shown(handshakeTimeout)}`)
  }
  for (const protocol of alpnProtocols ?? []) {
    const size = typeof protocol === "string" ? new TextEncoder().encode(protocol).length : 0
    if (size < 1 || size > mostOfProtocol) {
      throw new TypeError(
        `${operation}: each of ${prefix}alpnProtocols must be text of 1 to ${mostOfProtocol} bytes, got ${shown(protocol)}`
      )
    }
  }
}

/** The most bytes that the name of a protocol has (RFC 7301, 3.1). */
const mostOfProtocol = 255

const checkIdentity = (operation: string, prefix: string, identity: Tls.Identity): void => {
  if (typeof identity !== "object" || identity === null) {
    // not shown: it may be a key
    const what = identity === undefined || identity === null ? String(identity) : `a ${typeof identity}`
    throw new TypeError(`${operation}: ${prefix}identity must be an Identity, got ${what}`)
  }
  for (const part of ["key", "passphrase"] as const) {
    const secret = identity[part]
    // not shown: it is what must not be
    if (secret !== undefined && !Redacted.isRedacted(secret)) {
      throw new TypeError(`${operation}: ${prefix}identity.${part} must be Redacted, got a ${typeof secret}`)
    }
  }
}

const shown = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  return value === undefined || value === null ? String(value) : `${typeof value} ${String(value)}`
}
