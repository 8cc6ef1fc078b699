/**
 * Wrong arguments of the reader: a programming error, so the effect dies, when it is run and not before, and says which
 * operation it was and what it was given. And the table of a count of 0 (rank 34).
 */
import { assert, describe, it } from "@effect/vitest"
import { StreamReader } from "effect-byte-streams"
import { Effect, type Scope, Stream } from "effect"
import { defectOf } from "../support/fibers.ts"
import { handFed, held, incomplete, lost, none, outcome, overrunNotFound, some, value } from "../support/handFed.ts"
import { effectOf, type Outcome, type Request } from "../support/readRequests.ts"

type Reader = StreamReader.StreamReader

/** An operation that takes a wrong value, and what its message has to say of it. */
interface Wrong {
  readonly operation: string
  readonly call: (reader: Reader) => Effect.Effect<unknown, unknown>
  /** The value, as the message spells it. */
  readonly shown: string
}

const wrongCounts: ReadonlyArray<readonly [unknown, string]> = [
  [-1, "-1"],
  [-1.5, "-1.5"],
  [1.5, "1.5"],
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "Infinity"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
  [2 ** 53, "9007199254740992"],
  ["5", '"5" (string)'],
  [5n, "5n (bigint)"],
  [null, "null"],
  [undefined, "undefined"],
  [{}, "[object Object] (Object)"]
]

const counted: ReadonlyArray<readonly [string, (reader: Reader, count: never) => Effect.Effect<unknown, unknown>]> = [
  ["read", (reader, count) => reader.read(count)],
  ["readOption", (reader, count) => reader.readOption(count)],
  ["readExactly", (reader, count) => reader.readExactly(count)],
  ["readExactlyOption", (reader, count) => reader.readExactlyOption(count)],
  ["readAll", (reader, maxBytes) => reader.readAll({ maxBytes })],
  ["peek", (reader, count) => reader.peek(count)],
  ["skip", (reader, count) => reader.skip(count)]
]

const wrongLimits: ReadonlyArray<readonly [unknown, string]> = [
  [0, "0"],
  [-1, "-1"],
  [1.5, "1.5"],
  [Number.NaN, "NaN"],
  [Number.NEGATIVE_INFINITY, "-Infinity"],
  ["5", '"5" (string)'],
  [null, "null"]
]

const limited: ReadonlyArray<readonly [string, (reader: Reader, limit: never) => Effect.Effect<unknown, unknown>]> = [
  ["readUntil", (reader, limit) => reader.readUntil("\n", { limit })],
  ["readUntilOption", (reader, limit) => reader.readUntilOption("\n", { limit })],
  ["readLineWith", (reader, limit) => reader.readLineWith({ limit })],
  ["readLineWith", (reader, limit) => reader.readLineWith({ limit, end: "required", keepDelimiter: false })],
  ["readLineWith", (reader, limit) => reader.readLineWith({ limit, onOverrun: "discard" })],
  ["lines", (reader, limit) => Stream.runCollect(StreamReader.lines(reader, { limit }))]
]

const wrongSeparators: ReadonlyArray<readonly [unknown, string]> = [
  ["", "empty"],
  [new Uint8Array(0), "empty"],
  [[], "[]"],
  [[""], "empty"],
  [["\n", ""], "empty"],
  [10, "10"],
  [[10], "got 10"],
  [["\n", 10], "got 10"],
  [null, "null"],
  [undefined, "undefined"],
  [/\n/, "/\\n/"],
  [new Uint16Array([10]), "10 (Uint16Array)"],
  [new ArrayBuffer(1), "(ArrayBuffer)"],
  [[["\n"]], "\n"]
]

const separated: ReadonlyArray<
  readonly [string, (reader: Reader, separator: never) => Effect.Effect<unknown, unknown>]
> = [
  ["readUntil", (reader, separator) => reader.readUntil(separator)],
  ["readUntilOption", (reader, separator) => reader.readUntilOption(separator)],
  ["discardUntil", (reader, separator) => reader.discardUntil(separator)]
]

const notBytes: ReadonlyArray<readonly [unknown, string]> = [
  ["text", "string"],
  [5, "number"],
  [null, "null"],
  [undefined, "undefined"],
  [[1, 2], "object"],
  [new ArrayBuffer(2), "object"],
  [new Uint16Array(2), "object"],
  [new DataView(new ArrayBuffer(2)), "object"]
]

