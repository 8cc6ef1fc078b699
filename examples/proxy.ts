/**
 * A TCP proxy: each client is given a connection of its own to the backend, and both ends pass on to each other.
 *
 * Usage: npm run example:proxy                          (a backend, the proxy and a client, then ends)
 *        npm run example:proxy -- HOST PORT             (the proxy alone, to that backend, on LISTEN or 7008, until ctrl-C)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import { Connection, NodeNetwork, openConnection, StreamReader, StreamWriter, startServer } from "effect-byte-streams"

const startProxy = (port: number, backend: { readonly host: string; readonly port: number }) =>
  startServer(
    { host: "127.0.0.1", port },
    Effect.fnUntraced(function* (client) {
      const upstream = yield* openConnection({ ...backend, connectTimeout: "5 seconds" })
      const { backward, forward } = yield* Connection.relay(client, upstream)
      yield* Console.log(`passed on ${forward} bytes, and ${backward} back`)
    }, Effect.scoped)
  )

/** Answers each line in capitals, until the client ends its output. */
const shouting = ({ reader, writer }: Connection.Connection) =>
  StreamReader.lines(reader, { end: "required" }).pipe(
    Stream.map((line) => `${line.toUpperCase()}\n`),
    Stream.run(StreamWriter.sink(writer))
  )

const demo = Effect.gen(function* () {
  const backend = yield* startServer({ host: "127.0.0.1", port: 0 }, shouting)
  const proxy = yield* startProxy(0, { host: "127.0.0.1", port: backend.port })
  const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port: proxy.port })
  yield* writer.write("hello\nproxy\n")
  // the end goes through as well, and the answers still come back
  yield* writer.writeEof
  yield* Stream.runForEach(StreamReader.lines(reader, { end: "required" }), (line) => Console.log(`answered: ${line}`))
})

const serve = Effect.fnUntraced(function* (host: string, port: number) {
  const proxy = yield* startProxy(yield* Config.Int("LISTEN").pipe(Config.withDefault(7008)), { host, port })
  yield* Console.log(`127.0.0.1:${proxy.port} goes to ${host}:${port}`)
  return yield* Effect.never
})

const [host, port] = process.argv.slice(2)
const program = Effect.gen(function* () {
  yield* host === undefined ? demo : serve(host, Number(port))
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
