/**
 * Addresses and names, of those who listen and of those who connect: which are listened on, what they look like to
 * programs, and what a look-up that fails is called.
 */
import * as NodeAddress from "../../src/internal/node/address.ts"
import { codeOf, toAttempt, toListenFailed } from "../../src/internal/transport/failure.ts"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, type Layer, Logger, References } from "effect"
import {
  type Connection,
  type Network,
  NodeNetwork,
  openConnection,
  type Server,
  startServer,
  StreamError,
  type Transport
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { TestClock } from "effect/testing"
import { createSocket } from "node:dgram"
import { Resolver } from "node:dns/promises"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { backTo, held } from "../support/descriptors.ts"
import { deathOf } from "../support/exits.ts"
import { startUnderClock, waits } from "../support/fibers.ts"
import { closedPort, connectRaw, serveRaw } from "../support/rawPeer.ts"
import { eventually, within } from "../support/wait.ts"

const host = "127.0.0.1"

/** An address that no machine has (RFC 5737). */
const nowhere = "198.51.100.7"

type Lookup = NonNullable<NodeNetwork.Options["lookup"]>

/** Names, by what a look-up finds. */
const named =
  (names: Record<string, ReadonlyArray<string>>): Lookup =>
  (name) =>
    Promise.resolve((names[name] ?? []).map((address) => ({ address, family: address.includes(":") ? 6 : 4 })))

const withNames = (names: Record<string, ReadonlyArray<string>>) => NodeNetwork.layerWith({ lookup: named(names) })

/** Says which of the addresses it was reached at. */
const greet = ({ info, writer }: Connection.Connection) => writer.write(`${String(info.local)}\n`)

const greetingOf = (options: { readonly host: string; readonly port: number }) =>
  Effect.scoped(
    Effect.flatMap(openConnection(options), ({ reader }) => Effect.map(reader.readLine, (line) => text(line).trim()))
  )

const addressesOf = (server: Server.Server) => server.addresses.map(String)

const networks: ReadonlyArray<readonly [string, Layer.Layer<Network.Network>]> = [
  ["real sockets", NodeNetwork.layer],
  ["TestNetwork", TestNetwork.layer]
]

describe("every host that is asked for is listened on, whatever the others are", () => {
  const lists = [
    ["::", "0.0.0.0"],
    ["0.0.0.0", "::"],
    ["::", "127.0.0.1"],
    ["0:0:0:0:0:0:0:0", "127.0.0.1"],
    ["::1", "127.0.0.1", "127.0.0.2"]
  ]
  for (const [name, layer] of networks) {
    for (const hosts of lists) {
      it.live(`${name}: ${hosts.join(" and ")}, on one port`, () =>
        Effect.gen(function* () {
          const port = yield* closedPort()
          const server = yield* startServer({ host: hosts, port }, greet)
          assert.strictEqual(server.addresses.length, hosts.length)
          assert.strictEqual(yield* greetingOf({ host: "::1", port }), `[::1]:${port}`)
          assert.strictEqual(yield* greetingOf({ host, port }), `${host}:${port}`)
        }).pipe(Effect.provide(layer))
      )
    }

    it.live(`${name}: IPv6 everywhere and IPv4 on one address is no more than that`, () =>
      Effect.gen(function* () {
        const port = yield* closedPort()
        yield* startServer({ host: ["::", "127.0.0.2"], port }, greet)
        assert.strictEqual(yield* greetingOf({ host: "127.0.0.2", port }), `127.0.0.2:${port}`)
        const failed = yield* Effect.flip(openConnection({ host: "127.0.0.3", port }))
        assert.strictEqual(failed.kind, "Refused")
      }).pipe(Effect.provide(layer))
    )

    it.live(`${name}: "::" alone serves IPv4 as well, and not with ipv6Only`, () =>
      Effect.gen(function* () {
        const both = yield* startServer({ host: "::", port: 0 }, greet)
        assert.strictEqual(yield* greetingOf({ host, port: both.port }), `${host}:${both.port}`)
        const six = yield* startServer({ host: "::", port: 0, ipv6Only: true }, greet)
        assert.strictEqual((yield* Effect.flip(openConnection({ host, port: six.port }))).kind, "Refused")
      }).pipe(Effect.provide(layer))
    )

    for (const [hosts, all] of [
      [["::1", "0:0:0:0:0:0:0:1", "::0001"], ["::1"]],
      [["127.0.0.1", "::ffff:127.0.0.1"], ["127.0.0.1"]],
      [["", "0.0.0.0", "::"], ["::"]]
    ] as const) {
      it.live(`${name}: one address in several spellings, ${JSON.stringify(hosts)}, is listened on once`, () =>
        Effect.gen(function* () {
          const port = yield* closedPort()
          const server = yield* startServer({ host: hosts, port }, greet)
          const shown = (address: string) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`)
          assert.deepStrictEqual(addressesOf(server), all.map(shown))
        }).pipe(Effect.provide(layer))
      )
    }
  }
})

describe("a name of which this machine does not have every address", () => {
  const names = {
    "half.test": [nowhere, "127.0.0.1"],
    "other.test": ["127.0.0.2"],
    "none.test": [nowhere, "198.51.100.8"]
  }

  it.live("is listened on where it can be, and the log says at level Debug what was passed over", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      const server = yield* startServer({ host: "half.test", port: 0 }, greet)
      assert.deepStrictEqual(addressesOf(server), [`127.0.0.1:${server.port}`])
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], `${nowhere}:0`)
      assert.include(lines[0], "AddressNotAvailable")
    }).pipe(
      Effect.provide(withNames(names)),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
  })

  it.live("fails if there is none at all, also beside a name that works, and leaves nothing", () =>
    Effect.gen(function* () {
      const before = held()
      for (const hosts of ["none.test", ["none.test", "other.test"], ["half.test", "none.test"]]) {
        const failed = yield* Effect.flip(Effect.scoped(startServer({ host: hosts, port: 0 }, greet)))
        assert.strictEqual(failed.kind, "AddressNotAvailable")
        assert.strictEqual(failed.address, `${nowhere}:0`)
      }
      yield* backTo(before)
    }).pipe(Effect.provide(withNames(names)))
  )

  it.live("fails for an address that was asked for as such, by itself or beside the name", () =>
    Effect.gen(function* () {
      for (const hosts of [nowhere, [nowhere, "127.0.0.1"], ["half.test", nowhere]]) {
        const failed = yield* Effect.flip(Effect.scoped(startServer({ host: hosts, port: 0 }, greet)))
        assert.strictEqual(failed.kind, "AddressNotAvailable")
      }
    }).pipe(Effect.provide(withNames(names)))
  )

  it.live("fails if one of its addresses is taken: that is no address that is not there", () =>
    Effect.gen(function* () {
      const { port } = yield* serveRaw({ at: { host: "127.0.0.2", port: 0 } })
      const failed = yield* Effect.flip(startServer({ host: "both.test", port }, greet))
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.strictEqual(failed.address, `127.0.0.2:${port}`)
    }).pipe(Effect.provide(withNames({ "both.test": ["127.0.0.1", "127.0.0.2"] })))
  )
})

describe("who comes over IPv4 has addresses of IPv4", () => {
  const four = (address: Transport.ConnectionInfo["remote"]) => {
    assert.strictEqual(address?._tag, "InetAddressV4")
    assert.match(String(address), /^127\.0\.0\.1:\d+$/)
  }

  for (const [name, layer] of networks) {
    for (const [listening, options] of [
      ["the default host", {}],
      ["::", { host: "::" }],
      ["::ffff:127.0.0.1", { host: "::ffff:127.0.0.1" }]
    ] as const) {
      for (const to of ["127.0.0.1", "::ffff:127.0.0.1"]) {
        it.live(`${name}: a client that connects to ${to}, of a server on ${listening}`, () =>
          Effect.gen(function* () {
            const infos: Array<Transport.ConnectionInfo> = []
            const server = yield* startServer({ ...options, port: 0 }, ({ info }) =>
              Effect.sync(() => void infos.push(info))
            )
            const client = yield* openConnection({ host: to, port: server.port })
            yield* client.reader.readLine
            assert.deepStrictEqual(infos, [{ local: client.info.remote, remote: client.info.local }])
            four(client.info.local)
            four(client.info.remote)
          }).pipe(Effect.provide(layer))
        )
      }
    }

    it.live(`${name}: what onHandshakeError and info over TLS have`, () =>
      Effect.gen(function* () {
        const infos: Array<Transport.ConnectionInfo> = []
        const note = (info: Transport.ConnectionInfo) => Effect.sync(() => void infos.push(info))
        const server = yield* startServer(
          {
            port: 0,
            tls: { identity: certificates.server.identity },
            onHandshakeError: (_error, info) => note(info)
          },
          ({ info }) => note(info)
        )
        const plain = yield* openConnection({ host, port: server.port })
        yield* plain.writer.write("no TLS at all\n")
        yield* eventually("the handshake fails", () => infos.length === 1)
        const secure = yield* openConnection({ host, port: server.port, tls: { ca: authority.cert } })
        yield* secure.reader.readLine
        assert.strictEqual(infos.length, 2)
        for (const info of infos) {
          four(info.local)
          four(info.remote)
        }
      }).pipe(Effect.provide(layer))
    )
  }

  it.live("the log of a handler that fails names it so", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      const server = yield* startServer({ port: 0 }, () => Effect.die(new Error("no")))
      yield* connectRaw(server.port)
      yield* eventually("it is logged", () => lines.length > 0)
      assert.match(lines[0]!, / 127\.0\.0\.1:\d+ /)
      assert.notInclude(lines[0], "::ffff:")
    }).pipe(Effect.provide(NodeNetwork.layer), Effect.provide(Logger.layer([logger])))
  })

  it.live("and who comes over IPv6 of IPv6", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ port: 0 }, greet)
      assert.strictEqual(yield* greetingOf({ host: "::1", port: server.port }), `[::1]:${server.port}`)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("addresses of IPv6 are in brackets in front of a port", () => {
  for (const [name, layer] of networks) {
    it.live(`${name}: in ListenFailed`, () =>
      Effect.gen(function* () {
        const server = yield* startServer({ host: "::1", port: 0 }, greet)
        const failed = yield* Effect.flip(startServer({ host: "::1", port: server.port }, greet))
        assert.strictEqual(failed.kind, "AddressInUse")
        assert.strictEqual(failed.address, `[::1]:${server.port}`)
        assert.include(failed.message, `[::1]:${server.port}: AddressInUse`)
      }).pipe(Effect.provide(layer))
    )

    it.live(`${name}: in ConnectFailed and its attempts`, () =>
      Effect.gen(function* () {
        const port = yield* closedPort()
        const failed = yield* Effect.flip(openConnection({ host: "::1", port }))
        assert.strictEqual(failed.target, `[::1]:${port}`)
        assert.strictEqual(failed.attempts[0]?.address, `[::1]:${port}`)
      }).pipe(Effect.provide(layer))
    )
  }
})

describe("a look-up that never answers", () => {
  const isTimeout = (error: StreamError.ListenFailed, millis: number): void => {
    assert.strictEqual(error.kind, "Timeout")
    assert.strictEqual(error.address, "slow.test")
    assert.include(error.message, "slow.test: Timeout")
    const { cause } = error
    assert(cause instanceof StreamError.StreamTimeout)
    assert.strictEqual(cause.kind, "Lookup")
    assert.strictEqual(cause.operation, "startServer")
    assert.strictEqual(Duration.toMillis(cause.duration), millis)
  }
  const never: Lookup = () => new Promise(() => {})

  for (const [options, millis] of [
    [{}, 30_000],
    [{ lookupTimeout: "3 seconds" }, 3000]
  ] as const) {
    for (const [name, layer] of [
      ["real sockets", NodeNetwork.layerWith({ lookup: never })],
      ["TestNetwork", TestNetwork.layerWith({ hosts: { "slow.test": "Timeout" } })]
    ] as ReadonlyArray<readonly [string, Layer.Layer<Network.Network>]>) {
      it.effect(`${name}: startServer fails after ${millis} ms with ListenFailed, kind Timeout`, () =>
        Effect.gen(function* () {
          const starting = yield* startUnderClock(
            Effect.flip(startServer({ host: ["127.0.0.1", "slow.test"], port: 0, ...options }, greet))
          )
          yield* TestClock.adjust(millis - 1)
          assert.isTrue(waits(starting))
          yield* TestClock.adjust(1)
          isTimeout(yield* Fiber.join(starting), millis)
        }).pipe(Effect.provide(layer))
      )
    }
  }

  it.live("real time: several such names take no longer than one, and nothing is left", () =>
    Effect.gen(function* () {
      const before = held()
      const failed = yield* within(
        "startServer fails",
        Effect.flip(startServer({ host: ["slow.test", "b.test", "c.test"], port: 0, lookupTimeout: 60 }, greet))
      )
      isTimeout(failed, 60)
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layerWith({ lookup: never })))
  )

  it.live("can be given up", () =>
    Effect.gen(function* () {
      const starting = yield* Effect.forkChild(startServer({ host: "slow.test", port: 0 }, greet), {
        startImmediately: true
      })
      const exit = yield* within("the interruption", Effect.andThen(Fiber.interrupt(starting), Fiber.await(starting)))
      assert(Exit.isFailure(exit))
      assert.isTrue(Cause.hasInterruptsOnly(exit.cause))
    }).pipe(Effect.provide(NodeNetwork.layerWith({ lookup: never })))
  )

  it.effect("TestNetwork: openConnection fails after its connectTimeout", () =>
    Effect.gen(function* () {
      const connecting = yield* startUnderClock(
        Effect.flip(openConnection({ host: "slow.test", port: 1, connectTimeout: "5 seconds" }))
      )
      yield* TestClock.adjust(4999)
      assert.isTrue(waits(connecting))
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(connecting)).kind, "Timeout")
    }).pipe(Effect.provide(TestNetwork.layerWith({ hosts: { "slow.test": "Timeout" } })))
  )
})

describe("what keeps a resolver from finding an address is not said of the host", () => {
  /** What connecting to a name, and listening on it, come to. */
  const kindsOf = Effect.gen(function* () {
    const connecting = yield* Effect.flip(openConnection({ host: "name.test", port: 1 }))
    const listening = yield* Effect.flip(Effect.scoped(startServer({ host: "name.test", port: 0 }, greet)))
    assert.deepStrictEqual(
      connecting.attempts.map(({ address, code, kind }) => ({ address, code, kind })),
      [{ address: "name.test", code: listening.code, kind: connecting.kind }]
    )
    assert.strictEqual(listening.address, "name.test")
    return [connecting.kind, listening.kind, listening.code]
  })

  const rejecting = (code: string | undefined) =>
    NodeNetwork.layerWith({
      lookup: () => Promise.reject(Object.assign(new Error("no"), code === undefined ? undefined : { code }))
    })

  for (const [code, kind] of [
    ["ENOTFOUND", "HostNotFound"],
    ["ENODATA", "HostNotFound"],
    ["EAI_AGAIN", "HostNotFound"],
    ["EAI_FAIL", "HostNotFound"],
    ["ESERVFAIL", "HostNotFound"],
    ["EREFUSED", "HostNotFound"],
    ["EBADNAME", "HostNotFound"],
    ["ECONNREFUSED", "HostNotFound"],
    ["ECONNRESET", "HostNotFound"],
    ["EHOSTUNREACH", "HostNotFound"],
    ["ENETUNREACH", "HostNotFound"],
    ["ETIMEOUT", "Timeout"],
    ["ETIMEDOUT", "Timeout"],
    ["EADDRINUSE", "Unknown"],
    ["EMFILE", "Unknown"],
    ["ENOENT", "Unknown"],
    [undefined, "Unknown"]
  ] as const) {
    it.live(`${code ?? "no code"} is ${kind}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* kindsOf, [kind, kind, code])
      }).pipe(Effect.provide(rejecting(code)))
    )
  }

  /** Asks a server of the test's own. */
  const asking = (port: number): Lookup => {
    const resolver = new Resolver({ tries: 1, timeout: 100 })
    resolver.setServers([`127.0.0.1:${port}`])
    return (name) => resolver.resolve4(name).then((found) => found.map((address) => ({ address, family: 4 })))
  }

  const bindUdp = Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createSocket>>((resume) => {
      const socket = createSocket("udp4")
      socket.bind(0, host, () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.close())
  )

  it.live("a DNS server that is not there", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(Effect.map(bindUdp, (socket) => socket.address().port))
      const found = yield* Effect.provide(kindsOf, NodeNetwork.layerWith({ lookup: asking(port) }))
      assert.deepStrictEqual(found, ["HostNotFound", "HostNotFound", "ECONNREFUSED"])
    })
  )

  it.live("a DNS server that says nothing", () =>
    Effect.gen(function* () {
      const socket = yield* bindUdp
      const found = yield* Effect.provide(kindsOf, NodeNetwork.layerWith({ lookup: asking(socket.address().port) }))
      assert.deepStrictEqual(found, ["Timeout", "Timeout", "ETIMEOUT"])
    })
  )

  for (const [title, found] of [
    ["nothing", undefined],
    ["addresses without their objects", ["127.0.0.1"]],
    ["names in the place of addresses", [{ address: "localhost", family: 4 }]]
  ] as const) {
    it.live(`a lookup that finds ${title} is a fault of the program: nothing is connected to, or listened on`, () =>
      Effect.gen(function* () {
        const server = yield* serveRaw()
        assert.match(
          yield* deathOf(openConnection({ host: "name.test", port: server.port })),
          /NodeNetwork: lookup must find/
        )
        assert.match(
          yield* deathOf(Effect.scoped(startServer({ host: "name.test", port: 0 }, greet))),
          /NodeNetwork: lookup must find/
        )
        assert.strictEqual(server.peers.length, 0)
      }).pipe(Effect.provide(NodeNetwork.layerWith({ lookup: () => Promise.resolve(found as never) })))
    )
  }
})

