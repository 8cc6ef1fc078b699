/** Laws of transports about the end of the output, and about what only looks like the end of the input. */
import * as Effect from "effect/Effect"
import { areBytes, aWhile, bytes, eventually, holds, isText, meanwhile, turns } from "./law.ts"
import { writeUntilHeld } from "./transportHeld.ts"
import { law, type Observed, type TransportLaw } from "./transportLaw.ts"

/** Reads, with rests in between, until the end or the loss. */
const readSlowly = (end: Observed): Effect.Effect<void> =>
  Effect.gen(function* () {
    let rests = 0
    for (let before = end.size; end.ends === 0 && end.closes.length === 0; before = end.size) {
      end.resume()
      for (let turn = 0; turn < 50 && end.size === before; turn++) yield* turns(5)
      // enough of them to be behind the writer, and few enough to be done in time
      if (rests++ > 10) return
      end.pause()
      yield* aWhile
    }
  })

const endBehindHeld = law(
  "the end comes behind what the system has yet to take",
  "What was written before end arrives whole, however much, also if the system has not taken all of it when end is called, and the peer reads slowly.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      b.pause()
      const { sent } = yield* writeUntilHeld(a)
      a.end()
      yield* aWhile
      yield* holds(b.ends === 0, "onEnd was called although nobody had read what is before it")
      yield* readSlowly(b)
      b.resume()
      yield* eventually(
        "onEnd",
        Effect.sync(() => b.ends > 0 || b.closes.length > 0)
      )
      yield* areBytes("what arrived before the end", b.received, sent)
      yield* holds(b.ends === 1, () => `the connection was lost: ${JSON.stringify(b.closes[0]?.kind)}`)
      yield* b.write(bytes("answer"))
      yield* eventually(
        "the answer arrives",
        Effect.sync(() => a.size >= 6)
      )
      yield* isText("what came the other way", a.received, "answer")
    })
)

const resetIsNoEnd = law(
  "a reset that a write meets first is never an end",
  "When the peer breaks off, and a write is the first to hear of it, onEnd is not called, and onClose has a failure: whether all that had come was delivered before, or some of it still lay with the system.",
  (observe) =>
    Effect.gen(function* () {
      for (const when of ["everything was delivered", "something had just been sent", "nobody read"]) {
        const { a, b } = yield* observe
        a.attach()
        b.attach()
        const sent = bytes("a part of it")
        if (when === "nobody read") b.pause()
        yield* meanwhile(a.write(sent))
        if (when !== "nobody read") {
          yield* eventually(
            "what was sent arrives",
            Effect.sync(() => b.size >= sent.length)
          )
        } else yield* aWhile
        if (when === "something had just been sent") yield* meanwhile(a.write(sent))
        // in the same turn, before anybody has come to look
        a.abort()
        yield* meanwhile(Effect.ignore(b.write(bytes("x"))))
        yield* aWhile
        if (when === "nobody read") b.resume()
        yield* eventually(
          "the peer is told",
          Effect.sync(() => b.closes.length > 0 || b.ends > 0)
        )
        yield* holds(b.ends === 0, `onEnd was called, when ${when}`)
        yield* holds(b.closes[0] !== undefined, `onClose had no failure, when ${when}`)
      }
    })
)

export const lawsOfTransportEnding: ReadonlyArray<TransportLaw> = [endBehindHeld, resetIsNoEnd]
