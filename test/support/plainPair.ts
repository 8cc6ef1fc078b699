/** Plain TCP connections with both ends in the test's hands, for what begins in plain text. */
import { Effect, Fiber } from "effect"
import { type Connection, openConnection, startServer } from "effect-byte-streams"
import { connectRaw, serveRaw } from "./rawPeer.ts"
import { eventually } from "./wait.ts"

const host = "127.0.0.1"

/** A server that leaves its connections to the test. */
const serve = (options?: Connection.Options) =>
  Effect.gen(function* () {
    const connections: Array<Connection.Connection> = []
    const server = yield* startServer({ host, port: 0, gracePeriod: 0, ...options }, (connection) => {
      connections.push(connection)
      return Effect.never
    })
    return {
      port: server.port,
      accept: eventually("the server accepts a client", () => connections[0])
    }
  })

/** Two ends of this library. */
export const plainPair = (options?: Connection.Options) =>
  Effect.gen(function* () {
    const server = yield* serve(options)
    const client = yield* openConnection({ host, port: server.port, ...options })
    return { client, peer: yield* server.accept }
  })

/** A connection of this library, as `side`, and a bare socket on the other end. */
export const plainFacing = (side: "client" | "server", options?: Connection.Options) =>
  Effect.gen(function* () {
    if (side === "server") {
      const server = yield* serve(options)
      const peer = yield* connectRaw(server.port, { halfOpen: true })
      return { connection: yield* server.accept, peer }
    }
    const server = yield* serveRaw({ halfOpen: true })
    const opening = yield* Effect.forkChild(openConnection({ host, port: server.port, ...options }))
    const peer = yield* server.accept
    return { connection: yield* Fiber.join(opening), peer }
  })
