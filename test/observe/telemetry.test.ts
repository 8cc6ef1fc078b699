/** Metrics: they say what the connections say, and are found out when they are read. */
import { assert, describe, it } from "@effect/vitest"
import {
  BufferBudget,
  type Connection,
  type Network,
  NodeNetwork,
  Observer,
  openConnection,
  startServer,
  Telemetry
} from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Fiber, Layer, Metric, Scope, Tracer } from "effect"
import * as fc from "fast-check"
import { authority, certificates, stranger } from "../support/certificates.ts"
import { deathOf } from "../support/exits.ts"
import { collectGarbage } from "../support/garbage.ts"
import { type Measured, measured } from "../support/measured.ts"
import { forAll } from "../support/property.ts"
import { closedPort } from "../support/rawPeer.ts"
import { everywhere } from "../support/servers.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"

const host = "127.0.0.1"

/** Runs a program on a simulated network, measured. */
const simulated = <A, E>(
  program: (telemetry: Measured) => Effect.Effect<A, E, Network.Network | TestNetwork.TestNetwork | Scope.Scope>,
  options?: TestNetwork.Options
) =>
  Effect.suspend(() => {
    const telemetry = measured()
    return TestNetwork.simulate(Effect.provide(program(telemetry), telemetry.layer), options)
  })

/** Answers each line with itself. */
const echo = ({ reader, writer }: Connection.Connection) =>
  Effect.forever(Effect.flatMap(reader.readLine, (line) => (line.length === 0 ? Effect.interrupt : writer.write(line))))

const never = () => Effect.never

describe("connections and bytes are counted as the connections say, for each side", () => {
  for (const { kind, network, serve } of everywhere) {
    it.live(`over ${kind}`, () =>
      Effect.suspend(() => {
        const telemetry = measured()
        const transport = kind.includes("path") || kind.includes("Unix") ? "unix" : "tcp"
        const client = { side: "client", "network.transport": transport }
        const server = { side: "server", "network.transport": transport }
        return Effect.gen(function* () {
          const served = yield* serve(echo)
          const scope = yield* Scope.make()
          const one = yield* Scope.provide(served.client(), scope)
          const two = yield* Scope.provide(served.client(), scope)
          for (const [connection, text] of [
            [one, "hello\n"],
            [two, "good morning\n"]
          ] as const) {
            yield* connection.writer.write(text)
            yield* connection.reader.readLine
          }
          assert.strictEqual(telemetry.sum("connections.open", client), 2)
          assert.strictEqual(telemetry.sum("connections.open", server), 2)
          const io = (direction: string, side: object) =>
            telemetry.sum("network.io", { ...side, "network.io.direction": direction })
          const all = () => [client, server].flatMap((side) => [io("transmit", side), io("receive", side)])
          assert.deepStrictEqual(all(), [19, 19, 19, 19])
          yield* Scope.close(scope, Exit.void)
          yield* eventually("both ends have ended", () => telemetry.sum("connections.open") === 0)
          assert.deepStrictEqual(all(), [19, 19, 19, 19])
          for (const side of [client, server]) {
            assert.strictEqual(telemetry.sum("connections.opened", side), 2)
            assert.strictEqual(telemetry.sum("connections.closed", side), 2)
            assert.strictEqual(telemetry.sum("connection.duration", side), 2)
          }
          assert.strictEqual(telemetry.sum("connections.closed", { ...client, "close.outcome": "Graceful" }), 2)
          assert.strictEqual(telemetry.sum("connect.duration", { "network.transport": transport }), 2)
          assert.strictEqual(telemetry.sum("connections.failed"), 0)
        }).pipe(Effect.provide(Layer.merge(network, telemetry.layer)))
      })
    )
  }

  it.effect("nobody is asked where bytes pass", () =>
    Effect.gen(function* () {
      const observer = yield* Telemetry.make()
      assert.deepStrictEqual(Object.keys(observer).sort(), ["handlerContext", "onEvent"])
    }).pipe(Effect.scoped)
  )

  it.effect("what was written between two looks is seen by the second", () =>
    simulated((telemetry) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0 }, never)
        const { writer } = yield* openConnection({ port: server.port })
        const sent = () => telemetry.sum("network.io", { side: "client", "network.io.direction": "transmit" })
        assert.strictEqual(sent(), 0)
        yield* writer.write("three")
        assert.strictEqual(sent(), 5)
        yield* writer.write("more")
        assert.strictEqual(sent(), 9)
      })
    )
  )
})

