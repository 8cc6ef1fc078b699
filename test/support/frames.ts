/** Frames and their values, for laws that hold for all: every constructor by itself, and random compositions of them. */
import * as Frame from "../../src/Frame.ts"
import * as FrameSchema from "../../src/FrameSchema.ts"
import { Option, Result, Schema } from "effect"
import * as fc from "fast-check"

/** A frame, values that it can write, and what it is. */
export interface Sample {
  readonly name: string
  readonly frame: Frame.Frame<any>
  readonly values: fc.Arbitrary<any>
}

const integers = (bits: number, signed: boolean): fc.Arbitrary<number> =>
  signed
    ? fc.oneof(
        fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 }),
        fc.constantFrom(0, -1, -(2 ** (bits - 1)))
      )
    : fc.oneof(fc.integer({ min: 0, max: Math.min(2 ** 31 - 1, 2 ** bits - 1) }), fc.constantFrom(0, 2 ** bits - 1))

const safe = fc.oneof(
  fc.maxSafeNat(),
  fc.nat({ max: 300 }),
  fc.constantFrom(0, 127, 128, 16383, 16384, 2 ** 30, 2 ** 53 - 1)
)
const unsigned64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 127n, 128n, 2n ** 64n - 1n)
)
const signed64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const someBytes = (maxLength = 40) => fc.uint8Array({ maxLength })
const text = (maxLength = 20) => fc.string({ unit: fc.constantFrom("a", "ß", "€", "😀", " ", "0", "\r"), maxLength })

const numbers: ReadonlyArray<Sample> = [
  ...([8, 16, 24, 32] as const).flatMap((bits) =>
    (["uint", "int"] as const).flatMap((kind) =>
      (bits === 8 ? ([""] as const) : (["", "LE"] as const)).map((order): Sample => {
        const name = `${kind}${bits}${order}`
        return { name, frame: (Frame as any)[name], values: integers(bits, kind === "int") }
      })
    )
  ),
  { name: "uint64", frame: Frame.uint64, values: unsigned64 },
  { name: "uint64LE", frame: Frame.uint64LE, values: unsigned64 },
  { name: "int64", frame: Frame.int64, values: signed64 },
  { name: "int64LE", frame: Frame.int64LE, values: signed64 },
  { name: "uint64Number", frame: Frame.uint64Number, values: safe },
  { name: "uint64NumberLE", frame: Frame.uint64NumberLE, values: safe },
  { name: "float32", frame: Frame.float32, values: fc.float() },
  { name: "float32LE", frame: Frame.float32LE, values: fc.float() },
  { name: "float64", frame: Frame.float64, values: fc.double() },
  { name: "float64LE", frame: Frame.float64LE, values: fc.double() },
  {
    name: "bits",
    frame: Frame.bits({ a: 3, b: 13, c: 1, d: 40, e: 7 }),
    values: fc.record({
      a: fc.nat(7),
      b: fc.nat(8191),
      c: fc.nat(1),
      d: fc.maxSafeNat().map((value) => value % 2 ** 40),
      e: fc.nat(127)
    })
  },
  { name: "varint", frame: Frame.varint, values: safe },
  { name: "varint64", frame: Frame.varint64, values: unsigned64 },
  { name: "zigzag", frame: Frame.zigzag, values: fc.maxSafeInteger().map((value) => Math.floor(value / 2)) },
  { name: "zigzag64", frame: Frame.zigzag64, values: signed64 },
  { name: "quicVarint", frame: Frame.quicVarint, values: safe },
  { name: "quicVarint64", frame: Frame.quicVarint64, values: fc.bigInt({ min: 0n, max: 2n ** 62n - 1n }) },
  { name: "integerText", frame: Frame.integerText({ end: "\r\n", signed: true }), values: fc.maxSafeInteger() },
  { name: "integerText, radix 16", frame: Frame.integerText({ end: ";", radix: 16 }), values: safe }
]

const letters = fc.string({ unit: fc.constantFrom("a", "ß", "€", "😀", " "), maxLength: 20 })

