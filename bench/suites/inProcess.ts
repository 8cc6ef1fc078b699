/** Reading lines without a network: what an operation costs beyond the search for the end of a line. */
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import { median, medianRatio } from "../support/statistics.ts"

/** The ways of `readers/lines.ts`, the one that is compared with first. */
const ways = [
  { id: "indexOf", title: "indexOf by hand" },
  { id: "readLine", title: "readLine" },
  { id: "readUntil", title: 'readUntil("\\n")' },
  { id: "readExactly", title: "readExactly" },
  { id: "lines", title: "StreamReader.lines, per chunk" },
  { id: "linesEach", title: "StreamReader.lines, per line" },
  { id: "readline", title: "node:readline" },
  { id: "splitLines", title: "Stream.splitLines, per chunk" }
]

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  for (const length of options.quick ? [32] : [32, 128]) {
    const id = `in-process-${length}`
    if (!wanted(options, id)) continue
    const readers = ways.map((way) => new ReaderProcess<number, number>("lines", way.id, String(length)))
    const rounds = ways.map((): Array<number> => [])
    try {
      for (const reader of readers) await reader.ask(options.warmUpMillis)
      for (let round = 0; round < options.rounds; round++) {
        for (const [index, reader] of readers.entries()) rounds[index]!.push(await reader.ask(options.millis))
      }
    } finally {
      await Promise.all(readers.map((reader) => reader.stop()))
    }
    onResult({
      id,
      title: `in one process, lines of ${length} B out of chunks of 64 KiB`,
      unit: "1/s",
      better: "more",
      entries: ways.map((way, index) => ({
        ...way,
        rounds: rounds[index]!,
        median: median(rounds[index]!),
        ratio: medianRatio(rounds[index]!, rounds[0]!)
      }))
    })
  }
}
