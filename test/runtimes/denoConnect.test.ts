/**
 * The laws of a byte stream, over connections of Deno's (`Deno.connect`). Deno alone has them: this file is run by
 * `npm run test:runtimes`.
 */
import { Deferred, Effect } from "effect"
import { Connection, Network, NodeNetwork, type Transport } from "effect-byte-streams"
import { toTransport as webTransport } from "../../src/internal/transport/webStreams.ts"
import { type DenoConn, halfOpen } from "../support/denoStreams.ts"
import { checkLaws, type Subject } from "../support/laws.ts"

interface Conn extends DenoConn {
  readonly readable: ReadableStream
  readonly writable: WritableStream<Uint8Array<ArrayBuffer>>
}

const { Deno } = globalThis as unknown as {
  readonly Deno: { connect(to: { readonly hostname: string; readonly port: number }): Promise<Conn> }
}

const hostname = "127.0.0.1"

/** A connection of Deno's, and the one that a server of ours accepts from it. */
const ends = Effect.gen(function* () {
  const accepted = yield* Deferred.make<Transport.Transport>()
  const network = yield* Network.Network
  const listener = yield* network.listen({ host: hostname, port: 0 }, (transport) =>
    Deferred.doneUnsafe(accepted, Effect.succeed(transport))
  )
  const [address] = listener.addresses
  if (address._tag === "UnixPathAddress") return yield* Effect.die("no port")
  const { port } = address
  const conn = yield* Effect.promise(() => Deno.connect({ hostname, port }))
  return { conn, accepted: yield* Deferred.await(accepted) }
}).pipe(Effect.provide(NodeNetwork.layer))

const overDeno = (name: string, streamsOf: (conn: Conn) => Pick<Conn, "readable" | "writable">): Subject => ({
  name,
  transports: Effect.map(ends, ({ accepted, conn }) => {
    const { readable, writable } = streamsOf(conn)
    return { left: webTransport(readable, writable), right: accepted }
  }),
  pair: (options) =>
    Effect.flatMap(ends, ({ accepted, conn }) =>
      Effect.all({
        left: Connection.fromWebStreams(streamsOf(conn), options),
        right: Connection.fromTransport(accepted, options)
      })
    )
})

const isNoReset = "an abort of these streams is no reset"
const noReset = { "a reset is never an end, whoever hears of it first": isNoReset }
const rounds = {
  "what came while the event loop stood still is in time":
    "not always: Deno reads in rounds of its own, behind the one that is waited for"
}
const noResetOfTransports = { "a reset that a write meets first is never an end": isNoReset }
const wholeIsClosed =
  "the end of either of Deno's streams closes the connection (https://github.com/denoland/deno/issues/22258)"
const halvesApart = "Deno's writable is not told that the connection broke"

checkLaws([
  {
    ...overDeno("connections of Deno's, as streams whose halves end apart", halfOpen),
    cannot: noReset,
    except: rounds,
    transportsCannot: noResetOfTransports
  },
  {
    ...overDeno("connections of Deno's, as they are", (conn) => conn),
    except: rounds,
    cannot: {
      ...noReset,
      "a mebibyte each way at once (trio L23, L24)": wholeIsClosed,
      "half-close: x, then the end, and the other direction goes on (trio L26, L29)": wholeIsClosed,
      "the answer to a half-close is whole, however late it is read": wholeIsClosed,
      "a wait that is given up, wherever, changes nothing": wholeIsClosed
    },
    transportsCannot: {
      ...noResetOfTransports,
      "the end comes behind what the system has yet to take": wholeIsClosed,
      "end is told once, behind everything, and the other direction goes on": wholeIsClosed,
      "onClose is the last call, and comes once": wholeIsClosed,
      "what is over before attach is told after it": halvesApart,
      "after abort there is silence here, and an end there": halvesApart
    }
  }
])
