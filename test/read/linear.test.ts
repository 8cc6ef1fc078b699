/**
 * Large inputs in awkward pieces: the work stays in proportion to the bytes (rank 35). Not timed: counted, in bytes
 * copied and looked at, and in how often the source is paused and resumed.
 */
import { assert, describe, it } from "@effect/vitest"
import { StreamReader } from "effect-byte-streams"
import { Effect, Fiber, Stream } from "effect"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { flowTold, handFed, outcome } from "../support/handFed.ts"
import { counting, type Work } from "../support/work.ts"

const megabyte = 1024 * 1024

/** Small letters. */
const letters = (length: number): Uint8Array => pattern(length).map((byte) => 97 + (byte % 26))

/** Small letters that end with `end`. */
const endedBy = (end: string, length: number): Uint8Array => {
  const out = letters(length)
  out.set(Buffer.from(end), length - end.length)
  return out
}

/** Every byte as an array of its own. A reader changes nothing in what it is fed, so equal ones can be shared. */
const single = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))

const feedInPieces = (feed: (piece: Uint8Array) => unknown, all: Uint8Array, size: number): void => {
  if (size === 1) for (let at = 0; at < all.length; at++) feed(single[all[at]!]!)
  else for (let at = 0; at < all.length; at += size) feed(all.subarray(at, at + size))
}

/** No byte was copied, or looked at, more than a few times. */
const assertLinear = (work: Work, bytes: number, times = 4): void => {
  assert.isAtMost(work.copied, times * bytes + 65536, "bytes copied")
  assert.isAtMost(work.searched, times * bytes + 65536, "bytes looked at")
  assert.isAtMost(work.moved, times * bytes + 65536, "pieces moved")
}

describe("rank 35: a long line", () => {
  it.effect(
    "of 10,000,000 bytes in chunks of 1",
    () =>
      Effect.gen(function* () {
        const line = endedBy("\n", 10_000_000)
        const { feed, flow, reader } = yield* handFed({ limit: line.length })
        const waiting = yield* start(reader.readLine)
        feedInPieces(feed, line, 1)
        assertBytes(yield* Fiber.join(waiting), line)
        yield* flowTold
        assert.deepStrictEqual(flow, [])
      }),
    // two seconds of work, on a machine that may have a lot else to do
    60_000
  )

  for (const [size, length] of [
    [1, 250_000],
    [100, 10_000_000],
    [65536, 10_000_000]
  ] as const) {
    it.effect(`of ${length} bytes in chunks of ${size}, to a readLine that waits`, () =>
      Effect.gen(function* () {
        const line = endedBy("\n", length)
        const { feed, flow, reader } = yield* handFed({ limit: length })
        const waiting = yield* start(reader.readLine)
        const [, work] = yield* counting(Effect.sync(() => feedInPieces(feed, line, size)))
        assert.isFalse(waits(waiting))
        assertBytes(yield* Fiber.join(waiting), line)
        assertLinear(work, length)
        yield* flowTold
        assert.deepStrictEqual(flow, [])
      })
    )

    it.effect(`of ${length} bytes in chunks of ${size}, all there before it is read`, () =>
      Effect.gen(function* () {
        const line = endedBy("\n", length)
        const { feed, flow, reader } = yield* handFed({ limit: length })
        const [read, work] = yield* counting(
          Effect.suspend(() => {
            feedInPieces(feed, line, size)
            return reader.readLine
          })
        )
        assertBytes(read, line)
        assertLinear(work, length)
        yield* flowTold
        assert.deepStrictEqual(flow, [])
      })
    )
  }

  for (const separator of ["\r\n", "a long separator!", ["\r\n", "\n\n", "!"]]) {
    it.effect(`to a readUntil ${JSON.stringify(separator)} that waits, in chunks of 10`, () =>
      Effect.gen(function* () {
        const end = typeof separator === "string" ? separator : separator[0]!
        const all = endedBy(end, megabyte)
        // what might be the beginning of a separator, often
        for (let at = 0; at < all.length - 20; at += 3) all[at] = at % 2 === 0 ? 13 : 97
        const { feed, reader } = yield* handFed({ limit: all.length })
        const waiting = yield* start(reader.readUntil(separator))
        const [, work] = yield* counting(Effect.sync(() => feedInPieces(feed, all, 10)))
        assertBytes(yield* Fiber.join(waiting), all)
        assertLinear(work, all.length)
      })
    )
  }

  it.effect("read again and again before it is complete, as by a loop with a timeout", () =>
    Effect.gen(function* () {
      const line = endedBy("\n", megabyte)
      const { feed, reader } = yield* handFed({ limit: line.length })
      const [, work] = yield* counting(
        Effect.gen(function* () {
          for (let at = 0; at < line.length - 1024; at += 1024) {
            feed(line.subarray(at, at + 1024))
            yield* Fiber.interrupt(yield* start(reader.readLine))
          }
        })
      )
      feed(line.subarray(line.length - 1024))
      assertBytes(yield* reader.readLine, line)
      assertLinear(work, line.length)
    })
  )
})

