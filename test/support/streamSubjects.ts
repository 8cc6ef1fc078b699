/** Subjects for the laws: over Node's network, over the network in memory, and over streams of Node's. */
import { Effect, Layer, type Scope } from "effect"
import { type Duplex, duplexPair, type DuplexOptions } from "node:stream"
import * as Connection from "../../src/Connection.ts"
import { has } from "../../src/internal/node/nodeInternals.ts"
import { DuplexTransport } from "../../src/internal/transport/duplex.ts"
import type * as Network from "../../src/Network.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import * as StreamLaws from "../../src/testing/StreamLaws.ts"
import * as TestNetwork from "../../src/testing/TestNetwork.ts"
import type { Subject } from "./laws.ts"
import { lend } from "./lending.ts"
import { socketPath } from "./temporary.ts"

export const neverAnEnd = "a reset is never an end, whoever hears of it first"
export const writeIsNoEnd = "a reset that a write meets first is never an end"
const breaksOffInGoodOrder = "who breaks off a Unix socket ends it in good order, unless something is left unread"
export const endsInGoodOrder = {
  except: { [neverAnEnd]: breaksOffInGoodOrder },
  transportsExcept: { [writeIsNoEnd]: breaksOffInGoodOrder }
}

export const overTransports = (
  name: string,
  transports: Effect.Effect<StreamLaws.Transports, unknown, Scope.Scope>
) => ({
  name,
  transports,
  pair: StreamLaws.fromTransports(transports)
})

export const overNode = (name: string, ...where: Parameters<typeof StreamLaws.overNetwork>) =>
  overTransports(name, StreamLaws.overNetwork(...where).pipe(Effect.provide(NodeNetwork.layer)))

/** The same, reading into memory that is used again. */
export const lending = (subject: Subject): Subject => ({
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

/** The network is there as long as the two ends are. */
export const overMemory = (name: string, options: TestNetwork.Options, where: Network.ListenOptions = { port: 0 }) =>
  overTransports(
    name,
    Effect.flatMap(Layer.build(TestNetwork.layerWith(options)), (services) =>
      Effect.provideContext(StreamLaws.overNetwork(where), services)
    )
  )

export const unix: Subject = {
  ...overTransports(
    "a Unix socket",
    Effect.flatMap(socketPath("laws.sock"), (path) => StreamLaws.overNetwork({ path })).pipe(
      Effect.provide(NodeNetwork.layer)
    )
  ),
  ...endsInGoodOrder
}

/** Two ends of which neither outlives the other: Node's own pair leaves the one waiting for ever when the other is gone. */
export const linkedPair = (options?: DuplexOptions) => {
  const [left, right] = duplexPair(options)
  left.on("close", () => right.destroy())
  right.on("close", () => left.destroy())
  return [left, right] as const
}

export const overDuplexes = (
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
