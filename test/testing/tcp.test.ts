/**
 * TCP in memory is that of the system: each program here runs over both, and what it sees is the same.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, type Scope } from "effect"
import { type Connection, type Network, openConnection, startServer } from "effect-byte-streams"
import { overBoth } from "../support/overBoth.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

/** Two ends of a connection. */
type Program<A> = (
  client: Connection.Connection,
  server: Connection.Connection
) => Effect.Effect<A, unknown, Network.Network | Scope.Scope>

const overBothEnds = <A>(what: string, program: Program<A>, expected: A, options?: Connection.Options) =>
  overBoth(
    what,
    Effect.gen(function* () {
      const accepted = yield* Deferred.make<Connection.Connection>()
      const { port } = yield* startServer({ host: "127.0.0.1", port: 0, gracePeriod: 0 }, (connection) =>
        Effect.andThen(Deferred.succeed(accepted, connection), Effect.never)
      )
      const client = yield* openConnection({ host: "127.0.0.1", port, ...options })
      const server = yield* within("it is accepted", Deferred.await(accepted))
      return yield* program(client, server)
    }),
    expected
  )

/** What became of something, in a word and a code. */
const said = (effect: Effect.Effect<unknown, unknown>): Effect.Effect<string> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return "done"
    const { _tag, code, kind } = Cause.squash(exit.cause) as Record<"_tag" | "kind" | "code", string>
    return [_tag, kind, code].filter((word) => word !== undefined).join(" ")
  })

/** One end has ended its output, which was read, and then aborts. */
const endedAndAborted = (one: Connection.Connection, other: Connection.Connection) =>
  Effect.gen(function* () {
    yield* one.writer.writeEof
    assert.strictEqual((yield* other.reader.read(1)).length, 0)
    yield* one.abort
  })

describe("a reset behind an end that was read", () => {
  overBothEnds(
    "is not noticed by one that has nothing to send",
    Effect.fnUntraced(function* (client, server) {
      yield* endedAndAborted(server, client)
      yield* turns(20)
      const { closed, reader, writer } = client
      const flushing = yield* said(Effect.andThen(writer.drain, writer.flush))
      return [
        flushing,
        yield* said(reader.read(1)),
        yield* said(writer.writeEof),
        (yield* closed)._tag,
        (yield* writer.close)._tag
      ]
    }),
    ["done", "done", "done", "PeerEof", "Graceful"]
  )

  overBothEnds(
    "is a broken pipe for what is sent",
    Effect.fnUntraced(function* (client, server) {
      yield* endedAndAborted(server, client)
      const { closed, reader, writer } = client
      const write = yield* said(Effect.forever(Effect.andThen(writer.write("anyone?"), Effect.sleep(1))))
      return [
        write,
        yield* said(writer.flush),
        yield* said(reader.read(1)),
        (yield* closed)._tag,
        (yield* writer.close)._tag
      ]
    }),
    ["ConnectionLost BrokenPipe EPIPE", "ConnectionLost BrokenPipe EPIPE", "done", "PeerEof", "Reset"]
  )

  overBothEnds(
    "is a broken pipe for a write that waits",
    Effect.fnUntraced(function* (client, server) {
      yield* server.writer.writeEof
      assert.strictEqual((yield* client.reader.read(1)).length, 0)
      const writing = yield* Effect.forkChild(said(Effect.forever(client.writer.write(new Uint8Array(65_536)))))
      yield* eventuallyEffect(
        "the peer takes no more",
        Effect.map(client.writer.buffered, (buffered) => buffered > client.writer.highWaterMark)
      )
      yield* server.abort
      return yield* Fiber.join(writing)
    }),
    "ConnectionLost BrokenPipe EPIPE"
  )
})

describe("a reader that has paused", () => {
  /** The client has more than it wants, and nothing more is on its way. */
  const full = (client: Connection.Connection, server: Connection.Connection) =>
    Effect.andThen(
      server.writer.write(new Uint8Array(100)),
      eventuallyEffect(
        "the client has more than it wants",
        Effect.map(client.reader.buffered, (buffered) => buffered === 100)
      )
    )

  overBothEnds(
    "hears of an end with nothing in front of it",
    Effect.fnUntraced(function* (client, server) {
      yield* full(client, server)
      yield* server.writer.writeEof
      const { _tag } = yield* within("the client hears of the end", client.closed)
      return [_tag, (yield* client.reader.read(1000)).length, (yield* client.reader.read(1000)).length]
    }),
    ["PeerEof", 100, 0],
    { limit: 16 }
  )
})
