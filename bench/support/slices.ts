/** Rounds in which the ways take turns so often that a machine that is faster and slower by moments is so for all of them. */
import type { Options } from "./options.ts"
import type { ReaderProcess } from "./processes.ts"

const sliceMillis = 50

/** How many a second each way manages, in each round. */
export const sliced = async (
  readers: ReadonlyArray<ReaderProcess<number, number>>,
  options: Options
): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
  for (const reader of readers) await reader.ask(options.warmUpMillis)
  const slices = Math.max(1, Math.round(options.millis / sliceMillis))
  const rounds = readers.map((): Array<number> => [])
  for (let round = 0; round < options.rounds; round++) {
    const sums = readers.map(() => 0)
    for (let slice = 0; slice < slices; slice++) {
      for (const [index, reader] of readers.entries()) sums[index]! += await reader.ask(sliceMillis)
    }
    for (const [index, sum] of sums.entries()) rounds[index]!.push(sum / slices)
  }
  return rounds
}
