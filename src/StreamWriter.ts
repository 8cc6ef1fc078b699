/**
 * The writing half of a connection: writes that wait while there is too much.
 *
 * A write appends to a buffer and returns. The buffer is sent at the end of the turn of the event loop, so many small
 * writes become one system call. Above the high-water mark a write waits until the low-water mark is reached. A program
 * that never calls `drain` therefore holds at most `highWaterMark` bytes and one write.
 *
 * | | waits for | fails with |
 * | --- | --- | --- |
 * | `write`, `writeAll` | room below the high-water mark | `WriteError` |
 * | `writeFrame`, `writeFrames` | room below the high-water mark | `WriteError`, `EncodeFailed` |
 * | `writeUnsafe`, `writeAllUnsafe` | nothing | throws `WriteError` |
 * | `writeFrameUnsafe` | nothing | throws `WriteError`, `EncodeFailed` |
 * | `drain` | the low-water mark, once the high one was passed | `WriteError` |
 * | `flush` | the operating system to have everything written so far | `WriteError` |
 * | `writeEof` | the operating system to have everything written, and the end behind it | `WriteError` |
 * | `close` | flush, then let go, at most `closeTimeout` | nothing |
 * | `abort` | nothing | nothing |
 *
 * **When to use**
 *
 * - `write` is the usual one. `writeAll` keeps several chunks together, such as a header and a body.
 * - `writeFrame` writes a value as a message that the other side can read with the same frame.
 * - `writeUnsafe` is for callbacks that cannot run an effect. Its caller has to `drain`.
 * - `drain` is for callers of `writeUnsafe`. `flush` waits for more: everything has left this process.
 * - `writeEof` ends the output, and reading goes on. `close` ends both in good order. `abort` gives up.
 *
 * **Gotchas**
 *
 * No write is an acknowledgement. Bytes that the operating system has taken can still be lost, with the machine or with
 * the connection. Only an answer of the peer says that the peer has read them.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Sink from "effect/Sink"
import * as Bytes from "./internal/base/bytes.ts"
import * as Services from "./internal/base/tags.ts"
import type { Encoder } from "./Frame.ts"
import type { EncodeFailed, WriteError } from "./StreamError.ts"

/**
 * The outcome of closing a stream.
 *
 * **Details**
 *
 * - `Graceful`: the operating system took everything written, and the end of the output behind it.
 * - `Reset`: the peer or the system had broken the connection.
 * - `Aborted`: `abort` was called.
 * - `TimedOut`: the peer did not take the output within `closeTimeout`, or a timeout had ended the connection.
 *
 * **Gotchas**
 *
 * - `Graceful` is no acknowledgement: bytes that the operating system has taken may still be lost with the connection.
 * - TCP and Unix sockets of Node know how much of a piece was taken. Elsewhere, and over TLS, the last piece (256 KiB at
 *   most) is `unsent` as a whole: the peer may have got some of it, or all.
 *
 * @see {@link StreamWriter.close}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type CloseOutcome =
  | { readonly _tag: "Graceful" }
  | { readonly _tag: "Reset" }
  | {
      readonly _tag: "Aborted"
      /** The number of bytes that this process still held, and dropped. */
      readonly unsent: number
    }
  | {
      readonly _tag: "TimedOut"
      /** The number of bytes that this process still held, and dropped. */
      readonly unsent: number
    }

