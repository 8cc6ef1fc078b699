/**
 * Section 10 of the asyncio semantics, row by row: the server. More of each row is beside it and in test/node;
 * 10.10 (TCP_NODELAY) is in test/connect/openConnection.test.ts, the child process that runs out of descriptors (10.9)
 * in test/server/maxConnections.test.ts. 10.8 is about asyncio's event loop, and has no counterpart:
 * `backlog` is in test/node/listen.test.ts.
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
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import type { NetAddress } from "effect/net"
import { existsSync, renameSync, statSync } from "node:fs"
import { pattern, text } from "../support/bytes.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { closedPort, connectRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect, within } from "../support/wait.ts"

const host = "127.0.0.1"
const large = pattern(10_000_000)

const echo = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) yield* writer.write(line)
  })

/** Asks for something and gets it. */
const asks = (connection: Connection.Connection, line: string) =>
  Effect.gen(function* () {
    yield* connection.writer.write(line)
    assert.strictEqual(text(yield* connection.reader.readLine), line)
  })

const refused = (port: number) =>
  Effect.map(Effect.flip(openConnection({ host, port })), ({ kind }) => assert.strictEqual(kind, "Refused"))

const serving = (server: Server.Server, expected: number) =>
  eventuallyEffect(
    `${expected} are served`,
    Effect.map(server.connections, (count) => count === expected)
  )

