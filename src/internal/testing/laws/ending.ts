/** Laws of how a stream ends: in good order, half, by force, by loss, and how long it may take. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { StreamReader } from "../../../StreamReader.ts"
import type { CloseOutcome } from "../../../StreamWriter.ts"
import * as Lines from "../../read/lines.ts"
import {
  areBytes,
  aWhile,
  type Broken,
  bytes,
  concat,
  eventually,
  failsWith,
  finishes,
  holds,
  isFailure,
  isLoss,
  isText,
  law,
  type Law,
  meanwhile,
  outcome,
  pattern,
  succeeds,
  text,
  turns,
  waits,
  within
} from "./law.ts"
import { collect, receive } from "./bytes.ts"

const isOutcome = (what: string, outcome: CloseOutcome, ...allowed: ReadonlyArray<CloseOutcome["_tag"]>) =>
  holds(allowed.includes(outcome._tag), `${what}: ${JSON.stringify(outcome)}, expected ${allowed.join(" or ")}`)

const closing = law(
  "what was written before a close arrives, then the end (trio L12, L25)",
  "All data, then EOF, also for a reader that starts later; and EOF again, every time.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const sent = pattern(50_000)
      const writing = yield* meanwhile(
        Effect.gen(function* () {
          yield* a.writer.write(sent)
          return yield* a.writer.close
        })
      )
      yield* aWhile
      yield* areBytes("what arrived", yield* succeeds("reading to the end", receive(b.reader, 8192)), sent)
      yield* isOutcome("close", yield* finishes("write and close", writing), "Graceful")
      for (const again of ["once more", "and again"]) {
        yield* areBytes(again, yield* succeeds(`read at the end, ${again}`, b.reader.read(10)), new Uint8Array(0))
      }
      yield* holds(yield* b.reader.atEof, "atEof is false at the end")
      yield* isOutcome("closing the other end", yield* succeeds("close", b.writer.close), "Graceful")
    })
)

const ownClose = law(
  "after its own close a stream answers ClosedStream (trio L9, L10, L11)",
  "Reads, writes, empty writes, drains and flushes fail at once with ClosedStream; closing again is fine, and says the same.",
  (connect) =>
    Effect.gen(function* () {
      const { a } = yield* connect()
      const first = yield* succeeds("close", a.writer.close)
      yield* holds(yield* a.writer.isClosing, "isClosing is false after close")
      yield* failsWith("read", a.reader.read(1), "ClosedStream", "Closed")
      yield* failsWith("readLine", a.reader.readLine, "ClosedStream", "Closed")
      yield* failsWith("pull", a.reader.pull, "ClosedStream", "Closed")
      yield* failsWith("write", a.writer.write("x"), "ClosedStream", "Closed")
      yield* failsWith("write of nothing", a.writer.write(""), "ClosedStream", "Closed")
      yield* failsWith("writeAll", a.writer.writeAll(["x"]), "ClosedStream", "Closed")
      yield* failsWith("drain", a.writer.drain, "ClosedStream", "Closed")
      yield* failsWith("flush", a.writer.flush, "ClosedStream", "Closed")
      const again = yield* succeeds("closing twice", a.writer.close)
      yield* holds(again._tag === first._tag, `the first close was ${first._tag}, the second ${again._tag}`)
      yield* succeeds("abort after close", a.abort)
      const last = yield* succeeds("close after abort", a.writer.close)
      yield* holds(last._tag === first._tag, `close was ${first._tag}, and after an abort ${last._tag}`)
    })
)

const peerGone = law(
  "writing to a peer that has closed fails before long, and goes on failing (trio L7, L8)",
  "A loop that only writes learns in a bounded number of writes, with ConnectionLost, that nobody reads any more, and no later write succeeds.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ closeTimeout: "1 second" })
      yield* succeeds("close", b.writer.close)
      yield* failsWith(
        "writing on and on",
        Effect.forever(Effect.andThen(a.writer.write("anyone?\n"), aWhile)),
        "ConnectionLost"
      )
      yield* failsWith("a write after that", a.writer.write("x"), "ConnectionLost")
      yield* failsWith("a drain after that", a.writer.drain, "ConnectionLost")
      yield* isOutcome("close", yield* succeeds("close", a.writer.close), "Reset")
    })
)

const receiverAborts = law(
  "aborting the receiver breaks the sender (trio L13)",
  "The receiver's reads fail with ClosedStream, the sender's writes before long with ConnectionLost.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      yield* succeeds("abort", b.abort)
      yield* failsWith("read", b.reader.read(1), "ClosedStream", "Aborted")
      yield* isOutcome("close after abort", yield* succeeds("close", b.writer.close), "Aborted")
      yield* failsWith(
        "writing on and on",
        Effect.forever(Effect.andThen(a.writer.write("anyone?\n"), turns(5))),
        "ConnectionLost"
      )
    })
)

const senderAborts = law(
  "aborting the sender ends the receiver (trio L14)",
  "The sender's writes fail with ClosedStream; the receiver's reads are lost or end, without a byte that was not sent, and never hang.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const reading = yield* meanwhile(b.reader.read(10))
      yield* turns(3)
      yield* succeeds("abort", a.abort)
      yield* failsWith("write", a.writer.write("x"), "ClosedStream", "Aborted")
      yield* failsWith("flush", a.writer.flush, "ClosedStream", "Aborted")
      const exit = yield* outcome("the read that waited", reading)
      if (exit._tag === "Success") yield* areBytes("the read that waited", exit.value, new Uint8Array(0))
      else yield* isLoss("the read that waited", exit)
    })
)

const dataBeforeLoss = law(
  "what arrived before a loss is read before the loss",
  "Bytes that were there when the connection broke are delivered, all of them, and only then ConnectionLost, every time.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const sent = "the reply\nand more"
      const writing = yield* meanwhile(Effect.andThen(a.writer.write(sent), a.writer.flush))
      const there = yield* arrived(b.reader, sent)
      yield* succeeds("abort", a.abort)
      yield* within("the other end notices", b.closed)
      const got = yield* succeeds("reading what was there", collect(b.reader))
      yield* holds(got.length >= there, `${there} bytes were buffered, ${got.length} could be read`)
      yield* isText("what was there", got, sent.slice(0, got.length))
      for (const again of ["then", "again"]) {
        const exit = yield* succeeds("a read behind it", Effect.exit(b.reader.read(1)))
        // a reset that looks like an end is all that some transports can say
        if (exit._tag === "Success") yield* areBytes(again, exit.value, new Uint8Array(0))
        else yield* isLoss(again, exit)
      }
      yield* outcome("the write", writing)
    })
)

/** Waits until all of it lies there. Without any buffer between the two nothing does, and that is fine too. */
const arrived = (reader: StreamReader, sent: string): Effect.Effect<number, Broken> =>
  Effect.andThen(
    within(
      "the bytes arrive",
      Effect.raceFirst(
        eventually(
          "they are buffered",
          Effect.map(reader.buffered, (n) => n === sent.length)
        ),
        aWhile
      )
    ),
    reader.buffered
  )