describe("time", () => {
  it.effect("a slow reader and the peer that waits for it are told in seconds, while it lasts and after", () =>
    simulated((telemetry) =>
      Effect.gen(function* () {
        const size = 1_000_000
        const server = yield* startServer({ port: 0 }, ({ writer }) => writer.write(new Uint8Array(size)))
        const { reader } = yield* openConnection({ port: server.port })
        const paused = (side: string, reason: string) => telemetry.sum("paused.time", { side, "pause.reason": reason })
        const now = (side: string, reason: string) =>
          telemetry.sum("connections.paused", { side, "pause.reason": reason })
        const network = yield* TestNetwork.TestNetwork
        yield* network.settled
        assert.deepStrictEqual([now("client", "reader"), now("server", "peer")], [1, 1])
        assert.strictEqual(paused("client", "reader"), 0)
        yield* Effect.sleep("2500 millis")
        assert.strictEqual(paused("client", "reader"), 2.5)
        assert.strictEqual(paused("server", "peer"), 2.5)
        yield* reader.readExactly(size)
        yield* Effect.sleep("10 seconds")
        assert.deepStrictEqual([now("client", "reader"), now("server", "peer")], [0, 0])
        assert.strictEqual(paused("client", "reader"), 2.5)
        assert.strictEqual(paused("server", "peer"), 2.5)
        assert.strictEqual(telemetry.sum("paused.time", { "pause.reason": "budget" }), 0)
      })
    )
  )

  it.effect("a connection that ends while it is held back is held back no more", () =>
    simulated((telemetry) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0, gracePeriod: 0 }, ({ writer }) =>
          writer.write(new Uint8Array(1_000_000))
        )
        const client = yield* openConnection({ port: server.port })
        yield* Effect.sleep("3 seconds")
        yield* client.abort
        yield* Effect.sleep("3 seconds")
        assert.strictEqual(telemetry.sum("connections.paused"), 0)
        assert.strictEqual(telemetry.sum("paused.time", { side: "client" }), 3)
        assert.strictEqual(telemetry.sum("paused.time", { side: "server" }), 3)
      })
    )
  )

  it.effect("connecting and a connection take as long as they take", () =>
    simulated(
      (telemetry) =>
        Effect.gen(function* () {
          const server = yield* startServer({ port: 0 }, never)
          yield* Effect.scoped(Effect.andThen(openConnection({ port: server.port }), Effect.sleep("4 seconds")))
          assert.strictEqual(telemetry.histogramSum("connect.duration"), 0.2)
          assert.approximately(telemetry.histogramSum("connection.duration", { side: "client" }), 4, 0.2)
        }),
      { fromClient: { latency: 100 }, fromServer: { latency: 100 } }
    )
  )
})

