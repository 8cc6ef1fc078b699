/**
 * Shutting down: nobody is served anew, handlers may finish within the grace period, and what is left is ended.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Latch from "effect/Latch"
import type { ShutdownReport } from "../../Server.ts"
import { interruptionTime } from "../base/defaults.ts"
import * as Deadline from "../runtime/deadline.ts"
import type { SessionConnection } from "../session/connection.ts"

/** The latch that opens when the server begins to shut down; of the server whose handler this is. */
export const Draining = Context.Reference<Latch.Latch | undefined>("effect-byte-streams/Server/Draining", {
  defaultValue: () => undefined
})

export const draining: Effect.Effect<void> = Effect.flatMap(
  Effect.service(Draining),
  (latch) => latch?.await ?? Effect.never
)

/** A client, as far as it is ended. */
interface Ending {
  readonly connection: SessionConnection
  readonly fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** Set where a shutdown has cut it off. */
  aborted: boolean
}

/** Those whom a server serves. */
interface Served {
  readonly places: { readonly active: Iterable<Ending>; clear(): void }
  /** Opens when the shutdown begins. */
  readonly draining: Latch.Latch
  /** Open while no handler runs. */
  readonly idle: Latch.Latch
  /** How many handlers have ended. */
  readonly ends: number
  /** Whether reads that wait for an item end with the shutdown. */
  readonly endsIdleReads: boolean
  /** Nothing more is to come. */
  finish(): void
}

/** Shuts a server down. All who ask for it are told of those whom the first of them has found. */
export type Shutdown = (gracePeriod: Duration.Input) => Effect.Effect<ShutdownReport>

export const shutdownOf = (served: Served): Shutdown => {
  /** Those whom the first call found, until there is a report. */
  let found: ReadonlyArray<Ending> | undefined
  let report: ShutdownReport | undefined
  const finish = (): ShutdownReport => {
    served.finish()
    report ??= reportOf(found ?? [])
    found = undefined
    return report
  }
  return (gracePeriod) =>
    Effect.suspend(() => {
      const left = Array.from(served.places.active)
      if (report === undefined) found ??= left
      served.draining.openUnsafe()
      if (served.endsIdleReads) for (const { connection } of left) connection.session.endIdleReads()
      served.places.clear()
      const how = {
        progress: Deadline.growing(() => served.ends),
        // all of them are of one network
        next: left[0]?.connection.session.atEndOfTurn
      }
      return Deadline.timeoutOption(served.idle.await, gracePeriod, how).pipe(
        Effect.andThen(abortHandlers(served)),
        Effect.map(finish)
      )
    })
}

const reportOf = (found: ReadonlyArray<Ending>): ShutdownReport => {
  const aborted = found.filter((client) => client.aborted).length
  return { completed: found.length - aborted, aborted }
}

const abortHandlers = (served: Served): Effect.Effect<void> => {
  const abort = Effect.suspend(() => {
    const left = Array.from(served.places.active)
    // in this order: a handler is interrupted, and does not fail because its connection went away under it
    for (const client of left) {
      client.aborted = true
      client.fiber?.interruptUnsafe()
    }
    return Effect.forEach(left, (client) => client.connection.abort, { discard: true })
  })
  // uninterruptible: a handler that shuts the server down is interrupted with the others
  return Effect.uninterruptible(abort).pipe(
    // a handler that cannot be interrupted must not hold up the shutdown
    Effect.andThen(Effect.timeoutOption(served.idle.await, interruptionTime)),
    Effect.asVoid
  )
}
