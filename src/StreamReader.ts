/**
 * The reading half of a connection: a bounded buffer that is read by pulling.
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
 * | `readAll({ maxBytes })` | the end | everything | `LimitOverrun` |
 * | `peek(n)` | n bytes | what there is | |
 * | `skip(n)` | n bytes | | `IncompleteRead` |
 * | `discardUntil(separator)` | the separator | | `IncompleteRead` |
 * | `pull` | 1 byte | `Done` | |
 *
 * What holds for all of them:
 *
 * - **Nothing is lost.** Interrupting a read that waits leaves every byte in the buffer, for the next read.
 *   Bytes that arrived before the connection broke are delivered before `ConnectionLost`. That is each read by itself:
 *   a program that reads a length and then a body has taken the length when its body is interrupted.
 * - **One at a time.** A read that begins while another fiber's waits fails with `StreamBusy`; the first is not disturbed.
 * - **`limit`** (default 65,536 bytes) bounds what a separator is searched in. Above `2 * limit` buffered bytes the
 *   transport is paused, at `limit` or below it is resumed. A read of more than that raises the threshold while it waits.
 * - **`within(duration)`** is the same reader with a bound of its own for each read.
 * - A count is an integer of 0 or more; anything else dies, and names the operation and the value. A count of 0 never
 *   waits, but still fails if the stream is closed, or lost with nothing left to read.
 * - The result may be a view of a larger piece of memory, which is kept alive as long as the result is, and may hold
 *   what other connections received (as a small `Buffer` of Node's does). Whoever stores a few bytes for long, or hands
 *   on the `buffer` of a result, makes a copy (`slice`).
 *
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
 * One separator, or several of which the one that ends first counts. Text stands for its UTF-8 bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type Separator = Input

/**
 * How far `readUntil` and `readUntilOption` look, and what they return.
 *
 * @category models
 * @since 0.1.0
 */
export interface UntilOptions {
  /** How many bytes may stand in front of the separator. Default: the limit of the reader. */
  readonly limit?: number | undefined
  /** Whether the separator is part of the result. Default `true`, as in asyncio. */
  readonly keepDelimiter?: boolean | undefined
}

/**
 * What `readLineWith` takes for a line.
 *
 * @category models
 * @since 0.1.0
 */
export interface LineOptions {
  /** How many bytes a line may have, without its line feed. Default: the limit of the reader. */
  readonly limit?: number | undefined
  /** Whether an overlong line fails the read, or is dropped and the next one read. Default `"fail"`. */
  readonly onOverrun?: "fail" | "discard" | undefined
  /** Whether the last line may lack its line feed, or fails with `IncompleteRead` then. Default `"optional"`. */
  readonly end?: "optional" | "required" | undefined
  /** Whether the line feed is part of the result; where not, a carriage return in front of it goes as well. Default `true`. */
  readonly keepDelimiter?: boolean | undefined
}

/** What was given for an option, or that nothing was. */
type Given<Options, Name> = Name extends keyof Options ? Options[Name] : undefined

/**
 * What `readLineWith` returns.
 *
 * @category models
 * @since 0.1.0
 */
export type LineResult<Options extends LineOptions> = [Given<Options, "keepDelimiter">] extends [true | undefined]
  ? Uint8Array
  : [Given<Options, "keepDelimiter">] extends [false]
    ? Option.Option<Uint8Array>
    : Uint8Array | Option.Option<Uint8Array>

/**
 * What `readLineWith` fails with.
 *
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
 * @category models
 * @since 0.1.0
 */
export interface StreamReader {
  /** The limit of the buffer, in bytes. */
  readonly limit: number

  /**
   * Reads 1 to `maxBytes` bytes, as soon as there are any: all that is there, up
   * to `maxBytes`. Empty at the end of the stream, every time: a loop has to
   * look at the length, or use `readOption`, or it spins when the peer has left.
   */
  read(maxBytes: number): Effect.Effect<Uint8Array, ReadError>

