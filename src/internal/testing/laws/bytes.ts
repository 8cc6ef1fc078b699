/** Laws of what goes in and what comes out. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { StreamReader } from "../../../StreamReader.ts"
import * as Random from "../random.ts"
import {
  areBytes,
  aWhile,
  type Broken,
  bytes,
  describe,
  failsWith,
  finishes,
  holds,
  isText,
  law,
  type Law,
  meanwhile,
  pattern,
  succeeds,
  text,
  turns,
  waits
} from "./law.ts"
import { cut, cutEvery, receive, sendAll } from "./pieces.ts"

const oneByte = law(
  "one byte sent is received (trio L1)",
  "A byte that is written at one end is read at the other.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const writing = yield* meanwhile(a.writer.write(Uint8Array.of(42)))
      yield* areBytes("read(10)", yield* succeeds("read(10)", b.reader.read(10)), Uint8Array.of(42))
      yield* finishes("write", writing)
    })
)

const emptyWrites = law(
  "writing nothing means nothing (trio L2)",
  "A write of no bytes is allowed, sends nothing, and does not look like an end.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const writing = yield* meanwhile(
        Effect.gen(function* () {
          yield* a.writer.write(new Uint8Array(0))
          yield* a.writer.write("")
          yield* a.writer.writeAll([])
          yield* a.writer.writeAll(["", new Uint8Array(0)])
          yield* a.writer.flush
          yield* a.writer.write("x")
        })
      )
      yield* isText("the first read", yield* succeeds("read", b.reader.read(10)), "x")
      yield* finishes("the writes", writing)
    })
)

const anyBytes = law(
  "any bytes-like value goes (trio L3)",
  "Views into larger arrays and text are sent as the bytes they stand for, and up to 4,096 bytes are the caller's again once the write has returned.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const sent = "-view-ünï©ødé-🜁-reused-"
      const writing = yield* meanwhile(
        Effect.gen(function* () {
          const large = bytes("xxx-view-yyy")
          yield* a.writer.write(large.subarray(3, 9))
          yield* a.writer.write("ünï©ødé-🜁")
          const reused = bytes("-reused-")
          yield* a.writer.write(reused)
          reused.fill(0)
          yield* a.writer.writeEof
        })
      )
      yield* isText("what arrived", yield* succeeds("reading it", receive(b.reader, 100)), sent)
      yield* finishes("the writes", writing)
    })
)

const wrongArguments = law(
  "wrong counts die, and harm nothing (trio L4)",
  "A count that is not an integer of 0 or more dies at once, and disturbs nothing. trio refuses a read of 0 bytes as well; here it is empty at once.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      for (const count of [-1, 1.5, NaN, Infinity]) {
        for (const [name, read] of [
          [`read(${count})`, b.reader.read(count)],
          [`readExactly(${count})`, b.reader.readExactly(count)]
        ] as const) {
          const exit = yield* succeeds(name, Effect.exit(read))
          yield* holds(Exit.isFailure(exit) && Cause.hasDies(exit.cause), () =>
            Exit.isFailure(exit) ? `${name}: ${describe(exit.cause)}, expected it to die` : `${name} succeeded`
          )
        }
      }
      yield* areBytes("read(0)", yield* succeeds("read(0)", b.reader.read(0)), new Uint8Array(0))
      const writing = yield* meanwhile(a.writer.write("intact"))
      yield* isText("what comes then", yield* succeeds("reading it", b.reader.readExactly(6)), "intact")
      yield* finishes("write", writing)
    })
)

const oneReader = law(
  "a second reader is told that the first one waits (trio L5)",
  "A read that begins while another waits fails with StreamBusy, whatever is buffered; the first is not disturbed, and no byte goes to the wrong one.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const first = yield* meanwhile(b.reader.readExactly(6))
      yield* turns(3)
      yield* holds(waits(first), "a read of 6 bytes did not wait for them")
      yield* failsWith("a second read", b.reader.read(1), "StreamBusy")
      const half = yield* meanwhile(a.writer.write("abc"))
      yield* aWhile
      for (const [name, read] of [
        ["read", b.reader.read(1)],
        ["readExactly", b.reader.readExactly(1)],
        ["readLine", b.reader.readLine],
        ["peek", b.reader.peek(1)],
        ["pull", b.reader.pull]
      ] as const) {
        yield* failsWith(`${name}, with bytes there for it`, read, "StreamBusy")
      }
      const rest = yield* meanwhile(a.writer.write("defg"))
      yield* isText("the first read", yield* finishes("the first read", first), "abcdef")
      yield* isText("a read after it", yield* succeeds("a read after it", b.reader.read(10)), "g")
      yield* finishes("the first write", half)
      yield* finishes("the second write", rest)
    })
)

const fairness = law(
  "answers at hand do not starve others (unlike trio L0)",
  "trio has every operation give way. Here one that can answer at once does not; since such answers are bounded by the buffers, other fibers go on all the same.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 256, highWaterMark: 256, lowWaterMark: 64 })
      let ticks = 0
      const ticking = yield* meanwhile(
        Effect.forever(
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => ticks++)
          )
        )
      )
      const writing = yield* meanwhile(Effect.forever(a.writer.write("0123456789abcde\n")))
      yield* succeeds("the first line", b.reader.readLine)
      const before = ticks
      const lines = yield* succeeds(
        "reading lines",
        Effect.gen(function* () {
          let count = 0
          for (; ticks - before < 3 && count < 300_000; count++) yield* b.reader.readLine
          return count
        })
      )
      yield* holds(ticks - before >= 3, `while ${lines} lines were read, another fiber had ${ticks - before} turns`)
      yield* Fiber.interrupt(writing)
      yield* Fiber.interrupt(ticking)
    })
)

const smallBuffers = law(
  "small buffers carry everything",
  "However small the limit, and however slow the reader: everything arrives, once, and in order.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 16, highWaterMark: 32, lowWaterMark: 8 })
      const sent = pattern(3000)
      const writing = yield* meanwhile(sendAll(a.writer, cut(sent, 700, 7)))
      yield* areBytes("what arrived", yield* succeeds("reading 7 bytes at a time", receive(b.reader, 7)), sent)
      yield* finishes("the writes", writing)
    })
)

const beyondLimit = law(
  "a read of more than the limit gets it",
  "readExactly waits for far more than the limit, and gets every byte, although the transport is paused at twice the limit.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 64 })
      const sent = pattern(75_000)
      const writing = yield* meanwhile(sendAll(a.writer, cut(sent, 3000, 3)))
      // paused first, so that the read has to set it going again
      yield* aWhile
      const first = yield* succeeds("readExactly(50,000)", b.reader.readExactly(50_000))
      yield* areBytes("readExactly(50,000)", first, sent.subarray(0, 50_000))
      const rest = yield* succeeds("readExactly(25,000)", b.reader.readExactly(25_000))
      yield* areBytes("readExactly(25,000)", rest, sent.subarray(50_000))
      yield* finishes("the writes", writing)
    })
)

const limits = law(
  "a line of the limit is a line, one byte more is not",
  "A line of exactly the limit is read; a longer one fails once with LimitOverrun, and the next line is intact.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ limit: 8 })
      const lines = ["12345678\n", "123456789\n", "next\n", `${"long".repeat(50)}\n`, "\n", "last\n"]
      const writing = yield* meanwhile(sendAll(a.writer, lines))
      for (const line of lines) {
        const what = `the line of ${line.length - 1} bytes`
        if (line.length - 1 > 8) yield* failsWith(what, b.reader.readLine, "LimitOverrun")
        else yield* isText(what, yield* succeeds(what, b.reader.readLine), line)
      }
      yield* isText("the end", yield* succeeds("the end", b.reader.readLine), "")
      yield* finishes("the writes", writing)
    })
)

/** Reads of every kind, one after the other; what they answered. */
const conversation = (reader: StreamReader) =>
  Effect.gen(function* () {
    const answers: Array<string> = []
    const note = (name: string, bytes: Uint8Array) => answers.push(`${name} ${JSON.stringify(text(bytes))}`)
    note("readLine", yield* reader.readLine)
    note("readExactly", yield* reader.readExactly(5))
    note("readUntil", yield* reader.readUntil(["END", "--"]))
    note("peek", yield* reader.peek(4))
    note("readLine", yield* reader.readLine)
    yield* reader.skip(3)
    note("readUntil", yield* reader.readUntil("\r\n\r\n"))
    yield* reader.discardUntil("\u0000\u0000")
    note("readLine", yield* reader.readLine)
    note("readExactly", yield* reader.readExactly(3))
    note("rest", yield* reader.readAll({ maxBytes: 1000 }))
    return answers.join("\n")
  })

