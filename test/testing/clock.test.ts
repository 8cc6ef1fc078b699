/** TestNetwork under a TestClock: one adjustment carries everything through, however often programs pause on the way. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Connection, openConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as fc from "fast-check"
import { vi } from "vitest"
import { pattern, text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { defectOf, startUnderClock as start, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"

const { identity } = certificates.server

interface Round {
  readonly clientPauses: number
  readonly request: number
  readonly serverPauses: number
  readonly answer: number
  readonly drains: boolean
}

/** A client and a server that talk in turns, each pausing before it writes; answers when the client was done. */
const conversation = (rounds: ReadonlyArray<Round>) =>
  Effect.gen(function* () {
    yield* startServer({ port: 80, closeTimeout: "1 day", gracePeriod: 0 }, ({ reader, writer }) =>
      Effect.forEach(
        rounds,
        Effect.fnUntraced(function* ({ answer, request, serverPauses }) {
          yield* reader.readExactly(request)
          yield* Effect.sleep(serverPauses)
          yield* writer.write(pattern(answer))
        })
      )
    )
    const { reader, writer } = yield* openConnection({ port: 80, connectTimeout: "1 day" })
    for (const { answer, clientPauses, drains, request } of rounds) {
      yield* Effect.sleep(clientPauses)
      yield* writer.write(pattern(request))
      if (drains) yield* Effect.andThen(writer.drain, writer.flush)
      yield* reader.readExactly(answer)
    }
    // the server closes behind its last answer
    assert.lengthOf(yield* reader.read(1), 0)
    return yield* Effect.clockWith((clock) => clock.currentTimeMillis)
  })

const minuteEach = (count: number): ReadonlyArray<Round> =>
  Array.from({ length: count }, () => ({
    clientPauses: 60_000,
    request: 10,
    serverPauses: 60_000,
    answer: 10,
    drains: false
  }))

