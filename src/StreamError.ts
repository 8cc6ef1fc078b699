/**
 * The typed errors of byte streams.
 *
 * They are flat tagged classes: `Effect.catchTag("LimitOverrun", …)` works without unwrapping. They are schemas as
 * well, so they cross RPC, worker and log boundaries. Each failure is a fresh value that names its operation; it is
 * never shared by two readers or writers.
 *
 * | error | cause | what to do |
 * | --- | --- | --- |
 * | `IncompleteRead` | the stream ended inside an item | the peer has left, or was cut off: give up the item |
 * | `LimitOverrun` | an item is longer than its limit | `discardUntil`, or give up the connection |
 * | `InvalidText` | a line is no text in its encoding | read on |
 * | `MalformedFrame` | the bytes are no such message | usually, give up the connection |
 * | `EncodeFailed` | the value is no such message | mend the program |
 * | `ClosedStream` | this side has ended the stream | stop |
 * | `ConnectionLost` | the peer or the system broke the connection | connect again |
 * | `StreamBusy` | two fibers read at a time | let one fiber read |
 * | `StreamTimeout` | a timeout was reached | kind `Read` or `Answer`: try again; others: connect again |
 * | `ConnectFailed` | no connection could be opened | try again later |
 * | `ListenFailed` | a server could not listen | mend the settings |
 * | `TlsFailed` | TLS could not be agreed on, or was cut off | see its kinds |
 * | `RequestLost` | no answer comes any more to a request of an exchange | ask elsewhere if `sent` is `"No"` |
 * | `ProtocolViolation` | the peer of an exchange breaks its protocol | give up the connection |
 *
 * Wrong arguments are no errors of this kind: the effect dies, with a message that names the operation, the option and
 * the value.
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Errors from "./internal/base/errors.ts"
import { type Made, withSchema } from "./internal/base/errorSchema.ts"

/**
 * The end of the stream came before the read was complete: asyncio's `IncompleteReadError`.
 *
 * **Details**
 *
 * `partial` has the bytes that arrived, and the buffer of the reader is empty. `skip` of more than its limit has
 * dropped them already: `partial` is empty then. `readExactly` and `readUntil` fail again then, with an empty
 * `partial`.
 *
 * @see {@link LimitOverrun} for items that are too long.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const IncompleteRead = withSchema(Errors.IncompleteRead as Made<IncompleteRead>, "IncompleteRead", {
  operation: Schema.String,
  partial: Schema.Uint8Array,
  expected: Schema.optional(Schema.Number),
  frame: Schema.optional(Schema.String)
})

/**
 * A `IncompleteRead`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface IncompleteRead extends Errors.IncompleteRead {}

/**
 * An item is longer than its limit: asyncio's `LimitOverrunError`.
 *
 * **Details**
 *
 * - After `readUntil` and `readAll` the buffer is untouched. `skip(consumed)` never cuts a separator in two.
 * - After a `readLine` the line was dropped, and the next read starts behind it.
 * - After a `readFrame` nothing was dropped. `consumed` is the length of the message, where `found`.
 * - `found` tells two cases apart. `true`: the separator is there, but too far away. `false`: the separator is not in
 *   sight, and more than `limit` bytes are buffered.
 *
 * @see {@link IncompleteRead}
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const LimitOverrun = withSchema(Errors.LimitOverrun as Made<LimitOverrun>, "LimitOverrun", {
  operation: Schema.String,
  consumed: Schema.Number,
  limit: Schema.Number,
  found: Schema.Boolean,
  frame: Schema.optional(Schema.String)
})

/**
 * A `LimitOverrun`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface LimitOverrun extends Errors.LimitOverrun {}

/**
 * A line is no text in its encoding. Only `StreamReader.lines` with `fatal: true` fails in this way.
 *
 * **Details**
 *
 * The line was dropped, and the next read starts behind it. The lines in front were delivered.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const InvalidText = withSchema(Errors.InvalidText as Made<InvalidText>, "InvalidText", {
  operation: Schema.String,
  encoding: Schema.String,
  bytes: Schema.Uint8Array
})

/**
 * A `InvalidText`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface InvalidText extends Errors.InvalidText {}

/**
 * The bytes are no message of the frame that they were read with.
 *
 * **Details**
 *
 * A message whose end is known was dropped, and the next read stands behind it. A length in front of a message tells
 * its end, and so does a delimiter behind it. Otherwise nothing was dropped: the same read fails again, and any other
 * read starts at the first byte of the message.
 *
 * @see {@link LimitOverrun} for messages that are too long.
 * @see {@link EncodeFailed} for the other direction.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const MalformedFrame = withSchema(Errors.MalformedFrame as Made<MalformedFrame>, "MalformedFrame", {
  operation: Schema.String,
  frame: Schema.String,
  reason: Schema.String,
  offset: Schema.Number,
  bytes: Schema.Uint8Array,
  cause: Schema.optional(Schema.Defect())
})

/**
 * A `MalformedFrame`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface MalformedFrame extends Errors.MalformedFrame {}

/**
 * A value cannot be written with a frame, because it could not be read again. Nothing was written.
 *
 * @see {@link MalformedFrame} for the other direction.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const EncodeFailed = withSchema(Errors.EncodeFailed as Made<EncodeFailed>, "EncodeFailed", {
  operation: Schema.String,
  frame: Schema.String,
  reason: Schema.String,
  cause: Schema.optional(Schema.Defect())
})

/**
 * A `EncodeFailed`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface EncodeFailed extends Errors.EncodeFailed {}

/**
 * This side ended the stream, then used it.
 *
 * **Details**
 *
 * - `Closed`: by `close`, or by the end of its scope.
 * - `Eof`: by `writeEof`. Only writing is over.
 * - `Aborted`: by `abort`.
 * - `Upgraded`: by `startTls` or `stopTls`, which handed the session to a new connection.
 *
 * @see {@link ConnectionLost} for an end that the peer or the system brought about.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const ClosedStream = withSchema(Errors.ClosedStream as Made<ClosedStream>, "ClosedStream", {
  operation: Schema.String,
  reason: Schema.Literals(["Closed", "Eof", "Aborted", "Upgraded"])
})

/**
 * A `ClosedStream`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface ClosedStream extends Errors.ClosedStream {}

/**
 * The peer, or the system between, broke the connection.
 *
 * **Details**
 *
 * Bytes that arrived before the loss are delivered before this error.
 *
 * - `Reset`: the connection was reset (`ECONNRESET`).
 * - `BrokenPipe`: this side wrote, and the other side no longer receives (`EPIPE`).
 * - `TimedOut`: the system gave up waiting for the peer (`ETIMEDOUT`).
 * - `Unreachable`: there is no way to the peer any more.
 * - `Unknown`: any other loss. The message includes that of the `cause`.
 *
 * A reader without a connection has no `peer`, and neither has a client of a Unix socket.
 *
 * @see {@link StreamTimeout} for timeouts of this library.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const ConnectionLost = withSchema(Errors.ConnectionLost as Made<ConnectionLost>, "ConnectionLost", {
  operation: Schema.String,
  kind: Schema.Literals(["Reset", "BrokenPipe", "TimedOut", "Unreachable", "Unknown"]),
  code: Schema.optional(Schema.String),
  peer: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})

/**
 * A `ConnectionLost`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface ConnectionLost extends Errors.ConnectionLost {}

/**
 * A second read began while another fiber's read was waiting.
 *
 * **Details**
 *
 * The waiting read is not disturbed, and no byte goes to the wrong reader.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const StreamBusy = withSchema(Errors.StreamBusy as Made<StreamBusy>, "StreamBusy", {
  operation: Schema.String,
  holder: Schema.String
})

/**
 * A `StreamBusy`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface StreamBusy extends Errors.StreamBusy {}

/**
 * A timeout was reached.
 *
 * **Details**
 *
 * - `Read`: this read waited too long, by `timeouts.read` or `reader.within`. It has taken nothing, and the connection
 *   goes on.
 * - `Idle`, `Write`, `Total`, `MinRate`: the connection was reset. Bytes that arrived in time are read before the
 *   error.
 * - `Connect`, `Handshake`: there is no connection. The error is the `cause` within `ConnectFailed` and `TlsFailed`, of
 *   kind `Timeout` both.
 * - `Answer`: a call of an `Exchange` waited too long, by `callTimeout`. The exchange goes on.
 * - `Lookup`: there is no server. The error is the `cause` within `ListenFailed`, of kind `Timeout`.
 *
 * A close that takes too long does not fail: its outcome is `TimedOut`.
 *
 * @see `Connection.Timeouts`
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const StreamTimeout = withSchema(Errors.StreamTimeout as Made<StreamTimeout>, "StreamTimeout", {
  operation: Schema.String,
  kind: Schema.Literals(["Idle", "Read", "Write", "Total", "MinRate", "Lookup", "Connect", "Handshake", "Answer"]),
  duration: Schema.Duration,
  peer: Schema.optional(Schema.String)
})

/**
 * A `StreamTimeout`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface StreamTimeout extends Errors.StreamTimeout {}

/**
 * One address that was tried while connecting, and its failure.
 *
 * @see {@link ConnectFailed}
 *
 * @stability unstable
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
    "Unsupported",
    "Unknown"
  ]),
  code: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})

/**
 * One address that was tried while connecting, and its failure.
 *
 * @see {@link ConnectFailed}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type ConnectAttempt = typeof ConnectAttempt.Type

/**
 * No connection could be opened.
 *
 * **Details**
 *
 * The kinds are those of the attempts; `kind` is the one that says most:
 *
 * - `Refused`: nobody listens there. Only the host itself says so.
 * - `Reset`: the connection broke while it was being made.
 * - `Timeout`: `connectTimeout` ran out, and the attempts that it cut off have a `StreamTimeout` as their `cause`. Or
 *   the system, or the resolver, gave up first: then there is its `code`.
 * - `HostNotFound`: no address was found for the name, for any reason. A DNS server that refuses is `HostNotFound` with
 *   the code `ECONNREFUSED`.
 * - `Unreachable`: there is no way to the address.
 * - `AccessDenied`: this process may not connect there.
 *
 * For the path of a Unix socket:
 *
 * - `NotFound`: the path does not exist.
 * - `Refused`: the path is a socket, and nobody listens on it.
 * - `NotASocket`: the path is something else, such as a file.
 * - `NotADirectory`: the path lies below something that is no directory.
 * - `PathTooLong`: the path has more bytes than the address of a socket: 108 on Linux, 104 elsewhere.
 * - `Unsupported`: this system has no such socket. On Windows these are all paths but those of named pipes
 *   (`\\.\pipe\…`). Elsewhere, but on Linux, they are abstract names.
 * - `AccessDenied`: this user may not connect to the path, or not look into its directory.
 * - `Timeout` with the attempt's code `EAGAIN`: the queue of the server was full all the time.
 *
 * @see {@link ConnectAttempt}, {@link TlsFailed} for failures after the peer was reached.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const ConnectFailed = withSchema(Errors.ConnectFailed as Made<ConnectFailed>, "ConnectFailed", {
  target: Schema.String,
  kind: ConnectAttempt.fields.kind,
  attempts: Schema.Array(ConnectAttempt)
})

/**
 * A `ConnectFailed`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface ConnectFailed extends Errors.ConnectFailed {}

/**
 * A server could not listen on an address.
 *
 * **Details**
 *
 * - `AddressInUse`: another server listens there. A symbolic link in place of a Unix path counts as one, and is never
 *   replaced.
 * - `AddressNotAvailable`: this machine does not have the address.
 * - `AccessDenied`: this process may not listen there, or may not replace the Unix path that another user has left.
 * - `HostNotFound`: no address was found for a name, for any reason.
 * - `Timeout`: a look-up took longer than `lookupTimeout`, and the `cause` is a `StreamTimeout`. Or the resolver gave
 *   up first: then there is its `code`.
 * - `NotFound`: the directory of a Unix path does not exist.
 * - `NotASocket`, `NotADirectory`, `PathTooLong`: for a Unix path, as in `ConnectFailed`.
 * - `Unsupported`: this system has no such Unix socket, as in `ConnectFailed`; or it cannot share a port (`reusePort`).
 * - `Tls`: this side of TLS cannot work, so every client would fail. A key, a certificate or a passphrase is wrong or
 *   missing, `ca` holds no certificate, or `minVersion` is above `maxVersion`. `code` is OpenSSL's, and the `cause`
 *   names the option.
 *
 * @see {@link ConnectFailed} for the other side.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const ListenFailed = withSchema(Errors.ListenFailed as Made<ListenFailed>, "ListenFailed", {
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
    "Unsupported",
    "Tls",
    "Unknown"
  ]),
  address: Schema.String,
  code: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})

/**
 * A `ListenFailed`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface ListenFailed extends Errors.ListenFailed {}

/**
 * TLS could not be agreed on, or was cut off.
 *
 * **Details**
 *
 * - `Certificate`: one side does not accept the certificate of the other.
 * - `Handshake`: there was no agreement on anything else, the peer left meanwhile, or this side's own `identity`, `ca`
 *   or versions cannot work. The `cause` tells.
 * - `Timeout`: the handshake took longer than `handshakeTimeout`. The `cause` is a `StreamTimeout`.
 * - `InjectedPlaintext`: plain bytes came along with the request to upgrade, and were not asked for.
 * - `Truncated`: the connection ended without a `close_notify`.
 * - `Unsupported`: the transport cannot begin TLS, or cannot end it.
 *
 * `code` is that of OpenSSL, of the system, or of the peer's alert. OpenSSL can refuse a certificate for a reason that
 * Node has no code for. `code` is the reason in words then, such as `permitted subtree violation`.
 *
 * @see `Tls` for the options.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const TlsFailed = withSchema(Errors.TlsFailed as Made<TlsFailed>, "TlsFailed", {
  operation: Schema.optional(Schema.String),
  kind: Schema.Literals(["Certificate", "Handshake", "Timeout", "InjectedPlaintext", "Truncated", "Unsupported"]),
  code: Schema.optional(Schema.String),
  peer: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect())
})

/**
 * A `TlsFailed`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface TlsFailed extends Errors.TlsFailed {}

/**
 * The peer of an exchange does what its protocol forbids: it answers what nobody asked, gives an id that was never given
 * out, or answers twice. The connection is not used any more.
 *
 * @see {@link RequestLost} which has it for its `cause`
 * @category errors
 * @stability unstable
 * @since 0.1.0
 */
