/** The laws of exchanges: what is drawn for each, and what makes a run of scenarios prove something. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Faults from "../../../testing/Faults.ts"
import * as Argument from "../../base/argument.ts"
import type * as Interruption from "../laws/interruptAt.ts"
import { LawViolation } from "../laws/law.ts"
import * as Random from "../random.ts"
import type { Report } from "../../../testing/ExchangeLaws.ts"
import { add, count, type Finding, judge, type LawId, nothing } from "./judge.ts"
import { run } from "./run.ts"
import { type Call, describe, draw, type Limits, type Profile, type Scenario, smaller } from "./scenario.ts"
import type { AnySubject, Subject } from "./subject.ts"

/** See `ExchangeLaws.CheckOptions`. */
interface CheckOptions {
  readonly scenarios?: number | undefined
  readonly seed?: number | undefined
}

/** See `ExchangeLaws.Law`. */
export interface ExchangeLaw {
  readonly name: string
  readonly statement: string
  check<E, R>(
    subject: Subject<E, R>,
    options?: CheckOptions
  ): Effect.Effect<Report, LawViolation, Exclude<R, Scope.Scope>>
}

/** Which counts have to reach which share of the scenarios. */
type Strength = Partial<Record<keyof Report, number>>

const defaultScenarios = 200
/** Of fewer the counts say nothing. */
const fewScenarios = 50
/** How many runs it may take to make a scenario smaller. */
const mostSmaller = 200

const limitsOf = (subject: AnySubject): Limits => ({
  maxInFlight: subject.maxInFlight === Infinity ? undefined : subject.maxInFlight,
  busyOffences: subject.shape === "pipelined" ? [] : ["second", "stray"]
})

// ---------------------------------------------------------------------------
// making smaller
// ---------------------------------------------------------------------------

/** What a scenario comes to, by one law. */
const findingOf = (
  subject: AnySubject,
  scenario: Scenario,
  id: LawId,
  story = false
): Effect.Effect<{ readonly finding: Finding | undefined; readonly report: Report; readonly timeline: string }> =>
  Effect.map(run(subject, scenario, story), (log) => {
    const findings = judge(subject, scenario, log)
    const died: Finding | undefined =
      log.died === undefined || findings.length > 0 ? undefined : { law: id, found: `it ended with ${log.died}` }
    return {
      finding: findings.find(({ law }) => law === id) ?? died,
      report: count(subject, scenario, log),
      timeline: log.timeline ?? ""
    }
  })

/** The smallest scenario found in which the law is broken, and how it is. */
const shrink = (subject: AnySubject, first: Scenario, id: LawId): Effect.Effect<Scenario> =>
  Effect.gen(function* () {
    let smallest = first
    let candidates = smaller(smallest)
    for (let runs = 0; runs < mostSmaller; runs++) {
      const next = candidates.next()
      if (next.done === true) break
      if ((yield* findingOf(subject, next.value, id)).finding === undefined) continue
      smallest = next.value
      candidates = smaller(smallest)
    }
    return smallest
  })

const explained = (
  subject: AnySubject,
  scenario: Scenario,
  { id, name, statement }: Definition,
  where: string
): Effect.Effect<never, LawViolation> =>
  Effect.gen(function* () {
    const smallest = yield* shrink(subject, scenario, id)
    const { finding, timeline } = yield* findingOf(subject, smallest, id, true)
    const found = [
      finding?.found ?? "something else the second time: the client or the server goes by more than what it is told",
      `${where}; the smallest scenario that was found:\n${describe(smallest, Faults.format(smallest.faults))}`,
      timeline
    ]
    return yield* Effect.fail(new LawViolation({ law: name, statement, found: found.join("\n\n") }))
  })

// ---------------------------------------------------------------------------
// every point
// ---------------------------------------------------------------------------

const plainPath = { latency: 5, chunking: "asIs", capacity: 65_536 } as const

/** Three callers, of whom one is interrupted: `never`, to see where that could be. */
const three = (victim: number, maxInFlight: number, clogged: boolean, point: Interruption.Point): Scenario => {
  const call = (isVictim: boolean): Call => ({
    pause: 0,
    size: clogged ? 100 : 10,
    strike: isVictim ? { _tag: "At", point } : undefined
  })
  return {
    seed: 1,
    scheduler: "immediate",
    callers: [0, 1, 2].map((caller) => [call(caller === victim), call(false)]),
    maxInFlight,
    highWaterMark: clogged ? 16 : 65_536,
    fromClient: clogged ? { ...plainPath, capacity: 64 } : plainPath,
    fromServer: plainPath,
    delays: [1],
    pauses: [0],
    faults: [],
    abortAfter: undefined,
    offence: undefined
  }
}

const never: Interruption.Point = { step: Infinity, when: "before" }

