/** Laws of interruption: at every point of a program, nothing is lost and nothing comes twice. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Frame } from "../../../Frame.ts"
import type { IncompleteRead, LimitOverrun, MalformedFrame, ReadError } from "../../../StreamError.ts"
import type { StreamReader } from "../../../StreamReader.ts"
import { tuple } from "../../frame/sequence.ts"
import * as Text from "../../frame/text.ts"
import { pull } from "../../read/pullFrames.ts"
import * as Interruption from "./interruptAt.ts"
import {
  areBytes,
  bytes,
  concat,
  describe,
  type Ends,
  finishes,
  holds,
  isOutcome,
  isText,
  law,
  type Law,
  meanwhile,
  succeeds,
  text,
  turns
} from "./law.ts"
import { receive } from "./pieces.ts"

const pieces = ["ab\ncd", "ef\n\ngh", "ijst\nk"]
const all = bytes(pieces.join(""))

/**
 * One read after the other, by whose answers the whole stream can be put
 * together again. What was read is noted in the very step in which it is
 * answered: between two steps the fiber may be gone. `true` at the end.
 */
interface Reading {
  readonly name: string
  readonly read: (reader: StreamReader, note: (bytes: Uint8Array) => void) => Effect.Effect<boolean, unknown>
}

const plain = (
  name: string,
  read: (reader: StreamReader) => Effect.Effect<Uint8Array, ReadError | LimitOverrun>
): Reading => ({
  name,
  read: (reader, note) =>
    Effect.gen(function* () {
      const bytes = yield* read(reader)
      note(bytes)
      return bytes.length === 0
    })
})

const optional = (
  name: string,
  read: (reader: StreamReader) => Effect.Effect<Option.Option<Uint8Array>, ReadError | LimitOverrun>
): Reading => ({
  name,
  read: (reader, note) =>
    Effect.gen(function* () {
      const bytes = yield* read(reader)
      if (Option.isSome(bytes)) note(bytes.value)
      return Option.isNone(bytes)
    })
})

type PartialError = ReadError | LimitOverrun | IncompleteRead | MalformedFrame

/** Its error carries the rest of the stream. `bytesOf` its answer: those that it read, or none where there is no rest. */
const partialOf = <A>(
  name: string,
  read: (reader: StreamReader) => Effect.Effect<A, PartialError | Cause.Done>,
  bytesOf: (answer: A) => Uint8Array | undefined
): Reading => ({
  name,
  read: (reader, note) =>
    Effect.gen(function* () {
      const answer = yield* Effect.catchCause(read(reader), (cause) => {
        const reason = cause.reasons[0]
        if (reason?._tag !== "Fail") return Effect.failCause(cause)
        if (reason.error._tag === "IncompleteRead") note(reason.error.partial)
        else if (!Cause.isDone(reason.error)) return Effect.failCause(cause)
        return Effect.succeed(undefined)
      })
      const bytes = answer === undefined ? undefined : bytesOf(answer)
      if (bytes !== undefined) note(bytes)
      return bytes === undefined
    })
})

const partial = (
  name: string,
  read: (reader: StreamReader) => Effect.Effect<Uint8Array | Option.Option<Uint8Array>, PartialError>
): Reading => partialOf(name, read, (answer) => (Option.isOption(answer) ? Option.getOrUndefined(answer) : answer))

/** A message of several parts, by which all bytes are kept. */
const pair: Frame<ReadonlyArray<Uint8Array>> = tuple([Text.bytes(2), Text.bytes(3)])

const allOf = (pairs: ReadonlyArray<ReadonlyArray<Uint8Array>>): Uint8Array | undefined =>
  pairs.length === 0 ? undefined : concat(pairs.flat())

