/** How laws send, and read: in pieces of every size. */
import * as Effect from "effect/Effect"
import type { StreamReader } from "../../../StreamReader.ts"
import type { StreamWriter } from "../../../StreamWriter.ts"
import * as Random from "../random.ts"
import { aWhile, type Broken, concat, eventually, within } from "./law.ts"

/** Writes pieces one after the other, and ends the output. */
export const sendAll = (writer: StreamWriter, pieces: Iterable<Uint8Array | string>) =>
  Effect.gen(function* () {
    for (const piece of pieces) yield* writer.write(piece)
    yield* writer.writeEof
  })

/** Cuts bytes into pieces of 1 to `most` bytes, of all sizes alike. */
export const cut = (all: Uint8Array, most: number, seed: number): ReadonlyArray<Uint8Array> => {
  const random = Random.make(seed)
  const pieces: Array<Uint8Array> = []
  for (let at = 0; at < all.length;) {
    const size = Math.min(all.length - at, 1 + Math.floor(random() * most))
    pieces.push(all.subarray(at, at + size))
    at += size
  }
  return pieces
}

/** Cuts bytes every so many, from some byte on. */
export const cutEvery = (all: Uint8Array, step: number, from: number): ReadonlyArray<Uint8Array> => {
  const pieces = from === 0 ? [] : [all.subarray(0, from)]
  for (let at = from; at < all.length; at += step) pieces.push(all.subarray(at, at + step))
  return pieces
}

/** Reads pieces of up to `most` bytes until the end, or until there are `enough`. */
export const receive = (reader: StreamReader, most: number, enough = Infinity) =>
  Effect.gen(function* () {
    const pieces: Array<Uint8Array> = []
    for (let size = 0; size < enough;) {
      const piece = yield* reader.read(most)
      if (piece.length === 0) break
      pieces.push(piece)
      size += piece.length
    }
    return concat(pieces)
  })

/** Everything that can be read, up to the end or the loss. */
export const collect = (reader: StreamReader, most = 4): Effect.Effect<Uint8Array> =>
  Effect.gen(function* () {
    const pieces: Array<Uint8Array> = []
    while (true) {
      const piece = yield* Effect.orElseSucceed(reader.read(most), () => new Uint8Array(0))
      if (piece.length === 0) return concat(pieces)
      pieces.push(piece)
    }
  })

/** Waits until all of it lies there. Without any buffer between the two nothing does, and that is fine too. */
export const arrived = (reader: StreamReader, sent: string): Effect.Effect<number, Broken> =>
  Effect.andThen(
    within(
      "the bytes arrive",
      Effect.raceFirst(
        eventually(
          "they are buffered",
          Effect.map(reader.buffered, (n) => n === sent.length)
        ),
        aWhile
      )
    ),
    reader.buffered
  )
