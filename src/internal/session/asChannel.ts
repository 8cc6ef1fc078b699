/** A connection as one of Effect's channels. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type { Connection } from "../../Connection.ts"
import type { ReadError, WriteError } from "../../StreamError.ts"
import { ClosedStream } from "../base/errors.ts"
import { BufferReader } from "../read/reader.ts"

type Chunks = NonEmptyReadonlyArray<Uint8Array>

export const toChannel = <IE>({
  reader,
  writer
}: Connection): Channel.Channel<Chunks, ReadError | WriteError | IE, void, Chunks, IE> =>
  Channel.fromTransform((upstream: Pull.Pull<Chunks, IE, unknown>, scope) => {
    const next = reader.pull
    let inputFailed: Cause.Cause<IE> | undefined
    let writeFailed: Cause.Cause<WriteError> | undefined

    const noted = <A>(write: Effect.Effect<A, WriteError>): Effect.Effect<A, WriteError> =>
      Effect.onError(write, (cause) => Effect.sync(() => void (writeFailed = cause)))

    const writing = upstream.pipe(
      Effect.flatMap((chunks) => noted(writer.writeAll(chunks))),
      Effect.forever({ disableYield: true }),
      Effect.catchCause((cause): Effect.Effect<void, WriteError> => {
        // what the peer has said is still read, to its end
        if (writeFailed !== undefined) return Effect.void
        if (Pull.isDoneCause(cause)) return noted(writer.writeEof)
        return Effect.sync(() => {
          inputFailed = cause as Cause.Cause<IE>
          // the peer would wait for the rest of the input, and the consumer for the peer
          if (reader instanceof BufferReader && (reader.buffer.operation as unknown) === next) {
            reader.buffer.failWaiting((operation) => new ClosedStream({ operation, reason: "Closed" }))
          }
        })
      }),
      Effect.ignore
    )

    const pull = Effect.catchCause(
      Effect.suspend((): Pull.Pull<Chunks, ReadError | WriteError | IE> =>
        inputFailed === undefined ? next : Effect.failCause(inputFailed)
      ),
      (cause) => Effect.failCause(inputFailed ?? (Pull.isDoneCause(cause) ? writeFailed : undefined) ?? cause)
    )
    return Effect.as(Effect.forkIn(writing, scope), pull as Pull.Pull<Chunks, any>)
  })
