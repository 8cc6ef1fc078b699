/** A transcript as a sequence diagram: what it looks like, and what never reaches a terminal. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { minDiagramWidth } from "../../src/internal/base/defaults.ts"
import { Diagram, type DiagramOptions } from "../../src/internal/command/diagram.ts"
import { printable, width, wrapped } from "../../src/internal/command/printable.ts"
import { TranscriptReader } from "../../src/internal/observe/readTranscript.ts"
import { line } from "../support/transcripts.ts"

const draw = (text: string, options?: Partial<DiagramOptions>): ReadonlyArray<string> => {
  const diagram = new Diagram({ width: 72, bytes: 64, color: false, ...options })
  const reader = new TranscriptReader()
  const items = [...reader.read(text), ...reader.end()]
  const rows = items.flatMap((item) => {
    if (item._tag === "Malformed") throw item
    return item._tag === "CutOff" ? diagram.cutOff(item) : diagram.entry(item)
  })
  return [...rows, ...diagram.end()]
}

/** What is between the lanes of rows. */
const between = (rows: ReadonlyArray<string>): ReadonlyArray<string> =>
  rows.flatMap((row) => /│ {2}(.*)│$/u.exec(row)?.[1] ?? [])

// ---------------------------------------------------------------------------
// any transcript
// ---------------------------------------------------------------------------

/** Text of all that a peer could send, controls and what changes the direction of text among it. */
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({
    unit: fc.constantFrom("a", " ", "\n", "\r", "\u{1b}", "\u{202e}", "\u{200d}", "日", "é", "👩", "\\"),
    maxLength: 200
  })
)
const id = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constant(Number.MAX_SAFE_INTEGER))
const time = fc.oneof(fc.integer({ min: 0, max: 1e6 }), fc.double({ noNaN: true, noDefaultInfinity: true }))
const base64 = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("base64"))
const direction = fc.constantFrom("in", "out")
const size = fc.nat()

const lineOf = <A extends Record<string, fc.Arbitrary<unknown>>>(fields: A) =>
  fc.record({ time, id, ...fields }).map(line)

const anyLine = fc.oneof(
  lineOf({ type: direction, text: anyText }),
  lineOf({ type: direction, base64 }),
  lineOf({ type: fc.constant("opened"), side: fc.constantFrom("client", "server"), local: anyText, remote: anyText }),
  lineOf({ type: fc.constant("opened"), tls: anyText }),
  lineOf({ type: fc.constant("upgraded"), tls: anyText }),
  lineOf({ type: fc.constantFrom("ended", "upgraded") }),
  lineOf({ type: fc.constant("timedOut"), kind: anyText }),
  lineOf({ type: fc.constant("failed"), error: anyText }),
  lineOf({
    type: fc.constant("closed"),
    outcome: fc.constantFrom("Graceful", "Aborted"),
    bytesRead: size,
    bytesWritten: size
  }),
  lineOf({ type: fc.constant("missing"), lines: size })
)
const anyTranscript = fc
  .tuple(fc.array(anyLine, { maxLength: 8 }), fc.boolean())
  .map(([lines, isCut]) => lines.join("") + (isCut ? `{"time":` : ""))
const anyWidth = fc.integer({ min: minDiagramWidth, max: 140 })