/**
 * The writing half of a connection.
 *
 * **Details**
 *
 * The table at the top of this module compares the operations.
 *
 * @see {@link sink}, {@link frameSink}
 * @see `StreamReader` for the other half.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface StreamWriter {
  /** Writes wait above this number of unsent bytes. Default 65,536, or four times the low-water mark. */
  readonly highWaterMark: number
  /** Waiting writes go on at this number of unsent bytes, or fewer. Default a quarter of the high-water mark. */
  readonly lowWaterMark: number

  /**
   * Writes bytes, or text as UTF-8, as one unbroken run. No other write comes in between.
   *
   * **When to use**
   *
   * For nearly everything. Use `writeAll` for chunks that belong together, `writeFrame` for messages.
   *
   * **Details**
   *
   * - A write waits only while the buffer is above the high-water mark, in line with other writes.
   * - A write fails at once after `close`, `writeEof`, `abort` or a loss, also with nothing to write. Otherwise a write
   *   of no bytes does nothing.
   * - Up to 4,096 bytes are copied: the array may be changed afterwards. A longer array is kept as a view, and must be
   *   left alone until `flush`. (CPython 3.12 and Node keep a view of any size.)
   * - An interrupted write that was still waiting was not accepted, not even in part. A write that has returned was
   *   accepted whole.
   *
   * **Gotchas**
   *
   * A kept array that is transferred, detached or shrunk resets this connection. Its writes, and its reads behind what
   * had arrived, fail with `ConnectionLost`, whose message names this rule. If that happens to an array, long or short,
   * while its write waits in line, the write dies, and nothing of it is written.
   *
   * A character whose two halves (a surrogate pair) come in two writes is written as two U+FFFD. Two chunks of one
   * `writeAll`, or two elements of a `sink`, make the character.
   *
   * @see {@link StreamWriter.writeAll}, {@link StreamWriter.writeUnsafe}, {@link StreamWriter.writeFrame}
   */
  write(data: Uint8Array | string): Effect.Effect<void, WriteError>

  /**
   * Writes several chunks as one unbroken run: asyncio's `writelines`.
   *
   * **When to use**
   *
   * For a header and a body, or other chunks that belong together: one operation is cheaper than two.
   *
   * **Details**
   *
   * The chunks are collected when the effect runs. All else is as for `write`.
   *
   * @see {@link StreamWriter.write}
   */
  writeAll(chunks: Iterable<Uint8Array | string>): Effect.Effect<void, WriteError>

  /**
   * Writes one message, as one unbroken run.
   *
   * **Details**
   *
   * The value is encoded when the effect runs. A value that could not be read again fails with `EncodeFailed`, and
   * nothing of the value is written. Waiting and interruption are as for `write`. Arrays of more than 4,096 bytes in
   * the value are kept as views, and must be left alone until `flush`, as with `write`. An encoder may use the
   * connection: what it writes comes before the message. If it ends the output, the write fails with `ClosedStream`.
   *
   * @see {@link StreamWriter.writeFrames}, {@link frameSink}
   */
  writeFrame<A>(frame: Encoder<A>, value: A): Effect.Effect<void, WriteError | EncodeFailed>

  /**
   * Writes several messages as one unbroken run: all of them, or none.
   *
   * @see {@link StreamWriter.writeFrame}, {@link frameSink}
   */
  writeFrames<A>(frame: Encoder<A>, values: Iterable<A>): Effect.Effect<void, WriteError | EncodeFailed>

  /**
   * Writes one message without waiting. Returns `false` to ask for a `drain`. Throws the errors of `writeFrame`.
   *
   * @see {@link StreamWriter.writeFrame}, {@link StreamWriter.drain}
   */
  writeFrameUnsafe<A>(frame: Encoder<A>, value: A): boolean

  /**
   * Writes without waiting, however much is buffered: asyncio's own `write`. Returns `false` to ask for a `drain`.
   *
   * **When to use**
   *
   * In a callback that cannot run an effect. `write` is as fast, and bounds the buffer by itself.
   *
   * **Details**
   *
   * Throws the `WriteError` that `write` would fail with.
   *
   * **Gotchas**
   *
   * The buffer grows without bound for a caller that ignores `false`.
   *
   * @see {@link StreamWriter.write}, {@link StreamWriter.drain}
   */
  writeUnsafe(data: Uint8Array | string): boolean

  /**
   * Writes several chunks as one unbroken run, without waiting. Returns `false` to ask for a `drain`.
   *
   * **Details**
   *
   * Nothing is written if one of the chunks is neither bytes nor text. All else is as for `writeUnsafe`.
   *
   * @see {@link StreamWriter.writeAll}, {@link StreamWriter.writeUnsafe}
   */
  writeAllUnsafe(chunks: Iterable<Uint8Array | string>): boolean

  /**
   * Waits until the buffer is at or below the low-water mark, if it went above the high one. Otherwise returns at once.
   *
   * **When to use**
   *
   * After a `writeUnsafe` that returned `false`. A program that uses `write` alone does not need `drain`.
   *
   * **Details**
   *
   * Any number of fibers may wait. Interrupting the wait changes nothing.
   *
   * **Gotchas**
   *
   * `drain` is neither a flush nor an acknowledgement.
   *
   * @see {@link StreamWriter.flush}
   */
  readonly drain: Effect.Effect<void, WriteError>

  /**
   * Waits until the operating system has taken everything written so far.
   *
   * **When to use**
   *
   * Before an array above 4,096 bytes is changed, and before the process ends without a `close`.
   *
   * **Details**
   *
   * Any number of fibers may wait. Interrupting the wait takes nothing back.
   *
   * **Gotchas**
   *
   * `flush` is no acknowledgement: the peer may not have received the bytes.
   *
   * @see {@link StreamWriter.drain}, {@link StreamWriter.close}
   */
  readonly flush: Effect.Effect<void, WriteError>

  /**
   * Ends the output behind everything written (FIN), and waits until the operating system has it all. Reading goes on.
   *
   * **When to use**
   *
   * For protocols in which the end of the output is the end of a request. Use `close` when the answer is not awaited.
   *
   * **Details**
   *
   * Writes fail with `ClosedStream`, reason `Eof`, from the moment when `writeEof` runs. A repeated call is harmless,
   * and nothing happens after `close`. The end is sent even if the wait is interrupted. Over TLS a `close_notify` is
   * sent.
   *
   * @see {@link StreamWriter.close}, {@link StreamWriter.abort}
   */
  readonly writeEof: Effect.Effect<void, WriteError>

  /**
   * Ends the session in good order: stops reading at once, sends everything written, ends the output, lets go.
   *
   * **When to use**
   *
   * To end a session earlier than its scope does, or to learn how the end went. Use `abort` where the peer must not
   * take the output for complete.
   *
   * **Details**
   *
   * - Never fails, and never takes longer than `closeTimeout` (default 10 seconds). Any number of fibers may call it,
   *   any number of times: all get the same outcome. An interruption of the wait does not stop the close.
   * - Unread bytes are dropped.
   * - Everything accepted arrives, then the end. Only an explicit `abort`, `closeTimeout` and the grace period of a
   *   server cut a close short.
   * - Other fibers that use the streams fail with `ClosedStream`. A handler or a scope that ends meanwhile waits for
   *   the close, and does not abort the connection.
   * - A peer that keeps its own side open is still listened to for up to 2 seconds, and its bytes are thrown away. A
   *   reset could otherwise destroy what is on its way to the peer. This keeps neither the process nor the descriptor
   *   of a Unix socket, unless the peer speaks. A TCP connection keeps its descriptor until then.
   *
   * @see {@link CloseOutcome}, {@link StreamWriter.abort}, {@link StreamWriter.writeEof}
   */
  readonly close: Effect.Effect<CloseOutcome>

  /**
   * Drops all unsent bytes and resets the connection. Never waits, never fails.
   *
   * **When to use**
   *
   * When the output is not complete and must not look so. A scope that fails does the same by itself.
   *
   * **Gotchas**
   *
   * The peer of a Unix socket sees a clean end: Unix sockets know no reset. See `Connection.abort`.
   *
   * @see {@link StreamWriter.close}
   */
  readonly abort: Effect.Effect<void>

  /** Whether `close` or `abort` was called, or the connection broke. `writeEof` does not count. */
  readonly isClosing: Effect.Effect<boolean>

  /** The number of written bytes that the operating system has not taken. */
  readonly buffered: Effect.Effect<number>
}

