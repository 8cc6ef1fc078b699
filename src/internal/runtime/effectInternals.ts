/**
 * The only file that knows Effect's private runtime. What it uses of it is
 * probed when it is loaded; on any doubt the library works on public API alone.
 *
 * | private | what for | without it |
 * | --- | --- | --- |
 * | the key of an effect's evaluation | a result reaches the caller in the step in which it is taken (`deliver`) | a step of its own, before which the scheduler is not asked |
 * | `fiber._deferredInterrupt` | an interruption in the middle of a step is seen in that step (`interrupted`) | nobody else's code runs in the step that takes |
 * | `fiber._interruptedCause` | a result gets past such an interruption (`handOver`), a fiber that was interrupted before it began takes nothing | the same; such a fiber is asked for an uninterruptible step first |
 * | `fiber.yieldWith` | a fiber waits with nothing on its stack (`suspend`) | `Effect.callback` |
 * | `fiber.evaluate` | it runs in the very call that resumes it, and may be handed bytes (`resume`) | it is woken, and takes them itself |
 *
 * On public API a fiber that takes bytes keeps others from running until it has
 * them: where its scheduler could have a say before that, another stands in for
 * the next few steps, which says no. Code of others is not called in the step that
 * takes. Observers and transports are told behind it (`base/othersWait`), and a frame
 * is asked in a step before it (`prepare`): an interruption in that one is Effect's to
 * see. A fiber that was interrupted before it began is found by `ifNotInterrupted`.
 *
 * Not covered: a tracer whose `context` interrupts the very fiber that it is called
 * for. Effect calls it in front of every step, and an answer has a step of its own
 * behind the one that takes it; behind a wait it has five. No step can do both: what
 * a step returns is evaluated in the next, and a failure may hold bytes as well
 * (`IncompleteRead`). Whether the fiber is interrupted is not public.
 * Nor a transport that interrupts, in its `write`, the fiber that writes: what that wrote
 * is accepted whole, and it is not told. A write has to know what the system took at once
 * before it is over, for only the rest counts for the high-water mark.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import { letOthersWait, tellBefore } from "../base/othersWait.ts"
import * as PublicApi from "../base/publicApi.ts"

type AnyEffect = Effect.Effect<any, any>
type AnyFiber = Fiber.Fiber<any, any>

/** What is used of a fiber that Effect does not export. */
interface PrivateFiber {
  readonly interruptible: boolean
  _deferredInterrupt: boolean
  _interruptedCause: Cause.Cause<never> | undefined
  yieldWith(stopped: () => void): Effect.Effect<never>
  evaluate(effect: AnyEffect): void
}

const privateOf = (fiber: AnyFiber): PrivateFiber => fiber as never

/** Effect's own: it lets others run after so many steps, and never before the first. */
const { shouldYield } = Scheduler.MixedScheduler.prototype

// ---------------------------------------------------------------------------
// on the private runtime
// ---------------------------------------------------------------------------

/** The key under which an effect keeps its evaluation; the public constructor shows it, Effect does not export it. */
const evaluateKey = (() => {
  const evaluate = (): Effect.Effect<void> => Effect.void
  const prototype = Effectable.Prototype<Effect.Effect<void>>({ label: "effect-byte-streams/probe", evaluate })
  return Reflect.ownKeys(prototype).find((key) => (prototype as any)[key] === evaluate)!
})()

const evaluateByHand = (effect: AnyEffect, fiber: AnyFiber): AnyEffect => (effect as any)[evaluateKey](fiber)

const isInterrupted = (fiber: AnyFiber): boolean => {
  const { _deferredInterrupt, _interruptedCause, interruptible } = privateOf(fiber)
  // One that is interrupted before it has begun may begin all the same, where its scheduler lets others run first.
  return _deferredInterrupt === true || (_interruptedCause !== undefined && interruptible)
}

const handOverByHand = (exit: Exit.Exit<any, any>, fiber: AnyFiber): AnyEffect => {
  const running = privateOf(fiber)
  const cause = running._interruptedCause
  running._deferredInterrupt = false
  running._interruptedCause = undefined
  const next = evaluateByHand(exit as never, fiber)
  running._deferredInterrupt = true
  running._interruptedCause = cause
  return next
}

/**
 * Suspends the fiber, in the step that ends with what this returns. `stopped` is called when it is resumed or interrupted,
 * between two of its steps: it must not throw, nor run anything that could touch the fiber.
 */
