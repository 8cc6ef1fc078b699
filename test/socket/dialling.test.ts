/** `Connection.makeSocket`: what a socket that dials anew promises to those who are written against Effect's sockets. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { BufferBudget, Connection, Network, NodeNetwork, Server } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { pattern } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { FakeTransport } from "../support/fakeTransport.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { closedPort, type RawPeer, serveRaw } from "../support/rawPeer.ts"
import { echo, everywhere, pullText, served, why } from "../support/sockets.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

/** A socket for a raw peer that listens, over TCP and over Unix sockets. */
const raw = (
  kind: "TCP" | "Unix",
  options?: Connection.Options,
  peer?: { readonly halfOpen?: boolean; readonly paused?: boolean }
) =>
  Effect.gen(function* () {
    if (kind === "TCP") {
      const server = yield* serveRaw(peer)
      return { server, socket: yield* Connection.makeSocket({ host: "127.0.0.1", port: server.port, ...options }) }
    }
    const at = yield* socketPath()
    const server = yield* serveRaw({ at, ...peer })
    return { server, socket: yield* Connection.makeSocket({ path: at, ...options }) }
  })

const reasonOf = (exit: Exit.Exit<unknown, Socket.SocketError>): string => {
  assert(Exit.isFailure(exit))
  return why(Cause.squash(exit.cause) as Socket.SocketError)
}