describe("any transcript", () => {
  it("no row is wider than it may be, and none has a character that controls a terminal", () => {
    fc.assert(
      fc.property(anyTranscript, anyWidth, fc.nat({ max: 100 }), (text, columns, bytes) => {
        for (const row of draw(text, { width: columns, bytes })) {
          assert.isAtMost(width(row), columns, row)
          assert.notMatch(row, /\p{C}|\p{Zl}|\p{Zp}|\p{Default_Ignorable_Code_Point}/u)
        }
      })
    )
  })

  it("colors change nothing else, and there are no other controls", () => {
    fc.assert(
      fc.property(anyTranscript, anyWidth, (text, width) => {
        const plain = draw(text, { width })
        const colored = draw(text, { width, color: true })
        assert.deepStrictEqual(
          // oxlint-disable-next-line no-control-regex
          colored.map((row) => row.replaceAll(/\u{1b}\[\d+m/gu, "")),
          plain
        )
      })
    )
  })

  it("each piece has an arrow of its direction with its size, and all of its text is there", () => {
    const pieces = fc.array(fc.record({ type: direction, text: anyText }), { maxLength: 6 })
    fc.assert(
      fc.property(pieces, anyWidth, (pieces, width) => {
        const text = [{ type: "opened" }, ...pieces].map(line).join("")
        const [, ...rows] = draw(text, { width, bytes: Infinity }).slice(0, -1)
        const starts = rows.flatMap((row, index) => (/^ +\d+ +#1 +[├│][─◄]/u.test(row) ? [index] : []))
        assert.strictEqual(starts.length, pieces.length)
        for (const [index, piece] of pieces.entries()) {
          const [head, ...body] = rows.slice(starts[index], starts[index + 1])
          const bytes = Buffer.byteLength(piece.text)
          assert.match(head!, piece.type === "in" ? /◄.* ─┤$/u : /├─ .*►│$/u)
          assert.include(head!, ` ${bytes === 1 ? "1 byte" : `${bytes} bytes`} `)
          // what pads a row cannot be told from spaces at its end
          const shown = between(body).join("").replaceAll(" ", "")
          assert.strictEqual(shown, printable(piece.text.toWellFormed()).replaceAll(" ", ""))
        }
      })
    )
  })

  it("all bytes are there in hexadecimal, in order", () => {
    fc.assert(
      fc.property(base64, anyWidth, (base64, width) => {
        const rows = draw(line({ type: "in", base64 }), { width, bytes: Infinity })
        const digits = between(rows).flatMap((row) => /^[\da-f]{4} {2}((?:[\da-f]{2} )+)/.exec(row)?.[1]!.trim() ?? [])
        assert.strictEqual(digits.join(" ").replaceAll(" ", ""), Buffer.from(base64, "base64").toString("hex"))
      })
    )
  })

  it("of each piece no more bytes are shown than asked for, and no half character", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "é", "日", "👩"), maxLength: 60 }),
        fc.nat({ max: 80 }),
        (text, most) => {
          const rows = between(draw(line({ type: "in", text }), { bytes: most }))
            .map((row) => row.trim())
            .slice(1)
          const more = /^… (\d+) bytes? more$/u.exec(rows.at(-1) ?? "")
          const shown = rows.slice(0, more === null ? undefined : -1).join("")
          assert.isAtMost(Buffer.byteLength(shown), most)
          assert.isTrue(text.startsWith(shown))
          assert.strictEqual(Buffer.byteLength(shown) + Number(more?.[1] ?? 0), Buffer.byteLength(text))
          // no more is left out than the character that would have been torn
          if (more !== null) assert.isAbove(Buffer.byteLength(shown), most - 4)
        }
      )
    )
  })
})

describe("printable text", () => {
  it("is spelled where a terminal must not get it", () => {
    assert.strictEqual(printable("a b\\\r\n\t\u{1b}[31m\u{7f}\u{9b}"), "a b\\\\\\r\\n\\t\\x1b[31m\\x7f\\x9b")
    assert.strictEqual(
      printable("\u{202e}\u{200b}\u{2028}\u{feff}\u{a0}\u{ad}"),
      "\\u{202e}\\u{200b}\\u{2028}\\u{feff}\\xa0\\xad"
    )
    assert.strictEqual(printable("\u{fe0f}\u{34f}\u{3164}\u{e0101}"), "\\u{fe0f}\\u{34f}\\u{3164}\\u{e0101}")
    assert.strictEqual(printable("grüße 日本 👩"), "grüße 日本 👩")
  })

  it("is wrapped without tearing a spelling, in rows that together are all of it", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 10, max: 40 }), (text, columns) => {
        const rows = wrapped(text, columns)
        assert.strictEqual(rows.join(""), printable(text))
        for (const row of rows) {
          assert.isAtMost(width(row), columns)
          assert.notMatch(row, /(?:^|[^\\])(?:\\\\)*\\(?:x.?|u(?:\{[\da-f]*)?)?$/u)
        }
      })
    )
  })

  it("has the width that terminals give it", () => {
    assert.deepStrictEqual(["abc", "日本", "e\u{301}", "👩", "ｶ", "한", "कि"].map(width), [3, 4, 1, 2, 1, 2, 2])
  })
})

// ---------------------------------------------------------------------------
// what it looks like
// ---------------------------------------------------------------------------

