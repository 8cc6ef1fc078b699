/** Frames one behind the other: fields with names, elements without. */
import { compile } from "./compile.ts"
import { type Cursor, stop } from "./cursor.ts"
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
  const isFixed = min === max
  return make<any>({
    name: "struct",
    min,
    max,
    recursive: nodes.some((node) => node.recursive),
    read: (options?.compile === false ? undefined : compile(keys, nodes, min)) ?? readStruct(keys, nodes, min),
    steps: isFixed
      ? undefined
      : function* (progress: Stepwise): Steps<any> {
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

/** What a compiled struct does, as a loop. */
const readStruct = (keys: ReadonlyArray<string>, nodes: ReadonlyArray<Node<any>>, min: number) => {
  const reads = nodes.map((node) => node.read)
  const says = nodes.map((node) => !node.isVoid)
  const set = keys.includes("__proto__")
    ? define
    : (value: Record<string, unknown>, key: string, field: unknown): void => void (value[key] = field)
  return (cursor: Cursor): any => {
    cursor.entered++
    const left = cursor.end - cursor.at
    if (left < min) return cursor.more(min - left)
    const value: Record<string, unknown> = {}
    for (let i = 0; i < reads.length; i++) {
      const field = reads[i]!(cursor)
      if (field === stop) return cursor.within(keys[i]!, i === reads.length - 1)
      if (says[i] === true) set(value, keys[i]!, field)
    }
    return value
  }
}

export const tuple = (elements: ReadonlyArray<unknown>): Node<any> => {
  const nodes = elements.map((element) => of<any>("tuple", element))
  const min = sum(nodes, (node) => node.minBytes)
  const max = sum(nodes, (node) => node.maxBytes)
  return make<any>({
    name: "tuple",
    min,
    max,
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
    steps:
      min === max
        ? undefined
        : function* (progress: Stepwise): Steps<any> {
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
