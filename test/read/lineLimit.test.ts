/**
 * One limit for all that read lines: the same bytes in the same chunks make the same lines and the same overruns for
 * `readLine`, `readUntil` and `lines`, `consumed` and `found` included; and the lines are those of the text.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type StreamError, StreamReader } from "effect-byte-streams"
import * as fc from "fast-check"
import { text as textOf } from "../support/bytes.ts"
import { chunkings } from "../support/chunkings.ts"
import { start, waits } from "../support/fibers.ts"
import { handFed } from "../support/handFed.ts"
import { forAll } from "../support/property.ts"

/** A line without its end, or an overrun. */
type Item = string | { readonly consumed: number; readonly found: boolean }

/** Reads up to the end of the stream. The limit is an option of the call, or the reader's own. */
type ReadLines = (
  reader: StreamReader.StreamReader,
  limit: number,
  onLine: (line: string) => void
) => Effect.Effect<void, StreamError.StreamError>

const withoutEnd = (line: Uint8Array): string => textOf(line).replace(/\n$/, "")

const readers: Record<string, ReadLines> = {
  readLine: (reader, _limit, onLine) =>
    Effect.gen(function* () {
      for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) onLine(withoutEnd(line))
    }),
  readLineWith: (reader, limit, onLine) =>
    Effect.gen(function* () {
      const read = reader.readLineWith({ limit })
      for (let line = yield* read; line.length > 0; line = yield* read) onLine(withoutEnd(line))
    }),
  readUntil: (reader, limit, onLine) =>
    Effect.gen(function* () {
      while (true) onLine(withoutEnd(yield* reader.readUntil("\n", { limit })))
    }).pipe(
      Effect.catchTag("IncompleteRead", ({ partial }) =>
        Effect.sync(() => {
          if (partial.length > 0) onLine(textOf(partial))
        })
      ),
      // the end of a line that is too long may never come
      Effect.tapErrorTag("LimitOverrun", () => Effect.ignore(reader.discardUntil("\n")))
    ),
  lines: (reader, limit, onLine) =>
    Stream.runForEach(StreamReader.lines(reader, { limit }), (line) => Effect.sync(() => onLine(line)))
}

/** Reads everything, and goes on after each overrun. */
const itemsBy = (
  readLines: ReadLines,
  reader: StreamReader.StreamReader,
  limit: number
): Effect.Effect<ReadonlyArray<Item>, StreamError.StreamError> =>
  Effect.suspend(() => {
    const items: Array<Item> = []
    const read: Effect.Effect<void, StreamError.StreamError> = Effect.catchTag(
      readLines(reader, limit, (line) => items.push(line)),
      "LimitOverrun",
      ({ consumed, found }) => {
        items.push({ consumed, found })
        return read
      }
    )
    return Effect.as(read, items)
  })

/** `text`, cut anywhere or behind each line. */
const cuts = (text: string) =>
  fc.record({
    text: fc.constant(text),
    chunks: fc.oneof(chunkings(text), fc.constant<ReadonlyArray<string>>(text.split(/(?<=\n)/)))
  })

const cases = fc.record({
  cut: fc
    .string({ unit: fc.constantFrom("a", "b", "é", "\n", "\n"), maxLength: 60 })
    .map((text) => Buffer.from(text).toString("latin1"))
    .chain(cuts),
  limit: fc.integer({ min: 1, max: 8 }),
  fedBefore: fc.boolean()
})

it.effect("readLine, readUntil and lines agree about every line and every overrun", () =>
  forAll(
    cases,
    ({ cut, fedBefore, limit }) =>
      Effect.gen(function* () {
        const chunks = cut.chunks.map((chunk) => Buffer.from(chunk, "latin1"))
        const seen: Record<string, ReadonlyArray<Item>> = {}
        for (const [name, readLines] of Object.entries(readers)) {
          const { end, feed, reader } = yield* handFed({ limit })
          if (fedBefore) feed(...chunks)
          const fiber = yield* start(
            Effect.map(itemsBy(readLines, reader, limit), (items) => {
              seen[name] = items
            })
          )
          if (!fedBefore) for (const chunk of chunks) feed(chunk)
          end()
          assert.isFalse(waits(fiber), `${name} is over`)
        }
        for (const [name, items] of Object.entries(seen)) assert.deepStrictEqual(items, seen.readLine, name)
        const lines = cut.text.split("\n")
        if (lines.at(-1) === "") lines.pop()
        assert.deepStrictEqual(
          seen.readLine!.map((item) => (typeof item === "string" ? item : "too long")),
          lines.map((line) => (line.length > limit ? "too long" : Buffer.from(line, "latin1").toString()))
        )
      }),
    { numRuns: 400 }
  )
)
