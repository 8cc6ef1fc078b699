/** Passes on what comes by its standard input to a port, and what comes from there to its standard output. Argument: the port. */
import { Effect } from "effect"
import * as Connection from "effect-byte-streams/Connection"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"

const port = Number(process.argv[2])

const relay = Effect.gen(function* () {
  const inner = yield* Connection.stdio()
  // a connection that is given up while it opens has not begun, and has nothing to cut off
  const outer = yield* Effect.uninterruptible(Connection.openConnection({ host: "127.0.0.1", port }))
  yield* Connection.relay(inner, outer)
})

// not `runMain`: each millisecond counts, because the laws start hundreds of them
const ending = new AbortController()
process.on("SIGTERM", () => ending.abort())
Effect.runPromise(relay.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)), { signal: ending.signal }).catch(() => {
  process.exitCode = 1
})
