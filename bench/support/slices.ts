/** Rounds in which the ways take turns so often that a machine that is faster and slower by moments is so for all of them. */
import type { Entry } from "../result.ts"
import type { Options } from "./options.ts"
import { median, medianRatio } from "./statistics.ts"

const sliceMillis = 50

/** Who works as many milliseconds as it is asked to, and answers what came of it. */
interface Worker<Answer> {
  ask(millis: number): Promise<Answer>
}

/** What each way answers to each slice, which counts as a round: one in which the machine stood still is one of many. */
export const sliced = async <Answer>(
  readers: ReadonlyArray<Worker<Answer>>,
  options: Options
): Promise<ReadonlyArray<ReadonlyArray<Answer>>> => {
  for (const reader of readers) await reader.ask(options.warmUpMillis)
  const slices = options.rounds * Math.max(1, Math.round(options.millis / sliceMillis))
  const rounds = readers.map((): Array<Answer> => [])
  for (let slice = 0; slice < slices; slice++) {
    for (const [index, reader] of readers.entries()) rounds[index]!.push(await reader.ask(sliceMillis))
  }
  return rounds
}

/** What was measured of each way, beside the first. */
export const entriesOf = (
  ways: ReadonlyArray<{ readonly id: string; readonly title: string }>,
  rounds: ReadonlyArray<ReadonlyArray<number>>
): ReadonlyArray<Entry> =>
  ways.map((way, index) => ({
    ...way,
    rounds: rounds[index]!,
    median: median(rounds[index]!),
    ratio: medianRatio(rounds[index]!, rounds[0]!)
  }))
