/**
 * The reading half of a connection: a bounded buffer, read by pulling.
 *
 * | | waits for | at the end of the stream | fails with `ReadError` and |
 * | --- | --- | --- | --- |
 * | `read(n)` | 1 byte | empty, every time | |
 * | `readInto(array)` | 1 byte | 0, every time | |
 * | `readOption(n)` | 1 byte | `None` | |
 * | `readExactly(n)` | n bytes | | `IncompleteRead` |
 * | `readExactlyOption(n)` | n bytes | `None` if nothing is left | `IncompleteRead` |
 * | `readUntil(separator)` | the separator | | `IncompleteRead`, `LimitOverrun` |
 * | `readUntilOption(separator)` | the separator | `None` if nothing is left | `IncompleteRead`, `LimitOverrun` |
 * | `readLine` | a line feed | the rest, then empty | `LimitOverrun` |
 * | `readLineOption` | a line feed | the rest, then `None` | `LimitOverrun` |
 * | `readLineText` | a line feed | `None` if nothing is left | `IncompleteRead`, `LimitOverrun` |
 * | `readFrame(frame)` | a message | | `IncompleteRead`, `LimitOverrun`, `MalformedFrame` |
 * | `readFrameOption(frame)` | a message | `None` if nothing is left | `IncompleteRead`, `LimitOverrun`, `MalformedFrame` |
 * | `readAll({ maxBytes })` | the end | everything | `LimitOverrun` |
 * | `peek(n)` | n bytes | all that is left | |
 * | `skip(n)` | n bytes | | `IncompleteRead` |
 * | `discardUntil(separator)` | the separator | | `IncompleteRead` |
 * | `pull` | 1 byte | `Done` | |
 *
 * **When to use**
 *
 * - Bytes as they come: `read`, or `readInto` for bulk.
 * - A known number of bytes: `readExactly`; `readExactlyOption` where the stream may end between two messages.
 * - Text lines: `readLineText`. It alone of the line reads tells a cut line from a whole one without options.
 * - Another separator: `readUntil`, `readUntilOption`.
 * - Messages with lengths, tags or fields: `readFrame`. It takes a whole message or nothing.
 * - Everything, such as the answer to one request: `readAll`.
 *
 * **Details**
 *
 * These rules hold for every read:
 *
 * - **No read loses a byte.** An interrupted read leaves every byte in the buffer, for the next read. Bytes that
 *   arrived before a loss are delivered before `ConnectionLost`. The rule is for one read: a program that reads a
 *   length, and is interrupted while it reads the body, has taken the length. `readFrame` reads both as one.
 * - **One read at a time.** A second read fails with `StreamBusy` while another fiber's read waits. The first read is
 *   not disturbed.
 * - **`limit`** (default 65,536 bytes) says how far a separator is searched. The transport is paused above `2 * limit`
 *   buffered bytes, and resumed at `limit` or below. A read of more bytes than that raises the threshold while it
 *   waits.
 * - **Counts** are integers of 0 or more. Any other count dies with a message that names the operation and the value. A
 *   count of 0 never waits. It still fails on a closed stream, and on a lost one that has nothing left to read.
 *
 * **Gotchas**
 *
 * The result may be a view of a larger piece of memory. That memory lives as long as the result, and may hold bytes of
 * other connections (as a small `Buffer` of Node does). Copy a result (`slice`) to keep a few bytes for long, or before
 * its `buffer` is handed on.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { wrongType } from "./internal/base/argument.ts"
import type { Decoder } from "./Frame.ts"
import * as Lines from "./internal/read/lines.ts"
import * as Parts from "./internal/read/parts.ts"
import * as Services from "./internal/base/tags.ts"
import * as Sources from "./internal/read/sources.ts"
import * as Frames from "./internal/read/pullFrames.ts"
import { type ReadableStreamLike } from "./internal/read/sources.ts"
import { BufferReader } from "./internal/read/reader.ts"
import type { Input } from "./internal/read/separator.ts"
import type {
  ConnectionLost,
  IncompleteRead,
  InvalidText,
  LimitOverrun,
  MalformedFrame,
  ReadError
} from "./StreamError.ts"

/**
 * One separator, or several. Text stands for its UTF-8 bytes.
 *
 * **Details**
 *
 * Of several separators, the match that ends first counts. Of two that end at the same byte, the shorter one counts
 * (CPython 3.13). An empty separator dies, and so does an empty array.
 *
 * @see {@link StreamReader.readUntil}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Separator = Input

/**
 * The options of `readUntil` and `readUntilOption`.
 *
 * @see {@link StreamReader.readUntil}
 * @see {@link LineOptions} for lines.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface UntilOptions {
  /** The most bytes that may stand in front of the separator. Default: the limit of the reader. */
  readonly limit?: number | undefined
  /**
   * Whether the result includes the separator: of two that end at the same place the shorter, as in asyncio. Default `true`.
   */
  readonly keepDelimiter?: boolean | undefined
}

