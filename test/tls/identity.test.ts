/**
 * Certificates and keys: encrypted keys, keys that are never printed, certificates replaced while a server runs, and
 * chosen by the name that the client asks for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Redacted, Ref } from "effect"
import { NodeNetwork, openConnection, startServer, StreamError, type Tls } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { existsSync } from "node:fs"
import { inspect } from "node:util"
import { authority, certificates, encrypted, wrongPassphrase } from "../support/certificates.ts"
import { text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { plainPair } from "../support/plainPair.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { connectTls, host, serveTls, tlsPair } from "../support/tlsPair.ts"
import { connectTlsPeer } from "../support/tlsPeer.ts"
import { eventually, turns, within } from "../support/wait.ts"

const passphrase = "correct horse battery staple"
const lockedServer = encrypted(certificates.server, passphrase)
const lockedClient = encrypted(certificates.client, passphrase)
const wrongly = (identity: Tls.Identity): Tls.Identity => ({ ...identity, passphrase: Redacted.make(wrongPassphrase) })

describe("keys and certificates", () => {
  it.live("can be bytes", () =>
    Effect.gen(function* () {
      const asBytes = (pem: string) => new TextEncoder().encode(pem)
      const { peer } = yield* tlsPair({
        server: {
          identity: {
            cert: asBytes(certificates.server.cert),
            key: Redacted.make(asBytes(certificates.server.key))
          },
          clientCertificate: "require"
        },
        client: {
          identity: { cert: asBytes(certificates.client.cert), key: Redacted.make(asBytes(certificates.client.key)) }
        }
      })
      assert.strictEqual(peer.info.tls?.authorized, true)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("an encrypted key is opened with its passphrase, on both sides", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* tlsPair({
        server: { identity: lockedServer.identity, clientCertificate: "require" },
        client: { identity: lockedClient.identity }
      })
      assert.strictEqual(client.info.tls?.authorized, true)
      assert.strictEqual(peer.info.tls?.authorized, true)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a wrong passphrase fails the client, and leaves the server alone", () =>
    Effect.gen(function* () {
      const server = yield* serveTls()
      const exit = yield* Effect.exit(connectTls(server.port, { identity: wrongly(lockedClient.identity) }))
      assert(Exit.isFailure(exit))
      yield* connectTls(server.port, { identity: lockedClient.identity })
      yield* server.accept
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

const { cert, key } = certificates.server
const secret = (text: string) => Redacted.make(text)
const cut = (pem: string): string => pem.slice(0, 200)

/** What cannot work, whoever the peer is: what the message says of it, and OpenSSL's code. */
const unusable: ReadonlyArray<
  readonly [name: string, options: Partial<Tls.ServerOptions & Tls.ClientOptions>, said: string, code: string]
