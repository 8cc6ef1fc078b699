/**
 * How a TLS stream ends: in good order by a close_notify, cut without one, half-closed, or broken by what is no TLS.
 * Ranks 30 and 9 of the asks over TLS.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { type Connection, NodeNetwork, startServer, type StreamError } from "effect-byte-streams"
import { randomBytes } from "node:crypto"
import { assertBytes } from "../support/assertBytes.ts"
import { certificates } from "../support/certificates.ts"
import { pattern, text } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { host } from "../support/tlsPair.ts"
import { connectTlsPeer, type Side, type TlsPeer, tlsServerOn } from "../support/tlsPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"
import { tlsWays } from "../support/tlsWays.ts"

const sides: ReadonlyArray<Side> = ["client", "server"]
const versions = ["TLSv1.2", "TLSv1.3"] as const
const cases = sides.flatMap((side) => versions.map((version) => [side, version] as const))

const truncated = (error: StreamError.ReadError | StreamError.IncompleteRead | StreamError.LimitOverrun): void => {
  assert(error._tag === "TlsFailed", String(error))
  assert.strictEqual(error.kind, "Truncated")
}

/** Nothing can be read for good: the end was clean, and stays so. */
const cleanEnd = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    for (let i = 0; i < 3; i++) assert.strictEqual((yield* connection.reader.read(1)).length, 0)
    assert.strictEqual(yield* connection.reader.atEof, true)
  })

