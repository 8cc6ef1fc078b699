/** What laws are made of: a claim about two connected ends, and the words to say how it was broken. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Connection from "../../../Connection.ts"
import type { CloseOutcome } from "../../../StreamWriter.ts"
import * as Argument from "../../base/argument.ts"
import * as HexDump from "../hexDump.ts"
import { timelineOf } from "../network/wire.ts"
import * as RealTime from "../time/realTime.ts"
import { lawPatience } from "../../base/defaults.ts"

/** See `StreamLaws.LawViolation`. */
export class LawViolation extends Schema.TaggedError<LawViolation>("effect-byte-streams/testing/LawViolation")(
  "LawViolation",
  {
    /** The name of the law. */
    law: Schema.String,
    /** The law, in a sentence. */
    statement: Schema.String,
    /** The behaviour that was found instead. */
    found: Schema.String
  }
) {
  override get message(): string {
    return `${this.law}\n${this.statement}\n\nfound: ${this.found}`
  }
}

/** How long a law waits for what must happen. */
export const RealTimeBound = Context.Reference<Duration.Input>("effect-byte-streams/testing/StreamLaws/patience", {
  defaultValue: () => lawPatience
})

interface Pair {
  readonly left: Connection.Connection
  readonly right: Connection.Connection
}

/** Two connected ends, with these options at both. */
export type MakePair<in out E, in out R> = (options?: Connection.Options) => Effect.Effect<Pair, E, R | Scope.Scope>

/** A law has been broken. `law` adds its name. */
export class Broken {
  readonly _tag = "Broken"
  readonly found: string
  constructor(found: string) {
    this.found = found
  }
}

export const broken = (found: string): Effect.Effect<never, Broken> => Effect.fail(new Broken(found))

export const holds = (condition: boolean, found: string | (() => string)): Effect.Effect<void, Broken> =>
  condition ? Effect.void : broken(typeof found === "string" ? found : found())

/** Fails as a broken law that `what` did not come to its end. */
export const within = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Broken, R> =>
  Effect.flatMap(Effect.service(RealTimeBound), (input) => {
    const bound = Duration.fromInputUnsafe(input)
    return RealTime.within(effect, bound, broken(`${what}: not within ${Duration.format(bound)}`))
  })

/** It comes to its end, in time, and well. */
export const succeeds = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, Broken, R> =>
  Effect.flatMap(within(what, Effect.exit(effect)), (exit) => {
    if (Exit.isSuccess(exit)) return Effect.succeed(exit.value)
    const error = failureOf(exit.cause)
    return broken(`${what}: ${error instanceof Broken ? error.found : describe(exit.cause)}`)
  })

/** It comes to its end, in time, with an error of this tag, and of this reason or kind. */
export const failsWith = <R>(
  what: string,
  effect: Effect.Effect<unknown, unknown, R>,
  tag: string,
  reason?: string
): Effect.Effect<void, Broken, R> =>
  Effect.flatMap(within(what, Effect.exit(effect)), (exit) => isFailure(what, exit, tag, reason))

export const isFailure = (
  what: string,
  exit: Exit.Exit<unknown, unknown>,
  tag: string,
  reason?: string
): Effect.Effect<void, Broken> => {
  const wanted = reason === undefined ? tag : `${tag} (${reason})`
  if (Exit.isSuccess(exit)) return broken(`${what}: succeeded with ${show(exit.value)}, expected ${wanted}`)
  const error = failureOf(exit.cause)
  return holds(
    error?._tag === tag && (reason === undefined || error.reason === reason || error.kind === reason),
    () => `${what}: ${describe(exit.cause)}, expected ${wanted}`
  )
}

/** The connection broke; over TLS the reader is told that it was cut. */
export const isLoss = (what: string, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void, Broken> =>
  isFailure(
    what,
    exit,
    Exit.isFailure(exit) && failureOf(exit.cause)?._tag === "TlsFailed" ? "TlsFailed" : "ConnectionLost"
  )

interface Tagged {
  readonly _tag?: string
  readonly reason?: string
  readonly kind?: string
  readonly message?: string
}

const failureOf = (cause: Cause.Cause<unknown>): Tagged | undefined =>
  cause.reasons.flatMap((reason) => (reason._tag === "Fail" ? [reason.error as Tagged] : []))[0]

export const describe = (cause: Cause.Cause<unknown>): string => {
  const failure = cause.reasons.find((reason) => reason._tag === "Fail")
  if (failure !== undefined) return `failed with ${named(failure.error)}`
  return Cause.hasInterruptsOnly(cause) ? "was interrupted" : `died: ${String(Cause.squash(cause))}`
}

/** An error in words. Those of who makes the ends may be anything. */
const named = (error: unknown): string => {
  const tag = (error as Tagged | null | undefined)?._tag
  if (tag !== undefined) return `${tag} (${(error as Tagged).message})`
  return error instanceof Error ? String(error) : Argument.shown(error)
}

const show = (value: unknown): string =>
  value instanceof Uint8Array ? HexDump.count(value.length) : value === undefined ? "nothing" : JSON.stringify(value)

export const isOutcome = (what: string, outcome: CloseOutcome, ...allowed: ReadonlyArray<CloseOutcome["_tag"]>) =>
  holds(allowed.includes(outcome._tag), `${what}: ${JSON.stringify(outcome)}, expected ${allowed.join(" or ")}`)

/** Starts what another fiber does meanwhile. It ends with the law. */
export const meanwhile = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> => Effect.forkScoped(effect, { startImmediately: true })

/** What came of it. */
export const outcome = <A, E>(what: string, fiber: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>, Broken> =>
  within(what, Fiber.await(fiber))

export const finishes = <A, E>(what: string, fiber: Fiber.Fiber<A, E>): Effect.Effect<A, Broken> =>
  succeeds(what, Fiber.join(fiber))

/** Whether it still runs, or waits. */
export const waits = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() === undefined

/** Looks again and again until it is so. */
export const eventually = <E, R>(
  what: string,
  condition: Effect.Effect<boolean, E, R>
): Effect.Effect<void, E | Broken, R> =>
  within(
    what,
    Effect.gen(function* () {
      // a few turns first: in memory it is a matter of those
      for (let turn = 0; !(yield* condition); turn++) yield* turn < 100 ? Effect.yieldNow : RealTime.realSleep(1)
    })
  )

/** Waits until a writer makes no progress any more. */
export const stuck = (what: string, writer: Fiber.Fiber<unknown, unknown>, progress: () => number) =>
  within(
    `${what} is held up`,
    Effect.gen(function* () {
      let before = -1
      for (let same = 0; same < 4; same++) {
        yield* aWhile
        const now = progress()
        if (now !== before) same = 0
        before = now
      }
    })
  ).pipe(Effect.tap(() => holds(waits(writer), `${what} was not held up by a peer that does not read`)))

/** Gives way to others, a few times. */
export const turns = (count: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let turn = 0; turn < count; turn++) yield* Effect.yieldNow
  })

