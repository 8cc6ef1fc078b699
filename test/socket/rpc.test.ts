/** Effect's RPC over `Connection.layerSocket` and `Server.layerSocketServer`. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { openConnection, Server, StreamError } from "effect-byte-streams"
import { RpcClientError } from "effect/rpc"
import type { Socket } from "effect/socket"
import { logged } from "../support/logged.ts"
import { client, layerServer, Seen, serializations } from "../support/rpc.ts"
import { overSockets } from "../support/sockets.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

/** Connects again at once, so that a test takes no longer than it must. */
const soon = { retryPolicy: Schedule.spaced("10 millis") }

/** How each of several calls has failed, if it did as it should: by an error of the client's, and no defect. */
const failures = (exits: ReadonlyArray<Exit.Exit<unknown, unknown>>): ReadonlyArray<string> =>
  exits.map((exit) => {
    if (Exit.isSuccess(exit)) return "answered"
    if (Cause.hasInterrupts(exit.cause)) return "interrupted"
    const error = Cause.squash(exit.cause)
    if (Cause.hasDies(exit.cause) || !(error instanceof RpcClientError.RpcClientError)) return Cause.pretty(exit.cause)
    return `RpcClientError ${error.reason._tag}`
  })

for (const { kind, network, place } of overSockets) {
  for (const [name, serialization] of serializations) {
    describe(`RPC over ${kind}, ${name}`, () => {
      const layers = Layer.merge(network, serialization)

      const serving = Effect.gen(function* () {
        const at = yield* place
        const seen = new Seen()
        /** Starts, and returns what stops it. */
        const start = (options?: Parameters<typeof at.listen>[0]) =>
          Effect.gen(function* () {
            const scope = yield* Scope.fork(yield* Effect.scope)
            const services = yield* Layer.build(Layer.provideMerge(layerServer(seen), at.listen(options))).pipe(
              Scope.provide(scope)
            )
            return { server: Context.get(services, Server.Server), stop: Scope.close(scope, Exit.void) }
          })
        return { at, seen, start }
      })

      const served = (options?: Parameters<Effect.Success<typeof serving>["start"]>[0]) =>
        Effect.gen(function* () {
          const { at, seen, start } = yield* serving
          const { server, stop } = yield* start(options)
          return { at, seen, server, start, stop, client: yield* client(at.dial(), soon) }
        })

      it.live("calls are answered, short ones and long ones, many at once", () =>
        Effect.gen(function* () {
          const { client } = yield* served()
          const texts = Array.from({ length: 100 }, (_, i) => (i % 10 === 0 ? "ä€😀".repeat(20_000) : `text ${i}`))
          const answers = yield* within(
            "the answers",
            Effect.forEach(texts, (text) => client.echo({ text }), { concurrency: "unbounded" })
          )
          assert.deepStrictEqual(answers, texts)
        }).pipe(Effect.scoped, Effect.provide(layers))
      )

      it.live("errors and defects are those of their calls, and the connection goes on", () =>
        Effect.gen(function* () {
          const { client, server } = yield* served()
          const refused = yield* within("the error", Effect.flip(client.refuse({ why: "no" })))
          assert.deepInclude(refused, { _tag: "Refused", why: "no" })
          const died = yield* within("the defect", Effect.exit(client.die({ why: "boom" })))
          assert(Exit.isFailure(died))
          assert.isTrue(Cause.hasDies(died.cause))
          assert.include(String(Cause.squash(died.cause)), "boom")
          assert.strictEqual(yield* within("a later call", client.echo({ text: "still here" })), "still here")
          assert.strictEqual(yield* server.connections, 1)
        }).pipe(Effect.scoped, Effect.provide(layers))
      )

      it.live("streams come while calls go, and a slow consumer holds back the producer", () =>
        Effect.gen(function* () {
          const { client, seen } = yield* served()
          const counting = yield* Effect.forkChild(Stream.runCollect(client.count({ to: 1000 })))
          const echoed = yield* within(
            "the answers",
            Effect.forEach(
              Array.from({ length: 500 }, (_, i) => `${i}`),
              (text) => client.echo({ text }),
              { concurrency: 50 }
            )
          )
          assert.strictEqual(echoed.length, 500)
          assert.deepStrictEqual(
            yield* within("the numbers", Fiber.join(counting)),
            Array.from({ length: 1000 }, (_, i) => i + 1)
          )
          seen.counted = 0
          const taken = yield* Deferred.make<void>()
          const slow = yield* client.count({ to: 100_000 }).pipe(
            Stream.take(3),
            Stream.mapEffect((number) =>
              number === 3 ? Effect.as(Deferred.await(taken), number) : Effect.succeed(number)
            ),
            Stream.runCollect,
            Effect.forkChild
          )
          yield* eventually("it has begun", () => seen.counted > 3)
          yield* turns(50)
          assert.isBelow(seen.counted, 1000)
          yield* Deferred.succeed(taken, undefined)
          assert.deepStrictEqual(yield* within("three numbers", Fiber.join(slow)), [1, 2, 3])
        }).pipe(Effect.scoped, Effect.provide(layers))
      )

      it.live("an interruption of a call interrupts its handler, and of that call alone", () =>
        Effect.gen(function* () {
          const { client, seen } = yield* served()
          const [one, other] = yield* Effect.forEach(["one", "other"], (name) =>
            Effect.forkChild(client.wait({ name }), { startImmediately: true })
          )
          yield* eventually("both have begun", () => seen.begun.length === 2)
          yield* within("the interruption", Fiber.interrupt(one!))
          yield* eventually("its handler is told", () => seen.interrupted.length === 1)
          assert.deepStrictEqual(seen.interrupted, ["one"])
          assert.strictEqual(other!.pollUnsafe(), undefined)
        }).pipe(Effect.scoped, Effect.provide(layers))
      )

      it.live("a client that leaves, or breaks off, has its calls interrupted, and nothing is logged", () => {
        const { layer, lines } = logged()
        return Effect.gen(function* () {
          const { at, seen, server } = yield* served()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const leaving = yield* client(at.dial())
              yield* Effect.forkChild(leaving.wait({ name: "leaving" }), { startImmediately: true })
              yield* eventually("it has begun", () => seen.begun.includes("leaving"))
            })
          )
          yield* eventually("its call is interrupted", () => seen.interrupted.includes("leaving"))
          // in the middle of a message
          const breaking = yield* openConnection(at.dial())
          yield* breaking.writer.write('{"_tag":"Req')
          yield* eventuallyEffect(
            "it is there",
            Effect.map(server.connections, (count) => count === 2)
          )
          yield* breaking.abort
          yield* eventuallyEffect(
            "one is left",
            Effect.map(server.connections, (count) => count === 1)
          )
          yield* turns(20)
          assert.deepStrictEqual(lines, [])
        }).pipe(Effect.scoped, Effect.provide([layers, layer]))
      })

      // the bytes are others with another serialization, and nothing else is
      if (name === "ndjson")
        it.live("a client that floods and reads nothing is cut off by the write timeout, and others are served", () =>
          Effect.gen(function* () {
            const { at, client: other, server } = yield* served({ timeouts: { write: 100 } })
            yield* other.echo({ text: "it is connected" })
            const flooding = yield* client(at.dial({ limit: 1024 }), { deaf: true })
            const text = "x".repeat(20_000)
            yield* Effect.forkChild(
              Effect.forEach(Array.from({ length: 1000 }), () => flooding.echo({ text }), { concurrency: "unbounded" })
            )
            yield* eventuallyEffect(
              "it is there",
              Effect.map(server.connections, (count) => count === 2)
            )
            while ((yield* server.connections) > 1) {
              assert.strictEqual(yield* within("an answer", other.echo({ text: "me" })), "me")
            }
            assert.strictEqual(yield* within("an answer", other.echo({ text: "me" })), "me")
          }).pipe(Effect.scoped, Effect.provide(layers))
        )

      it.live("a restart in good order interrupts the calls in flight, and the next ones are answered", () =>
        Effect.gen(function* () {
          const { client, seen, start, stop } = yield* served()
          const waiting = yield* Effect.forkChild(Effect.exit(client.wait({ name: "one" })), { startImmediately: true })
          yield* eventually("it has begun", () => seen.begun.length === 1)
          yield* within("the end", stop, 5000)
          assert.deepStrictEqual(failures([yield* within("the call", Fiber.join(waiting))]), ["interrupted"])
          assert.deepStrictEqual(seen.interrupted, ["one"])
          yield* start()
          const answer = Effect.retry(client.echo({ text: "again" }), Schedule.spaced(5))
          assert.strictEqual(yield* within("the answer", answer), "again")
        }).pipe(Effect.scoped, Effect.provide(layers))
      )

      it.live("a call that is Rpc.uninterruptible is answered all the same, with all of its answer", () =>
        Effect.gen(function* () {
          const { client, seen, stop } = yield* served()
          const go = yield* Deferred.make<void>()
          seen.answer = Deferred.await(go)
          const name = "x".repeat(1_000_000)
          const waiting = yield* Effect.forkChild(Effect.exit(client.finish({ name })), { startImmediately: true })
          yield* eventually("it has begun", () => seen.begun.length === 1)
          const stopping = yield* Effect.forkChild(stop)
          yield* turns(20)
          assert.strictEqual(stopping.pollUnsafe(), undefined)
          yield* Deferred.succeed(go, undefined)
          const exit = yield* within("the answer", Fiber.join(waiting))
          assert.deepStrictEqual(exit, Exit.succeed(`${name} is done`))
          yield* within("the end", Fiber.join(stopping))
        }).pipe(Effect.scoped, Effect.provide(layers))
      )

      it.live(
        "a connection that breaks fails its calls with RpcClientError, and no defect, also with 10 MB unsent",
        () =>
          Effect.gen(function* () {
            const { client, seen, server } = yield* served()
            yield* client.echo({ text: "it is connected" })
            const waiting = yield* Effect.forkChild(Effect.exit(client.wait({ name: "one" })), {
              startImmediately: true
            })
            yield* eventually("it has begun", () => seen.begun.length === 1)
            const calls = yield* Effect.forEach(Array.from({ length: 20 }), () =>
              Effect.forkChild(Effect.exit(client.echo({ text: "x".repeat(500_000) })), { startImmediately: true })
            )
            yield* server.abortClients
            const exits = yield* within("the calls", Fiber.joinAll([waiting, ...calls]))
            // Unix sockets know no reset
            const expected =
              kind === "Unix"
                ? ["RpcClientError SocketCloseError", "RpcClientError SocketReadError"]
                : ["RpcClientError SocketReadError"]
            for (const failure of failures(exits)) assert.include(expected, failure)
            const answer = Effect.retry(client.echo({ text: "again" }), Schedule.spaced(5))
            assert.strictEqual(yield* within("the next call", answer), "again")
          }).pipe(Effect.scoped, Effect.provide(layers))
      )
    })
  }
}

