/** One exchange over connections that come and go. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
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
import { counted } from "./counted.ts"
import { lostCauseOf } from "./lost.ts"
import { Taking } from "./mailbox.ts"
import { Pushes } from "./pushes.ts"

/** One connection of those that come and go. */
interface Generation<Request, Answer> {
  readonly exchange: Exchange<Request, Answer>
  readonly scope: Scope.Closeable
}

/** Somebody who asks for a connection, until he has been served. */
interface Asking<Request, Answer> {
  /** The connection on which he was not served. */
  but: Exchange<Request, Answer> | undefined
  /** How many milliseconds he has waited for connections, all in all. */
  waited: number
}

class Reconnecting<Request, Answer> implements Exchange<Request, Answer> {
  readonly ended = Deferred.makeUnsafe<Closed>()
  /** Completes once there is to be no further connection. */
  readonly awaitEnding: Effect.Effect<void>
  /** The scope of the connection there is, and of one that was released. */
  scope: Scope.Closeable | undefined = undefined
  private readonly endingLatch = Latch.makeUnsafe(false)
  private current: Exchange<Request, Answer> | undefined = undefined
  private over = false
  /** Whether there is to be no further connection. */
  private ending = false
  /** How many wait for the connection to be released: no call is taken then. */
  private releasing = 0
  /** Opens once callers may find something else than they have. */
  private news = Latch.makeUnsafe(false)
  /** Why there is no connection. */
  private cause: LostCause = closedByUs
  private waiting = 0
  /** Whether this connection has answered something: only then the schedule begins anew. */
  private answered = false
  private readonly waits: boolean
  private readonly maxWaiting: number
  private readonly waitTimeout: number
  readonly pushed: Pushes<Answer>

  constructor(waits: boolean, maxWaiting: number, waitTimeout: Duration.Duration, pushed: Pushes<Answer>) {
    this.waits = waits
    this.maxWaiting = maxWaiting
    this.waitTimeout = Duration.toMillis(waitTimeout)
    this.pushed = pushed
    this.awaitEnding = this.endingLatch.await
  }

  get hasAnswered(): boolean {
    return this.answered
  }
  get isEnding(): boolean {
    return this.ending
  }

  up({ exchange, scope }: Generation<Request, Answer>): void {
    this.current = exchange
    this.scope = scope
    this.answered = false
    this.tell()
  }

  down(cause: LostCause): void {
    if (!this.ending) this.cause = cause
    this.current = undefined
    // what is in its pushes is the last that comes
    if (this.ending) this.pushed.letIn()
  }

  /** There is to be no further connection. */
  end(): void {
    if (this.ending) return
    this.ending = true
    this.cause = closedByUs
    if (this.current === undefined) this.pushed.letIn()
    this.endingLatch.openUnsafe()
    this.tell()
  }

  finish(closed: Closed): void {
    if (this.over) return
    this.over = true
    this.ending = true
    this.current = undefined
    this.cause = causeOf(closed)
    this.tell()
    this.pushed.finish(closed)
    Deferred.doneUnsafe(this.ended, Exit.succeed(closed))
  }

  private tell(): void {
    const { news } = this
    // those who are told run in this very call, and may wait again
    this.news = Latch.makeUnsafe(false)
    news.openUnsafe()
  }

  private get refuses(): boolean {
    return this.ending || this.releasing > 0
  }

  /** The connection there is, or that there will be. `asking.but`: one that is known to be lost. */
  private live(asking: Asking<Request, Answer>): Effect.Effect<Exchange<Request, Answer>, RequestLost> {
    return Effect.suspend(() => {
      const { current } = this
      if (this.refuses) return this.none
      if (current !== undefined && current !== asking.but) return Effect.succeed(current)
      if (!this.waits) return this.none
      return Effect.clockWith((clock) => {
        const since = Deadline.timeOf(clock)
        const left = Math.max(0, this.waitTimeout - asking.waited)
        return Effect.flatMap(
          counted(
            (by) => (this.waiting += by),
            Effect.ensuring(
              Deadline.timeoutOption(this.change(asking), left),
              Effect.sync(() => (asking.waited += Deadline.timeOf(clock) - since))
            ),
            () => (this.waiting < this.maxWaiting ? undefined : Effect.succeedNone)
          ),
          (changed) => (Option.isSome(changed) ? this.live(asking) : this.none)
        )
      })
    })
  }

  private get none(): Effect.Effect<never, RequestLost> {
    return Effect.fail(new RequestLost({ sent: "No", cause: this.refuses && !this.over ? closedByUs : this.cause }))
  }

