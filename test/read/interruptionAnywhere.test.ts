/**
 * No lost byte, wherever an interruption comes: whatever reads return, with what they carry in `IncompleteRead` and
 * without what was put back, and what is buffered in the end is what was fed, in order.
 *
 * Fibers run under a scheduler that the test turns by hand. It counts the steps of an undisturbed run, and then runs it
 * again, interrupted after each of them; with a yield between any two steps, and before the first step of a fiber that
 * was woken, so that every state between two steps is one in which the interruption finds the reader.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Scheduler } from "effect"
import { Frame, StreamError, StreamReader } from "effect-byte-streams"
import * as fc from "fast-check"
import { TestClock } from "effect/testing"
import type { Flow } from "../../src/internal/read/backpressure.ts"
import { ReadBuffer } from "../../src/internal/read/readBuffer.ts"
import { BufferReader } from "../../src/internal/read/reader.ts"
import { bytes } from "../support/bytes.ts"
import { chunkings } from "../support/chunkings.ts"
import { startAll, startUnderClock, waits } from "../support/fibers.ts"
import { Ledger } from "../support/ledger.ts"
import { forAll } from "../support/property.ts"
import { firstMatch, itemsOf } from "../support/readerModel.ts"
import {
  allOrNothing,
  effectOf,
  failed,
  letterText,
  type Outcome,
  perform,
  type Request,
  requests,
  separators,
  succeeded
} from "../support/readRequests.ts"
import { SteppingScheduler } from "../support/steppingScheduler.ts"
import { ActsBefore, YieldFirst } from "../support/yieldingSchedulers.ts"

// ---------------------------------------------------------------------------
// scenarios
// ---------------------------------------------------------------------------

/** Reads that drop nothing unsaid: `discard` and `discardUntil` have properties of their own. */
const accounted = (request: Request): boolean =>
  request.name !== "discardUntil" && !("onOverrun" in request && request.onOverrun === "discard")

interface Read {
  readonly request: Request
  readonly inGenerator: boolean
  readonly uninterruptible: boolean
}

const reads: fc.Arbitrary<ReadonlyArray<Read>> = fc.array(
  fc.record({
    request: requests(20).filter(accounted),
    inGenerator: fc.boolean(),
    uninterruptible: fc.integer({ min: 0, max: 7 }).map((chance) => chance === 0)
  }),
  { minLength: 1, maxLength: 6 }
)

const picks = fc.array(fc.nat(5), { maxLength: 12 })

interface Scenario {
  readonly limit: number
  readonly text: string
  readonly chunks: ReadonlyArray<string>
  readonly end: "eof" | "lost"
  readonly picks: ReadonlyArray<number>
  readonly everyStep: boolean
  readonly yields: ReadonlyArray<boolean>
  readonly ownYields: number | undefined
}

/** Mostly with a yield wherever there can be one; sometimes at some of these places, or only where fibers ask for it. */
const yields = fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(fc.boolean(), { maxLength: 6 }))

/** Now and then as under Effect's own scheduler, under which reads wait in another way: suspended, as in production. */
const ownYields = fc.constantFrom(undefined, undefined, 4, 5, 8, 13, 2048)

const scenarios: fc.Arbitrary<Scenario> = letterText({ maxLength: 40 }).chain((text) =>
  fc.record({
    limit: fc.integer({ min: 1, max: 12 }),
    text: fc.constant(text),
    chunks: chunkings(text),
    end: fc.constantFrom("eof", "eof", "lost"),
    picks,
    everyStep: fc.constantFrom(true, true, true, false),
    yields,
    ownYields
  })
)

const endingWell = scenarios.map((scenario): Scenario => ({ ...scenario, end: "eof" }))

/** A reader, the fibers that feed and read it, and the account of its bytes. */
class Stage {
  readonly scheduler: SteppingScheduler
  readonly reader: BufferReader
  readonly ledger: Ledger
  private readonly buffer: ReadBuffer
  private readonly fibers: Array<Fiber.Fiber<void>> = []

