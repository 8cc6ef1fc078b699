/** Programs that see the same of the system's sockets and of a network in memory. */
import { assert, describe, it } from "@effect/vitest"
import { type Network, NodeNetwork } from "effect-byte-streams"
import { Effect, type Layer, type Scope } from "effect"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { within } from "./wait.ts"

/** Runs a program over both, and compares. */
export const overBoth = <A>(
  what: string,
  program: Effect.Effect<A, unknown, Network.Network | Scope.Scope>,
  expected: A
) =>
  describe(what, () => {
    for (const [where, layer] of [
      ["over the system's sockets", NodeNetwork.layer],
      ["in memory", TestNetwork.layer]
    ] as const) {
      it.live(where, () =>
        Effect.gen(function* () {
          const seen = yield* within("it ends", Effect.provide(program, layer as Layer.Layer<Network.Network>))
          assert.deepStrictEqual(seen, expected)
        })
      )
    }
  })
