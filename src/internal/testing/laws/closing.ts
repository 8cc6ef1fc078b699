/** Laws of closing: what still arrives, which waits it ends, and how long it may take. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { CloseOutcome } from "../../../StreamWriter.ts"
import {
  areBytes,
  aWhile,
  bytes,
  concat,
  failsWith,
  finishes,
  holds,
  isFailure,
  isOutcome,
  law,
  type Law,
  meanwhile,
  outcome,
  pattern,
  stuck,
  succeeds,
  turns
} from "./law.ts"
import { receive } from "./pieces.ts"

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

export const lawsOfClosing: ReadonlyArray<Law> = [
  closing,
  ownClose,
  cancelledClose,
  closeWakesReader,
  closeUndisturbed,
  boundedClose,
  bothClose
]
