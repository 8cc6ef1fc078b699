/** The cap on what lies unread over all connections together. */
import { assert, describe, it } from "@effect/vitest"
import { BufferBudget } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { pattern } from "../support/bytes.ts"
import { type Faked, fake } from "../support/fakeTransport.ts"
import { defectOf, start } from "../support/fibers.ts"

const paused = ({ transport }: Faked): boolean =>
  transport.calls.findLast((call) => call === "pause" || call === "resume") === "pause"

const budgeted = <A, E, R>(
  bytes: number,
  use: (budget: BufferBudget.BufferBudget) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(BufferBudget.make({ bytes }), (budget) =>
    Effect.provideService(use(budget), BufferBudget.BufferBudget, budget)
  )

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

  it.effect("must be above 0", () =>
    Effect.gen(function* () {
      const defect = yield* defectOf(BufferBudget.make({ bytes: 0 }))
      assert.include((defect as Error).message, "BufferBudget.make")
    })
  )
})
