/**
 * How a read waits: made once a reader rather than once a wait, since the wake
 * of its fiber is most of what a small message costs.
 *
 * Under Effect's own scheduler a fiber that is resumed runs in that very call. So
 * it is suspended with nothing on its stack, and whoever interrupts it gives the
 * wait up right there. Any other scheduler may let others run between the two,
 * or interrupt the fiber: there the wait is an `Effect.callback`, whose frame
 * notices. A fiber that is woken takes its answer itself, in a step of its own;
 * one that is suspended may also be handed it. On public API alone the wait is a
 * callback under every scheduler.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { notNow, Operation } from "./operation.ts"
import { enter, handOver, publicOnly, resume, runsAtOnce, suspend } from "./effectInternals.ts"

/** Whose read waits. */
export interface Waiting {
  /** What the read that waits answers, which is ready; it waits no longer. */
  answer(): Exit.Exit<any, any>
  /**
   * The read that waits is given up. This is called between two steps of the fiber, and runs nobody else's code: what does,
   * it returns, for the fiber to run before it ends.
   */
  giveUp(): Effect.Effect<void> | undefined
}

export class Parking extends Operation<any, any> {
  /** Whether a fiber waits that runs in the very call that resumes it. */
  suspended = false
  /** The fiber that waits, or waited last. */
  fiber: Fiber.Fiber<any, any> | undefined = undefined
  /** Resumes a fiber that waits in a callback. */
  private callback: ((effect: Effect.Effect<any, any>) => void) | undefined = undefined
  /** Whether that was called for an answer, and the fiber has yet to run. */
  private called = false
  /** What waits on public API alone, until that is over. */
  private wait: object | undefined = undefined
  private readonly host: Waiting
  /** The fiber is not suspended any more: it was resumed, or interrupted. */
  private readonly stopped = (): void => {
    if (!this.suspended) return
    this.suspended = false
    const last = this.host.giveUp()
    if (last !== undefined) enter(Effect.ensuring(Effect.void, last), this.fiber!)
  }

  constructor(host: Waiting) {
    super()
    this.host = host
  }

  /** Begins to wait, in the step that ends with what this returns. */
  begin(fiber: Fiber.Fiber<any, any>): Effect.Effect<any, any> {
    this.fiber = fiber
    if (publicOnly) return this.beginPublicly()
    if (!runsAtOnce(fiber)) return beginInCallback(this, fiber)
    this.suspended = true
    return suspend(fiber, this.stopped)
  }

  /**
   * Begins to wait on public API alone. Nobody else runs before the callback is set. It is called for a signal only: what
   * takes the answer is run behind it, and whatever interrupts the fiber before that gives the wait up.
   */
  private beginPublicly(): Effect.Effect<any, any> {
    const wait = {}
    this.wait = wait
    const signal = Effect.callback<Effect.Effect<any, any>>((callback) => {
      this.callback = callback as never
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
    return this.suspended || this.callback !== undefined
  }

  /** Resumes the fiber that waits, to take its answer. */
  wake(): void {
    if (this.suspended) return this.end(this)
    if (publicOnly) return this.end(Exit.succeed(this))
    this.called = true
    this.end(Exit.succeed(this))
  }

  /** Resumes the fiber that waits, with its answer, which may hold bytes where the fiber is suspended. */
  answer(exit: Exit.Exit<any, any>): void {
    this.end(this.suspended ? exit : Exit.succeed(publicOnly ? exit : new Given(exit)))
  }

  private end(effect: Effect.Effect<any, any>): void {
    if (this.suspended) {
      this.suspended = false
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

  /** Waits in a callback. Returns what is run by a fiber that is interrupted meanwhile. */
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
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<any, any> {
    return handOver(this.host.answer(), fiber)
  }
}

/** What a wait in a callback ends with: it is run for the answer. */
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

/** Whose wait begins in a callback: the effects that it consists of are the same for all. */
let beginning: Parking
const inCallback = Effect.callback<Answering, any>((callback) => beginning.enter(callback))

// It runs what takes the answer, not as the next step but in this one: in between nobody would notice an interruption.
const behindCallback: Effect.Effect<any, any> = Effect.flatMap(inCallback, (answer) => answer.run(answer.fiber!))

const beginInCallback = (parking: Parking, fiber: Fiber.Fiber<any, any>): Effect.Effect<any, any> => {
  beginning = parking
  enter(behindCallback, fiber)
  return enter(inCallback, fiber)
}
