/** Checks of what a program says about TLS. What is wrong in every case is a programming error, and throws. */
import * as Redacted from "effect/Redacted"
import type { ConnectOptions, ListenOptions } from "../../Network.ts"
import type * as Tls from "../../Tls.ts"
import * as Argument from "./argument.ts"
import * as Bytes from "./bytes.ts"
import { toHostName } from "./hostName.ts"

/** As a client that connects. */
export const checkConnect = (operation: string, tls: NonNullable<ConnectOptions["tls"]>): void => {
  if (tls === true) return
  if (typeof tls !== "object") throw Argument.wrongType(operation, "tls", "true or an object", tls)
  checkClient(operation, "tls.", Argument.record(operation, "tls", tls))
}

/** As a server that listens. */
export const checkListen = (operation: string, tls: NonNullable<ListenOptions["tls"]>): void =>
  checkServer(operation, "tls.", Argument.record(operation, "tls", tls))

export const checkStartTls = (operation: string, options: Tls.StartTlsOptions): void => {
  const { leftover, side } = Argument.record(operation, "options", options)
  Argument.oneOf(operation, "side", side, ["client", "server"])
  if (leftover !== undefined) Argument.oneOf(operation, "leftover", leftover, ["fail", "feedTls"])
  if (options.side === "client") checkClient(operation, "", options)
  else checkServer(operation, "", options)
}

const checkClient = (operation: string, prefix: string, options: Tls.ClientOptions): void => {
  checkCommon(operation, prefix, options)
  const { dangerouslyAcceptAnyCertificate, identity, onSession, serverName, session } = options
  if (serverName !== undefined && (typeof serverName !== "string" || toHostName(serverName) === undefined)) {
    throw Argument.wrongType(operation, `${prefix}serverName`, "the name of a host or an IP address", serverName)
  }
  if (identity !== undefined) checkIdentity(operation, prefix, identity)
  if (dangerouslyAcceptAnyCertificate !== undefined) {
    Argument.flag(operation, `${prefix}dangerouslyAcceptAnyCertificate`, dangerouslyAcceptAnyCertificate)
  }
  if (session !== undefined && Bytes.from(session) === undefined) {
    throw hiddenWrong(operation, `${prefix}session`, "a Uint8Array", session)
  }
  if (onSession !== undefined) Argument.func(operation, `${prefix}onSession`, onSession)
}

const checkServer = (operation: string, prefix: string, options: Tls.ServerOptions): void => {
  checkCommon(operation, prefix, options)
  const { clientCertificate, identity } = options
  if (clientCertificate !== undefined) {
    Argument.oneOf(operation, `${prefix}clientCertificate`, clientCertificate, ["none", "request", "require"])
  }
  if (typeof identity !== "function") checkIdentity(operation, prefix, identity)
}

const versions: ReadonlyArray<Tls.Version> = ["TLSv1.2", "TLSv1.3"]

const checkCommon = (operation: string, prefix: string, options: Tls.CommonOptions): void => {
  const { allowTruncation, alpnProtocols, ca, handshakeTimeout, maxVersion, minVersion, stoppable } = options
  if (ca !== undefined) {
    for (const one of Array.isArray(ca) ? ca : [ca]) {
      if (!isPem(one))
        throw Argument.wrongType(operation, `${prefix}ca`, "text or a Uint8Array, or an array of them", one)
    }
  }
  if (minVersion !== undefined) Argument.oneOf(operation, `${prefix}minVersion`, minVersion, versions)
  if (maxVersion !== undefined) Argument.oneOf(operation, `${prefix}maxVersion`, maxVersion, versions)
  if (handshakeTimeout !== undefined) Argument.duration(operation, `${prefix}handshakeTimeout`, handshakeTimeout)
  if (allowTruncation !== undefined) Argument.flag(operation, `${prefix}allowTruncation`, allowTruncation)
  if (stoppable !== undefined) Argument.flag(operation, `${prefix}stoppable`, stoppable)
  if (alpnProtocols === undefined) return
  if (!Array.isArray(alpnProtocols)) {
    throw Argument.wrongType(operation, `${prefix}alpnProtocols`, "an array of text", alpnProtocols)
  }
  for (const protocol of alpnProtocols as ReadonlyArray<unknown>) {
    const size = typeof protocol === "string" ? Bytes.encode(protocol).length : 0
    if (size < 1 || size > maxProtocolBytes) {
      const must = `text of 1 to ${maxProtocolBytes} bytes each`
      throw Argument.wrongType(operation, `${prefix}alpnProtocols`, must, protocol)
    }
  }
}

/** The most bytes that the name of a protocol has (RFC 7301, 3.1). */
const maxProtocolBytes = 255

const isPem = (value: unknown): boolean => typeof value === "string" || Bytes.from(value) !== undefined

/** What is missing of one is for the engine to say: it is what a file holds, or a variable, and no mistake in the program. */
const checkIdentity = (operation: string, prefix: string, identity: Tls.Identity): void => {
  if (typeof identity !== "object" || identity === null) {
    throw hiddenWrong(operation, `${prefix}identity`, "an Identity", identity)
  }
  const { cert, key, passphrase } = identity
  if (cert !== undefined && !isPem(cert)) {
    throw hiddenWrong(operation, `${prefix}identity.cert`, "text or a Uint8Array", cert)
  }
  for (const [part, secret, holds] of [
    ["key", key, isPem],
    ["passphrase", passphrase, (value: unknown) => typeof value === "string"]
  ] as const) {
    if (secret === undefined) continue
    const name = `${prefix}identity.${part}`
    if (!Redacted.isRedacted(secret)) throw hiddenWrong(operation, name, "Redacted", secret)
    const value: unknown = Redacted.value(secret)
    const must = part === "key" ? "Redacted text or a Redacted Uint8Array" : "Redacted text"
    if (!holds(value)) throw hiddenWrong(operation, name, must, value)
  }
}

/** The value is not shown: it is, or stands in the place of, what must not be. */
const hiddenWrong = (operation: string, name: string, must: string, value: unknown): TypeError => {
  const what = Argument.typeName(value)
  const article = value === undefined || value === null || what.startsWith("an ") ? "" : "a "
  return new TypeError(`${operation}: ${name} must be ${must}, got ${article}${what}`)
}
