/**
 * Shows what passes: a log of connections and their bytes, or a transcript of them in a file.
 *
 * Both are observers, see `Observer.layer`: they are laid over a program, which does not have to know of them. Secrets are
 * masked by rules on bytes, however the bytes were cut on the way.
 *
 * **When to use**
 *
 * `layer` to see what a program says to its peers, while it runs. `layerTranscript` to keep that, and to have
 * `TestPeer.fromTranscript` play the peer again in a test.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import type { PlatformError } from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Argument from "./internal/base/argument.ts"
import * as Bytes from "./internal/base/bytes.ts"
import * as Defaults from "./internal/base/defaults.ts"
import { lazily } from "./internal/base/lazily.ts"
import { logging } from "./internal/observe/logging.ts"
import * as Masks from "./internal/observe/masks.ts"
import type { TapOptions } from "./internal/observe/taps.ts"
import * as Observer from "./Observer.ts"

// ---------------------------------------------------------------------------
// masks
// ---------------------------------------------------------------------------

/**
 * A rule that says which bytes nobody may see. `*` stands for each of them.
 *
 * **Details**
 *
 * - A rule looks at each direction of each connection from its beginning on, also across `startTls`. So a secret, or what
 *   stands in front of it, may be cut into pieces anywhere.
 * - Of several rules, all hold.
 * - Where a piece ends, it may be open whether its last bytes are the beginning of a secret. They are masked: sometimes
 *   more is masked than has to be, and never less.
 *
 * **Gotchas**
 *
 * The length of what is masked can be seen.
 *
 * @see {@link maskAfter} for what stands at a known place, {@link maskBytes} for a known secret.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Mask {
  readonly [Masks.TypeId]: typeof Masks.TypeId
}

/**
 * The options of `maskAfter`.
 *
 * @see {@link maskAfter}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface MaskAfterOptions {
  /** What stands in front of the secret, and is shown itself. Text is UTF-8. Not empty. */
  readonly prefix: string | Uint8Array
  /**
   * What ends the secret: the first of these, behind the prefix, ends it. It is shown itself, unless it was cut into
   * pieces. Default: a line's end, `"\r\n"` or `"\n"`.
   */
  readonly until?: string | Uint8Array | ReadonlyArray<string | Uint8Array> | undefined
  /** So many bytes are masked at most, behind a prefix. Default: no bound. */
  readonly maxBytes?: number | undefined
  /** Whether `A` to `Z` and `a` to `z` are the same, in `prefix` and in `until`. Default `false`. */
  readonly ignoreCase?: boolean | undefined
  /** The direction in which it holds. Default: both. */
  readonly direction?: Observer.Direction | undefined
}

/**
 * Masks what stands behind a prefix, up to an end.
 *
 * **Details**
 *
 * A prefix that is found in what is masked already has no end of its own: the first end is that of both. It has
 * `maxBytes` of its own.
 *
 * **Example** (The password of Redis)
 *
 * The command is an array of texts, each with its length in front. All that follows its name is masked, up to the next
 * command. That holds for `HELLO 3 AUTH name password` as well.
 *
 * ```ts
 * import { Effect, Layer, Logger, References } from "effect"
 * import { openConnection, startServer, Wiretap } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const auth = Wiretap.maskAfter({ prefix: "$4\r\nAUTH", until: "\r\n*", ignoreCase: true })
 *
 * const program = Effect.gen(function* () {
 *   yield* startServer({ port: 6379 }, ({ reader }) => reader.readAll({ maxBytes: 1000 }))
 *   const { writer } = yield* openConnection({ port: 6379 })
 *   yield* writer.write("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*1\r\n$4\r\nPING\r\n")
 * })
 *
 * const lines = Logger.make<unknown, void>(({ message }) => {
 *   const [, dump] = /out \d+ bytes: (.*)/.exec(String(message)) ?? []
 *   if (dump !== undefined) console.log(dump)
 * })
 * const wiretap = Wiretap.layer({ mask: [auth] }).pipe(
 *   Layer.provide([Logger.layer([lines]), Layer.succeed(References.MinimumLogLevel)("Debug")])
 * )
 *
 * await Effect.runPromise(TestNetwork.simulate(Effect.provide(program, wiretap)))
 * // => "*2\r\n$4\r\nAUTH************\r\n*1\r\n$4\r\nPING\r\n"
 * ```
 *
 * @see {@link maskBytes}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const maskAfter = (options: MaskAfterOptions): Mask => {
  const operation = "Wiretap.maskAfter"
  const { direction, ignoreCase, maxBytes, prefix, until } = Argument.record(operation, "options", options)
  const folds = ignoreCase === undefined ? false : Argument.flag(operation, "ignoreCase", ignoreCase)
  const ends = until === undefined ? lineEnds : Array.isArray(until) ? until : [until]
  if (ends.length === 0) throw Argument.wrongType(operation, "until", "text or bytes that are not empty", until)
  return Masks.between(
    directionOf(operation, direction),
    new Masks.Pattern(bytesOf(operation, "prefix", prefix), folds),
    ends.map((end: unknown) => new Masks.Pattern(bytesOf(operation, "until", end), folds)),
    maxBytes === undefined ? Infinity : Argument.limit(operation, maxBytes, "maxBytes")
  )
}

const lineEnds: ReadonlyArray<string> = ["\r\n", "\n"]

/**
 * The options of `maskBytes`.
 *
 * @see {@link maskBytes}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface MaskBytesOptions {
  /** The direction in which it holds. Default: both. */
  readonly direction?: Observer.Direction | undefined
}

