/**
 * Looks for a lost byte for as long as one likes: random programs of reads and writes, interrupted where they yield; with
 * `--frames`, streams of messages of random frames, mutated, cut anywhere, and read by reads that are given up anywhere.
 *
 * Usage: npm run fuzz [-- [--frames] [--minutes N] [--seed N]]
 *
 *     --frames    messages instead of plain reads and writes
 *     --minutes   how long; 1 by default
 *     --seed      where to begin; by chance by default. The same seed makes the same programs.
 *
 * It prints how many programs were run, and how many interruptions and bytes that were. Where a byte is lost or comes
 * twice, or a message depends on how it was cut, it prints the seed and the smallest program that it found, and fails.
 */
import * as fc from "fast-check"
import { parseArgs } from "node:util"
import * as Frames from "../test/support/framePrograms.ts"
import * as Yields from "../test/support/yieldPrograms.ts"

/** A kind of programs, and what running one does. */
interface Target<A> {
  readonly programs: fc.Arbitrary<A>
  readonly run: (program: A) => Promise<{ readonly interruptions: number; readonly bytes: number }>
  readonly show?: (program: A) => string
}

const { values } = parseArgs({
  options: {
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

const fuzz = async <A>(target: Target<A>): Promise<void> => {
  const total = { programs: 0, interruptions: 0, bytes: 0 }
  for (let seed = first; Date.now() < end || total.programs === 0; seed++) {
    const property = fc.asyncProperty(target.programs, async (program) => {
      const { bytes, interruptions } = await target.run(program)
      total.programs++
      total.interruptions += interruptions
      total.bytes += bytes
    })
    const result = await fc.check(property, { numRuns: 200, seed })
    if (result.failed) {
      console.error(`seed ${seed}: ${String(result.errorInstance)}`)
      const [smallest] = result.counterexample!
      console.error(`the smallest program: ${target.show?.(smallest) ?? fc.stringify(smallest)}`)
      process.exitCode = 1
      break
    }
  }
  console.log(`${total.programs} programs, ${total.interruptions} interruptions, ${total.bytes} bytes`)
}

console.log(`seed ${first}`)
if (values.frames) await fuzz({ programs: Frames.programs, run: Frames.run, show: Frames.show })
else await fuzz(Yields)