/**
 * The service tag of a connection's writer.
 *
 * **When to use**
 *
 * For programs that leave it to a layer or a server what they write to.
 *
 * @see `Connection.layerConnection`, `Connection.services`
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export const StreamWriter: Context.Service<StreamWriter, StreamWriter> = Services.StreamWriter

/**
 * A sink that writes every message of a stream.
 *
 * **Details**
 *
 * The messages of a chunk are one unbroken run. The sink ends with the stream, and the writer stays open.
 *
 * @see {@link sink} for bytes and text.
 * @see {@link StreamWriter.writeFrames}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const frameSink = <A>(
  self: StreamWriter,
  frame: Encoder<A>
): Sink.Sink<void, A, never, WriteError | EncodeFailed> =>
  Sink.forEachArray((values: ReadonlyArray<A>) => self.writeFrames(frame, values))

/**
 * A sink that writes every chunk of a stream.
 *
 * **Details**
 *
 * The sink ends with the stream, and the writer stays open. The stream waits while the writer is above its high-water
 * mark.
 *
 * **Example** (Sending a stream)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { StreamWriter } from "effect-byte-streams"
 *
 * const send = Effect.fnUntraced(function*(writer: StreamWriter.StreamWriter) {
 *   yield* Stream.make("one\n", "two\n").pipe(Stream.run(StreamWriter.sink(writer)))
 *   yield* writer.flush
 * })
 *
 * console.log(typeof send) // => function
 * ```
 *
 * @see {@link frameSink} for messages.
 * @see {@link StreamWriter.write}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const sink = (self: StreamWriter): Sink.Sink<void, Uint8Array | string, never, WriteError> =>
  Sink.suspend(() => {
    // the first half of a character, whose other half may come with the next chunk
    let half = ""
    return Sink.forEachArray((all: ReadonlyArray<Uint8Array | string>) => {
      const chunks = all.filter((chunk) => chunk.length > 0)
      const last = chunks[chunks.length - 1]
      if (last === undefined) return self.write("")
      const held = half
      half = typeof last === "string" ? Bytes.halfAtEnd(last) : ""
      if (held === "" && half === "") return chunks.length === 1 ? self.write(last) : self.writeAll(chunks)
      return self.writeAll([held, ...chunks.slice(0, -1), half === "" ? last : (last as string).slice(0, -1)])
    }).pipe(Sink.mapEffect(() => (half === "" ? Effect.void : self.write(half))))
  })