const wrong: ReadonlyArray<Wrong> = [
  ...counted.flatMap(([operation, call]) =>
    wrongCounts.map(([count, shown]) => ({ operation, shown, call: (reader: Reader) => call(reader, count as never) }))
  ),
  ...limited.flatMap(([operation, call]) =>
    wrongLimits.map(([limit, shown]) => ({ operation, shown, call: (reader: Reader) => call(reader, limit as never) }))
  ),
  ...separated.flatMap(([operation, call]) =>
    wrongSeparators.map(([separator, shown]) => ({
      operation,
      shown,
      call: (reader: Reader) => call(reader, separator as never)
    }))
  ),
  ...notBytes.map(([bytes, shown]) => ({
    operation: "unread",
    shown,
    call: (reader: Reader) => reader.unread(bytes as never)
  })),
  ...["keep", "FAIL", "", 1].flatMap((onOverrun): ReadonlyArray<Wrong> => [
    {
      operation: "readLineWith",
      shown: String(onOverrun),
      call: (reader) => reader.readLineWith({ onOverrun: onOverrun as never })
    },
    {
      operation: "lines",
      shown: String(onOverrun),
      call: (reader) => Stream.runCollect(StreamReader.lines(reader, { onOverrun: onOverrun as never }))
    }
  ]),
  ...["always", true, "", 1].flatMap((end): ReadonlyArray<Wrong> => [
    {
      operation: "readLineWith",
      shown: String(end),
      call: (reader) => reader.readLineWith({ end: end as never })
    },
    {
      operation: "lines",
      shown: String(end),
      call: (reader) => Stream.runCollect(StreamReader.lines(reader, { end: end as never }))
    }
  ]),
  ...["no", 0, null].flatMap((flag): ReadonlyArray<Wrong> => [
    {
      operation: "readUntil",
      shown: String(flag),
      call: (reader) => reader.readUntil("\n", { keepDelimiter: flag as never })
    },
    {
      operation: "readUntilOption",
      shown: String(flag),
      call: (reader) => reader.readUntilOption("\n", { keepDelimiter: flag as never })
    },
    {
      operation: "readLineWith",
      shown: String(flag),
      call: (reader) => reader.readLineWith({ keepDelimiter: flag as never })
    },
    {
      operation: "lines",
      shown: String(flag),
      call: (reader) => Stream.runCollect(StreamReader.lines(reader, { fatal: flag as never }))
    }
  ]),
  ...["utf-16", "utf-16le", "utf-16be", "ucs-2", "no-such-encoding", ""].map((encoding): Wrong => ({
    operation: "lines",
    shown: encoding,
    call: (reader) => Stream.runCollect(StreamReader.lines(reader, { encoding }))
  })),
  // who comes from asyncio, or from JavaScript, may well call them like this
  { operation: "readAll", shown: "undefined", call: (reader) => reader.readAll(undefined as never) },
  { operation: "readAll", shown: "undefined", call: (reader) => reader.readAll({} as never) },
  { operation: "readAll", shown: "undefined", call: (reader) => reader.readAll(100 as never) },
  { operation: "readLineWith", shown: "undefined", call: (reader) => reader.readLineWith(undefined as never) },
  { operation: "readLineWith", shown: "5", call: (reader) => reader.readLineWith(5 as never) },
  { operation: "readUntil", shown: "5", call: (reader) => reader.readUntil("\n", 5 as never) },
  { operation: "readUntil", shown: "null", call: (reader) => reader.readUntil("\n", null as never) },
  { operation: "readAll", shown: "all", call: (reader) => reader.readAll({ maxBytes: "all" as never }) }
]

