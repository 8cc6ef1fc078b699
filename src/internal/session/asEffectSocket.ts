/** A connection as one of Effect's own sockets. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type { Connection } from "../../Connection.ts"
import type { ReadError, WriteError } from "../../StreamError.ts"
import { ClosedStream } from "../base/errors.ts"
import { BufferReader } from "../read/reader.ts"

/** A close in good order, as Effect's sockets say it. */
const cleanClose = 1000

export const reader = (connection: Connection): Socket.Socket["reader"] =>
  Effect.map(
    Effect.acquireRelease(Effect.as(isThere(connection), { over: false, pull: connection.reader.pull }), (reading) =>
      Effect.sync(() => {
        // a pull that waits when its reader's scope ends would wait for ever; what else waits is none of this one's
        reading.over = true
        const { reader } = connection
        if (reader instanceof BufferReader && (reader.buffer.operation as unknown) === reading.pull) {
          reader.buffer.failWaiting((operation) => new ClosedStream({ operation, reason: "Closed" }))
        }
      })
    ),
    (reading) => {
      const pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError> = Effect.mapError(
        reading.pull,
        readError
      )
      return {
        pull: Effect.suspend(() => (reading.over ? Effect.fail(closed) : pull)),
        upgrade: Socket.SocketUpgradeError.unsupported
      }
    }
  )

/**
 * Fails where nothing can be read any more, as a pull would. Acquiring the reader of a socket is what connecting is: who
 * tries again would be told that it worked, for ever.
 */
const isThere = ({ reader }: Connection): Effect.Effect<void, Socket.SocketError> =>
  Effect.flatMap(reader instanceof BufferReader ? Effect.sync(() => reader.buffer.isOver) : reader.atEof, (over) =>
    over ? Effect.flatMap(Effect.mapError(reader.peek(1), readError), () => Effect.fail(closed)) : Effect.void
  )

export const writer = (connection: Connection): Socket.Socket["writer"] =>
  Effect.acquireRelease(
    Effect.succeed({
      write: (chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> =>
        Socket.isCloseEvent(chunk)
          ? Effect.asVoid(connection.writer.close)
          : Effect.mapError(connection.writer.write(chunk), writeError),
      writeAll: (chunks: NonEmptyReadonlyArray<Uint8Array | string>) =>
        Effect.mapError(connection.writer.writeAll(chunks), writeError)
    }),
    // the end is under way from here on; whether the peer takes it is not waited for
    () => Effect.forkDetach(Effect.ignore(connection.writer.writeEof), { startImmediately: true })
  )

const closed = new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: cleanClose }) })

/** The end, whichever side has brought it about in good order, is a close. */
const readError = (cause: ReadError | Cause.Done): Socket.SocketError =>
  Cause.isDone(cause) || (cause instanceof ClosedStream && cause.reason === "Closed")
    ? closed
    : new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) })

const writeError = (cause: WriteError): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
