/** Spans: what a trace shows of a connection, whose part it is, and that every span comes to its end. */
import { assert, describe, it } from "@effect/vitest"
import {
  type Connection,
  type Network,
  NodeNetwork,
  Observer,
  openConnection,
  Server,
  startServer,
  Telemetry
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Context, Deferred, Effect, Fiber, Layer, Logger, References, type Scope, Tracer } from "effect"
import { SocketServer } from "effect/socket"
import * as fc from "fast-check"
import { authority, certificates, stranger } from "../support/certificates.ts"
import { attributesOf, endOf, type Measured, measured, parentOf } from "../support/measured.ts"
import { forAll } from "../support/property.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually } from "../support/wait.ts"

const host = "127.0.0.1"

const never = () => Effect.never

/** Runs a program on a simulated network, measured. */
const simulated = <A, E>(
  program: (telemetry: Measured) => Effect.Effect<A, E, Network.Network | TestNetwork.TestNetwork | Scope.Scope>,
  options?: TestNetwork.Options
) =>
  Effect.suspend(() => {
    const telemetry = measured()
    return TestNetwork.simulate(Effect.provide(program(telemetry), telemetry.layer), options)
  })

const onSockets = <A, E>(program: (telemetry: Measured) => Effect.Effect<A, E, Network.Network | Scope.Scope>) =>
  Effect.suspend(() => {
    const telemetry = measured()
    return Effect.provide(Effect.scoped(program(telemetry)), Layer.merge(NodeNetwork.layer, telemetry.layer))
  })

const echoOnce = ({ reader, writer }: Connection.Connection) =>
  Effect.flatMap(reader.readLine, (line) => writer.write(line))

const eventsOf = (span: Tracer.NativeSpan) => span.events.map(([name]) => name.replace("byte_streams.", ""))

/** The spans of both ends, told apart by their kind. */
const ofKind = (spans: ReadonlyArray<Tracer.NativeSpan>, kind: Tracer.SpanKind) =>
  spans.find((span) => span.kind === kind)!

describe("connecting", () => {
  it.effect("is part of the program that connects, and each attempt of it", () =>
    simulated(
      ({ spansOf }) =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 7 }, never)
          const open = openConnection({ host: "twice", port: server.port })
          yield* open.pipe(Effect.withSpan("the program"))
          const [connect, ...others] = spansOf("connect")
          assert.deepStrictEqual(others, [])
          assert.strictEqual((parentOf(connect!) as Tracer.Span).name, "the program")
          assert.strictEqual(connect!.kind, "client")
          assert.strictEqual(endOf(connect!), "ok")
          const { "byte_streams.connection.id": id, ...attributes } = attributesOf(connect!)
          assert.isNumber(id)
          assert.deepStrictEqual(attributes, {
            "server.address": "twice",
            "server.port": 7,
            "network.transport": "tcp",
            "network.peer.address": host,
            "network.peer.port": 7
          })
          const attempts = spansOf("connect.attempt")
          assert.deepStrictEqual(attempts.map(parentOf), [connect, connect])
          assert.deepStrictEqual(attempts.map(endOf), ["failed", "ok"])
          assert.deepStrictEqual(attempts.map(attributesOf), [
            {
              "network.peer.address": "10.0.0.1",
              "network.peer.port": 7,
              "network.transport": "tcp",
              "error.type": "ConnectFailed.Refused"
            },
            { "network.peer.address": host, "network.peer.port": 7, "network.transport": "tcp" }
          ])
        }),
      { hosts: { twice: ["10.0.0.1", host] } }
    )
  )

  it.effect("an attempt that is overtaken is given up", () =>
    simulated(
      ({ spansOf }) =>
        Effect.gen(function* () {
          yield* startServer({ host, port: 7 }, never)
          yield* openConnection({ host: "twice", port: 7 })
          const attempts = spansOf("connect.attempt")
          assert.deepStrictEqual(
            attempts.map((span) => [attributesOf(span)["network.peer.address"], endOf(span)]),
            [
              ["10.0.0.1", "interrupted"],
              [host, "ok"]
            ]
          )
        }),
      { hosts: { twice: ["10.0.0.1", host] }, addresses: { "10.0.0.1": "Timeout" } }
    )
  )

  it.effect("that fails ends with what the program is told, and leaves nothing open", () =>
    simulated(
      ({ spans, spansOf }) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(openConnection({ host: "silent", port: 7, connectTimeout: "1 second" }))
          const [connect] = spansOf("connect")
          assert.strictEqual(attributesOf(connect!)["error.type"], "ConnectFailed.Timeout")
          assert.strictEqual(connect!.status._tag, "Ended")
          if (connect!.status._tag !== "Ended") return
          assert.strictEqual(connect!.status.endTime - connect!.status.startTime, 1_000_000_000n)
          assert.include(JSON.stringify(connect!.status.exit), error.kind)
          assert.deepStrictEqual(spans.map(endOf), ["failed", "interrupted"])
        }),
      { hosts: { silent: "10.0.0.1" }, addresses: { "10.0.0.1": "Timeout" } }
    )
  )

  it.effect("that the program gives up is interrupted, and no failure", () =>
    simulated(
      ({ spans }) =>
        Effect.gen(function* () {
          const connecting = yield* Effect.forkChild(openConnection({ host: "silent", port: 7 }))
          yield* Effect.sleep("1 second")
          yield* Fiber.interrupt(connecting)
          assert.deepStrictEqual(spans.map(endOf), ["interrupted", "interrupted"])
        }),
      { hosts: { silent: "10.0.0.1" }, addresses: { "10.0.0.1": "Timeout" } }
    )
  )
})

