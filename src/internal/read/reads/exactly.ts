/** Reads of an exact number of bytes: `readExactly`, `readExactlyOption`, `skip`, `peek`. */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ReadError } from "../../../StreamError.ts"
import { IncompleteRead } from "../../base/errors.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { ReadOperation, type Source } from "../readOperation.ts"

const exitVoid: Exit.Exit<void> = Exit.void
const exitEmpty: Exit.Exit<Uint8Array> = Exit.succeed(Bytes.empty)
const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/** What the reads of an exact number of bytes share. */
abstract class Exactly<A, E> extends ReadOperation<A, E> {
  override threshold(): number {
    return this.count
  }
  ready(): boolean {
    return this.buffer.segments.length >= this.count || this.over()
  }
  protected abstract answer(): Exit.Exit<A, E | ReadError>
  protected abstract cutShort(held: number): Exit.Exit<A, E | ReadError>
  settle(): Exit.Exit<A, E | ReadError> | undefined {
    const held = this.buffer.segments.length
    // a stored failure comes before the answer to a request for nothing, as in CPython
    if (held >= this.count && held > 0) return this.answer()
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.count === 0) return this.answer()
    return this.over() ? this.cutShort(held) : undefined
  }
  protected incomplete(held: number): Exit.Exit<never, IncompleteRead> {
    const partial = held === 0 ? Bytes.empty : this.buffer.take(held)
    return Exit.fail(new IncompleteRead({ operation: this.name, partial, expected: this.count }))
  }
}

/** `readExactly`. */
export class ReadExactly extends Exactly<Uint8Array, ReadError | IncompleteRead> {
  get name() {
    return "readExactly"
  }
  tryNow(): Uint8Array | typeof notNow {
    const { buffer, count } = this
    return buffer.idle && count > 0 && buffer.segments.length >= count ? buffer.take(count) : notNow
  }
  override answerBy(bytes: Uint8Array): Uint8Array | typeof notNow {
    return bytes.length === this.count ? Bytes.plain(bytes) : notNow
  }
  protected answer(): Exit.Exit<Uint8Array> {
    return this.count === 0 ? exitEmpty : Exit.succeed(this.buffer.take(this.count))
  }
  protected cutShort(held: number): Exit.Exit<never, IncompleteRead> {
    return this.incomplete(held)
  }
}

/** `readExactlyOption`: a clean end in front of the first byte is `None`. */
export class ReadExactlyOption extends Exactly<Option.Option<Uint8Array>, ReadError | IncompleteRead> {
  get name() {
    return "readExactlyOption"
  }
  override get cleanEnd() {
    return exitNone
  }
  tryNow(): Option.Option<Uint8Array> | typeof notNow {
    const { buffer, count } = this
    return buffer.idle && count > 0 && buffer.segments.length >= count ? Option.some(buffer.take(count)) : notNow
  }
  override answerBy(bytes: Uint8Array): Option.Option<Uint8Array> | typeof notNow {
    return bytes.length === this.count ? Option.some(Bytes.plain(bytes)) : notNow
  }
  protected answer(): Exit.Exit<Option.Option<Uint8Array>> {
    return Exit.succeed(Option.some(this.count === 0 ? Bytes.empty : this.buffer.take(this.count)))
  }
  protected cutShort(held: number): Exit.Exit<Option.Option<Uint8Array>, IncompleteRead> {
    return held === 0 ? this.cleanEnd : this.incomplete(held)
  }
}

/** `skip`. */
export class Skip extends Exactly<void, ReadError | IncompleteRead> {
  get name() {
    return "skip"
  }
  tryNow(): void | typeof notNow {
    const { buffer, count } = this
    return buffer.idle && count > 0 && buffer.segments.length >= count ? buffer.skip(count) : notNow
  }
  protected answer(): Exit.Exit<void> {
    if (this.count > 0) this.buffer.skip(this.count)
    return exitVoid
  }
  protected cutShort(held: number): Exit.Exit<never, IncompleteRead> {
    return this.incomplete(held)
  }
}

/**
 * `skip` of more than the limit: what arrives is dropped, and never more of it held than comes at a time. Made anew for each
 * run, since it counts.
 */
export class SkipMany extends ReadOperation<void, ReadError | IncompleteRead> {
  private left: number
  constructor(source: Source, count: number) {
    super(source, count)
    this.left = count
  }
  get name() {
    return "skip"
  }
  override get framed() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  private drop(): void {
    const size = Math.min(this.left, this.buffer.segments.length)
    if (size === 0) return
    this.left -= size
    this.buffer.skip(size)
  }
  ready(): boolean {
    this.drop()
    return this.left === 0 || this.over()
  }
  settle(): Exit.Exit<void, ReadError | IncompleteRead> | undefined {
    this.drop()
    if (this.left === 0) return exitVoid
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (!this.over()) return undefined
    return Exit.fail(new IncompleteRead({ operation: this.name, partial: Bytes.empty, expected: this.count }))
  }
}

/** `peek`. */
export class Peek extends Exactly<Uint8Array, ReadError> {
  get name() {
    return "peek"
  }
  tryNow(): typeof notNow {
    // it takes nothing, so that a loop of it would never let others run
    return notNow
  }
  protected answer(): Exit.Exit<Uint8Array> {
    return this.count === 0 ? exitEmpty : Exit.succeed(this.buffer.segments.peek(this.count))
  }
  protected cutShort(held: number): Exit.Exit<Uint8Array> {
    return held === 0 ? exitEmpty : Exit.succeed(this.buffer.segments.peek(held))
  }
}
