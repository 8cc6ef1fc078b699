/**
 * Reading messages without a network: one way of it a process. Started with the way, it answers each message, a number of
 * milliseconds, with how many messages a second it reads.
 */
import * as Frame from "effect-byte-streams/Frame"
import * as FrameSchema from "effect-byte-streams/FrameSchema"
import * as StreamReader from "effect-byte-streams/StreamReader"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const chunkSize = 65536
const count = 20_000

/** Cuts bytes into chunks without regard to where messages end. */
const cut = (all: Uint8Array): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < all.length; at += chunkSize) chunks.push(new Uint8Array(all.subarray(at, at + chunkSize)))
  return chunks
}

/** What a way reads, and what all that it reads must add up to, so that no work can be left out. */
interface Way {
  readonly run: () => number | Promise<number>
  readonly sum: number
}

// ---------------------------------------------------------------------------
// four bytes and a body
// ---------------------------------------------------------------------------

const bodySize = 110
const prefixed = Frame.lengthPrefixed(Frame.uint32, { maxBytes: 65_536 })
const prefixedChunks = cut(
  Buffer.concat(
    Array.from({ length: count }, (_, i) => Frame.encodeResultUnsafe(prefixed, new Uint8Array(bodySize).fill(i)))
  )
)

const fromChunks =
  <E>(chunks: ReadonlyArray<Uint8Array>, read: (reader: StreamReader.StreamReader) => Effect.Effect<number, E>) =>
  (): Promise<number> =>
    Effect.runPromise(Effect.flatMap(StreamReader.fromBytes(chunks), read))

const ofPrefixed = (read: (reader: StreamReader.StreamReader) => Effect.Effect<number, unknown>): Way => ({
  run: fromChunks(prefixedChunks, read),
  sum: count * bodySize
})