  /**
   * As `read`, into memory of the caller's: puts 1 to `target.length` bytes at
   * the front of `target`, and returns how many. 0 at the end of the stream,
   * every time, and where `target` is empty. (Go's `Read`, Rust's `read`,
   * Python's `readinto`.)
   *
   * For bulk: with one array that is used again for each read, nothing has to
   * be allocated for what arrives, which is a third to half of what it costs.
   * From the first such read that waits on, a TCP, Unix or TLS connection reads
   * into memory that all connections share, and other reads pay for a copy. (So
   * does one that has brought no more than 1,024 bytes at a time, 16 times in a
   * row.)
   *
   * `target` is the reader's until the read is over. Interrupting it loses no
   * byte: those that came stay in the buffer, and what `target` holds then says
   * nothing. Who writes parts of `target` to a writer has to `flush` before the
   * next read: above 4,096 bytes a write keeps a view.
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
   */
  readInto(target: Uint8Array): Effect.Effect<number, ReadError>

  /** As `read`, with `None` at the end of the stream, and where a server ends idle reads (`whenDraining`). */
  readOption(maxBytes: number): Effect.Effect<Option.Option<Uint8Array>, ReadError>

  /**
   * Reads everything up to the end of the stream. `maxBytes` says how much that
   * may be; `"unbounded"` trusts the peer with this process's memory.
   *
   * Above `maxBytes` it fails with `LimitOverrun`. All bytes stay in the buffer
   * until the read is complete: a failure or an interruption loses none.
   */
  readAll(options: { readonly maxBytes: number | "unbounded" }): Effect.Effect<Uint8Array, ReadError | LimitOverrun>

  /**
   * Reads exactly `count` bytes, which may be far more than the limit. If the
   * stream ends first, fails with `IncompleteRead`, which carries the bytes
   * that came; the buffer is empty then.
   */
  readExactly(count: number): Effect.Effect<Uint8Array, ReadError | IncompleteRead>

  /**
   * As `readExactly`, with `None` if the stream ends in front of the first byte: a clean end between two messages. Also
   * where a server ends idle reads (`whenDraining`).
   */
  readExactlyOption(count: number): Effect.Effect<Option.Option<Uint8Array>, ReadError | IncompleteRead>

  /**
   * Reads up to and including a separator. Of several the match that ends first
   * counts, and the shortest of those (CPython 3.13).
   *
   * Fails with `LimitOverrun` if more than `limit` bytes come before it; the
   * buffer is untouched then, and `skip(consumed)` never cuts a separator in
   * two. Fails with `IncompleteRead` if the stream ends first; it carries what
   * was buffered, and the buffer is empty then. After a loss, what was buffered
   * stays readable.
   */
  readUntil(
    separator: Separator,
    options?: UntilOptions
  ): Effect.Effect<Uint8Array, ReadError | IncompleteRead | LimitOverrun>

  /** As `readUntil`, with `None` if the stream ends in front of the first byte: a clean end between two items. */
  readUntilOption(
    separator: Separator,
    options?: UntilOptions
  ): Effect.Effect<Option.Option<Uint8Array>, ReadError | IncompleteRead | LimitOverrun>

  /**
   * Reads a line, including its line feed. At the end of the stream the last
   * line may lack it; after that, empty, every time. A blank line is `"\n"`, so
   * only the end is empty. A carriage return is left in place.
   *
   * A line that was cut off by the end of the stream looks like one that is
   * whole: a protocol whose lines all have their end reads them with
   * `readLineText`, or with `readLineWith({ end: "required" })`.
   *
   * A line of more than `limit` bytes fails with `LimitOverrun`, once. It is
   * dropped: the next read of any kind starts behind its line feed, also when
   * that has yet to arrive. (In CPython the rest of it would come back as the
   * next line.)
   */
  readonly readLine: Effect.Effect<Uint8Array, ReadError | LimitOverrun>

  /** As `readLine`, with `None` at the end of the stream. */
  readonly readLineOption: Effect.Effect<Option.Option<Uint8Array>, ReadError | LimitOverrun>

  /**
   * Reads a line as text, without its end (a line feed, and the carriage return
   * in front of it): the next line, or `None` at a clean end, and nothing in
   * between. If the stream ends inside a line, fails with `IncompleteRead`, which
   * carries what came of it. Overlong lines as with `readLine`.
   *
   * The text is UTF-8. Bytes that are none become U+FFFD, and a byte order mark
   * stays, as with `lines`.
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
   */
  readonly readLineText: Effect.Effect<Option.Option<string>, ReadError | IncompleteRead | LimitOverrun>

