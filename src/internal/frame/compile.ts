/**
 * Structs as functions made for them: each field is read by a call of its own, which the engine compiles into the function,
 * and the value is made in one go. Where functions may not be made from text, the loop does the same.
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

export const compile = (
  keys: ReadonlyArray<string>,
  nodes: ReadonlyArray<Node<any>>,
  min: number
): ((cursor: Cursor) => any) | undefined => {
  if (nodes.length > mostFields || !isAllowed()) return undefined
  // keys are data, and never code: each stands in the text as a string
  const property = (key: string): string => (key === "__proto__" ? `["__proto__"]` : JSON.stringify(key))
  const reads = nodes.map(
    (_, i) =>
      `const v${i} = r${i}(c); if (v${i} === stop) return c.within(${JSON.stringify(keys[i])}, ${i === nodes.length - 1})`
  )
  const fields = nodes.flatMap((node, i) => (node.isVoid ? [] : [`${property(keys[i]!)}: v${i}`]))
  const text = [
    "return (c) => {",
    "c.entered++",
    `const left = c.end - c.at; if (left < ${min}) return c.more(${min} - left)`,
    ...reads,
    `return { ${fields.join(", ")} }`,
    "}"
  ].join("\n")
  return new Function("stop", ...nodes.map((_, i) => `r${i}`), text)(stop, ...nodes.map((node) => node.read))
}
