/** Which laws a run has broken, and how. */
import type { Report } from "../../../testing/ExchangeLaws.ts"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { CallRecord, Log } from "./log.ts"
import { hasSilence } from "./run.ts"
import type { Scenario } from "./scenario.ts"
import { strayToken } from "./server.ts"
import type { AnySubject } from "./subject.ts"

export type LawId = "own" | "interruption" | "loss" | "violation" | "order"

export interface Finding {
  readonly law: LawId
  readonly found: string
}

/** A token, as short as it can be told from others. */
const short = (token: string): string => (token.length > 16 ? `"${token.slice(0, 16)}…"` : `"${token}"`)

const said = (exit: Exit.Exit<string, unknown>): string => {
  if (Exit.isSuccess(exit)) return `was given ${short(String(exit.value))}`
  const { cause } = exit
  if (Cause.hasInterruptsOnly(cause)) return "was interrupted"
  const error = Cause.squash(cause)
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return Cause.hasDies(cause) ? `died: ${message}` : `failed: ${message}`
}

const isInterrupted = (exit: Exit.Exit<string, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

export const judge = (subject: AnySubject, scenario: Scenario, log: Log): ReadonlyArray<Finding> => {
  const findings: Array<Finding> = []
  const tell = (law: LawId, found: string): void => void findings.push({ law, found })
  const { calls } = log
  const asked = new Map(calls.map((call) => [call.token, call]))
  const seen = new Map(log.seen.map((request) => [request.token, request]))
  const answered = new Set(log.answers)
  /** From when on no call succeeds any more. */
  const over = Math.min(log.lostAt ?? Infinity, log.offendedAt ?? Infinity)
  const offends = log.offendedAt !== undefined && log.offendedAt <= (log.lostAt ?? Infinity)
  const lossLaw: LawId = offends ? "violation" : "loss"
  const wasStruck = calls.some(({ end, isStruck }) => isStruck && end !== undefined && isInterrupted(end.exit))
  // where nothing is wrong but that somebody else was interrupted, that is what it must have been
  const wellLaw: LawId = wasStruck ? "interruption" : "order"

  const judgeFailure = (call: CallRecord, at: number, exit: Exit.Failure<string, unknown>): void => {
    const what = `the call of ${short(call.token)}`
    if (at < over) return tell(wellLaw, `${what} ${said(exit)}, at ${at} ms, with nothing wrong with the connection`)
    const due = Math.max(over, call.startedAt)
    if (at > due) tell(lossLaw, `${what} ${said(exit)}, ${at - due} ms after it could not be answered any more`)
    const error = Cause.squash(exit.cause)
    const sent = subject.sent?.(error)
    if (subject.sent !== undefined && sent === undefined)
      tell(lossLaw, `${what} ${said(exit)}, which says nothing of a loss`)
    if (sent === "No" && seen.has(call.token))
      tell("loss", `${what} is said not to have been sent, and the server has read it`)
    if (offends && subject.isViolation?.(error) === false) {
      tell("violation", `${what} ${said(exit)}, which says nothing of a violation of the protocol`)
    }
  }

  for (const call of calls) {
    const { end, token } = call
    const what = `the call of ${short(token)}`
    const request = seen.get(token)
    if (call.stuck !== undefined) {
      const since = `${what}, made at ${call.startedAt} ms, was never answered`
      if (call.struckAt !== undefined) tell("interruption", `${what}: its caller was interrupted, and still waits`)
      else if (offends) tell("violation", `${since}, although the server violated the protocol`)
      else if (call.stuck === "over") tell("loss", `${since}, although the connection is lost`)
      // nobody was told that nothing comes any more
      else if (!hasSilence(scenario)) tell(wellLaw, since)
    }
    if (offends && request !== undefined && call.startedAt > log.offendedAt!) {
      tell("violation", `${what} was made after the violation, and sent all the same`)
    }
    if (end === undefined) {
      tell(lossLaw, `${what} goes on after the end of the connection`)
      continue
    }
    const { accepted, at, exit } = end
    if (Exit.isSuccess(exit)) {
      if (exit.value !== token) {
        const whose =
          exit.value === strayToken ? "the answer that nobody asked for" : `the answer to ${short(exit.value)}`
        tell("own", `${what} was given ${whose}`)
      } else if (!answered.has(token)) tell("own", `${what} was answered, and not by the server`)
      continue
    }
    if (Cause.hasDies(exit.cause)) tell(wellLaw, `${what} ${said(exit)}`)
    else if (isInterrupted(exit)) {
      if (!call.isStruck) {
        tell(lossLaw === "loss" && over === Infinity ? wellLaw : lossLaw, `${what} was interrupted, and by nobody`)
      }
      if (call.struckAt !== undefined && at > call.struckAt) {
        tell("interruption", `${what}: its caller was interrupted, and waited for ${at - call.struckAt} ms more`)
      }
      if (request !== undefined && request.end > accepted) {
        tell("interruption", `${what} was sent after its caller was gone`)
      }
    } else judgeFailure(call, at, exit)
  }

  judgeRequests(subject, scenario, log, asked, tell)
  if (log.leftInFlight !== undefined && log.leftInFlight !== 0) {
    tell("interruption", `${log.leftInFlight} calls are in flight when everything is answered`)
  }
  return findings
}

/** What the server has seen. */
const judgeRequests = (
  subject: AnySubject,
  scenario: Scenario,
  log: Log,
  asked: ReadonlyMap<string, CallRecord>,
  tell: (law: LawId, found: string) => void
): void => {
  const { calls, seen } = log
  const most = subject.maxInFlight ?? scenario.maxInFlight
  if (log.mostUnanswered > most) tell("order", `${log.mostUnanswered} calls were in flight at once, of ${most} at most`)
  const tokens = new Set<string>()
  let latest: CallRecord | undefined
  for (const { token } of seen) {
    const call = asked.get(token)
    if (call === undefined) tell("own", `the server was asked ${short(token)}, which nobody has called`)
    else {
      // under a scheduler that lets others run anywhere, who was first is known where time has passed
      const isEarlier =
        scenario.scheduler === "restless"
          ? call.startedAt < (latest?.startedAt ?? 0)
          : call.number < (latest?.number ?? 0)
      if (latest !== undefined && isEarlier) {
        tell("order", `the call of ${short(token)} was made before that of ${short(latest.token)}, and sent behind it`)
      }
      latest = call
    }
    if (tokens.has(token)) tell("interruption", `the call of ${short(token)} was sent twice`)
    tokens.add(token)
  }
  const rest = log.arrived - (seen.at(-1)?.end ?? 0)
  const unsaid = calls.filter(({ end, token }) => {
    if (tokens.has(token)) return false
    if (end === undefined || !Exit.isFailure(end.exit)) return true
    return Cause.hasInterruptsOnly(end.exit.cause) || subject.sent?.(Cause.squash(end.exit.cause)) !== "No"
  })
  // what says that one of these is cancelled may have come in part
  const mayCancel =
    log.hasCancelled ||
    (subject.shape === "multiplexed" &&
      calls.some(({ end, token }) => tokens.has(token) && end !== undefined && isInterrupted(end.exit)))
  if (subject.sent !== undefined && rest > 0 && unsaid.length === 0 && !mayCancel) {
    tell(
      "loss",
      `${rest} bytes of a request have come to the server, and every call without an answer is said not to have been sent`
    )
  }
}

// ---------------------------------------------------------------------------
// counts
// ---------------------------------------------------------------------------

export const nothing: Report = {
  scenarios: 0,
  calls: 0,
  answered: 0,
  interruptions: 0,
  interruptionsInFlight: 0,
  dropped: 0,
  faults: 0,
  faultsInFlight: 0,
  lost: 0,
  unsent: 0,
  violations: 0,
  crowded: 0
}

export const add = (one: Report, other: Report): Report => {
  const sum: Record<string, number> = {}
  for (const key of Object.keys(nothing) as ReadonlyArray<keyof Report>) sum[key] = one[key] + other[key]
  return sum as unknown as Report
}

export const count = (subject: AnySubject, scenario: Scenario, log: Log): Report => {
  const seen = new Set(log.seen.map(({ token }) => token))
  const answered = new Set(log.answers)
  const ended = log.calls.flatMap(({ end, token }) => (end === undefined ? [] : [{ ...end, token }]))
  const interrupted = ended.filter(({ exit }) => isInterrupted(exit))
  const failed = ended.flatMap(({ at, exit, token }) =>
    Exit.isFailure(exit) && !isInterrupted(exit) ? [{ at, token, error: Cause.squash(exit.cause) }] : []
  )
  const over = Math.min(log.lostAt ?? Infinity, log.offendedAt ?? Infinity)
  // those who called before it was over
  const cutOff = log.calls.filter(({ end, startedAt }) => startedAt <= over && (end === undefined || end.at >= over))
  const isCutOff = cutOff.some(({ end }) => end === undefined || (Exit.isFailure(end.exit) && !isInterrupted(end.exit)))
  return {
    scenarios: 1,
    calls: log.calls.length,
    answered: ended.filter(({ exit }) => Exit.isSuccess(exit)).length,
    interruptions: interrupted.length,
    interruptionsInFlight: interrupted.filter(({ token }) => seen.has(token)).length,
    dropped: interrupted.filter(({ token }) => answered.has(token)).length,
    faults: log.faults + (scenario.abortAfter === undefined ? 0 : 1),
    faultsInFlight:
      log.offendedAt === undefined && (scenario.faults.length > 0 || scenario.abortAfter !== undefined) && isCutOff
        ? 1
        : 0,
    lost: failed.length,
    unsent: failed.filter(({ error }) => subject.sent?.(error) === "No").length,
    violations: log.offendedAt === undefined ? 0 : 1,
    crowded: log.mostUnanswered === (subject.maxInFlight ?? scenario.maxInFlight) ? 1 : 0
  }
}
