/** Tests as they are written for programs that a machine may lack; `needs.test.ts` runs them where all are missing. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { deathOf } from "../../support/exits.ts"
import { needs } from "../../support/peers.ts"
import { start } from "../../support/program.ts"

const fails = Effect.sync(() => assert.fail("the program is missing"))

describe("a group", needs("python3", "openssl"), () => {
  it.live("that needs two", () => fails)
  layer(Layer.effectDiscard(Effect.die("the program is missing")))("with a layer", (it) => {
    it.effect("that is not built", () => Effect.void)
  })
})

it.live.each(["one", "another"])("a test of its own, %s", () => fails, needs("socat"))

it.live("a test that needs nothing", () => Effect.void)

it.live("a test that is skipped for another reason", () => fails, { skip: true })

it.live("a test that does not say what it needs", () =>
  Effect.gen(function* () {
    const message = yield* deathOf(Effect.scoped(start("socat", [])))
    assert.include(message, 'starts socat: give the test, or its group, the options needs("socat")')
  })
)

it.live("a program that nobody has listed", () =>
  Effect.gen(function* () {
    const started = Effect.flatMap(start("no-such-program", []), ({ line }) => line)
    assert.include(yield* deathOf(Effect.scoped(started)), "needs the program no-such-program, which is not installed")
  })
)
