/** Laws of what breaks: by force, or because the peer is gone. */
import * as Effect from "effect/Effect"
import {
  areBytes,
  aWhile,
  failsWith,
  holds,
  isLoss,
  isOutcome,
  isText,
  law,
  type Law,
  meanwhile,
  outcome,
  succeeds,
  turns,
  within
} from "./law.ts"
import { arrived, collect } from "./pieces.ts"

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
        const poke = Effect.ignore(Effect.try(() => b.writer.writeUnsafe("x")))
        // in the same turn, before anybody has come to look
        yield* succeeds("abort", first.startsWith("a write") ? Effect.andThen(a.abort, poke) : a.abort)
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

export const lawsOfLoss: ReadonlyArray<Law> = [peerGone, receiverAborts, senderAborts, dataBeforeLoss, resetIsNoEnd]