describe("what it looks like", () => {
  const mail = [
    { time: 5000, type: "opened", side: "client", local: "10.0.0.1:50001", remote: "10.0.0.2:25" },
    { time: 5001, type: "in", text: "220 ready\r\n" },
    { time: 5003.25, type: "out", text: "EHLO me\r\nAUTH ******\r\n", masked: [[14, 20]] },
    { time: 5004, id: 2, type: "out", base64: "AAECAwQFBgcICQoLDA0ODw==" },
    { time: 5005, type: "upgraded", tls: "TLSv1.3" },
    { time: 5006, id: 0, type: "missing", lines: 3 },
    { time: 5007, type: "timedOut", kind: "read" },
    { time: 5010, type: "ended" },
    { time: 5010, type: "failed", error: "the connection was lost" },
    { time: 5012, type: "closed", outcome: "Graceful", bytesRead: 11, bytesWritten: 22 }
  ]
    .map(line)
    .join("")

  it("a conversation, and a part of another one", () => {
    assert.deepStrictEqual(draw(`${mail}{"cut`, { width: 76 }), [
      "        0  #1  ┌─ client 10.0.0.1:50001 ─── opened ─── 10.0.0.2:25 server ─┐",
      "        1  #1  │◄─────────────────────────────────────────────── 11 bytes ─┤",
      "               │  220 ready\\r\\n                                            │",
      "      3.3  #1  ├─ 22 bytes, 6 masked ─────────────────────────────────────►│",
      "               │  EHLO me\\r\\n                                              │",
      "               │  AUTH ******\\r\\n                                          │",
      "        4  #2  │  … begun before this transcript                           │",
      "               ├─ 16 bytes ───────────────────────────────────────────────►│",
      "               │  0000  00 01 02 03 04 05 06 07  |........|                │",
      "               │  0008  08 09 0a 0b 0c 0d 0e 0f  |........|                │",
      "        5  #1  ╞═ upgraded, TLSv1.3 ═══════════════════════════════════════╡",
      "        6  ┄ 3 lines are missing here",
      "        7  #1  │  ! timed out: read                                        │",
      "       10  #1  │◄╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ end ╌┤",
      "       10  #1  │  ! failed: the connection was lost                        │",
      "       12  #1  └─ closed: Graceful ──────────── 22 bytes out, 11 bytes in ─┘",
      "           ┄ line 11, the last one, is cut off",
      "           ┄ still open where the transcript ends: #2"
    ])
  })

  it("words that do not fit stand between the lanes, inside of the connection", () => {
    const long = "a-very-long-name-of-a-host.example:12345"
    const rows = draw(
      [
        { type: "opened", side: "server", local: long, remote: long },
        { type: "closed", outcome: "TimedOut", bytesRead: 9007199254740991, bytesWritten: 9007199254740991 }
      ]
        .map(line)
        .join(""),
      { width: 56 }
    )
    assert.deepStrictEqual(rows, [
      "        0  #1  ┌───────────────────────────────────────┐",
      "               │  server a-very-long-name-of-a-host.ex │",
      "               │  ample:12345                          │",
      "               │  opened                               │",
      "               │  a-very-long-name-of-a-host.example:1 │",
      "               │  2345 client                          │",
      "        0  #1  │  closed: TimedOut                     │",
      "               │  9007199254740991 bytes out,          │",
      "               │  9007199254740991 bytes in            │",
      "               └───────────────────────────────────────┘"
    ])
  })

  it("connections that never end, and transcripts of nothing, are told", () => {
    assert.deepStrictEqual(
      draw([{ type: "opened" }, { type: "opened", id: 3 }].map(line).join(""))
        .at(-1)
        ?.trim(),
      "┄ still open where the transcript ends: #1, #3"
    )
    assert.deepStrictEqual(
      draw("").map((row) => row.trim()),
      ["┄ the transcript is empty"]
    )
  })

  it("times that are long take no more room", () => {
    const times = [0, 1e6 + 0.5, 1e9, 1e13, 1e300].map((time) =>
      draw(line({ time: 0, type: "ended" }) + line({ time, type: "ended" })).at(-2)!
    )
    assert.deepStrictEqual(
      times.map((row) => row.slice(0, 9).trim()),
      ["0", "1000000.5", "1000000s", "1e+13", "1e+300"]
    )
  })
})
