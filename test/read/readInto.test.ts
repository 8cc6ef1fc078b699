/**
 * `readInto`, and what arrives in memory that is only lent: it has to be where it belongs before the lender has its
 * memory back, whatever becomes of the read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { Connection, type StreamError, StreamReader } from "effect-byte-streams"
import * as fc from "fast-check"
import { ReadBuffer } from "../../src/internal/read/readBuffer.ts"
import { BufferReader } from "../../src/internal/read/reader.ts"
import { flowTold } from "../support/handFed.ts"
import { bytes, text } from "../support/bytes.ts"
import { FakeTransport, fake } from "../support/fakeTransport.ts"
import { defectOf, start, waits } from "../support/fibers.ts"
import { nothingInBetween, publicOnly } from "../support/publicApi.ts"
import { letterText } from "../support/readRequests.ts"
import { SteppingScheduler } from "../support/steppingScheduler.ts"

/** A reader whose source lends, and writes into its memory again at once. */
const lender = (limit = 100) => {
  const buffer = new ReadBuffer(limit, { pause: () => {}, resume: () => {} })
  const feed = (sent: string) => {
    const scratch = bytes(sent)
    buffer.feedShared(scratch)
    scratch.fill(0x21)
  }
  return { buffer, feed, reader: new BufferReader(buffer) }
}

/** A `readInto` that has been woken, and is yet to run; on public API alone it has run. */
const woken = (sent: string, size = 4) => {
  const { buffer, feed, reader } = lender()
  const scheduler = new SteppingScheduler({ everyStep: true })
  const target = new Uint8Array(size)
  const fiber = scheduler.start(reader.readInto(target))
  scheduler.run()
  assert.isTrue(waits(fiber))
  feed(sent)
  assert.strictEqual(waits(fiber), !publicOnly)
  return { buffer, feed, reader, scheduler, target, fiber }
}

const rest = (reader: StreamReader.StreamReader): string => {
  const pieces: Array<string> = []
  const all = Effect.runSyncExit(
    Effect.gen(function* () {
      while ((yield* reader.buffered) > 0) pieces.push(text(yield* reader.read(3)))
    })
  )
  assert.isTrue(Exit.isSuccess(all))
  return pieces.join("")
}

describe("readInto", () => {
  it.effect("puts what there is at the front, returns how much it is, and touches nothing behind it", () =>
    Effect.gen(function* () {
      const { endUnsafe, feedUnsafe, reader } = yield* StreamReader.make()
      feedUnsafe(bytes("abc"))
      feedUnsafe(bytes("de"))
      const memory = bytes("----------")
      assert.strictEqual(yield* reader.readInto(memory.subarray(2, 6)), 4)
      assert.strictEqual(text(memory), "--abcd----")
      assert.strictEqual(yield* reader.readInto(memory), 1)
      assert.strictEqual(text(memory), "e-abcd----")
      endUnsafe()
      assert.strictEqual(yield* reader.readInto(memory), 0)
      assert.strictEqual(yield* reader.readInto(memory), 0)
      assert.strictEqual(text(memory), "e-abcd----")
    })
  )

  it.effect("takes any array of bytes: a Buffer, shared memory, a part of either", () =>
    Effect.gen(function* () {
      const targets = [
        Buffer.alloc(3),
        new Uint8Array(new SharedArrayBuffer(8)).subarray(5),
        Buffer.alloc(9, 1).subarray(3, 6)
      ]
      for (const lent of [false, true]) {
        for (const target of targets) {
          const { buffer, feed, reader } = lender()
          const fiber = yield* start(reader.readInto(target))
          if (lent) feed("abcde")
          else buffer.feed(bytes("abcde"))
          assert.strictEqual(yield* Fiber.join(fiber), 3)
          assert.strictEqual(text(target), "abc")
          assert.strictEqual(text(yield* reader.read(9)), "de")
        }
      }
    })
  )

  it.effect("dies of what is no array of bytes", () =>
    Effect.gen(function* () {
      const { reader } = lender()
      for (const wrong of [undefined, null, 5, "abc", [1], new Uint16Array(2), new ArrayBuffer(2)]) {
        assert.match(String(yield* defectOf(reader.readInto(wrong as never))), /readInto/)
      }
    })
  )

  it.effect("dies of an array that was taken away before anything came, and loses nothing", () =>
    Effect.gen(function* () {
      for (const there of [true, false]) {
        const { feed, reader } = lender()
        const target = new Uint8Array(4)
        const reading = reader.readInto(target)
        const fiber = there ? undefined : yield* start(Effect.exit(reading))
        structuredClone(target, { transfer: [target.buffer] })
        feed("abc")
        const defect = yield* defectOf(fiber === undefined ? reading : Effect.flatten(Fiber.join(fiber)))
        assert.match(String(defect), /readInto: the array was detached/)
        assert.strictEqual(rest(reader), "abc")
      }
    })
  )

  it.effect("is lazy, and can be run again", () =>
    Effect.gen(function* () {
      const { feed, reader } = lender()
      const target = new Uint8Array(2)
      const reading = reader.readInto(target)
      feed("abcd")
      assert.strictEqual(text(target), "\0\0")
      assert.strictEqual(yield* reading, 2)
      assert.strictEqual(text(target), "ab")
      assert.strictEqual(yield* Effect.andThen(Effect.void, reading), 2)
      assert.strictEqual(text(target), "cd")
    })
  )
})