export const suspend = (fiber: AnyFiber, stopped: () => void): Effect.Effect<never> =>
  privateOf(fiber).yieldWith(stopped)

/** Resumes a fiber that was suspended. */
export const resume = (fiber: AnyFiber, effect: AnyEffect): void => privateOf(fiber).evaluate(effect)

// ---------------------------------------------------------------------------
// probes
// ---------------------------------------------------------------------------

/** The step counts at which a result is handed over: twice as many as Effect's own scheduler has a fiber run at once. */
const stepsProbed = 4096

const ignore = (): void => {}

const check = (what: string, holds: boolean): void => {
  if (!holds) throw new Error(what)
}

/** A fiber that has come to its first wait, or to its end. */
const started = (step: (fiber: AnyFiber) => AnyEffect, last: () => void): AnyFiber => {
  const fiber = Effect.runFork(Effect.onExit(Effect.withFiber(step), () => Effect.sync(last)))
  const exit = fiber.pollUnsafe()
  if (exit !== undefined && Exit.isFailure(exit) && Cause.hasDies(exit.cause)) throw Cause.squash(exit.cause)
  return fiber
}

const isInterruption = (exit: Exit.Exit<any, any> | undefined): boolean =>
  exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

const probeMembers = (): void => {
  check("the key of an effect's evaluation is not to be found", evaluateKey !== undefined)
  for (const exit of [Exit.void, Exit.fail("")]) {
    check("an exit has no evaluation", typeof (exit as any)[evaluateKey] === "function")
  }
  started((fiber) => {
    const { _deferredInterrupt, evaluate, interruptible, yieldWith } = privateOf(fiber)
    check("fiber.interruptible is missing", interruptible === true)
    check("fiber._deferredInterrupt is missing", _deferredInterrupt === false)
    check("fiber._interruptedCause is missing", "_interruptedCause" in fiber)
    check("fiber.yieldWith is missing", typeof yieldWith === "function")
    check("fiber.evaluate is missing", typeof evaluate === "function")
    return Effect.void
  }, ignore)
}

/** An exit that is evaluated by hand reaches its continuation there and then, at every step count. */
const probeDelivery = (): void => {
  const reached = Effect.succeed("reached")
  const success = Exit.succeed(0)
  const failure = Exit.fail(0)
  const onSuccess = Effect.andThen(Effect.void, reached)
  const onFailure = Effect.catchCause(Effect.void, () => reached)
  const reaches = (exit: Exit.Exit<unknown, unknown>, frame: AnyEffect, fiber: AnyFiber, steps: number): boolean => {
    ;(fiber as { currentOpCount: number }).currentOpCount = steps
    evaluateByHand(frame, fiber)
    return evaluateByHand(exit as never, fiber) === reached
  }
  let steps = 0
  started((fiber) => {
    const { currentOpCount } = fiber
    while (steps < stepsProbed && reaches(success, onSuccess, fiber, steps + 1)) {
      steps++
      // a failure costs ten times as much, and what is done every so many steps is done at such a number of them
      if (steps <= 32 || (steps + 1) % 32 < 3) check(notReached(steps), reaches(failure, onFailure, fiber, steps))
    }
    ;(fiber as { currentOpCount: number }).currentOpCount = currentOpCount
    return Effect.void
  }, ignore)
  check(notReached(steps + 1), steps === stepsProbed)
}

const notReached = (steps: number): string =>
  `an exit that was evaluated by hand did not reach its continuation at step ${steps}`

/** An interruption inside a step is seen in that step, and a result can be handed over in spite of it. */
const probeInterruption = (): void => {
  const token = {}
  for (const exit of [Exit.succeed(token), Exit.fail(token)] as const) {
    let seen: ReadonlyArray<unknown> = []
    let wentOn = false
    const goOn = Effect.sync(() => {
      wentOn = true
    })
    const fiber = started((fiber) => {
      const before = isInterrupted(fiber)
      fiber.interruptUnsafe()
      const after = isInterrupted(fiber)
      const frame = Effect.matchEffect(Effect.void as Effect.Effect<any, any>, {
        onSuccess: (value) => ((seen = [before, after, "success", value]), goOn),
        onFailure: (error) => ((seen = [before, after, "failure", error]), goOn)
      })
      evaluateByHand(frame, fiber)
      return handOverByHand(exit, fiber)
    }, ignore)
    const [before, after, kind, value] = seen
    check("an interruption inside a step is not seen in that step", before === false && after === true)
    check(
      "a result does not get past an interruption inside its step",
      kind === (Exit.isSuccess(exit) ? "success" : "failure") && value === token
    )
    check("an interruption inside a step has no effect", !wentOn && isInterruption(fiber.pollUnsafe()))
  }
}

