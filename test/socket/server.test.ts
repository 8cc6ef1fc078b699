/** `Server.layerSocketServer`: what a server promises to those who are written against Effect's socket servers. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, References, Scheduler, Scope } from "effect"
import { Connection, NodeNetwork, Observer, openConnection, Server } from "effect-byte-streams"
import { Socket, SocketServer } from "effect/socket"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { pattern } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { logged } from "../support/logged.ts"
import { connectRaw } from "../support/rawPeer.ts"
import { echo, everywhere, overSockets, type Place, pullText, served, why } from "../support/sockets.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"
import { ActsBefore } from "../support/yieldingSchedulers.ts"

/** A server that nobody runs yet. */
const listening = (place: Place, options?: Parameters<Place["listen"]>[0]) =>
  Effect.map(Layer.build(place.listen(options)), (services) => ({
    server: Context.get(services, Server.Server),
    sockets: Context.get(services, SocketServer.SocketServer)
  }))

const idle = (server: Server.Server) =>
  eventuallyEffect(
    "nobody is served",
    Effect.map(server.connections, (count) => count === 0)
  )

/** Says who serves it, and then nothing until the client has gone. */
const greeting = (words: string) => (socket: Socket.Socket) =>
  Effect.scoped(
    Effect.gen(function* () {
      const writer = yield* socket.writer
      const { pull } = yield* socket.reader
      yield* writer.write(words)
      return yield* Effect.forever(pull)
    })
  ).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void))

