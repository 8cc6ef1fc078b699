/** Exchanges of each shape, made of their options. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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
import type { EncodeFailed, WriteError } from "../../StreamError.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import { ClosedStream, RequestLost, StreamTimeout } from "../base/errors.ts"
import * as Deadline from "../runtime/deadline.ts"
import { Await, Batch, Call } from "./call.ts"
import { Client, outOfStep } from "./client.ts"
import { Engine } from "./engine.ts"
import { lostCauseOf } from "./lost.ts"
import { Mailbox } from "./mailbox.ts"
import { resolve, type Resolved, type Unasked } from "./options.ts"
import { ById, InOrder, type Order } from "./order.ts"
import { Pushes } from "./pushes.ts"
import { Last } from "./receivers.ts"
import * as Serve from "./serve.ts"

/** What the peer asks of this side. */
class Requests<Message> implements Unasked<Message> {
  readonly mailbox: Mailbox<Message, never>
  readonly awaitRoom: Effect.Effect<void>
  readonly is: (message: Message) => boolean
  /** How many answers are being written. */
  private answers = 0

  constructor(is: (message: Message) => boolean, capacity: number) {
    this.is = is
    this.mailbox = new Mailbox(capacity)
    this.awaitRoom = this.mailbox.awaitRoom
  }
  offer(message: Message, last: boolean): boolean {
    if (this.mailbox.isFull && !last) return false
    this.mailbox.offer(message)
    return true
  }
  get isAnswered(): boolean {
    return this.answers > 0
  }
  finish(): void {
    this.mailbox.finish(Exit.fail(Cause.Done()))
  }

  /** Writes answers: not into somebody's dialogue, nor to a connection that is somebody else's. */
  answerTo(engine: Engine<Message, Message>): Pick<StreamWriter, "writeFrames"> {
    const writeFrames: StreamWriter["writeFrames"] = (frame, messages) =>
      Effect.suspend(() => {
        let counted = false
        let waited = false
        const write = Effect.suspend((): Effect.Effect<void, WriteError | EncodeFailed> => {
          // once behind the next one, so that neither answers nor dialogues wait for ever where there are always more
          const holder = engine.holder ?? (waited ? undefined : engine.nextHolder)
          if (holder !== undefined && engine.isOver) return Effect.fail(ended())
          if (holder !== undefined) {
            waited = true
            return Effect.andThen(holder.givenBack.await, write)
          }
          counted = true
          this.answers++
          return engine.writer.writeFrames(frame, messages)
        })
        return Effect.ensuring(
          write,
          Effect.sync(() => {
            if (!counted) return
            this.answers--
            engine.pump()
          })
        )
      })
    return { writeFrames }
  }
}

const ended = (): ClosedStream => new ClosedStream({ operation: "writeFrames", reason: "Closed" })

const pushesOf = <Answer>(operation: string, { isPush, pushes }: PushOptions<Answer>): Pushes<Answer> | undefined => {
  if (isPush !== undefined) return new Pushes(operation, isPush, pushes!)
  if (pushes !== undefined) throw new TypeError(`${operation}: pushes needs isPush, which tells them from answers`)
  return undefined
}

/** Sends a request whenever nothing was sent for a while. Without an answer the connection is given up. */
const keepAlive = <Request, Answer>(
  engine: Engine<Request, Answer>,
  { every, request, within }: NonNullable<Resolved<Request, Answer>["keepAlive"]>
): Effect.Effect<void> => {
  const bound = Duration.toMillis(within)
  let askedAt = -Infinity
  const ask = Effect.suspend(() => {
    const { bounds } = engine
    const wait = Math.max(engine.sentAt, askedAt) + every - bounds.now
    if (wait > 0) return Effect.sleep(Math.ceil(wait))
    askedAt = bounds.now
    const receiver = new Last<Answer>(engine)
    const batch = new Batch([new Call<Request, Answer, RequestLost>(request, 1, receiver)])
    receiver.batch = batch
    const submit = (): void => {
      engine.submit(batch)
      // its bound is one of its own
      bounds.over(batch)
    }
    const answer = new Await<Answer, RequestLost | EncodeFailed>(
      { submit, giveUp: () => engine.giveUp(batch) },
      () => batch
    )
    const awaited = (call: Fiber.Fiber<unknown, RequestLost | EncodeFailed>, wait: number): Effect.Effect<void> =>
      Effect.flatMap(Deadline.timeoutOption(Fiber.await(call), wait), (answer) => {
        if (Option.isSome(answer)) {
          const exit = answer.value
          // nobody else hears of a request that cannot be written
          if (Exit.isFailure(exit) && !isLost(exit.cause)) engine.lose(lostCauseOf("keepAlive", exit.cause))
          return Effect.void
        }
        const left = batch.sentAt === undefined ? bound : Math.ceil(batch.sentAt + bound - bounds.peerTime)
        // what was read and is not taken is no silence of the peer's, and what was not sent has no answer yet
        const isHeld = !engine.held.isEmpty
        if (isHeld || left > 0) return awaited(call, isHeld ? bound : left)
        engine.lose(new StreamTimeout({ operation: "keepAlive", kind: "Answer", duration: within }))
        return Effect.void
      })
    return Effect.flatMap(Effect.forkChild(answer, { startImmediately: true }), (call) => awaited(call, bound))
  })
  return Effect.asVoid(Effect.repeat(ask, { while: () => !engine.isOver }))
}

const isLost = (cause: Cause.Cause<unknown>): boolean => Cause.squash(cause) instanceof RequestLost

const make = <Request, Answer>(
  connection: Connection,
  order: Order<Request, Answer>,
  options: Resolved<Request, Answer>,
  pushes: Pushes<Answer> | undefined,
  onMade?: (engine: Engine<Request, Answer>) => void
): Effect.Effect<Exchange<Request, Answer>, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const engine = new Engine(connection, order, options, context as never)
    onMade?.(engine)
    const client = new Client(
      engine,
      options,
      pushes === undefined ? Stream.empty : Stream.fromPull(Effect.succeed(pushes.mailbox.take))
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
    let services: Context.Context<never>
    const resolved = resolve(
      operation,
      options,
      cancel === undefined ? undefined : ({ request }) => void Effect.runForkWith(services)(cancel(request)),
      pushes === undefined ? [] : [pushes]
    )
    return make(connection, new InOrder<Request, Answer>(), resolved, pushes, (engine) => (services = engine.services))
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
    const requests = new Requests(Argument.func(operation, "isRequest", isRequest), serving.concurrency)
    const resolved = resolve<Message, Message>(
      operation,
      { ...options, request: message, response: message },
      onAbandoned,
      pushes === undefined ? [requests] : [requests, pushes]
    )
    let scopeEnds = false
    const serveFor = (peer: Exchange<Message, Message>) =>
      Effect.onError(
        Serve.run(
          requests.mailbox.takeOne,
          { writer: requests.answerTo(made.engine!), response: message },
          serving,
          (request: Message) => handler(request, peer)
        ),
        (cause) =>
          Effect.sync(() => {
            // how the scope ends decides what becomes of the connection, and not that handlers end with it
            if (!scopeEnds) made.engine!.lose(outOfStep(cause))
          })
      )
    return make(connection, order, resolved, pushes, (engine) => (made.engine = engine)).pipe(
      Effect.tap((peer) => Effect.forkScoped(serveFor(peer))),
      Effect.tap(() => Effect.addFinalizer(() => Effect.sync(() => (scopeEnds = true))))
    )
  })
