/**
 * Laws of exchanges beyond calls: dialogues and giving the connection back, bounds on patience, connections that come and
 * go. Each is a property of random scenarios, in time of their own; whoever keeps it or not is a pair of constructors.
 */
import { Cause, Clock, Effect, Exit, Fiber, Option, Schedule, Scheduler, type Scope, Stream } from "effect"
import * as fc from "fast-check"
import * as Connection from "../../src/Connection.ts"
import * as Exchange from "../../src/Exchange.ts"
import * as Frame from "../../src/Frame.ts"
import * as StreamError from "../../src/StreamError.ts"
import { schedulerOf } from "../../src/internal/testing/exchange/run.ts"
import * as Server from "../../src/Server.ts"
import type * as Faults from "../../src/testing/Faults.ts"
import * as TestNetwork from "../../src/testing/TestNetwork.ts"

type Lines = Exchange.Exchange<string, string>
type Pipelined = Exchange.PipelinedOptions<string, string>
type Reconnecting = Exchange.ReconnectingOptions<string, string, unknown>

/** Who is put on trial. */
export interface Subject {
  readonly pipelined: (
    connection: Connection.Connection,
    options: Pipelined
  ) => Effect.Effect<Lines, never, Scope.Scope>
  readonly reconnecting: <E, R>(
    open: Effect.Effect<Lines, E, R>,
    options: Reconnecting
  ) => Effect.Effect<Lines, unknown, Exclude<R, Scope.Scope> | Scope.Scope>
}

export const sound: Subject = { pipelined: Exchange.makePipelined, reconnecting: Exchange.makeReconnecting }

/** What was put on trial, by what it is called. */
export type Counts = Record<string, number>

interface CheckOptions {
  readonly scenarios: number
  /** Default 1. */
  readonly seed?: number
  /** Whether a scenario in which something was found is told as it is, and not made smaller. */
  readonly asItIs?: boolean
}

export interface Law {
  readonly name: string
  /** Runs so many scenarios. Answers what was put on trial in them, or throws what was found, with the smallest scenario. */
  readonly check: (subject: Subject, options: CheckOptions) => Promise<Counts>
}

// ---------------------------------------------------------------------------
// scenarios
// ---------------------------------------------------------------------------

/** When somebody is interrupted. */
interface Strike {
  readonly millis: number
  readonly turns: number
}

/** What somebody asks for. */
interface Ask {
  readonly kind: "call" | "send" | "stream" | "exclusive"
  readonly pause: number
  /** How many lines a dialogue has. */
  readonly lines: number
  readonly strike: Strike | undefined
}

interface Scenario {
  readonly seed: number
  readonly scheduler: "waiting" | "immediate" | "restless"
  readonly callers: ReadonlyArray<ReadonlyArray<Ask>>
  readonly maxInFlight: number
  readonly latency: number
  readonly chunking: "asIs" | "halves"
  readonly capacity: number
  /** How long the server takes for its answers, one after the other, over and over. */
  readonly delays: ReadonlyArray<number>
  readonly faults: Faults.Script
}

const millis = (max: number) => fc.oneof(fc.constant(0), fc.integer({ min: 1, max }))

const strikes = fc.record({ millis: millis(60), turns: fc.nat({ max: 4 }) })

const scenarios = <A>(
  kinds: ReadonlyArray<Ask["kind"]>,
  faults: fc.Arbitrary<Faults.Script>,
  more: fc.Arbitrary<A>
): fc.Arbitrary<Scenario & A> => {
  const ask = fc.record<Ask>({
    kind: fc.constantFrom(...kinds),
    pause: millis(40),
    lines: fc.integer({ min: 1, max: 3 }),
    strike: fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 3, arbitrary: strikes })
  })
  const scenario = fc.record<Scenario>({
    seed: fc.nat({ max: 1_000_000 }),
    scheduler: fc.constantFrom("waiting", "immediate", "restless"),
    callers: fc.array(fc.array(ask, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 7 }),
    maxInFlight: fc.constantFrom(64, 1, 2, 3),
    latency: millis(20),
    chunking: fc.constantFrom("asIs", "halves"),
    capacity: fc.constantFrom(65_536, 16, 40),
    delays: fc.array(millis(30), { minLength: 1, maxLength: 5 }),
    faults
  })
  return fc.tuple(scenario, more).map(([scenario, more]) => ({ ...scenario, ...more }))
}

