/** One write is one unbroken run of bytes, whoever else writes, and each fiber's writes keep their order. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import * as fc from "fast-check"
import { assertBytes } from "../support/assertBytes.ts"
import { bytes, pattern } from "../support/bytes.ts"
import { concat, fake, type FakeTransport } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { waiting } from "../support/waiters.ts"
import { forAll } from "../support/property.ts"
import { turns } from "../support/wait.ts"
import { Restless, YieldEvery } from "../support/yieldingSchedulers.ts"

/** A frame: who sent it, which of theirs it is, how long the body is, and a body that tells whose it is. */
const frame = (sender: number, serial: number, length: number): Uint8Array => {
  const out = new Uint8Array(4 + length).fill(sender ^ 0x80)
  out[0] = sender
  out[1] = serial
  out[2] = length >> 8
  out[3] = length & 255
  return out
}

/** The senders and serials of the frames that `wire` consists of; throws where it is anything else. */
const unframe = (wire: Uint8Array): Array<{ readonly sender: number; readonly serial: number }> => {
  const frames = []
  let at = 0
  while (at < wire.length) {
    const [sender, serial, high, low] = wire.subarray(at, at + 4) as unknown as [number, number, number, number]
    const length = (high << 8) | low
    assertBytes(wire.subarray(at, at + 4 + length), frame(sender, serial, length), `the frame at byte ${at}`)
    frames.push({ sender, serial })
    at += 4 + length
  }
  return frames
}

/** Takes what is held, turn after turn, until `done`. */
const system = (transport: FakeTransport, done: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!done()) {
      if (transport.holding) transport.drain()
      yield* turns(1)
    }
    // and what was written last
    yield* turns(1)
    transport.drainAll()
  })

