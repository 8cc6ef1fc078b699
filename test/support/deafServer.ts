/** A server that listens and never accepts: its queue fills up, and who connects then waits for an answer. */
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import { within } from "./wait.ts"
import { connectRaw } from "./rawPeer.ts"

// The thread stops its own event loop as soon as it listens.
const program = `
const { parentPort } = require("node:worker_threads")
const server = require("node:net").createServer()
server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
`

/** Its port, once its queue is full: the next connect there neither succeeds nor fails. */
export const deafServer: Effect.Effect<number, never, Scope.Scope> = Effect.gen(function* () {
  const port = yield* Effect.acquireRelease(
    within(
      "the deaf server listens",
      Effect.callback<{ readonly worker: Worker; readonly port: number }>((resume) => {
        const worker = new Worker(program, { eval: true })
        worker.once("message", (port: number) => resume(Effect.succeed({ worker, port })))
        worker.once("error", (error) => resume(Effect.die(error)))
      })
    ),
    ({ worker }) => Effect.promise(() => worker.terminate())
  )
  // a backlog of 1 lets two in
  yield* connectRaw(port.port)
  yield* connectRaw(port.port)
  return port.port
})
