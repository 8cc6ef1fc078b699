/** The laws of frames. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Scope } from "effect/Scope"
import type { Decoder } from "../../../Frame.ts"
import { IncompleteRead, LimitOverrun, MalformedFrame } from "../../base/errors.ts"
import { uint8 } from "../../frame/integers.ts"
import { decodeResult, encodeResult, isDecodeError, PushDecoder } from "../../frame/run.ts"
import { pull } from "../../read/pullFrames.ts"
import {
  cut,
  cuts,
  encoded,
  failure,
  fed,
  type Fed,
  type FrameLaw,
  gist,
  held,
  hex,
  isValue,
  law,
  outcome,
  places,
  readsValue,
  said,
  type Sample,
  show,
  start,
  type Trial
} from "./frame.ts"
import * as Interruption from "./interruptAt.ts"
import { areBytes, type Broken, broken, concat, holds } from "./law.ts"

const frameOf = (trial: Trial): Decoder<unknown> => trial.node

/** Enough of them: each is tried in hundreds of ways. */
const some = (samples: ReadonlyArray<Sample>, most = 24): ReadonlyArray<Sample> => samples.slice(0, most)

// ---------------------------------------------------------------------------
// one operation
// ---------------------------------------------------------------------------

/** A read that has waited behind each of the first `size` bytes, and was given up. */
const givenUp = (trial: Trial, sample: Sample, size: number): Effect.Effect<Fed, Broken, Scope> =>
  Effect.gen(function* () {
    const what = `${sample.name}, of which ${size} of ${sample.bytes.length} bytes have come`
    const source = yield* fed
    const reading = yield* start(source.reader.readFrame(frameOf(trial)))
    for (let i = 0; i < size; i++) source.feed(sample.bytes.subarray(i, i + 1))
    const early = reading.pollUnsafe()
    if (early !== undefined) return yield* broken(`${what}: ${said(early)}`)
    yield* Fiber.interrupt(reading)
    yield* areBytes(`${what}, after the read was interrupted`, yield* held(source.reader), sample.bytes.slice(0, size))
    return source
  })

const interruptedAnywhere = (trial: Trial, { bytes, name, value }: Sample) =>
  Effect.gen(function* () {
    const attempt = (point: Interruption.Point | undefined) =>
      Effect.gen(function* () {
        const { feed, reader } = yield* fed
        const feeding = yield* start(
          Effect.gen(function* () {
            for (const piece of cut(bytes, [1 + (bytes.length >> 2)])) {
              yield* Effect.yieldNow
              feed(piece)
            }
          })
        )
        let read: unknown
        const subject = Effect.gen(function* () {
          const one = yield* reader.readFrame(frameOf(trial))
          read = [one]
        })
        const { exit, points } = yield* Interruption.run(subject, point)
        yield* Fiber.join(feeding)
        const what = `${name}, interrupted at ${point?.step ?? 0} (${point?.when ?? "nowhere"})`
        if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) return yield* broken(`${what}: ${said(exit)}`)
        if (read === undefined) yield* areBytes(what, yield* held(reader), bytes)
        else {
          yield* isValue(trial, what, Exit.succeed((read as ReadonlyArray<unknown>)[0]), value)
          yield* areBytes(`${what}, what is left`, yield* held(reader), concat([]))
        }
        return points
      })
    for (const point of yield* attempt(undefined)) yield* attempt(point)
  })

