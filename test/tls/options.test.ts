/**
 * What both sides can say about TLS when a connection opens, and what `info.tls` then has of it: server names,
 * authorities, versions, ALPN, resumption. Client certificates are in clientCertificates.test.ts, what a server says it
 * is in identity.test.ts.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect } from "effect"
import { Connection, NodeNetwork, openConnection, type StreamError, type Tls } from "effect-byte-streams"
import { authority, certificates, stranger } from "../support/certificates.ts"
import { backTo, held } from "../support/descriptors.ts"
import { text } from "../support/bytes.ts"
import { logged } from "../support/logged.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { connectTlsPeer } from "../support/tlsPeer.ts"
import { connectTls, host, serveTls, tlsPair } from "../support/tlsPair.ts"
import { tlsWays } from "../support/tlsWays.ts"
import { eventually, turns, within } from "../support/wait.ts"

/** What becomes of a client that meets a server with this certificate. */
const meeting = (identity: Tls.Identity, options?: Tls.ClientOptions) =>
  Effect.gen(function* () {
    const server = yield* serveTls({ identity })
    return yield* Effect.flip(connectTls(server.port, options))
  })

const certificateFailure = (error: StreamError.ConnectFailed | StreamError.TlsFailed, code: string): void => {
  assert.strictEqual(error._tag, "TlsFailed")
  assert(error._tag === "TlsFailed")
  assert.strictEqual(error.kind, "Certificate")
  assert.strictEqual(error.code, code)
}

describe("types", () => {
  it("only a connection with tls can fail with TlsFailed", () => {
    expectTypeOf(openConnection({ port: 1 })).branded.toEqualTypeOf<
      Effect.Effect<
        Connection.Connection,
        StreamError.ConnectFailed,
        Effect.Services<ReturnType<typeof openConnection>>
      >
    >()
    expectTypeOf(openConnection({ port: 1, tls: true })).branded.toEqualTypeOf<
      Effect.Effect<
        Connection.Connection,
        StreamError.ConnectFailed | StreamError.TlsFailed,
        Effect.Services<ReturnType<typeof openConnection>>
      >
    >()
  })
})

