/**
 * How to test a protocol against everything that a network can do: a parcel service, whose client must never be wrong
 * about what was delivered. `docs/testing.md` tells the story.
 *
 * Usage: npm run example:test
 */
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Result, Schema } from "effect"
import { openConnection, startServer, type StreamReader } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as TestPeer from "effect-byte-streams/testing/TestPeer"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (text: string) => new TextEncoder().encode(text)

// ---------------------------------------------------------------------------
// the protocol: `<length>\n<parcel>` is answered with `OK <number>\n`
// ---------------------------------------------------------------------------

class BadLine extends Data.TaggedError("BadLine")<{ readonly line: string }> {}

const port = 7000

/** The number in a line. One without its end was cut off, and no line: "OK 1" may have been "OK 12". */
const readNumber = Effect.fnUntraced(function* (reader: StreamReader.StreamReader, pattern: RegExp) {
  const line = text(yield* reader.readUntil("\n"))
  const match = pattern.exec(line)
  return match === null ? yield* new BadLine({ line }) : Number(match[1])
})

/** Puts parcels on a shelf, and says how many there are. */
const serve = (shelf: Array<string>) =>
  startServer({ port, timeouts: { idle: "20 seconds" }, onHandlerError: () => Effect.void }, ({ reader, writer }) =>
    Effect.gen(function* () {
      const length = yield* readNumber(reader, /^(\d+)\n$/)
      shelf.push(text(yield* reader.readExactly(length)))
      yield* writer.write(`OK ${shelf.length}\n`)
    })
  )

/** Delivers a parcel, and returns its number on the shelf. */
const deliver = Effect.fnUntraced(function* (parcel: string) {
  const { reader, writer } = yield* openConnection({ host: "depot.example", port, timeouts: { total: "10 seconds" } })
  const body = bytes(parcel)
  yield* writer.writeAll([`${body.length}\n`, body])
  return yield* readNumber(reader, /^OK (\d+)\n$/)
}, Effect.scoped)

// ---------------------------------------------------------------------------
// a test
// ---------------------------------------------------------------------------

describe("the parcel service", () => {
  it.effect("delivers", () =>
    Effect.gen(function* () {
      const shelf: Array<string> = []
      yield* serve(shelf)
      assert.strictEqual(yield* deliver("a book"), 1)
      assert.deepStrictEqual(shelf, ["a book"])
    }).pipe(TestNetwork.simulate)
  )

  // -------------------------------------------------------------------------
  // a peer that follows a script
  // -------------------------------------------------------------------------

  it.effect("says what it must, and does not believe everything", () =>
    Effect.gen(function* () {
      const depot = yield* TestPeer.listen(TestPeer.script.expect("6\na book").send("SORRY\n").close, {
        host: "depot.example",
        port
      })
      const error = yield* Effect.flip(deliver("a book"))
      assert.strictEqual(error._tag, "BadLine")
      yield* depot.done
    }).pipe(TestNetwork.simulate)
  )

  // -------------------------------------------------------------------------
  // a fault
  // -------------------------------------------------------------------------

  it.effect("does not take half an answer for a whole one", () =>
    Effect.gen(function* () {
      yield* serve(Array.from({ length: 11 }, () => "older"))
      const error = yield* Effect.flip(deliver("a book"))
      assert.strictEqual(error._tag, "IncompleteRead")
    }).pipe((test) => TestNetwork.simulate(test, { faults: [Faults.fin({ from: "server", after: 4 })] }))
  )

  // -------------------------------------------------------------------------
  // every fault
  // -------------------------------------------------------------------------

  const story = {
    parcel: Schema.String,
    older: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
    seed: Schema.Int,
    faults: Faults.schema({ maxBytes: 8 })
  }

  it.effect.prop(
    "is never wrong, whatever the network does",
    story,
    ({ faults, older, parcel, seed }) =>
      Effect.gen(function* () {
        const shelf = Array.from({ length: older }, () => "older")
        yield* serve(shelf)
        const outcome = yield* Effect.result(deliver(parcel))
        const arrived = shelf.length > older
        // what is on the shelf is the parcel, whole
        if (arrived) assert.strictEqual(shelf[older], text(bytes(parcel)))
        // a number is the number of this parcel; without one the client was told why
        if (Result.isSuccess(outcome)) assert.deepStrictEqual([arrived, outcome.success], [true, older + 1])
        else {
          const expected = ["BadLine", "ConnectFailed", "ConnectionLost", "IncompleteRead", "StreamTimeout"]
          assert.include(expected, outcome.failure._tag)
        }
      }).pipe((test) =>
        TestNetwork.simulate(test, {
          seed,
          faults,
          fromClient: { chunking: "random", latency: "30 millis" },
          fromServer: { chunking: "random", latency: "20 millis" }
        })
      ),
    { arbitrary: { runs: 500 } }
  )
})
