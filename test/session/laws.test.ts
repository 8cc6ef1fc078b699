/**
 * The laws of byte streams that trio's test kit checks, for one end of a connection, each under its number. Not here:
 * L15 (a cancelled close closes) and L17 and L22 (closing wakes whoever waits) are in `close.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { bytes, pattern, text } from "../support/bytes.ts"
import { assertBytes } from "../support/assertBytes.ts"
import { concat, fake } from "../support/fakeTransport.ts"
import { defectOf, start, startAll, waits } from "../support/fibers.ts"
import { turns } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

/** A connection whose peer does not read: one write has filled it. */
const clogged = Effect.gen(function* () {
  const faked = yield* fake({ takes: false, highWaterMark: 10, lowWaterMark: 0 })
  yield* faked.writer.write("more than ten bytes")
  return faked
})

describe("one way", () => {
  it.effect("trio L0 deviates: an operation that need not wait is done without letting others run", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      transport.push("0123456789")
      let others = 0
      yield* Effect.forkChild(Effect.sync(() => others++))
      // as the iterator of a generator, and as ordinary effects
      assert.strictEqual(text(yield* reader.read(1)), "0")
      yield* writer.write("x")
      yield* writer.drain
      yield* Effect.andThen(writer.write("x"), reader.readExactly(2))
      yield* Effect.andThen(writer.flush, writer.drain)
      assert.strictEqual(others, 0)
      yield* Effect.yieldNow
      assert.strictEqual(others, 1)
    })
  )

  it.effect("trio L1: one byte sent is sent, one byte received is received", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      yield* writer.write(new Uint8Array([120]))
      yield* writer.flush
      assert.deepStrictEqual(transport.sent, bytes("x"))
      const read = yield* start(reader.read(100))
      assert.isTrue(waits(read))
      transport.push(new Uint8Array([121]))
      assert.deepStrictEqual(yield* Fiber.join(read), bytes("y"))
    })
  )

  it.effect("trio L2: no bytes carry no meaning, sent or received", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      yield* writer.write("")
      yield* writer.write("x")
      yield* writer.write(new Uint8Array(0))
      yield* writer.flush
      assert.deepStrictEqual(transport.writesText, ["x"])
      const read = yield* start(reader.read(100))
      transport.push(new Uint8Array(0))
      yield* turns()
      assert.isTrue(waits(read))
      transport.push("y")
      assert.deepStrictEqual(yield* Fiber.join(read), bytes("y"))
    })
  )

  it.effect("trio L3: every kind of byte array is accepted", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const shared = new Uint8Array(new SharedArrayBuffer(4))
      shared.set(bytes("dddd"))
      const kinds = [bytes("aaaa"), Buffer.from("bbbb"), bytes("xccccx").subarray(1, 5), shared]
      for (const kind of kinds) yield* writer.write(kind)
      yield* writer.writeAll(kinds)
      yield* writer.flush
      assert.strictEqual(transport.sentText, "aaaabbbbccccdddd".repeat(2))
    })
  )

  it.effect("trio L4 deviates: a wrong number of bytes dies, but 0 is asyncio's, and answers with none", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake()
      transport.push("x")
      for (const wrong of [-1, 1.5, Number.NaN]) {
        assert.instanceOf(yield* defectOf(reader.read(wrong)), RangeError)
      }
      for (const wrong of ["1", undefined]) assert.instanceOf(yield* defectOf(reader.read(wrong as never)), TypeError)
      assert.strictEqual((yield* reader.read(0)).length, 0)
      assert.deepStrictEqual(yield* reader.read(1), bytes("x"))
    })
  )

  it.effect("trio L5: of two reads at once the second is busy, the first unharmed", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake()
      const first = yield* start(reader.readExactly(3))
      transport.push("ab")
      const second = yield* start(Effect.flip(reader.read(1)))
      assert.deepInclude(yield* Fiber.join(second), { _tag: "StreamBusy", operation: "read", holder: "readExactly" })
      transport.push("c")
      assert.deepStrictEqual(yield* Fiber.join(first), bytes("abc"))
    })
  )

  it.effect("trio L6: drain returns at once while nothing is clogged", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      yield* writer.drain
      yield* writer.write(pattern(100_000))
      const drain = yield* start(writer.drain)
      assert.isFalse(waits(drain))
    })
  )

  it.effect("trio L7, L8: once the receiver is gone a sender is told, and stays told", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const sender = yield* start(
        Effect.flip(
          Effect.gen(function* () {
            while (true) {
              yield* writer.write("x")
              yield* turns(1)
            }
          })
        )
      )
      yield* turns()
      transport.failWriting()
      assert.deepInclude(yield* Fiber.join(sender), { _tag: "ConnectionLost", kind: "BrokenPipe" })
      for (let i = 0; i < 3; i++) {
        assert.deepInclude(yield* Effect.flip(writer.write("x")), { _tag: "ConnectionLost", kind: "BrokenPipe" })
        assert.deepInclude(yield* Effect.flip(writer.drain), { _tag: "ConnectionLost", kind: "BrokenPipe" })
        yield* turns(1)
      }
    })
  )

  it.effect("trio L9, L10, L11: after this side's close, once or twice, everything fails as closed", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* fake()
      yield* writer.close
      yield* writer.close
      for (const effect of [
        reader.read(1),
        reader.readLine,
        writer.write("x"),
        writer.write(""),
        writer.writeAll([]),
        writer.drain,
        writer.flush
      ] as ReadonlyArray<Effect.Effect<unknown, unknown>>) {
        assert.deepInclude(yield* Effect.flip(effect), { _tag: "ClosedStream", reason: "Closed" })
      }
    })
  )

  it.effect("trio L12: what was sent before close arrives before the end, also if the system takes it late", () =>
    Effect.gen(function* () {
      for (const late of [false, true]) {
        const { transport, writer } = yield* fake({ takes: !late })
        yield* writer.write("x")
        yield* writer.write("y")
        const closing = yield* start(writer.close)
        if (late) {
          yield* turns()
          assert.strictEqual(transport.sentText, "")
          assert.notInclude(transport.calls, "close")
          transport.drainAll()
        }
        yield* Fiber.join(closing)
        assert.strictEqual(transport.sentText, "xy")
        assert.strictEqual(transport.calls.at(-1), "close")
      }
    })
  )

  it.effect("trio L12: the end is received behind what was sent, also by a reader that starts later, and repeats", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake()
      transport.push("x")
      transport.push("y")
      transport.pushEnd()
      yield* turns()
      assert.strictEqual(text(yield* reader.readExactly(2)), "xy")
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* reader.read(10)).length, 0)
    })
  )

  it.effect("trio L13: after a forceful close the receiver is closed", () =>
    Effect.gen(function* () {
      const { connection, reader } = yield* fake()
      const waiter = yield* start(Effect.flip(reader.read(1)))
      yield* connection.abort
      assert.deepInclude(yield* Fiber.join(waiter), { _tag: "ClosedStream", reason: "Aborted" })
      assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ClosedStream", reason: "Aborted" })
    })
  )

  it.effect("trio L14: after a forceful close the sender is closed", () =>
    Effect.gen(function* () {
      const { connection, writer } = yield* fake()
      yield* connection.abort
      assert.deepInclude(yield* Effect.flip(writer.write("x")), { _tag: "ClosedStream", reason: "Aborted" })
      assert.deepInclude(yield* Effect.flip(writer.drain), { _tag: "ClosedStream", reason: "Aborted" })
    })
  )

  it.effect("trio L14: after the peer's forceful close the receiver is told, without data and without hanging", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake()
      const waiter = yield* start(Effect.flip(reader.read(1)))
      transport.lose()
      assert.deepInclude(yield* Fiber.join(waiter), { _tag: "ConnectionLost", kind: "Reset" })
      assert.deepInclude(yield* Effect.flip(reader.read(1)), { _tag: "ConnectionLost", kind: "Reset" })
    })
  )

  it.effect("trio L16: an interrupted write or read does not stand in the way of a good close", () =>
    Effect.gen(function* () {
      const { connection, reader, transport, writer } = yield* clogged
      const waiters = yield* startAll<unknown, unknown, never>([writer.write("x"), writer.drain, reader.read(1)])
      yield* Fiber.interruptAll(waiters)
      const closing = yield* start(writer.close)
      transport.drainAll()
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assert.strictEqual(transport.sentText, "more than ten bytes")
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )
})

