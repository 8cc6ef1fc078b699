/** What this process holds open, to tell whether something was left behind. */
import type { Effect } from "effect"
import { readdirSync, readlinkSync } from "node:fs"
import { eventually } from "./wait.ts"

export interface Held {
  /** Sockets among the open file descriptors. */
  readonly sockets: number
  /** Handles of sockets, servers and pipes that keep the event loop alive. */
  readonly handles: number
}

const networkHandles = new Set(["TCPSocketWrap", "TCPServerWrap", "PipeWrap", "PipeServerWrap", "TLSWrap"])

/** What is held now. */
export const held = (): Held => {
  let sockets = 0
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:")) sockets++
    } catch {
      // closed in between, such as that of the listing itself
    }
  }
  const handles = process.getActiveResourcesInfo().filter((name) => networkHandles.has(name)).length
  return { sockets, handles }
}

/** Waits until no more is held than `before`. */
export const backTo = (before: Held): Effect.Effect<unknown> =>
  eventually(`no more than ${before.sockets} sockets and ${before.handles} handles are held`, () => {
    const now = held()
    return now.sockets <= before.sockets && now.handles <= before.handles
  })
