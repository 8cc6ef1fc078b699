/** A reader over a `ReadBuffer`: every reader of this library is one. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import type * as Option from "effect/Option"
import type { ClosedStream, IncompleteRead, LimitOverrun, ReadError } from "../../StreamError.ts"
import type { LineError, LineOptions, LineResult, StreamReader, UntilOptions } from "../../StreamReader.ts"
import type { Decoder } from "../../Frame.ts"
import * as Argument from "../base/argument.ts"
import { of } from "../frame/node.ts"
import { type Ended, ended, type Open } from "./end.ts"
import { type Feeder, ReadBuffer } from "./readBuffer.ts"
import type { Source } from "./readOperation.ts"
import * as ReadFrames from "./frames.ts"
import { ReadAll } from "./reads/all.ts"
import * as Exactly from "./reads/exactly.ts"
import * as Line from "./reads/line.ts"
import * as Pieces from "./reads/pieces.ts"
import * as Some from "./reads/some.ts"
import { Unread } from "./reads/unread.ts"
import * as Until from "./reads/until.ts"
import * as Separator from "./separator.ts"

/** Up to so many bytes are a header: the reader remembers how it is read even though bodies are read in between. */
const maxHeaderBytes = 16

export class BufferReader implements StreamReader, Source {
  buffer: ReadBuffer
  readonly bound: number | undefined
  // A loop asks for the same again and again: what it needs is made once. No read keeps anything to itself but what it asks for.
  private line: Line.ReadLine | undefined = undefined
  private lineOption: Line.ReadLineOption | undefined = undefined
  private lineText: Line.ReadLineText | undefined = undefined
  private some: Some.Read | undefined = undefined
  private header: Exactly.ReadExactly | undefined = undefined
  private body: Exactly.ReadExactly | undefined = undefined
  private frame: ReadFrames.ReadFrame<any> | undefined = undefined
  private frames: ReadFrames.ReadFrames<any> | undefined = undefined

  constructor(buffer: ReadBuffer, bound?: number) {
    this.buffer = buffer
    this.bound = bound
  }

  within(duration: Duration.Input): BufferReader {
    return new BufferReader(this.buffer, Duration.toMillis(Argument.someTime("within", "duration", duration)))
  }

  get limit(): number {
    return this.buffer.limit
  }

  read(maxBytes: number) {
    const { some } = this
    if (some !== undefined && some.count === maxBytes) return some
    return maxBytes > 0 && Number.isSafeInteger(maxBytes)
      ? (this.some = new Some.Read(this, maxBytes))
      : checked(() => new Some.Read(this, Argument.count("read", "maxBytes", maxBytes)))
  }

  readInto(target: Uint8Array) {
    return checked(() => new Some.ReadInto(this, Argument.bytes("readInto", target)))
  }

  readOption(maxBytes: number) {
    return checked(() => new Some.ReadOption(this, Argument.count("readOption", "maxBytes", maxBytes)))
  }

  readAll(options: { readonly maxBytes: number | "unbounded" }) {
    return checked(
      () =>
        new ReadAll(
          this,
          options?.maxBytes === "unbounded" ? Infinity : Argument.count("readAll", "maxBytes", options?.maxBytes)
        )
    )
  }

  readExactly(count: number) {
    const known = count <= maxHeaderBytes ? this.header : this.body
    if (known !== undefined && known.count === count) return known
    return count > 0 && Number.isSafeInteger(count)
      ? this.remember(new Exactly.ReadExactly(this, count))
      : checked(() => new Exactly.ReadExactly(this, Argument.count("readExactly", "count", count)))
  }

  readExactlyOption(count: number) {
    return checked(() => new Exactly.ReadExactlyOption(this, Argument.count("readExactlyOption", "count", count)))
  }

  readUntil(separator: Separator.Input, options?: UntilOptions) {
    return checked(() => this.until("readUntil", Until.ReadUntil, separator, options))
  }

  readUntilOption(separator: Separator.Input, options?: UntilOptions) {
    return checked(() => this.until("readUntilOption", Until.ReadUntilOption, separator, options))
  }

  get readLine() {
    return (this.line ??= new Line.ReadLine(this, this.ask("readLine", false))) as Effect.Effect<
      Uint8Array,
      ReadError | LimitOverrun
    >
  }

  get readLineOption() {
    return (this.lineOption ??= new Line.ReadLineOption(this, this.ask("readLineOption", false))) as Effect.Effect<
      Option.Option<Uint8Array>,
      ReadError | LimitOverrun
    >
  }

  get readLineText() {
    return (this.lineText ??= new Line.ReadLineText(this, this.ask("readLineText", true)))
  }

  readLineWith<const Options extends LineOptions>(
    options: Options
  ): Effect.Effect<LineResult<Options>, LineError<Options>> {
    return checked((): Effect.Effect<any, any> => {
      const name = "readLineWith"
      const { end = "optional", keepDelimiter = true, onOverrun = "fail" } = Argument.record(name, "options", options)
      const strict = Argument.oneOf(name, "end", end, ["optional", "required"]) === "required"
      const ask: Line.LineAsk = {
        name,
        limit: this.limitOf(name, options),
        onOverrun: Argument.oneOf(name, "onOverrun", onOverrun, ["fail", "discard"]),
        strict
      }
      if (!Argument.flag(name, "keepDelimiter", keepDelimiter)) return new Line.ReadBareLine(this, ask)
      return ask.strict ? new Line.ReadStrictLine(this, ask) : new Line.ReadLine(this, ask)
    })
  }

