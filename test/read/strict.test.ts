/**
 * The next item, or a clean end, and nothing in between: the reads that take no part of an item for a whole one.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { StreamError, StreamReader } from "effect-byte-streams"
import { Effect, Fiber, Option, Stream } from "effect"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { defectOf, start } from "../support/fibers.ts"
import { handFed, held, outcome, overrunNotFound, value } from "../support/handFed.ts"
import { forAll } from "../support/property.ts"

type Reader = StreamReader.StreamReader

/** Each strict read of one item of `"ab\n"`, with what it makes of a whole one. */
const strictReads: ReadonlyArray<{
  readonly name: string
  readonly read: (reader: Reader) => Effect.Effect<unknown, unknown>
  readonly whole: unknown
  readonly end: unknown
}> = [
  {
    name: "readUntilOption",
    read: (reader) => reader.readUntilOption("\n"),
    whole: Option.some(bytes("ab\n")),
    end: Option.none()
  },
  {
    name: "readUntilOption without the delimiter",
    read: (reader) => reader.readUntilOption("\n", { keepDelimiter: false }),
    whole: Option.some(bytes("ab")),
    end: Option.none()
  },
  {
    name: 'readLineWith({ end: "required" })',
    read: (reader) => reader.readLineWith({ end: "required" }),
    whole: bytes("ab\n"),
    end: bytes("")
  },
  {
    name: 'readLineWith({ end: "required", keepDelimiter: false })',
    read: (reader) => reader.readLineWith({ end: "required", keepDelimiter: false }),
    whole: Option.some(bytes("ab")),
    end: Option.none()
  },
  { name: "readLineText", read: (reader) => reader.readLineText, whole: Option.some("ab"), end: Option.none() },
  {
    name: "readExactlyOption",
    read: (reader) => reader.readExactlyOption(3),
    whole: Option.some(bytes("ab\n")),
    end: Option.none()
  },
  {
    name: 'lines({ end: "required" })',
    read: (reader) => Stream.runHead(StreamReader.lines(reader, { end: "required" })),
    whole: Option.some("ab"),
    end: Option.none()
  }
]

describe.each(strictReads)("strict: $name", ({ end, read, whole }) => {
  it.effect("a whole item, fed before and fed while it waits, byte by byte", () =>
    Effect.gen(function* () {
      const before = yield* handFed()
      before.feed("ab\n")
      assert.deepStrictEqual(yield* read(before.reader), whole)
      const after = yield* handFed()
      const waiting = yield* start(read(after.reader))
      after.feed("a", "b", "\n")
      assert.deepStrictEqual(yield* Fiber.join(waiting), whole)
      assert.strictEqual(yield* held(after.reader), "")
    })
  )

  it.effect("a clean end is told from every item, every time", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("ab\n")
      fed.end()
      assert.deepStrictEqual(yield* read(fed.reader), whole)
      assert.deepStrictEqual(yield* read(fed.reader), end)
      assert.deepStrictEqual(yield* read(fed.reader), end)
    })
  )

  it.effect("half an item at the end of the stream is IncompleteRead with what came, and the buffer is empty", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("ab")
      fed.end()
      const error = yield* Effect.flip(read(fed.reader))
      assert.instanceOf(error, StreamError.IncompleteRead)
      assert.strictEqual(text(error.partial), "ab")
      assert.deepStrictEqual(yield* read(fed.reader), end)
    })
  )

  it.effect("half an item in front of a loss stays readable", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("ab")
      fed.lose()
      assert.instanceOf(yield* Effect.flip(read(fed.reader)), StreamError.ConnectionLost)
      assert.strictEqual(text(yield* fed.reader.read(10)), "ab")
    })
  )

  it.effect("interrupted in the middle of an item it has taken nothing", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      const waiting = yield* start(read(fed.reader))
      fed.feed("ab")
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* held(fed.reader), "ab")
      fed.feed("\n")
      assert.deepStrictEqual(yield* read(fed.reader), whole)
    })
  )
})

