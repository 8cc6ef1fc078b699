/** What is measured over the network: one line a case. */
import type { Service } from "./servers/support/service.ts"

/** How the load generator works a server; see `load/patterns.ts`. */
type Pattern = "exchange" | "pipeline" | "upload" | "download" | "connect"

export interface Case {
  readonly id: string
  readonly title: string
  readonly service: Service
  readonly pattern: Pattern
  readonly connections: number
  /** Bytes of one message, on the wire where that is not encrypted. */
  readonly size: number
  /** Over TLS. */
  readonly tls?: boolean
}

const kib = 1024

const size = (bytes: number): string => (bytes < kib ? `${bytes} B` : `${bytes / kib} KiB`)

const on = (connections: number): string => `${connections} connection${connections === 1 ? "" : "s"}`

const exchange = (service: Service, bytes: number, connections: number): Case => ({
  id: `exchange-${service}-${bytes}-x${connections}`,
  title: `request/response, ${service}, ${size(bytes)}, ${on(connections)}`,
  service,
  pattern: "exchange",
  connections,
  size: bytes
})

const pipeline = (service: Service, bytes: number): Case => ({
  id: `pipeline-${service}-${bytes}`,
  title: `pipelined, ${service}, ${size(bytes)}, ${on(4)}`,
  service,
  pattern: "pipeline",
  connections: 4,
  size: bytes
})

const bulk = (pattern: "upload" | "download", connections: number): Case => ({
  id: `bulk-${pattern === "upload" ? "in" : "out"}-x${connections}`,
  title: `bulk ${pattern === "upload" ? "in" : "out"}, ${on(connections)}`,
  service: pattern === "upload" ? "sink" : "source",
  pattern,
  connections,
  size: 64 * kib
})

const connecting = (id: string, service: Service): Case => ({
  id,
  title: `connect, request, close, ${service === "raw" ? "" : `${service}, `}64 B, ${on(8)}`,
  service,
  pattern: "connect",
  connections: 8,
  size: 64
})

const overTls = (one: Case): Case => ({ ...one, id: `tls-${one.id}`, title: `TLS: ${one.title}`, tls: true })

export const cases: ReadonlyArray<Case> = [
  exchange("raw", 64, 1),
  exchange("line", 64, 1),
  exchange("frame", 64, 1),
  exchange("raw", 64, 64),
  exchange("line", 64, 64),
  exchange("frame", 64, 64),
  exchange("raw", 16 * kib, 16),
  exchange("line", 16 * kib, 16),
  exchange("frame", 16 * kib, 16),
  pipeline("line", 16),
  pipeline("line", 64),
  pipeline("line", 256),
  pipeline("frame", 64),
  pipeline("raw", 64 * kib),
  bulk("upload", 1),
  bulk("upload", 8),
  bulk("download", 1),
  bulk("download", 8),
  bulk("download", 32),
  connecting("connect", "raw"),
  connecting("connect-line", "line"),
  ...[
    exchange("raw", 64, 1),
    exchange("raw", 64, 64),
    exchange("raw", 16 * kib, 16),
    bulk("upload", 1),
    bulk("upload", 8),
    bulk("download", 1),
    bulk("download", 8),
    bulk("download", 32)
  ].map(overTls)
]

/** What a case counts a second of: messages, or megabytes where the bytes matter. */
export const unitOf = (one: Case): "MB/s" | "1/s" =>
  one.pattern === "upload" || one.pattern === "download" || (one.pattern === "pipeline" && one.size >= kib)
    ? "MB/s"
    : "1/s"
