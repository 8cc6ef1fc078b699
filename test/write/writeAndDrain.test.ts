/** Section 8 of the asyncio semantics, row by row: `write`, `drain` and the watermarks. */
import { assert, describe, it } from "@effect/vitest"
import { StreamError } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { pattern } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { defectOf, start, startAll, waits } from "../support/fibers.ts"
import { turns } from "../support/wait.ts"

const marks = { highWaterMark: 100, lowWaterMark: 25 }

describe("section 8: write, drain, watermarks", () => {
  it.effect("row 8.1: write waits above the high-water mark, where CPython's never does", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...marks, takes: false })
      yield* writer.write(pattern(101))
      const second = yield* start(writer.write("second"))
      yield* turns()
      assert.isTrue(waits(second))
      assert.strictEqual(yield* writer.buffered, 101)
      transport.drain()
      yield* Fiber.join(second)
      yield* turns()
      assert.deepStrictEqual(transport.writesText[1], "second")
    })
  )

  it.effect("row 8.1: writeUnsafe is CPython's write: it never waits, and says when to drain", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...marks, takes: false })
      assert.isTrue(writer.writeUnsafe(pattern(100)))
      assert.isFalse(writer.writeUnsafe("x"))
      for (let i = 0; i < 50; i++) assert.isFalse(writer.writeUnsafe(pattern(100)))
      assert.strictEqual(yield* writer.buffered, 5101)
      transport.accept()
      transport.drain()
      assert.strictEqual(transport.sent.length, 5101)
      assert.isTrue(writer.writeUnsafe("x"))
    })
  )

  it.effect("row 8.1: writeUnsafe of more than the high-water mark is fine if the system takes it at once", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...marks, takes: true })
      assert.isTrue(writer.writeUnsafe(pattern(101)))
      assert.strictEqual(transport.sent.length, 101)
    })
  )

  it.effect("row 8.2: write takes bytes and text, and dies of anything else", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (const wrong of [42, null, undefined, true, [1, 2], { length: 1 }, new ArrayBuffer(4), new Uint16Array(2)]) {
        const defects = [
          yield* defectOf(writer.write(wrong as never)),
          yield* defectOf(writer.writeAll(["before", wrong as never, "after"])),
          yield* defectOf(Effect.sync(() => writer.writeUnsafe(wrong as never)))
        ]
        for (const [index, operation] of ["write", "writeAll", "writeUnsafe"].entries()) {
          const defect = defects[index]
          assert.instanceOf(defect, TypeError)
          assert.match((defect as TypeError).message, new RegExp(`^${operation}: .*Uint8Array`))
          assert.include((defect as TypeError).message, wrong === null ? "null" : typeof wrong)
        }
      }
      const holed = ["before"]
      holed[2] = "after"
      for (const chunks of [holed, new Set<string>(holed)]) {
        assert.instanceOf(yield* defectOf(writer.writeAll(chunks)), TypeError)
        assert.instanceOf(yield* defectOf(Effect.as(writer.writeAll(chunks), 0)), TypeError)
        assert.instanceOf(yield* defectOf(Effect.sync(() => writer.writeAllUnsafe(chunks))), TypeError)
      }
      yield* writer.flush
      assert.strictEqual(transport.sentText, "", "nothing of a wrong call is written")
      yield* writer.write(Buffer.from("a buffer "))
      yield* writer.write(pattern(3).subarray(1, 1))
      yield* writer.write("and text")
      yield* writer.flush
      assert.strictEqual(transport.sentText, "a buffer and text")
    })
  )

  it.effect("row 8.3: write after writeEof fails, also with nothing to write", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      yield* writer.writeEof
      for (const data of ["x", "", new Uint8Array(0)]) {
        const error = yield* Effect.flip(writer.write(data))
        assert.instanceOf(error, StreamError.ClosedStream)
        assert.deepInclude(error, { operation: "write", reason: "Eof" })
      }
    })
  )

  it.effect("row 8.4: writing nothing is a no-op otherwise", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write("")
      yield* writer.write(new Uint8Array(0))
      yield* writer.writeAll([])
      yield* writer.writeAll(["", new Uint8Array(0)])
      assert.isTrue(writer.writeUnsafe(""))
      yield* writer.flush
      yield* turns()
      assert.deepStrictEqual(transport.calls, ["attach"])
      assert.strictEqual(yield* writer.buffered, 0)
    })
  )

  it.effect("row 8.5: write after close fails, where CPython drops it in silence", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.close
      for (let i = 0; i < 7; i++) {
        const error = yield* Effect.flip(writer.write("dropped"))
        assert.instanceOf(error, StreamError.ClosedStream)
        assert.deepInclude(error, { operation: "write", reason: "Closed" })
      }
      assert.deepStrictEqual(transport.writes, [])
    })
  )

  it.effect("row 8.5: write after close fails while the buffer is still being sent, where CPython sends it too", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.write("HEAD")
      const closing = yield* start(writer.close)
      const error = yield* Effect.flip(writer.write("TAIL"))
      assert.deepInclude(error, { _tag: "ClosedStream", operation: "write", reason: "Closed" })
      transport.drain()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assert.strictEqual(transport.sentText, "HEAD")
    })
  )

  it.effect("row 8.6: up to 4,096 bytes are copied: changing the array after write changes nothing", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (const size of [1, 100, 4096]) {
        const data = new Uint8Array(size).fill(65)
        yield* writer.write(data)
        data.fill(90)
        yield* writer.flush
        assert.deepStrictEqual(transport.writes.at(-1), new Uint8Array(size).fill(65))
      }
    })
  )

  it.effect("row 8.6: above 4,096 bytes a view is kept, as documented", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const memory: Array<ArrayBufferLike> = []
      transport.onWrite = (chunks) => memory.push(...chunks.map((chunk) => chunk.buffer))
      const small = pattern(4096)
      yield* writer.write(small)
      yield* writer.flush
      const large = pattern(4097)
      yield* writer.write(large)
      yield* writer.flush
      assert.notStrictEqual(memory[0], small.buffer)
      assert.strictEqual(memory[1], large.buffer)
    })
  )

  describe("row 8.7: watermark options", () => {
    const cases = [
      ["neither", {}, 65536, 16384],
      ["high only", { highWaterMark: 1000 }, 1000, 250],
      ["high not divisible by four", { highWaterMark: 7 }, 7, 1],
      ["low only", { lowWaterMark: 1000 }, 4000, 1000],
      ["low of 0 only", { lowWaterMark: 0 }, 0, 0],
      ["high of 0", { highWaterMark: 0 }, 0, 0],
      ["both", { highWaterMark: 30, lowWaterMark: 20 }, 30, 20],
      ["both alike", { highWaterMark: 30, lowWaterMark: 30 }, 30, 30],
      ["undefined as left out", { highWaterMark: undefined, lowWaterMark: undefined }, 65536, 16384]
    ] as const
    for (const [name, options, high, low] of cases) {
      it.effect(`row 8.7: ${name}`, () =>
        Effect.gen(function* () {
          const { writer } = yield* fake(options)
          assert.strictEqual(writer.highWaterMark, high)
          assert.strictEqual(writer.lowWaterMark, low)
        })
      )
    }

    const wrong = [
      ["low above high", { highWaterMark: 10, lowWaterMark: 11 }],
      ["a fraction", { highWaterMark: 10.5 }],
      ["negative high", { highWaterMark: -1 }],
      ["negative low", { lowWaterMark: -1 }],
      ["negative low below high", { highWaterMark: 10, lowWaterMark: -1 }],
      ["not a number", { highWaterMark: Number.NaN }],
      ["low not a number", { highWaterMark: 10, lowWaterMark: Number.NaN }]
    ] as const
    for (const [name, options] of wrong) {
      it.effect(`row 8.7: ${name} dies`, () =>
        Effect.gen(function* () {
          const defect = yield* defectOf(fake(options))
          assert.instanceOf(defect, RangeError)
          const message = (defect as RangeError).message
          assert.match(message, /^Connection\.fromTransport: /)
          // who is right beside a wrong one need not be named
          const named = Object.entries(options).filter(([option]) => message.includes(option))
          assert.isNotEmpty(named)
          for (const [, value] of named) assert.include(message, String(value))
        })
      )
    }

    it.effect("row 8.7: a high-water mark of 0 waits behind every write that the system does not take at once", () =>
      Effect.gen(function* () {
        const { transport, writer } = yield* fake({ highWaterMark: 0, takes: true })
        yield* writer.write("taken at once")
        yield* writer.write("so is this")
        transport.hold()
        yield* writer.write("held")
        const next = yield* start(writer.write("next"))
        yield* turns()
        assert.isTrue(waits(next))
        transport.accept()
        transport.drain()
        yield* Fiber.join(next)
        assert.strictEqual(transport.sentText, "taken at onceso is thisheldnext")
      })
    )
  })

  it.effect("row 8.8: pauses above the high-water mark, not at it", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake({ ...marks, takes: false })
      yield* writer.write(pattern(100))
      yield* writer.drain
      yield* writer.write("x")
      const [drain, write] = yield* startAll([writer.drain, writer.write("y")])
      yield* turns()
      assert.isTrue(waits(drain!))
      assert.isTrue(waits(write!))
      assert.strictEqual(yield* writer.buffered, 101)
    })
  )

  it.effect("row 8.8: resumes at the low-water mark, not above it", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...marks, takes: false })
      // what is written while the first is held is what remains when that has gone out
      for (const [remains, goesOn] of [
        [26, false],
        [25, true]
      ] as const) {
        writer.writeUnsafe(pattern(101))
        yield* turns()
        writer.writeUnsafe(pattern(remains))
        const drain = yield* start(writer.drain)
        transport.drain()
        yield* turns()
        assert.strictEqual(yield* writer.buffered, remains)
        assert.strictEqual(waits(drain), !goesOn, `drain with ${remains} bytes left`)
        transport.drainAll()
        yield* Fiber.join(drain)
      }
    })
  )

  it.effect("row 8.8: stays paused between the two marks, whichever way it got there", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...marks, takes: false })
      // never above the high mark: no drain waits, at 60 bytes or at 100
      writer.writeUnsafe(pattern(60))
      yield* turns()
      yield* writer.drain
      writer.writeUnsafe(pattern(40))
      yield* writer.drain
      // above it once: drain waits until the low mark, also with 60 bytes
      assert.isFalse(writer.writeUnsafe(pattern(20)))
      transport.drain()
      yield* turns()
      assert.strictEqual(yield* writer.buffered, 60)
      const drain = yield* start(writer.drain)
      yield* turns()
      assert.isTrue(waits(drain))
      transport.drain()
      yield* Fiber.join(drain)
    })
  )

  it.effect("row 8.9: drain returns at once when never paused, with bytes still unsent: it is not flush", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...marks, takes: false })
      yield* writer.write("unsent")
      yield* writer.drain
      assert.strictEqual(yield* writer.buffered, 6)
      const flush = yield* start(writer.flush)
      yield* turns()
      assert.isTrue(waits(flush))
      transport.drain()
      yield* Fiber.join(flush)
      assert.strictEqual(yield* writer.buffered, 0)
    })
  )

  it.effect("row 8.10: drain fails of a loss at once, also when never paused and with nothing written", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      transport.lose()
      const error = yield* Effect.flip(writer.drain)
      assert.instanceOf(error, StreamError.ConnectionLost)
      assert.deepInclude(error, { operation: "drain", kind: "Reset", code: "ECONNRESET" })
    })
  )

  it.effect(
    "row 8.10: drain in a loop that only writes learns of the loss, which CPython's yield while closing is for",
    () =>
      Effect.gen(function* () {
        const { transport, writer } = yield* fake()
        const loop = yield* start(
          Effect.forever(
            Effect.gen(function* () {
              yield* writer.write("x")
              yield* writer.drain
            })
          )
        )
        yield* turns()
        assert.isTrue(waits(loop))
        transport.failWriting()
        const error = yield* Effect.flip(Fiber.join(loop))
        assert.deepInclude(error, { _tag: "ConnectionLost", kind: "BrokenPipe" })
      })
  )

  it.effect("row 8.11: drain that waits while the connection is lost fails with the loss", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...marks, takes: false })
      yield* writer.write(pattern(101))
      const drain = yield* start(Effect.flip(writer.drain))
      transport.lose()
      assert.deepInclude(yield* Fiber.join(drain), { _tag: "ConnectionLost", operation: "drain", kind: "Reset" })
    })
  )

  it.effect(
    "row 8.11: drain that waits during this side's abort fails: bytes were dropped, where CPython succeeds",
    () =>
      Effect.gen(function* () {
        const { connection, writer } = yield* fake({ ...marks, takes: false })
        yield* writer.write(pattern(101))
        const drain = yield* start(Effect.flip(writer.drain))
        yield* connection.abort
        assert.deepInclude(yield* Fiber.join(drain), { _tag: "ClosedStream", operation: "drain", reason: "Aborted" })
      })
  )

  it.effect("row 8.12: drain after this side's close is ClosedStream, where CPython claims a reset by nobody", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assert.deepInclude(yield* Effect.flip(writer.drain), {
        _tag: "ClosedStream",
        operation: "drain",
        reason: "Closed"
      })
    })
  )

  it.effect("row 8.13: writeAll is one write of the concatenation", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeAll(["a", new Uint8Array([98]), "", "c"])
      yield* writer.flush
      assert.deepStrictEqual(transport.writesText, ["abc"])
    })
  )

  it.effect("row 8.13: writeAll is one write of the concatenation, also when it is large", () =>
    Effect.gen(function* () {
      for (const options of [{}, { highWaterMark: 1_000_000 }]) {
        const { transport, writer } = yield* fake(options)
        const parts = [pattern(100), pattern(70_000), new Uint8Array([13, 10])]
        yield* writer.writeAll(parts)
        yield* writer.flush
        assert.deepStrictEqual(
          transport.writes.map((write) => write.length),
          [70_102]
        )
      }
    })
  )

  it.effect("row 8.13: writeAll is held back by the watermarks, where CPython 3.12.0 to 3.13.0 never paused", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake({ takes: false })
      const chunk = pattern(65536)
      yield* writer.writeAll(Array.from({ length: 320 }, () => chunk))
      assert.strictEqual(yield* writer.buffered, 320 * 65536)
      const fibers = yield* startAll([writer.drain, writer.writeAll(["more"])])
      yield* turns()
      for (const fiber of fibers) assert.isTrue(waits(fiber))
      assert.strictEqual(yield* writer.buffered, 320 * 65536)
    })
  )

  it.effect("row 8.13: writeAll after close is typed, where CPython 3.12 trips over None", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      yield* writer.close
      assert.deepInclude(yield* Effect.flip(writer.writeAll(["x"])), {
        _tag: "ClosedStream",
        operation: "writeAll",
        reason: "Closed"
      })
    })
  )
})
