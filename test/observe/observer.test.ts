/** What an observer is told while connections are opened, upgraded and served; several observers, broken ones, and none. */
import { assert, describe, it } from "@effect/vitest"
import {
  type Connection,
  NodeNetwork,
  Observer,
  openConnection,
  startServer,
  StreamReader,
  type Tls
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { afterEach, vi } from "vitest"
import { Opening, Teller } from "../../src/internal/base/observing.ts"
import type { SessionConnection } from "../../src/internal/session/connection.ts"
import { Session } from "../../src/internal/session/session.ts"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { fake } from "../support/fakeTransport.ts"
import { logged } from "../support/logged.ts"
import { faultsOf, Recording } from "../support/observing.ts"
import { plainPair } from "../support/plainPair.ts"
import { closedPort } from "../support/rawPeer.ts"
import { tlsPair } from "../support/tlsPair.ts"
import { eventually, turns, within } from "../support/wait.ts"

const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost" }
const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity }

const inOrder = (recording: Recording) => {
  for (const story of recording.all) assert.deepStrictEqual(faultsOf(story), [])
}

/** Runs in a simulation, and answers what was told. */
const told = (
  program: Effect.Effect<unknown, unknown, any>,
  options?: TestNetwork.Options,
  recording = new Recording()
): Effect.Effect<Recording> =>
  Effect.gen(function* () {
    yield* Effect.exit(
      TestNetwork.simulate(Effect.provide(program, recording.layer) as Effect.Effect<unknown>, options)
    )
    // fibers that wake go on in the middle of what is told
    yield* turns(1)
    inOrder(recording)
    return recording
  })

const echo = ({ reader, writer }: Connection.Connection) =>
  Effect.flatMap(reader.readLine, (line) => writer.write(line))

describe("connecting", () => {
  it.live("is refused: the attempt, how it failed, and that connecting failed", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const recording = new Recording()
      yield* Effect.exit(Effect.scoped(openConnection({ host: "127.0.0.1", port }))).pipe(
        Effect.provide(Layer.merge(NodeNetwork.layer, recording.layer))
      )
      assert.deepStrictEqual(recording.client.tags, [
        "Connecting",
        "AttemptStarted",
        "AttemptFailed Refused",
        "ConnectFailed Refused"
      ])
      inOrder(recording)
    })
  )

  const memory = (options: TestNetwork.Options, more?: { readonly path?: string }) =>
    told(
      openConnection({ host: "server.example", port: 7000, connectTimeout: 900, ...more } as Connection.OpenOptions),
      options
    )

  it.live("is refused in memory, and at a path", () =>
    Effect.gen(function* () {
      const inet = yield* memory({})
      assert.deepStrictEqual(inet.client.tags, [
        "Connecting",
        "AttemptStarted",
        "AttemptFailed Refused",
        "ConnectFailed Refused"
      ])
      const path = yield* told(openConnection({ path: "/nobody" }))
      assert.deepStrictEqual(path.client.tags, [
        "Connecting",
        "AttemptStarted",
        "AttemptFailed NotFound",
        "ConnectFailed NotFound"
      ])
    })
  )

  it.live("takes too long: an attempt that is given up has no event of its own", () =>
    Effect.gen(function* () {
      const { client } = yield* memory({
        hosts: { "server.example": "10.1.1.1" },
        addresses: { "10.1.1.1": "Timeout" }
      })
      assert.deepStrictEqual(client.tags, ["Connecting", "AttemptStarted", "ConnectFailed Timeout"])
    })
  )

  it.live("finds no address: no attempt", () =>
    Effect.gen(function* () {
      const { client } = yield* memory({ hosts: { "server.example": [] } })
      assert.deepStrictEqual(client.tags, ["Connecting", "ConnectFailed HostNotFound"])
    })
  )

  it.live("tries several addresses, of which one is refused, one does not answer and one is there", () =>
    Effect.gen(function* () {
      const { client } = yield* told(
        Effect.gen(function* () {
          yield* startServer({ port: 7000 }, echo)
          const { reader, writer } = yield* openConnection({ host: "server.example", port: 7000 })
          yield* writer.write("hello\n")
          yield* reader.readLine
        }),
        {
          hosts: { "server.example": ["10.1.1.1", "10.1.1.2", "10.1.1.3"] },
          addresses: { "10.1.1.1": "Refused", "10.1.1.2": "Timeout" }
        }
      )
      assert.deepStrictEqual(client.tags.slice(0, 6), [
        "Connecting",
        "AttemptStarted",
        "AttemptFailed Refused",
        "AttemptStarted",
        "AttemptStarted",
        "Opened"
      ])
      const addresses = client.events.flatMap((event) => (event._tag === "AttemptStarted" ? [event.address] : []))
      assert.deepStrictEqual(addresses, ["10.1.1.1:7000", "10.1.1.2:7000", "10.1.1.3:7000"])
    })
  )

  it.live("is interrupted at any time: it ends with ConnectFailed, or with a connection that is closed", () =>
    Effect.gen(function* () {
      const ends = new Set<string>()
      for (let millis = 0; millis <= 60; millis += 2) {
        const { client } = yield* told(
          Effect.gen(function* () {
            yield* startServer({ port: 7000, tls: { identity: certificates.server.identity } }, echo)
            const tls = { ca: authority.cert, serverName: "localhost" }
            yield* Effect.timeoutOption(
              Effect.scoped(Effect.andThen(openConnection({ host: "server.example", port: 7000, tls }), Effect.never)),
              millis
            )
          }),
          { fromClient: { latency: 7 }, fromServer: { latency: 7 } }
        )
        if (client === undefined) continue
        ends.add(client.tags.at(-1)!)
        if (client.tags.includes("HandshakeStarted") && client.connection === undefined) {
          assert.include(client.tags, "HandshakeFailed GivenUp")
        }
      }
      assert.deepStrictEqual([...ends].sort(), ["Closed Aborted", "ConnectFailed GivenUp"])
    })
  )

  it.live("with TLS meets a certificate that it does not trust: each side is told of the handshake", () =>
    Effect.gen(function* () {
      const recording = yield* told(
        Effect.gen(function* () {
          yield* startServer(
            { port: 7000, tls: { identity: certificates.server.identity }, onHandshakeError: () => Effect.void },
            echo
          )
          yield* Effect.exit(openConnection({ host: "server.example", port: 7000, tls: { serverName: "localhost" } }))
          yield* Effect.sleep(100)
        })
      )
      const [client, server] = recording.all.toSorted((a, b) => a.tags.length - b.tags.length).toReversed()
      assert.deepStrictEqual(client!.tags, [
        "Connecting",
        "AttemptStarted",
        "HandshakeStarted",
        "HandshakeFailed Certificate",
        "ConnectFailed Certificate"
      ])
      assert.strictEqual(server!.tags[0], "HandshakeStarted")
      assert.match(server!.tags[1]!, /^HandshakeFailed /)
      assert.lengthOf(server!.tags, 2)
    })
  )
})

