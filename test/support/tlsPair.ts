/** Connections over TLS between two ends of this library, both in the test's hands. */
import { Effect } from "effect"
import {
  type Connection,
  openConnection,
  type Server,
  startServer,
  type StreamError,
  type Tls,
  type Transport
} from "effect-byte-streams"
import { authority, certificates } from "./certificates.ts"
import { eventually, within } from "./wait.ts"

export const host = "127.0.0.1"

export interface TlsServer {
  readonly server: Server.Server
  readonly port: number
  /** The handshakes that failed. */
  readonly failures: ReadonlyArray<StreamError.TlsFailed>
  /** Whose they were. */
  readonly strangers: ReadonlyArray<Transport.ConnectionInfo>
  /** Everybody who is, or was, served. */
  readonly connections: ReadonlyArray<Connection.Connection>
  /** The server's end of the next connection that was not asked for yet. */
  readonly accept: Effect.Effect<Connection.Connection>
  /** The next handshake that failed and was not asked for yet. */
  readonly failure: Effect.Effect<StreamError.TlsFailed>
}

/** A server that leaves its connections to the test. Trusts the test authority, and says it is `localhost`. */
export const serveTls = (
  tls?: Partial<Tls.ServerOptions>,
  options?: Omit<Server.Options, "tls" | "onHandshakeError">
) =>
  Effect.gen(function* () {
    const connections: Array<Connection.Connection> = []
    const failures: Array<StreamError.TlsFailed> = []
    const strangers: Array<Transport.ConnectionInfo> = []
    const server = yield* startServer(
      {
        host,
        port: 0,
        gracePeriod: 0,
        ...options,
        tls: { identity: certificates.server.identity, ca: authority.cert, ...tls },
        onHandshakeError: (error, info) =>
          Effect.sync(() => {
            failures.push(error)
            strangers.push(info)
          })
      },
      (connection) => {
        connections.push(connection)
        return Effect.never
      }
    )
    let accepted = 0
    let failed = 0
    const result: TlsServer = {
      server,
      port: options?.path === undefined ? server.port : 0,
      failures,
      strangers,
      connections,
      accept: Effect.suspend(() => {
        const wanted = accepted++
        return eventually("the TLS server accepts a client", () => connections[wanted])
      }),
      failure: Effect.suspend(() => {
        const wanted = failed++
        return eventually("a handshake fails", () => failures[wanted])
      })
    }
    return result
  })

/** Connects, trusting the test authority. */
export const connectTls = (
  port: number,
  tls?: Tls.ClientOptions,
  options?: Omit<Connection.OpenOptions, "tls" | "port">
) => within("the TLS connection opens", openConnection({ host, port, ...options, tls: { ca: authority.cert, ...tls } }))

/** Both ends of one connection. */
export const tlsPair = (options?: {
  readonly server?: Partial<Tls.ServerOptions>
  readonly client?: Tls.ClientOptions
  readonly both?: Connection.Options
}) =>
  Effect.gen(function* () {
    const server = yield* serveTls(options?.server, options?.both)
    const client = yield* connectTls(server.port, options?.client, options?.both)
    return { server, client, peer: yield* server.accept }
  })
