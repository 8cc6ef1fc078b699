/** Pairs of connections that `startTls` has encrypted. */
import { Effect } from "effect"
import type * as Connection from "../../src/Connection.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import type * as Tls from "../../src/Tls.ts"
import { authority, certificates } from "./certificates.ts"
import { lend } from "./lending.ts"
import { plainPair } from "./plainPair.ts"

export const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost" }
export const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity }

export const upgraded = (options?: Connection.Options) =>
  Effect.flatMap(plainPair(options), ({ client, peer }) =>
    Effect.all({ left: client.startTls(asClient), right: peer.startTls(asServer) }, { concurrency: 2 })
  ).pipe(Effect.provide(NodeNetwork.layer))

/** What is encrypted in place after it has read into memory that is used again, and goes on doing so. */
export const upgradedLending = (options?: Connection.Options) =>
  Effect.gen(function* () {
    const { client, peer } = yield* plainPair(options)
    yield* lend(client)
    yield* lend(peer)
    const pair = yield* Effect.all(
      {
        left: client.startTls({ ...asClient, stoppable: false }),
        right: peer.startTls({ ...asServer, stoppable: false })
      },
      { concurrency: 2 }
    )
    yield* lend(pair.left)
    yield* lend(pair.right)
    return pair
  }).pipe(Effect.provide(NodeNetwork.layer))
