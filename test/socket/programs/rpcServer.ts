/** A server of remote procedure calls in a process of its own, to be killed. Says where it listens, as JSON. */
import { Effect, Layer, Redacted } from "effect"
import { NodeNetwork, Server } from "effect-byte-streams"
import { layerServer, Seen, serializations } from "../../support/rpc.ts"

const { ca, cert, key, path, port, serialization } = JSON.parse(process.argv[2]!) as {
  readonly port?: number
  readonly path?: string
  readonly serialization: string
  readonly ca?: string
  readonly cert: string
  readonly key: string
}

const server = Server.layerSocketServer({
  path,
  port,
  host: "127.0.0.1",
  tls: ca === undefined ? undefined : { identity: { cert, key: Redacted.make(key) }, ca, clientCertificate: "require" }
})
const [, serializationLive] = serializations.find(([name]) => name === serialization)!

const program = Effect.gen(function* () {
  const { address } = yield* Server.Server
  console.log(JSON.stringify({ port: address._tag === "UnixPathAddress" ? undefined : address.port }))
  return yield* Effect.never
})

Effect.runFork(
  program.pipe(
    Effect.provide(
      Layer.provideMerge(layerServer(new Seen()), server).pipe(
        Layer.provide(Layer.merge(NodeNetwork.layer, serializationLive))
      )
    )
  )
)
