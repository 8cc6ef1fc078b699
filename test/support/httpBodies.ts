/** A request of HTTP/1 and its answer, whose bodies go on at the same time. */
import { Deferred, Effect, type Scope } from "effect"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type { AddressInfo } from "node:net"
import type { Readable, Writable } from "node:stream"

const host = "127.0.0.1"

interface Server {
  readonly server: Http.Server
  /** Of its clients. It keeps connections. */
  readonly agent: Http.Agent
}

export const httpServer: Effect.Effect<Server, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<Server>((resume) => {
    const server = Http.createServer()
    const agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
    server.listen(0, host, () => resume(Effect.succeed({ server, agent })))
  }),
  ({ agent, server }) =>
    Effect.sync(() => {
      agent.destroy()
      server.close()
      server.closeAllConnections()
    })
)

interface Bodies {
  readonly readable: Readable
  readonly writable: Writable
}

/** The client is the left one. Both have said their headers, and nothing else. */
export const httpBodies = ({
  agent,
  server
}: Server): Effect.Effect<{ readonly left: Bodies; readonly right: Bodies }> =>
  Effect.gen(function* () {
    const asked = yield* Deferred.make<Bodies>()
    const answered = yield* Deferred.make<Readable>()
    server.once("request", (readable, writable) => {
      writable.flushHeaders()
      Deferred.doneUnsafe(asked, Effect.succeed({ readable, writable }))
    })
    const { port } = server.address() as AddressInfo
    const request = Http.request({ host, port, method: "POST", agent })
    // one that is broken off has somebody to tell
    request.on("error", () => {})
    request.on("response", (response) => Deferred.doneUnsafe(answered, Effect.succeed(response)))
    request.flushHeaders()
    const right = yield* Deferred.await(asked)
    return { left: { readable: yield* Deferred.await(answered), writable: request }, right }
  })

/** The same of HTTP/2: the client has a stream, and the server what Node makes of it for programs of HTTP/1. */
export const http2Bodies: Effect.Effect<
  { readonly client: Http2.ClientHttp2Stream; readonly left: Bodies; readonly right: Bodies },
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(
    Effect.callback<Http2.Http2Server>((resume) => {
      const server = Http2.createServer()
      server.listen(0, host, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  const asked = yield* Deferred.make<Bodies>()
  server.once("request", (readable, writable) => {
    writable.writeHead(200)
    Deferred.doneUnsafe(asked, Effect.succeed({ readable, writable: writable as unknown as Writable }))
  })
  const session = yield* Effect.acquireRelease(
    Effect.sync(() => Http2.connect(`http://${host}:${(server.address() as AddressInfo).port}`)),
    (session) => Effect.sync(() => session.destroy())
  )
  session.on("error", () => {})
  const client = session.request({ ":method": "POST" })
  client.on("error", () => {})
  const right = yield* Deferred.await(asked)
  return { client, left: { readable: client, writable: client }, right }
})
