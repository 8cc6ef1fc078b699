/**
 * Reset → loss. The only place that decides with which failure a stream that is gone is lost.
 *
 * What the stream said of it is the failure, such as `Reset` for the system's `ECONNRESET` (`failure`). A stream that is gone
 * and has said nothing is lost as well, unless both directions had ended before: what is merely cut off is not complete.
 */
import type { Failure } from "../../Transport.ts"
import { streamReset, toFailure } from "./failure.ts"

/** A reset by the peer, where nobody has an error that says so. */
export const peerReset: Failure = { kind: "Reset", code: "ECONNRESET" }

/** Nothing was said of why a stream is no more. Only its end is an end: what came before it is not known to be all. */
export const cutOff = (stream: { readonly errored?: Error | null | undefined }): Error =>
  stream.errored ?? new Error("the stream was destroyed before it had ended")

/** The loss of a stream of HTTP/2 that was reset, or whose connection broke: it ends all the same, and a code alone tells. */
export const resetOf = (stream: object): Error | undefined => {
  const { rstCode } = stream as { readonly rstCode?: unknown }
  return typeof rstCode !== "number" || rstCode === 0
    ? undefined
    : Object.assign(new Error(`the stream was reset with code ${rstCode}`), { code: streamReset })
}

/** Whether the peer of a stream of HTTP/2 has let go of it. What it still holds it passes on no more, and may never say so. */
export const isLetGo = (stream: object): boolean => (stream as { readonly aborted?: unknown }).aborted === true

/** The failure with which a stream that is gone is lost. `undefined`: it was complete. */
export const lossOf = (
  stream: { readonly errored?: Error | null | undefined },
  said: Failure | undefined,
  complete: boolean
): Failure | undefined => said ?? (complete ? undefined : toFailure(cutOff(stream)))
