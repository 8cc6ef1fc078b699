/**
 * Unix sockets in memory are those of the system: each program here runs over both, and what its clients see is the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import {
  type Connection,
  type Network,
  openConnection,
  openUnixConnection,
  startServer,
  startUnixServer
} from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { overBoth } from "../support/overBoth.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"

type Program<A> = (path: string) => Effect.Effect<A, unknown, Network.Network | Scope.Scope>

const overBothAt = <A>(what: string, program: Program<A>, expected: A) =>
  overBoth(what, Effect.flatMap(socketPath(), program), expected)

/** What became of something, in a word and a code. */
const said = <A>(effect: Effect.Effect<A, unknown, never>): Effect.Effect<string> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return exit.value instanceof Uint8Array ? `"${text(exit.value)}"` : String(exit.value)
    const { _tag, code, kind } = Cause.squash(exit.cause) as Record<"_tag" | "kind" | "code", string>
    return [_tag, kind, code].filter((word) => word !== undefined).join(" ")
  })

/** What the peer of one that has ended its side sees, in the order in which it can. */
const seenBy = ({ closed, reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    const reads = [yield* said(reader.read(100)), yield* said(reader.read(100))]
    const { _tag } = yield* closed
    const writing = Effect.forever(Effect.andThen(writer.write("anyone?"), Effect.sleep(1)))
    const write = yield* said(writing)
    return { reads, closed: _tag, write, again: yield* said(reader.read(100)), close: (yield* writer.close)._tag }
  })

const cleanEnd = {
  reads: ['"hi"', '""'],
  closed: "PeerEof",
  write: "ConnectionLost BrokenPipe EPIPE",
  again: '""',
  close: "Reset"
}

const reset = {
  reads: ['"hi"', "ConnectionLost Reset ECONNRESET"],
  closed: "Lost",
  write: "ConnectionLost Reset ECONNRESET",
  again: "ConnectionLost Reset ECONNRESET",
  close: "Reset"
}

/** A client whose server says hi, and then does something. */
const greeted = (
  path: string,
  then: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
  options?: Parameters<typeof startUnixServer>[2]
) =>
  Effect.gen(function* () {
    const go = yield* Deferred.make<void>()
    const server = yield* Deferred.make<Connection.Connection>()
    yield* startUnixServer(
      path,
      (connection) =>
        Effect.gen(function* () {
          yield* Deferred.succeed(server, connection)
          yield* connection.writer.write("hi")
          yield* connection.writer.flush
          yield* Deferred.await(go)
          return yield* then(connection)
        }),
      { gracePeriod: 0, onHandlerError: () => Effect.void, ...options }
    )
    return { client: yield* openUnixConnection(path), server, go: Deferred.succeed(go, undefined) }
  })

const afterwards = (
  then: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
  options?: Parameters<typeof startUnixServer>[2]
): Program<typeof cleanEnd> =>
  Effect.fnUntraced(function* (path) {
    const { client, go } = yield* greeted(path, then, options)
    yield* go
    return yield* seenBy(client)
  })

overBothAt(
  "nothing is taken for a peer that has gone: the first flush fails, and what was written is unsent",
  Effect.fnUntraced(function* (path) {
    const { client, go } = yield* greeted(path, ({ abort }) => abort)
    yield* go
    assert.strictEqual(yield* said(client.reader.read(100)), '"hi"')
    assert.strictEqual(yield* said(client.reader.read(100)), '""')
    yield* client.writer.write("anyone?")
    return [yield* said(client.writer.flush), yield* client.writer.buffered, (yield* client.writer.close)._tag]
  }),
  ["ConnectionLost BrokenPipe EPIPE", 7, "Reset"]
)

overBothAt(
  "what was refused for a peer that has gone is unsent for an abort, though nothing is held",
  Effect.fnUntraced(function* (path) {
    const { client, go } = yield* greeted(path, ({ abort }) => abort)
    yield* go
    assert.strictEqual(yield* said(client.reader.read(100)), '"hi"')
    assert.strictEqual(yield* said(client.reader.read(100)), '""')
    yield* client.writer.write("anyone?")
    const flushed = yield* said(client.writer.flush)
    yield* client.writer.abort
    return [flushed, yield* client.writer.close]
  }),
  ["ConnectionLost BrokenPipe EPIPE", { _tag: "Aborted", unsent: 7 }]
)

