/** What the rules of `Wiretap` mask, however the bytes are cut. */
import { assert, describe, it } from "@effect/vitest"
import { type Observer, Wiretap } from "effect-byte-streams"
import { Effect, Redacted } from "effect"
import * as fc from "fast-check"
import { inspect } from "node:util"
import { apply, Masker, type Rule } from "../../src/internal/observe/masks.ts"
import { bytes, text } from "../support/bytes.ts"
import { chunkings } from "../support/chunkings.ts"
import { forAll } from "../support/property.ts"

/** What is seen of pieces, one after the other. */
const seen = (
  rules: ReadonlyArray<Wiretap.Mask>,
  pieces: ReadonlyArray<string>,
  direction: Observer.Direction = "out"
): ReadonlyArray<string> => {
  const masker = new Masker(rules as ReadonlyArray<Rule>, direction)
  return pieces.map((piece) => text(apply(bytes(piece), masker.next(bytes(piece)))))
}

const seenWhole = (rules: ReadonlyArray<Wiretap.Mask>, piece: string): string => seen(rules, [piece]).join("")

/** Few letters, so that secrets, prefixes and ends occur, overlap and repeat. */
const letters = (constraints: { readonly minLength?: number; readonly maxLength?: number }) =>
  fc.string({ unit: fc.constantFrom("a", "b", "\r", "\n"), ...constraints })

const pattern = letters({ minLength: 1, maxLength: 4 })

describe("maskBytes", () => {
  it("masks every occurrence, also those that overlap", () => {
    const rule = Wiretap.maskBytes("aba")
    assert.strictEqual(seenWhole([rule], "xabababax, aba."), "x*******x, ***.")
    assert.strictEqual(seenWhole([rule], "ab"), "**")
    assert.strictEqual(seenWhole([rule], "ab."), "ab.")
  })

  it("masks the end of a piece that may be the beginning of the secret", () => {
    const rule = Wiretap.maskBytes("secret")
    assert.deepStrictEqual(seen([rule], ["the sec", "ret, and"]), ["the ***", "***, and"])
    // nobody can know yet that it is none
    assert.deepStrictEqual(seen([rule], ["the sec", "ond"]), ["the ***", "ond"])
    assert.deepStrictEqual(seen([rule], ["s", "e", "cre", "", "t."]), ["*", "*", "***", "", "*."])
  })

  it("takes text, bytes, and both of them redacted", () => {
    for (const secret of ["é!", bytes("é!"), Redacted.make("é!"), Redacted.make(bytes("é!"))]) {
      assert.strictEqual(seenWhole([Wiretap.maskBytes(secret)], "café!?"), "caf***?")
    }
  })

  it("keeps its own copy of the secret", () => {
    const secret = bytes("secret")
    const rule = Wiretap.maskBytes(secret)
    secret.fill(0)
    assert.strictEqual(seenWhole([rule], "a secret."), "a ******.")
  })

  it.live("never shows the secret, and masks at least what is masked where nothing is cut", () =>
    forAll(
      fc
        .record({ secret: pattern, before: letters({ maxLength: 12 }), after: letters({ maxLength: 12 }) })
        .map(({ after, before, secret }) => ({ secret, all: before + secret + after }))
        .chain(({ all, secret }) => fc.record({ secret: fc.constant(secret), pieces: chunkings(all) })),
      ({ pieces, secret }) =>
        Effect.sync(() => {
          const all = pieces.join("")
          const whole = seenWhole([Wiretap.maskBytes(secret)], all)
          const cut = seen([Wiretap.maskBytes(secret)], pieces).join("")
          assert.notInclude(cut, secret)
          for (let i = 0; i < all.length; i++) {
            const hidden = Array.from(secret, (_, k) => i - k).some((at) => at >= 0 && all.startsWith(secret, at))
            // what is open at the end is masked, nothing else
            const open = Array.from(secret, (_, k) => k).some(
              (k) => k > all.length - 1 - i && all.endsWith(secret.slice(0, k))
            )
            assert.strictEqual(whole[i], hidden || open ? "*" : all[i], `byte ${i} of ${JSON.stringify(all)}`)
            assert.include(whole[i] === "*" ? ["*"] : ["*", all[i]], cut[i])
          }
        }),
      { numRuns: 500 }
    )
  )

  it("holds in its direction", () => {
    const rule = Wiretap.maskBytes("secret", { direction: "in" })
    assert.deepStrictEqual(seen([rule], ["secret"], "out"), ["secret"])
    assert.deepStrictEqual(seen([rule], ["secret"], "in"), ["******"])
  })
})

