/**
 * Whichever way a handler ends, its connection ends too, at once, and nothing is left of it: rank 27 of what users ask
 * for, and rows 10.5 and 10.6 of the semantics.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, startUnixServer } from "effect-byte-streams"
import { Cause, Data, Effect } from "effect"
import { pattern } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { largestRead } from "../support/largestRead.ts"
import { socketPath } from "../support/temporary.ts"
import { eventuallyEffect, within } from "../support/wait.ts"
import { tcpAndTls } from "../support/tcpAndTls.ts"

const host = "127.0.0.1"

class Refusal extends Data.TaggedError("Refusal") {}

type Handler = (connection: Connection.Connection) => Effect.Effect<unknown, unknown>

/** Every way in which a handler can end, and what a client over TCP sees of it. */
const exits: ReadonlyArray<{ readonly how: string; readonly handler: Handler; readonly sees: string | undefined }> = [
  { how: "returns", handler: () => Effect.void, sees: undefined },
  { how: "returns later", handler: () => Effect.sleep(5), sees: undefined },
  { how: "fails", handler: () => Effect.fail(new Refusal()), sees: "ECONNRESET" },
  {
    how: "fails later",
    handler: () => Effect.andThen(Effect.sleep(5), Effect.fail(new Refusal())),
    sees: "ECONNRESET"
  },
  { how: "dies", handler: () => Effect.die(new Error("a defect")), sees: "ECONNRESET" },
  { how: "dies later", handler: () => Effect.andThen(Effect.sleep(5), Effect.die("a defect")), sees: "ECONNRESET" },
  { how: "is interrupted", handler: () => Effect.interrupt, sees: "ECONNRESET" },
  { how: "is interrupted later", handler: () => Effect.andThen(Effect.sleep(5), Effect.interrupt), sees: "ECONNRESET" },
  {
    how: "throws instead of returning an effect",
    handler: () => {
      throw new Error("thrown")
    },
    sees: "ECONNRESET"
  },
  {
    how: "throws inside of an effect",
    handler: () =>
      Effect.sync(() => {
        throw new Error("thrown")
      }),
    sees: "ECONNRESET"
  },
  {
    how: "returns after it has closed the connection itself",
    handler: ({ writer }) => writer.close,
    sees: undefined
  },
  {
    how: "returns after it has aborted the connection itself",
    handler: ({ abort }) => abort,
    sees: "ECONNRESET"
  },
  {
    how: "returns after writeEof",
    handler: ({ writer }) => writer.writeEof,
    sees: undefined
  }
]

const silent = () => Effect.void

