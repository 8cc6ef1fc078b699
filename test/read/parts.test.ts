/** Parts of a reader: `StreamReader.take` and `StreamReader.limited`. */
import { assert, describe, it } from "@effect/vitest"
import { BufferBudget, Frame, Observer, StreamError, StreamReader } from "effect-byte-streams"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { chunkings } from "../support/chunkings.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { fake, FakeTransport } from "../support/fakeTransport.ts"
import { flowTold, handFed, held, outcome } from "../support/handFed.ts"
import { forAll } from "../support/property.ts"
import { allOrNothing, letterText, type Outcome, perform, requests } from "../support/readRequests.ts"
import { timeoutOf } from "../support/timeouts.ts"

/** What they return depends on how the bytes were cut, with and without a part. */
const cutMatters: ReadonlyArray<string> = ["pull", "unread", "lines", "discardUntil"]

const collected = (chunks: ReadonlyArray<Uint8Array>): string => text(Buffer.concat(chunks))

describe("take", () => {
  it.effect("gives so many bytes as they come, and leaves what follows", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const taking = yield* start(Stream.runCollect(StreamReader.take(reader, 6)))
      feed("ab")
      feed("cd")
      assert.isTrue(waits(taking))
      feed("efgh")
      assert.strictEqual(collected(yield* Fiber.join(taking)), "abcdef")
      assert.strictEqual(yield* held(reader), "gh")
    })
  )

  it.effect("of nothing it ends at once, also on a stream that brings nothing", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      assert.strictEqual((yield* Stream.runCollect(StreamReader.take(reader, 0))).length, 0)
    })
  )

  it.effect("the end of the stream in front of its own is IncompleteRead, behind the bytes that came", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abc")
      end()
      const taken: Array<Uint8Array> = []
      const error = yield* Effect.flip(
        Stream.runForEach(StreamReader.take(reader, 4), (chunk) => Effect.sync(() => void taken.push(chunk)))
      )
      assert.strictEqual(collected(taken), "abc")
      assert.instanceOf(error, StreamError.IncompleteRead)
      assert.strictEqual(error.expected, 4)
      // the three that came were handed over: no count of none is told
      assert.strictEqual(error.message, "take: the stream ended before the last of 4 bytes")
    })
  )

  it.effect("interrupted it has lost nothing", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const taken: Array<Uint8Array> = []
      const taking = yield* start(
        Stream.runForEach(StreamReader.take(reader, 100), (chunk) => Effect.sync(() => void taken.push(chunk)))
      )
      feed("abc")
      yield* Fiber.interrupt(taking)
      feed("def")
      assert.strictEqual(collected(taken) + (yield* held(reader)), "abcdef")
    })
  )

  it.effect("what is no count dies", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      assert.match(String(yield* defectOf(Stream.runDrain(StreamReader.take(reader, -1)))), /take: count must be/)
      assert.match(String(yield* defectOf(Effect.scoped(StreamReader.limited(reader, 0.5)))), /limited: count must be/)
    })
  )
})

