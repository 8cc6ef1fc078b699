/** What is logged while a test runs. */
import { Cause, Layer, Logger, References } from "effect"

export interface Logged {
  /** Level, message, and the cause where there is one. */
  readonly lines: Array<string>
  readonly layer: Layer.Layer<never>
}

/** What the library says once where it works on public API alone, which is tested in `runtime/effectInternals.test.ts`. */
const notice = "effect-byte-streams works on Effect's public API alone"

/** Collects everything, whatever its level. */
export const logged = (): Logged => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (String(message).startsWith(notice)) return
    const parts = [logLevel, ...[message].flat()]
    if (cause.reasons.length > 0) parts.push(Cause.pretty(cause))
    lines.push(parts.join(" "))
  })
  return { lines, layer: Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel)("All")) }
}