for (const { connectRaw, kind, startServer } of tcpAndTls) {
  describe(`over ${kind}`, () => {
    describe("rank 27 the client sees its connection end when the handler", () => {
      for (const { handler, how, sees } of exits) {
        it.live(`rank 27 ${how}`, () =>
          Effect.gen(function* () {
            const before = held()
            yield* Effect.scoped(
              Effect.gen(function* () {
                const server = yield* startServer({ host, port: 0, onHandlerError: silent }, handler)
                for (let i = 0; i < 3; i++) {
                  const client = yield* connectRaw(server.port)
                  assert.strictEqual(yield* client.awaitClosed, sees)
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

        it.live(`rank 27 ${how}: over a Unix socket`, () =>
          Effect.gen(function* () {
            const before = held()
            yield* Effect.scoped(
              Effect.gen(function* () {
                const path = yield* socketPath()
                const server = yield* startUnixServer(path, handler, { onHandlerError: silent })
                const client = yield* connectRaw(path)
                // a Unix socket knows no reset
                assert.strictEqual(yield* client.awaitClosed, undefined)
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
    })

    describe("row 10.5: a handler that is a plain function", () => {
      it.live("row 10.5: returns what is no effect: it dies, and the client sees its connection end", () =>
        Effect.gen(function* () {
          const causes: Array<string> = []
          const server = yield* startServer(
            {
              host,
              port: 0,
              gracePeriod: 0,
              onHandlerError: ({ cause }) => Effect.sync(() => void causes.push(Cause.pretty(cause)))
            },
            // what the types rule out, and JavaScript does not
            (() => undefined) as unknown as () => Effect.Effect<void>
          )
          const client = yield* connectRaw(server.port)
          assert.strictEqual(yield* within("the connection ends", client.awaitClosed, 1000), "ECONNRESET")
          assert.match(causes.join(), /startServer.*undefined/)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("what the handler wrote", () => {
      it.live("row 10.6: on return everything arrives, and then the end", () =>
        Effect.gen(function* () {
          const reply = pattern(300_000)
          const server = yield* startServer({ host, port: 0 }, ({ writer }) => writer.write(reply))
          const client = yield* connectRaw(server.port)
          assert.strictEqual(yield* client.awaitClosed, undefined)
          assert.isTrue(client.received.equals(reply))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("row 10.6: on return everything arrives, also when the client goes on sending what nobody reads", () =>
        Effect.gen(function* () {
          const reply = pattern(300_000)
          const server = yield* startServer({ host, port: 0 }, ({ writer }) => writer.write(reply))
          const client = yield* connectRaw(server.port)
          yield* Effect.forkChild(Effect.forever(client.send(new Uint8Array(1000))))
          yield* client.awaitBytes(reply.length)
          yield* client.awaitEnd
          assert.isTrue(client.received.equals(reply))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("onScopeFailure: flush sends what was written before a failure, and ends in good order", () =>
        Effect.gen(function* () {
          const server = yield* startServer(
            { host, port: 0, onScopeFailure: "flush", onHandlerError: silent },
            ({ writer }) => Effect.andThen(writer.write("sorry\n"), Effect.fail(new Refusal()))
          )
          const client = yield* connectRaw(server.port)
          assert.strictEqual(yield* client.awaitClosed, undefined)
          assert.strictEqual(client.text, "sorry\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("rank 27 a handler that never touches its reader", () => {
      it.live("rank 27 leaks nothing, whatever the client has sent", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const server = yield* startServer({ host, port: 0 }, () => Effect.void)
              for (const size of [0, 1, 1000, 500_000]) {
                const client = yield* connectRaw(server.port)
                yield* Effect.forkChild(client.send(pattern(size)))
                // what arrives after the end may be answered with a reset
                yield* client.awaitClosed
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

      it.live("rank 27 holds no more than its limit allows while it works", () =>
        Effect.gen(function* () {
          const limit = 1000
          let connection: Connection.Connection | undefined
          const server = yield* startServer({ host, port: 0, limit }, (accepted) => {
            connection = accepted
            return Effect.never
          })
          const client = yield* connectRaw(server.port)
          yield* Effect.forkChild(client.send(new Uint8Array(3_000_000)))
          yield* eventuallyEffect(
            "the reader is full",
            Effect.suspend(() => (connection === undefined ? Effect.succeed(0) : connection.reader.buffered)).pipe(
              Effect.map((buffered) => buffered > 2 * limit)
            )
          )
          yield* Effect.sleep(50)
          // twice the limit, and what one read of the system brings
          assert.isAtMost(yield* connection!.reader.buffered, 2 * limit + largestRead)
          yield* server.shutdown({ gracePeriod: 0 })
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("rank 27 handlers are on their own", () => {
      it.live("rank 27 one that fails disturbs no other", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0, onHandlerError: silent }, ({ reader, writer }) =>
            Effect.gen(function* () {
              while (true) {
                const line = yield* reader.readLine
                if (line.length === 0) return
                if (line[0] === 33) return yield* Effect.die("told to")
                yield* writer.write(line)
              }
            })
          )
          const good = yield* connectRaw(server.port)
          yield* good.send("one\n")
          yield* good.awaitText("one\n")
          for (let i = 0; i < 10; i++) {
            const bad = yield* connectRaw(server.port)
            yield* bad.send("!\n")
            assert.strictEqual(yield* bad.awaitClosed, "ECONNRESET")
          }
          yield* good.send("two\n")
          yield* good.awaitText("two\n")
          yield* eventuallyEffect(
            "only the good one is served",
            Effect.map(server.connections, (count) => count === 1)
          )
          yield* good.finish
          assert.strictEqual(yield* good.awaitClosed, undefined)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