  /**
   * As `readLine`, as the options say. With `keepDelimiter: false` an empty line
   * would look like the end of the stream, and so the result is an `Option`.
   */
  readLineWith<const Options extends LineOptions>(
    options: Options
  ): Effect.Effect<LineResult<Options>, LineError<Options>>

  /**
   * Reads one message: a whole one, or nothing. However it is interrupted, the
   * same frame, another one or a plain read finds it from its first byte on.
   *
   * Fails with `IncompleteRead` if the stream ends in front of it, or inside it;
   * that carries what was there of it, and the buffer is empty then. Fails with
   * `MalformedFrame` if the bytes are no such message: where it is known where it
   * ends, it is dropped, elsewhere it stays in the buffer. Fails with
   * `LimitOverrun` if it is longer than its frame allows; nothing is dropped, and
   * `consumed` says how many bytes it has, where that is known (`found`).
   */
  readFrame<A>(frame: Decoder<A>): Effect.Effect<A, ReadError | IncompleteRead | LimitOverrun | MalformedFrame>

  /** As `readFrame`, with `None` if the stream ends in front of the message. */
  readFrameOption<A>(
    frame: Decoder<A>
  ): Effect.Effect<Option.Option<A>, ReadError | IncompleteRead | LimitOverrun | MalformedFrame>

  /**
   * Reads all whole messages that are there, and waits for one if there is none.
   * Empty at a clean end, every time. Messages in front of a wrong one are
   * returned, and the next read fails.
   */
  readFrames<A>(
    frame: Decoder<A>
  ): Effect.Effect<ReadonlyArray<A>, ReadError | IncompleteRead | LimitOverrun | MalformedFrame>

  /** A copy of the next `count` bytes, which stay; fewer only if the stream ends first. */
  peek(count: number): Effect.Effect<Uint8Array, ReadError>

  /**
   * Drops exactly `count` bytes. `IncompleteRead` if the stream ends first.
   *
   * Up to `limit` bytes it is all or nothing, as `readExactly`: they are dropped
   * once all of them are there, and `IncompleteRead` carries those that came.
   * More are dropped as they arrive, so that a peer cannot make this side hold
   * them: interrupting that, or a timeout, leaves the stream somewhere among them,
   * and the `partial` of `IncompleteRead` is empty.
   */
  skip(count: number): Effect.Effect<void, ReadError | IncompleteRead>

  /**
   * Drops everything up to and including a separator, however far away: the way
   * back into step after a `LimitOverrun`. Bytes are dropped as they arrive, so
   * interrupting it leaves the stream somewhere before the separator.
   */
  discardUntil(separator: Separator): Effect.Effect<void, ReadError | IncompleteRead>

  /**
   * The same reader, each of whose reads waits for `duration` at the most, and
   * then fails with `StreamTimeout` of kind `Read`: a bound for one read, as
   * `timeouts.read` is one for all. It replaces that one for the reads of the
   * view, and so does `"Infinity"`, which is no bound; `within` of a view replaces
   * the bound of the view.
   *
   * **Details**
   *
   * A view has the same buffer, and sees the same bytes: a read that times out
   * has taken none of them, two reads at a time are `StreamBusy` whichever of the
   * two asks, and `limit` is the same. What reads through a view is bounded as
   * well: `StreamReader.lines`, `stream`, `take` and `limited`, each pull for
   * itself. The time is that in which a read waits, so that one that is answered
   * from the buffer costs what it costs without. The other timeouts of the
   * connection hold as before.
   *
   * It costs far less than `Effect.timeout`: the connection's one timer is used,
   * which is there while such a read waits. The time goes by the clock of the
   * fiber that reads, or, where the connection has `timeouts`, by that of who
   * opened it.
   *
   * **Gotchas**
   *
   * A view is made once for each phase of a protocol, not for each read: making
   * one costs an object, and with it what it remembers of reads. `discardUntil`,
   * and a `skip` of more than `limit`, drop bytes as they arrive, and what was
   * dropped before they time out is gone. A duration that is none, or not above
   * 0, throws.
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
   */
  within(duration: Duration.Input): StreamReader

  /** Puts bytes back in front of everything buffered; the next read starts with them. The array is copied. */
  unread(bytes: Uint8Array): Effect.Effect<void, ReadError>

