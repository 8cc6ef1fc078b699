/** Systems that the tests do not run on. */
import { Effect } from "effect"

/** Node says until the end of the scope that it runs on another system. */
export const onPlatform = (platform: NodeJS.Platform) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const own = Object.getOwnPropertyDescriptor(process, "platform")!
      Object.defineProperty(process, "platform", { ...own, value: platform })
      return own
    }),
    (own) => Effect.sync(() => Object.defineProperty(process, "platform", own))
  )
