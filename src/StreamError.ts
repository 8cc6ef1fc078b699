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
import * as Errors from "./internal/base/errors.ts"
import { withSchema } from "./internal/base/errorSchema.ts"

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
export const IncompleteRead = withSchema(Errors.IncompleteRead, "IncompleteRead", {
  operation: Schema.String,
  partial: Schema.Uint8Array,
  expected: Schema.optional(Schema.Number)
})
export type IncompleteRead = Errors.IncompleteRead

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
export const LimitOverrun = withSchema(Errors.LimitOverrun, "LimitOverrun", {
  operation: Schema.String,
  consumed: Schema.Number,
  limit: Schema.Number,
  found: Schema.Boolean,
  frame: Schema.optional(Schema.String)
})
export type LimitOverrun = Errors.LimitOverrun

/**
 * A line is no text in its encoding. From `StreamReader.lines` with `fatal`.
 *
 * **Details**
 *
 * `bytes` is the line, with its end. It is dropped: the reader stands behind it,
 * and lines in front of it were delivered.
 *
 * @category errors
 * @since 0.1.0
 */
export const InvalidText = withSchema(Errors.InvalidText, "InvalidText", {
  operation: Schema.String,
  encoding: Schema.String,
  bytes: Schema.Uint8Array
})
export type InvalidText = Errors.InvalidText

/**
 * What arrived is no message of the frame that it was read with.
 *
 * **Details**
 *
 * - `frame` says which part of the message is wrong: `Packet.body.length`.
 * - `offset` is where, in bytes, counted from the first byte of the stream.
 * - `bytes` are the up to 16 bytes from there on; the message shows them as hexadecimal numbers.
 *
 * Where it is known where the bad message ends (a length in front of it, a
 * delimiter behind it), it is consumed, and the next read stands behind it.
 * Elsewhere nothing is consumed: the same read fails again, and any other read
 * goes on at the first byte of the bad message.
 *
 * @category errors
 * @since 0.1.0
 */
export const MalformedFrame = withSchema(Errors.MalformedFrame, "MalformedFrame", {
  operation: Schema.String,
  frame: Schema.String,
  reason: Schema.String,
  offset: Schema.Number,
  bytes: Schema.Uint8Array,
  cause: Schema.optional(Schema.Defect())
})
export type MalformedFrame = Errors.MalformedFrame

/**
 * A value cannot be written with a frame: it could not be read again. Nothing
 * was written.
 *
 * **Details**
 *
 * `frame` says which part of the value it is about: `Packet.topic`.
 *
 * @category errors
 * @since 0.1.0
 */
export const EncodeFailed = withSchema(Errors.EncodeFailed, "EncodeFailed", {
  operation: Schema.String,
  frame: Schema.String,
  reason: Schema.String,
  cause: Schema.optional(Schema.Defect())
})
export type EncodeFailed = Errors.EncodeFailed

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
export const ClosedStream = withSchema(Errors.ClosedStream, "ClosedStream", {
  operation: Schema.String,
  reason: Schema.Literals(["Closed", "Eof", "Aborted", "Upgraded"])
})
export type ClosedStream = Errors.ClosedStream

/**
 * The peer, or the system between, broke the connection.
 *
 * **Details**
 *
 * Bytes that arrived before the loss are delivered before this error. `code` is
 * the system's own word for it (`ECONNRESET`), where there is one. `cause` is the
 * error that the system, or the stream below, gave for it. Where the kind is
 * `Unknown`, the message has the message of the cause. `peer` is the address of
 * the other side, such as `127.0.0.1:7000` or the path of a Unix socket, where it
 * has one: a reader without a connection has none, nor has a client of a Unix
 * socket.
 *
 * @category errors
 * @since 0.1.0
 */
export const ConnectionLost = withSchema(Errors.ConnectionLost, "ConnectionLost", {
  operation: Schema.String,
  kind: Schema.Literals(["Reset", "BrokenPipe", "TimedOut", "Unreachable", "Unknown"]),
  code: Schema.optional(Schema.String),
  peer: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})
export type ConnectionLost = Errors.ConnectionLost

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
export const StreamBusy = withSchema(Errors.StreamBusy, "StreamBusy", {
  operation: Schema.String,
  holder: Schema.String
})
export type StreamBusy = Errors.StreamBusy

/**
 * A configured bound on waiting was reached.
 *
 * **Details**
 *
 * - `Read`: this read waited too long, by `timeouts.read` or `reader.within`. It has taken nothing, and the connection
 *   goes on.
 * - `Idle`, `Write`, `Total`, `MinRate`: the connection was reset. What arrived in time is read before the error.
 * - `Connect`, `Handshake`: there is no connection. They are the `cause` within `ConnectFailed` and `TlsFailed`, of
 *   kind `Timeout` both.
 * - `Lookup`: there is no server. It is the `cause` within `ListenFailed`, of kind `Timeout`.
 *
 * `duration` is the bound, and `peer` the address of the other side, where it has one.
 *
 * A close that takes too long does not fail: its outcome is `TimedOut`.
 *
 * @category errors
 * @since 0.1.0
 */
