/** The options of every session, a client's and a server's alike: checked once, with their defaults. */
import type * as Duration from "effect/Duration"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import * as Watchdog from "../runtime/timeouts.ts"

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

/** Throws a `RangeError` where CPython raises `ValueError`. */
export const resolve = (operation: string, input: SessionInput): SessionOptions => {
  const { closeTimeout, limit, onScopeFailure, timeouts } = Argument.record(operation, "options", input)
  return {
    limit: limit === undefined ? Defaults.limit : Argument.limit(operation, limit),
    ...watermarks(operation, input),
    closeTimeout:
      closeTimeout === undefined ? Defaults.closeTimeout : Argument.duration(operation, "closeTimeout", closeTimeout),
    onScopeFailure:
      onScopeFailure === undefined
        ? "abort"
        : Argument.oneOf(operation, "onScopeFailure", onScopeFailure, ["abort", "flush"]),
    timeouts: Watchdog.resolve(operation, timeouts)
  }
}

/**
 * The options of one of Effect's own sockets. Such a socket tells every end as a failure, so that its scope fails, and
 * must send all the same what was accepted.
 */
export const ofSocket = <Input extends SessionInput>(
  operation: string,
  options: Input
): Input & { readonly onScopeFailure: "abort" | "flush" } => {
  const { closeTimeout, onScopeFailure } = Argument.record(operation, "options", options)
  return {
    ...options,
    closeTimeout: closeTimeout ?? Defaults.socketCloseTimeout,
    onScopeFailure: onScopeFailure ?? "flush"
  }
}

/** The low mark is a quarter of the high one, and the high one four times the low one, where only one is given. */
const watermarks = (
  operation: string,
  input: Pick<SessionInput, "highWaterMark" | "lowWaterMark">
): { readonly highWaterMark: number; readonly lowWaterMark: number } => {
  const given = (name: "highWaterMark" | "lowWaterMark") =>
    input[name] === undefined ? undefined : Argument.mark(operation, name, input[name])
  const low = given("lowWaterMark")
  const highWaterMark =
    given("highWaterMark") ?? (low === undefined ? Defaults.highWaterMark : Defaults.markRatio * low)
  const lowWaterMark = low ?? Math.floor(highWaterMark / Defaults.markRatio)
  if (lowWaterMark > highWaterMark) {
    throw new RangeError(`${operation}: highWaterMark (${highWaterMark}) must be >= lowWaterMark (${lowWaterMark})`)
  }
  return { highWaterMark, lowWaterMark }
}
