/**
 * An echo server, and a client that talks to it.
 *
 * Usage: npm run example:echo                 (server and client, then ends)
 *        npm run example:echo -- --serve      (the server alone, on PORT or 7007, until ctrl-C)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import {
  type Connection,
  NodeNetwork,
  openConnection,
  StreamReader,
  StreamWriter,
  startServer
} from "effect-byte-streams"

/** Sends everything back until the client ends its output. A slow client slows the reading down, not the memory up. */
const echo = ({ reader, writer }: Connection.Connection) =>
  StreamReader.stream(reader).pipe(Stream.run(StreamWriter.sink(writer)))

const startEcho = (port: number) => startServer({ host: "127.0.0.1", port }, echo)

const client = Effect.fnUntraced(function* (port: number) {
  const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port })

  yield* writer.write("one\ntwo\nthr")
  yield* writer.write("ee\n")
  yield* writer.writeEof

  yield* StreamReader.lines(reader, { end: "required" }).pipe(
    Stream.runForEach((line) => Console.log(`echoed: ${line}`))
  )
  yield* Console.log(`end of stream: ${yield* reader.atEof}`)
})

const both = Effect.gen(function* () {
  const server = yield* startEcho(0)
  yield* client(server.port)
})

const serve = Effect.gen(function* () {
  const server = yield* startEcho(yield* Config.Int("PORT").pipe(Config.withDefault(7007)))
  yield* Console.log(`try: nc 127.0.0.1 ${server.port}`)
  return yield* Effect.never
})

const program = Effect.gen(function* () {
  yield* process.argv.includes("--serve") ? serve : both
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
