/**
 * `whenDraining: "endIdleReads"`: a server that shuts down ends the reads that wait for a client's next request, and
 * nothing else.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  type Connection,
  NodeNetwork,
  openConnection,
  type Server,
  startServer,
  StreamReader
} from "effect-byte-streams"
import { Deferred, Effect, Exit, Fiber, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { bytes, text } from "../support/bytes.ts"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { FakeTransport } from "../support/fakeTransport.ts"
import { defectOf, start, startUnderClock, waits } from "../support/fibers.ts"
import { everyKind } from "../support/kinds.ts"
import { SteppingScheduler } from "../support/steppingScheduler.ts"
import { eventuallyEffect, within } from "../support/wait.ts"

const host = "127.0.0.1"
const whenDraining = "endIdleReads"

/** What a handler reads, one item at a time: the item as text, or `None` at a clean end. */
type Next = (reader: StreamReader.StreamReader) => Effect.Effect<Option.Option<string>, unknown>

const asText = Effect.map(Option.map(text))

/** The reads that answer a clean end. */
const idleReads: ReadonlyArray<readonly [name: string, next: Next]> = [
  ["readOption", (reader) => asText(reader.readOption(100))],
  ["readLineOption", (reader) => asText(reader.readLineOption)],
  ["readUntilOption", (reader) => asText(reader.readUntilOption("\n"))],
  [
    "readLineText",
    (reader) =>
      Effect.map(
        reader.readLineText,
        Option.map((line) => `${line}\n`)
      )
  ],
  [
    "readLineWith",
    (reader) =>
      Effect.map(reader.readLineWith({ end: "required" }), (line) =>
        line.length === 0 ? Option.none() : Option.some(text(line))
      )
  ],
  ["readExactlyOption", (reader) => asText(reader.readExactlyOption(3))],
  ["lines", (reader) => Stream.runHead(StreamReader.lines(reader)).pipe(Effect.map(Option.map((line) => `${line}\n`)))]
]

/** Answers each item with itself, until there are no more. */
const echo =
  (next: Next) =>
  ({ reader, writer }: Connection.Connection) =>
    Effect.gen(function* () {
      yield* writer.write("ready\n")
      for (let item = yield* next(reader); Option.isSome(item); item = yield* next(reader)) {
        yield* writer.write(item.value)
      }
      yield* writer.write("bye\n")
    })

/** The reads that know no clean end, or mean something else by it. */
const otherReads: ReadonlyArray<
  readonly [name: string, read: (reader: StreamReader.StreamReader) => Effect.Effect<string, unknown>]
> = [
  ["read", (reader) => Effect.map(reader.read(100), text)],
  [
    "readInto",
    (reader) =>
      Effect.suspend(() => {
        const memory = new Uint8Array(100)
        return Effect.map(reader.readInto(memory), (count) => text(memory.subarray(0, count)))
      })
  ],
  ["readLine", (reader) => Effect.map(reader.readLine, text)],
  ["readExactly", (reader) => Effect.map(reader.readExactly(3), text)],
  ["readUntil", (reader) => Effect.map(reader.readUntil("\n"), text)],
  ["peek", (reader) => Effect.map(reader.peek(3), text)],
  ["pull", (reader) => Effect.map(reader.pull, (pieces) => pieces.map(text).join(""))],
  [
    "stream",
    (reader) => Effect.map(Stream.runHead(StreamReader.stream(reader)), (piece) => text(Option.getOrThrow(piece)))
  ]
]

