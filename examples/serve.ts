/**
 * A line server to try by hand, with `nc` or `telnet`. It answers each line with its length and its letters in reverse.
 *
 * Usage: npm run serve             (or PORT=9000 npm run serve; PORT=0 takes a free port)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Option } from "effect"
import { type Connection, NodeNetwork, startServer } from "effect-byte-streams"

const limit = 100

const answer = (line: string) => `${line.length} ${[...line].toReversed().join("")}\n`

const serveLines = Effect.fnUntraced(function* ({ reader, writer }: Connection.Connection) {
  yield* writer.write("Type lines; an empty one says goodbye.\n")
  const nextAnswer = reader.readLineText.pipe(
    Effect.map(Option.filter((line) => line !== "")),
    Effect.map(Option.map(answer)),
    Effect.catchTags({
      LimitOverrun: () => Effect.succeedSome(`more than ${limit} bytes: dropped\n`),
      IncompleteRead: ({ partial }) => Effect.succeedSome(`${partial.length} bytes without a line end: dropped\n`)
    })
  )
  // until an empty line, the end of what the client says, or ctrl-C
  for (let line = yield* nextAnswer; Option.isSome(line); line = yield* nextAnswer) yield* writer.write(line.value)
  yield* writer.write("Goodbye.\n")
})

const program = Effect.gen(function* () {
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(7007))
  // ctrl-C does not wait for a client who may never type again
  const server = yield* startServer({ host: "127.0.0.1", port, limit, whenDraining: "endIdleReads" }, serveLines)
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
