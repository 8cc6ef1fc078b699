/**
 * Looks for a lost byte for as long as one likes: random programs of reads and writes, interrupted where they yield; with
 * `--frames`, streams of messages of random frames, mutated, cut anywhere, and read by reads that are given up anywhere;
 * with `--exchange`, for an answer that goes astray: the laws of exchanges, on all that `Exchange` makes.
 *
 * Usage: npm run fuzz [-- [--frames | --exchange] [--minutes N] [--seed N]]
 *
 *     --frames    messages instead of plain reads and writes
 *     --exchange  calls and answers instead of plain reads and writes
 *     --minutes   how long; 1 by default
 *     --seed      where to begin; by chance by default. The same seed makes the same programs and scenarios.
 *
 * It prints how many programs or scenarios were run, and how much of what could go wrong struck. Where a byte is lost or
 * comes twice, a message depends on how it was cut, or a law is broken, it prints the seed and the smallest program or
 * scenario that it found, and fails.
 */
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { parseArgs } from "node:util"
import * as ExchangeLaws from "../src/testing/ExchangeLaws.ts"
import { laws, sound } from "../test/support/exchangeScenarios.ts"
import { exchanges, otherExchanges } from "../test/support/exchangeSubjects.ts"
import * as Frames from "../test/support/framePrograms.ts"
import * as Yields from "../test/support/yieldPrograms.ts"

type Counts = Readonly<Record<string, number>>

/** What is run for one seed: how much it was, or what went wrong. */
type Round = (seed: number) => Promise<Result.Result<Counts, string>>

/** A kind of programs, and what running one does. */
interface Target<A> {
  readonly programs: fc.Arbitrary<A>
  readonly run: (program: A) => Promise<{ readonly interruptions: number; readonly bytes: number }>
  readonly show?: (program: A) => string
}

const { values } = parseArgs({
  options: {
    exchange: { type: "boolean", default: false },
    frames: { type: "boolean", default: false },
    minutes: { type: "string", default: "1" },
    seed: { type: "string" }
  }
})
const number = (name: string, text: string): number => {
  const value = Number(text)
  if (text.trim() === "" || !(value >= 0)) throw new Error(`--${name} must be a number of at least 0, got ${text}`)
  return value
}
const end = Date.now() + number("minutes", values.minutes) * 60_000
const first = number("seed", values.seed ?? String(Math.floor(Math.random() * 2 ** 31)))

const programs =
  <A>(target: Target<A>): Round =>
  async (seed) => {
    const counts = { programs: 0, interruptions: 0, bytes: 0 }
    const property = fc.asyncProperty(target.programs, async (program) => {
      const { bytes, interruptions } = await target.run(program)
      counts.programs++
      counts.interruptions += interruptions
      counts.bytes += bytes
    })
    const result = await fc.check(property, { numRuns: 200, seed })
    if (!result.failed) return Result.succeed(counts)
    const [smallest] = result.counterexample!
    const shown = target.show?.(smallest) ?? fc.stringify(smallest)
    return Result.fail(`${String(result.errorInstance)}\nthe smallest program: ${shown}`)
  }

const calls: Round = async (seed) => {
  let counts: Counts = {}
  for (const [name, subject] of [...exchanges, ...otherExchanges]) {
    for (const law of ExchangeLaws.all) {
      const result = await Effect.runPromise(Effect.result(law.check(subject, { seed, scenarios: 40 })))
      if (Result.isFailure(result)) return Result.fail(`${name}: ${result.failure.message}`)
      counts = add(counts, { ...result.success })
    }
  }
  for (const law of laws) {
    try {
      counts = add(counts, await law.check(sound, { seed, scenarios: 100 }))
    } catch (error) {
      return Result.fail(String(error))
    }
  }
  return Result.succeed(counts)
}

const add = (one: Counts, other: Counts): Counts => ({
  ...one,
  ...Object.fromEntries(Object.entries(other).map(([name, count]) => [name, count + (one[name] ?? 0)]))
})

const fuzz = async (round: Round): Promise<void> => {
  let total: Counts = {}
  for (let seed = first; seed === first || Date.now() < end; seed++) {
    const result = await round(seed)
    if (Result.isFailure(result)) {
      console.error(`seed ${seed}: ${result.failure}`)
      process.exitCode = 1
      break
    }
    total = add(total, result.success)
  }
  const counted = Object.entries(total).map(([name, count]) => `${count} ${name}`)
  console.log(counted.length === 0 ? "nothing before it" : counted.join(", "))
}

console.log(`seed ${first}`)
if (values.exchange) await fuzz(calls)
else if (values.frames) {
  await fuzz(programs({ programs: Frames.programs, run: Frames.run, show: Frames.show }))
} else await fuzz(programs(Yields))
