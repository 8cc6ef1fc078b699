/** A reader whose reads have a bound of their own: `reader.within(duration)`. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, Scheduler, Scope, Stream } from "effect"
import { Frame, NodeNetwork, openConnection, startServer, StreamReader } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { TestClock } from "effect/testing"
import { text } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { defectOf, start, startUnderClock, waits } from "../support/fibers.ts"
import { handFed, held, outcome } from "../support/handFed.ts"
import { countingClock, timeoutOf } from "../support/timeouts.ts"
import { Restless } from "../support/yieldingSchedulers.ts"

describe("within", () => {
  it.effect("the read that waited too long fails; it has taken nothing, and the reader goes on", () =>
    Effect.gen(function* () {
      const { connection, reader, transport } = yield* fake()
      const reading = yield* start(reader.within("10 seconds").readLine)
      transport.push("half a li")
      yield* TestClock.adjust("9 seconds")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 second")
      const { duration, kind, operation } = yield* timeoutOf(reading)
      assert.deepStrictEqual([kind, operation, Duration.toMillis(duration)], ["Read", "readLine", 10_000])
      assert.strictEqual(transport.count("abort"), 0)
      assert.isFalse(yield* connection.writer.isClosing)
      transport.push("ne\n")
      assert.strictEqual(text(yield* reader.readLine), "half a line\n")
    })
  )

  const operations: Record<string, (reader: StreamReader.StreamReader) => Effect.Effect<unknown, unknown>> = {
    read: (reader) => reader.read(10),
    readInto: (reader) => reader.readInto(new Uint8Array(10)),
    readOption: (reader) => reader.readOption(10),
    readAll: (reader) => reader.readAll({ maxBytes: 10 }),
    readExactly: (reader) => reader.readExactly(3),
    readExactlyOption: (reader) => reader.readExactlyOption(3),
    readUntil: (reader) => reader.readUntil("\n"),
    readUntilOption: (reader) => reader.readUntilOption("\n"),
    readLine: (reader) => reader.readLine,
    readLineOption: (reader) => reader.readLineOption,
    readLineText: (reader) => reader.readLineText,
    readLineWith: (reader) => reader.readLineWith({ end: "required", keepDelimiter: false }),
    readFrame: (reader) => reader.readFrame(Frame.uint16),
    readFrameOption: (reader) => reader.readFrameOption(Frame.uint16),
    readFrames: (reader) => reader.readFrames(Frame.uint16),
    frames: (reader) => Stream.runDrain(StreamReader.frames(reader, Frame.uint16)),
    peek: (reader) => reader.peek(3),
    skip: (reader) => reader.skip(3),
    "skip of many": (reader) => reader.skip(100_000),
    discardUntil: (reader) => reader.discardUntil("\n"),
    pull: (reader) => reader.pull,
    lines: (reader) => Stream.runDrain(StreamReader.lines(reader)),
    stream: (reader) => Stream.runDrain(StreamReader.stream(reader)),
    take: (reader) => Stream.runDrain(StreamReader.take(reader, 3)),
    limited: (reader) => Effect.scoped(Effect.flatMap(StreamReader.limited(reader, 3), (part) => part.readExactly(3)))
  }

  it.effect("reaches every read, and whatever is made of it", () =>
    Effect.gen(function* () {
      // what never waits
      const others = ["limit", "unread", "atEof", "buffered", "within"]
      const { reader } = yield* handFed()
      const view = reader.within("1 second")
      const members = Object.getOwnPropertyNames(Object.getPrototypeOf(view)).filter(
        (name) => name.startsWith("read") || name in operations
      )
      for (const name of members) if (!others.includes(name)) assert.isDefined(operations[name], name)
      for (const [name, operation] of Object.entries(operations)) {
        const reading = yield* start(operation(view))
        yield* TestClock.adjust(999)
        assert.isTrue(waits(reading), name)
        yield* TestClock.adjust(1)
        assert.isFalse(waits(reading), name)
        assert.strictEqual((yield* timeoutOf(reading as Fiber.Fiber<unknown, any>)).kind, "Read", name)
      }
    })
  )

  it.effect("is the same reader: bytes, limit, what is put back, and one read at a time", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 7 })
      const view = reader.within("1 second")
      const reading = yield* start(view.readExactly(4))
      assert.deepInclude(yield* outcome(reader.read(1)), { error: "StreamBusy", holder: "readExactly" })
      feed("abcdef")
      assert.strictEqual(text(yield* Fiber.join(reading)), "abcd")
      yield* view.unread(new Uint8Array([120]))
      assert.strictEqual(yield* held(reader), "xef")
      assert.deepStrictEqual([view.limit, yield* view.buffered, yield* view.atEof], [7, 3, false])
      const other = yield* start(reader.readExactly(9))
      assert.deepInclude(yield* outcome(view.read(1)), { error: "StreamBusy" })
      yield* TestClock.adjust("1 hour")
      assert.isTrue(waits(other))
    })
  )

  it.effect("of a view replaces its bound, also by none", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      const view = reader.within("1 second")
      const longer = yield* start(view.within("1 minute").readLine)
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(waits(longer))
      yield* TestClock.adjust("1 second")
      yield* timeoutOf(longer)
      const unbounded = yield* start(view.within("Infinity").readLine)
      yield* TestClock.adjust("100 days")
      assert.isTrue(waits(unbounded))
    })
  )

  it.effect("replaces timeouts.read for its reads, longer or shorter, and for no others", () =>
    Effect.gen(function* () {
      const { reader } = yield* fake({ timeouts: { read: "10 seconds" } })
      for (const [within, millis] of [
        ["1 second", 1000],
        ["1 minute", 60_000],
        ["1 second", 1000],
        [undefined, 10_000]
      ] as const) {
        const reading = yield* start((within === undefined ? reader : reader.within(within)).readLine)
        yield* TestClock.adjust(millis - 1)
        assert.isTrue(waits(reading))
        yield* TestClock.adjust(1)
        assert.strictEqual(Duration.toMillis((yield* timeoutOf(reading)).duration), millis)
      }
      const unbounded = yield* start(reader.within("Infinity").readLine)
      yield* TestClock.adjust("100 days")
      assert.isTrue(waits(unbounded))
    })
  )

  it.effect("leaves the other timeouts as they are", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ timeouts: { idle: "1 minute" } })
      for (let i = 0; i < 2; i++) {
        const reading = yield* start(reader.within("20 seconds").readLine)
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
      }
      const last = yield* start(reader.within("1 hour").readLine)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* timeoutOf(last)).kind, "Idle")
      assert.strictEqual(transport.count("abort"), 1)
    })
  )

  it.effect("a read that is answered costs no timer, those that follow each other share one, and none is left", () =>
    Effect.gen(function* () {
      const { counted, run } = yield* countingClock
      yield* run(
        Effect.gen(function* () {
          for (const timeouts of [undefined, { write: "1 hour" }] as const) {
            const { reader, transport } = yield* fake(timeouts === undefined ? {} : { timeouts })
            const view = reader.within("10 seconds")
            const before = counted.sleeps
            transport.push("a\n")
            yield* view.readLine
            assert.strictEqual(counted.sleeps, before)
            const reading = yield* start(Effect.forEach(Array.from({ length: 100 }), () => view.readLine))
            for (let i = 0; i < 100; i++) {
              assert.strictEqual(counted.sleeping, 1)
              transport.push("a\n")
            }
            yield* Fiber.join(reading)
            assert.strictEqual(counted.sleeps, before + 1)
            yield* Effect.yieldNow
            assert.strictEqual(counted.sleeping, 0)
            // interrupted, timed out and broken
            const interrupted = yield* start(view.readLine)
            assert.strictEqual(counted.sleeping, 1)
            yield* Fiber.interrupt(interrupted)
            yield* Effect.yieldNow
            assert.strictEqual(counted.sleeping, 0)
            const late = yield* start(view.readLine)
            yield* TestClock.adjust("10 seconds")
            yield* timeoutOf(late)
            assert.strictEqual(counted.sleeping, 0)
            const broken = yield* start(view.readLine)
            transport.lose()
            yield* Fiber.await(broken)
            yield* Effect.yieldNow
            assert.strictEqual(counted.sleeping, 0)
          }
        })
      )
    })
  )

  it.effect("bounds of phases: one that is shorter strikes behind one that is longer", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const idle = reader.within("1 minute")
      const body = reader.within("5 seconds")
      for (let i = 0; i < 3; i++) {
        const head = yield* start(idle.readLine)
        yield* TestClock.adjust("59 seconds")
        feed("head\n")
        yield* Fiber.join(head)
        const rest = yield* start(body.readExactly(4))
        yield* TestClock.adjust("4999 millis")
        assert.isTrue(waits(rest))
        yield* TestClock.adjust(1)
        yield* timeoutOf(rest)
      }
    })
  )

  it.effect("of a part bounds one read, however many pieces come for it", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const scope = yield* Scope.make()
      const part = yield* Scope.provide(StreamReader.limited(reader, 10), scope)
      const reading = yield* start(part.within("10 seconds").readExactly(5))
      for (const piece of ["a", "b", "c"]) {
        yield* TestClock.adjust("3 seconds")
        feed(piece)
      }
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* timeoutOf(reading)).operation, "readExactly")
      feed("def")
      assert.strictEqual(text(yield* part.readExactly(4)), "abcd")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* held(reader), "ef")
    })
  )

  it.effect("goes by the clock of the fiber that reads, for readers of any source", () =>
    Effect.gen(function* () {
      const pulled = yield* StreamReader.fromPull(Effect.never)
      const part = yield* StreamReader.limited((yield* handFed()).reader, 10)
      for (const reader of [pulled, part, (yield* handFed()).reader]) {
        for (const begin of [start, startUnderClock]) {
          const reading = yield* begin(reader.within("1 hour").readLine)
          yield* TestClock.adjust("1 hour")
          assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
        }
      }
      const there = (yield* StreamReader.fromBytes("there\n")).within(1)
      assert.deepStrictEqual(Option.getOrNull(yield* there.readLineText), "there")
      assert.isTrue(Option.isNone(yield* there.readLineText))
    })
  )

  it.live("and by the time that passes", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      const view = reader.within("5 millis")
      for (let i = 0; i < 3; i++) {
        const error = yield* Effect.flip(view.readLine)
        assert(error._tag === "StreamTimeout")
      }
    }).pipe(Effect.timeout("10 seconds"))
  )

  const session = Effect.gen(function* () {
    const server = yield* startServer({ host: "127.0.0.1", port: 0, gracePeriod: 0 }, ({ writer }) =>
      Effect.andThen(writer.write("hal"), Effect.never)
    )
    const { reader } = yield* openConnection({ host: "127.0.0.1", port: server.port })
    const error = yield* Effect.flip(reader.within("20 millis").readLine)
    assert(error._tag === "StreamTimeout" && error.kind === "Read")
    assert.strictEqual(error.message, `readLine: the Read timeout of 20ms expired (127.0.0.1:${server.port})`)
    return text(yield* reader.readExactly(3))
  }).pipe(Effect.scoped)

  it.live("on a socket, and on a network in memory", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.provide(session, NodeNetwork.layer), "hal")
      assert.strictEqual(yield* TestNetwork.simulate(session, { fromServer: { chunking: "oneByte" } }), "hal")
    }).pipe(Effect.timeout("20 seconds"))
  )

  it.effect("of a connection without a buffer between its ends", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.lockstep()
      const view = left.reader.within("1 second")
      const reading = yield* start(view.readExactly(5))
      const writing = yield* start(right.writer.write("abc"))
      yield* TestClock.adjust("999 millis")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
      const rest = yield* start(right.writer.write("de"))
      assert.strictEqual(text(yield* view.readExactly(5)), "abcde")
      yield* Fiber.join(writing)
      yield* Fiber.join(rest)
    })
  )

  it.effect("a read that waits under any scheduler", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      const read = reader.within("1 second").read(1)
      const reading = yield* start(Effect.provideService(read, Scheduler.Scheduler, new Restless(1)))
      yield* TestClock.adjust("999 millis")
      assert.isTrue(waits(reading))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
    })
  )

  it.effect("a wrong duration dies, with what it was", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      for (const [wrong, shown] of [
        [0, "0"],
        [-1, "-1"],
        [NaN, "NaN"],
        ["5 secs", '"5 secs" (string)'],
        [undefined, "undefined"],
        [{}, "[object Object] (Object)"]
      ] as const) {
        const message = String(yield* defectOf(Effect.suspend(() => reader.within(wrong as never).readLine)))
        assert.include(message, "within: duration must be a duration above 0")
        assert.isTrue(message.endsWith(`, got ${shown}`), message)
      }
    })
  )
})