describe("wrong arguments", () => {
  const byOperation = Map.groupBy(wrong, ({ operation }) => operation)
  for (const [operation, cases] of byOperation) {
    it.effect(`${operation} dies, names itself and shows the value, and takes nothing`, () =>
      Effect.gen(function* () {
        const failures: Array<string> = []
        for (const { call, shown } of cases) {
          const { end, feed, reader } = yield* handFed()
          feed("one\ntwo\n")
          end()
          // making it does nothing, which includes throwing
          let effect: Effect.Effect<unknown, unknown>
          try {
            effect = call(reader)
          } catch (error) {
            failures.push(`${shown}: thrown when made: ${String(error)}`)
            continue
          }
          const came = yield* Effect.exit(defectOf(effect))
          const message = came._tag === "Success" ? String(came.value) : "did not die"
          if (!message.includes(`${operation}: `) || !message.includes(shown)) failures.push(`${shown}: ${message}`)
          if ((yield* held(reader)) !== "one\ntwo\n") failures.push(`${shown}: has taken something`)
        }
        assert.deepStrictEqual(failures, [])
      })
    )
  }

  it.effect("a wrong argument counts before the state of the stream: lost, ended, or read by another fiber", () =>
    Effect.gen(function* () {
      const broken = yield* handFed()
      broken.lose()
      const ended = yield* handFed()
      ended.end()
      for (const { reader } of [broken, ended]) {
        for (const { call, operation } of wrong) {
          assert.include(String(yield* defectOf(call(reader))), operation)
        }
      }
    })
  )

  it.effect("a wrong argument dies each time the effect is run", () =>
    Effect.gen(function* () {
      const { reader } = yield* handFed()
      const effect = reader.read(-1)
      yield* defectOf(effect)
      assert.include(String(yield* defectOf(effect)), "read: ")
    })
  )

  it.effect("a limit of Infinity has to be spelled, and is one", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed({ limit: 3 })
      const line = `${"x".repeat(1000)}\n`
      feed(line, line, line)
      const limit = Number.POSITIVE_INFINITY
      assert.deepStrictEqual(yield* outcome(reader.readUntil("\n", { limit })), value(line))
      assert.deepStrictEqual(yield* outcome(reader.readLineWith({ limit })), value(line))
      assert.deepStrictEqual(yield* outcome(reader.readLine), {
        error: "LimitOverrun",
        operation: "readLine",
        consumed: 1000,
        limit: 3,
        found: true
      })
    })
  )
})

describe("wrong arguments of the constructors", () => {
  type Make = (limit: never) => Effect.Effect<unknown, never, Scope.Scope>
  const constructors: ReadonlyArray<readonly [string, Make]> = [
    ["make", (limit) => StreamReader.make({ limit })],
    ["fromBytes", (limit) => StreamReader.fromBytes("", { limit })],
    ["fromPull", (limit) => StreamReader.fromPull(Effect.never, { limit })],
    ["fromStream", (limit) => StreamReader.fromStream(Stream.never, { limit })],
    ["fromReadableStream", (limit) => StreamReader.fromReadableStream(new ReadableStream<Uint8Array>(), { limit })]
  ]
  for (const [name, make] of constructors) {
    it.effect(`${name} dies of a wrong limit, and says so`, () =>
      Effect.gen(function* () {
        for (const [limit, shown] of wrongLimits) {
          const message = String(yield* defectOf(make(limit as never)))
          assert.include(message, `StreamReader.${name}: limit must be an integer above 0`)
          assert.isTrue(message.endsWith(shown), message)
        }
      })
    )
  }

  it.effect("options that are none, and functions and sources that are none", () =>
    Effect.gen(function* () {
      type Make = readonly [string, Effect.Effect<unknown, never, Scope.Scope>]
      const wrongOptions = [5, "fast", null, []]
      const shown = ["5", '"fast" (string)', "null", "[] (Array)"]
      for (const [index, options] of wrongOptions.entries()) {
        const makes: ReadonlyArray<Make> = [
          ["make", StreamReader.make(options as never)],
          ["fromBytes", StreamReader.fromBytes("", options as never)],
          ["fromPull", StreamReader.fromPull(Effect.never, options as never)],
          ["fromStream", StreamReader.fromStream(Stream.never, options as never)],
          ["fromReadableStream", StreamReader.fromReadableStream(new ReadableStream(), options as never)]
        ]
        for (const [name, make] of makes) {
          assert.include(
            String(yield* defectOf(make)),
            `StreamReader.${name}: options must be an object, got ${shown[index]}`
          )
        }
      }
      const makes: ReadonlyArray<Make> = [
        ['make: onPause must be a function, got "stop" (string)', StreamReader.make({ onPause: "stop" as never })],
        ["make: onResume must be a function, got null", StreamReader.make({ onResume: null as never })],
        ["fromPull: pull must be an Effect, got 5", StreamReader.fromPull(5 as never as Effect.Effect<never>)],
        [
          "fromPull: pull must be an Effect, got undefined",
          StreamReader.fromPull(undefined as never as Effect.Effect<never>)
        ],
        [
          "fromStream: stream must be a Stream, got [1] (Array)",
          StreamReader.fromStream([1] as never as Stream.Stream<never>)
        ],
        [
          "fromStream: stream must be a Stream, got",
          StreamReader.fromStream(Effect.never as never as Stream.Stream<never>)
        ],
        [
          "fromReadableStream: stream must be a ReadableStream, got null",
          StreamReader.fromReadableStream(null as never)
        ],
        ["fromReadableStream: stream must be a ReadableStream, got", StreamReader.fromReadableStream({} as never)]
      ]
      for (const [message, make] of makes) {
        assert.include(String(yield* defectOf(make)), `StreamReader.${message}`)
      }
    })
  )

  it.effect("fromBytes dies of what is not bytes", () =>
    Effect.gen(function* () {
      for (const [bytes, shown] of notBytes.filter(([bytes]) => typeof bytes !== "string")) {
        // an array of numbers is an iterable of what is not bytes
        const message = String(yield* defectOf(StreamReader.fromBytes(bytes as never)))
        assert.include(message, "StreamReader.fromBytes: ")
        assert.include(message, Array.isArray(bytes) || bytes instanceof Uint16Array ? "number" : shown)
      }
    })
  )

  it.effect("feeding what is not bytes throws, and feeds nothing", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader } = yield* StreamReader.make()
      for (const [bytes, shown] of notBytes) {
        assert.throws(() => feedUnsafe(bytes as never), new RegExp(`feedUnsafe: expected a Uint8Array, got ${shown}`))
      }
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("a loss that is none throws, and nothing is lost", () =>
    Effect.gen(function* () {
      const { endUnsafe, failUnsafe, reader } = yield* StreamReader.make()
      for (const error of [undefined, null, "lost", new Error("lost"), { kind: "Reset" }]) {
        assert.throws(() => failUnsafe(error as never), /^failUnsafe: error must be a ConnectionLost, got /)
      }
      endUnsafe()
      assert.isTrue(yield* reader.atEof)
    })
  )
})

