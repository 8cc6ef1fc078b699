/** The laws of frames, for every constructor and for random compositions of them. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, FrameSchema, StreamError, StreamReader } from "effect-byte-streams"
import { Effect, Fiber, Result, Schema, type Scope } from "effect"
import * as fc from "fast-check"
import { bytes } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { constructors, nested, type Sample, samples, valuesOf } from "../support/frames.ts"
import { handFed } from "../support/handFed.ts"
import * as Programs from "../support/framePrograms.ts"
import { forAll } from "../support/property.ts"

/** How a run of bytes is cut, from numbers. */
const cut = (all: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < all.length; i++) {
    const size = sizes[i % sizes.length]!
    pieces.push(all.slice(at, at + size))
    at += size
  }
  return pieces
}

const cuts = fc.oneof(
  fc.constant([1]),
  fc.constant([1_000_000]),
  fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 })
)

const bytesOf = (sample: Sample, values: ReadonlyArray<unknown>): Uint8Array =>
  Buffer.concat(values.map((value) => Frame.encodeResultUnsafe(sample.frame, value)))

const thereAndBack = (sample: Sample, values: ReadonlyArray<unknown>, sizes: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    for (const value of values) {
      const bytes = Frame.encodeResultUnsafe(sample.frame, value)
      assert.isAtMost(bytes.length, sample.frame.maxBytes)
      assert.deepStrictEqual(Frame.decodeResultUnsafe(sample.frame, bytes), value, sample.name)
    }
    const all = Uint8Array.from(bytesOf(sample, values))
    // pushed by hand
    const decoder = Frame.makeDecoder(sample.frame)
    const pushed = cut(all, sizes).flatMap((piece) => [...decoder.push(piece)])
    assert.deepStrictEqual(pushed, values, `${sample.name}, pushed`)
    decoder.end()
    // one by one, fed before
    const before = yield* handFed({ limit: 7 })
    before.feed(...cut(all, sizes))
    for (const value of values) assert.deepStrictEqual(yield* before.reader.readFrame(sample.frame), value)
    assert.strictEqual(yield* before.reader.buffered, 0)
    // all that are there, while they arrive
    const during = yield* handFed({ limit: 7 })
    const reading = yield* start(
      Effect.gen(function* () {
        const read: Array<unknown> = []
        for (let some = yield* during.reader.readFrames(sample.frame); some.length > 0;) {
          read.push(...some)
          some = yield* during.reader.readFrames(sample.frame)
        }
        return read
      })
    )
    for (const piece of cut(all, sizes)) during.feed(piece)
    during.end()
    assert.deepStrictEqual(yield* Fiber.join(reading), values, `${sample.name}, read`)
  })

describe.each(constructors)("rank 20: there and back, however it is cut: $name", (sample) => {
  it.effect("what was written is what is read", () =>
    forAll(fc.tuple(valuesOf(sample), cuts), ([values, sizes]) => thereAndBack(sample, values, sizes), { numRuns: 40 })
  )
})

it.effect("rank 20: there and back, however it is cut: random compositions", () =>
  forAll(fc.tuple(samples, cuts), ([{ sample, values }, sizes]) => thereAndBack(sample, values, sizes), {
    numRuns: 300
  })
)

/** Runs a property that says whether there was anything to check, and fails unless there mostly was. */
const mostly = <A>(
  arbitrary: fc.Arbitrary<A>,
  property: (value: A) => Effect.Effect<boolean, unknown, Scope.Scope>,
  numRuns: number
) =>
  Effect.gen(function* () {
    let [ran, checked] = [0, 0]
    const count = (was: boolean) => {
      ran++
      if (was) checked++
    }
    yield* forAll(arbitrary, (value) => Effect.map(property(value), count), { numRuns })
    assert.isAbove(ran, 0)
    assert.isAtLeast(checked, 0.8 * ran)
  })

it.effect("one operation: interrupted anywhere, a read has consumed nothing", () =>
  mostly(
    fc.tuple(samples, fc.nat(200)),
    ([{ sample, values }, at]) =>
      Effect.gen(function* () {
        const all = Uint8Array.from(bytesOf(sample, values))
        const first = Frame.encodeResultUnsafe(sample.frame, values[0])
        // what takes no bytes is never waited for
        if (first.length === 0) return false
        const cutAt = at % first.length
        const { feed, reader } = yield* handFed({ limit: 5 })
        const reading = yield* start(reader.readFrame(sample.frame))
        for (const byte of all.slice(0, cutAt)) feed(Uint8Array.of(byte))
        assert.strictEqual(reading.pollUnsafe(), undefined)
        yield* Fiber.interrupt(reading)
        assert.strictEqual(yield* reader.buffered, cutAt)
        feed(all.slice(cutAt))
        assert.deepStrictEqual(yield* reader.peek(all.length), all)
        for (const value of values) assert.deepStrictEqual(yield* reader.readFrame(sample.frame), value)
        return true
      }),
    200
  )
)

