/**
 * More clients than a server wants, or than the system lets it have. Rank 14 and rank 28 of what users were burned by;
 * row 10.9 of the semantics.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, startServer } from "effect-byte-streams"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { fileURLToPath } from "node:url"
import { text } from "../support/bytes.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { forShell, start as startProgram } from "../support/program.ts"
import { connectRaw } from "../support/rawPeer.ts"
import { eventuallyEffect } from "../support/wait.ts"

const host = "127.0.0.1"

/** Greets, then answers one line. */
const greetAndEcho = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    yield* writer.write("hello\n")
    yield* writer.write(yield* reader.readLine)
  })

describe("maxConnections", () => {
  it.live("rank 14 wait: the third client waits until another has left, and loses nothing", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, maxConnections: 2 }, greetAndEcho)
      const first = yield* connectRaw(server.port)
      const second = yield* connectRaw(server.port)
      yield* first.awaitText("hello\n")
      yield* second.awaitText("hello\n")
      const third = yield* connectRaw(server.port)
      const fourth = yield* connectRaw(server.port)
      yield* third.send("sent while it waits\n")
      yield* eventuallyEffect(
        "two wait",
        Effect.map(server.waiting, (count) => count === 2)
      )
      assert.strictEqual(yield* server.connections, 2)
      assert.strictEqual(third.text, "")
      yield* first.send("bye\n")
      yield* first.awaitEnd
      // in the order in which they came
      yield* third.awaitText("hello\nsent while it waits\n")
      yield* third.awaitEnd
      yield* fourth.awaitText("hello\n")
      assert.strictEqual(yield* server.waiting, 0)
      assert.strictEqual(yield* server.rejected, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 14 reject: the third client is reset at once, and counted", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, maxConnections: 2, overflow: "reject" }, greetAndEcho)
      const first = yield* connectRaw(server.port)
      const second = yield* connectRaw(server.port)
      yield* first.awaitText("hello\n")
      yield* second.awaitText("hello\n")
      const third = yield* connectRaw(server.port)
      assert.strictEqual(yield* third.awaitClosed, "ECONNRESET")
      assert.strictEqual(yield* server.rejected, 1)
      yield* first.send("bye\n")
      yield* first.awaitEnd
      yield* eventuallyEffect(
        "one has left",
        Effect.map(server.connections, (count) => count === 1)
      )
      const fourth = yield* connectRaw(server.port)
      yield* fourth.awaitText("hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("no more wait than the backlog has room for", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, maxConnections: 1, backlog: 1 }, greetAndEcho)
      const first = yield* connectRaw(server.port)
      yield* first.awaitText("hello\n")
      yield* connectRaw(server.port)
      yield* eventuallyEffect(
        "one waits",
        Effect.map(server.waiting, (count) => count === 1)
      )
      const third = yield* connectRaw(server.port)
      yield* third.awaitClosed
      assert.strictEqual(yield* server.rejected, 1)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("those that wait are reset when the server shuts down, and hold it up no moment", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, maxConnections: 1 }, greetAndEcho)
      const first = yield* connectRaw(server.port)
      yield* first.awaitText("hello\n")
      const second = yield* connectRaw(server.port)
      yield* eventuallyEffect(
        "one waits",
        Effect.map(server.waiting, (count) => count === 1)
      )
      assert.deepStrictEqual(yield* server.shutdown({ gracePeriod: 1 }), { completed: 0, aborted: 1 })
      yield* second.awaitClosed
      assert.strictEqual(second.text, "")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a client that leaves while it waits disturbs nobody", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, maxConnections: 1 }, greetAndEcho)
      const first = yield* connectRaw(server.port)
      yield* first.awaitText("hello\n")
      const second = yield* connectRaw(server.port)
      yield* eventuallyEffect(
        "one waits",
        Effect.map(server.waiting, (count) => count === 1)
      )
      yield* second.reset
      const third = yield* connectRaw(server.port)
      yield* first.send("bye\n")
      yield* third.awaitText("hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("any number of clients that wait are served on one small stack, if their handlers return at once", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const release = yield* Deferred.make<void>()
        let first = true
        const server = yield* startServer({ host, port: 0, maxConnections: 1, backlog: 100_000 }, () => {
          if (!first) return Effect.void
          first = false
          return Deferred.await(release)
        })
        const clients = Array.from({ length: 20_000 }, () => network.accept())
        assert.strictEqual(yield* server.waiting, clients.length - 1)
        yield* Deferred.succeed(release, undefined)
        yield* TestClock.adjust(0)
        assert.strictEqual(yield* server.waiting, 0)
        assert.strictEqual(yield* server.connections, 0)
        assert.isTrue(clients.every((client) => client.calls.at(-1) === "close"))
      })
    )
  )

  it.effect("a place is free once its connection has ended, however long onHandlerError takes", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const told = yield* Deferred.make<void>()
        const server = yield* startServer(
          { host, port: 0, maxConnections: 1, gracePeriod: "1 second", onHandlerError: () => Deferred.await(told) },
          ({ reader }) => reader.readExactly(1)
        )
        const first = network.accept()
        const second = network.accept()
        assert.strictEqual(yield* server.waiting, 1)
        first.pushEnd()
        yield* TestClock.adjust(0)
        assert.strictEqual(first.calls.at(-1), "abort")
        assert.strictEqual(yield* server.waiting, 0)
        assert.strictEqual(yield* server.connections, 1)
        second.push("x")
        yield* TestClock.adjust(0)
        assert.strictEqual(yield* server.connections, 0)

        // the shutdown waits for it as for a handler
        const stopping = yield* start(server.shutdown())
        yield* TestClock.adjust(999)
        assert.isTrue(waits(stopping))
        yield* Deferred.succeed(told, undefined)
        yield* TestClock.adjust(0)
        assert.isFalse(waits(stopping))
        assert.deepStrictEqual(yield* Fiber.join(stopping), { completed: 0, aborted: 0 })
      })
    )
  )

  it.effect("reject: everybody above it is reset at once, and counted", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, maxConnections: 3, overflow: "reject", gracePeriod: 0 },
          () => Effect.never
        )
        const clients = Array.from({ length: 10 }, () => network.accept())
        assert.deepStrictEqual(
          clients.map(({ calls }) => calls.join()),
          [...Array.from({ length: 3 }, () => "attach"), ...Array.from({ length: 7 }, () => "abort")]
        )
        assert.strictEqual(yield* server.rejected, 7)
        assert.strictEqual(yield* server.connections, 3)
        assert.strictEqual(yield* server.waiting, 0)
      })
    )
  )

  it.live("must be above 0", () =>
    Effect.gen(function* () {
      const defect = yield* defectOf(Effect.scoped(startServer({ host, port: 0, maxConnections: 0 }, greetAndEcho)))
      assert.include((defect as Error).message, "maxConnections")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("out of descriptors", () => {
  it.live("row 10.9, rank 28: serves on when there are some again, and spends no time on it meanwhile", () =>
    Effect.gen(function* () {
      const program = fileURLToPath(new URL("./programs/fewDescriptors.ts", import.meta.url))
      const child = yield* startProgram("sh", ["-c", `ulimit -n 64 && exec ${forShell(program)}`])
      const port = Number(yield* child.line)
      const peers = yield* Effect.forEach(Array.from({ length: 80 }), () => connectRaw(port), { concurrency: 8 })
      // some are served, those beyond the limit are not
      yield* eventuallyEffect(
        "the limit is reached",
        Effect.sync(() => peers.some((peer) => peer.closed) && peers.some((peer) => peer.text === "hello\n"))
      )
      yield* child.send("idle\n")
      const [spent, over] = (yield* child.line).split(" ").map(Number) as [number, number]
      assert.isBelow(spent, over / 5, `${spent} ms of CPU in ${over} ms of doing nothing`)
      for (const peer of peers) yield* peer.vanish
      yield* eventuallyEffect(
        "a new client is served",
        Effect.scoped(
          Effect.gen(function* () {
            const again = yield* connectRaw(port)
            yield* Effect.sleep(20)
            return text(again.received) === "hello\n"
          })
        )
      )
    })
  )
})
