/** What happens in one run, as data: it is drawn from a seed, made smaller step by step, and said in words. */
import type * as Faults from "../../../testing/Faults.ts"
import type * as Interruption from "../laws/interruptAt.ts"
import * as Random from "../random.ts"

/** When a caller is interrupted. */
type Strike =
  /** So many milliseconds after it called, and so many turns of the scheduler later. */
  | { readonly _tag: "After"; readonly millis: number; readonly turns: number }
  /** At a point of its own steps. */
  | { readonly _tag: "At"; readonly point: Interruption.Point }

/** One call of a caller. */
export interface Call {
  /** How many milliseconds the caller does something else before it. */
  readonly pause: number
  /** How long its token is. */
  readonly size: number
  readonly strike: Strike | undefined
}

/** What one direction of the wire is like. */
export interface Path {
  readonly latency: number
  readonly chunking: "asIs" | "oneByte" | "halves" | "random"
  readonly capacity: number
}

/** What the server does that its protocol forbids. */
type Offence =
  /** When everybody has been answered it says one thing more. */
  | { readonly when: "quiet" }
  /** Instead of this answer, counted from 1, or behind it; and it answers nothing from then on. */
  | { readonly when: "busy"; readonly kind: "stray" | "second"; readonly answer: number }

export interface Scenario {
  readonly seed: number
  /**
   * How fibers wait: `waiting` as under a scheduler that may let others run first, `immediate` as under Effect's own,
   * `restless` under one that lets others run before steps chosen by chance.
   */
  readonly scheduler: "waiting" | "immediate" | "restless"
  readonly callers: ReadonlyArray<ReadonlyArray<Call>>
  readonly maxInFlight: number
  readonly highWaterMark: number
  readonly fromClient: Path
  readonly fromServer: Path
  /** How long the answers take to be found, one after the other, over and over. */
  readonly delays: ReadonlyArray<number>
  /** How long the server does something else before it reads a request, over and over. */
  readonly pauses: ReadonlyArray<number>
  readonly faults: Faults.Script
  /** After how many milliseconds this side aborts the connection. */
  readonly abortAfter: number | undefined
  readonly offence: Offence | undefined
}

// ---------------------------------------------------------------------------
// drawing
// ---------------------------------------------------------------------------

/** What is drawn often for a law, and what is not. */
export interface Profile {
  /** Of how many calls in a hundred the caller is interrupted. */
  readonly strikes: number
  /** How many scenarios in a hundred have faults, or an abort. */
  readonly faults: number
  /** How many in a hundred have a server that offends. */
  readonly offences: number
  /** Whether few calls may be in flight, so that others wait. */
  readonly crowded: boolean
}

/** What a scenario may have, by what its subject is. */
export interface Limits {
  /** How many calls the client has in flight at most, if that is fixed. */
  readonly maxInFlight: number | undefined
  /** Whether the server can offend while calls are in flight, and how. */
  readonly busyOffences: ReadonlyArray<"stray" | "second">
}

/** How many calls there are in one scenario at most. */
const mostCalls = 80
/** With how many bytes at most each arrives by itself. */
const mostSingleBytes = 150

class Draw {
  private readonly next: Random.Random

  constructor(seed: number) {
    this.next = Random.make(seed)
  }
  /** From 0 up to, but not including, `count`. */
  below(count: number): number {
    return Math.floor(this.next() * count)
  }
  /** From 1 to `most`: small numbers as likely as large ones. */
  size(most: number): number {
    return Random.size(this.next, most)
  }
  percent(share: number): boolean {
    return this.next() * 100 < share
  }
  one<const A>(...all: ReadonlyArray<A>): A {
    return all[this.below(all.length)]!
  }
  list<A>(most: number, item: () => A): ReadonlyArray<A> {
    return Array.from({ length: this.size(most) }, item)
  }
}

/** As text: how long a token is at least, so that it is one of its own. */
export const tokenOf = (caller: number, call: number, size: number): string =>
  `c${caller}n${call}x`.padEnd(size, "abcdefghijklmnopqrstuvwxyz")

