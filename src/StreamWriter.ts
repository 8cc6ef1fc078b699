/**
 * The writing half of a connection: writes that wait when there is too much.
 *
 * A write appends to a buffer and returns. The buffer is sent at the end of the
 * turn, so that many small writes become one system call. Above the high-water
 * mark a write waits until the low-water mark is reached, so a program that
 * never calls `drain` holds at most `highWaterMark` bytes and one write.
 *
 * | | waits for | fails with |
 * | --- | --- | --- |
 * | `write`, `writeAll` | room below the high-water mark | `WriteError` |
 * | `writeUnsafe` | nothing | throws `WriteError` |
 * | `drain` | the low-water mark, once the high one was passed | `WriteError` |
 * | `flush` | everything written so far to be with the operating system | `WriteError` |
 * | `writeEof` | everything written, and the end of output behind it | `WriteError` |
 * | `close` | flush, then let go, at most `closeTimeout` | nothing |
 * | `abort` | nothing | nothing |
 *
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
 * How closing a stream went.
 *
 * **Details**
 *
 * - `Graceful`: everything was handed to the operating system, and the output ended behind it.
 * - `Reset`: the peer or the system had broken the connection.
 * - `Aborted`: `abort` was called; `unsent` bytes were dropped.
 * - `TimedOut`: the peer did not take the output within `closeTimeout`; `unsent` bytes were dropped, the connection reset.
 *
 * `unsent` counts what this process still held. What the operating system had
 * taken may still have been lost with the connection.
 *
 * @category models
 * @since 0.1.0
 */
export type CloseOutcome =
  | { readonly _tag: "Graceful" }
  | { readonly _tag: "Reset" }
  | { readonly _tag: "Aborted"; readonly unsent: number }
  | { readonly _tag: "TimedOut"; readonly unsent: number }

