/** Interrupting a write, a drain, a flush or a writeEof that waits: what was accepted stays, what was not leaves nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scheduler } from "effect"
import * as fc from "fast-check"
import { fake } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { Restless } from "../support/yieldingSchedulers.ts"
import { turns } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

const narrow = { takes: false, highWaterMark: 10, lowWaterMark: 0 } as const

describe("interruption", () => {
  for (const [name, write] of [
    ["write", (writer, text) => writer.write(text)],
    ["writeAll", (writer, text) => writer.writeAll([...text])]
  ] as ReadonlyArray<
    readonly [
      string,
      (
        writer: {
          write: (text: string) => Effect.Effect<void, unknown>
          writeAll: (parts: Iterable<string>) => Effect.Effect<void, unknown>
        },
        text: string
      ) => Effect.Effect<void, unknown>
    ]
  >) {
    it.effect(`${name}: one that waits is not accepted, in no part, and leaves nothing behind`, () =>
      Effect.gen(function* () {
        const { connection, transport, writer } = yield* fake(narrow)
        yield* writer.write("before the wait;")
        const waiter = yield* start(write(writer, "interrupted;"))
        assert.isTrue(waits(waiter))
        assert.strictEqual(waiting(connection).writers, 1)
        yield* Fiber.interrupt(waiter)
        assert.deepStrictEqual(waiting(connection), nobody)
        assert.strictEqual(yield* writer.buffered, "before the wait;".length)
        transport.drainAll()
        yield* turns()
        yield* write(writer, "after it;")
        yield* turns(1)
        transport.drainAll()
        assert.strictEqual(transport.sentText, "before the wait;after it;")
      })
    )

    it.effect(`${name}: the order of those that go on waiting is kept`, () =>
      Effect.gen(function* () {
        const { connection, transport, writer } = yield* fake(narrow)
        yield* writer.write("eleven bytes")
        const waiters = yield* startAll(["a", "b", "c", "d", "e"].map((text) => write(writer, text)))
        yield* Fiber.interrupt(waiters[0]!)
        yield* Fiber.interrupt(waiters[3]!)
        assert.strictEqual(waiting(connection).writers, 3)
        transport.drain()
        yield* Fiber.joinAll([waiters[1]!, waiters[2]!, waiters[4]!])
        transport.drainAll()
        yield* turns(1)
        transport.drainAll()
        assert.strictEqual(transport.sentText, "eleven bytesbce")
        assert.deepStrictEqual(waiting(connection), nobody)
      })
    )
  }

  it.effect("write: a later write does not wait for one that was interrupted", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake(narrow)
      yield* writer.write("eleven bytes")
      const waiter = yield* start(writer.write("interrupted"))
      yield* Fiber.interrupt(waiter)
      transport.accept()
      transport.drain()
      const next = yield* start(writer.write("next"))
      assert.isFalse(waits(next))
    })
  )

  it.effect("write: one that was accepted is sent, whatever becomes of its fiber", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      const fiber = yield* start(Effect.andThen(writer.write("accepted"), Effect.never))
      yield* Fiber.interrupt(fiber)
      yield* turns(1)
      transport.drain()
      assert.strictEqual(transport.sentText, "accepted")
    })
  )

  it.effect("drain and flush: nothing is taken back, nobody else is disturbed, nothing is left behind", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake(narrow)
      yield* writer.write("eleven bytes")
      const waiters = yield* startAll([writer.drain, writer.flush, writer.drain, writer.flush])
      assert.strictEqual(waiting(connection).forProgress, 4)
      yield* Fiber.interrupt(waiters[0]!)
      yield* Fiber.interrupt(waiters[1]!)
      assert.strictEqual(waiting(connection).forProgress, 2)
      transport.drain()
      yield* Fiber.join(waiters[2]!)
      yield* Fiber.join(waiters[3]!)
      assert.strictEqual(transport.sentText, "eleven bytes")
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("flush: the bytes are on their way from the moment it is run", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("on their way")
      const flush = yield* start(writer.flush)
      yield* Fiber.interrupt(flush)
      assert.deepStrictEqual(transport.writesText, ["on their way"])
    })
  )

  it.effect("writeEof: the end is sent all the same, and writing is over", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake(narrow)
      yield* writer.write("eleven bytes")
      const eof = yield* start(writer.writeEof)
      assert.isTrue(waits(eof))
      yield* Fiber.interrupt(eof)
      assert.deepStrictEqual(waiting(connection), nobody)
      assert.deepInclude(yield* Effect.flip(writer.write("more")), { _tag: "ClosedStream", reason: "Eof" })
      assert.strictEqual(transport.count("end"), 0)
      transport.drain()
      assert.strictEqual(transport.count("end"), 1)
      yield* writer.writeEof
      assert.strictEqual(transport.count("end"), 1)
    })
  )

  it.effect("closed: waiting for it in a race leaves nothing behind", () =>
    Effect.gen(function* () {
      const { connection } = yield* fake()
      for (let i = 0; i < 10; i++) {
        yield* Effect.raceFirst(Effect.yieldNow, connection.closed)
      }
      const waiters = yield* startAll([connection.closed, connection.closed])
      assert.strictEqual(waiting(connection).closing, 2)
      yield* Fiber.interruptAll(waiters)
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("a wait that is raced against many times leaves nothing behind", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake(narrow)
      yield* writer.write("eleven bytes")
      for (let i = 0; i < 100; i++) {
        yield* Effect.raceFirst(writer.drain, Effect.yieldNow)
        yield* Effect.raceFirst(writer.flush, Effect.yieldNow)
        yield* Effect.raceFirst(writer.write("never"), Effect.yieldNow)
      }
      assert.deepStrictEqual(waiting(connection), nobody)
      transport.drainAll()
      yield* turns(1)
      assert.strictEqual(transport.sentText, "eleven bytes")
    })
  )

  for (const restless of [false, true]) {
    it.effect(
      restless
        ? "what is on the wire is what succeeded, wherever an interruption finds a fiber"
        : "what is on the wire is what succeeded, in the order of arrival",
      () =>
        forAll(
          fc.record({
            sizes: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }),
            interrupts: fc.array(fc.record({ who: fc.nat(19), turns: fc.nat(3), moves: fc.boolean() }), {
              maxLength: 20
            }),
            takes: fc.array(fc.boolean(), { minLength: 1, maxLength: 10 }),
            lowWaterMark: fc.constantFrom(0, 5, 10),
            seed: fc.integer()
          }),
          ({ interrupts, lowWaterMark, seed, sizes, takes }) =>
            Effect.gen(function* () {
              let asked = 0
              let settled = false
              const { connection, transport, writer } = yield* fake({
                highWaterMark: 10,
                lowWaterMark,
                takes: () => settled || takes[asked++ % takes.length]!
              })
              const frames = sizes.map((size, i) => `${String.fromCharCode(65 + i)}${".".repeat(size - 1)}`)
              const writes = startAll(frames.map((frame) => writer.write(frame)))
              const fibers = yield* restless
                ? Effect.provideService(writes, Scheduler.Scheduler, new Restless(seed))
                : writes
              for (const { moves, turns: wait, who } of interrupts) {
                yield* turns(wait)
                if (moves && transport.holding) transport.drain()
                fibers[who % fibers.length]!.interruptUnsafe()
                assert.isAtMost(yield* writer.buffered, 10 + Math.max(...sizes))
              }
              settled = true
              if (transport.holding) transport.drain()
              const exits: ReadonlyArray<Exit.Exit<void, unknown>> = yield* Fiber.awaitAll(fibers)
              yield* turns()
              const accepted = frames.filter((_, i) => Exit.isSuccess(exits[i]!))
              const arrived: ReadonlyArray<string> = transport.sentText.match(/[A-Z]\.*/g) ?? []
              assert.sameMembers([...arrived], accepted)
              if (!restless) assert.deepStrictEqual(arrived, accepted)
              for (const exit of exits) {
                if (Exit.isFailure(exit)) assert.isTrue(Cause.hasInterruptsOnly(exit.cause))
              }
              assert.deepStrictEqual(waiting(connection), nobody)
            }),
          { numRuns: 150 }
        )
    )
  }
})
