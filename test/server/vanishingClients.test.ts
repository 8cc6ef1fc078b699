/** Clients that leave in every way there is, at every moment: their handlers learn of it, and nothing is left of them. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork } from "effect-byte-streams"
import { Effect, Result } from "effect"
import { bytes, pattern } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { type RawPeer } from "../support/rawPeer.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"
import { tcpAndTls } from "../support/tcpAndTls.ts"

const host = "127.0.0.1"

/** How a client leaves. */
const departures: ReadonlyArray<{ readonly how: string; readonly leave: (client: RawPeer) => Effect.Effect<void> }> = [
  { how: "closes", leave: (client) => client.vanish },
  { how: "resets", leave: (client) => client.reset },
  { how: "half-closes", leave: (client) => client.finish },
  { how: "closes in the middle of a line", leave: (client) => Effect.andThen(client.send("half a li"), client.vanish) },
  { how: "resets in the middle of a line", leave: (client) => Effect.andThen(client.send("half a li"), client.reset) },
  {
    how: "resets in the middle of dribbling",
    leave: (client) => Effect.andThen(client.dribble(bytes("dribble")), client.reset)
  }
]

/** What a handler may be doing meanwhile. Each comes to its end by itself when its client has left. */
const occupations: ReadonlyArray<{
  readonly what: string
  readonly handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>
}> = [
  {
    what: "reads lines",
    handler: ({ reader }) =>
      Effect.gen(function* () {
        while ((yield* reader.readLine).length > 0);
      })
  },
  { what: "waits for a lot", handler: ({ reader }) => reader.readExactly(1_000_000) },
  { what: "reads everything", handler: ({ reader }) => reader.readAll({ maxBytes: 1_000_000 }) },
  { what: "does something else", handler: ({ closed }) => Effect.raceFirst(Effect.never, closed) },
  {
    what: "writes now and then",
    handler: ({ reader, writer }) =>
      Effect.raceFirst(
        Effect.forever(Effect.andThen(writer.write("tick\n"), Effect.sleep(1))),
        Effect.forever(Effect.flatMap(reader.readOption(100), Effect.fromOption))
      )
  }
]

for (const { connectRaw, kind, startServer } of tcpAndTls) {
  describe(`over ${kind}`, () => {
    describe("peers vanish", () => {
      for (const { handler, what } of occupations) {
        it.live(`while the handler ${what}`, () =>
          Effect.gen(function* () {
            const before = held()
            yield* Effect.scoped(
              Effect.gen(function* () {
                let ended = 0
                const server = yield* startServer({ host, port: 0, onHandlerError: () => Effect.void }, (connection) =>
                  Effect.ensuring(
                    handler(connection),
                    Effect.sync(() => ended++)
                  )
                )
                let expected = 0
                for (const { how, leave } of departures) {
                  for (let i = 0; i < 5; i++) {
                    const client = yield* connectRaw(server.port)
                    yield* leave(client)
                    expected++
                  }
                  yield* eventually(`the handlers end when the client ${how}`, () => ended === expected)
                }
                yield* eventuallyEffect(
                  "nobody is served any more",
                  Effect.map(server.connections, (count) => count === 0)
                )
              })
            )
            yield* backTo(before)
          }).pipe(Effect.provide(NodeNetwork.layer))
        )
      }

      it.live("while the handler writes more than the client takes: the write fails", () =>
        Effect.gen(function* () {
          const outcomes: Array<string> = []
          const server = yield* startServer({ host, port: 0 }, ({ writer }) =>
            Effect.gen(function* () {
              while (true) {
                const written = yield* Effect.result(writer.write(pattern(100_000)))
                if (Result.isFailure(written)) {
                  outcomes.push(written.failure._tag)
                  return
                }
              }
            })
          )
          for (const leave of ["vanish", "reset"] as const) {
            const client = yield* connectRaw(server.port, { paused: true })
            yield* eventuallyEffect(
              "it is served",
              Effect.map(server.connections, (count) => count > 0)
            )
            yield* client[leave]
            yield* eventuallyEffect(
              "nobody is served any more",
              Effect.map(server.connections, (count) => count === 0)
            )
          }
          assert.deepStrictEqual(outcomes, ["ConnectionLost", "ConnectionLost"])
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("many at once", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              let ended = 0
              const server = yield* startServer({ host, port: 0, onHandlerError: () => Effect.void }, ({ reader }) =>
                Effect.ensuring(
                  reader.readLine,
                  Effect.sync(() => ended++)
                )
              )
              const clients = yield* Effect.all(
                Array.from({ length: 100 }, () => connectRaw(server.port)),
                { concurrency: 20 }
              )
              yield* Effect.forEach(clients, (client, i) => departures[i % departures.length]!.leave(client), {
                concurrency: "unbounded"
              })
              yield* eventually("all handlers end", () => ended === 100)
              yield* eventuallyEffect(
                "nobody is served any more",
                Effect.map(server.connections, (count) => count === 0)
              )
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
