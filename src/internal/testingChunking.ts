/** How a run of bytes is cut into the pieces in which it arrives. */
import * as Argument from "./argument.ts"
import * as Random from "./testingRandom.ts"

/** See `TestNetwork.Chunking`. */
export type Chunking =
  | "asIs"
  | "oneByte"
  | "halves"
  | "random"
  | { readonly random: { readonly seed?: number | undefined; readonly most?: number | undefined } }
  | { readonly offsets: ReadonlyArray<number> }

/**
 * The size of the next piece: `offset` is its place in all that was ever sent,
 * `left` what is left of a run of `length` bytes.
 */
export type Cutter = (offset: number, left: number, length: number) => number

const defaultMost = 4096

/** `seed` is that of the network, for those who give none of their own. */
export const cutter = (operation: string, chunking: Chunking, seed: number): Cutter => {
  if (typeof chunking === "string") {
    switch (chunking) {
      case "asIs":
        return (_offset, left) => left
      case "oneByte":
        return () => 1
      case "halves":
        return (_offset, left, length) => (left === length ? Math.ceil(length / 2) : left)
      case "random":
        return random(seed, defaultMost)
      default:
        throw new RangeError(`${operation}: unknown chunking ${String(chunking)}`)
    }
  }
  if ("offsets" in chunking) {
    const offsets = chunking.offsets.map((offset) => Argument.count(operation, "chunking.offsets", offset))
    offsets.sort((a, b) => a - b)
    let next = 0
    return (offset, left) => {
      while (next < offsets.length && offsets[next]! <= offset) next++
      return next < offsets.length ? Math.min(left, offsets[next]! - offset) : left
    }
  }
  const { most = defaultMost } = chunking.random
  if (Argument.count(operation, "chunking.random.most", most) === 0) {
    throw new RangeError(`${operation}: chunking.random.most must be above 0`)
  }
  return random(chunking.random.seed ?? seed, most)
}

const random = (seed: number, most: number): Cutter => {
  const next = Random.make(seed)
  return (_offset, left) => Random.size(next, Math.min(left, most))
}