describe("what does not go well is counted by its kind", () => {
  it.effect("a server that is not there, with the addresses that were tried", () =>
    simulated(
      (telemetry) =>
        Effect.gen(function* () {
          yield* Effect.exit(openConnection({ host: "twice", port: 7 }))
          const refused = { "error.type": "ConnectFailed.Refused" }
          assert.strictEqual(telemetry.sum("connections.failed", { ...refused, side: "client", phase: "connect" }), 1)
          assert.strictEqual(telemetry.sum("connect.duration", refused), 1)
          assert.strictEqual(telemetry.sum("connect.attempts.started"), 2)
          assert.strictEqual(telemetry.sum("connect.attempts.failed", refused), 2)
          assert.strictEqual(telemetry.sum("connections.opened"), 0)
        }),
      { hosts: { twice: ["10.0.0.1", "10.0.0.2"] } }
    )
  )

  it.effect("a program that gives up connecting", () =>
    simulated(
      (telemetry) =>
        Effect.gen(function* () {
          const connecting = yield* Effect.forkChild(openConnection({ host: "silent", port: 7 }))
          yield* Effect.sleep("1 second")
          yield* Fiber.interrupt(connecting)
          assert.strictEqual(telemetry.sum("connections.failed", { phase: "connect", "error.type": "Interrupted" }), 1)
          assert.strictEqual(telemetry.histogramSum("connect.duration", { "error.type": "Interrupted" }), 1)
        }),
      { hosts: { silent: "10.0.0.1" }, addresses: { "10.0.0.1": "Timeout" } }
    )
  )

  it.effect("a peer that resets, which is a failure here and none there", () =>
    simulated((telemetry) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0 }, ({ reader }) => reader.readLine)
        const client = yield* openConnection({ port: server.port })
        const network = yield* TestNetwork.TestNetwork
        yield* network.settled
        yield* client.abort
        yield* network.settled
        const lost = { "error.type": "ConnectionLost.Reset" }
        assert.strictEqual(telemetry.sum("connections.failed", { ...lost, side: "server", phase: "open" }), 1)
        assert.strictEqual(telemetry.sum("connections.failed"), 1)
        assert.strictEqual(telemetry.sum("connection.duration", { ...lost, side: "server" }), 1)
        assert.strictEqual(telemetry.sum("connections.closed", { side: "server", "close.outcome": "Reset" }), 1)
        assert.strictEqual(telemetry.sum("connections.closed", { side: "client", "close.outcome": "Aborted" }), 1)
      })
    )
  )

  it.effect("bounds on waiting, of which that of a read breaks nothing", () =>
    simulated((telemetry) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0 }, never)
        const slow = yield* openConnection({ port: server.port, timeouts: { read: "1 second" } })
        yield* Effect.exit(slow.reader.readLine)
        const idle = yield* openConnection({ port: server.port, timeouts: { idle: "1 second" } })
        yield* Effect.exit(idle.reader.readLine)
        yield* (yield* TestNetwork.TestNetwork).settled
        assert.strictEqual(telemetry.sum("timeouts", { "timeout.kind": "Read" }), 1)
        assert.strictEqual(telemetry.sum("timeouts", { "timeout.kind": "Idle" }), 1)
        const failed = { side: "client", phase: "open" }
        assert.strictEqual(telemetry.sum("connections.failed", { ...failed, "error.type": "StreamTimeout.Idle" }), 1)
        assert.strictEqual(telemetry.sum("connections.failed", failed), 1)
        assert.strictEqual(telemetry.sum("connections.closed", { "close.outcome": "TimedOut" }), 1)
      })
    )
  )

  it.effect("a peer that does not take the rest in time", () =>
    simulated((telemetry) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0, gracePeriod: 0 }, never)
        const client = yield* openConnection({ port: server.port, closeTimeout: "1 second" })
        yield* Effect.forkChild(client.writer.write(new Uint8Array(1_000_000)))
        yield* Effect.sleep("1 second")
        yield* client.writer.close
        const late = { side: "client", "error.type": "CloseTimedOut" }
        assert.strictEqual(telemetry.sum("connections.failed", late), 1)
      })
    )
  )

  it.effect("a server that cannot accept, by the code of the system", () =>
    simulated(
      (telemetry) =>
        Effect.gen(function* () {
          const server = yield* startServer({ port: 0, gracePeriod: 0, onAcceptError: () => Effect.void }, never)
          yield* openConnection({ port: server.port })
          yield* Effect.sleep("5 seconds")
          const failed = { side: "server", phase: "accept", "error.type": "AcceptFailed.EMFILE" }
          assert.isAtLeast(telemetry.sum("connections.failed", failed), 1)
          assert.strictEqual(telemetry.sum("connections.open", { side: "server" }), 1)
        }),
      { faults: [Faults.acceptError({ connection: 1 })] }
    )
  )

  it.effect("connections that a budget holds back are told from those that are read slowly", () =>
    Effect.suspend(() => {
      const telemetry = measured()
      const program = Effect.gen(function* () {
        const server = yield* startServer({ port: 0, gracePeriod: 0 }, ({ writer }) =>
          writer.write(new Uint8Array(50_000))
        )
        yield* openConnection({ port: server.port })
        yield* openConnection({ port: server.port })
        yield* (yield* TestNetwork.TestNetwork).settled
        yield* Effect.sleep("3 seconds")
        const held = { side: "client", "pause.reason": "budget" }
        const count = telemetry.sum("connections.paused", held)
        assert.isAtLeast(count, 1)
        assert.strictEqual(telemetry.sum("paused.time", held), 3 * count)
        assert.strictEqual(telemetry.sum("connections.paused", { side: "client", "pause.reason": "reader" }), 0)
      })
      const services = Layer.provideMerge(telemetry.layer, BufferBudget.layer({ bytes: 20_000 }))
      return TestNetwork.simulate(Effect.provide(Effect.scoped(program), services))
    })
  )

  it.effect("clients that wait for a place, and those that are turned away", () =>
    simulated((telemetry) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0, gracePeriod: 0, maxConnections: 1, backlog: 1 }, echo)
        const served = yield* openConnection({ port: server.port })
        const waits = yield* openConnection({ port: server.port })
        yield* openConnection({ port: server.port })
        const network = yield* TestNetwork.TestNetwork
        yield* network.settled
        assert.strictEqual(telemetry.sum("connections.waiting", { side: "server" }), 1)
        assert.strictEqual(telemetry.sum("connections.open", { side: "server" }), 2)
        assert.strictEqual(telemetry.sum("connections.rejected", { "reject.reason": "Full" }), 1)
        yield* served.writer.close
        yield* waits.writer.write("now\n")
        yield* waits.reader.readLine
        assert.strictEqual(telemetry.sum("connections.waiting"), 0)
      })
    )
  )

  it.live("a handshake is a failure of the side that saw it fail, once", () =>
    Effect.suspend(() => {
      const telemetry = measured()
      return Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, tls: { identity: certificates.server.identity }, onHandshakeError: () => Effect.void },
          echo
        )
        yield* Effect.exit(openConnection({ host, port: server.port, tls: { ca: stranger.cert } }))
        yield* eventually("the server has seen it fail", () => telemetry.sum("connections.failed") === 2)
        const failed = (side: string, phase: string) => telemetry.sum("connections.failed", { side, phase })
        assert.strictEqual(failed("client", "connect"), 1)
        assert.strictEqual(failed("server", "handshake"), 1)
        const certificate = { "error.type": "TlsFailed.Certificate" }
        assert.strictEqual(telemetry.sum("connections.failed", { ...certificate, side: "client" }), 1)
        assert.strictEqual(telemetry.sum("handshake.duration", { ...certificate, side: "client" }), 1)
        const tls = { ca: authority.cert, serverName: "localhost" }
        const { reader, writer } = yield* openConnection({ host, port: server.port, tls })
        yield* writer.write("hello\n")
        yield* reader.readLine
        const version = { "tls.protocol.version": "1.3" }
        for (const side of ["client", "server"]) {
          assert.strictEqual(telemetry.sum("handshake.duration", { ...version, side }), 1)
        }
      }).pipe(Effect.provide(Layer.merge(NodeNetwork.layer, telemetry.layer)))
    })
  )

  it.live("a port at which nobody listens, over TCP", () =>
    Effect.suspend(() => {
      const telemetry = measured()
      return Effect.gen(function* () {
        yield* Effect.exit(openConnection({ host, port: yield* closedPort() }))
        assert.strictEqual(telemetry.sum("connections.failed", { "error.type": "ConnectFailed.Refused" }), 1)
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeNetwork.layer, telemetry.layer)))
    })
  )
})