const resetIsNoEnd = law(
  "a reset is never an end, whoever hears of it first",
  "When the peer breaks off, what had arrived is read, and then ConnectionLost, every time: whether a read, a write or the end of the output meets it first, and also when the output had ended before.",
  (connect) =>
    Effect.gen(function* () {
      for (const first of ["a read", "a write", "writeEof", "a write and writeEof", "a read, after writeEof"]) {
        const { a, b } = yield* connect()
        const sent = "all of it\n"
        const writing = yield* meanwhile(Effect.andThen(a.writer.write(sent), a.writer.flush))
        const there = yield* arrived(b.reader, sent)
        if (first.includes("after")) yield* succeeds("writeEof", b.writer.writeEof)
        yield* succeeds("abort", a.abort)
        // in the same turn, before anybody has come to look
        if (first.startsWith("a write")) yield* Effect.ignore(Effect.try(() => b.writer.writeUnsafe("x")))
        const ending = first.includes("writeEof") ? yield* meanwhile(b.writer.writeEof) : undefined
        const got = yield* succeeds("reading what was there", collect(b.reader))
        yield* holds(got.length >= there, `${there} bytes were buffered, ${got.length} could be read`)
        yield* isText("what was there", got, sent.slice(0, got.length))
        for (const again of ["then", "again"]) {
          yield* failsWith(`${again}, when ${first} met the reset`, b.reader.read(1), "ConnectionLost")
        }
        const closed = yield* within(`closed, when ${first} met the reset`, b.closed)
        yield* holds(closed._tag === "Lost", `closed is ${closed._tag}, when ${first} met the reset`)
        if (ending !== undefined) yield* outcome("writeEof", ending)
        yield* outcome("the write", writing)
      }
    })
)

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

const cancelledClose = law(
  "a close that nobody waits for any more still closes (trio L15)",
  "Interrupting whoever waits for a close does not stop it: what was written arrives, then the end.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ highWaterMark: 1 << 20, closeTimeout: "30 seconds" })
      const sent = pattern(700_000)
      const writing = yield* meanwhile(a.writer.write(sent))
      yield* turns(3)
      const closing = yield* meanwhile(a.writer.close)
      yield* turns(3)
      yield* Fiber.interrupt(closing)
      yield* failsWith("a write", a.writer.write("x"), "ClosedStream", "Closed")
      const got = yield* succeeds("reading to the end", receive(b.reader, 65_536))
      yield* areBytes("what arrived", got, sent)
      yield* isOutcome("the close", yield* succeeds("close", a.writer.close), "Graceful")
      yield* outcome("the write", writing)
    })
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

