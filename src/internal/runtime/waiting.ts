/**
 * How a read waits: made once a reader rather than once a wait, since resuming its fiber is most of what a small message
 * costs.
 *
 * Under Effect's own scheduler a fiber that is resumed runs in that very call. So it waits directly, with nothing on its
 * stack, and an interruption gives the wait up right there. Any other scheduler may let others run between the two, or
 * interrupt the fiber: there the wait is an `Effect.callback`, whose frame notices. A fiber that is resumed takes its answer
 * itself, in a step of its own; one that waits directly may also be handed the answer. On public API alone the wait is a
 * callback under every scheduler.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { notNow, Operation } from "./operation.ts"
import { enter, handOver, publicOnly, resume, runsAtOnce, suspend } from "./effectInternals.ts"

/** The reader whose read waits. */
export interface WaiterHost {
  /** The answer of the read that waits, which is ready. The read waits no longer. */
  answer(): Exit.Exit<any, any>
  /** Calls what is code of others, on public API alone, if the answer needs that before it is taken. Whether it did. */
  prepare(fiber: Fiber.Fiber<any, any>): boolean
  /**
   * The read that waits is given up. This is called between two steps of the fiber, and runs nobody else's code: an effect
   * that does is returned, for the fiber to run before it ends.
   */
  giveUp(): Effect.Effect<void> | undefined
}

export class Waiter extends Operation<any, any> {
  /** Whether a fiber waits that runs in the very call that resumes it. */
  waitsDirectly = false
  /** The fiber that waits, or waited last. */
  fiber: Fiber.Fiber<any, any> | undefined = undefined
  /** Resumes a fiber that waits in a callback. */
  private callback: ((effect: Effect.Effect<any, any>) => void) | undefined = undefined
  /** Whether that was called for an answer, and the fiber has yet to run. */
  private called = false
  /** Stands for the wait on public API alone, until that is over. */
  private wait: object | undefined = undefined
  private readonly host: WaiterHost
  /** The fiber was resumed, or interrupted. */
  private readonly stopped = (): void => {
    if (!this.waitsDirectly) return
    this.waitsDirectly = false
    const last = this.host.giveUp()
    if (last !== undefined) enter(Effect.ensuring(Effect.void, last), this.fiber!)
  }

  constructor(host: WaiterHost) {
    super()
    this.host = host
  }

  /** Whether the fiber that waits may be handed bytes: nobody has a say before it goes on with them. */
  get mayBeHanded(): boolean {
    return this.waitsDirectly && this.fiber!.cache.tracerContext === undefined
  }

  /** Begins to wait, in the step that ends with what this returns. */
  begin(fiber: Fiber.Fiber<any, any>): Effect.Effect<any, any> {
    this.fiber = fiber
    if (!runsAtOnce(fiber)) return beginInCallback(this, fiber)
    this.waitsDirectly = true
    return suspend(fiber, this.stopped)
  }

  /**
   * Begins to wait on public API alone: as soon as what is given to `register` is called. If `register` returns something, the
   * wait ends with that. By then an interruption gives the wait up. The callback is a signal only: the answer is taken
   * behind it, and an interruption before that gives the wait up as well.
   */
  beginPublicly(register: (waits: () => void) => Effect.Effect<any, any> | undefined): Effect.Effect<any, any> {
    const wait = {}
    const signal = Effect.callback<Effect.Effect<any, any>>((callback) => {
      const over = register(() => {
        this.wait = wait
        this.callback = callback as never
      })
      if (over === undefined) return
      if (this.callback === callback) this.callback = undefined
      callback(Exit.succeed(over) as never)
    })
    return Effect.onInterrupt(
      Effect.flatMap(signal, (answering) => answering),
      () =>
        Effect.suspend(() => {
          // a wait that is over is not given up: another may have begun
          if (this.wait !== wait) return Effect.void
          this.callback = undefined
          return this.host.giveUp() ?? Effect.void
        })
    )
  }

  /** Whether a fiber waits, and was not resumed yet. */
  get waits(): boolean {
    return this.waitsDirectly || this.callback !== undefined
  }

  /** Resumes the fiber that waits, to take its answer. */
  resume(): void {
    if (this.waitsDirectly) return this.end(this)
    if (publicOnly) return this.end(Exit.succeed(this))
    this.called = true
    this.end(Exit.succeed(this))
  }

  /** Resumes the fiber that waits, with its answer, which may hold bytes where the fiber waits directly. */
  resumeWith(exit: Exit.Exit<any, any>): void {
    this.end(this.waitsDirectly ? exit : Exit.succeed(publicOnly ? exit : new Given(exit)))
  }

  private end(effect: Effect.Effect<any, any>): void {
    if (this.waitsDirectly) {
      this.waitsDirectly = false
      return resume(this.fiber!, effect)
    }
    const { callback } = this
    this.callback = undefined
    callback?.(effect)
  }

  /** The read waits no longer, for whatever reason. */
  over(): void {
    this.called = false
    this.wait = undefined
  }

  /** Waits in a callback. A fiber that is interrupted meanwhile runs the effect that is returned. */
  enter(callback: (effect: Effect.Effect<any, any>) => void): Effect.Effect<void> {
    const { fiber } = this
    this.callback = callback
    return Effect.suspend(() => {
      // a wait that is over is not given up: another may have begun
      if (this.fiber !== fiber || (this.callback !== callback && !this.called)) return Effect.void
      this.callback = undefined
      this.called = false
      return this.host.giveUp() ?? Effect.void
    })
  }

  tryNow(): typeof notNow {
    return notNow
  }
  prepare(fiber: Fiber.Fiber<any, any>): boolean {
    return this.host.prepare(fiber)
  }
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<any, any> {
    return handOver(this.host.answer(), fiber)
  }
}

/** A wait in a callback ends with one, which is run for the answer. */
interface Answering {
  readonly fiber: Fiber.Fiber<any, any> | undefined
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<any, any>
}

class Given implements Answering {
  readonly fiber = undefined
  private readonly exit: Exit.Exit<any, any>
  constructor(exit: Exit.Exit<any, any>) {
    this.exit = exit
  }
  run(): Effect.Effect<any, any> {
    return this.exit
  }
}

/** The waiter whose wait begins in a callback: the effects that a wait consists of are the same for all. */
let beginning: Waiter
const inCallback = Effect.callback<Answering, any>((callback) => beginning.enter(callback))

// The answer is taken in this step, not in the next one: in between nobody would notice an interruption.
const behindCallback: Effect.Effect<any, any> = Effect.flatMap(inCallback, (answer) => answer.run(answer.fiber!))

const beginInCallback = (waiter: Waiter, fiber: Fiber.Fiber<any, any>): Effect.Effect<any, any> => {
  beginning = waiter
  enter(behindCallback, fiber)
  return enter(inCallback, fiber)
}
