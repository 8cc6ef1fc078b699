/** A server of Effect's RPC that is killed, and comes back: a process of its own, and the retries that RPC has by default. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Schedule } from "effect"
import { type Connection, NodeNetwork } from "effect-byte-streams"
import { RpcClientError } from "effect/rpc"
import { fileURLToPath } from "node:url"
import { authority, certificates } from "../support/certificates.ts"
import { start } from "../support/program.ts"
import { client, serializations } from "../support/rpc.ts"
import { socketPath } from "../support/temporary.ts"
import { turns, within } from "../support/wait.ts"

const program = fileURLToPath(new URL("./programs/rpcServer.ts", import.meta.url))
const host = "127.0.0.1"

interface Place {
  readonly kind: string
  readonly secured: boolean
  readonly path: boolean
}

const places: ReadonlyArray<Place> = [
  { kind: "TCP", secured: false, path: false },
  { kind: "Unix", secured: false, path: true },
  { kind: "TLS", secured: true, path: false }
]

const tls = { ca: authority.cert, serverName: "localhost", identity: certificates.client.identity }

for (const { kind, path, secured } of places) {
  for (const [name, serialization] of serializations) {
    describe(`RPC over ${kind}, ${name}`, () => {
      it.live(
        "a kill fails the calls in flight with RpcClientError, also with 10 MB unsent, and the first answer comes within 2 s of its return",
        () =>
          Effect.gen(function* () {
            const at = path ? yield* socketPath() : undefined
            const serve = (port: number) =>
              Effect.gen(function* () {
                const { cert, key } = certificates.server
                const where = at === undefined ? { port } : { path: at }
                const given = { ...where, serialization: name, cert, key, ca: secured ? authority.cert : undefined }
                const server = yield* start(process.execPath, [program, JSON.stringify(given)])
                return { server, ...(JSON.parse(yield* server.line) as { readonly port?: number }) }
              })
            const { port, server } = yield* serve(0)
            const where: Connection.OpenOptions = at === undefined ? { host, port } : { path: at }
            // RPC's own retries: after half a second, and then half as long again each time
            const calls = yield* client({ ...where, tls: secured ? tls : undefined })
            assert.strictEqual(yield* within("an answer", calls.echo({ text: "hello" })), "hello")

            server.signal("SIGSTOP")
            const flying = yield* Effect.forEach(Array.from({ length: 20 }), () =>
              Effect.forkChild(Effect.exit(calls.echo({ text: "x".repeat(500_000) })), { startImmediately: true })
            )
            yield* turns(50)
            yield* within("the kill", server.kill)
            const away = yield* Effect.forkChild(Effect.sleep("500 millis"), { startImmediately: true })
            const exits = yield* within("the calls", Fiber.joinAll(flying))
            for (const exit of exits) {
              assert(Exit.isFailure(exit))
              assert.isFalse(Cause.hasDies(exit.cause), Cause.pretty(exit.cause))
              assert.instanceOf(Cause.squash(exit.cause), RpcClientError.RpcClientError)
            }

            yield* Fiber.join(away)
            yield* serve(port ?? 0)
            const answer = Effect.retry(calls.echo({ text: "again" }), Schedule.spaced(5))
            const [took, text] = yield* Effect.timed(within("the first answer", answer))
            assert.strictEqual(text, "again")
            assert.isBelow(Duration.toMillis(took), 2000)
          }).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeNetwork.layer, serialization)))
      )
    })
  }
}
