/**
 * How a read waits, under every scheduling that a program may choose: a fiber that Effect's own scheduler resumes runs in
 * that very call, one that another scheduler has a say in may be interrupted before it runs.
 */
import { assert, describe, it } from "@effect/vitest"
import { StreamReader } from "effect-byte-streams"
import { Cause, Effect, Exit, Fiber, Scheduler } from "effect"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { handFed, held, outcome, value } from "../support/handFed.ts"
import { effectOf, type Outcome } from "../support/readRequests.ts"
import { forAll } from "../support/property.ts"
import { reads } from "../support/reads.ts"
import { turns } from "../support/wait.ts"
import { Restless, YieldBefore } from "../support/yieldingSchedulers.ts"

type Chosen = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

// explicitly, for the clock of tests comes with a scheduler
const own: Chosen = (effect) =>
  Effect.suspend(() => Effect.provideService(effect, Scheduler.Scheduler, new Scheduler.MixedScheduler()))
const others: Chosen = (effect) =>
  Effect.suspend(() => Effect.provideService(effect, Scheduler.Scheduler, new YieldBefore(-1)))

const schedulings: ReadonlyArray<readonly [name: string, choose: Chosen]> = [
  ["Effect's own scheduler", own],
  ["a scheduler that never lets others run", Effect.provideService(Scheduler.PreventSchedulerYield, true)],
  ["turns of five steps", Effect.provideService(Scheduler.MaxOpsBeforeYield, 5)],
  [
    "a scheduler that lets others run by chance",
    (effect) => Effect.suspend(() => Effect.provideService(effect, Scheduler.Scheduler, new Restless(1)))
  ],
  ["a scheduler of one's own", others]
]

/** Until a fiber of any scheduling has come to where it waits. */
const settled = turns(20)

