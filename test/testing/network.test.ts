/**
 * TestNetwork as a network: the same programs as on real sockets, addresses and names, who is refused and why, and what
 * happens to those who connect while the server cannot accept.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, type Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  Connection,
  Network,
  NodeNetwork,
  openConnection,
  openUnixConnection,
  startServer,
  startUnixServer
} from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { deathOf } from "../support/exits.ts"
import { startUnderClock as start, waits } from "../support/fibers.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { eventuallyEffect, within } from "../support/wait.ts"

type Services = Network.Network | TestNetwork.TestNetwork | Scope.Scope

const on =
  (options: TestNetwork.Options = {}) =>
  <A, E>(program: Effect.Effect<A, E, Services>) =>
    Effect.scoped(program).pipe(Effect.provide(TestNetwork.layerWith(options)))

const host = "127.0.0.1"

/** Sends every line back, in capitals. */
const shouting = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
      yield* writer.write(text(line).toUpperCase())
    }
  })

const shout = ({ reader, writer }: Connection.Connection, line: string) =>
  Effect.gen(function* () {
    yield* writer.write(`${line}\n`)
    return text(yield* reader.readLine).trimEnd()
  })

/** A program that does not know its network. */
const program = Effect.gen(function* () {
  const server = yield* startServer({ host, port: 0 }, shouting)
  const answers = []
  for (const word of ["one", "two"]) {
    const connection = yield* openConnection({ host, port: server.port })
    answers.push(yield* shout(connection, word))
  }
  return answers
}).pipe(Effect.scoped)

describe("the same program on every network", () => {
  for (const [name, layer] of [
    ["in memory", TestNetwork.layer],
    ["on real sockets", NodeNetwork.layer]
  ] as ReadonlyArray<readonly [string, Layer.Layer<Network.Network>]>) {
    it.live(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* Effect.provide(program, layer), ["ONE", "TWO"])
      })
    )
  }

  it.effect("over a Unix socket's path", () =>
    Effect.gen(function* () {
      yield* startUnixServer("/run/shout", shouting)
      const connection = yield* openUnixConnection("/run/shout")
      assert.strictEqual(yield* shout(connection, "hey"), "HEY")
      assert.deepStrictEqual(connection.info.remote?._tag, "UnixPathAddress")
      assert.isUndefined(connection.info.local)
    }).pipe(on())
  )

  it.live("over TLS", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ port: 0, tls: { identity: certificates.server.identity } }, shouting)
      const connection = yield* openConnection({ host: "localhost", port: server.port, tls: { ca: authority.cert } })
      assert.strictEqual(yield* shout(connection, "secret"), "SECRET")
      assert.isDefined(connection.info.tls)
      const wire = yield* TestNetwork.timeline
      assert.notInclude(wire, "secret")
      assert.notInclude(wire, "SECRET")
    }).pipe(on())
  )

  it.live("STARTTLS", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ port: 0 }, (connection) =>
        Effect.gen(function* () {
          yield* connection.reader.readLine
          yield* connection.writer.write("go\n")
          yield* shouting(yield* connection.startTls({ side: "server", identity: certificates.server.identity }))
        })
      )
      const plain = yield* openConnection({ host: "localhost", port: server.port })
      yield* plain.writer.write("STARTTLS\n")
      yield* plain.reader.readLine
      const secure = yield* plain.startTls({ side: "client", serverName: "localhost", ca: authority.cert })
      assert.strictEqual(yield* shout(secure, "secret"), "SECRET")
      assert.notInclude(yield* TestNetwork.timeline, "SECRET")
    }).pipe(on())
  )
})