/** The call of the first, the second and the third of three, interrupted at every point: where it waits for its turn, for room, and for its answer. */
const everyPoint = (subject: AnySubject, limits: Limits): Effect.Effect<ReadonlyArray<Scenario>> =>
  Effect.gen(function* () {
    const all: Array<Scenario> = []
    for (const victim of [0, 1, 2]) {
      for (const clogged of [false, true]) {
        const maxInFlight = limits.maxInFlight ?? (clogged ? 8 : 1)
        const { points } = yield* run(subject, three(victim, maxInFlight, clogged, never))
        all.push(...points.map((point) => three(victim, maxInFlight, clogged, point)))
      }
    }
    return all
  })

// ---------------------------------------------------------------------------
// laws
// ---------------------------------------------------------------------------

interface Definition {
  readonly id: LawId
  readonly name: string
  readonly statement: string
  readonly profile: (subject: AnySubject) => Profile
  readonly strength: Strength
  /** Scenarios that are run whatever the seed. */
  readonly always?: (subject: AnySubject, limits: Limits) => Effect.Effect<ReadonlyArray<Scenario>>
}

const tooWeak = (report: Report, strength: Strength): string | undefined => {
  for (const [key, share] of Object.entries(strength) as ReadonlyArray<[keyof Report, number]>) {
    const wanted = Math.ceil(report.scenarios * share)
    if (report[key] < wanted) return `${key}: ${report[key]} in ${report.scenarios} scenarios, of ${wanted} at least`
  }
  return undefined
}

const law = (definition: Definition): ExchangeLaw => ({
  name: definition.name,
  statement: definition.statement,
  check: (input, options) => {
    // what it needs is there for whoever runs this
    const subject = input as unknown as AnySubject
    const { id, name, profile, statement, strength } = definition
    const { scenarios = defaultScenarios, seed = 1 } = options ?? {}
    const checked = Effect.gen(function* () {
      // none prove nothing
      Argument.positive("ExchangeLaws", "scenarios", scenarios)
      Argument.finite("ExchangeLaws", "seed", seed)
      const limits = limitsOf(subject)
      let report = nothing
      const always = scenarios < fewScenarios ? [] : yield* definition.always?.(subject, limits) ?? Effect.succeed([])
      for (let i = 0; i < scenarios + always.length; i++) {
        const own = Random.derive(seed, i)
        const scenario = always[i] ?? draw(own, profile(subject), limits)
        const { finding, report: one } = yield* findingOf(subject, scenario, id)
        if (finding !== undefined) {
          return yield* explained(subject, scenario, definition, `seed ${seed}, scenario ${i}`)
        }
        report = add(report, one)
      }
      const weak = scenarios < fewScenarios ? undefined : tooWeak(report, strength)
      if (weak === undefined) return report
      const found = `nothing against it, and little that could have been: ${weak}`
      return yield* Effect.fail(new LawViolation({ law: name, statement, found }))
    })
    return checked as Effect.Effect<Report, LawViolation, never>
  }
})

const quiet: Profile = { strikes: 0, faults: 0, offences: 0, crowded: false }

export const exchangeLaws: ReadonlyArray<ExchangeLaw> = [
  law({
    id: "own",
    name: "nobody gets another's answer",
    statement:
      "A caller is given the answer to its own request, whoever is interrupted, whenever, and whatever breaks.",
    profile: () => ({ ...quiet, strikes: 30, faults: 20 }),
    strength: { answered: 2, interruptionsInFlight: 0.5, dropped: 0.3 }
  }),
  law({
    id: "interruption",
    name: "an interrupted call is never sent, or its answer is dropped",
    statement:
      "Whoever is interrupted waits no longer. If its request was not handed to the writer by then, it never is. If it was, its answer is awaited and dropped, and others are served as if nothing had happened.",
    profile: () => ({ ...quiet, strikes: 40, crowded: true }),
    strength: { interruptions: 0.5, interruptionsInFlight: 0.2, dropped: 0.1 },
    always: everyPoint
  }),
  law({
    id: "loss",
    name: "when the connection is lost every call fails at once",
    statement:
      "No call waits for an answer that cannot come, none is sent twice, and one that is said not to have been sent was not.",
    profile: () => ({ ...quiet, strikes: 10, faults: 100, crowded: true }),
    strength: { faults: 0.5, faultsInFlight: 0.25, lost: 0.5 }
  }),
  law({
    id: "violation",
    name: "an answer that nobody asked for ends the exchange",
    statement:
      "An answer to nothing, to an id that was never given out, or a second one: every call fails, and none is sent any more.",
    profile: (subject) => ({ ...quiet, strikes: subject.answersCancelled === false ? 0 : 10, offences: 100 }),
    strength: { violations: 0.5, lost: 1 }
  }),
  law({
    id: "order",
    name: "calls wait in order, and none starves",
    statement:
      "Requests are sent in the order of the calls, never more than maxInFlight of them are unanswered, and every call has its answer in the end.",
    profile: () => ({ ...quiet, strikes: 15, crowded: true }),
    strength: { answered: 3, crowded: 0.3 }
  })
]
