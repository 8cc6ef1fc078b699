/** What does not pass on Bun alone, beside what is about the files and paths of Unix sockets. */
import type { Exception } from "./exceptions.ts"

type Tests = Readonly<Record<string, ReadonlyArray<string>>>

/** All that fails for one reason, by file. */
const failing = (reason: Pick<Exception, "reason" | "issue">, tests: Tests): ReadonlyArray<Exception> =>
  Object.entries(tests).map(([file, tests]) => ({ on: ["bun"], kind: "fails", file, tests, ...reason }))

export const exceptionsOfBun: ReadonlyArray<Exception> = [
  ...failing(
    {
      reason:
        "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
      issue: "https://github.com/oven-sh/bun/pull/43198"
    },
    {
      "test/socket/server.test.ts": [
        "Server.layerSocketServer, over TLS > a client that breaks off before run is forgotten, and one that has asked for something is served"
      ],
      "test/server/waitingClients.test.ts": [
        "clients that wait and leave, TLS > one that has asked and ended its output is answered when its turn comes, behind those who are there"
      ],
      "test/session/closeOnSockets.test.ts": [
        "TLS: close > two ends that only write do not wait for each other",
        "TLS: close > lets go of a peer that neither reads to the end nor leaves",
        "TLS: close > after the peer's end sends what was written, and is over at once"
      ],
      "test/session/ending.test.ts": [
        "rank 16 half-close > rank 16 writeEof, and then the reply is read, TLS",
        "rank 16 half-close > rank 16 the peer's end, and then our writes are delivered, TLS",
        "rank 16 half-close > rank 16 a server that answers at the end of the question, TLS"
      ],
      "test/node/sharedReadMemory.test.ts": ["TLS: many connections share the memory, and each gets its own bytes"],
      "test/transport/reset.test.ts": [
        "TLS 1.3: a peer that resets > after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.3: a peer that resets > after this side's end, when everything else has been read: what it sent is read, and then the connection is lost",
        "TLS 1.3: a peer that resets > while nobody reads, after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.2: a peer that resets > after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.2: a peer that resets > after this side's end, when everything else has been read: what it sent is read, and then the connection is lost",
        "TLS 1.2: a peer that resets > while nobody reads, after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back: a peer that resets > after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back: a peer that resets > after this side's end, when everything else has been read: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back: a peer that resets > while nobody reads, after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.2 with a way back: a peer that resets > after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.2 with a way back: a peer that resets > after this side's end, when everything else has been read: what it sent is read, and then the connection is lost",
        "TLS 1.2 with a way back: a peer that resets > while nobody reads, after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.3 made by startTls: a peer that resets > after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.3 made by startTls: a peer that resets > after this side's end, when everything else has been read: what it sent is read, and then the connection is lost",
        "TLS 1.3 made by startTls: a peer that resets > while nobody reads, after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back, made by startTls: a peer that resets > after this side's end: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back, made by startTls: a peer that resets > after this side's end, when everything else has been read: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back, made by startTls: a peer that resets > while nobody reads, after this side's end: what it sent is read, and then the connection is lost"
      ]
    }
  ),
  ...failing(
    {
      reason:
        "out of descriptors, Bun's server asks the system for the next client again and again, and closes none of those that it cannot take",
      issue: "https://github.com/oven-sh/bun/pull/32705"
    },
    {
      "test/server/maxConnections.test.ts": [
        "out of descriptors > row 10.9, rank 28: serves on when there are some again, and spends no time on it meanwhile"
      ]
    }
  ),
  ...failing(
    {
      reason:
        "what the system refused to send is sent again once the socket may be written to, which closes it with what was still to be read",
      issue: "https://github.com/oven-sh/bun/pull/43026"
    },
    {
      "test/transport/reset.test.ts": [
        "TCP: a peer that resets > and a write hears of it first: what it sent is read, and then the connection is lost",
        "TCP: a peer that resets > and a write with the end behind it hears of it first: what it sent is read, and then the connection is lost",
        "TLS 1.3: a peer that resets > behind its handshake, and writeEof comes next: what it sent is read, and then the connection is lost",
        "TLS 1.2: a peer that resets > behind its handshake, and writeEof comes next: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back: a peer that resets > behind its handshake, and writeEof comes next: what it sent is read, and then the connection is lost",
        "TLS 1.2 with a way back: a peer that resets > behind its handshake, and writeEof comes next: what it sent is read, and then the connection is lost",
        "TLS 1.3 made by startTls: a peer that resets > behind its handshake, and writeEof comes next: what it sent is read, and then the connection is lost",
        "TLS 1.3 with a way back, made by startTls: a peer that resets > behind its handshake, and writeEof comes next: what it sent is read, and then the connection is lost"
      ]
    }
  ),
  ...failing(
    {
      reason: "a server listens with a queue of 512, whatever its backlog is: none is full that a test could fill",
      issue: "https://github.com/oven-sh/bun/pull/33786"
    },
    {
      "test/node/descriptors.test.ts": [
        "nothing is left of connections > that were never opened: interrupted, or out of time"
      ]
    }
  ),
  ...failing(
    { reason: "the input of a process is not closed by destroy() while it has yet to take what was written" },
    {
      "test/transport/pair.test.ts": [
        "the pipes of a process > close is bounded by closeTimeout where it takes nothing"
      ]
    }
  ),
  ...failing(
    { reason: "process.stdout.end() leaves the descriptor open: who reads it sees no end before that of the process" },
    {
      "test/transport/process.test.ts": [
        "a program on its standard input and output > half-closes: its peer sees the end, and is still read"
      ]
    }
  ),
  {
    on: ["bun"],
    kind: "left out",
    file: "test/node/nodeInternals.test.ts",
    tests: ["left alone", "of another make"],
    reason:
      "private parts of Node are taken away one by one, and what is used then is counted: Bun does not have all of them to begin with"
  },
  ...failing(
    {
      reason:
        "what is done wrong here to a socket as Node's are is what the library looks out for on Bun, and gets right"
    },
    {
      "test/node/nodeInternals.test.ts": [
        "of another make, and it does not look like it > a failed write is tried again: a law says so",
        "of another make, and it does not look like it > the end overtakes a write: a law says so"
      ]
    }
  ),
  ...failing(
    {
      reason: "a server listens with a queue of 512, whatever its backlog is: none is full that a test could fill",
      issue: "https://github.com/oven-sh/bun/pull/33786"
    },
    {
      "test/runtime/stalls.test.ts": [
        "the event loop stands still while a connection is being opened, and the peer says nothing > connecting fails soon afterwards"
      ]
    }
  ),
  ...failing(
    {
      reason: "process.memoryUsage() does not count typed arrays before the garbage collector has looked",
      issue: "https://github.com/oven-sh/bun/pull/34406"
    },
    { "test/testing/frameLaws.test.ts": ["frames that are no good > bounded: one that makes room for what is claimed"] }
  ),
  ...failing(
    {
      reason:
        "the guard of unit tests is for the project's own Node: on Bun, what it puts into node:child_process and node:worker_threads is not seen by modules that import them by name, and Vitest has no processes"
    },
    {
      "test/project/unit.test.ts": [
        "npm run test:unit > fails a test that touches the world, whatever the test makes of it"
      ]
    }
  ),
  {
    on: ["bun"],
    kind: "left out",
    file: "test/testing/lawsOfWorkers.test.ts",
    tests: ["sockets of Workers with allowHalfOpen", "sockets of Workers"].map(
      (subject) =>
        `ranks 39, 43: laws of transports: ${subject} > cannot hold: a reset that a write meets first is never an end: an abort of these streams is no reset`
    ),
    reason:
      "not always: where what the peer writes is there before the socket is closed, the system resets by itself, and the law holds"
  },
  ...failing(
    { reason: "the pipes of a child are no sockets on Bun: what breaks them off is an error, as it is of any stream" },
    {
      "test/transport/pair.test.ts": [
        "the pipes of a process > an abort is no error of theirs: where a runtime watches them, nobody could hear it"
      ]
    }
  )
]
