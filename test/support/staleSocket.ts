/** A Unix socket's path that nobody listens on any more, as a process leaves it behind that dies. */
import { Effect } from "effect"
import { linkSync, lstatSync } from "node:fs"
import * as Net from "node:net"
import { within } from "./wait.ts"

export const leaveStale = (path: string): Effect.Effect<void> =>
  within(
    "a stale socket is left behind",
    Effect.callback<void>((resume) => {
      // Node removes at close what was bound, and knows nothing of other names of it
      const bound = `${path}~`
      const server = Net.createServer().listen({ path: bound, exclusive: true }, () => {
        linkSync(bound, path)
        server.close(() => {
          if (!lstatSync(path).isSocket()) throw new Error(`${path} is no socket`)
          resume(Effect.void)
        })
      })
    })
  )