export const ProtocolViolation = withSchema(Errors.ProtocolViolation as Made<ProtocolViolation>, "ProtocolViolation", {
  /** What the peer did. */
  reason: Schema.String
})

/**
 * A `ProtocolViolation`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface ProtocolViolation extends Errors.ProtocolViolation {}

/**
 * Why a connection on which requests are answered is not used any more.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export type LostCause =
  | ClosedStream
  | ConnectFailed
  | ConnectionLost
  | IncompleteRead
  | LimitOverrun
  | MalformedFrame
  | ProtocolViolation
  | StreamBusy
  | StreamTimeout
  | TlsFailed

/**
 * No answer comes any more to a request of an `Exchange`.
 *
 * **Details**
 *
 * `sent` says whether the peer may have heard of it. `"No"`: no byte of it has left this process, nor will; it may be asked
 * elsewhere, whatever it does. `"Maybe"`: the peer may have done what was asked.
 *
 * @category errors
 * @stability unstable
 * @since 0.1.0
 */
export const RequestLost = withSchema(Errors.RequestLost as Made<RequestLost>, "RequestLost", {
  /** Whether the peer may have heard of the request. */
  sent: Schema.Literals(["No", "Maybe"]),
  /** Why the connection is not used any more. */
  cause: Schema.Union([
    ClosedStream,
    ConnectFailed,
    ConnectionLost,
    IncompleteRead,
    LimitOverrun,
    MalformedFrame,
    ProtocolViolation,
    StreamBusy,
    StreamTimeout,
    TlsFailed
  ])
})

/**
 * A `RequestLost`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface RequestLost extends Errors.RequestLost {}

/**
 * The errors of every read. `TlsFailed` occurs only over TLS.
 *
 * @see {@link FramedReadError}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type ReadError = ConnectionLost | ClosedStream | StreamBusy | StreamTimeout | TlsFailed

/**
 * The errors of every write.
 *
 * @see {@link EncodeFailed} for writes of messages.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type WriteError = ConnectionLost | ClosedStream | StreamTimeout

/**
 * The errors of every read of a whole item: a line, a number of bytes, bytes up to a separator, a message.
 *
 * @see {@link ReadError}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type FramedReadError = ReadError | IncompleteRead | LimitOverrun | MalformedFrame

/**
 * Every error of this library.
 *
 * @see {@link ReadError}, {@link WriteError}
 *
 * @stability unstable
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
  | ProtocolViolation
  | RequestLost
  | StreamBusy
  | StreamTimeout
  | TlsFailed
