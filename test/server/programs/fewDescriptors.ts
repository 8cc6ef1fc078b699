/** A server that keeps every client, run with few descriptors; says on request what a quiet while costs it. */
import { NodeNetwork, startServer } from "effect-byte-streams"
import { Effect } from "effect"
import { createInterface } from "node:readline"

const quietMillis = 500

const program = Effect.gen(function* () {
  const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader, writer }) =>
    Effect.andThen(writer.write("hello\n"), reader.readAll({ maxBytes: 0 }))
  )
  console.log(server.port)
  createInterface({ input: process.stdin }).on("line", () => {
    const before = process.cpuUsage()
    setTimeout(() => {
      const { system, user } = process.cpuUsage(before)
      console.log(`${Math.round((system + user) / 1000)} ${quietMillis}`)
    }, quietMillis)
  })
  yield* Effect.never
})

Effect.runFork(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)))
