/**
 * The reader against the model of Eio's `fuzz_buf_read.ml`: the model is one string and a position in it, the reader has
 * the same bytes in random chunks and a buffer of at most 100. Each of its operations is written with ours; each outcome
 * must be the model's, and at the end both must have consumed the same bytes. Where Eio leaves the input alone and
 * asyncio does not (a read of a count at the end, an overlong line), the model does as asyncio and this library.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { StreamReader } from "effect-byte-streams"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { forAll } from "../support/property.ts"

/** What Eio calls `max_size`. */
const most = 100

type Outcome = { readonly ok: unknown } | "EOF" | "Failure" | "TooBig" | { readonly before: unknown; next: "TooBig" }

interface Operation {
  readonly name: string
  readonly run: (reader: StreamReader.StreamReader) => Effect.Effect<Outcome, unknown>
  /** The outcome for what is left, and how much of it is consumed. */
  readonly model: (rest: string) => readonly [Outcome, number]
}

const eof: Outcome = "EOF"
const failure: Outcome = "Failure"
const tooBig: Outcome = "TooBig"
const ok = (value: unknown): Outcome => ({ ok: value })

/** What came of a read, with its errors as Eio has them. */
const outcome = <A>(
  read: Effect.Effect<A, { readonly _tag: string }>,
  show: (value: A) => unknown
): Effect.Effect<Outcome, unknown> =>
  Effect.matchEffect(read, {
    onSuccess: (value) => Effect.succeed(ok(show(value))),
    onFailure: (error) => {
      if (error._tag === "IncompleteRead") return Effect.succeed(eof)
      return error._tag === "LimitOverrun" ? Effect.succeed(tooBig) : Effect.fail(error)
    }
  })

const isDigit = (byte: number) => byte >= 48 && byte <= 57

// ---------------------------------------------------------------------------
// operations
// ---------------------------------------------------------------------------

/** The next line of what is left, how long it is with its end, and whether it is too long. */
const nextLine = (rest: string) => {
  const at = rest.indexOf("\n")
  const length = at === -1 ? rest.length : at
  return { line: rest.slice(0, length), consumed: at === -1 ? length : length + 1, tooLong: length > most }
}

const line: Operation = {
  name: "line",
  run: (reader) => outcome(reader.readLine, text),
  model: (rest) => {
    const { consumed, tooLong } = nextLine(rest)
    return [tooLong ? tooBig : ok(rest.slice(0, consumed)), consumed]
  }
}

const lines: Operation = {
  name: "lines",
  run: (reader) =>
    Effect.suspend(() => {
      const before: Array<string> = []
      const all = Stream.runForEach(StreamReader.lines(reader), (line) => Effect.sync(() => void before.push(line)))
      return Effect.map(
        outcome(all, () => before),
        (outcome) => (outcome === tooBig ? { before, next: "TooBig" } : outcome)
      )
    }),
  model: (rest) => {
    const before: Array<string> = []
    let position = 0
    while (position < rest.length) {
      const { consumed, line, tooLong } = nextLine(rest.slice(position))
      position += consumed
      if (tooLong) return [{ before, next: "TooBig" }, position]
      // a carriage return is a part of the line end, where there is one
      before.push(rest[position - 1] === "\n" && line.endsWith("\r") ? line.slice(0, -1) : line)
    }
    return [ok(before), position]
  }
}

const char = (wanted: string): Operation => ({
  name: `char ${JSON.stringify(wanted)}`,
  run: (reader) =>
    Effect.gen(function* () {
      const seen = text(yield* reader.peek(1))
      if (seen === "") return eof
      if (seen !== wanted) return failure
      yield* reader.skip(1)
      return ok(wanted)
    }),
  model: (rest) => (rest === "" ? [eof, 0] : rest[0] === wanted ? [ok(wanted), 1] : [failure, 0])
})

const anyChar: Operation = {
  name: "any_char",
  run: (reader) => outcome(reader.readExactly(1), text),
  model: (rest) => (rest === "" ? [eof, 0] : [ok(rest[0]), 1])
}

const peekChar: Operation = {
  name: "peek_char",
  run: (reader) => outcome(reader.peek(1), text),
  model: (rest) => [ok(rest.slice(0, 1)), 0]
}

const string = (wanted: string): Operation => ({
  name: `string ${JSON.stringify(wanted)}`,
  run: (reader) =>
    Effect.gen(function* () {
      const seen = text(yield* reader.peek(wanted.length))
      if (!wanted.startsWith(seen)) return failure
      if (seen !== wanted) return eof
      yield* reader.skip(wanted.length)
      return ok(wanted)
    }),
  model: (rest) => {
    const seen = rest.slice(0, wanted.length)
    if (!wanted.startsWith(seen)) return [failure, 0]
    return seen === wanted ? [ok(wanted), wanted.length] : [eof, 0]
  }
})

const take = (count: number): Operation => ({
  name: `take ${count}`,
  run: (reader) => outcome(reader.readExactly(count), text),
  model: (rest) => (rest.length < count ? [eof, rest.length] : [ok(rest.slice(0, count)), count])
})

const skip = (count: number): Operation => ({
  name: `skip ${count}`,
  run: (reader) => outcome(reader.skip(count), () => undefined),
  model: (rest) => (rest.length < count ? [eof, rest.length] : [ok(undefined), count])
})

