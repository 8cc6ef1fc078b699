/**
 * TLS where engines are not made as those of Node are, as on Deno and Bun: nothing that is needed of them may be taken
 * for granted. Here it is taken away from Node's.
 */
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { NodeNetwork, type Tls } from "effect-byte-streams"
import { TLSSocket } from "node:tls"
import { CiphertextStream } from "../../src/internal/node/tls/ciphertext.ts"
import { hasNow } from "../../src/internal/node/nodeInternals.ts"
import { startTls } from "../../src/internal/node/tls/handshake.ts"
import { authority, certificates } from "../support/certificates.ts"
import { pattern, text } from "../support/bytes.ts"
import { onPartOfNode } from "../support/nodeParts.ts"
import { assertBytes } from "../support/assertBytes.ts"
import { FakeTransport } from "../support/fakeTransport.ts"
import { endsBehindFaults, refusesClients, startsLate, streamsBelow } from "../support/otherEngines.ts"
import { turns, within } from "../support/wait.ts"
import { connectTls, serveTls, tlsPair } from "../support/tlsPair.ts"
import { connectTlsPeer, facing } from "../support/tlsPeer.ts"

interface Engines {
  _wrapHandle(...args: ReadonlyArray<unknown>): { readonly _parent: object }
}

/** Until the end of the test the handles of engines, or of the sockets below, lack a member. */
const takeAway = (of: "engine" | "socket", member: string) => {
  const engines = TLSSocket.prototype as unknown as Engines
  const { _wrapHandle } = engines
  // where engines have no such handles nothing has to be taken away
  if (typeof _wrapHandle !== "function") return
  vi.spyOn(engines, "_wrapHandle").mockImplementation(function (this: Engines, ...args) {
    const handle = _wrapHandle.apply(this, args)
    Object.defineProperty(of === "engine" ? handle : handle._parent, member, { value: undefined })
    return handle
  })
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe("what direct TLS needs of Node", onPartOfNode("directTls", "it is not looked for"), () => {
  it("is there", () => {
    assert.isTrue(hasNow("directTls"))
  })

  it.each([
    ["engine", "receive"],
    ["engine", "readStart"],
    ["engine", "readStop"],
    ["engine", "writeQueueSize"],
    ["socket", "readStart"],
    ["socket", "readStop"],
    ["socket", "writeQueueSize"]
  ] as const)("is missed: the %s's %s", (of, member) => {
    takeAway(of, member)
    assert.isFalse(hasNow("directTls"))
  })
})

// it is looked for once, and so by these
describe("without it TLS is as good", () => {
  /** What goes past the engines' sockets. */
  const detours = () => vi.spyOn(CiphertextStream.prototype, "_write")

  it.live("both ways, and ends in good order", () =>
    Effect.gen(function* () {
      takeAway("engine", "writeQueueSize")
      const written = detours()
      const { client, peer } = yield* tlsPair()
      yield* client.writer.write("question\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "question\n")
      yield* peer.writer.write("answer\n")
      yield* peer.writer.writeEof
      assert.strictEqual(text(yield* client.reader.readLine), "answer\n")
      assert.strictEqual((yield* client.reader.read(1)).length, 0)
      assert.strictEqual((yield* client.writer.close)._tag, "Graceful")
      assert.strictEqual((yield* peer.reader.read(1)).length, 0)
      assert.isAbove(written.mock.calls.length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("and an identity is chosen by the name that the client asks for, whoever asks for none", () =>
    Effect.gen(function* () {
      takeAway("engine", "writeQueueSize")
      const alpha = yield* Effect.promise(() =>
        authority.issue({ name: "alpha", names: ["alpha.test"], usage: "server" })
      )
      const asked: Array<string | undefined> = []
      const server = yield* serveTls({
        identity: (name) =>
          Effect.sync(() => {
            asked.push(name)
            return name === "alpha.test" ? alpha.identity : certificates.server.identity
          })
      })
      const subjectFor = (tls: Tls.ClientOptions) =>
        Effect.map(connectTls(server.port, tls), (client) => client.info.tls?.peerCertificate?.subject)
      assert.strictEqual(yield* subjectFor({ serverName: "alpha.test" }), "CN=alpha")
      assert.strictEqual((yield* server.accept).info.tls?.serverName, "alpha.test")
      assert.strictEqual(yield* subjectFor({ serverName: "localhost" }), "CN=localhost")
      assert.strictEqual(yield* subjectFor({}), "CN=localhost")
      assert.deepStrictEqual(asked, [undefined, "alpha.test", undefined, "localhost", undefined])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("and tells of a reset and of a cut", () =>
    Effect.gen(function* () {
      takeAway("engine", "writeQueueSize")
      const server = yield* serveTls()
      const cut = yield* connectTlsPeer(server.port)
      yield* cut.secured
      const ofCut = yield* server.accept
      yield* cut.wire.finish
      const error = yield* Effect.flip(ofCut.reader.read(1))
      assert(error._tag === "TlsFailed" && error.kind === "Truncated", String(error))

      const scope = yield* Scope.make()
      const client = yield* Scope.provide(connectTls(server.port), scope)
      const peer = yield* server.accept
      const reading = yield* Effect.forkChild(Effect.flip(peer.reader.read(1)))
      yield* Scope.close(scope, Exit.fail("it went wrong"))
      assert.strictEqual((yield* Fiber.join(reading))._tag, "ConnectionLost")
      assert.strictEqual((yield* Effect.flip(client.reader.read(1)))._tag, "ClosedStream")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("an engine of another make", () => {
  const stoppable = { server: { stoppable: true }, client: { stoppable: true } }

  it.live.each(["client", "server"] as const)(
    "that ends its input behind a fault has not heard the peer's end, as a %s",
    (side) =>
      Effect.gen(function* () {
        endsBehindFaults()
        const { connection, peer } = yield* facing(side, { tls: { stoppable: true } })
        peer.wire.socket.write("\x17\x03\x03\x00\x20 this is nothing that was encrypted")
        const error = yield* Effect.flip(connection.reader.read(1))
        assert.strictEqual(error._tag, "TlsFailed")
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(["what arrives", "what was read ahead"] as const)(
    "that starts a tick behind the turn in which it is made is given nothing before: %s fails the handshake then",
    (what) =>
      Effect.gen(function* () {
        const early = startsLate()
        const transport = new FakeTransport()
        const garbage = new TextEncoder().encode("MAIL FROM:<mallory@test>\r\n")
        const { flow } = CiphertextStream.prototype
        const flowing = vi.spyOn(CiphertextStream.prototype, "flow").mockImplementation(function (
          this: CiphertextStream
        ) {
          flow.call(this)
          if (what === "what arrives") transport.push(garbage)
        })
        const leftover = what === "what was read ahead" ? [garbage] : []
        const { identity } = certificates.server
        const upgrading = startTls(transport, { side: "server", identity }, undefined, { leftover })
        const error = yield* within("the upgrade fails", Effect.flip(upgrading))
        assert.strictEqual(error.kind, "Handshake")
        assert.isAbove(flowing.mock.calls.length, 0)
        assert.deepStrictEqual(early, [])
      })
  )

  it.live("that refuses a client's certificate by itself fails for the certificate", () =>
    Effect.gen(function* () {
      refusesClients()
      const server = yield* serveTls({ clientCertificate: "require", stoppable: true })
      yield* Effect.exit(connectTls(server.port, { identity: certificates.strangeClient.identity }))
      const error = yield* server.failure
      assert.strictEqual(error.kind, "Certificate")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that ends its output at the peer's end does not end the connection's, and what is written fails", () =>
    Effect.gen(function* () {
      const streams = streamsBelow()
      const { client, peer } = yield* tlsPair(stoppable)
      yield* client.writer.writeEof
      assert.strictEqual((yield* peer.reader.read(1)).length, 0)
      for (const stream of streams) stream.end()
      const error = yield* Effect.flip(Effect.andThen(peer.writer.write("too late"), peer.writer.flush))
      assert(error._tag === "ConnectionLost" && error.kind === "BrokenPipe", String(error))
      const reading = yield* Effect.forkChild(client.reader.read(1), { startImmediately: true })
      yield* turns(20)
      assert.isUndefined(reading.pollUnsafe(), "the output goes on")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that ends its output at the peer's end leaves both sides to close in good order", () =>
    Effect.gen(function* () {
      const streams = streamsBelow()
      const { client, peer } = yield* tlsPair(stoppable)
      yield* client.writer.writeEof
      assert.strictEqual((yield* peer.reader.read(1)).length, 0)
      for (const stream of streams) stream.end()
      assert.strictEqual((yield* peer.writer.close)._tag, "Graceful")
      assert.strictEqual((yield* client.writer.close)._tag, "Graceful")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that lets go of the stream below loses nothing of what waits there", () =>
    Effect.gen(function* () {
      const streams = streamsBelow()
      const { client, peer } = yield* tlsPair(stoppable)
      const sent = pattern(1_000_000)
      const writing = yield* Effect.forkChild(
        Effect.gen(function* () {
          yield* client.writer.write(sent)
          yield* client.writer.writeEof
          return yield* client.writer.close
        }),
        { startImmediately: true }
      )
      yield* turns(5)
      for (const stream of streams) stream.destroy()
      assertBytes(yield* peer.reader.readAll({ maxBytes: "unbounded" }), sent)
      assert.strictEqual((yield* Fiber.join(writing))._tag, "Graceful")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
