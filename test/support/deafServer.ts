/** A server that listens and does not accept: its queue fills up, and who connects then waits for an answer. */
import { Effect, type Scope } from "effect"
import type { ListenOptions } from "node:net"
import { Worker } from "node:worker_threads"
import { within } from "./wait.ts"
import { type At, connectRaw } from "./rawPeer.ts"

// The thread stops its own event loop as soon as it listens.
const program = `
const { parentPort, workerData } = require("node:worker_threads")
const server = require("node:net").createServer((socket) => socket.on("error", () => {}).end("at last\\n"))
server.listen({ ...workerData.where, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  Atomics.wait(workerData.gate, 0, 0)
})
`

/** Where it listens, and what lets it accept, once its queue is full. */
const deaf = (where: ListenOptions, at: (port: number) => At) =>
  Effect.gen(function* () {
    const gate = new Int32Array(new SharedArrayBuffer(4))
    const hear = Effect.sync(() => {
      Atomics.store(gate, 0, 1)
      Atomics.notify(gate, 0)
    })
    const { port } = yield* Effect.acquireRelease(
      within(
        "the deaf server listens",
        Effect.callback<{ readonly worker: Worker; readonly port: number }>((resume) => {
          const worker = new Worker(program, { eval: true, workerData: { gate, where } })
          worker.once("message", (port: number) => resume(Effect.succeed({ worker, port })))
          worker.once("error", (error) => resume(Effect.die(error)))
        })
      ),
      // not every runtime can end a thread that waits
      ({ worker }) =>
        Effect.andThen(
          hear,
          Effect.promise(() => worker.terminate())
        )
    )
    // a backlog of 1 lets two in
    yield* connectRaw(at(port))
    yield* connectRaw(at(port))
    return { port, hear }
  })

/** Its port, once its queue is full: the next connect there neither succeeds nor fails. */
export const deafServer: Effect.Effect<number, never, Scope.Scope> = Effect.map(
  deaf({ host: "127.0.0.1", port: 0 }, (port) => port),
  ({ port }) => port
)

/** The same at a path. `hear` makes it accept whoever has come, and whoever comes, and say "at last". */
export const deafUnixServer = (
  path: string
): Effect.Effect<{ readonly hear: Effect.Effect<void> }, never, Scope.Scope> => deaf({ path }, () => path)
