/**
 * A request/response client in which each way to fail has a type, and so an answer.
 *
 * One connection serves all questions, and comes back when it is lost. A question that nobody waits for any more is
 * answered all the same, and its answer is given to nobody else. One that may have been heard is not asked again by itself:
 * that is for the program to decide.
 *
 * Usage: npm run example:request
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schedule, Schema } from "effect"
import { type Connection, Exchange, Frame, NodeNetwork, openConnection, startServer } from "effect-byte-streams"

const line = Frame.line({ maxBytes: 1000 })

// ---------------------------------------------------------------------------
// the client
// ---------------------------------------------------------------------------

/** The server understood, and says no. */
class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { reason: Schema.String }) {}

type Client = Exchange.Exchange<string, string>

/** A client over connections that come and go. */
const connect = (port: number) =>
  Exchange.makeReconnecting(
    Effect.flatMap(openConnection({ host: "127.0.0.1", port }), (connection) =>
      Exchange.makePipelined(connection, { request: line, response: line, callTimeout: "300 millis" })
    ),
    { schedule: Schedule.exponential("10 millis"), whileDown: "wait", waitTimeout: "1 second" }
  )

const askOnce = Effect.fnUntraced(function* (client: Client, question: string) {
  yield* Console.log(`   asking: ${JSON.stringify(question)}`)
  const answer = yield* client.call(question)
  if (answer.startsWith("no: ")) return yield* new Rejected({ reason: answer.slice(4) })
  return answer
})

/** These questions may be heard twice, and so what is lost with its connection is asked again. */
const ask = (client: Client, question: string) =>
  askOnce(client, question).pipe(
    Effect.retry({
      while: (error) => error._tag === "RequestLost" && error.cause._tag === "ConnectionLost",
      schedule: Schedule.exponential("10 millis"),
      times: 4
    })
  )

/** Each way to fail has an answer; the type says that none is left. */
const askAndExplain = (client: Client, question: string): Effect.Effect<string> =>
  ask(client, question).pipe(
    Effect.map((answer) => `the answer is ${answer}`),
    Effect.catchTags({
      Rejected: ({ reason }) => Effect.succeed(`the server says no: ${reason}`),
      EncodeFailed: ({ reason }) => Effect.succeed(`that is no question: ${reason}`),
      StreamTimeout: () => Effect.succeed("no answer in time"),
      RequestLost: ({ cause, sent }) => Effect.succeed(`lost (${cause._tag}); was it sent? ${sent}`)
    })
  )

// ---------------------------------------------------------------------------
// a server with moods
// ---------------------------------------------------------------------------

const makeHandler = () => {
  let flakyAsked = 0
  return (connection: Connection.Connection) => {
    const { abort, writer } = connection
    // what is answered is a value; `undefined` is no answer
    const answer = Effect.fnUntraced(function* (question: string) {
      switch (question) {
        case "plain":
          return "42"
        case "flaky":
          return ++flakyAsked < 3 ? yield* Effect.as(abort, undefined) : `42, at attempt ${flakyAsked}`
        case "cut":
          return yield* Effect.as(Effect.andThen(writer.write("forty-"), writer.close), undefined)
        case "endless":
          return yield* Effect.as(writer.write(`${"4".repeat(5000)}\n`), undefined)
        case "slow":
          return yield* Effect.delay(Effect.succeed("too late for whoever asked, and nobody else's"), "500 millis")
        default:
          return "no: what is that?"
      }
    })
    return Exchange.serve(connection, { request: line, response: line }, answer)
  }
}

const program = Effect.gen(function* () {
  const server = yield* startServer({ host: "127.0.0.1", port: 0, onHandlerError: () => Effect.void }, makeHandler())
  const client = yield* connect(server.port)
  for (const question of ["plain", "flaky", "two\nlines", "cut", "endless", "slow", "plain", "rubbish"]) {
    yield* Console.log(yield* askAndExplain(client, question))
  }
  yield* client.close
  yield* Console.log(yield* askAndExplain(client, "plain"))
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
