/** A frame is code of others: what it may do to the very reader that it is read from, while it is asked. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, StreamError, StreamReader } from "effect-byte-streams"
import { Cause, Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as fc from "fast-check"
import { assertBytes } from "../support/assertBytes.ts"
import { concat, fake, FakeTransport } from "../support/fakeTransport.ts"
import { start } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"

/** The first byte of a message says which it is, and what is done to the reader as the second of them is looked at. */
type Act = { now: () => void }

const once = (act: Act, first: number): number => {
  if (first === 2) {
    const { now } = act
    act.now = () => {}
    now()
  }
  return first
}

/** Of a few bytes, or of so many that they come in pieces of their own. */
const sizes = { few: 3, many: 3600 } as const

const frames = {
  "a part of several": (act: Act, size: number) =>
    Frame.struct({
      first: Frame.uint8.pipe(Frame.transform({ decode: (first) => once(act, first), encode: (first) => first })),
      rest: Frame.bytes(size - 1)
    }).pipe(Frame.transform({ decode: ({ first }) => first, encode: (first) => ({ first, rest: new Uint8Array() }) })),
  "all of a message": (act: Act, size: number) =>
    Frame.bytes(size).pipe(
      Frame.transform({ decode: (all) => once(act, all[0]!), encode: (first) => new Uint8Array(size).fill(first) })
    ),
  "a decoder that wants more": (act: Act, size: number) =>
    Frame.decoder<number>({
      maxBytes: size,
      decode: (cursor) => {
        const held = cursor.end - cursor.at
        if (held === 0) return cursor.more(1)
        const first = once(act, cursor.bytes[cursor.at]!)
        // little by little, so that it is asked again
        if (held < size) return cursor.more(1)
        cursor.at += size
        return first
      }
    })
} as const

const messages = (size: number): Uint8Array =>
  Uint8Array.from({ length: 4 * size }, (_, i) => (i % size === 0 ? i / size + 1 : 0))

type Read = (
  reader: StreamReader.StreamReader,
  frame: Frame.Decoder<number>,
  given: Array<number>
) => Effect.Effect<unknown, unknown>

/** Over and over. `asked`: as the generator of a program asks; `run`: as an effect. */
const reads: Record<string, Read> = {
  "readFrame, run": (reader, frame, given) =>
    Effect.gen(function* () {
      while (true) given.push(yield* Effect.suspend(() => reader.readFrame(frame)))
    }),
  "readFrame, asked": (reader, frame, given) =>
    Effect.gen(function* () {
      while (true) given.push(yield* reader.readFrame(frame))
    }),
  "readFrames, run": (reader, frame, given) =>
    Effect.gen(function* () {
      while (true) given.push(...(yield* Effect.suspend(() => reader.readFrames(frame))))
    }),
  "readFrames, asked": (reader, frame, given) =>
    Effect.gen(function* () {
      while (true) given.push(...(yield* reader.readFrames(frame)))
    }),
  frames: (reader, frame, given) =>
    Stream.runForEach(StreamReader.frames(reader, frame), (one) => Effect.sync(() => given.push(one))),
  "frames that are skipped": (reader, frame, given) =>
    Stream.runForEach(StreamReader.frames(reader, frame, { onMalformed: "skip" }), (one) =>
      Effect.sync(() => given.push(one))
    )
}

interface Case {
  readonly title: string
  readonly read: Read
  readonly frame: (act: Act) => Frame.Decoder<number>
  readonly size: number
  readonly piece: number
  readonly waits: boolean
}

const cases: ReadonlyArray<Case> = Object.entries(reads).flatMap(([readName, read]) =>
  Object.entries(frames).flatMap(([frameName, frame]) =>
    Object.entries(sizes).flatMap(([sizeName, size]) =>
      [size / 3, size, 4 * size].flatMap((piece) =>
        [true, false].map((waits) => ({
          title: `${readName}, of ${frameName}, of ${sizeName} bytes in pieces of ${piece}, ${waits ? "waits" : "does not wait"}`,
          read,
          frame: (act: Act) => frame(act, size),
          size,
          piece,
          waits
        }))
      )
    )
  )
)