it.effect("rank 21: what comes behind a message is left to the next read, whatever that reads by", () => {
  const [text, number] = [Frame.lengthPrefixed(Frame.uint16, { maxBytes: 100 }), Frame.uint32LE]
  type Piece = { readonly frame: "text" | "number" | "line" | "bytes"; readonly value: number }
  const piece: fc.Arbitrary<Piece> = fc.record({
    frame: fc.constantFrom("text", "number", "line", "bytes"),
    value: fc.integer({ min: 0, max: 50 })
  })
  const content = ({ value }: Piece) => new Uint8Array(value).fill(97 + (value % 26))
  const sent = (piece: Piece): Uint8Array => {
    if (piece.frame === "text") return Frame.encodeResultUnsafe(text, content(piece))
    if (piece.frame === "number") return Frame.encodeResultUnsafe(number, piece.value)
    return piece.frame === "line" ? Buffer.concat([content(piece), bytes("\n")]) : content(piece)
  }
  return forAll(
    fc.tuple(fc.array(piece, { maxLength: 12 }), cuts),
    ([pieces, sizes]) =>
      Effect.gen(function* () {
        const { end, feed, reader } = yield* handFed({ limit: 60 })
        const reading = yield* start(
          Effect.gen(function* () {
            for (const piece of pieces) {
              if (piece.frame === "text") assert.deepStrictEqual(yield* reader.readFrame(text), content(piece))
              else if (piece.frame === "number") assert.strictEqual(yield* reader.readFrame(number), piece.value)
              else if (piece.frame === "line") assert.strictEqual((yield* reader.readLine).length, piece.value + 1)
              else assert.deepStrictEqual(yield* reader.readExactly(piece.value), content(piece))
            }
            return yield* reader.read(1)
          })
        )
        for (const part of cut(Uint8Array.from(Buffer.concat(pieces.map(sent))), sizes)) feed(part)
        end()
        assert.strictEqual((yield* Fiber.join(reading)).length, 0)
      }),
    { numRuns: 300 }
  )
})

it.effect("the end of the stream inside a message is IncompleteRead with what came, and the buffer empty", () =>
  mostly(
    fc.tuple(samples, fc.nat(200)),
    ([{ sample, values }, at]) =>
      Effect.gen(function* () {
        const first = Frame.encodeResultUnsafe(sample.frame, values[0])
        if (first.length < 2) return false
        const part = first.slice(0, 1 + (at % (first.length - 1)))
        const { end, feed, reader } = yield* handFed()
        feed(part)
        end()
        const error = yield* Effect.flip(reader.readFrame(sample.frame))
        assert.instanceOf(error, StreamError.IncompleteRead)
        assert.deepStrictEqual(error.partial, part)
        assert.strictEqual(yield* reader.buffered, 0)
        return true
      }),
    200
  )
)

it.effect(
  "whatever the bytes: a value or a typed error, the same for every way of cutting them, and never a defect",
  () =>
    forAll(
      fc.tuple(samples, fc.uint8Array({ maxLength: 60 }), fc.nat(1000), cuts),
      ([{ sample, values }, rubbish, place, sizes]) =>
        Effect.sync(() => {
          const good = bytesOf(sample, values)
          const at = good.length === 0 ? 0 : place % good.length
          const bytes = Uint8Array.from(Buffer.concat([good.subarray(0, at), rubbish, good.subarray(at)]))
          const outcomes = (pieces: ReadonlyArray<Uint8Array>): ReadonlyArray<unknown> => {
            const decoder = Frame.makeDecoder(sample.frame)
            const seen: Array<unknown> = []
            const step = (push: () => ReadonlyArray<unknown>): boolean => {
              try {
                seen.push(...push())
                return true
              } catch (error) {
                assert.isTrue(
                  error instanceof StreamError.MalformedFrame ||
                    error instanceof StreamError.LimitOverrun ||
                    error instanceof StreamError.IncompleteRead,
                  String(error)
                )
                seen.push(
                  error instanceof StreamError.MalformedFrame
                    ? [error.frame, error.reason, error.offset]
                    : (error as { readonly _tag: string })._tag
                )
                return false
              }
            }
            for (const piece of pieces) if (!step(() => decoder.push(piece))) return seen
            step(() => decoder.push(new Uint8Array(0)))
            return seen
          }
          assert.deepStrictEqual(outcomes(cut(bytes, sizes)).slice(0, 3), outcomes([bytes]).slice(0, 3), sample.name)
        }),
      { numRuns: 400 }
    )
)

