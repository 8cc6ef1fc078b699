/** Clusters with random faults: what a seed stands for, and what must hold for each. */
import { assert } from "@effect/vitest"
import type { ClusterStreams, Tls } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import type * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Logger } from "effect"
import * as fc from "fast-check"
import { authority, certificates } from "./certificates.ts"
import { type ClusterOptions, type ClusterReport, hostNames, runnerNames, simulateCluster } from "./simulatedCluster.ts"

/** Faults begin within so many milliseconds, and a cut lasts no longer than that. */
const maxMillis = 25_000

const cuts = Faults.arbitrary(fc, { hosts: hostNames, kinds: ["Cut"], maxFaults: 5, maxMillis })
const crashes = Faults.arbitrary(fc, { hosts: runnerNames, kinds: ["Crash"], maxFaults: 3, maxMillis })

const tlsServer: Tls.ServerOptions = {
  ca: authority.cert,
  clientCertificate: "require",
  identity: certificates.server.identity
}
const tlsClient: Tls.ClientOptions = {
  ca: authority.cert,
  identity: certificates.client.identity,
  serverName: "localhost"
}

/** A cluster for a seed: every third one over mutual TLS, and none with the same network. */
const clusterOf = (seed: number): ClusterOptions & { readonly faults: Faults.Script } => {
  const generated = fc.sample(fc.tuple(cuts as fc.Arbitrary<Faults.Script>, crashes as fc.Arbitrary<Faults.Script>), {
    seed,
    numRuns: 1
  })[0]!
  const faults = generated
    .flat()
    // in the end everything heals
    .map((fault) => (fault._tag === "Cut" && fault.millis === "forever" ? { ...fault, millis: maxMillis } : fault))
  const ends = faults.map((fault) =>
    fault._tag === "Cut" ? fault.at + (fault.millis as number) : fault._tag === "Crash" ? fault.at : 0
  )
  const isSecure = seed % 3 === 0
  const path: TestNetwork.Path = { latency: [0, 1, 20, 80][seed % 4], chunking: seed % 2 === 0 ? "random" : "asIs" }
  const server: ClusterStreams.ServerOptions = isSecure ? { tls: tlsServer } : {}
  const client: ClusterStreams.ClientOptions = isSecure ? { tls: tlsClient } : {}
  return {
    faults,
    faultsUntil: Math.max(5000, ...ends),
    server,
    client,
    wire: { seed, fromClient: path, fromServer: path }
  }
}

/** What a cluster logs in good faith about its faults. */
const quiet = Logger.layer([])

/** No acknowledged message is missing, and every room answers after the faults. */
export const checkCluster = (seed: number, changes?: Omit<ClusterOptions, "faults">): Effect.Effect<ClusterReport> =>
  Effect.gen(function* () {
    const options: ReturnType<typeof clusterOf> = { ...clusterOf(seed), ...changes }
    const report = yield* Effect.orDie(simulateCluster(options)).pipe(Effect.provide(quiet))
    const story = `seed ${seed}\n${Faults.format(options.faults)}`
    assert.deepStrictEqual(report.missing, [], `acknowledged and lost, ${story}`)
    assert.deepStrictEqual(report.silent, [], `silent rooms, ${story}`)
    assert.deepStrictEqual(report.dead, [], `rooms in which nobody talks any more, ${story}`)
    assert.isAbove(report.acknowledged, 100, story)
    return report
  })

/** What happened, but for the ids: they have another length in each run of a process. */
export const timelineOf = ({ events }: ClusterReport): ReadonlyArray<string> =>
  Array.from(
    new Set(
      events.map(({ at, connection, detail = "", from, kind }) => `${at} #${connection} ${from} ${kind} ${detail}`)
    )
  )
