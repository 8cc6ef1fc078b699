/** Where the library works on public API alone: `npm run test:public-api`. */
import { publicOnly } from "../../src/internal/runtime/effectInternals.ts"

export { publicOnly }

declare module "vitest" {
  interface TaskMeta {
    /** Why a test is skipped where the library works on public API alone. */
    why?: string
  }
}

/**
 * The options of a test about a state that there is on Effect's private runtime only: skipped on public API, and the end
 * of the run says why.
 *
 *     it.effect("title", () => effect, onPrivateRuntime("there is no such state: …"))
 */
export const onPrivateRuntime = (why: string) => ({ skip: publicOnly, meta: { why } })

/** A read that waits is run by the call that brings its bytes, so nothing comes in between. */
export const nothingInBetween = onPrivateRuntime(
  "a read has what it waited for before the call that brought it returns"
)
