/**
 * What a message is in bytes: how it is read, how it is written, how large it may be.
 *
 * A frame is a value. It knows no reader and no socket: `reader.readFrame(frame)` and `writer.writeFrame(frame, value)` use
 * it on a connection, `decodeResult` and `encodeResult` on bytes at hand, `makeDecoder` on pieces that are pushed.
 *
 * What holds for all frames:
 *
 * - **A message is one operation.** A read that is interrupted, or timed out, has taken nothing.
 * - **Chunks do not matter.** However the bytes were cut on the way, the messages are the same, and each byte is looked
 *   at a constant number of times.
 * - **Bounds come first.** A length, a count or a depth above its bound fails before anything is kept for it. `maxBytes`
 *   of a frame is what one message may have.
 * - **There and back.** What could not be read again is not written: `EncodeFailed`.
 * - Bytes in a value may be a view of what arrived, as those of `reader.read` are: whoever stores a few of them for long
 *   makes a copy.
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Function from "effect/Function"
import type * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Bits from "./internal/frame/bits.ts"
import * as Change from "./internal/frame/change.ts"
import * as Choice from "./internal/frame/choice.ts"
import type { stop } from "./internal/frame/cursor.ts"
import * as Floats from "./internal/frame/floats.ts"
import * as Integers from "./internal/frame/integers.ts"
import * as IntegerText from "./internal/frame/integerText.ts"
import * as Limited from "./internal/frame/limited.ts"
import * as Many from "./internal/frame/many.ts"
import { bound, of, type TypeId } from "./internal/frame/node.ts"
import * as Prefixed from "./internal/frame/prefixed.ts"
import * as Pipes from "./internal/frame/pipes.ts"
import * as Program from "./internal/frame/program.ts"
import * as Recursion from "./internal/frame/recursion.ts"
import * as Run from "./internal/frame/run.ts"
import * as Sequence from "./internal/frame/sequence.ts"
import { EncodeFault } from "./internal/frame/sink.ts"
import * as Text from "./internal/frame/text.ts"
import * as Varints from "./internal/frame/varints.ts"
import type { EncodeFailed, IncompleteRead, LimitOverrun, MalformedFrame } from "./StreamError.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * How a message is read.
 *
 * @see {@link gen} and {@link decoder}.
 * @see {@link Frame}, which writes as well.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Decoder<out A> extends Pipeable {
  readonly [TypeId]: { readonly _Decoder: (_: never) => A }
  /** The most bytes that one message may have; `Infinity` where `"unbounded"` was asked for. */
  readonly maxBytes: number
  /** For `yield*` in a program of `gen`. */
  [Symbol.iterator](): Iterator<Decoder<A>, A, any>
}

/**
 * How a message is written.
 *
 * @see {@link encoder}.
 * @see {@link Frame}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Encoder<in A> extends Pipeable {
  readonly [TypeId]: { readonly _Encoder: (_: A) => void }
}

/**
 * How a message is read and written.
 *
 * @see {@link make} to join two halves.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Frame<in out A> extends Decoder<A>, Encoder<A> {
  readonly [TypeId]: { readonly _Decoder: (_: never) => A; readonly _Encoder: (_: A) => void }
  /** The most bytes that one message may have; `Infinity` where `"unbounded"` was asked for. */
  readonly maxBytes: number
  /** For `yield*` in a program of `gen`. */
  [Symbol.iterator](): Iterator<Frame<A>, A, any>
}

