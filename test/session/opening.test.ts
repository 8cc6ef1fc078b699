/**
 * What CPython's own suite covers of opening connections, serving and `start_tls` with streams
 * (`test_asyncio/test_streams.py`, 3.11 to 3.14). Each test is named after the case it corresponds to; where this library
 * differs on purpose, the name says so. `test_server.py` is in test/server/lifetime.test.ts, and for the paths of Unix
 * sockets in test/node/listenUnix.test.ts, under its names.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber } from "effect"
import {
  type Connection,
  NodeNetwork,
  openConnection,
  openUnixConnection,
  type Server,
  startServer,
  startUnixServer,
  type Tls
} from "effect-byte-streams"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern, text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { plainPair } from "../support/plainPair.ts"
import { type At, connectRaw, type RawPeer, serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { tlsPair } from "../support/tlsPair.ts"
import { eventually, eventuallyEffect, within } from "../support/wait.ts"

const host = "127.0.0.1"

const request = "GET / HTTP/1.0\r\n\r\n"
const status = "HTTP/1.0 200 OK\r\n"

/** Asks, and reads the answer to its end. */
const get = ({ reader, writer }: Connection.Connection, answer: Effect.Effect<unknown>) =>
  Effect.gen(function* () {
    yield* writer.write(request)
    yield* answer
    assert.strictEqual(text(yield* reader.readLine), status)
    assert.strictEqual(text(yield* reader.readAll({ maxBytes: 1000 })), "Test message")
    yield* writer.close
  })

const answer = (peer: RawPeer) =>
  peer.awaitText(request).pipe(Effect.andThen(peer.send(`${status}Test message`)), Effect.andThen(peer.finish))