describe("servers", () => {
  const crowd = (overflow: "wait" | "reject", then: Effect.Effect<unknown, unknown, any> = Effect.void) =>
    told(
      Effect.gen(function* () {
        const server = yield* startServer({ port: 7000, maxConnections: 1, overflow, gracePeriod: 10 }, echo)
        const open = openConnection({ host: "server.example", port: 7000 })
        const first = yield* open
        yield* Effect.sleep(10)
        const second = yield* open
        yield* Effect.sleep(10)
        yield* Effect.provideService(then, Parts, { first, second, shutdown: server.shutdown() })
      })
    )

  const Parts = Context.Service<{
    readonly first: Connection.Connection
    readonly second: Connection.Connection
    readonly shutdown: Effect.Effect<unknown>
  }>("test/Parts")

  it.live("turn a client away: it is no connection, and has a number", () =>
    Effect.gen(function* () {
      const recording = yield* crowd("reject")
      assert.deepStrictEqual(recording.tellsOfServers, [
        "Listening",
        "Rejected Full",
        "ShutdownStarted",
        "ShutdownEnded"
      ])
      assert.lengthOf(recording.on("server"), 1)
      const rejected = recording.servers[1]!
      assert.isTrue(rejected._tag === "Rejected" && !recording.stories.has(rejected.id))
    })
  )

  it.live("admit a client that waited: it is open from then on", () =>
    Effect.gen(function* () {
      const recording = yield* crowd(
        "wait",
        Effect.gen(function* () {
          const { first, second } = yield* Parts
          for (const { reader, writer } of [first, second]) {
            yield* writer.write("hello\n")
            yield* reader.readLine
          }
        })
      )
      const [, waited] = recording.on("server")
      assert.deepStrictEqual(waited!.tags.slice(0, 2), ["Opened", "Admitted"])
      assert.strictEqual(waited!.at("Opened").state, "waiting")
      assert.strictEqual(waited!.at("Admitted").state, "open")
      assert.strictEqual(waited!.at("Closed").state, "closed")
    })
  )

  it.live("drop a client that waits when they shut down", () =>
    Effect.gen(function* () {
      const recording = yield* crowd(
        "wait",
        Effect.flatMap(Parts, ({ shutdown }) => shutdown)
      )
      const [served, waited] = recording.on("server")
      assert.deepStrictEqual(waited!.tags, ["Opened", "Closed Aborted"])
      assert.deepStrictEqual(served!.tags, ["Opened", "Closed Aborted"])
      assert.deepStrictEqual(recording.tellsOfServers, ["Listening", "ShutdownStarted", "ShutdownEnded"])
      const ended = recording.servers[2]!
      assert.isTrue(ended._tag === "ShutdownEnded" && ended.aborted === 1 && ended.completed === 0)
    })
  )
})

