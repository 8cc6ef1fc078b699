/**
 * Lines as text, all that are complete at a time.
 *
 * What is taken from the reader always ends with a line feed, so that no
 * character is ever cut, and what does not make a line yet stays in the reader.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type { ReadError } from "../../StreamError.ts"
import { IncompleteRead, InvalidText, LimitOverrun } from "../base/errors.ts"
import type { LinesOptions, StreamReader } from "../../StreamReader.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { notNow } from "../runtime/operation.ts"
import { ReadOperation, type Source } from "./readOperation.ts"
import * as Separator from "./separator.ts"
import { BufferReader } from "./reader.ts"

type Failure = ReadError | LimitOverrun | IncompleteRead | InvalidText

export const pull = (
  reader: StreamReader,
  options: LinesOptions = {}
): Pull.Pull<NonEmptyReadonlyArray<string>, Failure> => {
  const given = Argument.record("lines", "options", options)
  const { encoding = "utf-8", end = "optional", fatal = false, onOverrun = "fail" } = given
  const limit = given.limit === undefined ? reader.limit : Argument.limit("lines", given.limit)
  Argument.oneOf("lines", "onOverrun", onOverrun, ["fail", "discard"])
  Argument.oneOf("lines", "end", end, ["optional", "required"])
  const decoder = new Decoder(encoding, Argument.flag("lines", "fatal", fatal))
  if (reader instanceof BufferReader) return new TakeLines(reader, { limit, onOverrun, end, decoder })
  // a reader of somebody else's making: one line at a time
  return Effect.flatMap(
    reader.readLineWith({ limit, onOverrun, end }),
    (line): Pull.Pull<NonEmptyReadonlyArray<string>, Failure> => {
      if (line.length === 0) return Cause.done()
      const text = decoder.decode(line, line[line.length - 1] !== 10)
      if (text === undefined) return Effect.fail(decoder.invalid(line))
      return Effect.succeed(split(text) as unknown as NonEmptyReadonlyArray<string>)
    }
  )
}

/** From bytes to text. */
class Decoder {
  private readonly text: InstanceType<typeof TextDecoder>
  /** The one-shot form is the engine's fast path; encodings with a shift state need the other. */
  private readonly stateful: boolean

  constructor(encoding: string, fatal: boolean) {
    try {
      // a byte order mark is a character like any other here: only the first of a text would be one
      this.text = new TextDecoder(encoding, { ignoreBOM: true, fatal })
    } catch (cause) {
      throw new RangeError(`lines: encoding must be a label that TextDecoder knows, got ${Argument.shown(encoding)}`, {
        cause
      })
    }
    if (this.text.encoding.startsWith("utf-16")) {
      throw new RangeError(
        `lines: encoding must be one in which a line feed is one byte, got ${Argument.shown(encoding)}`
      )
    }
    this.stateful = this.text.encoding !== "utf-8"
  }

  /** The text, or `undefined` if it is none. `last`: nothing follows, not even the rest of a character. */
  decode(bytes: Uint8Array, last: boolean): string | undefined {
    try {
      return this.stateful ? this.text.decode(bytes, { stream: !last }) : this.text.decode(bytes)
    } catch {
      return undefined
    }
  }

  invalid(line: Uint8Array): InvalidText {
    return new InvalidText({ operation: "lines", encoding: this.text.encoding, bytes: Bytes.copy(line) })
  }
}

/** Cuts text into lines, each ended by a line feed but perhaps the last. */
const split = (text: string): Array<string> => {
  const lines = text.split("\n")
  const rest = lines.pop()!
  if (text.includes("\r")) {
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!
      if (line.charCodeAt(line.length - 1) === 13) lines[i] = line.slice(0, -1)
    }
  }
  // what no line feed ends is a line as it is, a carriage return included
  if (rest !== "") lines.push(rest)
  return lines
}

const exitDone: Exit.Exit<never, Cause.Done> = Exit.fail(Cause.Done())

interface Ask {
  readonly limit: number
  readonly onOverrun: "fail" | "discard"
  readonly end: "optional" | "required"
  readonly decoder: Decoder
}