/** Reads the messages, of which the second does something. What was given until then, and how the reading ended. */
const perform = Effect.fnUntraced(function* (
  { frame, piece, read, size, waits }: Case,
  transport: FakeTransport,
  reader: StreamReader.StreamReader,
  now: (fiber: () => Fiber.Fiber<unknown, unknown>) => void
) {
  const all = messages(size)
  let fiber: Fiber.Fiber<unknown, unknown> | undefined
  const act: Act = { now: () => now(() => fiber!) }
  const given: Array<number> = []
  const feed = () => {
    for (let at = 0; at < all.length; at += piece) transport.push(all.slice(at, at + piece))
  }
  if (!waits) feed()
  const reading = yield* start(
    Effect.exit(
      Effect.withFiber((own) => {
        fiber = own
        return read(reader, frame(act), given)
      })
    )
  )
  if (waits) feed()
  return { all, given, reading }
})

const errorOf = (exit: Exit.Exit<unknown, unknown>): StreamError.ClosedStream =>
  (Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined) as StreamError.ClosedStream

const inFront = (given: ReadonlyArray<number>, title: string): void => {
  assert.include([0, 1], given.length, title)
  if (given.length > 0) assert.deepStrictEqual(given, [1], title)
}

/** The read of messages that are all fed, of which the second feeds what is left of them. */
const fedFromWithin = Effect.fnUntraced(function* (
  { frame, piece, read, size, waits }: Case,
  within: "whole" | "part"
) {
  const { failUnsafe, feedUnsafe, reader } = yield* StreamReader.make()
  const all = messages(size)
  const pieces: Array<Uint8Array> = []
  for (let at = 0; at < all.length; at += piece) pieces.push(all.slice(at, at + piece))
  const feed = () => {
    for (let next = pieces.shift(); next !== undefined; next = pieces.shift()) feedUnsafe(next)
  }
  const given: Array<number> = []
  const from = within === "whole" ? reader : yield* StreamReader.limited(reader, all.length + 1)
  // not all of them, so that there is something left
  const front = Math.ceil((size + 1) / piece)
  if (!waits) for (const one of pieces.splice(0, front)) feedUnsafe(one)
  const reading = yield* start(Effect.exit(read(from, frame({ now: feed }), given)))
  feed()
  // some of them go on at a clean end
  failUnsafe(new StreamError.ConnectionLost({ operation: "test", kind: "Reset" }))
  yield* Fiber.await(reading)
  return given
})

