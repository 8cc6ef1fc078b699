/**
 * One read at a time, for every pair of reads: while one waits, any other fails with `StreamBusy`, which names both, and
 * the first gets what it would have got alone.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { StreamReader } from "effect-byte-streams"
import { ReadBuffer } from "../../src/internal/read/readBuffer.ts"
import { BufferReader } from "../../src/internal/read/reader.ts"
import { ReadExactly } from "../../src/internal/read/reads/exactly.ts"
import { notNow } from "../../src/internal/runtime/operation.ts"
import { bytes, text } from "../support/bytes.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { busy, handFed, held as heldOf, incomplete, outcome, value } from "../support/handFed.ts"
import { nothingInBetween } from "../support/publicApi.ts"
import { type Outcome, perform, type Request } from "../support/readRequests.ts"
import { SteppingScheduler } from "../support/steppingScheduler.ts"

interface Holder {
  readonly request: Request
  /** What is buffered while it waits, and what it waits for; `undefined` for the end of the stream. */
  readonly buffered: string
  readonly awaited: string | undefined
  readonly outcome: Outcome
  /** What it leaves in the buffer. */
  readonly left: string
}

const holders: ReadonlyArray<Holder> = [
  { request: { name: "read", count: 9 }, buffered: "", awaited: "abc", outcome: { value: "abc" }, left: "" },
  { request: { name: "readInto", count: 9 }, buffered: "", awaited: "abc", outcome: { value: "abc" }, left: "" },
  {
    request: { name: "readOption", count: 9 },
    buffered: "",
    awaited: "abc",
    outcome: { value: { some: "abc" } },
    left: ""
  },
  { request: { name: "readExactly", count: 4 }, buffered: "abc", awaited: "de", outcome: { value: "abcd" }, left: "e" },
  {
    request: { name: "readExactlyOption", count: 4 },
    buffered: "abc",
    awaited: "de",
    outcome: { value: { some: "abcd" } },
    left: "e"
  },
  { request: { name: "peek", count: 4 }, buffered: "abc", awaited: "de", outcome: { value: "abcd" }, left: "abcde" },
  { request: { name: "skip", count: 4 }, buffered: "abc", awaited: "de", outcome: { value: undefined }, left: "e" },
  {
    request: { name: "readUntil", separators: [";"], limit: undefined },
    buffered: "abc",
    awaited: "d;e",
    outcome: { value: "abcd;" },
    left: "e"
  },
  {
    request: { name: "discardUntil", separators: [";"] },
    buffered: "abc",
    awaited: "d;e",
    outcome: { value: undefined },
    left: "e"
  },
  { request: { name: "readLine" }, buffered: "abc", awaited: "d\ne", outcome: { value: "abcd\n" }, left: "e" },
  {
    request: { name: "readLineOption" },
    buffered: "abc",
    awaited: "d\ne",
    outcome: { value: { some: "abcd\n" } },
    left: "e"
  },
  {
    request: { name: "readLineWith", limit: 10, onOverrun: "fail" },
    buffered: "abc",
    awaited: "d\ne",
    outcome: { value: "abcd\n" },
    left: "e"
  },
  {
    request: { name: "readLineWith", limit: 2, onOverrun: "discard" },
    buffered: "abc",
    awaited: "d\ne\n",
    outcome: { value: "e\n" },
    left: ""
  },
  {
    request: { name: "readUntilOption", separators: [";"], limit: undefined },
    buffered: "abc",
    awaited: "d;e",
    outcome: { value: { some: "abcd;" } },
    left: "e"
  },
  {
    request: { name: "readLineText" },
    buffered: "abc",
    awaited: "d\r\ne",
    outcome: { value: { some: "abcd" } },
    left: "e"
  },
  {
    request: { name: "readLineWith", limit: 10, onOverrun: "fail", end: "required" },
    buffered: "abc",
    awaited: "d\ne",
    outcome: { value: "abcd\n" },
    left: "e"
  },
  {
    request: { name: "readLineWith", limit: 2, onOverrun: "discard", end: "required", keepDelimiter: false },
    buffered: "abc",
    awaited: "d\ne\n",
    outcome: { value: { some: "e" } },
    left: ""
  },
  {
    request: { name: "lines", limit: 10, onOverrun: "fail", end: "required" },
    buffered: "abc",
    awaited: "d\ne",
    outcome: { value: ["abcd"] },
    left: "e"
  },
  { request: { name: "pull" }, buffered: "", awaited: "abc", outcome: { value: "abc" }, left: "" },
  {
    request: { name: "readAll", maxBytes: 10 },
    buffered: "abc",
    awaited: undefined,
    outcome: { value: "abc" },
    left: ""
  }
]