/**
 * The writing half of a connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamWriter {
  /** Above this many bytes writes wait. Default 65,536. */
  readonly highWaterMark: number
  /** At or below this many bytes waiting writes go on. Default a quarter of the high-water mark. */
  readonly lowWaterMark: number

  /**
   * Writes bytes, or text as UTF-8, as one unbroken run, whoever else writes.
   *
   * Waits only while the buffer is above the high-water mark, in line with
   * others. Fails at once after `close`, `writeEof`, `abort` or a loss, also
   * with nothing to write. Writing no bytes otherwise does nothing.
   *
   * A character whose two halves (a surrogate pair) come in two writes is two of
   * U+FFFD; in two chunks of one `writeAll`, or two elements of a `sink`, it is
   * the character.
   *
   * Up to 4,096 bytes are copied, so the array may be changed afterwards; a
   * longer one must be left alone until `flush`. (CPython 3.12 and newer, and
   * Node, keep a view of any size.) If its memory is transferred, detached or
   * shrunk before, this connection is reset: its writes, and its reads behind
   * what had arrived, fail with `ConnectionLost`, whose message names this rule.
   *
   * **Interruption**: a write that is interrupted while it waits was not
   * accepted, not in part either. One that has returned was accepted whole.
   */
  write(data: Uint8Array | string): Effect.Effect<void, WriteError>

  /**
   * Writes several chunks as one unbroken run: asyncio's `writelines`, under the
   * same watermarks as `write`. The chunks are collected when the effect runs.
   */
  writeAll(chunks: Iterable<Uint8Array | string>): Effect.Effect<void, WriteError>

  /**
   * Writes one message, as one unbroken run, under the same watermarks as
   * `write`. A value that could not be read again fails with `EncodeFailed`, and
   * nothing of it is written.
   *
   * The value is encoded when the effect runs. Bytes in it of more than 4,096 are
   * not copied, and must be left alone until `flush`.
   */
  writeFrame<A>(frame: Encoder<A>, value: A): Effect.Effect<void, WriteError | EncodeFailed>

  /** Writes several messages as one unbroken run: all of them, or none. */
  writeFrames<A>(frame: Encoder<A>, values: Iterable<A>): Effect.Effect<void, WriteError | EncodeFailed>

  /** As `writeFrame` without waiting, whatever is buffered; throws what that fails with. `false` asks to `drain`. */
  writeFrameUnsafe<A>(frame: Encoder<A>, value: A): boolean

  /**
   * Writes without waiting, whatever is buffered: asyncio's own `write`.
   * `false` asks the caller to `drain` before it goes on. Throws the
   * `WriteError` that `write` would fail with.
   */
  writeUnsafe(data: Uint8Array | string): boolean

  /**
   * Writes several chunks as one unbroken run, as `writeUnsafe` writes one:
   * asyncio's `writelines`. Nothing is written where one of them is neither bytes
   * nor text.
   */
  writeAllUnsafe(chunks: Iterable<Uint8Array | string>): boolean

  /**
   * Waits until the buffer is at or below the low-water mark, if it went above
   * the high one; otherwise returns at once. Any number of fibers may wait. It
   * is neither a flush nor an acknowledgement. Interrupting it changes nothing.
   */
  readonly drain: Effect.Effect<void, WriteError>

  /**
   * Waits until everything written so far has been handed to the operating
   * system. Interrupting it takes nothing back.
   */
  readonly flush: Effect.Effect<void, WriteError>

  /**
   * Ends the output behind everything written (FIN); reading goes on.
   * Idempotent, and nothing happens after `close`. Writes fail with
   * `ClosedStream`, reason `Eof`, from the moment it is run, and the end is sent
   * even if waiting for it is interrupted.
   */
  readonly writeEof: Effect.Effect<void, WriteError>

  /**
   * Ends the session in good order: stops reading at once (what is unread is
   * dropped), sends everything written, ends the output, lets go. Never fails,
   * never takes longer than `closeTimeout`, may be called by many fibers and
   * many times, and goes on when waiting for it is interrupted.
   *
   * **Details**
   *
   * Once a close has begun, only an explicit `abort`, `closeTimeout` and the
   * grace period of a server can cut it short. Everything accepted arrives, then
   * the end. Other fibers find their streams closed, and fail with
   * `ClosedStream`. A handler or a scope that ends because of that, or for any
   * other reason, waits for the close and does not abort the connection.
   *
   * Where the peer keeps its own side open, what it still sends is thrown away
   * for up to 2 seconds, lest it be reset before it has received everything. That
   * keeps neither the process nor the descriptor of a Unix socket, unless the
   * peer speaks; the descriptor of a TCP connection stays until then.
   */
  readonly close: Effect.Effect<CloseOutcome>

  /**
   * Drops what is unsent and resets the connection. Never waits, never fails.
   * Over a Unix socket the peer sees a clean end: see `Connection.abort`.
   */
  readonly abort: Effect.Effect<void>

  /** Whether `close` or `abort` was called, or the connection broke. */
  readonly isClosing: Effect.Effect<boolean>

  /** Bytes written that the operating system has not taken. */
  readonly buffered: Effect.Effect<number>
}

/**
 * The service tag of a connection's writer.
 *
 * @category services
 * @since 0.1.0
 */
export const StreamWriter: Context.Service<StreamWriter, StreamWriter> = Services.StreamWriter

/**
 * A sink that writes every message of a stream, those of a chunk as one run, and
 * ends when the stream does. The writer stays open.
 *
 * @category combinators
 * @since 0.1.0
 */
export const frameSink = <A>(
  self: StreamWriter,
  frame: Encoder<A>
): Sink.Sink<void, A, never, WriteError | EncodeFailed> =>
  Sink.forEachArray((values: ReadonlyArray<A>) => self.writeFrames(frame, values))

/**
 * A sink that writes every chunk of a stream, and ends when the stream does. The
 * writer stays open.
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
