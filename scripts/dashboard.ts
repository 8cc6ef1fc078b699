/**
 * Draws docs/dashboard.svg: a server whose clients come, talk, flood and stop reading, as a real Prometheus has seen it.
 *
 * The server has `Telemetry`, and its metrics at `/metrics`. Prometheus reads them each second. What is drawn are its
 * answers to the queries that docs/observability.md lists.
 *
 * Usage: node scripts/dashboard.ts    (a minute; needs the Debian package `prometheus`)
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import * as charts from "echarts/charts"
import * as components from "echarts/components"
import * as echarts from "echarts/core"
import * as renderers from "echarts/renderers"
import { Effect, Layer, Option } from "effect"
import { type Connection, NodeNetwork, openConnection, startServer, Telemetry } from "effect-byte-streams"
import { HttpRouter } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { createServer as createTcpServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const seconds = 50

/** The panels: what each asks Prometheus. The documentation has the same. */
const panels = [
  { title: "connections", unit: "", query: "sum by (byte_streams_side) (byte_streams_connections_open)" },
  {
    title: "bytes a second",
    unit: "B/s",
    query: 'sum by (network_io_direction) (rate(byte_streams_network_io{byte_streams_side="server"}[5s]))'
  },
  {
    title: "connections held back, by",
    unit: "",
    query: 'sum by (byte_streams_pause_reason) (rate(byte_streams_paused_time{byte_streams_side="server"}[5s]))'
  },
  {
    title: "connections lost, by error",
    unit: "/s",
    query: 'sum by (error_type) (rate(byte_streams_connections_failed{byte_streams_side="server"}[5s]))'
  }
]

// ---------------------------------------------------------------------------
// a server, and clients of all sorts
// ---------------------------------------------------------------------------

const echo = Effect.fnUntraced(
  function* ({ reader, writer }: Connection.Connection) {
    for (let line = yield* reader.readLineText; Option.isSome(line); line = yield* reader.readLineText) {
      if (line.value.startsWith("slow")) yield* Effect.sleep("50 millis")
      yield* writer.write(line.value.startsWith("much") ? "much ".repeat(400_000) : `${line.value}\n`)
    }
  },
  Effect.catchTag(["ConnectionLost", "IncompleteRead", "ClosedStream", "StreamTimeout"], () => Effect.void)
)

const load = Effect.fnUntraced(function* (port: number) {
  const connect = openConnection({ host: "127.0.0.1", port, onScopeFailure: "flush", closeTimeout: "1 second" })
  const talk = Effect.flatMap(connect, ({ reader, writer }) =>
    Effect.forever(
      Effect.gen(function* () {
        yield* writer.write(`${"x".repeat(200)}\n`)
        yield* reader.readLine
        yield* Effect.sleep("5 millis")
      })
    )
  )
  const flood = Effect.flatMap(connect, ({ writer }) => Effect.forever(writer.write(`slow ${"x".repeat(1000)}\n`)))
  const deaf = Effect.flatMap(connect, ({ writer }) => Effect.andThen(writer.write("much\nmuch\n"), Effect.never))
  const breaks = Effect.flatMap(connect, (connection) =>
    Effect.andThen(connection.writer.write("half"), Effect.andThen(connection.writer.flush, connection.abort))
  )
  const during = <A, E, R>(from: number, to: number, client: Effect.Effect<A, E, R>) =>
    Effect.sleep(from * 1000).pipe(
      Effect.andThen(Effect.timeoutOption(Effect.scoped(client), (to - from) * 1000)),
      Effect.ignoreCause
    )
  const clients = [
    ...Array.from({ length: 12 }, (_, i) => during(2 + 2 * i, seconds - i, talk)),
    ...Array.from({ length: 3 }, (_, i) => during(15 + i, 35, flood)),
    ...Array.from({ length: 2 }, (_, i) => during(22 + i, 42, deaf)),
    ...Array.from({ length: 40 }, (_, i) => during(30 + i / 8, 36, breaks))
  ]
  yield* Effect.forEach(clients, (client) => client, { concurrency: "unbounded", discard: true })
})

// ---------------------------------------------------------------------------
// Prometheus
// ---------------------------------------------------------------------------

