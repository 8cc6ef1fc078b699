/**
 * The reader against a model: random chunks, limits and reads, everything fed before the first read or piece by piece
 * while reads wait. Every outcome equals the model's, errors with all their fields; what left the buffer and what is in
 * it are always what was fed; the source is held back and let go as `limit` says, and never while a read waits.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import { StreamError } from "effect-byte-streams"
import * as fc from "fast-check"
import { ReadBuffer } from "../../src/internal/read/readBuffer.ts"
import { BufferReader } from "../../src/internal/read/reader.ts"
import { bytes } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { flowTold } from "../support/handFed.ts"
import { forAll } from "../support/property.ts"
import { type End, isModelled, type Modelled, ReaderModel } from "../support/readerModel.ts"
import { allOrNothing, letterText, type Outcome, perform, requests } from "../support/readRequests.ts"

type Step =
  | { readonly feed: string }
  | { readonly end: Exclude<End, "open"> }
  /** `inGenerator`: with `yield*`, where a read may answer without becoming an effect. */
  | { readonly request: Modelled; readonly inGenerator: boolean }
  | { readonly interrupt: true }
  | { readonly ask: "atEof" }

interface Scenario {
  readonly limit: number
  readonly steps: ReadonlyArray<Step>
}

/** The reader and the model, side by side. */
class Comparison {
  private readonly model: ReaderModel
  private readonly buffer: ReadBuffer
  private readonly reader: BufferReader
  private readonly limit: number
  private fed = 0
  private ended = false
  private paused = false
  private waiting:
    | { readonly request: Modelled; readonly fiber: Fiber.Fiber<void>; seen: Outcome | undefined }
    | undefined

  constructor(limit: number) {
    this.limit = limit
    this.model = new ReaderModel(limit)
    this.buffer = new ReadBuffer(limit, {
      pause: () => this.flow(true),
      resume: () => this.flow(false)
    })
    this.reader = new BufferReader(this.buffer)
  }

  run(step: Step): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      if ("feed" in step) yield* Effect.sync(() => this.feed(step.feed))
      else if ("end" in step) yield* Effect.sync(() => this.finish(step.end))
      else if ("request" in step) yield* this.ask(allOrNothing(step.request, this.limit), step.inGenerator)
      else if ("ask" in step) yield* this.askAtEof
      else yield* this.interrupt
      yield* this.compare
    })
  }

  /** Reads what is left, as far as the stream's end. */
  readonly drain: Effect.Effect<void, never, Scope.Scope> = Effect.gen({ self: this }, function* () {
    yield* this.interrupt
    yield* this.run({ end: "eof" })
    yield* this.run({ request: { name: "pull" }, inGenerator: true })
    yield* this.run({ request: { name: "read", count: 10 }, inGenerator: true })
    assert.strictEqual(this.model.gone, this.fed)
  })

  private feed(text: string): void {
    if (this.ended) return
    if (this.model.end === "open") this.fed += text.length
    this.model.feed(text)
    this.buffer.feed(bytes(text))
    this.settle()
  }

  private finish(end: Exclude<End, "open">): void {
    if (this.model.end === "closed" || (this.model.end !== "open" && end !== "closed")) return
    this.model.finish(end)
    if (end !== "closed") this.ended = true
    if (end === "eof") this.buffer.feedEnd()
    else if (end === "closed") this.buffer.close("Closed")
    else {
      this.buffer.feedLoss(
        (operation) => new StreamError.ConnectionLost({ operation, kind: "Reset", code: "ECONNRESET" })
      )
    }
    this.settle()
  }

  private ask(request: Modelled, inGenerator: boolean): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const mine: { request: Modelled; fiber: Fiber.Fiber<void>; seen: Outcome | undefined } = {
        request,
        fiber: undefined as never,
        seen: undefined
      }
      const effect = perform(this.reader, request, (outcome) => (mine.seen = outcome), inGenerator)
      const busy = this.waiting?.request.name
      const expected: Outcome | undefined =
        busy === undefined
          ? this.model.attempt(request)
          : { error: "StreamBusy", operation: request.name, holder: busy }
      mine.fiber = yield* start(effect)
      assert.deepStrictEqual(mine.seen, expected)
      if (expected === undefined) this.waiting = mine
    })
  }

  private readonly interrupt: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    if (this.waiting === undefined) return
    const { fiber } = this.waiting
    this.waiting = undefined
    yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
  })

  /** The read that waits is over as soon as the model's is. */
  private settle(): void {
    if (this.waiting === undefined) return
    const expected = this.model.attempt(this.waiting.request)
    assert.deepStrictEqual(this.waiting.seen, expected)
    if (expected !== undefined) this.waiting = undefined
  }

  private readonly askAtEof: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    assert.strictEqual(yield* this.reader.atEof, this.model.atEof)
    // everything has moved out of the queue
    assert.strictEqual(this.buffer.segments.length, this.model.rest.length)
  })

  private flow(paused: boolean): void {
    const { buffer, limit } = this
    assert.strictEqual(this.paused, !paused, "pause and resume take turns")
    this.paused = paused
    if (paused) assert.isAbove(buffer.size, 2 * limit, "paused")
    else if (buffer.idle) assert.isAtMost(buffer.size, limit, "let go")
  }

  private readonly compare: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const { buffer, limit, model, reader } = this
    const size = model.rest.length
    assert.strictEqual(yield* reader.buffered, size)
    if (model.end === "closed") return
    assert.strictEqual(model.gone + size, this.fed)
    yield* flowTold
    assert.strictEqual(buffer.paused, this.paused)
    if (this.waiting !== undefined) assert.isFalse(this.paused, "paused, although a read waits")
    // nothing more comes from a source that has ended: whether it is held back means nothing
    if (this.waiting !== undefined || this.ended) return
    if (size > 2 * limit) assert.isTrue(this.paused, `not paused at ${size} of ${limit}`)
    else if (size <= limit) assert.isFalse(this.paused, `paused at ${size} of ${limit}`)
  })
}

