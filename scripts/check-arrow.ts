/**
 * Keeps the order of the rooms of `src`: each folder of `src/internal` may import from those that are listed for it, and no
 * files import each other in a circle, not even types. A face and its implementation may name each other's types: imports
 * of types from `src/internal` to a face are no part of a circle.
 *
 * No file of `src/internal` has more than 400 lines of code. Comments and blank lines are not counted.
 */
import { globSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"

const mostLines = 400

const contracts = ["Transport", "Network", "Tls"]

const before: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ["contracts", []],
  ["base", ["contracts"]],
  ["runtime", ["contracts", "base"]],
  ["frame", ["contracts", "base", "runtime"]],
  ["read", ["contracts", "base", "runtime", "frame"]],
  ["write", ["contracts", "base", "runtime", "frame"]],
  ["connect", ["contracts", "base", "runtime"]],
  ["transport", ["contracts", "base", "runtime"]],
  ["session", ["contracts", "base", "runtime", "frame", "read", "write", "transport"]],
  ["server", ["contracts", "base", "runtime", "frame", "read", "write", "transport", "session"]],
  ["node", ["contracts", "base", "runtime", "connect", "transport"]],
  ["browser", ["contracts", "base", "transport"]],
  ["exchange", ["contracts", "base", "runtime", "frame", "read", "write", "transport", "session", "server"]],
  ["cluster", ["contracts", "base", "session", "server"]],
  ["observe", ["contracts", "base", "runtime"]],
  ["command", ["contracts", "base", "observe"]],
  [
    "testing",
    [
      "contracts",
      "base",
      "runtime",
      "frame",
      "read",
      "write",
      "connect",
      "transport",
      "session",
      "server",
      "observe",
      "faces"
    ]
  ]
]

/** What does not hold, and why. */
const exceptions: ReadonlyMap<string, string> = new Map([])

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

const files = globSync("src/**/*.ts").map((file) => file.replaceAll("\\", "/"))
const known = new Set(files)

/** The source without its comments: what stands in them imports nothing. */
const codeOf = (file: string): string => {
  const text = readFileSync(file, "utf8")
  return text.replace(/\/\*[^]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")
}

const importsOf = (file: string, code: string): ReadonlyArray<Import> => {
  const found: Array<Import> = []
  const statements = /^(?:import|export)\s+(type\s)?([^"';]*?)from\s+"(\.[^"]+)"|\bimport\(\s*"(\.[^"]+)"\s*\)/gm
  for (const [, type, names, fixed, dynamic] of code.matchAll(statements)) {
    const to = normalize(join(dirname(file), (fixed ?? dynamic)!)).replaceAll("\\", "/")
    if (!known.has(to)) throw new Error(`${file}: ${to} is no file`)
    const parts = /^\s*\{([^]*)\}\s*$/
      .exec(names ?? "")?.[1]
      ?.split(",")
      .filter((part) => part.trim() !== "")
    const typeOnly = type !== undefined || (parts !== undefined && parts.every((part) => /^\s*type\s/.test(part)))
    found.push({ from: file, to, typeOnly })
  }
  return found
}

const roomOf = (file: string): string => {
  const [, top, folder] = file.split("/")
  if (top === "internal") return folder!
  return contracts.includes(top!.replace(/\.ts$/, "")) ? "contracts" : "faces"
}

const wrong: Array<string> = []
const used = new Set<string>()
const tell = (key: string, message: string): void => {
  if (exceptions.has(key)) used.add(key)
  else wrong.push(message)
}

const edges = new Map<string, Array<string>>()
for (const file of files) {
  const code = codeOf(file)
  const room = roomOf(file)
  const lines = code.split("\n").filter((line) => line.trim() !== "").length
  if (file.startsWith("src/internal/") && lines > mostLines) {
    tell(file, `${file} has ${lines} lines of code, more than ${mostLines}`)
  }
  const allowed = before.find(([name]) => name === room)?.[1]
  if (allowed === undefined && room !== "faces") wrong.push(`${file}: ${room} has no place in the order of the rooms`)
  edges.set(file, [])
  for (const { from, to, typeOnly } of importsOf(file, code)) {
    const target = roomOf(to)
    const isImplementation = !["faces", "contracts", "testing"].includes(room) && target === "faces"
    if (room === "contracts" ? target === "faces" : isImplementation) {
      if (!typeOnly) tell(`${from} -> ${to}`, `${from} imports ${to}: of a face it may know types alone`)
      continue
    }
    // `testing` uses faces, and some are its own
    if (room === "testing" && target === "faces" && typeOnly) continue
    edges.get(from)!.push(to)
    if (room !== "faces" && target !== room && !allowed!.includes(target)) {
      tell(`${from} -> ${to}`, `${from} imports ${to}: ${target} does not come before ${room}`)
    }
  }
}

// strongly connected components, after Tarjan
const order = new Map<string, { index: number; low: number; onStack: boolean }>()
const stack: Array<string> = []
const visit = (file: string): { index: number; low: number; onStack: boolean } => {
  const mine = { index: order.size, low: order.size, onStack: true }
  order.set(file, mine)
  stack.push(file)
  for (const next of edges.get(file)!) {
    const theirs = order.get(next)
    if (theirs === undefined) mine.low = Math.min(mine.low, visit(next).low)
    else if (theirs.onStack) mine.low = Math.min(mine.low, theirs.index)
  }
  if (mine.low === mine.index) {
    const circle = stack.splice(stack.indexOf(file))
    for (const one of circle) order.get(one)!.onStack = false
    if (circle.length > 1) {
      circle.sort()
      tell(circle.join(" "), `these import each other in a circle: ${circle.join(", ")}`)
    }
  }
  return mine
}
for (const file of files) if (!order.has(file)) visit(file)

for (const key of exceptions.keys()) if (!used.has(key)) wrong.push(`an exception that is none any more: ${key}`)

if (wrong.length > 0) {
  console.error(wrong.join("\n"))
  process.exitCode = 1
} else console.log(`${files.length} files: the rooms are in order`)
