/**
 * Once a close has begun, only an explicit abort, `closeTimeout` and the grace period cut it short: no exit of a handler
 * or of a scope does. Everything accepted arrives, then the end, on every network.
 */
import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import {
  type Connection,
  NodeNetwork,
  openConnection,
  type Server,
  startServer,
  StreamError,
  StreamReader,
  StreamWriter
} from "effect-byte-streams"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { everywhere } from "../support/servers.ts"
import { eventually, eventuallyEffect, within } from "../support/wait.ts"

/** More than a system takes in one turn. */
const large = pattern(12_000_000)

type Handler = (connection: Connection.Connection) => Effect.Effect<unknown, unknown>

/** What a handler is in the middle of, behind what it has written, when another fiber closes its connection. */
const busy: ReadonlyArray<{ readonly busy: string; readonly handler: Handler }> = [
  { busy: "loops on readLine", handler: ({ reader }) => Effect.forever(reader.readLine) },
  {
    busy: "passes a stream to a sink",
    handler: ({ reader, writer }) => StreamReader.stream(reader).pipe(Stream.run(StreamWriter.sink(writer)))
  },
  { busy: "reads lines as a stream", handler: ({ reader }) => Stream.runDrain(StreamReader.lines(reader)) },
  { busy: "waits in write", handler: ({ writer }) => writer.write("there is no room for it") },
  { busy: "waits in drain", handler: ({ writer }) => writer.drain },
  {
    busy: "reads in one fiber and writes in another",
    handler: ({ reader, writer }) =>
      Effect.all([Effect.forever(reader.readLine), writer.write("there is no room for it")], {
        concurrency: "unbounded"
      })
  },
  { busy: "turns its failures into defects", handler: ({ reader }) => Effect.orDie(reader.readLine) }
]

/** Everything up to the end, and nothing else: a loss fails. */
const readAll = (reader: StreamReader.StreamReader) =>
  within("everything, and the end", reader.readAll({ maxBytes: "unbounded" }), 12_000)

