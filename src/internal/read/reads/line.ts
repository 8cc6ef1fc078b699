/** Reads of a line: `readLine`, `readLineWith`, `readLineOption`, `readLineText`. */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ReadError } from "../../../StreamError.ts"
import type { IncompleteRead, LimitOverrun } from "../../base/errors.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { type Found, Limited } from "../limit.ts"
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

/**
 * A read of a line, or of several. An overlong line is dropped to its end, also when its end has yet to arrive; then it
 * fails, or what follows is read.
 */
export abstract class LineRead<A, E> extends Limited<A, ReadError | LimitOverrun | IncompleteRead | E> {
  readonly name: string
  private readonly discards: boolean
  private readonly strict: boolean
  constructor(source: Source, { limit, name, onOverrun, strict }: LineAsk) {
    super(source, Separator.lineFeed, limit)
    this.name = name
    this.discards = onOverrun === "discard"
    this.strict = strict
  }
  /** Takes the line that a line feed ends, which is within the limit, or more lines. */
  protected abstract takeLine(end: Separator.Match): Exit.Exit<A, E>
  /** Takes what lies in front of the end of the stream, and has no line feed. */
  protected abstract takeRest(count: number): Exit.Exit<A, E>
  protected abstract atEnd(): Exit.Exit<A, E>

  ready(): boolean {
    return this.next() !== "none" || this.over()
  }

  settle(): Exit.Exit<A, ReadError | LimitOverrun | IncompleteRead | E> | undefined {
    const { buffer } = this
    switch (this.next()) {
      case "item":
        return this.takeLine(this.match!)
      case "long": {
        const { end, start } = this.match!
        buffer.skip(end)
        return this.overrun(start, true)
      }
      case "endless": {
        const { searched } = buffer
        this.dropLine()
        return this.overrun(searched, false)
      }
      case "none": {
        const broken = this.broken()
        if (broken !== undefined) return broken
        if (!this.over()) return undefined
        const held = buffer.segments.length
        if (this.strict && (held > 0 || (this.discards && buffer.discarding > 0))) {
          // also one that was dropped was cut off, and nothing else tells of it
          buffer.discarding = 0
          return this.incomplete()
        }
        return held === 0 ? this.atEnd() : this.takeRest(held)
      }
    }
  }

  /** Searches, behind those lines that are to be discarded. */
  private next(): Found {
    let found = this.find()
    if (!this.discards) return found
    while (found === "long") {
      this.buffer.skip(this.match!.end)
      found = this.find()
    }
    if (found !== "endless") return found
    this.dropLine()
    return "none"
  }

  /** Drops what there is of the line, and what is still to come of it. */
  private dropLine(): void {
    const { buffer } = this
    buffer.discarding++
    buffer.skip(buffer.segments.length)
  }
}

/** What the reads of one line share. */
abstract class Line<A> extends LineRead<A, never> {
  /** The line as the caller gets it. Its last byte is a line feed, unless the stream ended without. */
  protected abstract line(bytes: Uint8Array): A

  tryNow(): A | typeof notNow {
    const { buffer } = this
    if (buffer.operation !== undefined) return notNow
    const length = this.lengthInFront()
    return length === -1 ? notNow : this.line(buffer.take(length + 1))
  }
  override answerBy(bytes: Uint8Array): A | typeof notNow {
    return this.endsIn(bytes) ? this.line(Bytes.plain(bytes)) : notNow
  }
  protected takeLine({ end }: Separator.Match): Exit.Exit<A> {
    return Exit.succeed(this.line(this.buffer.take(end)))
  }
  protected takeRest(count: number): Exit.Exit<A> {
    return Exit.succeed(this.line(this.buffer.take(count)))
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