describe("upgrades", () => {
  const onTcp = <E>(program: Effect.Effect<unknown, E, any>) =>
    Effect.gen(function* () {
      const recording = new Recording()
      yield* Effect.scoped(program).pipe(
        Effect.provide(Layer.merge(NodeNetwork.layer, recording.layer))
      ) as Effect.Effect<unknown, E>
      inOrder(recording)
      return recording
    })

  const both = <A, E, R, A2, E2, R2>(one: Effect.Effect<A, E, R>, other: Effect.Effect<A2, E2, R2>) =>
    Effect.all([one, other], { concurrency: 2 })

  it.live("TLS begins: the number and the counts go on, and Upgraded comes with the facts of TLS", () =>
    Effect.gen(function* () {
      const recording = yield* onTcp(
        Effect.gen(function* () {
          const { client, peer } = yield* plainPair()
          yield* client.writer.write("plain\n")
          yield* peer.reader.readLine
          const [secure, secureTo] = yield* both(client.startTls(asClient), peer.startTls(asServer))
          yield* secure.writer.write("secret\n")
          yield* secureTo.reader.readLine
          yield* both(secure.writer.close, secureTo.reader.atEof)
        })
      )
      assert.lengthOf(recording.all, 2)
      const upgrade = ["Opened", "HandshakeStarted", "HandshakeSucceeded", "Upgraded"]
      assert.deepStrictEqual(recording.client.tags.slice(0, 6), ["Connecting", "AttemptStarted", ...upgrade])
      assert.deepStrictEqual(recording.server.tags.slice(0, 4), upgrade)
      for (const story of recording.all) {
        assert.isUndefined(story.at("Opened").info.tls)
        assert.isDefined(story.at("Upgraded").info.tls)
        assert.strictEqual(story.at("Upgraded").state, "open")
        assert.isDefined(story.connection!.info.tls)
      }
      assert.strictEqual(text(recording.client.out), "plain\nsecret\n")
      assert.strictEqual(text(recording.server.in), "plain\nsecret\n")
      assert.strictEqual(recording.client.connection!.snapshot().bytesWritten, 13)
      assert.strictEqual(recording.server.connection!.snapshot().bytesRead, 13)
      assert.strictEqual(recording.server.at("Upgraded").bytesRead, 6)
    })
  )

  it.live("TLS ends: what was read ahead counts once, in events, in snapshots and in failures of handlers", () =>
    Effect.gen(function* () {
      const failures: Array<{ readonly bytesRead: number; readonly bytesWritten: number }> = []
      const recording = yield* onTcp(
        Effect.gen(function* () {
          const server = yield* startServer(
            {
              host: "127.0.0.1",
              port: 0,
              tls: { identity: certificates.server.identity, stoppable: true },
              onHandlerError: ({ bytesRead, bytesWritten }) =>
                Effect.sync(() => void failures.push({ bytesRead, bytesWritten }))
            },
            (connection) =>
              Effect.gen(function* () {
                yield* connection.writer.write("in TLS\n")
                yield* connection.reader.readLine
                // "two\n" lies unread
                const plain = yield* connection.stopTls
                assert.strictEqual(text(yield* plain.reader.readLine), "two\n")
                assert.strictEqual(text(yield* plain.reader.readLine), "plain\n")
                yield* plain.writer.write("bye\n")
                yield* plain.writer.flush
                return yield* Effect.fail("enough")
              })
          )
          const client = yield* openConnection({
            host: "127.0.0.1",
            port: server.port,
            tls: { ca: authority.cert, serverName: "localhost", stoppable: true }
          })
          yield* client.writer.write("one\ntwo\n")
          yield* client.reader.readLine
          const plain = yield* client.stopTls
          yield* plain.writer.write("plain\n")
          yield* plain.reader.readLine
          yield* eventually("the handler fails", () => failures.length === 1)
        })
      )
      const upgraded = (tags: ReadonlyArray<string>) => tags.filter((tag) => tag === "Upgraded").length
      for (const story of [recording.client, recording.server]) {
        assert.strictEqual(upgraded(story.tags), 1)
        assert.isDefined(story.at("Opened").info.tls)
        assert.isUndefined(story.at("Upgraded").info.tls)
      }
      assert.deepStrictEqual(failures, [{ bytesRead: 14, bytesWritten: 11 }])
      assert.strictEqual(text(recording.server.in), "one\ntwo\nplain\n")
      assert.strictEqual(recording.server.connection!.snapshot().bytesRead, 14)
      assert.strictEqual(recording.server.connection!.snapshot().bytesWritten, 11)
      assert.strictEqual(recording.client.connection!.snapshot().bytesRead, 11)
    })
  )
  it.live("plain text ahead of TLS fails the upgrade: no handshake, and the connection is closed", () =>
    Effect.gen(function* () {
      const recording = yield* onTcp(
        Effect.gen(function* () {
          const { client, peer } = yield* plainPair()
          yield* peer.writer.write("injected")
          yield* eventually("it is there", () => (client as SessionConnection).session.reads.size === 8)
          yield* Effect.flip(client.startTls(asClient))
        })
      )
      assert.deepStrictEqual(recording.client.tags.slice(2), ["Opened", "Failed TlsFailed", "Closed Aborted"])
    })
  )

  it.live("a certificate that is not trusted fails the upgrade", () =>
    Effect.gen(function* () {
      const recording = yield* onTcp(
        Effect.gen(function* () {
          const { client, peer } = yield* plainPair()
          yield* both(
            Effect.flip(client.startTls({ side: "client", serverName: "localhost" })),
            Effect.flip(peer.startTls(asServer))
          )
        })
      )
      assert.deepStrictEqual(recording.client.tags.slice(2), [
        "Opened",
        "HandshakeStarted",
        "HandshakeFailed Certificate",
        "Failed TlsFailed",
        "Closed Aborted"
      ])
    })
  )

  for (const how of ["abort", "close", "interrupt"] as const) {
    it.live(`a handshake that the program gives up with ${how} ends in front of Closed, and is no failure`, () =>
      Effect.gen(function* () {
        const recording = yield* onTcp(
          Effect.gen(function* () {
            // the peer says nothing
            const { client } = yield* plainPair()
            const upgrading = yield* Effect.forkChild(Effect.exit(client.startTls(asClient)))
            yield* turns(20)
            if (how === "interrupt") yield* Fiber.interrupt(upgrading)
            else {
              yield* how === "abort" ? client.abort : client.writer.close
              yield* Fiber.join(upgrading)
            }
          })
        )
        assert.deepStrictEqual(recording.client.tags.slice(2), [
          "Opened",
          "HandshakeStarted",
          "HandshakeFailed GivenUp",
          "Closed Aborted"
        ])
      })
    )
  }

  it.live(
    "an upgrade that is given up at any time, by either side: all that begins ends, and nothing comes behind",
    () =>
      Effect.gen(function* () {
        const ends = new Set<string>()
        for (const who of ["client", "server"] as const) {
          for (const how of ["abort", "close", "interrupt"] as const) {
            for (let millis = 0; millis <= 60; millis += 4) {
              const giveUp = (connection: Connection.Connection) =>
                how === "abort" ? connection.abort : how === "close" ? connection.writer.close : Effect.void
              const upgrade = (side: "client" | "server") => (connection: Connection.Connection) =>
                Effect.gen(function* () {
                  const upgrading = connection.startTls(side === "client" ? asClient : asServer)
                  if (side !== who)
                    return yield* Effect.andThen(
                      Effect.flatMap(upgrading, ({ reader }) => reader.atEof),
                      Effect.void
                    )
                  const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(upgrading, Effect.sleep(10))))
                  yield* Effect.sleep(millis)
                  yield* giveUp(connection)
                  yield* Fiber.interrupt(fiber)
                })
              const { client, server } = yield* told(
                Effect.gen(function* () {
                  yield* startServer({ port: 7000, onHandlerError: () => Effect.void }, upgrade("server"))
                  yield* Effect.exit(
                    Effect.scoped(
                      Effect.flatMap(openConnection({ host: "server.example", port: 7000 }), upgrade("client"))
                    )
                  )
                  yield* Effect.sleep(100)
                }),
                { fromClient: { latency: 7 }, fromServer: { latency: 7 } }
              )
              for (const { tags } of [client, server]) ends.add(tags.at(-2)!)
            }
          }
        }
        // before, within and behind the handshake
        for (const end of ["HandshakeFailed GivenUp", "Failed TlsFailed", "Closing"])
          assert.isTrue(ends.has(end), [...ends].join())
      }),
    60_000
  )
})

