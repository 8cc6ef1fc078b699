/** What is told of bytes that are wrong, of values that cannot be written, and of mistakes in a frame: at once, in few words. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, FrameSchema, StreamError } from "effect-byte-streams"
import { Effect, Exit, Fiber, Cause, Result, Schema } from "effect"
import { bytes, text } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { handFed } from "../support/handFed.ts"

/** What comes of bytes that are pushed so many at a time: part and place of what is wrong, or how many messages there are. */
const pushed = (frame: Frame.Decoder<unknown>, all: Uint8Array, size: number): unknown => {
  const decoder = Frame.makeDecoder(frame)
  let messages = 0
  try {
    for (let at = 0; at < all.length; at += size) messages += decoder.push(all.slice(at, at + size)).length
  } catch (error) {
    return error instanceof StreamError.MalformedFrame ? [error.frame, error.offset] : error
  }
  return messages
}

const failureOf = <A, E>(result: Result.Result<A, E>): E | undefined =>
  Result.isFailure(result) ? result.failure : undefined

describe("what is wrong is told at its byte also in what always has as many bytes", () => {
  const magic = Frame.literal("MAGIC")
  const odd = Frame.refine(Frame.uint8, (byte) => byte % 2 === 1)
  const frames: ReadonlyArray<readonly [frame: Frame.Decoder<unknown>, part: string, offset: number]> = [
    [Frame.struct({ magic, rest: Frame.bytes(1000) }), "magic", 4],
    [Frame.struct({ magic, rest: Frame.bytes(1000) }, { compile: false }), "magic", 4],
    [Frame.tuple(magic, Frame.uint32), "[0]", 4],
    [Frame.array(magic, { count: 9 }), "[0]", 4],
    [Frame.struct({ head: Frame.struct({ magic, version: Frame.uint16 }), size: Frame.uint64 }), "head.magic", 4],
    [
      Frame.struct({ magic, rest: Frame.bytes(1000) }).pipe(
        Frame.transform({ decode: () => 1, encode: () => ({ rest: new Uint8Array(1000) as Uint8Array }) }),
        Frame.named("Greeting")
      ),
      "Greeting.magic",
      4
    ],
    [Frame.limited(Frame.tuple(magic, Frame.bytes(20)), 30), "[0]", 4],
    // the first byte, M, is odd, and so are A, G and I; X is not
    [Frame.array(odd, { count: 100 }), "[4]", 4],
    [Frame.tuple(Frame.bytes(4), odd, Frame.bytes(100)), "[1]", 4]
  ]
  it.each(frames)("%s, as far as %s", (frame, part, offset) => {
    const all = bytes("MAGIXX")
    for (const size of [1, 2, 6]) assert.deepStrictEqual(pushed(frame, all, size), [part, offset])
    assert.deepInclude(failureOf(Frame.decodeResult(frame, all)), { frame: part, offset })
  })

  it.effect("a read of it does not wait for a peer that sends no more", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const reading = yield* start(Effect.flip(reader.readFrame(frames[0]![0])))
      feed("MAG", "IX")
      assert.deepInclude(yield* Fiber.join(reading), { _tag: "MalformedFrame", frame: "magic", offset: 4 })
      assert.strictEqual(text(yield* reader.read(10)), "MAGIX")
    })
  )
})