const takeAll: Operation = {
  name: "take_all",
  run: (reader) => outcome(reader.readAll({ maxBytes: most }), text),
  model: (rest) => (rest.length > most ? [tooBig, 0] : [ok(rest), rest.length])
}

const digits = (show: (taken: string) => unknown): Pick<Operation, "run" | "model"> => ({
  run: (reader) =>
    Effect.gen(function* () {
      let taken = ""
      while (true) {
        const seen = yield* reader.peek(1)
        if (seen.length === 0 || !isDigit(seen[0]!)) return ok(show(taken))
        taken += text(yield* reader.readExactly(1))
      }
    }),
  model: (rest) => {
    const [taken] = /^[0-9]*/.exec(rest)!
    return [ok(show(taken)), taken.length]
  }
})

const takeWhile: Operation = { name: "take_while digit", ...digits((taken) => taken) }
const skipWhile: Operation = { name: "skip_while digit", ...digits(() => undefined) }

const endOfInput: Operation = {
  name: "end_of_input",
  run: (reader) =>
    Effect.gen(function* () {
      const more = (yield* reader.peek(1)).length > 0
      assert.strictEqual(yield* reader.atEof, !more)
      return more ? failure : ok(undefined)
    }),
  model: (rest) => [rest === "" ? ok(undefined) : failure, 0]
}

/** A number of so many bytes: ours by a `DataView`, the model's by Node. */
const number = (
  name: string,
  size: number,
  ours: (view: DataView) => number | bigint,
  nodes: (buffer: Buffer) => number | bigint
): Operation => ({
  name,
  run: (reader) =>
    outcome(reader.readExactly(size), (bytes) => ours(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))),
  model: (rest) => (rest.length < size ? [eof, rest.length] : [ok(nodes(Buffer.from(rest))), size])
})

const numbers: ReadonlyArray<Operation> = [
  number(
    "BE.uint16",
    2,
    (view) => view.getUint16(0),
    (buffer) => buffer.readUInt16BE()
  ),
  number(
    "LE.uint16",
    2,
    (view) => view.getUint16(0, true),
    (buffer) => buffer.readUInt16LE()
  ),
  number(
    "BE.uint32",
    4,
    (view) => view.getUint32(0),
    (buffer) => buffer.readUInt32BE()
  ),
  number(
    "LE.uint32",
    4,
    (view) => view.getUint32(0, true),
    (buffer) => buffer.readUInt32LE()
  ),
  number(
    "BE.uint48",
    6,
    (view) => view.getUint16(0) * 2 ** 32 + view.getUint32(2),
    (buffer) => buffer.readUIntBE(0, 6)
  ),
  number(
    "LE.uint48",
    6,
    (view) => view.getUint16(4, true) * 2 ** 32 + view.getUint32(0, true),
    (buffer) => buffer.readUIntLE(0, 6)
  ),
  number(
    "BE.uint64",
    8,
    (view) => view.getBigUint64(0),
    (buffer) => buffer.readBigUInt64BE()
  ),
  number(
    "LE.uint64",
    8,
    (view) => view.getBigUint64(0, true),
    (buffer) => buffer.readBigUInt64LE()
  ),
  number(
    "BE.float",
    4,
    (view) => view.getFloat32(0),
    (buffer) => buffer.readFloatBE()
  ),
  number(
    "LE.float",
    4,
    (view) => view.getFloat32(0, true),
    (buffer) => buffer.readFloatLE()
  ),
  number(
    "BE.double",
    8,
    (view) => view.getFloat64(0),
    (buffer) => buffer.readDoubleBE()
  ),
  number(
    "LE.double",
    8,
    (view) => view.getFloat64(0, true),
    (buffer) => buffer.readDoubleLE()
  )
]

// ---------------------------------------------------------------------------
// the property
// ---------------------------------------------------------------------------

const piece = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: fc.constantFrom("x", "a", "1", "2", "\n", "\r"), maxLength: 20 }) },
  // far from any line end
  { weight: 1, arbitrary: fc.integer({ min: 80, max: 250 }).map((length) => "y".repeat(length)) }
)

const count = fc.integer({ min: 0, max: 120 })

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.constantFrom(line, line, anyChar, peekChar, takeWhile, skipWhile, endOfInput),
  fc.constantFrom(...numbers),
  fc.constantFrom("x", "a", "1").map(char),
  fc.string({ unit: fc.constantFrom("x", "a", "1", "2"), maxLength: 3 }).map(string),
  count.map(take),
  count.map(skip),
  fc.constantFrom(lines, takeAll)
)

it.effect("Eio fuzz_buf_read: every outcome is the model's, and so is what was consumed", () =>
  forAll(
    fc.record({
      pieces: fc.array(piece, { maxLength: 30, size: "max" }),
      operations: fc.array(operation, { maxLength: 25, size: "max" })
    }),
    ({ operations, pieces }) =>
      Effect.gen(function* () {
        let rest = pieces.join("")
        const chunks = Stream.fromIterable(pieces.map(bytes)).pipe(Stream.rechunk(1))
        const reader = yield* StreamReader.fromStream(chunks, { limit: most })
        for (const { model, name, run } of operations) {
          const [expected, consumed] = model(rest)
          rest = rest.slice(consumed)
          assert.deepStrictEqual(yield* run(reader), expected, name)
        }
        assert.strictEqual(text(yield* reader.readAll({ maxBytes: "unbounded" })), rest)
      }),
    { numRuns: 300 }
  )
)
