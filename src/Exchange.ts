/**
 * Requests and their answers on one connection, shared by many fibers.
 *
 * An answer is given to the fiber that asked for it, and to nobody else: also where another was interrupted, ran out of
 * patience, or asked for something that cannot be sent. Two shapes of protocols are known. In a pipelined one answers come
 * in the order of the requests: Redis, SMTP, HTTP/1.1, PostgreSQL, memcached. In a multiplexed one each carries an id:
 * JSON-RPC, LSP, AMQP, MQTT, Kafka.
 *
 * **Example** (Many fibers ask on one connection)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Exchange, Frame, openConnection, startServer } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const line = Frame.line({ maxBytes: 1000 })
 *
 * const program = Effect.gen(function* () {
 *   yield* startServer({ port: 7000 }, (connection) =>
 *     Exchange.serve(connection, { request: line, response: line }, (word) => Effect.succeed(word.toUpperCase()))
 *   )
 *   const connection = yield* openConnection({ host: "shouter.example", port: 7000 })
 *   const shouter = yield* Exchange.makePipelined(connection, { request: line, response: line })
 *   return yield* Effect.forEach(["a", "b", "c"], shouter.call, { concurrency: "unbounded" })
 * })
 *
 * console.log(await Effect.runPromise(TestNetwork.simulate(program))) // => [ 'A', 'B', 'C' ]
 * ```
 *
 * @stability unstable
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Connection } from "./Connection.ts"
import type { Decoder, Encoder, Frame } from "./Frame.ts"
import * as Make from "./internal/exchange/make.ts"
import * as Reconnecting from "./internal/exchange/reconnecting.ts"
import * as Serve from "./internal/exchange/serve.ts"
import type { EncodeFailed, FramedReadError, LostCause, RequestLost, StreamTimeout, WriteError } from "./StreamError.ts"
import type { StreamReader } from "./StreamReader.ts"
import type { StreamWriter } from "./StreamWriter.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * What a call can fail with.
 *
 * **Details**
 *
 * - `RequestLost`: the connection is not used any more.
 * - `EncodeFailed`: the request cannot be written. Nothing was sent, and the exchange goes on.
 * - `StreamTimeout`, kind `Answer`: `callTimeout` is over. The exchange goes on.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export type CallError = RequestLost | EncodeFailed | StreamTimeout

/**
 * How an exchange ended.
 *
 * **Details**
 *
 * - `Closed`: this side has closed it.
 * - `Released`: the connection was given back by `release`.
 * - `PeerEof`: the peer has ended its output, with nothing to be answered. What it has asked of `makePeer` is answered first,
 *   for `drainTimeout` at most.
 * - `Lost`: the connection is not used any more. It was reset, unless its owner had begun to close it, or had upgraded it.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export type Closed =
  | { readonly _tag: "Closed" }
  | { readonly _tag: "Released" }
  | { readonly _tag: "PeerEof" }
  | {
      readonly _tag: "Lost"
      /** Why the connection is not used any more. */
      readonly cause: LostCause
    }

