/** A recorded connection as the steps of one of its sides. */
import * as Result from "effect/Result"
import type { Step } from "../../testing/TestPeer.ts"
import * as Bytes from "../base/bytes.ts"
import { type CutOff, type Entry, readAll } from "../observe/readTranscript.ts"
import { count } from "./hexDump.ts"

/** Why a transcript is not replayed, and at which line, counted from 1. */
export interface Refusal {
  readonly problem: string
  readonly line?: number
}

export interface Replay {
  readonly id: number | undefined
  readonly role: "peer" | "self"
}

type Outcome = Extract<Entry["line"], { readonly type: "closed" }>["outcome"]

/** What one side does at the end, by how the recorded side ended. */
const endings: Record<Replay["role"], Record<Outcome, ReadonlyArray<Step>>> = {
  peer: {
    Graceful: [{ _tag: "ExpectEof" }, { _tag: "Close" }],
    Reset: [{ _tag: "Reset" }],
    Aborted: [{ _tag: "ExpectLost" }],
    TimedOut: [{ _tag: "ExpectLost" }]
  },
  self: {
    Graceful: [{ _tag: "Close" }],
    Reset: [{ _tag: "ExpectLost" }],
    Aborted: [{ _tag: "Reset" }],
    TimedOut: [{ _tag: "Reset" }]
  }
}

const refuse = (problem: string, line?: number): Result.Result<never, Refusal> =>
  Result.fail(line === undefined ? { problem } : { problem, line })

export const stepsOf = (texts: Iterable<string>, { id, role }: Replay): Result.Result<ReadonlyArray<Step>, Refusal> => {
  const read = readAll(texts)
  if (Result.isFailure(read)) return refuse(read.failure.problem, read.failure.line)
  const chosen = choose(read.success, id)
  if (Result.isFailure(chosen)) return Result.fail(chosen.failure)
  const whole = entriesOf(read.success, chosen.success)
  return Result.isFailure(whole) ? Result.fail(whole.failure) : Result.succeed(play(whole.success, role))
}

const isOf = (item: Entry | CutOff, id: number): item is Entry =>
  item._tag === "Entry" && item.line.type !== "missing" && item.line.id === id

const maxNamed = 20

const listed = (all: Iterable<number>): string => {
  const ids = [...all].toSorted((a, b) => a - b)
  return ids.length > maxNamed
    ? `${ids.slice(0, maxNamed).join(", ")} and ${ids.length - maxNamed} more`
    : ids.join(", ")
}

/** The number of the connection to replay. */
const choose = (items: ReadonlyArray<Entry | CutOff>, id: number | undefined): Result.Result<number, Refusal> => {
  const ids = new Set<number>()
  for (const item of items) if (item._tag === "Entry" && item.line.type !== "missing") ids.add(item.line.id)
  const [only] = ids
  if (only === undefined) return refuse("the transcript has no connection")
  if (id !== undefined) {
    return ids.has(id) ? Result.succeed(id) : refuse(`the transcript has no connection ${id}, it has ${listed(ids)}`)
  }
  return ids.size === 1 ? Result.succeed(only) : refuse(`id must say which connection: ${listed(ids)}`)
}

/** The lines of a connection, if they are all there, and a script can follow them. */
const entriesOf = (items: ReadonlyArray<Entry | CutOff>, id: number): Result.Result<ReadonlyArray<Entry>, Refusal> => {
  const mine: Array<Entry> = []
  let gap: { readonly what: string; readonly number: number } | undefined
  let closed: number | undefined
  let cut: number | undefined
  const sizes = { in: 0, out: 0 }
  for (const item of items) {
    if (item._tag === "CutOff") {
      cut ??= mine.length > 0 ? item.number : undefined
      continue
    }
    const { line, number } = item
    if (line.type === "missing" && mine.length > 0 && closed === undefined) {
      gap ??= { what: `${line.lines} lines are missing within connection ${id}, or before its end`, number }
    }
    if (!isOf(item, id)) continue
    // what was cut off at the end of a process is nothing that the connection goes on without
    if (cut !== undefined && line.type !== "opened") gap ??= { what: "a line is cut off", number: cut }
    if (mine.length === 0 && line.type !== "opened") {
      return refuse(`connection ${id} begins before the transcript: it is not opened in it`, number)
    }
    if (mine.length > 0 && line.type === "opened") {
      const where = `first in line ${mine[0]!.number}`
      return refuse(`connection ${id} is opened again, ${where}: give the transcript of one process`, number)
    }
    if (closed !== undefined) return refuse(`connection ${id} goes on after it was closed in line ${closed}`, number)
    if (line.type === "upgraded") {
      return refuse(`connection ${id} is upgraded to TLS or from it, which a script cannot do`, number)
    }
    if (line.type === "in" || line.type === "out") sizes[line.type] += item.bytes.length
    if (line.type === "closed") {
      closed = number
      if (line.bytesRead !== sizes.in || line.bytesWritten !== sizes.out) {
        gap ??= {
          what:
            `connection ${id} has read ${count(line.bytesRead)} and written ${count(line.bytesWritten)}, ` +
            `but the transcript has ${sizes.in} and ${sizes.out}`,
          number
        }
      }
    }
    mine.push(item)
  }
  return gap === undefined ? Result.succeed(mine) : refuse(gap.what, gap.number)
}

/** What is said in one direction until the other one speaks. */
class Run {
  readonly direction: "in" | "out"
  private readonly pieces: Array<Uint8Array> = []
  private readonly masked: Array<readonly [number, number]> = []
  private size = 0

  constructor(direction: "in" | "out") {
    this.direction = direction
  }

  add({ bytes, line }: Entry): void {
    for (const [from, to] of ("masked" in line ? line.masked : undefined) ?? []) {
      if (from < to) this.masked.push([this.size + from, this.size + to])
    }
    this.pieces.push(bytes)
    this.size += bytes.length
  }

  steps(sends: "in" | "out"): ReadonlyArray<Step> {
    const bytes = Bytes.joined(this.pieces)
    if (bytes.length === 0) return []
    if (this.direction === sends) return [{ _tag: "Send", bytes }]
    return [this.masked.length === 0 ? { _tag: "Expect", bytes } : { _tag: "Expect", bytes, masked: this.masked }]
  }
}

const play = (entries: ReadonlyArray<Entry>, role: Replay["role"]): ReadonlyArray<Step> => {
  const sends = role === "peer" ? "in" : "out"
  const steps: Array<Step> = []
  const lastOut = entries.findLastIndex(({ bytes, line }) => line.type === "out" && bytes.length > 0)
  let run: Run | undefined
  const told = (): void => {
    if (run !== undefined) steps.push(...run.steps(sends))
    run = undefined
  }
  for (const [index, entry] of entries.entries()) {
    const { line } = entry
    if (line.type === "in" || line.type === "out") {
      if (entry.bytes.length === 0) continue
      if (run?.direction !== line.type) {
        told()
        run = new Run(line.type)
      }
      run.add(entry)
    } else if (line.type === "ended") {
      told()
      // the peer may have ended its output because the recorded program had, which no line says
      if (role === "peer" || lastOut < index) steps.push({ _tag: "HalfClose" })
      if (role === "self") steps.push({ _tag: "ExpectEof" })
    } else if (line.type === "closed") {
      told()
      steps.push(...endings[role][line.outcome])
    }
  }
  told()
  return steps
}
