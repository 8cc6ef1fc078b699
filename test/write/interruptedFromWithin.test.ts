/**
 * A write whose fiber is interrupted from within it was accepted, and its fiber is told so first; or nothing of it is sent.
 * Whoever interrupts is an observer, an encoder, or what makes the chunks.
 */
import { assert, describe, it } from "@effect/vitest"
import { Frame, Observer } from "effect-byte-streams"
import { Effect, type Fiber, Scheduler } from "effect"
import * as fc from "fast-check"
import { fake } from "../support/fakeTransport.ts"
import { waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { turns } from "../support/wait.ts"
import { Restless, YieldFirst } from "../support/yieldingSchedulers.ts"

const callers = ["observer", "encoder", "iterable"] as const
const writes = ["write", "writeAll", "writeAll, of what is made", "writeFrame", "writeFrames"] as const
const schedulers = {
  own: () => new Scheduler.MixedScheduler(),
  restless: () => new Restless(7),
  "one that lets others begin first": () => new YieldFirst()
}

const scenarios = fc.record({
  by: fc.constantFrom(...callers),
  writes: fc.array(fc.constantFrom(...writes), { minLength: 1, maxLength: 5 }),
  gaps: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 }),
  scheduler: fc.constantFrom<keyof typeof schedulers>("own", "own", "restless", "one that lets others begin first"),
  highWaterMark: fc.constantFrom(8, 64, 65_536),
  takes: fc.boolean()
})

describe("rank 5: a fiber that writes is interrupted from within", () => {
  it.live("and what was sent is what it was told was accepted", () =>
    forAll(
      scenarios,
      ({ by, gaps, highWaterMark, scheduler, takes, writes }) =>
        Effect.gen(function* () {
          let victim: Fiber.Fiber<unknown, unknown> | undefined
          let calls = 0
          let interruptions = 0
          const called = (who: (typeof callers)[number]) => () => {
            if (who !== by || victim === undefined || ++calls < gaps[interruptions % gaps.length]!) return
            calls = 0
            interruptions++
            victim.interruptUnsafe()
          }
          const observer = called("observer")
          const encoding = called("encoder")
          const making = called("iterable")
          const opened = fake({ highWaterMark, lowWaterMark: highWaterMark / 4, takes })
          const { transport, writer } = yield* Effect.provide(
            opened,
            Observer.layer({ onEvent: observer, onBytes: observer })
          )
          const frame = Frame.uint8.pipe(
            Frame.transform({ decode: (byte) => byte, encode: (byte: number) => (encoding(), byte) })
          )
          const perform = (kind: (typeof writes)[number], letter: string): Effect.Effect<void, unknown> => {
            switch (kind) {
              case "write":
                return writer.write(letter)
              case "writeAll":
                return writer.writeAll([letter])
              case "writeAll, of what is made":
                return writer.writeAll({
                  *[Symbol.iterator]() {
                    making()
                    yield letter
                    making()
                  }
                })
              case "writeFrame":
                return writer.writeFrame(frame, letter.charCodeAt(0))
              case "writeFrames":
                return writer.writeFrames(frame, [letter.charCodeAt(0)])
            }
          }
          let accepted = ""
          let next = 0
          const program: Effect.Effect<void, unknown> = Effect.suspend(() => {
            if (next >= 100) return Effect.void
            const letter = String.fromCharCode(65 + (next % 57))
            const write = perform(writes[next++ % writes.length]!, letter)
            return Effect.flatMap(write, () => ((accepted += letter), program))
          })
          const own = schedulers[scheduler]()
          for (let fibers = 0; fibers < 30 && next < 100; fibers++) {
            const fiber = Effect.runFork(program, { scheduler: own })
            victim = fiber
            for (let i = 0; i < 5; i++) {
              yield* turns(1)
              if (transport.holding) transport.drain()
            }
            victim = undefined
            fiber.interruptUnsafe()
            for (let i = 0; i < 3 || (i < 200 && (transport.holding || waits(fiber))); i++) {
              if (transport.holding) transport.drain()
              yield* turns(1)
            }
            assert.isFalse(waits(fiber))
            assert.strictEqual(transport.sentText, accepted)
          }
        }),
      { numRuns: 60 }
    )
  )
})
