/** One read of each kind, all of them of the line "abcd\n". */
import { type Outcome, type Request } from "./readRequests.ts"
import { done, incomplete, none, some, value } from "./handFed.ts"

export interface Read {
  /** Tells it apart from the others. */
  readonly title: string
  readonly request: Request
  /** Bytes for which it waits on. */
  readonly tooLittle: string
  /** What is missing then. */
  readonly missing: string
  /** Whether it waits for the end as well. */
  readonly waitsForEnd: boolean
  /** What comes of it, of the whole line. */
  readonly outcome: Outcome
  /** What is left in the buffer of the line. */
  readonly leaves: string
  /** What comes of it where the stream has ended and nothing is left. */
  readonly atEnd: Outcome
}

const line = "abcd\n"

const read = (
  request: Request,
  outcome: Outcome,
  atEnd: Outcome,
  rest?: {
    readonly title?: string
    readonly anyByte?: boolean
    readonly waitsForEnd?: boolean
    readonly leaves?: string
  }
): Read => ({
  title: rest?.title ?? request.name,
  request,
  tooLittle: rest?.anyByte === true ? "" : "abc",
  missing: rest?.anyByte === true ? line : "d\n",
  waitsForEnd: rest?.waitsForEnd ?? false,
  outcome,
  leaves: rest?.leaves ?? "",
  atEnd
})

/** All the reads that may wait. */
export const reads: ReadonlyArray<Read> = [
  read({ name: "read", count: 5 }, value(line), value(""), { anyByte: true }),
  read({ name: "readInto", count: 5 }, value(line), value(""), { anyByte: true }),
  read({ name: "readOption", count: 5 }, some(line), none, { anyByte: true }),
  read({ name: "pull" }, value(line), done, { anyByte: true }),
  read({ name: "readExactly", count: 5 }, value(line), incomplete("readExactly", "", 5)),
  read({ name: "readExactlyOption", count: 5 }, some(line), none),
  read({ name: "readAll", maxBytes: 5 }, value(line), value(""), { waitsForEnd: true }),
  read({ name: "readAll", maxBytes: "unbounded" }, value(line), value(""), {
    title: "readAll unbounded",
    waitsForEnd: true
  }),
  read({ name: "readUntil", separators: ["\n"], limit: undefined }, value(line), incomplete("readUntil", "")),
  read({ name: "readUntil", separators: ["d\n"], limit: 3 }, value(line), incomplete("readUntil", ""), {
    title: "readUntil a separator of several bytes"
  }),
  read(
    { name: "readUntil", separators: ["x", "d\n", "\r"], limit: undefined },
    value(line),
    incomplete("readUntil", ""),
    {
      title: "readUntil one of several separators"
    }
  ),
  read(
    { name: "readUntil", separators: ["d\n"], limit: undefined, keepDelimiter: false },
    value("abc"),
    incomplete("readUntil", ""),
    { title: "readUntil without the delimiter" }
  ),
  read({ name: "readUntilOption", separators: ["\n"], limit: undefined }, some(line), none),
  read({ name: "readUntilOption", separators: ["x", "d\n", "\r"], limit: 3, keepDelimiter: false }, some("abc"), none, {
    title: "readUntilOption one of several separators, without it"
  }),
  read({ name: "readLine" }, value(line), value("")),
  read({ name: "readLineOption" }, some(line), none),
  read({ name: "readLineText" }, some("abcd"), none),
  read({ name: "readLineWith", limit: undefined, onOverrun: "fail" }, value(line), value("")),
  read({ name: "readLineWith", limit: undefined, onOverrun: "discard" }, value(line), value(""), {
    title: "readLineWith discard"
  }),
  read({ name: "readLineWith", limit: undefined, onOverrun: "fail", end: "required" }, value(line), value(""), {
    title: "readLineWith, the end required"
  }),
  read({ name: "readLineWith", limit: undefined, onOverrun: "fail", keepDelimiter: false }, some("abcd"), none, {
    title: "readLineWith without the delimiter"
  }),
  read(
    { name: "readLineWith", limit: 4, onOverrun: "discard", end: "required", keepDelimiter: false },
    some("abcd"),
    none,
    { title: "readLineWith discard, the end required, without the delimiter" }
  ),
  read({ name: "lines", limit: undefined, onOverrun: "fail", end: "optional" }, { value: ["abcd"] }, done),
  read({ name: "lines", limit: 4, onOverrun: "discard", end: "required" }, { value: ["abcd"] }, done, {
    title: "lines discard, the end required"
  }),
  read({ name: "peek", count: 5 }, value(line), value(""), { leaves: line }),
  read({ name: "skip", count: 5 }, value(), incomplete("skip", "", 5)),
  read({ name: "discardUntil", separators: ["\n"] }, value(), incomplete("discardUntil", ""))
]