describe("startTls", () => {
  it.live("goes on with the same connection: it is opened once, and its bytes go on", () =>
    Effect.suspend(() => {
      const telemetry = measured()
      const word = "starttls\n"
      const answer = "go ahead\n"
      return Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, (connection) =>
          Effect.gen(function* () {
            yield* connection.reader.readLine
            yield* connection.writer.write(answer)
            const secure = yield* connection.startTls({ side: "server", identity: certificates.server.identity })
            yield* echo(secure)
          })
        )
        const plain = yield* openConnection({ host, port: server.port })
        yield* plain.writer.write(word)
        yield* plain.reader.readLine
        const { reader, writer } = yield* plain.startTls({
          side: "client",
          ca: authority.cert,
          serverName: "localhost"
        })
        yield* writer.write("hello\n")
        yield* reader.readLine
        for (const side of ["client", "server"]) {
          assert.strictEqual(telemetry.sum("connections.opened", { side }), 1)
          assert.strictEqual(telemetry.sum("connections.open", { side }), 1)
          assert.strictEqual(telemetry.sum("handshake.duration", { side, "tls.protocol.version": "1.3" }), 1)
        }
        const io = (side: string, direction: string) =>
          telemetry.sum("network.io", { side, "network.io.direction": direction })
        assert.strictEqual(io("client", "transmit"), word.length + 6)
        assert.strictEqual(io("server", "receive"), word.length + 6)
        assert.strictEqual(io("server", "transmit"), answer.length + 6)
        assert.strictEqual(io("client", "receive"), answer.length + 6)
      }).pipe(Effect.provide(Layer.merge(NodeNetwork.layer, telemetry.layer)))
    })
  )
})

