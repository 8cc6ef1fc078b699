/**
 * What is pending while a connection is being opened.
 *
 * An interruption can arrive between the moment a socket connects and the moment somebody owns it, and then the value is
 * dropped. So a network that opens a socket notes here how to undo it. The side that asked for the connection undoes all
 * that is noted, unless it got the connection.
 */
import * as Context from "effect/Context"

export const Pending = Context.Reference<Set<() => void> | undefined>("effect-byte-streams/internal/Pending", {
  defaultValue: () => undefined
})
