/** What bundlers make of the package for a browser, which they get as users do, by its name: nothing of Node is in it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, globSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Substitute from "../../src/internal/browser/NodeNetwork.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import { bundlers } from "../support/bundlers.ts"

const dist = resolve(import.meta.dirname, "../../dist")
const src = resolve(import.meta.dirname, "../../src")

const entries = globSync(["*.ts", "testing/*.ts"], { cwd: src }).map((file) => file.slice(0, -".ts".length))

describe.each(Object.entries(bundlers))("%s", (_, bundle) => {
  it.live.each(entries)("bundles %s for a browser: it needs Effect, and nothing of Node", (entry) =>
    Effect.gen(function* () {
      const specifier = entry === "index" ? "effect-byte-streams" : `effect-byte-streams/${entry}`
      const code = `export * from "${specifier}"`
      const { imports } = yield* Effect.promise(() => bundle({ code, withoutEffect: true }))
      assert.deepStrictEqual(
        imports.filter((name) => !name.startsWith("effect/")),
        []
      )
    })
  )

  it.live("bundles everything, and Effect with it", () =>
    Effect.gen(function* () {
      const code = `export * from "effect-byte-streams"`
      assert.deepStrictEqual((yield* Effect.promise(() => bundle({ code }))).imports, [])
    })
  )

  it.live("does not bundle what is Node's: the test would see it", () =>
    Effect.gen(function* () {
      const bundled = yield* Effect.promise(() =>
        bundle({ code: `export { connect } from "node:net"` }).then(
          ({ imports }) => imports,
          () => ["node:net"]
        )
      )
      assert.deepStrictEqual(bundled, ["node:net"])
    })
  )
})

describe("what browsers get in the place of NodeNetwork", () => {
  it("has every name of it", () => {
    assert.deepStrictEqual(Object.keys(Substitute).toSorted(), Object.keys(NodeNetwork).toSorted())
  })

  it("is what is in dist/browser, where nothing is of Node's but the name of what speaks TLS", () => {
    assert.isTrue(existsSync(join(dist, "browser/NodeNetwork.js")))
    assert.deepStrictEqual(globSync("internal/{node,command}/**/*.js", { cwd: join(dist, "browser") }), [
      "internal/node/tls/handshake.js"
    ])
  })
})
