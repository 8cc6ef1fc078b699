/**
 * The laws of a byte stream, over TLS made in place by `startTls`, and over what is left after `stopTls`. (TLS as
 * it is by default is among the subjects of testing/laws.test.ts; `lawsOfVariants` has the others.)
 */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Connection, NodeNetwork } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import { vi } from "vitest"
import { authority, certificates } from "../support/certificates.ts"
import { plainPair } from "../support/plainPair.ts"
import { asClient, asServer, upgraded } from "../support/upgradedPair.ts"

// most of what the laws do is wait
vi.setConfig({ maxConcurrency: 12, testTimeout: 120_000 })

const host = "127.0.0.1"

const stoppable = StreamLaws.overNetwork(
  { host, port: 0, tls: { identity: certificates.server.identity, stoppable: true } },
  { host, tls: { ca: authority.cert, stoppable: true } }
).pipe(Effect.provide(NodeNetwork.layer))

const plainAgain = (options?: Connection.Options) =>
  Effect.flatMap(upgraded(options), ({ left, right }) =>
    Effect.all({ left: left.stopTls, right: right.stopTls }, { concurrency: 2 })
  )

const neverAnEnd = StreamLaws.all.find(({ name }) => name === "a reset is never an end, whoever hears of it first")!

/** Over TLS that takes what was cut for its end, of either version, with a way back and without, from the start and later. */
const lenient: ReadonlyArray<readonly [string, Effect.Effect<void, StreamLaws.LawViolation>]> = [
  ...(["TLSv1.2", "TLSv1.3"] as const).flatMap((version) =>
    [false, true].map((stoppable) => {
      const common = { allowTruncation: true, stoppable, minVersion: version, maxVersion: version } as const
      const transports = StreamLaws.overNetwork(
        { host, port: 0, tls: { identity: certificates.server.identity, ...common } },
        { host, tls: { ca: authority.cert, ...common } }
      )
      const name = `${version}${stoppable ? " with a way back" : ""}`
      return [
        name,
        neverAnEnd.check(StreamLaws.fromTransports(transports.pipe(Effect.provide(NodeNetwork.layer))))
      ] as const
    })
  ),
  ...[false, true].map((stoppable) => {
    const common = { allowTruncation: true, stoppable }
    const pair = (options?: Connection.Options) =>
      Effect.flatMap(plainPair(options), ({ client, peer }) =>
        Effect.all(
          { left: client.startTls({ ...asClient, ...common }), right: peer.startTls({ ...asServer, ...common }) },
          { concurrency: 2 }
        )
      ).pipe(Effect.provide(NodeNetwork.layer))
    return [`TLS made by startTls${stoppable ? " with a way back" : ""}`, neverAnEnd.check(pair)] as const
  })
]

describe.concurrent("laws over TLS", () => {
  describe("allowTruncation", () => {
    for (const [name, checked] of lenient) it(`${neverAnEnd.name}: ${name}`, () => Effect.runPromise(checked))
  })
  describe("transports: TLS with a way back", () => {
    StreamLaws.transportSuite(it, stoppable)
  })
  describe("streams: TLS made by startTls", () => {
    StreamLaws.suite(it, upgraded)
  })
  describe("streams: plain text after stopTls", () => {
    StreamLaws.suite(it, plainAgain)
  })
})
