/** Who hears of a handler that failed, and of what: `onHandlerError`, and the log line that it is by default. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, type Server, startServer, startUnixServer } from "effect-byte-streams"
import { Cause, Data, Deferred, Effect, Layer, Logger } from "effect"
import { NetAddress } from "effect/net"
import { TestClock } from "effect/testing"
import { onFakeNetwork } from "../support/fakeNetwork.ts"
import { FakeTransport } from "../support/fakeTransport.ts"
import { connectRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"
import { tcpAndTls } from "../support/tcpAndTls.ts"

const host = "127.0.0.1"

class Refusal extends Data.TaggedError("Refusal")<{ readonly why: string }> {}

/** A handler's failures, as they are told. */
const collect = () => {
  const failures: Array<Server.HandlerFailure> = []
  return {
    failures,
    onHandlerError: (failure: Server.HandlerFailure) => Effect.sync(() => void failures.push(failure))
  }
}

describe("onHandlerError", () => {
  it.effect("counts what went either way before and after the connection was upgraded", () =>
    onFakeNetwork((network) =>
      Effect.gen(function* () {
        const { failures, onHandlerError } = collect()
        yield* startServer({ host, port: 0, onHandlerError }, (plain) =>
          Effect.gen(function* () {
            yield* plain.reader.readLine
            yield* plain.writer.write("go on\n")
            const { reader, writer } = yield* plain.startTls({ side: "client" })
            yield* writer.write("in secret\n")
            yield* reader.readLine
            return yield* Effect.fail(new Refusal({ why: "no" }))
          })
        )
        const secret = new FakeTransport()
        const plain = Object.assign(network.accept(), { startTls: () => Effect.succeed(secret) })
        plain.push("start\n")
        yield* TestClock.adjust(0)
        secret.push("12345\n and more")
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(
          failures.map(({ bytesRead, bytesWritten }) => [bytesRead, bytesWritten]),
          [[6 + 15, 6 + 10]]
        )
      })
    )
  )
})

describe("without onHandlerError", () => {
  /** What is logged while an effect runs. */
  const logging = () => {
    const lines: Array<string> = []
    const layer = Logger.layer([
      Logger.make(({ cause, logLevel, message }) => {
        lines.push([logLevel, ...[message].flat(), Cause.pretty(cause)].join(" "))
      })
    ])
    return { lines, layer: Layer.merge(layer, NodeNetwork.layer) }
  }

  it.live("one line is logged, with the client's address and the cause", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, ({ reader }) =>
        Effect.andThen(reader.readLine, Effect.fail(new Refusal({ why: "no" })))
      )
      const client = yield* connectRaw(server.port)
      const { localPort } = client
      yield* client.send("hello\n")
      yield* client.awaitClosed
      yield* eventually("it is logged", () => lines.length > 0)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Error /)
      assert.include(lines[0], `${host}:${localPort}`)
      assert.include(lines[0], "Refusal")
    }).pipe(Effect.provide(layer))
  })

  it.live("a client of a Unix socket has no address: the server's path says where it was", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, () => Effect.die("a defect"))
      yield* (yield* connectRaw(path)).awaitClosed
      yield* eventually("it is logged", () => lines.length > 0)
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], path)
      assert.include(lines[0], "a defect")
    }).pipe(Effect.provide(layer))
  })

  it.live("nothing is logged of clients that come and go, and of a server that ends", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, ({ reader, writer }) =>
            Effect.andThen(
              reader.readLine,
              Effect.flatMap(reader.readLine, (line) => writer.write(line))
            )
          )
          const client = yield* connectRaw(server.port)
          yield* client.send("one\ntwo\n")
          yield* client.awaitText("two\n")
          yield* client.awaitClosed
          const idle = yield* connectRaw(server.port)
          yield* idle.send("one\n")
          yield* eventuallyEffect(
            "it is served",
            Effect.map(server.connections, (count) => count === 1)
          )
        })
      )
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(layer))
  })
})