const oneOperation = law(
  "one operation",
  "A read of a message that is interrupted has taken nothing and left nothing behind: the same read goes on, any other finds the message from its first byte. A stream that ends inside a message fails with IncompleteRead and all that came.",
  (trial) =>
    Effect.gen(function* () {
      const { samples } = trial
      for (const [i, sample] of some(samples).entries()) {
        const { bytes, name, value } = sample
        const other = samples[(i + 1) % samples.length]!
        for (const size of places(bytes.length)) {
          const what = `${name}, interrupted behind ${size} of ${bytes.length} bytes`
          const again = yield* givenUp(trial, sample, size)
          again.feed(bytes.subarray(size))
          yield* readsValue(trial, `${what}, read again`, again.reader, value)

          const otherwise = yield* givenUp(trial, sample, size)
          yield* Effect.orDie(otherwise.reader.skip(size))
          otherwise.feed(other.bytes)
          yield* readsValue(trial, `${what}, skipped: ${other.name} behind it`, otherwise.reader, other.value)

          const ending = yield* givenUp(trial, sample, size)
          ending.end()
          const reading = yield* start(ending.reader.readFrame(frameOf(trial)))
          const exit = yield* outcome(`${what}, and the end`, reading)
          const error = failure(exit)
          if (!(error instanceof IncompleteRead)) {
            return yield* broken(`${what}, and the end: ${said(exit)}, expected IncompleteRead`)
          }
          yield* areBytes(`${what}, and the end: the part of it`, error.partial, bytes.slice(0, size))
          yield* areBytes(`${what}, and the end: what is left`, yield* held(ending.reader), concat([]))
        }
      }
      for (const sample of some(samples, 4)) if (sample.bytes.length > 0) yield* interruptedAnywhere(trial, sample)
    })
)

// ---------------------------------------------------------------------------
// linear
// ---------------------------------------------------------------------------

const cost = (trial: Trial, bytes: Uint8Array, sizes: ReadonlyArray<number>): number => {
  const decoder = new PushDecoder(trial.node)
  for (const piece of cut(bytes, sizes)) decoder.push(piece)
  return decoder.steps
}

/** What a byte may cost where it comes alone, as a multiple of what it costs with all the others. */
const most = 16

const linear = law(
  "linear",
  "However a message is cut, decoding it looks at each byte a constant number of times.",
  (trial) =>
    Effect.gen(function* () {
      for (const { bytes, name } of trial.samples) {
        const whole = cost(trial, bytes, [Infinity])
        const allowed = most * (whole + bytes.length + 16)
        for (const sizes of cuts) {
          const steps = cost(trial, bytes, sizes)
          yield* holds(
            steps <= allowed,
            `${name}, of ${bytes.length} bytes: ${steps} steps in pieces of ${sizes.join(", ")}, ${whole} in one`
          )
        }
      }
    })
)

// ---------------------------------------------------------------------------
// bounded
// ---------------------------------------------------------------------------

const counters = ["arrayBuffers", "external"] as const
type Counter = (typeof counters)[number]

/** How many bytes are allocated, by one of the runtime's counters. */
const memoryBy = (counter: Counter): number => {
  const { process } = globalThis as { process?: { memoryUsage?(): Readonly<Record<Counter, number>> } }
  return process?.memoryUsage?.()[counter] ?? 0
}

/** Whether a counter knows of an allocation at once. It is asked again, since memory may be collected meanwhile. */
const counts = (counter: Counter): boolean =>
  [1, 2, 3].some((mebibytes) => {
    const before = memoryBy(counter)
    const probe = new Uint8Array(mebibytes << 20)
    return memoryBy(counter) - before >= probe.length
  })

/** How many bytes are allocated, as far as the runtime says it: not all do. */
const memoryHere = (): (() => number) => {
  const counter = counters.find(counts)
  return () => (counter === undefined ? 0 : memoryBy(counter))
}

const pieceSize = 1024
/** What is fed at most to find whether there is an end to it. */
const maxFed = 1 << 20
/** What may be allocated beside a message: what others do meanwhile. */
const slack = 1 << 24

