/**
 * `stopTls`: the way back to plain text, where the peer agrees. What was decrypted and not read comes first, the plain
 * bytes behind the end of TLS are kept, however they arrive.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { type Connection, NodeNetwork, openConnection, startServer, StreamError, type Tls } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { assertBytes } from "../support/assertBytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { pattern, text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { start, waits } from "../support/fibers.ts"
import { plainPair } from "../support/plainPair.ts"
import { tlsPair } from "../support/tlsPair.ts"
import { facing, type Side, tlsClientOn, type TlsPeer } from "../support/tlsPeer.ts"
import { eventually, turns, within } from "../support/wait.ts"

const sides: ReadonlyArray<Side> = ["client", "server"]
const versions = ["TLSv1.2", "TLSv1.3"] as const
const cases = sides.flatMap((side) => versions.map((version) => [side, version] as const))

const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost" }
const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity }

/** Without it there is no way back for connections that begin with TLS. */
const stoppable = { tls: { stoppable: true } }

const stopped = (connection: Connection.Connection) => within("TLS is over", connection.stopTls)

/** The peer says, in TLS, `secret`, then that TLS is over, then `plain`: all of it in one segment. */
const ends = (peer: TlsPeer, secret: string | Uint8Array, plain: string | Uint8Array) =>
  Effect.gen(function* () {
    peer.hold()
    if (secret.length > 0) peer.tls.write(secret)
    return Buffer.concat([yield* peer.endOfTls, Buffer.from(plain)])
  })

const line = (connection: Connection.Connection) =>
  within("a line is there", Effect.map(connection.reader.readLine, text))
const lines = (connection: Connection.Connection, expected: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    for (const one of expected) assert.strictEqual(yield* line(connection), one)
  })

const plainDialogue = (connection: Connection.Connection, peer: TlsPeer) =>
  Effect.gen(function* () {
    peer.plain = true
    yield* connection.writer.write("in plain text\n")
    yield* peer.wire.awaitText("in plain text\n")
    yield* peer.wire.send("so be it\n")
    assert.strictEqual(yield* line(connection), "so be it\n")
  })

