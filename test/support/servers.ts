/** For tests of servers and their clients that hold on every network, with both ends of this library. */
import { Effect, type Layer, type Scope } from "effect"
import {
  type Connection,
  type Network,
  NodeNetwork,
  openConnection,
  type Server,
  startServer
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { authority, certificates } from "./certificates.ts"
import { socketPath } from "./temporary.ts"

type ServerOptions = Omit<Server.Options, "host" | "port" | "path" | "tls">
type Client = Effect.Effect<Connection.Connection, unknown, Network.Network | Scope.Scope>

interface Served {
  readonly server: Server.Server
  /** A new client, in the scope of whoever asks. */
  readonly client: (options?: Connection.Options) => Client
}

interface Everywhere {
  readonly kind: string
  readonly network: Layer.Layer<Network.Network>
  readonly serve: (
    handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
    options?: ServerOptions
  ) => Effect.Effect<Served, unknown, Network.Network | Scope.Scope>
}

const host = "127.0.0.1"

const overPort = (
  kind: string,
  network: Layer.Layer<Network.Network>,
  tls?: { readonly server: Server.Options["tls"]; readonly client: Connection.OpenOptions["tls"] }
): Everywhere => ({
  kind,
  network,
  serve: (handler, options) =>
    Effect.map(startServer({ host, port: 0, ...options, tls: tls?.server }, handler), (server) => ({
      server,
      client: (options) => openConnection({ host, port: server.port, ...options, tls: tls?.client })
    }))
})

const overPath = (kind: string, network: Layer.Layer<Network.Network>): Everywhere => ({
  kind,
  network,
  serve: (handler, options) =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const server = yield* startServer({ path, ...options }, handler)
      return { server, client: (options) => openConnection({ path, ...options }) }
    })
})

const secured = (stoppable: boolean) => ({
  server: { identity: certificates.server.identity, stoppable },
  client: { ca: authority.cert, serverName: "localhost", stoppable }
})

export const everywhere: ReadonlyArray<Everywhere> = [
  overPort("TCP", NodeNetwork.layer),
  overPath("a Unix socket", NodeNetwork.layer),
  overPort("TLS", NodeNetwork.layer, secured(false)),
  overPort("TLS with a way back", NodeNetwork.layer, secured(true)),
  overPort("memory", TestNetwork.layer),
  overPath("memory, by path", TestNetwork.layer)
]