describe("items without a byte have a bound of their own where nothing else bounds their number", () => {
  const nothing = Frame.tuple()
  const maybe = Frame.make({
    decoder: Frame.decoder({
      maxBytes: 1,
      decode: (cursor) => (cursor.at < cursor.end ? cursor.take(0).length : cursor.more(1))
    }),
    encoder: Frame.encoder<number>({ encode: () => {} })
  })
  const frames: Record<string, Frame.Frame<any>> = {
    "a number of them": Frame.array(nothing, { prefix: Frame.uint32, maxItems: "unbounded" }),
    "up to an end": Frame.repeatUntil(maybe, Frame.literal("\0"), { maxItems: "unbounded" })
  }
  it.each(Object.entries(frames))("%s", (_, frame) => {
    const claim = Uint8Array.of(255, 255, 255, 255, 1)
    for (const size of [1, 5]) assert.isArray(pushed(frame, claim, size))
    for (const frames of [frame, Frame.tuple(frame, Frame.line({ maxBytes: 10 }))]) {
      assert.match(String(failureOf(Frame.decodeResult(frames, claim))), /more than 65536 items without a byte/)
    }
    const many = Array.from({ length: 70_000 }, () => [])
    assert.match(String(failureOf(Frame.encodeResult(frame, many))), /items without a byte|for the end/)
  })
  it("as many as that are read and written, and more where they are asked for", () => {
    const many: Array<readonly []> = Array.from({ length: 65_536 }, () => [])
    const number = frames["a number of them"]!
    assert.deepStrictEqual(Frame.decodeResultUnsafe(number, Frame.encodeResultUnsafe(number, many)), many)
    many.push([])
    const asked = Frame.array(nothing, { prefix: Frame.uint32, maxItems: 70_000 })
    assert.deepStrictEqual(Frame.decodeResultUnsafe(asked, Frame.encodeResultUnsafe(asked, many)), many)
  })
})

it("what a function of the program's throws is told, also where it cannot be shown", () => {
  const unprintable: ReadonlyArray<unknown> = [
    Object.create(null),
    { toString: 1, valueOf: 1 },
    Object.assign(new Error(), { message: Object.create(null) }),
    Symbol("a symbol")
  ]
  for (const thrown of unprintable) {
    const fail = (): never => {
      throw thrown
    }
    const failed = (): any => Result.fail(thrown)
    for (const frame of [
      Frame.transform(Frame.uint8, { decode: fail, encode: fail }),
      Frame.transformOrFail(Frame.uint8, { decode: failed, encode: failed }),
      Frame.gen({ maxBytes: 1 }, function* () {
        yield* Frame.uint8
        return fail()
      })
    ] as ReadonlyArray<any> as ReadonlyArray<Frame.Frame<any>>) {
      for (const one of [frame, Frame.tuple(Frame.cstring({ maxBytes: 9 }), frame)] as ReadonlyArray<
        Frame.Frame<any>
      >) {
        const read = failureOf(Frame.decodeResult(one, Uint8Array.of(0, 1).subarray(one === frame ? 1 : 0)))
        assert.strictEqual(read?._tag, "MalformedFrame")
        assert.isString(read!.message)
        assert.strictEqual(failureOf(Frame.encodeResult(one, one === frame ? 1 : ["", 1]))?._tag, "EncodeFailed")
      }
    }
  }
})

describe("a decoder that leaves the cursor at no place, or asks for no number of bytes, is a clear defect", () => {
  const places = [0.5, Number.NaN, -1, 3, Infinity]
  const wants = [0.5, Number.NaN, Infinity]
  const decoders: ReadonlyArray<readonly [name: string, decoder: Frame.Decoder<number>]> = [
    ...places.map((place) => {
      const decode = (cursor: Frame.Cursor) => {
        if (cursor.end - cursor.at < 2) return cursor.more(1)
        cursor.at += place
        return 1
      }
      return [`the cursor ${place} further`, Frame.decoder({ maxBytes: 2, decode })] as const
    }),
    ...wants.map((want) => {
      const decode = (cursor: Frame.Cursor) => (cursor.end - cursor.at < 2 ? cursor.more(want) : cursor.take(2).length)
      return [`${want} more`, Frame.decoder({ maxBytes: 2, decode })] as const
    })
  ]
  it.effect.each(decoders)("%s", ([name, decoder]) =>
    Effect.gen(function* () {
      const gen = Frame.gen({ maxBytes: 3 }, function* () {
        yield* Frame.uint8
        return yield* decoder
      })
      for (const [frame, skip] of [
        [decoder, 1],
        [gen, 0]
      ] as const) {
        // what is all there is not asked for
        for (const size of name.endsWith("more") ? [1] : [1, 2, 3]) {
          const { feed, reader } = yield* handFed()
          const reading = yield* start(Effect.exit(reader.readFrame(frame)))
          for (let at = skip; at < 3; at += size) feed(bytes("abc").slice(at, at + size))
          const exit = yield* Fiber.join(reading)
          assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), String(exit))
          assert.match(String(Cause.squash((exit as Exit.Failure<never, never>).cause)), /^RangeError: decoder: /)
          // nothing is gone
          assert.strictEqual(text(yield* reader.read(10)), "abc".slice(skip))
        }
      }
    })
  )
})

