/** STARTTLS as Effect's own sockets ask for it: their options, and their errors. */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Connection } from "../../Connection.ts"
import type { WriteError } from "../../StreamError.ts"
import type { CommonOptions, Identity, StartTlsOptions } from "../../Tls.ts"
import { TlsFailed } from "../base/errors.ts"

type Options = Socket.TlsUpgradeOptions
type Pem = string | Uint8Array

/** Bytes that were read ahead fail it: nobody could say where they came from. */
export const startTls = (
  connection: Connection,
  side: "client" | "server",
  options: Options
): Effect.Effect<Connection, Socket.SocketError, Scope.Scope> => {
  const identity = identityOf(side, options)
  return identity instanceof Error
    ? upgradeFailed(identity)
    : Effect.catch(connection.startTls(startTlsOptions(side, options, identity)), (error) => failed(connection, error))
}

export const upgradeFailed = (cause: unknown): Effect.Effect<never, Socket.SocketError> =>
  Effect.fail(new Socket.SocketError({ reason: new Socket.SocketUpgradeError({ cause }) }))

/** Without a cause such an error says that there is no TLS here. */
const failed = (connection: Connection, error: TlsFailed | WriteError): Effect.Effect<never, Socket.SocketError> =>
  error instanceof TlsFailed && error.kind === "Unsupported" && connection.info.tls === undefined
    ? Effect.andThen(Socket.SocketUpgradeError.unsupported(), Effect.never)
    : upgradeFailed(error)

const identityOf = (side: "client" | "server", { cert, key, passphrase }: Options): Identity | undefined | Error => {
  if (cert === undefined && key === undefined && side === "client") return undefined
  if (cert === undefined || key === undefined) {
    return new Error(`upgrade: a ${side} needs both key and cert, got ${given({ cert, key })}`)
  }
  const certs = all(cert)
  const keys = all(key)
  const [theCert] = certs
  const [theKey] = keys
  if (certs.length !== 1 || theCert === undefined || keys.length !== 1 || theKey === undefined) {
    return new Error(`upgrade: one key and one cert are needed, got ${keys.length} and ${certs.length}`)
  }
  return { cert: theCert, key: theKey, passphrase }
}

const given = ({ cert, key }: Options): string => {
  if (cert === undefined) return key === undefined ? "neither" : "key alone"
  return "cert alone"
}

const startTlsOptions = (
  side: "client" | "server",
  { alpnProtocols, ca, rejectUnauthorized, requestCert, servername }: Options,
  identity: Identity | undefined
): StartTlsOptions => {
  // nobody can end TLS on such a socket
  const common: CommonOptions = { ca, alpnProtocols, stoppable: false }
  if (side === "client") {
    return {
      ...common,
      side,
      identity,
      serverName: servername,
      dangerouslyAcceptAnyCertificate: rejectUnauthorized === false
    }
  }
  const asked = rejectUnauthorized === false ? "request" : "require"
  return { ...common, side, identity: identity!, clientCertificate: requestCert === true ? asked : "none" }
}

const all = <A extends Pem | Redacted.Redacted<Pem>>(value: A | ReadonlyArray<A>): ReadonlyArray<A> =>
  Array.isArray(value) ? (value as ReadonlyArray<A>) : [value as A]
