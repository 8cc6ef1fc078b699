/** The order of events that an observer is told of, over every transport and for every way in which a connection ends. */
import { assert, describe, it } from "@effect/vitest"
import {
  type Connection,
  type Network,
  NodeNetwork,
  openConnection,
  type Server,
  startServer,
  type StreamError,
  type StreamReader
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Fiber, Layer, type Scope } from "effect"
import { pattern } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { fakeOfScope } from "../support/fakeTransport.ts"
import { faultsOf, Recording } from "../support/observing.ts"
import { socketPath } from "../support/temporary.ts"
import { tlsWays } from "../support/tlsWays.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"

type Handler = (connection: Connection.Connection) => Effect.Effect<unknown, unknown>
type Options = Connection.Options & Partial<Server.Options>

interface Way {
  readonly way: string
  readonly tls: boolean
  /** Whether an abort looks like an end to the peer. */
  readonly unix: boolean
  readonly memory: boolean
  readonly run: <E>(program: Effect.Effect<void, E, Network.Network | Scope.Scope>) => Effect.Effect<void, unknown>
  readonly serve: (
    handler: Handler,
    options?: Options
  ) => Effect.Effect<
    {
      readonly server: Server.Server
      readonly connect: (
        options?: Connection.Options
      ) => Effect.Effect<
        Connection.Connection,
        StreamError.ConnectFailed | StreamError.TlsFailed,
        Network.Network | Scope.Scope
      >
    },
    StreamError.ListenFailed,
    Network.Network | Scope.Scope
  >
}

const host = "127.0.0.1"
const quiet = { onHandlerError: () => Effect.void, gracePeriod: 0 }

const way = (name: string, memory: boolean, tls: "none" | "direct" | "detour", unix = false): Way => ({
  way: name,
  tls: tls !== "none",
  unix,
  memory,
  run: (program) =>
    memory
      ? TestNetwork.simulate(program as Effect.Effect<void, unknown, Network.Network | Scope.Scope>)
      : Effect.scoped(Effect.provide(program, NodeNetwork.layer)),
  serve: (handler, options) =>
    Effect.gen(function* () {
      const stoppable = tls === "detour"
      const at = unix ? { path: memory ? "/a/socket" : yield* socketPath() } : { host, port: 0 }
      const server = yield* startServer(
        {
          ...at,
          ...quiet,
          ...options,
          ...(tls === "none" ? undefined : { tls: { identity: certificates.server.identity, stoppable } })
        } as Server.Options,
        handler
      )
      return {
        server,
        connect: (options) =>
          openConnection({
            ...(unix ? at : { host, port: server.port }),
            ...options,
            ...(tls === "none" ? undefined : { tls: { ca: authority.cert, serverName: "localhost", stoppable } })
          } as Connection.OpenOptions)
      }
    })
})

const ways: ReadonlyArray<Way> = [
  way("TCP", false, "none"),
  way("a Unix socket", false, "none", true),
  way("TLS", false, "direct"),
  way("TLS with a way back", false, "detour"),
  way("memory", true, "none"),
  way("a Unix socket in memory", true, "none", true),
  way("TLS in memory", true, "direct")
]

interface Scenario {
  readonly title: string
  readonly handler: Handler
  /** Whether the handler ends with its server only. */
  readonly endless?: boolean
  /** Runs in the scope of the connection. */
  readonly client: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>
  readonly options?: { readonly client?: Connection.Options; readonly server?: Connection.Options }
  /** Behind `Opened`. Left out, where others decide. */
  readonly told: (way: Way) => {
    readonly client?: ReadonlyArray<string>
    readonly server?: ReadonlyArray<string>
  }
}

/** Until more than so many bytes lie unread. */
const holds = ({ buffered }: StreamReader.StreamReader, bytes: number) =>
  eventuallyEffect(
    `more than ${bytes} bytes lie unread`,
    Effect.map(buffered, (size) => size > bytes)
  )

const readAll = ({ reader }: Connection.Connection) => reader.readAll({ maxBytes: 10_000_000 })
const closing = ["Closing", "Closed Graceful"]
const ended = ["Ended", ...closing]
const lost = ["Failed ConnectionLost", "Closed Reset"]
/** What a side that reads is told of a peer that aborts. */
const aborted = ({ unix }: Way) => (unix ? ended : lost)

const timedOut = (kind: string) => [`TimedOut ${kind}`, "Failed StreamTimeout", "Closed TimedOut"]

/** Reads to the end, whatever that is. */
const untilGone: Handler = (connection) => Effect.exit(readAll(connection))

const bulk = pattern(16_000_000)
/** More than systems keep on the way. */
const tooMuch = pattern(20_000_000)