describe("what is lent", () => {
  it("goes straight to the memory of the read that waits, and the rest of it is kept", () => {
    const { buffer, fiber, scheduler, target } = woken("abcdef")
    assert.strictEqual(text(target), "abcd")
    if (!publicOnly) assert.strictEqual(buffer.size, 6)
    scheduler.run()
    assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(4))
    assert.strictEqual(text(target), "abcd")
    assert.strictEqual(buffer.size, 2)
  })

  it("fills up with what follows before the read has run", nothingInBetween, () => {
    const { buffer, feed, fiber, reader, scheduler, target } = woken("ab")
    feed("cd")
    feed("ef")
    buffer.feed(bytes("gh"))
    scheduler.run()
    assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(4))
    assert.strictEqual(text(target), "abcd")
    assert.strictEqual(rest(reader), "efgh")
  })

  it("stays in the reader when the read is interrupted, out of the reach of its memory", nothingInBetween, () => {
    const { fiber, reader, scheduler, target } = woken("abcdef")
    fiber.interruptUnsafe()
    scheduler.run()
    assert.isFalse(waits(fiber))
    target.fill(0x21)
    assert.strictEqual(rest(reader), "abcdef")
  })

  it("stays when more had arrived meanwhile", nothingInBetween, () => {
    const { buffer, feed, fiber, reader, scheduler, target } = woken("ab")
    feed("cd")
    buffer.feed(bytes("ef"))
    fiber.interruptUnsafe()
    scheduler.run()
    target.fill(0x21)
    feed("gh")
    assert.strictEqual(rest(reader), "abcdefgh")
  })

  it("fails with the stream when that is closed first", nothingInBetween, () => {
    const { buffer, fiber, scheduler } = woken("ab")
    buffer.close("Closed")
    scheduler.run()
    const exit = fiber.pollUnsafe()!
    assert.isTrue(Exit.isFailure(exit))
    const error = Exit.isFailure(exit)
      ? (exit.cause.reasons[0] as { readonly error: StreamError.ClosedStream }).error
      : undefined
    assert.deepInclude(error, { _tag: "ClosedStream", operation: "readInto", reason: "Closed" })
    assert.strictEqual(buffer.size, 0)
  })

  it("is handed on when the connection is, and not what its memory becomes", nothingInBetween, () => {
    const { buffer, fiber, scheduler, target } = woken("abcdef")
    const pieces = buffer.takePieces()
    buffer.close("Upgraded")
    scheduler.run()
    assert.isTrue(Exit.isFailure(fiber.pollUnsafe()!))
    target.fill(0x21)
    assert.strictEqual(pieces.map(text).join(""), "abcdef")
  })

  it("is kept as a copy when another read waits, or nobody does", () => {
    const { feed, reader } = lender()
    feed("ab")
    const line = Effect.runFork(reader.readLine)
    feed("c\nd")
    assert.strictEqual(text((line.pollUnsafe() as Exit.Success<Uint8Array>).value), "abc\n")
    assert.strictEqual(rest(reader), "d")
  })

  it("keeps no memory alive that it shares with others, while it waits to be read", () => {
    const { buffer, feed, reader } = lender()
    const memory = () => buffer.segments.piece.buffer.byteLength
    // nobody waits, somebody does but not for this, somebody takes a part of it
    feed("ab")
    Effect.runSync(reader.peek(1))
    assert.strictEqual(memory(), 2)
    Effect.runSync(reader.read(2))
    const line = Effect.runFork(reader.readLine)
    feed("ab")
    assert.isTrue(waits(line))
    assert.strictEqual(memory(), 2)
    feed("c\nde")
    assert.isFalse(waits(line))
    assert.isAtMost(memory(), 1024)
    assert.strictEqual(rest(reader), "de")
    const read = Effect.runFork(reader.read(1))
    feed("abc")
    assert.isFalse(waits(read))
    assert.strictEqual(memory(), 2)
    assert.strictEqual(rest(reader), "bc")
  })

  it("cannot be taken from under another's feet: what they share is not to be transferred", () => {
    const { feed, reader } = lender()
    const read = () => {
      const fiber = Effect.runFork(reader.read(9))
      feed("abc")
      return (fiber.pollUnsafe() as Exit.Success<Uint8Array>).value
    }
    const [one, other] = [read(), read()]
    assert.strictEqual(one.buffer, other.buffer)
    assert.throws(() => structuredClone(one, { transfer: [one.buffer as ArrayBuffer] }))
    assert.strictEqual(text(other), "abc")
    assert.strictEqual(text(read()), "abc")
  })

  it("fills no more of an array that grows than was asked for", () => {
    const { feed, reader } = lender()
    const memory = new ArrayBuffer(4, { maxByteLength: 8 })
    const target = new Uint8Array(memory)
    const reading = reader.readInto(target)
    memory.resize(8)
    const fiber = Effect.runFork(reading)
    feed("abcdefgh")
    assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(4))
    assert.strictEqual(text(target), "abcd\0\0\0\0")
    assert.strictEqual(rest(reader), "efgh")
  })

  it("fills nothing of an array that has shrunk meanwhile, and stays in the reader, out of the reach of its memory", () => {
    const { feed, reader } = lender()
    const memory = new ArrayBuffer(8, { maxByteLength: 8 })
    const target = new Uint8Array(memory)
    const fiber = Effect.runFork(reader.readInto(target))
    memory.resize(4)
    feed("abcdef")
    const exit = fiber.pollUnsafe()!
    assert.isTrue(Exit.isFailure(exit))
    target.fill(0x21)
    memory.resize(2)
    assert.strictEqual(rest(reader), "abcdef")
  })

  it("does not bring back the rest of a line that was too long", () => {
    const { feed, reader } = lender(4)
    feed("too long")
    assert.isTrue(Exit.isFailure(Effect.runSyncExit(reader.readLine)))
    const target = new Uint8Array(8)
    const fiber = Effect.runFork(reader.readInto(target))
    feed(" a line")
    assert.isTrue(waits(fiber))
    feed(" it is\nabc")
    assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(3))
    assert.strictEqual(text(target.subarray(0, 3)), "abc")
  })

  it.effect("is asked for by the first readInto that waits, and by no other read", () =>
    Effect.gen(function* () {
      const transport = new FakeTransport()
      let asked = 0
      transport.lend = () => void asked++
      const { reader } = yield* Connection.fromTransport(transport)
      transport.push("abcdef\n")
      yield* reader.read(1)
      const waiting = yield* start(reader.readExactly(20))
      yield* Fiber.interrupt(waiting)
      yield* reader.readLine
      assert.strictEqual(asked, 0)
      // neither does one that need not wait
      yield* reader.readInto(new Uint8Array(0))
      transport.push("abc")
      yield* reader.readInto(new Uint8Array(3))
      assert.strictEqual(asked, 0)
      for (let i = 0; i < 3; i++) yield* Fiber.interrupt(yield* start(reader.readInto(new Uint8Array(1))))
      assert.strictEqual(asked, 1)
    })
  )

  it.effect("counts for the limit, and for timeouts, as what is given", () =>
    Effect.gen(function* () {
      const { reader, transport } = yield* fake({ limit: 4 })
      const target = new Uint8Array(2)
      const fiber = yield* start(reader.readInto(target))
      transport.push("abcdefghij")
      assert.strictEqual(yield* Fiber.join(fiber), 2)
      assert.strictEqual(yield* reader.buffered, 8)
      transport.push("k")
      assert.strictEqual(transport.count("pause"), 1)
      assert.strictEqual(yield* reader.readInto(new Uint8Array(9)), 9)
      yield* flowTold
      assert.strictEqual(transport.count("resume"), 1)
    })
  )
})

