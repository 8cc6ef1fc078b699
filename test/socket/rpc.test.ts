import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Connection, NodeNetwork, Server } from "effect-byte-streams"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"

const calls = RpcGroup.make(Rpc.make("double", { payload: { value: Schema.Number }, success: Schema.Number }))

describe("RPC", () => {
  it.live("answers", () =>
    Effect.gen(function* () {
      const { port } = yield* Server.Server
      const protocol = RpcClient.layerProtocolSocket().pipe(
        Layer.provide(Connection.layerSocket({ host: "127.0.0.1", port }))
      )
      const call = Effect.flatMap(RpcClient.make(calls), (client) => client.double({ value: 21 }))
      assert.strictEqual(yield* Effect.provide(call, protocol), 42)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        RpcServer.layer(calls).pipe(
          Layer.provide(calls.toLayer({ double: ({ value }) => Effect.succeed(2 * value) })),
          Layer.provide(RpcServer.layerProtocolSocketServer),
          Layer.provideMerge(Server.layerSocketServer({ host: "127.0.0.1", port: 0 })),
          Layer.provideMerge(Layer.merge(NodeNetwork.layer, RpcSerialization.layerNdjson))
        )
      )
    )
  )
})
