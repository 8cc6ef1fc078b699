/**
 * Between connections and Effect's own sockets. `Connection.fromSocket` guards against each of the ways in which such a
 * socket loses, hangs or leaks; `Connection.toSocket` keeps what the contract of a socket asks for.
 */
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Connection, NodeNetwork, StreamError, type StreamReader, type StreamWriter } from "effect-byte-streams"
import { Cause, Deferred, Effect, Exit, Fiber, Scheduler, Scope, Stream } from "effect"
import type { NetAddress } from "effect/net"
import { Socket } from "effect/socket"
import { duplexPair } from "node:stream"
import { bothKinds } from "../support/kinds.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { largestRead } from "../support/largestRead.ts"
import { why } from "../support/sockets.ts"
import { closedPort, connectRaw, serveRaw } from "../support/rawPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"
import { ActsBefore } from "../support/yieldingSchedulers.ts"

const host = "127.0.0.1"

/** A connection over one of Effect's sockets, and the raw peer at its other end. */
const overSocket = (options?: Connection.Options, raw?: Parameters<typeof serveRaw>[0], scope?: Scope.Scope) =>
  Effect.gen(function* () {
    const server = yield* serveRaw(raw)
    const socket = yield* NodeSocket.makeNet({ host, port: server.port })
    const open = Connection.fromSocket(socket, options)
    const connection = yield* scope === undefined ? open : Scope.provide(open, scope)
    return { connection, peer: yield* server.accept, server, socket }
  })

/** Both ends of a WebSocket. `ends` is that of `side`, with the scope that owns it. */
const overWebSocket = (side: "client" | "server") =>
  Effect.gen(function* () {
    const server = yield* NodeSocketServer.makeWebSocket({ host, port: 0 })
    const scopes = { client: yield* Scope.make(), server: yield* Scope.make() }
    yield* Effect.addFinalizer((exit) =>
      Effect.andThen(Scope.close(scopes.client, exit), Scope.close(scopes.server, exit))
    )
    const accepted = yield* Deferred.make<Connection.Connection>()
    yield* Effect.forkScoped(
      server.run((socket) =>
        Scope.provide(Connection.fromSocket(socket), scopes.server).pipe(
          Effect.flatMap((connection) => Deferred.succeed(accepted, connection)),
          Effect.andThen(Effect.never)
        )
      ),
      { startImmediately: true }
    )
    const { port } = server.address as NetAddress.InetAddress
    const socket = yield* Socket.makeWebSocket(`ws://${host}:${port}`)
    const client = yield* Scope.provide(Connection.fromSocket(socket), scopes.client)
    const connections = { client, server: yield* within("the server's end", Deferred.await(accepted)) }
    return {
      ends: { connection: connections[side], scope: scopes[side] },
      peer: connections[side === "client" ? "server" : "client"]
    }
  })

