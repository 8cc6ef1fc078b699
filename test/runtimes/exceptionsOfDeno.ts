/** What does not pass over plain sockets and in processes of Deno, beside what the others lack as well. */
import type { Exception } from "./exceptions.ts"

/** With and without a way back, made by connecting and by `startTls`. */
const ways = [
  "TLS 1.3",
  "TLS 1.2",
  "TLS 1.3 with a way back",
  "TLS 1.2 with a way back",
  "TLS 1.3 made by startTls",
  "TLS 1.3 with a way back, made by startTls"
]
const cut = "what it sent is read, and then that it was cut, or the end where that is allowed"

const takesTheEndForAll =
  "what the system does not take at once of a write to a peer that has ended its output is EPIPE: Deno peeks (MSG_PEEK), and takes the end of the input for that of the connection"

const saysBrokenPipe =
  "a write that fails is tried again, and says EPIPE whatever was wrong (strace shows the ECONNRESET before): over TCP that counts as a reset, though it may be none"

export const exceptionsOfDeno: ReadonlyArray<Exception> = [
  {
    on: ["deno"],
    kind: "fails",
    file: "test/session/closeOnSockets.test.ts",
    tests: ["TCP: a transport that is closed > still sends what it holds, to a peer that has ended its output as well"],
    reason: takesTheEndForAll,
    issue: "https://github.com/denoland/deno/pull/33860"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/testing/laws.test.ts",
    tests: ["TCP", "TCP, lending"].map(
      (transport) =>
        `ranks 39, 43: laws of transports: ${transport} > the end of the peer takes nothing from what is still sent to it`
    ),
    reason: takesTheEndForAll,
    issue: "https://github.com/denoland/deno/pull/33860"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/session/ending.test.ts",
    tests: [
      "rank 9 data that arrived before a reset is read before the error > rank 9 a peer that left in good order, and that we still write to: the end is a clean one, TCP"
    ],
    reason: saysBrokenPipe
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/transport/reset.test.ts",
    tests: [
      "TCP: a peer that leaves in good order > is gone, and written to again and again, while nobody reads: what it sent is read, and then its end",
      ...ways.flatMap((way) => [
        `${way}: a peer that leaves without a word > is gone, and written to again and again, while nobody reads: ${cut}`,
        `${way}: a peer that leaves without a word > is gone, and told of this side's end behind what it is written, while nobody reads: ${cut}`
      ])
    ],
    reason: saysBrokenPipe
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/transport/process.test.ts",
    tests: ["a program on its standard input and output > half-closes: its peer sees the end, and is still read"],
    reason: "process.stdout.end() leaves the descriptor open until the process exits"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/transport/linger.test.ts",
    tests: [
      "the process: TLS > stays for one that goes on speaking, which reads everything and the end, but not for ever",
      "the process: TLS with a way back > stays for one that goes on speaking, which reads everything and the end, but not for ever"
    ],
    reason:
      "the peer, a bare socket of node:tls that is paused, does not come to its end when it reads on: 300 kB from a bare client are enough"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/server/maxConnections.test.ts",
    tests: [
      "out of descriptors > row 10.9, rank 28: serves on when there are some again, and spends no time on it meanwhile"
    ],
    reason: "Deno panics when the process has no descriptors left"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/node/nodeInternals.test.ts",
    tests: [
      "of another make > handles do not say how much they hold: the laws hold",
      "of another make > a failed write is tried again: the laws hold",
      "of another make > the end overtakes a write: the laws hold",
      "of another make > handles have no number: the laws hold",
      "of another make, and it does not look like it"
    ],
    reason:
      "handles have neither writeQueueSize nor fd on Deno: there is nothing for the test to take away, and the laws hold without"
  },
  {
    on: ["deno"],
    kind: "left out",
    file: "test/cluster/simulatedSeeds.test.ts",
    // those over mutual TLS; that no message is missing with them holds
    tests: [9, 30].map((seed) => `the same seed gives the same timeline, ids aside > seed ${seed}`),
    reason:
      "not always: Deno's TLS engine passes on what it has decrypted in rounds of its own, and what two connections bring in the same millisecond may change places"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/project/unit.test.ts",
    tests: ["npm run test:unit > fails a test that touches the world, whatever the test makes of it"],
    reason:
      "the guard of unit tests is for the project's own Node: what it puts into node:child_process and node:worker_threads is not seen by modules that import them by name"
  }
]