for (const { connectTls, facing, serveTls, stoppable, tlsPair, way } of tlsWays) {
  describe(way, () => {
    describe("close_notify", () => {
      it.live.each(cases)("rank 30: is the end of the stream, for a %s over %s", ([side, maxVersion]) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side, { peer: { maxVersion } })
          peer.tls.end("last words")
          assert.strictEqual(text(yield* connection.reader.readLine), "last words")
          yield* cleanEnd(connection)
          assert.deepStrictEqual(yield* connection.closed, { _tag: "PeerEof" })
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("is the end of the stream also while the bare connection stays open, for a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          peer.keepOpen = true
          peer.tls.end("last words")
          assert.strictEqual(text(yield* connection.reader.readAll({ maxBytes: 100 })), "last words")
          yield* cleanEnd(connection)
          assert.strictEqual(peer.wire.ended, false)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("without anything before it is an empty stream, for a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          peer.tls.end()
          yield* cleanEnd(connection)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      // What the peer said last lies in buffers of the engine and below when its end arrives.
      it.live.each(sides)("behind more than the reader takes at once is still a clean end, for a %s", (side) =>
        Effect.gen(function* () {
          const all = pattern(300_000)
          const { connection, peer } = yield* facing(side, { connection: { limit: 16_384 } })
          let flushed = false
          peer.tls.end(all, () => (flushed = true))
          yield* eventually(
            "the peer has sent everything, and its end",
            () => flushed && peer.wire.socket.writableFinished
          )
          yield* turns(50)
          assertBytes(yield* connection.reader.readAll({ maxBytes: 400_000 }), all)
          yield* cleanEnd(connection)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is sent by close, by writeEof and at the end of the scope: the peer sees a clean end", () =>
        Effect.gen(function* () {
          const server = yield* serveRaw({ halfOpen: true })
          for (const end of ["close", "writeEof", "scope"] as const) {
            const scope = yield* Scope.make()
            const connecting = yield* Effect.forkChild(Scope.provide(connectTls(server.port), scope))
            const peer = tlsServerOn(yield* server.accept)
            const client = yield* Fiber.join(connecting)
            yield* client.writer.write("goodbye")
            yield* end === "scope" ? Scope.close(scope, Exit.void) : client.writer[end]
            yield* peer.secure.awaitEnd
            assert.strictEqual(peer.secure.text, "goodbye")
            assert.strictEqual(peer.secure.error, undefined)
            yield* Scope.close(scope, Exit.void)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is not sent by abort, nor by a scope that fails: the peer sees that it was cut off", () =>
        Effect.gen(function* () {
          for (const end of ["abort", "scope"] as const) {
            const scope = yield* Scope.make()
            const server = yield* serveTls()
            const client = yield* Scope.provide(connectTls(server.port), scope)
            const peer = yield* server.accept
            yield* client.writer.write("some of it")
            yield* client.writer.flush
            assert.strictEqual(text(yield* peer.reader.readExactly(10)), "some of it")
            yield* end === "abort" ? client.abort : Scope.close(scope, Exit.fail("it went wrong"))
            const error = yield* Effect.flip(peer.reader.read(1))
            assert(error._tag === "ConnectionLost", String(error))
            assert.strictEqual(error.kind, "Reset")
            yield* Scope.close(scope, Exit.void)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("a connection that is cut without close_notify", () => {
      it.live.each(cases)(
        "rank 30: delivers what arrived, then fails with Truncated, for a %s over %s",
        ([side, version]) =>
          Effect.gen(function* () {
            const { connection, peer } = yield* facing(side, { peer: { maxVersion: version } })
            const { reader } = connection
            peer.tls.write("one\ntwo\npart")
            yield* eventuallyEffect(
              "all of it arrives",
              Effect.map(reader.buffered, (buffered) => buffered === 12)
            )
            yield* peer.wire.finish
            assert.strictEqual(text(yield* reader.readLine), "one\n")
            assert.strictEqual(text(yield* reader.readLine), "two\n")
            truncated(yield* Effect.flip(reader.readLine))
            truncated(yield* Effect.flip(reader.readExactly(100)))
            truncated(yield* Effect.flip(reader.readUntil("\n")))
            truncated(yield* Effect.flip(reader.readAll({ maxBytes: 100 })))
            // what is there can still be read
            assert.strictEqual(text(yield* reader.read(100)), "part")
            for (let i = 0; i < 3; i++) truncated(yield* Effect.flip(reader.read(1)))
            truncated(yield* Effect.flip(reader.readLine))
            assert.strictEqual(yield* reader.atEof, false)
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("delivers all that arrived, however much the reader has not taken yet, for a %s", (side) =>
        Effect.gen(function* () {
          const all = pattern(300_000)
          const { connection, peer } = yield* facing(side, { connection: { limit: 16_384 } })
          let written = false
          peer.tls.write(all, () => (written = true))
          yield* eventually("the peer has sent everything", () => written && peer.wire.socket.writableLength === 0)
          yield* peer.wire.finish
          yield* turns(50)
          assertBytes(yield* connection.reader.readExactly(all.length), all)
          truncated(yield* Effect.flip(connection.reader.read(1)))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("fails a read that waits, and completes closed, for a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          const waiting = yield* start(Effect.flip(connection.reader.readLine))
          yield* peer.wire.finish
          truncated(yield* within("the read fails", Fiber.join(waiting)))
          const closed = yield* within("the session is over", connection.closed)
          assert.strictEqual(closed._tag, "Lost")
          const write = yield* Effect.flip(connection.writer.write("too late"))
          assert.strictEqual(write._tag, "ConnectionLost")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(cases)("is a clean end with allowTruncation, for a %s over %s", ([side, maxVersion]) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side, { tls: { allowTruncation: true }, peer: { maxVersion } })
          peer.tls.write("one\npart")
          assert.strictEqual(text(yield* connection.reader.readLine), "one\n")
          yield* peer.wire.finish
          assert.strictEqual(text(yield* connection.reader.readLine), "part")
          yield* cleanEnd(connection)
          // the peer has only stopped sending
          yield* connection.writer.write("reply")
          assert.strictEqual(text(yield* peer.secure.awaitBytes(5)), "reply")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("in the middle of a record is Truncated, and the record is not delivered, for a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          peer.tls.write("whole\n")
          assert.strictEqual(text(yield* connection.reader.readLine), "whole\n")
          peer.hold()
          peer.tls.write("torn apart\n")
          const record = yield* peer.takeHeld("a record is made")
          yield* peer.wire.send(record.subarray(0, record.length - 5))
          yield* peer.wire.finish
          truncated(yield* Effect.flip(connection.reader.read(100)))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("by a reset is lost: never a clean end, not even with allowTruncation, for a %s", (side) =>
        Effect.gen(function* () {
          for (const allowTruncation of [false, true]) {
            const { connection, peer } = yield* facing(side, { tls: { allowTruncation } })
            peer.tls.write("before the reset\n")
            assert.strictEqual(text(yield* connection.reader.readLine), "before the reset\n")
            yield* peer.wire.reset
            const error = yield* Effect.flip(connection.reader.read(1))
            assert(error._tag === "ConnectionLost", String(error))
            assert.strictEqual(error.kind, "Reset")
            assert.strictEqual(error.code, "ECONNRESET")
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("by a reset, after this side ended its output, is lost all the same, for a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          yield* connection.writer.writeEof
          yield* peer.secure.awaitEnd
          yield* peer.wire.reset
          const error = yield* Effect.flip(connection.reader.read(1))
          assert.include(["ConnectionLost", "TlsFailed"], error._tag)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("rank 9: by a reset still delivers what arrived before, for a %s", (side) =>
        Effect.gen(function* () {
          // more than the reader takes at once, and no more than the systems have room for: what is still on its way at the
          // other end would be gone with the reset
          const all = pattern(100_000)
          const { connection, peer } = yield* facing(side, { connection: { limit: 16_384 } })
          let written = false
          peer.tls.write(all, () => (written = true))
          yield* eventually("the peer has sent everything", () => written && peer.wire.socket.writableLength === 0)
          yield* turns(50)
          yield* peer.wire.reset
          yield* turns(50)
          assertBytes(yield* connection.reader.readExactly(all.length), all)
          const error = yield* Effect.flip(connection.reader.read(1))
          assert(error._tag === "ConnectionLost", String(error))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)(
        "rank 9: a reply that came before the reset is read though our own write failed, for a %s",
        (side) =>
          Effect.gen(function* () {
            const { connection, peer } = yield* facing(side)
            peer.tls.write("421 too busy\n")
            yield* eventually("the reply arrives", () => (peer.wire.socket.writableLength === 0 ? true : undefined))
            yield* turns(20)
            yield* peer.wire.reset
            // writes until it is told that nobody is there
            const failed = yield* within(
              "a write fails",
              Effect.flip(
                Effect.forever(
                  Effect.gen(function* () {
                    yield* connection.writer.write("request\n")
                    yield* connection.writer.flush
                    yield* turns(1)
                  })
                )
              )
            )
            assert.strictEqual(failed._tag, "ConnectionLost")
            assert.strictEqual(text(yield* connection.reader.readLine), "421 too busy\n")
            const error = yield* Effect.flip(connection.reader.readLine)
            assert.strictEqual(error._tag, "ConnectionLost")
          }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("what is no TLS, after the handshake", () => {
      it.live.each(cases)("fails reads with TlsFailed, for a %s over %s", ([side, maxVersion]) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side, { peer: { maxVersion } })
          peer.tls.write("fine\n")
          assert.strictEqual(text(yield* connection.reader.readLine), "fine\n")
          yield* peer.wire.send("HTTP/1.1 400 Bad Request\r\n\r\n")
          const error = yield* within("the read fails", Effect.flip(connection.reader.readLine))
          assert(error._tag === "TlsFailed", String(error))
          assert.strictEqual(error.kind, "Handshake")
          assert.match(error.code!, /^ERR_SSL_/)
          const closed = yield* within("the session is over", connection.closed)
          assert.strictEqual(closed._tag, "Lost")
          yield* peer.wire.awaitEnd
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(cases)("is answered by an alert, which the peer gets, for a %s over %s", ([side, maxVersion]) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side, { peer: { maxVersion } })
          let alert: NodeJS.ErrnoException | undefined
          peer.tls.on("_tlsError", (error) => (alert = error))
          yield* peer.wire.send("HTTP/1.1 400 Bad Request\r\n\r\n")
          yield* within("the read fails", Effect.flip(connection.reader.readLine))
          yield* peer.wire.awaitEnd
          assert.strictEqual(peer.wire.error, undefined)
          assert.match((yield* eventually("the peer is told", () => alert)).code!, /^ERR_SSL_.*ALERT/)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("behind what is: that is delivered first, in the same segment, for a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          peer.hold()
          peer.tls.write("fine\n")
          const record = yield* peer.takeHeld("a record is made")
          yield* peer.wire.send(Buffer.concat([record, Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")]))
          assert.strictEqual(text(yield* connection.reader.readLine), "fine\n")
          const error = yield* within("the read fails", Effect.flip(connection.reader.readLine))
          assert(error._tag === "TlsFailed", String(error))
          assert.strictEqual(error.kind, "Handshake")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("a record that was tampered with is never delivered, for a %s", (side) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side)
          peer.hold()
          peer.tls.write("pay alice\n")
          const record = yield* peer.takeHeld("a record is made")
          record[record.length - 1] = record[record.length - 1]! ^ 1
          yield* peer.wire.send(record)
          const error = yield* within("the read fails", Effect.flip(connection.reader.readLine))
          assert(error._tag === "TlsFailed", String(error))
          assert.strictEqual(error.code, "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("noise is not delivered, whatever it looks like, for a %s", (side) =>
        Effect.gen(function* () {
          for (let i = 0; i < 10; i++) {
            const { connection, peer } = yield* facing(side)
            const noise = randomBytes(200)
            if (i % 2 === 0) noise.set([23, 3, 3, 0, 100])
            yield* peer.wire.send(noise)
            yield* peer.wire.finish
            const error = yield* within("the read fails", Effect.flip(connection.reader.read(1)))
            assert.strictEqual(error._tag, "TlsFailed")
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("half-close", () => {
      it.live.each(versions)("rank 16: after writeEof the reply is read to its end, over %s", (maxVersion) =>
        Effect.gen(function* () {
          const { client, peer } = yield* tlsPair({ client: { maxVersion } })
          yield* client.writer.write("request")
          yield* client.writer.writeEof
          assert.strictEqual(text(yield* peer.reader.readAll({ maxBytes: 100 })), "request")
          const reply = pattern(500_000)
          const replying = yield* Effect.forkChild(
            Effect.gen(function* () {
              yield* peer.writer.write(reply)
              return yield* peer.writer.close
            })
          )
          assertBytes(yield* client.reader.readAll({ maxBytes: "unbounded" }), reply)
          yield* cleanEnd(client)
          assert.strictEqual((yield* Fiber.join(replying))._tag, "Graceful")
          assert.strictEqual((yield* client.writer.close)._tag, "Graceful")
          const late = yield* Effect.flip(client.writer.write("more"))
          assert.strictEqual(late._tag, "ClosedStream")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(cases)("the peer's end does not end our output, for a %s over %s", ([side, maxVersion]) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side, { peer: { maxVersion } })
          peer.keepOpen = true
          peer.tls.end("request")
          assert.strictEqual(text(yield* connection.reader.readAll({ maxBytes: 100 })), "request")
          yield* connection.writer.write("late reply")
          yield* connection.writer.flush
          assert.strictEqual(text(yield* peer.secure.awaitBytes(10)), "late reply")
          yield* connection.writer.writeEof
          yield* peer.secure.awaitEnd
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("writeEof behind a lot of output sends all of it first, for a %s", (side) =>
        Effect.gen(function* () {
          const all = pattern(1_000_000)
          const { connection, peer } = yield* facing(side)
          yield* connection.writer.write(all)
          yield* connection.writer.writeEof
          yield* connection.writer.writeEof
          yield* peer.secure.awaitEnd
          assertBytes(peer.secure.received, all)
          peer.tls.write("and back\n")
          assert.strictEqual(text(yield* connection.reader.readLine), "and back\n")
          const error = yield* Effect.flip(connection.writer.write("more"))
          assert(error._tag === "ClosedStream")
          assert.strictEqual(error.reason, "Eof")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("TLS 1.3 tickets", () => {
      it.live("rank 30: a client that writes and closes without reading breaks nothing", () =>
        Effect.gen(function* () {
          const server = yield* serveTls()
          for (let i = 0; i < 20; i++) {
            const scope = yield* Scope.make()
            const client = yield* Scope.provide(connectTls(server.port), scope)
            yield* client.writer.write(`message ${i}\n`)
            assert.strictEqual((yield* client.writer.close)._tag, "Graceful")
            const peer = yield* server.accept
            assert.strictEqual(text(yield* peer.reader.readLine), `message ${i}\n`)
            yield* cleanEnd(peer)
            assert.strictEqual((yield* peer.writer.close)._tag, "Graceful")
            yield* Scope.close(scope, Exit.void)
          }
          assert.strictEqual(server.failures.length, 0)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("rank 30: a client that closes at once is a clean end for the server", () =>
        Effect.gen(function* () {
          const server = yield* serveTls()
          for (let i = 0; i < 20; i++) {
            yield* Effect.scoped(connectTls(server.port))
            yield* cleanEnd(yield* server.accept)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("rank 30: a server that speaks and ends at once is read to its end", () =>
        Effect.gen(function* () {
          const server = yield* startServer(
            { host, port: 0, tls: { identity: certificates.server.identity, stoppable } },
            ({ reader, writer }) =>
              // in the very call in which the handler is begun, in front of the tickets if that could be
              Effect.andThen(Effect.andThen(writer.write("greeting\n"), writer.writeEof), reader.readLine)
          )
          for (let i = 0; i < 20; i++) {
            const client = yield* connectTls(server.port)
            assert.strictEqual(text(yield* client.reader.readLine), "greeting\n")
            yield* cleanEnd(client)
            assert.strictEqual((yield* client.writer.close)._tag, "Graceful")
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("rank 30: a server that answers and closes at once is read to its end", () =>
        Effect.gen(function* () {
          const server = yield* serveTls()
          for (let i = 0; i < 20; i++) {
            const client = yield* connectTls(server.port)
            const peer = yield* server.accept
            yield* peer.writer.write("answer\n")
            assert.strictEqual((yield* peer.writer.close)._tag, "Graceful")
            // the server is gone: this must not harm what it sent
            yield* Effect.exit(client.writer.write("question\n"))
            yield* Effect.exit(client.writer.flush)
            assert.strictEqual(text(yield* client.reader.readLine), "answer\n")
            yield* cleanEnd(client)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    it.live.each(versions)("rank 30: a server that ends in the turn of the handshake says so, over %s", (maxVersion) =>
      Effect.gen(function* () {
        // the tickets of the handshake are still on their way
        for (const answer of ["", "answer\n"]) {
          const server = yield* startServer(
            { host, port: 0, tls: { identity: certificates.server.identity, stoppable } },
            ({ writer }) => Effect.when(writer.write(answer), Effect.succeed(answer !== ""))
          )
          const clients = yield* Effect.all(
            Array.from({ length: 10 }, () => connectTls(server.port, { maxVersion })),
            { concurrency: "unbounded" }
          )
          for (const client of clients) {
            assert.strictEqual(text(yield* within("the answer", client.reader.readAll({ maxBytes: 100 }))), answer)
          }
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    describe("a client that still waits to be served when it ends", () => {
      /** It has said something and left when its turn comes. */
      const served = (leave: (peer: TlsPeer) => Effect.Effect<unknown>) =>
        Effect.gen(function* () {
          const done = yield* Deferred.make<void>()
          const clients: Array<Connection.Connection> = []
          const server = yield* startServer(
            {
              host,
              port: 0,
              gracePeriod: 0,
              maxConnections: 1,
              tls: { identity: certificates.server.identity, stoppable }
            },
            (connection) => {
              clients.push(connection)
              return clients.length === 1 ? Deferred.await(done) : Effect.never
            }
          )
          yield* connectTls(server.port)
          const peer = yield* connectTlsPeer(server.port)
          yield* peer.secured
          peer.tls.write("before my turn\n")
          yield* eventuallyEffect(
            "the second one waits",
            Effect.map(server.waiting, (waiting) => waiting === 1)
          )
          yield* turns(20)
          yield* leave(peer)
          yield* turns(20)
          yield* Deferred.succeed(done, undefined)
          return yield* eventually("the second one is served", () => clients[1])
        })

      it.live("is read to its end", () =>
        Effect.gen(function* () {
          const connection = yield* served((peer) => Effect.sync(() => peer.tls.end()))
          assert.strictEqual(text(yield* within("the line", connection.reader.readLine)), "before my turn\n")
          yield* within("the end", cleanEnd(connection))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is read up to where it was cut", () =>
        Effect.gen(function* () {
          const connection = yield* served((peer) => peer.wire.finish)
          assert.strictEqual(text(yield* within("the line", connection.reader.readLine)), "before my turn\n")
          truncated(yield* within("the loss", Effect.flip(connection.reader.read(1))))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("rank 9: is read up to where it was reset", () =>
        Effect.gen(function* () {
          const connection = yield* served((peer) => peer.wire.reset)
          assert.strictEqual(text(yield* within("the line", connection.reader.readLine)), "before my turn\n")
          const error = yield* within("the loss", Effect.flip(connection.reader.read(1)))
          assert.include(["ConnectionLost", "TlsFailed"], error._tag)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("close", () => {
      it.live.each(versions)("on both sides at once is graceful on both, over %s", (maxVersion) =>
        Effect.gen(function* () {
          const { client, peer } = yield* tlsPair({ client: { maxVersion } })
          yield* client.writer.write("one way")
          yield* peer.writer.write("the other")
          const outcomes = yield* Effect.all([client.writer.close, peer.writer.close], { concurrency: "unbounded" })
          assert.deepStrictEqual(outcomes, [{ _tag: "Graceful" }, { _tag: "Graceful" }])
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(cases)("is not undone by a peer that is cut off behind it, for a %s over %s", ([side, maxVersion]) =>
        Effect.gen(function* () {
          const all = pattern(300_000)
          const { connection, peer } = yield* facing(side, { peer: { maxVersion } })
          yield* peer.stall
          yield* connection.writer.write(all)
          assert.strictEqual((yield* within("the close", connection.writer.close))._tag, "Graceful")
          // it has said all that it has to say, without a word that it has, and listens
          yield* peer.wire.finish
          yield* turns(20)
          yield* peer.unstall
          yield* peer.secure.awaitEnd
          assertBytes(peer.secure.received, all)
          assert.strictEqual(yield* peer.wire.awaitClosed, undefined)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("of a stream that was cut is over at once", () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* facing("client")
          yield* peer.wire.finish
          truncated(yield* Effect.flip(connection.reader.read(1)))
          assert.strictEqual((yield* within("the close", connection.writer.close))._tag, "Reset")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
