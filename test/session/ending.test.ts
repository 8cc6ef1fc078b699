/**
 * What users ask for when a connection ends, on real sockets: ranks 9, 10, 11, 15, 16, 23, 36 and 40. (Rank 24 is
 * in ../connect, rank 25 in ../node, rank 27 in ../server.)
 */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, openConnection, StreamError } from "effect-byte-streams"
import { Cause, Effect, Exit, Fiber, Result, Scope } from "effect"
import { bytes, pattern, text } from "../support/bytes.ts"
import { bothKinds, everyKind } from "../support/kinds.ts"
import { largestRead } from "../support/largestRead.ts"
import { connectRaw, type RawPeer, serveRaw } from "../support/rawPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const host = "127.0.0.1"

/** Everything that can be read, and how it ended. */
const readToTheEnd = (connection: Connection.Connection) =>
  within(
    "reading to the end",
    Effect.gen(function* () {
      const pieces: Array<Uint8Array> = []
      while (true) {
        const result = yield* Effect.result(connection.reader.read(10_000))
        if (Result.isFailure(result)) return { received: Buffer.concat(pieces), end: result.failure }
        if (result.success.length === 0) return { received: Buffer.concat(pieces), end: undefined }
        pieces.push(result.success)
      }
    })
  )

const assertReset = (error: { readonly _tag: string } | undefined, operation = "read") => {
  assert(error instanceof StreamError.ConnectionLost, `expected ConnectionLost, got ${error?._tag ?? "a clean end"}`)
  assert.strictEqual(error.operation, operation)
  assert.strictEqual(error.kind, "Reset")
  assert.strictEqual(error.code, "ECONNRESET")
}

/** The ways in which a reset comes about: on purpose, or because the peer leaves with something unread. */
const resets: ReadonlyArray<{
  readonly how: string
  readonly options: { readonly paused?: boolean }
  readonly reset: (connection: Connection.Connection, peer: RawPeer) => Effect.Effect<void, StreamError.WriteError>
}> = [
  { how: "the peer resets", options: {}, reset: (_, peer) => peer.reset },
  {
    how: "the peer leaves with something unread",
    options: { paused: true },
    reset: ({ writer }, peer) =>
      Effect.gen(function* () {
        yield* writer.write("never read")
        yield* writer.flush
        yield* turns()
        yield* peer.vanish
      })
  }
]

