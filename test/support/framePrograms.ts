/**
 * Streams of messages of random frames: whole, mutated, or rubbish; cut anywhere, with reads that are given up anywhere.
 * What is read is what a stream in one piece is read as, to the byte at which a fault is told; whatever is wrong is a
 * typed error; and it costs no more steps than it may.
 */
import { Cause, Effect, Exit, Fiber, Scheduler } from "effect"
import * as fc from "fast-check"
import type { Node } from "../../src/internal/frame/node.ts"
import { isDecodeError, PushDecoder } from "../../src/internal/frame/run.ts"
import * as Frame from "../../src/Frame.ts"
import * as StreamReader from "../../src/StreamReader.ts"
import { type Sample, samples } from "./frames.ts"

export interface Program {
  readonly sample: Sample
  /** The bytes of the stream, behind which it ends. */
  readonly bytes: Uint8Array
  /** How they are cut, over and over. */
  readonly sizes: ReadonlyArray<number>
  /** Whether the read that waits is given up behind a piece, over and over. */
  readonly interrupts: ReadonlyArray<boolean>
}

interface Outcome {
  readonly interruptions: number
  readonly bytes: number
}

/** What becomes of good bytes. */
type Harm = readonly [kind: "none" | "change" | "drop" | "insert" | "cut" | "rubbish", place: number, byte: number]

const harms: fc.Arbitrary<Harm> = fc.tuple(
  fc.constantFrom("none", "change", "drop", "insert", "cut", "rubbish"),
  fc.nat(100_000),
  fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 10, 13, 127, 128, 255))
)

const harmed = (bytes: Uint8Array, [kind, place, byte]: Harm): Uint8Array => {
  const at = bytes.length === 0 ? 0 : place % bytes.length
  const [front, behind] = [bytes.subarray(0, at), bytes.subarray(at)]
  if (kind === "change") return Uint8Array.from([...front, byte, ...behind.subarray(1)])
  if (kind === "drop") return Uint8Array.from([...front, ...behind.subarray(1)])
  if (kind === "insert") return Uint8Array.from([...front, byte, ...behind])
  if (kind === "cut") return front.slice()
  if (kind === "rubbish")
    return Uint8Array.from([...front, ...Array.from({ length: place % 40 }, (_, i) => byte * (i + 1))])
  return bytes
}

export const programs: fc.Arbitrary<Program> = fc
  .tuple(
    samples,
    fc.array(harms, { maxLength: 3 }),
    fc.oneof(fc.constant([1]), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 })),
    fc.array(fc.boolean(), { minLength: 1, maxLength: 5 })
  )
  .map(([{ sample, values }, all, sizes, interrupts]) => {
    const good = Uint8Array.from(Buffer.concat(values.map((value) => Frame.encodeResultUnsafe(sample.frame, value))))
    return { sample, bytes: all.reduce(harmed, good), sizes, interrupts }
  })

/** What a read came to, in words that do not depend on how the bytes were cut. */
const words = (exit: Exit.Exit<unknown, any>): string => {
  if (Exit.isSuccess(exit)) return `read ${fc.stringify(exit.value)}`
  const error = exit.cause.reasons.flatMap((reason) => (reason._tag === "Fail" ? [reason.error] : []))[0]
  if (!isDecodeError(error)) throw new Error(`neither a value nor a typed error: ${Cause.pretty(exit.cause)}`)
  return error._tag === "MalformedFrame"
    ? `${error.frame}: ${error.reason}, at ${error.offset}`
    : `${error._tag} of ${error.frame}`
}

const scheduled = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.provideService(effect, Scheduler.Scheduler, new Scheduler.MixedScheduler())

/** All that is read of a stream, one message after the other, up to what nothing can be read behind. */
const readAll = async (
  { sample, bytes }: Program,
  sizes: ReadonlyArray<number>,
  interrupts: ReadonlyArray<boolean>
) => {
  const { endUnsafe, feedUnsafe, reader } = await Effect.runPromise(StreamReader.make())
  const seen: Array<string> = []
  let interruptions = 0
  let at = 0
  let pieces = 0
  let ended = false
  let taken = 0
  // what takes no bytes is there for ever
  for (let count = 0; count < 200; count++) {
    let fiber = Effect.runFork(scheduled(reader.readFrame(sample.frame)))
    while (fiber.pollUnsafe() === undefined && !ended) {
      if (at === bytes.length) {
        ended = true
        endUnsafe()
        break
      }
      const size = sizes[pieces % sizes.length]!
      feedUnsafe(bytes.slice(at, at + size))
      at = Math.min(bytes.length, at + size)
      if (interrupts[pieces++ % interrupts.length] === true && fiber.pollUnsafe() === undefined) {
        fiber.interruptUnsafe()
        const exit = await Effect.runPromise(Fiber.await(fiber))
        // it may have had its answer by then
        if (Exit.isSuccess(exit) || !Cause.hasInterruptsOnly(exit.cause)) break
        interruptions++
        fiber = Effect.runFork(scheduled(reader.readFrame(sample.frame)))
      }
    }
    const exit = await Effect.runPromise(Fiber.await(fiber))
    const left = await Effect.runPromise(reader.buffered)
    seen.push(words(exit))
    // where nothing was dropped the same read fails again
    if (Exit.isFailure(exit) && at - left === taken) break
    taken = at - left
  }
  return { seen, interruptions }
}

/** What a byte may cost where it comes alone, as a multiple of what it costs with all the others. */
const most = 16

const checkSteps = ({ sample, bytes, sizes }: Program): void => {
  const cost = (size: (piece: number) => number): number => {
    const decoder = new PushDecoder(sample.frame as Node<unknown>)
    try {
      for (let at = 0, piece = 0; at < bytes.length; piece++) {
        decoder.push(bytes.subarray(at, at + size(piece)))
        at += size(piece)
      }
    } catch (error) {
      if (!isDecodeError(error)) throw error
    }
    return decoder.steps
  }
  const whole = cost(() => Infinity)
  const steps = cost((piece) => sizes[piece % sizes.length]!)
  const allowed = most * (whole + bytes.length + 16)
  if (steps > allowed) throw new Error(`${steps} steps for ${bytes.length} bytes, ${whole} in one piece`)
}

export const run = async (program: Program): Promise<Outcome> => {
  checkSteps(program)
  const whole = await readAll(program, [1_000_000], [false])
  const cut = await readAll(program, program.sizes, program.interrupts)
  const [expected, found] = [whole.seen.join("\n"), cut.seen.join("\n")]
  if (expected !== found) throw new Error(`in one piece:\n${expected}\nin pieces:\n${found}`)
  return { interruptions: cut.interruptions, bytes: program.bytes.length }
}

export const show = ({ sample, bytes, sizes, interrupts }: Program): string =>
  [
    sample.name,
    `bytes: ${Buffer.from(bytes).toString("hex")}`,
    `in pieces of ${sizes.join(", ")}`,
    `given up: ${interrupts.join(", ")}`
  ].join("\n")
