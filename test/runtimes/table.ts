/** What `npm run test:runtimes` prints at its end. */
import type { Exception } from "./exceptions.ts"
import type { Result } from "./judge.ts"
import type { Runtime } from "./names.ts"

const laws = "test/testing/laws.test.ts"
const lawsOverTls = "test/tls/laws.test.ts"

/** The columns, each with the tests that it counts. */
const columns: Readonly<Record<string, (result: Result) => boolean>> = {
  "demo and examples": ({ file }) => file === "test/project/examples.test.ts" || file.startsWith("examples/"),
  memory: ({ file, name }) => file === laws && /laws of \w+: (memory|a network in memory|a Unix socket in)/.test(name),
  TCP: ({ file, name }) => file === laws && /laws of \w+: TCP\b/.test(name),
  "Unix socket": ({ file, name }) => file === laws && /laws of \w+: a Unix socket >/.test(name),
  TLS: ({ file, name }) => file === laws && /laws of \w+: TLS\b/.test(name),
  "TLS, `stoppable`": ({ file, name }) =>
    file === lawsOverTls && /(streams|transports): TLS with a way back >/.test(name),
  "`startTls`": ({ file, name }) => file === lawsOverTls && /streams: TLS made by startTls >/.test(name),
  "after `stopTls`": ({ file, name }) => file === lawsOverTls && /streams: plain text after stopTls >/.test(name),
  Duplex: ({ file, name }) => file === laws && /laws of \w+: a Node Duplex >/.test(name)
}

/** One runtime, and what became of its tests. */
export interface Row {
  readonly runtime: Runtime
  readonly version: string
  readonly results: ReadonlyArray<Result>
  readonly exceptions: ReadonlyArray<Exception>
}

/** How many tests or files are named. */
export const lengthOf = (exceptions: ReadonlyArray<Exception>): number =>
  exceptions.reduce((sum, { tests }) => sum + (tests === "all" ? 1 : tests.length), 0)

const titles: Readonly<Record<Runtime, string>> = {
  "node-22": "Node 22",
  "node-26": "Node 26",
  bun: "Bun",
  deno: "Deno"
}

const count = (results: ReadonlyArray<Result>): string => {
  const passed = results.filter(({ state }) => state === "passed").length
  return results.length === 0 ? "–" : passed === results.length ? `all ${passed}` : `${passed} of ${results.length}`
}

/** A table in Markdown: what passed of the examples, and of the laws on each kind of stream. */
export const tableOf = (rows: ReadonlyArray<Row>, whole: boolean): string => {
  const cells = rows.map(({ exceptions, results, runtime, version }) => [
    titles[runtime],
    version,
    ...Object.values(columns).map((counts) => count(results.filter(counts))),
    ...(whole ? [count(results)] : []),
    String(lengthOf(exceptions))
  ])
  const head = ["runtime", "version", ...Object.keys(columns), ...(whole ? ["all tests"] : []), "exceptions"]
  return [head, head.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |`).join("\n")
}

/** The exceptions of a runtime, one a line, behind their number. */
export const listOf = ({ exceptions, runtime }: Pick<Row, "exceptions" | "runtime">): string =>
  [
    `${titles[runtime]}: ${lengthOf(exceptions)} exceptions`,
    ...exceptions.flatMap(({ file, issue, kind, reason, tests }) => {
      const why = issue === undefined ? reason : `${reason} (${issue})`
      return tests === "all"
        ? [`  ${kind}: ${file}: ${why}`]
        : [`  ${kind}: ${file}: ${why}`, ...tests.map((test) => `    ${test}`)]
    })
  ].join("\n")
