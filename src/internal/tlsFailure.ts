/** What went wrong in TLS, as kinds that programs can tell apart. */
import { TlsFailed } from "./errors.ts"

export const toTlsFailed = (error: unknown): TlsFailed => {
  const code = (error as { code?: unknown } | null)?.code
  const named = typeof code === "string" ? code : undefined
  return new TlsFailed({ kind: kindOf(named), code: named, cause: error })
}

/** The kind that a code stands for. */
export const kindOf = (code: string | undefined): TlsFailed["kind"] => {
  if (code === undefined) return "Handshake"
  return certificateCodes.some((part) => code.includes(part)) ? "Certificate" : "Handshake"
}

/** Parts of the codes of OpenSSL's verification errors, of Node's own, and of the alerts about certificates. */
const certificateCodes = ["CERT", "SELF_SIGNED", "UNABLE_TO_", "CRL", "UNKNOWN_CA", "HOSTNAME_MISMATCH", "INVALID_CA"]
