/** One exchange over connections that come and go. */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CallError, Closed, Exchange, ReconnectingOptions } from "../../Exchange.ts"
import type { LostCause } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import { ClosedStream, RequestLost } from "../base/errors.ts"
import * as Deadline from "../runtime/deadline.ts"
import { lostCauseOf } from "./lost.ts"
import { Pushes } from "./pushes.ts"

class Reconnecting<Request, Answer> implements Exchange<Request, Answer> {
  readonly ended = Deferred.makeUnsafe<Closed>()
  /** Open while there is a connection, and once there will be none. */
  private readonly latch = Latch.makeUnsafe(false)
  private current: Exchange<Request, Answer> | undefined = undefined
  private over: Closed | undefined = undefined
  /** Why there is no connection. */
  private cause: LostCause = new ClosedStream({ operation: "call", reason: "Closed" })
  private waiting = 0
  /** Whether this connection has answered something: only then the schedule begins anew. */
  private answered = false
  private readonly waits: boolean
  private readonly maxWaiting: number
  private readonly waitTimeout: Duration.Duration
  readonly pushed: Pushes<Answer>

  constructor(waits: boolean, maxWaiting: number, waitTimeout: Duration.Duration, pushed: Pushes<Answer>) {
    this.waits = waits
    this.maxWaiting = maxWaiting
    this.waitTimeout = waitTimeout
    this.pushed = pushed
  }

  get hasAnswered(): boolean {
    return this.answered
  }
  get isOver(): boolean {
    return this.over !== undefined
  }

  up(exchange: Exchange<Request, Answer>): void {
    this.current = exchange
    this.answered = false
    this.latch.openUnsafe()
  }

  down(cause: LostCause): void {
    this.cause = cause
    this.current = undefined
    if (this.over === undefined) this.latch.closeUnsafe()
  }

  finish(closed: Closed): void {
    if (this.over !== undefined) return
    this.over = closed
    this.current = undefined
    this.cause = causeOf(closed)
    this.latch.openUnsafe()
    this.pushed.finish(closed)
    Deferred.doneUnsafe(this.ended, Exit.succeed(closed))
  }

  /** The connection there is, or that there will be. `but`: one that is known to be lost. */
  private live(but?: Exchange<Request, Answer>): Effect.Effect<Exchange<Request, Answer>, RequestLost> {
    return Effect.suspend(() => {
      const { current } = this
      if (current !== undefined && current !== but) return Effect.succeed(current)
      if (this.over !== undefined || !this.waits || this.waiting >= this.maxWaiting) {
        return Effect.fail(new RequestLost({ sent: "No", cause: this.cause }))
      }
      this.waiting++
      return Effect.ensuring(
        Effect.flatMap(Deadline.timeoutOption(this.change(but), this.waitTimeout), (changed) =>
          Option.isSome(changed) ? this.live(but) : Effect.fail(new RequestLost({ sent: "No", cause: this.cause }))
        ),
        Effect.sync(() => this.waiting--)
      )
    })
  }

  /** Waits until there is another connection, or will be none. */
  private change(but: Exchange<Request, Answer> | undefined): Effect.Effect<void> {
    return Effect.suspend(() =>
      // of one that is lost it is told in a moment that it is gone
      this.current !== undefined && this.current === but
        ? Effect.andThen(Effect.yieldNow, this.change(but))
        : this.latch.await
    )
  }

  /** Asks the connection there is; the next one, if nothing of it was sent. */
  private ask<A>(
    run: (exchange: Exchange<Request, Answer>) => Effect.Effect<A, CallError>,
    but?: Exchange<Request, Answer>
  ): Effect.Effect<A, CallError> {
    return Effect.flatMap(this.live(but), (exchange) =>
      Effect.matchEffect(run(exchange), {
        onSuccess: (answer) => {
          this.answered = true
          return Effect.succeed(answer)
        },
        onFailure: (error) =>
          error._tag === "RequestLost" && error.sent === "No" && this.waits
            ? this.ask(run, exchange)
            : Effect.fail(error)
      })
    )
  }

  readonly call = (request: Request): Effect.Effect<Answer, CallError> => this.ask((exchange) => exchange.call(request))

  readonly callAll = (requests: Iterable<Request>): Effect.Effect<ReadonlyArray<Answer>, CallError> =>
    Effect.suspend(() => {
      const all = Array.from(Argument.iterable("callAll", requests))
      return this.ask((exchange) => exchange.callAll(all))
    })

  readonly send = (request: Request): Effect.Effect<void, CallError> => this.ask((exchange) => exchange.send(request))

  readonly stream = (request: Request): Stream.Stream<Answer, CallError> => this.streamOf(request)

  private streamOf(request: Request, but?: Exchange<Request, Answer>): Stream.Stream<Answer, CallError> {
    return Stream.unwrap(
      Effect.map(this.live(but), (exchange) =>
        Stream.catchTag(
          Stream.tap(exchange.stream(request), () => Effect.sync(() => (this.answered = true))),
          "RequestLost",
          // nothing of it was sent, and so nothing has come
          (error) => (error.sent === "No" && this.waits ? this.streamOf(request, exchange) : Stream.fail(error))
        )
      )
    )
  }

