/**
 * What was accepted is sent, and nothing else, wherever an interruption comes: the wire shows, whole and in the order in
 * which they were accepted, the writes that returned, and of an interrupted one nothing at all.
 *
 * As in `read/interruptionAnywhere.test.ts`, fibers run under a scheduler that the test turns by hand, and are interrupted after each
 * step of an undisturbed run.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scheduler } from "effect"
import { Frame, type StreamWriter } from "effect-byte-streams"
import * as fc from "fast-check"
import { fake, type FakeTransport } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { SteppingScheduler } from "../support/steppingScheduler.ts"
import { turns } from "../support/wait.ts"
import { YieldFirst } from "../support/yieldingSchedulers.ts"

type Write =
  | { readonly op: "write" | "writeAll"; readonly size: number; readonly inGenerator: boolean }
  | { readonly op: "drain" | "flush" }

interface Scenario {
  readonly highWaterMark: number
  readonly lowPart: number
  /** What each fiber does. The first is interrupted. */
  readonly fibers: ReadonlyArray<ReadonlyArray<Write>>
  /** Whether the system takes a write at once, over and over. */
  readonly takes: ReadonlyArray<boolean>
  /** After how many steps the system has taken what it held back. */
  readonly drainEvery: number
  readonly picks: ReadonlyArray<number>
  readonly everyStep: boolean
  /** As under Effect's own scheduler, under which writes wait in another way: suspended, as in production. */
  readonly ownYields: number | undefined
}

const write: fc.Arbitrary<Write> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom("write", "writeAll"),
      size: fc.integer({ min: 0, max: 9 }),
      inGenerator: fc.boolean()
    })
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom("drain", "flush") }) }
)

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  highWaterMark: fc.integer({ min: 0, max: 20 }),
  lowPart: fc.integer({ min: 0, max: 4 }),
  fibers: fc.array(fc.array(write, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 }),
  takes: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
  drainEvery: fc.integer({ min: 1, max: 12 }),
  picks: fc.array(fc.nat(5), { maxLength: 8 }),
  everyStep: fc.constantFrom(true, true, false),
  ownYields: fc.constantFrom(undefined, undefined, 4, 5, 8, 13, 2048)
})

/** Who writes to one writer, and what of it was accepted. */
class Writing {
  readonly accepted: Array<string> = []
  private readonly writer: StreamWriter.StreamWriter
  private readonly transport: FakeTransport
  private frames = 0

  constructor(writer: StreamWriter.StreamWriter, transport: FakeTransport) {
    this.writer = writer
    this.transport = transport
  }

  run(writes: ReadonlyArray<Write>): Effect.Effect<void> {
    return Effect.orDie(Effect.forEach(writes, (write) => Effect.suspend(() => this.one(write)), { discard: true }))
  }

  private one(write: Write): Effect.Effect<void, unknown> {
    const { accepted, transport, writer } = this
    if (!("size" in write)) {
      if (write.op === "drain") return writer.drain
      const before = accepted.join("")
      return Effect.map(writer.flush, () => assert.isTrue(transport.sentText.startsWith(before), "not flushed"))
    }
    const frame = `<${this.frames++}${".".repeat(write.size)}>`
    const effect = write.op === "write" ? writer.write(frame) : writer.writeAll([...frame])
    // accepted and entered in one step
    if (!write.inGenerator) return Effect.map(effect, () => void accepted.push(frame))
    return Effect.gen(function* () {
      yield* effect
      accepted.push(frame)
    })
  }
}

/** Runs a scenario; after `steps` steps the first fiber is interrupted. Returns how many steps that fiber took. */
const run = (scenario: Scenario, steps: number): Effect.Effect<number> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { drainEvery, fibers, highWaterMark, lowPart, takes } = scenario
      let asked = 0
      const { transport, writer } = yield* fake({
        highWaterMark,
        lowWaterMark: Math.floor((highWaterMark * lowPart) / 4),
        takes: () => takes[asked++ % takes.length]!
      })
      const scheduler = new SteppingScheduler(scenario)
      const writing = new Writing(writer, transport)
      const started = fibers.map((writes) => scheduler.start(writing.run(writes)))
      const victim = started[0]!
      let taken: number | undefined
      const turn = Effect.promise(async () => {
        // what is written is sent at the end of the turn
        await Promise.resolve()
      })
      for (let idle = 0; idle < 3;) {
        if (taken === undefined && (scheduler.steps >= steps || victim.pollUnsafe() !== undefined)) {
          taken = scheduler.steps
          victim.interruptUnsafe()
        }
        const stepped = scheduler.step()
        yield* turn
        if (transport.holding && (!stepped || scheduler.steps % drainEvery === 0)) transport.drain()
        else if (!stepped) idle++
        if (stepped) idle = 0
      }
      for (const fiber of started) succeeded(fiber)
      assert.strictEqual(transport.sentText, writing.accepted.join(""))
      assert.strictEqual(yield* writer.buffered, 0)
      return taken ?? scheduler.steps
    })
  )

/** Done, or interrupted, and nothing else. */
const succeeded = (fiber: Fiber.Fiber<void>): void => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, "a fiber waits for ever")
  if (Exit.isFailure(exit!) && !Cause.hasInterruptsOnly(exit.cause)) throw Cause.squash(exit.cause)
}

it.effect("rank 5: interrupted at any suspension point, a write was accepted whole or not at all", () =>
  forAll(
    scenarios,
    (scenario) =>
      Effect.gen(function* () {
        const steps = yield* run(scenario, Infinity)
        for (let step = 0; step < steps; step++) yield* run(scenario, step)
      }),
    { numRuns: 70 }
  )
)

it.effect(
  "row 8.8: drain goes on once the low-water mark is reached, also when others fill the buffer again at once",
  () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ highWaterMark: 10, lowWaterMark: 2, takes: false })
      yield* start(Effect.forever(writer.write(".".repeat(20))))
      const drain = yield* start(writer.drain)
      assert.isTrue(waits(drain))
      // what is written in the first turn, and what waits behind it
      for (let times = 0; times < 3; times++) {
        yield* turns(1)
        transport.drain()
      }
      yield* turns(1)
      assert.isFalse(waits(drain))
    })
)

it.effect("rank 5: a fiber that is interrupted before it has begun writes nothing, also where others run first", () =>
  Effect.gen(function* () {
    const { transport, writer } = yield* fake()
    for (const write of [writer.write("a"), writer.writeAll(["b", "c"]), writer.writeFrame(Frame.uint8, 1)]) {
      const fiber = yield* Effect.forkChild(write as Effect.Effect<void, unknown>)
      fiber.interruptUnsafe()
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
    }
    yield* writer.flush
    assert.strictEqual(transport.sentText, "")
  }).pipe(Effect.provideService(Scheduler.Scheduler, new YieldFirst()))
)
