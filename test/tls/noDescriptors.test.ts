/** TLS that begins while the process is out of descriptors. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeNetwork } from "effect-byte-streams"
import { fileURLToPath } from "node:url"
import { forShell, start } from "../support/program.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { serveTls } from "../support/tlsPair.ts"

const program = fileURLToPath(new URL("./programs/noDescriptors.ts", import.meta.url))

/** Others load modules in their own ways, and Deno ends the process that has no descriptor left. */
const isNode = process.versions.bun === undefined && process.versions.deno === undefined

describe("out of descriptors", () => {
  it.live.runIf(isNode)(
    "what needs TLS for the first time fails as its type says, and works when there are some again",
    () =>
      Effect.gen(function* () {
        const plain = yield* serveRaw()
        const server = yield* serveTls()
        const run = `ulimit -n 100 && exec ${forShell(program)} ${plain.port} ${server.port}`
        const child = yield* start("sh", ["-c", run])
        assert.strictEqual(yield* child.line, "ListenFailed  EMFILE")
        assert.strictEqual(yield* child.line, "TlsFailed openConnection EMFILE")
        assert.strictEqual(yield* child.line, "TlsFailed startTls EMFILE")
        // the connection went with the upgrade
        assert.strictEqual(yield* child.line, "ClosedStream write ")
        assert.strictEqual(yield* child.line, "fine")
        yield* child.succeeds
      }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