const freePort = Effect.callback<number>((resume) => {
  const server = createTcpServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const prometheus = Effect.fnUntraced(function* (target: number) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "prometheus-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const config = join(folder, "prometheus.yml")
  writeFileSync(
    config,
    `scrape_configs: [{ job_name: server, scrape_interval: 1s, static_configs: [{ targets: ["127.0.0.1:${target}"] }] }]\n`
  )
  const port = yield* freePort
  const address = `127.0.0.1:${port}`
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        "prometheus",
        [`--config.file=${config}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${address}`],
        { stdio: "ignore" }
      )
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  return `http://${address}`
})

interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly values: ReadonlyArray<readonly [number, string]>
}

const ask = (address: string, query: string, from: number, to: number) =>
  Effect.promise(async (): Promise<ReadonlyArray<Series>> => {
    const url = new URL("/api/v1/query_range", address)
    for (const [name, value] of Object.entries({ query, start: from, end: to, step: 1 })) {
      url.searchParams.set(name, String(value))
    }
    const answer = (await (await fetch(url)).json()) as {
      readonly status: string
      readonly data: { readonly result: ReadonlyArray<Series> }
    }
    if (answer.status !== "success") throw new Error(`Prometheus does not answer: ${query}`)
    return answer.data.result
  })

// ---------------------------------------------------------------------------
// the picture
// ---------------------------------------------------------------------------

echarts.use([
  charts.LineChart,
  components.GridComponent,
  components.LegendComponent,
  components.TitleComponent,
  renderers.SVGRenderer
])

const colours = ["#2f6fde", "#e0a33a", "#58a55c", "#c05b4d", "#b07cc6"]
const [width, height] = [440, 230]

const draw = (answers: ReadonlyArray<ReadonlyArray<Series>>, from: number): string => {
  const place = (i: number) => ({ left: (i % 2) * width, top: Math.floor(i / 2) * height })
  const named = ({ metric }: Series, i: number) => `${Object.values(metric).join(" ") || "all"}${"\u200b".repeat(i)}`
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 2 * width, height: 2 * height })
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: panels.map(({ title, unit }, i) => ({
      text: unit === "" ? title : `${title} (${unit})`,
      left: place(i).left + 16,
      top: place(i).top + 8,
      textStyle: { fontSize: 13 }
    })),
    legend: answers.map((series, i) => ({
      left: place(i).left + 16,
      top: place(i).top + 30,
      itemWidth: 14,
      data: series.map((one) => named(one, i))
    })),
    grid: panels.map((_, i) => ({
      left: place(i).left + 64,
      top: place(i).top + 62,
      width: width - 90,
      height: height - 96,
      outerBoundsMode: "none"
    })),
    xAxis: panels.map((_, i) => ({
      gridIndex: i,
      type: "value",
      min: 0,
      max: seconds,
      axisLabel: { formatter: (value: number) => `${value} s` },
      splitLine: { show: false }
    })),
    yAxis: panels.map((_, i) => ({
      gridIndex: i,
      type: "value",
      min: 0,
      axisLabel: { formatter: (value: number) => (value >= 1000 ? `${value / 1000}k` : String(value)) }
    })),
    series: answers.flatMap((series, panel) =>
      series.map((one, i) => ({
        type: "line",
        name: named(one, panel),
        xAxisIndex: panel,
        yAxisIndex: panel,
        showSymbol: false,
        color: colours[i % colours.length],
        data: one.values.map(([time, value]) => [Number((time - from).toFixed(2)), Number(Number(value).toFixed(3))])
      }))
    )
  } as echarts.EChartsCoreOption)
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

const program = Effect.gen(function* () {
  const port = yield* freePort
  yield* Layer.build(
    HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port }))
    )
  )
  const address = yield* prometheus(port)
  const server = yield* startServer({ host: "127.0.0.1", port: 0, limit: 8192 }, echo)
  const from = Date.now() / 1000
  yield* load(server.port)
  const answers = yield* Effect.forEach(panels, ({ query }) => ask(address, query, from, from + seconds))
  for (const [i, series] of answers.entries()) {
    if (series.length === 0) return yield* Effect.die(new Error(`nothing to see: ${panels[i]!.query}`))
  }
  writeFileSync(join(root, "docs/dashboard.svg"), draw(answers, from))
})

program.pipe(Effect.scoped, Effect.provide(Layer.merge(NodeNetwork.layer, Telemetry.layer())), NodeRuntime.runMain)
