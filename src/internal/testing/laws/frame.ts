/** What the laws of frames are made of: a frame, messages of it, every way of cutting them, and the words for a violation. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Decoder } from "../../../Frame.ts"
import * as StreamReader from "../../../StreamReader.ts"
import { type Node, of } from "../../frame/node.ts"
import { onlyReads } from "../../frame/program.ts"
import { decodeResult, encodeResult } from "../../frame/run.ts"
import * as Random from "../random.ts"
import { type Broken, broken, concat, LawViolation } from "./law.ts"

/** See `FrameLaws.Subject`. */
interface Subject<A> {
  readonly frame: Decoder<A>
  readonly values?: ReadonlyArray<A> | undefined
  readonly known?: ReadonlyArray<readonly [value: A, bytes: Uint8Array]> | undefined
  readonly malformed?: ReadonlyArray<Uint8Array> | undefined
  readonly unwritable?: ReadonlyArray<unknown> | undefined
  readonly equals?: ((one: A, other: A) => boolean) | undefined
}

/** A message, and what it is decoded to in one piece: what all other ways of decoding it are measured by. */
export interface Sample {
  /** What it is called in a violation. */
  readonly name: string
  readonly bytes: Uint8Array
  readonly value: any
}

/** A subject as the laws see it. */
export interface Trial {
  readonly node: Node<any>
  readonly subject: Subject<any>
  readonly samples: ReadonlyArray<Sample>
  readonly same: (one: unknown, other: unknown) => boolean
}

export interface FrameLaw {
  readonly name: string
  readonly statement: string
  check<A>(subject: Subject<A>): Effect.Effect<void, LawViolation>
}

export const law = (
  name: string,
  statement: string,
  body: (trial: Trial) => Effect.Effect<void, Broken, Scope.Scope>
): FrameLaw => ({
  name,
  statement,
  check: (subject) =>
    Effect.suspend(() => body(trialOf(subject))).pipe(
      Effect.scoped,
      Effect.catchDefect((defect) => broken(`died: ${defect instanceof Error ? defect.stack : String(defect)}`)),
      Effect.mapError(({ found }) => new LawViolation({ law: name, statement, found }))
    )
})

const trialOf = (subject: Subject<any>): Trial => {
  const node = of<any>("FrameLaws", subject.frame)
  const bytes = [
    ...(subject.known ?? []).map(([, bytes]) => bytes),
    ...(subject.values ?? []).flatMap((value) => {
      const encoded = encodeResult(node, value)
      return Result.isSuccess(encoded) ? [encoded.success] : []
    })
  ]
  if (bytes.length === 0 && (subject.values ?? []).length === 0) {
    throw new RangeError("FrameLaws: values or known must have at least one message")
  }
  const samples = bytes.flatMap((bytes, i) => {
    const decoded = decodeResult(node, bytes)
    return Result.isSuccess(decoded) ? [{ name: `message ${i}`, bytes, value: decoded.success as unknown }] : []
  })
  return { node, subject, samples, same: subject.equals ?? Equal.equals }
}

/** The bytes that a value is written as; none of a frame that only reads. */
export const encoded = (trial: Trial, value: unknown): Effect.Effect<Uint8Array | undefined, Broken> => {
  const result = encodeResult(trial.node, value)
  if (Result.isSuccess(result)) return Effect.succeed(result.success)
  return result.failure.reason === onlyReads
    ? Effect.succeed(undefined)
    : broken(`${show(value)} cannot be written: ${result.failure.message}`)
}

// ---------------------------------------------------------------------------
// cutting
// ---------------------------------------------------------------------------

const everyPlace = 48

/** Places in `length` bytes: every one of few; of many, those at both ends, and some between them. */
export const places = (length: number): ReadonlyArray<number> => {
  const all = Array.from({ length }, (_, i) => i)
  if (length <= everyPlace) return all
  const step = Math.floor(length / 16)
  return all.filter((i) => i < 24 || i >= length - 8 || i % step === 0)
}

export const cut = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    pieces.push(bytes.slice(at, at + size))
    at += size
  }
  return pieces
}

const random = Random.make(1)

