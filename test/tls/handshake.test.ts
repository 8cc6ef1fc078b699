/**
 * Handshakes that do not come to their end: how long they may take, what gives them up, who is told, and that a server
 * loses nothing by them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import { NodeNetwork, openConnection, startServer, StreamError } from "effect-byte-streams"
import { authority, certificates } from "../support/certificates.ts"
import { text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { start } from "../support/fibers.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { connectTlsPeer } from "../support/tlsPeer.ts"
import { connectTls, host, serveTls } from "../support/tlsPair.ts"
import { tlsWays } from "../support/tlsWays.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"
import { Restless } from "../support/yieldingSchedulers.ts"

/** The beginning of what a TLS client says first. */
const clientHello = Effect.scoped(
  Effect.gen(function* () {
    const server = yield* serveRaw()
    const client = yield* connectTlsPeer(server.port)
    const peer = yield* server.accept
    const hello = yield* peer.awaitBytes(100)
    yield* client.wire.vanish
    return hello
  })
)

const timedOut = (error: StreamError.TlsFailed | StreamError.ConnectFailed): void => {
  assert(error._tag === "TlsFailed", String(error))
  assert.match(
    error.message,
    /^(openConnection|startServer): (127\.0\.0\.1:\d+|the peer) took longer than handshakeTimeout \((1m|\d+ms)\)$/
  )
  assert.strictEqual(error.kind, "Timeout")
  assert(error.cause instanceof StreamError.StreamTimeout)
  assert.strictEqual(error.cause.kind, "Handshake")
  assert.strictEqual(error.cause.operation, error.operation)
}

