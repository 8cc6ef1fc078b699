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

/** What Node says of a stream of HTTP/2. */
interface Http2Stream {
  readonly rstCode?: unknown
  readonly aborted?: unknown
}

/** The stream of HTTP/2 below a request or an answer, as Node has those for programs of HTTP/1: they say less than it. */
export const http2Below = (stream: object): Http2Stream | undefined => {
  const { stream: below } = stream as { readonly stream?: unknown }
  return typeof below === "object" && below !== null && "rstCode" in below ? below : undefined
}

const http2 = (stream: object): Http2Stream => http2Below(stream) ?? stream

/** The loss of a stream of HTTP/2 that was reset, or whose connection broke: it ends all the same, and a code alone tells. */
export const resetOf = (stream: object): Error | undefined => {
  const { rstCode } = http2(stream)
  return typeof rstCode !== "number" || rstCode === 0
    ? undefined
    : Object.assign(new Error(`the stream was reset with code ${rstCode}`), { code: streamReset })
}

/** Whether the peer of a stream of HTTP/2 has let go of it. What it still holds it passes on no more, and may never say so. */
export const isLetGo = (stream: object): boolean => http2(stream).aborted === true

/** What such a stream says then, also while much of what came before is unread. */
export const letGo = "aborted"

/** The failure of what was written to a stream that takes no more of it. */
export const lossOfOutput = (stream: { readonly errored?: Error | null | undefined }): Failure => {
  const reset = resetOf(stream)
  if (reset !== undefined) return toFailure(reset)
  return {
    kind: "BrokenPipe",
    cause: isLetGo(stream) ? new Error("its peer has let go of the stream") : cutOff(stream)
  }
}

/** Whether a stream is no more. One of HTTP/2 calls itself closed once its peer has let go of it, however much is unread. */
export const isOver = (stream: { readonly closed: boolean; readonly destroyed: boolean }): boolean =>
  stream.destroyed || (stream.closed && typeof http2(stream).rstCode !== "number")

/** The failure with which a stream that is gone is lost. `undefined`: it was complete. */
export const lossOf = (
  stream: { readonly errored?: Error | null | undefined },
  said: Failure | undefined,
  complete: boolean
): Failure | undefined => said ?? (complete ? undefined : toFailure(cutOff(stream)))
