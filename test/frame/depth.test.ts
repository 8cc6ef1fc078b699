/** What is nested deep: deeper than calls within calls, in bodies and out of them, however it is cut. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, StreamError, StreamReader } from "effect-byte-streams"
import { Effect, Result } from "effect"
import { bytes } from "../support/bytes.ts"

type Tree = number | ReadonlyArray<Tree>

/** A tree of numbers up to 99, each level of which lies in a body; at a leaf of 255 it is wrong. */
const treeOf = (maxDepth: number, inBody: (body: Frame.Frame<Tree>) => Frame.Frame<Tree>): Frame.Frame<Tree> => {
  const leaf = Frame.refine(Frame.uint8, (value) => value < 100)
  const tree: Frame.Frame<Tree> = Frame.suspend(
    () =>
      inBody(
        Frame.union(
          Frame.uint8,
          {
            0: leaf as Frame.Frame<any>,
            1: Frame.array(tree, { prefix: Frame.uint8, maxItems: 9 }) as Frame.Frame<any>
          },
          { tagOf: (value: Tree) => (typeof value === "number" ? 0 : 1) }
        )
      ),
    { maxDepth }
  )
  return tree
}

const bodies: ReadonlyArray<readonly [string, (body: Frame.Frame<Tree>) => Frame.Frame<Tree>]> = [
  ["in no body", (body) => body],
  ["behind a length", (body) => Frame.lengthPrefixed(Frame.uint32, { maxBytes: 1_000_000 }, body)],
  ["behind a varint", (body) => Frame.lengthPrefixed(Frame.varint, { maxBytes: 1_000_000 }, body)],
  ["in a netstring", (body) => Frame.netstring({ maxBytes: 1_000_000 }, body)],
  ["behind a header", (body) => Frame.contentLength({ maxBytes: 1_000_000 }, body)]
]

/** One in the other, so many times. */
const chain = (depth: number, leaf: Tree = 7): Tree => {
  let tree = leaf
  for (let i = 1; i < depth; i++) tree = [tree]
  return tree
}

/** What is pushed in pieces of so many bytes, and the errors in between. */
const pushed = (frame: Frame.Decoder<unknown>, all: Uint8Array, size: number): ReadonlyArray<unknown> => {
  const decoder = Frame.makeDecoder(frame)
  const seen: Array<unknown> = []
  const push = (piece: Uint8Array): void => {
    try {
      seen.push(...decoder.push(piece))
    } catch (error) {
      assert(error instanceof StreamError.MalformedFrame, String(error))
      seen.push({ at: error.offset, reason: error.reason })
    }
  }
  for (let at = 0; at < all.length; at += size) push(all.slice(at, at + size))
  for (let i = 0; i < 3; i++) push(new Uint8Array(0))
  return seen
}

describe.each(bodies)("%s", (how, inBody) => {
  it("siblings may be as deep as one alone", () => {
    for (const maxDepth of [252, 300, 1024]) {
      const tree = treeOf(maxDepth, inBody)
      const value: Tree = [chain(251), 1, chain(251), chain(190), chain(251)]
      const all = Frame.encodeResultUnsafe(tree, value)
      assert.deepStrictEqual(Frame.decodeResultUnsafe(tree, all), value)
      for (const size of [100, all.length]) assert.deepStrictEqual(pushed(tree, all, size), [value])
    }
  })

  it("what is wrong in the depth is told at its byte, and what comes behind it is read where its end is known", () => {
    const tree = treeOf(300, inBody)
    // a number that is written, and is wrong when it is read
    const [before, behind] = [Frame.encodeResultUnsafe(tree, 55), Frame.encodeResultUnsafe(tree, 66)]
    const bad = Frame.encodeResultUnsafe(tree, [1, chain(250, 77), chain(250, 2)])
    const place = bad.findIndex((byte, i) => byte === 77 && bad[i - 1] === 0)
    bad[place] = 200
    const all = Uint8Array.from([...before, ...bad, ...behind])
    const seen = pushed(tree, all, all.length)
    assert.deepStrictEqual(seen.slice(0, 2), [55, { at: before.length + place, reason: "is not what it must be" }])
    if (how !== "in no body") assert.strictEqual(seen[2], 66)
    for (const size of [1, 70]) assert.deepStrictEqual(pushed(tree, all, size).slice(0, 3), seen.slice(0, 3))
  })

  it("deeper than it may be is malformed", () => {
    const [deep, deeper] = [treeOf(250, inBody), treeOf(260, inBody)]
    const all = Frame.encodeResultUnsafe(deeper, [3, chain(250)])
    for (const size of [50, all.length]) {
      const [first] = pushed(deep, all, size)
      assert.include((first as { readonly reason: string }).reason, "nested more than 250 deep")
    }
  })
})