const bytesOf = (callers: Scenario["callers"]): number => callers.flat().reduce((sum, { size }) => sum + size + 10, 0)

export const draw = (seed: number, profile: Profile, limits: Limits): Scenario => {
  const random = new Draw(seed)
  const millis = () => (random.percent(50) ? 0 : random.size(50))
  const strike = (): Strike | undefined => {
    if (!random.percent(profile.strikes)) return undefined
    if (random.percent(50))
      return { _tag: "After", millis: random.percent(40) ? 0 : random.size(80), turns: random.below(4) }
    const when = random.one("before", "waiting", "suspended")
    return { _tag: "At", point: { step: random.size(16), when } }
  }
  const call = (): Call => ({
    pause: random.percent(60) ? 0 : random.size(50),
    size: random.percent(98) ? random.size(30) : random.size(3000),
    strike: strike()
  })
  const eachCalls = random.size(4)
  // mostly a few, which say as much and take less
  const many = random.percent(80) ? 1 + random.below(8) : 1 + random.below(50)
  const callers = Array.from({ length: Math.min(many, Math.floor(mostCalls / eachCalls)) }, () =>
    random.list(eachCalls, call)
  )
  const total = bytesOf(callers)
  const path = (): Path => ({
    latency: millis(),
    chunking: random.one("asIs", "halves", total <= mostSingleBytes ? "oneByte" : "halves", "random"),
    capacity: random.percent(70) ? 65_536 : 16 + random.size(500)
  })
  const offence = ((): Offence | undefined => {
    if (!random.percent(profile.offences)) return undefined
    if (limits.busyOffences.length === 0 || random.percent(30)) return { when: "quiet" }
    return { when: "busy", kind: random.one(...limits.busyOffences), answer: random.size(callers.flat().length) }
  })()
  const isFaulty = offence === undefined && random.percent(profile.faults)
  const fault = (): Faults.Fault => {
    const from = random.one("client", "server")
    const place = { connection: 1, from, after: random.below(Math.max(1, Math.ceil(total * 0.9))) } as const
    const kind = random.one("Reset", "Reset", "Fin", "Fin", "Stall", "Vanish")
    if (kind !== "Stall") return { _tag: kind, ...place }
    return { _tag: "Stall", ...place, millis: random.percent(80) ? random.size(5000) : "forever" }
  }
  const abortAfter = isFaulty && random.percent(20) ? random.size(200) : undefined
  const maxInFlight = random.percent(profile.crowded ? 80 : 40) ? random.size(4) : 1 + random.size(63)
  const fromClient = path()
  const fromServer = path()
  return {
    seed,
    scheduler: random.one("waiting", "immediate", "immediate", "restless"),
    callers,
    maxInFlight: limits.maxInFlight ?? maxInFlight,
    highWaterMark: random.percent(70) ? 65_536 : random.size(200),
    fromClient,
    // what is said on top of all must not have to wait for room
    fromServer: offence === undefined ? fromServer : { ...fromServer, capacity: 65_536 },
    // one that takes long is overtaken by many, where answers may be
    delays: random.list(6, () => (random.percent(15) ? random.size(2000) : millis())),
    pauses: random.percent(70) ? [0] : random.list(4, millis),
    faults: isFaulty && abortAfter === undefined ? random.list(3, fault) : [],
    abortAfter,
    offence
  }
}

// ---------------------------------------------------------------------------
// making smaller
// ---------------------------------------------------------------------------

const plain: Path = { latency: 0, chunking: "asIs", capacity: 65_536 }

const isPlain = (path: Path): boolean =>
  path.latency === 0 && path.chunking === "asIs" && path.capacity === plain.capacity

/** Without some of the items: without half of them, then without each. */
const without = function* <A>(items: ReadonlyArray<A>): Generator<ReadonlyArray<A>> {
  const half = items.length >> 1
  if (half > 1) {
    yield items.slice(half)
    yield items.slice(0, half)
  }
  for (let i = 0; i < items.length; i++) yield items.toSpliced(i, 1)
}

