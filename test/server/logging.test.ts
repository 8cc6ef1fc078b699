/** What a server logs by itself: whose fault it was says the level, and nobody can fill a log. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, NodeNetwork, openConnection, startServer, StreamError, StreamReader } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Data, Effect, References } from "effect"
import { NetAddress } from "effect/net"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { type Socket, SocketServer } from "effect/socket"
import { TestClock } from "effect/testing"
import { type FakeNetwork, onFakeNetwork } from "../support/fakeNetwork.ts"
import { FakeTransport } from "../support/fakeTransport.ts"
import { everyKind } from "../support/kinds.ts"
import { logged } from "../support/logged.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { connectTlsPeer } from "../support/tlsPeer.ts"
import { eventually, eventuallyEffect } from "../support/wait.ts"

const host = "127.0.0.1"

class Refusal extends Data.TaggedError("Refusal")<{ readonly why: string }> {}

const idle = (server: { readonly connections: Effect.Effect<number> }) =>
  eventuallyEffect(
    "nobody is served",
    Effect.map(server.connections, (count) => count === 0)
  )

for (const { kind, rawClient, reset, serve } of everyKind) {
  describe(`an end that the peer caused, ${kind}`, () => {
    const ends = [
      [
        "a client that resets",
        /^Debug (the connection of .*|a connection) ended: readLine: the connection (to .* )?was lost/,
        {}
      ],
      [
        "a message that is cut off",
        /^Debug the connection of .* ended: readExactly: the stream ended after 3 of 8 bytes$/,
        {}
      ],
      [
        "a client that is silent for too long",
        /^Debug (the connection of .*|a connection) ended: readLine: the Idle timeout of 50ms expired( \(.*\))?$/,
        { timeouts: { idle: 50 } }
      ],
      [
        "a read that waits for too long",
        /^Debug (the connection of .*|a connection) ended: readLine: the Read timeout of 50ms expired( \(.*\))?$/,
        { timeouts: { read: 50 } }
      ]
    ] as const
    for (const [index, [what, line, options]] of ends.entries()) {
      // such a socket knows no reset
      if (index === 0 && reset === undefined) continue
      it.live(`${what} is one line at level Debug`, () => {
        const { layer, lines } = logged()
        return Effect.gen(function* () {
          const { at, server } = yield* serve(
            ({ reader, writer }) =>
              Effect.gen(function* () {
                yield* writer.write("ready\n")
                yield* index === 1 ? reader.readExactly(8) : reader.readLine
              }),
            options
          )
          const client = yield* rawClient(at)
          yield* client.awaitText("ready\n")
          if (index === 0) yield* client.reset
          if (index === 1) {
            yield* client.send("cut")
            yield* client.finish
          }
          yield* idle(server)
          yield* eventually("it is logged", () => lines.length > 0)
          assert.strictEqual(lines.length, 1)
          assert.match(lines[0]!, line)
          assert.notInclude(lines[0], "\n")
        }).pipe(Effect.provide([layer, NodeNetwork.layer]))
      })
    }

    it.live("is told to onHandlerError all the same, each of them", () => {
      const { layer, lines } = logged()
      return Effect.gen(function* () {
        const tags: Array<string> = []
        const { at, server } = yield* serve(({ reader }) => reader.readExactly(8), {
          onHandlerError: ({ cause }) =>
            Effect.sync(() => {
              const [reason] = cause.reasons
              tags.push(reason?._tag === "Fail" ? (reason.error as StreamError.IncompleteRead)._tag : "?")
            })
        })
        for (let i = 0; i < 20; i++) yield* (yield* rawClient(at)).finish
        yield* eventually("all are told", () => tags.length === 20)
        yield* idle(server)
        assert.deepStrictEqual(new Set(tags), new Set(["IncompleteRead"]))
        assert.deepStrictEqual(lines, [])
      }).pipe(Effect.provide([layer, NodeNetwork.layer]))
    })
  })
}

describe("an end that the peer caused", () => {
  it.live("over TLS: a connection that is cut off in front of its end", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const [, , tls] = everyKind
      const { at, server } = yield* tls!.serve(({ reader }) => reader.readLine)
      const peer = yield* connectTlsPeer(at as number)
      yield* peer.secured
      yield* eventuallyEffect(
        "it is served",
        Effect.map(server.connections, (count) => count === 1)
      )
      yield* peer.wire.vanish
      yield* idle(server)
      yield* eventually("it is logged", () => lines.length > 0)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Debug a connection ended: /)
    }).pipe(Effect.provide([layer, NodeNetwork.layer]))
  })

  it.live("as Effect's RPC passes it on: a defect around a SocketError", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      let over = 0
      // what a program needs to have RPC over connections of this library
      const sockets = {
        address: NetAddress.unixPathAddress("/none"),
        run: (handler: (socket: Socket.Socket) => Effect.Effect<void>) =>
          Effect.andThen(
            startServer({ host, port: 7_777, gracePeriod: 0 }, (connection) => {
              return Effect.ensuring(
                handler(Connection.toSocket(connection)),
                Effect.sync(() => over++)
              )
            }),
            Effect.never
          )
      }
      yield* RpcServer.makeProtocolSocketServer.pipe(
        Effect.provideService(SocketServer.SocketServer, sockets as never),
        Effect.provide(RpcSerialization.layerNdjson)
      )
      yield* TestNetwork.settled
      for (const [i, leave] of (["abort", "close"] as const).entries()) {
        const client = yield* openConnection({ port: 7_777 })
        yield* client.writer.write("not quite a mess")
        yield* TestNetwork.settled
        yield* leave === "abort" ? client.abort : client.writer.close
        yield* eventually("its handler has ended", () => over === i + 1)
      }
      yield* eventually("it is logged", () => lines.length > 0)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Debug a connection ended: pull: the connection to \S+ was lost \(Reset, ECONNRESET\)$/)
    }).pipe(Effect.provide([layer, TestNetwork.layer]))
  })

  it.live("as Effect's sockets say that the peer has ended: an error for who does not look for it", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0 }, (connection) =>
          Effect.scoped(
            Effect.flatMap(Connection.toSocket(connection).reader, ({ pull }) => Effect.orDie(Effect.forever(pull)))
          )
        )
        network.accept().pushEnd()
        yield* eventually("it is logged", () => lines.length > 0)
        assert.deepStrictEqual(lines, ["Debug the connection of a client ended: 1000"])
      })
    ).pipe(Effect.provide(layer))
  })
})

describe("an end that the peer caused, of a part of a reader", () => {
  it.effect("is one line at level Debug", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0 }, ({ reader }) =>
          Effect.scoped(Effect.flatMap(StreamReader.limited(reader, 100), (body) => body.readAll({ maxBytes: 100 })))
        )
        const client = network.accept()
        client.push("not all of it")
        client.pushEnd()
        yield* TestClock.adjust(0)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Debug the connection of a client ended: readAll: /)
      })
    ).pipe(Effect.provide(layer))
  })
})

describe("a failure of the program's own", () => {
  const failures: ReadonlyArray<
    readonly [
      what: string,
      handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
      said: string
    ]
  > = [
    ["an error of its own", () => Effect.fail(new Refusal({ why: "no" })), "Refusal"],
    ["a defect", () => Effect.die(new Error("a defect")), "a defect"],
    [
      "an error of its own, made of the end of the connection",
      ({ reader }) => Effect.mapError(reader.readLine, () => new Refusal({ why: "it has left" })),
      "Refusal"
    ],
    [
      "the same end, of another connection",
      () => Effect.fail(new StreamError.ConnectionLost({ operation: "query", kind: "Reset", code: "ECONNRESET" })),
      "query: the connection was lost"
    ],
    [
      "a defect beside the end",
      ({ reader }) =>
        Effect.all([reader.readLine, Effect.onInterrupt(Effect.never, () => Effect.die(new Error("too bad")))], {
          concurrency: "unbounded"
        }),
      "too bad"
    ],
    [
      "a stream that it has closed itself and reads on",
      ({ reader, writer }) => Effect.andThen(writer.writeEof, Effect.andThen(reader.readLine, writer.write("late"))),
      "this side has ended its output"
    ],
    ["a line over the limit", ({ reader }) => reader.readLineWith({ limit: 2 }), "LimitOverrun"]
  ]
  for (const [what, handler, said] of failures) {
    it.effect(`${what} is logged at level Error, with its cause`, () => {
      const { layer, lines } = logged()
      return onFakeNetwork((network) =>
        Effect.gen(function* () {
          yield* startServer({ host, port: 0 }, handler)
          const client = network.accept()
          if (said === "LimitOverrun") client.push("line\n")
          else if (said.startsWith("this side")) client.push("\n")
          client.lose()
          yield* TestClock.adjust(0)
          assert.strictEqual(lines.length, 1)
          assert.match(lines[0]!, /^Error handler of a client failed /)
          assert.include(lines[0], said)
        })
      ).pipe(Effect.provide(layer))
    })
  }

  it.live(
    "the loss of a connection that the handler opened is none of its client's, even if that leaves as well",
    () => {
      const { layer, lines } = logged()
      return Effect.gen(function* () {
        const database = yield* serveRaw()
        const server = yield* startServer({ host, port: 0 }, ({ reader }) =>
          Effect.scoped(
            Effect.gen(function* () {
              const query = yield* openConnection({ host, port: database.port })
              yield* Effect.exit(reader.readExactly(1))
              yield* query.reader.readLine
            })
          )
        )
        const client = yield* connectRaw(server.port)
        const peer = yield* database.accept
        yield* client.reset
        yield* peer.reset
        yield* idle(server)
        yield* eventually("it is logged", () => lines.length > 0)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Error handler of .* failed /)
        assert.match(lines[0]!, /readLine: the connection to \S+ was lost/)
      }).pipe(Effect.provide([layer, NodeNetwork.layer]))
    }
  )

  it.effect("a transport that fails on this side is no end that the peer caused", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0 }, ({ reader, writer }) =>
          Effect.andThen(reader.readLine, Effect.andThen(writer.write("x"), reader.readLine))
        )
        const client = network.accept()
        client.onWrite = () => {
          throw new Error("broken here")
        }
        client.push("\n")
        yield* TestClock.adjust(0)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Error .*broken here/)
      })
    ).pipe(Effect.provide(layer))
  })
})

describe("an upgrade that fails", () => {
  it.effect("is logged as a handshake", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0 }, (connection) =>
          Effect.flatMap(connection.reader.readLine, () => connection.startTls({ side: "client" }))
        )
        const client = Object.assign(network.accept(), {
          startTls: () => Effect.fail(new StreamError.TlsFailed({ kind: "Certificate", code: "CERT_HAS_EXPIRED" }))
        })
        client.push("STARTTLS\n")
        yield* TestClock.adjust(0)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Warn handshake with a client failed: .*CERT_HAS_EXPIRED/)
      })
    ).pipe(Effect.provide(layer))
  })

  it.effect("where it cannot even begin, it is the program that is wrong", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0 }, (connection) => connection.startTls({ side: "client" }))
        network.accept()
        yield* TestClock.adjust(0)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Error handler of a client failed /)
      })
    ).pipe(Effect.provide(layer))
  })

  it.effect("the end of the connection that it led to is an end like any other", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0 }, (connection) =>
          connection.reader.readLine.pipe(
            Effect.flatMap(() => connection.startTls({ side: "client" })),
            Effect.flatMap(({ reader }) => reader.readLine)
          )
        )
        const secret = new FakeTransport()
        Object.assign(network.accept(), { startTls: () => Effect.succeed(secret) }).push("STARTTLS\n")
        yield* TestClock.adjust(0)
        secret.lose()
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(lines, [
          "Debug the connection of a client ended: readLine: the connection was lost (Reset, ECONNRESET)"
        ])
      })
    ).pipe(Effect.provide(layer))
  })
})

describe("how much is logged", () => {
  const kinds: ReadonlyArray<readonly [what: string, line: RegExp, happen: (network: FakeNetwork, i: number) => void]> =
    [
      ["ends that the peer caused", /^Debug the connection of a client ended: /, (network) => network.accept().lose()],
      ["failures of the program's own", /^Error handler of a client failed/, (network) => network.accept().push("\n")],
      [
        "handshakes",
        /^Warn handshake with a client failed: /,
        (network) => network.failHandshake(new StreamError.TlsFailed({ kind: "Handshake" }))
      ]
    ]
  const handler = ({ reader }: Connection.Connection) =>
    Effect.andThen(reader.readLine, Effect.fail(new Refusal({ why: "no" })))

  for (const [what, line, happen] of kinds) {
    it.effect(`${what}: one line a second, and a count of what was left out`, () => {
      const { layer, lines } = logged()
      return onFakeNetwork((network) =>
        Effect.gen(function* () {
          yield* startServer({ host, port: 0, gracePeriod: 0 }, handler)
          for (let i = 0; i < 1000; i++) {
            happen(network, i)
            yield* TestClock.adjust(10)
          }
          // the last ones of the last second wait for its end
          yield* TestClock.adjust(990)
          assert.isAtMost(lines.length, 11)
          let count = 0
          for (const one of lines) {
            assert.match(one, line)
            count += 1 + Number(/\(and (\d+) more within a second\)/.exec(one)?.[1] ?? 0)
          }
          assert.strictEqual(count, 1000)
          // a single one is said at once again
          yield* TestClock.adjust("1 minute")
          const before = lines.length
          happen(network, 1000)
          yield* TestClock.adjust(0)
          assert.strictEqual(lines.length, before + 1)
          assert.notInclude(lines.at(-1), "more within")
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(lines.length, before + 1)
        })
      ).pipe(Effect.provide(layer))
    })

    it.effect(`${what}: a server that ends says at once what it has left out`, () => {
      const { layer, lines } = logged()
      return onFakeNetwork((network) =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, handler)
          for (let i = 0; i < 10; i++) happen(network, i)
          yield* TestClock.adjust(0)
          assert.strictEqual(lines.length, 1)
          yield* server.shutdown()
          yield* TestClock.adjust(0)
          assert.strictEqual(lines.length, 2)
          assert.include(lines[1], "(and 8 more within a second)")
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(lines.length, 2)
        })
      ).pipe(Effect.provide(layer))
    })
  }

  it.effect("one kind does not keep another out", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0, gracePeriod: 0 }, handler)
        for (const [, , happen] of kinds) happen(network, 0)
        network.failToAccept({ kind: "Unknown", code: "EMFILE" })
        yield* TestClock.adjust(0)
        assert.strictEqual(lines.length, 4)
      })
    ).pipe(Effect.provide(layer))
  })

  it.effect("what is below the least level that is logged is not counted, and needs no timer", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        yield* startServer({ host, port: 0, gracePeriod: 0 }, handler)
        for (let i = 0; i < 10; i++) network.accept().lose()
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(lines, [])
      })
    ).pipe(Effect.provideService(References.MinimumLogLevel, "Info"), Effect.provide(layer))
  })

  it.live("strangers who speak no TLS do not fill it", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const [, , tls] = everyKind
      const { at } = yield* tls!.serve(() => Effect.void)
      const strangers = yield* Effect.all(Array.from({ length: 30 }, () => connectRaw(at as number)))
      for (const stranger of strangers) yield* stranger.send("GET / HTTP/1.0\r\n\r\n")
      for (const stranger of strangers) yield* stranger.awaitClosed
      yield* eventually("all are counted", () => {
        let count = 0
        for (const line of lines) {
          assert.match(line, /^Warn handshake failed: /)
          count += 1 + Number(/\(and (\d+) more within a second\)/.exec(line)?.[1] ?? 0)
        }
        return count === 30
      })
      assert.isAtMost(lines.length, 5)
    }).pipe(Effect.provide([layer, NodeNetwork.layer]))
  })
})

describe("onAcceptError", () => {
  it.effect("is told of each time that the system could not accept, and may fail itself", () => {
    const { layer, lines } = logged()
    return onFakeNetwork((network) =>
      Effect.gen(function* () {
        const codes: Array<string | undefined> = []
        yield* startServer(
          {
            host,
            port: 0,
            onAcceptError: ({ code }) =>
              Effect.andThen(
                Effect.sync(() => codes.push(code)),
                Effect.die("unlucky")
              )
          },
          () => Effect.void
        )
        for (let i = 0; i < 5; i++) network.failToAccept({ kind: "Unknown", code: i === 0 ? "EMFILE" : "ENFILE" })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(codes, ["EMFILE", "ENFILE", "ENFILE", "ENFILE", "ENFILE"])
        assert.deepStrictEqual(lines, [])
      })
    ).pipe(Effect.provide(layer))
  })
})