describe("one write is one run", () => {
  it.effect("rank 8: frames of 50 fibers arrive whole and in each fiber's order", () =>
    forAll(
      fc.record({
        sizes: fc.array(
          fc.oneof(
            { weight: 4, arbitrary: fc.integer({ min: 0, max: 100 }) },
            { weight: 1, arbitrary: fc.integer({ min: 0, max: 9000 }) }
          ),
          { minLength: 1, maxLength: 30 }
        ),
        takes: fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
        highWaterMark: fc.constantFrom(0, 100, 4096, 65536),
        frames: fc.integer({ min: 1, max: 12 })
      }),
      ({ frames, highWaterMark, sizes, takes }) =>
        Effect.gen(function* () {
          let asked = 0
          const { transport, writer } = yield* fake({ highWaterMark, takes: () => takes[asked++ % takes.length]! })
          const senders = 50
          const largest = 4 + Math.max(...sizes)
          const fibers = yield* startAll(
            Array.from({ length: senders }, (_, sender) =>
              Effect.gen(function* () {
                for (let serial = 0; serial < frames; serial++) {
                  const whole = frame(sender, serial, sizes[(sender * 7 + serial) % sizes.length]!)
                  // in one piece, in several, or from a pipeline
                  if (serial % 3 === 0) yield* writer.write(whole)
                  else if (serial % 3 === 1) {
                    const cut = whole.length >> 1
                    yield* writer.writeAll([
                      whole.subarray(0, 3),
                      "",
                      whole.subarray(3, cut + 3),
                      whole.subarray(cut + 3)
                    ])
                  } else yield* Effect.asVoid(Effect.andThen(writer.write(whole), Effect.yieldNow))
                  assert.isAtMost(yield* writer.buffered, highWaterMark + largest)
                }
              })
            )
          )
          yield* system(transport, () => !fibers.some(waits))
          yield* Fiber.joinAll(fibers)
          const serials = Array.from({ length: senders }, () => 0)
          for (const { sender, serial } of unframe(transport.sent)) {
            assert.strictEqual(serial, serials[sender], `the next frame of fiber ${sender}`)
            serials[sender]!++
          }
          assert.deepStrictEqual(
            serials,
            Array.from({ length: senders }, () => frames)
          )
        }),
      { numRuns: 40 }
    )
  )

  it.effect("row 7.6: concurrent writes do not interleave, with writeUnsafe and writeAll among them", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 50 })
      const parts: Array<string> = []
      const fibers = yield* startAll(
        Array.from({ length: 30 }, (_, i) => {
          const part = `<${String(i).repeat(20)}>`
          parts.push(part)
          if (i % 3 === 0) return writer.write(part)
          if (i % 3 === 1) return writer.writeAll([...part])
          return Effect.sync(() => void writer.writeUnsafe(part))
        })
      )
      yield* system(transport, () => !fibers.some(waits))
      const arrived = transport.sentText.match(/<\d+>/g) ?? []
      assert.strictEqual(arrived.join(""), transport.sentText)
      assert.sameMembers(arrived, parts)
    })
  )

  it.effect("a run longer than one system call takes stays unbroken", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      const [first, second] = [pattern(2_000_000), pattern(1_500_000).reverse()]
      const fibers = yield* startAll([writer.write(first), writer.write(second), writer.write("third")])
      yield* system(transport, () => !fibers.some(waits))
      yield* Fiber.joinAll(fibers)
      assertBytes(transport.sent, concat([first, second, bytes("third")]))
    })
  )

  it.effect("writes that wait go on in the order in which they came", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 4, lowWaterMark: 0 })
      const fibers = yield* startAll(["aaaaa", "b", "ccccc", "d", "eeeee"].map((text) => writer.write(text)))
      assert.deepStrictEqual(fibers.map(waits), [false, true, true, true, true])
      yield* system(transport, () => !fibers.some(waits))
      assert.strictEqual(transport.sentText, "aaaaabcccccdeeeee")
    })
  )

  describe("whenever a fiber lets others run", () => {
    const schedulers = [3, 4, 5, 6, 7, 11].map(
      (every) => [`every ${every} steps`, () => new YieldEvery(every)] as const
    )
    const others = [1, 2, 3].map((seed) => [`by chance, ${seed}`, () => new Restless(seed)] as const)
    for (const [when, make] of [...schedulers, ...others]) {
      it.effect(`${when}: writes in line go on in their order, and nobody waits for ever`, () =>
        Effect.gen(function* () {
          const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 3, lowWaterMark: 0 })
          const scheduler = make()
          const on = <A, E>(effect: Effect.Effect<A, E>) =>
            Effect.provideService(effect, Scheduler.Scheduler, scheduler)
          yield* writer.write("held")
          const names = ["aaaa", "bbbb", "cccc", "dddd", "eeee"]
          for (const [i, name] of names.entries()) {
            yield* start(on(Effect.forever(writer.write(name))))
            while (waiting(connection).writers <= i) yield* turns(1)
          }
          // one that asks for room first is woken before those in line, and does not overtake them either
          yield* start(on(Effect.forever(Effect.andThen(writer.drain, writer.write("ffff")))))
          for (let i = 0; i < 60; i++) {
            yield* turns(4)
            if (transport.holding) transport.drain()
          }
          const sent = transport.sentText
            .slice(4)
            .match(/(.)\1{3}/g)!
            .map((run) => run[0]!)
          assert.strictEqual(sent.slice(0, 5).join(""), "abcde")
          for (let i = 0; i + 18 <= sent.length; i++) {
            assert.strictEqual(new Set(sent.slice(i, i + 18)).size, 6, sent.join(""))
          }
          assert.isAbove(sent.length, 40)
        })
      )
    }

    it.effect("one that is interrupted when it was to go on does not hold up those behind it", () =>
      Effect.gen(function* () {
        for (let steps = 0; steps < 12; steps++) {
          const { transport, writer } = yield* fake({ takes: false, highWaterMark: 3, lowWaterMark: 0 })
          yield* writer.write("held")
          const [first, second] = yield* startAll(
            ["first", "second"].map((text) =>
              Effect.provideService(writer.write(text), Scheduler.Scheduler, new YieldEvery(3 + (steps % 3)))
            )
          )
          yield* turns(2)
          transport.accept()
          transport.drain()
          for (let i = 0; i < steps >> 2; i++) yield* Effect.promise(() => Promise.resolve())
          first!.interruptUnsafe()
          yield* Fiber.await(first!)
          yield* Fiber.join(second!)
          yield* writer.flush
          assert.include(["heldsecond", "heldfirstsecond"], transport.sentText)
        }
      })
    )
  })

  it.effect(
    "a write that comes later does not overtake those that wait, even from the fiber that was woken first",
    () =>
      Effect.gen(function* () {
        for (const first of ["fit", "does not fit"]) {
          const { transport, writer } = yield* fake({ takes: false, highWaterMark: 4, lowWaterMark: 0 })
          yield* writer.write("held;")
          const eager = yield* start(Effect.andThen(writer.write(first), writer.write("again")))
          const patient = yield* start(writer.write(";patient;"))
          yield* system(transport, () => !waits(eager) && !waits(patient))
          assert.strictEqual(transport.sentText, `held;${first};patient;again`)
        }
      })
  )
})

