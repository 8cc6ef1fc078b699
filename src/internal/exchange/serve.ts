/** The other side: requests are handled, so many at once, and their answers written in the promised order. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Connection } from "../../Connection.ts"
import type { Handler, HandlerOptions, ServeOptions } from "../../Exchange.ts"
import type { Encoder } from "../../Frame.ts"
import type { EncodeFailed, FramedReadError, WriteError } from "../../StreamError.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import * as Argument from "../base/argument.ts"
import { of } from "../frame/node.ts"
import { BufferReader } from "../read/reader.ts"
import { draining } from "../server/shutdown.ts"

// ---------------------------------------------------------------------------
// requests, wherever they come from
// ---------------------------------------------------------------------------

/** Where answers go. */
export interface Output<Response> {
  readonly writer: Pick<StreamWriter, "writeFrames">
  readonly response: Encoder<Response>
}

interface Resolved<Request, Response, E> {
  readonly concurrency: number
  readonly inOrder: boolean
  readonly put: (response: Response, request: Request) => Response
  readonly onFailure: ((cause: Cause.Cause<E>, request: Request) => Response) | undefined
}

export const resolve = <Request, Response, E>(
  operation: string,
  options: HandlerOptions<Request, Response, E>
): Resolved<Request, Response, E> => {
  const { concurrency = 1, id, onFailure = "close", order = "request" } = options
  return {
    concurrency: Argument.positive(operation, "concurrency", concurrency),
    inOrder: Argument.oneOf(operation, "order", order, ["request", "completion"]) === "request",
    put: id === undefined ? (response) => response : putOf(operation, id),
    onFailure: onFailure === "close" ? undefined : Argument.func(operation, "onFailure", onFailure)
  }
}

const putOf = <Request, Response>(
  operation: string,
  id: NonNullable<HandlerOptions<Request, Response, never>["id"]>
): Resolved<Request, Response, never>["put"] => {
  const { get, put } = Argument.record(operation, "id", id)
  Argument.func(operation, "id.get", get)
  Argument.func(operation, "id.put", put)
  return (response, request) => put(response, get(request))
}

/** What a handler does, also where it throws instead. */
const handlingOf = <Request, Response, E, R>(
  handler: Handler<Request, Response, E, R>,
  request: Request
): ReturnType<Handler<Request, Response, E, R>> => {
  try {
    return handler(request)
  } catch (error) {
    return Effect.die(error)
  }
}

/**
 * Handles requests until there are none, or those that are left are nobody's (`isOver`). The next one is taken once there is
 * room for its handler, so that a peer that asks faster than it is answered is held back.
 */
export const run = <Request, Response, E, R, E2, R2>(
  next: Effect.Effect<Option.Option<Request>, E2, R2>,
  output: Output<Response>,
  options: Resolved<Request, Response, E>,
  handler: Handler<Request, Response, E, R>,
  isOver: () => boolean = () => false
): Effect.Effect<void, E | E2 | WriteError | EncodeFailed, R | R2> => {
  const { concurrency, inOrder, onFailure, put } = options
  const { response, writer } = output

  /**
   * Answers one request, which is given to its handler here and now: in the step in which it was taken, so that no
   * interruption comes between the two. `turn`: what is in front of its answers has been written.
   */
  const answer = (
    request: Request,
    turn: Effect.Effect<void>
  ): Effect.Effect<void, E | WriteError | EncodeFailed, R> => {
    // what cannot be written is no failure of the handler's, and another answer would not be either
    let unwritten = false
    const write = (parts: ReadonlyArray<Response>): Effect.Effect<void, WriteError | EncodeFailed> =>
      Effect.onError(
        writer.writeFrames(
          response,
          parts.map((part) => put(part, request))
        ),
        () => Effect.sync(() => (unwritten = true))
      )
    const handled = Effect.flatMap(handlingOf(handler, request), (answer) => {
      if (answer === undefined) return turn
      const writing = Stream.isStream(answer)
        ? Stream.runForEachArray(answer as Stream.Stream<Response, E, R>, write)
        : write([answer as Response])
      return Effect.andThen(turn, writing)
    })
    if (onFailure === undefined) return handled
    return Effect.catchCause(handled, (cause) =>
      // a handler that is told to stop answers nothing
      unwritten || Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause)
        : Effect.andThen(
            turn,
            Effect.suspend(() => write([onFailure(cause as Cause.Cause<E>, request)]))
          )
    )
  }

  if (concurrency === 1) {
    const loop: Effect.Effect<void, E | E2 | WriteError | EncodeFailed, R | R2> = Effect.flatMap(next, (request) =>
      Option.isNone(request) ? Effect.void : Effect.flatMap(answer(request.value, Effect.void), goOn)
    )
    const goOn = () => (isOver() ? Effect.void : loop)
    return loop
  }

  return Effect.scoped(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const places = yield* Semaphore.make(concurrency)
      const failed = yield* Deferred.make<void, E | WriteError | EncodeFailed>()
      let last: Latch.Latch | undefined
      const serveNext = Effect.gen(function* () {
        yield* places.take(1)
        if (isOver()) return false
        const request = yield* next
        if (Option.isNone(request)) return false
        const before = last
        const mine = Latch.makeUnsafe(false)
        last = mine
        const turn = inOrder && before !== undefined ? before.await : Effect.void
        yield* answer(request.value, turn).pipe(
          Effect.onExit((exit) => {
            if (Exit.isFailure(exit)) {
              // its place stays taken: serving cannot come to a good end before the failure is heard
              Deferred.doneUnsafe(failed, exit)
              return Effect.void
            }
            mine.openUnsafe()
            return places.release(1)
          }),
          Effect.forkIn(scope, { startImmediately: true })
        )
        return true
      })
      const all = Effect.gen(function* () {
        while (yield* serveNext);
        // the one place that is held is this fiber's
        yield* places.take(concurrency - 1)
      })
      yield* Effect.raceFirst(all, Deferred.await(failed))
    })
  )
}

// ---------------------------------------------------------------------------
// requests of a connection
// ---------------------------------------------------------------------------

export const serve = <Request, Response, E, R>(
  connection: Connection,
  options: ServeOptions<Request, Response, E>,
  handler: Handler<Request, Response, E, R>
): Effect.Effect<void, E | FramedReadError | WriteError | EncodeFailed, R> =>
  Effect.suspend(() => {
    const operation = "serve"
    const { request, response } = Argument.record(operation, "options", options)
    Argument.func(operation, "handler", handler)
    of(operation, request)
    of(operation, response)
    const { reader, writer } = connection
    const resolved = resolve(operation, options)
    const buffer = reader instanceof BufferReader ? reader.buffer : undefined
    // a peer that never stops asking has always asked for more: what counts is what had come when the shutdown began
    let heard = Infinity
    const isOver = () => buffer !== undefined && buffer.taken >= heard
    const requests = run(reader.readFrameOption(request), { writer, response }, resolved, handler, isOver)
    if (buffer === undefined) return requests
    const heed = Effect.map(draining, () => {
      heard = buffer.received
      // a read that waits for a request of which nothing has come is answered with the end; one in the middle goes on
      buffer.drain()
    })
    return Effect.scoped(Effect.andThen(Effect.forkScoped(heed), requests)) as typeof requests
  })
