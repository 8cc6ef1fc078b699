/** One run: a client and its server over a network of their own, in time of their own, with all that the scenario has for them. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Connection from "../../../Connection.ts"
import { Network } from "../../../Network.ts"
import * as TestNetwork from "../../../testing/TestNetwork.ts"
import type { Transport } from "../../../Transport.ts"
import type { SessionConnection } from "../../session/connection.ts"
import * as Interruption from "../laws/interruptAt.ts"
import * as Random from "../random.ts"
import { type CallRecord, Log } from "./log.ts"
import { type Call, type Path, type Scenario, tokenOf } from "./scenario.ts"
import { serve, strayToken } from "./server.ts"
import type { AnySubject, Client } from "./subject.ts"
import { Tapped } from "./tapped.ts"

/** Longer than anything takes that comes to an end at all. */
const longEnough = "1 hour"

/** How many calls are made when the server has said one thing more. */
const callsBehind = 3

const port = 7000

const pathOf = ({ capacity, chunking, latency }: Path): TestNetwork.Path => ({
  latency,
  capacity,
  chunking: chunking === "random" ? { random: { most: 40 } } : chunking
})

/** Effect's own: under it a fiber that is resumed runs at once. */
const ownShouldYield = Scheduler.MixedScheduler.prototype.shouldYield

export const schedulerOf = (
  { scheduler, seed }: Pick<Scenario, "scheduler" | "seed">,
  parent: Scheduler.Scheduler
): Scheduler.Scheduler => {
  if (scheduler === "waiting") return parent
  const { executionMode } = parent
  const makeDispatcher = () => parent.makeDispatcher()
  if (scheduler === "immediate") return { executionMode, makeDispatcher, shouldYield: ownShouldYield }
  const random = Random.make(Random.derive(seed, 1))
  // every fourth step: each yield is two steps of its own, so half of all would be no progress at all
  return { executionMode, makeDispatcher, shouldYield: (fiber) => random() < 0.25 || parent.shouldYield(fiber) }
}

/** Two connected ends: this side tells the log when it is over. */
const connect = (scenario: Scenario, over: () => void) =>
  Effect.gen(function* () {
    const network = yield* Network
    const accepted = yield* Deferred.make<Transport>()
    yield* network.listen({ port }, (transport) => Deferred.doneUnsafe(accepted, Exit.succeed(transport)), {
      onHandshakeError: () => {}
    })
    const transport = yield* network.connect({ port, host: "127.0.0.1" })
    const { highWaterMark } = scenario
    const ours = yield* Connection.fromTransport(new Tapped(transport, over), { highWaterMark })
    const theirs = yield* Connection.fromTransport(yield* Deferred.await(accepted))
    return { ours: ours as SessionConnection, theirs: theirs as SessionConnection }
  })

interface Setting {
  readonly scenario: Scenario
  readonly log: Log
  readonly client: Client
  readonly connection: SessionConnection
  readonly now: () => number
}

/** One call, with the interruption that it is to have. */
const ask = ({ client, connection, log, now }: Setting, token: string, { strike }: Pick<Call, "strike">) =>
  Effect.suspend(() => {
    let record: CallRecord | undefined
    const asking = Effect.suspend(() => {
      record = log.start(token, strike !== undefined, now())
      return client.call(token)
    }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => log.finish(record!, { at: now(), exit, accepted: connection.writer.position }))
      )
    )
    if (strike === undefined) return Effect.exit(asking)
    if (strike._tag === "At") {
      return Effect.map(Interruption.run(asking, strike.point), ({ points }) => {
        log.points = points
      })
    }
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(asking, { startImmediately: true })
      if (strike.millis > 0) yield* Effect.sleep(strike.millis)
      for (let turn = 0; turn < strike.turns; turn++) yield* Effect.yieldNow
      if (record !== undefined && record.end === undefined) record.struckAt = now()
      yield* Fiber.interrupt(fiber)
    })
  })

const caller = (setting: Setting, calls: ReadonlyArray<Call>, number: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (const [i, call] of calls.entries()) {
      if (call.pause > 0) yield* Effect.sleep(call.pause)
      yield* ask(setting, tokenOf(number, i, call.size), call)
    }
  })