const readings: ReadonlyArray<Reading> = [
  plain("read", (reader) => reader.read(3)),
  {
    name: "readInto",
    read: (reader, note) =>
      Effect.gen(function* () {
        const target = new Uint8Array(3)
        const size = yield* reader.readInto(target)
        note(target.subarray(0, size))
        return size === 0
      })
  },
  optional("readOption", (reader) => reader.readOption(3)),
  partial("readExactly", (reader) => reader.readExactly(4)),
  partial("readExactlyOption", (reader) => reader.readExactlyOption(4)),
  partial("readUntil", (reader) => reader.readUntil(["\n", "st"])),
  plain("readLine", (reader) => reader.readLine),
  plain("readLineWith", (reader) => reader.readLineWith({ onOverrun: "discard" })),
  optional("readLineOption", (reader) => reader.readLineOption),
  plain("readAll", (reader) => reader.readAll({ maxBytes: "unbounded" })),
  {
    name: "pull",
    read: (reader, note) =>
      Effect.gen(function* () {
        const pieces = yield* Effect.catchCause(reader.pull, (cause) => {
          const reason = cause.reasons[0]
          return reason?._tag === "Fail" && Cause.isDone(reason.error)
            ? Effect.succeed(undefined)
            : Effect.failCause(cause)
        })
        if (pieces === undefined) return true
        note(concat(pieces))
        return false
      })
  },
  {
    name: "peek and skip",
    read: (reader, note) =>
      Effect.gen(function* () {
        const next = yield* reader.peek(3)
        yield* reader.skip(next.length)
        note(next)
        return next.length === 0
      })
  }
]

const readingsOfMessages: ReadonlyArray<Reading> = [
  partialOf("readFrame", (reader) => reader.readFrame(pair), concat),
  partialOf(
    "readFrameOption",
    (reader) => reader.readFrameOption(pair),
    Option.match({ onNone: () => undefined, onSome: concat })
  ),
  partialOf("readFrames", (reader) => reader.readFrames(pair), allOf),
  partialOf("frames", (reader) => pull(reader, pair, "fail"), allOf)
]

const send = ({ a }: Ends) =>
  Effect.gen(function* () {
    for (const piece of pieces) {
      yield* a.writer.write(piece)
      yield* a.writer.flush
      yield* Effect.yieldNow
    }
    yield* a.writer.writeEof
  })

/** Runs a program once for each of its points, and once more without a harm. */
const everywhere = <E, R>(
  trial: (point: Interruption.Point | undefined) => Effect.Effect<ReadonlyArray<Interruption.Point>, E, R>
) =>
  Effect.gen(function* () {
    for (const point of yield* trial(undefined)) yield* trial(point)
  })

const at = (point: Interruption.Point | undefined): string =>
  point === undefined
    ? "not interrupted"
    : point.when === "before"
      ? `interrupted before step ${point.step}`
      : `interrupted where it ${point.when === "waiting" ? "waits" : "is suspended"} after step ${point.step}`

/** How those read on who come after the one that was interrupted. */
const readOn = ["by others", "by the same read"] as const

const lawOfReads = (name: string, statement: string, readings: ReadonlyArray<Reading>): Law =>
  law(
    name,
    statement,
    (connect) =>
      Effect.forEach(
        readings,
        ({ name, read }, number) => {
          // one after the other, and with the next read the other way round
          let turn = number
          return everywhere((point) =>
            Effect.scoped(
              Effect.gen(function* () {
                const ends = yield* connect()
                const { reader } = ends.b
                const got: Array<Uint8Array> = []
                const note = (bytes: Uint8Array) => void got.push(bytes)
                const subject = Effect.gen(function* () {
                  while (!(yield* read(reader, note)));
                })
                const sending = yield* meanwhile(send(ends))
                const { exit, points } = yield* succeeds(`${name}, ${at(point)}`, Interruption.run(subject, point))
                yield* holds(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause), () =>
                  Exit.isFailure(exit) ? `${name}, ${at(point)}: ${describe(exit.cause)}` : ""
                )
                const by = readOn[turn++ % readOn.length]!
                const others = Effect.map(receive(reader, 100), note)
                const rest = by === "by others" ? others : subject
                yield* succeeds(`reading on ${by} after ${name}, ${at(point)}`, rest)
                yield* areBytes(`${name}, ${at(point)}, and the rest`, concat(got), all)
                yield* finishes("the writes", sending)
                return points
              })
            )
          )
        },
        { discard: true }
      ),
    { oneWay: true }
  )

const reads = lawOfReads(
  "a read that is interrupted, wherever, loses nothing and repeats nothing",
  "For every kind of read, and at every point at which a fiber can be interrupted: what it had read, and what the next reader reads, is what was sent.",
  readings
)

const messages = lawOfReads(
  "a read of a message that is interrupted, wherever, loses nothing and repeats nothing",
  "For every read of messages, and at every point at which a fiber can be interrupted: the messages it had read, and the bytes that the next reader reads, are what was sent.",
  readingsOfMessages
)

