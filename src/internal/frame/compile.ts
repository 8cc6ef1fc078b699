/**
 * Structs as functions made for them: integers that lie side by side are looked at together, each other field is read by a
 * call of its own, which the engine compiles into the function, and the value is made in one go. Where functions may not be
 * made from text, the loop does the same.
 */
import { type Cursor, stop } from "./cursor.ts"
import type { Node } from "./node.ts"

/** Whether functions may be made from text here; a policy may forbid it. Asked once. */
let allowed: boolean | undefined

const isAllowed = (): boolean => {
  if (allowed === undefined) {
    try {
      allowed = new Function("return 1")() === 1
    } catch {
      allowed = false
    }
  }
  return allowed
}

/** More fields than this are read by the loop: the engine does not compile a function that long well. */
const mostFields = 64

/** `loop`: does the same, field by field. */
export const compile = (
  keys: ReadonlyArray<string>,
  nodes: ReadonlyArray<Node<any>>,
  min: number,
  loop: (cursor: Cursor) => any
): ((cursor: Cursor) => any) | undefined => {
  if (nodes.length > mostFields || !isAllowed()) return undefined
  const lines: Array<string> = []
  for (let i = 0; i < nodes.length;) {
    const run = runFrom(nodes, i)
    if (run.length > 0) {
      const size = run.reduce((sum, { minBytes }) => sum + minBytes, 0)
      // the first are known to be there; of others the loop says which is missing
      if (i > 0) lines.push(`if (c.end - at < ${size}) ${byLoop}`)
      let offset = 0
      for (const [j, { expression, minBytes }] of run.entries()) {
        lines.push(`const v${i + j} = ${expression!("bytes", `at + ${offset}`)}`)
        offset += minBytes
      }
      lines.push(`at += ${size}`)
      i += run.length
      continue
    }
    const { view } = nodes[i]!
    lines.push(...(view === undefined ? byCall(keys, i) : byView(i, view)))
    i++
  }
  const property = (key: string): string => (key === "__proto__" ? `["__proto__"]` : JSON.stringify(key))
  const fields = nodes.flatMap((node, i) => (node.isVoid ? [] : [`${property(keys[i]!)}: v${i}`]))
  const text = [
    "return (c) => {",
    "c.entered++",
    `const start = c.at, left = c.end - start; if (left < ${min}) return c.more(${min} - left)`,
    "const bytes = c.bytes; let at = start",
    ...lines,
    "c.at = at",
    `return { ${fields.join(", ")} }`,
    "}"
  ].join("\n")
  return new Function("stop", "loop", ...nodes.map((_, i) => `r${i}`), text)(
    stop,
    loop,
    ...nodes.map((node) => node.read)
  )
}

/** What is not all there, or wrong, the loop tells. */
const byLoop = "{ c.at = start; return loop(c) }"

const byCall = (keys: ReadonlyArray<string>, i: number): ReadonlyArray<string> => [
  // keys are data, and never code: each stands in the text as a string
  `c.at = at; const v${i} = r${i}(c)`,
  `if (v${i} === stop) return c.within(${JSON.stringify(keys[i])}, ${i === keys.length - 1})`,
  "at = c.at"
]

const byView = (i: number, { limit, prefix }: NonNullable<Node<any>["view"]>): ReadonlyArray<string> => {
  const size = prefix.minBytes
  return [
    `if (c.end - at < ${size}) ${byLoop}`,
    `const s${i} = ${prefix.expression!("bytes", "at")}`,
    `if (s${i} < 0 || s${i} > ${limit} || c.end - at - ${size} < s${i}) ${byLoop}`,
    `const v${i} = new Uint8Array(c.memory, c.base + at + ${size}, s${i})`,
    `at += ${size} + s${i}; c.entered++`
  ]
}

/** The fields from `i` on that are nothing but an expression. */
const runFrom = (nodes: ReadonlyArray<Node<any>>, i: number): ReadonlyArray<Node<any>> => {
  const end = nodes.findIndex((node, j) => j >= i && node.expression === undefined)
  return nodes.slice(i, end === -1 ? undefined : end)
}