for (const { kind, network, place } of everywhere) {
  describe(`Server.layerSocketServer, over ${kind}`, () => {
    it.live("clients that come before run wait for it, and so do their bytes", () =>
      Effect.gen(function* () {
        const at = yield* place
        const { sockets } = yield* listening(at)
        const clients = yield* Effect.forEach([1, 2], (number) =>
          Effect.gen(function* () {
            const connection = yield* openConnection(at.dial())
            yield* connection.writer.write(`client ${number}`)
            return connection
          })
        )
        yield* turns(10)
        yield* Effect.forkScoped(sockets.run(echo))
        for (const [index, { reader }] of clients.entries()) {
          const answer = yield* within("the echo", reader.readExactly(8))
          assert.strictEqual(Buffer.from(answer).toString(), `client ${index + 1}`)
        }
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("the end of a run interrupts its handlers, and clients that come then wait for the next", () =>
      Effect.gen(function* () {
        const at = yield* place
        const { server, sockets } = yield* listening(at)
        let interrupted = 0
        const first = yield* Effect.forkChild(
          sockets.run((socket) =>
            Effect.onInterrupt(greeting("first")(socket), () => Effect.sync(() => void interrupted++))
          ),
          { startImmediately: true }
        )
        const one = yield* openConnection(at.dial())
        assert.strictEqual(Buffer.from(yield* within("one", one.reader.readExactly(5))).toString(), "first")
        yield* within("the end of the run", Fiber.interrupt(first))
        assert.strictEqual(interrupted, 1)
        // in good order
        assert.deepStrictEqual(yield* within("its client is told", one.closed), { _tag: "PeerEof" })
        yield* idle(server)
        const two = yield* openConnection(at.dial())
        yield* turns(10)
        assert.strictEqual(yield* two.reader.buffered, 0)
        yield* Effect.forkScoped(sockets.run(greeting("second")))
        assert.strictEqual(Buffer.from(yield* within("two", two.reader.readExactly(6))).toString(), "second")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("of several runs the last one that goes on has the clients that come", () =>
      Effect.gen(function* () {
        const at = yield* place
        const { sockets } = yield* listening(at)
        const [a, b, c] = yield* Effect.forEach(["a", "b", "c"], (name) =>
          Effect.forkChild(sockets.run(greeting(name)), { startImmediately: true })
        )
        const next = Effect.gen(function* () {
          const { reader } = yield* openConnection(at.dial())
          return Buffer.from(yield* within("the greeting", reader.readExactly(1))).toString()
        })
        assert.strictEqual(yield* next, "c")
        yield* Fiber.interrupt(b!)
        assert.strictEqual(yield* next, "c")
        yield* Fiber.interrupt(c!)
        assert.strictEqual(yield* next, "a")
        yield* Fiber.interrupt(a!)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a client that breaks off before run is forgotten, and one that has asked for something is served", () =>
      Effect.gen(function* () {
        const at = yield* place
        const { server, sockets } = yield* listening(at)
        const lost = yield* openConnection(at.dial())
        const asking = yield* openConnection(at.dial())
        yield* asking.writer.write("hello")
        yield* asking.writer.writeEof
        yield* eventuallyEffect(
          "both are there",
          Effect.map(server.connections, (count) => count === 2)
        )
        yield* lost.abort
        if (kind !== "Unix") {
          yield* eventuallyEffect(
            "one is left",
            Effect.map(server.connections, (count) => count === 1)
          )
        }
        yield* Effect.forkScoped(sockets.run(echo))
        const answer = yield* within("the echo", asking.reader.readExactly(5))
        assert.strictEqual(Buffer.from(answer).toString(), "hello")
        yield* idle(server)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("closeClients also ends clients that nobody serves", () =>
      Effect.gen(function* () {
        const at = yield* place
        const { server } = yield* listening(at)
        const client = yield* openConnection(at.dial())
        yield* eventuallyEffect(
          "it is there",
          Effect.map(server.connections, (count) => count === 1)
        )
        yield* within("closeClients", server.closeClients)
        yield* within("the client is told", client.closed)
        yield* idle(server)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a client that ends in good order is a close with code 1000, behind what it has sent", () =>
      Effect.gen(function* () {
        const at = yield* place
        const seen = yield* Deferred.make<ReadonlyArray<string>>()
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const { pull } = yield* socket.reader
              const words = yield* pullText(pull, 10)
              yield* Deferred.succeed(seen, [words, why(yield* Effect.flip(pull))])
            })
          )
        )
        const client = yield* openConnection(at.dial())
        yield* client.writer.write("last words")
        yield* client.writer.close
        assert.deepStrictEqual(yield* within("the end", Deferred.await(seen)), ["last words", "close 1000"])
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a client that breaks off is a close with code 1006, and writes to it are dropped", () =>
      Effect.gen(function* () {
        const at = yield* place
        const seen = yield* Deferred.make<string>()
        const there = yield* Deferred.make<void>()
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const writer = yield* socket.writer
              const { pull } = yield* socket.reader
              yield* Deferred.succeed(there, undefined)
              const end = why(yield* Effect.flip(pull))
              yield* writer.write("nobody reads this")
              yield* writer.writeAll(["nor", "this"])
              // to connect again is not what a client's socket does
              const again = yield* Effect.flip(Effect.scoped(socket.reader))
              yield* Deferred.succeed(seen, `${end}\n${why(again)}`)
            })
          )
        )
        const client = yield* openConnection(at.dial())
        yield* within("it is served", Deferred.await(there))
        yield* client.abort
        const said = (yield* within("the end", Deferred.await(seen))).split("\n")
        // Unix sockets know no reset
        if (kind === "Unix") assert.deepStrictEqual(said, ["close 1000", "close 1000"])
        else {
          assert.match(said[0]!, /^close 1006: pull: the connection to \S+ was lost \(Reset, ECONNRESET\)$/)
          assert.match(said[1]!, /^close 1006: peek: the connection to \S+ was lost \(Reset, ECONNRESET\)$/)
        }
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("abortClients is a close with code 1006, a timeout as well, and a CloseEvent has its own code", () =>
      Effect.gen(function* () {
        const at = yield* place
        const ends: Array<string> = []
        const server = yield* served(
          at,
          (socket) =>
            Effect.scoped(
              Effect.gen(function* () {
                const writer = yield* socket.writer
                const { pull } = yield* socket.reader
                const words = yield* pullText(pull, 5)
                if (words === "close") yield* writer.write(new Socket.CloseEvent(1009, "too much"))
                ends.push(why(yield* Effect.flip(pull)))
              })
            ),
          { timeouts: { read: 200 } }
        )
        for (const words of ["close", "wait "]) {
          const client = yield* openConnection(at.dial())
          yield* client.writer.write(words)
          yield* within("the client is told", client.closed)
        }
        yield* eventually("both have ended", () => ends.length === 2)
        const client = yield* openConnection(at.dial())
        yield* client.writer.write("abort")
        yield* turns(5)
        yield* server.abortClients
        yield* eventually("all have ended", () => ends.length === 3)
        assert.strictEqual(ends[0], "close 1009: too much")
        assert.match(ends[1]!, /^close 1006: pull: the Read timeout of 200ms expired/)
        assert.match(ends[2]!, /^close 1006: /)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("the end of the reader's scope sends what was written, and closes the connection", () =>
      Effect.gen(function* () {
        const at = yield* place
        const sent = pattern(2_000_000)
        const server = yield* served(at, (socket) =>
          Effect.gen(function* () {
            const writer = yield* socket.writer
            const scope = yield* Scope.make()
            const { pull } = yield* Scope.provide(socket.reader, scope)
            yield* Effect.forkChild(writer.write(sent), { startImmediately: true })
            const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
            yield* Scope.close(scope, Exit.fail("failed"))
            assert.strictEqual(why(yield* Fiber.join(pulling)), "close 1006")
            return yield* Effect.never
          }).pipe(Effect.scoped)
        )
        const client = yield* openConnection(at.dial())
        const received = yield* within("all of it", client.reader.readAll({ maxBytes: "unbounded" }))
        assert.strictEqual(Buffer.compare(received, sent), 0)
        assert.strictEqual(yield* server.connections, 1)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a handler that fails has its output sent, and is told of as any handler", () =>
      Effect.gen(function* () {
        const at = yield* place
        const told: Array<Server.HandlerFailure> = []
        const sent = pattern(500_000)
        yield* served(
          at,
          (socket) =>
            Effect.scoped(
              Effect.gen(function* () {
                const writer = yield* socket.writer
                yield* writer.write(sent)
                return yield* Effect.fail("out of order")
              })
            ),
          { onHandlerError: (failure) => Effect.sync(() => void told.push(failure)) }
        )
        const client = yield* openConnection(at.dial())
        const received = yield* within("all of it", client.reader.readAll({ maxBytes: "unbounded" }))
        assert.strictEqual(Buffer.compare(received, sent), 0)
        yield* eventually("it is told of", () => told.length === 1)
        assert.strictEqual(Cause.squash(told[0]!.cause), "out of order")
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a handler has the services around run, those of its connection, and no span", () =>
      Effect.gen(function* () {
        class Around extends Context.Service<Around, string>()("Around") {}
        const at = yield* place
        const { sockets } = yield* listening(at)
        const seen = yield* Deferred.make<ReadonlyArray<unknown>>()
        const elsewhere = yield* openConnection(at.dial())
        const handler = (socket: Socket.Socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const connection = yield* Connection.Connection
              const { pull } = yield* socket.reader
              const words = yield* pullText(pull, 5)
              const span = yield* Effect.option(Effect.currentParentSpan)
              if (words === "hello") {
                yield* Deferred.succeed(seen, [
                  yield* Around,
                  connection === elsewhere,
                  span._tag,
                  connection.info.tls?.peerCertificate?.subject
                ])
              }
            })
          )
        yield* sockets
          .run(handler)
          .pipe(
            Effect.provideService(Around, "around"),
            Effect.provideService(Connection.Connection, elsewhere),
            Effect.withSpan("run"),
            Effect.forkScoped
          )
        const client = yield* openConnection(at.dial())
        yield* client.writer.write("hello")
        assert.deepStrictEqual(yield* within("the handler", Deferred.await(seen)), [
          "around",
          false,
          "None",
          kind === "TLS" ? "CN=client" : undefined
        ])
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("maxConnections holds, and clients above it wait for a place", () =>
      Effect.gen(function* () {
        const at = yield* place
        const server = yield* served(at, greeting("hello"), { maxConnections: 1 })
        const first = yield* openConnection(at.dial())
        yield* within("the first", first.reader.readExactly(5))
        const second = yield* openConnection(at.dial())
        yield* eventuallyEffect(
          "one waits",
          Effect.map(server.waiting, (count) => count === 1)
        )
        assert.strictEqual(yield* second.reader.buffered, 0)
        yield* first.writer.close
        yield* within("the second", second.reader.readExactly(5))
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("Server.shutdown gives handlers time, and takes no client meanwhile", () =>
      Effect.gen(function* () {
        const at = yield* place
        const go = yield* Deferred.make<void>()
        const server = yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const writer = yield* socket.writer
              yield* writer.write("begun, ")
              yield* Deferred.await(go)
              yield* writer.write("done")
            })
          )
        )
        const client = yield* openConnection(at.dial())
        yield* within("it has begun", client.reader.readExactly(7))
        const ending = yield* Effect.forkChild(server.shutdown({ gracePeriod: "5 seconds" }), {
          startImmediately: true
        })
        yield* turns()
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(openConnection(at.dial())))))
        yield* Deferred.succeed(go, undefined)
        assert.strictEqual(Buffer.from(yield* within("it is done", client.reader.readExactly(4))).toString(), "done")
        assert.deepStrictEqual(yield* within("the shutdown", Fiber.join(ending)), { completed: 1, aborted: 0 })
      }).pipe(Effect.scoped, Effect.provide(network))
    )
  })
}

describe("Server.layerSocketServer", () => {
  it.live(
    "a handler that ends as its client did is a line at level Debug, and one that this side has closed is none",
    () => {
      const { layer, lines } = logged()
      return Effect.gen(function* () {
        const [tcp] = overSockets
        const at = yield* tcp!.place
        let over = 0
        const server = yield* served(at, (socket) =>
          Effect.scoped(Effect.flatMap(socket.reader, ({ pull }) => Effect.forever(pull))).pipe(
            Effect.ensuring(Effect.sync(() => over++))
          )
        )
        const client = yield* connectRaw(at.dial().port!)
        yield* eventuallyEffect(
          "it is there",
          Effect.map(server.connections, (count) => count === 1)
        )
        yield* client.reset
        yield* eventually("it is logged", () => lines.length === 1)
        assert.match(
          lines[0]!,
          /^Debug (the connection of \S+|a connection) ended: 1006: pull: the connection to \S+ was lost/
        )
        yield* connectRaw(at.dial().port!)
        yield* eventuallyEffect(
          "it is there",
          Effect.map(server.connections, (count) => count === 1)
        )
        yield* server.closeClients
        yield* eventually("both have ended", () => over === 2)
        yield* turns()
        assert.strictEqual(lines.length, 1)
      }).pipe(Effect.scoped, Effect.provide([layer, NodeNetwork.layer]))
    }
  )

  it.live("a run that ends at any step of a handler that begins ends that one as well", () =>
    Effect.gen(function* () {
      const place = { host: "127.0.0.1", port: 7000, gracePeriod: 0 }
      let begun = 0
      for (let step = 1; step <= 80; step++) {
        const scheduler = new ActsBefore(step)
        yield* Effect.gen(function* () {
          const services = yield* Layer.build(Server.layerSocketServer(place))
          let going = 0
          const handler = Effect.suspend(() => {
            going = 1
            begun++
            return Effect.never
          }).pipe(Effect.onExit(() => Effect.sync(() => void (going = 0))))
          const run = yield* Effect.forkChild(
            Context.get(services, SocketServer.SocketServer).run(() => handler),
            { startImmediately: true }
          )
          scheduler.watch(() => run.interruptUnsafe())
          yield* openConnection(place)
          yield* turns()
          yield* within("the end of the run", Fiber.interrupt(run))
          assert.strictEqual(going, 0, `before step ${step}`)
        }).pipe(
          Effect.scoped,
          Effect.provide(Layer.fresh(TestNetwork.layer)),
          Effect.provideService(Scheduler.Scheduler, scheduler)
        )
      }
      assert.isAbove(begun, 0)
    })
  )

  it.effect("what an observer gives to handlers is theirs, beside what is around run, and is made once", () => {
    let made = 0
    const observer = Observer.layer({
      handlerContext: (connection, context) => {
        made++
        const annotations = { ...Context.get(context, References.CurrentLogAnnotations), of: connection.side }
        return Context.make(References.CurrentLogAnnotations, annotations) as Context.Context<never>
      }
    })
    const program = Effect.gen(function* () {
      const services = yield* Layer.build(Server.layerSocketServer({ port: 7000 }))
      const seen = yield* Deferred.make<Readonly<Record<string, unknown>>>()
      yield* Context.get(services, SocketServer.SocketServer)
        .run(() => Effect.flatMap(References.CurrentLogAnnotations, (found) => Deferred.succeed(seen, found)))
        .pipe(Effect.annotateLogs({ around: "run" }), Effect.forkScoped)
      yield* openConnection({ port: 7000 })
      assert.deepStrictEqual(yield* Deferred.await(seen), { around: "run", of: "server" })
      assert.strictEqual(made, 1)
    })
    return TestNetwork.simulate(Effect.provide(Effect.scoped(program), observer))
  })

  it.live("leaves nothing, whether its handlers read or not", () =>
    Effect.gen(function* () {
      const before = held()
      for (const { place } of overSockets) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const at = yield* place
            let count = 0
            yield* served(at, (socket) => (count++ % 2 === 0 ? Effect.void : echo(socket)))
            for (let i = 0; i < 6; i++) {
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const client = yield* openConnection(at.dial())
                  yield* Effect.ignore(client.writer.write("hello"))
                  if (i % 3 === 0) yield* client.abort
                })
              )
            }
          })
        )
      }
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an address that is taken fails the layer with ListenFailed, and a wrong option dies", () =>
    Effect.gen(function* () {
      const [tcp] = overSockets
      const at = yield* tcp!.place
      yield* listening(at)
      const failed = yield* Effect.flip(listening(at))
      assert.strictEqual((failed as { readonly _tag: string })._tag, "ListenFailed")
      const wrong = yield* Effect.exit(Layer.build(Server.layerSocketServer({ port: 0, limit: -1 })))
      assert(Exit.isFailure(wrong))
      assert.include(String(Cause.squash(wrong.cause)), "Server.layerSocketServer: limit must be")
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )

  it("runs in simulated time, over a slow network", () =>
    Effect.runPromise(
      TestNetwork.simulate(
        Effect.gen(function* () {
          yield* served(
            { listen: (options) => Server.layerSocketServer({ port: 7000, ...options }), dial: () => ({ port: 7000 }) },
            echo
          )
          const socket = yield* Connection.makeSocket({ host: "echo.example", port: 7000 })
          const writer = yield* socket.writer
          const { pull } = yield* socket.reader
          yield* writer.write("hello")
          assert.strictEqual(yield* pullText(pull, 5), "hello")
        }),
        { fromServer: { latency: "10 seconds" } }
      )
    ))
})
