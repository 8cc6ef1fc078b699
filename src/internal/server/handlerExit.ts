/** Why a handler ended, as far as it matters to whoever is told. */
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
  if (isSocketClose(error)) return session.peerHasEnded ? "Peer" : "Program"
  if (error instanceof ClosedStream) {
    // while this one is open it is another's, or a mistake
    return session.endedHere && (error.reason === "Closed" || error.reason === "Aborted") ? "Told" : "Program"
  }
  if (session.isEnd(error)) return "Peer"
  return error instanceof TlsFailed && error.kind !== "Unsupported" && session.upgradeFailed ? "Handshake" : "Program"
}

/** What the first failure of a cause says, without what Effect's sockets have made of it. */
export const described = (cause: Cause.Cause<unknown>): string => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const error = unwrapped(reason._tag === "Fail" ? reason.error : reason.defect)
    return error instanceof Error ? error.message : String(error)
  }
  return "interrupted"
}

/** What one of Effect's own sockets has made of it, which Effect's RPC then dies of. */
const unwrapped = (error: unknown): unknown => {
  const { _tag, reason } = (error ?? {}) as { readonly _tag?: unknown; readonly reason?: { readonly cause?: unknown } }
  return _tag === "SocketError" ? (reason?.cause ?? error) : error
}

/** How Effect's sockets say that the peer has ended, which is a failure to who does not look for it. */
const isSocketClose = (error: unknown): boolean => {
  const { _tag, reason } = (error ?? {}) as { readonly _tag?: unknown; readonly reason?: { readonly _tag?: unknown } }
  return _tag === "SocketError" && reason?._tag === "SocketCloseError"
}