// What a source does, and what becomes of the reads, in any order.
const actions = fc.array(
  fc.oneof(
    fc.record({ name: fc.constantFrom("lend", "give"), text: letterText({ minLength: 1, maxLength: 9 }) }),
    fc.record({ name: fc.constant("read"), size: fc.integer({ min: 1, max: 7 }), into: fc.boolean() }),
    fc.record({ name: fc.constant("run"), steps: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ name: fc.constant("interrupt") })
  ),
  { maxLength: 40 }
)

it("rank 5: whatever is lent, given, read and interrupted, in any order, every byte is read once", () => {
  fc.assert(
    fc.property(actions, (actions) => {
      const { buffer, feed, reader } = lender(1000)
      const scheduler = new SteppingScheduler({ everyStep: true })
      let sent = ""
      let got = ""
      let reading: Fiber.Fiber<void, unknown> | undefined
      let memory = new Uint8Array(0)
      for (const action of actions) {
        // a read that is over has given its memory back, also one that was given up
        if (reading !== undefined && !waits(reading)) memory.fill(0x21)
        if ("text" in action) {
          sent += action.text
          if (action.name === "lend") feed(action.text)
          else buffer.feed(bytes(action.text))
        } else if ("size" in action) {
          if (reading !== undefined && waits(reading)) continue
          const target = new Uint8Array(action.size)
          memory = target
          // noted in the very step in which it is answered
          reading = scheduler.start(
            action.into
              ? Effect.map(reader.readInto(target), (size) => {
                  got += text(target.subarray(0, size))
                })
              : Effect.map(reader.read(action.size), (piece) => {
                  got += text(piece)
                })
          )
        } else if ("steps" in action) for (let i = 0; i < action.steps; i++) scheduler.step()
        else reading?.interruptUnsafe()
      }
      reading?.interruptUnsafe()
      scheduler.run()
      memory.fill(0x21)
      assert.strictEqual(got + rest(reader), sent)
    }),
    { numRuns: 2000 }
  )
})
