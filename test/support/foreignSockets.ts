/** The laws over sockets of another make that are two streams of the Web, connected to a server of ours. */
import { Deferred, Effect } from "effect"
import { Connection, Network, NodeNetwork, type Transport } from "effect-byte-streams"
import { toTransport } from "../../src/internal/transport/webStreams.ts"
import type { Subject } from "./laws.ts"

type Streams = Parameters<typeof Connection.fromWebStreams>[0]

type Connect = (address: { readonly hostname: string; readonly port: number }) => Streams | Promise<Streams>

/** The streams of a socket, and the connection that a server of ours accepts from it. */
const ends = (connect: Connect) =>
  Effect.gen(function* () {
    const accepted = yield* Deferred.make<Transport.Transport>()
    const network = yield* Network.Network
    const hostname = "127.0.0.1"
    const listener = yield* network.listen({ host: hostname, port: 0 }, (transport) =>
      Deferred.doneUnsafe(accepted, Effect.succeed(transport))
    )
    const [address] = listener.addresses
    if (address._tag === "UnixPathAddress") return yield* Effect.die("no port")
    const { port } = address
    const streams = yield* Effect.promise(async () => connect({ hostname, port }))
    return { streams, accepted: yield* Deferred.await(accepted) }
  }).pipe(Effect.provide(NodeNetwork.layer))

export const overForeignSockets = (name: string, connect: Connect): Subject => ({
  name,
  transports: Effect.map(ends(connect), ({ accepted, streams: { readable, writable } }) => ({
    left: toTransport(readable, writable),
    right: accepted
  })),
  pair: (options) =>
    Effect.flatMap(ends(connect), ({ accepted, streams }) =>
      Effect.all({
        left: Connection.fromWebStreams(streams, options),
        right: Connection.fromTransport(accepted, options)
      })
    )
})
