/**
 * Calls to a real `redis-server` through a proxy, by 64 fibers, each with a token of its own in request and answer; a third
 * of them interrupted at random moments. Prints how many answers went astray, which must be none, how many were dropped, and
 * what it cost.
 *
 * Usage: npm run soak:exchange [-- --calls 1000000] [--seed 1]
 */
import { Effect, Exit, Fiber } from "effect"
import { NodeNetwork, openConnection } from "effect-byte-streams"
import { parseArgs } from "node:util"
import { redisOver, redisServer, slowProxy } from "../test/support/redis.ts"

const { values } = parseArgs({
  options: { calls: { type: "string", default: "1000000" }, seed: { type: "string", default: "1" } }
})
const calls = Number(values.calls)
const callers = 64

/** Numbers from 0 to below `bound`, as mulberry32 makes them. */
const random = (seed: number) => {
  let state = seed
  return (bound: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) / 4294967296) * bound
  }
}

const program = Effect.gen(function* () {
  const { path } = yield* redisServer
  const { port } = yield* slowProxy(path)
  const connection = yield* openConnection({ host: "127.0.0.1", port })
  const redis = yield* redisOver(connection)
  const counts = { answered: 0, interrupted: 0, inFlight: 0, astray: 0 }
  let left = calls

  const caller = (number: number) =>
    Effect.gen(function* () {
      const next = random(Number(values.seed) * 1000 + number)
      for (let i = 0; left > 0; i++) {
        left--
        const token = `${number}:${i}`
        // some are answered before they can be interrupted: a third in all are not
        if (next(1) >= 0.45) {
          const answer = yield* redis.call(["ECHO", token])
          counts.answered++
          if (answer !== token) counts.astray++
          continue
        }
        const call = yield* Effect.forkChild(redis.call(["ECHO", token]), { startImmediately: true })
        for (let turns = Math.floor(next(4)); turns > 0; turns--) yield* Effect.yieldNow
        if (call.pollUnsafe() === undefined) counts.inFlight++
        yield* Fiber.interrupt(call)
        const exit = yield* Fiber.await(call)
        if (Exit.isFailure(exit)) counts.interrupted++
        else {
          counts.answered++
          if (exit.value !== token) counts.astray++
        }
      }
    })

  const begun = performance.now()
  const before = process.cpuUsage()
  yield* Effect.forEach(
    Array.from({ length: callers }, (_, number) => number),
    caller,
    { concurrency: "unbounded", discard: true }
  )
  yield* redis.call(["PING"])
  const seconds = (performance.now() - begun) / 1000
  const cpu = process.cpuUsage(before)
  const total = counts.answered + counts.interrupted
  console.log(`${total} calls by ${callers} fibers in ${seconds.toFixed(1)} s, seed ${values.seed}`)
  console.log(`  answered     ${counts.answered}`)
  console.log(
    `  interrupted  ${counts.interrupted}, of which ${counts.inFlight} were in flight: their answers were dropped`
  )
  console.log(`  astray       ${counts.astray}`)
  console.log(`  unanswered   ${yield* redis.inFlight}`)
  console.log(`  CPU          ${((cpu.user + cpu.system) / total).toFixed(2)} µs a call, the proxy's included`)
  if (counts.astray > 0 || total !== calls) process.exitCode = 1
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)))