/**
 * Requests and their answers on one connection. Any number of fibers may call it at once.
 *
 * **Details**
 *
 * Calls are sent in the order in which they were made. Above `maxInFlight` unanswered ones, and while the writer is above
 * its high-water mark, callers wait in line.
 *
 * Interrupting a call is safe at any time. If it was not written, it is never sent. If it was, its answer is awaited and
 * dropped, at no cost to other callers.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Exchange<in Request, out Answer> {
  /**
   * Sends a request and waits for its answer. Of several answers, as many as `answers` says, it gives the last.
   *
   * **Gotchas**
   *
   * `isLast` is not asked. Where that says how many answers there are, `collect` takes them all; `call` takes the first, and
   * leaves the others to the next request.
   *
   * @see {@link Exchange.collect} for all answers to one request
   */
  readonly call: (request: Request) => Effect.Effect<Answer, CallError>
  /**
   * Sends a request and waits for all of its answers, as many as `answers` says, or up to the one for which `isLast` holds.
   * They are kept until the last has come, up to `maxAnswers`: where they may be too many for that, use `stream`.
   *
   * @see {@link Exchange.stream} for answers as they come
   */
  readonly collect: (request: Request) => Effect.Effect<ReadonlyArray<Answer>, CallError>
  /**
   * Sends requests as one run and waits for all answers, which it gives in the order of the requests. More than
   * `maxInFlight` requests are sent as several runs, and others have their turn in between, also `close` and `release`. If
   * one cannot be encoded, none of its run is sent.
   */
  readonly callAll: (requests: Iterable<Request>) => Effect.Effect<ReadonlyArray<Answer>, CallError>
  /**
   * Sends a request that has several answers, and gives them as they come.
   *
   * Up to 16 answers wait for a slow consumer; then reading stops, and so do the answers behind them. A consumer that calls
   * the same exchange waits for itself then, which only `callTimeout` ends: collect first, or call elsewhere. If the stream
   * is left early, the rest of the answers is dropped as it comes, for `drainTimeout` at most. `callTimeout` bounds the wait for the
   * first answer.
   */
  readonly stream: (request: Request) => Stream.Stream<Answer, CallError>
  /** Sends a request that has no answer. Completes once it is accepted, as a write does. */
  readonly send: (request: Request) => Effect.Effect<void, CallError>
  /**
   * Gives the connection to a dialogue that frames alone do not say, in its turn among the requests: those in front of it
   * are answered first, those behind it wait.
   *
   * If the dialogue fails or is interrupted, nobody knows what the peer says next. The connection is reset then, and all
   * calls fail. A refusal that leaves both sides in step is a value: use `Effect.result`.
   *
   * `callTimeout` does not bound it. While it waits for its turn, `stallTimeout` does, and it may be interrupted at no cost.
   */
  readonly exclusive: <A, E, R>(
    dialogue: (reader: StreamReader, writer: StreamWriter) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | RequestLost, R>
  /**
   * Takes no more calls, waits until those in flight are answered, and gives the connection back. Every byte behind the last
   * answer is in its reader. For upgrades such as `startTls`.
   *
   * Of the bounds only `stallTimeout` counts meanwhile. Interrupting it takes it back: calls are taken again.
   */
  readonly release: Effect.Effect<Connection, RequestLost>
  /**
   * What the peer says unasked. Ends with the exchange, and fails if that is lost. Several consumers share what comes.
   */
  readonly pushes: Stream.Stream<Answer, LostCause>
  /** How many calls are unanswered now, those included whose callers are gone. */
  readonly inFlight: Effect.Effect<number>
  /** Completes when the exchange is over, also while nobody calls. */
  readonly closed: Effect.Effect<Closed>
  /**
   * Takes no more calls, waits until those in flight are answered, for `drainTimeout` at most, and closes the connection.
   * Goes on when waiting for it is interrupted. Never fails. A connection that was released is left as it is.
   */
  readonly close: Effect.Effect<Closed>
}

/**
 * A request that is sent when nothing else was for a while.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export interface KeepAlive<out Request> {
  /** How long nothing may have been sent before it is. */
  readonly every: Duration.Input
  /**
   * What is sent, in its turn. It has one answer. One that cannot be written ends the exchange. While `maxInFlight` calls are
   * unanswered, or a dialogue has the connection, it waits: a peer that is gone by then is found by `stallTimeout`.
   */
  readonly request: Request
  /** How long its answer may take, once it was sent, before the connection is given up. `callTimeout` is not asked. */
  readonly within: Duration.Input
}

