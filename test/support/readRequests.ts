/** Reads as data: what is asked of a reader, and what comes of it, in a form that can be generated, printed and compared. */
import { Cause, Effect, Exit, Option } from "effect"
import type { StreamReader } from "effect-byte-streams"
import * as fc from "fast-check"
import { notNow } from "../../src/internal/runtime/operation.ts"
import { ReadInto } from "../../src/internal/read/reads/some.ts"
import type { BufferReader } from "../../src/internal/read/reader.ts"
import * as Lines from "../../src/internal/read/lines.ts"
import { bytes, text } from "./bytes.ts"

/** A read that may wait, fail and be refused. */
export type Request = { readonly name: "readInto"; readonly count: number } | PlainRequest

type PlainRequest =
  | {
      readonly name: "read" | "readOption" | "readExactly" | "readExactlyOption" | "peek" | "skip"
      readonly count: number
    }
  | {
      readonly name: "readUntil" | "readUntilOption"
      readonly separators: ReadonlyArray<string>
      readonly limit: number | undefined
      readonly keepDelimiter?: boolean | undefined
    }
  | { readonly name: "discardUntil"; readonly separators: ReadonlyArray<string> }
  | { readonly name: "readLine" | "readLineOption" | "readLineText" | "pull" }
  | {
      readonly name: "readLineWith"
      readonly limit: number | undefined
      readonly onOverrun: "fail" | "discard"
      readonly end?: "optional" | "required" | undefined
      readonly keepDelimiter?: boolean | undefined
    }
  /** What the stream of lines takes at a time. */
  | {
      readonly name: "lines"
      readonly limit: number | undefined
      readonly onOverrun: "fail" | "discard"
      readonly end: "optional" | "required"
    }
  | { readonly name: "readAll"; readonly maxBytes: number | "unbounded" }
  | { readonly name: "unread"; readonly bytes: string }

/** What a read succeeds with: bytes as text, `None` as `null`; several lines as they are. */
export type Value = string | { readonly some: string } | ReadonlyArray<string> | null | undefined

/** What came of a read: a value, or an error with its fields. */
export type Outcome = { readonly value: Value } | Failed

export interface Failed {
  readonly error: string
  readonly [field: string]: unknown
}

/** The effect that a request stands for. */
export const effectOf = (reader: StreamReader.StreamReader, request: Request): Effect.Effect<unknown, unknown> => {
  if (request.name !== "readInto") return plainReadOf(reader, request)
  return new Shown(reader as BufferReader, new Uint8Array(request.count)) as Effect.Effect<any, any>
}

/** Answers with the bytes themselves, in the same step: one more, in which the fiber may be interrupted, would lose them. */
class Shown extends ReadInto {
  private shown(size: number) {
    return this.target.slice(0, size) as never
  }
  override tryNow(): any {
    const size = super.tryNow()
    return size === notNow ? size : this.shown(size)
  }
  override settle() {
    const exit = super.settle()
    return exit !== undefined && Exit.isSuccess(exit) ? Exit.succeed(this.shown(exit.value)) : exit
  }
}

/** The read itself, and what its value shows. */
const readOf = (
  reader: StreamReader.StreamReader,
  request: Request
): { readonly read: Effect.Effect<unknown, unknown>; readonly shown: (value: unknown) => unknown } => {
  if (request.name !== "readInto") return { read: plainReadOf(reader, request), shown: (value) => value }
  const target = new Uint8Array(request.count)
  return { read: reader.readInto(target), shown: (size) => target.slice(0, size as number) }
}

const plainReadOf = (reader: StreamReader.StreamReader, request: PlainRequest): Effect.Effect<unknown, unknown> => {
  switch (request.name) {
    case "read":
    case "readOption":
    case "readExactly":
    case "readExactlyOption":
    case "peek":
    case "skip":
      return reader[request.name](request.count)
    case "readUntil":
    case "readUntilOption": {
      const { keepDelimiter, limit, name, separators } = request
      return reader[name](separatorOf(separators), { limit, keepDelimiter })
    }
    case "discardUntil":
      return reader.discardUntil(separatorOf(request.separators))
    case "readLine":
    case "readLineOption":
    case "readLineText":
    case "pull":
      return reader[request.name]
    case "readLineWith": {
      const { end, keepDelimiter, limit, onOverrun } = request
      return reader.readLineWith({ limit, onOverrun, end, keepDelimiter })
    }
    case "lines":
      return Lines.pull(reader, request)
    case "readAll":
      return reader.readAll({ maxBytes: request.maxBytes })
    case "unread":
      return reader.unread(bytes(request.bytes))
  }
}

const separatorOf = (separators: ReadonlyArray<string>) => (separators.length === 1 ? separators[0]! : separators)