  constructor(
    { limit, text, ...turns }: Pick<Scenario, "limit" | "text" | "picks" | "everyStep" | "yields" | "ownYields">,
    flow: Flow = { pause: () => {}, resume: () => {} }
  ) {
    this.scheduler = new SteppingScheduler(turns)
    this.buffer = new ReadBuffer(limit, flow)
    this.reader = new BufferReader(this.buffer)
    this.ledger = new Ledger(text)
  }

  feed(chunk: string): void {
    this.buffer.feed(bytes(chunk))
  }

  end(end: "eof" | "lost"): void {
    if (end === "eof") this.buffer.feedEnd()
    else this.buffer.feedLoss((operation) => new StreamError.ConnectionLost({ operation, kind: "Reset" }))
  }

  /** Feeds chunk by chunk, and lets others run in between. */
  feedAll({ chunks, end }: Pick<Scenario, "chunks" | "end">): void {
    this.start(
      Effect.gen({ self: this }, function* () {
        for (const chunk of chunks) {
          yield* Effect.sync(() => this.feed(chunk))
          yield* Effect.yieldNow
        }
        yield* Effect.sync(() => this.end(end))
      })
    )
  }

  read(reads: ReadonlyArray<Read>): Fiber.Fiber<void> {
    return this.start(
      Effect.forEach(
        reads,
        ({ inGenerator, request: any, uninterruptible }) => {
          const request = allOrNothing(any, this.reader.limit)
          const read = perform(this.reader, request, (outcome) => this.ledger.enter(request, outcome), inGenerator)
          return uninterruptible ? Effect.uninterruptible(read) : read
        },
        { discard: true }
      )
    )
  }

  /** The same read over and over, to the end of the stream; again as well, while another holds the reader. */
  readToEnd(request: Request, see: (outcome: Outcome) => void): Fiber.Fiber<void> {
    let last: Outcome | undefined
    const once = perform(this.reader, request, (outcome) => {
      last = outcome
      see(outcome)
    })
    return this.start(
      Effect.gen(function* () {
        while (true) {
          yield* once
          if (isBusy(last)) yield* Effect.yieldNow
          else if (last === undefined || "error" in last || last.value === "") return
        }
      })
    )
  }

  readRest(): void {
    const request: Request = { name: "read", count: 7 }
    this.readToEnd(request, (outcome) => this.ledger.enter(request, outcome))
  }

  /** Everybody is done, nothing is left, and nothing is missing. */
  finish(): void {
    this.scheduler.run()
    for (const fiber of this.fibers) endedWell(fiber)
    assert.strictEqual(this.ledger.due, "", "bytes are missing")
    assert.strictEqual(this.buffer.size, 0)
    assert.isTrue(this.buffer.idle)
  }

  start(effect: Effect.Effect<void>): Fiber.Fiber<void> {
    const fiber = this.scheduler.start(effect)
    this.fibers.push(fiber)
    return fiber
  }
}

/** Done, or interrupted, and nothing else. */
const endedWell = (fiber: Fiber.Fiber<unknown>): void => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, "a fiber waits for ever")
  if (Exit.isFailure(exit!) && !Cause.hasInterruptsOnly(exit.cause)) throw Cause.squash(exit.cause)
}

const isBusy = (outcome: Outcome | undefined): boolean =>
  outcome !== undefined && "error" in outcome && outcome.error === "StreamBusy"

/** Lets a fiber run, interrupts it after so many steps, and says after how many it was. */
const interruptAfter = (scheduler: SteppingScheduler, victim: Fiber.Fiber<void>, steps: number): number => {
  while (victim.pollUnsafe() === undefined && scheduler.steps < steps) if (!scheduler.step()) break
  const taken = scheduler.steps
  victim.interruptUnsafe()
  return taken
}