/** Bytes that claim much, and go on as long as anybody takes them. Whether it came to an end within its bound. */
const withstands = (
  trial: Trial,
  memory: () => number,
  what: string,
  front: Uint8Array,
  filler: number
): Effect.Effect<void, Broken> =>
  Effect.suspend(() => {
    const { maxBytes } = trial.node
    const decoder = new PushDecoder(trial.node)
    const before = memory()
    let waiting = 0
    const push = (piece: Uint8Array): boolean => {
      waiting += piece.length
      try {
        return decoder.push(piece).length > 0
      } catch {
        // what it is refused with is the matter of another law
        return true
      }
    }
    let settled = push(front)
    const piece = new Uint8Array(pieceSize).fill(filler)
    while (!settled && waiting <= maxBytes + pieceSize && waiting < maxFed) settled = push(piece)
    const grown = memory() - before
    const limit = 4 * Math.min(maxBytes, maxFed) + slack
    if (grown > limit) return broken(`${what}: ${grown} bytes were allocated, its bound is ${maxBytes}`)
    return holds(
      settled || waiting <= maxBytes + pieceSize,
      `${what}: still waits for more behind ${waiting} bytes, its bound is ${maxBytes}`
    )
  })

const claims: ReadonlyArray<readonly [name: string, byte: number]> = [
  ["ff", 0xff],
  ["7f", 0x7f],
  ["the digit 9", 0x39]
]

const bounded = law(
  "bounded",
  "No message is longer than maxBytes, which is finite; and whatever a peer claims, nothing is waited for or allocated beyond it.",
  (trial) =>
    Effect.gen(function* () {
      const { node, samples } = trial
      yield* holds(Number.isFinite(node.maxBytes), "maxBytes is not finite: it takes whatever a peer claims")
      for (const { bytes, name } of samples) {
        yield* holds(bytes.length <= node.maxBytes, `${name} has ${bytes.length} bytes, its bound is ${node.maxBytes}`)
      }
      const memory = memoryHere()
      for (const { bytes, name } of some(samples, 6)) {
        for (const at of places(Math.min(bytes.length, 12))) {
          for (const [claim, byte] of claims) {
            for (const length of [1, 4, 8]) {
              const front = bytes.slice(0, Math.max(at + length, bytes.length)).slice(0, at + length)
              const claimed = concat([front, new Uint8Array(Math.max(0, at + length - front.length))])
              claimed.fill(byte, at, at + length)
              const what = `${name}, bytes ${at} to ${at + length - 1} are ${claim}`
              yield* withstands(trial, memory, what, concat([claimed, bytes.slice(at + length)]), byte)
            }
          }
        }
      }
    })
)

// ---------------------------------------------------------------------------
// there and back
// ---------------------------------------------------------------------------

const isDecodedAs = (trial: Trial, what: string, bytes: Uint8Array, value: unknown): Effect.Effect<void, Broken> => {
  const decoded = decodeResult(trial.node, bytes)
  if (Result.isFailure(decoded)) return broken(`${what} (${hex(bytes)}): ${decoded.failure.message}`)
  return holds(trial.same(decoded.success, value), () => `${what} (${hex(bytes)}) is read as ${show(decoded.success)}`)
}

/** Reads the messages of a stream as they arrive. */
const readAll = (trial: Trial, pieces: ReadonlyArray<Uint8Array>, how: "frames" | "readFrame" | "readFrames") =>
  Effect.gen(function* () {
    const { end, feed, reader } = yield* fed
    const frame = frameOf(trial)
    const read: Array<unknown> = []
    const next: Effect.Effect<ReadonlyArray<unknown>, unknown> = how === "frames"
      ? pull(reader, frame, "fail")
      : how === "readFrames"
        ? reader.readFrames(frame)
        : Effect.map(reader.readFrameOption(frame), Option.toArray)
    const reading = yield* start(
      Effect.gen(function* () {
        for (let some = yield* next; some.length > 0; some = yield* next) read.push(...some)
      })
    )
    for (const piece of pieces) {
      feed(piece)
      yield* Effect.yieldNow
    }
    end()
    const exit = yield* outcome(how, reading)
    if (Exit.isFailure(exit) && !Cause.isDone(failure(exit))) return yield* broken(`${how}: ${said(exit)}`)
    return read
  })

