/**
 * The bounds at the two ends of a connection's life, in virtual time: connecting, the TLS handshake, closing. What
 * their defaults are, what they fail with, and that nothing is left. (What they do on real sockets is in
 * test/connect and test/tls.)
 */
import { assert, describe, it } from "@effect/vitest"
import { Connection, openConnection, openUnixConnection, startServer, StreamError } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { certificates } from "../support/certificates.ts"
import { FakeTransport, fake } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { countingClock } from "../support/timeouts.ts"
import { eventually } from "../support/wait.ts"

const host = "127.0.0.1"

const isTimeout = (cause: unknown, kind: StreamError.StreamTimeout["kind"], millis: number): void => {
  assert(cause instanceof StreamError.StreamTimeout)
  assert.strictEqual(cause.kind, kind)
  assert.strictEqual(Duration.toMillis(cause.duration), millis)
}

describe("connect", () => {
  const opening = [
    [
      "TCP",
      (options: { readonly connectTimeout?: Duration.Input }) => openConnection({ host, port: 80, ...options }),
      `${host}:80`
    ],
    [
      "Unix",
      (options: { readonly connectTimeout?: Duration.Input }) => openUnixConnection("/nobody/answers", options),
      "/nobody/answers"
    ]
  ] as const
  for (const [kind, open, address] of opening) {
    for (const [options, millis] of [
      [{}, 30_000],
      [{ connectTimeout: "3 seconds" }, 3000]
    ] as const) {
      it.effect(
        `${kind}: ConnectFailed after ${millis} ms, with a StreamTimeout for each attempt that was cut off`,
        () =>
          Effect.gen(function* () {
            yield* startServer({ host, port: 80 }, () => Effect.void)
            const connecting = yield* start(Effect.flip(open(options)))
            yield* TestNetwork.settled
            yield* TestClock.adjust(millis - 1)
            assert.isTrue(waits(connecting))
            yield* TestClock.adjust(1)
            const failed = yield* Fiber.join(connecting)
            assert.strictEqual(failed.kind, "Timeout")
            assert.deepStrictEqual(
              failed.attempts.map((attempt) => [attempt.address, attempt.kind, attempt.code]),
              [[address, "Timeout", undefined]]
            )
            isTimeout(failed.attempts[0]!.cause, "Connect", millis)
          }).pipe(Effect.scoped, Effect.provide(TestNetwork.layerWith({ faults: [Faults.connectTimeout()] })))
      )
    }
  }

  it.effect("attempts that failed by themselves keep what they failed with", () =>
    Effect.gen(function* () {
      const connecting = yield* start(
        Effect.flip(openConnection({ host: "two.example", port: 80, connectTimeout: "1 second" }))
      )
      yield* TestNetwork.settled
      yield* TestClock.adjust("1 second")
      const [refused, silent] = (yield* Fiber.join(connecting)).attempts
      assert.strictEqual(refused!.kind, "Refused")
      assert.notInstanceOf(refused!.cause, StreamError.StreamTimeout)
      isTimeout(silent!.cause, "Connect", 1000)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        TestNetwork.layerWith({
          hosts: { "two.example": ["192.0.2.1", "192.0.2.2"] },
          addresses: { "192.0.2.1": "Refused", "192.0.2.2": "Timeout" }
        })
      )
    )
  )
})

describe("handshake", () => {
  for (const [options, millis] of [
    [{}, 60_000],
    [{ handshakeTimeout: "5 seconds" }, 5000]
  ] as const) {
    it.effect(`a client that says nothing is gone after ${millis} ms, and the server is told`, () =>
      Effect.gen(function* () {
        const failures: Array<StreamError.TlsFailed> = []
        const { counted, run } = yield* countingClock
        const server = yield* run(
          startServer(
            {
              host,
              port: 0,
              tls: { identity: certificates.server.identity, ...options },
              onHandshakeError: (error) => Effect.sync(() => void failures.push(error))
            },
            () => Effect.void
          )
        )
        const silent = yield* openConnection({ host, port: server.port })
        const closed = yield* start(silent.closed)
        // what TLS needs is loaded in real time
        yield* TestClock.withLive(eventually("the handshake is watched", () => counted.sleeping > 0))
        yield* TestNetwork.settled
        yield* TestClock.adjust(millis - 1)
        assert.deepStrictEqual(failures, [])
        assert.isTrue(waits(closed))
        yield* TestClock.adjust(1)
        yield* TestNetwork.settled
        yield* TestClock.withLive(eventually("the server is told", () => failures.length > 0))
        assert.strictEqual(failures[0]!.kind, "Timeout")
        isTimeout(failures[0]!.cause, "Handshake", millis)
        assert.notStrictEqual((yield* Fiber.join(closed))._tag, "Local")
        assert.strictEqual(yield* server.connections, 0)
      }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
    )
  }
})

describe("close", () => {
  for (const [options, millis] of [
    [{}, 10_000],
    [{ closeTimeout: "3 seconds" }, 3000],
    [{ closeTimeout: "30 days" }, 30 * 86_400_000]
  ] as const) {
    it.effect(`a peer that never reads holds it for ${millis} ms and no longer, whoever waits for it`, () =>
      Effect.gen(function* () {
        const { transport, writer } = yield* fake({ takes: false, ...options })
        yield* writer.write("unsent")
        const closings = yield* startAll(Array.from({ length: 10 }, () => writer.close))
        const flushing = yield* start(Effect.flip(writer.flush))
        yield* TestClock.adjust(millis - 1)
        assert.isTrue(closings.every(waits))
        // whoever comes later waits no longer for that
        closings.push(...(yield* startAll(Array.from({ length: 10 }, () => writer.close))))
        yield* TestClock.adjust(1)
        for (const closing of closings) {
          assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "TimedOut", unsent: 6 })
        }
        assert.strictEqual(transport.count("abort"), 1)
        const failed = yield* Fiber.join(flushing)
        assert.strictEqual(failed._tag, "ClosedStream")
      })
    )
  }

  it.effect("is the bound from its beginning on: no other timeout strikes any more", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({
        takes: false,
        closeTimeout: "1 hour",
        timeouts: { idle: "1 second", write: "1 second", total: "1 second" }
      })
      yield* writer.write("unsent")
      const closing = yield* start(writer.close)
      yield* TestClock.adjust("59 minutes")
      assert.isTrue(waits(closing))
      transport.drain()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
    })
  )

  it.effect("goes by the clock of the scope that closes it, too", () =>
    Effect.gen(function* () {
      const transport = new FakeTransport(false)
      const ending = yield* start(
        Effect.scoped(
          Effect.flatMap(Connection.fromTransport(transport, { closeTimeout: "5 seconds" }), ({ writer }) =>
            writer.write("unsent")
          )
        )
      )
      yield* TestClock.adjust("4999 millis")
      assert.isTrue(waits(ending))
      yield* TestClock.adjust("1 milli")
      assert.isFalse(waits(ending))
      assert.strictEqual(transport.calls.at(-1), "abort")
    })
  )
})
