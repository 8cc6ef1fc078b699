/** How bytes are shown to people, and kept in a transcript: byte by byte, so that no bound is off by one. */
import { assert, describe, it } from "@effect/vitest"
import type { Observer } from "effect-byte-streams"
import * as Dump from "../../src/internal/observe/dump.ts"
import * as Lines from "../../src/internal/observe/lines.ts"
import { bytes } from "../support/bytes.ts"

const named = new Map([
  [0x00, "\\0"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x1b, "\\e"],
  [0x22, '\\"'],
  [0x5c, "\\\\"]
])

const everyByte = Array.from({ length: 256 }, (_, byte) => byte)

describe("shown as text in one line", () => {
  it("a byte alone is itself if it is printable, and its name or its number if not", () => {
    for (const byte of everyByte) {
      const printable = byte >= 0x20 && byte <= 0x7e
      const number = `\\x${byte.toString(16).padStart(2, "0")}`
      const expected = named.get(byte) ?? (printable ? String.fromCharCode(byte) : number)
      assert.include(Dump.text(Uint8Array.of(0x61, byte, 0x62), []), `a${expected}b`)
    }
  })

  it("a character of several bytes is itself when it is whole, also as the last one, and numbers when it is cut", () => {
    for (const character of ["é", "日", "🚢"]) {
      const whole = bytes(character)
      assert.include(Dump.text(whole, []), character)
      const cut = Dump.text(whole.subarray(0, -1), [])
      for (const byte of whole.subarray(0, -1)) assert.include(cut, `\\x${byte.toString(16)}`)
    }
  })

  it("a character of which a part is masked is not shown: it would tell what is masked", () => {
    const shown = Dump.text(bytes("aé"), [[2, 3]])
    assert.notInclude(shown, "é")
    assert.include(shown, "a\\xc3")
  })
})

describe("kept in a transcript", () => {
  const connection = { id: 1 } as Observer.ObservedConnection

  it("what is printable, and the end of a line, is text, and a control character makes it base64", () => {
    for (const byte of everyByte.slice(0, 0x80)) {
      const isText = (byte >= 0x20 && byte <= 0x7e) || [0x09, 0x0a, 0x0d].includes(byte)
      const [line] = Lines.ofBytes(0, connection, "in", Uint8Array.of(byte), [], 100) as [object]
      assert.strictEqual("text" in line, isText, `byte ${byte}`)
      assert.strictEqual("base64" in line, !isText, `byte ${byte}`)
    }
  })
})
