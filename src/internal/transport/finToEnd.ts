/**
 * FIN → end of the stream. The only place that decides whether what looks like the end of a peer's output is one.
 *
 * - A reset that the system reports as the end is a reset, and the stream is lost.
 * - Over TLS the end is the peer's `close_notify`. Without one somebody may have cut the connection: the stream is lost,
 *   unless the program allows that (`allowTruncation`).
 * - Every other FIN is the end.
 */
import type { Failure } from "../../Transport.ts"
import { TlsFailed } from "../base/errors.ts"

/** What is known when the system reports the end. */
export interface Fin {
  /** A reset of which this is only the report. */
  readonly reset?: Failure | undefined
  /** Whether a `close_notify` came before. `undefined`: there is no TLS. */
  readonly closeNotify?: boolean | undefined
  readonly allowTruncation?: boolean | undefined
}

/** Why the stream is lost. `undefined`: it has ended. */
export const finToEnd = ({ allowTruncation, closeNotify, reset }: Fin): Failure | undefined => {
  if (closeNotify === true) return undefined
  if (reset !== undefined) return reset
  if (closeNotify === undefined || allowTruncation === true) return undefined
  return { kind: "Reset", tls: "Truncated", cause: new TlsFailed({ kind: "Truncated" }) }
}
