/**
 * What does not pass on a runtime, by name and with its reason. `npm run test:runtimes` prints the list, and fails where
 * it is not true: where something fails that is not in it, where something in it passes, or is no longer there.
 *
 * An exception is the last resort. What the library can do right by what it finds is mended, and so is a test that asks
 * for what only Node has without being about it.
 */
import { exceptionsOfBun } from "./exceptionsOfBun.ts"
import { exceptionsOfDeno } from "./exceptionsOfDeno.ts"
import { exceptionsOfTls } from "./exceptionsOfTls.ts"
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
  ...exceptionsOfTls,
  {
    on: ["bun"],
    kind: "fails",
    file: "test/socket/effectCases.test.ts",
    tests: [
      "Effect's own cases of opening > an open timeout of 50 ms is SocketOpenError Timeout, over TCP",
      "Effect's own cases of opening > an open timeout of 50 ms is SocketOpenError Timeout, over Unix"
    ],
    reason:
      "Bun drops the backlog that listen() is given for its own 512: the queue of the test's server never fills up",
    issue: "https://github.com/oven-sh/bun/pull/33786"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/socket/effectCases.test.ts",
    tests: ["Effect's own cases of opening > an open timeout of 50 ms is SocketOpenError Timeout, over Unix"],
    reason: "the queue of a Unix server takes one more than its backlog on Deno: that of the test's server is not full"
  },
  {
    on: ["bun", "deno"],
    kind: "fails",
    file: "test/protocols/http2.test.ts",
    tests: [
      "the client of HTTP/2, and the server of Node > settings that change meanwhile hold: the table of headers, the windows, how many at once"
    ],
    reason: "the peer is node:http2, which is another there, and does not do what the test asks of Node's"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/protocols/http2.test.ts",
    tests: [
      "the client of HTTP/2, and the server of Node > a request that is refused is safe to send again, one that is reset is not, and one that was answered has not failed"
    ],
    reason: "the peer is node:http2, which is another there, and resets with another code than Node's"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/base/realms.test.ts",
    tests: ["certificates, keys and sessions of another realm are taken"],
    reason: "a client is given no session to resume: there is no event for it",
    issue: "https://github.com/denoland/deno/issues/30305"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/observe/endings.test.ts",
    tests: [
      "what is told of a connection over TLS > each side ends its output, and then closes",
      "what is told of a connection over TLS with a way back > each side ends its output, and then closes",
      "what is told of a connection over TLS in memory > each side ends its output, and then closes"
    ],
    reason: "half-close over TLS: what is written behind the peer's close_notify is not sent",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun", "deno"],
    kind: "left out",
    file: "test/testing/lawsOfPeers.test.ts",
    tests: [
      ...[
        "any bytes-like value goes (trio L3)",
        "small buffers carry everything",
        "a line of the limit is a line, one byte more is not",
        "what was written before a close arrives, then the end (trio L12, L25)",
        "a close that nobody waits for any more still closes (trio L15)",
        "whatever those do who are woken by a close, it goes on",
        "half-close: x, then the end, and the other direction goes on (trio L26, L29)",
        "the answer to a half-close is whole, however late it is read",
        "after writeEof writing is over, and writeEof may be repeated (trio L27, L28)",
        "the end of a session is seen by those who do not read",
        "reading what is there makes room for what comes",
        "a reader that pauses holds the writer back, and nothing is lost",
        "many may wait to write and to drain (unlike trio L19, L20, L30)",
        "stopping and going on, again and again, loses nothing",
        "a read that was given up leaves everything as it was (trio L16)"
      ].map((law) => `ranks 39, 43: laws of streams: standard input and output > ${law}`),
      ...[
        "what is over before attach is told after it",
        "end is told once, behind everything, and the other direction goes on",
        "what is cut off is not told as complete",
        "close hands over what was written, and is silent",
        "a close that has begun is not undone by the end of a scope",
        "the end comes behind what the system has yet to take"
      ].map((law) => `ranks 39, 43: laws of transports: standard input and output > ${law}`)
    ],
    reason:
      "they need the end of the output of a process that goes on: process.stdout.end() leaves the descriptor open until it exits, Bun keeps another one of it, and on Deno neither fs.closeSync(1) nor Deno.stdout.close() closes it; each would wait for a minute"
  },
  ...exceptionsOfBun,
  ...exceptionsOfDeno,
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
    on: ["node-22", "node-26", "bun", "deno"],
    kind: "left out",
    file: "test/testing/lawsInBrowser.test.ts",
    tests: "all",
    reason: "runs in Chromium, whatever runtime starts it; test:long runs it"
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
      "macOS > a stale path is replaced on linux, by a runtime that calls all that fails refused, after so many refusals as it takes to be sure",
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
  },
  {
    on: ["bun", "deno"],
    kind: "fails",
    file: "test/node/listenUnix.test.ts",
    tests: [
      "rank 25 the path before the start > rank 25 who takes a stale path at the same moment keeps it",
      "rank 25 the path before the start > rank 25 who takes the path while it is removed at close keeps it",
      "rank 25 the path before the start > rank 25 a path that is taken and left again and again is given up on"
    ],
    reason: "what a test puts into node:fs and node:net is not seen by modules that import them as namespaces"
  },
  {
    on: ["bun", "deno"],
    kind: "fails",
    file: "test/node/listenUnix.test.ts",
    tests: [
      "rank 25 the path before the start > rank 25 the longest path that a socket can have is listened on, in bytes and not in characters"
    ],
    reason:
      "net.connect({ path }) of 108 bytes is EINVAL on both, with 107 it connects: they keep a byte for the NUL at the end, which Linux does not ask for"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/node/listenUnix.test.ts",
    tests: [
      "rank 25 the path before the start > rank 25 a path without room for another name beside it is listened on while one of a byte is free"
    ],
    reason:
      "server.listen({ path }) of 108 bytes is EINVAL: Deno keeps a byte for the NUL at the end, which Linux does not ask for"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/node/listenUnix.test.ts",
    tests: [
      "rank 25 the path before the start > rank 25 a stale path of another user's, in a directory with the sticky bit: AccessDenied at once",
      "rank 25 the path before the start > rank 25 a socket of another user's that we may not connect to: AccessDenied, and it is left alone",
      "rank 25 the path before the start > rank 25 the directory is not ours to write to: AccessDenied",
      "rank 25 the path before the start > rank 25 a relative path is that of the directory in which listening began, to the end",
      "rank 25 the path before the start > rank 25 a relative path may be short where the absolute one would be too long",
      "a path that leads to no server is of one kind, for those who connect and those who listen > a directory that we may not look into: AccessDenied",
      "a path that leads to no server is of one kind, for those who connect and those who listen > a relative path where the working directory is gone: NotFound"
    ],
    reason: "Vitest runs in threads on Bun, and a thread has no directory and no user of its own"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/connect/openConnection.test.ts",
    tests: [
      "openUnixConnection > the socket is not ours to write to: AccessDenied",
      "openUnixConnection > a relative path is that of the directory in which connecting began"
    ],
    reason: "Vitest runs in threads on Bun, and a thread has no directory and no user of its own"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/connect/openConnection.test.ts",
    tests: [
      "openUnixConnection > 700 clients at once of a server with defaults are all served",
      "openUnixConnection > where the queue stays full connecting is tried again, ever slower, until connectTimeout",
      "openUnixConnection > as soon as there is room in a queue that was full, whoever has waited is let in"
    ],
    reason:
      "a Unix socket whose queue is full is ECONNREFUSED: Bun does not pass on EAGAIN, and what is refused is not tried again",
    issue: "https://github.com/oven-sh/bun/pull/29182"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/connect/openConnection.test.ts",
    tests: [
      "openConnection fails typed > nobody answers within connectTimeout; the attempt is given up and leaves nothing"
    ],
    reason: "a server listens with a queue of 512, whatever its backlog is: none is full that a test could fill",
    issue: "https://github.com/oven-sh/bun/pull/33786"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/connect/happyEyeballs.test.ts",
    tests: [
      "happy eyeballs with real sockets > rank 24 the first address does not answer: the second wins, and the first attempt leaves nothing",
      "happy eyeballs with real sockets > rank 24 one does not answer and one refuses: both are told apart when the time is up"
    ],
    reason: "a server listens with a queue of 512, whatever its backlog is: none is full that a test could fill",
    issue: "https://github.com/oven-sh/bun/pull/33786"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/node/listen.test.ts",
    tests: ["options of listening > backlog: how many the system holds that have not been accepted"],
    reason: "a server listens with a queue of 512, whatever its backlog is",
    issue: "https://github.com/oven-sh/bun/pull/33786"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/connect/openConnection.test.ts",
    tests: [
      "openUnixConnection > where the queue stays full connecting is tried again, ever slower, until connectTimeout",
      "openUnixConnection > as soon as there is room in a queue that was full, whoever has waited is let in"
    ],
    reason:
      "a Unix socket listens with a backlog of one more than server.listen was asked for (strace shows it): the queue that the test fills has room for one more"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/node/addresses.test.ts",
    tests: [
      "every host that is asked for is listened on, whatever the others are > real sockets: :: and 0.0.0.0, on one port",
      "every host that is asked for is listened on, whatever the others are > real sockets: 0.0.0.0 and ::, on one port",
      "every host that is asked for is listened on, whatever the others are > real sockets: :: and 127.0.0.1, on one port",
      "every host that is asked for is listened on, whatever the others are > real sockets: 0:0:0:0:0:0:0:0 and 127.0.0.1, on one port",
      "every host that is asked for is listened on, whatever the others are > real sockets: IPv6 everywhere and IPv4 on one address is no more than that",
      'every host that is asked for is listened on, whatever the others are > real sockets: "::" alone serves IPv4 as well, and not with ipv6Only'
    ],
    reason:
      "server.listen passes over ipv6Only: a server on :: has IPv4 as well, and the other address of the port is in use",
    issue: "https://github.com/denoland/deno/issues/36168"
  },
  {
    on: ["bun", "deno"],
    kind: "fails",
    file: "test/node/addresses.test.ts",
    tests: ["what keeps a resolver from finding an address is not said of the host > a DNS server that is not there"],
    reason:
      "dns.Resolver says ETIMEOUT of a server that refuses, and not ECONNREFUSED; either is no word about the host"
  },
  {
    on: ["bun", "deno"],
    kind: "fails",
    file: "test/transport/unsent.test.ts",
    tests: [
      "Transport.unsent > TCP: becomes less while the peer reads a little, before the write is done",
      "Transport.unsent > Unix: becomes less while the peer reads a little, before the write is done"
    ],
    reason: "handles do not say how many bytes the system has yet to take (writeQueueSize)"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/protocols/smtp.test.ts",
    tests: [
      "the client, and exim, which passes on to the server > messages go over TLS, for those recipients who are not refused, with their dots and their line breaks",
      "the client, and exim, which passes on to the server > eight megabytes arrive byte for byte at the end",
      "the client, and exim, which passes on to the server > LOGIN is spoken where there is no PLAIN, and commands go one by one where there is no pipelining",
      "the client, and exim, which passes on to the server > a wrong password, a certificate of a stranger and a server without STARTTLS are refused"
    ],
    reason:
      "exim is given a socket for its input and its output: handles of sockets have no descriptor on Deno, and the child gets pipes"
  }
]
