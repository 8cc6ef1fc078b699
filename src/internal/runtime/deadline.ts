/**
 * When a bound on waiting may be judged.
 *
 * Where the event loop stands still, a timer rings late, and before the system is asked for what came meanwhile: a peer
 * that spoke in time would be cut off for it. So a bound that is reached is judged only once the event loop has gone
 * round: what had come by then has been read, and what could be sent was sent.
 *
 * Some waits are for more than one word of the peer: a handshake, a name and then a connection, the rest of a message.
 * There the peer could not go on while nobody listened, and is given back the time of the stall, if it did its part.
 *
 * Under a clock that a test moves no time passes while the event loop stands still. There it is only seen to that what
 * is due at the very moment is done first, where a network goes by that clock.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { nextPoll } from "./turn.ts"
import { maxRounds, maxStalls, stallMillis } from "../base/defaults.ts"

/** The clock of those who have not been given another. */
export const realClock = Context.get(Context.empty(), Clock.Clock)

/** Whether time passes by itself. */
export const isReal = (clock: Clock.Clock): boolean => clock === realClock

/** The time of a clock, in milliseconds, from some moment on. */
export const timeOf = (clock: Clock.Clock): number =>
  // the same, without an integer of its own for each answer
  isReal(clock) ? performance.now() : Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** The time by which waits are judged. */
const now = (): number => timeOf(realClock)

/** How long the event loop stood still, if it did: a timer that was due then has rung now. */
export const stall = (due: number, rang: number): number => (rang - due >= stallMillis ? rang - due : 0)

/**
 * Turns that the event loop takes to read and to send all it can: one until it polls again, wherever it is now; one in
 * which fibers hand on what came; the others for engines, which take a turn for each piece of what they encrypt.
 */
const turnsOfARound = 5

/** Does something once what has come by now was read, and what can be sent was sent. `next` does something in the next turn. */
export const afterRound = (task: () => void, next = nextPoll): void => {
  let left = turnsOfARound
  const turn = (): void => {
    if (--left === 0) task()
    else next(turn)
  }
  next(turn)
}

/** The stalls whose time was given back to a wait. */
export class Excuses {
  /** When the wait began, as far as that was moved here. */
  private since = -Infinity
  private count = 0
  private progress = -Infinity

  /**
   * When a wait is taken to have begun, if it is given back the time of a stall, or as much of it as the bound is long. It
   * is, if it has got further than the last time.
   */
  move(since: number, stall: number, progress: number, bound: number, now: number): number | undefined {
    if (since !== this.since) {
      this.count = 0
      this.progress = -Infinity
    }
    if (progress <= this.progress || this.count === maxStalls) return undefined
    this.count++
    this.progress = progress
    return (this.since = now - bound + Math.min(stall, bound))
  }
}

/** Whether the peer has done its part since a moment of `now`. */
export type Progress = (since: number) => boolean

/** The steps of something, as progress. */
export class Steps {
  private last = -Infinity
  readonly note = (): void => {
    this.last = now()
  }
  readonly progress: Progress = (since) => this.last >= since
}

/** A count that grows, as progress: since it was asked for last. */
export const growing = (count: () => number): Progress => {
  let known = count()
  return () => {
    const before = known
    known = count()
    return known > before
  }
}

/** How a bound is judged. */
export interface How {
  readonly progress?: Progress | undefined
  /** Does something in the next turn, where turns are counted by a clock that is moved by hand: see `Transport.atEndOfTurn`. */
  readonly next?: ((task: () => void) => void) | undefined
}

/** Completes once a bound is reached, and may be judged. */
export const reached = (input: Duration.Input, { next, progress }: How = {}): Effect.Effect<void> => {
  const bound = Duration.toMillis(Duration.fromInputUnsafe(input))
  const round = Effect.callback<void>((resume) => afterRound(() => resume(Effect.void), next))
  // no time passes meanwhile, whatever is done
  const atTheMoment = (rounds: number): Effect.Effect<void> =>
    Effect.andThen(
      round,
      Effect.suspend(() => (rounds > 1 && progress?.(-Infinity) === true ? atTheMoment(rounds - 1) : Effect.void))
    )
  const wait = (millis: number, stalls: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const due = now() + millis
      let lost = 0
      return Effect.sleep(millis).pipe(
        Effect.andThen(
          Effect.suspend(() => {
            lost = stall(due, now())
            return round
          })
        ),
        Effect.andThen(
          Effect.suspend(() =>
            lost > 0 && stalls > 0 && progress?.(due) === true ? wait(Math.min(lost, bound), stalls - 1) : Effect.void
          )
        )
      )
    })
  return Effect.clockWith((clock) => {
    // no time is none for anybody
    if (bound <= 0) return Effect.sleep(bound)
    if (isReal(clock)) return wait(bound, maxStalls)
    return next === undefined ? Effect.sleep(bound) : Effect.andThen(Effect.sleep(bound), atTheMoment(maxRounds))
  })
}

/** As `Effect.timeoutOption`, with a bound that is judged as here. */
export const timeoutOption = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  duration: Duration.Input,
  how?: How
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.raceFirst(Effect.asSome(self), Effect.as(reached(duration, how), Option.none<A>()))

/** As `Effect.timeoutOrElse`, with a bound that is judged as here. */
export const timeoutOrElse =
  <A2, E2, R2>(
    options: How & { readonly duration: Duration.Input; readonly orElse: () => Effect.Effect<A2, E2, R2> }
  ) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A | A2, E | E2, R | R2> =>
    Effect.flatMap(timeoutOption(self, options.duration, options), (option): Effect.Effect<A | A2, E2, R2> =>
      Option.isSome(option) ? Effect.succeed(option.value) : options.orElse()
    )