/** Time enough for what must not happen to have happened, also where the event loop goes round slowly. */
export const aWhile: Effect.Effect<void> = Effect.andThen(RealTime.realSleep(40), turns(50))

// ---------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const bytes = (text: string): Uint8Array => encoder.encode(text)
export const text = (bytes: Uint8Array): string => decoder.decode(bytes)

/** Bytes that tell where they are, so that one that is lost, doubled or moved is seen. */
export const pattern = (length: number, salt = 0): Uint8Array => {
  const out = new Uint8Array(length)
  for (let i = 0; i < length; i++) out[i] = (i * 31 + (i >> 8) * 17 + (i >> 16) * 7 + salt * 101) & 255
  return out
}

export const concat = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const out = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

export const areBytes = (what: string, actual: Uint8Array, expected: Uint8Array): Effect.Effect<void, Broken> => {
  let at = 0
  while (at < actual.length && at < expected.length && actual[at] === expected[at]) at++
  if (at === actual.length && at === expected.length) return Effect.void
  return broken(`${what}: differs from byte ${at} on\n${HexDump.compare(expected, actual, at)}`)
}

/** As `areBytes`, for text. */
export const isText = (what: string, actual: Uint8Array, expected: string): Effect.Effect<void, Broken> =>
  areBytes(what, actual, bytes(expected))

// ---------------------------------------------------------------------------
// laws
// ---------------------------------------------------------------------------

/** Two connected ends: what a law says of `a` and `b` holds the other way round as well. */
export interface Ends {
  readonly a: Connection.Connection
  readonly b: Connection.Connection
}

export type Connect = (options?: Connection.Options) => Effect.Effect<Ends, Broken, Scope.Scope>

export interface Law {
  readonly name: string
  readonly statement: string
  check<E, R>(makePair: MakePair<E, R>): Effect.Effect<void, LawViolation, Exclude<R, Scope.Scope>>
}

/**
 * A law from its body, which is checked in both directions, unless the law is
 * about both of them anyway or would only take twice as long.
 */
export const law = (
  name: string,
  statement: string,
  body: (connect: Connect) => Effect.Effect<void, Broken, Scope.Scope>,
  options?: { readonly oneWay?: boolean }
): Law => ({
  name,
  statement,
  check: <E, R>(makePair: MakePair<E, R>) =>
    Effect.contextWith((context: Context.Context<Exclude<R, Scope.Scope>>) => {
      const way = (direction: string, order: (pair: Pair) => Ends) => {
        let last: Pair | undefined
        const connect: Connect = (options) =>
          within("making a pair", makePair(options)).pipe(
            Effect.tap(({ left, right }) =>
              // whatever is still unsent then, nobody waits for
              Effect.addFinalizer(() => Effect.andThen(left.abort, right.abort))
            ),
            Effect.map((pair) => {
              last = pair
              return order(pair)
            }),
            Effect.catchCause((cause) => notMade("pair", cause)),
            Effect.provideContext(context as Context.Context<any>)
          ) as Effect.Effect<Ends, Broken, Scope.Scope>
        const violated = ({ found }: Broken) => {
          const timeline = last === undefined ? undefined : timelineOf(last.left.info)
          const story = timeline === undefined ? "" : `\n\n${timeline}`
          return new LawViolation({ law: name, statement, found: `${direction}${found}${story}` })
        }
        return Effect.scoped(body(connect)).pipe(
          Effect.catchDefect((defect) => broken(`died: ${stackOf(defect)}`)),
          Effect.mapError(violated)
        )
      }
      const forwards = way("", ({ left, right }) => ({ a: left, b: right }))
      if (options?.oneWay === true) return forwards
      const backwards = way("from right to left: ", ({ left, right }) => ({ a: right, b: left }))
      return Effect.all([forwards, backwards], { concurrency: 2, discard: true })
    })
})

/** What laws are about could not be made, or not in time. */
export const notMade = (what: string, cause: Cause.Cause<unknown>): Effect.Effect<never, Broken> => {
  const error = failureOf(cause)
  return error instanceof Broken ? Effect.fail(error) : broken(`no ${what} could be made: it ${describe(cause)}`)
}

const stackOf = (defect: unknown): string =>
  defect instanceof Error ? (defect.stack ?? defect.message) : String(defect)
