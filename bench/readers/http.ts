/**
 * A server of HTTP/1.1, alone in its process. Started with what it serves and in which way, it answers "port" with its port,
 * and "cpu" with the microseconds of processor time that it has taken so far.
 */
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type { InetAddress } from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { serveIn, ways } from "../../test/support/httpApp.ts"

const [what, way] = [process.argv[2]!, process.argv[3]!]

const inEffect = (effect: Effect.Effect<number, unknown, Scope.Scope>): Promise<number> =>
  Effect.runPromise(Effect.provideService(effect, Scope.Scope, Scope.makeUnsafe()))

const helloOn = (way: keyof typeof ways) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(ways[way] as Layer.Layer<HttpServer.HttpServer, unknown>)
    const server = yield* Effect.provideContext(Effect.service(HttpServer.HttpServer), services)
    yield* server.serve(Effect.sync(() => HttpServerResponse.text("hello\n")))
    return (server.address as InetAddress).port
  })

const helloByHand = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer((_request, response) => {
      response.setHeader("content-type", "text/plain")
      response.end("hello\n")
    })
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port))
  })

const begin = (): Promise<number> => {
  if (way === "byHand") return helloByHand()
  if (way !== "example" && way !== "NodeHttpServer") throw new Error(`no such way: ${way}`)
  const server = way === "example" ? "http1" : way
  // the file that it serves is any of some size
  return inEffect(what === "app" ? serveIn(server, join(process.cwd(), "package.json")) : helloOn(server))
}

const port = begin()

process.on("message", async (question: "port" | "cpu") => {
  const { system, user } = process.cpuUsage()
  process.send!(question === "port" ? await port : user + system)
})

process.on("disconnect", () => process.exit())