describe("what a frame does to the reader that it is read from", () => {
  it.effect.each(["close", "abort"] as const)(
    "it closes the connection (%s): the read fails, and nothing hangs",
    (how) =>
      Effect.gen(function* () {
        for (const one of cases) {
          const { connection, reader, transport } = yield* fake()
          const { given, reading } = yield* perform(one, transport, reader, () => {
            Effect.runFork(how === "abort" ? connection.abort : connection.writer.close)
          })
          const error = errorOf(yield* Fiber.join(reading))
          assert.strictEqual(error._tag, "ClosedStream", one.title)
          assert.strictEqual(error.reason, how === "abort" ? "Aborted" : "Closed", one.title)
          inFront(given, one.title)
        }
      })
  )

  it.effect("it upgrades the connection: what was not read belongs to that, to the byte", () =>
    Effect.gen(function* () {
      for (const one of cases.filter(({ waits }) => !waits)) {
        const { connection, reader, transport } = yield* fake()
        const leftover: Array<Uint8Array> = []
        Object.assign(transport, {
          startTls: (_: unknown, pieces: ReadonlyArray<Uint8Array>) =>
            Effect.sync(() => {
              leftover.push(...pieces)
              return new FakeTransport()
            })
        })
        const { all, given, reading } = yield* perform(one, transport, reader, () => {
          Effect.runFork(
            Scope.provide(
              connection.startTls({ side: "client", serverName: "localhost", leftover: "feedTls" }),
              Scope.makeUnsafe()
            )
          )
        })
        const error = errorOf(yield* Fiber.join(reading))
        assert.strictEqual(error.reason, "Upgraded", one.title)
        inFront(given, one.title)
        assertBytes(concat(leftover), all.subarray(given.length * one.size))
      }
    })
  )

  it.effect("it leaves the part that is read: its bytes are back, and none was read", () =>
    Effect.gen(function* () {
      for (const one of cases.filter(({ waits }) => !waits)) {
        const { reader, transport } = yield* fake()
        const scope = Scope.makeUnsafe()
        const part = yield* Scope.provide(StreamReader.limited(reader, 4 * one.size), scope)
        const { all, given, reading } = yield* perform(one, transport, part, () => {
          Effect.runFork(Scope.close(scope, Exit.void))
        })
        assert.strictEqual(errorOf(yield* Fiber.join(reading))._tag, "ClosedStream", one.title)
        inFront(given, one.title)
        const left = all.subarray(given.length * one.size)
        assert.strictEqual(yield* reader.buffered, left.length, one.title)
        assertBytes(yield* reader.readExactly(left.length), left)
      }
    })
  )

  it.effect("it reads: that is told to be busy, and every message is given once", () =>
    Effect.gen(function* () {
      for (const one of cases) {
        // the reader, or a part of it: of that more is to come, or it has all, and the reader behind it is somebody else's
        for (const part of [0, 5, 4]) {
          const { reader, transport } = yield* fake()
          const read = part === 0 ? reader : yield* StreamReader.limited(reader, part * one.size)
          const exits: Array<Exit.Exit<unknown, unknown>> = []
          const { given, reading } = yield* perform(one, transport, read, () => {
            for (const on of part === 5 ? [reader, read] : [read]) {
              const others: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
                on.read(1),
                on.skip(1),
                on.unread(Uint8Array.of(9)),
                on.readLine
              ]
              for (const other of others) {
                exits.push(Effect.runSyncExit(other))
                assert.isFalse(other[Symbol.iterator]().next().done, one.title)
              }
            }
          })
          yield* Fiber.interrupt(reading)
          assert.deepStrictEqual(given, [1, 2, 3, 4], one.title)
          assert.strictEqual(exits.length, part === 5 ? 8 : 4, one.title)
          for (const exit of exits) assert.strictEqual(String(errorOf(exit)._tag), "StreamBusy", one.title)
        }
      }
    })
  )

  it.effect.each(["whole", "part"] as const)(
    "it feeds what is left of the stream: that comes behind what was fed, and every message is given once, of a %s",
    (within) =>
      Effect.gen(function* () {
        for (const one of cases)
          assert.deepStrictEqual(yield* fedFromWithin(one, within), [1, 2, 3, 4], `${one.title}, ${within}`)
      })
  )

  it.effect("it interrupts the fiber that reads: what was not given is still there", () =>
    Effect.gen(function* () {
      // what a stream was given it may have yet to give
      for (const one of cases.filter(({ title }) => title.startsWith("read"))) {
        const { reader, transport } = yield* fake()
        const { all, given, reading } = yield* perform(one, transport, reader, (fiber) => fiber().interruptUnsafe())
        yield* Fiber.await(reading)
        const left = yield* reader.buffered
        assert.deepStrictEqual(given, [1, 2, 3, 4].slice(0, given.length), one.title)
        assert.strictEqual(left, all.length - given.length * one.size, one.title)
        assertBytes(yield* reader.readExactly(left), all.subarray(all.length - left))
      }
    })
  )
})

/** Messages of two bytes, of which the first says which it is. `ask`: called as one is looked at, as often as it is. */
const pairs = {
  "a part of several": (ask: (id: number) => void) =>
    Frame.tuple(
      Frame.uint8.pipe(Frame.transform({ decode: (id) => (ask(id), id), encode: (id) => id })),
      Frame.uint8
    ).pipe(Frame.transform({ decode: ([id]) => id, encode: (id) => [id, 0] as const })),
  "all of a message": (ask: (id: number) => void) =>
    Frame.uint16.pipe(Frame.transform({ decode: (both) => (ask(both >> 8), both >> 8), encode: (id) => id << 8 }))
} as const

