/** What was seen of one run, on both sides. Times are milliseconds of the run's clock. */
import type * as Exit from "effect/Exit"
import type * as Interruption from "../laws/interruptAt.ts"

/** One call, as its caller saw it. */
export interface CallRecord {
  readonly token: string
  /** Whether its caller was to be interrupted. */
  readonly isStruck: boolean
  /** The how manyeth call it was, from 0. */
  readonly number: number
  readonly startedAt: number
  /** When its caller was interrupted, where that is known. */
  struckAt: number | undefined
  end: CallEnd | undefined
  /** Whether it was without an end when everything had had time enough to end: with nothing wrong, or after that. */
  stuck: "well" | "over" | undefined
}

interface CallEnd {
  readonly at: number
  readonly exit: Exit.Exit<string, unknown>
  /** How many bytes the writer had accepted by then. */
  readonly accepted: number
}

/** One request, as the server saw it. */
export interface Seen {
  readonly token: string
  /** How many bytes came up to its end. */
  readonly end: number
}

export class Log {
  readonly calls: Array<CallRecord> = []
  /** The requests, in the order in which they came. */
  readonly seen: Array<Seen> = []
  /** The tokens of the answers, in the order in which they were written. */
  readonly answers: Array<string> = []
  /** How many requests were unanswered at once, at most. */
  mostUnanswered = 0
  /** How many bytes came to the server. */
  arrived = 0
  /** Whether anything but requests was sent. */
  hasCancelled = false
  /** When the client's side was told that the connection is over, in whatever way. */
  lostAt: number | undefined = undefined
  /** When what the protocol forbids has come to the client. */
  offendedAt: number | undefined = undefined
  /** How many calls the client takes to be in flight when all were answered. */
  leftInFlight: number | undefined = undefined
  /** How many of the faults struck. */
  faults = 0
  /** Every point at which the last call that had one could have been interrupted. */
  points: ReadonlyArray<Interruption.Point> = []
  /** What went wrong beside it. */
  died: string | undefined = undefined
  timeline: string | undefined = undefined

  private readonly unanswered = new Set<object>()
  private closed = false

  start(token: string, isStruck: boolean, now: number): CallRecord {
    const record: CallRecord = {
      token,
      isStruck,
      number: this.calls.length,
      startedAt: now,
      struckAt: undefined,
      end: undefined,
      stuck: undefined
    }
    this.calls.push(record)
    return record
  }

  finish(record: CallRecord, end: CallEnd): void {
    if (!this.closed) record.end = end
  }

  request(entry: object, seen: Seen): void {
    this.seen.push(seen)
    this.unanswered.add(entry)
    this.mostUnanswered = Math.max(this.mostUnanswered, this.unanswered.size)
  }

  /** It is no longer unanswered, because it is now, or will not be. */
  settle(entry: object): void {
    this.unanswered.delete(entry)
  }

  lose(now: number): void {
    this.lostAt ??= now
  }

  /** Those that are without an end have had time enough. */
  judgeStuck(): void {
    const isWell = this.lostAt === undefined && this.offendedAt === undefined
    for (const call of this.calls) if (call.end === undefined) call.stuck = isWell ? "well" : "over"
  }

  /** What ends from now on is ended by the end of the run. */
  close(): void {
    this.closed = true
  }
}