describe("a client whose own address is the one that it connects to", () => {
  for (const own of ["127.0.0.1", "::1"]) {
    it.live(`${own}: is refused, and not connected to itself, and leaves the port to who is to listen there`, () =>
      Effect.gen(function* () {
        const before = held()
        const port = yield* closedPort(own)
        const failed = yield* within(
          "connecting fails",
          Effect.flip(openConnection({ host: own, port, localAddress: { host: own, port } }))
        )
        assert.strictEqual(failed.kind, "Refused")
        assert.deepStrictEqual(
          failed.attempts.map(({ code, kind }) => [kind, code]),
          [["Refused", "ECONNREFUSED"]]
        )
        assert.match(String(failed.attempts[0]?.cause), /connected to itself/)
        yield* backTo(before)
        const server = yield* startServer({ host: own, port }, greet)
        assert.include(yield* greetingOf({ host: own, port: server.port }), `:${port}`)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("a name with another address goes on with that one", () =>
    Effect.gen(function* () {
      const { port } = yield* serveRaw({ at: { host: "127.0.0.2", port: 0 } })
      const { info } = yield* openConnection({ host: "two.test", port, localAddress: { host, port } })
      assert.strictEqual(String(info.remote), `127.0.0.2:${port}`)
    }).pipe(Effect.provide(withNames({ "two.test": ["127.0.0.1", "127.0.0.2"] })))
  )

  it.live("one that has the same port on another address is a client like any other", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, greet)
      const { info, reader } = yield* openConnection({
        host,
        port: server.port,
        localAddress: { host: "127.0.0.2", port: server.port }
      })
      assert.strictEqual(String(info.local), `127.0.0.2:${server.port}`)
      assert.strictEqual(text(yield* reader.readLine), `${host}:${server.port}\n`)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("what cannot be bound to, and only EINVAL is said of it", () => {
  const invalid = Object.assign(new Error("bind EINVAL"), { code: "EINVAL" })
  const codeFor = (host: string | undefined, error: Error = invalid) => codeOf(NodeAddress.bindFailure(error, host))

  it("an address that this machine does not have is one that it does not have", () => {
    for (const host of ["198.51.100.7", "2001:db8::7"]) assert.strictEqual(codeFor(host), "EADDRNOTAVAIL")
    const failed = toListenFailed("198.51.100.7:1", NodeAddress.bindFailure(invalid, "198.51.100.7"))
    assert.strictEqual(failed.kind, "AddressNotAvailable")
    assert.strictEqual((failed.cause as Error).cause, invalid)
    const attempt = toAttempt("127.0.0.1:1", NodeAddress.bindFailure(invalid, "198.51.100.7"))
    assert.strictEqual(attempt.kind, "Unreachable")
  })

  it("of an address that this machine has, of none, and of a path it is something else", () => {
    for (const host of ["127.0.0.1", undefined, "/run/a.sock"]) assert.strictEqual(codeFor(host), "EINVAL")
    const inUse = Object.assign(new Error("bind EADDRINUSE"), { code: "EADDRINUSE" })
    assert.strictEqual(codeFor("198.51.100.7", inUse), "EADDRINUSE")
  })
})
