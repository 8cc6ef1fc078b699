/** Laws of the end: of one direction, of an item that is cut off by it, and as a program sees it that does not read. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { StreamReader } from "../../../StreamReader.ts"
import * as Lines from "../../read/lines.ts"
import {
  areBytes,
  aWhile,
  eventually,
  failsWith,
  finishes,
  holds,
  isFailure,
  isOutcome,
  isText,
  law,
  type Law,
  meanwhile,
  outcome,
  pattern,
  succeeds,
  text,
  waits,
  within
} from "./law.ts"
import { arrived, receive } from "./pieces.ts"

/** The reads of whole items of the text "ab\n", each with what it makes of one. */
const strictReads: ReadonlyArray<{
  readonly name: string
  readonly read: (reader: StreamReader) => Effect.Effect<unknown, unknown>
  readonly whole: string
}> = [
  { name: "readExactlyOption(3)", read: (reader) => reader.readExactlyOption(3), whole: "ab\n" },
  { name: 'readUntilOption("\\n")', read: (reader) => reader.readUntilOption("\n"), whole: "ab\n" },
  { name: "readLineText", read: (reader) => reader.readLineText, whole: "ab" },
  {
    name: 'readLineWith({ end: "required" })',
    read: (reader) => reader.readLineWith({ end: "required" }),
    whole: "ab\n"
  },
  {
    name: 'readLineWith({ end: "required", keepDelimiter: false })',
    read: (reader) => reader.readLineWith({ end: "required", keepDelimiter: false }),
    whole: "ab"
  },
  { name: 'lines({ end: "required" })', read: (reader) => Lines.pull(reader, { end: "required" }), whole: "ab" }
]

/** What a read of an item answered: the item as text, or "" for a clean end. */
const itemOf = (answer: unknown): string => {
  if (Option.isOption(answer)) return Option.isNone(answer) ? "" : itemOf(answer.value)
  if (Array.isArray(answer)) return answer.join("")
  return answer instanceof Uint8Array ? text(answer) : String(answer)
}

const wholeItems = law(
  "half an item at the end is never a whole one, nor nothing",
  "The reads of whole items return each item that came whole. One that the end of the stream, or a loss, has cut off fails; a clean end is only told in front of an item.",
  (connect) =>
    Effect.gen(function* () {
      for (const { name, read, whole } of strictReads) {
        for (const [how, half] of [
          ["writeEof", ""],
          ["writeEof", "a"],
          ["close", "ab"],
          ["abort", "ab"]
        ] as const) {
          const { a, b } = yield* connect()
          const sent = `ab\n${half}`
          const writing = yield* meanwhile(Effect.andThen(a.writer.write(sent), a.writer.flush))
          const ending = how === "abort" ? a.abort : how === "close" ? Effect.asVoid(a.writer.close) : a.writer.writeEof
          const there = how === "abort" ? yield* arrived(b.reader, sent) : sent.length
          const end = yield* meanwhile(ending)
          // the end of a stream of lines is an error of its own
          const next = Effect.map(
            Effect.catchIf(read(b.reader), Cause.isDone, () => Effect.succeed("")),
            itemOf
          )
          const what = `${name}, and ${how} behind ${JSON.stringify(sent)}`
          if (there >= 3) yield* holds((yield* succeeds(what, next)) === whole, `${what}: not the first item`)
          const exit = yield* succeeds(what, Effect.exit(next))
          if (there === 3 && half === "") {
            yield* holds(Exit.isSuccess(exit) && exit.value === "", `${what}: no clean end`)
          } else if (there === sent.length) {
            if (how === "abort") yield* holds(Exit.isFailure(exit), `${what}: half an item, or a clean end`)
            else yield* isFailure(what, exit, "IncompleteRead")
          }
          if (how !== "abort") yield* holds((yield* succeeds(what, next)) === "", `${what}: no clean end behind it`)
          yield* outcome(how, end)
          yield* outcome("the write", writing)
        }
      }
    }),
  { oneWay: true }
)

const halfClose = law(
  "half-close: x, then the end, and the other direction goes on (trio L26, L29)",
  "After writeEof the peer reads what was written and then EOF, and can still answer.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const asking = yield* meanwhile(Effect.andThen(a.writer.write("question"), a.writer.writeEof))
      yield* isText("the question", yield* succeeds("reading it", receive(b.reader, 3)), "question")
      yield* finishes("writeEof", asking)
      const answering = yield* meanwhile(Effect.andThen(b.writer.write("answer"), b.writer.close))
      yield* isText("the answer", yield* succeeds("reading it", receive(a.reader, 3)), "answer")
      yield* isOutcome("close", yield* finishes("answer and close", answering), "Graceful")
      yield* isOutcome("close", yield* succeeds("close", a.writer.close), "Graceful")
    })
)

