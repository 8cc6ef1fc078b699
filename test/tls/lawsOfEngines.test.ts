/**
 * The laws of a byte stream, over TLS whose engine treats the stream below as those of Bun and Deno do: it calls writes
 * done although nothing was sent, and does not end the stream behind its own end.
 */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeNetwork } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import { vi } from "vitest"
import { authority, certificates } from "../support/certificates.ts"
import { callsWritesDone, neverEnds } from "../support/otherEngines.ts"

// most of what the laws do is wait
vi.setConfig({ maxConcurrency: 12, testTimeout: 120_000 })

callsWritesDone()
neverEnds()

const host = "127.0.0.1"

const pair = StreamLaws.overNetwork(
  { host, port: 0, tls: { identity: certificates.server.identity, stoppable: true } },
  { host, tls: { ca: authority.cert, stoppable: true } }
).pipe(Effect.provide(NodeNetwork.layer))

describe.concurrent("laws over TLS with an engine of another make", () => {
  describe("streams", () => {
    StreamLaws.suite(it, StreamLaws.fromTransports(pair))
  })
  describe("transports", () => {
    StreamLaws.transportSuite(it, pair)
  })
})
