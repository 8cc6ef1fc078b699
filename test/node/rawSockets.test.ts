/**
 * Bare `node:net` sockets at the other end, which do what well-behaved programs never do: dribble, half-close early,
 * reset, vanish, stall, and all of it in the middle of a message. Against connections and against servers.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork } from "effect-byte-streams"
import { Effect, Fiber, Result } from "effect"
import { bothKinds } from "../support/kinds.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

/** Reads messages of a length, a line feed and so many bytes, until the end. */
const messages = ({ reader }: Connection.Connection) =>
  Effect.gen(function* () {
    const out: Array<string> = []
    while (true) {
      const head = yield* Effect.result(reader.readLine)
      if (Result.isFailure(head)) return { out, end: head.failure._tag as string }
      if (head.success.length === 0) return { out, end: "Eof" }
      const body = yield* Effect.result(reader.readExactly(Number(text(head.success))))
      if (Result.isFailure(body)) return { out, end: body.failure._tag as string }
      out.push(text(body.success))
    }
  })

const message = (body: string) => `${bytes(body).length}\n${body}`

/** A peer's manner of sending two messages and a part of a third, and of leaving. */
const manners: ReadonlyArray<{
  readonly how: string
  readonly act: (peer: RawPeer) => Effect.Effect<void>
  readonly messages: ReadonlyArray<string>
  readonly end: { readonly TCP: string; readonly Unix: string }
}> = [
  {
    how: "dribbles byte by byte and half-closes",
    act: (peer) => Effect.andThen(peer.dribble(bytes(message("first") + message("second, größer"))), peer.finish),
    messages: ["first", "second, größer"],
    end: { TCP: "Eof", Unix: "Eof" }
  },
  {
    how: "dribbles, and resets in the middle of a body",
    act: (peer) => Effect.andThen(peer.dribble(bytes(`${message("first")}100\nnot all of i`)), peer.reset),
    messages: ["first"],
    end: { TCP: "ConnectionLost", Unix: "IncompleteRead" }
  },
  {
    how: "half-closes in the middle of a body",
    act: (peer) => Effect.andThen(peer.send(`${message("first")}100\nnot all of i`), peer.finish),
    messages: ["first"],
    end: { TCP: "IncompleteRead", Unix: "IncompleteRead" }
  },
  {
    how: "vanishes in the middle of a body",
    act: (peer) => Effect.andThen(peer.send(`${message("first")}100\nnot all of i`), peer.vanish),
    messages: ["first"],
    end: { TCP: "IncompleteRead", Unix: "IncompleteRead" }
  },
  {
    how: "vanishes in the middle of a head",
    act: (peer) => Effect.andThen(peer.send(`${message("first")}10`), peer.vanish),
    messages: ["first"],
    end: { TCP: "IncompleteRead", Unix: "IncompleteRead" }
  },
  {
    how: "resets between two messages",
    act: (peer) => Effect.andThen(peer.send(message("first") + message("second")), peer.reset),
    messages: ["first", "second"],
    end: { TCP: "ConnectionLost", Unix: "Eof" }
  },
  {
    how: "stalls for a while between any two bytes",
    act: (peer) =>
      Effect.gen(function* () {
        for (const byte of bytes(message("first"))) {
          yield* peer.send(Uint8Array.of(byte))
          yield* Effect.sleep(3)
        }
        yield* peer.vanish
      }),
    messages: ["first"],
    end: { TCP: "Eof", Unix: "Eof" }
  },
  {
    how: "sends nothing and leaves",
    act: (peer) => peer.vanish,
    messages: [],
    end: { TCP: "Eof", Unix: "Eof" }
  },
  {
    how: "sends nothing and resets",
    act: (peer) => peer.reset,
    messages: [],
    end: { TCP: "ConnectionLost", Unix: "Eof" }
  }
]

for (const { kind, rawClient, serve, toRaw } of bothKinds) {
  describe(`${kind}: the peer`, () => {
    for (const { act, end, how, messages: expected } of manners) {
      it.live(`${how}, to a connection`, () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* toRaw()
          const reading = yield* Effect.forkChild(messages(connection), { startImmediately: true })
          yield* act(peer)
          const found = yield* within("the reading ends", Fiber.join(reading))
          assert.deepStrictEqual(found, { out: [...expected], end: end[kind] })
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(`${how}, to a handler that is busy meanwhile`, () =>
        Effect.gen(function* () {
          const found: Array<unknown> = []
          const { at, server } = yield* serve((connection) =>
            Effect.gen(function* () {
              // everything has happened before the first read
              yield* connection.closed
              found.push(yield* messages(connection))
            })
          )
          const peer = yield* rawClient(at)
          yield* eventuallyEffect(
            "it is served",
            Effect.map(server.connections, (count) => count === 1)
          )
          yield* act(peer)
          yield* eventuallyEffect(
            "the handler ends",
            Effect.map(server.connections, (count) => count === 0)
          )
          assert.deepStrictEqual(found, [{ out: [...expected], end: end[kind] }])
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live("reads byte by byte what is written in one go", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ highWaterMark: 1000 }, { paused: true })
        const sent = pattern(400_000)
        const writing = yield* Effect.forkChild(
          Effect.andThen(connection.writer.write(sent), connection.writer.close),
          { startImmediately: true }
        )
        while (writing.pollUnsafe() === undefined) {
          yield* peer.unstall
          yield* turns(1)
          yield* peer.stall
          yield* turns(1)
        }
        yield* peer.unstall
        assert.deepStrictEqual(yield* Fiber.join(writing), { _tag: "Graceful" })
        yield* peer.awaitEnd
        assert.strictEqual(peer.received.compare(sent), 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("sends while it is sent to, more than either side can hold", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ limit: 1000, highWaterMark: 1000 })
        const there = pattern(6_000_000)
        const back = pattern(6_000_001).reverse()
        yield* Effect.forkChild(Effect.andThen(peer.send(back), peer.finish))
        const writing = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (let at = 0; at < there.length; at += 100_000) {
              yield* connection.writer.write(there.subarray(at, at + 100_000))
            }
            yield* connection.writer.writeEof
          })
        )
        const received = yield* within("their bytes", connection.reader.readAll({ maxBytes: "unbounded" }))
        yield* within("our bytes", Fiber.join(writing))
        yield* peer.awaitBytes(there.length)
        assert.strictEqual(Buffer.compare(received, back), 0)
        assert.strictEqual(peer.received.compare(there), 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}
