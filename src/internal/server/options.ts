/** The options of a server: checked once, with their defaults. */
import type * as Duration from "effect/Duration"
import type { Options } from "../../Server.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import * as NetworkOptions from "../base/networkOptions.ts"
import * as SessionOptions from "../session/options.ts"

export interface ServerOptions<E> extends Pick<Options<E>, "onAcceptError" | "onHandlerError" | "onHandshakeError"> {
  readonly session: SessionOptions.SessionOptions
  readonly gracePeriod: Duration.Duration
  readonly maxConnections: number
  /** How many clients wait for a place among these. */
  readonly maxWaiting: number
  readonly endsIdleReads: boolean
}

export const resolve = <E>(operation: string, options: Options<E>): ServerOptions<E> => {
  const session = SessionOptions.resolve(operation, options)
  const { backlog } = NetworkOptions.listen(operation, options)
  const { gracePeriod, maxConnections, onAcceptError, onHandlerError, onHandshakeError, overflow, whenDraining } =
    options
  const waits = overflow === undefined || Argument.oneOf(operation, "overflow", overflow, ["wait", "reject"]) === "wait"
  for (const [name, told] of Object.entries({ onAcceptError, onHandlerError, onHandshakeError })) {
    if (told !== undefined) Argument.func(operation, name, told)
  }
  return {
    session,
    gracePeriod:
      gracePeriod === undefined ? Defaults.gracePeriod : Argument.duration(operation, "gracePeriod", gracePeriod),
    maxConnections:
      maxConnections === undefined
        ? Defaults.maxConnections
        : Argument.positive(operation, "maxConnections", maxConnections),
    maxWaiting: waits ? backlog : 0,
    endsIdleReads:
      whenDraining !== undefined &&
      Argument.oneOf(operation, "whenDraining", whenDraining, ["endIdleReads"]) === "endIdleReads",
    onAcceptError,
    onHandlerError,
    onHandshakeError
  }
}
