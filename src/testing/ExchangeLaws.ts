/**
 * The laws of a client that many fibers ask on one connection.
 *
 * What is written on `Exchange` keeps them, as long as its frames and ids are right. A client that is written by hand, or
 * that wraps one, learns here whether it does. Each law has a name, a sentence, and a check, which runs the client against
 * its server in hundreds of scenarios: one to fifty callers, interrupted at any point, over a network in memory that cuts,
 * delays and breaks what is sent, with a server that takes its time and answers out of order where it may. No real time
 * passes. A violation says what was found, the seed, and the smallest scenario in which it was found.
 *
 * **Example** (The laws of a client of Redis, with any test runner)
 *
 * ```ts no-run
 * import { type Connection, Exchange, Frame } from "effect-byte-streams"
 * import * as ExchangeLaws from "effect-byte-streams/testing/ExchangeLaws"
 * import { Effect, Option } from "effect"
 * import { describe, it } from "vitest"
 *
 * declare const Command: Frame.Frame<ReadonlyArray<string>>
 * declare const Reply: Frame.Frame<string>
 *
 * const server = ({ reader, writer }: Connection.Connection): Effect.Effect<ExchangeLaws.Server> =>
 *   Effect.succeed({
 *     receive: Effect.map(
 *       reader.readFrameOption(Command),
 *       Option.map(([, token]) => ({ token: token! }))
 *     ),
 *     answer: (_, token) => writer.writeFrame(Reply, token),
 *     stray: (token) => writer.writeFrame(Reply, token)
 *   })
 *
 * describe("my client", () => {
 *   ExchangeLaws.suite(it, {
 *     shape: "pipelined",
 *     server,
 *     client: (connection, { maxInFlight }) =>
 *       Effect.map(
 *         Exchange.makePipelined(connection, { request: Command, response: Reply, maxInFlight }),
 *         ({ call, inFlight }) => ({ call: (token) => call(["ECHO", token]), inFlight })
 *       )
 *   })
 * })
 * ```
 *
 * @see `StreamLaws` for the laws of the connection below
 * @stability unstable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.ts"
import * as InternalLaws from "../internal/testing/exchange/laws.ts"
import * as InternalLaw from "../internal/testing/laws/law.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * A client, as the laws see it: something that is asked.
 *
 * **Details**
 *
 * Each call has a token of its own, which its request carries to the server, and its answer carries back. Tokens are small
 * letters and digits, up to 3,000 of them.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Client {
  /** Sends a request with this token, and returns the token of its answer. */
  readonly call: (token: string) => Effect.Effect<string, unknown>
  /** How many calls are unanswered. Checked to be none when all are answered. Default: not checked. */
  readonly inFlight?: Effect.Effect<number> | undefined
}

/**
 * A request, as the server reads it.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Request {
  /** The token that it carries. */
  readonly token: string
  /** What its answer is known by, in a multiplexed protocol. Compared as keys of a `Map` are. Default: none. */
  readonly id?: unknown
}

/**
 * What cancels a request, as the server reads it.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Cancellation {
  /** The id of the request. */
  readonly cancels: unknown
}

/**
 * The server's side of a connection: it reads requests and writes answers. When, and in which order, is up to the laws.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Server {
  /**
   * The next request, or `None` at the end. It must read no further than that: how many bytes were read tells what was sent
   * before an interruption, and what behind it.
   */
  readonly receive: Effect.Effect<Option.Option<Request | Cancellation>, unknown>
  /** Answers a request with a token. */
  readonly answer: (request: Request, token: string) => Effect.Effect<void, unknown>
  /** Writes an answer that nobody asked for, in a multiplexed protocol one with an id that is never given out. */
  readonly stray: (token: string) => Effect.Effect<void, unknown>
}

/**
 * What a client is told.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface ClientOptions {
  /** How many calls may be unanswered at once. */
  readonly maxInFlight: number
}

/**
 * A client, and the server it talks to.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Subject<out E = never, out R = never> {
  /** Whether answers come in the order of the requests, or each carries the id of its own. */
  readonly shape: "pipelined" | "multiplexed"
  /** Makes the client on a connection that has just been opened. It must go by Effect's `Clock`. */
  readonly client: (connection: Connection, options: ClientOptions) => Effect.Effect<Client, E, R | Scope.Scope>
  /** Makes the server's side. */
  readonly server: (connection: Connection) => Effect.Effect<Server, E, R | Scope.Scope>
  /** How many calls the client has unanswered at most; `Infinity` is no bound. Default: it heeds `maxInFlight` of its options. */
  readonly maxInFlight?: number | undefined
  /** Whether the server answers a request that was cancelled. If not, it may, or may not. Default `true`. */
  readonly answersCancelled?: boolean | undefined
  /**
   * Whether the error of a call says that the request was sent; `undefined` if it does not tell of a loss at all. It must not
   * be `"No"` if a byte of it has left this process. Default: not checked.
   */
  readonly sent?: ((error: unknown) => "No" | "Maybe" | undefined) | undefined
  /** Whether the error of a call says that the server has violated the protocol. Default: not checked. */
  readonly isViolation?: ((error: unknown) => boolean) | undefined
}

