/**
 * The laws of a frame, to be run on a frame of one's own.
 *
 * A frame that is put together from those of `Frame` keeps them. One that is
 * made with `Frame.decoder`, `Frame.gen` or `Frame.transform` may not: here its
 * author learns it. Each law has a name, a sentence, and a check, which goes
 * through every way of cutting, interrupting, cutting short and mutating the
 * messages that it is given. A violation says what was found instead. The laws
 * know no test runner.
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
 * @see `StreamLaws` for the laws of what a frame is read from
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
 * `values` or `known` has at least one message. Messages that are unlike each
 * other show more, and so does one of some hundred bytes: what costs more than
 * it may is not seen in short ones. With a generator such as fast-check's,
 * `values: fc.sample(arbitrary, 50)` gives plenty.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subject<in out A> {
  /** What is put on trial. A decoder, which cannot write, has no `values`. */
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
 * @category models
 * @since 0.1.0
 */
export interface Law {
  /** What it is called. */
  readonly name: string
  /** The law, in a sentence or two. */
  readonly statement: string
  /** Fails with what was found instead. Takes milliseconds to seconds, all of it processor time. */
  check<A>(subject: Subject<A>): Effect.Effect<void, LawViolation>
}

/**
 * A law was broken: which, and what was found instead.
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

// ---------------------------------------------------------------------------
// the laws
// ---------------------------------------------------------------------------

/**
 * The laws of frames.
 *
 * **Details**
 *
 * - `one operation`: a read that is interrupted has taken nothing, and left nothing behind.
 * - `linear`: each byte is looked at a constant number of times. Counted in steps, not in time.
 * - `bounded`: whatever is claimed, nothing is waited for or allocated beyond `maxBytes`, which is finite.
 * - `there and back`: what was written is what is read, however it is cut; what could not be read again is not written.
 * - `no byte lost`: what stands behind a message is there for the next read.
 * - `after a fault`: a typed error, never a defect, and the same for every way of cutting.
 *
 * @category laws
 * @since 0.1.0
 */
export const all: ReadonlyArray<Law> = InternalLaws.all

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
}

/**
 * Every law as a test.
 *
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
