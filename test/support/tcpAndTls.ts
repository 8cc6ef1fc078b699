/**
 * For tests of servers that hold over TCP and over TLS alike: what starts servers and connects to them, under the names
 * that it has where there is no TLS.
 */
import { type Connection, openConnection, startServer } from "effect-byte-streams"
import { authority, certificates } from "./certificates.ts"
import { everyKind } from "./kinds.ts"
import { connectRaw } from "./rawPeer.ts"

interface Over {
  readonly kind: "TCP" | "TLS"
  readonly startServer: typeof startServer
  readonly openConnection: typeof openConnection
  /** A client without this library. */
  readonly connectRaw: typeof connectRaw
}

const { rawClient } = everyKind.find(({ kind }) => kind === "TLS")!

const startTlsServer = (options: Parameters<typeof startServer>[0], handler: Parameters<typeof startServer>[1]) =>
  startServer({ ...options, tls: { identity: certificates.server.identity } }, handler)

const openTlsConnection = (options: Connection.OpenOptions) =>
  openConnection({ ...options, tls: { ca: authority.cert, serverName: "localhost" } })

export const tcpAndTls: ReadonlyArray<Over> = [
  { kind: "TCP", startServer, openConnection, connectRaw },
  {
    kind: "TLS",
    startServer: startTlsServer as typeof startServer,
    openConnection: openTlsConnection as typeof openConnection,
    // Unix sockets are without TLS here too
    connectRaw: (at, options) => (typeof at === "number" ? rawClient(at, options) : connectRaw(at, options))
  }
]