describe("ndjson", () => {
  const lineOf = <A>(schema: Schema.Codec<A, any>, value: NoInfer<A>): string => {
    const result = Frame.encodeResult(FrameSchema.ndjson(schema, { maxBytes: 1000 }), value)
    return Result.isFailure(result) ? result.failure.reason : text(result.success).trim()
  }

  it("what its schema could not read again as JSON is not written", () => {
    const tree: Schema.Codec<any> = Schema.Struct({
      value: Schema.UndefinedOr(Schema.Number),
      inner: Schema.Array(Schema.suspend(() => tree))
    })
    const refused: ReadonlyArray<readonly [schema: Schema.Codec<any, any>, value: unknown]> = [
      [Schema.Struct({ a: Schema.UndefinedOr(Schema.Number) }), { a: undefined }],
      [Schema.Struct({ a: Schema.Unknown }), { a: undefined }],
      [Schema.Struct({ a: Schema.Any }), { a: () => 1 }],
      [Schema.Struct({ at: Schema.Date }), { at: new Date(0) }],
      [Schema.Array(Schema.Date), [new Date(0)]],
      [Schema.ReadonlyMap(Schema.String, Schema.Number), new Map([["a", 1]])],
      [Schema.Uint8Array, Uint8Array.of(1)],
      [Schema.Struct({ s: Schema.Symbol }), { s: Symbol("s") }],
      [Schema.Union([Schema.String, Schema.Struct({ a: Schema.Void })]), { a: undefined }],
      [tree, { value: 1, inner: [{ value: undefined, inner: [] }] }]
    ]
    for (const [schema, value] of refused)
      assert.match(lineOf(schema, value), /^is another value as JSON: |^has no JSON/)
  })

  it("what may be left out may be undefined, and what its schema makes JSON of is written", () => {
    assert.strictEqual(lineOf(Schema.Struct({ a: Schema.optional(Schema.Number) }), { a: undefined }), "{}")
    assert.strictEqual(lineOf(Schema.Struct({ a: Schema.optionalKey(Schema.Unknown) }), { a: undefined }), "{}")
    assert.strictEqual(lineOf(Schema.Struct({ a: Schema.Unknown }), { a: { b: undefined } }), '{"a":{}}')
    assert.strictEqual(lineOf(Schema.Record(Schema.String, Schema.Unknown), { a: undefined }), "{}")
    assert.strictEqual(lineOf(Schema.Unknown, { a: undefined, at: new Date(0) }), '{"at":"1970-01-01T00:00:00.000Z"}')
    assert.strictEqual(
      lineOf(Schema.Struct({ at: Schema.DateFromString }), { at: new Date(0) }),
      '{"at":"1970-01-01T00:00:00.000Z"}'
    )
    for (const value of ["\ud800", JSON.parse('{"__proto__":{"a":1}}'), [[], {}]]) {
      const frame = FrameSchema.ndjson(Schema.Unknown, { maxBytes: 1000 })
      assert.deepStrictEqual(Frame.decodeResultUnsafe(frame, Frame.encodeResultUnsafe(frame, value)), value)
    }
  })

  it("what its schema refuses is told in few words, however long a key of the peer's is", () => {
    const frame = FrameSchema.ndjson(Schema.Record(Schema.String, Schema.Number), { maxBytes: 2_000_000 })
    const line = bytes(`{"${"key".repeat(500_000)}":"value"}\n`)
    const failure = failureOf(Frame.decodeResult(frame, line)) as StreamError.MalformedFrame
    assert.match(failure.reason, /^Expected number at \["key.*…$/)
    assert.isAtMost(failure.reason.length, 301)
    const value = { ["key".repeat(500_000)]: "value" } as never
    assert.isAtMost(failureOf(Frame.encodeResult(frame, value))!.reason.length, 350)
  })
})