describe("the layer", () => {
  it.effect("shows the budget below it, for as long as it is there", () =>
    Effect.suspend(() => {
      const telemetry = measured()
      const services = telemetry.layer.pipe(Layer.provideMerge(BufferBudget.layer({ bytes: 5000 })))
      const program = Effect.gen(function* () {
        const server = yield* startServer({ port: 0 }, never)
        const { writer } = yield* openConnection({ port: server.port })
        yield* writer.write("unread")
        const network = yield* TestNetwork.TestNetwork
        yield* network.settled
        assert.strictEqual(telemetry.sum("buffer.used"), 6)
        assert.strictEqual(telemetry.sum("buffer.limit"), 5000)
      })
      const names = () => Array.from(telemetry.registry.values(), ({ id }) => id)
      return Effect.gen(function* () {
        yield* TestNetwork.simulate(Effect.provide(Effect.scoped(program), services))
        assert.notInclude(names(), "byte_streams.buffer.used")
        assert.notInclude(names(), "byte_streams.buffer.limit")
        assert.include(names(), "byte_streams.network.io")
      })
    })
  )

  it.effect("two programs with one registry add up, and one with its own counts alone", () =>
    Effect.gen(function* () {
      const together = measured()
      const alone = measured()
      const program = Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startServer({ port: 0 }, never)
          const { writer } = yield* openConnection({ port: server.port })
          yield* writer.write("hello")
        })
      )
      for (const { layer } of [together, together, alone]) {
        yield* TestNetwork.simulate(Effect.provide(program, layer))
      }
      const sent = { side: "client", "network.io.direction": "transmit" }
      assert.strictEqual(together.sum("connections.opened", { side: "client" }), 2)
      assert.strictEqual(together.sum("network.io", sent), 10)
      assert.strictEqual(alone.sum("connections.opened", { side: "client" }), 1)
      assert.strictEqual(alone.sum("network.io", sent), 5)
    })
  )

  it.effect("one on top of another counts and traces nothing twice, and adds what the other leaves out", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const server = yield* startServer({ port: 0, gracePeriod: 0 }, never)
        const { writer } = yield* openConnection({ port: server.port })
        yield* writer.write("hello")
        yield* (yield* TestNetwork.TestNetwork).settled
      }).pipe(Effect.scoped)
      for (const [below, above] of [
        [true, true],
        [false, true],
        [true, false]
      ] as const) {
        const telemetry = measured({ spans: below })
        const between = Observer.layer({ onEvent: () => {} })
        const both = Telemetry.layer({ spans: above }).pipe(
          Layer.provideMerge(between),
          Layer.provideMerge(telemetry.layer)
        )
        yield* TestNetwork.simulate(Effect.provide(program, both))
        assert.strictEqual(telemetry.sum("connections.opened", { side: "client" }), 1)
        assert.strictEqual(telemetry.sum("connections.closed", { side: "client" }), 1)
        assert.strictEqual(telemetry.sum("network.io", { side: "client", "network.io.direction": "transmit" }), 5)
        assert.strictEqual(telemetry.spansOf("connection").length, 2)
      }
    })
  )

  it.effect("adds the attributes that the program gives to all its metrics", () =>
    Effect.gen(function* () {
      const telemetry = measured()
      const program = Effect.scoped(startServer({ port: 0 }, never)).pipe(
        Effect.andThen((server) => Effect.exit(openConnection({ port: server.port }))),
        Effect.provide(telemetry.layer),
        Effect.provideService(Metric.CurrentMetricAttributes, { "network.zone": "east" })
      )
      yield* TestNetwork.simulate(program)
      assert.strictEqual(telemetry.sum("connections.failed", { "network.zone": "east" }), 1)
    })
  )

  it.effect("says what is wrong with its options", () =>
    Effect.gen(function* () {
      const spans: any = "yes"
      const message = yield* deathOf(Effect.provide(Effect.void, Telemetry.layer({ spans })))
      assert.strictEqual(message, 'TypeError: Telemetry.layer: spans must be true or false, got "yes" (string)')
    })
  )
})

