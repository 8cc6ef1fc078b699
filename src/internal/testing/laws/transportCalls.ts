/** Laws of transports about calls at odd moments: from within a callback, before attach, and behind the last one. */
import * as Effect from "effect/Effect"
import { areBytes, aWhile, bytes, concat, eventually, holds, isText, meanwhile, pattern } from "./law.ts"
import { law, type TransportLaw } from "./transportLaw.ts"

const fromWithin = law(
  "a call from within a callback counts at once",
  "One that pauses within onData is given at most one piece more, and one that closes or aborts there nothing more, however much has come.",
  (observe) =>
    Effect.gen(function* () {
      for (const how of ["pause", "close", "abort"] as const) {
        const { a, b } = yield* observe
        a.attach()
        const sent = Array.from({ length: 10 }, (_, i) => pattern(100, i))
        // all of them are there when the first is given
        yield* meanwhile(Effect.forEach(sent, (block) => Effect.ignore(a.write(block)), { discard: true }))
        yield* aWhile
        b.reaction = () => {
          b.reaction = undefined
          b[how]()
        }
        b.attach()
        yield* eventually(
          "what came before attach",
          Effect.sync(() => b.size > 0)
        )
        yield* aWhile
        if (how !== "pause") continue
        yield* holds(
          b.pieces.length <= 2,
          () => `${b.pieces.length - 1} pieces were delivered behind a pause in onData`
        )
        b.resume()
        const expected = concat(sent)
        yield* eventually(
          "what was written arrives",
          Effect.sync(() => b.size >= expected.length)
        )
        yield* areBytes("what arrived", b.received, expected)
      }
    })
)

const unattached = law(
  "one to which nobody attached can be let go",
  "The peer of a transport that is closed or aborted before attach is told: it does not wait for ever.",
  (observe) =>
    Effect.gen(function* () {
      for (const how of ["close", "abort"] as const) {
        const { a, b } = yield* observe
        b.attach()
        a[how]()
        yield* eventually(
          `the peer is told of the ${how}`,
          Effect.sync(() => b.closes.length > 0 || b.ends > 0)
        )
      }
    })
)

const behindTheLast = law(
  "what is written behind close or abort is not sent",
  "A write behind the last call has no effect, and throws nothing: the peer is given only what was written before.",
  (observe) =>
    Effect.gen(function* () {
      for (const how of ["close", "abort"] as const) {
        const { a, b } = yield* observe
        a.attach()
        b.attach()
        yield* a.write(bytes("before"))
        yield* eventually(
          "what was written before arrives",
          Effect.sync(() => b.size >= 6)
        )
        a[how]()
        a.writeAndForget(bytes("behind"))
        yield* aWhile
        yield* isText(`what arrived, behind ${how} as well`, b.received, "before")
      }
    })
)

export const lawsOfCalls: ReadonlyArray<TransportLaw> = [fromWithin, unattached, behindTheLast]
