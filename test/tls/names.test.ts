/**
 * Names: what a client asks for and verifies, however it was written, and what a server is asked for. One spelling of a
 * host, RFC 6066's: A-labels, in lower case, without a dot at the end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { NodeNetwork, openConnection, startServer, type Tls } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { authority, certificates } from "../support/certificates.ts"
import { text } from "../support/bytes.ts"
import { plainPair } from "../support/plainPair.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { connectTlsPeer } from "../support/tlsPeer.ts"
import { connectTls, host, serveTls } from "../support/tlsPair.ts"
import { tlsWays } from "../support/tlsWays.ts"
import { eventually, within } from "../support/wait.ts"

/** Every name is that of this machine. */
const anyName = NodeNetwork.layerWith({ lookup: () => Promise.resolve([{ address: host, family: 4 }]) })

const issue = (...names: ReadonlyArray<string>) =>
  Effect.promise(() => authority.issue({ name: "of many names", names, usage: "server" }))

/** The name that a ClientHello asks for, as bytes; nothing if it asks for none. */
const askedFor = (hello: Buffer): string | undefined => {
  // a record's header, a message's header, a version, and random bytes
  let at = 5 + 4 + 2 + 32
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  const end = at + 2 + hello.readUInt16BE(at)
  at += 2
  while (at < end) {
    const type = hello.readUInt16BE(at)
    const size = hello.readUInt16BE(at + 2)
    // a list of one name, with its type and its length
    if (type === 0) return hello.subarray(at + 4 + 5, at + 4 + size).toString("latin1")
    at += 4 + size
  }
  return undefined
}

const spellings = [
  ["localhost", "localhost"],
  ["LocalHost", "localhost"],
  ["localhost.", "localhost"],
  ["münchen.example", "xn--mnchen-3ya.example"],
  ["MÜNCHEN.Example.", "xn--mnchen-3ya.example"],
  ["xn--mnchen-3ya.example", "xn--mnchen-3ya.example"],
  ["www。example．test", "www.example.test"],
  ["ファイル.example", "xn--bckg9lpd.example"],
  ["faß.example", "xn--fa-hia.example"],
  ["my_service.internal", "my_service.internal"],
  [`${"a".repeat(63)}.test`, `${"a".repeat(63)}.test`]
] as const

const addresses = [
  ["127.0.0.1", "127.0.0.1"],
  ["127.0.0.1.", "127.0.0.1"],
  ["127.1", "127.0.0.1"],
  ["１２７.0.0.1", "127.0.0.1"],
  ["::1", "::1"],
  ["[::1]", "::1"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["fe80::1%eth0", "fe80::1"],
  ["[FE80::1%25eth0]", "fe80::1"]
] as const

const noNames = [
  "",
  " ",
  ".",
  "a b.test",
  "a..test",
  "example.test..",
  "example.test/path",
  "example.test:443",
  "user@example.test",
  "ex%61mple.test",
  "*.example.test",
  "[::1",
  "a\0b.test",
  "a\nb.test",
  "⑴.test",
  "\ud800.test",
  `${"a".repeat(64)}.test`,
  `${`${"a".repeat(49)}.`.repeat(5)}abcd`
]

describe("the name that a client asks for", () => {
  const helloOf = (options: { readonly host?: string; readonly tls: true | Tls.ClientOptions }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* serveRaw()
        yield* Effect.forkChild(Effect.exit(openConnection({ host, port: server.port, ...options })))
        const peer = yield* server.accept
        const hello = yield* peer.awaitBytes(100)
        return askedFor(hello)
      })
    )

  // Node finds no certificate to be for a name that ends in a number
  it.live.each([...spellings, ["web.1", "web.1"]])(
    "is in ASCII and lower case, and has no dot at its end: %s",
    ([typed, sent]) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* helloOf({ tls: { serverName: typed } }), sent)
        assert.strictEqual(yield* helloOf({ host: typed, tls: true }), sent)
      }).pipe(Effect.provide(anyName))
  )

  it.live("is localhost where no host is given", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      yield* Effect.forkChild(Effect.exit(openConnection({ port: server.port, tls: true })))
      const peer = yield* server.accept
      assert.strictEqual(askedFor(yield* peer.awaitBytes(100)), "localhost")
    }).pipe(Effect.provide(anyName))
  )

  it.live.each(addresses)("is none where it is an address: %s", ([typed]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* helloOf({ tls: { serverName: typed } }), undefined)
    }).pipe(Effect.provide(anyName))
  )
})

