/** The laws of frames as a suite: they hold for what is here, and each refuses a decoder that breaks it. */
import { assert, describe, it } from "@effect/vitest"
import { Frame } from "effect-byte-streams"
import * as FrameLaws from "effect-byte-streams/testing/FrameLaws"
import { Effect, Exit } from "effect"
import * as fc from "fast-check"
import { bytes } from "../support/bytes.ts"
import { constructors, nested, type Sample, samples } from "../support/frames.ts"
import { forAll } from "../support/property.ts"

/** The laws that a subject breaks. */
const broken = <A>(subject: FrameLaws.Subject<A>) =>
  Effect.map(
    Effect.forEach(FrameLaws.all, (law) =>
      Effect.match(law.check(subject), { onFailure: (violation) => [violation], onSuccess: () => [] })
    ),
    (violations) => violations.flat()
  )

/** The subject breaks this law, so and so, and no other but those that it cannot help breaking. */
const breaks = <A>(name: string, found: RegExp, subject: FrameLaws.Subject<A>, also: ReadonlyArray<string> = []) =>
  Effect.gen(function* () {
    const violations = yield* broken(subject)
    assert.deepStrictEqual(
      violations.map(({ law }) => law),
      [name, ...also],
      violations.map(({ message }) => message).join("\n\n")
    )
    assert.match(violations[0]!.found, found)
  })

const holdsFor = <A>(subject: FrameLaws.Subject<A>) =>
  Effect.forEach(FrameLaws.all, (law) => law.check(subject), { discard: true })

const sampled = (sample: Sample, count: number): FrameLaws.Subject<any> => ({
  frame: sample.frame,
  values: fc.sample(sample.values, { numRuns: count, seed: 1 })
})

describe("frames that are no good", () => {
  /** A byte that says how long the text is, and the text. */
  const text = (cursor: Frame.Cursor, size: number): string =>
    Array.from(cursor.take(size), (byte) => String.fromCharCode(byte)).join("")
  const knownText = ["a", "bcd", "e".repeat(200)].map((value): [string, Uint8Array] => {
    const all = new Uint8Array(1 + value.length)
    all[0] = value.length
    all.set(bytes(value), 1)
    return [value, all]
  })
  const decoder = (decode: (cursor: Frame.Cursor) => string | Frame.Stop, maxBytes: number | "unbounded" = 256) =>
    Frame.decoder<string>({ maxBytes, decode })

  const sound = (cursor: Frame.Cursor): string | Frame.Stop => {
    if (cursor.at === cursor.end) return cursor.more(1)
    const size = cursor.bytes[cursor.at]!
    const left = cursor.end - cursor.at - 1
    if (left < size) return cursor.more(size - left)
    cursor.at++
    return text(cursor, size)
  }

  it.effect("none, if nothing is wrong", () =>
    Effect.map(broken({ frame: decoder(sound), known: knownText }), (violations) =>
      assert.deepStrictEqual(violations, [])
    )
  )

  it.effect("one operation: one that remembers the length of a message nobody waits for any more", () => {
    let size: number | undefined
    const frame = decoder((cursor) => {
      if (cursor.at === cursor.end) return cursor.more(1)
      size ??= cursor.bytes[cursor.at]!
      const left = cursor.end - cursor.at - 1
      if (left < size) return cursor.more(size - left)
      cursor.at++
      const value = text(cursor, size)
      size = undefined
      return value
    })
    return breaks(
      "one operation",
      /interrupted behind 1 of 2 bytes, skipped: message 1 behind it/,
      { frame, known: knownText },
      // a stream that ends inside a message is abandoned as well
      ["after a fault"]
    )
  })

  it.effect("linear: one that begins anew with each byte", () =>
    breaks("linear", /message 2, of 201 bytes: \d+ steps in pieces of 1/, {
      frame: decoder((cursor) => {
        const { at } = cursor
        if (at === cursor.end || cursor.end - at - 1 < cursor.bytes[at]!) return cursor.more(1)
        return sound(cursor)
      }),
      known: knownText
    })
  )

  it.effect("bounded: one that makes room for what is claimed", () => {
    const kept: Array<Uint8Array> = []
    const frame = Frame.decoder<Uint8Array>({
      maxBytes: 1000,
      decode: (cursor) => {
        const left = cursor.end - cursor.at
        if (left < 4) return cursor.more(4 - left)
        const size = new DataView(cursor.bytes.buffer, cursor.bytes.byteOffset + cursor.at, 4).getUint32(0) % 2 ** 28
        kept.push(new Uint8Array(size))
        if (left - 4 < size) return cursor.more(size - left + 4)
        cursor.at += 4
        return cursor.take(size).slice()
      }
    })
    return breaks("bounded", /bytes were allocated, its bound is 1000/, {
      frame,
      known: [1, 2].map(
        (size) => [new Uint8Array(size), Uint8Array.of(0, 0, 0, size, ...new Uint8Array(size))] as const
      )
    })
  })

  it.effect("bounded: one that has no bound", () =>
    breaks("bounded", /maxBytes is not finite/, { frame: decoder(sound, "unbounded"), known: knownText })
  )

  it.effect("there and back: one that writes what it cannot read", () =>
    breaks("there and back", /^"c;d", written \(63 3b 64 3b\): /, {
      frame: Frame.make({
        decoder: Frame.transform(Frame.delimited(";", { maxBytes: 100 }), {
          decode: (bytes) => new TextDecoder().decode(bytes),
          encode: bytes
        }),
        encoder: Frame.encoder<string>({ encode: (sink, value) => sink.text(`${value};`) })
      }),
      values: ["a", "bb", "c;d"]
    })
  )

  it.effect("there and back: one that writes another order of bytes than it reads", () =>
    breaks("there and back", /^513, written \(01 02\) is read as 258/, {
      frame: Frame.make({ decoder: Frame.uint16, encoder: Frame.uint16LE }),
      values: [0, 257, 513]
    })
  )

  it.effect("no byte lost: one that takes a line feed behind it, if there is one", () =>
    breaks("no byte lost", /^behind message 0: differs from byte 0 on/, {
      frame: decoder((cursor) => {
        const value = sound(cursor)
        if (typeof value === "string" && cursor.at < cursor.end && cursor.bytes[cursor.at] === 10) cursor.at++
        return value
      }),
      known: knownText.slice(0, 2)
    })
  )

  it.effect("after a fault: one that throws", () =>
    breaks("after a fault", /died: RangeError: no such letter/, {
      frame: decoder((cursor) => {
        const value = sound(cursor)
        if (typeof value === "string" && /[^a-z]/.test(value)) throw new RangeError("no such letter")
        return value
      }),
      known: knownText
    })
  )

  it.effect("after a fault: one that takes what it must refuse", () =>
    breaks("after a fault", /^ff, which is no message: read 255$/, {
      frame: Frame.uint8,
      values: [1, 2],
      malformed: [Uint8Array.of(255)]
    })
  )
})

