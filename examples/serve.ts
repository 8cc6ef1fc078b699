/**
 * A line server to try by hand, with `nc` or `telnet`. It answers each line with its length and its letters in reverse.
 *
 * Usage: npm run serve             (or PORT=9000 npm run serve; PORT=0 takes a free port)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect } from "effect"
import { type Connection, NodeNetwork, Server, startServer } from "effect-byte-streams"

const limit = 100

const answer = (line: string) => `${line.length} ${[...line].toReversed().join("")}\n`

const serveLines = Effect.fnUntraced(function* ({ reader, writer }: Connection.Connection) {
  yield* writer.write("Type lines; an empty one says goodbye.\n")
  while (true) {
    const line = yield* reader.readLine.pipe(
      Effect.map((bytes) => new TextDecoder().decode(bytes).trimEnd()),
      Effect.catchTag("LimitOverrun", () => Effect.succeed(undefined))
    )
    if (line === "") break
    yield* writer.write(line === undefined ? `more than ${limit} bytes: dropped\n` : answer(line))
  }
  yield* writer.write("Goodbye.\n")
})

const handler = (connection: Connection.Connection) =>
  Effect.raceFirst(
    serveLines(connection),
    // ctrl-C: say so, instead of keeping the server waiting for a client who may never type again
    Effect.andThen(Server.draining, connection.writer.write("The server is going down.\n"))
  )

const program = Effect.gen(function* () {
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(7007))
  const server = yield* startServer({ host: "127.0.0.1", port, limit }, handler)
  yield* Console.log(`listening on 127.0.0.1:${server.port}; in another terminal:

  nc 127.0.0.1 ${server.port}                                      a conversation
  seq 5 | nc -N 127.0.0.1 ${server.port}                           five lines at once
  printf '%01000d\\nnext\\n' 1 | nc -N 127.0.0.1 ${server.port}     a line over the limit of ${limit} bytes, and the next

ctrl-C ends it
`)
  yield* Effect.addFinalizer(() => Console.log("going down"))
  return yield* Effect.never
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