/** Waits until all of them have ended, or have had time enough. */
const settled = (effects: ReadonlyArray<Effect.Effect<unknown>>) =>
  Effect.gen(function* () {
    const fibers: Array<Fiber.Fiber<unknown>> = []
    for (const effect of effects) fibers.push(yield* Effect.forkScoped(effect, { startImmediately: true }))
    yield* Effect.timeoutOption(Fiber.awaitAll(fibers), longEnough)
  })

/** Whether nothing comes of it any more, and nobody is told. */
export const hasSilence = ({ faults }: Scenario): boolean =>
  faults.some((fault) => fault._tag === "Vanish" || (fault._tag === "Stall" && fault.millis === "forever"))

const program = (
  subject: AnySubject,
  scenario: Scenario,
  log: Log,
  story: boolean
): Effect.Effect<void, unknown, Network | TestNetwork.TestNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.service(Clock.Clock)
    const now = () => clock.currentTimeMillisUnsafe()
    const { ours, theirs } = yield* connect(scenario, () => log.lose(now()))
    const server = yield* subject.server(theirs)
    const { callers, fromServer, maxInFlight, offence } = scenario
    const offended = Effect.sync(() => {
      log.offendedAt = now() + fromServer.latency
    })
    yield* Effect.forkScoped(Effect.exit(serve(subject, server, theirs, scenario, log, offended)))
    const client = yield* subject.client(ours, { maxInFlight })
    const setting: Setting = { scenario, log, client, connection: ours, now }

    const { abortAfter } = scenario
    const abort = Effect.suspend(() => {
      log.lose(now())
      return ours.abort
    })
    if (abortAfter !== undefined) yield* Effect.forkScoped(Effect.andThen(Effect.sleep(abortAfter), abort))

    yield* settled(callers.map((calls, number) => caller(setting, calls, number)))
    log.judgeStuck()
    const isWell = (): boolean => log.lostAt === undefined && log.offendedAt === undefined && !hasSilence(scenario)
    if (isWell()) {
      // answers that nobody waits for have yet to come
      yield* Effect.sleep("10 minutes")
      if (client.inFlight !== undefined && isWell()) log.leftInFlight = yield* client.inFlight
    }
    if (offence?.when === "quiet" && isWell()) {
      yield* Effect.exit(Effect.andThen(server.stray(strayToken), offended))
      yield* Effect.sleep(fromServer.latency + 1)
    }
    // those who come now are served, or told at once that they are not
    if (!hasSilence(scenario)) {
      const behind = Array.from({ length: callsBehind }, (_, i) =>
        ask(setting, tokenOf(callers.length, i, 1), unstruck)
      )
      yield* settled(behind)
      log.judgeStuck()
    }
    yield* abort
    yield* Effect.sleep(1)
    log.arrived = theirs.session.reads.received
    const events = yield* TestNetwork.events
    log.faults = events.filter(
      ({ detail, kind }) => kind === "fault" || (kind === "end" && detail !== undefined)
    ).length
    if (story) log.timeline = yield* TestNetwork.timeline
    log.close()
    yield* theirs.abort
  })

const unstruck: Pick<Call, "strike"> = { strike: undefined }

/** Runs a scenario, and returns what was seen. `story`: with what crossed the wire, for people. */
export const run = (subject: AnySubject, scenario: Scenario, story = false): Effect.Effect<Log> =>
  Effect.suspend(() => {
    const log = new Log()
    const { faults, fromClient, fromServer, seed } = scenario
    const scheduled = Effect.flatMap(Effect.service(Scheduler.Scheduler), (parent) =>
      Effect.provideService(program(subject, scenario, log, story), Scheduler.Scheduler, schedulerOf(scenario, parent))
    )
    const simulated = TestNetwork.simulate(scheduled, {
      seed,
      faults,
      fromClient: pathOf(fromClient),
      fromServer: pathOf(fromServer)
    })
    return Effect.as(
      Effect.catchCause(simulated, (cause) =>
        Effect.sync(() => {
          log.died = String(Cause.squash(cause))
        })
      ),
      log
    )
  })
