/**
 * The two structures every read rests on, against references too simple to be wrong: the segments against one array,
 * and the search for separators against looking at every offset, over segments filled and emptied at random.
 */
import { assert, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Segments } from "../../src/internal/read/segments.ts"
import { compile, type Match } from "../../src/internal/read/separator.ts"
import { firstMatch } from "../support/readerModel.ts"
import { letterText, separators } from "../support/readRequests.ts"

// ---------------------------------------------------------------------------
// the segments
// ---------------------------------------------------------------------------

type Step =
  | { readonly op: "push"; readonly size: number; readonly times: number }
  | { readonly op: "unshift"; readonly size: number }
  /** `part`: how much of what is there, in thousandths. */
  | { readonly op: "take" | "peek" | "skip" | "scan"; readonly part: number }
  | { readonly op: "takeAll" | "clear" }

/** Around the size up to which pieces are gathered, and small. */
const size = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 9 }) },
  { weight: 2, arbitrary: fc.constantFrom(100, 500, 1023, 1024, 1025, 3000) }
)
/** Enough small pieces, now and then, for slabs to be filled and to grow. */
const times = fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, fc.integer({ min: 1, max: 1500 }))
const part = fc.oneof(fc.integer({ min: 0, max: 1000 }), fc.constantFrom(0, 1, 2, 999, 1000))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant("push" as const), size, times }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("unshift" as const), size }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constantFrom("take", "peek", "skip", "scan"), part }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom("takeAll", "clear") }) }
)

/** Segments, and the array that they stand for. */
class Modelled {
  readonly segments = new Segments()
  private model = Buffer.alloc(0)
  private next = 0
  private readonly overwriting: boolean
  /** What was returned, and what it has to hold for ever. */
  private readonly returned: Array<{ readonly bytes: Uint8Array; readonly content: Buffer }> = []

  /** `overwriting`: whoever gets bytes changes them at once. */
  constructor(overwriting: boolean) {
    this.overwriting = overwriting
  }

  run(step: Step): void {
    const count = "part" in step ? Math.floor((step.part * this.segments.length) / 1000) : 0
    switch (step.op) {
      case "push": {
        const pieces = Array.from({ length: step.times }, () => this.fresh(step.size))
        this.model = Buffer.concat([this.model, ...pieces])
        for (const piece of pieces) this.segments.push(piece)
        break
      }
      case "unshift": {
        const bytes = this.fresh(step.size)
        this.model = Buffer.concat([bytes, this.model])
        this.segments.unshift(bytes)
        break
      }
      case "take":
        this.keep(this.segments.take(count), this.cut(count))
        break
      case "peek":
        this.keep(this.segments.peek(count), this.model.subarray(0, count))
        break
      case "skip":
        this.segments.skip(count)
        this.cut(count)
        break
      case "takeAll":
        for (const piece of this.segments.takeAll()) {
          assert.isAbove(piece.length, 0)
          this.keep(piece, this.cut(piece.length))
        }
        assert.strictEqual(this.model.length, 0)
        break
      case "clear":
        this.segments.clear()
        this.model = Buffer.alloc(0)
        break
      case "scan":
        this.scan(count)
    }
    assert.strictEqual(this.segments.length, this.model.length)
  }

  finish(): void {
    for (const { bytes, content } of this.returned) same(bytes, content)
    same(this.segments.peek(this.segments.length), this.model)
    same(this.segments.take(this.segments.length), this.model)
    assert.strictEqual(this.segments.length, 0)
  }

  private cut(count: number): Buffer {
    const cut = this.model.subarray(0, count)
    this.model = this.model.subarray(count)
    return cut
  }

  private fresh(size: number): Uint8Array {
    const bytes = new Uint8Array(size)
    for (let i = 0; i < size; i++) bytes[i] = this.next++ % 251
    return bytes
  }

  private keep(bytes: Uint8Array, content: Buffer): void {
    same(bytes, content)
    if (this.overwriting) bytes.fill(255)
    else this.returned.push({ bytes, content })
  }

  private scan(from: number): void {
    let at = from
    let visits = 0
    this.segments.scan(from, (piece, start, end, offset) => {
      assert.strictEqual(offset, at)
      assert.isTrue(start >= 0 && start <= end && end <= piece.length)
      same(piece.subarray(start, end), this.model.subarray(at, at + end - start))
      at += end - start
      visits++
      return false
    })
    assert.strictEqual(at, this.model.length)
    let stopped = 0
    this.segments.scan(from, () => {
      stopped++
      return true
    })
    assert.strictEqual(stopped, Math.min(visits, 1))
  }
}