describe("limited", () => {
  it.effect("ends behind its bytes, and leaves what follows", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one\ntwo\nthree\n")
      const lines = yield* Effect.scoped(
        Effect.flatMap(StreamReader.limited(reader, 10), (part) => Stream.runCollect(StreamReader.lines(part)))
      )
      assert.deepStrictEqual(lines, ["one", "two", "th"])
      assert.strictEqual(yield* held(reader), "ree\n")
    })
  )

  it.effect("what it has not read is back when its scope closes, in front of what follows", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("abcdef", "gh")
      const first = yield* Effect.scoped(Effect.flatMap(StreamReader.limited(reader, 7), (part) => part.readExactly(2)))
      assert.strictEqual(text(first), "ab")
      assert.strictEqual(yield* held(reader), "cdefgh")
    })
  )

  it.effect("says how much of it can be read now, wherever that lies, and no more than it has", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const scope = yield* Scope.make()
      const part = yield* Scope.provide(StreamReader.limited(reader, 5), scope)
      const inner = yield* Scope.provide(StreamReader.limited(part, 4), scope)
      const readable = () => Effect.all([reader.buffered, part.buffered, inner.buffered])
      feed("abc")
      assert.deepStrictEqual(yield* readable(), [3, 3, 3])
      yield* inner.skip(1)
      assert.deepStrictEqual(yield* inner.buffered, 2)
      feed("defg")
      assert.deepStrictEqual(yield* inner.buffered, 3)
      assert.include(JSON.stringify(inner), '"buffered":3')
      assert.strictEqual(text(yield* inner.read(10)), "bcd")
      assert.strictEqual(yield* inner.buffered, 0)
      assert.strictEqual(yield* part.buffered, 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* readable(), [3, 0, 0])
    })
  )

  it.effect("a read of it that waits is interrupted without a loss", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const scope = yield* Scope.make()
      const part = yield* Scope.provide(StreamReader.limited(reader, 10), scope)
      const reading = yield* start(part.readExactly(5))
      feed("abc")
      yield* Fiber.interrupt(reading)
      feed("defgh")
      assert.strictEqual(text(yield* part.readExactly(4)), "abcd")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* held(reader), "efgh")
    })
  )

  it.effect("a read of it that waits when its scope closes is told so, and what comes is left to the reader", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const scope = yield* Scope.make()
      const part = yield* Scope.provide(StreamReader.limited(reader, 10), scope)
      const reading = yield* start(outcome(part.readExactly(5)))
      feed("abc")
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* Fiber.join(reading), { error: "ClosedStream", reason: "Closed" })
      feed("def")
      assert.strictEqual(yield* held(reader), "abcdef")
    })
  )

  it.effect("what it has not read is back, although the source fails as it is told to stop: the next read dies", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader } = yield* StreamReader.make({
        limit: 4,
        onPause: () => {
          throw new Error("does not hear")
        }
      })
      const scope = yield* Scope.make()
      const part = yield* Scope.provide(StreamReader.limited(reader, 100), scope)
      const reading = yield* start(Effect.flip(part.readExactly(20)))
      for (const piece of ["abc", "defgh", "ijkl"]) feedUnsafe(bytes(piece))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(reading))._tag, "ClosedStream")
      yield* flowTold
      assert.match(String(yield* defectOf(reader.read(1))), /does not hear/)
      assert.strictEqual(text(yield* reader.read(100)), "abcdefghijkl")
    })
  )

  it.effect("a read of a part of a part that waits is told so when either is left, and nothing of it is lost", () =>
    Effect.gen(function* () {
      for (const left of ["inner", "outer"] as const) {
        const { feed, reader } = yield* handFed()
        const scopes = { outer: yield* Scope.make(), inner: yield* Scope.make() }
        const outer = yield* Scope.provide(StreamReader.limited(reader, 10), scopes.outer)
        const inner = yield* Scope.provide(StreamReader.limited(outer, 8), scopes.inner)
        const reading = yield* start(outcome(inner.readExactly(5)))
        feed("abc")
        yield* Scope.close(scopes[left], Exit.void)
        assert.deepInclude(yield* Fiber.join(reading), { error: "ClosedStream", operation: "readExactly" })
        yield* Scope.close(scopes.inner, Exit.void)
        yield* Scope.close(scopes.outer, Exit.void)
        assert.strictEqual(yield* held(reader), "abc")
      }
    })
  )

  it.effect("who waited in it when its scope closed, and reads on in the reader, finds what is back there", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const scope = yield* Scope.make()
      const part = yield* Scope.provide(StreamReader.limited(reader, 10), scope)
      const reading = yield* start(Effect.catchTag(part.readExactly(5), "ClosedStream", () => reader.read(10)))
      feed("abc")
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(waits(reading))
      assert.strictEqual(text(yield* Fiber.join(reading)), "abc")
    })
  )

  it.effect("a program that reads it is not idle, while the peer is held back", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ limit: 10, timeouts: { idle: "10 seconds" } })
      const part = yield* StreamReader.limited(reader, 1000)
      transport.push("123456789")
      yield* part.read(1)
      transport.push("123456789012345678901")
      for (let i = 0; i < 8; i++) {
        yield* TestClock.adjust("5 seconds")
        yield* part.read(1)
      }
      assert.strictEqual(transport.count("abort"), 0)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(transport.count("abort"), 1)
    })
  )

  it.effect(
    "what nobody has read counts as unread, wherever it lies: in the budget, and where the connection is shown",
    () =>
      Effect.gen(function* () {
        const budget = yield* BufferBudget.make({ bytes: 1000 })
        let observed: Observer.ObservedConnection | undefined
        const observer: Observer.Observer = {
          onEvent: (event) => {
            if (event._tag === "Opened") observed = event.connection
          }
        }
        const { connection, reader, transport } = yield* fake().pipe(
          Effect.provideService(BufferBudget.BufferBudget, budget),
          Effect.provideService(Observer.Observer, observer)
        )
        const scope = yield* Scope.make()
        const part = yield* Scope.provide(StreamReader.limited(reader, 100), scope)
        const inner = yield* Scope.provide(StreamReader.limited(part, 50), scope)
        transport.push("abcdef")
        for (let unread = 6; unread > 3;) {
          assert.strictEqual(yield* budget.used, unread)
          assert.strictEqual(observed!.snapshot().unread, unread)
          yield* inner.read(1)
          unread--
        }
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* budget.used, 3)
        assert.strictEqual(yield* reader.buffered, 3)
        yield* connection.abort
        assert.strictEqual(yield* budget.used, 0)
      })
  )

  it.effect("what moves to it and back makes no room in the budget: nobody goes on for that", () =>
    Effect.gen(function* () {
      const budget = yield* BufferBudget.make({ bytes: 100 })
      const open = fake().pipe(Effect.provideService(BufferBudget.BufferBudget, budget))
      const { transport: held } = yield* open
      const { reader, transport } = yield* open
      held.push("a".repeat(90))
      transport.push("b".repeat(20))
      held.push("a")
      assert.strictEqual(held.count("pause"), 1)
      const scope = yield* Scope.make()
      const part = yield* Scope.provide(StreamReader.limited(reader, 15), scope)
      yield* part.read(1)
      assert.strictEqual(held.count("resume"), 0)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(held.count("resume"), 0)
      yield* reader.read(9)
      assert.strictEqual(held.count("resume"), 0)
      yield* reader.read(10)
      assert.strictEqual(held.count("resume"), 1)
    })
  )

  it.effect("a connection has its share of the budget, however much of what it has lies in parts", () =>
    Effect.gen(function* () {
      const budget = yield* BufferBudget.make({ bytes: 100 })
      const open = fake().pipe(Effect.provideService(BufferBudget.BufferBudget, budget))
      const { reader, transport } = yield* open
      const { transport: other } = yield* open
      const part = yield* StreamReader.limited(reader, 1000)
      transport.push("a".repeat(60))
      yield* part.read(1)
      other.push("b".repeat(40))
      // that of two is 50 each
      assert.strictEqual(other.count("pause"), 0)
      transport.push("a".repeat(2))
      assert.deepStrictEqual([transport.count("pause"), other.count("pause")], [1, 0])
      yield* part.read(20)
      assert.strictEqual(transport.count("resume"), 1)
    })
  )

  it.effect("is closed with its connection, unless it was read to its end", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake()
      const ended = yield* StreamReader.limited(reader, 3)
      transport.push("abcdef")
      assert.strictEqual(text(yield* ended.readAll({ maxBytes: 10 })), "abc")
      const part = yield* StreamReader.limited(reader, 3)
      assert.strictEqual(text(yield* part.read(1)), "d")
      yield* connection.abort
      assert.strictEqual(text(yield* ended.read(10)), "")
      assert.deepInclude(yield* outcome(part.read(10)), { error: "ClosedStream", reason: "Aborted" })
    })
  )

  it.effect("is closed with its connection also where it was cut off before, and nothing of it had come", () =>
    Effect.gen(function* () {
      for (const came of ["", "ab"]) {
        const { connection, reader, transport } = yield* fake()
        transport.push(came)
        transport.pushEnd()
        const part = yield* StreamReader.limited(reader, 3)
        assert.deepInclude(yield* outcome(part.readExactly(3)), { error: "ConnectionLost" })
        yield* connection.abort
        assert.deepInclude(yield* outcome(part.read(10)), { error: "ClosedStream", reason: "Aborted" })
      }
    })
  )

  it.effect("a part of a part is closed with the connection also where it has all that its part had", () =>
    Effect.gen(function* () {
      const budget = yield* BufferBudget.make({ bytes: 100 })
      const { connection, reader, transport } = yield* fake().pipe(
        Effect.provideService(BufferBudget.BufferBudget, budget)
      )
      const part = yield* StreamReader.limited(reader, 3)
      const inner = yield* StreamReader.limited(part, 3)
      transport.push("abcd")
      assert.strictEqual(text(yield* inner.read(1)), "a")
      yield* connection.abort
      for (const one of [inner, part, reader]) {
        assert.deepInclude(yield* outcome(one.read(1)), { error: "ClosedStream", reason: "Aborted" })
      }
      assert.strictEqual(yield* budget.used, 0)
    })
  )

  it.effect("of two that are made at once, and read in turn, the one counts that is read", () =>
    Effect.gen(function* () {
      let observed: Observer.ObservedConnection | undefined
      const observer: Observer.Observer = {
        onEvent: (event) => {
          if (event._tag === "Opened") observed = event.connection
        }
      }
      const { connection, reader, transport } = yield* fake().pipe(Effect.provideService(Observer.Observer, observer))
      const first = yield* StreamReader.limited(reader, 3)
      const second = yield* StreamReader.limited(reader, 3)
      transport.push("abcdef")
      assert.strictEqual(text(yield* first.read(1)), "a")
      assert.strictEqual(observed!.snapshot().unread, 5)
      assert.strictEqual(text(yield* first.read(10)), "bc")
      assert.strictEqual(text(yield* second.read(1)), "d")
      assert.strictEqual(observed!.snapshot().unread, 2)
      yield* connection.abort
      assert.strictEqual(text(yield* first.read(10)), "")
      assert.deepInclude(yield* outcome(second.read(10)), { error: "ClosedStream", reason: "Aborted" })
    })
  )

  it.effect(
    "of two that are made at once what either has taken ahead is closed with the connection, and counts no more",
    () =>
      Effect.gen(function* () {
        const budget = yield* BufferBudget.make({ bytes: 100 })
        const { connection, reader, transport } = yield* fake().pipe(
          Effect.provideService(BufferBudget.BufferBudget, budget)
        )
        const first = yield* StreamReader.limited(reader, 4)
        const second = yield* StreamReader.limited(reader, 4)
        transport.push("abcdef")
        assert.strictEqual(text(yield* first.read(1)), "a")
        assert.strictEqual(text(yield* second.read(1)), "b")
        assert.strictEqual(yield* budget.used, 4)
        yield* connection.abort
        assert.strictEqual(yield* budget.used, 0)
        for (const one of [first, second]) {
          assert.deepInclude(yield* outcome(one.read(1)), { error: "ClosedStream", reason: "Aborted" })
        }
      })
  )

  it.effect("of two that are made at once what either has taken ahead is seen by an upgrade, in its order", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake()
      const seen: Array<string> = []
      Object.assign(transport, {
        startTls: (_: unknown, leftover: ReadonlyArray<Uint8Array>) =>
          Effect.sync(() => {
            seen.push(collected(leftover))
            return new FakeTransport()
          })
      })
      const first = yield* StreamReader.limited(reader, 4)
      const second = yield* StreamReader.limited(reader, 4)
      const inner = yield* StreamReader.limited(second, 2)
      transport.push("abcdef")
      assert.strictEqual(text(yield* first.peek(2)), "ab")
      assert.strictEqual(text(yield* inner.read(1)), "a")
      assert.strictEqual(text(yield* first.read(1)), "b")
      assert.strictEqual(text(yield* inner.peek(9)), "c")
      yield* connection.startTls({ side: "client", serverName: "localhost", leftover: "feedTls" })
      assert.deepStrictEqual(seen, ["cdef"])
    })
  )

  it.effect("of two that are made at once each read takes what comes next, however that was cut", () =>
    forAll(
      letterText({ minLength: 1, maxLength: 20 }).chain((all) =>
        fc.record({
          all: fc.constant(all),
          chunks: chunkings(all),
          counts: fc.tuple(fc.nat({ max: all.length }), fc.nat({ max: all.length })),
          steps: fc.array(
            fc.record({
              who: fc.constantFrom(0, 1),
              size: fc.integer({ min: 1, max: 4 }),
              how: fc.constantFrom("readExactly" as const, "peek" as const, "skip" as const, "buffered" as const)
            }),
            { maxLength: 20 }
          ),
          order: fc.constantFrom([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
        })
      ),
      ({ all, chunks, counts, order, steps }) =>
        Effect.gen(function* () {
          const { end, feed, reader } = yield* handFed({ limit: 100 })
          const scopes = [yield* Scope.make(), yield* Scope.make(), yield* Scope.make()] as const
          const first = yield* Scope.provide(StreamReader.limited(reader, counts[0]), scopes[0])
          const second = yield* Scope.provide(StreamReader.limited(reader, counts[1]), scopes[1])
          const inner = yield* Scope.provide(StreamReader.limited(second, counts[1] >> 1), scopes[2])
          // the second is read by a part of it
          const parts = [first, inner] as const
          const rest: [number, number] = [counts[0], counts[1] >> 1]
          let at = 0
          feed(...chunks)
          end()
          for (const { how, size, who } of steps) {
            const there = Math.min(rest[who]!, all.length - at)
            const part = parts[who]!
            if (how === "buffered") {
              assert.isAtMost(yield* part.buffered, there)
              continue
            }
            if (size > there) continue
            if (how === "skip") yield* part.skip(size)
            else assert.strictEqual(text(yield* part[how](size)), all.slice(at, at + size))
            if (how === "peek") continue
            at += size
            rest[who]! -= size
          }
          for (const who of order) yield* Scope.close(scopes[who]!, Exit.void)
          assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), all.slice(at))
        })
    )
  )

  it.effect(
    "of two that are made at once one is busy while the other's frame is asked, which has all of its bytes",
    () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        const first = yield* StreamReader.limited(reader, 2)
        const second = yield* StreamReader.limited(reader, 2)
        let met: unknown
        const frame = Frame.uint16.pipe(
          Frame.transform({
            decode: (value) => {
              met = Effect.runSync(outcome(second.read(1)))
              return value
            },
            encode: (value) => value
          })
        )
        feed("abcd")
        assert.strictEqual(text(yield* first.peek(1)), "a")
        assert.strictEqual(yield* first.readFrame(frame), 0x6162)
        assert.deepInclude(met, { error: "StreamBusy", holder: "readFrame" })
        assert.strictEqual(text(yield* second.read(2)), "cd")
        assert.strictEqual(text(yield* first.read(2)), "")
      })
  )

  it.effect("what is dropped of a line is not what can be read of it", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      const part = yield* StreamReader.limited(reader, 20)
      feed("abcdefgh")
      assert.deepInclude(yield* outcome(part.readLine), { error: "LimitOverrun" })
      feed("ijk")
      assert.strictEqual(yield* part.buffered, 0)
      feed("l\nmn")
      assert.strictEqual(yield* part.buffered, 2)
      assert.strictEqual(text(yield* part.read(10)), "mn")
    })
  )

  it.effect("the pieces of the reader behind it are the reader's: it has ended in good order", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const part = yield* StreamReader.limited(reader, 3)
      feed("abc", "def")
      assert.strictEqual(text(yield* part.readAll({ maxBytes: 10 })), "abc")
      assert.strictEqual(collected(yield* reader.pull), "def")
      assert.strictEqual(text(yield* part.read(10)), "")
    })
  )

  it.effect("what it has moved over and not read is seen by an upgrade as what the reader has", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake()
      const seen: Array<string> = []
      Object.assign(transport, {
        startTls: (_: unknown, leftover: ReadonlyArray<Uint8Array>) =>
          Effect.suspend(() => {
            seen.push(collected(leftover))
            return Effect.succeed(new FakeTransport())
          })
      })
      transport.push("abcdef")
      const part = yield* StreamReader.limited(reader, 4)
      const inner = yield* StreamReader.limited(part, 3)
      assert.strictEqual(text(yield* inner.read(1)), "a")
      yield* connection.startTls({ side: "client", serverName: "localhost", leftover: "feedTls" })
      assert.deepStrictEqual(seen, ["bcdef"])
      for (const one of [inner, part, reader]) {
        assert.deepInclude(yield* outcome(one.read(10)), { error: "ClosedStream", reason: "Upgraded" })
      }
    })
  )

  it.effect("what has come of a line that it drops is not back when its scope closes, wherever it lies", () =>
    Effect.gen(function* () {
      for (const inner of [false, true]) {
        const { feed, reader } = yield* handFed()
        const scope = yield* Scope.make()
        const outer = yield* Scope.provide(StreamReader.limited(reader, 8), scope)
        const part = inner ? yield* Scope.provide(StreamReader.limited(outer, 6), scope) : outer
        feed("abc")
        const line = part.readLineWith({ limit: 2, onOverrun: "fail" })
        assert.deepInclude(yield* outcome(line), { error: "LimitOverrun", consumed: 3 })
        feed("d", "\ne")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* held(reader), "e")
      }
    })
  )

  it.effect("has the timeouts of its connection: one for each read of it, and the rate of its bytes", () =>
    Effect.gen(function* () {
      for (const [kind, timeouts] of [
        ["Read", { read: "10 seconds" }],
        ["MinRate", { minRate: { bytes: 5, per: "10 seconds" } }]
      ] as const) {
        const { reader, transport } = yield* fake({ timeouts })
        const part = yield* StreamReader.limited(reader, 10)
        const reading = yield* start(part.readExactly(5))
        for (const piece of ["a", "b", "c"]) {
          transport.push(piece)
          yield* TestClock.adjust("3 seconds")
        }
        assert.isTrue(waits(reading))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* timeoutOf(reading)).kind, kind)
      }
    })
  )

  it.effect("a part that was cut off does not look complete", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("abc")
      end()
      const part = yield* StreamReader.limited(reader, 4)
      assert.strictEqual(text(yield* part.read(10)), "abc")
      const error = yield* Effect.flip(part.read(10))
      assert.instanceOf(error, StreamError.ConnectionLost)
      assert.instanceOf(error.cause, StreamError.IncompleteRead)
      assert.strictEqual(error.cause.message, "limited: the stream ended before the last of 4 bytes")
      assert.isFalse(yield* part.atEof)
    })
  )

  it.effect("where the stream had ended in the middle of it, a read of more than came fails, and does not wait", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("ab", "c")
      end()
      const part = yield* StreamReader.limited(reader, 4)
      const inner = yield* StreamReader.limited(part, 4)
      for (const cut of [inner, part]) {
        const reads = [cut.readExactly(4), cut.peek(4), cut.readLine, cut.readAll({ maxBytes: 10 })]
        for (const read of reads.map((read) => outcome<Uint8Array, unknown, never>(read))) {
          const reading = yield* start(read)
          assert.isFalse(waits(reading))
          assert.deepInclude(yield* Fiber.join(reading), { error: "ConnectionLost" })
        }
      }
      assert.strictEqual(text(yield* inner.read(10)), "abc")
      assert.deepInclude(yield* outcome(inner.read(0)), { error: "ConnectionLost" })
    })
  )

  it.effect("a loss is the part's loss, behind what came before it", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("abc")
      lose()
      const part = yield* StreamReader.limited(reader, 4)
      assert.strictEqual(text(yield* part.read(10)), "abc")
      assert.deepInclude(yield* outcome(part.read(10)), { error: "ConnectionLost", kind: "Reset" })
    })
  )

  it.effect("takes no more from a peer than a read needs: the transport is held back as without it", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      const part = yield* StreamReader.limited(reader, 1_000_000)
      assert.isFalse(feed("123456789"))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      assert.strictEqual(text(yield* part.readExactly(9)), "123456789")
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect("what lies in it is counted as in its reader: above twice the limit the transport is paused", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      const part = yield* StreamReader.limited(reader, 100)
      const reading = yield* start(part.readExactly(20))
      feed("1234567")
      yield* Fiber.interrupt(reading)
      assert.deepStrictEqual(flow, [])
      assert.isFalse(feed("89"))
      assert.deepStrictEqual(flow, ["pause"])
      yield* part.skip(4)
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      yield* part.skip(1)
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect("two at a time is Busy", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const part = yield* StreamReader.limited(reader, 10)
      const first = yield* start(part.readExactly(2))
      assert.deepInclude(yield* outcome(part.read(1)), { error: "StreamBusy" })
      feed("ab")
      assert.strictEqual(text(yield* Fiber.join(first)), "ab")
    })
  )

  it.effect("of two at a time the second takes none of what has been moved over for the first", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const part = yield* StreamReader.limited(reader, 10)
      const first = yield* start(part.readExactly(4))
      feed("abc")
      const others: ReadonlyArray<Effect.Effect<unknown, unknown>> = [part.read(1), part.readLine, part.peek(1)]
      for (const second of others) {
        assert.deepInclude(yield* outcome(second), { error: "StreamBusy", holder: "readExactly" })
        // as the generator of a program asks it
        assert.isFalse(second[Symbol.iterator]().next().done)
      }
      feed("d")
      assert.strictEqual(text(yield* Fiber.join(first)), "abcd")
      feed("e")
      assert.strictEqual(text(yield* part.read(1)), "e")
    })
  )

  it.effect("who reads on behind a part, and waits, is not in the way of who hears that the part has ended", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const part = yield* StreamReader.limited(reader, 4)
      feed("abcd")
      assert.strictEqual(text(yield* part.readExactly(3)), "abc")
      const inner = yield* StreamReader.limited(part, 1)
      assert.strictEqual(text(yield* inner.read(10)), "d")
      const reading = yield* start(reader.read(1))
      for (const ended of [inner, part, yield* StreamReader.limited(reader, 0)]) {
        assert.strictEqual(text(yield* ended.read(10)), "")
        assert.isTrue(yield* ended.atEof)
      }
      feed("e")
      assert.strictEqual(text(yield* Fiber.join(reading)), "e")
    })
  )

  it.effect("of two reads of a part of a part the second takes none of what has come for the first", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const part = yield* StreamReader.limited(reader, 10)
      const inner = yield* StreamReader.limited(part, 8)
      const first = yield* start(inner.readExactly(4))
      feed("abc")
      for (const second of [inner, part, reader]) {
        assert.deepInclude(yield* outcome(second.read(2)), { error: "StreamBusy", holder: "readExactly" })
        assert.isFalse(yield* second.atEof)
      }
      feed("d")
      assert.strictEqual(text(yield* Fiber.join(first)), "abcd")
    })
  )

  it.effect("every read of a part of a part comes to what it comes to on a stream of its bytes", () =>
    forAll(
      letterText({ maxLength: 30 }).chain((all) =>
        fc.record({
          all: fc.constant(all),
          // also where the stream ends in the middle of it
          count: fc.nat({ max: all.length + 2 }),
          chunks: chunkings(all),
          end: fc.boolean(),
          steps: fc.array(
            fc.oneof(
              fc.constantFrom("feed" as const, "interrupt" as const),
              requests(12)
                .filter((request) => !cutMatters.includes(request.name))
                .map((request) => allOrNothing(request, 6))
            ),
            { minLength: 1, maxLength: 20 }
          )
        })
      ),
      ({ all, chunks, count, end, steps }) =>
        Effect.gen(function* () {
          const whole = yield* handFed({ limit: 6 })
          const own = yield* handFed({ limit: 6 })
          const scope = yield* Scope.make()
          const outer = yield* Scope.provide(StreamReader.limited(whole.reader, count + 1), scope)
          const part = yield* Scope.provide(StreamReader.limited(outer, count), scope)
          const pieces = [...chunks]
          let fed = 0
          const feed = () => {
            const piece = pieces.shift()
            if (piece === undefined) return
            whole.feed(piece)
            if (fed < count) own.feed(piece.slice(0, count - fed))
            if (fed < count && fed + piece.length >= count) own.end()
            fed += piece.length
            if (pieces.length > 0 || !end) return
            whole.end()
            if (fed < count) own.lose(new StreamError.ConnectionLost({ operation: "limited", kind: "Unknown" }))
          }
          if (count === 0) own.end()
          let reading: ReadonlyArray<Fiber.Fiber<void>> = []
          const shown: Array<Outcome> = []
          const expected: Array<Outcome> = []
          for (const step of [...steps, "interrupt" as const]) {
            if (step === "feed") feed()
            else if (step === "interrupt") yield* Fiber.interruptAll(reading)
            else {
              reading = [
                ...reading,
                yield* start(perform(part, step, ({ cause: _, ...seen }: any) => shown.push(seen))),
                yield* start(perform(own.reader, step, (seen) => expected.push(seen)))
              ]
            }
            assert.deepStrictEqual(shown, expected)
          }
          while (pieces.length > 0) feed()
          const left = yield* held(own.reader).pipe(Effect.orElseSucceed(() => ""))
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(yield* held(whole.reader), left + all.slice(count))
        })
    )
  )
})