const closeWakesReader = law(
  "closing wakes a read that waits (trio L17)",
  "A read in another fiber fails with ClosedStream when its own side closes or aborts.",
  (connect) =>
    Effect.gen(function* () {
      for (const [how, reason] of [
        ["close", "Closed"],
        ["abort", "Aborted"]
      ] as const) {
        const { a } = yield* connect()
        const reading = yield* meanwhile(a.reader.readLine)
        yield* turns(3)
        yield* succeeds(how, how === "close" ? Effect.asVoid(a.writer.close) : a.abort)
        yield* isFailure(`the read, after ${how}`, yield* outcome("the read", reading), "ClosedStream", reason)
      }
    })
)

const closeUndisturbed = law(
  "whatever those do who are woken by a close, it goes on",
  "A close fails those who read, write, drain and flush in other fibers. They may write, close and end in answer: all that was accepted arrives, then the end.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ closeTimeout: "1 minute" })
      const block = pattern(50_000)
      let accepted = 0
      const write = Effect.tap(a.writer.write(block), () => Effect.sync(() => accepted++))
      const writing = yield* meanwhile(Effect.forever(write))
      yield* stuck("the writer", writing, () => accepted)
      const others = [a.reader.readLine, a.writer.write("late"), a.writer.drain, a.closed]
      const woken: Array<Fiber.Fiber<CloseOutcome, unknown>> = []
      for (const other of [Fiber.join(writing), ...others]) {
        const answer = Effect.andThen(Effect.exit(a.writer.write("later")), a.writer.close)
        woken.push(yield* meanwhile(Effect.andThen(Effect.exit(other), answer)))
      }
      const closing = yield* meanwhile(a.writer.close)
      const got = yield* succeeds("reading to the end", receive(b.reader, 65_536))
      for (const fiber of [closing, ...woken]) yield* isOutcome("close", yield* finishes("close", fiber), "Graceful")
      yield* areBytes("what arrived", got, concat(Array.from({ length: accepted }, () => block)))
    })
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

const boundedClose = law(
  "a peer that does not read cannot hold up a close",
  "close ends within closeTimeout, says that it timed out, and how much was not sent; so does every other fiber's close.",
  (connect) =>
    Effect.gen(function* () {
      const { a } = yield* connect({ closeTimeout: "300 millis", limit: 1024 })
      let written = 0
      const writing = yield* meanwhile(
        Effect.forever(Effect.tap(a.writer.write(pattern(65_536)), () => Effect.sync(() => written++)))
      )
      yield* stuck("the writer", writing, () => written)
      const started = Date.now()
      const closing = [yield* meanwhile(a.writer.close), yield* meanwhile(a.writer.close)]
      for (const fiber of closing) {
        const outcome = yield* finishes("close", fiber)
        yield* isOutcome("close", outcome, "TimedOut")
        yield* holds(outcome._tag === "TimedOut" && outcome.unsent > 0, () => `close: ${JSON.stringify(outcome)}`)
      }
      const took = Date.now() - started
      yield* holds(took >= 250, `the close gave up after ${took} ms, and not after 300`)
      yield* isFailure("the write that waited", yield* outcome("it", writing), "ClosedStream", "Closed")
    })
)

/** Waits until a writer makes no progress any more. */
export const stuck = (what: string, writer: Fiber.Fiber<unknown, unknown>, progress: () => number) =>
  within(
    `${what} is held up`,
    Effect.gen(function* () {
      let before = -1
      for (let same = 0; same < 4; same++) {
        yield* aWhile
        const now = progress()
        if (now !== before) same = 0
        before = now
      }
    })
  ).pipe(Effect.tap(() => holds(waits(writer), `${what} was not held up by a peer that does not read`)))

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

const bothClose = law(
  "both ends may close at once",
  "Two ends that close at the same time, with bytes on their way, both end in good order.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ closeTimeout: "5 seconds" })
      const fibers = []
      for (const end of [a, b]) {
        yield* meanwhile(end.writer.write(bytes("bye")))
        fibers.push(yield* meanwhile(end.writer.close))
      }
      for (const fiber of fibers) yield* isOutcome("close", yield* finishes("close", fiber), "Graceful")
    }),
  { oneWay: true }
)

export const lawsOfEnding: ReadonlyArray<Law> = [
  closing,
  ownClose,
  peerGone,
  receiverAborts,
  senderAborts,
  dataBeforeLoss,
  resetIsNoEnd,
  wholeItems,
  cancelledClose,
  cancelledRead,
  closeWakesReader,
  closeUndisturbed,
  halfClose,
  lateReader,
  afterEof,
  boundedClose,
  closedIsSeen,
  roomIsMade,
  bothClose
]
