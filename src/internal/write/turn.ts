/**
 * What a connection hands over in one turn of the event loop: when, and how much.
 *
 * Small writes wait for the end of the turn, so that they go out together. A connection that has sent its share of a turn
 * rests until the next one, so that others have theirs: a system that takes everything would otherwise be given
 * everything at once.
 */
import type { Transport } from "../../Transport.ts"
import { maxInTurn } from "../base/defaults.ts"
import { nextTurn } from "../runtime/turn.ts"

/** The buffer whose turn it is. */
export interface Sender {
  /** Whether so much was sent in this turn that the next write waits for another. */
  resting: boolean
  /** The turn ends: everything pending is sent. Does not throw. */
  endTurn(): void
  /** Another turn has come: those who waited for it go on. */
  rested(): void
}

/** Connections with something to send at the end of this turn. */
let dirty: Array<Turn> = []
const endOfTurn = Promise.resolve()
const endTurns = (): void => {
  const turns = dirty
  dirty = []
  for (const turn of turns) turn.end()
}

/** Does something in this turn, after the code that runs. */
export const soon = (task: () => void): void => void endOfTurn.then(task)

export class Turn {
  /** Set where the end of a turn is the transport's to say. */
  readonly atEnd: Transport["atEndOfTurn"]
  private readonly sender: Sender
  /** Set while the whole turn's output is held back. */
  private corked = false
  private scheduled = false
  /** Bytes sent in this turn. */
  private sent = 0

  constructor(sender: Sender, atEnd: Transport["atEndOfTurn"]) {
    this.sender = sender
    this.atEnd = atEnd
  }

  /** There is something to send at the end of this turn. */
  schedule(): void {
    if (this.corked || this.scheduled) return
    this.scheduled = true
    if (this.atEnd !== undefined) this.atEnd(() => this.end())
    else if (dirty.push(this) === 1) void endOfTurn.then(endTurns)
  }

  end(): void {
    this.scheduled = false
    this.sent = 0
    this.sender.endTurn()
  }

  /** Nothing is sent at the end of the turn, until `uncork`. */
  cork(): void {
    this.corked = true
    this.sent = 0
  }

  uncork(): void {
    this.corked = false
  }

  /** The system has taken so many bytes at once. */
  count(bytes: number): void {
    this.sent += bytes
  }

  /** Rests until the next turn, if the share of this one is used up. */
  restIfDue(): void {
    const { sender } = this
    if (this.sent <= maxInTurn || sender.resting) return
    sender.resting = true
    const next = this.atEnd ?? nextTurn
    next(() => {
      sender.resting = false
      this.sent = 0
      sender.rested()
    })
  }
}
