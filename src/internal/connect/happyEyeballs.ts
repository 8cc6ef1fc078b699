/**
 * Connecting to a name that has several addresses (RFC 8305): attempts are
 * staggered, the first to succeed wins, the others are given up.
 *
 * Knows no sockets: what an attempt is, is the caller's business.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ConnectAttempt } from "../base/errors.ts"

/** Addresses in the order in which to try them: families take turns, led by that of the first. */
export const interleave = <A extends { readonly family: number }>(addresses: ReadonlyArray<A>): ReadonlyArray<A> => {
  const first = addresses.filter((address) => address.family === addresses[0]!.family)
  const second = addresses.filter((address) => address.family !== addresses[0]!.family)
  const out: Array<A> = []
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    if (i < first.length) out.push(first[i]!)
    if (i < second.length) out.push(second[i]!)
  }
  return out
}

/** Of several failures the one that is told. A refusal says more than an unreachable network: somebody was there. */
export const mostTelling = (attempts: ReadonlyArray<ConnectAttempt>): ConnectAttempt["kind"] =>
  (["Refused", "Reset", "AccessDenied", "Timeout", "Unreachable", "HostNotFound", "NotFound"] as const).find((kind) =>
    attempts.some((attempt) => attempt.kind === kind)
  ) ?? "Unknown"

/**
 * Tries addresses until one succeeds. `release` is given every success that
 * does not win, and the winner if nobody waits for it any more. Fails with all
 * failures, in the order of the addresses. `onFailure` hears of each as it comes.
 *
 * An attempt that succeeds in a callback says so there, by `opened`: it may be given up before its next step.
 */
export const connect = <A, T, E>(options: {
  readonly addresses: ReadonlyArray<A>
  readonly delay: Duration.Input
  readonly attempt: (address: A, opened: (value: T) => void) => Effect.Effect<T, E>
  readonly release: (value: T) => void
  readonly onAttempt?: (address: A) => void
  readonly onFailure?: (address: A, error: E) => void
}): Effect.Effect<T, ReadonlyArray<E>> =>
  Effect.suspend(() => {
    const opened = new Set<T>()
    const note = (value: T) => void opened.add(value)
    const failures: Array<E | undefined> = options.addresses.map(() => undefined)

    const from = (index: number): Effect.Effect<T, void> => {
      const address = options.addresses[index]!
      const attempt = Effect.suspend(() => {
        options.onAttempt?.(address)
        return options.attempt(address, note)
      }).pipe(
        Effect.tap((value) => Effect.sync(() => note(value))),
        Effect.mapError((error) => {
          failures[index] = error
          options.onFailure?.(address, error)
        })
      )
      if (index === options.addresses.length - 1) return attempt
      const failed = Deferred.makeUnsafe<void>()
      return Effect.race(
        Effect.tapError(attempt, () => Deferred.succeed(failed, undefined)),
        Effect.andThen(
          Effect.raceFirst(Effect.sleep(options.delay), Deferred.await(failed)),
          Effect.suspend(() => from(index + 1))
        )
      )
    }

    return Effect.onExit(
      Effect.mapError(from(0), () => failures.filter((failure): failure is E => failure !== undefined)),
      (exit) =>
        Effect.sync(() => {
          for (const value of opened) {
            if (!Exit.isSuccess(exit) || exit.value !== value) options.release(value)
          }
        })
    )
  })
