/**
 * The laws of a frame, to check a frame of your own.
 *
 * A frame that is put together from those of `Frame` keeps them. A frame that is made with `Frame.decoder`, `Frame.gen`
 * or `Frame.transform` may not. Each law has a name, a sentence, and a check. The check goes through every way of
 * cutting, interrupting, cutting short and mutating the given messages. A violation says how the law was broken. The
 * laws know no test runner.
 *
 * **When to use**
 *
 * - `suite`: for a frame of your own, with any test runner.
 * - `all`: for a single law, or a runner of your own.
 *
 * **Example** (The laws of a frame, with any test runner)
 *
 * ```ts no-run
 * import { Frame } from "effect-byte-streams"
 * import * as FrameLaws from "effect-byte-streams/testing/FrameLaws"
 * import { describe, it } from "vitest"
 *
 * const greeting = Frame.struct({ magic: Frame.literal("HI"), name: Frame.cstring({ maxBytes: 100 }) })
 *
 * describe("my greeting", () => {
 *   FrameLaws.suite(it, {
 *     frame: greeting,
 *     values: [{ name: "" }, { name: "Ada" }, { name: "x".repeat(100) }],
 *     known: [[{ name: "Bo" }, Uint8Array.of(72, 73, 66, 111, 0)]],
 *     malformed: [Uint8Array.of(72, 79)],
 *     unwritable: [{ name: "a\0b" }, { name: "x".repeat(101) }]
 *   })
 * })
 * ```
 *
 * @see `StreamLaws` for the laws of the stream below.
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Decoder } from "../Frame.ts"
import * as InternalLaws from "../internal/testing/laws/frames.ts"
import * as InternalLaw from "../internal/testing/laws/law.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * A frame, and messages of it.
 *
 * **Details**
 *
 * `values` or `known` has at least one message. Different messages show more, and so does a message of some hundred
 * bytes: short ones hide costs that grow. A generator gives plenty: `values: fc.sample(arbitrary, 50)` with fast-check.
 *
 * @see {@link suite}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Subject<in out A> {
  /** The frame to check. A decoder cannot write, so it has no `values`. */
  readonly frame: Decoder<A>
  /** Values that the frame can write. Default: none. */
  readonly values?: ReadonlyArray<A> | undefined
  /** Values and their bytes, as a specification or another program has them. Default: none. */
  readonly known?: ReadonlyArray<readonly [value: A, bytes: Uint8Array]> | undefined
  /** Bytes that must be refused: `MalformedFrame`, or `LimitOverrun`. Default: none. */
  readonly malformed?: ReadonlyArray<Uint8Array> | undefined
  /** Values that must not be written, because they could not be read again. Default: none. */
  readonly unwritable?: ReadonlyArray<unknown> | undefined
  /** Whether two values are the same. Default: `Equal.equals`, which compares structure. */
  readonly equals?: ((one: A, other: A) => boolean) | undefined
}

/**
 * A law of frames.
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
  /** The law, in a sentence or two. */
  readonly statement: string
  /** Checks the law. Takes milliseconds to seconds, all of it processor time. */
  check<A>(subject: Subject<A>): Effect.Effect<void, LawViolation>
}

/**
 * A law was broken. The message has the law, and the behaviour that was found.
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

// ---------------------------------------------------------------------------
// the laws
// ---------------------------------------------------------------------------

/**
 * The laws of frames.
 *
 * **Details**
 *
 * - `one operation`: an interrupted read has taken nothing, and left nothing behind.
 * - `linear`: each byte is looked at a constant number of times. Counted in steps, not in time.
 * - `bounded`: nothing is awaited or allocated beyond `maxBytes`, which is finite, whatever a length claims.
 * - `there and back`: a written value is read again, however its bytes are cut. A value that could not be read again is
 *   not written.
 * - `no byte lost`: bytes behind a message are there for the next read.
 * - `after a fault`: a typed error, never a defect, and the same for every way of cutting.
 *
 * @see {@link suite}
 *
 * @stability unstable
 * @category laws
 * @since 0.1.0
 */
export const all: ReadonlyArray<Law> = InternalLaws.all

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
 * @see {@link suite}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface SuiteOptions {
  /** The laws that do not apply, by name, each with the reason. A name of no law throws. Default: none. */
  readonly except?: Readonly<Record<string, string>> | undefined
}

/**
 * Registers every law as a test.
 *
 * @see {@link Subject}, {@link all}
 *
 * @stability unstable
 * @category suites
 * @since 0.1.0
 */
export const suite = <A>(it: It, subject: Subject<A>, options?: SuiteOptions): void => {
  const except = Object.keys(options?.except ?? {})
  const unknown = except.find((name) => all.every((law) => law.name !== name))
  if (unknown !== undefined) throw new Error(`FrameLaws: there is no law "${unknown}"`)
  for (const law of all) {
    if (!except.includes(law.name)) it(law.name, () => Effect.runPromise(law.check(subject)))
  }
}
