/**
 * What runs in the middle of a write, an encoder or the iterable that makes its chunks, may use the same connection or
 * another one: no byte is lost for it, none goes astray, and nothing is written behind the end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Frame, Observer, StreamError, type StreamWriter } from "effect-byte-streams"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { assertBytes } from "../support/assertBytes.ts"
import { bytes, pattern } from "../support/bytes.ts"
import { concat, fake, type Faked } from "../support/fakeTransport.ts"
import { forAll } from "../support/property.ts"
import { turns } from "../support/wait.ts"

/** A byte, whose encoder does something else as well. */
const meanwhile = (act: () => void) =>
  Frame.transform(Frame.uint8, {
    decode: (value: number) => value,
    encode: (value: number) => {
      act()
      return value
    }
  })

/** Three bytes, with something else done between the first and the second. */
const interspersed = (act: () => void) => Frame.tuple(Frame.uint8, meanwhile(act), Frame.uint8)

const abc = [65, 66, 67] as const

/** What is done meanwhile, and on which connection. */
interface Act {
  readonly on: number
  readonly does: "flush" | "take" | { readonly size: number; readonly how: "write" | "frame" }
}

describe("an encoder that uses connections", () => {
  const connections = 3
  const act: fc.Arbitrary<Act> = fc.record({
    on: fc.nat(connections - 1),
    does: fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          size: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(4096, 4097, 65_535, 65_536, 70_000)),
          how: fc.constantFrom("write" as const, "frame" as const)
        })
      },
      { weight: 3, arbitrary: fc.constant("flush" as const) },
      { weight: 2, arbitrary: fc.constant("take" as const) }
    )
  })

  it.effect("writes what it writes in front of its own message, whole, and nothing is lost or goes astray", () =>
    forAll(
      fc.record({
        before: fc.nat(50),
        rounds: fc.array(fc.array(act, { maxLength: 6 }), { minLength: 1, maxLength: 6 }),
        fails: fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
        takes: fc.array(fc.boolean(), { minLength: 1, maxLength: 10 })
      }),
      ({ before, fails, rounds, takes }) =>
        Effect.gen(function* () {
          let asked = 0
          let seed = 0
          const ends = yield* Effect.all(
            Array.from({ length: connections }, () =>
              Effect.map(
                fake({ highWaterMark: 100_000_000, takes: () => takes[asked++ % takes.length]! }),
                (faked) => ({ ...faked, expected: new Array<Uint8Array>() })
              )
            )
          )
          const first = ends[0]!
          const perform = (acts: ReadonlyArray<Act>) => {
            for (const { does, on } of acts) {
              const { expected, transport, writer } = ends[on]!
              if (does === "flush") Effect.runFork(writer.flush)
              else if (does === "take") transport.drainAll()
              else {
                const data = new Uint8Array(does.size).fill(++seed)
                expected.push(data)
                if (does.how === "write") writer.writeUnsafe(data)
                else writer.writeFrameUnsafe(Frame.bytes(does.size), data)
              }
            }
          }
          for (const [i, acts] of rounds.entries()) {
            if (before > 0) {
              first.writer.writeUnsafe(pattern(before))
              first.expected.push(pattern(before))
            }
            const fail = fails[i % fails.length]!
            const frame = interspersed(() => {
              perform(acts)
              if (fail) throw new Error("no")
            })
            const result = yield* Effect.result(first.writer.writeFrame(frame, abc))
            assert.strictEqual(Result.isFailure(result), fail)
            if (!fail) first.expected.push(Uint8Array.from(abc))
            yield* first.writer.write("|")
            first.expected.push(bytes("|"))
            if (i % 2 === 0) yield* turns(1)
          }
          yield* turns(1)
          for (const { expected, transport, writer } of ends) {
            transport.accept()
            transport.drainAll()
            yield* writer.flush
            assertBytes(transport.sent, concat(expected))
            assert.strictEqual(yield* writer.buffered, 0)
          }
        }),
      {
        examples: [
          // the part that was open is sealed by a long piece
          [
            {
              before: 5,
              rounds: [[{ on: 0, does: { size: 4097, how: "write" } }]],
              fails: [false],
              takes: [true]
            }
          ],
          // everything was sent meanwhile, and the memory is nobody's
          [
            {
              before: 0,
              rounds: [
                [
                  { on: 0, does: { size: 65_536, how: "write" } },
                  { on: 1, does: { size: 10, how: "write" } }
                ]
              ],
              fails: [false],
              takes: [true]
            }
          ],
          [{ before: 6, rounds: [[{ on: 0, does: "flush" }]], fails: [false], takes: [true] }]
        ]
      }
    )
  )
})

