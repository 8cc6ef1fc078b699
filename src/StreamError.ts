/**
 * The typed errors of byte streams.
 *
 * They are flat tagged classes, so `Effect.catchTag("LimitOverrun", …)` works
 * without unwrapping, and they are backed by schemas, so they cross RPC, worker
 * and log boundaries. A failure is a fresh value each time: it names the
 * operation that met it, and is never shared between two readers or writers.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The end of the stream came before the read was complete.
 *
 * **Details**
 *
 * The bytes that did arrive are in `partial`, and the reader's buffer is empty
 * afterwards: nothing is lost, nothing is delivered twice. `expected` is the
 * number of bytes asked for, and absent where a separator was awaited.
 * This is asyncio's `IncompleteReadError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class IncompleteRead extends Schema.TaggedError<IncompleteRead>("effect-byte-streams/IncompleteRead")(
  "IncompleteRead",
  {
    operation: Schema.String,
    partial: Schema.Uint8Array,
    expected: Schema.optional(Schema.Number)
  }
) {
  override get message(): string {
    return this.expected === undefined
      ? `${this.operation}: the stream ended after ${this.partial.length} bytes without the separator`
      : `${this.operation}: the stream ended after ${this.partial.length} of ${this.expected} bytes`
  }
}

/**
 * The separator was not found within the limit.
 *
 * **Details**
 *
 * `consumed` bytes can be dropped (`skip(consumed)`) without cutting a
 * separator in two. `found` tells the two cases apart: the separator is there,
 * but what precedes it is longer than `limit` (`true`), or it is not in sight
 * and more than `limit` bytes are buffered (`false`). After `readUntil` and
 * `readAll` the buffer is untouched. `readLine` has already dropped the line.
 * This is asyncio's `LimitOverrunError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class LimitOverrun extends Schema.TaggedError<LimitOverrun>("effect-byte-streams/LimitOverrun")("LimitOverrun", {
  operation: Schema.String,
  consumed: Schema.Number,
  limit: Schema.Number,
  found: Schema.Boolean
}) {
  override get message(): string {
    return this.found
      ? `${this.operation}: the separator is found, but ${this.consumed} bytes before it exceed the limit of ${this.limit}`
      : `${this.operation}: no separator within the limit of ${this.limit} bytes`
  }
}

/**
 * This side ended the stream, then used it.
 *
 * **Details**
 *
 * `reason` tells how it ended: `Closed` by `close` or by its scope, `Eof` by
 * `writeEof` (only writing is over), `Aborted` by `abort`, `Upgraded` by
 * `startTls`, which hands the session to a new connection.
 *
 * @category errors
 * @since 0.1.0
 */
