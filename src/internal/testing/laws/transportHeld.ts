/** Laws of transports about a write that the system does not take at once: what becomes of it, whatever happens beside it. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { areBytes, aWhile, broken, concat, eventually, finishes, holds, meanwhile, pattern, waits } from "./law.ts"
import { law, type Observed, type TransportLaw } from "./transportLaw.ts"

interface Held {
  /** All that was written. */
  readonly sent: Uint8Array
  /** The size of the write that is held. */
  readonly size: number
  readonly writing: Fiber.Fiber<void, unknown>
}

/** Writes until the system takes no more for now. */
export const writeUntilHeld = (end: Observed) =>
  Effect.gen(function* () {
    const blocks: Array<Uint8Array> = []
    // systems take more and more, up to a point; networks in memory take little, and piece by piece
    for (let size = 64_000; blocks.length < 100; size = Math.min(size * 2, 1_000_000)) {
      const block = pattern(size)
      blocks.push(block)
      const writing = yield* meanwhile(end.write(block))
      if (waits(writing)) yield* aWhile
      if (waits(writing)) return { sent: concat(blocks), size, writing } satisfies Held
    }
    return yield* broken("a peer that does not read took 100 MB")
  })

/** What the transport says is yet to be taken, if it says anything. */
const isUnsent = (when: string, end: Observed, least: number, most: number) =>
  holds(
    end.unsent === undefined || (Number.isInteger(end.unsent) && end.unsent >= least && end.unsent <= most),
    () => `unsent was ${end.unsent} ${when}, and not between ${least} and ${most}`
  )

const heldIsCounted = law(
  "a write that is held is told once it was taken, also to one that does not read",
  "onDrain comes when the peer reads, whether this side reads or has paused; unsent, where there is one, is a part of the write until then, and 0 after that.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      a.pause()
      b.pause()
      const { sent, size, writing } = yield* writeUntilHeld(a)
      yield* isUnsent("while the write was held", a, 1, size)
      b.resume()
      yield* finishes("onDrain while this side has paused, and the peer reads", writing)
      yield* isUnsent("behind onDrain", a, 0, 0)
      yield* eventually(
        "what was written arrives",
        Effect.sync(() => b.size >= sent.length)
      )
      yield* areBytes("what arrived", b.received, sent)
    })
)

const heldBehindEnd = law(
  "the end of the peer takes nothing from what is still sent to it",
  "A write that is held when the peer ends its output arrives whole, once the peer reads, and so does what is written after that.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      b.pause()
      const { sent, writing } = yield* writeUntilHeld(a)
      b.end()
      yield* eventually(
        "onEnd",
        Effect.sync(() => a.ends > 0)
      )
      yield* aWhile
      b.resume()
      yield* finishes("onDrain behind onEnd", writing)
      const more = pattern(1000, 1)
      yield* a.write(more)
      a.end()
      yield* eventually(
        "onEnd at the other end",
        Effect.sync(() => b.ends > 0 || b.closes.length > 0)
      )
      yield* areBytes("what arrived", b.received, concat([sent, more]))
    })
)

const heldByGone = law(
  "a write that is held comes to an end when the peer goes",
  "When the peer breaks off, or lets go, a write that is held is taken or fails: onDrain, onWriteFailure or onClose comes, also while this side has paused.",
  (observe) =>
    Effect.gen(function* () {
      for (const going of ["abort", "close"] as const) {
        const { a, b } = yield* observe
        a.attach()
        b.attach()
        a.pause()
        b.pause()
        const { writing } = yield* writeUntilHeld(a)
        b[going]()
        yield* finishes(`the write, behind the ${going} of a peer that did not read`, writing)
      }
    })
)

export const lawsOfHeldWrites: ReadonlyArray<TransportLaw> = [heldIsCounted, heldBehindEnd, heldByGone]