describe("section 10: the server", () => {
  it.live("row 10.1: shutdown stops listening at once; live connections go on", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, gracePeriod: "1 minute" }, echo)
      const connection = yield* openConnection({ host, port: server.port })
      yield* asks(connection, "before\n")
      const stopping = yield* Effect.forkChild(server.shutdown(), { startImmediately: true })
      yield* refused(server.port)
      yield* asks(connection, "and after\n")
      yield* connection.writer.close
      yield* within("the shutdown", Fiber.join(stopping))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "row 10.2: awaitShutdown waits until the server has shut down and nobody is there: wait_closed as it is meant",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, echo)
        const first = yield* openConnection({ host, port: server.port })
        const second = yield* openConnection({ host, port: server.port })
        for (const client of [first, second]) yield* asks(client, "hello\n")
        const waiting = yield* Effect.forkChild(server.awaitShutdown, { startImmediately: true })
        yield* first.writer.close
        yield* serving(server, 1)
        // nobody has shut it down
        assert.isUndefined(waiting.pollUnsafe())
        yield* Effect.forkChild(server.shutdown({ gracePeriod: "1 hour" }), { startImmediately: true })
        yield* asks(second, "still there\n")
        assert.isUndefined(waiting.pollUnsafe())
        yield* second.writer.close
        yield* within("awaitShutdown", Fiber.join(waiting))
        yield* within("awaitShutdown again", server.awaitShutdown)
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 10.2: shutdown is the same with a bound, where wait_closed hangs while one client idles", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, echo)
      yield* asks(yield* openConnection({ host, port: server.port }), "and then nothing\n")
      const report = yield* within("the shutdown", server.shutdown({ gracePeriod: 50 }), 3000)
      assert.deepStrictEqual(report, { completed: 0, aborted: 1 })
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 10.3: closeClients flushes, abortClients drops; the server listens on", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, ({ writer }) =>
        Effect.andThen(
          Effect.sync(() => writer.writeUnsafe(large)),
          Effect.never
        )
      )
      const flushed = yield* connectRaw(server.port, { paused: true })
      yield* serving(server, 1)
      const closing = yield* Effect.forkChild(server.closeClients, { startImmediately: true })
      yield* flushed.unstall
      yield* within("closeClients", Fiber.join(closing))
      assert.isUndefined(yield* flushed.awaitClosed)
      assert.strictEqual(flushed.received.length, large.length)

      const dropped = yield* connectRaw(server.port, { paused: true })
      yield* serving(server, 2)
      yield* within("abortClients", server.abortClients, 1000)
      yield* dropped.unstall
      assert.strictEqual(yield* dropped.awaitClosed, "ECONNRESET")
      assert.isBelow(dropped.received.length, large.length)

      yield* (yield* connectRaw(server.port)).awaitBytes(1)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 10.4: the end of the scope is close and wait_closed, and bounded, where `async with` hangs", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(startServer({ host, port: 0, gracePeriod: 50 }, echo), scope)
      yield* asks(yield* openConnection({ host, port: server.port }), "and then nothing\n")
      yield* within("the scope's end", Scope.close(scope, Exit.void), 3000)
      yield* within("awaitShutdown", server.awaitShutdown, 1000)
      yield* refused(server.port)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 10.4: the addresses stay known after the end, where `server.sockets` is empty", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, echo)
      const { address, port } = server
      yield* server.shutdown()
      assert.strictEqual(server.address, address)
      assert.strictEqual(server.port, port)
      assert.deepStrictEqual(server.addresses, [address])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "row 10.4: run twice it is two servers, where serve_forever twice is an error; one port has room for one",
    () =>
      Effect.gen(function* () {
        const start = startServer({ host, port: 0 }, echo)
        const [one, other] = [yield* start, yield* start]
        assert.notStrictEqual(one.port, other.port)
        for (const { port } of [one, other]) yield* asks(yield* openConnection({ host, port }), "hello\n")
        assert.strictEqual((yield* Effect.flip(startServer({ host, port: one.port }, echo))).kind, "AddressInUse")
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const [how, handler, told] of [
    ["fails", () => Effect.fail("a failure"), 1],
    ["dies", () => Effect.die("a defect"), 1],
    ["is interrupted", () => Effect.interrupt, 0],
    [
      "throws, a plain callback",
      (): Effect.Effect<void> => {
        throw new Error("thrown")
      },
      1
    ]
  ] as const) {
    it.live(
      `row 10.5: a handler that ${how}: its connection is closed, whoever is to be told is, and the server goes on`,
      () =>
        Effect.gen(function* () {
          let failures = 0
          let broken = true
          const server = yield* startServer(
            { host, port: 0, onHandlerError: () => Effect.sync(() => void failures++) },
            (connection): Effect.Effect<unknown, unknown> => (broken ? handler() : echo(connection))
          )
          const client = yield* connectRaw(server.port)
          assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
          yield* serving(server, 0)
          yield* eventually("it is told", () => failures === told)
          broken = false
          yield* asks(yield* openConnection({ host, port: server.port }), "hello\n")
          assert.strictEqual(failures, told)
        }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live(
    "row 10.6: a handler that returns without closing: its connection ends then, not when nobody refers to it",
    () =>
      Effect.gen(function* () {
        const kept: Array<Connection.Connection> = []
        const server = yield* startServer({ host, port: 0 }, (connection) =>
          Effect.andThen(
            Effect.sync(() => kept.push(connection)),
            connection.writer.write("bye\n")
          )
        )
        const client = yield* connectRaw(server.port)
        assert.isUndefined(yield* within("the connection ends", client.awaitClosed, 2000))
        assert.strictEqual(client.text, "bye\n")
        assert.strictEqual((yield* Effect.flip(kept[0]!.writer.write("x")))._tag, "ClosedStream")
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 10.7: without a host it listens on all interfaces; port 0 is a port of its own for each address", () =>
    Effect.gen(function* () {
      const everywhere = yield* startServer({ port: 0 }, echo)
      for (const address of ["127.0.0.1", "127.0.0.2"]) {
        yield* asks(yield* openConnection({ host: address, port: everywhere.port }), "hello\n")
      }
      const two = yield* startServer({ host: ["127.0.0.1", "127.0.0.2"], port: 0 }, echo)
      assert.strictEqual(two.addresses.length, 2)
      for (const [i, address] of (two.addresses as ReadonlyArray<NetAddress.InetAddress>).entries()) {
        const one = ["127.0.0.1", "127.0.0.2"][i]!
        assert.isAbove(address.port, 0)
        assert.strictEqual(String(address), `${one}:${address.port}`)
        yield* asks(yield* openConnection({ host: one, port: address.port }), "hello\n")
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect(
    "row 10.9: an accept that fails, and fails again, neither ends the server nor costs anybody a connection",
    () =>
      onFakeNetwork((network) =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, ({ writer }) => writer.write("hello\n"))
          for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED"]) {
            const before = network.accept()
            for (let i = 0; i < 100; i++) network.failToAccept({ kind: "Unknown", code })
            const after = network.accept()
            yield* Effect.yieldNow
            assert.deepStrictEqual([before.sentText, after.sentText], ["hello\n", "hello\n"])
          }
          assert.isTrue(network.listening)
          assert.strictEqual(yield* server.rejected, 0)
        })
      )
  )

  it.live("row 10.11: a Unix socket's path is removed at the end, but only while it is ours", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const server = yield* startUnixServer(path, echo)
      yield* server.shutdown()
      assert.isFalse(existsSync(path))

      const replaced = yield* startUnixServer(path, echo)
      renameSync(path, `${path}.away`)
      yield* startUnixServer(path, echo)
      const { ino } = statSync(path)
      yield* replaced.shutdown()
      assert.strictEqual(statSync(path).ino, ino)
      yield* asks(yield* openUnixConnection(path), "hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "row 10.12: nothing listens before the effect is run: start_serving=False is a value; a layer starts it once",
    () =>
      Effect.gen(function* () {
        const port = yield* closedPort()
        const start = startServer({ host, port, gracePeriod: 0 }, echo)
        yield* refused(port)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* start
            yield* asks(yield* openConnection({ host, port }), "hello\n")
          })
        )
        yield* refused(port)

        const started = yield* Deferred.make<Server.Server>()
        const ServerLive = Server.layerServer({ host, port: 0, gracePeriod: 0 }, echo)
        const first = Layer.effectDiscard(
          Effect.flatMap(Server.Server, (server) => Deferred.succeed(started, server))
        ).pipe(Layer.provide(ServerLive))
        const second = Layer.effectDiscard(
          Effect.gen(function* () {
            assert.strictEqual(yield* Server.Server, yield* Deferred.await(started))
          })
        ).pipe(Layer.provide(ServerLive))
        yield* within("both are built", Layer.build(Layer.merge(first, second)))
      }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