  readFrame<A>(frame: Decoder<A>): ReadFrames.ReadFrame<A> {
    const known = this.frame
    if (known !== undefined && known.node === (frame as unknown)) return known
    return checked(
      () => (this.frame = new ReadFrames.ReadFrame<A>(this, of<A>("readFrame", frame)))
    ) as ReadFrames.ReadFrame<A>
  }

  readFrameOption<A>(frame: Decoder<A>) {
    return checked(() => new ReadFrames.ReadFrameOption<A>(this, of<A>("readFrameOption", frame)))
  }

  readFrames<A>(frame: Decoder<A>): ReadFrames.ReadFrames<A> {
    const known = this.frames
    if (known !== undefined && known.node === (frame as unknown)) return known
    return checked(
      () => (this.frames = new ReadFrames.ReadFrames<A>(this, of<A>("readFrames", frame)))
    ) as ReadFrames.ReadFrames<A>
  }

  peek(count: number) {
    return checked(() => new Exactly.Peek(this, Argument.count("peek", "count", count)))
  }

  skip(count: number) {
    return checked((): Effect.Effect<void, ReadError | IncompleteRead> => {
      const size = Argument.count("skip", "count", count)
      return size <= this.limit ? new Exactly.Skip(this, size) : Effect.suspend(() => new Exactly.SkipMany(this, size))
    })
  }

  discardUntil(separator: Separator.Input) {
    return checked(() => new Until.DiscardUntil(this, Separator.compile("discardUntil", separator)))
  }

  unread(bytes: Uint8Array) {
    return checked(() => new Unread(this, Argument.bytes("unread", bytes)))
  }

  get pull() {
    return new Pieces.Pull(this)
  }

  /** What a stream of the pieces is made of. */
  get pullPiece() {
    return new Pieces.PullPiece(this)
  }

  get atEof() {
    return Effect.sync(() => {
      this.buffer.absorb()
      return this.buffer.end === ended && this.buffer.size === 0
    })
  }

  get buffered() {
    return Effect.sync(() => this.buffer.readable)
  }

  /** The stream is closed, and all there is to say of it is that: what it was made of is let go. */
  letGo(): void {
    const { buffer } = this
    const { end } = buffer
    if (end._tag !== "closed" || end.before._tag === "lost" || buffer.operation !== undefined) return
    this.buffer = closedLike(buffer.limit, end.before, end.reason)
    this.line = undefined
    this.lineOption = undefined
    this.lineText = undefined
    this.some = undefined
    this.header = undefined
    this.body = undefined
    this.frame = undefined
    this.frames = undefined
  }

  toJSON() {
    const { buffer } = this
    buffer.absorb()
    const { end } = buffer
    const before = end._tag === "closed" ? end.before : end
    return {
      _id: "StreamReader",
      buffered: buffer.readable,
      limit: buffer.limit,
      eof: before === ended,
      paused: buffer.paused,
      closed: end._tag === "closed" ? end.reason : undefined,
      lost: before._tag === "lost" ? before.loss("inspect")._tag : undefined,
      waiting: buffer.operation?.name
    }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }

  private remember(read: Exactly.ReadExactly): Exactly.ReadExactly {
    if (read.count <= maxHeaderBytes) this.header = read
    else this.body = read
    return read
  }

  private until<A>(
    name: string,
    Operation: new (source: Source, separator: Separator.Separator, limit: number, keepsDelimiter: boolean) => A,
    separator: Separator.Input,
    options: UntilOptions | undefined
  ): A {
    const limit = this.limitOf(name, options)
    const { keepDelimiter = true } = options ?? {}
    Argument.flag(name, "keepDelimiter", keepDelimiter)
    return new Operation(this, Separator.compile(name, separator), limit, keepDelimiter)
  }

  private ask(name: string, strict: boolean): Line.LineAsk {
    return { name, limit: this.buffer.limit, onOverrun: "fail", strict }
  }

  private limitOf(operation: string, options: { readonly limit?: number | undefined } | undefined): number {
    if (options === undefined) return this.buffer.limit
    const { limit } = Argument.record(operation, "options", options)
    return limit === undefined ? this.buffer.limit : Argument.limit(operation, limit)
  }
}

const nobody: Feeder = { pause: () => {}, resume: () => {} }

/** One that was closed, and nobody reads from: the one that was asked for last. */
let closed: ReadBuffer | undefined = undefined

/** A buffer that is closed like many others: it answers every read with the same. */
const closedLike = (limit: number, before: Open | Ended, reason: ClosedStream["reason"]): ReadBuffer => {
  if (closed?.limit === limit && closed.end._tag === "closed") {
    if (closed.end.before === before && closed.end.reason === reason) return closed
  }
  closed = new ReadBuffer(limit, nobody)
  closed.end = before
  closed.close(reason)
  return closed
}

/** The operation, or the effect that dies of its wrong argument. */
const checked = <A, E>(make: () => Effect.Effect<A, E>): Effect.Effect<A, E> => {
  try {
    return make()
  } catch (defect) {
    return Effect.die(defect)
  }
}
