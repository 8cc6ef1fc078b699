/** What Effect's OTLP exporters send, as a collector gets it: parsed, and simplified to what is compared. */
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { OtlpExporter, Otlp, OtlpSerialization } from "effect/observability"

type Values = Readonly<Record<string, unknown>>

interface CollectedMetric {
  readonly name: string
  readonly unit: string
  readonly description: string
  readonly type: "Counter" | "Gauge" | "Histogram"
  readonly points: ReadonlyArray<{
    readonly attributes: Values
    /** The value, or the number of observations. */
    readonly value: number
  }>
}

interface CollectedSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly kind: number
  readonly status: number
  readonly attributes: Values
  readonly events: ReadonlyArray<string>
}

export interface Collected {
  readonly metrics: ReadonlyArray<CollectedMetric>
  readonly spans: ReadonlyArray<CollectedSpan>
  readonly logs: ReadonlyArray<{ readonly body: unknown; readonly spanId: string; readonly attributes: Values }>
}

/** A value of OTLP is an object with the type of the value for a key. */
const valueOf = (value: Record<string, unknown>): unknown => {
  const [[type, content]] = Object.entries(value) as [[string, unknown]]
  return type === "intValue" ? Number(content) : content
}

const valuesOf = (attributes: ReadonlyArray<{ readonly key: string; readonly value: any }>): Values =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]))

const metricOf = ({ description, gauge, histogram, name, sum, unit }: any): CollectedMetric => ({
  name,
  unit,
  description,
  type: gauge !== undefined ? "Gauge" : sum !== undefined ? "Counter" : "Histogram",
  points: (gauge ?? sum ?? histogram).dataPoints.map(({ asDouble, asInt, attributes, count }: any) => ({
    attributes: valuesOf(attributes),
    value: Number(count ?? asInt ?? asDouble)
  }))
})

const spanOf = ({ attributes, events, kind, name, parentSpanId, spanId, status, traceId }: any): CollectedSpan => ({
  name,
  traceId,
  spanId,
  parentSpanId,
  kind,
  status: status.code,
  attributes: valuesOf(attributes),
  events: events.map((event: any) => event.name)
})

const logOf = ({ attributes, body, spanId }: any): Collected["logs"][number] => ({
  body: valueOf(body),
  spanId,
  attributes: valuesOf(attributes)
})

/** Exporters, and what they have sent once `flush` was called. The metrics are those of the last time. */
export const collector = () => {
  const bodies: Array<any> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      if (request.body._tag !== "Uint8Array") throw new Error(`a body of the kind ${request.body._tag}`)
      bodies.push(JSON.parse(new TextDecoder().decode(request.body.body)))
      return HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))
    })
  )
  const layer = Otlp.layer({
    baseUrl: "http://collector.test",
    resource: { serviceName: "test" },
    loggerMergeWithExisting: false
  }).pipe(Layer.provide(Layer.merge(OtlpSerialization.layerJson, Layer.succeed(HttpClient.HttpClient, client))))
  const flush = Effect.flatMap(OtlpExporter.Flusher, (flusher) =>
    Effect.map(flusher.flush, (): Collected => ({
      metrics: bodies
        .findLast((body) => "resourceMetrics" in body)
        .resourceMetrics[0].scopeMetrics[0].metrics.map(metricOf),
      spans: bodies
        .filter((body) => "resourceSpans" in body)
        .flatMap((body) => body.resourceSpans[0].scopeSpans[0].spans.map(spanOf)),
      logs: bodies
        .filter((body) => "resourceLogs" in body)
        .flatMap((body) => body.resourceLogs[0].scopeLogs[0].logRecords.map(logOf))
    }))
  )
  return { layer, flush }
}
