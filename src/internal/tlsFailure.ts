/** What went wrong in TLS, as kinds that programs can tell apart. */
import { TlsFailed } from "./errors.ts"

export const toTlsFailed = (error: unknown): TlsFailed => {
  const code = (error as { code?: unknown } | null)?.code
  const named = typeof code === "string" ? code : undefined
  return new TlsFailed({ kind: kindOf(named), code: named, cause: plain(error) })
}

/** Without what Node adds to it: the whole certificate, which contains itself. */
const plain = (error: unknown): unknown => {
  if (!(error instanceof Error) || !("cert" in error)) return error
  const { code, message, stack } = error as NodeJS.ErrnoException
  return Object.assign(new Error(message), { code, stack })
}

/** The kind that a code stands for. */
export const kindOf = (code: string | undefined): TlsFailed["kind"] => {
  if (code === undefined) return "Handshake"
  return certificateCodes.some((part) => code.includes(part)) ? "Certificate" : "Handshake"
}

/** Parts of the codes of OpenSSL's verification errors, of Node's own, and of the alerts about certificates. */
const certificateCodes = [
  "CERT",
  "SELF_SIGNED",
  "UNABLE_TO_",
  "CRL",
  "UNKNOWN_CA",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH"
]
