/** Effect Cluster's runners over our connections, in one process. Clusters of processes: `processes.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import {
  ClusterStreams,
  NodeNetwork,
  openConnection,
  Server,
  startServer,
  type StreamError,
  type Tls
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Deferred, Effect, Exit, Layer, Option, Schema, type Scope, Stream } from "effect"
import {
  ClusterSchema,
  Entity,
  MessageStorage,
  Runner,
  RunnerAddress,
  RunnerHealth,
  RunnerStorage,
  ShardingConfig,
  SocketRunner
} from "effect/cluster"
import { Rpc, RpcSerialization } from "effect/rpc"
import { authority, certificates } from "../support/certificates.ts"
import { logged } from "../support/logged.ts"
import { machines, runnerPort } from "../support/machines.ts"
import { within } from "../support/wait.ts"

const Counter = Entity.make("Counter", [
  Rpc.make("Add", {
    payload: { id: Schema.String, amount: Schema.Int },
    primaryKey: ({ id }) => id,
    success: Schema.Int
  }).annotate(ClusterSchema.Persisted, true),
  Rpc.make("Length", { payload: { text: Schema.String }, success: Schema.Int }),
  Rpc.make("Letters", { payload: { text: Schema.String }, success: Schema.String, stream: true })
])

const CounterLive = Counter.toLayer(
  Effect.sync(() => {
    let count = 0
    return Counter.of({
      Add: ({ payload: { amount } }) => Effect.sync(() => (count += amount)),
      Length: ({ payload: { text } }) => Effect.succeed(text.length),
      Letters: ({ payload: { text } }) => Stream.fromIterable(text)
    })
  })
)

/** What a runner and whoever calls it share. Nobody owns anything in this storage: it is good for one runner. */
const shared = (address: RunnerAddress.RunnerAddress) =>
  Layer.mergeAll(MessageStorage.layerMemory, RunnerStorage.layerMemory).pipe(
    Layer.provideMerge(ShardingConfig.layer({ runnerAddress: Option.some(address) })),
    Layer.provideMerge(RpcSerialization.layerSchemaBinary())
  )

const runner = (options?: ClusterStreams.ServerOptions) =>
  CounterLive.pipe(
    Layer.provide(SocketRunner.layer),
    Layer.provide(ClusterStreams.layerSocketServer(options)),
    Layer.provide(ClusterStreams.layerClientProtocol()),
    Layer.provide(RunnerHealth.layerNoop)
  )

/** One who calls counters, and runs none. */
const caller = (options?: ClusterStreams.ClientOptions) =>
  Effect.gen(function* () {
    const layer = SocketRunner.layerClientOnly.pipe(Layer.provide(ClusterStreams.layerClientProtocol(options)))
    return yield* Effect.provideContext(Counter.client, yield* Layer.build(layer))
  })

interface Sides {
  readonly server?: ClusterStreams.ServerOptions
  readonly client?: ClusterStreams.ClientOptions
}

/** Starts a runner and, apart from it, somebody who calls it. */
const started = ({ client, server }: Sides) =>
  Effect.gen(function* () {
    yield* Layer.build(runner(server))
    return yield* caller(client)
  })

const onMachine = <A, E, R>(effect: Effect.Effect<A, E, R>, host = machines(1)[0]!) =>
  Effect.provide(effect, shared(RunnerAddress.make(host, runnerPort)))

const tlsServer: Tls.ServerOptions = {
  ca: authority.cert,
  clientCertificate: "require",
  identity: certificates.server.identity
}
// the certificate is for this name, on whatever machine it is
const tlsClient: Tls.ClientOptions = {
  ca: authority.cert,
  identity: certificates.client.identity,
  serverName: "localhost"
}
const mutualTls: Sides = { server: { tls: tlsServer }, client: { tls: tlsClient } }

