/**
 * How a read stream stands: open, ended by the peer, lost, or closed by this side.
 *
 * A read buffer has one field for it. The field leaves `open` once all that came before the end is in the segments, so that
 * a read which finds the end there has bytes first and the end afterwards. `closed` is final, and comes from any state.
 */
import type { ReadError } from "../../StreamError.ts"
import type { ClosedStream } from "../base/errors.ts"

/** Why a stream broke, as an error made anew for each operation that meets it. */
export type Loss<E> = (operation: string) => E

/** More may come. */
export interface Open {
  readonly _tag: "open"
}

/** The peer ended its output in good order. */
export interface Ended {
  readonly _tag: "ended"
}

/** The stream broke, or a bound on waiting struck. */
export interface Lost {
  readonly _tag: "lost"
  readonly loss: Loss<ReadError>
}

/** This side is done with the stream: nothing can be read from then on. */
interface Closed {
  readonly _tag: "closed"
  readonly reason: ClosedStream["reason"]
  /** How the stream stood until then; only inspection asks for that. */
  readonly before: Open | Ended | Lost
}

export type End = Open | Ended | Lost | Closed

/** The states without data are one object each: a read compares the field with `open`, and allocates nothing. */
export const open: Open = { _tag: "open" }
export const ended: Ended = { _tag: "ended" }

export const lost = (loss: Loss<ReadError>): Lost => ({ _tag: "lost", loss })
