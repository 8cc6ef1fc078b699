/** Whom an error is about: the peer's address in what connections fail with, and in what it says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  type Network,
  NodeNetwork,
  openConnection,
  openUnixConnection,
  startServer,
  startUnixServer,
  StreamError
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import type { Layer, Scope } from "effect"
import { certificates } from "../support/certificates.ts"
import { fake } from "../support/fakeTransport.ts"
import { socketPath } from "../support/temporary.ts"

const host = "127.0.0.1"
/** Reads what is said, and is reset, or says nothing. */
const opened = Effect.gen(function* () {
  const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, ({ abort, reader }) =>
    Effect.andThen(reader.readLine, abort)
  )
  const client = yield* openConnection({ host, port: server.port })
  return { client, peer: `${host}:${server.port}` }
})

const networks: ReadonlyArray<readonly [string, Layer.Layer<Network.Network>]> = [
  ["the system's", NodeNetwork.layer],
  ["one in memory", TestNetwork.layer]
]

const onEach = (what: string, test: Effect.Effect<void, unknown, Network.Network | Scope.Scope>): void => {
  for (const [name, network] of networks) {
    it.live(`${what}, on ${name}`, () =>
      test.pipe(Effect.scoped, Effect.provide(network), Effect.timeout("20 seconds"), Effect.orDie)
    )
  }
}

describe("an error names the peer", () => {
  onEach(
    "that broke the connection, to reads, writes and those who wait for its end",
    Effect.gen(function* () {
      const { client, peer } = yield* opened
      yield* client.writer.write("go\n")
      const read = yield* Effect.flip(client.reader.readLine)
      assert(read._tag === "ConnectionLost")
      assert.strictEqual(read.peer, peer)
      assert.strictEqual(read.message, `readLine: the connection to ${peer} was lost (Reset, ECONNRESET)`)
      const written = yield* Effect.flip(client.writer.write("more"))
      assert(written._tag === "ConnectionLost")
      assert.strictEqual(written.peer, peer)
      const closed = yield* client.closed
      assert(closed._tag === "Lost" && closed.error._tag === "ConnectionLost")
      assert.strictEqual(closed.error.peer, peer)
    })
  )

  onEach(
    "that was waited for, with the bound",
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, () => Effect.never)
      for (const [kind, timeouts] of [
        ["Read", { read: 20 }],
        ["Idle", { idle: 20 }],
        ["Total", { total: 20 }]
      ] as const) {
        const { reader } = yield* openConnection({ host, port: server.port, timeouts })
        const error = yield* Effect.flip(reader.read(1))
        assert(error._tag === "StreamTimeout")
        assert.strictEqual(error.message, `read: the ${kind} timeout of 20ms expired (${host}:${server.port})`)
      }
    })
  )

  onEach(
    "with which TLS could not be agreed on, on both sides, however long it took",
    Effect.gen(function* () {
      const failures: Array<readonly [StreamError.TlsFailed, string]> = []
      const server = yield* startServer(
        {
          host,
          port: 0,
          gracePeriod: 0,
          tls: { identity: certificates.server.identity, handshakeTimeout: "200 millis" },
          onHandshakeError: (error, info) =>
            Effect.sync(() => void failures.push([error, `${host}:${(info.remote as { readonly port: number }).port}`]))
        },
        () => Effect.never
      )
      const peer = `${host}:${server.port}`
      const error = yield* Effect.flip(openConnection({ host, port: server.port, tls: true }))
      assert(error._tag === "TlsFailed")
      assert.strictEqual(error.peer, peer)
      assert.include(error.message, `openConnection: the certificate of ${peer} is not accepted`)
      const silent = yield* openConnection({ host, port: server.port })
      yield* silent.closed
      while (failures.length < 2) yield* Effect.sleep(5)
      for (const [failure, client] of failures) assert.strictEqual(failure.peer, client)
      const late = failures.map(([failure]) => failure).find(({ kind }) => kind === "Timeout")!
      assert.strictEqual(late.message, `startServer: ${late.peer} took longer than handshakeTimeout (200ms)`)
      assert(late.cause instanceof StreamError.StreamTimeout)
      assert.strictEqual(late.cause.peer, late.peer)
    })
  )

  onEach(
    "of an upgrade that came to nothing",
    Effect.gen(function* () {
      const upgraded: Array<StreamError.TlsFailed> = []
      const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, (connection) =>
        connection.reader.readLine.pipe(
          Effect.andThen(connection.startTls({ side: "server", identity: certificates.server.identity })),
          Effect.catchTag("TlsFailed", (error) => Effect.sync(() => void upgraded.push(error)))
        )
      )
      const { writer } = yield* openConnection({ host, port: server.port })
      yield* writer.write("STARTTLS\nand more")
      while (upgraded.length === 0) yield* Effect.sleep(5)
      assert.strictEqual(upgraded[0]!.kind, "InjectedPlaintext")
      assert.match(upgraded[0]!.peer!, /^127\.0\.0\.1:\d+$/)
    })
  )

  onEach(
    "by its path, which the client of a Unix socket has not",
    Effect.gen(function* () {
      const path = yield* socketPath()
      const ends: Array<unknown> = []
      yield* startUnixServer(
        path,
        ({ reader }) => Effect.tapError(reader.readLine, (error) => Effect.sync(() => void ends.push(error))),
        // long after the client has given up, on a busy machine as well
        { gracePeriod: 0, timeouts: { read: 1000 } }
      )
      const { reader } = yield* openUnixConnection(path, { timeouts: { read: 10 } })
      const error = yield* Effect.flip(reader.readLine)
      assert.strictEqual(error.message, `readLine: the Read timeout of 10ms expired (${path})`)
      while (ends.length === 0) yield* Effect.sleep(5)
      assert.strictEqual((ends[0] as Error).message, "readLine: the Read timeout of 1s expired")
    })
  )

  it.live("to which connecting took too long", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(openConnection({ host: "192.0.2.1", port: 80, connectTimeout: "20 millis" }))
      assert(error._tag === "ConnectFailed")
      const { cause } = error.attempts[0]!
      assert(cause instanceof StreamError.StreamTimeout)
      assert.strictEqual(cause.message, "openConnection: the Connect timeout of 20ms expired (192.0.2.1:80)")
    }).pipe(
      Effect.scoped,
      Effect.provide(TestNetwork.layerWith({ addresses: { "192.0.2.1": "Timeout" } })),
      Effect.timeout("20 seconds")
    )
  )

  it.effect("only where there is one", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake()
      transport.lose()
      const error = yield* Effect.flip(reader.readLine)
      assert(error._tag === "ConnectionLost")
      assert.isUndefined(connection.info.remote)
      assert.isUndefined(error.peer)
    })
  )
})
