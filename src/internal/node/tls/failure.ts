/** What went wrong in TLS, as kinds that programs can tell apart. */
import type { Failure } from "../../../Transport.ts"
import { TlsFailed } from "../../base/errors.ts"
import { codeOf, tlsKindOf } from "../../transport/failure.ts"

/** The same failure of TLS with somebody. */
export const withPeer = (error: TlsFailed, peer: string | undefined): TlsFailed => {
  const { cause, code, kind, operation } = error
  return peer === undefined ? error : new TlsFailed({ operation, kind, code, peer, cause })
}

/** The peer's certificate is not accepted: whatever the code, for there is not one for every reason. */
export const certificateFailed = (operation: string, error: unknown): TlsFailed =>
  new TlsFailed({ operation, kind: "Certificate", code: certificateCode(error), cause: plain(error) })

/** This side's own part does not work: nothing that the peer said is to blame. */
export const ownSideFailed = (operation: string, error: unknown): TlsFailed =>
  new TlsFailed({ operation, kind: "Handshake", code: codeOf(error), cause: error })

/** What the engine found wrong with what the peer said. */
export const engineFailed = (operation: string, error: unknown): TlsFailed => {
  const code = codeOf(error)
  return new TlsFailed({ operation, kind: tlsKindOf(code), code, cause: plain(error) })
}

/** The peer ended or broke the connection before the handshake was over. */
export const peerLeft = (operation: string, failure: Failure | undefined): TlsFailed => {
  const cause = new Error("the peer left during the handshake", { cause: failure?.cause })
  return new TlsFailed({ operation, kind: "Handshake", code: failure?.code, cause })
}

/** Why a certificate is not accepted: the code, and the reason in OpenSSL's words where Node has no code for it. */
export const certificateCode = (error: unknown): string | undefined => {
  const code = codeOf(error)
  return (code === undefined || code === "UNSPECIFIED") && error instanceof Error ? error.message : code
}

/** Without what Node adds to it: the whole certificate, which contains itself. */
const plain = (error: unknown): unknown => {
  if (!(error instanceof Error) || !("cert" in error)) return error
  const { code, message, stack } = error as NodeJS.ErrnoException
  return Object.assign(new Error(message), { code, stack })
}