describe("stopTls", () => {
  it.live.each(versions)("takes both ends of this library back to plain text, over %s", (maxVersion) =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({ client: { maxVersion, stoppable: true }, server: { stoppable: true } })
      yield* client.writer.write("the last secret\n")
      const stopping = yield* Effect.forkChild(client.stopTls)
      assert.strictEqual(yield* line(peer), "the last secret\n")
      // the server learns of it as of any end, and agrees
      assert.strictEqual((yield* peer.reader.read(1)).length, 0)
      const there = yield* stopped(peer)
      const here = yield* within("TLS is over", Fiber.join(stopping))
      for (const [one, other] of [
        [here, there],
        [there, here]
      ] as const) {
        assert.strictEqual(one.info.tls, undefined)
        assert.strictEqual(one.info.remote, one === here ? client.info.remote : peer.info.remote)
        yield* one.writer.write("in plain text\n")
        assert.strictEqual(yield* line(other), "in plain text\n")
      }
      yield* here.writer.writeEof
      assert.strictEqual((yield* there.reader.read(1)).length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("takes both ends back at once", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({ client: { stoppable: true }, server: { stoppable: true } })
      yield* client.writer.write("from the client\n")
      yield* peer.writer.write("from the server\n")
      const [here, there] = yield* within(
        "TLS is over on both ends",
        Effect.all([client.stopTls, peer.stopTls], { concurrency: 2 })
      )
      yield* here.writer.write("plain from the client\n")
      yield* there.writer.write("plain from the server\n")
      assert.strictEqual(yield* line(here), "from the server\n")
      assert.strictEqual(yield* line(here), "plain from the server\n")
      assert.strictEqual(yield* line(there), "from the client\n")
      assert.strictEqual(yield* line(there), "plain from the client\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(cases)("waits for the peer's close_notify, for a %s over %s", ([side, maxVersion]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, { tls: { stoppable: true }, peer: { maxVersion } })
      peer.keepOpen = true
      const stopping = yield* start(connection.stopTls)
      yield* peer.secure.awaitEnd
      assert(waits(stopping))
      assert.strictEqual(peer.wire.ended, false)
      peer.tls.end()
      const plain = yield* within("TLS is over", Fiber.join(stopping))
      yield* plainDialogue(plain, peer)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("answers a peer that has ended TLS, for a %s", (side) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, stoppable)
      peer.keepOpen = true
      peer.tls.end("the last secret")
      assert.strictEqual(yield* line(connection), "the last secret")
      const plain = yield* stopped(connection)
      yield* peer.secure.awaitEnd
      yield* plainDialogue(plain, peer)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("sends what was written before in TLS, and what is written after in plain text", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing("client", stoppable)
      peer.keepOpen = true
      const all = pattern(1_000_000)
      yield* connection.writer.write(all)
      yield* connection.writer.write("secret")
      const stopping = yield* Effect.forkChild(connection.stopTls)
      yield* peer.secure.awaitEnd
      assertBytes(peer.secure.received, Buffer.concat([all, Buffer.from("secret")]))
      assert(!peer.wire.received.toString("latin1").includes("secret"))
      peer.tls.end()
      yield* plainDialogue(yield* Fiber.join(stopping), peer)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("the bytes that follow", () => {
  it.live.each(cases)("in the segment of the close_notify are kept, for a %s over %s", ([side, maxVersion]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, { tls: { stoppable: true }, peer: { maxVersion } })
      yield* peer.wire.send(yield* ends(peer, "one\ntwo\n", "three\nfour\n"))
      assert.strictEqual(yield* line(connection), "one\n")
      const plain = yield* stopped(connection)
      // what was decrypted and not read, then what came in plain text
      yield* lines(plain, ["two\n", "three\n", "four\n"])
      yield* peer.wire.send("five\n")
      assert.strictEqual(yield* line(plain), "five\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("are kept after the end of TLS has been read, for a %s", (side) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, stoppable)
      yield* peer.wire.send(yield* ends(peer, "one\n", "two\n"))
      assert.strictEqual(yield* line(connection), "one\n")
      assert.strictEqual(yield* line(connection), "")
      yield* peer.wire.send("three\n")
      yield* turns(20)
      const plain = yield* stopped(connection)
      assert.strictEqual(yield* line(plain), "two\n")
      assert.strictEqual(yield* line(plain), "three\n")
      yield* plain.writer.write("four\n")
      yield* peer.wire.awaitText("four\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(cases)("are kept if all comes one byte at a time, for a %s over %s", ([side, maxVersion]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, { tls: { stoppable: true }, peer: { maxVersion } })
      const stopping = yield* Effect.forkChild(connection.stopTls)
      yield* peer.wire.dribble(yield* ends(peer, "one\ntwo\n", "three\nfour\n"))
      const plain = yield* within("TLS is over", Fiber.join(stopping))
      yield* lines(plain, ["one\n", "two\n", "three\n", "four\n"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("are kept wherever what is sent was cut", () =>
    Effect.gen(function* () {
      for (let step = 1; step < 60; step += 6) {
        const { connection, peer } = yield* facing("client", stoppable)
        const stopping = yield* Effect.forkChild(connection.stopTls)
        const all = yield* ends(peer, "one\ntwo\n", "three\nfour\n")
        for (let at = 0; at < all.length; at += step) {
          yield* peer.wire.send(all.subarray(at, at + step))
          yield* turns(1)
        }
        const plain = yield* within("TLS is over", Fiber.join(stopping))
        yield* lines(plain, ["one\n", "two\n", "three\n", "four\n"])
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("are kept if they look like TLS, for a %s", (side) =>
    Effect.gen(function* () {
      const looks = [
        [22, 3, 1, 0, 5, 1, 2, 3, 4, 5],
        [23, 3, 3, 0, 30],
        [21, 3, 3, 0, 2, 1, 0],
        [20, 3, 3, 0, 1, 1],
        [22],
        [23, 3]
      ]
      for (const plainBytes of looks.map((bytes) => Uint8Array.from(bytes))) {
        const { connection, peer } = yield* facing(side, stoppable)
        const stopping = yield* Effect.forkChild(connection.stopTls)
        yield* peer.wire.send(yield* ends(peer, "secret\n", plainBytes))
        const plain = yield* within("TLS is over", Fiber.join(stopping))
        assert.strictEqual(yield* line(plain), "secret\n")
        assertBytes(
          yield* within("the plain bytes are there", plain.reader.readExactly(plainBytes.length)),
          plainBytes,
          `plain bytes ${Buffer.from(plainBytes).toString("hex")}`
        )
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("are kept behind more than the reader takes at once, for a %s", (side) =>
    Effect.gen(function* () {
      const secret = pattern(300_000)
      const { connection, peer } = yield* facing(side, { tls: { stoppable: true }, connection: { limit: 16_384 } })
      peer.tls.write(secret)
      yield* turns(20)
      yield* peer.wire.send(yield* ends(peer, "", "plain\n"))
      yield* turns(50)
      const first = yield* connection.reader.readExactly(100_000)
      const plain = yield* stopped(connection)
      const rest = yield* plain.reader.readExactly(secret.length - first.length)
      assertBytes(Buffer.concat([first, rest]), secret)
      assert.strictEqual(yield* line(plain), "plain\n")
      yield* peer.wire.send("more\n")
      assert.strictEqual(yield* line(plain), "more\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("and what the peer still says in TLS, before it agrees, comes first, for a %s", (side) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, stoppable)
      peer.keepOpen = true
      const stopping = yield* Effect.forkChild(connection.stopTls)
      yield* peer.secure.awaitEnd
      peer.tls.write("one more\n")
      yield* turns(10)
      yield* peer.wire.send(yield* ends(peer, "and the last\n", "plain\n"))
      const plain = yield* within("TLS is over", Fiber.join(stopping))
      yield* lines(plain, ["one more\n", "and the last\n", "plain\n"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("may be the end: a peer that closes in good order ends the plain stream", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing("client", stoppable)
      peer.tls.end("secret")
      yield* peer.wire.awaitBytes(1)
      const plain = yield* stopped(connection)
      assert.strictEqual(yield* line(plain), "secret")
      assert.strictEqual(yield* line(plain), "")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides.flatMap((side) => ([true, false] as const).map((first) => [side, first] as const)))(
    "reads what follows the end of TLS up to where it is reset, for a %s; the peer ends first: %s",
    ([side, first]) =>
      Effect.gen(function* () {
        const { connection, peer } = yield* facing(side, stoppable)
        const stopping = first ? undefined : yield* start(connection.stopTls)
        if (stopping !== undefined) yield* peer.secure.awaitEnd
        // there is nobody any more who could be told that this side ends TLS as well
        peer.wire.socket.write(yield* ends(peer, "secret\n", "in plain text\n"))
        yield* peer.wire.reset
        const plain = yield* within("TLS ends", stopping === undefined ? connection.stopTls : Fiber.join(stopping))
        yield* lines(plain, ["secret\n", "in plain text\n"])
        for (let i = 0; i < 2; i++) {
          const error = yield* within("the loss", Effect.flip(plain.reader.read(1)))
          assert(error._tag === "ConnectionLost" && error.kind === "Reset", String(error))
        }
        const error = yield* within("a write fails", Effect.flip(Effect.forever(plain.writer.write("anyone?"))))
        assert.strictEqual(error._tag, "ConnectionLost")
      }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("over a network in memory", () => {
  const secured = Effect.gen(function* () {
    const accepted: Array<Connection.Connection> = []
    const server = yield* startServer({ port: 0, gracePeriod: 0 }, (connection) => {
      accepted.push(connection)
      return Effect.never
    })
    const client = yield* openConnection({ port: server.port })
    yield* eventually("it is accepted", () => accepted.length > 0)
    return yield* Effect.all([client.startTls(asClient), accepted[0]!.startTls({ ...asServer, leftover: "feedTls" })], {
      concurrency: 2
    })
  })

  it.live("takes both ends back, which talk and end in plain text, and may begin TLS once more", () =>
    Effect.gen(function* () {
      const [client, peer] = yield* secured
      const [plain, plainPeer] = yield* Effect.all([client.stopTls, peer.stopTls], { concurrency: 2 })
      yield* plain.writer.write("in plain text\n")
      assert.strictEqual(yield* line(plainPeer), "in plain text\n")
      const [again, peerAgain] = yield* Effect.all(
        [plain.startTls(asClient), plainPeer.startTls({ ...asServer, leftover: "feedTls" })],
        { concurrency: 2 }
      )
      yield* again.writer.write("a secret\n")
      yield* again.writer.close
      assert.strictEqual(yield* line(peerAgain), "a secret\n")
      assert.strictEqual((yield* peerAgain.reader.read(1)).length, 0)
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.live("a peer that has closed in good order has ended the plain stream, also before it was asked for", () =>
    Effect.gen(function* () {
      const [client, peer] = yield* secured
      yield* peer.writer.write("the last secret\n")
      yield* peer.writer.close
      assert.strictEqual(yield* line(client), "the last secret\n")
      assert.strictEqual((yield* client.reader.read(1)).length, 0)
      yield* turns(5)
      const plain = yield* stopped(client)
      assert.strictEqual((yield* within("the end", plain.reader.read(1))).length, 0)
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})

describe("TLS once more", () => {
  it.live("startTls after stopTls makes a new one, with a new handshake", () =>
    Effect.gen(function* () {
      let { client, peer } = yield* plainPair()
      for (let round = 0; round < 3; round++) {
        const [one, other] = yield* within(
          "TLS begins",
          Effect.all([client.startTls(asClient), peer.startTls(asServer)], { concurrency: 2 })
        )
        assert.strictEqual(one.info.tls?.authorized, true)
        yield* one.writer.write("secret\n")
        assert.strictEqual(yield* line(other), "secret\n")
        ;[client, peer] = yield* within("TLS ends", Effect.all([one.stopTls, other.stopTls], { concurrency: 2 }))
        yield* client.writer.write("plain\n")
        assert.strictEqual(yield* line(peer), "plain\n")
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("may begin in the segment in which the last one ended", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing("server", stoppable)
      const end = yield* ends(peer, "secret\n", "")
      peer.plain = true
      const from = peer.wire.received.length
      const next = tlsClientOn(peer.wire, {}, { from, hold: true })
      next.plain = true
      const hello = yield* next.takeHeld("the client says hello")
      yield* peer.wire.send(Buffer.concat([end, hello]))
      assert.strictEqual(yield* line(connection), "secret\n")
      assert.strictEqual(yield* line(connection), "")
      const plain = yield* stopped(connection)
      // the answer to the end of the first one is not for the second
      yield* peer.wire.awaitBytes(from + 1)
      next.plain = false
      next.unhold()
      const again = yield* within("TLS begins again", plain.startTls({ ...asServer, leftover: "feedTls" }))
      yield* again.writer.write("secret again\n")
      yield* next.secure.awaitText("secret again\n")
      next.tls.write("and back\n")
      assert.strictEqual(yield* line(again), "and back\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("the old handle", () => {
  it.live("answers ClosedStream with reason Upgraded, and fails a read that waits", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({ client: { stoppable: true }, server: { stoppable: true } })
      const waiting = yield* start(Effect.flip(client.reader.readLine))
      const [here] = yield* within("TLS ends", Effect.all([client.stopTls, peer.stopTls], { concurrency: 2 }))
      const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        Fiber.join(waiting).pipe(Effect.flip),
        client.reader.readLine,
        client.writer.write("x"),
        client.writer.flush
      ]
      for (const operation of operations) {
        const error = yield* within("it fails", Effect.flip(operation))
        assert(error instanceof StreamError.ClosedStream, String(error))
        assert.strictEqual(error.reason, "Upgraded")
      }
      const watching = yield* start(client.closed)
      yield* turns()
      assert(waits(watching))
      yield* here.writer.close
      assert.strictEqual((yield* within("the old handle is closed", Fiber.join(watching)))._tag, "Local")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("its scope ends the plain connection", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { connection, peer } = yield* Scope.provide(facing("client", stoppable), scope)
      peer.keepOpen = true
      const stopping = yield* Effect.forkChild(Scope.provide(connection.stopTls, scope))
      yield* peer.secure.awaitEnd
      peer.tls.end()
      const plain = yield* Fiber.join(stopping)
      peer.plain = true
      yield* plain.writer.write("goodbye")
      yield* plain.writer.close
      yield* peer.wire.awaitEnd
      assert.strictEqual(peer.plainText, "goodbye")
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a stopTls that fails", () => {
  it.live("without TLS, or where it was made for good, is Unsupported, and does no harm", () =>
    Effect.gen(function* () {
      const plain = yield* plainPair()
      const secure = yield* tlsPair({ client: { stoppable: false } })
      for (const { client, peer } of [plain, secure]) {
        const error = yield* Effect.flip(client.stopTls)
        assert(error._tag === "TlsFailed")
        assert.strictEqual(error.kind, "Unsupported")
        yield* client.writer.write("unharmed\n")
        assert.strictEqual(yield* line(peer), "unharmed\n")
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("for the peer cuts the connection instead of agreeing, for a %s", (side) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, stoppable)
      peer.keepOpen = true
      const stopping = yield* start(Effect.flip(connection.stopTls))
      yield* peer.secure.awaitEnd
      yield* peer.wire.finish
      const error = yield* within("it fails", Fiber.join(stopping))
      assert(error._tag === "TlsFailed", String(error))
      assert.strictEqual(error.kind, "Truncated")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("for the peer does not agree in time is a Timeout, and resets the connection, for a %s", (side) =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { connection, peer } = yield* facing(side, { tls: { stoppable: true, handshakeTimeout: 300 } })
          peer.keepOpen = true
          const error = yield* within("it fails", Effect.flip(connection.stopTls))
          assert(error._tag === "TlsFailed", String(error))
          assert.strictEqual(error.kind, "Timeout")
          const { cause } = error
          assert(cause instanceof StreamError.StreamTimeout)
          assert.deepStrictEqual([cause.operation, cause.kind], ["stopTls", "Handshake"])
          yield* peer.wire.awaitClosed
          assert.strictEqual((yield* within("the old handle is over", connection.closed))._tag, "Local")
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("for the peer goes on and on in TLS instead of agreeing, for a %s", (side) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, stoppable)
      peer.keepOpen = true
      const stopping = yield* start(Effect.flip(connection.stopTls))
      yield* peer.secure.awaitEnd
      // what has to be kept until it agrees has a bound
      const chunk = pattern(100_000)
      for (let i = 0; i < 30 && !peer.wire.closed; i++) {
        peer.tls.write(chunk)
        yield* turns(5)
      }
      const error = yield* within("it fails", Fiber.join(stopping))
      assert(error._tag === "TlsFailed", String(error))
      assert.match(String((error.cause as Error).message), /1048576 bytes/)
      yield* peer.wire.awaitClosed
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("for the peer says what is no TLS, for a %s", (side) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, stoppable)
      peer.keepOpen = true
      const stopping = yield* start(Effect.flip(connection.stopTls))
      yield* peer.secure.awaitEnd
      yield* peer.wire.send("no close_notify before this\n")
      const error = yield* within("it fails", Fiber.join(stopping))
      assert(error._tag === "TlsFailed", String(error))
      assert.strictEqual(error.kind, "Handshake")
      assert.match(error.code!, /^ERR_SSL_/)
      // behind the alert that says so
      yield* peer.wire.awaitEnd
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("after writeEof is ClosedStream: the output is over, in TLS and out of it", () =>
    Effect.gen(function* () {
      const { connection } = yield* facing("client", stoppable)
      yield* connection.writer.writeEof
      const error = yield* within("it fails", Effect.flip(connection.stopTls))
      assert(error._tag === "ClosedStream", String(error))
      assert.deepStrictEqual([error.operation, error.reason], ["stopTls", "Eof"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("for the peer resets the connection, for a %s", (side) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* facing(side, stoppable)
      peer.keepOpen = true
      const stopping = yield* start(Effect.flip(connection.stopTls))
      yield* peer.secure.awaitEnd
      yield* peer.wire.reset
      const error = yield* within("it fails", Fiber.join(stopping))
      assert.include(["TlsFailed", "ConnectionLost"], error._tag)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(sides)("for it is interrupted, or the old handle is aborted, resets the connection, for a %s", (side) =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          for (const how of ["interrupt", "abort", "close"] as const) {
            const { connection, peer } = yield* facing(side, stoppable)
            peer.keepOpen = true
            const stopping = yield* start(Effect.exit(connection.stopTls))
            yield* peer.secure.awaitEnd
            if (how === "interrupt") yield* within("the interruption", Fiber.interrupt(stopping))
            else yield* within(how, connection.writer[how])
            yield* peer.wire.awaitClosed
            if (how !== "interrupt") {
              assert(Exit.isFailure(yield* within("stopTls fails", Fiber.join(stopping))))
            }
          }
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