const thereAndBack = law(
  "there and back",
  "What was written is what is read, however it is cut and by whatever it is read; it is what others write; and what could not be read again is not written.",
  (trial) =>
    Effect.gen(function* () {
      const { node, samples, same, subject } = trial
      for (const value of subject.values ?? []) {
        const bytes = yield* encoded(trial, value)
        if (bytes === undefined)
          return yield* broken("the frame only reads, and has values to write: give them as known")
        yield* isDecodedAs(trial, `${show(value)}, written`, bytes, value)
      }
      for (const [value, bytes] of subject.known ?? []) {
        yield* isDecodedAs(trial, `what is known as ${show(value)}`, bytes, value)
        const own = yield* encoded(trial, value)
        if (own !== undefined) yield* areBytes(`${show(value)}, written`, own, bytes)
      }
      for (const value of subject.unwritable ?? []) {
        const result = encodeResult(node, value)
        if (Result.isSuccess(result)) {
          return yield* broken(`${show(value)} was written, as ${hex(result.success)}, although it must not be`)
        }
      }
      // what takes no bytes is there as often as it is asked for
      const messages = samples.filter(({ bytes }) => bytes.length > 0)
      const all = concat(messages.map(({ bytes }) => bytes))
      const expected = messages.map(({ value }) => value as unknown)
      for (const sizes of cuts) {
        const pieces = cut(all, sizes)
        const decoder = new PushDecoder(node)
        const pushed = pieces.flatMap((piece) => Array.from(decoder.push(piece)) as Array<unknown>)
        const ways: Array<readonly [string, ReadonlyArray<unknown>]> = [["pushed", pushed]]
        for (const how of ["readFrame", "readFrames", "frames"] as const) {
          ways.push([how, yield* Effect.scoped(readAll(trial, pieces, how))])
        }
        for (const [how, read] of ways) {
          const at = expected.findIndex((value, i) => i >= read.length || !same(read[i], value))
          yield* holds(
            at === -1 && read.length === expected.length,
            () =>
              `${how}, in pieces of ${sizes.join(", ")}: ${read.length} messages of ${expected.length}; number ${at} is ${show(read[at])}, expected ${show(expected[at])}`
          )
        }
      }
    })
)

// ---------------------------------------------------------------------------
// no byte lost
// ---------------------------------------------------------------------------

const noByteLost = law(
  "no byte lost",
  "A message takes its own bytes and no other: whatever stands behind it is there for the next read, of whatever kind.",
  (trial) =>
    Effect.gen(function* () {
      const { samples } = trial
      for (const { bytes, name, value } of some(samples, 4)) {
        for (let next = 0; next < 256; next++) {
          const behind = Uint8Array.of(next, 13, 10, next, 0)
          const { feed, reader } = yield* fed
          feed(concat([bytes, behind]))
          yield* readsValue(trial, `${name}, in front of ${hex(behind)}`, reader, value)
          yield* areBytes(`behind ${name}`, yield* held(reader), behind)
        }
      }
      for (const sizes of cuts) {
        const { feed, reader } = yield* fed
        const reading = yield* start(
          Effect.gen(function* () {
            for (const [i, { name, value }] of samples.entries()) {
              const what = `${name}, in pieces of ${sizes.join(", ")}`
              yield* isValue(trial, what, yield* Effect.exit(reader.readFrame(frameOf(trial))), value)
              yield* holds((yield* reader.readFrame(uint8)) === i % 256, `${what}: the byte behind it is another`)
              yield* areBytes(`${what}, the bytes behind it`, yield* reader.readExactly(3), Uint8Array.of(i, 10, 255))
            }
          })
        )
        const all = samples.flatMap(({ bytes }, i) => [bytes, Uint8Array.of(i, i, 10, 255)])
        for (const piece of cut(concat(all), sizes)) feed(piece)
        const exit = yield* outcome("messages and plain reads in turn", reading)
        if (Exit.isFailure(exit)) {
          const error = failure(exit)
          return yield* broken(error?._tag === "Broken" ? (error as Broken).found : said(exit))
        }
      }
    })
)

