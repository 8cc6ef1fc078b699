/** What a reader keeps alive while it holds little. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { StreamReader } from "effect-byte-streams"
import { BufferReader } from "../../src/internal/read/reader.ts"
import { bytes, text } from "../support/bytes.ts"

/** How much memory the piece at the front keeps alive. */
const held = (reader: StreamReader.StreamReader): number => {
  assert.instanceOf(reader, BufferReader)
  return reader.buffer.segments.piece.buffer.byteLength
}

describe("a remainder does not keep the chunk it came in", () => {
  const chunk = () => bytes("x".repeat(65525) + "\nremainder!")

  for (const [name, read] of [
    ["readLine", (reader: StreamReader.StreamReader) => Effect.asVoid(reader.readLine)],
    ["readExactly", (reader: StreamReader.StreamReader) => Effect.asVoid(reader.readExactly(65526))],
    ["readUntil", (reader: StreamReader.StreamReader) => Effect.asVoid(reader.readUntil("\n"))],
    ["read", (reader: StreamReader.StreamReader) => Effect.asVoid(reader.read(65526))],
    ["skip", (reader: StreamReader.StreamReader) => reader.skip(65526)]
  ] as const) {
    it.effect(`behind a ${name}, and is whole`, () =>
      Effect.gen(function* () {
        const { endUnsafe, feedUnsafe, reader } = yield* StreamReader.make({ limit: 70000 })
        feedUnsafe(chunk())
        yield* read(reader)
        assert.strictEqual(held(reader), 10)
        feedUnsafe(bytes("more"))
        endUnsafe()
        assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "remainder!more")
      })
    )
  }

  it.effect("and an empty reader keeps none", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader } = yield* StreamReader.make({ limit: 70000 })
      feedUnsafe(chunk())
      yield* reader.readExactly(65536)
      assert.strictEqual(held(reader), 0)
    })
  )
})