describe("a connection", () => {
  it.live("over TLS is one trace for each side, with the facts of the handshake", () =>
    onSockets(({ spans, spansOf }) =>
      Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, tls: { identity: certificates.server.identity, alpnProtocols: ["chat"] } },
          echoOnce
        )
        const tls = { ca: authority.cert, serverName: "localhost", alpnProtocols: ["chat"] }
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { reader, writer } = yield* openConnection({ host, port: server.port, tls })
            yield* writer.write("hello\n")
            yield* reader.readLine
          })
        )
        yield* eventually("both ends have ended", () => spans.every((span) => endOf(span) !== "open"))
        const [connect] = spansOf("connect")
        const handshakes = spansOf("handshake")
        const connections = spansOf("connection")
        assert.strictEqual(handshakes.length, 2)
        assert.strictEqual(connections.length, 2)
        assert.strictEqual(parentOf(ofKind(handshakes, "client")), connect)
        assert.strictEqual(parentOf(ofKind(connections, "client")), connect)
        assert.isUndefined(parentOf(ofKind(handshakes, "server")))
        assert.strictEqual(parentOf(ofKind(connections, "server")), ofKind(handshakes, "server"))
        for (const span of [...handshakes, ...connections]) {
          const attributes = attributesOf(span)
          assert.strictEqual(endOf(span), "ok")
          assert.strictEqual(attributes["tls.protocol.name"], "tls")
          assert.strictEqual(attributes["tls.protocol.version"], "1.3")
          assert.strictEqual(attributes["tls.next_protocol"], "chat")
          assert.strictEqual(attributes["network.type"], "ipv4")
          assert.strictEqual(attributes["network.peer.address"], host)
        }
        for (const span of connections) {
          const attributes = attributesOf(span)
          assert.strictEqual(attributes["byte_streams.bytes.received"], 6)
          assert.strictEqual(attributes["byte_streams.bytes.sent"], 6)
          assert.strictEqual(attributes["byte_streams.close.outcome"], "Graceful")
        }
        assert.strictEqual(attributesOf(ofKind(connections, "client"))["network.peer.port"], server.port)
        assert.strictEqual(attributesOf(ofKind(connections, "server"))["network.local.port"], server.port)
      })
    )
  )

  it.live("over a Unix socket has a path for an address", () =>
    onSockets(({ spansOf }) =>
      Effect.gen(function* () {
        const path = yield* socketPath()
        yield* startServer({ path, gracePeriod: 0 }, never)
        yield* openConnection({ path })
        const [connect] = spansOf("connect")
        assert.strictEqual(attributesOf(connect!)["server.address"], path)
        assert.strictEqual(attributesOf(connect!)["network.transport"], "unix")
        yield* eventually("the server has the client", () => spansOf("connection").length === 2)
        const [client, server] = ["client", "server"].map((kind) => ofKind(spansOf("connection"), kind as "client"))
        assert.strictEqual(attributesOf(client!)["network.peer.address"], path)
        assert.strictEqual(attributesOf(server!)["network.local.address"], path)
        assert.strictEqual(attributesOf(server!)["network.transport"], "unix")
        assert.notProperty(attributesOf(server!), "network.type")
      })
    )
  )

  it.live("that begins TLS later has that as an event, and the handshake below it", () =>
    onSockets(({ spansOf }) =>
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, (connection) =>
          Effect.gen(function* () {
            yield* connection.writer.write("ready\n")
            yield* echoOnce(yield* connection.startTls({ side: "server", identity: certificates.server.identity }))
          })
        )
        const plain = yield* openConnection({ host, port: server.port })
        yield* plain.reader.readLine
        const tls = { side: "client", ca: authority.cert, serverName: "localhost" } as const
        const { reader, writer } = yield* plain.startTls(tls)
        yield* writer.write("hello\n")
        yield* reader.readLine
        for (const kind of ["client", "server"] as const) {
          const connection = ofKind(spansOf("connection"), kind)
          assert.strictEqual(parentOf(ofKind(spansOf("handshake"), kind)), connection)
          assert.include(eventsOf(connection), "upgraded")
          assert.strictEqual(attributesOf(connection)["tls.protocol.version"], "1.3")
        }
        assert.strictEqual(spansOf("connection").length, 2)
      })
    )
  )

  it.effect("that breaks ends with the loss, and tells of it where it happened", () =>
    simulated(({ spansOf }) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0 }, ({ reader }) => reader.readLine)
        const client = yield* openConnection({ port: server.port })
        const { settled } = yield* TestNetwork.TestNetwork
        yield* settled
        yield* client.abort
        yield* settled
        const broken = ofKind(spansOf("connection"), "server")
        assert.strictEqual(endOf(broken), "failed")
        assert.strictEqual(attributesOf(broken)["error.type"], "ConnectionLost.Reset")
        assert.deepStrictEqual(eventsOf(broken), ["failed"])
        const aborted = ofKind(spansOf("connection"), "client")
        assert.strictEqual(endOf(aborted), "ok")
        assert.strictEqual(attributesOf(aborted)["byte_streams.close.outcome"], "Aborted")
      })
    )
  )

  it.effect("tells when it was held back and why, when the peer was idle for too long, and when it closed", () =>
    simulated(({ spansOf }) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0 }, ({ writer }) => writer.write(new Uint8Array(200_000)))
        const { reader } = yield* openConnection({ port: server.port, timeouts: { idle: "10 seconds" } })
        yield* Effect.sleep("5 seconds")
        yield* reader.readExactly(200_000)
        yield* Effect.exit(reader.readLine)
        const client = ofKind(spansOf("connection"), "client")
        const paused = client.events.find(([name]) => name === "byte_streams.paused")!
        assert.deepStrictEqual(paused[2], {
          "network.io.direction": "receive",
          "byte_streams.pause.reason": "reader"
        })
        assert.include(eventsOf(client), "resumed")
        assert.include(eventsOf(client), "ended")
        assert.include(eventsOf(ofKind(spansOf("connection"), "server")), "closing")
      })
    )
  )

  it.effect("keeps the first 128 events, and counts the others", () =>
    simulated(({ spansOf }) =>
      Effect.gen(function* () {
        const size = 150_000
        const server = yield* startServer({ port: 0 }, ({ writer }) =>
          Effect.forever(writer.write(new Uint8Array(size)))
        )
        const client = yield* openConnection({ port: server.port })
        const { settled } = yield* TestNetwork.TestNetwork
        for (let i = 0; i < 100; i++) {
          yield* settled
          yield* client.reader.readExactly(size)
        }
        yield* client.abort
        yield* settled
        const span = ofKind(spansOf("connection"), "client")
        assert.strictEqual(span.events.length, 128)
        assert.isAbove(Number(attributesOf(span)["byte_streams.events.dropped"]), 50)
      })
    )
  )
})

