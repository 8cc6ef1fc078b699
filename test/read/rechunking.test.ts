/**
 * The same bytes in other chunks give the same items. What `semantics.md` leaves to chance is left out: how much a
 * `read` gets (its bytes are compared joined), which of the two overruns a separator meets and its `consumed` (row 2.12),
 * and what of the end `discardUntil` still holds.
 *
 * And the way back into step after an overrun, which rests on it: rows 2.7 and 2.8, rank 4.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, type Scope, Stream } from "effect"
import { StreamReader } from "effect-byte-streams"
import * as fc from "fast-check"
import { bytes, text as textOf } from "../support/bytes.ts"
import { chunkings, twice } from "../support/chunkings.ts"
import { start, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { firstMatch, itemsOf } from "../support/readerModel.ts"
import {
  callLimit,
  letterText,
  type Outcome,
  perform,
  type Request,
  requests,
  separators
} from "../support/readRequests.ts"
import { SteppingScheduler } from "../support/steppingScheduler.ts"

const limits = fc.integer({ min: 1, max: 20 })
const texts = letterText({ maxLength: 80 })

const overrunCases = fc.record({
  cut: texts.chain((text) => fc.record({ text: fc.constant(text), chunks: chunkings(text) })),
  separators,
  limit: fc.integer({ min: 1, max: 8 })
})

interface Source {
  readonly reader: StreamReader.StreamReader
  /** Runs a read, and feeds it the next chunk, or the end, for as long as it waits. */
  readonly ask: (request: Request) => Effect.Effect<Outcome, never, Scope.Scope>
}

const sourceOf = (chunks: ReadonlyArray<string>, limit: number): Effect.Effect<Source> =>
  Effect.map(StreamReader.make({ limit }), ({ endUnsafe, feedUnsafe, reader }) => {
    let next = 0
    const feedNext = () => {
      if (next < chunks.length) feedUnsafe(bytes(chunks[next]!))
      else if (next === chunks.length) endUnsafe()
      else throw new Error("a read waits, although the stream has ended")
      next++
    }
    const ask = Effect.fnUntraced(function* (request: Request) {
      let outcome: Outcome | undefined
      const fiber = yield* start(perform(reader, request, (seen) => (outcome = seen)))
      while (waits(fiber)) feedNext()
      if (outcome === undefined) throw new Error("the read ended without an outcome")
      return outcome
    })
    return { reader, ask }
  })

/** A read, or reads, whose result does not depend on how the bytes come. */
type Item =
  | Exclude<Request, { readonly name: "read" | "readInto" | "readOption" }>
  | { readonly name: "reads"; readonly count: number }

const items: fc.Arbitrary<Item> = requests(30).map((request) =>
  request.name === "read" || request.name === "readInto" || request.name === "readOption"
    ? { name: "reads", count: request.count }
    : request
)

/** What comes of an item, without what depends on chance. */
const itemFrom = (source: Pick<Source, "ask">, item: Item): Effect.Effect<unknown, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (item.name === "reads") {
      let joined = ""
      while (joined.length < item.count) {
        const outcome = yield* source.ask({ name: "read", count: item.count - joined.length })
        if (!("value" in outcome) || outcome.value === "") break
        joined += outcome.value as string
      }
      return joined
    }
    if (item.name === "pull") {
      let joined = ""
      while (true) {
        const outcome = yield* source.ask(item)
        if (!("value" in outcome)) return [joined, outcome]
        joined += outcome.value as string
      }
    }
    if (item.name === "lines") {
      const lines: Array<string> = []
      while (true) {
        const outcome = yield* source.ask(item)
        if ("error" in outcome) return [lines, outcome.error === "LimitOverrun" ? "LimitOverrun" : outcome]
        lines.push(...(outcome.value as ReadonlyArray<string>))
      }
    }
    const outcome = yield* source.ask(item)
    if (!("error" in outcome)) return outcome
    if (outcome.error === "LimitOverrun" && item.name !== "readAll") return "LimitOverrun"
    if (outcome.error === "IncompleteRead" && item.name === "discardUntil") return "IncompleteRead"
    return outcome
  })

const itemsFrom = (
  chunks: ReadonlyArray<string>,
  limit: number,
  asked: ReadonlyArray<Item>
): Effect.Effect<ReadonlyArray<unknown>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const source = yield* sourceOf(chunks, limit)
    const out: Array<unknown> = []
    for (const item of asked) out.push(yield* itemFrom(source, item))
    out.push(yield* itemFrom(source, { name: "pull" }))
    return out
  })