/**
 * The options of `readLineWith`.
 *
 * @see {@link StreamReader.readLineWith}
 * @see {@link LinesOptions} for a stream of lines.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface LineOptions {
  /** The most bytes of a line, without its line feed. Default: the limit of the reader. */
  readonly limit?: number | undefined
  /**
   * `"fail"` fails on an overlong line with `LimitOverrun`; `"discard"` drops that line and reads the next. Default
   * `"fail"`.
   */
  readonly onOverrun?: "fail" | "discard" | undefined
  /**
   * Whether the last line may lack its line feed. `"optional"` returns such a line; `"required"` fails with
   * `IncompleteRead`, also where that line was dropped (`onOverrun`). Default `"optional"`, as in asyncio.
   */
  readonly end?: "optional" | "required" | undefined
  /**
   * Whether the result includes the line feed. `false` also drops a carriage return in front of the line feed, and
   * makes the result an `Option`. Default `true`.
   */
  readonly keepDelimiter?: boolean | undefined
}

/** The type of an option as given, or `undefined`. */
type Given<Options, Name> = Name extends keyof Options ? Options[Name] : undefined

/**
 * The result of `readLineWith`: bytes, or an `Option` of bytes with `keepDelimiter: false`.
 *
 * @see {@link LineOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type LineResult<Options extends LineOptions> = [Given<Options, "keepDelimiter">] extends [true | undefined]
  ? Uint8Array
  : [Given<Options, "keepDelimiter">] extends [false]
    ? Option.Option<Uint8Array>
    : Uint8Array | Option.Option<Uint8Array>

/**
 * The errors of `readLineWith`, as its options allow them.
 *
 * **Details**
 *
 * `LimitOverrun` is among them unless `onOverrun` is `"discard"`, `IncompleteRead` where `end` is `"required"`.
 *
 * @see {@link LineOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type LineError<Options extends LineOptions> =
  | ReadError
  | ([Given<Options, "onOverrun">] extends ["discard"] ? never : LimitOverrun)
  | ([Given<Options, "end">] extends ["optional" | undefined] ? never : IncompleteRead)

/**
 * The reading half of a connection.
 *
 * **Details**
 *
 * The table at the top of this module compares the reads, and states the rules that hold for all of them.
 *
 * @see {@link make} for a reader that is fed by hand.
 * @see {@link fromBytes}, {@link fromStream} for readers without a connection.
 * @see `StreamWriter` for the other half.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface StreamReader {
  /** The limit of the buffer, in bytes. Default 65,536. The transport is paused above twice the limit. */
  readonly limit: number

  /**
   * Reads 1 to `maxBytes` bytes: all that is there, up to `maxBytes`. Waits only while there is none.
   *
   * **When to use**
   *
   * For bytes without structure, such as a body that is passed on. Use `readInto` for bulk, `readExactly` for a known
   * number of bytes.
   *
   * **Gotchas**
   *
   * The result is empty at the end of the stream, every time. A loop must look at its length, or use `readOption`;
   * otherwise the loop spins when the peer has left.
   *
   * @see {@link StreamReader.readOption}, {@link StreamReader.readInto}, {@link StreamReader.readExactly}
   */
  read(maxBytes: number): Effect.Effect<Uint8Array, ReadError>

  /**
   * Reads 1 to `target.length` bytes into memory of the caller, and returns their number. The bytes lie at the front of
   * `target`. The result is 0 at the end of the stream, every time, and where `target` is empty.
   *
   * **When to use**
   *
   * For bulk. One array serves every read, so nothing is allocated for what arrives. Allocation is a third to half of
   * the cost of `read` in bulk. (Go has `Read`, Rust `read`, Python `readinto`.)
   *
   * **Details**
   *
   * A TCP, Unix or TLS connection reads into memory that all connections share, from the first `readInto` that waits.
   * Other reads of that connection pay for a copy from then on. A connection that brought at most 1,024 bytes at a
   * time, 16 times in a row, changes in the same way.
   *
   * **Gotchas**
   *
   * `target` belongs to the reader until the read is over. Interrupting the read loses no byte: the bytes stay in the
   * buffer, and the content of `target` means nothing. A program that writes parts of `target` must `flush` before its
   * next read, because a write above 4,096 bytes keeps a view.
   *
   * **Example** (Hashing what arrives)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { StreamReader } from "effect-byte-streams"
   * import { createHash } from "node:crypto"
   *
   * const digest = Effect.fn(function* (reader: StreamReader.StreamReader) {
   *   const hash = createHash("sha256")
   *   const block = new Uint8Array(65536)
   *   for (let size = yield* reader.readInto(block); size > 0; size = yield* reader.readInto(block)) {
   *     hash.update(block.subarray(0, size))
   *   }
   *   return hash.digest("hex").slice(0, 8)
   * })
   *
   * const program = Effect.flatMap(StreamReader.fromBytes("hello"), digest)
   *
   * console.log(await Effect.runPromise(program)) // => 2cf24dba
   * ```
   *
   * @see {@link StreamReader.read}
   */
  readInto(target: Uint8Array): Effect.Effect<number, ReadError>

  /**
   * Reads as `read` does, and returns `None` at the end of the stream.
   *
   * **Details**
   *
   * The result is also `None` where a shutting-down server ends idle reads (`whenDraining`).
   *
   * @see {@link StreamReader.read}
   */
  readOption(maxBytes: number): Effect.Effect<Option.Option<Uint8Array>, ReadError>

  /**
   * Reads everything up to the end of the stream.
   *
   * **When to use**
   *
   * For a peer that sends one answer and closes. Use `stream` to handle the pieces as they come.
   *
   * **Details**
   *
   * All bytes stay in the buffer until the read is complete: a failure or an interruption loses none. More than
   * `maxBytes` bytes fail with `LimitOverrun`.
   *
   * **Gotchas**
   *
   * An end of the stream may be a cut: `readAll` cannot tell. A protocol that must know sends a length, or a last word.
   *
   * @see {@link stream}, {@link StreamReader.readExactly}
   */
  readAll(options: {
    /** The most bytes to read. `"unbounded"` sets no bound, and trusts the peer with the memory of this process. */
    readonly maxBytes: number | "unbounded"
  }): Effect.Effect<Uint8Array, ReadError | LimitOverrun>

  /**
   * Reads exactly `count` bytes, also far more than the limit.
   *
   * **When to use**
   *
   * For a message of known length. Use `readExactlyOption` for the first bytes of a message, where the stream may end
   * between two messages. Use `take` or `limited` for a body too large to hold.
   *
   * **Details**
   *
   * A stream that ends first fails the read with `IncompleteRead`. The error carries the bytes that came, and the
   * buffer is empty afterwards.
   *
   * @see {@link StreamReader.readExactlyOption}, {@link StreamReader.readFrame}, {@link take}, {@link limited}
   */
  readExactly(count: number): Effect.Effect<Uint8Array, ReadError | IncompleteRead>

  /**
   * Reads as `readExactly` does, and returns `None` if the stream ends in front of the first byte.
   *
   * **Details**
   *
   * `None` is a clean end between two messages. The result is also `None` where a shutting-down server ends idle reads
   * (`whenDraining`).
   *
   * @see {@link StreamReader.readExactly}
   */
  readExactlyOption(count: number): Effect.Effect<Option.Option<Uint8Array>, ReadError | IncompleteRead>

  /**
   * Reads up to a separator, and includes the separator in the result.
   *
   * **When to use**
   *
   * For items that end with a separator of their own. Use `readLineText` for lines of text.
   *
   * **Details**
   *
   * - More than `limit` bytes in front of the separator fail with `LimitOverrun`. The buffer is untouched then, and
   *   `skip(consumed)` never cuts a separator in two. `discardUntil` drops the whole item.
   * - A stream that ends first fails with `IncompleteRead`. The error carries the buffered bytes, and the buffer is
   *   empty.
   * - A loss fails with `ConnectionLost`. The buffered bytes stay readable.
   *
   * @see {@link StreamReader.readUntilOption}, {@link StreamReader.discardUntil}, {@link UntilOptions}
   */
  readUntil(
    separator: Separator,
    options?: UntilOptions
  ): Effect.Effect<Uint8Array, ReadError | IncompleteRead | LimitOverrun>

  /**
   * Reads as `readUntil` does, and returns `None` if the stream ends in front of the first byte.
   *
   * **Details**
   *
   * `None` is a clean end between two items. The result is also `None` where a shutting-down server ends idle reads
   * (`whenDraining`).
   *
   * @see {@link StreamReader.readUntil}
   */
  readUntilOption(
    separator: Separator,
    options?: UntilOptions
  ): Effect.Effect<Option.Option<Uint8Array>, ReadError | IncompleteRead | LimitOverrun>

  /**
   * Reads a line, and includes its line feed in the result: asyncio's `readline`.
   *
   * **When to use**
   *
   * For a port from asyncio, or where half a last line is welcome. Use `readLineText` for a protocol whose lines all
   * have their end.
   *
   * **Details**
   *
   * The last line may lack its line feed. After that line the result is empty, every time. A blank line is `"\n"`, so
   * only the end is empty. A carriage return stays in place.
   *
   * A line of more than `limit` bytes fails with `LimitOverrun`, once. That line is dropped: the next read of any kind
   * starts behind its line feed, also when the line feed has yet to arrive. (CPython returns the rest as the next
   * line.)
   *
   * **Gotchas**
   *
   * A line cut off by the end of the stream looks like a whole one. `readLineText` and
   * `readLineWith({ end: "required" })` tell the two apart.
   *
   * @see {@link StreamReader.readLineText}, {@link StreamReader.readLineWith}, {@link lines}
   */
  readonly readLine: Effect.Effect<Uint8Array, ReadError | LimitOverrun>

  /**
   * Reads as `readLine` does, and returns `None` at the end of the stream.
   *
   * **Details**
   *
   * The result is also `None` where a shutting-down server ends idle reads (`whenDraining`).
   *
   * @see {@link StreamReader.readLine}, {@link StreamReader.readLineText}
   */
  readonly readLineOption: Effect.Effect<Option.Option<Uint8Array>, ReadError | LimitOverrun>

  /**
   * Reads a line as text, without its end. Returns `None` at a clean end of the stream.
   *
   * **When to use**
   *
   * For line protocols. A result is a whole line, or the clean end, and nothing in between.
   *
   * **Details**
   *
   * - The end of a line is a line feed, with the carriage return in front of it, if there is one.
   * - A stream that ends inside a line fails with `IncompleteRead`, which carries that part.
   * - A line of more than `limit` bytes fails with `LimitOverrun`, and is dropped, as with `readLine`.
   * - The text is UTF-8. Bytes that are not UTF-8 become U+FFFD. A byte order mark stays, as with `lines`.
   *
   * **Example** (Commands up to a clean end)
   *
   * ```ts
   * import { Effect, Option } from "effect"
   * import { StreamReader } from "effect-byte-streams"
   *
   * const program = Effect.gen(function* () {
   *   const reader = yield* StreamReader.fromBytes("HELO\r\nQUIT\r\nNOO")
   *   const whole = [yield* reader.readLineText, yield* reader.readLineText].map(Option.getOrNull)
   *   const cut = yield* Effect.flip(reader.readLineText)
   *   return [...whole, cut._tag]
   * })
   *
   * console.log(await Effect.runPromise(program)) // => [ 'HELO', 'QUIT', 'IncompleteRead' ]
   * ```
   *
   * @see {@link StreamReader.readLineWith} for a limit of one call.
   * @see {@link lines} for a stream.
   */
  readonly readLineText: Effect.Effect<Option.Option<string>, ReadError | IncompleteRead | LimitOverrun>

  /**
   * Reads a line, as the options say.
   *
   * **Details**
   *
   * The result is an `Option` with `keepDelimiter: false`, because an empty line would look like the end otherwise. The
   * options are checked when `readLineWith` is called: in a loop, call it once, in front of the loop.
   *
   * @see {@link LineOptions}, {@link StreamReader.readLine}, {@link StreamReader.readLineText}
   */
  readLineWith<const Options extends LineOptions>(
    options: Options
  ): Effect.Effect<LineResult<Options>, LineError<Options>>

  /**
   * Reads one message: a whole one, or nothing.
   *
   * **When to use**
   *
   * For messages with lengths, tags or fields. A length and its body are one operation: an interruption between the two
   * takes neither. Use `readFrames` for all messages at hand.
   *
   * **Details**
   *
   * The bytes stay in the buffer until the message is whole. After an interruption the same frame, another frame, or a
   * plain read finds the message from its first byte on.
   *
   * - A stream that ends in front of the message, or inside it, fails with `IncompleteRead`. The error carries that
   *   part, and the buffer is empty.
   * - Bytes that are no such message fail with `MalformedFrame`. A message whose end is known is dropped. Any other
   *   stays in the buffer.
   * - A message longer than its frame allows fails with `LimitOverrun`. Nothing is dropped. `consumed` is the length of
   *   the message, where the length is known (`found`).
   * - A decoder of your own may close the connection, or upgrade it: the read fails with `ClosedStream` then. If it reads
   *   from this reader itself, that fails with `StreamBusy`.
   *
   * @see {@link StreamReader.readFrameOption}, {@link StreamReader.readFrames}, {@link frames}
   */
  readFrame<A>(frame: Decoder<A>): Effect.Effect<A, ReadError | IncompleteRead | LimitOverrun | MalformedFrame>

  /**
   * Reads as `readFrame` does, and returns `None` if the stream ends in front of the message.
   *
   * **Details**
   *
   * `None` is a clean end between two messages. The result is also `None` where a shutting-down server ends idle reads
   * (`whenDraining`).
   *
   * @see {@link StreamReader.readFrame}
   */
  readFrameOption<A>(
    frame: Decoder<A>
  ): Effect.Effect<Option.Option<A>, ReadError | IncompleteRead | LimitOverrun | MalformedFrame>

  /**
   * Reads all whole messages at hand. Waits for one if there is none.
   *
   * **When to use**
   *
   * For many small messages: one operation returns all that came together.
   *
   * **Details**
   *
   * The result is empty at a clean end, every time, and where a shutting-down server ends idle reads (`whenDraining`).
   * Messages in front of a wrong one are returned, and the next read fails.
   *
   * @see {@link StreamReader.readFrame}, {@link frames}
   */
  readFrames<A>(
    frame: Decoder<A>
  ): Effect.Effect<ReadonlyArray<A>, ReadError | IncompleteRead | LimitOverrun | MalformedFrame>

  /**
   * Returns a copy of the next `count` bytes, and leaves them in the buffer. Fewer come back only if the stream ends
   * first.
   *
   * **When to use**
   *
   * To wait for the next message without taking a byte of it, or to tell protocols apart by their first bytes.
   *
   * @see {@link StreamReader.unread}
   */
  peek(count: number): Effect.Effect<Uint8Array, ReadError>

  /**
   * Drops exactly `count` bytes. A stream that ends first fails with `IncompleteRead`.
   *
   * **Details**
   *
   * Up to `limit` bytes are dropped all at once, when all are there. `IncompleteRead` then carries the bytes that came.
   *
   * **Gotchas**
   *
   * More than `limit` bytes are dropped as they arrive, so that a peer cannot make this side hold them. An interruption
   * or a timeout then leaves the stream somewhere among those bytes, and `partial` of `IncompleteRead` is empty.
   *
   * @see {@link StreamReader.discardUntil}
   */
  skip(count: number): Effect.Effect<void, ReadError | IncompleteRead>

  /**
   * Drops everything up to and including a separator, however far away.
   *
   * **When to use**
   *
   * To get back into step after a `LimitOverrun` of `readUntil`.
   *
   * **Gotchas**
   *
   * Bytes are dropped as they arrive. An interruption leaves the stream somewhere in front of the separator.
   *
   * @see {@link StreamReader.readUntil}, {@link StreamReader.skip}
   */
  discardUntil(separator: Separator): Effect.Effect<void, ReadError | IncompleteRead>

  /**
   * Returns the same reader with a timeout of its own: each of its reads waits for `duration` at most.
   *
   * **When to use**
   *
   * For a timeout of one phase of a protocol. `timeouts.read` is the same for every read of a connection.
   * `Effect.timeout` bounds any other piece of work.
   *
   * **Details**
   *
   * - A read that waits longer fails with `StreamTimeout` of kind `Read`. The read has taken nothing, and the
   *   connection goes on.
   * - The duration replaces `timeouts.read` for the reads of this view. `"Infinity"` is no bound. `within` of a view
   *   replaces the duration of the view. The other timeouts hold as before.
   * - The view has the same buffer, the same bytes and the same limit. Two reads at a time fail with `StreamBusy`, also
   *   over two views.
   * - `lines`, `stream`, `take` and `limited` of a view have the timeout for each pull.
   * - Only time in which a read waits counts: a read answered from the buffer costs nothing more. Waiting reads use the
   *   one timer of the connection, which is far cheaper than `Effect.timeout`.
   * - Time goes by the clock of the reading fiber. On a connection with `timeouts` it goes by the clock of the fiber
   *   that opened the connection.
   *
   * **Gotchas**
   *
   * Make a view once for each phase, not for each read: a view is an object, and remembers reads. `discardUntil`, and a
   * `skip` of more than `limit`, have already dropped bytes when they time out. A wrong duration, or one that is not
   * above 0, throws.
   *
   * **Example** (A bound for each phase)
   *
   * ```ts
   * import { Effect, Option } from "effect"
   * import { StreamReader } from "effect-byte-streams"
   *
   * const program = Effect.gen(function* () {
   *   const { feedUnsafe, reader } = yield* StreamReader.make()
   *   const idle = reader.within("1 minute")
   *   const body = reader.within("20 millis")
   *   feedUnsafe(new TextEncoder().encode("5\nhel"))
   *   const length = Number(Option.getOrThrow(yield* idle.readLineText))
   *   const late = yield* Effect.flip(body.readExactly(length))
   *   feedUnsafe(new TextEncoder().encode("lo"))
   *   return [late.message, new TextDecoder().decode(yield* body.readExactly(length))]
   * })
   *
   * console.log(await Effect.runPromise(program)) // => [ 'readExactly: the Read timeout of 20ms expired', 'hello' ]
   * ```
   *
   * @see `Connection.Timeouts`
   */
  within(duration: Duration.Input): StreamReader

  /**
   * Puts bytes back in front of everything buffered. The next read starts with them. The array is copied.
   *
   * @see {@link StreamReader.peek}
   */
  unread(bytes: Uint8Array): Effect.Effect<void, ReadError>

  /**
   * Takes everything buffered, in the pieces as they came. Ends with `Done` at the end of the stream.
   *
   * **When to use**
   *
   * To build a stream or a channel of your own. Use `stream` for a plain `Stream`.
   *
   * @see {@link stream}
   */
  readonly pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, ReadError>

  /**
   * Whether the stream has ended and everything was read.
   *
   * **Gotchas**
   *
   * `false` does not promise a byte: the stream may end while the next read waits.
   */
  readonly atEof: Effect.Effect<boolean>

  /** The number of bytes that can be read now, without waiting. */
  readonly buffered: Effect.Effect<number>
}