describe("an observer that uses the connection of which it is told", () => {
  it.effect("writes what it writes behind what goes out, whole, and nothing is lost or comes twice", () =>
    forAll(
      fc.record({
        sizes: fc.array(fc.constantFrom(1, 50, 4096, 4097, 70_000, 300_000), { minLength: 1, maxLength: 5 }),
        acts: fc.array(fc.array(fc.constantFrom(1, 60, 4096, 4097, 70_000, 300_000), { maxLength: 3 }), {
          minLength: 1,
          maxLength: 8
        }),
        takes: fc.array(fc.boolean(), { minLength: 1, maxLength: 6 })
      }),
      ({ acts, sizes, takes }) =>
        Effect.gen(function* () {
          let asked = 0
          let seed = 0
          let told = 0
          const expected: Array<Uint8Array> = []
          const write = (writer: StreamWriter.StreamWriter, size: number) => {
            const data = new Uint8Array(size).fill(++seed)
            expected.push(data)
            writer.writeUnsafe(data)
          }
          const observed: Observer.Observer = {
            onBytes: () => {
              for (const size of acts[told++] ?? []) write(faked.writer, size)
            }
          }
          const faked: Faked = yield* fake({
            highWaterMark: 100_000_000,
            takes: () => takes[asked++ % takes.length]!
          }).pipe(Effect.provideService(Observer.Observer, observed))
          const { transport, writer } = faked
          for (const size of sizes) {
            write(writer, size)
            if (size % 2 === 0) yield* turns(1)
          }
          yield* turns(1)
          transport.accept()
          transport.drainAll()
          yield* writer.flush
          assertBytes(transport.sent, concat(expected))
          assert.strictEqual(yield* writer.buffered, 0)
        }),
      { examples: [[{ sizes: [1], acts: [[1]], takes: [true] }]] }
    )
  )
})

describe("nothing is written behind the end that comes in the middle of a write", () => {
  const ends: ReadonlyArray<
    readonly [name: string, end: (writer: StreamWriter.StreamWriter) => Effect.Effect<unknown, any>]
  > = [
    ["close", (writer) => writer.close],
    ["writeEof", (writer) => writer.writeEof],
    ["abort", (writer) => writer.abort]
  ]
  const writes: ReadonlyArray<
    readonly [
      name: string,
      write: (
        writer: StreamWriter.StreamWriter,
        act: () => void
      ) => Effect.Effect<unknown, StreamError.WriteError | StreamError.EncodeFailed>
    ]
  > = [
    ["writeFrame", (writer, act) => writer.writeFrame(interspersed(act), abc)],
    ["writeFrames", (writer, act) => writer.writeFrames(interspersed(act), [abc, abc])],
    ["writeAll", (writer, act) => writer.writeAll(chunks(act))],
    ["writeFrameUnsafe", (writer, act) => thrownBy(() => writer.writeFrameUnsafe(interspersed(act), abc))],
    ["writeAllUnsafe", (writer, act) => thrownBy(() => writer.writeAllUnsafe(chunks(act)))]
  ]
  const chunks = function* (act: () => void) {
    yield "one"
    act()
    yield "two"
  }
  const thrownBy = (act: () => unknown) => Effect.try({ try: act, catch: (error) => error as StreamError.WriteError })

  for (const [end, run] of ends) {
    for (const [write, attempt] of writes) {
      it.effect(`${write}, of which a part ${end}s: it fails, and nothing of it is sent`, () =>
        Effect.gen(function* () {
          for (const takes of [true, false]) {
            const { transport, writer } = yield* fake({ takes })
            yield* writer.write("before;")
            yield* turns(1)
            yield* writer.write("pending;")
            let ended = false
            const failure = yield* Effect.flip(
              attempt(writer, () => {
                if (!ended) Effect.runFork(run(writer))
                ended = true
              })
            )
            assert(failure instanceof StreamError.ClosedStream)
            assert.strictEqual(failure.operation, write)
            assert.strictEqual(failure.reason, end === "abort" ? "Aborted" : end === "close" ? "Closed" : "Eof")
            transport.accept()
            transport.drainAll()
            yield* turns(2)
            if (end !== "abort") assert.strictEqual(transport.sentText, "before;pending;")
            assert.strictEqual(transport.count("abort"), end === "abort" ? 1 : 0)
            assert.strictEqual(transport.count("end") + transport.count("close"), end === "abort" ? 0 : 1)
          }
        })
      )
    }
  }
})
