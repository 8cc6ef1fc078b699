/**
 * Reads what `Wiretap` has recorded: text in pieces of any size, to lines that are checked.
 *
 * A transcript may begin in the middle of connections, because files are rotated. It may end in the middle of a line,
 * because its process was killed: that is told, and is no error. Everything else that is wrong is an error with the number
 * of its line.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Bytes from "../base/bytes.ts"
import { maxTranscriptLine } from "../base/defaults.ts"
import { Line } from "./transcript.ts"

/** A line that is none of a transcript. */
export class Malformed extends Schema.TaggedError<Malformed>("effect-byte-streams/Malformed")("Malformed", {
  /** The number of the line, counted from 1. */
  line: Schema.Number,
  /** What is wrong with it. */
  problem: Schema.String
}) {
  override get message(): string {
    return `line ${this.line}: ${this.problem}`
  }
}

/** A line, with its number from 1 and the bytes it stands for: none for what is not of bytes. */
export interface Entry {
  readonly _tag: "Entry"
  readonly number: number
  readonly line: Line
  readonly bytes: Uint8Array
}

/** The last line of a text is cut off. */
export interface CutOff {
  readonly _tag: "CutOff"
  readonly number: number
}

/** Each kind of line by itself, so that what is wrong with one is told of its own fields. */
const kinds = Line.members.map((member) => ({
  has: Schema.is(member.fields.type),
  decode: Schema.decodeUnknownResult(member as Schema.Decoder<Line>)
}))

/** A line that is JSON, or what is wrong with it. */
const decode = (value: unknown): Line | string => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "not a JSON object"
  const { type } = value as { readonly type?: unknown }
  if (type === undefined) return "no type"
  const kind = kinds.find(({ has }) => has(type))
  if (kind === undefined) return `unknown type ${JSON.stringify(type).slice(0, 40)}`
  const line = kind.decode(value)
  return Result.isSuccess(line) ? line.success : line.failure.message.replaceAll(/\s*\n\s*/g, " ")
}

/** The bytes of a line, or what is wrong with them. */
const bytesOf = (line: Line): Uint8Array | string => {
  if (!Number.isFinite(line.time)) return "time is no finite number"
  if (!Number.isSafeInteger(line.id) || line.id < 0) return "id is no integer of 0 or more"
  if (line.type !== "in" && line.type !== "out") return Bytes.empty
  if ((line.text === undefined) === (line.base64 === undefined)) return "must have either text or base64"
  const bytes = line.text === undefined ? Base64.decode(line.base64!) : Result.succeed(Bytes.encode(line.text))
  if (Result.isFailure(bytes)) return "base64 is none"
  const { length } = bytes.success
  const fits = ([from, to]: readonly [number, number]): boolean =>
    Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from <= to && to <= length
  return line.masked === undefined || line.masked.every(fits)
    ? bytes.success
    : `masked is not within the ${length} bytes of the line`
}

const parse = (text: string, number: number): Entry | Malformed => {
  const wrong = (problem: string): Malformed => new Malformed({ line: number, problem })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return wrong("not JSON")
  }
  const line = decode(value)
  if (typeof line === "string") return wrong(line)
  const bytes = bytesOf(line)
  return typeof bytes === "string" ? wrong(bytes) : { _tag: "Entry", number, line, bytes }
}

/** Reads one transcript after another. After a `Malformed` nothing of it is worth reading. */
export class TranscriptReader {
  private number = 0
  /** The beginning of a line whose end has not come. */
  private readonly begun: Array<string> = []
  private length = 0

  private keep(text: string): void {
    if (text.length > 0) this.begun.push(text)
    this.length += text.length
  }

  private take(): string {
    const text = this.begun.join("")
    this.begun.length = 0
    this.length = 0
    this.number++
    return text
  }

  /** Reads the next piece of text, whatever its size. */
  *read(chunk: string): Generator<Entry | Malformed> {
    let from = 0
    for (let end = chunk.indexOf("\n"); end !== -1; end = chunk.indexOf("\n", from)) {
      this.keep(chunk.slice(from, end))
      from = end + 1
      const text = this.take()
      if (text.trim() !== "") yield parse(text, this.number)
    }
    this.keep(chunk.slice(from))
    if (this.length > maxTranscriptLine) {
      this.take()
      yield new Malformed({ line: this.number, problem: `longer than ${maxTranscriptLine} characters` })
    }
  }

  /** Ends a text. The next one begins with a new line. */
  *end(): Generator<Entry | Malformed | CutOff> {
    if (this.length === 0) return
    const text = this.take()
    if (text.trim() === "") return
    const last = parse(text, this.number)
    // no part of an object that begins it is JSON
    const isCutOff = last._tag === "Malformed" && text.startsWith("{") && !isJson(text)
    yield isCutOff ? { _tag: "CutOff", number: this.number } : last
  }
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Reads texts in order, each of which ends with its last line. Lines are counted over all of them. */
export const readAll = (texts: Iterable<string>): Result.Result<ReadonlyArray<Entry | CutOff>, Malformed> => {
  const reader = new TranscriptReader()
  const all: Array<Entry | CutOff> = []
  for (const text of texts) {
    for (const items of [reader.read(text), reader.end()]) {
      for (const item of items) {
        if (item._tag === "Malformed") return Result.fail(item)
        all.push(item)
      }
    }
  }
  return Result.succeed(all)
}
