/**
 * Bytes that were read ahead when a connection is upgraded: an injection that fails it, or the beginning of TLS behind
 * a PROXY protocol line. They never become decrypted data, are never lost, and never make anybody wait. Rank 6 of the
 * asks.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { type Connection, NodeNetwork, startServer, StreamError, type Tls } from "effect-byte-streams"
import { authority, certificates } from "../support/certificates.ts"
import { text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { start } from "../support/fibers.ts"
import { plainFacing } from "../support/plainPair.ts"
import { connectRaw, type RawPeer } from "../support/rawPeer.ts"
import { host } from "../support/tlsPair.ts"
import { tlsClientOn, tlsServerOn } from "../support/tlsPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

// what can be ended again takes another way through the engine
for (const stoppable of [true, false]) {
  describe(stoppable ? "with a way back" : "for good", () => {
    const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost", stoppable }
    const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity, stoppable }

    const isInjection = (error: { readonly _tag: string }): void => {
      assert(error instanceof StreamError.TlsFailed, String(error))
      assert.strictEqual(error.kind, "InjectedPlaintext")
    }

    /** What a TLS client says first, and the client, which says nothing more until it is let. */
    const holdingClient = (raw: RawPeer) =>
      Effect.gen(function* () {
        const peer = tlsClientOn(raw, {}, { from: raw.received.length, hold: true })
        return { hello: yield* peer.takeHeld("the client says hello"), peer }
      })

    describe("an injection", () => {
      it.live("rank 6: plaintext after STARTTLS in one segment fails the server's upgrade, typed", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const failures: Array<unknown> = []
              const seen: Array<string> = []
              const read = (connection: Connection.Connection) =>
                Effect.tap(connection.reader.readLine, (line) => Effect.sync(() => void seen.push(text(line))))
              const server = yield* startServer(
                {
                  host,
                  port: 0,
                  onHandlerError: ({ cause }) => Effect.sync(() => void failures.push(...cause.reasons))
                },
                (connection) =>
                  Effect.gen(function* () {
                    yield* read(connection)
                    yield* read(connection)
                    yield* connection.writer.write("220 go ahead\r\n")
                    const exit = yield* Effect.exit(connection.startTls(asServer))
                    // the injected line is nowhere to be had, not from the old handle either
                    const after = yield* Effect.flip(connection.reader.readLine)
                    assert(after._tag === "ClosedStream")
                    const secure = yield* exit
                    yield* read(secure)
                  })
              )
              const attacker = yield* connectRaw(server.port)
              yield* attacker.send("EHLO me\r\nSTARTTLS\r\nMAIL FROM:<mallory@test>\r\n")
              yield* attacker.awaitClosed
              yield* eventually("the handler fails", () => failures.length > 0)
              isInjection((failures[0] as { readonly error: StreamError.TlsFailed }).error)
              assert.deepStrictEqual(seen, ["EHLO me\r\n", "STARTTLS\r\n"])
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("rank 6: plaintext after the answer to STARTTLS in one segment fails the client's upgrade, typed", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { connection, peer: raw } = yield* plainFacing("client")
              yield* raw.send("220 go ahead\r\n250 AUTH PLAIN\r\n")
              assert.strictEqual(text(yield* connection.reader.readLine), "220 go ahead\r\n")
              isInjection(yield* Effect.flip(connection.startTls(asClient)))
              yield* raw.awaitClosed
              // it never said a word of TLS
              assert.strictEqual(raw.received.length, 0)
              const closed = yield* within("the connection is over", connection.closed)
              assert.strictEqual(closed._tag, "Local")
              for (const read of [connection.reader.readLine, connection.reader.read(100)]) {
                const error = yield* Effect.flip(read)
                assert.strictEqual(error._tag, "ClosedStream")
              }
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("one byte of it is enough, and a whole handshake behind it does not help", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("server")
          const { hello } = yield* holdingClient(raw)
          yield* raw.send(Buffer.concat([Buffer.from("STARTTLS\r\n\n"), hello]))
          yield* connection.reader.readLine
          isInjection(yield* Effect.flip(connection.startTls(asServer)))
          yield* raw.awaitClosed
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("by default the beginning of a handshake counts as one too: the client did not wait for the answer", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("server")
          const { hello } = yield* holdingClient(raw)
          yield* raw.send(Buffer.concat([Buffer.from("STARTTLS\r\n"), hello]))
          yield* connection.reader.readLine
          isInjection(yield* Effect.flip(connection.startTls({ ...asServer, leftover: "fail" })))
          yield* raw.awaitClosed
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("that comes after the answer fails the handshake, and is never delivered", () =>
        Effect.gen(function* () {
          for (const leftover of ["fail", "feedTls"] as const) {
            const { connection, peer: raw } = yield* plainFacing("server")
            yield* raw.send("STARTTLS\r\n")
            yield* connection.reader.readLine
            const upgrading = yield* start(Effect.exit(connection.startTls({ ...asServer, leftover })))
            yield* turns(20)
            const { hello } = yield* holdingClient(raw)
            yield* raw.send(Buffer.concat([Buffer.from("MAIL FROM:<mallory@test>\r\n"), hello]))
            const exit = yield* within("the upgrade fails", Fiber.join(upgrading))
            assert(Exit.isFailure(exit))
            yield* raw.awaitClosed
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is not decrypted data with feedTls either: the handshake fails over it", () =>
        Effect.gen(function* () {
          for (const plaintext of [
            "MAIL FROM:<mallory@test>\r\n",
            "\r\n",
            "\x16\x03\x01\x00\x05hello",
            "\x80\x2e\x01\x00\x02"
          ]) {
            const { connection, peer: raw } = yield* plainFacing("server")
            const { hello } = yield* holdingClient(raw)
            yield* raw.send(Buffer.concat([Buffer.from("STARTTLS\r\n"), Buffer.from(plaintext, "latin1"), hello]))
            yield* connection.reader.readLine
            const error = yield* within(
              "the upgrade fails",
              Effect.flip(connection.startTls({ ...asServer, leftover: "feedTls" }))
            )
            assert(error._tag === "TlsFailed", String(error))
            assert.strictEqual(error.kind, "Handshake")
            yield* raw.awaitClosed
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("leftover: feedTls", () => {
      const line = "PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n"

      /** A server's end that has read the line, and what came with it. */
      const proxied = (segments: (hello: Buffer) => ReadonlyArray<Buffer>) =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("server")
          const { hello, peer } = yield* holdingClient(raw)
          const [first, ...rest] = segments(Buffer.concat([Buffer.from(line), hello]))
          yield* raw.send(first!)
          assert.strictEqual(text(yield* connection.reader.readLine), line)
          const upgrading = yield* Effect.forkChild(connection.startTls({ ...asServer, leftover: "feedTls" }))
          for (const segment of rest) {
            yield* turns(2)
            yield* raw.send(segment)
          }
          peer.unhold()
          const secure = yield* within("the upgrade", Fiber.join(upgrading))
          yield* peer.secured
          // it works in both directions, and nothing of the beginning is in it
          peer.tls.write("first words\n")
          assert.strictEqual(text(yield* secure.reader.readLine), "first words\n")
          yield* secure.writer.write("an answer\n")
          yield* peer.secure.awaitText("an answer\n")
          assert.strictEqual(peer.secure.text, "an answer\n")
          peer.tls.end()
          assert.strictEqual((yield* secure.reader.read(1)).length, 0)
        })

      it.live("rank 6: a PROXY protocol line with the ClientHello behind it in one segment works", () =>
        proxied((all) => [all]).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("works wherever the ClientHello was cut", () =>
        Effect.gen(function* () {
          for (const cut of [0, 1, 3, 5, 6, 43, 100]) {
            const at = line.length + cut
            yield* Effect.scoped(proxied((all) => [all.subarray(0, at), all.subarray(at)]))
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("works when all of it came one byte at a time", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("server")
          const { hello, peer } = yield* holdingClient(raw)
          const all = Buffer.concat([Buffer.from(line), hello])
          const dribbling = yield* Effect.forkChild(raw.dribble(all))
          assert.strictEqual(text(yield* connection.reader.readLine), line)
          const upgrading = yield* Effect.forkChild(connection.startTls({ ...asServer, leftover: "feedTls" }))
          yield* Fiber.join(dribbling)
          peer.unhold()
          const secure = yield* within("the upgrade", Fiber.join(upgrading))
          peer.tls.write("first words\n")
          assert.strictEqual(text(yield* secure.reader.readLine), "first words\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("works when much of it lay unread in several pieces", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("server", { limit: 64 })
          const { hello, peer } = yield* holdingClient(raw)
          yield* raw.send(line)
          yield* raw.send(hello.subarray(0, 20))
          yield* turns(5)
          yield* raw.send(hello.subarray(20))
          yield* turns(5)
          assert.strictEqual(text(yield* connection.reader.readLine), line)
          const upgrading = yield* Effect.forkChild(connection.startTls({ ...asServer, leftover: "feedTls" }))
          peer.unhold()
          const secure = yield* within("the upgrade", Fiber.join(upgrading))
          peer.tls.write("first words\n")
          assert.strictEqual(text(yield* secure.reader.readLine), "first words\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is heard in the order in which it came, where a full reader left the end of it with the socket", () =>
        Effect.gen(function* () {
          for (const limit of [8, 16, 64]) {
            const { connection, peer: raw } = yield* plainFacing("server", { limit })
            const { hello, peer } = yield* holdingClient(raw)
            yield* raw.send(line)
            yield* eventuallyEffect(
              "the line is there",
              Effect.map(connection.reader.buffered, (size) => size === line.length)
            )
            // one piece fills the reader, and the others stay with the socket
            for (const [from, to] of [
              [0, 3],
              [3, 150],
              [150, 300],
              [300, hello.length]
            ] as const) {
              yield* raw.send(hello.subarray(from, to))
              yield* turns(5)
            }
            assert.strictEqual(text(yield* connection.reader.readUntil("\n", { limit: line.length })), line)
            const upgrading = yield* Effect.forkChild(connection.startTls({ ...asServer, leftover: "feedTls" }))
            peer.unhold()
            const secure = yield* within("the upgrade", Fiber.join(upgrading))
            peer.tls.write("first words\n")
            assert.strictEqual(text(yield* secure.reader.readExactly(12)), "first words\n")
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("changes nothing where nothing is left over, on both sides", () =>
        Effect.gen(function* () {
          const asServerNow = yield* plainFacing("server")
          const serving = yield* Effect.forkChild(asServerNow.connection.startTls({ ...asServer, leftover: "feedTls" }))
          const client = tlsClientOn(asServerNow.peer)
          yield* within("the upgrade", Fiber.join(serving))
          yield* client.secured

          const asClientNow = yield* plainFacing("client")
          const connecting = yield* Effect.forkChild(
            asClientNow.connection.startTls({ ...asClient, leftover: "feedTls" })
          )
          const server = tlsServerOn(asClientNow.peer)
          yield* within("the upgrade", Fiber.join(connecting))
          yield* server.secured
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("works for a line that was read with peek and skip, and for bytes that were put back", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("server")
          const { hello, peer } = yield* holdingClient(raw)
          yield* raw.send(Buffer.concat([Buffer.from(line), hello]))
          assert.strictEqual(text(yield* connection.reader.peek(5)), "PROXY")
          yield* connection.reader.skip(line.length)
          yield* connection.reader.unread(yield* connection.reader.readExactly(10))
          const upgrading = yield* Effect.forkChild(connection.startTls({ ...asServer, leftover: "feedTls" }))
          peer.unhold()
          const secure = yield* within("the upgrade", Fiber.join(upgrading))
          peer.tls.write("first words\n")
          assert.strictEqual(text(yield* secure.reader.readLine), "first words\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