const check = ({ limit, steps }: Scenario): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const comparison = new Comparison(limit)
    for (const step of steps) yield* comparison.run(step)
    yield* comparison.drain
  })

// ---------------------------------------------------------------------------
// scenarios
// ---------------------------------------------------------------------------

const smallLimit = fc.integer({ min: 1, max: 20 })

/** Mostly a few bytes, none among them; sometimes more than is gathered in slabs. */
const chunk: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: letterText({ maxLength: 4 }) },
  { weight: 3, arbitrary: letterText({ maxLength: 24 }) }
)
const largeChunk: fc.Arbitrary<string> = fc
  .tuple(letterText({ minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 1500 }))
  .map(([unit, length]) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length))

const feeds = (chunks: fc.Arbitrary<string>) => chunks.map((feed): Step => ({ feed }))
const asks = (most: number) =>
  fc.record({ request: requests(most).filter(isModelled), inGenerator: fc.boolean() }).map((step): Step => step)
const ends = fc
  .constantFrom<Exclude<End, "open">>("eof", "eof", "eof", "lost", "lost", "closed")
  .map((end): Step => ({ end }))
const interrupts = fc.constant<Step>({ interrupt: true })
const asksAtEof = fc.constant<Step>({ ask: "atEof" })

const fedBefore = (chunks: fc.Arbitrary<string>, limit: fc.Arbitrary<number>, most: number): fc.Arbitrary<Scenario> =>
  fc.record({
    limit,
    steps: fc
      .tuple(
        fc.array(feeds(chunks), { maxLength: 90, size: "max" }),
        fc.option(ends, { nil: undefined }),
        fc.array(fc.oneof({ weight: 18, arbitrary: asks(most) }, { weight: 2, arbitrary: interrupts }, asksAtEof), {
          maxLength: 25,
          size: "max"
        })
      )
      .map(([fed, end, reads]) => [...fed, ...(end === undefined ? [] : [end]), ...reads])
  })

const fedWhileReading = (
  chunks: fc.Arbitrary<string>,
  limit: fc.Arbitrary<number>,
  most: number
): fc.Arbitrary<Scenario> =>
  fc.record({
    limit,
    steps: fc.array(
      fc.oneof(
        { weight: 12, arbitrary: feeds(chunks) },
        { weight: 10, arbitrary: asks(most) },
        { weight: 2, arbitrary: interrupts },
        { weight: 1, arbitrary: ends },
        { weight: 1, arbitrary: asksAtEof }
      ),
      { maxLength: 60, size: "max" }
    )
  })

it.effect("everything fed before it is read: each outcome is the model's", () =>
  forAll(fedBefore(chunk, smallLimit, 30), check, { numRuns: 200 })
)

it.effect("fed while reads wait: each outcome is the model's", () =>
  forAll(fedWhileReading(chunk, smallLimit, 30), check, { numRuns: 400 })
)

it.effect("large pieces among small ones: each outcome is the model's", () =>
  forAll(
    fc.oneof(
      fedBefore(fc.oneof(chunk, largeChunk), fc.constantFrom(10, 1500, 4000), 4000),
      fedWhileReading(fc.oneof(chunk, largeChunk), fc.constantFrom(10, 1500, 4000), 4000)
    ),
    check,
    { numRuns: 120 }
  )
)