describe.each(bodies.slice(0, 2))("an end of items, %s", (_, inBody) => {
  it("may be nested deep, however it is cut", () => {
    const tree = treeOf(300, inBody)
    const lines = Frame.repeatUntil(Frame.uint8, tree as Frame.Frame<any>, { maxItems: 5 })
    const end = Frame.encodeResultUnsafe(tree, chain(250))
    const all = Uint8Array.from([200, 201, ...end, 202, ...end])
    for (const size of [1, 70, all.length]) assert.deepStrictEqual(pushed(lines, all, size), [[200, 201], [202]])
    const body = Frame.lengthPrefixed(Frame.uint16, { maxBytes: 60_000 }, lines)
    const one = Uint8Array.from([(end.length + 1) >> 8, (end.length + 1) & 255, 203, ...end])
    for (const size of [1, 70, one.length]) assert.deepStrictEqual(pushed(body, one, size), [[203]])
  })
})

describe("as deep as may be, and many frames at each level", () => {
  const flag = Frame.transform(Frame.uint8, { decode: (byte) => byte !== 0, encode: (is) => (is ? 1 : 0) })
  const level: Frame.Frame<any> = Frame.suspend(
    () =>
      Frame.lengthPrefixed(
        Frame.varint,
        { maxBytes: 1_000_000 },
        Frame.named(
          Frame.struct({
            items: Frame.array(Frame.option(flag, Frame.named(level, "Level")), { prefix: Frame.varint, maxItems: 9 })
          }),
          "Body"
        )
      ),
    { maxDepth: 1024 }
  )

  const deepest = (): Uint8Array => {
    const parts: Array<Uint8Array> = [Uint8Array.of(1, 0)]
    let size = 2
    for (let i = 1; i < 1024; i++) {
      const front = Uint8Array.from([...Frame.encodeResultUnsafe(Frame.varint, size + 2), 1, 1])
      parts.push(front)
      size += front.length
    }
    return Uint8Array.from(Buffer.concat(parts.reverse()))
  }

  it.effect("it is read, however it is cut", () =>
    Effect.gen(function* () {
      const all = deepest()
      for (const size of [7, 1000, all.length]) {
        const pieces = Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
          all.slice(i * size, (i + 1) * size)
        )
        const reader = yield* StreamReader.fromBytes(pieces)
        let value: any = yield* reader.readFrame(level)
        let depth = 1
        for (; value.items.length > 0; depth++) value = value.items[0].value
        assert.strictEqual(depth, 1024)
      }
    })
  )

  it("it is written, or is what cannot be written: a stack has an end", () => {
    const value = Frame.decodeResultUnsafe(level, deepest())
    const result = Frame.encodeResult(level, value)
    if (Result.isFailure(result)) assert.include(result.failure.message, "nested too deep to be written here")
    else assert.deepStrictEqual(result.success, deepest())
  })
})

describe("programs that yield each other", () => {
  const list: Frame.Decoder<number> = Frame.gen({ maxBytes: 100_000 }, function* () {
    const isMore = (yield* Frame.uint8) === 1
    return isMore ? 1 + (yield* list) : 0
  })
  const nested = (depth: number) => Uint8Array.from([...Array.from({ length: depth - 1 }, () => 1), 0])

  it("may be nested 1,024 deep, and deeper is malformed, however they are cut", () => {
    for (const size of [1, 300, 10_000]) {
      assert.deepStrictEqual(pushed(list, nested(1024), size), [1023])
      for (const depth of [1025, 9000]) {
        // all of what is behind it is malformed as well
        const [first] = pushed(list, nested(depth).subarray(0, 1025), size)
        assert.deepStrictEqual(first, { at: 1024, reason: "programs nested more than 1024 deep" })
      }
    }
  })

  it("a body with many in it is read", () => {
    const body = Frame.make({ decoder: list, encoder: Frame.encoder<number>({ encode: () => {} }) })
    const frame = Frame.lengthPrefixed(Frame.uint16, { maxBytes: 10_000 }, Frame.array(body, { count: 2 }))
    const all = Uint8Array.from([...[0x05, 0xdc], ...nested(1000), ...nested(500)])
    for (const size of [1, 300, 10_000]) assert.deepStrictEqual(pushed(frame, all, size), [[999, 499]])
  })
})

