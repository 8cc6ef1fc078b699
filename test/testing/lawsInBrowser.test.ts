/**
 * The laws in a browser: of streams and transports, in memory and over streams of the Web, of frames and of exchanges. What
 * runs there is bundled as users do it, from what is in `dist/browser`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { inChromium } from "../support/browser.ts"
import { subjects } from "../support/browserSubjects.ts"
import { bundlers } from "../support/bundlers.ts"
import { needs } from "../support/peers.ts"

const dist = resolve(import.meta.dirname, "../../dist")
const program = join(import.meta.dirname, "programs/inBrowser.ts")

const hold = (bundle: (typeof bundlers)["esbuild"], asked: typeof subjects) =>
  Effect.gen(function* () {
    assert.isTrue(existsSync(join(dist, "browser")))
    const { code } = yield* Effect.promise(() => bundle({ file: program }))
    const found = yield* inChromium(
      code,
      asked.map(({ name }) => name),
      220_000
    )
    const failures = found.flatMap(({ checks, subject }) =>
      checks.flatMap(({ failure, name }) => (failure === undefined ? [] : [`${subject}: ${name}: ${failure}`]))
    )
    assert.deepStrictEqual(failures, [])
    // and each was asked
    const names = (of: typeof subjects) => of.map(({ checks, name }) => [name, checks.map(({ name }) => name)])
    assert.deepStrictEqual(
      Object.fromEntries(found.map(({ checks, subject }) => [subject, checks.map(({ name }) => name)])),
      Object.fromEntries(names(asked))
    )
  })

const options = { ...needs("chromium"), timeout: 240_000 }

describe("in Chromium", () => {
  it.live("all laws hold that have no need of a socket", () => hold(bundlers.esbuild, subjects), options)

  it.live(
    "they do as another bundler bundles them",
    () =>
      hold(
        bundlers.rolldown,
        subjects.filter(({ name }) => ["what is Node's", "memory, by messages"].includes(name))
      ),
    options
  )
})
