/** Start-up: from the start of the process to the first answer on the first connection. */
import { type Available, baseline, loadedBaseline } from "../contenders.ts"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { LoadProcess, ServerProcess } from "../support/processes.ts"
import { median, medianRatio } from "../support/statistics.ts"

export const run = async (
  contenders: ReadonlyArray<Available>,
  options: Options,
  onResult: (result: Result) => void
): Promise<void> => {
  if (!wanted(options, "start-up")) return
  // what is loaded and not used is no server of its own here
  const able = contenders.filter(({ id, services }) => services === undefined && id !== loadedBaseline)
  const rounds = able.map((): Array<number> => [])
  const load = new LoadProcess()
  try {
    for (let round = 0; round < (options.quick ? 3 : 21); round++) {
      for (const [index, contender] of able.entries()) {
        const server = await ServerProcess.start(contender, "raw", options.nodeFlags)
        // waits for an answer, which shows that the connection was accepted
        await load.order({ _tag: "Connect", port: server.port, count: 0 })
        rounds[index]!.push(performance.now() - server.startedAt)
        await server.stop()
      }
    }
  } finally {
    await load.stop()
  }
  const base = rounds[able.findIndex(({ id }) => id === baseline)]!
  onResult({
    id: "start-up",
    title: "start-up, process start to the first connection served",
    unit: "ms",
    better: "less",
    entries: able.map(({ id, title }, index) => ({
      id,
      title,
      rounds: rounds[index]!,
      median: median(rounds[index]!),
      ratio: medianRatio(rounds[index]!, base)
    }))
  })
}