const noFaults = fc.constant<Faults.Script>([])

const breaks = (connection: number, after: number): fc.Arbitrary<Faults.Fault> =>
  fc.record({
    _tag: fc.constantFrom("Reset", "Fin"),
    connection: fc.constant(connection),
    from: fc.constantFrom("client", "server"),
    after: fc.nat({ max: after })
  })

// ---------------------------------------------------------------------------
// what all have in common
// ---------------------------------------------------------------------------

const line = Frame.line({ maxBytes: 1000 })
const port = 7000

/** What was found against a law. */
class Found extends Error {}

const hold = (condition: boolean, found: () => string): void => {
  if (!condition) throw new Found(found())
}

/** One request or dialogue, as whoever asked saw it. */
interface Asked {
  readonly token: string
  readonly ask: Ask
  readonly number: number
  readonly startedAt: number
  /** The lines that are sent for it. */
  readonly lines: ReadonlyArray<string>
  /** Whether its dialogue has begun. */
  begun: boolean
  struckAt: number | undefined
  end: { readonly at: number; readonly exit: Exit.Exit<string, unknown> } | undefined
}

const said = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? `was given ${String(exit.value)}`
    : Cause.hasInterruptsOnly(exit.cause)
      ? "was interrupted"
      : `failed with ${String(Cause.squash(exit.cause))}`

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? Cause.squash(exit.cause) : undefined

const sentOf = (error: unknown): "No" | "Maybe" | undefined =>
  error instanceof StreamError.RequestLost ? error.sent : undefined

/** A line as the server saw it. */
interface Seen {
  readonly line: string
  readonly connection: number
  readonly at: number
}

class Log {
  readonly records: Array<Asked> = []
  readonly seen: Array<Seen> = []
  /** When something was written, and when an answer came: what the client's own frames were asked for. */
  readonly events: Array<{ readonly what: "sent" | "answered"; readonly at: number }> = []
  readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  /** What holds whoever asks whatever. */
  judge(bound: number | undefined): void {
    const times = new Map<string, number>()
    for (const { line } of this.seen) times.set(line, (times.get(line) ?? 0) + 1)
    for (const [line, count] of times)
      hold(count === 1 || line.startsWith("login"), () => `"${line}" was sent ${count} times`)
    for (const { ask, end, lines, startedAt, struckAt, token } of this.records) {
      if (end === undefined) throw new Found(`"${token}" has never come to an end`)
      const { at, exit } = end
      const expected = ask.kind === "send" ? "sent" : lines.join()
      if (Exit.isSuccess(exit)) hold(exit.value === expected, () => `"${token}" ${said(exit)}`)
      else {
        hold(!Cause.hasDies(exit.cause), () => `"${token}" died: ${Cause.pretty(exit.cause)}`)
        hold(
          ask.strike !== undefined || !Cause.hasInterruptsOnly(exit.cause),
          () => `"${token}" was interrupted by nobody`
        )
        hold(sentOf(errorOf(exit)) !== "No" || !times.has(lines[0]!), () => `"${token}" was sent, and ${said(exit)}`)
      }
      if (struckAt !== undefined) hold(at === struckAt, () => `"${token}", interrupted, ends ${at - struckAt} ms later`)
      // a dialogue takes what it takes
      if (bound !== undefined && ask.kind !== "exclusive") {
        hold(at - startedAt <= bound, () => `"${token}" took ${at - startedAt} ms of ${bound}, and ${said(exit)}`)
      }
    }
  }
}

