/**
 * The laws of streams, over sockets of this library that are taken for connections again: what is between the two loses no
 * byte, and waits no longer than it must.
 */
import { Connection, Server } from "effect-byte-streams"
import { Context, Deferred, Effect, Layer } from "effect"
import { type Socket, SocketServer } from "effect/socket"
import type * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { checkLaws } from "../support/laws.ts"

/** A socket that has dialled, and that of its server, as connections. */
const pair =
  (socketOptions: Pick<Connection.Options, "onScopeFailure">): StreamLaws.MakePair<unknown> =>
  (options) =>
    Effect.gen(function* () {
      const network = Layer.succeedContext(yield* Layer.build(TestNetwork.layer))
      const listening = Layer.provide(Server.layerSocketServer({ port: 7, ...socketOptions }), network)
      const sockets = Context.get(yield* Layer.build(listening), SocketServer.SocketServer)
      const accepted = yield* Deferred.make<Socket.Socket>()
      yield* Effect.forkScoped(
        sockets.run((socket) => Effect.andThen(Deferred.succeed(accepted, socket), Effect.never)),
        { startImmediately: true }
      )
      const socket = yield* Effect.provide(Connection.makeSocket({ port: 7, ...socketOptions }), network)
      const left = yield* Connection.fromSocket(socket, options)
      const right = yield* Connection.fromSocket(yield* Deferred.await(accepted), options)
      return { left, right }
    })

const goneAsAWhole = "an Effect socket that has come to its end is gone as a whole: it knows no half-close"
const cannot = {
  "half-close: x, then the end, and the other direction goes on (trio L26, L29)": goneAsAWhole,
  "the answer to a half-close is whole, however late it is read": goneAsAWhole,
  "what was written before a close arrives, then the end (trio L12, L25)": goneAsAWhole
}
const except = {
  "a peer that breaks off wakes those who wait to write (trio L21)": "such a write is dropped, and the loss is read"
}
checkLaws([
  { name: "makeSocket and layerSocketServer", pair: pair({}), except, cannot },
  { name: "the same, with onScopeFailure: abort", pair: pair({ onScopeFailure: "abort" }), except, cannot }
])
