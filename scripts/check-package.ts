/**
 * Checks the package as a user gets it. It packs the project as it is built now, and then:
 *
 * - compares the packed files with what has to be in them, no more and no less;
 * - has publint and "are the types wrong" look at the packed file and every public module in it;
 * - installs the packed file in an empty project outside the repository, beside the packages a user would have;
 * - compiles a small program there under the strictest settings, declarations of the package included, and runs it;
 * - has the declarations of a library there written, and sees that they name nothing internal, which nobody can import;
 * - imports every public module by its own name there, and sees every internal one refused;
 * - runs the command of the package there.
 *
 * Usage: npm run check:package
 */
import { deepStrictEqual, match, ok } from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const name = "effect-byte-streams"

const program = `
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"

const program = Effect.gen(function*() {
  const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader, writer }) =>
    Effect.gen(function*() {
      for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
        yield* writer.write(line)
      }
    }))
  const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port: server.port })
  yield* writer.write("hello\\n")
  yield* Effect.log(new TextDecoder().decode(yield* reader.readLine))
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
`

/** What others build on this one exports, without saying a type. */
const library = `
import { Config, Effect, Schedule, Schema } from "effect"
import {
  Connection, Exchange, Frame, FrameSchema, Server, StreamError, StreamReader, openConnection, startServer
} from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"

const json = FrameSchema.ndjson(Schema.Struct({ id: Schema.Number }), { maxBytes: 1000 })
const echo = ({ reader, writer }: Connection.Connection) =>
  Effect.flatMap(reader.readUntil("\\n"), (line) => writer.write(line))

export const open = openConnection({ host: "127.0.0.1", port: 7000 })
export const serve = startServer({ port: 7000 }, echo)
export const layer = Server.layerConfig({ port: Config.Port("PORT") }, echo)
export const relayed = Effect.flatMap(open, (one) => Connection.relay(one, one))
export const ended = Effect.flatMap(open, ({ closed }) => closed)
export const lost = Effect.map(ended, (end) => (end._tag === "Lost" ? end.error : undefined))
export const timeouts = (options: Connection.Options) => options.timeouts
export const first = Effect.gen(function* () {
  const { reader } = yield* TestNetwork.pair().pipe(Effect.map(({ left }) => left))
  const line = yield* reader.readLineWith({ keepDelimiter: false, end: "required" })
  return { line, message: yield* reader.readFrame(json), words: StreamReader.lines(reader, { fatal: true }) }
})
export const messages = Effect.map(open, ({ reader }) => StreamReader.frames(reader, Frame.lengthPrefixed(Frame.uint8, { maxBytes: 255 })))
export const connect = Effect.flatMap(open, (one) => Exchange.makePipelined(one, { request: json, response: json }))
export const client = Exchange.makeReconnecting(connect, { schedule: Schedule.recurs(1), whileDown: "wait" })
export const cause = Effect.flatMap(client, (exchange) => exchange.call({ id: 1 })).pipe(
  Effect.catchTag("RequestLost", (error) => Effect.succeed(error.cause))
)
export const answer = Effect.flatMap(open, (one) => Exchange.serve(one, { request: json, response: json }, Effect.succeed))
export const Failure = Schema.Union([StreamError.ConnectionLost, StreamError.RequestLost])
export const law = StreamLaws.all[0]!.check(() => TestNetwork.pair())
`

const transcript = `{"time":1,"id":7,"type":"opened","side":"client"}
{"time":2,"id":7,"type":"out","text":"hello"}
`

const tsconfig = {
  compilerOptions: {
    target: "ES2024",
    module: "NodeNext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    declaration: true,
    outDir: "out"
  },
  files: ["program.mts", "modules.mts", "library.mts"]
}

/** Runs a command and answers what it printed; a failure shows everything. */
const exec = (cwd: string, command: string, ...args: ReadonlyArray<string>): string => {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 180_000 })
  } catch (error) {
    const { stderr, stdout } = error as { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`${command} ${args.join(" ")} failed\n${stdout ?? ""}${stderr ?? ""}`, { cause: error })
  }
}

/** The version of a package that this project itself uses, so that the user's project has the same. */
const installed = (dependency: string): string => {
  const manifest = JSON.parse(readFileSync(join(root, "node_modules", dependency, "package.json"), "utf8"))
  return `${dependency}@${manifest.version}`
}

const modules = globSync("**/*.ts", { cwd: join(root, "src") }).map((file) => file.slice(0, -".ts".length))
const isInternal = (module: string) => module.split("/").includes("internal")
const published = modules.filter((module) => !isInternal(module))