/** Runs undisturbed, then once for each step, interrupted after it. */
const atEveryStep = (run: (steps: number) => number): Effect.Effect<void> =>
  Effect.sync(() => {
    const steps = run(Infinity)
    for (let step = 0; step < steps; step++) run(step)
  })

it.effect("row 7.4, rank 5: interrupted at any suspension point, a read loses nothing and repeats nothing", () =>
  forAll(
    fc.record({ scenario: scenarios, reads }),
    ({ reads, scenario }) =>
      atEveryStep((steps) => {
        const stage = new Stage(scenario)
        const victim = stage.read(reads)
        stage.feedAll(scenario)
        const taken = interruptAfter(stage.scheduler, victim, steps)
        while (victim.pollUnsafe() === undefined && stage.scheduler.step());
        stage.readRest()
        stage.finish()
        return taken
      }),
    { numRuns: 90 }
  )
)

it.effect("row 7.4, rank 5: the next reader may start while the interrupted one is on its way out", () =>
  forAll(
    fc.record({ scenario: scenarios, reads }),
    ({ reads, scenario }) =>
      atEveryStep((steps) => {
        const stage = new Stage(scenario)
        const victim = stage.read(reads)
        stage.feedAll(scenario)
        const taken = interruptAfter(stage.scheduler, victim, steps)
        stage.readRest()
        stage.scheduler.run()
        // one that cannot be interrupted may have put something back behind the other's end
        stage.readRest()
        stage.finish()
        return taken
      }),
    { numRuns: 90 }
  )
)

// ---------------------------------------------------------------------------
// reads that drop bytes
// ---------------------------------------------------------------------------

it.effect("rank 4, 5: interrupted anywhere, `discard` drops overlong lines only, each of them, and no other", () =>
  forAll(
    endingWell,
    (scenario) =>
      atEveryStep((steps) => {
        const stage = new Stage({ ...scenario, text: "" })
        const request: Request = { name: "readLineWith", limit: 2, onOverrun: "discard" }
        const lines: Array<unknown> = []
        const see = (outcome: Outcome) => {
          if ("value" in outcome && outcome.value !== "") lines.push(outcome.value)
        }
        const victim = stage.readToEnd(request, see)
        stage.feedAll(scenario)
        const taken = interruptAfter(stage.scheduler, victim, steps)
        stage.readToEnd(request, see)
        stage.finish()
        assert.deepStrictEqual(
          lines,
          itemsOf(scenario.text, ["\n"]).filter((line) => line !== "" && line.replace("\n", "").length <= 2)
        )
        return taken
      }),
    { numRuns: 90 }
  )
)

it.effect("rank 5: interrupted anywhere, `discardUntil` done again ends behind the same separator", () =>
  forAll(
    fc.record({ scenario: endingWell, separators }),
    ({ scenario, separators }) =>
      atEveryStep((steps) => {
        const stage = new Stage(scenario)
        const match = firstMatch(scenario.text, separators)
        let discarded = false
        const once = perform(stage.reader, { name: "discardUntil", separators }, (outcome) => {
          if (isBusy(outcome)) return
          assert.strictEqual("error" in outcome, match === undefined)
          stage.ledger.due = match === undefined ? "" : scenario.text.slice(match.end)
          discarded = true
        })
        const victim = stage.start(once)
        stage.feedAll(scenario)
        const taken = interruptAfter(stage.scheduler, victim, steps)
        stage.start(
          Effect.gen(function* () {
            while (!discarded) {
              yield* once
              yield* Effect.yieldNow
            }
          })
        )
        stage.scheduler.run()
        stage.readRest()
        stage.finish()
        return taken
      }),
    { numRuns: 90 }
  )
)