describe("opening", () => {
  it.live("CPython open_connection", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const connection = yield* openConnection({ host, port: server.port })
      yield* get(connection, answer(yield* server.accept))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython open_unix_connection", () =>
    Effect.gen(function* () {
      const at = yield* socketPath()
      const server = yield* serveRaw({ at })
      const connection = yield* openUnixConnection(at)
      yield* get(connection, answer(yield* server.accept))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython open_connection_no_loop_ssl", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair()
      const answering = Effect.gen(function* () {
        yield* peer.reader.readUntil("\r\n\r\n")
        yield* peer.writer.write(`${status}Test message`)
        yield* peer.writer.writeEof
      })
      yield* get(client, Effect.orDie(answering))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython open_unix_connection_no_loop_ssl", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startServer({ path, tls: { identity: certificates.server.identity } }, ({ reader, writer }) =>
        Effect.andThen(reader.readUntil("\r\n\r\n"), writer.write(`${status}Test message`))
      )
      const client = yield* openConnection({ path, tls: { ca: authority.cert, serverName: "localhost" } })
      yield* get(client, Effect.void)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  const loss = (at?: At) =>
    Effect.gen(function* () {
      const server = yield* serveRaw(at === undefined ? {} : { at })
      const { reader, writer } = yield* at === undefined
        ? openConnection({ host, port: server.port })
        : openUnixConnection(at as string)
      const peer = yield* server.accept
      return { reader, writer, peer }
    })

  it.live("CPython open_connection_error: the connection is lost, and the read says so", () =>
    Effect.gen(function* () {
      const { peer, reader } = yield* loss()
      yield* peer.reset
      const error = yield* within("the read", Effect.flip(reader.read(100)))
      assert.deepInclude(error, { _tag: "ConnectionLost", kind: "Reset" })
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython open_unix_connection_error: the connection is lost, and whoever writes learns of it", () =>
    Effect.gen(function* () {
      const { peer, writer } = yield* loss(yield* socketPath())
      // a Unix socket knows no reset: the peer is gone
      yield* peer.reset
      const writing = Effect.forever(Effect.andThen(writer.write("x"), writer.flush))
      assert.strictEqual((yield* within("the writes", Effect.flip(writing)))._tag, "ConnectionLost")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("serving", () => {
  const echoLine = ({ reader, writer }: Connection.Connection) =>
    Effect.flatMap(reader.readLine, (line) => writer.write(line))

  it.live("CPython start_server: a line is answered, and the end follows the handler's", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, echoLine)
      const { reader, writer } = yield* openConnection({ host, port: server.port })
      yield* writer.write("hello world!\n")
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "hello world!\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython start_unix_server: the same over a Unix socket", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, echoLine)
      const { reader, writer } = yield* openUnixConnection(path)
      yield* writer.write("hello world!\n")
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "hello world!\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  const told = () => {
    const failures: Array<Server.HandlerFailure> = []
    return {
      failures,
      onHandlerError: (failure: Server.HandlerFailure) => Effect.sync(() => void failures.push(failure))
    }
  }

  it.live(
    "CPython unhandled_exceptions, unhandled_exception: the handler's failure is told, and the connection closed",
    () =>
      Effect.gen(function* () {
        const { failures, onHandlerError } = told()
        const server = yield* startServer({ host, port: 0, onHandlerError }, () => Effect.die(new Error("test")))
        const client = yield* connectRaw(server.port)
        yield* client.awaitClosed
        yield* eventually("the failure is told", () => failures.length > 0)
        assert.deepStrictEqual(
          failures.map(({ cause }) => (Cause.squash(cause) as Error).message),
          ["test"]
        )
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "CPython unhandled_cancel: a handler that is interrupted is nobody's failure, and its connection is closed",
    () =>
      Effect.gen(function* () {
        const { failures, onHandlerError } = told()
        const server = yield* startServer({ host, port: 0, onHandlerError }, () => Effect.interrupt)
        const client = yield* connectRaw(server.port)
        yield* client.awaitClosed
        yield* eventuallyEffect(
          "nobody is served",
          Effect.map(server.connections, (count) => count === 0)
        )
        assert.lengthOf(failures, 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("start_tls", () => {
  const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost" }
  const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity }

  const upgrade = (
    client: Connection.Connection,
    peer: Connection.Connection,
    options?: Partial<Tls.StartTlsOptions>
  ) =>
    within(
      "the upgrade",
      Effect.all(
        [client.startTls(asClient), peer.startTls({ ...asServer, ...options } as Tls.StartTlsOptions)] as const,
        { concurrency: 2 }
      )
    )

  it.live("CPython start_tls: a line in plain text, and one in TLS", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair()
      yield* client.writer.write("hello world 1!\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "hello world 1!\n")
      assert.isUndefined(client.info.tls)
      const [secureClient, securePeer] = yield* upgrade(client, peer)
      assert.isDefined(secureClient.info.tls)
      yield* secureClient.writer.write("hello world 2!\n")
      assert.strictEqual(text(yield* securePeer.reader.readLine), "hello world 2!\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython start_tls_buffered_data: the beginning of TLS, which was read ahead, goes to the handshake", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair()
      const line = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
      yield* client.writer.write(line)
      const upgrading = yield* Effect.forkChild(client.startTls(asClient))
      // the client's hello, or a part of it, is there as well
      yield* within("the hello", peer.reader.peek(line.length + 5))
      assert.strictEqual(text(yield* peer.reader.readLine), line)
      const secure = yield* within("the upgrade", peer.startTls({ ...asServer, leftover: "feedTls" }))
      const secureClient = yield* within("the client's upgrade", Fiber.join(upgrading))
      yield* secureClient.writer.write("hello\n")
      assert.strictEqual(text(yield* secure.reader.readLine), "hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("CPython streamwriter_start_tls_updates_reader_transport: flow control is that of the new transport", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair({ limit: 1000 })
      const [secureClient, securePeer] = yield* upgrade(client, peer)
      const sent = pattern(2_000_000)
      const writing = yield* Effect.forkChild(
        Effect.andThen(secureClient.writer.write(sent), secureClient.writer.flush)
      )
      // held back while nobody reads, let go again by every read
      yield* within("something arrives", securePeer.reader.peek(1))
      assert.isBelow(yield* securePeer.reader.buffered, 500_000)
      const pieces: Array<Uint8Array> = []
      for (let size = 0; size < sent.length; size += pieces.at(-1)!.length) {
        pieces.push(yield* within("the next piece", securePeer.reader.read(10_000)))
      }
      assertBytes(Buffer.concat(pieces), sent)
      yield* within("the write", Fiber.join(writing))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
