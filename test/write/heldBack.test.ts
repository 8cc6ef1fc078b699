/**
 * The writer against the law of Eio's `fuzz_buf_write.ml`: whatever is written, held back and let go in whatever order,
 * the bytes that come out are those that went in.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as fc from "fast-check"
import { assertBytes } from "../support/assertBytes.ts"
import { bytes } from "../support/bytes.ts"
import { concat, fake } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { turns } from "../support/wait.ts"

type Operation =
  | { readonly name: "string"; readonly text: string }
  /** Copied: the array is written over as soon as the write has returned. */
  | { readonly name: "cstruct"; readonly bytes: Uint8Array }
  /** Kept as it is until it is sent. */
  | { readonly name: "schedule_cstruct"; readonly size: number }
  | { readonly name: "several"; readonly parts: ReadonlyArray<string> }
  | { readonly name: "yield" | "flush" | "pause" | "unpause" | "takeOne" }

/** The longest write that is copied. */
const copied = 4096

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ name: fc.constant("string" as const), text: fc.string({ unit: "grapheme", maxLength: 50 }) }),
  fc.record({
    name: fc.constant("cstruct" as const),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 50 }),
      fc.integer({ min: 1, max: copied }).map((size) => new Uint8Array(size).fill(size))
    )
  }),
  fc.record({ name: fc.constant("schedule_cstruct" as const), size: fc.integer({ min: copied + 1, max: 80_000 }) }),
  fc.record({ name: fc.constant("several" as const), parts: fc.array(fc.string({ maxLength: 20 }), { maxLength: 5 }) }),
  fc.constantFrom<Operation>(
    { name: "yield" },
    { name: "yield" },
    { name: "flush" },
    { name: "pause" },
    { name: "unpause" },
    { name: "takeOne" }
  )
)

it.live("Eio fuzz_buf_write: the bytes that come out are those that went in", () =>
  forAll(
    fc.record({
      operations: fc.array(operation, { maxLength: 40, size: "max" }),
      marks: fc.constantFrom({}, { highWaterMark: 0 }, { highWaterMark: 100, lowWaterMark: 10 }),
      close: fc.boolean()
    }),
    ({ close, marks, operations }) =>
      Effect.gen(function* () {
        const { transport, writer } = yield* fake(marks)
        const written: Array<Uint8Array> = []
        const flushes: Array<{ readonly target: number; readonly fiber: Fiber.Fiber<void, unknown> }> = []
        for (const operation of operations) {
          switch (operation.name) {
            case "string":
              written.push(bytes(operation.text))
              writer.writeUnsafe(operation.text)
              break
            case "cstruct": {
              const memory = operation.bytes.slice()
              written.push(operation.bytes)
              writer.writeUnsafe(memory)
              memory.fill(0xee)
              break
            }
            case "schedule_cstruct": {
              const view = new Uint8Array(operation.size).fill(operation.size)
              written.push(view)
              writer.writeUnsafe(view)
              break
            }
            case "several": {
              written.push(...operation.parts.map(bytes))
              // waits where the marks say so, and goes out behind everything before it all the same
              const fiber = yield* start(writer.writeAll(operation.parts))
              if (yield* Effect.map(writer.buffered, (buffered) => buffered > 0)) {
                transport.accept()
                transport.drainAll()
              }
              // it waits for another turn, where the share of this one was used up
              if (waits(fiber)) yield* turns(1)
              assert.isFalse(waits(fiber))
              break
            }
            case "yield":
              yield* turns(1)
              break
            case "flush": {
              const target = concat(written).length
              flushes.push({ target, fiber: yield* start(writer.flush) })
              break
            }
            case "pause":
              transport.hold()
              break
            case "unpause":
              transport.accept()
              transport.drainAll()
              break
            case "takeOne":
              if (transport.holding) transport.drain()
              break
          }
          // a flush is over when everything before it is out, and not before
          const out = transport.sent.length
          for (const { fiber, target } of flushes) if (!waits(fiber)) assert.isAtLeast(out, target)
        }
        transport.accept()
        transport.drainAll()
        if (close) assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
        else yield* writer.flush
        for (const { fiber } of flushes) yield* Fiber.join(fiber)
        assertBytes(transport.sent, concat(written), "what came out")
        assert.strictEqual(transport.count("end") + transport.count("close") > 0, close)
      }),
    { numRuns: 300 }
  )
)
