/**
 * An application made of layers: settings, a network, a server and its data, a connection, and a service on top of it.
 *
 * The program at the end knows the service only. That there is a connection under it, of which kind, and to whom, is
 * said once, where the layers are put together.
 *
 * Usage: npm run example:layers       (DICTIONARY_SOCKET=path says where the server listens)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Context, Effect, Layer, Option, Schema } from "effect"
import { Connection, Exchange, Frame, NodeNetwork, Server } from "effect-byte-streams"
import { tmpdir } from "node:os"
import { join } from "node:path"

// one word a line, one meaning a line
const line = Frame.line({ maxBytes: 1000 })

// ---------------------------------------------------------------------------
// settings
// ---------------------------------------------------------------------------

const socketPath = Config.String("DICTIONARY_SOCKET").pipe(
  Config.withDefault(join(tmpdir(), `dictionary-${process.pid}.sock`))
)

// ---------------------------------------------------------------------------
// the server, and the data that its handlers need
// ---------------------------------------------------------------------------

class Words extends Context.Service<Words, { readonly meanings: ReadonlyMap<string, string> }>()("example/Words") {
  static readonly layer = Layer.succeed(Words, {
    meanings: new Map([
      ["byte", "eight bits"],
      ["stream", "bytes that have yet to arrive"]
    ])
  })
}

const handler = (connection: Connection.Connection) =>
  Exchange.serve(connection, { request: line, response: line }, (word) =>
    Effect.map(Words, ({ meanings }) => meanings.get(word) ?? "")
  )

const ServerLive = Server.layerConfig({ path: socketPath }, handler).pipe(Layer.provide(Words.layer))

// ---------------------------------------------------------------------------
// a service on top of a connection
// ---------------------------------------------------------------------------

class DictionaryFailed extends Schema.TaggedError<DictionaryFailed>()("DictionaryFailed", { cause: Schema.Defect() }) {}

class Dictionary extends Context.Service<
  Dictionary,
  { readonly meaningOf: (word: string) => Effect.Effect<Option.Option<string>, DictionaryFailed> }
>()("example/Dictionary") {
  static readonly layer = Layer.effect(
    Dictionary,
    Effect.gen(function* () {
      const connection = yield* Connection.Connection
      // any number of fibers ask at once, and one that is interrupted leaves its answer to nobody
      const server = yield* Exchange.makePipelined(connection, { request: line, response: line })
      const meaningOf = Effect.fn("Dictionary.meaningOf")(
        function* (word: string) {
          const meaning = yield* server.call(word)
          return meaning === "" ? Option.none() : Option.some(meaning)
        },
        Effect.mapError((cause) => new DictionaryFailed({ cause }))
      )
      return { meaningOf }
    })
  )
}

const ConnectionLive = Connection.layerConfig({ path: socketPath })

// ---------------------------------------------------------------------------
// the program, and everything it stands on
// ---------------------------------------------------------------------------

const program = Effect.gen(function* () {
  const dictionary = yield* Dictionary
  const explain = Effect.fnUntraced(function* (word: string) {
    const meaning = yield* dictionary.meaningOf(word)
    return `${word}: ${Option.getOrElse(meaning, () => "not in here")}`
  })
  const lines = yield* Effect.forEach(["byte", "stream", "socket"], explain, { concurrency: "unbounded" })
  yield* Console.log(lines.join("\n"))
})

const AppLive = Dictionary.layer.pipe(
  Layer.provide(ConnectionLive),
  // listens before the connection is opened
  Layer.provide(ServerLive),
  Layer.provide(NodeNetwork.layer)
)

program.pipe(Effect.provide(AppLive), NodeRuntime.runMain)