  /** Everything buffered, in the pieces it came in; `Done` at the end of the stream. */
  readonly pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, ReadError>

  /** Whether the stream has ended and everything was read. */
  readonly atEof: Effect.Effect<boolean>

  /** How many bytes can be read now. */
  readonly buffered: Effect.Effect<number>
}

/**
 * The service tag of a connection's reader.
 *
 * @category services
 * @since 0.1.0
 */
export const StreamReader: Context.Service<StreamReader, StreamReader> = Services.StreamReader

// ---------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------

/**
 * A reader that is fed by hand: asyncio's `StreamReader` with `feed_data`,
 * `feed_eof` and `set_exception`. For tests, and for sources that push.
 *
 * **Details**
 *
 * `feedUnsafe` returns whether the source may go on: `false` while more than
 * `2 * limit` bytes are buffered. `onPause` and `onResume` are told when that
 * changes; they must not feed before they return. The fed array belongs to the
 * reader from then on. Feeding after the end throws.
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
 * @category constructors
 * @since 0.1.0
 */
export const make: (options?: {
  readonly limit?: number | undefined
  readonly onPause?: (() => void) | undefined
  readonly onResume?: (() => void) | undefined
}) => Effect.Effect<{
  readonly reader: StreamReader
  readonly feedUnsafe: (bytes: Uint8Array) => boolean
  readonly endUnsafe: () => void
  readonly failUnsafe: (error: ConnectionLost) => void
}> = Sources.make

/**
 * A reader over bytes that are there already, followed by the end of the
 * stream.
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
 * @category constructors
 * @since 0.1.0
 */
export const fromBytes: (
  bytes: Uint8Array | string | Iterable<Uint8Array>,
  options?: { readonly limit?: number | undefined }
) => Effect.Effect<StreamReader> = Sources.fromBytes

/**
 * A reader over anything that can be pulled. Pulls only while less than twice
 * the limit is buffered. The pulling ends with the scope.
 *
 * **Details**
 *
 * A failure of the source ends the reader with `ConnectionLost` of kind
 * `Unknown`, with the failure as its `cause`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromPull: <E, R>(
  pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, E, unknown, R>,
  options?: { readonly limit?: number | undefined }
) => Effect.Effect<StreamReader, never, R | Scope.Scope> = (pull, options) =>
  Sources.fromPull("StreamReader.fromPull", pull, options)

/**
 * A reader over a stream of bytes. See `fromPull`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromStream = <E, R>(
  stream: Stream.Stream<Uint8Array, E, R>,
  options?: { readonly limit?: number | undefined }
): Effect.Effect<StreamReader, never, R | Scope.Scope> =>
  Effect.suspend(() => {
    if (!Stream.isStream(stream)) throw wrongType("StreamReader.fromStream", "stream", "a Stream", stream)
    return Effect.flatMap(Stream.toPull(stream), (pull) => Sources.fromPull("StreamReader.fromStream", pull, options))
  })

/**
 * A reader over a web `ReadableStream`, such as the body of a `fetch` response.
 * The stream is cancelled when the scope closes before its end. See `fromPull`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromReadableStream: (
  stream: ReadableStreamLike,
  options?: { readonly limit?: number | undefined }
) => Effect.Effect<StreamReader, never, Scope.Scope> = Sources.fromReadableStream

// ---------------------------------------------------------------------------
// combinators
// ---------------------------------------------------------------------------

/**
 * Everything up to the end, as a stream of the pieces that arrive. What the
 * consumer does not take stays in the reader.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stream = (self: StreamReader): Stream.Stream<Uint8Array, ReadError> =>
  Stream.fromPull(Effect.succeed(self instanceof BufferReader ? self.pullPiece : self.pull))

/**
 * The next `count` bytes as a stream of the pieces that arrive, and then its end:
 * a body whose length is known. What follows stays in the reader.
 *
 * **Details**
 *
 * Fails with `IncompleteRead` if the stream ends first. What the consumer does
 * not take stays in the reader as well.
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
 * @category combinators
 * @since 0.1.0
 */
export const take = (self: StreamReader, count: number): Stream.Stream<Uint8Array, ReadError | IncompleteRead> =>
  Stream.fromPull(Effect.sync(() => Parts.take(self, count)))

