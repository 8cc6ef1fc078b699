/** Telemetry as Effect's own exporters show it: Prometheus' text format, and what a collector of OTLP is sent. */
import { assert, describe, it } from "@effect/vitest"
import {
  BufferBudget,
  type Connection,
  type Network,
  NodeNetwork,
  openConnection,
  startServer,
  Telemetry
} from "effect-byte-streams"
import { Effect, Exit, Layer, Metric, Scope } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { readFileSync } from "node:fs"
import { authority, certificates, stranger } from "../support/certificates.ts"
import { type Collected, collector } from "../support/collector.ts"
import { parsePrometheus } from "../support/prometheus.ts"
import { closedPort } from "../support/rawPeer.ts"
import { eventually } from "../support/wait.ts"

const host = "127.0.0.1"

const registry = () => Layer.sync(Metric.MetricRegistry, () => new Map())

const services = Layer.mergeAll(NodeNetwork.layer, Telemetry.layer())

const serve = (handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>) =>
  startServer(
    {
      host,
      port: 0,
      gracePeriod: 0,
      maxConnections: 1,
      overflow: "reject",
      tls: { identity: certificates.server.identity },
      onHandshakeError: () => Effect.void
    },
    handler
  )

const tls = { ca: authority.cert, serverName: "localhost" }

/**
 * A program in which everything happens that is measured: a server with a place for one client, which is served, then one
 * that is turned away, one that trusts nobody, and one that finds no server. A read takes too long.
 */
const everything = Effect.gen(function* () {
  let ended = 0
  const server = yield* serve(({ reader, writer }) =>
    Effect.ensuring(
      Effect.forever(
        Effect.flatMap(reader.readLine, (line) => (line.length === 0 ? Effect.interrupt : writer.write(line)))
      ),
      Effect.sync(() => ended++)
    )
  )
  const scope = yield* Scope.make()
  const open = Scope.provide(openConnection({ host, port: server.port, tls, timeouts: { read: 1 } }), scope)
  const { reader, writer } = yield* open
  assert.strictEqual((yield* Effect.flip(reader.readLine))._tag, "StreamTimeout")
  const rejected = yield* openConnection({ host, port: server.port, tls })
  yield* Effect.exit(rejected.reader.readLine)
  yield* writer.write("hello\n")
  yield* eventually("the answer is there", () => Effect.runSync(reader.buffered) === 6)
  yield* Scope.close(scope, Exit.void)
  yield* eventually("the server's end has ended", () => ended === 1)
  yield* Effect.exit(openConnection({ host, port: server.port, tls: { ca: stranger.cert } }))
  yield* Effect.exit(openConnection({ host, port: yield* closedPort() }))
  yield* server.shutdown()
})

interface Listed {
  readonly name: string
  readonly type: string
  readonly unit: string
}