// ---------------------------------------------------------------------------
// memory
// ---------------------------------------------------------------------------

describe("memory", () => {
  it.live(
    "nothing is kept of a connection that has ended, of a client that failed, or of one that was turned away",
    () =>
      Effect.gen(function* () {
        const seen: Array<WeakRef<object>> = []
        const observer = Observer.layer({
          onEvent: (event) => {
            if (event._tag === "Opened") seen.push(new WeakRef(event.connection))
            if (event._tag === "HandshakeFailed" || event._tag === "Rejected") seen.push(new WeakRef(event.info))
          }
        })
        const tracer = Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            seen.push(new WeakRef(span))
            return span
          }
        })
        const telemetry = Telemetry.layer().pipe(
          Layer.provideMerge(Layer.mergeAll(observer, Layer.succeed(Tracer.Tracer, tracer)))
        )
        const program = Effect.gen(function* () {
          const options = {
            host,
            port: 0,
            gracePeriod: 0,
            tls: { identity: certificates.server.identity },
            onHandshakeError: () => Effect.void
          }
          const serving = yield* startServer(options, ({ reader, writer }) =>
            Effect.flatMap(reader.readLine, (line) => writer.write(line))
          )
          const full = yield* startServer({ ...options, maxConnections: 1, overflow: "reject" }, never)
          const connect = (port: number, ca: string) =>
            openConnection({ host, port, tls: { ca, serverName: "localhost" } })
          yield* connect(full.port, authority.cert)
          const visit = (port: number, ca: string) =>
            connect(port, ca).pipe(
              Effect.tap(({ reader, writer }) => Effect.andThen(writer.write("hello\n"), reader.readLine)),
              Effect.scoped,
              Effect.exit
            )
          for (let i = 0; i < 10; i++) {
            yield* visit(serving.port, authority.cert)
            yield* visit(serving.port, stranger.cert)
            yield* visit(full.port, authority.cert)
          }
          const left = () => seen.filter((one) => one.deref() !== undefined).length
          yield* eventuallyEffect(
            () => `one was turned away ten times, and not ${Effect.runSync(full.rejected)} times`,
            Effect.map(full.rejected, (rejected) => rejected === 10)
          )
          // those of the one that stays, and what ended last may still be at hand somewhere
          yield* eventuallyEffect(
            () => `${left()} of ${seen.length} are still there`,
            Effect.map(Effect.sync(collectGarbage), () => left() <= 12)
          )
        })
        yield* program.pipe(Effect.scoped, Effect.provide(Layer.merge(NodeNetwork.layer, telemetry)))
      })
  )
})

