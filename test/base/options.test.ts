/**
 * Wrong options, of every function that takes some: a programming error, so the effect dies when it is run, before
 * anything has happened, and says which operation it was, which option, and what it was given. Options of TLS are in
 * test/tls, arguments of the reader and the writer in test/read and test/write.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Result, type Scope } from "effect"
import {
  Connection,
  Network,
  NodeNetwork,
  openConnection,
  openUnixConnection,
  Server,
  startServer,
  startUnixServer
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { duplexPair } from "node:stream"
import { deathOf } from "../support/exits.ts"
import { FakeTransport } from "../support/fakeTransport.ts"
import { needs } from "../support/peers.ts"
import { closedPort } from "../support/rawPeer.ts"
import { socketOptions } from "../support/socketOptions.ts"

/** A wrong value, and how a message shows it. */
type Wrong = readonly [value: unknown, shown: string]

// ---------------------------------------------------------------------------
// wrong values
// ---------------------------------------------------------------------------

const text = (value: string): Wrong => [value, `got ${JSON.stringify(value)} (string)`]
const nothing: Wrong = [null, "got null"]
const numbers = (...values: ReadonlyArray<number>): ReadonlyArray<Wrong> =>
  values.map((value) => [value, `got ${value}`])

const count: ReadonlyArray<Wrong> = [text("5"), [5n, "got 5n (bigint)"], nothing, ...numbers(-1, 1.5, NaN)]
const duration: ReadonlyArray<Wrong> = [
  text("5 secs"),
  text("5"),
  text("-1 seconds"),
  nothing,
  [true, "got true (boolean)"],
  [{}, "got [object Object] (Object)"],
  [{ secs: 5 }, "(Object)"],
  [{ seconds: "5" }, "(Object)"],
  [[5], "got [5] (Array)"],
  [Duration.negativeInfinity, "got "],
  ...numbers(-1, NaN, -Infinity)
]
const someTime: ReadonlyArray<Wrong> = [...duration, text("0 seconds"), [{ seconds: 0 }, "(Object)"], ...numbers(0)]
const flag: ReadonlyArray<Wrong> = [text("true"), nothing, ...numbers(0, 1)]
const port: ReadonlyArray<Wrong> = [text("80"), nothing, ...numbers(-1, 65536, 1.5, NaN)]
const func: ReadonlyArray<Wrong> = [text("log"), nothing, [{}, "(Object)"]]
const record: ReadonlyArray<Wrong> = [text("fast"), nothing, [[], "got [] (Array)"], ...numbers(5)]
const name: ReadonlyArray<Wrong> = [...numbers(5), nothing, [{}, "(Object)"]]

/** An option, by what messages call it, what sets it, and what is wrong. */
interface Row {
  readonly named: string
  readonly set: (value: unknown) => object
  readonly wrong: ReadonlyArray<Wrong>
}

const option = (named: string, wrong: ReadonlyArray<Wrong>): Row => ({
  named,
  set: (value) =>
    named
      .split(".")
      .reverse()
      .reduce<unknown>((inner, key) => ({ [key]: inner }), value) as object,
  wrong
})

const within = (named: string, key: string, rest: object, wrong: ReadonlyArray<Wrong>): Row => ({
  named: `${named}.${key}`,
  set: (value) => option(named, []).set({ ...rest, [key]: value }),
  wrong
})

/** Every option has its rows: one that is added without any does not compile. */
type Rows<Options> = { readonly [K in keyof Required<Options>]: ReadonlyArray<Row> }

const session: Rows<Connection.Options> = {
  limit: [option("limit", [...count.filter(([value]) => value !== Infinity), ...numbers(0)])],
  highWaterMark: [option("highWaterMark", count)],
  lowWaterMark: [option("lowWaterMark", count)],
  closeTimeout: [option("closeTimeout", duration)],
  onScopeFailure: [option("onScopeFailure", [text("Abort"), text(""), nothing, [true, "got true (boolean)"]])],
  timeouts: [
    option("timeouts", record),
    ...["idle", "read", "write", "total"].map((key) => option(`timeouts.${key}`, someTime)),
    option("timeouts.minRate", record),
    within("timeouts.minRate", "bytes", { per: "1 second" }, [...count, ...numbers(0)]),
    within("timeouts.minRate", "per", { bytes: 1 }, [[undefined, "got undefined"], ...someTime])
  ]
}

/** Checked where TLS is. */
type Tls = "tls"

