/** Whose memory it is: small writes are copied, large ones kept as a view, and no connection ever sends another's bytes. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, StreamError, type StreamWriter } from "effect-byte-streams"
import { Cause, Effect, Exit, Fiber } from "effect"
import * as fc from "fast-check"
import { assertBytes } from "../support/assertBytes.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { concat, fake } from "../support/fakeTransport.ts"
import { start } from "../support/fibers.ts"
import { collectGarbage } from "../support/garbage.ts"
import { forAll } from "../support/property.ts"
import { eventuallyEffect, turns } from "../support/wait.ts"

declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => {
    readonly buffer: ArrayBuffer
    grow(by: number): number
  }
}

describe("memory", () => {
  for (const method of ["write", "writeAll", "writeUnsafe"] as const) {
    it.effect(`${method}: an array of up to 4,096 bytes may be changed as soon as it has been written`, () =>
      Effect.gen(function* () {
        for (const takes of [true, false]) {
          const { transport, writer } = yield* fake({ takes, highWaterMark: 1_000_000 })
          const expected: Array<Uint8Array> = []
          for (const size of [1, 7, 48, 4095, 4096]) {
            const data = pattern(size)
            expected.push(pattern(size))
            if (method === "write") yield* writer.write(data)
            else if (method === "writeAll") yield* writer.writeAll([data])
            else writer.writeUnsafe(data)
            data.fill(0)
          }
          yield* turns(1)
          if (!takes) transport.drainAll()
          assertBytes(transport.sent, concat(expected))
        }
      })
    )
  }

  it.effect("a longer array is not copied: what the system is given is its memory", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const given: Array<Uint8Array> = []
      transport.onWrite = (chunks) => given.push(...chunks)
      const whole = pattern(10_000)
      const part = whole.subarray(100, 4197)
      yield* writer.write(part)
      yield* writer.flush
      assert.lengthOf(given, 1)
      assert.strictEqual(given[0]!.buffer, part.buffer)
      assert.strictEqual(given[0]!.byteOffset, 100)
      assert.strictEqual(given[0]!.length, 4097)
      // after the flush it is the caller's again
      whole.fill(0)
      assertBytes(transport.sent, pattern(10_000).subarray(100, 4197))
    })
  )

  it.effect("what the system still holds is left alone, whatever is written meanwhile and elsewhere", () =>
    Effect.gen(function* () {
      const slow = yield* fake({ takes: false })
      const fast = yield* fake()
      yield* slow.writer.write("slow and steady")
      yield* turns(1)
      assert.isTrue(slow.transport.holding)
      for (let i = 0; i < 200; i++) {
        yield* fast.writer.write("hare".repeat(1 + (i % 300)))
        yield* slow.writer.write(".")
        if (i % 3 === 0) yield* turns(1)
      }
      slow.transport.drainAll()
      assert.strictEqual(slow.transport.sentText, "slow and steady" + ".".repeat(200))
      yield* fast.writer.flush
      assert.strictEqual(
        fast.transport.sentText,
        Array.from({ length: 200 }, (_, i) => "hare".repeat(1 + (i % 300))).join("")
      )
    })
  )

  it.effect("once the system has taken everything, small writes are copied into the same memory again and again", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1_000_000 })
      // what it holds for a while is left alone meanwhile, and moves what comes then further on
      yield* writer.write("held")
      yield* turns(1)
      yield* writer.write("behind")
      transport.drainAll()
      transport.takes = () => true
      const used = new Set<ArrayBufferLike>()
      transport.onWrite = (chunks) => chunks.forEach(({ buffer }) => used.add(buffer))
      for (let turn = 0; turn < 10; turn++) {
        for (let i = 0; i < 16; i++) yield* writer.write(pattern(4096))
        yield* turns(1)
      }
      assert.strictEqual(transport.sent.length, 10 + 10 * 65536)
      assert.strictEqual(used.size, 1)
    })
  )

  it.effect("memory that was full is used again once the system has taken all that any connection has in it", () =>
    Effect.gen(function* () {
      const used = new Set<ArrayBufferLike>()
      const peers = yield* Effect.all(
        Array.from({ length: 3 }, () => fake({ takes: false, highWaterMark: 10_000_000 }))
      )
      for (const { transport } of peers)
        transport.onWrite = (chunks) => chunks.forEach(({ buffer }) => used.add(buffer))
      const round = Effect.gen(function* () {
        // twice as much as one memory holds, all of it held by the system for a while
        for (let i = 0; i < 32; i++) {
          for (const { writer } of peers) yield* writer.write(pattern(1400))
          yield* turns(1)
        }
        for (const { transport } of peers) transport.drainAll()
      })
      yield* round
      const first = used.size
      assert.isAbove(first, 1)
      for (let i = 0; i < 10; i++) yield* round
      // the one that is not full yet may be another in each round
      assert.isAtMost(used.size, first + 1)
      for (const { transport } of peers) {
        assertBytes(transport.sent, concat(Array.from({ length: 11 * 32 }, () => pattern(1400))))
      }
    })
  )

  it.effect("messages of no bytes, and those that cannot be written, keep no memory from others", () =>
    Effect.gen(function* () {
      const idle = yield* fake()
      const busy = yield* fake({ takes: false, highWaterMark: 1_000_000 })
      const used = new Set<ArrayBufferLike>()
      busy.transport.onWrite = (chunks) => chunks.forEach(({ buffer }) => used.add(buffer))
      for (let i = 0; i < 200; i++) {
        yield* busy.writer.write(pattern(1400))
        yield* turns(1)
        yield* busy.writer.write(pattern(1400))
        if (i % 2 === 0) yield* idle.writer.writeFrame(Frame.bytes(0), new Uint8Array(0))
        else yield* Effect.flip(idle.writer.writeFrame(Frame.uint8, 256))
        busy.transport.drainAll()
      }
      assert.strictEqual(busy.transport.sent.length, 200 * 2800)
      // one that was not empty as this began may be left for another
      assert.isAtMost(used.size, 2)
    })
  )

  it.effect("one that cannot be written while the system holds something leaves what follows its own place", () =>
    Effect.gen(function* () {
      for (const [frame, value] of [
        [Frame.uint8, 256],
        [Frame.bytes(0), new Uint8Array(0)]
      ] as ReadonlyArray<[Frame.Frame<any>, unknown]>) {
        const one = yield* fake({ takes: false })
        const other = yield* fake()
        // in memory in which nobody else has anything
        for (let i = 0; i < 20; i++) one.writer.writeUnsafe(pattern(4000))
        yield* turns(1)
        one.transport.drainAll()
        one.writer.writeUnsafe("held;")
        yield* turns(1)
        yield* Effect.exit(one.writer.writeFrame(frame, value))
        one.transport.drain()
        one.writer.writeUnsafe("mine")
        for (let i = 0; i < 16; i++) other.writer.writeUnsafe(pattern(4096))
        yield* turns(1)
        one.transport.drainAll()
        assert.strictEqual(text(one.transport.sent.subarray(20 * 4000)), "held;mine")
        assertBytes(other.transport.sent, concat(Array.from({ length: 16 }, () => pattern(4096))))
      }
    })
  )

  it.live("nothing is kept of a long value once its message was sent, or cannot be written", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      const body = Frame.lengthPrefixed(Frame.varint, { maxBytes: 100_000 })
      for (const [frame, valueOf] of [
        [body, (array: Uint8Array) => array],
        [Frame.tuple(Frame.bytes(10_000), Frame.uint8), (array: Uint8Array) => [array, 256]],
        [Frame.tuple(body, Frame.uint8), (array: Uint8Array) => [array, 256]]
      ] as ReadonlyArray<[Frame.Frame<any>, (array: Uint8Array) => unknown]>) {
        const write = Effect.suspend(() => {
          const array = new Uint8Array(10_000)
          return Effect.as(Effect.exit(writer.writeFrame(frame, valueOf(array))), new WeakRef(array))
        })
        const kept = yield* write
        yield* writer.flush
        yield* eventuallyEffect(
          "it is collected",
          Effect.sync(() => {
            collectGarbage()
            return kept.deref() === undefined
          })
        )
      }
    })
  )

  it.effect("whoever takes late, and whatever others write meanwhile: each peer gets what it was written", () =>
    forAll(
      fc.array(
        fc.record({
          of: fc.nat(3),
          does: fc.oneof(
            { weight: 4, arbitrary: fc.record({ size: fc.integer({ min: 1, max: 4096 }), seed: fc.nat(255) }) },
            { weight: 1, arbitrary: fc.constantFrom("take" as const, "turn" as const) }
          )
        }),
        { minLength: 50, maxLength: 200 }
      ),
      (steps) =>
        Effect.gen(function* () {
          const peers = yield* Effect.all(
            Array.from({ length: 4 }, () => fake({ takes: false, highWaterMark: 10_000_000 }))
          )
          const written = peers.map((): Array<Uint8Array> => [])
          for (const { does, of } of steps) {
            if (does === "take") peers[of]!.transport.drainAll()
            else if (does === "turn") yield* turns(1)
            else {
              const data = new Uint8Array(does.size).fill(does.seed)
              yield* peers[of]!.writer.write(data)
              written[of]!.push(data)
            }
          }
          yield* turns(1)
          for (const [i, { transport }] of peers.entries()) {
            transport.drainAll()
            assertBytes(transport.sent, concat(written[i]!))
          }
        })
    )
  )

  it.effect(
    "a transport that transfers what it was given to another thread breaks its own connection, and no other",
    () =>
      Effect.gen(function* () {
        for (const transfer of [
          ({ buffer }: Uint8Array) => void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }),
          (chunk: Uint8Array) => {
            const { port1, port2 } = new MessageChannel()
            try {
              port1.postMessage(chunk, [chunk.buffer as ArrayBuffer])
            } finally {
              port1.close()
              port2.close()
            }
          }
        ]) {
          const wrong = yield* fake()
          const other = yield* fake({ takes: false })
          yield* other.writer.write("in front;")
          yield* turns(1)
          yield* other.writer.write("pending;")
          wrong.transport.onWrite = (chunks) => chunks.forEach(transfer)
          yield* wrong.writer.write("what is transferred")
          assert.instanceOf(yield* Effect.flip(wrong.writer.flush), StreamError.ConnectionLost)
          yield* other.writer.write("behind")
          other.transport.drainAll()
          assert.strictEqual(other.transport.sentText, "in front;pending;behind")
          const later = yield* fake()
          yield* later.writer.write("later")
          yield* later.writer.flush
          assert.strictEqual(later.transport.sentText, "later")
        }
      })
  )

  describe("an array that is taken away before it was sent fails its connection, and names the rule", () => {
    const ways: ReadonlyArray<{
      readonly how: string
      readonly make: (size: number) => { readonly array: Uint8Array; readonly take: () => void }
    }> = [
      {
        how: "structuredClone",
        make: (size) => {
          const array = new Uint8Array(size)
          return { array, take: () => void structuredClone(array.buffer, { transfer: [array.buffer] }) }
        }
      },
      {
        how: "postMessage",
        make: (size) => {
          const array = new Uint8Array(size)
          const { port1, port2 } = new MessageChannel()
          const take = () => {
            port1.postMessage(array, [array.buffer])
            port1.close()
            port2.close()
          }
          return { array, take }
        }
      },
      {
        how: "transfer",
        make: (size) => {
          const array = new Uint8Array(size)
          return { array, take: () => void array.buffer.transfer() }
        }
      },
      {
        how: "a memory that grows",
        make: (size) => {
          const memory = new WebAssembly.Memory({ initial: 16 })
          return { array: new Uint8Array(memory.buffer, 10, size), take: () => void memory.grow(1) }
        }
      },
      {
        how: "a buffer that shrinks",
        make: (size) => {
          const array = new Uint8Array(new ArrayBuffer(size, { maxByteLength: size }))
          return { array, take: () => array.buffer.resize(5000) }
        }
      }
    ]

    const rule = "must be left alone until flush"

    for (const { how, make } of ways) {
      it.effect(`${how}, while it waits for the end of the turn`, () =>
        Effect.gen(function* () {
          const { connection, reader, transport, writer } = yield* fake()
          const other = yield* fake()
          transport.push("what arrived")
          const { array, take } = make(10_000)
          writer.writeUnsafe("in front")
          writer.writeUnsafe(array)
          writer.writeUnsafe("behind")
          take()
          other.writer.writeUnsafe("of another connection")
          const lost = yield* Effect.flip(writer.flush)
          assert(lost instanceof StreamError.ConnectionLost)
          assert.strictEqual(lost.kind, "Unknown")
          assert.include(lost.message, rule)
          yield* other.writer.flush
          assert.strictEqual(other.transport.sentText, "of another connection")
          assert.strictEqual((yield* connection.closed)._tag, "Lost")
          assert.strictEqual(transport.sent.length, 0)
          assert.strictEqual(transport.calls.at(-1), "abort")
          // reading is over behind what had arrived
          assert.deepStrictEqual(yield* reader.readExactly(12), bytes("what arrived"))
          assert.include((yield* Effect.flip(reader.read(1))).message, rule)
          assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
        })
      )

      const message = Frame.lengthPrefixed(Frame.uint32, { maxBytes: 100_000 })
      for (const as of ["by itself", "as a part of a message"] as const) {
        it.effect(`${how}, ${as}, while the system holds what was written before`, () =>
          Effect.gen(function* () {
            const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1_000_000 })
            writer.writeUnsafe("in front")
            yield* turns(1)
            const { array, take } = make(10_000)
            if (as === "by itself") writer.writeUnsafe(array)
            else writer.writeFrameUnsafe(message, array)
            writer.writeUnsafe("behind")
            take()
            transport.drain()
            assert.include((yield* Effect.flip(writer.flush)).message, rule)
            yield* turns(1)
            assert.strictEqual(transport.sentText, "in front")
            assert.strictEqual(transport.calls.at(-1), "abort")
          })
        )
      }

      it.effect(`${how}, while a part of it is on its way`, () =>
        Effect.gen(function* () {
          const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1_000_000 })
          const { array, take } = make(700_000)
          writer.writeUnsafe(array)
          writer.writeUnsafe("behind")
          const flushing = yield* Effect.forkChild(Effect.flip(writer.flush), { startImmediately: true })
          yield* turns(1)
          assert.isTrue(transport.holding)
          take()
          transport.drain()
          assert.include((yield* Fiber.join(flushing)).message, rule)
          assert.include((yield* Effect.flip(writer.flush)).message, rule)
          yield* turns(1)
          assert.notInclude(transport.sentText, "behind")
          assert.strictEqual(transport.calls.at(-1), "abort")
        })
      )
    }

    it.effect("an array that grows meanwhile goes out as it was", () =>
      Effect.gen(function* () {
        const { transport, writer } = yield* fake()
        const array = new Uint8Array(new ArrayBuffer(10_000, { maxByteLength: 60_000 }))
        array.set(pattern(10_000))
        writer.writeUnsafe(array)
        array.buffer.resize(50_000)
        writer.writeUnsafe("behind")
        yield* writer.flush
        assertBytes(transport.sent, concat([pattern(10_000), bytes("behind")]))
        const message = Frame.lengthPrefixed(Frame.uint32, { maxBytes: 100_000 })
        writer.writeFrameUnsafe(message, array)
        array.buffer.resize(60_000)
        yield* writer.flush
        assert.lengthOf(transport.sent, 10_006 + 4 + 50_000)
      })
    )

    it.effect("while its write waits in line: that dies, nothing of it is sent, and the connection goes on", () =>
      Effect.gen(function* () {
        for (const { make } of ways) {
          for (const write of [
            (writer, array) => writer.write(array),
            (writer, array) => writer.writeAll(["head", array])
          ] as ReadonlyArray<(writer: StreamWriter.StreamWriter, array: Uint8Array) => Effect.Effect<void, unknown>>) {
            const { transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
            yield* writer.write("more than may wait;")
            const { array, take } = make(10_000)
            const waiting = yield* start(Effect.exit(write(writer, array)))
            const behind = yield* start(writer.write("behind"))
            take()
            transport.accept()
            transport.drainAll()
            const exit = yield* Fiber.join(waiting)
            assert(Exit.isFailure(exit))
            assert.include(String(Cause.squash(exit.cause)), "an array was detached or has shrunk while it waited")
            yield* Fiber.join(behind)
            yield* writer.flush
            assert.strictEqual(transport.sentText, "more than may wait;behind")
          }
        }
      })
    )

    it.effect("a short one has been copied, and may be taken at once", () =>
      Effect.gen(function* () {
        const { transport, writer } = yield* fake()
        const array = new Uint8Array(pattern(4096))
        writer.writeUnsafe(array)
        array.buffer.transfer()
        yield* writer.flush
        assertBytes(transport.sent, pattern(4096))
      })
    )
  })

  describe("no byte goes astray", () => {
    const connections = 4
    type Step =
      | { readonly on: number; readonly how: "bytes" | "text" | "all" | "unsafe"; readonly size: number }
      | { readonly on: number; readonly how: "drain" }
      | { readonly on: number; readonly how: "turn" }

    const size = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 80 }) },
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 5000 }) },
      { weight: 1, arbitrary: fc.integer({ min: 4090, max: 4100 }) },
      { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 70_000 }) }
    )
    const on = fc.nat(connections - 1)
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 12, arbitrary: fc.record({ on, how: fc.constantFrom("bytes", "text", "all", "unsafe"), size }) },
      { weight: 2, arbitrary: fc.record({ on, how: fc.constant("drain") }) },
      { weight: 1, arbitrary: fc.record({ on, how: fc.constant("turn") }) }
    )

    it.effect(
      "connections that write in the same turn send their own bytes, whether the system takes or holds them",
      () =>
        forAll(
          fc.record({
            steps: fc.array(step, { maxLength: 150 }),
            takes: fc.array(fc.boolean(), { minLength: 1, maxLength: 20 })
          }),
          ({ steps, takes }) =>
            Effect.gen(function* () {
              let asked = 0
              const ends = []
              for (let i = 0; i < connections; i++) {
                const faked = yield* fake({
                  highWaterMark: 100_000_000,
                  takes: () => takes[asked++ % takes.length]!
                })
                ends.push({ ...faked, expected: new Array<Uint8Array>(), position: 0 })
              }
              for (const step of steps) {
                const end = ends[step.on]!
                if (step.how === "turn") {
                  yield* turns(1)
                  continue
                }
                if (step.how === "drain") {
                  if (end.transport.holding) end.transport.drain()
                  continue
                }
                // bytes that tell whose they are, and where they belong
                const data = new Uint8Array(step.size)
                for (let i = 0; i < data.length; i++) data[i] = (step.on << 5) | (end.position++ & 31)
                end.expected.push(data.slice())
                if (step.how === "text") yield* end.writer.write(new TextDecoder().decode(data))
                else if (step.how === "unsafe") end.writer.writeUnsafe(data)
                else if (step.how === "bytes") yield* end.writer.write(data)
                else {
                  const cut = data.length >> 1
                  yield* end.writer.writeAll([data.subarray(0, cut), data.subarray(cut)])
                  if (data.length - cut <= 4096) data.fill(255)
                }
                if (data.length <= 4096) data.fill(255)
              }
              yield* turns(1)
              for (const end of ends) end.transport.drainAll()
              for (const end of ends) {
                assert.strictEqual(yield* end.writer.buffered, 0)
                assertBytes(end.transport.sent, concat(end.expected))
              }
            }),
          { numRuns: 150 }
        )
    )
  })

  it.effect("what the system held of an aborted connection is left alone", () =>
    Effect.gen(function* () {
      const first = yield* fake({ takes: false })
      // memory that no other test has left anything in
      for (let i = 0; i < 17; i++) yield* first.writer.write(new Uint8Array(4096))
      yield* turns(1)
      first.transport.drainAll()
      const before = first.transport.sentText.length
      yield* first.writer.write("mine")
      yield* turns(1)
      let memory: ReadonlyArray<Uint8Array> = []
      const second = yield* fake({ takes: false })
      second.transport.onWrite = (chunks) => (memory = chunks)
      yield* second.writer.write("yours")
      yield* turns(1)
      yield* second.connection.abort
      yield* first.writer.write(" and mine again")
      first.transport.drainAll()
      yield* turns(1)
      assert.deepStrictEqual(concat(memory), bytes("yours"))
      assert.strictEqual(first.transport.sentText.slice(before), "mine and mine again")
      // nor is it used again when nobody else has anything left to send
      yield* first.writer.write(new Uint8Array(4096))
      yield* turns(1)
      assert.deepStrictEqual(concat(memory), bytes("yours"))
    })
  )
})