describe("maskAfter", () => {
  it("masks up to the end of the line", () => {
    const rule = Wiretap.maskAfter({ prefix: "PASS " })
    assert.strictEqual(seenWhole([rule], "USER me\r\nPASS secret\r\nLIST\r\n"), "USER me\r\nPASS ******\r\nLIST\r\n")
    assert.strictEqual(seenWhole([rule], "PASS one\nPASS two\n"), "PASS ***\nPASS ***\n")
    assert.strictEqual(seenWhole([rule], "PASS \r\n"), "PASS \r\n")
    assert.strictEqual(seenWhole([rule], "PASS a\rb"), "PASS ***")
  })

  it("knows a prefix that is cut, and goes on masking over pieces, until the end, which may be cut as well", () => {
    const rule = Wiretap.maskAfter({ prefix: "PASS ", until: "\r\n" })
    assert.deepStrictEqual(seen([rule], ["PA", "SS", " sec", "ret\r", "\nLIST"]), [
      "PA",
      "SS",
      " ***",
      "****",
      "\nLIST"
    ])
    assert.deepStrictEqual(seen([rule], ["PASS ", "a\r", "b\r\nLIST"]), ["PASS ", "**", "*\r\nLIST"])
  })

  it("knows letters in either case, if it is told to", () => {
    const prefix = "authorization: basic "
    const line = "Authorization: Basic bWU6c2VjcmV0\r\n"
    assert.strictEqual(seenWhole([Wiretap.maskAfter({ prefix })], line), line)
    assert.strictEqual(
      seenWhole([Wiretap.maskAfter({ prefix, ignoreCase: true })], line),
      `Authorization: Basic ${"*".repeat(12)}\r\n`
    )
    // only letters have a case
    assert.strictEqual(seenWhole([Wiretap.maskAfter({ prefix: "[", ignoreCase: true })], "{a\n"), "{a\n")
  })

  it("ends at the first of several ends, and shows the longest of those that are there", () => {
    const rule = Wiretap.maskAfter({ prefix: "p=", until: ["&", bytes(";"), "\r\n"] })
    assert.strictEqual(seenWhole([rule], "p=a&b p=cd;e p=f\r\np=gh"), "p=*&b p=**;e p=*\r\np=**")
  })

  it("masks a number of bytes at most", () => {
    const rule = Wiretap.maskAfter({ prefix: "key", maxBytes: 3 })
    assert.deepStrictEqual(seen([rule], ["keyab", "cdkeya\nb"]), ["key**", "*dkey*\nb"])
  })

  it("masks as many bytes behind a prefix that is masked itself", () => {
    const rule = Wiretap.maskAfter({ prefix: "key", maxBytes: 4 })
    assert.strictEqual(seenWhole([rule], "keykeyabcdef"), "key*******ef")
    assert.strictEqual(seenWhole([rule], "key-keyabcdef"), "key********ef")
    assert.strictEqual(seenWhole([rule], "key--keyabcdef"), "key****y****ef")
  })

  it("masks a secret that begins with the end of the one before it", () => {
    const rule = Wiretap.maskAfter({ prefix: "\nPASS ", until: "\n" })
    assert.strictEqual(seenWhole([rule], "\nPASS a\nPASS b\n"), "\nPASS *\nPASS *\n")
  })

  it("masks the password of Redis, with and without a name, in commands that come together", () => {
    const rule = Wiretap.maskAfter({ prefix: "$4\r\nAUTH", until: "\r\n*", ignoreCase: true })
    const command = (...words: ReadonlyArray<string>) =>
      `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`
    const get = command("GET", "AUTH-count")
    for (const words of [
      ["AUTH", "sec\r\nret"],
      ["auth", "me", "sec\r\nret"],
      ["HELLO", "3", "AUTH", "me", "sec\r\nret", "SETNAME", "x"]
    ]) {
      const shown = seenWhole([rule], get + command(...words) + get)
      assert.notMatch(shown, /sec|ret/)
      assert.isTrue(shown.startsWith(`${get}*${words.length}\r\n`))
      assert.isTrue(shown.endsWith(`*\r\n${get}`))
    }
  })

  it.live("masks the same in all chunkings, but for ends that are cut, and what it masks is what it says", () =>
    forAll(
      fc
        .record({
          prefix: pattern,
          until: fc.array(pattern, { minLength: 1, maxLength: 2 }),
          maxBytes: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined })
        })
        .chain((options) =>
          fc.record({
            options: fc.constant(options),
            pieces: fc
              .array(fc.oneof(fc.constantFrom(options.prefix, ...options.until), letters({ maxLength: 4 })), {
                maxLength: 8
              })
              .chain((parts) => chunkings(parts.join("")))
          })
        ),
      ({ options, pieces }) =>
        Effect.sync(() => {
          const all = pieces.join("")
          const whole = seenWhole([Wiretap.maskAfter(options)], all)
          assert.strictEqual(whole, expected(options, all))
          const cut = seen([Wiretap.maskAfter(options)], pieces).join("")
          for (let i = 0; i < all.length; i++) {
            // an end that is cut is the only thing that is masked beside
            const inEnd = options.until.some((end) =>
              Array.from(end, (_, k) => i - k).some((at) => at >= 0 && all.startsWith(end, at))
            )
            assert.include(
              whole[i] === "*" ? ["*"] : inEnd ? ["*", all[i]] : [all[i]],
              cut[i],
              `byte ${i} of ${JSON.stringify(all)}`
            )
          }
        }),
      { numRuns: 1000 }
    )
  )

  /** What a rule masks, byte by byte. */
  const expected = (
    {
      maxBytes = Infinity,
      prefix,
      until
    }: { prefix: string; until: ReadonlyArray<string>; maxBytes: number | undefined },
    all: string
  ): string => {
    const shown = [...all]
    let from: number | undefined
    let last = 0
    for (let at = 1; at <= all.length; at++) {
      if (from !== undefined) {
        const begin = from
        const ends = until.filter((end) => all.slice(begin, at).endsWith(end)).map((end) => end.length)
        if (ends.length > 0 || at - last >= maxBytes) {
          shown.fill("*", begin, Math.max(begin, at - Math.max(0, ...ends)))
          from = undefined
        }
      }
      if (!all.slice(0, at).endsWith(prefix)) continue
      last = at
      from ??= at
    }
    return (from === undefined ? shown : shown.fill("*", from)).join("")
  }
})

