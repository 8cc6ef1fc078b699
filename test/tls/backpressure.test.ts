/** What is held in memory between a peer and a program that does not keep up, over TLS: rank 2 of the asks. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { NodeNetwork } from "effect-byte-streams"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern } from "../support/bytes.ts"
import { clog } from "../support/clog.ts"
import { start, waits } from "../support/fibers.ts"
import { type Side } from "../support/tlsPeer.ts"
import { eventually, turns, within } from "../support/wait.ts"
import { tlsWays } from "../support/tlsWays.ts"

const sides: ReadonlyArray<Side> = ["client", "server"]

/** Waits until a count has grown, and grows no more. */
const settles = (what: string, count: () => number) => {
  let before = 0
  let quiet = 0
  return eventually(what, () => {
    const now = count()
    quiet = now === before && now > 0 ? quiet + 1 : 0
    before = now
    return quiet > 100
  })
}

for (const { facing, way } of tlsWays) {
  describe(way, () => {
    describe("a program that does not read", () => {
      it.live.each(sides)("rank 2: holds the peer back, and loses nothing, as a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          // far more than systems and engines keep between them
          const chunk = pattern(1_000_000)
          const total = 64
          let sent = 0
          const send = () => {
            if (sent === total || peer.tls.writableLength > 0 || peer.wire.socket.writableLength > 0) return
            sent++
            peer.tls.write(chunk)
          }
          const timer = setInterval(send, 1)
          yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
          // until nothing moves any more
          yield* settles("the peer is held back", () => peer.wire.socket.bytesWritten - peer.wire.socket.writableLength)
          assert.isBelow(sent, total / 2)
          const { limit } = connection.reader
          // one chunk from below may come on top
          assert.isAtMost(yield* connection.reader.buffered, 2 * limit + 65_536)

          for (let i = 0; i < total; i++) {
            assertBytes(yield* within("the next megabyte", connection.reader.readExactly(chunk.length)), chunk)
          }
        }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
      )
    })

    describe("a peer that does not read", () => {
      it.live.each(sides)("rank 2: makes writes wait, at the marks, though nobody calls drain, as a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side, { connection: { closeTimeout: 50 } })
          const { writer } = connection
          yield* peer.stall
          const chunk = pattern(10_000)
          let written = 0
          const writing = yield* start(
            Effect.gen(function* () {
              for (; written < 5000; written++) yield* writer.write(chunk)
            })
          )
          yield* settles("the writer is held back", () => written)
          assert(waits(writing))
          assert.isAbove(yield* writer.buffered, writer.highWaterMark)
          assert.isAtMost(yield* writer.buffered, writer.highWaterMark + chunk.length)
          yield* peer.unstall
          yield* within("all of it is written", Fiber.join(writing))
          yield* peer.secure.awaitBytes(5000 * chunk.length)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("does not hold up reading", () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing("client", { connection: { closeTimeout: 50 } })
          yield* peer.stall
          yield* clog(connection.writer)
          const all = pattern(3_000_000)
          peer.tls.write(all)
          yield* turns()
          assertBytes(yield* within("all of it", connection.reader.readExactly(all.length)), all)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
