/**
 * An event loop that stands still for longer than a bound, on real sockets: who spoke meanwhile is heard before the bound
 * is judged, and who did not is cut off soon after. The peers live in a thread of their own.
 */
import { NodeSocket } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Connection, type Network, NodeNetwork, openConnection, type Server, startServer } from "effect-byte-streams"
import { Deferred, Effect, Fiber, type Scope } from "effect"
import * as Net from "node:net"
import { nextPoll } from "../../src/internal/runtime/turn.ts"
import { pattern, text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { clog } from "../support/clog.ts"
import { deafServer } from "../support/deafServer.ts"
import { start } from "../support/fibers.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { stall, type Talker, talker } from "../support/talker.ts"
import { socketPath } from "../support/temporary.ts"
import { timeoutOf } from "../support/timeouts.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const host = "127.0.0.1"
const bound = 150
/** How long the event loop stands still. */
const longer = 350

type Use<A> = (connection: Connection.Connection, peer: Talker) => Effect.Effect<A, unknown, Scope.Scope>

/** What peers are like. */
interface Like {
  readonly word?: number
  readonly reads?: boolean
}

interface Way {
  readonly way: string
  /** A connection and who is at its other end, as soon as it is there. */
  readonly use: <A>(
    options: Connection.Options,
    body: Use<A>,
    like?: Like
  ) => Effect.Effect<A, unknown, Network.Network | Scope.Scope>
}

const trust = { ca: authority.cert, serverName: "localhost" }
const { identity } = certificates.server

const asServer = <A>(options: Server.Options, like: Like & { readonly tls?: boolean }, body: Use<A>) =>
  Effect.gen(function* () {
    const done = yield* Deferred.make<A, unknown>()
    const peers: Array<Talker> = []
    const server = yield* startServer({ host, port: 0, gracePeriod: 0, ...options }, (connection) =>
      Effect.andThen(Deferred.into(Effect.scoped(body(connection, peers[0]!)), done), Effect.never)
    )
    const peer = yield* talker({ clients: 1, at: options.path ?? server.port, ...like })
    peers.push(peer)
    peer.connect()
    return yield* Deferred.await(done)
  })

const ways: ReadonlyArray<Way> = [
  {
    way: "TCP, as client",
    use: (options, body, like) =>
      Effect.gen(function* () {
        const peer = yield* talker({ ...like })
        return yield* body(yield* openConnection({ host, port: peer.port, ...options }), peer)
      })
  },
  { way: "TCP, as server", use: (options, body, like) => asServer(options, { ...like }, body) },
  {
    way: "Unix, as client",
    use: (options, body, like) =>
      Effect.gen(function* () {
        const path = yield* socketPath()
        const peer = yield* talker({ at: path, ...like })
        return yield* body(yield* openConnection({ path, ...options }), peer)
      })
  },
  {
    way: "Unix, as server",
    use: (options, body, like) =>
      Effect.flatMap(socketPath(), (path) =>
        asServer({ ...options, path, host: undefined, port: undefined }, { ...like }, body)
      )
  },
  ...[false, true].flatMap((stoppable): ReadonlyArray<Way> => {
    const name = stoppable ? "stoppable TLS" : "TLS"
    return [
      {
        way: `${name}, as client`,
        use: (options, body, like) =>
          Effect.gen(function* () {
            const peer = yield* talker({ tls: true, ...like })
            const tls = { ...trust, stoppable }
            return yield* body(yield* openConnection({ host, port: peer.port, ...options, tls }), peer)
          })
      },
      {
        way: `${name}, as server`,
        use: (options, body, like) =>
          asServer({ ...options, tls: { identity, stoppable } }, { tls: true, ...like }, body)
      }
    ]
  }),
  {
    way: "fromDuplex",
    use: (options, body, like) =>
      Effect.gen(function* () {
        const peer = yield* talker({ ...like })
        const socket = Net.connect({ host, port: peer.port, allowHalfOpen: true })
        yield* Effect.callback<void>((resume) => void socket.once("connect", () => resume(Effect.void)))
        return yield* body(yield* Connection.fromDuplex(socket, options), peer)
      })
  },
  {
    way: "fromSocket",
    use: (options, body, like) =>
      Effect.gen(function* () {
        const peer = yield* talker({ ...like })
        const socket = yield* NodeSocket.makeNet({ host, port: peer.port })
        return yield* body(yield* Connection.fromSocket(socket, options), peer)
      })
  }
]

/** Reads line by line, into `seen`. */
const readLines = ({ reader }: Connection.Connection, seen: Array<string>) =>
  Effect.gen(function* () {
    for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
      seen.push(text(line).trimEnd())
    }
  })

