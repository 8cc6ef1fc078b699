/**
 * Effect's RPC over one connection, with its server and its client in one process: one way of connecting the two a process.
 * Started with the way, the serialization and the number of callers, it answers each message, a number of milliseconds,
 * with how many calls a second are answered.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Connection from "effect-byte-streams/Connection"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Server from "effect-byte-streams/Server"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { InetAddress } from "effect/net/NetAddress"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { SocketServer } from "effect/socket/SocketServer"

const [way, serialization, callers] = [process.argv[2]!, process.argv[3]!, Number(process.argv[4])]

const host = "127.0.0.1"

const calls = RpcGroup.make(Rpc.make("echo", { payload: { text: Schema.String }, success: Schema.String }))

interface Way {
  readonly server: Layer.Layer<SocketServer, unknown>
  readonly client: (port: number) => Layer.Layer<Socket.Socket, unknown>
}

const ways: Record<string, Way> = {
  effectSocket: {
    server: NodeSocketServer.layer({ host, port: 0, noDelay: true }),
    client: (port) => NodeSocket.layerNet({ host, port, noDelay: true })
  },
  layerSocket: {
    server: Layer.provide(Server.layerSocketServer({ host, port: 0 }), NodeNetwork.layer),
    client: (port) => Layer.provide(Connection.layerSocket({ host, port }), NodeNetwork.layer)
  }
}

const serializations: Record<string, Layer.Layer<RpcSerialization.RpcSerialization>> = {
  ndjson: RpcSerialization.layerNdjson,
  binary: RpcSerialization.layerSchemaBinary()
}

const begun = Effect.gen(function* () {
  const { client, server } = ways[way]!
  const sockets = yield* Layer.build(server)
  yield* Layer.build(
    RpcServer.layer(calls, { disableTracing: true }).pipe(
      Layer.provide(calls.toLayer({ echo: ({ text }) => Effect.succeed(text) })),
      Layer.provide(RpcServer.layerProtocolSocketServer),
      Layer.provide(Layer.succeedContext(sockets))
    )
  )
  const { port } = Context.get(sockets, SocketServer).address as InetAddress
  const protocol = yield* Layer.build(Layer.provide(RpcClient.layerProtocolSocket(), client(port)))
  return yield* Effect.provideContext(RpcClient.make(calls, { disableTracing: true }), protocol)
}).pipe(
  Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
  Effect.provide(serializations[serialization]!),
  Effect.runPromise
)

process.on("message", async (millis: number) => {
  const client = await begun
  const from = performance.now()
  const until = from + millis
  let answers = 0
  const text = "x".repeat(64)
  const caller = Effect.gen(function* () {
    while (performance.now() < until) {
      if ((yield* client.echo({ text })) !== text) throw new Error("another answer")
      answers++
    }
  })
  await Effect.runPromise(
    Effect.all(
      Array.from({ length: callers }, () => caller),
      { concurrency: "unbounded", discard: true }
    )
  )
  process.send!((answers / (performance.now() - from)) * 1000)
})

process.on("disconnect", () => process.exit())
