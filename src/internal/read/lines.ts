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
import { type IncompleteRead, InvalidText, type LimitOverrun } from "../base/errors.ts"
import type { LinesOptions, StreamReader } from "../../StreamReader.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { notNow } from "../runtime/operation.ts"
import { lastEndWithin } from "./limit.ts"
import type { Source } from "./readOperation.ts"
import { type LineAsk, LineRead } from "./reads/line.ts"
import type * as Separator from "./separator.ts"
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
  if (reader instanceof BufferReader) {
    return new TakeLines(reader, { name: "lines", limit, onOverrun, strict: end === "required" }, decoder)
  }
  // a reader of somebody else's making: one line at a time
  return Effect.flatMap(
    reader.readLineWith({ limit, onOverrun, end }),
    (line): Pull.Pull<NonEmptyReadonlyArray<string>, Failure> => {
      if (line.length === 0) return Cause.done()
      const text = decoder.decode(line, line[line.length - 1] !== 10)
      if (text === undefined) return Effect.fail(decoder.invalid(line))
      if (text === "") return Cause.done()
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

/** Takes every complete line that is buffered. */
class TakeLines extends LineRead<NonEmptyReadonlyArray<string>, InvalidText | Cause.Done> {
  private readonly decoder: Decoder

  constructor(source: Source, ask: LineAsk, decoder: Decoder) {
    super(source, ask)
    this.decoder = decoder
  }

  override get cleanEnd() {
    return exitDone
  }
  tryNow(): typeof notNow {
    return notNow
  }
  /** Takes the lines in the front piece up to one that is over the limit, or the one line that goes on behind the piece. */
  protected takeLine(first: Separator.Match): Exit.Exit<NonEmptyReadonlyArray<string>, InvalidText | Cause.Done> {
    const { buffer, limit } = this
    const { end, piece, position } = buffer.segments
    const last = position + first.end
    const count = last > end ? first.end : lastEndWithin(piece, position, last, end, limit) - position
    return this.lines(buffer.take(count), false)
  }
  protected takeRest(count: number): Exit.Exit<NonEmptyReadonlyArray<string>, InvalidText | Cause.Done> {
    return this.lines(this.buffer.take(count), true)
  }
  protected atEnd(): Exit.Exit<never, Cause.Done> {
    return this.cleanEnd
  }

  /** The lines in bytes that were taken. */
  private lines(bytes: Uint8Array, last: boolean): Exit.Exit<NonEmptyReadonlyArray<string>, InvalidText | Cause.Done> {
    const text = this.decoder.decode(bytes, last)
    if (text === "" && last) return this.atEnd()
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
        if (after < bytes.length) this.buffer.putBack(bytes.subarray(after))
        return texts.length > 0
          ? Exit.succeed(texts as unknown as NonEmptyReadonlyArray<string>)
          : Exit.fail(this.decoder.invalid(line))
      }
      texts.push(...split(one))
      start = end
    }
  }
}
