/** Connections and servers whose options come from `Config`: from the environment, or from anywhere else. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Layer } from "effect"
import { Connection, type Network, NodeNetwork, Server, type StreamError, type Tls } from "effect-byte-streams"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { deathOf } from "../support/exits.ts"
import { eventually } from "../support/wait.ts"

const host = "127.0.0.1"

const from = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

const serverSettings = {
  host: Config.String("HOST"),
  // a port of 0 is none for Config.Port
  port: Config.Int("PORT"),
  limit: Config.Int("LIMIT").pipe(Config.withDefault(100)),
  maxConnections: Config.Int("CLIENTS").pipe(Config.withDefault(5)),
  timeouts: {
    idle: Config.Duration("IDLE"),
    minRate: { bytes: Config.Int("RATE"), per: Config.succeed("1 minute" as const) }
  }
}

const server = {
  HOST: host,
  PORT: "0",
  IDLE: "3 seconds",
  RATE: "10",
  TLS_CERT: certificates.server.cert,
  TLS_KEY: certificates.server.key,
  TLS_CA: authority.cert,
  CLIENT_CERT: certificates.client.cert,
  CLIENT_KEY: certificates.client.key
}

const identity = { cert: Config.String("TLS_CERT"), key: Config.Redacted("TLS_KEY") }

const greet = ({ reader, writer }: Connection.Connection) => writer.write(`limit ${reader.limit}\n`)

const started = <E, R>(layer: Layer.Layer<Server.Server, E, R>) =>
  Effect.map(Layer.build(layer), (services) => Context.get(services, Server.Server))
const connected = <E, R>(layer: Layer.Layer<Connection.Connection, E, R>) =>
  Effect.map(Layer.build(layer), (services) => Context.get(services, Connection.Connection))

describe("layerConfig", () => {
  it.live("of a server, and of a client: each option a setting of its own, records of records", () =>
    Effect.gen(function* () {
      const { port } = yield* started(Server.layerConfig(serverSettings, greet)).pipe(
        Effect.provide(from({ ...server, LIMIT: "1234" }))
      )
      const { reader, writer } = yield* connected(
        Connection.layerConfig({
          host: Config.String("HOST"),
          port: Config.succeed(port),
          highWaterMark: Config.Int("HIGH"),
          localAddress: { host: Config.String("FROM") },
          onScopeFailure: Config.Literals(["abort", "flush"], "ON_FAILURE")
        })
      ).pipe(Effect.provide(from({ HOST: host, HIGH: "400", FROM: "127.0.0.9", ON_FAILURE: "flush" })))
      assert.strictEqual(text(yield* reader.readLine), "limit 1234\n")
      assert.strictEqual(writer.highWaterMark, 400)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("with TLS, and certificates of clients: identities made of settings, keys that stay Redacted", () =>
    Effect.gen(function* () {
      const peers: Array<Tls.TlsInfo | undefined> = []
      const { port } = yield* started(
        Server.layerConfig(
          {
            ...serverSettings,
            tls: {
              identity,
              ca: Config.String("TLS_CA"),
              clientCertificate: Config.Literals(["none", "request", "require"], "CLIENTS_SHOW")
            }
          },
          (connection) => {
            peers.push(connection.info.tls)
            return greet(connection)
          }
        )
      ).pipe(Effect.provide(from({ ...server, CLIENTS_SHOW: "require" })))
      const { info, reader } = yield* connected(
        Connection.layerConfig({
          host: Config.String("HOST"),
          port: Config.succeed(port),
          tls: {
            ca: Config.String("TLS_CA"),
            identity: { cert: Config.String("CLIENT_CERT"), key: Config.Redacted("CLIENT_KEY") }
          }
        })
      ).pipe(Effect.provide(from(server)))
      assert.strictEqual(text(yield* reader.readLine), "limit 100\n")
      assert.strictEqual(info.tls?.authorized, true)
      assert.strictEqual(peers[0]?.authorized, true)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("what is no setting is given with Config.succeed: functions, and an identity that is asked for", () =>
    Effect.gen(function* () {
      const failures: Array<string> = []
      const sessions: Array<Uint8Array> = []
      const { port } = yield* started(
        Server.layerConfig(
          {
            port: Config.succeed(0),
            host: Config.succeed([host, "127.0.0.2"]),
            tls: {
              identity: Config.succeed((name: string | undefined) =>
                Effect.as(
                  Effect.sync(() => failures.push(`asked for ${name}`)),
                  certificates.server.identity
                )
              )
            },
            onHandlerError: Config.succeed(({ cause }: Server.HandlerFailure<string>) =>
              Effect.sync(() => void failures.push(String(cause)))
            )
          },
          () => Effect.fail("no")
        )
      )
      yield* connected(
        Connection.layerConfig({
          host: Config.succeed(host),
          port: Config.succeed(port),
          tls: {
            ca: Config.succeed(authority.cert),
            onSession: Config.succeed((session: Uint8Array) => void sessions.push(session))
          }
        })
      )
      yield* eventually("the handler has failed", () => failures.length === 2)
      assert.strictEqual(failures[0], "asked for undefined")
      assert.include(failures[1], "no")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("all options may be one setting", () =>
    Effect.gen(function* () {
      const { port } = yield* started(
        Server.layerConfig(Config.all({ host: Config.succeed(host), port: Config.Int("PORT") }), greet)
      ).pipe(Effect.provide(from(server)))
      const whole: Config.Config<Connection.OpenOptions> = Config.all({
        host: Config.succeed(host),
        port: Config.succeed(port)
      })
      const { reader } = yield* connected(Connection.layerConfig(whole))
      assert.strictEqual(text(yield* reader.readLine), "limit 65536\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("tls may be one setting, such as true", () =>
    Effect.gen(function* () {
      const { port } = yield* started(Server.layerConfig({ port: Config.succeed(0), tls: { identity } }, greet)).pipe(
        Effect.provide(from(server))
      )
      const failed = yield* Effect.flip(
        connected(
          Connection.layerConfig({
            host: Config.succeed(host),
            port: Config.succeed(port),
            tls: Config.succeed(true as const)
          })
        )
      )
      // the authority of the tests is none that Node ships
      assert.strictEqual(failed._tag, "TlsFailed")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("what is missing or wrong is a ConfigError, and nothing is listened on", () =>
    Effect.gen(function* () {
      for (const [env, named] of [
        [{ ...server, PORT: "http" }, "PORT"],
        [{ ...server, IDLE: "soon" }, "IDLE"],
        [{ HOST: host, PORT: "0", IDLE: "1 second", RATE: "1" }, "TLS_CERT"]
      ] as ReadonlyArray<readonly [Record<string, string>, string]>) {
        const failed = yield* started(Server.layerConfig({ ...serverSettings, tls: { identity } }, greet)).pipe(
          Effect.provide(from(env)),
          Effect.flip
        )
        assert.strictEqual(failed._tag, "ConfigError")
        assert.include(String(failed), named)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("what no connection or server can have dies, and names the option", () =>
    Effect.gen(function* () {
      const env = from({ ...server, LIMIT: "0" })
      assert.include(
        yield* Effect.provide(deathOf(started(Server.layerConfig(serverSettings, greet))), env),
        "Server.layerConfig: limit must be an integer above 0 bytes, got 0"
      )
      const client = Connection.layerConfig({ port: Config.succeed(1), limit: Config.Int("LIMIT") })
      assert.include(
        yield* Effect.provide(deathOf(connected(client)), env),
        "Connection.layerConfig: limit must be an integer above 0 bytes, got 0"
      )
      const nobody = Connection.layerConfig({ port: Config.succeed(1), tls: { serverName: Config.String("NAME") } })
      assert.include(
        yield* Effect.provide(deathOf(connected(nobody)), from({ NAME: "a name" })),
        "Connection.layerConfig: tls.serverName must be the name of a host"
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it("types: TlsFailed only with tls, and every option as a setting of its type", () => {
    type Services = Connection.Connection | Layer.Success<ReturnType<typeof Connection.layerConnection>>
    expectTypeOf(Connection.layerConfig({ port: Config.Port("PORT") })).toEqualTypeOf<
      Layer.Layer<Services, StreamError.ConnectFailed | Config.ConfigError, Network.Network>
    >()
    expectTypeOf(Connection.layerConfig({ port: Config.Port("PORT"), tls: {} })).toEqualTypeOf<
      Layer.Layer<Services, StreamError.ConnectFailed | StreamError.TlsFailed | Config.ConfigError, Network.Network>
    >()
    expectTypeOf(Server.layerConfig({ port: Config.Port("PORT") }, () => Effect.void)).toEqualTypeOf<
      Layer.Layer<Server.Server, StreamError.ListenFailed | Config.ConfigError, Network.Network>
    >()
    // @ts-expect-error: a value is no setting
    void Connection.layerConfig({ port: 80 })
    // @ts-expect-error: a setting of another type
    void Connection.layerConfig({ port: Config.String("PORT") })
    const seen = { ...identity, key: Config.String("KEY") }
    // @ts-expect-error: a key that anybody may see
    void Server.layerConfig({ port: Config.Port("PORT"), tls: { identity: seen } }, greet)
  })
})
