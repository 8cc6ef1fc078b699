/** Two connections, each of which gets the bytes of the other. */
import * as Effect from "effect/Effect"
import type { Connection, Relayed } from "../../Connection.ts"
import type { ReadError, WriteError } from "../../StreamError.ts"
import { blockBytes, copiedBytes } from "../base/defaults.ts"
import { notNow, Operation } from "../runtime/operation.ts"

/** The answer of an operation that has it at hand, without a step of Effect's loop. */
const atOnce = <A, E>(effect: Effect.Effect<A, E>): A | typeof notNow =>
  effect instanceof Operation ? (effect as Operation<A, E>).tryNow() : notNow

/** Passes on the bytes of `from`, and its end. */
const oneWay = (
  from: Connection,
  to: Connection,
  count: (bytes: number) => void
): Effect.Effect<void, ReadError | WriteError> =>
  // between the read and the write nobody may interrupt: the bytes in the block would be nobody's
  Effect.uninterruptibleMask(
    Effect.fnUntraced(function* (restore) {
      const block = new Uint8Array(blockBytes)
      while (true) {
        const read = from.reader.readInto(block)
        const now = atOnce(read)
        const size = now === notNow ? yield* restore(read) : now
        if (size === 0) return yield* restore(to.writer.writeEof)
        const bytes = block.subarray(0, size)
        const write = to.writer.write(bytes)
        if (atOnce(write) === notNow) {
          // a write that is interrupted has taken nothing
          yield* Effect.onInterrupt(restore(write), () => Effect.ignore(from.reader.unread(bytes)))
        }
        count(size)
        // of what is longer it keeps a view
        if (size > copiedBytes) yield* restore(to.writer.flush)
      }
    })
  )

export const relay = (a: Connection, b: Connection): Effect.Effect<Relayed, ReadError | WriteError> =>
  Effect.suspend(() => {
    const relayed = { forward: 0, backward: 0 }
    return Effect.all(
      [oneWay(a, b, (bytes) => (relayed.forward += bytes)), oneWay(b, a, (bytes) => (relayed.backward += bytes))],
      { concurrency: "unbounded", discard: true }
    ).pipe(
      // the loss of one is told by a reset of the other, and not by an end that looks like the other's own
      Effect.onError((cause) =>
        cause.reasons.some((reason) => reason._tag !== "Interrupt") ? Effect.andThen(a.abort, b.abort) : Effect.void
      ),
      Effect.as(relayed)
    )
  })
