/** Effect's RPC over `Connection.toSocket`, at both ends: what its clients and handlers see of a connection's end. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, type Server } from "effect-byte-streams"
import type { Context } from "effect"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Schedule, Schema } from "effect"
import { Rpc, RpcClient, type RpcClientError, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { Socket, SocketServer } from "effect/socket"
import { NetAddress } from "effect/net"
import { everywhere } from "../support/servers.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const calls = RpcGroup.make(
  Rpc.make("echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("wait", { success: Schema.Void })
)

/** The program that a server offers. `wait` never answers, and says when it is asked. */
const program = (asked: Deferred.Deferred<void>) =>
  calls.toLayer({
    echo: ({ text }) => Effect.succeed(text),
    wait: () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
  })

/** Every socket that is offered is served by RPC, in a fiber that ends as the socket's handler does. */
const rpcServer = (asked: Deferred.Deferred<void>) =>
  Effect.gen(function* () {
    const handler = yield* Deferred.make<(socket: Socket.Socket) => Effect.Effect<unknown, unknown>>()
    const sockets = SocketServer.SocketServer.of({
      address: NetAddress.unixPathAddress("unused"),
      run: (handle) =>
        Effect.contextWith((context: Context.Context<any>) =>
          Effect.andThen(
            Deferred.succeed(handler, (socket) => Effect.provideContext(handle(socket), context)),
            Effect.never
          )
        )
    })
    yield* Layer.build(
      RpcServer.layer(calls).pipe(
        Layer.provide(program(asked)),
        Layer.provide(RpcServer.layerProtocolSocketServer),
        Layer.provide(Layer.succeed(SocketServer.SocketServer, sockets)),
        Layer.provide(RpcSerialization.layerNdjson)
      )
    )
    return yield* Deferred.await(handler)
  })

/** A client, and how often it has connected. */
const rpcClient = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    const seen = { connects: 0, disconnects: 0 }
    const hooks = RpcClient.ConnectionHooks.of({
      onConnect: Effect.sync(() => void seen.connects++),
      onDisconnect: Effect.sync(() => void seen.disconnects++)
    })
    const protocol = yield* Layer.build(
      RpcClient.layerProtocolSocket({ retryPolicy: Schedule.spaced("5 millis") }).pipe(
        Layer.provide(Layer.succeed(RpcClient.ConnectionHooks, hooks)),
        Layer.provide(Layer.succeed(Socket.Socket, Connection.toSocket(connection))),
        Layer.provide(RpcSerialization.layerNdjson)
      )
    )
    const client = yield* Effect.provideContext(RpcClient.make(calls), protocol)
    return { client, seen }
  })

const failureOf = (exit: Exit.Exit<unknown, RpcClientError.RpcClientError>) => {
  assert(Exit.isFailure(exit))
  const error = Cause.squash(exit.cause) as RpcClientError.RpcClientError
  const { reason } = error
  return reason._tag === "SocketCloseError"
    ? `${reason._tag} ${reason.code}`
    : `${reason._tag}: ${String(reason.cause)}`
}

for (const { kind, network, serve } of everywhere) {
  describe(`RPC over toSocket: ${kind}`, () => {
    const served = Effect.gen(function* () {
      const told: Array<Server.HandlerFailure> = []
      const asked = yield* Deferred.make<void>()
      const handle = yield* rpcServer(asked)
      const { client: connect, server } = yield* serve((connection) => handle(Connection.toSocket(connection)), {
        onHandlerError: (failure) => Effect.sync(() => void told.push(failure))
      })
      const connection = yield* connect()
      return { ...(yield* rpcClient(connection)), asked, connection, server, told }
    })

    it.live("calls are answered", () =>
      Effect.gen(function* () {
        const { client } = yield* served
        assert.strictEqual(yield* within("the answer", client.echo({ text: "hello" })), "hello")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live(
      "closeClients is a close with code 1000 for a call under way and for later ones, and no failure of the handler",
      () =>
        Effect.gen(function* () {
          const { asked, client, seen, server, told } = yield* served
          const waiting = yield* Effect.forkChild(Effect.exit(client.wait()))
          yield* within("the call arrives", Deferred.await(asked))
          yield* within("closeClients", server.closeClients)
          assert.strictEqual(failureOf(yield* within("the call", Fiber.join(waiting))), "SocketCloseError 1000")
          // it tries again and again, and connects no more
          yield* eventually("it has tried again", () => seen.disconnects > 3)
          assert.strictEqual(seen.connects, 1)
          const later = yield* within("a later call", Effect.exit(client.echo({ text: "anybody?" })))
          assert.strictEqual(failureOf(later), "SocketCloseError 1000")
          yield* eventuallyEffect(
            "nobody is served any more",
            Effect.map(server.connections, (count) => count === 0)
          )
          assert.deepStrictEqual(told, [])
        }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("its own close is one for the client as well", () =>
      Effect.gen(function* () {
        const { asked, client, connection, seen } = yield* served
        const waiting = yield* Effect.forkChild(Effect.exit(client.wait()))
        yield* within("the call arrives", Deferred.await(asked))
        assert.deepStrictEqual(yield* within("the close", connection.writer.close), { _tag: "Graceful" })
        assert.strictEqual(failureOf(yield* within("the call", Fiber.join(waiting))), "SocketCloseError 1000")
        yield* eventually("it has tried again", () => seen.disconnects > 3)
        assert.strictEqual(seen.connects, 1)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("abortClients is told to no handler's failures either", () =>
      Effect.gen(function* () {
        const { asked, client, server, told } = yield* served
        const waiting = yield* Effect.forkChild(Effect.exit(client.wait()))
        yield* within("the call arrives", Deferred.await(asked))
        yield* within("abortClients", server.abortClients)
        assert.isTrue(Exit.isFailure(yield* within("the call", Fiber.join(waiting))))
        yield* eventuallyEffect(
          "nobody is served any more",
          Effect.map(server.connections, (count) => count === 0)
        )
        yield* turns()
        assert.deepStrictEqual(told, [])
      }).pipe(Effect.scoped, Effect.provide(network))
    )
  })
}
