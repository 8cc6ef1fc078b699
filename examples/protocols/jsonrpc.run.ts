/** Asks a language server for JSON about a document. Usage: npm run example:jsonrpc */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Deferred, Effect, Schema } from "effect"
import { ChildProcess } from "effect/process"
import { languageServer, on } from "./jsonrpc.ts"

const uri = "file:///greeting.json"
const position = { textDocument: { uri }, position: { line: 0, character: 3 } }

const Open = { method: "textDocument/didOpen", params: Schema.Unknown }
/** What the server says unasked. */
const Diagnostics = {
  method: "textDocument/publishDiagnostics",
  params: Schema.Struct({ uri: Schema.String, diagnostics: Schema.Array(Schema.Struct({ message: Schema.String })) })
}
/** What the server asks: where the schema of a document is. */
const Content = {
  method: "vscode/content",
  params: Schema.Union([Schema.String, Schema.Array(Schema.String)]),
  result: Schema.String
}
const Hover = { method: "textDocument/hover", params: Schema.Unknown, result: Schema.Unknown }
const schema = { properties: { hello: { description: "Who is greeted", type: "string" } } }

const program = Effect.gen(function* () {
  const complained = yield* Deferred.make<void>()
  const command = ChildProcess.make("node_modules/.bin/vscode-json-languageserver", ["--stdio"], { stderr: "inherit" })
  const server = yield* languageServer(command, {}, [
    on(Content, (uri) => Effect.as(Console.log("it asks for", uri), JSON.stringify(schema))),
    on(Diagnostics, ({ diagnostics }) =>
      Console.log("it complains:", diagnostics).pipe(Effect.andThen(Deferred.succeed(complained, undefined)))
    )
  ])
  yield* Console.log("it can:", server.server)
  yield* server.notify(Open, {
    textDocument: { uri, languageId: "json", version: 1, text: `{"hello": 1, "$schema": "greetings://schema"}` }
  })
  yield* Console.log("about `hello`:", yield* server.call(Hover, position))
  yield* Deferred.await(complained)
})

program.pipe(
  Effect.scoped,
  Effect.andThen(Console.log("it has ended")),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