describe("rank 35: a dribbling peer", () => {
  it.effect("what a slow reader has left is not searched again by each new read", () =>
    Effect.gen(function* () {
      const all = letters(300_000)
      const { feed, reader } = yield* handFed({ limit: 1_000_000 })
      const [, work] = yield* counting(
        Effect.gen(function* () {
          feedInPieces(feed, all, 1)
          for (let i = 0; i < 30; i++) {
            const waiting = yield* start(reader.readLine)
            feedInPieces(feed, all.subarray(0, 1000), 1)
            yield* Fiber.interrupt(waiting)
            yield* reader.skip(10_000)
          }
        })
      )
      assert.strictEqual(yield* reader.buffered, 30_000)
      assertLinear(work, 330_000)
    })
  )

  it.effect(
    "a byte at a time, each of them looked at once, not with all the room that small chunks are gathered in",
    () =>
      Effect.gen(function* () {
        const all = letters(100_000)
        const { feed, reader } = yield* handFed({ limit: 1_000_000 })
        // the room grows with what is left unread; then nearly all of it is read
        feedInPieces(feed, letters(200_000), 1)
        yield* reader.skip(199_000)
        const waiting = yield* start(reader.readLine)
        const [, work] = yield* counting(Effect.sync(() => feedInPieces(feed, all, 1)))
        assert.isTrue(waits(waiting))
        assertLinear(work, all.length)
        feed("\n")
        assert.strictEqual((yield* Fiber.join(waiting)).length, 101_001)
      })
  )
})

describe("rank 35: many small reads", () => {
  it.effect("a million reads of 1 byte, out of large chunks", () =>
    Effect.gen(function* () {
      const all = pattern(1_000_000)
      const { feed, flow, reader } = yield* handFed()
      feedInPieces(feed, all, 65536)
      const out = new Uint8Array(all.length)
      const [, work] = yield* counting(
        Effect.gen(function* () {
          for (let i = 0; i < all.length; i++) out[i] = (yield* reader.read(1))[0]!
        })
      )
      assertBytes(out, all)
      assertLinear(work, all.length)
      assert.strictEqual(yield* reader.buffered, 0)
      yield* flowTold
      assert.deepStrictEqual(flow, ["pause", "resume"])
    })
  )

  it.effect("a million reads of 1 byte, not by yield*", () =>
    Effect.gen(function* () {
      const all = pattern(1_000_000)
      const { feed, reader } = yield* handFed()
      feedInPieces(feed, all, 65536)
      const out = new Uint8Array(all.length)
      let at = 0
      const one = Effect.map(reader.readExactly(1), (bytes) => {
        out[at++] = bytes[0]!
      })
      const [, work] = yield* counting(Effect.forEach(all, () => one, { discard: true }))
      assertBytes(out, all)
      assertLinear(work, all.length)
    })
  )

  for (const size of [1, 100, 1_000_000]) {
    it.effect(`200,000 lines out of chunks of ${size}`, () =>
      Effect.gen(function* () {
        const line = endedBy("\n", 5)
        const all = new Uint8Array(200_000 * 5)
        for (let at = 0; at < all.length; at += 5) all.set(line, at)
        const { feed, reader } = yield* handFed({ limit: all.length })
        const [, work] = yield* counting(
          Effect.gen(function* () {
            feedInPieces(feed, all, size)
            for (let i = 0; i < 200_000; i++) {
              const read = yield* reader.readLine
              if (read.length !== 5) assert.fail(`line ${i} has ${read.length} bytes`)
            }
          })
        )
        assert.strictEqual(yield* reader.buffered, 0)
        assertLinear(work, all.length)
      })
    )
  }

  it.effect("10,000 bytes put back one by one", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 1_000_000 })
      feed("end")
      const [, work] = yield* counting(
        Effect.gen(function* () {
          for (let i = 0; i < 10_000; i++) yield* reader.unread(single[i & 255]!)
        })
      )
      const all = yield* reader.readExactly(10_003)
      assert.isTrue(all.subarray(0, 10_000).every((byte, i) => byte === ((9999 - i) & 255)))
      assertLinear(work, 10_000)
    })
  )
})