/** Takes every complete line that is buffered. */
class TakeLines extends ReadOperation<NonEmptyReadonlyArray<string>, Failure | Cause.Done> {
  get name() {
    return "lines"
  }
  override get cleanEnd() {
    return exitDone
  }
  private readonly limit: number
  private readonly discards: boolean
  private readonly strict: boolean
  private readonly decoder: Decoder

  constructor(source: Source, ask: Ask) {
    super(source)
    this.limit = ask.limit
    this.discards = ask.onOverrun === "discard"
    this.strict = ask.end === "required"
    this.decoder = ask.decoder
  }

  tryNow(): typeof notNow {
    return notNow
  }

  override threshold(): number {
    return 2 * this.limit
  }

  ready(): boolean {
    const first = this.next()
    return first !== undefined || this.buffer.segments.length > this.limit || this.over()
  }

  settle(): Exit.Exit<NonEmptyReadonlyArray<string>, Failure | Cause.Done> | undefined {
    const { buffer } = this
    const { segments } = buffer
    const first = this.next()
    if (first !== undefined) {
      if (first.start <= this.limit) return this.lines(buffer.take(this.lastEnd(first)), false)
      buffer.skip(first.end)
      return this.overrun(first.start, true)
    }
    if (segments.length > this.limit) {
      const consumed = segments.length
      if (!this.over()) buffer.discarding++
      buffer.skip(consumed)
      return this.overrun(consumed, false)
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (!this.over()) return undefined
    if (segments.length === 0) return this.cleanEnd
    const rest = buffer.take(segments.length)
    return this.strict ? Exit.fail(new IncompleteRead({ operation: this.name, partial: rest })) : this.lines(rest, true)
  }

  /** The next line feed, behind those lines that are to be discarded. */
  private next(): Separator.Match | undefined {
    const { buffer } = this
    while (true) {
      const first = this.find()
      if (!this.discards) return first
      if (first !== undefined) {
        if (first.start <= this.limit) return first
        buffer.skip(first.end)
        continue
      }
      if (buffer.segments.length > this.limit) {
        if (!this.over()) buffer.discarding++
        buffer.skip(buffer.segments.length)
      }
      return undefined
    }
  }

  /** The first line feed. */
  private find(): Separator.Match | undefined {
    const { buffer } = this
    if (buffer.searchedFor !== Separator.lineFeed) {
      buffer.searchedFor = Separator.lineFeed
      buffer.searched = 0
    }
    const match = Separator.lineFeed.find(buffer.segments, buffer.searched)
    if (match === undefined) buffer.searched = buffer.segments.length
    return match
  }

  /** The end of the last line in the front piece before one that is over the limit; at least the first. */
  private lastEnd(first: Separator.Match): number {
    const { end, piece, position } = this.buffer.segments
    if (first.end > end - position) return first.end
    let last = end
    while (piece[last - 1] !== 10) last--
    if (last - position <= this.limit) return last - position
    // some line may be too long: look at each
    let line = position + first.end
    while (line < last) {
      const feed = Bytes.indexOfByte(piece, 10, line)
      if (feed - line > this.limit) break
      line = feed + 1
    }
    return line - position
  }

  /** The lines in bytes that were taken. */
  private lines(bytes: Uint8Array, last: boolean): Exit.Exit<NonEmptyReadonlyArray<string>, InvalidText> {
    const text = this.decoder.decode(bytes, last)
    if (text !== undefined) return Exit.succeed(split(text) as unknown as NonEmptyReadonlyArray<string>)
    // one of them is no text: those in front of it are handed on, and then it fails by itself
    const texts: Array<string> = []
    let start = 0
    while (true) {
      const feed = Bytes.indexOfByte(bytes, 10, start)
      const end = feed === -1 ? bytes.length : feed + 1
      const line = bytes.subarray(start, end)
      const one = this.decoder.decode(line, true)
      if (one === undefined) {
        const after = texts.length > 0 ? start : end
        if (after < bytes.length) this.buffer.unread(bytes.subarray(after))
        return texts.length > 0
          ? Exit.succeed(texts as unknown as NonEmptyReadonlyArray<string>)
          : Exit.fail(this.decoder.invalid(line))
      }
      texts.push(...split(one))
      start = end
    }
  }

  private overrun(consumed: number, found: boolean): Exit.Exit<never, LimitOverrun> {
    return Exit.fail(new LimitOverrun({ operation: this.name, consumed, limit: this.limit, found }))
  }
}