describe("addresses and names", () => {
  it.effect("each end has the other's address", () =>
    Effect.gen(function* () {
      const seen = yield* Deferred.make<Connection.Connection["info"]>()
      const server = yield* startServer({ host, port: 0 }, ({ info }) => Deferred.succeed(seen, info))
      const { info } = yield* openConnection({ host, port: server.port })
      const accepted = yield* Deferred.await(seen)
      assert.deepStrictEqual(info.local, accepted.remote)
      assert.deepStrictEqual(info.remote, accepted.local)
      assert.deepStrictEqual(String(info.remote), String(server.address))
    }).pipe(on())
  )

  it.effect("each client and each server with port 0 has a port of its own", () =>
    Effect.gen(function* () {
      const servers = [yield* startServer({ host, port: 0 }, shouting), yield* startServer({ host, port: 0 }, shouting)]
      assert.notStrictEqual(servers[0]!.port, servers[1]!.port)
      const clients = [
        yield* openConnection({ host, port: servers[0]!.port }),
        yield* openConnection({ host, port: servers[0]!.port })
      ]
      assert.notStrictEqual(String(clients[0]!.info.local), String(clients[1]!.info.local))
    }).pipe(on())
  )

  it.effect("a client can choose its address", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ port: 0 }, shouting)
      const { info } = yield* openConnection({
        host,
        port: server.port,
        localAddress: { host: "127.0.0.9", port: 1234 }
      })
      assert.strictEqual(String(info.local), "127.0.0.9:1234")
    }).pipe(on())
  )

  it.effect("programs meet by any name, and an unknown port is refused all the same", () =>
    Effect.gen(function* () {
      yield* startServer({ host: "api.example", port: 80 }, shouting)
      yield* startServer({ host: "db.example", port: 5432 }, shouting)
      const connection = yield* openConnection({ host: "api.example", port: 80 })
      assert.strictEqual(yield* shout(connection, "found"), "FOUND")
      const error = yield* Effect.flip(openConnection({ host: "db.example", port: 80 }))
      assert.strictEqual(error.kind, "Refused")
    }).pipe(on())
  )

  it.effect("a server on all interfaces is found by every address, one on IPv4 alone only by those", () =>
    Effect.gen(function* () {
      yield* startServer({ port: 80 }, shouting)
      yield* startServer({ host: "0.0.0.0", port: 81 }, shouting)
      yield* startServer({ host: "::", port: 82, ipv6Only: true }, shouting)
      const reaches = (host: string, port: number) =>
        Effect.match(openConnection({ host, port }), { onSuccess: () => true, onFailure: () => false })
      assert.isTrue(yield* reaches("localhost", 80))
      assert.isTrue(yield* reaches("::1", 80))
      assert.isTrue(yield* reaches("elsewhere.example", 80))
      assert.isTrue(yield* reaches("192.0.2.1", 81))
      assert.isFalse(yield* reaches("::1", 81))
      assert.isFalse(yield* reaches("192.0.2.1", 82))
      assert.isTrue(yield* reaches("2001:db8::1", 82))
    }).pipe(on())
  )

  it.effect("two servers cannot have one address, unless they share it", () =>
    Effect.gen(function* () {
      yield* startServer({ host, port: 80 }, shouting)
      for (const options of [{ host, port: 80 }, { port: 80 }]) {
        const error = yield* Effect.flip(startServer(options, shouting))
        assert.strictEqual(error.kind, "AddressInUse")
        assert.strictEqual(error.code, "EADDRINUSE")
      }
      yield* startUnixServer("/run/one", shouting)
      assert.strictEqual((yield* Effect.flip(startUnixServer("/run/one", shouting))).kind, "AddressInUse")

      const served: Array<string> = []
      for (const name of ["a", "b"]) {
        yield* startServer({ host, port: 81, reusePort: true }, () => Effect.sync(() => served.push(name)))
      }
      for (let i = 0; i < 4; i++) yield* openConnection({ host, port: 81 })
      yield* TestNetwork.settled
      assert.deepStrictEqual(served, ["a", "b", "a", "b"])
    }).pipe(on())
  )

  it.effect("an address is free again once the server is closed, and its connections go on", () =>
    Effect.gen(function* () {
      const network = yield* Network.Network
      const accepted: Array<unknown> = []
      const listener = yield* network.listen({ host, port: 80 }, (transport) => void accepted.push(transport))
      const connection = yield* openConnection({ host, port: 80 })
      yield* listener.close
      yield* listener.close
      assert.strictEqual((yield* Effect.flip(openConnection({ host, port: 80 }))).kind, "Refused")
      const right = yield* Connection.fromTransport(accepted[0] as Parameters<typeof Connection.fromTransport>[0])
      yield* connection.writer.write("still here")
      assert.strictEqual(text(yield* right.reader.readExactly(10)), "still here")
      yield* network.listen({ host, port: 80 }, () => {})
    }).pipe(on())
  )
})