it.effect("giving up a read takes as many steps however often it was woken and waited on", () =>
  Effect.sync(() => {
    const stepsToGiveUp = (lines: number) => {
      const stage = new Stage({ limit: 4, text: "", picks: [], everyStep: true, yields: [], ownYields: undefined })
      const victim = stage.start(
        perform(stage.reader, { name: "readLineWith", limit: 2, onOverrun: "discard" }, () => {})
      )
      stage.scheduler.run()
      for (let line = 0; line < lines; line++) {
        for (const chunk of ["aaa", "a\n"]) {
          stage.feed(chunk)
          stage.scheduler.run()
        }
      }
      const before = stage.scheduler.steps
      victim.interruptUnsafe()
      stage.scheduler.run()
      assert.isDefined(victim.pollUnsafe())
      return stage.scheduler.steps - before
    }
    assert.strictEqual(stepsToGiveUp(50), stepsToGiveUp(1))
  })
)

// ---------------------------------------------------------------------------
// everything at once
// ---------------------------------------------------------------------------

/** What happens, one thing after the other; what is not a step of a fiber happens in the same turn as what follows. */
type Event =
  | { readonly feed: number }
  | { readonly end: "eof" | "lost" }
  | { readonly steps: number }
  | { readonly read: Read }
  | { readonly interrupt: true }

const events: fc.Arbitrary<ReadonlyArray<Event>> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ feed: fc.integer({ min: 1, max: 8 }) }) },
    { weight: 8, arbitrary: fc.record({ steps: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 5, arbitrary: reads.map(([read]): Event => ({ read: read! })) },
    { weight: 4, arbitrary: fc.constant<Event>({ interrupt: true }) },
    { weight: 1, arbitrary: fc.constantFrom<Event>({ end: "eof" }, { end: "lost" }) }
  ),
  { maxLength: 60, size: "max" }
)

const happen = (
  stage: Stage,
  text: string,
  events: ReadonlyArray<Event>,
  onReader: (reader: Fiber.Fiber<void>) => void = () => {}
): void => {
  let fed = 0
  let ended = false
  let reader: Fiber.Fiber<void> | undefined
  for (const event of events) {
    if ("feed" in event && !ended) stage.feed(text.slice(fed, (fed += event.feed)))
    else if ("steps" in event) for (let step = 0; step < event.steps; step++) stage.scheduler.step()
    else if ("interrupt" in event) reader?.interruptUnsafe()
    else if ("read" in event && (reader === undefined || reader.pollUnsafe() !== undefined)) {
      reader = stage.read([event.read])
      onReader(reader)
    } else if ("end" in event && !ended) {
      stage.feed(text.slice(fed))
      stage.end(event.end)
      ended = true
    }
  }
  if (!ended) {
    stage.feed(text.slice(fed))
    stage.end("eof")
  }
  stage.scheduler.run()
  stage.readRest()
  stage.finish()
}

it.effect("rank 5: fed, woken, interrupted and read again in the same turn and in any order, nothing is lost", () =>
  forAll(
    fc.record({ scenario: scenarios, events }),
    ({ events, scenario }) => Effect.sync(() => happen(new Stage(scenario), scenario.text, events)),
    { numRuns: 900 }
  )
)

it.effect("rank 5: an interruption that comes while the source is told to pause or to go on loses nothing", () =>
  forAll(
    fc.record({ scenario: scenarios, events, on: fc.constantFrom("pause", "resume") }),
    ({ events, on, scenario }) =>
      Effect.sync(() => {
        let reader: Fiber.Fiber<void> | undefined
        const interrupt = () => reader?.interruptUnsafe()
        const ignore = () => {}
        const stage = new Stage(scenario, { pause: ignore, resume: ignore, [on]: interrupt })
        happen(stage, scenario.text, events, (fiber) => (reader = fiber))
      }),
    { numRuns: 300 }
  )
)

/** An overlong line is dropped; that lets the source go on, which interrupts the read, and then gives a byte. */
const interruptedByItsSource = {
  scenario: {
    limit: 1,
    text: "babaaab\n",
    chunks: [..."babaaab\n"],
    end: "eof" as const,
    picks: [],
    everyStep: false,
    yields: [],
    ownYields: undefined
  },
  reads: [{ request: { name: "readLine" as const }, inGenerator: false, uninterruptible: true }],
  steps: 5,
  pulls: 1
}

