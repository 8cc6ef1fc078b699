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
import type { ReadError } from "../StreamError.ts"
import { LimitOverrun } from "./errors.ts"
import type { StreamReader } from "../StreamReader.ts"
import * as Argument from "./argument.ts"
import * as Bytes from "./bytes.ts"
import { notNow } from "./operation.ts"
import { type ReadBuffer, ReadOperation } from "./readBuffer.ts"
import * as Separator from "./separator.ts"
import { BufferReader } from "./streamReader.ts"

export interface Options {
  readonly encoding?: string | undefined
  readonly limit?: number | undefined
  readonly onOverrun?: "fail" | "discard" | undefined
}

/** `last`: nothing follows, not even the rest of a character. */
type Decode = (bytes: Uint8Array, last: boolean) => string

export const pull = (
  reader: StreamReader,
  options: Options | undefined
): Pull.Pull<NonEmptyReadonlyArray<string>, ReadError | LimitOverrun> => {
  const limit = options?.limit === undefined ? reader.limit : Argument.limit("lines", options.limit)
  const onOverrun = Argument.oneOf("lines", "onOverrun", options?.onOverrun ?? "fail", ["fail", "discard"])
  const decode = decoder(options?.encoding ?? "utf-8")
  if (reader instanceof BufferReader) return new TakeLines(reader.buffer, limit, onOverrun, decode)
  // a reader of somebody else's making: one line at a time
  return Effect.flatMap(
    reader.readLineWith({ limit, onOverrun }),
    (line): Pull.Pull<NonEmptyReadonlyArray<string>, ReadError | LimitOverrun> =>
      line.length === 0
        ? Cause.done()
        : Effect.succeed(split(decode(line, line[line.length - 1] !== 10)) as unknown as NonEmptyReadonlyArray<string>)
  )
}

const decoder = (encoding: string): Decode => {
  let text: InstanceType<typeof TextDecoder>
  try {
    // a byte order mark is a character like any other here: only the first of a text would be one
    text = new TextDecoder(encoding, { ignoreBOM: true })
  } catch (cause) {
    throw new RangeError(`lines: encoding must be a label that TextDecoder knows, got ${encoding}`, { cause })
  }
  if (text.encoding.startsWith("utf-16")) {
    throw new RangeError(`lines: encoding must be one in which a line feed is one byte, got ${encoding}`)
  }
  // the one-shot form is the engine's fast path; encodings with a shift state need the other
  return text.encoding === "utf-8"
    ? (bytes) => text.decode(bytes)
    : (bytes, last) => text.decode(bytes, { stream: !last })
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
class TakeLines extends ReadOperation<NonEmptyReadonlyArray<string>, ReadError | LimitOverrun | Cause.Done> {
  get name() {
    return "lines"
  }
  override get cleanEnd() {
    return exitDone
  }
  readonly limit: number
  readonly onOverrun: "fail" | "discard"
  readonly decode: Decode

  constructor(buffer: ReadBuffer, limit: number, onOverrun: "fail" | "discard", decode: Decode) {
    super(buffer)
    this.limit = limit
    this.onOverrun = onOverrun
    this.decode = decode
  }

  tryNow(): typeof notNow {
    return notNow
  }

  override threshold(): number {
    return 2 * this.limit
  }

  ready(): boolean {
    const first = this.next()
    return first !== undefined || this.buffer.window.length > this.limit || this.over()
  }

  settle(): Exit.Exit<NonEmptyReadonlyArray<string>, ReadError | LimitOverrun | Cause.Done> | undefined {
    const { buffer } = this
    const { window } = buffer
    const first = this.next()
    if (first !== undefined) {
      if (first.start <= this.limit) return this.succeed(buffer.take(this.lastEnd(first)), false)
      buffer.skip(first.end)
      return this.overrun(first.start, true)
    }
    if (window.length > this.limit) {
      const consumed = window.length
      if (buffer.end === undefined) buffer.discarding++
      buffer.skip(consumed)
      return this.overrun(consumed, false)
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (buffer.end === undefined) return undefined
    if (window.length === 0) return this.cleanEnd
    return this.succeed(buffer.take(window.length), true)
  }

  /** The next line feed, behind those lines that are to be discarded. */
  private next(): Separator.Match | undefined {
    const { buffer } = this
    while (true) {
      const first = this.find()
      if (this.onOverrun === "fail") return first
      if (first !== undefined) {
        if (first.start <= this.limit) return first
        buffer.skip(first.end)
        continue
      }
      if (buffer.window.length > this.limit) {
        if (buffer.end === undefined) buffer.discarding++
        buffer.skip(buffer.window.length)
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
    const match = Separator.lineFeed.find(buffer.window, buffer.searched)
    if (match === undefined) buffer.searched = buffer.window.length
    return match
  }

  /** The end of the last line in the front piece before one that is over the limit; at least the first. */
  private lastEnd(first: Separator.Match): number {
    const { end, piece, position } = this.buffer.window
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

  private succeed(bytes: Uint8Array, last: boolean): Exit.Exit<NonEmptyReadonlyArray<string>> {
    return Exit.succeed(split(this.decode(bytes, last)) as unknown as NonEmptyReadonlyArray<string>)
  }

  private overrun(consumed: number, found: boolean): Exit.Exit<never, LimitOverrun> {
    return Exit.fail(new LimitOverrun({ operation: this.name, consumed, limit: this.limit, found }))
  }
}
