/** The laws of a byte stream, over sockets such as those of Cloudflare's Workers. */
import { Deferred, Effect } from "effect"
import { Connection, Network, NodeNetwork, type Transport } from "effect-byte-streams"
import { toTransport as webTransport } from "../../src/internal/transport/webStreams.ts"
import { checkLaws, type Subject } from "../support/laws.ts"
import { connect, type WorkersSocketOptions } from "../support/workersSocket.ts"

const hostname = "127.0.0.1"

/** A socket of a Worker's, and the connection that a server of ours accepts from it. */
const ends = (options: WorkersSocketOptions) =>
  Effect.gen(function* () {
    const accepted = yield* Deferred.make<Transport.Transport>()
    const network = yield* Network.Network
    const listener = yield* network.listen({ host: hostname, port: 0 }, (transport) =>
      Deferred.doneUnsafe(accepted, Effect.succeed(transport))
    )
    const [address] = listener.addresses
    if (address._tag === "UnixPathAddress") return yield* Effect.die("no port")
    const socket = connect({ hostname, port: address.port }, options)
    return { socket, accepted: yield* Deferred.await(accepted) }
  }).pipe(Effect.provide(NodeNetwork.layer))

const overWorkers = (name: string, options: WorkersSocketOptions): Subject => ({
  name,
  transports: Effect.map(ends(options), ({ accepted, socket }) => ({
    left: webTransport(socket.readable, socket.writable),
    right: accepted
  })),
  pair: (sessionOptions) =>
    Effect.flatMap(ends(options), ({ accepted, socket }) =>
      Effect.all({
        left: Connection.fromWebStreams(socket, sessionOptions),
        right: Connection.fromTransport(accepted, sessionOptions)
      })
    )
})

const isNoReset = "an abort of these streams is no reset"
const noReset = { "a reset is never an end, whoever hears of it first": isNoReset }
const noResetOfTransports = { "a reset that a write meets first is never an end": isNoReset }
const closesItself = "without allowHalfOpen a socket ends its output once its input has ended"

checkLaws([
  {
    ...overWorkers("sockets of Workers with allowHalfOpen", { allowHalfOpen: true }),
    cannot: noReset,
    transportsCannot: noResetOfTransports
  },
  {
    ...overWorkers("sockets of Workers", {}),
    cannot: {
      ...noReset,
      "half-close: x, then the end, and the other direction goes on (trio L26, L29)": closesItself,
      "the answer to a half-close is whole, however late it is read": closesItself
    },
    transportsCannot: {
      ...noResetOfTransports,
      "end is told once, behind everything, and the other direction goes on": closesItself,
      "the end comes behind what the system has yet to take": closesItself
    }
  }
])
