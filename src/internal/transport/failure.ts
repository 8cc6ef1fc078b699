/**
 * Codes → kinds. The only place that says which kind of failure a code stands for: a code of the system, of Node's
 * streams, of a resolver, or of OpenSSL. It imports nothing of Node: other makes of it have the same codes.
 */
import type { Failure } from "../../Transport.ts"
import { type ConnectAttempt, ListenFailed, type TlsFailed } from "../base/errors.ts"

/** What a code means to a connection, to an attempt to connect, and to a server that wants to listen. */
interface Meaning {
  readonly lost?: Failure["kind"]
  readonly connecting?: ConnectAttempt["kind"]
  readonly listening?: ListenFailed["kind"]
}

/** The code of a process that ended by itself, and not well. No system has one: Node says it with an event. */
export const processExit = "ERR_PROCESS_EXIT"

/** The code of a stream of HTTP/2 that was reset. */
export const streamReset = "ERR_HTTP2_STREAM_ERROR"

const meanings: Record<string, Meaning> = {
  ECONNRESET: { lost: "Reset", connecting: "Reset" },
  ECONNABORTED: { lost: "Reset", connecting: "Reset" },
  EPIPE: { lost: "BrokenPipe" },
  // what some runtimes say where they have let go of the socket (Bun)
  EBADF: { lost: "BrokenPipe" },
  ERR_SOCKET_CLOSED: { lost: "BrokenPipe" },
  ERR_STREAM_DESTROYED: { lost: "BrokenPipe" },
  ERR_STREAM_WRITE_AFTER_END: { lost: "BrokenPipe" },
  ESHUTDOWN: { lost: "BrokenPipe" },
  [processExit]: { lost: "Reset" },
  [streamReset]: { lost: "Reset" },
  ETIMEDOUT: { lost: "TimedOut", connecting: "Timeout" },
  EHOSTUNREACH: { lost: "Unreachable", connecting: "Unreachable" },
  ENETUNREACH: { lost: "Unreachable", connecting: "Unreachable" },
  ENETDOWN: { lost: "Unreachable" },
  ECONNREFUSED: { connecting: "Refused" },
  EADDRINUSE: { listening: "AddressInUse" },
  EADDRNOTAVAIL: { connecting: "Unreachable", listening: "AddressNotAvailable" },
  EAFNOSUPPORT: { listening: "AddressNotAvailable" },
  EACCES: { connecting: "AccessDenied", listening: "AccessDenied" },
  EPERM: { connecting: "AccessDenied", listening: "AccessDenied" },
  ENOENT: { connecting: "NotFound", listening: "NotFound" },
  ENOTDIR: { connecting: "NotADirectory", listening: "NotADirectory" },
  ENOTSOCK: { connecting: "NotASocket", listening: "NotASocket" },
  ENAMETOOLONG: { connecting: "PathTooLong", listening: "PathTooLong" },
  ENOTSUP: { connecting: "Unsupported", listening: "Unsupported" }
}

const meaningOf = (code: string | undefined): Meaning => (code === undefined ? undefined : meanings[code]) ?? {}

/** The code that an error has, if it has one. */
export const codeOf = (error: unknown): string | undefined => {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

// ---------------------------------------------------------------------------
// connections
// ---------------------------------------------------------------------------

/** The system's word for what went wrong, as a kind that programs can tell apart. */
export const toFailure = (error: unknown): Failure => {
  const code = codeOf(error)
  const kind = meaningOf(code).lost ?? "Unknown"
  return code !== undefined && /^ERR_(SSL|TLS)_/.test(code)
    ? { kind, code, cause: error, tls: tlsKindOf(code) }
    : { kind, code, cause: error }
}

// ---------------------------------------------------------------------------
// connecting and listening
// ---------------------------------------------------------------------------

/** An attempt to connect that failed with this code. */
export const failedAttempt = (address: string, code: string): ConnectAttempt => ({
  address,
  kind: meaningOf(code).connecting ?? "Unknown",
  code
})

/** The queue of a Unix socket has had no room for an attempt so far. */
export const queueIsFull = (address: string): ConnectAttempt => ({ address, kind: "Timeout", code: "EAGAIN" })

/** An attempt to connect that failed with this error. */
export const toAttempt = (address: string, cause: unknown): ConnectAttempt => {
  const code = codeOf(cause)
  return code === undefined ? { address, kind: "Unknown", cause } : { ...failedAttempt(address, code), cause }
}

export const listenFailed = (address: string, code: string | undefined, cause?: unknown): ListenFailed =>
  new ListenFailed({
    kind: meaningOf(code).listening ?? "Unknown",
    address,
    code,
    ...(cause === undefined ? undefined : { cause })
  })

export const toListenFailed = (address: string, error: unknown): ListenFailed =>
  listenFailed(address, codeOf(error), error)

// ---------------------------------------------------------------------------
// looking up names
// ---------------------------------------------------------------------------

/** Why a name has no address. */
export interface LookupFailure {
  readonly kind: "HostNotFound" | "Timeout" | "Unknown"
  readonly code?: string | undefined
  readonly cause?: unknown
}

export const toLookupFailure = (cause: unknown): LookupFailure => {
  const code = codeOf(cause)
  return code === undefined ? { kind: "Unknown", cause } : { kind: lookupKindOf(code), code, cause }
}

/**
 * Codes are those of the resolver that was asked: `ECONNREFUSED` is a DNS server that is not there, which says nothing of
 * the host. What keeps the resolver itself from working, such as `EMFILE` and `ENOMEM`, says nothing of the name.
 */
const lookupKindOf = (code: string): LookupFailure["kind"] => {
  if (code === "ETIMEOUT" || code === "ETIMEDOUT") return "Timeout"
  return notFound.has(code) ? "HostNotFound" : "Unknown"
}

const notFound = new Set([
  // getaddrinfo
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NONAME",
  "EAI_NODATA",
  "EAI_ADDRFAMILY",
  // c-ares
  "ENODATA",
  "ENONAME",
  "EFORMERR",
  "ESERVFAIL",
  "ENOTIMP",
  "EREFUSED",
  "EBADNAME",
  "EBADQUERY",
  "EBADRESP",
  // the path to the DNS server
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "EPIPE"
])

// ---------------------------------------------------------------------------
// TLS
// ---------------------------------------------------------------------------

/** What a code of OpenSSL's, or of Node's about TLS, stands for. */
export const tlsKindOf = (code: string | undefined): TlsFailed["kind"] => {
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