describe("a server", () => {
  it.live("whose client fails in its handshake has the span of that, which is all", () =>
    onSockets(({ spans, spansOf }) =>
      Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, tls: { identity: certificates.server.identity }, onHandshakeError: () => Effect.void },
          never
        )
        yield* Effect.exit(openConnection({ host, port: server.port, tls: { ca: stranger.cert } }))
        yield* eventually("the server has seen it fail", () => spans.every((span) => endOf(span) !== "open"))
        assert.deepStrictEqual(spansOf("handshake").map(endOf), ["failed", "failed"])
        assert.strictEqual(endOf(spansOf("connect")[0]!), "failed")
        assert.deepStrictEqual(spansOf("connection"), [])
      })
    )
  )

  it.effect("its shutdown is part of the program that shuts it down, and tells how it went", () =>
    simulated(({ spansOf }) =>
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 7 }, never)
        yield* openConnection({ host, port: 7 })
        yield* (yield* TestNetwork.TestNetwork).settled
        yield* server.shutdown({ gracePeriod: "2 seconds" }).pipe(Effect.withSpan("the program"))
        const [shutdown] = spansOf("shutdown")
        assert.strictEqual((parentOf(shutdown!) as Tracer.Span).name, "the program")
        assert.strictEqual(endOf(shutdown!), "ok")
        assert.deepStrictEqual(attributesOf(shutdown!), {
          "server.address": host,
          "server.port": 7,
          "byte_streams.shutdown.grace_period": 2,
          "byte_streams.shutdown.completed": 0,
          "byte_streams.shutdown.aborted": 1
        })
        assert.strictEqual(shutdown!.status._tag, "Ended")
        if (shutdown!.status._tag !== "Ended") return
        assert.strictEqual(shutdown!.status.endTime - shutdown!.status.startTime, 2_000_000_000n)
      })
    )
  )

  it.effect("its handlers run within the span of their connection", () =>
    simulated(({ spans, spansOf }) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0 }, (connection) =>
          Effect.withSpan(echoOnce(connection), "the handler")
        )
        const { reader, writer } = yield* openConnection({ port: server.port })
        yield* writer.write("hello\n")
        yield* reader.readLine
        const handler = spans.find(({ name }) => name === "the handler")!
        assert.strictEqual(parentOf(handler), ofKind(spansOf("connection"), "server"))
      })
    )
  )

  it.effect("so do those of a server of Effect's sockets", () =>
    simulated(({ spans, spansOf }) =>
      Effect.gen(function* () {
        const services = yield* Layer.build(Server.layerSocketServer({ port: 7000 }))
        const done = yield* Deferred.make<void>()
        yield* Context.get(services, SocketServer.SocketServer)
          .run(() => Effect.withSpan(Deferred.succeed(done, undefined), "the handler"))
          .pipe(Effect.forkScoped)
        yield* openConnection({ port: 7000 })
        yield* Deferred.await(done)
        const handler = spans.find(({ name }) => name === "the handler")!
        assert.strictEqual(parentOf(handler), ofKind(spansOf("connection"), "server"))
      })
    )
  )

  it.effect("its handlers' logs say whose they are, beside what the server's own say", () =>
    Effect.gen(function* () {
      const logs: Array<Readonly<Record<string, unknown>>> = []
      const logger = Logger.make(({ fiber }) => {
        logs.push(fiber.getRef(References.CurrentLogAnnotations))
      })
      yield* simulated(({ connections }) =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, (connection) =>
            Effect.andThen(Effect.log("serving"), echoOnce(connection))
          ).pipe(Effect.annotateLogs({ service: "echo" }))
          const { info, reader, writer } = yield* openConnection({ host, port: server.port })
          yield* writer.write("hello\n")
          yield* reader.readLine
          const served = connections.find(({ side }) => side === "server")!
          const { local } = info
          assert.deepStrictEqual(logs, [
            {
              service: "echo",
              "byte_streams.connection.id": served.id,
              "network.peer.address": host,
              "network.peer.port": local?._tag === "UnixPathAddress" ? undefined : local?.port
            }
          ])
        }).pipe(Effect.provide(Logger.layer([logger])))
      )
    })
  )
})

