/** What this process holds open, to tell whether something was left behind. */
import type { Effect } from "effect"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { eventually } from "./wait.ts"

export interface Held {
  /** Sockets among the open file descriptors. */
  readonly sockets: number
  /** Handles of sockets, servers and pipes that keep the event loop alive. */
  readonly handles: number
}

const networkHandles = new Set(["TCPSocketWrap", "TCPServerWrap", "PipeWrap", "PipeServerWrap", "TLSWrap"])

/** The open sockets, by the number that the system gave them. */
const openSockets = (): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const link = readlinkSync(`/proc/self/fd/${fd}`)
      if (link.startsWith("socket:")) found.push(link.slice("socket:[".length, -1))
    } catch {
      // closed in between, such as that of the listing itself
    }
  }
  return found
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
