/** Runs the laws of `StreamLaws` over what claims to be a stream, and sees that exceptions are needed. */
import { describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import { vi } from "vitest"

export interface Subject {
  readonly name: string
  /** Connected transports, where there are any: they have laws of their own. */
  readonly transports?: Effect.Effect<StreamLaws.Transports, unknown, Scope.Scope>
  readonly pair: StreamLaws.MakePair<unknown>
  /** Laws that do not apply, with the reason for each. */
  readonly except?: Readonly<Record<string, string>>
  readonly transportsExcept?: Readonly<Record<string, string>>
  /** Laws that cannot hold, with the reason for each. One that holds after all fails the run. */
  readonly cannot?: Readonly<Record<string, string>>
  readonly transportsCannot?: Readonly<Record<string, string>>
}

/** Sees that these laws are broken. One that holds needs no exception. */
const broken = <L extends { readonly name: string }>(
  laws: ReadonlyArray<L>,
  cannot: Readonly<Record<string, string>>,
  check: (law: L) => Effect.Effect<void, StreamLaws.LawViolation>
) => {
  for (const [name, reason] of Object.entries(cannot)) {
    it.live(`cannot hold: ${name}: ${reason}`, () =>
      Effect.flip(check(laws.find((law) => law.name === name)!)).pipe(
        Effect.provideService(StreamLaws.patience, "1 second"),
        Effect.catchCause(() => Effect.die(new Error(`the law holds: the exception for it is to go`)))
      )
    )
  }
}

export const checkLaws = (subjects: ReadonlyArray<Subject>): void => {
  // most of what the laws do is wait, each time within their patience; some start a process for each step
  vi.setConfig({ maxConcurrency: 8, testTimeout: 300_000 })
  // and they share one event loop, of which some take many turns
  const patience = "1 minute"
  for (const { cannot = {}, except, name, pair, transports, transportsCannot = {}, transportsExcept } of subjects) {
    describe.concurrent(`ranks 39, 43: laws of streams: ${name}`, () => {
      StreamLaws.suite(it, pair, { except: { ...except, ...cannot }, patience })
      broken(StreamLaws.all, cannot, (law) => law.check(pair))
    })
    if (transports === undefined) continue
    describe.concurrent(`ranks 39, 43: laws of transports: ${name}`, () => {
      StreamLaws.transportSuite(it, transports, { except: { ...transportsExcept, ...transportsCannot }, patience })
      broken(StreamLaws.transport, transportsCannot, (law) => law.check(transports))
    })
  }
}
