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
import type * as Fiber from "effect/Fiber"
import { evaluateAlone, publicOnly } from "./effectInternals.ts"

const evaluate = function (this: Operation<any, any>, fiber: Fiber.Fiber<any, any>) {
  return this.run(fiber)
}
const evaluatePublicly = function (this: Operation<any, any>, fiber: Fiber.Fiber<any, any>) {
  return evaluateAlone(this, fiber)
}

const prototype = Effectable.Prototype<Effect.Effect<any, any>>({
  label: "effect-byte-streams/Operation",
  evaluate: (publicOnly ? evaluatePublicly : evaluate) as never
})

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
