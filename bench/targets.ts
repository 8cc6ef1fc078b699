/** What this library wants to reach, and whether it does. */
import { subject, subjectInto } from "./contenders.ts"
import type { Entry, Result } from "./result.ts"

interface Target {
  /** The cases whose name matches. */
  readonly cases: RegExp
  /** Who has to reach it; where there are several programs that do the same, one of those that are there. */
  readonly by?: ReadonlyArray<string>
  /** Ratio to the baseline, to the baseline that has loaded Effect, or the difference to the baseline. */
  readonly of: "ratio" | "loadedRatio" | "difference"
  readonly atLeast?: number
  readonly atMost?: number
}

const targets: ReadonlyArray<Target> = [
  { cases: /^exchange-\w+-64-x1$/, of: "ratio", atLeast: 0.95 },
  { cases: /^exchange-\w+-64-x64$/, of: "ratio", atLeast: 0.85 },
  { cases: /^exchange-frame-16384-x16$/, of: "loadedRatio", atLeast: 1 },
  { cases: /^exchange-(raw|line)-16384-x16$/, of: "loadedRatio", atLeast: 1.1 },
  { cases: /^pipeline-raw-65536$/, of: "loadedRatio", atLeast: 1.1 },
  { cases: /^pipeline-line-16$/, of: "ratio", atLeast: 1.2 },
  { cases: /^pipeline-line-64$/, of: "ratio", atLeast: 1.05 },
  { cases: /^pipeline-line-256$/, of: "ratio", atLeast: 1.05 },
  { cases: /^pipeline-frame-64$/, of: "ratio", atLeast: 1.3 },
  { cases: /^bulk-in-/, of: "loadedRatio", atLeast: 1.1 },
  { cases: /^bulk-out-/, of: "ratio", atLeast: 1.3 },
  { cases: /^connect/, of: "ratio", atLeast: 0.9 },
  { cases: /^tls-/, of: "ratio", atLeast: 0.9 },
  { cases: /^relay-/, by: ["relay"], of: "ratio", atLeast: 1 },
  { cases: /^observed-/, by: ["telemetry"], of: "ratio", atLeast: 0.97 },
  // what the system has handed out; the heap alone, without the parts in native memory, is shown beside it
  { cases: /^memory-\w+-rss$/, of: "ratio", atMost: 1.3 },
  { cases: /^start-up$/, of: "difference", atMost: 65 },
  { cases: /^in-process-/, by: ["readLine"], of: "ratio", atLeast: 0.6 },
  { cases: /^in-process-/, by: ["lines"], of: "ratio", atLeast: 1 },
  { cases: /^frames-prefixed$/, by: ["readFrame"], of: "ratio", atLeast: 1.3 },
  { cases: /^frames-prefixed$/, by: ["readFrames"], of: "ratio", atLeast: 1.6 },
  // of by hand: at most 1.15, 1.0 and 2.5 times its time
  { cases: /^frames-prefixed$/, by: ["frames"], of: "ratio", atLeast: 1 / 1.15 },
  { cases: /^frames-struct$/, by: ["structCompiled"], of: "ratio", atLeast: 1 },
  { cases: /^frames-struct$/, by: ["structLoop"], of: "ratio", atLeast: 1 / 2.5 },
  { cases: /^frames-ndjson$/, by: ["ndjson"], of: "ratio", atLeast: 0.9 },
  { cases: /^calls-/, by: ["call1"], of: "ratio", atLeast: 0.9 },
  { cases: /^calls-/, by: ["call64"], of: "ratio", atLeast: 3 },
  // processor time an operation, of the better one of what people use
  { cases: /^protocols-redis-/, by: ["example"], of: "ratio", atMost: 0.6 },
  { cases: /^protocols-(postgres|mqtt|smtp)-/, by: ["example"], of: "ratio", atMost: 1 },
  { cases: /^protocols-http1-app$/, by: ["example"], of: "ratio", atMost: 0.8 },
  { cases: /^protocols-http1-hello$/, by: ["example"], of: "ratio", atMost: 1 },
  { cases: /^protocols-http2-/, by: ["example"], of: "ratio", atMost: 1.2 },
  { cases: /^rpc-/, by: ["layerSocket"], of: "ratio", atLeast: 1 }
]

/** How a result compares with a target. */
export interface Verdict {
  readonly target: Target
  /** What each program reaches, the best first. */
  readonly reached: ReadonlyArray<{ readonly entry: Entry; readonly value: number }>
  readonly met: boolean
}

const valueOf = (result: Result, entry: Entry, of: Target["of"]): number | undefined =>
  of === "difference" ? entry.median - result.entries[0]!.median : entry[of]

export const judge = (result: Result): ReadonlyArray<Verdict> =>
  targets.flatMap((target): ReadonlyArray<Verdict> => {
    if (!target.cases.test(result.id)) return []
    const by = target.by ?? [subject, subjectInto]
    const less = target.atMost !== undefined
    const reached = result.entries
      .filter(({ id }) => by.includes(id))
      .map((entry) => ({ entry, value: valueOf(result, entry, target.of) }))
      .filter((one): one is { entry: Entry; value: number } => one.value !== undefined)
      .toSorted((a, b) => (less ? a.value - b.value : b.value - a.value))
    const best = reached[0]?.value
    if (best === undefined) return []
    return [{ target, reached, met: best >= (target.atLeast ?? -Infinity) && best <= (target.atMost ?? Infinity) }]
  })
