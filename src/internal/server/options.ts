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
  /** How many clients may be in a TLS handshake, if there is a bound. */
  readonly maxHandshakes: number | undefined
  readonly endsIdleReads: boolean
}

export const resolve = <E>(operation: string, options: Options<E>): ServerOptions<E> => {
  const session = SessionOptions.resolve(operation, options)
  const { backlog, maxHandshakes } = NetworkOptions.listen(operation, options)
  const { gracePeriod, maxConnections, onAcceptError, onHandlerError, onHandshakeError, overflow, whenDraining } =
    options
  const waits = overflow === undefined || Argument.oneOf(operation, "overflow", overflow, ["wait", "reject"]) === "wait"
  for (const [name, told] of Object.entries({ onAcceptError, onHandlerError, onHandshakeError })) {
    if (told !== undefined) Argument.func(operation, name, told)
  }
  const places =
    maxConnections === undefined
      ? Defaults.maxConnections
      : Argument.positive(operation, "maxConnections", maxConnections)
  return {
    session,
    gracePeriod:
      gracePeriod === undefined ? Defaults.gracePeriod : Argument.duration(operation, "gracePeriod", gracePeriod),
    maxConnections: places,
    maxWaiting: waits ? backlog : 0,
    // room for all who come at once and can be served or wait: none of those is given up
    maxHandshakes: maxHandshakes ?? (maxConnections === undefined ? undefined : places + backlog),
    endsIdleReads:
      whenDraining !== undefined &&
      Argument.oneOf(operation, "whenDraining", whenDraining, ["endIdleReads"]) === "endIdleReads",
    onAcceptError,
    onHandlerError,
    onHandshakeError
  }
}
