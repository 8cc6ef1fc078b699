/**
 * The served side of the soak: a line echo server in a process of its own, which answers questions about itself over
 * the IPC channel it was forked with. Run with `--expose-gc`.
 */
import * as Effect from "effect/Effect"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import { startServer } from "effect-byte-streams/Server"
import { readdirSync } from "node:fs"

/** What the server says of itself when asked. */
export interface Numbers {
  readonly connections: number
  readonly descriptors: number
  readonly rssBytes: number
  readonly heapBytes: number
  readonly failures: number
}

const program = Effect.gen(function* () {
  let failures = 0
  const server = yield* startServer(
    {
      host: "127.0.0.1",
      port: 0,
      backlog: 4096,
      onHandlerError: () =>
        Effect.sync(() => {
          failures++
        })
    },
    ({ reader, writer }) =>
      Effect.gen(function* () {
        for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
          yield* writer.write(line)
        }
      })
  )
  process.on("message", () => {
    globalThis.gc?.()
    const { heapUsed, rss } = process.memoryUsage()
    Effect.runFork(
      Effect.map(server.connections, (connections) => {
        const numbers: Numbers = {
          connections,
          descriptors: readdirSync("/proc/self/fd").length,
          rssBytes: rss,
          heapBytes: heapUsed,
          failures
        }
        process.send!(numbers)
      })
    )
  })
  process.send!({ port: server.port })
  yield* Effect.callback<void>((resume) => {
    process.once("disconnect", () => resume(Effect.void))
  })
})

Effect.runFork(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)))
