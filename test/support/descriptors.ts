/** What this process holds open, to tell whether something was left behind. */
import type { Effect } from "effect"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { eventually } from "./wait.ts"

export interface Held {
  /** Sockets of which there is a file descriptor. */
  readonly sockets: number
  /** Handles of sockets, servers and pipes that keep the event loop alive. */
  readonly handles: number
}

const networkHandles = new Set(["TCPSocketWrap", "TCPServerWrap", "PipeWrap", "PipeServerWrap", "TLSWrap"])

/**
 * The open sockets, by the number that the system gave them: each once, though there may be several descriptors of it.
 * Deno's runtime has a pair of its own for signals, and another descriptor of that for each of its threads.
 */
const openSockets = (): ReadonlyArray<string> => {
  const found = new Set<string>()
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const link = readlinkSync(`/proc/self/fd/${fd}`)
      if (link.startsWith("socket:")) found.add(link.slice("socket:[".length, -1))
    } catch {
      // closed in between, such as that of the listing itself
    }
  }
  return [...found]
}

/** What the system says of sockets: their lines in its tables, or that they are in none. */
const linesOf = (sockets: ReadonlyArray<string>): string => {
  const tables = ["tcp", "tcp6", "udp", "unix"].flatMap((table) =>
    readFileSync(`/proc/self/net/${table}`, "utf8")
      .split("\n")
      .map((line) => ({ table, line: line.trim(), words: line.trim().split(/\s+/) }))
  )
  return sockets
    .map((socket) => tables.find(({ words }) => words.includes(socket)) ?? { table: "?", line: socket })
    .map(({ line, table }) => `${table} ${line}`)
    .join("; ")
}

/** What is held now. */
export const held = (): Held => ({
  sockets: openSockets().length,
  handles: process.getActiveResourcesInfo().filter((name) => networkHandles.has(name)).length
})

/** Waits until no more is held than `before`. */
export const backTo = (before: Held): Effect.Effect<unknown> =>
  eventually(
    () =>
      `no more than ${before.sockets} sockets and ${before.handles} handles are held; now: ${linesOf(openSockets())}`,
    () => {
      const now = held()
      return now.sockets <= before.sockets && now.handles <= before.handles
    }
  )
