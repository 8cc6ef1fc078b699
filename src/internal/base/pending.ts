/**
 * What opening a connection has opened so far.
 *
 * Between the moment a socket connects and the moment somebody owns it lie steps
 * at which an interruption can arrive, and the value is dropped. Whoever opens
 * a socket therefore notes how to undo it, and whoever asked for the connection
 * does that unless it got one.
 */
import * as Context from "effect/Context"

export const Opened = Context.Reference<Set<() => void> | undefined>("effect-byte-streams/internal/Opened", {
  defaultValue: () => undefined
})
