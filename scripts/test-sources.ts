/**
 * Keeps `docs/test-sources.md`, which says where each test comes from that has a source in its title: a row of asyncio's
 * behaviour ("row 6.2"), the rank of a wish ("rank 9"), a law of trio's ("trio L5"), a case of CPython's, tokio's or Eio's
 * ("CPython read_eof", "tokio io_lines", "Eio fuzz_buf_read").
 *
 * The page says what each of them is, and this script in which files they are tested. With `--check` it writes nothing, and
 * fails where the page is not what it would write, a title names what the page does not have, or the page has what no
 * title names.
 *
 * Usage: npm run test-sources, or npm run check:test-sources
 */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const page = join(root, "docs/test-sources.md")

/** Without comments, so that a source is only what a string says. */
const code = (file: string): string =>
  readFileSync(join(root, file), "utf8").replaceAll(/^\s*\/\*[^]*?\*\/|(^|\s)\/\/ .*$/gm, "")

const many = (one: string): string => `${one}(?:(?:, | and )${one})*`

/** How titles name each kind of source; what they name is in the group. */
const kinds: Readonly<Record<string, RegExp>> = {
  row: new RegExp(`\\brows? (${many("\\d+\\.\\d+")})`, "g"),
  rank: new RegExp(`\\branks? (${many("\\d+\\b(?!\\.)")})`, "g"),
  trio: new RegExp(`\\btrio (${many("L\\d+")})`, "g"),
  // at the beginning of a title, or behind another source
  CPython: /(?:["'`]|(?:row|rank) [\d.]+, )CPython (\w+(?:, \w+_\w+)*)/g,
  tokio: new RegExp(`["'\`]tokio (\\w+)`, "g"),
  Eio: new RegExp(`["'\`]Eio (\\w+)`, "g")
}

/** For each kind of source, in which files each of them is named. */
const named = new Map(Object.keys(kinds).map((kind) => [kind, new Map<string, Set<string>>()]))
for (const file of globSync(["test/**/*.test.ts", "test/support/laws.ts", "src/internal/testing/laws/*.ts"], {
  cwd: root
}).toSorted()) {
  const text = code(file)
  for (const [kind, title] of Object.entries(kinds)) {
    for (const [, names] of text.matchAll(title)) {
      for (const name of names!.split(/, | and /)) {
        const files = named.get(kind)!
        files.set(name, (files.get(name) ?? new Set()).add(file))
      }
    }
  }
}

const problems: Array<string> = []
const listed = new Map(Object.keys(kinds).map((kind) => [kind, new Set<string>()]))

/** How the page speaks of a file. */
const link = (file: string): string => `[${file.replace(/^test\//, "").replace(/\.test\.ts$/, "")}](../${file})`

const cells = (line: string): ReadonlyArray<string> =>
  line
    .slice(1, -1)
    .split("|")
    .map((cell) => cell.trim())

let kind: string | undefined
const lines = readFileSync(page, "utf8")
  .split("\n")
  .map((line) => {
    const heading = /^<!-- sources: (\w+) -->$/.exec(line)
    if (heading !== null) kind = heading[1]!
    if (line.startsWith("#")) kind = undefined
    if (kind === undefined || !line.startsWith("|")) return line
    const [first = "", ...others] = cells(line)
    const name = first.replaceAll("`", "")
    // the heads of the tables
    if (!/\d|_|^[a-z]+$/.test(name) || name === kind || /^-+$/.test(name)) return line
    listed.get(kind)!.add(name)
    const files = named.get(kind)!.get(name)
    if (files === undefined) {
      problems.push(`no title names ${kind} ${name}, which the page has`)
      return line
    }
    const tests = Array.from(files, link).join(", ")
    if (others.at(-1) === tests) return line
    problems.push(`the page does not have the tests of ${kind} ${name} right`)
    return `| ${[first, ...others.slice(0, -1), tests].join(" | ")} |`
  })
for (const [kind, names] of named) {
  for (const [name, files] of names) {
    if (listed.get(kind)!.has(name)) continue
    problems.push(`${kind} ${name} is not on the page; it is named in ${Array.from(files).join(", ")}`)
  }
}

const missing = problems.filter((problem) => !problem.startsWith("the page does not have"))
if (process.argv.includes("--check")) {
  for (const problem of problems) console.error(`docs/test-sources.md: ${problem}`)
  if (problems.length > 0) process.exitCode = 1
  const total = Array.from(listed.values()).reduce((sum, names) => sum + names.size, 0)
  console.log(`${total} sources of tests, ${problems.length} problems`)
} else {
  writeFileSync(page, lines.join("\n"))
  spawnSync("npx", ["oxfmt", page], { stdio: "inherit" })
  for (const problem of missing) console.error(`docs/test-sources.md: ${problem}`)
  if (missing.length > 0) process.exitCode = 1
}
