/**
 * A read is a description: making one does nothing, running it does the work, each time anew, and `yield*`, where a read
 * may answer without becoming an effect, cannot be told from any other way to run it. Nor does it starve anybody.
 */
import { assert, describe, it } from "@effect/vitest"
import { StreamReader } from "effect-byte-streams"
import { Effect, Exit, Fiber } from "effect"
import { bytes, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { type HandFed, handFed, held, outcome } from "../support/handFed.ts"
import { effectOf, failed, type Outcome, type Request, succeeded } from "../support/readRequests.ts"
import { reads } from "../support/reads.ts"
import { turns } from "../support/wait.ts"

type Read = Effect.Effect<unknown, unknown>

/** Reads as they are run in different programs. Each gives the outcome as data. */
const ways: ReadonlyArray<readonly [string, (read: Read) => Effect.Effect<Outcome>]> = [
  ["match", (read) => outcome(read)],
  [
    "yield*",
    (read) =>
      outcome(
        Effect.gen(function* () {
          return yield* read
        })
      )
  ],
  [
    "yield* after something else",
    (read) =>
      outcome(
        Effect.gen(function* () {
          yield* Effect.yieldNow
          const answer = yield* read
          yield* Effect.void
          return answer
        })
      )
  ],
  [
    "yield* in fnUntraced",
    (read) =>
      outcome(
        Effect.fnUntraced(function* () {
          return yield* read
        })()
      )
  ],
  ["flatMap", (read) => outcome(Effect.flatMap(read, (answer) => Effect.succeed(answer)))],
  [
    "pipe",
    (read) =>
      outcome(
        read.pipe(
          Effect.map((answer) => [answer]),
          Effect.map(([answer]) => answer)
        )
      )
  ],
  [
    "exit",
    (read) => Effect.map(Effect.exit(read), (exit) => (Exit.isSuccess(exit) ? succeeded(exit.value) : errorOf(exit)))
  ],
  ["suspend", (read) => outcome(Effect.suspend(() => read))],
  ["a fiber", (read) => Effect.flatMap(Effect.forkChild(read), (fiber) => outcome(Fiber.join(fiber)))],
  ["a race", (read) => outcome(Effect.raceFirst(read, Effect.never))],
  ["a timeout", (read) => outcome(Effect.timeout(read, "1 hour"))]
]

const errorOf = (exit: Exit.Failure<unknown, unknown>): Outcome => {
  const [reason] = exit.cause.reasons
  if (reason?._tag !== "Fail") throw new Error("expected a failure")
  return failed(reason.error)
}

/** What happens before a read begins, and once it has begun and may wait. */
interface Situation {
  readonly title: string
  readonly before?: (fed: HandFed) => void
  readonly during?: (fed: HandFed) => void
}

const situations: ReadonlyArray<Situation> = [
  { title: "with everything there", before: ({ feed }) => feed("abcd\nrest") },
  { title: "with everything there, a byte at a time", before: ({ feed }) => feed(..."abcd\nrest") },
  { title: "with exactly what it needs there", before: ({ feed }) => feed("abcd\n") },
  { title: "with a line over the limit there", before: ({ feed }) => feed("much too long\nabcd\nrest") },
  { title: "with a line over the limit there, in two chunks", before: ({ feed }) => feed("much too", " long\nabcd\n") },
  { title: "waiting for everything", during: ({ feed }) => feed("abcd\nrest") },
  { title: "waiting for the rest", before: ({ feed }) => feed("abc"), during: ({ feed }) => feed("d", "\nrest") },
  {
    title: "at the end",
    before: ({ end, feed }) => {
      feed("ab")
      end()
    }
  },
  {
    title: "at the end, with nothing left",
    before: ({ end }) => end()
  },
  { title: "meeting the end", before: ({ feed }) => feed("ab"), during: ({ end }) => end() },
  {
    title: "after a loss",
    before: ({ feed, lose }) => {
      feed("ab")
      lose()
    }
  },
  { title: "meeting a loss", before: ({ feed }) => feed("ab"), during: ({ lose }) => lose() }
]

/** What a read comes to in a situation, and what it leaves behind. `lookedAt`: the reader has seen what arrived before. */
const run = Effect.fnUntraced(function* (
  way: (read: Read) => Effect.Effect<Outcome>,
  request: Request,
  { before, during }: Situation,
  lookedAt: boolean
) {
  const fed = yield* handFed({ limit: 10 })
  before?.(fed)
  if (lookedAt) yield* Effect.ignore(fed.reader.peek(0))
  const fiber = yield* start(way(effectOf(fed.reader, request)))
  // some ways need a moment before the read itself begins
  yield* turns(2)
  during?.(fed)
  yield* turns(2)
  if (waits(fiber)) fed.end()
  const came = yield* Fiber.join(fiber)
  return { came, left: yield* held(fed.reader), shown: JSON.stringify(fed.reader), flow: fed.flow }
})

describe("laziness", () => {
  for (const read of reads) {
    it.effect(`making ${read.title} does nothing: no byte is taken, nobody is kept out, nothing is counted`, () =>
      Effect.gen(function* () {
        const { feed, flow, reader } = yield* handFed({ limit: 4 })
        feed("abcd\nabcd\n")
        const before = JSON.stringify(reader)
        for (let i = 0; i < 10; i++) effectOf(reader, read.request)
        assert.strictEqual(JSON.stringify(reader), before)
        assert.deepStrictEqual(flow, ["pause"])
        assert.strictEqual(text(yield* reader.read(100)), "abcd\nabcd\n")
      })
    )
  }

  it.effect("making unread does nothing; running it twice puts the bytes back twice", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      const unread = reader.unread(bytes("ab"))
      assert.strictEqual(yield* reader.buffered, 0)
      yield* unread
      yield* unread
      assert.strictEqual(yield* held(reader), "abab")
    })
  )

  it.effect("making a stream of lines or chunks does nothing", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("one\n")
      StreamReader.lines(reader)
      StreamReader.lines(reader, { onOverrun: "discard" })
      StreamReader.stream(reader)
      assert.strictEqual(yield* held(reader), "one\n")
    })
  )

  it.effect("making a reader does nothing: each run makes its own", () =>
    Effect.gen(function* () {
      const making = StreamReader.fromBytes("one\ntwo\n")
      const first = yield* making
      const second = yield* making
      assert.notStrictEqual(first, second)
      yield* first.readLine
      assert.strictEqual(text(yield* second.readLine), "one\n")
      const makingByHand = StreamReader.make()
      const [one, other] = [yield* makingByHand, yield* makingByHand]
      one.feedUnsafe(bytes("x"))
      assert.strictEqual(yield* other.reader.buffered, 0)
    })
  )

  it.effect("atEof and buffered tell what is true when they are run", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      const { atEof, buffered } = reader
      feed("ab")
      assert.strictEqual(yield* buffered, 2)
      yield* reader.read(2)
      end()
      assert.strictEqual(yield* buffered, 0)
      assert.isTrue(yield* atEof)
    })
  )
})

