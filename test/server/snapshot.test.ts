/** `server.snapshot`: what every connection is doing now, whoever looks, and without an observer. */
import { assert, describe, it } from "@effect/vitest"
import {
  BufferBudget,
  type Connection,
  Frame,
  NodeNetwork,
  type Observer,
  openConnection,
  type Server,
  startServer,
  type Tls
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { eventuallyEffect } from "../support/wait.ts"

const host = "127.0.0.1"

/** The state of the only connection. */
const only = (server: Server.Server): Effect.Effect<Observer.ConnectionSnapshot> =>
  Effect.map(server.snapshot, (all) => {
    assert.lengthOf(all, 1)
    return all[0]!
  })

const ignoring = { host, port: 0, gracePeriod: 0, onHandlerError: () => Effect.void } as const

describe("the state of a connection", () => {
  it.effect("counts what came and went, what is unread and unsent, and says since when it is there", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1000)
        const server = yield* startServer(ignoring, ({ reader, writer }) =>
          Effect.gen(function* () {
            yield* reader.readExactly(3)
            yield* writer.write("answer")
            yield* writer.write(" and more")
            yield* writer.flush
          })
        )
        const client = network.accept(false)
        yield* TestClock.adjust(500)
        client.push("abcdef")
        yield* TestClock.adjust(0)
        const state = yield* only(server)
        assert.deepStrictEqual(
          { ...state, id: undefined },
          {
            id: undefined,
            side: "server",
            state: "open",
            info: client.info,
            since: 1000,
            bytesRead: 6,
            bytesWritten: 15,
            unread: 3,
            unsent: 15,
            peerEnded: false,
            paused: [],
            waiting: [{ operation: "flush", since: 1500 }]
          }
        )
        client.pushEnd()
        assert.isTrue((yield* only(server)).peerEnded)
        client.accept()
        client.drainAll()
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* server.snapshot, [])
      })
    )
  )

  const reads: ReadonlyArray<
    readonly [operation: string, read: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>]
  > = [
    ["read", ({ reader }) => reader.read(10)],
    ["readLine", ({ reader }) => reader.readLine],
    ["readExactly", ({ reader }) => reader.readExactly(10)],
    ["readUntil", ({ reader }) => reader.readUntil("|")],
    ["readInto", ({ reader }) => reader.readInto(new Uint8Array(10))],
    ["readFrame", ({ reader }) => reader.readFrame(Frame.uint32)],
    ["pull", ({ reader }) => reader.pull],
    ["skip", ({ reader }) => reader.skip(10)]
  ]
  for (const [operation, read] of reads) {
    it.effect(`names a ${operation} that waits, since when, and no more once it has its answer`, () =>
      onFakeNetwork((network) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(1000)
          const server = yield* startServer(ignoring, (connection) =>
            Effect.andThen(Effect.sleep(200), Effect.andThen(read(connection), Effect.never))
          )
          const client = network.accept()
          yield* TestClock.adjust(199)
          assert.deepStrictEqual((yield* only(server)).waiting, [])
          yield* TestClock.adjust(100)
          assert.deepStrictEqual((yield* only(server)).waiting, [{ operation, since: 1200 }])
          client.push("0123456789|\n")
          yield* TestClock.adjust(100)
          assert.deepStrictEqual((yield* only(server)).waiting, [])
        })
      )
    )
  }

  it.effect("names all writes that wait, in the order in which they came, whatever they wait for", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer({ ...ignoring, highWaterMark: 10, lowWaterMark: 5 }, ({ writer }) =>
          Effect.gen(function* () {
            yield* writer.write("more than the mark")
            const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
              writer.drain,
              writer.write("one"),
              writer.flush,
              writer.write("two"),
              writer.writeAll(["three"])
            ]
            for (const operation of operations) {
              yield* Effect.forkChild(operation)
              yield* Effect.sleep(10)
            }
            return yield* Effect.never
          })
        )
        const client = network.accept(false)
        yield* TestClock.adjust(100)
        const { paused, waiting } = yield* only(server)
        assert.deepStrictEqual(paused, [{ direction: "out", reason: "peer", since: 0 }])
        assert.deepStrictEqual(waiting, [
          { operation: "drain", since: 0 },
          { operation: "write", since: 10 },
          { operation: "flush", since: 20 },
          { operation: "write", since: 30 },
          { operation: "writeAll", since: 40 }
        ])
        client.accept()
        client.drainAll()
        yield* TestClock.adjust(0)
        const after = yield* only(server)
        assert.deepStrictEqual([after.paused, after.waiting], [[], []])
        assert.strictEqual(client.sentText, "more than the markonetwothree")
      })
    )
  )

  it.effect("names a writeEof that waits, and a close as closing", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const closing = yield* Deferred.make<void>()
        const server = yield* startServer(ignoring, ({ writer }) =>
          Effect.gen(function* () {
            yield* writer.write("hello")
            yield* Effect.forkChild(writer.writeEof)
            yield* Deferred.await(closing)
          })
        )
        network.accept(false)
        yield* TestClock.adjust(10)
        const state = yield* only(server)
        assert.deepStrictEqual(state.waiting, [{ operation: "writeEof", since: 0 }])
        assert.strictEqual(state.state, "open")
        yield* Deferred.succeed(closing, undefined)
        yield* TestClock.adjust(0)
        const later = yield* only(server)
        assert.strictEqual(later.state, "closing")
        assert.strictEqual(later.unsent, 5)
      })
    )
  )

  it.effect("says that a slow reader holds the peer back, and since when, until the peer has ended or is read", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const goOn = yield* Deferred.make<void>()
        const server = yield* startServer({ ...ignoring, limit: 10 }, ({ reader }) =>
          Effect.andThen(Deferred.await(goOn), Effect.andThen(reader.readExactly(20), Effect.never))
        )
        const client = network.accept()
        const other = network.accept()
        yield* TestClock.adjust(70)
        for (const one of [client, other]) one.push("more than twice the limit")
        const held = [{ direction: "in", reason: "reader", since: 70 }]
        assert.deepStrictEqual(
          (yield* server.snapshot).map(({ paused }) => paused),
          [held, held] as never
        )
        // nothing is held back of a peer that has nothing more to say
        other.pushEnd()
        yield* Deferred.succeed(goOn, undefined)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(
          (yield* server.snapshot).map(({ paused, unread }) => [paused, unread]),
          [
            [[], 5],
            [[], 5]
          ]
        )
        assert.include(client.calls, "resume")
      })
    )
  )

  it.effect("says that the budget of all holds a peer back", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer(ignoring, () => Effect.never)
        const clients = [network.accept(), network.accept()]
        for (const client of clients) client.push("x".repeat(800))
        yield* TestClock.adjust(0)
        const reasons = (yield* server.snapshot).flatMap(({ paused }) => paused.map(({ reason }) => reason))
        assert.include(reasons, "budget")
      })
    ).pipe(Effect.provide(BufferBudget.layer({ bytes: 1000 })))
  )

  it.effect("of one that is closed by this side: input that was held back flows again, and is thrown away", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer({ ...ignoring, limit: 10 }, ({ reader, writer }) =>
          Effect.andThen(reader.readExactly(1), writer.write("answer"))
        )
        const client = network.accept(false)
        client.push("more than twice the limit")
        yield* TestClock.adjust(0)
        const state = yield* only(server)
        assert.strictEqual(state.state, "closing")
        assert.deepStrictEqual(state.paused, [])
        assert.strictEqual(state.unread, 0)
        client.push("and more")
        assert.strictEqual((yield* only(server)).bytesRead, 33)
      })
    )
  )
})

