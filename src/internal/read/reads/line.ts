/** Reads of a line: `readLine`, `readLineWith`, `readLineOption`, `readLineText`. */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ReadError } from "../../../StreamError.ts"
import type { IncompleteRead, LimitOverrun } from "../../base/errors.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { Until } from "./until.ts"
import type { Source } from "../readOperation.ts"
import * as Separator from "../separator.ts"

const exitEmpty: Exit.Exit<Uint8Array> = Exit.succeed(Bytes.empty)
const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/** What a read of a line was asked for. */
export interface LineAsk {
  readonly name: string
  readonly limit: number
  /** What to do with a line over the limit. */
  readonly onOverrun: "fail" | "discard"
  /** Whether the last line must have its end as well. */
  readonly strict: boolean
}

/** What the reads of a line share. An overlong line is dropped to its end, also when its end has yet to arrive. */
abstract class Line<A> extends Until<A, ReadError | LimitOverrun | IncompleteRead> {
  readonly name: string
  private readonly discards: boolean
  private readonly strict: boolean
  constructor(source: Source, { limit, name, onOverrun, strict }: LineAsk) {
    super(source, Separator.lineFeed, limit)
    this.name = name
    this.discards = onOverrun === "discard"
    this.strict = strict
  }
  /** What a line is to the caller; its line feed is the last byte, unless the stream ended without. */
  protected abstract line(bytes: Uint8Array): A
  protected abstract atEnd(): Exit.Exit<A>

  tryNow(): A | typeof notNow {
    const buffer = this.buffer
    if (buffer.operation !== undefined) return notNow
    const { segments } = buffer
    const piece = segments.piece
    const start = segments.position
    const end = segments.end
    if (start === end) return notNow
    const from = buffer.searchedFor === this.separator ? start + buffer.searched : start
    if (from >= end) return notNow
    const index = Bytes.indexOfByte(piece, 10, from, end)
    if (index === -1 || index - start > this.limit) return notNow
    return this.line(buffer.take(index + 1 - start))
  }

  override answerBy(bytes: Uint8Array): A | typeof notNow {
    return this.endsIn(bytes) ? this.line(Bytes.plain(bytes)) : notNow
  }

  override ready(): boolean {
    return this.next() > this.limit || this.match !== undefined || this.over()
  }

  settle(): Exit.Exit<A, ReadError | LimitOverrun | IncompleteRead> | undefined {
    const { buffer } = this
    const offset = this.next()
    const { match } = this
    if (match !== undefined) {
      if (match.start <= this.limit) return Exit.succeed(this.line(buffer.take(match.end)))
      buffer.skip(match.end)
      return this.overrun(match.start, true)
    }
    if (offset > this.limit) {
      this.discardLine()
      return this.overrun(offset, false)
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (!this.over()) return undefined
    const held = buffer.segments.length
    if (held === 0) return this.atEnd()
    return this.strict ? this.incomplete() : Exit.succeed(this.line(buffer.take(held)))
  }

  /** Searches, behind those lines that are to be discarded. */
  private next(): number {
    let offset = this.search()
    if (!this.discards) return offset
    while (this.match !== undefined && this.match.start > this.limit) {
      this.buffer.skip(this.match.end)
      offset = this.search()
    }
    if (this.match === undefined && offset > this.limit) {
      this.discardLine()
      offset = 0
    }
    return offset
  }

  /** Drops what there is of the line, and what is still to come of it. */
  private discardLine(): void {
    const { buffer } = this
    if (!this.over()) buffer.discarding++
    buffer.skip(buffer.segments.length)
  }
}

/** How many bytes a line has without its end, which is a line feed, with or without a carriage return in front. */
const lengthWithoutEnd = (bytes: Uint8Array): number => {
  const last = bytes.length - 1
  // what no line feed ends is a line as it is
  if (bytes[last] !== 10) return last + 1
  return last > 0 && bytes[last - 1] === 13 ? last - 1 : last
}

/** `readLine` and `readLineWith`. */
export class ReadLine extends Line<Uint8Array> {
  protected line(bytes: Uint8Array): Uint8Array {
    return bytes
  }
  protected atEnd(): Exit.Exit<Uint8Array> {
    return exitEmpty
  }
}

/** `readLineWith({ end: "required" })`: the end of the stream is told from a line by that alone. */
export class ReadStrictLine extends ReadLine {
  override get cleanEnd() {
    return exitEmpty
  }
}

/** `readLineOption`. */
export class ReadLineOption extends Line<Option.Option<Uint8Array>> {
  override get cleanEnd() {
    return exitNone
  }
  protected line(bytes: Uint8Array): Option.Option<Uint8Array> {
    return Option.some(bytes)
  }
  protected atEnd(): Exit.Exit<Option.Option<Uint8Array>> {
    return this.cleanEnd
  }
}

/** `readLineWith({ keepDelimiter: false })`. */
export class ReadBareLine extends ReadLineOption {
  protected override line(bytes: Uint8Array): Option.Option<Uint8Array> {
    return Option.some(bytes.subarray(0, lengthWithoutEnd(bytes)))
  }
}

/** `readLineText`. */
export class ReadLineText extends Line<Option.Option<string>> {
  override get cleanEnd() {
    return exitNone
  }
  protected line(bytes: Uint8Array): Option.Option<string> {
    return Option.some(Bytes.decode(bytes, 0, lengthWithoutEnd(bytes)))
  }
  protected atEnd(): Exit.Exit<Option.Option<string>> {
    return this.cleanEnd
  }
}