describe("with a clogged peer", () => {
  it.effect("trio L18: drain waits until the peer starts to read", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* clogged
      const record: Array<string> = []
      const drain = yield* start(
        Effect.andThen(
          writer.drain,
          Effect.sync(() => record.push("drained"))
        )
      )
      yield* turns()
      record.push("the peer reads")
      transport.drain()
      yield* Fiber.join(drain)
      assert.deepStrictEqual(record, ["the peer reads", "drained"])
    })
  )

  it.effect("trio L19 deviates: drain and drain, drain and write may wait together; nobody is busy", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* clogged
      const waiters = yield* startAll([writer.drain, writer.drain, writer.write("x"), writer.drain])
      assert.isTrue(waiters.every(waits))
      transport.accept()
      transport.drain()
      yield* Fiber.joinAll(waiters)
      yield* turns(1)
      assert.strictEqual(transport.sentText, "more than ten bytesx")
    })
  )

  it.effect("trio L20 deviates: write and write wait in line; nobody is busy", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* clogged
      const waiters = yield* startAll(["a", "b", "c"].map((text) => writer.write(text)))
      assert.isTrue(waiters.every(waits))
      transport.accept()
      transport.drain()
      yield* Fiber.joinAll(waiters)
      yield* turns(1)
      assert.strictEqual(transport.sentText, "more than ten bytesabc")
    })
  )

  it.effect("trio L21: the receiver's leaving ends the wait, whichever comes first", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* clogged
      const before = yield* start(Effect.flip(writer.drain))
      assert.isTrue(waits(before))
      transport.lose()
      const after = yield* start(Effect.flip(writer.drain))
      for (const fiber of [before, after]) {
        assert.isFalse(waits(fiber))
        assert.deepInclude(yield* Fiber.join(fiber), { _tag: "ConnectionLost", operation: "drain" })
      }
    })
  )
})