describe("running the same read twice", () => {
  for (const read of reads.filter((read) => !read.waitsForEnd)) {
    it.effect(`${read.title} does its work twice`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        const effect = effectOf(reader, read.request)
        for (let run = 0; run < 3; run++) {
          if (read.title === "pull" || read.request.name === "lines") feed("abcd\n")
          else if (run === 0) feed("abcd\nabcd\nabcd\n")
          assert.deepStrictEqual(yield* outcome(effect), read.outcome)
        }
        assert.strictEqual(yield* reader.buffered, read.leaves === "" ? 0 : 15)
      })
    )

    it.effect(`${read.title} waits again after it has waited, has failed and was interrupted`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        const effect = effectOf(reader, read.request)
        const busy = yield* start(reader.readExactly(1))
        assert.deepInclude(yield* outcome(effect), { error: "StreamBusy" })
        feed("x")
        yield* Fiber.join(busy)
        yield* Fiber.interrupt(yield* start(effect))
        for (let run = 0; run < 2; run++) {
          const waiting = yield* start(effect)
          assert.isTrue(waits(waiting))
          feed(read.tooLittle)
          feed(read.missing)
          assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), read.outcome)
          yield* reader.skip(read.leaves.length)
        }
      })
    )
  }

  it.effect("two readers' reads do not know of each other", () =>
    Effect.gen(function* () {
      const one = yield* handFed()
      const other = yield* handFed()
      const waiting = yield* start(one.reader.readLine)
      other.feed("other\n")
      assert.strictEqual(text(yield* other.reader.readLine), "other\n")
      assert.isTrue(waits(waiting))
      one.feed("one\n")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "one\n")
    })
  )
})

describe("every way to run a read is the same", () => {
  for (const read of reads) {
    it.effect(read.title, () =>
      Effect.gen(function* () {
        for (const situation of situations) {
          for (const lookedAt of [false, true]) {
            const expected = yield* run(outcome, read.request, situation, lookedAt)
            for (const [name, way] of ways) {
              const came = yield* run(way, read.request, situation, lookedAt)
              assert.deepStrictEqual(came, expected, `${name}, ${situation.title}`)
            }
          }
        }
      })
    )
  }
})

describe("fairness", () => {
  /** Runs `read` again and again, with `yield*`, until another fiber has had its turn. */
  const untilOthersRun = (read: Read) =>
    Effect.gen(function* () {
      let others = false
      yield* Effect.forkChild(
        Effect.sync(() => {
          others = true
        })
      )
      let runs = 0
      while (!others && runs < 200_000) {
        yield* read
        runs++
      }
      assert.isTrue(others, `${runs} runs, and no other fiber has run`)
    })

  for (const read of reads) {
    it.effect(`a loop of ${read.title} at the end of the stream lets other fibers run`, () =>
      Effect.gen(function* () {
        const { end, reader } = yield* handFed()
        end()
        yield* untilOthersRun(Effect.ignore(effectOf(reader, read.request)))
        if ("value" in read.atEnd) yield* untilOthersRun(effectOf(reader, read.request))
      })
    )
  }

  it.effect("a loop of reads of nothing lets other fibers run", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("abc")
      for (const zero of [reader.read(0), reader.readExactly(0), reader.peek(0), reader.skip(0)]) {
        yield* untilOthersRun(zero)
      }
    })
  )

  it.effect("a loop that only looks ahead lets other fibers run", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("abc")
      yield* untilOthersRun(reader.buffered)
      yield* untilOthersRun(reader.atEof)
      yield* untilOthersRun(reader.peek(2))
    })
  )

  it.effect("a loop that puts back what it reads lets other fibers run", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("abc")
      yield* untilOthersRun(
        Effect.gen(function* () {
          yield* reader.unread(yield* reader.read(1))
        })
      )
    })
  )

  it.effect("a loop of reads that are answered at once ends with what is buffered, and then waits", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 1000 })
      feed(new Uint8Array(2000))
      let bytesRead = 0
      const reading = yield* start(
        Effect.gen(function* () {
          while (true) bytesRead += (yield* reader.read(1)).length
        })
      )
      assert.isTrue(waits(reading))
      assert.strictEqual(bytesRead, 2000)
    })
  )
})
