/** Floating-point numbers. */
import { fixed } from "./integers.ts"
import { describe, type Node } from "./node.ts"
import { EncodeFault } from "./sink.ts"

const scratch = new DataView(new ArrayBuffer(8))
const scratchBytes = new Uint8Array(scratch.buffer)

const float = (name: string, size: 4 | 8, littleEndian: boolean): Node<number> =>
  fixed(
    name,
    size,
    (bytes, at) => {
      for (let i = 0; i < size; i++) scratchBytes[i] = bytes[at + i]!
      return size === 4 ? scratch.getFloat32(0, littleEndian) : scratch.getFloat64(0, littleEndian)
    },
    (bytes, at, value) => {
      if (size === 4) scratch.setFloat32(0, value, littleEndian)
      else scratch.setFloat64(0, value, littleEndian)
      for (let i = 0; i < size; i++) bytes[at + i] = scratchBytes[i]!
    },
    (value) => {
      if (typeof value !== "number") throw new EncodeFault(`must be a number, got ${describe(value)}`)
      if (size === 4 && Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
        throw new EncodeFault(`must fit into 32 bits, got ${value}`)
      }
      return value
    }
  )

export const float32 = float("float32", 4, false)
export const float32LE = float("float32LE", 4, true)
export const float64 = float("float64", 8, false)
export const float64LE = float("float64LE", 8, true)