/**
 * The value of a frame.
 *
 * @see {@link Frame}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Value<F> = F extends { readonly [TypeId]: { readonly _Decoder: (_: never) => infer A } } ? A : never

// ---------------------------------------------------------------------------
// numbers
// ---------------------------------------------------------------------------

/**
 * An unsigned integer of 1 byte: 0 to 255.
 *
 * ```
 * | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint8, 200)) // => Uint8Array(1) [ 200 ]
 * ```
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint8: Frame<number> = Integers.uint8

/**
 * A signed integer, in two's complement, of 1 byte: -128 to 127.
 *
 * ```
 * | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int8, -2)) // => Uint8Array(1) [ 254 ]
 * ```
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int8: Frame<number> = Integers.int8

/**
 * An unsigned integer of 2 bytes, the most significant first: 0 to 65,535.
 *
 * ```
 * | high | low |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint16, 258)) // => Uint8Array(2) [ 1, 2 ]
 * ```
 *
 * @see {@link uint16LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint16: Frame<number> = Integers.uint16

/**
 * An unsigned integer of 2 bytes, the least significant first: 0 to 65,535.
 *
 * ```
 * | low | high |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint16LE, 258)) // => Uint8Array(2) [ 2, 1 ]
 * ```
 *
 * @see {@link uint16} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint16LE: Frame<number> = Integers.uint16LE

/**
 * A signed integer, in two's complement, of 2 bytes, the most significant first: -32,768 to 32,767.
 *
 * ```
 * | high | low |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int16, -2)) // => Uint8Array(2) [ 255, 254 ]
 * ```
 *
 * @see {@link int16LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int16: Frame<number> = Integers.int16

/**
 * A signed integer, in two's complement, of 2 bytes, the least significant first: -32,768 to 32,767.
 *
 * ```
 * | low | high |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int16LE, -2)) // => Uint8Array(2) [ 254, 255 ]
 * ```
 *
 * @see {@link int16} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int16LE: Frame<number> = Integers.int16LE

/**
 * An unsigned integer of 3 bytes, the most significant first: 0 to 16,777,215.
 *
 * ```
 * | high | mid | low |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint24, 66051)) // => Uint8Array(3) [ 1, 2, 3 ]
 * ```
 *
 * @see {@link uint24LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint24: Frame<number> = Integers.uint24

/**
 * An unsigned integer of 3 bytes, the least significant first: 0 to 16,777,215.
 *
 * ```
 * | low | mid | high |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint24LE, 66051)) // => Uint8Array(3) [ 3, 2, 1 ]
 * ```
 *
 * @see {@link uint24} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint24LE: Frame<number> = Integers.uint24LE

/**
 * A signed integer, in two's complement, of 3 bytes, the most significant first: -8,388,608 to 8,388,607.
 *
 * ```
 * | high | mid | low |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int24, -2)) // => Uint8Array(3) [ 255, 255, 254 ]
 * ```
 *
 * @see {@link int24LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int24: Frame<number> = Integers.int24

/**
 * A signed integer, in two's complement, of 3 bytes, the least significant first: -8,388,608 to 8,388,607.
 *
 * ```
 * | low | mid | high |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int24LE, -2)) // => Uint8Array(3) [ 254, 255, 255 ]
 * ```
 *
 * @see {@link int24} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int24LE: Frame<number> = Integers.int24LE

/**
 * An unsigned integer of 4 bytes, the most significant first: 0 to 4,294,967,295.
 *
 * ```
 * | 24..31 | 16..23 | 8..15 | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint32, 16909060)) // => Uint8Array(4) [ 1, 2, 3, 4 ]
 * ```
 *
 * @see {@link uint32LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint32: Frame<number> = Integers.uint32

/**
 * An unsigned integer of 4 bytes, the least significant first: 0 to 4,294,967,295.
 *
 * ```
 * | 0..7 | 8..15 | 16..23 | 24..31 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint32LE, 16909060)) // => Uint8Array(4) [ 4, 3, 2, 1 ]
 * ```
 *
 * @see {@link uint32} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint32LE: Frame<number> = Integers.uint32LE

/**
 * A signed integer, in two's complement, of 4 bytes, the most significant first: -2,147,483,648 to 2,147,483,647.
 *
 * ```
 * | 24..31 | 16..23 | 8..15 | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int32, -2)) // => Uint8Array(4) [ 255, 255, 255, 254 ]
 * ```
 *
 * @see {@link int32LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int32: Frame<number> = Integers.int32

/**
 * A signed integer, in two's complement, of 4 bytes, the least significant first: -2,147,483,648 to 2,147,483,647.
 *
 * ```
 * | 0..7 | 8..15 | 16..23 | 24..31 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no integer, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int32LE, -2)) // => Uint8Array(4) [ 254, 255, 255, 255 ]
 * ```
 *
 * @see {@link int32} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int32LE: Frame<number> = Integers.int32LE

/**
 * An unsigned integer of 8 bytes as a `bigint`, the most significant first.
 *
 * ```
 * | 56..63 | … | 8..15 | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no `bigint`, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint64, 72623859790382856n).join(" ")) // => 1 2 3 4 5 6 7 8
 * ```
 *
 * @see {@link uint64LE} for the other order of bytes.
 * @see {@link uint64Number} for a `number`.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint64: Frame<bigint> = Integers.uint64

/**
 * An unsigned integer of 8 bytes as a `bigint`, the least significant first.
 *
 * ```
 * | 0..7 | 8..15 | … | 56..63 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no `bigint`, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint64LE, 72623859790382856n).join(" ")) // => 8 7 6 5 4 3 2 1
 * ```
 *
 * @see {@link uint64} for the other order of bytes.
 * @see {@link uint64NumberLE} for a `number`.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint64LE: Frame<bigint> = Integers.uint64LE

/**
 * A signed integer, in two's complement, of 8 bytes as a `bigint`, the most significant first.
 *
 * ```
 * | 56..63 | … | 8..15 | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no `bigint`, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int64, -2n).join(" ")) // => 255 255 255 255 255 255 255 254
 * ```
 *
 * @see {@link int64LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int64: Frame<bigint> = Integers.int64

/**
 * A signed integer, in two's complement, of 8 bytes as a `bigint`, the least significant first.
 *
 * ```
 * | 0..7 | 8..15 | … | 56..63 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is one. A value out of range, or no `bigint`, cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.int64LE, -2n).join(" ")) // => 254 255 255 255 255 255 255 255
 * ```
 *
 * @see {@link int64} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const int64LE: Frame<bigint> = Integers.int64LE

/**
 * An unsigned integer of 8 bytes as a `number`, the most significant first. One above 2^53 - 1 is malformed.
 *
 * ```
 * | 56..63 | … | 8..15 | 0..7 |
 * ```
 *
 * **When to use**
 *
 * Use it for lengths and counts, which never reach 2^53.
 *
 * **Details**
 *
 * Another value cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint64Number, 4294967296).join(" ")) // => 0 0 0 1 0 0 0 0
 * ```
 *
 * @see {@link uint64NumberLE} for the other order of bytes.
 * @see {@link uint64} for all 64 bits.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint64Number: Frame<number> = Integers.uint64Number

/**
 * An unsigned integer of 8 bytes as a `number`, the least significant first. One above 2^53 - 1 is malformed.
 *
 * ```
 * | 0..7 | 8..15 | … | 56..63 |
 * ```
 *
 * **Details**
 *
 * Another value cannot be written: `EncodeFailed`.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint64NumberLE, 4294967296).join(" ")) // => 0 0 0 0 1 0 0 0
 * ```
 *
 * @see {@link uint64Number} for the other order of bytes.
 * @see {@link uint64LE} for all 64 bits.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const uint64NumberLE: Frame<number> = Integers.uint64NumberLE

/**
 * A number of IEEE 754 of 4 bytes, the most significant first. A value is written as the nearest that 32 bits can
 * hold; one beyond their range cannot be written.
 *
 * ```
 * | 24..31 | 16..23 | 8..15 | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is a number, `NaN` among them. (IEEE 754-2019, binary32.)
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.float32, 0.5)) // => Uint8Array(4) [ 63, 0, 0, 0 ]
 * ```
 *
 * @see {@link float32LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const float32: Frame<number> = Floats.float32

/**
 * A number of IEEE 754 of 4 bytes, the least significant first. A value is written as the nearest that 32 bits can
 * hold; one beyond their range cannot be written.
 *
 * ```
 * | 0..7 | 8..15 | 16..23 | 24..31 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is a number, `NaN` among them. (IEEE 754-2019, binary32.)
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.float32LE, 0.5)) // => Uint8Array(4) [ 0, 0, 0, 63 ]
 * ```
 *
 * @see {@link float32} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const float32LE: Frame<number> = Floats.float32LE

/**
 * A number of IEEE 754 of 8 bytes, the most significant first.
 *
 * ```
 * | 56..63 | … | 8..15 | 0..7 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is a number, `NaN` among them. (IEEE 754-2019, binary64.)
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.float64, -1.5).join(" ")) // => 191 248 0 0 0 0 0 0
 * ```
 *
 * @see {@link float64LE} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const float64: Frame<number> = Floats.float64

/**
 * A number of IEEE 754 of 8 bytes, the least significant first.
 *
 * ```
 * | 0..7 | 8..15 | … | 56..63 |
 * ```
 *
 * **Details**
 *
 * Every run of so many bytes is a number, `NaN` among them. (IEEE 754-2019, binary64.)
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.float64LE, -1.5).join(" ")) // => 0 0 0 0 0 0 248 191
 * ```
 *
 * @see {@link float64} for the other order of bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const float64LE: Frame<number> = Floats.float64LE

/**
 * Fields of bits within a whole number of bytes, the most significant first.
 *
 * ```
 * bits({ type: 4, flags: 4 })
 * | type type type type flags flags flags flags |
 * ```
 *
 * Each field is an integer of 0 or more, of 53 bits at most.
 *
 * **When to use**
 *
 * Use it for flags and small numbers that share bytes.
 *
 * **Details**
 *
 * A field that is out of range cannot be written. Widths that do not add up to whole bytes are a mistake, and throw
 * when the frame is made.
 *
 * **Example** (MQTT's first byte)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.bits({ type: 4, flags: 4 }), { type: 3, flags: 2 })) // => Uint8Array(1) [ 50 ]
 * ```
 *
 * @see {@link struct} for fields of whole bytes.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const bits: <const Fields extends { readonly [name: string]: number }>(
  fields: Fields
) => Frame<{ readonly [K in keyof Fields]: number }> = Bits.bits

/**
 * What a number of any length may look like.
 *
 * @see {@link varintWith}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface VarintOptions {
  /** The most bytes that it may have. Default: what its range needs, 8 for a `number`, 10 for a `bigint`. */
  readonly maxBytes?: number | undefined
  /** Whether a form that is longer than it need be is malformed. Default `"refuse"`; for QUIC `"accept"`. */
  readonly padded?: "refuse" | "accept" | undefined
}

