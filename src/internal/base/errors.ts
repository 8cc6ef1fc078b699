/**
 * The typed errors, without their schemas.
 *
 * `Schema` is larger than everything else that a server loads taken together, and few programs send these errors
 * anywhere. So the classes are made here, and `StreamError` makes schemas of the same classes where it is imported.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type { LostCause } from "../../StreamError.ts"

export class IncompleteRead extends Data.TaggedError("IncompleteRead")<{
  /** The operation that failed, by its name in the API, such as `readExactly`. */
  readonly operation: string
  /**
   * The bytes that arrived. They are no longer in the buffer of the reader. Empty where bytes are handed over as they come:
   * by `take` and `limited` of `StreamReader`.
   */
  readonly partial: Uint8Array
  /** The number of bytes that was asked for. Absent where a separator was awaited, or a message. */
  readonly expected?: number | undefined
  /** The message that was cut off, by the name of its frame. Absent where no frame was read. */
  readonly frame?: string | undefined
}> {
  override get message(): string {
    const { expected, frame, operation, partial } = this
    // what came was handed over, and is not counted here
    if (operation === "take" || operation === "limited")
      return `${operation}: the stream ended before the last of ${expected} bytes`
    const size = `${partial.length} byte${partial.length === 1 ? "" : "s"}`
    const ended = `${operation}: the stream ended after`
    if (expected !== undefined) return `${ended} ${partial.length} of ${expected} bytes`
    return frame === undefined ? `${ended} ${size} without the separator` : `${ended} ${size} of ${frame}`
  }
}

export class LimitOverrun extends Data.TaggedError("LimitOverrun")<{
  /** The operation that failed, by its name in the API, such as `readExactly`. */
  readonly operation: string
  /**
   * The number of bytes that `skip` can drop without cutting a separator in two. For a frame, the length of the
   * message, where `found`.
   */
  readonly consumed: number
  /** The limit that was exceeded, in bytes. */
  readonly limit: number
  /** Whether the end of the item is known: its separator is in the buffer, or the length of the message was read. */
  readonly found: boolean
  /** The part of the message that is too long, such as `Packet.body`. Absent where no frame was read. */
  readonly frame?: string | undefined
}> {
  override get message(): string {
    if (this.frame !== undefined) return `${this.operation}: ${this.frame} is longer than ${this.limit} bytes`
    // what is read to its end has no separator
    if (this.operation === "readAll") return `readAll: the stream is longer than ${this.limit} bytes`
    return this.found
      ? `${this.operation}: the separator is found, but ${this.consumed} bytes before it exceed the limit of ${this.limit}`
      : `${this.operation}: no separator within the limit of ${this.limit} bytes`
  }
}

export class InvalidText extends Data.TaggedError("InvalidText")<{
  /** The operation that failed, by its name in the API, such as `readExactly`. */
  readonly operation: string
  /** The encoding that the bytes are not valid in, as a label of `TextDecoder`. */
  readonly encoding: string
  /** The line, with its end. The reader has dropped it. */
  readonly bytes: Uint8Array
}> {
  override get message(): string {
    const { bytes, encoding, operation } = this
    const shown = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join(" ")
    return `${operation}: a line of ${bytes.length} bytes is not valid ${encoding} (${shown}${bytes.length > 16 ? " …" : ""})`
  }
}