const askedItems: fc.Arbitrary<ReadonlyArray<Item>> = fc.array(items, { maxLength: 15, size: "max" })

/** Bytes are put back, and make another overlong line, while the end of the first has yet to arrive. */
const twoOverlongAtOnce = {
  cut: { text: "aa\na", one: ["aa\na"], other: ["a", "a", "\n", "a"] },
  limit: 1,
  asked: [{ name: "readLine" }, { name: "unread", bytes: "aa" }, { name: "readLine" }] as ReadonlyArray<Item>
}

it.effect("rank 32: the same bytes in other chunks give the same items, for any reads", () =>
  forAll(
    fc.record({ cut: twice(texts), limit: limits, asked: askedItems }),
    ({ asked, cut, limit }) =>
      Effect.gen(function* () {
        const one = yield* itemsFrom(cut.one, limit, asked)
        assert.deepStrictEqual(yield* itemsFrom(cut.other, limit, asked), one)
      }),
    { numRuns: 300, examples: [[twoOverlongAtOnce]] }
  )
)

it.effect("rank 32: the same bytes in other chunks give the same items, for one read over and over", () =>
  forAll(
    fc.record({ cut: twice(texts), limit: limits, item: items, times: fc.integer({ min: 1, max: 20 }) }),
    ({ cut, item, limit, times }) =>
      Effect.gen(function* () {
        const asked = Array.from({ length: times }, () => item)
        const one = yield* itemsFrom(cut.one, limit, asked)
        assert.deepStrictEqual(yield* itemsFrom(cut.other, limit, asked), one)
      }),
    { numRuns: 300 }
  )
)

/** What comes of items, one after the other, before the first that waits for ever: the source has no end. */
const answered = (
  source: Effect.Effect<Pick<Source, "ask">, never, Scope.Scope>,
  asked: ReadonlyArray<Item>,
  picks: ReadonlyArray<number> = []
): Effect.Effect<ReadonlyArray<unknown>> =>
  Effect.promise(async () => {
    const scheduler = new SteppingScheduler({ everyStep: picks.length > 0, picks })
    const out: Array<unknown> = []
    const fiber = scheduler.start(
      Effect.gen(function* () {
        const { ask } = yield* source
        for (const item of asked) {
          // the source gets ahead, and has to be held back
          for (let turn = 0; turn < 8; turn++) yield* Effect.yieldNow
          out.push(yield* itemFrom({ ask }, item))
        }
      }).pipe(Effect.scoped)
    )
    await scheduler.runWithMicrotasks()
    const exit = fiber.pollUnsafe()
    if (exit !== undefined && Exit.isFailure(exit)) throw Cause.squash(exit.cause)
    fiber.interruptUnsafe()
    await scheduler.runWithMicrotasks()
    assert.isDefined(fiber.pollUnsafe())
    return out
  })

const asking = (reader: StreamReader.StreamReader): Pick<Source, "ask"> => ({
  ask: (request) => {
    let outcome: Outcome | undefined
    return Effect.map(
      perform(reader, request, (seen) => (outcome = seen)),
      () => outcome!
    )
  }
})

const pulledCases = fc.record({
  cut: texts.chain((text) => fc.record({ text: fc.constant(text), chunks: chunkings(text) })),
  limit: fc.integer({ min: 1, max: 4 }),
  asked: askedItems,
  picks: fc.oneof(fc.constant([]), fc.array(fc.nat(5), { maxLength: 8 }))
})

/** The source is let go, and gives its last bytes, in the middle of a read that drops what held it back. */
const lastBytesInTheMiddle = (item: Item) => ({
  cut: { text: "aaaaa\nb\n", chunks: ["aaaaa", "\nb\n"] },
  limit: 2,
  asked: [item],
  picks: []
})

it.effect("rank 32: a source that is pulled, and then says no more, gives what the same bytes at once give", () =>
  forAll(
    pulledCases,
    ({ asked, cut: { chunks, text }, limit, picks }) =>
      Effect.gen(function* () {
        let next = 0
        const pull = Effect.suspend(() => {
          const chunk = chunks[next++]
          return chunk === undefined ? Effect.never : Effect.succeed([bytes(chunk)] as const)
        })
        const pulled = Effect.map(StreamReader.fromPull(pull, { limit }), asking)
        const atOnce = Effect.map(StreamReader.make({ limit }), ({ feedUnsafe, reader }) => {
          feedUnsafe(bytes(text))
          return asking(reader)
        })
        assert.deepStrictEqual(yield* answered(pulled, asked, picks), yield* answered(atOnce, asked))
      }),
    {
      numRuns: 400,
      examples: [
        [lastBytesInTheMiddle({ name: "readLineWith", limit: undefined, onOverrun: "discard" })],
        [lastBytesInTheMiddle({ name: "discardUntil", separators: ["\n"] })]
      ]
    }
  )
)