/**
 * A reader of the next `count` bytes, which ends behind them: for a body that is
 * read in pieces of its own, whoever wrote what reads it.
 *
 * **Details**
 *
 * What it has not read when its scope closes is back in the reader that it is a
 * part of. Until then that reader is to be left alone. If the stream ends in
 * front of the end of the part, reads of the part fail with `ConnectionLost`,
 * whose `cause` is an `IncompleteRead`: a part that was cut off does not look
 * complete. It has the limit of the other reader, and its timeouts.
 *
 * **Gotchas**
 *
 * Only for readers of this library.
 *
 * @category combinators
 * @since 0.1.0
 */
export const limited: (self: StreamReader, count: number) => Effect.Effect<StreamReader, never, Scope.Scope> =
  Parts.limited

/**
 * How `lines` cuts and decodes.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinesOptions {
  /** A label of `TextDecoder`, of an encoding in which a line feed is the byte 10 and nothing else. Default `"utf-8"`. */
  readonly encoding?: string | undefined
  /** How many bytes a line may have, without its line feed. Default: the limit of the reader. */
  readonly limit?: number | undefined
  /** Whether an overlong line fails the stream, or is dropped. Default `"fail"`. */
  readonly onOverrun?: "fail" | "discard" | undefined
  /** Whether the last line may lack its line feed, or fails with `IncompleteRead` then. Default `"optional"`. */
  readonly end?: "optional" | "required" | undefined
  /** Whether bytes that are no text fail the stream with `InvalidText`, or become U+FFFD. Default `false`. */
  readonly fatal?: boolean | undefined
}

/**
 * What `lines` fails with.
 *
 * @category models
 * @since 0.1.0
 */
export type LinesError<Options extends LinesOptions> =
  | ReadError
  | ([Given<Options, "onOverrun">] extends ["discard"] ? never : LimitOverrun)
  | ([Given<Options, "end">] extends ["optional" | undefined] ? never : IncompleteRead)
  | ([Given<Options, "fatal">] extends [false | undefined] ? never : InvalidText)

/**
 * The messages of the stream, up to its end, all that a chunk completes at a
 * time.
 *
 * **Details**
 *
 * A wrong message fails the stream, behind the messages in front of it. With
 * `onMalformed: "skip"` those are passed over of which it is known where they
 * end: by a length in front of them, or a delimiter behind; also those that are
 * too long. They are dropped as they arrive.
 *
 * **Gotchas**
 *
 * The stream reads ahead by chunks: messages of a chunk that the consumer did
 * not take are not in the reader any more. To stop in the middle of a chunk and
 * go on with other reads, use `readFrame`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const frames = <A>(
  self: StreamReader,
  frame: Decoder<A>,
  options?: {
    /** What becomes of messages that are wrong, or too long. Default `"fail"`. */
    readonly onMalformed?: "fail" | "skip" | undefined
  }
): Stream.Stream<A, ReadError | IncompleteRead | LimitOverrun | MalformedFrame> =>
  Stream.fromPull(Effect.sync(() => Frames.pull(self, frame, options?.onMalformed)))

/**
 * The lines of the stream as text, without their line ends, all that a chunk
 * completes at a time.
 *
 * **Details**
 *
 * A carriage return in front of the line feed is dropped. A character may be cut
 * anywhere between two chunks. The last line may lack its end; with `end:
 * "required"` that fails with `IncompleteRead`. A line longer than `limit` bytes
 * fails the stream with `LimitOverrun`, or is dropped with `onOverrun:
 * "discard"`. The stream of lines ends with the stream of bytes, and where a
 * server ends idle reads (`whenDraining`).
 *
 * Bytes that are no text become U+FFFD, or fail the stream with `InvalidText`
 * where `fatal` is `true`: behind the lines in front of them. A byte order mark
 * is a character like any other, and stays.
 *
 * **Gotchas**
 *
 * The stream reads ahead by chunks: lines of a chunk that the consumer did not
 * take are not in the reader any more. To stop in the middle of a chunk and go
 * on with other reads, use `readLine`.
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
 * @category combinators
 * @since 0.1.0
 */
export const lines = <const Options extends LinesOptions = {}>(
  self: StreamReader,
  options?: Options
): Stream.Stream<string, LinesError<Options>> =>
  Stream.fromPull(Effect.sync(() => Lines.pull(self, options))) as Stream.Stream<string, any>
