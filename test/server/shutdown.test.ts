/**
 * The end of a server, with clients in every state, and what it says of them: `shutdown`, the end of the scope,
 * `awaitShutdown`, `Server.draining`. Rank 1 of what users were burned by.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, Server, startServer, StreamError } from "effect-byte-streams"
import { Deferred, Effect, Exit, Fiber, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { everyKind } from "../support/kinds.ts"
import { pattern, text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { start, waits } from "../support/fibers.ts"
import { eventuallyEffect, within } from "../support/wait.ts"

const host = "127.0.0.1"
const gracePeriod = 700
const big = pattern(30_000_000)

/** Answers one request: its second line decides what with. */
const answer = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    yield* writer.write("ready\n")
    yield* reader.readLine
    yield* writer.write("working\n")
    const kind = yield* reader.readLine
    yield* writer.write(kind.length === "big\n".length ? big : "the whole answer\n")
  })

/** Waits for a request, or for the server's end. */
const polite = ({ reader, writer }: Connection.Connection) =>
  Effect.raceFirst(reader.readLine, Effect.andThen(Server.draining, writer.write("bye\n")))

for (const { kind, rawClient, reset, serve } of everyKind) {
  describe(`rank 1 a server ends, ${kind}`, () => {
    for (const [how, stop] of [
      ["shutdown", (server: Server.Server) => Effect.asSome(server.shutdown())],
      [
        "the end of the scope",
        (_: Server.Server, scope: Scope.Closeable) =>
          Effect.as(Scope.close(scope, Exit.void), Option.none<Server.ShutdownReport>())
      ]
    ] as const) {
      it.live(`rank 1 ${how}: clients that idle, are being answered, stopped reading, never sent a byte`, () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const scope = yield* Scope.make()
              const { at, server } = yield* Scope.provide(
                // closing must not take longer than the grace period either, whatever it could take by itself
                serve(answer, { gracePeriod, closeTimeout: "1 minute" }),
                scope
              )
              const silent = yield* rawClient(at)
              const idle = yield* rawClient(at)
              const busy = yield* rawClient(at)
              const stalled = yield* rawClient(at)
              for (const peer of [silent, idle, busy, stalled]) yield* peer.awaitText("ready\n")
              yield* idle.send("one request, and then nothing\n")
              for (const peer of [busy, stalled]) yield* peer.send("request\n")
              for (const peer of [idle, busy, stalled]) yield* peer.awaitText("working\n")
              yield* stalled.stall
              yield* stalled.send("big\n")

              const since = performance.now()
              const stopping = yield* Effect.forkChild(stop(server, scope), { startImmediately: true })
              yield* busy.send("small\n")
              yield* busy.awaitEnd
              assert.strictEqual(busy.text, "ready\nworking\nthe whole answer\n")
              assert.strictEqual(yield* busy.awaitClosed, undefined)

              const report = yield* within("the server ends", Fiber.join(stopping), 5000)
              const took = performance.now() - since
              assert.isAtLeast(took, gracePeriod - 50)
              assert.isBelow(took, gracePeriod + 2000)
              if (report._tag === "Some") assert.deepStrictEqual(report.value, { completed: 1, aborted: 3 })
              assert.strictEqual(yield* server.connections, 0)
              yield* within("awaitShutdown", server.awaitShutdown, 1000)
              for (const peer of [silent, idle, stalled]) {
                yield* peer.unstall
                assert.strictEqual(yield* peer.awaitClosed, reset)
              }
              assert.isBelow(stalled.received.length, big.length)
              yield* Scope.close(scope, Exit.void)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live("rank 1 handlers that are told end it long before the grace period does", () =>
      Effect.gen(function* () {
        const { at, server } = yield* serve(polite, { gracePeriod: "1 hour" })
        const clients = yield* Effect.all(Array.from({ length: 10 }, () => rawClient(at)))
        yield* eventuallyEffect(
          "all are served",
          Effect.map(server.connections, (count) => count === 10)
        )
        assert.deepStrictEqual(yield* within("the shutdown", server.shutdown(), 5000), { completed: 10, aborted: 0 })
        for (const client of clients) {
          assert.strictEqual(yield* client.awaitClosed, undefined)
          assert.strictEqual(client.text, "bye\n")
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

describe("what a shutdown says", () => {
  it.effect("takes the grace period and not a moment more, 5 seconds unless told otherwise", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        for (const [options, grace] of [
          [{}, 5000],
          [{ gracePeriod: "2 minutes" }, 120_000],
          [{ gracePeriod: 0 }, 0]
        ] as const) {
          const server = yield* startServer({ host, port: 0, ...options }, () => Effect.never)
          const client = network.accept()
          const stopping = yield* start(server.shutdown())
          assert.isFalse(network.listening)
          if (grace > 0) {
            yield* TestClock.adjust(grace - 1)
            assert.isTrue(waits(stopping))
            assert.strictEqual(client.count("abort"), 0)
          }
          yield* TestClock.adjust(grace > 0 ? 1 : 0)
          assert.isFalse(waits(stopping))
          assert.deepStrictEqual(yield* Fiber.join(stopping), { completed: 0, aborted: 1 })
          assert.strictEqual(client.count("abort"), 1)
        }
      })
    )
  )

  it.effect("is the same for everybody who asked while a handler ran", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, () => Effect.never)
        network.accept()
        const patient = yield* start(server.shutdown({ gracePeriod: "1 hour" }))
        const impatient = yield* start(server.shutdown({ gracePeriod: "1 second" }))
        yield* TestClock.adjust("1 second")
        for (const fiber of [patient, impatient]) {
          assert.isFalse(waits(fiber))
          assert.deepStrictEqual(yield* Fiber.join(fiber), { completed: 0, aborted: 1 })
        }
        // nobody is left for this one
        assert.deepStrictEqual(yield* server.shutdown(), { completed: 0, aborted: 1 })
      })
    )
  )

  it.effect("counts whom the first call found, also for those who ask when some of them have ended", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, ({ reader }) => reader.readLine)
        const clients = [network.accept(), network.accept(), network.accept()]
        const first = yield* start(server.shutdown({ gracePeriod: "1 hour" }))
        clients[0]!.push("done\n")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* server.connections, 2)
        const given = yield* start(server.shutdown({ gracePeriod: "1 hour" }))
        yield* Fiber.interrupt(given)
        const second = yield* start(server.shutdown({ gracePeriod: "1 second" }))
        yield* TestClock.adjust("1 second")
        for (const fiber of [first, second]) {
          assert.deepStrictEqual(yield* Fiber.join(fiber), { completed: 1, aborted: 2 })
        }
        assert.deepStrictEqual(yield* server.shutdown(), { completed: 1, aborted: 2 })
      })
    )
  )

  it.effect("a client that comes after it has begun is reset", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, () => Effect.never)
        network.accept()
        const stopping = yield* start(server.shutdown())
        const late = network.accept()
        assert.deepStrictEqual(late.calls, ["abort"])
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* Fiber.join(stopping), { completed: 0, aborted: 1 })
      })
    )
  )

  it.effect("awaitShutdown completes also if nobody waits for the shutdown any more", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const release = yield* Deferred.make<void>()
        const server = yield* startServer({ host, port: 0 }, () => Deferred.await(release))
        network.accept()
        const over = yield* start(server.awaitShutdown)
        const stopping = yield* start(server.shutdown({ gracePeriod: "1 hour" }))
        yield* Fiber.interrupt(stopping)
        assert.isTrue(waits(over))
        yield* Deferred.succeed(release, undefined)
        yield* TestClock.adjust(0)
        assert.isFalse(waits(over))
      })
    )
  )

  it.effect("a handler may be the one who shuts down: it is cut off with the others", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const release = yield* Deferred.make<void>()
        const server: Server.Server = yield* startServer({ host, port: 0 }, ({ reader }) =>
          Effect.gen(function* () {
            const order = text(yield* reader.readLine)
            if (order === "stop\n") yield* server.shutdown({ gracePeriod: "1 second" })
            if (order === "hold\n") yield* Effect.uninterruptible(Deferred.await(release))
          })
        )
        const clients = [network.accept(), network.accept(), network.accept()]
        const over = yield* start(server.awaitShutdown)
        clients[0]!.push("stop\n")
        clients[1]!.push("hold\n")
        yield* TestClock.adjust("999 millis")
        assert.isFalse(network.listening)
        assert.deepStrictEqual(clients.map((client) => client.count("abort")).join(), "0,0,0")
        yield* TestClock.adjust("1 milli")
        assert.deepStrictEqual(clients.map((client) => client.count("abort")).join(), "1,1,1")
        assert.strictEqual(yield* server.connections, 1)
        assert.isTrue(waits(over))
        yield* Deferred.succeed(release, undefined)
        yield* TestClock.adjust(0)
        assert.isFalse(waits(over))
      })
    )
  )

  it.effect("a handler that cannot be interrupted is given a second more, and up", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const release = yield* Deferred.make<void>()
        const server = yield* startServer({ host, port: 0 }, () => Effect.uninterruptible(Deferred.await(release)))
        const client = network.accept()
        const stopping = yield* start(server.shutdown())
        yield* TestClock.adjust("5 seconds")
        assert.isTrue(waits(stopping))
        assert.strictEqual(client.count("abort"), 1)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(stopping), { completed: 0, aborted: 1 })
        assert.strictEqual(yield* server.connections, 1)
        yield* Deferred.succeed(release, undefined)
        yield* TestClock.adjust(0)
        assert.strictEqual(yield* server.connections, 0)
      })
    )
  )
})

describe("a server that does not come to be", () => {
  it.effect("leaves nobody who had come to its first address", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        let ended = false
        const handler = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (ended = true)))
        const clients: Array<ReturnType<typeof network.accept>> = []
        const refused = new StreamError.ListenFailed({ kind: "AddressInUse", address: "the second" })
        network.whileBinding = Effect.suspend(() => {
          clients.push(network.accept())
          return Effect.fail(refused)
        })
        assert.strictEqual(yield* Effect.flip(startServer({ host, port: 0 }, handler)), refused)
        assert.isTrue(ended)
        assert.strictEqual(clients[0]!.count("abort"), 1)

        ended = false
        network.whileBinding = Effect.suspend(() => {
          clients.push(network.accept())
          return Effect.never
        })
        const starting = yield* start(startServer({ host, port: 0 }, handler))
        yield* Fiber.interrupt(starting)
        assert.isTrue(ended)
        assert.strictEqual(clients[1]!.count("abort"), 1)
        assert.isFalse(network.listening)
      })
    )
  )
})