it.effect(
  "streams of messages, good and bad, cut anywhere and read by reads that are given up, are what they are in one piece",
  () =>
    Effect.gen(function* () {
      let [programs, interrupted] = [0, 0]
      const count = (outcome: { readonly interruptions: number }) => {
        programs++
        if (outcome.interruptions > 0) interrupted++
      }
      yield* forAll(
        Programs.programs,
        (program) => Effect.promise(() => Programs.run(program)).pipe(Effect.map(count)),
        { numRuns: 150 }
      )
      // about six in ten are: how many interruptions there are in all is for a few programs to say, which have very many
      assert.isAbove(interrupted, programs / 10)
    })
)

describe("rank 41: bounded before anything is kept", () => {
  const claims: ReadonlyArray<readonly [string, Frame.Decoder<any>, Uint8Array, string]> = [
    [
      "4 GiB in front of a body",
      Frame.lengthPrefixed(Frame.uint32, { maxBytes: 1000 }),
      Uint8Array.of(255, 255, 255, 255),
      "LimitOverrun"
    ],
    [
      "2^53 - 1 in a varint",
      Frame.lengthPrefixed(Frame.varint, { maxBytes: 1000 }),
      Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 15),
      "LimitOverrun"
    ],
    [
      "4,294,967,295 items",
      Frame.array(Frame.uint8, { prefix: Frame.uint32, maxItems: 1000 }),
      Uint8Array.of(255, 255, 255, 255),
      "MalformedFrame"
    ],
    ["a netstring of 999999999:", Frame.netstring({ maxBytes: 1000 }), Buffer.from("999999999:"), "LimitOverrun"],
    [
      "a Content-Length of 4 GB",
      Frame.contentLength({ maxBytes: 1000 }),
      Buffer.from("Content-Length: 4000000000\r\n\r\n"),
      "LimitOverrun"
    ],
    [
      "a million arrays in each other",
      nested,
      Uint8Array.from(Array.from({ length: 2_000_000 }, (_, i) => (i % 2 === 0 ? 2 : 1))),
      "MalformedFrame"
    ],
    [
      "a program that asks for more than it may",
      Frame.gen({ maxBytes: 100 }, function* () {
        return yield* Frame.bytes(yield* Frame.uint32)
      }),
      Uint8Array.of(0, 1, 0, 0),
      "LimitOverrun"
    ]
  ]

  it.effect.each(claims)("%s", ([, frame, bytes, tag]) =>
    Effect.gen(function* () {
      for (const size of [1, 7, bytes.length]) {
        const { feed, reader } = yield* handFed({ limit: 16 })
        const reading = yield* start(Effect.flip(reader.readFrame(frame)))
        let fed = 0
        while (reading.pollUnsafe() === undefined && fed < bytes.length) {
          feed(bytes.slice(fed, fed + size))
          fed += size
        }
        assert.strictEqual(((yield* Fiber.join(reading)) as { readonly _tag: string })._tag, tag)
        // nothing but what had to be read to see it, and what came along with that
        assert.isAtMost(fed, 400 + size)
      }
      assert.isTrue(Result.isFailure(Frame.decodeResult(frame, Uint8Array.from(bytes))))
    })
  )

  it("maxBytes is finite unless unbounded was spelled out", () => {
    for (const { frame, name } of constructors) assert.isTrue(Number.isFinite(frame.maxBytes), name)
    assert.strictEqual(Frame.line({ maxBytes: "unbounded" }).maxBytes, Infinity)
    assert.strictEqual(nested.maxBytes, 16_777_216)
  })
})

