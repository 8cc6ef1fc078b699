/**
 * The laws of a two-way stream of bytes, to be run on any transport.
 *
 * Whoever writes a transport, or a network, or wraps a stream of somebody
 * else's, learns here what programs rely on, and whether they may. Each law has
 * a name, a sentence, and a check; a violation says what was found instead.
 * `all` are about two connected ends, as programs see them; `transport` are
 * about the seam below, `Transport`, and its contract. They know no test runner.
 *
 * Most are the laws that trio checks on its streams (`trio.testing`), by its
 * numbers; where this library differs on purpose, the law says how.
 *
 * **Example** (The laws of a transport, with any test runner)
 *
 * ```ts no-run
 * import { Connection, type Transport } from "effect-byte-streams"
 * import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
 * import { Effect } from "effect"
 * import { describe, it } from "vitest"
 *
 * declare const makePipe: () => { left: Transport.Transport; right: Transport.Transport }
 *
 * const transports = Effect.sync(makePipe)
 *
 * describe.concurrent("my pipe", () => {
 *   StreamLaws.transportSuite(it, transports)
 *   StreamLaws.suite(it, StreamLaws.fromTransports(transports))
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Connection from "../Connection.ts"
import * as InternalLaw from "../internal/testing/laws/law.ts"
import { lawsOfBytes } from "../internal/testing/laws/bytes.ts"
import { lawsOfEnding } from "../internal/testing/laws/ending.ts"
import { lawsOfFlow } from "../internal/testing/laws/flow.ts"
import { lawsOfInterruption } from "../internal/testing/laws/interruption.ts"
import { transportLaws } from "../internal/testing/laws/transport.ts"
import { type ConnectOptions, type ListenOptions, Network } from "../Network.ts"
import type { ConnectFailed, ListenFailed, TlsFailed } from "../StreamError.ts"
import type { Transport } from "../Transport.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * Two connected ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pair {
  readonly left: Connection.Connection
  readonly right: Connection.Connection
}

/**
 * Connects two ends. The options are for both of them, and must be heeded: laws
 * about limits and timeouts set them low.
 *
 * @category models
 * @since 0.1.0
 */
export type MakePair<in out E = never, in out R = never> = (
  options?: Connection.Options
) => Effect.Effect<Pair, E, R | Scope.Scope>

/**
 * Two connected transports, to which nobody is attached.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transports {
  readonly left: Transport
  readonly right: Transport
}

/**
 * A law of two connected ends.
 *
 * **Details**
 *
 * `check` makes as many pairs as it needs, and closes them. It waits in real
 * time, never longer than `patience` for what must happen; the connections must
 * go by a clock that runs, not by one that a test adjusts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Law {
  readonly name: string
  /** The law, in a sentence. */
  readonly statement: string
  check<E, R>(makePair: MakePair<E, R>): Effect.Effect<void, LawViolation, Exclude<R, Scope.Scope>>
}

/**
 * A law of two connected transports: the contract that `Transport` states.
 *
 * @category models
 * @since 0.1.0
 */
export interface TransportLaw {
  readonly name: string
  /** The law, in a sentence. */
  readonly statement: string
  check<E, R>(
    makeTransports: Effect.Effect<Transports, E, R | Scope.Scope>
  ): Effect.Effect<void, LawViolation, Exclude<R, Scope.Scope>>
}

/**
 * A law was broken: which, and what was found instead; over a network in
 * memory with what crossed the wire.
 *
 * @category errors
 * @since 0.1.0
 */
export const LawViolation = InternalLaw.LawViolation

/**
 * A law was broken: which, and what was found instead.
 *
 * @category errors
 * @since 0.1.0
 */
export type LawViolation = InternalLaw.LawViolation

/**
 * How long a law waits for what must happen, in real time. Default 20 seconds.
 *
 * @category references
 * @since 0.1.0
 */
export const patience: Context.Reference<Duration.Input> = InternalLaw.PatienceOf

// ---------------------------------------------------------------------------
// the laws
// ---------------------------------------------------------------------------

/**
 * The laws of two connected ends.
 *
 * @category laws
 * @since 0.1.0
 */
