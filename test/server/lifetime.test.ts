/**
 * A server from its start to its end: layers and Unix sockets, what `shutdown` and the end of the scope do to clients
 * that are still there, and that both are bounded. Section 10 of the semantics, `start_server_1` and its neighbours.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  type Connection,
  NodeNetwork,
  openConnection,
  openUnixConnection,
  Server,
  startServer,
  startUnixServer
} from "effect-byte-streams"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { existsSync } from "node:fs"
import { pattern, text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { socketPath } from "../support/temporary.ts"
import { eventuallyEffect, within } from "../support/wait.ts"
import { tcpAndTls } from "../support/tcpAndTls.ts"

const host = "127.0.0.1"

/** Answers each line until the client leaves. */
const echo = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) yield* writer.write(line)
  })

/** A handler that says it is there, and then waits for ever. */
const idle = ({ writer }: Connection.Connection) => Effect.andThen(writer.write("ready\n"), Effect.never)

const serving = (server: Server.Server, expected: number) =>
  eventuallyEffect(
    `${expected} are served`,
    Effect.map(server.connections, (count) => count === expected)
  )

describe("start", () => {
  it.live("CPython start_server_1: serves clients until the scope ends", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(startServer({ host, port: 0 }, echo), scope)
      const { reader, writer } = yield* openConnection({ host, port: server.port })
      yield* writer.write("one\ntwo\n")
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      assert.strictEqual(text(yield* reader.readLine), "two\n")
      yield* serving(server, 1)
      yield* writer.writeEof
      assert.strictEqual((yield* reader.readLine).length, 0)
      yield* serving(server, 0)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(openConnection({ host, port: server.port }))).kind, "Refused")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython start_unix_server_1: the same over a Unix socket", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const scope = yield* Scope.make()
      yield* Scope.provide(startUnixServer(path, echo), scope)
      const { reader, writer } = yield* openUnixConnection(path)
      yield* writer.write("one\n")
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      yield* writer.writeEof
      assert.strictEqual((yield* reader.readLine).length, 0)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(existsSync(path))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("layerServer provides the server, and ends with the layer", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(Server.layerServer({ host, port: 0 }, echo), scope)
      const server = Context.get(services, Server.Server)
      const { reader, writer } = yield* openConnection({ host, port: server.port })
      yield* writer.write("one\n")
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      yield* writer.writeEof
      yield* reader.readLine
      yield* serving(server, 0)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(openConnection({ host, port: server.port }))).kind, "Refused")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("Layer.launch runs a server until it is interrupted", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<Server.Server>()
      const app = Layer.effectDiscard(
        Effect.flatMap(Server.Server, (server) => Deferred.succeed(started, server))
      ).pipe(Layer.provide(Server.layerServer({ host, port: 0 }, echo)))
      const fiber = yield* Effect.forkChild(Layer.launch(app))
      const server = yield* within("the server starts", Deferred.await(started))
      const { reader, writer } = yield* openConnection({ host, port: server.port })
      yield* writer.write("one\n")
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      yield* writer.close
      yield* within("the server ends", Fiber.interrupt(fiber))
      assert.strictEqual((yield* Effect.flip(openConnection({ host, port: server.port }))).kind, "Refused")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("layerServer fails typed", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, echo)
      const failed = yield* Effect.flip(Layer.build(Server.layerServer({ host, port: server.port }, echo)))
      assert.strictEqual(failed.kind, "AddressInUse")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

for (const { connectRaw, kind, openConnection, startServer } of tcpAndTls) {
  describe(`over ${kind}`, () => {
    describe("shutdown", () => {
      it.live("row 10.1: stops accepting at once, while handlers finish", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, echo)
          const client = yield* connectRaw(server.port)
          yield* client.send("one\n")
          yield* client.awaitText("one\n")
          const shutdown = yield* Effect.forkChild(server.shutdown({ gracePeriod: "1 minute" }), {
            startImmediately: true
          })
          assert.strictEqual((yield* Effect.flip(openConnection({ host, port: server.port }))).kind, "Refused")
          yield* client.send("two\n")
          yield* client.awaitText("two\n")
          assert.strictEqual(shutdown.pollUnsafe(), undefined)
          yield* client.finish
          assert.deepStrictEqual(yield* within("the shutdown", Fiber.join(shutdown)), { completed: 1, aborted: 0 })
          assert.strictEqual(yield* client.awaitClosed, undefined)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(
        "row 10.2, CPython close_with_hanging_client: an idle client holds it up for the grace period and no longer",
        () =>
          Effect.gen(function* () {
            const server = yield* startServer({ host, port: 0 }, idle)
            const client = yield* connectRaw(server.port)
            yield* client.awaitText("ready\n")
            const report = yield* within("the shutdown", server.shutdown({ gracePeriod: 50 }), 3000)
            assert.deepStrictEqual(report, { completed: 0, aborted: 1 })
            assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
            yield* within("awaitShutdown", server.awaitShutdown)
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("CPython wait_closed_basic: without clients it is over at once, and may be called again", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, echo)
          const waiting = yield* Effect.forkChild(server.awaitShutdown, { startImmediately: true })
          assert.strictEqual(waiting.pollUnsafe(), undefined)
          assert.deepStrictEqual(yield* within("the shutdown", server.shutdown(), 1000), { completed: 0, aborted: 0 })
          assert.deepStrictEqual(yield* within("the second shutdown", server.shutdown(), 1000), {
            completed: 0,
            aborted: 0
          })
          yield* within("awaitShutdown", Fiber.join(waiting))
          yield* within("awaitShutdown again", server.awaitShutdown)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("CPython wait_closed_race: a client that leaves just then", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, echo)
          const client = yield* connectRaw(server.port)
          yield* client.send("one\n")
          yield* client.awaitText("one\n")
          yield* client.finish
          const report = yield* within("the shutdown", server.shutdown({ gracePeriod: "1 minute" }))
          assert.strictEqual(report.aborted, 0)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("a later call with a shorter period shortens the wait", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, idle)
          const client = yield* connectRaw(server.port)
          yield* client.awaitText("ready\n")
          const patient = yield* Effect.forkChild(server.shutdown({ gracePeriod: "1 minute" }), {
            startImmediately: true
          })
          yield* within("the impatient shutdown", server.shutdown({ gracePeriod: 10 }), 3000)
          yield* within("the patient one", Fiber.join(patient), 1000)
          yield* client.awaitClosed
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("a handler that cannot be interrupted does not hold it up either", () =>
        Effect.gen(function* () {
          const release = yield* Deferred.make<void>()
          const server = yield* startServer({ host, port: 0 }, ({ writer }) =>
            Effect.andThen(writer.write("ready\n"), Effect.uninterruptible(Deferred.await(release)))
          )
          const client = yield* connectRaw(server.port)
          yield* client.awaitText("ready\n")
          yield* within("the shutdown", server.shutdown({ gracePeriod: 10 }), 4000)
          assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
          yield* Deferred.succeed(release, undefined)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("closeClients and abortClients", () => {
      it.live("row 10.3, CPython close_clients: what was written arrives, then the end; handlers go on", () =>
        Effect.gen(function* () {
          const found = yield* Deferred.make<string>()
          const server = yield* startServer({ host, port: 0 }, ({ reader, writer }) =>
            Effect.gen(function* () {
              yield* writer.write("last words\n")
              const error = yield* Effect.flip(reader.readLine)
              yield* Deferred.succeed(found, `${error._tag} ${"reason" in error ? error.reason : ""}`)
            })
          )
          const client = yield* connectRaw(server.port)
          yield* client.awaitText("last words\n")
          yield* within("closeClients", server.closeClients)
          assert.strictEqual(yield* client.awaitClosed, undefined)
          assert.strictEqual(yield* within("the handler finds out", Deferred.await(found)), "ClosedStream Closed")
          yield* serving(server, 0)
          // and the server still listens
          yield* (yield* connectRaw(server.port)).awaitText("last words\n")
          yield* server.shutdown({ gracePeriod: 0 })
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 10.3, CPython abort_clients: resets them", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, idle)
          const clients = yield* Effect.all(Array.from({ length: 3 }, () => connectRaw(server.port)))
          for (const client of clients) yield* client.awaitText("ready\n")
          yield* within("abortClients", server.abortClients)
          for (const client of clients) assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
          yield* server.shutdown({ gracePeriod: 0 })
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 10.3: closeClients is bounded, also for a client that does not read", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0, closeTimeout: 100 }, ({ writer }) =>
            Effect.andThen(Effect.ignore(writer.write(pattern(10_000_000))), Effect.never)
          )
          const client = yield* connectRaw(server.port, { paused: true })
          yield* serving(server, 1)
          yield* within("closeClients", server.closeClients, 3000)
          yield* client.unstall
          yield* client.awaitClosed
          assert.isBelow(client.received.length, 10_000_000)
          yield* server.shutdown({ gracePeriod: 0 })
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("the end of the scope", () => {
      it.live("with clients that are there is bounded by gracePeriod, and leaves nothing", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const scope = yield* Scope.make()
              const server = yield* Scope.provide(startServer({ host, port: 0, gracePeriod: 50 }, idle), scope)
              const clients = yield* Effect.all(Array.from({ length: 5 }, () => connectRaw(server.port)))
              for (const client of clients) yield* client.awaitText("ready\n")
              yield* within("the scope's end", Scope.close(scope, Exit.void), 3000)
              for (const client of clients) assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
              assert.strictEqual(yield* server.connections, 0)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("with a client that does not read what it is sent is bounded too", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const scope = yield* Scope.make()
              // the handler returns, and its connection cannot be flushed
              const server = yield* Scope.provide(
                startServer({ host, port: 0, gracePeriod: 100, closeTimeout: "1 minute" }, ({ writer }) =>
                  Effect.sync(() => writer.writeUnsafe(pattern(10_000_000)))
                ),
                scope
              )
              yield* connectRaw(server.port, { paused: true })
              yield* serving(server, 1)
              yield* within("the scope's end", Scope.close(scope, Exit.void), 3000)
              yield* serving(server, 0)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("lets a handler finish within the grace period", () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const server = yield* Scope.provide(
            startServer({ host, port: 0, gracePeriod: "1 minute" }, ({ writer }) =>
              Effect.gen(function* () {
                yield* writer.write("working\n")
                yield* Effect.sleep(50)
                yield* writer.write("done\n")
              })
            ),
            scope
          )
          const client = yield* connectRaw(server.port)
          yield* client.awaitText("working\n")
          yield* within("the scope's end", Scope.close(scope, Exit.void), 3000)
          assert.strictEqual(yield* client.awaitClosed, undefined)
          assert.strictEqual(client.text, "working\ndone\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