it("a field that says nothing is left out of the struct, also where it is a body", () => {
  const nothing = Frame.literal("GIT")
  const bodies = {
    itself: nothing,
    prefixed: Frame.lengthPrefixed(Frame.uint8, { maxBytes: 3 }, nothing),
    netstring: Frame.netstring({ maxBytes: 3 }, nothing),
    contentLength: Frame.contentLength({ maxBytes: 3 }, nothing),
    called: Frame.named(nothing, "Magic")
  }
  for (const compile of [true, false]) {
    const frame = Frame.struct({ ...bodies, version: Frame.uint8 }, { compile })
    const bytes = Frame.encodeResultUnsafe(frame, { version: 1 })
    assert.deepStrictEqual(Object.keys(Frame.decodeResultUnsafe(frame, bytes)), ["version"])
    const decoder = Frame.makeDecoder(frame)
    const pushed = cut(bytes, [1]).flatMap((piece) => [...decoder.push(piece)])
    assert.deepStrictEqual(Object.keys(pushed[0]!), ["version"])
  }
})

it("a function of the program's own that throws makes a value one that cannot be written", () => {
  const throws = (): never => {
    throw new Error("of no kind")
  }
  const refuses = (): never => {
    throw Frame.invalid("of no kind")
  }
  for (const say of [throws, refuses]) {
    const frames = {
      tagOf: Frame.union(Frame.uint8, { 1: Frame.uint8 }, { tagOf: say }),
      transform: Frame.transform(Frame.uint8, { decode: (value) => value, encode: say }),
      refine: Frame.refine(Frame.uint8, say)
    }
    for (const frame of Object.values(frames)) {
      const result = Frame.encodeResult(frame as Frame.Encoder<number>, 1)
      assert.strictEqual(Result.isFailure(result) ? result.failure.reason : "written", "of no kind")
    }
  }
})

it("what is wrong is told at the byte that shows it, although the message must be longer", () => {
  const frame = Frame.array(Frame.netstring({ maxBytes: 9 }), { count: 3 })
  const outcome = (pieces: ReadonlyArray<Uint8Array>): unknown => {
    const decoder = Frame.makeDecoder(frame)
    try {
      for (const piece of pieces) decoder.push(piece)
    } catch (error) {
      return error instanceof StreamError.MalformedFrame ? [error.frame, error.offset] : error
    }
    return "nothing is wrong so far"
  }
  // a digit is missing in front of the colon; the shortest of these messages has nine bytes
  for (const sizes of [[1], [2], [3]])
    assert.deepStrictEqual(outcome(cut(Uint8Array.of(58, 58, 58), sizes)), ["[0].length", 0])
  // and so where nothing else can come
  const result = Frame.decodeResult(frame, Uint8Array.of(58, 58, 58))
  assert.include(Result.isFailure(result) ? result.failure.message : "", "[0].length is malformed: a digit is missing")
})

it("what is no JSON is malformed, whatever the schema", () => {
  for (const schema of [Schema.Unknown, Schema.Struct({ id: Schema.Number })]) {
    const result = Frame.decodeResult(FrameSchema.ndjson(schema, { maxBytes: 100 }), new TextEncoder().encode("{no\n"))
    assert.strictEqual(Result.isFailure(result) && result.failure._tag, "MalformedFrame")
  }
})

it("what is nested too deep for its schema is malformed, and cannot be written, and is no defect", () => {
  interface Tree extends ReadonlyArray<Tree> {}
  const Tree: Schema.Codec<Tree> = Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
  const frame = FrameSchema.ndjson(Tree, { maxBytes: 200_002 })
  const read = Frame.decodeResult(frame, new TextEncoder().encode(`${"[".repeat(100_000)}${"]".repeat(100_000)}\n`))
  assert.include(
    Result.isFailure(read) ? read.failure.message : "",
    "ndjson is malformed: nested too deep to be checked"
  )
  let tree: Tree = []
  for (let i = 0; i < 100_000; i++) tree = [tree]
  const written = Frame.encodeResult(frame, tree)
  assert.include(
    Result.isFailure(written) ? written.failure.message : "",
    "ndjson is no value of its schema: nested too deep to be checked"
  )
})

it("what a schema refuses is told with its place, on one line, both ways", () => {
  const Point = Schema.Struct({ at: Schema.Struct({ x: Schema.Int }) })
  const point = FrameSchema.ndjson(Point, { maxBytes: 100 })
  const messageOf = <A>(result: Result.Result<A, StreamError.StreamError>) =>
    Result.isFailure(result) ? result.failure.message : "none"
  const read = messageOf(Frame.decodeResult(point, new TextEncoder().encode('{"at":{"x":"1"}}\n')))
  assert.match(read, /^decode: ndjson is malformed: Expected number at \["at"\]\["x"\] \(at byte 0: .*\)$/)
  for (const [name, frame] of [
    ["ndjson", point],
    ["schema", FrameSchema.schema(Schema.fromJsonString(Point), Frame.line({ maxBytes: 100 }))]
  ] as const) {
    const written = messageOf(Frame.encodeResult(frame, { at: { x: 1.5 } }))
    assert.strictEqual(written, `encode: ${name} is no value of its schema: Expected an integer at ["at"]["x"]`)
  }
})