describe("the states of all", () => {
  it.effect(
    "those that are served come first, then those that wait for a place, each in the order in which they came",
    () =>
      onFakeNetwork((network) =>
        Effect.gen(function* () {
          const server = yield* startServer({ ...ignoring, maxConnections: 2 }, ({ reader }) => reader.readLine)
          const clients = Array.from({ length: 4 }, () => network.accept())
          clients[3]!.push("said")
          const before = yield* server.snapshot
          assert.deepStrictEqual(
            before.map(({ state }) => state),
            ["open", "open", "waiting", "waiting"]
          )
          const ids = before.map(({ id }) => id)
          assert.deepStrictEqual(
            ids,
            ids.toSorted((a, b) => a - b)
          )
          assert.strictEqual(new Set(ids).size, 4)
          assert.strictEqual(before[3]!.unread, 4)
          clients[0]!.push("bye\n")
          yield* Effect.promise(() => Promise.resolve())
          yield* TestClock.adjust(0)
          const after = yield* server.snapshot
          assert.deepStrictEqual(
            after.map(({ id, state }) => [ids.indexOf(id), state]),
            [
              [1, "open"],
              [2, "open"],
              [3, "waiting"]
            ]
          )
          clients[3]!.lose()
          yield* TestClock.adjust(0)
          const last = (yield* server.snapshot).find(({ id }) => id === ids[3])
          assert.strictEqual(last?.state, "closed")
          assert.deepStrictEqual(last?.waiting, [])
          yield* server.shutdown()
          assert.deepStrictEqual(yield* server.snapshot, [])
        })
      )
  )

  it.live("one that is upgraded is one connection, whose counts go on, with the facts of TLS and its own waits", () =>
    Effect.gen(function* () {
      const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity }
      const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, (connection) =>
        Effect.gen(function* () {
          yield* connection.reader.readLine
          yield* connection.writer.write("go\n")
          const secure = yield* connection.startTls(asServer)
          yield* secure.reader.readLine
          yield* secure.writer.write("welcome\n")
          yield* secure.reader.readExactly(7)
        })
      )
      const client = yield* openConnection({ host, port: server.port })
      yield* eventuallyEffect(
        "the client is served",
        Effect.map(server.connections, (count) => count === 1)
      )
      const before = yield* only(server)
      yield* client.writer.write("TLS\n")
      yield* client.reader.readLine
      const secure = yield* client.startTls({ side: "client", ca: authority.cert, serverName: "localhost" })
      yield* secure.writer.write("hello\n")
      assert.strictEqual(text(yield* secure.reader.readLine), "welcome\n")
      const after = yield* only(server)
      assert.strictEqual(after.id, before.id)
      assert.strictEqual(after.since, before.since)
      assert.isUndefined(before.info.tls)
      assert.isDefined(after.info.tls)
      assert.strictEqual(after.state, "open")
      assert.deepStrictEqual([after.bytesRead, after.bytesWritten], [10, 11])
      assert.deepStrictEqual(
        after.waiting.map(({ operation }) => operation),
        ["readExactly"]
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "a thousand connections go on while they are looked at again and again",
    () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const count = 1000
          const server = yield* startServer(
            { port: 7000, maxConnections: count, backlog: count },
            ({ reader, writer }) =>
              Effect.gen(function* () {
                for (let i = 0; i < 2; i++) yield* writer.write(yield* reader.readLine)
              })
          )
          const looks: Array<number> = []
          const looking = yield* Effect.forkChild(
            Effect.forever(
              Effect.gen(function* () {
                const all = yield* server.snapshot
                looks.push(all.length)
                assert.strictEqual(new Set(all.map(({ id }) => id)).size, all.length)
                yield* Effect.sleep(1)
              })
            )
          )
          yield* Effect.forEach(
            Array.from({ length: count }, (_, i) => i),
            (i) =>
              Effect.scoped(
                Effect.gen(function* () {
                  const { reader, writer } = yield* openConnection({ host: "server.example", port: 7000 })
                  for (let j = 0; j < 2; j++) {
                    yield* writer.write(`${i} ${j}\n`)
                    assert.strictEqual(text(yield* reader.readLine), `${i} ${j}\n`)
                  }
                })
              ),
            { concurrency: "unbounded", discard: true }
          )
          assert.isUndefined(looking.pollUnsafe())
          assert.strictEqual(Math.max(...looks), count)
        }),
        { fromClient: { latency: 2 }, fromServer: { latency: 2 } }
      ),
    60_000
  )
})
