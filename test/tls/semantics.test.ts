/**
 * The rows of asyncio's semantics that are about TLS: what its streams do there, and what these do. (9.5, the default
 * of the handshake's bound, is in handshake.test.ts; 9.8 also in startTls.test.ts and leftover.test.ts.)
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { NodeNetwork, StreamError } from "effect-byte-streams"
import { assertBytes } from "../support/assertBytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { clog } from "../support/clog.ts"
import { backTo, held } from "../support/descriptors.ts"
import { start, waits } from "../support/fibers.ts"
import { plainFacing, plainPair } from "../support/plainPair.ts"
import { tlsClientOn } from "../support/tlsPeer.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"
import { tlsWays } from "../support/tlsWays.ts"

const versions = ["TLSv1.2", "TLSv1.3"] as const

for (const { connectTls, facing, serveTls, tlsPair, way } of tlsWays) {
  describe(way, () => {
    describe("section 6: the end of the stream", () => {
      it.live("row 6.3: a close_notify is the end; a connection that breaks is an error", () =>
        Effect.gen(function* () {
          const clean = yield* facing("client")
          clean.peer.tls.end()
          assert.strictEqual((yield* clean.connection.reader.read(1)).length, 0)
          const broken = yield* facing("client")
          yield* broken.peer.wire.finish
          const error = yield* Effect.flip(broken.connection.reader.read(1))
          assert.strictEqual(error._tag, "TlsFailed")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      // asyncio closes the transport at once when the peer's end comes over TLS
      it.live.each(versions)("row 6.5: after the peer's end this side may still write, over %s", (maxVersion) =>
        Effect.gen(function* () {
          const { client, peer } = yield* tlsPair({ client: { maxVersion } })
          yield* client.writer.writeEof
          assert.strictEqual((yield* peer.reader.readLine).length, 0)
          assert.strictEqual(yield* peer.writer.isClosing, false)
          yield* peer.writer.write("still here\n")
          assert.strictEqual(text(yield* client.reader.readLine), "still here\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("section 8: the marks", () => {
      // asyncio's are 512 KiB over TLS, and it pauses at the mark, not above it
      it.live("row 8.8: are those of plain connections: 64 KiB and 16 KiB by default", () =>
        Effect.gen(function* () {
          const { client, peer } = yield* tlsPair()
          for (const { writer } of [client, peer]) {
            assert.strictEqual(writer.highWaterMark, 65_536)
            assert.strictEqual(writer.lowWaterMark, 16_384)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 8.8: writes wait above the high one, not at it, and go on at the low one", () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing("client", {
            connection: { highWaterMark: 1_000_000, lowWaterMark: 250_000 }
          })
          const { writer } = connection
          yield* peer.stall
          // nothing more goes out: from now on what is written is buffered
          const written = yield* clog(writer)
          const waiting = yield* start(writer.write("one more"))
          const draining = yield* start(writer.drain)
          yield* turns()
          assert(waits(waiting) && waits(draining))
          yield* peer.unstall
          yield* within("the write goes on", Fiber.join(waiting))
          yield* within("the drain ends", Fiber.join(draining))
          yield* peer.secure.awaitBytes(written.length + 8)
          assertBytes(peer.secure.received, Buffer.concat([written, bytes("one more")]))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 8.8: at the high one no write waits yet", () =>
        Effect.gen(function* () {
          const highWaterMark = 1_000_000
          const { connection, peer } = yield* facing("client", { connection: { highWaterMark, closeTimeout: 50 } })
          const { writer } = connection
          yield* peer.stall
          // until the system takes no more
          do {
            while ((yield* writer.buffered) === 0) writer.writeUnsafe(pattern(100_000))
            yield* turns(20)
          } while ((yield* writer.buffered) === 0)
          yield* writer.write(pattern(highWaterMark - (yield* writer.buffered)))
          assert.strictEqual(yield* writer.buffered, highWaterMark)
          yield* within("drain does not wait", writer.drain)
          yield* within("nor does the write that passes it", writer.write("x"))
          const waiting = yield* start(writer.write("y"))
          yield* turns()
          assert(waits(waiting))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("section 9: the end of the output", () => {
      // asyncio has no write_eof over TLS
      it.live.each(versions)(
        "row 9.2: writeEof ends the output by a close_notify, and only the output, over %s",
        (maxVersion) =>
          Effect.gen(function* () {
            const { connection, peer } = yield* facing("client", { peer: { maxVersion } })
            yield* connection.writer.write("all of it")
            yield* connection.writer.writeEof
            yield* connection.writer.writeEof
            yield* peer.secure.awaitEnd
            assert.strictEqual(peer.secure.text, "all of it")
            assert.strictEqual(peer.secure.error, undefined)
            assert.strictEqual(yield* connection.writer.isClosing, false)
            peer.tls.write("an answer\n")
            assert.strictEqual(text(yield* connection.reader.readLine), "an answer\n")
            const error = yield* Effect.flip(connection.writer.write(bytes("more")))
            assert(error._tag === "ClosedStream")
            assert.strictEqual(error.reason, "Eof")
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      // asyncio waits 30 seconds for the peer's close_notify
      it.live(
        "row 9.5: close does not wait for a peer that never answers it, and lets go of the connection in bounded time",
        () =>
          Effect.gen(function* () {
            const before = held()
            yield* Effect.scoped(
              Effect.gen(function* () {
                const { connection, peer } = yield* facing("client")
                yield* peer.stall
                yield* connection.writer.write("goodbye")
                assert.strictEqual((yield* within("the close", connection.writer.close, 2000))._tag, "Graceful")
                yield* peer.unstall
                yield* peer.secure.awaitText("goodbye")
              })
            )
            yield* backTo(before)
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 9.5: close of what a peer never reads is bounded by closeTimeout, and says what was not sent", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              for (const side of ["client", "server"] as const) {
                const { connection, peer } = yield* facing(side, { connection: { closeTimeout: 100 } })
                yield* peer.stall
                yield* clog(connection.writer)
                const unsent = yield* connection.writer.buffered
                const outcome = yield* within("the close", connection.writer.close, 2000)
                assert.deepStrictEqual(outcome, { _tag: "TimedOut", unsent })
                yield* peer.unstall
                yield* peer.wire.awaitClosed
              }
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 9.5: the end of a scope is bounded in the same way", () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const server = yield* serveTls()
          const client = yield* Scope.provide(connectTls(server.port, {}, { closeTimeout: 100 }), scope)
          // nobody reads at the other end
          yield* server.accept
          yield* clog(client.writer)
          yield* within("the scope closes", Scope.close(scope, Exit.void), 2000)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 9.6: abort is no clean end for the peer, nor for this side", () =>
        Effect.gen(function* () {
          const { client, peer } = yield* tlsPair()
          yield* client.abort
          const here = yield* Effect.flip(client.reader.read(1))
          assert(here._tag === "ClosedStream")
          assert.strictEqual(here.reason, "Aborted")
          const there = yield* Effect.flip(peer.reader.read(1))
          assert.strictEqual(there._tag, "ConnectionLost")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 9.10: isClosing is true from close on, and once the connection broke", () =>
        Effect.gen(function* () {
          const closing = yield* facing("client")
          assert.strictEqual(yield* closing.connection.writer.isClosing, false)
          yield* closing.connection.writer.close
          assert.strictEqual(yield* closing.connection.writer.isClosing, true)
          const broken = yield* facing("client")
          yield* broken.peer.wire.reset
          yield* eventuallyEffect("it is closing", broken.connection.writer.isClosing)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("row 9.8: start_tls", () => {
      const asServer = { side: "server", identity: certificates.server.identity } as const
      const asClient = { side: "client", ca: authority.cert, serverName: "localhost" } as const

      it.live("row 9.8: either end may be the TLS server, whoever connected", () =>
        Effect.gen(function* () {
          const { client, peer } = yield* plainPair()
          const [one, other] = yield* within(
            "both ends are upgraded",
            Effect.all([client.startTls(asServer), peer.startTls(asClient)], { concurrency: 2 })
          )
          assert.strictEqual(other.info.tls?.authorized, true)
          yield* one.writer.write("hello\n")
          assert.strictEqual(text(yield* other.reader.readLine), "hello\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 9.8: a buffer that pauses the old transport pauses the new one, not the old", () =>
        Effect.gen(function* () {
          const { connection: old, peer: raw } = yield* plainFacing("server", { limit: 1024 })
          const upgrading = yield* Effect.forkChild(old.startTls(asServer))
          const peer = tlsClientOn(raw)
          const connection = yield* within("the upgrade", Fiber.join(upgrading))
          const all = pattern(200_000)
          peer.tls.write(all)
          yield* eventuallyEffect(
            "the buffer is full",
            Effect.map(connection.reader.buffered, (buffered) => buffered > 2048)
          )
          yield* turns(50)
          assert.isBelow(yield* connection.reader.buffered, 100_000)
          assert.strictEqual(Buffer.compare(yield* connection.reader.readExactly(all.length), all), 0)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 9.8: bytes in the buffer of the reader are never taken for decrypted data", () =>
        Effect.gen(function* () {
          const { connection: old, peer: raw } = yield* plainFacing("server")
          yield* raw.send("STARTTLS\r\nNOOP\r\n")
          yield* old.reader.readLine
          const error = yield* Effect.flip(old.startTls(asServer))
          assert(error instanceof StreamError.TlsFailed)
          assert.strictEqual(error.kind, "InjectedPlaintext")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
