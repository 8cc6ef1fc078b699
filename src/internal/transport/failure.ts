/** Which kind of failure it is that the system, or a stream, has a word of its own for. */
import type { Failure } from "../../Transport.ts"
import * as TlsFailure from "../base/tlsFailure.ts"

/** The system's word for what went wrong, as a kind that programs can tell apart. */
export const toFailure = (error: unknown): Failure => {
  const code = (error as { code?: unknown } | null)?.code
  const named = typeof code === "string" ? code : undefined
  const kind = (named === undefined ? undefined : kinds[named]) ?? "Unknown"
  return named !== undefined && /^ERR_(SSL|TLS)_/.test(named)
    ? { kind, code: named, cause: error, tls: TlsFailure.kindOf(named) }
    : { kind, code: named, cause: error }
}

const kinds: Record<string, Failure["kind"]> = {
  ECONNRESET: "Reset",
  ECONNABORTED: "Reset",
  EPIPE: "BrokenPipe",
  ERR_STREAM_DESTROYED: "BrokenPipe",
  ERR_STREAM_WRITE_AFTER_END: "BrokenPipe",
  ESHUTDOWN: "BrokenPipe",
  ETIMEDOUT: "TimedOut",
  EHOSTUNREACH: "Unreachable",
  ENETUNREACH: "Unreachable",
  ENETDOWN: "Unreachable"
}