const leaves: ReadonlyArray<Sample> = [
  ...numbers,
  { name: "bytes", frame: Frame.bytes(5), values: fc.uint8Array({ minLength: 5, maxLength: 5 }) },
  { name: "utf8", frame: Frame.utf8(4), values: fc.constantFrom("abcd", "ßß", "😀", "a€") },
  { name: "cstring", frame: Frame.cstring({ maxBytes: 80 }), values: text() },
  { name: "literal", frame: Frame.literal("GIT"), values: fc.constant(undefined) },
  { name: "succeed", frame: Frame.tuple(Frame.succeed(7), Frame.uint8), values: fc.nat(255).map((n) => [7, n]) },
  { name: "line, lf", frame: Frame.line({ maxBytes: 80 }), values: text() },
  { name: "line, crlf", frame: Frame.line({ maxBytes: 80, end: "crlf" }), values: text() },
  { name: "line, either", frame: Frame.line({ maxBytes: 80, end: "either" }), values: letters },
  {
    name: "delimited",
    frame: Frame.delimited(["--", ";"], { maxBytes: 40 }),
    values: someBytes().map((bytes) => bytes.filter((byte) => byte !== 45 && byte !== 59))
  },
  { name: "lengthPrefixed", frame: Frame.lengthPrefixed(Frame.uint16, { maxBytes: 100 }), values: someBytes() },
  {
    name: "lengthPrefixed, all of it, adjusted, varint, text",
    frame: Frame.lengthPrefixed(Frame.varint, { maxBytes: 400, covers: "all", adjust: -3 }, Frame.utf8Rest),
    values: text(70)
  },
  {
    name: "lengthPrefixed by a bigint",
    frame: Frame.lengthPrefixed(Frame.uint64LE, { maxBytes: 100 }, Frame.utf8Rest),
    values: text()
  },
  { name: "netstring", frame: Frame.netstring({ maxBytes: 100 }), values: someBytes() },
  { name: "contentLength", frame: Frame.contentLength({ maxBytes: 100 }, Frame.utf8Rest), values: text() },
  {
    name: "ndjson",
    frame: FrameSchema.ndjson(Schema.Struct({ id: Schema.Number, text: Schema.String }), { maxBytes: 300 }),
    values: fc.record({ id: fc.integer(), text: text() })
  },
  {
    name: "ndjson of anything",
    frame: FrameSchema.ndjson(Schema.Unknown, { maxBytes: 300 }),
    values: fc.record({ id: fc.integer(), text: text() })
  },
  {
    name: "schema",
    frame: FrameSchema.schema(Schema.NumberFromString, Frame.cstring({ maxBytes: 40 })),
    values: fc.integer()
  }
]

/** Every constructor by itself. */
export const constructors: ReadonlyArray<Sample> = [
  ...leaves,
  {
    name: "repeatUntil",
    frame: Frame.repeatUntil(Frame.line({ maxBytes: 80 }), Frame.literal("\n"), { maxItems: 10 }),
    values: fc.array(
      text().filter((line) => line !== ""),
      { maxLength: 10 }
    )
  },
  {
    name: "gen",
    frame: Frame.make({
      decoder: Frame.gen({ maxBytes: 300 }, function* () {
        const size = yield* Frame.uint8
        const all: Array<number> = []
        for (let i = 0; i < size; i++) all.push(yield* Frame.uint16)
        return all
      }),
      encoder: Frame.encoder<ReadonlyArray<number>>({
        encode: (sink, values) => {
          let at = sink.reserve(1 + 2 * values.length)
          sink.bytes[at++] = values.length
          for (const value of values) {
            sink.bytes[at++] = value >> 8
            sink.bytes[at++] = value & 255
          }
        }
      })
    }),
    values: fc.array(fc.nat(65535), { maxLength: 20 })
  },
  {
    name: "decoder and encoder",
    frame: Frame.make({
      decoder: Frame.decoder<string>({
        maxBytes: 20,
        decode: (cursor) => {
          if (cursor.at === cursor.end) return cursor.more(1)
          const size = cursor.bytes[cursor.at]! & 15
          const left = cursor.end - cursor.at - 1
          if (left < size) return cursor.more(size - left)
          cursor.at++
          return Array.from(cursor.take(size), (byte) => String.fromCharCode(byte)).join("")
        }
      }),
      encoder: Frame.encoder<string>({
        encode: (sink, value) => {
          if (value.length > 15) throw Frame.invalid("too long")
          const at = sink.reserve(1)
          sink.bytes[at] = value.length
          sink.text(value)
        }
      })
    }),
    values: fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 15 })
  }
]