/** Over TLS that may end: what the client goes on with, once the server has said that TLS ends, and is gone. */
const leftWhileStopping =
  (lastWords: string): Program<Omit<typeof cleanEnd, "closed">> =>
  (path) =>
    Effect.gen(function* () {
      const served = yield* Deferred.make<Connection.Connection>()
      const server = { identity: certificates.server.identity, stoppable: true }
      yield* startUnixServer(path, (connection) => Effect.andThen(Deferred.succeed(served, connection), Effect.never), {
        tls: server,
        gracePeriod: 0
      })
      const client = { ca: authority.cert, serverName: "localhost", stoppable: true }
      const connection = yield* openConnection({ path, tls: client })
      const peer = yield* Deferred.await(served)
      yield* peer.writer.write(lastWords)
      const stopping = yield* Effect.forkChild(peer.stopTls, { startImmediately: true })
      yield* connection.closed
      yield* Fiber.interrupt(stopping)
      // it may hear first that its own last word of TLS cannot be sent, or of the end
      const { closed: _, ...seen } = yield* seenBy(yield* connection.stopTls)
      return seen
    })

for (const [what, lastWords] of [
  ["nothing", ""],
  ["its last words", "so long"]
] as const) {
  const { closed: _, ...end } = cleanEnd
  overBothAt(
    `a peer that is gone while TLS ends leaves ${what}, and then an end, and takes nothing more`,
    leftWhileStopping(lastWords),
    { ...end, reads: [`"${lastWords}"`, '""'] }
  )
}

overBothAt(
  "the peer of one that aborts sees a clean end",
  afterwards(({ abort }) => abort),
  cleanEnd
)

overBothAt(
  "and so does that of a handler that fails",
  afterwards(() => Effect.fail("it failed")),
  cleanEnd
)

overBothAt(
  "and of one whose connection has timed out",
  afterwards(({ reader }) => reader.readLine, { timeouts: { idle: 30 } }),
  cleanEnd
)

overBothAt(
  "and of one that aborts in the middle of what it sends: what the system has taken, and the end",
  Effect.fnUntraced(function* (path) {
    const aborted = yield* Deferred.make<void>()
    const { client, go } = yield* greeted(path, ({ abort, writer }) => {
      // more than there is room for while nobody reads
      writer.writeUnsafe(new Uint8Array(3_000_000))
      return Effect.andThen(abort, Deferred.succeed(aborted, undefined))
    })
    yield* go
    yield* Deferred.await(aborted)
    const arrived = yield* client.reader.readAll({ maxBytes: "unbounded" })
    return arrived.length > 2 && arrived.length < 3_000_000 && arrived.subarray(2).every((byte) => byte === 0)
  }),
  true
)

overBothAt(
  "a server sees a clean end of a client that aborts, and of one whose scope fails",
  Effect.fnUntraced(function* (path) {
    const seen: Array<unknown> = []
    yield* startUnixServer(path, (connection) =>
      Effect.flatMap(seenBy(connection), (what) => Effect.sync(() => seen.push(what)))
    )
    const aborting = yield* openUnixConnection(path)
    yield* aborting.writer.write("hi")
    yield* aborting.writer.flush
    yield* aborting.abort
    yield* Effect.exit(
      Effect.scoped(
        Effect.gen(function* () {
          const { writer } = yield* openUnixConnection(path)
          yield* writer.write("hi")
          yield* writer.flush
          return yield* Effect.fail("it failed")
        })
      )
    )
    yield* eventually("both have ended", () => seen.length === 2)
    return seen
  }),
  [cleanEnd, cleanEnd]
)

overBothAt(
  "who had sent something that was not read sees a reset",
  Effect.fnUntraced(function* (path) {
    const { client, go, server } = yield* greeted(path, ({ abort }) => abort, { limit: 16 })
    const say = Effect.andThen(client.writer.write("12345".repeat(20)), client.writer.flush)
    yield* say
    const { reader } = yield* Deferred.await(server)
    yield* eventuallyEffect(
      "the other side has more than it wants",
      Effect.map(reader.buffered, (buffered) => buffered === 100)
    )
    yield* say
    yield* go
    return yield* seenBy(client)
  }),
  reset
)

overBothAt(
  "over TLS an abort is told from the end",
  Effect.fnUntraced(function* (path) {
    const { identity } = certificates.server
    yield* startServer(
      { path, gracePeriod: 0, onHandlerError: () => Effect.void, tls: { identity } },
      Effect.fnUntraced(function* ({ abort, reader, writer }) {
        yield* writer.write("hi")
        yield* writer.flush
        yield* reader.readLine
        yield* abort
      })
    )
    const { reader, writer } = yield* openConnection({ path, tls: { ca: authority.cert, serverName: "localhost" } })
    const first = yield* said(reader.read(100))
    yield* writer.write("go\n")
    return [first, yield* said(reader.read(100))]
  }),
  ['"hi"', "TlsFailed Truncated"]
)

