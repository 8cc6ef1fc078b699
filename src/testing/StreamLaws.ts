/**
 * The laws of a two-way stream of bytes, to check any transport.
 *
 * Programs rely on these laws. Each has a name, a sentence, and a check, and a violation says how the law was broken.
 * They know no test runner. Most are the laws that trio checks on its streams (`trio.testing`), by its numbers. Where
 * this library differs on purpose, the law says how.
 *
 * **When to use**
 *
 * - `transportSuite`: for a transport of your own. It checks the contract of `Transport`.
 * - `suite`: for connections over any transport, network, or wrapped stream.
 * - `all`, `transport`: for a single law, or a runner of your own.
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
 * @stability unstable
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
import { lawsOfClosing } from "../internal/testing/laws/closing.ts"
import { lawsOfEnding } from "../internal/testing/laws/ending.ts"
import { lawsOfFlow } from "../internal/testing/laws/flow.ts"
import { lawsOfInterruption } from "../internal/testing/laws/interruption.ts"
import { lawsOfLoss } from "../internal/testing/laws/loss.ts"
import { lawsOfMemory } from "../internal/testing/laws/memory.ts"
import { lawsOfMessages } from "../internal/testing/laws/messages.ts"
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
 * @see {@link MakePair}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Pair {
  /** One end. */
  readonly left: Connection.Connection
  /** The other end. */
  readonly right: Connection.Connection
}

/**
 * A function that connects two ends.
 *
 * **Gotchas**
 *
 * It must use the options, for both ends: laws about limits and timeouts set them low.
 *
 * @see {@link fromTransports}, {@link suite}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type MakePair<in out E = never, in out R = never> = (
  options?: Connection.Options
) => Effect.Effect<Pair, E, R | Scope.Scope>

/**
 * Two connected transports, to which nothing is attached.
 *
 * @see {@link overNetwork}, {@link transportSuite}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Transports {
  /** One end. */
  readonly left: Transport
  /** The other end. */
  readonly right: Transport
}

/**
 * A law of two connected ends.
 *
 * @see {@link all}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Law {
  /** The name, which `SuiteOptions.except` takes. */
  readonly name: string
  /** The law, in a sentence. */
  readonly statement: string
  /**
   * Checks the law. A check makes its own pairs, and closes them. Each wait is bounded by `patience`, in real
   * time. The connections must go by a clock that runs, not by one that a test adjusts.
   */
  check<E, R>(makePair: MakePair<E, R>): Effect.Effect<void, LawViolation, Exclude<R, Scope.Scope>>
}

/**
 * A law of two connected transports: a part of the contract of `Transport`.
 *
 * @see {@link transport}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface TransportLaw {
  /** The name, which `SuiteOptions.except` takes. */
  readonly name: string
  /** The law, in a sentence. */
  readonly statement: string
  /** Checks the law. Each wait is bounded by `patience`, in real time. */
  check<E, R>(
    makeTransports: Effect.Effect<Transports, E, R | Scope.Scope>
  ): Effect.Effect<void, LawViolation, Exclude<R, Scope.Scope>>
}

/**
 * A law was broken. The message has the law, and the behaviour that was found; over a network in memory also the events
 * on the wire.
 *
 * @see {@link Law}
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export const LawViolation = InternalLaw.LawViolation

/**
 * A `LawViolation`: the type of the errors of this class.
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export interface LawViolation extends InternalLaw.LawViolation {}

/**
 * The longest time that a law waits for an event, in real time. Default 20 seconds.
 *
 * @see {@link SuiteOptions.patience}
 *
 * @stability unstable
 * @category references
 * @since 0.1.0
 */
export const patience: Context.Reference<Duration.Input> = InternalLaw.RealTimeBound

// ---------------------------------------------------------------------------
// the laws
// ---------------------------------------------------------------------------

/**
 * The laws of two connected ends.
 *
 * @see {@link suite}
 *
 * @stability unstable
 * @category laws
 * @since 0.1.0
 */
export const all: ReadonlyArray<Law> = [
  ...lawsOfBytes,
  ...lawsOfMemory,
  ...lawsOfClosing,
  ...lawsOfLoss,
  ...lawsOfEnding,
  ...lawsOfFlow,
  ...lawsOfInterruption,
  ...lawsOfMessages
]

/**
 * The laws of two connected transports.
 *
 * @see {@link transportSuite}
 *
 * @stability unstable
 * @category laws
 * @since 0.1.0
 */
export const transport: ReadonlyArray<TransportLaw> = transportLaws

// ---------------------------------------------------------------------------
// suites
// ---------------------------------------------------------------------------

/**
 * The part of a test runner that is used: a function that takes a name and a test. The `it` of Vitest, Jest and Mocha
 * is one, and so is the `test` of Node.
 *
 * @see {@link suite}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type It = (name: string, run: () => Promise<void>) => unknown

/**
 * The options of a suite.
 *
 * @see {@link suite}, {@link transportSuite}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface SuiteOptions {
  /** The laws that do not apply, by name, each with the reason. A name of no law throws. Default: none. */
  readonly except?: Readonly<Record<string, string>> | undefined
  /** The longest time that a law waits for an event, in real time. Default 20 seconds. */
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
 * Registers every law of two connected ends as a test.
 *
 * **Gotchas**
 *
 * Some laws wait for seconds. Run them side by side where the runner can (`describe.concurrent`).
 *
 * Give the runner a timeout of a minute or more, or `patience` below its timeout. A runner that gives up first says nothing
 * of the law. A check waits several times, each time within `patience`.
 *
 * @see {@link transportSuite}, {@link fromTransports}
 *
 * @stability unstable
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(it: It, makePair: MakePair<E>, options?: SuiteOptions): void =>
  register(it, all, options, (law) => law.check(makePair))

/**
 * Registers every law of two connected transports as a test.
 *
 * **Gotchas**
 *
 * The timeout of the runner: see `suite`.
 *
 * @see {@link suite}, {@link overNetwork}
 *
 * @stability unstable
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
 * Makes pairs for `suite` of two transports: a connection at each.
 *
 * @see {@link suite}
 *
 * @stability unstable
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
 * Makes two connected transports over a `Network`. `left` is the client.
 *
 * **Details**
 *
 * It listens on an address, and connects to that. Listening stops when the scope closes.
 *
 * @see {@link transportSuite}, {@link fromTransports}
 *
 * @stability unstable
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
