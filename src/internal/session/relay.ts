/** Two connections, each of which gets the bytes of the other. */
import * as Effect from "effect/Effect"
import type { Connection, Relayed } from "../../Connection.ts"
import type { ReadError, WriteError } from "../../StreamError.ts"
import { blockBytes, copiedBytes } from "../base/defaults.ts"
import { BufferReader } from "../read/reader.ts"
import { type Passage, ReadPassage } from "../read/reads/some.ts"
import { notNow, Operation } from "../runtime/operation.ts"
import { SessionConnection } from "./connection.ts"
import { SessionWriter } from "../write/writer.ts"
import { WriteCopy } from "../write/writes.ts"

/** The answer of an operation that has it at hand, without a step of Effect's loop. */
const atOnce = <A, E>(effect: Effect.Effect<A, E>): A | typeof notNow =>
  effect instanceof Operation ? (effect as Operation<A, E>).tryNow() : notNow

/** How bytes get from one connection to the other. */
interface Way {
  /** Reads some into the block, as `readInto`. */
  readonly read: Effect.Effect<number, ReadError>
  readonly block: Uint8Array
  /** Writes a part of the block. */
  write(bytes: Uint8Array): Effect.Effect<void, WriteError>
  /** So much of the block was written: whether the writer may have kept a view of it. */
  keeps(size: number): boolean
}

/** By what every reader and every writer can do. */
class Public implements Way {
  readonly block = new Uint8Array(blockBytes)
  private readonly from: Connection
  private readonly to: Connection

  constructor(from: Connection, to: Connection) {
    this.from = from
    this.to = to
  }

  get read() {
    return this.from.reader.readInto(this.block)
  }

  write(bytes: Uint8Array) {
    return this.to.writer.write(bytes)
  }

  keeps(size: number): boolean {
    return size > copiedBytes
  }
}

/**
 * What comes while the reader waits, and the writer has room, is written in the very call that brings it. Only where there
 * is no room, the fiber of the relay takes the bytes, and waits.
 *
 * What is lent, or lies in the block, is copied by the writer. So pieces that come together lie behind one another and are
 * sent as one, and no memory is allocated for them.
 */
class Direct implements Way, Passage {
  readonly block = new Uint8Array(blockBytes)
  private readonly reader: BufferReader
  private readonly writer: SessionWriter
  private readonly count: (bytes: number) => void

  constructor(reader: BufferReader, writer: SessionWriter, count: (bytes: number) => void) {
    this.reader = reader
    this.writer = writer
    this.count = count
  }

  get read() {
    return new ReadPassage(this.reader, this.block, this)
  }

  write(bytes: Uint8Array) {
    return this.writer.writeCopy(bytes)
  }

  keeps(): boolean {
    return false
  }

  passOn(bytes: Uint8Array, lent: boolean): boolean {
    const { writer } = this
    if (!writer.hasRoom) return false
    if (lent) writer.writeCopyUnsafe(bytes)
    else writer.writeUnsafe(bytes)
    this.count(bytes.length)
    return true
  }
}

/** Passes on the bytes of `from`, and its end. */
const oneWay = (
  from: Connection,
  to: Connection,
  count: (bytes: number) => void
): Effect.Effect<void, ReadError | WriteError> =>
  // between the read and the write nobody may interrupt: the bytes in the block would be nobody's
  Effect.uninterruptibleMask(
    Effect.fnUntraced(function* (restore) {
      const { reader } = from
      const { writer } = to
      const way: Way =
        reader instanceof BufferReader && writer instanceof SessionWriter
          ? new Direct(reader, writer, count)
          : new Public(from, to)
      while (true) {
        const { read } = way
        const now = atOnce(read)
        const size = now === notNow ? yield* restore(read) : now
        if (size === 0) return yield* restore(writer.writeEof)
        const bytes = way.block.subarray(0, size)
        const write = way.write(bytes)
        if (atOnce(write) === notNow) {
          // a write that is interrupted has taken nothing, unless what it gave to the system brought the interruption about
          yield* Effect.onInterrupt(restore(write), () =>
            write instanceof WriteCopy && write.accepted ? Effect.void : Effect.ignore(reader.unread(bytes))
          )
        }
        count(size)
        if (way.keeps(size)) yield* restore(writer.flush)
      }
    })
  )

/** What this side has begun to close gets all that was accepted for it. */
const giveUp = (connection: Connection): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!(connection instanceof SessionConnection)) return connection.abort
    // in this step: others may run before the next, and begin to close
    if (!connection.session.endedHere) connection.session.abortNow()
    return Effect.void
  })

export const relay = (a: Connection, b: Connection): Effect.Effect<Relayed, ReadError | WriteError> =>
  Effect.suspend(() => {
    const relayed = { forward: 0, backward: 0 }
    return Effect.all(
      [oneWay(a, b, (bytes) => (relayed.forward += bytes)), oneWay(b, a, (bytes) => (relayed.backward += bytes))],
      { concurrency: "unbounded", discard: true }
    ).pipe(
      // the loss of one is told by a reset of the other, and not by an end that looks like the other's own
      Effect.onError((cause) =>
        cause.reasons.some((reason) => reason._tag !== "Interrupt") ? Effect.andThen(giveUp(a), giveUp(b)) : Effect.void
      ),
      Effect.as(relayed)
    )
  })