/**
 * Masks every occurrence of a secret that is known.
 *
 * **Gotchas**
 *
 * A secret that is encoded on the wire, such as in Base64, is other bytes: mask those, or what stands at their place.
 *
 * **Example** (A token)
 *
 * ```ts
 * import { Redacted } from "effect"
 * import { Wiretap } from "effect-byte-streams"
 *
 * const token = Redacted.make("swordfish")
 * const wiretap = Wiretap.layer({ mask: [Wiretap.maskBytes(token)] })
 * ```
 *
 * @see {@link maskAfter}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const maskBytes = (
  secret: string | Uint8Array | Redacted.Redacted<string | Uint8Array>,
  options?: MaskBytesOptions
): Mask => {
  const operation = "Wiretap.maskBytes"
  const given = options === undefined ? {} : Argument.record(operation, "options", options)
  const bytes = Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
  return Masks.occurrences(
    directionOf(operation, given.direction),
    new Masks.Pattern(bytesOf(operation, "secret", bytes))
  )
}

const directionOf = (operation: string, direction: Observer.Direction | undefined): Observer.Direction | undefined =>
  direction === undefined ? undefined : Argument.oneOf(operation, "direction", direction, ["in", "out"])

/** It may be a secret: no message shows it. */
const bytesOf = (operation: string, name: string, value: unknown): Uint8Array => {
  const bytes = typeof value === "string" ? Bytes.encode(value) : Bytes.from(value)
  if (bytes !== undefined && bytes.length > 0) return bytes
  const got = bytes === undefined ? Argument.typeName(value) : "nothing"
  throw new TypeError(`${operation}: ${name} must be text or bytes that are not empty, got ${got}`)
}

// ---------------------------------------------------------------------------
// options of both
// ---------------------------------------------------------------------------

/**
 * Which connections are shown, and what of them is not.
 *
 * @see {@link LogOptions}, {@link TranscriptOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The rules that say which bytes nobody may see. Default: none. */
  readonly mask?: ReadonlyArray<Mask> | undefined
  /**
   * Says which connections are shown. It is asked once for each, when it is opened. One that throws shows nothing of that
   * connection. Default: all.
   */
  readonly filter?: ((connection: Observer.ObservedConnection) => boolean) | undefined
}

const tapOptions = (operation: string, { filter, mask = [] }: Options): TapOptions => {
  if (!Array.isArray(mask) || !mask.every((rule) => rule instanceof Masks.Rule)) {
    // it may be a secret that was to be a rule
    const got = Argument.typeName(mask)
    throw new TypeError(`${operation}: mask must be an array of what maskAfter and maskBytes make, got ${got}`)
  }
  return {
    mask: mask as ReadonlyArray<Masks.Rule>,
    filter: filter === undefined ? () => true : Argument.func(operation, "filter", filter)
  }
}

// ---------------------------------------------------------------------------
// the log
// ---------------------------------------------------------------------------

