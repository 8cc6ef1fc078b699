/**
 * No buffer anywhere: what one end writes stays with it until the other end has
 * a read that waits, and then only as much goes over as that read can take.
 */
import * as Effect from "effect/Effect"
import type { Connection } from "../../../Connection.ts"
import type { Encoder } from "../../../Frame.ts"
import type { EncodeFailed, WriteError } from "../../../StreamError.ts"
import type { StreamWriter } from "../../../StreamWriter.ts"
import type { StartTlsOptions } from "../../../Tls.ts"
import type { ConnectionInfo } from "../../../Transport.ts"
import { SessionConnection } from "../../session/connection.ts"
import type { ReadBuffer, WaitingRead } from "../../read/readBuffer.ts"

/** How many bytes a connection's waiting read has use for; 0 if none waits. */
export class Demand {
  private reads: ReadBuffer | undefined = undefined

  get bytes(): number {
    const { reads } = this
    if (reads === undefined) return 0
    // this side has closed: all that comes is thrown away
    if (reads.isClosed) return Infinity
    return reads.operation === undefined ? 0 : missing(reads.operation, reads.size)
  }

  /** Follows a connection's reads; `onChange` is told whenever one begins to wait. */
  follow(connection: Connection, onChange: () => void): void {
    if (!(connection instanceof SessionConnection)) throw new Error("not a connection of this library")
    const { reads } = connection.session
    this.reads = reads
    const wait = reads.wait.bind(reads)
    reads.wait = (operation, fiber) => {
      onChange()
      return wait(operation, fiber)
    }
    const close = reads.close.bind(reads)
    reads.close = (reason) => {
      close(reason)
      onChange()
    }
  }
}

/**
 * A read of a number of bytes takes what is missing of them. A search takes one after the other, and so does a read that has
 * taken bytes elsewhere already: a `skip`, or one of a part of the reader.
 */
const missing = ({ count, name }: WaitingRead<unknown, unknown>, held: number): number => {
  switch (name) {
    case "read":
    case "readOption":
    case "readExactly":
    case "readExactlyOption":
    case "peek":
      return Math.max(1, count - held)
    case "readAll":
      // one more tells that there is too much
      return Math.max(1, count + 1 - held)
    case "pull":
    case "stream":
      return Infinity
    default:
      return 1
  }
}

/** A connection whose writes are complete when the other end has read them. */
export class LockStepConnection implements Connection {
  readonly reader: Connection["reader"]
  readonly writer: StreamWriter
  private readonly connection: Connection

  constructor(connection: Connection) {
    this.connection = connection
    this.reader = connection.reader
    this.writer = new LockStepWriter(connection.writer)
  }

  get info(): ConnectionInfo {
    return this.connection.info
  }
  get closed() {
    return this.connection.closed
  }
  get abort() {
    return this.connection.abort
  }
  startTls(options: StartTlsOptions) {
    return this.connection.startTls(options)
  }
  get stopTls() {
    return this.connection.stopTls
  }
}

class LockStepWriter implements StreamWriter {
  private readonly writer: StreamWriter

  constructor(writer: StreamWriter) {
    this.writer = writer
  }

  get highWaterMark(): number {
    return this.writer.highWaterMark
  }
  get lowWaterMark(): number {
    return this.writer.lowWaterMark
  }
  write(data: Uint8Array | string): Effect.Effect<void, WriteError> {
    return Effect.andThen(this.writer.write(data), this.writer.flush)
  }
  writeAll(chunks: Iterable<Uint8Array | string>): Effect.Effect<void, WriteError> {
    return Effect.andThen(this.writer.writeAll(chunks), this.writer.flush)
  }
  writeFrame<A>(frame: Encoder<A>, value: A): Effect.Effect<void, WriteError | EncodeFailed> {
    return Effect.andThen(this.writer.writeFrame(frame, value), this.writer.flush)
  }
  writeFrames<A>(frame: Encoder<A>, values: Iterable<A>): Effect.Effect<void, WriteError | EncodeFailed> {
    return Effect.andThen(this.writer.writeFrames(frame, values), this.writer.flush)
  }
  writeFrameUnsafe<A>(frame: Encoder<A>, value: A): boolean {
    return this.writer.writeFrameUnsafe(frame, value)
  }
  writeUnsafe(data: Uint8Array | string): boolean {
    return this.writer.writeUnsafe(data)
  }
  writeAllUnsafe(chunks: Iterable<Uint8Array | string>): boolean {
    return this.writer.writeAllUnsafe(chunks)
  }
  get drain() {
    return this.writer.drain
  }
  get flush() {
    return this.writer.flush
  }
  get writeEof() {
    return this.writer.writeEof
  }
  get close() {
    return this.writer.close
  }
  get abort() {
    return this.writer.abort
  }
  get isClosing() {
    return this.writer.isClosing
  }
  get buffered() {
    return this.writer.buffered
  }
}