/**
 * LEB128: an unsigned integer of 1 to 8 bytes, up to 2^53 - 1. Written in its shortest form; a longer one is
 * malformed.
 *
 * ```
 * | 1xxxxxxx | 1xxxxxxx | 0xxxxxxx |   the least significant seven bits first
 * ```
 *
 * **Details**
 *
 * More than 8 bytes, a number above 2^53 - 1, or a form with padding is malformed. (DWARF 5, section 7.6; Protocol
 * Buffers, "Base 128 Varints".)
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.varint, 300)) // => Uint8Array(2) [ 172, 2 ]
 * ```
 *
 * @see {@link varintWith} for padded forms and a bound.
 * @see {@link varint64} for 64 bits.
 * @see {@link zigzag} for signed numbers.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const varint: Frame<number> = Varints.varint

/**
 * LEB128: an unsigned integer of 1 to 10 bytes as a `bigint`, up to 2^64 - 1. (Protocol Buffers, WebAssembly.)
 *
 * ```
 * | 1xxxxxxx | 1xxxxxxx | 0xxxxxxx |   the least significant seven bits first
 * ```
 *
 * **Details**
 *
 * More than 10 bytes, a number above 2^64 - 1, or a form with padding is malformed.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.varint64, 18446744073709551615n).join(" ")) // => 255 255 255 255 255 255 255 255 255 1
 * ```
 *
 * @see {@link varint} for a `number`.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const varint64: Frame<bigint> = Varints.varint64

/**
 * LEB128 of a signed integer: 0, -1, 1, -2, 2 are written as 0, 1, 2, 3, 4. From -2^52 to 2^52 - 1.
 *
 * ```
 * | 1xxxxxxx | 1xxxxxxx | 0xxxxxxx |   the least significant seven bits first
 * ```
 *
 * **Details**
 *
 * Malformed as `varint` is. (Protocol Buffers, `sint32`.)
 *
 * **Example** (Small numbers are short, whatever their sign)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.zigzag, -1)) // => Uint8Array(1) [ 1 ]
 * console.log(Frame.encodeResultUnsafe(Frame.zigzag, 1)) // => Uint8Array(1) [ 2 ]
 * ```
 *
 * @see {@link varint} for unsigned numbers.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const zigzag: Frame<number> = Varints.zigzag

/**
 * As `zigzag`, of a `bigint` of 64 bits. (Protocol Buffers' `sint64`.)
 *
 * ```
 * | 1xxxxxxx | 1xxxxxxx | 0xxxxxxx |   the least significant seven bits first
 * ```
 *
 * **Details**
 *
 * Malformed as `varint64` is.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.zigzag64, -2n)) // => Uint8Array(1) [ 3 ]
 * ```
 *
 * @see {@link zigzag} for a `number`.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const zigzag64: Frame<bigint> = Varints.zigzag64

/**
 * An integer of 1, 2, 4 or 8 bytes: the two top bits say how many (RFC 9000, section 16). Written in its shortest
 * form; one above 2^53 - 1 is malformed.
 *
 * ```
 * | 00xxxxxx |   | 01xxxxxx | x |   | 10xxxxxx | x | x | x |   | 11xxxxxx | 7 more |
 * ```
 *
 * **Details**
 *
 * Padded forms are read, as the RFC has it.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.quicVarint, 15293)) // => Uint8Array(2) [ 123, 189 ]
 * ```
 *
 * @see {@link quicVarint64} for all 62 bits.
 * @see {@link quicVarintWith} to refuse padded forms.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const quicVarint: Frame<number> = Varints.quicVarint

/**
 * As `quicVarint`, as a `bigint` of up to 62 bits.
 *
 * ```
 * | 00xxxxxx |   | 01xxxxxx | x |   | 10xxxxxx | x | x | x |   | 11xxxxxx | 7 more |
 * ```
 *
 * **Details**
 *
 * Padded forms are read. Every run of so many bytes is a number.
 *
 * **Example** (As bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.quicVarint64, 151288809941952652n).join(" ")) // => 194 25 124 94 255 20 232 140
 * ```
 *
 * @see {@link quicVarint} for a `number`.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const quicVarint64: Frame<bigint> = Varints.quicVarint64

/**
 * `varint` with a bound on its bytes, or with forms that are longer than they need be.
 *
 * **When to use**
 *
 * Use it where the protocol bounds the bytes, or has padded forms.
 *
 * **Example** (At most four bytes, as MQTT has it; version 5 forbids padding, section 1.5.5)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const length = Frame.varintWith({ maxBytes: 4 })
 * console.log(length.maxBytes) // => 4
 * ```
 *
 * @see {@link varint}.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const varintWith: (options?: VarintOptions) => Frame<number> = Varints.varintWith

/**
 * `varint64` with a bound on its bytes, or with forms that are longer than they need be.
 *
 * **Example** (Padded forms)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.varint64With({ padded: "accept" }), Uint8Array.of(0x81, 0))) // => 1n
 * ```
 *
 * @see {@link varint64}.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const varint64With: (options?: VarintOptions) => Frame<bigint> = Varints.varint64With

/**
 * `zigzag` with a bound on its bytes, or with forms that are longer than they need be.
 *
 * **Example** (Padded forms)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.zigzagWith({ padded: "accept" }), Uint8Array.of(0x81, 0))) // => -1
 * ```
 *
 * @see {@link zigzag}.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const zigzagWith: (options?: VarintOptions) => Frame<number> = Varints.zigzagWith

/**
 * `zigzag64` with a bound on its bytes, or with forms that are longer than they need be.
 *
 * **Example** (Padded forms)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.zigzag64With({ padded: "accept" }), Uint8Array.of(0x81, 0))) // => -1n
 * ```
 *
 * @see {@link zigzag64}.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const zigzag64With: (options?: VarintOptions) => Frame<bigint> = Varints.zigzag64With

/**
 * `quicVarint` that refuses forms which are longer than they need be.
 *
 * **Example** (Padded forms refused)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.decodeResult(Frame.quicVarintWith({ padded: "refuse" }), Uint8Array.of(0x40, 1))
 * console.log(Result.isFailure(result) && result.failure.message) // => decode: quicVarint is malformed: padded: the same number has a shorter form (at byte 0: 40 01)
 * ```
 *
 * @see {@link quicVarint}.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const quicVarintWith: (options?: Pick<VarintOptions, "padded">) => Frame<number> = Varints.quicVarintWith

/**
 * `quicVarint64` that refuses forms which are longer than they need be.
 *
 * **Example** (Padded forms refused)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.decodeResult(Frame.quicVarint64With({ padded: "refuse" }), Uint8Array.of(0x40, 1))
 * console.log(Result.isFailure(result) && result.failure.message) // => decode: quicVarint64 is malformed: padded: the same number has a shorter form (at byte 0: 40 01)
 * ```
 *
 * @see {@link quicVarint64}.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const quicVarint64With: (options?: Pick<VarintOptions, "padded">) => Frame<bigint> = Varints.quicVarint64With

/**
 * A number in ASCII digits, up to its end: `"123\r\n"`. (RESP, the sizes of HTTP's chunks.)
 *
 * ```
 * | digits … | end |
 * ```
 *
 * **Details**
 *
 * Up to 2^53 - 1. A sign is read and written with `signed: true`; `"+"` is read and not written. Digits of radix 16
 * may be of either case, and are written in lower case. Up to 20 digits are read, leading zeros among them.
 *
 * What is no digit, too many of them, or another end is malformed. (RFC 9112, section 7.1; RESP.)
 *
 * **Example** (The size of an HTTP chunk)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.integerText({ end: "\r\n", radix: 16 }), new TextEncoder().encode("1f\r\n"))) // => 31
 * ```
 *
 * @see {@link lengthPrefixed} for a body behind it.
 *
 * @stability unstable
 * @category numbers
 * @since 0.1.0
 */
export const integerText = (options: {
  /** What stands behind the last digit: one byte or more, the first of which is no digit. */
  readonly end: string | Uint8Array
  /** Default 10. */
  readonly radix?: 10 | 16 | undefined
  /** Whether it may be negative. Default `false`. */
  readonly signed?: boolean | undefined
  /** Whether zeros may stand in front. Default `true`. */
  readonly leadingZeros?: boolean | undefined
}): Frame<number> =>
  IntegerText.integerText({
    end: Text.toBytes("integerText", "end", options.end),
    radix: options.radix ?? 10,
    signed: options.signed ?? false,
    leadingZeros: options.leadingZeros ?? true
  })

// ---------------------------------------------------------------------------
// bytes and text
// ---------------------------------------------------------------------------

/**
 * `size` bytes.
 *
 * ```
 * | size bytes |
 * ```
 *
 * **Details**
 *
 * A value of another length cannot be written.
 *
 * **Example** (Two bytes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.bytes(2), Uint8Array.of(1, 2))) // => Uint8Array(2) [ 1, 2 ]
 * ```
 *
 * @see {@link lengthPrefixed} for a number of bytes that a message says.
 *
 * @stability unstable
 * @category bytes
 * @since 0.1.0
 */
export const bytes: (size: number) => Frame<Uint8Array> = Text.bytes

/**
 * Text of `size` bytes of UTF-8. Other bytes are malformed.
 *
 * ```
 * | size bytes of UTF-8 |
 * ```
 *
 * **Details**
 *
 * Text of another length in bytes, or with half a surrogate pair, cannot be written.
 *
 * **Example** (Four bytes of text)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.utf8(4), new TextEncoder().encode("ßß"))) // => ßß
 * ```
 *
 * @see {@link utf8Rest} for a body of text.
 *
 * @stability unstable
 * @category text
 * @since 0.1.0
 */
