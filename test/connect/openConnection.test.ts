/**
 * Opening connections over real sockets: TCP and Unix, the layers, the options, and every way in which it can fail.
 * Names with several addresses are in happyEyeballs.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { NetAddress } from "effect/net"
import {
  Connection,
  NodeNetwork,
  openConnection,
  openUnixConnection,
  startServer,
  startUnixServer,
  type StreamError,
  StreamReader,
  StreamWriter
} from "effect-byte-streams"
import { chmodSync } from "node:fs"
import Net from "node:net"
import { basename, dirname } from "node:path"
import { vi } from "vitest"
import { text } from "../support/bytes.ts"
import { deafServer, deafUnixServer } from "../support/deafServer.ts"
import { backTo, held } from "../support/descriptors.ts"
import { deathOf } from "../support/exits.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { needs } from "../support/peers.ts"
import { unprivileged } from "../support/privileges.ts"
import { closedPort, serveRaw } from "../support/rawPeer.ts"
import { socketOptions } from "../support/socketOptions.ts"
import { inDirectory, socketPath } from "../support/temporary.ts"
import { eventually, turns, within } from "../support/wait.ts"

const host = "127.0.0.1"

const portOf = (address: NetAddress.SocketAddress | undefined): number => {
  assert(address !== undefined && address._tag !== "UnixPathAddress")
  return address.port
}

describe("openConnection", () => {
  it.live("connects over TCP, and both directions work", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const { reader, writer } = yield* openConnection({ host, port: server.port })
      const peer = yield* server.accept
      yield* writer.write("ping\n")
      yield* peer.awaitText("ping\n")
      yield* peer.send("pong\n")
      assert.strictEqual(text(yield* reader.readLine), "pong\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("takes localhost for the host unless told otherwise", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host: ["127.0.0.1"], port: 0 }, ({ writer }) => writer.write("hello\n"))
      const { reader } = yield* openConnection({ port: server.port })
      assert.strictEqual(text(yield* reader.readLine), "hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("knows both addresses, also after the connection is gone", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const connection = yield* openConnection({ host, port: server.port })
      const peer = yield* server.accept
      const check = () => {
        const { local, remote } = connection.info
        assert.strictEqual(NetAddress.formatInet(remote as NetAddress.InetAddress), `${host}:${server.port}`)
        assert.strictEqual(NetAddress.formatInet(local as NetAddress.InetAddress), `${host}:${peer.socket.remotePort}`)
      }
      check()
      const port = peer.socket.remotePort
      assert.strictEqual((yield* connection.writer.close)._tag, "Graceful")
      yield* peer.awaitClosed
      assert.strictEqual(portOf(connection.info.local), port)
      assert.strictEqual(portOf(connection.info.remote), server.port)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("connects from localAddress: the host, and the port", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const port = yield* closedPort("127.0.0.3")
      const connection = yield* openConnection({
        host,
        port: server.port,
        localAddress: { host: "127.0.0.3", port }
      })
      const peer = yield* server.accept
      assert.strictEqual(peer.socket.remoteAddress, "127.0.0.3")
      assert.strictEqual(peer.socket.remotePort, port)
      assert.strictEqual(portOf(connection.info.local), port)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("fails when localAddress is not an address of this machine", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const failed = yield* Effect.flip(
        openConnection({ host, port: server.port, localAddress: { host: "198.51.100.7" } })
      )
      assert.strictEqual(failed.kind, "Unreachable")
      assert.strictEqual(failed.attempts[0]?.code, "EADDRNOTAVAIL")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "row 10.10: turns TCP_NODELAY on and keep-alive off, for clients and accepted connections",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, () => Effect.never)
        const connection = yield* openConnection({ host, port: server.port })
        const port = portOf(connection.info.local)
        const client = yield* socketOptions(port, server.port)
        assert.strictEqual(client.noDelay, true)
        assert.strictEqual(client.keepAlive, false)
        const accepted = yield* socketOptions(server.port, port)
        assert.strictEqual(accepted.noDelay, true)
        assert.strictEqual(accepted.keepAlive, false)
        yield* server.shutdown({ gracePeriod: 0 })
      }).pipe(Effect.provide(NodeNetwork.layer)),
    needs("python3")
  )

  it.live(
    "sets noDelay and keepAlive as asked, for clients and accepted connections",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, noDelay: false, keepAlive: "20 minutes" },
          () => Effect.never
        )
        const connection = yield* openConnection({ host, port: server.port, noDelay: false, keepAlive: "90 seconds" })
        const port = portOf(connection.info.local)
        assert.deepStrictEqual(yield* socketOptions(port, server.port), {
          noDelay: false,
          keepAlive: true,
          keepAliveIdle: 90
        })
        assert.deepStrictEqual(yield* socketOptions(server.port, port), {
          noDelay: false,
          keepAlive: true,
          keepAliveIdle: 1200
        })
        const plain = yield* openConnection({ host, port: server.port, keepAlive: true })
        assert.strictEqual((yield* socketOptions(portOf(plain.info.local), server.port)).keepAlive, true)
        yield* server.shutdown({ gracePeriod: 0 })
      }).pipe(Effect.provide(NodeNetwork.layer)),
    needs("python3")
  )
})

describe("openConnection fails typed", () => {
  it.live("CPython open_connection_error: nobody listens", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const failed = yield* Effect.flip(openConnection({ host, port }))
      assert.strictEqual(failed._tag, "ConnectFailed")
      assert.strictEqual(failed.kind, "Refused")
      assert.strictEqual(failed.target, `${host}:${port}`)
      assert.deepStrictEqual(
        failed.attempts.map(({ address, code, kind }) => ({ address, kind, code })),
        [{ address: `${host}:${port}`, kind: "Refused", code: "ECONNREFUSED" }]
      )
      assert.include(failed.message, "Refused")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the host is not found", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(openConnection({ host: "nowhere.test", port: 1 }))
      assert.strictEqual(failed.kind, "HostNotFound")
      assert.strictEqual(failed.target, "nowhere.test:1")
      assert.deepStrictEqual(
        failed.attempts.map(({ address, code }) => ({ address, code })),
        [{ address: "nowhere.test", code: "ENOTFOUND" }]
      )
    }).pipe(
      Effect.provide(
        NodeNetwork.layerWith({
          lookup: (name) => Promise.reject(Object.assign(new Error(`lookup ${name}`), { code: "ENOTFOUND" }))
        })
      )
    )
  )

  it.live("the host has no address", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(openConnection({ host: "nowhere.test", port: 1 }))
      assert.strictEqual(failed.kind, "HostNotFound")
      assert.strictEqual(failed.attempts.length, 1)
    }).pipe(Effect.provide(NodeNetwork.layerWith({ lookup: () => Promise.resolve([]) })))
  )

  it.live("nobody answers within connectTimeout; the attempt is given up and leaves nothing", () =>
    Effect.gen(function* () {
      const port = yield* deafServer
      const before = held()
      const failed = yield* within(
        "the connect times out",
        Effect.flip(openConnection({ host, port, connectTimeout: 150 })),
        5000
      )
      assert.strictEqual(failed.kind, "Timeout")
      assert.deepStrictEqual(
        failed.attempts.map(({ address, kind }) => ({ address, kind })),
        [{ address: `${host}:${port}`, kind: "Timeout" }]
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("connectTimeout bounds the look-up of the name too", () =>
    Effect.gen(function* () {
      const failed = yield* within(
        "the connect times out",
        Effect.flip(openConnection({ host: "slow.test", port: 1, connectTimeout: 50 }))
      )
      assert.strictEqual(failed.kind, "Timeout")
    }).pipe(Effect.provide(NodeNetwork.layerWith({ lookup: () => new Promise(() => {}) })))
  )

  it.live("dies for wrong arguments, and says which", () =>
    Effect.gen(function* () {
      const wrong = (options: Connection.OpenOptions) => Effect.scoped(deathOf(openConnection(options)))
      assert.match(yield* wrong({ host }), /openConnection.*port/)
      assert.match(yield* wrong({ host, port: -1 }), /openConnection.*port.*-1/)
      assert.match(yield* wrong({ host, port: 65536 }), /openConnection.*port.*65536/)
      assert.match(yield* wrong({ host, port: 1.5 }), /openConnection.*port.*1\.5/)
      assert.match(yield* wrong({ host, port: NaN }), /openConnection.*port.*NaN/)
      assert.match(yield* wrong({ host, port: 1, limit: 0 }), /openConnection.*limit.*0/)
      assert.match(yield* wrong({ host, port: 1, limit: -5 }), /openConnection.*limit.*-5/)
      assert.match(yield* wrong({ host, port: 1, limit: NaN }), /openConnection.*limit.*NaN/)
      assert.match(
        yield* wrong({ host, port: 1, highWaterMark: 10, lowWaterMark: 11 }),
        /openConnection.*highWaterMark.*10.*lowWaterMark.*11/
      )
      assert.match(yield* wrong({ host, port: 1, lowWaterMark: -1 }), /openConnection.*lowWaterMark.*-1/)
      assert.match(yield* wrong({ host, port: 1, highWaterMark: NaN }), /openConnection.*highWaterMark.*NaN/)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("checks arguments before it connects: a wrong limit reaches no server", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      yield* deathOf(openConnection({ host, port: server.port, limit: 0 }))
      yield* openConnection({ host, port: server.port })
      yield* server.accept
      assert.strictEqual(server.peers.length, 1)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("interrupting openConnection", () => {
  it.live("while nobody answers: the attempt is given up and leaves nothing", () =>
    Effect.gen(function* () {
      const port = yield* deafServer
      const before = held()
      const fiber = yield* Effect.forkChild(Effect.scoped(openConnection({ host, port })))
      yield* eventually("the attempt has begun", () => held().sockets > before.sockets)
      yield* within("the interruption", Fiber.interrupt(fiber))
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("at whatever moment: no connection is left that nobody has", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const before = held()
      let opened = 0
      for (let moment = 0; opened < 20; moment++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(
            Effect.andThen(
              openConnection({ host, port: server.port }),
              Effect.andThen(
                Effect.sync(() => opened++),
                Effect.never
              )
            )
          ),
          { startImmediately: true }
        )
        yield* turns(moment % 10)
        yield* within("the interruption", Fiber.interrupt(fiber))
        assert.isBelow(moment, 500)
      }
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("at whatever step: no connection is left that nobody has", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const before = held()
      let over = false
      for (let step = 1; !over; step++) {
        const opening = Effect.scoped(openConnection({ host, port: server.port }))
        over = Exit.isSuccess(yield* within("it ends", interruptBefore(step, opening)))
        yield* turns(2)
        for (const peer of server.peers) {
          if (!peer.closed) yield* within(`the connection interrupted before step ${step} ends`, peer.awaitClosed, 3000)
        }
      }
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("openUnixConnection", () => {
  it.live("connects, and both directions work", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const server = yield* serveRaw({ at: path })
      const { info, reader, writer } = yield* openUnixConnection(path)
      const peer = yield* server.accept
      yield* writer.write("ping\n")
      yield* peer.awaitText("ping\n")
      yield* peer.send("pong\n")
      assert.strictEqual(text(yield* reader.readLine), "pong\n")
      assert.deepStrictEqual(info.remote, NetAddress.unixPathAddress(path))
      assert.strictEqual(info.local, undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("openConnection with a path is the same", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const server = yield* serveRaw({ at: path })
      const { writer } = yield* openConnection({ path })
      const peer = yield* server.accept
      yield* writer.write("ping\n")
      yield* peer.awaitText("ping\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython open_unix_connection_error: the path does not exist", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const failed = yield* Effect.flip(openUnixConnection(path))
      assert.strictEqual(failed.kind, "NotFound")
      assert.strictEqual(failed.target, path)
      assert.deepStrictEqual(
        failed.attempts.map(({ address, code }) => ({ address, code })),
        [{ address: path, code: "ENOENT" }]
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the socket is not ours to write to: AccessDenied", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      chmodSync(dirname(path), 0o755)
      yield* serveRaw({ at: path })
      chmodSync(path, 0o555)
      const failed = yield* unprivileged(Effect.flip(openUnixConnection(path)))
      assert.strictEqual(failed.kind, "AccessDenied")
      assert.strictEqual(failed.attempts[0]?.code, "EACCES")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("700 clients at once of a server with defaults are all served", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, ({ writer }) => writer.write("hello\n"))
      const greeted = Effect.scoped(Effect.flatMap(openUnixConnection(path), ({ reader }) => reader.readLine))
      const lines = yield* Effect.all(
        Array.from({ length: 700 }, () => greeted),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(lines.map(text)), new Set(["hello\n"]))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("where the queue stays full connecting is tried again, ever slower, until connectTimeout", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* deafUnixServer(path)
      const before = held()
      const connect = vi.spyOn(Net.Socket.prototype, "connect")
      yield* Effect.addFinalizer(() => Effect.sync(() => connect.mockRestore()))
      const began = performance.now()
      const failed = yield* Effect.flip(openUnixConnection(path, { connectTimeout: 700 }))
      const took = performance.now() - began
      const attempts = connect.mock.calls.length
      assert.isAtLeast(took, 690)
      assert.isBelow(took, 2500)
      assert.strictEqual(failed.kind, "Timeout")
      const [attempt, ...others] = failed.attempts
      assert.deepStrictEqual(others, [])
      assert(attempt !== undefined)
      assert.strictEqual(attempt.address, path)
      assert.strictEqual(attempt.kind, "Timeout")
      assert.strictEqual(attempt.code, "EAGAIN")
      assert.strictEqual((attempt.cause as StreamError.StreamTimeout).kind, "Connect")
      // each pause is twice the one before it, half of that at the least: 1, 2, 4 … 512 milliseconds
      assert.isAtLeast(attempts, 4)
      assert.isAtMost(attempts, 12)
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("as soon as there is room in a queue that was full, whoever has waited is let in", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { hear } = yield* deafUnixServer(path)
      const opening = yield* Effect.forkChild(openUnixConnection(path))
      yield* Effect.sleep(30)
      assert.isUndefined(opening.pollUnsafe())
      yield* hear
      const { reader } = yield* within("it is let in", Fiber.join(opening))
      assert.strictEqual(text(yield* reader.readLine), "at last\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("giving up before there is room leaves nothing behind", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { hear } = yield* deafUnixServer(path)
      const before = held()
      const opening = yield* Effect.forkChild(openUnixConnection(path))
      yield* Effect.sleep(10)
      yield* Fiber.interrupt(opening)
      yield* hear
      yield* Effect.sleep(50)
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a relative path is that of the directory in which connecting began", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { hear } = yield* deafUnixServer(path)
      yield* inDirectory(dirname(path))
      const opening = yield* Effect.forkChild(openUnixConnection(basename(path)), { startImmediately: true })
      process.chdir("/")
      yield* hear
      const { info, reader } = yield* within("it is let in", Fiber.join(opening))
      assert.strictEqual(text(yield* reader.readLine), "at last\n")
      assert.deepStrictEqual(info.remote, NetAddress.unixPathAddress(basename(path)))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("what can be no path dies, and says so", () =>
    Effect.gen(function* () {
      assert.include(yield* deathOf(openUnixConnection("")), "openUnixConnection: path must be")
      assert.include(yield* deathOf(openUnixConnection("/tmp/a\0b")), "/tmp/a\\u0000b")
      assert.include(
        yield* deathOf(openUnixConnection(5 as never)),
        "path must be text that is not empty, without a NUL but in front, got 5"
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("layers", () => {
  it.live("layerConnection provides connection, reader and writer of one session, and ends it", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const exchange = Effect.gen(function* () {
        const connection = yield* Connection.Connection
        const reader = yield* StreamReader.StreamReader
        const writer = yield* StreamWriter.StreamWriter
        assert.strictEqual(connection.reader, reader)
        assert.strictEqual(connection.writer, writer)
        const peer = yield* server.accept
        yield* writer.write("ping\n")
        yield* peer.awaitText("ping\n")
        yield* peer.send("pong\n")
        assert.strictEqual(text(yield* reader.readLine), "pong\n")
        assert.strictEqual(peer.ended, false)
        return peer
      })
      const peer = yield* Effect.provide(exchange, Connection.layerConnection({ host, port: server.port }))
      assert.strictEqual(yield* peer.awaitClosed, undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("layerConnection fails typed", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const failed = yield* Effect.flip(Layer.build(Connection.layerConnection({ host, port })))
      assert.strictEqual(failed.kind, "Refused")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  const fromConfig = Connection.layerConfig({
    host: Config.String("UPSTREAM_HOST"),
    port: Config.Port("UPSTREAM_PORT"),
    limit: Config.Int("UPSTREAM_LIMIT").pipe(Config.withDefault(65536)),
    highWaterMark: Config.Int("UPSTREAM_HIGH"),
    connectTimeout: Config.Duration("UPSTREAM_TIMEOUT")
  })

  const withSettings = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

  it.live("layerConfig takes host, port and limits from Config", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const env = {
        UPSTREAM_HOST: host,
        UPSTREAM_PORT: String(server.port),
        UPSTREAM_LIMIT: "1234",
        UPSTREAM_HIGH: "400",
        UPSTREAM_TIMEOUT: "3 seconds"
      }
      const services = yield* Layer.build(fromConfig).pipe(Effect.provide(withSettings(env)))
      const connection = Context.get(services, Connection.Connection)
      assert.strictEqual(connection.reader.limit, 1234)
      assert.strictEqual(connection.writer.highWaterMark, 400)
      assert.strictEqual(connection.writer.lowWaterMark, 100)
      assert.strictEqual(portOf(connection.info.remote), server.port)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("layerConfig fails with a ConfigError when a setting is missing or wrong", () =>
    Effect.gen(function* () {
      const env = { UPSTREAM_HOST: host, UPSTREAM_HIGH: "400", UPSTREAM_TIMEOUT: "3 seconds" }
      const missing = yield* Layer.build(fromConfig).pipe(Effect.provide(withSettings(env)), Effect.flip)
      assert.strictEqual(missing._tag, "ConfigError")
      assert.include(String(missing), "UPSTREAM_PORT")
      const wrong = yield* Layer.build(fromConfig).pipe(
        Effect.provide(withSettings({ ...env, UPSTREAM_PORT: "70000" })),
        Effect.flip
      )
      assert.strictEqual(wrong._tag, "ConfigError")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("scopes", () => {
  it.live("a connection lives as long as the scope it was opened in", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const scope = yield* Scope.make()
      const { writer } = yield* Scope.provide(openConnection({ host, port: server.port }), scope)
      const peer = yield* server.accept
      yield* writer.write("still here\n")
      yield* peer.awaitText("still here\n")
      assert.strictEqual(peer.ended, false)
      yield* Scope.close(scope, Exit.void)
      yield* peer.awaitEnd
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
