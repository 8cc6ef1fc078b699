/** The laws of exchanges: what is made by `Exchange` keeps them, and clients that do not are told by name of the law. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import * as ExchangeLaws from "effect-byte-streams/testing/ExchangeLaws"
import { byHand, type Fault } from "../support/brokenClients.ts"
import { exchanges, multiplexed, otherExchanges } from "../support/exchangeSubjects.ts"

const [own, interruption, loss, violation, order] = ExchangeLaws.all.map(({ name }) => name) as [
  string,
  string,
  string,
  string,
  string
]

/** What was put on trial, all in all. */
const total: Record<string, number> = {}

describe.each(exchanges)("%s", (_, subject) => {
  for (const law of ExchangeLaws.all) {
    it.live(law.name, () =>
      Effect.gen(function* () {
        const report = yield* law.check(subject, { scenarios: 60 })
        for (const [key, count] of Object.entries(report)) total[key] = (total[key] ?? 0) + count
      })
    )
  }
})

it("a thousand scenarios, and enough of all that could have gone wrong in them while something was in flight", () => {
  console.log(
    Object.entries(total)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ")
  )
  const atLeast: Partial<Record<keyof ExchangeLaws.Report, number>> = {
    scenarios: 1000,
    calls: 10_000,
    answered: 8000,
    interruptions: 1000,
    interruptionsInFlight: 400,
    dropped: 300,
    faults: 200,
    faultsInFlight: 180,
    lost: 3000,
    unsent: 2000,
    violations: 200,
    crowded: 500
  }
  for (const [name, count] of Object.entries(atLeast)) assert.isAtLeast(total[name] ?? 0, count, name)
})

it.live("the same seed is the same scenarios, and they come to the same", () =>
  Effect.gen(function* () {
    for (const law of ExchangeLaws.all) {
      const options = { scenarios: 20, seed: 7 }
      assert.deepStrictEqual(yield* law.check(multiplexed(), options), yield* law.check(multiplexed(), options))
    }
  })
)

it.live("what cancels a call is no part of a request, also where only a part of it has come", () =>
  lawOf(loss).check(multiplexed({ answered: false }), { scenarios: 400 })
)

it.live("no scenarios prove nothing", () =>
  Effect.gen(function* () {
    for (const [options, message] of [
      [{ scenarios: 0 }, "ExchangeLaws: scenarios must be an integer above 0, got 0"],
      [{ scenarios: Number.NaN }, "ExchangeLaws: scenarios must be an integer above 0, got NaN"],
      [{ seed: Number.NaN, scenarios: 1 }, "ExchangeLaws: seed must be a finite number, got NaN"]
    ] as const) {
      const exit = yield* Effect.exit(ExchangeLaws.all[0]!.check(multiplexed(), options))
      assert.include(Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "nothing", message)
    }
  })
)

describe.each(otherExchanges)("%s", (_, subject) => {
  ExchangeLaws.suite(it, subject, { scenarios: 20 })
})

describe("a client by hand that is sound", () => {
  for (const shape of ["pipelined", "multiplexed"] as const) {
    describe(shape, () => {
      ExchangeLaws.suite(it, byHand(shape), { scenarios: 50 })
    })
  }
})

const lawOf = (name: string): ExchangeLaws.Law => ExchangeLaws.all.find((law) => law.name === name)!

const broken: ReadonlyArray<readonly [Fault, ExchangeLaws.Subject["shape"], law: string, found: RegExp]> = [
  ["the waiter removed on interrupt", "pipelined", own, /was given the answer to "c/],
  ["the answer not awaited", "multiplexed", own, /was given the answer to "c/],
  ["the waiter queued before the write was accepted", "pipelined", interruption, /was never answered|nothing wrong/],
  ["sent for nobody", "pipelined", interruption, /was sent after its caller was gone/],
  ["the answer awaited by its caller", "pipelined", interruption, /was interrupted, and (waited|still waits)/],
  ["the pending list not failed on loss", "pipelined", loss, /was never answered|goes on after the end/],
  ["nothing was ever sent", "pipelined", loss, /said not to have been sent/],
  ["strays ignored", "pipelined", violation, /was made after the violation, and sent all the same/],
  [
    "strays ignored",
    "multiplexed",
    violation,
    /was made after the violation|although the server violated the protocol/
  ],
  ["ids reused at once", "multiplexed", violation, /./],
  ["maxInFlight ignored", "multiplexed", order, /calls were in flight at once, of \d+ at most/],
  ["the gate a stack", "pipelined", order, /was made before that of .*, and sent behind it/]
]

describe("a client by hand that is not", () => {
  for (const [fault, shape, law, found] of broken) {
    it.live(`${shape}, ${fault}: ${law}`, () =>
      Effect.gen(function* () {
        const refusal = yield* Effect.flip(lawOf(law).check(byHand(shape, fault)))
        assert.strictEqual(refusal._tag, "LawViolation")
        assert.strictEqual(refusal.law, law)
        assert.match(refusal.found, found)
        // with the smallest scenario, which hardly ever needs more
        assert.isAtMost(refusal.found.match(/^caller /gm)?.length ?? 0, 4)
      })
    )
  }
})