export const utf8: (size: number) => Frame<string> = Text.utf8

/**
 * Text up to a zero byte, which is no part of it.
 *
 * ```
 * | text … | 0 |
 * ```
 *
 * **Details**
 *
 * No zero byte within `maxBytes` is `LimitOverrun`. Bytes that are no UTF-8 are malformed. Text with a zero in it
 * cannot be written.
 *
 * **Example** (A name)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.cstring({ maxBytes: 100 }), new TextEncoder().encode("Ada\u0000"))) // => Ada
 * ```
 *
 * @see {@link delimited} for another end.
 * @see {@link line}.
 *
 * @stability unstable
 * @category text
 * @since 0.1.0
 */
export const cstring: (options: {
  /** What the text may have, in bytes, without the zero byte. */
  readonly maxBytes: number | "unbounded"
}) => Frame<string> = Text.cstring

/**
 * These bytes, and no others. Has no value: a `struct` leaves it out.
 *
 * ```
 * | these bytes |
 * ```
 *
 * **Details**
 *
 * Other bytes are malformed, at the first that differs.
 *
 * **Example** (The magic of a format)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.decodeResult(Frame.literal("GIT"), new TextEncoder().encode("SVN"))
 * console.log(Result.isFailure(result) && result.failure.message) // => decode: literal is malformed: expected "GIT" (at byte 0: 53 56 4e)
 * ```
 *
 * @see {@link struct}, which leaves it out.
 *
 * @stability unstable
 * @category bytes
 * @since 0.1.0
 */
export const literal: (value: string | Uint8Array) => Frame<void> = Text.literal

/**
 * A value that takes no bytes.
 *
 * **Details**
 *
 * Another number, text or the like cannot be written. Of objects it is not looked at which they are.
 *
 * **Example** (A field that is always the same)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.struct({ version: Frame.succeed(1), id: Frame.uint8 }), Uint8Array.of(7))) // => { version: 1, id: 7 }
 * ```
 *
 * @see {@link literal} for bytes without a value.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const succeed: <A>(value: A) => Frame<A> = Text.succeed

/**
 * A line of text, without its end.
 *
 * ```
 * | text … | LF, or CR LF |
 * ```
 *
 * **Details**
 *
 * - `"lf"` (the default): up to a line feed. A carriage return in front of it belongs to the text.
 * - `"crlf"`: up to a carriage return and a line feed. One of them alone belongs to the text.
 * - `"either"`: up to a line feed; a carriage return in front of it is dropped. Written with a line feed.
 *
 * Text that would be cut, or changed, when it is read again cannot be written. Bytes that are no UTF-8 are malformed;
 * where the line ends is known, and so the next read stands behind it.
 *
 * No end within `maxBytes` is `LimitOverrun`.
 *
 * **Example** (A header line)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(
 *   Frame.decodeResultUnsafe(Frame.line({ end: "crlf", maxBytes: 1000 }), new TextEncoder().encode("Host: example\r\n"))
 * ) // => Host: example
 * ```
 *
 * @see {@link delimited} for bytes.
 *
 * @stability unstable
 * @category text
 * @since 0.1.0
 */
export const line: (options: {
  /** What the text may have, in bytes, without its end. */
  readonly maxBytes: number | "unbounded"
  /** What ends the line. Default `"lf"`. */
  readonly end?: "lf" | "crlf" | "either" | undefined
}) => Frame<string> = Text.line

/**
 * Bytes up to a separator, which is no part of them. Of several separators the one that ends first counts, as in
 * `reader.readUntil`, and of two that end at the same place the shorter: behind `"\r\n"` and `"\n"` a carriage return is part
 * of the bytes. The first of them that can count is written.
 *
 * ```
 * | bytes … | separator |
 * ```
 *
 * **Details**
 *
 * No separator within `maxBytes` is `LimitOverrun`. A value that would be cut by a separator cannot be written.
 *
 * **Example** (Bytes up to a semicolon)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.delimited(";", { maxBytes: 100 }), Uint8Array.of(1, 2, 59))) // => Uint8Array(2) [ 1, 2 ]
 * ```
 *
 * @see {@link line} and {@link cstring} for text; `line` with `end: "either"` drops a carriage return.
 *
 * @stability unstable
 * @category bytes
 * @since 0.1.0
 */
export const delimited: (
  separators: string | Uint8Array | ReadonlyArray<string | Uint8Array>,
  options: {
    /** What the value may have, in bytes, without the separator. */
    readonly maxBytes: number | "unbounded"
  }
) => Frame<Uint8Array> = Text.delimited

/**
 * What is left of a body whose length is known: that of `lengthPrefixed`, for instance, or all that `decodeResult` is given.
 * Elsewhere reading it dies.
 *
 * **Example** (A letter, and what follows it)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(
 *   Frame.decodeResultUnsafe(
 *     Frame.lengthPrefixed(Frame.uint8, { maxBytes: 9 }, Frame.tuple(Frame.utf8(1), Frame.rest)),
 *     Uint8Array.of(3, 65, 1, 2)
 *   )
 * ) // => [ 'A', Uint8Array(2) [ 1, 2 ] ]
 * ```
 *
 * @see {@link utf8Rest} for text.
 *
 * @stability unstable
 * @category bytes
 * @since 0.1.0
 */
export const rest: Frame<Uint8Array> = Text.rest

/**
 * `rest`, as UTF-8.
 *
 * **Details**
 *
 * Bytes that are no UTF-8 are malformed.
 *
 * **Example** (A body of text)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(
 *   Frame.decodeResultUnsafe(
 *     Frame.lengthPrefixed(Frame.uint8, { maxBytes: 9 }, Frame.utf8Rest),
 *     Uint8Array.of(2, 104, 105)
 *   )
 * ) // => hi
 * ```
 *
 * @see {@link rest} for bytes.
 *
 * @stability unstable
 * @category text
 * @since 0.1.0
 */
export const utf8Rest: Frame<string> = Text.utf8Rest

// ---------------------------------------------------------------------------
// with a length in front
// ---------------------------------------------------------------------------

/**
 * What a length in front of a body means.
 *
 * @see {@link lengthPrefixed}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface LengthPrefixedOptions {
  /** What the body may have, in bytes. More is `LimitOverrun`, before any of it is kept. */
  readonly maxBytes: number | "unbounded"
  /** Whether the length counts the body alone, or itself as well. Default `"body"`. */
  readonly covers?: "body" | "all" | undefined
  /** Added to the length that is read to find that of the body, in bytes. Default 0. (tokio's `length_adjustment`.) */
  readonly adjust?: number | undefined
}

/**
 * A body, and in front of it how many bytes it has.
 *
 * ```
 * | prefix | body … |
 * ```
 *
 * **When to use**
 *
 * Use it for a body whose length in bytes stands in front of it. For a number of items use {@link array}.
 *
 * **Details**
 *
 * `prefix` is any frame of an integer. A body must use up its length: less, or more, is malformed, and as its end is
 * known, the next read stands behind it. Without a `body` the value is the bytes.
 *
 * Everything that tokio's `LengthDelimitedCodec` says: an offset of the length is a `struct` around this, `adjust` its
 * `length_adjustment`, `covers: "all"` a length that includes itself.
 *
 * More than `maxBytes` is `LimitOverrun`, before any of it is kept.
 *
 * **Example** (Two bytes of length, and text)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.lengthPrefixed(Frame.uint16, { maxBytes: 1000 }, Frame.utf8Rest), "hi")) // => Uint8Array(4) [ 0, 2, 104, 105 ]
 * ```
 *
 * @see {@link netstring} and {@link contentLength}, ready-made.
 * @see {@link array} for a number of items.
 *
 * @stability unstable
 * @category lengths
 * @since 0.1.0
 */
