/** Laws of messages, whatever carries them. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Frame } from "../../../Frame.ts"
import type { StreamReader } from "../../../StreamReader.ts"
import type { StreamWriter } from "../../../StreamWriter.ts"
import { uint32 } from "../../frame/integers.ts"
import { lengthPrefixed } from "../../frame/prefixed.ts"
import { tuple } from "../../frame/sequence.ts"
import { utf8Rest } from "../../frame/text.ts"
import { varint } from "../../frame/varints.ts"
import * as Random from "../random.ts"
import { areBytes, type Broken, bytes, finishes, holds, law, type Law, meanwhile, pattern, turns } from "./law.ts"

const words: Frame<string> = lengthPrefixed(varint, { maxBytes: 100_000 }, utf8Rest)
const pair: Frame<readonly [number, string]> = tuple([uint32, words])

/** What is sent in one go: a message, several, or bytes of another kind. */
type Item =
  | { readonly _tag: "Words"; readonly text: string }
  | { readonly _tag: "Line"; readonly text: string }
  | { readonly _tag: "Pair"; readonly value: readonly [number, string] }
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }

const script = (seed: number, length: number): ReadonlyArray<Item> => {
  const random = Random.make(seed)
  return Array.from({ length }, (_, i): Item => {
    const size = Random.size(random, i % 10 === 0 ? 40_000 : 300)
    const text = "xyz€"[i % 4]!.repeat(size)
    switch (Math.floor(random() * 4)) {
      case 0:
        return { _tag: "Words", text }
      case 1:
        return { _tag: "Line", text }
      case 2:
        return { _tag: "Pair", value: [i, text] }
      default:
        return { _tag: "Bytes", bytes: pattern(size, i) }
    }
  })
}

const send = (writer: StreamWriter, items: ReadonlyArray<Item>) =>
  Effect.gen(function* () {
    for (const [i, item] of items.entries()) {
      if (item._tag === "Words") yield* writer.writeFrame(words, item.text)
      else if (item._tag === "Line") yield* writer.write(`${item.text}\n`)
      else if (item._tag === "Pair") yield* writer.writeFrames(pair, [item.value])
      else yield* writer.write(item.bytes)
      if (i % 3 === 0) yield* writer.flush
    }
    yield* writer.flush
  })

/** Reads, and gives up a few times before it does: nobody may notice. */
const reluctantly = <A, E>(
  what: string,
  random: Random.Random,
  read: Effect.Effect<A, E>
): Effect.Effect<A, Broken, Scope.Scope> =>
  Effect.gen(function* () {
    for (let attempt = Math.floor(random() * 3); attempt > 0; attempt--) {
      const reading = yield* meanwhile(read)
      yield* turns(Math.floor(random() * 3))
      yield* Fiber.interrupt(reading)
      const exit = yield* Fiber.await(reading)
      if (Exit.isSuccess(exit)) return exit.value
    }
    return yield* finishes(what, yield* meanwhile(read))
  })

const receive = (reader: StreamReader, items: ReadonlyArray<Item>, random: Random.Random) =>
  Effect.gen(function* () {
    for (const [i, item] of items.entries()) {
      const what = `item ${i}, ${item._tag}`
      if (item._tag === "Words") {
        yield* holds((yield* reluctantly(what, random, reader.readFrame(words))) === item.text, `${what}: another text`)
      } else if (item._tag === "Pair") {
        const [number, text] = yield* reluctantly(what, random, reader.readFrame(pair))
        yield* holds(number === item.value[0] && text === item.value[1], `${what}: another value`)
      } else {
        const expected = item._tag === "Line" ? bytes(`${item.text}\n`) : item.bytes
        const read: Effect.Effect<Uint8Array, unknown> =
          item._tag === "Line" ? reader.readLineWith({ limit: 1 << 20 }) : reader.readExactly(expected.length)
        yield* areBytes(what, yield* reluctantly(what, random, read), expected)
      }
    }
  })

/** Messages and plain bytes in turn, from a writer to a reader, whose reads are given up again and again. */
export const inTurn = (
  writer: StreamWriter,
  reader: StreamReader,
  seed: number
): Effect.Effect<void, Broken, Scope.Scope> =>
  Effect.gen(function* () {
    const items = script(seed, 60)
    const sending = yield* meanwhile(send(writer, items))
    yield* receive(reader, items, Random.make(Random.derive(seed, 1)))
    yield* finishes("the writes", sending)
  })

const alternating = law(
  "messages and plain reads take turns, and no byte is lost between them",
  "Messages of several frames, lines and bytes, written one after the other, are read one after the other by the read of each kind, also where reads are interrupted and made again.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 1000, highWaterMark: 5000 })
      for (let seed = 1; seed <= 3; seed++) yield* Effect.scoped(inTurn(a.writer, b.reader, seed))
    })
)

export const lawsOfMessages: ReadonlyArray<Law> = [alternating]