const ofSockets = {
  noDelay: [option("noDelay", flag)],
  keepAlive: [
    option("keepAlive", [
      ...someTime.filter(([value]) => typeof value !== "boolean"),
      text("32768 seconds"),
      text("2 weeks"),
      text("Infinity"),
      ...numbers(32_767_001)
    ])
  ]
}

const connect: Rows<Omit<Network.ConnectOptions, "path" | Tls>> = {
  host: [option("host", [text(""), ...name])],
  port: [option("port", port)],
  connectTimeout: [option("connectTimeout", duration)],
  attemptDelay: [option("attemptDelay", duration)],
  localAddress: [
    option("localAddress", [text("127.0.0.1"), ...record.slice(1)]),
    option("localAddress.host", [text(""), text("localhost"), text("127.0.0"), ...name]),
    option("localAddress.port", port)
  ],
  ...ofSockets
}

const listen: Rows<Omit<Network.ListenOptions, "path" | Tls>> = {
  host: [option("host", [[[], "got []"], [["127.0.0.1", 5], "got 5"], [[null], "got null"], ...name])],
  port: [option("port", port)],
  lookupTimeout: [option("lookupTimeout", duration)],
  backlog: [option("backlog", [...count, ...numbers(2 ** 31, Infinity)])],
  maxHandshakes: [option("maxHandshakes", [...count, ...numbers(0)])],
  reusePort: [option("reusePort", flag)],
  exclusive: [option("exclusive", flag)],
  ipv6Only: [option("ipv6Only", flag)],
  mode: [option("mode", [...count, text("0660"), ...numbers(0o10000)])],
  cleanupSocket: [option("cleanupSocket", flag)],
  ...ofSockets
}

const server: Rows<Omit<Server.Options, keyof Connection.Options | keyof Network.ListenOptions>> = {
  gracePeriod: [option("gracePeriod", duration)],
  maxConnections: [option("maxConnections", [...count, ...numbers(0)])],
  overflow: [option("overflow", [text("drop"), text(""), nothing])],
  whenDraining: [option("whenDraining", [text("endReads"), nothing, [true, "got true (boolean)"]])],
  onAcceptError: [option("onAcceptError", func)],
  onHandlerError: [option("onHandlerError", func)],
  onHandshakeError: [option("onHandshakeError", func)]
}

const rows = (...tables: ReadonlyArray<Readonly<Record<string, ReadonlyArray<Row>>>>): ReadonlyArray<Row> =>
  tables.flatMap((table) => Object.values(table).flat())

const without = <A extends object>(
  table: A,
  ...keys: ReadonlyArray<keyof A>
): Readonly<Record<string, ReadonlyArray<Row>>> =>
  Object.fromEntries(Object.entries(table).filter(([key]) => !keys.includes(key as keyof A)))

const all: Row = option("options", record)

// ---------------------------------------------------------------------------
// the functions
// ---------------------------------------------------------------------------

interface Case {
  readonly operation: string
  readonly where?: string
  readonly call: (options: never) => Effect.Effect<unknown, unknown, Network.Network | Scope.Scope>
  /** What makes a call of it a good one. */
  readonly base: object
  readonly rows: ReadonlyArray<Row>
}

/** A network of which nothing must be asked. */
const untouched = Layer.succeed(Network.Network)({
  connect: () => Effect.die(new Error("the network was asked to connect")),
  listen: () => Effect.die(new Error("the network was asked to listen"))
})