  readonly exclusive: Exchange<Request, Answer>["exclusive"] = (dialogue) =>
    Effect.flatMap(this.live(), (exchange) => exchange.exclusive(dialogue))

  get release(): Exchange<Request, Answer>["release"] {
    return Effect.flatMap(this.live(), (exchange) => exchange.release)
  }

  get pushes(): Stream.Stream<Answer, LostCause> {
    return Stream.fromPull(Effect.succeed(this.pushed.mailbox.take))
  }

  get inFlight(): Effect.Effect<number> {
    return Effect.suspend(() => this.current?.inFlight ?? Effect.succeed(0))
  }

  get closed(): Effect.Effect<Closed> {
    return Deferred.await(this.ended)
  }

  get close(): Effect.Effect<Closed> {
    return Effect.suspend(() => {
      const { current } = this
      if (current !== undefined) return Effect.andThen(current.close, this.closed)
      this.finish({ _tag: "Closed" })
      return this.closed
    })
  }
}

const causeOf = (closed: Closed): LostCause =>
  closed._tag === "Lost"
    ? closed.cause
    : new ClosedStream({ operation: "call", reason: closed._tag === "PeerEof" ? "Eof" : "Closed" })

export const makeReconnecting = <Request, Answer, E, R, E2 = never, R2 = never>(
  open: Effect.Effect<Exchange<Request, Answer>, E, R>,
  options: ReconnectingOptions<Request, Answer, E2, R2>
): Effect.Effect<Exchange<Request, Answer>, E | E2, Exclude<R, Scope.Scope> | Exclude<R2, Scope.Scope> | Scope.Scope> =>
  Effect.gen(function* () {
    const operation = "makeReconnecting"
    const { maxWaiting, onConnect, pushes, schedule, waitTimeout, whileDown } = Argument.record(
      operation,
      "options",
      options
    )
    if (!Schedule.isSchedule(schedule)) throw Argument.wrongType(operation, "schedule", "a Schedule", schedule)
    if (onConnect !== undefined) Argument.func(operation, "onConnect", onConnect)
    const reconnecting = new Reconnecting<Request, Answer>(
      Argument.oneOf(operation, "whileDown", whileDown, ["wait", "fail"]) === "wait",
      maxWaiting === undefined ? Defaults.maxWaitingCallers : Argument.count(operation, "maxWaiting", maxWaiting),
      Argument.someTime(operation, "waitTimeout", waitTimeout ?? Defaults.waitTimeout),
      new Pushes<Answer>(operation, () => true, pushes ?? { overflow: "suspend" })
    )
    const parent = yield* Effect.scope
    /** Completes once there was a connection, or fails as the last attempt did. */
    const first = yield* Deferred.make<void, E | E2>()

    const attempt = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.fork(parent), (scope) =>
        restore(Effect.tap(open, (exchange) => (onConnect === undefined ? Effect.void : onConnect(exchange)))).pipe(
          Scope.provide(scope),
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
          Effect.map((exchange) => ({ exchange, scope }))
        )
      )
    )
    const pump = (exchange: Exchange<Request, Answer>) =>
      Stream.runForEach(exchange.pushes, (message) => reconnecting.pushed.put(message))

    const supervise = Effect.gen(function* () {
      let next = yield* Schedule.toStepWithSleep(schedule)
      while (!reconnecting.isOver) {
        const exit = yield* Effect.exit(attempt)
        let lost: LostCause
        if (Exit.isSuccess(exit)) {
          const { exchange, scope } = exit.value
          const pumping = yield* Effect.forkIn(Effect.ignore(pump(exchange)), scope)
          reconnecting.up(exchange)
          Deferred.doneUnsafe(first, Exit.void)
          const closed = yield* exchange.closed
          if (closed._tag === "Closed" || closed._tag === "Released") {
            if (closed._tag === "Closed") yield* Scope.close(scope, Exit.void)
            return reconnecting.finish(closed)
          }
          lost = causeOf(closed)
          reconnecting.down(lost)
          // what was pushed before is taken first
          yield* Effect.andThen(Fiber.await(pumping), Scope.close(scope, Exit.void))
          if (reconnecting.hasAnswered) next = yield* Schedule.toStepWithSleep(schedule)
        } else {
          lost = lostCauseOf("open", exit.cause)
          reconnecting.down(lost)
        }
        const goesOn = yield* Pull.matchEffect(next(lost), {
          onSuccess: () => Effect.succeed(true),
          onFailure: (cause) => Effect.failCause(cause),
          onDone: () => Effect.succeed(false)
        })
        if (goesOn) continue
        reconnecting.finish({ _tag: "Lost", cause: lost })
        if (Exit.isFailure(exit)) Deferred.doneUnsafe(first, Exit.failCause(exit.cause))
      }
    })
    yield* Effect.forkScoped(
      Effect.onExit(supervise, (exit) =>
        Effect.sync(() => {
          reconnecting.finish(
            Exit.isFailure(exit) ? { _tag: "Lost", cause: lostCauseOf("open", exit.cause) } : { _tag: "Closed" }
          )
          if (Exit.isFailure(exit)) Deferred.doneUnsafe(first, exit as never)
        })
      )
    )
    yield* Deferred.await(first)
    return reconnecting
  })