export const lengthPrefixed: {
  (prefix: Frame<number> | Frame<bigint>, options: LengthPrefixedOptions): Frame<Uint8Array>
  <A>(prefix: Frame<number> | Frame<bigint>, options: LengthPrefixedOptions, body: Frame<A>): Frame<A>
} = Prefixed.lengthPrefixed

/**
 * D. J. Bernstein's netstring: `"5:hello,"`.
 *
 * ```
 * | length in digits | ":" | body … | "," |
 * ```
 *
 * **Details**
 *
 * More than `maxBytes` is `LimitOverrun`. A leading zero, or another byte than the comma, is malformed.
 * (https://cr.yp.to/proto/netstrings.txt)
 *
 * **Example** (A string)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(
 *   Frame.decodeResultUnsafe(Frame.netstring({ maxBytes: 100 }, Frame.utf8Rest), new TextEncoder().encode("5:hello,"))
 * ) // => hello
 * ```
 *
 * @see {@link lengthPrefixed}.
 *
 * @stability unstable
 * @category lengths
 * @since 0.1.0
 */
export const netstring: {
  (options: {
    /** What the body may have, in bytes. More is `LimitOverrun`, before any of it is kept. */
    readonly maxBytes: number | "unbounded"
  }): Frame<Uint8Array>
  <A>(
    options: {
      /** What the body may have, in bytes. More is `LimitOverrun`, before any of it is kept. */
      readonly maxBytes: number | "unbounded"
    },
    body: Frame<A>
  ): Frame<A>
} = Prefixed.netstring

/**
 * A body behind header lines of which one says how long it is: the base protocol of the Language Server Protocol, and
 * of the Debug Adapter Protocol.
 *
 * ```
 * | Content-Length: 5 CRLF | other header lines … | CRLF | body … |
 * ```
 *
 * **Details**
 *
 * Other header lines are passed over, and not written. The header may have 8,192 bytes.
 *
 * No length, two that differ, or a line without a colon is malformed. More than `maxBytes` is `LimitOverrun`.
 * (Language Server Protocol 3.17, "Base Protocol".)
 *
 * **Example** (A message of a language server)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(
 *   Frame.decodeResultUnsafe(
 *     Frame.contentLength({ maxBytes: 100 }, Frame.utf8Rest),
 *     new TextEncoder().encode("Content-Length: 2\r\n\r\n{}")
 *   )
 * ) // => {}
 * ```
 *
 * @see `FrameSchema` for JSON bodies.
 * @see {@link lengthPrefixed}.
 *
 * @stability unstable
 * @category lengths
 * @since 0.1.0
 */
export const contentLength: {
  (options: {
    /** What the body may have, in bytes. More is `LimitOverrun`, before any of it is kept. */
    readonly maxBytes: number | "unbounded"
  }): Frame<Uint8Array>
  <A>(
    options: {
      /** What the body may have, in bytes. More is `LimitOverrun`, before any of it is kept. */
      readonly maxBytes: number | "unbounded"
    },
    body: Frame<A>
  ): Frame<A>
} = Prefixed.contentLength

// ---------------------------------------------------------------------------
// composition
// ---------------------------------------------------------------------------

type Fields = { readonly [name: string]: Frame<any> }
type IsVoid<A> = [A] extends [void] ? true : false

/**
 * The value of a struct: fields that say nothing, such as a `literal`, need not be given.
 *
 * @see {@link struct}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type StructValue<F extends Fields> = {
  readonly [K in keyof F as IsVoid<Value<F[K]>> extends true ? never : K]: Value<F[K]>
} & { readonly [K in keyof F as IsVoid<Value<F[K]>> extends true ? K : never]?: Value<F[K]> }

type Simplify<A> = { [K in keyof A]: A[K] } & {}

/**
 * Fields, one behind the other, in the order in which they are written down.
 *
 * ```
 * | first field | second field | …
 * ```
 *
 * **When to use**
 *
 * Use it for fields with names, of which none depends on another.
 *
 * **Details**
 *
 * A function is made for it, which reads all fields (`new Function`); where that is forbidden, or `compile` is
 * `false`, a loop does the same, at two to three times the cost. Names of fields are data, and never part of the
 * function's code.
 *
 * **Gotchas**
 *
 * JavaScript puts names that are whole numbers in front of all others: `struct({ b: …, 1: … })` begins with `1`.
 *
 * **Example** (A point)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.struct({ x: Frame.uint8, y: Frame.int8 }), Uint8Array.of(1, 255))) // => { x: 1, y: -1 }
 * ```
 *
 * @see {@link tuple} for fields without names.
 * @see {@link gen} where a field depends on an earlier one.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const struct: <const F extends Fields>(
  fields: F,
  options?: {
    /** Whether a function may be made from text. Default `true`. */
    readonly compile?: boolean | undefined
  }
) => Frame<Simplify<StructValue<F>>> = Sequence.struct

/**
 * Elements, one behind the other.
 *
 * ```
 * | first element | second element | …
 * ```
 *
 * **Example** (Two numbers)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.tuple(Frame.uint8, Frame.uint16), Uint8Array.of(1, 0, 2))) // => [ 1, 2 ]
 * ```
 *
 * @see {@link struct} for fields with names.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const tuple = <const Elements extends ReadonlyArray<Frame<any>>>(
  ...elements: Elements
): Frame<{ readonly [K in keyof Elements]: Value<Elements[K]> }> => Sequence.tuple(elements)

/**
 * Many of one kind: as many as `count` says, or as the `prefix` in front of them does.
 *
 * ```
 * | prefix | item | item | …
 * ```
 *
 * **Details**
 *
 * A prefix of more than `maxItems` is malformed, before any item is read. `"unbounded"` is for items that have bytes: more
 * than 65,536 without one are malformed, and cannot be written.
 *
 * **Example** (Numbers behind their count)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(
 *   Frame.decodeResultUnsafe(
 *     Frame.array(Frame.uint16, { prefix: Frame.uint8, maxItems: 10 }),
 *     Uint8Array.of(2, 0, 1, 0, 2)
 *   )
 * ) // => [ 1, 2 ]
 * ```
 *
 * @see {@link repeatUntil} for items up to an end.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const array: <A>(
  item: Frame<A>,
  options:
    | {
        /** How many items there are. */
        readonly count: number
      }
    | {
        /** The frame of the number of items. */
        readonly prefix: Frame<number> | Frame<bigint>
        /** The most items that there may be. */
        readonly maxItems: number | "unbounded"
      }
) => Frame<ReadonlyArray<A>> = Many.array

/**
 * Items up to an end: at each place the end is tried first.
 *
 * ```
 * | item | item | … | end |
 * ```
 *
 * **Details**
 *
 * An item that would be taken for the end cannot be written.
 *
 * More than `maxItems` is malformed. `"unbounded"` is for items that have bytes: more than 65,536 without one are malformed,
 * and cannot be written.
 *
 * **Gotchas**
 *
 * The end is looked at anew at each place. One that reads far ahead, such as a long line in front of short items, is read that
 * often.
 *
 * **Example** (Lines up to an empty one)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(
 *   Frame.decodeResultUnsafe(
 *     Frame.repeatUntil(Frame.line({ maxBytes: 80 }), Frame.literal("\n"), { maxItems: 10 }),
 *     new TextEncoder().encode("a\nb\n\n")
 *   )
 * ) // => [ 'a', 'b' ]
 * ```
 *
 * @see {@link array} for a known number of items.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const repeatUntil: <A>(
  item: Frame<A>,
  end: Frame<void>,
  options: {
    /** The most items that there may be. */
    readonly maxItems: number | "unbounded"
  }
) => Frame<ReadonlyArray<A>> = Many.repeatUntil

