/** Section 1 of the asyncio semantics, row by row: the limit, and when the source is paused and resumed. */
import { assert, describe, it } from "@effect/vitest"
import { StreamReader } from "effect-byte-streams"
import { Effect, Fiber, type Scope, Stream } from "effect"
import { bytes, pattern, text } from "../support/bytes.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import {
  flowTold,
  handFed,
  held,
  outcome,
  overrunFound,
  overrunNotFound,
  incomplete,
  value
} from "../support/handFed.ts"
import { logged } from "../support/logged.ts"
import { turns } from "../support/wait.ts"

describe("section 1: limit, pause and resume", () => {
  it.effect("row 1.1: the limit is 64 KiB by default, whatever the reader is made from", () =>
    Effect.gen(function* () {
      const readers = [
        (yield* StreamReader.make()).reader,
        yield* StreamReader.fromBytes(""),
        yield* StreamReader.fromPull(Effect.never),
        yield* StreamReader.fromStream(Stream.never),
        yield* StreamReader.fromReadableStream(new ReadableStream<Uint8Array>())
      ]
      assert.deepStrictEqual(
        readers.map((reader) => reader.limit),
        readers.map(() => 65536)
      )
    })
  )

  for (const limit of [0, -1]) {
    it.effect(`row 1.1: a limit of ${limit} dies at construction`, () =>
      Effect.gen(function* () {
        const constructions: ReadonlyArray<Effect.Effect<unknown, never, Scope.Scope>> = [
          StreamReader.make({ limit }),
          StreamReader.fromBytes("", { limit }),
          StreamReader.fromPull(Effect.never, { limit }),
          StreamReader.fromStream(Stream.never, { limit }),
          StreamReader.fromReadableStream(new ReadableStream<Uint8Array>(), { limit })
        ]
        for (const construction of constructions) {
          assert.match(String(yield* defectOf(construction)), new RegExp(`limit must be .* above 0 .*got ${limit}$`))
        }
      })
    )
  }

  it.effect("row 1.2: pauses above twice the limit, not at it", () =>
    Effect.gen(function* () {
      const { feed, flow } = yield* handFed({ limit: 4 })
      assert.isTrue(feed("12345678"))
      yield* flowTold
      assert.deepStrictEqual(flow, [])
      assert.isFalse(feed("9"))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
    })
  )

  it.effect("row 1.2: pauses once, however much the source feeds in spite of it", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      for (let i = 0; i < 100; i++) feed("0123456789")
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      assert.strictEqual(yield* reader.buffered, 1000)
    })
  )

  it.effect("row 1.2: checks after each chunk: one chunk of any size is taken", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      const chunk = pattern(1000)
      assert.isFalse(feed(chunk))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      assert.deepStrictEqual(yield* reader.readExactly(1000), pattern(1000))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect(
    "row 1.2: wakes the reader before it checks: a waiting read that takes the chunk leaves the source running",
    () =>
      Effect.gen(function* () {
        const { feed, flow, reader } = yield* handFed({ limit: 4 })
        const waiting = yield* start(reader.read(100))
        feed("123456789")
        assert.strictEqual(text(yield* Fiber.join(waiting)), "123456789")
        assert.notStrictEqual(flow.at(-1), "pause")
        assert.strictEqual(flow.filter((told) => told === "pause").length, flow.length / 2)
      })
  )

  it.effect("row 1.2: bytes in the queue and bytes already looked at count together", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      feed("12345")
      yield* reader.peek(5)
      feed("678")
      yield* flowTold
      assert.deepStrictEqual(flow, [])
      feed("9")
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
    })
  )

  it.effect("row 1.3: resumes at the limit, not above it", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      assert.isTrue(feed("12345678"))
      assert.isFalse(feed("9"))
      assert.strictEqual(text(yield* reader.read(4)), "1234")
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      assert.strictEqual(text(yield* reader.read(1)), "5")
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
      assert.isTrue(feed("abcd"))
      assert.isFalse(feed("e"))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume", "pause"])
    })
  )

  it.effect("row 1.3: feeding tells whether the source is paused, also between the two marks", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 4 })
      assert.isFalse(feed("123456789"))
      yield* reader.skip(4)
      assert.isFalse(feed("a"))
      yield* reader.skip(2)
      assert.isTrue(feed("b"))
    })
  )

  it.effect("row 1.3: resumes only a source that is paused", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      for (let i = 0; i < 20; i++) {
        feed("12345678")
        yield* reader.readExactly(5)
        yield* reader.readExactly(3)
      }
      yield* flowTold
      assert.deepStrictEqual(flow, [])
    })
  )

  for (const [name, take] of [
    ["read", (reader) => reader.read(5)],
    ["readInto", (reader) => reader.readInto(new Uint8Array(5))],
    ["readOption", (reader) => reader.readOption(5)],
    ["readExactly", (reader) => reader.readExactly(5)],
    ["readExactlyOption", (reader) => reader.readExactlyOption(5)],
    ["readUntil", (reader) => reader.readUntil("5")],
    ["readLine", (reader) => reader.readLine],
    ["readLineOption", (reader) => reader.readLineOption],
    ["readLineWith", (reader) => reader.readLineWith({ onOverrun: "discard" })],
    ["skip", (reader) => reader.skip(5)],
    ["discardUntil", (reader) => reader.discardUntil("5")],
    ["pull", (reader) => reader.pull]
  ] as ReadonlyArray<readonly [string, (reader: StreamReader.StreamReader) => Effect.Effect<unknown, unknown>]>) {
    it.effect(`row 1.3: ${name} resumes when it brings the buffer down to the limit`, () =>
      Effect.gen(function* () {
        const { feed, flow, reader } = yield* handFed({ limit: 4 })
        const line = name.includes("Line")
        feed(line ? "1234\n6789" : "123456789")
        yield* take(reader)
        yield* flowTold
        assert.deepStrictEqual(flow, ["pause", "resume"])
      })
    )
  }

  it.effect("row 1.3: looking ahead takes nothing, and resumes nothing", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      feed("123456789")
      yield* reader.peek(9)
      yield* reader.buffered
      yield* reader.atEof
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
    })
  )

  it.effect("row 1.3: bytes put back count: above twice the limit the source is paused", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      feed("1234")
      yield* reader.unread(bytes("abcd"))
      yield* flowTold
      assert.deepStrictEqual(flow, [])
      yield* reader.unread(bytes("e"))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      yield* reader.skip(5)
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  for (const [name, read] of [
    ["readExactly", (reader) => reader.readExactly(20)],
    ["readExactlyOption", (reader) => reader.readExactlyOption(20)],
    ["readAll", (reader) => reader.readAll({ maxBytes: 20 })],
    ["readAll unbounded", (reader) => reader.readAll({ maxBytes: "unbounded" })],
    ["peek", (reader) => reader.peek(20)],
    ["skip", (reader) => reader.skip(20)],
    ["readUntil with a limit of its own", (reader) => reader.readUntil("#", { limit: 20 })],
    ["readLineWith a limit of its own", (reader) => reader.readLineWith({ limit: 20 })]
  ] as ReadonlyArray<readonly [string, (reader: StreamReader.StreamReader) => Effect.Effect<unknown, unknown>]>) {
    it.effect(`row 1.4: ${name} resumes a paused source before it waits, and then leaves it running to the end`, () =>
      Effect.gen(function* () {
        const { end, feed, flow, reader } = yield* handFed({ limit: 4 })
        feed("123456789")
        yield* flowTold
        assert.deepStrictEqual(flow, ["pause"])
        const waiting = yield* start(read(reader))
        yield* flowTold
        assert.deepStrictEqual(flow, ["pause", "resume"])
        // CPython pauses and resumes once more at each of these
        for (let i = 0; i < 10; i++) feed("a")
        assert.isTrue(waits(waiting))
        yield* flowTold
        assert.deepStrictEqual(flow, ["pause", "resume"])
        feed(name.startsWith("readUntil") ? "#" : name.startsWith("readLine") ? "\n" : "b")
        if (name.startsWith("readAll")) end()
        yield* Fiber.join(waiting)
      })
    )
  }

  it.effect("row 1.4: the raised threshold is that of the read: what comes beyond it pauses", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      const waiting = yield* start(reader.readAll({ maxBytes: 20 }))
      feed("x".repeat(20))
      yield* flowTold
      assert.deepStrictEqual(flow, [])
      feed("x")
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), overrunNotFound("readAll", 20, 20))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
    })
  )

  it.effect("row 1.4: the threshold is lowered again when the read is over", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      const waiting = yield* start(reader.readExactly(20))
      feed("x".repeat(20))
      yield* Fiber.join(waiting)
      yield* flowTold
      assert.deepStrictEqual(flow, [])
      assert.isTrue(feed("12345678"))
      assert.isFalse(feed("9"))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
    })
  )

  it.effect("row 1.4: the threshold is lowered again when the read is given up: what is buffered pauses at once", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      const waiting = yield* start(reader.readExactly(20))
      feed("x".repeat(19))
      yield* flowTold
      assert.deepStrictEqual(flow, [])
      yield* Fiber.interrupt(waiting)
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      yield* reader.skip(15)
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect("row 1.5: feeding nothing is a no-op: no read wakes, and it is not the end", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      const waiting = yield* start(reader.read(10))
      assert.isTrue(feed("", "", ""))
      assert.isTrue(waits(waiting))
      assert.isFalse(yield* reader.atEof)
      feed("a")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "a")
      feed("123456789")
      assert.isFalse(feed(""))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
    })
  )

  it.effect("row 1.5: feeding after the end throws, also feeding nothing", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("a")
      end()
      assert.throws(() => feed("b"), /already ended/)
      assert.throws(() => feed(""), /already ended/)
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 10 })), "a")
    })
  )

  it.effect("row 1.6: a source that fails to pause is not forgotten: it hears of it, and is asked again", () =>
    Effect.gen(function* () {
      let pauses = 0
      let resumes = 0
      const { feedUnsafe, reader } = yield* StreamReader.make({
        limit: 4,
        onPause: () => {
          pauses++
          throw new Error("cannot pause")
        },
        onResume: () => void resumes++
      })
      assert.throws(() => feedUnsafe(bytes("123456789")), "cannot pause")
      assert.strictEqual(yield* held(reader), "123456789")
      assert.isFalse(feedUnsafe(bytes("a")))
      yield* reader.skip(10)
      yield* flowTold
      assert.strictEqual(resumes, 1)
      assert.throws(() => feedUnsafe(bytes("123456789")), "cannot pause")
      assert.strictEqual(pauses, 2)
    })
  )

  it.effect(
    "row 1.6: a source that fails as a read tells it to stop or to go on costs that read nothing; the next dies",
    () =>
      Effect.gen(function* () {
        const failing = (told: "onPause" | "onResume") =>
          StreamReader.make({
            limit: 4,
            [told]: () => {
              throw new Error("does not hear")
            }
          })
        for (const read of [
          (reader: StreamReader.StreamReader) => reader.read(6),
          (reader: StreamReader.StreamReader) =>
            Effect.gen(function* () {
              return yield* reader.read(6)
            })
        ]) {
          const { feedUnsafe, reader } = yield* failing("onResume")
          feedUnsafe(bytes("123456789"))
          // in the segments, where the second of them finds it
          yield* reader.peek(1)
          assert.strictEqual(text(yield* read(reader)), "123456")
          yield* flowTold
          assert.match(String(yield* defectOf(reader.read(1))), /does not hear/)
          assert.strictEqual(text(yield* reader.read(6)), "789")
        }
        const { feedUnsafe, reader } = yield* failing("onPause")
        const waiting = yield* start(reader.readExactly(2))
        feedUnsafe(bytes("12345678901"))
        assert.strictEqual(text(yield* Fiber.join(waiting)), "12")
        yield* flowTold
        assert.match(String(yield* defectOf(reader.read(1))), /does not hear/)
        assert.strictEqual(text(yield* reader.read(20)), "345678901")
      })
  )

  it.live("row 1.6: a source that is an async function, and rejects, is logged, and costs nobody anything", () =>
    Effect.gen(function* () {
      const { layer, lines } = logged()
      const later = () => Promise.reject(new Error("does not hear"))
      const { feedUnsafe, reader } = yield* StreamReader.make({ limit: 4, onPause: later, onResume: later }).pipe(
        Effect.provide(layer)
      )
      assert.isFalse(feedUnsafe(bytes("123456789")))
      assert.strictEqual(text(yield* reader.read(9)), "123456789")
      yield* turns(2)
      assert.deepStrictEqual(
        lines.map((line) => /^Error .* has failed/.exec(line)?.[0]),
        ["Error StreamReader.make: onPause has failed", "Error StreamReader.make: onResume has failed"]
      )
    })
  )

  it.effect("row 1.6: a source that cannot be paused can still be told: feeding answers false", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader } = yield* StreamReader.make({ limit: 4 })
      assert.isFalse(feedUnsafe(bytes("123456789")))
      assert.isFalse(feedUnsafe(bytes("a")))
      yield* reader.skip(6)
      assert.isTrue(feedUnsafe(bytes("b")))
    })
  )

  it.effect("row 1.7: the limit does not bound read and readExactly", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("0123456789")
      assert.strictEqual(text(yield* reader.read(5)), "01234")
      assert.strictEqual(text(yield* reader.readExactly(5)), "56789")
      feed("01234", "56789")
      assert.strictEqual(text(yield* reader.read(100)), "0123456789")
      feed("01234", "56789")
      assert.strictEqual(text(yield* reader.readExactly(10)), "0123456789")
    })
  )

  it.effect("row 1.7: the limit bounds readUntil and readLine", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      feed("1234\n")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), overrunFound("readUntil", 4, 3))
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunFound("readLine", 4, 3))
    })
  )

  it.effect("row 1.7: the limit bounds reading to the end neither, whose bound is its own", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed({ limit: 3 })
      feed("0123456789")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 9 })), overrunNotFound("readAll", 9, 9))
      const { message } = yield* Effect.flip(reader.readAll({ maxBytes: 9 }))
      assert.strictEqual(message, "readAll: the stream is longer than 9 bytes")
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 10 })), value("0123456789"))
    })
  )

  it.effect("row 1.8: an overrun of readUntil does not resume a paused source; the next wait does", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      feed("123456789")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), overrunNotFound("readUntil", 9, 4))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      feed("\n")
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), overrunFound("readUntil", 9, 4))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
      yield* start(reader.readExactly(11))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect("row 1.8: IncompleteRead of readUntil does not resume a paused source: it has ended", () =>
    Effect.gen(function* () {
      const { end, feed, flow, reader } = yield* handFed({ limit: 4 })
      feed("123456789")
      end()
      assert.deepStrictEqual(yield* outcome(reader.readUntil("a long separator")), incomplete("readUntil", "123456789"))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause"])
    })
  )

  it.effect("row 1.8: an overrun of readLine resumes", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 4 })
      feed("123456789")
      assert.deepStrictEqual(yield* outcome(reader.readLine), overrunNotFound("readLine", 9, 4))
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )
})
