/** What a byte, or a request, costs as sizes grow: the lines are flat if nothing is done twice. */
import { execFileSync } from "node:child_process"
import type { Case } from "../cases.ts"
import { type Available, baseline, subject } from "../contenders.ts"
import type { Question } from "../readers/growth.ts"
import type { Growth } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import * as Network from "./network.ts"

const kib = 1024

const size = (bytes: number): string =>
  bytes < kib ? `${bytes} B` : bytes < kib * kib ? `${bytes / kib} KiB` : `${bytes / kib / kib} MiB`

const asking = async <A>(use: (ask: (question: Question) => Promise<number>) => Promise<A>): Promise<A> => {
  const reader = new ReaderProcess<Question, number>("growth")
  try {
    return await use((question) => reader.ask(question))
  } finally {
    await reader.stop()
  }
}

const readExactly = (millis: number): Promise<Growth> =>
  asking(async (ask) => {
    const rows: Array<Growth["rows"][number]> = []
    for (const bytes of [1, 16, 256, 4 * kib, 64 * kib].map((count) => count * kib)) {
      const read = await ask({ _tag: "ReadExactly", size: bytes, millis })
      const byHand = await ask({ _tag: "Concat", size: bytes, millis })
      rows.push({ size: size(bytes), costs: [read, byHand] })
    }
    return {
      id: "growth-read-exactly",
      title: "readExactly, by how much is read at a time",
      unit: "ns/byte",
      columns: ["readExactly", "Buffer.concat by hand"],
      rows
    }
  })

const longLine = (millis: number): Promise<Growth> =>
  asking(async (ask) => {
    const chunks = [1, 100, 64 * kib]
    const rows: Array<Growth["rows"][number]> = []
    for (const megabytes of [0.1, 1, 10]) {
      const costs: Array<number> = []
      for (const chunk of chunks) costs.push(await ask({ _tag: "Line", size: megabytes * 1e6, chunk, millis }))
      rows.push({ size: `${megabytes} MB`, costs })
    }
    return {
      id: "growth-line",
      title: "one line, by its length, and by the size of the chunks it comes in",
      unit: "ns/byte",
      columns: chunks.map((chunk) => `chunks of ${size(chunk)}`),
      rows
    }
  })

/** How many files a process may have open at most. Node claims them all. */
const openFiles = (): number => {
  const limit = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim()
  return limit === "unlimited" ? Infinity : Number(limit)
}

const connections = async (contenders: ReadonlyArray<Available>, options: Options): Promise<Growth> => {
  const compared = contenders.filter(({ id }) => id === baseline || id === subject)
  const rows: Array<Growth["rows"][number]> = []
  for (const count of options.quick ? [1, 10, 100, 1000] : [1, 10, 100, 1000, 10_000]) {
    if (openFiles() < count + 100) {
      rows.push({ size: String(count), costs: compared.map(() => undefined) })
      continue
    }
    const one: Case = {
      id: "growth-connections",
      title: "",
      service: "raw",
      pattern: "exchange",
      connections: count,
      size: 64
    }
    const longer = { starts: 1, rounds: options.quick ? 1 : 5, millis: Math.max(options.millis, count / 20) }
    const { entries } = Network.evaluate(one, await Network.measure(one, compared, { ...options, ...longer }))
    rows.push({ size: String(count), costs: entries.map(({ serverMicros, median }) => serverMicros ?? 1e6 / median) })
  }
  return {
    id: "growth-connections",
    title: "request/response, raw, 64 B, by the number of connections, all of them busy",
    unit: "µs of the server's core a request",
    columns: compared.map(({ title }) => title),
    rows
  }
}

export const run = async (
  contenders: ReadonlyArray<Available>,
  options: Options,
  onGrowth: (growth: Growth) => void
): Promise<void> => {
  const millis = options.quick ? 200 : 1000
  if (wanted(options, "growth-read-exactly")) onGrowth(await readExactly(millis))
  if (wanted(options, "growth-line")) onGrowth(await longLine(millis))
  if (wanted(options, "growth-connections")) onGrowth(await connections(contenders, options))
}
