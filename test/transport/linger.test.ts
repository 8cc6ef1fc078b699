/**
 * What is left of a connection that was closed in good order, while the peer keeps its own side open: neither the process
 * stays for a peer that is silent, nor a descriptor that is of no use; and nobody who speaks loses what was sent.
 */
import { NodeSocket } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Connection, NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Deferred, Effect, Exit, Fiber, Redacted, Scope } from "effect"
import type * as Net from "node:net"
import * as NodeTls from "node:tls"
import { fileURLToPath } from "node:url"
import { pattern, text } from "../support/bytes.ts"
import { certificates } from "../support/certificates.ts"
import { backTo, held } from "../support/descriptors.ts"
import { bothKinds, everyKind } from "../support/kinds.ts"
import { start } from "../support/program.ts"
import { connectRaw, RawPeer, serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { facing } from "../support/tlsPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const program = fileURLToPath(new URL("./programs/lingers.ts", import.meta.url))

/** How long input is thrown away at most; at least, while a peer speaks now and then; and what silence is. */
const lingerMillis = 2000
const quietMillis = 500
const listenMillis = 100

const kinds = ["TCP", "Unix", "TLS", "TLS with a way back", "fromDuplex", "fromPair", "fromSocket", "a server"] as const

/** What that program talks to: a peer that keeps its own side open. */
const peerOf = (kind: (typeof kinds)[number], size: number, speaks: boolean) =>
  Effect.gen(function* () {
    const paused = speaks
    const run = (at: string | number) =>
      start(process.execPath, [program, kind, String(at), String(size), speaks ? "spoken to" : "silent"])
    if (kind === "a server") {
      const child = yield* run("")
      const peer = yield* connectRaw(Number(yield* child.line), { halfOpen: true, paused })
      return { child, peer }
    }
    if (kind.startsWith("TLS")) {
      const { cert, key } = certificates.server.identity
      const peers: Array<RawPeer> = []
      const server = yield* Effect.acquireRelease(
        Effect.callback<NodeTls.Server>((resume) => {
          const options = { key: Redacted.value(key) as string, cert: cert as string, allowHalfOpen: true }
          const server = NodeTls.createServer(options as NodeTls.TlsOptions, (socket) => {
            peers.push(new RawPeer(socket))
            if (paused) socket.pause()
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) =>
          Effect.sync(() => {
            server.close()
            for (const { socket } of peers) socket.destroy()
          })
      )
      const child = yield* run((server.address() as Net.AddressInfo).port)
      return { child, peer: yield* eventually("the program connects", () => peers[0], 12_000) }
    }
    const at = kind === "Unix" ? yield* socketPath() : undefined
    const server = yield* serveRaw({ at, halfOpen: true, paused })
    const child = yield* run(at ?? server.port)
    yield* eventually("the program connects", () => server.peers.length > 0, 12_000)
    return { child, peer: yield* server.accept }
  })

for (const kind of kinds) {
  describe(`the process: ${kind}`, () => {
    it.live("does not stay for a peer that keeps its side open, and is silent", () =>
      Effect.gen(function* () {
        const { child, peer } = yield* peerOf(kind, 11, false)
        assert.strictEqual(yield* child.line, "Graceful")
        const closed = performance.now()
        yield* child.succeeds
        const took = performance.now() - closed
        // one that stays does so to the end of that time
        assert.isBelow(took, lingerMillis * 0.8, "the process stayed")
        yield* peer.awaitEnd
        assert.strictEqual(peer.text, "x".repeat(11))
        assert.strictEqual(peer.error, undefined)
      })
    )

    it.live("stays for one that goes on speaking, which reads everything and the end, but not for ever", () =>
      Effect.gen(function* () {
        const size = 150_000
        const { child, peer } = yield* peerOf(kind, size, true)
        const speaking = yield* Effect.forkChild(Effect.forever(peer.send("and another thing\n")))
        assert.strictEqual(yield* child.line, "Graceful")
        const closed = performance.now()
        yield* Effect.sleep("500 millis")
        assert.strictEqual(child.exit, undefined, "the process did not stay")
        speaking.interruptUnsafe()
        yield* peer.unstall
        yield* peer.awaitEnd
        assert.strictEqual(peer.received.length, size)
        assert.strictEqual(peer.error, undefined)
        yield* child.succeeds
        assert.isBelow(performance.now() - closed, 2 * lingerMillis, "the process stayed")
      })
    )
  })
}

/** Closes many connections, each with a last word, to peers that keep their sides open. */
const closeMany = (toRaw: (typeof everyKind)[number]["toRaw"], count: number) =>
  Effect.gen(function* () {
    const before = held()
    const opened = yield* Effect.all(Array.from({ length: count }, () => toRaw(undefined, { halfOpen: true })))
    const open = held()
    for (const { connection } of opened) {
      yield* connection.writer.write("last words")
      assert.deepStrictEqual(yield* connection.writer.close, { _tag: "Graceful" })
    }
    return { peers: opened.map(({ peer }) => peer), open, before }
  })

/** Waits until half of what is open, the descriptors of this side, is closed. */
const released = (open: number, count: number, millis: number) =>
  eventually("this side's descriptors are closed", () => held().sockets <= open - count, millis)

describe("descriptors", () => {
  const count = 100
  const [tcp, unix] = bothKinds

  it.live("a hundred closes of Unix sockets hold none, although the peers keep their sides open", () =>
    Effect.gen(function* () {
      const { open, peers } = yield* closeMany(unix!.toRaw, count)
      yield* released(open.sockets, count, lingerMillis / 2)
      for (const peer of peers) {
        yield* peer.awaitEnd
        assert.strictEqual(peer.text, "last words")
        assert.strictEqual(peer.error, undefined)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const { kind, toRaw } of everyKind) {
    it.live(`${kind}: none is held once the peer has left`, () =>
      Effect.gen(function* () {
        const { open, peers } = yield* closeMany(toRaw, 20)
        for (const peer of peers) yield* peer.awaitEnd
        const left = performance.now()
        for (const peer of peers) yield* peer.finish
        yield* released(open.sockets, 2 * 20, lingerMillis / 2)
        assert.isBelow(performance.now() - left, lingerMillis / 2)
        for (const peer of peers) assert.strictEqual(yield* peer.awaitClosed, undefined)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("TCP: they are held while what was sent could be lost, and no longer", () =>
    Effect.gen(function* () {
      const { open, peers } = yield* closeMany(tcp!.toRaw, 20)
      yield* Effect.sleep(quietMillis)
      // a reset now would reach a peer that has yet to be sent everything
      assert.strictEqual(held().sockets, open.sockets)
      yield* released(open.sockets, 20, 2 * lingerMillis)
      for (const peer of peers) assert.strictEqual(peer.text, "last words")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

const large = pattern(3_000_000)

for (const { kind, toRaw } of everyKind) {
  describe(`a peer that speaks after the close: ${kind}`, () => {
    it.live("now and then is not reset, and reads everything, and the end", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true })
        yield* peer.send("one thing\n")
        yield* eventuallyEffect(
          "it is there",
          Effect.map(connection.reader.buffered, (buffered) => buffered > 0)
        )
        connection.writer.writeUnsafe(large)
        yield* Effect.forkChild(connection.writer.close)
        yield* within("the close", connection.closed)
        yield* peer.stall
        for (let i = 0; i < 20; i++) {
          yield* peer.send("and another thing\n")
          yield* Effect.sleep(listenMillis / 5)
        }
        assert.strictEqual(peer.error, undefined)
        yield* peer.unstall
        yield* peer.awaitEnd
        yield* peer.finish
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.isTrue(peer.received.equals(large))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("had spoken before, and was not read, is not reset either", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ limit: 10 }, { halfOpen: true })
        const sending = yield* Effect.forkChild(peer.send(pattern(500_000)))
        yield* turns()
        yield* connection.writer.write("the answer")
        yield* connection.writer.close
        yield* Fiber.join(sending)
        yield* peer.awaitEnd
        assert.strictEqual(peer.text, "the answer")
        yield* peer.finish
        assert.strictEqual(yield* peer.awaitClosed, undefined)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

describe("TLS", () => {
  it.live(
    "a peer that ends the connection without ending TLS, and reads on, is not reset by a close that is done",
    () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* facing("client")
        yield* peer.stall
        connection.writer.writeUnsafe(large)
        const closing = yield* Effect.forkChild(connection.writer.close, { startImmediately: true })
        // the system takes it only as it is read
        yield* Effect.repeat(Effect.andThen(peer.unstall, Effect.andThen(turns(1), peer.stall)), {
          while: () => closing.pollUnsafe() === undefined
        })
        assert.deepStrictEqual(yield* within("the close", Fiber.join(closing)), { _tag: "Graceful" })
        yield* peer.wire.finish
        yield* turns(20)
        yield* peer.unstall
        yield* peer.secure.awaitEnd
        assert.strictEqual(peer.wire.error, undefined)
        assert.isTrue(peer.secure.received.equals(large))
      }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("in memory", () => {
  /** Whether a peer that says something so many milliseconds after the close is told that nobody is there. */
  const told = (at: { readonly port: number } | { readonly path: string }, unread: boolean, ...times: Array<number>) =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const go = yield* Deferred.make<void>()
        yield* startServer(at, ({ writer }) => Effect.andThen(Deferred.await(go), writer.write("bye")))
        const { reader, writer } = yield* openConnection(at)
        if (unread) yield* Effect.andThen(writer.write("hello"), Effect.sleep(10))
        yield* Deferred.succeed(go, undefined)
        assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "bye")
        const answers: Array<boolean> = []
        let now = 0
        for (const time of times) {
          yield* Effect.sleep(time - now)
          yield* writer.write("anybody?")
          // what is told comes on the way back
          yield* Effect.sleep(1)
          now = time + 1
          answers.push(yield* writer.isClosing)
          if (answers.at(-1) === true) break
        }
        return answers
      })
    )

  it.effect("TCP: who speaks is refused after two seconds, and hears of it as it speaks again", () =>
    Effect.gen(function* () {
      const early = [false, false, false]
      assert.deepStrictEqual(yield* told({ port: 1 }, false, 1, 1000, 1990, 2010, 2020), [...early, false, true])
      assert.deepStrictEqual(yield* told({ port: 1 }, true, 1990, 2010, 2020), [false, false, true])
      // the last word in time is not the one that is refused
      assert.deepStrictEqual(yield* told({ port: 1 }, false, 1, 1000, 1990, 1995, 1998), [...early, false, false])
    })
  )

  it.effect(
    "a Unix socket: who is silent is refused after a moment, who has spoken when it has been silent for longer",
    () =>
      Effect.gen(function* () {
        const at = { path: "/run/some.sock" }
        assert.deepStrictEqual(yield* told(at, false, listenMillis + 10), [true])
        assert.deepStrictEqual(yield* told(at, true, listenMillis + 10, 600, 1200), [false, false, true])
        const oftenEnough = [90, 500, 900, 1300, 1700, 1990]
        assert.deepStrictEqual(yield* told(at, false, ...oftenEnough, lingerMillis + 10), [
          ...oftenEnough.map(() => false),
          true
        ])
      })
  )
})

describe("fromSocket", () => {
  const overSocket = (scope: Scope.Scope) =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const socket = yield* NodeSocket.makeNet({ host: "127.0.0.1", port: server.port })
      const connection = yield* Scope.provide(Connection.fromSocket(socket), scope)
      return { connection, peer: yield* server.accept }
    })

  for (const [how, exit] of [
    ["well", Exit.void],
    ["with a failure, after a close had begun", Exit.fail("failed")]
  ] as const) {
    it.live(`the end of the scope, ${how}, resets no peer that still sends and has yet to read the answer`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { connection, peer } = yield* overSocket(scope)
        const sending = yield* Effect.forkChild(peer.send(pattern(5_000_000)))
        yield* connection.reader.readExactly(1000)
        yield* peer.stall
        connection.writer.writeUnsafe(pattern(500_000))
        yield* Effect.forkChild(connection.writer.close, { startImmediately: true })
        yield* peer.unstall
        yield* within("the scope's end", Scope.close(scope, exit))
        yield* within("the peer has sent all", Fiber.join(sending))
        yield* peer.awaitEnd
        yield* peer.finish
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.isTrue(peer.received.equals(pattern(500_000)))
      })
    )
  }

  it.live("the end of the scope lets go of a silent peer at once", () =>
    Effect.gen(function* () {
      const before = held()
      const scope = yield* Scope.make()
      const { connection, peer } = yield* overSocket(scope)
      yield* connection.writer.write("last words")
      yield* Scope.close(scope, Exit.void)
      yield* peer.awaitEnd
      // the server and the peer's own end stay
      yield* eventually("it is gone", () => held().sockets <= before.sockets + 2, lingerMillis / 2)
      yield* peer.finish
      yield* peer.awaitClosed
      yield* backTo({ sockets: before.sockets + 1, handles: before.handles + 1 })
    })
  )
})
