/**
 * No lost byte where the fiber that reads is interrupted from within its read: by an observer, by a frame, by a tracer; or
 * before it began. What reads have answered and what is buffered then is what was fed, in order.
 */
import { assert, describe, it } from "@effect/vitest"
import { Frame, Observer, type StreamReader } from "effect-byte-streams"
import { Cause, Effect, Exit, Fiber, Scheduler, Tracer } from "effect"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { fake, type Faked } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { onPrivateRuntime } from "../support/publicApi.ts"
import { turns, within } from "../support/wait.ts"
import { Restless, YieldFirst } from "../support/yieldingSchedulers.ts"

/** Whoever is called in the middle of a read, and interrupts its fiber there every so many times. */
class Others {
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  interruptions = 0
  private calls = 0
  private readonly gaps: ReadonlyArray<number>

  constructor(gaps: ReadonlyArray<number>) {
    this.gaps = gaps
  }

  readonly call = (): void => {
    if (this.fiber === undefined || ++this.calls < this.gaps[this.interruptions % this.gaps.length]!) return
    this.calls = 0
    this.interruptions++
    this.fiber.interruptUnsafe()
  }

  get observer(): Observer.Observer {
    const { call } = this
    return { onEvent: call, onBytes: call, onReadStarted: call, onReadEnded: call }
  }

  /** Interrupts in front of a step, which no read can know of. */
  get tracer(): Tracer.Tracer {
    return Tracer.make({
      span: (options) => new Tracer.NativeSpan(options),
      context: (primitive, fiber) => {
        if (fiber === this.fiber) this.call()
        return primitive["~effect/Effect/evaluate"](fiber)
      }
    })
  }

  frame(size: number): Frame.Frame<Uint8Array> {
    const decode = (bytes: Uint8Array) => {
      this.call()
      return bytes
    }
    return Frame.bytes(size).pipe(Frame.transform({ decode, encode: (bytes) => bytes }))
  }
}

/** Makes reads, and tells what each has answered. */
const reads = (reader: StreamReader.StreamReader, others: Others, took: (text: string) => void) => {
  const given = (bytes: Uint8Array) => took(text(bytes))
  const one = <A, E>(read: Effect.Effect<A, E>, see: (answer: A) => void) => [read, see] as const
  const frame = others.frame(3)
  const memory = new Uint8Array(4)
  return {
    read: one(reader.read(5), given),
    readOption: one(reader.readOption(5), (answer) => answer._tag === "Some" && given(answer.value)),
    readExactly: one(reader.readExactly(4), given),
    readInto: one(reader.readInto(memory), (size) => given(memory.subarray(0, size))),
    readLine: one(reader.readLine, given),
    readUntil: one(reader.readUntil("a"), given),
    pull: one(reader.pull, (pieces) => pieces.forEach(given)),
    peek: one(reader.peek(2), () => {}),
    readFrame: one(reader.readFrame(frame), given),
    readFrameOption: one(reader.readFrameOption(frame), (answer) => answer._tag === "Some" && given(answer.value)),
    readFrames: one(reader.readFrames(frame), (messages) => messages.forEach(given))
  }
}

type Name = keyof ReturnType<typeof reads>
const names: ReadonlyArray<Name> = [
  "read",
  "readOption",
  "readExactly",
  "readInto",
  "readLine",
  "readUntil",
  "pull",
  "peek",
  "readFrame",
  "readFrameOption",
  "readFrames"
]

const schedulers = {
  own: () => new Scheduler.MixedScheduler(),
  restless: () => new Restless(7),
  "one that lets others begin first": () => new YieldFirst()
}

const scenarios = fc.record({
  reads: fc.array(fc.record({ name: fc.constantFrom(...names), asked: fc.boolean(), timed: fc.boolean() }), {
    minLength: 1,
    maxLength: 6
  }),
  pieces: fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 8, maxLength: 16 }),
  limit: fc.integer({ min: 8, max: 40 }),
  gaps: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 }),
  scheduler: fc.constantFrom<keyof typeof schedulers>("own", "own", "restless", "one that lets others begin first"),
  early: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 })
})

const holds = (
  { early, gaps, limit, pieces, reads: asked, scheduler }: typeof scenarios extends fc.Arbitrary<infer A> ? A : never,
  by: "observer" | "frame" | undefined
) =>
  Effect.gen(function* () {
    const others = new Others(gaps)
    const opened = fake({ limit })
    const { reader, transport } = yield* by === "observer"
      ? Effect.provide(opened, Observer.layer(others.observer))
      : opened
    const length = pieces.reduce((sum, piece) => sum + piece, 0)
    // both of the separators are never far
    const all = Array.from({ length }, (_, i) => ["b", "\n", "cdefg".charAt((i / 5) % 5), "a", "h"][i % 5]).join("")
    let fed = 0
    let got = ""
    const kinds = reads(reader, others, (text) => {
      got += text
      assert.isTrue(all.startsWith(got), `${JSON.stringify(got)} is no beginning of ${JSON.stringify(all)}`)
    })
    let next = 0
    const program: Effect.Effect<void, unknown> = Effect.suspend(() => {
      const { asked: inGenerator, name, timed } = asked[next++ % asked.length]!
      const [read, see] = kinds[name] as readonly [Effect.Effect<unknown, unknown>, (answer: unknown) => void]
      const seen = inGenerator
        ? Effect.gen(function* () {
            see(yield* read)
          })
        : Effect.matchCauseEffect(read, {
            onSuccess: (answer) => (see(answer), Effect.void),
            onFailure: Effect.failCause
          })
      const bounded = timed ? Effect.asVoid(Effect.timeoutOption(seen, 60_000)) : seen
      return Effect.andThen(Effect.andThen(bounded, Effect.void), program)
    })
    const own = schedulers[scheduler]()
    const feed = (piece: number) => {
      transport.push(all.slice(fed, fed + piece))
      fed += piece
    }
    let fibers = 0
    let fiber: Fiber.Fiber<void, unknown> | undefined
    for (const piece of [...pieces, 0]) {
      if (fiber === undefined || !waits(fiber)) {
        const fork = Effect.forkDetach(program)
        const isEarly = early[fibers++ % early.length]!
        fiber = yield* (isEarly ? Effect.tap(fork, (begun) => Effect.sync(() => begun.interruptUnsafe())) : fork).pipe(
          Effect.provideService(Scheduler.Scheduler, own)
        )
        // a read with a bound of time is in a fiber of its own, and interrupted with this one
        others.fiber = isEarly ? undefined : fiber
        yield* turns(2)
      }
      if (piece > 0) feed(piece)
      yield* turns(2)
      const exit = fiber.pollUnsafe()
      if (exit === undefined) continue
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
      others.fiber = undefined
      assert.strictEqual(yield* reader.buffered, fed - got.length)
    }
    others.fiber = undefined
    yield* Fiber.interrupt(fiber!)
    const left = yield* reader.buffered
    got += text(yield* reader.readExactly(left))
    assert.strictEqual(got, all)
  })

