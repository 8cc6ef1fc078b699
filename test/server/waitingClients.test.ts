/**
 * Those whom `maxConnections` keeps waiting: who has left makes room and does not count, what was said is not lost, and a
 * client that is served at last is served as if it had never waited.
 */
import { assert, describe, it } from "@effect/vitest"
import { BufferBudget, type Connection, NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Deferred, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { AsyncLocalStorage } from "node:async_hooks"
import { pattern, text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import type { FakeTransport } from "../support/fakeTransport.ts"
import { start, waits } from "../support/fibers.ts"
import { everyKind } from "../support/kinds.ts"
import { largestRead } from "../support/largestRead.ts"
import { forAll } from "../support/property.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { eventuallyEffect, turns } from "../support/wait.ts"

const host = "127.0.0.1"

/** Greets, then answers one line. */
const greetAndEcho = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    yield* writer.write("hello\n")
    yield* writer.write(yield* reader.readLine)
  })

const becomes = (what: string, count: Effect.Effect<number>, wanted: number) =>
  eventuallyEffect(
    () => `${wanted} ${what}`,
    Effect.map(count, (now) => now === wanted)
  )

const leavings: ReadonlyArray<readonly [how: string, leave: (peer: RawPeer) => Effect.Effect<void>]> = [
  ["close", (peer) => peer.vanish],
  ["reset", (peer) => peer.reset],
  ["end their output", (peer) => peer.finish],
  ["ask, and close", (peer) => Effect.andThen(peer.send("too late\n"), peer.vanish)]
]