export const StreamTimeout = withSchema(Errors.StreamTimeout, "StreamTimeout", {
  operation: Schema.String,
  kind: Schema.Literals(["Idle", "Read", "Write", "Total", "MinRate", "Lookup", "Connect", "Handshake"]),
  duration: Schema.Duration,
  peer: Schema.optional(Schema.String)
})
export type StreamTimeout = Errors.StreamTimeout

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
    "NotADirectory",
    "NotASocket",
    "PathTooLong",
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
 * the attempt that says most.
 * Where no address was found for a name, `kind` is `HostNotFound`, whatever kept
 * the resolver from finding one: `Refused` is only said by the host itself, and
 * a DNS server that refuses is `HostNotFound` with the code `ECONNREFUSED`. A
 * resolver that gave up waiting is `Timeout`, with its `code`.
 * Where `connectTimeout` ran out, `kind` is `Timeout`, and the attempts that it
 * cut off have a `StreamTimeout` for their `cause`; where the system gave up
 * first, they have its `code`.
 *
 * Of a Unix socket's path:
 *
 * - `NotFound`: it does not exist.
 * - `Refused`: it is a socket, and nobody listens on it.
 * - `NotASocket`: it is something else, such as a file.
 * - `NotADirectory`: it lies below something that is no directory.
 * - `PathTooLong`: it has more bytes than the address of a socket, which are 108 on Linux and 104 elsewhere.
 * - `AccessDenied`: this user may not connect to it, or not look into its directory.
 * - `Timeout` with the attempt's code `EAGAIN`: the server's queue was full all the time.
 *
 * @category errors
 * @since 0.1.0
 */
export const ConnectFailed = withSchema(Errors.ConnectFailed, "ConnectFailed", {
  target: Schema.String,
  kind: ConnectAttempt.fields.kind,
  attempts: Schema.Array(ConnectAttempt)
})
export type ConnectFailed = Errors.ConnectFailed

/**
 * A server could not listen on an address.
 *
 * **Details**
 *
 * - `AddressInUse`: somebody else listens there. So is a symbolic link in place of a Unix path, which is never replaced.
 * - `AddressNotAvailable`: this machine does not have the address.
 * - `AccessDenied`: this process may not listen there, or may not replace the Unix path that another user has left.
 * - `HostNotFound`: no address was found for a name, whatever kept the resolver from finding one.
 * - `Timeout`: a look-up took longer than `lookupTimeout`, and the `cause` is a `StreamTimeout`; or the resolver gave up
 *   waiting, and there is its `code`.
 * - `NotFound`: the directory of a Unix path does not exist.
 * - `NotASocket`, `NotADirectory`, `PathTooLong`: of a Unix path, as for `ConnectFailed`.
 * - `Tls`: this side of TLS cannot work, and every client would fail: the key is not that of the certificate, the
 *   passphrase is wrong, there is no key, no certificate, or none in `ca`, or `minVersion` is above `maxVersion`. `code`
 *   is OpenSSL's, and the `cause` names the option.
 *
 * @category errors
 * @since 0.1.0
 */
export const ListenFailed = withSchema(Errors.ListenFailed, "ListenFailed", {
  kind: Schema.Literals([
    "AddressInUse",
    "AddressNotAvailable",
    "AccessDenied",
    "HostNotFound",
    "Timeout",
    "NotFound",
    "NotADirectory",
    "NotASocket",
    "PathTooLong",
    "Tls",
    "Unknown"
  ]),
  address: Schema.String,
  code: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})
export type ListenFailed = Errors.ListenFailed

/**
 * TLS could not be agreed on, or was cut off.
 *
 * **Details**
 *
 * `operation` is the one that met it: `openConnection`, `startTls`, `stopTls`, a read; and `startServer` for a
 * handshake with a client of a server. `code` is OpenSSL's, the system's, or that of the peer's alert. Where OpenSSL
 * refuses a certificate for a reason that Node has no code for, `code` is the reason in words, such as
 * `permitted subtree violation`. `peer` is the address of the other side, where there was one and it has one.
 *
 * - `Certificate`: one side does not accept the other's certificate.
 * - `Handshake`: they could not agree on anything else, the peer left meanwhile, or this side's own `identity`, `ca`
 *   or versions cannot work. The `cause` says which.
 * - `Timeout`: the handshake took longer than `handshakeTimeout`; the `cause` is a `StreamTimeout`.
 * - `InjectedPlaintext`: bytes came along with the request to upgrade, and were not asked for.
 * - `Truncated`: the connection was cut without a `close_notify`.
 * - `Unsupported`: the transport cannot do it.
 *
 * @category errors
 * @since 0.1.0
 */
export const TlsFailed = withSchema(Errors.TlsFailed, "TlsFailed", {
  operation: Schema.optional(Schema.String),
  kind: Schema.Literals(["Certificate", "Handshake", "Timeout", "InjectedPlaintext", "Truncated", "Unsupported"]),
  code: Schema.optional(Schema.String),
  peer: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})
export type TlsFailed = Errors.TlsFailed

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

/**
 * What every read of a whole item can fail with: a line, a number of bytes,
 * what comes before a separator.
 *
 * @category models
 * @since 0.1.0
 */
export type FramedReadError = ReadError | IncompleteRead | LimitOverrun | MalformedFrame

/**
 * Every error of this library.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamError =
  | ClosedStream
  | ConnectFailed
  | ConnectionLost
  | EncodeFailed
  | IncompleteRead
  | InvalidText
  | LimitOverrun
  | ListenFailed
  | MalformedFrame
  | StreamBusy
  | StreamTimeout
  | TlsFailed