describe("Connection.fromSocket", () => {
  it.live("carries bytes both ways", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket()
      yield* connection.writer.write("ping\n")
      yield* peer.awaitText("ping\n")
      yield* peer.send("pong\n")
      assert.strictEqual(text(yield* within("pong", connection.reader.readLine)), "pong\n")
    })
  )

  it.live("fails with the socket's own error when it cannot be opened", () =>
    Effect.gen(function* () {
      const socket = yield* NodeSocket.makeNet({ host, port: yield* closedPort() })
      const failed = yield* Effect.flip(Connection.fromSocket(socket))
      assert.strictEqual(failed._tag, "SocketError")
      assert.strictEqual(failed.reason._tag, "SocketOpenError")
    })
  )

  it.live("rank 38 a clean FIN is the end of the stream, and no failure", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket()
      yield* peer.send("last words\n")
      yield* peer.finish
      assert.strictEqual(text(yield* within("the line", connection.reader.readLine)), "last words\n")
      assert.strictEqual((yield* within("the end", connection.reader.readLine)).length, 0)
      assert.isTrue(yield* connection.reader.atEof)
      assert.deepStrictEqual(yield* within("closed", connection.closed), { _tag: "PeerEof" })
    })
  )

  it.live.each([
    [1000, "PeerEof"],
    // what `close()` of a WebSocket says that is given no code
    [1005, "PeerEof"],
    [1001, "Lost"],
    [1006, "Lost"],
    [1011, "Lost"]
  ] as const)("a close with code %i is told as %s, behind all that came before it", ([code, expected]) =>
    Effect.gen(function* () {
      let pulls = 0
      const closed = new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })
      const socket = Socket.make({
        reader: Effect.succeed({
          upgrade: () => Effect.die("not asked for"),
          pull: Effect.suspend(() => (pulls++ === 0 ? Effect.succeed([bytes("last words\n")] as const) : closed))
        }),
        writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
      })
      const { closed: end, reader } = yield* Connection.fromSocket(socket)
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "last words\n")
      const next = yield* within("the end", Effect.exit(reader.readLine))
      assert.strictEqual(Exit.isSuccess(next), expected === "PeerEof")
      assert.strictEqual((yield* within("closed", end))._tag, expected)
    })
  )

  it.live("a reset is ConnectionLost, for whoever reads and whoever writes", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket()
      const reading = yield* Effect.forkChild(Effect.flip(connection.reader.read(1)))
      yield* turns()
      yield* peer.reset
      assert((yield* within("the read", Fiber.join(reading))) instanceof StreamError.ConnectionLost)
      assert.strictEqual((yield* within("closed", connection.closed))._tag, "Lost")
      assert.strictEqual((yield* within("a write", Effect.flip(connection.writer.write("x"))))._tag, "ConnectionLost")
    })
  )

  it.live("a second read is StreamBusy, and the first gets its bytes", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket()
      const first = yield* Effect.forkChild(connection.reader.readLine, { startImmediately: true })
      assert.strictEqual((yield* within("the second", Effect.flip(connection.reader.read(1))))._tag, "StreamBusy")
      yield* peer.send("for the first\n")
      assert.strictEqual(text(yield* within("the first", Fiber.join(first))), "for the first\n")
    })
  )

  it.live("an interrupted read loses nothing", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket()
      const sent = pattern(300)
      const sending = yield* Effect.forkChild(peer.dribble(sent))
      for (let i = 0; i < 30; i++) {
        yield* Effect.raceFirst(connection.reader.readExactly(1000), turns(i % 4)).pipe(Effect.ignore)
      }
      // not before: a read that meets the end takes what there is
      yield* Fiber.join(sending)
      yield* peer.finish
      assert.strictEqual(Buffer.compare(yield* within("all", connection.reader.readAll({ maxBytes: 1000 })), sent), 0)
    })
  )

  it.live("a write after the peer has gone fails, and does not wait for ever", () =>
    Effect.gen(function* () {
      for (const leave of ["finish", "vanish", "reset"] as const) {
        const { connection, peer } = yield* overSocket()
        yield* peer[leave]
        yield* within("closed", connection.closed)
        const failure = yield* within(
          `the writes after ${leave}`,
          Effect.flip(Effect.forever(Effect.andThen(connection.writer.write("?"), connection.writer.flush))),
          3000
        )
        assert.strictEqual(failure._tag, "ConnectionLost")
      }
    })
  )

  it.live("a write after close fails, and is not sent on another connection", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { connection, peer, server, socket } = yield* overSocket(undefined, undefined, scope)
      yield* connection.writer.write("on the first")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(
        (yield* within("the write", Effect.flip(connection.writer.write("lost"))))._tag,
        "ClosedStream"
      )
      yield* peer.awaitClosed
      assert.strictEqual(peer.text, "on the first")
      const second = yield* Connection.fromSocket(socket)
      const another = yield* server.accept
      yield* second.writer.write("on the second")
      yield* another.awaitText("on the second")
      assert.strictEqual(another.text, "on the second")
    })
  )

  it.live("a connection that is closed does not end the output of the next one of the same socket", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const socket = yield* Connection.makeSocket({ host, port: server.port })
      const first = yield* Scope.make()
      const { writer } = yield* Scope.provide(Connection.fromSocket(socket), first)
      yield* writer.write("on the first")
      yield* Scope.close(first, Exit.void)
      const second = yield* Connection.fromSocket(socket)
      const peers = [yield* server.accept, yield* server.accept] as const
      yield* peers[0].awaitEnd
      yield* second.writer.write("on the second")
      yield* second.writer.flush
      yield* peers[1].awaitText("on the second")
      assert.strictEqual(peers[0].text, "on the first")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an abort of a connection that has ended is none of the next one of the same socket", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const socket = yield* Connection.makeSocket({ host, port: server.port })
      const first = yield* Connection.fromSocket(socket)
      yield* (yield* server.accept).finish
      yield* within("the end", first.closed)
      const second = yield* Connection.fromSocket(socket)
      yield* first.abort
      yield* (yield* server.accept).send("still here\n")
      assert.strictEqual(text(yield* within("a line", second.reader.readLine)), "still here\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the scope of a connection that has ended does not end the output of the next one of the same socket", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const socket = yield* Connection.makeSocket({ host, port: server.port })
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(Connection.fromSocket(socket), scope)
      yield* (yield* server.accept).finish
      yield* within("the end", first.closed)
      const second = yield* Connection.fromSocket(socket)
      const peer = yield* server.accept
      yield* Scope.close(scope, Exit.void)
      yield* second.writer.write("still here")
      yield* second.writer.flush
      yield* peer.awaitText("still here")
      yield* turns(20)
      assert.isFalse(peer.ended)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a write that waits is interrupted when the peer vanishes", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket(undefined, { paused: true })
      connection.writer.writeUnsafe(pattern(12_000_000))
      const waiting = yield* Effect.forkChild(Effect.flip(connection.writer.write("x")), { startImmediately: true })
      yield* turns()
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      yield* peer.reset
      assert.strictEqual((yield* within("the write", Fiber.join(waiting)))._tag, "ConnectionLost")
    })
  )

  it.live("holds back a peer that sends more than is read", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket({ limit: 1000 })
      const sent = pattern(12_000_000)
      const sending = yield* Effect.forkChild(Effect.andThen(peer.send(sent), peer.finish))
      yield* eventuallyEffect(
        "the reader is full",
        Effect.map(connection.reader.buffered, (buffered) => buffered > 2000)
      )
      yield* turns(50)
      assert.strictEqual(sending.pollUnsafe(), undefined)
      // one pull of such a socket brings what Node has buffered
      assert.isAtMost(yield* connection.reader.buffered, 2000 + 2 * largestRead)
      const received = yield* within("all", connection.reader.readAll({ maxBytes: "unbounded" }))
      assert.strictEqual(Buffer.compare(received, sent), 0)
    })
  )

  it.live("holds back a writer whose peer does not read", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket({ highWaterMark: 10_000 }, { paused: true })
      let written = 0
      let most = 0
      const chunk = pattern(5000)
      const writing = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (; written < 4000; written++) {
            yield* connection.writer.write(chunk)
            most = Math.max(most, yield* connection.writer.buffered)
          }
          return yield* connection.writer.close
        })
      )
      yield* eventuallyEffect(
        "the writer is held back",
        Effect.gen(function* () {
          const before = written
          yield* turns(20)
          return written === before && written > 0
        })
      )
      assert.isBelow(written, 4000)
      assert.isAtMost(most, 15_000)
      yield* peer.unstall
      assert.deepStrictEqual(yield* within("the writer ends", Fiber.join(writing)), { _tag: "Graceful" })
      yield* peer.awaitBytes(4000 * 5000)
    })
  )

  it.live("writeEof ends the output behind everything written, and the answer is read", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket(undefined, { halfOpen: true })
      yield* connection.writer.write("the whole question")
      yield* within("writeEof", connection.writer.writeEof)
      yield* peer.awaitEnd
      assert.strictEqual(peer.text, "the whole question")
      yield* peer.send("the answer\n")
      assert.strictEqual(text(yield* within("the answer", connection.reader.readLine)), "the answer\n")
    })
  )

  it.live("the end of the scope: everything written arrives, and then the end", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { connection, peer } = yield* overSocket(undefined, undefined, scope)
      const sent = pattern(3_000_000)
      connection.writer.writeUnsafe(sent)
      yield* within("the scope's end", Scope.close(scope, Exit.void))
      assert.strictEqual(yield* peer.awaitClosed, undefined)
      assert.strictEqual(peer.received.compare(sent), 0)
    })
  )

  it.live("the end of the scope is bounded by closeTimeout, and drops what is unsent", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { connection, peer } = yield* overSocket({ closeTimeout: 50 }, { paused: true }, scope)
      const sent = pattern(12_000_000)
      connection.writer.writeUnsafe(sent)
      yield* within("the scope's end", Scope.close(scope, Exit.void), 2000)
      assert.strictEqual((yield* connection.writer.close)._tag, "TimedOut")
      yield* peer.unstall
      yield* peer.awaitClosed
      assert.isBelow(peer.received.length, sent.length)
    })
  )

  it.live("the end of the scope with a failure drops what is unsent, at once", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { connection, peer } = yield* overSocket(undefined, { paused: true }, scope)
      const sent = pattern(12_000_000)
      connection.writer.writeUnsafe(sent)
      yield* turns()
      yield* within("the scope's end", Scope.close(scope, Exit.fail("failed")), 1000)
      yield* peer.unstall
      yield* peer.awaitClosed
      assert.isBelow(peer.received.length, sent.length)
    })
  )

  it.live("abort lets go of the socket at once, and not only when the scope ends", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket(undefined, { halfOpen: true })
      yield* connection.abort
      yield* within(
        "the peer finds that nobody is there",
        Effect.andThen(peer.send("anybody?\n"), Effect.sleep(10)).pipe(Effect.repeat({ while: () => !peer.closed })),
        1000
      )
    })
  )

  it.live("close lets go of the socket, and not only when the scope ends, even if the peer goes on", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket(undefined, { halfOpen: true })
      yield* connection.writer.write("goodbye")
      assert.deepStrictEqual(yield* within("close", connection.writer.close), { _tag: "Graceful" })
      yield* peer.awaitText("goodbye")
      yield* within(
        "the peer finds that nobody is there",
        Effect.andThen(peer.send("anybody?\n"), Effect.sleep(10)).pipe(Effect.repeat({ while: () => !peer.closed })),
        4000
      )
    })
  )

  it.live("close does not reset the connection under a peer that still sends and has yet to read the answer", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overSocket(undefined, { halfOpen: true })
      const answer = pattern(500_000)
      const sending = yield* Effect.forkChild(peer.send(pattern(5_000_000)))
      yield* connection.reader.readExactly(1000)
      yield* peer.stall
      yield* connection.writer.write(answer)
      const closing = yield* Effect.forkChild(connection.writer.close)
      yield* peer.unstall
      assert.strictEqual((yield* within("close", Fiber.join(closing)))._tag, "Graceful")
      yield* within("the peer has sent all", Fiber.join(sending))
      yield* peer.awaitEnd
      yield* peer.finish
      assert.strictEqual(yield* peer.awaitClosed, undefined)
      assert.strictEqual(peer.received.compare(answer), 0)
    })
  )

  for (const [name, read] of [
    ["discardUntil", (reader) => reader.discardUntil(";")],
    ["skip", (reader) => reader.skip(26)],
    ["readLineWith", (reader) => reader.readLineWith({ onOverrun: "discard" })],
    ["readExactly", (reader) => reader.readExactly(26)],
    ["readUntil", (reader) => reader.readUntil(";", { limit: 100 })],
    ["peek", (reader) => reader.peek(26)]
  ] as ReadonlyArray<
    readonly [string, (reader: StreamReader.StreamReader) => Effect.Effect<unknown, StreamError.FramedReadError>]
  >) {
    it.live(`${name}: a read that lets a full reader go on ends with what a socket has at hand`, () =>
      Effect.gen(function* () {
        const pieces = [bytes("x".repeat(25)), bytes(";x\ny\n")]
        const socket = Socket.make({
          reader: Effect.succeed({
            upgrade: () => Effect.die("not asked for"),
            pull: Effect.suspend(() => (pieces.length > 0 ? Effect.succeed([pieces.shift()!] as const) : Effect.never))
          }),
          writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
        })
        const { reader } = yield* Connection.fromSocket(socket, { limit: 12 })
        yield* eventuallyEffect(
          "the reader is full",
          Effect.map(reader.buffered, (buffered) => buffered === 25)
        )
        yield* turns()
        yield* within("the read", read(reader), 1000)
      })
    )
  }

  for (const side of ["client", "server"] as const) {
    for (const [how, end] of [
      ["an abort", ({ connection }) => connection.abort],
      [
        "an abort right behind a write",
        ({ connection }) => Effect.andThen(connection.writer.write("!"), connection.abort)
      ],
      ["a scope that fails", ({ scope }) => Scope.close(scope, Exit.fail("failed"))]
    ] as ReadonlyArray<
      readonly [
        string,
        (ends: {
          connection: Connection.Connection
          scope: Scope.Closeable
        }) => Effect.Effect<void, StreamError.WriteError>
      ]
    >) {
      it.live(`${how} of the ${side} is no end in good order for the peer of a WebSocket`, () =>
        Effect.gen(function* () {
          const { ends, peer } = yield* overWebSocket(side)
          yield* ends.connection.writer.write("half a mess")
          assert.strictEqual(text(yield* within("what was said", peer.reader.readExactly(11))), "half a mess")
          yield* end(ends)
          const rest = yield* within("the end", Effect.flip(Effect.forever(peer.reader.readExactly(1))))
          assert.strictEqual(rest._tag, "ConnectionLost")
          assert.strictEqual((yield* within("closed", peer.closed))._tag, "Lost")
        }).pipe(Effect.provide(NodeSocket.layerWebSocketConstructor))
      )
    }
  }

  it.live("an abort of a WebSocket is no end in good order for its peer, whoever runs in between", () =>
    Effect.gen(function* () {
      let inBetween = true
      for (let step = 1; inBetween; step++) {
        inBetween = false
        const scheduler = new ActsBefore(step)
        const ended = Effect.gen(function* () {
          const { ends, peer } = yield* overWebSocket("client")
          yield* ends.connection.writer.write("half a mess")
          scheduler.watch(() => void (inBetween = true))
          yield* Scope.close(ends.scope, Exit.fail("failed"))
          return peer.closed
        })
        const closed = yield* Effect.provideService(ended, Scheduler.Scheduler, scheduler)
        assert.strictEqual((yield* within("closed", closed))._tag, "Lost", `in front of step ${step}`)
      }
    }).pipe(Effect.provide(NodeSocket.layerWebSocketConstructor))
  )

  for (const [how, end] of [
    ["a close", ({ close }) => close],
    ["a close behind writeEof", ({ close, writeEof }) => Effect.andThen(writeEof, close)]
  ] as ReadonlyArray<
    readonly [string, (writer: StreamWriter.StreamWriter) => Effect.Effect<unknown, StreamError.WriteError>]
  >) {
    it.live(`${how} is an end in good order for the peer of a WebSocket, at once`, () =>
      Effect.gen(function* () {
        const { ends, peer } = yield* overWebSocket("client")
        yield* ends.connection.writer.write("a message")
        yield* end(ends.connection.writer)
        // a socket with a half-close would stay for two seconds, in which its peer may go on
        assert.strictEqual(text(yield* within("all", peer.reader.readAll({ maxBytes: 100 }), 1500)), "a message")
        assert.strictEqual((yield* within("closed", peer.closed))._tag, "PeerEof")
      }).pipe(Effect.provide(NodeSocket.layerWebSocketConstructor))
    )
  }

  for (const [how, end] of [
    ["an abort", (connection) => connection.abort],
    ["a scope that fails", (_, scope) => Scope.close(scope, Exit.fail("failed"))]
  ] as ReadonlyArray<
    readonly [string, (connection: Connection.Connection, scope: Scope.Closeable) => Effect.Effect<void>]
  >) {
    it.live(`${how} ends no process, over a stream of Node's whose errors only the socket hears`, () =>
      Effect.gen(function* () {
        const errors: Array<unknown> = []
        const heard = (error: unknown) => errors.push(error)
        process.on("uncaughtExceptionMonitor", heard)
        yield* Effect.addFinalizer(() => Effect.sync(() => process.off("uncaughtExceptionMonitor", heard)))
        const [here] = duplexPair()
        const scope = yield* Scope.make()
        const socket = yield* NodeSocket.fromDuplex(Effect.succeed(here))
        const connection = yield* Scope.provide(Connection.fromSocket(socket), scope)
        yield* connection.writer.write("half a mess")
        yield* end(connection, scope)
        yield* eventually("the output is over", () => here.writableEnded || here.destroyed)
        yield* turns()
        assert.deepStrictEqual(errors, [])
      })
    )
  }

  it.live("leaves nothing", () =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          for (const end of ["finish", "vanish", "reset"] as const) {
            for (let i = 0; i < 5; i++) {
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const { connection, peer } = yield* overSocket()
                  yield* connection.writer.write("hello")
                  yield* peer[end]
                  yield* within("closed", connection.closed)
                })
              )
            }
          }
        })
      )
      yield* backTo(before)
    })
  )

  it.live("serves the sockets of Effect's own server; a handler that never reads leaks nothing", () =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* NodeSocketServer.make({ host, port: 0 })
          let served = 0
          yield* Effect.forkScoped(
            server.run((socket) =>
              Effect.scoped(
                Effect.gen(function* () {
                  const { writer } = yield* Connection.fromSocket(socket)
                  yield* writer.write("welcome\n")
                  served++
                })
              )
            )
          )
          const { port } = server.address as NetAddress.InetAddress
          for (let i = 0; i < 5; i++) {
            const client = yield* connectRaw(port)
            yield* client.send("never read")
            yield* client.awaitText("welcome\n")
            yield* client.awaitClosed
          }
          assert.strictEqual(served, 5)
        })
      )
      yield* backTo(before)
    })
  )
})

