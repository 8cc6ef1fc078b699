/**
 * What does not pass on a runtime, by name and with its reason. `npm run test:runtimes` prints the list, and fails where
 * it is not true: where something fails that is not in it, where something in it passes, or is no longer there.
 *
 * An exception is the last resort. What the library can do right by what it finds is mended, and so is a test that asks
 * for what only Node has without being about it.
 */
import type { Runtime } from "./names.ts"

interface Common {
  readonly on: ReadonlyArray<Runtime>
  readonly reason: string
  /** Where the runtime's own people know of it. */
  readonly issue?: `https://github.com/${string}/issues/${number}` | `https://github.com/${string}/pull/${number}`
}

export type Exception = Common &
  (
    | {
        /** Every one of them fails. */
        readonly kind: "fails"
        readonly file: string
        /** Whole names, as Vitest prints them: `group > test`. The name of a group stands for all of its tests. */
        readonly tests: ReadonlyArray<string>
      }
    | {
        /** Not run, because it would end or stop the process, or because what it needs is not there. */
        readonly kind: "left out"
        /** A test file; or a folder, which ends in `/`, with all of its tests. */
        readonly file: string
        readonly tests: ReadonlyArray<string> | "all"
      }
  )

export const exceptions: ReadonlyArray<Exception> = [
  {
    on: ["node-22", "node-26", "bun", "deno"],
    kind: "left out",
    file: "test/cluster/processes.test.ts",
    tests: "all",
    reason: "minutes of processes that are killed, which test:cluster runs"
  },
  {
    on: ["node-22", "node-26", "bun", "deno"],
    kind: "left out",
    file: "test/cluster/gateways.test.ts",
    tests: "all",
    reason: "a minute of processes that are killed, which test:cluster runs"
  }
]