/** Asks, and takes down what came of it. */
const asking = (log: Log, client: Lines, ask: Ask, name: string): Effect.Effect<Asked> => {
  const token = ask.kind === "send" ? `!${name}` : name
  const lines = ask.kind === "exclusive" ? Array.from({ length: ask.lines }, (_, i) => `${token}.${i}`) : [token]
  const record: Asked = {
    token,
    ask,
    lines,
    number: log.records.length,
    startedAt: log.now(),
    begun: false,
    struckAt: undefined,
    end: undefined
  }
  log.records.push(record)
  const run = (): Effect.Effect<string, unknown> => {
    switch (ask.kind) {
      case "call":
        return client.call(token)
      case "send":
        return Effect.as(client.send(token), "sent")
      case "stream":
        return Effect.map(Stream.runCollect(client.stream(token)), (answers) => answers.join())
      case "exclusive":
        return client.exclusive((reader, writer) => {
          record.begun = true
          const one = (text: string) => Effect.andThen(writer.writeFrame(line, text), reader.readFrame(line))
          return Effect.map(Effect.forEach(lines, one), (answers) => answers.join())
        })
    }
  }
  const noted = Effect.onExit(Effect.suspend(run), (exit) =>
    Effect.sync(() => {
      record.end = { at: log.now(), exit }
    })
  )
  const { strike } = ask
  if (strike === undefined) return Effect.as(Effect.exit(noted), record)
  return Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(noted, { startImmediately: true })
    if (strike.millis > 0) yield* Effect.sleep(strike.millis)
    for (let turn = 0; turn < strike.turns; turn++) yield* Effect.yieldNow
    if (record.end === undefined) record.struckAt = log.now()
    yield* Fiber.interrupt(fiber)
    // never begun, and so never asked
    record.end ??= { at: log.now(), exit: Exit.interrupt() }
    return record
  })
}

const plain: Ask = { kind: "call", pause: 0, lines: 1, strike: undefined }

/** All callers, until each has come to an end, or has had time enough. */
const askingAll = (log: Log, client: Lines, callers: Scenario["callers"]) =>
  Effect.gen(function* () {
    const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
    for (const [caller, asks] of callers.entries()) {
      const one = Effect.gen(function* () {
        for (const [i, ask] of asks.entries()) {
          if (ask.pause > 0) yield* Effect.sleep(ask.pause)
          yield* asking(log, client, ask, `c${caller}n${i}`)
        }
      })
      fibers.push(yield* Effect.forkScoped(one, { startImmediately: true }))
    }
    yield* Effect.timeoutOption(Fiber.awaitAll(fibers), "1 hour")
  })

/** A server of lines: answers each in its turn, `more` behind the answer to "bye", and nothing to what begins with "!". */
const serving = ({ delays }: Scenario, log: Log, silentFrom = Infinity) =>
  Effect.gen(function* () {
    let connections = 0
    let answers = 0
    yield* Server.startServer({ port, onHandlerError: () => Effect.void }, ({ reader, writer }) =>
      Effect.gen(function* () {
        const connection = ++connections
        while (true) {
          const received = yield* reader.readFrameOption(line)
          if (Option.isNone(received)) return
          const text = received.value
          log.seen.push({ line: text, connection, at: log.now() })
          // by then somebody waits for the connection to be released
          const delay = text === "bye" ? 1000 : delays[log.seen.length % delays.length]!
          if (text.startsWith("!")) continue
          if (delay > 0) yield* Effect.sleep(delay)
          if (++answers >= silentFrom) continue
          yield* writer.writeFrames(line, text === "bye" ? [text, "more"] : [text])
          yield* writer.flush
        }
      })
    )
  })

const simulated = <E>(
  { capacity, chunking, faults, latency, ...scenario }: Scenario,
  program: (log: Log) => Effect.Effect<void, E, any>
): Effect.Effect<void, unknown> =>
  TestNetwork.simulate(
    Effect.flatMap(Effect.service(Scheduler.Scheduler), (parent) =>
      Effect.provideService(
        Effect.flatMap(Effect.service(Clock.Clock), (clock) => program(new Log(() => clock.currentTimeMillisUnsafe()))),
        Scheduler.Scheduler,
        schedulerOf(scenario, parent)
      )
    ),
    {
      seed: scenario.seed,
      faults,
      fromClient: { latency, chunking, capacity },
      fromServer: { latency, chunking }
    }
  ) as Effect.Effect<void, unknown>

const connecting = Connection.openConnection({ port, host: "127.0.0.1" })

const law = <A>(
  name: string,
  arbitrary: fc.Arbitrary<Scenario & A>,
  trial: (
    subject: Subject,
    scenario: Scenario & A,
    count: (what: string, by?: number) => void
  ) => Effect.Effect<void, unknown>
): Law => ({
  name,
  check: async (subject, { asItIs = false, scenarios, seed = 1 }) => {
    const counts: Counts = {}
    const property = fc.asyncProperty(arbitrary, async (scenario) => {
      const exit = await Effect.runPromiseExit(
        trial(subject, scenario, (what, by = 1) => {
          counts[what] = (counts[what] ?? 0) + by
        })
      )
      if (Exit.isSuccess(exit)) return
      const error = Cause.squash(exit.cause)
      throw [error, ...causesOf(error)].at(-1)
    })
    const details = await fc.check(property, { numRuns: scenarios, seed, endOnFailure: asItIs })
    if (!details.failed) return counts
    const found = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance)
    throw new Error(`${name}\n\nfound: ${found}\n\nin: ${fc.stringify(details.counterexample?.[0])}`)
  }
})

