/** What it costs to be observed: requests to a server with an observer, beside the same without one. */
import { cases } from "../cases.ts"
import { observers } from "../contenders.ts"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { evaluate, measure } from "./network.ts"

const observed = cases.flatMap((one) => {
  const match = /^exchange-raw-64-(x\d+)$/.exec(one.id)
  return match === null ? [] : [{ ...one, id: `observed-${match[1]}`, title: `observed: ${one.title}` }]
})

export const names = observed.map(({ id }) => id)

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  for (const one of observed) {
    if (wanted(options, one.id)) onResult(evaluate(one, await measure(one, observers, options), observers[0]!.id))
  }
}