describe("handshakeTimeout", () => {
  it.live("bounds a client whose peer never answers, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveRaw()
          const error = yield* Effect.flip(connectTls(server.port, { handshakeTimeout: 50 }))
          timedOut(error)
          const peer = yield* server.accept
          assert.isAbove(peer.received.length, 100)
          yield* peer.awaitClosed
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("bounds a client whose peer stops in the middle", () =>
    Effect.gen(function* () {
      // a whole record's header, and nothing that it promises
      const server = yield* serveRaw({}, (peer) => peer.socket.write(Buffer.from([22, 3, 3, 0, 100, 2])))
      timedOut(yield* Effect.flip(connectTls(server.port, { handshakeTimeout: 50 })))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("bounds a server whose client says nothing, or stops in the middle; others are served meanwhile", () =>
    Effect.gen(function* () {
      const hello = yield* clientHello
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveTls({ handshakeTimeout: 250 })
          const silent = yield* connectRaw(server.port)
          const half = yield* connectRaw(server.port)
          yield* half.send(hello.subarray(0, 50))
          const other = yield* connectTls(server.port)
          const otherPeer = yield* server.accept
          timedOut(yield* server.failure)
          timedOut(yield* server.failure)
          yield* silent.awaitClosed
          yield* half.awaitClosed
          yield* other.writer.write("served\n")
          assert.strictEqual(text(yield* otherPeer.reader.readLine), "served\n")
          assert.strictEqual(yield* server.server.connections, 1)
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("does not bound what comes after the handshake", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ handshakeTimeout: 100 })
      const client = yield* connectTls(server.port, { handshakeTimeout: 100 })
      const peer = yield* server.accept
      yield* Effect.sleep(150)
      yield* client.writer.write("still here\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "still here\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  // The sockets are real, the clock is not: what waits for a socket lets the event loop go round.
  const observed = (what: string, holds: () => boolean) =>
    Effect.gen(function* () {
      for (let i = 0; i < 20_000; i++) {
        if (holds()) return
        yield* turns(1)
      }
      assert.fail(`never came: ${what}`)
    })

  it.effect("row 9.5: is 60 seconds by default, for a client", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const client = yield* start(Effect.flip(openConnection({ host, port: server.port, tls: { ca: authority.cert } })))
      yield* observed("the client says hello", () => (server.peers[0]?.received.length ?? 0) > 100)
      yield* TestClock.adjust("59 seconds")
      yield* turns()
      assert.strictEqual(client.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 second")
      timedOut(yield* Fiber.join(client))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("row 9.5: is 60 seconds by default, for a server", () =>
    Effect.gen(function* () {
      const hello = yield* clientHello.pipe(TestClock.withLive)
      const server = yield* serveTls()
      const client = yield* connectRaw(server.port)
      client.socket.write(hello)
      // the server's answer: it is in the middle of the handshake
      yield* observed("the server answers", () => client.received.length > 100)
      yield* TestClock.adjust("59 seconds")
      yield* turns()
      assert.strictEqual(server.failures.length, 0)
      yield* TestClock.adjust("1 second")
      yield* observed("the handshake fails", () => server.failures.length === 1)
      timedOut(server.failures[0]!)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a handshake that is given up", () => {
  it.live("by interruption resets the connection, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveRaw()
          const client = yield* start(connectTls(server.port))
          const peer = yield* server.accept
          yield* peer.awaitBytes(100)
          yield* Fiber.interrupt(client)
          yield* peer.awaitClosed
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("by the client does not wait for the server's timeout", () =>
    Effect.gen(function* () {
      const hello = yield* clientHello
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveTls()
          // in good order or not, before it said anything, in the middle, and when it was answered
          for (const [said, leave] of [
            ["", "finish"],
            ["", "reset"],
            [hello.subarray(0, 50), "finish"],
            [hello.subarray(0, 50), "reset"],
            [hello, "finish"],
            [hello, "reset"]
          ] as const) {
            const client = yield* connectRaw(server.port)
            if (said.length > 0) yield* client.send(said)
            if (said === hello) yield* client.awaitBytes(100)
            yield* client[leave]
            const failure = yield* server.failure
            assert.strictEqual(failure.kind, "Handshake")
            assert.match(
              failure.message,
              /^startServer: TLS with 127\.0\.0\.1:\d+ failed( \(ECONNRESET\))?: the peer left during the handshake$/
            )
          }
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("by the server's end does not hold up anybody", () =>
    Effect.gen(function* () {
      const before = held()
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(serveTls(), scope)
      const silent = yield* connectRaw(server.port)
      const other = yield* connectTls(server.port)
      yield* server.accept
      yield* within("the server's scope closes", Scope.close(scope, Exit.void))
      yield* silent.awaitClosed
      yield* other.abort
      yield* backTo(before)
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )

  it.live("by shutdown is not served any more", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const late = yield* connectTlsPeer(server.port, {}, { hold: true })
      const hello = yield* late.takeHeld("the client says hello")
      yield* late.wire.send(hello.subarray(0, 50))
      const report = yield* within("the shutdown", server.server.shutdown({ gracePeriod: 0 }))
      assert.deepStrictEqual(report, { completed: 0, aborted: 0 })
      late.wire.socket.write(hello.subarray(50))
      late.unhold()
      yield* eventually("the server lets go of the client", () => late.wire.ended || late.wire.closed)
      assert.strictEqual(server.connections.length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

for (const { connectTls, serveTls, way } of tlsWays) {
  describe(`under a scheduler that lets others run between the steps of a handshake, ${way}`, () => {
    const identities = {
      "an identity": certificates.server.identity,
      "an identity that is asked for": () => Effect.as(Effect.yieldNow, certificates.server.identity)
    }

    for (const [what, identity] of Object.entries(identities)) {
      it.live(`both sides come to its end, with ${what}`, () =>
        Effect.gen(function* () {
          for (let seed = 1; seed <= 20; seed++) {
            yield* Effect.gen(function* () {
              const server = yield* serveTls({ identity })
              const client = yield* connectTls(server.port)
              const peer = yield* server.accept
              yield* client.writer.write("hello\n")
              assert.strictEqual(text(yield* peer.reader.readLine), "hello\n")
            }).pipe(Effect.scoped, Effect.provideService(Scheduler.Scheduler, new Restless(seed)))
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(`a client that leaves is seen to leave, with ${what}`, () =>
        Effect.gen(function* () {
          const hello = yield* clientHello
          for (let seed = 1; seed <= 20; seed++) {
            const server = yield* Effect.provideService(serveTls({ identity }), Scheduler.Scheduler, new Restless(seed))
            for (const said of [Buffer.alloc(0), hello.subarray(0, 50), hello]) {
              const client = yield* connectRaw(server.port)
              if (said.length > 0) yield* client.send(said)
              yield* client.finish
              assert.strictEqual((yield* server.failure).kind, "Handshake")
            }
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  })
}

describe("onHandshakeError", () => {
  it.live("learns whose handshake it was, and why it failed", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const client = yield* connectRaw(server.port)
      const port = client.socket.localPort
      yield* client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
      const failure = yield* server.failure
      assert.strictEqual(failure._tag, "TlsFailed")
      assert.strictEqual(failure.kind, "Handshake")
      assert.strictEqual(failure.code, "ERR_SSL_HTTP_REQUEST")
      const { local, remote } = server.strangers[0]!
      assert(remote !== undefined && remote._tag !== "UnixPathAddress")
      assert.strictEqual(remote.port, port)
      assert(local !== undefined && local._tag !== "UnixPathAddress")
      assert.strictEqual(local.port, server.port)
      yield* client.awaitClosed
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is one line in the log by default", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
      yield* Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, gracePeriod: 0, tls: { identity: certificates.server.identity } },
          () => Effect.never
        )
        const client = yield* connectRaw(server.port)
        const port = client.socket.localPort
        yield* client.send("no TLS\n")
        yield* client.awaitClosed
        yield* eventually("a line is logged", () => lines.length > 0)
        yield* turns()
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Warn /)
        assert.include(lines[0], `127.0.0.1:${port}`)
      }).pipe(Effect.provide(Layer.provideMerge(NodeNetwork.layer, Logger.layer([logger]))))
    })
  )

  it.live("that dies itself changes nothing", () =>
    Effect.gen(function* () {
      let calls = 0
      const server = yield* startServer(
        {
          host,
          port: 0,
          tls: { identity: certificates.server.identity },
          onHandshakeError: () =>
            Effect.suspend(() => {
              calls++
              throw new Error("badly written")
            })
        },
        ({ reader, writer }) => Effect.flatMap(reader.readLine, (line) => writer.write(line))
      )
      const bad = yield* connectRaw(server.port)
      yield* bad.send("no TLS\n")
      yield* bad.awaitClosed
      yield* eventually("it is called", () => calls === 1)
      const good = yield* connectTls(server.port)
      yield* good.writer.write("echo\n")
      assert.strictEqual(text(yield* good.reader.readLine), "echo\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("failed handshakes", () => {
  it.live("cost the server nothing else: connections go on, none is counted, no descriptor is left", () =>
    Effect.gen(function* () {
      const hello = yield* clientHello
      const server = yield* serveTls({ clientCertificate: "request", minVersion: "TLSv1.3", alpnProtocols: ["a"] })
      const client = yield* connectTls(server.port)
      const peer = yield* server.accept
      const before = held()

      const echo = (line: string) =>
        Effect.gen(function* () {
          yield* client.writer.write(line)
          assert.strictEqual(text(yield* peer.reader.readLine), line)
        })
      const rounds = 5
      for (let round = 0; round < rounds; round++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const garbage = yield* connectRaw(server.port)
            yield* garbage.send(Buffer.from("\x00\xff\x13 what is this?", "latin1"))
            const tooOld = yield* connectTlsPeer(server.port, { maxVersion: "TLSv1.2" })
            const wrongProtocol = yield* connectTlsPeer(server.port, { ALPNProtocols: ["b"] })
            const resets = yield* connectRaw(server.port)
            yield* resets.send(hello)
            yield* resets.awaitBytes(100)
            yield* resets.reset
            const leaves = yield* connectRaw(server.port)
            yield* leaves.vanish
            yield* echo(`during round ${round}\n`)
            for (let i = 0; i < 5; i++) yield* server.failure
            yield* garbage.awaitClosed
            yield* tooOld.wire.awaitClosed
            yield* wrongProtocol.wire.awaitClosed
          })
        )
      }
      assert.strictEqual(server.failures.length, 5 * rounds)
      assert.strictEqual(yield* server.server.connections, 1)
      assert.strictEqual(server.connections.length, 1)
      yield* echo("afterwards\n")
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("of many clients at once hold up nobody", () =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveTls()
          const silent = yield* Effect.all(
            Array.from({ length: 50 }, () => connectRaw(server.port)),
            { concurrency: "unbounded" }
          )
          const clients = yield* Effect.all(
            Array.from({ length: 10 }, () => connectTls(server.port)),
            { concurrency: "unbounded" }
          )
          yield* eventuallyEffect(
            "all are served",
            Effect.map(server.server.connections, (count) => count === clients.length)
          )
          for (const one of silent) yield* one.finish
          for (const _ of silent) assert.strictEqual((yield* server.failure).kind, "Handshake")
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("do not count towards maxConnections", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({}, { maxConnections: 1, overflow: "reject" })
      yield* connectRaw(server.port)
      yield* connectRaw(server.port)
      const client = yield* connectTls(server.port)
      const peer = yield* server.accept
      yield* client.writer.write("served\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "served\n")
      assert.strictEqual(yield* server.server.rejected, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
