/** What the peer says unasked, and what becomes of it while nobody takes it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Closed, PushOptions } from "../../Exchange.ts"
import type { LostCause } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import { maxPushes } from "../base/defaults.ts"
import { Mailbox } from "./mailbox.ts"
import type { Unasked } from "./options.ts"

export class Pushes<Answer> implements Unasked<Answer> {
  readonly mailbox: Mailbox<Answer, LostCause>
  readonly awaitRoom: Effect.Effect<void>
  readonly is: (message: Answer) => boolean
  readonly isAnswered = false
  private readonly overflow: "suspend" | "dropping" | "sliding"
  private lettingIn = false

  constructor(
    operation: string,
    isPush: (message: Answer) => boolean,
    pushes: NonNullable<PushOptions<Answer>["pushes"]>
  ) {
    const { capacity, overflow } = Argument.record(operation, "pushes", pushes)
    this.is = Argument.func(operation, "isPush", isPush)
    this.overflow = Argument.oneOf(operation, "pushes.overflow", overflow, ["suspend", "dropping", "sliding"])
    this.mailbox = new Mailbox(
      capacity === undefined ? maxPushes : Argument.positive(operation, "pushes.capacity", capacity)
    )
    this.awaitRoom = this.mailbox.awaitRoom
  }

  offer(message: Answer, last: boolean): boolean {
    const { mailbox, overflow } = this
    if (mailbox.isFull) {
      if (overflow === "suspend" && !last && !this.lettingIn) return false
      if (overflow === "dropping") return true
      if (overflow === "sliding") mailbox.dropFirst()
    }
    mailbox.offer(message)
    return true
  }

  /** As `offer` of each, and waits where there is to be room first. */
  putAll(messages: ReadonlyArray<Answer>): Effect.Effect<void> {
    let put = 0
    const go: Effect.Effect<void> = Effect.suspend(() => {
      while (put < messages.length) {
        if (!this.offer(messages[put]!, false)) return Effect.andThen(this.awaitRoom, go)
        put++
      }
      return Effect.void
    })
    return go
  }

  /** What is put from here on is the last that comes: it does not wait for room. */
  letIn(): void {
    this.lettingIn = true
    this.mailbox.letIn()
  }

  finish(closed: Closed): void {
    this.mailbox.finish(Exit.fail(closed._tag === "Lost" ? closed.cause : Cause.Done()))
  }
}