for (const { kind, network, serve } of everywhere) {
  /** A server whose connections are in the test's hands, while its handlers are busy. */
  const serving = (handler: Handler, options?: Parameters<typeof serve>[1]) =>
    Effect.gen(function* () {
      const connections: Array<Connection.Connection> = []
      const told: Array<Server.HandlerFailure> = []
      const served = yield* serve(
        (connection) => {
          connections.push(connection)
          return handler(connection)
        },
        { onHandlerError: (failure) => Effect.sync(() => void told.push(failure)), ...options }
      )
      const accept = (index: number) => eventually("the server accepts a client", () => connections[index])
      const left = eventuallyEffect(
        "nobody is served any more",
        Effect.map(served.server.connections, (count) => count === 0)
      )
      return { ...served, accept, told, left }
    })

  describe(`a close that has begun: ${kind}`, () => {
    for (const { busy: how, handler } of busy) {
      it.live(`goes on when the handler fails that ${how}`, () =>
        Effect.gen(function* () {
          const { accept, client, left, told } = yield* serving((connection) => {
            connection.writer.writeUnsafe(large)
            return handler(connection)
          })
          const { reader } = yield* client()
          const { writer } = yield* accept(0)
          const closing = yield* Effect.forkChild(writer.close, { startImmediately: true })
          assertBytes(yield* readAll(reader), large)
          assert.deepStrictEqual(yield* within("the close", Fiber.join(closing)), { _tag: "Graceful" })
          yield* left
          assert.deepStrictEqual(told, [])
        }).pipe(Effect.provide(network))
      )
    }

    it.live("goes on for each client of closeClients", () =>
      Effect.gen(function* () {
        const { accept, client, left, server, told } = yield* serving(({ reader }) => Effect.forever(reader.readLine))
        const readers: Array<StreamReader.StreamReader> = []
        for (let i = 0; i < 3; i++) {
          readers.push((yield* client()).reader)
          const { writer } = yield* accept(i)
          writer.writeUnsafe(large)
          writer.writeUnsafe(`kicked ${i}\n`)
        }
        const closing = yield* Effect.forkChild(server.closeClients, { startImmediately: true })
        for (const [i, reader] of readers.entries()) {
          assertBytes(yield* readAll(reader), Buffer.concat([large, Buffer.from(`kicked ${i}\n`)]))
        }
        yield* within("closeClients", Fiber.join(closing))
        yield* left
        assert.deepStrictEqual(told, [])
      }).pipe(Effect.provide(network))
    )

    it.live("goes on when what the handler does about it fails, and that is told", () =>
      Effect.gen(function* () {
        class Refusal extends Data.TaggedError("Refusal") {}
        const { accept, client, left, told } = yield* serving(({ reader }) =>
          Effect.catch(reader.readLine, () => Effect.fail(new Refusal()))
        )
        const { reader } = yield* client()
        const { writer } = yield* accept(0)
        writer.writeUnsafe(large)
        yield* Effect.forkChild(writer.close, { startImmediately: true })
        assertBytes(yield* readAll(reader), large)
        yield* left
        yield* eventually("the failure is told", () => told.length > 0)
        assert.deepStrictEqual(
          told.map(({ cause }) => cause.reasons.map((reason) => reason._tag === "Fail" && reason.error)),
          [[new Refusal()]]
        )
      }).pipe(Effect.provide(network))
    )

    it.live("goes on when the handler is interrupted", () =>
      Effect.gen(function* () {
        const fiber = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
        const { accept, client, left } = yield* serving(() =>
          Effect.andThen(
            Effect.withFiber((own) => Deferred.succeed(fiber, own)),
            Effect.never
          )
        )
        const { reader } = yield* client()
        const { writer } = yield* accept(0)
        writer.writeUnsafe(large)
        const closing = yield* Effect.forkChild(writer.close, { startImmediately: true })
        yield* Effect.forkChild(Fiber.interrupt(yield* Deferred.await(fiber)))
        assertBytes(yield* readAll(reader), large)
        assert.deepStrictEqual(yield* within("the close", Fiber.join(closing)), { _tag: "Graceful" })
        yield* left
      }).pipe(Effect.provide(network))
    )

    for (const [how, last] of [
      ["reads on", ({ reader }: Connection.Connection) => reader.readLine],
      ["fails", () => Effect.fail("the program's failure")],
      ["dies", () => Effect.die("the program's defect")],
      ["is interrupted", () => Effect.interrupt]
    ] as const) {
      it.live(`goes on when the client's scope ends because its program ${how}`, () =>
        Effect.gen(function* () {
          const received = yield* Deferred.make<Uint8Array, StreamError.ReadError | StreamError.LimitOverrun>()
          const { client } = yield* serving(({ reader }) => Deferred.into(readAll(reader), received))
          const exit = yield* Effect.gen(function* () {
            const connection = yield* client()
            const { writer } = connection
            writer.writeUnsafe(large)
            writer.writeUnsafe("bye\n")
            yield* Effect.forkDetach(writer.close, { startImmediately: true })
            return yield* last(connection)
          }).pipe(Effect.scoped, Effect.exit, (program) => within("the scope's end", program, 12_000))
          assert.isTrue(Exit.isFailure(exit))
          const bytes = yield* within("what arrives", Deferred.await(received), 12_000)
          assertBytes(bytes, Buffer.concat([large, Buffer.from("bye\n")]))
        }).pipe(Effect.provide(network))
      )
    }

    it.live("is cut short by an explicit abort", () =>
      Effect.gen(function* () {
        const { accept, client, left, told } = yield* serving(({ reader }) => Effect.forever(reader.readLine))
        yield* client()
        const { abort, writer } = yield* accept(0)
        writer.writeUnsafe(large)
        const closing = yield* Effect.forkChild(writer.close, { startImmediately: true })
        yield* abort
        assert.strictEqual((yield* within("the close", Fiber.join(closing)))._tag, "Aborted")
        yield* left
        assert.deepStrictEqual(told, [])
      }).pipe(Effect.provide(network))
    )

    it.live("is cut short by a handler that aborts when it wakes to it", () =>
      Effect.gen(function* () {
        const { accept, client, left } = yield* serving(({ abort, reader }) =>
          Effect.catch(reader.readLine, () => abort)
        )
        yield* client()
        const { writer } = yield* accept(0)
        writer.writeUnsafe(large)
        const outcome = yield* within("the close", writer.close)
        assert.strictEqual(outcome._tag, "Aborted")
        assert.deepStrictEqual(yield* writer.close, outcome)
        yield* left
      }).pipe(Effect.provide(network))
    )

    it.live("is cut short by closeTimeout", () =>
      Effect.gen(function* () {
        const { accept, client, left } = yield* serving(({ reader }) => Effect.forever(reader.readLine), {
          closeTimeout: "100 millis"
        })
        yield* client()
        const { writer } = yield* accept(0)
        writer.writeUnsafe(large)
        assert.strictEqual((yield* within("the close", writer.close))._tag, "TimedOut")
        yield* left
      }).pipe(Effect.provide(network))
    )

    it.live("is cut short by the grace period", () =>
      Effect.gen(function* () {
        const { accept, client, server } = yield* serving(({ reader }) => Effect.forever(reader.readLine), {
          closeTimeout: "1 minute"
        })
        yield* client()
        const { writer } = yield* accept(0)
        writer.writeUnsafe(large)
        const closing = yield* Effect.forkChild(writer.close, { startImmediately: true })
        const report = yield* within("the shutdown", server.shutdown({ gracePeriod: "100 millis" }))
        assert.deepStrictEqual(report, { completed: 0, aborted: 1 })
        assert.strictEqual((yield* within("the close", Fiber.join(closing)))._tag, "Aborted")
      }).pipe(Effect.provide(network))
    )
  })

  describe(`a handler whose streams this side has closed: ${kind}`, () => {
    const failing: Handler = ({ reader }) => reader.readLine

    it.live("is not told to onHandlerError, closed or aborted", () =>
      Effect.gen(function* () {
        const { accept, client, left, server, told } = yield* serving(failing)
        for (const [index, end] of [server.closeClients, server.abortClients].entries()) {
          yield* client()
          yield* accept(index)
          yield* end
          yield* left
        }
        assert.deepStrictEqual(told, [])
      }).pipe(Effect.provide(network))
    )

    it.live("is told where it is another connection's, and this one is open", () =>
      Effect.gen(function* () {
        const others = yield* serving(() => Effect.never)
        const { accept, client, left, told } = yield* serving(() =>
          Effect.scoped(
            Effect.gen(function* () {
              const { reader, writer } = yield* others.client()
              yield* writer.close
              return yield* reader.readLine
            }).pipe(Effect.provide(network))
          )
        )
        yield* client()
        yield* accept(0)
        yield* left
        yield* eventually("the failure is told", () => told.length > 0)
        const [failure] = told[0]!.cause.reasons
        assert(failure?._tag === "Fail" && failure.error instanceof StreamError.ClosedStream)
        yield* others.server.shutdown({ gracePeriod: 0 })
      }).pipe(Effect.provide(network))
    )
  })
}

