/** How a run of bytes is cut into the pieces in which it arrives. */
import type { Chunking } from "../../../testing/TestNetwork.ts"
import * as Argument from "../../base/argument.ts"
import { maxRandomPiece } from "../../base/defaults.ts"
import * as Random from "../random.ts"

/**
 * The size of the next piece: `offset` is its place in all that was ever sent,
 * `left` what is left of a run of `length` bytes.
 */
export type Cutter = (offset: number, left: number, length: number) => number

/** `seed` is that of the network, where `chunking` has none of its own. */
export const cutter = (operation: string, name: string, chunking: Chunking, seed: number): Cutter => {
  if (typeof chunking === "string") {
    switch (chunking) {
      case "asIs":
        return (_offset, left) => left
      case "oneByte":
        return () => 1
      case "halves":
        return (_offset, left, length) => (left === length ? Math.ceil(length / 2) : left)
      case "random":
        return random(seed, maxRandomPiece)
      default:
        throw Argument.wrongType(operation, name, kinds, chunking)
    }
  }
  if (typeof chunking !== "object" || chunking === null) throw Argument.wrongType(operation, name, kinds, chunking)
  if ("offsets" in chunking) {
    if (!Array.isArray(chunking.offsets)) {
      throw Argument.wrongType(operation, `${name}.offsets`, "an array of numbers", chunking.offsets)
    }
    const offsets = chunking.offsets.map((offset) => Argument.count(operation, `${name}.offsets`, offset))
    offsets.sort((a, b) => a - b)
    let next = 0
    return (offset, left) => {
      while (next < offsets.length && offsets[next]! <= offset) next++
      return next < offsets.length ? Math.min(left, offsets[next]! - offset) : left
    }
  }
  const { max, most, seed: own = seed } = Argument.record(operation, `${name}.random`, chunking.random)
  return random(
    Argument.finite(operation, `${name}.random.seed`, own),
    max === undefined && most !== undefined
      ? Argument.positive(operation, `${name}.random.most`, most)
      : Argument.positive(operation, `${name}.random.max`, max === undefined ? maxRandomPiece : max)
  )
}

const kinds = `"asIs", "oneByte", "halves", "random", or an object with random or offsets`

const random = (seed: number, max: number): Cutter => {
  const next = Random.make(seed)
  return (_offset, left) => Random.size(next, Math.min(left, max))
}