it.effect(
  "rank 5: a source that is pulled loses nothing either, wherever the read that lets it go is interrupted",
  () =>
    forAll(
      fc.record({ scenario: endingWell, reads, steps: fc.nat(60), pulls: fc.nat(8) }),
      ({ pulls, reads, scenario, steps }) =>
        Effect.promise(async () => {
          const scheduler = new SteppingScheduler(scenario)
          const ledger = new Ledger(scenario.text)
          let next = 0
          let pulled = 0
          const running: Array<Fiber.Fiber<void>> = []
          const pull = Effect.suspend(() => {
            // a source may be pulled in the middle of a read, and may be what interrupts it
            if (running.length > 0 && ++pulled === pulls) running[0]!.interruptUnsafe()
            const chunk = scenario.chunks[next++]
            return chunk === undefined ? Cause.done() : Effect.succeed([bytes(chunk)] as const)
          })
          let reader: StreamReader.StreamReader | undefined
          const owner = scheduler.start(
            Effect.scoped(
              Effect.flatMap(StreamReader.fromPull(pull, { limit: scenario.limit }), (made) => {
                reader = made
                return Effect.never
              })
            )
          )
          await scheduler.runWithMicrotasks()
          const read = (request: Request, inGenerator: boolean) =>
            perform(reader!, request, (outcome) => ledger.enter(request, outcome), inGenerator)
          const all = Effect.forEach(
            reads,
            ({ inGenerator, request }) => read(allOrNothing(request, scenario.limit), inGenerator),
            { discard: true }
          )
          const victim = scheduler.start(Effect.andThen(Effect.yieldNow, all))
          running.push(victim)
          while (victim.pollUnsafe() === undefined && scheduler.steps < steps && scheduler.step());
          victim.interruptUnsafe()
          await scheduler.runWithMicrotasks()
          const rest = scheduler.start(read({ name: "readAll", maxBytes: "unbounded" }, false))
          await scheduler.runWithMicrotasks()
          for (const fiber of [victim, rest]) endedWell(fiber)
          assert.strictEqual(ledger.due, "", "bytes are missing")
          owner.interruptUnsafe()
          await scheduler.runWithMicrotasks()
        }),
      { numRuns: 250, examples: [[interruptedByItsSource]] }
    )
)

// ---------------------------------------------------------------------------
// timeouts
// ---------------------------------------------------------------------------

/** What a read of a view came to, unless it timed out. */
const withinOption = (read: Effect.Effect<unknown, unknown>): Effect.Effect<Option.Option<unknown>, unknown> =>
  Effect.catchIf(
    Effect.asSome(read),
    (error) => error instanceof StreamError.StreamTimeout,
    () => Effect.succeed(Option.none())
  )

