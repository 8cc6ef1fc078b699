/**
 * Certificates and keys: encrypted keys, keys that are never printed, certificates replaced while a server runs, and
 * chosen by the name that the client asks for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Redacted, Ref } from "effect"
import { NodeNetwork, startServer, type Tls } from "effect-byte-streams"
import { inspect } from "node:util"
import { authority, certificates, encrypted } from "../support/certificates.ts"
import { text } from "../support/bytes.ts"
import { connectTls, host, serveTls, tlsPair } from "../support/tlsPair.ts"
import { connectTlsPeer } from "../support/tlsPeer.ts"
import { eventually, turns, within } from "../support/wait.ts"

const passphrase = "correct horse battery staple"
const lockedServer = encrypted(certificates.server, passphrase)
const lockedClient = encrypted(certificates.client, passphrase)
const wrongly = (identity: Tls.Identity): Tls.Identity => ({ ...identity, passphrase: Redacted.make("guessed") })

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

  it.live("a server's key that cannot be used is told to somebody: whoever starts it, or onHandshakeError", () =>
    Effect.gen(function* () {
      for (const identity of [
        wrongly(lockedServer.identity),
        { cert: certificates.server.cert, key: Redacted.make("no key at all") },
        { cert: certificates.server.cert, key: certificates.client.identity.key }
      ]) {
        const failures: Array<unknown> = []
        const started = yield* Effect.exit(
          startServer(
            {
              host,
              port: 0,
              gracePeriod: 0,
              tls: { identity },
              onHandshakeError: (error) => Effect.sync(() => void failures.push(error))
            },
            () => Effect.never
          )
        )
        if (Exit.isFailure(started)) continue
        assert(Exit.isFailure(yield* Effect.exit(connectTls(started.value.port))))
        yield* eventually("the server's owner hears of the failure", () => failures.length > 0)
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
    "guessed"
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
      const mine = yield* serveTls({ identity: wrongly(lockedServer.identity) })
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
