/**
 * Interrupting a program at every point at which it can be interrupted: run it
 * once to count them, then once for each.
 *
 * A fiber can be interrupted between any two of its steps, if the scheduler has
 * others run there, and wherever it waits. The scheduler used here does the
 * former, and for the latter strikes when the fiber has come to a stand.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

/**
 * Where to interrupt: in front of a step, counted from 1, or where the fiber waits next after it. It waits as under a
 * scheduler that may have others run before it goes on, or is suspended as under Effect's own, which is how programs wait.
 */
export interface Point {
  readonly step: number
  readonly when: "before" | "waiting" | "suspended"
}

export interface Interrupted<A, E> {
  readonly exit: Exit.Exit<A, E>
  /** Every point at which it could have been interrupted. */
  readonly points: ReadonlyArray<Point>
}

/** By this a scheduler is known for one under which a fiber that is resumed runs at once. */
const ownShouldYield = Scheduler.MixedScheduler.prototype.shouldYield

/** Runs an effect in a fiber of its own, and interrupts it at one point, or nowhere. */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  point: Point | undefined
): Effect.Effect<Interrupted<A, E>, never, R> =>
  Effect.flatMap(Effect.service(Scheduler.Scheduler), (parent) => {
    let subject: Fiber.Fiber<unknown, unknown> | undefined
    let steps = 0
    const points: Array<Point> = []
    const scheduler: { -readonly [Key in keyof Scheduler.Scheduler]: Scheduler.Scheduler[Key] } = {
      executionMode: parent.executionMode,
      makeDispatcher: () => parent.makeDispatcher(),
      shouldYield: (fiber) => {
        subject ??= fiber
        if (fiber !== subject) return parent.shouldYield(fiber)
        const step = ++steps
        points.push({ step, when: "before" })
        queueMicrotask(() => {
          // no further step since: the fiber has come to a stand
          if (steps === step) points.push({ step, when: "waiting" }, { step, when: "suspended" })
        })
        if (step !== point?.step) return parent.shouldYield(fiber)
        queueMicrotask(() => fiber.interruptUnsafe())
        if (point.when === "suspended") scheduler.shouldYield = ownShouldYield
        return point.when === "before"
      }
    }
    return Effect.forkChild(Effect.provideService(effect, Scheduler.Scheduler, scheduler), {
      startImmediately: true
    }).pipe(
      Effect.flatMap(Fiber.await),
      Effect.map((exit) => ({ exit, points }))
    )
  })
