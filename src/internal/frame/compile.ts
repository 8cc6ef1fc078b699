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
      lines.push(`const a${i} = c.at`)
      // the first are known to be there; of others the loop says which is missing
      if (i > 0) lines.push(`if (c.end - a${i} < ${size}) { c.at = start; return loop(c) }`)
      let offset = 0
      for (const [j, { expression, minBytes }] of run.entries()) {
        lines.push(`const v${i + j} = ${expression!("bytes", `a${i} + ${offset}`)}`)
        offset += minBytes
      }
      lines.push(`c.at = a${i} + ${size}`)
      i += run.length
      continue
    }
    // keys are data, and never code: each stands in the text as a string
    const within = `c.within(${JSON.stringify(keys[i])}, ${i === nodes.length - 1})`
    lines.push(`const v${i} = r${i}(c); if (v${i} === stop) return ${within}`)
    i++
  }
  const property = (key: string): string => (key === "__proto__" ? `["__proto__"]` : JSON.stringify(key))
  const fields = nodes.flatMap((node, i) => (node.isVoid ? [] : [`${property(keys[i]!)}: v${i}`]))
  const text = [
    "return (c) => {",
    "c.entered++",
    `const start = c.at, left = c.end - start; if (left < ${min}) return c.more(${min} - left)`,
    "const bytes = c.bytes",
    ...lines,
    `return { ${fields.join(", ")} }`,
    "}"
  ].join("\n")
  return new Function("stop", "loop", ...nodes.map((_, i) => `r${i}`), text)(
    stop,
    loop,
    ...nodes.map((node) => node.read)
  )
}

/** The fields from `i` on that are nothing but an expression. */
const runFrom = (nodes: ReadonlyArray<Node<any>>, i: number): ReadonlyArray<Node<any>> => {
  const end = nodes.findIndex((node, j) => j >= i && node.expression === undefined)
  return nodes.slice(i, end === -1 ? undefined : end)
}
