/** Laws of backpressure: which side waits, what is bounded, and in which order waiting fibers go on. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { StreamWriter } from "../../../StreamWriter.ts"
import {
  aWhile,
  areBytes,
  bytes,
  failsWith,
  finishes,
  holds,
  isFailure,
  isText,
  law,
  type Law,
  meanwhile,
  outcome,
  pattern,
  stuck,
  succeeds,
  turns,
  waits,
  within
} from "./law.ts"
import { receive } from "./pieces.ts"
import { standStill } from "../time/realTime.ts"

const marks = { limit: 4096, highWaterMark: 4096, lowWaterMark: 1024 }
/** More than any system takes for a peer that does not read. */
const farTooMuch = 64 * 1024 * 1024

const notClogged = law(
  "on a stream that is not clogged nothing waits (trio L6)",
  "drain and flush return at once, and a write below the high-water mark does.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      yield* succeeds("drain", a.writer.drain)
      yield* succeeds("flush", a.writer.flush)
      const writing = yield* meanwhile(Effect.andThen(a.writer.write("x"), a.writer.drain))
      yield* isText("what arrives", yield* succeeds("reading it", b.reader.read(10)), "x")
      yield* finishes("write and drain", writing)
    })
)

const heldBack = law(
  "a reader that pauses holds the writer back, and nothing is lost",
  "While nobody reads, a writer that never drains is stopped: no buffer grows without bound. When reading goes on, so does the writing, and every byte arrives.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect(marks)
      const chunk = pattern(16_384)
      let accepted = 0
      let stop = false
      let most = 0
      const writing = yield* meanwhile(
        Effect.gen(function* () {
          while (!stop && accepted < farTooMuch) {
            yield* a.writer.write(chunk)
            accepted += chunk.length
            most = Math.max(most, yield* a.writer.buffered)
          }
          yield* a.writer.writeEof
        })
      )
      yield* stuck("the writer", writing, () => accepted)
      yield* holds(accepted < farTooMuch, `${accepted} bytes were written and nobody read one`)
      const atReader = yield* b.reader.buffered
      const atWriter = yield* a.writer.buffered
      yield* holds(
        atReader <= 2 * marks.limit + 262_144,
        `the reader, whose limit is ${marks.limit}, holds ${atReader} bytes`
      )
      yield* holds(
        Math.max(most, atWriter) <= marks.highWaterMark + chunk.length,
        `the writer, whose high-water mark is ${marks.highWaterMark}, held ${Math.max(most, atWriter)} bytes`
      )
      stop = true
      let received = 0
      let wrong = -1
      yield* succeeds(
        "reading everything",
        Effect.gen(function* () {
          while (true) {
            const piece = yield* b.reader.read(65_536)
            if (piece.length === 0) break
            for (let i = 0; i < piece.length; i++) {
              if (wrong === -1 && piece[i] !== chunk[(received + i) % chunk.length]) wrong = received + i
            }
            received += piece.length
          }
        })
      )
      yield* finishes("the writer", writing)
      yield* holds(wrong === -1, `byte ${wrong} is not the one that was written there`)
      yield* holds(received === accepted, `${received} bytes were read, ${accepted} were written`)
    })
)

const drainWaits = law(
  "drain waits until the reader starts, and for the low-water mark (trio L18)",
  "Above the high-water mark drain does not return before the reader reads; when it does return, the buffer is at the low-water mark or below.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect(marks)
      yield* clog(a)
      const order: Array<string> = []
      const draining = yield* meanwhile(
        Effect.gen(function* () {
          yield* a.writer.drain
          order.push("drained")
          return yield* a.writer.buffered
        })
      )
      yield* aWhile
      order.push("reading")
      const reading = yield* meanwhile(Effect.forever(b.reader.read(65_536)))
      const left = yield* finishes("drain", draining)
      yield* holds(order.join() === "reading,drained", `the order was ${order.join(", ")}`)
      yield* holds(left <= marks.lowWaterMark, `drain returned with ${left} bytes, the mark is ${marks.lowWaterMark}`)
      yield* Fiber.interrupt(reading)
    })
)

/** Writes until the peer, which does not read, holds the writer up for good. */
const clog = ({ writer }: { readonly writer: StreamWriter }) =>
  Effect.gen(function* () {
    let written = 0
    // a system may take a little more later: it must have stopped doing so
    for (let full = 0; full < 4; full++) {
      while ((yield* writer.buffered) <= writer.highWaterMark) {
        full = 0
        writer.writeUnsafe(pattern(16_384))
        written += 16_384
        yield* holds(written < farTooMuch, `${written} bytes were written and nobody read one`)
        yield* turns(2)
      }
      yield* aWhile
    }
  })

const manyWait = law(
  "many may wait to write and to drain (unlike trio L19, L20, L30)",
  "trio says Busy. Here writes wait in line and go in the order in which they came, each whole, and any number of fibers may drain, flush and end the output.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect(marks)
      yield* clog(a)
      const before = (yield* a.writer.buffered) > 0
      yield* holds(before, "the writer was not clogged")
      const names = ["one", "two", "three", "four", "five"]
      const writing = []
      for (const name of names) writing.push(yield* meanwhile(a.writer.write(`<${name}>`)))
      const draining = [yield* meanwhile(a.writer.drain), yield* meanwhile(a.writer.drain)]
      yield* aWhile
      for (const fiber of writing) yield* holds(waits(fiber), "a write did not wait above the high-water mark")
      const reading = yield* meanwhile(receive(b.reader, 65_536))
      for (const fiber of [...writing, ...draining]) yield* finishes("a write or a drain that waited", fiber)
      const ending = [
        yield* meanwhile(a.writer.flush),
        yield* meanwhile(a.writer.writeEof),
        yield* meanwhile(a.writer.writeEof)
      ]
      for (const fiber of ending) yield* finishes("flush and writeEof", fiber)
      const got = yield* finishes("reading everything", reading)
      const expected = names.map((name) => `<${name}>`).join("")
      yield* isText("the last that arrived", got.subarray(got.length - expected.length), expected)
    })
)