for (const [network, layer] of Object.entries({
  sockets: NodeNetwork.layer,
  "a network in memory": TestNetwork.layer
})) {
  for (const [kind, sides] of Object.entries<Sides>({ "plain text": {}, "mutual TLS": mutualTls })) {
    it.live(`stored calls, other calls and streams are answered over ${network}, in ${kind}`, () =>
      Effect.gen(function* () {
        const counterOf = yield* started(sides)
        const counter = counterOf("a")
        assert.strictEqual(yield* within("a stored call", counter.Add({ id: "1", amount: 3 })), 3)
        assert.strictEqual(yield* within("the same call again", counter.Add({ id: "1", amount: 3 })), 3)
        assert.strictEqual(yield* within("another stored call", counter.Add({ id: "2", amount: 4 })), 7)
        const text = "many letters ".repeat(100)
        assert.strictEqual(yield* within("a call", counterOf("b").Length({ text })), text.length)
        const letters = yield* within("a stream", Stream.runCollect(counter.Letters({ text })))
        assert.strictEqual(letters.join(""), text)
      }).pipe(onMachine, Effect.scoped, Effect.provide(layer))
    )
  }
}

describe("a runner with TLS is called by nobody else", () => {
  const strangers: Readonly<Record<string, Tls.ClientOptions>> = {
    "without a certificate": { ...tlsClient, identity: undefined },
    "with a certificate of a stranger": { ...tlsClient, identity: certificates.strangeClient.identity }
  }
  for (const [which, tls] of Object.entries(strangers)) {
    it.live(`one ${which}: the server is told, and the call waits for its own bound`, () =>
      Effect.gen(function* () {
        const refused = yield* Deferred.make<StreamError.TlsFailed>()
        const onHandshakeError = (error: StreamError.TlsFailed) => Effect.asVoid(Deferred.succeed(refused, error))
        const counterOf = yield* started({ server: { tls: tlsServer, onHandshakeError }, client: { tls } })
        const exit = yield* Effect.exit(Effect.timeout(counterOf("a").Length({ text: "" }), "300 millis"))
        assert(Exit.isFailure(exit))
        assert.strictEqual((Cause.squash(exit.cause) as Error).name, "TimeoutError")
        yield* within("the server is told", Deferred.await(refused))
      }).pipe(onMachine, Effect.scoped, Effect.provide(TestNetwork.layer))
    )
  }
})

