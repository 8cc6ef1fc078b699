/** Numbers that look random and are the same for the same seed, everywhere and for ever. */

/** A source of numbers from 0 up to, but not including, 1. */
export type Random = () => number

/** Mulberry32: 32 bits of state, which is plenty to cut bytes into pieces. */
export const make = (seed: number): Random => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x100000000
  }
}

/** A seed of its own for each part of a network, so that what one part draws changes nothing for another. */
export const derive = (seed: number, ...path: ReadonlyArray<number>): number => {
  let hash = 0x811c9dc5 ^ seed
  for (const part of path) hash = Math.imul(hash ^ part, 0x01000193) ^ (hash >>> 13)
  return hash | 0
}

/** An integer from 1 to `most`: small ones as likely as large ones, order of magnitude by order of magnitude. */
export const size = (random: Random, most: number): number =>
  Math.min(most, Math.max(1, Math.floor(Math.pow(2, random() * Math.log2(most + 1)))))