// ---------------------------------------------------------------------------
// after a fault
// ---------------------------------------------------------------------------

/** What came of a read of bytes behind which the stream ends. */
interface Told {
  readonly exit: Exit.Exit<unknown, unknown>
  readonly words: string
  /** What it left. */
  readonly left: Uint8Array
}

/** What is told of bytes, and that it is told again, unless they are gone. */
const told = (trial: Trial, bytes: Uint8Array, sizes: ReadonlyArray<number>): Effect.Effect<Told, Broken, Scope> =>
  Effect.gen(function* () {
    const { end, feed, reader } = yield* fed
    const reading = yield* start(reader.readFrame(frameOf(trial)))
    for (const piece of cut(bytes, sizes)) feed(piece)
    end()
    const exit = yield* outcome(hex(bytes), reading)
    const error = failure(exit)
    if (Exit.isFailure(exit) && !isDecodeError(error)) return yield* broken(`${hex(bytes)}: ${said(exit)}`)
    const left = yield* held(reader)
    const taken = bytes.length - left.length
    yield* areBytes(`${hex(bytes)}: what is left`, left, bytes.slice(taken))
    if (error instanceof LimitOverrun) yield* holds(taken === 0, `${hex(bytes)}: too long, and ${taken} bytes are gone`)
    if (taken === 0 && !(error instanceof IncompleteRead) && error !== undefined) {
      const again = yield* outcome(hex(bytes), yield* start(reader.readFrame(frameOf(trial))))
      yield* holds(gist(again) === gist(exit), `${hex(bytes)}: first it ${gist(exit)}, then it ${gist(again)}`)
    }
    return { exit, words: gist(exit), left }
  })

const mutations = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  places(bytes.length).flatMap((at) => {
    const changed = [bytes[at]! ^ 1, bytes[at]! ^ 0x80, 0, 0xff].map((byte) => {
      const one = bytes.slice()
      one[at] = byte
      return one
    })
    const shorter = concat([bytes.slice(0, at), bytes.slice(at + 1)])
    const longer = concat([bytes.slice(0, at), Uint8Array.of(0x22), bytes.slice(at)])
    return [...changed, shorter, longer]
  })

const afterAFault = law(
  "after a fault",
  "Bytes that are no message are a typed error, never a defect, and the same one however they are cut. Either all of the bad message is dropped, or nothing, and the same read fails again.",
  (trial) =>
    Effect.gen(function* () {
      for (const bytes of trial.subject.malformed ?? []) {
        const { exit } = yield* Effect.scoped(told(trial, bytes, [Infinity]))
        const error = failure(exit)
        yield* holds(
          error instanceof MalformedFrame || error instanceof LimitOverrun,
          `${hex(bytes)}, which is no message: ${said(exit)}`
        )
      }
      const bad = [
        ...(trial.subject.malformed ?? []),
        ...some(trial.samples, 4).flatMap(({ bytes }) => mutations(bytes))
      ]
      for (const bytes of bad) {
        const whole = yield* Effect.scoped(told(trial, bytes, [Infinity]))
        for (const sizes of [[1], [3]]) {
          const other = yield* Effect.scoped(told(trial, bytes, sizes))
          yield* holds(
            other.words === whole.words && other.left.length === whole.left.length,
            () =>
              `${hex(bytes)}: in one piece it ${whole.words}, and ${whole.left.length} bytes are left; in pieces of ${sizes[0]} it ${other.words}, and ${other.left.length} are left`
          )
        }
      }
    })
)

export const all: ReadonlyArray<FrameLaw> = [oneOperation, linear, bounded, thereAndBack, noByteLost, afterAFault]
