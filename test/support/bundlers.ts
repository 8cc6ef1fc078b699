/** Bundles for browsers, by those that people bundle with. */
import * as Esbuild from "esbuild"
import { join, resolve } from "node:path"
import { type OutputOptions, rolldown, type RolldownOutput } from "rolldown"

const root = resolve(import.meta.dirname, "../..")
const name = "effect-byte-streams"

/** Support of tests names the sources. What is bundled is what users get of the package. */
const toPackage = (specifier: string): string | undefined => {
  const module = /^(?:\.\.\/)+src\/((?:testing\/)?\w+)\.ts$/.exec(specifier)?.[1]
  return module === undefined ? undefined : module === "index" ? name : `${name}/${module}`
}

/** What a bundle is made of: a file of this project, or the code of a module. */
interface Entry {
  readonly file?: string
  readonly code?: string
  /** Whether Effect is left out. */
  readonly withoutEffect?: boolean
}

interface Bundle {
  /** The bundle, in one piece. */
  readonly code: string
  /** What it has left to be loaded by whoever runs it. */
  readonly imports: ReadonlyArray<string>
}

const withEsbuild = async ({ code, file, withoutEffect = false }: Entry): Promise<Bundle> => {
  const { metafile, outputFiles } = await Esbuild.build({
    ...(file === undefined ? { stdin: { contents: code!, resolveDir: root } } : { entryPoints: [file] }),
    absWorkingDir: root,
    bundle: true,
    external: withoutEffect ? ["effect/*"] : [],
    format: "esm",
    logLevel: "silent",
    metafile: true,
    outdir: root,
    platform: "browser",
    plugins: [
      {
        name: "to package",
        setup: (build) =>
          build.onResolve({ filter: /\/src\// }, ({ importer, kind, path }) => {
            const module = toPackage(path)
            return module === undefined ? undefined : build.resolve(module, { importer, kind, resolveDir: root })
          })
      }
    ],
    // without the paths that lead the package's name to its sources
    tsconfigRaw: {},
    write: false
  })
  return {
    code: outputFiles[0]!.text,
    imports: Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
  }
}

const virtual = join(root, "entry.js")

const generated = async (
  { code, file = virtual, withoutEffect = false }: Entry,
  options: OutputOptions
): Promise<RolldownOutput> => {
  const bundle = await rolldown({
    cwd: root,
    external: (id) => withoutEffect && id.startsWith("effect/"),
    input: file,
    logLevel: "silent",
    platform: "browser",
    plugins: [
      {
        name: "to package",
        resolveId(specifier, importer) {
          if (specifier === virtual) return virtual
          const module = toPackage(specifier)
          return module === undefined ? undefined : this.resolve(module, importer)
        },
        load: (id) => (id === virtual ? code : undefined)
      }
    ],
    tsconfig: false
  })
  try {
    return await bundle.generate({ ...options, format: "es" })
  } finally {
    await bundle.close()
  }
}

const withRolldown = async (entry: Entry): Promise<Bundle> => {
  const { output } = await generated(entry, { codeSplitting: false })
  const [{ code, dynamicImports, fileName, imports }] = output
  // what is loaded later is in the same file
  return { code, imports: [...imports, ...dynamicImports].filter((file) => file !== fileName) }
}

/** The files of a bundle as it is shipped: what is loaded at once, and all. */
export const shipped = async (
  entry: Entry
): Promise<{ readonly atOnce: ReadonlyArray<string>; readonly all: ReadonlyArray<string> }> => {
  const { output } = await generated(entry, { minify: true })
  const chunks = new Map(output.flatMap((item) => (item.type === "chunk" ? [[item.fileName, item] as const] : [])))
  const atOnce = new Set<string>()
  const load = (file: string): void => {
    const chunk = chunks.get(file)
    if (chunk === undefined || atOnce.has(file)) return
    atOnce.add(file)
    chunk.imports.forEach(load)
  }
  load(output[0].fileName)
  return {
    atOnce: Array.from(atOnce, (file) => chunks.get(file)!.code),
    all: Array.from(chunks.values(), ({ code }) => code)
  }
}

/** The bundlers. A module that a browser cannot have fails them, or is left in `imports`. */
export const bundlers: Readonly<Record<"esbuild" | "rolldown", (entry: Entry) => Promise<Bundle>>> = {
  esbuild: withEsbuild,
  rolldown: withRolldown
}
