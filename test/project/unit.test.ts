/** Unit tests touch nothing of the world: their files import nothing that does, and the guard fails what does all the same. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { needsDist, unit } from "../../scripts/test-files.ts"

describe("npm run test:unit", () => {
  it("fails a test that touches the world, whatever the test makes of it", () => {
    const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")
    const config = join(import.meta.dirname, "programs/worldly.config.ts")
    const run = spawnSync(process.execPath, [vitest, "run", "--config", config], { encoding: "utf8", timeout: 14_000 })
    assert.deepStrictEqual(run.stdout.trimEnd().split("\n"), [
      "passed: does nothing of the kind",
      "failed: connects",
      "failed: listens",
      "failed: is sent datagrams",
      "failed: starts a process",
      "failed: starts a shell",
      "failed: waits for a process",
      "failed: starts a thread",
      "failed: looks a name up",
      "failed: opens a connection, and takes what comes of it",
      "failed: starts a server, and takes what comes of it",
      "1 passed, 10 failed, 0 skipped"
    ])
  })

  it("runs what imports nothing of the world, neither itself nor by way of what it imports", () => {
    assert.include(unit, "test/read/readUntil.test.ts")
    assert.include(unit, "test/write/sink.test.ts")
    // by `NodeNetwork`, by a file of test/support that imports node:net, by what is built
    assert.notInclude(unit, "test/read/onSockets.test.ts")
    assert.notInclude(unit, "test/server/signals.test.ts")
    assert.notInclude(unit, "test/project/footprint.test.ts")
  })
})

describe("what is built", () => {
  it("is built for tests that start programs of this project, or look at it, and for no others", () => {
    const built = ["test/project/examples.test.ts", "test/project/footprint.test.ts", "test/server/signals.test.ts"]
    for (const file of built) assert.isTrue(needsDist(file), file)
    // processes that are not ours, and threads that run sources
    const others = ["test/node/socat.test.ts", "test/transport/pair.test.ts", "test/runtime/effectInternals.test.ts"]
    for (const file of [...unit, ...others]) assert.isFalse(needsDist(file), file)
  })
})
