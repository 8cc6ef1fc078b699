/** What bounds a writer: the watermarks, `drain`, `flush`, and how both differ. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import * as fc from "fast-check"
import { pattern } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { YieldBefore } from "../support/yieldingSchedulers.ts"
import { turns } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

describe("rank 2: a program that never drains", () => {
  it.effect("holds at most the high-water mark and one write", () =>
    forAll(
      fc.record({
        sizes: fc.array(fc.integer({ min: 1, max: 10_000 }), { minLength: 1, maxLength: 20 }),
        highWaterMark: fc.constantFrom(0, 1, 1000, 65536),
        takes: fc.array(fc.boolean(), { maxLength: 30 }),
        fibers: fc.integer({ min: 1, max: 10 }),
        drains: fc.integer({ min: 0, max: 20 })
      }),
      ({ drains, fibers, highWaterMark, sizes, takes }) =>
        Effect.gen(function* () {
          let asked = 0
          // taken at once for a while; then the peer stalls
          const { connection, transport, writer } = yield* fake({ highWaterMark, takes: () => takes[asked++] ?? false })
          const largest = Math.max(...sizes)
          let most = 0
          const writers = yield* startAll(
            Array.from({ length: fibers }, () =>
              Effect.gen(function* () {
                for (let i = 0; ; i++) {
                  yield* writer.write(pattern(sizes[i % sizes.length]!))
                  const buffered = yield* writer.buffered
                  most = Math.max(most, buffered)
                }
              })
            )
          )
          for (let i = 0; i < drains; i++) {
            yield* turns(1)
            if (transport.holding) transport.drain()
          }
          // they also wait for a while after they have sent their share of a turn
          for (let i = 0; i < 1000 && (waiting(connection).writers < fibers || most <= highWaterMark); i++)
            yield* turns(1)
          assert.isTrue(writers.every(waits))
          assert.strictEqual(waiting(connection).writers, fibers)
          assert.isAbove(most, highWaterMark)
          assert.isAtMost(most, highWaterMark + largest)
          assert.isAtMost(yield* writer.buffered, highWaterMark + largest)
        }),
      {
        numRuns: 100,
        // in which a writer lets others run between two of its steps
        examples: [[{ sizes: [5], highWaterMark: 65536, takes: [true], fibers: 7, drains: 1 }]]
      }
    )
  )

  it.effect("is not a hog: while the system takes everything at once, others have their turn", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      const chunk = pattern(4096)
      const total = 64 * 1024 * 1024
      let written = 0
      let writtenBefore = -1
      yield* start(
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => (writtenBefore = written))
        )
      )
      while (written < total) {
        yield* writer.write(chunk)
        written += chunk.length
        if (writtenBefore >= 0) break
      }
      assert.isAtLeast(writtenBefore, 0, `nobody else ran before ${total} bytes were written`)
    })
  )
})

describe("connections that send without end", () => {
  const block = pattern(65536)
  const total = 128 * block.length
  // a share, and the write that used it up
  const share = 3 * block.length

  for (const [name, drains] of [
    ["write", false],
    ["write and drain", true]
  ] as const) {
    it.live(`take turns, while the system takes everything at once: ${name}`, () =>
      Effect.gen(function* () {
        const sent = [0, 0, 0]
        let apart = 0
        const sender = (index: number) =>
          Effect.gen(function* () {
            const { transport, writer } = yield* fake()
            transport.onWrite = (chunks) => {
              for (const chunk of chunks) sent[index]! += chunk.length
              // one that is done is overtaken by nobody
              if (sent.every((size) => size < total)) apart = Math.max(apart, Math.max(...sent) - Math.min(...sent))
            }
            while (sent[index]! < total) {
              yield* writer.write(block)
              if (drains) yield* writer.drain
            }
          })
        yield* Effect.all([sender(0), sender(1), sender(2)], { concurrency: "unbounded" })
        assert.isAtLeast(apart, 2 * block.length, "they did not send side by side")
        assert.isAtMost(apart, share)
      })
    )
  }
})

describe("no wait is for ever", () => {
  for (const name of ["write", "writeAll", "drain", "flush", "writeEof"] as const) {
    it.effect(`${name} goes on also when the room comes just before it waits`, () =>
      Effect.gen(function* () {
        // the fiber lets others run before one of its steps, and just then the system takes what it held
        for (let step = 1; step <= 10; step++) {
          const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
          yield* writer.write("more than ten bytes")
          const operation =
            name === "write" ? writer.write("x") : name === "writeAll" ? writer.writeAll(["x"]) : writer[name]
          const fiber = yield* start(Effect.provideService(operation, Scheduler.Scheduler, new YieldBefore(step)))
          transport.accept()
          transport.drain()
          yield* turns()
          assert.isFalse(waits(fiber), `with others running before step ${step}`)
          assert.deepStrictEqual(waiting(connection), nobody)
        }
      })
    )

    it.effect(`${name} fails also when the loss comes just before it waits`, () =>
      Effect.gen(function* () {
        for (let step = 1; step <= 10; step++) {
          const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
          yield* writer.write("more than ten bytes")
          const operation =
            name === "write" ? writer.write("x") : name === "writeAll" ? writer.writeAll(["x"]) : writer[name]
          const fiber = yield* start(Effect.provideService(operation, Scheduler.Scheduler, new YieldBefore(step)))
          transport.lose()
          yield* turns()
          assert.isFalse(waits(fiber), `with others running before step ${step}`)
          assert.deepInclude(yield* Effect.flip(Fiber.join(fiber)), { _tag: "ConnectionLost", operation: name })
          assert.deepStrictEqual(waiting(connection), nobody)
        }
      })
    )
  }
})

describe("rank 29: drain and flush", () => {
  it.effect("flush completes only when everything written so far is with the system, drain long before", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 100, lowWaterMark: 25 })
      yield* writer.write(pattern(90))
      yield* turns(1)
      yield* writer.write(pattern(20))
      const [drain, flush] = yield* startAll([writer.drain, writer.flush])
      assert.deepStrictEqual([waits(drain!), waits(flush!)], [true, true])
      transport.drain()
      assert.deepStrictEqual([yield* writer.buffered, waits(drain!), waits(flush!)], [20, false, true])
      transport.drain()
      assert.deepStrictEqual([yield* writer.buffered, waits(drain!), waits(flush!)], [0, false, false])
    })
  )

  it.effect("flush with nothing unsent returns at once", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      yield* writer.flush
      yield* writer.write("x")
      yield* turns(1)
      transport.drain()
      yield* writer.flush
    })
  )

  it.effect("flush does not wait for what is written after it", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1000 })
      yield* writer.write("before")
      const flush = yield* start(writer.flush)
      for (let i = 0; i < 5; i++) writer.writeUnsafe("after")
      transport.drain()
      assert.isFalse(waits(flush))
      assert.isTrue(transport.holding)
      // nor is it put off by somebody who never stops
      const second = yield* start(writer.flush)
      const chatter = yield* start(
        Effect.gen(function* () {
          while (true) {
            yield* writer.write("on and on ")
            yield* turns(1)
          }
        })
      )
      for (let i = 0; i < 3 && waits(second); i++) {
        yield* turns(2)
        transport.drain()
      }
      assert.isFalse(waits(second))
      yield* Fiber.interrupt(chatter)
    })
  )

  it.effect("each of many flushes waits for what was written before it", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 1000 })
      const flushes = []
      for (let i = 0; i < 3; i++) {
        yield* writer.write(`${i}`)
        flushes.push(yield* start(writer.flush))
        if (i === 0) flushes.push(yield* start(writer.flush))
        yield* turns(1)
      }
      assert.deepStrictEqual(flushes.map(waits), [true, true, true, true])
      transport.drain()
      assert.deepStrictEqual(flushes.map(waits), [false, false, true, true])
      transport.drain()
      assert.deepStrictEqual(flushes.map(waits), [false, false, false, false])
    })
  )

  it.effect("flush goes on through writeEof and close by others", () =>
    Effect.gen(function* () {
      for (const end of ["writeEof", "close"] as const) {
        const { transport, writer } = yield* fake({ takes: false })
        yield* writer.write("x")
        const flush = yield* start(writer.flush)
        const ending = yield* start(writer[end])
        assert.isTrue(waits(flush))
        transport.drain()
        yield* Fiber.join(flush)
        yield* Fiber.join(ending)
      }
    })
  )

  it.effect("flush and drain after writeEof are about what was written before it", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      yield* writer.write("more than ten bytes")
      const fibers = yield* startAll([writer.writeEof, writer.drain, writer.flush])
      assert.isTrue(fibers.every(waits))
      transport.drain()
      yield* Fiber.joinAll(fibers)
      yield* writer.drain
      yield* writer.flush
    })
  )

  it.effect("row 7.5: any number of fibers may drain at once, and all go on", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      yield* writer.write("more than ten bytes")
      const drains = yield* startAll(Array.from({ length: 100 }, () => writer.drain))
      assert.isTrue(drains.every(waits))
      assert.strictEqual(waiting(connection).forProgress, 100)
      transport.drain()
      assert.isFalse(drains.some(waits))
      yield* Fiber.joinAll(drains)
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("row 7.5: a drainer that is woken may write, drain and wait again", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      yield* writer.write("more than ten bytes")
      let rounds = 0
      const fibers = yield* startAll(
        Array.from({ length: 5 }, () =>
          Effect.gen(function* () {
            for (let i = 0; i < 3; i++) {
              yield* writer.drain
              yield* writer.write("more than ten bytes")
              rounds++
            }
          })
        )
      )
      while (fibers.some(waits)) {
        yield* turns(1)
        if (transport.holding) transport.drain()
      }
      assert.strictEqual(rounds, 15)
      yield* turns(1)
      transport.drainAll()
      assert.strictEqual(transport.sent.length, 16 * "more than ten bytes".length)
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )
})
