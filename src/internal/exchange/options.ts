/** The options of an exchange, checked. */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Closed, CommonOptions, KeepAlive, PipelinedOptions } from "../../Exchange.ts"
import type { Decoder, Encoder } from "../../Frame.ts"
import type { RequestLost } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import { of } from "../frame/node.ts"
import type { Timeouts } from "./bounds.ts"
import type { Batch, Call } from "./call.ts"

/** What the peer says unasked, and who takes it. */
export interface Unasked<Message> {
  is(message: Message): boolean
  /** Whether it was taken: otherwise it is offered again once there is room, or as the `last`, which is taken. */
  offer(message: Message, last: boolean): boolean
  readonly awaitRoom: Effect.Effect<void>
  /** As of `Full`. */
  readonly isStuck?: boolean
  /** Whether an answer to it is just being written: nobody has the connection to himself meanwhile. */
  readonly isAnswered: boolean
  /** Nothing more comes. */
  finish(closed: Closed): void
}

/** What the engine goes by. */
export interface Options<Request, Answer> extends Timeouts {
  readonly request: Encoder<Request>
  readonly response: Decoder<Answer> | ((request: Request) => Decoder<Answer>)
  readonly maxInFlight: number
  /** Whether it matters when something was sent: asking the clock costs more than all else here. */
  readonly notesSending: boolean
  readonly unasked: ReadonlyArray<Unasked<Answer>>
  /** Whether an answer is the last of its call, where their number is not known. */
  readonly isLast: ((answer: Answer, request: Request) => boolean) | undefined
  /** Told of each batch, by whoever asks. */
  readonly onSubmit?: ((batch: Batch<Request, Answer, RequestLost>) => void) | undefined
  /** Told of a call in flight whose answers nobody wants any more. */
  readonly onAbandoned: ((call: Call<Request, Answer, RequestLost>) => void) | undefined
}

export interface Resolved<Request, Answer> extends Options<Request, Answer> {
  readonly answers: (request: Request) => number
  readonly maxAnswers: number
  readonly closeWithin: Duration.Duration
  readonly keepAlive:
    | { readonly every: number; readonly within: Duration.Duration; readonly request: Request }
    | undefined
}

const one = (): number => 1

const millis = (operation: string, name: string, input: Duration.Input | undefined): number =>
  input === undefined ? Infinity : Duration.toMillis(Argument.someTime(operation, name, input))

export const resolve = <Request, Answer>(
  operation: string,
  input: CommonOptions<Request, Answer> & { readonly response: PipelinedOptions<Request, Answer>["response"] },
  onAbandoned: Options<Request, Answer>["onAbandoned"],
  unasked: ReadonlyArray<Unasked<Answer>>
): Resolved<Request, Answer> => {
  const { answers, callTimeout, isLast, keepAlive, maxAnswers, maxInFlight, request, response, stallTimeout } = input
  const closeWithin = Argument.someTime(operation, "drainTimeout", input.drainTimeout ?? Defaults.drainTimeout)
  return {
    request: of(operation, request) as never,
    response: typeof response === "function" ? response : (of(operation, response) as never),
    answers: answers === undefined ? one : Argument.func(operation, "answers", answers),
    isLast: isLast === undefined ? undefined : Argument.func(operation, "isLast", isLast),
    maxAnswers: maxAnswers === undefined ? Defaults.maxAnswers : Argument.positive(operation, "maxAnswers", maxAnswers),
    maxInFlight:
      maxInFlight === undefined ? Defaults.maxCallsInFlight : Argument.positive(operation, "maxInFlight", maxInFlight),
    callTimeout: millis(operation, "callTimeout", callTimeout),
    stallTimeout: millis(operation, "stallTimeout", stallTimeout),
    drainTimeout: Duration.toMillis(closeWithin),
    closeWithin,
    keepAlive: keepAlive === undefined ? undefined : resolveKeepAlive(operation, keepAlive),
    notesSending: keepAlive !== undefined,
    unasked,
    onAbandoned
  }
}

const resolveKeepAlive = <Request>(
  operation: string,
  input: KeepAlive<Request>
): Resolved<Request, never>["keepAlive"] => {
  const { every, request, within } = Argument.record(operation, "keepAlive", input)
  return {
    every: Duration.toMillis(Argument.someTime(operation, "keepAlive.every", every)),
    within: Argument.someTime(operation, "keepAlive.within", within),
    request
  }
}