describe("Connection.toSocket", () => {
  const [tcp] = bothKinds
  const overTcp = () => tcp!.toRaw()

  it.live("is read and written like any other socket", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw()
      const socket = Connection.toSocket(connection)
      const pull = yield* Socket.readerBytes(socket)
      const writer = yield* socket.writer
      yield* writer.write("text ")
      yield* writer.write(bytes("bytes "))
      yield* writer.writeAll(["all", bytes(" of them")])
      yield* peer.awaitText("text bytes all of them")
      yield* peer.send("an answer")
      assert.strictEqual(Buffer.concat(yield* within("the answer", pull)).toString(), "an answer")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the end of the stream is a close with code 1000", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw()
      const pull = yield* Socket.readerBytes(Connection.toSocket(connection))
      yield* peer.send("last words")
      yield* peer.finish
      assert.strictEqual(Buffer.concat(yield* within("the words", pull)).toString(), "last words")
      const closed = yield* Effect.flip(within("the end", pull))
      assert(closed.reason._tag === "SocketCloseError")
      assert.strictEqual(closed.reason.code, 1000)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a loss is a SocketReadError, and a SocketWriteError, with ConnectionLost as the cause", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw()
      const socket = Connection.toSocket(connection)
      const pull = yield* Socket.readerBytes(socket)
      const writer = yield* socket.writer
      yield* peer.reset
      const read = yield* Effect.flip(within("the pull", pull))
      assert(read.reason._tag === "SocketReadError")
      assert(read.reason.cause instanceof StreamError.ConnectionLost)
      const written = yield* Effect.flip(within("the write", writer.write("x")))
      assert(written.reason._tag === "SocketWriteError")
      assert(written.reason.cause instanceof StreamError.ConnectionLost)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const [how, end, expected] of [
    ["the peer has ended", ({ peer }) => peer.finish, "SocketCloseError"],
    ["the peer has broken it off", ({ peer }) => peer.reset, "SocketReadError"],
    ["this side has closed it", ({ connection }) => connection.writer.close, "SocketCloseError"],
    ["this side has aborted it", ({ connection }) => connection.abort, "SocketReadError"]
  ] as ReadonlyArray<
    readonly [string, (ends: Effect.Success<ReturnType<typeof overTcp>>) => Effect.Effect<unknown>, string]
  >) {
    it.live(`a connection that is over because ${how} is read to its end, and then is not connected to again`, () =>
      Effect.gen(function* () {
        const ends = yield* overTcp()
        const { connection, peer } = ends
        const socket = Connection.toSocket(connection)
        const connect = Effect.exit(Effect.scoped(Effect.flatMap(Socket.readerBytes(socket), (pull) => pull)))
        yield* peer.send("last words")
        yield* eventuallyEffect(
          "they are there",
          Effect.map(connection.reader.buffered, (buffered) => buffered > 0)
        )
        yield* end(ends)
        yield* within("the end", connection.closed)
        const local = how.startsWith("this side")
        if (!local) {
          const words = yield* within("what arrived before", connect)
          assert(Exit.isSuccess(words))
          assert.strictEqual(Buffer.concat(words.value).toString(), "last words")
        }
        for (let i = 0; i < 3; i++) {
          const acquired = yield* within("acquiring it", Effect.exit(Effect.scoped(socket.reader)))
          assert(Exit.isFailure(acquired), "it was acquired")
          assert.strictEqual((Cause.squash(acquired.cause) as Socket.SocketError).reason._tag, expected)
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("is acquired while another reads", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* overTcp()
      const reading = yield* Effect.forkChild(connection.reader.readLine, { startImmediately: true })
      yield* within("acquiring it", Effect.scoped(Connection.toSocket(connection).reader))
      yield* peer.send("a line\n")
      assert.strictEqual(text(yield* within("the read", Fiber.join(reading))), "a line\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an abort of a connection made of it again is one of the connection below", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw()
      const again = yield* Connection.fromSocket(Connection.toSocket(connection))
      yield* again.abort
      assert.strictEqual(yield* within("the reset", peer.awaitClosed), "ECONNRESET")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a CloseEvent closes the connection in good order", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw()
      const socket = Connection.toSocket(connection)
      const writer = yield* socket.writer
      const { pull } = yield* socket.reader
      const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
      yield* writer.write("last words")
      yield* within("close", writer.write(new Socket.CloseEvent(4321, "enough")))
      // whoever reads is told why
      assert.strictEqual(why(yield* within("the pull", Fiber.join(pulling))), "close 4321: enough")
      assert.strictEqual(yield* peer.awaitClosed, undefined)
      assert.strictEqual(peer.text, "last words")
      assert.isTrue(yield* connection.writer.isClosing)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the end of the reader's scope fails a pull that waits", () =>
    Effect.gen(function* () {
      const { connection } = yield* tcp!.toRaw()
      const scope = yield* Scope.make()
      const pull = yield* Scope.provide(Socket.readerBytes(Connection.toSocket(connection)), scope)
      const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
      yield* turns()
      assert.strictEqual(pulling.pollUnsafe(), undefined)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(why(yield* within("the pull", Fiber.join(pulling), 1000)), "close 1006")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the end of the writer's scope ends the output, and reading goes on", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw(undefined, { halfOpen: true })
      const socket = Connection.toSocket(connection)
      const pull = yield* Socket.readerBytes(socket)
      yield* Effect.scoped(Effect.flatMap(socket.writer, (writer) => writer.write("the whole question")))
      yield* within("the end of the output", peer.awaitEnd, 1000)
      assert.strictEqual(peer.text, "the whole question")
      yield* peer.send("the answer")
      assert.strictEqual(Buffer.concat(yield* within("the answer", pull)).toString(), "the answer")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an interrupted pull loses nothing", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw()
      const pull = yield* Socket.readerBytes(Connection.toSocket(connection))
      const sent = pattern(200)
      yield* Effect.forkChild(Effect.andThen(peer.dribble(sent), peer.finish))
      const got: Array<Uint8Array> = []
      let over = false
      for (let round = 0; !over; round++) {
        const pulled = yield* Effect.exit(Effect.raceFirst(pull, Effect.as(turns(round % 3), [])))
        if (Exit.isSuccess(pulled)) got.push(...pulled.value)
        else over = !Cause.hasInterruptsOnly(pulled.cause)
      }
      assert.strictEqual(Buffer.concat(got).compare(sent), 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a pull that is interrupted at whatever step loses nothing", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw()
      const pull = yield* Socket.readerBytes(Connection.toSocket(connection))
      let over = false
      for (let step = 1; !over; step++) {
        const piece = `piece ${step}`
        const pulling = yield* Effect.forkChild(interruptBefore(step, pull), { startImmediately: true })
        if (step % 2 === 0) yield* turns(1)
        yield* peer.send(piece)
        const pulled = yield* within("the pull", Fiber.join(pulling))
        over = Exit.isSuccess(pulled)
        const left = over ? [] : yield* within(`what was there before step ${step}`, pull, 2000)
        const got = Buffer.concat([...(Exit.isSuccess(pulled) ? pulled.value : []), ...left]).toString()
        assert.strictEqual(got, piece, `interrupted before step ${step}`)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("the end of the writer's scope does not wait for a peer that does not read", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw({ closeTimeout: 100 }, { paused: true })
      const socket = Connection.toSocket(connection)
      const sent = pattern(12_000_000)
      yield* within(
        "the scope's end",
        Effect.scoped(Effect.flatMap(socket.writer, (writer) => writer.write(sent))),
        2000
      )
      // the end of the output comes behind it all the same
      yield* peer.unstall
      yield* peer.awaitEnd
      assert.strictEqual(peer.received.compare(sent), 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is a channel, for what is written against those", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* tcp!.toRaw(undefined, { halfOpen: true })
      const received: Array<Uint8Array> = []
      const streaming = yield* Stream.make(bytes("one "), bytes("two")).pipe(
        Stream.pipeThroughChannel(Socket.toChannel(Connection.toSocket(connection))),
        Stream.runForEach((piece) => Effect.sync(() => void received.push(piece))),
        Effect.exit,
        Effect.forkChild
      )
      yield* peer.awaitText("one two")
      yield* peer.send("answer")
      yield* eventually("the answer", () => Buffer.concat(received).toString() === "answer")
      yield* peer.finish
      const exit = yield* within("the stream ends", Fiber.join(streaming))
      assert(Exit.isFailure(exit))
      assert.strictEqual((Cause.squash(exit.cause) as Socket.SocketError).reason._tag, "SocketCloseError")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