describe("rank 5: the fiber that reads is interrupted from within, and no byte is lost or comes twice", () => {
  for (const by of ["observer", "frame", undefined] as const) {
    it.live(`by ${by ?? "nobody"}, or before it began`, () =>
      forAll(scenarios, (scenario) => holds(scenario, by), { numRuns: 150 })
    )
  }

  it.live(
    "by a tracer, in front of any step",
    () =>
      Effect.gen(function* () {
        for (const name of names.filter((name) => name !== "peek")) {
          for (let steps = 1; steps <= 12; steps++) {
            const { reader, transport } = yield* fake()
            const others = new Others([steps])
            let got = ""
            const [read, see] = reads(reader, others, (text) => (got += text))[name] as readonly [
              Effect.Effect<unknown, unknown>,
              (answer: unknown) => void
            ]
            const over = Effect.flatMap(read, (answer) => (see(answer), Effect.never))
            const fiber = yield* start(Effect.provideService(over, Tracer.Tracer, others.tracer))
            yield* turns(2)
            others.fiber = fiber
            transport.push("bca\n")
            yield* turns(2)
            others.fiber = undefined
            yield* Fiber.interrupt(fiber)
            got += text(yield* reader.readExactly(yield* reader.buffered))
            assert.strictEqual(got, "bca\n", `${name}, in front of step ${steps}`)
          }
        }
      }),
    onPrivateRuntime("an answer has a step of its own there, in front of which the tracer is called")
  )

  it.live("by an observer that is told that the read ends: what came is for the next read", () =>
    Effect.gen(function* () {
      let victim: Fiber.Fiber<unknown, unknown> | undefined
      const { reader, transport } = yield* fake().pipe(
        Effect.provide(Observer.layer({ onReadEnded: () => victim?.interruptUnsafe() }))
      )
      const read = [reader.read(3), reader.readExactly(3), reader.readLine, reader.readFrame(Frame.bytes(3))]
      for (const one of read) {
        const got: Array<string> = []
        const fiber = (victim = yield* start(
          Effect.map(one as Effect.Effect<Uint8Array, unknown>, (bytes) => void got.push(text(bytes)))
        ))
        yield* turns()
        transport.push(bytes("ab\n"))
        yield* Fiber.await(fiber)
        victim = undefined
        const left = yield* reader.buffered
        assert.strictEqual(left, got.length === 0 ? 3 : 0)
        if (left > 0) assert.strictEqual(text(yield* reader.readExactly(3)), "ab\n")
      }
    })
  )
})

describe("a read does not wait for what happens as it begins to wait", () => {
  /** What a tracer may do in front of each step of the read. */
  const events = {
    end: ({ transport }) => transport.pushEnd(),
    loss: ({ transport }) => transport.lose(),
    bytes: ({ transport }) => transport.push("d"),
    // once it waits, nothing can be put back
    "what is put back": ({ reader }) => void Effect.runSyncExit(reader.unread(bytes("d"))),
    abort: ({ connection }) => void Effect.runFork(connection.abort)
  } satisfies Record<string, (faked: Faked) => void>

  for (const [what, happen] of Object.entries(events)) {
    it.live(what, () =>
      Effect.gen(function* () {
        let waited = false
        for (let step = 1; !waited; step++) {
          const faked = yield* fake()
          const { reader, transport } = faked
          transport.push("abc")
          let victim: Fiber.Fiber<unknown, unknown> | undefined
          let steps = 0
          const tracer = Tracer.make({
            span: (options) => new Tracer.NativeSpan(options),
            context: (primitive, fiber) => {
              victim ??= fiber
              if (fiber === victim && ++steps === step) happen(faked)
              return primitive["~effect/Effect/evaluate"](fiber)
            }
          })
          const fiber = yield* start(Effect.provideService(reader.readExactly(4), Tracer.Tracer, tracer))
          yield* turns(2)
          // it waits, and nothing has happened
          waited = steps < step
          if (waited) yield* Fiber.interrupt(fiber)
          else yield* within(`it answers, or fails, in front of step ${step}`, Fiber.await(fiber))
        }
      })
    )
  }
})