// ---------------------------------------------------------------------------
// back into step after an overrun
// ---------------------------------------------------------------------------

it.effect("2.7, 2.8 after an overrun, skip(consumed) never cuts a separator, and leads to the model's items", () =>
  forAll(
    overrunCases,
    ({ cut, limit, separators }) =>
      Effect.gen(function* () {
        const source = yield* sourceOf(cut.chunks, 1)
        const seen: Array<string> = []
        let at = 0
        let item = ""
        while (true) {
          const outcome = yield* source.ask({ name: "readUntil", separators, limit })
          if ("value" in outcome) {
            const value = outcome.value as string
            assert.isAtMost(firstMatch(value, separators)!.start, limit)
            seen.push(item + value)
            item = ""
            at += value.length
          } else if (outcome.error === "LimitOverrun") {
            const consumed = outcome.consumed as number
            assert.isAbove(consumed, limit)
            assert.deepStrictEqual(yield* source.ask({ name: "skip", count: consumed }), { value: undefined })
            item += cut.text.slice(at, at + consumed)
            at += consumed
          } else {
            assert.strictEqual(outcome.error, "IncompleteRead")
            seen.push(item + (outcome.partial as string))
            break
          }
        }
        assert.deepStrictEqual(seen, itemsOf(cut.text, separators))
      }),
    { numRuns: 300 }
  )
)

it.effect("row 2.8: after an overrun, discardUntil leads to the model's next item", () =>
  forAll(
    overrunCases,
    ({ cut, limit, separators }) =>
      Effect.gen(function* () {
        const source = yield* sourceOf(cut.chunks, 1)
        for (const item of itemsOf(cut.text, separators)) {
          const outcome = yield* source.ask({ name: "readUntil", separators, limit })
          const match = firstMatch(item, separators)
          if ("error" in outcome && outcome.error === "LimitOverrun") {
            const discarded = yield* source.ask({ name: "discardUntil", separators })
            assert.strictEqual("error" in discarded, match === undefined)
          } else if (match === undefined) {
            assert.deepStrictEqual(outcome, { error: "IncompleteRead", operation: "readUntil", partial: item })
          } else assert.deepStrictEqual(outcome, { value: item })
          assert.strictEqual(
            "error" in outcome && outcome.error === "LimitOverrun",
            (match?.start ?? safeLength(item, separators)) > limit
          )
        }
        assert.deepStrictEqual(yield* source.ask({ name: "read", count: 1 }), { value: "" })
      }),
    { numRuns: 300 }
  )
)

/** How much of the last item can be told to hold no separator. */
const safeLength = (item: string, separators: ReadonlyArray<string>): number =>
  item.length + 1 - Math.max(...separators.map((separator) => separator.length))

const lineCases = fc.record({
  cut: texts.chain((text) => fc.record({ text: fc.constant(text), chunks: chunkings(text) })),
  limit: fc.integer({ min: 1, max: 8 }),
  length: fc.integer({ min: 1, max: 5 })
})

/** The lines of `text`, with their ends. */
const linesOf = (text: string): Array<string> => itemsOf(text, ["\n"]).filter((line) => line !== "")

const overlong = (line: string, limit: number): boolean => line.replace("\n", "").length > limit

it.effect(
  "row 3.4, rank 4: after `discard` the following item is the model's: every line within the limit, no other",
  () =>
    forAll(
      lineCases,
      ({ cut, limit }) =>
        Effect.gen(function* () {
          const source = yield* sourceOf(cut.chunks, 100)
          for (const line of linesOf(cut.text).filter((line) => !overlong(line, limit))) {
            const outcome = yield* source.ask({ name: "readLineWith", limit, onOverrun: "discard" })
            assert.deepStrictEqual(outcome, { value: line })
          }
          const end = yield* source.ask({ name: "readLineWith", limit, onOverrun: "discard" })
          assert.deepStrictEqual(end, { value: "" })
        }),
      { numRuns: 300 }
    )
)