  /** Waits until there is another connection, or will be none. */
  private change(asking: Asking<Request, Answer>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { current } = this
      if (this.refuses || (current !== undefined && current !== asking.but)) return Effect.void
      return Effect.andThen(this.news.await, this.change(asking))
    })
  }

  /** Asks the connection there is; the next one, if `again` says so. `answers`: whether a success is an answer. */
  private ask<A, E, R>(
    run: (exchange: Exchange<Request, Answer>) => Effect.Effect<A, E, R>,
    again: (error: E) => boolean,
    answers: boolean
  ): Effect.Effect<A, E | RequestLost, R> {
    return Effect.suspend(() => {
      const { current } = this
      const asking: Asking<Request, Answer> = { but: undefined, waited: 0 }
      // nearly always: a success has nothing more to say
      if (current !== undefined && !this.refuses && (this.answered || !answers)) {
        return Effect.catch(run(current), (error): Effect.Effect<A, E | RequestLost, R> => {
          if (!this.waits || !again(error)) return Effect.fail(error)
          asking.but = current
          return this.askAnew(asking, run, again, answers)
        })
      }
      return this.askAnew(asking, run, again, answers)
    })
  }

  private askAnew<A, E, R>(
    asking: Asking<Request, Answer>,
    run: (exchange: Exchange<Request, Answer>) => Effect.Effect<A, E, R>,
    again: (error: E) => boolean,
    answers: boolean
  ): Effect.Effect<A, E | RequestLost, R> {
    return Effect.flatMap(this.live(asking), (exchange) =>
      Effect.matchEffect(run(exchange), {
        onSuccess: (value) => {
          if (answers) this.answered = true
          return Effect.succeed(value)
        },
        onFailure: (error): Effect.Effect<A, E | RequestLost, R> => {
          if (!this.waits || !again(error)) return Effect.fail(error)
          asking.but = exchange
          return this.askAnew(asking, run, again, answers)
        }
      })
    )
  }

  readonly call = (request: Request): Effect.Effect<Answer, CallError> =>
    this.ask<Answer, CallError, never>((exchange) => exchange.call(request), wasNotSent, true)

  readonly collect = (request: Request): Effect.Effect<ReadonlyArray<Answer>, CallError> =>
    this.ask<ReadonlyArray<Answer>, CallError, never>((exchange) => exchange.collect(request), wasNotSent, true)

  readonly callAll = (requests: Iterable<Request>): Effect.Effect<ReadonlyArray<Answer>, CallError> =>
    Effect.suspend(() => {
      const all = Array.from(Argument.iterable("callAll", requests))
      return this.ask<ReadonlyArray<Answer>, CallError, never>(
        (exchange) => exchange.callAll(all),
        wasNotSent,
        all.length > 0
      )
    })

  readonly send = (request: Request): Effect.Effect<void, CallError> =>
    this.ask<void, CallError, never>((exchange) => exchange.send(request), wasNotSent, false)

  readonly stream = (request: Request): Stream.Stream<Answer, CallError> =>
    Stream.fromChannel(
      Channel.fromTransform((_, scope) =>
        Effect.sync(() => {
          const asking: Asking<Request, Answer> = { but: undefined, waited: 0 }
          const kept = new Kept<NonEmptyReadonlyArray<Answer>>()
          let parts: Pull.Pull<NonEmptyReadonlyArray<Answer>, CallError> | undefined
          let asked: Exchange<Request, Answer>
          const begin = Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(restore(this.live(asking)), (exchange) =>
              Effect.map(Channel.toPullScoped(Stream.toChannel(exchange.stream(request)), scope), (pull) => {
                asked = exchange
                parts = pull
              })
            )
          )
          const pull: Pull.Pull<NonEmptyReadonlyArray<Answer>, CallError> = Effect.suspend(() => {
            if (kept.isFull) return kept.take
            if (parts === undefined) return Effect.andThen(begin, pull)
            // what comes is kept until it is handed over
            const further = Effect.flatMap(parts, (answers) => {
              this.answered = true
              return kept.keep(answers)
            })
            return Effect.catch(further, (error) => {
              // nothing of it was sent, and so nothing has come
              if (Cause.isDone(error) || !this.waits || !wasNotSent(error)) return Effect.fail(error)
              asking.but = asked
              parts = undefined
              return pull
            })
          })
          return pull
        })
      )
    )

  readonly exclusive: Exchange<Request, Answer>["exclusive"] = (dialogue) =>
    Effect.suspend(() => {
      let begun = false
      return this.ask(
        (exchange) =>
          exchange.exclusive((reader, writer) => {
            begun = true
            return dialogue(reader, writer)
          }),
        // once it has begun, an error may be the dialogue's own
        () => !begun,
        false
      )
    })

  get release(): Exchange<Request, Answer>["release"] {
    return Effect.suspend(() =>
      Effect.flatMap(this.live({ but: undefined, waited: 0 }), (exchange) =>
        counted(
          (by) => {
            this.releasing += by
            if (by < 0) this.tell()
          },
          Effect.onExit(exchange.release, (exit) => Effect.sync(() => Exit.isSuccess(exit) && this.end()))
        )
      )
    )
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
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const { current } = this
        this.end()
        if (current === undefined) return restore(this.closed)
        // it goes on when waiting for it is interrupted, from here on
        return Effect.flatMap(Effect.forkDetach(current.close, { startImmediately: true }), (closing) =>
          restore(Effect.andThen(Fiber.await(closing), this.closed))
        )
      })
    )
  }
}

