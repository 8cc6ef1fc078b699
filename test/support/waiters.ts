/** Who waits inside a connection, to tell whether a wait that was given up left something behind. */
import type { Connection } from "effect-byte-streams"
import { SessionConnection } from "../../src/internal/session/connection.ts"

export interface Waiting {
  /** To write. */
  readonly writers: number
  /** For the low-water mark, a flush, or the end of output. */
  readonly forProgress: number
  /** For the session to end. */
  readonly closing: number
  /** The read that waits. */
  readonly reading: string | undefined
}

export const nobody: Waiting = { writers: 0, forProgress: 0, closing: 0, reading: undefined }

export const waiting = (connection: Connection.Connection): Waiting => {
  if (!(connection instanceof SessionConnection)) throw new Error("not a connection of this library's own")
  const { session } = connection
  const field = (owner: object, key: string): object | undefined => {
    if (!(key in owner)) throw new Error(`there is no ${key} any more`)
    return (owner as Record<string, object | undefined>)[key]
  }
  const size = (owner: object, key: string): number => (field(owner, key) as Set<unknown> | undefined)?.size ?? 0
  return {
    writers: size(session.writes.waiters, "toWrite"),
    forProgress: size(session.writes.waiters, "forProgress"),
    closing: size(field(session, "closing")!, "waiters"),
    reading: session.reads.operation?.name
  }
}