/**
 * The options of both shapes.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export interface CommonOptions<in out Request, in Answer> {
  /** How requests are written. */
  readonly request: Encoder<Request>
  /**
   * How many answers a request has: 0, 1 or more. Default 1. `stream` and `collect` go by `isLast` instead, where that is
   * given.
   */
  readonly answers?: ((request: Request) => number) | undefined
  /**
   * Whether an answer is the last to its request. Asked of the answers to `stream` and `collect`, which have to know; once for
   * each, in order.
   */
  readonly isLast?: ((answer: Answer, request: Request) => boolean) | undefined
  /**
   * How many answers to one request `collect` keeps. A peer that gives more breaks the protocol: the connection is given up.
   * `stream` has no such bound. Default 1,000,000.
   */
  readonly maxAnswers?: number | undefined
  /** How many calls may be unanswered at once. Above that callers wait in line. Default 1024. */
  readonly maxInFlight?: number | undefined
  /** A request that is sent when nothing else was for a while. Default: none. */
  readonly keepAlive?: KeepAlive<NoInfer<Request>> | undefined
  /**
   * How long a caller waits, from the call on. It fails with `StreamTimeout`, kind `Answer`, and the exchange goes on: its
   * answer is dropped when it comes. Default: without a bound.
   */
  readonly callTimeout?: Duration.Input | undefined
  /**
   * How long nothing at all may be answered while something is awaited. The connection is given up then. Time in which
   * nothing is awaited, or nothing is read here, does not count (but see `makePeer`). Where nothing can be written either,
   * callers wait for the peer to read: any byte that it takes counts as an answer then. Where that is not known while it takes
   * something, as over TLS and streams of others, only the connection's `timeouts.write` bounds it. Default: without a bound.
   */
  readonly stallTimeout?: Duration.Input | undefined
  /**
   * How long `close` waits for answers, and how long the rest of a stream that was left early may take, once it is its turn
   * to be answered. The connection is given up then. Time in which nothing is read here does not count for the rest of a
   * stream. It is also how long `closed` of `makePeer` waits for handlers once the peer has ended its output. Default 10
   * seconds.
   */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * What the peer says unasked, and what becomes of it while nobody takes it. Both are given, or neither is.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export type PushOptions<Answer> =
  // where an option is missing, the compiler tells of the last of these: of that option, and not of pushes
  | {
      /** Whether a message answers no request. */
      readonly isPush: (message: Answer) => boolean
      /** What becomes of such messages while nobody takes them. */
      readonly pushes: {
        /**
         * What happens when there is no room. `"suspend"`: nothing is read until there is, and the answers behind wait too,
         * also those that whoever takes them has asked for. `"dropping"`: the new one is dropped. `"sliding"`: the oldest one is.
         */
        readonly overflow: "suspend" | "dropping" | "sliding"
        /** How many wait for a consumer. Default 256. */
        readonly capacity?: number | undefined
      }
    }
  | {
      /** Whether a message answers no request. Default: none does. */
      readonly isPush?: undefined
      /** What becomes of such messages while nobody takes them. */
      readonly pushes?: undefined
    }

/**
 * The options of `makePipelined`.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export type PipelinedOptions<Request, Answer> = PushOptions<Answer> &
  CommonOptions<Request, Answer> & {
    /** How answers are read. A function where that depends on the request; there is no `isPush` then. */
    readonly response: Decoder<Answer> | ((request: Request) => Decoder<Answer>)
    /**
     * Called with a request that was sent, and whose caller is gone before its last answer: for protocols that can cancel
     * elsewhere. Its answers are awaited and dropped all the same. If it throws or dies, the exchange is over, and it is
     * interrupted when the exchange is.
     */
    readonly cancel?: ((request: Request) => Effect.Effect<unknown>) | undefined
  }

/**
 * The options of `makeMultiplexed`.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export type MultiplexedOptions<Request, Answer> = PushOptions<Answer> &
  CommonOptions<Request, Answer> & {
    /** How answers are read. */
    readonly response: Decoder<Answer>
    /** Which answer belongs to which request. */
    readonly id: {
      /** The request with an id in it. Not called for one that has no answer. */
      readonly put: (request: Request, id: number) => NoInfer<Request>
      /**
       * The id of an answer. `undefined` where there is none: such a message is a push, as `isPush` says, or it breaks the
       * protocol.
       */
      readonly get: (answer: Answer) => number | undefined
      /**
       * The first and the last id. Default 1 and 2,147,483,647. After the last comes the first. There must be more than twice
       * as many as `maxInFlight`: half of them may be those of cancelled requests. With `cancel` that is not `answered` there
       * must be many more, or a late answer finds its id given to another request.
       */
      readonly range?: readonly [first: number, last: number] | undefined
    }
    /**
     * What becomes of a request whose caller is gone. If `request` throws, or what it returns cannot be written, the exchange
     * is over. Default: its answer is awaited and dropped.
     */
    readonly cancel?:
      | {
          /** The request that cancels the one with this id. It has no answer of its own. */
          readonly request: (id: number) => NoInfer<Request>
          /**
           * Whether what was cancelled is answered all the same. If not, it has its place no longer, and a late answer is
           * dropped, unless another has the connection by then: `exclusive`, or whoever it was released to.
           */
          readonly answered: boolean
        }
      | {
          /** Nothing is said: the protocol cannot cancel. */
          readonly request?: undefined
          /**
           * What nobody waits for any more has its place no longer; a late answer is dropped. For protocols in which an answer
           * may never come, such as DNS and NATS: without it such a request has its place for ever.
           */
          readonly answered: false
        }
      | undefined
  }