/** What is called when a fiber is suspended no more runs before anything else of it, and the rest in the same call. */
const probeSuspension = (): void => {
  const suspended = (before: (fiber: AnyFiber) => void) => {
    const order: Array<string> = []
    const note = (what: string) => () => void order.push(what)
    const fiber = started((fiber) => {
      before(fiber)
      return suspend(fiber, () => {
        order.push("stopped")
        evaluateByHand(Effect.ensuring(Effect.void, Effect.sync(note("last"))), fiber)
      })
    }, note("exit"))
    return { fiber, note, order }
  }
  const resumed = suspended(ignore)
  check("a fiber is not suspended", resumed.order.length === 0 && resumed.fiber.pollUnsafe() === undefined)
  resume(resumed.fiber, Effect.sync(resumed.note("resumed")))
  check(
    "a fiber that is resumed does not run in that very call, or not in order",
    resumed.order.join() === "stopped,resumed,last,exit" && resumed.fiber.pollUnsafe() !== undefined
  )
  const interrupted = suspended(ignore)
  interrupted.fiber.interruptUnsafe()
  const early = suspended((fiber) => fiber.interruptUnsafe())
  for (const { fiber, order } of [interrupted, early]) {
    check(
      "a fiber that is interrupted while it is suspended does not end as it should",
      order.join() === "stopped,last,exit" && isInterruption(fiber.pollUnsafe())
    )
  }
}

