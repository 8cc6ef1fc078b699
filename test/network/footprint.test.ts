/** What a program loads: modules that a server or a client does not use are not on their path. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, resolve } from "node:path"

const dist = resolve(import.meta.dirname, "../../dist")
const effectModules = dirname(createRequire(import.meta.url).resolve("effect/Effect"))

/** Every module that loading these loads, by what `import` and `export … from` say. */
const loadedBy = (...entries: ReadonlyArray<string>): ReadonlySet<string> => {
  const loaded = new Set<string>()
  const load = (file: string) => {
    if (loaded.has(file)) return
    loaded.add(file)
    // examples in the documentation import as well
    const code = readFileSync(file, "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "")
    for (const [, specifier] of code.matchAll(/^(?:import|export)\s[^"';]*?from\s*"([^"]+)"/gm)) {
      if (specifier!.startsWith(".")) load(resolve(dirname(file), specifier!))
      else if (specifier!.startsWith("effect/"))
        load(resolve(effectModules, `${specifier!.slice("effect/".length)}.js`))
      else assert.match(specifier!, /^node:/)
    }
  }
  for (const entry of entries) load(resolve(dist, entry))
  return new Set(
    [...loaded].map((file) =>
      file.startsWith(effectModules) ? `effect${file.slice(effectModules.length, -3)}` : file.slice(dist.length + 1, -3)
    )
  )
}

describe("what is loaded", () => {
  const heavy = [
    "effect/Schema",
    "effect/Stream",
    "effect/Sink",
    "effect/Config",
    "effect/socket/Socket",
    "internal/nodeTls"
  ]

  for (const [role, module] of [
    ["server", "Server.js"],
    ["client", "Connection.js"]
  ] as const) {
    it(`by a ${role}: nothing that it does not use`, () => {
      const loaded = loadedBy(module, "NodeNetwork.js")
      assert.includeMembers([...loaded], ["effect/Effect", "internal/session", "internal/nodeTransport"])
      assert.deepStrictEqual(
        heavy.filter((module) => loaded.has(module)),
        []
      )
    })
  }

  it("by who asks for them: the schemas of the errors, the streams of a reader", () => {
    assert.isTrue(loadedBy("StreamError.js").has("effect/Schema"))
    assert.isTrue(loadedBy("StreamReader.js").has("effect/Stream"))
  })
})