// ---------------------------------------------------------------------------
// a property
// ---------------------------------------------------------------------------

const step = fc.oneof(
  fc.record({ do: fc.constant("open" as const) }),
  fc.record({ do: fc.constant("write" as const), to: fc.nat(20), size: fc.nat(100_000) }),
  fc.record({ do: fc.constantFrom("close" as const, "abort" as const), to: fc.nat(20) }),
  fc.record({ do: fc.constant("wait" as const) })
)

describe("whatever connections do", () => {
  it.live("those that are open are those that were opened and not closed, and bytes are the sum of theirs", () =>
    forAll(fc.array(step, { maxLength: 30 }), (steps) =>
      simulated((telemetry) =>
        Effect.gen(function* () {
          const holds = () => {
            const { connections, sum } = telemetry
            const snapshots = connections.map(({ snapshot }) => snapshot())
            for (const side of ["client", "server"] as const) {
              const own = snapshots.filter((one) => one.side === side)
              const bytes = (of: "bytesRead" | "bytesWritten") => own.reduce((sum, one) => sum + one[of], 0)
              assert.strictEqual(sum("connections.opened", { side }), own.length)
              assert.strictEqual(
                sum("connections.opened", { side }) - sum("connections.closed", { side }),
                sum("connections.open", { side })
              )
              assert.strictEqual(
                sum("connections.open", { side }),
                own.filter(({ state }) => state !== "closed").length
              )
              assert.strictEqual(sum("network.io", { side, "network.io.direction": "receive" }), bytes("bytesRead"))
              assert.strictEqual(sum("network.io", { side, "network.io.direction": "transmit" }), bytes("bytesWritten"))
              assert.strictEqual(
                sum("connections.paused", { side }),
                own.reduce((sum, one) => sum + one.paused.length, 0)
              )
            }
          }
          const server = yield* startServer({ port: 0, gracePeriod: 0, maxConnections: 3 }, ({ reader, writer }) =>
            Effect.forever(Effect.flatMap(reader.readExactly(1000), (bytes) => writer.write(bytes)))
          )
          const open: Array<Connection.Connection> = []
          for (const step of steps) {
            if (step.do === "open") open.push(yield* openConnection({ port: server.port }))
            else if (step.do === "wait") yield* Effect.sleep("1 second")
            else if (open.length > 0) {
              const connection = open[step.to % open.length]!
              if (step.do === "write") {
                yield* Effect.forkChild(Effect.exit(connection.writer.write(new Uint8Array(step.size))))
              } else yield* Effect.forkChild(step.do === "close" ? connection.writer.close : connection.abort)
            }
            yield* Effect.yieldNow
            holds()
          }
          yield* Effect.exit(server.shutdown())
          yield* Effect.forEach(open, (connection) => connection.abort)
          holds()
          assert.strictEqual(telemetry.sum("connections.open"), 0)
          assert.strictEqual(telemetry.sum("connections.paused"), 0)
          assert.deepStrictEqual(
            telemetry.spans.filter(({ status }) => status._tag === "Started").map(({ name }) => name),
            []
          )
        })
      )
    )
  )
})
