/** What a handler is given: its connection as argument and as services, the services around the server, a scope. */
import { assert, describe, it } from "@effect/vitest"
import {
  Connection,
  NodeNetwork,
  openConnection,
  Server,
  startServer,
  StreamReader,
  StreamWriter
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Context, Deferred, Effect, Exit, Fiber, Logger, Option, Scope, Tracer } from "effect"
import { authority, certificates } from "../support/certificates.ts"
import { eventually, eventuallyEffect, within } from "../support/wait.ts"
import { tcpAndTls } from "../support/tcpAndTls.ts"

const host = "127.0.0.1"

class Greeting extends Context.Service<Greeting, string>()("test/Greeting") {}

for (const { connectRaw, kind, startServer } of tcpAndTls) {
  describe(`over ${kind}`, () => {
    describe("the handler's context", () => {
      it.live("has the connection, its reader and its writer", () =>
        Effect.gen(function* () {
          const same = yield* Deferred.make<boolean>()
          const server = yield* startServer({ host, port: 0 }, (connection) =>
            Effect.gen(function* () {
              const reader = yield* StreamReader.StreamReader
              const writer = yield* StreamWriter.StreamWriter
              yield* Deferred.succeed(
                same,
                (yield* Connection.Connection) === connection &&
                  reader === connection.reader &&
                  writer === connection.writer
              )
              yield* writer.write(yield* reader.readLine)
            })
          )
          const client = yield* connectRaw(server.port)
          assert.isTrue(yield* within("the handler runs", Deferred.await(same)))
          yield* client.send("echo\n")
          yield* client.awaitText("echo\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("each client's handler has its own", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, () =>
            Effect.gen(function* () {
              const reader = yield* StreamReader.StreamReader
              const writer = yield* StreamWriter.StreamWriter
              yield* writer.write(yield* reader.readLine)
            })
          )
          const clients = yield* Effect.all(Array.from({ length: 20 }, () => connectRaw(server.port)))
          for (const [i, client] of clients.entries()) yield* client.send(`I am ${i}\n`)
          for (const [i, client] of clients.entries()) {
            yield* client.awaitClosed
            assert.strictEqual(client.text, `I am ${i}\n`)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("has the services that the server was started with", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, ({ writer }) =>
            Effect.flatMap(Greeting, (greeting) => writer.write(`${greeting}\n`))
          ).pipe(Effect.provideService(Greeting, "good day"))
          const client = yield* connectRaw(server.port)
          yield* client.awaitText("good day\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(
        "has a scope of the connection: its finalizers run when the handler ends, while the client still listens",
        () =>
          Effect.gen(function* () {
            const exits: Array<string> = []
            const server = yield* startServer(
              { host, port: 0, onHandlerError: () => Effect.void },
              ({ reader, writer }) =>
                Effect.gen(function* () {
                  yield* Effect.addFinalizer((exit) =>
                    Effect.andThen(
                      Effect.sync(() => exits.push(exit._tag)),
                      Effect.ignore(writer.write("goodbye\n"))
                    )
                  )
                  const line = yield* reader.readLine
                  if (line.length > 3) return yield* Effect.fail("too long")
                })
            )
            const client = yield* connectRaw(server.port)
            yield* client.send("ok\n")
            yield* client.awaitText("goodbye\n")
            yield* client.awaitClosed
            assert.deepStrictEqual(exits, ["Success"])
            const another = yield* connectRaw(server.port)
            yield* another.send("not ok\n")
            yield* another.awaitClosed
            assert.deepStrictEqual(exits, ["Success", "Failure"])
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("fibers that a handler forks into its scope end with it", () =>
        Effect.gen(function* () {
          let ticking = 0
          const ended = yield* Deferred.make<void>()
          const server = yield* startServer({ host, port: 0 }, ({ reader }) =>
            Effect.gen(function* () {
              const tick = Effect.forever(
                Effect.delay(
                  Effect.sync(() => ticking++),
                  1
                )
              )
              yield* Effect.forkScoped(Effect.onExit(tick, () => Deferred.succeed(ended, undefined)))
              yield* reader.readLine
            })
          )
          const client = yield* connectRaw(server.port)
          yield* eventually("it ticks", () => ticking > 2)
          yield* client.send("\n")
          yield* client.awaitClosed
          yield* within("it ticks no more", Deferred.await(ended))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("the scope that a connection was opened in does not own what its handler opens", () =>
        Effect.gen(function* () {
          const scopes: Array<Scope.Scope> = []
          const outer = yield* Effect.scope
          const server = yield* startServer({ host, port: 0 }, () =>
            Effect.flatMap(Effect.scope, (scope) => Effect.sync(() => void scopes.push(scope)))
          )
          for (let i = 0; i < 2; i++) yield* (yield* connectRaw(server.port)).awaitClosed
          assert.strictEqual(new Set([outer, ...scopes]).size, 3)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("the span in which a server was started", () => {
      it.live("is none of its handlers', nor of what is told and logged of them", () => {
        const spans: Array<readonly [where: string, parent: string | undefined]> = []
        const note = (where: string) =>
          Effect.withFiber((fiber) => {
            const parent = Context.getOption(fiber.context, Tracer.ParentSpan)
            return Effect.sync(() => spans.push([where, Option.isSome(parent) ? parent.value.spanId : undefined]))
          })
        const logger = Logger.make(({ fiber }) => {
          spans.push(["log", fiber.cache.span?.spanId])
        })
        return Effect.gen(function* () {
          yield* Effect.gen(function* () {
            const server = yield* startServer({ host, port: 0 }, ({ writer }) =>
              Effect.gen(function* () {
                yield* note("handler")
                yield* Effect.annotateCurrentSpan("written", 6)
                yield* Effect.withSpan(
                  Effect.flatMap(Effect.currentSpan, ({ parent }) =>
                    Effect.sync(() => spans.push(["a span of its own", Option.getOrUndefined(parent)?.spanId]))
                  ),
                  "request"
                )
                yield* writer.write("hello\n")
                return yield* Effect.fail("an error")
              })
            )
            const failing = yield* startServer({ host, port: 0, onHandlerError: () => note("onHandlerError") }, () =>
              Effect.fail("an error")
            )
            return [server.port, failing.port] as const
          }).pipe(
            Effect.withSpan("starting"),
            Effect.tap((ports) =>
              Effect.forEach(ports, (port) => Effect.flatMap(connectRaw(port), (client) => client.awaitClosed))
            )
          )
          yield* eventually("all have come", () => spans.length === 4)
          assert.sameDeepMembers(spans, [
            ["handler", undefined],
            ["a span of its own", undefined],
            ["log", undefined],
            ["onHandlerError", undefined]
          ])
        }).pipe(Effect.provide([NodeNetwork.layer, Logger.layer([logger])]))
      })
    })

    describe("Server.draining", () => {
      it.live("tells handlers that the server has begun to shut down; elsewhere it never completes", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, ({ writer }) =>
            Effect.gen(function* () {
              yield* writer.write("ready\n")
              yield* Server.draining
              yield* writer.write("goodbye\n")
            })
          )
          const client = yield* connectRaw(server.port)
          yield* client.awaitText("ready\n")
          const outside = yield* Effect.forkChild(Server.draining)
          const report = yield* within("the shutdown", server.shutdown({ gracePeriod: 5000 }), 4000)
          assert.deepStrictEqual(report, { completed: 1, aborted: 0 })
          assert.strictEqual(yield* client.awaitClosed, undefined)
          assert.strictEqual(client.text, "ready\ngoodbye\n")
          assert.strictEqual(outside.pollUnsafe(), undefined)
          yield* Fiber.interrupt(outside)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is of the server whose handler it is", () =>
        Effect.gen(function* () {
          const serve = startServer({ host, port: 0 }, ({ writer }) =>
            Effect.andThen(Server.draining, writer.write("goodbye\n"))
          )
          const scope = yield* Scope.make()
          const first = yield* Scope.provide(serve, scope)
          const second = yield* serve
          const left = yield* connectRaw(first.port)
          const stays = yield* connectRaw(second.port)
          for (const { connections } of [first, second]) {
            yield* eventuallyEffect(
              "it is served",
              Effect.map(connections, (count) => count === 1)
            )
          }
          yield* within("the first server ends", Scope.close(scope, Exit.void), 4000)
          yield* left.awaitClosed
          assert.strictEqual(left.text, "goodbye\n")
          assert.strictEqual(stays.closed, false)
          yield* second.shutdown()
          yield* stays.awaitClosed
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}

describe("the span in which a server was started", () => {
  for (const [where, network] of [
    ["over sockets", NodeNetwork.layer],
    ["in memory", TestNetwork.layer]
  ] as const) {
    it.live(`is none of the handshakes', ${where}`, () =>
      Effect.gen(function* () {
        const spans: Array<readonly [where: string, parent: boolean]> = []
        const note = (where: string) =>
          Effect.withFiber((fiber) =>
            Effect.sync(() => spans.push([where, Option.isSome(Context.getOption(fiber.context, Tracer.ParentSpan))]))
          )
        const server = yield* startServer(
          {
            host,
            port: 0,
            tls: { identity: () => Effect.as(note("identity"), certificates.server.identity) },
            onHandshakeError: () => note("onHandshakeError")
          },
          () => note("handler")
        ).pipe(Effect.withSpan("starting"))
        const open = (ca: string) => openConnection({ host, port: server.port, tls: { ca, serverName: "localhost" } })
        yield* open(authority.cert)
        yield* Effect.flip(open(certificates.server.identity.cert as string))
        yield* eventually("all have come", () => new Set(spans.map(([where]) => where)).size === 3)
        assert.deepStrictEqual(
          spans.filter(([, parent]) => parent),
          []
        )
      }).pipe(Effect.provide(network))
    )
  }
})
