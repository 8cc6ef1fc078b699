/**
 * Sockets that read into memory that is used again, by all of them. (The laws hold for them as well: see
 * testing/laws.test.ts and tls/laws.test.ts.)
 */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, type Tls, type Transport } from "effect-byte-streams"
import { Effect } from "effect"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import * as Net from "node:net"
import { has } from "../../src/internal/node/nodeInternals.ts"
import * as SharedReadMemory from "../../src/internal/node/sharedReadMemory.ts"
import { authority, certificates } from "../support/certificates.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { assertBytes } from "../support/assertBytes.ts"
import { everyKind } from "../support/kinds.ts"
import { lend } from "../support/lending.ts"
import { plainPair } from "../support/plainPair.ts"
import { onPartOfNode } from "../support/nodeParts.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect, within } from "../support/wait.ts"

const host = "127.0.0.1"

const tls = StreamLaws.overNetwork(
  { host, port: 0, tls: { identity: certificates.server.identity } },
  { host, tls: { ca: authority.cert } }
)

const transports = {
  TCP: StreamLaws.overNetwork({ host, port: 0 }),
  Unix: Effect.flatMap(socketPath("lending.sock"), (path) => StreamLaws.overNetwork({ path })),
  // without an engine right on its socket TLS has nothing to lend
  ...(has("directTls") ? { TLS: tls } : undefined)
}

const silent: Transport.Handler = {
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onWriteFailure: () => {},
  onClose: () => {}
}

/** A transport's bytes, and the memory in which they were lent; those that were given are marked. */
class Receiver {
  readonly memories = new Set<ArrayBufferLike>()
  got = ""
  readonly handler: Transport.Handler = {
    ...silent,
    onData: (bytes) => void (this.got += `(${text(bytes)})`),
    onLent: (bytes) => {
      this.memories.add(bytes.buffer)
      this.got += text(bytes)
    }
  }
}

