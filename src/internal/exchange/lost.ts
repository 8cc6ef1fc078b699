/** Why a connection on which requests are answered is not used any more. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Connection } from "../../Connection.ts"
import type { Closed } from "../../Exchange.ts"
import type { LostCause, ReadError } from "../../StreamError.ts"
import type { StreamReader } from "../../StreamReader.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import {
  ClosedStream,
  ConnectFailed,
  ConnectionLost,
  EncodeFailed,
  IncompleteRead,
  RequestLost,
  StreamBusy,
  StreamTimeout,
  TlsFailed
} from "../base/errors.ts"
import { isDecodeError } from "../frame/run.ts"
import { SessionConnection } from "../session/connection.ts"
import { SessionWriter } from "../write/writer.ts"

/** Whether it says why a connection is not used any more. */
export const isStreamFailure = (error: unknown): error is LostCause =>
  error instanceof ClosedStream ||
  error instanceof ConnectionLost ||
  error instanceof ConnectFailed ||
  error instanceof StreamBusy ||
  error instanceof StreamTimeout ||
  error instanceof TlsFailed ||
  isDecodeError(error)

/** Why a connection is not used any more. A defect is one of the program's: it is told as what it is. */
export const lostCauseOf = (operation: string, cause: Cause.Cause<unknown>): LostCause => {
  const error = Cause.squash(cause)
  return isStreamFailure(error) ? error : new ConnectionLost({ operation, kind: "Unknown", cause: error })
}

/** Whether its owner has begun to close a connection, or has upgraded it: all that was written goes out, and it is not reset. */
export const isInOtherHands = (connection: Connection, cause: LostCause): boolean => {
  if (connection instanceof SessionConnection) return connection.session.isInOtherHands
  const isClosed = cause instanceof ClosedStream && cause.reason !== "Aborted"
  return isClosed && Effect.runSync(connection.writer.isClosing)
}

/** The peer has ended its output, and there is nothing behind what was read. */
const peerEnded = (): IncompleteRead => new IncompleteRead({ operation: "call", partial: new Uint8Array(0) })

/** The error of a call that is not taken any more, by how the exchange ended, if it has. */
export const refusalOf = (closed: Closed | undefined): RequestLost => {
  if (closed?._tag === "Lost") return new RequestLost({ sent: "No", cause: closed.cause })
  const cause = closed?._tag === "PeerEof" ? peerEnded() : new ClosedStream({ operation: "call", reason: "Closed" })
  return new RequestLost({ sent: "No", cause })
}

/** The error of a call that was written at a position, if that is known and nothing goes out any more. */
export const lostBehind = (position: number | undefined, writer: StreamWriter, closed: Closed): RequestLost =>
  new RequestLost({
    sent: position !== undefined && writer instanceof SessionWriter && writer.holdsFrom(position) ? "No" : "Maybe",
    cause: closed._tag === "Lost" ? closed.cause : peerEnded()
  })

/** How many bytes the system has taken. `NaN`, which is never the same, where nobody knows. */
export const takenOf = (connection: Connection): number =>
  connection instanceof SessionConnection ? connection.session.progress : Number.NaN

/** The error of a call whose request cannot be written. */
export const unwritable = ({ cause, frame, reason }: EncodeFailed): EncodeFailed =>
  new EncodeFailed({ operation: "call", frame, reason, ...(cause === undefined ? undefined : { cause }) })

/** Completes once something has come, and takes nothing of it. */
export const peeked = (reader: StreamReader): Effect.Effect<unknown, ReadError | IncompleteRead> =>
  Effect.flatMap(reader.peek(1), (bytes) => (bytes.length > 0 ? Effect.void : Effect.fail(peerEnded())))