> = [
  [
    "the key of another certificate",
    { identity: { cert, key: secret(certificates.client.key) } },
    "identity.key is not that of identity.cert: key values mismatch",
    "ERR_OSSL_X509_KEY_VALUES_MISMATCH"
  ],
  [
    "a wrong passphrase",
    { identity: wrongly(lockedServer.identity) },
    "identity.key cannot be opened with identity.passphrase: bad decrypt",
    "ERR_OSSL_BAD_DECRYPT"
  ],
  [
    "no passphrase for an encrypted key",
    { identity: { cert, key: lockedServer.identity.key } },
    "identity.key is encrypted, and there is no identity.passphrase: bad decrypt",
    "ERR_OSSL_BAD_DECRYPT"
  ],
  [
    "a key that is none",
    { identity: { cert, key: secret("no key at all") } },
    "identity.key cannot be read: unsupported",
    "ERR_OSSL_UNSUPPORTED"
  ],
  [
    "an empty key",
    { identity: { cert, key: secret("") } },
    "identity.key cannot be read: unsupported",
    "ERR_OSSL_UNSUPPORTED"
  ],
  [
    "no key",
    { identity: { cert } as Tls.Identity },
    "identity.key cannot be read: unsupported",
    "ERR_OSSL_UNSUPPORTED"
  ],
  [
    "a certificate that is none",
    { identity: { cert: "no certificate at all", key: secret(key) } },
    "identity.cert cannot be read: no start line",
    "ERR_OSSL_PEM_NO_START_LINE"
  ],
  [
    "an empty certificate",
    { identity: { cert: new Uint8Array(0), key: secret(key) } },
    "identity.cert cannot be read: no start line",
    "ERR_OSSL_PEM_NO_START_LINE"
  ],
  [
    "no certificate",
    { identity: { key: secret(key) } as Tls.Identity },
    "identity.cert cannot be read: no start line",
    "ERR_OSSL_PEM_NO_START_LINE"
  ],
  [
    "a certificate that was cut",
    { identity: { cert: cut(cert), key: secret(key) } },
    "identity.cert cannot be read: bad end line",
    "ERR_OSSL_PEM_BAD_END_LINE"
  ],
  [
    "a ca without certificates",
    { ca: "nobody" },
    "ca holds no certificate: no start line",
    "ERR_OSSL_PEM_NO_START_LINE"
  ],
  ["an empty ca", { ca: "" }, "ca holds no certificate: no start line", "ERR_OSSL_PEM_NO_START_LINE"],
  ["an empty list for ca", { ca: [] }, "ca holds no certificate: no start line", "ERR_OSSL_PEM_NO_START_LINE"],
  ["a key for ca", { ca: key }, "ca holds no certificate: no start line", "ERR_OSSL_PEM_NO_START_LINE"],
  [
    "a ca whose second certificate was cut",
    { ca: [authority.cert + cut(cert)] },
    "ca holds a certificate that cannot be read: bad end line",
    "ERR_OSSL_PEM_BAD_END_LINE"
  ],
  [
    "a minVersion above maxVersion",
    { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
    "minVersion TLSv1.3 is above maxVersion TLSv1.2",
    "ERR_SSL_NO_PROTOCOLS_AVAILABLE"
  ]
]
const identities = unusable.filter(([, { identity }]) => identity !== undefined)

describe("a server that cannot speak TLS", () => {
  const serverTls = (options: Partial<Tls.ServerOptions>): Tls.ServerOptions => ({
    identity: certificates.server.identity,
    ...options
  })
  const nobody = () => Effect.never

  it.live.each(unusable)("does not start with %s, says why, and leaves nothing bound", ([, options, said, code]) =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(startServer({ host, port: 0 }, nobody))
      const before = held()
      const tls = serverTls(options as Partial<Tls.ServerOptions>)
      const error = yield* Effect.flip(Effect.scoped(startServer({ host, port, tls }, nobody)))
      assert(error instanceof StreamError.ListenFailed)
      assert.strictEqual(error.kind, "Tls")
      assert.strictEqual(error.code, code)
      assert.strictEqual(error.message, `cannot listen on ${host}:${port}: Tls (${code}): ${said}`)
      yield* backTo(before)
      const refused = yield* Effect.flip(openConnection({ host, port }))
      assert.strictEqual(refused._tag, "ConnectFailed")
      yield* startServer({ host, port, gracePeriod: 0 }, nobody)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(unusable)("does not start in memory either, with %s", ([, options, said, code]) =>
    Effect.gen(function* () {
      const tls = serverTls(options as Partial<Tls.ServerOptions>)
      const error = yield* Effect.flip(Effect.scoped(startServer({ host, port: 7000, tls }, nobody)))
      assert(error instanceof StreamError.ListenFailed)
      assert.strictEqual(error.message, `cannot listen on ${host}:7000: Tls (${code}): ${said}`)
      assert.strictEqual((yield* Effect.flip(openConnection({ host, port: 7000 }))).kind, "Refused")
      yield* startServer({ host, port: 7000, gracePeriod: 0 }, nobody)
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.live("does not start on a path, and leaves no file there", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const tls = { identity: wrongly(lockedServer.identity) }
      const error = yield* Effect.flip(Effect.scoped(startServer({ path, tls }, nobody)))
      assert.strictEqual(error.kind, "Tls")
      assert.strictEqual(error.address, path)
      assert(!existsSync(path))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("names all the addresses that it was to listen on", () =>
    Effect.gen(function* () {
      const tls = { identity: wrongly(lockedServer.identity) }
      const address = (hosts: string | ReadonlyArray<string> | undefined) =>
        Effect.map(
          Effect.flip(Effect.scoped(startServer({ host: hosts, port: 7, tls }, nobody))),
          (error) => error.address
        )
      assert.strictEqual(yield* address(undefined), "*:7")
      assert.strictEqual(yield* address(["127.0.0.1", "::1"]), "127.0.0.1:7, [::1]:7")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  // whom it trusts, and which versions it speaks, is said once and for all
  it.live.each(unusable.filter(([, { identity }]) => identity === undefined))(
    "does not start with %s, although its identity is chosen for each handshake",
    ([, options, , code]) =>
      Effect.gen(function* () {
        const tls: Tls.ServerOptions = { ...(options as object), identity: () => Effect.die("asked too early") }
        const error = yield* Effect.flip(Effect.scoped(startServer({ host, port: 0, tls }, nobody)))
        assert.strictEqual(error.code, code)
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(identities)("upgrades nobody with %s", ([, { identity }, said, code]) =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair()
      const error = yield* Effect.flip(peer.startTls({ side: "server", identity: identity as Tls.Identity }))
      assert(error._tag === "TlsFailed")
      assert.strictEqual(error.kind, "Handshake")
      assert.strictEqual(error.message, `startTls: TLS failed (${code}): ${said}`)
      assert.strictEqual((yield* Effect.flip(client.reader.read(1)))._tag, "ConnectionLost")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each(identities)("fails one handshake where it is chosen: %s", ([, { identity }, said, code]) =>
    Effect.gen(function* () {
      const server = yield* serveTls({
        identity: (name) =>
          Effect.succeed(name === "alpha.test" ? (identity as Tls.Identity) : certificates.server.identity)
      })
      yield* Effect.flip(connectTls(server.port, { serverName: "alpha.test" }))
      const byName = yield* server.failure
      assert.strictEqual(byName.kind, "Handshake")
      assert.strictEqual(
        byName.message,
        `startServer: TLS with ${byName.peer} failed (${code}): no identity for alpha.test: ${said}`
      )
      yield* connectTls(server.port)

      const always = yield* serveTls({ identity: () => Effect.succeed(identity as Tls.Identity) })
      yield* Effect.flip(connectTls(always.port))
      const first = yield* always.failure
      assert.strictEqual(first.kind, "Handshake")
      assert.strictEqual(first.message, `startServer: TLS with ${first.peer} failed (${code}): ${said}`)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a client that cannot speak TLS", () => {
  it.live.each(unusable)("connects to nobody with %s, and says why", ([, options, said, code]) =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      const before = held()
      for (const network of [NodeNetwork.layer, TestNetwork.layer]) {
        const tls = options as Tls.ClientOptions
        const error = yield* Effect.flip(Effect.provide(openConnection({ host, port: server.port, tls }), network))
        assert(error._tag === "TlsFailed")
        assert.strictEqual(error.kind, "Handshake")
        assert.strictEqual(error.code, code)
        assert.strictEqual(error.message, `openConnection: TLS failed (${code}): ${said}`)
      }
      assert.strictEqual(server.peers.length, 0)
      yield* backTo(before)
    })
  )

  it.live.each(unusable)("upgrades no connection with %s, and resets it", ([, options, said, code]) =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair()
      const error = yield* Effect.flip(client.startTls({ side: "client", ...(options as Tls.ClientOptions) }))
      assert(error._tag === "TlsFailed")
      assert.strictEqual(error.message, `startTls: TLS failed (${code}): ${said}`)
      assert.strictEqual((yield* Effect.flip(peer.reader.read(1)))._tag, "ConnectionLost")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("options that no program can mean", () => {
  type Table = ReadonlyArray<readonly [options: object, said: string]>
  const flags = (name: string): Table =>
    (
      [
        ["false", '"false" (string)'],
        [1, "1"],
        [null, "null"]
      ] as const
    ).map(([value, shown]) => [{ [name]: value }, `${name} must be true or false, got ${shown}`])

  /** Each option has its rows: one that is added without any does not compile. */
  const common: { readonly [K in keyof Required<Tls.CommonOptions>]: Table } = {
    ca: [
      [{ ca: 5 }, "ca must be text or a Uint8Array, or an array of them, got 5"],
      [{ ca: [authority.cert, null] }, "ca must be text or a Uint8Array, or an array of them, got null"]
    ],
    minVersion: [[{ minVersion: "TLSv1.1" }, 'minVersion must be one of "TLSv1.2", "TLSv1.3", got "TLSv1.1" (string)']],
    maxVersion: [[{ maxVersion: 1.3 }, 'maxVersion must be one of "TLSv1.2", "TLSv1.3", got 1.3']],
    alpnProtocols: [
      [{ alpnProtocols: ["h2", ""] }, 'alpnProtocols must be text of 1 to 255 bytes each, got ""'],
      [{ alpnProtocols: ["ü".repeat(128)] }, "alpnProtocols must be text of 1 to 255 bytes each"],
      [{ alpnProtocols: [5] }, "alpnProtocols must be text of 1 to 255 bytes each, got 5"],
      [{ alpnProtocols: "h2" }, 'alpnProtocols must be an array of text, got "h2" (string)']
    ],
    handshakeTimeout: [
      [{ handshakeTimeout: "10 secs" }, "handshakeTimeout must be a duration of 0 or more"],
      [{ handshakeTimeout: -1 }, "handshakeTimeout must be a duration of 0 or more"]
    ],
    allowTruncation: flags("allowTruncation"),
    stoppable: flags("stoppable")
  }
  const identities: Table = [
    [{ identity: { cert, key } }, "identity.key must be Redacted, got a string"],
    [
      { identity: { cert, key: Redacted.make(5) } },
      "identity.key must be Redacted text or a Redacted Uint8Array, got a"
    ],
    [{ identity: { ...lockedServer.identity, passphrase } }, "identity.passphrase must be Redacted, got a string"],
    [
      { identity: { ...lockedServer.identity, passphrase: Redacted.make(null) } },
      "identity.passphrase must be Redacted text, got null"
    ],
    [{ identity: { ...lockedServer.identity, cert: 5 } }, "identity.cert must be text or a Uint8Array, got a number"],
    [{ identity: cert }, "identity must be an Identity, got a string"],
    [{ identity: null }, "identity must be an Identity, got null"]
  ]
  const ofClient: { readonly [K in Exclude<keyof Required<Tls.ClientOptions>, keyof typeof common>]: Table } = {
    // those of a name are in names.test.ts
    serverName: [[{ serverName: "" }, "serverName must be the name of a host or an IP address"]],
    identity: identities,
    dangerouslyAcceptAnyCertificate: flags("dangerouslyAcceptAnyCertificate"),
    session: [
      [{ session: "text" }, "session must be a Uint8Array, got a string"],
      [{ session: [1] }, "session must be a Uint8Array, got an object (Array)"]
    ],
    onSession: [[{ onSession: {} }, "onSession must be a function, got [object Object] (Object)"]]
  }
  const ofServer: { readonly [K in Exclude<keyof Required<Tls.ServerOptions>, keyof typeof common>]: Table } = {
    identity: [...identities, [{ identity: undefined }, "identity must be an Identity, got undefined"]],
    clientCertificate: [
      [{ clientCertificate: "required" }, 'clientCertificate must be one of "none", "request", "require"'],
      [{ clientCertificate: true }, 'clientCertificate must be one of "none", "request", "require", got true (boolean)']
    ]
  }
  const all = (...tables: ReadonlyArray<Readonly<Record<string, Table>>>): Table =>
    tables.flatMap((table) => Object.values(table).flat())
  const wrongOfClient = all(common, ofClient)
  const wrongOfServer = all(common, ofServer)
  const wrongOfUpgrade: Table = [
    [{ side: "sever" }, 'side must be one of "client", "server", got "sever" (string)'],
    [{ side: undefined }, 'side must be one of "client", "server", got undefined'],
    [{ leftover: "feedTLS" }, 'leftover must be one of "fail", "feedTls", got "feedTLS" (string)']
  ]

  /** What an effect dies with. */
  const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.exit(effect), (exit) => {
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause), "it does not die")
      return String(Cause.squash(exit.cause))
    })
  const saysWithPrefix = (defect: string, operation: string, said: string): void => {
    assert.include(defect, `${operation}: tls.${said}`)
  }

  it.live("are wrong arguments of startServer", () =>
    Effect.gen(function* () {
      for (const network of [NodeNetwork.layer, TestNetwork.layer]) {
        for (const [options, said] of wrongOfServer) {
          const tls = { identity: certificates.server.identity, ...options } as Tls.ServerOptions
          const start = startServer({ host, port: 0, tls }, () => Effect.never)
          saysWithPrefix(yield* defectOf(Effect.provide(start, network)), "startServer", said)
        }
      }
    })
  )

  it.live("are wrong arguments of openConnection, and nobody is connected to", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw()
      for (const network of [NodeNetwork.layer, TestNetwork.layer]) {
        for (const [options, said] of wrongOfClient) {
          const open = openConnection({ host, port: server.port, tls: options as Tls.ClientOptions })
          saysWithPrefix(yield* defectOf(Effect.provide(open, network)), "openConnection", said)
        }
      }
      assert.strictEqual(server.peers.length, 0)
    })
  )

  it.live("are wrong arguments of startTls, and nothing happens to the connection", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* plainPair()
      for (const [options, said] of [...wrongOfClient, ...wrongOfUpgrade]) {
        const asClient = { side: "client", ...options } as Tls.StartTlsOptions
        assert.include(yield* defectOf(client.startTls(asClient)), `startTls: ${said}`)
      }
      for (const [options, said] of [...wrongOfServer, ...wrongOfUpgrade]) {
        const asServer = { side: "server", identity: certificates.server.identity, ...options } as Tls.StartTlsOptions
        assert.include(yield* defectOf(client.startTls(asServer)), `startTls: ${said}`)
      }
      assert.include(
        yield* defectOf(client.startTls(undefined as never)),
        "startTls: options must be an object, got undefined"
      )
      yield* client.writer.write("still here\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "still here\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("tls itself is one: what is neither true nor an object would be taken for plain text, or for TLS", () =>
    Effect.gen(function* () {
      for (const [tls, shown] of [
        [false, "false (boolean)"],
        ["yes", '"yes" (string)'],
        [null, "null"],
        [[], "[] (Array)"]
      ] as const) {
        const open = openConnection({ host, port: 1, tls: tls as never })
        assert.include(yield* defectOf(open), "openConnection: tls must be ")
        assert.include(yield* defectOf(open), shown)
        const start = startServer({ host, port: 0, tls: tls as never }, () => Effect.never)
        assert.include(yield* defectOf(start), "startServer: tls must be an object, got ")
        assert.include(yield* defectOf(start), shown)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("what is secret is in no message", () =>
    Effect.gen(function* () {
      for (const given of [key, { cert, key }, { ...lockedServer.identity, passphrase }]) {
        const identity = given as never
        const defect = yield* defectOf(startServer({ host, port: 0, tls: { identity } }, () => Effect.never))
        assert.notInclude(defect, passphrase)
        for (const line of key.split("\n")) if (line.length > 5) assert.notInclude(defect, line)
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("Redacted", () => {
  // lines of the keys as they are, and bytes of them as inspect prints them
  const secrets = [
    ...[certificates.server, certificates.client, lockedServer, lockedClient].flatMap((one) =>
      one.key.split("\n").slice(1, 4)
    ),
    passphrase,
    wrongPassphrase
  ].filter((line) => line.length > 5)
  const json = (value: unknown): string => {
    const seen = new Set<unknown>()
    // an object that contains itself is shown once
    const once = (_key: string, part: unknown): unknown => {
      if (typeof part !== "object" || part === null) return part
      if (seen.has(part)) return "[seen]"
      seen.add(part)
      return part
    }
    return JSON.stringify(value, once) ?? ""
  }
  const silent = (what: string, value: unknown): void => {
    const printed = [
      inspect(value, { depth: Infinity, showHidden: true, maxArrayLength: Infinity, maxStringLength: Infinity }),
      String(value),
      json(value)
    ].join("\n")
    for (const secret of secrets) {
      assert(!printed.includes(secret), `${what} shows ${JSON.stringify(secret.slice(0, 20))}…`)
    }
  }

  it("options do not show what is in them", () => {
    silent("client options", { ca: authority.cert, identity: lockedClient.identity } satisfies Tls.ClientOptions)
    silent("server options", { identity: lockedServer.identity } satisfies Tls.ServerOptions)
  })

  it.live("neither connections nor the server show a key or a passphrase, however deep one looks", () =>
    Effect.gen(function* () {
      const { client, peer, server } = yield* tlsPair({
        server: { identity: lockedServer.identity, clientCertificate: "require" },
        client: { identity: lockedClient.identity }
      })
      silent("the client", client)
      silent("the client's info", client.info)
      silent("the server's end", peer)
      silent("the server", server.server)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("nor do the failures", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity: lockedServer.identity, clientCertificate: "require" })
      const failures: ReadonlyArray<Tls.ClientOptions> = [
        { identity: wrongly(lockedClient.identity) },
        { identity: { cert: certificates.client.cert, key: certificates.server.identity.key } },
        { identity: { ...lockedClient.identity, cert: "no certificate at all" } },
        { identity: lockedClient.identity, serverName: "elsewhere.test" }
      ]
      for (const options of failures) {
        const exit = yield* Effect.exit(connectTls(server.port, options))
        assert(Exit.isFailure(exit))
        silent("the failure", exit.cause)
        silent("the failure", Cause.pretty(exit.cause))
        silent("the failure", Cause.squash(exit.cause))
      }
      const started = yield* Effect.exit(serveTls({ identity: wrongly(lockedServer.identity) }))
      assert(Exit.isFailure(started))
      silent("the failure to start", started.cause)
      silent("the failure to start", Cause.pretty(started.cause))
      const mine = yield* serveTls({ identity: () => Effect.succeed(wrongly(lockedServer.identity)) })
      yield* Effect.exit(connectTls(mine.port))
      yield* turns()
      silent("the server's failures", mine.failures)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

const Tenant = Context.Reference<"alpha" | "beta">("test/Tenant", { defaultValue: () => "alpha" })

describe("an identity that is chosen", () => {
  const subject = (port: number, options?: Tls.ClientOptions) =>
    Effect.map(
      connectTls(port, { dangerouslyAcceptAnyCertificate: true, ...options }),
      (connection) => connection.info.tls?.peerCertificate?.subject
    )

  it.live("replaces a certificate while the server runs: new connections get it, the others go on", () =>
    Effect.gen(function* () {
      const identity = yield* Ref.make(certificates.alpha.identity)
      const server = yield* serveTls({ identity: () => Ref.get(identity) })
      const first = yield* connectTls(server.port, { serverName: "alpha.test" })
      const firstPeer = yield* server.accept
      assert.strictEqual(first.info.tls?.peerCertificate?.subject, "CN=alpha.test")

      yield* Ref.set(identity, certificates.beta.identity)
      const second = yield* connectTls(server.port, { serverName: "beta.test" })
      assert.strictEqual(second.info.tls?.peerCertificate?.subject, "CN=beta.test")
      assert.strictEqual(second.info.tls?.authorized, true)

      yield* first.writer.write("still here\n")
      assert.strictEqual(text(yield* firstPeer.reader.readLine), "still here\n")
      assert.strictEqual(first.info.tls?.peerCertificate?.subject, "CN=alpha.test")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is chosen by the name that the client asks for, and without one for those who ask for none", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({
        identity: (name) =>
          Effect.succeed(
            name === "alpha.test"
              ? certificates.alpha.identity
              : name === "beta.test"
                ? certificates.beta.identity
                : certificates.server.identity
          )
      })
      for (const name of ["alpha.test", "beta.test", "localhost"]) {
        const client = yield* connectTls(server.port, { serverName: name })
        assert.strictEqual(client.info.tls?.peerCertificate?.subject, `CN=${name}`)
        assert.strictEqual((yield* server.accept).info.tls?.serverName, name)
      }
      const nameless = yield* connectTls(server.port)
      assert.strictEqual(nameless.info.tls?.peerCertificate?.subject, "CN=localhost")
      assert.strictEqual((yield* server.accept).info.tls?.serverName, undefined)
      // a name that the server does not have: it answers with what it has, and the client sees that it is another
      const stranger = yield* Effect.flip(connectTls(server.port, { serverName: "gamma.test" }))
      assert(stranger._tag === "TlsFailed")
      assert.strictEqual(stranger.kind, "Certificate")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("may take its time, and each handshake has its own", () =>
    Effect.gen(function* () {
      const slow = yield* Deferred.make<Tls.Identity>()
      const server = yield* serveTls({
        identity: (name) =>
          name === "alpha.test" ? Deferred.await(slow) : Effect.succeed(certificates.server.identity)
      })
      const waiting = yield* Effect.forkChild(subject(server.port, { serverName: "alpha.test" }))
      assert.strictEqual(yield* subject(server.port), "CN=localhost")
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      yield* Deferred.succeed(slow, certificates.alpha.identity)
      assert.strictEqual(yield* Fiber.join(waiting), "CN=alpha.test")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that dies fails that handshake, and no other", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({
        identity: (name) =>
          name === "alpha.test" ? Effect.die(new Error("disk on fire")) : Effect.succeed(certificates.server.identity)
      })
      const client = yield* connectTls(server.port)
      const peer = yield* server.accept
      yield* Effect.flip(connectTls(server.port, { serverName: "alpha.test" }))
      assert.strictEqual((yield* server.failure).kind, "Handshake")
      yield* client.writer.write("unharmed\n")
      assert.strictEqual(text(yield* peer.reader.readLine), "unharmed\n")
      assert.strictEqual(yield* subject(server.port), "CN=localhost")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that throws fails that handshake, and no other", () =>
    Effect.gen(function* () {
      for (const bad of [undefined, "alpha.test"]) {
        let calm = false
        const server = yield* serveTls({
          identity: (name) => {
            if (name === bad && !calm) throw new Error("disk on fire")
            return Effect.succeed(certificates.server.identity)
          }
        })
        yield* Effect.flip(connectTls(server.port, { serverName: "alpha.test" }))
        const failure = yield* server.failure
        assert.strictEqual(failure.kind, "Handshake")
        const who = bad === undefined ? "" : "no identity for alpha.test: "
        assert.strictEqual(failure.message, `startServer: TLS with ${failure.peer} failed: ${who}disk on fire`)
        calm = true
        assert.strictEqual(yield* subject(server.port), "CN=localhost")
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that dies for everybody is told to onHandshakeError, each time", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({ identity: () => Effect.die(new Error("disk on fire")) })
      for (let i = 0; i < 2; i++) {
        yield* Effect.flip(connectTls(server.port))
        yield* server.failure
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live.each([
    ["which asked for a name", "localhost"],
    ["before it has said anything", undefined]
  ] as const)("is not waited for once the client has left, %s, and is interrupted", ([, asksFor]) =>
    Effect.gen(function* () {
      let asked = false
      let interrupted = false
      const server = yield* serveTls({
        identity: (name) =>
          name !== asksFor
            ? Effect.succeed(certificates.server.identity)
            : Effect.onInterrupt(
                Effect.andThen(
                  Effect.sync(() => void (asked = true)),
                  Effect.never
                ),
                () => Effect.sync(() => void (interrupted = true))
              )
      })
      const client = yield* connectTlsPeer(server.port)
      yield* eventually("the server asks for an identity", () => asked)
      yield* client.wire.reset
      yield* server.failure
      yield* eventually("the search for an identity is interrupted", () => interrupted)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that is found after its client has left disturbs nobody", () =>
    Effect.gen(function* () {
      let asked = false
      const late = yield* Deferred.make<Tls.Identity>()
      const server = yield* serveTls({
        identity: (name) =>
          name === undefined
            ? Effect.succeed(certificates.server.identity)
            : Effect.uninterruptible(
                Effect.andThen(
                  Effect.sync(() => void (asked = true)),
                  Deferred.await(late)
                )
              )
      })
      const client = yield* connectTlsPeer(server.port)
      yield* eventually("the server asks for an identity", () => asked)
      yield* client.wire.reset
      yield* server.failure
      yield* Deferred.succeed(late, certificates.server.identity)
      yield* turns()
      assert.strictEqual(yield* subject(server.port), "CN=localhost")
      assert.strictEqual(server.failures.length, 1)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("that is returned again is prepared once: its sessions can be resumed", () =>
    Effect.gen(function* () {
      const resumed = (identity: () => Tls.Identity) =>
        Effect.gen(function* () {
          const server = yield* serveTls({ identity: () => Effect.sync(identity) })
          const sessions: Array<Uint8Array> = []
          const first = yield* connectTls(server.port, { onSession: (session) => sessions.push(session) })
          yield* (yield* server.accept).writer.write("first\n")
          yield* within("the client hears of the server", first.reader.readLine)
          const session = yield* eventually("the server allows the session to be resumed", () => sessions[0])
          return (yield* connectTls(server.port, { session })).info.tls?.resumed
        })
      assert.strictEqual(yield* resumed(() => certificates.server.identity), true)
      // one that is made anew each time is another one
      assert.strictEqual(yield* resumed(() => ({ ...certificates.server.identity })), false)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("is found in the context in which the server was started", () =>
    Effect.gen(function* () {
      const server = yield* serveTls({
        identity: () => Effect.map(Effect.service(Tenant), (tenant) => certificates[tenant].identity)
      }).pipe(Effect.provideService(Tenant, "beta"))
      assert.strictEqual(yield* subject(server.port), "CN=beta.test")
      assert.strictEqual(yield* subject(server.port, { serverName: "anything.test" }), "CN=beta.test")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
