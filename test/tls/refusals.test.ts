/**
 * Certificates that OpenSSL refuses for reasons that Node has no code for: whatever the reason, a certificate that is
 * not accepted is kind `Certificate`, and the reason is told.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeNetwork } from "effect-byte-streams"
import { oddities } from "../support/certificates.ts"
import { backTo, held } from "../support/descriptors.ts"
import { tlsWays } from "../support/tlsWays.ts"

const servers = Object.entries(await oddities("server"))
const clients = Object.entries(await oddities("client"))

for (const { connectTls, serveTls, tlsPair, way } of tlsWays) {
  describe(way, () => {
    it.live.each(servers)("a server's certificate with “%s” is kind Certificate", ([reason, { identity }]) =>
      Effect.gen(function* () {
        const before = held()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const server = yield* serveTls({ identity })
            const error = yield* Effect.flip(connectTls(server.port))
            assert(error._tag === "TlsFailed", String(error))
            assert.strictEqual(error.kind, "Certificate")
            assert.strictEqual(error.code, reason)
            assert.strictEqual(
              error.message,
              `openConnection: the certificate of ${error.peer} is not accepted (${reason})`
            )
          })
        )
        yield* backTo(before)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live.each(servers)("“%s” is told where any certificate is accepted", ([reason, { identity }]) =>
      Effect.gen(function* () {
        const { client } = yield* tlsPair({
          server: { identity },
          client: { dangerouslyAcceptAnyCertificate: true }
        })
        assert.strictEqual(client.info.tls?.authorized, false)
        assert.strictEqual(client.info.tls?.authorizationError, reason)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live.each(clients)("a client's certificate with “%s” is kind Certificate", ([reason, { identity }]) =>
      Effect.gen(function* () {
        const server = yield* serveTls({ clientCertificate: "require" })
        yield* Effect.exit(connectTls(server.port, { identity }))
        const error = yield* server.failure
        assert.strictEqual(error.kind, "Certificate")
        assert.strictEqual(error.code, reason)
        assert.strictEqual(error.message, `startServer: the certificate of ${error.peer} is not accepted (${reason})`)
        assert.strictEqual(server.connections.length, 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live.each(clients)("a client's “%s” is told where a certificate is only requested", ([reason, { identity }]) =>
      Effect.gen(function* () {
        const { peer } = yield* tlsPair({ server: { clientCertificate: "request" }, client: { identity } })
        assert.strictEqual(peer.info.tls?.authorized, false)
        assert.strictEqual(peer.info.tls?.authorizationError, reason)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })
}