export class ClosedStream extends Schema.TaggedError<ClosedStream>("effect-byte-streams/ClosedStream")("ClosedStream", {
  operation: Schema.String,
  reason: Schema.Literals(["Closed", "Eof", "Aborted", "Upgraded"])
}) {
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

/**
 * The peer, or the system between, broke the connection.
 *
 * **Details**
 *
 * Bytes that arrived before the loss are delivered before this error. `code` is
 * the system's own word for it (`ECONNRESET`), where there is one.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>("effect-byte-streams/ConnectionLost")(
  "ConnectionLost",
  {
    operation: Schema.String,
    kind: Schema.Literals(["Reset", "BrokenPipe", "TimedOut", "Unreachable", "Unknown"]),
    code: Schema.optional(Schema.String),
    cause: Schema.optional(Schema.Defect())
  }
) {
  override get message(): string {
    return `${this.operation}: the connection was lost (${this.kind}${
      this.code === undefined || this.code === "" ? "" : `, ${this.code}`
    })`
  }
}

/**
 * A second read began while another fiber's read was waiting.
 *
 * **Details**
 *
 * `holder` is the operation that waits. It is not disturbed, and no byte goes
 * to the wrong reader.
 *
 * @category errors
 * @since 0.1.0
 */
export class StreamBusy extends Schema.TaggedError<StreamBusy>("effect-byte-streams/StreamBusy")("StreamBusy", {
  operation: Schema.String,
  holder: Schema.String
}) {
  override get message(): string {
    return `${this.operation}: ${this.holder} is already waiting for bytes of this stream`
  }
}

/**
 * A configured bound on waiting was reached.
 *
 * @category errors
 * @since 0.1.0
 */
export class StreamTimeout extends Schema.TaggedError<StreamTimeout>("effect-byte-streams/StreamTimeout")(
  "StreamTimeout",
  {
    operation: Schema.String,
    kind: Schema.Literals(["Idle", "Read", "Write", "Total", "MinRate", "Handshake"]),
    duration: Schema.Duration
  }
) {
  override get message(): string {
    return `${this.operation}: the ${this.kind} timeout expired`
  }
}

/**
 * One address that was tried while connecting, and why it failed.
 *
 * @category models
 * @since 0.1.0
 */
export const ConnectAttempt = Schema.Struct({
  address: Schema.String,
  kind: Schema.Literals([
    "Refused",
    "Reset",
    "Timeout",
    "HostNotFound",
    "Unreachable",
    "AccessDenied",
    "NotFound",
    "Unknown"
  ]),
  code: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})

/**
 * One address that was tried while connecting, and why it failed.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectAttempt = typeof ConnectAttempt.Type

/**
 * No connection could be opened.
 *
 * **Details**
 *
 * `attempts` has one entry an address, in the order tried; `kind` is that of
 * the attempt that says most. A Unix path that does not exist is `NotFound`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectFailed extends Schema.TaggedError<ConnectFailed>("effect-byte-streams/ConnectFailed")(
  "ConnectFailed",
  {
    target: Schema.String,
    kind: ConnectAttempt.fields.kind,
    attempts: Schema.Array(ConnectAttempt)
  }
) {
  override get message(): string {
    const tried = this.attempts.map((attempt) => `${attempt.address}: ${attempt.code ?? attempt.kind}`).join(", ")
    return `cannot connect to ${this.target}: ${this.kind}${tried === "" ? "" : ` (${tried})`}`
  }
}

/**
 * A server could not listen on an address.
 *
 * @category errors
 * @since 0.1.0
 */
export class ListenFailed extends Schema.TaggedError<ListenFailed>("effect-byte-streams/ListenFailed")("ListenFailed", {
  kind: Schema.Literals(["AddressInUse", "AddressNotAvailable", "AccessDenied", "HostNotFound", "NotFound", "Unknown"]),
  address: Schema.String,
  code: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
}) {
  override get message(): string {
    return `cannot listen on ${this.address}: ${this.kind}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/**
 * TLS could not be agreed on, or was cut off.
 *
 * **Details**
 *
 * - `Certificate`: one side does not accept the other's certificate.
 * - `Handshake`: they could not agree on anything else, or the peer left meanwhile.
 * - `Timeout`: the handshake took longer than `handshakeTimeout`; the `cause` is a `StreamTimeout`.
 * - `InjectedPlaintext`: bytes came along with the request to upgrade, and were not asked for.
 * - `Truncated`: the connection was cut without a `close_notify`.
 * - `Unsupported`: the transport cannot do it.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsFailed extends Schema.TaggedError<TlsFailed>("effect-byte-streams/TlsFailed")("TlsFailed", {
  kind: Schema.Literals(["Certificate", "Handshake", "Timeout", "InjectedPlaintext", "Truncated", "Unsupported"]),
  code: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
}) {
  override get message(): string {
    return `TLS failed: ${this.kind}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/**
 * What every read can fail with. `TlsFailed` only over TLS.
 *
 * @category models
 * @since 0.1.0
 */
export type ReadError = ConnectionLost | ClosedStream | StreamBusy | StreamTimeout | TlsFailed

/**
 * What every write can fail with.
 *
 * @category models
 * @since 0.1.0
 */
export type WriteError = ConnectionLost | ClosedStream | StreamTimeout
