/** Effects are descriptions: nothing happens before one is run, and each run does the work anew, however it is run. */
import { assert, describe, it } from "@effect/vitest"
import { StreamError, StreamWriter } from "effect-byte-streams"
import { Effect, Exit } from "effect"
import * as fc from "fast-check"
import { bytes } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { forAll } from "../support/property.ts"
import { turns } from "../support/wait.ts"

describe("laziness", () => {
  it.effect("building an effect does nothing", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake()
      let iterated = false
      const built = [
        writer.write("x"),
        writer.write(bytes("x")),
        writer.writeAll({
          *[Symbol.iterator]() {
            iterated = true
            yield "x"
          }
        }),
        writer.drain,
        writer.flush,
        writer.writeEof,
        writer.close,
        writer.abort,
        writer.isClosing,
        writer.buffered,
        connection.closed,
        connection.abort,
        StreamWriter.sink(writer)
      ]
      for (const effect of built) assert.isDefined(effect)
      // nor does looking at it, or putting it into a larger one
      const larger = [
        Effect.map(writer.write("x"), () => 1),
        Effect.andThen(writer.write("x"), writer.flush),
        Effect.gen(function* () {
          yield* writer.write("x")
        }),
        Effect.all([writer.write("x"), writer.close])
      ]
      assert.isString(JSON.stringify([built, larger]))
      yield* turns()
      assert.isFalse(iterated)
      assert.deepStrictEqual(transport.calls, ["attach"])
      assert.strictEqual(yield* writer.buffered, 0)
      assert.isFalse(yield* writer.isClosing)
    })
  )

  it.effect("the same effect run twice writes twice", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const [one, all, flush] = [writer.write("one "), writer.writeAll(["all", " "]), writer.flush]
      yield* one
      yield* one
      yield* all
      yield* Effect.repeat(all, { times: 1 })
      yield* Effect.all([one, one, all], { concurrency: "unbounded" })
      yield* flush
      yield* flush
      assert.strictEqual(transport.sentText, "one one all all all one one all ")
      yield* one
      yield* flush
      assert.strictEqual(transport.sentText, "one one all all all one one all one ")
    })
  )

  it.effect("an effect built while the stream was open tells the truth when it is run later", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      const { drain, flush } = writer
      const write = writer.write("late")
      yield* writer.close
      for (const effect of [write, drain, flush]) {
        assert.instanceOf(yield* Effect.flip(effect), StreamError.ClosedStream)
      }
    })
  )

  describe("a generator and a pipeline agree", () => {
    type Action =
      | "write"
      | "empty"
      | "long"
      | "writeAll"
      | "drain"
      | "flush"
      | "writeEof"
      | "close"
      | "abort"
      | "buffered"
    const effectOf = (
      writer: StreamWriter.StreamWriter,
      action: Action,
      index: number
    ): Effect.Effect<unknown, unknown> => {
      switch (action) {
        case "write":
          return writer.write(`${index};`)
        case "empty":
          return writer.write("")
        case "long":
          return writer.write(new Uint8Array(5000).fill(index))
        case "writeAll":
          return writer.writeAll([`${index}`, "", bytes(";")])
        default:
          return writer[action]
      }
    }
    const actions = fc.array(
      fc.oneof(
        {
          weight: 12,
          arbitrary: fc.constantFrom<Action>("write", "empty", "long", "writeAll", "drain", "flush", "buffered")
        },
        { weight: 1, arbitrary: fc.constantFrom<Action>("writeEof", "close", "abort") }
      ),
      { maxLength: 30 }
    )

    it.effect("on what is written, when it is sent, and what comes of it", () =>
      forAll(fc.record({ actions, highWaterMark: fc.constantFrom(0, 10, 65536) }), ({ actions, highWaterMark }) =>
        Effect.gen(function* () {
          const outcomes = []
          for (const style of ["generator", "pipeline"] as const) {
            const { transport, writer } = yield* fake({ highWaterMark })
            const results: Array<unknown> = []
            const note = (exit: Exit.Exit<unknown, unknown>) => {
              results.push(Exit.isSuccess(exit) ? exit.value : String(exit.cause))
            }
            if (style === "generator") {
              yield* Effect.gen(function* () {
                for (const [index, action] of actions.entries()) {
                  note(Exit.succeed(yield* effectOf(writer, action, index)))
                }
              }).pipe(Effect.exit, Effect.map(note))
            } else {
              yield* actions
                .reduce<Effect.Effect<unknown, unknown>>(
                  (before, action, index) =>
                    Effect.flatMap(before, () =>
                      Effect.map(effectOf(writer, action, index), (value) => note(Exit.succeed(value)))
                    ),
                  Effect.void
                )
                .pipe(Effect.exit, Effect.map(note))
            }
            yield* turns(1)
            outcomes.push({ results, calls: transport.calls, writes: transport.writes })
          }
          assert.deepStrictEqual(outcomes[1], outcomes[0])
        })
      )
    )
  })
})
