/** The few numbers that say what a series of measurements says. */

export const median = (values: ReadonlyArray<number>): number => {
  if (values.length === 0) return Number.NaN
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The median of the ratios of two series that were measured side by side, round by round. */
export const medianRatio = (values: ReadonlyArray<number>, to: ReadonlyArray<number>): number =>
  median(values.map((value, round) => value / to[round]!))

/** How far apart the rounds were: the range of the middle half, as a part of the median. */
export const spread = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const quarter = Math.floor(sorted.length / 4)
  return (sorted[sorted.length - 1 - quarter]! - sorted[quarter]!) / median(values)
}