/**
 * An item that may be missing: `present` says whether it is there.
 *
 * ```
 * | present | item, if it is |
 * ```
 *
 * **Example** (A flag, and a number)
 *
 * ```ts
 * import { Option } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const flag = Frame.transform(Frame.uint8, { decode: (byte) => byte !== 0, encode: (is) => (is ? 1 : 0) })
 * console.log(Frame.encodeResultUnsafe(Frame.option(flag, Frame.uint8), Option.some(7))) // => Uint8Array(2) [ 1, 7 ]
 * ```
 *
 * @see {@link union} for one of several.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const option: <A>(present: Frame<boolean>, item: Frame<A>) => Frame<Option.Option<A>> = Choice.option

/**
 * A frame that is named further down, or that is part of itself.
 *
 * **When to use**
 *
 * Use it for a frame that is part of itself, and for one that is declared further down.
 *
 * **Details**
 *
 * Deeper than `maxDepth` is malformed, and cannot be written. Depth is counted over all `suspend` that a message goes
 * through. How deep a message is nested costs no more than how long it is. A value with many frames at each level may be
 * too deep to be written before that, for want of stack: `EncodeFailed`.
 *
 * **Example** (Lists of lists)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * interface List extends ReadonlyArray<List> {}
 * const list: Frame.Frame<List> = Frame.suspend(() => Frame.array(list, { prefix: Frame.uint8, maxItems: 9 }), {
 *   maxDepth: 8
 * })
 * console.log(JSON.stringify(Frame.decodeResultUnsafe(list, Uint8Array.of(2, 0, 1, 0)))) // => [[],[[]]]
 * ```
 *
 * @see {@link union}.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const suspend: <A>(
  frame: () => Frame<A>,
  options: {
    /** How deep it may be nested: 1 is not at all, 1,024 the most. */
    readonly maxDepth: number
    /** What it may have, in bytes. Default 16,777,216 (16 MiB). */
    readonly maxBytes?: number | "unbounded" | undefined
  }
) => Frame<A> = Recursion.suspend

/**
 * One of several, told apart by a tag in front of it.
 *
 * ```
 * | tag | case |
 * ```
 *
 * **When to use**
 *
 * Use it where a tag says what follows. For a part that may be missing use {@link option}.
 *
 * **Details**
 *
 * The values are those of the cases: where they do not say themselves which they are, `transform` adds it. `tagOf`
 * finds the tag to write. A tag that is not known is malformed. Tags that are `bigint` stand in `cases` as text.
 *
 * **Example** (A number or text)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const both = Frame.union(
 *   Frame.uint8,
 *   { 1: Frame.uint16, 2: Frame.cstring({ maxBytes: 9 }) },
 *   { tagOf: (value) => (typeof value === "number" ? 1 : 2) }
 * )
 * console.log(Frame.decodeResultUnsafe(both, Uint8Array.of(1, 1, 0))) // => 256
 * ```
 *
 * @see {@link option} for one that may be missing.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const union: <const Cases extends Fields>(
  tag: Frame<number> | Frame<bigint> | Frame<string>,
  cases: Cases,
  options: {
    /** The tag of a value. */
    readonly tagOf: (value: Value<Cases[keyof Cases]>) => number | bigint | string
  }
) => Frame<Value<Cases[keyof Cases]>> = Choice.union

/**
 * Gives a frame, or a decoder, a name, which stands in front of the names of its parts where something is wrong with them.
 *
 * **Example** (Where something is wrong)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.decodeResult(
 *   Frame.named(Frame.struct({ id: Frame.literal("A") }), "Packet"),
 *   new TextEncoder().encode("B")
 * )
 * console.log(Result.isFailure(result) && result.failure.message) // => decode: Packet.id is malformed: expected "A" (at byte 0: 42)
 * ```
 *
 * @see {@link struct}, whose fields have names.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const named: {
  (name: string): <F extends Decoder<any>>(self: F) => F
  <F extends Decoder<any>>(self: F, name: string): F
} = Function.dual(2, (self: unknown, name: string): any => Change.named(name, of("named", self)))

/**
 * Bounds what one message may have, in bytes. More is `LimitOverrun`.
 *
 * **Example** (All of a message)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.decodeResult(
 *   Frame.limited(Frame.array(Frame.uint8, { prefix: Frame.uint8, maxItems: 255 }), 3),
 *   Uint8Array.of(3, 1, 2, 3)
 * )
 * console.log(Result.isFailure(result) && result.failure.message) // => decode: array is longer than 3 bytes
 * ```
 *
 * @see {@link lengthPrefixed}, which bounds a body.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const limited: {
  (maxBytes: number): <A>(self: Frame<A>) => Frame<A>
  <A>(self: Frame<A>, maxBytes: number): Frame<A>
} = Function.dual(2, <A>(self: Frame<A>, maxBytes: number): Frame<A> =>
  Limited.limited(of<A>("limited", self), bound("limited", "maxBytes", maxBytes))
)

/**
 * Values of another kind, both ways. A function that throws makes the message malformed, or the value one that cannot
 * be written.
 *
 * **When to use**
 *
 * Use it for values of another type, made by functions that cannot fail, or throw.
 *
 * **Example** (A date)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const date = Frame.transform(Frame.uint32, {
 *   decode: (seconds) => new Date(seconds * 1000),
 *   encode: (date) => date.getTime() / 1000
 * })
 * console.log(Frame.decodeResultUnsafe(date, Uint8Array.of(0, 0, 0, 60)).toISOString()) // => 1970-01-01T00:01:00.000Z
 * ```
 *
 * @see {@link transformOrFail} with a reason.
 * @see `FrameSchema.schema` for a schema.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const transform: {
  <A, B>(options: {
    /** The value of what was read. What it throws makes the message malformed. */
    readonly decode: (value: A) => B
    /** What is written of a value. What it throws makes the value one that cannot be written. */
    readonly encode: (value: B) => A
  }): (self: Frame<A>) => Frame<B>
  <A, B>(
    self: Frame<A>,
    options: {
      /** The value of what was read. What it throws makes the message malformed. */
      readonly decode: (value: A) => B
      /** What is written of a value. What it throws makes the value one that cannot be written. */
      readonly encode: (value: B) => A
    }
  ): Frame<B>
} = Function.dual(
  2,
  <A, B>(self: Frame<A>, options: { readonly decode: (value: A) => B; readonly encode: (value: B) => A }): Frame<B> =>
    Change.transformed(
      "transform",
      of<A>("transform", self),
      (value) => options.decode(value),
      (value) => options.encode(value)
    )
)

/**
 * As `transform`, with a reason where there is no such value.
 *
 * **Example** (Letters that are known)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const size = Frame.transformOrFail(Frame.utf8(1), {
 *   decode: (letter) => (letter === "S" ? Result.succeed(1) : Result.fail(`no size is called ${letter}`)),
 *   encode: () => Result.succeed("S")
 * })
 * console.log(Frame.decodeResultUnsafe(size, Uint8Array.of(83))) // => 1
 * ```
 *
 * @see {@link transform}.
 * @see {@link refine}.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const transformOrFail: {
  <A, B>(options: {
    /** The value of what was read, or why there is none: the message is malformed then. */
    readonly decode: (value: A) => Result.Result<B, string>
    /** What is written of a value, or why it cannot be written. */
    readonly encode: (value: B) => Result.Result<A, string>
  }): (self: Frame<A>) => Frame<B>
  <A, B>(
    self: Frame<A>,
    options: {
      /** The value of what was read, or why there is none: the message is malformed then. */
      readonly decode: (value: A) => Result.Result<B, string>
      /** What is written of a value, or why it cannot be written. */
      readonly encode: (value: B) => Result.Result<A, string>
    }
  ): Frame<B>
} = Function.dual(
  2,
  <A, B>(
    self: Frame<A>,
    options: {
      readonly decode: (value: A) => Result.Result<B, string>
      readonly encode: (value: B) => Result.Result<A, string>
    }
  ): Frame<B> => Change.changed("transformOrFail", of<A>("transformOrFail", self), options.decode, options.encode)
)

