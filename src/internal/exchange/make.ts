/** Exchanges of each shape, made of their options. */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Connection } from "../../Connection.ts"
import type {
  Exchange,
  MultiplexedOptions,
  PeerHandler,
  PeerOptions,
  PipelinedOptions,
  PushOptions
} from "../../Exchange.ts"
import type { RequestLost } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import { ClosedStream } from "../base/errors.ts"
import type { Call } from "./call.ts"
import { Client, outOfStep } from "./client.ts"
import { Engine } from "./engine.ts"
import { Handlers } from "./handling.ts"
import { keepAlive } from "./keepAlive.ts"
import { lostCauseOf } from "./lost.ts"
import { resolve, type Resolved } from "./options.ts"
import { ById, InOrder, type Order } from "./order.ts"
import { Pushes } from "./pushes.ts"
import { Requests } from "./requests.ts"
import * as Serve from "./serve.ts"

const pushesOf = <Answer>(operation: string, { isPush, pushes }: PushOptions<Answer>): Pushes<Answer> | undefined => {
  if (isPush !== undefined) return new Pushes(operation, isPush, pushes!)
  if (pushes !== undefined) throw new TypeError(`${operation}: pushes needs isPush, which tells them from answers`)
  return undefined
}

const make = <Request, Answer>(
  connection: Connection,
  order: Order<Request, Answer>,
  options: Resolved<Request, Answer>,
  pushes: Pushes<Answer> | undefined,
  onMade?: (engine: Engine<Request, Answer>) => void,
  served: Effect.Effect<unknown> = Effect.void
): Effect.Effect<Exchange<Request, Answer>, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const engine = new Engine(connection, order, options, context as never)
    onMade?.(engine)
    const client = new Client(
      engine,
      options,
      pushes === undefined ? Stream.empty : Stream.fromPull(Effect.succeed(pushes.mailbox.take)),
      served
    )
    return Effect.acquireRelease(
      Effect.sync(() => {
        engine.start()
        return client
      }),
      (client, exit) =>
        Exit.isSuccess(exit)
          ? Effect.suspend(() => (engine.isOver ? Effect.void : client.close))
          : Effect.sync(() => engine.lose(new ClosedStream({ operation: "call", reason: "Aborted" })))
    ).pipe(
      Effect.tap(() =>
        options.keepAlive === undefined ? Effect.void : Effect.forkScoped(keepAlive(engine, options.keepAlive))
      )
    )
  })

export const makePipelined = <Request, Answer>(
  connection: Connection,
  options: PipelinedOptions<Request, Answer>
): Effect.Effect<Exchange<Request, Answer>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const operation = "makePipelined"
    const { cancel, isPush, response } = Argument.record(operation, "options", options)
    if (isPush !== undefined && typeof response === "function") {
      throw new TypeError(`${operation}: with isPush there is one way to read all messages: response must be a frame`)
    }
    const pushes = pushesOf(operation, options)
    let engine: Engine<Request, Answer>
    const onAbandoned = (call: Call<Request, Answer, RequestLost>): void => {
      const cancelled = Effect.catchCause(
        Effect.suspend(() => cancel!(call.request)),
        (cause) => Effect.sync(() => engine.lose(lostCauseOf("cancel", cause)))
      )
      // there is nothing to cancel any more once it is over
      Effect.runForkWith(engine.services)(Effect.raceFirst(cancelled, Deferred.await(engine.closed)))
    }
    const resolved = resolve(
      operation,
      options,
      cancel === undefined ? undefined : onAbandoned,
      pushes === undefined ? [] : [pushes]
    )
    return make(connection, new InOrder<Request, Answer>(), resolved, pushes, (made) => (engine = made))
  })

/** What fits into 31 bits, as most protocols have it; 0 means something of its own in many. */
const allIds = [1, 2 ** 31 - 1] as const

