/** A host of a network in memory: what a program on a machine sees of the world, and how it stops in the middle of everything. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { type ConnectOptions, Network } from "../../../Network.ts"
import type * as TestNetwork from "../../../testing/TestNetwork.ts"
import * as Argument from "../../base/argument.ts"
import { checkHost } from "./faults.ts"
import type { Life, Machine, Machines } from "./machines.ts"

/** What a host makes of a program of its own. */
export interface Parts {
  /** Tells a program of the host that it runs on. */
  readonly here: (host: TestNetwork.Host) => Context.Context<never>
  readonly crashed: (name: string) => TestNetwork.HostCrashed
}

export class MemoryHost implements Life {
  readonly name: string
  readonly address: string
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler
  readonly connect: Network["Service"]["connect"]
  readonly listen: Network["Service"]["listen"]
  /** Completes once it has crashed. */
  readonly crashed: Effect.Effect<void>
  hasCrashed = false

  private readonly machines: Machines
  private readonly parts: Parts
  private readonly observers = new Set<() => void>()

  /** Its time is that of `context`, until it crashes. */
  constructor(
    machines: Machines,
    machine: Machine,
    connect: (isThere: () => boolean, options: ConnectOptions) => ReturnType<Network["Service"]["connect"]>,
    parts: Parts,
    context: Context.Context<never>
  ) {
    this.machines = machines
    this.parts = parts
    this.name = machine.name!
    this.address = machine.addresses[0]!
    this.clock = stopping(Context.get(context, Clock.Clock), this)
    this.scheduler = stoppingScheduler(Context.get(context, Scheduler.Scheduler), this)
    const isThere = () => !this.hasCrashed
    this.connect = (options) => this.unlessCrashed(() => connect(isThere, options))
    this.listen = (options, onTransport, events) =>
      this.unlessCrashed(() => machine.listeners.listen(options, onTransport, events))
    this.crashed = Effect.callback((resume) => {
      const forget = this.onCrash(() => resume(Effect.void))
      return Effect.sync(forget)
    })
  }

  stop(): void {
    this.hasCrashed = true
  }

  tell(): void {
    for (const observer of Array.from(this.observers)) observer()
    this.observers.clear()
  }

  /** Calls back when it crashes, at once if it has; returns how to be called no longer. */
  private onCrash(task: () => void): () => void {
    if (this.hasCrashed) {
      task()
      return () => {}
    }
    this.observers.add(task)
    return () => void this.observers.delete(task)
  }

  run<A, E, R>(
    program: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | TestNetwork.HostCrashed, Exclude<R, Network | Scope.Scope>> {
    return Effect.contextWith((context: Context.Context<Exclude<R, Network | Scope.Scope>>) =>
      Effect.callback<A, E | TestNetwork.HostCrashed>((resume) => {
        if (this.hasCrashed) return resume(Effect.fail(this.parts.crashed(this.name)))
        const inside = context.pipe(
          Context.add(Clock.Clock, this.clock),
          Context.add(Scheduler.Scheduler, this.scheduler),
          Context.add(Network, Network.of({ connect: this.connect, listen: this.listen })),
          Context.merge(this.parts.here(this as unknown as TestNetwork.Host))
        )
        const fiber = Effect.runForkWith(inside)(Effect.scoped(program) as Effect.Effect<A, E>)
        const forget = this.onCrash(() => resume(Effect.fail(this.parts.crashed(this.name))))
        fiber.addObserver((exit) => {
          forget()
          // what ended with the crash itself did not end before it
          if (!this.hasCrashed) resume(exit)
        })
        // a program that was interrupted may clean up, unless it crashes meanwhile
        return Effect.callback<void>((done) => {
          this.onCrash(() => done(Effect.void))
          if (this.hasCrashed) return
          fiber.addObserver(() => done(Effect.void))
          fiber.interruptUnsafe()
        })
      })
    )
  }

  through<S extends object>(service: S, options?: { readonly at?: string | undefined }): S {
    Argument.record("Host.through", "service", service)
    const at = options?.at === undefined ? undefined : checkHost("Host.through", "at", options.at)
    const wrapped = new Map<unknown, unknown>()
    const wrap = (value: unknown): unknown => {
      if (Effect.isEffect(value)) return this.gate(value, at)
      if (typeof value !== "function" || isClass(value)) return value
      let through = wrapped.get(value)
      if (through === undefined) {
        through = (...args: ReadonlyArray<unknown>): unknown => {
          const answer: unknown = Reflect.apply(value, self, args)
          return Effect.isEffect(answer) ? this.gate(answer, at) : answer
        }
        wrapped.set(value, through)
      }
      return through
    }
    const proxy = new Proxy(service, {
      get: (target, key) => {
        const property = Reflect.getOwnPropertyDescriptor(target, key)
        const value: unknown = Reflect.get(target, key, target)
        // what cannot be replaced must not look replaced
        return property?.configurable === false && property.writable === false ? value : wrap(value)
      }
    })
    // objects of classes have parts that only they themselves may touch
    const self = Object.getPrototypeOf(service) === Object.prototype ? proxy : service
    return proxy
  }

  private unlessCrashed<A, E, R>(effect: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => (this.hasCrashed ? Effect.never : effect()))
  }

  /** What is done for a program here: nobody is left to learn of it after a crash, nor before a cut has healed. */
  private gate<A, E, R>(effect: Effect.Effect<A, E, R>, at?: string): Effect.Effect<A, E, R> {
    const passes = at === undefined ? Effect.void : this.passes(at)
    const done = at === undefined ? effect : Effect.andThen(passes, this.gate(effect))
    return this.unlessCrashed(() =>
      Effect.flatMap(Effect.exit(done), (exit) =>
        this.unlessCrashed(() =>
          // an interruption does not wait for news
          at === undefined || Exit.hasInterrupts(exit) ? exit : Effect.andThen(passes, exit)
        )
      )
    )
  }

  /** Waits until something may pass to a host and back. */
  private passes(at: string): Effect.Effect<void> {
    const isOpen = () => this.machines.isReachable(this.name, at)
    return Effect.suspend(() =>
      isOpen()
        ? Effect.void
        : Effect.callback<void>((resume) => {
            const forget = this.machines.onChange(() => {
              if (!isOpen()) return
              forget()
              resume(Effect.void)
            })
            return Effect.sync(forget)
          })
    )
  }
}

const isClass = (value: Function): boolean => /^class\b/.test(Function.prototype.toString.call(value))

/** A clock that goes on, and wakes nobody once its host has crashed. */
const stopping = (clock: Clock.Clock, host: MemoryHost): Clock.Clock => ({
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
  currentTimeNanos: clock.currentTimeNanos,
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => {
    const unlessCrashed = (effect: Effect.Effect<void>) =>
      Effect.suspend(() => (host.hasCrashed ? Effect.never : effect))
    return unlessCrashed(Effect.andThen(clock.sleep(duration), unlessCrashed(Effect.void)))
  }
})

/** A scheduler that lets nobody go on once their host has crashed. */
const stoppingScheduler = (scheduler: Scheduler.Scheduler, host: MemoryHost): Scheduler.Scheduler => ({
  executionMode: scheduler.executionMode,
  shouldYield: (fiber) => scheduler.shouldYield(fiber),
  makeDispatcher: () => {
    const dispatcher = scheduler.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        if (host.hasCrashed) return
        dispatcher.scheduleTask(() => {
          if (!host.hasCrashed) task()
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }
})