/** The bundles of a public module: what it loads, itself among them, at once or later. */
const loadedBy = (file: string, loaded = new Set<string>()): ReadonlySet<string> => {
  if (loaded.has(file)) return loaded
  loaded.add(file)
  const code = readFileSync(join(root, file), "utf8")
  for (const [, specifier] of code.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)"(\.[^"]+\.js)"/g)) {
    loadedBy(join(dirname(file), specifier!), loaded)
  }
  return loaded
}
const entries = [...published, "internal/command/main", ...published.map((module) => `browser/${module}`)]
const bundles = new Set(entries.flatMap((module) => [...loadedBy(`dist/${module}.js`)]))

const expected = [
  "LICENSE",
  "README.md",
  "package.json",
  ...(existsSync(join(root, "CHANGELOG.md")) ? ["CHANGELOG.md"] : []),
  ...modules.flatMap((module) => [
    `src/${module}.ts`,
    ...[".d.ts", ".d.ts.map"].map((extension) => `dist/${module}${extension}`)
  ]),
  // what only passes on what another file exports has no map
  ...[...bundles].flatMap((file) => [file, ...(existsSync(join(root, `${file}.map`)) ? [`${file}.map`] : [])])
]

const workplace = mkdtempSync(join(tmpdir(), `${name}-`))
try {
  // Without scripts, because packing would otherwise build once more.
  const packing = exec(root, "npm", "pack", "--json", "--ignore-scripts", "--pack-destination", workplace)
  const [packed] = JSON.parse(packing) as [
    { readonly filename: string; readonly files: Array<{ readonly path: string }> }
  ]
  deepStrictEqual(packed.files.map((file) => file.path).toSorted(), expected.toSorted(), "the packed files")

  const tarball = join(workplace, packed.filename)
  exec(root, "publint", tarball, "--strict")
  // Named one by one, because attw does not look behind the wildcards in "exports".
  const entrypoints = published.map((module) => (module === "index" ? "." : module))
  exec(root, "attw", tarball, "--profile", "esm-only", "--entrypoints", ...entrypoints)

  writeFileSync(join(workplace, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }))
  writeFileSync(join(workplace, "tsconfig.json"), JSON.stringify(tsconfig))
  writeFileSync(join(workplace, "program.mts"), program)
  writeFileSync(join(workplace, "library.mts"), library)
  const imports = published.map((module) => `import "${module === "index" ? name : `${name}/${module}`}"`)
  writeFileSync(join(workplace, "modules.mts"), imports.join("\n"))
  const others = ["effect", "@effect/platform-node", "typescript", "@types/node"].map(installed)
  const quietly = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
  exec(workplace, "npm", "install", ...quietly, tarball, ...others)

  exec(workplace, join(workplace, "node_modules", ".bin", "tsc"))
  const declared = readFileSync(join(workplace, "out", "library.d.mts"), "utf8")
  deepStrictEqual(
    declared.match(/"[^"]*internal[^"]*"\)?\.?\w*/g) ?? [],
    [],
    "internal names in declarations of others"
  )
  match(exec(workplace, process.execPath, join("out", "program.mjs")), /hello/)
  exec(workplace, process.execPath, join("out", "modules.mjs"))

  // what browsers get in the place of others, nobody imports by a name of its own
  const internal = [...modules.filter(isInternal), ...published.map((module) => `browser/${module}`)].map(
    (module) => `await rejects(import("${name}/${module}"), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" })`
  )
  writeFileSync(join(workplace, "internal.mjs"), [`import { rejects } from "node:assert"`, ...internal].join("\n"))
  exec(workplace, process.execPath, "internal.mjs")

  for (const module of published) {
    const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    const pattern = module === "index" ? "." : module.startsWith("testing/") ? "./testing/*" : "./*"
    const file = exports[pattern].browser.replace("*", module.replace("testing/", ""))
    ok(bundles.has(file.slice("./".length)), `${module} for browsers: ${file} is in the package`)
  }

  writeFileSync(join(workplace, "transcript.jsonl"), transcript)
  const command = join(workplace, "node_modules", ".bin", name)
  match(exec(workplace, command, "transcript", "transcript.jsonl"), / #7 .*client.*server[^]* 5 bytes [^]*hello/)

  console.log(
    `${packed.filename}: ${packed.files.length} files, ${published.length} public modules; installs, compiles and runs, its command as well`
  )
} finally {
  rmSync(workplace, { recursive: true, force: true })
}
