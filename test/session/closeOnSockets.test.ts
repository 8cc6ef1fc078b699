/** How a connection ends on real sockets: closed or aborted, by the program or by its scope, and never without bound. */
import { assert, describe, it } from "@effect/vitest"
import { Network, NodeNetwork } from "effect-byte-streams"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { has } from "../../src/internal/node/nodeInternals.ts"
import { nobody } from "../../src/internal/transport/duplex.ts"
import { pattern } from "../support/bytes.ts"
import { clog } from "../support/clog.ts"
import { bothKinds, everyKind } from "../support/kinds.ts"
import { backTo, held } from "../support/descriptors.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

/** More than the system takes from a writer whose peer does not read. */
const large = pattern(12_000_000)

for (const { client, kind, reset, serve, toRaw } of everyKind) {
  describe(`${kind}: the end of the scope`, () => {
    it.live("success: everything written arrives, and then the end", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { connection, peer } = yield* toRaw(undefined, undefined, scope)
        assert.isFalse(connection.writer.writeUnsafe(large))
        yield* within("the scope's end", Scope.close(scope, Exit.void))
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.isTrue(peer.received.equals(large))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    for (const [how, end] of [
      ["a failure", Effect.fail("failed")],
      ["a defect", Effect.die("died")],
      ["an interruption", Effect.interrupt]
    ] as const) {
      it.live(`${how}: the connection is aborted`, () =>
        Effect.gen(function* () {
          const { peer } = yield* Effect.gen(function* () {
            const scope = yield* Scope.make()
            const opened = yield* toRaw(undefined, { paused: true }, scope)
            opened.connection.writer.writeUnsafe(large)
            yield* within(
              "the scope's end",
              Effect.flatMap(Effect.exit(end), (exit) => Scope.close(scope, exit)),
              1000
            )
            return opened
          })
          yield* peer.unstall
          assert.strictEqual(yield* peer.awaitClosed, reset)
          assert.isBelow(peer.received.length, large.length)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(`${how}, with onScopeFailure: flush: everything written arrives, and then the end`, () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const { connection, peer } = yield* toRaw({ onScopeFailure: "flush" }, undefined, scope)
          yield* connection.writer.write("last words")
          yield* within(
            "the scope's end",
            Effect.flatMap(Effect.exit(end), (exit) => Scope.close(scope, exit))
          )
          assert.strictEqual(yield* peer.awaitClosed, undefined)
          assert.strictEqual(peer.text, "last words")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live("is bounded by closeTimeout when the peer does not read", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { connection, peer } = yield* toRaw({ closeTimeout: 100 }, { paused: true }, scope)
        connection.writer.writeUnsafe(large)
        yield* within("the scope's end", Scope.close(scope, Exit.void), 2000)
        const outcome = yield* connection.writer.close
        assert.strictEqual(outcome._tag, "TimedOut")
        yield* peer.unstall
        assert.strictEqual(yield* peer.awaitClosed, reset)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("fails whoever still uses the streams", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { connection } = yield* toRaw(undefined, undefined, scope)
        const reading = yield* Effect.forkChild(Effect.flip(connection.reader.readLine), { startImmediately: true })
        yield* Scope.close(scope, Exit.void)
        const failed = yield* within("the read ends", Fiber.join(reading))
        assert.strictEqual(failed._tag, "ClosedStream")
        assert.strictEqual((yield* Effect.flip(connection.writer.write("x")))._tag, "ClosedStream")
        assert.strictEqual((yield* Effect.flip(connection.reader.read(1)))._tag, "ClosedStream")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`${kind}: close says what happened`, () => {
    it.live("Graceful: everything was handed over", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        yield* connection.writer.write("all of it")
        assert.deepStrictEqual(yield* within("close", connection.writer.close), { _tag: "Graceful" })
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.strictEqual(peer.text, "all of it")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("Reset: the peer had broken it", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        yield* connection.writer.write("never read")
        yield* connection.writer.flush
        yield* turns()
        yield* kind !== "Unix" ? peer.reset : peer.vanish
        assert.strictEqual((yield* within("the loss", connection.closed))._tag, "Lost")
        assert.deepStrictEqual(yield* within("close", connection.writer.close), { _tag: "Reset" })
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("Reset: the peer breaks it meanwhile", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        connection.writer.writeUnsafe(large)
        const closing = yield* Effect.forkChild(connection.writer.close, { startImmediately: true })
        yield* turns()
        assert.strictEqual(closing.pollUnsafe(), undefined)
        yield* kind !== "Unix" ? peer.reset : peer.vanish
        assert.deepStrictEqual(yield* within("close", Fiber.join(closing)), { _tag: "Reset" })
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("Aborted, and how much was not sent", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        connection.writer.writeUnsafe(large)
        yield* connection.abort
        const outcome = yield* within("close", connection.writer.close)
        assert(outcome._tag === "Aborted")
        yield* peer.unstall
        yield* peer.awaitClosed
        assert.isAbove(outcome.unsent, 0)
        assert.isAtMost(outcome.unsent, large.length)
        // what did not arrive and is not counted was on its way
        assert.isBelow(peer.received.length, large.length)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("TimedOut, and how much was not sent", () =>
      Effect.gen(function* () {
        const { connection } = yield* toRaw({ closeTimeout: 50 }, { paused: true })
        connection.writer.writeUnsafe(large)
        const outcome = yield* within("close", connection.writer.close, 2000)
        assert(outcome._tag === "TimedOut")
        assert.isAbove(outcome.unsent, 0)
        assert.deepStrictEqual(yield* connection.writer.close, outcome)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("to everybody who asks, however often", () =>
      Effect.gen(function* () {
        const { connection } = yield* toRaw()
        const outcomes = yield* Effect.all(
          Array.from({ length: 10 }, () => connection.writer.close),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual([...new Set(outcomes.map(({ _tag }) => _tag))], ["Graceful"])
        assert.isTrue(yield* connection.writer.isClosing)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`${kind}: close`, () => {
    it.live("goes on when waiting for it is interrupted, and stays bounded", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ closeTimeout: 100 }, { paused: true })
        connection.writer.writeUnsafe(large)
        const closing = yield* Effect.forkChild(connection.writer.close, { startImmediately: true })
        yield* Fiber.interrupt(closing)
        assert.isTrue(yield* connection.writer.isClosing)
        assert.strictEqual((yield* within("the end", connection.closed, 2000))._tag, "Local")
        yield* peer.unstall
        assert.strictEqual(yield* peer.awaitClosed, reset)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("does not reset the connection under a peer that still sends and has yet to read the answer", () =>
      Effect.gen(function* () {
        const answer = pattern(500_000)
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true })
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
        assert.isTrue(peer.received.equals(answer))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("two ends that only write do not wait for each other", () =>
      Effect.gen(function* () {
        const outcome = yield* Deferred.make<string>()
        const { at } = yield* serve(({ writer }) =>
          Effect.gen(function* () {
            writer.writeUnsafe(large)
            yield* Deferred.succeed(outcome, (yield* writer.close)._tag)
          })
        )
        const { writer } = yield* client(at)
        writer.writeUnsafe(large)
        assert.strictEqual((yield* within("close", writer.close))._tag, "Graceful")
        assert.strictEqual(yield* within("the other's close", Deferred.await(outcome)), "Graceful")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("lets go of a peer that neither reads to the end nor leaves", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true })
        yield* connection.writer.close
        yield* peer.awaitEnd
        // goes on sending until nobody is there any more
        yield* within(
          "the connection is let go of",
          Effect.andThen(peer.send("and another thing\n"), Effect.sleep(20)).pipe(
            Effect.repeat({ while: () => !peer.closed })
          )
        )
        assert.oneOf(peer.error?.code, ["ECONNRESET", "EPIPE", "ERR_SOCKET_CLOSED"])
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("after the peer's end sends what was written, and is over at once", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true })
        yield* peer.finish
        yield* within("the peer's end", connection.closed)
        yield* connection.writer.write("bye")
        assert.strictEqual((yield* connection.writer.close)._tag, "Graceful")
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.strictEqual(peer.text, "bye")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`${kind}: abort`, () => {
    it.live("never waits, fails whoever waits, and may be called again and after close", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        const { reader, writer } = connection
        writer.writeUnsafe(large)
        const waiting = yield* Effect.forkChild(
          Effect.all([reader.read(1), writer.write("x"), writer.drain, writer.flush].map(Effect.flip), {
            concurrency: "unbounded"
          }),
          { startImmediately: true }
        )
        yield* turns()
        assert.strictEqual(waiting.pollUnsafe(), undefined)
        yield* connection.abort
        const failures = yield* within("the waits end", Fiber.join(waiting))
        assert.deepStrictEqual(
          failures.map((failure) => `${failure._tag} ${"reason" in failure ? failure.reason : ""}`),
          Array.from({ length: 4 }, () => "ClosedStream Aborted")
        )
        yield* connection.abort
        assert.strictEqual((yield* writer.close)._tag, "Aborted")
        yield* connection.abort
        yield* peer.unstall
        yield* peer.awaitClosed
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("cuts a close short that waits for the peer", () =>
      Effect.gen(function* () {
        const { connection } = yield* toRaw(undefined, { paused: true })
        connection.writer.writeUnsafe(large)
        const closing = yield* Effect.forkChild(connection.writer.close, { startImmediately: true })
        yield* connection.abort
        assert.strictEqual((yield* within("close", Fiber.join(closing), 1000))._tag, "Aborted")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("leaves nothing", () =>
      Effect.gen(function* () {
        const before = held()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { server, at } = yield* serve(({ abort, reader }) => Effect.andThen(reader.readLine, abort))
            for (let i = 0; i < 20; i++) {
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const { closed, writer } = yield* client(at)
                  yield* writer.write("off with you\n")
                  yield* within("the end", closed)
                })
              )
            }
            yield* eventuallyEffect(
              "nobody is served any more",
              Effect.map(server.connections, (count) => count === 0)
            )
          })
        )
        yield* backTo(before)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

// the engine of TLS may let go of what it writes to while the system has yet to take the end of it
for (const [kind, listening] of [
  ["TCP", Effect.succeed(undefined)],
  ["Unix", socketPath()]
] as const) {
  describe(`${kind}: a transport that is closed`, () => {
    it.live("still sends what it holds, to a peer that has ended its output as well", () =>
      Effect.gen(function* () {
        const path = yield* listening
        const server = yield* serveRaw({ at: path, halfOpen: true, paused: true })
        const network = yield* Network.Network
        const transport = yield* network.connect(
          path === undefined ? { host: "127.0.0.1", port: server.port } : { path }
        )
        yield* Effect.addFinalizer(() => Effect.sync(() => transport.abort()))
        let ended = false
        transport.attach({ ...nobody, onEnd: () => void (ended = true) })
        const peer = yield* server.accept
        yield* peer.finish
        yield* eventually("the peer's end", () => ended)
        assert.isFalse(transport.write([large]))
        transport.close()
        yield* peer.unstall
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.isTrue(peer.received.equals(large))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

describe("the number of unsent bytes", () => {
  // over a path a peer reads all that the system had taken, also behind an abort
  const [, unix] = bothKinds
  for (const how of ["abort", "closeTimeout"] as const) {
    it.live.skipIf(!has("unsent"))(`${how}: all but what the peer still reads`, () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* unix!.toRaw({ closeTimeout: 50 }, { paused: true })
        const { writer } = connection
        const written = yield* clog(writer)
        if (how === "abort") yield* writer.abort
        const outcome = yield* within("the close", writer.close)
        assert.strictEqual(outcome._tag, how === "abort" ? "Aborted" : "TimedOut")
        yield* peer.unstall
        yield* peer.awaitClosed
        assert.strictEqual("unsent" in outcome && outcome.unsent, written.length - peer.received.length)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  for (const { kind, toRaw } of bothKinds) {
    /** A connection whose peer is gone, and that goes on all the same: there is more to read. */
    const left = Effect.gen(function* () {
      const { connection, peer } = yield* toRaw({ limit: 16 })
      yield* Effect.forkChild(Effect.ignoreCause(peer.send(pattern(400_000))))
      yield* eventuallyEffect(
        "there is more than is read",
        Effect.map(connection.reader.buffered, (buffered) => buffered > 32)
      )
      yield* peer.reset
      yield* peer.awaitClosed
      return connection.writer
    })

    it.live(`over ${kind}: what could not be sent`, () =>
      Effect.gen(function* () {
        const writer = yield* left
        yield* writer.write(pattern(1000))
        assert.strictEqual((yield* within("the flush", Effect.flip(writer.flush)))._tag, "ConnectionLost")
        yield* writer.abort
        assert.deepStrictEqual(yield* writer.close, { _tag: "Aborted", unsent: 1000 })
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`over ${kind}: what could not be sent, before anybody is told`, () =>
      Effect.gen(function* () {
        const writer = yield* left
        // so much is sent at once
        writer.writeUnsafe(pattern(70_000))
        yield* writer.abort
        assert.deepStrictEqual(yield* writer.close, { _tag: "Aborted", unsent: 70_000 })
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})