describe("rank 22: after a fault", () => {
  const packet = Frame.named(
    Frame.struct({ kind: Frame.uint8, body: Frame.lengthPrefixed(Frame.uint8, { maxBytes: 100 }, Frame.utf8Rest) }),
    "Packet"
  )

  it.effect("where the bad message ends is known: it is dropped, and the next read stands behind it", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes(Uint8Array.of(1, 2, 0xff, 0xfe, 7, 1, 65))
      const error = yield* Effect.flip(reader.readFrame(packet))
      assert.instanceOf(error, StreamError.MalformedFrame)
      assert.deepInclude({ ...error }, { frame: "Packet.body", offset: 2, reason: "not valid UTF-8" })
      assert.strictEqual(
        error.message,
        "readFrame: Packet.body is malformed: not valid UTF-8 (at byte 2: ff fe 07 01 41)"
      )
      assert.deepStrictEqual(yield* reader.readFrame(packet), { kind: 7, body: "A" })
    })
  )

  it.effect("where it is not: nothing is dropped, the same read fails again, any other goes on", () =>
    Effect.gen(function* () {
      const frame = Frame.struct({ magic: Frame.literal("GIT"), version: Frame.uint8 })
      const reader = yield* StreamReader.fromBytes("HTTP/1.1")
      for (let i = 0; i < 3; i++) {
        assert.strictEqual((yield* Effect.flip(reader.readFrame(frame)))._tag, "MalformedFrame")
      }
      assert.strictEqual(new TextDecoder().decode(yield* reader.readExactly(4)), "HTTP")
    })
  )

  it.effect(
    "what a read that waits has found wrong is what it fails with, although it would not be found in one piece",
    () =>
      Effect.gen(function* () {
        const frame = Frame.decoder<void>({
          maxBytes: 100,
          decode: (cursor) => {
            const wrong = cursor.bytes.subarray(cursor.at, cursor.end).includes(255)
            return wrong ? cursor.malformed("a byte of 255") : cursor.more(2)
          }
        })
        for (let size = 1; size < 20; size++) {
          const { feed, reader } = yield* handFed()
          const reading = yield* start(Effect.flip(reader.readFrame(frame)))
          for (let i = 0; i < size; i++) feed(Uint8Array.of(i))
          for (let i = 0; i < 3; i++) feed(Uint8Array.of(255))
          assert.strictEqual((yield* Fiber.join(reading))._tag, "MalformedFrame")
          assert.strictEqual(yield* reader.buffered, size + 3)
        }
      })
  )

  it.effect("offsets count from the first byte of the stream, whatever was read, skipped and put back", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("a line\n", "12345", Uint8Array.of(9, 1, 0xff))
      yield* reader.readLine
      yield* reader.skip(2)
      const taken = yield* reader.readExactly(3)
      yield* reader.unread(taken)
      yield* reader.skip(3)
      const error = yield* Effect.flip(reader.readFrame(packet))
      assert.deepInclude({ ...error }, { offset: 14 })
    })
  )

  it.effect("too long: nothing is dropped, and how long it is is said where it is known", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes(
        Uint8Array.of(1, 200, ...Array.from({ length: 200 }, () => 65), 7, 1, 66)
      )
      const error = yield* Effect.flip(reader.readFrame(packet))
      assert.instanceOf(error, StreamError.LimitOverrun)
      assert.deepInclude({ ...error }, { consumed: 202, limit: 100, found: true, frame: "Packet.body" })
      yield* reader.skip(error.consumed)
      assert.deepStrictEqual(yield* reader.readFrame(packet), { kind: 7, body: "B" })
    })
  )

  it.effect("messages in front of a wrong one come first, then it, then those behind it", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes(Uint8Array.of(1, 1, 65, 2, 1, 0xff, 3, 1, 66))
      assert.deepStrictEqual(yield* reader.readFrames(packet), [{ kind: 1, body: "A" }])
      assert.strictEqual((yield* Effect.flip(reader.readFrames(packet)))._tag, "MalformedFrame")
      assert.deepStrictEqual(yield* reader.readFrames(packet), [{ kind: 3, body: "B" }])
      assert.deepStrictEqual(yield* reader.readFrames(packet), [])
    })
  )
})