describe("rules together", () => {
  it("all hold, also where they overlap", () => {
    const rules = [Wiretap.maskBytes("b c"), Wiretap.maskAfter({ prefix: "=", until: " " }), Wiretap.maskBytes("z")]
    assert.strictEqual(seenWhole(rules, "z x=ab c, z."), "* x=****, *.")
  })

  it("are not to be seen through", () => {
    for (const rule of [Wiretap.maskBytes("swordfish"), Wiretap.maskAfter({ prefix: "swordfish" })]) {
      assert.notInclude(inspect(rule, { showHidden: true, depth: 10 }), "swordfish")
      assert.notInclude(JSON.stringify(rule), "swordfish")
    }
  })

  it("that cannot be are refused with a message that does not show a secret", () => {
    const message = (make: () => unknown): string => {
      try {
        make()
      } catch (error) {
        return String(error)
      }
      return "it was not refused"
    }
    assert.deepStrictEqual(
      [
        () => Wiretap.maskBytes(""),
        () => Wiretap.maskBytes(["secret"] as never),
        () => Wiretap.maskBytes("secret", { direction: "both" as never }),
        () => Wiretap.maskAfter({ prefix: "" }),
        () => Wiretap.maskAfter({ prefix: "a", until: [] }),
        () => Wiretap.maskAfter({ prefix: "a", until: ["b", ""] }),
        () => Wiretap.maskAfter({ prefix: "a", maxBytes: 0 }),
        () => Wiretap.maskAfter({ prefix: "a", ignoreCase: 1 as never })
      ].map(message),
      [
        "TypeError: Wiretap.maskBytes: secret must be text or bytes that are not empty, got nothing",
        "TypeError: Wiretap.maskBytes: secret must be text or bytes that are not empty, got an object (Array)",
        'RangeError: Wiretap.maskBytes: direction must be one of "in", "out", got "both" (string)',
        "TypeError: Wiretap.maskAfter: prefix must be text or bytes that are not empty, got nothing",
        "TypeError: Wiretap.maskAfter: until must be text or bytes that are not empty, got [] (Array)",
        "TypeError: Wiretap.maskAfter: until must be text or bytes that are not empty, got nothing",
        "RangeError: Wiretap.maskAfter: maxBytes must be an integer above 0 bytes, got 0",
        "TypeError: Wiretap.maskAfter: ignoreCase must be true or false, got 1"
      ]
    )
  })
})