for (const { kind, network, place } of everywhere) {
  describe(`Connection.makeSocket, over ${kind}`, () => {
    it.live("each acquisition of the reader opens a connection, and retry connects again", () =>
      Effect.gen(function* () {
        const at = yield* place
        let clients = 0
        yield* served(at, (socket) =>
          Effect.scoped(Effect.flatMap(socket.writer, (writer) => writer.write(`client ${++clients}`)))
        )
        const socket = yield* Connection.makeSocket(at.dial())
        const greetings: Array<string> = []
        const session = Effect.gen(function* () {
          const { pull } = yield* socket.reader
          greetings.push(yield* pullText(pull, 8))
          return yield* pull
        })
        const exit = yield* within(
          "three sessions",
          Effect.exit(Effect.retry(Effect.scoped(session), Schedule.recurs(2)))
        )
        assert.strictEqual(reasonOf(exit), "close 1000")
        assert.deepStrictEqual(greetings, ["client 1", "client 2", "client 3"])
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a write without a connection waits for the next one", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, echo)
        const socket = yield* Connection.makeSocket(at.dial())
        const writer = yield* socket.writer
        const first = yield* Effect.forkChild(writer.write("one, "), { startImmediately: true })
        const second = yield* Effect.forkChild(writer.writeAll(["two, ", "three"]), { startImmediately: true })
        yield* turns()
        assert.strictEqual(first.pollUnsafe(), undefined)
        const { pull } = yield* socket.reader
        assert.strictEqual(yield* within("the echo", pullText(pull, 15)), "one, two, three")
        yield* within("the writes", Fiber.joinAll([first, second]))
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a write that waits is dropped if its fiber is interrupted", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, echo)
        const socket = yield* Connection.makeSocket(at.dial())
        const writer = yield* socket.writer
        const given = yield* Effect.forkChild(writer.write("never sent"), { startImmediately: true })
        yield* Effect.forkChild(writer.write("sent"), { startImmediately: true })
        yield* Fiber.interrupt(given)
        const { pull } = yield* socket.reader
        assert.strictEqual(yield* within("the echo", pullText(pull, 4)), "sent")
        yield* writer.write("!")
        assert.strictEqual(yield* within("the echo", pullText(pull, 1)), "!")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a write that waits ends with its writer's scope, and is dropped; one after that fails", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, echo)
        const socket = yield* Connection.makeSocket(at.dial())
        const scope = yield* Scope.make()
        const writer = yield* Scope.provide(socket.writer, scope)
        const other = yield* socket.writer
        const waiting = yield* Effect.forkChild(writer.write("never sent"), { startImmediately: true })
        const going = yield* Effect.forkChild(other.write("sent"), { startImmediately: true })
        yield* turns()
        yield* Scope.close(scope, Exit.void)
        yield* within("the write", Fiber.join(waiting))
        assert.strictEqual(why(yield* within("a later one", Effect.flip(writer.write("x")))), "SocketWriteError")
        assert.strictEqual(why(yield* within("a later one", Effect.flip(writer.writeAll(["x"])))), "SocketWriteError")
        assert.strictEqual(going.pollUnsafe(), undefined)
        const { pull } = yield* socket.reader
        assert.strictEqual(yield* within("the echo", pullText(pull, 4)), "sent")
        assert.strictEqual(why(yield* within("a later one", Effect.flip(writer.write("x")))), "SocketWriteError")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("what one connection has accepted is never sent on another", () =>
      Effect.gen(function* () {
        const at = yield* place
        const received: Array<string> = []
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const index = received.push("") - 1
              const pull = yield* Socket.readerString(socket)
              // the first one reads nothing
              if (index === 0) return yield* Effect.never
              while (true) received[index] += (yield* pull).join("")
            })
          )
        )
        const socket = yield* Connection.makeSocket(at.dial({ closeTimeout: 0, highWaterMark: 1000 }))
        const writer = yield* socket.writer
        const scope = yield* Scope.make()
        yield* Scope.provide(socket.reader, scope)
        const writing = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: 200 }), () => writer.write("a".repeat(100_000)), { discard: true }),
          { startImmediately: true }
        )
        yield* turns(20)
        assert.strictEqual(writing.pollUnsafe(), undefined)
        const late = yield* Effect.forkChild(writer.write("a".repeat(10)), { startImmediately: true })
        yield* Fiber.interrupt(writing)
        yield* within("the end of the first", Scope.close(scope, Exit.void))
        // it had begun on the first one, and waited for room there
        yield* within("the write that waited", Fiber.join(late))
        yield* socket.reader
        yield* writer.write("b")
        yield* eventually("the second has what was written to it", () => received[1] === "b")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a server that ends in good order is a close with code 1000, and what it said is read first", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, (socket) =>
          Effect.scoped(Effect.flatMap(socket.writer, (writer) => writer.write("last words")))
        )
        const socket = yield* Connection.makeSocket(at.dial())
        const { pull } = yield* socket.reader
        assert.strictEqual(yield* within("the words", pullText(pull, 10)), "last words")
        assert.strictEqual(why(yield* within("the end", Effect.flip(pull))), "close 1000")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a CloseEvent comes back from pull, with its code and its reason, behind what was written", () =>
      Effect.gen(function* () {
        const at = yield* place
        const received: Array<string> = []
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const pull = yield* Socket.readerString(socket)
              while (true) received.push((yield* pull).join(""))
            })
          )
        )
        const socket = yield* Connection.makeSocket(at.dial())
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        const ending = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        yield* writer.write("last words")
        yield* within("the close", writer.write(new Socket.CloseEvent(4321, "enough")))
        assert.strictEqual(why(yield* within("the pull", Fiber.join(ending))), "close 4321: enough")
        assert.strictEqual(why(yield* Effect.flip(pull)), "close 4321: enough")
        // a write behind it is none that anybody waits for
        yield* within("a later write", writer.write("dropped"))
        yield* eventually("it arrives", () => received.join("") === "last words")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("the end of the reader's scope fails a waiting pull with 1006 first, and then sends what was written", () =>
      Effect.gen(function* () {
        const at = yield* place
        const received: Array<Uint8Array> = []
        let reads = false
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const pull = yield* Socket.readerBytes(socket)
              yield* eventually("it may read", () => reads)
              while (true) received.push(...(yield* pull))
            })
          )
        )
        const socket = yield* Connection.makeSocket(at.dial())
        const writer = yield* socket.writer
        const sent = pattern(12_000_000)
        const scope = yield* Scope.make()
        const { pull } = yield* Scope.provide(socket.reader, scope)
        const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        yield* writer.write(sent)
        // every end of such a socket is a failure, and so is that of its scope
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.fail("failed")), { startImmediately: true })
        assert.strictEqual(why(yield* within("the pull", Fiber.join(pulling))), "close 1006")
        assert.strictEqual(closing.pollUnsafe(), undefined)
        assert.strictEqual(why(yield* within("a later pull", Effect.flip(pull))), "close 1006")
        reads = true
        yield* within("the flush", Fiber.join(closing))
        yield* eventually("all arrives", () => Buffer.concat(received).length === sent.length)
        assert.strictEqual(Buffer.concat(received).compare(sent), 0)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("an interrupted acquisition leaves no connection behind", () =>
      Effect.gen(function* () {
        const at = yield* place
        const server = yield* served(at, echo, { onHandshakeError: () => Effect.void })
        const socket = yield* Connection.makeSocket(at.dial())
        for (let step = 0; step < 12; step++) {
          const opening = yield* Effect.forkChild(Effect.scoped(Effect.andThen(socket.reader, Effect.never)), {
            startImmediately: true
          })
          yield* turns(step)
          yield* Fiber.interrupt(opening)
        }
        yield* within(
          "nobody is left",
          Effect.repeat(
            Effect.tap(server.connections, () => Effect.sleep(1)),
            { until: (count) => count === 0 }
          )
        )
        // and the socket is as good as new
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        yield* writer.write("hello")
        assert.strictEqual(yield* within("the echo", pullText(pull, 5)), "hello")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("nobody listens: SocketOpenError, with the error of this library as its cause", () =>
      Effect.gen(function* () {
        const at = yield* place
        const port = kind === "Unix" ? undefined : yield* closedPort()
        const socket = yield* Connection.makeSocket({ ...at.dial(), port })
        const { reason } = yield* within("the failure", Effect.flip(Effect.scoped(socket.reader)))
        assert(reason._tag === "SocketOpenError")
        assert.strictEqual(reason.kind, "Unknown")
        assert.strictEqual((reason.cause as Error & { readonly _tag?: string })._tag, "ConnectFailed")
      }).pipe(Effect.scoped, Effect.provide(network))
    )
  })
}

