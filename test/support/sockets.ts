/** For tests of Effect's own sockets over this library: where their servers listen, and how their clients connect. */
import { Context, Effect, Layer, type Scope } from "effect"
import { type Connection, type Network, NodeNetwork, Server } from "effect-byte-streams"
import { type Socket, SocketServer } from "effect/socket"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { authority, certificates } from "./certificates.ts"
import { socketPath } from "./temporary.ts"

type SessionOptions = Omit<Server.Options, "host" | "port" | "path" | "tls">

/** A place to listen on, and to connect to. */
export interface Place {
  /** Where nothing listens yet, the system chooses a port; from then on it is the same. */
  readonly listen: (
    options?: SessionOptions
  ) => Layer.Layer<Server.Server | SocketServer.SocketServer, any, Network.Network>
  readonly dial: (options?: Connection.Options) => Connection.OpenOptions
}

export interface Kind {
  readonly kind: "TCP" | "Unix" | "TLS" | "memory"
  readonly network: Layer.Layer<Network.Network>
  readonly place: Effect.Effect<Place, never, Scope.Scope>
}

const overPort = (
  kind: Kind["kind"],
  network: Layer.Layer<Network.Network>,
  tls?: {
    readonly server: NonNullable<Server.Options["tls"]>
    readonly client: NonNullable<Connection.OpenOptions["tls"]>
  }
): Kind => ({
  kind,
  network,
  place: Effect.sync(() => {
    let port = 0
    return {
      listen: (options) =>
        Layer.tap(Server.layerSocketServer({ host: "127.0.0.1", port, ...options, tls: tls?.server }), (services) =>
          Effect.sync(() => void (port = Context.get(services, Server.Server).port))
        ),
      dial: (options) => ({ host: "127.0.0.1", port, ...options, tls: tls?.client })
    }
  })
})

const overPath = (kind: Kind["kind"], network: Layer.Layer<Network.Network>): Kind => ({
  kind,
  network,
  place: Effect.map(socketPath(), (path) => ({
    listen: (options) => Server.layerSocketServer({ path, ...options }),
    dial: (options) => ({ path, ...options })
  }))
})

/** Both sides show a certificate. */
const mutual = {
  server: { identity: certificates.server.identity, ca: authority.cert, clientCertificate: "require" },
  client: { ca: authority.cert, serverName: "localhost", identity: certificates.client.identity }
} as const

export const overSockets: ReadonlyArray<Kind> = [
  overPort("TCP", NodeNetwork.layer),
  overPath("Unix", NodeNetwork.layer),
  overPort("TLS", NodeNetwork.layer, mutual)
]

export const everywhere: ReadonlyArray<Kind> = [...overSockets, overPort("memory", TestNetwork.layer)]

/** A server that runs a handler for each client, in the scope of whoever asks. */
export const served = (
  place: Place,
  handler: (socket: Socket.Socket) => Effect.Effect<unknown, unknown>,
  options?: SessionOptions
) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(place.listen(options))
    yield* Effect.forkScoped(Context.get(services, SocketServer.SocketServer).run(handler), { startImmediately: true })
    return Context.get(services, Server.Server)
  })

/** Sends back what comes, until the client has ended. */
export const echo = (socket: Socket.Socket, upgrade?: Socket.TlsUpgradeOptions) =>
  Effect.gen(function* () {
    const writer = yield* socket.writer
    const reader = yield* socket.reader
    if (upgrade !== undefined) yield* reader.upgrade(upgrade)
    while (true) yield* writer.writeAll(yield* reader.pull)
  }).pipe(
    Effect.scoped,
    Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void)
  )

/** Pulls until so many characters have come. */
export const pullText = (pull: Socket.Reader["pull"], length: number) =>
  Effect.gen(function* () {
    const decoder = new TextDecoder()
    let text = ""
    while (text.length < length) {
      for (const chunk of yield* pull)
        text += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true })
    }
    return text
  })

/** Why a socket failed: the reason, with the code of a close. */
export const why = ({ reason }: Socket.SocketError): string =>
  reason._tag === "SocketCloseError"
    ? `close ${reason.code}${reason.closeReason === undefined ? "" : `: ${reason.closeReason}`}`
    : reason._tag