/**
 * Answers one request: with a value, with a stream of them, or with `undefined`, which is no answer.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export type Handler<in Request, out Response, out E, out R> = (
  request: Request
) => Effect.Effect<Response | Stream.Stream<Response, E, R> | void, E, R>

/**
 * As `Handler`, of one side of a peer: `peer` is the exchange, for calls to the other side.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export type PeerHandler<in out Message, out E, out R> = (
  request: Message,
  peer: Exchange<Message, Message>
) => Effect.Effect<Message | Stream.Stream<Message, E, R> | void, E, R>

/**
 * How requests are handled.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export interface HandlerOptions<in out Request, in out Response, in E> {
  /** How many requests are handled at once. While there are so many, no more are read. Default 1. */
  readonly concurrency?: number | undefined
  /**
   * In which order answers are written: `"request"`, that of the requests; `"completion"`, as they are ready. Answers of
   * several parts are written one behind the other in the first, and may mix in the second. Default `"request"`.
   */
  readonly order?: "request" | "completion" | undefined
  /** How an answer is given the id of its request. Default: a handler does that itself, or there are none. */
  readonly id?:
    | {
        /** The id of a request. */
        readonly get: (request: Request) => any
        /** The answer with an id in it. */
        readonly put: (response: Response, id: any) => NoInfer<Response>
      }
    | undefined
  /**
   * What becomes of a request whose handler fails. `"close"`: serving fails as the handler did. A function: what it returns
   * is the answer; with answers of several parts, behind those that were written. Default `"close"`.
   */
  readonly onFailure?: "close" | ((cause: Cause.Cause<E>, request: Request) => NoInfer<Response>) | undefined
}

/**
 * The options of `serve`.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export interface ServeOptions<in out Request, in out Response, in E> extends HandlerOptions<Request, Response, E> {
  /** How requests are read. */
  readonly request: Decoder<Request>
  /** How answers are written. */
  readonly response: Encoder<Response>
}

/**
 * The options of `makePeer`.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export type PeerOptions<Message, E> = Omit<
  MultiplexedOptions<Message, Message>,
  "request" | "response" | "isPush" | "pushes"
> &
  PushOptions<Message> & {
    /** How messages are read and written, both ways. */
    readonly message: Frame<Message>
    /** Whether a message asks this side. What does not, and is no push, answers a call of this side. */
    readonly isRequest: (message: Message) => boolean
    /** How the peer's requests are handled. Up to `concurrency` of them wait while as many are handled. */
    readonly serve?: HandlerOptions<Message, Message, E> | undefined
  }

/**
 * The options of `makeReconnecting`.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export interface ReconnectingOptions<out Request, in Answer, out E = never, out R = never> {
  /**
   * When to try again. Its input is why there is no connection. It begins anew once a connection has answered a caller:
   * neither answers to `onConnect` nor pushes count. When it ends, the exchange does.
   */
  readonly schedule: Schedule.Schedule<unknown, LostCause>
  /** Whether callers wait for the next connection, or fail with `RequestLost`, `sent: "No"`. */
  readonly whileDown: "wait" | "fail"
  /** How many callers may wait. More fail. Default 1024. */
  readonly maxWaiting?: number | undefined
  /** How long a caller waits for connections, all in all, before it fails. Default 30 seconds. */
  readonly waitTimeout?: Duration.Input | undefined
  /**
   * What is said on each new connection before callers use it: a login, a subscription. If it fails, the connection is
   * dropped, and `schedule` is asked. It has to come to an end where the peer is silent: by a `callTimeout`, or a bound of its
   * own.
   */
  readonly onConnect?: ((exchange: Exchange<Request, Answer>) => Effect.Effect<unknown, E, R>) | undefined
  /**
   * What becomes of what the connections are told unasked while nobody takes it. With `"suspend"` there is no new connection
   * before all that the last one brought was taken. Default `{ overflow: "suspend", capacity: 256 }`.
   */
  readonly pushes?:
    | {
        /** What happens when there is no room. */
        readonly overflow: "suspend" | "dropping" | "sliding"
        /** How many wait for a consumer. Default 256. */
        readonly capacity?: number | undefined
      }
    | undefined
}

// ---------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------

/**
 * An exchange in which answers come in the order of the requests.
 *
 * **Details**
 *
 * The exchange reads and writes the connection until the scope closes. If that closes in good order, the exchange is closed;
 * otherwise the connection is reset, and calls fail. The connection itself stays its own scope's.
 *
 * @see {@link makeMultiplexed} where each answer carries an id
 * @category constructors
 * @stability unstable
 * @since 0.1.0
 */
export const makePipelined: <const Request, const Answer>(
  connection: Connection,
  options: PipelinedOptions<Request, Answer>
) => Effect.Effect<Exchange<Request, Answer>, never, Scope.Scope> = Make.makePipelined