const causesOf = (error: unknown): ReadonlyArray<unknown> =>
  error instanceof Error && error.cause !== undefined ? [error.cause, ...causesOf(error.cause)] : []

// ---------------------------------------------------------------------------
// dialogues
// ---------------------------------------------------------------------------

export const dialogues = law(
  "a dialogue has the connection to itself, and what is released lacks no byte",
  scenarios(
    ["call", "exclusive", "exclusive"],
    fc.oneof({ weight: 3, arbitrary: noFaults }, { weight: 1, arbitrary: fc.tuple(breaks(1, 120)) }),
    fc.constant({})
  ),
  (subject, scenario, count) =>
    simulated(scenario, (log) =>
      Effect.gen(function* () {
        yield* serving(scenario, log)
        const client = yield* subject.pipelined(yield* connecting, {
          request: line,
          response: line,
          maxInFlight: scenario.maxInFlight
        })
        let over: number | undefined
        yield* Effect.forkScoped(
          Effect.map(client.closed, () => (over = log.now())),
          { startImmediately: true }
        )
        yield* askingAll(log, client, scenario.callers)
        // whoever waits for the end is told of it
        yield* Effect.sleep(1)
        const isWell = over === undefined
        // what is behind the last answer is in the connection that is released
        const bye = yield* Effect.forkScoped(asking(log, client, plain, "bye"), { startImmediately: true })
        yield* Effect.sleep(1)
        const released = yield* Effect.exit(client.release)
        const last = yield* Fiber.join(bye)
        log.judge(undefined)

        const cutShort = log.records.filter(({ begun, end }) => begun && Exit.isFailure(end!.exit))
        count("dialogues", log.records.filter(({ begun }) => begun).length)
        count("dialogues cut short", cutShort.length)
        count(
          "interrupted before their turn",
          log.records.filter(({ ask, begun, struckAt }) => ask.kind === "exclusive" && !begun && struckAt !== undefined)
            .length
        )
        const indexOf = (text: string) => log.seen.findIndex((seen) => seen.line === text)
        for (const { begun, lines, token } of log.records) {
          const first = indexOf(lines[0]!)
          if (first === -1 || lines[0] === token) continue
          hold(begun, () => `the dialogue "${token}" was sent before it began`)
          const spoken = log.seen.slice(first, first + lines.length).map(({ line }) => line)
          const expected = lines.slice(0, spoken.length)
          const own = lines.filter((text) => indexOf(text) !== -1).length
          hold(
            spoken.slice(0, own).join() === expected.slice(0, own).join(),
            () => `within the dialogue "${token}" the server was asked ${spoken.join()}`
          )
        }
        if (isWell) {
          hold(
            cutShort.length === 0,
            () => `the dialogue "${cutShort[0]!.token}" was cut short, and the exchange goes on`
          )
          for (const { ask, end, token } of log.records) {
            if (token === "bye") continue
            hold(
              ask.strike !== undefined || Exit.isSuccess(end!.exit),
              () => `"${token}", with nothing wrong, ${said(end!.exit)}`
            )
          }
        } else {
          hold(cutShort.length > 0 || scenario.faults.length > 0, () => "the exchange has ended, with nothing wrong")
          for (const { ask, end, startedAt, token } of log.records) {
            const { at, exit } = end!
            if (at < over! || Exit.isSuccess(exit) || ask.strike !== undefined) continue
            hold(at <= Math.max(over!, startedAt), () => `"${token}" ${said(exit)}, ${at - over!} ms after the end`)
            count("lost")
          }
          const late = log.seen.find(({ line }) =>
            log.records.some(({ lines, startedAt }) => startedAt > over! && lines.includes(line))
          )
          hold(late === undefined, () => `"${late!.line}" was asked after the end, and sent`)
        }
        if (!Exit.isSuccess(last.end!.exit)) {
          hold(!isWell || scenario.faults.length > 0, () => `with nothing wrong "bye" ${said(last.end!.exit)}`)
          return
        }
        if (Exit.isFailure(released)) {
          hold(scenario.faults.length > 0, () => `with nothing wrong releasing it ${said(released)}`)
          return
        }
        const { reader, writer } = released.value
        const more = yield* Effect.exit(Effect.timeout(reader.readFrame(line), "1 minute"))
        const behind = yield* Effect.exit(
          Effect.timeout(Effect.andThen(writer.writeFrame(line, "raw"), reader.readFrame(line)), "1 minute")
        )
        if (scenario.faults.length > 0) return
        count("released")
        hold(Exit.isSuccess(more) && more.value === "more", () => `what was behind the last answer ${said(more)}`)
        hold(
          Exit.isSuccess(behind) && behind.value === "raw",
          () => `what was asked of the released connection ${said(behind)}`
        )
        const refused = yield* Effect.exit(client.call("late"))
        hold(sentOf(errorOf(refused)) === "No", () => `a call behind the release ${said(refused)}`)
      })
    )
)

