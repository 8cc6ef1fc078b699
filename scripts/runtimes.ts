/**
 * Runs the demo, the examples and the laws of streams on other runtimes than the project's own Node: the oldest Node that
 * is supported, the newest, Bun and Deno. They come from npm, at the versions of `scripts/runtimes/package.json`, into a
 * folder of this script's own; where they are there already, nothing is installed.
 *
 * Usage: npm run test:runtimes [-- [--whole] [runtime…] [file or folder of tests…]]
 *
 * `--whole` runs the whole suite. What cannot pass is in `test/runtimes/exceptions.ts`; the run fails where that list is
 * not true. The list, and a table of what passed, are printed at the end.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { exceptions } from "../test/runtimes/exceptions.ts"
import { exceptionsOf, problemsOf, type Report, wrongEntries } from "../test/runtimes/judge.ts"
import { isRuntime, type Runtime, runtimes } from "../test/runtimes/names.ts"
import { listOf, type Row, tableOf } from "../test/runtimes/table.ts"

const root = resolve(import.meta.dirname, "..")
const wanted = join(import.meta.dirname, "runtimes")
const installed = join(root, "node_modules/.cache/runtimes")

const fail = (message: string): never => {
  console.error(message)
  process.exit(1)
}

/** Where a runtime's program lies among the packages, and how it starts Vitest. */
const programs: Readonly<Record<Runtime, { readonly file: string; readonly args: ReadonlyArray<string> }>> = {
  "node-22": { file: "node-22-*/bin/node", args: [] },
  "node-26": { file: "node-26-*/bin/node", args: [] },
  bun: { file: "@oven/bun-*/bin/bun", args: ["--bun"] },
  deno: { file: "@deno/*/deno", args: ["run", "--allow-all"] }
}

/** The version that the lock file has of a program, by the package that it lies in. */
const versions: Readonly<Record<string, { readonly version?: string }>> = JSON.parse(
  readFileSync(join(wanted, "package-lock.json"), "utf8")
).packages

interface Program {
  readonly path: string
  readonly version: string
}

/** The program of a runtime, if it is there, runs, and is the version of the lock file. */
const find = (runtime: Runtime): Program | undefined => {
  for (const file of globSync(`node_modules/${programs[runtime].file}`, { cwd: installed })) {
    const path = join(installed, file)
    const says = spawnSync(path, ["--version"], { encoding: "utf8" })
    const version = /\d+\.\d+\.\d+/.exec(says.stdout ?? "")?.[0]
    const name = Object.keys(versions).find((name) => file.startsWith(`${name}/`))
    if (version !== undefined && name !== undefined && versions[name]!.version === version) return { path, version }
  }
  return undefined
}

const install = (): void => {
  console.log(`installing ${runtimes.join(", ")}`)
  mkdirSync(installed, { recursive: true })
  for (const name of ["package.json", "package-lock.json"]) copyFileSync(join(wanted, name), join(installed, name))
  // the programs lie in the packages as they come: none of their scripts has to run
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
  if (spawnSync("npm", args, { cwd: installed, stdio: "inherit" }).status !== 0) fail("npm cannot install the runtimes")
}

const programOf = (runtime: Runtime): Program =>
  find(runtime) ?? fail(`there is no ${runtime} for ${process.platform} on ${process.arch} among the packages`)

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { whole: { type: "boolean", default: false } }
})
const named = positionals.filter(isRuntime)
const paths = positionals.filter((name) => !isRuntime(name))
for (const path of paths) {
  if (!/^(test|examples)\//.test(path)) fail(`${path} is none of ${runtimes.join(", ")}, and no test`)
}

const chosen = named.length > 0 ? named : runtimes
const testFiles = globSync(["test/**/*.test.ts", "examples/**/*.test.ts"], { cwd: root })

/** What is run in one process each, so that one that ends before its time takes little with it. */
const parts: ReadonlyArray<ReadonlyArray<string>> =
  paths.length > 0
    ? [paths]
    : values.whole
      ? Array.from(new Set(testFiles.map((file) => `${file.split("/").slice(0, -1).join("/")}/`))).map((folder) => [
          folder
        ])
      : [["examples/", "test/project/examples.test.ts", "test/testing/laws.test.ts", "test/tls/laws.test.ts"]]

/** How long one part may take, in milliseconds. */
const bound = (values.whole ? 30 : 10) * 60_000

const scratch = mkdtempSync(join(tmpdir(), "runtimes-"))

/** What runs now. It has a group of its own, so that whatever it has started can be ended with it. */
let group: number | undefined
const endGroup = (): void => {
  try {
    if (group !== undefined) process.kill(-group, "SIGKILL")
  } catch {
    // all of it has ended
  }
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    endGroup()
    process.exit(1)
  })
}

const run = async (runtime: Runtime, { path }: Program, part: ReadonlyArray<string>): Promise<Report> => {
  const report = join(scratch, `${runtime}.json`)
  rmSync(report, { force: true })
  const vitest = join(root, "node_modules/vitest/vitest.mjs")
  const args = [...programs[runtime].args, vitest, "run", "--config", "vitest.runtimes.config.ts", ...part]
  const child = spawn(path, args, {
    cwd: root,
    detached: true,
    env: { ...process.env, TEST_RUNTIME: runtime, RUNTIMES_REPORT: report },
    stdio: "inherit"
  })
  group = child.pid
  const timer = setTimeout(endGroup, bound)
  const [status, signal] = await once(child, "exit")
  clearTimeout(timer)
  endGroup()
  group = undefined
  try {
    return JSON.parse(readFileSync(report, "utf8"))
  } catch {
    return { results: [], broken: [`${part.join(", ")}: ended with ${signal ?? status} before its tests were counted`] }
  }
}

if (chosen.some((runtime) => find(runtime) === undefined)) install()
if (spawnSync(process.execPath, [join(root, "scripts/bundle.ts")], { stdio: "inherit" }).status !== 0) {
  fail("the package cannot be built")
}

const rows: Array<Row> = []
const problems: Array<string> = [...wrongEntries(exceptions, testFiles)]
try {
  for (const runtime of chosen) {
    const program = programOf(runtime)
    const known = exceptionsOf(exceptions, runtime)
    console.log(`\n${runtime} ${program.version}`)
    const reports: Array<Report> = []
    for (const part of parts) reports.push(await run(runtime, program, part))
    const report = {
      results: reports.flatMap(({ results }) => results),
      broken: reports.flatMap(({ broken }) => broken)
    }
    if (report.results.length === 0) problems.push(`${runtime}: no test was run`)
    problems.push(...problemsOf(known, report).map((problem) => `${runtime}: ${problem}`))
    rows.push({ runtime, version: program.version, results: report.results, exceptions: known })
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

for (const row of rows) console.log(`\n${listOf(row)}`)
if (problems.length > 0)
  console.log(`\n${problems.length} problems:\n${problems.map((line) => `  ${line}`).join("\n")}`)
console.log(`\n${tableOf(rows, values.whole)}`)
if (problems.length > 0) process.exitCode = 1
