/** Memory of an idle connection: what a thousand of them add to a server, divided by a thousand. */
import { type Available, baseline } from "../contenders.ts"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { LoadProcess, type Memory, ServerProcess } from "../support/processes.ts"
import { median, medianRatio } from "../support/statistics.ts"

const connections = 1000

const states = ["untouched", "used"] as const
type State = (typeof states)[number]

const one = async (contender: Available, nodeFlags: ReadonlyArray<string>): Promise<Record<State, Memory>> => {
  const load = new LoadProcess()
  const server = await ServerProcess.start(contender, "raw", ["--expose-gc", ...nodeFlags])
  const { port } = server
  try {
    // what is only needed once is there afterwards
    await load.order({ _tag: "Connect", port, count: 100 })
    await load.order({ _tag: "Use" })
    await load.order({ _tag: "Disconnect", port })
    const before = await server.memory()
    const added = async (): Promise<Memory> => {
      const now = await server.memory()
      const each = (a: number, b: number) => (b - a) / connections
      return {
        rss: each(before.rss, now.rss),
        ...(before.used === undefined || now.used === undefined ? undefined : { used: each(before.used, now.used) })
      }
    }
    await load.order({ _tag: "Connect", port, count: connections })
    const untouched = await added()
    await load.order({ _tag: "Use" })
    const used = await added()
    await load.order({ _tag: "Disconnect", port })
    return { untouched, used }
  } finally {
    await load.stop()
    await server.stop()
  }
}

export const run = async (
  contenders: ReadonlyArray<Available>,
  options: Options,
  onResult: (result: Result) => void
): Promise<void> => {
  if (!states.some((state) => wanted(options, `memory-${state}`))) return
  const able = contenders.filter(({ services }) => services === undefined)
  const measured = able.map((contender) => ({ contender, rounds: [] as Array<Record<State, Memory>> }))
  for (let round = 0; round < (options.quick ? 1 : 5); round++) {
    for (const { contender, rounds } of measured) rounds.push(await one(contender, options.nodeFlags))
  }
  const base = measured.findIndex(({ contender }) => contender.id === baseline)
  for (const state of states) {
    if (!wanted(options, `memory-${state}`)) continue
    for (const kind of ["rss", "used"] as const) {
      const series = measured.flatMap(({ contender, rounds }) => {
        const figures = rounds.map((round) => round[state][kind])
        return figures.every((figure) => figure !== undefined) ? [{ contender, figures }] : []
      })
      onResult({
        id: `memory-${state}-${kind}`,
        title: `memory per idle connection, ${state === "used" ? "after one request" : "untouched"}, ${
          kind === "rss" ? "as the system sees it" : "heap and buffers"
        }`,
        unit: "bytes",
        better: "less",
        entries: series.map(({ contender, figures }) => ({
          id: contender.id,
          title: contender.title,
          rounds: figures,
          median: median(figures),
          ratio: medianRatio(figures, series[base]!.figures)
        }))
      })
    }
  }
}