/** An order by id, and what is done for a call of it whose caller is gone. */
const byId = <Request, Answer>(
  operation: string,
  options: Pick<MultiplexedOptions<Request, Answer>, "id" | "cancel" | "maxInFlight">
) => {
  const { get, put, range } = Argument.record(operation, "id", options.id)
  const [first, last] = range ?? allIds
  const { cancel, maxInFlight = Defaults.maxCallsInFlight } = options
  Argument.count(operation, "id.range", first)
  // half of the ids may be those of cancelled requests
  if (!Number.isSafeInteger(last) || last - first + 1 < 2 * maxInFlight + 2) {
    throw new RangeError(`${operation}: id.range must have more than twice as many ids as maxInFlight`)
  }
  const ids = { get: Argument.func(operation, "id.get", get), put: Argument.func(operation, "id.put", put) }
  // no id that is remembered is given out, and there is one for every call
  const mostCancelled = Math.min(last - first - maxInFlight, Math.max(maxInFlight, Defaults.maxCancelledCalls))
  const order = new ById<Request, Answer>(ids, first, last, mostCancelled)
  const made: { engine?: Engine<Request, Answer> } = {}
  const onAbandoned = (call: Call<Request, Answer, RequestLost>): void => {
    const { engine } = made
    if (cancel === undefined || engine === undefined) return
    if (cancel.request === undefined) {
      order.cancel(call)
      return engine.forget(call)
    }
    const request = cancel.request(call.id!)
    if (cancel.answered) return engine.sendNow(request)
    order.cancel(call)
    // in front of the call that takes its place, or there would be one too many
    engine.sendNow(request)
    engine.forget(call)
  }
  return { order, made, onAbandoned: cancel === undefined ? undefined : onAbandoned }
}

export const makeMultiplexed = <Request, Answer>(
  connection: Connection,
  options: MultiplexedOptions<Request, Answer>
): Effect.Effect<Exchange<Request, Answer>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const operation = "makeMultiplexed"
    Argument.record(operation, "options", options)
    const pushes = pushesOf(operation, options)
    const { made, onAbandoned, order } = byId(operation, options)
    const resolved = resolve(operation, options, onAbandoned, pushes === undefined ? [] : [pushes])
    return make(connection, order, resolved, pushes, (engine) => (made.engine = engine))
  })

export const makePeer = <Message, E, R>(
  connection: Connection,
  options: PeerOptions<Message, E>,
  handler: PeerHandler<Message, E, R>
): Effect.Effect<Exchange<Message, Message>, never, R | Scope.Scope> =>
  Effect.suspend(() => {
    const operation = "makePeer"
    const { isRequest, message, serve = {} } = Argument.record(operation, "options", options)
    Argument.func(operation, "handler", handler)
    const serving = Serve.resolve<Message, Message, E>(operation, Argument.record(operation, "serve", serve))
    const pushes = pushesOf(operation, options)
    const { made, onAbandoned, order } = byId(operation, options)
    const handlers = new Handlers(() => {
      const { bounds, held } = made.engine!
      bounds.waits = held.isOurs
    })
    const requests = new Requests(Argument.func(operation, "isRequest", isRequest), serving.concurrency, handlers)
    const resolved = resolve<Message, Message>(
      operation,
      { ...options, request: message, response: message },
      onAbandoned,
      pushes === undefined ? [requests] : [requests, pushes]
    )
    let server: Fiber.Fiber<unknown, unknown> | undefined
    let scopeEnds = false
    const serveFor = (peer: Exchange<Message, Message>) =>
      Effect.onError(
        Serve.run(
          requests.mailbox.takeOne,
          { writer: requests.answerTo(made.engine!), response: message },
          serving,
          (request: Message) => handlers.watch(handler(request, peer))
        ),
        (cause) =>
          Effect.sync(() => {
            // how the scope ends decides what becomes of the connection, and not that handlers end with it
            if (!scopeEnds) made.engine!.lose(outOfStep(cause))
          })
      )
    return make(
      connection,
      order,
      { ...resolved, onSubmit: handlers.noteCall },
      pushes,
      (engine) => (made.engine = engine),
      // a handler that asks would wait for itself
      Effect.suspend(() => (server === undefined || handlers.areRunning ? Effect.void : Fiber.await(server)))
    ).pipe(
      Effect.tap((peer) => Effect.map(Effect.forkScoped(serveFor(peer)), (fiber) => (server = fiber))),
      Effect.tap(() => Effect.addFinalizer(() => Effect.sync(() => (scopeEnds = true))))
    )
  })
