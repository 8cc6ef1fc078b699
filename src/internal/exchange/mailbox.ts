/** What the fiber that reads leaves for a stream to take: so much of it, and then reading waits. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"

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

  /** All that is there, at least one. */
  readonly take: Pull.Pull<NonEmptyReadonlyArray<A>, E> = Effect.suspend((): Pull.Pull<NonEmptyReadonlyArray<A>, E> => {
    const { end, items } = this
    if (items.length > 0) {
      this.items = []
      if (end === undefined) this.filled.closeUnsafe()
      this.room.openUnsafe()
      return Effect.succeed(items as unknown as NonEmptyReadonlyArray<A>)
    }
    return end ?? Effect.andThen(this.filled.await, this.take)
  })

  /** The item that has waited longest, or `None` behind the last. */
  readonly takeOne: Effect.Effect<Option.Option<A>> = Effect.suspend((): Effect.Effect<Option.Option<A>> => {
    const { items } = this
    if (items.length > 0) {
      const item = items.shift()!
      if (this.end === undefined && items.length === 0) this.filled.closeUnsafe()
      this.room.openUnsafe()
      return Effect.succeed(Option.some(item))
    }
    return this.end === undefined ? Effect.andThen(this.filled.await, this.takeOne) : Effect.succeed(Option.none())
  })
}
