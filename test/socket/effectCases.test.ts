/**
 * What Effect's own tests ask of its sockets and socket servers, in our words, of those of this library. (Cases of
 * WebSockets, and of streams that somebody else has made, are about nothing that is here.)
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { Connection, NodeNetwork } from "effect-byte-streams"
import { Socket } from "effect/socket"
import { authority, certificates } from "../support/certificates.ts"
import { deafServer, deafUnixServer } from "../support/deafServer.ts"
import { echo, everywhere, overSockets, type Place, pullText, served, why } from "../support/sockets.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

const never: Effect.Effect<unknown> = Effect.never

for (const { kind, network, place } of everywhere) {
  const echoing = Effect.gen(function* () {
    const at: Place = yield* place
    const server = yield* served(at, echo)
    return { server, socket: yield* Connection.makeSocket(at.dial()) }
  })

  describe(`Effect's own cases, over ${kind}`, () => {
    it.live("open: a channel over the socket echoes", () =>
      Effect.gen(function* () {
        const { socket } = yield* echoing
        const output = yield* Stream.make("Hello", "World").pipe(
          Stream.encodeText,
          Stream.pipeThroughChannel(Socket.toChannel(socket)),
          Stream.catchIf(
            (error) => error.reason._tag === "SocketCloseError",
            () => Stream.empty
          ),
          Stream.decodeText(),
          Stream.mkString,
          (effect) => within("the echo", effect)
        )
        assert.strictEqual(output, "HelloWorld")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("echoes over the reader and the writer", () =>
      Effect.gen(function* () {
        const { socket } = yield* echoing
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        yield* writer.writeAll(["Hello", "World"])
        assert.strictEqual(yield* within("the echo", pullText(pull, 10)), "HelloWorld")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("pull: everything there is, in order, as one batch", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const writer = yield* socket.writer
              yield* socket.reader
              yield* writer.write("aa")
              yield* writer.writeAll(["bb", new TextEncoder().encode("cc")])
              yield* Effect.never
            })
          )
        )
        const socket = yield* Connection.makeSocket(at.dial())
        const { pull } = yield* socket.reader
        assert.strictEqual(yield* within("the batches", pullText(pull, 6)), "aabbcc")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a clean close is an error, with its code", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, () => Effect.void)
        const socket = yield* Connection.makeSocket(at.dial())
        const { pull } = yield* socket.reader
        assert.strictEqual(why(yield* within("the end", Effect.flip(pull))), "close 1000")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("the end of the reader's scope fails a pull that waits, with SocketCloseError", () =>
      Effect.gen(function* () {
        const { socket } = yield* echoing
        const scope = yield* Scope.make()
        const { pull } = yield* Scope.provide(socket.reader, scope)
        const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        yield* turns()
        yield* within("the end of the scope", Scope.close(scope, Exit.void))
        assert.strictEqual(why(yield* within("the pull", Fiber.join(pulling))), "close 1006")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("an old reader's scope does not disconnect the connection that has replaced it", () =>
      Effect.gen(function* () {
        const { server, socket } = yield* echoing
        const old = yield* Scope.make()
        yield* Scope.provide(socket.reader, old)
        const writer = yield* socket.writer
        yield* writer.write("to the old one")
        const { pull } = yield* socket.reader
        yield* within("the end of the old one", Scope.close(old, Exit.void))
        yield* writer.write("to the new one")
        assert.strictEqual(yield* within("the echo", pullText(pull, 14)), "to the new one")
        yield* eventuallyEffect(
          "one is left",
          Effect.map(server.connections, (count) => count === 1)
        )
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a CloseEvent passes writes that wait, and they end", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, (socket) => Effect.scoped(Effect.andThen(socket.reader, never)))
        const socket = yield* Connection.makeSocket(at.dial({ closeTimeout: 50, highWaterMark: 1000 }))
        const { pull } = yield* socket.reader
        const writer = yield* socket.writer
        const writing = yield* Effect.forkChild(
          Effect.forever(writer.write(new Uint8Array(100_000))).pipe(Effect.timeoutOption(4000)),
          { startImmediately: true }
        )
        yield* turns(20)
        yield* within("the close", writer.write(new Socket.CloseEvent(1001, "going away")), 3000)
        assert.strictEqual(why(yield* within("the end", Effect.flip(pull))), "close 1001: going away")
        yield* Fiber.interrupt(writing)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a server closes with a client that nobody serves", () =>
      Effect.gen(function* () {
        const at = yield* place
        const scope = yield* Scope.make()
        yield* Scope.provide(Layer.build(at.listen()), scope)
        const socket = yield* Connection.makeSocket(at.dial())
        const { pull } = yield* socket.reader
        const ending = yield* Effect.forkChild(Effect.flip(pull))
        yield* turns()
        yield* within("the end of the server", Scope.close(scope, Exit.void), 1000)
        yield* within("the client is told", Fiber.join(ending))
      }).pipe(Effect.scoped, Effect.provide(network))
    )
  })
}

const certificate = { cert: certificates.server.cert, key: Redacted.make(certificates.server.key) }
const trust = { ca: authority.cert, servername: "localhost" }

for (const { kind, network, place } of overSockets.filter(({ kind }) => kind !== "TLS")) {
  describe(`Effect's own cases of upgrades, over ${kind}`, () => {
    const upgrading = (client: Socket.TlsUpgradeOptions, server: Socket.TlsUpgradeOptions) =>
      Effect.gen(function* () {
        const at: Place = yield* place
        yield* served(at, (socket) => Effect.ignore(echo(socket, server)))
        const socket = yield* Connection.makeSocket(at.dial())
        const writer = yield* socket.writer
        const reader = yield* socket.reader
        return { ...reader, upgraded: reader.upgrade(client), writer }
      })

    it.live("both sides upgrade, and go on encrypted", () =>
      Effect.gen(function* () {
        const { pull, upgraded, writer } = yield* upgrading(trust, certificate)
        yield* within("the upgrade", upgraded)
        yield* writer.writeAll(["Hello", "World"])
        assert.strictEqual(yield* within("the echo", pullText(pull, 10)), "HelloWorld")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a server needs a key and a certificate", () =>
      Effect.gen(function* () {
        const at = yield* place
        const failures: Array<Socket.SocketError> = []
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const { upgrade } = yield* socket.reader
              failures.push(yield* Effect.flip(upgrade()))
              failures.push(yield* Effect.flip(upgrade({ cert: certificate.cert })))
            })
          )
        )
        const socket = yield* Connection.makeSocket(at.dial())
        const { pull } = yield* socket.reader
        yield* within("the end", Effect.flip(pull))
        assert.deepStrictEqual(failures.map(said), [
          "SocketUpgradeError: upgrade: a server needs both key and cert, got neither",
          "SocketUpgradeError: upgrade: a server needs both key and cert, got cert alone"
        ])
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a client shows both or neither, and nothing has happened", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, echo)
        const socket = yield* Connection.makeSocket(at.dial())
        const writer = yield* socket.writer
        const { pull, upgrade } = yield* socket.reader
        for (const [options, message] of [
          [{ cert: certificate.cert }, "a client needs both key and cert, got cert alone"],
          [{ key: certificate.key }, "a client needs both key and cert, got key alone"],
          [
            { cert: [certificate.cert, certificate.cert], key: certificate.key },
            "one key and one cert are needed, got 1 and 2"
          ]
        ] as const) {
          assert.strictEqual(said(yield* Effect.flip(upgrade(options))), `SocketUpgradeError: upgrade: ${message}`)
        }
        yield* writer.write("in plain text")
        assert.strictEqual(yield* within("the echo", pullText(pull, 13)), "in plain text")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("an interrupted upgrade fails the pulls behind it", () =>
      Effect.gen(function* () {
        const at = yield* place
        // says nothing that TLS could use
        yield* served(at, (socket) => Effect.scoped(Effect.andThen(socket.reader, never)))
        const socket = yield* Connection.makeSocket(at.dial())
        const { pull, upgrade } = yield* socket.reader
        const waiting = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        const upgrading = yield* Effect.forkChild(upgrade(trust), { startImmediately: true })
        yield* turns(20)
        yield* within("the interruption", Fiber.interrupt(upgrading))
        assert.strictEqual(why(yield* within("the pull that waited", Fiber.join(waiting))), "close 1006")
        assert.strictEqual(why(yield* within("a later pull", Effect.flip(pull))), "close 1006")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a second upgrade is refused, and the first one goes on", () =>
      Effect.gen(function* () {
        const { pull, upgrade, upgraded, writer } = yield* upgrading(trust, certificate)
        yield* within("the upgrade", upgraded)
        const second = yield* within("the second", Effect.flip(upgrade(trust)))
        assert.strictEqual(second.reason._tag, "SocketUpgradeError")
        assert.include(second.message, "An error occurred during TLS upgrade")
        yield* writer.write("still here")
        assert.strictEqual(yield* within("the echo", pullText(pull, 10)), "still here")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a certificate that nobody vouches for is SocketUpgradeError, and so is the pull", () =>
      Effect.gen(function* () {
        const { pull, upgraded } = yield* upgrading({ servername: "localhost" }, certificate)
        const waiting = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        const failed = yield* within("the upgrade", Effect.flip(upgraded))
        assert(failed.reason._tag === "SocketUpgradeError")
        assert.deepInclude(failed.reason.cause, { _tag: "TlsFailed", kind: "Certificate" })
        assert.strictEqual(yield* within("the pull", Fiber.join(waiting)), failed)
      }).pipe(Effect.scoped, Effect.provide(network))
    )
  })
}

const said = ({ reason }: Socket.SocketError): string =>
  `${reason._tag}: ${"cause" in reason ? (reason.cause as Error).message : ""}`

describe("Effect's own cases of opening", () => {
  const unanswered = {
    TCP: Effect.map(deafServer, (port): Connection.OpenOptions => ({ host: "127.0.0.1", port })),
    Unix: Effect.gen(function* () {
      const path = yield* socketPath()
      yield* deafUnixServer(path)
      return { path } as Connection.OpenOptions
    })
  }
  for (const [kind, place] of Object.entries(unanswered)) {
    for (const connectTimeout of [0, 50]) {
      it.live(`an open timeout of ${connectTimeout} ms is SocketOpenError Timeout, over ${kind}`, () =>
        Effect.gen(function* () {
          const socket = yield* Connection.makeSocket({ ...(yield* place), connectTimeout })
          const { reason } = yield* within("the failure", Effect.flip(Effect.scoped(socket.reader)))
          assert(reason._tag === "SocketOpenError")
          assert.strictEqual(reason.kind, "Timeout")
        }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
      )
    }
  }
})

describe("Effect's own cases of TLS", () => {
  const tls = overSockets.find(({ kind }) => kind === "TLS")!

  it.live("a certificate that nobody vouches for fails the opening: SocketOpenError Unknown", () =>
    Effect.gen(function* () {
      const at = yield* tls.place
      yield* served(at, echo)
      const socket = yield* Connection.makeSocket({ ...at.dial(), tls: true })
      const failed = yield* within("the opening", Effect.flip(Effect.scoped(socket.reader)))
      assert(failed.reason._tag === "SocketOpenError")
      assert.strictEqual(failed.reason.kind, "Unknown")
      assert.deepInclude(failed.reason.cause, { _tag: "TlsFailed", kind: "Certificate" })
    }).pipe(Effect.scoped, Effect.provide(tls.network))
  )

  it.live("a pending connection is given up at the open timeout", () =>
    Effect.gen(function* () {
      const mute = yield* serveRaw({ halfOpen: true })
      const socket = yield* Connection.makeSocket({
        host: "127.0.0.1",
        port: mute.port,
        tls: { ca: authority.cert, serverName: "localhost", handshakeTimeout: 50 }
      })
      const failed = yield* within("the opening", Effect.flip(Effect.scoped(socket.reader)))
      assert(failed.reason._tag === "SocketOpenError")
      assert.strictEqual(failed.reason.kind, "Timeout")
      yield* within("the peer sees it", (yield* mute.accept).awaitClosed)
    }).pipe(Effect.scoped, Effect.provide(tls.network))
  )

  it.live("an established connection is closed in good order", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const socket = yield* Connection.makeSocket({ host: "127.0.0.1", port: server.port })
      yield* Effect.scoped(Effect.asVoid(socket.reader))
      const peer = yield* server.accept
      assert.strictEqual(yield* peer.awaitClosed, undefined)
      assert.isTrue(peer.ended)
    }).pipe(Effect.scoped, Effect.provide(tls.network))
  )

  it.live("a server serves clients of any make", () =>
    Effect.gen(function* () {
      const [tcp] = overSockets
      const at = yield* tcp!.place
      yield* served(at, echo)
      const client = yield* connectRaw(at.dial().port!)
      yield* client.send("HelloWorld")
      yield* client.awaitText("HelloWorld")
    }).pipe(Effect.scoped, Effect.provide(tls.network))
  )
})
