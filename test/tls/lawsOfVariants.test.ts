/** The laws of a byte stream, over TLS of version 1.2, and over TLS made by `startTls` that reads into shared memory. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeNetwork } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import { vi } from "vitest"
import { authority, certificates } from "../support/certificates.ts"
import { upgradedLending } from "../support/upgradedPair.ts"

// most of what the laws do is wait
vi.setConfig({ maxConcurrency: 12, testTimeout: 120_000 })

const host = "127.0.0.1"

const twelve = StreamLaws.overNetwork(
  { host, port: 0, tls: { identity: certificates.server.identity, maxVersion: "TLSv1.2" } },
  { host, tls: { ca: authority.cert } }
).pipe(Effect.provide(NodeNetwork.layer))

describe.concurrent("laws over TLS", () => {
  describe("streams: TLS 1.2", () => {
    StreamLaws.suite(it, StreamLaws.fromTransports(twelve))
  })
  describe("transports: TLS 1.2", () => {
    StreamLaws.transportSuite(it, twelve)
  })
  describe("streams: TLS made by startTls, lending", () => {
    StreamLaws.suite(it, upgradedLending)
  })
})