describe("RPC and a certificate that is not trusted", () => {
  const tls = overSockets.find(({ kind }) => kind === "TLS")!
  const [, ndjson] = serializations[0]

  it.live("calls fail with its error, it is tried again, and a policy that looks at the error ends that", () =>
    Effect.gen(function* () {
      const at = yield* tls.place
      yield* Layer.build(
        Layer.provideMerge(layerServer(new Seen()), at.listen({ onHandshakeError: () => Effect.void }))
      )
      const seen: Array<string> = []
      const wrong = ({ reason }: Socket.SocketError) =>
        reason._tag === "SocketOpenError" && reason.cause instanceof StreamError.TlsFailed
          ? reason.cause.kind
          : reason._tag
      const retryPolicy = Schedule.spaced("5 millis").pipe(
        Schedule.setInputType<Socket.SocketError>(),
        Schedule.tap(({ input }) => Effect.sync(() => void seen.push(wrong(input)))),
        Schedule.while(() => seen.length < 3)
      )
      const distrustful = yield* client({ ...at.dial(), tls: { serverName: "localhost" } }, { retryPolicy })
      yield* eventually("it has given up", () => seen.length === 3)
      yield* turns(20)
      assert.deepStrictEqual(seen, ["Certificate", "Certificate", "Certificate"])
      const failed = yield* within("a call", Effect.flip(distrustful.echo({ text: "anybody?" })))
      assert(failed.reason._tag === "SocketOpenError")
      assert.deepInclude(failed.reason.cause, { _tag: "TlsFailed", kind: "Certificate" })
    }).pipe(Effect.scoped, Effect.provide([tls.network, ndjson]))
  )
})
