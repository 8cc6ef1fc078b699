/**
 * What passes through a server: a client talks to a relay, which talks to a server that sends all bytes back. That one runs
 * beside the load generator. Over TLS it is the client's leg that is encrypted.
 */
import { type Case, cases } from "../cases.ts"
import { available, baseline, relays } from "../contenders.ts"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ServerProcess } from "../support/processes.ts"
import { evaluate, measure } from "./network.ts"

const relayed = cases.flatMap((one): ReadonlyArray<Case> => {
  if (one.id !== "pipeline-raw-65536" && one.id !== "exchange-raw-64-x64") return []
  const plain = { ...one, id: `relay-${one.pattern}`, title: `relay: ${one.title}` }
  return [plain, { ...plain, id: `relay-tls-${one.pattern}`, title: `relay, TLS on one leg: ${one.title}`, tls: true }]
})

export const names = relayed.map(({ id }) => id)

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  const byHand = available().find(({ id }) => id === baseline)!
  for (const one of relayed) {
    if (!wanted(options, one.id)) continue
    const behind = await ServerProcess.start(byHand, "raw", [], undefined, "load")
    try {
      const contenders = relays.map((relay) => ({
        ...relay,
        arguments: [...(relay.arguments ?? []), `--upstream=${behind.port}`]
      }))
      onResult(evaluate(one, await measure(one, contenders, options), relays[0]!.id))
    } finally {
      await behind.stop()
    }
  }
}