for (const { connectRaw, kind, startServer } of tcpAndTls) {
  describe(`over ${kind}`, () => {
    describe("onHandlerError", () => {
      it.live("is told of a failure: the cause, the client, and how much went either way", () =>
        Effect.gen(function* () {
          const { failures, onHandlerError } = collect()
          const server = yield* startServer({ host, port: 0, onHandlerError }, ({ reader, writer }) =>
            Effect.gen(function* () {
              yield* reader.readLine
              yield* writer.write("four")
              return yield* Effect.fail(new Refusal({ why: "no" }))
            })
          )
          const client = yield* connectRaw(server.port)
          const { localPort } = client
          yield* client.send("seven..\nand five")
          yield* client.awaitClosed
          yield* eventually("the failure is told", () => failures.length > 0)
          const { bytesRead, bytesWritten, cause, info } = failures[0]!
          assert.deepStrictEqual(Cause.squash(cause), new Refusal({ why: "no" }))
          assert.strictEqual(NetAddress.formatInet(info.remote as NetAddress.InetAddress), `${host}:${localPort}`)
          assert.strictEqual(bytesRead, 16)
          assert.strictEqual(bytesWritten, 4)
          assert.strictEqual(failures.length, 1)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is told of a defect, and of what is thrown", () =>
        Effect.gen(function* () {
          const { failures, onHandlerError } = collect()
          const dying = yield* startServer({ host, port: 0, onHandlerError }, () => Effect.die("a defect"))
          yield* (yield* connectRaw(dying.port)).awaitClosed
          const throwing = yield* startServer({ host, port: 0, onHandlerError }, (): Effect.Effect<void> => {
            throw new Error("thrown")
          })
          yield* (yield* connectRaw(throwing.port)).awaitClosed
          yield* eventually("both are told", () => failures.length === 2)
          assert.deepStrictEqual(
            failures.map(({ cause }) => String(Cause.squash(cause))),
            ["a defect", "Error: thrown"]
          )
          assert.isTrue(failures.every(({ cause }) => Cause.hasDies(cause)))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is not told of success, nor of interruption", () =>
        Effect.gen(function* () {
          const { failures, onHandlerError } = collect()
          const good = yield* startServer({ host, port: 0, onHandlerError }, () => Effect.void)
          yield* (yield* connectRaw(good.port)).awaitClosed
          const interrupted = yield* startServer({ host, port: 0, onHandlerError }, () => Effect.interrupt)
          yield* (yield* connectRaw(interrupted.port)).awaitClosed
          for (const { connections } of [good, interrupted]) {
            yield* eventuallyEffect(
              "the handler has ended",
              Effect.map(connections, (count) => count === 0)
            )
          }
          assert.deepStrictEqual(failures, [])
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("is not told of the handlers that a shutdown interrupts", () =>
        Effect.gen(function* () {
          const { failures, onHandlerError } = collect()
          const server = yield* startServer({ host, port: 0, onHandlerError }, ({ reader, writer }) =>
            Effect.gen(function* () {
              yield* writer.write("ready\n")
              yield* reader.readLine
            })
          )
          const client = yield* connectRaw(server.port)
          yield* client.awaitText("ready\n")
          assert.deepStrictEqual(yield* server.shutdown({ gracePeriod: 0 }), { completed: 0, aborted: 1 })
          yield* client.awaitClosed
          assert.deepStrictEqual(
            failures.map(({ cause }) => Cause.pretty(cause)),
            []
          )
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("may fail itself: the server goes on, and the connection is closed", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0, onHandlerError: () => Effect.die("twice unlucky") }, () =>
            Effect.die("unlucky")
          )
          for (let i = 0; i < 3; i++) {
            const client = yield* connectRaw(server.port)
            assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
          }
          const throwing = yield* startServer(
            {
              host,
              port: 0,
              onHandlerError: () => {
                throw new Error("thrown")
              }
            },
            () => Effect.die("unlucky")
          )
          for (let i = 0; i < 3; i++) {
            const client = yield* connectRaw(throwing.port)
            assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
          }
          yield* eventuallyEffect(
            "nobody is served any more",
            Effect.map(throwing.connections, (count) => count === 0)
          )
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("the connection is gone before it is told, which may take its time", () =>
        Effect.gen(function* () {
          const told = yield* Deferred.make<void>()
          const server = yield* startServer({ host, port: 0, onHandlerError: () => Deferred.await(told) }, () =>
            Effect.die("a defect")
          )
          const client = yield* connectRaw(server.port)
          assert.strictEqual(yield* client.awaitClosed, "ECONNRESET")
          yield* Deferred.succeed(told, undefined)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