describe("connecting that fails", () => {
  it.effect("refused, with the attempt in the error", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(openConnection({ host, port: 9 }))
      assert.strictEqual(error.kind, "Refused")
      assert.deepStrictEqual(
        error.attempts.map(({ address, code, kind }) => ({ address, code, kind })),
        [{ address: "127.0.0.1:9", code: "ECONNREFUSED", kind: "Refused" }]
      )
      assert.include(yield* TestNetwork.timeline, "#1 client → refuse: 127.0.0.1:9: ECONNREFUSED")
    }).pipe(on())
  )

  it.effect("a Unix path that nobody listens on is not found", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(openUnixConnection("/run/nobody"))
      assert.strictEqual(error.kind, "NotFound")
      assert.strictEqual(error.attempts[0]?.code, "ENOENT")
    }).pipe(on())
  )

  it.effect("a name without an address is not found", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(openConnection({ host: "nowhere.example", port: 80 }))
      assert.strictEqual(error.kind, "HostNotFound")
      assert.strictEqual(error.attempts[0]?.code, "ENOTFOUND")
      const listening = yield* Effect.flip(startServer({ host: "nowhere.example", port: 80 }, shouting))
      assert.strictEqual(listening.kind, "HostNotFound")
    }).pipe(on({ hosts: { "nowhere.example": [] } }))
  )

  it.effect("of several addresses the first that answers is taken, the others are in the error if none does", () =>
    Effect.gen(function* () {
      yield* startServer({ port: 80 }, shouting)
      const connecting = yield* start(openConnection({ host: "twice.example", port: 80 }))
      yield* TestNetwork.settled
      yield* TestClock.adjust("250 millis")
      const connection = yield* Fiber.join(connecting)
      assert.strictEqual(String(connection.info.remote), "[2001:db8::2]:80")

      const failing = yield* start(
        Effect.flip(openConnection({ host: "never.example", port: 80, connectTimeout: "1 second" }))
      )
      yield* TestNetwork.settled
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(failing)
      assert.deepStrictEqual(
        error.attempts.map(({ address, kind }) => [address, kind]),
        [
          ["192.0.2.1:80", "Timeout"],
          ["[2001:db8::1]:80", "Refused"],
          ["192.0.2.3:80", "Unreachable"]
        ]
      )
    }).pipe(
      on({
        hosts: {
          "twice.example": ["192.0.2.1", "2001:db8::2"],
          "never.example": ["192.0.2.1", "192.0.2.3", "2001:db8::1"]
        },
        addresses: { "192.0.2.1": "Timeout", "192.0.2.3": "Unreachable", "2001:db8::1": "Refused" }
      })
    )
  )

  it.effect("wrong settings die, and name what is wrong", () =>
    Effect.gen(function* () {
      const made = (options: object) => deathOf(Effect.provide(Effect.void, TestNetwork.layerWith(options)))
      for (const [path, message] of [
        [5, " must be an object, got 5"],
        [{ latency: "slow" }, '.latency must be a duration of 0 or more, such as "5 seconds"'],
        [{ latency: -1 }, ".latency must be a duration of 0 or more"],
        [{ bandwidth: 0 }, ".bandwidth must be a number above 0 bytes a second, got 0"],
        [{ bandwidth: "10" }, '.bandwidth must be a number above 0 bytes a second, got "10" (string)'],
        [{ capacity: 0 }, ".capacity must be an integer above 0 bytes, got 0"],
        [{ capacity: 1.5 }, ".capacity must be an integer above 0 bytes, got 1.5"],
        [{ capacity: null }, ".capacity must be an integer above 0 bytes, got null"],
        [{ chunking: "sideways" }, '.chunking must be "asIs", "oneByte"'],
        [{ chunking: "sideways" }, 'got "sideways" (string)'],
        [{ chunking: 5 }, "got 5"],
        [{ chunking: {} }, ".chunking.random must be an object, got undefined"],
        [{ chunking: { offsets: [-1] } }, ".chunking.offsets must be an integer of 0 or more bytes, got -1"],
        [{ chunking: { offsets: 5 } }, ".chunking.offsets must be an array of numbers, got 5"],
        [{ chunking: { random: { max: 0 } } }, ".chunking.random.max must be an integer above 0, got 0"],
        [{ chunking: { random: { max: null } } }, ".chunking.random.max must be an integer above 0, got null"],
        [{ chunking: { random: { most: 0 } } }, ".chunking.random.most must be an integer above 0, got 0"],
        [{ chunking: { random: { seed: NaN } } }, ".chunking.random.seed must be a finite number, got NaN"]
      ] as const) {
        const pair = yield* deathOf(Effect.scoped(TestNetwork.pair({ fromServer: path as never })))
        assert.include(pair, message)
        assert.match(pair, /TestNetwork\.pair: fromServer[. ]/)
        const network = yield* made({ fromClient: path })
        assert.include(network, message)
        assert.match(network, /TestNetwork: fromClient[. ]/)
      }
      for (const [options, message] of [
        [{ seed: "1" }, 'seed must be a finite number, got "1" (string)'],
        [{ faults: Faults.refuse() }, "faults must be an array, got"],
        [{ addresses: { "192.0.2.1": "Silent" } }, 'addresses["192.0.2.1"] must be one of "Refused", "Timeout"'],
        [{ addresses: { "a.example": "Refused" } }, 'addresses must be IP addresses, got "a.example" (string)'],
        [{ hosts: { "a.example": "b.example" } }, 'hosts["a.example"] must be IP addresses, got "b.example" (string)'],
        [{ hosts: { "a.example": ["127.0.0.1", 5] } }, 'hosts["a.example"] must be IP addresses, got 5']
      ] as const) {
        assert.include(yield* made(options), `TestNetwork: ${message}`)
      }
      const client = "client" as const
      for (const [fault, message] of [
        [Faults.reset({ from: client, after: -1 }), "faults[1].after"],
        [Faults.fin({ from: client, after: 1.5 }), "faults[1].after"],
        [Faults.vanish({ from: "left" as "client", after: 1 }), "faults[1].from"],
        [Faults.stall({ from: client, after: 1, millis: -1 }), "faults[1].millis"],
        [Faults.refuse({ connection: 0 }), "faults[1].connection"],
        [Faults.acceptError({ retryAfter: Number.NaN }), "faults[1].retryAfter"],
        // a script that is no code, such as JSON
        [{ _tag: "Rain", connection: 1 } as unknown as Faults.Fault, 'faults[1]._tag must be one of "Reset"'],
        [null as unknown as Faults.Fault, "faults[1] must be an object, got null"]
      ] as const) {
        const faults = [Faults.refuse({ connection: 2 }), fault]
        assert.include(yield* deathOf(Effect.provide(Effect.void, TestNetwork.layerWith({ faults }))), message)
      }
      assert.include(yield* deathOf(openConnection({ host }).pipe(on())), "port or path")
      assert.include(yield* deathOf(startServer({ host }, shouting).pipe(on())), "port or path")
    })
  )
})

