/** Listening on TCP: hosts, ports, options, and every way in which it can fail. Unix sockets are in listenUnix.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Network, NodeNetwork, openConnection, type Server, startServer, type Transport } from "effect-byte-streams"
import { Effect, Exit, Fiber, Result, Scope } from "effect"
import type { NetAddress } from "effect/net"
import { spawnSync } from "node:child_process"
import { text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { deathOf } from "../support/exits.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { closedPort, connectRaw, serveRaw } from "../support/rawPeer.ts"
import { eventually, turns, within } from "../support/wait.ts"

const host = "127.0.0.1"

/** A handler that says hello and leaves. */
const greet = ({ writer }: { readonly writer: { readonly write: (line: string) => Effect.Effect<void, unknown> } }) =>
  writer.write("hello\n")

const ports = (server: Server.Server): ReadonlyArray<number> =>
  server.addresses.map((address) => (address as NetAddress.InetAddress).port)

/** What a client there is told. */
const greetingOf = (options: { readonly host: string; readonly port: number }) =>
  Effect.scoped(Effect.flatMap(openConnection(options), ({ reader }) => Effect.map(reader.readLine, text)))

describe("where to listen", () => {
  it.live("row 10.7: port 0 is replaced by the port that the system chose", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, greet)
      assert.isAbove(server.port, 0)
      assert.strictEqual(String(server.address), `${host}:${server.port}`)
      assert.deepStrictEqual(server.addresses, [server.address])
      assert.strictEqual(yield* greetingOf({ host, port: server.port }), "hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("row 10.7: several hosts: each has an address of its own, and all are served", () =>
    Effect.gen(function* () {
      const hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
      const server = yield* startServer({ host: hosts, port: 0 }, greet)
      assert.deepStrictEqual(
        server.addresses.map(String),
        hosts.map((host, i) => `${host}:${ports(server)[i]}`)
      )
      for (const [i, port] of ports(server).entries()) {
        assert.isAbove(port, 0)
        assert.strictEqual(yield* greetingOf({ host: hosts[i]!, port }), "hello\n")
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("several hosts on one given port", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const server = yield* startServer({ host: ["127.0.0.1", "127.0.0.2"], port }, greet)
      assert.deepStrictEqual(ports(server), [port, port])
      assert.strictEqual(yield* greetingOf({ host: "127.0.0.2", port }), "hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a host that is named twice is listened on once", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const server = yield* startServer({ host: [host, host], port }, greet)
      assert.strictEqual(server.addresses.length, 1)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("every address of a name is listened on", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host: "several.test", port: 0 }, greet)
      assert.deepStrictEqual(
        server.addresses.map(String),
        ["127.0.0.1", "127.0.0.2"].map((host, i) => `${host}:${ports(server)[i]}`)
      )
    }).pipe(
      Effect.provide(
        NodeNetwork.layerWith({
          lookup: () => Promise.resolve(["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 })))
        })
      )
    )
  )

  it.live.each([undefined, ""])("row 10.7: host %j is all interfaces", (all) =>
    Effect.gen(function* () {
      const server = yield* startServer({ host: all, port: 0 }, greet)
      assert.strictEqual(yield* greetingOf({ host: "127.0.0.1", port: server.port }), "hello\n")
      assert.strictEqual(yield* greetingOf({ host: "127.0.0.5", port: server.port }), "hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("IPv6: is served where the machine has it, and fails typed where not", () =>
    Effect.gen(function* () {
      const started = yield* Effect.result(startServer({ host: "::1", port: 0 }, greet))
      if (Result.isSuccess(started)) {
        const server = started.success
        assert.strictEqual(String(server.address), `[::1]:${server.port}`)
        assert.strictEqual(yield* greetingOf({ host: "::1", port: server.port }), "hello\n")
      } else assert.strictEqual(started.failure._tag, "ListenFailed")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a handler knows the address that the client came to, and the one it came from", () =>
    Effect.gen(function* () {
      const infos: Array<Transport.ConnectionInfo> = []
      const server = yield* startServer({ host: "127.0.0.2", port: 0 }, ({ info }) =>
        Effect.sync(() => infos.push(info))
      )
      const client = yield* openConnection({
        host: "127.0.0.2",
        port: server.port,
        localAddress: { host: "127.0.0.9" }
      })
      yield* client.reader.readLine
      assert.deepStrictEqual(infos, [{ local: client.info.remote, remote: client.info.local }])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("options of listening", () => {
  it.live("backlog: how many the system holds that have not been accepted", () =>
    Effect.gen(function* () {
      // connects while this process is not accepting, because it waits for the script
      const script = [
        "let held = 0",
        "const tell = () => { console.log(held); process.exit() }",
        "const next = () => {",
        "  if (held === 8) return tell()",
        "  const timer = setTimeout(tell, 300)",
        "  const connected = () => { clearTimeout(timer); held++; next() }",
        "  require('node:net').connect(process.argv.at(-1), '127.0.0.1', connected)",
        "}",
        "next()"
      ].join("\n")
      const held = (port: number) =>
        Effect.sync(() => {
          const done = spawnSync(process.execPath, ["-e", script, String(port)], { encoding: "utf8", timeout: 10_000 })
          return done.stdout.trim() + done.stderr
        })
      const smallest = yield* startServer({ host, port: 0, backlog: 0 }, greet)
      const small = yield* startServer({ host, port: 0, backlog: 2 }, greet)
      const large = yield* startServer({ host, port: 0 }, greet)
      // Linux lets in one more than asked for
      assert.strictEqual(yield* held(small.port), "3")
      // none is not to be had
      assert.strictEqual(yield* held(smallest.port), "2")
      assert.strictEqual(yield* held(large.port), "8")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("reusePort lets two servers share a port", () =>
    Effect.gen(function* () {
      const first = yield* startServer({ host, port: 0, reusePort: true }, greet)
      const second = yield* startServer({ host, port: first.port, reusePort: true }, greet)
      assert.strictEqual(second.port, first.port)
      assert.strictEqual(yield* greetingOf({ host, port: first.port }), "hello\n")
      const third = yield* Effect.flip(startServer({ host, port: first.port }, greet))
      assert.strictEqual(third.kind, "AddressInUse")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a port can be listened on again as soon as its server has ended", () =>
    Effect.gen(function* () {
      const serve = (port: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const server = yield* startServer({ host, port }, greet)
            assert.strictEqual(yield* greetingOf({ host, port: server.port }), "hello\n")
            return server.port
          })
        )
      const port = yield* serve(0)
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* serve(port), port)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("ListenFailed", () => {
  it.live("the port is in use: AddressInUse, with the address", () =>
    Effect.gen(function* () {
      const { port } = yield* serveRaw()
      const failed = yield* Effect.flip(startServer({ host, port }, greet))
      assert.strictEqual(failed._tag, "ListenFailed")
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.strictEqual(failed.code, "EADDRINUSE")
      assert.strictEqual(failed.address, `${host}:${port}`)
      assert.include(failed.message, `${host}:${port}`)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("one of several hosts fails: the others are let go of", () =>
    Effect.gen(function* () {
      const { port } = yield* serveRaw({ at: { host: "127.0.0.3", port: 0 } })
      const before = held()
      const failed = yield* Effect.flip(startServer({ host: ["127.0.0.1", "127.0.0.2", "127.0.0.3"], port }, greet))
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.strictEqual(failed.address, `127.0.0.3:${port}`)
      yield* backTo(before)
      const server = yield* startServer({ host: ["127.0.0.1", "127.0.0.2"], port }, greet)
      assert.strictEqual(server.addresses.length, 2)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the address is not one of this machine: AddressNotAvailable", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(startServer({ host: "198.51.100.7", port: 0 }, greet))
      assert.strictEqual(failed.kind, "AddressNotAvailable")
      assert.strictEqual(failed.code, "EADDRNOTAVAIL")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the name is not found: HostNotFound", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(startServer({ host: ["127.0.0.1", "nowhere.test"], port: 0 }, greet))
      assert.strictEqual(failed.kind, "HostNotFound")
      assert.strictEqual(failed.address, "nowhere.test")
    }).pipe(
      Effect.provide(
        NodeNetwork.layerWith({ lookup: () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" })) })
      )
    )
  )

  it.live("the name has no address: HostNotFound", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(startServer({ host: "nowhere.test", port: 0 }, greet))
      assert.strictEqual(failed.kind, "HostNotFound")
    }).pipe(Effect.provide(NodeNetwork.layerWith({ lookup: () => Promise.resolve([]) })))
  )

  it.live("dies for wrong arguments, and says which", () =>
    Effect.gen(function* () {
      const wrong = (options: Server.Options) => Effect.scoped(deathOf(startServer(options, greet)))
      assert.match(yield* wrong({ host }), /startServer.*port/)
      assert.match(yield* wrong({ host, port: -1 }), /startServer.*port.*-1/)
      assert.match(yield* wrong({ host, port: 65536 }), /startServer.*port.*65536/)
      assert.match(yield* wrong({ host: [], port: 0 }), /startServer.*host/)
      assert.match(yield* wrong({ host, port: 0, limit: 0 }), /startServer.*limit.*0/)
      assert.match(yield* wrong({ host, port: 0, lowWaterMark: -1 }), /startServer.*lowWaterMark.*-1/)
      assert.match(yield* wrong({ host, port: 0, backlog: -1 }), /startServer.*backlog.*-1/)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("interrupting startServer", () => {
  it.live("at whatever moment: nobody is left listening", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const before = held()
      for (let moment = 0; moment < 8; moment++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(
            Effect.andThen(startServer({ host: [host, "127.0.0.2"], port, gracePeriod: 0 }, greet), Effect.never)
          ),
          { startImmediately: true }
        )
        if (moment > 0) yield* turns(moment - 1)
        yield* within("the interruption", Fiber.interrupt(fiber))
        yield* turns()
        for (const each of [host, "127.0.0.2"]) {
          const failed = yield* Effect.flip(openConnection({ host: each, port }))
          assert.strictEqual(failed.kind, "Refused", `after ${moment} turns`)
        }
      }
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("at whatever step: nobody is left listening", () =>
    Effect.gen(function* () {
      const before = held()
      let over = false
      for (let step = 1; !over; step++) {
        const starting = Effect.scoped(startServer({ host: [host, "127.0.0.2"], port: 0, gracePeriod: 0 }, greet))
        over = Exit.isSuccess(yield* within("it ends", interruptBefore(step, starting)))
        yield* turns(2)
        assert.strictEqual(held().sockets, before.sockets, `interrupted before step ${step}`)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("Network.listen", () => {
  it.live("row 10.1: close stops listening, and accepted connections go on; closing twice is fine", () =>
    Effect.gen(function* () {
      const network = yield* Network.Network
      const arrived: Array<string> = []
      const transports: Array<Transport.Transport> = []
      const listener = yield* network.listen({ host, port: 0 }, (transport) => {
        transports.push(transport)
        transport.attach({
          onData: (bytes) => void arrived.push(text(bytes)),
          onEnd: () => {},
          onDrain: () => {},
          onWriteFailure: () => {},
          onClose: () => {}
        })
      })
      const { port } = listener.addresses[0] as NetAddress.InetAddress
      const client = yield* connectRaw(port)
      yield* eventually("the client is accepted", () => transports.length === 1)
      yield* listener.close
      yield* listener.close
      assert.strictEqual((yield* Effect.flip(openConnection({ host, port }))).kind, "Refused")
      yield* client.send("still here")
      yield* eventually("its bytes arrive", () => arrived.join("") === "still here")
      transports[0]!.abort()
      assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the end of the scope stops listening", () =>
    Effect.gen(function* () {
      const network = yield* Network.Network
      const before = held()
      const scope = yield* Scope.make()
      const listener = yield* Scope.provide(
        network.listen({ host: ["127.0.0.1", "127.0.0.2"], port: 0 }, () => {}),
        scope
      )
      assert.strictEqual(listener.addresses.length, 2)
      yield* Scope.close(scope, Exit.void)
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
