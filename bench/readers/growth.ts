/**
 * What a byte costs as things grow. Answers each question with nanoseconds a byte, the best of several runs: what is
 * asked here is how the cost grows, and interruptions by the machine only add to it.
 */
import * as StreamReader from "effect-byte-streams/StreamReader"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

export type Question =
  | { readonly _tag: "ReadExactly"; readonly size: number; readonly millis: number }
  | { readonly _tag: "Concat"; readonly size: number; readonly millis: number }
  | { readonly _tag: "Line"; readonly size: number; readonly chunk: number; readonly millis: number }

const chunk = new Uint8Array(65536).fill(97)

/** Reads of `size` bytes, enough of them, from a source of chunks of 64 KiB. */
const readExactly = (size: number): Effect.Effect<number> => {
  const count = Math.max(2, Math.ceil((32 * 1024 * 1024) / size))
  return Effect.scoped(
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromPull(Effect.succeed([chunk] as const))
      for (let i = 0; i < count; i++) {
        const bytes = yield* reader.readExactly(size)
        if (bytes.length !== size) return yield* Effect.die(new Error("readExactly: wrong length"))
      }
      return count * size
    })
  ).pipe(Effect.orDie)
}

/** The same by hand: chunks are collected until there are enough of them, and then joined. */
const concat = (size: number): Effect.Effect<number> =>
  Effect.sync(() => {
    const count = Math.max(2, Math.ceil((32 * 1024 * 1024) / size))
    let rest = Buffer.alloc(0)
    for (let i = 0; i < count; i++) {
      const pieces = [rest]
      let held = rest.length
      for (; held < size; held += chunk.length) pieces.push(Buffer.from(chunk.buffer))
      const whole = pieces.length === 1 ? rest : Buffer.concat(pieces, held)
      if (whole.subarray(0, size).length !== size) throw new Error("concat: wrong length")
      rest = whole.subarray(size)
    }
    return count * size
  })

/** One line of `size` bytes that arrives in chunks while it is waited for. */
const readLine = (size: number, chunkSize: number): Effect.Effect<number> => {
  const line = new Uint8Array(size).fill(97)
  line[size - 1] = 10
  return Effect.gen(function* () {
    const { feedUnsafe, reader } = yield* StreamReader.make({ limit: size })
    const fiber = yield* Effect.forkChild(reader.readLine, { startImmediately: true })
    for (let at = 0; at < size; at += chunkSize) feedUnsafe(line.subarray(at, at + chunkSize))
    const read = yield* Fiber.join(fiber)
    if (read.length !== size) return yield* Effect.die(new Error("readLine: wrong length"))
    return size
  }).pipe(Effect.orDie)
}

process.on("message", async (question: Question) => {
  const once = {
    ReadExactly: () => readExactly(question.size),
    Concat: () => concat(question.size),
    Line: () => readLine(question.size, question._tag === "Line" ? question.chunk : 1)
  }[question._tag]()
  let best = Infinity
  const end = performance.now() + question.millis
  for (let run = 0; run < 3 || (run < 20 && performance.now() < end); run++) {
    const start = performance.now()
    const bytes = await Effect.runPromise(once)
    best = Math.min(best, ((performance.now() - start) * 1e6) / bytes)
  }
  process.send!(best)
})

process.on("disconnect", () => process.exit())
