/**
 * Documentation examples are programs, and this script treats them so: it takes every `ts` block out of README.md,
 * docs/*.md and the JSDoc comments in src/, type-checks them all under the project's own strict settings, and runs
 * each in a process of its own. An example passes when it exits with 0 within 20 seconds.
 *
 *     ```ts           type-checked and run
 *     ```ts no-run    type-checked only
 *
 * A comment `// => value`, at the end of a line or on a line of its own, promises that the program prints `value` as
 * one whole line of standard output. Every promise must be kept; other output is allowed, and order is not compared
 * (a handler is often written above the code that makes it print).
 *
 * Examples import `effect-byte-streams` by its name and so see what a user sees: the built package and its exports.
 * Line numbers in errors are those of the documentation.
 *
 * Usage: npm run check:examples [-- FILE...], to check the examples of some files only.
 */
import { spawn, spawnSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join, resolve } from "node:path"

interface Example {
  /** Where it begins, as `file:line`. */
  readonly name: string
  /** The program, below as many empty lines as put each of its lines where the documentation has it. */
  readonly code: string
  readonly run: boolean
  readonly promised: ReadonlyArray<string>
  /** The file that holds it while it is checked. */
  readonly file: string
}

const timeLimitSeconds = 20
const root = resolve(import.meta.dirname, "..")
// Inside the project, so that the package can be imported by its name; not in node_modules, where Node strips no types.
const folder = ".examples"

/** The lines of a source file with everything but the text of its JSDoc comments blanked out. */
const commentLines = (source: string): Array<string> => {
  let inside = false
  return source.split("\n").map((line) => {
    if (/^\s*\/\*\*/.test(line)) inside = true
    const text = inside ? line.replace(/^\s*\/?\*+ ?/, "") : ""
    if (line.includes("*/")) inside = false
    return text
  })
}

const extract = (path: string): Array<Example> => {
  const source = readFileSync(join(root, path), "utf8")
  const lines = path.endsWith(".md") ? source.split("\n") : commentLines(source)
  const examples: Array<Example> = []
  for (let at = 0; at < lines.length; at++) {
    const fence = /^(\s*)(`{3,})(.*)$/.exec(lines[at]!)
    if (fence === null) continue
    const [, indent, ticks, info] = fence
    const start = at + 1
    do at++
    while (at < lines.length && lines[at]!.trim() !== ticks)
    if (at === lines.length) throw new Error(`${path}:${start}: the code block has no end`)
    const [language, ...flags] = info!.trim().split(/\s+/)
    if (language !== "ts") continue
    if (flags.some((flag) => flag !== "no-run")) {
      throw new Error(`${path}:${start}: only "ts" and "ts no-run" are known, not "${info}"`)
    }
    const body = lines.slice(start, at).map((line) => (line.startsWith(indent!) ? line.slice(indent!.length) : line))
    examples.push({
      name: `${path}:${start}`,
      code: "\n".repeat(start) + body.join("\n") + "\n",
      run: flags.length === 0,
      promised: body.flatMap((line) => /\/\/ => (.*)$/.exec(line)?.[1]?.trimEnd() ?? []),
      file: join(folder, `${path}.${start}.ts`)
    })
  }
  return examples
}

/** Messages about the extracted files, turned into messages about the documentation. */
const inTermsOfTheDocumentation = (text: string): string =>
  text
    .replaceAll(`file://${root}/`, "")
    .replaceAll(`${root}/`, "")
    .replaceAll(/\.examples\/(\S+?)\.\d+\.ts\b/g, "$1")

/** With these libraries of TypeScript's: that of the DOM has types of its own for what Node has as well. */
const typeCheck = (lib: ReadonlyArray<string>): string | undefined => {
  // Without the project's `paths`, the package's name leads through its exports to the built declarations.
  const config = { extends: "../tsconfig.json", compilerOptions: { paths: {}, lib }, include: ["**/*.ts"] }
  writeFileSync(join(root, folder, "tsconfig.json"), JSON.stringify(config))
  const tsc = spawnSync("tsc", ["-p", folder, "--pretty", "false"], { cwd: root, encoding: "utf8" })
  if (tsc.error) throw tsc.error
  return tsc.status === 0 ? undefined : inTermsOfTheDocumentation(tsc.stdout + tsc.stderr).trimEnd()
}

/** Runs one example; answers what is wrong with it, if anything. */
const run = (example: Example): Promise<string | undefined> =>
  new Promise((done, crash) => {
    const child = spawn(process.execPath, [example.file], {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeLimitSeconds * 1000,
      killSignal: "SIGKILL"
    })
    let printed = ""
    let complained = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (complained += text))
    child.on("error", crash)
    child.on("close", (code, signal) => {
      const unclaimed = printed.split("\n").map((line) => line.trimEnd())
      const missing = example.promised.filter((line) => {
        const at = unclaimed.indexOf(line)
        if (at >= 0) unclaimed.splice(at, 1)
        return at < 0
      })
      const wrong = [
        ...(signal === "SIGKILL" ? [`did not end within ${timeLimitSeconds} seconds`] : []),
        ...(signal !== null && signal !== "SIGKILL" ? [`was killed by ${signal}`] : []),
        ...(code !== null && code !== 0 ? [`exited with ${code}`] : []),
        ...missing.map((line) => `did not print: ${line}`)
      ]
      const output = inTermsOfTheDocumentation(printed + complained).trimEnd()
      done(wrong.length === 0 ? undefined : [`${example.name} ${wrong.join("\n  and ")}`, output].join("\n").trimEnd())
    })
  })

const documentation = ["README.md", "docs/*.md", "src/*.ts", "src/testing/*.ts"]
const wanted = process.argv.slice(2)
const files = wanted.length > 0 ? wanted : globSync(documentation, { cwd: root }).toSorted()
const examples = files.flatMap(extract)
if (examples.length === 0) throw new Error(`no examples in ${files.join(", ")}`)

rmSync(join(root, folder), { recursive: true, force: true })
for (const { code, file } of examples) {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), code)
}

const failures: Array<string> = []
try {
  const typeErrors = typeCheck(["ES2024"]) ?? typeCheck(["ES2024", "DOM", "DOM.AsyncIterable"])
  if (typeErrors !== undefined) failures.push(typeErrors)
  else {
    const queue = examples.filter((example) => example.run)
    const worker = async (): Promise<void> => {
      for (let example = queue.shift(); example !== undefined; example = queue.shift()) {
        const failure = await run(example)
        if (failure !== undefined) failures.push(failure)
      }
    }
    await Promise.all(Array.from({ length: availableParallelism() }, worker))
  }
} finally {
  rmSync(join(root, folder), { recursive: true, force: true })
}

for (const failure of failures) console.error(`${failure}\n`)
const ran = examples.filter((example) => example.run).length
if (failures.length > 0) process.exitCode = 1
else console.log(`${examples.length} documentation examples type-check, ${ran} of them ran`)