describe("rank 12: writeAll", () => {
  it.effect("is one run between the writes of others", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      yield* writer.write("0123456789ab")
      const fibers = yield* startAll([
        writer.writeAll(Array.from({ length: 100 }, (_, i) => `a${i};`)),
        writer.write("between"),
        writer.writeAll(Array.from({ length: 100 }, (_, i) => bytes(`b${i};`)))
      ])
      assert.isTrue(fibers.every(waits))
      yield* system(transport, () => !fibers.some(waits))
      const run = (name: string) => Array.from({ length: 100 }, (_, i) => `${name}${i};`).join("")
      assert.strictEqual(transport.sentText, "0123456789ab" + run("a") + "between" + run("b"))
    })
  )

  it.effect("obeys the watermarks as write does: it waits above high, and goes on at low", () =>
    Effect.gen(function* () {
      const written: Array<ReadonlyArray<number>> = []
      for (const method of ["write", "writeAll"] as const) {
        const { transport, writer } = yield* fake({ takes: false, highWaterMark: 100, lowWaterMark: 25 })
        const put = (size: number) =>
          method === "write" ? writer.write(pattern(size)) : writer.writeAll([pattern(size - 1), "x"])
        const seen: Array<number> = []
        yield* start(
          Effect.gen(function* () {
            for (const size of [60, 40, 1, 30, 200, 5, 100]) {
              yield* put(size)
              seen.push(yield* writer.buffered)
            }
          })
        )
        seen.push(-1)
        while (transport.holding) {
          transport.drain()
          yield* turns(1)
          seen.push(-1, yield* writer.buffered)
        }
        written.push(seen)
      }
      assert.deepStrictEqual(written[1], written[0])
      assert.deepStrictEqual(written[0]!.slice(0, 5), [60, 100, 101, -1, 30])
    })
  )

  it.effect("collects its chunks when it runs, once", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      let runs = 0
      const effect = writer.writeAll({
        *[Symbol.iterator]() {
          runs++
          yield "run "
          yield bytes(`${runs};`)
        }
      })
      assert.strictEqual(runs, 0)
      yield* effect
      yield* effect
      yield* writer.flush
      assert.strictEqual(transport.sentText, "run 1;run 2;")
    })
  )

  it.effect("writes nothing if its chunks cannot be had", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const exit = yield* Effect.exit(
        writer.writeAll({
          *[Symbol.iterator]() {
            yield "half a message"
            throw new Error("no more")
          }
        })
      )
      assert.strictEqual(exit._tag, "Failure")
      yield* writer.write("whole")
      yield* writer.flush
      assert.strictEqual(transport.sentText, "whole")
    })
  )

  it.effect("is not torn by an iterable that writes itself", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeAll({
        *[Symbol.iterator]() {
          yield "<"
          writer.writeUnsafe("[other]")
          yield ">"
        }
      })
      yield* writer.flush
      assert.include(["[other]<>", "<>[other]"], transport.sentText)
    })
  )
})