export const all: ReadonlyArray<Law> = [...lawsOfBytes, ...lawsOfEnding, ...lawsOfFlow, ...lawsOfInterruption]

/**
 * The laws of two connected transports.
 *
 * @category laws
 * @since 0.1.0
 */
export const transport: ReadonlyArray<TransportLaw> = transportLaws

// ---------------------------------------------------------------------------
// suites
// ---------------------------------------------------------------------------

/**
 * What is needed of a test runner: something that takes a name and a test, such
 * as the `it` of Vitest, Jest and Mocha, or the `test` of Node.
 *
 * @category models
 * @since 0.1.0
 */
export type It = (name: string, run: () => Promise<void>) => unknown

/**
 * How a suite is run.
 *
 * @category models
 * @since 0.1.0
 */
export interface SuiteOptions {
  /**
   * Laws that do not apply, by name, each with the reason. A name that is no
   * law's is a mistake, and throws.
   */
  readonly except?: Readonly<Record<string, string>> | undefined
  /** How long a law waits for what must happen, in real time. Default 20 seconds. */
  readonly patience?: Duration.Input | undefined
}

const register = <L extends { readonly name: string }>(
  it: It,
  laws: ReadonlyArray<L>,
  options: SuiteOptions | undefined,
  check: (law: L) => Effect.Effect<void, LawViolation>
): void => {
  const except = Object.keys(options?.except ?? {})
  const unknown = except.filter((name) => !laws.some((law) => law.name === name))
  if (unknown.length > 0) throw new Error(`StreamLaws: there is no law "${unknown[0]}"`)
  for (const law of laws) {
    if (except.includes(law.name)) continue
    it(law.name, () => {
      const checked = check(law)
      return Effect.runPromise(
        options?.patience === undefined ? checked : Effect.provideService(checked, patience, options.patience)
      )
    })
  }
}

/**
 * Every law of two connected ends as a test.
 *
 * **Gotchas**
 *
 * Some laws wait for seconds. Run them side by side where the runner can
 * (`describe.concurrent`).
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(it: It, makePair: MakePair<E>, options?: SuiteOptions): void =>
  register(it, all, options, (law) => law.check(makePair))

/**
 * Every law of two connected transports as a test.
 *
 * @category suites
 * @since 0.1.0
 */
export const transportSuite = <E>(
  it: It,
  makeTransports: Effect.Effect<Transports, E, Scope.Scope>,
  options?: SuiteOptions
): void => register(it, transport, options, (law) => law.check(makeTransports))

// ---------------------------------------------------------------------------
// pairs
// ---------------------------------------------------------------------------

/**
 * A connection at each of two transports.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromTransports =
  <E, R>(makeTransports: Effect.Effect<Transports, E, R>): MakePair<E, Exclude<R, Scope.Scope>> =>
  (options) =>
    Effect.flatMap(
      makeTransports as Effect.Effect<Transports, E, Exclude<R, Scope.Scope> | Scope.Scope>,
      ({ left, right }) =>
        Effect.all({
          left: Connection.fromTransport(left, options),
          right: Connection.fromTransport(right, options)
        })
    )

/**
 * Two connected transports over a `Network`: it listens, connects to what it
 * listens on, and stops listening when the scope closes. `left` is the client.
 *
 * @category constructors
 * @since 0.1.0
 */
export const overNetwork = (
  listen: ListenOptions,
  connect?: Omit<ConnectOptions, "port" | "path">
): Effect.Effect<Transports, ListenFailed | ConnectFailed | TlsFailed, Network | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* Network
    const accepted = yield* Deferred.make<Transport, TlsFailed>()
    const listener = yield* network.listen(
      listen,
      (transport) => Deferred.doneUnsafe(accepted, Effect.succeed(transport)),
      { onHandshakeError: (error) => Deferred.doneUnsafe(accepted, Effect.fail(error)) }
    )
    const [address] = listener.addresses
    const left = yield* network.connect({
      ...connect,
      ...(address._tag === "UnixPathAddress"
        ? { path: address.path }
        : { host: connect?.host ?? "127.0.0.1", port: address.port })
    })
    return { left, right: yield* Deferred.await(accepted) }
  })
