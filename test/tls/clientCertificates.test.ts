/** Mutual TLS: what a server asks of its clients, and what becomes of those that cannot show it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { NodeNetwork, type Tls } from "effect-byte-streams"
import { authority, certificates, selfSigned } from "../support/certificates.ts"
import { text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { connectTls, serveTls, tlsPair, type TlsServer } from "../support/tlsPair.ts"
import { eventually, within } from "../support/wait.ts"

const versions = ["TLSv1.2", "TLSv1.3"] as const

/**
 * A refused client learns of it when it connects, or, over TLS 1.3, where its own handshake is over by then, when it
 * reads. Either way it fails, and never sees a clean end.
 */
const refused = (server: TlsServer, options: Tls.ClientOptions) =>
  Effect.scoped(
    Effect.flatMap(connectTls(server.port, options), ({ reader }) =>
      within("the refused client learns of it", reader.read(1))
    )
  ).pipe(Effect.flip)

describe("clientCertificate: require", () => {
  it.live.each(versions)("serves a client that the authority vouches for, over %s", (maxVersion) =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({
        server: { clientCertificate: "require" },
        client: { identity: certificates.client.identity, maxVersion }
      })
      yield* client.writer.write("it is me\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "it is me\n")
      assert.strictEqual(peer.info.tls?.protocol, maxVersion)
      assert.strictEqual(peer.info.tls?.authorized, true)
      assert.strictEqual(peer.info.tls?.authorizationError, undefined)
      assert.strictEqual(peer.info.tls?.peerCertificate?.subject, "CN=client")
      assert.strictEqual(peer.info.tls?.peerCertificate?.issuer, "CN=Test Authority")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("refuses a client without one, over %s", (maxVersion) =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveTls({ clientCertificate: "require" })
          const error = yield* refused(server, { maxVersion })
          assert(error._tag === "TlsFailed", String(error))
          // the peer says why: handshake_failure over 1.2, certificate_required over 1.3
          assert.strictEqual(error.kind, maxVersion === "TLSv1.3" ? "Certificate" : "Handshake")
          const failure = yield* server.failure
          assert.strictEqual(failure.kind, "Certificate")
          assert.strictEqual(failure.code, "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE")
          assert.strictEqual(server.connections.length, 0)
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("refuses a client of an unknown authority, over %s", (maxVersion) =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveTls({ clientCertificate: "require" })
          const error = yield* refused(server, { maxVersion, identity: certificates.strangeClient.identity })
          assert.include(["TlsFailed", "ConnectionLost"], error._tag)
          const failure = yield* server.failure
          assert.strictEqual(failure.kind, "Certificate")
          assert.strictEqual(failure.code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
          assert.strictEqual(server.connections.length, 0)
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "refuses one that has expired, one that is not valid yet, one for servers, and one that vouches for itself",
    () =>
      Effect.gen(function* () {
        const server = yield* serveTls({ clientCertificate: "require" })
        const day = 86_400_000
        const [expired, early, lonely] = yield* Effect.promise(() =>
          Promise.all([
            authority.issue({
              name: "expired client",
              usage: "client",
              notBefore: new Date(Date.now() - 2 * day),
              notAfter: new Date(Date.now() - day)
            }),
            authority.issue({
              name: "early client",
              usage: "client",
              notBefore: new Date(Date.now() + day),
              notAfter: new Date(Date.now() + 2 * day)
            }),
            selfSigned({ name: "lonely client", usage: "client" })
          ])
        )
        const cases = [
          [expired, "CERT_HAS_EXPIRED"],
          [early, "CERT_NOT_YET_VALID"],
          [certificates.server, "INVALID_PURPOSE"],
          [lonely, "DEPTH_ZERO_SELF_SIGNED_CERT"]
        ] as const
        for (const [certificate, code] of cases) {
          yield* refused(server, { identity: certificate.identity })
          const failure = yield* server.failure
          assert.strictEqual(failure.code, code)
          assert.strictEqual(failure.kind, "Certificate")
        }
        assert.strictEqual(server.connections.length, 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("goes on serving others, and those that come after", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ clientCertificate: "require" })
      const good = { identity: certificates.client.identity }
      const first = yield* connectTls(server.port, good)
      const firstPeer = yield* server.accept
      yield* refused(server, {})
      yield* refused(server, { identity: certificates.strangeClient.identity })
      yield* server.failure
      yield* server.failure
      yield* first.writer.write("still here\n")
      assert.strictEqual(text(yield* firstPeer.reader.readLine), "still here\n")
      yield* connectTls(server.port, { identity: certificates.otherClient.identity })
      assert.strictEqual((yield* server.accept).info.tls?.peerCertificate?.subject, "CN=other client")
      assert.strictEqual(yield* server.server.connections, 2)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("clientCertificate: request", () => {
  it.live.each(versions)("serves everybody, and says who they are, over %s", (maxVersion) =>
    Effect.gen(function* () {
      const server = yield* serveTls({ clientCertificate: "request" })
      const meet = (options: Tls.ClientOptions) =>
        Effect.gen(function* () {
          const client = yield* connectTls(server.port, { ...options, maxVersion })
          const peer = yield* server.accept
          yield* client.writer.write("hello\n")
          assert.strictEqual(text(yield* peer.reader.readLine), "hello\n")
          return peer.info.tls!
        })

      const known = yield* meet({ identity: certificates.client.identity })
      assert.strictEqual(known.authorized, true)
      assert.strictEqual(known.authorizationError, undefined)
      assert.strictEqual(known.peerCertificate?.subject, "CN=client")

      const strange = yield* meet({ identity: certificates.strangeClient.identity })
      assert.strictEqual(strange.authorized, false)
      assert.strictEqual(strange.authorizationError, "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
      assert.strictEqual(strange.peerCertificate?.subject, "CN=strange client")

      const nobody = yield* meet({})
      assert.strictEqual(nobody.authorized, false)
      assert(nobody.authorizationError !== undefined)
      assert.strictEqual(nobody.peerCertificate, undefined)
      assert.strictEqual(server.failures.length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a resumed session", () => {
  const sessionOf = (server: TlsServer, options: Tls.ClientOptions) =>
    Effect.gen(function* () {
      const sessions: Array<Uint8Array> = []
      const client = yield* connectTls(server.port, { ...options, onSession: (session) => sessions.push(session) })
      // what the server sends brings the session along
      yield* within("the client hears of the server", client.reader.readLine)
      return yield* eventually("the server allows the session to be resumed", () => sessions[0])
    })

  it.live.each(versions)("of a client without a certificate is not authorized, over %s", (maxVersion) =>
    Effect.gen(function* () {
      const server = yield* serveTls({ clientCertificate: "request" })
      const greeting = yield* Effect.forkChild(Effect.flatMap(server.accept, ({ writer }) => writer.write("hello\n")))
      const session = yield* sessionOf(server, { maxVersion })
      yield* Fiber.join(greeting)
      yield* connectTls(server.port, { maxVersion, session })
      const { tls } = (yield* server.accept).info
      assert.strictEqual(tls?.resumed, true)
      assert.strictEqual(tls?.authorized, false)
      assert(tls?.authorizationError !== undefined)
      assert.strictEqual(tls?.peerCertificate, undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("clientCertificate: none", () => {
  it.live("is the default: nobody is asked, and nobody is taken for authorized", () =>
    Effect.gen(function* () {
      for (const server of [{}, { clientCertificate: "none" }] as const) {
        const { client, peer } = yield* tlsPair({ server, client: { identity: certificates.client.identity } })
        yield* client.writer.write("hello\n")
        assert.strictEqual(text(yield* peer.reader.readLine), "hello\n")
        assert.strictEqual(peer.info.tls?.authorized, false)
        assert.strictEqual(peer.info.tls?.authorizationError, undefined)
        assert.strictEqual(peer.info.tls?.peerCertificate, undefined)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a client with an identity", () => {
  it.live("still verifies the server", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity: certificates.unknown.identity, clientCertificate: "require" })
      const exit = yield* Effect.exit(connectTls(server.port, { identity: certificates.client.identity }))
      assert(Exit.isFailure(exit))
      assert.include(String(exit.cause), "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
