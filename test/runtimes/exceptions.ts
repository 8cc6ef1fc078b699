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
  },
  {
    on: ["node-22", "node-26", "bun"],
    kind: "left out",
    file: "test/runtimes/denoConnect.test.ts",
    tests: "all",
    reason: "Deno.connect is Deno's own"
  },
  {
    on: ["bun", "deno"],
    kind: "fails",
    file: "test/node/platforms.test.ts",
    tests: [
      "macOS > refuses while the queue of a server is full: the path of one that has room a moment later stays its own",
      "macOS > a stale path is replaced on darwin, after so many refusals as it takes to be sure",
      "macOS > a stale path is replaced on linux, after so many refusals as it takes to be sure",
      "where a socket cannot have two names"
    ],
    reason: "what a test puts into node:fs and node:net is not seen by modules that import them as namespaces"
  },
  {
    on: ["deno"],
    kind: "left out",
    file: "test/testing/lawsOfWorkers.test.ts",
    tests: [
      "ranks 39, 43: laws of streams: sockets of Workers with allowHalfOpen > what came while the event loop stood still is in time",
      "ranks 39, 43: laws of streams: sockets of Workers > what came while the event loop stood still is in time"
    ],
    reason:
      "not always: Deno reads in rounds of its own, behind the one that is waited for; streams of the Web ask once a round"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/node/platforms.test.ts",
    tests: [
      "Windows has no Unix sockets for Node > a pipe is listened on and connected to by the name that was given, and by no other"
    ],
    reason: "Vitest runs in threads on Bun, and a thread has no directory of its own to go to"
  }
]