describe("a runner whose certificate cannot be verified is called by nobody", () => {
  const doubter: Sides = { server: { tls: tlsServer }, client: { tls: { ...tlsClient, serverName: undefined } } }

  it.live("onConnectError is told of it, and of which runner", () =>
    Effect.gen(function* () {
      const told = yield* Deferred.make<readonly [StreamError.ConnectFailed | StreamError.TlsFailed, string]>()
      const client: ClusterStreams.ClientOptions = {
        ...doubter.client,
        onConnectError: (error, { host, port }) =>
          Effect.andThen(Deferred.succeed(told, [error, `${host}:${port}`]), Effect.die("of no consequence"))
      }
      const counterOf = yield* started({ ...doubter, client })
      yield* Effect.exit(Effect.timeout(counterOf("a").Length({ text: "" }), "300 millis"))
      const [error, which] = yield* within("it is told", Deferred.await(told))
      assert.strictEqual(`${error._tag} ${error.kind}`, "TlsFailed Certificate")
      assert.strictEqual(which, `127.7.7.7:${runnerPort}`)
    }).pipe((effect) => onMachine(effect, "127.7.7.7"), Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.live("by default that is a warning in the log", () =>
    Effect.gen(function* () {
      const log = logged()
      const counterOf = yield* Effect.provide(started(doubter), log.layer)
      yield* Effect.exit(Effect.timeout(counterOf("a").Length({ text: "" }), "300 millis"))
      assert.match(log.lines.join("\n"), /^Warn cannot connect to runner 127\.7\.7\.7:34431: .*certificate/m)
    }).pipe((effect) => onMachine(effect, "127.7.7.7"), Effect.scoped, Effect.provide(TestNetwork.layer))
  )
})

describe("nobody waits for a runner that is gone", () => {
  const address = RunnerAddress.make("runner.example", runnerPort)
  const simulated = <A, E>(effect: Effect.Effect<A, E, Effect.Services<ReturnType<typeof caller>> | Scope.Scope>) =>
    Effect.promise(() =>
      Effect.runPromise(TestNetwork.simulate(Effect.scoped(Effect.provide(effect, shared(address)))))
    )

  it.live("one that reads no more is given up, also when the question whether it is there cannot be sent", () =>
    simulated(
      Effect.gen(function* () {
        let connections = 0
        yield* startServer({ port: runnerPort }, () => {
          connections++
          return Effect.never
        })
        const { register } = yield* RunnerStorage.RunnerStorage
        yield* register(Runner.Runner.make({ address, groups: ["default"], weight: 1 }), true)
        const counterOf = yield* caller()
        const text = "x".repeat(100_000)
        for (let i = 0; i < 10; i++) yield* Effect.forkChild(Effect.exit(counterOf("a").Length({ text })))
        yield* Effect.sleep("9 seconds")
        assert.strictEqual(connections, 1)
        yield* Effect.sleep("3 seconds")
        assert.strictEqual(connections, 2)
      })
    )
  )

  it.live("a server ends the connection of one that says nothing for 30 seconds", () =>
    simulated(
      Effect.gen(function* () {
        yield* Layer.build(runner())
        const { closed } = yield* openConnection({ host: address.host, port: address.port })
        yield* Effect.sleep("29 seconds")
        const ended = yield* Effect.timeoutOption(closed, "2 seconds")
        assert.strictEqual(Option.getOrThrow(ended)._tag, "Lost")
      })
    )
  )
})

describe("wrong options", () => {
  const defectOf = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
    Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) =>
      Exit.isFailure(exit) && Cause.hasDies(exit.cause) ? String(Cause.squash(exit.cause)) : "no defect"
    )
  const die = <A, E, R>(title: string, layer: Layer.Layer<A, E, R>, message: RegExp) =>
    it.live(`${title} die when the layer is built`, () =>
      Effect.gen(function* () {
        assert.match(yield* defectOf(layer as Layer.Layer<A, E>), message)
      })
    )
  const context = Layer.mergeAll(TestNetwork.layer, RpcSerialization.layerNdjson, ShardingConfig.layerDefaults)
  const client = (options: unknown) =>
    ClusterStreams.layerClientProtocol(options as ClusterStreams.ClientOptions).pipe(Layer.provide(context))
  const server = (options: unknown) =>
    ClusterStreams.layerSocketServer(options as ClusterStreams.ServerOptions).pipe(Layer.provide(context))

  die("a limit of 0", client({ limit: 0 }), /layerClientProtocol: limit must be/)
  die("a connectTimeout that is none", client({ connectTimeout: "soon" }), /layerClientProtocol: connectTimeout/)
  die("TLS that is none", client({ tls: "yes" }), /layerClientProtocol: tls/)
  die("no time between two pings", client({ pingInterval: 0 }), /layerClientProtocol: pingInterval/)
  die("an onConnectError that is no function", client({ onConnectError: 1 }), /layerClientProtocol: onConnectError/)
  die("a backlog below 0", server({ backlog: -1 }), /layerSocketServer: backlog/)
  die(
    "a runner without an address",
    ClusterStreams.layerSocketServer().pipe(
      Layer.provide(ShardingConfig.layer({ runnerAddress: Option.none() })),
      Layer.provide(TestNetwork.layer)
    ),
    /layerSocketServer: ShardingConfig has no runnerListenAddress/
  )
})

it.live("runnerListenAddress is where a runner listens, if there is one", () =>
  Effect.gen(function* () {
    const { port } = yield* Server.Server
    assert.strictEqual(port, 7001)
  }).pipe(
    Effect.provide(
      ClusterStreams.layerSocketServer().pipe(
        Layer.provide(ShardingConfig.layer({ runnerListenAddress: Option.some(RunnerAddress.make("0.0.0.0", 7001)) })),
        Layer.provide(TestNetwork.layer)
      )
    )
  )
)
