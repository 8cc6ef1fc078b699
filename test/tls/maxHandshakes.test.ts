/** How many TLS handshakes are under way at a time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Scheduler } from "effect"
import { NodeNetwork, openConnection, type Server, startServer, type StreamError } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { authority, certificates } from "../support/certificates.ts"
import { deathOf } from "../support/exits.ts"
import { connectRaw } from "../support/rawPeer.ts"
import { connectTls, host, serveTls } from "../support/tlsPair.ts"
import { eventually } from "../support/wait.ts"
import { Restless } from "../support/yieldingSchedulers.ts"

const { identity } = certificates.server
const all = { concurrency: "unbounded" } as const

/** Clients that connect, and never say anything. */
const silent = (port: number, count: number) =>
  Effect.forEach(Array.from({ length: count }), () =>
    Effect.map(connectRaw(port), (client) => ({ client, address: `${host}:${client.socket.localPort}` }))
  )

describe("maxHandshakes", () => {
  const bounds: ReadonlyArray<readonly [string, Omit<Server.Options, "tls">]> = [
    ["by itself", { maxHandshakes: 3 }],
    ["by maxConnections and backlog, where clients wait", { maxConnections: 1, backlog: 2 }],
    ["by maxConnections and backlog, where they are rejected", { maxConnections: 1, backlog: 2, overflow: "reject" }]
  ]

  it.live.each(bounds)("clients that never say anything hold no more than so many descriptors, %s", ([, options]) =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity }, options)
      const clients = yield* silent(server.port, 10)
      yield* eventually(
        "those that came first are let go of",
        () => clients.filter(({ client }) => client.closed).length === 7
      )
      assert.deepStrictEqual(
        clients.map(({ client }) => client.closed),
        clients.map((_, i) => i < 7)
      )
      for (const [i, failure] of server.failures.entries()) {
        assert.strictEqual(failure.kind, "Handshake")
        assert.include(failure.message, "maxHandshakes (3)")
        assert.strictEqual(failure.peer, clients[i]!.address)
      }
      assert.strictEqual(server.failures.length, 7)
      // one that speaks is served, in the place of a silent one
      yield* connectTls(server.port)
      yield* server.accept
      yield* eventually("it took the place of the next", () => clients[7]!.client.closed)
      assert.isFalse(clients[8]!.client.closed)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("each of them is given up once, also where others run before it is over", () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 10; seed++) {
        const serving = serveTls({ identity }, { maxHandshakes: 1 })
        const server = yield* Effect.provideService(serving, Scheduler.Scheduler, new Restless(seed))
        const clients = yield* silent(server.port, 10)
        const gone = clients.slice(0, 9)
        yield* eventually("all but the last are let go of", () => gone.every(({ client }) => client.closed))
        yield* eventually("and that is told", () => server.failures.length >= 9)
        assert.sameMembers(
          server.failures.map(({ peer }) => peer),
          gone.map(({ address }) => address)
        )
      }
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )

  it.live("as many as can be served and wait may come at once, and none is given up", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity }, { maxConnections: 12, backlog: 4 })
      yield* Effect.forEach(Array.from({ length: 16 }), () => connectTls(server.port), all)
      yield* eventually("twelve are served", () => server.connections.length === 12)
      assert.deepStrictEqual(server.failures, [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("none is given up where nothing says how many", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity }, { backlog: 1 })
      const clients = yield* silent(server.port, 20)
      yield* connectTls(server.port)
      yield* server.accept
      assert.deepStrictEqual(server.failures, [])
      assert.isFalse(clients.some(({ client }) => client.closed))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a handshake that is done, well or not, is none of them", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity }, { maxHandshakes: 1 })
      for (let i = 0; i < 3; i++) {
        yield* connectTls(server.port)
        yield* server.accept
      }
      const client = yield* connectRaw(server.port)
      yield* client.send("no TLS\n")
      assert.strictEqual((yield* server.failure).code, "ERR_SSL_WRONG_VERSION_NUMBER")
      yield* connectTls(server.port)
      yield* server.accept
      assert.strictEqual(server.failures.length, 1)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("is the same on a network in memory", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const failures: Array<StreamError.TlsFailed> = []
        yield* startServer(
          {
            port: 7000,
            maxConnections: 1,
            backlog: 1,
            gracePeriod: 0,
            tls: { identity },
            onHandshakeError: (error) => Effect.sync(() => void failures.push(error))
          },
          ({ writer }) => writer.write("hello")
        )
        const clients = yield* Effect.forEach([1, 2, 3, 4], () => openConnection({ port: 7000 }))
        const tls = { ca: authority.cert, serverName: "localhost" }
        const { reader } = yield* openConnection({ port: 7000, tls })
        assert.strictEqual((yield* reader.readAll({ maxBytes: 100 })).length, 5)
        assert.deepStrictEqual(
          failures.map(({ kind }) => kind),
          ["Handshake", "Handshake", "Handshake"]
        )
        for (const one of clients.slice(0, 3)) {
          assert.strictEqual((yield* Effect.flip(one.reader.read(1)))._tag, "ConnectionLost")
        }
      }).pipe(Effect.scoped)
    )
  )

  it.live("dies for what is no number of them", () =>
    Effect.gen(function* () {
      const wrong = startServer({ host, port: 0, maxHandshakes: 0, tls: { identity } }, () => Effect.void)
      assert.match(yield* deathOf(Effect.scoped(wrong)), /startServer.*maxHandshakes.*0/)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
