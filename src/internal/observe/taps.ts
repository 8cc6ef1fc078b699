/** What is kept of each connection that is watched: when it was opened, how far it is, what its masks have seen. */
import type { Direction, Event, ObservedConnection } from "../../Observer.ts"
import { Masker, type Ranges, type Rule } from "./masks.ts"

interface Way {
  readonly masker: Masker
  /** How many bytes have passed. */
  passed: number
}

/** A connection that is watched. */
export class Tap {
  /** Milliseconds since the epoch. */
  readonly since: number
  private readonly ways: { readonly [D in Direction]: Way }

  constructor(since: number, rules: ReadonlyArray<Rule>) {
    this.since = since
    const way = (direction: Direction): Way => ({ masker: new Masker(rules, direction), passed: 0 })
    this.ways = { in: way("in"), out: way("out") }
  }

  /** Where a piece begins in its direction, and what of it is masked. */
  pass(direction: Direction, bytes: Uint8Array): { readonly offset: number; readonly ranges: Ranges } {
    const way = this.ways[direction]
    const offset = way.passed
    way.passed += bytes.length
    return { offset, ranges: way.masker.next(bytes) }
  }
}

export interface TapOptions {
  readonly mask: ReadonlyArray<Rule>
  readonly filter: (connection: ObservedConnection) => boolean
}

/** The connections that are watched, each asked for when it is first heard of. */
export class Taps {
  private readonly options: TapOptions
  private readonly known = new WeakMap<ObservedConnection, Tap | "left out">()
  /** The numbers of those that are left out and open: some events have no more than that. */
  private readonly numbers = new Set<number>()

  constructor(options: TapOptions) {
    this.options = options
  }

  /** `undefined` for a connection that is left out. */
  of(connection: ObservedConnection, now: number): Tap | undefined {
    let tap = this.known.get(connection)
    if (tap === undefined) {
      // also where the filter fails: it has not said that this one may be seen
      this.leaveOut(connection)
      if (!this.options.filter(connection)) return undefined
      tap = new Tap(now, this.options.mask)
      this.known.set(connection, tap)
      this.numbers.delete(connection.id)
    }
    return tap === "left out" ? undefined : tap
  }

  /** Whether an event is of a connection that is left out, as far as that is known when it comes. */
  isLeftOut(event: Event): boolean {
    if (event._tag === "Closed") this.numbers.delete(event.connection.id)
    return "id" in event && this.numbers.has(event.id)
  }

  private leaveOut(connection: ObservedConnection): void {
    this.known.set(connection, "left out")
    this.numbers.add(connection.id)
  }
}
