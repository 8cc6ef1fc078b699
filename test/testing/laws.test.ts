/**
 * The laws of a byte stream, over everything here that claims to be one. A new kind of connection is one more entry.
 */
import { Deferred, Effect, Layer, type Scope } from "effect"
import { Socket } from "effect/socket"
import { Connection, type Network, NodeNetwork } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as Net from "node:net"
import { spawn } from "node:child_process"
import { type Duplex, duplexPair, type DuplexOptions, PassThrough, type Readable, type Writable } from "node:stream"
import { has } from "../../src/internal/node/nodeInternals.ts"
import { DuplexTransport } from "../../src/internal/transport/duplex.ts"
import { PairTransport } from "../../src/internal/transport/pair.ts"
import { toTransport } from "../../src/internal/transport/effectSocket.ts"
import { authority, certificates } from "../support/certificates.ts"
import { checkLaws, type Subject } from "../support/laws.ts"
import { lend } from "../support/lending.ts"
import { socketPath } from "../support/temporary.ts"

const host = "127.0.0.1"

/** Two ends of which neither outlives the other: Node's own pair leaves the one waiting for ever when the other is gone. */
const linkedPair = (options?: DuplexOptions) => {
  const [left, right] = duplexPair(options)
  left.on("close", () => right.destroy())
  right.on("close", () => left.destroy())
  return [left, right] as const
}

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

const overDuplexes = (
  name: string,
  make: Effect.Effect<readonly [Duplex, Duplex], never, Scope.Scope>,
  prepare: (duplex: Duplex) => void = () => {}
): Subject => {
  const prepared = Effect.map(make, ([left, right]) => {
    prepare(left)
    prepare(right)
    return { left, right }
  })
  return {
    name,
    transports: Effect.map(prepared, ({ left, right }) => ({
      left: new DuplexTransport(left),
      right: new DuplexTransport(right)
    })),
    pair: (options) =>
      Effect.flatMap(prepared, ({ left, right }) =>
        Effect.all({ left: Connection.fromDuplex(left, options), right: Connection.fromDuplex(right, options) })
      )
  }
}

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

const overTransports = (name: string, transports: Effect.Effect<StreamLaws.Transports, unknown, Scope.Scope>) => ({
  name,
  transports,
  pair: StreamLaws.fromTransports(transports)
})

const overNode = (name: string, ...where: Parameters<typeof StreamLaws.overNetwork>) =>
  overTransports(name, StreamLaws.overNetwork(...where).pipe(Effect.provide(NodeNetwork.layer)))

/** The same, reading into memory that is used again. */
const lending = (subject: Subject): Subject => ({
  ...subject,
  name: `${subject.name}, lending`,
  pair: (options) => Effect.tap(subject.pair(options), ({ left, right }) => Effect.andThen(lend(left), lend(right))),
  transports: Effect.tap(subject.transports!, ({ left, right }) =>
    Effect.sync(() => {
      for (const transport of [left, right]) {
        // without an engine right on its socket TLS has nothing to lend
        if (transport.lend === undefined && !has("directTls")) continue
        if (transport.lend === undefined) throw new Error(`${subject.name} cannot lend`)
        transport.lend()
      }
    })
  )
})

const hostile: TestNetwork.Path = { chunking: { random: { most: 20_000 } }, capacity: 30_000 }

/** The network is there as long as the two ends are. */
const overMemory = (name: string, options: TestNetwork.Options, where: Network.ListenOptions = { port: 0 }) =>
  overTransports(
    name,
    Effect.flatMap(Layer.build(TestNetwork.layerWith(options)), (services) =>
      Effect.provideContext(StreamLaws.overNetwork(where), services)
    )
  )

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
const neverAnEnd = "a reset is never an end, whoever hears of it first"
const endsInGoodOrder = {
  [neverAnEnd]: "who breaks off a Unix socket ends it in good order, unless something is left unread"
}
const goneAsAWhole = "an Effect socket that has come to its end is gone as a whole: it knows no half-close"

const tcp = overNode("TCP", { host, port: 0 })
const unix: Subject = {
  ...overTransports(
    "a Unix socket",
    Effect.flatMap(socketPath("laws.sock"), (path) => StreamLaws.overNetwork({ path })).pipe(
      Effect.provide(NodeNetwork.layer)
    )
  ),
  except: endsInGoodOrder
}
const tls = overNode(
  "TLS",
  { host, port: 0, tls: { identity: certificates.server.identity } },
  { host, tls: { ca: authority.cert } }
)

const subjects: ReadonlyArray<Subject> = [
  { name: "memory", pair: (options) => TestNetwork.pair(options) },
  overMemory("a network in memory", {}),
  overMemory("a network in memory, in small pieces, with little room", { fromClient: hostile, fromServer: hostile }),
  { ...overMemory("a Unix socket in memory", {}, { path: "/run/laws.sock" }), except: endsInGoodOrder },
  { name: "memory, lock-step", pair: (options) => TestNetwork.lockstep(options) },
  tcp,
  lending(tcp),
  unix,
  lending(unix),
  tls,
  lending(tls),
  overDuplexes(
    "a Node Duplex",
    Effect.sync(() => linkedPair())
  ),
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
      "onClose is the last call, and comes once": goneAsAWhole,
      "close hands over what was written, and is silent": goneAsAWhole
    }
  }
]

checkLaws(subjects)