/**
 * Only those values for which `predicate` holds; others are malformed, and cannot be written.
 *
 * **Example** (A version)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.decodeResult(
 *   Frame.refine(Frame.uint8, (version) => version === 5, "another version than 5"),
 *   Uint8Array.of(4)
 * )
 * console.log(Result.isFailure(result) && result.failure.message) // => decode: refine is malformed: another version than 5 (at byte 0: 04)
 * ```
 *
 * @see {@link transformOrFail}.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const refine: {
  <A>(predicate: (value: A) => boolean, reason?: string): (self: Frame<A>) => Frame<A>
  <A>(self: Frame<A>, predicate: (value: A) => boolean, reason?: string): Frame<A>
} = Function.dual(
  (args) => args[0] !== null && typeof args[0] === "object",
  <A>(self: Frame<A>, predicate: (value: A) => boolean, reason = "is not what it must be"): Frame<A> => {
    const check = (value: A): Result.Result<A, string> =>
      predicate(value) ? Result.succeed(value) : Result.fail(reason)
    const frame = of<A>("refine", self)
    return Change.changed("refine", frame, check, check, frame.isBigint)
  }
)

// ---------------------------------------------------------------------------
// programs, and ways out
// ---------------------------------------------------------------------------

/**
 * A decoder written as a program: it yields frames, and is given their values.
 *
 * A program that throws makes the message malformed. Where a message arrives in several pieces, however many, it is run
 * once more at most, and must not do anything else. It costs more than the combinators do.
 *
 * **Gotchas**
 *
 * A program that yields itself may be nested 1,024 deep: deeper is malformed. {@link suspend} around it has `maxDepth`. It
 * takes a frame, so {@link make} joins the program with an encoder first.
 *
 * **When to use**
 *
 * Use it where a part depends on an earlier one, and no combinator says so. {@link lengthPrefixed}, {@link array},
 * {@link option} and {@link union} cover most of these.
 *
 * **Example** (Four bytes and a body)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const message = Frame.gen({ maxBytes: 1_000_004 }, function* () {
 *   const size = yield* Frame.uint32
 *   return yield* Frame.utf8(size)
 * })
 *
 * console.log(Frame.decodeResultUnsafe(message, new Uint8Array([0, 0, 0, 2, 104, 105]))) // => hi
 * ```
 *
 * @see {@link decoder} for speed.
 * @see {@link make} to join it with an encoder.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const gen: <A>(
  options: {
    /** What a message may have, in bytes. */
    readonly maxBytes: number | "unbounded"
  },
  program: () => Generator<Decoder<any>, A, any>
) => Decoder<A> = Program.gen

/**
 * A frame of a decoder and an encoder.
 *
 * **Details**
 *
 * A message of more bytes than the decoder reads cannot be written.
 *
 * **Gotchas**
 *
 * A function of {@link encoder} is not told the type by the decoder beside it. Say it: `Frame.make<Message>({ … })`.
 *
 * **Example** (A program that reads, and a frame that writes)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const decoder = Frame.gen({ maxBytes: 3 }, function* () {
 *   const high = yield* Frame.uint8
 *   return { high, low: yield* Frame.uint8 }
 * })
 * const pair = Frame.make({ decoder, encoder: Frame.struct({ high: Frame.uint8, low: Frame.uint8 }) })
 * console.log(Frame.decodeResultUnsafe(pair, Frame.encodeResultUnsafe(pair, { high: 1, low: 2 }))) // => { high: 1, low: 2 }
 * ```
 *
 * @see {@link gen}, {@link decoder} and {@link encoder} for the halves.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make: <A>(options: {
  /** How a message is read. */
  readonly decoder: Decoder<A>
  /** How it is written. */
  readonly encoder: Encoder<A>
}) => Frame<A> = Program.joined

/**
 * What a function of `decoder` returns where there is no value: what `more` and `malformed` of the cursor return.
 *
 * @see {@link decoder}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Stop = typeof stop

/**
 * Where a function of `decoder` reads: the bytes that have arrived, in one piece.
 *
 * @see {@link decoder}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Cursor {
  /** What it reads from. Only the bytes from `at` on and before `end` may be looked at. */
  readonly bytes: Uint8Array
  /** The next byte. The function moves it behind what it has read: to a place up to `end`, else it is a defect. */
  at: number
  /** Behind the last byte that is there. */
  readonly end: number
  /** Whether nothing can come behind `end`: it is the end of a body whose length is known. */
  readonly closed: boolean
  /** The next `size` bytes, which must be there, as a view; moves behind them. */
  take(size: number): Uint8Array
  /**
   * Not enough has arrived: at least `missing` more bytes. To be returned. The function is called anew once they are there.
   * A function that could find fault with fewer asks for 1: else what is told depends on how the bytes were cut. What is no
   * whole number is a defect.
   */
  more(missing: number): Stop
  /** The bytes are no message, and why. To be returned. */
  malformed(reason: string, at?: number): Stop
}

/**
 * A decoder as a function on a cursor: what the combinators are made of, for what they cannot say.
 *
 * The function is called with what has arrived, and anew once more has. To stay linear, it says with `more` how much
 * it needs.
 *
 * **When to use**
 *
 * Use it for what the combinators cannot say, and where {@link gen} is too slow.
 *
 * **Example** (A byte that says how many follow)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const few = Frame.decoder<Uint8Array>({
 *   maxBytes: 16,
 *   decode: (cursor) => {
 *     if (cursor.at === cursor.end) return cursor.more(1)
 *     const size = cursor.bytes[cursor.at]! & 15
 *     const left = cursor.end - cursor.at - 1
 *     if (left < size) return cursor.more(size - left)
 *     cursor.at++
 *     return cursor.take(size)
 *   }
 * })
 * console.log(Frame.decodeResultUnsafe(few, Uint8Array.of(0xf2, 1, 2))) // => Uint8Array(2) [ 1, 2 ]
 * ```
 *
 * @see {@link gen}, which is simpler and costs more.
 * @see `testing/FrameLaws` to find what is wrong with one.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const decoder: <A>(options: {
  /** What a message may have, in bytes. */
  readonly maxBytes: number | "unbounded"
  /** Reads one message: moves the cursor behind it, and returns its value, or what `more` or `malformed` returns. */
  readonly decode: (cursor: Cursor) => A | Stop
}) => Decoder<A> = Program.decoder as any

/**
 * What a function of `encoder` writes into.
 *
 * @see {@link encoder}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Sink {
  /** The memory to write into, at the place that `reserve` returned. */
  readonly bytes: Uint8Array
  /** How many bytes of the message were written. */
  readonly size: number
  /**
   * Room for `size` bytes in `bytes`: returns where. They are to be written before anything else is.
   *
   * **Gotchas**
   *
   * `bytes` may be other memory from then on. `sink.bytes[sink.reserve(1)] = 1` writes into that from before, for JavaScript
   * looks at `sink.bytes` first. Keep the place, as the example of {@link encoder} does, or use `writeFrame`.
   */
  reserve(size: number): number
  /**
   * Writes a value of a frame, as a part of the message. One that the frame cannot write cannot be written in the message.
   *
   * **When to use**
   *
   * Use it for an encoder that goes with a program of {@link gen}: as that yields frames, this writes them.
   */
  writeFrame<A>(frame: Encoder<A>, value: A): void
  /** Writes bytes. */
  put(bytes: Uint8Array): void
  /** Writes text as UTF-8. */
  text(text: string): void
}

/**
 * An encoder as a function on a sink. It throws what `invalid` returns where a value cannot be written.
 *
 * **Details**
 *
 * What `encodeResultUnsafe` throws says the same, of a part. Anything else that is thrown is a mistake in the program: what
 * writes the message dies of it.
 *
 * **Example** (A number, in as many bytes as it needs)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const size = Frame.encoder<number>({
 *   encode: (sink, value) => {
 *     if (value < 255) return sink.writeFrame(Frame.uint8, value)
 *     sink.writeFrame(Frame.uint8, 255)
 *     sink.writeFrame(Frame.uint32, value)
 *   }
 * })
 * console.log(Frame.encodeResultUnsafe(size, 258).join(" ")) // => 255 0 0 1 2
 * ```
 *
 * **Example** (A nibble, by hand)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const nibble = Frame.encoder<number>({
 *   encode: (sink, value) => {
 *     if (!(value >= 0 && value < 16)) throw Frame.invalid("must be 0 to 15")
 *     const at = sink.reserve(1)
 *     sink.bytes[at] = value
 *   }
 * })
 * console.log(Frame.encodeResultUnsafe(nibble, 7)) // => Uint8Array(1) [ 7 ]
 * ```
 *
 * @see {@link make} to join it with a decoder.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const encoder: <A>(options: {
  /** Writes one message into the sink, or throws what `invalid` returns. */
  readonly encode: (sink: Sink, value: A) => void
}) => Encoder<A> = Program.encoder

