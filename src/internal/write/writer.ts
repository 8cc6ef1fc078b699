/** The writer of a session. */
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import { ClosedStream } from "../base/errors.ts"
import { Node, of } from "../frame/node.ts"
import { encodeFailed } from "../frame/run.ts"
import type { Encoder } from "../../Frame.ts"
import type { EncodeFailed, WriteError } from "../../StreamError.ts"
import type { CloseOutcome, StreamWriter } from "../../StreamWriter.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { type Output, WriteBuffer } from "./writeBuffer.ts"
import { checkedChunks, Drain, Flush, Write, WriteAll, WriteCopy, WriteEof, WriteFrames } from "./writes.ts"

/** The session of a writer, as far as the writer is concerned: where it writes to, and how to end that. */
export interface WriterSession {
  readonly writes: WriteBuffer
  /** Flush, end the output, let go; bounded. */
  readonly close: Effect.Effect<CloseOutcome>
  /** Drop what is unsent, and reset. */
  readonly abort: Effect.Effect<void>
  /** Whether this side has begun to end the session, or nothing can be written any more. */
  readonly isClosing: boolean
}

export class SessionWriter implements StreamWriter {
  private session: WriterSession
  private buffer: WriteBuffer
  private drainage: Drain | undefined = undefined
  /** How many bytes were written to the buffer that was let go. */
  private before = 0

  constructor(session: WriterSession) {
    this.session = session
    this.buffer = session.writes
  }

  /** All was sent, and the session has ended in good order: what it was made of is let go. */
  letGo(): void {
    const { accepted, highWaterMark, lowWaterMark } = this.buffer
    this.before += accepted
    this.session = closedLike(highWaterMark, lowWaterMark)
    this.buffer = this.session.writes
    this.drainage = undefined
  }

  get highWaterMark(): number {
    return this.buffer.highWaterMark
  }
  get lowWaterMark(): number {
    return this.buffer.lowWaterMark
  }

  write(data: Uint8Array | string) {
    if (typeof data === "string" || data instanceof Uint8Array) return new Write(this.buffer, data)
    const bytes = Bytes.from(data)
    return bytes === undefined ? Effect.die(wrongData("write", data)) : new Write(this.buffer, bytes)
  }

  /** `write`, of memory that is the caller's again once it is accepted. */
  writeCopy(bytes: Uint8Array) {
    return new WriteCopy(this.buffer, bytes)
  }

  writeAll(chunks: Iterable<Uint8Array | string>) {
    return new WriteAll(this.buffer, chunks)
  }

  writeUnsafe(data: Uint8Array | string): boolean {
    const { buffer } = this
    this.check("writeUnsafe")
    if (typeof data === "string") buffer.appendText(data)
    else buffer.append(Argument.bytes("writeUnsafe", data))
    return !buffer.mustWait
  }

  /** The same without waiting. */
  writeCopyUnsafe(bytes: Uint8Array): void {
    this.check("writeUnsafe")
    this.buffer.appendCopy(bytes)
  }

  /** Whether what is written is accepted at once. */
  get hasRoom(): boolean {
    return this.buffer.open
  }

  writeFrame<A>(frame: Encoder<A>, value: A): Effect.Effect<void, WriteError | EncodeFailed> {
    return frames(this.buffer, "writeFrame", frame, [value])
  }

  writeFrames<A>(frame: Encoder<A>, values: Iterable<A>): Effect.Effect<void, WriteError | EncodeFailed> {
    return frames(this.buffer, "writeFrames", frame, values)
  }

  writeFrameUnsafe<A>(frame: Encoder<A>, value: A): boolean {
    const operation = "writeFrameUnsafe"
    const { buffer } = this
    const node = of<A>(operation, frame)
    this.check(operation)
    return this.accepted(operation, node, buffer.appendFrames(node, [value]))
  }

  writeAllUnsafe(chunks: Iterable<Uint8Array | string>): boolean {
    const { buffer } = this
    this.check("writeAllUnsafe")
    const checked = checkedChunks("writeAllUnsafe", chunks)
    // what makes the chunks may have ended this
    this.check("writeAllUnsafe")
    buffer.appendAll(checked)
    return !buffer.mustWait
  }

  /** `writeFrames` without waiting. */
  writeFramesUnsafe<A>(frame: Encoder<A>, values: ReadonlyArray<A>): boolean {
    const operation = "writeFramesUnsafe"
    const { buffer } = this
    const node = of<A>(operation, frame)
    this.check(operation)
    return this.accepted(operation, node, buffer.appendFrames(node, values))
  }

  private accepted<A>(operation: string, node: Node<A>, thrown: { readonly fault: unknown } | undefined): boolean {
    if (thrown === undefined) return !this.buffer.mustWait
    // an encoder may have ended this
    this.check(operation)
    throw encodeFailed(operation, node, thrown.fault)
  }

  /** How many bytes were written so far. */
  get position(): number {
    return this.before + this.buffer.accepted
  }

  /** Whether nothing that was written from a position on has left this process, nor will, once the connection is reset. */
  holdsFrom(position: number): boolean {
    return position >= this.before + this.buffer.accepted - this.buffer.pending
  }

  /** Throws what a write would fail with. */
  private check(operation: string): void {
    const { broken, ending } = this.buffer
    if (broken !== undefined) throw broken(operation)
    if (ending !== undefined) throw new ClosedStream({ operation, reason: ending })
  }

  get drain() {
    return (this.drainage ??= new Drain(this.buffer))
  }
  get flush() {
    return new Flush(this.buffer)
  }
  get writeEof() {
    return new WriteEof(this.buffer)
  }
  get close() {
    return this.session.close
  }
  get abort() {
    return this.session.abort
  }
  get isClosing() {
    return Effect.sync(() => this.session.isClosing)
  }
  get buffered() {
    return Effect.sync(() => this.buffer.buffered)
  }

  toJSON() {
    const { broken, buffered, ending, highWaterMark, lowWaterMark, paused } = this.buffer
    return {
      _id: "StreamWriter",
      buffered,
      highWaterMark,
      lowWaterMark,
      paused,
      ending,
      lost: broken?.("inspect")._tag
    }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

class ClosedSession implements WriterSession {
  readonly writes: WriteBuffer
  readonly close: Effect.Effect<CloseOutcome> = Effect.succeed({ _tag: "Graceful" })
  readonly abort: Effect.Effect<void> = Effect.void
  readonly isClosing = true

  constructor(highWaterMark: number, lowWaterMark: number) {
    const nobody: Output = { write: () => true, ended: () => {}, failed: () => {} }
    this.writes = new WriteBuffer({ highWaterMark, lowWaterMark }, nobody, undefined)
    this.writes.end("Closed")
  }
}

/** One that has ended, and nobody writes to: the one that was asked for last. */
let closed: ClosedSession | undefined = undefined

/** A session that has ended in good order, like many others. */
const closedLike = (highWaterMark: number, lowWaterMark: number): ClosedSession => {
  if (closed?.writes.highWaterMark === highWaterMark && closed.writes.lowWaterMark === lowWaterMark) return closed
  return (closed = new ClosedSession(highWaterMark, lowWaterMark))
}

const frames = <A>(buffer: WriteBuffer, operation: string, frame: Encoder<A>, values: Iterable<A>) =>
  frame instanceof Node
    ? new WriteFrames<A>(buffer, operation, frame, values)
    : Effect.suspend(() => new WriteFrames<A>(buffer, operation, of<A>(operation, frame), values))

const wrongData = (operation: string, data: unknown): TypeError =>
  new TypeError(`${operation}: expected a Uint8Array or a string, got ${data === null ? "null" : typeof data}`)