const findDoubt = (): string | undefined => {
  if (PublicApi.isForced) return `${PublicApi.variable} is 1`
  try {
    probeMembers()
    probeDelivery()
    probeInterruption()
    probeSuspension()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Why the private runtime is left alone, if it is. */
const doubt = findDoubt()

/** Whether the library works on public API alone. */
export const publicOnly: boolean = doubt !== undefined

// ---------------------------------------------------------------------------
// what operations use
// ---------------------------------------------------------------------------

/**
 * Whether an interruption has reached the fiber while it runs: its next step
 * will fail, and what it is given now would be lost. Only whoever is called in
 * the middle of a step can bring that about: a scheduler, or a source that is
 * told to go on. On public API nobody is called there.
 */
export const interrupted = (fiber: AnyFiber): boolean => !publicOnly && isInterrupted(fiber)

/** What a step ends with that leaves everything to the interruption. */
export const nothing = (fiber: AnyFiber): Effect.Effect<any> => Exit.failCause(privateOf(fiber)._interruptedCause!)

/**
 * Ends an evaluation in the very step that made its result.
 *
 * An `Exit` that is returned from an evaluation is evaluated in a step of its
 * own, and a scheduler may let other fibers run between the two. Bytes taken
 * from a buffer must not be in the air at that moment: an interruption would
 * lose them. On public API the scheduler is not asked there (`evaluateAlone`).
 */
export const deliver = <A, E>(exit: Exit.Exit<A, E>, fiber: AnyFiber): Effect.Effect<A, E> =>
  publicOnly ? (exit as never) : evaluateByHand(exit as never, fiber)

/** `deliver`, before an interruption that has reached the fiber in the middle of this step. */
export const handOver = <A, E>(exit: Exit.Exit<A, E>, fiber: AnyFiber): Effect.Effect<A, E> =>
  interrupted(fiber) ? handOverByHand(exit, fiber) : deliver(exit, fiber)

/** Evaluates an effect that waits in a frame, or begins to wait, as a part of this step. Never on public API. */
export const enter = evaluateByHand

/** Whether the fiber, once it is suspended, runs in the very call that resumes it: no scheduler has a say in that. */
export const runsAtOnce = (fiber: AnyFiber): boolean => {
  if (publicOnly) return false
  const { maxOpsBeforeYield, preventYield, scheduler } = fiber.cache
  return preventYield || (scheduler.shouldYield === shouldYield && maxOpsBeforeYield > 1)
}

// ---------------------------------------------------------------------------
// on public API alone
// ---------------------------------------------------------------------------

/** What may pass between a step that takes and the one in which the caller has it, with room to spare. */
const stepsToHandOver = 12

/** Stands in for the scheduler of a fiber for a few steps, in which it lets nobody else run. */
class StandIn implements Scheduler.Scheduler {
  readonly executionMode: "sync" | "async"
  private readonly scheduler: Scheduler.Scheduler
  private fiber: Fiber.Fiber<unknown, unknown> | undefined
  private readonly before: Context.Context<never>
  private readonly meanwhile: Context.Context<never>
  private left = 2 * stepsToHandOver

  constructor(fiber: Fiber.Fiber<unknown, unknown>) {
    const { context } = fiber
    const { scheduler } = fiber.cache
    // that of a parent may have been inherited
    this.scheduler = scheduler instanceof StandIn ? scheduler.scheduler : scheduler
    this.executionMode = this.scheduler.executionMode
    this.fiber = fiber
    this.before = this.scheduler === scheduler ? context : withScheduler(context, this.scheduler)
    this.meanwhile = withScheduler(context, this)
    fiber.setContext(this.meanwhile)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this.scheduler.makeDispatcher()
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (fiber === this.fiber && this.left > 0) {
      this.left--
      return false
    }
    this.leave(fiber)
    return this.scheduler.shouldYield(fiber)
  }

  /** Whether it stands in for the scheduler of this fiber, and for long enough. */
  hasRoom(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber === this.fiber && this.left >= stepsToHandOver
  }

  /** Begins again. Whether the fiber has to let others run first: if this went on for ever, they never would. */
  renew(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.left = 2 * stepsToHandOver
    return this.scheduler.shouldYield(fiber)
  }

  standsInFor(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber === this.fiber
  }

  /** Leaves a fiber to the scheduler that it had, unless the program has given it another since. */
  private leave(fiber: Fiber.Fiber<unknown, unknown>): void {
    if (fiber === this.fiber) this.fiber = undefined
    if (fiber.cache.scheduler !== this) return
    fiber.setContext(fiber.context === this.meanwhile ? this.before : withScheduler(fiber.context, this.scheduler))
  }
}

const withScheduler = (context: Context.Context<never>, scheduler: Scheduler.Scheduler): Context.Context<never> =>
  Context.add(context, Scheduler.Scheduler, scheduler)

/** Whether the fiber has to yield before it goes on. */
const standIn = (fiber: AnyFiber): boolean => {
  const { scheduler } = fiber.cache
  if (scheduler instanceof StandIn && scheduler.standsInFor(fiber)) return scheduler.renew(fiber)
  // its scheduler was asked before this step
  new StandIn(fiber)
  return false
}

/** Whether nobody else runs before the fiber has what it takes in this step. */
const isAlone = (fiber: AnyFiber): boolean => {
  const { maxOpsBeforeYield, preventYield, scheduler } = fiber.cache
  if (preventYield) return true
  if (scheduler instanceof StandIn) return scheduler.hasRoom(fiber)
  return scheduler.shouldYield === shouldYield && fiber.currentOpCount + stepsToHandOver < maxOpsBeforeYield
}

/** An operation that takes something in the step in which it is run. */
interface Taking {
  run(fiber: AnyFiber): AnyEffect
  /** Calls what is code of others, if it needs that before it takes. Whether it did. */
  prepare?(fiber: AnyFiber): boolean
}

/** Whether the doubt was told. */
let told = false

/** Fibers that have begun, and were not interrupted before, as far as that was asked. */
const begun = new WeakSet<AnyFiber>()

/** Is interrupted in a fiber that has begun although it was interrupted before. */
export const ifNotInterrupted = Effect.uninterruptible(Effect.void)

/** Evaluates an operation where nobody else runs before its fiber has the result. */
export const evaluateAlone = (operation: Taking & AnyEffect, fiber: AnyFiber): AnyEffect => {
  if (!told) {
    told = true
    const message = `effect-byte-streams works on Effect's public API alone, which is slower: ${doubt}`
    return Effect.andThen(Effect.logDebug(message), operation)
  }
  if (!isAlone(fiber)) {
    // Effect begins it all the same, where its scheduler lets others run first
    if (!begun.has(fiber)) {
      begun.add(fiber)
      return Effect.andThen(ifNotInterrupted, operation)
    }
    // not in this step: the scheduler that was asked may have interrupted the fiber
    if (standIn(fiber)) return Effect.andThen(Effect.yieldNow, operation)
    if (isAlone(fiber)) return operation
  }
  // not in this step either: what is called there may have interrupted the fiber
  if (tellBefore() || operation.prepare?.(fiber) === true) return operation
  const before = letOthersWait(true)
  try {
    return operation.run(fiber)
  } finally {
    letOthersWait(before)
  }
}
