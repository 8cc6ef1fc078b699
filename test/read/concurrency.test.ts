/** Section 7 of the asyncio semantics, row by row: who reads at the same time, and what an interruption leaves behind. */
import { assert, describe, it } from "@effect/vitest"
import { StreamReader } from "effect-byte-streams"
import { Deferred, Effect, Fiber, Option, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { bytes, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { flowTold, busy, handFed, held, outcome, value } from "../support/handFed.ts"
import { effectOf, type Request } from "../support/readRequests.ts"
import { reads } from "../support/reads.ts"
import { turns } from "../support/wait.ts"

describe("section 7: concurrency and cancellation", () => {
  for (const read of reads) {
    it.effect(
      `row 7.1: a second read is refused while ${read.title} waits, whatever there is; the first is unharmed (rank 17)`,
      () =>
        Effect.gen(function* () {
          const { end, feed, reader } = yield* handFed()
          const first = yield* start(effectOf(reader, read.request))
          feed(read.tooLittle)
          assert.isTrue(waits(first))
          for (const second of reads) {
            assert.deepStrictEqual(
              yield* outcome(effectOf(reader, second.request)),
              busy(second.request.name, read.request.name)
            )
          }
          feed(read.missing)
          if (read.waitsForEnd) end()
          assert.deepStrictEqual(yield* outcome(Fiber.join(first)), read.outcome)
          assert.strictEqual(yield* held(reader), read.leaves)
        })
    )
  }

  const withoutWait: ReadonlyArray<Request> = [
    { name: "read", count: 0 },
    { name: "readInto", count: 0 },
    { name: "readOption", count: 0 },
    { name: "readExactly", count: 0 },
    { name: "readExactlyOption", count: 0 },
    { name: "peek", count: 0 },
    { name: "skip", count: 0 },
    { name: "unread", bytes: "x" }
  ]
  for (const request of withoutWait) {
    const shown = "count" in request ? `${request.name}(0)` : request.name
    it.effect(`row 7.1: ${shown} is refused while a read waits, though it would not have to wait itself`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        const first = yield* start(reader.readExactly(3))
        feed("ab")
        assert.deepStrictEqual(yield* outcome(effectOf(reader, request)), busy(request.name, "readExactly"))
        feed("c")
        assert.strictEqual(text(yield* Fiber.join(first)), "abc")
      })
    )
  }

  it.effect("row 7.1: asking what is buffered, and for the end, disturbs nobody", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const first = yield* start(reader.readExactly(3))
      feed("ab")
      assert.strictEqual(yield* reader.buffered, 2)
      assert.isFalse(yield* reader.atEof)
      feed("c")
      assert.strictEqual(text(yield* Fiber.join(first)), "abc")
    })
  )

  it.effect("row 7.1: a reader is free again once the first read is over, by success, failure or interruption", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const succeeds = yield* start(reader.readExactly(1))
      feed("ab")
      yield* Fiber.join(succeeds)
      assert.strictEqual(text(yield* reader.read(10)), "b")
      const interrupted = yield* start(reader.readExactly(3))
      feed("c")
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(text(yield* reader.read(10)), "c")
      const fails = yield* start(reader.readExactly(3))
      end()
      yield* Effect.flip(Fiber.join(fails))
      assert.deepStrictEqual(yield* outcome(reader.read(1)), value(""))
    })
  )

  it.effect("row 7.2: no byte is stolen from a read that waits for more", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("abc")
      const first = yield* start(reader.readExactly(4))
      assert.deepStrictEqual(yield* outcome(reader.read(2)), busy("read", "readExactly"))
      feed("defg")
      assert.strictEqual(text(yield* Fiber.join(first)), "abcd")
      assert.strictEqual(yield* held(reader), "efg")
    })
  )

  it.effect("row 7.2: of many reads begun at once one gets the bytes, all others are refused", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const fibers = yield* Effect.forEach(Array.from({ length: 50 }), () => start(reader.readLine))
      feed("one\n")
      const outcomes = yield* Effect.forEach(fibers, (fiber) => outcome(Fiber.join(fiber)))
      assert.deepStrictEqual(outcomes[0], value("one\n"))
      for (const other of outcomes.slice(1)) assert.deepStrictEqual(other, busy("readLine", "readLine"))
    })
  )

  it.effect("row 7.3: a read begun in the very step in which another ended is woken by the next bytes", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const seen: Array<string> = []
      const next = Effect.flatMap(reader.read(10), (bytes) => Effect.sync(() => seen.push(text(bytes))))
      const first = yield* start(next)
      feed("one")
      const second = yield* start(next)
      assert.isTrue(waits(second))
      feed("two")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      assert.deepStrictEqual(seen, ["one", "two"])
    })
  )

  it.effect("row 7.3: a read begun while an interrupted one cleans up is not forgotten", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 4 })
      // a fiber that lets others run every few steps, also while it cleans up
      const first = yield* start(
        Effect.provideService(reader.readLineWith({ onOverrun: "discard" }), Scheduler.MaxOpsBeforeYield, 5)
      )
      yield* turns()
      for (let i = 0; i < 3; i++) {
        feed("much too long\n")
        yield* turns()
      }
      first.interruptUnsafe()
      let second = yield* start(reader.readExactly(2))
      for (let tries = 0; !waits(second) && tries < 100; tries++) {
        yield* Effect.yieldNow
        second = yield* start(reader.readExactly(2))
      }
      assert.isTrue(waits(second))
      yield* turns()
      assert.isFalse(waits(first))
      const third = yield* start(outcome(reader.read(1)))
      assert.isFalse(waits(third))
      assert.deepStrictEqual(yield* Fiber.join(third), busy("read", "readExactly"))
      feed("ab")
      yield* turns()
      assert.isFalse(waits(second))
      assert.strictEqual(text(yield* Fiber.join(second)), "ab")
    })
  )

  for (const read of reads.filter((read) => read.title !== "discardUntil")) {
    it.effect(`row 7.4: an interrupted ${read.title} leaves every byte, and the next read sees them (rank 5)`, () =>
      Effect.gen(function* () {
        const { end, feed, reader } = yield* handFed()
        for (let i = 0; i < 3; i++) {
          const waiting = yield* start(effectOf(reader, read.request))
          if (i === 1) feed(read.tooLittle)
          assert.isTrue(waits(waiting))
          yield* Fiber.interrupt(waiting)
          assert.strictEqual(yield* held(reader), i === 0 ? "" : read.tooLittle)
        }
        feed(read.missing)
        if (read.waitsForEnd) end()
        assert.deepStrictEqual(yield* outcome(effectOf(reader, read.request)), read.outcome)
      })
    )
  }

  it.effect(
    "row 7.4: an interrupted discardUntil has dropped some of what comes before the separator, and nothing else",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        for (let i = 0; i < 3; i++) {
          const waiting = yield* start(reader.discardUntil("\r\n"))
          feed("junk\r")
          assert.isTrue(waits(waiting))
          yield* Fiber.interrupt(waiting)
          assert.match("junk\rjunk\rjunk\r", new RegExp(`${yield* held(reader)}$`))
        }
        feed("\nrest")
        yield* reader.discardUntil("\r\n")
        assert.strictEqual(yield* held(reader), "rest")
      })
  )

  for (const read of reads.filter((read) => read.title !== "discardUntil")) {
    it.effect(
      `row 7.4: an interrupted ${read.title} loses nothing wherever the scheduler lets another fiber in (rank 5)`,
      () =>
        Effect.gen(function* () {
          let interrupted = 0
          for (const maxOps of [16, 32, 33]) {
            for (let steps = 0; steps < maxOps; steps++) {
              const { end, feed, reader } = yield* handFed()
              feed("abcd\n")
              if (read.waitsForEnd) end()
              let got = false
              const fiber = yield* start(
                Effect.gen(function* () {
                  for (let i = 0; i < steps; i++) yield* Effect.suspend(() => Effect.void)
                  yield* Effect.map(effectOf(reader, read.request), () => {
                    got = true
                  })
                  for (let i = 0; i < 100; i++) yield* Effect.suspend(() => Effect.void)
                }).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, maxOps))
              )
              // it runs until it first has to let others run, wherever that is
              if (waits(fiber)) interrupted++
              yield* Fiber.interrupt(fiber)
              assert.strictEqual(yield* held(reader), got ? read.leaves : "abcd\n", `${steps} steps of ${maxOps}`)
            }
          }
          assert.isAbove(interrupted, 50)
        })
    )
  }

  it.effect("row 7.4: bytes that arrive as the reading fiber is interrupted are with one of the two", () =>
    Effect.gen(function* () {
      for (const first of ["feed", "interrupt"]) {
        const { feed, reader } = yield* handFed()
        let got = ""
        const waiting = yield* start(
          Effect.map(reader.read(10), (bytes) => {
            got = text(bytes)
          })
        )
        if (first === "feed") feed("one")
        waiting.interruptUnsafe()
        if (first === "interrupt") feed("one")
        yield* Fiber.await(waiting)
        assert.strictEqual(got + (yield* held(reader)), "one")
      }
    })
  )

  for (const read of reads.filter((read) => !read.waitsForEnd && read.leaves === "")) {
    it.effect(
      `row 7.4: a source that is told to go on interrupts the very ${read.title} that made room: nothing is lost`,
      () =>
        Effect.gen(function* () {
          let told = 0
          const { feedUnsafe, reader } = yield* StreamReader.make({
            limit: 4,
            onResume: () => {
              told++
              reading.interruptUnsafe()
            }
          })
          feedUnsafe(bytes("abcd\n----"))
          const begin = yield* Deferred.make<void>()
          let got = false
          const reading: Fiber.Fiber<void, unknown> = yield* start(
            Effect.andThen(
              Deferred.await(begin),
              Effect.map(effectOf(reader, read.request), () => {
                got = true
              })
            )
          )
          yield* Deferred.succeed(begin, undefined)
          yield* Fiber.await(reading)
          yield* flowTold
          assert.isAbove(told, 0)
          assert.strictEqual(yield* held(reader), !got ? "abcd\n----" : read.title === "pull" ? "" : "----")
        })
    )
  }

  it.effect("row 7.4: a timeout around a read loses nothing, time after time (rank 5)", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      for (const byte of bytes("abc")) {
        const waiting = yield* start(Effect.timeoutOption(reader.readLine, "1 second"))
        feed(new Uint8Array([byte]))
        yield* TestClock.adjust("1 second")
        assert.isTrue(Option.isNone(yield* Fiber.join(waiting)))
      }
      feed("\n")
      assert.strictEqual(text(yield* reader.readLine), "abc\n")
    })
  )
})
