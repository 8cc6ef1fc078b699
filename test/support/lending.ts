/** Has a connection read into memory that is used again, as the first `readInto` that waits does. */
import type { Connection } from "effect-byte-streams"
import { Effect } from "effect"
import { SessionConnection } from "../../src/internal/session/connection.ts"

export const lend = (connection: Connection.Connection): Effect.Effect<void> =>
  Effect.sync(() => {
    if (!(connection instanceof SessionConnection)) throw new Error("lend: no connection of this library")
    connection.session.reads.shareMemory()
  })