describe("a read that waits", () => {
  for (const [name, choose] of schedulings) {
    for (const read of reads) {
      it.effect(`${name}: ${read.title} answers what came at once, in two pieces, and byte by byte`, () =>
        Effect.gen(function* () {
          const line = read.tooLittle + read.missing
          for (const pieces of [[line], [read.tooLittle, read.missing], [...line]]) {
            // of whatever comes a single byte would do
            if (read.tooLittle === "" && pieces.length > 1) continue
            const { end, feed, reader } = yield* handFed()
            const fiber = yield* start(choose(effectOf(reader, read.request)))
            yield* settled
            assert.isTrue(waits(fiber))
            feed(...pieces)
            if (read.waitsForEnd) end()
            assert.deepStrictEqual(yield* outcome(Fiber.join(fiber)), read.outcome)
            assert.strictEqual(yield* held(reader), read.leaves)
          }
        })
      )

      it.effect(`${name}: ${read.title} that is interrupted leaves what came, and the reader to others`, () =>
        Effect.gen(function* () {
          const { end, feed, reader } = yield* handFed()
          const first = yield* start(choose(effectOf(reader, read.request)))
          yield* settled
          feed(read.tooLittle)
          yield* settled
          assert.isTrue(waits(first))
          yield* Fiber.interrupt(first)
          // what it drops it need not keep
          assert.strictEqual(yield* held(reader), read.request.name === "discardUntil" ? "" : read.tooLittle)
          const second = yield* start(choose(effectOf(reader, read.request)))
          yield* settled
          feed(read.missing)
          if (read.waitsForEnd) end()
          assert.deepStrictEqual(yield* outcome(Fiber.join(second)), read.outcome)
        })
      )
    }

    it.effect(`${name}: one that cannot be interrupted goes on to wait`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        const fiber = yield* start(choose(Effect.uninterruptible(reader.readLine)))
        yield* settled
        feed("on")
        const interruption = yield* start(Fiber.interrupt(fiber))
        yield* settled
        assert.isTrue(waits(fiber))
        assert.strictEqual(yield* reader.buffered, 2)
        feed("e\n")
        yield* Fiber.join(interruption)
        assert.strictEqual(yield* reader.buffered, 0)
      })
    )

    it.effect(`${name}: what follows it is for the next, in order`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        const fiber = yield* start(choose(Effect.all([reader.readExactly(2), reader.readLine, reader.read(9)])))
        for (const piece of ["a", "bc", "d\ne", "f"]) {
          yield* settled
          feed(piece)
        }
        assert.deepStrictEqual((yield* Fiber.join(fiber)).map(text), ["ab", "cd\n", "e"])
        assert.strictEqual(yield* held(reader), "f")
      })
    )
  }

  it.effect("a source that feeds while it is told to go on, as it must not, keeps no read waiting", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader }: { feedUnsafe: (bytes: Uint8Array) => boolean; reader: StreamReader.StreamReader } =
        yield* StreamReader.make({ limit: 2, onResume: () => void feedUnsafe(bytes("\n")) })
      feedUnsafe(bytes("abcde"))
      assert.deepStrictEqual(yield* outcome(reader.readLineWith({ limit: 9 })), value("abcde\n"))
    })
  )

  it.effect("a piece that is shorter than the separator and ends like it is no answer", () =>
    Effect.gen(function* () {
      for (const [separator, ...pieces] of [
        ["\r\n", "\n", "abc\r\n"],
        ["\r\n\r\n", "A\r\n", "B: c\r\n\r\n"],
        ["aba", "ba", "cab", "a"]
      ] as const) {
        const { feed, reader } = yield* handFed()
        const fiber = yield* start(own(reader.readUntil(separator)))
        feed(...pieces)
        assert.deepStrictEqual(yield* outcome(Fiber.join(fiber)), value(pieces.join("")))
      }
    })
  )

  it.effect("up to a separator it answers the same, whatever the pieces and the scheduler", () =>
    forAll(
      fc.record({
        separators: fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 3 }), {
          minLength: 1,
          maxLength: 2
        }),
        limit: fc.integer({ min: 1, max: 8 }),
        pieces: fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 5 }), {
          minLength: 1,
          maxLength: 8
        })
      }),
      ({ limit, pieces, separators }) =>
        Effect.gen(function* () {
          const separator = separators.map(bytes)
          const answers: Array<ReadonlyArray<Outcome>> = []
          for (const choose of [own, others]) {
            const { end, feed, reader } = yield* handFed()
            const fiber = yield* start(
              choose(Effect.forEach(pieces, () => outcome(reader.readUntil(separator, { limit }))))
            )
            feed(...pieces)
            end()
            answers.push(yield* Fiber.join(fiber))
          }
          assert.deepStrictEqual(answers[0], answers[1])
        }),
      { numRuns: 1000 }
    )
  )

  for (const [name, choose] of schedulings) {
    it.effect(`${name}: one that is given up with much buffered lets its fiber end before the source is stopped`, () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const { feedUnsafe, reader } = yield* StreamReader.make({
          limit: 10,
          onPause: () => {
            seen.push("pause")
            fiber.interruptUnsafe()
          }
        })
        const fiber: Fiber.Fiber<unknown, unknown> = yield* start(
          choose(
            reader.readExactly(100).pipe(
              Effect.onInterrupt(() =>
                Effect.andThen(
                  turns(),
                  Effect.sync(() => seen.push("finalizer"))
                )
              ),
              Effect.onExit(() => Effect.sync(() => seen.push("exit")))
            )
          )
        )
        yield* settled
        feedUnsafe(bytes("x".repeat(50)))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(seen, ["pause", "finalizer", "exit"])
        assert.strictEqual(yield* reader.buffered, 50)
      })
    )

    it.effect(`${name}: one that is given up ends with its finalizers run, also where the source fails to stop`, () =>
      Effect.gen(function* () {
        let finalized = false
        const { feedUnsafe, reader } = yield* StreamReader.make({
          limit: 10,
          onPause: () => {
            throw new Error("does not stop")
          }
        })
        const fiber = yield* start(
          choose(
            Effect.onInterrupt(reader.readExactly(100), () =>
              Effect.sync(() => {
                finalized = true
              })
            )
          )
        )
        yield* settled
        feedUnsafe(bytes("x".repeat(50)))
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(finalized)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) && Cause.hasDies(exit.cause))
        assert.strictEqual(yield* reader.buffered, 50)
      })
    )
  }
})
