/**
 * What arrives while an upgrade, or the way back, is between two of its steps: a fiber lets others run now and then, and the
 * peer does not wait for that.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler } from "effect"
import { type Connection, NodeNetwork, openConnection, startServer, type Tls } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { eventually, turns, within } from "../support/wait.ts"
import { HeldBefore, Restless } from "../support/yieldingSchedulers.ts"

const host = "127.0.0.1"

const pair = Effect.gen(function* () {
  const accepted: Array<Connection.Connection> = []
  const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, (connection) => {
    accepted.push(connection)
    return Effect.never
  })
  const client = yield* openConnection({ host, port: server.port })
  return { client, peer: yield* eventually("the server accepts a client", () => accepted[0]) }
})

for (const [name, network] of [
  ["sockets", NodeNetwork.layer],
  ["a network in memory", TestNetwork.layer]
] as const) {
  for (const stoppable of [true, false]) {
    describe(`${stoppable ? "with a way back" : "for good"}, over ${name}`, () => {
      const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost", stoppable }
      const asServer: Tls.StartTlsOptions = {
        side: "server",
        identity: certificates.server.identity,
        leftover: "feedTls",
        stoppable
      }

      /** Both ends at once. One of them lets others run in between, the other does not wait for it. */
      const upgraded = (seed: number) =>
        Effect.gen(function* () {
          const { client, peer } = yield* pair
          return yield* within(
            `the upgrade of both ends, seed ${seed}`,
            Effect.all(
              [
                client.startTls(asClient),
                Effect.provideService(peer.startTls(asServer), Scheduler.Scheduler, new Restless(seed))
              ],
              { concurrency: 2 }
            )
          )
        })

      const line = ({ reader }: Connection.Connection) => within("a line", Effect.map(reader.readLine, text))

      it.live("the first words of TLS are heard, between whichever steps of startTls they come", () =>
        Effect.gen(function* () {
          for (let seed = 1; seed <= 60; seed++) {
            yield* Effect.gen(function* () {
              const [client, peer] = yield* upgraded(seed)
              yield* client.writer.write("a secret\n")
              assert.strictEqual(yield* line(peer), "a secret\n")
            }).pipe(Effect.scoped)
          }
        }).pipe(Effect.provide(network))
      )

      it.live("a close through the old handle closes what goes on, between whichever of its steps TLS has begun", () =>
        Effect.gen(function* () {
          let held = 0
          for (let step = 1; step <= 10; step++) {
            yield* Effect.gen(function* () {
              const { client, peer } = yield* pair
              const scheduler = new HeldBefore(step)
              const closing = yield* Effect.forkChild(
                Effect.provideService(client.writer.close, Scheduler.Scheduler, scheduler),
                { startImmediately: true }
              )
              if (!scheduler.holds || (yield* client.writer.isClosing)) return scheduler.goOn()
              held++
              const [, secured] = yield* within(
                `step ${step}: the upgrade of both ends`,
                Effect.all([client.startTls(asClient), peer.startTls(asServer)], { concurrency: 2 })
              )
              scheduler.goOn()
              assert.deepStrictEqual(yield* within("the close", Fiber.join(closing)), { _tag: "Graceful" })
              assert.strictEqual((yield* within("the end", secured.reader.read(1))).length, 0)
            }).pipe(Effect.scoped)
          }
          assert.isAtLeast(held, 1)
        }).pipe(Effect.provide(network))
      )

      if (stoppable)
        it.live("the last words of TLS are heard, between whichever steps of stopTls they come", () =>
          Effect.gen(function* () {
            for (let seed = 1; seed <= 60; seed++) {
              yield* Effect.gen(function* () {
                const [client, peer] = yield* upgraded(seed)
                const stopped = (connection: Connection.Connection) => within("the end of TLS", connection.stopTls)
                const [plain, plainPeer] = yield* Effect.all(
                  [
                    Effect.andThen(client.writer.write("a secret\n"), stopped(client)),
                    Effect.provideService(stopped(peer), Scheduler.Scheduler, new Restless(seed))
                  ],
                  { concurrency: 2 }
                )
                yield* plain.writer.write("in plain text\n")
                assert.strictEqual(yield* line(plainPeer), "a secret\n")
                assert.strictEqual(yield* line(plainPeer), "in plain text\n")
              }).pipe(Effect.scoped)
            }
          }).pipe(Effect.provide(network))
        )

      if (stoppable)
        it.live("a peer that is gone is seen to be gone, between whichever steps of stopTls it leaves", () =>
          Effect.gen(function* () {
            let held = 0
            for (let step = 1; step <= 20; step++) {
              yield* Effect.gen(function* () {
                const [client, peer] = yield* upgraded(1)
                const scheduler = new HeldBefore(step)
                const stopping = yield* Effect.forkChild(
                  Effect.provideService(client.stopTls, Scheduler.Scheduler, scheduler),
                  { startImmediately: true }
                )
                if (scheduler.holds) held++
                yield* peer.abort
                yield* turns(10)
                scheduler.goOn()
                const exit = yield* within(`step ${step}: the end of TLS`, Fiber.await(stopping))
                assert.isTrue(Exit.isFailure(exit))
              }).pipe(Effect.scoped)
            }
            assert.isAbove(held, 5)
          }).pipe(Effect.provide(network))
        )
    })
  }
}
