/** How a socket of Effect's that this library made is told to abort the connection below: none of Effect's own can be. */
import type * as Effect from "effect/Effect"

/** Where the writer of such a socket has what aborts its connection. */
export const abortKey = Symbol("effect-byte-streams/abort")

export interface Aborting {
  readonly [abortKey]: Effect.Effect<void>
}