/** From here on timers come before the next poll: a stall that a timer begins is over before the others ring. */
const afterTimers = turns(1)

const countTo = (count: number) => Array.from({ length: count }, (_, i) => String(i))

/** How often the event loop goes round before something ends: a count that no busy machine changes. */
const turnsUntil = (fiber: Fiber.Fiber<unknown, unknown>) =>
  Effect.gen(function* () {
    let count = 0
    for (; fiber.pollUnsafe() === undefined && count < 10_000; count++) yield* turns(1)
    return count
  })

/** What "soon" is: a timer that was armed anew would take thousands. */
const few = 30

/** More than the system keeps for who does not read. */
const large = pattern(8_000_000)

for (const { use, way } of ways) {
  describe(`the event loop stands still for longer than a bound: ${way}`, () => {
    it.live("a peer that spoke meanwhile is heard, again and again, whatever the bounds", () =>
      use(
        { timeouts: { idle: bound, read: bound, write: bound, minRate: { bytes: 4, per: bound } } },
        (connection, peer) =>
          Effect.gen(function* () {
            const seen: Array<string> = []
            const reading = yield* start(readLines(connection, seen))
            for (let i = 0; i < 2; i++) {
              if (i > 0) yield* afterTimers
              peer.stallWhileTalking(longer, 5)
              yield* eventually("it is read", () => reading.pollUnsafe() !== undefined || seen.length >= peer.said)
            }
            peer.end()
            yield* within("the end", Fiber.join(reading))
            assert.isAtLeast(peer.said, 10)
            assert.deepStrictEqual(seen, [...countTo(peer.said), "end"])
          })
      ).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("a peer that says nothing is cut off, soon afterwards", () =>
      use({ timeouts: { idle: bound } }, (connection, peer) =>
        Effect.gen(function* () {
          const reading = yield* start(connection.reader.readLine)
          stall(longer)
          assert.isBelow(yield* turnsUntil(reading), few)
          assert.strictEqual((yield* timeoutOf(reading)).kind, "Idle")
          yield* eventually("the peer is told", () => peer.gone === 1)
        })
      ).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("a peer that read meanwhile is sent the rest", () =>
      use(
        { timeouts: { write: bound } },
        ({ writer }, peer) =>
          Effect.gen(function* () {
            const sent = yield* clog(writer)
            const held = yield* writer.buffered
            const flushing = yield* start(writer.flush)
            peer.read()
            stall(longer, () => peer.heard >= sent.length - held)
            yield* within("everything is sent", Fiber.join(flushing))
            yield* eventually("everything is read", () => peer.heard === sent.length)
          }),
        { reads: false }
      ).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("a connection that is being closed is closed well, if the peer reads", () =>
      use(
        { closeTimeout: bound },
        ({ writer }, peer) =>
          Effect.gen(function* () {
            const sent = yield* clog(writer)
            const held = yield* writer.buffered
            const closing = yield* start(writer.close)
            peer.read()
            // the system has room again only once the peer has read much of what lies there
            stall(longer, () => peer.heard >= sent.length - held)
            assert.deepStrictEqual(yield* within("the close", Fiber.join(closing)), { _tag: "Graceful" })
            yield* eventually("everything is read", () => peer.heard === sent.length)
          }),
        { reads: false }
      ).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

const [tcp] = ways

describe("the event loop stands still for longer than a bound", () => {
  it.live("a message of more than the system keeps is read to its end", () =>
    tcp!
      .use(
        { timeouts: { idle: bound, read: bound, minRate: { bytes: 1_000_000, per: bound } } },
        ({ reader }, peer) =>
          Effect.gen(function* () {
            const reading = yield* start(reader.readExactly(large.length))
            peer.stallWhileTalking(longer, large.length / 200_000)
            assert.strictEqual((yield* within("the message", Fiber.join(reading))).length, large.length)
          }),
        { word: 200_000 }
      )
      .pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a read of which only a part came is given the time of the stall, and no more", () =>
    tcp!
      .use(
        { timeouts: { read: bound } },
        ({ reader, writer }, peer) =>
          Effect.gen(function* () {
            const reading = yield* start(reader.readExactly(1_000_000))
            peer.stallWhileTalking(longer, 5)
            const since = performance.now()
            assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
            assert.isAtLeast(performance.now() - since, bound - 20)
            assert.strictEqual((yield* reader.read(1_000_000)).length, 10 * peer.said)
            assert.isFalse(yield* writer.isClosing)
          }),
        { word: 10 }
      )
      .pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a read for which nothing came fails soon afterwards", () =>
    tcp!
      .use({ timeouts: { read: bound } }, ({ reader }) =>
        Effect.gen(function* () {
          const reading = yield* start(reader.readLine)
          stall(longer)
          assert.isBelow(yield* turnsUntil(reading), few)
          assert.strictEqual((yield* timeoutOf(reading)).kind, "Read")
        })
      )
      .pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("what was said before the last moment is delivered before it", () =>
    tcp!
      .use({ timeouts: { total: bound } }, (connection, peer) =>
        Effect.gen(function* () {
          const seen: Array<string> = []
          const reading = yield* start(readLines(connection, seen))
          peer.stallWhileTalking(longer, 5)
          assert.isBelow(yield* turnsUntil(reading), few)
          assert.strictEqual((yield* timeoutOf(reading)).kind, "Total")
          assert.deepStrictEqual(seen, countTo(peer.said))
        })
      )
      .pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a peer that is held back meanwhile, by a program that could not go on, is not silent", () =>
    tcp!
      .use(
        { limit: 1000, timeouts: { idle: bound } },
        ({ reader }, peer) =>
          Effect.gen(function* () {
            peer.stallWhileTalking(longer, 30)
            yield* eventuallyEffect(
              "it is held back",
              Effect.map(reader.buffered, (size) => size > 2000)
            )
            stall(longer)
            yield* turns(few)
            peer.end()
            const all = yield* within("the rest", reader.readAll({ maxBytes: "unbounded" }))
            assert.strictEqual(all.length, 10_000 * peer.said + "end\n".length)
          }),
        { word: 10_000 }
      )
      .pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const { use, way } of ways.filter(({ way }) => way === "TCP, as client" || way === "fromSocket")) {
    it.live(`what the system took before a close arrives, whatever the peer says meanwhile: ${way}`, () =>
      use(
        {},
        ({ writer }, peer) =>
          Effect.gen(function* () {
            const sent = pattern(500_000)
            yield* writer.write(sent)
            assert.deepStrictEqual(yield* within("the close", writer.close), { _tag: "Graceful" })
            // for longer than what the peer still says is thrown away
            peer.stallWhileTalking(2200, 5)
            yield* turns(few)
            peer.read()
            yield* eventually("everything is read", () => peer.heard === sent.length)
          }),
        { reads: false }
      ).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("thirty clients of one server do not pay for a handler that computes", () =>
    Effect.gen(function* () {
      const failures: Array<Server.HandlerFailure["cause"]> = []
      let read = 0
      let computed = 0
      const server = yield* startServer(
        {
          host,
          port: 0,
          gracePeriod: 0,
          timeouts: { idle: bound, read: bound, minRate: { bytes: 4, per: bound } },
          onHandlerError: ({ cause }) =>
            Effect.sync(() => {
              // once everybody was heard they are silent, and a machine that is busy may get round to that first
              if (!allHeard()) failures.push(cause)
            })
        },
        ({ reader }) =>
          Effect.gen(function* () {
            for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) read++
          })
      )
      const peers = yield* talker({ at: server.port, clients: 30 })
      const allHeard = () => computed === 3 && read === peers.said
      const busy = yield* startServer({ host, port: 0, gracePeriod: 0 }, ({ reader }) =>
        Effect.gen(function* () {
          yield* reader.readLine
          peers.connect()
          // the system lets them in
          stall(0, () => peers.up === 30)
          for (; computed < 3; computed++) {
            peers.stallWhileTalking(longer, 5)
            yield* turns(1)
          }
        })
      )
      const { writer } = yield* openConnection({ host, port: busy.port })
      yield* writer.write("compute\n")
      yield* eventually("it computes, and everybody is heard", () => failures.length > 0 || allHeard())
      assert.deepStrictEqual(failures, [])
      assert.isAtLeast(read, 3 * 30 * 5)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a handler to which its last words came meanwhile is not interrupted by a shutdown", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, ({ reader }) => reader.readLine)
      const peer = yield* talker({ at: server.port, clients: 1 })
      peer.connect()
      yield* eventuallyEffect(
        "it is served",
        Effect.map(server.connections, (count) => count === 1 && peer.up === 1)
      )
      yield* afterTimers
      const stopping = yield* start(server.shutdown({ gracePeriod: bound }))
      peer.stallWhileTalking(longer, 1)
      assert.deepStrictEqual(yield* Fiber.join(stopping), { completed: 1, aborted: 0 })
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

/** Lets the event loop stand still in each of its turns, for longer than the bound. */
const whileStanding = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      let stands = true
      const turn = () => {
        if (!stands) return
        stall(bound + 50)
        nextPoll(turn)
      }
      nextPoll(turn)
      return () => void (stands = false)
    }),
    () => effect,
    (stop) => Effect.sync(stop)
  )

describe("the event loop stands still again and again while connections are being opened", () => {
  for (const [what, where, tls] of [
    ["an address", { host }, undefined],
    ["a name", { host: "localhost" }, undefined],
    ["a path", undefined, undefined],
    ["TLS", { host }, { ...trust, handshakeTimeout: bound }],
    ["stoppable TLS", { host }, { ...trust, handshakeTimeout: bound, stoppable: true }]
  ] as const) {
    it.live(`${what}: who answers is connected to`, () =>
      Effect.gen(function* () {
        const path = yield* socketPath()
        const peer = yield* talker({ tls: tls !== undefined, at: where === undefined ? path : undefined })
        const options = { connectTimeout: bound, tls }
        const { reader } = yield* whileStanding(
          openConnection(where === undefined ? { path, ...options } : { ...where, port: peer.port, ...options })
        )
        // the system takes a connection before the peer does
        yield* eventually("the peer has it", () => peer.up === 1)
        peer.end()
        assert.strictEqual(text(yield* within("a line", reader.readLine)), "end\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  for (const stoppable of [false, true]) {
    it.live(`${stoppable ? "stoppable TLS" : "TLS"}: ten clients that do their part are all served`, () =>
      Effect.gen(function* () {
        const failures: Array<unknown> = []
        const server = yield* startServer(
          {
            host,
            port: 0,
            gracePeriod: 0,
            tls: { identity, stoppable, handshakeTimeout: bound },
            onHandshakeError: (error) => Effect.sync(() => failures.push(error))
          },
          () => Effect.never
        )
        const peers = yield* talker({ at: server.port, clients: 10, tls: true })
        peers.connect()
        yield* whileStanding(
          eventuallyEffect(
            "all are served",
            Effect.map(server.connections, (count) => count === 10 || failures.length > 0)
          )
        )
        assert.deepStrictEqual(failures, [])
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})

describe("the event loop stands still while a connection is being opened, and the peer says nothing", () => {
  it.live("connecting fails soon afterwards", () =>
    Effect.gen(function* () {
      const port = yield* deafServer
      const opening = yield* start(openConnection({ host, port, connectTimeout: bound }))
      yield* turns(few)
      stall(longer)
      assert.isBelow(yield* turnsUntil(opening), few)
      assert.strictEqual((yield* Effect.flip(Fiber.join(opening))).kind, "Timeout")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const stoppable of [false, true]) {
    it.live(`${stoppable ? "stoppable TLS" : "TLS"}: a handshake fails soon afterwards, on both sides`, () =>
      Effect.gen(function* () {
        const silent = yield* serveRaw()
        const tls = { ...trust, stoppable, handshakeTimeout: bound }
        const opening = yield* start(Effect.result(openConnection({ host, port: silent.port, tls })))
        const failed = yield* Deferred.make<string>()
        const server = yield* startServer(
          {
            host,
            port: 0,
            tls: { identity, stoppable, handshakeTimeout: bound },
            onHandshakeError: ({ kind }) => Deferred.succeed(failed, kind)
          },
          () => Effect.void
        )
        const failing = yield* start(Deferred.await(failed))
        yield* connectRaw(server.port)
        yield* silent.accept
        yield* turns(few)
        stall(longer)
        assert.isBelow(yield* turnsUntil(failing), few)
        assert.isBelow(yield* turnsUntil(opening), few)
        assert.strictEqual(yield* Fiber.join(failing), "Timeout")
        const outcome = yield* Fiber.join(opening)
        assert.strictEqual(outcome._tag === "Failure" && outcome.failure.kind, "Timeout")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})
