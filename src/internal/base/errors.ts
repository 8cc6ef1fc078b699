/**
 * The typed errors, without their schemas.
 *
 * `Schema` is larger than everything else that a server loads taken together, and few programs send these errors
 * anywhere. So the classes are made here, and `StreamError` makes schemas of the same classes where it is imported.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"

export class IncompleteRead extends Data.TaggedError("IncompleteRead")<{
  readonly operation: string
  readonly partial: Uint8Array
  readonly expected?: number | undefined
}> {
  override get message(): string {
    return this.expected === undefined
      ? `${this.operation}: the stream ended after ${this.partial.length} bytes without the separator`
      : `${this.operation}: the stream ended after ${this.partial.length} of ${this.expected} bytes`
  }
}

export class LimitOverrun extends Data.TaggedError("LimitOverrun")<{
  readonly operation: string
  readonly consumed: number
  readonly limit: number
  readonly found: boolean
  readonly frame?: string | undefined
}> {
  override get message(): string {
    if (this.frame !== undefined) return `${this.operation}: ${this.frame} is longer than ${this.limit} bytes`
    return this.found
      ? `${this.operation}: the separator is found, but ${this.consumed} bytes before it exceed the limit of ${this.limit}`
      : `${this.operation}: no separator within the limit of ${this.limit} bytes`
  }
}

export class InvalidText extends Data.TaggedError("InvalidText")<{
  readonly operation: string
  readonly encoding: string
  readonly bytes: Uint8Array
}> {
  override get message(): string {
    const { bytes, encoding, operation } = this
    const shown = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join(" ")
    return `${operation}: a line of ${bytes.length} bytes is not valid ${encoding} (${shown}${bytes.length > 16 ? " …" : ""})`
  }
}

export class MalformedFrame extends Data.TaggedError("MalformedFrame")<{
  readonly operation: string
  readonly frame: string
  readonly reason: string
  readonly offset: number
  readonly bytes: Uint8Array
  readonly cause?: unknown
}> {
  override get message(): string {
    const hex = Array.from(this.bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")
    return `${this.operation}: ${this.frame} is malformed: ${this.reason} (at byte ${this.offset}${
      hex === "" ? "" : `: ${hex}`
    })`
  }
}

export class EncodeFailed extends Data.TaggedError("EncodeFailed")<{
  readonly operation: string
  readonly frame: string
  readonly reason: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${this.operation}: ${this.frame} ${this.reason}`
  }
}

export class ClosedStream extends Data.TaggedError("ClosedStream")<{
  readonly operation: string
  readonly reason: "Closed" | "Eof" | "Aborted" | "Upgraded"
}> {
  override get message(): string {
    switch (this.reason) {
      case "Closed":
        return `${this.operation}: this side has closed the stream`
      case "Eof":
        return `${this.operation}: this side has ended its output with writeEof`
      case "Aborted":
        return `${this.operation}: this side has aborted the stream`
      case "Upgraded":
        return `${this.operation}: the stream was handed to the connection that the upgrade returned`
    }
  }
}

export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly operation: string
  readonly kind: "Reset" | "BrokenPipe" | "TimedOut" | "Unreachable" | "Unknown"
  readonly code?: string | undefined
  readonly peer?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const lost = `${this.operation}: the connection ${this.peer === undefined ? "" : `to ${this.peer} `}was lost (${this.kind}${
      this.code === undefined || this.code === "" ? "" : `, ${this.code}`
    })`
    // the kind says nothing: whoever broke it does
    return this.kind === "Unknown" && this.cause instanceof Error ? `${lost}: ${this.cause.message}` : lost
  }
}

export class StreamBusy extends Data.TaggedError("StreamBusy")<{
  readonly operation: string
  readonly holder: string
}> {
  override get message(): string {
    return `${this.operation}: ${this.holder} is already waiting for bytes of this stream`
  }
}

export class StreamTimeout extends Data.TaggedError("StreamTimeout")<{
  readonly operation: string
  readonly kind: "Idle" | "Read" | "Write" | "Total" | "MinRate" | "Lookup" | "Connect" | "Handshake"
  readonly duration: Duration.Duration
  readonly peer?: string | undefined
}> {
  override get message(): string {
    const { duration, kind, operation, peer } = this
    return `${operation}: the ${kind} timeout of ${Duration.format(duration)} expired${peer === undefined ? "" : ` (${peer})`}`
  }
}

export interface ConnectAttempt {
  readonly address: string
  readonly kind:
    | "Refused"
    | "Reset"
    | "Timeout"
    | "HostNotFound"
    | "Unreachable"
    | "AccessDenied"
    | "NotFound"
    | "NotADirectory"
    | "NotASocket"
    | "PathTooLong"
    | "Unknown"
  readonly code?: string | undefined
  readonly cause?: unknown
}

export class ConnectFailed extends Data.TaggedError("ConnectFailed")<{
  readonly target: string
  readonly kind: ConnectAttempt["kind"]
  readonly attempts: ReadonlyArray<ConnectAttempt>
}> {
  override get message(): string {
    const tried = this.attempts.map((attempt) => `${attempt.address}: ${attempt.code ?? attempt.kind}`).join(", ")
    return `cannot connect to ${this.target}: ${this.kind}${tried === "" ? "" : ` (${tried})`}`
  }
}

export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly kind:
    | "AddressInUse"
    | "AddressNotAvailable"
    | "AccessDenied"
    | "HostNotFound"
    | "Timeout"
    | "NotFound"
    | "NotADirectory"
    | "NotASocket"
    | "PathTooLong"
    | "Tls"
    | "Unknown"
  readonly address: string
  readonly code?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const what = `cannot listen on ${this.address}: ${this.kind}`
    // the system's codes say it all
    return detailed(what, this.code, this.kind === "Tls" ? this.cause : undefined)
  }
}

export class TlsFailed extends Data.TaggedError("TlsFailed")<{
  readonly operation?: string | undefined
  readonly kind: "Certificate" | "Handshake" | "Timeout" | "InjectedPlaintext" | "Truncated" | "Unsupported"
  readonly code?: string | undefined
  readonly peer?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${this.operation ?? "TLS"}: ${tlsFailure(this)}`
  }
}

const tlsFailure = ({ cause, code, kind, operation, peer }: TlsFailed): string => {
  const who = peer ?? "the peer"
  switch (kind) {
    case "Certificate": {
      // an alert is the peer's word
      const refused = code?.includes("_ALERT_") === true
      const whose = refused
        ? `${who} does not accept this side's certificate`
        : `${peer === undefined ? "the peer's certificate" : `the certificate of ${peer}`} is not accepted`
      return detailed(whose, code, cause)
    }
    case "Handshake":
      return detailed(peer === undefined ? "TLS failed" : `TLS with ${peer} failed`, code, cause)
    case "Timeout":
      return `${who} took longer than handshakeTimeout${boundOf(cause)}`
    case "InjectedPlaintext":
      return `bytes came along with the request to upgrade, and were not asked for${peer === undefined ? "" : ` (${peer})`}`
    case "Truncated":
      return `the connection ${peer === undefined ? "" : `to ${peer} `}was cut without a close_notify`
    case "Unsupported":
      return operation === "stopTls" ? "there is no TLS that could be ended" : "this transport cannot begin TLS"
  }
}

/** How long was waited, by what a timeout says of it: one that has come as JSON says nothing else. */
const boundOf = (cause: unknown): string => {
  const bound = cause instanceof Error ? /timeout of (.+?) expired/.exec(cause.message)?.[1] : undefined
  return bound === undefined ? "" : ` (${bound})`
}

/** What went wrong, with the code for it and what the cause says. */
const detailed = (what: string, code: string | undefined, cause: unknown): string => {
  const reason = reasonOf(cause)
  const detail = reason === code ? undefined : reason
  return `${what}${code === undefined ? "" : ` (${code})`}${detail === undefined ? "" : `: ${detail}`}`
}

/** How much of a cause's message is shown: it can list all the names of a certificate. */
const longestReason = 300

/** What an error says, in one line, without the numbers and places that OpenSSL puts around it. */
const reasonOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  const { message } = cause
  const said = /error:[0-9A-F]{8}:[^:]*:[^:]*:([^:]+)/.exec(message)?.[1] ?? message.split("\n", 1)[0]!
  if (said === "") return undefined
  return said.length > longestReason ? `${said.slice(0, longestReason)}…` : said
}
