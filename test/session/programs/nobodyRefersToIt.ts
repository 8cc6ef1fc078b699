/**
 * A program for `node --expose-gc`: connections to which nobody refers but the scope that owns them, and a garbage
 * collector that runs all the time. Prints what became of each.
 */
import { type Connection, NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import { Deferred, Effect, Fiber, Scope } from "effect"
import * as Net from "node:net"

const host = "127.0.0.1"
const collect = (globalThis as unknown as { readonly gc: () => void }).gc

/** Lets the collector run, and the event loop, often enough for everything unreachable to be gone. */
const collectGarbage = Effect.gen(function* () {
  for (let i = 0; i < 4; i++) {
    collect()
    yield* Effect.sleep(2)
  }
})

/** A bare client that remembers what it got, and whether it saw the end. */
const bareClient = (port: number) =>
  Effect.callback<{ readonly socket: Net.Socket; text: string; ended: boolean }>((resume) => {
    const socket = Net.connect({ host, port })
    const client = { socket, text: "", ended: false }
    socket.on("data", (chunk) => (client.text += String(chunk)))
    socket.on("close", () => (client.ended = true))
    socket.on("error", () => {})
    socket.on("connect", () => resume(Effect.succeed(client)))
  })

const eventually = (holds: () => boolean) =>
  Effect.gen(function* () {
    for (let i = 0; i < 2000 && !holds(); i++) yield* Effect.sleep(1)
    return holds()
  })

const handlerThatWaits = Effect.gen(function* () {
  const server = yield* startServer({ host, port: 0 }, ({ reader, writer }) =>
    Effect.flatMap(reader.readLine, (line) => writer.write(line))
  )
  const client = yield* bareClient(server.port)
  yield* collectGarbage
  const early = client.ended
  client.socket.write("are you still there?\n")
  const answered = yield* eventually(() => client.ended)
  return { early, answered, text: client.text }
}).pipe(Effect.scoped)

const handlerThatDoesNothing = Effect.gen(function* () {
  const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, () => Effect.never)
  const client = yield* bareClient(server.port)
  yield* collectGarbage
  const early = client.ended
  const count = yield* server.connections
  yield* server.shutdown()
  const ended = yield* eventually(() => client.ended)
  client.socket.destroy()
  return { early, count, ended }
}).pipe(Effect.scoped)

const connectionThatIsDropped = Effect.gen(function* () {
  const accepted = yield* Deferred.make<Connection.Connection>()
  const ended: Array<string> = []
  const server = yield* startServer({ host, port: 0 }, (connection) =>
    Effect.gen(function* () {
      yield* Deferred.succeed(accepted, connection)
      ended.push((yield* connection.closed)._tag)
    })
  )
  const scope = yield* Scope.make()
  // only the scope knows it from here on
  yield* Effect.asVoid(Scope.provide(openConnection({ host, port: server.port }), scope))
  yield* Deferred.await(accepted)
  yield* collectGarbage
  const early = ended.length > 0
  yield* Scope.close(scope, yield* Effect.exit(Effect.void))
  return { early, ended: yield* eventually(() => ended.length === 1) }
}).pipe(Effect.scoped)

const readerAlone = Effect.gen(function* () {
  const { port, write } = yield* Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly write: () => void; readonly server: Net.Server }>((resume) => {
      let write = () => {}
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        write = () => void socket.end("for whoever still listens\n")
      })
      server.listen(0, host, () =>
        resume(Effect.succeed({ port: (server.address() as Net.AddressInfo).port, write: () => write(), server }))
      )
    }),
    ({ server }) => Effect.sync(() => void server.close())
  )
  // the writer and the connection are dropped at once
  const reading = yield* Effect.forkChild(
    Effect.flatMap(
      Effect.map(openConnection({ host, port }), ({ reader }) => reader),
      (reader) => reader.readLine
    )
  )
  yield* collectGarbage
  write()
  return { text: new TextDecoder().decode(yield* Fiber.join(reading)) }
}).pipe(Effect.scoped)

const closedOnesAreCollected = Effect.gen(function* () {
  const server = yield* startServer({ host, port: 0 }, ({ reader, writer }) =>
    Effect.flatMap(reader.readLine, (line) => writer.write(line))
  )
  const references: Array<WeakRef<Connection.Connection>> = []
  for (let i = 0; i < 20; i++) {
    yield* Effect.scoped(
      Effect.gen(function* () {
        const connection = yield* openConnection({ host, port: server.port })
        references.push(new WeakRef(connection))
        yield* connection.writer.write("hello\n")
        yield* connection.reader.readLine
      })
    )
  }
  let left = references.length
  for (let i = 0; i < 20 && left > 0; i++) {
    yield* collectGarbage
    left = references.filter((reference) => reference.deref() !== undefined).length
  }
  return { left }
}).pipe(Effect.scoped)

/** What a reader and a writer say that were kept beyond the end of their connection, which they do not keep alive. */
const endedOnesAreLetGo = Effect.gen(function* () {
  const kept: Array<Pick<Connection.Connection, "reader" | "writer">> = []
  const references: Array<WeakRef<object>> = []
  const server = yield* startServer({ host, port: 0 }, (connection) => {
    const { reader, writer } = connection
    kept.push({ reader, writer })
    // what has the socket
    references.push(new WeakRef(Reflect.get(connection, "session") as object))
    return Effect.gen(function* () {
      for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) yield* writer.write(line)
    })
  })
  for (let i = 0; i < 20; i++) {
    yield* Effect.scoped(
      Effect.gen(function* () {
        const { reader, writer } = yield* openConnection({ host, port: server.port })
        yield* writer.write("hello\n")
        yield* reader.readLine
      })
    )
  }
  let left = references.length
  for (let i = 0; i < 20 && left > 0; i++) {
    yield* collectGarbage
    left = references.filter((reference) => reference.deref() !== undefined).length
  }
  const said = new Set<string>()
  for (const { reader, writer } of kept) {
    const read = yield* Effect.flip(reader.readLine)
    const written = yield* Effect.flip(writer.write("too late"))
    const atEof = yield* reader.atEof
    const isClosing = yield* writer.isClosing
    yield* writer.writeEof
    const { _tag } = yield* writer.close
    said.add(`${read.message}, ${written.message}, ${String(atEof)}, ${String(isClosing)}, ${_tag}`)
  }
  return { kept: kept.length, left, said: [...said] }
}).pipe(Effect.scoped)

const program = Effect.gen(function* () {
  console.log(
    JSON.stringify({
      handlerThatWaits: yield* handlerThatWaits,
      handlerThatDoesNothing: yield* handlerThatDoesNothing,
      connectionThatIsDropped: yield* connectionThatIsDropped,
      readerAlone: yield* readerAlone,
      closedOnesAreCollected: yield* closedOnesAreCollected,
      endedOnesAreLetGo: yield* endedOnesAreLetGo
    })
  )
})

await Effect.runPromise(Effect.provide(program, NodeNetwork.layer))