/**
 * An exchange in which each answer carries the id of its request.
 *
 * @see {@link makePipelined} where answers come in the order of the requests
 * @category constructors
 * @stability unstable
 * @since 0.1.0
 */
export const makeMultiplexed: <const Request, const Answer>(
  connection: Connection,
  options: MultiplexedOptions<Request, Answer>
) => Effect.Effect<Exchange<Request, Answer>, never, Scope.Scope> = Make.makeMultiplexed

/**
 * Answers the requests of a connection: the other side of an exchange.
 *
 * **Details**
 *
 * Completes when the peer has ended its output and everything is answered. In a server that shuts down it completes earlier:
 * every request of which at least a part has come by then is answered, and no other (see `Server.draining`).
 *
 * Requests are read as fast as they are handled and their answers written, so that a peer that sends more is held back.
 *
 * Fails as a handler does (but see `onFailure`), with what a read or a write fails with, and with `EncodeFailed` where an
 * answer cannot be written. Handlers that still run are interrupted then, and when it is interrupted itself.
 *
 * **Gotchas**
 *
 * A peer that is gone is noticed by the next read or write. While as many handlers run as may, nothing is read: race a long
 * one with `connection.closed`.
 *
 * Where the types of the request and the answer alone are spelled out, the error is `unknown`: spell out how the handler
 * fails as well, or nothing.
 *
 * @category constructors
 * @stability unstable
 * @since 0.1.0
 */
export const serve: <const Request, const Response, E = unknown, R = never, Failure extends E = E>(
  connection: Connection,
  options: ServeOptions<Request, Response, E>,
  handler: Handler<Request, NoInfer<Response>, Failure | E, R>
) => Effect.Effect<void, Failure | FramedReadError | WriteError | EncodeFailed, R> =
  // a handler that is given as a function of an unnamed request fixes `E` too early to know how it fails: `Failure` does
  Serve.serve as any

/**
 * Both sides at once, over one connection: calls the peer, and answers what it calls. For JSON-RPC, LSP, AMQP.
 *
 * **Details**
 *
 * One fiber reads. Requests of the peer wait for a handler, as many as there may be handlers; then reading stops, and with
 * it the answers to this side's calls. If all handlers wait for the peer then, for answers to calls of their own or until
 * it reads what they answer, only `stallTimeout` ends that: have more `concurrency` than handlers that call, and no more
 * `maxInFlight` than the peer handles at once where answers are long.
 *
 * A handler that fails without `onFailure` ends the exchange.
 *
 * While `exclusive` has the connection, or waits for nothing but answers of this side that are being written, further ones
 * wait until it is given back. Behind `release` none is written.
 *
 * @category constructors
 * @stability unstable
 * @since 0.1.0
 */
export const makePeer: <const Message, E = unknown, R = never>(
  connection: Connection,
  options: PeerOptions<Message, E>,
  handler: PeerHandler<NoInfer<Message>, E, R>
) => Effect.Effect<Exchange<Message, Message>, never, R | Scope.Scope> = Make.makePeer

/**
 * One exchange over connections that come and go.
 *
 * **Details**
 *
 * `open` gives an exchange in a scope of its own, which is closed before the next one is opened. One of `makePeer` is over
 * once handlers have answered what the peer asked before its end, after `drainTimeout` at the latest. The first connection
 * is waited for: if `schedule` ends before there is one, it fails as the last attempt did.
 *
 * What may have been sent is never sent again by itself: such a call fails with `RequestLost`, `sent: "Maybe"`. With
 * `whileDown: "wait"`, one of which nothing was sent waits for the next connection, and so does an `exclusive` whose turn
 * has not come. `pushes` goes on across connections; `closed` tells of the last.
 *
 * `close` and `release` end it, whether they find a connection or not: from then on calls fail at once. What was read of
 * `pushes` by then can still be taken.
 *
 * @category constructors
 * @stability unstable
 * @since 0.1.0
 */
export const makeReconnecting: <Request, Answer, E, R, E2 = never, R2 = never>(
  open: Effect.Effect<Exchange<Request, Answer>, E, R>,
  options: ReconnectingOptions<Request, Answer, E2, R2>
) => Effect.Effect<
  Exchange<Request, Answer>,
  E | E2,
  Exclude<R, Scope.Scope> | Exclude<R2, Scope.Scope> | Scope.Scope
> = Reconnecting.makeReconnecting
