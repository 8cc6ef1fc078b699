/** Frames one behind the other: fields with names, elements without. */
import { compile } from "./compile.ts"
import { type Cursor, stop, type Stop } from "./cursor.ts"
import { define, describe, describeArray, make, type Node, of, type Steps, type Stepwise, writeField } from "./node.ts"
import { EncodeFault } from "./sink.ts"

const sum = (nodes: ReadonlyArray<Node<any>>, of: (node: Node<any>) => number): number =>
  nodes.reduce((total, node) => total + of(node), 0)

export interface StructOptions {
  readonly compile?: boolean | undefined
}

export const struct = (fields: { readonly [name: string]: unknown }, options?: StructOptions): Node<any> => {
  const keys = Object.keys(fields)
  const nodes = keys.map((key) => of<any>("struct", fields[key]))
  const min = sum(nodes, (node) => node.minBytes)
  const max = sum(nodes, (node) => node.maxBytes)
  const sure = nodes.every((node) => node.sure)
  const loop = readStruct(keys, nodes, min)
  return make<any>({
    name: "struct",
    min,
    max,
    sure,
    recursive: nodes.some((node) => node.recursive),
    read: (options?.compile === false ? undefined : compile(keys, nodes, min, loop)) ?? loop,
    steps: sure
      ? undefined
      : function* (progress: Stepwise): Steps<any> {
          if (!progress.fits(min)) return progress.overrun()
          const value: Record<string, unknown> = {}
          for (let i = 0; i < nodes.length; i++) {
            progress.key = keys[i]!
            progress.last = i === nodes.length - 1
            const field = yield nodes[i]!
            if (!nodes[i]!.isVoid) define(value, keys[i]!, field)
          }
          return value
        },
    write: (sink, value) => {
      if (typeof value !== "object" || value === null)
        throw new EncodeFault(`must be an object, got ${describe(value)}`)
      for (let i = 0; i < nodes.length; i++) writeField(sink, nodes[i]!, keys[i]!, value[keys[i]!])
    }
  })
}

/**
 * What a compiled struct does, where functions may not be made. Each of the first fields has a place of its own in the code,
 * and not a turn of a loop: the engine learns the name and the reader of each place.
 */
const readStruct = (keys: ReadonlyArray<string>, nodes: ReadonlyArray<Node<any>>, min: number) => {
  const reads = nodes.map((node) => node.read)
  // a field that says nothing has no name
  const names = nodes.map((node, i) => (node.isVoid ? undefined : keys[i]))
  const [r0, r1, r2, r3, r4, r5] = reads
  const [n0, n1, n2, n3, n4, n5] = names
  const count = nodes.length
  const own = keys.includes("__proto__")
  const within = (cursor: Cursor, i: number): Stop => cursor.within(keys[i]!, i === count - 1)
  return (cursor: Cursor): any => {
    cursor.entered++
    const left = cursor.end - cursor.at
    if (left < min) return cursor.more(min - left)
    const value: Record<string, unknown> = {}
    let next = 0
    let field: unknown
    if (!own && count > 0) {
      field = r0!(cursor)
      if (field === stop) return within(cursor, 0)
      if (n0 !== undefined) value[n0] = field
      if (count === 1) return value
      field = r1!(cursor)
      if (field === stop) return within(cursor, 1)
      if (n1 !== undefined) value[n1] = field
      if (count === 2) return value
      field = r2!(cursor)
      if (field === stop) return within(cursor, 2)
      if (n2 !== undefined) value[n2] = field
      if (count === 3) return value
      field = r3!(cursor)
      if (field === stop) return within(cursor, 3)
      if (n3 !== undefined) value[n3] = field
      if (count === 4) return value
      field = r4!(cursor)
      if (field === stop) return within(cursor, 4)
      if (n4 !== undefined) value[n4] = field
      if (count === 5) return value
      field = r5!(cursor)
      if (field === stop) return within(cursor, 5)
      if (n5 !== undefined) value[n5] = field
      if (count === 6) return value
      next = 6
    }
    for (; next < count; next++) {
      field = reads[next]!(cursor)
      if (field === stop) return within(cursor, next)
      const name = names[next]
      if (name !== undefined) define(value, name, field)
    }
    return value
  }
}

export const tuple = (elements: ReadonlyArray<unknown>): Node<any> => {
  const nodes = elements.map((element) => of<any>("tuple", element))
  const min = sum(nodes, (node) => node.minBytes)
  const max = sum(nodes, (node) => node.maxBytes)
  const sure = nodes.every((node) => node.sure)
  return make<any>({
    name: "tuple",
    min,
    max,
    sure,
    recursive: nodes.some((node) => node.recursive),
    read: (cursor) => {
      cursor.entered++
      const left = cursor.end - cursor.at
      if (left < min) return cursor.more(min - left)
      const value: Array<unknown> = []
      for (let i = 0; i < nodes.length; i++) {
        const element = nodes[i]!.read(cursor)
        if (element === stop) return cursor.within(i, i === nodes.length - 1)
        value.push(element)
      }
      return value
    },
    steps: sure
      ? undefined
      : function* (progress: Stepwise): Steps<any> {
          if (!progress.fits(min)) return progress.overrun()
          const value: Array<unknown> = []
          for (let i = 0; i < nodes.length; i++) {
            progress.key = i
            progress.last = i === nodes.length - 1
            value.push(yield nodes[i]!)
          }
          return value
        },
    write: (sink, value) => {
      if (!Array.isArray(value) || value.length !== nodes.length) {
        throw new EncodeFault(`must be an array of ${nodes.length} elements, got ${describeArray(value)}`)
      }
      for (let i = 0; i < nodes.length; i++) writeField(sink, nodes[i]!, i, value[i])
    }
  })
}
