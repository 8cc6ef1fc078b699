/** Connections over sockets such as those of Cloudflare's Workers. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, NodeNetwork, startServer, StreamError } from "effect-byte-streams"
import { Deferred, Effect, Option } from "effect"
import { authority, certificates } from "../support/certificates.ts"
import { within } from "../support/wait.ts"
import { connect } from "../support/workersSocket.ts"

const hostname = "127.0.0.1"
const isLost = (error: unknown): StreamError.ConnectionLost => {
  assert(error instanceof StreamError.ConnectionLost, String(error))
  return error
}

describe.concurrent("a connection over a socket of a Worker's", () => {
  it.live("speaks before the socket is connected, and ends it in good order", () =>
    Effect.gen(function* () {
      const { port } = yield* startServer({ host: hostname, port: 0 }, ({ reader, writer }) =>
        Effect.flatMap(reader.readLine, (line) => writer.write(line))
      )
      const socket = connect({ hostname, port })
      const { reader, writer } = yield* Connection.fromWebStreams(socket)
      yield* writer.write("hello\n")
      assert.deepStrictEqual(yield* within("the answer", reader.readLineText), Option.some("hello"))
      assert.strictEqual((yield* Effect.promise(() => socket.opened)).remoteAddress, hostname)
      assert.deepStrictEqual(yield* within("close", writer.close), { _tag: "Graceful" })
      yield* within(
        "the socket's own end",
        Effect.promise(() => socket.closed)
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that cannot connect is lost, for reads and writes, with what the runtime says of it", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(startServer({ host: hostname, port: 0 }, () => Effect.void))
      const { reader, writer } = yield* Connection.fromWebStreams(connect({ hostname, port }))
      for (const use of [reader.read(1), Effect.andThen(writer.write("x"), writer.flush)]) {
        const { cause } = isLost(yield* within("a use", Effect.flip(use)))
        assert.match(String(cause), /Network connection lost/)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("ends its output by itself behind the end of the input: later writes meet a broken pipe", () =>
    Effect.gen(function* () {
      const seen = yield* Deferred.make<number>()
      const { port } = yield* startServer({ host: hostname, port: 0 }, ({ reader, writer }) =>
        Effect.andThen(writer.writeEof, reader.read(1)).pipe(
          Effect.flatMap((bytes) => Deferred.succeed(seen, bytes.length))
        )
      )
      const socket = connect({ hostname, port })
      const { reader, writer } = yield* Connection.fromWebStreams(socket)
      assert.strictEqual((yield* within("the end", reader.read(1))).length, 0)
      assert.strictEqual(yield* within("the server sees the end", Deferred.await(seen)), 0)
      yield* within(
        "the socket's own end",
        Effect.promise(() => socket.closed)
      )
      yield* writer.write("x")
      assert.strictEqual(isLost(yield* within("a flush", Effect.flip(writer.flush))).kind, "BrokenPipe")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("goes on over another one after startTls, which takes the old one's streams away", () =>
    Effect.gen(function* () {
      const { port } = yield* startServer({ host: hostname, port: 0 }, (plain) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* plain.reader.readLineText, Option.some("STARTTLS"))
          yield* plain.writer.write("go ahead\n")
          const { reader, writer } = yield* plain.startTls({ side: "server", identity: certificates.server.identity })
          yield* writer.write(yield* reader.readLine)
        }).pipe(Effect.scoped, Effect.orDie)
      )
      const socket = connect({ hostname, port }, { secureTransport: "starttls" }, { ca: authority.cert })
      const plain = yield* Connection.fromWebStreams(socket)
      yield* plain.writer.write("STARTTLS\n")
      assert.deepStrictEqual(yield* within("the answer", plain.reader.readLineText), Option.some("go ahead"))
      const secure = yield* Connection.fromWebStreams(socket.startTls({ expectedServerHostname: "localhost" }))
      yield* secure.writer.write("hello\n")
      assert.deepStrictEqual(yield* within("the secret", secure.reader.readLineText), Option.some("hello"))
      isLost(yield* within("a read of the old one", Effect.flip(plain.reader.read(1))))
      assert.strictEqual((yield* within("close", secure.writer.close))._tag, "Graceful")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