it.effect("rank 5: reads that are given up by a timeout lose nothing, also in the instant in which bytes arrive", () =>
  forAll(
    fc.record({
      limit: fc.integer({ min: 1, max: 12 }),
      text: letterText({ minLength: 1, maxLength: 40 }),
      chunks: fc.array(fc.record({ gap: fc.integer({ min: 0, max: 3 }), length: fc.integer({ min: 1, max: 8 }) }), {
        minLength: 1,
        maxLength: 12
      }),
      reads,
      timeout: fc.integer({ min: 1, max: 3 }),
      // from outside, or of the read's own
      bounds: fc.array(fc.constantFrom("Effect.timeout", "within"), { minLength: 1, maxLength: 3 }),
      readerFirst: fc.boolean()
    }),
    ({ bounds, chunks, limit, reads, readerFirst, text, timeout }) =>
      Effect.gen(function* () {
        const { endUnsafe, feedUnsafe, reader } = yield* StreamReader.make({ limit })
        const view = reader.within(timeout)
        const ledger = new Ledger(text)
        const feeding = Effect.gen(function* () {
          let fed = 0
          for (const { gap, length } of chunks) {
            yield* Effect.sleep(gap)
            feedUnsafe(bytes(text.slice(fed, (fed += length))))
          }
          feedUnsafe(bytes(text.slice(fed)))
          endUnsafe()
        })
        const reading = Effect.gen(function* () {
          for (let times = 0; ledger.due !== "" && times < 100; times++) {
            const request = allOrNothing(reads[times % reads.length]!.request, limit)
            const timed =
              bounds[times % bounds.length] === "within"
                ? withinOption(effectOf(view, request))
                : Effect.timeoutOption(effectOf(reader, request), timeout)
            // entered by the fiber that gave it up, or did not: what comes of the race is what was read
            const outcome = yield* Effect.match(timed, {
              onSuccess: (answer) => (Option.isNone(answer) ? undefined : succeeded(answer.value)),
              onFailure: failed
            })
            if (outcome !== undefined) ledger.enter(request, outcome)
          }
        })
        const fibers = yield* startAll(readerFirst ? [reading, feeding] : [feeding, reading])
        for (let millis = 0; fibers.some(waits); millis++) {
          if (millis > 1000) throw new Error("the reads never end")
          yield* TestClock.adjust(1)
        }
        for (const fiber of fibers) yield* Fiber.join(fiber)
        ledger.enter(
          { name: "readAll", maxBytes: "unbounded" },
          succeeded(yield* reader.readAll({ maxBytes: "unbounded" }))
        )
        assert.strictEqual(ledger.due, "", "bytes are missing")
      }),
    { numRuns: 90 }
  )
)

it.effect("rank 5: a fiber that is interrupted before it has begun reads nothing, also where others run first", () =>
  Effect.gen(function* () {
    const { feedUnsafe, reader } = yield* StreamReader.make()
    feedUnsafe(bytes("abc\n"))
    const reads: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
      reader.read(2),
      reader.readExactly(2),
      reader.readInto(new Uint8Array(2)),
      reader.readLine,
      Effect.map(reader.read(2), (read) => read.length)
    ]
    for (const read of reads) {
      const fiber = yield* Effect.forkChild(read)
      fiber.interruptUnsafe()
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
    }
    assert.deepStrictEqual(yield* reader.readExactly(4), bytes("abc\n"))
  }).pipe(Effect.provideService(Scheduler.Scheduler, new YieldFirst()))
)

it.effect("rank 5: a message that a read found, and did not take, is not what the next run of that read takes", () =>
  Effect.gen(function* () {
    const isAllowed = (message: Uint8Array) => message[0] !== 97
    const frames = [Frame.bytes(3), Frame.bytes(3).pipe(Frame.refine(isAllowed))]
    const places = [Effect.succeed, (reader: StreamReader.StreamReader) => StreamReader.limited(reader, 100)]
    for (const frame of frames) {
      for (const place of places) {
        for (const name of ["readFrame", "readFrames", "readFrameOption"] as const) {
          const scheduler = new ActsBefore(1)
          yield* Effect.gen(function* () {
            const made = yield* StreamReader.make()
            const reader = yield* place(made.reader)
            const read: Effect.Effect<unknown, unknown> = reader[name](frame)
            const fiber = yield* startUnderClock(read)
            // it has yet to take what it has found
            scheduler.watch(() => {})
            made.feedUnsafe(bytes("abc"))
            fiber.interruptUnsafe()
            yield* Fiber.await(fiber)
            yield* reader.skip(yield* reader.buffered)
            made.feedUnsafe(bytes("xyz"))
            const given = yield* Effect.suspend(() => read)
            assert.include(JSON.stringify(given), JSON.stringify(bytes("xyz")), name)
          }).pipe(Effect.provideService(Scheduler.Scheduler, scheduler))
        }
      }
    }
  })
)