/** Reads that the buffered bytes would satisfy, reads that would have to wait, and reads of nothing. */
const contenders: ReadonlyArray<Request> = [
  { name: "read", count: 0 },
  { name: "read", count: 2 },
  { name: "readInto", count: 0 },
  { name: "readInto", count: 2 },
  { name: "readOption", count: 2 },
  { name: "readExactly", count: 0 },
  { name: "readExactly", count: 2 },
  { name: "readExactly", count: 100 },
  { name: "readExactlyOption", count: 2 },
  { name: "readExactlyOption", count: 100 },
  { name: "peek", count: 2 },
  { name: "peek", count: 100 },
  { name: "skip", count: 2 },
  { name: "skip", count: 100 },
  { name: "readUntil", separators: ["b"], limit: undefined },
  { name: "readUntil", separators: ["x", "y"], limit: 1 },
  { name: "discardUntil", separators: ["b"] },
  { name: "discardUntil", separators: ["x"] },
  { name: "readLine" },
  { name: "readLineOption" },
  { name: "readLineWith", limit: 1, onOverrun: "fail" },
  { name: "readLineWith", limit: 1, onOverrun: "discard" },
  { name: "readUntilOption", separators: ["b"], limit: undefined },
  { name: "readUntilOption", separators: ["x", "y"], limit: 1, keepDelimiter: false },
  { name: "readLineText" },
  { name: "readLineWith", limit: 1, onOverrun: "fail", end: "required" },
  { name: "readLineWith", limit: 1, onOverrun: "discard", end: "required", keepDelimiter: false },
  { name: "lines", limit: 1, onOverrun: "fail", end: "required" },
  { name: "lines", limit: undefined, onOverrun: "discard", end: "optional" },
  { name: "pull" },
  { name: "readAll", maxBytes: 1 },
  { name: "readAll", maxBytes: "unbounded" },
  { name: "unread", bytes: "" },
  { name: "unread", bytes: "xyz" }
]

for (const { awaited, buffered, left, outcome, request } of holders) {
  it.effect(
    `7.1, 7.2, rank 17: while ${JSON.stringify(request)} waits, every other read is busy, and takes nothing`,
    () =>
      Effect.gen(function* () {
        for (const contender of contenders) {
          const { end, feed, reader } = yield* handFed()
          feed(buffered)
          let held: Outcome | undefined
          const holder = yield* start(perform(reader, request, (seen) => (held = seen)))
          assert.isTrue(waits(holder))
          const before = yield* reader.buffered
          for (const inGenerator of [false, true]) {
            let refused: Outcome | undefined
            yield* start(perform(reader, contender, (seen) => (refused = seen), inGenerator))
            assert.deepStrictEqual(refused, busy(contender.name, request.name))
          }
          assert.isTrue(waits(holder))
          assert.strictEqual(yield* reader.buffered, before)
          if (awaited === undefined) end()
          else feed(awaited)
          assert.deepStrictEqual(held, outcome)
          assert.strictEqual(yield* heldOf(reader), left)
        }
      })
  )
}

it.effect("row 7.1: the streams of a reader are reads like any other", () =>
  Effect.gen(function* () {
    const { feed, reader } = yield* handFed()
    const holder = yield* start(reader.readLine)
    assert.deepStrictEqual(yield* outcome(Stream.runDrain(StreamReader.lines(reader))), busy("lines", "readLine"))
    assert.deepStrictEqual(yield* outcome(Stream.runDrain(StreamReader.stream(reader))), busy("stream", "readLine"))
    feed("one\n")
    assert.strictEqual(text(yield* Fiber.join(holder)), "one\n")

    const lines = yield* start(Stream.runCollect(Stream.take(StreamReader.lines(reader), 1)))
    assert.deepStrictEqual(yield* outcome(reader.readLine), busy("readLine", "lines"))
    feed("two\n")
    assert.deepStrictEqual(yield* Fiber.join(lines), ["two"])

    const pieces = yield* start(Stream.runCollect(Stream.take(StreamReader.stream(reader), 1)))
    assert.deepStrictEqual(yield* outcome(reader.readLine), busy("readLine", "stream"))
    feed("three")
    assert.deepStrictEqual((yield* Fiber.join(pieces)).map(text), ["three"])
  })
)