describe("what is longer than it may be is so, however much of it is there", () => {
  const program = Frame.gen({ maxBytes: 10 }, function* () {
    for (let i = 0; i < 20; i++) yield* Frame.uint8
    throw new Error("not reached")
  })
  const limited = Frame.limited(
    Frame.struct({ text: Frame.delimited(";", { maxBytes: 100 }), end: Frame.literal("X") }),
    10
  )
  const frames: ReadonlyArray<readonly [string, Frame.Decoder<unknown>, Uint8Array]> = [
    ["a program", program, new Uint8Array(30)],
    ["a struct", limited, bytes("aaaaaaaaaaaaaa;Y")],
    ["a part that is wrong behind the bound", limited, bytes("aaaaaaaaa;Y")]
  ]
  it.each(frames)("%s", (_, frame, all) => {
    for (const size of [1, 4, 100]) {
      const decoder = Frame.makeDecoder(frame)
      // whatever part of it is under way
      assert.throws(() => {
        for (let at = 0; at < all.length; at += size) decoder.push(all.slice(at, at + size))
      }, /(gen|struct) is longer than 10 bytes/)
    }
  })

  const head = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 9 })
  const pair = Frame.tuple(Frame.literal("AB"), Frame.cstring({ maxBytes: 9 }))
  const few = Frame.array(pair, { prefix: Frame.uint8, maxItems: 9 })
  /** Each has more to come than its bound has room for, once its first part is read; and what is there is wrong. */
  const short: ReadonlyArray<readonly [string, Frame.Decoder<unknown>, Uint8Array]> = [
    ["a tuple in it", Frame.tuple(head, pair), bytes("\u0003xxxQ")],
    ["a struct in it", Frame.struct({ head, rest: Frame.struct({ pair }) }), bytes("\u0003xxxQ")],
    ["items in it", Frame.tuple(head, Frame.array(pair, { count: 1 })), bytes("\u0003xxxQ")],
    ["a number of items in it", Frame.tuple(head, few), bytes("\u0001x\u0002Q")],
    [
      "one with a wider bound",
      Frame.tuple(head, Frame.limited(Frame.cstring({ maxBytes: 20 }), 7)),
      bytes("\u0000aaaaaaa")
    ],
    [
      "a program in it, with a wider bound",
      Frame.gen({ maxBytes: 8 }, function* () {
        return [yield* Frame.uint8, yield* Frame.bytes(9)]
      }),
      bytes("a")
    ]
  ]
  it.each(short)("it is too long although it is wrong as well, however it is cut: %s", (_, frame, all) => {
    const whole = Frame.limited(frame as Frame.Frame<unknown>, 6)
    for (const size of [1, 2, 100]) {
      const decoder = Frame.makeDecoder(whole)
      assert.throws(() => {
        for (let at = 0; at < all.length; at += size) decoder.push(all.slice(at, at + size))
      }, /(tuple|struct|gen) is longer than 6 bytes/)
    }
    const result = Frame.decodeResult(whole, all)
    assert.match(Result.isFailure(result) ? result.failure.message : "", /(tuple|struct|gen) is longer than 6 bytes/)
  })

  it("an end that begins too late tells it at once", () => {
    const decoder = Frame.makeDecoder(Frame.delimited([";", "12345"], { maxBytes: 3 }))
    assert.deepStrictEqual(decoder.push(bytes("abcd")), [])
    assert.throws(() => decoder.push(bytes(";")), /delimited is longer than 3 bytes/)
  })

  it("what is left of a body is too long, and not the body", () => {
    const frame = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 100 }, Frame.limited(Frame.utf8Rest, 3))
    const result = Frame.decodeResult(frame, bytes("\u0004abcd"))
    assert.strictEqual(Result.isFailure(result) && result.failure._tag, "LimitOverrun")
    assert.strictEqual(Frame.decodeResultUnsafe(frame, bytes("\u0003abc")), "abc")
  })
})