describe("several observers, and broken ones", () => {
  const broken = () => {
    throw new Error("no good")
  }
  const throwing: Observer.Observer = {
    onEvent: broken,
    onBytes: broken,
    onReadStarted: broken,
    onReadEnded: broken,
    handlerContext: broken
  }

  const later = () => Promise.reject(new Error("no good"))
  // as a program has it whose members are async functions
  const throwingLater: Observer.Observer = {
    onEvent: later,
    onBytes: later,
    onReadStarted: later,
    onReadEnded: later,
    handlerContext: later as never
  }

  it.live.each(
    Object.entries({
      "throws everywhere": throwing,
      "throws later": throwingLater,
      "is merged of such": Observer.merge(throwingLater, throwing)
    })
  )("one that %s is logged once for each connection, also where TLS and connecting come first", ([, observer]) =>
    Effect.gen(function* () {
      const { layer, lines } = logged()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { client, peer } = yield* tlsPair()
          yield* client.writer.write("hello\n")
          assert.strictEqual(text(yield* peer.reader.readLine), "hello\n")
        })
      ).pipe(Effect.provide([NodeNetwork.layer, Observer.layer(observer), layer]))
      yield* turns(2)
      const errors = lines.filter((line) => line.includes("an observer has failed"))
      // two connections and a server
      assert.lengthOf(errors, 3)
      for (const line of errors) assert.match(line, /^Error /)
    })
  )

  it.live("one whose handlerContext is no context costs nobody anything, and the log says what it is", () => {
    const { layer, lines } = logged()
    const wrong = [async () => Context.empty(), () => null, () => ({})]
    return Effect.gen(function* () {
      for (const handlerContext of wrong) {
        const program = Effect.gen(function* () {
          const { port } = yield* startServer({ host: "127.0.0.1", port: 0 }, echo)
          const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port })
          yield* writer.write("hello\n")
          assert.strictEqual(text(yield* within("the echo", reader.readLine)), "hello\n")
        })
        const observer = Observer.layer({ handlerContext: handlerContext as never })
        yield* Effect.provide(Effect.scoped(program), [NodeNetwork.layer, observer, layer])
      }
      yield* turns(2)
      assert.lengthOf(lines, wrong.length)
      for (const line of lines) assert.include(line, "Observer: what handlerContext returns must be a Context, got ")
    })
  })

  it.live("all of a merged one are told although one throws, and each gives its context", () =>
    Effect.gen(function* () {
      const Left = Context.Reference("test/Left", { defaultValue: () => "nobody's" })
      const Right = Context.Reference("test/Right", { defaultValue: () => "nobody's" })
      const one = new Recording({ handlerContext: () => Context.make(Left, "the first's") })
      const other = new Recording({ handlerContext: () => Context.make(Right, "the last's") })
      const recording = new Recording(Observer.merge(one.observer, throwing, other.observer))
      const seen: Array<string> = []
      yield* Effect.provide(
        told(
          Effect.gen(function* () {
            yield* startServer({ port: 7000 }, (connection) =>
              Effect.gen(function* () {
                seen.push(yield* Left, yield* Right)
                yield* echo(connection)
              })
            )
            const { reader, writer } = yield* openConnection({ host: "server.example", port: 7000 })
            yield* writer.write("hello\n")
            yield* reader.readLine
          }),
          {},
          recording
        ),
        logged().layer
      )
      assert.deepStrictEqual(seen, ["the first's", "the last's"])
      assert.deepStrictEqual(one.server.tags, recording.server.tags)
      assert.deepStrictEqual(other.server.tags, recording.server.tags)
      assert.deepStrictEqual(other.client.reads, ["+readLine", "-readLine"])
      assert.deepStrictEqual(text(other.server.in), "hello\n")
    })
  )

  it.live("a layer adds to the observer in force, which is told first", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const noting = (name: string) =>
        Observer.layer({
          onEvent: ({ _tag }) => {
            if (_tag === "Opened") order.push(name)
          }
        })
      yield* Effect.scoped(fake()).pipe(
        Effect.provide(noting("upper").pipe(Layer.provideMerge(noting("lower")))),
        Effect.provide(noting("outer"))
      )
      assert.deepStrictEqual(order, ["outer", "lower", "upper"])
    })
  )

  it("what is no observer is told at once, by its name", () => {
    assert.throws(() => Observer.merge(1 as never), "Observer.merge: observer")
    assert.throws(() => Observer.merge({ onBytes: "no" } as never), "Observer.merge: observer.onBytes")
  })

  it.live("what an observer gives to handlers does not stand in front of the connection's own", () =>
    Effect.gen(function* () {
      const strange = StreamReader.fromBytes(new Uint8Array())
      const seen: Array<boolean> = []
      yield* told(
        Effect.gen(function* () {
          const done = yield* Deferred.make<void>()
          yield* startServer({ port: 7000 }, ({ reader }) =>
            Effect.gen(function* () {
              seen.push((yield* StreamReader.StreamReader) === reader)
              yield* Deferred.succeed(done, undefined)
            })
          )
          yield* openConnection({ host: "server.example", port: 7000 })
          yield* Deferred.await(done)
        }),
        {},
        new Recording({ handlerContext: () => Context.make(StreamReader.StreamReader, strange as never) })
      )
      assert.deepStrictEqual(seen, [true])
    })
  )
})