describe("strict: an overlong line that is dropped, and cut off by the end of the stream", () => {
  const discard = { end: "required", onOverrun: "discard" } as const
  const dropping: ReadonlyArray<readonly [name: string, (reader: Reader) => Effect.Effect<unknown, unknown>, unknown]> =
    [
      ["readLineWith", (reader) => reader.readLineWith(discard), bytes("")],
      [
        "readLineWith without the delimiter",
        (reader) => reader.readLineWith({ ...discard, keepDelimiter: false }),
        Option.none()
      ],
      ["lines", (reader) => Stream.runHead(StreamReader.lines(reader, discard)), Option.none()]
    ]
  for (const [name, read, cleanEnd] of dropping) {
    it.effect(`${name} does not take it for a clean end, whenever the end comes, and tells of it once`, () =>
      Effect.gen(function* () {
        const before = yield* handFed({ limit: 4 })
        before.feed("12345", "6789")
        before.end()
        const after = yield* handFed({ limit: 4 })
        const waiting = yield* start(Effect.flip(read(after.reader)))
        after.feed("12345", "6789")
        after.end()
        for (const error of [yield* Effect.flip(read(before.reader)), yield* Fiber.join(waiting)]) {
          assert.instanceOf(error, StreamError.IncompleteRead)
          assert.strictEqual(text(error.partial), "")
        }
        for (const { reader } of [before, after]) assert.deepStrictEqual(yield* read(reader), cleanEnd)
      })
    )

    it.effect(`${name} says the same behind a read that failed on that line, whenever the end comes`, () =>
      Effect.gen(function* () {
        const before = yield* handFed({ limit: 4 })
        before.feed("12345")
        before.end()
        const after = yield* handFed({ limit: 4 })
        after.feed("12345")
        for (const { end, reader } of [before, after]) {
          assert.instanceOf(yield* Effect.flip(reader.readLine), StreamError.LimitOverrun)
          end()
          assert.instanceOf(yield* Effect.flip(read(reader)), StreamError.IncompleteRead)
          assert.deepStrictEqual(yield* read(reader), cleanEnd)
        }
      })
    )

    it.effect(`${name} takes the end behind its line feed for a clean one`, () =>
      Effect.gen(function* () {
        const fed = yield* handFed({ limit: 4 })
        const waiting = yield* start(read(fed.reader))
        fed.feed("12345", "6789\n")
        fed.end()
        assert.deepStrictEqual(yield* Fiber.join(waiting), cleanEnd)
      })
    )
  }
})

describe("Option forms answer at once", () => {
  it.effect("with what is there, as the others do", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("0\nab\ncd\nef\ngh\n12")
      const { reader } = fed
      // what comes after it is at hand from here on
      yield* reader.readLine
      const answers = [
        reader.readOption(3),
        reader.readExactlyOption(3),
        reader.readLineOption,
        reader.readUntilOption("\n")
      ].map((read) => {
        const iterator = read[Symbol.iterator]()
        // an effect that answers from its iterator is done with the first step
        const { done, value } = iterator.next()
        return done === true && Option.isSome(value as any) ? text((value as Option.Some<Uint8Array>).value) : "waits"
      })
      assert.deepStrictEqual(answers, ["ab\n", "cd\n", "ef\n", "gh\n"])
      assert.strictEqual(yield* held(reader), "12")
    })
  )

  it.effect("with nothing there, or less than the item, they wait as before", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("0\nab")
      const { reader } = fed
      yield* reader.readLine
      for (const read of [reader.readExactlyOption(3), reader.readLineOption, reader.readLineText]) {
        assert.isFalse(read[Symbol.iterator]().next().done)
      }
      assert.strictEqual(yield* held(reader), "ab")
    })
  )
})

describe("keepDelimiter (rank 33)", () => {
  it.effect("readUntil: false leaves it out, of one and of several", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("ab\r\ncd--ef\r\n")
      const { reader } = fed
      assert.strictEqual(text(yield* reader.readUntil("\r\n", { keepDelimiter: false })), "ab")
      assert.strictEqual(text(yield* reader.readUntil(["\r\n", "--"], { keepDelimiter: false })), "cd")
      assert.strictEqual(text(yield* reader.readUntil("\r\n", { keepDelimiter: true })), "ef\r\n")
    })
  )

  it.effect("a blank line is not the end", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("\n\r\nlast")
      fed.end()
      const line = fed.reader.readLineWith({ keepDelimiter: false })
      assert.deepStrictEqual([yield* line, yield* line, yield* line, yield* line].map(Option.map(text)), [
        Option.some(""),
        Option.some(""),
        Option.some("last"),
        Option.none()
      ])
    })
  )

  it.effect("what is no flag dies", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      assert.match(
        String(yield* defectOf(reader.readUntil("\n", { keepDelimiter: "no" as never }))),
        /readUntil: keepDelimiter must be true or false, got "no" \(string\)/
      )
      assert.match(
        String(yield* defectOf(reader.readLineWith({ end: "always" as never }))),
        /readLineWith: end must be/
      )
    })
  )
})

