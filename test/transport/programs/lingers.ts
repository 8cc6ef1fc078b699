/**
 * A program that says something and closes, and then has nothing left to do. Arguments: the kind of its connection, where
 * the other end listens (a server instead takes a client itself, and prints its port), how many bytes it says, and
 * "spoken to" if it does not before it was told something, which it does not read.
 *
 * Prints how the close went as soon as it is done, and keeps nothing alive from then on.
 */
import { NodeSocket } from "@effect/platform-node"
import { Deferred, Effect, type Scope } from "effect"
import { Connection, type Network, NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import * as Net from "node:net"

const [kind, at = "", size, first] = process.argv.slice(2)
const tcp = { host: "127.0.0.1", port: Number(at) }
const tls = { dangerouslyAcceptAnyCertificate: true }

const open = (): Effect.Effect<Connection.Connection, unknown, Network.Network | Scope.Scope> => {
  switch (kind) {
    case "Unix":
      return openConnection({ path: at })
    case "TLS":
      return openConnection({ ...tcp, tls })
    case "TLS with a way back":
      return openConnection({ ...tcp, tls: { ...tls, stoppable: true } })
    case "fromDuplex":
      return Connection.fromDuplex(Net.connect(tcp))
    case "fromPair": {
      const socket = Net.connect(tcp)
      return Connection.fromPair({ readable: socket, writable: socket })
    }
    case "fromSocket":
      return Effect.flatMap(NodeSocket.makeNet(tcp), (socket) => Connection.fromSocket(socket))
    default:
      return openConnection(tcp)
  }
}

const speak = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    if (first === "spoken to") while ((yield* reader.buffered) === 0) yield* Effect.sleep(1)
    writer.writeUnsafe(new Uint8Array(Number(size)).fill(120))
    return (yield* writer.close)._tag
  })

const served = Effect.gen(function* () {
  const done = yield* Deferred.make<string>()
  const server = yield* startServer({ host: "127.0.0.1", port: 0 }, (connection) =>
    Effect.flatMap(speak(connection), (outcome) => Deferred.succeed(done, outcome))
  )
  console.log(server.port)
  return yield* Deferred.await(done)
})

const program: Effect.Effect<string, unknown, Network.Network | Scope.Scope> =
  kind === "a server" ? served : Effect.flatMap(open(), speak)
console.log(await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))))
