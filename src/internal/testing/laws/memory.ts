/** Laws of memory: which side owns it, and when. */
import * as Effect from "effect/Effect"
import * as Random from "../random.ts"
import { areBytes, failsWith, finishes, holds, isText, law, type Law, meanwhile, pattern, succeeds } from "./law.ts"
import { collect, cut, sendAll } from "./pieces.ts"

const intoOwnMemory = law(
  "reads into one's own memory get every byte, there and nowhere else",
  "readInto into arrays of many sizes, also into one that is used again, with other reads in between: every byte arrives once and in order, nothing is written behind what was read, and what a read has returned is not written into.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 1000 })
      const random = Random.make(23)
      const sent = pattern(150_000)
      const writing = yield* meanwhile(sendAll(a.writer, cut(sent, 5000, 13)))
      const { reader } = b
      const again = new Uint8Array(2000)
      const kept: Array<readonly [Uint8Array, number]> = []
      let at = 0
      const next = (piece: Uint8Array) =>
        Effect.suspend(() => {
          const expected = sent.subarray(at, (at += piece.length))
          return areBytes(`${piece.length} bytes at ${at - piece.length}`, piece, expected)
        })
      for (let turn = 0; at < sent.length; turn++) {
        if (turn % 5 === 4) {
          const piece = yield* succeeds("read", reader.read(Random.size(random, 3000)))
          kept.push([piece, at])
          yield* next(piece)
          continue
        }
        const target = turn % 2 === 0 ? again : new Uint8Array(Random.size(random, 3000))
        target.fill(0xa5)
        const size = yield* succeeds("readInto", reader.readInto(target))
        yield* holds(size > 0, `readInto answered 0 after ${at} of ${sent.length} bytes`)
        yield* next(target.subarray(0, size))
        const behind = target.subarray(size)
        yield* holds(
          behind.every((byte) => byte === 0xa5),
          `something was written behind the ${size} bytes of a readInto`
        )
        if (target !== again) kept.push([target.subarray(0, size), at - size])
      }
      yield* holds((yield* succeeds("readInto", reader.readInto(again))) === 0, "bytes behind the last one")
      for (const [piece, from] of kept) {
        yield* areBytes(`what was read at ${from}, later`, piece, sent.subarray(from, from + piece.length))
      }
      yield* finishes("the writes", writing)
    }),
  { oneWay: true }
)

const memoryTaken = law(
  "memory that is taken away before it was sent breaks its connection, and no other",
  "An array that is transferred, or shrunk, between a write and the flush fails that connection's writes with ConnectionLost, and nothing that was written behind it is sent; other connections go on, and an array that grows goes out as it was.",
  (connect) =>
    Effect.gen(function* () {
      const takings: ReadonlyArray<readonly [string, (memory: ArrayBuffer) => void]> = [
        ["transferred", (memory) => void memory.transfer()],
        ["shrunk", (memory) => memory.resize(100)]
      ]
      for (const [how, take] of takings) {
        const { a, b } = yield* connect()
        const other = yield* connect()
        const mine = resizable(10_000)
        a.writer.writeUnsafe(mine)
        a.writer.writeUnsafe("behind it")
        take(mine.buffer)
        other.a.writer.writeUnsafe("unharmed")
        const reading = yield* meanwhile(collect(b.reader, 10_000))
        yield* isText("what others wrote", yield* succeeds("reading it", other.b.reader.readExactly(8)), "unharmed")
        yield* failsWith(`a flush, after what it waits for was ${how}`, a.writer.flush, "ConnectionLost", "Unknown")
        yield* failsWith("a write after that", a.writer.write("x"), "ConnectionLost")
        // what waits for a peer to read it is already on its way
        const got = yield* finishes("reading at the other end", reading)
        yield* areBytes("what arrived", got, pattern(10_000).subarray(0, got.length))
      }
      const { a, b } = yield* connect()
      const mine = resizable(10_000)
      a.writer.writeUnsafe(mine)
      mine.buffer.resize(20_000)
      a.writer.writeUnsafe("behind it")
      yield* areBytes("what had grown", yield* succeeds("reading it", b.reader.readExactly(10_000)), pattern(10_000))
      yield* isText("what was behind it", yield* succeeds("reading it", b.reader.readExactly(9)), "behind it")
    })
)

const resizable = (size: number): Uint8Array<ArrayBuffer> => {
  const out = new Uint8Array(new ArrayBuffer(size, { maxByteLength: 2 * size }))
  out.set(pattern(size))
  return out
}

export const lawsOfMemory: ReadonlyArray<Law> = [intoOwnMemory, memoryTaken]
