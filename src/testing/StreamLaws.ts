/** laws */
import * as Effect from "effect/Effect"
import * as InternalLaw from "../internal/testingLaw.ts"
import { lawsOfBytes } from "../internal/testingLawsOfBytes.ts"
import { lawsOfEnding } from "../internal/testingLawsOfEnding.ts"
import { lawsOfFlow } from "../internal/testingLawsOfFlow.ts"
import { lawsOfInterruption } from "../internal/testingLawsOfInterruption.ts"
export type Law = InternalLaw.Law
export const all: ReadonlyArray<Law> = [...lawsOfBytes, ...lawsOfEnding, ...lawsOfFlow, ...lawsOfInterruption]
export const suite = <E>(
  it: (name: string, run: () => Promise<void>) => void,
  makePair: InternalLaw.MakePair<E, never>
) => {
  for (const law of all) it(law.name, () => Effect.runPromise(Effect.scoped(law.check(makePair))))
}
