/** One frame of several, or one that may be missing. */
import * as Option from "effect/Option"
import { stop } from "./cursor.ts"
import { describe, make, type Node, of, type Steps, type Stepwise, writeField } from "./node.ts"
import { reasonOf } from "./progress.ts"
import { EncodeFault } from "./sink.ts"

export const option = <A>(presence: unknown, element: unknown): Node<Option.Option<A>> => {
  const present = of<boolean>("option", presence)
  const item = of<A>("option", element)
  return make<Option.Option<A>>({
    name: "option",
    min: present.minBytes,
    max: present.maxBytes + item.maxBytes,
    recursive: present.recursive || item.recursive,
    read: (cursor) => {
      cursor.entered++
      const is = present.read(cursor)
      if (is === stop) return cursor.within("present", false)
      if (is !== true) return Option.none()
      const value = item.read(cursor)
      return value === stop ? cursor.within("value", true) : Option.some(value as A)
    },
    *steps(progress: Stepwise): Steps<any> {
      progress.key = "present"
      if ((yield present) !== true) return Option.none()
      progress.key = "value"
      progress.last = true
      return Option.some(yield item)
    },
    write: (sink, value) => {
      if (!Option.isOption(value)) throw new EncodeFault(`must be an Option, got ${describe(value)}`)
      writeField(sink, present, "present", Option.isSome(value))
      if (Option.isSome(value)) writeField(sink, item, "value", value.value)
    }
  })
}

type Tag = number | bigint | string

export const union = (
  tagFrame: unknown,
  cases: { readonly [tag: string]: unknown },
  options: { readonly tagOf: (value: any) => Tag }
): Node<any> => {
  const tag = of<Tag>("union", tagFrame)
  const nodes = new Map<string, Node<any>>()
  // small numbers, which most tags are, find theirs without being made text
  const dense: Array<Node<any> | undefined> = []
  for (const key of Object.keys(cases)) {
    const node = of<any>("union", cases[key])
    nodes.set(key, node)
    const index = Number(key)
    if (Number.isInteger(index) && index >= 0 && index < 1024 && String(index) === key) dense[index] = node
  }
  if (nodes.size === 0) throw new RangeError("union: cases must have at least one")
  if (typeof options?.tagOf !== "function") {
    throw new TypeError(`union: tagOf must be a function, got ${describe(options?.tagOf)}`)
  }
  const tagOf = (value: unknown): Tag => {
    try {
      return options.tagOf(value)
    } catch (cause) {
      throw cause instanceof EncodeFault ? cause : new EncodeFault(reasonOf(cause), cause)
    }
  }
  const caseOf = (value: Tag): Node<any> | undefined =>
    (typeof value === "number" && value < dense.length ? dense[value] : undefined) ?? nodes.get(String(value))
  const all = Array.from(nodes.values())
  const unknown = (value: Tag): string => `the tag ${describe(value)} is not known`
  return make<any>({
    name: "union",
    min: tag.minBytes + Math.min(...all.map((node) => node.minBytes)),
    max: tag.maxBytes + Math.max(...all.map((node) => node.maxBytes)),
    recursive: tag.recursive || all.some((node) => node.recursive),
    read: (cursor) => {
      cursor.entered++
      const { at } = cursor
      const value = tag.read(cursor)
      if (value === stop) return cursor.within("tag", false)
      const node = caseOf(value)
      if (node === undefined) {
        cursor.malformed(unknown(value), at)
        return cursor.within("tag", false)
      }
      const one = node.read(cursor)
      return one === stop ? cursor.within(String(value), true) : one
    },
    *steps(progress: Stepwise): Steps<any> {
      const at = progress.offset
      progress.key = "tag"
      const value: Tag = yield tag
      const node = caseOf(value)
      if (node === undefined) return progress.wrong("tag", unknown(value), at)
      progress.key = String(value)
      progress.last = true
      return yield node
    },
    write: (sink, value) => {
      const which = tagOf(value)
      const node = caseOf(which)
      if (node === undefined) throw new EncodeFault(`tagOf names ${describe(which)}, which is no case`)
      writeField(sink, tag, "tag", which)
      writeField(sink, node, String(which), value)
    }
  })
}
