/**
 * Bundles `src/` into the JavaScript of `dist/`: a file for each public module, and few for what they share, because each
 * file that a program loads costs it half a millisecond or more before it starts.
 *
 * What a client or a server loads is one file, and what both need of Node another. The rest is divided by who loads it, so
 * that nobody loads what it does not use. An unchanged build writes nothing: programs that are running from `dist/` never
 * meet a half-written file.
 *
 * The command of the package is one more such file, in `dist/internal`, where nobody can import it.
 *
 * What browsers load a bundler has made, and bundlers leave out whole modules that nobody uses. So `dist/browser`
 * has each module in a file of its own. Parts of Node's are exchanged there for what `internal/browser` has in their place.
 *
 * Usage: npm run compile, which also has TypeScript write the declarations.
 */
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path"
import { type ChunkingContext, rolldown } from "rolldown"
import { transformSync } from "rolldown/utils"

const root = resolve(import.meta.dirname, "..")
const src = join(root, "src")
const dist = join(root, "dist")

const publicModules = globSync(["*.ts", "testing/*.ts"], { cwd: src }).toSorted()
const command = "internal/command/main.ts"

/** The modules that a module loads, itself among them. */
const loadedBy = (module: string, context: ChunkingContext, loaded = new Set<string>()): ReadonlySet<string> => {
  if (loaded.has(module)) return loaded
  loaded.add(module)
  for (const imported of context.getModuleInfo(module)?.importedIds ?? []) loadedBy(imported, context, loaded)
  return loaded
}

const source = (name: string): string => join(src, `${name}.ts`)

/** Which file a module is put into; the others are divided by who loads them. */
const fileOf = (context: ChunkingContext): ((module: string) => string | null) => {
  const loads = (name: string): ReadonlySet<string> => loadedBy(source(name), context)
  const [client, server, node, testing] = [
    loads("Connection"),
    loads("Server"),
    loads("NodeNetwork"),
    loads("testing/TestNetwork")
  ]
  return (module) => {
    const ofNode = node.has(module)
    // a network in memory loads nothing of Node
    if (client.has(module) || server.has(module) || (ofNode && testing.has(module))) return "core"
    return ofNode ? "node" : null
  }
}
let file: ReturnType<typeof fileOf> | undefined

const bundle = await rolldown({
  cwd: root,
  input: Object.fromEntries([...publicModules, command].map((file) => [file.slice(0, -".ts".length), join(src, file)])),
  // dependencies are not ours to ship
  external: (module) => !module.startsWith(".") && !isAbsolute(module),
  platform: "neutral",
  tsconfig: join(root, "tsconfig.json"),
  // the sources are what is shipped, all of them
  treeshake: false
})

const { output } = await bundle.generate({
  dir: dist,
  format: "es",
  sourcemap: true,
  // those that bundlers read; the others are in the sources, which are shipped, and would be read at each start
  comments: { annotation: true, jsdoc: false, legal: false },
  entryFileNames: "[name].js",
  chunkFileNames: "internal/[name].js",
  codeSplitting: {
    groups: [
      {
        debugName: "shared",
        name: (module, context) => (file ??= fileOf(context))(module)
      }
    ]
  }
})
await bundle.close()

/**
 * The engine keeps a source as one byte a character where that is enough for all. What is more is in texts: nothing
 * else is left but annotations.
 */
const narrowed = (code: string): string =>
  code.replace(/[^\t\n\r -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

const write = (file: string, content: string): void => {
  if (existsSync(file) && readFileSync(file, "utf8") === content) return
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

const written = new Set<string>()
/** What is Node's, and what browsers get for it. */
const exchanged: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "NodeNetwork.ts": "./internal/browser/NodeNetwork.ts",
    "internal/node/tls/handshake.ts": "../../browser/handshake.ts"
  }).map(([module, replacement]) => [join(src, module), `export * from "${replacement}"\n`])
)

/** A module and those that it loads, at once or later, each in a file of its own. */
const writeForBrowsers = (module: string): void => {
  const name = relative(src, module).slice(0, -".ts".length)
  const path = join(dist, "browser", `${name}.js`)
  if (written.has(path)) return
  written.add(path)
  const source = exchanged.get(module) ?? readFileSync(module, "utf8")
  const { code, errors, map } = transformSync(module, source, {
    lang: "ts",
    sourcemap: !exchanged.has(module),
    target: "es2024",
    typescript: { rewriteImportExtensions: true }
  })
  if (errors.length > 0) throw new Error(`${name}: ${errors.map(({ message }) => message).join("\n")}`)
  if (map === undefined || map === null) write(path, code)
  else {
    write(path, `${code}//# sourceMappingURL=${basename(path)}.map\n`)
    // the sources are in the package, and need not be in the map as well
    const shipped = { file: basename(path), sources: [relative(dirname(path), module)], sourcesContent: undefined }
    write(`${path}.map`, JSON.stringify({ ...map, ...shipped }))
    written.add(`${path}.map`)
  }
  for (const [, specifier] of code.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)"(\.[^"]+)\.js"/g)) {
    writeForBrowsers(join(dirname(module), `${specifier!}.ts`))
  }
}

for (const item of output) {
  const path = join(dist, item.fileName)
  written.add(path)
  write(path, item.type === "chunk" ? narrowed(item.code) : String(item.source))
}
for (const module of publicModules) writeForBrowsers(join(src, module))
for (const old of globSync("**/*.{js,js.map}", { cwd: dist })) {
  if (!written.has(join(dist, old))) rmSync(join(dist, old))
}
