/**
 * Frames of values that a schema describes.
 *
 * A module of its own, because `Schema` costs a program some 40 milliseconds when it starts.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { Frame } from "./Frame.ts"
import * as FrameSchema from "./internal/frame/schema.ts"

/**
 * Values of a schema, whose encoded form another frame reads and writes.
 *
 * **Details**
 *
 * What the schema refuses is malformed, and where the message ends is known; a value that it cannot encode fails with
 * `EncodeFailed`. What is nested too deep for it is refused as well. The schema needs no services, and does its work at
 * once: one that turns out to be asynchronous dies with a message.
 *
 * The reason is the schema's, cut to 300 characters: it names the place, and with it keys that the peer has made.
 *
 * **Example** (A point)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Frame, FrameSchema } from "effect-byte-streams"
 *
 * const Point = Schema.Struct({ x: Schema.Number, y: Schema.Number })
 * const point = FrameSchema.schema(Point, Frame.struct({ x: Frame.float64, y: Frame.float64 }))
 *
 * console.log(point.maxBytes) // => 16
 *
 * const port = Frame.line({ maxBytes: 5 }).pipe(FrameSchema.schema(Schema.NumberFromString))
 * console.log(Frame.encodeResultUnsafe(port, 80)) // => Uint8Array(3) [ 56, 48, 10 ]
 * ```
 * @see {@link ndjson} for JSON.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const schema: {
  <A, I>(codec: Schema.Codec<A, I>): (frame: Frame<I>) => Frame<A>
  <A, I>(codec: Schema.Codec<A, I>, frame: Frame<I>): Frame<A>
} = <A, I>(codec: Schema.Codec<A, I>, ...frames: ReadonlyArray<Frame<I>>): any =>
  frames.length === 0
    ? (frame: Frame<I>) => FrameSchema.schema(codec, frame)
    : FrameSchema.schema(codec, frames[0] as Frame<I>)

/**
 * One JSON text a line: newline-delimited JSON. (The Model Context Protocol over stdio, and logs of all kinds.)
 *
 * ```
 * | JSON … | LF |
 * ```
 *
 * **When to use**
 *
 * Use it on a connection, as a message. Effect's own `encoding/Ndjson` is for streams of bytes that are no connection: a
 * channel, which takes what it is given.
 *
 * **Details**
 *
 * A carriage return in front of the line feed is dropped. What is no JSON, or no value of the schema, is malformed; the next
 * read stands behind its line.
 *
 * Values are written as `JSON.stringify` has them. What the schema would not read again cannot be written: `NaN` and
 * `Infinity`, which would be null, a key that must be there and is `undefined`, a `Date` or a `Map` that the schema does not
 * encode as JSON. `Schema.Unknown` takes what JSON makes of a value: `undefined` is left out of it, a `Date` is text.
 *
 * **Example** (A request)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Frame, FrameSchema } from "effect-byte-streams"
 *
 * const Request = Schema.Struct({ id: Schema.Number, method: Schema.String })
 * const request = FrameSchema.ndjson(Request, { maxBytes: 65_536 })
 *
 * const bytes = Frame.encodeResultUnsafe(request, { id: 1, method: "ping" })
 * console.log(new TextDecoder().decode(bytes).trim()) // => {"id":1,"method":"ping"}
 * ```
 *
 * @see {@link schema} for any other frame of a value that a schema describes.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const ndjson: <A, I>(
  codec: Schema.Codec<A, I>,
  options: {
    /** What one line may have, in bytes, without its end. */
    readonly maxBytes: number | "unbounded"
  }
) => Frame<A> = FrameSchema.ndjson