/** JSON of a kind: what refers to itself. */
export const nested: Frame.Frame<any> = Frame.suspend(
  () =>
    Frame.union(
      Frame.uint8,
      {
        0: Frame.transform(Frame.varint, { decode: (n) => n as unknown, encode: (n) => n as number }),
        1: Frame.lengthPrefixed(Frame.varint, { maxBytes: 1000 }, Frame.utf8Rest) as Frame.Frame<any>,
        2: Frame.array(nested, { prefix: Frame.varint, maxItems: 1_000_000 }) as Frame.Frame<any>
      },
      { tagOf: (value: unknown) => (typeof value === "number" ? 0 : typeof value === "string" ? 1 : 2) }
    ),
  { maxDepth: 100 }
)

const nestedValues: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.nat(100_000),
    text(10),
    fc.array(tie("value"), { maxLength: 4 })
  )
})).value

/** As `nested`, each behind its length. */
const nestedBodies: Frame.Frame<any> = Frame.suspend(
  () =>
    Frame.lengthPrefixed(
      Frame.varint,
      { maxBytes: 100_000 },
      Frame.union(
        Frame.uint8,
        {
          0: Frame.transform(Frame.varint, { decode: (n) => n as unknown, encode: (n) => n as number }),
          1: Frame.utf8Rest as Frame.Frame<any>,
          2: Frame.array(nestedBodies, { prefix: Frame.varint, maxItems: 1_000_000 }) as Frame.Frame<any>
        },
        { tagOf: (value: unknown) => (typeof value === "number" ? 0 : typeof value === "string" ? 1 : 2) }
      )
    ),
  { maxDepth: 100 }
)

/** What ends a run of items; one is looked for further on than it may lie. */
const ends = [
  Frame.literal("\n"),
  Frame.literal(Uint8Array.of(0, 255)),
  Frame.transform(Frame.cstring({ maxBytes: 5 }), { decode: () => {}, encode: () => "" })
]