/** Told apart byte by byte only if they differ: there are many. */
const same = (bytes: Uint8Array, expected: Buffer): void => {
  if (!expected.equals(bytes)) assert.deepStrictEqual([...bytes], [...expected])
}

const steps = fc.array(step, { maxLength: 40, size: "max" })

it("segments are one array of bytes, however they come and go", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const modelled = new Modelled(false)
      for (const step of steps) modelled.run(step)
      modelled.finish()
    }),
    { numRuns: 120 }
  )
})

it("what segments returned is the caller's: writing into it changes nothing that is still there", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const modelled = new Modelled(true)
      for (const step of steps) modelled.run(step)
      modelled.finish()
    }),
    { numRuns: 120 }
  )
})

// ---------------------------------------------------------------------------
// the search
// ---------------------------------------------------------------------------

/** Looks at every end, and there at the shortest separator first. */
const naiveMatch = (text: string, separators: ReadonlyArray<string>, from: number): Match | undefined => {
  const shortestFirst = [...separators].sort((a, b) => a.length - b.length)
  for (let end = from + 1; end <= text.length; end++) {
    for (const separator of shortestFirst) {
      const start = end - separator.length
      if (start >= from && text.slice(start, end) === separator) return { start, end }
    }
  }
  return undefined
}

/** Ways to the same content: in pieces, behind bytes that were read, in front of bytes that were put back. */
const filled = (texts: fc.Arbitrary<string>): fc.Arbitrary<{ readonly text: string; readonly segments: Segments }> =>
  fc
    .record({
      before: fc.array(letterText({ minLength: 1, maxLength: 3 }), { maxLength: 3 }),
      pieces: fc.array(texts, { maxLength: 12, size: "max" }),
      putBack: fc.option(letterText({ minLength: 1, maxLength: 3 }), { nil: "" })
    })
    .map(({ before, pieces, putBack }) => {
      const segments = new Segments()
      for (const piece of [...before, ...pieces]) if (piece !== "") segments.push(Buffer.from(piece))
      segments.skip(before.join("").length)
      if (putBack !== "") segments.unshift(Buffer.from(putBack))
      return { text: putBack + pieces.join(""), segments }
    })

const pieces = fc.oneof(
  { weight: 9, arbitrary: letterText({ maxLength: 6 }) },
  // too large to be gathered, so that separators are cut between pieces that stay apart
  { weight: 1, arbitrary: letterText({ minLength: 1, maxLength: 4 }).map((unit) => unit.repeat(1100)) }
)

it("rank 18: the match that ends first, the shortest of those, from any offset over any pieces", () => {
  fc.assert(
    fc.property(filled(pieces), separators, fc.nat(), ({ text, segments }, separators, offset) => {
      const from = text.length === 0 ? 0 : offset % (Math.min(text.length, 60) + 1)
      const expected = naiveMatch(text, separators, from)
      assert.deepStrictEqual(compile("find", separators).find(segments, from), expected)
      // the reference of the reader's model
      assert.deepStrictEqual(firstMatch(text, separators, from), expected)
    }),
    { numRuns: 1200 }
  )
})

it("row 2.13: a search that goes on where it stopped, as pieces arrive, finds what a search of the whole finds", () => {
  fc.assert(
    fc.property(
      fc.array(letterText({ maxLength: 4 }), { maxLength: 20, size: "max" }),
      separators,
      (pieces, separators) => {
        const separator = compile("find", separators)
        const segments = new Segments()
        let text = ""
        let searched = 0
        for (const piece of pieces) {
          if (piece !== "") segments.push(Buffer.from(piece))
          text += piece
          const expected = naiveMatch(text, separators, 0)
          assert.deepStrictEqual(separator.find(segments, searched), expected)
          if (expected !== undefined) return
          searched = Math.max(0, text.length + 1 - separator.longest)
        }
      }
    ),
    { numRuns: 600 }
  )
})

it("one separator is found alike alone, in an array, and as bytes", () => {
  fc.assert(
    fc.property(filled(pieces), fc.constantFrom("a", "ab", "aab", "\n"), ({ segments }, separator) => {
      const found = compile("find", separator).find(segments, 0)
      assert.deepStrictEqual(compile("find", [separator]).find(segments, 0), found)
      assert.deepStrictEqual(compile("find", Buffer.from(separator)).find(segments, 0), found)
      assert.deepStrictEqual(compile("find", [separator, separator]).find(segments, 0), found)
    }),
    { numRuns: 300 }
  )
})
