/** What becomes of tests whose program is missing, and what the end of a run says about them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { missingPackages, needs, search } from "../support/peers.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const root = join(import.meta.dirname, "../..")

/** Runs a program of Node's where nothing else is to be found. */
const onBareMachine = (...args: ReadonlyArray<string>) =>
  spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    env: { HOME: process.env.HOME, PATH: "/no/such/directory" },
    timeout: 14_000
  })

describe("a machine with none of the programs that tests talk to", () => {
  it.live("skips their tests, names each with its packages and what installs them all, and counts them last", () =>
    Effect.sync(() => {
      const manifest = createRequire(import.meta.url).resolve("vitest/package.json")
      const config = join(import.meta.dirname, "programs/bare.config.ts")
      const run = onBareMachine(join(dirname(manifest), "vitest.mjs"), "run", "--config", config)
      assert.deepStrictEqual(run.stdout.trimEnd().split("\n").slice(-7), [
        "Skipped, because a program that they talk to is not installed:",
        "  needs python3 and openssl: bare.ts > a group > that needs two",
        "  needs python3 and openssl: bare.ts > a group > with a layer > that is not built",
        "  needs socat: bare.ts > a test of its own, one",
        "  needs socat: bare.ts > a test of its own, another",
        "4 tests skipped for want of a program. This installs all that they need: apt-get update && apt-get install --yes openssl python3 socat",
        "3 passed, 0 failed, 5 skipped"
      ])
      assert.strictEqual(run.status, 0)
    })
  )

  it.live("is told the packages that .ci/run installs", () =>
    Effect.sync(() => {
      const { status, stdout } = onBareMachine("scripts/missing-packages.ts")
      assert.strictEqual(status, 0)
      assert.includeMembers(stdout.trim().split(" "), ["openssl", "python3", "socat"])
      assert.include(readFileSync(join(root, ".ci/run"), "utf8"), "scripts/missing-packages.ts")
    })
  )
})

describe("a program", () => {
  const write = (directory: string, script: string) => {
    const path = join(directory, "peer")
    writeFileSync(path, `#!/bin/sh\n${script}\n`)
    chmodSync(path, 0o755)
    return path
  }

  it.live("is looked for beside PATH, also where the directory has a version in its name", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = write(directory, "exit 0")
      assert.isUndefined(search("peer", { package: "peers" }))
      assert.strictEqual(search("peer", { package: "peers", directories: [directory] }), path)
      assert.strictEqual(search("peer", { package: "peers", directories: [`${directory.slice(0, -2)}*`] }), path)
    })
  )

  it.live("that is too old is missing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = write(directory, '[ "$1" = --old ]')
      const peer = { package: "peers", directories: [directory] }
      assert.isUndefined(search("peer", { ...peer, works: ["--new"] }))
      assert.strictEqual(search("peer", { ...peer, works: ["--old"] }), path)
    })
  )

  it.live("that is there is no reason to skip", () =>
    Effect.sync(() => {
      assert.deepStrictEqual(needs(), { skip: false, meta: { needs: [] } })
      assert.deepStrictEqual(missingPackages([]), [])
    })
  )
})
