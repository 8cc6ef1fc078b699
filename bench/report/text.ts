/** A report as Markdown. */
import { baseline, placeOf, subjectInto } from "../contenders.ts"
import type { Entry, Growth, Report, Result } from "../result.ts"
import { spread } from "../support/statistics.ts"
import { judge, type Verdict } from "../targets.ts"
import { number, percent, ratio, table } from "./table.ts"

/** `≥ 0.95: met`, or by how much it is missed; where several programs do the same, what each of them reaches. */
const verdictText = ({ met, reached, target }: Verdict): string => {
  const bound = target.atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${target.atLeast.toFixed(2)}`
  const against = { ratio: "", loadedRatio: " of loaded", difference: " more" }[target.of]
  const several = reached.length > 1
  const values = reached.map(({ entry, value }) => {
    const shown = target.of === "difference" ? number(value) : ratio(value)
    return several ? `${entry.id === subjectInto ? "readInto" : "read"} ${shown}` : shown
  })
  const told = met && target.of === "ratio" && !several ? "" : ` (${values.join(", ")})`
  return `${bound}${against}: ${met ? "met" : "MISSED"}${told}`
}

/** Whether the load generator had no time left for the baseline, which then is faster than its figure. */
const isHeldBack = ({ entries }: Result): boolean => {
  const { loadBusy = 0, serverBusy = 1 } = entries[0]!
  return loadBusy > 0.95 && serverBusy < 0.95
}

/** One row a case: the baseline's figure, and the ratio of each of the others to it. */
const ratios = (results: ReadonlyArray<Result>): string => {
  const others = new Map<string, string>()
  for (const { entries } of results.toSorted((a, b) => b.entries.length - a.entries.length)) {
    for (const { id, title } of entries.slice(1)) if (!others.has(id)) others.set(id, title)
  }
  const ids = Array.from(others.keys()).toSorted((a, b) => placeOf(a) - placeOf(b))
  const base = results[0]!.entries[0]!
  return table(
    ["case", base.title, ...ids.map((id) => others.get(id)!), "target"],
    results.map((result) => {
      const of = (id: string) => result.entries.find((entry) => entry.id === id)
      return [
        result.title,
        `${number(result.entries[0]!.median)} ${result.unit}${isHeldBack(result) ? " *" : ""}`,
        ...ids.map((id) => {
          const entry = of(id)
          return entry === undefined ? "" : ratio(entry.ratio)
        }),
        judge(result).map(verdictText).join("; ")
      ]
    })
  )
}

/** One row a contender: figures as they are, and where the time went. */
export const details = (results: ReadonlyArray<Result>): string =>
  table(
    ["case", "contender", "median", "spread", "p99 ms", "server µs/op", "load µs/op", "server busy", "load busy"],
    results.flatMap((result) =>
      result.entries.map((entry: Entry) => [
        result.title,
        entry.title,
        `${number(entry.median)} ${result.unit}`,
        percent(spread(entry.rounds)),
        entry.p99 === undefined ? "" : number(entry.p99),
        entry.serverMicros === undefined ? "" : number(entry.serverMicros),
        entry.loadMicros === undefined ? "" : number(entry.loadMicros),
        entry.serverBusy === undefined ? "" : percent(entry.serverBusy),
        entry.loadBusy === undefined ? "" : percent(entry.loadBusy)
      ])
    )
  )

/** One row a program: what an operation costs its process, and how many there are in a second. */
const protocols = (results: ReadonlyArray<Result>): string =>
  table(
    [
      "case",
      "program",
      "µs of processor an operation",
      "of the better one of the others",
      "operations a second",
      "target"
    ],
    results.flatMap((result) =>
      result.entries.map((entry) => [
        result.title,
        entry.title,
        number(entry.median),
        ratio(entry.ratio),
        entry.perSecond === undefined ? "" : number(entry.perSecond),
        judge(result)
          .filter(({ target }) => target.by?.includes(entry.id) === true)
          .map(verdictText)
          .join("; ")
      ])
    )
  )

const growth = ({ columns, rows, title, unit }: Growth): string =>
  [
    `### ${title}`,
    table(
      [unit, ...columns],
      rows.map(({ costs, size }) => [
        size,
        ...costs.map((cost) => (cost === undefined ? "too few files" : number(cost)))
      ])
    )
  ].join("\n\n")