overBothAt(
  "nobody is met at a path: why is the same",
  Effect.fnUntraced(function* (path) {
    const connecting = Effect.fnUntraced(function* (path: string) {
      const failed = yield* Effect.flip(openUnixConnection(path))
      return [failed.kind, ...failed.attempts.map(({ code, kind }) => `${kind} ${code}`)].join(" ")
    })
    const listening = Effect.fnUntraced(function* (path: string) {
      const { code, kind } = yield* Effect.flip(startUnixServer(path, () => Effect.void))
      return `${kind} ${code}`
    })
    const abstract = `\0${path}`
    const server = yield* Scope.make()
    const on = (where: string, options?: { readonly cleanupSocket?: boolean }) =>
      Scope.provide(
        startUnixServer(where, () => Effect.void, options),
        server
      )
    const before = [yield* connecting(path), yield* connecting(abstract)]
    yield* on(path)
    yield* on(`${path}.stays`, { cleanupSocket: false })
    yield* on(abstract)
    const during = [
      yield* listening(path),
      yield* listening(abstract),
      yield* connecting(`${path}/below`),
      yield* listening(`${path}/below`),
      yield* connecting(`${path}/`),
      yield* connecting(`${abstract}/below`),
      yield* connecting(path.padEnd(109, "x")),
      yield* listening(path.padEnd(109, "x")),
      yield* listening(path.padEnd(99, "日"))
    ]
    yield* Scope.close(server, Exit.void)
    const after = [
      yield* connecting(path),
      yield* connecting(`${path}.stays`),
      yield* connecting(`${path}.stays/below`),
      yield* connecting(abstract)
    ]
    // a path that was left behind is free
    yield* startUnixServer(`${path}.stays`, ({ writer }) => writer.write("again"))
    const { reader } = yield* openUnixConnection(`${path}.stays`)
    return { before, during, after, again: text(yield* reader.read(100)) }
  }),
  {
    before: ["NotFound NotFound ENOENT", "Refused Refused ECONNREFUSED"],
    during: [
      "AddressInUse EADDRINUSE",
      "AddressInUse EADDRINUSE",
      "NotADirectory NotADirectory ENOTDIR",
      "NotADirectory ENOTDIR",
      "NotADirectory NotADirectory ENOTDIR",
      "Refused Refused ECONNREFUSED",
      "PathTooLong PathTooLong ENAMETOOLONG",
      "PathTooLong ENAMETOOLONG",
      "PathTooLong ENAMETOOLONG"
    ],
    after: [
      "NotFound NotFound ENOENT",
      "Refused Refused ECONNREFUSED",
      "NotADirectory NotADirectory ENOTDIR",
      "Refused Refused ECONNREFUSED"
    ],
    again: "again"
  }
)

describe("in memory alone", () => {
  it.effect("a queue that stays full: Timeout, with the code EAGAIN", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const path = "/run/full"
        yield* startUnixServer(path, () => Effect.void, { backlog: 1 })
        yield* openUnixConnection(path)
        const failed = yield* Effect.flip(openUnixConnection(path, { connectTimeout: "20 seconds" }))
        assert.strictEqual(failed.kind, "Timeout")
        assert.deepStrictEqual(
          failed.attempts.map(({ code, kind }) => ({ code, kind })),
          [{ code: "EAGAIN", kind: "Timeout" }]
        )
        // there is room a minute after the first
        const { reader } = yield* openUnixConnection(path, { connectTimeout: "1 minute" })
        assert.strictEqual(text(yield* reader.read(1)), "")
      }),
      { faults: [Faults.acceptError({ connection: 1, code: "EMFILE", retryAfter: 60_000 })] }
    )
  )

  it.effect("who was not accepted when the server went sees a reset", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const path = "/run/gone"
        const server = yield* Scope.make()
        yield* Scope.provide(
          startUnixServer(path, () => Effect.void),
          server
        )
        const { reader } = yield* openUnixConnection(path)
        yield* Scope.close(server, Exit.void)
        assert.strictEqual(yield* said(reader.read(1)), "ConnectionLost Reset ECONNRESET")
      }),
      { faults: [Faults.acceptError({ connection: 1, code: "EMFILE", retryAfter: 60_000 })] }
    )
  )

  it.effect("what can be no path dies, as over the system's sockets", () =>
    Effect.gen(function* () {
      for (const use of [openUnixConnection(""), startUnixServer("", () => Effect.void)]) {
        const exit = yield* Effect.exit(
          Effect.scoped(use as Effect.Effect<unknown, unknown, Network.Network | Scope.Scope>)
        )
        assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "path must be")
      }
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