const lateReader = law(
  "the answer to a half-close is whole, however late it is read",
  "When one end has ended its output, and the other has answered and closed, all of the answer is read, and then the end, also by a reader that takes its time.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 1024 })
      const asking = yield* meanwhile(Effect.andThen(a.writer.write("question"), a.writer.writeEof))
      yield* isText("the question", yield* succeeds("reading it", receive(b.reader, 3)), "question")
      yield* finishes("writeEof", asking)
      const sent = pattern(10_000)
      const answering = yield* meanwhile(Effect.andThen(b.writer.write(sent), b.writer.close))
      yield* aWhile
      yield* areBytes("the answer", yield* succeeds("reading it", receive(a.reader, 1000)), sent)
      yield* isOutcome("close", yield* finishes("answer and close", answering), "Graceful")
      const closed = yield* succeeds("closed", a.closed)
      yield* holds(closed._tag === "PeerEof", () => `closed is ${closed._tag}`)
    })
)

const afterEof = law(
  "after writeEof writing is over, and writeEof may be repeated (trio L27, L28)",
  "Writes fail with ClosedStream, reason Eof, from the moment it is run; it may be called again; after close it does nothing.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const ending = yield* meanwhile(a.writer.writeEof)
      yield* failsWith("write", a.writer.write("x"), "ClosedStream", "Eof")
      yield* failsWith("write of nothing", a.writer.write(""), "ClosedStream", "Eof")
      yield* failsWith("writeAll", a.writer.writeAll([]), "ClosedStream", "Eof")
      yield* finishes("writeEof", ending)
      yield* succeeds("writeEof again", a.writer.writeEof)
      yield* holds(!(yield* a.writer.isClosing), "isClosing is true after writeEof alone")
      yield* areBytes("the end", yield* succeeds("the end", b.reader.read(1)), new Uint8Array(0))
      yield* succeeds("close", a.writer.close)
      yield* succeeds("writeEof after close", a.writer.writeEof)
    })
)

const closedIsSeen = law(
  "the end of a session is seen by those who do not read",
  "closed completes when the peer ends its output, closes or breaks off, although nobody reads; and on its own side when it closes.",
  (connect) =>
    Effect.gen(function* () {
      for (const how of ["writeEof", "close", "abort"] as const) {
        const { a, b } = yield* connect()
        const watching = yield* meanwhile(b.closed)
        const own = yield* meanwhile(a.closed)
        yield* aWhile
        yield* holds(waits(watching), `closed was complete before ${how}`)
        const end = how === "abort" ? a.abort : how === "close" ? Effect.asVoid(a.writer.close) : a.writer.writeEof
        yield* succeeds(how, end)
        const closed = yield* finishes(`closed, after ${how}`, watching)
        yield* holds(closed._tag !== "Local", `after ${how} closed is ${closed._tag}`)
        if (how === "writeEof") yield* Fiber.interrupt(own)
        else {
          const mine = yield* finishes(`its own closed, after ${how}`, own)
          yield* holds(mine._tag === "Local", `after its own ${how} closed is ${mine._tag}`)
        }
      }
    })
)

const roomIsMade = law(
  "reading what is there makes room for what comes",
  "When the transport was paused, and everything buffered has been read, it goes on, although nobody waits for more: the end behind it is seen.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 16 })
      const sent = pattern(100)
      const writing = yield* meanwhile(Effect.andThen(a.writer.write(sent), a.writer.writeEof))
      yield* within(
        "the bytes arrive",
        Effect.raceFirst(
          eventually(
            "they are buffered",
            Effect.map(b.reader.buffered, (n) => n >= sent.length)
          ),
          aWhile
        )
      )
      yield* areBytes("what arrived", yield* succeeds("reading it", b.reader.readExactly(sent.length)), sent)
      const closed = yield* within("the end behind it is seen", b.closed)
      yield* holds(closed._tag === "PeerEof", `closed is ${closed._tag}`)
      yield* finishes("the writes", writing)
    })
)

export const lawsOfEnding: ReadonlyArray<Law> = [halfClose, lateReader, afterEof, wholeItems, closedIsSeen, roomIsMade]
