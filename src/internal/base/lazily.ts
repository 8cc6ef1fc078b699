/** Modules that are loaded when they are first needed. */
import * as Effect from "effect/Effect"

let underWay = 0

/** Whether a module is being loaded: that takes real time, also where time is simulated. */
export const isLoading = (): boolean => underWay > 0

/** The module, loaded once. It is at hand from then on. */
export const lazily = <Module>(load: () => Promise<Module>): Effect.Effect<Module> => {
  let loaded: Module | undefined
  return Effect.suspend(() => {
    if (loaded !== undefined) return Effect.succeed(loaded)
    underWay++
    return Effect.promise(load).pipe(
      Effect.map((module) => (loaded = module)),
      Effect.ensuring(Effect.sync(() => void underWay--))
    )
  })
}
