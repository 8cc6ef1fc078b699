/**
 * What a protocol costs, by its example in examples/protocols and by what programs use: processor time an operation, and
 * operations a second beside it.
 */
import type { Result } from "../result.ts"
import { median, medianRatio } from "./statistics.ts"

/** What a process has done in a round. */
export interface Worked {
  readonly operations: number
  /** Of its processor time. */
  readonly micros: number
  readonly seconds: number
}

export interface Way {
  readonly id: string
  readonly title: string
}

/** The example, by what is compared with it. */
export const example = (file: string): Way => ({ id: "example", title: `examples/protocols/${file}` })

/** All are compared with the one of the others that takes the least processor time. */
export const resultOf = (
  id: string,
  title: string,
  ways: ReadonlyArray<Way>,
  worked: ReadonlyArray<ReadonlyArray<Worked>>
): Result => {
  const measured = ways.map((way, i) => ({
    ...way,
    rounds: worked[i]!.map(({ micros, operations }) => micros / operations),
    perSecond: median(worked[i]!.map(({ operations, seconds }) => operations / seconds))
  }))
  const isOurs = (way: Way): boolean => way.id === "example"
  const sorted = measured.toSorted(
    (a, b) => Number(isOurs(a)) - Number(isOurs(b)) || median(a.rounds) - median(b.rounds)
  )
  return {
    id,
    title,
    unit: "µs of processor time",
    better: "less",
    entries: sorted.map((one) => ({
      ...one,
      median: median(one.rounds),
      ratio: medianRatio(one.rounds, sorted[0]!.rounds)
    }))
  }
}