/** As one collects bytes by hand, over whatever `read` brings. */
const byHand = ofPrefixed((reader) =>
  Effect.gen(function* () {
    let size = 0
    let rest: Uint8Array = new Uint8Array(0)
    for (let chunk = yield* reader.read(1 << 20); chunk.length > 0; chunk = yield* reader.read(1 << 20)) {
      const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let at = 0
      while (data.length - at >= 4) {
        const length = ((data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!) >>> 0
        if (length > 65_536) throw new Error("too long")
        if (data.length - at - 4 < length) break
        size += data.subarray(at + 4, at + 4 + length).length
        at += 4 + length
      }
      rest = data.subarray(at)
    }
    return size
  })
)

// ---------------------------------------------------------------------------
// a struct of five fields
// ---------------------------------------------------------------------------

const fields = {
  type: Frame.uint8,
  flags: Frame.uint8,
  id: Frame.uint32,
  channel: Frame.uint16,
  body: Frame.lengthPrefixed(Frame.uint16, { maxBytes: 1000 })
}
const compiled = Frame.struct(fields)
const loop = Frame.struct(fields, { compile: false })
const structChunks = cut(
  Buffer.concat(
    Array.from({ length: count }, (_, i) =>
      Frame.encodeResultUnsafe(compiled, { type: i % 256, flags: 1, id: i, channel: 2, body: new Uint8Array(20) })
    )
  )
)
const structSum = Array.from({ length: count }, (_, i) => i + 20).reduce((sum, n) => sum + n, 0)

const pushed = (frame: typeof compiled): Way => ({
  run: () => {
    let sum = 0
    const decoder = Frame.makeDecoder(frame)
    for (const chunk of structChunks) for (const { body, id } of decoder.push(chunk)) sum += id + body.length
    return sum
  },
  sum: structSum
})

const structByHand: Way = {
  run: () => {
    let sum = 0
    let rest: Uint8Array = new Uint8Array(0)
    for (const chunk of structChunks) {
      const data: Uint8Array = rest.length === 0 ? chunk : new Uint8Array(Buffer.concat([rest, chunk]))
      const messages: Array<{ type: number; flags: number; id: number; channel: number; body: Uint8Array }> = []
      let at = 0
      while (data.length - at >= 10) {
        const length = (data[at + 8]! << 8) | data[at + 9]!
        if (length > 1000) throw new Error("too long")
        if (data.length - at - 10 < length) break
        messages.push({
          type: data[at]!,
          flags: data[at + 1]!,
          id: ((data[at + 2]! << 24) | (data[at + 3]! << 16) | (data[at + 4]! << 8) | data[at + 5]!) >>> 0,
          channel: (data[at + 6]! << 8) | data[at + 7]!,
          body: data.subarray(at + 10, at + 10 + length)
        })
        at += 10 + length
      }
      rest = data.subarray(at)
      for (const { body, id } of messages) sum += id + body.length
    }
    return sum
  },
  sum: structSum
}

// ---------------------------------------------------------------------------
// JSON, one text a line
// ---------------------------------------------------------------------------

const ndjson = FrameSchema.ndjson(Schema.Unknown, { maxBytes: 65_536 })
const ndjsonChunks = cut(
  Buffer.concat(
    Array.from({ length: count }, (_, id) =>
      Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "x".repeat(40) } })}\n`)
    )
  )
)
const ndjsonSum = (count * (count - 1)) / 2

const ways: Record<string, Way> = {
  byHand,
  readFrame: ofPrefixed((reader) =>
    Effect.gen(function* () {
      let size = 0
      for (let i = 0; i < count; i++) size += (yield* reader.readFrame(prefixed)).length
      return size
    })
  ),
  readFrames: ofPrefixed((reader) =>
    Effect.gen(function* () {
      let size = 0
      for (let some = yield* reader.readFrames(prefixed); some.length > 0; some = yield* reader.readFrames(prefixed)) {
        for (const body of some) size += body.length
      }
      return size
    })
  ),
  frames: ofPrefixed((reader) => {
    let size = 0
    return StreamReader.frames(reader, prefixed).pipe(
      Stream.runForEachArray((some) =>
        Effect.sync(() => {
          for (const body of some) size += body.length
        })
      ),
      Effect.map(() => size)
    )
  }),
  readExactly: ofPrefixed((reader) =>
    Effect.gen(function* () {
      let size = 0
      for (let i = 0; i < count; i++) {
        const head = yield* reader.readExactly(4)
        const length = ((head[0]! << 24) | (head[1]! << 16) | (head[2]! << 8) | head[3]!) >>> 0
        size += (yield* reader.readExactly(length)).length
      }
      return size
    })
  ),
  structByHand,
  structCompiled: pushed(compiled),
  structLoop: pushed(loop),
  ndjsonByHand: {
    run: fromChunks(ndjsonChunks, (reader) =>
      Effect.gen(function* () {
        const decoder = new TextDecoder()
        let sum = 0
        let rest = ""
        for (let chunk = yield* reader.read(1 << 20); chunk.length > 0; chunk = yield* reader.read(1 << 20)) {
          const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
          rest = lines.pop()!
          for (const line of lines) sum += (JSON.parse(line) as { id: number }).id
        }
        return sum
      })
    ),
    sum: ndjsonSum
  },
  ndjson: {
    run: fromChunks(ndjsonChunks, (reader) =>
      Effect.gen(function* () {
        let sum = 0
        for (let some = yield* reader.readFrames(ndjson); some.length > 0; some = yield* reader.readFrames(ndjson)) {
          for (const value of some) sum += (value as { id: number }).id
        }
        return sum
      })
    ),
    sum: ndjsonSum
  }
}

const { run, sum } = ways[process.argv[2]!]!

process.on("message", async (millis: number) => {
  const start = performance.now()
  let read = 0
  let now = start
  do {
    const found = await run()
    if (found !== sum) throw new Error(`${process.argv[2]}: ${found} instead of ${sum}`)
    read += count
    now = performance.now()
  } while (now - start < millis)
  process.send!((read / (now - start)) * 1000)
})

process.on("disconnect", () => process.exit())