const scenarios: ReadonlyArray<Scenario> = [
  {
    title: "the client closes",
    handler: readAll,
    client: ({ writer }) => Effect.andThen(writer.write("hello"), writer.close),
    told: () => ({ client: closing, server: ended })
  },
  {
    title: "the server's handler ends",
    handler: ({ writer }) => writer.write("hello"),
    client: readAll,
    told: () => ({ client: ended, server: closing })
  },
  {
    title: "the client's scope succeeds",
    handler: readAll,
    client: () => Effect.void,
    told: () => ({ client: closing, server: ended })
  },
  {
    title: "each side ends its output, and then closes",
    handler: (connection) =>
      Effect.andThen(readAll(connection), Effect.andThen(connection.writer.write("bye"), connection.writer.writeEof)),
    client: (connection) => Effect.andThen(connection.writer.writeEof, readAll(connection)),
    told: () => ({ client: ended, server: ended })
  },
  {
    title: "the client aborts",
    handler: untilGone,
    client: ({ abort }) => abort,
    told: (way) => ({ client: ["Closed Aborted"], server: aborted(way) })
  },
  {
    title: "the client's scope fails",
    handler: untilGone,
    client: () => Effect.fail("no"),
    told: (way) => ({ client: ["Closed Aborted"], server: aborted(way) })
  },
  {
    title: "the handler fails",
    handler: ({ reader }) => Effect.andThen(reader.readLine, Effect.fail("no")),
    client: (connection) => Effect.andThen(connection.writer.write("on\n"), untilGone(connection)),
    told: (way) => ({ client: aborted(way), server: ["Closed Aborted"] })
  },
  {
    title: "the handler dies",
    handler: ({ reader }) => Effect.andThen(reader.readLine, Effect.die("no")),
    client: (connection) => Effect.andThen(connection.writer.write("on\n"), untilGone(connection)),
    told: (way) => ({ client: aborted(way), server: ["Closed Aborted"] })
  },
  {
    title: "idle strikes",
    handler: untilGone,
    client: untilGone,
    options: { client: { timeouts: { idle: 30 } } },
    told: (way) => ({ client: timedOut("Idle"), server: aborted(way) })
  },
  {
    title: "total strikes",
    handler: untilGone,
    client: untilGone,
    options: { client: { timeouts: { total: 30 } } },
    told: (way) => ({ client: timedOut("Total"), server: aborted(way) })
  },
  {
    title: "minRate strikes",
    handler: (connection) => Effect.andThen(connection.writer.write("part"), untilGone(connection)),
    client: ({ reader }) => Effect.exit(reader.readExactly(100)),
    options: { client: { timeouts: { minRate: { bytes: 1000, per: 30 } } } },
    told: (way) => ({ client: timedOut("MinRate"), server: aborted(way) })
  },
  {
    title: "a read strikes, and the connection goes on",
    handler: readAll,
    client: ({ reader, writer }) =>
      Effect.andThen(Effect.flip(reader.readLine), Effect.andThen(writer.write("on"), writer.close)),
    options: { client: { timeouts: { read: 30 } } },
    told: () => ({ client: ["TimedOut Read", ...closing], server: ended })
  },
  {
    title: "a write strikes",
    handler: () => Effect.never,
    endless: true,
    client: ({ writer }) => Effect.exit(Effect.andThen(writer.write(tooMuch), writer.drain)),
    options: { client: { timeouts: { write: 50 } } },
    told: () => ({ client: ["Paused out peer", ...timedOut("Write")] })
  },
  {
    title: "closeTimeout strikes",
    handler: () => Effect.never,
    endless: true,
    client: ({ writer }) => Effect.andThen(writer.write(tooMuch), writer.close),
    options: { client: { closeTimeout: 50 } },
    told: () => ({ client: ["Paused out peer", "Closing", "Closed TimedOut"] })
  },
  {
    title: "a slow reader holds the peer back, reads on, and all of it arrives",
    handler: ({ reader }) => Effect.andThen(holds(reader, 0), reader.readExactly(bulk.length)),
    client: (connection) =>
      Effect.andThen(connection.writer.write(bulk), Effect.andThen(connection.writer.writeEof, readAll(connection))),
    told: () => ({ client: ["Paused out peer", "Resumed out peer", ...ended] })
  },
  {
    title: "a client that holds the server back closes, and what comes is thrown away",
    handler: ({ writer }) => Effect.andThen(writer.write(bulk), writer.flush),
    client: ({ reader, writer }) =>
      // until it is held back
      Effect.andThen(reader.readExactly(1), Effect.andThen(holds(reader, 2000), writer.close)),
    options: { client: { limit: 1000 } },
    told: () => ({})
  }
]