describe("the server's name", () => {
  it.live("is the host by default: verified, and sent", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const client = yield* connectTls(server.port, {}, { host: "localhost" })
      const peer = yield* server.accept
      assert.strictEqual(client.info.tls?.serverName, "localhost")
      assert.strictEqual(client.info.tls?.authorized, true)
      assert.strictEqual(peer.info.tls?.serverName, "localhost")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("if it is an address, is verified but not sent", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair()
      assert.strictEqual(client.info.tls?.authorized, true)
      assert.strictEqual(peer.info.tls?.serverName, undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("can be another than the host: verified, and sent", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({
        server: { identity: certificates.alpha.identity },
        client: { serverName: "alpha.test" }
      })
      assert.strictEqual(client.info.tls?.serverName, "alpha.test")
      assert.strictEqual(client.info.tls?.peerCertificate?.subject, "CN=alpha.test")
      assert.strictEqual(peer.info.tls?.serverName, "alpha.test")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("can be an address other than the host: verified, and not sent", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const client = yield* connectTls(server.port, { serverName: "127.0.0.1" }, { host: "localhost" })
      assert.strictEqual(client.info.tls?.authorized, true)
      assert.strictEqual((yield* server.accept).info.tls?.serverName, undefined)
      const error = yield* Effect.flip(connectTls(server.port, { serverName: "127.0.0.2" }, { host: "localhost" }))
      certificateFailure(error, "ERR_TLS_CERT_ALTNAME_INVALID")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("must be one that the certificate is for", () =>
    Effect.gen(function* () {
      certificateFailure(yield* meeting(certificates.wrongName.identity), "ERR_TLS_CERT_ALTNAME_INVALID")
      certificateFailure(
        yield* meeting(certificates.alpha.identity, { serverName: "beta.test" }),
        "ERR_TLS_CERT_ALTNAME_INVALID"
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is needed over a Unix socket, where there is no host", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const server = yield* serveTls({}, { path, port: undefined, host: undefined })
      const client = yield* within(
        "the TLS connection opens",
        openConnection({ path, tls: { ca: authority.cert, serverName: "localhost" } })
      )
      const peer = yield* server.accept
      yield* client.writer.write("over a path\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "over a path\n")
      assert.strictEqual(peer.info.tls?.serverName, "localhost")
      const error = yield* Effect.flip(openConnection({ path, tls: { ca: authority.cert, serverName: "alpha.test" } }))
      certificateFailure(error, "ERR_TLS_CERT_ALTNAME_INVALID")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("verification", () => {
  const bad = [
    ["a certificate for another name", "wrongName", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["an expired one", "expired", "CERT_HAS_EXPIRED"],
    ["one that is not valid yet", "notYetValid", "CERT_NOT_YET_VALID"],
    ["one that vouches for itself", "selfSigned", "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["one of an unknown authority", "unknown", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"]
  ] as const

  it.live.each(bad)("is on by default, and refuses %s", ([, name, code]) =>
    Effect.gen(function* () {
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serveTls({ identity: certificates[name].identity })
          const error = yield* Effect.flip(connectTls(server.port))
          certificateFailure(error, code)
          assert.include(error.message, code)
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("fails in a way that can be turned into JSON, as a logger does", () =>
    Effect.gen(function* () {
      for (const [, name, code] of bad) {
        const error = yield* meeting(certificates[name].identity)
        assert.include(JSON.stringify(error), code)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(bad)("is turned off by dangerouslyAcceptAnyCertificate alone, which accepts %s", ([, name, code]) =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({
        server: { identity: certificates[name].identity },
        client: { dangerouslyAcceptAnyCertificate: true }
      })
      yield* client.writer.write("anyone\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "anyone\n")
      const { tls } = client.info
      assert(tls !== undefined)
      assert.strictEqual(tls.authorized, false)
      assert.strictEqual(tls.authorizationError, code)
      assert(tls.peerCertificate !== undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("stays on where dangerouslyAcceptAnyCertificate is false", () =>
    Effect.gen(function* () {
      certificateFailure(
        yield* meeting(certificates.selfSigned.identity, { dangerouslyAcceptAnyCertificate: false }),
        "DEPTH_ZERO_SELF_SIGNED_CERT"
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("goes by Node's authorities where no ca is given", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const byDefault = yield* Effect.flip(openConnection({ host, port: server.port, tls: true }))
      certificateFailure(byDefault, "SELF_SIGNED_CERT_IN_CHAIN")
      const withOptions = yield* Effect.flip(openConnection({ host, port: server.port, tls: {} }))
      certificateFailure(withOptions, "SELF_SIGNED_CERT_IN_CHAIN")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("takes ca as text, as bytes, and as a list of both", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const asBytes = new TextEncoder().encode(authority.cert)
      for (const ca of [authority.cert, asBytes, [stranger.cert, authority.cert], [asBytes, stranger.cert]]) {
        const client = yield* connectTls(server.port, { ca })
        assert.strictEqual(client.info.tls?.authorized, true)
      }
      certificateFailure(
        yield* Effect.flip(connectTls(server.port, { ca: [stranger.cert] })),
        "SELF_SIGNED_CERT_IN_CHAIN"
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("trusts a certificate that vouches for itself if ca names it", () =>
    Effect.gen(function* () {
      const { client } = yield* tlsPair({
        server: { identity: certificates.selfSigned.identity },
        client: { ca: certificates.selfSigned.cert }
      })
      assert.strictEqual(client.info.tls?.authorized, true)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("ALPN", () => {
  it.live("agrees on one that both speak", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({
        server: { alpnProtocols: ["smtp", "http/1.1"] },
        client: { alpnProtocols: ["h2", "http/1.1"] }
      })
      assert.strictEqual(client.info.tls?.alpn, "http/1.1")
      assert.strictEqual(peer.info.tls?.alpn, "http/1.1")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("of several takes the server's preferred one", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({
        server: { alpnProtocols: ["b", "a"] },
        client: { alpnProtocols: ["a", "b"] }
      })
      assert.strictEqual(client.info.tls?.alpn, "b")
      assert.strictEqual(peer.info.tls?.alpn, "b")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("agrees on nothing where only one side speaks of it", () =>
    Effect.gen(function* () {
      for (const options of [{ client: { alpnProtocols: ["h2"] } }, { server: { alpnProtocols: ["h2"] } }, {}]) {
        const { client, peer } = yield* tlsPair(options)
        assert.strictEqual(client.info.tls?.alpn, undefined)
        assert.strictEqual(peer.info.tls?.alpn, undefined)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("fails the handshake, on both sides, where they have none in common", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ alpnProtocols: ["h2"] })
      const error = yield* Effect.flip(connectTls(server.port, { alpnProtocols: ["smtp"] }))
      assert(error._tag === "TlsFailed")
      assert.strictEqual(error.kind, "Handshake")
      assert.strictEqual(error.code, "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL")
      assert.strictEqual((yield* server.failure).kind, "Handshake")
      assert.strictEqual(server.connections.length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("versions", () => {
  it.live("speaks TLS 1.3 unless told otherwise", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair()
      assert.strictEqual(client.info.tls?.protocol, "TLSv1.3")
      assert.strictEqual(peer.info.tls?.protocol, "TLSv1.3")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("maxVersion, of either side, holds it down", () =>
    Effect.gen(function* () {
      for (const options of [{ client: { maxVersion: "TLSv1.2" } }, { server: { maxVersion: "TLSv1.2" } }] as const) {
        const { client, peer } = yield* tlsPair(options)
        assert.strictEqual(client.info.tls?.protocol, "TLSv1.2")
        assert.strictEqual(peer.info.tls?.protocol, "TLSv1.2")
        assert.match(client.info.tls!.cipher, /ECDHE/)
        assert.strictEqual(client.info.tls?.cipher, peer.info.tls?.cipher)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("minVersion, of either side, is not gone below: the handshake fails on both sides", () =>
    Effect.gen(function* () {
      const cases = [
        [{ minVersion: "TLSv1.3" }, { maxVersion: "TLSv1.2" }],
        [{ maxVersion: "TLSv1.2" }, { minVersion: "TLSv1.3" }]
      ] as const
      for (const [ours, theirs] of cases) {
        const server = yield* serveTls(ours)
        const error = yield* Effect.flip(connectTls(server.port, theirs))
        assert(error._tag === "TlsFailed")
        assert.strictEqual(error.kind, "Handshake")
        assert.match(error.code!, /PROTOCOL/)
        const failure = yield* server.failure
        assert.strictEqual(failure.kind, "Handshake")
        assert.strictEqual(server.connections.length, 0)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a failed handshake tells the server why, in the engine's words", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ minVersion: "TLSv1.3" })
      yield* Effect.flip(connectTls(server.port, { maxVersion: "TLSv1.2" }))
      assert.strictEqual((yield* server.failure).code, "ERR_SSL_UNSUPPORTED_PROTOCOL")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is TLS 1.2 at least by default: a client of 1.1 is refused", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      // the cipher list lets this client offer what is too weak for 1.2 by now
      const old = yield* connectTlsPeer(server.port, {
        minVersion: "TLSv1",
        maxVersion: "TLSv1.1",
        ciphers: "DEFAULT@SECLEVEL=0"
      })
      assert.strictEqual((yield* server.failure).kind, "Handshake")
      yield* old.wire.awaitClosed
      assert.strictEqual(server.connections.length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("resumption", () => {
  const resumption = (maxVersion: Tls.Version, identity?: Tls.Identity) =>
    Effect.gen(function* () {
      const server = yield* serveTls(identity === undefined ? {} : { clientCertificate: "require" })
      const sessions: Array<Uint8Array> = []
      const options: Tls.ClientOptions = { maxVersion, identity, onSession: (session) => sessions.push(session) }
      const first = yield* connectTls(server.port, options)
      const firstPeer = yield* server.accept
      yield* firstPeer.writer.write("first\n")
      yield* first.reader.readLine
      assert.strictEqual(first.info.tls?.resumed, false)
      assert.strictEqual(firstPeer.info.tls?.resumed, false)
      const session = yield* eventually("the server allows the session to be resumed", () => sessions[0])
      yield* first.writer.close

      const second = yield* connectTls(server.port, { ...options, session })
      const secondPeer = yield* server.accept
      assert.strictEqual(second.info.tls?.resumed, true)
      assert.strictEqual(secondPeer.info.tls?.resumed, true)
      assert.strictEqual(second.info.tls?.protocol, maxVersion)
      assert.strictEqual(second.info.tls?.authorized, true)
      yield* second.writer.write("second\n")
      assert.strictEqual(text(yield* secondPeer.reader.readLine), "second\n")
      return secondPeer.info.tls
    })

  it.live.each(["TLSv1.2", "TLSv1.3"] as const)("resumes a session over %s", (version) =>
    Effect.asVoid(resumption(version)).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(["TLSv1.2", "TLSv1.3"] as const)("over %s a resumed session still knows the client", (version) =>
    Effect.gen(function* () {
      const tls = yield* resumption(version, certificates.client.identity)
      assert.strictEqual(tls?.authorized, true)
      assert.strictEqual(tls?.peerCertificate?.subject, "CN=client")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const { way, tlsPair } of tlsWays) {
    it.live.each(["TLSv1.2", "TLSv1.3"] as const)(
      `over %s, ${way}, an onSession that throws, at once or later, is logged, and costs the connection nothing`,
      (maxVersion) => {
        const { layer, lines } = logged()
        return Effect.gen(function* () {
          let calls = 0
          const fails = () => {
            calls++
            throw new Error("no room for a session")
          }
          for (const onSession of [fails, async () => fails()]) {
            const before = calls
            const { client, peer } = yield* tlsPair({ client: { maxVersion, onSession } })
            yield* peer.writer.write("first\n")
            assert.strictEqual(text(yield* within("what comes with it", client.reader.readLine)), "first\n")
            yield* client.writer.write("second\n")
            assert.strictEqual(text(yield* within("what is sent behind it", peer.reader.readLine)), "second\n")
            assert.isAbove(calls, before)
          }
          yield* eventually("the log says so", () => lines.length >= calls)
          for (const line of lines) {
            assert.isTrue(line.startsWith("Error onSession has failed"), line)
            assert.include(line, "no room for a session")
          }
        }).pipe(Effect.provide([NodeNetwork.layer, layer]))
      }
    )
  }

  it.live("one made without verification does not get around it later", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity: certificates.wrongName.identity })
      const sessions: Array<Uint8Array> = []
      const client = yield* connectTls(server.port, {
        dangerouslyAcceptAnyCertificate: true,
        onSession: (session) => sessions.push(session)
      })
      yield* (yield* server.accept).writer.write("first\n")
      yield* client.reader.readLine
      yield* turns()
      const error = yield* Effect.flip(connectTls(server.port, { session: sessions[0] }))
      certificateFailure(error, "ERR_TLS_CERT_ALTNAME_INVALID")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(["TLSv1.2", "TLSv1.3"] as const)(
    "over %s one made with a server of one name is not good for another",
    (maxVersion) =>
      Effect.gen(function* () {
        const server = yield* serveTls({ identity: certificates.alpha.identity })
        const sessions: Array<Uint8Array> = []
        const first = yield* connectTls(server.port, {
          maxVersion,
          serverName: "alpha.test",
          onSession: (session) => sessions.push(session)
        })
        yield* (yield* server.accept).writer.write("first\n")
        yield* first.reader.readLine
        const session = yield* eventually("the server allows the session to be resumed", () => sessions[0])
        const error = yield* Effect.flip(connectTls(server.port, { maxVersion, serverName: "beta.test", session }))
        certificateFailure(error, "ERR_TLS_CERT_ALTNAME_INVALID")
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  /** Whether a session made with one server is resumed with another. */
  const between = (one: Partial<Tls.ServerOptions>, other: Partial<Tls.ServerOptions>, client?: Tls.ClientOptions) =>
    Effect.gen(function* () {
      const first = yield* serveTls(one)
      const second = yield* serveTls(other)
      const sessions: Array<Uint8Array> = []
      const connection = yield* connectTls(first.port, {
        ...client,
        onSession: (session) => sessions.push(session)
      })
      yield* (yield* first.accept).writer.write("first\n")
      yield* connection.reader.readLine
      const session = yield* eventually("the server allows the session to be resumed", () => sessions[0])
      const again = yield* connectTls(second.port, { ...client, session })
      assert.strictEqual(again.info.tls?.authorized, true)
      yield* second.accept
      return again.info.tls?.resumed
    })
  const versions = ["TLSv1.2", "TLSv1.3"] as const

  it.live.each(versions)("over %s another identity does not know the session: a whole handshake follows", (version) =>
    Effect.gen(function* () {
      const identity = { ...certificates.server.identity }
      assert.strictEqual(yield* between({}, { identity }, { maxVersion: version }), false)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)("over %s an identity is prepared once for all that ask the same of clients", (maxVersion) =>
    Effect.gen(function* () {
      const same: ReadonlyArray<readonly [Partial<Tls.ServerOptions>, Partial<Tls.ServerOptions>]> = [
        [{}, {}],
        // what is equal, said in another way
        [{ ca: authority.cert }, { ca: [new TextEncoder().encode(authority.cert)] }],
        [{ clientCertificate: "none" }, { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" }],
        // what has nothing to do with it
        [
          { handshakeTimeout: "5 seconds", alpnProtocols: ["a"] },
          { allowTruncation: true, stoppable: true }
        ]
      ]
      for (const [one, other] of same) assert.strictEqual(yield* between(one, other, { maxVersion }), true)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(versions)(
    "over %s what a client has shown to one server is not taken for more by another",
    (maxVersion) =>
      Effect.gen(function* () {
        const client = { maxVersion, identity: certificates.client.identity }
        const different: ReadonlyArray<readonly [Partial<Tls.ServerOptions>, Partial<Tls.ServerOptions>]> = [
          [{ clientCertificate: "none" }, { clientCertificate: "require" }],
          [{ clientCertificate: "request" }, { clientCertificate: "require" }],
          [
            { clientCertificate: "request", ca: stranger.cert },
            { clientCertificate: "require", ca: authority.cert }
          ],
          [{ ca: authority.cert }, { ca: [authority.cert, stranger.cert] }],
          [{}, { minVersion: maxVersion, maxVersion }]
        ]
        for (const [one, other] of different) assert.strictEqual(yield* between(one, other, client), false)
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an identity is prepared for a few kinds of options at a time, and those used last are kept", () =>
    Effect.gen(function* () {
      const { identity } = certificates.beta
      const sessions: Array<Uint8Array> = []
      const served = (names: number, client?: Tls.ClientOptions) =>
        Effect.scoped(
          Effect.gen(function* () {
            const server = yield* serveTls({ identity, ca: Array.from({ length: names }, () => authority.cert) })
            if (client === undefined) return undefined
            const connection = yield* connectTls(server.port, { serverName: "beta.test", ...client })
            yield* (yield* server.accept).writer.write("first\n")
            yield* connection.reader.readLine
            return connection.info.tls?.resumed
          })
        )
      yield* served(1, { onSession: (session) => sessions.push(session) })
      const session = yield* eventually("the server allows the session to be resumed", () => sessions[0])
      for (let others = 2; others <= 40; others++) {
        yield* served(others)
        yield* served(1)
      }
      assert.strictEqual(yield* served(1, { session }), true)
      for (let others = 2; others <= 40; others++) yield* served(others)
      assert.strictEqual(yield* served(1, { session: sessions.at(-1)! }), false)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("info.tls", () => {
  it.live("is there on both sides, plain data, and outlives the connection", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({
        server: { clientCertificate: "require", alpnProtocols: ["a"] },
        client: { identity: certificates.client.identity, serverName: "localhost", alpnProtocols: ["a"] }
      })
      yield* client.writer.close
      yield* peer.abort
      const common = { protocol: "TLSv1.3", alpn: "a", serverName: "localhost", authorized: true, resumed: false }
      const { cipher, peerCertificate: server, ...mine } = client.info.tls!
      const { cipher: sameCipher, peerCertificate: shown, ...theirs } = peer.info.tls!
      assert.deepStrictEqual(mine, { ...common, authorizationError: undefined })
      assert.deepStrictEqual(theirs, { ...common, authorizationError: undefined })
      assert.match(cipher, /^TLS_AES/)
      assert.strictEqual(sameCipher, cipher)

      assert(server !== undefined)
      assert.strictEqual(server.subject, "CN=localhost")
      assert.strictEqual(server.issuer, "CN=Test Authority")
      assert.strictEqual(server.subjectAltName, "DNS:localhost, IP Address:127.0.0.1")
      assert.isBelow(Date.parse(server.validFrom), Date.now())
      assert.isAbove(Date.parse(server.validTo), Date.now())
      assert.match(server.fingerprint256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
      const pem = Buffer.from(server.raw).toString("base64")
      assert.strictEqual(pem, certificates.server.cert.replace(/-----.*-----|\s/g, ""))
      assert(shown !== undefined)
      assert.strictEqual(shown.subject, "CN=client")
      assert.strictEqual(shown.subjectAltName, undefined)

      const printed = JSON.parse(JSON.stringify(client.info))
      assert.strictEqual(printed.tls.peerCertificate.subject, "CN=localhost")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is absent without TLS", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const plain = yield* openConnection({ host, port: server.port })
      assert.strictEqual(plain.info.tls, undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a peer that speaks no TLS", () => {
  it.live("fails the client's handshake, and its socket is gone", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({}, (peer) => peer.socket.write("220 plain text here\r\n"))
      const error = yield* Effect.flip(connectTls(server.port))
      assert(error._tag === "TlsFailed")
      assert.strictEqual(error.kind, "Handshake")
      assert.strictEqual(error.code, "ERR_SSL_WRONG_VERSION_NUMBER")
      assert.strictEqual(
        error.message,
        `openConnection: TLS with ${host}:${server.port} failed (ERR_SSL_WRONG_VERSION_NUMBER): wrong version number`
      )
      yield* (yield* server.accept).awaitClosed
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("fails the client's handshake by leaving, in good order or by a reset", () =>
    Effect.gen(function* () {
      const leaves = yield* serveRaw({}, (peer) => peer.socket.end())
      const first = yield* Effect.flip(connectTls(leaves.port))
      assert(first._tag === "TlsFailed")
      assert.strictEqual(first.kind, "Handshake")
      assert.strictEqual(first.code, undefined)
      assert.strictEqual(
        first.message,
        `openConnection: TLS with ${host}:${leaves.port} failed: the peer left during the handshake`
      )
      const resets = yield* serveRaw({}, (peer) => peer.socket.once("data", () => peer.socket.resetAndDestroy()))
      const second = yield* Effect.flip(connectTls(resets.port))
      assert(second._tag === "TlsFailed")
      assert.strictEqual(second.kind, "Handshake")
      assert.strictEqual(second.code, "ECONNRESET")
      assert.strictEqual(
        second.message,
        `openConnection: TLS with ${host}:${resets.port} failed (ECONNRESET): the peer left during the handshake`
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that nobody listens at is ConnectFailed, as without TLS", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(Effect.map(serveRaw(), (server) => server.port))
      const error = yield* Effect.flip(connectTls(port))
      assert(error._tag === "ConnectFailed")
      assert.strictEqual(error.kind, "Refused")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("layers", () => {
  it.live("layerConnection speaks TLS", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const greet = Effect.gen(function* () {
        const connection = yield* Connection.Connection
        yield* connection.writer.write("hello\n")
        return connection.info.tls?.authorized
      })
      const layer = Connection.layerConnection({ host, port: server.port, tls: { ca: authority.cert } })
      assert.strictEqual(yield* Effect.provide(greet, layer), true)
      assert.strictEqual(text(yield* (yield* server.accept).reader.readLine), "hello\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