/**
 * The service tag of a connection's reader.
 *
 * **When to use**
 *
 * For programs that leave it to a layer or a server what they read from.
 *
 * @see `Connection.layerConnection`, `Connection.services`
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export const StreamReader: Context.Service<StreamReader, StreamReader> = Services.StreamReader

// ---------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------

/**
 * A reader that is fed by hand: asyncio's `StreamReader` with `feed_data`, `feed_eof` and `set_exception`.
 *
 * **When to use**
 *
 * For tests of a parser, and for sources that push. Use `fromPull` or `fromStream` for a source that can be pulled.
 *
 * **Example** (Feeding by hand)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { StreamReader } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const { endUnsafe, feedUnsafe, reader } = yield* StreamReader.make()
 *   feedUnsafe(new TextEncoder().encode("one\ntw"))
 *   feedUnsafe(new TextEncoder().encode("o"))
 *   endUnsafe()
 *   const lines = [yield* reader.readLine, yield* reader.readLine, yield* reader.readLine]
 *   return lines.map((line) => new TextDecoder().decode(line))
 * })
 *
 * console.log(await Effect.runPromise(program)) // => [ 'one\n', 'two', '' ]
 * ```
 *
 * @see {@link fromBytes}, {@link fromPull}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make: (options?: {
  /** The limit of the buffer, in bytes. Default 65,536. */
  readonly limit?: number | undefined
  /** Called when more than `2 * limit` bytes are buffered: the source should stop. Must not feed before it returns. */
  readonly onPause?: (() => void) | undefined
  /** Called when the source may go on. Must not feed before it returns. */
  readonly onResume?: (() => void) | undefined
}) => Effect.Effect<{
  /** The reader. */
  readonly reader: StreamReader
  /**
   * Adds bytes: `feed_data`. Returns whether the source may go on: `false` while more than `2 * limit` bytes are
   * buffered. The array belongs to the reader from then on. Feeding after the end throws. What a frame feeds while a read of
   * it is asked comes behind what was fed.
   */
  readonly feedUnsafe: (bytes: Uint8Array) => boolean
  /** Ends the stream behind what was fed: `feed_eof`. */
  readonly endUnsafe: () => void
  /** Ends the stream with a loss, which is read behind what was fed: `set_exception`. */
  readonly failUnsafe: (error: ConnectionLost) => void
}> = Sources.make