for (const way of ways) {
  describe(`what is told of a connection over ${way.way}`, () => {
    const prefix = [...(way.tls ? ["HandshakeStarted", "HandshakeSucceeded"] : []), "Opened"]
    for (const { client, endless, handler, options, title, told } of scenarios) {
      it.live(title, () =>
        Effect.gen(function* () {
          const recording = new Recording()
          yield* way.run(
            Effect.gen(function* () {
              const { connect } = yield* way.serve(handler, { ...options?.server })
              yield* Effect.exit(Effect.scoped(Effect.flatMap(connect(options?.client), client)))
              yield* eventually(
                () => `the end of what is told: ${JSON.stringify(recording.all.map(({ tags }) => tags))}`,
                () =>
                  recording.on("server").length === 1 &&
                  (endless === true ? recording.client.isClosed : recording.closed(2))
              )
            }).pipe(Effect.provide(recording.layer))
          )
          // with the scope of the server all is over
          assert.isTrue(recording.closed(2), JSON.stringify(recording.all.map(({ tags }) => tags)))
          const expected = told(way)
          if (expected.client !== undefined) {
            assert.deepStrictEqual(recording.client.tags, [
              "Connecting",
              "AttemptStarted",
              ...prefix,
              ...expected.client
            ])
          }
          if (expected.server !== undefined) {
            assert.deepStrictEqual(recording.server.tags, [...prefix, ...expected.server])
          }
          for (const story of recording.all) {
            assert.deepStrictEqual(faultsOf(story), [])
            const state = story.connection!.snapshot()
            assert.strictEqual(state.state, "closed")
            assert.strictEqual(state.bytesRead, story.in.length)
            assert.isAtMost(story.out.length, state.bytesWritten)
            assert.deepStrictEqual(state.waiting, [])
            assert.deepStrictEqual(state.paused, [])
            assert.strictEqual(story.at("Opened").state, "open")
            assert.strictEqual(story.at("Closed").state, "closed")
            assert.deepStrictEqual(story.at("Closed").waiting, [])
            if (story.tags.includes("Closing")) assert.strictEqual(story.at("Closing").state, "closing")
            if (story.tags.includes("Ended")) assert.isTrue(story.at("Ended").peerEnded)
          }
          assert.deepStrictEqual(recording.tellsOfServers, ["Listening", "ShutdownStarted", "ShutdownEnded"])
        })
      )
    }
  })
}

for (const { facing, way } of tlsWays) {
  describe(`what is told of TLS ${way}`, () => {
    for (const side of ["client", "server"] as const) {
      it.live(`${side}: a peer that cuts it short has broken it: the error is the one that reads get`, () =>
        Effect.gen(function* () {
          const recording = new Recording()
          const error = yield* Effect.scoped(
            Effect.gen(function* () {
              const { connection, peer } = yield* facing(side)
              const reading = yield* Effect.forkChild(Effect.flip(connection.reader.readLine))
              peer.keepOpen = true
              yield* peer.wire.finish
              return yield* Fiber.join(reading)
            })
          ).pipe(Effect.provide(Layer.merge(NodeNetwork.layer, recording.layer)))
          const [story] = recording.on(side)
          assert.deepStrictEqual(faultsOf(story!), [])
          assert.deepStrictEqual(story!.tags.slice(-2), ["Failed TlsFailed", "Closed Reset"])
          const failed = story!.events.find((event) => event._tag === "Failed")!
          assert.isTrue(
            failed._tag === "Failed" && failed.error._tag === "TlsFailed" && failed.error.kind === "Truncated"
          )
          assert.isTrue(error._tag === "TlsFailed" && error.kind === "Truncated")
        })
      )
    }
  })
}

describe("what is told of halves that break", () => {
  it.effect("a write that fails and then a read that does: one failure, and the end behind it", () =>
    Effect.gen(function* () {
      const recording = new Recording()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { reader, transport, writer } = yield* fakeOfScope({ takes: false })
          yield* writer.write("hello")
          yield* Effect.forkChild(Effect.exit(reader.readLine), { startImmediately: true })
          transport.failWriting()
          const [story] = recording.on(undefined)
          assert.deepStrictEqual(story!.tags, ["Opened", "Failed ConnectionLost"])
          assert.strictEqual(story!.at("Failed").state, "open")
          transport.push("still heard")
          transport.lose()
        })
      ).pipe(Effect.provide(recording.layer))
      const [story] = recording.on(undefined)
      // the close of the scope comes behind the end, and is none
      assert.deepStrictEqual(story!.tags, ["Opened", "Failed ConnectionLost", "Closed Reset"])
      assert.deepStrictEqual(faultsOf(story!), [])
      assert.deepStrictEqual(story!.reads, ["+readLine", "-readLine"])
    })
  )

  it.effect("a transport that throws has broken it", () =>
    Effect.gen(function* () {
      const recording = new Recording()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { transport, writer } = yield* fakeOfScope()
          transport.onWrite = () => {
            throw new Error("a broken transport")
          }
          yield* Effect.exit(Effect.andThen(writer.write("hello"), writer.flush))
        })
      ).pipe(Effect.provide(recording.layer))
      const [story] = recording.on(undefined)
      assert.deepStrictEqual(faultsOf(story!), [])
      assert.deepStrictEqual(
        story!.tags.filter((tag) => tag !== "Closing"),
        ["Opened", "Failed ConnectionLost", "Closed Reset"]
      )
    })
  )
})
