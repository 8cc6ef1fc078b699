/** What a program loads: modules that a server or a client does not use are not on their path. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, relative, resolve } from "node:path"
import { pathToFileURL } from "node:url"

const dist = resolve(import.meta.dirname, "../../dist")
const src = resolve(import.meta.dirname, "../../src")
const effectModules = dirname(createRequire(import.meta.url).resolve("effect/Effect"))

/** The modules of ours that a file of `dist/` is made of, by what its map says. What only passes on another's has none. */
const madeOf = (file: string): ReadonlyArray<string> => {
  if (!existsSync(`${file}.map`)) return []
  const { sources } = JSON.parse(readFileSync(`${file}.map`, "utf8")) as { readonly sources: ReadonlyArray<string> }
  return sources.map((source) => relative(src, resolve(dirname(file), source)).replace(/\.ts$/, ""))
}

/** Every file and module that loading these loads, by what `import` and `export … from` say. */
const loadedBy = (...entries: ReadonlyArray<string>) => {
  const files = new Set<string>()
  const modules = new Set<string>()
  const load = (file: string) => {
    if (files.has(file)) return
    files.add(file)
    if (file.startsWith(effectModules)) modules.add(`effect${file.slice(effectModules.length, -3)}`)
    else for (const module of madeOf(file)) modules.add(module)
    // examples in the documentation import as well
    const code = readFileSync(file, "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "")
    for (const [, named, bare] of code.matchAll(/^(?:import|export)\s[^"';]*?from\s*"([^"]+)"|^import\s*"([^"]+)"/gm)) {
      const specifier = (named ?? bare)!
      if (specifier.startsWith(".")) load(resolve(dirname(file), specifier))
      else if (specifier.startsWith("effect/")) load(resolve(effectModules, `${specifier.slice("effect/".length)}.js`))
      else {
        assert.match(specifier, /^node:/)
        modules.add(specifier)
      }
    }
  }
  for (const entry of entries) load(resolve(dist, entry))
  return { modules, files: [...files].filter((file) => file.startsWith(dist)) }
}

describe("what is loaded", () => {
  const heavy = [
    "effect/Schema",
    "effect/Stream",
    "effect/Sink",
    "effect/Config",
    "effect/socket/Socket",
    "internal/node/tls/handshake"
  ]

  for (const [role, module] of [
    ["server", "Server.js"],
    ["client", "Connection.js"]
  ] as const) {
    it(`by a ${role}: nothing that it does not use`, () => {
      const { modules: loaded } = loadedBy(module, "NodeNetwork.js")
      assert.includeMembers([...loaded], ["effect/Effect", "internal/session/session", "internal/node/socket"])
      assert.deepStrictEqual(
        heavy.filter((module) => loaded.has(module)),
        []
      )
    })
  }

  for (const module of [
    "Connection.js",
    "Server.js",
    "StreamReader.js",
    "testing/TestNetwork.js",
    "testing/StreamLaws.js"
  ]) {
    it(`by ${module} without a network of Node's: nothing of Node`, () => {
      assert.deepStrictEqual(
        [...loadedBy(module).modules].filter(
          (module) => module.startsWith("node:") || module.startsWith("internal/node")
        ),
        []
      )
    })
  }

  it("by StreamReader.js while it is loaded: no module of Node behind its back", () => {
    const loading = `
      const before = new Set(process.moduleLoadList)
      await import(${JSON.stringify(pathToFileURL(resolve(dist, "StreamReader.js")).href)})
      console.log(JSON.stringify(process.moduleLoadList.filter((module) => !before.has(module))))`
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", loading], {
      encoding: "utf8",
      timeout: 14_000
    })
    assert.notInclude(JSON.parse(run.stdout), "NativeModule worker_threads", run.stderr)
  })

  it("few files: each that a server loads costs it time before it starts", () => {
    assert.isAtMost(loadedBy("Server.js", "NodeNetwork.js").files.length, 6)
  })

  it("by who asks for them: the schemas of the errors, the streams of a reader", () => {
    assert.isTrue(loadedBy("StreamError.js").modules.has("effect/Schema"))
    assert.isTrue(loadedBy("StreamReader.js").modules.has("effect/Stream"))
  })
})