/**
 * The options of `layer`.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface LogOptions extends Options {
  /** The level of all lines. Default `"Debug"`. */
  readonly level?: LogLevel.Severity | undefined
  /**
   * How bytes are shown. Default `"text"`.
   *
   * - `"text"`: in one line, in quotes. What is no printable text is escaped: `"PING\r\n\x00"`.
   * - `"hex"`: in rows of sixteen, with offset, digits and characters.
   */
  readonly format?: "text" | "hex" | undefined
  /** So many bytes of a piece are shown. Of the others only their number is said. Default 256. */
  readonly maxBytes?: number | undefined
}

/**
 * Logs through Effect's `Logger` what happens to connections and servers, and every piece of bytes: a line each, with the
 * connection's number, its side and peer, the time since it was opened, and the direction and size of bytes.
 *
 * **Details**
 *
 * - Lines are annotated, for loggers that write structured data: `connection`, `side`, `peer`, and `event`, or
 *   `direction`, `offset` (in the direction) and `bytes`.
 * - The loggers, the annotations and the minimum level are those where the layer is built. Where the minimum level is
 *   above `level`, nothing is observed at all.
 * - A line is logged where its event happens: it stands in front of those of a program that the event wakes.
 * - Events in front of `Opened`, and those of servers, belong to no connection that `filter` could be asked about yet. They
 *   are always logged.
 *
 * **Gotchas**
 *
 * - Loggers of a layer at its side, in `Layer.mergeAll`, are not seen: put them below, with `Layer.provide`.
 * - The same holds for other observers: put one on top of the other, with `Layer.provideMerge`.
 * - A logger that sends what it logs over a connection of this library would tell of that as well, without end. Leave its
 *   connection out with `filter`.
 *
 * **Example** (What a program says)
 *
 * ```ts
 * import { Effect, Layer, Logger, References } from "effect"
 * import { openConnection, startServer, Wiretap } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const program = Effect.gen(function* () {
 *   yield* startServer({ port: 7000 }, ({ reader, writer }) => Effect.andThen(reader.readLine, writer.write("PONG\r\n")))
 *   const { reader, writer } = yield* openConnection({ port: 7000 })
 *   yield* writer.write("PING\r\n")
 *   yield* reader.readLine
 * })
 *
 * const wiretap = Wiretap.layer({ filter: (connection) => connection.side === "client" }).pipe(
 *   Layer.provide(Logger.layer([Logger.make(({ message }) => console.log(String(message)))])),
 *   Layer.provide(Layer.succeed(References.MinimumLogLevel)("Debug"))
 * )
 *
 * await Effect.runPromise(TestNetwork.simulate(Effect.provide(program, wiretap), { fromServer: { latency: 20 } }))
 * // => listening at [::]:7000
 * // => #1 connecting to localhost:7000
 * // => #1 trying 127.0.0.1:7000
 * // => #1 client 127.0.0.1:7000 +0.000s opened at 127.0.0.1:49152
 * // => #1 client 127.0.0.1:7000 +0.000s out 6 bytes: "PING\r\n"
 * // => #1 client 127.0.0.1:7000 +0.020s in 6 bytes: "PONG\r\n"
 * // => #1 client 127.0.0.1:7000 +0.020s closing
 * // => #1 client 127.0.0.1:7000 +0.020s closed: Graceful, 6 bytes in, 6 bytes out
 * // => shutting down at [::]:7000, within 5s
 * // => shut down at [::]:7000: 0 completed, 0 aborted
 * ```
 *
 * @see {@link layerTranscript}, `Observer.layer`
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: LogOptions = {}): Layer.Layer<never> =>
  Layer.unwrap(
    Effect.map(Effect.context<never>(), (context) => {
      const operation = "Wiretap.layer"
      const {
        format = "text",
        level = "Debug",
        maxBytes = Defaults.dumpedBytes
      } = Argument.record(operation, "options", options)
      const observer = logging(context, {
        ...tapOptions(operation, options),
        level: Argument.oneOf(operation, "level", level, ["Fatal", "Error", "Warn", "Info", "Debug", "Trace"]),
        format: Argument.oneOf(operation, "format", format, ["text", "hex"]),
        maxBytes: Argument.mark(operation, "maxBytes", maxBytes)
      })
      return observer === undefined ? Layer.empty : Observer.layer(observer)
    })
  )

// ---------------------------------------------------------------------------
// the transcript
// ---------------------------------------------------------------------------

/**
 * The options of `layerTranscript`.
 *
 * @see {@link layerTranscript}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface TranscriptOptions extends Options {
  /** The path of the file. Its directory has to exist. No other process, and no other layer, may write to it. */
  readonly path: string
  /** So many bytes a file has at most. A line that is longer has a file of its own. Default 64 MiB. */
  readonly maxBytes?: number | undefined
  /** So many files there are at most: `path`, which is written, and the older ones `path.1`, `path.2`. Default 2. */
  readonly maxFiles?: number | undefined
  /** So many bytes of lines wait to be written at most. Those beyond are left out. Default 4 MiB. */
  readonly maxPending?: number | undefined
  /** The longest time that the end of the layer waits for what is to be written, in real time. Default 5 seconds. */
  readonly flushTimeout?: Duration.Input | undefined
}

