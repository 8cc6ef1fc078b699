/** Reading what was recorded: any pieces of text, and what is told of lines that are none. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { readAll, TranscriptReader } from "../../src/internal/observe/readTranscript.ts"
import { bytes } from "../support/bytes.ts"
import { dialogs, line, transcript } from "../support/transcripts.ts"

const inPieces = (text: string, cuts: ReadonlyArray<number>) => {
  const reader = new TranscriptReader()
  const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length]
  const pieces = at.slice(1).map((end, index) => text.slice(at[index], end))
  return [...pieces.flatMap((piece) => [...reader.read(piece)]), ...reader.end()]
}

const only = (text: string) => {
  const [first] = inPieces(text, [])
  assert.isDefined(first)
  return first!
}

const problem = (text: string): string => {
  const first = only(text)
  assert.strictEqual(first._tag, "Malformed")
  return first._tag === "Malformed" ? first.message : ""
}

describe("reading a transcript", () => {
  it("the same lines, whatever the pieces of text", () => {
    fc.assert(
      fc.property(dialogs, fc.array(fc.nat(), { maxLength: 8 }), (dialog, cuts) => {
        const text = transcript(dialog, { ended: true })
        const whole = readAll([text])
        assert.isTrue(Result.isSuccess(whole))
        assert.deepStrictEqual(inPieces(text, cuts), Result.isSuccess(whole) ? [...whole.success] : [])
        const heard = inPieces(text, cuts).flatMap((item) =>
          item._tag === "Entry" && (item.line.type === "in" || item.line.type === "out") ? [item] : []
        )
        assert.deepStrictEqual(
          heard.map(({ bytes, line }) => ({ by: line.type, bytes })),
          dialog.map(({ by, bytes }) => ({ by, bytes }))
        )
      })
    )
  })

  it("wherever a text is cut off, the lines in front are whole, and that is told", () => {
    fc.assert(
      fc.property(dialogs, fc.nat(), (dialog, cut) => {
        const text = transcript(dialog)
        const part = text.slice(0, cut % text.length)
        const items = inPieces(part, [])
        const whole = part.split("\n").length - 1
        const last = items.at(-1)
        assert.strictEqual(
          items.filter(({ _tag }) => _tag === "Entry").length,
          whole + (last?._tag === "Entry" && !part.endsWith("\n") ? 1 : 0)
        )
        // a line is whole without the line feed behind it
        const isWhole = part === "" || part.endsWith("\n") || (part.endsWith("}") && text[part.length] === "\n")
        assert.deepStrictEqual(last?._tag === "CutOff" ? last.number : undefined, isWhole ? undefined : whole + 1)
      })
    )
  })

  it("text and base64 are bytes, those of other lines are none", () => {
    const of = (fields: Record<string, unknown>) => {
      const item = only(line(fields))
      return item._tag === "Entry" ? item.bytes : item._tag
    }
    assert.deepStrictEqual(of({ type: "in", text: "é\r\n" }), bytes("é\r\n"))
    assert.deepStrictEqual(of({ type: "out", base64: "AP8=" }), Uint8Array.of(0, 255))
    assert.deepStrictEqual(of({ type: "ended" }), new Uint8Array(0))
  })

  it("empty lines and line feeds of other systems are no lines of their own", () => {
    const text = ["", `${line({ type: "ended" }).trim()}\r`, "", line({ type: "ended" })].join("\n")
    assert.deepStrictEqual(
      inPieces(text, []).map((item) => item._tag === "Entry" && item.number),
      [2, 4]
    )
  })

  it("fields that a later version adds are passed over", () => {
    assert.strictEqual(only(line({ type: "ended", mood: "good" }))._tag, "Entry")
  })
})

describe("what is told of a malformed line", () => {
  const ended = line({ type: "ended" })
  const cases: ReadonlyArray<readonly [what: string, line: string, message: string]> = [
    ["what is no JSON", "hello\n", "line 1: not JSON"],
    ["what is no JSON, at the end, and was never the beginning of a line", "hello", "line 1: not JSON"],
    ["a cut in front of another line", `{"time":1,"id${ended}`, "line 1: not JSON"],
    ["what is no object", "[1]\n", "line 1: not a JSON object"],
    ["what has no type", "{}\n", "line 1: no type"],
    ["an unknown type", line({ type: "sang" }), 'line 1: unknown type "sang"'],
    [
      "a field that is missing",
      line({ type: "closed", outcome: "Reset", bytesRead: 0 }),
      'line 1: Missing key at ["bytesWritten"]'
    ],
    [
      "a field of the wrong type, at the end as well",
      line({ type: "in", id: "7", text: "" }).trim(),
      'line 1: Expected number at ["id"]'
    ],
    ["a number that no connection has", line({ type: "ended", id: 0.5 }), "line 1: id is no integer of 0 or more"],
    ["a time that is none", ended.replace('"time":0', '"time":1e999'), "line 1: time is no finite number"],
    ["bytes without bytes", line({ type: "in" }), "line 1: must have either text or base64"],
    ["bytes twice", line({ type: "in", text: "", base64: "" }), "line 1: must have either text or base64"],
    ["base64 that is none", line({ type: "in", base64: "!" }), "line 1: base64 is none"],
    [
      "masks beyond the bytes",
      line({ type: "in", text: "é", masked: [[1, 3]] }),
      "line 1: masked is not within the 2 bytes of the line"
    ],
    [
      "masks that end before they begin",
      line({ type: "in", text: "abc", masked: [[2, 1]] }),
      "line 1: masked is not within the 3 bytes of the line"
    ]
  ]
  for (const [what, text, message] of cases) it(what, () => assert.strictEqual(problem(text), message))

  it("its number, over several texts", () => {
    const all = readAll([line({ type: "ended" }), `{"cut`, `${line({ type: "ended" })}what\n`])
    assert.strictEqual(Result.isFailure(all) && all.failure.message, "line 4: not JSON")
  })
})
