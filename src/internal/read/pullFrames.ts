/** The messages of a reader, as something to pull; those that are not wanted are dropped while they arrive. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type { Decoder } from "../../Frame.ts"
import type { StreamReader } from "../../StreamReader.ts"
import * as Argument from "../base/argument.ts"
import { type Fault, stop } from "../frame/cursor.ts"
import { type Node, of } from "../frame/node.ts"
import { notNow } from "../runtime/operation.ts"
import type { Dropping } from "./arrived.ts"
import { type FrameError, Many } from "./frames.ts"
import type { Source } from "./readOperation.ts"
import { BufferReader } from "./reader.ts"
import * as Separator from "./separator.ts"

const exitDone: Exit.Exit<never, Cause.Done> = Exit.fail(Cause.Done())

/** What `frames` pulls. What it is dropping when it is given up, the next one on the same reader goes on to drop. */
class PullFrames<A> extends Many<A, Cause.Done> {
  private readonly skips: boolean

  constructor(source: Source, node: Node<A>, skips: boolean) {
    super(source, node)
    this.skips = skips
  }
  get name() {
    return "frames"
  }
  override get cleanEnd() {
    // inside a message that is dropped nobody is idle
    return this.dropping === undefined ? exitDone : undefined
  }
  override tryNow(): typeof notNow {
    return notNow
  }
  override answerBy(): typeof notNow {
    return notNow
  }
  protected atEnd(): Exit.Exit<never, Cause.Done> {
    return exitDone
  }

  /** What is left of a message that is not wanted, unless something else was read meanwhile. */
  private get dropping(): Dropping | undefined {
    const { dropping, taken } = this.buffer
    return dropping?.at === taken ? dropping : undefined
  }

  /** Drops what is there of a message that is not wanted. Whether all of it is gone. */
  private dropped(): boolean {
    const { buffer, dropping } = this
    if (dropping === undefined) return true
    const { segments } = buffer
    if (dropping.size > 0) {
      const size = Math.min(dropping.size, segments.length)
      dropping.size -= size
      if (size > 0) buffer.skip(size)
    }
    const until = dropping.size === 0 ? dropping.until : undefined
    if (until !== undefined) {
      const match = until.find(segments, 0)
      // an end may have begun in the last bytes
      const size = match === undefined ? Math.max(0, segments.length + 1 - until.longest) : match.end
      if (size > 0) buffer.skip(size)
      if (match !== undefined) dropping.until = undefined
    }
    const isGone = dropping.size === 0 && dropping.until === undefined
    buffer.dropping = isGone ? undefined : dropping
    dropping.at = buffer.taken
    return isGone
  }

  /** Whether what is wrong is passed over. */
  private passOver(fault: Fault): boolean {
    if (!this.skips) return false
    const { buffer } = this
    const { at, ends, extent } = fault
    // one of no bytes would be found again for ever
    if (extent !== undefined && extent > 0) buffer.dropping = { size: extent, until: undefined, at: buffer.taken }
    else if (ends !== undefined) {
      // what stands in front of the part that is too long is not what ends it
      buffer.dropping = { size: at, until: Separator.compile(this.name, ends), at: buffer.taken }
    } else return false
    this.dropped()
    return true
  }

  override look(): A | typeof stop {
    while (true) {
      this.cursor.fault = undefined
      if (!this.dropped()) return stop
      const value = super.look()
      const { fault } = this.cursor
      if (value !== stop || fault === undefined || this.buffer.isClosed || !this.passOver(fault)) return value
    }
  }

  protected override ended(): Exit.Exit<ReadonlyArray<A>, FrameError | Cause.Done> {
    // one that is dropped was cut, as one that is wanted would have been
    return this.dropping === undefined ? super.ended() : this.cutOff()
  }
}

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