it.effect("row 7.1: a read that was interrupted holds nothing", () =>
  Effect.gen(function* () {
    for (const { buffered, request } of holders) {
      const { feed, reader } = yield* handFed()
      feed(buffered)
      yield* Fiber.interrupt(yield* start(perform(reader, request, () => {})))
      const next = yield* start(outcome(reader.readUntil("!")))
      assert.isTrue(waits(next))
      feed("!")
      // `discard` had dropped the overlong line when it began to wait, and drops the rest of it as it comes
      const dropped = "onOverrun" in request && request.onOverrun === "discard"
      if (dropped) feed("\n!")
      const rest = request.name === "discardUntil" || dropped ? "!" : buffered + "!"
      assert.deepStrictEqual(yield* Fiber.join(next), value(rest))
    }
  })
)

it.effect("row 7.1: a read that dies as it is answered holds nothing, and the source is held back as before", () =>
  Effect.gen(function* () {
    const told: Array<string> = []
    const buffer = new ReadBuffer(4, { pause: () => told.push("pause"), resume: () => told.push("resume") })
    const reader = new BufferReader(buffer)
    class Dying extends ReadExactly {
      override settle(): undefined {
        if (this.ready()) throw new Error("cannot be answered")
      }
      override answerBy(): typeof notNow {
        return notNow
      }
    }
    const waiting = yield* start(defectOf(new Dying(reader, 2)))
    buffer.feed(bytes("ab"))
    assert.match(String(yield* Fiber.join(waiting)), /cannot be answered/)
    buffer.feed(bytes("cdefghi"))
    assert.deepStrictEqual(told, ["pause"])
    assert.strictEqual(text(yield* reader.readExactly(9)), "abcdefghi")
  })
)

it.effect("row 7.1: a read that dies as it begins to wait, of a source that cannot go on, holds nothing", () =>
  Effect.gen(function* () {
    const { feedUnsafe, reader } = yield* StreamReader.make({
      limit: 4,
      onResume: () => {
        throw new Error("cannot go on")
      }
    })
    const part = yield* StreamReader.limited(reader, 100)
    for (const read of [reader.readExactly(20), part.readExactly(20)]) {
      feedUnsafe(bytes("123456789"))
      assert.match(String(yield* defectOf(read)), /cannot go on/)
      assert.strictEqual(text(yield* part.read(20)), "123456789")
      const waiting = yield* start(part.readLine)
      feedUnsafe(bytes("a\n"))
      assert.strictEqual(text(yield* Fiber.join(waiting)), "a\n")
    }
  })
)

it.effect(
  "row 7.1: a read that was woken, and is yet to run, still holds the reader",
  () =>
    Effect.sync(() => {
      for (const { awaited, buffered, outcome, request } of holders) {
        const scheduler = new SteppingScheduler({ everyStep: true })
        const buffer = new ReadBuffer(100, { pause: () => {}, resume: () => {} })
        const reader = new BufferReader(buffer)
        let held: Outcome | undefined
        let refused: Outcome | undefined
        if (buffered !== "") buffer.feed(bytes(buffered))
        scheduler.start(perform(reader, request, (seen) => (held = seen)))
        scheduler.run()
        if (awaited === undefined) buffer.feedEnd()
        else buffer.feed(bytes(awaited))
        assert.isUndefined(held)
        // in the line behind the woken one: it has to be asked first, out of turn
        Effect.runFork(perform(reader, { name: "readExactly", count: 1 }, (seen) => (refused = seen)))
        assert.deepStrictEqual(refused, busy("readExactly", request.name))
        scheduler.run()
        assert.deepStrictEqual(held, outcome)
      }
    }),
  nothingInBetween
)

it.effect("row 7.3: the end of one read does not undo the wait of the next, which began in the same turn", () =>
  Effect.gen(function* () {
    for (const { awaited, buffered, left, outcome, request } of holders) {
      const { end, feed, reader } = yield* handFed()
      feed(buffered)
      let first: Outcome | undefined
      let second: Outcome | undefined
      const next = perform(
        reader,
        { name: "readUntil", separators: ["!"], limit: undefined },
        (seen) => (second = seen)
      )
      yield* start(
        Effect.andThen(
          perform(reader, request, (seen) => (first = seen)),
          Effect.forkScoped(next, { startImmediately: true })
        )
      )
      if (awaited === undefined) end()
      else feed(awaited)
      assert.deepStrictEqual(first, outcome)
      if (awaited === undefined) {
        assert.deepStrictEqual(second, incomplete("readUntil", ""))
        continue
      }
      assert.isUndefined(second)
      feed("!")
      assert.deepStrictEqual(second, value(left + "!"))
    }
  })
)