/** The results that compare the same contenders, in one table each. */
const groups: ReadonlyArray<{
  readonly title: string
  readonly of: RegExp
  readonly less?: string
  readonly show?: (results: ReadonlyArray<Result>) => string
}> = [
  { title: "Throughput", of: /^(exchange|pipeline|bulk|connect)/ },
  { title: "Throughput over TLS", of: /^tls-/ },
  { title: "Memory and start-up", of: /^(memory|start-up)/, less: "Less is better here." },
  { title: "In one process", of: /^in-process/ },
  { title: "Observed", of: /^observed-/ },
  { title: "Relays", of: /^relay-/ },
  { title: "Protocols", of: /^protocols-/, less: "Less processor time is better.", show: protocols }
]

const misses = (results: ReadonlyArray<Result>): string => {
  const verdicts = results.flatMap((result) => judge(result))
  const met = verdicts.filter((verdict) => verdict.met).length
  return `${met} of ${verdicts.length} targets are met.`
}

/** Groups that take minutes by themselves, and are measured anew without the others. */
const apart: ReadonlyArray<string> = ["Observed", "Relays", "Protocols"]

/** The page, with these results in place of those that it had in the groups that stand apart. */
export const withGroups = (page: string, results: ReadonlyArray<Result>, how: string): string => {
  let text = page
  for (const { of, title } of groups) {
    const own = results.filter(({ id }) => of.test(id))
    if (!apart.includes(title) || own.length === 0) continue
    const section = `${summary({ results: own, growths: [] })}\n\n${how}\n\n`
    const before = new RegExp(`^## ${title}\\n[^]*?(?=^## )`, "m")
    text = before.test(text)
      ? text.replace(before, () => section)
      : text.replace(/^## Details$/m, () => `${section}## Details`)
  }
  return text
}

/** What a terminal shows at the end. */
export const summary = (report: Report): string => {
  const sections = groups.flatMap(({ less, of, show = ratios, title }) => {
    const results = report.results.filter(({ id }) => of.test(id))
    if (results.length === 0) return []
    const intro = less === undefined ? [] : [less]
    const held = results.some(isHeldBack)
      ? ["\\* The load generator was busy all the time, and the server was not."]
      : []
    return [`## ${title}`, ...intro, show(results), ...held]
  })
  const growths = report.growths.length === 0 ? [] : ["## Growth", ...report.growths.map(growth)]
  return [...sections, ...growths, ...(report.results.length === 0 ? [] : [misses(report.results)])].join("\n\n")
}

/** The page that is kept. */
export const page = (
  report: Report,
  machine: ReadonlyArray<readonly [string, string]>,
  how: string,
  chart: string
): string =>
  `${[
    "# Results",
    `Written by \`npm run bench\`. ${how}`,
    machine.map(([label, text]) => `- ${label}: ${text}`).join("\n"),
    `![Throughput of each case as a multiple of node:net by hand](${chart})`,
    `Columns under a contender's name are medians of its ratio to ${baseline === "net" ? "`node:net` by hand" : baseline}, round by round; "of loaded" ` +
      "means of `node:net` by hand in a process that has loaded the same modules and uses none of them.",
    summary(report),
    "## Details",
    "`spread` is the range of the middle half of the rounds; p99 is what all requests of a round but the slowest hundredth take at most. µs/op is processor time for one message, or for 64 KiB of " +
      "bulk. Where the load generator is busy all the time and the server is not, the server is faster than its figure.",
    details(report.results)
  ].join("\n\n")}\n`