describe("whatever is told while a connection is opened and open", () => {
  const address = "10.0.0.1:7"
  const info = { local: undefined, remote: undefined }
  const before = fc.constantFrom<Observer.Event>(
    { _tag: "AttemptStarted", id: 1, address },
    { _tag: "AttemptStarted", id: 1, address: "10.0.0.2:7" },
    { _tag: "AttemptFailed", id: 1, attempt: { address, kind: "Refused" } },
    { _tag: "HandshakeStarted", id: 1, side: "client", info },
    { _tag: "HandshakeSucceeded", id: 1, side: "client", info },
    { _tag: "HandshakeFailed", id: 1, side: "client", info, error: undefined }
  )
  const snapshot = { bytesRead: 1, bytesWritten: 2, state: "open" } as Observer.ConnectionSnapshot
  const connection: Observer.ObservedConnection = { id: 1, side: "client", info, snapshot: () => snapshot }

  it.live("its spans have all ended behind the last event", () =>
    forAll(
      fc.record({ attempts: fc.array(before), later: fc.array(before), opens: fc.boolean() }),
      ({ attempts, later, opens }) => {
        const { below, spans } = measured()
        return Effect.gen(function* () {
          const { onEvent } = yield* Telemetry.make()
          onEvent!({ _tag: "Connecting", id: 1, target: "there:7" })
          for (const event of attempts) onEvent!(event)
          if (opens) {
            onEvent!({ _tag: "Opened", connection })
            for (const event of later) onEvent!(event)
            onEvent!({ _tag: "Closed", connection, outcome: { _tag: "Graceful" } })
          } else onEvent!({ _tag: "ConnectFailed", id: 1, target: "there:7", error: undefined })
          assert.deepStrictEqual(
            spans.filter((span) => endOf(span) === "open").map(({ name }) => name),
            []
          )
        }).pipe(Effect.provide(below))
      }
    )
  )
})