describe("faults of connecting", () => {
  it.effect("refuse, of one connection and no other", () =>
    Effect.gen(function* () {
      yield* startServer({ host, port: 80 }, shouting)
      const first = yield* openConnection({ host, port: 80 })
      assert.strictEqual((yield* Effect.flip(openConnection({ host, port: 80 }))).kind, "Refused")
      const third = yield* openConnection({ host, port: 80 })
      assert.strictEqual(yield* shout(first, "a"), "A")
      assert.strictEqual(yield* shout(third, "b"), "B")
    }).pipe(on({ faults: [Faults.refuse({ connection: 2 })] }))
  )

  it.effect("host not found", () =>
    Effect.gen(function* () {
      yield* startServer({ port: 80 }, shouting)
      const error = yield* Effect.flip(openConnection({ host: "api.example", port: 80 }))
      assert.strictEqual(error.kind, "HostNotFound")
      assert.strictEqual(error.target, "api.example:80")
    }).pipe(on({ faults: [Faults.hostNotFound()] }))
  )

  it.effect("no answer, until the connect timeout", () =>
    Effect.gen(function* () {
      yield* startServer({ host, port: 80 }, shouting)
      const connecting = yield* start(Effect.flip(openConnection({ host, port: 80, connectTimeout: "3 seconds" })))
      yield* TestNetwork.settled
      yield* TestClock.adjust("2999 millis")
      assert.isTrue(waits(connecting))
      yield* TestClock.adjust("1 milli")
      assert.strictEqual((yield* Fiber.join(connecting)).kind, "Timeout")
    }).pipe(on({ faults: [Faults.connectTimeout()] }))
  )

  it.effect("an accept that fails is tried again, and whoever comes meanwhile waits with it", () =>
    Effect.gen(function* () {
      const failures: Array<string | undefined> = []
      const accepted: Array<string> = []
      const network = yield* Network.Network
      yield* network.listen({ host, port: 80 }, (transport) => void accepted.push(String(transport.info.remote)), {
        onAcceptError: (failure) => void failures.push(failure.code)
      })
      const first = yield* openConnection({ host, port: 80 })
      const second = yield* openConnection({ host, port: 80 })
      yield* first.writer.write("held meanwhile")
      yield* TestNetwork.settled
      assert.deepStrictEqual(failures, ["ENFILE"])
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(accepted, [])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(accepted, [String(first.info.local), String(second.info.local)])
    }).pipe(on({ faults: [Faults.acceptError({ code: "ENFILE", retryAfter: 5000 })] }))
  )

  it.live("a server with a backlog of 0 is reached, as on real sockets", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ port: 0, backlog: 0 }, ({ writer }) => writer.write("welcome\n"))
      const { reader } = yield* within("the client connects", openConnection({ port: server.port }))
      assert.strictEqual(text(yield* reader.readLine), "welcome\n")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("a full backlog makes clients wait", () =>
    Effect.gen(function* () {
      const network = yield* Network.Network
      yield* network.listen({ host, port: 80, backlog: 1 }, () => {})
      yield* openConnection({ host, port: 80 })
      const second = yield* start(openConnection({ host, port: 80 }))
      yield* TestNetwork.settled
      assert.isTrue(waits(second))
      yield* TestClock.adjust("5 seconds")
      yield* TestNetwork.settled
      yield* Fiber.join(second)
    }).pipe(on({ faults: [Faults.acceptError({ retryAfter: 4500 })] }))
  )

  it.effect("those who wait for an accept are reset when the server stops listening", () =>
    Effect.gen(function* () {
      const network = yield* Network.Network
      const listener = yield* network.listen({ host, port: 80 }, () => {})
      const { reader } = yield* openConnection({ host, port: 80 })
      yield* listener.close
      assert.strictEqual((yield* Effect.flip(reader.read(1)))._tag, "ConnectionLost")
    }).pipe(on({ faults: [Faults.acceptError()] }))
  )
})

