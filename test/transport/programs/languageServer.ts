/**
 * A language server in small: requests and answers in JSON, each with its length in front, on the standard input and output.
 *
 * It knows `initialize`, `count` (the characters of a text), `shutdown`, and the notification `exit`, after which it is done
 * although its input is open. Arguments: `log` writes to the standard error meanwhile.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Logger, Option } from "effect"
import { Connection, Frame } from "effect-byte-streams"

interface Request {
  readonly id?: number
  readonly method: string
  readonly params?: { readonly text: string }
}

const message = Frame.contentLength({ maxBytes: 10_000_000 }, Frame.utf8Rest)

const answerTo = ({ method, params }: Request): unknown => {
  switch (method) {
    case "initialize":
      return { capabilities: { count: true } }
    case "count":
      return { length: params?.text.length, text: params?.text }
    default:
      return null
  }
}

const serve = Effect.gen(function* () {
  const { reader, writer } = yield* Connection.stdio()
  yield* Effect.log("serving")
  const next = reader.readFrameOption(message)
  for (let text = yield* next; Option.isSome(text); text = yield* next) {
    const request = JSON.parse(text.value) as Request
    yield* Effect.log(request.method)
    if (request.method === "exit") return
    yield* writer.writeFrame(message, JSON.stringify({ id: request.id, result: answerTo(request) }))
  }
})

serve.pipe(
  Effect.scoped,
  // the standard output is the protocol's: `runMain` would report a failure there
  Effect.tapCause((cause) => Effect.logError(cause)),
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
