/**
 * Effects that answer at once when they can.
 *
 * `yield*` asks an effect for its iterator. An `Operation` answers right there
 * when what it needs is at hand, at the cost of a function call, and becomes an
 * ordinary effect when it has to wait, to fail, or to end. Nothing happens
 * before it is run, and each run does the work anew.
 */
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

const evaluate = function (this: Operation<any, any>, fiber: Fiber.Fiber<any, any>) {
  return this.run(fiber)
}

const prototype = Effectable.Prototype<Effect.Effect<any, any>>({
  label: "effect-byte-streams/Operation",
  evaluate: evaluate as never
})

/** The key under which an effect keeps its evaluation; the public constructor shows it, Effect does not export it. */
const evaluateKey = Object.keys(prototype).find((key) => (prototype as any)[key] === evaluate)!

const EffectBase: abstract new <A, E>() => Effect.Effect<A, E> = (() => {
  const Base = function () {}
  Base.prototype = prototype
  return Base as any
})()

/**
 * What `tryNow` returns when the answer has to wait. To the compiler a symbol, which is one of a kind; in truth an object:
 * the engine compares those by their addresses where arrays are the other answers, and calls a builtin for symbols.
 */
export const notNow: unique symbol = Object.freeze({ _tag: "NotNow" }) as never

// The fields are only declared: what is made for each call would pay for the definition of each.
class Answer<A> {
  declare readonly done: true
  declare readonly value: A
  constructor(value: A) {
    this.done = true
    this.value = value
  }
  next(): this {
    return this
  }
}

class Ask {
  declare value: unknown
  declare done: boolean
  constructor(effect: unknown) {
    this.value = effect
    this.done = false
  }
  next(answer: unknown): this {
    if (this.done) {
      this.value = answer
      return this
    }
    this.done = true
    return { value: this.value, done: false } as this
  }
}

export abstract class Operation<A, E> extends EffectBase<A, E> {
  /** The answer, if it is at hand and nothing has to fail for it. */
  abstract tryNow(): A | typeof notNow
  /** The whole operation. */
  abstract run(fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E>

  override [Symbol.iterator](): Effect.EffectIterator<Effect.Effect<A, E>> {
    const answer = this.tryNow()
    return (answer === notNow ? new Ask(this) : new Answer(answer)) as never
  }
}

/**
 * Whether an interruption has reached the fiber while it runs: its next step
 * will fail, and what it is given now would be lost. Only whoever is called in
 * the middle of a step can bring that about: a scheduler, or a source that is
 * told to go on.
 */
export const interrupted = (fiber: Fiber.Fiber<any, any>): boolean =>
  (fiber as { readonly _deferredInterrupt?: boolean })._deferredInterrupt === true

/** What a step ends with that leaves everything to the interruption. */
export const nothing: Effect.Effect<any> = Exit.void as never

/**
 * Ends an evaluation in the very step that made its result.
 *
 * An `Exit` that is returned from an evaluation is evaluated in a step of its
 * own, and a scheduler may let other fibers run between the two. Bytes taken
 * from a buffer must not be in the air at that moment: an interruption would
 * lose them.
 */
export const deliver = <A, E>(exit: Exit.Exit<A, E>, fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> =>
  (exit as any)[evaluateKey](fiber)

/** `deliver`, before an interruption that has reached the fiber in the middle of this step. */
export const handOver = <A, E>(exit: Exit.Exit<A, E>, fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> => {
  if (!interrupted(fiber)) return deliver(exit, fiber)
  const running = fiber as unknown as { _deferredInterrupt: boolean; _interruptedCause: unknown }
  const cause = running._interruptedCause
  running._deferredInterrupt = false
  running._interruptedCause = undefined
  const next = deliver(exit, fiber)
  running._deferredInterrupt = true
  running._interruptedCause = cause
  return next
}

/** What is used of a fiber that Effect does not export. */
interface Suspendable {
  yieldWith(stopped: () => void): Effect.Effect<never>
  evaluate(effect: Effect.Effect<any, any>): void
}

/** Effect's own: it lets others run after so many steps, and never before the first. */
const { shouldYield } = Scheduler.MixedScheduler.prototype

/** Whether the fiber, once it is suspended, runs in the very call that resumes it: no scheduler has a say in that. */
export const runsAtOnce = (fiber: Fiber.Fiber<any, any>): boolean => {
  const { maxOpsBeforeYield, preventYield, scheduler } = fiber.cache
  const { evaluate, yieldWith } = fiber as unknown as Partial<Suspendable>
  return (
    (preventYield || (scheduler.shouldYield === shouldYield && maxOpsBeforeYield > 1)) &&
    evaluate !== undefined &&
    yieldWith !== undefined
  )
}

/**
 * Suspends the fiber, in the step that ends with what this returns. `stopped` is called when it is resumed or interrupted,
 * between two of its steps: it must not throw, nor run anything that could touch the fiber.
 */
export const suspend = (fiber: Fiber.Fiber<any, any>, stopped: () => void): Effect.Effect<never> =>
  (fiber as unknown as Suspendable).yieldWith(stopped)

/** Resumes a fiber that was suspended. */
export const resume = (fiber: Fiber.Fiber<any, any>, effect: Effect.Effect<any, any>): void =>
  (fiber as unknown as Suspendable).evaluate(effect)
