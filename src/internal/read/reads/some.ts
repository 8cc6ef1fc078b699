/** Reads of what there is, up to a number of bytes: `read`, `readInto`, `readOption`. */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ReadError } from "../../../StreamError.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { ReadOperation, type Source } from "../readOperation.ts"

const exitEmpty: Exit.Exit<Uint8Array> = Exit.succeed(Bytes.empty)
const exitZero: Exit.Exit<number> = Exit.succeed(0)
const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/** `read`: what there is, up to a number of bytes. */
export class Read extends ReadOperation<Uint8Array, ReadError> {
  get name() {
    return "read"
  }
  override get framed() {
    return false
  }
  tryNow(): Uint8Array | typeof notNow {
    const buffer = this.buffer
    const held = buffer.segments.length
    const wanted = this.count
    // what has yet to move there belongs to the answer when the segments have less than was asked for
    if (!buffer.idle || held === 0 || wanted === 0 || (held < wanted && held !== buffer.readable)) return notNow
    return buffer.take(held < wanted ? held : wanted)
  }
  override answerBy(bytes: Uint8Array): Uint8Array | typeof notNow {
    return bytes.length <= this.count ? Bytes.plain(bytes) : notNow
  }
  ready(): boolean {
    return this.buffer.segments.length > 0 || this.over()
  }
  settle(): Exit.Exit<Uint8Array, ReadError> | undefined {
    const { segments } = this.buffer
    if (segments.length === 0) {
      const broken = this.broken()
      if (broken !== undefined) return broken
      return this.count === 0 || this.over() ? exitEmpty : undefined
    }
    if (this.count === 0) return exitEmpty
    return Exit.succeed(this.buffer.take(Math.min(this.count, segments.length)))
  }
}

/** `readInto`: `read`, into memory of the caller's. */
export class ReadInto extends ReadOperation<number, ReadError> {
  declare private readonly memory: Uint8Array
  constructor(source: Source, memory: Uint8Array) {
    super(source, memory.length)
    this.memory = memory
  }
  get name() {
    return "readInto"
  }
  override get framed() {
    return false
  }
  override get target() {
    return this.memory
  }
  tryNow(): number | typeof notNow {
    const { buffer, count, memory } = this
    const held = buffer.segments.length
    if (!buffer.idle || held === 0 || count === 0 || (held < count && held !== buffer.readable)) return notNow
    if (memory.length < count) return notNow
    const size = held < count ? held : count
    buffer.takeInto(memory, size)
    return size
  }
  ready(): boolean {
    return this.buffer.segments.length > 0 || this.over()
  }
  settle(): Exit.Exit<number, ReadError> | undefined {
    const { buffer, count, memory } = this
    const held = buffer.segments.length
    if (held === 0) {
      const broken = this.broken()
      if (broken !== undefined) return broken
      return count === 0 || this.over() ? exitZero : undefined
    }
    if (count === 0) return exitZero
    // 0 would say that the stream has ended
    if (memory.length < count) return Exit.die(new Error("readInto: the array was detached or has shrunk"))
    const size = Math.min(count, held)
    buffer.takeInto(memory, size)
    return Exit.succeed(size)
  }
}

/** Where bytes go that a read passes on. */
export interface Passage {
  /** As `WaitingRead.passOn`. */
  passOn(bytes: Uint8Array, lent: boolean): boolean
}

/** `readInto`, of what could not be passed on at once. What can be is, and the read goes on waiting. */
export class ReadPassage extends ReadInto {
  declare private readonly passage: Passage
  constructor(source: Source, memory: Uint8Array, passage: Passage) {
    super(source, memory)
    this.passage = passage
  }
  override passOn(bytes: Uint8Array, lent: boolean): boolean {
    return this.passage.passOn(bytes, lent)
  }
}

/** `readOption`: `read`, with the end of the stream told apart from no bytes. */
export class ReadOption extends ReadOperation<Option.Option<Uint8Array>, ReadError> {
  get name() {
    return "readOption"
  }
  override get framed() {
    return false
  }
  override get cleanEnd() {
    return exitNone
  }
  tryNow(): Option.Option<Uint8Array> | typeof notNow {
    const { buffer, count } = this
    const held = buffer.segments.length
    if (!buffer.idle || held === 0 || count === 0 || (held < count && held !== buffer.readable)) return notNow
    return Option.some(buffer.take(held < count ? held : count))
  }
  override answerBy(bytes: Uint8Array): Option.Option<Uint8Array> | typeof notNow {
    return bytes.length <= this.count ? Option.some(Bytes.plain(bytes)) : notNow
  }
  ready(): boolean {
    return this.buffer.segments.length > 0 || this.over()
  }
  settle(): Exit.Exit<Option.Option<Uint8Array>, ReadError> | undefined {
    const { segments } = this.buffer
    if (segments.length > 0) {
      return Exit.succeed(Option.some(this.buffer.take(Math.min(this.count, segments.length))))
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (this.over()) return this.cleanEnd
    return this.count === 0 ? Exit.succeed(Option.some(Bytes.empty)) : undefined
  }
}
