/** Two connections, each of which gets the bytes of the other. */
import * as Effect from "effect/Effect"
import type { Connection, Relayed } from "../../Connection.ts"
import type { ReadError, WriteError } from "../../StreamError.ts"
import { blockBytes } from "../base/defaults.ts"

/** Passes on the bytes of `from`, and its end. */
const oneWay = (
  from: Connection,
  to: Connection,
  count: (bytes: number) => void
): Effect.Effect<void, ReadError | WriteError> =>
  Effect.uninterruptibleMask((restore) => {
    const block = new Uint8Array(blockBytes)
    // between the read and the write nobody may interrupt: the bytes in the block would be nobody's
    const passOn = (size: number): Effect.Effect<void, ReadError | WriteError> => {
      if (size === 0) return restore(to.writer.writeEof)
      const bytes = block.subarray(0, size)
      return restore(to.writer.write(bytes)).pipe(
        // a write that is interrupted has taken nothing
        Effect.onInterrupt(() => Effect.ignore(from.reader.unread(bytes))),
        Effect.andThen(
          Effect.suspend(() => {
            count(size)
            // it keeps a view of the block
            return restore(to.writer.flush)
          })
        ),
        Effect.andThen(next)
      )
    }
    const next: Effect.Effect<void, ReadError | WriteError> = Effect.suspend(() =>
      Effect.flatMap(restore(from.reader.readInto(block)), passOn)
    )
    return next
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
        cause.reasons.some((reason) => reason._tag !== "Interrupt") ? Effect.andThen(a.abort, b.abort) : Effect.void
      ),
      Effect.as(relayed)
    )
  })