describe("a count of 0 (rank 34)", () => {
  interface Zero {
    readonly title: string
    readonly request: Request
    readonly empty: Outcome
    readonly buffered: Outcome
    readonly ended: Outcome
  }
  const zero = (request: Request, answer: Outcome, title: string = request.name): Zero => ({
    title: `${title}(0)`,
    request,
    empty: answer,
    buffered: answer,
    ended: answer
  })
  const table: ReadonlyArray<Zero> = [
    zero({ name: "read", count: 0 }, value("")),
    zero({ name: "readInto", count: 0 }, value("")),
    { ...zero({ name: "readOption", count: 0 }, some("")), ended: none },
    zero({ name: "readExactly", count: 0 }, value("")),
    zero({ name: "readExactlyOption", count: 0 }, some("")),
    zero({ name: "peek", count: 0 }, value("")),
    zero({ name: "skip", count: 0 }, value())
  ]
  for (const { buffered, empty, ended, request, title } of table) {
    it.effect(`${title} never waits, takes nothing, and still fails of a loss when nothing is left`, () =>
      Effect.gen(function* () {
        const { end, feed, reader } = yield* handFed()
        assert.deepStrictEqual(yield* outcome(effectOf(reader, request)), empty)
        feed("abc")
        // fed and not looked at, and looked at
        assert.deepStrictEqual(yield* outcome(effectOf(reader, request)), buffered)
        assert.deepStrictEqual(yield* outcome(effectOf(reader, request)), buffered)
        assert.strictEqual(yield* held(reader), "abc")
        yield* reader.skip(3)
        end()
        assert.deepStrictEqual(yield* outcome(effectOf(reader, request)), ended)

        const broken = yield* handFed()
        broken.feed("abc")
        broken.lose()
        assert.deepStrictEqual(yield* outcome(effectOf(broken.reader, request)), buffered)
        yield* broken.reader.skip(3)
        assert.deepStrictEqual(yield* outcome(effectOf(broken.reader, request)), lost(request.name))
      })
    )
  }

  it.effect("readAll of at most 0 bytes is the way to insist on the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      feed("a")
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 0 })), overrunNotFound("readAll", 0, 0))
      yield* reader.skip(1)
      end()
      assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 0 })), value(""))
    })
  )

  it.effect("unread of nothing does nothing, and feeding nothing is not the end", () =>
    Effect.gen(function* () {
      const { end, feed, reader } = yield* handFed()
      yield* reader.unread(new Uint8Array(0))
      feed("")
      assert.strictEqual(yield* reader.buffered, 0)
      assert.isFalse(yield* reader.atEof)
      end()
      yield* reader.unread(new Uint8Array(0))
      assert.isTrue(yield* reader.atEof)
      assert.deepStrictEqual(yield* outcome(reader.readExactly(1)), incomplete("readExactly", "", 1))
    })
  )
})