/**
 * A reader over bytes at hand, followed by the end of the stream.
 *
 * **When to use**
 *
 * To test what reads from a `StreamReader`, and to parse a value with the same code.
 *
 * **Example** (Parsing bytes at hand)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { StreamReader } from "effect-byte-streams"
 *
 * const program = Effect.gen(function*() {
 *   const reader = yield* StreamReader.fromBytes("name: value\nrest")
 *   const line = yield* reader.readLine
 *   const rest = yield* reader.readAll({ maxBytes: 100 })
 *   return [line, rest].map((bytes) => new TextDecoder().decode(bytes))
 * })
 *
 * console.log(await Effect.runPromise(program)) // => [ 'name: value\n', 'rest' ]
 * ```
 *
 * @see {@link make}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromBytes: (
  bytes: Uint8Array | string | Iterable<Uint8Array>,
  options?: {
    /** The limit of the buffer, in bytes. Default 65,536. */
    readonly limit?: number | undefined
  }
) => Effect.Effect<StreamReader> = Sources.fromBytes

/**
 * A reader over anything that can be pulled. The pulling ends with the scope.
 *
 * **Details**
 *
 * The source is pulled only while less than `2 * limit` bytes are buffered. A failure of the source ends the reader
 * with `ConnectionLost` of kind `Unknown`, with the failure as its `cause`.
 *
 * @see {@link fromStream}, {@link fromReadableStream}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromPull: <E, R>(
  pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, E, unknown, R>,
  options?: {
    /** The limit of the buffer, in bytes. Default 65,536. */
    readonly limit?: number | undefined
  }
) => Effect.Effect<StreamReader, never, R | Scope.Scope> = (pull, options) =>
  Sources.fromPull("StreamReader.fromPull", pull, options)