const writes = law(
  "a write that is interrupted, wherever, was accepted whole or not at all",
  "At every point: each write that returned arrives, whole and in order; the one that was interrupted arrives whole or not at all; and those who come after are not held up.",
  (connect) =>
    everywhere((point) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { a, b } = yield* connect({ highWaterMark: 16, lowWaterMark: 4, limit: 8 })
          const accepted: Array<string> = []
          const subject = Effect.gen(function* () {
            for (let i = 0; i < 6; i++) {
              const word = `<${"abcdef"[i]!.repeat(10)}>`
              yield* i % 2 === 0 ? a.writer.write(word) : a.writer.writeAll([word.slice(0, 4), word.slice(4)])
              accepted.push(word)
              if (i === 2) yield* a.writer.drain
              if (i === 4) yield* a.writer.flush
            }
          })
          const reading = yield* meanwhile(
            Effect.gen(function* () {
              const got: Array<Uint8Array> = []
              while (true) {
                const piece = yield* b.reader.read(5)
                if (piece.length === 0) return text(concat(got))
                got.push(piece)
                yield* Effect.yieldNow
              }
            })
          )
          const { exit, points } = yield* succeeds(`writing, ${at(point)}`, Interruption.run(subject, point))
          yield* holds(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause), () =>
            Exit.isFailure(exit) ? `writing, ${at(point)}: ${describe(exit.cause)}` : ""
          )
          const ending = yield* meanwhile(Effect.andThen(a.writer.write("<END>"), a.writer.writeEof))
          const got = yield* finishes(`reading, ${at(point)}`, reading)
          yield* finishes(`the last write, ${at(point)}`, ending)
          const certain = accepted.join("")
          const next = "abcdef"[accepted.length]
          const maybe = next === undefined ? certain : `${certain}<${next.repeat(10)}>`
          if (got !== `${maybe}<END>`) yield* isText(`what arrived, ${at(point)}`, bytes(got), `${certain}<END>`)
          return points
        })
      )
    ),
  { oneWay: true }
)

const waitsGivenUp = law(
  "a wait that is given up, wherever, changes nothing",
  "drain, flush, writeEof and closed, interrupted at every point: everything written arrives, writeEof ends the output all the same, and later waits end.",
  (connect) =>
    everywhere((point) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { a, b } = yield* connect({ highWaterMark: 8, lowWaterMark: 2, limit: 4 })
          const sent = "0123456789abcdefghijklmnopqrstuvwxyz"
          a.writer.writeUnsafe(sent)
          const subject = Effect.gen(function* () {
            yield* a.writer.drain
            yield* a.writer.flush
            yield* a.writer.writeEof
            yield* b.closed
          })
          const reading = yield* meanwhile(receive(b.reader, 5))
          const { exit, points } = yield* succeeds(`waiting, ${at(point)}`, Interruption.run(subject, point))
          yield* holds(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause), () =>
            Exit.isFailure(exit) ? `waiting, ${at(point)}: ${describe(exit.cause)}` : ""
          )
          yield* succeeds(`drain, after one was ${at(point)}`, a.writer.drain)
          yield* succeeds(`writeEof, after one was ${at(point)}`, a.writer.writeEof)
          yield* isText(`what arrived, ${at(point)}`, yield* finishes("reading", reading), sent)
          yield* succeeds(`closed, after one was ${at(point)}`, b.closed)
          return points
        })
      )
    ),
  { oneWay: true }
)

const cancelledRead = law(
  "a read that was given up leaves everything as it was (trio L16)",
  "After a read, a write or a wait was interrupted, the streams go on, and close in good order.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const reads: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        b.reader.read(5),
        b.reader.readExactly(5),
        b.reader.readLine,
        b.reader.pull
      ]
      for (const read of reads) {
        const reading = yield* meanwhile(read)
        yield* turns(2)
        yield* Fiber.interrupt(reading)
      }
      const closed = yield* meanwhile(b.closed)
      yield* Fiber.interrupt(closed)
      const writing = yield* meanwhile(a.writer.write("still here"))
      yield* isText("what comes then", yield* succeeds("reading it", b.reader.readExactly(10)), "still here")
      yield* finishes("the write", writing)
      yield* isOutcome("close", yield* succeeds("close", a.writer.close), "Graceful")
      yield* areBytes("the end", yield* succeeds("the end", b.reader.read(1)), new Uint8Array(0))
      yield* isOutcome("close", yield* succeeds("close", b.writer.close), "Graceful")
    })
)

export const lawsOfInterruption: ReadonlyArray<Law> = [cancelledRead, reads, messages, writes, waitsGivenUp]
