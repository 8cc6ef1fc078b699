/** What the fiber that reads leaves for a stream to take: so much of it, and then reading waits. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import { othersWait } from "../base/othersWait.ts"
import { handOver, interrupted, nothing } from "../runtime/effectInternals.ts"
import { notNow, Operation } from "../runtime/operation.ts"

export class Mailbox<A, E> {
  private readonly capacity: number
  private items: Array<A> = []
  private end: Exit.Exit<never, E | Cause.Done> | undefined = undefined
  private readonly filled = Latch.makeUnsafe(false)
  private readonly room = Latch.makeUnsafe(true)
  /** Opens once somebody has taken something, or nobody will any more. */
  readonly awaitRoom: Effect.Effect<void> = this.room.await

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get isFull(): boolean {
    return this.items.length >= this.capacity
  }

  get isEmpty(): boolean {
    return this.items.length === 0
  }

  /** Whoever offers has asked whether there is room. */
  offer(item: A): void {
    if (this.end !== undefined) return
    this.items.push(item)
    if (this.isFull) this.room.closeUnsafe()
    this.filled.openUnsafe()
  }

  /** Whoever waits for room does so no longer. */
  letIn(): void {
    this.room.openUnsafe()
  }

  /** Drops the item that has waited longest. */
  dropFirst(): void {
    this.items.shift()
  }

  /** Nothing comes behind what is there. */
  finish(exit: Exit.Exit<never, E | Cause.Done>): void {
    this.end ??= exit
    this.room.openUnsafe()
    this.filled.openUnsafe()
  }

  /** What is there is not wanted, nor what would come. */
  discard(): void {
    this.items = []
    this.finish(Exit.fail(Cause.Done()))
  }

  /** All that is there, at least one; how it ended, if nothing is; `undefined` if that has to be waited for. */
  takeAllNow(): Exit.Exit<NonEmptyReadonlyArray<A>, E | Cause.Done> | undefined {
    const { items } = this
    if (items.length === 0) return this.end
    this.items = []
    this.taken()
    return Exit.succeed(items as unknown as NonEmptyReadonlyArray<A>)
  }

  /** The item that has waited longest; `None` behind the last; `undefined` if it has to be waited for. */
  takeOneNow(): Exit.Exit<Option.Option<A>> | undefined {
    const { items } = this
    if (items.length === 0) return this.end === undefined ? undefined : exitNone
    const item = items.shift()!
    this.taken()
    return Exit.succeed(Option.some(item))
  }

  private taken(): void {
    if (this.end === undefined && this.isEmpty) this.filled.closeUnsafe()
    // whoever waits for room runs in this very call
    if (othersWait()) queueMicrotask(() => this.tellOfRoom())
    else this.tellOfRoom()
  }

  private tellOfRoom(): void {
    if (!this.isFull || this.end !== undefined) this.room.openUnsafe()
  }

  /** All that is there, at least one. */
  readonly take: Pull.Pull<NonEmptyReadonlyArray<A>, E> = new Taking(() => this.takeAllNow(), this.filled.await)

  /** The item that has waited longest, or `None` behind the last. */
  readonly takeOne: Effect.Effect<Option.Option<A>> = new Taking(() => this.takeOneNow(), this.filled.await)
}

const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/**
 * Takes something and hands it over in the same step: a taker that is interrupted has it, or it is still there for the next.
 * `now` takes it, if it is there; otherwise that is tried again after `wait`.
 */
export class Taking<A, E> extends Operation<A, E> {
  private readonly now: () => Exit.Exit<A, E> | undefined
  private readonly wait: Effect.Effect<void>

  constructor(now: () => Exit.Exit<A, E> | undefined, wait: Effect.Effect<void>) {
    super()
    this.now = now
    this.wait = wait
  }

  tryNow(): typeof notNow {
    return notNow
  }

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> {
    if (interrupted(fiber)) return nothing(fiber)
    const exit = this.now()
    return exit === undefined ? Effect.andThen(this.wait, this) : handOver(exit, fiber)
  }
}