/**
 * Writes to a file, through Effect's `FileSystem`, what passes: one JSON object a line.
 *
 * **Details**
 *
 * - A line is one of these: a connection is opened or upgraded, it has bytes in or out, its peer ends, a timeout strikes, it
 *   fails, it is closed. Each has the time, in milliseconds since the epoch, and the connection's number. A piece of more
 *   than 64 KiB has several lines.
 * - A full file becomes `path.1`, that one `path.2`, and the oldest is gone. No line is cut. What is at the path when the
 *   layer is built moves away in the same way, because the numbers of connections begin anew with each process.
 * - No connection waits for a file. If a disk is full or too slow, lines wait, up to `maxPending`. Beyond that they are left
 *   out, and a line `missing` in their place says how many. The failure is logged once, at level Warn, and writing is tried
 *   again each second.
 * - The layer fails if the file cannot be opened when it is built.
 *
 * **Gotchas**
 *
 * - The file holds all that was said, passwords as well, unless `mask` has rules for them.
 * - Other observers do not stand at its side, in `Layer.mergeAll`: put one on top of the other, with `Layer.provideMerge`.
 *
 * **Example** (Recording a client)
 *
 * ```ts
 * import { NodeFileSystem } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 * import { NodeNetwork, openConnection, Wiretap } from "effect-byte-streams"
 *
 * const transcript = Wiretap.layerTranscript({
 *   path: "redis.transcript",
 *   mask: [Wiretap.maskAfter({ prefix: "$4\r\nAUTH", until: "\r\n*", ignoreCase: true })]
 * }).pipe(Layer.provide(NodeFileSystem.layer))
 *
 * const program = Effect.gen(function* () {
 *   const { reader, writer } = yield* openConnection({ port: 6379 })
 *   yield* writer.write("PING\r\n")
 *   return yield* reader.readLine
 * })
 *
 * const recorded = program.pipe(Effect.scoped, Effect.provide(Layer.merge(NodeNetwork.layer, transcript)))
 * ```
 *
 * @see {@link layer}, `TestPeer.fromTranscript`
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerTranscript = (options: TranscriptOptions): Layer.Layer<never, PlatformError, FileSystem> =>
  Layer.unwrap(
    Effect.flatMap(ofFile, ({ transcript }) => {
      const operation = "Wiretap.layerTranscript"
      const {
        flushTimeout = Defaults.transcriptFlushTimeout,
        maxBytes = Defaults.transcriptFileBytes,
        maxFiles = Defaults.transcriptFiles,
        maxPending = Defaults.transcriptPendingBytes,
        path
      } = Argument.record(operation, "options", options)
      const observer = transcript({
        ...tapOptions(operation, options),
        path: Argument.text(operation, "path", path),
        maxBytes: Argument.limit(operation, maxBytes, "maxBytes"),
        maxFiles: Argument.positive(operation, "maxFiles", maxFiles),
        maxPending: Argument.limit(operation, maxPending, "maxPending"),
        flushTimeout: Argument.duration(operation, "flushTimeout", flushTimeout)
      })
      return Effect.map(observer, Observer.layer)
    })
  )

// it loads Effect's file system, which a program without a transcript may not need
const ofFile = lazily(() => import("./internal/observe/transcriptFile.ts"))