/** The metrics that the documentation of the module lists. */
const documented = (): ReadonlyArray<Listed> => {
  const text = readFileSync(new URL("../../src/Telemetry.ts", import.meta.url), "utf8")
  const rows = text.matchAll(/^ \* \| `([a-z.]+)` +\| (gauge|counter|histogram) +\| `([^`]+)` +\|/gm)
  return Array.from(rows, ([, name, type, unit]) => ({ name: `byte_streams.${name}`, type: type!, unit: unit! }))
}

const byName = (a: Listed, b: Listed) => (a.name < b.name ? -1 : 1)

describe("through Prometheus' text format", () => {
  it.live("each metric is a family of its type, with what it means", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(everything)
      const families = parsePrometheus(yield* PrometheusMetrics.format())
      const expected = documented()
      assert.isAtLeast(expected.length, 17)
      for (const { name, type } of expected) {
        const family = families.get(name.replaceAll(".", "_"))
        assert.strictEqual(family?.type, type, name)
        assert.isNotEmpty(family!.help, name)
        for (const { labels } of family!.samples) assert.notProperty(labels, "unit")
      }
    }).pipe(
      Effect.provide(
        services.pipe(Layer.provideMerge(BufferBudget.layer({ bytes: 1000 })), Layer.provideMerge(registry()))
      )
    )
  )

  it.live("bytes, durations and failures have the numbers that they had", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(everything)
      const families = parsePrometheus(yield* PrometheusMetrics.format())
      const sum = (family: string, labels: Readonly<Record<string, string>>, suffix = "") =>
        families
          .get(`byte_streams_${family}`)!
          .samples.filter(
            (sample) =>
              sample.name === `byte_streams_${family}${suffix}` &&
              Object.entries(labels).every(([name, value]) => sample.labels[name] === value)
          )
          .reduce((sum, { value }) => sum + value, 0)
      const client = { byte_streams_side: "client", network_transport: "tcp" }
      assert.strictEqual(sum("network_io", { ...client, network_io_direction: "transmit" }), 6)
      assert.strictEqual(sum("network_io", { ...client, network_io_direction: "receive" }), 6)
      assert.strictEqual(sum("connections_opened", client), 2)
      assert.strictEqual(sum("connections_open", {}), 0)
      assert.strictEqual(sum("connections_rejected", { byte_streams_reject_reason: "Full" }), 1)
      assert.strictEqual(sum("connections_failed", { error_type: "ConnectFailed.Refused" }), 1)
      assert.strictEqual(sum("timeouts", { byte_streams_timeout_kind: "Read" }), 1)
      assert.strictEqual(sum("connect_duration", { network_transport: "tcp" }, "_count"), 2)
      const durations = families.get("byte_streams_connection_duration")!.samples
      for (const side of ["client", "server"]) {
        const own = durations.filter(({ labels }) => labels.byte_streams_side === side && !("error_type" in labels))
        const buckets = own.filter(({ name }) => name.endsWith("_bucket")).map(({ value }) => value)
        assert.deepStrictEqual(
          buckets,
          buckets.toSorted((a, b) => a - b)
        )
        assert.strictEqual(buckets.at(-1), own.find(({ name }) => name.endsWith("_count"))!.value)
      }
    }).pipe(Effect.provide(services.pipe(Layer.provideMerge(registry()))))
  )
})

describe("through OTLP", () => {
  const collected = <A, E>(
    program: Effect.Effect<A, E, Network.Network | Scope.Scope>
  ): Effect.Effect<Collected, E> => {
    const { flush, layer } = collector()
    return Effect.scoped(program).pipe(
      Effect.andThen(flush),
      Effect.provide(
        services.pipe(
          Layer.provideMerge(BufferBudget.layer({ bytes: 1000 })),
          Layer.provideMerge(layer),
          Layer.provideMerge(registry())
        )
      )
    )
  }

  it.live("the metrics are those of the documentation, each with its type and unit", () =>
    Effect.gen(function* () {
      const { metrics } = yield* collected(everything)
      const ours = metrics.filter(({ name }) => name.startsWith("byte_streams."))
      assert.deepStrictEqual(
        ours.map(({ name, type, unit }) => ({ name, type: type.toLowerCase(), unit })).sort(byName),
        documented().toSorted(byName)
      )
      for (const { description } of ours) assert.isNotEmpty(description)
    })
  )

  it.live("attributes are few, and none is an address", () =>
    Effect.gen(function* () {
      const { metrics } = yield* collected(everything)
      const names = new Set(
        metrics.flatMap(({ points }) => points.flatMap(({ attributes }) => Object.keys(attributes)))
      )
      assert.deepStrictEqual(Array.from(names).sort(), [
        "byte_streams.close.outcome",
        "byte_streams.pause.reason",
        "byte_streams.phase",
        "byte_streams.reject.reason",
        "byte_streams.side",
        "byte_streams.timeout.kind",
        "error.type",
        "network.io.direction",
        "network.transport",
        "tls.protocol.version",
        "unit"
      ])
    })
  )

  it.live("spans are one trace for each side, below the program, and logs belong to their connection", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const server = yield* startServer(
          { host, port: 0, tls: { identity: certificates.server.identity } },
          (connection) =>
            Effect.andThen(
              Effect.log("serving"),
              Effect.flatMap(connection.reader.readLine, (line) => connection.writer.write(line))
            )
        )
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { reader, writer } = yield* openConnection({ host, port: server.port, tls })
            yield* writer.write("hello\n")
            yield* reader.readLine
          })
        )
        yield* server.shutdown()
      }).pipe(Effect.withSpan("the program"))
      const { logs, spans } = yield* collected(program)
      const [internal, server, client] = [1, 2, 3]
      const only = (name: string, kind?: number) => {
        const found = spans.filter((span) => span.name === name && (kind === undefined || span.kind === kind))
        assert.strictEqual(found.length, 1, `${name} ${kind}`)
        return found[0]!
      }
      const root = only("the program")
      const connect = only("byte_streams.connect", client)
      const parents = {
        connect: connect.parentSpanId,
        attempt: only("byte_streams.connect.attempt", client).parentSpanId,
        handshake: only("byte_streams.handshake", client).parentSpanId,
        connection: only("byte_streams.connection", client).parentSpanId,
        shutdown: only("byte_streams.shutdown", internal).parentSpanId,
        accepted: only("byte_streams.handshake", server).parentSpanId,
        served: only("byte_streams.connection", server).parentSpanId
      }
      assert.deepStrictEqual(parents, {
        connect: root.spanId,
        attempt: connect.spanId,
        handshake: connect.spanId,
        connection: connect.spanId,
        shutdown: root.spanId,
        accepted: undefined,
        served: only("byte_streams.handshake", server).spanId
      })
      const ours = spans.filter(({ kind, name }) => name.startsWith("byte_streams.") && kind !== server)
      for (const { traceId } of ours) assert.strictEqual(traceId, root.traceId)
      const connection = only("byte_streams.connection", server)
      assert.strictEqual(connection.status, 1)
      assert.strictEqual(connection.attributes["network.peer.address"], host)
      assert.strictEqual(connection.attributes["tls.protocol.version"], "1.3")
      assert.strictEqual(connection.attributes["byte_streams.bytes.received"], 6)
      assert.include(connection.events, "byte_streams.closing")
      const log = logs.find(({ body }) => body === "serving")!
      assert.strictEqual(log.spanId, connection.spanId)
      assert.strictEqual(log.attributes["network.peer.address"], host)
      assert.strictEqual(
        log.attributes["network.peer.port"],
        only("byte_streams.connection", client).attributes["network.local.port"]
      )
    })
  )

  it.live("what failed has an error with the kind of it", () =>
    Effect.gen(function* () {
      const { spans } = yield* collected(
        Effect.gen(function* () {
          yield* Effect.exit(openConnection({ host, port: yield* closedPort() }))
        })
      )
      const error = 2
      assert.deepStrictEqual(
        spans.map(({ attributes, name, status }) => [name, status, attributes["error.type"]]),
        [
          ["byte_streams.connect.attempt", error, "ConnectFailed.Refused"],
          ["byte_streams.connect", error, "ConnectFailed.Refused"]
        ]
      )
    })
  )
})