const drainIsNotStarved = law(
  "a drain ends although others go on writing",
  "A fiber that waits for the low-water mark goes on once it was reached, also if writers who waited longer fill the buffer again.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect(marks)
      yield* clog(a)
      yield* meanwhile(Effect.forever(a.writer.write(pattern(8192))))
      yield* turns(2)
      const draining = yield* meanwhile(a.writer.drain)
      yield* meanwhile(Effect.forever(b.reader.read(65_536)))
      yield* finishes("drain", draining)
    })
)

const peerAbortUnblocks = law(
  "a peer that breaks off wakes those who wait to write (trio L21)",
  "A write and a drain that wait fail with ConnectionLost when the peer aborts, and so does one that begins after.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect(marks)
      yield* clog(a)
      const writing = yield* meanwhile(a.writer.write("x"))
      const draining = yield* meanwhile(a.writer.drain)
      const flushing = yield* meanwhile(a.writer.flush)
      yield* turns(3)
      yield* succeeds("abort", b.abort)
      for (const [what, fiber] of [
        ["the write", writing],
        ["the drain", draining],
        ["the flush", flushing]
      ] as const) {
        yield* isFailure(`${what} that waited`, yield* outcome(what, fiber), "ConnectionLost")
      }
      yield* failsWith("a write after it", a.writer.write("x"), "ConnectionLost")
      yield* failsWith("a drain after it", a.writer.drain, "ConnectionLost")
    })
)

const ownCloseUnblocks = law(
  "closing wakes those who wait to write (trio L22)",
  "A write and a drain that wait fail with ClosedStream when their own side closes or aborts; nothing hangs.",
  (connect) =>
    Effect.gen(function* () {
      for (const [how, reason] of [
        ["close", "Closed"],
        ["abort", "Aborted"]
      ] as const) {
        const { a } = yield* connect({ ...marks, closeTimeout: "300 millis" })
        yield* clog(a)
        const writing = yield* meanwhile(a.writer.write("x"))
        const draining = yield* meanwhile(a.writer.drain)
        yield* turns(3)
        const ending = yield* meanwhile(how === "close" ? Effect.asVoid(a.writer.close) : a.abort)
        yield* isFailure(`the write, after ${how}`, yield* outcome("the write", writing), "ClosedStream", reason)
        yield* isFailure(`the drain, after ${how}`, yield* outcome("the drain", draining), "ClosedStream", reason)
        yield* finishes(how, ending)
      }
    })
)

const flushHandsOver = law(
  "flush waits until everything is handed over",
  "It returns when nothing written before it is left in this process, and not before.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect(marks)
      yield* clog(a)
      const flushing = yield* meanwhile(Effect.andThen(a.writer.flush, a.writer.buffered))
      yield* aWhile
      yield* holds(waits(flushing), "flush returned while the peer had not read what would make room")
      const reading = yield* meanwhile(Effect.forever(b.reader.read(65_536)))
      const left = yield* finishes("flush", flushing)
      yield* holds(left === 0, `flush returned with ${left} bytes left`)
      yield* Fiber.interrupt(reading)
    })
)

const onAndOff = law(
  "stopping and going on, again and again, loses nothing",
  "A reader that pauses and resumes its peer hundreds of times gets every byte, with small marks and small limits on both sides.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 100, highWaterMark: 64, lowWaterMark: 16 })
      const sent = pattern(30_000)
      const writing = yield* meanwhile(
        Effect.gen(function* () {
          for (let at = 0; at < sent.length; at += 150) yield* a.writer.write(sent.subarray(at, at + 150))
          yield* a.writer.writeEof
        })
      )
      const got: Array<Uint8Array> = []
      const reading = Effect.gen(function* () {
        for (let at = 0; at < sent.length; at += 600) {
          // time to fill up
          yield* turns(3)
          got.push(yield* b.reader.readExactly(600))
        }
      })
      yield* within("reading it", Effect.orDie(reading))
      for (let i = 0; i < got.length; i++) yield* areBytes(`block ${i}`, got[i]!, sent.subarray(i * 600, i * 600 + 600))
      yield* areBytes("the end", yield* succeeds("the end", b.reader.read(1)), bytes(""))
      yield* finishes("the writes", writing)
    })
)

const heardFirst = law(
  "what came while the event loop stood still is in time",
  "A bound on waiting is judged once what had come by then has been read, also where the event loop stood still for longer than the bound.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ timeouts: { read: 20 } })
      const sent = pattern(20_000)
      const reading = yield* meanwhile(b.reader.readExactly(sent.length))
      yield* Effect.sync(() => {
        a.writer.writeUnsafe(sent)
        standStill(60)
      })
      yield* areBytes("what came", yield* finishes("the read", reading), sent)
    })
)

export const lawsOfFlow: ReadonlyArray<Law> = [
  notClogged,
  heldBack,
  drainWaits,
  manyWait,
  drainIsNotStarved,
  peerAbortUnblocks,
  ownCloseUnblocks,
  flushHandsOver,
  onAndOff,
  heardFirst
]
