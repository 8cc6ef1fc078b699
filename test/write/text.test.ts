/** Text is written as UTF-8, whatever its length and whatever is in it. */
import { assert, describe, it } from "@effect/vitest"
import { StreamWriter } from "effect-byte-streams"
import { Effect, Stream } from "effect"
import * as fc from "fast-check"
import { assertBytes } from "../support/assertBytes.ts"
import { bytes } from "../support/bytes.ts"
import { concat, fake } from "../support/fakeTransport.ts"
import { forAll } from "../support/property.ts"
import { turns } from "../support/wait.ts"

const samples: ReadonlyArray<readonly [string, string]> = [
  ["ASCII", "plain"],
  ["two bytes a character", "äöüß"],
  ["three bytes a character", "€ 漢字"],
  ["surrogate pairs", "😀👩‍🚀🎉"],
  ["a lone high surrogate", "a\ud83dz"],
  ["a lone low surrogate", "a\ude00z"],
  ["surrogates the wrong way round", "\ude00\ud83d"],
  ["a high surrogate at the end", "end\ud83d"],
  ["control characters and NUL", "\u0000\u0007\r\n\u007f\u0080"],
  ["a byte order mark", "\ufeffbom"]
]

/** Any characters, lone surrogates among them. */
const anyText = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 127 }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.integer({ min: 0, max: 0x10ffff })
    ),
    {
      maxLength: 60
    }
  )
  .map((points) => String.fromCodePoint(...points))

describe("text", () => {
  for (const [name, sample] of samples) {
    it.effect(`${name} is written as TextEncoder has it, by every method`, () =>
      Effect.gen(function* () {
        const { transport, writer } = yield* fake()
        yield* writer.write(sample)
        writer.writeUnsafe(sample)
        yield* writer.writeAll([sample, sample])
        yield* writer.flush
        const once = bytes(sample)
        assertBytes(transport.sent, concat([once, once, bytes(sample + sample)]))
      })
    )
  }

  it.effect("two halves of a surrogate pair in two writes are two lone surrogates", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write("\ud83d")
      yield* writer.write("\ude00")
      yield* writer.flush
      assert.strictEqual(transport.sentText, "\ufffd\ufffd")
    })
  )

  it.effect("a character cut between two chunks of one writeAll is that character, whatever lies between them", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.writeAll(["a\ud83d", "", new Uint8Array(0), "\ude00b"])
      assert.isBoolean(writer.writeAllUnsafe(["\ud83d", "\ude00", bytes("c"), "\ud83d", bytes("d"), "\ud83d"]))
      yield* writer.flush
      assert.strictEqual(transport.sentText, "a😀b😀c\ufffdd\ufffd")
    })
  )

  it.effect("any text cut anywhere into chunks of one writeAll, or elements of a sink, is that text", () =>
    forAll(
      fc.tuple(anyText, fc.array(fc.nat({ max: 60 }), { maxLength: 8 }), fc.integer({ min: 1, max: 3 })),
      ([whole, cuts, chunkSize]) =>
        Effect.gen(function* () {
          const places = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).toSorted((a, b) => a - b), whole.length]
          const chunks = places.slice(1).map((end, i) => whole.slice(places[i], end))
          const { transport, writer } = yield* fake()
          yield* writer.writeAll(chunks)
          yield* Stream.run(Stream.rechunk(Stream.fromIterable(chunks), chunkSize), StreamWriter.sink(writer))
          yield* writer.flush
          assertBytes(transport.sent, concat([bytes(whole), bytes(whole)]))
        })
    )
  )

  it.effect("every length around the borders of the ways text is encoded", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ highWaterMark: 100_000_000 })
      const expected: Array<string> = []
      // 48 units, 4,096 bytes of room at three a unit, 4,096 and 64 Ki units
      for (const border of [48, 1365, 4096, 65536]) {
        for (let length = border - 2; length <= border + 2; length++) {
          for (const unit of ["a", "é", "€", "😀"]) {
            expected.push("b" + unit.repeat(length).slice(0, length - 1))
          }
        }
      }
      for (const part of expected) yield* writer.write(part)
      yield* writer.flush
      assertBytes(transport.sent, concat(expected.map(bytes)))
    })
  )

  it.effect("text of three bytes a character, wherever in the memory that small writes share it comes to lie", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 100_000_000 })
      const expected: Array<string> = []
      for (let length = 1; length <= 1400; length++) expected.push("€".repeat(length))
      for (const part of expected) yield* writer.write(part)
      yield* turns(1)
      transport.drainAll()
      assertBytes(transport.sent, bytes(expected.join("")))
    })
  )

  it.effect("a long text is one run, and counted in bytes", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false })
      const long = "😀 and €".repeat(100_000)
      yield* writer.write(long)
      assert.strictEqual(yield* writer.buffered, bytes(long).length)
      transport.drainAll()
      assertBytes(transport.sent, bytes(long))
    })
  )

  it.effect("any texts, one after the other", () =>
    forAll(
      fc.array(
        fc.oneof(
          fc.constantFrom(...samples.map(([, sample]) => sample)),
          anyText,
          fc.tuple(anyText, fc.integer({ min: 1, max: 500 })).map(([text, times]) => text.repeat(times))
        ),
        { maxLength: 12 }
      ),
      (texts) =>
        Effect.gen(function* () {
          const { transport, writer } = yield* fake()
          for (const text of texts) yield* writer.write(text)
          yield* writer.flush
          assertBytes(transport.sent, concat(texts.map(bytes)))
        }),
      { numRuns: 100 }
    )
  )
})
