/**
 * The sockets that the opening of a connection has opened so far.
 *
 * Between the moment a socket connects and the moment somebody owns it lie steps at which an interruption can arrive, and
 * the value is dropped. So the code that opens a socket notes how to undo that, and the one that asked for the connection
 * does so, unless it got one.
 */
import * as Context from "effect/Context"

export const Pending = Context.Reference<Set<() => void> | undefined>("effect-byte-streams/internal/Pending", {
  defaultValue: () => undefined
})
