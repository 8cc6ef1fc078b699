/**
 * The clients that `maxConnections` keeps waiting.
 *
 * One that waits has a session, whose handler has yet to begin: what it says is read up to the limit of a connection, which
 * is also how its end is seen. One that has ended its output has probably left. It may still be served, for it may have
 * asked for something and read on; but it comes after all that are there for sure, and is the first to go where room is
 * needed.
 */
import type { SessionConnection } from "../session/connection.ts"
import type { Closed } from "../session/closing.ts"

interface Client {
  readonly connection: SessionConnection
}

class Waiting<C extends Client> {
  readonly client: C
  /** Begins to serve it, soon, and in the async context in which it was accepted. */
  readonly admit: () => void

  constructor(client: C, admitted: (client: C) => void) {
    this.client = client
    // What follows a promise runs in the async context of whoever said so, not of whoever resolves it: here the one who
    // accepts, and not the client before this one, whose end makes the place free. No other means is free of Node.
    const { promise, resolve } = Promise.withResolvers<void>()
    this.admit = resolve
    void promise.then(() => admitted(client))
  }
}

export class AdmissionQueue<C extends Client> {
  private readonly room: number
  /** In the order in which they came. */
  private readonly present = new Set<Waiting<C>>()
  /** Those who have ended their output, or whose connection is lost behind something that they said; in the order of that. */
  private readonly departed = new Set<Waiting<C>>()

  constructor(room: number) {
    this.room = room
  }

  /** How many wait. Those who have left do not. */
  get size(): number {
    return this.present.size
  }

  /** Whether there is room for one more; those who have left make it. */
  makeRoom(): boolean {
    if (this.present.size >= this.room) return false
    if (this.present.size + this.departed.size >= this.room) this.drop(first(this.departed)!)
    return true
  }

  /** `admitted` is called when its turn has come. */
  add(client: C, admitted: (client: C) => void): void {
    const waiting = new Waiting(client, admitted)
    this.present.add(waiting)
    client.connection.session.onClosed((closed) => this.leaves(waiting, closed))
  }

  /** Takes the next one out of the queue. */
  next(): Waiting<C> | undefined {
    const waiting = first(this.present) ?? first(this.departed)
    if (waiting !== undefined) this.remove(waiting)
    return waiting
  }

  /** Resets them all. */
  clear(): void {
    for (const waiting of [...this.present, ...this.departed]) this.drop(waiting)
  }

  private leaves(waiting: Waiting<C>, closed: Closed): void {
    this.present.delete(waiting)
    if (closed._tag === "PeerEof" || waiting.client.connection.session.reads.size > 0) this.departed.add(waiting)
    else this.drop(waiting)
  }

  private drop(waiting: Waiting<C>): void {
    this.remove(waiting)
    waiting.client.connection.session.abortNow()
  }

  private remove(waiting: Waiting<C>): void {
    this.present.delete(waiting)
    this.departed.delete(waiting)
    waiting.client.connection.session.onClosed(undefined)
  }
}

const first = <A>(set: Set<A>): A | undefined => set.values().next().value
