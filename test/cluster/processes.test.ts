/**
 * A cluster of three runner processes over PostgreSQL and mutual TLS, of which one is killed, told to end, or held up. What
 * was acknowledged is there, and every entity answers again within the bound that follows from `ShardingConfig`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { needs } from "../support/peers.ts"
import { bound, ended, startRunners } from "../support/runners.ts"

const program = fileURLToPath(new URL("./programs/runner.ts", import.meta.url))

type Runners = Effect.Success<ReturnType<typeof startRunners>>

/** What is to hold in the end. The figures are for the reader of the log. */
const nothingIsMissing = ({ end }: Runners, silences: Record<string, number>) =>
  Effect.gen(function* () {
    const { acknowledged, missing, twice } = yield* end
    console.log(`${JSON.stringify(silences)} ms; ${acknowledged} acknowledged, ${twice} entered twice`)
    assert.isAbove(acknowledged, 100)
    assert.deepStrictEqual(missing, [])
  })

describe("three runners over PostgreSQL and mutual TLS", needs("initdb", "postgres"), () => {
  it.live(
    "each is killed in turn, the one with the health checks as well: nothing acknowledged is missing, and every entity answers in time",
    () =>
      Effect.gen(function* () {
        const cluster = yield* startRunners(program)
        const silences: Record<string, number> = {}
        const started = cluster.runners.map(({ program: runner }) => runner)
        let killedHealth = 0
        for (const [index, { host, program: runner }] of cluster.runners.entries()) {
          const health = yield* cluster.checksHealth(runner)
          if (health) killedHealth++
          yield* runner.kill
          const silence = yield* cluster.silence
          silences[`${index + 1}${health ? ", health checks" : ""}`] = silence
          assert.isBelow(silence, bound)
          started.push(yield* cluster.start(host))
          yield* cluster.takesPart(host)
        }
        assert.isAtLeast(killedHealth, 1)
        // a runner that is gone is no error of the others
        for (const { stdout } of started) assert.match(stdout, /^ready\n(?:(?:no )?health\n)?$/)
        yield* nothingIsMissing(cluster, silences)
      }).pipe(Effect.scoped),
    180_000
  )

  it.live(
    "SIGTERM hands everything over at once",
    () =>
      Effect.gen(function* () {
        const cluster = yield* startRunners(program)
        const { program: runner } = cluster.runners[0]!
        runner.child.kill("SIGTERM")
        const silence = yield* cluster.silence
        // about a second; no lock has to expire, which would take six at least
        assert.isBelow(silence, 6000)
        // by signal
        assert.strictEqual(yield* ended(runner), 130)
        yield* nothingIsMissing(cluster, { SIGTERM: silence })
      }).pipe(Effect.scoped),
    90_000
  )

  it.live(
    "one that is held up (SIGSTOP) loses its entities in time, and takes part again when it goes on",
    () =>
      Effect.gen(function* () {
        const cluster = yield* startRunners(program)
        const { host, program: runner } = cluster.runners[0]!
        runner.signal("SIGSTOP")
        const silence = yield* cluster.silence
        assert.isBelow(silence, bound)
        runner.signal("SIGCONT")
        yield* cluster.takesPart(host)
        yield* nothingIsMissing(cluster, { SIGSTOP: silence })
      }).pipe(Effect.scoped),
    120_000
  )
})
