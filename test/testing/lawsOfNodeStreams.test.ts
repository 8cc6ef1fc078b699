/**
 * The laws of a byte stream, over streams of Node's, over one of Effect's sockets, and over a network in memory that cuts
 * everything into small pieces.
 */
import { Deferred, Effect, type Scope } from "effect"
import { Socket } from "effect/socket"
import { Connection } from "effect-byte-streams"
import type * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as Net from "node:net"
import { spawn } from "node:child_process"
import { type Duplex, PassThrough, type Readable, type Writable } from "node:stream"
import { PairTransport } from "../../src/internal/transport/pair.ts"
import { toTransport } from "../../src/internal/transport/effectSocket.ts"
import { httpBodies, httpServer } from "../support/httpBodies.ts"
import { checkLaws, type Subject } from "../support/laws.ts"
import {
  lending,
  linkedPair,
  neverAnEnd,
  writeIsNoEnd,
  overDuplexes,
  overMemory,
  overTransports,
  unix
} from "../support/streamSubjects.ts"

const host = "127.0.0.1"

/** Two sockets of Node's, as Node makes them: they end as soon as their peer does. */
const sockets = Effect.gen(function* () {
  const server = Net.createServer()
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, host, () => resume(Effect.void))),
    () => Effect.sync(() => server.close())
  )
  const accepted = yield* Deferred.make<Net.Socket>()
  server.on("connection", (socket) => Deferred.doneUnsafe(accepted, Effect.succeed(socket)))
  const left = Net.connect({ host, port: (server.address() as Net.AddressInfo).port })
  return [left, yield* Deferred.await(accepted)] as const
})

const overPairs = (
  name: string,
  make: Effect.Effect<
    { readonly [Side in "left" | "right"]: { readonly readable: Readable; readonly writable: Writable } },
    never,
    Scope.Scope
  >
): Subject => ({
  name,
  transports: Effect.map(make, ({ left, right }) => ({
    left: new PairTransport(left),
    right: new PairTransport(right)
  })),
  pair: (options) =>
    Effect.flatMap(make, ({ left, right }) =>
      Effect.all({ left: Connection.fromPair(left, options), right: Connection.fromPair(right, options) })
    )
})

const crossed = (there: Duplex, back: Duplex) => ({
  left: { readable: back, writable: there },
  right: { readable: there, writable: back }
})

/** A process that passes on what it is given. */
const cat = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => spawn("cat", { stdio: ["pipe", "pipe", "ignore"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  ),
  ({ stdin, stdout }) => ({ stdin, stdout })
)

const hostile: TestNetwork.Path = { chunking: { random: { most: 20_000 } }, capacity: 30_000 }

/** Two of Effect's sockets, over web streams, which keep the memory they are given until the other end reads it. */
const effectSockets = Effect.gen(function* () {
  const pipe = () => new TransformStream<Uint8Array>({}, { highWaterMark: 16 }, { highWaterMark: 16 })
  const [there, back] = [pipe(), pipe()]
  const end = (input: typeof there, output: typeof there) =>
    Effect.flatMap(
      Socket.fromTransformStream(Effect.succeed({ readable: input.readable, writable: output.writable })),
      toTransport
    )
  return { left: yield* end(back, there), right: yield* end(there, back) }
})

const goneAsAWhole = "an Effect socket that has come to its end is gone as a whole: it knows no half-close"

const subjects: ReadonlyArray<Subject> = [
  overMemory("a network in memory, in small pieces, with little room", { fromClient: hostile, fromServer: hostile }),
  lending(unix),
  overDuplexes(
    "a Node Duplex that does not allow half-closing, and decodes",
    Effect.sync(() => linkedPair({ allowHalfOpen: false })),
    (duplex) => duplex.setEncoding("latin1")
  ),
  overDuplexes("a socket of Node's", sockets),
  overPairs(
    "two PassThroughs",
    Effect.sync(() => crossed(new PassThrough(), new PassThrough()))
  ),
  overPairs("the bodies of a request of HTTP/1 and of its answer", Effect.flatMap(httpServer, httpBodies)),
  overPairs(
    "one Duplex, as both of two",
    Effect.sync(() => {
      const [left, right] = linkedPair({ allowHalfOpen: false })
      return { left: { readable: left, writable: left }, right: { readable: right, writable: right } }
    })
  ),
  {
    ...overPairs(
      "the pipes of processes",
      Effect.map(Effect.all([cat, cat]), ([there, back]) => ({
        left: { readable: back.stdout, writable: there.stdin },
        right: { readable: there.stdout, writable: back.stdin }
      }))
    ),
    except: {
      [neverAnEnd]: "who breaks off a pipe ends it in good order",
      "what came while the event loop stood still is in time": "the processes between may not have had their turn"
    },
    transportsExcept: {
      [writeIsNoEnd]: "who breaks off a pipe ends it in good order",
      "what is over before attach is told after it":
        "what a process has said is read to the end by Node when it exits, for nobody if nobody listens"
    }
  },
  {
    ...overTransports("an Effect socket", effectSockets),
    except: {
      [neverAnEnd]: "an Effect socket can be closed, and not broken off",
      "half-close: x, then the end, and the other direction goes on (trio L26, L29)": goneAsAWhole,
      "the answer to a half-close is whole, however late it is read": goneAsAWhole,
      "what was written before a close arrives, then the end (trio L12, L25)": goneAsAWhole
    },
    transportsExcept: {
      [writeIsNoEnd]: "an Effect socket can be closed, and not broken off",
      "onClose is the last call, and comes once": goneAsAWhole,
      "close hands over what was written, and is silent": goneAsAWhole
    }
  }
]

checkLaws(subjects)
