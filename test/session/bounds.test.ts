/**
 * What users of byte streams were burned by where there was no bound: shutting down, closing, slow clients, too many
 * of them, a peer that stopped reading. Ranks 1, 7, 13, 14, 28 and 42.
 */
import { assert, describe, it } from "@effect/vitest"
import { Connection, NodeNetwork, openConnection, startServer, type StreamWriter } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Deferred, Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { everyKind } from "../support/kinds.ts"
import { pattern, text } from "../support/bytes.ts"
import { clog } from "../support/clog.ts"
import { backTo, held } from "../support/descriptors.ts"
import { concat, FakeTransport } from "../support/fakeTransport.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { timeoutOf } from "../support/timeouts.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

const host = "127.0.0.1"
const large = pattern(30_000_000)

for (const { client, kind, rawClient, reset, serve, toRaw } of everyKind) {
  describe(`rank 1 stop, grace, then kill, ${kind}`, () => {
    it.live("rank 1 a client that idles holds up a shutdown for its grace period, and the report says so", () =>
      Effect.gen(function* () {
        const { at, server } = yield* serve(({ reader }) => reader.readLine)
        const idle = yield* rawClient(at)
        yield* eventuallyEffect(
          "it is served",
          Effect.map(server.connections, (count) => count === 1)
        )
        const since = performance.now()
        assert.deepStrictEqual(yield* server.shutdown({ gracePeriod: 100 }), { completed: 0, aborted: 1 })
        const took = performance.now() - since
        assert.isAtLeast(took, 95)
        assert.isBelow(took, 1500)
        assert.strictEqual(yield* idle.awaitClosed, reset)
        yield* within("awaitShutdown", server.awaitShutdown, 1000)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 7 closing always ends, with a value, ${kind}`, () => {
    /** Twenty fibers close, some later than others; one by one when they have; then once more. */
    const closeOften = (writer: StreamWriter.StreamWriter) =>
      Effect.gen(function* () {
        const closings = yield* startAll(Array.from({ length: 10 }, () => writer.close))
        yield* turns()
        closings.push(...(yield* startAll(Array.from({ length: 10 }, () => writer.close))))
        const outcomes = yield* within("every close", Fiber.joinAll(closings), 3000)
        for (let i = 0; i < 3; i++) outcomes.push(yield* within("another close", writer.close, 1000))
        for (const outcome of outcomes) assert.deepStrictEqual(outcome, outcomes[0])
        return outcomes[0]!
      })

    const ending = (
      expected: string,
      prepare: (given: {
        readonly connection: Connection.Connection
        readonly peer: Effect.Success<ReturnType<typeof rawClient>>
      }) => Effect.Effect<unknown, unknown>
    ) =>
      it.live(`rank 7 ${expected}: the same to everybody who closes, and nothing is left`, () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const given = yield* toRaw({ closeTimeout: 150 }, { paused: true })
              yield* prepare(given)
              const outcome = yield* closeOften(given.connection.writer)
              assert.strictEqual(outcome._tag, expected)
              if ("unsent" in outcome) {
                assert.isAbove(outcome.unsent, 0)
                assert.isAtMost(outcome.unsent, large.length)
              }
              yield* given.peer.unstall
              yield* given.peer.awaitClosed
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

    ending("Graceful", ({ connection }) => connection.writer.write("a few bytes"))
    ending("Reset", ({ connection, peer }) =>
      Effect.gen(function* () {
        yield* connection.writer.write("never read")
        yield* connection.writer.flush
        yield* turns()
        yield* kind === "Unix" ? peer.vanish : peer.reset
        assert.strictEqual((yield* within("the loss", connection.closed))._tag, "Lost")
        // what asyncio's `wait_closed` would raise is known by now to whoever writes
        assert.strictEqual((yield* Effect.flip(connection.writer.write("x")))._tag, "ConnectionLost")
      })
    )
    ending("Aborted", ({ connection }) =>
      Effect.andThen(
        Effect.sync(() => connection.writer.writeUnsafe(large)),
        connection.abort
      )
    )
    ending("TimedOut", ({ connection }) => Effect.sync(() => connection.writer.writeUnsafe(large)))
  })

  describe(`rank 14 more clients than maxConnections, ${kind}`, () => {
    const untilEnd = ({ reader, writer }: Connection.Connection) =>
      Effect.andThen(writer.write("hello\n"), reader.readAll({ maxBytes: 1000 }))

    it.live("rank 14 wait: the third is served when one of two has left", () =>
      Effect.gen(function* () {
        const { at, server } = yield* serve(untilEnd, { maxConnections: 2 })
        const [first, second, third] = yield* Effect.all([rawClient(at), rawClient(at), rawClient(at)])
        yield* first.awaitText("hello\n")
        yield* second.awaitText("hello\n")
        yield* eventuallyEffect(
          "one waits",
          Effect.map(server.waiting, (count) => count === 1)
        )
        assert.strictEqual(third.text, "")
        yield* second.finish
        yield* third.awaitText("hello\n")
        assert.strictEqual(yield* server.connections, 2)
        for (const peer of [first, third]) yield* peer.finish
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 14 reject: the third is refused at once, and counted", () =>
      Effect.gen(function* () {
        const { at, server } = yield* serve(untilEnd, { maxConnections: 2, overflow: "reject" })
        const [first, second, third] = yield* Effect.all([rawClient(at), rawClient(at), rawClient(at)])
        yield* first.awaitText("hello\n")
        yield* second.awaitText("hello\n")
        assert.strictEqual(yield* third.awaitClosed, reset)
        assert.strictEqual(third.text, "")
        assert.strictEqual(yield* server.rejected, 1)
        for (const peer of [first, second]) yield* peer.finish
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 42 a peer that stops reading, ${kind}`, () => {
    it.live("rank 42 the write timeout frees every fiber that waits for it, and the descriptor", () =>
      Effect.gen(function* () {
        const before = held()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { connection, peer } = yield* toRaw({ timeouts: { write: 300 } }, { paused: true })
            const { writer } = connection
            const reading = yield* start(connection.reader.readLine)
            yield* clog(writer)
            const fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>> = [
              reading,
              yield* start(writer.write("more")),
              yield* start(writer.drain),
              yield* start(writer.flush)
            ]
            assert.isTrue(fibers.every(waits))
            for (const fiber of fibers) {
              const error = yield* within("the fiber is freed", timeoutOf(fiber), 3000)
              assert.strictEqual(error.kind, "Write")
            }
            const outcome = yield* writer.close
            assert(outcome._tag === "TimedOut" && outcome.unsent > 0, JSON.stringify(outcome))
            yield* peer.unstall
            assert.strictEqual(yield* peer.awaitClosed, reset)
          })
        )
        yield* backTo(before)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 42 as a server's default it frees the handler, and others are served meanwhile", () =>
      Effect.gen(function* () {
        const failed = yield* Deferred.make<string>()
        const { at, server } = yield* serve(
          ({ reader, writer }) =>
            Effect.andThen(reader.readLine, (line) =>
              line.length > 2 ? writer.write(line) : Effect.forever(writer.write(large))
            ),
          {
            timeouts: { write: 300 },
            onHandlerError: ({ cause }) => Deferred.succeed(failed, String(Cause.squash(cause)))
          }
        )
        const stalled = yield* rawClient(at, { paused: true })
        yield* stalled.send("\n")
        const other = yield* client(at)
        yield* other.writer.write("served\n")
        assert.strictEqual(text(yield* other.reader.readLine), "served\n")
        assert.match(yield* within("the handler is freed", Deferred.await(failed), 3000), /Write timeout/)
        yield* eventuallyEffect(
          "nobody is served any more",
          Effect.map(server.connections, (count) => count === 0)
        )
        yield* stalled.unstall
        yield* stalled.awaitClosed
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

describe("rank 13 bounds on reading without a timeout at each call", () => {
  it.effect("rank 13 a client of one byte every nine seconds is cut by minRate, where idle would let it go on", () =>
    Effect.gen(function* () {
      const failures: Array<string> = []
      const server = yield* startServer(
        {
          host,
          port: 0,
          timeouts: { idle: "10 seconds", minRate: { bytes: 20, per: "1 minute" } },
          onHandlerError: ({ cause }) => Effect.sync(() => void failures.push(String(Cause.squash(cause))))
        },
        ({ reader, writer }) =>
          Effect.gen(function* () {
            for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
              yield* writer.write(line)
            }
          })
      )
      const slow = yield* openConnection({ host, port: server.port })
      const brisk = yield* openConnection({ host, port: server.port })
      const gone = yield* start(slow.closed)
      let seconds = 0
      while (waits(gone) && seconds < 300) {
        yield* slow.writer.write("x")
        yield* brisk.writer.write("a line\n")
        assert.strictEqual(text(yield* brisk.reader.readLine), "a line\n")
        yield* TestClock.adjust("9 seconds")
        yield* TestNetwork.settled
        seconds += 9
      }
      // at the end of the first minute
      assert.strictEqual(seconds, 63)
      assert.deepStrictEqual(failures.length, 1)
      assert.include(failures[0], "MinRate")
      assert.strictEqual(yield* server.connections, 1)
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.effect("rank 13 the same client with idle alone is never cut; a silent one is", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0, timeouts: { idle: "10 seconds" } }, ({ reader }) =>
        Effect.ignore(reader.readLine)
      )
      const slow = yield* openConnection({ host, port: server.port })
      const gone = yield* start(slow.closed)
      for (let i = 0; i < 100; i++) {
        yield* slow.writer.write("x")
        yield* TestClock.adjust("9 seconds")
        yield* TestNetwork.settled
      }
      assert.isTrue(waits(gone))
      yield* TestClock.adjust("1 second")
      yield* TestNetwork.settled
      assert.isFalse(waits(gone))
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )
})

describe("rank 28 the system cannot accept", () => {
  it.effect("rank 28 the server serves on, and the log says so once a second at most", () => {
    const lines: Array<string> = []
    const logger = Logger.layer([
      Logger.make(({ logLevel, message }) => void lines.push([logLevel, ...[message].flat()].join(" ")))
    ])
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0 }, ({ writer }) => writer.write("hello\n"))
        for (let i = 0; i < 1000; i++) {
          network.failToAccept({ kind: "Unknown", code: "EMFILE" })
          yield* TestClock.adjust(10)
        }
        assert.strictEqual(lines.length, 10)
        assert.deepStrictEqual([...new Set(lines)], ["Warn accept failed: EMFILE"])
        const client = network.accept()
        yield* TestClock.adjust(0)
        assert.strictEqual(client.sentText, "hello\n")
      })
    ).pipe(Effect.provide(logger))
  })
})

describe("a transport that takes its time before it begins with TLS", () => {
  it.effect("is held back while the peer goes on, and gets all that came", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      let leftover: ReadonlyArray<Uint8Array> = []
      const transport = Object.assign(new FakeTransport(), {
        startTls: (_: unknown, ahead: ReadonlyArray<Uint8Array>) => {
          leftover = ahead
          return Effect.as(Deferred.await(go), new FakeTransport())
        }
      })
      const connection = yield* Connection.fromTransport(transport, { limit: 1000 })
      const upgrading = yield* start(connection.startTls({ side: "client" }))
      let pushed = 0
      for (; transport.count("pause") === 0; pushed += 500) {
        assert.isAtMost(pushed, 2000)
        transport.push(pattern(500))
      }
      assert.strictEqual(concat(leftover).length, pushed)
      yield* Deferred.succeed(go, undefined)
      yield* (yield* Fiber.join(upgrading)).writer.close
    })
  )
})