/**
 * A reader over a `Stream` of bytes. The stream ends with the scope.
 *
 * **Details**
 *
 * A failure of the stream ends the reader as with `fromPull`.
 *
 * @see {@link fromPull}, {@link stream} for the other way.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromStream = <E, R>(
  stream: Stream.Stream<Uint8Array, E, R>,
  options?: {
    /** The limit of the buffer, in bytes. Default 65,536. */
    readonly limit?: number | undefined
  }
): Effect.Effect<StreamReader, never, R | Scope.Scope> =>
  Effect.suspend(() => {
    if (!Stream.isStream(stream)) throw wrongType("StreamReader.fromStream", "stream", "a Stream", stream)
    return Effect.flatMap(Stream.toPull(stream), (pull) => Sources.fromPull("StreamReader.fromStream", pull, options))
  })

/**
 * A reader over a web `ReadableStream`, such as the body of a `fetch` response.
 *
 * **Details**
 *
 * The stream is cancelled if the scope closes before its end. A failure of the stream ends the reader as with
 * `fromPull`.
 *
 * @see {@link fromPull}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromReadableStream: (
  stream: ReadableStreamLike,
  options?: {
    /** The limit of the buffer, in bytes. Default 65,536. */
    readonly limit?: number | undefined
  }
) => Effect.Effect<StreamReader, never, Scope.Scope> = Sources.fromReadableStream

