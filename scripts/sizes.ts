/**
 * Writes down how many bytes of JavaScript a browser loads for each public module, minified and gzipped:
 * `bundle-sizes.json`. A change to that shows in the review, and one that forgets it fails `npm run check`.
 *
 * `alone` is without Effect, which a program that uses it has anyway. `atOnce` is loaded with the module, `inAll` also what
 * is loaded when it is first needed. The whole module is counted: programs that use little of it load less. The last
 * lines are two such programs.
 *
 * Usage: npm run sizes          writes it, and prints it
 *        npm run check:sizes    fails where a size is not what was written
 */
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { gzipSync } from "node:zlib"
import { shipped } from "../test/support/bundlers.ts"

const root = resolve(import.meta.dirname, "..")
const report = join(root, "bundle-sizes.json")

/** What a size may differ by before it has to be written down: a fiftieth, or what another gzip may make of it. */
const tolerance = (bytes: number): number => Math.max(100, bytes / 50)

interface Size {
  readonly atOnce: number
  readonly inAll: number
}

interface Sizes {
  readonly alone: Size
  readonly withEffect: Size
}

const gzipped = (files: ReadonlyArray<string>): number =>
  files.reduce((sum, code) => sum + gzipSync(code, { level: 9 }).length, 0)

const sizesOf = async (code: string): Promise<Sizes> => {
  const size = async (withoutEffect: boolean): Promise<Size> => {
    const { all, atOnce } = await shipped({ code, withoutEffect })
    return { atOnce: gzipped(atOnce), inAll: gzipped(all) }
  }
  return { alone: await size(true), withEffect: await size(false) }
}

const name = "effect-byte-streams"
const modules = globSync(["*.ts", "testing/*.ts"], { cwd: join(root, "src") })
  .map((file) => file.slice(0, -".ts".length).replaceAll("\\", "/"))
  .toSorted()

const entries: ReadonlyArray<readonly [what: string, code: string]> = [
  ...modules.map((module) => [module, `export * from "${module === "index" ? name : `${name}/${module}`}"`] as const),
  ["StreamReader.fromBytes", `export { fromBytes } from "${name}/StreamReader"`],
  ["Connection.fromWebStreams", `export { fromWebStreams } from "${name}/Connection"`]
]

const found: Record<string, Sizes> = {}
for (const [what, code] of entries) found[what] = await sizesOf(code)

const row = (what: string, { alone, withEffect }: Sizes): string => {
  const columns = [alone.atOnce, alone.inAll, withEffect.atOnce, withEffect.inAll]
  return what.padEnd(26) + columns.map((bytes) => (bytes / 1000).toFixed(1).padStart(9)).join("")
}

if (process.argv.includes("--check")) {
  const written = JSON.parse(readFileSync(report, "utf8")) as Record<string, Sizes>
  const wrong: Array<string> = []
  for (const what of new Set([...Object.keys(written), ...Object.keys(found)])) {
    const [was, is] = [written[what], found[what]]
    if (was === undefined || is === undefined) {
      wrong.push(`${what}: ${was === undefined ? "is not written down" : "is no more"}`)
      continue
    }
    for (const whose of ["alone", "withEffect"] as const) {
      for (const when of ["atOnce", "inAll"] as const) {
        const [before, now] = [was[whose][when], is[whose][when]]
        if (Math.abs(now - before) > tolerance(before)) {
          wrong.push(`${what}, ${whose}, ${when}: ${now} bytes, and ${before} are written down`)
        }
      }
    }
  }
  if (wrong.length > 0) {
    console.error(`${wrong.join("\n")}\n\`npm run sizes\` writes bundle-sizes.json, and the review looks at it.`)
    process.exitCode = 1
  } else console.log(`${entries.length} bundles have the sizes that are written down`)
} else {
  writeFileSync(report, `${JSON.stringify(found, null, 2)}\n`)
  console.log("kilobytes, minified and gzipped          alone          with Effect")
  console.log(`${"".padEnd(26)}  at once   in all  at once   in all`)
  for (const [what, sizes] of Object.entries(found)) console.log(row(what, sizes))
}
