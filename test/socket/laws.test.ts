/** The laws of sockets. `scripts/mutants.ts` shows that they notice faults. */
import { describe, it } from "@effect/vitest"
import { socketLaws } from "../support/socketLaws.ts"

describe("laws of sockets", () => {
  for (const { check, name } of socketLaws) it.effect(name, () => check)
})
