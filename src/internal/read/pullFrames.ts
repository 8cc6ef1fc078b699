/** The messages of a reader, as something to pull. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type { Decoder } from "../../Frame.ts"
import type { StreamReader } from "../../StreamReader.ts"
import * as Argument from "../base/argument.ts"
import { of } from "../frame/node.ts"
import { type FrameError, PullFrames } from "./frames.ts"
import { BufferReader } from "./reader.ts"

export const pull = <A>(
  reader: StreamReader,
  frame: Decoder<A>,
  onMalformed: "fail" | "skip" | undefined
): Pull.Pull<NonEmptyReadonlyArray<A>, FrameError> => {
  const node = of<A>("frames", frame)
  const skips = Argument.oneOf("frames", "onMalformed", onMalformed ?? "fail", ["fail", "skip"]) === "skip"
  if (reader instanceof BufferReader) return new PullFrames<A>(reader, node, skips) as never
  if (skips) throw new TypeError('frames: onMalformed "skip" needs a reader of this library')
  // a reader of somebody else's making
  return Effect.flatMap(reader.readFrames(frame), (messages): Pull.Pull<NonEmptyReadonlyArray<A>, FrameError> =>
    messages.length === 0 ? Cause.done() : Effect.succeed(messages as NonEmptyReadonlyArray<A>)
  )
}
