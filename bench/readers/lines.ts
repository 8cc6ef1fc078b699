/**
 * Reading lines without a network: one way of it a process. Started with the way and the length of a line, it answers
 * each message, a number of milliseconds, with how many lines a second it reads.
 */
import * as StreamReader from "effect-byte-streams/StreamReader"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Readline from "node:readline"
import { Readable } from "node:stream"

const [way, length] = [process.argv[2]!, Number(process.argv[3])]

const chunkSize = 65536
const chunkCount = 64

/** Lines of one length, cut into chunks without regard to where they end. */
const text = Buffer.alloc(chunkSize * chunkCount - ((chunkSize * chunkCount) % length), "abcdefghijklmnopqrstuvwxyz")
for (let end = length; end <= text.length; end += length) text[end - 1] = 10
const firstCut = chunkSize - 5
const chunks = [
  new Uint8Array(text.subarray(0, firstCut)),
  ...Array.from({ length: chunkCount }, (_, i) => {
    const start = firstCut + i * chunkSize
    return new Uint8Array(text.subarray(start, start + chunkSize))
  })
].filter((chunk) => chunk.length > 0)
const lineCount = text.length / length

const program = <E>(read: (reader: StreamReader.StreamReader) => Effect.Effect<number, E>): (() => Promise<number>) => {
  const whole = Effect.flatMap(StreamReader.fromBytes(chunks), read)
  return () => Effect.runPromise(whole)
}

/** Each reads everything and returns the number of characters (or bytes) in the lines, so that no work can be left out. */
const ways: Record<string, () => number | Promise<number>> = {
  indexOf: () => {
    let rest = Buffer.alloc(0)
    let size = 0
    for (const chunk of chunks) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      const data = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
      let start = 0
      for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10, start)) {
        const line = data.subarray(start, end + 1)
        size += line.length
        start = end + 1
      }
      rest = data.subarray(start)
    }
    return size
  },
  readLine: program((reader) =>
    Effect.gen(function* () {
      let size = 0
      for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) size += line.length
      return size
    })
  ),
  readUntil: program((reader) =>
    Effect.gen(function* () {
      let size = 0
      for (let i = 0; i < lineCount; i++) size += (yield* reader.readUntil("\n")).length
      return size
    })
  ),
  readExactly: program((reader) =>
    Effect.gen(function* () {
      let size = 0
      for (let i = 0; i < lineCount; i++) size += (yield* reader.readExactly(length)).length
      return size
    })
  ),
  lines: program((reader) => {
    let size = lineCount
    return StreamReader.lines(reader).pipe(
      Stream.runForEachArray((lines) =>
        Effect.sync(() => {
          for (const line of lines) size += line.length
        })
      ),
      Effect.map(() => size)
    )
  }),
  linesEach: program((reader) => {
    let size = lineCount
    return StreamReader.lines(reader).pipe(
      Stream.runForEach((line) =>
        Effect.sync(() => {
          size += line.length
        })
      ),
      Effect.map(() => size)
    )
  }),
  readline: () =>
    new Promise((resolve) => {
      let size = lineCount
      Readline.createInterface({ input: Readable.from(chunks, { objectMode: false }), crlfDelay: Infinity })
        .on("line", (line) => (size += line.length))
        .on("close", () => resolve(size))
    }),
  splitLines: () => {
    let size = lineCount
    return Stream.fromIterable(chunks, { chunkSize: 1 }).pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEachArray((lines) =>
        Effect.sync(() => {
          for (const line of lines) size += line.length
        })
      ),
      Effect.map(() => size),
      Effect.runPromise
    )
  }
}

const read = ways[way]!

process.on("message", async (millis: number) => {
  const start = performance.now()
  let count = 0
  let now = start
  do {
    const size = await read()
    if (size !== text.length) throw new Error(`${way}: ${size} characters instead of ${text.length}`)
    count += lineCount
    now = performance.now()
  } while (now - start < millis)
  process.send!((count / (now - start)) * 1000)
})

process.on("disconnect", () => process.exit())