// ---------------------------------------------------------------------------
// patience
// ---------------------------------------------------------------------------

interface Patience {
  readonly callTimeout: number | undefined
  readonly stallTimeout: number | undefined
  /** From which answer on there is none. */
  readonly silentFrom: number
}

export const patience = law<Patience>(
  "nobody waits longer than callTimeout and stallTimeout say",
  scenarios(
    ["call", "call", "stream"],
    noFaults,
    fc.record<Patience>({
      callTimeout: fc.option(fc.integer({ min: 1, max: 150 }), { nil: undefined }),
      stallTimeout: fc.option(fc.integer({ min: 1, max: 120 }), { nil: undefined }),
      silentFrom: fc.oneof(
        { weight: 3, arbitrary: fc.constant(Infinity) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 12 }) }
      )
    })
  ),
  (subject, scenario, count) =>
    simulated(scenario, (log) =>
      Effect.gen(function* () {
        const { callTimeout, silentFrom, stallTimeout } = scenario
        // somebody must have an end to his patience
        if (silentFrom < Infinity && callTimeout === undefined && stallTimeout === undefined) return
        yield* serving(scenario, log, silentFrom)
        const note = (what: "sent" | "answered") => (text: string) => {
          log.events.push({ what, at: log.now() })
          return text
        }
        const noted = Frame.transform(line, { decode: note("answered"), encode: note("sent") })
        const client = yield* subject.pipelined(yield* connecting, {
          request: noted,
          response: noted,
          maxInFlight: scenario.maxInFlight,
          callTimeout,
          stallTimeout
        })
        let lost: { readonly at: number; readonly cause: unknown } | undefined
        yield* Effect.forkScoped(
          Effect.map(client.closed, (closed) => {
            lost = { at: log.now(), cause: closed._tag === "Lost" ? closed.cause : undefined }
          }),
          { startImmediately: true }
        )
        const begun = log.now()
        yield* askingAll(log, client, scenario.callers)
        yield* Effect.sleep(1000)
        const left = yield* client.inFlight
        log.judge(callTimeout)
        const ended = lost as { readonly at: number; readonly cause: unknown } | undefined

        for (const { ask, end, startedAt, token } of log.records) {
          const { at, exit } = end!
          if (Exit.isSuccess(exit) || ask.strike !== undefined) continue
          const error = errorOf(exit)
          if (error instanceof StreamError.StreamTimeout) {
            hold(
              at - startedAt === callTimeout,
              () => `"${token}" ${said(exit)} after ${at - startedAt} ms of ${callTimeout}`
            )
            count("out of patience")
          } else {
            hold(ended !== undefined, () => `"${token}" ${said(exit)}, and the exchange goes on`)
            hold(
              at === Math.max(ended!.at, startedAt),
              () => `"${token}" ${said(exit)} at ${at - begun} ms, and not at the end`
            )
          }
        }
        // since when something has been awaited in silence
        let since = Infinity
        let awaited = 0
        const most = stallTimeout ?? Infinity
        for (const { at, what } of log.events) {
          hold(at - since <= most, () => `something was awaited in silence for ${at - since} ms of ${most}`)
          awaited += what === "sent" ? 1 : -1
          if (what === "answered") since = awaited > 0 ? at : Infinity
          else if (since === Infinity) since = at
        }
        if (ended === undefined) {
          hold(
            log.now() - since <= most,
            () => `something was awaited in silence for ${log.now() - since} ms of ${most}`
          )
          hold(left === awaited, () => `${left} calls are in flight, of which ${awaited} are unanswered`)
          return
        }
        count("given up")
        hold(
          since + most === ended.at,
          () =>
            `the connection was given up at ${ended.at - begun} ms, with something awaited in silence since ${since - begun} ms: ${String(ended.cause)}`
        )
        hold(
          ended.cause instanceof StreamError.StreamTimeout,
          () => `it was given up because of ${String(ended.cause)}`
        )
      })
    )
)

