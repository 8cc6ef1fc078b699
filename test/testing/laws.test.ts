/**
 * The laws of a byte stream, over everything here that claims to be one. A new kind of connection is one more entry.
 */
import { describe, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { Connection, NodeNetwork } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { duplexPair } from "node:stream"
import { vi } from "vitest"
import { DuplexTransport } from "../../src/internal/duplexTransport.ts"
import { authority, certificates } from "../support/certificates.ts"
import { socketPath } from "../support/temporary.ts"

// most of what the laws do is wait
vi.setConfig({ maxConcurrency: 8, testTimeout: 60_000 })

interface Subject {
  readonly name: string
  /** Connected transports, where there are any: they have laws of their own. */
  readonly transports?: Effect.Effect<StreamLaws.Transports, unknown, Scope.Scope>
  readonly pair: StreamLaws.MakePair<unknown>
}

const host = "127.0.0.1"

/** Two ends of which neither outlives the other: Node's own pair leaves the one waiting for ever when the other is gone. */
const linkedPair = () => {
  const [left, right] = duplexPair()
  left.on("close", () => right.destroy())
  right.on("close", () => left.destroy())
  return [left, right] as const
}

const overTransports = (name: string, transports: Effect.Effect<StreamLaws.Transports, unknown, Scope.Scope>) => ({
  name,
  transports,
  pair: StreamLaws.fromTransports(transports)
})

const overNode = (name: string, ...where: Parameters<typeof StreamLaws.overNetwork>) =>
  overTransports(name, StreamLaws.overNetwork(...where).pipe(Effect.provide(NodeNetwork.layer)))

const hostile: TestNetwork.Path = { chunking: { random: { most: 20_000 } }, capacity: 30_000 }

/** The network is there as long as the two ends are. */
const overMemory = (name: string, options: TestNetwork.Options) =>
  overTransports(
    name,
    Effect.flatMap(Layer.build(TestNetwork.layerWith(options)), (services) =>
      Effect.provideContext(StreamLaws.overNetwork({ port: 0 }), services)
    )
  )

const subjects: ReadonlyArray<Subject> = [
  { name: "memory", pair: (options) => TestNetwork.pair(options) },
  overMemory("a network in memory", {}),
  overMemory("a network in memory, in small pieces, with little room", { fromClient: hostile, fromServer: hostile }),
  { name: "memory, lock-step", pair: (options) => TestNetwork.lockstep(options) },
  overNode("TCP", { host, port: 0 }),
  overTransports(
    "a Unix socket",
    Effect.flatMap(socketPath("laws.sock"), (path) => StreamLaws.overNetwork({ path })).pipe(
      Effect.provide(NodeNetwork.layer)
    )
  ),
  overNode(
    "TLS",
    { host, port: 0, tls: { identity: certificates.server.identity } },
    { host, tls: { ca: authority.cert } }
  ),
  {
    name: "a Node Duplex",
    transports: Effect.sync(() => {
      const [left, right] = linkedPair()
      return { left: new DuplexTransport(left), right: new DuplexTransport(right) }
    }),
    pair: (options) =>
      Effect.suspend(() => {
        const [left, right] = linkedPair()
        return Effect.all({ left: Connection.fromDuplex(left, options), right: Connection.fromDuplex(right, options) })
      })
  }
]

for (const { name, pair } of subjects) {
  describe.concurrent(`laws of streams: ${name}`, () => {
    StreamLaws.suite(it, pair)
  })
}

for (const { name, transports } of subjects.filter((subject) => subject.transports !== undefined)) {
  describe.concurrent(`laws of transports: ${name}`, () => {
    StreamLaws.transportSuite(it, transports!)
  })
}