describe("giving up", () => {
  for (const [kind, tls] of [
    ["plain", undefined],
    [
      "TLS",
      { server: { identity: certificates.server.identity }, client: { ca: authority.cert, serverName: "localhost" } }
    ]
  ] as const) {
    it.live(`a connect that is interrupted at whatever step leaves no connection, ${kind}`, () =>
      Effect.gen(function* () {
        const server = yield* startServer(
          { port: 7, tls: tls?.server, onHandshakeError: () => Effect.void },
          ({ reader }) => Effect.ignore(reader.readAll({ maxBytes: 1 }))
        )
        const session = Effect.scoped(openConnection({ port: 7, tls: tls?.client as never }))
        // what is loaded once takes other steps
        yield* session
        let over = false
        for (let step = 1; !over; step++) {
          over = Exit.isSuccess(yield* within("it ends", interruptBefore(step, session)))
          yield* eventuallyEffect(
            `the connection interrupted before step ${step} ends`,
            Effect.map(server.connections, (count) => count === 0),
            3000
          )
        }
      }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
    )
  }

  it.effect("a connect that is interrupted leaves a server that sees a reset, at most", () =>
    Effect.gen(function* () {
      const seen = yield* Deferred.make<string>()
      yield* startServer({ host, port: 80 }, ({ reader }) =>
        Effect.flatMap(Effect.flip(reader.read(1)), (error) => Deferred.succeed(seen, error._tag))
      )
      const connecting = yield* start(openConnection({ host, port: 80 }))
      yield* TestNetwork.settled
      // the server has accepted, and the answer is on its way
      yield* TestClock.adjust("15 millis")
      yield* Fiber.interrupt(connecting)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Deferred.await(seen), "ConnectionLost")
    }).pipe(on({ fromClient: { latency: 10 }, fromServer: { latency: 10 } }))
  )

  it.effect("when the network's scope closes nothing moves any more", () =>
    Effect.gen(function* () {
      const connection = yield* Effect.scoped(
        Effect.gen(function* () {
          const network = yield* Network.Network
          yield* network.listen({ host, port: 80 }, () => {})
          const transport = yield* network.connect({ host, port: 80 })
          return transport
        }).pipe(Effect.provide(TestNetwork.layer))
      )
      const told: Array<string> = []
      connection.attach({
        onData: () => told.push("data"),
        onEnd: () => told.push("end"),
        onDrain: () => told.push("drain"),
        onWriteFailure: () => told.push("write failure"),
        onClose: () => told.push("close")
      })
      connection.write([new Uint8Array(100_000)])
      connection.end()
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(told, [])
    })
  )
})
