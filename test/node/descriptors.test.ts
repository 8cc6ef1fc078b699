/** Nothing is left behind: after hundreds of connections of each kind this process holds what it held before. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import { Effect, Fiber } from "effect"
import { everyKind } from "../support/kinds.ts"
import { text } from "../support/bytes.ts"
import { deafServer } from "../support/deafServer.ts"
import { backTo, held } from "../support/descriptors.ts"
import { closedPort, connectRaw, type RawPeer, serveRaw } from "../support/rawPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const host = "127.0.0.1"
const many = 200

/** Does something many times over, a few at a time, each in a scope of its own. */
const often = <E, R>(one: (i: number) => Effect.Effect<unknown, E, R>) =>
  Effect.forEach(
    Array.from({ length: many }, (_, i) => i),
    (i) => Effect.scoped(one(i)),
    { concurrency: 20, discard: true }
  )

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

/** Runs an effect in a scope of its own; afterwards nothing is held that was not before, and Node has warned of nothing. */
const leavesNothing = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const warnings: Array<Error> = []
    const note = (warning: Error) => void warnings.push(warning)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("warning", note)),
      () => Effect.sync(() => process.off("warning", note))
    )
    const before = held()
    const timersBefore = timers()
    yield* Effect.scoped(effect)
    yield* backTo(before)
    // one is that of this very wait
    yield* eventually("no timers are left", () => timers() <= timersBefore + 1)
    assert.deepStrictEqual(warnings, [])
  })

describe("nothing is left of connections", () => {
  for (const { client, kind, rawClient, serve } of everyKind) {
    const echo = serve(({ reader, writer }) => Effect.flatMap(reader.readLine, (line) => writer.write(line)), {
      onHandlerError: () => Effect.void
    })

    it.live(`${kind}: that went well`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const { at, server } = yield* echo
          yield* often(() =>
            Effect.gen(function* () {
              const { reader, writer } = yield* client(at)
              yield* writer.write("hello\n")
              assert.strictEqual(text(yield* within("the echo", reader.readLine)), "hello\n")
            })
          )
          yield* eventuallyEffect(
            "nobody is served any more",
            Effect.map(server.connections, (count) => count === 0)
          )
        })
      ).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live(`${kind}: that their scope aborted in the middle of a line`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const { at, server } = yield* echo
          yield* often((i) =>
            Effect.gen(function* () {
              const { reader, writer } = yield* client(at)
              yield* writer.write("half a li")
              if (i % 2 === 0) yield* writer.flush
              const reading = yield* Effect.forkChild(Effect.exit(reader.readLine), { startImmediately: true })
              yield* turns(i % 3)
              yield* Fiber.interrupt(reading)
              return yield* Effect.fail("given up")
            }).pipe(Effect.scoped, Effect.ignore)
          )
          yield* eventuallyEffect(
            "nobody is served any more",
            Effect.map(server.connections, (count) => count === 0)
          )
        })
      ).pipe(Effect.provide(NodeNetwork.layer))
    )

    for (const leave of ["reset", "vanish", "finish"] as const) {
      it.live(`${kind}: whose clients leave in the middle of a line (${leave})`, () =>
        leavesNothing(
          Effect.gen(function* () {
            const { at, server } = yield* echo
            yield* often((i) =>
              Effect.gen(function* () {
                const peer = yield* rawClient(at)
                yield* peer.send("half a li")
                yield* turns(i % 3)
                yield* peer[leave]
                yield* peer.awaitClosed
              })
            )
            yield* eventuallyEffect(
              "nobody is served any more",
              Effect.map(server.connections, (count) => count === 0)
            )
          })
        ).pipe(Effect.provide(NodeNetwork.layer))
      )
    }

    it.live(`${kind}: whose handlers fail`, () =>
      leavesNothing(
        Effect.gen(function* () {
          const { at, server } = yield* serve(({ reader }) => Effect.andThen(reader.readLine, Effect.die("a defect")), {
            onHandlerError: () => Effect.void
          })
          yield* often(() =>
            Effect.gen(function* () {
              const { closed, writer } = yield* client(at)
              yield* writer.write("hello\n")
              yield* within("the end", closed)
            })
          )
          yield* eventuallyEffect(
            "nobody is served any more",
            Effect.map(server.connections, (count) => count === 0)
          )
        })
      ).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("that were reset by the server in the middle of a line", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serveRaw(undefined, (peer: RawPeer) => {
          peer.socket.write("half a li", () => peer.socket.resetAndDestroy())
        })
        yield* often(() =>
          Effect.gen(function* () {
            const { reader } = yield* openConnection({ host, port: server.port })
            yield* within("the read", Effect.flip(reader.readUntil("|")))
          }).pipe(
            // it may be reset before it knows that it is connected
            Effect.catchTag("ConnectFailed", () => Effect.void)
          )
        )
      })
    ).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that were never opened: refused", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* closedPort()
        yield* often(() => Effect.flip(openConnection({ host, port })))
      })
    ).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that were never opened: interrupted, or out of time", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* deafServer
        yield* often((i) =>
          i % 2 === 0
            ? Effect.asVoid(Effect.flip(openConnection({ host, port, connectTimeout: 5 })))
            : Effect.raceFirst(Effect.asVoid(Effect.flip(openConnection({ host, port }))), turns(i % 10))
        )
      })
    ).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that were interrupted while they were opened", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* startServer({ host, port: 0 }, ({ reader }) => Effect.ignore(reader.readLine))
        yield* often((i) => Effect.raceFirst(openConnection({ host, port: server.port }), turns(i % 6)))
        yield* eventuallyEffect(
          "nobody is served any more",
          Effect.map(server.connections, (count) => count === 0)
        )
      })
    ).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("to a name with several addresses", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* startServer({ host: "127.0.0.2", port: 0 }, ({ writer }) => writer.write("hello\n"))
        yield* often((i) =>
          Effect.flatMap(
            openConnection({ host: "several.test", port: server.port, attemptDelay: i % 3 }),
            ({ reader }) => within("the greeting", reader.readLine)
          )
        )
        yield* eventuallyEffect(
          "nobody is served any more",
          Effect.map(server.connections, (count) => count === 0)
        )
      })
    ).pipe(
      Effect.provide(
        NodeNetwork.layerWith({
          lookup: () =>
            Promise.resolve(
              ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2"].map((address) => ({ address, family: 4 }))
            )
        })
      )
    )
  )

  it.live("of servers that come and go", () =>
    leavesNothing(
      often(() =>
        Effect.gen(function* () {
          const server = yield* startServer({ host: [host, "127.0.0.2"], port: 0, gracePeriod: 0 }, ({ reader }) =>
            Effect.ignore(reader.readLine)
          )
          const client = yield* connectRaw(server.port)
          yield* client.send("hello\n")
        })
      )
    ).pipe(Effect.provide(NodeNetwork.layer))
  )
})