const conversationText =
  "one\ntwo.\nthreeEN--END?four\nxyzhead: 1\r\n\r\r\n\r\nfive\u0000six\u0000\u0000seven\n8\n9tail\nend"

const rechunking = law(
  "how bytes are cut changes nothing",
  "The same bytes give the same answers, whether they are written whole, byte by byte, or cut anywhere between.",
  (connect) =>
    Effect.gen(function* () {
      const all = bytes(conversationText)
      // between any two bytes, in several companies
      const everywhere = [2, 3, 5].flatMap((step) =>
        Array.from(
          { length: step },
          (_, from) => [`every ${step} bytes from ${from} on`, cutEvery(all, step, from)] as const
        )
      )
      const cuttings: ReadonlyArray<readonly [string, ReadonlyArray<Uint8Array>]> = [
        ["whole", [all]],
        ["byte by byte", cutEvery(all, 1, 0)],
        ...[1, 2, 3, 4].map((seed) => [`at random, seed ${seed}`, cut(all, 30, seed)] as const),
        ...everywhere
      ]
      let first: string | undefined
      for (const [name, pieces] of cuttings) {
        const answers = yield* Effect.scoped(
          Effect.gen(function* () {
            const { a, b } = yield* connect()
            const writing = yield* meanwhile(
              Effect.gen(function* () {
                for (const piece of pieces) {
                  yield* a.writer.write(piece)
                  yield* a.writer.flush
                  // arrives alone, where that is in our hands
                  yield* Effect.yieldNow
                }
                yield* a.writer.writeEof
              })
            )
            const answers = yield* succeeds(`the reads, cut ${name}`, conversation(b.reader))
            yield* finishes("the writes", writing)
            return answers
          })
        )
        first ??= answers
        yield* holds(answers === first, `cut ${name}:\n${answers}\n\nwhole:\n${first}`)
      }
    }),
  { oneWay: true }
)

