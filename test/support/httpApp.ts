/** An application of Effect's `HttpRouter`: JSON in and out, a stream each way, a file, errors. It knows no server. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { NodeNetwork } from "effect-byte-streams"
import { Data, Effect, Layer, Schema, type Scope, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import * as Http1 from "../../examples/protocols/http1.ts"

const Note = Schema.Struct({ title: Schema.String, words: Schema.Number })

class NoSuchNote extends Data.TaggedError("NoSuchNote")<{ readonly id: string }> {
  [HttpServerRespondable.symbol]() {
    return Effect.succeed(HttpServerResponse.text(`no note ${this.id}`, { status: 404 }))
  }
}

// made once: what is measured with it is the server
const words = Array.from({ length: 100 }, (_, n) => new TextEncoder().encode(`word ${n + 1}\n`))

/** The routes, of which one serves `file`. */
const routes = (file: string) =>
  HttpRouter.addAll([
    HttpRouter.route("GET", "/hello", HttpServerResponse.text("hello\n")),
    HttpRouter.route(
      "POST",
      "/notes",
      Effect.gen(function* () {
        const note = yield* HttpServerRequest.schemaBodyJson(Note)
        return yield* HttpServerResponse.json({ ...note, words: note.words + 1 }, { status: 201 })
      })
    ),
    HttpRouter.route("GET", "/notes/:id", (request) => Effect.fail(new NoSuchNote({ id: request.url.slice(7) }))),
    HttpRouter.route(
      "GET",
      "/words",
      HttpServerResponse.stream(Stream.fromIterable(words), { contentType: "text/plain" })
    ),
    HttpRouter.route("POST", "/count", (request) =>
      Effect.map(
        Stream.runFold(
          request.stream,
          () => 0,
          (sum, bytes) => sum + bytes.length
        ),
        (bytes) => HttpServerResponse.text(String(bytes))
      )
    ),
    HttpRouter.route("POST", "/form", (request) =>
      Effect.flatMap(request.urlParamsBody, (form) => HttpServerResponse.json([...form]))
    ),
    HttpRouter.route("POST", "/echo", (request) => Effect.succeed(HttpServerResponse.stream(request.stream))),
    HttpRouter.route("GET", "/file", HttpServerResponse.file(file)),
    HttpRouter.route("GET", "/empty", Effect.succeed(HttpServerResponse.empty())),
    HttpRouter.route(
      "GET",
      "/cookies",
      HttpServerResponse.setCookie(HttpServerResponse.text("set"), "a", "b", { path: "/", httpOnly: true })
    ),
    HttpRouter.route("GET", "/defect", Effect.die(new Error("a mistake of the program")))
  ])

export const ways = {
  http1: Layer.provide(Http1.layer({ host: "127.0.0.1", port: 0 }), NodeNetwork.layer),
  NodeHttpServer: NodeHttpServer.layerServer(() => createServer(), { host: "127.0.0.1", port: 0 })
} satisfies Record<string, Layer.Layer<HttpServer.HttpServer, unknown>>

/** Serves the application for as long as the scope, in one of the ways; the port. */
export const serveIn = (way: keyof typeof ways, file: string): Effect.Effect<number, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* Layer.build(ways[way] as Layer.Layer<HttpServer.HttpServer, unknown>)
    const quiet = { disableLogger: true, disableListenLog: true }
    yield* Layer.build(
      HttpRouter.serve(routes(file), quiet).pipe(
        Layer.provide(Layer.succeedContext(server)),
        Layer.provide(NodeHttpServer.layerHttpServices)
      )
    )
    const { address } = yield* Effect.provideContext(Effect.service(HttpServer.HttpServer), server)
    return "port" in address ? address.port : 0
  })