describe("rank 9 data that arrived before a reset is read before the error", () => {
  for (const { how, options, reset } of resets) {
    it.live(`rank 9 ${how}`, () =>
      Effect.gen(function* () {
        const server = yield* serveRaw(options)
        const connection = yield* openConnection({ host, port: server.port })
        const peer = yield* server.accept
        yield* peer.send("the reply\nand more")
        yield* reset(connection, peer)
        assert.strictEqual((yield* within("the loss", connection.closed))._tag, "Lost")
        assert.strictEqual(text(yield* connection.reader.readLine), "the reply\n")
        assert.strictEqual(text(yield* connection.reader.readExactly(8)), "and more")
        for (let i = 0; i < 3; i++) assertReset(yield* Effect.flip(connection.reader.read(1)))
        assertReset(yield* Effect.flip(connection.reader.readLine), "readLine")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 9 ${how}: while a read waits for more`, () =>
      Effect.gen(function* () {
        const server = yield* serveRaw(options)
        const connection = yield* openConnection({ host, port: server.port })
        const peer = yield* server.accept
        const reading = yield* Effect.forkChild(Effect.flip(connection.reader.readExactly(100)), {
          startImmediately: true
        })
        yield* peer.send("not quite a hundred")
        yield* reset(connection, peer)
        assertReset(yield* within("the read ends", Fiber.join(reading)), "readExactly")
        // what did arrive is still there
        assert.strictEqual(text(yield* connection.reader.read(100)), "not quite a hundred")
        assertReset(yield* Effect.flip(connection.reader.read(1)))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    for (const size of [100, 3000, 100_000]) {
      it.live(`rank 9 ${how}: a reply of ${size} bytes to a client that is paused`, () =>
        Effect.gen(function* () {
          const reply = pattern(size)
          const server = yield* serveRaw(options)
          // a reply of more than twice the limit holds the transport back
          const connection = yield* openConnection({ host, port: server.port, limit: 1000 })
          const peer = yield* server.accept
          yield* peer.send(reply)
          yield* eventuallyEffect(
            "the reply, or as much of it as may lie unread, is there",
            Effect.map(connection.reader.buffered, (buffered) => buffered >= Math.min(size, 2000))
          )
          yield* reset(connection, peer)
          yield* turns(20)
          const { end, received } = yield* readToTheEnd(connection)
          assert.strictEqual(received.compare(reply), 0)
          assertReset(end)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live(`rank 9 ${how}: a reply that the system could not take whole is cut, and never taken for a whole one`, () =>
      Effect.gen(function* () {
        const reply = pattern(3_000_000)
        const server = yield* serveRaw(options)
        const connection = yield* openConnection({ host, port: server.port, limit: 1000 })
        const peer = yield* server.accept
        peer.socket.write(reply)
        yield* turns(20)
        yield* reset(connection, peer)
        yield* turns(20)
        const { end, received } = yield* readToTheEnd(connection)
        assert.strictEqual(received.compare(reply.subarray(0, received.length)), 0)
        assert.isBelow(received.length, reply.length)
        assertReset(end)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    for (const size of [100, 100_000, 3_000_000]) {
      it.live(`rank 9 ${how}: a reply of ${size} bytes to a client that is paused, and writes meanwhile`, () =>
        Effect.gen(function* () {
          const reply = pattern(size)
          const server = yield* serveRaw({ paused: true })
          const connection = yield* openConnection({ host, port: server.port, limit: 1000 })
          const peer = yield* server.accept
          const writing = yield* Effect.forkChild(
            Effect.flip(Effect.forever(Effect.andThen(connection.writer.write("still writing"), turns(1)))),
            { startImmediately: true }
          )
          peer.socket.write(reply)
          yield* turns(20)
          yield* reset(connection, peer)
          const failure = yield* within("the writer learns of it", Fiber.join(writing))
          assert.strictEqual(failure._tag, "ConnectionLost")
          const { end, received } = yield* readToTheEnd(connection)
          assert.strictEqual(received.compare(reply.subarray(0, received.length)), 0)
          if (size <= 100_000) assert.strictEqual(received.length, size)
          assertReset(end)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  }

  it.live("rank 9 over a Unix socket, to a client that is paused and writes", () =>
    Effect.gen(function* () {
      const { toRaw } = bothKinds[1]!
      const reply = pattern(3000)
      const { connection, peer } = yield* toRaw({ limit: 1000 }, { paused: true })
      yield* connection.writer.write("never read")
      yield* connection.writer.flush
      yield* peer.send(reply)
      yield* turns(5)
      yield* peer.vanish
      yield* within(
        "the writer learns of it",
        Effect.flip(Effect.forever(Effect.andThen(connection.writer.write("still writing"), turns(1))))
      )
      const { received } = yield* readToTheEnd(connection)
      assert.strictEqual(received.compare(reply), 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const { kind, toRaw } of everyKind) {
    it.live(`rank 9 a peer that left in good order, and that we still write to: the end is a clean one, ${kind}`, () =>
      Effect.gen(function* () {
        // More than is read ahead, so that the end is seen only after the write has failed; and little enough for the
        // system to have it all, end included, before we write.
        const reply = pattern(100_000)
        const { connection, peer } = yield* toRaw({ limit: 1000 })
        yield* peer.send(reply)
        yield* peer.vanish
        yield* peer.awaitClosed
        const failure = yield* within(
          "the writer learns of it",
          Effect.flip(Effect.forever(Effect.andThen(connection.writer.write("still writing"), turns(1))))
        )
        assert.strictEqual(failure._tag === "ConnectionLost" && failure.kind, "BrokenPipe")
        const { end, received } = yield* readToTheEnd(connection)
        assert.strictEqual(received.compare(reply), 0)
        assert.strictEqual(end, undefined)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("rank 9 the peer ends its output, and resets later: the end is a clean one", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const connection = yield* openConnection({ host, port: server.port })
      const peer = yield* server.accept
      yield* peer.send("all there is")
      yield* peer.finish
      yield* within("the end", connection.closed)
      yield* peer.reset
      yield* within(
        "the writer learns of it",
        Effect.flip(Effect.forever(Effect.andThen(connection.writer.write("x"), turns(1))))
      )
      const { end, received } = yield* readToTheEnd(connection)
      assert.strictEqual(received.toString(), "all there is")
      assert.strictEqual(end, undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("rank 10 a loop that only writes learns that the peer left", () => {
  const leave = {
    resets: (peer: RawPeer) => peer.reset,
    closes: (peer: RawPeer) => peer.vanish
  }

  for (const { kind, toRaw } of everyKind) {
    for (const how of kind !== "Unix" ? (["resets", "closes"] as const) : (["closes"] as const)) {
      it.live(
        `rank 10 the peer ${how}, ${kind}: within a bounded number of writes, also when it never lets go of the turn`,
        () =>
          Effect.gen(function* () {
            const { connection, peer } = yield* toRaw()
            yield* connection.writer.write("hello")
            yield* peer.awaitText("hello")
            yield* leave[how](peer)
            yield* turns()
            let writes = 0
            const failure = yield* within(
              "the write loop ends",
              Effect.gen(function* () {
                while (true) {
                  const written = yield* Effect.result(connection.writer.write("0123456789"))
                  if (Result.isFailure(written)) return written.failure
                  writes++
                }
              })
            )
            assert.strictEqual(failure._tag, "ConnectionLost")
            assert.strictEqual(failure._tag === "ConnectionLost" && failure.operation, "write")
            // what fits below the high-water mark, twice: before the loss is met, and before it is told
            assert.isAtMost(writes, (2 * connection.writer.highWaterMark) / 10)
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(`rank 10 the peer ${how}, ${kind}: after a few flushed writes`, () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* toRaw()
          yield* leave[how](peer)
          yield* turns()
          let writes = 0
          yield* within(
            "the write loop ends",
            Effect.flip(
              Effect.forever(
                Effect.gen(function* () {
                  yield* connection.writer.write("hello?\n")
                  yield* connection.writer.flush
                  writes++
                  yield* turns(1)
                })
              )
            )
          )
          assert.isAtMost(writes, 10)
          assert.isTrue(yield* connection.writer.isClosing)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(`rank 10 the peer ${how}, ${kind}: every fiber that waits to write, drain or flush is told`, () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* toRaw(undefined, { paused: true })
          const { writer } = connection
          writer.writeUnsafe(pattern(12_000_000))
          const waiting = yield* Effect.forkChild(
            Effect.all(
              [writer.write("x"), writer.write("y"), writer.drain, writer.drain, writer.flush].map(Effect.flip),
              {
                concurrency: "unbounded"
              }
            ),
            { startImmediately: true }
          )
          yield* turns()
          assert.strictEqual(waiting.pollUnsafe(), undefined)
          yield* leave[how](peer)
          const failures = yield* within("they are told", Fiber.join(waiting))
          assert.deepStrictEqual(
            failures.map(({ _tag }) => String(_tag)),
            Array.from({ length: 5 }, () => "ConnectionLost")
          )
          assert.deepStrictEqual(
            failures.map((failure) => "operation" in failure && failure.operation),
            ["write", "write", "drain", "drain", "flush"]
          )
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  }
})

describe("rank 11 writing to a stream that is over fails typed, from every method", () => {
  const methods = (connection: Connection.Connection) => {
    const { writer } = connection
    return {
      write: writer.write("x"),
      "write of nothing": writer.write(""),
      writeAll: writer.writeAll(["x", "y"]),
      writeUnsafe: Effect.try({
        try: () => writer.writeUnsafe("x"),
        catch: (error) => error as StreamError.WriteError
      }),
      drain: writer.drain
    }
  }

  /** What each method fails with. */
  const failures = (connection: Connection.Connection) =>
    Effect.all(
      Object.entries(methods(connection)).map(([name, effect]) =>
        Effect.map(Effect.flip(within(name, effect as Effect.Effect<unknown, StreamError.WriteError>)), (failure) =>
          failure._tag === "ClosedStream" ? `${name}: ${failure.reason}` : `${name}: ${failure._tag}`
        )
      )
    )

  const expected = (reason: string, names = ["write", "write of nothing", "writeAll", "writeUnsafe", "drain"]) =>
    names.map((name) => `${name}: ${reason}`)

  for (const { kind, toRaw } of everyKind) {
    it.live(`rank 11 after close, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection } = yield* toRaw()
        yield* connection.writer.close
        assert.deepStrictEqual(yield* failures(connection), expected("Closed"))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 11 after abort, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection } = yield* toRaw()
        yield* connection.abort
        assert.deepStrictEqual(yield* failures(connection), expected("Aborted"))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 11 after writeEof, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection } = yield* toRaw()
        yield* connection.writer.writeEof
        const { drain: _, ...writing } = methods(connection)
        for (const [name, effect] of Object.entries(writing)) {
          const failure = yield* Effect.flip(effect as Effect.Effect<unknown, StreamError.WriteError>)
          assert.strictEqual(failure._tag === "ClosedStream" && failure.reason, "Eof", name)
        }
        // everything is sent: there is nothing to wait for, and nothing wrong with asking
        yield* connection.writer.drain
        yield* connection.writer.writeEof
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 11 at the very moment at which this side's read has failed, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        const { reader, writer } = connection
        yield* writer.write("never read")
        yield* writer.flush
        yield* turns()
        const afterTheLoss = yield* Effect.forkChild(
          Effect.andThen(Effect.flip(reader.readLine), Effect.flip(writer.write("x"))),
          { startImmediately: true }
        )
        yield* kind === "TLS" ? peer.reset : peer.vanish
        assert.strictEqual((yield* within("the write", Fiber.join(afterTheLoss)))._tag, "ConnectionLost")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    for (const end of ["close", "abort"] as const) {
      it.live(`rank 11 at the very moment at which this side's ${end} has failed a read, ${kind}`, () =>
        Effect.gen(function* () {
          const { connection } = yield* toRaw()
          const { reader, writer } = connection
          const afterwards = yield* Effect.forkChild(
            Effect.andThen(Effect.flip(reader.readLine), Effect.flip(writer.write("x"))),
            { startImmediately: true }
          )
          yield* writer[end]
          assert.strictEqual((yield* within("the write", Fiber.join(afterwards)))._tag, "ClosedStream")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live(`rank 11 after the peer has broken the connection, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { paused: true })
        yield* connection.writer.write("never read")
        yield* connection.writer.flush
        yield* turns()
        yield* kind === "TLS" ? peer.reset : peer.vanish
        yield* within("the loss", connection.closed)
        assert.deepStrictEqual(yield* failures(connection), expected("ConnectionLost"))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})

describe("rank 15 the scope owns the connection", () => {
  for (const { kind, rawClient, serve, toRaw } of everyKind) {
    it.live(`rank 15 nobody has to close anything, ${kind}`, () =>
      Effect.gen(function* () {
        // the raw peer outlives the connection
        const outer = yield* Effect.scope
        const peer = yield* Effect.scoped(
          Effect.gen(function* () {
            const inner = yield* Effect.scope
            const { connection, peer } = yield* Scope.provide(toRaw(undefined, undefined, inner), outer)
            yield* connection.writer.write("no close, no flush, no wait_closed\n")
            return peer
          })
        )
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.strictEqual(peer.text, "no close, no flush, no wait_closed\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 15 nor does a handler, ${kind}`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(({ writer }) => writer.write("no close, no flush, no wait_closed\n"))
        const peer = yield* rawClient(at)
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.strictEqual(peer.text, "no close, no flush, no wait_closed\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})

describe("rank 16 half-close", () => {
  for (const { client, kind, rawClient, serve, toRaw } of everyKind) {
    it.live(`rank 16 writeEof, and then the reply is read, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true })
        yield* connection.writer.write("the whole question")
        yield* connection.writer.writeEof
        yield* peer.awaitEnd
        assert.strictEqual(peer.text, "the whole question")
        const reading = yield* Effect.forkChild(connection.reader.readAll({ maxBytes: 1_000_000 }))
        yield* turns(10)
        const reply = pattern(300_000)
        yield* peer.send(reply)
        yield* peer.finish
        assert.strictEqual(Buffer.compare(yield* within("the reply", Fiber.join(reading)), reply), 0)
        assert.isTrue(yield* connection.reader.atEof)
        assert.strictEqual(yield* peer.awaitClosed, undefined)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 16 the peer's end, and then our writes are delivered, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true })
        yield* peer.send("the whole question")
        yield* peer.finish
        assert.strictEqual(text(yield* connection.reader.readAll({ maxBytes: 100 })), "the whole question")
        assert.deepStrictEqual(yield* within("the peer's end", connection.closed), { _tag: "PeerEof" })
        yield* turns(10)
        const reply = pattern(300_000)
        yield* connection.writer.write(reply)
        yield* peer.awaitBytes(reply.length)
        assert.isFalse(peer.ended)
        yield* connection.writer.writeEof
        yield* peer.awaitEnd
        assert.strictEqual(peer.received.compare(reply), 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 16 a server that answers at the end of the question, ${kind}`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(({ reader, writer }) =>
          Effect.flatMap(reader.readAll({ maxBytes: 1000 }), (question) => writer.write(`${question.length} bytes`))
        )
        const peer = yield* rawClient(at, { halfOpen: true })
        yield* peer.send("how long is this?")
        yield* peer.finish
        assert.strictEqual(yield* peer.awaitClosed, undefined)
        assert.strictEqual(peer.text, "17 bytes")
        const { reader, writer } = yield* client(at)
        yield* writer.write("and this?")
        yield* writer.writeEof
        assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "9 bytes")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 16 everything written before writeEof arrives before the end, ${kind}`, () =>
      Effect.gen(function* () {
        const large = pattern(5_000_000)
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true, paused: true })
        connection.writer.writeUnsafe(large)
        const ending = yield* Effect.forkChild(connection.writer.writeEof, { startImmediately: true })
        yield* turns(10)
        assert.strictEqual(ending.pollUnsafe(), undefined)
        assert.isFalse(yield* connection.writer.isClosing)
        yield* peer.unstall
        yield* within("writeEof", Fiber.join(ending))
        yield* peer.awaitEnd
        assert.strictEqual(peer.received.compare(large), 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})

describe("rank 23 the client left while the handler is busy with something else", () => {
  for (const { kind, rawClient, serve } of everyKind) {
    for (const how of kind !== "Unix"
      ? (["closes", "resets", "half-closes"] as const)
      : (["closes", "half-closes"] as const)) {
      it.live(`rank 23 raceFirst(work, connection.closed) ends when the client ${how}, ${kind}`, () =>
        Effect.gen(function* () {
          const ends: Array<string> = []
          const { at, server } = yield* serve(({ closed, writer }) =>
            Effect.gen(function* () {
              yield* writer.write("working\n")
              const end = yield* Effect.raceFirst(Effect.never, closed)
              ends.push(end._tag)
            })
          )
          const client = yield* rawClient(at, { halfOpen: true })
          yield* client.awaitText("working\n")
          yield* turns()
          assert.deepStrictEqual(ends, [])
          yield* how === "closes" ? client.vanish : how === "resets" ? client.reset : client.finish
          yield* eventually("the work is given up", () => ends.length === 1)
          assert.deepStrictEqual(ends, [how === "resets" ? "Lost" : "PeerEof"])
          yield* eventuallyEffect(
            "nobody is served any more",
            Effect.map(server.connections, (count) => count === 0)
          )
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live(`rank 23 also with something unread, and without unbounded buffering, ${kind}`, () =>
      Effect.gen(function* () {
        let connection: Connection.Connection | undefined
        const ends: Array<string> = []
        const { at } = yield* serve(
          (accepted) => {
            connection = accepted
            return Effect.map(Effect.raceFirst(Effect.never, accepted.closed), (end) => ends.push(end._tag))
          },
          { limit: 10_000, gracePeriod: 0 }
        )
        const client = yield* rawClient(at)
        yield* client.send("a request that nobody reads\n")
        yield* eventuallyEffect(
          "it is there",
          Effect.suspend(() => (connection === undefined ? Effect.succeed(0) : connection.reader.buffered)).pipe(
            Effect.map((buffered) => buffered > 0)
          )
        )
        yield* client.vanish
        yield* eventually("the work is given up", () => ends.length === 1)
        const flooding = yield* rawClient(at)
        yield* Effect.forkChild(flooding.send(pattern(5_000_000)))
        yield* turns(50)
        assert.isAtMost(yield* connection!.reader.buffered, 20_000 + largestRead)
        // the end lies behind what is unread, and is seen once that is read
        yield* flooding.vanish
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 23 work that is done first is not disturbed, ${kind}`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(({ closed, writer }) =>
          Effect.flatMap(Effect.raceFirst(Effect.as(Effect.sleep(5), "done\n"), closed), (result) =>
            writer.write(String(result))
          )
        )
        const client = yield* rawClient(at)
        assert.strictEqual(yield* client.awaitClosed, undefined)
        assert.strictEqual(client.text, "done\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})

describe("rank 36 failures are fresh values", () => {
  it.live("rank 36 two reads, a write and closed meet the same loss, and share no error", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const { closed, reader, writer } = yield* openConnection({ host, port: server.port })
      const peer = yield* server.accept
      yield* peer.reset
      const end = yield* within("the loss", closed)
      assert(end._tag === "Lost")
      const errors: ReadonlyArray<StreamError.ReadError> = [
        yield* Effect.flip(reader.read(1)),
        yield* Effect.flip(reader.read(1)),
        yield* Effect.flip(reader.readLine) as Effect.Effect<StreamError.ReadError>,
        yield* Effect.flip(writer.write("x")),
        yield* Effect.flip(writer.drain),
        end.error
      ]
      assert.strictEqual(new Set<unknown>(errors).size, errors.length)
      assert.deepStrictEqual(
        errors.map((error) => "operation" in error && error.operation),
        ["read", "read", "readLine", "write", "drain", "closed"]
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("rank 40 no internal error leaks", () => {
  for (const { kind, toRaw } of everyKind) {
    it.live(`rank 40 reading after abort while the transport is paused fails typed, ${kind}`, () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ limit: 100 })
        const { reader } = connection
        yield* peer.send(new Uint8Array(10_000))
        yield* eventuallyEffect(
          "the transport is paused",
          Effect.map(reader.buffered, (buffered) => buffered > 200)
        )
        yield* connection.abort
        for (const read of [
          reader.read(1),
          reader.readLine,
          reader.readExactly(5000),
          reader.readAll({ maxBytes: 1 })
        ]) {
          const exit = yield* Effect.exit(within("the read", read as Effect.Effect<unknown, StreamError.ReadError>))
          assert(Exit.isFailure(exit))
          assert.isFalse(Cause.hasDies(exit.cause))
          assert.strictEqual((Cause.squash(exit.cause) as StreamError.ReadError)._tag, "ClosedStream")
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`rank 40 every method after every end succeeds or fails typed, and none waits, ${kind}`, () =>
      Effect.gen(function* () {
        const ends: ReadonlyArray<
          (connection: Connection.Connection, peer: RawPeer) => Effect.Effect<unknown, unknown>
        > = [
          ({ abort }) => abort,
          ({ writer }) => writer.close,
          (connection, peer) => Effect.andThen(peer.vanish, connection.closed),
          (connection, peer) => Effect.andThen(peer.reset, connection.closed),
          (connection, peer) => Effect.all([connection.writer.writeEof, peer.finish, connection.closed])
        ]
        for (const end of ends) {
          const { connection, peer } = yield* toRaw({ limit: 100, closeTimeout: 500 })
          const { reader, writer } = connection
          yield* peer.send(bytes("some bytes"))
          yield* eventuallyEffect(
            "they are there",
            Effect.map(reader.buffered, (buffered) => buffered === 10)
          )
          yield* within("the end", end(connection, peer))
          const calls: Record<string, Effect.Effect<unknown, unknown>> = {
            readExactly: reader.readExactly(20),
            readUntil: reader.readUntil("|"),
            readLine: reader.readLine,
            read: reader.read(10),
            peek: reader.peek(10),
            skip: reader.skip(10),
            unread: reader.unread(bytes("x")),
            pull: reader.pull,
            readAll: reader.readAll({ maxBytes: 1000 }),
            atEof: reader.atEof,
            buffered: reader.buffered,
            write: writer.write("x"),
            writeAll: writer.writeAll(["x"]),
            drain: writer.drain,
            flush: writer.flush,
            writeEof: writer.writeEof,
            isClosing: writer.isClosing,
            closed: connection.closed,
            close: writer.close,
            abort: writer.abort
          }
          for (const [name, call] of Object.entries(calls)) {
            const exit = yield* Effect.exit(within(name, call, 2000))
            assert.isFalse(Exit.isFailure(exit) && Cause.hasDies(exit.cause), `${name}: ${String(exit)}`)
          }
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("rank 40 a raw client that comes and goes at every moment makes no noise", () =>
    Effect.gen(function* () {
      const loud: Array<unknown> = []
      const listen = (error: unknown) => void loud.push(error)
      process.on("uncaughtException", listen).on("unhandledRejection", listen)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => process.off("uncaughtException", listen).off("unhandledRejection", listen))
      )
      const { at } = yield* bothKinds[0]!.serve(
        ({ reader, writer }) =>
          Effect.forever(Effect.flatMap(reader.read(10), (chunk) => writer.write(chunk.length === 0 ? "?" : chunk))),
        { onHandlerError: () => Effect.void }
      )
      for (let moment = 0; moment < 40; moment++) {
        const client = yield* connectRaw(at)
        yield* Effect.forkChild(client.send(pattern(100_000)))
        yield* turns(moment % 8)
        yield* moment % 2 === 0 ? client.reset : client.vanish
      }
      yield* turns(20)
      assert.deepStrictEqual(loud, [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
