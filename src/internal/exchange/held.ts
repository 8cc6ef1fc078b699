/** What was read, and there is no room for yet: nothing more is read until there is, or until nothing more comes. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** Where there is no room. */
export interface Full {
  readonly awaitRoom: Effect.Effect<void>
  /** Whether whoever makes room waits for the peer: then it is the peer that keeps everybody waiting. */
  readonly isStuck?: boolean
}

export class Held<Message> {
  /** Whether nothing comes but what has come. There is room for that: it waits for nobody. */
  hasAll = false
  private readonly awaitEnd: Effect.Effect<unknown>
  private readonly services: Context.Context<never>
  private readonly wake: () => void
  private held: { readonly message: Message; readonly full: Full } | undefined = undefined
  private watcher: Fiber.Fiber<unknown, unknown> | undefined = undefined

  /** `awaitEnd`: nothing more comes. `wake` is called if something is held then, and it need not be any more. */
  constructor(awaitEnd: Effect.Effect<unknown>, services: Context.Context<never>, wake: () => void) {
    this.awaitEnd = awaitEnd
    this.services = services
    this.wake = wake
  }

  get isEmpty(): boolean {
    return this.held === undefined
  }

  /** Whether something waits here, and not for the peer. */
  get isOurs(): boolean {
    return this.held !== undefined && this.held.full.isStuck !== true
  }

  put(message: Message, full: Full): void {
    this.held = { message, full }
    // whoever reads hears of the end by that
    this.watcher ??= Effect.runForkWith(this.services)(Effect.map(this.awaitEnd, () => this.onEnd()))
  }

  private onEnd(): void {
    this.hasAll = true
    if (!this.isEmpty) this.wake()
  }

  /** Completes once what is held may be tried again. */
  get wait(): Effect.Effect<void> {
    return this.held === undefined || this.hasAll ? Effect.void : this.held.full.awaitRoom
  }

  take(): { readonly message: Message } | undefined {
    const { held } = this
    this.held = undefined
    return held
  }

  stop(): void {
    this.watcher?.interruptUnsafe()
  }
}