describe("an overlong line", () => {
  it.effect("of the strict reads fails once, and the next one is read", () =>
    Effect.gen(function* () {
      const fed = yield* handFed({ limit: 4 })
      fed.feed("123456")
      assert.deepStrictEqual(yield* outcome(fed.reader.readLineText), overrunNotFound("readLineText", 6, 4))
      fed.feed("78\nok\n")
      assert.deepStrictEqual(yield* fed.reader.readLineText, Option.some("ok"))
    })
  )

  it.effect("readUntilOption leaves it in the buffer", () =>
    Effect.gen(function* () {
      const fed = yield* handFed({ limit: 4 })
      fed.feed("123456\n")
      const { error } = (yield* outcome(fed.reader.readUntilOption("\n"))) as { readonly error: string }
      assert.strictEqual(error, "LimitOverrun")
      assert.strictEqual(yield* held(fed.reader), "123456\n")
    })
  )
})

describe("lines with fatal", () => {
  const bad = Uint8Array.of(0x62, 0xff, 0x0a)

  it.effect("lines in front of a bad one come first, then InvalidText; the reader stands behind it", () =>
    Effect.gen(function* () {
      const fed = yield* handFed()
      fed.feed("one\ntwo\n", bad, "after\n")
      const taken: Array<string> = []
      const lines = StreamReader.lines(fed.reader, { fatal: true })
      const error = yield* Effect.flip(Stream.runForEach(lines, (line) => Effect.sync(() => void taken.push(line))))
      assert.deepStrictEqual(taken, ["one", "two"])
      assert.instanceOf(error, StreamError.InvalidText)
      assert.deepStrictEqual(error.bytes, bad)
      assert.strictEqual(error.message, "lines: a line of 3 bytes is not valid utf-8 (62 ff 0a)")
      assert.deepStrictEqual(yield* outcome(fed.reader.readLine), value("after\n"))
    })
  )

  it.effect("without it they are U+FFFD; a byte order mark stays either way", () =>
    Effect.gen(function* () {
      for (const fatal of [false, true]) {
        const reader = yield* StreamReader.fromBytes(fatal ? "\ufeffa\n" : Uint8Array.of(0xff, 0x0a))
        const lines = yield* Stream.runCollect(StreamReader.lines(reader, { fatal }))
        assert.deepStrictEqual(lines, [fatal ? "\ufeffa" : "\ufffd"])
      }
    })
  )

  it.effect("whatever the bytes and the chunks: the lines in front of the first bad one, and then that one", () =>
    forAll(
      fc.tuple(fc.array(fc.uint8Array({ maxLength: 6 }), { maxLength: 12 }), fc.integer({ min: 1, max: 7 })),
      ([lines, size]) =>
        Effect.gen(function* () {
          const clean = lines.map((line) => line.filter((byte) => byte !== 10))
          const all = Buffer.concat(clean.flatMap((line) => [line, Uint8Array.of(10)]))
          const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
          const expected: Array<string> = []
          let isWrong = false
          for (const line of clean) {
            try {
              expected.push(decoder.decode(line).replace(/\r$/, ""))
            } catch {
              isWrong = true
              break
            }
          }
          const fed = yield* handFed()
          const taken: Array<string> = []
          const reading = yield* start(
            Effect.exit(
              Stream.runForEach(StreamReader.lines(fed.reader, { fatal: true }), (line) =>
                Effect.sync(() => void taken.push(line))
              )
            )
          )
          for (let at = 0; at < all.length; at += size) fed.feed(Uint8Array.from(all.subarray(at, at + size)))
          fed.end()
          const exit = yield* Fiber.join(reading)
          assert.deepStrictEqual(taken, expected)
          assert.strictEqual(exit._tag, isWrong ? "Failure" : "Success")
        })
    )
  )
})

describe("types", () => {
  it("say what may fail, and what tells the end", () => {
    type Error<E extends Effect.Effect<any, any>> = Effect.Error<E>
    const program = (reader: Reader) => ({
      strict: reader.readLineWith({ end: "required" }),
      bare: reader.readLineWith({ keepDelimiter: false, onOverrun: "discard" }),
      text: reader.readLineText
    })
    type Program = ReturnType<typeof program>
    expectTypeOf<Effect.Success<Program["strict"]>>().toEqualTypeOf<Uint8Array>()
    expectTypeOf<Error<Program["strict"]>>().toEqualTypeOf<
      StreamError.ReadError | StreamError.LimitOverrun | StreamError.IncompleteRead
    >()
    expectTypeOf<Effect.Success<Program["bare"]>>().toEqualTypeOf<Option.Option<Uint8Array>>()
    expectTypeOf<Error<Program["bare"]>>().toEqualTypeOf<StreamError.ReadError>()
    expectTypeOf<Effect.Success<Program["text"]>>().toEqualTypeOf<Option.Option<string>>()
    const lines = (reader: Reader) => StreamReader.lines(reader, { end: "required", fatal: true, onOverrun: "discard" })
    expectTypeOf(lines).returns.toEqualTypeOf<
      Stream.Stream<string, StreamError.ReadError | StreamError.IncompleteRead | StreamError.InvalidText>
    >()
  })
})