describe("a close that has begun, of a connection that was made by startTls", () => {
  it.live("goes on when the handler fails whose scope owns it", () =>
    Effect.gen(function* () {
      const secured = yield* Deferred.make<Connection.Connection>()
      const told: Array<Server.HandlerFailure> = []
      const server = yield* startServer(
        {
          host: "127.0.0.1",
          port: 0,
          onHandlerError: (failure) => Effect.sync(() => void told.push(failure))
        },
        (plain) =>
          Effect.gen(function* () {
            const connection = yield* plain.startTls({ side: "server", identity: certificates.server.identity })
            yield* Deferred.succeed(secured, connection)
            return yield* connection.reader.readLine
          })
      )
      const plain = yield* openConnection({ host: "127.0.0.1", port: server.port })
      const { reader } = yield* plain.startTls({ side: "client", ca: authority.cert, serverName: "localhost" })
      const { writer } = yield* within("the handshake", Deferred.await(secured))
      writer.writeUnsafe(large)
      const closing = yield* Effect.forkChild(server.closeClients, { startImmediately: true })
      assertBytes(yield* readAll(reader), large)
      yield* within("closeClients", Fiber.join(closing))
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assert.deepStrictEqual(told, [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("goes on when the scope fails in which it was made", () =>
    Effect.gen(function* () {
      const received = yield* Deferred.make<Uint8Array, StreamError.ReadError | StreamError.LimitOverrun>()
      const server = yield* startServer({ host: "127.0.0.1", port: 0 }, (plain) =>
        Effect.flatMap(plain.startTls({ side: "server", identity: certificates.server.identity }), ({ reader }) =>
          Deferred.into(readAll(reader), received)
        )
      )
      const plain = yield* openConnection({ host: "127.0.0.1", port: server.port })
      const scope = yield* Scope.make()
      const asClient = { side: "client", ca: authority.cert, serverName: "localhost" } as const
      const { writer } = yield* Scope.provide(plain.startTls(asClient), scope)
      writer.writeUnsafe(large)
      const closing = yield* Effect.forkChild(writer.close, { startImmediately: true })
      yield* within("the scope's end", Scope.close(scope, Exit.fail("failed")), 12_000)
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Graceful" })
      assertBytes(yield* within("what arrives", Deferred.await(received), 12_000), large)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
