/** Why a handler ended, as far as that matters to those who are told. */
import type * as Cause from "effect/Cause"
import { ClosedStream, TlsFailed } from "../base/errors.ts"
import type { Session } from "../session/session.ts"

/**
 * - `Told`: it was interrupted, or found its streams closed by this side. That is no failure.
 * - `Peer`: it met the end of its connection, which the peer caused, or a bound on waiting for the peer.
 * - `Handshake`: its connection could not be upgraded.
 * - `Program`: anything else, its own errors and its defects.
 *
 * Of a cause with several reasons, the one that is furthest down.
 */
export type HandlerExit = (typeof exits)[number]

const exits = ["Told", "Peer", "Handshake", "Program"] as const

export const of = (cause: Cause.Cause<unknown>, session: Session): HandlerExit => {
  let worst = cause.reasons.length === 0 ? exits.indexOf("Program") : 0
  for (const reason of cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const exit = ofError(unwrapped(reason._tag === "Fail" ? reason.error : reason.defect), session)
    worst = Math.max(worst, exits.indexOf(exit))
  }
  return exits[worst]!
}

const ofError = (error: unknown, session: Session): HandlerExit => {
  if (isSocketClose(error)) return ofClose(session)
  if (error instanceof ClosedStream) {
    // while this one is open it is another's, or a mistake
    return session.endedHere && (error.reason === "Closed" || error.reason === "Aborted") ? "Told" : "Program"
  }
  if (session.isEnd(error)) return "Peer"
  return error instanceof TlsFailed && error.kind !== "Unsupported" && session.upgradeFailed ? "Handshake" : "Program"
}

/** The message of the first failure of a cause, without the wrapping of Effect's sockets. */
export const described = (cause: Cause.Cause<unknown>): string => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const error = unwrapped(reason._tag === "Fail" ? reason.error : reason.defect)
    return error instanceof Error ? error.message : String(error)
  }
  return "interrupted"
}

/** The error inside the one that Effect's own sockets make of it, and of which Effect's RPC dies. */
const unwrapped = (error: unknown): unknown => {
  const { _tag, reason } = (error ?? {}) as { readonly _tag?: unknown; readonly reason?: { readonly cause?: unknown } }
  return _tag === "SocketError" ? (reason?.cause ?? error) : error
}

const ofClose = (session: Session): HandlerExit => {
  if (session.peerHasEnded || session.isLost) return "Peer"
  return session.endedHere ? "Told" : "Program"
}

/** Effect's sockets say so that the peer has ended, which is a failure to a program that does not look for it. */
const isSocketClose = (error: unknown): boolean => {
  const { _tag, reason } = (error ?? {}) as { readonly _tag?: unknown; readonly reason?: { readonly _tag?: unknown } }
  return _tag === "SocketError" && reason?._tag === "SocketCloseError"
}
