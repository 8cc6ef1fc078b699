/**
 * The event queue of a network in memory: things to do, each in a turn of its own, in the order of time.
 *
 * Nothing is done inside the call that asks for it. A thing that is due waits
 * for the fiber scheduler's next turn, and a later one for Effect's `Clock`, so
 * that a `TestClock` drives a network as it drives everything else.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

/** Something to do later. */
export interface Appointment {
  readonly due: number
  readonly order: number
  /** `undefined` once it is cancelled or done. */
  task: (() => void) | undefined
  /** Whether it is done all the same where everything stops. */
  certain?: boolean
}

export class EventQueue {
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private readonly heap: Array<Appointment> = []
  private made = 0
  private done = 0
  private fiber: Fiber.Fiber<void> | undefined = undefined
  /** The time that the fiber waits for; none is earlier while it runs. */
  private waitingFor = -Infinity
  private stopped = false

  constructor(context: Context.Context<never>) {
    this.clock = Context.get(context, Clock.Clock)
    // nothing else of the fiber that happened to use the network first
    this.context = Context.make(Clock.Clock, this.clock).pipe(
      Context.add(Scheduler.Scheduler, Context.get(context, Scheduler.Scheduler))
    )
  }

  /** Milliseconds of the clock. */
  get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** How many things were done so far: unchanged means that nothing happened. */
  get turns(): number {
    return this.done
  }

  /** Whether something is to be done now. */
  get busy(): boolean {
    const next = this.next()
    return next !== undefined && this.untilDue(next) === 0
  }

  /** Does `task` at a time of the clock, and never before the next turn. */
  at(due: number, task: () => void): Appointment {
    const appointment: Appointment = { due, order: this.made++, task }
    if (this.stopped) return appointment
    this.push(appointment)
    this.wake()
    return appointment
  }

  /** Does `task` in the next turn. */
  soon(task: () => void): Appointment {
    return this.at(this.now, task)
  }

  /**
   * As `soon`, also if this has stopped or does. Bounds on waiting count turns, and would not end without it.
   */
  endOfTurn(task: () => void): void {
    if (this.stopped) queueMicrotask(task)
    else this.soon(task).certain = true
  }

  /** Does nothing any more. */
  stop(): void {
    this.stopped = true
    for (const { certain, task } of this.heap.splice(0))
      if (certain === true && task !== undefined) queueMicrotask(task)
    this.fiber?.interruptUnsafe()
    this.fiber = undefined
  }

  private wake(): void {
    const next = this.heap[0]
    if (next === undefined) return
    if (this.fiber !== undefined) {
      if (next.due >= this.waitingFor) return
      this.fiber.interruptUnsafe()
    }
    this.waitingFor = next.due
    // starts at once, so that a sleep is known to the clock before the caller goes on
    this.fiber = Effect.runForkWith(this.context)(this.turn)
  }

  private readonly turn: Effect.Effect<void> = Effect.suspend(() => {
    const next = this.next()
    if (next === undefined) {
      this.fiber = undefined
      return Effect.void
    }
    this.waitingFor = next.due
    const wait = this.untilDue(next)
    return Effect.andThen(wait > 0 ? this.clock.sleep(Duration.millis(wait)) : Effect.yieldNow, this.runNext)
  })

  private readonly runNext: Effect.Effect<void> = Effect.suspend(() => {
    const next = this.heap[0]
    // a real clock may wake a little early
    if (next !== undefined && this.untilDue(next) === 0) {
      this.waitingFor = -Infinity
      this.pop()
      const { task } = next
      next.task = undefined
      this.done++
      try {
        task?.()
      } catch (defect) {
        // as loud as an exception in a callback of the event loop, which is what this stands for
        queueMicrotask(() => {
          throw defect
        })
      }
    }
    return this.stopped ? Effect.void : this.turn
  })

  /** What is to be done first, of what was not cancelled. */
  private next(): Appointment | undefined {
    while (this.heap.length > 0 && this.heap[0]!.task === undefined) this.pop()
    return this.heap[0]
  }

  /** How long it is until then. Clocks count in nanoseconds: less than one is nothing. */
  private untilDue(appointment: Appointment): number {
    const wait = appointment.due - this.now
    return wait > 1e-6 ? wait : 0
  }

  private push(appointment: Appointment): void {
    const { heap } = this
    let i = heap.push(appointment) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(appointment, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = appointment
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()!
    const length = heap.length
    if (length === 0) return
    let i = 0
    while (true) {
      let child = 2 * i + 1
      if (child >= length) break
      if (child + 1 < length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}

const before = (a: Appointment, b: Appointment): boolean => a.due < b.due || (a.due === b.due && a.order < b.order)
