/** Two connected ends and nothing more, with and without a buffer between them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Connection, StreamReader } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { duplexPair } from "node:stream"
import { bytes, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"

describe("pair", () => {
  it.effect("carries bytes both ways, without a clock to adjust", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      yield* left.writer.write("ping\n")
      assert.strictEqual(text(yield* right.reader.readLine), "ping\n")
      yield* right.writer.write("pong\n")
      assert.strictEqual(text(yield* left.reader.readLine), "pong\n")
      assert.strictEqual((yield* left.writer.close)._tag, "Graceful")
      assert.strictEqual((yield* right.reader.readLine).length, 0)
    })
  )

  it.effect("gives both ends the options of a connection", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ limit: 17, highWaterMark: 100, timeouts: { idle: "1 minute" } })
      for (const end of [left, right]) {
        assert.strictEqual(end.reader.limit, 17)
        assert.strictEqual(end.writer.highWaterMark, 100)
      }
      const reading = yield* start(Effect.flip(left.reader.read(1)))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(reading))._tag, "StreamTimeout")
    })
  )

  it.effect("nothing is delivered inside the call that sends it", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      left.writer.writeUnsafe(new Uint8Array(70_000))
      assert.strictEqual(yield* right.reader.buffered, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* right.reader.buffered, 70_000)
    })
  )

  it.effect("ends with its scope, whatever is unsent, in no time", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { left } = yield* Scope.provide(TestNetwork.pair({ fromClient: { capacity: 1 } }), scope)
      yield* left.writer.write(new Uint8Array(10_000))
      const closing = yield* start(Scope.close(scope, Exit.void))
      yield* Fiber.join(closing)
      assert.strictEqual((yield* left.writer.close)._tag, "Aborted")
    })
  )

  it.effect("knows what crossed its wire; other connections do not", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ seed: 5 })
      yield* left.writer.write('say "hi"\n')
      yield* right.reader.readLine
      yield* right.writer.writeEof
      yield* left.reader.read(1)
      const page = ["seed 5", "no faults", "        ms", '     0.000  #1 client → 9 B at 0  "say \\"hi\\"\\n"']
      page.push("     0.000  #1 server → FIN")
      assert.strictEqual(TestNetwork.timelineOf(left), page.join("\n"))
      assert.strictEqual(TestNetwork.timelineOf(right), page.join("\n"))
      const [duplex] = duplexPair()
      assert.isUndefined(TestNetwork.timelineOf(yield* Connection.fromDuplex(duplex)))
    })
  )
})

describe("lockstep", () => {
  it.effect("a write is complete when the other end has read it, and not before", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep()
      const writing = yield* start(left.writer.write("hello"))
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(writing))
      assert.strictEqual(yield* right.reader.buffered, 0)
      assert.strictEqual(text(yield* right.reader.readExactly(3)), "hel")
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(writing))
      assert.strictEqual(text(yield* right.reader.read(100)), "lo")
      yield* Fiber.join(writing)
    })
  )

  it.effect("a read takes no more than it needs", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep()
      const { reader } = right
      yield* start(left.writer.write("line\n12345until|peek"))
      for (const [read, expected] of [
        [reader.readLine, "line\n"],
        [reader.readExactly(5), "12345"],
        [reader.readUntil("|"), "until|"]
      ] as const) {
        const taken: Effect.Effect<Uint8Array, unknown> = read
        assert.strictEqual(text(yield* taken), expected)
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* reader.buffered, 0)
      }
      assert.strictEqual(text(yield* reader.peek(2)), "pe")
      assert.strictEqual(yield* reader.buffered, 2)
    })
  )

  it.effect("a read of a part of a reader takes what it needs, and no more, and so does a long skip", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep({ limit: 4 })
      const { reader } = right
      const part = (read: (part: StreamReader.StreamReader) => Effect.Effect<Uint8Array | void, unknown>) =>
        Effect.scoped(Effect.flatMap(StreamReader.limited(reader, 6), read))
      yield* start(left.writer.writeAll(["123456", "123456", "123456", "skipped", "skipped", "rest"]))
      for (const [read, taken] of [
        [(part) => part.readExactly(6), 6],
        [(part) => part.read(100), 1],
        [(part) => part.skip(5), 5],
        [(part) => part.readAll({ maxBytes: 10 }), 6]
      ] as ReadonlyArray<
        readonly [(part: StreamReader.StreamReader) => Effect.Effect<Uint8Array | void, unknown>, number]
      >) {
        const bytes = yield* part(read)
        if (bytes !== undefined) assert.strictEqual(bytes.length, taken)
        assert.strictEqual(yield* reader.buffered, 0)
      }
      yield* reader.skip(14)
      assert.strictEqual(yield* reader.buffered, 0)
      assert.strictEqual(text(yield* reader.read(10)), "rest")
    })
  )

  it.effect("a read that is given up takes nothing", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep()
      const reading = yield* start(right.reader.read(5))
      yield* Fiber.interrupt(reading)
      const writing = yield* start(left.writer.write("later"))
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(writing))
      assert.strictEqual(yield* right.reader.buffered, 0)
      assert.strictEqual(text(yield* right.reader.read(5)), "later")
    })
  )

  it.effect("the end needs no reader", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep()
      yield* left.writer.writeEof
      assert.strictEqual((yield* right.closed)._tag, "PeerEof")
    })
  )

  it.effect("writes of many fibers go in line, one at a time", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep()
      const writers = []
      for (const word of ["one ", "two ", "three "]) writers.push(yield* start(left.writer.writeAll([word, word])))
      assert.strictEqual(text(yield* right.reader.readExactly(8)), "one one ")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(writers.map(waits), [false, true, true])
      assert.strictEqual(text(yield* right.reader.readExactly(20)), "two two three three ")
      for (const writer of writers) yield* Fiber.join(writer)
    })
  )

  it.effect("closing at both ends at once does not lock, whatever is unread", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep()
      for (const end of [left, right]) yield* start(Effect.ignore(end.writer.write(bytes("unread"))))
      const closing = yield* start(Effect.all([left.writer.close, right.writer.close], { concurrency: "unbounded" }))
      const outcomes = yield* Fiber.join(closing)
      assert.deepStrictEqual(
        outcomes.map((outcome) => outcome._tag),
        ["Graceful", "Graceful"]
      )
    })
  )
})