for (const { kind, rawClient, serve } of everyKind) {
  describe(`clients that wait and leave, ${kind}`, () => {
    for (const [how, leave] of leavings) {
      it.live(`that ${how}: they do not count, and make room before anybody is rejected`, () =>
        Effect.gen(function* () {
          const { at, server } = yield* serve(greetAndEcho, { maxConnections: 1, backlog: 3 })
          const first = yield* rawClient(at)
          yield* first.awaitText("hello\n")
          for (let round = 0; round < 3; round++) {
            const impatient = yield* Effect.all(Array.from({ length: 3 }, () => rawClient(at)))
            yield* becomes("wait", server.waiting, 3)
            for (const peer of impatient) yield* leave(peer)
            yield* becomes("wait", server.waiting, 0)
          }
          const patient: Array<RawPeer> = []
          for (let i = 0; i < 3; i++) {
            patient.push(yield* rawClient(at))
            yield* becomes("wait", server.waiting, i + 1)
          }
          assert.strictEqual(yield* server.rejected, 0)
          assert.strictEqual(yield* server.connections, 1)
          // who comes now finds no room: nobody else has left
          const late = yield* rawClient(at)
          yield* late.awaitClosed
          assert.strictEqual(yield* server.rejected, 1)

          yield* first.send("bye\n")
          yield* first.awaitEnd
          for (const [i, peer] of patient.entries()) {
            yield* peer.send(`${i}\n`)
            yield* peer.awaitText(`hello\n${i}\n`)
            yield* peer.awaitEnd
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live("one that has asked and ended its output is answered when its turn comes, behind those who are there", () =>
      Effect.gen(function* () {
        const served: Array<string> = []
        const { at, server } = yield* serve(
          ({ reader, writer }) =>
            Effect.gen(function* () {
              const line = yield* reader.readLine
              served.push(text(line))
              yield* writer.write(line)
              assert.strictEqual(yield* reader.atEof, text(line) === "asked\n")
            }),
          { maxConnections: 1 }
        )
        const first = yield* rawClient(at)
        yield* becomes("served", server.connections, 1)
        const asker = yield* rawClient(at, { halfOpen: true })
        yield* asker.send("asked\n")
        yield* asker.finish
        const other = yield* rawClient(at)
        yield* becomes("waits", server.waiting, 1)
        yield* other.send("other\n")
        yield* first.send("first\n")
        yield* asker.awaitText("asked\n")
        yield* asker.awaitEnd
        assert.strictEqual(other.text, "other\n")
        assert.deepStrictEqual(served, ["first\n", "other\n", "asked\n"])
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("what one says while it waits is held to the limit of a connection, and all of it arrives", () =>
      Effect.gen(function* () {
        const limit = 10_000
        const said = pattern(3_000_000)
        const release = yield* Deferred.make<void>()
        const buffered = yield* Deferred.make<number>()
        let first = true
        const { at, server } = yield* serve(
          ({ reader, writer }) =>
            Effect.gen(function* () {
              if (first) {
                first = false
                return yield* Deferred.await(release)
              }
              yield* Deferred.succeed(buffered, yield* reader.buffered)
              assert.deepStrictEqual(yield* reader.readExactly(said.length), said)
              yield* writer.write("all of it\n")
            }),
          { maxConnections: 1, limit }
        )
        yield* rawClient(at)
        yield* becomes("served", server.connections, 1)
        const talker = yield* rawClient(at)
        talker.socket.write(said)
        yield* becomes("waits", server.waiting, 1)
        const budget = yield* BufferBudget.BufferBudget
        yield* eventuallyEffect(
          "as much is read as may be",
          Effect.map(budget!.used, (used) => used > 2 * limit)
        )
        yield* Deferred.succeed(release, undefined)
        yield* talker.awaitText("all of it\n")
        const was = yield* Deferred.await(buffered)
        assert.isAbove(was, 2 * limit)
        // and the chunk that came with the last of it
        assert.isAtMost(was, 2 * limit + largestRead)
      }).pipe(Effect.provide([NodeNetwork.layer, BufferBudget.layer({ bytes: 1_000_000_000 })]))
    )

    it.live("those who come at once, and those who waited, run in the async context of the server", () =>
      Effect.gen(function* () {
        const storage = new AsyncLocalStorage<string>()
        const seen: Array<string | undefined> = []
        storage.enterWith("the server's")
        const { at, server } = yield* serve(
          ({ reader, writer }) =>
            Effect.gen(function* () {
              seen.push(storage.getStore())
              // with Node 22 all calls of one server are one context, which what is entered in one of them stays in
              yield* turns(1)
              storage.enterWith("a client's")
              yield* writer.write(yield* reader.readLine)
              storage.enterWith("a client's, at its end")
            }),
          { maxConnections: 3 }
        )
        storage.enterWith("the test's")
        const peers = yield* Effect.all(
          Array.from({ length: 9 }, () => rawClient(at)),
          { concurrency: "unbounded" }
        )
        yield* becomes("wait", server.waiting, 6)
        for (const peer of peers) {
          yield* peer.send("line\n")
          yield* peer.awaitText("line\n")
          yield* peer.awaitClosed
        }
        assert.deepStrictEqual(
          seen,
          Array.from({ length: 9 }, () => "the server's")
        )
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

describe("clients that wait and leave", () => {
  it.live("one whose connection is lost holds no descriptor", () =>
    Effect.gen(function* () {
      const [tcp] = everyKind
      const { at, server } = yield* tcp!.serve(greetAndEcho, { maxConnections: 1 })
      const first = yield* tcp!.rawClient(at)
      yield* first.awaitText("hello\n")
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const peers = yield* Effect.all(Array.from({ length: 20 }, () => tcp!.rawClient(at)))
          yield* becomes("wait", server.waiting, 20)
          for (const peer of peers) yield* peer.reset
          yield* becomes("wait", server.waiting, 0)
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.effect("over a network in memory, by faults", () =>
    Effect.gen(function* () {
      yield* TestNetwork.simulate(
        Effect.gen(function* () {
          const server = yield* startServer({ port: 0, maxConnections: 1, backlog: 2 }, greetAndEcho)
          const connect = openConnection({ port: server.port })
          const first = yield* connect
          const left = yield* connect
          yield* connect
          assert.strictEqual(yield* server.waiting, 2)
          yield* left.writer.write("and gone\n")
          yield* TestNetwork.settled
          assert.strictEqual(yield* server.waiting, 1)
          const another = yield* connect
          assert.strictEqual(yield* server.waiting, 2)
          assert.strictEqual(yield* server.rejected, 0)
          yield* first.writer.write("bye\n")
          assert.strictEqual(text(yield* first.reader.readAll({ maxBytes: 100 })), "hello\nbye\n")
          yield* another.writer.write("another\n")
          yield* server.abortClients
          assert.strictEqual(text(yield* another.reader.readAll({ maxBytes: 100 })), "hello\nanother\n")
        }),
        { faults: [Faults.reset({ connection: 2, from: "client", after: 9 })] }
      )
    })
  )
})

describe("clients that wait, on a fake network", () => {
  it.effect("one that is lost behind something that it said is heard, if there is room", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const heard: Array<string> = []
        const server = yield* startServer(
          { host, port: 0, maxConnections: 1, backlog: 2, onHandlerError: () => Effect.void },
          ({ reader }) =>
            Effect.gen(function* () {
              heard.push(text(yield* reader.readLine))
              yield* reader.readLine
            })
        )
        const first = network.accept()
        const silent = network.accept()
        const talker = network.accept()
        silent.lose()
        talker.push("said\n")
        talker.lose()
        assert.strictEqual(yield* server.waiting, 0)
        assert.strictEqual(silent.calls.at(-1), "abort")
        first.push("first\n")
        first.pushEnd()
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(heard, ["first\n", "said\n"])
        assert.strictEqual(yield* server.connections, 0)
      })
    )
  )

  it.effect("the first to go is the one that left first, and nobody who is there", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, maxConnections: 1, backlog: 3, gracePeriod: 0 },
          () => Effect.never
        )
        network.accept()
        const [a, b, c] = [network.accept(), network.accept(), network.accept()]
        c.pushEnd()
        b.pushEnd()
        assert.strictEqual(yield* server.waiting, 1)
        network.accept()
        assert.deepStrictEqual(
          [a, b, c].map((client) => client.count("abort")),
          [0, 0, 1]
        )
        network.accept()
        assert.deepStrictEqual(
          [a, b, c].map((client) => client.count("abort")),
          [0, 1, 1]
        )
        const last = network.accept()
        assert.strictEqual(last.calls.join(), "abort")
        assert.strictEqual(yield* server.waiting, 3)
        assert.strictEqual(yield* server.rejected, 1)
        yield* server.shutdown()
        assert.strictEqual(a.count("abort"), 1)
      })
    )
  )

  it.effect("its timeouts begin when it is served", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        for (const timeouts of [{ idle: "1 second" }, { total: "1 second" }, { read: "1 second" }] as const) {
          const failures: Array<unknown> = []
          const server = yield* startServer(
            {
              host,
              port: 0,
              maxConnections: 1,
              timeouts,
              onHandlerError: ({ cause }) => Effect.sync(() => void failures.push(Cause.squash(cause)))
            },
            ({ reader }) =>
              Effect.gen(function* () {
                if ((yield* reader.readLine).length === 1) yield* Effect.never
              })
          )
          const first = network.accept()
          const second = network.accept()
          second.push("it waits, ")
          yield* TestClock.adjust(999)
          first.lose()
          yield* TestClock.adjust(999)
          assert.strictEqual(yield* server.connections, 1)
          assert.strictEqual(failures.length, 1)
          yield* TestClock.adjust(1)
          assert.strictEqual(failures.length, 2)
          assert.propertyVal(failures[1], "_tag", "StreamTimeout")
          assert.strictEqual(second.calls.at(-1), "abort")
          assert.strictEqual(yield* server.connections, 0)
        }
      })
    )
  )

  it.effect("what it says counts for the budget of the server", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0, maxConnections: 1, gracePeriod: 0 }, () => Effect.never)
        network.accept()
        const talker = network.accept()
        talker.push("x".repeat(1000))
        const budget = yield* BufferBudget.BufferBudget
        assert.strictEqual(yield* budget!.used, 1000)
        talker.lose()
        for (let i = 0; i < 511; i++) network.accept()
        // it made room, and holds nothing any more
        assert.strictEqual(yield* budget!.used, 0)
      })
    ).pipe(Effect.provide(BufferBudget.layer({ bytes: 10_000 })))
  )

  for (const gracePeriod of [0, 1000] as const) {
    it.effect(`a server that shuts down while a place has just become free, ${gracePeriod} ms`, () =>
      onFakeNetwork((network) =>
        Effect.gen(function* () {
          let served = 0
          const server = yield* startServer({ host, port: 0, maxConnections: 1 }, ({ reader }) => {
            served++
            return reader.readExactly(1)
          })
          const first = network.accept()
          const second = network.accept()
          // the first one's handler ends in this very call, and the second one's has yet to begin
          first.push("x")
          const stopping = yield* start(server.shutdown({ gracePeriod }))
          yield* TestClock.adjust(0)
          assert.strictEqual(served, gracePeriod === 0 ? 1 : 2)
          assert.strictEqual(waits(stopping), gracePeriod > 0)
          if (gracePeriod > 0) second.push("x")
          yield* TestClock.adjust(0)
          const report = yield* Fiber.join(stopping)
          assert.deepStrictEqual(report, { completed: gracePeriod === 0 ? 0 : 1, aborted: gracePeriod === 0 ? 1 : 0 })
          assert.strictEqual(second.calls.at(-1), gracePeriod === 0 ? "abort" : "close")
          assert.strictEqual(yield* server.connections, 0)
          assert.isTrue(Exit.isSuccess(yield* Effect.exit(server.awaitShutdown)))
        })
      )
    )
  }
})

// ---------------------------------------------------------------------------
// a model
// ---------------------------------------------------------------------------

type Step = { readonly _tag: "Arrive" } | { readonly _tag: "Say" | "Quit" | "End" | "Lose"; readonly who: number }

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<Step>({ _tag: "Arrive" }) },
    ...(["Say", "Quit", "End", "Lose"] as const).map((_tag) => ({
      weight: 1,
      arbitrary: fc.record({ _tag: fc.constant(_tag), who: fc.nat(30) })
    }))
  ),
  { maxLength: 60 }
)