const bothWays = law(
  "a mebibyte each way at once (trio L23, L24)",
  "Both directions carry bytes at the same time, and neither disturbs the other.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect()
      const size = 1024 * 1024
      const sent = [pattern(size, 1), pattern(size, 2)] as const
      const writing = [
        yield* meanwhile(sendAll(a.writer, cut(sent[0], 16_384, 11))),
        yield* meanwhile(sendAll(b.writer, cut(sent[1], 16_384, 12)))
      ]
      const [atB, atA] = yield* succeeds(
        "reading both",
        Effect.all([receive(b.reader, 16_384), receive(a.reader, 9_999)], { concurrency: 2 })
      )
      yield* areBytes("from a to b", atB, sent[0])
      yield* areBytes("from b to a", atA, sent[1])
      for (const fiber of writing) yield* finishes("the writes", fiber)
    }),
  { oneWay: true }
)

/** A frame says who wrote it, which one it is, and how long it is. */
const frame = (writer: number, index: number, size: number): Uint8Array => {
  const body = new Uint8Array(4 + size).fill(writer)
  body.set([writer, index, size >> 8, size & 255])
  return body
}

const atomicWrites = law(
  "a write is one run of bytes, whoever else writes",
  "With many fibers writing, every write and every writeAll arrives whole, and each fiber's in its own order.",
  (connect) =>
    Effect.gen(function* () {
      const { a, b } = yield* connect({ highWaterMark: 1000, lowWaterMark: 250 })
      const writers = 10
      const frames = 12
      const random = Random.make(5)
      const writing = []
      for (let writer = 0; writer < writers; writer++) {
        const sizes = Array.from({ length: frames }, () => Random.size(random, 3000))
        writing.push(
          yield* meanwhile(
            Effect.gen(function* () {
              for (let index = 0; index < frames; index++) {
                const whole = frame(writer, index, sizes[index]!)
                yield* index % 2 === 0
                  ? a.writer.write(whole)
                  : a.writer.writeAll([whole.subarray(0, 2), whole.subarray(2, 5), whole.subarray(5)])
                yield* Effect.yieldNow
              }
            })
          )
        )
      }
      const next = Array.from({ length: writers }, () => 0)
      const readFrame: Effect.Effect<void, Broken> = Effect.gen(function* () {
        const head = yield* succeeds("the head of a frame", b.reader.readExactly(4))
        const [writer, index, high, low] = head as unknown as [number, number, number, number]
        yield* holds(writer < writers, `a frame of writer ${writer}, of whom there are ${writers}`)
        yield* holds(index === next[writer], `frame ${index} of writer ${writer}, expected ${next[writer]}`)
        next[writer]!++
        const size = (high << 8) | low
        const body = yield* succeeds("the body of a frame", b.reader.readExactly(size))
        const stranger = body.findIndex((byte) => byte !== writer)
        yield* holds(stranger === -1, `a byte of writer ${body[stranger]} in a frame of writer ${writer}`)
      })
      for (let count = 0; count < writers * frames; count++) yield* readFrame
      for (const fiber of writing) yield* finishes("a writer", fiber)
    }),
  { oneWay: true }
)

export const lawsOfBytes: ReadonlyArray<Law> = [
  oneByte,
  emptyWrites,
  anyBytes,
  wrongArguments,
  oneReader,
  fairness,
  smallBuffers,
  beyondLimit,
  limits,
  rechunking,
  bothWays,
  atomicWrites
]
