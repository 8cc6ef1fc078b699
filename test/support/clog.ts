/** Filling the way to a peer that does not read. */
import { Effect } from "effect"
import type { StreamWriter } from "effect-byte-streams"
import { pattern } from "./bytes.ts"
import { turns } from "./wait.ts"

/** More than any system keeps on the way. */
const most = 100_000_000

/** Writes until neither the system nor this side takes more without waiting; answers all that was written. */
export const clog = (writer: StreamWriter.StreamWriter): Effect.Effect<Buffer> =>
  Effect.gen(function* () {
    const chunk = pattern(200_000)
    const chunks: Array<Uint8Array> = []
    do {
      let more = true
      while (more) {
        chunks.push(chunk)
        more = writer.writeUnsafe(chunk)
        if (chunks.length * chunk.length > most) throw new Error("the peer reads")
      }
      yield* turns(5)
    } while ((yield* writer.buffered) <= writer.highWaterMark)
    return Buffer.concat(chunks)
  })