describe("one adjustment of the clock", () => {
  for (const latency of [0, 1, 250]) {
    it.effect(`carries a conversation with pauses on both sides through, with a latency of ${latency} ms`, () =>
      Effect.gen(function* () {
        const talking = yield* start(conversation(minuteEach(10)))
        yield* TestNetwork.settled
        // there and back to connect, and for each of ten rounds
        const takes = 10 * 2 * 60_000 + 11 * 2 * latency
        yield* TestClock.adjust(takes - 1)
        assert.isTrue(waits(talking))
        yield* TestClock.adjust(1)
        assert.isFalse(waits(talking))
        assert.strictEqual(yield* Fiber.join(talking), takes)
      }).pipe(
        TestNetwork.explain,
        Effect.scoped,
        Effect.provide(TestNetwork.layerWith({ fromClient: { latency }, fromServer: { latency } }))
      )
    )
  }

  const latency = 1000
  for (const timeouts of [
    { read: latency },
    { idle: latency },
    { total: latency },
    { minRate: { bytes: 60_000, per: latency } }
  ]) {
    it.effect(`what arrives at the very moment of a deadline is in time: ${JSON.stringify(timeouts)}`, () =>
      Effect.gen(function* () {
        yield* startServer({ port: 80, gracePeriod: 0 }, ({ reader, writer }) =>
          Effect.andThen(writer.write("x"), Effect.andThen(reader.readLine, writer.write(pattern(59_999))))
        )
        const connecting = yield* start(openConnection({ port: 80, timeouts }))
        yield* TestNetwork.settled
        yield* TestClock.adjust(latency)
        const { reader, writer } = yield* Fiber.join(connecting)
        const reading = yield* start(reader.readExactly(60_000))
        yield* writer.write("?\n")
        yield* TestNetwork.settled
        yield* TestClock.adjust(latency)
        assert.isFalse(waits(reading))
        assert.strictEqual((yield* Fiber.join(reading)).length, 60_000)
      }).pipe(
        TestNetwork.explain,
        Effect.scoped,
        Effect.provide(
          TestNetwork.layerWith({ fromServer: { latency, chunking: { random: { most: 20_000 } } }, fromClient: {} })
        )
      )
    )
  }

  const slow = TestNetwork.layerWith({ fromServer: { latency }, fromClient: { latency } })

  it.effect("what arrives at the very moment of a deadline is in time: connecting", () =>
    Effect.gen(function* () {
      yield* startServer({ port: 80, gracePeriod: 0 }, () => Effect.never)
      const connecting = yield* start(Effect.scoped(openConnection({ port: 80, connectTimeout: 2 * latency })))
      yield* TestNetwork.settled
      yield* TestClock.adjust(2 * latency)
      yield* Fiber.join(connecting)
    }).pipe(TestNetwork.explain, Effect.scoped, Effect.provide(slow))
  )

  it.effect("what arrives at the very moment of a deadline is in time: a handshake", () =>
    Effect.gen(function* () {
      yield* startServer({ port: 80, gracePeriod: 0, tls: { identity } }, () => Effect.never)
      const tls = { ca: authority.cert, serverName: "localhost", handshakeTimeout: 2 * latency }
      const connecting = yield* start(Effect.scoped(openConnection({ port: 80, tls })))
      // to connect, and for the handshake
      for (let i = 0; i < 2; i++) {
        yield* TestNetwork.settled
        yield* TestClock.adjust(2 * latency - 1)
        yield* TestNetwork.settled
        assert.isTrue(waits(connecting))
        yield* TestClock.adjust(1)
      }
      yield* Fiber.join(connecting)
    }).pipe(TestNetwork.explain, Effect.scoped, Effect.provide(slow))
  )

  it.effect("what arrives at the very moment of a deadline is in time: what lets the peer read, and us close", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* startServer({ port: 80, gracePeriod: 0 }, ({ reader }) =>
        Effect.gen(function* () {
          if (text(yield* reader.read(1)) === "!") return yield* Deferred.succeed(gate, undefined)
          yield* Deferred.await(gate)
          return yield* reader.readAll({ maxBytes: "unbounded" })
        })
      )
      const connecting = yield* start(
        Effect.all([openConnection({ port: 80, closeTimeout: 2 * latency }), openConnection({ port: 80 })])
      )
      // one after the other
      for (let i = 0; i < 2; i++) {
        yield* TestNetwork.settled
        yield* TestClock.adjust(2 * latency)
      }
      const [large, small] = yield* Fiber.join(connecting)
      large.writer.writeUnsafe(pattern(600_000))
      const closing = yield* start(large.writer.close)
      yield* TestNetwork.settled
      yield* TestClock.adjust(latency)
      yield* small.writer.write("!")
      yield* TestNetwork.settled
      yield* TestClock.adjust(latency - 1)
      assert.isTrue(waits(closing))
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
    }).pipe(
      TestNetwork.explain,
      Effect.scoped,
      Effect.provide(TestNetwork.layerWith({ fromServer: { latency }, fromClient: { latency, capacity: 300_000 } }))
    )
  )

  it.effect("what arrives at the very moment of a deadline is in time: the last word for a handler", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ port: 80 }, ({ reader }) => reader.readLine)
      const connecting = yield* start(openConnection({ port: 80 }))
      yield* TestNetwork.settled
      yield* TestClock.adjust(2 * latency)
      const { writer } = yield* Fiber.join(connecting)
      const stopping = yield* start(server.shutdown({ gracePeriod: latency }))
      yield* writer.write("bye\n")
      yield* TestNetwork.settled
      yield* TestClock.adjust(latency)
      assert.deepStrictEqual(yield* Fiber.join(stopping), { completed: 1, aborted: 0 })
    }).pipe(TestNetwork.explain, Effect.scoped, Effect.provide(slow))
  )

  it.effect("bounds strike as well once the network is gone", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const network = yield* Scope.provide(Layer.build(TestNetwork.layer), scope)
      const { reader, writer } = yield* Effect.gen(function* () {
        yield* startServer({ port: 80, gracePeriod: 0 }, () => Effect.never)
        return yield* openConnection({ port: 80, closeTimeout: 1000, timeouts: { read: 1000 } })
      }).pipe(Effect.provideContext(network))
      yield* Scope.close(scope, Exit.void)
      const reading = yield* start(Effect.flip(reader.readLine))
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* Fiber.join(reading))._tag, "StreamTimeout")
      writer.writeUnsafe(pattern(1_000_000))
      const closing = yield* start(writer.close)
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* Fiber.join(closing))._tag, "TimedOut")
    }).pipe(Effect.scoped)
  )

  it.effect("no further than it says", () =>
    Effect.gen(function* () {
      const talking = yield* start(conversation(minuteEach(10)))
      yield* TestNetwork.settled
      for (let minute = 1; minute <= 20; minute++) {
        assert.isTrue(waits(talking))
        yield* TestClock.adjust("1 minute")
        const last = (yield* TestNetwork.events).findLast(({ kind }) => kind === "data")!
        // the one who has paused for a minute has written
        assert.deepInclude(last, { at: minute * 60_000, from: minute % 2 === 1 ? "client" : "server" })
      }
      assert.isFalse(waits(talking))
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.effect("carries a pair through as well, in lock-step too", () =>
    Effect.gen(function* () {
      for (const make of [TestNetwork.pair, TestNetwork.lockstep]) {
        const { left, right } = yield* make()
        const echo = Effect.gen(function* () {
          while (true) {
            const line = yield* right.reader.readLine
            yield* Effect.sleep("1 second")
            yield* right.writer.write(line)
          }
        })
        yield* start(echo)
        const talking = yield* start(
          Effect.gen(function* () {
            for (let i = 0; i < 20; i++) {
              yield* Effect.sleep("1 second")
              yield* left.writer.write(`${i}\n`)
              yield* left.reader.readLine
            }
          })
        )
        yield* TestClock.adjust("40 seconds")
        assert.isFalse(waits(talking))
      }
    })
  )

  it.effect("is not ahead of writers who have sent as much as one turn may, and wait for the next", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ fromClient: { capacity: 100_000_000, latency: "1 minute" } })
      const chunk = pattern(1_100_000)
      const times: Array<number> = []
      const writing = yield* start(
        Effect.gen(function* () {
          for (let i = 0; i < 3; i++) {
            yield* Effect.sleep("1 second")
            // in line, each of them longer than a turn
            const line = Array.from({ length: 10 }, () => left.writer.write(chunk))
            yield* Effect.andThen(Effect.all(line, { concurrency: "unbounded" }), left.writer.drain)
            times.push(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
          }
        })
      )
      yield* TestClock.adjust("1 hour")
      assert.isFalse(waits(writing))
      assert.deepStrictEqual(times, [1000, 2000, 3000])
      assert.strictEqual((yield* right.reader.readExactly(30 * chunk.length)).length, 30 * chunk.length)
    })
  )

  it.effect("or many, or none: it is the same story, to the last line", () =>
    Effect.gen(function* () {
      const under = (adjustments: ReadonlyArray<number>, rounds: ReadonlyArray<Round>, options: TestNetwork.Options) =>
        Effect.gen(function* () {
          const began = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
          const talking = yield* start(conversation(rounds))
          yield* TestNetwork.settled
          for (const millis of adjustments) yield* TestClock.adjust(millis)
          assert.isFalse(waits(talking))
          return { took: (yield* Fiber.join(talking)) - began, timeline: yield* TestNetwork.timeline }
        }).pipe(TestNetwork.explain, Effect.scoped, Effect.provide(TestNetwork.layerWith(options)))
      const millis = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 10_000 }))
      const size = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 100_000 }))
      const path = fc.record<TestNetwork.Path>({
        latency: millis,
        bandwidth: fc.constantFrom(undefined, 1000),
        chunking: fc.constantFrom("asIs", "halves", "random"),
        capacity: fc.constantFrom(undefined, 5000)
      })
      yield* forAll(
        fc.record({
          rounds: fc.array(
            fc.record<Round>({
              clientPauses: millis,
              request: size,
              serverPauses: millis,
              answer: size,
              drains: fc.boolean()
            }),
            { maxLength: 5 }
          ),
          options: fc.record<TestNetwork.Options>({
            seed: fc.integer(),
            fromClient: path,
            fromServer: path,
            faults: fc.array(
              fc.record({ after: size, millis }).map((stall) => Faults.stall({ from: "client", ...stall })),
              { maxLength: 2 }
            ) as fc.Arbitrary<Faults.Script>
          })
        }),
        ({ options, rounds }) =>
          Effect.gen(function* () {
            const simulated = yield* TestNetwork.simulate(
              Effect.gen(function* () {
                const took = yield* conversation(rounds)
                return { took, timeline: yield* TestNetwork.timeline }
              }),
              options
            )
            assert.deepStrictEqual(yield* under([simulated.took + 1], rounds, options), simulated)
            const inPieces = [...Array.from({ length: 20 }, () => Math.ceil(simulated.took / 20)), 1]
            assert.deepStrictEqual(yield* under(inPieces, rounds, options), simulated)
          }),
        { numRuns: 50 }
      )
    })
  )
})

describe("settled", () => {
  it.effect("dies where somebody goes on and on, and not where everybody waits", () =>
    Effect.gen(function* () {
      // a tenth of a second passes whenever somebody looks at the time
      let now = 0
      const looking = vi.spyOn(Date, "now").mockImplementation(() => (now += 100))
      yield* Effect.addFinalizer(() => Effect.sync(() => looking.mockRestore()))
      const echo = ({ reader, writer }: Connection.Connection) =>
        Effect.forever(Effect.flatMap(reader.read(10), (bytes) => writer.write(bytes)))
      yield* startServer({ port: 80, gracePeriod: 0 }, echo)
      const connection = yield* openConnection({ port: 80 })
      yield* start(echo(connection))
      yield* TestNetwork.settled
      yield* connection.writer.write("over and over")
      assert.include(String(yield* defectOf(TestNetwork.settled)), "has not come to rest for 10 seconds")
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )
})