for (const { connectTls, serveTls, stoppable, way } of tlsWays) {
  describe(`the name that the certificate must be for, ${way}`, () => {
    it.live.each([...spellings, ...addresses])("is the one that is sent, however it was written: %s", ([typed, name]) =>
      Effect.gen(function* () {
        const { identity } = yield* issue(name)
        const server = yield* serveTls({ identity })
        const client = yield* connectTls(server.port, { serverName: typed })
        const peer = yield* server.accept
        assert.strictEqual(client.info.tls?.authorized, true)
        assert.strictEqual(client.info.tls?.serverName, peer.info.tls?.serverName)

        const other = yield* serveTls({ identity: certificates.alpha.identity })
        const error = yield* Effect.flip(connectTls(other.port, { serverName: typed }))
        assert(error._tag === "TlsFailed")
        assert.strictEqual(error.code, "ERR_TLS_CERT_ALTNAME_INVALID")
        assert.include(error.message, `openConnection: the certificate of 127.0.0.1:${other.port} is not accepted`)
        assert.include(error.message, name)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("is the host by default, however it was written, also for startTls", () =>
      Effect.gen(function* () {
        const { identity } = yield* issue("xn--mnchen-3ya.example")
        const server = yield* serveTls({ identity })
        const direct = yield* connectTls(server.port, {}, { host: "München.example." })
        assert.strictEqual(direct.info.tls?.authorized, true)

        const plain = yield* startServer({ host, port: 0, gracePeriod: 0 }, (connection) =>
          Effect.andThen(connection.startTls({ side: "server", identity, stoppable }), Effect.never)
        )
        const client = yield* openConnection({ host: "München.example.", port: plain.port })
        const secure = yield* within("the upgrade", client.startTls({ side: "client", ca: authority.cert, stoppable }))
        assert.strictEqual(secure.info.tls?.authorized, true)
        assert.strictEqual(secure.info.tls?.serverName, "xn--mnchen-3ya.example")
      }).pipe(Effect.provide(anyName))
    )

    it.live("binds sessions: one made with a name is good for it in any spelling", () =>
      Effect.gen(function* () {
        const server = yield* serveTls()
        const sessions: Array<Uint8Array> = []
        const first = yield* connectTls(server.port, {
          serverName: "LOCALHOST.",
          onSession: (session) => sessions.push(session)
        })
        yield* (yield* server.accept).writer.write("first\n")
        yield* first.reader.readLine
        const session = yield* eventually("the server allows the session to be resumed", () => sessions[0])
        const second = yield* connectTls(server.port, { serverName: "localhost", session })
        assert.strictEqual(second.info.tls?.resumed, true)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}

/** What an effect dies with. */
const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause), "it does not die")
    return String(Cause.squash(exit.cause))
  })

describe("a serverName that names nobody", () => {
  const complaint = (option: string, value: unknown) =>
    `${option} must be the name of a host or an IP address, got ${JSON.stringify(value).slice(0, 40)}`

  it.live.each(noNames)("is a wrong argument of openConnection, and nobody is connected to: %j", (serverName) =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      for (const network of [NodeNetwork.layer, TestNetwork.layer]) {
        const defect = yield* defectOf(
          Effect.provide(openConnection({ host, port: server.port, tls: { serverName } }), network)
        )
        assert.include(defect, `TypeError: openConnection: ${complaint("tls.serverName", serverName)}`)
      }
      assert.strictEqual(server.peers.length, 0)
    })
  )

  it.live.each(noNames)("is a wrong argument of startTls, and nothing happens to the connection: %j", (serverName) =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair()
      const defect = yield* defectOf(client.startTls({ side: "client", serverName }))
      assert.include(defect, `TypeError: startTls: ${complaint("serverName", serverName)}`)
      yield* client.writer.write("still here\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "still here\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is one also if it is no text", () =>
    Effect.gen(function* () {
      for (const [value, said] of [
        [null, "null"],
        [7, "7"]
      ] as const) {
        const tls = { serverName: value as never }
        const defect = yield* defectOf(openConnection({ host, port: 1, tls }))
        assert.include(defect, `tls.serverName must be the name of a host or an IP address, got ${said}`)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a host that names nobody", () => {
  it.live("is a wrong argument if it is empty, and nothing else says whom to verify", () =>
    Effect.gen(function* () {
      for (const network of [anyName, TestNetwork.layer]) {
        for (const tls of [true, { ca: authority.cert }] as const) {
          const defect = yield* defectOf(Effect.provide(openConnection({ host: "", port: 1, tls }), network))
          assert.include(defect, 'openConnection: host must be text that is not empty, got ""')
        }
      }
    })
  )

  it.live("fails to be found before TLS is begun", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(openConnection({ host: "a b.invalid", port: 1, tls: true }))
      assert.strictEqual(error._tag, "ConnectFailed")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("but is found all the same fails before a word of TLS is said, whatever would be accepted", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      for (const dangerouslyAcceptAnyCertificate of [false, true]) {
        const tls = { dangerouslyAcceptAnyCertificate }
        const error = yield* Effect.flip(openConnection({ host: "a b.test", port: server.port, tls }))
        assert(error._tag === "TlsFailed")
        assert.strictEqual(error.kind, "Handshake")
        assert.strictEqual(
          error.message,
          `openConnection: TLS with ${error.peer} failed: "a b.test" is no name that a certificate is for`
        )
        const peer = yield* server.accept
        yield* peer.awaitClosed
        assert.strictEqual(peer.received.length, 0)
      }
    }).pipe(Effect.provide(anyName))
  )

  it.live("does not matter where serverName says who it is", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const client = yield* connectTls(server.port, { serverName: "localhost" }, { host: "a b.test" })
      assert.strictEqual(client.info.tls?.authorized, true)
    }).pipe(Effect.provide(anyName))
  )
})

describe("the name that a server is asked for", () => {
  const asking = Effect.gen(function* () {
    const asked: Array<string | undefined> = []
    const server = yield* serveTls({
      identity: (name) =>
        Effect.sync(() => {
          asked.push(name)
          return certificates.server.identity
        })
    })
    return { asked, server }
  })

  it.live.each(spellings)("is told to identity in one spelling, whatever the client sends: %s", ([sent, name]) =>
    Effect.gen(function* () {
      const { asked, server } = yield* asking
      // Node sends what it is given
      const peer = yield* connectTlsPeer(server.port, { servername: sent, checkServerIdentity: () => undefined })
      yield* peer.secured
      assert.deepStrictEqual(asked, [undefined, name])
      assert.strictEqual((yield* server.accept).info.tls?.serverName, name)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each([
    "../../etc/passwd",
    "a b",
    "a..b",
    "user@example.test",
    "%2e%2e",
    `${"a".repeat(64)}.test`,
    "*",
    // with its brackets: Node 26 sends none without
    "[::1]"
  ])("is none if it is no name of a host, and identity never sees it: %s", (sent) =>
    Effect.gen(function* () {
      const { asked, server } = yield* asking
      const peer = yield* connectTlsPeer(server.port, { servername: sent, checkServerIdentity: () => undefined })
      yield* peer.secured
      assert.deepStrictEqual(asked, [undefined])
      assert.strictEqual((yield* server.accept).info.tls?.serverName, undefined)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is in info in the same spelling where one identity is for all", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const peer = yield* connectTlsPeer(server.port, {
        servername: "MÜNCHEN.example.",
        checkServerIdentity: () => undefined
      })
      yield* peer.secured
      assert.strictEqual((yield* server.accept).info.tls?.serverName, "xn--mnchen-3ya.example")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("TestNetwork", () => {
  it.live("verifies the host that was connected to, also for startTls", () =>
    Effect.gen(function* () {
      const { identity } = yield* issue("xn--mnchen-3ya.example")
      const server = yield* startServer({ port: 0, gracePeriod: 0 }, (connection) =>
        Effect.andThen(Effect.ignore(connection.startTls({ side: "server", identity })), Effect.never)
      )
      const upgrade = (name: string) =>
        Effect.flatMap(openConnection({ host: name, port: server.port }), (plain) =>
          within("the upgrade", plain.startTls({ side: "client", ca: authority.cert }))
        )
      const client = yield* upgrade("münchen.example")
      assert.strictEqual(client.info.tls?.authorized, true)
      assert.strictEqual(client.info.tls?.serverName, "xn--mnchen-3ya.example")
      const error = yield* Effect.flip(upgrade("localhost"))
      assert(error._tag === "TlsFailed")
      assert.strictEqual(error.code, "ERR_TLS_CERT_ALTNAME_INVALID")
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )
})