const closedByUs = new ClosedStream({ operation: "call", reason: "Closed" })

/** Whether it may be sent on another connection. */
const wasNotSent = (error: CallError): boolean => error._tag === "RequestLost" && error.sent === "No"

/** What was taken from elsewhere, until it is handed over. */
class Kept<A> {
  private value: A | undefined = undefined

  get isFull(): boolean {
    return this.value !== undefined
  }

  keep(value: A): Effect.Effect<A> {
    this.value = value
    return this.take
  }

  /** What is kept. */
  readonly take: Effect.Effect<A> = new Taking(() => {
    const { value } = this
    this.value = undefined
    return Exit.succeed(value!)
  }, Effect.void)
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
    /** Completes once there was a connection, or fails as the last attempt did. */
    const first = yield* Deferred.make<void, E | E2>()

    /** What the last attempt has come to. */
    let made: Generation<Request, Answer> | undefined
    const attempt = Effect.uninterruptibleMask((restore) => {
      const scope = Scope.makeUnsafe()
      return restore(
        Effect.tap(open, (exchange) => (onConnect === undefined ? Effect.void : onConnect(exchange)))
      ).pipe(
        Scope.provide(scope),
        Effect.flatMap((exchange) => {
          made = { exchange, scope }
          return Effect.void
        }),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    })
    const untilEnding = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.raceFirst(effect, reconnecting.awaitEnding)

    /** Uses a connection until it is over. */
    const use = (generation: Generation<Request, Answer>) =>
      Effect.gen(function* () {
        const { exchange, scope } = generation
        const pumping = yield* Effect.forkChild(
          Effect.ignore(Stream.runForEachArray(exchange.pushes, (messages) => reconnecting.pushed.putAll(messages)))
        )
        const closed = yield* exchange.closed
        const isLast = closed._tag === "Closed" || closed._tag === "Released" || reconnecting.isEnding
        if (isLast) reconnecting.end()
        reconnecting.down(causeOf(closed))
        // what was pushed before is taken first
        yield* Fiber.await(pumping)
        if (closed._tag !== "Released") {
          reconnecting.scope = undefined
          yield* Scope.close(scope, Exit.void)
        }
        return { closed, isLast }
      })

    const supervise = Effect.gen(function* () {
      let next = yield* Schedule.toStepWithSleep(schedule)
      while (!reconnecting.isEnding) {
        const exit = yield* Effect.exit(untilEnding(attempt))
        const generation = made
        made = undefined
        let lost: LostCause
        if (reconnecting.isEnding) {
          if (generation !== undefined) yield* Scope.close(generation.scope, Exit.void)
          break
        } else if (generation !== undefined) {
          // in the step that looks whether it was closed: a close finds either this connection, or none to come
          reconnecting.up(generation)
          Deferred.doneUnsafe(first, Exit.void)
          const { closed, isLast } = yield* use(generation)
          if (isLast) return reconnecting.finish(closed)
          if (reconnecting.hasAnswered) next = yield* Schedule.toStepWithSleep(schedule)
          lost = causeOf(closed)
        } else {
          lost = lostCauseOf("open", (exit as Exit.Failure<unknown, unknown>).cause)
          reconnecting.down(lost)
        }
        const goesOn = yield* Pull.matchEffect(untilEnding(next(lost)), {
          onSuccess: () => Effect.succeed(true),
          onFailure: (cause) => Effect.failCause(cause),
          onDone: () => Effect.succeed(false)
        })
        if (goesOn) continue
        if (Exit.isFailure(exit)) Deferred.doneUnsafe(first, Exit.failCause(exit.cause))
        return reconnecting.finish({ _tag: "Lost", cause: lost })
      }
      reconnecting.finish({ _tag: "Closed" })
    })
    const supervised = Effect.onExit(supervise, (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) reconnecting.finish({ _tag: "Lost", cause: lostCauseOf("open", exit.cause) })
        Deferred.doneUnsafe(first, exit as Exit.Exit<void, never>)
      })
    )
    yield* Effect.acquireRelease(Effect.forkDetach(supervised), (supervising, exit) =>
      Effect.suspend(() => {
        reconnecting.end()
        const { scope } = reconnecting
        return Effect.andThen(scope === undefined ? Effect.void : Scope.close(scope, exit), Fiber.await(supervising))
      })
    )
    yield* Deferred.await(first)
    return reconnecting
  })