const onNode = NodeNetwork.make()
const inMemory = (use: (network: Network.Network["Service"]) => Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.flatMap(Network.Network, use).pipe(Effect.provide(TestNetwork.layer))

const base = { host: "127.0.0.1", port: 1 }
const handler = () => Effect.void

const cases: ReadonlyArray<Case> = [
  { operation: "openConnection", call: openConnection, base, rows: rows(session, connect) },
  {
    operation: "openUnixConnection",
    call: (options) => openUnixConnection("/tmp/nobody", options),
    base: {},
    rows: rows(session, without(connect, "host", "port", "localAddress"))
  },
  {
    operation: "Connection.layerConnection",
    call: (options) => Layer.build(Connection.layerConnection(options)),
    base,
    rows: rows(session, connect)
  },
  {
    operation: "startServer",
    call: (options) => startServer(options, handler),
    base,
    rows: rows(session, listen, server)
  },
  {
    operation: "startUnixServer",
    call: (options) => startUnixServer("/tmp/nobody", handler, options),
    base: {},
    rows: rows(session, without(listen, "host", "port"), server)
  },
  {
    operation: "Server.layerServer",
    call: (options) => Layer.build(Server.layerServer(options, handler)),
    base,
    rows: rows(session, listen, server)
  },
  {
    operation: "Connection.fromTransport",
    call: (options) => Connection.fromTransport(new FakeTransport(), options),
    base: {},
    rows: rows(session)
  },
  {
    operation: "Connection.fromDuplex",
    call: (options) => Connection.fromDuplex(duplexPair()[0], options),
    base: {},
    rows: rows(session)
  },
  {
    operation: "Connection.fromPair",
    call: (options) => Connection.fromPair({ readable: duplexPair()[0], writable: duplexPair()[0] }, options),
    base: {},
    rows: rows(session)
  },
  {
    operation: "Connection.fromSocket",
    call: (options) =>
      Effect.flatMap(TestNetwork.pair(), ({ left }) => Connection.fromSocket(Connection.toSocket(left), options)),
    base: {},
    rows: rows(session)
  },
  {
    operation: "Network.connect",
    where: " on sockets",
    call: (options) => onNode.connect(options),
    base,
    rows: rows(connect)
  },
  {
    operation: "Network.connect",
    where: " in memory",
    call: (options) => inMemory((network) => network.connect(options)),
    base,
    rows: rows(connect)
  },
  {
    operation: "Network.listen",
    where: " on sockets",
    call: (options) => onNode.listen(options, () => {}),
    base,
    rows: rows(listen)
  },
  {
    operation: "Network.listen",
    where: " in memory",
    call: (options) => inMemory((network) => network.listen(options, () => {})),
    base,
    rows: rows(listen)
  }
]

const dies = (call: Effect.Effect<unknown, unknown, Network.Network | Scope.Scope>) =>
  Effect.scoped(deathOf(call)).pipe(Effect.provide(untouched))

describe("a wrong option dies, and is named with its operation and its value", () => {
  for (const { base, call, operation, rows, where = "" } of cases) {
    it.live(`${operation}${where}: ${rows.length} options`, () =>
      Effect.gen(function* () {
        const failures: Array<string> = []
        for (const { named, set, wrong } of [all, ...rows]) {
          for (const [value, shown] of wrong) {
            // options that may be left out may be undefined, and are not null
            const given = named === "options" ? value : { ...base, ...set(value) }
            const message = yield* dies(Effect.suspend(() => call(given as never)))
            if (!message.includes(`${operation}: ${named} must `) || !message.includes(shown)) {
              failures.push(`${named} ${shown}: ${message}`)
            }
          }
        }
        assert.deepStrictEqual(failures, [])
      })
    )
  }

  it.live("where to connect or listen: neither port nor path, both, or a path that is none", () =>
    Effect.gen(function* () {
      for (const [operation, call] of [
        ["openConnection", openConnection],
        ["startServer", (options: Server.Options) => startServer(options, handler)],
        ["Network.connect", (options: Network.ConnectOptions) => onNode.connect(options)],
        ["Network.listen", (options: Network.ListenOptions) => onNode.listen(options, () => {})]
      ] as const) {
        const message = (options: object) => dies(call(options as never))
        assert.include(
          yield* message({ host: "127.0.0.1" }),
          `${operation}: either port or path is required, got neither`
        )
        assert.include(
          yield* message({ port: 80, path: "/tmp/nobody" }),
          `${operation}: either port or path is required, not both, got port 80 and path "/tmp/nobody" (string)`
        )
        for (const path of ["", 5, null, "/tmp/a\0b"]) {
          assert.include(yield* message({ path }), `${operation}: path must be`)
        }
      }
      for (const path of ["", 5, null, undefined] as ReadonlyArray<unknown> as ReadonlyArray<never>) {
        assert.include(yield* dies(openUnixConnection(path)), "openUnixConnection: path must be")
        assert.include(yield* dies(startUnixServer(path, handler)), "startUnixServer: path must be")
      }
    })
  )

  it.live("a handler that is no function", () =>
    Effect.gen(function* () {
      for (const [handler, shown] of func) {
        for (const [operation, start] of [
          ["startServer", startServer(base, handler as () => Effect.Effect<void>)],
          ["startUnixServer", startUnixServer("/tmp/nobody", handler as () => Effect.Effect<void>)],
          ["Server.layerServer", Layer.build(Server.layerServer(base, handler as () => Effect.Effect<void>))]
        ] as const) {
          const message = yield* dies(start)
          assert.include(message, `${operation}: handler must be a function`)
          assert.include(message, shown)
        }
      }
    })
  )

  it.live("what is no transport, no stream and no socket", () =>
    Effect.gen(function* () {
      for (const wrong of [undefined, null, 5, "socket", {}, new FakeTransport().attach] as ReadonlyArray<unknown>) {
        for (const [operation, make] of [
          ["Connection.fromTransport", Connection.fromTransport(wrong as never)],
          ["Connection.fromDuplex", Connection.fromDuplex(wrong as never)],
          ["Connection.fromPair", Connection.fromPair({ readable: duplexPair()[0], writable: wrong as never })],
          ["Connection.fromPair", Connection.fromPair(wrong as never)],
          ["Connection.fromSocket", Connection.fromSocket(wrong as never)]
        ] as const) {
          const message = yield* dies(make)
          assert.include(message, `${operation}: `)
          assert.match(message, /: .* got ./)
        }
      }
    })
  )

  it.live("how long a shutdown may take; and the server goes on", () =>
    Effect.gen(function* () {
      const running = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ writer }) => writer.write("hello\n"))
      for (const [gracePeriod, shown] of duration) {
        const message = yield* deathOf(running.shutdown({ gracePeriod } as never))
        assert.include(message, "Server.shutdown: gracePeriod must be a duration")
        assert.include(message, shown)
      }
      assert.include(yield* deathOf(running.shutdown(5 as never)), "Server.shutdown: options must be an object, got 5")
      const { reader } = yield* openConnection({ host: "127.0.0.1", port: running.port })
      assert.strictEqual((yield* reader.readLine).length, 6)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it("the settings of the whole network", () => {
    for (const [lookup, shown] of func) {
      const made = Result.try(() => NodeNetwork.make({ lookup } as never))
      assert(Result.isFailure(made))
      assert.include(String(made.failure), "NodeNetwork.make: lookup must be a function")
      assert.include(String(made.failure), shown)
    }
  })
})

describe("options that are right", () => {
  it.live("undefined is an option that was left out", () =>
    Effect.gen(function* () {
      const options = (table: object) => Object.fromEntries(Object.keys(table).map((key) => [key, undefined]))
      const running = yield* startServer(
        { ...options(session), ...options(listen), ...options(server), port: 0, tls: undefined },
        ({ writer }) => writer.write("hello\n")
      )
      const { reader } = yield* openConnection({
        ...options(session),
        ...options(connect),
        host: "127.0.0.1",
        port: running.port
      })
      assert.strictEqual((yield* reader.readLine).length, 6)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a duration in each of its spellings, and without an end", () =>
    Effect.gen(function* () {
      for (const duration of [
        0,
        1.5,
        Infinity,
        5n,
        "5 seconds",
        "1 week",
        "Infinity",
        [5, 0],
        { seconds: 5 },
        { minutes: 1, milliseconds: 5 },
        Duration.seconds(5),
        Duration.infinity
      ] as ReadonlyArray<Duration.Input>) {
        const { left } = yield* TestNetwork.pair({ closeTimeout: duration })
        assert.isDefined(left)
      }
    })
  )

  it.live("watermarks without a bound", () =>
    Effect.gen(function* () {
      const { left } = yield* TestNetwork.pair({ highWaterMark: Infinity })
      assert.strictEqual(left.writer.lowWaterMark, Infinity)
    })
  )

  it.live("an address of a zone, to connect from", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const failed = yield* Effect.flip(
        openConnection({ host: "127.0.0.1", port, localAddress: { host: "fe80::1%lo", port: 0 } })
      )
      assert.strictEqual(failed._tag, "ConnectFailed")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

it.live(
  "keepAlive is whole seconds, rounded up, for clients and accepted connections",
  () =>
    Effect.gen(function* () {
      for (const [keepAlive, seconds] of [
        ["500 millis", 1],
        ["32766001 millis", 32_767]
      ] as const) {
        const running = yield* startServer({ host: "127.0.0.1", port: 0, keepAlive }, () => Effect.never)
        const { info } = yield* openConnection({ host: "127.0.0.1", port: running.port, keepAlive })
        const { local } = info
        assert(local?._tag === "InetAddressV4")
        for (const [from, to] of [
          [local.port, running.port],
          [running.port, local.port]
        ] as const) {
          const options = yield* socketOptions(from, to)
          assert.strictEqual(options.keepAlive, true)
          assert.strictEqual(options.keepAliveIdle, seconds, `${keepAlive}`)
        }
        yield* running.shutdown({ gracePeriod: 0 })
      }
    }).pipe(Effect.provide(NodeNetwork.layer)),
  needs("python3")
)
