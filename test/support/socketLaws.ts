/** What sockets for Effect's own programs promise, as laws: each runs on a network in memory, in time that passes by itself. */
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Socket, SocketServer } from "effect/socket"
import * as Connection from "../../src/Connection.ts"
import { Network } from "../../src/Network.ts"
import * as Server from "../../src/Server.ts"
import * as TestNetwork from "../../src/testing/TestNetwork.ts"

interface SocketLaw {
  readonly name: string
  readonly check: Effect.Effect<void, unknown>
}

const port = 7000
const host = "server.example"

const law = (
  name: string,
  program: Effect.Effect<unknown, unknown, Network | TestNetwork.TestNetwork | Scope.Scope>
): SocketLaw => ({ name, check: Effect.asVoid(TestNetwork.simulate(program)) })

const expect = (what: string, found: unknown, expected: unknown): void => {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${what}: ${b} was expected, and ${a} was found`)
}

const why = ({ reason }: Socket.SocketError): string =>
  reason._tag === "SocketCloseError" ? `close ${reason.code} ${reason.closeReason ?? ""}`.trimEnd() : reason._tag

const listening = (options?: Omit<Server.Options, "host" | "port" | "path">) =>
  Effect.map(Layer.build(Server.layerSocketServer({ port, ...options })), (services) => ({
    server: Context.get(services, Server.Server),
    sockets: Context.get(services, SocketServer.SocketServer)
  }))

const serving = (handler: (socket: Socket.Socket) => Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const { server, sockets } = yield* listening()
    yield* Effect.forkScoped(sockets.run(handler), { startImmediately: true })
    return server
  })

/** Keeps what each client sends, until it ends. */
const keeping = (received: Array<string>) => (socket: Socket.Socket) =>
  Effect.scoped(
    Effect.gen(function* () {
      const index = received.push("") - 1
      const pull = yield* Socket.readerString(socket)
      while (true) received[index] += (yield* pull).join("")
    })
  ).pipe(Effect.ignore)

const reading = (socket: Socket.Socket): Effect.Effect<Socket.SocketError> =>
  Effect.scoped(Effect.flatMap(socket.reader, ({ pull }) => Effect.forever(pull))).pipe(
    Effect.flip,
    Effect.map((error) => error as Socket.SocketError)
  )

const dialling = Connection.makeSocket({ host, port })

const nowhere = Layer.succeed(Network)({
  connect: () => Effect.die(new Error("another network was asked")),
  listen: () => Effect.die(new Error("another network was asked"))
})

export const socketLaws: ReadonlyArray<SocketLaw> = [
  law(
    "the network is that of the program that made the socket",
    Effect.gen(function* () {
      yield* serving(keeping([]))
      const socket = yield* dialling
      yield* Effect.provide(Effect.scoped(socket.reader), nowhere)
    })
  ),
  law(
    "each acquisition of the reader opens a connection, and a write without one waits for it",
    Effect.gen(function* () {
      const received: Array<string> = []
      yield* serving(keeping(received))
      const socket = yield* dialling
      const writer = yield* socket.writer
      for (const word of ["one", "two"]) {
        const writing = yield* Effect.forkChild(writer.write(word), { startImmediately: true })
        yield* Effect.sleep("1 minute")
        expect("a write without a connection", writing.pollUnsafe(), undefined)
        yield* Effect.scoped(Effect.andThen(socket.reader, Fiber.join(writing)))
      }
      yield* TestNetwork.settled
      expect("what arrives", received, ["one", "two"])
    })
  ),
  law(
    "a write that waits is dropped with its fiber, and with its writer's scope",
    Effect.gen(function* () {
      const received: Array<string> = []
      yield* serving(keeping(received))
      const socket = yield* dialling
      const scope = yield* Scope.make()
      const brief = yield* Scope.provide(socket.writer, scope)
      const writer = yield* socket.writer
      const given = yield* Effect.forkChild(writer.write("given up"), { startImmediately: true })
      const ended = yield* Effect.forkChild(brief.write("ended"), { startImmediately: true })
      yield* Fiber.interrupt(given)
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(ended)
      const late = yield* Effect.flip(brief.write("late"))
      expect("a write after its writer's scope", why(late), "SocketWriteError")
      yield* Effect.scoped(Effect.andThen(socket.reader, writer.write("sent")))
      yield* TestNetwork.settled
      expect("what arrives", received, ["sent"])
    })
  ),
  law(
    "what one connection has accepted is never sent on another",
    Effect.gen(function* () {
      const received: Array<string> = []
      let count = 0
      yield* serving((socket) =>
        count++ === 0 ? Effect.scoped(Effect.andThen(socket.reader, Effect.never)) : keeping(received)(socket)
      )
      const socket = yield* Connection.makeSocket({ host, port, closeTimeout: 0, highWaterMark: 1000 })
      const writer = yield* socket.writer
      const scope = yield* Scope.make()
      yield* Scope.provide(socket.reader, scope)
      const writing = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], () => writer.write("a".repeat(500_000)), { discard: true }),
        { startImmediately: true }
      )
      yield* Effect.sleep("1 second")
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.interrupt(writing)
      yield* Effect.scoped(Effect.andThen(socket.reader, writer.write("b")))
      yield* TestNetwork.settled
      expect("what arrives on the second", received, ["b"])
    })
  ),
  law(
    "a write on a connection that is lost is dropped, and pull tells the loss",
    Effect.gen(function* () {
      const server = yield* serving((socket) => Effect.scoped(Effect.andThen(socket.reader, Effect.never)))
      const socket = yield* Connection.makeSocket({ host, port, highWaterMark: 1000 })
      const writer = yield* socket.writer
      const { pull } = yield* socket.reader
      const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
      const writing = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(writer.write("a".repeat(200_000)), { startImmediately: true })
      )
      yield* Effect.sleep("1 second")
      yield* server.abortClients
      yield* Fiber.joinAll(writing)
      yield* writer.write("late")
      expect("the loss", why(yield* Fiber.join(pulling)), "SocketReadError")
    })
  ),
  law(
    "the end of the reader's scope fails the pull that waits with 1006, and then sends what was written",
    Effect.gen(function* () {
      const received: Array<string> = []
      yield* serving(keeping(received))
      const socket = yield* dialling
      const writer = yield* socket.writer
      const scope = yield* Scope.make()
      const { pull } = yield* Scope.provide(socket.reader, scope)
      const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
      yield* writer.write("a".repeat(300_000))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.fail("failed")), { startImmediately: true })
      expect("the pull", why(yield* Fiber.join(pulling)), "close 1006")
      yield* Fiber.join(closing)
      yield* TestNetwork.settled
      expect("how much arrives", received[0]?.length, 300_000)
    })
  ),
  law(
    "the end of the reader's scope waits for a peer that does not read, for 2 seconds at most",
    Effect.gen(function* () {
      yield* serving((socket) => Effect.scoped(Effect.andThen(socket.reader, Effect.never)))
      const socket = yield* dialling
      const writer = yield* socket.writer
      const scope = yield* Scope.make()
      yield* Scope.provide(socket.reader, scope)
      yield* Effect.forkChild(writer.write("a".repeat(1_000_000)), { startImmediately: true })
      yield* Effect.sleep("1 second")
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      expect("how long it takes", Math.round(Duration.toMillis(took)), 2000)
    })
  ),
  law(
    "a CloseEvent comes back from pull, with its code and its reason",
    Effect.gen(function* () {
      const received: Array<string> = []
      yield* serving(keeping(received))
      const socket = yield* dialling
      const writer = yield* socket.writer
      const { pull } = yield* socket.reader
      yield* writer.write("last words")
      yield* writer.write(new Socket.CloseEvent(4321, "enough"))
      expect("the end", why(yield* Effect.flip(pull)), "close 4321 enough")
      yield* TestNetwork.settled
      expect("what arrives", received, ["last words"])
    })
  ),
  law(
    "a client that breaks off is a close with code 1006 for the server",
    Effect.gen(function* () {
      const ends: Array<Socket.SocketError> = []
      yield* serving((socket) => Effect.map(reading(socket), (error) => void ends.push(error)))
      const client = yield* Connection.openConnection({ host, port })
      yield* TestNetwork.settled
      yield* client.abort
      yield* TestNetwork.settled
      expect(
        "the end",
        ends.map((end) => why(end).slice(0, 10)),
        ["close 1006"]
      )
    })
  ),
  law(
    "clients that come before run wait for it, and those that come after it for the next",
    Effect.gen(function* () {
      const { sockets } = yield* listening()
      for (const round of ["one", "two"]) {
        const received: Array<string> = []
        const client = yield* Connection.openConnection({ host, port })
        yield* client.writer.write(round)
        yield* TestNetwork.settled
        const running = yield* Effect.forkChild(sockets.run(keeping(received)), { startImmediately: true })
        yield* TestNetwork.settled
        expect("what the run has received", received, [round])
        yield* Fiber.interrupt(running)
        expect("its client", (yield* client.closed)._tag, "PeerEof")
      }
    })
  ),
  law(
    "the end of a server does not wait for clients that nobody serves",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(listening(), scope)
      const client = yield* Connection.openConnection({ host, port })
      yield* TestNetwork.settled
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      expect("how long it takes", Math.round(Duration.toMillis(took)), 0)
      expect("the client", (yield* client.closed)._tag, "Lost")
    })
  ),
  law(
    "the end of the reader's scope is the end of a server's connection, with all that was written",
    Effect.gen(function* () {
      yield* serving((socket) =>
        Effect.gen(function* () {
          const writer = yield* socket.writer
          const exit = yield* Effect.exit(
            Effect.scoped(
              Effect.andThen(Effect.andThen(socket.reader, writer.write("all of it")), Effect.fail("failed"))
            )
          )
          expect("the exit", Exit.isFailure(exit) && Cause.squash(exit.cause), "failed")
          return yield* Effect.never
        }).pipe(Effect.scoped)
      )
      const { reader } = yield* Connection.openConnection({ host, port })
      const answer = new TextDecoder().decode(yield* reader.readAll({ maxBytes: 100 }))
      expect("what arrives", answer, "all of it")
    })
  )
]
