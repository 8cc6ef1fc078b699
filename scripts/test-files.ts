/**
 * What a test file needs, found by what it imports, itself or by way of the files of `test/` that it imports.
 *
 * A **unit test** needs nothing of the world: nothing that opens sockets, starts processes or threads, or looks names up,
 * and nothing that was built. `npm run test:unit` runs those files, and its set-up fails a test that does any of it all
 * the same. The files that start programs of this project, or look at what was built, are the ones that `dist/` is
 * brought up to date for.
 *
 * Usage, to see what becomes of each file and why: node scripts/test-files.ts
 */
import { globSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

/** Modules through which a test gets at the world. */
const world =
  /^(node:(child_process|cluster|dgram|dns|dns\/promises|http|http2|https|net|tls|worker_threads)|@effect\/platform-node(\/.*)?|effect-byte-streams\/NodeNetwork)$/

/**
 * Unit tests by what they import, which `npm run test:unit` leaves to `npm test` all the same, because each takes seconds:
 * those that count or time what many megabytes cost, the one that runs a thousand programs, and those in which laws have
 * to find what is wrong.
 */
const heavy: ReadonlyArray<string> = [
  "test/exchange/laws.test.ts",
  "test/exchange/scenarios.test.ts",
  "test/frame/linear.test.ts",
  "test/read/linear.test.ts",
  "test/runtime/yields.test.ts",
  "test/testing/frameLaws.test.ts",
  "test/testing/streamLaws.test.ts"
]

interface Needs {
  /** What keeps it from being a unit test, and by way of what. */
  readonly world: string | undefined
  /** Whether it needs what is built. */
  readonly dist: boolean
}

/** What a file imports at run time; a program that it starts counts as imported by `programs`. */
const read = (file: string): { readonly imports: ReadonlySet<string>; readonly programs: ReadonlyArray<string> } => {
  const text = readFileSync(file, "utf8")
  const imports = new Set<string>()
  for (const [, names = "", from] of text.matchAll(/^(?:import|export) (?!type )(?:([^"]*?) from )?"([^"]+)"/gm)) {
    const listed = /^\{([^}]*)\}$/
      .exec(names)?.[1]
      ?.split(",")
      .map((name) => name.trim()) ?? ["*"]
    const values = listed.filter((name) => name !== "" && !name.startsWith("type "))
    if (values.length === 0) continue
    imports.add(from!)
    if (from === "effect-byte-streams" && values.includes("NodeNetwork")) imports.add("effect-byte-streams/NodeNetwork")
  }
  const programs = Array.from(text.matchAll(/"(?:\.\/)?(programs\/\w+\.ts)"/g), ([, program]) =>
    join(dirname(file), program!)
  )
  return { imports, programs }
}

/** Whether a program runs what was built: it imports the package by its name. */
const runsDist = (program: string): boolean =>
  Array.from(read(program).imports).some((name) => name.startsWith("effect-byte-streams"))

const needsOf = (file: string, seen: Set<string> = new Set()): Needs => {
  if (seen.has(file)) return { world: undefined, dist: false }
  seen.add(file)
  const { imports, programs } = read(file)
  // the examples are programs of this project as well; Node's own modules are in a `dist` that is not ours
  const built = /resolve\(import\.meta\.dirname, "[./]*\/dist"\)|join\(root, "examples"/.test(
    readFileSync(file, "utf8")
  )
  let needs: Needs = { world: built ? "dist/" : undefined, dist: built || programs.some(runsDist) }
  for (const name of imports) {
    if (world.test(name)) needs = { ...needs, world: needs.world ?? name }
    if (!name.startsWith(".")) continue
    const imported = join(dirname(file), name)
    if (imported === join(root, "src/NodeNetwork.ts")) needs = { ...needs, world: needs.world ?? "src/NodeNetwork.ts" }
    if (!imported.startsWith(join(root, "test/"))) continue
    const theirs = needsOf(imported, seen)
    needs = {
      world: needs.world ?? (theirs.world && `${relative(root, imported)}: ${theirs.world}`),
      dist: needs.dist || theirs.dist
    }
  }
  return needs
}

/** Whether a test file starts what was built, or looks at it. */
export const needsDist = (file: string): boolean => needsOf(resolve(root, file)).dist

const all = globSync(["test/**/*.test.ts", "examples/**/*.test.ts"], { cwd: root }).toSorted()

/** The files of `npm run test:unit`. */
export const unit: ReadonlyArray<string> = all.filter(
  (file) => !heavy.includes(file) && needsOf(join(root, file)).world === undefined
)

if (import.meta.main) {
  for (const file of all) {
    const needs = needsOf(join(root, file))
    const why = needs.world ?? (heavy.includes(file) ? "takes seconds" : undefined)
    console.log(
      `${why === undefined ? "unit" : "    "} ${needs.dist ? "dist" : "    "} ${file}${why === undefined ? "" : `  (${why})`}`
    )
  }
}
