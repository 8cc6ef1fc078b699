/** Sends a request whenever nothing was sent for a while. Without an answer the connection is given up. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { EncodeFailed } from "../../StreamError.ts"
import { RequestLost, StreamTimeout } from "../base/errors.ts"
import * as Deadline from "../runtime/deadline.ts"
import { Await } from "./call.ts"
import type { Engine } from "./engine.ts"
import { lostCauseOf } from "./lost.ts"
import type { Resolved } from "./options.ts"
import { batchForLast } from "./receivers.ts"

type Options<Request> = NonNullable<Resolved<Request, never>["keepAlive"]>

export const keepAlive = <Request, Answer>(
  engine: Engine<Request, Answer>,
  options: Options<Request>
): Effect.Effect<void> => {
  let askedAt = -Infinity
  const next = Effect.suspend(() => {
    const { now } = engine.bounds
    const wait = Math.max(engine.sentAt, askedAt) + options.every - now
    if (wait > 0) return Effect.sleep(Math.ceil(wait))
    askedAt = now
    return ask(engine, options)
  })
  return Effect.asVoid(Effect.repeat(next, { while: () => !engine.isOver }))
}

/** Sends the request in its turn, and waits for the answer. */
const ask = <Request, Answer>(
  engine: Engine<Request, Answer>,
  { request, within }: Options<Request>
): Effect.Effect<void> => {
  const { bounds } = engine
  const bound = Duration.toMillis(within)
  const batch = batchForLast(engine, request, 1)
  const submit = (): void => {
    engine.submit(batch)
    // its bound is one of its own
    bounds.over(batch)
  }
  const answer = new Await<Answer, RequestLost | EncodeFailed>(
    { submit, giveUp: () => engine.giveUp(batch) },
    () => batch
  )
  /** How long the answer may still take. */
  const left = (): number => {
    // what was read and is not taken is no silence of the peer's, and what was not sent has no answer yet
    if (bounds.waits || batch.sentAt === undefined) return bound
    return Math.ceil(batch.sentAt + bound - bounds.peerTime)
  }
  const awaited = (call: Fiber.Fiber<Answer, RequestLost | EncodeFailed>, wait: number): Effect.Effect<void> =>
    Effect.flatMap(Deadline.timeoutOption(Fiber.await(call), wait, bounds.how), (exit) => {
      if (Option.isSome(exit)) return Effect.sync(() => answered(engine, exit.value))
      const more = left()
      if (more > 0) return awaited(call, more)
      engine.lose(new StreamTimeout({ operation: "keepAlive", kind: "Answer", duration: within }))
      return Effect.void
    })
  return Effect.flatMap(Effect.forkChild(answer, { startImmediately: true }), (call) => awaited(call, bound))
}

/** Nobody else hears of a request that cannot be written. */
const answered = (engine: Engine<any, any>, exit: Exit.Exit<unknown, RequestLost | EncodeFailed>): void => {
  if (Exit.isSuccess(exit) || Cause.squash(exit.cause) instanceof RequestLost) return
  engine.lose(lostCauseOf("keepAlive", exit.cause))
}
