/** Connecting took longer than `connectTimeout`: what is known of each attempt that this cut off. */
import * as Duration from "effect/Duration"
import type { ConnectAttempt } from "../../StreamError.ts"
import { ConnectFailed, StreamTimeout } from "../base/errors.ts"

export const connectTimedOut = (options: {
  readonly target: string
  /** What was being looked up or connected to while there was no attempt yet. */
  readonly host: string
  readonly attempts: ReadonlyArray<ConnectAttempt>
  readonly timeout: Duration.Input
}): ConnectFailed => {
  const duration = Duration.fromInputUnsafe(options.timeout)
  const cut = (address: string, code?: string): ConnectAttempt => ({
    address,
    kind: "Timeout",
    ...(code === undefined ? undefined : { code }),
    cause: new StreamTimeout({ operation: "openConnection", kind: "Connect", duration, peer: address })
  })
  const attempts = options.attempts.map((attempt) =>
    // the system has a timeout of its own, which is told as an error
    attempt.kind === "Timeout" && attempt.cause === undefined ? cut(attempt.address, attempt.code) : attempt
  )
  return new ConnectFailed({
    target: options.target,
    kind: "Timeout",
    attempts: attempts.length === 0 ? [cut(options.host)] : attempts
  })
}
