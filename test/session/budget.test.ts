/** The cap on what lies unread over all connections together. */
import { assert, describe, it } from "@effect/vitest"
import { BufferBudget, type Connection, NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { pattern, text } from "../support/bytes.ts"
import { type Faked, fake } from "../support/fakeTransport.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { flowTold } from "../support/handFed.ts"
import { largestRead } from "../support/largestRead.ts"
import { forAll } from "../support/property.ts"
import { connectRaw } from "../support/rawPeer.ts"
import { eventuallyEffect } from "../support/wait.ts"

const paused = ({ transport }: Faked): boolean =>
  transport.calls.findLast((call) => call === "pause" || call === "resume") === "pause"

const budgeted = <A, E, R>(
  bytes: number,
  use: (budget: BufferBudget.BufferBudget) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(BufferBudget.make({ bytes }), (budget) =>
    Effect.provideService(use(budget), BufferBudget.BufferBudget, budget)
  )

const waitsForNothing: Fiber.Fiber<unknown, unknown> = Effect.runFork(Effect.void)

describe("budget", () => {
  it.effect("holds back those that have more than their share, and lets the small ones go on", () =>
    budgeted(1000, (budget) =>
      Effect.gen(function* () {
        const large = yield* fake()
        const small = yield* fake()
        large.transport.push(pattern(900))
        assert.isFalse(paused(large))
        small.transport.push(pattern(50))
        large.transport.push(pattern(100))
        assert.strictEqual(yield* budget.used, 1050)
        assert.isTrue(paused(large))
        small.transport.push(pattern(50))
        assert.isFalse(paused(small))
      })
    )
  )

  it.effect("lets them go on in order, once there is room", () =>
    budgeted(1000, (budget) =>
      Effect.gen(function* () {
        const connections = [yield* fake(), yield* fake(), yield* fake()] as const
        for (const { transport } of connections) transport.push(pattern(400))
        for (const { transport } of connections) transport.push(pattern(1))
        assert.deepStrictEqual(connections.map(paused), [true, true, true])
        yield* connections[0].reader.readExactly(401)
        yield* flowTold
        assert.strictEqual(yield* budget.used, 802)
        assert.deepStrictEqual(connections.map(paused), [false, false, false])
      })
    )
  )

  it.effect("a read that waits is never held back: the program could not make room", () =>
    budgeted(100, () =>
      Effect.gen(function* () {
        const { reader, transport } = yield* fake()
        const other = yield* fake()
        other.transport.push(pattern(200))
        const reading = yield* start(reader.readExactly(1000))
        for (let i = 0; i < 10; i++) transport.push(pattern(100))
        assert.strictEqual((yield* Fiber.join(reading)).length, 1000)
      })
    )
  )

  it.effect("gets back what a connection held when it ends, whichever way", () =>
    budgeted(1000, (budget) =>
      Effect.gen(function* () {
        const one = yield* fake()
        const two = yield* fake()
        one.transport.push(pattern(600))
        two.transport.push(pattern(600))
        assert.strictEqual(yield* budget.used, 1200)
        yield* one.writer.close
        assert.strictEqual(yield* budget.used, 600)
        yield* two.connection.abort
        assert.strictEqual(yield* budget.used, 0)
      })
    )
  )

  const timeouts: ReadonlyArray<readonly [string, Connection.Timeouts]> = [
    ["idle", { idle: "30 seconds" }],
    ["write", { write: "30 seconds" }],
    ["total", { total: "30 seconds" }]
  ]

  it.effect.each(timeouts)(
    "gets back what lies unread of a connection that %s has ended, whichever way it ends",
    ([, timeouts]) =>
      budgeted(1000, (budget) =>
        Effect.gen(function* () {
          const timedOut = Effect.gen(function* () {
            const faked = yield* fake({ takes: false, timeouts })
            yield* faked.writer.write("x")
            faked.transport.push(pattern(600))
            yield* TestClock.adjust("30 seconds")
            assert.strictEqual(faked.transport.count("abort"), 1)
            // what arrived in time can be read, and counts as long
            assert.strictEqual((yield* faked.reader.readExactly(100)).length, 100)
            assert.strictEqual(yield* budget.used, 500)
            return faked
          })
          const closed = yield* timedOut
          assert.strictEqual((yield* closed.writer.close)._tag, "TimedOut")
          assert.strictEqual(yield* budget.used, 0)
          assert.strictEqual((yield* Effect.flip(closed.reader.read(1)))._tag, "ClosedStream")
          const aborted = yield* timedOut
          yield* aborted.connection.abort
          assert.strictEqual(yield* budget.used, 0)
          assert.strictEqual((yield* aborted.writer.close)._tag, "TimedOut")
          yield* Effect.scoped(timedOut)
          assert.strictEqual(yield* budget.used, 0)
          yield* Effect.exit(Effect.scoped(Effect.andThen(timedOut, Effect.fail("the program"))))
          assert.strictEqual(yield* budget.used, 0)
        })
      )
  )

  it.effect("gets back what the handlers of a server have left unread that a timeout has ended", () =>
    budgeted(1_000_000, (budget) =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const exits = [Effect.void, Effect.fail("the program"), Effect.interrupt]
          for (const exit of exits) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const options = {
                  port: 7000,
                  timeouts: { idle: "1 second" },
                  onHandlerError: () => Effect.void
                } as const
                const server = yield* startServer(options, () => Effect.delay(exit, "2 seconds"))
                const { writer } = yield* openConnection({ port: 7000 })
                yield* writer.write(pattern(600))
                yield* Effect.sleep("1500 millis")
                assert.strictEqual(yield* budget.used, 600)
                yield* Effect.sleep("1 second")
                assert.strictEqual(yield* server.connections, 0)
                assert.strictEqual(yield* budget.used, 0)
              })
            )
          }
        })
      )
    )
  )

  it.effect("counts exactly what lies unread, through every kind of read", () =>
    budgeted(100_000, (budget) =>
      Effect.gen(function* () {
        const { reader, transport } = yield* fake()
        transport.push("line one\nline two\nand some more")
        const check = Effect.gen(function* () {
          assert.strictEqual(yield* budget.used, yield* reader.buffered)
        })
        yield* check
        yield* reader.readLine
        yield* check
        yield* reader.skip(3)
        yield* check
        yield* reader.unread(new Uint8Array(7))
        yield* check
        yield* reader.peek(4)
        yield* check
        yield* reader.pull
        yield* check
        assert.strictEqual(yield* budget.used, 0)
      })
    )
  )

  it.effect("is fair: whoever waits is never held back, whoever is held back has something to read, and it holds", () =>
    forAll(
      fc.record({
        limit: fc.integer({ min: 1, max: 5000 }),
        // how eager each program is to read: in so many of ten rounds, so many bytes
        readers: fc.array(
          fc.record({ eagerness: fc.integer({ min: 0, max: 10 }), bytes: fc.integer({ min: 1, max: 3000 }) }),
          { minLength: 1, maxLength: 30 }
        ),
        chunk: fc.integer({ min: 1, max: 2000 })
      }),
      ({ chunk, limit, readers }) =>
        budgeted(limit, (budget) =>
          Effect.gen(function* () {
            const connections = yield* Effect.forEach(readers, (reader) =>
              Effect.map(fake({ limit: 1000 }), (faked) => ({ ...faked, ...reader, got: 0, waiting: waitsForNothing }))
            )
            for (let round = 0; round < 60; round++) {
              for (const connection of connections) {
                const { bytes, eagerness, reader, transport } = connection
                // every client has more to send, and sends when it is let
                if (!paused(connection)) transport.push(pattern(chunk))
                if (!waits(connection.waiting) && (round * eagerness) % 10 < eagerness) {
                  connection.waiting = yield* start(
                    Effect.map(reader.read(bytes), ({ length }) => void (connection.got += length))
                  )
                  yield* flowTold
                }
              }
              let unread = 0
              for (const connection of connections) {
                const buffered = yield* connection.reader.buffered
                unread += buffered
                if (paused(connection)) {
                  assert.isFalse(waits(connection.waiting), "a read waits for a client that is held back")
                  assert.isAbove(buffered, 0, "held back for nothing")
                }
              }
              assert.strictEqual(yield* budget.used, unread)
              // beside the limit: the shares of the small ones, and a chunk that was in flight for each
              assert.isAtMost(unread, limit * 1.25 + connections.length * chunk)
            }
            for (const { eagerness, got } of connections) if (eagerness > 0) assert.isAbove(got, 0)
          })
        )
    )
  )

  it.live("one program that does not read takes nothing from those that do", () =>
    Effect.gen(function* () {
      const limit = 100_000
      const budget = yield* BufferBudget.make({ bytes: limit })
      let largest = 0
      yield* Effect.gen(function* () {
        const server = yield* startServer({ host: "127.0.0.1", port: 0, gracePeriod: 0 }, ({ reader, writer }) =>
          Effect.gen(function* () {
            if (text(yield* reader.readLine) === "do not read\n") return yield* Effect.never
            for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
              yield* writer.write(line)
              const used = yield* budget.used
              largest = Math.max(largest, used)
            }
          })
        )
        for (let i = 0; i < 5; i++) {
          const hog = yield* connectRaw(server.port)
          yield* hog.send("do not read\n")
          hog.socket.write(pattern(5_000_000))
        }
        yield* eventuallyEffect(
          "the budget is spent",
          Effect.map(budget.used, (used) => used > limit)
        )
        const line = "x".repeat(999) + "\n"
        const rounds = 150
        yield* Effect.forEach(
          Array.from({ length: 10 }),
          () =>
            Effect.gen(function* () {
              const client = yield* connectRaw(server.port)
              yield* client.send("read\n")
              for (let round = 1; round <= rounds; round++) {
                yield* client.send(line)
                yield* client.awaitBytes(round * line.length)
              }
            }),
          { concurrency: "unbounded" }
        )
      }).pipe(
        Effect.provideService(BufferBudget.BufferBudget, budget),
        Effect.provide(NodeNetwork.layer),
        Effect.scoped
      )
      // and what each read of the system brought
      assert.isAtMost(largest, limit * 1.25 + 15 * largestRead)
      assert.strictEqual(yield* budget.used, 0)
    })
  )

  it.effect("must be above 0", () =>
    Effect.gen(function* () {
      const defect = yield* defectOf(BufferBudget.make({ bytes: 0 }))
      assert.include((defect as Error).message, "BufferBudget.make")
    })
  )
})