for (const { kind, rawClient, serve } of everyKind) {
  describe(`whenDraining: "endIdleReads", ${kind}`, () => {
    for (const [name, next] of idleReads) {
      it.live(`${name} of an idle client is answered with the end, and the shutdown waits for nobody`, () =>
        Effect.gen(function* () {
          const { at, server } = yield* serve(echo(next), { gracePeriod: "1 hour", whenDraining })
          const clients = yield* Effect.all(Array.from({ length: 5 }, () => rawClient(at)))
          for (const client of clients) {
            yield* client.send("12\n")
            yield* client.awaitText("ready\n12\n")
          }
          assert.deepStrictEqual(yield* within("the shutdown", server.shutdown(), 5000), { completed: 5, aborted: 0 })
          for (const client of clients) {
            assert.strictEqual(yield* client.awaitClosed, undefined)
            assert.strictEqual(client.text, "ready\n12\nbye\n")
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live("a request that is being answered is answered, and the read after it is the end", () =>
      Effect.gen(function* () {
        const finish = yield* Deferred.make<void>()
        const { at, server } = yield* serve(
          ({ reader, writer }) =>
            Effect.gen(function* () {
              while (Option.isSome(yield* reader.readLineOption)) {
                yield* writer.write("working\n")
                yield* Deferred.await(finish)
                yield* writer.write("the answer\n")
              }
              yield* writer.write("bye\n")
            }),
          { gracePeriod: "1 hour", whenDraining }
        )
        const client = yield* rawClient(at)
        yield* client.send("a question\n")
        yield* client.awaitText("working\n")
        const stopping = yield* Effect.forkChild(server.shutdown(), { startImmediately: true })
        yield* Deferred.succeed(finish, undefined)
        assert.deepStrictEqual(yield* within("the shutdown", Fiber.join(stopping), 5000), { completed: 1, aborted: 0 })
        assert.strictEqual(yield* client.awaitClosed, undefined)
        assert.strictEqual(client.text, "working\nthe answer\nbye\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

/** Begins to shut down. What happens at once has happened then, and nobody else has run. */
const shutdown = (server: Server.Server) =>
  Effect.asVoid(Effect.forkScoped(server.shutdown({ gracePeriod: "1 hour" }), { startImmediately: true }))

describe('whenDraining: "endIdleReads"', () => {
  // under the clock of tests a fiber waits in another way than under the scheduler that programs have
  const ways: ReadonlyArray<readonly [scheduler: string, run: typeof start]> = [
    ["Effect's own scheduler", start],
    ["the scheduler of tests", startUnderClock]
  ]
  for (const [scheduler, run] of ways) {
    describe(`under ${scheduler}`, () => {
      /** Reads that run under the scheduler, in a handler that never ends. */
      const serving = (options: { readonly whenDraining?: "endIdleReads"; readonly limit?: number }) =>
        Effect.gen(function* () {
          const connections: Array<Connection.Connection> = []
          const server = yield* startServer({ host, port: 0, gracePeriod: 0, ...options }, (connection) => {
            connections.push(connection)
            return Effect.never
          })
          return { server, connections }
        })
      for (const [name, next] of idleReads) {
        it.effect(`${name}: one that waits is answered, and one that begins later`, () =>
          onFakeNetwork((network) =>
            Effect.gen(function* () {
              const { connections, server } = yield* serving({ whenDraining })
              network.accept()
              const { reader } = connections[0]!
              const waiting = yield* run(next(reader))
              yield* TestClock.adjust("1 minute")
              assert.isTrue(waits(waiting))
              yield* shutdown(server)
              yield* TestClock.adjust(0)
              assert.isFalse(waits(waiting))
              assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
              for (let i = 0; i < 3; i++) {
                const later = yield* run(next(reader))
                yield* TestClock.adjust(0)
                assert.isFalse(waits(later))
                assert.deepStrictEqual(yield* Fiber.join(later), Option.none())
              }
            })
          )
        )

        it.effect(`${name}: what is buffered, and what comes, is read as before`, () =>
          onFakeNetwork((network) =>
            Effect.gen(function* () {
              const { connections, server } = yield* serving({ whenDraining })
              const client = network.accept()
              const { reader } = connections[0]!
              const waiting = yield* run(next(reader))
              yield* shutdown(server)
              // nobody has run since: what comes now is for the next read
              client.push("12\n")
              yield* TestClock.adjust(0)
              assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
              assert.strictEqual(yield* reader.buffered, 3)
              assert.deepStrictEqual(yield* next(reader), Option.some("12\n"))
              assert.deepStrictEqual(yield* next(reader), Option.none())
              client.push("34\n")
              assert.deepStrictEqual(yield* next(reader), Option.some("34\n"))
            })
          )
        )

        if (name === "readOption") continue

        it.effect(`${name}: an item of which a part is there is waited for`, () =>
          onFakeNetwork((network) =>
            Effect.gen(function* () {
              const { connections, server } = yield* serving({ whenDraining })
              const client = network.accept()
              const { reader } = connections[0]!
              client.push("1")
              const waiting = yield* run(next(reader))
              yield* shutdown(server)
              yield* TestClock.adjust("1 minute")
              assert.isTrue(waits(waiting))
              client.push("2\n")
              yield* TestClock.adjust(0)
              assert.deepStrictEqual(yield* Fiber.join(waiting), Option.some("12\n"))
              client.push("3")
              const another = yield* run(next(reader))
              yield* TestClock.adjust("1 minute")
              assert.isTrue(waits(another))
              client.push("4\n")
              yield* TestClock.adjust(0)
              assert.deepStrictEqual(yield* Fiber.join(another), Option.some("34\n"))
            })
          )
        )
      }

      it.effect("a line whose part was dropped because it is too long leaves nothing to wait for", () =>
        onFakeNetwork((network) =>
          Effect.gen(function* () {
            const { connections, server } = yield* serving({ whenDraining, limit: 4 })
            const client = network.accept()
            const { reader } = connections[0]!
            client.push("1234")
            const waiting = yield* run(Stream.runHead(StreamReader.lines(reader, { onOverrun: "discard" })))
            yield* shutdown(server)
            yield* TestClock.adjust("1 minute")
            assert.isTrue(waits(waiting))
            client.push("5678")
            yield* TestClock.adjust(0)
            assert.isFalse(waits(waiting))
            assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
            client.push("9\nnext\n")
            assert.strictEqual(text(yield* reader.readLine), "next\n")
          })
        )
      )

      for (const [name, read] of otherReads) {
        it.effect(`${name} goes on waiting, and is given what comes`, () =>
          onFakeNetwork((network) =>
            Effect.gen(function* () {
              const { connections, server } = yield* serving({ whenDraining })
              const client = network.accept()
              const { reader } = connections[0]!
              const waiting = yield* run(read(reader))
              yield* shutdown(server)
              yield* TestClock.adjust("1 minute")
              assert.isTrue(waits(waiting))
              client.push("12\n")
              yield* TestClock.adjust(0)
              assert.strictEqual(yield* Fiber.join(waiting), "12\n")
              if (name === "peek") yield* reader.skip(3)
              const later = yield* run(read(reader))
              yield* TestClock.adjust("1 minute")
              assert.isTrue(waits(later))
              client.push("34\n")
              yield* TestClock.adjust(0)
              assert.strictEqual(yield* Fiber.join(later), "34\n")
            })
          )
        )
      }

      it.effect("a part of a reader that is not complete is waited for, and does not look complete", () =>
        onFakeNetwork((network) =>
          Effect.gen(function* () {
            const { connections, server } = yield* serving({ whenDraining })
            const client = network.accept()
            const { reader } = connections[0]!
            const body = yield* StreamReader.limited(reader, 4)
            const waiting = yield* run(body.readOption(100))
            yield* shutdown(server)
            yield* TestClock.adjust("1 minute")
            assert.isTrue(waits(waiting))
            client.push("12")
            yield* TestClock.adjust(0)
            assert.deepStrictEqual(yield* asText(Fiber.join(waiting)), Option.some("12"))
            const rest = yield* run(body.readOption(100))
            yield* TestClock.adjust("1 minute")
            assert.isTrue(waits(rest))
            client.push("34next")
            yield* TestClock.adjust(0)
            assert.deepStrictEqual(yield* asText(Fiber.join(rest)), Option.some("34"))
            assert.deepStrictEqual(yield* body.readOption(100), Option.none())
            assert.deepStrictEqual(yield* asText(reader.readOption(100)), Option.some("next"))
          })
        )
      )

      it.effect("the connection has not ended: atEof and closed do not say so, and writing goes on", () =>
        onFakeNetwork((network) =>
          Effect.gen(function* () {
            const { connections, server } = yield* serving({ whenDraining })
            const client = network.accept()
            const { closed, reader, writer } = connections[0]!
            const ended = yield* run(closed)
            yield* shutdown(server)
            assert.deepStrictEqual(yield* reader.readLineOption, Option.none())
            assert.isFalse(yield* reader.atEof)
            yield* TestClock.adjust("1 minute")
            assert.isTrue(waits(ended))
            yield* writer.write("still here\n")
            yield* writer.flush
            assert.strictEqual(client.sentText, "still here\n")
            client.pushEnd()
            yield* TestClock.adjust(0)
            assert.isTrue(yield* reader.atEof)
            assert.deepStrictEqual(yield* Fiber.join(ended), { _tag: "PeerEof" })
          })
        )
      )

      it.effect("a connection that was upgraded, before or after, is treated the same", () =>
        onFakeNetwork((network) =>
          Effect.gen(function* () {
            const { connections, server } = yield* serving({ whenDraining })
            const secrets: Array<FakeTransport> = []
            const startTls = () => Effect.sync(() => secrets[secrets.push(new FakeTransport()) - 1]!)
            Object.assign(network.accept(), { startTls })
            Object.assign(network.accept(), { startTls })
            const before = yield* connections[0]!.startTls({ side: "client" })
            const waiting = yield* run(before.reader.readLineOption)
            yield* shutdown(server)
            yield* TestClock.adjust(0)
            assert.isFalse(waits(waiting))
            assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
            const after = yield* connections[1]!.startTls({ side: "client" })
            assert.deepStrictEqual(yield* after.reader.readLineOption, Option.none())
            secrets[1]!.push("in secret\n")
            assert.deepStrictEqual(yield* asText(after.reader.readLineOption), Option.some("in secret\n"))
            for (const secret of secrets) secret.vanish()
          })
        )
      )

      it.effect("unless asked for, no read is ended", () =>
        onFakeNetwork((network) =>
          Effect.gen(function* () {
            const { connections, server } = yield* serving({})
            for (const [, next] of idleReads) {
              const client = network.accept()
              const { reader } = connections.at(-1)!
              const waiting = yield* run(next(reader))
              yield* TestClock.adjust(0)
              assert.isTrue(waits(waiting))
              client.push("12\n")
              yield* TestClock.adjust(0)
              assert.deepStrictEqual(yield* Fiber.join(waiting), Option.some("12\n"))
            }
            const client = network.accept()
            const { reader } = connections.at(-1)!
            const waiting = yield* run(reader.readLineOption)
            yield* shutdown(server)
            yield* TestClock.adjust("1 minute")
            assert.isTrue(waits(waiting))
            client.push("12\n")
            yield* TestClock.adjust(0)
            assert.deepStrictEqual(yield* asText(Fiber.join(waiting)), Option.some("12\n"))
          })
        )
      )
    })
  }

  it.effect("a read that is given up just when it is answered has lost nothing, and keeps nobody out", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const connections: Array<Connection.Connection> = []
        const server = yield* startServer({ host, port: 0, gracePeriod: 0, whenDraining }, (connection) => {
          connections.push(connection)
          return Effect.never
        })
        const client = network.accept()
        const { reader } = connections[0]!
        const waiting = yield* Effect.forkScoped(reader.readLineOption, { startImmediately: true })
        yield* shutdown(server)
        client.push("12\n")
        yield* Fiber.interrupt(waiting)
        assert.strictEqual(text(yield* reader.readLine), "12\n")
      })
    )
  )

  it.effect("a read that is answered because what it waited for was dropped leaves what comes before it runs", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const connections: Array<Connection.Connection> = []
        const options = { host, port: 0, gracePeriod: 0, limit: 4, whenDraining } as const
        const server = yield* startServer(options, (connection) => {
          connections.push(connection)
          return Effect.never
        })
        const client = network.accept()
        const { reader } = connections[0]!
        const scheduler = new SteppingScheduler({ everyStep: true })
        const waiting = scheduler.start(reader.readLineWith({ onOverrun: "discard", keepDelimiter: false }))
        client.push("1234")
        scheduler.run()
        yield* shutdown(server)
        assert.isTrue(waits(waiting))
        client.push("5678")
        client.push("9\nne")
        scheduler.run()
        assert.deepStrictEqual(waiting.pollUnsafe(), Exit.succeed(Option.none()))
        client.push("xt\n")
        assert.strictEqual(text(yield* reader.readLine), "next\n")
      })
    )
  )

  it.effect("holds on a network in memory", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0, whenDraining }, echo(idleReads[1]![1]))
        const { reader, writer } = yield* openConnection({ port: server.port })
        yield* writer.write("12\n")
        assert.strictEqual(text(yield* reader.readExactly(9)), "ready\n12\n")
        assert.deepStrictEqual(yield* server.shutdown(), { completed: 1, aborted: 0 })
        assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "bye\n")
      })
    )
  )

  it.live("is the only thing that can be asked for", () =>
    Effect.gen(function* () {
      const options = { host, port: 0, whenDraining: "endReads" } as never
      const defect = yield* defectOf(Effect.scoped(startServer(options, () => Effect.void)))
      assert.strictEqual(
        (defect as Error).message,
        'startServer: whenDraining must be one of "endIdleReads", got "endReads" (string)'
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a server that shuts down while its clients send", () => {
  it.live("answers each request that it has read, once, and says none is complete that is not", () =>
    Effect.gen(function* () {
      let served = 0
      const server = yield* startServer({ host, port: 0, gracePeriod: "1 hour", whenDraining }, ({ reader, writer }) =>
        Effect.gen(function* () {
          for (let line = yield* reader.readLineOption; Option.isSome(line); line = yield* reader.readLineOption) {
            served++
            yield* writer.write(line.value)
          }
        })
      )
      const counts = yield* Effect.all(
        Array.from({ length: 8 }, (_, client) =>
          Effect.gen(function* () {
            const { reader, writer } = yield* openConnection({ host, port: server.port })
            for (let i = 0; ; i++) {
              const sent = `${client} ${i}\n`
              yield* writer.write(bytes(sent))
              const answer = yield* reader.readLineOption
              if (Option.isNone(answer)) return i
              assert.strictEqual(text(answer.value), sent)
              if (client === 0 && i === 200) yield* Effect.forkScoped(server.shutdown(), { startImmediately: true })
            }
          }).pipe(
            // what was sent behind the end is unread, and the system says so with a reset
            Effect.catchTags({
              ConnectionLost: () => Effect.succeed(undefined),
              ClosedStream: () => Effect.succeed(undefined)
            })
          )
        ),
        { concurrency: "unbounded" }
      )
      yield* within("the server ends", server.awaitShutdown, 5000)
      assert.isAbove(served, 200)
      yield* eventuallyEffect(
        "nobody is served",
        Effect.map(server.connections, (count) => count === 0)
      )
      if (!counts.includes(undefined))
        assert.strictEqual(
          counts.reduce<number>((sum, count) => sum + count!, 0),
          served
        )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
