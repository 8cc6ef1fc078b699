/** Several machines, as far as one has them: addresses of its own, and processes. */
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

/** Addresses of this machine that nobody else is likely to use. On Linux all of 127.0.0.0/8 are. */
export const machines = (count: number): ReadonlyArray<string> => {
  const some = () => 1 + Math.floor(Math.random() * 250)
  const network = `127.${some()}.${some()}`
  return Array.from({ length: count }, (_, index) => `${network}.${index + 1}`)
}

export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "gateways-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/**
 * Starts a gateway, and waits until it is ready. Calls `onRoom` with each room that it begins to run. The end of the scope
 * ends it, in good order as far as that takes no longer than three seconds.
 */
export const gatewayProcess = (environment: Record<string, string>, onRoom: (room: string) => void) =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [join(import.meta.dirname, "gateway.ts")], {
          env: { ...process.env, ...environment },
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) => {
        child.kill("SIGTERM")
        return Effect.timeoutOrElse(ended(child), {
          duration: "3 seconds",
          orElse: () => Effect.sync(() => void child.kill("SIGKILL"))
        })
      }
    )
    const ready = Effect.callback<void>((resume) => {
      createInterface(child.stdout).on("line", (line) => {
        if (line === "ready") resume(Effect.void)
        else if (line.startsWith("room ")) onRoom(line.slice("room ".length))
        else console.log(line)
      })
      child.once("exit", (code) => resume(Effect.die(new Error(`a gateway ended (${code})`))))
    })
    yield* Effect.timeoutOrElse(ready, {
      duration: "25 seconds",
      orElse: () => Effect.die(new Error("a gateway was not ready within 25 seconds"))
    })
    return child
  })

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })
