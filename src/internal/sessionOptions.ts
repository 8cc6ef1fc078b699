/** The options that every session has, whichever side opened it: checked once, with their defaults. */
import * as Duration from "effect/Duration"
import * as Argument from "./argument.ts"
import { defaultLimit } from "./readBuffer.ts"
import * as Watchdog from "./watchdog.ts"

/** As a user gives them. */
export interface SessionInput {
  readonly limit?: number | undefined
  readonly highWaterMark?: number | undefined
  readonly lowWaterMark?: number | undefined
  readonly closeTimeout?: Duration.Input | undefined
  readonly onScopeFailure?: "abort" | "flush" | undefined
  readonly timeouts?: Watchdog.Timeouts | undefined
}

/** As a session takes them. */
export interface SessionOptions {
  readonly limit: number
  readonly highWaterMark: number
  readonly lowWaterMark: number
  readonly closeTimeout: Duration.Duration
  readonly onScopeFailure: "abort" | "flush"
  readonly timeouts: Watchdog.Bounds | undefined
}

const defaultHighWaterMark = 65536
const defaultCloseTimeout = Duration.seconds(10)

/** Throws what CPython raises as `ValueError`. */
export const resolve = (operation: string, input: SessionInput): SessionOptions => ({
  limit: input.limit === undefined ? defaultLimit : Argument.limit(operation, input.limit),
  ...watermarks(operation, input),
  closeTimeout: input.closeTimeout === undefined ? defaultCloseTimeout : Duration.fromInputUnsafe(input.closeTimeout),
  onScopeFailure: input.onScopeFailure ?? "abort",
  timeouts: Watchdog.resolve(operation, input.timeouts)
})

/** The low mark is a quarter of the high one, and the high one four times the low one, where only one is given. */
const watermarks = (
  operation: string,
  input: Pick<SessionInput, "highWaterMark" | "lowWaterMark">
): { readonly highWaterMark: number; readonly lowWaterMark: number } => {
  const highWaterMark =
    input.highWaterMark ?? (input.lowWaterMark === undefined ? defaultHighWaterMark : 4 * input.lowWaterMark)
  const lowWaterMark = input.lowWaterMark ?? Math.floor(highWaterMark / 4)
  if (!(highWaterMark >= lowWaterMark && lowWaterMark >= 0)) {
    throw new RangeError(
      `${operation}: highWaterMark (${highWaterMark}) must be >= lowWaterMark (${lowWaterMark}) must be >= 0`
    )
  }
  return { highWaterMark, lowWaterMark }
}