describe("two ways", () => {
  it.effect("trio L23: neither direction waits for the other", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* clogged
      const [write, drain] = yield* startAll([writer.write("x"), writer.drain])
      transport.push("still\n")
      transport.push("heard\n")
      assert.strictEqual(text(yield* reader.readLine), "still\n")
      const read = yield* start(reader.readExactly(100))
      assert.isTrue(waits(write!) && waits(drain!))
      transport.accept()
      transport.drain()
      yield* Fiber.join(write!)
      yield* Fiber.join(drain!)
      assert.isTrue(waits(read))
    })
  )

  it.effect("trio L24: a MiB each way at once, in pieces of any size", () =>
    Effect.gen(function* () {
      const size = 1024 * 1024
      const [output, input] = [pattern(size), pattern(size).reverse()]
      let random = 12345
      const piece = () => ((random = (random * 1103515245 + 12345) & 0x7fffffff) % 16384) + 1
      const { reader, transport, writer } = yield* fake({ takes: () => piece() % 3 === 0, limit: 4096 })
      const writing = yield* start(
        Effect.gen(function* () {
          for (let at = 0, length; at < size; at += length) {
            length = piece()
            yield* writer.write(output.subarray(at, at + length))
          }
          yield* writer.writeEof
        })
      )
      const received: Array<Uint8Array> = []
      const reading = yield* start(
        Effect.gen(function* () {
          while (true) {
            const chunk = yield* reader.read(piece())
            if (chunk.length === 0) return
            received.push(chunk)
          }
        })
      )
      for (let at = 0; waits(writing) || waits(reading);) {
        if (transport.holding) transport.drain()
        const held = transport.calls.lastIndexOf("pause") > transport.calls.lastIndexOf("resume")
        if (at < size && !held) {
          const length = piece()
          transport.push(input.subarray(at, at + length))
          at += length
          if (at >= size) transport.pushEnd()
        }
        yield* turns(1)
      }
      yield* Fiber.join(writing)
      yield* Fiber.join(reading)
      assertBytes(concat(received), input, "received")
      assertBytes(transport.sent, output, "sent")
      assert.strictEqual(transport.count("end"), 1)
    })
  )

  it.effect("trio L25: close ends the output: the transport lets go, which sends the end", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.close
      assert.strictEqual(transport.count("close"), 1)
      assert.strictEqual(transport.count("abort"), 0)
    })
  )
})

describe("half-closing", () => {
  it.effect("trio L26: what was written arrives before the end", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write("x")
      yield* writer.writeEof
      assert.deepStrictEqual(transport.calls, ["attach", "write", "end"])
      assert.strictEqual(transport.sentText, "x")
    })
  )

  it.effect("trio L27: a write after writeEof is closed", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      yield* writer.writeEof
      for (const write of [writer.write("x"), writer.write(""), writer.writeAll(["x"])]) {
        assert.deepInclude(yield* Effect.flip(write), { _tag: "ClosedStream", reason: "Eof" })
      }
    })
  )

  it.effect("trio L28: writeEof is idempotent, and fine before close", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeEof
      yield* writer.writeEof
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assert.deepStrictEqual(transport.calls.slice(1), ["end", "close"])
    })
  )

  it.effect("trio L29: the other direction still works", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      yield* writer.writeEof
      const read = yield* start(reader.readLine)
      transport.push("still open\n")
      assert.strictEqual(text(yield* Fiber.join(read)), "still open\n")
    })
  )

  it.effect(
    "trio L30 deviates: writeEof while others wait is not busy; drain goes on, a write that waits is closed",
    () =>
      Effect.gen(function* () {
        const { transport, writer } = yield* clogged
        const drain = yield* start(writer.drain)
        const write = yield* start(Effect.flip(writer.write("too late")))
        const eof = yield* start(writer.writeEof)
        assert.deepInclude(yield* Fiber.join(write), { _tag: "ClosedStream", operation: "write", reason: "Eof" })
        assert.isTrue(waits(drain) && waits(eof))
        transport.drain()
        yield* Fiber.join(drain)
        yield* Fiber.join(eof)
        assert.strictEqual(transport.sentText, "more than ten bytes")
        assert.strictEqual(transport.calls.at(-1), "end")
      })
  )
})
