/** Systems that the tests do not run on. */
import { Effect } from "effect"

/** Node says until the end of the scope that it runs on another system. */
export const onPlatform = (platform: NodeJS.Platform) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const own = Object.getOwnPropertyDescriptor(process, "platform")
      Object.defineProperty(process, "platform", { configurable: true, enumerable: true, value: platform })
      return own
    }),
    (own) =>
      Effect.sync(() => {
        if (own === undefined) Reflect.deleteProperty(process, "platform")
        else Object.defineProperty(process, "platform", own)
      })
  )