// ---------------------------------------------------------------------------
// combinators
// ---------------------------------------------------------------------------

/**
 * Everything up to the end, as a stream of the pieces that arrive.
 *
 * **Details**
 *
 * Bytes that the consumer does not take stay in the reader.
 *
 * @see {@link take} for a known number of bytes.
 * @see {@link lines}, {@link frames} for items.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const stream = (self: StreamReader): Stream.Stream<Uint8Array, ReadError> =>
  Stream.fromPull(Effect.succeed(self instanceof BufferReader ? self.pullPiece : self.pull))

/**
 * The next `count` bytes as a stream of the pieces that arrive.
 *
 * **When to use**
 *
 * For a body of known length that need not be held as a whole. Use `limited` where the body is read in pieces of its
 * own.
 *
 * **Details**
 *
 * Bytes behind the body stay in the reader, and so do bytes that the consumer does not take. A stream that ends first
 * fails with `IncompleteRead`.
 *
 * **Example** (A body, and what follows it)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { StreamReader } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const reader = yield* StreamReader.fromBytes("hello, next")
 *   const body = yield* StreamReader.take(reader, 5).pipe(Stream.decodeText, Stream.mkString)
 *   return [body, new TextDecoder().decode(yield* reader.readAll({ maxBytes: 100 }))]
 * })
 *
 * console.log(await Effect.runPromise(program)) // => [ 'hello', ', next' ]
 * ```
 *
 * @see {@link limited}, {@link StreamReader.readExactly}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const take = (self: StreamReader, count: number): Stream.Stream<Uint8Array, ReadError | IncompleteRead> =>
  Stream.fromPull(Effect.sync(() => Parts.take(self, count)))

/**
 * A reader of the next `count` bytes, which ends behind them.
 *
 * **When to use**
 *
 * For a body that other code reads in its own way, by lines for example.
 *
 * **Details**
 *
 * - Unread bytes of the part are back in the outer reader when the scope closes. Leave the outer reader alone until
 *   then.
 * - A stream that ends inside the part fails its reads with `ConnectionLost`, whose `cause` is an `IncompleteRead`. A
 *   part that was cut off does not look complete.
 * - The part has the limit and the timeouts of the outer reader.
 * - Of several parts of one reader, open at once, each read takes what comes next of the outer reader.
 *
 * **Gotchas**
 *
 * `self` must be a reader of this library.
 *
 * @see {@link take}, {@link StreamReader.readExactly}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const limited: (self: StreamReader, count: number) => Effect.Effect<StreamReader, never, Scope.Scope> =
  Parts.limited

/**
 * The options of `lines`.
 *
 * @see {@link lines}
 * @see {@link LineOptions} for a single line.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface LinesOptions {
  /**
   * The encoding, as a label of `TextDecoder`. Its line feed must be the byte 10, and nothing else may be. Default
   * `"utf-8"`.
   */
  readonly encoding?: string | undefined
  /** The most bytes of a line, without its line feed. Default: the limit of the reader. */
  readonly limit?: number | undefined
  /**
   * `"fail"` fails the stream on an overlong line with `LimitOverrun`; `"discard"` drops that line. Default `"fail"`.
   */
  readonly onOverrun?: "fail" | "discard" | undefined
  /**
   * Whether the last line may lack its line feed. `"optional"` emits such a line; `"required"` fails the stream with
   * `IncompleteRead`, also where that line was dropped (`onOverrun`). Default `"optional"`.
   */
  readonly end?: "optional" | "required" | undefined
  /**
   * Whether bytes that are no text fail the stream with `InvalidText`. Otherwise they become U+FFFD. Default `false`.
   */
  readonly fatal?: boolean | undefined
}