describe("every constructor keeps the laws", () => {
  it.effect.each(constructors.map((sample) => [sample.name, sample] as const))("%s", ([, sample]) =>
    holdsFor(sampled(sample, 2))
  )
  it.effect("what refers to itself", () =>
    holdsFor({
      frame: nested,
      values: [1, "text", [], [1, ["two", [3, []]]], Array.from({ length: 60 }, (_, i) => [i])]
    })
  )
})

it.effect(
  "random compositions keep the laws",
  () =>
    forAll(samples, ({ sample, values }) => holdsFor({ frame: sample.frame, values }), {
      numRuns: 30,
      timeout: 20_000
    }),
  120_000
)

describe("suites", () => {
  const subject: FrameLaws.Subject<number> = { frame: Frame.uint16, values: [1, 65535] }

  it("every law has a name of its own and a sentence", () => {
    assert.strictEqual(new Set(FrameLaws.all.map(({ name }) => name)).size, 6)
    for (const { statement } of FrameLaws.all) assert.match(statement, /^[A-Z].*[.]$/s)
  })

  it("register one test a law, but for those that do not apply", async () => {
    const registered = new Map<string, () => Promise<void>>()
    FrameLaws.suite((name, run) => registered.set(name, run), subject, { except: { linear: "for this test" } })
    assert.deepStrictEqual(
      [...registered.keys()],
      FrameLaws.all.map(({ name }) => name).filter((name) => name !== "linear")
    )
    for (const run of registered.values()) await run()
  })

  it("an exception for a law that does not exist is a mistake", () => {
    assert.throws(() => FrameLaws.suite(() => {}, subject, { except: { gravity: "" } }), 'there is no law "gravity"')
  })

  it.effect("without a message there is nothing to check", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(FrameLaws.all[0]!.check({ frame: Frame.uint8 }))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "values or known must have at least one message")
    })
  )
})