const most = 12
const ids = fc.integer({ min: 1, max: most })

/** What is fed from without, piece by piece, and what as a message is looked at first, and as it was given. */
const feeding = fc.record({
  frame: fc.constantFrom<keyof typeof pairs>("a part of several", "all of a message"),
  read: fc.constantFrom("readFrame, run", "readFrame, asked", "readFrames, run", "readFrames, asked", "frames"),
  part: fc.boolean(),
  messages: fc.array(ids, { minLength: 1, maxLength: 6 }),
  pieces: fc.infiniteStream(fc.integer({ min: 1, max: 5 })),
  lying: fc.nat(3),
  looked: fc.array(fc.tuple(ids, fc.array(ids, { maxLength: 3 })), { maxLength: 6 }),
  given: fc.array(fc.tuple(ids, fc.array(ids, { maxLength: 3 })), { maxLength: 4 }),
  end: fc.option(ids)
})

describe("what a frame feeds, and who is given its messages", () => {
  it.effect("comes in the order in which it was fed, and so does the end", () =>
    forAll(feeding, (one) =>
      Effect.gen(function* () {
        const { endUnsafe, feedUnsafe, reader } = yield* StreamReader.make()
        const fed: Array<number> = []
        let isOver = false
        const feed = (bytes: ReadonlyArray<number>): void => {
          if (isOver) return
          fed.push(...bytes)
          feedUnsafe(Uint8Array.from(bytes))
        }
        const end = (): void => {
          isOver = true
          endUnsafe()
        }
        const feedOnce = (table: ReadonlyArray<readonly [number, ReadonlyArray<number>]>) => {
          const left = new Map(table)
          return (id: number): void => {
            const more = left.get(id) ?? []
            left.delete(id)
            for (const next of more) feed([next, 0])
          }
        }
        const [looked, given] = [feedOnce(one.looked), feedOnce(one.given)]
        const frame = pairs[one.frame]((id) => {
          looked(id)
          if (id === one.end) end()
        })
        const all: Array<number> = []
        const got = {
          push: (...messages: Array<number>) => {
            all.push(...messages)
            return messages.forEach(given)
          }
        } as unknown as Array<number>
        const from = one.part ? yield* StreamReader.limited(reader, 10_000) : reader
        const bytes = one.messages.flatMap((id) => [id, 0])
        const next = (): void => feed(bytes.splice(0, one.pieces.next().value))
        for (let i = 0; i < one.lying; i++) next()
        const reading = yield* start(Effect.exit(reads[one.read]!(from, frame, got)))
        while (bytes.length > 0) {
          next()
          yield* Effect.yieldNow
        }
        end()
        // a clean end is an answer of some, which go on
        yield* Effect.raceFirst(Fiber.await(reading), Effect.yieldNow.pipe(Effect.repeat({ times: 20 })))
        yield* Fiber.interrupt(reading)
        const expected = fed.filter((_, i) => i % 2 === 0).slice(0, fed.length >> 1)
        assert.deepStrictEqual(all, expected)
      })
    )
  )

  it.effect("is no deeper in the stack for each that feeds another", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader } = yield* StreamReader.make()
      const count = 20_000
      let looked = -1
      const frame = Frame.uint32.pipe(
        Frame.transform({
          decode: (id) => {
            if (id > looked && id < count) feedUnsafe(Frame.encodeResultUnsafe(Frame.uint32, id + 1))
            looked = Math.max(looked, id)
            return id
          },
          encode: (id) => id
        })
      )
      const reading = yield* start(reader.readFrame(frame).pipe(Effect.repeat({ until: (id) => id === count })))
      feedUnsafe(new Uint8Array(4))
      assert.strictEqual(yield* Fiber.join(reading), count)
    })
  )
})
