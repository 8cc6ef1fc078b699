/** What was agreed on in a handshake, as plain data. */
import type * as NodeTls from "node:tls"
import type * as Tls from "../../../Tls.ts"
import { toHostName } from "../../base/hostName.ts"
import { certificateCode } from "./failure.ts"
import { verificationOf } from "../nodeInternals.ts"

export const tlsInfo = (socket: NodeTls.TLSSocket): Tls.TlsInfo => {
  const certificate = socket.getPeerX509Certificate()
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().name,
    alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined,
    serverName: nameAskedFor(socket.servername),
    authorized: socket.authorized,
    authorizationError: authorizationErrorOf(socket),
    peerCertificate:
      certificate === undefined
        ? undefined
        : {
            subject: certificate.subject,
            issuer: certificate.issuer,
            subjectAltName: certificate.subjectAltName,
            validFrom: certificate.validFrom,
            validTo: certificate.validTo,
            fingerprint256: certificate.fingerprint256,
            raw: new Uint8Array(certificate.raw)
          },
    resumed: socket.isSessionReused()
  }
}

/** What is wrong with the peer's certificate, if anything. What nothing is said of is not accepted. */
export const verificationError = (socket: NodeTls.TLSSocket): Error | undefined => {
  const noted = verificationOf(socket)
  if (noted !== undefined) return noted.error
  const { authorizationError, authorized } = socket
  if (authorized) return undefined
  if (authorizationError instanceof Error) return authorizationError
  const code = authorizationError ?? "UNSPECIFIED"
  return Object.assign(new Error(`the certificate is not verified (${String(code)})`), { code: String(code) })
}

const authorizationErrorOf = (socket: NodeTls.TLSSocket): string | undefined => {
  const noted: unknown = socket.authorizationError
  if (noted === null || noted === undefined) return undefined
  // a client notes no more than the code
  if (noted === "UNSPECIFIED") return certificateCode(verificationError(socket)) ?? noted
  return typeof noted === "string" ? noted : (certificateCode(noted) ?? String(noted))
}

/**
 * The name that a client asks for, in its one spelling: what is no name of a host is none. Engines have one character
 * for each byte that was sent.
 */
export const nameAskedFor = (sent: unknown): string | undefined => {
  if (typeof sent !== "string" || sent === "") return undefined
  const host = toHostName(Buffer.from(sent, "latin1").toString())
  return host === undefined || host.isAddress ? undefined : host.name
}
