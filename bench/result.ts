/** What a run finds out, as data: measured by `suites/`, judged by `targets.ts`, shown by `report/`. */

/** One contender in one case. */
export interface Entry {
  readonly id: string
  readonly title: string
  /** One figure a round, in the unit of the result. */
  readonly rounds: ReadonlyArray<number>
  readonly median: number
  /** The median, over the rounds, of this figure divided by the baseline's of the same round. */
  readonly ratio: number
  /** The same for the baseline that has loaded Effect, where there is one. */
  readonly loadedRatio?: number | undefined
  /** Microseconds of processor time that the server, and the load generator, took for one operation. */
  readonly serverMicros?: number | undefined
  readonly loadMicros?: number | undefined
  /** Milliseconds: the median, over the rounds, of what all requests but the slowest hundredth took at most. */
  readonly p99?: number | undefined
  /** Operations a second, where the figure is another. */
  readonly perSecond?: number | undefined
  /** How much of their cores server and load generator used, from 0 to 1. */
  readonly serverBusy?: number | undefined
  readonly loadBusy?: number | undefined
}

/** One case. */
export interface Result {
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly better: "more" | "less"
  readonly entries: ReadonlyArray<Entry>
}

/** How a cost grows with a size: a row a size, a column a way. */
export interface Growth {
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<{ readonly size: string; readonly costs: ReadonlyArray<number | undefined> }>
}

export interface Report {
  readonly results: ReadonlyArray<Result>
  readonly growths: ReadonlyArray<Growth>
}
