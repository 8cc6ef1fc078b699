/** Serves an application, and asks it by `curl`, which has to be installed. Usage: npm run example:http1 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { NodeNetwork } from "effect-byte-streams"
import * as Http1 from "./http1.ts"

const Note = Schema.Struct({ title: Schema.String })

const countdown = Stream.make("3\n", "2\n", "1\n").pipe(Stream.encodeText)

/** It would be served by `NodeHttpServer` as it is. */
const App = Layer.mergeAll(
  HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello\n")),
  HttpRouter.add("GET", "/countdown", HttpServerResponse.stream(countdown, { contentType: "text/plain" })),
  HttpRouter.add(
    "POST",
    "/notes",
    Effect.gen(function* () {
      const { title } = yield* HttpServerRequest.schemaBodyJson(Note)
      return HttpServerResponse.text(`noted: ${title}\n`, { status: 201 })
    })
  )
)

const served = HttpRouter.serve(App, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(Http1.layer({ host: "127.0.0.1", port: 0 }))
)

const program = Effect.gen(function* () {
  const { address } = yield* HttpServer.HttpServer
  const { string } = yield* ChildProcessSpawner.ChildProcessSpawner
  const origin = `http://127.0.0.1:${address._tag === "UnixPathAddress" ? 0 : address.port}`
  const curl = Effect.fnUntraced(function* (...words: ReadonlyArray<string>) {
    yield* Console.log(`$ curl ${words.join(" ").replaceAll(origin, "")}`)
    yield* Console.log(yield* string(ChildProcess.make("curl", ["--silent", "--max-time", "5", ...words])))
  })
  yield* curl("--include", `${origin}/hello`)
  yield* curl("--include", "--json", '{"title":"a note"}', `${origin}/notes`)
  yield* curl("--include", `${origin}/countdown`)
  yield* curl(
    "--include",
    "--header",
    "Content-Length: 5",
    "--header",
    "Transfer-Encoding: chunked",
    "--data",
    "hello",
    `${origin}/notes`
  )
})

program.pipe(
  Effect.provide(Layer.provide(served, NodeNetwork.layer)),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