it.effect(
  "row 3.4, rank 3: an overlong line fails once, and the read after it, of any kind, starts with the next line",
  () =>
    forAll(
      lineCases,
      ({ cut, length, limit }) =>
        Effect.gen(function* () {
          const source = yield* sourceOf(cut.chunks, limit)
          let rest = cut.text
          while (rest !== "") {
            const line = linesOf(rest)[0]!
            rest = rest.slice(line.length)
            const outcome = yield* source.ask({ name: "readLine" })
            if (!overlong(line, limit)) {
              assert.deepStrictEqual(outcome, { value: line })
              continue
            }
            assert.strictEqual("error" in outcome ? outcome.error : outcome, "LimitOverrun")
            const next = yield* source.ask({ name: "readExactlyOption", count: length })
            if (rest.length >= length) assert.deepStrictEqual(next, { value: { some: rest.slice(0, length) } })
            else if (rest === "") assert.deepStrictEqual(next, { value: null })
            else assert.strictEqual("error" in next ? next.partial : next, rest)
            rest = rest.slice(length)
          }
          assert.deepStrictEqual(yield* source.ask({ name: "readLineOption" }), { value: null })
        }),
      { numRuns: 300 }
    )
)

// ---------------------------------------------------------------------------
// streams
// ---------------------------------------------------------------------------

/** Text of one to four bytes a character, with line ends of both kinds. */
const unicode = fc.string({
  unit: fc.constantFrom("x", "é", "€", "😀", "\uFEFF", "\n", "\n", "\r\n", "\r"),
  maxLength: 40
})

const bytesChunked: fc.Arbitrary<{ readonly text: string; readonly chunks: ReadonlyArray<Uint8Array> }> = unicode.chain(
  (text) => {
    // cut anywhere between two bytes, in the middle of a character too
    const latin = Buffer.from(text).toString("latin1")
    return chunkings(latin).map((chunks) => ({ text, chunks: chunks.map((chunk) => Buffer.from(chunk, "latin1")) }))
  }
)

it.effect("rank 37: the lines of a stream do not depend on where its bytes are cut", () =>
  forAll(
    fc.record({
      cut: bytesChunked,
      limit: fc.oneof(callLimit, fc.constant(40)),
      onOverrun: fc.constantFrom("discard", "fail"),
      last: fc.constantFrom("optional", "required")
    }),
    ({ cut, last, limit, onOverrun }) =>
      Effect.gen(function* () {
        const reader = yield* StreamReader.fromStream(Stream.fromIterable(cut.chunks), { limit: 30 })
        const lines: Array<string> = []
        const stream: Stream.Stream<string, { readonly _tag: string }> = StreamReader.lines(reader, {
          limit,
          onOverrun,
          end: last
        })
        const end = yield* Stream.runForEach(stream, (line) => Effect.sync(() => void lines.push(line))).pipe(
          Effect.match({ onSuccess: () => "end", onFailure: (error) => error._tag })
        )
        const all = linesOf(cut.text)
        const tooLong = (line: string) => bytes(line.replace("\n", "")).length > (limit ?? 30)
        const firstTooLong = all.findIndex(tooLong)
        const overrun = onOverrun === "fail" && firstTooLong !== -1
        const whole = overrun ? all.slice(0, firstTooLong) : all.filter((line) => !tooLong(line))
        // also a line that is dropped lacks its end
        const half = last === "required" && !overrun && all.at(-1)?.endsWith("\n") === false
        const expected = half ? whole.filter((line) => line.endsWith("\n")) : whole
        assert.deepStrictEqual(
          lines,
          expected.map((line) => line.replace(/\r?\n$/, ""))
        )
        assert.strictEqual(end, overrun ? "LimitOverrun" : half ? "IncompleteRead" : "end")
      }),
    { numRuns: 300 }
  )
)

it.effect("the pieces of a stream, joined, are its bytes", () =>
  forAll(
    bytesChunked,
    (cut) =>
      Effect.gen(function* () {
        const reader = yield* StreamReader.fromBytes(cut.chunks)
        const pieces = yield* Stream.runCollect(StreamReader.stream(reader))
        assert.strictEqual(textOf(Buffer.concat(pieces)), textOf(bytes(cut.text)))
        assert.isTrue(pieces.every((piece) => piece.length > 0))
      }),
    { numRuns: 200 }
  )
)
