/** Faults: what each of them does to both ends, that it strikes between two bytes and nowhere else, and how scripts are made. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { openConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as fc from "fast-check"
import { pattern, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"

const pair = (...faults: Faults.Script) => TestNetwork.pair({ faults })

describe("Reset", () => {
  it.effect("both ends see it, the receiver behind the bytes that still arrive", () =>
    Effect.gen(function* () {
      const { left, right } = yield* pair(Faults.reset({ from: "client", after: 5 }))
      yield* left.writer.write("hello, world")
      assert.strictEqual(text(yield* right.reader.readExactly(5)), "hello")
      for (const end of [right, left]) {
        const error = yield* Effect.flip(end.reader.read(1))
        assert.strictEqual(error._tag, "ConnectionLost")
        assert.strictEqual(error._tag === "ConnectionLost" ? error.kind : undefined, "Reset")
        assert.strictEqual((yield* end.closed)._tag, "Lost")
        assert.strictEqual((yield* Effect.flip(end.writer.write("x")))._tag, "ConnectionLost")
      }
    })
  )

  it.effect("the sender still reads what had been sent to it before", () =>
    Effect.gen(function* () {
      const { left, right } = yield* pair(Faults.reset({ from: "client", after: 1 }))
      yield* right.writer.write("before")
      yield* right.writer.flush
      yield* left.writer.write("x")
      assert.strictEqual(text(yield* left.reader.readExactly(6)), "before")
      assert.strictEqual((yield* Effect.flip(left.reader.read(1)))._tag, "ConnectionLost")
    })
  )

  it.effect("after 0 bytes: before any", () =>
    Effect.gen(function* () {
      const { left, right } = yield* pair(Faults.reset({ from: "server", after: 0 }))
      assert.strictEqual((yield* Effect.flip(left.reader.read(1)))._tag, "ConnectionLost")
      assert.strictEqual((yield* Effect.flip(right.reader.read(1)))._tag, "ConnectionLost")
    })
  )

  it.effect("a receiver that is paused learns at once that it cannot write any more, and reads on", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({
        faults: [Faults.reset({ from: "client", after: 100 })],
        fromClient: { chunking: { offsets: [50] } },
        limit: 10
      })
      yield* left.writer.write(new Uint8Array(200))
      yield* left.closed
      assert.strictEqual(yield* right.reader.buffered, 50)
      assert.strictEqual((yield* right.closed)._tag, "Lost")
      assert.strictEqual((yield* Effect.flip(right.writer.write("x")))._tag, "ConnectionLost")
      assert.strictEqual((yield* right.reader.readExactly(100)).length, 100)
      assert.strictEqual((yield* Effect.flip(right.reader.read(1)))._tag, "ConnectionLost")
    })
  )
})

describe("Fin", () => {
  it.effect("the receiver sees the end, the sender nothing, and the other direction goes on", () =>
    Effect.gen(function* () {
      const { left, right } = yield* pair(Faults.fin({ from: "server", after: 3 }))
      yield* right.writer.write("truncated")
      assert.strictEqual(text(yield* left.reader.readAll({ maxBytes: 100 })), "tru")
      yield* right.writer.write(new Uint8Array(1_000_000))
      yield* right.writer.flush
      yield* left.writer.write("still here")
      assert.strictEqual(text(yield* right.reader.readExactly(10)), "still here")
      assert.strictEqual((yield* right.writer.close)._tag, "Graceful")
    })
  )
})

describe("Stall", () => {
  it.effect("for a time: what comes behind is that much later, and what was sent later is not", () =>
    Effect.gen(function* () {
      const { left, right } = yield* pair(Faults.stall({ from: "client", after: 2, millis: 500 }))
      yield* left.writer.write("abcd")
      assert.strictEqual(text(yield* right.reader.readExactly(2)), "ab")
      const rest = yield* start(right.reader.readExactly(2))
      yield* TestClock.adjust("499 millis")
      assert.isTrue(waits(rest))
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(text(yield* Fiber.join(rest)), "cd")
      yield* left.writer.write("e")
      assert.strictEqual(text(yield* right.reader.readExactly(1)), "e")
    })
  )

  it.effect(
    "for ever: nothing passes, the writer is held up once the buffer is full, the other direction goes on",
    () =>
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair({
          faults: [Faults.stall({ from: "client", after: 3 })],
          fromClient: { capacity: 100 },
          closeTimeout: "2 seconds"
        })
        yield* left.writer.write("abcdef")
        yield* left.writer.flush
        assert.strictEqual(text(yield* right.reader.readExactly(3)), "abc")
        const reading = yield* start(right.reader.read(1))
        yield* left.writer.write(new Uint8Array(1000))
        const flushing = yield* start(Effect.exit(left.writer.flush))
        yield* TestClock.adjust("1 day")
        assert.isTrue(waits(reading))
        assert.isTrue(waits(flushing))
        yield* right.writer.write("hello?")
        assert.strictEqual(text(yield* left.reader.readExactly(6)), "hello?")
        const closing = yield* start(left.writer.close)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* Fiber.join(closing))._tag, "TimedOut")
        yield* TestClock.adjust("1 day")
        assert.isTrue(waits(reading))
      })
  )
})

describe("Vanish", () => {
  it.effect("neither side hears of the other any more, and neither is told", () =>
    Effect.gen(function* () {
      const { left, right } = yield* pair(Faults.vanish({ from: "client", after: 4 }))
      yield* left.writer.write("last words")
      assert.strictEqual(text(yield* right.reader.readExactly(4)), "last")
      const reading = [yield* start(left.reader.read(1)), yield* start(right.reader.read(1))]
      const closed = [yield* start(left.closed), yield* start(right.closed)]
      yield* right.writer.write("anyone?")
      yield* right.writer.flush
      yield* TestClock.adjust("1 day")
      for (const fiber of [...reading, ...closed]) assert.isTrue(waits(fiber))
      assert.strictEqual((yield* right.writer.close)._tag, "Graceful")
      yield* left.abort
      yield* TestClock.adjust("1 day")
      assert.isTrue(waits(closed[1]!) === false, "its own close is all that the right side saw")
    })
  )

  it.effect("what had arrived before is still read", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({
        faults: [Faults.vanish({ from: "client", after: 1 })],
        fromServer: { chunking: { offsets: [20] } },
        limit: 5
      })
      yield* right.writer.write(new Uint8Array(30))
      yield* TestClock.adjust(10)
      // 20 of them are with the reader, which is paused; the others wait in front of it
      assert.strictEqual(yield* left.reader.buffered, 20)
      yield* left.writer.write("x")
      yield* right.reader.readExactly(1)
      assert.strictEqual((yield* left.reader.readExactly(30)).length, 30)
    })
  )
})

describe("scripts", () => {
  it.effect("several faults on one connection, and on several, each where it belongs", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0, gracePeriod: 0 }, ({ reader, writer }) =>
          Effect.gen(function* () {
            while (true) {
              const bytes = yield* reader.read(100)
              if (bytes.length === 0) return
              yield* writer.write(bytes)
            }
          })
        )
        const outcomes: Array<string> = []
        for (let i = 0; i < 3; i++) {
          const { reader, writer } = yield* openConnection({ port: server.port })
          yield* writer.write("0123456789")
          yield* Effect.matchEffect(reader.readExactly(10), {
            onSuccess: (bytes) => Effect.sync(() => outcomes.push(text(bytes))),
            onFailure: (error) => Effect.sync(() => outcomes.push(error._tag))
          })
        }
        assert.deepStrictEqual(outcomes, ["0123456789", "ConnectionLost", "IncompleteRead"])
      }),
      {
        faults: [
          Faults.stall({ connection: 1, from: "client", after: 2, millis: 100 }),
          Faults.stall({ connection: 1, from: "server", after: 4, millis: 100 }),
          Faults.reset({ connection: 2, from: "server", after: 6 }),
          Faults.fin({ connection: 3, from: "client", after: 6 })
        ]
      }
    )
  )

  it.effect(
    "a fault strikes behind its byte, whatever the pieces are, and what arrived is a prefix of what was sent",
    () => {
      const sent = pattern(200)
      const chunkings = fc.constantFrom<TestNetwork.Chunking>("asIs", "oneByte", "halves", { random: { most: 40 } })
      return forAll(
        fc.record({
          fault: Faults.arbitrary(fc, { maxBytes: 200, maxFaults: 1, kinds: ["Reset", "Fin", "Stall", "Vanish"] }),
          chunking: chunkings,
          capacity: fc.integer({ min: 1, max: 300 }),
          cut: fc.integer({ min: 0, max: 200 })
        }),
        ({ capacity, chunking, cut, fault }) =>
          TestNetwork.simulate(
            Effect.gen(function* () {
              const server = yield* startServer({ port: 0, gracePeriod: 0 }, ({ writer }) =>
                Effect.gen(function* () {
                  yield* writer.write(sent.subarray(0, cut))
                  yield* writer.flush
                  yield* writer.write(sent.subarray(cut))
                  yield* writer.writeEof
                  yield* Effect.never
                })
              )
              const { reader } = yield* openConnection({ port: server.port, timeouts: { read: "2 minutes" } })
              let got = 0
              const end = yield* Effect.gen(function* () {
                while (true) {
                  const piece = yield* reader.read(1000)
                  if (piece.length === 0) return "Eof"
                  for (const byte of piece) assert.strictEqual(byte, sent[got++])
                }
              }).pipe(Effect.catch((error) => Effect.succeed(error._tag)))
              const [only] = fault
              if (only === undefined || !("from" in only) || only.from === "client") {
                // nothing is sent in that direction; only a fault in front of its first byte shows
                const shows = only !== undefined && "from" in only && only.after === 0
                if (!shows || only._tag === "Fin" || only._tag === "Stall") {
                  assert.strictEqual(end, "Eof")
                  assert.strictEqual(got, 200)
                }
                return
              }
              if (only._tag === "Stall" && only.millis !== "forever") {
                assert.strictEqual(end, "Eof")
                assert.strictEqual(got, 200)
                return
              }
              assert.strictEqual(got, only.after)
              assert.strictEqual(
                end,
                { Reset: "ConnectionLost", Fin: "Eof", Stall: "StreamTimeout", Vanish: "StreamTimeout" }[
                  only._tag as "Fin"
                ]
              )
            }),
            { faults: fault, fromServer: { chunking, capacity } }
          )
      )
    }
  )

  it("are written down by constructors with defaults", () => {
    assert.deepStrictEqual(Faults.reset({ from: "client", after: 1 }), {
      _tag: "Reset",
      connection: 1,
      from: "client",
      after: 1
    })
    assert.deepStrictEqual(Faults.stall({ connection: 2, from: "server", after: 0 }), {
      _tag: "Stall",
      connection: 2,
      from: "server",
      after: 0,
      millis: "forever"
    })
    assert.deepStrictEqual(Faults.acceptError(), {
      _tag: "AcceptError",
      connection: 1,
      code: "EMFILE",
      retryAfter: 1000
    })
  })

  it("read as sentences", () => {
    assert.strictEqual(Faults.format([]), "no faults")
    assert.strictEqual(
      Faults.format([
        Faults.refuse({ connection: 2 }),
        Faults.fin({ from: "client", after: 3 }),
        Faults.vanish({ from: "server", after: 0 }),
        Faults.acceptError({ connection: 2 }),
        Faults.connectTimeout({ connection: 3 }),
        Faults.hostNotFound({ connection: 4 }),
        Faults.stall({ connection: 4, from: "server", after: 1 })
      ]),
      [
        "#2: refused, accept fails with EMFILE, again after 1000 ms",
        "#1: end after 3 B from the client, vanished after 0 B from the server",
        "#3: no answer",
        "#4: host not found, stall for ever after 1 B from the server"
      ].join("\n")
    )
  })
})

describe("generating", () => {
  const bounds: Faults.Bounds = { connections: 2, maxBytes: 50, maxMillis: 100, maxFaults: 4 }

  const within = (script: Faults.Script): void => {
    assert.isAtMost(script.length, 4)
    for (const fault of script) {
      if ("connection" in fault) assert.include([1, 2], fault.connection)
      if ("after" in fault) assert.isTrue(Number.isInteger(fault.after) && fault.after >= 0 && fault.after <= 50)
      if (fault._tag === "Stall" && fault.millis !== "forever") assert.isAtMost(fault.millis, 100)
      if (fault._tag === "AcceptError") assert.isAtMost(fault.retryAfter, 100)
    }
  }

  it("fast-check: within bounds, of every kind, JSON and back", () => {
    const kinds = new Set<string>()
    fc.assert(
      fc.property(Faults.arbitrary(fc, bounds), (script) => {
        within(script)
        for (const fault of script) kinds.add(fault._tag)
        assert.deepStrictEqual(JSON.parse(JSON.stringify(script)), script)
      }),
      { numRuns: 300 }
    )
    assert.strictEqual(kinds.size, 8)
    const few = fc.sample(Faults.arbitrary(fc, { kinds: ["Reset"] }), 50).flat()
    assert.isTrue(few.every((fault) => fault._tag === "Reset"))
  })

  it("fast-check shrinks to the one fault that matters", () => {
    const result = fc.check(
      fc.property(
        Faults.arbitrary(fc, bounds),
        (script) => !script.some((fault) => fault._tag === "Reset" && fault.after >= 7)
      ),
      { numRuns: 1000 }
    )
    assert.deepStrictEqual(result.counterexample, [[{ _tag: "Reset", connection: 1, from: "client", after: 7 }]])
  })

  it.effect.prop("Effect's own: within bounds, and accepted by the schema", [Faults.schema(bounds)], ([script]) =>
    Effect.sync(() => {
      within(script)
      assert.isTrue(Schema.is(Faults.schema(bounds))(script))
    })
  )

  it.effect("Effect's own shrinks to the one fault that matters", () =>
    Effect.gen(function* () {
      const result = yield* Arbitrary.checkEffect(
        Arbitrary.schema(Faults.schema(bounds)),
        (script) => Effect.succeed(!script.some((fault) => fault._tag === "Stall" && fault.after >= 7)),
        { runs: 1000 }
      )
      assert.strictEqual(result._tag, "Falsified")
      if (result._tag !== "Falsified") return
      assert.strictEqual(result.shrunkInput.length, 1)
      const [fault] = result.shrunkInput
      assert.strictEqual(fault?._tag === "Stall" ? fault.after : -1, 7)
    })
  )

  it("the schema refuses what is out of bounds, and what is no fault", () => {
    const is = Schema.is(Faults.schema(bounds))
    assert.isTrue(is([Faults.reset({ from: "client", after: 50 })]))
    assert.isFalse(is([Faults.reset({ from: "client", after: 51 })]))
    assert.isFalse(is([Faults.refuse({ connection: 3 })]))
    assert.isFalse(is([{ _tag: "Rain" }]))
    assert.isFalse(Schema.is(Faults.schema({ kinds: ["Fin"] }))([Faults.reset({ from: "client", after: 0 })]))
  })

  it("bounds that are wrong are refused by name, and generate nothing that would never happen", () => {
    for (const [wrong, message] of [
      [{ kinds: [] }, "kinds must be an array of one kind or more"],
      [{ kinds: "Fin" }, 'kinds must be an array of one kind or more, got "Fin" (string)'],
      [{ kinds: ["Fin", "Rain"] }, 'kinds[1] must be one of "Reset", "Fin"'],
      [{ kinds: ["Cut"] }, "Cut needs 2 names in hosts, got 0"],
      [{ hosts: "ab" }, 'hosts must be an array of names, got "ab" (string)'],
      [{ hosts: ["a", ""] }, "hosts[1] must be the name of a host"],
      [{ connections: 0 }, "connections must be an integer above 0, got 0"],
      [{ maxBytes: -1 }, "maxBytes must be an integer of 0 or more bytes, got -1"],
      [{ maxMillis: Number.NaN }, "maxMillis must be an integer of 0 or more, got NaN"],
      [{ maxFaults: 1.5 }, "maxFaults must be an integer of 0 or more, got 1.5"]
    ] as const) {
      assert.throws(() => Faults.arbitrary(fc, wrong as Faults.Bounds), `Faults.arbitrary: ${message}`)
      assert.throws(() => Faults.schema(wrong as Faults.Bounds), `Faults.schema: ${message}`)
    }
  })
})