describe("without an observer", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it.live("nothing is made for it, on either side, over TCP and over TLS", () =>
    Effect.gen(function* () {
      const made = vi.spyOn(Opening.prototype, "handshakeStarted")
      const connecting = vi.spyOn(Opening.prototype, "connecting")
      const events = vi.spyOn(Teller.prototype, "event")
      const bytes = vi.spyOn(Teller.prototype, "bytes")
      yield* Effect.scoped(
        Effect.gen(function* () {
          for (const pair of [yield* plainPair(), yield* tlsPair()]) {
            yield* pair.client.writer.write("hello\n")
            yield* pair.peer.reader.readLine
            for (const connection of [pair.client, pair.peer]) {
              const { session } = connection as SessionConnection
              assert.isUndefined(session.told)
              assert.isUndefined(session.reads.observed)
            }
          }
        })
      ).pipe(Effect.provide(NodeNetwork.layer))
      for (const spy of [made, connecting, events, bytes]) assert.strictEqual(spy.mock.calls.length, 0)
    })
  )

  it.live("and with one, memory is shared as without: what is told is what a read gets", () =>
    Effect.gen(function* () {
      const recording = new Recording()
      const scope = yield* Scope.make()
      const { reader, transport } = yield* Scope.provide(fake(), scope).pipe(Effect.provide(recording.layer))
      const target = new Uint8Array(5)
      const reading = yield* Effect.forkChild(reader.readInto(target))
      yield* turns(1)
      // the transport writes over what it has lent as soon as that was delivered
      transport.push("hello")
      assert.strictEqual(yield* Fiber.join(reading), 5)
      assert.strictEqual(text(target), "hello")
      const [story] = recording.on(undefined)
      assert.strictEqual(text(story!.in), "hello")
      assert.isUndefined(story!.side)
      yield* Scope.close(scope, Exit.void)
      inOrder(recording)
    })
  )

  it.live("and with one, TLS on a socket is as direct as without, and memory of sockets is shared", () =>
    Effect.gen(function* () {
      const lent = vi.spyOn(Session.prototype, "onLent")
      const kinds = Effect.gen(function* () {
        const kindOf = (connection: Connection.Connection) =>
          (connection as SessionConnection).session.transport.constructor
        const plain = yield* plainPair()
        const reading = yield* Effect.forkChild(plain.client.reader.readInto(new Uint8Array(5)))
        yield* turns(2)
        yield* plain.peer.writer.write("hello")
        assert.strictEqual(yield* Fiber.join(reading), 5)
        const { client, peer } = yield* tlsPair()
        return { kinds: [kindOf(client), kindOf(peer)], lent: lent.mock.calls.length }
      }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
      const without = yield* kinds
      lent.mockClear()
      const recording = new Recording()
      const observed = yield* Effect.provide(kinds, recording.layer)
      assert.deepStrictEqual(observed, without)
      assert.strictEqual(text(recording.client.in), "hello")
    })
  )
})