describe("several observers", () => {
  it.effect("each add to the annotations of a handler's logs, and none takes away what others have added", () =>
    Effect.gen(function* () {
      let found: Readonly<Record<string, unknown>> = {}
      const annotating = (name: string) =>
        Observer.layer({
          handlerContext: (_, context) =>
            Context.make(References.CurrentLogAnnotations, {
              ...Context.get(context, References.CurrentLogAnnotations),
              [name]: true
            }) as Context.Context<never>
        })
      const observers = annotating("above").pipe(
        Layer.provideMerge(Telemetry.layer()),
        Layer.provideMerge(annotating("below"))
      )
      const program = Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, ({ writer }) =>
          Effect.gen(function* () {
            found = yield* References.CurrentLogAnnotations
            yield* writer.write("hello\n")
          })
        ).pipe(Effect.annotateLogs({ server: true }))
        const { reader } = yield* openConnection({ host, port: server.port })
        yield* reader.readLine
      })
      yield* TestNetwork.simulate(Effect.provide(Effect.scoped(program), observers))
      assert.deepStrictEqual(Object.keys(found).sort(), [
        "above",
        "below",
        "byte_streams.connection.id",
        "network.peer.address",
        "network.peer.port",
        "server"
      ])
    })
  )
})

describe("no spans are made", () => {
  const connects = Effect.scoped(
    Effect.gen(function* () {
      const server = yield* startServer({ port: 0, gracePeriod: 0 }, ({ writer }) =>
        Effect.andThen(writer.write("hello\n"), Effect.never)
      )
      const { reader } = yield* openConnection({ port: server.port })
      yield* reader.readLine
    })
  )

  it.effect("if the program wants none", () =>
    Effect.gen(function* () {
      const telemetry = measured({ spans: false })
      yield* TestNetwork.simulate(Effect.provide(connects, telemetry.layer))
      assert.deepStrictEqual(telemetry.spans, [])
      assert.strictEqual(telemetry.sum("connections.opened"), 2)
    })
  )

  it.effect("by a client that turned its tracer off, as exporters do, and the server makes its own", () =>
    simulated(({ spans }) =>
      Effect.gen(function* () {
        const server = yield* startServer({ port: 0, gracePeriod: 0 }, never)
        yield* openConnection({ port: server.port }).pipe(Effect.withTracerEnabled(false))
        yield* (yield* TestNetwork.TestNetwork).settled
        assert.deepStrictEqual(
          spans.map(({ kind, name }) => [kind, name]),
          [["server", "byte_streams.connection"]]
        )
      })
    )
  )

  it.effect("where the tracer is Effect's own, whose spans nobody sees", () =>
    Effect.gen(function* () {
      let parent: Tracer.AnySpan | undefined
      const served = Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startServer({ port: 0 }, ({ writer }) =>
            Effect.gen(function* () {
              parent = (yield* Effect.context<never>()).mapUnsafe.get(Tracer.ParentSpanKey) as Tracer.AnySpan
              yield* writer.write("hello\n")
            })
          )
          const { reader } = yield* openConnection({ port: server.port })
          yield* reader.readLine
        })
      )
      const [layer, telemetry] = [Telemetry.layer(), measured()]
      yield* TestNetwork.simulate(Effect.provide(served, layer))
      assert.isUndefined(parent)
      yield* TestNetwork.simulate(Effect.provide(served, telemetry.layer))
      assert.strictEqual(parent, ofKind(telemetry.spansOf("connection"), "server"))
    })
  )
})