/** Scenarios that are a little smaller than this one, the much smaller ones first. */
export const smaller = function* (scenario: Scenario): Generator<Scenario> {
  const { abortAfter, callers, delays, faults, fromClient, fromServer, highWaterMark, offence, pauses, scheduler } =
    scenario
  for (const fewer of without(callers)) yield { ...scenario, callers: fewer }
  for (const fewer of without(faults)) yield { ...scenario, faults: fewer }
  if (abortAfter !== undefined) yield { ...scenario, abortAfter: undefined }
  if (offence !== undefined) yield { ...scenario, offence: undefined }
  if (scheduler === "restless") yield { ...scenario, scheduler: "immediate" }
  if (scheduler !== "waiting") yield { ...scenario, scheduler: "waiting" }
  if (!isPlain(fromClient)) yield { ...scenario, fromClient: plain }
  if (!isPlain(fromServer)) yield { ...scenario, fromServer: plain }
  if (highWaterMark !== 65_536) yield { ...scenario, highWaterMark: 65_536 }
  if (pauses.some((pause) => pause > 0)) yield { ...scenario, pauses: [0] }
  if (delays.some((delay) => delay > 0)) yield { ...scenario, delays: [0] }
  for (const fewer of without(delays)) if (fewer.length > 0) yield { ...scenario, delays: fewer }
  for (const [at, calls] of callers.entries()) {
    const instead = (changed: ReadonlyArray<Call>): Scenario => ({ ...scenario, callers: callers.with(at, changed) })
    if (calls.length > 1) for (const fewer of without(calls)) yield instead(fewer)
    for (const [i, call] of calls.entries()) {
      if (call.strike !== undefined) yield instead(calls.with(i, { ...call, strike: undefined }))
      if (call.pause > 0) yield instead(calls.with(i, { ...call, pause: 0 }))
      if (call.size > 1) yield instead(calls.with(i, { ...call, size: call.size > 40 ? call.size >> 1 : 1 }))
    }
  }
  for (const [at, fault] of faults.entries()) {
    if (!("after" in fault) || fault.after === 0) continue
    for (const after of [0, fault.after >> 1, fault.after - 1]) {
      yield { ...scenario, faults: faults.with(at, { ...fault, after }) }
    }
  }
}

// ---------------------------------------------------------------------------
// in words
// ---------------------------------------------------------------------------

const describeStrike = (strike: Strike): string =>
  strike._tag === "After"
    ? `interrupted after ${strike.millis} ms and ${strike.turns} turns`
    : strike.point.when === "before"
      ? `interrupted before step ${strike.point.step}`
      : `interrupted where it ${strike.point.when === "waiting" ? "waits" : "is suspended"} after step ${strike.point.step}`

const describePath = ({ capacity, chunking, latency }: Path): string =>
  `${latency} ms, ${chunking}, room for ${capacity} B`

/** A scenario in words, one line a caller. `script` says the faults. */
export const describe = (scenario: Scenario, script: string): string => {
  const { abortAfter, delays, fromClient, fromServer, highWaterMark, maxInFlight, offence, pauses, scheduler } =
    scenario
  return [
    `scheduler ${scheduler}, maxInFlight ${maxInFlight}, highWaterMark ${highWaterMark}`,
    `from the client: ${describePath(fromClient)}; from the server: ${describePath(fromServer)}`,
    `the server answers after ${delays.join(", ")} ms, and reads after ${pauses.join(", ")} ms`,
    ...(offence === undefined
      ? []
      : offence.when === "quiet"
        ? ["the server says one thing more when everybody has been answered"]
        : [`the server: a ${offence.kind} answer, at answer ${offence.answer}`]),
    ...(abortAfter === undefined ? [] : [`the client's side aborts the connection after ${abortAfter} ms`]),
    ...(scenario.faults.length === 0 ? [] : [script]),
    ...scenario.callers.map((calls, caller) => {
      const each = calls.map(({ pause, size, strike }, call) => {
        const parts = [tokenOf(caller, call, size).slice(0, 20)]
        if (pause > 0) parts.unshift(`${pause} ms later`)
        if (strike !== undefined) parts.push(describeStrike(strike))
        return parts.join(" ")
      })
      return `caller ${caller}: ${each.join("; ")}`
    })
  ].join("\n")
}
