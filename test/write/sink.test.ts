/** `StreamWriter.sink`: a stream's chunks onto the wire. */
import { assert, describe, it } from "@effect/vitest"
import { StreamWriter } from "effect-byte-streams"
import { Effect, Fiber, Stream } from "effect"
import { bytes, pattern } from "../support/bytes.ts"
import { fake } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { turns } from "../support/wait.ts"
import { nobody, waiting } from "../support/waiters.ts"

describe("sink", () => {
  it.effect("writes every chunk, bytes and text, and leaves the writer open", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* Stream.run(Stream.make("one ", bytes("two "), "", "three "), StreamWriter.sink(writer))
      yield* Stream.run(Stream.empty, StreamWriter.sink(writer))
      yield* writer.write("four")
      yield* writer.flush
      assert.strictEqual(transport.sentText, "one two three four")
      assert.isFalse(yield* writer.isClosing)
      assert.notInclude(transport.calls, "end")
    })
  )

  it.effect("may be used again, and builds nothing before it runs", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      const sink = StreamWriter.sink(writer)
      const run = Stream.run(Stream.make("a", "b"), sink)
      yield* turns(1)
      assert.deepStrictEqual(transport.writes, [])
      yield* run
      yield* run
      yield* writer.flush
      assert.strictEqual(transport.sentText, "abab")
    })
  )

  it.effect("holds the stream back while the writer is full", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ takes: false, highWaterMark: 2500 })
      let pulled = 0
      const source = Stream.fromIterable(
        Array.from({ length: 100 }, (_, i) => pattern(1000).fill(i)),
        {
          chunkSize: 1
        }
      ).pipe(Stream.tap(() => Effect.sync(() => pulled++)))
      const run = yield* start(Stream.run(source, StreamWriter.sink(writer)))
      yield* turns()
      assert.isTrue(waits(run))
      assert.strictEqual(yield* writer.buffered, 3000)
      assert.isAtMost(pulled, 4)
      let most = 0
      while (waits(run)) {
        if (transport.holding) transport.drain()
        most = Math.max(most, yield* writer.buffered)
        yield* turns(1)
      }
      assert.isAtMost(most, 3500)
      yield* Fiber.join(run)
      yield* turns(1)
      transport.drainAll()
      assert.strictEqual(transport.sent.length, 100_000)
      for (let i = 0; i < 100; i++) assert.strictEqual(transport.sent[i * 1000], i)
    })
  )

  it.effect("fails with the writer's error, and stops the stream", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      let finalized = false
      const source = Stream.forever(Stream.make("0123456789a")).pipe(
        Stream.ensuring(Effect.sync(() => (finalized = true)))
      )
      const run = yield* start(Effect.flip(Stream.run(source, StreamWriter.sink(writer))))
      yield* turns()
      assert.isTrue(waits(run))
      transport.lose()
      assert.deepInclude(yield* Fiber.join(run), { _tag: "ConnectionLost", kind: "Reset" })
      assert.isTrue(finalized)
      assert.deepStrictEqual(waiting(connection), nobody)
    })
  )

  it.effect("interrupted while it waits, leaves nothing behind", () =>
    Effect.gen(function* () {
      const { connection, transport, writer } = yield* fake({ takes: false, highWaterMark: 10 })
      const run = yield* start(
        Stream.run(Stream.fromIterable(["eleven bytes", "never"], { chunkSize: 1 }), StreamWriter.sink(writer))
      )
      yield* turns()
      assert.strictEqual(waiting(connection).writers, 1)
      yield* Fiber.interrupt(run)
      assert.deepStrictEqual(waiting(connection), nobody)
      transport.drainAll()
      yield* turns()
      assert.strictEqual(transport.sentText, "eleven bytes")
    })
  )
})