for (const kind of ["TCP", "Unix"] as const) {
  describe(`Connection.makeSocket and a peer that breaks, over ${kind}`, () => {
    const reset: (peer: RawPeer) => Effect.Effect<void> = (peer) => (kind === "TCP" ? peer.reset : peer.vanish)

    it.live("a write on a connection that is lost is dropped, and the loss is told by pull", () =>
      Effect.gen(function* () {
        const { server, socket } = yield* raw(kind, { highWaterMark: 1000 }, { paused: true })
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        const peer = yield* server.accept
        const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        // twenty that wait for room
        const writing = yield* Effect.forEach(Array.from({ length: 20 }), () =>
          Effect.forkChild(writer.write(pattern(500_000)), { startImmediately: true })
        )
        yield* turns()
        assert.isTrue(writing.some((fiber) => fiber.pollUnsafe() === undefined))
        yield* reset(peer)
        const exits = yield* within("the writes", Fiber.awaitAll(writing))
        assert.deepStrictEqual(
          exits.map(Exit.isSuccess),
          exits.map(() => true)
        )
        const { reason } = yield* within("the pull", Fiber.join(pulling))
        assert(reason._tag === "SocketReadError")
        assert.strictEqual((reason.cause as Error & { readonly _tag?: string })._tag, "ConnectionLost")
        // also one that begins then
        yield* within("a later write", writer.write("x"))
        yield* within("later writes", writer.writeAll(["x", "y"]))
      }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
    )

    it.live("what arrived before the loss is read first", () =>
      Effect.gen(function* () {
        const { server, socket } = yield* raw(kind)
        const { pull } = yield* socket.reader
        const peer = yield* server.accept
        yield* peer.send("before")
        yield* turns(10)
        yield* reset(peer)
        yield* turns(10)
        assert.strictEqual(yield* within("what came before", pullText(pull, 6)), "before")
        yield* within("the end", Effect.flip(pull))
      }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
    )

    it.live("the end of the writer's scope ends the output, and reading goes on", () =>
      Effect.gen(function* () {
        const { server, socket } = yield* raw(kind, undefined, { halfOpen: true })
        const { pull } = yield* socket.reader
        const peer = yield* server.accept
        yield* Effect.scoped(Effect.flatMap(socket.writer, (writer) => writer.write("the whole question")))
        yield* within("the end of the output", peer.awaitEnd)
        assert.strictEqual(peer.text, "the whole question")
        // of an end that this side has made the reader tells nothing
        const late = yield* Effect.flip(Effect.scoped(Effect.flatMap(socket.writer, (writer) => writer.write("x"))))
        assert.strictEqual(why(late), "SocketWriteError")
        yield* peer.send("the answer")
        assert.strictEqual(yield* within("the answer", pullText(pull, 10)), "the answer")
      }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
    )

    it.live("leaves nothing", () =>
      Effect.gen(function* () {
        const before = held()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { server, socket } = yield* raw(kind)
            for (const end of ["finish", "vanish", "reset"] as const) {
              for (let i = 0; i < 5; i++) {
                const session = Effect.gen(function* () {
                  const writer = yield* socket.writer
                  const { pull } = yield* socket.reader
                  const peer = yield* server.accept
                  yield* writer.write("hello")
                  yield* peer[end]
                  return yield* Effect.forever(pull)
                })
                yield* within("the session", Effect.exit(Effect.scoped(session)))
              }
            }
          })
        )
        yield* backTo(before)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

describe("Connection.makeSocket", () => {
  /** A network whose connections are transports of a test. */
  const fake = (transports: Array<FakeTransport>) =>
    Layer.succeed(Network.Network)({
      connect: () =>
        Effect.sync(() => {
          const transport = new FakeTransport()
          transports.push(transport)
          return transport
        }),
      listen: () => Effect.die("nobody listens")
    })

  it.effect("the network is that of the program that made it, and not of the one that acquires the reader", () =>
    Effect.gen(function* () {
      const mine: Array<FakeTransport> = []
      const theirs: Array<FakeTransport> = []
      const socket = yield* Effect.provide(Connection.makeSocket({ port: 1 }), fake(mine))
      yield* Effect.provide(Effect.scoped(socket.reader), fake(theirs))
      assert.deepStrictEqual([mine.length, theirs.length], [1, 0])
      const layered = yield* Layer.build(Layer.provide(Connection.layerSocket({ port: 1 }), fake(mine)))
      yield* Effect.provide(Effect.scoped(Context.get(layered, Socket.Socket).reader), fake(theirs))
      assert.deepStrictEqual([mine.length, theirs.length], [2, 0])
    }).pipe(Effect.scoped)
  )

  it.effect("so is the budget of what lies unread", () =>
    Effect.gen(function* () {
      const transports: Array<FakeTransport> = []
      const [mine, theirs] = yield* Effect.all([
        BufferBudget.make({ bytes: 1_000_000 }),
        BufferBudget.make({ bytes: 1_000_000 })
      ])
      const socket = yield* Connection.makeSocket({ port: 1 }).pipe(
        Effect.provideService(BufferBudget.BufferBudget, mine),
        Effect.provide(fake(transports))
      )
      yield* Effect.provideService(socket.reader, BufferBudget.BufferBudget, theirs)
      transports[0]!.push(new Uint8Array(1000))
      assert.deepStrictEqual([yield* mine.used, yield* theirs.used], [1000, 0])
    }).pipe(Effect.scoped)
  )

  it.effect(
    "an output that breaks alone is told within 2 seconds of silence, and what the peer says meanwhile is read",
    () =>
      Effect.gen(function* () {
        const transports: Array<FakeTransport> = []
        const socket = yield* Effect.provide(Connection.makeSocket({ port: 1 }), fake(transports))
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        const waiting = yield* Effect.forkChild(pullText(pull, 10), { startImmediately: true })
        const [transport] = transports
        transport!.failWriting({ kind: "BrokenPipe", code: "EPIPE" })
        yield* writer.write("dropped")
        yield* TestClock.adjust(1900)
        transport!.push(new TextEncoder().encode("hello"))
        yield* TestClock.adjust(1900)
        transport!.push(new TextEncoder().encode("hello"))
        assert.strictEqual(yield* Fiber.join(waiting), "hellohello")
        const ending = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        yield* TestClock.adjust(2000)
        const { reason } = yield* Fiber.join(ending)
        assert(reason._tag === "SocketReadError")
        assert.deepInclude(reason.cause, { _tag: "ConnectionLost", kind: "BrokenPipe" })
      }).pipe(Effect.scoped)
  )

  it.live("the end of the scope waits for a peer that does not read, for 2 seconds at most", () =>
    Effect.gen(function* () {
      const { server, socket } = yield* raw("TCP", undefined, { paused: true })
      const writer = yield* socket.writer
      const scope = yield* Scope.make()
      yield* Scope.provide(socket.reader, scope)
      yield* server.accept
      yield* Effect.forkChild(writer.write(pattern(12_000_000)), { startImmediately: true })
      const [took] = yield* Effect.timed(within("the end of the scope", Scope.close(scope, Exit.void)))
      assert.isAtLeast(Duration.toMillis(took), 1900)
      assert.isBelow(Duration.toMillis(took), 6000)
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "an acquisition that is interrupted at whatever step leaves no connection, and nothing that writes go to",
    () =>
      Effect.gen(function* () {
        const received: Array<string> = []
        const server = yield* served(
          { listen: (options) => Server.layerSocketServer({ port: 7000, ...options }), dial: () => ({}) },
          (socket) =>
            Effect.scoped(
              Effect.gen(function* () {
                const pull = yield* Socket.readerString(socket)
                while (true) received.push((yield* pull).join(""))
              })
            ).pipe(Effect.ignore)
        )
        const socket = yield* Connection.makeSocket({ port: 7000 })
        const writer = yield* socket.writer
        const session = Effect.scoped(Effect.andThen(socket.reader, Effect.as(Effect.yieldNow, "acquired")))
        let over = false
        let step = 0
        while (!over) {
          const exit = yield* within("the session", interruptBefore(++step, session))
          over = Exit.isSuccess(exit)
          yield* eventuallyEffect(
            "nobody is served",
            Effect.map(server.connections, (count) => count === 0)
          )
          const writing = yield* Effect.forkChild(writer.write(`behind step ${step}`), { startImmediately: true })
          assert.strictEqual(writing.pollUnsafe(), undefined, `interrupted before step ${step}`)
          yield* within("the next connection", Effect.scoped(Effect.andThen(socket.reader, Fiber.join(writing))))
          yield* eventually("it arrives", () => received.at(-1) === `behind step ${step}`)
        }
        assert.isAbove(step, 10)
      }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.effect("wrong options die when it is made", () =>
    Effect.gen(function* () {
      for (const [options, message] of [
        [{}, "Connection.makeSocket: either port or path is required, got neither"],
        [{ port: 70_000 }, "Connection.makeSocket: port must be"],
        [{ port: 1, limit: 0 }, "Connection.makeSocket: limit must be"],
        [{ port: 1, closeTimeout: "soon" }, "Connection.makeSocket: closeTimeout must be"],
        [{ port: 1, onScopeFailure: "keep" }, "Connection.makeSocket: onScopeFailure must be"],
        [null, "Connection.makeSocket: options must be"]
      ] as const) {
        const exit = yield* Effect.exit(Connection.makeSocket(options as never))
        assert(Exit.isFailure(exit))
        assert.include((Cause.squash(exit.cause) as Error).message, message)
      }
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
