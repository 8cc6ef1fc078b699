/** What users ask for when they write, on real sockets: ranks 2, 8, 12 and 29. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, type StreamWriter } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { bytes, pattern } from "../support/bytes.ts"
import { everyKind } from "../support/kinds.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

/** Waits until the writer is held back, and has been for a while. */
const standstill = (writer: StreamWriter.StreamWriter, progress: () => number) =>
  within(
    "the writer stands still",
    Effect.gen(function* () {
      let still = 0
      for (let before = -1; still < 10; before = progress()) {
        yield* Effect.sleep(3)
        still = progress() === before && (yield* writer.buffered) > writer.lowWaterMark ? still + 1 : 0
      }
    })
  )

for (const { kind, toRaw } of everyKind) {
  describe(`rank 2 backpressure without drain, ${kind}`, () => {
    for (const { highWaterMark, size } of [
      { highWaterMark: 65_536, size: 1000 },
      { highWaterMark: 1000, size: 100 },
      { highWaterMark: 10_000, size: 200_000 }
    ]) {
      it.live(`rank 2 a fast writer holds at most ${highWaterMark} bytes and one write of ${size}`, () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* toRaw({ highWaterMark, closeTimeout: 100 }, { paused: true })
          const { writer } = connection
          let written = 0
          let most = 0
          const writing = yield* Effect.forkChild(
            Effect.forever(
              Effect.gen(function* () {
                yield* writer.write(new Uint8Array(size).fill(written & 255))
                written += size
                most = Math.max(most, yield* writer.buffered)
              })
            )
          )
          // the system takes some, and then no more
          yield* standstill(writer, () => written)
          const before = written
          assert.isAbove(before, 0)
          assert.isAtMost(most, highWaterMark + size)
          // and goes on as soon as the peer does
          yield* peer.unstall
          yield* eventuallyEffect(
            "it goes on",
            Effect.sync(() => written > before)
          )
          yield* Fiber.interrupt(writing)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live("rank 2 nothing is lost or doubled when the reader stops and goes", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ highWaterMark: 5000 })
        const sent = pattern(2_000_000)
        const writing = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (let at = 0; at < sent.length; at += 777) yield* connection.writer.write(sent.subarray(at, at + 777))
            yield* connection.writer.writeEof
          })
        )
        for (let i = 0; i < 20; i++) {
          yield* peer.stall
          yield* turns(3)
          yield* peer.unstall
          yield* turns(3)
        }
        yield* within("the writer ends", Fiber.join(writing))
        yield* peer.awaitEnd
        assert.strictEqual(peer.received.compare(sent), 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 8 many fibers write, ${kind}`, () => {
    it.live("rank 8 every frame arrives whole, and each fiber's in its order", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ highWaterMark: 2000 })
        const fibers = 50
        const frames = 20
        /** A frame tells who wrote it, which of theirs it is, and is of a length and filling of its own. */
        const frame = (fiber: number, index: number) =>
          `<${fiber}:${index}:${String.fromCharCode(97 + (fiber % 26)).repeat((fiber * 37 + index * 211) % 900)}>`
        yield* within(
          "all are written",
          Effect.forEach(
            Array.from({ length: fibers }, (_, fiber) => fiber),
            (fiber) =>
              Effect.gen(function* () {
                for (let index = 0; index < frames; index++) {
                  if (index % 3 === 0) yield* Effect.yieldNow
                  if (index % 2 === 0) yield* connection.writer.write(frame(fiber, index))
                  else yield* connection.writer.writeAll([...frame(fiber, index)])
                  if (index % 5 === 0) yield* connection.writer.drain
                }
              }),
            { concurrency: "unbounded", discard: true }
          )
        )
        yield* connection.writer.writeEof
        yield* peer.awaitEnd
        const arrived = peer.text.split(/(?<=>)/)
        assert.strictEqual(arrived.length, fibers * frames)
        const next = Array.from({ length: fibers }, () => 0)
        for (const one of arrived) {
          const fiber = Number(/^<(\d+):/.exec(one)?.[1])
          assert.strictEqual(one, frame(fiber, next[fiber]!++))
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 8 any number of fibers may drain", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        connection.writer.writeUnsafe(pattern(12_000_000))
        const draining = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 50 }, () => connection.writer.drain),
            { concurrency: "unbounded" }
          ),
          { startImmediately: true }
        )
        yield* turns(10)
        assert.strictEqual(draining.pollUnsafe(), undefined)
        yield* peer.unstall
        yield* within("they all go on", Fiber.join(draining))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 12 writeAll, ${kind}`, () => {
    it.live("rank 12 obeys the watermarks as write does", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ highWaterMark: 10_000, closeTimeout: 100 }, { paused: true })
        const { writer } = connection
        const chunks = Array.from({ length: 10 }, (_, i) => new Uint8Array(500).fill(i))
        let most = 0
        let written = 0
        const writing = yield* Effect.forkChild(
          Effect.forever(
            Effect.gen(function* () {
              yield* writer.writeAll(chunks)
              written++
              most = Math.max(most, yield* writer.buffered)
            })
          )
        )
        yield* standstill(writer, () => written)
        const before = written
        assert.isAtMost(most, 10_000 + 5000)
        yield* peer.unstall
        yield* eventuallyEffect(
          "it goes on",
          Effect.sync(() => written > before)
        )
        yield* Fiber.interrupt(writing)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 12 is one run of bytes, and takes any iterable", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        yield* connection.writer.writeAll(
          (function* () {
            yield "one "
            yield bytes("two ")
            yield new Uint8Array(0)
            yield "three"
          })()
        )
        yield* connection.writer.writeAll([])
        yield* connection.writer.writeEof
        yield* peer.awaitEnd
        assert.strictEqual(peer.text, "one two three")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 29 flush, ${kind}`, () => {
    it.live("rank 29 completes only when nothing is buffered, while drain is content with less", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        const { writer } = connection
        const sent = pattern(12_000_000)
        writer.writeUnsafe(sent)
        const flushing = yield* Effect.forkChild(
          Effect.flatMap(Effect.andThen(writer.flush, writer.buffered), (buffered) =>
            Effect.sync(() => assert.strictEqual(buffered, 0))
          ),
          { startImmediately: true }
        )
        yield* turns(10)
        assert.strictEqual(flushing.pollUnsafe(), undefined)
        assert.isAbove(yield* writer.buffered, 0)
        yield* peer.unstall
        yield* within("the flush", Fiber.join(flushing))
        yield* peer.awaitBytes(sent.length)
        assert.strictEqual(peer.received.compare(sent), 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 29 once it completes nothing is buffered, and everything arrives", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        yield* connection.writer.write("all of it")
        yield* connection.writer.flush
        assert.strictEqual(yield* connection.writer.buffered, 0)
        yield* peer.awaitText("all of it")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 29 waits for what was written before it, and not for what comes after", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        const { writer } = connection
        yield* writer.write("small")
        yield* within("the first flush", writer.flush)
        writer.writeUnsafe(pattern(12_000_000))
        const second = yield* Effect.forkChild(writer.flush, { startImmediately: true })
        yield* turns(10)
        assert.strictEqual(second.pollUnsafe(), undefined)
        yield* peer.unstall
        yield* within("the second flush", Fiber.join(second))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}
