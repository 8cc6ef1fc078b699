/** Checks subjects of `browserSubjects` in the page that loads this, and tells the server what was found of each. */
import { Cause, Effect, Exit } from "effect"
import type { Found } from "../../support/browser.ts"
import { subjects } from "../../support/browserSubjects.ts"

const tell = (found: Found): Promise<unknown> => fetch("/found", { method: "POST", body: JSON.stringify(found) })

const { location } = globalThis as unknown as { readonly location: { readonly hash: string } }
const asked: ReadonlyArray<string> = JSON.parse(decodeURIComponent(location.hash.slice(1)))

await Effect.runPromise(
  Effect.forEach(
    subjects.filter(({ name }) => asked.includes(name)),
    ({ checks, name }) =>
      Effect.forEach(
        checks,
        ({ check, name }) =>
          Effect.map(Effect.exit(check), (exit) => ({
            name,
            failure: Exit.isFailure(exit) ? Cause.pretty(exit.cause) : undefined
          })),
        // most of what the laws do is wait
        { concurrency: 8 }
      ).pipe(Effect.tap((checks) => Effect.promise(() => tell({ subject: name, checks })))),
    { concurrency: 2 }
  )
)