describe(
  "a transport that is asked to lend",
  onPartOfNode("sharedReadMemory", "each read has memory of its own"),
  () => {
    it.live("reads into one memory, whatever it is, and however often it is asked", () =>
      Effect.gen(function* () {
        const memories = new Set<ArrayBufferLike>()
        for (const [kind, pair] of Object.entries(transports)) {
          const { left, right } = yield* pair
          const receivers = [new Receiver(), new Receiver()] as const
          left.attach(receivers[0].handler)
          right.attach(receivers[1].handler)
          for (const [from, to, receiver] of [
            [left, right, receivers[1]],
            [right, left, receivers[0]]
          ] as const) {
            // in the way in which all begin
            from.write([bytes("given")])
            yield* eventually(`${kind}: the first bytes`, () => receiver.got === "(given)" || undefined)
            to.lend!()
            for (const word of ["one", "two", "three"]) {
              receiver.got = ""
              to.lend!()
              from.write([bytes(word)])
              yield* eventually(`${kind}: ${word}`, () => receiver.got === word || undefined)
            }
            assert.strictEqual(receiver.memories.size, 1, kind)
            for (const memory of receiver.memories) memories.add(memory)
          }
          left.abort()
          right.abort()
        }
        assert.strictEqual(memories.size, 1)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("lends by itself where little comes at a time, and not where much does", () =>
      Effect.gen(function* () {
        for (const [kind, pair] of Object.entries(transports)) {
          const { left, right } = yield* pair
          const receiver = new Receiver()
          left.attach(silent)
          right.attach(receiver.handler)
          const send = Effect.fnUntraced(function* (word: string) {
            receiver.got = ""
            left.write([bytes(word)])
            const brought = () => receiver.got.replaceAll(/[()]/g, "") === word || undefined
            yield* eventually(`${kind}: ${word.length} bytes`, brought)
          })
          for (let i = 0; i < 15; i++) yield* send(`word ${i}`)
          yield* send("x".repeat(2000))
          for (let i = 0; i < 16; i++) {
            yield* send(`word ${i}`)
            assert.strictEqual(receiver.got, `(word ${i})`, kind)
          }
          yield* send("lent")
          assert.strictEqual(receiver.got, "lent", kind)
          left.abort()
          right.abort()
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("gives copies to a handler that wants none lent", () =>
      Effect.gen(function* () {
        for (const [kind, pair] of Object.entries(transports)) {
          const { left, right } = yield* pair
          const got: Array<Uint8Array> = []
          right.lend!()
          left.attach(silent)
          right.attach({ ...silent, onData: (bytes) => void got.push(bytes) })
          for (const word of ["one", "two", "three"]) {
            const before = got.length
            left.write([bytes(word)])
            yield* eventually(`${kind}: ${word}`, () => got.length > before || undefined)
          }
          assert.deepStrictEqual(got.map(text), ["one", "two", "three"], kind)
          left.abort()
          right.abort()
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it("goes on as it does where it cannot: without a handle, or with one of another make", () => {
      const closed = new Net.Socket()
      assert.isFalse(SharedReadMemory.share(closed, () => true))
      const other = Object.assign(new Net.Socket(), { _handle: {} })
      assert.isFalse(SharedReadMemory.share(other, () => true))
    })
  }
)

/** Reads to the end, into one array or as it comes. */
const receive = (reader: Connection.Connection["reader"], into: boolean) =>
  Effect.gen(function* () {
    const array = new Uint8Array(30_000)
    const pieces: Array<Uint8Array> = []
    while (true) {
      const piece = into ? array.slice(0, yield* reader.readInto(array)) : yield* reader.read(30_000)
      if (piece.length === 0) return Buffer.concat(pieces)
      pieces.push(piece)
      // so that others are served, and write into the memory, before the next read is asked for
      if (pieces.length % 3 === 0) yield* Effect.yieldNow
    }
  })

for (const { client, kind, serve } of everyKind) {
  it.live(`${kind}: many connections share the memory, and each gets its own bytes`, () =>
    Effect.gen(function* () {
      const { at } = yield* serve((connection) =>
        Effect.gen(function* () {
          const { reader, writer } = connection
          // half of the connections never read into an array of their own, although what arrives is lent to them
          const index = (yield* reader.readExactly(1))[0]!
          yield* lend(connection)
          const all = yield* receive(reader, index % 2 === 0)
          for (let from = 0; from < all.length; from += 50_000) yield* writer.write(all.subarray(from, from + 50_000))
        })
      )
      yield* Effect.forEach(
        Array.from({ length: 8 }, (_, index) => index),
        (index) =>
          Effect.gen(function* () {
            const { reader, writer } = yield* client(at)
            // no two alike, at any place
            const sent = pattern(400_000).map((byte) => byte ^ (index + 1))
            yield* writer.write(Uint8Array.of(index))
            for (let from = 0, size = 1; from < sent.length; from += size, size = (size * 7) % 20_011) {
              yield* writer.write(sent.slice(from, from + size))
            }
            yield* writer.writeEof
            assertBytes(yield* within(`connection ${index}`, receive(reader, index % 3 === 0)), sent)
          }),
        { concurrency: "unbounded", discard: true }
      )
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )
}

for (const { kind, toRaw } of everyKind) {
  it.live(`${kind}: what breaks is seen while nobody reads, as where nothing is lent`, () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* toRaw({ limit: 1000 })
      yield* lend(connection)
      yield* peer.send("x".repeat(5000))
      yield* eventuallyEffect(
        "the transport is paused",
        Effect.map(connection.reader.buffered, (size) => size > 2000)
      )
      yield* peer.reset
      const closed = yield* within("the loss", connection.closed)
      // a Unix socket knows no reset
      assert.strictEqual(closed._tag, kind === "Unix" ? "PeerEof" : "Lost")
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )
}

for (const stoppable of [false, true]) {
  const how = stoppable ? "with a way back" : "for good"
  it.live(`the handle that was upgraded (${how}) asks nothing of the connection any more`, () =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair()
      const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost", stoppable }
      const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity, stoppable }
      const [left, right] = yield* Effect.all([client.startTls(asClient), peer.startTls(asServer)], { concurrency: 2 })
      for (const word of ["one\n", "two\n", "three\n"]) {
        for (const old of [client, peer]) {
          const refused = yield* Effect.flip(old.reader.readInto(new Uint8Array(10)))
          assert.deepInclude(refused, { _tag: "ClosedStream", operation: "readInto", reason: "Upgraded" })
          yield* lend(old)
        }
        yield* left.writer.write(word)
        assert.strictEqual(text(yield* within(word, right.reader.readLine)), word)
        yield* right.writer.write(word)
        assert.strictEqual(text(yield* within(word, left.reader.readLine)), word)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )
}
