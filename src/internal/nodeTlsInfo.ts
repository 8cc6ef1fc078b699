/** What was agreed on in a handshake, as plain data. */
import type * as NodeTls from "node:tls"
import type * as Tls from "../Tls.ts"

export const tlsInfo = (socket: NodeTls.TLSSocket): Tls.TlsInfo => {
  const certificate = socket.getPeerX509Certificate()
  const error: unknown = socket.authorizationError
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().name,
    alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined,
    serverName: typeof socket.servername === "string" && socket.servername !== "" ? socket.servername : undefined,
    authorized: socket.authorized,
    authorizationError: error === null || error === undefined ? undefined : errorCode(error),
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

const errorCode = (error: unknown): string =>
  typeof error === "string" ? error : String((error as { code?: unknown }).code ?? (error as Error).message)