/** Ways of cutting, as sizes that repeat: small, whole, and by chance. */
export const cuts: ReadonlyArray<ReadonlyArray<number>> = [
  [1],
  [2],
  [3],
  [7],
  [Infinity],
  ...Array.from({ length: 4 }, () => Array.from({ length: 5 }, () => Random.size(random, 40)))
]

// ---------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------

export interface Fed {
  readonly reader: StreamReader.StreamReader
  readonly feed: (bytes: Uint8Array) => void
  readonly end: () => void
}

/** A reader that is fed by hand. */
export const fed: Effect.Effect<Fed> = Effect.map(StreamReader.make(), ({ endUnsafe, feedUnsafe, reader }) => ({
  reader,
  feed: (bytes) => void feedUnsafe(bytes.slice()),
  end: endUnsafe
}))

/** Runs `effect` up to where it waits. */
export const start = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<Fiber.Fiber<A, E>, never, Scope.Scope> =>
  Effect.forkScoped(effect, { startImmediately: true })

/** What came of it; it must have come to its end, or be about to. */
export const outcome = <A, E>(what: string, fiber: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>, Broken> =>
  Effect.gen(function* () {
    for (let turn = 0; turn < 100; turn++) {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      yield* Effect.yieldNow
    }
    return yield* broken(`${what}: waits, although all of it has arrived`)
  })

/** The error of an exit that failed with one. */
export const failure = (exit: Exit.Exit<unknown, any>): any =>
  Exit.isFailure(exit)
    ? exit.cause.reasons.flatMap((reason) => (reason._tag === "Fail" ? [reason.error] : []))[0]
    : undefined

export const said = (exit: Exit.Exit<unknown, any>): string => {
  if (Exit.isSuccess(exit)) return `read ${show(exit.value)}`
  const error = failure(exit)
  return error === undefined ? `died: ${String(Cause.squash(exit.cause))}` : `failed: ${String(error.message)}`
}

/** As `said`, without what depends on how many bytes have come. */
export const gist = (exit: Exit.Exit<unknown, any>): string => {
  const error = failure(exit)
  if (error === undefined) return said(exit)
  const { _tag, frame, offset, reason } = error
  return `failed: ${_tag}${frame === undefined ? "" : ` of ${frame}`}${reason === undefined ? "" : `, ${reason}`}${offset === undefined ? "" : `, at ${offset}`}`
}

/** It read this value. */
export const isValue = (
  trial: Trial,
  what: string,
  exit: Exit.Exit<unknown, unknown>,
  value: unknown
): Effect.Effect<void, Broken> =>
  Exit.isSuccess(exit) && trial.same(exit.value, value)
    ? Effect.void
    : broken(`${what}: ${said(exit)}, expected ${show(value)}`)

/** Reads the next message, which must be this one. */
export const readsValue = (
  trial: Trial,
  what: string,
  reader: StreamReader.StreamReader,
  value: unknown
): Effect.Effect<void, Broken, Scope.Scope> =>
  start(reader.readFrame(trial.node as Decoder<unknown>)).pipe(
    Effect.flatMap((fiber) => outcome(what, fiber)),
    Effect.flatMap((exit) => isValue(trial, what, exit, value))
  )

/** What is buffered. It stays there. */
export const held = (reader: StreamReader.StreamReader): Effect.Effect<Uint8Array, Broken> =>
  Effect.flatMap(reader.buffered, (size) => (size === 0 ? Effect.succeed(concat([])) : reader.peek(size))).pipe(
    Effect.catch((error) => broken(`what is buffered cannot be looked at: ${error.message}`))
  )

export const show = (value: unknown): string => {
  let text: string
  try {
    text = JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === "bigint" ? `${inner}n` : inner instanceof Uint8Array ? `bytes ${hex(inner)}` : inner
    )
  } catch {
    text = String(value)
  }
  text ??= String(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

export const hex = (bytes: Uint8Array): string => {
  const shown = Array.from(bytes.subarray(0, 24), (byte) => byte.toString(16).padStart(2, "0")).join(" ")
  return bytes.length > 24 ? `${shown} … (${bytes.length} bytes)` : shown
}
