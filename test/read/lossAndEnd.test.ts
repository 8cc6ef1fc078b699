/** Section 6 of the asyncio semantics, row by row: the two ways in which a stream is over. */
import { assert, describe, it } from "@effect/vitest"
import { StreamError } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { bytes, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { handFed, lost, outcome, value } from "../support/handFed.ts"
import { effectOf } from "../support/readRequests.ts"
import { reads } from "../support/reads.ts"

describe("section 6: stored exception and EOF", () => {
  for (const read of reads) {
    it.effect(`row 6.1: a loss is permanent: ${read.title} fails of it every time, and names itself`, () =>
      Effect.gen(function* () {
        const { lose, reader } = yield* handFed()
        lose()
        for (let i = 0; i < 3; i++) {
          assert.deepStrictEqual(yield* outcome(effectOf(reader, read.request)), lost(read.request.name))
        }
      })
    )
  }

  it.effect("row 6.1: each failure is a value of its own, where CPython raises one object everywhere (rank 36)", () =>
    Effect.gen(function* () {
      const { lose, reader } = yield* handFed()
      const cause = new Error("the wire was cut")
      const given = new StreamError.ConnectionLost({ operation: "source", kind: "TimedOut", code: "ETIMEDOUT", cause })
      lose(given)
      const read = reader.read(1)
      const errors = [yield* Effect.flip(read), yield* Effect.flip(read), yield* Effect.flip(reader.readLine)]
      assert.strictEqual(new Set<unknown>([given, ...errors]).size, 4)
      for (const [index, operation] of ["read", "read", "readLine"].entries()) {
        assert.instanceOf(errors[index], StreamError.ConnectionLost)
        assert.deepInclude(errors[index], { operation, kind: "TimedOut", code: "ETIMEDOUT", cause })
      }
    })
  )

  for (const read of reads.filter((read) => !read.waitsForEnd)) {
    it.effect(`row 6.2: what came before a loss is delivered before it: ${read.title} (rank 9)`, () =>
      Effect.gen(function* () {
        const { feed, lose, reader } = yield* handFed()
        feed("abcd\n")
        lose()
        assert.deepStrictEqual(yield* outcome(effectOf(reader, read.request)), read.outcome)
        if (read.leaves !== "") assert.strictEqual(text(yield* reader.read(100)), read.leaves)
        assert.deepStrictEqual(yield* outcome(effectOf(reader, read.request)), lost(read.request.name))
      })
    )

    it.effect(`row 6.2: also to a ${read.title} that waits`, () =>
      Effect.gen(function* () {
        const { feed, lose, reader } = yield* handFed()
        const waiting = yield* start(effectOf(reader, read.request))
        feed(read.tooLittle)
        feed(read.missing)
        lose()
        assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), read.outcome)
      })
    )
  }

  it.effect("row 6.2: a read that what came before cannot satisfy fails of the loss, and leaves it to be read", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("hello")
      lose()
      assert.deepStrictEqual(yield* outcome(reader.readExactly(6)), lost("readExactly"))
      assert.deepStrictEqual(yield* outcome(reader.readExactlyOption(6)), lost("readExactlyOption"))
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n")), lost("readUntil"))
      assert.deepStrictEqual(yield* outcome(reader.readLine), lost("readLine"))
      assert.deepStrictEqual(yield* outcome(reader.readLineOption), lost("readLineOption"))
      assert.deepStrictEqual(yield* outcome(reader.peek(6)), lost("peek"))
      assert.deepStrictEqual(yield* outcome(reader.skip(6)), lost("skip"))
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 10 })), lost("readAll"))
      assert.strictEqual(text(yield* reader.readExactly(5)), "hello")
      assert.deepStrictEqual(yield* outcome(reader.readExactly(1)), lost("readExactly"))
    })
  )

  it.effect("row 6.2: a loss while bytes wait unread does not make a read wait", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      const waiting = yield* start(reader.readExactly(6))
      feed("hello")
      lose()
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), lost("readExactly"))
      assert.strictEqual(text(yield* reader.read(10)), "hello")
    })
  )

  it.effect("row 6.2: bytes put back after a loss are delivered before it as well", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("hello")
      lose()
      const first = yield* reader.read(3)
      yield* reader.unread(first)
      assert.strictEqual(text(yield* reader.read(10)), "hello")
      yield* reader.unread(bytes("again"))
      assert.strictEqual(text(yield* reader.read(10)), "again")
      assert.deepStrictEqual(yield* outcome(reader.read(10)), lost("read"))
    })
  )

  it.effect("row 6.3: a source that is lost in good order ends the stream; a loss is an error", () =>
    Effect.gen(function* () {
      const ended = yield* handFed()
      ended.end()
      assert.deepStrictEqual(yield* outcome(ended.reader.read(1)), value(""))
      const broken = yield* handFed()
      broken.lose()
      assert.deepStrictEqual(yield* outcome(broken.reader.read(1)), lost("read"))
    })
  )

  it.effect("row 6.3: a stream is over once: what the source says after that changes nothing", () =>
    Effect.gen(function* () {
      const ended = yield* handFed()
      ended.end()
      ended.end()
      ended.lose()
      assert.deepStrictEqual(yield* outcome(ended.reader.read(1)), value(""))
      assert.isTrue(yield* ended.reader.atEof)
      const broken = yield* handFed()
      broken.lose()
      broken.lose(new StreamError.ConnectionLost({ operation: "source", kind: "TimedOut" }))
      broken.end()
      assert.deepStrictEqual(yield* outcome(broken.reader.read(1)), lost("read"))
      assert.isFalse(yield* broken.reader.atEof)
    })
  )

  it.effect("row 6.4: atEof is true once the stream has ended and nothing is left", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      assert.isFalse(yield* reader.atEof)
      feed("some data\n")
      assert.isFalse(yield* reader.atEof)
      yield* reader.readLine
      assert.isFalse(yield* reader.atEof)
      feed("some data\n")
      end()
      assert.isFalse(yield* reader.atEof)
      yield* reader.readLine
      assert.isTrue(yield* reader.atEof)
      yield* reader.unread(bytes("x"))
      assert.isFalse(yield* reader.atEof)
      yield* reader.skip(1)
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 6.4: atEof knows of an end that no read has met", () =>
    Effect.gen(function* () {
      const { end, reader } = yield* handFed()
      end()
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("row 6.4: atEof is false after a loss, with bytes left and without", () =>
    Effect.gen(function* () {
      const { feed, lose, reader } = yield* handFed()
      feed("a")
      lose()
      assert.isFalse(yield* reader.atEof)
      yield* reader.read(1)
      assert.isFalse(yield* reader.atEof)
    })
  )

  for (const read of reads) {
    it.effect(`row 6.6: the end wakes ${read.title}, and so does a loss`, () =>
      Effect.gen(function* () {
        const ended = yield* handFed()
        const waiting = yield* start(effectOf(ended.reader, read.request))
        assert.isTrue(waits(waiting))
        ended.end()
        assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), read.atEnd)

        const broken = yield* handFed()
        const alsoWaiting = yield* start(effectOf(broken.reader, read.request))
        assert.isTrue(waits(alsoWaiting))
        broken.lose()
        assert.deepStrictEqual(yield* outcome(Fiber.join(alsoWaiting)), lost(read.request.name))
      })
    )

    it.effect(`row 6.6: a ${read.title} that was interrupted is not woken, and the next one meets the end`, () =>
      Effect.gen(function* () {
        const { end, reader } = yield* handFed()
        const waiting = yield* start(effectOf(reader, read.request))
        yield* Fiber.interrupt(waiting)
        end()
        assert.deepStrictEqual(yield* outcome(effectOf(reader, read.request)), read.atEnd)
      })
    )
  }
})
