/** Reads up to a separator: `readUntil`, `readUntilOption`, `discardUntil`. */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ReadError } from "../../../StreamError.ts"
import type { IncompleteRead, LimitOverrun } from "../../base/errors.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { Limited } from "../limit.ts"
import type { Source } from "../readOperation.ts"
import type * as Separator from "../separator.ts"

const exitVoid: Exit.Exit<void> = Exit.void
const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/** What `readUntil` and `readUntilOption` share. */
abstract class Until<A> extends Limited<A, ReadError | IncompleteRead | LimitOverrun> {
  /** Whether the separator is part of the result. */
  declare private readonly keepsDelimiter: boolean
  constructor(source: Source, separator: Separator.Separator, limit: number, keepsDelimiter: boolean) {
    super(source, separator, limit)
    this.keepsDelimiter = keepsDelimiter
  }
  protected abstract answer(bytes: Uint8Array): A
  protected abstract atEnd(): Exit.Exit<A, IncompleteRead>

  private taken(start: number, end: number): A {
    const bytes = this.buffer.take(end)
    return this.answer(this.keepsDelimiter ? bytes : bytes.subarray(0, start))
  }
  tryNow(): A | typeof notNow {
    const { buffer, separator } = this
    if (!buffer.idle || buffer.segments.length === 0) return notNow
    if (separator.findIn !== undefined) {
      const length = this.lengthInFront()
      return length === -1 ? notNow : this.taken(length, length + separator.longest)
    }
    return this.find() === "item" ? this.taken(this.match!.start, this.match!.end) : notNow
  }
  override answerBy(bytes: Uint8Array): A | typeof notNow {
    if (!this.endsIn(bytes)) return notNow
    const plain = Bytes.plain(bytes)
    return this.answer(this.keepsDelimiter ? plain : plain.subarray(0, plain.length - this.separator.longest))
  }
  ready(): boolean {
    return this.find() !== "none" || this.over()
  }
  settle(): Exit.Exit<A, ReadError | IncompleteRead | LimitOverrun> | undefined {
    switch (this.find()) {
      case "item":
        return Exit.succeed(this.taken(this.match!.start, this.match!.end))
      case "long":
        return this.overrun(this.match!.start, true)
      case "endless":
        return this.overrun(this.buffer.searched, false)
      case "none": {
        const broken = this.broken()
        if (broken !== undefined) return broken
        if (!this.over()) return undefined
        return this.buffer.segments.length === 0 ? this.atEnd() : this.incomplete()
      }
    }
  }
}

/** `readUntil`. */
export class ReadUntil extends Until<Uint8Array> {
  get name() {
    return "readUntil"
  }
  protected answer(bytes: Uint8Array): Uint8Array {
    return bytes
  }
  protected atEnd(): Exit.Exit<never, IncompleteRead> {
    return this.incomplete()
  }
}

/** `readUntilOption`: a clean end in front of the first byte is `None`. */
export class ReadUntilOption extends Until<Option.Option<Uint8Array>> {
  get name() {
    return "readUntilOption"
  }
  override get cleanEnd() {
    return exitNone
  }
  protected answer(bytes: Uint8Array): Option.Option<Uint8Array> {
    return Option.some(bytes)
  }
  protected atEnd(): Exit.Exit<Option.Option<Uint8Array>> {
    return this.cleanEnd
  }
}

/** `discardUntil`: drops up to and including a separator, holding no more than the separator's length. */
export class DiscardUntil extends Limited<void, ReadError | IncompleteRead> {
  get name() {
    return "discardUntil"
  }
  override get framed() {
    return false
  }
  constructor(source: Source, separator: Separator.Separator) {
    super(source, separator, Infinity)
  }
  override threshold(): number {
    return this.separator.longest
  }
  tryNow(): typeof notNow {
    return notNow
  }
  /** Drops the bytes in front of which no separator can begin any more. */
  private drop(): void {
    const { buffer } = this
    if (buffer.searched > 0) buffer.skip(buffer.searched)
  }
  ready(): boolean {
    if (this.find() === "item" || this.over()) return true
    this.drop()
    return false
  }
  settle(): Exit.Exit<void, ReadError | IncompleteRead> | undefined {
    if (this.find() === "item") {
      this.buffer.skip(this.match!.end)
      return exitVoid
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.over()) return this.incomplete()
    this.drop()
    return undefined
  }
}
