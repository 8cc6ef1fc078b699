/** An exchange as those see it who call. */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Connection } from "../../Connection.ts"
import type { CallError, Closed, Exchange } from "../../Exchange.ts"
import type { LostCause } from "../../StreamError.ts"
import type { StreamReader } from "../../StreamReader.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import * as Argument from "../base/argument.ts"
import { ClosedStream, RequestLost, StreamTimeout } from "../base/errors.ts"
import * as Deadline from "../runtime/deadline.ts"
import { ifNotInterrupted } from "../runtime/effectInternals.ts"
import { answerTimeout } from "./bounds.ts"
import { Await, Batch, Call } from "./call.ts"
import type { Engine } from "./engine.ts"
import { isStreamFailure } from "./lost.ts"
import type { Resolved } from "./options.ts"
import { All, type AnyBatch, batchForLast, Every, nobody, Parts } from "./receivers.ts"

export class Client<Request, Answer> implements Exchange<Request, Answer> {
  readonly pushes: Stream.Stream<Answer, LostCause>
  /** Completes once all that the peer has asked is answered. */
  private readonly served: Effect.Effect<unknown>
  private readonly engine: Engine<Request, Answer>
  private readonly answers: (request: Request) => number
  private readonly isLast: boolean
  private readonly maxAnswers: number
  private readonly maxInFlight: number
  private readonly callTimeout: number
  private readonly drainTimeout: Duration.Duration
  private closing: Fiber.Fiber<unknown> | undefined = undefined

  constructor(
    engine: Engine<Request, Answer>,
    options: Resolved<Request, Answer>,
    pushes: Stream.Stream<Answer, LostCause>,
    served: Effect.Effect<unknown>
  ) {
    this.served = served
    this.engine = engine
    this.pushes = pushes
    this.answers = options.answers
    this.isLast = options.isLast !== undefined
    this.maxAnswers = options.maxAnswers
    this.maxInFlight = options.maxInFlight
    this.callTimeout = options.callTimeout
    this.drainTimeout = options.closeWithin
  }

  readonly call = (request: Request): Effect.Effect<Answer, CallError> =>
    new Await(this.engine, () => batchForLast(this.engine, request, this.expected(request)))

  /** How many answers a request has whose caller waits for the last. */
  private expected(request: Request, operation = "call"): number {
    const expected = Argument.count(operation, "answers", this.answers(request))
    if (expected === 0) throw new TypeError(`${operation}: this request has no answer: use send`)
    return expected
  }

  readonly collect = (request: Request): Effect.Effect<ReadonlyArray<Answer>, CallError> =>
    new Await(this.engine, () => {
      const every = new Every<Answer>(this.engine, this.maxAnswers)
      const expected = this.isLast ? undefined : this.expected(request, "collect")
      const batch = new Batch([new Call<Request, Answer, RequestLost>(request, expected, every)])
      every.batch = batch
      return batch
    })

  readonly callAll = (requests: Iterable<Request>): Effect.Effect<ReadonlyArray<Answer>, CallError> =>
    Effect.suspend(() => {
      const all = Array.from(Argument.iterable("callAll", requests))
      if (all.length <= this.maxInFlight) return this.run(all)
      const runs = Array.from({ length: Math.ceil(all.length / this.maxInFlight) }, (_, i) => {
        const run = this.run(all.slice(i * this.maxInFlight, (i + 1) * this.maxInFlight))
        return i === 0 ? run : Effect.mapError(run, behindOthers)
      })
      const answers = Effect.map(Effect.all(runs), (answers) => answers.flat())
      if (this.callTimeout === Infinity) return answers
      // of all runs together: each for itself has begun later
      return Deadline.timeoutOrElse({
        ...this.engine.bounds.how,
        duration: this.callTimeout,
        orElse: () => Effect.fail(answerTimeout("call", this.callTimeout))
      })(answers)
    })

  private run(requests: ReadonlyArray<Request>): Effect.Effect<ReadonlyArray<Answer>, CallError> {
    if (requests.length === 0) return Effect.succeed([])
    return new Await(this.engine, () => {
      const all = new All<Answer>(this.engine, requests.length)
      const calls = requests.map(
        (request, i) => new Call<Request, Answer, RequestLost>(request, this.expected(request), all.receiver(i))
      )
      const batch = new Batch(calls)
      all.batch = batch
      return batch
    })
  }

