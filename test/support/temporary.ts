/** Files that a test makes. */
import { Effect, type Scope } from "effect"
import { mkdtempSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory of the test's own, removed with all that is in it. Short: the path of a Unix socket has 108 bytes. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ebs-"))),
  // again if a program that was killed, or one that it had started, has just put something into it
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }))
)

/** A path for a Unix socket that does not exist yet. */
export const socketPath = (name = "s"): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(temporaryDirectory, (directory) => join(directory, name))

/** Works in a directory until the scope closes. */
export const inDirectory = (directory: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = process.cwd()
        process.chdir(directory)
        return before
      }),
      (before) => Effect.sync(() => process.chdir(before))
    )
  )
