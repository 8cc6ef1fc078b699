/** `Connection.relay`: what one connection brings, the other gets, and how it ended. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, NodeNetwork, Observer, openConnection, startServer, StreamError } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Fiber } from "effect"
import * as fc from "fast-check"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern, text } from "../support/bytes.ts"
import { concat, fake } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { turns } from "../support/wait.ts"

/** Two people, and a relay in the middle that has the other ends of their connections. */
const relayed = (options?: Connection.Options) =>
  Effect.gen(function* () {
    const left = yield* TestNetwork.pair(options)
    const right = yield* TestNetwork.pair(options)
    const relay = yield* start(Connection.relay(left.right, right.left))
    return { caller: left.left, callee: right.right, middle: [left.right, right.left] as const, relay }
  })

describe("relay", () => {
  it.effect("passes bytes both ways, and counts them", () =>
    Effect.gen(function* () {
      const { callee, caller, relay } = yield* relayed()
      yield* caller.writer.write("ping\n")
      assert.strictEqual(text(yield* callee.reader.readLine), "ping\n")
      yield* callee.writer.write("pong!\n")
      assert.strictEqual(text(yield* caller.reader.readLine), "pong!\n")
      yield* caller.writer.writeEof
      yield* callee.writer.writeEof
      assert.deepStrictEqual(yield* Fiber.join(relay), { forward: 5, backward: 6 })
    })
  )

  it.effect("an end passes on as an end, and the other direction goes on", () =>
    Effect.gen(function* () {
      const { callee, caller, relay } = yield* relayed()
      yield* caller.writer.write("request")
      yield* caller.writer.writeEof
      assert.strictEqual(text(yield* callee.reader.readAll({ maxBytes: 100 })), "request")
      assert.isTrue(waits(relay))
      yield* callee.writer.write("answer")
      yield* callee.writer.writeEof
      assert.strictEqual(text(yield* caller.reader.readAll({ maxBytes: 100 })), "answer")
      yield* Fiber.join(relay)
    })
  )

  it.effect("a reset passes on as a reset, behind what came before it", () =>
    Effect.gen(function* () {
      const { callee, caller, relay } = yield* relayed()
      yield* caller.writer.write("last words")
      yield* caller.writer.flush
      assert.strictEqual(text(yield* callee.reader.readExactly(10)), "last words")
      yield* caller.abort
      assert.instanceOf(yield* Effect.flip(Fiber.join(relay)), StreamError.ConnectionLost)
      assert.instanceOf(yield* Effect.flip(callee.reader.read(1)), StreamError.ConnectionLost)
    })
  )

  it.effect("what is closed here meanwhile is sent all that it has accepted, and the other side is reset", () =>
    Effect.gen(function* () {
      for (const closed of ["from", "to"] as const) {
        const from = yield* fake({ takes: false })
        const to = yield* fake({ takes: false })
        const relay = yield* start(Connection.relay(from.connection, to.connection))
        from.transport.push("there")
        to.transport.push("and back")
        yield* turns(1)
        const [one, other] = closed === "from" ? [from, to] : [to, from]
        const closing = yield* start(one.writer.close)
        assert.instanceOf(yield* Effect.flip(Fiber.join(relay)), StreamError.ClosedStream)
        assert.isTrue(waits(closing))
        one.transport.drainAll()
        assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
        assert.strictEqual(one.transport.sentText, closed === "from" ? "and back" : "there")
        assert.strictEqual(one.transport.calls.at(-1), "close")
        assert.strictEqual(other.transport.calls.at(-1), "abort")
      }
    })
  )

  it.effect("a side that does not read holds the other one up, and little lies in between", () =>
    Effect.gen(function* () {
      const { caller, middle } = yield* relayed({ limit: 1000, highWaterMark: 1000 })
      const writing = yield* start(
        Effect.gen(function* () {
          for (let i = 0; i < 1000; i++) yield* caller.writer.write(pattern(1000))
        })
      )
      yield* turns(200)
      assert.isTrue(waits(writing))
      for (const one of middle) {
        assert.isAtMost(yield* one.reader.buffered, 70_000)
        assert.isAtMost(yield* one.writer.buffered, 70_000)
      }
    })
  )

  it.effect("interrupted at any time it has lost nothing: the rest is in the reader, in order", () =>
    forAll(
      fc.record({
        sizes: fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 12 }),
        after: fc.integer({ min: 0, max: 30 })
      }),
      ({ after, sizes }) =>
        Effect.gen(function* () {
          const { callee, caller, middle, relay } = yield* relayed({ limit: 700, highWaterMark: 700 })
          const all = pattern(sizes.reduce((sum, size) => sum + size, 0))
          yield* start(
            Effect.gen(function* () {
              let at = 0
              for (const size of sizes) yield* caller.writer.write(all.subarray(at, (at += size)))
              yield* caller.writer.writeEof
            })
          )
          yield* turns(after)
          yield* Fiber.interrupt(relay)
          // by hand from here on
          const rest = yield* start(middle[0].reader.readAll({ maxBytes: all.length }))
          if (Exit.isSuccess(yield* Effect.exit(middle[1].writer.writeEof))) {
            const passed = yield* start(callee.reader.readAll({ maxBytes: all.length }))
            const got = Buffer.concat([yield* Fiber.join(passed), yield* Fiber.join(rest)])
            assert.isTrue(got.equals(all), `${got.length} of ${all.length} bytes`)
          }
        })
    )
  )

  it.effect("interrupted by whoever observes what it sends, it repeats nothing either", () =>
    Effect.gen(function* () {
      for (const highWaterMark of [10, 65_536]) {
        for (const quota of [1, 65_536, 65_537, 131_072, 131_073]) {
          let sent = 0
          const observer = Observer.layer({
            onBytes: (_, direction, { length }) => {
              if (direction === "out" && (sent += length) >= quota) relay.interruptUnsafe()
            }
          })
          const from = yield* fake({ limit: 1_000_000 })
          const to = yield* fake({ takes: false, highWaterMark }).pipe(Effect.provide(observer))
          const relay: Fiber.Fiber<unknown, unknown> = yield* start(Connection.relay(from.connection, to.connection))
          const all = pattern(300_000)
          for (let at = 0; at < all.length; at += 10_000) from.transport.push(all.subarray(at, at + 10_000))
          while (waits(relay)) {
            yield* turns(1)
            if (to.transport.holding) to.transport.drain()
          }
          yield* turns(1)
          to.transport.drainAll()
          const rest = yield* from.reader.read(all.length)
          assertBytes(concat([to.transport.sent, rest]), all)
        }
      }
    })
  )

  it.live("over sockets: 8 MiB each way at once, both ends, and the sizes", () =>
    Effect.gen(function* () {
      const backend = yield* serveRaw({ halfOpen: true })
      const done: Array<Connection.Relayed> = []
      const proxy = yield* startServer({ host: "127.0.0.1", port: 0 }, (client) =>
        openConnection({ host: "127.0.0.1", port: backend.port }).pipe(
          Effect.flatMap((upstream) => Connection.relay(client, upstream)),
          Effect.map((relayed) => void done.push(relayed)),
          Effect.scoped
        )
      )
      const client = yield* openConnection({ host: "127.0.0.1", port: proxy.port })
      const peer = yield* backend.accept
      const all = pattern(8 * 1024 * 1024)
      const sending = yield* start(Effect.andThen(client.writer.write(all), client.writer.writeEof))
      peer.socket.end(all)
      const back = yield* start(client.reader.readAll({ maxBytes: all.length }))
      const forth = yield* peer.awaitBytes(all.length)
      assert.isTrue(Buffer.from(yield* Fiber.join(back)).equals(all))
      assert.isTrue(forth.equals(all))
      yield* peer.awaitEnd
      yield* Fiber.join(sending)
      yield* proxy.shutdown()
      assert.deepStrictEqual(done, [{ forward: all.length, backward: all.length }])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("pieces that a writer copies, and those of which it keeps a view, are passed on in their order", () =>
    Effect.gen(function* () {
      const { callee, caller, relay } = yield* relayed()
      const sizes = [1, 4096, 4097, 60_000, 70_000, 3]
      const all = pattern(sizes.reduce((sum, size) => sum + size))
      const reading = yield* start(callee.reader.readExactly(all.length))
      let at = 0
      for (const size of sizes) {
        yield* caller.writer.write(all.subarray(at, (at += size)))
        yield* caller.writer.flush
      }
      assert.deepStrictEqual(yield* Fiber.join(reading), all)
      yield* caller.writer.writeEof
      yield* callee.writer.writeEof
      assert.deepStrictEqual(yield* Fiber.join(relay), { forward: all.length, backward: 0 })
    })
  )

  it.effect("one that is lost while it is given what has come resets the other", () =>
    Effect.gen(function* () {
      const { callee, caller, middle, relay } = yield* relayed()
      yield* callee.abort
      yield* caller.writer.write("into nothing")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(relay)))
      assert.instanceOf(yield* Effect.flip(caller.reader.read(1)), StreamError.ConnectionLost)
      for (const { writer } of middle) assert.isTrue(yield* writer.isClosing)
    })
  )

  it.live("over sockets it may be interrupted at any time, and what it has passed on is followed by the rest", () =>
    forAll(
      fc.record({
        sizes: fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 30 }),
        after: fc.integer({ min: 0, max: 60 }),
        highWaterMark: fc.constantFrom(undefined, 5000)
      }),
      ({ after, highWaterMark, sizes }) =>
        Effect.gen(function* () {
          const backend = yield* serveRaw({ halfOpen: true })
          const proxy = yield* startServer({ host: "127.0.0.1", port: 0 }, (client) =>
            Effect.gen(function* () {
              const upstream = yield* openConnection({ host: "127.0.0.1", port: backend.port, highWaterMark })
              const relay = yield* start(Connection.relay(client, upstream))
              yield* turns(after)
              yield* Fiber.interrupt(relay)
              for (let bytes = yield* client.reader.read(9999); bytes.length > 0;) {
                yield* upstream.writer.write(bytes)
                bytes = yield* client.reader.read(9999)
              }
              if (!(yield* upstream.writer.isClosing)) yield* upstream.writer.writeEof
            })
          )
          const client = yield* openConnection({ host: "127.0.0.1", port: proxy.port })
          const peer = yield* backend.accept
          const all = pattern(sizes.reduce((sum, size) => sum + size, 0))
          let at = 0
          for (const size of sizes) yield* client.writer.write(all.subarray(at, (at += size)))
          yield* client.writer.writeEof
          assert.isTrue((yield* peer.awaitBytes(all.length)).equals(all))
        }).pipe(Effect.scoped),
      { numRuns: 20 }
    ).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("over sockets: a client that resets is a reset for the backend", () =>
    Effect.gen(function* () {
      const backend = yield* serveRaw({ halfOpen: true })
      const proxy = yield* startServer({ host: "127.0.0.1", port: 0, onHandlerError: () => Effect.void }, (client) =>
        openConnection({ host: "127.0.0.1", port: backend.port }).pipe(
          Effect.flatMap((upstream) => Connection.relay(client, upstream)),
          Effect.scoped
        )
      )
      const client = yield* connectRaw(proxy.port)
      const peer = yield* backend.accept
      yield* client.send("x")
      yield* peer.awaitText("x")
      yield* client.reset
      assert.strictEqual(yield* peer.awaitClosed, "ECONNRESET")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