  readonly stream = (request: Request): Stream.Stream<Answer, CallError> =>
    // when the stream begins, and not with its first pull: one that is interrupted may be followed by another
    Stream.fromChannel(
      Channel.fromTransform((_, scope) => {
        const begin = Effect.suspend(() => {
          const { engine } = this
          const parts = new Parts<Answer>(engine)
          const expected = this.isLast ? undefined : Argument.count("stream", "answers", this.answers(request))
          const call = new Call<Request, Answer, RequestLost>(request, expected, parts)
          const batch = new Batch([call])
          parts.batch = batch
          batch.onFinish((exit) => {
            if (Exit.isFailure(exit)) parts.mailbox.finish(exit as Exit.Exit<never, CallError>)
            else if (expected === 0) parts.mailbox.finish(Exit.fail(Cause.Done()))
          })
          engine.submit(batch)
          const leave = Effect.sync(() => {
            parts.mailbox.discard()
            const isWaiting = batch.abandon()
            if (batch.sent || isWaiting) engine.giveUp(batch)
          })
          return Effect.as(Scope.addFinalizer(scope, leave), parts.mailbox.take)
        })
        return Effect.andThen(ifNotInterrupted, Effect.uninterruptible(begin))
      })
    )

  readonly send = (request: Request): Effect.Effect<void, CallError> =>
    new Await(this.engine, () => new Batch([new Call<Request, Answer, RequestLost>(request, 0, nobody)]))

  readonly exclusive = <A, E, R>(
    dialogue: (reader: StreamReader, writer: StreamWriter) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | RequestLost, R> =>
    Effect.suspend(() => {
      const { engine } = this
      const batch: AnyBatch = new Batch([], true)
      let begun = false
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          Effect.onInterrupt(restore(new Await<void, RequestLost>(engine, () => batch)), () =>
            // its turn may have come just then
            Effect.sync(() => engine.giveBack(batch))
          ),
          () =>
            Effect.andThen(
              engine.stop,
              Effect.onExit(
                restore(
                  Effect.suspend(() => {
                    begun = true
                    return dialogue(engine.reader, engine.writer)
                  })
                ),
                (exit) =>
                  Effect.sync(() => {
                    if (begun && Exit.isFailure(exit)) engine.lose(outOfStep(exit.cause))
                    engine.giveBack(batch)
                  })
              )
            )
        )
      )
    })

  get release(): Effect.Effect<Connection, RequestLost> {
    return Effect.suspend(() => {
      const { engine } = this
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(this.last(restore), () =>
          Effect.andThen(
            engine.stop,
            Effect.sync(() => {
              engine.finish({ _tag: "Released" })
              return engine.connection
            })
          )
        )
      )
    })
  }

  /** Takes no more calls, and completes once those in front of it are answered. Interrupting it takes that back. */
  private last(restore: <A, E>(wait: Effect.Effect<A, E>) => Effect.Effect<A, E>): Effect.Effect<void, RequestLost> {
    return Effect.suspend(() => {
      const { engine } = this
      const batch: AnyBatch = new Batch([], true)
      const wait = new Await<void, RequestLost>(
        { submit: () => engine.submitLast(batch), giveUp: () => engine.giveUp(batch) },
        () => batch
      )
      // not inside: between that and whoever goes on, nobody would take it back
      return Effect.onInterrupt(restore(wait), () =>
        Effect.sync(() => {
          engine.accept(batch)
          engine.giveBack(batch)
        })
      )
    })
  }

  get inFlight(): Effect.Effect<number> {
    return Effect.sync(() => this.engine.order.size)
  }

  get closed(): Effect.Effect<Closed> {
    return Effect.tap(this.over, ({ _tag }) =>
      _tag === "PeerEof" ? Deadline.timeoutOption(this.served, this.drainTimeout, this.engine.bounds.how) : Effect.void
    )
  }

  private get over(): Effect.Effect<Closed> {
    return Deferred.await(this.engine.closed)
  }

  get close(): Effect.Effect<Closed> {
    return Effect.suspend(() => {
      this.closing ??= Effect.runForkWith(this.engine.services)(this.closeNow)
      return Effect.andThen(Fiber.await(this.closing), this.over)
    })
  }

  private get closeNow(): Effect.Effect<unknown> {
    const { engine } = this
    const drained = Deadline.timeoutOption(Effect.exit(this.last(identity)), this.drainTimeout, engine.bounds.how)
    return Effect.flatMap(drained, (drained) => {
      if (Option.isNone(drained)) {
        engine.lose(new StreamTimeout({ operation: "close", kind: "Answer", duration: this.drainTimeout }))
        return Effect.void
      }
      return Effect.andThen(
        engine.stop,
        Effect.suspend(() => {
          engine.finish({ _tag: "Closed" })
          // one that was released is somebody else's
          return Effect.flatMap(this.over, ({ _tag }) =>
            _tag === "Released" ? Effect.void : engine.connection.writer.close
          )
        })
      )
    })
  }
}

/** Of several runs the first were sent, whatever became of this one. */
const behindOthers = (error: CallError): CallError =>
  error._tag === "RequestLost" ? new RequestLost({ sent: "Maybe", cause: error.cause }) : error

/** A dialogue has failed: what the peer says next is an answer to nobody knows what. */
export const outOfStep = (cause: Cause.Cause<unknown>): LostCause => {
  const error = Cause.squash(cause)
  return isStreamFailure(error) ? error : new ClosedStream({ operation: "exclusive", reason: "Aborted" })
}