/**
 * The errors of `lines`, as its options allow them.
 *
 * **Details**
 *
 * `LimitOverrun` is among them unless `onOverrun` is `"discard"`, `IncompleteRead` where `end` is `"required"`,
 * `InvalidText` where `fatal` is `true`.
 *
 * @see {@link LinesOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type LinesError<Options extends LinesOptions> =
  | ReadError
  | ([Given<Options, "onOverrun">] extends ["discard"] ? never : LimitOverrun)
  | ([Given<Options, "end">] extends ["optional" | undefined] ? never : IncompleteRead)
  | ([Given<Options, "fatal">] extends [false | undefined] ? never : InvalidText)

/**
 * The messages up to the end of the stream, as a stream.
 *
 * **When to use**
 *
 * For a program that handles every message in the same way. Use `readFrame` where other reads come in between.
 *
 * **Details**
 *
 * All messages that a chunk completes are emitted together. A wrong message fails the stream, behind the messages in
 * front of it.
 *
 * `onMalformed: "skip"` drops wrong and overlong messages whose end is known, as they arrive. A length in front of a
 * message tells its end, and so does a delimiter behind it. Where the stream is given up inside such a message, the next
 * one on this reader goes on behind it, unless something else was read meanwhile. The stream ends with the stream of bytes,
 * and where a shutting-down server ends idle reads (`whenDraining`).
 *
 * **Gotchas**
 *
 * The stream reads ahead by chunks: messages of a chunk that the consumer did not take are no longer in the reader.
 *
 * @see {@link StreamReader.readFrame}, {@link StreamReader.readFrames}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const frames = <A>(
  self: StreamReader,
  frame: Decoder<A>,
  options?: {
    /**
     * `"fail"` fails the stream on a wrong or overlong message; `"skip"` drops that message, where its end is known.
     * Default `"fail"`.
     */
    readonly onMalformed?: "fail" | "skip" | undefined
  }
): Stream.Stream<A, ReadError | IncompleteRead | LimitOverrun | MalformedFrame> =>
  Stream.fromPull(Effect.sync(() => Frames.pull(self, frame, options?.onMalformed)))

