/**
 * Every number that the library chooses by itself: defaults of options, sizes of memory, shares of a turn.
 *
 * Nobody else writes such a number. A number stays beside its code where a format, a protocol or the system prescribes
 * it, or where one algorithm was measured with it and nobody else could notice it.
 */
import * as Duration from "effect/Duration"

// ---------------------------------------------------------------------------
// writing
// ---------------------------------------------------------------------------

/** Bytes. A write of up to so many is copied; a longer one is kept as a view, because a copy would cost more. */
export const copiedBytes = 4096

/** Bytes. So many that wait are sent without waiting for the end of the turn. */
export const eagerBytes = 65536

/** Bytes. One call sends no more, so that a slow peer shows progress often enough to be told from a dead one. */
export const maxInFlight = 262144

/** Bytes. One connection sends no more in a turn of the event loop: then others have theirs. */
export const maxInTurn = 1048576

// ---------------------------------------------------------------------------
// memory that connections share
// ---------------------------------------------------------------------------

/** Bytes. The slab into which the small writes of all connections are copied: as much as is sent without waiting. */
export const slabBytes = 65536

/** Bytes. A message finds so much room in the slab, or a fresh slab is taken: most messages fit. */
export const frameRoom = 1024

/** Bytes. The memory that small copies of what arrived are parts of: as much as Node's own pool has. */
export const poolBytes = 8192

/** Bytes. A longer copy has memory of its own, lest a few of them use up the pool. */
export const maxPooled = 1024

/** Bytes. The memory that all sockets read into, one after the other: as much as Node reads at a time. */
export const readBytes = 65536

// ---------------------------------------------------------------------------
// servers
// ---------------------------------------------------------------------------

/** How many clients are served at a time: no bound, because only the program knows what a client costs it. */
export const maxConnections = Infinity

/** How long a shutdown lets handlers finish: long enough for an answer, and shorter than what process managers wait. */
export const gracePeriod = Duration.seconds(5)

/** How long a shutdown then waits for handlers that it has interrupted: one that cannot be interrupted holds up nothing. */
export const interruptionTime = Duration.seconds(1)

/** Milliseconds. The log has at most one line of a kind in so many, lest many clients at once flood it. */
export const logSpan = 1000