const places = 2
const room = 3

interface Modelled {
  readonly transport: FakeTransport
  said: string
  /** What it had said when its output ended, or its connection was lost. */
  over: "no" | "ended" | "lost"
  fate: "served" | "present" | "departed" | "finished" | "dropped" | "rejected"
}

/** What a handler has heard when it ends: up to the first "!", which ends it as well. */
const heardOf = (said: string): string => (said.includes("!") ? said.slice(0, said.indexOf("!") + 1) : said)

describe("clients that come, say something, and leave in any order", () => {
  it.effect(
    "are served as many at a time as there are places, in their order, and lose nothing of what they said",
    () =>
      forAll(steps, (steps) =>
        onFakeNetwork((network) =>
          Effect.gen(function* () {
            const heard = new Map<number, string>()
            const server = yield* startServer(
              {
                host,
                port: 0,
                maxConnections: places,
                backlog: room,
                gracePeriod: 0,
                onHandlerError: () => Effect.void
              },
              ({ info, reader }) =>
                Effect.gen(function* () {
                  const number = clients.findIndex(({ transport }) => transport.info === info)
                  // who is served at once is not in the list yet
                  const me = number === -1 ? clients.length : number
                  heard.set(me, "")
                  while (true) {
                    const next = yield* reader.readExactlyOption(1)
                    if (Option.isNone(next)) return
                    heard.set(me, heard.get(me)! + text(next.value))
                    if (text(next.value) === "!") return
                  }
                })
            )

            const clients: Array<Modelled> = []
            const waiting: Array<Modelled> = []
            const departed: Array<Modelled> = []
            let rejected = 0
            const served = () => clients.filter(({ fate }) => fate === "served")
            const leave = (list: Array<Modelled>, client: Modelled) => {
              if (list.includes(client)) list.splice(list.indexOf(client), 1)
            }
            /** Places go to those who wait. */
            const settle = () => {
              while (true) {
                for (const client of served()) {
                  if (client.over !== "no" || client.said.includes("!")) client.fate = "finished"
                }
                if (served().length === places) return
                const next = waiting.shift() ?? departed.shift()
                if (next === undefined) return
                next.fate = "served"
              }
            }

            for (const step of steps) {
              if (step._tag === "Arrive") {
                let fate: Modelled["fate"] = "served"
                if (served().length === places) {
                  fate = waiting.length < room ? "present" : "rejected"
                  if (fate === "rejected") rejected++
                  else if (waiting.length + departed.length === room) departed.shift()!.fate = "dropped"
                }
                const client: Modelled = { transport: network.accept(), said: "", over: "no", fate }
                clients.push(client)
                if (fate === "present") waiting.push(client)
              } else {
                const client = clients[step.who % Math.max(1, clients.length)]
                if (client === undefined || !["served", "present", "departed"].includes(client.fate)) continue
                if (client.over === "lost" || (client.over === "ended" && step._tag !== "Lose")) continue
                switch (step._tag) {
                  case "Say":
                  case "Quit": {
                    const words = step._tag === "Say" ? `${client.said.length % 10}` : "!"
                    client.said += words
                    client.transport.push(words)
                    break
                  }
                  case "End":
                    client.over = "ended"
                    client.transport.pushEnd()
                    if (client.fate === "present") {
                      leave(waiting, client)
                      departed.push(client)
                      client.fate = "departed"
                    }
                    break
                  case "Lose":
                    client.over = "lost"
                    client.transport.lose()
                    if (client.fate === "served") break
                    if (client.said === "") {
                      leave(waiting, client)
                      leave(departed, client)
                      client.fate = "dropped"
                    } else if (client.fate === "present") {
                      leave(waiting, client)
                      departed.push(client)
                      client.fate = "departed"
                    }
                    break
                }
              }
              settle()
              yield* TestClock.adjust(0)
              assert.strictEqual(yield* server.waiting, waiting.length)
              assert.strictEqual(yield* server.rejected, rejected)
              assert.strictEqual(yield* server.connections, served().length)
              for (const [number, client] of clients.entries()) {
                const runs = client.fate === "served" || client.fate === "finished"
                assert.strictEqual(heard.get(number), runs ? heardOf(client.said) : undefined)
              }
            }
          })
        )
      )
  )
})