/**
 * The lines up to the end of the stream, as a stream of text without line ends.
 *
 * **When to use**
 *
 * For a program that handles every line in the same way. Use `readLineText` where other reads come in between. A single
 * `readLineText` is also faster, by the line.
 *
 * **Details**
 *
 * - All lines that a chunk completes are emitted together. A character may be cut anywhere between two chunks.
 * - A carriage return in front of the line feed is dropped.
 * - The last line may lack its end. `end: "required"` fails such a line with `IncompleteRead`.
 * - A line longer than `limit` bytes fails the stream with `LimitOverrun`, or is dropped with `onOverrun: "discard"`.
 * - Bytes that are no text become U+FFFD. With `fatal: true` they fail the stream with `InvalidText`, behind the lines
 *   in front of them.
 * - A byte order mark is a character like any other, and stays.
 * - The stream of lines ends with the stream of bytes, and where a shutting-down server ends idle reads
 *   (`whenDraining`).
 *
 * **Gotchas**
 *
 * The stream reads ahead by chunks: lines of a chunk that the consumer did not take are no longer in the reader.
 *
 * **Example** (Dropping overlong lines)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { StreamReader } from "effect-byte-streams"
 *
 * const program = Effect.gen(function* () {
 *   const reader = yield* StreamReader.fromBytes(`first\r\n${"x".repeat(1000)}\nlast`, { limit: 100 })
 *   return yield* StreamReader.lines(reader, { onOverrun: "discard" }).pipe(Stream.runCollect)
 * })
 *
 * console.log(await Effect.runPromise(program)) // => [ 'first', 'last' ]
 * ```
 *
 * @see {@link StreamReader.readLineText}, {@link LinesOptions}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const lines = <const Options extends LinesOptions = {}>(
  self: StreamReader,
  options?: Options
): Stream.Stream<string, LinesError<Options>> =>
  Stream.fromPull(Effect.sync(() => Lines.pull(self, options))) as Stream.Stream<string, any>
