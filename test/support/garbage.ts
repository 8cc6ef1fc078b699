/** The garbage collector of this process. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** What Bun has of its own; elsewhere it only shows itself where it is asked to. */
const { Bun } = globalThis as { readonly Bun?: { gc(force: boolean): void } }

export const collectGarbage = (): void => {
  if (Bun !== undefined) return Bun.gc(true)
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
}