/**
 * For a function of `encoder` to throw, or of `transform` or `union`: why the value cannot be written.
 *
 * **Example** (Why not)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const none = Frame.encoder<number>({
 *   encode: () => {
 *     throw Frame.invalid("is never right")
 *   }
 * })
 * const result = Frame.encodeResult(none, 1)
 * console.log(Result.isFailure(result) && result.failure.reason) // => is never right
 * ```
 *
 * @see {@link encoder}.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const invalid = (reason: string): unknown => new EncodeFault(reason)

// ---------------------------------------------------------------------------
// without a stream
// ---------------------------------------------------------------------------

/**
 * Decodes bytes that are pushed by hand.
 *
 * @see {@link makeDecoder}.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface PushDecoder<out A> {
  /**
   * Adds bytes, and returns the messages that are complete. The array belongs to the decoder from then on.
   *
   * What is wrong is thrown, as `MalformedFrame` or `LimitOverrun`: messages in front of it are returned first, and the next
   * call throws. Where it is known where a malformed message ends, the call after that goes on behind it; elsewhere each
   * call throws.
   */
  push(bytes: Uint8Array): ReadonlyArray<A>
  /**
   * Says that nothing more comes: throws `IncompleteRead` in the middle of a message, and what is wrong behind the messages
   * that the last `push` returned.
   */
  end(): void
  /** A copy of the bytes that are no whole message yet. */
  readonly leftover: Uint8Array
}

/**
 * A decoder for bytes that are pushed by hand.
 *
 * **When to use**
 *
 * Use it for bytes that come from neither a reader nor a `Stream`, such as the messages of a WebSocket.
 *
 * **Example** (Pieces)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * const decoder = Frame.makeDecoder(Frame.uint16)
 * console.log(decoder.push(Uint8Array.of(0, 1, 0))) // => [ 1 ]
 * console.log(decoder.leftover) // => Uint8Array(1) [ 0 ]
 * ```
 *
 * @see {@link decodeStream} for a `Stream`.
 * @see `reader.readFrame` for a connection.
 *
 * @stability unstable
 * @category runners
 * @since 0.1.0
 */
export const makeDecoder = <A>(frame: Decoder<A>): PushDecoder<A> => new Run.PushDecoder(of<A>("makeDecoder", frame))

/**
 * The value of bytes that are one message, and nothing else. As it is known where they end, `rest` may stand in the frame.
 *
 * **When to use**
 *
 * Use it for bytes that are all there: a datagram, a file, a test.
 *
 * **Example** (One byte too many)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.decodeResult(Frame.uint8, Uint8Array.of(1, 2))
 * console.log(Result.isFailure(result) && result.failure.message) // => decode: uint8 is malformed: 1 byte behind the message (at byte 1: 02)
 * ```
 *
 * @see {@link decodeResultUnsafe}, which throws.
 * @see {@link makeDecoder} for pieces.
 *
 * @stability unstable
 * @category runners
 * @since 0.1.0
 */
export const decodeResult: <A>(
  frame: Decoder<A>,
  bytes: Uint8Array
) => Result.Result<A, MalformedFrame | LimitOverrun | IncompleteRead> = (frame, bytes) =>
  Run.decodeResult(of<any>("decodeResult", frame), bytes)

/**
 * As `decodeResult`. Throws what that fails with.
 *
 * **Example** (A number)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.decodeResultUnsafe(Frame.uint16, Uint8Array.of(1, 2))) // => 258
 * ```
 *
 * @see {@link decodeResult}.
 *
 * @stability unstable
 * @category runners
 * @since 0.1.0
 */
export const decodeResultUnsafe = <A>(frame: Decoder<A>, bytes: Uint8Array): A =>
  Result.getOrThrow(decodeResult(frame, bytes))

/**
 * The bytes of a value.
 *
 * **Example** (Too large)
 *
 * ```ts
 * import { Result } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const result = Frame.encodeResult(Frame.uint8, 256)
 * console.log(Result.isFailure(result) && result.failure.message) // => encode: uint8 must be an integer from 0 to 255, got 256 (number)
 * ```
 *
 * @see {@link encodeResultUnsafe}, which throws.
 *
 * @stability unstable
 * @category runners
 * @since 0.1.0
 */
export const encodeResult: <A>(frame: Encoder<A>, value: A) => Result.Result<Uint8Array, EncodeFailed> = (
  frame,
  value
) => Run.encodeResult(of<any>("encodeResult", frame), value)

/**
 * As `encodeResult`. Throws what that fails with.
 *
 * **Example** (A number)
 *
 * ```ts
 * import { Frame } from "effect-byte-streams"
 *
 * console.log(Frame.encodeResultUnsafe(Frame.uint16, 258)) // => Uint8Array(2) [ 1, 2 ]
 * ```
 *
 * @see {@link encodeResult}.
 *
 * @stability unstable
 * @category runners
 * @since 0.1.0
 */
export const encodeResultUnsafe = <A>(frame: Encoder<A>, value: A): Uint8Array =>
  Result.getOrThrow(encodeResult(frame, value))

/**
 * The messages in a stream of bytes, however those are cut: for streams that are no connection's. All messages that a
 * chunk completes are one chunk.
 *
 * **When to use**
 *
 * Use it for a `Stream` of bytes that is no connection. On a connection use `StreamReader.frames`.
 *
 * **Details**
 *
 * Fails as `makeDecoder` throws, behind the messages in front of what is wrong, and with `IncompleteRead` if the
 * stream ends inside a message.
 *
 * **Example** (Chunks)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const bytes = Stream.make(Uint8Array.of(0, 1, 0), Uint8Array.of(2))
 * console.log(await Effect.runPromise(Stream.runCollect(bytes.pipe(Frame.decodeStream(Frame.uint16))))) // => [ 1, 2 ]
 * ```
 *
 * @see {@link makeDecoder} without a stream.
 * @see `StreamReader.frames` for a connection, whose reader keeps the bytes behind the chunk that was read last.
 *
 * @stability unstable
 * @category streams
 * @since 0.1.0
 */
export const decodeStream =
  <A>(frame: Decoder<A>) =>
  <E, R>(
    self: Stream.Stream<Uint8Array, E, R>
  ): Stream.Stream<A, E | MalformedFrame | LimitOverrun | IncompleteRead, R> =>
    Stream.transformPull(self, (pull) => Pipes.decode(of<A>("decodeStream", frame), pull))

/**
 * The bytes of a stream of messages: those of a chunk as one piece.
 *
 * **Example** (Messages)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Frame } from "effect-byte-streams"
 *
 * const bytes = Stream.make(1, 2).pipe(Frame.encodeStream(Frame.uint16))
 * console.log(await Effect.runPromise(Stream.runCollect(bytes))) // => [ Uint8Array(4) [ 0, 1, 0, 2 ] ]
 * ```
 *
 * @see {@link encodeResult} for one message.
 * @see `StreamWriter.frameSink` for a connection.
 *
 * @stability unstable
 * @category streams
 * @since 0.1.0
 */
export const encodeStream =
  <A>(frame: Encoder<A>) =>
  <E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<Uint8Array, E | EncodeFailed, R> =>
    Stream.mapArrayEffect(self, (values) => Pipes.encode(of<A>("encodeStream", frame), values))
