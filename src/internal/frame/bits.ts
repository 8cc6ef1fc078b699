/** Fields of bits within whole bytes. */
import { count, define, describe, make, type Node } from "./node.ts"
import { EncodeFault } from "./sink.ts"

/** Fields of bits, the most significant first. */
export const bits = <const Fields extends { readonly [name: string]: number }>(
  fields: Fields
): Node<{ readonly [K in keyof Fields]: number }> => {
  const names = Object.keys(fields)
  const widths = names.map((name) => {
    const width = count("bits", name, fields[name], 1)
    if (width > 53) throw new RangeError(`bits: ${name} must be of 53 bits or less, got ${width}`)
    return width
  })
  const total = widths.reduce((sum, width) => sum + width, 0)
  if (total === 0 || total % 8 !== 0) {
    throw new RangeError(`bits: the widths must add up to whole bytes, got ${total} bits`)
  }
  const size = total / 8
  return make<any>({
    name: "bits",
    min: size,
    max: size,
    sure: true,
    read: (cursor) => {
      const { at, bytes } = cursor
      const left = cursor.end - at
      if (left < size) return cursor.more(size - left)
      cursor.at = at + size
      const value: Record<string, number> = {}
      let next = at
      let current = 0
      let available = 0
      for (let i = 0; i < names.length; i++) {
        let wanted = widths[i]!
        let field = 0
        while (wanted > 0) {
          if (available === 0) {
            current = bytes[next++]!
            available = 8
          }
          const part = Math.min(wanted, available)
          field = field * 2 ** part + ((current >> (available - part)) & (2 ** part - 1))
          available -= part
          wanted -= part
        }
        define(value, names[i]!, field)
      }
      return value
    },
    write: (sink, value) => {
      for (let i = 0; i < names.length; i++) {
        const field = value?.[names[i]!]
        if (!(Number.isInteger(field) && field >= 0 && field < 2 ** widths[i]!)) {
          const fault = new EncodeFault(`must be an integer from 0 to ${2 ** widths[i]! - 1}, got ${describe(field)}`)
          fault.path = names[i]!
          throw fault
        }
      }
      let at = sink.reserve(size)
      const { bytes } = sink
      let current = 0
      let room = 8
      for (let i = 0; i < names.length; i++) {
        const field: number = value[names[i]!]
        let left = widths[i]!
        while (left > 0) {
          const part = Math.min(left, room)
          current = (current << part) | (Math.floor(field / 2 ** (left - part)) % 2 ** part)
          room -= part
          left -= part
          if (room === 0) {
            bytes[at++] = current
            current = 0
            room = 8
          }
        }
      }
    }
  })
}
