/** What the fiber that reads leaves for a stream to take: so much of it, and then reading waits. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import { handOver, interrupted, nothing, othersWait } from "../runtime/effectInternals.ts"
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

  /** Waits until something is there, or nothing comes. */
  get awaitFilled(): Effect.Effect<void> {
    return this.filled.await
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
  readonly take: Pull.Pull<NonEmptyReadonlyArray<A>, E> = new Taking(this, () => this.takeAllNow())

  /** The item that has waited longest, or `None` behind the last. */
  readonly takeOne: Effect.Effect<Option.Option<A>> = new Taking(this, () => this.takeOneNow())
}

const exitNone: Exit.Exit<Option.Option<never>> = Exit.succeed(Option.none())

/**
 * Takes something out of a mailbox and hands it over in the same step: a taker that is interrupted has it, or it is still
 * there for the next.
 */
class Taking<A, E> extends Operation<A, E> {
  private readonly mailbox: Mailbox<any, any>
  private readonly now: () => Exit.Exit<A, E> | undefined

  constructor(mailbox: Mailbox<any, any>, now: () => Exit.Exit<A, E> | undefined) {
    super()
    this.mailbox = mailbox
    this.now = now
  }

  tryNow(): typeof notNow {
    return notNow
  }

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> {
    if (interrupted(fiber)) return nothing
    const exit = this.now()
    return exit === undefined ? Effect.andThen(this.mailbox.awaitFilled, this) : handOver(exit, fiber)
  }
}
