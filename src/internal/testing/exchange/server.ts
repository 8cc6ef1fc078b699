/** The server of a run: it notes what it is asked, and answers late, out of order where it may, and wrong where it shall. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type * as Scope from "effect/Scope"
import type { SessionConnection } from "../../session/connection.ts"
import type { Log } from "./log.ts"
import type { Scenario } from "./scenario.ts"
import type { AnySubject, Request, Server } from "./subject.ts"

/** The token of an answer that nobody asked for. */
export const strayToken = "stray"

/** A request that is to be answered. */
interface Entry {
  readonly request: Request
  readonly number: number
  isCancelled: boolean
}

const repeated = (list: ReadonlyArray<number>, index: number): number => list[index % list.length]!

/** Answers until the client has ended its output and everything is answered, and closes the connection then. */
export const serve = (
  subject: AnySubject,
  server: Server,
  connection: SessionConnection,
  scenario: Scenario,
  log: Log,
  /** The server has said what its protocol forbids. */
  offended: Effect.Effect<void>
): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const { delays, offence, pauses } = scenario
    const inOrder = subject.shape === "pipelined"
    const lock = yield* Semaphore.make(1)
    const entries = new Map<unknown, Entry>()
    const answering: Array<Fiber.Fiber<unknown, unknown>> = []
    let answers = 0
    let isSilent = false
    let turn: Latch.Latch | undefined

    const answer = (entry: Entry): Effect.Effect<void, unknown> =>
      Effect.suspend(() => {
        const { request } = entry
        entries.delete(request.id)
        if (isSilent) return Effect.void
        answers++
        const offends = offence?.when === "busy" && offence.answer === answers ? offence.kind : undefined
        if (offends === "stray") {
          isSilent = true
          return Effect.andThen(server.stray(strayToken), offended)
        }
        // where what was cancelled need not be answered, every other one is
        if (entry.isCancelled && subject.answersCancelled === false && entry.number % 2 === 0) return Effect.void
        log.settle(entry)
        log.answers.push(request.token)
        const once = server.answer(request, request.token)
        if (offends === undefined) return once
        isSilent = true
        return Effect.andThen(Effect.andThen(once, server.answer(request, request.token)), offended)
      })

    for (let reads = 0; ; reads++) {
      const pause = repeated(pauses, reads)
      if (pause > 0) yield* Effect.sleep(pause)
      const received = yield* Effect.catchCause(server.receive, () => Effect.succeed(Option.none()))
      // also in the middle of a request
      if (Option.isNone(received)) break
      if ("cancels" in received.value) {
        log.hasCancelled = true
        const entry = entries.get(received.value.cancels)
        if (entry === undefined || subject.answersCancelled !== false) continue
        entry.isCancelled = true
        log.settle(entry)
        continue
      }
      const entry: Entry = { request: received.value, number: log.seen.length, isCancelled: false }
      const { id, token } = entry.request
      log.request(entry, { token, end: connection.session.reads.taken })
      entries.set(id, entry)
      const before = inOrder ? turn : undefined
      const mine = Latch.makeUnsafe(false)
      turn = mine
      const delay = repeated(delays, entry.number)
      const one = Effect.gen(function* () {
        if (before !== undefined) yield* before.await
        if (delay > 0) yield* Effect.sleep(delay)
        yield* lock.withPermits(1)(answer(entry))
      })
      answering.push(
        yield* Effect.forkScoped(
          Effect.ensuring(
            Effect.ignore(one),
            Effect.sync(() => mine.openUnsafe())
          ),
          { startImmediately: true }
        )
      )
    }
    yield* Fiber.awaitAll(answering)
    yield* connection.writer.close
  })
