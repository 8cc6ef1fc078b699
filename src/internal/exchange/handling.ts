/** Which of those who answer the peer's requests go on by themselves, and which wait for the peer. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Channel from "effect/Channel"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Batch } from "./call.ts"

/** The request that is being handled, for all that its handler does. */
const Current = Context.Reference<Handling | undefined>("effect-byte-streams/internal/Handling", {
  defaultValue: () => undefined
})

const current = (): Handling | undefined => Fiber.getCurrent()?.getRef(Current)

/** Handlers that are at work: they run, and do not wait for an answer of the peer's, nor to write one. */
export class Handlers {
  readonly atWork = new Set<Handling>()
  private readonly onChange: () => void

  constructor(onChange: () => void) {
    this.onChange = onChange
  }

  note(handling: Handling, isAtWork: boolean): void {
    if (isAtWork === this.atWork.has(handling)) return
    if (isAtWork) this.atWork.add(handling)
    else this.atWork.delete(handling)
    this.onChange()
  }

  /** Whether it is one of these handlers that runs now. */
  get areRunning(): boolean {
    return current()?.handlers === this
  }

  /** A call of this exchange may be one of a handler's. */
  readonly noteCall = (batch: Batch<any, any, any>): void => {
    if (this.areRunning) current()!.awaits(batch)
  }

  /** What a handler does, and the stream that it answers with, if it does. */
  watch<A, B, E, R>(handler: Effect.Effect<A | Stream.Stream<B, E, R>, E, R>) {
    const handling = new Handling(this)
    return Effect.map(handling.run(handler), (answer): A | Stream.Stream<B, E, R> =>
      Stream.isStream(answer) ? handling.stream(answer as Stream.Stream<B, E, R>) : answer
    )
  }
}

/** One request that is being handled. */
class Handling {
  readonly handlers: Handlers
  private running = 0
  /** How many answers of the peer's it waits for. */
  private awaited = 0

  constructor(handlers: Handlers) {
    this.handlers = handlers
  }

  private count(running: number, awaited: number): void {
    this.running += running
    this.awaited += awaited
    this.handlers.note(this, this.running > 0 && this.awaited === 0)
  }

  run<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.count(1, 0)
      return Effect.ensuring(
        Effect.provideService(effect, Current, this),
        Effect.sync(() => this.count(-1, 0))
      )
    })
  }

  stream<A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    return Stream.fromChannel(
      Channel.fromTransform((_, scope) =>
        Effect.map(
          Channel.toPullScoped(Stream.toChannel(stream), scope),
          (pull): Effect.Effect<NonEmptyReadonlyArray<A>, any, R> => this.run(pull)
        )
      )
    )
  }

  awaits(batch: Batch<any, any, any>): void {
    this.count(0, 1)
    batch.onOver = () => this.count(0, -1)
  }
}