export class MalformedFrame extends Data.TaggedError("MalformedFrame")<{
  /** The operation that failed, by its name in the API, such as `readExactly`. */
  readonly operation: string
  /** The part of the message that is wrong, such as `Packet.body.length`. */
  readonly frame: string
  /** The fault, in words. */
  readonly reason: string
  /** The place of the fault, in bytes from the first byte of the stream. */
  readonly offset: number
  /** Up to 16 bytes from the fault on. */
  readonly bytes: Uint8Array
  /** The error of a decoder or a schema, where there is one. */
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
  /** The operation that failed, by its name in the API, such as `writeFrame`. */
  readonly operation: string
  /** The part of the value that cannot be written, such as `Packet.topic`. */
  readonly frame: string
  /** The fault, in words. */
  readonly reason: string
  /** The error of an encoder or a schema, where there is one. */
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${this.operation}: ${this.frame} ${this.reason}`
  }
}

export class ClosedStream extends Data.TaggedError("ClosedStream")<{
  /** The operation that failed, by its name in the API, such as `write`. */
  readonly operation: string
  /**
   * How this side ended the stream: `Closed` by `close` or its scope, `Eof` by `writeEof`, `Aborted` by `abort`,
   * `Upgraded` by `startTls` or `stopTls`.
   */
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
  /** The operation that failed, by its name in the API, such as `readExactly`. */
  readonly operation: string
  /** The kind of loss, the same on every system. */
  readonly kind: "Reset" | "BrokenPipe" | "TimedOut" | "Unreachable" | "Unknown"
  /** The system's own code, such as `ECONNRESET`, where there is one. */
  readonly code?: string | undefined
  /** The address of the other side, such as `127.0.0.1:7000` or the path of a Unix socket, where it has one. */
  readonly peer?: string | undefined
  /** The error of the system, or of the stream below. */
  readonly cause?: unknown
}> {
  override get message(): string {
    const lost = `${this.operation}: the connection ${this.peer === undefined ? "" : `to ${this.peer} `}was lost (${this.kind}${
      this.code === undefined || this.code === "" ? "" : `, ${this.code}`
    })`
    // the kind says nothing: the cause does
    return this.kind === "Unknown" && this.cause instanceof Error ? `${lost}: ${this.cause.message}` : lost
  }
}

export class StreamBusy extends Data.TaggedError("StreamBusy")<{
  /** The operation that failed, by its name in the API, such as `readExactly`. */
  readonly operation: string
  /** The operation that waits. It is not disturbed. */
  readonly holder: string
}> {
  override get message(): string {
    return `${this.operation}: ${this.holder} is already waiting for bytes of this stream`
  }
}

export class StreamTimeout extends Data.TaggedError("StreamTimeout")<{
  /** The operation that failed, by its name in the API, such as `readExactly`. */
  readonly operation: string
  /** The timeout that was reached. */
  readonly kind: "Idle" | "Read" | "Write" | "Total" | "MinRate" | "Lookup" | "Connect" | "Handshake" | "Answer"
  /** The length of the timeout. */
  readonly duration: Duration.Duration
  /** The address of the other side, such as `127.0.0.1:7000`, where it has one. */
  readonly peer?: string | undefined
}> {
  override get message(): string {
    const { duration, kind, operation, peer } = this
    return `${operation}: the ${kind} timeout of ${Duration.format(duration)} expired${peer === undefined ? "" : ` (${peer})`}`
  }
}

export class ProtocolViolation extends Data.TaggedError("ProtocolViolation")<{
  /** What the peer did. */
  readonly reason: string
}> {
  override get message(): string {
    return `the peer breaks the protocol: ${this.reason}`
  }
}

export class RequestLost extends Data.TaggedError("RequestLost")<{
  /** Whether the peer may have heard of the request: `"No"` only if no byte of it has left this process. */
  readonly sent: "No" | "Maybe"
  /** Why the connection is not used any more. */
  readonly cause: LostCause
}> {
  override get message(): string {
    const { cause, sent } = this
    return `no answer comes any more to a request that ${sent === "No" ? "was not sent" : "may have been sent"}: ${cause.message}`
  }
}

export interface ConnectAttempt {
  /** The address that was tried, such as `192.0.2.1:7000` or the path of a Unix socket. */
  readonly address: string
  /** The kind of failure, the same on every system. */
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
    | "Unsupported"
    | "Unknown"
  /** The system's own code, such as `ECONNREFUSED`, where there is one. */
  readonly code?: string | undefined
  /** The error of the system, or a `StreamTimeout` where `connectTimeout` cut the attempt off. */
  readonly cause?: unknown
}

export class ConnectFailed extends Data.TaggedError("ConnectFailed")<{
  /** The target of the connection, such as `example.org:7000` or the path of a Unix socket. */
  readonly target: string
  /** The kind of the attempt that says most. */
  readonly kind: ConnectAttempt["kind"]
  /** One entry for each address, in the order in which the addresses were tried. */
  readonly attempts: ReadonlyArray<ConnectAttempt>
}> {
  override get message(): string {
    const tried = this.attempts.map((attempt) => `${attempt.address}: ${attempt.code ?? attempt.kind}`).join(", ")
    return `cannot connect to ${this.target}: ${this.kind}${tried === "" ? "" : ` (${tried})`}`
  }
}

export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  /** The kind of failure, the same on every system. */
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
    | "Unsupported"
    | "Tls"
    | "Unknown"
  /** The address that was to be listened on, such as `*:7000` or the path of a Unix socket. */
  readonly address: string
  /** The system's or OpenSSL's own code, such as `EADDRINUSE`, where there is one. */
  readonly code?: string | undefined
  /** The error of the system, or of TLS. */
  readonly cause?: unknown
}> {
  override get message(): string {
    const what = `cannot listen on ${this.address}: ${this.kind}`
    // the system's codes say it all
    return detailed(what, this.code, this.kind === "Tls" ? this.cause : undefined)
  }
}

export class TlsFailed extends Data.TaggedError("TlsFailed")<{
  /**
   * The operation that met the failure, such as `openConnection`; `startServer` for a handshake with a client of a
   * server.
   */
  readonly operation?: string | undefined
  /** The kind of failure. */
  readonly kind: "Certificate" | "Handshake" | "Timeout" | "InjectedPlaintext" | "Truncated" | "Unsupported"
  /** The code of OpenSSL, of the system, or of the peer's alert, where there is one. */
  readonly code?: string | undefined
  /** The address of the other side, where there was one and it has one. */
  readonly peer?: string | undefined
  /** The error of the engine, or a `StreamTimeout` where `kind` is `Timeout`. */
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
      return operation === "stopTls"
        ? "there is no TLS that could be ended"
        : detailed("this transport cannot begin TLS", code, cause)
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
