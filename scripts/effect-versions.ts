/**
 * Runs the types, the unit tests and the laws on the oldest and on the newest `effect` that the peer range of package.json
 * allows, each in a copy of this project of its own. Which versions there are is asked of the registry that npm is
 * configured with; `@effect/vitest` and `@effect/platform-node` are those that belong to them.
 *
 * Usage: npm run test:effect-versions [-- [--whole] [--others] [version…]]
 *
 * `--whole` runs the whole suite instead. `--others` leaves out the version that is installed here, which `npm test` runs
 * on. Versions that are named are tested instead of those of the range, whether it allows them or not.
 */
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { withProjectCopy } from "./project-copy.ts"

const root = resolve(import.meta.dirname, "..")
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { whole: { type: "boolean", default: false }, others: { type: "boolean", default: false } }
})

const fail = (message: string): never => {
  console.error(message)
  process.exit(1)
}

const json = (file: string): any => JSON.parse(readFileSync(file, "utf8"))

/** What npm knows of a package; a range has as many answers as versions. */
const view = (spec: string, field: string): ReadonlyArray<string> => {
  const { status, stderr, stdout } = spawnSync("npm", ["view", spec, field, "--json"], { cwd: root, encoding: "utf8" })
  if (status !== 0 || stdout.trim() === "") return fail(`npm does not know ${spec}: ${stderr}`)
  return [JSON.parse(stdout)].flat()
}

const numbers = (version: string): ReadonlyArray<number> => version.split(".").map(Number)

const compare = (one: string, other: string): number =>
  numbers(one).reduce((order, number, i) => (order === 0 ? number - numbers(other)[i]! : order), 0)

/** The newest version that is no newer than this one, and no forerunner: packages of Effect are numbered together. */
const belongingTo = (version: string, name: string): string => {
  const versions = view(name, "versions").filter((other) => /^4\.\d+\.\d+$/.test(other) && compare(other, version) <= 0)
  return versions.toSorted(compare).at(-1) ?? fail(`there is no ${name} for effect ${version}`)
}

const manifest = json(join(root, "package.json"))
const range: string = manifest.peerDependencies.effect
const installed: string = json(join(root, "node_modules/effect/package.json")).version

const allowed = view(`effect@${range}`, "version")
  .filter((version) => /^[\d.]+$/.test(version))
  .toSorted(compare)
const [oldest, newest] = [allowed[0]!, allowed.at(-1)!]
console.log(`effect ${range}: the oldest is ${oldest}, the newest ${newest}, here is ${installed}`)

const named = positionals.length > 0 ? positionals : Array.from(new Set([oldest, newest]))
const versions = named.filter((version) => {
  if (!values.others || version !== installed) return true
  console.log(`effect ${version} is installed here: npm test runs on it`)
  return false
})

/** Those of the laws that do not stand on TLS, where a version of Effect makes no difference. */
const laws = "laws of (streams|transports): (memory|TCP$|TCP |a Unix socket|a Node Duplex|an Effect socket)"

const tests: ReadonlyArray<ReadonlyArray<string>> = values.whole
  ? [["vitest", "run"]]
  : [
      ["vitest", "run", "--config", "vitest.unit.config.ts"],
      ["vitest", "run", "test/runtime", "test/testing/laws.test.ts", "--testNamePattern", `^(?!.*laws of)|${laws}`]
    ]

const test = (version: string): string => {
  const packages = {
    effect: version,
    "@effect/platform-node": belongingTo(version, "@effect/platform-node"),
    "@effect/vitest": belongingTo(version, "@effect/vitest")
  }
  const shown = Object.entries(packages)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ")
  console.log(`\n${shown}`)
  return withProjectCopy(({ directory, run }) => {
    writeFileSync(
      join(directory, "package.json"),
      JSON.stringify({
        ...manifest,
        devDependencies: { ...manifest.devDependencies, ...packages },
        overrides: { "@effect/platform-node-shared": packages["@effect/platform-node"] }
      })
    )
    const install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    if (!run("npm", ...install)) return `${shown}: cannot be installed`
    const now = json(join(directory, "node_modules/effect/package.json")).version
    if (now !== version) return `${shown}: npm has installed effect ${now}`
    const failed = [["tsc"], ...tests].filter((args) => !run("npx", ...args)).map((args) => args.join(" "))
    return failed.length === 0 ? `${shown}: passed` : `${shown}: failed in ${failed.join(", ")}`
  })
}

const results = versions.map(test)

console.log("")
for (const result of results) console.log(result)
if (results.some((result) => !result.endsWith(": passed"))) process.exitCode = 1
