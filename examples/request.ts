/**
 * A request/response client in which each way to fail has a type, and so an answer.
 *
 * Each attempt opens a connection of its own: a lost one is never used again, and a question is never answered with
 * what was meant for the one before it.
 *
 * Usage: npm run example:request
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schedule, Schema } from "effect"
import { type Connection, type Network, NodeNetwork, openConnection, startServer } from "effect-byte-streams"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd()

// ---------------------------------------------------------------------------
// the client
// ---------------------------------------------------------------------------

/** The server understood, and says no. */
class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { reason: Schema.String }) {}

const askOnce = Effect.fnUntraced(
  function* (port: number, question: string) {
    yield* Console.log(`   asking: ${question}`)
    const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port, limit: 1000 })
    yield* writer.write(`${question}\n`)
    // not readLine: an answer that was cut short is no answer
    const answer = text(yield* reader.readUntil("\n"))
    if (answer.startsWith("no: ")) return yield* new Rejected({ reason: answer.slice(4) })
    return answer
  },
  // the connection ends with the attempt, and is aborted if it failed or took too long
  Effect.scoped,
  Effect.timeout("300 millis")
)

/** Only what a new connection may cure is tried again. The server may have heard the question twice: mind what you ask. */
const ask = (port: number, question: string) =>
  askOnce(port, question).pipe(
    Effect.retry({
      while: (error) => error._tag === "ConnectionLost",
      schedule: Schedule.exponential("10 millis"),
      times: 4
    })
  )

/** Each way to fail has an answer; the type says that none is left. */
const askAndExplain = (port: number, question: string): Effect.Effect<string, never, Network.Network> =>
  ask(port, question).pipe(
    Effect.map((answer) => `the answer is ${answer}`),
    Effect.catchTags({
      Rejected: ({ reason }) => Effect.succeed(`the server says no: ${reason}`),
      ConnectFailed: ({ kind }) => Effect.succeed(`there is no server: ${kind}`),
      ConnectionLost: ({ kind }) => Effect.succeed(`every connection was lost: ${kind}`),
      IncompleteRead: ({ partial }) => Effect.succeed(`the answer ended early: "${text(partial)}"`),
      LimitOverrun: ({ limit }) => Effect.succeed(`the answer is longer than ${limit} bytes`),
      TimeoutError: () => Effect.succeed("no answer in time"),
      StreamTimeout: ({ kind }) => Effect.succeed(`no answer in time (${kind})`)
    }),
    // what is left (closed, busy, TLS) would be a mistake in this program
    Effect.orDie
  )

// ---------------------------------------------------------------------------
// a server with moods
// ---------------------------------------------------------------------------

const makeHandler = () => {
  let flakyAsked = 0
  const answer = Effect.fnUntraced(function* ({ abort, reader, writer }: Connection.Connection) {
    switch (text(yield* reader.readUntil("\n"))) {
      case "plain":
        return yield* writer.write("42\n")
      case "flaky":
        return yield* ++flakyAsked < 3 ? abort : writer.write(`42, at attempt ${flakyAsked}\n`)
      case "broken":
        return yield* abort
      case "cut":
        return yield* writer.write("forty-")
      case "endless":
        return yield* writer.write(`${"4".repeat(5000)}\n`)
      case "slow":
        return yield* Effect.never
      default:
        return yield* writer.write("no: what is that?\n")
    }
  })
  // whoever does not wait for the answer any more need not be served
  return (connection: Connection.Connection) => Effect.raceFirst(answer(connection), connection.closed)
}

const program = Effect.gen(function* () {
  const server = yield* startServer({ host: "127.0.0.1", port: 0 }, makeHandler())
  for (const question of ["plain", "flaky", "broken", "cut", "endless", "slow", "rubbish"]) {
    yield* Console.log(yield* askAndExplain(server.port, question))
  }
  yield* server.shutdown()
  yield* Console.log(yield* askAndExplain(server.port, "plain"))
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
