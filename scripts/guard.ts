/**
 * Keeps what hot paths cost, in figures that do not depend on how busy a machine is: the steps of Effect's loop, and the
 * bytes that are allocated, for 1,000 messages each. A change to one shows in the review, and a change that forgets it fails
 * `npm run check`.
 *
 * Steps are compared exactly, on any version of Node. Bytes are compared within a tolerance, and only on the version of Node
 * that the project pins. They are those that the interpreter allocates: V8's compilers leave some of them out, at moments
 * that depend on the machine.
 *
 * Usage: npm run guard                says what the paths cost now, and what they did
 *        npm run guard -- --write     writes it to bench/guard/guard.json
 *        npm run check:guard          fails where it is not what was written
 */
import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import type { Measured } from "../bench/guard/program.ts"

/** How far bytes may be from what was written, as a part of that. */
const tolerance = 0.01

const root = resolve(import.meta.dirname, "..")
const file = join(root, "bench/guard/guard.json")

interface Kept {
  readonly node: string
  readonly paths: Readonly<Record<string, Measured>>
}

const flags = [
  "--expose-gc",
  // a round fits into the young generation, so that no collection takes anything away meanwhile
  "--min-semi-space-size=64",
  "--max-semi-space-size=64",
  // nor does one go on behind the measurement
  "--single-threaded-gc",
  "--no-sparkplug",
  "--no-maglev",
  "--no-opt"
]

const { EFFECT_BYTE_STREAMS_PUBLIC_API: _, NODE_OPTIONS: __, NODE_V8_COVERAGE: ___, ...env } = process.env

const run = async (...args: ReadonlyArray<string>): Promise<unknown> => {
  const program = join(root, "bench/guard/program.ts")
  const options = { cwd: root, env, timeout: 120_000 }
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, program, ...args], options)
  return JSON.parse(stdout)
}

const measureAll = async (): Promise<Record<string, Measured>> => {
  const paths: Record<string, Measured> = {}
  for (const name of (await run()) as ReadonlyArray<string>) paths[name] = (await run(name)) as Measured
  return paths
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"))

/** The version in the lock file: the installed one may be another, to test with that. */
const lock = readJson(join(root, "package-lock.json")) as {
  readonly packages: { readonly "node_modules/node": { readonly version: string } }
}
const pinned = lock.packages["node_modules/node"].version
const onPinned = process.versions.node === pinned

const write = async (): Promise<void> => {
  if (!onPinned) throw new Error(`this is Node ${process.versions.node}: bytes are written down on ${pinned} only`)
  const kept: Kept = { node: pinned, paths: await measureAll() }
  writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`)
}

/** What was written and what is, a line a figure; and whether they agree. */
const compare = async (): Promise<boolean> => {
  const { node, paths: kept } = readJson(file) as Kept
  const now = await measureAll()
  let agree = true
  const line = (name: string, what: string, before: number, after: number, allowed: number): void => {
    const agrees = Math.abs(after - before) <= allowed
    if (!agrees) agree = false
    console.log(`${agrees ? "  " : "✗ "}${name}: ${what}, ${before} were written, ${after} are`)
  }
  for (const name of new Set([...Object.keys(kept), ...Object.keys(now)])) {
    const [before, after] = [kept[name], now[name]]
    if (before === undefined || after === undefined) {
      agree = false
      console.log(`✗ ${name}: ${before === undefined ? "is not written down" : "is not there any more"}`)
      continue
    }
    line(name, "steps", before.steps, after.steps, 0)
    if (onPinned) line(name, "bytes", before.bytes, after.bytes, before.bytes * tolerance)
  }
  if (!onPinned) console.log(`Bytes are not compared: this is Node ${process.versions.node}, and not ${pinned}.`)
  else if (node !== pinned) console.log(`The bytes were written on Node ${node}, and this is ${pinned}.`)
  return agree
}

if (process.argv.includes("--write")) await write()
else if (!(await compare()) && process.argv.includes("--check")) {
  console.error(
    "Hot paths cost something else than was written: `npm run guard -- --write` writes it, and the review looks at it."
  )
  process.exit(1)
}