describe("rank 35: lines as text", () => {
  /** Milliseconds of processor time. */
  const processorTime = (all: string, lines: number) =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes(all)
      const before = process.cpuUsage()
      const stream = StreamReader.lines(reader, { limit: 2, onOverrun: "discard" })
      assert.strictEqual(yield* Stream.runCount(stream), lines)
      const { system, user } = process.cpuUsage(before)
      return (system + user) / 1000
    })

  it.effect("short ones among those that are dropped do not each cost a look at all that lies behind them", () =>
    Effect.gen(function* () {
      const lines = "a\nbbbb\n".repeat(3000)
      const long = "x".repeat(1_000_000)
      const behind = yield* processorTime(lines + long, 3000)
      const inFront = yield* processorTime(`${long}\n${lines}`, 3000)
      assert.isAtMost(behind, 20 * Math.max(inFront, 10))
    })
  )
})

describe("rank 35: large reads under a small limit", () => {
  const size = 64 * megabyte
  const chunk = pattern(65536)

  /** Whether `all` is that chunk again and again. */
  const assertRepeated = (all: Uint8Array): void => {
    assert.strictEqual(all.length, size)
    for (let at = 0; at < size; at += 4 * megabyte) assertBytes(all.subarray(at, at + chunk.length), chunk)
    assertBytes(all.subarray(size - chunk.length), chunk)
  }

  const wholes: ReadonlyArray<
    readonly [string, (reader: StreamReader.StreamReader) => Effect.Effect<Uint8Array, unknown>]
  > = [
    ["readExactly", (reader) => reader.readExactly(size)],
    ["readAll", (reader) => reader.readAll({ maxBytes: size })]
  ]
  for (const [name, read] of wholes) {
    it.effect(
      `${name} of 64 MiB with a limit of 64 KiB neither pauses and resumes at every chunk nor copies twice`,
      () =>
        Effect.gen(function* () {
          const { end, feed, flow, reader } = yield* handFed()
          // the source has been paused before the read began
          feed(chunk, chunk, chunk)
          yield* flowTold
          assert.deepStrictEqual(flow, ["pause"])
          const [all, work] = yield* counting(
            Effect.gen(function* () {
              const waiting = yield* start(read(reader))
              yield* flowTold
              for (let at = 3; at < size / chunk.length; at++) feed(chunk)
              end()
              return yield* Fiber.join(waiting)
            })
          )
          assertRepeated(all)
          assertLinear(work, size, 1)
          assert.isAtMost(flow.length, 4)
          assert.notStrictEqual(flow.at(-1), "pause")
        })
    )
  }

  it.effect("readExactly of 250,000 bytes in chunks of 1", () =>
    Effect.gen(function* () {
      const all = pattern(250_000)
      const { feed, flow, reader } = yield* handFed({ limit: 1024 })
      const waiting = yield* start(reader.readExactly(all.length))
      const [, work] = yield* counting(Effect.sync(() => feedInPieces(feed, all, 1)))
      assertBytes(yield* Fiber.join(waiting), all)
      assertLinear(work, all.length)
      yield* flowTold
      assert.deepStrictEqual(flow, [])
    })
  )

  it.effect("skipping 64 MiB copies nothing", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const waiting = yield* start(reader.skip(size))
      const [, work] = yield* counting(
        Effect.sync(() => {
          for (let at = 0; at < size / chunk.length; at++) feed(chunk)
        })
      )
      yield* Fiber.join(waiting)
      assert.strictEqual(work.copied, 0)
    })
  )

  it.effect("a source that obeys is paused once a buffer, not once a chunk", () =>
    Effect.gen(function* () {
      const { end, feed, flow, reader } = yield* handFed({ limit: 1000 })
      const hundred = pattern(100)
      let unsent = 10_000
      let read = 0
      while (true) {
        if (flow.at(-1) !== "pause") {
          while (unsent > 0 && feed(hundred)) unsent--
          if (unsent > 0) unsent--
          else end()
        }
        const came = yield* reader.read(300)
        if (came.length === 0) break
        read += came.length
        yield* flowTold
      }
      assert.strictEqual(read, 1_000_000)
      // a thousand bytes are read at least from each pause to the next
      assert.isAtMost(flow.length / 2, 1000)
    })
  )

  it.effect("an endless line that is discarded costs one look at each byte", () =>
    Effect.gen(function* () {
      const { feed, flow, reader } = yield* handFed({ limit: 1000 })
      const waiting = yield* start(outcome(reader.readLineWith({ onOverrun: "discard" })))
      const junk = letters(1000)
      const [, work] = yield* counting(
        Effect.sync(() => {
          for (let i = 0; i < 10_000; i++) feed(junk)
        })
      )
      assert.isTrue(waits(waiting))
      assertLinear(work, 10_000_000, 2)
      assert.notStrictEqual(flow.at(-1), "pause")
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )
})