/** The outcome of a read that succeeded. */
export const succeeded = (value: unknown): Outcome => {
  if (value === undefined) return { value: undefined }
  if (Option.isOption(value)) {
    return { value: Option.isNone(value) ? null : { some: textOf(value.value as string | Uint8Array) } }
  }
  if (!Array.isArray(value)) return { value: text(value as Uint8Array) }
  if (value.length > 0 && value.every((line) => typeof line === "string")) return { value }
  return { value: text(joined(value as Array<Uint8Array>)) }
}

const textOf = (value: string | Uint8Array): string => (typeof value === "string" ? value : text(value))

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  if (pieces.length === 0 || pieces.some((piece) => piece.length === 0)) throw new Error("pull: an empty piece")
  return Buffer.concat(pieces)
}

/** The outcome of a read that failed. */
export const failed = (error: unknown): Outcome => {
  if (Cause.isDone(error)) return { error: "Done" }
  const { _tag, ...fields } = error as { readonly _tag: string; readonly partial?: Uint8Array }
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return {
    error: _tag,
    ...Object.fromEntries(given),
    ...(fields.partial === undefined ? undefined : { partial: text(fields.partial) })
  }
}

/**
 * Runs a request, and shows its outcome to `see` in the very step in which the read is over. `inGenerator`: with
 * `yield*`, where a read may answer without becoming an effect.
 */
export const perform = (
  reader: StreamReader.StreamReader,
  request: Request,
  see: (outcome: Outcome) => void,
  inGenerator = false
): Effect.Effect<void> => {
  const { read, shown } = readOf(reader, request)
  if (!inGenerator) {
    return Effect.match(read, {
      onSuccess: (value) => see(succeeded(shown(value))),
      onFailure: (error) => see(failed(error))
    })
  }
  return Effect.gen(function* () {
    const value = yield* read
    see(succeeded(shown(value)))
  }).pipe(Effect.match({ onSuccess: () => {}, onFailure: (error) => see(failed(error)) }))
}

// ---------------------------------------------------------------------------
// generators
// ---------------------------------------------------------------------------

/** Few characters, so that separators are met, overlap and are cut often. */
const letters = ["a", "b", "\n", "a", "b", "\n", "\r"] as const

/** Text over few letters. */
export const letterText = (length: { readonly minLength?: number; readonly maxLength: number }): fc.Arbitrary<string> =>
  fc.string({ ...length, unit: fc.constantFrom(...letters) })

/** Separators that contain, begin, end and overlap each other; one is longer than a small limit. */
export const separators: fc.Arbitrary<ReadonlyArray<string>> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(["\n"], ["a"], ["ab"], ["ba"], ["aab"], ["aba"], ["bbbb\nbbbbbb"]) },
  {
    weight: 2,
    arbitrary: fc.uniqueArray(fc.constantFrom("\n", "a", "ab", "ba", "aab", "aba", "abab", "b\n", "bbb\nbbbb\n"), {
      minLength: 1,
      maxLength: 4
    })
  }
)

const count = (most: number): fc.Arbitrary<number> =>
  fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 0, max: 8 }) }, fc.integer({ min: 0, max: most }))

/** A limit of one call: of its own, or the reader's. */
export const callLimit: fc.Arbitrary<number | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.integer({ min: 1, max: 12 }),
  fc.constant(Infinity)
)

/** The request, but for a `skip` of more than the reader's limit: that drops bytes as they arrive, and is tested by itself. */
export const allOrNothing = <R extends Request>(request: R, limit: number): R =>
  request.name === "skip" && request.count > limit ? { ...request, count: limit } : request

/** Any read, of up to `most` bytes where it names a number. */
export const requests = (most: number): fc.Arbitrary<Request> =>
  fc.oneof(
    fc.record({
      name: fc.constantFrom("read", "readOption", "readExactly", "readExactlyOption", "peek", "skip"),
      count: count(most)
    }),
    fc.record({ name: fc.constant("readInto" as const), count: count(most) }),
    fc.record({
      name: fc.constantFrom("readUntil", "readUntilOption"),
      separators,
      limit: callLimit,
      keepDelimiter: fc.constantFrom(undefined, true, false)
    }),
    fc.record({ name: fc.constant("discardUntil" as const), separators }),
    fc.record({ name: fc.constantFrom("readLine", "readLineOption", "readLineText", "pull") }),
    fc.record({
      name: fc.constant("readLineWith" as const),
      limit: callLimit,
      onOverrun: fc.constantFrom("fail", "discard"),
      end: fc.constantFrom(undefined, "optional", "required"),
      keepDelimiter: fc.constantFrom(undefined, true, false)
    }),
    fc.record({
      name: fc.constant("lines" as const),
      limit: callLimit,
      onOverrun: fc.constantFrom("fail", "discard"),
      end: fc.constantFrom("optional", "required")
    }),
    fc.record({
      name: fc.constant("readAll" as const),
      maxBytes: fc.oneof(count(most), fc.constant("unbounded" as const))
    }),
    fc.record({ name: fc.constant("unread" as const), bytes: letterText({ maxLength: 6 }) })
  )