/**
 * What was put on trial. A law that never struck proves nothing: each asks some of these to be large enough.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Report {
  /** How many scenarios were run. */
  readonly scenarios: number
  /** How many calls were made in them. */
  readonly calls: number
  /** How many of the calls were answered. */
  readonly answered: number
  /** How many of the callers were interrupted before they had their answer. */
  readonly interruptions: number
  /** How many of those when the request was sent already. */
  readonly interruptionsInFlight: number
  /** How many answers came for callers that were gone. */
  readonly dropped: number
  /** How many faults of the network struck, and how often this side aborted the connection. */
  readonly faults: number
  /** In how many scenarios one of them struck while calls were unanswered. */
  readonly faultsInFlight: number
  /** How many calls failed. */
  readonly lost: number
  /** How many of those said that the request was not sent. */
  readonly unsent: number
  /** How often the server violated the protocol. */
  readonly violations: number
  /** In how many scenarios as many calls were unanswered as may be. */
  readonly crowded: number
}

/**
 * How a law is checked.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export interface CheckOptions {
  /** How many scenarios are drawn. Of fewer than 50 the counts are not judged. Default 200. */
  readonly scenarios?: number | undefined
  /** What they are drawn from: the same seed gives the same scenarios. Default 1. */
  readonly seed?: number | undefined
}

/**
 * A law of clients.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export interface Law {
  /** What it is called. */
  readonly name: string
  /** The law, in a sentence or two. */
  readonly statement: string
  /** Fails with what was found instead, or with the count that is too small to prove anything. */
  check<E, R>(
    subject: Subject<E, R>,
    options?: CheckOptions
  ): Effect.Effect<Report, LawViolation, Exclude<R, Scope.Scope>>
}

/**
 * A law was broken: which, and what was found instead, with the seed, the smallest scenario, and what crossed the wire.
 *
 * @category errors
 * @stability unstable
 * @since 0.1.0
 */
export const LawViolation = InternalLaw.LawViolation

/**
 * A law was broken: which, and what was found instead.
 *
 * @category errors
 * @stability unstable
 * @since 0.1.0
 */
export interface LawViolation extends InternalLaw.LawViolation {}

// ---------------------------------------------------------------------------
// the laws
// ---------------------------------------------------------------------------

/**
 * The laws of clients.
 *
 * **Details**
 *
 * - `nobody gets another's answer`: whoever is interrupted, whenever, and whatever breaks.
 * - `an interrupted call is never sent, or its answer is dropped`: whether it was handed to the writer decides. The caller
 *   waits no longer, and others are served as if nothing had happened. The call of the first, the second and the third of
 *   three callers is interrupted at each of its steps as well.
 * - `when the connection is lost every call fails at once`: none waits, and one that is said not to have been sent was not.
 * - `an answer that nobody asked for ends the exchange`: all calls fail, and none is sent any more. In a pipelined protocol
 *   such an answer can only be known where nothing is in flight.
 * - `calls wait in order, and none starves`: nor are there ever more than `maxInFlight` unanswered.
 *
 * @category laws
 * @stability unstable
 * @since 0.1.0
 */
export const all: ReadonlyArray<Law> = InternalLaws.exchangeLaws

// ---------------------------------------------------------------------------
// suites
// ---------------------------------------------------------------------------

/**
 * What is needed of a test runner: something that takes a name and a test, such as the `it` of Vitest, Jest and Mocha, or
 * the `test` of Node.
 *
 * @category models
 * @stability unstable
 * @since 0.1.0
 */
export type It = (name: string, run: () => Promise<void>) => unknown

/**
 * How a suite is run.
 *
 * @category options
 * @stability unstable
 * @since 0.1.0
 */
export interface SuiteOptions extends CheckOptions {
  /** Laws that do not apply, by name, each with the reason. A name that is no law's is a mistake, and throws. */
  readonly except?: Readonly<Record<string, string>> | undefined
}

/**
 * Every law as a test, which takes seconds of processor time.
 *
 * @category suites
 * @stability unstable
 * @since 0.1.0
 */
export const suite = <E>(it: It, subject: Subject<E>, options?: SuiteOptions): void => {
  const except = Object.keys(options?.except ?? {})
  const unknown = except.find((name) => all.every((law) => law.name !== name))
  if (unknown !== undefined) throw new Error(`ExchangeLaws: there is no law "${unknown}"`)
  for (const law of all) {
    if (!except.includes(law.name)) {
      it(law.name, () => Effect.runPromise(Effect.asVoid(law.check(subject, options))))
    }
  }
}
