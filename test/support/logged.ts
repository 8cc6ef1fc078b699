/** What is logged while a test runs. */
import { Cause, Layer, Logger, References } from "effect"

export interface Logged {
  /** Level, message, and the cause where there is one. */
  readonly lines: Array<string>
  readonly layer: Layer.Layer<never>
}

/** Collects everything, whatever its level. */
export const logged = (): Logged => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    const parts = [logLevel, ...[message].flat()]
    if (cause.reasons.length > 0) parts.push(Cause.pretty(cause))
    lines.push(parts.join(" "))
  })
  return { lines, layer: Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel)("All")) }
}