/** Random compositions of all of them. */
const composed = (depth: number): fc.Arbitrary<Sample> => {
  const leaf = fc.constantFrom(...constructors)
  if (depth === 0) return leaf
  const inner = composed(depth - 1)
  return fc.oneof(
    leaf,
    fc.constant<Sample>({ name: "nested", frame: nested, values: nestedValues }),
    fc.constant<Sample>({ name: "nested bodies", frame: nestedBodies, values: nestedValues }),
    inner.chain((part) =>
      fc
        .tuple(fc.array(part.values, { minLength: 1, maxLength: 3 }), fc.integer({ min: -9, max: 5 }))
        .map(([values, more]): Sample => {
          const sizes = values.map((value) => Frame.encodeResultUnsafe(part.frame, value).length)
          const limit = Math.max(Math.min(...sizes), Math.max(...sizes) + more)
          return {
            name: `limited(${part.name}, ${limit})`,
            frame: Frame.limited(part.frame, limit),
            values: fc.constantFrom(...values.filter((_, i) => sizes[i]! <= limit))
          }
        })
    ),
    fc.tuple(inner, fc.constantFrom(...ends)).map(([part, end]): Sample => {
      const frame = Frame.repeatUntil(part.frame, end, { maxItems: 3 })
      return {
        name: `repeatUntil(${part.name})`,
        frame,
        values: fc
          .array(part.values, { maxLength: 3 })
          // what would be taken for the end is not written
          .map((items) => (Result.isSuccess(Frame.encodeResult(frame, items)) ? items : []))
      }
    }),
    fc.array(inner, { minLength: 1, maxLength: 4 }).chain((parts) =>
      fc.boolean().map((compile): Sample => {
        const names = ["alpha", "__proto__", 'with "quotes"', "delta"].slice(0, parts.length)
        const fields = Object.fromEntries(parts.map((part, i) => [`${i === 1 ? "constructor" : names[i]}`, part.frame]))
        const keys = Object.keys(fields)
        return {
          name: `struct(${parts.map((part) => part.name).join(", ")})`,
          frame: Frame.struct(fields, { compile }),
          values: fc.tuple(...parts.map((part) => part.values)).map((values) => {
            const value: Record<string, unknown> = {}
            for (let i = 0; i < keys.length; i++) if (values[i] !== undefined) value[keys[i]!] = values[i]
            return value
          })
        }
      })
    ),
    fc.array(inner, { minLength: 1, maxLength: 3 }).map((parts): Sample => ({
      name: `tuple(${parts.map((part) => part.name).join(", ")})`,
      frame: Frame.tuple(...parts.map((part) => part.frame)),
      values: fc.tuple(...parts.map((part) => part.values))
    })),
    inner.map((part): Sample => ({
      name: `array(${part.name})`,
      frame: Frame.array(part.frame, { prefix: Frame.uint8, maxItems: 5 }),
      values: fc.array(part.values, { maxLength: 5 })
    })),
    inner.map((part): Sample => ({
      name: `array of 3(${part.name})`,
      frame: Frame.array(part.frame, { count: 3 }),
      values: fc.array(part.values, { minLength: 3, maxLength: 3 })
    })),
    inner.map((part): Sample => ({
      name: `option(${part.name})`,
      frame: Frame.option(
        Frame.transform(Frame.uint8, { decode: (byte) => byte !== 0, encode: (is) => (is ? 1 : 0) }),
        part.frame
      ),
      values: fc
        .option(part.values, { nil: none })
        .map((value) => (value === none ? Option.none() : Option.some(value)))
    })),
    fc.tuple(inner, inner).map(([one, other]): Sample => ({
      name: `union(${one.name}, ${other.name})`,
      frame: Frame.union(
        Frame.varint,
        {
          1: Frame.transform(one.frame, { decode: (value) => ({ is: 1, value }), encode: ({ value }) => value }),
          300: Frame.transform(other.frame, { decode: (value) => ({ is: 300, value }), encode: ({ value }) => value })
        },
        { tagOf: ({ is }) => is }
      ),
      values: fc.oneof(
        one.values.map((value) => ({ is: 1, value })),
        other.values.map((value) => ({ is: 300, value }))
      )
    })),
    inner.map((part): Sample => ({
      name: `lengthPrefixed(${part.name})`,
      frame: Frame.lengthPrefixed(Frame.uint24, { maxBytes: 1_000_000 }, part.frame),
      values: part.values
    })),
    inner.map((part): Sample => ({
      name: `refine(named(${part.name}))`,
      frame: part.frame.pipe(
        Frame.named("Part"),
        Frame.transformOrFail({
          decode: (value) => Result.succeed([value]),
          encode: ([value]) => Result.succeed(value)
        }),
        Frame.refine(([_]) => true)
      ),
      values: part.values.map((value) => [value])
    })),
    inner.map((part): Sample => ({
      name: `gen(${part.name})`,
      frame: Frame.make({
        decoder: Frame.gen({ maxBytes: 1_000_000 }, function* () {
          const before = yield* Frame.uint8
          const value: unknown = yield* part.frame
          return { before, value }
        }),
        encoder: Frame.struct({ before: Frame.uint8, value: part.frame }) as Frame.Encoder<any>
      }),
      values: fc.record({ before: fc.nat(255), value: part.values })
    }))
  )
}

const none = Symbol("none")

/** A frame of any composition, and values of it. */
export const samples: fc.Arbitrary<{ readonly sample: Sample; readonly values: ReadonlyArray<unknown> }> = composed(
  3
).chain((sample) => fc.array(sample.values, { minLength: 1, maxLength: 3 }).map((values) => ({ sample, values })))

/** One frame and values of it. */
export const valuesOf = (sample: Sample): fc.Arbitrary<ReadonlyArray<unknown>> =>
  fc.array(sample.values, { minLength: 1, maxLength: 4 })