// ---------------------------------------------------------------------------
// connections that come and go
// ---------------------------------------------------------------------------

interface Coming {
  readonly waitTimeout: number
  readonly spacing: number
  readonly whileDown: "wait" | "fail"
}

/** How long one call may take on one connection. */
const callTimeout = 150

export const coming = law<Coming>(
  "over connections that come and go nothing is sent twice, and nobody waits for ever",
  scenarios(
    ["call", "call", "send", "stream", "exclusive"],
    // some connections break, and behind the first nobody answers for a while
    fc
      .nat({ max: 8 })
      .chain((refusals) =>
        fc
          .tuple(
            ...[1, refusals + 2, refusals + 3].map((connection) =>
              fc.option(breaks(connection, 50), { nil: undefined })
            )
          )
          .map((broken) => [
            ...broken.filter((fault) => fault !== undefined),
            ...Array.from({ length: refusals }, (_, i): Faults.Fault => ({ _tag: "Refuse", connection: i + 2 }))
          ])
      ),
    fc.record<Coming>({
      waitTimeout: fc.constantFrom(30_000, 1, 20, 200),
      spacing: fc.integer({ min: 1, max: 100 }),
      whileDown: fc.constantFrom("wait", "wait", "fail")
    })
  ),
  (subject, scenario, count) =>
    simulated(scenario, (log) =>
      Effect.gen(function* () {
        const { faults, spacing, waitTimeout, whileDown } = scenario
        yield* serving(scenario, log)
        let opened = 0
        let logins = 0
        const open = Effect.flatMap(
          Effect.suspend(() => {
            opened++
            return connecting
          }),
          (connection) =>
            subject.pipelined(connection, {
              request: line,
              response: line,
              maxInFlight: scenario.maxInFlight,
              callTimeout,
              answers: (request) => (request.startsWith("!") ? 0 : 1)
            })
        )
        const client = yield* subject.reconnecting(open, {
          schedule: Schedule.spaced(spacing),
          whileDown,
          waitTimeout,
          onConnect: (exchange) => exchange.call(`login${++logins}`)
        })
        yield* askingAll(log, client, scenario.callers)
        // on each connection for as long as a call may take
        log.judge((whileDown === "wait" ? waitTimeout : 0) + 3 * callTimeout)

        const greeted = new Set<number>()
        for (const { connection, line } of log.seen) {
          hold(
            greeted.has(connection) !== line.startsWith("login"),
            () => `on connection ${connection} "${line}" was said before or behind the greeting`
          )
          greeted.add(connection)
        }
        count("connections", greeted.size)
        for (const { ask, end, token } of log.records) {
          const error = errorOf(end!.exit)
          if (sentOf(error) !== undefined) count(`lost: ${sentOf(error)}`)
          if (faults.length > 0 || ask.strike !== undefined) continue
          hold(Exit.isSuccess(end!.exit), () => `"${token}", with nothing wrong, ${said(end!.exit)}`)
        }
        // in the end there is a connection without a fault
        let served = false
        for (let i = 0; i <= 3 && !served; i++) {
          yield* Effect.sleep("1 minute")
          const { end } = yield* asking(log, client, plain, `again${i}`)
          served = Exit.isSuccess(end!.exit)
        }
        hold(served, () => "nobody is served any more")
        log.judge(undefined)
        const before = opened
        const closing = yield* Effect.timeoutOption(client.close, "1 minute")
        hold(Option.isSome(closing), () => "closing it does not end")
        yield* Effect.sleep("1 minute")
        hold(opened === before, () => "it was closed, and connects again")
      })
    )
)

export const laws: ReadonlyArray<Law> = [dialogues, patience, coming]
